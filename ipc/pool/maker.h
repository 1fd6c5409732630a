/* What the process that made a pool knows about it alone: its workers'
 * handles, and its supervisor. */
#ifndef IPC_POOL_MAKER_H
#define IPC_POOL_MAKER_H

#include <signal.h>

#include <ipc/process.h>
#include <ipc/thread.h>

#include "pool/layout.h"

/* What is asked of the supervisor; more is stronger. */
enum ipc__pool_request {
    IPC__ASK_NOTHING = 0,
    IPC__ASK_CLOSE = 1,  /* run what there is */
    IPC__ASK_CANCEL = 2, /* and cancel what is pending */
    IPC__ASK_TERMINATE = 3,
    IPC__ASK_KILL = 4
};

/* What a worker is started with. */
struct ipc__worker_start {
    struct ipc_pool *pool;
    uint32_t worker;
    sigset_t mask; /* of its maker: the supervisor has all blocked */
};

/* A worker's handle. */
struct ipc__hand {
    union {
        ipc_process process;
        ipc_thread thread;
    };
    struct ipc__worker_start start;
    bool started;
    bool is_dead;      /* but perhaps not joined */
    bool was_signaled; /* by us: its death is none of its own */
    bool for_deadline;
    int64_t due_seen;      /* of its worker: was over when it was looked at */
    ipc_deadline kill_at;  /* SIGKILL; 0: not */
    uint64_t tasks_before; /* that it had run: has it got anywhere? */
};

#define IPC__DEATHS 128

/* How long no worker can be started, of which there is none, until the pool is
 * broken. */
extern int64_t ipc__pool_patience_ns;

struct ipc__maker {
    struct ipc_pool *pool;
    struct ipc__maker *next; /* of this process */
    ipc_thread supervisor;
    bool has_supervisor;
    sigset_t mask;
    uint32_t request; /* enum ipc__pool_request; anybody raises it */

    /* The supervisor's own, from when it is started: */
    struct ipc__hand *hands; /* workers_max */
    uint32_t done_request;
    uint32_t seen_interrupts;
    ipc_deadline spawn_at; /* not before, after deaths */
    int64_t delay_ns;
    ipc_deadline deaths[IPC__DEATHS]; /* the last ones, in a ring */
    uint32_t death_count;
    uint32_t stillborn;      /* deaths before the beginning, in a row */
    ipc_deadline alone_at;   /* since when there is no worker, and none can be
                                started; 0: it is not so */
    ipc_deadline clients_at; /* when to look at those who submit */
    uint64_t oom_kills;      /* of the machine when the pool began */
    int *cpus;
    ipc_process_rlimit *rlimits;
    ipc_pool_options options;
};

/* Start worker number i.  0 or a negative errno.  (crew.c) */
int ipc__crew_start(struct ipc__maker *maker, uint32_t i);

/* Has it ended?  Then it is joined. */
bool ipc__crew_join(struct ipc__maker *maker, uint32_t i, ipc_deadline until);

/* Free what there is of one that was joined. */
void ipc__crew_close(struct ipc__maker *maker, uint32_t i);

/* Send it a signal, if it is a process. */
void ipc__crew_signal(struct ipc__maker *maker, uint32_t i, int sig);

/* How it ended, into a record that it was running. */
void ipc__crew_describe(const struct ipc__maker *maker, uint32_t i,
                        struct ipc_future *future);

/* What is put before the names of the system's files, /proc/... and /sys/...
 * Set by tests, to a tree that they have made up.  (quota.c) */
extern const char *ipc__system_root __attribute__((visibility("hidden")));

/* Kills for want of memory that the machine has counted. */
uint64_t ipc__oom_kills(void);

/* The supervisor's life; its argument is the maker.  (supervisor.c) */
int ipc__supervise(void *arg);

/* Ask it for something. */
void ipc__supervisor_ask(struct ipc__maker *maker,
                         enum ipc__pool_request request);

#endif
