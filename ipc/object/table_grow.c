/* Tables: rows and slots for more, and without the dead ones.
 *
 * A small table that is full, and any that is half dead, is built anew beside
 * the old one, and one word of the object says which one it is.  A large one
 * takes one more chunk; its index is built anew at twice the size.
 *
 * Building anew in order to give memory back is left undone where there is none
 * to do it with: removing does not fail for lack of memory. */
#include <string.h>

#include "object/parts.h"
#include "object/table.h"

#define LEAST      4  /* rows */
#define DIRECTORY  8  /* chunks that the smallest one has room for */
#define ROOM_EVERY 16 /* blocks: what allocating them saves is within limits */
#define WORTH_IT   64 /* rows that are used, to give some back */

/* ---- the index ---- */

bool ipc__index_slot(const struct ipc__view *t, uint32_t hash, uint64_t row,
                     uint64_t *slot)
{
    const uint64_t mask = t->slots - 1;
    const uint64_t told = row != 0 ? (uint64_t)hash << 32 | row : 0;
    uint64_t at = hash & mask;
    for (uint64_t n = 0; n <= mask; n++, at = (at + 1) & mask) {
        const uint64_t here = load_relaxed(&t->index[at]);
        if (here == told) {
            *slot = at;
            return true;
        }
        if (here == 0)
            break;
    }
    (void)ipc__visit_spoilt(t->v, "the index of a table");
    return false;
}

/* In an index that nobody sees yet: false where there is no room. */
static bool tell(uint64_t *index, uint64_t slots, uint64_t told)
{
    const uint64_t mask = slots - 1;
    uint64_t at = (told >> 32) & mask;
    for (uint64_t n = 0; n <= mask; n++, at = (at + 1) & mask) {
        if (index[at] == 0) {
            index[at] = told;
            return true;
        }
    }
    return false;
}

static uint64_t *new_index(struct ipc__visit *v, uint64_t slots,
                           uint64_t *offset)
{
    const uint64_t bytes = slots * sizeof(uint64_t);
    *offset = ipc__alloc(v, bytes);
    uint64_t *index = *offset != 0 ? ipc__at(v, *offset, bytes) : NULL;
    if (index != NULL)
        memset(index, 0, bytes);
    return index;
}

static int grow_index(struct ipc__view *t)
{
    struct ipc__visit *v = t->v;
    struct ipc__table *table = t->table;
    const uint64_t old = table->index;
    const uint64_t slots = t->slots * 2;
    uint64_t offset;
    uint64_t *index = new_index(v, slots, &offset);
    if (index == NULL)
        return v->rc;
    for (uint64_t i = 0; i < t->slots; i++) {
        const uint64_t told = load_relaxed(&t->index[i]);
        if (told != 0)
            (void)tell(index, slots, told);
    }
    ipc__put64(v, &table->index, offset);
    ipc__put64(v, &table->shape, t->shape + ((uint64_t)1 << IPC__SHAPE_SLOTS));
    ipc__park(v, old, IPC__PARKED_BLOCK);
    return v->rc;
}

/* ---- one more chunk ---- */

static uint64_t chunks_of(uint64_t capacity)
{
    return (capacity + IPC__TABLE_CHUNK - 1) / IPC__TABLE_CHUNK;
}

/* How many chunks the directory of so many has room for. */
static uint64_t directory_room(uint64_t chunks)
{
    uint64_t room = DIRECTORY;
    while (room < chunks)
        room *= 2;
    return room;
}

static uint64_t *new_directory(struct ipc__visit *v, uint64_t chunks,
                               uint64_t *offset)
{
    const uint64_t bytes = directory_room(chunks) * sizeof(uint64_t);
    *offset = ipc__alloc(v, bytes);
    return *offset != 0 ? ipc__at(v, *offset, bytes) : NULL;
}

