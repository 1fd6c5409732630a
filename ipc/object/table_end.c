/* Tables: to free, to check, and to look through. */
#include <stdlib.h>

#include "object/table.h"

#define STEP_ITEMS  16 /* freed in one step of draining */
#define STEP_CHUNKS 4

/* ---- draining ----
 *
 * From the end, so that what is left is a table again at every moment. */

static void drain_index(struct ipc__view *t)
{
    ipc__free_now(t->v, t->table->index);
    ipc__put64(t->v, &t->table->index, 0);
    t->slots = 0;
}

/* What a live row holds.  How many things were freed. */
static unsigned drain_row(struct ipc__view *t, const struct ipc__row *row)
{
    const bool has_value = !ipc__view_is_set(t);
    unsigned items = 0;
    t->count--;
    if (row->key.tag > IPC_TYPE_BYTES) {
        ipc__item_drain(t->v, &row->key);
        items++;
    }
    if (has_value && row->value.tag > IPC_TYPE_BYTES) {
        ipc__item_drain(t->v, &row->value);
        items++;
    }
    return items;
}

/* Down to a row, or until enough is freed. */
static void drain_rows(struct ipc__view *t, uint64_t down_to)
{
    unsigned items = 0;
    if ((t->shape & IPC__SHAPE_MOVED) != 0) {
        t->count = 0;
        t->used = t->used < down_to ? t->used : down_to;
    }
    while (t->used > down_to && items < STEP_ITEMS && t->v->rc >= 0) {
        const struct ipc__row *row = ipc__view_row(t, t->used - 1);
        if (row == NULL)
            return;
        t->used--;
        if (ipc__row_is_live(row) && t->count != 0)
            items += drain_row(t, row);
    }
}

/* The last chunk is empty.  A directory that names one chunk is none. */
static void drain_chunk(struct ipc__view *t)
{
    struct ipc__table *table = t->table;
    if (ipc__view_is_small(t)) {
        ipc__free_now(t->v, table->rows);
        ipc__put64(t->v, &table->rows, 0);
        t->capacity = 0;
        return;
    }
    const uint64_t *directory = t->rows;
    const uint64_t last = (t->capacity - 1) / IPC__TABLE_CHUNK;
    ipc__free_now(t->v, load_relaxed(&directory[last]));
    t->capacity = last * IPC__TABLE_CHUNK;
    if (last == 1) {
        const uint64_t only = load_relaxed(&directory[0]);
        ipc__free_now(t->v, table->rows);
        ipc__put64(t->v, &table->rows, only);
        t->rows = ipc__at(t->v, only, t->capacity * t->row_bytes);
    }
}

bool ipc__table_drain(struct ipc__visit *v, uint64_t body)
{
    struct ipc__view t;
    const struct ipc__table *table = ipc__at(v, body, sizeof *table);
    if (table != NULL && load_relaxed(&table->rows) == 0)
        return true;
    if (table == NULL || !ipc__view_body(&t, v, body))
        return false;
    if (t.slots != 0)
        drain_index(&t);
    for (int i = 0; i < STEP_CHUNKS && t.capacity != 0 && v->rc >= 0; i++) {
        const uint64_t down_to =
            (t.capacity - 1) / IPC__TABLE_CHUNK * IPC__TABLE_CHUNK;
        drain_rows(&t, down_to);
        if (t.used > down_to)
            break;
        drain_chunk(&t);
    }
    ipc__put64(v, &t.table->head.count, t.count);
    ipc__put64(v, &t.table->first, 0);
    ipc__put64(v, &t.table->ends, t.used << 32 | t.used);
    ipc__put64(v, &t.table->shape,
               t.capacity | (t.shape & (IPC__SHAPE_SET | IPC__SHAPE_MOVED)));
    return t.capacity == 0 && v->rc >= 0;
}

/* ---- what is held ---- */

bool ipc__table_each_nested(struct ipc__visit *v, uint64_t body,
                            bool (*fn)(struct ipc__visit *v, uint64_t object,
                                       void *arg),
                            void *arg)
{
    struct ipc__view t;
    const struct ipc__row *row;
    if (!ipc__view_body(&t, v, body) || ipc__view_is_set(&t))
        return false;
    for (uint64_t at = t.first; (row = ipc__view_live(&t, &at)) != NULL; at++)
        if (ipc__item_is_handle(&row->value) && fn(v, row->value.value, arg))
            return true;
    return false;
}

/* ---- checking ---- */

static int wrong(struct ipc__inspection *in, const char *what)
{
    return ipc__visit_spoilt(in->v, what);
}

