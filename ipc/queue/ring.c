/* Ring: what lies where; both guards' recovery; what the dead leave.
 *
 * Messages lie one behind the other in units of 16 bytes, each behind a record
 * that says how long it is.  Where the units end, or the next record does not
 * fit before it, the ring begins again at unit 0.  Those longer than 1 KiB lie
 * in pages of the queue, and only say where.
 *
 * Two sides, two guards: those who put write at `put.at`, those who get read
 * at `get.cursor`.  They share nothing but the records and two counts, tail
 * and head, each written by one side and looked at by the other when it has
 * come to the end of what it knew.
 *
 * State
 *   tail       messages ever put; SLEEPERS set by who sleeps on it, CLOSED
 *              under the guard of put; the count by who puts, under it
 *   head       messages ever freed; the same with the guard of get
 *   put.at, next, freed, used   under the guard of put
 *   get.at, next, cursor, aborted, tail_seen   under the guard of get
 *   record     between put.freed and put.at; but for the mark it is not
 *              written any more when tail has counted it
 *   mark       READY    → GETTING, PEEKING | tid, or FREE: under get's guard
 *              WRITING | tid → READY or ABORTED by that thread; ABORTED under
 *                       get's guard by others once it is dead
 *              GETTING | tid → FREE by that thread, or by others once it is
 *                       dead; PEEKING the same, but it becomes READY again
 *              WAITERS is set by who waits for WRITING to end
 *   pages      taken by records between put.freed and put.at; put's guard
 *
 * Invariants
 *   1  records from get.at to put.at are whole, and those who put touch nothing
 *      from put.freed on, which is never ahead of head;
 *   2  at says where the message lies that tail (head) counts next.  It lags
 *      behind for a moment, in which next says it;
 *   3  from get.at to get.cursor nothing is READY, nor WRITING in a strict
 *      queue;
 *   4  put.at is put.freed only if there is nothing between.
 *   5  get.tail_seen is never behind get.cursor, nor ahead of tail.
 *
 * Order
 *   [put→get]  what a message consists of is seen by who gets it: the change
 *   of tail, or of its mark to READY, a release, against loads with acquire;
 *   [get→put]  its room is written again only after it was read: the change of
 *   head, or of the mark to FREE, against loads with acquire.
 *
 * Death
 *   of who puts        a short message is there when tail counts it, and not
 *                      before; a long one when its mark is READY.  tail changes
 *                      by one CAS, or one system call that wakes a sleeper too.
 *                      In between the mark names the dead one: it is ABORTED
 *                      by who comes to it;
 *   of who gets        a short message is gone when head counts it, not before;
 *                      the same way.  Others: the mark says whose it was;
 *   under a guard      recovery takes at or next, whichever agrees with the
 *                      count, and derives the rest. */
#include "queue/ring.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "core/error.h"
#include "wait/look.h"

_Static_assert(sizeof(struct ipc__record) == IPC__UNIT, "record layout");
_Static_assert(sizeof(struct ipc__spill) == IPC__UNIT, "spill layout");
_Static_assert(IPC__MARK_STATES < FUTEX_BIT_OWNER_DIED, "states");

/* ---- what lies where ---- */

static size_t align_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

#define HEAD_BYTES align_up(sizeof(struct ipc_queue), IPC__QUEUE_LINE)

/* The head, the bits of the pages, the units, and the pages, aligned. */
static size_t bytes_before_units(uint32_t pages)
{
    return HEAD_BYTES + align_up(ipc__pages_bits(pages), IPC__QUEUE_LINE);
}

static size_t bytes_before_pages(uint32_t units, uint32_t pages)
{
    return bytes_before_units(pages) + (size_t)units * IPC__UNIT;
}

static size_t bytes_in_all(uint32_t units, uint32_t pages)
{
    return bytes_before_pages(units, pages) +
           (pages == 0 ? 0 : ((size_t)pages + 1) * IPC__PAGE);
}