/* A directory with more room that names the same chunks. */
static uint64_t *grow_directory(struct ipc__view *t, uint64_t chunks)
{
    struct ipc__visit *v = t->v;
    const uint64_t old = t->table->rows;
    uint64_t offset;
    uint64_t *directory = new_directory(v, chunks + 1, &offset);
    if (directory == NULL)
        return NULL;
    if (chunks == 1)
        directory[0] = old;
    else
        memmove(directory, t->rows, chunks * sizeof *directory);
    ipc__put64(v, &t->table->rows, offset);
    if (chunks > 1)
        ipc__park(v, old, IPC__PARKED_BLOCK);
    return directory;
}

static int add_chunk(struct ipc__view *t)
{
    struct ipc__visit *v = t->v;
    const uint64_t chunks = chunks_of(t->capacity);
    const uint64_t chunk = ipc__alloc(v, IPC__TABLE_CHUNK * t->row_bytes);
    if (chunk == 0)
        return v->rc;
    uint64_t *directory = t->rows;
    if (chunks == 1 || directory_room(chunks) == chunks)
        directory = grow_directory(t, chunks);
    if (directory == NULL)
        return v->rc;
    ipc__put64(v, &directory[chunks], chunk);
    ipc__put64(v, &t->table->shape, t->shape + IPC__TABLE_CHUNK);
    return v->rc;
}

/* ---- building anew ---- */

static uint64_t new_chunks(struct ipc__visit *v, uint64_t chunks,
                           uint64_t row_bytes)
{
    uint64_t offset;
    uint64_t *directory = new_directory(v, chunks, &offset);
    if (directory == NULL)
        return 0;
    for (uint64_t i = 0; i < chunks; i++) {
        if (i % ROOM_EVERY == 0)
            (void)ipc__journal_room(v, 0, 0);
        directory[i] = ipc__alloc(v, IPC__TABLE_CHUNK * row_bytes);
        if (directory[i] == 0)
            return 0;
    }
    return offset;
}

/* log2 of the slots of an index for so many rows. */
static unsigned slot_bits(uint64_t capacity)
{
    unsigned bits = 4;
    while (((uint64_t)1 << bits) * 2 < capacity * 3)
        bits++;
    return bits;
}

/* An empty body, of the kind of t.  Its offset, or 0. */
static uint64_t new_body(const struct ipc__view *t, uint64_t capacity)
{
    struct ipc__visit *v = t->v;
    const uint64_t body = ipc__alloc(v, sizeof(struct ipc__table));
    struct ipc__table *table =
        body != 0 ? ipc__at(v, body, sizeof *table) : NULL;
    if (table == NULL)
        return 0;
    *table =
        (struct ipc__table){.shape = capacity | (t->shape & IPC__SHAPE_SET)};
    if (capacity > IPC__TABLE_PLAIN) {
        const unsigned bits = slot_bits(capacity);
        table->shape |= (uint64_t)bits << IPC__SHAPE_SLOTS;
        if (new_index(v, (uint64_t)1 << bits, &table->index) == NULL)
            return 0;
    }
    table->rows = capacity <= IPC__TABLE_CHUNK
                      ? ipc__alloc(v, capacity * t->row_bytes)
                      : new_chunks(v, chunks_of(capacity), t->row_bytes);
    return table->rows != 0 ? body : 0;
}

/* Move the live rows of t to an empty table with room for them. */
static int move_rows(const struct ipc__view *t, const struct ipc__view *to)
{
    uint64_t rows = 0;
    uint64_t at = t->first;
    const struct ipc__row *row;
    for (; (row = ipc__view_live(t, &at)) != NULL; at++, rows++) {
        struct ipc__row *place =
            rows < t->count ? ipc__view_row(to, rows) : NULL;
        if (place == NULL)
            break;
        memmove(place, row, t->row_bytes);
        const uint64_t hash = place->mark >> 32;
        if (to->slots != 0 &&
            !tell(to->index, to->slots, hash << 32 | (rows + 1)))
            break;
    }
    if (t->v->rc >= 0 && (row != NULL || rows != t->count))
        return ipc__visit_spoilt(t->v, "a table that counts wrong");
    to->table->head.count = rows;
    to->table->ends = rows << 32 | rows;
    return t->v->rc;
}

