/* Tables: the bodies of dicts, sets and namespaces, and what the files of them
 * do for each other.
 *
 * Entries lie in rows, in the order in which their keys came.  Up to
 * IPC__TABLE_CHUNK rows are one block; more are a directory of blocks with that
 * many rows each.  A row is used once: who is removed leaves a dead one behind,
 * until the table is built anew without them.
 *
 * Beside the rows there is an index (but for tables of few rows): slots whose
 * number is a power of two, each 0, or the hash of a key above the number of its
 * row + 1.  A key lies in the slot that its hash names, or in one of those
 * behind it up to the next 0. */
#ifndef IPC_OBJECT_TABLE_H
#define IPC_OBJECT_TABLE_H

#include <errno.h>

#include "object/object.h"

#define IPC__TABLE_CHUNK 256u /* rows */
#define IPC__TABLE_PLAIN 8u   /* a table with more rows has an index */
#define IPC__TABLE_MOST  ((uint64_t)1 << 31)

struct ipc__table {
    struct ipc__body head;
    uint64_t ends;  /* below 2^32: rows used so far; above: live ones end */
    uint64_t first; /* no live row lies before */
    uint64_t shape; /* rows there are, and IPC__SHAPE_... */
    uint64_t rows;  /* offset of the only chunk, or of the directory */
    uint64_t index; /* offset; 0: none */
};

#define IPC__SHAPE_SLOTS 32                  /* bits 32 to 39: log2 of slots */
#define IPC__SHAPE_SET   ((uint64_t)1 << 40) /* rows have no values */
#define IPC__SHAPE_MOVED ((uint64_t)1 << 41) /* what it held is elsewhere */

/* An entry.  In sets it ends with the key. */
struct ipc__row {
    uint64_t mark;   /* live: the key's hash above IPC__ROW_LIVE; dead: above 0
                        1 + where the dead rows before it begin, or 0 */
    uint64_t number; /* the object's version when the key came: they ascend */
    struct ipc__item key;
    uint64_t version; /* the object's when the value was set */
    struct ipc__item value;
};

#define IPC__ROW_LIVE 1u

_Static_assert(sizeof(struct ipc__table) == 64, "the body of a table");
_Static_assert(sizeof(struct ipc__row) == 56, "a row of a dict");

#define IPC__ROW_BYTES     ((uint64_t)sizeof(struct ipc__row))
#define IPC__SET_ROW_BYTES ((uint64_t)offsetof(struct ipc__row, version))

/* ---- keys ---- */

struct ipc__key {
    struct ipc__item item; /* as it is stored; value 0 if the string is long */
    uint32_t hash;
    const ipc_any *any;
    ipc_any own; /* what any points to, if it is the key of a row */
};

/* Before the arena is entered.  -EINVAL: nothing has such a key.  The value has
 * to stay where it is. */
int ipc__key_make(const ipc_arena *arena, const ipc_any *any,
                  struct ipc__key *out);

/* The same in a visit: 0 or v->rc. */
int ipc__key_make_in(struct ipc__visit *v, const ipc_any *any,
                     struct ipc__key *out);

/* The key of a row, as long as the visit takes. */
int ipc__key_of_row(struct ipc__visit *v, const struct ipc__row *row,
                    struct ipc__key *out);

/* -ENOENT, with the key in the detail line. */
int ipc__key_missing(const ipc_any *key);

static inline bool ipc__key_is_long(const struct ipc__item *item)
{
    return (item->tag & IPC__ITEM_LONG) != 0;
}

/* ---- a table as a visit sees it: what was read once, and made sense ---- */

struct ipc__view {
    struct ipc__visit *v;
    struct ipc__object *object; /* NULL while draining and checking */
    struct ipc__table *table;   /* NULL: there is no body */
    uint64_t count;
    uint64_t first; /* all live rows lie between */
    uint64_t last;
    uint64_t used;
    uint64_t capacity;
    uint64_t shape;
    uint64_t row_bytes;
    uint64_t slots; /* 0: no index */
    void *rows;     /* the only chunk, or the directory */
    uint64_t *index;

    /* Of the row found last. */
    uint64_t at;
    uint64_t slot;
};

/* False, and v->rc, if the body makes no sense.  After every change that adds
 * or removes rows the view is looked at anew by those who make it. */
bool ipc__view_body(struct ipc__view *t, struct ipc__visit *v, uint64_t body);
bool ipc__view_open(struct ipc__view *t, struct ipc__visit *v,
                    struct ipc__object *object);

static inline bool ipc__view_is_set(const struct ipc__view *t)
{
    return (t->shape & IPC__SHAPE_SET) != 0;
}

static inline bool ipc__view_is_small(const struct ipc__view *t)
{
    return t->capacity <= IPC__TABLE_CHUNK;
}