/* A block in use that has so many bytes. */
static int inspect_bytes(struct ipc__inspection *in, uint64_t offset,
                         uint64_t bytes)
{
    const int rc = ipc__inspect_block(in, offset);
    if (rc < 0)
        return rc;
    return ipc__block_size(in->v, offset) >= bytes
               ? 0
               : wrong(in, "a table in a block that is too small");
}

static int inspect_blocks(struct ipc__inspection *in, const struct ipc__view *t)
{
    const uint64_t rows = load_relaxed(&t->table->rows);
    int rc = 0;
    if (t->slots != 0)
        rc = inspect_bytes(in, load_relaxed(&t->table->index),
                           t->slots * sizeof(uint64_t));
    if (rc == 0 && ipc__view_is_small(t))
        return inspect_bytes(in, rows, t->capacity * t->row_bytes);
    if (t->capacity % IPC__TABLE_CHUNK != 0)
        return wrong(in, "a table with a part of a chunk");
    const uint64_t chunks = t->capacity / IPC__TABLE_CHUNK;
    if (rc == 0)
        rc = inspect_bytes(in, rows, chunks * sizeof(uint64_t));
    const uint64_t *directory = t->rows;
    for (uint64_t i = 0; rc == 0 && i < chunks; i++)
        rc = inspect_bytes(in, load_relaxed(&directory[i]),
                           IPC__TABLE_CHUNK * t->row_bytes);
    return rc;
}

static int inspect_row(struct ipc__inspection *in, const struct ipc__view *t,
                       uint64_t at, const struct ipc__row *row)
{
    const uint64_t mark = load_relaxed(&row->mark);
    struct ipc__key key;
    uint64_t slot;
    if ((uint32_t)mark != IPC__ROW_LIVE)
        return wrong(in, "the mark of a row");
    if (at < t->first || at >= t->last)
        return wrong(in, "a live row beyond the ends of a table");
    if (t->slots != 0 &&
        !ipc__index_slot(t, (uint32_t)(mark >> 32), at + 1, &slot))
        return in->v->rc;
    if (ipc__key_of_row(in->v, row, &key) < 0)
        return in->v->rc;
    const uint32_t hash = key.hash;
    if (ipc__key_make_in(in->v, &key.own, &key) < 0 || key.hash != hash)
        return wrong(in, "a key with another hash");
    const int rc = ipc__inspect_item(in, &row->key);
    return rc < 0 || ipc__view_is_set(t) ? rc
                                         : ipc__inspect_item(in, &row->value);
}

struct counts {
    uint64_t live;
    uint64_t nested;
    uint64_t number; /* of the last row */
};

static int inspect_rows(struct ipc__inspection *in, const struct ipc__view *t,
                        struct counts *counts)
{
    for (uint64_t at = 0; at < t->used; at++) {
        const struct ipc__row *row = ipc__view_row(t, at);
        if (row == NULL)
            return in->v->rc;
        const uint64_t number = load_relaxed(&row->number);
        if (number <= counts->number)
            return wrong(in, "rows that are out of order");
        counts->number = number;
        if ((uint32_t)load_relaxed(&row->mark) == 0)
            continue;
        if (inspect_row(in, t, at, row) < 0)
            return in->v->rc;
        counts->live++;
        counts->nested +=
            !ipc__view_is_set(t) && ipc__item_is_handle(&row->value);
    }
    return 0;
}

static int inspect_index(struct ipc__inspection *in, const struct ipc__view *t)
{
    uint64_t told = 0;
    for (uint64_t slot = 0; slot < t->slots; slot++)
        told += load_relaxed(&t->index[slot]) != 0;
    return t->slots == 0 || told == t->count
               ? 0
               : wrong(in, "an index that tells of rows that are dead");
}

int ipc__inspect_table(struct ipc__inspection *in, uint64_t body)
{
    struct ipc__visit *v = in->v;
    struct ipc__view t;
    struct counts counts = {.live = 0};
    const struct ipc__table *table;
    if (inspect_bytes(in, body, sizeof *table) < 0 ||
        (table = ipc__at(v, body, sizeof *table)) == NULL)
        return v->rc;
    if (load_relaxed(&table->rows) == 0)
        return 0; /* it was drained */
    if (!ipc__view_body(&t, v, body) || inspect_blocks(in, &t) < 0 ||
        (t.shape & IPC__SHAPE_MOVED) != 0 || inspect_rows(in, &t, &counts) < 0)
        return v->rc;
    if (counts.live != t.count)
        return wrong(in, "how many rows of a table are alive");
    return inspect_index(in, &t);
}
