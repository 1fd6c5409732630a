/* A worker: takes tasks, runs them, and sleeps when there are none. */
#ifndef IPC_POOL_WORKER_H
#define IPC_POOL_WORKER_H

#include "pool/layout.h"

/* A task that is being run; on its worker's stack. */
struct ipc_task {
    struct ipc_future *future;
    struct ipc_pool *pool;
    uint32_t worker;
    bool has_message;
    bool is_item; /* of a map */
    size_t index;
    struct ipc_task *outer; /* that waits for this one, */
    int64_t outer_due;      /* until this time; 0: for ever */
};

/* What the calling thread runs now, in which worker of which pool. */
extern __thread struct ipc_task *ipc__task
    __attribute__((visibility("hidden"), tls_model("initial-exec")));

/* The life of worker number `worker`, from when it is started.  Returns its
 * exit code. */
int ipc__worker_run(struct ipc_pool *pool, uint32_t worker);

/* The calling thread waits for a future.  If it is a worker of that future's
 * pool and nobody has begun that one: run it here and now, true. */
bool ipc__worker_help(struct ipc_future *future);

/* The same, but leave it to other workers, if there are any, as the wait may end
 * before the task does: it has a deadline, or other things may end it.  With
 * `insists`, not: nothing but this ends a wait without a deadline; or it was
 * pending at a re-check, and none of the others is free. */
bool ipc__worker_stand_in(struct ipc_future *future, ipc_deadline deadline,
                          bool insists);

/* The calling thread waits for a part of its own map.  If the workers are threads
 * of this process, and nobody has begun it: run it here and now, true. */
bool ipc__worker_lend(struct ipc_future *future);

/* Run a RUNNING future that is this worker's. */
void ipc__worker_run_one(struct ipc_pool *pool, uint32_t worker,
                         struct ipc_future *future);

/* A map comes to its next item, which has a time of its own. */
void ipc__worker_item(struct ipc_task *task, size_t index);

/* Tell the supervisor to look. */
void ipc__pool_ring(struct ipc_pool *pool);

/* The function that a record names, in a worker; and in any process, NULL if
 * it has no name there.  And how to name one for the workers of a pool: 0, or
 * -EINVAL it is not registered. */
typedef void (*ipc__any_function)(void);
ipc__any_function ipc__pool_function(uint64_t fn);
ipc__any_function ipc__pool_function_seen(const struct ipc_pool *pool,
                                          uint64_t fn);
int ipc__pool_name_function(const struct ipc_pool *pool, ipc__any_function fn,
                            uint64_t *out);

#endif
