/* Objects: containers in an arena, handles to them, and the items in them. */
#ifndef IPC_OBJECT_OBJECT_H
#define IPC_OBJECT_OBJECT_H

#include <ipc/any.h>
#include <ipc/remote.h>

#include "object/arena.h"

/* A container: what handles and items point to.  What it holds is its body, so
 * that it can be emptied in one step. */
struct ipc__object {
    uint64_t link;    /* parked: to the next one */
    uint64_t serial;  /* no other object of the arena has or had it */
    uint64_t type;    /* enum ipc_type, and IPC__OBJECT_... */
    uint64_t refs;    /* items, names and ..._new() that hold it */
    uint64_t version; /* counts its changes, from 1 */
    uint64_t body;    /* offset; 0: it is empty */
};

#define IPC__OBJECT_TYPE    0xffu
#define IPC__OBJECT_OWNED   0x100u /* by ..._new(), until ..._free() */
#define IPC__OBJECT_WATCHED 0x200u /* ring when it changes */

/* The first words of every body. */
struct ipc__body {
    uint64_t link;   /* parked: to the next one */
    uint64_t count;  /* items */
    uint64_t nested; /* of them: handles */
};

/* ---- handles ---- */

/* What ipc_list *, ipc_dict *, ... point to.  Private to the process, but those
 * of ..._new() in family memory lie there too. */
struct ipc__handle {
    uint32_t type;    /* enum ipc_type; 0: ended */
    uint32_t family;  /* it lies in family memory */
    ipc_arena *arena; /* NULL: it is remote */
    uint64_t at;      /* remote: its data */
    uint64_t serial;
    const ipc_remote *remote;
    uint64_t owner; /* it is that of ..._new(), for ..._free() only */
    uint64_t next;  /* ended in a transaction that goes on: see handle.c */
    uint64_t reserved;
};

struct ipc_list {
    struct ipc__handle handle;
};
struct ipc_dict {
    struct ipc__handle handle;
};
struct ipc_set {
    struct ipc__handle handle;
};
struct ipc_namespace {
    struct ipc__handle handle;
};

/* The object of a handle into the arena that is visited; NULL: it is no more.
 * Its memory may be anything by now, but for its serial, which nobody else
 * writes; and its offset may be above the top. */
static inline struct ipc__object *
ipc__handle_object(const struct ipc__visit *v, const struct ipc__handle *handle)
{
    const uint64_t at = handle->at;
    if (unlikely(at < sizeof(struct ipc_arena) || at % 8 != 0 || at > v->end ||
                 v->end - at < sizeof(struct ipc__object)))
        return NULL;
    struct ipc__object *object =
        (struct ipc__object *)(void *)((char *)v->arena + at);
    return likely(object->serial == handle->serial) ? object : NULL;
}

/* Enter the handle's arena and find its object: 0, or an error (-ESTALE,
 * -EINVAL a handle of another type), and nothing was entered. */
int ipc__handle_enter(struct ipc__visit *v, const struct ipc__handle *handle,
                      uint32_t type, struct ipc__object **out);

/* A handle of an object, malloc'ed: NULL, and v->rc is -ENOMEM. */
struct ipc__handle *ipc__handle_make(struct ipc__visit *v,
                                     const struct ipc__object *object);

/* Its memory is given back; NULL is fine.  -EINVAL it is that of ..._new(),
 * which ..._free() ends. */
int ipc__handle_close(struct ipc__handle *handle);

/* As ..._new() and ..._free(). */
int ipc__handle_new(ipc_arena *arena, uint32_t type, struct ipc__handle **out);
int ipc__handle_free(struct ipc__handle *handle, uint32_t type);

/* The calling thread's transaction has ended, and is over: what was freed in it
 * is, or is not. */
void ipc__handles_settle(const ipc_arena *arena);

/* ---- objects ---- */

/* A new, empty one, held by nobody yet; NULL, and v->rc. */
struct ipc__object *ipc__object_make(struct ipc__visit *v, uint32_t type);

