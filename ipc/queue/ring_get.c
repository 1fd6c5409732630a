/* Ring: those who get.  See ring.c. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "core/error.h"
#include "queue/ring.h"
#include "queue/users.h"
#include "wait/look.h"

struct getting {
    struct ipc__ring *ring;
    ipc_deadline deadline;
    struct ipc__pace pace;
    struct ipc__watch watch;
    struct ipc__seen found;
    const uint32_t *spin_on; /* what changes when there may be a message, */
    uint32_t spin_value;     /* from this */
    bool spun;
    bool slept;
    const struct ipc__look *look; /* it is ipc_wait() that asks, and waits */
};

/* ---- with the guard: looking for a message ---- */

/* Has anything been put behind this place? */
static bool is_behind(struct getting *g, uint64_t place)
{
    struct ipc_queue *queue = g->ring->queue;
    if (likely(ipc__place_count(place) != queue->get.tail_seen))
        return true;
    const uint32_t tail = load_acquire(&queue->tail); /* [put→get] */
    g->spin_on = &queue->tail;
    g->spin_value = tail;
    queue->get.tail_seen = ipc__queue_count(tail);
    return ipc__place_count(place) != queue->get.tail_seen;
}

/* Somebody is at it.  0: no more, look again; -EBUSY: look behind it; -EAGAIN:
 * nothing behind it may be had. */
static int look_at_busy(struct getting *g, struct ipc__seen *seen)
{
    const uint32_t low = (uint32_t)seen->mark;
    const uint32_t state = low & IPC__MARK_STATES;
    if (state != IPC__MARK_WRITING && state != IPC__MARK_PEEKING &&
        state != IPC__MARK_GETTING)
        return -EUCLEAN;
    if (ipc__record_owner_lives(seen, &g->watch)) {
        if (state != IPC__MARK_WRITING)
            return -EBUSY;
        ipc__watch_add(&g->watch, ipc__mark_futex(seen->record),
                       low | FUTEX_BIT_WAITERS);
        g->spin_on = ipc__mark_futex(seen->record);
        g->spin_value = low;
        return (g->ring->flags & IPC_QUEUE_RELAXED) != 0 ? -EBUSY : -EAGAIN;
    }
    const uint32_t next = state == IPC__MARK_WRITING   ? IPC__MARK_ABORTED
                          : state == IPC__MARK_PEEKING ? IPC__MARK_READY
                                                       : IPC__MARK_FREE;
    (void)ipc__mark_change(seen->record, seen->mark, next);
    return 0;
}

static bool is_before(const struct getting *g, uint64_t place, uint32_t count)
{
    return ipc__queue_ahead(count, ipc__place_count(place)) - 1 <
           g->ring->capacity;
}

/* Find the next message: 0 and g->found, -EAGAIN or -EUCLEAN.
 *
 * One that was passed over because it was being written may have been complete
 * before the one that was found was begun, by the same producer.  So then the
 * first one is looked for again, until nothing before it is complete. */
static int find_message(struct getting *g)
{
    struct ipc__queue_get *get = &g->ring->queue->get;
    uint64_t place = get->cursor;
    uint32_t found = ipc__place_count(place) + g->ring->capacity;
    uint32_t tries = 2 * g->ring->capacity + 1; /* only garbage takes more */
    bool settled = true;                        /* all before place */
    while (is_behind(g, place)) {
        struct ipc__seen *seen = &g->found;
        if (unlikely(!ipc__record_look(g->ring, &place, seen) || tries-- == 0))
            return -EUCLEAN;
        const uint32_t state = (uint32_t)seen->mark & IPC__MARK_STATES;
        if (likely(state == IPC__MARK_READY)) {
            if (settled)
                store_relaxed(&get->cursor, place);
            else if (is_before(g, place, found)) {
                found = ipc__place_count(place);
                place = get->cursor;
                tries = 2 * g->ring->capacity + 1;
                settled = true;
                continue;
            }
            return 0;
        }
        if (state != IPC__MARK_FREE && state != IPC__MARK_ABORTED) {
            const int rc = look_at_busy(g, seen);
            if (rc == 0)
                continue;
            if (rc != -EBUSY)
                return rc;
            settled = settled && state != IPC__MARK_WRITING;
        }
        place = seen->after;
        if (settled)
            store_relaxed(&get->cursor, place);
    }
    return -EAGAIN;
}

