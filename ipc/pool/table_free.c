/* Records that are done with, one by one and all at once; and whose they are.
 * See table.c. */
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "base/bits.h"
#include "core/local.h"
#include "kernel/futex.h"
#include "kernel/procfs.h"
#include "memory/shared.h"
#include "pool/future.h"
#include "pool/table_parts.h"
#include "pool/worker.h"

#define CLIENT_TRIES 50

/* ---- freeing ---- */

static int push_final(struct ipc_pool *pool, struct ipc_future *record)
{
    const int rc = ipc__table_lock_put(pool);
    if (rc != 0)
        return rc;
    const uint32_t word = load_acquire(&record->state);
    const bool is_mine =
        ipc__future_is_final(word) || ipc__future_state(word) == IPC__WRITING;
    if (is_mine) {
        store_relaxed(&record->state, IPC__FREE);
        ipc__table_push(pool, record);
    }
    ipc__table_unlock_put(pool);
    return is_mine ? 0 : -EINVAL;
}

/* It becomes WRITING while its cells are emptied, so that whoever dies at it
 * leaves it to the supervisor. */
static int empty_cells(struct ipc_pool *pool, struct ipc_future *record)
{
    const uint32_t word = load_acquire(&record->state);
    if (ipc__future_state(word) != IPC__WRITING) {
        if (!ipc__future_is_final(word))
            return -EINVAL;
        store_relaxed(&record->client, ipc__table_client(pool));
        if (!cas32_acquire(&record->state, word, IPC__WRITING))
            return -EINVAL; /* somebody else frees it */
    }
    record->arg_room = 0;
    record->result_room = 0;
    (void)ipc__shared_free_in(&record->arg);
    (void)ipc__shared_free_in(&record->result);
    return 0;
}

static bool may_keep(const struct ipc_pool *pool,
                     const struct ipc_future *record)
{
    const uint32_t bytes = ipc__table_kept(record);
    return bytes <= IPC__KEPT_EACH &&
           load_relaxed(&pool->kept) + bytes <= IPC__KEPT_ALL;
}

/* Who died at it may have left a cell that says too much. */
static bool was_broken_off(const struct ipc_future *record)
{
    return (record->arg != 0 && record->arg_room == 0) ||
           (record->result != 0 && record->result_room == 0);
}

int ipc__table_free(struct ipc_future *record)
{
    struct ipc_pool *pool = record->pool;
    if (unlikely(record->arg != 0 || record->result != 0) &&
        (was_broken_off(record) || !may_keep(pool, record))) {
        const int rc = empty_cells(pool, record);
        if (rc != 0)
            return rc;
    }
    return push_final(pool, record);
}

/* ---- all of them ---- */

void ipc__table_close(struct ipc_pool *pool)
{
    if (ipc__table_lock_put(pool) != 0)
        return;
    uint32_t tail = load_relaxed(&pool->tail);
    while (!cas32_release(&pool->tail, tail, tail | IPC__LINE_CLOSED))
        tail = load_relaxed(&pool->tail);
    ipc__table_unlock_put(pool);
    ipc__futex_wake(&pool->tail, INT_MAX);
    uint32_t head = load_relaxed(&pool->head); /* who waits for room looks */
    while (!cas32_relaxed(&pool->head, head, head & ~IPC__LINE_SLEEPERS))
        head = load_relaxed(&pool->head);
    ipc__futex_wake(&pool->head, INT_MAX);
}

uint32_t ipc__table_pending(const struct ipc_pool *pool)
{
    return (ipc__table_count(load_relaxed(&pool->tail)) -
            ipc__table_count(load_relaxed(&pool->head))) &
           IPC__TABLE_COUNTS;
}