void ipc__ring_plan(struct ipc_queue *facts)
{
    /* Room for as many messages as there may be, whether they are short, or
     * long and only say where they lie; but no more than all bytes take. */
    const uint64_t most = IPC__INLINE_MAX / IPC__UNIT + 1;
    const uint64_t bytes = facts->bytes / IPC__UNIT + 1;
    uint64_t units = facts->capacity * most;
    if (units > bytes + 2 * (uint64_t)facts->capacity)
        units = bytes + 2 * (uint64_t)facts->capacity;
    facts->units = (uint32_t)(units + 2 * most);

    const uint64_t spilled = facts->bytes / (IPC__INLINE_MAX + 1);
    facts->pages =
        facts->bytes <= IPC__INLINE_MAX
            ? 0
            : (uint32_t)(facts->bytes / IPC__PAGE + 1 +
                         (spilled < facts->capacity ? spilled
                                                    : facts->capacity));
    facts->units_at = (uint32_t)bytes_before_units(facts->pages);
}

size_t ipc__ring_present(const struct ipc_queue *facts)
{
    return bytes_before_units(facts->pages);
}

size_t ipc__ring_bytes(const struct ipc_queue *facts)
{
    return bytes_in_all(facts->units, facts->pages);
}

int ipc__ring_view(struct ipc_queue *queue, struct ipc__ring *ring)
{
    if (unlikely(!ipc__self_is_ready(queue))) {
        const int rc = ipc__self_register(queue);
        if (rc != 0)
            return rc;
    }
    const uint32_t units = load_relaxed(&queue->units);
    const uint32_t pages = load_relaxed(&queue->pages);
    const uint64_t bytes = load_relaxed(&queue->bytes);
    ring->queue = queue;
    ring->base = (char *)queue + bytes_before_units(pages);
    ring->units = units;
    ring->capacity = load_relaxed(&queue->capacity);
    ring->room = bytes / IPC__UNIT + (bytes % IPC__UNIT != 0);
    ring->flags = load_relaxed(&queue->flags);
    ring->pages.taken = (uint64_t *)(void *)((char *)queue + HEAD_BYTES);
    ring->pages.memory = (char *)align_up(
        (uintptr_t)queue + bytes_before_pages(units, pages), IPC__PAGE);
    ring->pages.count = pages;
    ring->pages.present = &queue->put.pages_present;
    if (unlikely(load_relaxed(&queue->kind) != IPC__QUEUE_RING || units == 0 ||
                 load_relaxed(&queue->units_at) != bytes_before_units(pages) ||
                 ring->capacity > IPC_QUEUE_CAPACITY_MAX ||
                 ring->capacity > units || /* bounds what loops over them */
                 (uintptr_t)queue - ipc__self.lo + bytes_in_all(units, pages) >
                     ipc__self.span))
        return ipc__fail(-EUCLEAN, "this is no queue");
    return 0;
}

/* ---- records ---- */

static uint32_t behind(const struct ipc__ring *ring, uint32_t unit,
                       uint32_t units)
{
    return unit + units == ring->units ? 0 : unit + units;
}

static bool look_at_spill(const struct ipc__ring *ring, struct ipc__seen *seen)
{
    const struct ipc__spill *spill = ipc__spill_of(seen->record);
    seen->page = load_relaxed(&spill->page);
    seen->pages = load_relaxed(&spill->pages);
    seen->units = load_relaxed(&spill->units);
    if (!ipc__pages_hold(&ring->pages, seen->page, seen->pages) ||
        seen->bytes > seen->pages * IPC__PAGE ||
        seen->units > seen->pages * (IPC__PAGE / IPC__UNIT))
        return false;
    seen->data = ring->pages.memory + seen->page * IPC__PAGE;
    return true;
}