/* The message found is not to be found again. */
static void step_over(const struct getting *g)
{
    struct ipc__queue_get *get = &g->ring->queue->get;
    if (ipc__place_count(get->cursor) == ipc__place_count(g->found.place))
        store_relaxed(&get->cursor, g->found.after);
}

/* It is the caller's, in this state. */
static void claim(struct getting *g, uint32_t state)
{
    g->found.mark = ipc__self.id | state;
    store_release(&g->found.record->mark, g->found.mark);
    step_over(g);
}

/* Is it the first of all that are not free? */
static bool is_first(const struct getting *g)
{
    return ipc__place_count(g->ring->queue->get.at) ==
           ipc__place_count(g->found.place);
}

/* ---- waiting for a message ---- */

/* It is closed, and what is left is dropped. */
static bool is_dropped(const struct ipc_queue *queue)
{
    return (load_relaxed(&queue->head) & IPC__QUEUE_CLOSED) != 0 &&
           (load_relaxed(&queue->done) & IPC__QUEUE_IMMEDIATE) != 0;
}

static bool is_over(const struct getting *g)
{
    const struct ipc_queue *queue = g->ring->queue;
    const uint32_t tail = load_acquire(&queue->tail);
    if ((tail & IPC__QUEUE_CLOSED) == 0)
        return false;
    return (load_relaxed(&queue->done) & IPC__QUEUE_IMMEDIATE) != 0 ||
           ipc__queue_count(tail) == ipc__place_count(queue->get.cursor);
}

/* With the guard: those who end what is waited for are to wake us.  False: it
 * has ended. */
static bool ask_to_be_woken(const struct getting *g, uint32_t tail)
{
    uint32_t *word = &g->ring->queue->tail;
    if ((tail & IPC__QUEUE_SLEEPERS) == 0 &&
        !cas32_relaxed(word, tail, tail | IPC__QUEUE_SLEEPERS))
        return false;
    for (uint32_t i = 1; i < g->watch.count; i++) {
        const uint32_t value = g->watch.words[i].expected;
        if ((value & IPC__MARK_WRITING) == 0)
            continue; /* somebody's life */
        word = (uint32_t *)(uintptr_t)g->watch.words[i].word;
        if (load_relaxed(word) != value &&
            !cas32_relaxed(word, value & ~FUTEX_BIT_WAITERS, value))
            return false;
    }
    return true;
}

static void sleep_for_message(struct getting *g)
{
    (void)add_relaxed(&g->ring->queue->getters, 1);
    g->watch.thorough = ipc__queue_sleep(
        g->ring->queue, &g->pace, g->watch.words, g->watch.count, g->deadline);
    (void)add_relaxed(&g->ring->queue->getters, (uint32_t)-1);
    g->slept = true;
    g->spun = false;
}

/* With the guard: what woke us may have been meant for others too. */
static void end_get(const struct getting *g)
{
    struct ipc_queue *queue = g->ring->queue;
    if (unlikely(g->slept) && load_relaxed(&queue->getters) != 0) {
        const uint32_t tail = or_relaxed(&queue->tail, IPC__QUEUE_SLEEPERS);
        if (ipc__queue_count(tail) != ipc__place_count(queue->get.cursor))
            ipc__futex_wake(&queue->tail, 1);
    }
    ipc__ring_unlock_get(g->ring);
}

/* With the guard: there was no message.  Is memory to be given back? */
static bool is_idle(const struct getting *g, int64_t ns)
{
    struct ipc_queue *queue = g->ring->queue;
    return ipc__queue_count(load_relaxed(&queue->tail)) ==
               ipc__place_count(queue->get.at) &&
           ipc__queue_is_idle(queue, ns);
}

