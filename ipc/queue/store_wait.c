/* Store: what the dead leave, and waiting.  See store.c.
 *
 * Who waits sleeps on its word and on the lives of some who have something; and
 * no longer than until the first lease runs out.  Who begins a lease wakes one
 * of those who sleep for a message, so that one of them at least knows of
 * it. */
#include <errno.h>

#include "core/error.h"
#include "kernel/memory.h"
#include "queue/store.h"
#include "queue/users.h"
#include "wait/look.h"

/* ---- the dead, and what ran out ---- */

static void watch(struct ipc__store_waiting *w, const struct ipc__peer *peer)
{
    if (peer->life == NULL)
        return;
    for (uint32_t i = 1; i < w->count; i++)
        if (w->words[i].word == peer->life)
            return;
    if (w->count < IPC__STORE_WATCHED)
        w->words[w->count++] =
            (struct ipc__futex){peer->life, peer->life_if_alive};
}

static bool is_leased(const struct ipc__entry_seen *seen)
{
    return seen->state == IPC__ENTRY_LEASED ||
           seen->state == IPC__ENTRY_LEASED_DEAD;
}

bool ipc__entry_is_over(const struct ipc__store *store,
                        const struct ipc__entry_seen *seen, bool thorough,
                        struct ipc__peer *peer)
{
    const uint64_t owner = load_relaxed(&seen->slot->owner);
    *peer = (struct ipc__peer){.dead = false};
    if (is_leased(seen) && ipc_time_left(load_relaxed(&seen->slot->lease)) == 0)
        return true;
    if (owner != ipc__self.id)
        ipc__peer_look(store->queue, owner, thorough, peer);
    return peer->dead;
}

/* Whose it was cannot, or may not, have it any more. */
void ipc__entry_end(const struct ipc__store *store,
                    const struct ipc__entry_seen *seen)
{
    switch (seen->state) {
    case IPC__ENTRY_WRITING:
        ipc__entry_abort(store, seen);
        break;
    case IPC__ENTRY_GETTING:
        ipc__busy_remove(store, seen->n);
        ipc__entry_free(store, seen, false);
        break;
    default:
        ipc__store_wake_all(&store->queue->tail);
        ipc__entry_give_back(store, seen);
        break;
    }
}

static bool is_busy(const struct ipc__entry_seen *seen)
{
    return seen->state != IPC__ENTRY_FREE && seen->state != IPC__ENTRY_READY &&
           seen->state != IPC__ENTRY_DEAD;
}

/* The i-th that is busy.  False: it is not, whatever the list says. */
static bool look_at_busy(const struct ipc__store *store, uint32_t i,
                         struct ipc__entry_seen *seen)
{
    return ipc__entry_look(store, load_relaxed(&store->lists[i].busy), seen) &&
           is_busy(seen) && load_relaxed(&seen->slot->seat) == i;
}

static uint32_t count_busy(const struct ipc__store *store)
{
    const uint32_t n = load_relaxed(&store->state->busy);
    return n < store->capacity ? n : store->capacity;
}

bool ipc__store_sweep(struct ipc__store_waiting *w)
{
    struct ipc__store *store = w->store;
    struct ipc__entry_seen seen;
    struct ipc__peer peer;
    bool found = false;
    w->count = 1; /* the first will be the word */
    w->others = 0;
    w->first_lease = IPC_TIME_FOREVER;
    for (uint32_t i = count_busy(store); i-- > 0;) {
        /* The last one may have moved to where one was removed. */
        if (i >= count_busy(store) || !look_at_busy(store, i, &seen))
            continue;
        if (ipc__entry_is_over(store, &seen, w->thorough, &peer)) {
            ipc__entry_end(store, &seen);
            found = true;
            continue;
        }
        watch(w, &peer);
        w->others += seen.state != IPC__ENTRY_GETTING &&
                     load_relaxed(&seen.slot->owner) != ipc__self.id;
        const ipc_deadline lease = load_relaxed(&seen.slot->lease);
        if (is_leased(&seen) && lease < w->first_lease)
            w->first_lease = lease;
    }
    return found;
}

void ipc__store_sweep_one(struct ipc__store *store)
{
    const uint32_t busy = count_busy(store);
    struct ipc__entry_seen seen;
    struct ipc__peer peer;
    if (likely(busy == 0))
        return;
    const uint32_t i = store->state->turn++ % busy;
    if (look_at_busy(store, i, &seen) &&
        ipc__entry_is_over(store, &seen, false, &peer))
        ipc__entry_end(store, &seen);
}

/* ---- waiting ---- */

