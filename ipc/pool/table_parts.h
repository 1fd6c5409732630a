/* What the sources of the table share. */
#ifndef IPC_POOL_TABLE_PARTS_H
#define IPC_POOL_TABLE_PARTS_H

#include "base/atomic.h"
#include "pool/table.h"

#define IPC__TABLE_RECORDS_MAX (1u << 20)

/* tail and head count modulo this + 1. */
#define IPC__TABLE_COUNTS 0x3fffffffu

static inline uint32_t ipc__table_count(uint32_t word)
{
    return word / IPC__LINE_STEP;
}

/* The guard of those who submit, and free.  (table.c) */
int ipc__table_lock_put(struct ipc_pool *pool);

static inline void ipc__table_unlock_put(struct ipc_pool *pool)
{
    ipc__guard_unlock(&pool->put_guard);
}

/* A free record keeps what memory it had for bytes that did not fit into it,
 * up to so much, for the next task. */
#define IPC__KEPT_EACH ((uint32_t)16 << 10)
#define IPC__KEPT_ALL  ((uint64_t)32 << 20)

static inline uint32_t ipc__table_kept(const struct ipc_future *record)
{
    return (record->arg != 0 ? record->arg_room : 0) +
           (record->result != 0 ? record->result_room : 0);
}

/* With it: a FREE record goes into the list. */
static inline void ipc__table_push(struct ipc_pool *pool,
                                   struct ipc_future *record)
{
    store_relaxed(&pool->kept, pool->kept + ipc__table_kept(record));
    record->next = pool->free_head;
    pool->free_head = ipc__table_index(record) + 1;
}

/* Tasks that were cancelled need not wait for a worker that passes them: take
 * them out of the head of the line.  Were there any?  (table_take.c) */
bool ipc__table_skip_stale(struct ipc_pool *pool);

#endif
