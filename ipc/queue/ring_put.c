/* Ring: those who put.  See ring.c. */
#include <errno.h>
#include <string.h>

#include "core/error.h"
#include "kernel/memory.h"
#include "queue/ring.h"
#include "queue/users.h"
#include "wait/look.h"

/* What is to be put. */
struct want {
    uint32_t bytes;
    uint32_t message; /* units of it */
    uint32_t units;   /* of its record */
    uint32_t pages;   /* 0: it lies in the record */
};

static void want_room(struct want *w, size_t bytes)
{
    w->bytes = (uint32_t)bytes;
    w->message = (uint32_t)((bytes + IPC__UNIT - 1) / IPC__UNIT);
    if (bytes <= IPC__INLINE_MAX) {
        w->units = 1 + w->message;
        w->pages = 0;
    } else {
        w->units = 2;
        w->pages = (uint32_t)((bytes + IPC__PAGE - 1) / IPC__PAGE);
    }
}

/* ---- with the guard ---- */

/* Where a record of so many units may begin, behind place; ring->units:
 * nowhere. */
static uint32_t find_unit(const struct ipc__ring *ring, uint64_t place,
                          uint32_t units)
{
    const uint32_t at = ipc__place_unit(place);
    const uint32_t freed =
        ipc__place_unit(load_relaxed(&ring->queue->put.freed));
    if (unlikely(at >= ring->units || freed >= ring->units))
        return ring->units;
    if (at < freed)
        return units < freed - at ? at : ring->units;
    if (units < ring->units - at || (units == ring->units - at && freed != 0))
        return at;
    return units < freed ? 0 : ring->units;
}

/* Memory for the units from unit on up to end. */
static int have_units(const struct ipc__ring *ring, uint32_t unit, uint32_t end)
{
    enum {
        PIECE = 16384 /* 256 KiB */
    };
    uint32_t *present = &ring->queue->put.units_present;
    if (unlikely(unit < ring->queue->put.units_gone)) { /* we began again */
        *present = 0;
        ring->queue->put.units_gone = 0;
    }
    const uint32_t begin = load_relaxed(present);
    if (likely(end <= begin))
        return 0;
    uint32_t upto = (end + PIECE - 1) / PIECE * PIECE;
    upto = upto < ring->units ? upto : ring->units;
    const uintptr_t from =
        (uintptr_t)ipc__record_at(ring, begin) & ~(uintptr_t)(IPC__PAGE - 1);
    const uintptr_t to = (uintptr_t)ipc__record_at(ring, upto);
    const int rc = ipc__memory_populate((void *)from, to - from);
    if (rc == 0)
        *present = upto;
    return rc;
}

/* Give back the memory of units before this one. */
static void trim_units_before(const struct ipc__ring *ring, uint32_t unit)
{
    uint32_t *gone = &ring->queue->put.units_gone;
    const uintptr_t from = round_up((uintptr_t)ring->base, IPC__PAGE);
    const uintptr_t to =
        (uintptr_t)ipc__record_at(ring, unit) & ~(uintptr_t)(IPC__PAGE - 1);
    if (unit > ring->units || *gone >= unit || from >= to)
        return;
    *gone = unit;
    compiler_barrier(); /* first: it is only believed to be less */
    ipc__memory_release((void *)from, to - from, 0);
}

/* Give back the memory of units behind this one. */
static void trim_units_behind(const struct ipc__ring *ring, uint32_t end)
{
    uint32_t *present = &ring->queue->put.units_present;
    const uint32_t upto = load_relaxed(present);
    const uintptr_t from =
        round_up((uintptr_t)ipc__record_at(ring, end), IPC__PAGE);
    const uintptr_t to =
        (uintptr_t)ipc__record_at(ring, upto) & ~(uintptr_t)(IPC__PAGE - 1);
    if (upto > ring->units || from >= to)
        return;
    *present = (uint32_t)((from - (uintptr_t)ring->base) / IPC__UNIT);
    compiler_barrier(); /* first: it is only believed to be less */
    ipc__memory_release((void *)from, to - from, 0);
}

