/* Table: the records of a pool, and the line of those that are pending.
 *
 * What a task is, and how far it has come, is in its record and decided by its
 * state alone (layout.h).  The line only says where pending records are, in
 * the order in which they came: an entry whose record is not pending any more
 * is passed over, and a record may be in line twice.
 *
 * State
 *   records    those below `made` have been used
 *   free list  free_head, next: the FREE ones among them; derived from that
 *   line       entry tail is written before tail counts it
 *   placing    what is being put in line, and what it was before
 *   tail       entries ever put in line; CLOSED
 *   All that under the put guard.
 *   head       entries ever taken
 *   claims     of a worker: what it has taken; written by itself before head
 *              counts it
 *   asleep, looking, living   workers that are ASLEEP, LOOKING, and that have
 *              not left; derived
 *   SLEEPERS   in tail: some sleep and none looks; in head: set by who waits
 *              for room
 *   All that, but the last, under the get guard.
 *
 * Invariants
 *   1  a pending record is in line between head and tail, or in the claims of a
 *      worker, or its worker is dead and not buried (supervisor_deaths.c);
 *   2  a record that is neither FREE nor final is being filled, pending or run
 *      by somebody who can be found: client, line, runner.
 *
 * Order
 *   [submit→run]  what a task consists of is seen by who runs it: the change
 *   of tail, a release, against its load with acquire;
 *   [free→submit] by the put guard.
 *
 * Death
 *   of who submits    before tail counts it, the record becomes again what it
 *                     was, FREE or its WRITING; afterwards it is a task.  The
 *                     WRITING records of the dead are freed by the supervisor;
 *   of who takes      what was claimed may be in line too: whoever comes first
 *                     runs it.  Else the supervisor puts it in line again;
 *   under a guard     recovery derives the free list, and the counts, anew. */
#include "pool/table_parts.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include <ipc/shared.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/error.h"
#include "core/local.h"
#include "core/waiting.h"
#include "kernel/futex.h"
#include "kernel/memory.h"
#include "kernel/procfs.h"
#include "memory/shared.h"
#include "pool/death.h"
#include "pool/future.h"
#include "pool/worker.h"

#define RECORDS_MIN 1024u
#define GROW_BYTES  ((size_t)64 << 10)
#define WAKES_SAVED 64
#define BYTES_MAX   ((size_t)1 << 30)

/* ---- memory ---- */

static uint32_t line_entries(const struct ipc_pool *pool)
{
    return pool->line_mask + 1;
}

static int reserve(struct ipc_pool *pool)
{
    void *records = NULL;
    void *line = NULL;
    int rc =
        ipc__shared_reserve((size_t)pool->records_max * sizeof *pool->records,
                            GROW_BYTES, &records);
    if (rc == 0)
        rc = ipc__shared_reserve(
            (size_t)line_entries(pool) * sizeof *pool->line, GROW_BYTES, &line);
    if (rc != 0) {
        (void)ipc_shared_free(records);
        return rc;
    }
    pool->records = records;
    pool->line = line;
    pool->records_present = GROW_BYTES / sizeof *pool->records;
    pool->line_present = GROW_BYTES / sizeof *pool->line;
    return 0;
}

int ipc__table_init(struct ipc_pool *pool)
{
    int rc = -ENOMEM;
    /* Also where the family has fewer addresses than that: -EINVAL. */
    for (uint32_t n = IPC__TABLE_RECORDS_MAX; rc != 0 && n >= RECORDS_MIN;
         n /= 2) {
        pool->records_max = n;
        pool->line_mask = 2 * n - 1;
        rc = reserve(pool);
    }
    return rc == -EINVAL ? -ENOMEM : rc;
}

void ipc__table_fini(struct ipc_pool *pool)
{
    for (uint32_t i = 0; i < pool->made; i++) {
        (void)ipc__shared_free_in(&pool->records[i].arg);
        (void)ipc__shared_free_in(&pool->records[i].result);
    }
    (void)ipc_shared_free(pool->records);
    (void)ipc_shared_free(pool->line);
}

