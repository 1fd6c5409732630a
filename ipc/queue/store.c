/* Store: what lies where; how messages change hands; the guard's recovery.
 *
 * A queue of this kind has a slot for each message that it may hold: an entry
 * that says all about it, and a cell for its bytes, if they fit.  Those of
 * longer messages lie in pages.  In which order messages go is kept in a heap
 * of entries; others are listed as busy, free or dead letters.
 *
 * There is one guard, that of put.  What takes long, copying the bytes of long
 * messages and all that users do with messages in place, is done without it.
 *
 * State (all under the guard, and what it says of messages long or in place by
 * those whose they are)
 *   entry.mark    the state, how often it was delivered, and a generation:
 *                 FREE    → WRITING, READY
 *                 WRITING → READY, FREE
 *                 READY   → GETTING, PEEKING, LEASED, FREE
 *                 GETTING → FREE
 *                 PEEKING → READY, FREE
 *                 LEASED  → READY, DEAD, FREE
 *                 DEAD    → LEASED_DEAD → DEAD, FREE
 *   entry, the rest   written before the mark that makes it mean something
 *   tail          messages ever put; SLEEPERS, CLOSED
 *   put.at, next  the same, and what it is about to become
 *   head          slots ever freed; SLEEPERS
 *   get.at, next  the same, and what it is about to become;
 *   get.cursor    the slot that is about to become free then
 *   get.aborted   messages that are done without anybody saying so: those that
 *                 were acknowledged; aborted_next as next
 *   lists, put.used, bits of the pages   derived from the entries
 *
 * Invariants, while the guard is free
 *   1  an entry that is READY has a number up to put.at;
 *   2  entries from state.high on are FREE;
 *   3  the heap has those that are READY and, in a strict queue, WRITING; busy
 *      are those that have an owner.  All are in one list or another;
 *   4  a slot has one owner for each generation, and who has its number and
 *      its generation has, or had, the message;
 *   5  who sleeps has set SLEEPERS in what it sleeps on, and has looked at
 *      everything since; as one who sleeps for a message knows the first lease
 *      to end, and some of those whose death brings one back.
 *
 * Order
 *   [release→acquire]  by the guard.
 *
 * Death
 *   with the guard, of who
 *     puts         it is in the queue when tail counts it: one CAS, or one
 *                  system call that wakes a sleeper too.  Before, recovery
 *                  finds a number that is too high, and it never was;
 *     takes away   it is gone when head counts it, in the same way: get.cursor
 *                  says which it is;
 *     does else    the change of the mark, one store.  Those whom that concerns
 *                  are woken before, and wait for the guard: they look when it
 *                  is done, or find it as it was;
 *     closes       done says IMMEDIATE, or tail says CLOSED: recovery makes the
 *                  second follow from the first.
 *   without it     the owner in the entry is dead: who looks for a message, or
 *                  for room, does with it what the state says.  WRITING and
 *                  GETTING: it becomes free; PEEKING, LEASED: it comes back.
 *   of who was woken   it had nothing; others who sleep find out at their
 *                  re-check.  So do those who slept before a long message was
 *                  begun to be got, or who join, if he who gets it, or
 *                  acknowledges the last, dies in the middle. */
#include "queue/store.h"

#include <errno.h>
#include <limits.h>

#include "core/error.h"
#include "kernel/memory.h"
#include "wait/look.h"

_Static_assert(sizeof(struct ipc__entry) == 64, "entry layout");
_Static_assert(sizeof(struct ipc__store_lists) == 16, "lists layout");
_Static_assert(sizeof(struct ipc__store_state) <= IPC__QUEUE_LINE, "state");

/* ---- what lies where ---- */

#define CELL_MIN 64u
#define CELL_MAX 1024u

static size_t align_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* Enough for the message that is as long as all together allow: longer ones
 * are fewer. */
static uint32_t cell_of(uint64_t bytes, uint32_t capacity)
{
    const uint64_t share = capacity == 0 ? 0 : bytes / capacity;
    return share <= CELL_MIN   ? CELL_MIN
           : share >= CELL_MAX ? CELL_MAX
                               : (uint32_t)align_up(share, CELL_MIN);
}

static size_t state_at(void)
{
    return align_up(sizeof(struct ipc_queue), IPC__QUEUE_LINE);
}

