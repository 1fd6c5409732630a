/* Tables: to find, add, set and remove one entry.
 *
 * State
 *   All under the arena's lock, and journalled, but for rows that are written
 *   for the first time.
 *
 * Invariants
 *   1  the numbers of rows ascend, of dead ones too: so a place in the order
 *      outlives every removal, and building anew;
 *   2  the index tells of exactly the live rows, and at most 2 of 3 slots are
 *      taken;
 *   3  live rows lie from first on and before last, both at or before the rows
 *      used;
 *   4  a row is used once: used never goes back but when a visit is undone.
 *
 * Order
 *   None: a row that is not used yet is written without the journal, for by 4
 *   nothing that an undo could bring back is there.
 *
 * Death
 *   See journal.c: the next one who enters undoes what was begun. */
#include "object/table.h"

/* ---- looking ---- */

static SLOW_PATH bool spoilt(struct ipc__visit *v, const char *what)
{
    (void)ipc__visit_spoilt(v, what);
    return false;
}

static inline bool look_at_index(struct ipc__view *t)
{
    const unsigned bits = (unsigned)(t->shape >> IPC__SHAPE_SLOTS & 0xff);
    const uint64_t at = load_relaxed(&t->table->index);
    t->slots = 0;
    t->index = NULL;
    if (at == 0)
        return true;
    if (unlikely(bits > 32 || bits == 0))
        return spoilt(t->v, "the index of a table");
    t->slots = (uint64_t)1 << bits;
    t->index = ipc__at(t->v, at, t->slots * sizeof(uint64_t));
    return t->index != NULL;
}

static inline bool look(struct ipc__view *t, struct ipc__visit *v,
                        uint64_t body)
{
    struct ipc__table *table = ipc__at(v, body, sizeof *table);
    t->v = v;
    t->table = table;
    if (unlikely(table == NULL))
        return false;
    const uint64_t ends = load_relaxed(&table->ends);
    t->count = load_relaxed(&table->head.count);
    t->first = load_relaxed(&table->first);
    t->last = ends >> 32;
    t->used = (uint32_t)ends;
    t->shape = load_relaxed(&table->shape);
    t->capacity = (uint32_t)t->shape;
    t->row_bytes = ipc__view_is_set(t) ? IPC__SET_ROW_BYTES : IPC__ROW_BYTES;
    /* No more rows than there can be: a loop over them has an end even where a
     * directory names the same chunk again and again. */
    if (unlikely(t->used > t->capacity || t->last > t->used ||
                 t->first > t->last || t->count > t->used ||
                 t->capacity * t->row_bytes > v->end))
        return spoilt(v, "the body of a table");
    t->rows = ipc__at(v, load_relaxed(&table->rows),
                      ipc__view_is_small(t)
                          ? t->capacity * t->row_bytes
                          : (t->capacity + IPC__TABLE_CHUNK - 1) /
                                IPC__TABLE_CHUNK * sizeof(uint64_t));
    return likely(t->rows != NULL) && look_at_index(t);
}

bool ipc__view_body(struct ipc__view *t, struct ipc__visit *v, uint64_t body)
{
    return look(t, v, body);
}

static inline bool look_at_object(struct ipc__view *t, struct ipc__visit *v,
                                  struct ipc__object *object)
{
    const uint64_t body = load_relaxed(&object->body);
    const bool is_set = (object->type & IPC__OBJECT_TYPE) == IPC_TYPE_SET;
    t->object = object;
    if (likely(body != 0))
        return look(t, v, body) && (likely(is_set == ipc__view_is_set(t)) ||
                                    spoilt(v, "a table of another kind"));
    *t = (struct ipc__view){.v = v,
                            .object = object,
                            .shape = is_set ? IPC__SHAPE_SET : 0,
                            .row_bytes =
                                is_set ? IPC__SET_ROW_BYTES : IPC__ROW_BYTES};
    return true;
}

bool ipc__view_open(struct ipc__view *t, struct ipc__visit *v,
                    struct ipc__object *object)
{
    return look_at_object(t, v, object);
}

struct ipc__row *ipc__view_live(const struct ipc__view *t, uint64_t *at)
{
    for (uint64_t i = *at; i < t->last; i++) {
        struct ipc__row *row = ipc__view_row(t, i);
        if (row == NULL)
            return NULL;
        if (ipc__row_is_live(row)) {
            *at = i;
            return row;
        }
    }
    *at = t->last;
    return NULL;
}

/* ---- finding by key ---- */