/* Have memory behind the next so many bytes of an array of which *present
 * elements have it.  Any number of callers may do so at once. */
static int have_more(void *array, uint32_t *present, uint32_t max, size_t each)
{
    const uint32_t now = load_relaxed(present);
    size_t more = GROW_BYTES / each;
    if (now + more > max)
        more = max - now;
    const uintptr_t from = (uintptr_t)array + now * each;
    const uintptr_t page = from & ~(uintptr_t)(IPC_PAGE_MAX - 1);
    const int rc =
        ipc__memory_populate((void *)page, from + more * each - page);
    if (rc != 0)
        return ipc__fail(rc, "no memory for more tasks");
    (void)cas32_relaxed(present, now, now + (uint32_t)more);
    return 0;
}

static int grow(struct ipc_pool *pool)
{
    int rc = 0;
    if (load_relaxed(&pool->made) >= load_relaxed(&pool->records_present))
        rc = have_more(pool->records, &pool->records_present, pool->records_max,
                       sizeof *pool->records);
    if (rc == 0 && load_relaxed(&pool->line_present) < line_entries(pool))
        rc = have_more(pool->line, &pool->line_present, line_entries(pool),
                       sizeof *pool->line);
    return rc;
}

/* ---- the put guard ---- */

/* It was not put in line; but an old entry for the same record may have had it
 * found all the same, and then it is a task. */
static void take_back(struct ipc_future *record, uint32_t before)
{
    const uint32_t word = load_relaxed(&record->state);
    if (ipc__future_state(word) == IPC__PENDING)
        (void)cas32_relaxed(&record->state, word, before);
}

static void recover_put(void *arg)
{
    struct ipc_pool *pool = arg;
    const uint32_t placing = pool->placing;
    if (placing != 0 && placing <= pool->made &&
        ipc__table_count(load_relaxed(&pool->tail)) == pool->placing_tail)
        take_back(&pool->records[placing - 1], pool->placing_from);
    pool->free_head = 0;
    store_relaxed(&pool->kept, 0);
    store_relaxed(&pool->wakes, load_relaxed(&pool->wakes_seen));
    for (uint32_t i = pool->made; i-- > 0;)
        if (load_relaxed(&pool->records[i].state) == IPC__FREE)
            ipc__table_push(pool, &pool->records[i]);
    store_relaxed(&pool->placing, 0);
}

int ipc__table_lock_put(struct ipc_pool *pool)
{
    return ipc__guard_lock(&pool->put_guard, recover_put, pool);
}

/* A free record.  -ENOSPC: there is no memory behind it yet. */
static int pop_free(struct ipc_pool *pool, struct ipc_future **out)
{
    const uint32_t first = pool->free_head;
    if (likely(first != 0)) {
        if (unlikely(first > pool->made))
            return -EUCLEAN;
        *out = &pool->records[first - 1];
        store_relaxed(&pool->kept, pool->kept - ipc__table_kept(*out));
        pool->free_head = (*out)->next;
        return 0;
    }
    if (pool->made == pool->records_max)
        return ipc__fail(-ENOBUFS, "%u futures of %s are not freed",
                         pool->records_max, pool->name);
    if (pool->made >= load_relaxed(&pool->records_present))
        return -ENOSPC;
    *out = &pool->records[pool->made];
    (*out)->pool = pool;
    (*out)->magic = IPC__FUTURE_MAGIC;
    store_release(&pool->made, pool->made + 1);
    return 0;
}