/* The object at an offset; NULL, and v->rc is -EUCLEAN, if there is none. */
struct ipc__object *ipc__object_at(struct ipc__visit *v, uint64_t offset);

/* One more, or one less, holds it.  With the last one it is parked. */
void ipc__object_hold(struct ipc__visit *v, struct ipc__object *object);
void ipc__object_drop(struct ipc__visit *v, struct ipc__object *object);

/* Is it this one, or is this one in it, or in what is in it, and so on?  Also
 * true if v->rc is an error now. */
bool ipc__object_holds(struct ipc__visit *v, struct ipc__object *object,
                       const struct ipc__object *wanted);

/* It was changed: the version counts on, and who watches it is told.  They
 * mark it again before they sleep again, so that what nobody watches any more
 * costs nothing. */
static inline void ipc__object_changed(struct ipc__visit *v,
                                       struct ipc__object *object)
{
    ipc__put64(v, &object->version, object->version + 1);
    if (unlikely((object->type & IPC__OBJECT_WATCHED) != 0)) {
        ipc__put64(v, &object->type,
                   object->type & ~(uint64_t)IPC__OBJECT_WATCHED);
        ipc__visit_ring(v);
    }
}

/* Call fn with the offset of every object that a body holds, as often as it
 * holds it, until fn returns true.  True: it has.  For who looks what lies
 * below an object; called where body->nested is not 0. */
bool ipc__list_each_nested(struct ipc__visit *v, uint64_t body,
                           bool (*fn)(struct ipc__visit *v, uint64_t object,
                                      void *arg),
                           void *arg);
bool ipc__table_each_nested(struct ipc__visit *v, uint64_t body,
                            bool (*fn)(struct ipc__visit *v, uint64_t object,
                                       void *arg),
                            void *arg);

/* Sleep until the bell rings; the visit is over then.  For watch(): marks the
 * object, leaves and sleeps.  -EBUSY in a transaction; -ETIMEDOUT, -EAGAIN. */
int ipc__object_sleep(struct ipc__visit *v, struct ipc__object *object,
                      ipc_deadline deadline);

/* ---- items: values as they are stored ---- */

#define IPC__ITEM_SHORT 14   /* bytes of a string that lie in the item */
#define IPC__ITEM_LONG  0x80 /* in tag: a string that lies in a block */

struct ipc__item {
    union {
        struct {
            uint8_t tag; /* enum ipc_type, IPC__ITEM_LONG */
            uint8_t length;
            uint8_t text[IPC__ITEM_SHORT];
        };
        struct {
            uint32_t tag_word; /* the tag in its lowest byte, rest 0 */
            uint32_t size;     /* of a long string */
            uint64_t value;    /* the number; or the offset of a block with a
                                  long string, or of an object */
        };
        uint64_t words[2];
    };
} __attribute__((aligned(8)));

/* Bytes that are not needed are 0, integers are I64 if they fit, strings are
 * short if they fit: so items without a block or an object are equal if their
 * words are, but for doubles: 0.0 and NaN have several forms. */

/* Make an item of a value that goes into the object `into` (NULL: a key, which
 * cannot be a handle): copies strings, holds objects.  0 or v->rc: -EINVAL,
 * -EXDEV, -ELOOP, -ENOSPC, -ENOMEM. */
int ipc__item_make_slow(struct ipc__visit *v, const struct ipc__object *into,
                        const ipc_any *value, struct ipc__item *out);
static inline int ipc__item_make(struct ipc__visit *v,
                                 const struct ipc__object *into,
                                 const ipc_any *value, struct ipc__item *out)
{
    if (unlikely(value->type != IPC_TYPE_I64 && value->type != IPC_TYPE_F64))
        return ipc__item_make_slow(v, into, value, out);
    out->words[0] = value->type;
    out->words[1] = value->u64;
    return v->rc;
}

/* The same item once more, in another place. */
int ipc__item_copy(struct ipc__visit *v, const struct ipc__object *into,
                   const struct ipc__item *item, struct ipc__item *out);

