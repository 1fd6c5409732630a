/* Heap: the allocator inside an arena.
 *
 * Blocks follow one another from `heap` to `top`.  Each begins with a header:
 * its size, whether it is used, and whether the one before it is.  A free one
 * has the links of its list behind the header and its size once more at its
 * end.  Free ones are in lists by size; a bit for each list tells which have
 * any.  (Two levels of sizes and boundary tags: Knuth's, and TLSF's.)
 *
 * State: all of it journalled, but the bytes of used blocks.
 *
 * Invariants
 *   1  no two free blocks are neighbours, and none lies before the top;
 *   2  a block is in the list of its size if and only if it is free;
 *   3  used counts the bytes of used blocks.
 *   4  there is memory behind everything below heap_present, and the top is not
 *      above that.
 *
 * Death: see journal.c.  What the journal does not bring back is what a block
 * that was being allocated has in it: so its links, and the size at its end, are
 * saved before it is given out. */
#include <errno.h>
#include <string.h>

#include "core/owner.h"
#include "core/peers.h"
#include "kernel/memory.h"
#include "object/parts.h"

#define HEADER    IPC__ARENA_HEADER
#define LEAST     IPC__BLOCK_LEAST
#define USED      IPC__BLOCK_USED
#define BEFORE    IPC__BLOCK_BEFORE
#define PAGE      ((uint64_t)4096)
#define STEP      ((uint64_t)64 << 10) /* it grows by at least so much */
#define STEP_MOST ((uint64_t)4 << 20)
#define SMALL     1024 /* lists below have one size each */
#define SUBS      3    /* bits: each power of two above has 8 lists */
#define LOOKS     16   /* at blocks of a list that may be too small */

struct block {
    uint64_t header;
    uint64_t next; /* while it is free: offsets of headers */
    uint64_t prev;
};

/* ---- sizes ---- */

static uint32_t log2_of(uint64_t bytes)
{
    return 63 - (uint32_t)__builtin_clzll(bytes);
}

uint32_t ipc__bin_of(uint64_t bytes)
{
    if (bytes < SMALL)
        return (uint32_t)(bytes / 16);
    const uint32_t log = log2_of(bytes);
    const uint32_t bin =
        64 + (log - 10) * (1 << SUBS) + (uint32_t)(bytes >> (log - SUBS) & 7);
    return bin < IPC__BINS ? bin : IPC__BINS - 1;
}

/* The first list in which every block has so many bytes. */
static uint32_t bin_that_fits(uint64_t bytes)
{
    if (bytes < SMALL)
        return ipc__bin_of(bytes);
    return ipc__bin_of(bytes + ((uint64_t)1 << (log2_of(bytes) - SUBS)) - 1);
}

/* ---- looking ---- */

static struct block *block_at(struct ipc__visit *v, uint64_t at)
{
    if (unlikely(at < v->arena->heap || at % 16 != HEADER)) {
        (void)ipc__visit_spoilt(v, "a block where none is");
        return NULL;
    }
    return ipc__at(v, at, LEAST);
}

/* Of a block: 0, and v->rc, if it makes no sense. */
static uint64_t size_of(struct ipc__visit *v, uint64_t at, uint64_t header)
{
    const uint64_t size = ipc__block_bytes(header);
    if (likely(size >= LEAST && size <= v->end - at))
        return size;
    (void)ipc__visit_spoilt(v, "a block of an impossible size");
    return 0;
}

static uint64_t *foot_of(struct block *block, uint64_t size)
{
    return (uint64_t *)(void *)((char *)block + size - HEADER);
}

/* The block that the user knows by this offset, in use. */
static struct block *used_block(struct ipc__visit *v, uint64_t offset,
                                uint64_t *size)
{
    struct block *block = block_at(v, offset - HEADER);
    if (block == NULL)
        return NULL;
    if ((block->header & USED) == 0) {
        (void)ipc__visit_spoilt(v, "a block that is not in use");
        return NULL;
    }
    *size = size_of(v, offset - HEADER, block->header);
    return *size != 0 ? block : NULL;
}