/* The head, the state, the bits of the pages, the entries, the lists, the
 * cells, and the pages, aligned. */
static size_t bytes_before_entries(uint32_t pages)
{
    return state_at() + IPC__QUEUE_LINE +
           align_up(ipc__pages_bits(pages), IPC__QUEUE_LINE);
}

static size_t bytes_of_slots(uint32_t capacity, uint32_t cell)
{
    return (size_t)capacity *
           (sizeof(struct ipc__entry) + sizeof(struct ipc__store_lists) + cell);
}

void ipc__store_plan(struct ipc_queue *facts)
{
    const uint32_t cell = cell_of(facts->bytes, facts->capacity);
    const uint64_t longer = facts->bytes / (cell + 1);
    facts->units = facts->capacity;
    facts->pages =
        longer == 0
            ? 0
            : (uint32_t)(facts->bytes / IPC__PAGE + 1 +
                         (longer < facts->capacity ? longer : facts->capacity));
    facts->units_at = (uint32_t)bytes_before_entries(facts->pages);
}

size_t ipc__store_present(const struct ipc_queue *facts)
{
    return bytes_before_entries(facts->pages);
}

size_t ipc__store_bytes(const struct ipc_queue *facts)
{
    const uint32_t pages = facts->pages;
    return bytes_before_entries(pages) +
           bytes_of_slots(facts->capacity,
                          cell_of(facts->bytes, facts->capacity)) +
           (pages == 0 ? 0 : ((size_t)pages + 1) * IPC__PAGE);
}

int ipc__store_view(struct ipc_queue *queue, struct ipc__store *store)
{
    if (unlikely(!ipc__self_is_ready(queue))) {
        const int rc = ipc__self_register(queue);
        if (rc != 0)
            return rc;
    }
    const uint32_t pages = load_relaxed(&queue->pages);
    const uint64_t bytes = load_relaxed(&queue->bytes);
    const uint32_t capacity = load_relaxed(&queue->capacity);
    const uint32_t cell = cell_of(bytes, capacity);
    char *at = (char *)queue + bytes_before_entries(pages);
    store->queue = queue;
    store->state = (void *)((char *)queue + state_at());
    store->slots = (void *)at;
    at += (size_t)capacity * sizeof(struct ipc__entry);
    store->lists = (void *)at;
    at += (size_t)capacity * sizeof(struct ipc__store_lists);
    store->cells = at;
    at += (size_t)capacity * cell;
    store->cell = cell;
    store->capacity = capacity;
    store->flags = load_relaxed(&queue->flags);
    store->max_deliveries = load_relaxed(&queue->max_deliveries);
    store->lease_ns = load_relaxed(&queue->lease_ns);
    store->room = (bytes + IPC__STORE_UNIT - 1) / IPC__STORE_UNIT;
    store->pages.taken = (void *)((char *)queue + state_at() + IPC__QUEUE_LINE);
    store->pages.memory = (char *)align_up((uintptr_t)at, IPC__PAGE);
    store->pages.count = pages;
    store->pages.present = &queue->put.pages_present;
    const size_t end = (size_t)(at - (char *)queue) +
                       (pages == 0 ? 0 : ((size_t)pages + 1) * IPC__PAGE);
    if (unlikely(load_relaxed(&queue->kind) != IPC__QUEUE_STORE ||
                 capacity == 0 || capacity > IPC_QUEUE_CAPACITY_MAX ||
                 (uintptr_t)queue - ipc__self.lo + end > ipc__self.span))
        return ipc__fail(-EUCLEAN, "this is no queue");
    return 0;
}

/* ---- entries ---- */

bool ipc__entry_look(const struct ipc__store *store, uint32_t n,
                     struct ipc__entry_seen *out)
{
    if (unlikely(n >= store->capacity))
        return false;
    struct ipc__entry *slot = &store->slots[n];
    out->slot = slot;
    out->n = n;
    out->mark = load_relaxed(&slot->mark);
    out->state = ipc__entry_state(out->mark);
    out->bytes = load_relaxed(&slot->bytes);
    out->page = load_relaxed(&slot->page);
    out->pages = load_relaxed(&slot->pages);
    if (out->state == IPC__ENTRY_FREE)
        return true;
    if (out->pages == 0) {
        out->data = store->cells + (size_t)n * store->cell;
        return out->bytes <= store->cell &&
               out->state <= IPC__ENTRY_LEASED_DEAD;
    }
    out->data = store->pages.memory + out->page * IPC__PAGE;
    return ipc__pages_hold(&store->pages, out->page, out->pages) &&
           out->bytes <= out->pages * IPC__PAGE &&
           out->state <= IPC__ENTRY_LEASED_DEAD;
}

