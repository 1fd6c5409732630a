/* Store: those who get.  See store.c. */
#include <errno.h>
#include <string.h>

#include "core/error.h"
#include "queue/store_get.h"
#include "wait/look.h"

/* ---- with the guard: the next message ---- */

/* 0, -EAGAIN or -EUCLEAN. */
static int find_message(struct ipc__store_getting *g)
{
    struct ipc__store *store = g->store;
    struct ipc__entry_seen *seen = &g->found;
    struct ipc__peer peer;
    uint32_t n;
    for (uint32_t tries = 0; ipc__heap_first(store, &n); tries++) {
        if (unlikely(!ipc__entry_look(store, n, seen) ||
                     load_relaxed(&seen->slot->place) != 0 ||
                     tries > store->capacity))
            return -EUCLEAN;
        if (likely(seen->state == IPC__ENTRY_READY))
            return 0;
        if (seen->state != IPC__ENTRY_WRITING)
            return -EUCLEAN;
        if (!ipc__entry_is_over(store, seen, g->waiting.thorough, &peer))
            break; /* those behind it wait */
        ipc__entry_end(store, seen);
    }
    return -EAGAIN;
}

static int fail(const struct ipc__store *store, int rc)
{
    return ipc__queue_fail(store->queue, rc,
                           rc == -EPIPE     ? "is closed"
                           : rc == -EUCLEAN ? IPC__QUEUE_SPOILT
                                            : "is empty");
}

int ipc__store_begin_get(struct ipc__store_getting *g)
{
    struct ipc__store *store = g->store;
    for (;;) {
        int rc = ipc__store_lock(store);
        if (unlikely(rc != 0))
            return rc;
        ipc__store_sweep_one(store);
        rc = unlikely(ipc__store_is_dropped(store)) ? -EPIPE : find_message(g);
        if (likely(rc == 0))
            return 0;
        if (rc == -EAGAIN) {
            rc = ipc__store_wait(&g->waiting);
            if (rc == 0)
                continue;
        } else {
            ipc__store_unlock(store);
        }
        return rc > 0 ? rc : fail(store, rc);
    }
}

void ipc__store_init_get(struct ipc__store_getting *g, struct ipc__store *store,
                         ipc_deadline deadline)
{
    *g = (struct ipc__store_getting){.store = store,
                                     .waiting = {.store = store,
                                                 .word = &store->queue->tail,
                                                 .deadline = deadline}};
}

int ipc__store_look_for_message(struct ipc_queue *queue, struct ipc__look *look)
{
    struct ipc__store store;
    struct ipc__store_getting g;
    int rc = ipc__store_view(queue, &store);
    if (rc != 0)
        return rc;
    ipc__store_init_get(&g, &store, IPC_TIME_FOREVER);
    g.waiting.look = look;
    g.waiting.thorough = look->thorough;
    g.waiting.spun = true;
    rc = ipc__store_begin_get(&g);
    if (rc == 0)
        ipc__store_unlock(&store);
    return ipc__store_look_done(&g.waiting, look, rc);
}

static void take_out(const struct ipc__store *store,
                     const struct ipc__entry_seen *seen)
{
    ipc__heap_remove(store, seen->n);
    store->state->ready--;
}

void ipc__store_claim(struct ipc__store_getting *g, enum ipc__entry_state state,
                      uint32_t deliveries)
{
    take_out(g->store, &g->found);
    ipc__entry_claim(g->store, &g->found, state, deliveries);
}

/* ---- get ---- */

/* Done with what was claimed. */
static void drop(const struct ipc__store *store,
                 const struct ipc__entry_seen *seen)
{
    if (ipc__store_is_closed(store)) /* it was the last, perhaps */
        ipc__store_wake_all(&store->queue->tail);
    ipc__busy_remove(store, seen->n);
    ipc__entry_free(store, seen, false);
}

static int get_long(struct ipc__store_getting *g, void *buffer)
{
    struct ipc__store *store = g->store;
    struct ipc__entry_seen seen;
    ipc__store_claim(g, IPC__ENTRY_GETTING, 0);
    ipc__store_leave(&g->waiting);
    memcpy(buffer, g->found.data, g->found.bytes);
    int rc = ipc__store_lock(store);
    if (rc != 0)
        return rc;
    if (ipc__entry_look(store, g->found.n, &seen) && seen.mark == g->found.mark)
        drop(store, &seen);
    else
        rc = -EUCLEAN;
    ipc__store_unlock(store);
    return rc == 0 ? 0 : fail(store, rc);
}

