/* Store: those who put.  See store.c. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "core/error.h"
#include "kernel/memory.h"
#include "queue/store.h"
#include "wait/look.h"

/* What is to be put, and where there is room for it. */
struct want {
    uint32_t bytes;
    uint32_t pages; /* 0: it lies in a cell */
    uint32_t priority;
    uint32_t n; /* the slot */
    uint32_t page;
};

/* ---- with the guard: room ---- */

/* Memory for what has so many bytes for each slot, up to this one. */
static int have_some(char *base, size_t each, uint32_t from, uint32_t to)
{
    const uintptr_t start =
        ((uintptr_t)base + from * each) & ~(uintptr_t)(IPC__PAGE - 1);
    return ipc__memory_populate((void *)start,
                                (uintptr_t)base + to * each - start);
}

static uint32_t piece_end(const struct ipc__store *store, uint32_t n)
{
    const uint32_t end = (n / IPC__STORE_PIECE + 1) * IPC__STORE_PIECE;
    return end < store->capacity ? end : store->capacity;
}

static int have_slot(const struct ipc__store *store, uint32_t n)
{
    uint32_t *present = &store->queue->put.units_present;
    const uint32_t from = load_relaxed(present);
    if (likely(n < from))
        return 0;
    const uint32_t to = piece_end(store, n);
    int rc = have_some((char *)store->slots, sizeof *store->slots, from, to);
    if (rc == 0)
        rc = have_some((char *)store->lists, sizeof *store->lists, from, to);
    if (rc == 0)
        store_relaxed(present, to);
    return rc;
}

static int have_cell(const struct ipc__store *store, uint32_t n)
{
    uint32_t *present = &store->state->cells_present;
    const uint32_t from = load_relaxed(present);
    if (likely(n < from))
        return 0;
    const uint32_t to = piece_end(store, n);
    const int rc = have_some(store->cells, store->cell, from, to);
    if (rc == 0)
        store_relaxed(present, to);
    return rc;
}

/* A slot that is free, which is still in its list. */
static int find_slot(const struct ipc__store *store, uint32_t *n)
{
    const struct ipc__store_state *state = store->state;
    const uint32_t free = load_relaxed(&state->free);
    if (free == 0) {
        *n = load_relaxed(&state->high);
        return *n < store->capacity ? have_slot(store, *n) : -EAGAIN;
    }
    struct ipc__entry_seen seen;
    if (free > store->capacity)
        return -EUCLEAN;
    *n = load_relaxed(&store->lists[free - 1].free);
    return ipc__entry_look(store, *n, &seen) && seen.state == IPC__ENTRY_FREE
               ? 0
               : -EUCLEAN;
}

static void take_slot(const struct ipc__store *store, uint32_t n)
{
    struct ipc__store_state *state = store->state;
    const uint32_t free = load_relaxed(&state->free);
    if (free != 0)
        store_relaxed(&state->free, free - 1);
    else
        store_relaxed(&state->high, n + 1); /* before anything is there */
    compiler_barrier();
}

/* 0, -EAGAIN, -ENOMEM, -EUCLEAN.  What was found is taken. */
static int find_room(const struct ipc__store *store, struct want *w)
{
    struct ipc__queue_put *put = &store->queue->put;
    int rc = find_slot(store, &w->n);
    if (rc != 0)
        return rc;
    if (put->used + ipc__store_units(w->bytes) > store->room)
        rc = -EAGAIN;
    else if (w->pages != 0)
        rc = ipc__pages_take(&store->pages, w->pages, &w->page);
    else
        rc = have_cell(store, w->n);
    if (rc == -EAGAIN)
        store->state->crowded = 1;
    if (rc == 0) {
        take_slot(store, w->n);
        put->used += ipc__store_units(w->bytes);
    }
    return rc;
}

/* ---- with the guard: messages ---- */

