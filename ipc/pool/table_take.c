/* The table's line, from its head: those who take.  See table.c. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/bits.h"
#include "core/waiting.h"
#include "kernel/futex.h"
#include "pool/table_parts.h"

/* ---- the get guard ---- */

static void recover_get(void *arg)
{
    struct ipc_pool *pool = arg;
    uint32_t asleep = 0;
    uint32_t looking = 0;
    uint32_t living = 0;
    for (uint32_t i = 0; i < pool->workers_max; i++) {
        const struct ipc__worker *w = &pool->workers[i];
        const uint32_t phase = load_relaxed(&w->phase);
        asleep += phase == IPC__WORKER_ASLEEP ? 1 : 0;
        looking += phase == IPC__WORKER_LOOKING ? 1 : 0;
        living +=
            phase != IPC__WORKER_NONE && load_relaxed(&w->left) == 0 ? 1 : 0;
    }
    pool->asleep = asleep;
    pool->looking = looking;
    store_relaxed(&pool->living, living);
    pool->tail_seen = ipc__table_count(load_relaxed(&pool->head));
}

static int lock_get(struct ipc_pool *pool)
{
    return ipc__guard_lock(&pool->get_guard, recover_get, pool);
}

static void unlock_get(struct ipc_pool *pool)
{
    ipc__guard_unlock(&pool->get_guard);
}

/* ---- passing over ---- */

static bool is_pending(const struct ipc_pool *pool, uint32_t at)
{
    const uint32_t index = pool->line[at & pool->line_mask];
    return index < load_relaxed(&pool->made) &&
           ipc__future_state(load_relaxed(&pool->records[index].state)) ==
               IPC__PENDING;
}

/* With the guard: the entries from head to tail that are pending, moved up to
 * the tail from the last one on.  Who dies meanwhile leaves some of them twice.
 * Returns where the first one is now. */
static uint32_t close_ranks(struct ipc_pool *pool, uint32_t head, uint32_t tail)
{
    uint32_t to = tail;
    for (uint32_t from = tail; from != head;) {
        from = (from - 1) & IPC__TABLE_COUNTS;
        if (!is_pending(pool, from))
            continue;
        to = (to - 1) & IPC__TABLE_COUNTS;
        if (to != from)
            store_relaxed(&pool->line[to & pool->line_mask],
                          pool->line[from & pool->line_mask]);
    }
    return to;
}

bool ipc__table_skip_stale(struct ipc_pool *pool)
{
    if (lock_get(pool) != 0)
        return false;
    uint32_t head = load_relaxed(&pool->head);
    const uint32_t first = ipc__table_count(head);
    const uint32_t tail = ipc__table_count(load_acquire(&pool->tail));
    uint32_t to = first;
    pool->tail_seen = tail; /* never behind head */
    while (to != tail && !is_pending(pool, to))
        to = (to + 1) & IPC__TABLE_COUNTS;
    /* Those in the middle are looked for when there may be more. */
    const uint64_t cancelled = load_relaxed(&pool->cancelled);
    if (to == first && pool->cancelled_seen != cancelled) {
        pool->cancelled_seen = cancelled;
        to = close_ranks(pool, first, tail);
    }
    const uint32_t n = (to - first) & IPC__TABLE_COUNTS;
    while (n != 0 &&
           !cas32_release(&pool->head, head, head + n * IPC__LINE_STEP))
        head = load_relaxed(&pool->head);
    unlock_get(pool);
    return n != 0;
}

/* ---- who sleeps, and who looks ---- */

/* While somebody looks for work, submitting wakes nobody: SLEEPERS is set if
 * workers sleep and none of them looks. */
static void tell_submitters(struct ipc_pool *pool)
{
    const uint32_t bit =
        pool->asleep != 0 && pool->looking == 0 ? IPC__LINE_SLEEPERS : 0;
    uint32_t tail = load_relaxed(&pool->tail);
    while (
        (tail & IPC__LINE_SLEEPERS) != bit &&
        !cas32_relaxed(&pool->tail, tail, (tail & ~IPC__LINE_SLEEPERS) | bit))
        tail = load_relaxed(&pool->tail);
}