/* It is held by a place less: parks its string, drops its object. */
void ipc__item_drop_slow(struct ipc__visit *v, const struct ipc__item *item);
static inline void ipc__item_drop(struct ipc__visit *v,
                                  const struct ipc__item *item)
{
    if (unlikely(item->tag > IPC_TYPE_BYTES))
        ipc__item_drop_slow(v, item);
}

/* While draining: the same, but a string's block is freed now. */
void ipc__item_drain_slow(struct ipc__visit *v, const struct ipc__item *item);
static inline void ipc__item_drain(struct ipc__visit *v,
                                   const struct ipc__item *item)
{
    if (unlikely(item->tag > IPC_TYPE_BYTES))
        ipc__item_drain_slow(v, item);
}

/* The value, for the user: a copy of strings, a handle.  0 or v->rc. */
int ipc__item_get_slow(struct ipc__visit *v, const struct ipc__item *item,
                       ipc_any *out);
static inline int ipc__item_get(struct ipc__visit *v,
                                const struct ipc__item *item, ipc_any *out)
{
    const uint64_t tag = item->words[0];
    if (unlikely(tag != IPC_TYPE_I64 && tag != IPC_TYPE_F64))
        return ipc__item_get_slow(v, item, out);
    out->type = (uint32_t)tag;
    out->size = 0;
    out->u64 = item->words[1];
    return v->rc;
}

/* A look at it: strings are where they lie, handles are *at (which out then
 * points to).  For comparing. */
int ipc__item_look(struct ipc__visit *v, const struct ipc__item *item,
                   struct ipc__handle *at, ipc_any *out);

static inline bool ipc__item_is_handle(const struct ipc__item *item)
{
    return item->tag >= IPC_TYPE_LIST && item->tag <= IPC_TYPE_NAMESPACE;
}

/* Compare with a value, or with another item; an error is in v->rc. */
bool ipc__item_equals_slow(struct ipc__visit *v, const struct ipc__item *item,
                           const ipc_any *value);
static inline bool ipc__item_equals(struct ipc__visit *v,
                                    const struct ipc__item *item,
                                    const ipc_any *value)
{
    if (unlikely(value->type != IPC_TYPE_I64))
        return ipc__item_equals_slow(v, item, value);
    return item->words[0] == IPC_TYPE_I64 && item->words[1] == value->u64;
}
int ipc__item_compare(struct ipc__visit *v, const struct ipc__item *a,
                      const struct ipc__item *b);

/* Write an item into a place that existed before. */
static inline void ipc__item_put(struct ipc__visit *v, struct ipc__item *at,
                                 const struct ipc__item *item)
{
    ipc__put64(v, &at->words[0], item->words[0]);
    ipc__put64(v, &at->words[1], item->words[1]);
}

/* ipc_arena_check(): its string is told, or its object is looked at. */
int ipc__inspect_item(struct ipc__inspection *in, const struct ipc__item *item);

/* One more holds the object: an item, the arena its root, or IPC__OBJECT_OWNED.
 * With the first one it is looked at, and all that it holds. */
int ipc__inspect_object(struct ipc__inspection *in, uint64_t offset);

/* Does each object that was found count as many as hold it?  0 or v->rc. */
int ipc__inspect_refs(struct ipc__inspection *in);

/* At the end, also after errors: free what the others noted. */
void ipc__inspect_end(struct ipc__inspection *in);

/* ---- remote: a handle whose arena is NULL, see <ipc/remote.h> ---- */

static inline bool ipc__is_remote(const struct ipc__handle *handle)
{
    return unlikely(handle->arena == NULL);
}

/* Tell its owner that it is closed, and free it. */
void ipc__remote_close(struct ipc__handle *handle);

/* Call; want results are expected (-EPROTO if there are others), and moved to
 * out[0 .. want - 1]. */
int ipc__remote_call(struct ipc__handle *handle, enum ipc_op op,
                     const ipc_any *args, size_t count, ipc_any *out,
                     size_t want);

/* Call; any number of results. */
int ipc__remote_call_many(struct ipc__handle *handle, enum ipc_op op,
                          const ipc_any *args, size_t count, ipc_anys *out);

#endif