/* May one more be put in line?  -EAGAIN: not now. */
static int look_for_room(struct ipc_pool *pool)
{
    const uint32_t tail = load_relaxed(&pool->tail);
    if (unlikely((tail & IPC__LINE_CLOSED) != 0))
        return load_relaxed(&pool->broken) != 0
                   ? ipc__fail(-ENOTRECOVERABLE, "%s is broken: %s", pool->name,
                               ipc__pool_reason(pool))
                   : ipc__fail(-EPIPE, "%s was shut down", pool->name);
    const uint32_t most =
        pool->max_pending != 0 ? pool->max_pending : pool->line_mask;
    if (unlikely(((ipc__table_count(tail) - pool->head_seen) &
                  IPC__TABLE_COUNTS) >= most)) {
        pool->head_seen = ipc__table_count(load_acquire(&pool->head));
        if (((ipc__table_count(tail) - pool->head_seen) & IPC__TABLE_COUNTS) >=
            most)
            return -EAGAIN;
    }
    if (unlikely(ipc__table_count(tail) >= load_relaxed(&pool->line_present)) &&
        load_relaxed(&pool->line_present) < line_entries(pool))
        return -ENOSPC;
    return 0;
}

/* A worker that was woken is on its way, and will wake others if there is more
 * than it takes.  Not for many tasks, as it may be stopped. */
static bool wake_is_under_way(struct ipc_pool *pool)
{
    return (int32_t)(pool->wakes - load_relaxed(&pool->wakes_seen)) > 0 &&
           ++pool->wakes_saved % WAKES_SAVED != 0;
}

/* Wake a worker and count one more, as one step. */
static SLOW_PATH void count_and_wake(struct ipc_pool *pool)
{
    store_relaxed(&pool->wakes, pool->wakes + 1);
    const int woken = ipc__futex_change_and_wake(&pool->tail, IPC__FUTEX_ADD,
                                                 IPC__LINE_STEP, 1);
    if (woken <= 0)
        store_relaxed(&pool->wakes, pool->wakes - 1);
    if (woken < 0) { /* forbidden: the sleepers re-check */
        add_release(&pool->tail, IPC__LINE_STEP);
        ipc__futex_wake(&pool->tail, 1);
    }
}

/* With the guard: one more is in line. */
static void count_one(struct ipc_pool *pool)
{
    uint32_t tail;
    do {
        tail = load_relaxed(&pool->tail);
        if (unlikely((tail & IPC__LINE_SLEEPERS) != 0) &&
            !wake_is_under_way(pool)) {
            count_and_wake(pool);
            return;
        }
    } while (unlikely(!cas32_release(
        &pool->tail, tail, tail + IPC__LINE_STEP))); /* [submit→run] */
}

/* With the guard: at the end of the line. */
static void line_up(struct ipc_pool *pool, const struct ipc_future *record)
{
    const uint32_t count = ipc__table_count(load_relaxed(&pool->tail));
    store_relaxed(&pool->line[count & pool->line_mask],
                  ipc__table_index(record));
    count_one(pool);
}

/* With the guard: a filled record becomes pending, with these flags. */
static void place(struct ipc_pool *pool, struct ipc_future *record,
                  uint32_t flags)
{
    pool->placing_tail = ipc__table_count(load_relaxed(&pool->tail));
    pool->placing_from = load_relaxed(&record->state);
    compiler_barrier();
    store_relaxed(&pool->placing, ipc__table_index(record) + 1);
    compiler_barrier();
    store_release(&record->state, IPC__PENDING | flags); /* [submit→run] */
    line_up(pool, record);
    compiler_barrier();
    store_relaxed(&pool->placing, 0);
}

/* ---- submitting ---- */

static uint32_t arg_shape(size_t bytes)
{
    return ipc__near_begin(bytes) + bytes <= IPC__NEAR ? 0
           : bytes <= IPC__FAR                         ? IPC__ARG_FAR
                                                       : IPC__ARG_SPILLED;
}