uint64_t ipc__block_size(struct ipc__visit *v, uint64_t offset)
{
    uint64_t size;
    return used_block(v, offset, &size) != NULL ? size - HEADER : 0;
}

void ipc__block_mark_object(struct ipc__visit *v, uint64_t offset)
{
    uint64_t size;
    struct block *block = used_block(v, offset, &size);
    if (block != NULL)
        ipc__put64(v, &block->header, block->header | IPC__BLOCK_OBJECT);
}

bool ipc__block_is_object(struct ipc__visit *v, uint64_t offset)
{
    const uint64_t at = offset - HEADER;
    if (at < v->arena->heap || at % 16 != HEADER || v->end < LEAST ||
        at > v->end - LEAST)
        return false;
    const struct block *block = ipc__at(v, at, LEAST);
    return block != NULL && (block->header & (USED | IPC__BLOCK_OBJECT)) ==
                                (USED | IPC__BLOCK_OBJECT);
}

/* ---- the lists ---- */

static void bit_set(struct ipc__visit *v, uint32_t bin, bool set)
{
    uint64_t *word = &v->arena->bitmap[bin / 64];
    const uint64_t bit = (uint64_t)1 << bin % 64;
    ipc__put64(v, word, set ? *word | bit : *word & ~bit);
}

static void list_add(struct ipc__visit *v, uint64_t at, struct block *block,
                     uint64_t size)
{
    const uint32_t bin = ipc__bin_of(size);
    uint64_t *head = &v->arena->bins[bin];
    const uint64_t next = *head;
    ipc__put64(v, &block->next, next);
    ipc__put64(v, &block->prev, 0);
    if (next != 0) {
        struct block *after = block_at(v, next);
        if (after != NULL)
            ipc__put64(v, &after->prev, at);
    } else {
        bit_set(v, bin, true);
    }
    ipc__put64(v, head, at);
}

static void list_remove(struct ipc__visit *v, struct block *block,
                        uint64_t size)
{
    const uint32_t bin = ipc__bin_of(size);
    const uint64_t next = block->next;
    const uint64_t prev = block->prev;
    if (next != 0) {
        struct block *after = block_at(v, next);
        if (after != NULL)
            ipc__put64(v, &after->prev, prev);
    }
    if (prev != 0) {
        struct block *before = block_at(v, prev);
        if (before != NULL)
            ipc__put64(v, &before->next, next);
    } else {
        ipc__put64(v, &v->arena->bins[bin], next);
        if (next == 0)
            bit_set(v, bin, false);
    }
}

/* The first list from this one on that has blocks. */
static uint32_t list_with_blocks(const ipc_arena *arena, uint32_t from)
{
    uint64_t bits = 0;
    for (uint32_t word = from / 64; word < array_length(arena->bitmap);
         word++) {
        bits = arena->bitmap[word];
        if (word == from / 64)
            bits &= UINT64_MAX << from % 64;
        if (bits != 0)
            return word * 64 + (uint32_t)__builtin_ctzll(bits);
    }
    return IPC__BINS;
}

/* ---- allocate ---- */

/* Some of the first blocks of the list where smaller ones are too. */
static uint64_t find_in_own_list(struct ipc__visit *v, uint64_t size)
{
    uint64_t at = v->arena->bins[ipc__bin_of(size)];
    for (int i = 0; i < LOOKS && at != 0; i++) {
        const struct block *block = block_at(v, at);
        if (block == NULL)
            return 0;
        if (ipc__block_bytes(block->header) >= size)
            return at;
        at = block->next;
    }
    return 0;
}

static uint64_t find_free(struct ipc__visit *v, uint64_t size)
{
    const uint32_t bin = list_with_blocks(v->arena, bin_that_fits(size));
    if (bin < IPC__BINS)
        return v->arena->bins[bin];
    return size >= SMALL ? find_in_own_list(v, size) : 0;
}