/* With the guard, which it gives up. */
static void rest(const struct getting *g)
{
    const bool idle = is_idle(g, ipc__recheck_ns);
    ipc__ring_unlock_get(g->ring);
    if (idle)
        ipc__ring_trim(g->ring);
}

/* The same: it ends with rc. */
static int give_up(const struct getting *g, int rc)
{
    const bool idle = is_idle(g, rc == -EPIPE ? 0 : ipc__recheck_ns);
    end_get(g);
    if (idle)
        ipc__ring_trim(g->ring);
    return ipc__queue_fail(g->ring->queue, rc,
                           rc == -EPIPE ? "is closed" : "is empty");
}

/* With the guard, which it gives up: there was no message.  Wait until it may
 * be worth a look.  0, or why not. */
static int wait_for_message(struct getting *g)
{
    struct ipc__ring *ring = g->ring;
    struct ipc_queue *queue = ring->queue;
    int rc = 0;
    if (is_over(g))
        rc = -EPIPE;
    else if (g->deadline == IPC_TIME_NOW)
        rc = -EAGAIN;
    else if (g->spun && ipc_time_left(g->deadline) == 0)
        rc = -ETIMEDOUT;
    if (rc != 0)
        return give_up(g, rc);
    if (g->look != NULL && !g->look->marks) {
        rest(g);
        return 1;
    }
    if (!g->spun) {
        g->spun = true;
        ipc__ring_unlock_get(ring);
        if (likely(g->spin_on != NULL))
            (void)ipc__spin(g->spin_on, g->spin_value);
        return 0;
    }
    const uint32_t tail = load_acquire(&queue->tail); /* [put→get] */
    g->watch.words[0] =
        (struct ipc__futex){&queue->tail, tail | IPC__QUEUE_SLEEPERS};
    if (ipc__queue_count(tail) != queue->get.tail_seen || is_over(g)) {
        /* Even if what is new lies behind one that is being written, and is
         * not looked at. */
        queue->get.tail_seen = ipc__queue_count(tail);
        ipc__ring_unlock_get(ring);
        return 0; /* look again */
    }
    if ((tail & IPC__QUEUE_CLOSED) != 0 &&
        (load_relaxed(&queue->head) & IPC__QUEUE_CLOSED) == 0) {
        ipc__ring_unlock_get(ring);
        return ipc__ring_finish_close(ring); /* those who put may not know */
    }
    const bool asked = ask_to_be_woken(g, tail);
    rest(g);
    if (asked && g->look != NULL)
        return 1;
    if (asked)
        sleep_for_message(g);
    return 0;
}

/* 0: with the guard, and a message found. */
static int begin_get(struct getting *g)
{
    struct ipc__ring *ring = g->ring;
    const struct ipc__queue_get *get = &ring->queue->get;
    for (;;) {
        int rc = ipc__ring_lock_get(ring);
        if (unlikely(rc != 0))
            return rc;
        g->watch.count = 1; /* the first will be the queue's own */
        if (unlikely(ipc__place_count(get->at) !=
                     ipc__place_count(get->cursor)))
            ipc__ring_sweep(ring, &g->watch);
        if (unlikely(is_dropped(ring->queue)))
            rc = is_over(g) ? -EAGAIN : -EUCLEAN;
        else
            rc = find_message(g);
        if (likely(rc == 0))
            return 0;
        if (rc == -EUCLEAN) {
            ipc__ring_unlock_get(ring);
            return ipc__queue_fail(ring->queue, rc, IPC__QUEUE_SPOILT);
        }
        rc = wait_for_message(g);
        if (rc != 0)
            return rc;
    }
}