bool ipc__entry_find(const struct ipc__store *store, const ipc_message *message,
                     enum ipc__entry_state state, struct ipc__entry_seen *out)
{
    const uint32_t n = (uint32_t)message->token_[0];
    return n < load_relaxed(&store->state->high) &&
           ipc__entry_look(store, n, out) && out->state == state &&
           ipc__entry_generation(out->mark) == message->token_[0] >> 32;
}

void ipc__entry_tell(const struct ipc__entry_seen *seen, ipc_message *message)
{
    *message = (ipc_message){
        .data = seen->data,
        .bytes = seen->bytes,
        .priority = load_relaxed(&seen->slot->priority),
        .token_ = {seen->n | (uint64_t)ipc__entry_generation(seen->mark) << 32,
                   ipc__self.id}};
}

void ipc__entry_claim(const struct ipc__store *store,
                      struct ipc__entry_seen *seen, enum ipc__entry_state state,
                      uint32_t deliveries)
{
    const uint64_t generation = ipc__entry_generation(seen->mark) + 1;
    seen->state = state;
    seen->mark = (generation & 0xffffffffu) << 32 |
                 (uint64_t)deliveries * IPC__ENTRY_DELIVERY | state;
    store_relaxed(&seen->slot->owner, ipc__self.id);
    compiler_barrier();
    store_release(&seen->slot->mark, seen->mark);
    ipc__busy_add(store, seen->n);
}

/* head has counted that the slot is free: be it. */
static void finish_free(const struct ipc__store *store, uint32_t n)
{
    struct ipc__queue_get *get = &store->queue->get;
    struct ipc__entry *slot = &store->slots[n];
    const uint64_t generation = load_relaxed(&slot->mark) >> 32;
    store_relaxed(&slot->mark, generation << 32 | IPC__ENTRY_FREE);
    store_relaxed(&get->aborted, get->aborted_next);
    compiler_barrier();
    get->at = get->next;
}

/* Let one who waits for room have it; if room is not the same to all, let all
 * see. */
static int who_may_have_room(const struct ipc__store *store)
{
    if (store->state->crowded == 0)
        return 1;
    store->state->crowded = 0;
    return INT_MAX;
}

void ipc__entry_free(const struct ipc__store *store,
                     const struct ipc__entry_seen *seen, bool settled)
{
    struct ipc__queue_get *get = &store->queue->get;
    get->cursor = seen->n;
    get->aborted_next = load_relaxed(&get->aborted) + settled;
    compiler_barrier();
    get->next = get->at + 1;
    compiler_barrier();
    ipc__store_count(&store->queue->head, 1, who_may_have_room(store));
    compiler_barrier();
    finish_free(store, seen->n);
    store->queue->put.used -= ipc__store_units(seen->bytes);
    if (seen->pages != 0)
        ipc__pages_free(&store->pages, seen->page, seen->pages);
    ipc__free_add(store, seen->n);
    if (settled)
        ipc__queue_tell_joiners(store->queue);
}

void ipc__entry_give_back(const struct ipc__store *store,
                          const struct ipc__entry_seen *seen)
{
    const uint32_t deliveries = ipc__entry_deliveries(seen->mark);
    const bool dead =
        seen->state == IPC__ENTRY_LEASED_DEAD ||
        (seen->state == IPC__ENTRY_LEASED && store->max_deliveries != 0 &&
         deliveries >= store->max_deliveries);
    ipc__busy_remove(store, seen->n);
    store_relaxed(
        &seen->slot->mark,
        ipc__entry_mark(seen->mark, dead ? IPC__ENTRY_DEAD : IPC__ENTRY_READY));
    if (dead) {
        ipc__dead_add(store, seen->n);
    } else {
        ipc__heap_push(store, seen->n);
        store->state->ready++;
    }
}