/* Room for it, if there is any by what is known: where it begins. */
static int find_room(const struct ipc__ring *ring, uint64_t place,
                     const struct want *w, uint32_t *unit, uint32_t *page)
{
    const struct ipc__queue_put *put = &ring->queue->put;
    const uint32_t n =
        ipc__queue_ahead(ipc__place_count(place), ipc__place_count(put->freed));
    *unit = find_unit(ring, place, w->units);
    if (n >= ring->capacity || put->used + w->message > ring->room ||
        *unit == ring->units)
        return -EAGAIN;
    const uint32_t at = ipc__place_unit(place);
    /* If it begins again, that is said here. */
    int rc = *unit != at ? have_units(ring, at, at + 1) : 0;
    if (rc == 0)
        rc = have_units(ring, *unit, *unit + w->units);
    if (rc != 0 || w->pages == 0)
        return rc;
    return ipc__pages_take(&ring->pages, w->pages, page);
}

/* What has been freed since is room.  -EAGAIN: nothing has. */
static int free_room(struct ipc__ring *ring)
{
    struct ipc__queue_put *put = &ring->queue->put;
    const uint32_t head =
        ipc__queue_count(load_acquire(&ring->queue->head)); /* [get→put] */
    uint64_t place = put->freed;
    uint32_t n = ipc__queue_ahead(head, ipc__place_count(place));
    struct ipc__seen seen;
    if (n == 0)
        return -EAGAIN;
    if (n > ring->capacity || n > ipc__queue_ahead(ipc__place_count(put->at),
                                                   ipc__place_count(place)))
        return -EUCLEAN;
    uint64_t used = put->used;
    for (; n != 0; n--) {
        if (!ipc__record_look(ring, &place, &seen))
            return -EUCLEAN;
        used -= seen.units;
        if (seen.pages != 0)
            ipc__pages_free(&ring->pages, seen.page, seen.pages);
        place = seen.after;
    }
    put->used = used;
    put->freed = place;
    return 0;
}

/* At a place, for which room was found at unit.  *place: behind it. */
static struct ipc__record *write_record(const struct ipc__ring *ring,
                                        uint64_t *place, const struct want *w,
                                        uint32_t unit, uint32_t page,
                                        uint64_t mark)
{
    const uint32_t at = ipc__place_unit(*place);
    if (unit != at)
        store_relaxed(&ipc__record_at(ring, at)->units, 0u);
    struct ipc__record *record = ipc__record_at(ring, unit);
    store_relaxed(&record->mark, mark);
    store_relaxed(&record->bytes, w->bytes);
    store_relaxed(&record->units,
                  w->units | (w->pages != 0 ? IPC__SPILLED : 0));
    if (w->pages != 0) {
        struct ipc__spill *spill = ipc__spill_of(record);
        store_relaxed(&spill->page, page);
        store_relaxed(&spill->pages, w->pages);
        store_relaxed(&spill->units, w->message);
    }
    ring->queue->put.used += w->message;
    const uint32_t end = unit + w->units;
    *place =
        ipc__place(ipc__place_count(*place) + 1, end == ring->units ? 0 : end);
    return record;
}

/* tail counts n more messages, up to a place, and as many sleepers wake up. */
static void count_messages(const struct ipc__ring *ring, uint64_t place,
                           uint32_t n)
{
    struct ipc_queue *queue = ring->queue;
    queue->put.next = place;
    compiler_barrier();
    for (;;) {
        const uint32_t tail = load_relaxed(&queue->tail);
        if (unlikely((tail & IPC__QUEUE_SLEEPERS) != 0)) {
            (void)ipc__futex_change_and_wake(
                &queue->tail, IPC__FUTEX_ADD,
                (int)(n * IPC__QUEUE_ONE - IPC__QUEUE_SLEEPERS), (int)n);
            break; /* [put→get] */
        }
        if (likely(
                cas32_release(&queue->tail, tail, tail + n * IPC__QUEUE_ONE)))
            break; /* [put→get] */
    }
    compiler_barrier();
    queue->put.at = place;
}