/* With the guard. */
static void set_phase(struct ipc_pool *pool, struct ipc__worker *w,
                      enum ipc__worker_phase phase)
{
    const uint32_t before = load_relaxed(&w->phase);
    pool->asleep += (phase == IPC__WORKER_ASLEEP ? 1u : 0u) -
                    (before == IPC__WORKER_ASLEEP ? 1u : 0u);
    pool->looking += (phase == IPC__WORKER_LOOKING ? 1u : 0u) -
                     (before == IPC__WORKER_LOOKING ? 1u : 0u);
    store_relaxed(&w->phase, phase);
}

/* ---- taking ---- */

/* So many are out of the line; wake who waits for room. */
static void advance_head(struct ipc_pool *pool, uint32_t n)
{
    uint32_t head = load_relaxed(&pool->head);
    while (!cas32_release(&pool->head, head,
                          (head & ~IPC__LINE_SLEEPERS) + n * IPC__LINE_STEP))
        head = load_relaxed(&pool->head);
    if (unlikely((head & IPC__LINE_SLEEPERS) != 0))
        ipc__futex_wake(&pool->head, INT_MAX);
}

/* A worker takes more than one at a time where there are plenty, so that the
 * guard is seldom wanted by two; but its fair share at most. */
static uint32_t fair_share(const struct ipc_pool *pool, uint32_t pending,
                           uint32_t most)
{
    /* Also of those who are to come. */
    const uint32_t living = load_relaxed(&pool->living);
    const uint32_t wanted = load_relaxed(&pool->wanted);
    const uint32_t workers = living > wanted ? living : wanted;
    const uint32_t share = pending / (2 * (workers != 0 ? workers : 1));
    return pool->max_pending != 0 || pool->max_tasks != 0 || share <= 1 ? 1
           : share < most                                               ? share
                                                                        : most;
}

/* With the guard: how many are in line; the word of tail in *tail if it had to
 * be looked at. */
static uint32_t count_pending(struct ipc_pool *pool, uint32_t *tail)
{
    const uint32_t head = ipc__table_count(load_relaxed(&pool->head));
    uint32_t pending = (pool->tail_seen - head) & IPC__TABLE_COUNTS;
    if (pending == 0) {
        *tail = load_acquire(&pool->tail); /* [submit→run] */
        pool->tail_seen = ipc__table_count(*tail);
        pending = (pool->tail_seen - head) & IPC__TABLE_COUNTS;
    }
    return pending;
}

/* With the guard: n entries of the line become claims. */
static void move_claims(struct ipc_pool *pool, struct ipc__worker *w,
                        uint32_t n)
{
    const uint32_t head = ipc__table_count(load_relaxed(&pool->head));
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t index = pool->line[(head + i) & pool->line_mask];
        store_relaxed(&w->claims[i], index + 1);
        prefetch_to_write(&pool->records[index & (IPC__TABLE_RECORDS_MAX - 1)]);
    }
    for (uint32_t i = n; i < IPC__CLAIMS; i++)
        store_relaxed(&w->claims[i], 0);
    advance_head(pool, n);
}

/* With the guard: it has found something, or nothing.  True: another one is to
 * be woken for what is left. */
static bool note_find(struct ipc_pool *pool, struct ipc__worker *w,
                      uint32_t left)
{
    const uint32_t phase = load_relaxed(&w->phase);
    if (left == UINT32_MAX) {
        if (phase != IPC__WORKER_LOOKING) {
            set_phase(pool, w, IPC__WORKER_LOOKING);
            if (pool->asleep != 0)
                tell_submitters(pool);
        }
        return false;
    }
    if (phase == IPC__WORKER_AWAKE)
        return false;
    set_phase(pool, w, IPC__WORKER_AWAKE);
    if (pool->asleep == 0 || pool->looking != 0)
        return false;
    tell_submitters(pool);
    return left != 0;
}