/* Nobody has, or may have, anything of it. */
static bool is_unused(const struct ipc__store *store)
{
    const struct ipc__store_state *state = store->state;
    return load_relaxed(&state->busy) == 0 &&
           ((load_relaxed(&state->heap) == 0 &&
             load_relaxed(&state->dead) == 0) ||
            ipc__store_is_dropped(store));
}

/* What is dropped stays where it lies, without its bytes. */
static void release_pages(const struct ipc__store *store)
{
    struct ipc__store_state *state = store->state;
    if (ipc__store_is_dropped(store)) {
        ipc__pages_clear(&store->pages);
    } else {
        store_relaxed(&state->free, 0u);
        store_relaxed(&state->high, 0u);
    }
    ipc__pages_trim(&store->pages);
}

static void release_cells(const struct ipc__store *store)
{
    struct ipc__store_state *state = store->state;
    const uint32_t present = load_relaxed(&state->cells_present);
    if (present <= IPC__STORE_PIECE || present > store->capacity)
        return;
    store_relaxed(&state->cells_present, IPC__STORE_PIECE);
    const uintptr_t from =
        ((uintptr_t)store->cells + (size_t)IPC__STORE_PIECE * store->cell +
         IPC__PAGE - 1) &
        ~(uintptr_t)(IPC__PAGE - 1);
    const uintptr_t to =
        ((uintptr_t)store->cells + (size_t)present * store->cell) &
        ~(uintptr_t)(IPC__PAGE - 1);
    if (from < to)
        ipc__memory_release((void *)from, to - from, 0);
}

void ipc__store_trim(const struct ipc__store *store)
{
    if (!is_unused(store))
        return;
    release_pages(store);
    release_cells(store);
}

/* There was no message. */
static void rest(const struct ipc__store_waiting *w, int64_t ns)
{
    const struct ipc__store *store = w->store;
    if (w->word == &store->queue->tail && is_unused(store) &&
        ipc__queue_is_idle(store->queue, ns))
        ipc__store_trim(store);
}

static void ask_to_be_woken(struct ipc__store_waiting *w)
{
    const uint32_t seen = or_relaxed(w->word, IPC__QUEUE_SLEEPERS);
    w->words[0] = (struct ipc__futex){w->word, seen | IPC__QUEUE_SLEEPERS};
}

int ipc__store_look_done(const struct ipc__store_waiting *w,
                         struct ipc__look *look, int rc)
{
    for (uint32_t i = 0; rc == 1 && look->marks && i < w->count; i++)
        (i == 0 ? ipc__look_add : ipc__look_add_life)(look, w->words[i].word,
                                                      w->words[i].expected);
    if (rc == 1 && w->first_lease < look->until)
        look->until = w->first_lease;
    return rc < 0 ? rc : rc == 0;
}

static void go_to_sleep(struct ipc__store_waiting *w)
{
    const struct ipc__store *store = w->store;
    ask_to_be_woken(w);
    const ipc_deadline until =
        w->deadline < w->first_lease ? w->deadline : w->first_lease;
    rest(w, ipc__recheck_ns);
    ipc__store_unlock(store);
    w->thorough =
        ipc__queue_sleep(store->queue, &w->pace, w->words, w->count, until);
    w->slept = true;
    w->spun = false;
}

/* For a message: there will be none any more, as none of those that others
 * have may come back, or come to be. */
static bool is_over(const struct ipc__store_waiting *w)
{
    const struct ipc__store *store = w->store;
    return w->word == &store->queue->tail && ipc__store_is_closed(store) &&
           load_relaxed(&store->state->ready) == 0 && w->others == 0;
}

int ipc__store_wait(struct ipc__store_waiting *w)
{
    const struct ipc__store *store = w->store;
    const uint32_t seen = load_relaxed(w->word);
    int rc = 0;
    if (ipc__store_sweep(w)) {
        ipc__store_unlock(store); /* look again */
    } else if (is_over(w)) {
        rc = -EPIPE;
    } else if (w->deadline == IPC_TIME_NOW) {
        rc = -EAGAIN;
    } else if (ipc_time_left(w->deadline) == 0) {
        rc = -ETIMEDOUT;
    } else if (!w->spun) {
        w->spun = true;
        ipc__store_unlock(store);
        (void)ipc__spin(w->word, seen);
    } else if (w->look != NULL) {
        rc = 1;
        if (w->look->marks)
            ask_to_be_woken(w);
    } else {
        go_to_sleep(w);
    }
    if (rc != 0) {
        rest(w, rc == -EPIPE ? 0 : ipc__recheck_ns);
        ipc__store_leave(w);
    }
    return rc;
}

void ipc__store_leave(const struct ipc__store_waiting *w)
{
    const struct ipc__store *store = w->store;
    if (unlikely(w->slept) && load_relaxed(&store->state->busy) != 0)
        ipc__store_wake_watcher(store);
    ipc__store_unlock(store);
}