bool ipc__record_look(const struct ipc__ring *ring, uint64_t *place,
                      struct ipc__seen *out)
{
    uint32_t unit = ipc__place_unit(*place);
    if (unlikely(unit >= ring->units))
        return false;
    out->record = ipc__record_at(ring, unit);
    uint32_t units = load_relaxed(&out->record->units);
    if (units == 0) { /* there was no room before the end */
        unit = 0;
        *place = ipc__place(ipc__place_count(*place), 0);
        out->record = ipc__record_at(ring, 0);
        units = load_relaxed(&out->record->units);
    }
    const bool spilled = (units & IPC__SPILLED) != 0;
    units &= ~IPC__SPILLED;
    out->mark = load_acquire(&out->record->mark); /* [put→get] [get→put] */
    out->bytes = load_relaxed(&out->record->bytes); /* commit may lower it */
    if (unlikely(units == 0 || units > ring->units - unit))
        return false;
    out->place = *place;
    out->after =
        ipc__place(ipc__place_count(*place) + 1, behind(ring, unit, units));
    if (spilled)
        return units == 2 && look_at_spill(ring, out);
    out->data = (char *)(out->record + 1);
    out->units = units - 1;
    out->pages = 0;
    return out->bytes <= (size_t)(units - 1) * IPC__UNIT;
}

bool ipc__mark_change(struct ipc__record *record, uint64_t from, uint32_t to)
{
    const uint64_t plain = from & ~(uint64_t)FUTEX_BIT_WAITERS;
    if (cas64_release(&record->mark, plain, to))
        return true; /* [put→get] [get→put] */
    if (load_relaxed(&record->mark) != (plain | FUTEX_BIT_WAITERS))
        return false;
    return ipc__futex_change_and_wake(ipc__mark_futex(record),
                                      IPC__FUTEX_SET_BIT, __builtin_ctz(to),
                                      INT_MAX) >= 0;
}

/* ---- recovery ---- */

/* Which of two places a count stands for; the second one if neither does. */
static uint64_t place_for(uint32_t word, uint64_t at, uint64_t next)
{
    return ipc__place_count(at) == ipc__queue_count(word) ? at : next;
}

static void close_word(uint32_t *word)
{
    /* The first change tells those who sleep on it, and those about to. */
    (void)ipc__futex_change_and_wake(word, IPC__FUTEX_OR, IPC__QUEUE_CLOSED,
                                     INT_MAX);
}

static void recover_put(void *arg)
{
    struct ipc__ring *ring = arg;
    struct ipc__queue_put *put = &ring->queue->put;
    if ((load_relaxed(&ring->queue->done) & IPC__QUEUE_IMMEDIATE) != 0 &&
        (load_relaxed(&ring->queue->tail) & IPC__QUEUE_CLOSED) == 0)
        close_word(&ring->queue->tail);
    put->at = place_for(load_relaxed(&ring->queue->tail), put->at, put->next);
    put->used = 0;
    ipc__pages_clear(&ring->pages);
    uint64_t place = put->freed;
    struct ipc__seen seen;
    uint32_t n =
        ipc__queue_ahead(ipc__place_count(put->at), ipc__place_count(place));
    for (; n != 0 && n <= ring->capacity; n--) {
        if (!ipc__record_look(ring, &place, &seen))
            return; /* its next reader says so */
        put->used += seen.units;
        if (seen.pages != 0)
            ipc__pages_mark(&ring->pages, seen.page, seen.pages);
        place = seen.after;
    }
}

static void recover_get(void *arg)
{
    struct ipc__ring *ring = arg;
    struct ipc__queue_get *get = &ring->queue->get;
    const uint32_t head = load_relaxed(&ring->queue->head);
    if (place_for(head, get->at, get->next) != get->at) {
        store_relaxed(&get->aborted, get->aborted_next);
        compiler_barrier(); /* if we die here it is taken over once more */
        get->at = get->next;
    }
    store_relaxed(&get->cursor, get->at);
    get->tail_seen = ipc__queue_count(load_acquire(&ring->queue->tail));
}

int ipc__ring_lock_put(struct ipc__ring *ring)
{
    const int rc = ipc__guard_lock(&ring->queue->put.guard, recover_put, ring);
    return rc == -EUCLEAN ? ipc__fail(rc, "this is no queue") : rc;
}

int ipc__ring_lock_get(struct ipc__ring *ring)
{
    const int rc = ipc__guard_lock(&ring->queue->get.guard, recover_get, ring);
    return rc == -EUCLEAN ? ipc__fail(rc, "this is no queue") : rc;
}