int ipc__table_take(struct ipc_pool *pool, uint32_t worker, uint32_t *left)
{
    struct ipc__worker *w = &pool->workers[worker];
    uint32_t tail = 0;
    uint32_t n = 0;
    int rc = lock_get(pool);
    if (rc != 0)
        return rc;
    const uint32_t pending = count_pending(pool, &tail);
    if (pending != 0) {
        n = fair_share(pool, pending, IPC__CLAIMS);
        move_claims(pool, w, n);
    }
    *left = pending - n;
    const bool wakes = note_find(pool, w, pending != 0 ? *left : UINT32_MAX);
    unlock_get(pool);
    if (unlikely(wakes))
        ipc__futex_wake(&pool->tail, 1);
    return n != 0 ? (int)n : (tail & IPC__LINE_CLOSED) != 0 ? -EPIPE : -EAGAIN;
}

bool ipc__table_claim(struct ipc_future *future, uint32_t worker)
{
    const uint32_t runner = (worker + 1) << IPC__RUNNER_SHIFT;
    uint32_t word = load_relaxed(&future->state);
    while (ipc__future_state(word) == IPC__PENDING) {
        const uint32_t next =
            (word & IPC__FUTURE_FLAGS) | IPC__RUNNING | runner;
        if (likely(cas32_acquire(&future->state, word, next)))
            return true; /* [submit→run] */
        word = load_relaxed(&future->state);
    }
    return false;
}

/* ---- sleeping ---- */

/* With the guard. */
static bool fall_asleep(struct ipc_pool *pool, struct ipc__worker *w,
                        uint32_t *tail)
{
    *tail = load_acquire(&pool->tail);
    if (ipc__table_count(*tail) !=
            ipc__table_count(load_relaxed(&pool->head)) ||
        (*tail & IPC__LINE_CLOSED) != 0 || load_relaxed(&w->leave) != 0)
        return false;
    set_phase(pool, w, IPC__WORKER_ASLEEP);
    tell_submitters(pool);
    /* Who submits, or closes it, after this wakes us, or somebody looks. */
    const uint32_t now = load_relaxed(&pool->tail);
    if (((now ^ *tail) & ~IPC__LINE_SLEEPERS) != 0) {
        set_phase(pool, w, IPC__WORKER_LOOKING);
        tell_submitters(pool);
        return false;
    }
    *tail = now;
    return true;
}

int ipc__table_sleep(struct ipc_pool *pool, uint32_t worker,
                     ipc_deadline deadline)
{
    struct ipc__worker *w = &pool->workers[worker];
    struct ipc__pace pace = {0};
    uint32_t tail = load_relaxed(&pool->tail);
    if (ipc__table_count(tail) != ipc__table_count(load_relaxed(&pool->head)) ||
        ipc__spin(&pool->tail, tail) || ipc__yield(&pool->tail, tail))
        return 0;
    int rc = lock_get(pool);
    if (rc != 0)
        return rc;
    const bool sleeps = fall_asleep(pool, w, &tail);
    unlock_get(pool);
    if (!sleeps)
        return 0;
    (void)ipc__sleep(&pace, &pool->tail, tail, NULL, 0, deadline);
    rc = lock_get(pool);
    if (rc != 0)
        return rc;
    if ((int32_t)(load_relaxed(&pool->wakes) - pool->wakes_seen) > 0)
        store_relaxed(&pool->wakes_seen, pool->wakes_seen + 1);
    set_phase(pool, w, IPC__WORKER_LOOKING);
    tell_submitters(pool);
    unlock_get(pool);
    return ipc_time_left(deadline) <= 0 ? -ETIMEDOUT : 0;
}