/* With the guard: the short message found. */
static void get_short(const struct ipc__store_getting *g, void *buffer)
{
    if (g->found.bytes != 0)
        memcpy(buffer, g->found.data, g->found.bytes);
    take_out(g->store, &g->found);
    ipc__entry_free(g->store, &g->found, false);
}

/* It does not fit: others who sleep may have more room. */
static int leave_too_long(struct ipc__store_getting *g, size_t room)
{
    const uint32_t bytes = g->found.bytes;
    if (g->waiting.slept)
        ipc__store_wake_all(&g->store->queue->tail);
    ipc__store_leave(&g->waiting);
    return ipc__queue_fail_size(g->store->queue, bytes, room,
                                "but the buffer has");
}

int ipc__store_get(struct ipc_queue *queue, void *buffer, size_t room,
                   size_t *bytes, ipc_deadline deadline)
{
    struct ipc__store store;
    struct ipc__store_getting g;
    int rc = ipc__store_view(queue, &store);
    if (unlikely(rc != 0))
        return rc;
    ipc__store_init_get(&g, &store, deadline);
    rc = ipc__store_begin_get(&g);
    if (unlikely(rc != 0))
        return rc;
    if (bytes != NULL)
        *bytes = g.found.bytes;
    if (unlikely(g.found.bytes > room))
        return leave_too_long(&g, room);
    if (g.found.pages != 0)
        return get_long(&g, buffer);
    get_short(&g, buffer);
    ipc__store_leave(&g.waiting);
    return 0;
}

/* ---- batches ---- */

/* With the guard and a first message: as many short ones as there are and
 * fit. */
static size_t get_some(struct ipc__store_getting *g, ipc_queue_item *items,
                       size_t n)
{
    size_t done = 0;
    do {
        if (g->found.pages != 0 || g->found.bytes > items[done].room)
            break;
        get_short(g, items[done].data);
        items[done].bytes = g->found.bytes;
    } while (++done < n && find_message(g) == 0);
    return done;
}

int ipc__store_getv(struct ipc_queue *queue, ipc_queue_item *items, size_t n,
                    ipc_deadline deadline)
{
    struct ipc__store store;
    struct ipc__store_getting g;
    size_t done = 0;
    int rc = ipc__store_view(queue, &store);
    while (rc == 0 && done < n) {
        ipc__store_init_get(&g, &store, done == 0 ? deadline : IPC_TIME_NOW);
        rc = ipc__store_begin_get(&g);
        if (rc != 0)
            break;
        const size_t some = get_some(&g, items + done, n - done);
        ipc__store_leave(&g.waiting);
        done += some;
        if (some == 0) {
            rc = ipc__store_get(queue, items[done].data, items[done].room,
                                &items[done].bytes, g.waiting.deadline);
            done += rc == 0;
        }
    }
    return rc == 0 || done != 0 ? (int)done : rc;
}

/* ---- in place ---- */

int ipc__store_peek(struct ipc_queue *queue, ipc_message *message,
                    ipc_deadline deadline)
{
    struct ipc__store store;
    struct ipc__store_getting g;
    int rc = ipc__store_view(queue, &store);
    if (rc != 0)
        return rc;
    ipc__store_init_get(&g, &store, deadline);
    rc = ipc__store_begin_get(&g);
    if (rc != 0)
        return rc;
    ipc__store_wake_watcher(&store);
    ipc__store_claim(&g, IPC__ENTRY_PEEKING,
                     ipc__entry_deliveries(g.found.mark));
    ipc__entry_tell(&g.found, message);
    ipc__store_unlock(&store);
    return 0;
}

int ipc__store_release(struct ipc_queue *queue, ipc_message *message, bool keep)
{
    struct ipc__store store;
    struct ipc__entry_seen seen;
    int rc = ipc__store_view(queue, &store);
    if (rc == 0)
        rc = ipc__store_lock(&store);
    if (rc != 0)
        return rc;
    if (message->token_[1] != ipc__self.id ||
        !ipc__entry_find(&store, message, IPC__ENTRY_PEEKING, &seen) ||
        load_relaxed(&seen.slot->owner) != ipc__self.id)
        rc = -EINVAL;
    else if (keep)
        ipc__entry_end(&store, &seen);
    else
        drop(&store, &seen);
    ipc__store_unlock(&store);
    if (rc != 0)
        return ipc__queue_fail(queue, rc, "has no such peek of this thread");
    *message = (ipc_message){0};
    return 0;
}
