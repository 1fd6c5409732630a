/* The table of a pool: its records, and the line of those that are pending.
 * See table.c for who may be killed where. */
#ifndef IPC_POOL_TABLE_H
#define IPC_POOL_TABLE_H

#include "pool/layout.h"

/* What is submitted. */
struct ipc__order {
    uint64_t fn;
    const void *arg;
    size_t arg_bytes;
    size_t result_bytes;
    int64_t task_ns;
    uint32_t retries;
    uint32_t shape; /* IPC__JOB, IPC__TIMED */
    bool abandoned; /* nobody will ask */
};

/* Lay out a table in zeroed family memory: pool->records, line and their
 * sizes.  0 or a negative errno; and give it back. */
int ipc__table_init(struct ipc_pool *pool);
void ipc__table_fini(struct ipc_pool *pool);

/* Put a task in line.  0; -EPIPE, -ENOTRECOVERABLE, -EAGAIN (also _TIME_NOW),
 * -ETIMEDOUT, -ENOBUFS, -ENOMEM, -EMSGSIZE. */
int ipc__table_submit(struct ipc_pool *pool, const struct ipc__order *order,
                      ipc_deadline deadline, struct ipc_future **out);

/* Make a record for a task and leave it RUNNING in the hands of this worker,
 * which runs it at once: where there is no room in line. */
int ipc__table_submit_running(struct ipc_pool *pool,
                              const struct ipc__order *order, uint32_t worker,
                              struct ipc_future **out);

/* Put a PENDING record in line once more, also when the pool is closed: its
 * place was lost with a worker.  By the supervisor. */
void ipc__table_put_again(struct ipc_pool *pool, struct ipc_future *future);

/* Take pending tasks out of the line, into the claims of this worker.  Returns
 * how many, and of how many more it knows; -EAGAIN there is none; -EPIPE and
 * the pool is closed. */
int ipc__table_take(struct ipc_pool *pool, uint32_t worker, uint32_t *left);

/* Make a pending record RUNNING, by this worker.  False: somebody else has. */
bool ipc__table_claim(struct ipc_future *future, uint32_t worker);

/* Free a final record, or one that is WRITING and this process's.  -EINVAL: it
 * is none. */
int ipc__table_free(struct ipc_future *record);

/* Have memory for so many bytes in a cell of a record, which perhaps has some.
 * By who has the record in hand.  0 or -ENOMEM. */
int ipc__table_have(uint64_t *cell, uint32_t *room, size_t bytes);

/* Close the line: submit fails from now on, and workers leave when it is
 * empty. */
void ipc__table_close(struct ipc_pool *pool);

/* End all that is pending in this way (see ipc__future_end_pending()).  Returns
 * how many. */
uint32_t ipc__table_cancel_all(struct ipc_pool *pool, uint32_t kind,
                               int status);

/* A worker is dead and joined: what it had claimed is put in line again, and
 * the wake-ups that it may have taken with it are repeated.  By the
 * supervisor. */
void ipc__table_bury_worker(struct ipc_pool *pool, uint32_t worker);

/* A process that has submitted is dead: its records are freed, but for tasks
 * of which nobody will ask.  By the supervisor. */
void ipc__table_bury_client(struct ipc_pool *pool, uint32_t client);

/* What a client has submitted, and is whole, is the maker's from now on. */
void ipc__table_adopt(struct ipc_pool *pool, uint32_t client);

/* The number of the calling process among those who submit. */
uint16_t ipc__table_client(struct ipc_pool *pool);

/* Sleep until there may be a task, spinning first; with the deadline passed:
 * -ETIMEDOUT.  leave: see struct ipc__worker. */
int ipc__table_sleep(struct ipc_pool *pool, uint32_t worker,
                     ipc_deadline deadline);

/* A worker that has had nothing to do for long may leave: true, and then it
 * has to. */
bool ipc__table_may_shrink(struct ipc_pool *pool, uint32_t worker);

/* A worker is about to be started: it counts.  By the supervisor. */
void ipc__table_enter(struct ipc_pool *pool, uint32_t worker);

/* It looks for nothing any more, and is going to leave. */
void ipc__table_look_away(struct ipc_pool *pool, uint32_t worker);

/* It runs nothing any more. */
void ipc__table_leave(struct ipc_pool *pool, uint32_t worker);

/* Pending tasks in line: some may have been cancelled. */
uint32_t ipc__table_pending(const struct ipc_pool *pool);

static inline struct ipc_future *ipc__table_record(const struct ipc_pool *pool,
                                                   uint32_t index)
{
    return &pool->records[index];
}

static inline uint32_t ipc__table_index(const struct ipc_future *future)
{
    return (uint32_t)(future - future->pool->records);
}

#endif