void ipc__entry_abort(const struct ipc__store *store,
                      const struct ipc__entry_seen *seen)
{
    if (ipc__store_is_strict(store)) {
        ipc__store_wake_all(&store->queue->tail); /* those behind may be had */
        ipc__heap_remove(store, seen->n);
    } else if (ipc__store_is_closed(store)) {
        ipc__store_wake_all(&store->queue->tail); /* it was the last, perhaps */
    }
    ipc__busy_remove(store, seen->n);
    ipc__entry_free(store, seen, false);
}

/* ---- waking ---- */

static void nobody_sleeps(uint32_t *word)
{
    uint32_t now = load_relaxed(word);
    while (!cas32_relaxed(word, now, now & ~IPC__QUEUE_SLEEPERS))
        now = load_relaxed(word);
}

void ipc__store_count(uint32_t *word, uint32_t n, int wake)
{
    for (;;) {
        const uint32_t now = load_relaxed(word);
        if (likely((now & IPC__QUEUE_SLEEPERS) == 0)) {
            if (likely(cas32_release(word, now, now + n * IPC__QUEUE_ONE)))
                return;
            continue;
        }
        const int woken = ipc__futex_change_and_wake(
            word, IPC__FUTEX_ADD, (int)(n * IPC__QUEUE_ONE), wake);
        if (woken < wake)
            nobody_sleeps(word); /* any more */
        if (woken >= 0)
            return;
    }
}

static int wake(uint32_t *word, int count)
{
    if ((load_relaxed(word) & IPC__QUEUE_SLEEPERS) == 0)
        return 0;
    /* The word changes too: for those who are about to sleep. */
    return ipc__futex_change_and_wake(word, IPC__FUTEX_ADD,
                                      -(int)IPC__QUEUE_SLEEPERS, count);
}

void ipc__store_wake_all(uint32_t *word)
{
    (void)wake(word, INT_MAX);
}

void ipc__store_wake_watcher(const struct ipc__store *store)
{
    if (wake(&store->queue->tail, 1) > 0) /* and others may sleep on */
        (void)or_relaxed(&store->queue->tail, IPC__QUEUE_SLEEPERS);
}

/* ---- recovery ---- */

static bool is_at(uint64_t count, uint32_t word)
{
    return ((uint32_t)count & IPC__QUEUE_COUNTS) == ipc__queue_count(word);
}

static void recover_head(const struct ipc__store *store)
{
    struct ipc__queue_get *get = &store->queue->get;
    const uint32_t head = load_relaxed(&store->queue->head);
    if (is_at(get->at, head))
        return;
    if (is_at(get->next, head) && get->cursor < store->capacity)
        finish_free(store, (uint32_t)get->cursor);
    else
        get->at = ipc__queue_count(head);
}

/* What tail has not counted never was. */
static void recover_tail(const struct ipc__store *store)
{
    struct ipc__queue_put *put = &store->queue->put;
    if (!is_at(put->at, load_relaxed(&store->queue->tail)))
        put->at = put->next;
    uint32_t high = load_relaxed(&store->state->high);
    high = high < store->capacity ? high : store->capacity;
    for (uint32_t n = 0; n < high; n++) {
        struct ipc__entry *slot = &store->slots[n];
        const uint64_t mark = load_relaxed(&slot->mark);
        if (ipc__entry_state(mark) == IPC__ENTRY_READY &&
            load_relaxed(&slot->number) > put->at)
            store_relaxed(&slot->mark, mark >> 32 << 32 | IPC__ENTRY_FREE);
    }
}

static void recover(void *arg)
{
    struct ipc__store *store = arg;
    struct ipc_queue *queue = store->queue;
    recover_head(store);
    recover_tail(store);
    ipc__lists_derive(store);
    if ((load_relaxed(&queue->done) & IPC__QUEUE_IMMEDIATE) != 0)
        (void)or_relaxed(&queue->tail, IPC__QUEUE_CLOSED);
    ipc__queue_tell_joiners(store->queue);
    ipc__store_wake_all(&queue->tail);
    ipc__store_wake_all(&queue->head);
}

int ipc__store_lock(struct ipc__store *store)
{
    const int rc = ipc__guard_lock(&store->queue->put.guard, recover, store);
    return rc == -EUCLEAN ? ipc__fail(rc, "this is no queue") : rc;
}

/* ---- closing ---- */