/* What the body held is elsewhere. */
static void park_moved(const struct ipc__view *t)
{
    ipc__put64(t->v, &t->table->shape, t->shape | IPC__SHAPE_MOVED);
    ipc__park(t->v, ipc__offset(t->v, t->table), IPC__PARKED_TABLE);
}

static int build_anew(struct ipc__view *t, uint64_t capacity)
{
    struct ipc__visit *v = t->v;
    struct ipc__view to;
    const uint64_t body = new_body(t, capacity);
    if (body == 0 || !ipc__view_body(&to, v, body))
        return v->rc;
    if (t->table != NULL) {
        to.table->head.nested = t->table->head.nested;
        if (move_rows(t, &to) < 0)
            return v->rc;
        park_moved(t);
    }
    ipc__put64(v, &t->object->body, body);
    (void)ipc__view_open(t, v, t->object);
    return v->rc;
}

/* If there is memory. */
static void try_to_build_anew(struct ipc__view *t, uint64_t capacity)
{
    struct ipc__visit *v = t->v;
    const uint64_t saved = v->arena->saved;
    const uint64_t end = v->end;
    const int rc = v->rc;
    if (build_anew(t, capacity) >= 0 || (v->rc != -ENOSPC && v->rc != -ENOMEM))
        return;
    v->rc = rc;
    v->end = end;
    if (ipc__journal_undo(v, saved) != 0)
        (void)ipc__visit_spoilt(v, "its journal");
}

/* ---- when ---- */

static uint64_t capacity_for(uint64_t count)
{
    const uint64_t wanted = count + count / 2 + 1;
    uint64_t capacity = LEAST;
    while (capacity < wanted && capacity < IPC__TABLE_CHUNK)
        capacity *= 2;
    return count < capacity ? capacity
                            : chunks_of(count + 1) * IPC__TABLE_CHUNK;
}

static int make_room_for_row(struct ipc__view *t)
{
    const uint64_t dead = t->used - t->count;
    if (t->capacity < IPC__TABLE_CHUNK || dead * 2 > t->used)
        return build_anew(t, capacity_for(t->count));
    if (t->capacity + IPC__TABLE_CHUNK > IPC__TABLE_MOST)
        return ipc__visit_fail(t->v, -ENOSPC, "a table of %u items is full",
                               (unsigned)t->count);
    if (add_chunk(t) >= 0)
        (void)ipc__view_open(t, t->v, t->object);
    return t->v->rc;
}

int ipc__view_make_room(struct ipc__view *t)
{
    if (t->used >= t->capacity && make_room_for_row(t) < 0)
        return t->v->rc;
    if (ipc__view_is_full(t) && t->slots != 0 && grow_index(t) >= 0)
        (void)ipc__view_open(t, t->v, t->object);
    if (t->v->rc >= 0 && t->used >= t->capacity)
        return ipc__visit_spoilt(t->v, "the body of a table");
    return t->v->rc;
}

void ipc__view_reserve(struct ipc__view *t, uint64_t rows)
{
    if (t->v->rc >= 0 && t->count == 0 && rows > t->capacity - t->used &&
        rows < IPC__TABLE_MOST / 2)
        try_to_build_anew(t, capacity_for(rows - 1));
}

/* When the count passes a power of two, so that this is not tried again and
 * again where it cannot be done. */
void ipc__view_settle(struct ipc__view *t, uint64_t removed)
{
    struct ipc__visit *v = t->v;
    if (v->rc < 0 || t->used < WORTH_IT)
        return;
    if (t->count == 0) {
        ipc__put64(v, &t->object->body, 0);
        park_moved(t);
    } else if (t->count < t->used / 4 &&
               (t->count ^ (t->count + removed)) > t->count) {
        try_to_build_anew(t, capacity_for(t->count));
    }
}