/* What is left behind the first size bytes of a block that was whole. */
static void split(struct ipc__visit *v, uint64_t at, uint64_t size,
                  uint64_t whole)
{
    struct block *rest = ipc__at(v, at + size, LEAST);
    if (rest == NULL)
        return;
    const uint64_t left = whole - size;
    ipc__put64(v, &rest->header, left | BEFORE);
    ipc__put64(v, foot_of(rest, left), left);
    list_add(v, at + size, rest, left);
}

static uint64_t take_free(struct ipc__visit *v, uint64_t at, uint64_t size)
{
    struct block *block = block_at(v, at);
    if (block == NULL)
        return 0;
    const uint64_t whole = size_of(v, at, block->header);
    if (whole < size || (block->header & USED) != 0) {
        (void)ipc__visit_spoilt(v, "a list of free blocks");
        return 0;
    }
    list_remove(v, block, whole);
    ipc__put64(v, &block->next, block->next); /* to be written over */
    ipc__put64(v, &block->prev, block->prev);
    if (whole - size >= LEAST) {
        split(v, at, size, whole);
        ipc__put64(v, &block->header, size | USED | BEFORE);
        return size;
    }
    ipc__put64(v, foot_of(block, whole), whole);
    ipc__put64(v, &block->header, whole | USED | BEFORE);
    struct block *after = ipc__at(v, at + whole, HEADER);
    if (after != NULL)
        ipc__put64(v, &after->header, after->header | BEFORE);
    return whole;
}

/* Have memory up to an offset, and some more if that can be had. */
static int populate(struct ipc__visit *v, uint64_t to)
{
    ipc_arena *arena = v->arena;
    const uint64_t from = load_relaxed(&arena->heap_present);
    const uint64_t heap_end = load_relaxed(&arena->heap_end);
    if (from < arena->heap || from > to || heap_end > v->limit)
        return ipc__visit_spoilt(v, "its header");
    uint64_t step = (from - arena->heap) / 8;
    step = step < STEP ? STEP : step > STEP_MOST ? STEP_MOST : step;
    uint64_t end = round_up(to + step, PAGE);
    if (end > heap_end)
        end = heap_end;
    int rc = ipc__memory_populate((char *)arena + from / PAGE * PAGE,
                                  round_up(end - from / PAGE * PAGE, PAGE));
    if (rc != 0) {
        end = round_up(to, PAGE);
        rc = ipc__memory_populate((char *)arena + from / PAGE * PAGE,
                                  round_up(end - from / PAGE * PAGE, PAGE));
    }
    if (rc != 0)
        return ipc__visit_fail(v, rc, "no memory for %zu bytes of an arena",
                               (size_t)(to - from));
    store_release(&arena->heap_present, end);
    return 0;
}

static uint64_t take_at_top(struct ipc__visit *v, uint64_t size)
{
    ipc_arena *arena = v->arena;
    const uint64_t at = load_relaxed(&arena->top);
    const uint64_t heap_end = load_relaxed(&arena->heap_end);
    if (unlikely(at < arena->heap || at > heap_end || heap_end > v->limit ||
                 at % 16 != HEADER)) {
        (void)ipc__visit_spoilt(v, "its header");
        return 0;
    }
    if (size > heap_end - at) {
        (void)ipc__visit_fail(v, -ENOSPC, "the arena is full: max_bytes is %zu",
                              (size_t)(arena->heap_end - arena->heap + HEADER));
        return 0;
    }
    if (at + size > arena->heap_present && populate(v, at + size) != 0)
        return 0;
    struct block *block = (struct block *)(void *)((char *)arena + at);
    ipc__put64(v, &arena->top, at + size);
    block->header = size | USED | BEFORE;
    v->end = at + size;
    return at;
}