/* ---- freeing what is at the front ---- */

/* A system call adds no more than this at a time. */
#define MOST_AT_ONCE 256u

void ipc__ring_advance(const struct ipc__ring *ring, uint64_t place,
                       uint32_t aborted)
{
    struct ipc_queue *queue = ring->queue;
    struct ipc__queue_get *get = &queue->get;
    const uint32_t n =
        ipc__queue_ahead(ipc__place_count(place), ipc__place_count(get->at));
    get->aborted_next = get->aborted + aborted;
    get->next = place;
    compiler_barrier();
    for (;;) {
        const uint32_t head = load_relaxed(&queue->head);
        if ((head & IPC__QUEUE_SLEEPERS) != 0) {
            (void)ipc__futex_change_and_wake(
                &queue->head, IPC__FUTEX_ADD,
                (int)(n * IPC__QUEUE_ONE - IPC__QUEUE_SLEEPERS), (int)n);
            break; /* [get→put] */
        }
        if (cas32_release(&queue->head, head, head + n * IPC__QUEUE_ONE))
            break; /* [get→put] */
    }
    compiler_barrier();
    store_relaxed(&get->aborted, get->aborted_next);
    compiler_barrier();
    get->at = place;
}

bool ipc__ring_advance_all(const struct ipc__ring *ring)
{
    struct ipc__queue_get *get = &ring->queue->get;
    uint64_t place = get->at;
    uint32_t n = 0;
    uint32_t aborted = 0;
    struct ipc__seen seen;
    const uint32_t most =
        ipc__queue_ahead(get->tail_seen, ipc__place_count(place));
    if (most > ring->capacity)
        return false; /* garbage */
    while (n < most && n < MOST_AT_ONCE) {
        if (!ipc__record_look(ring, &place, &seen))
            return false;
        const uint32_t state = (uint32_t)seen.mark & IPC__MARK_STATES;
        if (state != IPC__MARK_FREE && state != IPC__MARK_ABORTED)
            break;
        aborted += state == IPC__MARK_ABORTED;
        if (ipc__place_count(get->cursor) == ipc__place_count(place))
            store_relaxed(&get->cursor, seen.after);
        place = seen.after;
        n++;
    }
    if (n != 0)
        ipc__ring_advance(ring, place, aborted);
    if (aborted != 0)
        ipc__queue_tell_joiners(ring->queue);
    return n == MOST_AT_ONCE;
}

/* ---- the dead ---- */

void ipc__watch_add(struct ipc__watch *watch, const uint32_t *word,
                    uint32_t value)
{
    if (word != NULL && watch->count < IPC__RING_WATCHED)
        watch->words[watch->count++] = (struct ipc__futex){word, value};
}

bool ipc__record_owner_lives(const struct ipc__seen *seen,
                             struct ipc__watch *watch)
{
    struct ipc__peer peer;
    ipc__peer_look(seen->record,
                   seen->mark & IPC__OWNER_MASK & ~(uint64_t)IPC__MARK_STATES,
                   watch->thorough, &peer);
    if (!peer.dead)
        ipc__watch_add(watch, peer.life, peer.life_if_alive);
    return !peer.dead;
}

/* Who was at it may be dead.  False: nothing behind it can be freed for now. */
static bool sweep_one(struct ipc__ring *ring, const struct ipc__seen *seen,
                      struct ipc__watch *watch)
{
    struct ipc__queue_get *get = &ring->queue->get;
    const bool before = ipc__queue_ahead(ipc__place_count(get->cursor),
                                         ipc__place_count(seen->place)) -
                            1 <
                        ring->capacity;
    const uint32_t state = (uint32_t)seen->mark & IPC__MARK_STATES;
    bool there = false;
    switch (state) {
    case IPC__MARK_GETTING:
    case IPC__MARK_PEEKING:
        if (ipc__record_owner_lives(seen, watch))
            return before;
        (void)ipc__mark_change(seen->record, seen->mark,
                               state == IPC__MARK_PEEKING ? IPC__MARK_READY
                                                          : IPC__MARK_FREE);
        there = state == IPC__MARK_PEEKING; /* again */
        break;
    case IPC__MARK_WRITING:
        if (ipc__record_owner_lives(seen, watch))
            return before;
        /* Unless he completed it before he died, but after it was looked at. */
        there = !ipc__mark_change(seen->record, seen->mark, IPC__MARK_ABORTED);
        break;
    case IPC__MARK_FREE:
    case IPC__MARK_ABORTED:
        break;
    default: /* READY */
        return before;
    }
    if (there) {
        if (before)
            store_relaxed(&get->cursor, seen->place);
        return false;
    }
    if (ipc__place_count(get->cursor) == ipc__place_count(seen->place))
        store_relaxed(&get->cursor, seen->after);
    return true;
}