/* With the guard: it counts no more. */
static void discount(struct ipc_pool *pool, struct ipc__worker *w)
{
    if (load_relaxed(&w->left) != 0)
        return;
    store_relaxed(&w->left, 1);
    store_relaxed(&pool->living, load_relaxed(&pool->living) - 1);
}

bool ipc__table_may_shrink(struct ipc_pool *pool, uint32_t worker)
{
    if (lock_get(pool) != 0)
        return false;
    const bool may = load_relaxed(&pool->living) > pool->min_workers &&
                     ipc__table_count(load_acquire(&pool->tail)) ==
                         ipc__table_count(load_relaxed(&pool->head));
    if (may) {
        store_relaxed(&pool->shrunk, 1);
        discount(pool, &pool->workers[worker]);
    }
    unlock_get(pool);
    return may;
}

void ipc__table_enter(struct ipc_pool *pool, uint32_t worker)
{
    struct ipc__worker *w = &pool->workers[worker];
    if (lock_get(pool) != 0)
        return;
    for (uint32_t i = 0; i < IPC__CLAIMS; i++)
        store_relaxed(&w->claims[i], 0);
    store_relaxed(&w->id, 0);
    store_relaxed(&w->running, 0);
    store_relaxed(&w->since, 0);
    store_relaxed(&w->due, 0);
    store_relaxed(&w->due_of, 0);
    store_relaxed(&w->ready, 0);
    store_relaxed(&w->done, 0);
    store_relaxed(&w->failed, 0);
    store_relaxed(&w->pid, 0);
    store_relaxed(&w->leave, 0);
    w->left = 0;
    store_relaxed(&w->phase, IPC__WORKER_STARTING);
    store_relaxed(&pool->living, load_relaxed(&pool->living) + 1);
    if (worker >= pool->workers_used)
        store_relaxed(&pool->workers_used, worker + 1);
    unlock_get(pool);
}

void ipc__table_look_away(struct ipc_pool *pool, uint32_t worker)
{
    uint32_t tail;
    if (lock_get(pool) != 0)
        return;
    set_phase(pool, &pool->workers[worker], IPC__WORKER_AWAKE);
    tell_submitters(pool);
    /* What came while it looked has woken nobody. */
    const bool wakes = pool->asleep != 0 && pool->looking == 0 &&
                       count_pending(pool, &tail) != 0;
    unlock_get(pool);
    if (wakes)
        ipc__futex_wake(&pool->tail, 1);
}

void ipc__table_leave(struct ipc_pool *pool, uint32_t worker)
{
    if (lock_get(pool) != 0)
        return;
    set_phase(pool, &pool->workers[worker], IPC__WORKER_LEAVING);
    tell_submitters(pool);
    discount(pool, &pool->workers[worker]);
    unlock_get(pool);
}

void ipc__table_bury_worker(struct ipc_pool *pool, uint32_t worker)
{
    struct ipc__worker *w = &pool->workers[worker];
    if (lock_get(pool) != 0)
        return;
    set_phase(pool, w, IPC__WORKER_NONE);
    tell_submitters(pool);
    discount(pool, w);
    /* It may have been on its way. */
    store_relaxed(&pool->wakes_seen, load_relaxed(&pool->wakes));
    unlock_get(pool);
    /* Its claims, and the wake-ups that it may have taken with it. */
    for (uint32_t i = 0; i < IPC__CLAIMS; i++) {
        const uint32_t claim = load_relaxed(&w->claims[i]);
        store_relaxed(&w->claims[i], 0);
        if (claim == 0 || claim > load_relaxed(&pool->made))
            continue;
        struct ipc_future *record = &pool->records[claim - 1];
        if (ipc__future_state(load_relaxed(&record->state)) == IPC__PENDING)
            ipc__table_put_again(pool, record);
    }
    ipc__futex_wake(&pool->tail, INT_MAX);
    ipc__futex_wake(&pool->head, INT_MAX);
}