int ipc__ring_look_for_message(struct ipc_queue *queue, struct ipc__look *look)
{
    struct ipc__ring ring;
    struct getting g = {.ring = &ring,
                        .deadline = IPC_TIME_FOREVER,
                        .watch = {.thorough = look->thorough},
                        .spun = true,
                        .look = look};
    int rc = ipc__ring_view(queue, &ring);
    if (rc == 0 && look->marks)
        (void)or_relaxed(&queue->getters, IPC__QUEUE_WATCHED);
    if (rc == 0)
        rc = begin_get(&g);
    if (rc == 0)
        ipc__ring_unlock_get(&ring);
    for (uint32_t i = 0; rc == 1 && look->marks && i < g.watch.count; i++)
        (i == 0 ? ipc__look_add : ipc__look_add_life)(
            look, g.watch.words[i].word, g.watch.words[i].expected);
    return rc < 0 ? rc : rc == 0;
}

/* ---- get ---- */

/* With the guard: the message found, the first of all, is no more. */
static void drop_first(const struct getting *g)
{
    store_relaxed(&g->ring->queue->get.cursor, g->found.after);
    ipc__ring_advance(g->ring, g->found.after, 0);
}

static void drop_short(struct getting *g)
{
    if (likely(is_first(g))) {
        drop_first(g);
    } else {
        step_over(g);
        store_release(&g->found.record->mark, (uint64_t)IPC__MARK_FREE);
        (void)ipc__ring_advance_all(g->ring);
    }
}

/* Without the guard: a message is there again, which tail has counted long
 * ago.  The mark goes, so that nobody falls asleep who has not seen it.  Only
 * those who put take it away. */
static void wake_one(struct ipc__ring *ring)
{
    uint32_t *tail = &ring->queue->tail;
    if (ipc__ring_lock_put(ring) != 0)
        return;
    if ((load_relaxed(tail) & IPC__QUEUE_SLEEPERS) != 0)
        (void)ipc__futex_change_and_wake(tail, IPC__FUTEX_ADD,
                                         -(int)IPC__QUEUE_SLEEPERS, 1);
    ipc__ring_unlock_put(ring);
}

/* Without the guard: done with a message that was claimed. */
static int finish(struct ipc__ring *ring, const struct ipc__seen *seen,
                  uint32_t to)
{
    const int rc = ipc__ring_lock_get(ring);
    if (rc != 0)
        return rc;
    struct ipc__queue_get *get = &ring->queue->get;
    const bool changed = ipc__mark_change(seen->record, seen->mark, to);
    if (to == IPC__MARK_READY) { /* it is there again */
        if (changed && ipc__queue_ahead(ipc__place_count(get->cursor),
                                        ipc__place_count(seen->place)) -
                               1 <
                           ring->capacity)
            store_relaxed(&get->cursor, seen->place);
    } else {
        (void)ipc__ring_advance_all(ring);
    }
    ipc__ring_unlock_get(ring);
    if (to == IPC__MARK_READY)
        wake_one(ring);
    return changed ? 0 : -EUCLEAN;
}

static int get_long(struct getting *g, void *buffer)
{
    claim(g, IPC__MARK_GETTING);
    end_get(g);
    memcpy(buffer, g->found.data, g->found.bytes);
    return finish(g->ring, &g->found, IPC__MARK_FREE);
}

/* ---- the usual: the next messages are short and complete, nobody has any in
 * his hands, and nobody sleeps ---- */

struct usual {
    uint64_t at;
    uint32_t head;
    uint32_t unit;
    uint32_t units;
    uint32_t there; /* messages, by what is known */
    char *base;
};

/* With the guard. */
static inline __attribute__((always_inline)) bool
begin_usual(struct ipc_queue *queue, struct usual *u)
{
    struct ipc__queue_get *get = &queue->get;
    u->at = load_relaxed(&get->at);
    const uint32_t count = ipc__place_count(u->at);
    u->head = load_relaxed(&queue->head);
    u->unit = ipc__place_unit(u->at);
    u->base = ipc__ring_units(queue, &u->units);
    if (unlikely(u->base == NULL || get->cursor != u->at ||
                 u->head != count * IPC__QUEUE_ONE))
        return false;
    if (count == get->tail_seen)
        get->tail_seen =
            ipc__queue_count(load_acquire(&queue->tail)); /* [put→get] */
    u->there = ipc__queue_ahead(get->tail_seen, count);
    return u->there != 0;
}

