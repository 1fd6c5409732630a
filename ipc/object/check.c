/* Is an arena whole?  Every block is found twice: by walking through the heap,
 * and by following what holds what. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "core/error.h"
#include "object/object.h"
#include "object/parts.h"

#define HEADER IPC__ARENA_HEADER

static int fail(struct ipc__visit *v, const char *what, uint64_t offset)
{
    return ipc__visit_fail(v, -EUCLEAN, "the arena is not whole: %s, at 0x%llx",
                           what, (unsigned long long)offset);
}

/* ---- marks: a bit for every 16 bytes of the heap ---- */

/* Where the heap was when the marks were made, whatever its header says now. */
static uint64_t bit_of(struct ipc__inspection *in, uint64_t offset)
{
    const uint64_t bit = (offset - HEADER - in->heap) / 16;
    if (likely(offset - HEADER >= in->heap && bit < in->bits))
        return bit;
    (void)ipc__visit_spoilt(in->v, "a block outside of the heap");
    return 0;
}

int ipc__inspect_block(struct ipc__inspection *in, uint64_t offset)
{
    struct ipc__visit *v = in->v;
    if (v->rc < 0 || ipc__block_size(v, offset) == 0)
        return v->rc;
    const uint64_t bit = bit_of(in, offset);
    uint64_t *word = &in->marks[bit / 64];
    if ((*word >> bit % 64 & 1) != 0)
        return fail(v, "a block is used twice", offset);
    *word |= (uint64_t)1 << bit % 64;
    return 0;
}

static bool is_marked(struct ipc__inspection *in, uint64_t offset)
{
    const uint64_t bit = bit_of(in, offset);
    return (in->marks[bit / 64] >> bit % 64 & 1) != 0;
}

/* ---- the heap ---- */

struct walk {
    struct ipc__visit *v;
    struct ipc__inspection *in;
    uint64_t used;
    uint64_t free[IPC__BINS];
    bool before; /* the block before is used */
};

/* The header at an offset, of a block that lies inside. */
static uint64_t header_at(struct ipc__visit *v, uint64_t at)
{
    const uint64_t *at_header = ipc__at(v, at, IPC__BLOCK_LEAST);
    const uint64_t header = at_header != NULL ? load_relaxed(at_header) : 0;
    const uint64_t size = ipc__block_bytes(header);
    if (size < IPC__BLOCK_LEAST || size > v->end - at) {
        fail(v, "a block's size", at);
        return 0;
    }
    return header;
}

static void walk_free(struct walk *w, uint64_t at, uint64_t size)
{
    const uint64_t *foot = ipc__at(w->v, at + size - HEADER, HEADER);
    if (!w->before)
        fail(w->v, "two free blocks are neighbours", at);
    if (foot != NULL && *foot != size)
        fail(w->v, "a free block's end", at);
    if (at + size == w->v->end)
        fail(w->v, "a free block below the top", at);
    w->free[ipc__bin_of(size)]++;
}

static void walk_block(struct walk *w, uint64_t at, uint64_t header)
{
    const uint64_t size = ipc__block_bytes(header);
    const bool used = (header & IPC__BLOCK_USED) != 0;
    if (((header & IPC__BLOCK_BEFORE) != 0) != w->before)
        fail(w->v, "a block's note about the one before", at);
    if (used)
        w->used += size;
    else
        walk_free(w, at, size);
    w->before = used;
}

/* Those that were told by now are all. */
static void walk_told(struct walk *w, uint64_t at, uint64_t header)
{
    if ((header & IPC__BLOCK_USED) != 0 && !is_marked(w->in, at + HEADER))
        fail(w->v, "a block that nobody has", at);
}

static void walk_owned(struct walk *w, uint64_t at, uint64_t header)
{
    const struct ipc__object *object;
    if ((header & (IPC__BLOCK_USED | IPC__BLOCK_OBJECT)) !=
        (IPC__BLOCK_USED | IPC__BLOCK_OBJECT))
        return;
    object = ipc__at(w->v, at + HEADER, sizeof *object);
    if (object != NULL && object->serial != 0 &&
        (object->type & IPC__OBJECT_OWNED) != 0)
        (void)ipc__inspect_object(w->in, at + HEADER);
}

static void walk_heap(struct walk *w,
                      void (*fn)(struct walk *w, uint64_t at, uint64_t header))
{
    struct ipc__visit *v = w->v;
    uint64_t at = v->arena->heap;
    while (at < v->end && v->rc >= 0) {
        const uint64_t header = header_at(v, at);
        if (v->rc >= 0)
            fn(w, at, header);
        at += ipc__block_bytes(header);
    }
}

