/* Lists: the body of a list and what the files of it do for each other.
 *
 * The items lie in a ring of slots whose number is a power of two: item i is in
 * slot (first + i) modulo the capacity.  A ring of up to IPC__LIST_CHUNK slots
 * is one block; a larger one is a directory of blocks with that many slots each,
 * of which those that hold no item need not be there. */
#ifndef IPC_OBJECT_LIST_H
#define IPC_OBJECT_LIST_H

#include <ipc/list.h>

#include <errno.h>

#include "object/object.h"

#define IPC__LIST_LEAST      4    /* slots of the smallest ring */
#define IPC__LIST_CHUNK      1024 /* slots of a chunk */
#define IPC__LIST_CHUNK_BITS 10
#define IPC__LIST_CHUNK_BYTES                                                  \
    (IPC__LIST_CHUNK * (uint64_t)sizeof(struct ipc__item))

struct ipc__list_body {
    struct ipc__body head;
    uint64_t first;    /* the slot of item 0 */
    uint64_t capacity; /* slots; 0: only while it is made and drained */
    uint64_t slots;    /* offset of the only chunk, or of the directory */
    uint64_t spare;    /* offset of a chunk for later, or 0 */
    uint64_t reserved;
};

_Static_assert(sizeof(struct ipc__item) == 16, "an item is two words");
_Static_assert(sizeof(struct ipc__list_body) == 64, "the body of a list");

/* A list as a visit sees it: what was read once, and found to make sense. */
struct ipc__list {
    struct ipc__visit *v;
    struct ipc__object *object;
    struct ipc__list_body *body; /* NULL: the list has none */
    uint64_t first;
    uint64_t count;
    uint64_t capacity;
    void *slots; /* struct ipc__item, or the directory's offsets */
};

static inline uint64_t ipc__list_slots_bytes(uint64_t capacity)
{
    return capacity <= IPC__LIST_CHUNK
               ? capacity * sizeof(struct ipc__item)
               : (capacity >> IPC__LIST_CHUNK_BITS) * sizeof(uint64_t);
}

/* False, and v->rc, if the body makes no sense. */
static inline bool ipc__list_look_at(struct ipc__visit *v, uint64_t at,
                                     struct ipc__list *l)
{
    l->v = v;
    struct ipc__list_body *body = ipc__at(v, at, sizeof *body);
    if (unlikely(body == NULL))
        return false;
    l->body = body;
    l->first = load_relaxed(&body->first);
    l->count = load_relaxed(&body->head.count);
    l->capacity = load_relaxed(&body->capacity);
    /* No more than there can be: a loop over all items has an end even where a
     * directory names the same chunk again and again. */
    if (unlikely(l->capacity < IPC__LIST_LEAST ||
                 (l->capacity & (l->capacity - 1)) != 0 ||
                 l->count > l->capacity ||
                 l->count > v->end / sizeof(struct ipc__item))) {
        (void)ipc__visit_spoilt(v, "the body of a list");
        return false;
    }
    l->slots = ipc__at(v, load_relaxed(&body->slots),
                       ipc__list_slots_bytes(l->capacity));
    return l->slots != NULL;
}

static inline bool ipc__list_look(struct ipc__visit *v,
                                  struct ipc__object *object,
                                  struct ipc__list *l)
{
    const uint64_t at = load_relaxed(&object->body);
    l->object = object;
    if (likely(at != 0))
        return ipc__list_look_at(v, at, l);
    l->v = v;
    l->body = NULL;
    l->first = l->count = l->capacity = 0;
    l->slots = NULL;
    return true;
}

/* ---- slots ---- */

static inline bool ipc__list_is_small(const struct ipc__list *l)
{
    return l->capacity <= IPC__LIST_CHUNK;
}

/* Where a chunk of the directory is told. */
static inline uint64_t *ipc__list_entry(const struct ipc__list *l,
                                        uint64_t position)
{
    return (uint64_t *)l->slots +
           ((position & (l->capacity - 1)) >> IPC__LIST_CHUNK_BITS);
}

/* The slot of an item; also of one that is to be, where the chunk is there.
 * NULL, and v->rc. */
static inline struct ipc__item *ipc__list_slot(const struct ipc__list *l,
                                               uint64_t index)
{
    const uint64_t position = l->first + index;
    if (ipc__list_is_small(l))
        return (struct ipc__item *)l->slots + (position & (l->capacity - 1));
    struct ipc__item *chunk =
        ipc__at(l->v, load_relaxed(ipc__list_entry(l, position)),
                IPC__LIST_CHUNK_BYTES);
    return likely(chunk != NULL) ? chunk + (position & (IPC__LIST_CHUNK - 1))
                                 : NULL;
}

static inline struct ipc__item ipc__list_load(const struct ipc__item *slot)
{
    struct ipc__item item;
    item.words[0] = load_relaxed(&slot->words[0]);
    item.words[1] = load_relaxed(&slot->words[1]);
    return item;
}