/* The message at a unit, if it is as usual; else NULL, also those in pages, and
 * the way back to unit 0.  *after: the unit behind it. */
static inline __attribute__((always_inline)) struct ipc__record *
usual_record(const struct usual *u, uint32_t unit, uint32_t *size,
             uint32_t *after)
{
    if (unlikely(unit >= u->units))
        return NULL;
    struct ipc__record *record = (void *)(u->base + (size_t)unit * IPC__UNIT);
    const uint32_t mark = (uint32_t)load_acquire(&record->mark);
    const uint32_t length = load_relaxed(&record->units);
    *size = load_relaxed(&record->bytes);
    *after = unit + length == u->units ? 0 : unit + length;
    return likely(mark == IPC__MARK_READY && length - 1 < u->units - unit &&
                  *size <= (length - 1) * IPC__UNIT && *size != 0)
               ? record
               : NULL;
}

/* With the guard: head counts n more, up to a place. */
static inline __attribute__((always_inline)) bool
advance_usual(struct ipc_queue *queue, uint32_t head, uint32_t n, uint64_t next)
{
    struct ipc__queue_get *get = &queue->get;
    get->aborted_next = get->aborted;
    get->next = next;
    compiler_barrier();
    if (unlikely(!cas32_release(&queue->head, head, head + n * IPC__QUEUE_ONE)))
        return false; /* [get→put] */
    compiler_barrier();
    get->at = next;
    return true;
}

/* With the guard: get as many as are as usual and fit. */
static inline __attribute__((always_inline)) uint32_t
get_usual(struct ipc_queue *queue, ipc_queue_item *items, size_t n)
{
    struct usual u;
    uint32_t done = 0;
    uint32_t after = 0;
    uint32_t size = 0;
    if (!begin_usual(queue, &u))
        return 0;
    while (done < n && done < u.there) {
        const struct ipc__record *record =
            usual_record(&u, u.unit, &size, &after);
        if (unlikely(record == NULL || size > items[done].room))
            break;
        __builtin_prefetch((const char *)record + 512);
        memcpy(items[done].data, record + 1, size);
        items[done].bytes = size;
        u.unit = after;
        done++;
    }
    const uint64_t next = ipc__place(ipc__place_count(u.at) + done, u.unit);
    if (unlikely(done == 0 || !advance_usual(queue, u.head, done, next)))
        return 0;
    store_relaxed(&queue->get.cursor, next);
    return done;
}

/* With the guard: the next message is the caller's, if it is as usual. */
static inline __attribute__((always_inline)) bool
peek_usual(struct ipc_queue *queue, ipc_message *message)
{
    struct usual u;
    uint32_t after = 0;
    uint32_t size = 0;
    if (!begin_usual(queue, &u))
        return false;
    struct ipc__record *record = usual_record(&u, u.unit, &size, &after);
    if (unlikely(record == NULL))
        return false;
    __builtin_prefetch((const char *)record + 512);
    store_release(&record->mark, ipc__self.id | IPC__MARK_PEEKING);
    store_relaxed(&queue->get.cursor,
                  ipc__place(ipc__place_count(u.at) + 1, after));
    *message = (ipc_message){
        .data = record + 1, .bytes = size, .token_ = {u.at, ipc__self.id}};
    return true;
}

/* With the guard: is what lies at the cursor, if anything does, still to be
 * got?  Otherwise it may be that it was aborted, and can be freed now. */
static inline bool is_next_usual(const struct ipc__queue_get *get,
                                 const char *base, uint32_t units)
{
    const uint64_t place = get->cursor;
    const uint32_t unit = ipc__place_unit(place);
    if (ipc__place_count(place) == get->tail_seen)
        return true; /* who aborts one that is not known yet frees it, too */
    const struct ipc__record *record =
        (const void *)(base + (size_t)unit * IPC__UNIT);
    return unit < units && load_relaxed(&record->units) != 0 &&
           (load_relaxed(&record->mark) &
            (IPC__MARK_FREE | IPC__MARK_ABORTED)) == 0;
}