static bool is_closed(const struct ipc__ring *ring)
{
    return (load_relaxed(&ring->queue->tail) & IPC__QUEUE_CLOSED) != 0;
}

void ipc__ring_trim(struct ipc__ring *ring)
{
    const struct ipc__queue_put *put = &ring->queue->put;
    if (ipc__ring_lock_put(ring) != 0)
        return;
    (void)free_room(ring);
    ipc__pages_trim(&ring->pages);
    if (ipc__place_count(put->at) == ipc__place_count(put->freed)) {
        trim_units_before(ring, ipc__place_unit(put->at));
        trim_units_behind(ring, ipc__place_unit(put->at) + 1);
    }
    ipc__ring_unlock_put(ring);
}

/* ---- waiting for room ---- */

struct putting {
    struct ipc__ring *ring;
    ipc_deadline deadline;
    struct ipc__pace pace;
    struct ipc__watch watch;
    bool spun;
    bool slept;
    uint32_t slept_at;            /* messages freed then */
    uint64_t at;                  /* where the next one goes; read once, */
    uint32_t unit;                /* found: where it may begin, */
    uint32_t page;                /* and the first of its pages */
    const struct ipc__look *look; /* it is ipc_wait() that asks, and waits */
};

/* What the dead have left may be room.  And who might die and leave some? */
static int sweep(struct putting *p)
{
    const int rc = ipc__ring_lock_get(p->ring);
    if (rc == 0) {
        ipc__ring_sweep(p->ring, &p->watch);
        ipc__ring_unlock_get(p->ring);
    }
    return rc;
}

/* What woke us was not enough for us: it may be for others, who sleep behind.
 * Each says so once for each change of head. */
static void leave_room_to_others(const struct putting *p, uint32_t seen)
{
    if (p->slept && ipc__queue_count(seen) != p->slept_at &&
        load_relaxed(&p->ring->queue->putters) != 0)
        ipc__futex_wake(&p->ring->queue->head, 1);
}

/* There was no room when head was as seen, and no time is left.  0: there is
 * more room since. */
static int give_up(const struct putting *p, uint32_t seen)
{
    uint32_t *head = &p->ring->queue->head;
    /* What woke us may have been meant for others too. */
    const uint32_t now =
        p->slept ? or_relaxed(head, IPC__QUEUE_SLEEPERS) : load_relaxed(head);
    if (ipc__queue_count(now) != ipc__queue_count(seen))
        return 0;
    leave_room_to_others(p, seen);
    return ipc__queue_fail(p->ring->queue,
                           p->deadline == IPC_TIME_NOW ? -EAGAIN : -ETIMEDOUT,
                           "is full");
}

/* Without a guard: there was no room when head was as seen.  Wait until it may
 * be worth a look.  0, or why not. */
static int wait_for_room(struct putting *p, uint32_t seen)
{
    uint32_t *head = &p->ring->queue->head;
    if (!p->spun && p->deadline != IPC_TIME_NOW) {
        p->spun = true;
        if (ipc__spin(head, seen))
            return 0;
    }
    p->watch.count = 0;
    ipc__watch_add(&p->watch, head, seen | IPC__QUEUE_SLEEPERS);
    const int rc = sweep(p);
    if (rc != 0)
        return rc;
    if (p->deadline == IPC_TIME_NOW || ipc_time_left(p->deadline) == 0)
        return give_up(p, seen);
    if (p->look != NULL && !p->look->marks) /* unless there is more since */
        return ipc__queue_count(load_relaxed(head)) == ipc__queue_count(seen);
    if ((seen & IPC__QUEUE_SLEEPERS) == 0 &&
        !cas32_relaxed(head, seen, seen | IPC__QUEUE_SLEEPERS))
        return 0; /* there is more room */
    if (p->look != NULL)
        return 1;
    leave_room_to_others(p, seen);
    p->slept_at = ipc__queue_count(seen);
    (void)add_relaxed(&p->ring->queue->putters, 1);
    p->watch.thorough = ipc__queue_sleep(
        p->ring->queue, &p->pace, p->watch.words, p->watch.count, p->deadline);
    (void)add_relaxed(&p->ring->queue->putters, (uint32_t)-1);
    p->slept = true;
    p->spun = false;
    return 0;
}