static inline bool is_key_of(const struct ipc__view *t,
                             const struct ipc__row *row,
                             const struct ipc__key *key)
{
    if (row->key.words[0] != key->item.words[0])
        return false;
    if (unlikely(ipc__key_is_long(&key->item)))
        return ipc__item_equals(t->v, &row->key, key->any);
    return row->key.words[1] == key->item.words[1];
}

static inline uint64_t mark_of(uint32_t hash)
{
    return (uint64_t)hash << 32 | IPC__ROW_LIVE;
}

static struct ipc__row *find_plainly(struct ipc__view *t,
                                     const struct ipc__key *key)
{
    const uint64_t mark = mark_of(key->hash);
    if (unlikely(t->capacity > IPC__TABLE_CHUNK)) {
        (void)spoilt(t->v, "a table without an index");
        return NULL;
    }
    for (uint64_t at = t->first; at < t->last; at++) {
        struct ipc__row *row = ipc__view_row(t, at);
        if (load_relaxed(&row->mark) == mark && is_key_of(t, row, key)) {
            t->at = at;
            return row;
        }
    }
    return NULL;
}

static inline struct ipc__row *find_by_index(struct ipc__view *t,
                                             const struct ipc__key *key)
{
    const uint64_t mask = t->slots - 1;
    uint64_t slot = key->hash & mask;
    for (uint64_t n = 0; n <= mask; n++, slot = (slot + 1) & mask) {
        const uint64_t told = load_relaxed(&t->index[slot]);
        if (told == 0)
            return NULL;
        if (told >> 32 != key->hash)
            continue;
        const uint64_t at = (uint32_t)told - (uint64_t)1;
        if (unlikely(at >= t->used))
            break;
        struct ipc__row *row = ipc__view_row(t, at);
        if (unlikely(row == NULL))
            return NULL;
        if (likely(is_key_of(t, row, key))) {
            t->at = at;
            t->slot = slot;
            return row;
        }
    }
    (void)spoilt(t->v, "the index of a table");
    return NULL;
}

struct ipc__row *ipc__view_find(struct ipc__view *t, const struct ipc__key *key)
{
    return t->slots != 0 ? find_by_index(t, key) : find_plainly(t, key);
}

struct ipc__row *ipc__view_open_at(struct ipc__view *t, struct ipc__visit *v,
                                   struct ipc__object *object,
                                   const struct ipc__key *key)
{
    if (unlikely(!look_at_object(t, v, object)))
        return NULL;
    return likely(t->slots != 0) ? find_by_index(t, key) : find_plainly(t, key);
}

/* ---- finding by place ---- */

struct ipc__row *ipc__view_pick(struct ipc__view *t, uint64_t at)
{
    struct ipc__row *row = ipc__view_row(t, at);
    if (row == NULL)
        return NULL;
    t->at = at;
    if (t->slots != 0 &&
        !ipc__index_slot(t, (uint32_t)(load_relaxed(&row->mark) >> 32), at + 1,
                         &t->slot))
        return NULL;
    return row;
}

struct ipc__row *ipc__view_after(const struct ipc__view *t, uint64_t number)
{
    uint64_t low = t->first;
    uint64_t high = t->last;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        const struct ipc__row *row = ipc__view_row(t, middle);
        if (row == NULL)
            return NULL;
        if (load_relaxed(&row->number) > number)
            high = middle;
        else
            low = middle + 1;
    }
    return ipc__view_live(t, &low);
}

/* Where the last live row ends. */
static uint64_t end_of_live(const struct ipc__view *t)
{
    uint64_t end = t->last;
    while (end > t->first) {
        const struct ipc__row *row = ipc__view_row(t, end - 1);
        const uint64_t mark = row != NULL ? load_relaxed(&row->mark) : 0;
        if (row == NULL || (mark & IPC__ROW_LIVE) != 0)
            break;
        const uint64_t begin = mark >> 32;
        end = begin != 0 && begin < end ? begin - 1 : end - 1;
    }
    return end > t->first ? end : t->first;
}

struct ipc__row *ipc__view_last(struct ipc__view *t)
{
    const uint64_t end = end_of_live(t);
    return end > t->first ? ipc__view_pick(t, end - 1) : NULL;
}

/* ---- adding ---- */

/* The last rows are dead: they need not be looked at again when those that come
 * now have died. */
static void note_dead(struct ipc__view *t)
{
    struct ipc__row *row = ipc__view_row(t, t->used - 1);
    if (row != NULL)
        ipc__put64(t->v, &row->mark, (t->last + 1) << 32);
}

static void count_on(struct ipc__view *t, int64_t live, bool nested)
{
    struct ipc__table *table = t->table;
    t->count += (uint64_t)live;
    ipc__put64(t->v, &table->head.count, t->count);
    if (unlikely(nested))
        ipc__put64(t->v, &table->head.nested,
                   table->head.nested + (uint64_t)live);
}

