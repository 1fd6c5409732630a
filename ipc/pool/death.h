/* Deaths of workers and of pools, in words. */
#ifndef IPC_POOL_DEATH_H
#define IPC_POOL_DEATH_H

#include "pool/layout.h"

/* How a worker ended; in family memory. */
struct ipc__death {
    int32_t signal;   /* 0: it ended by itself */
    int32_t exitcode; /* -1: nobody saw how */
    uint8_t core;
    uint8_t maybe_oom;
};

static inline struct ipc__death ipc__death_of(const struct ipc_future *future)
{
    return (struct ipc__death){future->signal, future->exitcode, future->core,
                               future->maybe_oom};
}

/* What goes behind "worker 12 ": "was killed by SIGKILL". */
void ipc__death_describe(const struct ipc__death *death, char *out,
                         size_t size);

/* Break a pool that is not broken, and say why.  By the supervisor. */
void ipc__pool_break(struct ipc_pool *pool, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Why it is; "" if it is not. */
const char *ipc__pool_reason(const struct ipc_pool *pool);

/* Has a pool lost its maker?  Then it is broken from now on, if it was not shut
 * down: nobody runs what is submitted.  thorough: see ipc__peer_look().
 * (orphan.c) */
bool ipc__pool_is_orphan(struct ipc_pool *pool, bool thorough);

#endif