/* With the guard: what woke us may have been meant for others too. */
static void pass_room_on(const struct putting *p)
{
    uint32_t *head = &p->ring->queue->head;
    if (load_relaxed(&p->ring->queue->putters) == 0)
        return;
    const uint32_t now = or_relaxed(head, IPC__QUEUE_SLEEPERS);
    if (ipc__queue_ahead(ipc__place_count(p->ring->queue->put.at),
                         ipc__queue_count(now)) < p->ring->capacity)
        ipc__futex_wake(head, 1);
}

/* With the guard: room, if there is any. */
static int look_for_room(struct putting *p, const struct want *w)
{
    struct ipc__ring *ring = p->ring;
    p->at = load_relaxed(&ring->queue->put.at);
    if (w->pages != 0) /* those just freed are still in the caches */
        (void)free_room(ring);
    int rc = find_room(ring, p->at, w, &p->unit, &p->page);
    if (likely(rc != -EAGAIN))
        return rc;
    rc = free_room(ring);
    return rc != 0 ? rc : find_room(ring, p->at, w, &p->unit, &p->page);
}

/* Without the guard: it cannot be put, whoever waits. */
static int refuse(const struct putting *p, int rc, size_t bytes)
{
    struct ipc_queue *queue = p->ring->queue;
    if (p->slept) { /* what woke us may have been meant for others too */
        (void)or_relaxed(&queue->head, IPC__QUEUE_SLEEPERS);
        ipc__futex_wake(&queue->head, 1);
    }
    /* Whoever closed it may have died before those who wait here knew. */
    if (rc == -EPIPE && (load_relaxed(&queue->head) & IPC__QUEUE_CLOSED) == 0)
        (void)ipc__ring_finish_close(p->ring);
    if (rc != -EPIPE && rc != -EUCLEAN)
        return ipc__queue_fail_memory(queue, rc, bytes);
    return ipc__queue_fail(queue, rc,
                           rc == -EPIPE ? "is closed" : IPC__QUEUE_SPOILT);
}

/* 0: with the guard, and room found. */
static int begin_put(struct putting *p, const struct want *w)
{
    struct ipc__ring *ring = p->ring;
    for (;;) {
        int rc = ipc__ring_lock_put(ring);
        if (unlikely(rc != 0))
            return rc;
        const uint32_t seen = load_relaxed(&ring->queue->head);
        rc = is_closed(ring) ? -EPIPE : look_for_room(p, w);
        if (likely(rc == 0))
            return 0;
        ipc__ring_unlock_put(ring);
        if (rc != -EAGAIN)
            return refuse(p, rc, w->bytes);
        rc = wait_for_room(p, seen);
        if (rc != 0)
            return rc;
    }
}

/* With the guard: up to this place there are n messages more. */
static void end_put(const struct putting *p, uint64_t place, uint32_t n)
{
    count_messages(p->ring, place, n);
    if (unlikely(p->slept))
        pass_room_on(p);
    ipc__ring_unlock_put(p->ring);
}

static int begin(struct ipc_queue *queue, size_t bytes, struct ipc__ring *ring,
                 struct want *w)
{
    const int rc = ipc__ring_view(queue, ring);
    if (unlikely(rc != 0))
        return rc;
    want_room(w, bytes);
    if (unlikely(bytes > IPC_QUEUE_BYTES_MAX || w->message > ring->room ||
                 bytes > load_relaxed(&queue->bytes)))
        return ipc__queue_fail_size(queue, bytes, queue->bytes,
                                    "but it holds at most");
    return 0;
}