/* With the guard: the message is free, if it is the only one that anybody has
 * in his hands. */
static inline __attribute__((always_inline)) bool
release_usual(struct ipc_queue *queue, const ipc_message *message)
{
    struct ipc__queue_get *get = &queue->get;
    uint32_t units;
    char *base = ipc__ring_units(queue, &units);
    const uint64_t at = get->at;
    const uint32_t unit = ipc__place_unit(at);
    const uint32_t count = ipc__place_count(at);
    const uint32_t head = load_relaxed(&queue->head);
    if (unlikely(base == NULL || unit >= units || message->token_[0] != at ||
                 message->token_[1] != ipc__self.id ||
                 ipc__queue_ahead(ipc__place_count(get->cursor), count) != 1 ||
                 head != count * IPC__QUEUE_ONE))
        return false;
    struct ipc__record *record = (void *)(base + (size_t)unit * IPC__UNIT);
    const uint64_t mine = ipc__self.id | IPC__MARK_PEEKING;
    if (unlikely(load_relaxed(&record->mark) != mine ||
                 !is_next_usual(get, base, units)))
        return false;
    store_release(&record->mark, (uint64_t)IPC__MARK_FREE); /* not twice */
    if (likely(advance_usual(queue, head, 1, get->cursor)))
        return true;
    store_relaxed(&record->mark, mine);
    return false;
}

/* Without the guard: nothing is there; wait a moment for it.  False: that is
 * not so simple, or was in vain.  *spun: it was tried. */
static bool await_usual(struct ipc_queue *queue, bool *spun)
{
    const uint32_t tail = load_relaxed(&queue->tail);
    if (*spun || tail != ipc__place_count(load_relaxed(&queue->get.cursor)) *
                             IPC__QUEUE_ONE)
        return false;
    *spun = true;
    return ipc__spin(&queue->tail, tail);
}

int ipc__ring_get(struct ipc_queue *queue, void *buffer, size_t room,
                  size_t *bytes, ipc_deadline deadline)
{
    bool spun = false;
    while (likely(ipc__guard_try(&queue->get.guard))) {
        ipc_queue_item item = {.data = buffer, .room = room};
        const uint32_t done = get_usual(queue, &item, 1);
        ipc__guard_unlock(&queue->get.guard);
        if (likely(done != 0)) {
            if (bytes != NULL)
                *bytes = item.bytes;
            return 0;
        }
        if (deadline == IPC_TIME_NOW || !await_usual(queue, &spun))
            break;
    }
    struct ipc__ring ring;
    struct getting g = {.ring = &ring, .deadline = deadline, .spun = spun};
    int rc = ipc__ring_view(queue, &ring);
    if (likely(rc == 0))
        rc = begin_get(&g);
    if (unlikely(rc != 0))
        return rc;
    if (bytes != NULL)
        *bytes = g.found.bytes;
    if (unlikely(g.found.bytes > room)) {
        end_get(&g);
        return ipc__queue_fail_size(queue, g.found.bytes, room,
                                    "but the buffer has");
    }
    if (g.found.pages != 0)
        return get_long(&g, buffer);
    if (g.found.bytes != 0)
        memcpy(buffer, g.found.data, g.found.bytes);
    drop_short(&g);
    end_get(&g);
    return 0;
}

/* With the guard and a first message: as many short ones as follow it and
 * fit. */
static size_t get_some(struct getting *g, ipc_queue_item *items, size_t n)
{
    enum {
        MOST = 256 /* that one system call can count */
    };
    size_t done = 0;
    uint64_t place = g->found.place;
    do {
        if (g->found.pages != 0 || g->found.bytes > items[done].room ||
            ((uint32_t)g->found.mark & IPC__MARK_STATES) != IPC__MARK_READY)
            break;
        if (g->found.bytes != 0)
            memcpy(items[done].data, g->found.data, g->found.bytes);
        items[done].bytes = g->found.bytes;
        place = g->found.after;
        if (++done == n || done == MOST)
            break;
    } while (is_behind(g, place) &&
             ipc__record_look(g->ring, &place, &g->found));
    if (done != 0) {
        store_relaxed(&g->ring->queue->get.cursor, place);
        ipc__ring_advance(g->ring, place, 0);
    }
    return done;
}