static int close_store(struct ipc_queue *queue, bool immediate)
{
    struct ipc__store store;
    int rc = ipc__store_view(queue, &store);
    if (rc == 0)
        rc = ipc__store_lock(&store);
    if (rc != 0)
        return rc;
    ipc__store_wake_all(&queue->head);
    ipc__store_wake_all(&queue->tail);
    if (immediate)
        (void)ipc__futex_change_and_wake(&queue->done, IPC__FUTEX_OR,
                                         IPC__QUEUE_IMMEDIATE, INT_MAX);
    (void)or_relaxed(&queue->tail, IPC__QUEUE_CLOSED);
    ipc__store_trim(&store);
    ipc__store_unlock(&store);
    return 0;
}

static bool has_sleepers(uint32_t *word)
{
    return ipc__futex_sleepers(word, load_relaxed(word)) > 0;
}

static int fini(struct ipc_queue *queue)
{
    struct ipc__store store;
    int rc = ipc__store_view(queue, &store);
    if (rc == 0)
        rc = ipc__store_lock(&store);
    if (rc != 0)
        return rc;
    struct ipc__store_waiting w = {.store = &store, .thorough = true};
    (void)ipc__store_sweep(&w);
    const bool busy = load_relaxed(&store.state->busy) != 0 ||
                      has_sleepers(&queue->tail) ||
                      has_sleepers(&queue->head) || has_sleepers(&queue->done);
    ipc__store_unlock(&store);
    return busy ? ipc__queue_fail(queue, -EBUSY, "is in use") : 0;
}

/* ---- the whole ---- */

/* With the guard, and what the dead had is there again.  False: no queue. */
static bool lock_swept(struct ipc_queue *queue, struct ipc__store *store)
{
    if (ipc__store_view(queue, store) != 0 || ipc__store_lock(store) != 0)
        return false;
    struct ipc__store_waiting w = {.store = store};
    (void)ipc__store_sweep(&w);
    return true;
}

static size_t size(struct ipc_queue *queue)
{
    struct ipc__store store;
    if (!lock_swept(queue, &store))
        return 0;
    const size_t ready =
        ipc__store_is_dropped(&store) ? 0 : load_relaxed(&store.state->ready);
    ipc__store_unlock(&store);
    return ready <= store.capacity ? ready : 0;
}

static bool is_full(struct ipc_queue *queue)
{
    struct ipc__store store;
    if (!lock_swept(queue, &store))
        return false;
    const bool full = (load_relaxed(&store.state->free) == 0 &&
                       load_relaxed(&store.state->high) >= store.capacity) ||
                      queue->put.used >= store.room;
    ipc__store_unlock(&store);
    return full;
}

uint32_t ipc__store_dead(struct ipc_queue *queue)
{
    struct ipc__store store;
    if (!lock_swept(queue, &store))
        return 0;
    const uint32_t dead = load_relaxed(&store.state->dead);
    ipc__store_unlock(&store);
    return dead <= store.capacity ? dead : 0;
}

/* Who acknowledged the last one may have died before that was counted. */
static void look_again(ipc_queue *queue, bool thorough)
{
    struct ipc__store store;
    (void)thorough;
    if (ipc__store_view(queue, &store) == 0 && ipc__store_lock(&store) == 0)
        ipc__store_unlock(&store);
}

static int join(ipc_queue *queue, ipc_deadline deadline)
{
    return ipc__queue_join_looking(queue, deadline, look_again);
}

static int look_at(ipc_queue *queue, struct ipc__look *look)
{
    return look->item->what == IPC_WAIT_FOR_ROOM
               ? ipc__store_look_for_room(queue, look)
               : ipc__store_look_for_message(queue, look);
}

const struct ipc__queue_ops ipc__store_ops = {
    .put = ipc__store_put,
    .putv = ipc__store_putv,
    .reserve = ipc__store_reserve,
    .commit = ipc__store_commit,
    .get = ipc__store_get,
    .getv = ipc__store_getv,
    .peek = ipc__store_peek,
    .release = ipc__store_release,
    .take = ipc__store_take,
    .settle = ipc__store_settle,
    .dead = ipc__store_dead,
    .take_dead = ipc__store_take_dead,
    .size = size,
    .full = is_full,
    .task_done = ipc__queue_task_done,
    .join = join,
    .close = close_store,
    .fini = fini,
    .look = look_at,
};