int ipc__ring_look_for_room(struct ipc_queue *queue, struct ipc__look *look)
{
    struct ipc__ring ring;
    struct want w;
    struct putting p = {.ring = &ring,
                        .deadline = IPC_TIME_FOREVER,
                        .watch = {.thorough = look->thorough},
                        .spun = true,
                        .look = look};
    int rc = begin(queue, look->item->bytes, &ring, &w);
    if (rc == 0 && look->marks)
        (void)or_relaxed(&queue->putters, IPC__QUEUE_WATCHED);
    if (rc == 0)
        rc = begin_put(&p, &w);
    if (rc == 0) {
        if (w.pages != 0)
            ipc__pages_free(&ring.pages, p.page, w.pages);
        ipc__ring_unlock_put(&ring);
    }
    for (uint32_t i = 0; rc == 1 && look->marks && i < p.watch.count; i++)
        (i == 0 ? ipc__look_add : ipc__look_add_life)(
            look, p.watch.words[i].word, p.watch.words[i].expected);
    return rc < 0 ? rc : rc == 0;
}

/* ---- put ---- */

static int put_long(struct ipc_queue *queue, const void *data, size_t bytes,
                    ipc_deadline deadline)
{
    ipc_message message;
    const int rc = ipc__ring_reserve(queue, bytes, &message, deadline);
    if (rc != 0)
        return rc;
    memcpy(message.data, data, bytes);
    return ipc__ring_commit(queue, &message, false);
}

static void write_short(const struct ipc__ring *ring, uint64_t *place,
                        const struct want *w, uint32_t unit, const void *data)
{
    struct ipc__record *record =
        write_record(ring, place, w, unit, 0, IPC__MARK_READY);
    if (w->bytes != 0)
        memcpy(record + 1, data, w->bytes);
}

/* The record at a unit is reserved by the calling thread. */
static inline ipc_message reserved_at(uint32_t unit, void *data, size_t bytes)
{
    return (ipc_message){.data = data,
                         .bytes = bytes,
                         .token_ = {ipc__place(0, unit), ipc__self.id}};
}

/* With the guard: put, or only reserve, as many of these as need nothing
 * unusual: they are short, there is room by what is known, in one piece, and
 * nobody sleeps.  Inlined, so that a single one costs no loop. */
static inline __attribute__((always_inline)) uint32_t
put_usual(struct ipc_queue *queue, const ipc_queue_item *items, size_t n,
          bool reserve, ipc_message *message)
{
    struct ipc__queue_put *put = &queue->put;
    const uint64_t at = load_relaxed(&put->at);
    const uint32_t count = ipc__place_count(at);
    const uint64_t freed_at = load_relaxed(&put->freed);
    const uint32_t freed = ipc__place_unit(freed_at);
    const uint32_t tail = load_relaxed(&queue->tail);
    const uint32_t present = load_relaxed(&put->units_present);
    const uint64_t room = queue->bytes / IPC__UNIT;
    const uint32_t most =
        queue->capacity - ipc__queue_ahead(count, ipc__place_count(freed_at));
    uint64_t used = put->used;
    uint32_t unit = ipc__place_unit(at);
    uint32_t units;
    uint32_t done = 0;
    char *base = ipc__ring_units(queue, &units);
    uint32_t limit = unit < freed ? freed : units;
    if (unlikely(base == NULL || limit - 1 >= units ||
                 tail != count * IPC__QUEUE_ONE))
        return 0;
    limit = limit - 1 < present ? limit - 1 : present;
    do {
        const size_t bytes = items[done].bytes;
        const uint32_t more = (uint32_t)(bytes + IPC__UNIT - 1) / IPC__UNIT;
        const uint32_t end = unit + 1 + more;
        if (unlikely(bytes - 1 >= IPC__INLINE_MAX || end > limit ||
                     end <= unit || done >= most || used + more > room))
            break;
        struct ipc__record *record = (void *)(base + (size_t)unit * IPC__UNIT);
        prefetch_to_write((char *)record + 512);
        store_relaxed(&record->mark, reserve ? ipc__self.id | IPC__MARK_WRITING
                                             : (uint64_t)IPC__MARK_READY);
        store_relaxed(&record->bytes, (uint32_t)bytes);
        store_relaxed(&record->units, 1 + more);
        if (reserve)
            *message = reserved_at(unit, record + 1, bytes);
        else
            memcpy(record + 1, items[done].data, bytes);
        unit = end;
        used += more;
        done++;
    } while (done < n);
    const uint64_t next = ipc__place(count + done, unit);
    put->next = next;
    compiler_barrier();
    if (unlikely(done == 0 || !cas32_release(&queue->tail, tail,
                                             tail + done * IPC__QUEUE_ONE)))
        return 0; /* [put→get] */
    compiler_barrier();
    put->at = next;
    put->used = used;
    return done;
}