void ipc__ring_sweep(struct ipc__ring *ring, struct ipc__watch *watch)
{
    struct ipc__queue_get *get = &ring->queue->get;
    const uint32_t tail = ipc__queue_count(load_acquire(&ring->queue->tail));
    get->tail_seen = tail; /* the cursor may go beyond what it was */
    uint64_t place = get->at;
    uint32_t n = ipc__queue_ahead(tail, ipc__place_count(place));
    struct ipc__seen seen;
    for (; n != 0 && n <= ring->capacity; n--) {
        if (!ipc__record_look(ring, &place, &seen) ||
            !sweep_one(ring, &seen, watch))
            break;
        place = seen.after;
    }
    while (ipc__ring_advance_all(ring))
        ;
    /* Room for who is writing the next message, and for his message. */
    if (watch->count > IPC__RING_WATCHED - 2)
        watch->count = IPC__RING_WATCHED - 2;
}

/* ---- closing ---- */

/* tail says so: then let head say so too, which whoever did the first may not
 * have lived to do. */
int ipc__ring_finish_close(struct ipc__ring *ring)
{
    struct ipc_queue *queue = ring->queue;
    const int rc = ipc__ring_lock_get(ring);
    if (rc != 0)
        return rc;
    if ((load_relaxed(&queue->head) & IPC__QUEUE_CLOSED) == 0)
        close_word(&queue->head);
    ipc__ring_unlock_get(ring);
    return 0;
}

int ipc__ring_close(struct ipc_queue *queue, bool immediate)
{
    struct ipc__ring ring;
    int rc = ipc__ring_view(queue, &ring);
    if (rc == 0)
        rc = ipc__ring_lock_put(&ring);
    if (rc != 0)
        return rc;
    if (immediate) /* recovery makes the rest follow */
        (void)ipc__futex_change_and_wake(&queue->done, IPC__FUTEX_OR,
                                         IPC__QUEUE_IMMEDIATE, INT_MAX);
    close_word(&queue->tail);
    ipc__ring_unlock_put(&ring);
    rc = ipc__ring_finish_close(&ring);
    ipc__ring_trim(&ring);
    return rc;
}

/* With the guard: does anybody alive have a message in his hands? */
static bool is_any_held(const struct ipc__ring *ring)
{
    struct ipc__watch watch = {.thorough = true};
    const struct ipc_queue *queue = ring->queue;
    uint64_t place = queue->get.at;
    uint32_t n = ipc__queue_ahead(ipc__queue_count(load_acquire(&queue->tail)),
                                  ipc__place_count(place));
    struct ipc__seen seen;
    for (; n != 0 && n <= ring->capacity; n--) {
        if (!ipc__record_look(ring, &place, &seen))
            break;
        const uint32_t state = (uint32_t)seen.mark & IPC__MARK_STATES;
        if ((state == IPC__MARK_WRITING || state == IPC__MARK_GETTING ||
             state == IPC__MARK_PEEKING) &&
            ipc__record_owner_lives(&seen, &watch))
            return true;
        place = seen.after;
    }
    return false;
}

static bool has_sleepers(uint32_t *word)
{
    return ipc__futex_sleepers(word, load_relaxed(word)) > 0;
}