/* All but its mark. */
static void write_entry(const struct ipc__store *store, const struct want *w,
                        struct ipc__entry_seen *seen)
{
    struct ipc__entry *slot = &store->slots[w->n];
    const uint64_t order = load_relaxed(&store->state->order) + 1;
    store_relaxed(&store->state->order, order);
    store_relaxed(&slot->order, order);
    store_relaxed(&slot->priority, w->priority);
    store_relaxed(&slot->bytes, w->bytes);
    store_relaxed(&slot->page, w->page);
    store_relaxed(&slot->pages, w->pages);
    *seen = (struct ipc__entry_seen){
        .slot = slot,
        .n = w->n,
        .mark = load_relaxed(&slot->mark),
        .data = w->pages != 0 ? store->pages.memory + w->page * IPC__PAGE
                              : store->cells + (size_t)w->n * store->cell,
        .bytes = w->bytes,
        .page = w->page,
        .pages = w->pages};
}

/* It will be in the queue when tail counts it, as the i-th from now. */
static void make_ready(const struct ipc__store *store,
                       const struct ipc__entry_seen *seen, uint32_t i)
{
    const uint64_t generation = seen->mark >> 32;
    store_relaxed(&seen->slot->number, store->queue->put.at + i);
    compiler_barrier();
    store_relaxed(&seen->slot->mark, generation << 32 | IPC__ENTRY_READY);
}

static void count_messages(const struct ipc__store *store, uint32_t n, int wake)
{
    struct ipc__queue_put *put = &store->queue->put;
    compiler_barrier();
    put->next = put->at + n;
    compiler_barrier();
    ipc__store_count(&store->queue->tail, n, wake);
    compiler_barrier();
    put->at = put->next;
    store->state->ready += n;
}

/* ---- waiting for room ---- */

static int fail(const struct ipc__store *store, int rc, size_t bytes)
{
    switch (rc) {
    case -EPIPE:
        return ipc__queue_fail(store->queue, rc, "is closed");
    case -EUCLEAN:
        return ipc__queue_fail(store->queue, rc, IPC__QUEUE_SPOILT);
    case -EAGAIN:
    case -ETIMEDOUT:
        return ipc__queue_fail(store->queue, rc, "is full");
    default:
        return ipc__queue_fail_memory(store->queue, rc, bytes);
    }
}

/* 0: with the guard, and room taken. */
static int begin_put_as(struct ipc__store_waiting *waiting, struct want *w)
{
    struct ipc__store *store = waiting->store;
    for (;;) {
        int rc = ipc__store_lock(store);
        if (unlikely(rc != 0))
            return rc;
        rc = ipc__store_is_closed(store) ? -EPIPE : find_room(store, w);
        if (likely(rc == 0))
            return 0;
        if (rc == -EAGAIN) {
            rc = ipc__store_wait(waiting);
            if (rc == 0)
                continue;
        } else {
            ipc__store_unlock(store);
        }
        return rc > 0 ? rc : fail(store, rc, w->bytes);
    }
}

static int begin_put(struct ipc__store *store, struct want *w,
                     ipc_deadline deadline)
{
    struct ipc__store_waiting waiting = {
        .store = store, .word = &store->queue->head, .deadline = deadline};
    return begin_put_as(&waiting, w);
}

static int begin(struct ipc_queue *queue, size_t bytes, uint32_t priority,
                 struct ipc__store *store, struct want *w)
{
    const int rc = ipc__store_view(queue, store);
    if (unlikely(rc != 0))
        return rc;
    *w = (struct want){
        .bytes = (uint32_t)bytes,
        .priority = (store->flags & IPC_QUEUE_PRIORITY) != 0 ? priority : 0,
        .pages = bytes <= store->cell
                     ? 0
                     : (uint32_t)((bytes + IPC__PAGE - 1) / IPC__PAGE)};
    if (unlikely(bytes > IPC_QUEUE_BYTES_MAX ||
                 ipc__store_units((uint32_t)bytes) > store->room))
        return ipc__queue_fail_size(queue, bytes, queue->bytes,
                                    "but it holds at most");
    return 0;
}