/* Row at, which is below the capacity; NULL, and v->rc. */
static inline struct ipc__row *ipc__view_row(const struct ipc__view *t,
                                             uint64_t at)
{
    if (ipc__view_is_small(t))
        return (struct ipc__row *)(void *)((char *)t->rows + at * t->row_bytes);
    const uint64_t *directory = t->rows;
    char *chunk = ipc__at(t->v, load_relaxed(&directory[at / IPC__TABLE_CHUNK]),
                          IPC__TABLE_CHUNK * t->row_bytes);
    if (unlikely(chunk == NULL))
        return NULL;
    return (struct ipc__row *)(void *)(chunk +
                                       at % IPC__TABLE_CHUNK * t->row_bytes);
}

static inline bool ipc__row_is_live(const struct ipc__row *row)
{
    return (load_relaxed(&row->mark) & IPC__ROW_LIVE) != 0;
}

/* The next live row, from *at on, which is set to where it is; NULL: there are
 * no more. */
struct ipc__row *ipc__view_live(const struct ipc__view *t, uint64_t *at);

/* The row of a key, or NULL. */
struct ipc__row *ipc__view_find(struct ipc__view *t,
                                const struct ipc__key *key);

/* ipc__view_open() and ipc__view_find() in one. */
struct ipc__row *ipc__view_open_at(struct ipc__view *t, struct ipc__visit *v,
                                   struct ipc__object *object,
                                   const struct ipc__key *key);

/* The first live one whose number is greater. */
struct ipc__row *ipc__view_after(const struct ipc__view *t, uint64_t number);

/* A live one, and the last one, to be removed. */
struct ipc__row *ipc__view_pick(struct ipc__view *t, uint64_t at);
struct ipc__row *ipc__view_last(struct ipc__view *t);

/* ---- changes ----
 *
 * They count the object's version on, each of them, and say nothing: v->rc. */

/* A key that is not there; value NULL in sets.  The value is the table's then,
 * with what it holds. */
void ipc__view_add(struct ipc__view *t, const struct ipc__key *key,
                   const struct ipc__item *value);

/* Another value for a row. */
void ipc__view_set(struct ipc__view *t, struct ipc__row *row,
                   const struct ipc__item *value);

/* Remove the row that was found or picked last. */
void ipc__view_remove(struct ipc__view *t, struct ipc__row *row);

/* After so many removals: give back memory if it is worth it, and if there is
 * some to do it with.  Rows are elsewhere then. */
void ipc__view_settle(struct ipc__view *t, uint64_t removed);

/* Have room for one more row, and a slot for it.  0 or v->rc. */
int ipc__view_make_room(struct ipc__view *t);

/* An empty table: have room for so many, if there is memory. */
void ipc__view_reserve(struct ipc__view *t, uint64_t rows);

static inline bool ipc__view_is_full(const struct ipc__view *t)
{
    return t->used >= t->capacity ||
           (t->slots != 0 && (t->count + 1) * 3 > t->slots * 2);
}

/* The slot where the index tells of a row of this hash: row 0 finds the next
 * free one.  False, and v->rc: there is none. */
bool ipc__index_slot(const struct ipc__view *t, uint32_t hash, uint64_t row,
                     uint64_t *slot);

/* ---- in a visit, by key: for dicts, namespaces and the names of an arena ---- */

/* Where the value of a key lies; NULL: it is not there, or v->rc. */
const struct ipc__item *ipc__table_find(struct ipc__visit *v,
                                        struct ipc__object *object,
                                        const ipc_any *key);

/* A value, made by ipc__item_make(), for a key, new or in place of the old
 * one. */
void ipc__table_put(struct ipc__visit *v, struct ipc__object *object,
                    const ipc_any *key, const struct ipc__item *value);

/* 1: it was there; 0; or v->rc. */
int ipc__table_remove(struct ipc__visit *v, struct ipc__object *object,
                      const ipc_any *key);

void ipc__table_clear(struct ipc__visit *v, struct ipc__object *object);
uint64_t ipc__table_count(struct ipc__visit *v,
                          const struct ipc__object *object);

enum ipc__part {
    IPC__KEYS = 1,
    IPC__VALUES = 2,
    IPC__ITEMS = 3 /* key, value, key, value, ... */
};

/* Copies of all of them: 0 or v->rc.  Nothing in out on failure. */
int ipc__table_list(struct ipc__visit *v, struct ipc__object *object,
                    enum ipc__part part, ipc_anys *out);

/* Put what another table has into this one.  A set keeps what it had. */
void ipc__table_merge(struct ipc__view *to, const struct ipc__view *from);

/* The item of an object that is new: hold it by what it goes into. */
static inline struct ipc__item ipc__item_of_object(struct ipc__visit *v,
                                                   struct ipc__object *object)
{
    struct ipc__item item;
    item.words[0] = object->type & IPC__OBJECT_TYPE;
    item.words[1] = ipc__offset(v, object);
    ipc__object_hold(v, object);
    return item;
}

#endif