uint64_t ipc__alloc(struct ipc__visit *v, uint64_t bytes)
{
    ipc_arena *arena = v->arena;
    if (v->rc < 0)
        return 0;
    if (bytes > arena->heap_end) {
        (void)ipc__visit_fail(v, -ENOSPC, "%zu bytes do not fit into the arena",
                              (size_t)bytes);
        return 0;
    }
    uint64_t size = round_up(bytes + HEADER, 16);
    if (size < LEAST)
        size = LEAST;
    uint64_t at = find_free(v, size);
    if (at != 0)
        size = take_free(v, at, size);
    else if (v->rc >= 0)
        at = take_at_top(v, size);
    if (v->rc < 0 || at == 0)
        return 0;
    ipc__put64(v, &arena->used, arena->used + size);
    return v->rc < 0 ? 0 : at + HEADER;
}

/* ---- free ---- */

/* Take the block at an offset, if it is free, off its list; its size. */
static uint64_t absorb(struct ipc__visit *v, uint64_t at)
{
    struct block *block = block_at(v, at);
    if (block == NULL || (block->header & USED) != 0)
        return 0;
    const uint64_t size = size_of(v, at, block->header);
    if (size != 0)
        list_remove(v, block, size);
    return size;
}

/* How many bytes the free block before this one has. */
static uint64_t free_before(struct ipc__visit *v, uint64_t at)
{
    const uint64_t *foot = ipc__at(v, at - HEADER, HEADER);
    if (foot == NULL)
        return 0;
    const uint64_t size = *foot;
    if (size < LEAST || size % 16 != 0 || size > at - v->arena->heap ||
        absorb(v, at - size) != size) {
        (void)ipc__visit_spoilt(v, "a free block before one that is freed");
        return 0;
    }
    return size;
}

void ipc__free_now(struct ipc__visit *v, uint64_t offset)
{
    ipc_arena *arena = v->arena;
    uint64_t at = offset - HEADER;
    uint64_t size;
    struct block *block = used_block(v, offset, &size);
    if (block == NULL)
        return;
    ipc__put64(v, &arena->used, arena->used - size);
    if (at + size < arena->top)
        size += absorb(v, at + size);
    if ((block->header & BEFORE) == 0) {
        const uint64_t before = free_before(v, at);
        at -= before;
        size += before;
    }
    if (v->rc < 0)
        return;
    if (at + size >= arena->top) {
        ipc__put64(v, &arena->top, at);
        return;
    }
    block = block_at(v, at);
    struct block *after = ipc__at(v, at + size, HEADER);
    if (block == NULL || after == NULL)
        return;
    ipc__put64(v, &block->header, size | BEFORE);
    ipc__put64(v, foot_of(block, size), size);
    ipc__put64(v, &after->header, after->header & ~(uint64_t)BEFORE);
    list_add(v, at, block, size);
}

void ipc__heap_shrink(ipc_arena *arena)
{
    const uint64_t heap = load_relaxed(&arena->heap);
    const uint64_t top = load_relaxed(&arena->top);
    const uint64_t present = load_relaxed(&arena->heap_present);
    const uint64_t limit = ipc__self.lo + ipc__self.span - (uintptr_t)arena;
    const uint64_t keep = round_up(top + (top - heap) / 4 + STEP_MOST, PAGE);
    if (likely(present <= keep + STEP_MOST) || arena->spoilt != 0 ||
        heap > top || top > present || present > limit)
        return;
    store_release(&arena->heap_present, keep);
    ipc__memory_release((char *)arena + keep, present - keep, 0);
}

void ipc__park(struct ipc__visit *v, uint64_t offset, enum ipc__parked kind)
{
    uint64_t size;
    struct block *block = used_block(v, offset, &size);
    if (block == NULL)
        return;
    ipc__put64(v, &block->next, v->arena->parked); /* the block's first word */
    ipc__put64(v, &v->arena->parked, offset | (uint64_t)kind);
}