int ipc__ring_put(struct ipc_queue *queue, const void *data, size_t bytes,
                  ipc_deadline deadline)
{
    if (likely(ipc__guard_try(&queue->put.guard))) {
        const ipc_queue_item item = {.data = (void *)(uintptr_t)data,
                                     .bytes = bytes};
        const uint32_t done = put_usual(queue, &item, 1, false, NULL);
        ipc__guard_unlock(&queue->put.guard);
        if (likely(done != 0))
            return 0;
    }
    struct ipc__ring ring;
    struct want w;
    struct putting p = {.ring = &ring, .deadline = deadline};
    int rc = begin(queue, bytes, &ring, &w);
    if (unlikely(rc != 0))
        return rc;
    if (w.pages != 0)
        return put_long(queue, data, bytes, deadline);
    rc = begin_put(&p, &w);
    if (unlikely(rc != 0))
        return rc;
    uint64_t place = p.at;
    write_short(&ring, &place, &w, p.unit, data);
    end_put(&p, place, 1);
    return 0;
}

/* With the guard and room for the first: as many short ones as there is room
 * for by what is known. */
static uint32_t write_some(const struct putting *p, uint64_t *place,
                           const ipc_queue_item *items, size_t n)
{
    enum {
        MOST = 256 /* that one system call can count */
    };
    struct want w;
    uint32_t unit = p->unit;
    uint32_t page;
    uint32_t done = 0;
    want_room(&w, items[0].bytes);
    do {
        write_short(p->ring, place, &w, unit, items[done].data);
        if (++done == n || done == MOST || items[done].bytes > IPC__INLINE_MAX)
            break;
        want_room(&w, items[done].bytes);
    } while (find_room(p->ring, *place, &w, &unit, &page) == 0);
    return done;
}

static int put_some(struct ipc_queue *queue, const ipc_queue_item *items,
                    size_t n, ipc_deadline deadline)
{
    struct ipc__ring ring;
    struct want w;
    struct putting p = {.ring = &ring, .deadline = deadline};
    int rc = begin(queue, items[0].bytes, &ring, &w);
    if (rc == 0 && w.pages != 0) {
        rc = put_long(queue, items[0].data, items[0].bytes, deadline);
        return rc == 0 ? 1 : rc;
    }
    if (rc == 0)
        rc = begin_put(&p, &w);
    if (rc != 0)
        return rc;
    uint64_t place = p.at;
    const uint32_t done = write_some(&p, &place, items, n);
    end_put(&p, place, done);
    return (int)done;
}

int ipc__ring_putv(struct ipc_queue *queue, const ipc_queue_item *items,
                   size_t n, ipc_deadline deadline)
{
    size_t done = 0;
    while (done < n) {
        int rc = 0;
        if (likely(ipc__guard_try(&queue->put.guard))) {
            rc = (int)put_usual(queue, items + done, n - done, false, NULL);
            ipc__guard_unlock(&queue->put.guard);
        }
        if (rc == 0)
            rc = put_some(queue, items + done, n - done, deadline);
        if (rc < 0)
            return done != 0 ? (int)done : rc;
        done += (size_t)rc;
    }
    return (int)done;
}

/* ---- in place ---- */