/* A record in the caller's hands. */
static void fill(struct ipc_future *record, const struct ipc__order *order,
                 uint16_t client)
{
    const uint32_t shape = arg_shape(order->arg_bytes);
    record->shape = (uint8_t)(order->shape | shape);
    record->attempts = 0;
    store_relaxed(&record->client, client);
    store_relaxed(&record->fn, order->fn);
    record->arg_bytes = (uint32_t)order->arg_bytes;
    record->result_bytes = (uint32_t)order->result_bytes;
    if ((order->shape & IPC__TIMED) != 0) {
        record->task_ns = order->task_ns;
        record->retries =
            (uint8_t)(order->retries < UINT8_MAX ? order->retries : UINT8_MAX);
        record->promised = (uint32_t)order->result_bytes;
    }
    if (order->arg_bytes == 0)
        return;
    if (shape == 0)
        memcpy(record->near_ + ipc__near_begin(order->arg_bytes), order->arg,
               order->arg_bytes);
    else if (shape == IPC__ARG_FAR)
        memcpy(record->far_, order->arg, order->arg_bytes);
}

struct submission {
    struct ipc_pool *pool;
    const struct ipc__order *order;
    struct ipc_future *record;
    uint32_t state; /* that it gets: PENDING, or RUNNING by a worker */
    uint16_t client;
};

static uint32_t first_flags(const struct submission *s)
{
    return s->order->abandoned ? IPC__ABANDONED : 0;
}

/* With the guard: what is filled goes its way. */
static void send(const struct submission *s)
{
    if (s->state == IPC__PENDING)
        place(s->pool, s->record, first_flags(s));
    else
        store_release(&s->record->state, s->state | first_flags(s));
}

static int find_place(struct submission *s)
{
    int rc = 0;
    if (s->state == IPC__PENDING)
        rc = look_for_room(s->pool);
    return rc == 0 ? pop_free(s->pool, &s->record) : rc;
}

static int submit_short(struct submission *s)
{
    int rc = ipc__table_lock_put(s->pool);
    if (rc != 0)
        return rc;
    rc = find_place(s);
    if (likely(rc == 0)) {
        fill(s->record, s->order, s->client);
        send(s);
    }
    ipc__table_unlock_put(s->pool);
    return rc;
}

int ipc__table_have(uint64_t *cell, uint32_t *room, size_t bytes)
{
    if (*cell != 0 && *room >= bytes)
        return 0;
    *room = 0;
    int rc = ipc__shared_free_in(cell);
    if (rc == 0)
        rc = ipc__shared_alloc_in(cell, bytes);
    compiler_barrier();
    if (rc == 0)
        *room = (uint32_t)bytes;
    return rc;
}

static int get_record(struct submission *s)
{
    int rc = ipc__table_lock_put(s->pool);
    if (rc != 0)
        return rc;
    rc = find_place(s);
    if (rc == 0) {
        store_relaxed(&s->record->client, s->client);
        store_relaxed(&s->record->state, IPC__WRITING);
    }
    ipc__table_unlock_put(s->pool);
    return rc;
}

/* A long argument is copied outside of the guard. */
static int submit_long(struct submission *s)
{
    int rc = get_record(s);
    if (rc != 0)
        return rc;
    struct ipc_future *record = s->record;
    rc = ipc__table_have(&record->arg, &record->arg_room, s->order->arg_bytes);
    if (rc == 0) {
        memcpy((void *)(uintptr_t)record->arg, s->order->arg,
               s->order->arg_bytes);
        fill(record, s->order, s->client);
        rc = ipc__table_lock_put(s->pool);
    }
    if (rc == 0) {
        if (s->state == IPC__PENDING)
            rc = look_for_room(s->pool);
        if (rc == 0)
            send(s);
        ipc__table_unlock_put(s->pool);
    }
    if (rc != 0)
        ipc__table_free(record);
    return rc;
}

static int submit_once(struct submission *s)
{
    int rc;
    do
        rc = s->order->arg_bytes > IPC__FAR ? submit_long(s) : submit_short(s);
    while (rc == -ENOSPC && (rc = grow(s->pool)) == 0);
    return rc;
}