/* The same, with all that may have to be done for the first of them. */
static int get_more(struct ipc_queue *queue, ipc_queue_item *items, size_t n,
                    ipc_deadline deadline)
{
    struct ipc__ring ring;
    struct getting g = {.ring = &ring, .deadline = deadline};
    int rc = ipc__ring_view(queue, &ring);
    if (rc == 0)
        rc = begin_get(&g);
    if (rc != 0)
        return rc;
    size_t some = 0;
    if (is_first(&g) && g.found.pages == 0)
        some = get_some(&g, items, n);
    end_get(&g);
    if (some != 0)
        return (int)some;
    rc =
        ipc__ring_get(queue, items->data, items->room, &items->bytes, deadline);
    return rc == 0 ? 1 : rc;
}

static bool is_empty_now(const struct ipc_queue *queue)
{
    return ipc__queue_count(load_relaxed(&queue->tail)) ==
           ipc__place_count(load_relaxed(&queue->get.cursor));
}

int ipc__ring_getv(struct ipc_queue *queue, ipc_queue_item *items, size_t n,
                   ipc_deadline deadline)
{
    size_t done = 0;
    while (done < n && (done == 0 || !is_empty_now(queue))) {
        int rc = 0;
        if (likely(ipc__guard_try(&queue->get.guard))) {
            rc = (int)get_usual(queue, items + done, n - done);
            ipc__guard_unlock(&queue->get.guard);
        }
        if (rc == 0)
            rc = get_more(queue, items + done, n - done,
                          done == 0 ? deadline : IPC_TIME_NOW);
        if (rc < 0)
            return done != 0 ? (int)done : rc;
        done += (size_t)rc;
    }
    return (int)done;
}

/* ---- in place ---- */

int ipc__ring_peek(struct ipc_queue *queue, ipc_message *message,
                   ipc_deadline deadline)
{
    if (likely(ipc__guard_try(&queue->get.guard))) {
        const bool done = peek_usual(queue, message);
        ipc__guard_unlock(&queue->get.guard);
        if (likely(done))
            return 0;
    }
    struct ipc__ring ring;
    struct getting g = {.ring = &ring, .deadline = deadline};
    int rc = ipc__ring_view(queue, &ring);
    if (rc == 0)
        rc = begin_get(&g);
    if (rc != 0)
        return rc;
    claim(&g, IPC__MARK_PEEKING);
    end_get(&g);
    *message = (ipc_message){.data = g.found.data,
                             .bytes = g.found.bytes,
                             .token_ = {g.found.place, ipc__self.id}};
    return 0;
}

int ipc__ring_release(struct ipc_queue *queue, ipc_message *message, bool keep)
{
    if (likely(!keep && ipc__guard_try(&queue->get.guard))) {
        const bool done = release_usual(queue, message);
        ipc__guard_unlock(&queue->get.guard);
        if (likely(done)) {
            *message = (ipc_message){0};
            return 0;
        }
    }
    struct ipc__ring ring;
    struct ipc__seen seen;
    int rc = ipc__ring_view(queue, &ring);
    if (rc != 0)
        return rc;
    uint64_t place = message->token_[0];
    if (message->token_[1] != ipc__self.id ||
        !ipc__record_look(&ring, &place, &seen) ||
        seen.mark != (ipc__self.id | IPC__MARK_PEEKING))
        return ipc__queue_fail(queue, -EINVAL,
                               "has no such peek of this thread");
    rc = finish(&ring, &seen, keep ? IPC__MARK_READY : IPC__MARK_FREE);
    if (rc != 0)
        return ipc__queue_fail(queue, rc, IPC__QUEUE_SPOILT);
    *message = (ipc_message){0};
    return 0;
}