/* An item, read once; false, and v->rc. */
static inline bool ipc__list_read(const struct ipc__list *l, uint64_t index,
                                  struct ipc__item *out)
{
    const struct ipc__item *slot = ipc__list_slot(l, index);
    if (unlikely(slot == NULL))
        return false;
    *out = ipc__list_load(slot);
    return true;
}

/* ---- many slots (list_slots.c) ----
 *
 * Those that return false have set v->rc, and undo nothing: the visit does. */

/* The slots from an index on that lie side by side, at most *items of them. */
struct ipc__item *ipc__list_run(const struct ipc__list *l, uint64_t index,
                                uint64_t *items);

/* Save slots that will be written; the chunks are there. */
bool ipc__list_save(const struct ipc__list *l, uint64_t index, uint64_t items);

/* Copy to memory of the process, or that nobody else has yet; and from there
 * to slots that are free, or saved. */
bool ipc__list_fetch(const struct ipc__list *l, uint64_t index, uint64_t items,
                     struct ipc__item *out);
bool ipc__list_store(const struct ipc__list *l, uint64_t index, uint64_t items,
                     const struct ipc__item *from);

/* Towards the beginning, or the end; both may overlap. */
bool ipc__list_move_down(const struct ipc__list *l, uint64_t from, uint64_t to,
                         uint64_t items);
bool ipc__list_move_up(const struct ipc__list *l, uint64_t from, uint64_t to,
                       uint64_t items);

/* ---- the ring (list_ring.c) ---- */

/* Make `added` slots where `removed` items are, to be written, without the
 * journal, by the caller.  What the items held is the caller's. */
bool ipc__list_splice(struct ipc__list *l, uint64_t index, uint64_t removed,
                      uint64_t added);

/* How many chunks of the directory hold items. */
static inline uint64_t ipc__list_chunks(uint64_t first, uint64_t count)
{
    return count == 0 ? 0
                      : ((first & (IPC__LIST_CHUNK - 1)) + count +
                         IPC__LIST_CHUNK - 1) >>
                            IPC__LIST_CHUNK_BITS;
}

/* More, or fewer, of its items are handles. */
static inline void ipc__list_nested(const struct ipc__list *l, uint64_t more,
                                    uint64_t fewer)
{
    if (unlikely(more != fewer)) {
        uint64_t *nested = &l->body->head.nested;
        ipc__put64(l->v, nested, *nested + more - fewer);
    }
}

/* ---- items ---- */

/* Append an item that was made.  0 or v->rc.  (list.c) */
int ipc__list_append(struct ipc__visit *v, struct ipc__object *object,
                     const struct ipc__item *item);

/* Add count items at an index, made of values, instead of `removed` ones.  The
 * object is told to have changed.  0 or v->rc.  (list_many.c) */
int ipc__list_put_many(struct ipc__list *l, uint64_t index, uint64_t removed,
                       const ipc_any *values, uint64_t count);

/* Take an item out, which was read.  0 or v->rc.  (list.c) */
int ipc__list_take(struct ipc__list *l, uint64_t index,
                   const struct ipc__item *item);

/* As ipc_list_pop() of a local list, and -EINVAL if it is not of the type (0:
 * any will do).  (list.c) */
int ipc__list_pop(ipc_list *list, int64_t index, uint32_t type, ipc_any *out);

/* ---- indexes ---- */

/* Python's index of an item; false, and v->rc is -ERANGE. */
static inline bool ipc__list_index(const struct ipc__list *l, int64_t index,
                                   uint64_t *out)
{
    const uint64_t at =
        index < 0 ? (uint64_t)index + l->count : (uint64_t)index;
    *out = at;
    if (likely(at < l->count))
        return true;
    (void)ipc__visit_fail(l->v, -ERANGE, "index %lld of a list of %llu items",
                          (long long)index, (unsigned long long)l->count);
    return false;
}

/* Python's end of a slice: the nearest index from 0 to count. */
static inline uint64_t ipc__list_clamp(uint64_t count, int64_t index)
{
    if (index < 0)
        return (uint64_t) - (index + 1) < count
                   ? count - (uint64_t) - (index + 1) - 1
                   : 0;
    return (uint64_t)index < count ? (uint64_t)index : count;
}

/* ---- remote ---- */

/* A call whose result is a number, *out. */
int ipc__list_remote_number(ipc_list *list, enum ipc_op op, const ipc_any *args,
                            size_t count, int64_t *out);

/* A call whose result is a handle of this type. */
int ipc__list_remote_handle(ipc_list *list, enum ipc_op op, const ipc_any *args,
                            size_t count, uint32_t type,
                            struct ipc__handle **out);

int ipc__list_remote_replace(ipc_list *list, int64_t start, int64_t stop,
                             const ipc_any *values, size_t count);
int ipc__list_remote_pop(ipc_list *list, int64_t index, uint32_t type,
                         ipc_any *out);
int ipc__list_remote_watch(ipc_list *list, uint64_t *version,
                           ipc_deadline deadline);

#endif