uint32_t ipc__table_cancel_all(struct ipc_pool *pool, uint32_t kind, int status)
{
    uint32_t n = 0;
    const uint32_t made = load_acquire(&pool->made);
    for (uint32_t i = 0; i < made; i++) {
        struct ipc_future *record = &pool->records[i];
        uint32_t word = load_relaxed(&record->state);
        if (ipc__future_state(word) != IPC__PENDING ||
            !ipc__future_end_pending(record, kind, status, &word))
            continue;
        n++;
        /* As it was then: one that is somebody's may be another by now. */
        if ((word & IPC__ABANDONED) != 0)
            (void)ipc__table_free(record);
    }
    (void)ipc__table_skip_stale(pool);
    return n;
}

/* An abandoned one is freed by who completes it; and if that one dies, at its
 * burial. */
static void bury_record(struct ipc_future *record)
{
    const uint32_t word = load_acquire(&record->state);
    const enum ipc__future_state state = ipc__future_state(word);
    if (state == IPC__FREE || (word & IPC__ABANDONED) != 0)
        return;
    if (state == IPC__PENDING || state == IPC__RUNNING) {
        const bool is_over = ipc__future_cancel_pending(record) ||
                             !ipc__future_set_flag(record, IPC__ABANDONED);
        if (!is_over)
            return;
    }
    (void)ipc__table_free(record);
}

void ipc__table_adopt(struct ipc_pool *pool, uint32_t client)
{
    const uint32_t made = load_acquire(&pool->made);
    for (uint32_t i = 0; i < made; i++) {
        struct ipc_future *record = &pool->records[i];
        if (load_relaxed(&record->client) == client &&
            ipc__future_state(load_acquire(&record->state)) >= IPC__PENDING)
            store_relaxed(&record->client, 0);
    }
}

void ipc__table_bury_client(struct ipc_pool *pool, uint32_t client)
{
    const uint32_t made = load_acquire(&pool->made);
    for (uint32_t i = 0; i < made; i++) {
        struct ipc_future *record = &pool->records[i];
        if (load_relaxed(&record->client) == client)
            bury_record(record);
    }
    store_release(&pool->clients[client].id, 0);
}

/* ---- those who submit ---- */

static uint64_t process_identity(void)
{
    uint64_t ticks = 0;
    const int pid = getpid();
    if (ipc__proc_start_time(pid, &ticks) < 0)
        ticks = 0;
    return (uint64_t)(uint32_t)ticks << 32 | (uint32_t)pid;
}

static uint16_t try_clients(struct ipc_pool *pool, uint64_t id)
{
    for (uint32_t i = 0; i < IPC__CLIENTS; i++)
        if (load_relaxed(&pool->clients[i].id) == id)
            return (uint16_t)i;
    for (uint32_t i = 0; i < IPC__CLIENTS; i++)
        if (load_relaxed(&pool->clients[i].id) == 0 &&
            cas64_relaxed(&pool->clients[i].id, 0, id))
            return (uint16_t)i;
    return IPC__NO_CLIENT;
}

/* Where so many have died that there is no place, the supervisor makes some.
 * What one without a place has submitted is kept when it is killed. */
static SLOW_PATH uint16_t find_client(struct ipc_pool *pool)
{
    const uint64_t id = process_identity();
    uint16_t client = try_clients(pool, id);
    for (int i = 0; i < CLIENT_TRIES && client == IPC__NO_CLIENT; i++) {
        store_release(&pool->clients_full, 1);
        ipc__pool_ring(pool);
        ipc_sleep_until(ipc_after_ms(1));
        client = try_clients(pool, id);
    }
    return client;
}

uint16_t ipc__table_client(struct ipc_pool *pool)
{
    static __thread struct {
        const struct ipc_pool *pool;
        uint64_t process;
        uint64_t serial;
        uint16_t client;
    } last;
    const uint64_t process = load_relaxed(&ipc__local.process);
    if (unlikely(last.pool != pool || process == 0 || last.process != process ||
                 last.serial != pool->serial)) {
        last.client = find_client(pool);
        (void)ipc__local_epoch();
        last.pool = pool;
        last.process = load_relaxed(&ipc__local.process);
        last.serial = pool->serial;
    }
    return last.client;
}