int ipc__ring_fini(struct ipc_queue *queue)
{
    struct ipc__ring ring;
    int rc = ipc__ring_view(queue, &ring);
    if (rc == 0)
        rc = ipc__ring_lock_get(&ring);
    if (rc != 0)
        return rc;
    const bool held = is_any_held(&ring);
    ipc__ring_unlock_get(&ring);
    const bool busy = held || has_sleepers(&queue->tail) ||
                      has_sleepers(&queue->head) || has_sleepers(&queue->done);
    return busy ? ipc__queue_fail(queue, -EBUSY, "is in use") : 0;
}

/* ---- the whole ---- */

/* Messages that never were need not be done. */
static void look_for_aborted(ipc_queue *queue, bool thorough)
{
    struct ipc__ring ring;
    struct ipc__watch watch = {.thorough = thorough};
    if (ipc__ring_view(queue, &ring) != 0 || ipc__ring_lock_get(&ring) != 0)
        return;
    ipc__ring_sweep(&ring, &watch);
    ipc__ring_unlock_get(&ring);
}

static bool is_next_aborted(ipc_queue *queue)
{
    struct ipc__ring ring;
    struct ipc__seen seen;
    uint64_t place = load_relaxed(&queue->get.cursor);
    return ipc__queue_count(load_acquire(&queue->tail)) !=
               ipc__place_count(place) &&
           ipc__ring_view(queue, &ring) == 0 &&
           ipc__record_look(&ring, &place, &seen) &&
           ((uint32_t)seen.mark & IPC__MARK_STATES) == IPC__MARK_ABORTED;
}

static int task_done(ipc_queue *queue)
{
    const int rc = ipc__queue_task_done(queue);
    if (unlikely((load_relaxed(&queue->done) & IPC__QUEUE_SLEEPERS) != 0) &&
        is_next_aborted(queue)) /* he who joins may wait for nothing else */
        look_for_aborted(queue, false);
    return rc;
}

static int join(ipc_queue *queue, ipc_deadline deadline)
{
    return ipc__queue_join_looking(queue, deadline, look_for_aborted);
}

static size_t size(ipc_queue *queue)
{
    const uint32_t cursor = ipc__place_count(load_relaxed(&queue->get.cursor));
    const uint32_t tail = ipc__queue_count(load_acquire(&queue->tail));
    const uint32_t n = ipc__queue_ahead(tail, cursor);
    const bool dropped =
        (load_relaxed(&queue->done) & IPC__QUEUE_IMMEDIATE) != 0;
    return !dropped && n <= load_relaxed(&queue->capacity) ? n : 0;
}

static bool is_full(ipc_queue *queue)
{
    const uint32_t tail = ipc__queue_count(load_acquire(&queue->tail));
    const uint32_t head = ipc__queue_count(load_relaxed(&queue->head));
    return ipc__queue_ahead(tail, head) >= load_relaxed(&queue->capacity);
}

static int put_any(ipc_queue *queue, const void *data, size_t bytes,
                   uint32_t priority, ipc_deadline deadline)
{
    (void)priority;
    return ipc__ring_put(queue, data, bytes, deadline);
}

static int look_at(ipc_queue *queue, struct ipc__look *look)
{
    return look->item->what == IPC_WAIT_FOR_ROOM
               ? ipc__ring_look_for_room(queue, look)
               : ipc__ring_look_for_message(queue, look);
}

const struct ipc__queue_ops ipc__ring_ops = {
    .put = put_any,
    .putv = ipc__ring_putv,
    .reserve = ipc__ring_reserve,
    .commit = ipc__ring_commit,
    .get = ipc__ring_get,
    .getv = ipc__ring_getv,
    .peek = ipc__ring_peek,
    .release = ipc__ring_release,
    .take = ipc__queue_no_take,
    .settle = ipc__queue_no_settle,
    .dead = ipc__queue_no_dead,
    .take_dead = ipc__queue_no_take_dead,
    .size = size,
    .full = is_full,
    .task_done = task_done,
    .join = join,
    .close = ipc__ring_close,
    .fini = ipc__ring_fini,
    .look = look_at,
};
