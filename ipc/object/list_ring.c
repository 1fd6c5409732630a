/* Lists: the ring of slots, how it grows and shrinks.
 *
 * State, under the arena's lock and journalled
 *   the body   see list.h
 *
 * Invariants
 *   1  count is at most capacity, a power of two from 4 on;
 *   2  an entry of the directory is not 0 if and only if the chunk has an item
 *      in it; and no chunk has both the first items and the last ones;
 *   3  nested is the number of items that are handles.
 *
 * What lies in slots that have no item means nothing.  They may be written
 * without the journal, but by a visit in a transaction: an undo of the whole
 * transaction may bring items back to where they were.
 *
 * Order: by the arena's lock.
 *
 * Death: see journal.c. */
#include "object/list.h"

#include <string.h>

/* ---- growing ---- */

static void *alloc(struct ipc__visit *v, uint64_t bytes, uint64_t *at)
{
    *at = ipc__alloc(v, bytes);
    return *at != 0 ? ipc__at(v, *at, bytes) : NULL;
}

static void set_ring(struct ipc__list *l, void *slots, uint64_t at,
                     uint64_t capacity)
{
    struct ipc__list_body *body = l->body;
    ipc__put64(l->v, &body->slots, at);
    ipc__put64(l->v, &body->capacity, capacity);
    ipc__put64(l->v, &body->first, l->first & (capacity - 1));
    l->slots = slots;
    l->capacity = capacity;
}

static bool make_body(struct ipc__list *l)
{
    uint64_t at;
    struct ipc__list_body *body = alloc(l->v, sizeof *body, &at);
    if (body == NULL)
        return false;
    memset(body, 0, sizeof *body);
    ipc__put64(l->v, &l->object->body, at);
    l->body = body;
    return true;
}

/* A larger chunk, or the first one, for so many items in all. */
static bool grow_chunk(struct ipc__list *l, uint64_t total)
{
    const uint64_t old = l->body->slots;
    uint64_t capacity = IPC__LIST_LEAST;
    while (capacity < total)
        capacity *= 4;
    uint64_t at;
    struct ipc__item *chunk = alloc(l->v, ipc__list_slots_bytes(capacity), &at);
    if (chunk == NULL || !ipc__list_fetch(l, 0, l->count, chunk))
        return false;
    if (l->capacity != 0)
        ipc__park(l->v, old, IPC__PARKED_BLOCK);
    l->first = 0;
    set_ring(l, chunk, at, capacity);
    return l->v->rc >= 0;
}

/* A directory for so many items, and a part of a chunk at either end. */
static uint64_t *alloc_directory(struct ipc__list *l, uint64_t least,
                                 uint64_t items, uint64_t *at,
                                 uint64_t *capacity)
{
    uint64_t entries = least;
    while (entries < (items >> IPC__LIST_CHUNK_BITS) + 2)
        entries *= 2;
    *capacity = entries << IPC__LIST_CHUNK_BITS;
    uint64_t *directory = alloc(l->v, entries * sizeof *directory, at);
    if (directory != NULL)
        memset(directory, 0, entries * sizeof *directory);
    return directory;
}

/* From one chunk, of full size, to a directory.  The items that lie before the
 * first one in the chunk go to another chunk. */
static bool make_directory(struct ipc__list *l, uint64_t items)
{
    const uint64_t chunk = l->body->slots;
    const uint64_t stay = l->count < IPC__LIST_CHUNK - l->first
                              ? l->count
                              : IPC__LIST_CHUNK - l->first;
    uint64_t at;
    uint64_t capacity;
    uint64_t *directory = alloc_directory(l, 2, items, &at, &capacity);
    if (directory == NULL)
        return false;
    if (l->count == 0)
        ipc__put64(l->v, &l->body->spare, chunk);
    else
        directory[0] = chunk;
    if (stay < l->count) {
        struct ipc__item *other =
            alloc(l->v, IPC__LIST_CHUNK_BYTES, &directory[1]);
        if (other == NULL || !ipc__list_fetch(l, stay, l->count - stay, other))
            return false;
    }
    set_ring(l, directory, at, capacity);
    return l->v->rc >= 0;
}

static bool grow_directory(struct ipc__list *l, uint64_t items)
{
    const uint64_t old = l->body->slots;
    const uint64_t chunks = ipc__list_chunks(l->first, l->count);
    const uint64_t entries = l->capacity >> IPC__LIST_CHUNK_BITS;
    uint64_t at;
    uint64_t capacity;
    uint64_t *directory =
        alloc_directory(l, 2 * entries, items, &at, &capacity);
    if (directory == NULL)
        return false;
    for (uint64_t i = 0; i < chunks; i++)
        directory[i] = load_relaxed(
            ipc__list_entry(l, l->first + (i << IPC__LIST_CHUNK_BITS)));
    ipc__park(l->v, old, IPC__PARKED_BLOCK);
    l->first &= IPC__LIST_CHUNK - 1;
    set_ring(l, directory, at, capacity);
    return l->v->rc >= 0;
}

static bool add_chunk(const struct ipc__list *l, uint64_t position)
{
    struct ipc__list_body *body = l->body;
    uint64_t at = load_relaxed(&body->spare);
    if (at != 0)
        ipc__put64(l->v, &body->spare, 0);
    else if (alloc(l->v, IPC__LIST_CHUNK_BYTES, &at) == NULL)
        return false;
    ipc__put64(l->v, ipc__list_entry(l, position), at);
    return l->v->rc >= 0;
}