/* ---- the lists of free blocks ---- */

static void check_list(struct walk *w, uint32_t bin)
{
    struct ipc__visit *v = w->v;
    uint64_t at = v->arena->bins[bin];
    uint64_t prev = 0;
    if (((v->arena->bitmap[bin / 64] >> bin % 64 & 1) != 0) != (at != 0))
        fail(v, "the bit of a list", at);
    for (; at != 0 && v->rc >= 0; w->free[bin]--) {
        const uint64_t *links = ipc__at(v, at, IPC__BLOCK_LEAST);
        if (links == NULL)
            return;
        if (w->free[bin] == 0 || (links[0] & IPC__BLOCK_USED) != 0 ||
            ipc__bin_of(ipc__block_bytes(links[0])) != bin || links[2] != prev)
            fail(v, "a list of free blocks", at);
        prev = at;
        at = links[1];
    }
    if (w->free[bin] != 0)
        fail(v, "a free block that is in no list", prev);
}

/* ---- what is parked ---- */

static void check_parked(struct ipc__inspection *in)
{
    struct ipc__visit *v = in->v;
    uint64_t link = v->arena->parked;
    while (link != 0 && v->rc >= 0) {
        const uint64_t offset = link & ~(uint64_t)7;
        const uint64_t *next = ipc__at(v, offset, sizeof *next);
        if (next == NULL)
            return;
        if ((link & 7) == IPC__PARKED_LIST)
            (void)ipc__inspect_list(in, offset);
        else if ((link & 7) == IPC__PARKED_TABLE)
            (void)ipc__inspect_table(in, offset);
        else if ((link & 7) == IPC__PARKED_BLOCK)
            (void)ipc__inspect_block(in, offset);
        else
            fail(v, "what is parked", link);
        link = *next;
    }
}

/* ---- all of it ---- */

static void check_holders(struct ipc__inspection *in, struct walk *w)
{
    struct ipc__visit *v = in->v;
    if (v->arena->root != 0)
        (void)ipc__inspect_object(in, v->arena->root);
    walk_heap(w, walk_owned);
    check_parked(in);
    if (v->rc >= 0)
        (void)ipc__inspect_refs(in);
    walk_heap(w, walk_told);
    if (v->rc >= 0 && in->objects != v->arena->objects)
        fail(v, "how many objects there are", in->objects);
}

static int check(struct ipc__visit *v)
{
    const uint64_t heap = load_relaxed(&v->arena->heap);
    if (heap > v->end)
        return ipc__visit_spoilt(v, "its header");
    struct ipc__inspection in = {
        .v = v, .heap = heap, .bits = (v->end - heap) / 16 + 1};
    struct walk w = {.v = v, .in = &in, .before = true};
    in.marks = calloc(in.bits / 64 + 1, sizeof *in.marks);
    if (in.marks == NULL)
        return ipc__visit_fail(v, -ENOMEM, "no memory to check the arena with");
    walk_heap(&w, walk_block);
    for (uint32_t bin = 0; bin < IPC__BINS && v->rc >= 0; bin++)
        check_list(&w, bin);
    if (v->rc >= 0 && w.used != v->arena->used)
        fail(v, "how much is used", w.used);
    if (v->rc >= 0)
        check_holders(&in, &w);
    ipc__inspect_end(&in);
    free(in.marks);
    return v->rc;
}

int ipc_arena_check(ipc_arena *arena)
{
    struct ipc__visit v;
    int rc = ipc__arena_or_default(arena, &arena);
    if (rc == 0)
        rc = ipc__arena_enter(&v, arena);
    if (rc != 0)
        return rc;
    (void)check(&v);
    return ipc__arena_leave_unchanged(&v);
}

int ipc_arena_query(ipc_arena *arena, ipc_arena_info *info)
{
    struct ipc__visit v;
    int rc = ipc__arena_or_default(arena, &arena);
    if (rc == 0)
        rc = ipc__arena_enter(&v, arena);
    if (rc != 0)
        return rc;
    const ipc_arena_info found = {
        .size = sizeof found,
        .max_bytes = arena->heap_end - arena->heap + HEADER,
        .present_bytes = arena->heap_present - arena->heap + HEADER +
                         arena->journal_present * sizeof(uint64_t) +
                         IPC__JOURNAL_AT,
        .used_bytes = arena->used,
        .objects = arena->objects,
        .recoveries = arena->recoveries,
    };
    (void)ipc__arena_leave_unchanged(&v);
    return ipc__info_write(info, &found, sizeof found) == 0
               ? 0
               : ipc__fail(-EINVAL,
                           "an arena info of a size that is not known");
}