/* ---- waiting for room ---- */

/* Sleep until something has been taken out of the line. */
static int wait_for_room(struct ipc_pool *pool, struct ipc__pace *pace,
                         bool *thorough, ipc_deadline deadline)
{
    if (ipc__table_skip_stale(pool))
        return 0;
    if (*thorough && ipc__pool_is_orphan(pool, true))
        return 0; /* then it is refused */
    if (deadline == IPC_TIME_NOW)
        return ipc__fail(-EAGAIN, "%s has %u tasks pending", pool->name,
                         ipc__table_pending(pool));
    uint32_t head = load_relaxed(&pool->head);
    if (ipc__table_pending(pool) <
        (pool->max_pending != 0 ? pool->max_pending : pool->line_mask))
        return 0;
    if (ipc_time_left(deadline) <= 0)
        return ipc__fail(-ETIMEDOUT, "%s has %u tasks pending", pool->name,
                         ipc__table_pending(pool));
    if (ipc__spin(&pool->head, head))
        return 0;
    if ((head & IPC__LINE_SLEEPERS) == 0 &&
        !cas32_relaxed(&pool->head, head, head | IPC__LINE_SLEEPERS))
        return 0;
    *thorough = ipc__sleep(pace, &pool->head, head | IPC__LINE_SLEEPERS, NULL,
                           0, deadline);
    return 0;
}

static int check_order(const struct ipc_pool *pool,
                       const struct ipc__order *order)
{
    if (unlikely(order->arg_bytes > BYTES_MAX ||
                 order->result_bytes > BYTES_MAX))
        return ipc__fail(-EMSGSIZE, "%s: more than 1 GiB for a task",
                         pool->name);
    return 0;
}

int ipc__table_submit(struct ipc_pool *pool, const struct ipc__order *order,
                      ipc_deadline deadline, struct ipc_future **out)
{
    struct submission s = {pool, order, NULL, IPC__PENDING,
                           ipc__table_client(pool)};
    struct ipc__pace pace = {0};
    bool thorough = false;
    int rc = check_order(pool, order);
    if (unlikely(rc != 0))
        return rc;
    while (unlikely((rc = submit_once(&s)) == -EAGAIN))
        if ((rc = wait_for_room(pool, &pace, &thorough, deadline)) != 0)
            return rc;
    if (rc == 0 && unlikely(load_relaxed(&pool->shrunk) != 0))
        ipc__pool_ring(pool);
    *out = s.record;
    return rc;
}

int ipc__table_submit_running(struct ipc_pool *pool,
                              const struct ipc__order *order, uint32_t worker,
                              struct ipc_future **out)
{
    struct submission s = {pool, order, NULL,
                           IPC__RUNNING | (worker + 1) << IPC__RUNNER_SHIFT,
                           ipc__table_client(pool)};
    int rc = check_order(pool, order);
    if (rc == 0)
        rc = submit_once(&s);
    *out = s.record;
    return rc;
}

void ipc__table_put_again(struct ipc_pool *pool, struct ipc_future *future)
{
    for (;;) {
        if (ipc__table_lock_put(pool) != 0)
            return;
        const uint32_t tail = ipc__table_count(load_relaxed(&pool->tail));
        const uint32_t head = ipc__table_count(load_acquire(&pool->head));
        const bool is_full =
            ((tail - head) & IPC__TABLE_COUNTS) >= pool->line_mask;
        const bool has_memory =
            tail < load_relaxed(&pool->line_present) ||
            load_relaxed(&pool->line_present) == line_entries(pool);
        if (!is_full && has_memory)
            line_up(pool, future);
        ipc__table_unlock_put(pool);
        if (!is_full && has_memory)
            return;
        if (is_full && !ipc__table_skip_stale(pool))
            ipc_sleep_until(ipc_after_ms(1));
        else if (!has_memory && grow(pool) != 0)
            return;
    }
}