int ipc__store_look_for_room(struct ipc_queue *queue, struct ipc__look *look)
{
    struct ipc__store store;
    struct want w;
    struct ipc__store_waiting waiting = {.store = &store,
                                         .word = &queue->head,
                                         .deadline = IPC_TIME_FOREVER,
                                         .thorough = look->thorough,
                                         .spun = true,
                                         .look = look};
    int rc = begin(queue, look->item->bytes, 0, &store, &w);
    if (rc != 0)
        return rc;
    rc = begin_put_as(&waiting, &w);
    if (rc == 0) { /* it was taken */
        if (w.pages != 0)
            ipc__pages_free(&store.pages, w.page, w.pages);
        queue->put.used -= ipc__store_units(w.bytes);
        ipc__free_add(&store, w.n);
        ipc__store_unlock(&store);
    }
    return ipc__store_look_done(&waiting, look, rc);
}

/* ---- in place ---- */

static int reserve(struct ipc_queue *queue, size_t bytes, uint32_t priority,
                   ipc_message *message, ipc_deadline deadline)
{
    struct ipc__store store;
    struct ipc__entry_seen seen;
    struct want w;
    int rc = begin(queue, bytes, priority, &store, &w);
    if (rc == 0)
        rc = begin_put(&store, &w, deadline);
    if (rc != 0)
        return rc;
    write_entry(&store, &w, &seen);
    ipc__entry_claim(&store, &seen, IPC__ENTRY_WRITING, 0);
    if (ipc__store_is_strict(&store))
        ipc__heap_push(&store, seen.n);
    ipc__entry_tell(&seen, message);
    ipc__store_unlock(&store);
    return 0;
}

int ipc__store_reserve(struct ipc_queue *queue, size_t bytes,
                       ipc_message *message, ipc_deadline deadline)
{
    return reserve(queue, bytes, 0, message, deadline);
}

/* It has become shorter: what it does not need any more is free. */
static void shorten(const struct ipc__store *store,
                    struct ipc__entry_seen *seen, uint32_t bytes)
{
    const uint32_t units = ipc__store_units(seen->bytes);
    ipc__store_wake_all(&store->queue->head);
    store_relaxed(&seen->slot->bytes, bytes);
    store->queue->put.used -= units - ipc__store_units(bytes);
    seen->bytes = bytes;
    if (seen->pages == 0)
        return;
    uint32_t pages = (uint32_t)((bytes + IPC__PAGE - 1) / IPC__PAGE);
    pages = pages != 0 ? pages : 1;
    store_relaxed(&seen->slot->pages, pages);
    ipc__pages_free(&store->pages, seen->page + pages, seen->pages - pages);
    seen->pages = pages;
}

static void commit(const struct ipc__store *store, struct ipc__entry_seen *seen,
                   const ipc_message *message)
{
    if (message->bytes < seen->bytes)
        shorten(store, seen, (uint32_t)message->bytes);
    if (ipc__store_is_strict(store))
        ipc__heap_remove(store, seen->n);
    if ((store->flags & IPC_QUEUE_PRIORITY) != 0)
        store_relaxed(&seen->slot->priority, message->priority);
    make_ready(store, seen, 1);
    /* Others behind it may have been waiting for it. */
    count_messages(store, 1, store->state->ready != 0 ? INT_MAX : 1);
    ipc__busy_remove(store, seen->n);
    ipc__heap_push(store, seen->n);
}

