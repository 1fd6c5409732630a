/* Store: its lists.  All are derived from the entries, so nothing here has to
 * be in any order: who dies in the middle leaves them to be derived again.
 *
 * What they say is shared memory: entries are looked at before they are
 * believed, and a number that is none stands for entry 0. */
#include "queue/store.h"

static struct ipc__entry *entry_at(const struct ipc__store *store, uint32_t n)
{
    return &store->slots[n < store->capacity ? n : 0];
}

static uint32_t length(const struct ipc__store *store, const uint32_t *count)
{
    const uint32_t n = load_relaxed(count);
    return n < store->capacity ? n : store->capacity;
}

/* ---- the heap: no entry comes before its parent ---- */

static uint32_t heap_at(const struct ipc__store *store, uint32_t i)
{
    const uint32_t n = load_relaxed(&store->lists[i].heap);
    return n < store->capacity ? n : 0;
}

static void heap_set(const struct ipc__store *store, uint32_t i, uint32_t n)
{
    store_relaxed(&store->lists[i].heap, n);
    store_relaxed(&entry_at(store, n)->place, i);
}

static bool comes_before(const struct ipc__store *store, uint32_t a, uint32_t b)
{
    const struct ipc__entry *x = entry_at(store, a);
    const struct ipc__entry *y = entry_at(store, b);
    const uint32_t px = load_relaxed(&x->priority);
    const uint32_t py = load_relaxed(&y->priority);
    if (px != py)
        return px > py;
    const uint64_t ox = load_relaxed(&x->order);
    const uint64_t oy = load_relaxed(&y->order);
    return (store->flags & IPC_QUEUE_LIFO) != 0 ? ox > oy : ox < oy;
}

/* n is to be at i, or above it. */
static void sift_up(const struct ipc__store *store, uint32_t i, uint32_t n)
{
    while (i > 0) {
        const uint32_t parent = (i - 1) / 2;
        const uint32_t other = heap_at(store, parent);
        if (!comes_before(store, n, other))
            break;
        heap_set(store, i, other);
        i = parent;
    }
    heap_set(store, i, n);
}

/* n is to be at i, or below it. */
static void sift_down(const struct ipc__store *store, uint32_t i, uint32_t n,
                      uint32_t count)
{
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= count)
            break;
        uint32_t other = heap_at(store, child);
        if (child + 1 < count) {
            const uint32_t right = heap_at(store, child + 1);
            if (comes_before(store, right, other)) {
                other = right;
                child++;
            }
        }
        if (!comes_before(store, other, n))
            break;
        heap_set(store, i, other);
        i = child;
    }
    heap_set(store, i, n);
}

void ipc__heap_push(const struct ipc__store *store, uint32_t n)
{
    const uint32_t count = length(store, &store->state->heap);
    if (count == store->capacity)
        return; /* only garbage is as long as that */
    store_relaxed(&store->state->heap, count + 1);
    sift_up(store, count, n);
}

void ipc__heap_remove(const struct ipc__store *store, uint32_t n)
{
    const uint32_t count = length(store, &store->state->heap);
    const uint32_t i = load_relaxed(&entry_at(store, n)->place);
    if (i >= count || heap_at(store, i) != n)
        return;
    const uint32_t last = heap_at(store, count - 1);
    store_relaxed(&store->state->heap, count - 1);
    if (last == n)
        return;
    if (comes_before(store, last, n))
        sift_up(store, i, last);
    else
        sift_down(store, i, last, count - 1);
}

bool ipc__heap_first(const struct ipc__store *store, uint32_t *n)
{
    *n = heap_at(store, 0);
    return load_relaxed(&store->state->heap) != 0;
}

/* ---- those who are busy, and dead letters ---- */

void ipc__busy_add(const struct ipc__store *store, uint32_t n)
{
    const uint32_t count = length(store, &store->state->busy);
    if (count == store->capacity)
        return;
    store_relaxed(&store->lists[count].busy, n);
    store_relaxed(&entry_at(store, n)->seat, count);
    store_relaxed(&store->state->busy, count + 1);
}

void ipc__busy_remove(const struct ipc__store *store, uint32_t n)
{
    const uint32_t count = length(store, &store->state->busy);
    const uint32_t i = load_relaxed(&entry_at(store, n)->seat);
    if (i >= count || load_relaxed(&store->lists[i].busy) != n)
        return;
    const uint32_t last = load_relaxed(&store->lists[count - 1].busy);
    store_relaxed(&store->lists[i].busy, last);
    store_relaxed(&entry_at(store, last)->seat, i);
    store_relaxed(&store->state->busy, count - 1);
}

void ipc__dead_add(const struct ipc__store *store, uint32_t n)
{
    const uint32_t count = length(store, &store->state->dead);
    if (count == store->capacity)
        return;
    store_relaxed(&store->lists[count].dead, n);
    store_relaxed(&entry_at(store, n)->seat, count);
    store_relaxed(&store->state->dead, count + 1);
}

void ipc__dead_remove(const struct ipc__store *store, uint32_t n)
{
    const uint32_t count = length(store, &store->state->dead);
    const uint32_t i = load_relaxed(&entry_at(store, n)->seat);
    if (i >= count || load_relaxed(&store->lists[i].dead) != n)
        return;
    const uint32_t last = load_relaxed(&store->lists[count - 1].dead);
    store_relaxed(&store->lists[i].dead, last);
    store_relaxed(&entry_at(store, last)->seat, i);
    store_relaxed(&store->state->dead, count - 1);
}

/* ---- the free ---- */

void ipc__free_add(const struct ipc__store *store, uint32_t n)
{
    const uint32_t count = length(store, &store->state->free);
    if (count == store->capacity)
        return;
    store_relaxed(&store->lists[count].free, n);
    store_relaxed(&store->state->free, count + 1);
}

/* ---- from the entries ---- */

static void derive_one(const struct ipc__store *store,
                       const struct ipc__entry_seen *seen)
{
    struct ipc__queue_put *put = &store->queue->put;
    struct ipc__store_state *state = store->state;
    if (seen->state == IPC__ENTRY_FREE) {
        ipc__free_add(store, seen->n);
        return;
    }
    put->used += ipc__store_units(seen->bytes);
    if (seen->pages != 0)
        ipc__pages_mark(&store->pages, seen->page, seen->pages);
    if (seen->state == IPC__ENTRY_READY ||
        (seen->state == IPC__ENTRY_WRITING && ipc__store_is_strict(store))) {
        ipc__heap_push(store, seen->n);
        state->ready += seen->state == IPC__ENTRY_READY;
    }
    if (seen->state == IPC__ENTRY_DEAD)
        ipc__dead_add(store, seen->n);
    else if (seen->state != IPC__ENTRY_READY)
        ipc__busy_add(store, seen->n);
}

void ipc__lists_derive(const struct ipc__store *store)
{
    struct ipc__store_state *state = store->state;
    struct ipc__entry_seen seen;
    const uint32_t high = length(store, &state->high);
    store_relaxed(&state->heap, 0u);
    store_relaxed(&state->busy, 0u);
    store_relaxed(&state->free, 0u);
    store_relaxed(&state->dead, 0u);
    state->ready = 0;
    state->crowded = 1; /* who knows */
    store->queue->put.used = 0;
    ipc__pages_clear(&store->pages);
    for (uint32_t n = 0; n < high; n++)
        if (ipc__entry_look(store, n, &seen)) /* else it stays away */
            derive_one(store, &seen);
}
