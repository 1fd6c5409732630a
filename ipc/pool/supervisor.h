/* The supervisor's parts.  See supervisor.c for what it is and who may be
 * killed where.  All of this is for its own thread. */
#ifndef IPC_POOL_SUPERVISOR_H
#define IPC_POOL_SUPERVISOR_H

#include "kernel/futex.h"
#include "pool/maker.h"

#define IPC__FIRST_DELAY_NS ((int64_t)10 * 1000 * 1000)
#define IPC__LAST_DELAY_NS  ((int64_t)1000 * 1000 * 1000)
#define IPC__SOON_NS        ((int64_t)1000 * 1000)

/* One look at all there is; then it sleeps. */
struct ipc__round {
    struct ipc__maker *maker;
    struct ipc_pool *pool;
    ipc_deadline now;
    ipc_deadline next; /* when to look again */
    uint32_t working;  /* workers that are there */
    bool is_held;      /* by maps that have begun */
    uint32_t count;    /* words to sleep on */
    struct ipc__futex words[IPC__FUTEX_MANY];
};

static inline void ipc__round_again_at(struct ipc__round *r, ipc_deadline when)
{
    if (when < r->next)
        r->next = when;
}

/* Of a RUNNING future: which worker runs it. */
static inline uint32_t ipc__runner_of(uint32_t word)
{
    return (word >> IPC__RUNNER_SHIFT) - 1;
}

/* Does worker i live?  If so it is counted, and its life word is slept on; if
 * not it is joined and buried, and what it ran is ended or pending again.
 * (supervisor_deaths.c) */
void ipc__supervisor_look_at_life(struct ipc__round *r, uint32_t i,
                                  bool thorough);

/* Is worker i to be ended, for its task's time is up, or is it to be killed by
 * now?  (supervisor_times.c) */
void ipc__supervisor_look_at_times(struct ipc__round *r, uint32_t i);

/* End the workers of those tasks that somebody wants ended while they run. */
void ipc__supervisor_end_unwanted(struct ipc__round *r);

/* End all that runs: with SIGTERM, and SIGKILL a grace later or at once. */
void ipc__supervisor_terminate(struct ipc__round *r, bool at_once);

/* A process that has submitted is dead.  (supervisor.c) */
void ipc__supervisor_bury_client(struct ipc__round *r, uint32_t client);

/* Start workers, or let some leave, until there are as many as there should be.
 * (supervisor_size.c) */
void ipc__supervisor_fit(struct ipc__round *r);

#endif