/* Chunks for more items, before the first one or behind the last. */
static bool grow_large(struct ipc__list *l, uint64_t more, bool front)
{
    const uint64_t used = ipc__list_chunks(l->first, l->count);
    const uint64_t before = l->first & (IPC__LIST_CHUNK - 1);
    uint64_t needed = ipc__list_chunks(l->first, l->count + more);
    if (front)
        needed =
            used + (more > before ? ipc__list_chunks(0, more - before) : 0);
    if (needed > l->capacity >> IPC__LIST_CHUNK_BITS &&
        !grow_directory(l, l->count + more))
        return false;
    for (uint64_t i = used; i < needed; i++) {
        const uint64_t chunks = front ? used - 1 - i : i;
        if (!add_chunk(l, l->first + (chunks << IPC__LIST_CHUNK_BITS)))
            return false;
    }
    return true;
}

/* Have slots for more items, before the first one or behind the last. */
static bool grow(struct ipc__list *l, uint64_t more, bool front)
{
    struct ipc__visit *v = l->v;
    if (more > v->limit / sizeof(struct ipc__item)) {
        (void)ipc__visit_fail(v, -ENOSPC,
                              "%llu items do not fit into the arena",
                              (unsigned long long)more);
        return false;
    }
    if (l->body == NULL && !make_body(l))
        return false;
    const uint64_t total = l->count + more;
    if (ipc__list_is_small(l)) {
        if (total <= l->capacity)
            return true;
        if (total <= IPC__LIST_CHUNK)
            return grow_chunk(l, total);
        if (l->capacity < IPC__LIST_CHUNK && !grow_chunk(l, IPC__LIST_CHUNK))
            return false;
        l->first &= IPC__LIST_CHUNK - 1;
        if (!make_directory(l, total))
            return false;
    }
    return grow_large(l, more, front);
}

/* ---- shrinking ---- */

/* A chunk has no items any more.  One is kept: a list that goes up and down
 * past the beginning of a chunk does not allocate each time. */
static bool drop_chunk(const struct ipc__list *l, uint64_t position)
{
    uint64_t *entry = ipc__list_entry(l, position);
    const uint64_t at = load_relaxed(entry);
    if (at == 0) {
        (void)ipc__visit_spoilt(l->v, "a chunk of a list is missing");
        return false;
    }
    ipc__put64(l->v, entry, 0);
    if (l->body->spare == 0)
        ipc__put64(l->v, &l->body->spare, at);
    else
        ipc__park(l->v, at, IPC__PARKED_BLOCK);
    return l->v->rc >= 0;
}

/* Chunks that lie outside of the items which are left. */
static bool shrink(const struct ipc__list *l, uint64_t first, uint64_t count)
{
    if (ipc__list_is_small(l))
        return true;
    uint64_t skip = 0; /* chunks that are empty at the beginning */
    if (l->first != first)
        skip = ((first & (IPC__LIST_CHUNK - 1)) + (l->first - first)) >>
               IPC__LIST_CHUNK_BITS;
    const uint64_t had = ipc__list_chunks(first, count);
    const uint64_t has = ipc__list_chunks(l->first, l->count);
    for (uint64_t i = 0; i < had; i++)
        if ((i < skip || i >= skip + has) &&
            !drop_chunk(l, first + (i << IPC__LIST_CHUNK_BITS)))
            return false;
    return true;
}

/* ---- both ---- */

/* Move what is behind.  In a visit of its own the slots behind the last item
 * are free. */
static bool splice_back(const struct ipc__list *l, uint64_t index,
                        uint64_t removed, uint64_t added)
{
    const uint64_t after = l->count - index - removed;
    uint64_t end = index + added + after;
    if (l->v->outer && end > l->count)
        end = l->count;
    if (!ipc__list_save(l, index, end - index))
        return false;
    return added > removed
               ? ipc__list_move_up(l, index + removed, index + added, after)
               : ipc__list_move_down(l, index + removed, index + added, after);
}

/* Move what is before: the items have new indexes then. */
static bool splice_front(struct ipc__list *l, uint64_t index, uint64_t removed,
                         uint64_t added)
{
    const uint64_t by = added - removed; /* may be less than 0 */
    uint64_t from = 0;
    if (l->v->outer && added > removed)
        from = by;
    l->first -= by;
    if (!ipc__list_save(l, from, index + added - from))
        return false;
    ipc__put64(l->v, &l->body->first, l->first & (l->capacity - 1));
    return added > removed ? ipc__list_move_down(l, by, 0, index)
                           : ipc__list_move_up(l, by, 0, index);
}

bool ipc__list_splice(struct ipc__list *l, uint64_t index, uint64_t removed,
                      uint64_t added)
{
    const bool front = index < l->count - index - removed;
    if (added > removed && !grow(l, added - removed, front))
        return false;
    const uint64_t first = l->first;
    const uint64_t count = l->count;
    if (front ? !splice_front(l, index, removed, added)
              : !splice_back(l, index, removed, added))
        return false;
    l->count = count - removed + added;
    if (l->count == count)
        return true;
    ipc__put64(l->v, &l->body->head.count, l->count);
    return added > removed || shrink(l, first, count);
}