static void write_row(const struct ipc__view *t, struct ipc__row *row,
                      const struct ipc__key *key, const struct ipc__item *value)
{
    const uint64_t version = t->object->version;
    row->mark = mark_of(key->hash);
    row->number = version;
    if (value != NULL) {
        row->version = version;
        row->value = *value;
    }
}

void ipc__view_add(struct ipc__view *t, const struct ipc__key *key,
                   const struct ipc__item *value)
{
    struct ipc__visit *v = t->v;
    struct ipc__item item = key->item;
    if (v->rc < 0 ||
        (unlikely(ipc__view_is_full(t)) && ipc__view_make_room(t) < 0) ||
        (unlikely(ipc__key_is_long(&item)) &&
         ipc__item_make(v, NULL, key->any, &item) < 0))
        return;
    const uint64_t at = t->used;
    struct ipc__row *row = ipc__view_row(t, at);
    uint64_t slot = 0;
    if (row == NULL ||
        (t->slots != 0 && !ipc__index_slot(t, key->hash, 0, &slot)))
        return;
    if (unlikely(t->last < at))
        note_dead(t);
    ipc__object_changed(v, t->object);
    write_row(t, row, key, value);
    row->key = item;
    if (t->slots != 0)
        ipc__put64(v, &t->index[slot], (uint64_t)key->hash << 32 | (at + 1));
    t->used = t->last = at + 1;
    ipc__put64(v, &t->table->ends, t->last << 32 | t->used);
    count_on(t, 1, value != NULL && ipc__item_is_handle(value));
}

/* ---- setting ---- */

void ipc__view_set(struct ipc__view *t, struct ipc__row *row,
                   const struct ipc__item *value)
{
    struct ipc__visit *v = t->v;
    if (v->rc < 0)
        return;
    const struct ipc__item old = row->value;
    ipc__object_changed(v, t->object);
    ipc__put64(v, &row->version, t->object->version);
    if (old.words[0] != value->words[0])
        ipc__put64(v, &row->value.words[0], value->words[0]);
    ipc__put64(v, &row->value.words[1], value->words[1]);
    if (likely(old.tag <= IPC_TYPE_BYTES && value->tag <= IPC_TYPE_BYTES))
        return;
    const int nested = ipc__item_is_handle(value) - ipc__item_is_handle(&old);
    if (nested != 0)
        ipc__put64(v, &t->table->head.nested,
                   t->table->head.nested + (uint64_t)(int64_t)nested);
    ipc__item_drop(v, &old);
}

/* ---- removing ---- */

/* Empty a slot, and move up those behind it that would not be found over the
 * gap. */
static void empty_slot(struct ipc__view *t, uint64_t gap)
{
    const uint64_t mask = t->slots - 1;
    uint64_t slot = gap;
    for (uint64_t n = 1; n <= mask; n++) {
        slot = (slot + 1) & mask;
        const uint64_t told = load_relaxed(&t->index[slot]);
        if (told == 0)
            break;
        if (((slot - (told >> 32)) & mask) < ((slot - gap) & mask))
            continue;
        if (n % 256 == 0 && ipc__journal_room(t->v, 0, 0) < 0)
            return;
        ipc__put64(t->v, &t->index[gap], told);
        gap = slot;
    }
    ipc__put64(t->v, &t->index[gap], 0);
}

/* The row at an end has died: the next live one is the end. */
static void move_ends(struct ipc__view *t)
{
    if (t->count == 0)
        t->first = t->last = t->used;
    else if (t->at == t->first)
        (void)ipc__view_live(t, &t->first);
    else
        t->last = end_of_live(t);
    ipc__put64(t->v, &t->table->first, t->first);
    ipc__put64(t->v, &t->table->ends, t->last << 32 | t->used);
}

void ipc__view_remove(struct ipc__view *t, struct ipc__row *row)
{
    struct ipc__visit *v = t->v;
    const bool is_set = ipc__view_is_set(t);
    const bool nested = !is_set && ipc__item_is_handle(&row->value);
    if (v->rc < 0)
        return;
    if (unlikely(t->count == 0)) {
        (void)spoilt(v, "a table that counts too few");
        return;
    }
    ipc__object_changed(v, t->object);
    ipc__put64(v, &row->mark, 0);
    if (t->slots != 0)
        empty_slot(t, t->slot);
    count_on(t, -1, nested);
    if (unlikely(t->at == t->first || t->at == t->last - 1))
        move_ends(t);
    ipc__item_drop(v, &row->key);
    if (!is_set)
        ipc__item_drop(v, &row->value);
}