int ipc__store_commit(struct ipc_queue *queue, ipc_message *message, bool abort)
{
    struct ipc__store store;
    struct ipc__entry_seen seen;
    int rc = ipc__store_view(queue, &store);
    if (rc == 0)
        rc = ipc__store_lock(&store);
    if (rc != 0)
        return rc;
    if (message->token_[1] != ipc__self.id ||
        !ipc__entry_find(&store, message, IPC__ENTRY_WRITING, &seen) ||
        load_relaxed(&seen.slot->owner) != ipc__self.id)
        rc = -EINVAL;
    else if (abort)
        ipc__entry_abort(&store, &seen);
    else if (message->bytes > seen.bytes)
        rc = -EMSGSIZE;
    else
        commit(&store, &seen, message);
    ipc__store_unlock(&store);
    if (rc == -EINVAL)
        return ipc__queue_fail(queue, rc,
                               "has no such reservation of this thread");
    if (rc == -EMSGSIZE)
        return ipc__queue_fail_size(queue, message->bytes, seen.bytes,
                                    "and reserved were");
    *message = (ipc_message){0};
    return 0;
}

/* ---- put ---- */

static int put_long(struct ipc_queue *queue, const void *data, size_t bytes,
                    uint32_t priority, ipc_deadline deadline)
{
    ipc_message message;
    const int rc = reserve(queue, bytes, priority, &message, deadline);
    if (rc != 0)
        return rc;
    memcpy(message.data, data, bytes);
    return ipc__store_commit(queue, &message, false);
}

static void write_short(const struct ipc__store *store, const struct want *w,
                        const void *data, uint32_t i)
{
    struct ipc__entry_seen seen;
    write_entry(store, w, &seen);
    if (w->bytes != 0)
        memcpy(seen.data, data, w->bytes);
    make_ready(store, &seen, i);
}

int ipc__store_put(struct ipc_queue *queue, const void *data, size_t bytes,
                   uint32_t priority, ipc_deadline deadline)
{
    struct ipc__store store;
    struct want w;
    int rc = begin(queue, bytes, priority, &store, &w);
    if (unlikely(rc != 0))
        return rc;
    if (w.pages != 0)
        return put_long(queue, data, bytes, priority, deadline);
    rc = begin_put(&store, &w, deadline);
    if (unlikely(rc != 0))
        return rc;
    write_short(&store, &w, data, 1);
    count_messages(&store, 1, 1);
    ipc__heap_push(&store, w.n);
    ipc__store_unlock(&store);
    return 0;
}

/* ---- batches ---- */

#define MOST 256u /* that one system call can count */

/* With the guard and room for the first: as many short ones as there is room
 * for. */
static uint32_t put_more(const struct ipc__store *store, struct want *w,
                         const ipc_queue_item *items, size_t n)
{
    uint32_t slots[MOST];
    uint32_t done = 0;
    for (;;) {
        write_short(store, w, items[done].data, done + 1);
        slots[done++] = w->n;
        if (done == n || done == MOST || items[done].bytes > store->cell)
            break;
        w->bytes = (uint32_t)items[done].bytes;
        if (find_room(store, w) != 0)
            break;
    }
    count_messages(store, done, (int)done);
    for (uint32_t i = 0; i < done; i++)
        ipc__heap_push(store, slots[i]);
    return done;
}

static int put_some(struct ipc_queue *queue, const ipc_queue_item *items,
                    size_t n, ipc_deadline deadline)
{
    struct ipc__store store;
    struct want w;
    int rc = begin(queue, items[0].bytes, 0, &store, &w);
    if (rc == 0 && w.pages != 0) {
        rc = put_long(queue, items[0].data, items[0].bytes, 0, deadline);
        return rc == 0 ? 1 : rc;
    }
    if (rc == 0)
        rc = begin_put(&store, &w, deadline);
    if (rc != 0)
        return rc;
    const uint32_t done = put_more(&store, &w, items, n);
    ipc__store_unlock(&store);
    return (int)done;
}

int ipc__store_putv(struct ipc_queue *queue, const ipc_queue_item *items,
                    size_t n, ipc_deadline deadline)
{
    size_t done = 0;
    while (done < n) {
        const int rc = put_some(queue, items + done, n - done, deadline);
        if (rc < 0)
            return done != 0 ? (int)done : rc;
        done += (size_t)rc;
    }
    return (int)done;
}