static bool reserve_usual(struct ipc_queue *queue, size_t bytes,
                          ipc_message *message)
{
    if (unlikely(!ipc__guard_try(&queue->put.guard)))
        return false;
    const ipc_queue_item item = {.bytes = bytes};
    const bool done = put_usual(queue, &item, 1, true, message) != 0;
    ipc__guard_unlock(&queue->put.guard);
    return done;
}

int ipc__ring_reserve(struct ipc_queue *queue, size_t bytes,
                      ipc_message *message, ipc_deadline deadline)
{
    if (likely(reserve_usual(queue, bytes, message)))
        return 0;
    struct ipc__ring ring;
    struct want w;
    struct putting p = {.ring = &ring, .deadline = deadline};
    int rc = begin(queue, bytes, &ring, &w);
    if (rc == 0)
        rc = begin_put(&p, &w);
    if (rc != 0)
        return rc;
    uint64_t place = p.at;
    struct ipc__record *record = write_record(&ring, &place, &w, p.unit, p.page,
                                              ipc__self.id | IPC__MARK_WRITING);
    end_put(&p, place, 1);
    *message = reserved_at(
        p.unit,
        w.pages != 0 ? (void *)(ring.pages.memory + p.page * IPC__PAGE)
                     : (void *)(record + 1),
        bytes);
    return 0;
}

/* Something was aborted: if it is the first its room comes back now. */
static void pass_over(struct ipc__ring *ring)
{
    struct ipc__watch watch = {.count = 0};
    if (ipc__ring_lock_get(ring) != 0)
        return;
    ipc__ring_sweep(ring, &watch);
    ipc__ring_unlock_get(ring);
}

/* Commit, if it is short and nobody waits for it. */
static bool commit_usual(struct ipc_queue *queue, const ipc_message *message)
{
    uint32_t units;
    const char *base = ipc__ring_units(queue, &units);
    const uint32_t unit = ipc__place_unit(message->token_[0]);
    const uint64_t mine = ipc__self.id | IPC__MARK_WRITING;
    if (unlikely(base == NULL || unit >= units || !ipc__self_is_ready(queue) ||
                 message->token_[1] != ipc__self.id))
        return false;
    struct ipc__record *record = (void *)(base + (size_t)unit * IPC__UNIT);
    if (unlikely(load_relaxed(&record->mark) != mine ||
                 message->bytes > load_relaxed(&record->bytes)))
        return false;
    store_relaxed(&record->bytes, (uint32_t)message->bytes);
    return cas64_release(&record->mark, mine, IPC__MARK_READY); /* [put→get] */
}

int ipc__ring_commit(struct ipc_queue *queue, ipc_message *message, bool abort)
{
    if (likely(!abort && commit_usual(queue, message))) {
        *message = (ipc_message){0};
        return 0;
    }
    struct ipc__ring ring;
    struct ipc__seen seen;
    const int rc = ipc__ring_view(queue, &ring);
    if (rc != 0)
        return rc;
    uint64_t place = message->token_[0];
    const uint64_t mine = message->token_[1] | IPC__MARK_WRITING;
    if (message->token_[1] != ipc__self.id ||
        !ipc__record_look(&ring, &place, &seen) ||
        (seen.mark & ~(uint64_t)FUTEX_BIT_WAITERS) != mine)
        return ipc__queue_fail(queue, -EINVAL,
                               "has no such reservation of this thread");
    if (message->bytes > seen.bytes)
        return ipc__queue_fail_size(queue, message->bytes, seen.bytes,
                                    "and reserved were");
    if (!abort)
        store_relaxed(&seen.record->bytes, (uint32_t)message->bytes);
    if (!ipc__mark_change(seen.record, mine,
                          abort ? IPC__MARK_ABORTED : IPC__MARK_READY))
        return ipc__queue_fail(queue, -EUCLEAN, IPC__QUEUE_SPOILT);
    if (abort)
        pass_over(&ring);
    *message = (ipc_message){0};
    return 0;
}
