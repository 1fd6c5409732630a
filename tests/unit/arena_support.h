/* What the tests of arenas have in common: a chain of raw blocks, for they
 * test the allocator and the journal, not what is made of them; and a walk that
 * finds every block, written once more than in the library. */
#ifndef ARENA_SUPPORT_H
#define ARENA_SUPPORT_H

#include "harness/harness.h"
#include "harness/role.h"
#include "harness/scale.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ipc/arena.h>
#include <ipc/error.h>

#include "object/parts.h"

enum {
    LIMIT_MS = 10000 /* it hangs */
};

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)

#define expect_rc(call, expected)                                              \
    do {                                                                       \
        const int rc_ = (call);                                                \
        const int expected_ = (expected);                                      \
        if (rc_ != expected_)                                                  \
            test_fail("%s: %d (%s: %s), expected %d", #call, rc_,              \
                      ipc_strerror(rc_), ipc_error_detail(), expected_);       \
    } while (0)

static inline ipc_arena *new_arena(uint64_t max_bytes)
{
    const ipc_arena_options options = {
        .size = sizeof options, .max_bytes = max_bytes, .label = "shop"};
    ipc_arena *arena = NULL;
    expect_rc(ipc_arena_new(&options, &arena), 0);
    return arena;
}

static inline ipc_arena_info query(ipc_arena *arena)
{
    ipc_arena_info info = IPC_ARENA_INFO_INIT;
    expect_rc(ipc_arena_query(arena, &info), 0);
    return info;
}

/* ---- the chain: its head is the arena's first block ---- */

struct chain {
    uint64_t link;
    uint64_t first;
    uint64_t count;
    uint64_t sum; /* of the tags */
};

struct link {
    uint64_t link; /* what parks it writes here */
    uint64_t next;
    uint64_t bytes; /* of the text */
    uint64_t tag;
    unsigned char text[];
};

static inline uint64_t chain_offset(const ipc_arena *arena)
{
    return arena->heap + IPC__ARENA_HEADER;
}

/* Looks without a doubt: for those who have the arena. */
static inline struct chain *chain_of(const ipc_arena *arena)
{
    return (struct chain *)((uintptr_t)arena + chain_offset(arena));
}

static inline struct link *link_at(const ipc_arena *arena, uint64_t offset)
{
    return (struct link *)((uintptr_t)arena + offset);
}

static inline void chain_make(ipc_arena *arena)
{
    struct ipc__visit v;
    expect_rc(ipc__arena_enter(&v, arena), 0);
    assert_true(ipc__alloc(&v, sizeof(struct chain)) == chain_offset(arena));
    memset(chain_of(arena), 0, sizeof(struct chain));
    expect_rc(ipc__arena_leave(&v), 0);
}

static inline ipc_arena *arena_with_chain(uint64_t max_bytes)
{
    ipc_arena *arena = new_arena(max_bytes);
    chain_make(arena);
    return arena;
}

static inline unsigned char text_byte(uint64_t tag, uint64_t i)
{
    return (unsigned char)(tag * 31 + i);
}

/* A new link of so many bytes of text, before the place-th. */
static inline bool chain_add(struct ipc__visit *v, uint64_t place,
                             uint64_t bytes, uint64_t tag)
{
    struct chain *chain = chain_of(v->arena);
    uint64_t *before = &chain->first;
    const uint64_t at = ipc__alloc(v, sizeof(struct link) + bytes);
    if (at == 0)
        return false;
    struct link *made = link_at(v->arena, at);
    while (place-- > 0 && *before != 0)
        before = &link_at(v->arena, *before)->next;
    *made = (struct link){0, *before, bytes, tag};
    for (uint64_t i = 0; i < bytes; i++)
        made->text[i] = text_byte(tag, i);
    ipc__put64(v, before, at);
    ipc__put64(v, &chain->count, chain->count + 1);
    ipc__put64(v, &chain->sum, chain->sum + tag);
    return v->rc >= 0;
}

/* The place-th, or the last one, is parked. */
static inline bool chain_remove(struct ipc__visit *v, uint64_t place)
{
    struct chain *chain = chain_of(v->arena);
    uint64_t *before = &chain->first;
    if (*before == 0)
        return false;
    while (place-- > 0 && link_at(v->arena, *before)->next != 0)
        before = &link_at(v->arena, *before)->next;
    const uint64_t at = *before;
    const struct link *link = link_at(v->arena, at);
    ipc__put64(v, &chain->count, chain->count - 1);
    ipc__put64(v, &chain->sum, chain->sum - link->tag);
    ipc__put64(v, before, link->next);
    ipc__park(v, at, IPC__PARKED_BLOCK);
    return true;
}

/* The first one gets another text: a range. */
static inline void chain_rewrite(struct ipc__visit *v, uint64_t tag)
{
    struct chain *chain = chain_of(v->arena);
    struct link *link = link_at(v->arena, chain->first);
    const uint64_t words = (link->bytes + 7) / 8;
    if (ipc__journal_room(v, words, 1) != 0)
        return;
    ipc__put64(v, &chain->sum, chain->sum - link->tag + tag);
    ipc__put64(v, &link->tag, tag);
    ipc__save(v, link->text, words);
    for (uint64_t i = 0; i < link->bytes; i++)
        link->text[i] = text_byte(tag, i);
}

/* One visit each. */
static inline int add_one(ipc_arena *arena, uint64_t place, uint64_t bytes,
                          uint64_t tag)
{
    struct ipc__visit v;
    const int rc = ipc__arena_enter(&v, arena);
    if (rc != 0)
        return rc;
    (void)chain_add(&v, place, bytes, tag);
    return ipc__arena_leave(&v);
}

static inline int remove_one(ipc_arena *arena, uint64_t place)
{
    struct ipc__visit v;
    const int rc = ipc__arena_enter(&v, arena);
    if (rc != 0)
        return rc;
    (void)chain_remove(&v, place);
    return ipc__arena_leave(&v);
}

static inline void remove_all(ipc_arena *arena)
{
    while (chain_of(arena)->first != 0)
        expect_rc(remove_one(arena, 0), 0);
}

/* ---- the walk: with the arena at rest ---- */

struct arena_walk {
    uint64_t blocks; /* in use */
    uint64_t used;   /* bytes */
    uint64_t free;
    uint64_t free_blocks;
    uint64_t parked;
    char problem[120]; /* empty: none */
};

struct walk_set { /* of offsets of blocks in use, in order */
    uint64_t *at;
    bool *told;
    uint64_t count;
};

#define blame_walk(walk, ...)                                                  \
    do {                                                                       \
        if ((walk)->problem[0] == '\0')                                        \
            (void)snprintf((walk)->problem, sizeof(walk)->problem,             \
                           __VA_ARGS__);                                       \
    } while (0)

static inline uint64_t header_of(const ipc_arena *arena, uint64_t at)
{
    return *(const uint64_t *)((uintptr_t)arena + at);
}

/* Through the heap, block by block. */
static inline void walk_blocks(const ipc_arena *arena, struct arena_walk *w,
                               struct walk_set *set, uint64_t frees[IPC__BINS])
{
    uint64_t before = IPC__BLOCK_BEFORE;
    uint64_t at = arena->heap;
    while (at < arena->top && w->problem[0] == '\0') {
        const uint64_t header = header_of(arena, at);
        const uint64_t size = header & ~(uint64_t)15;
        if (size < 32 || size > arena->top - at)
            blame_walk(w, "a size of %llu", (unsigned long long)size);
        if ((header & IPC__BLOCK_BEFORE) != before)
            blame_walk(w, "the one before is noted wrong");
        if ((header & IPC__BLOCK_USED) != 0) {
            set->at[set->count++] = at + 8;
            w->used += size;
            before = IPC__BLOCK_BEFORE;
        } else {
            if (before == 0)
                blame_walk(w, "free neighbours");
            if (at + size == arena->top)
                blame_walk(w, "free at the top");
            if (w->problem[0] == '\0' &&
                header_of(arena, at + size - 8) != size)
                blame_walk(w, "the size at the end");
            w->free += size;
            w->free_blocks++;
            frees[ipc__bin_of(size)]++;
            before = 0;
        }
        at += size;
    }
    w->blocks = set->count;
    if (w->problem[0] == '\0' && at != arena->top)
        blame_walk(w, "blocks do not end at the top");
}

static inline void walk_lists(const ipc_arena *arena, struct arena_walk *w,
                              const uint64_t frees[IPC__BINS])
{
    for (uint32_t bin = 0; bin < IPC__BINS && w->problem[0] == '\0'; bin++) {
        uint64_t count = 0;
        uint64_t prev = 0;
        for (uint64_t at = arena->bins[bin]; at != 0 && count <= frees[bin];
             count++) {
            if ((header_of(arena, at) & IPC__BLOCK_USED) != 0 ||
                ipc__bin_of(header_of(arena, at) & ~(uint64_t)15) != bin ||
                header_of(arena, at + 16) != prev)
                blame_walk(w, "list %u", bin);
            prev = at;
            at = header_of(arena, at + 8);
        }
        if (count != frees[bin])
            blame_walk(w, "list %u is not as long as it should be", bin);
        if ((arena->bitmap[bin / 64] >> bin % 64 & 1) != (count != 0))
            blame_walk(w, "the bit of list %u", bin);
    }
}

static inline bool tell(struct walk_set *set, uint64_t offset)
{
    uint64_t low = 0;
    uint64_t high = set->count;
    while (low < high) {
        const uint64_t middle = (low + high) / 2;
        if (set->at[middle] < offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == set->count || set->at[low] != offset || set->told[low])
        return false;
    set->told[low] = true;
    return true;
}

static inline bool link_is_whole(const struct link *link)
{
    for (uint64_t i = 0; i < link->bytes; i++)
        if (link->text[i] != text_byte(link->tag, i))
            return false;
    return true;
}

/* What the chain has, and what is parked, is all that is in use. */
static inline void walk_chain(const ipc_arena *arena, struct arena_walk *w,
                              struct walk_set *set)
{
    const struct chain *chain = chain_of(arena);
    uint64_t count = 0;
    uint64_t sum = 0;
    if (!tell(set, chain_offset(arena)))
        blame_walk(w, "the chain is not there");
    for (uint64_t at = chain->first; at != 0 && w->problem[0] == '\0';) {
        const struct link *link = link_at(arena, at);
        if (!tell(set, at))
            blame_walk(w, "a link that is no block");
        else if (!link_is_whole(link))
            blame_walk(w, "link %llu was written by somebody else",
                       (unsigned long long)count);
        count++;
        sum += link->tag;
        at = link->next;
    }
    if (count != chain->count || sum != chain->sum)
        blame_walk(w, "%llu links, sum %llu, of %llu, %llu",
                   (unsigned long long)count, (unsigned long long)sum,
                   (unsigned long long)chain->count,
                   (unsigned long long)chain->sum);
    for (uint64_t at = arena->parked; at != 0 && w->problem[0] == '\0';
         at = *(const uint64_t *)((uintptr_t)arena + (at & ~(uint64_t)7))) {
        w->parked++;
        if (!tell(set, at & ~(uint64_t)7))
            blame_walk(w, "what is parked is no block");
    }
    for (uint64_t i = 0; i < set->count; i++)
        if (!set->told[i])
            blame_walk(w, "a block of nobody at 0x%llx",
                       (unsigned long long)set->at[i]);
}

static inline void walk_arena(const ipc_arena *arena, struct arena_walk *w)
{
    uint64_t frees[IPC__BINS] = {0};
    const uint64_t most = (arena->top - arena->heap) / 32 + 1;
    struct walk_set set = {calloc(most, sizeof *set.at),
                           calloc(most, sizeof *set.told), 0};
    memset(w, 0, sizeof *w);
    if (set.at == NULL || set.told == NULL)
        test_fail("no memory for the walk");
    walk_blocks(arena, w, &set, frees);
    if (w->problem[0] == '\0')
        walk_lists(arena, w, frees);
    if (w->problem[0] == '\0' && w->used != arena->used)
        blame_walk(w, "%llu bytes are in use, it says %llu",
                   (unsigned long long)w->used,
                   (unsigned long long)arena->used);
    if (w->problem[0] == '\0')
        walk_chain(arena, w, &set);
    free(set.at);
    free(set.told);
}

static inline struct arena_walk expect_whole(const ipc_arena *arena)
{
    struct arena_walk w;
    walk_arena(arena, &w);
    if (w.problem[0] != '\0')
        test_fail("%s", w.problem);
    return w;
}

/* Nothing but the chain's head is in use, and it is the last block. */
static inline void expect_empty(ipc_arena *arena)
{
    const struct arena_walk w = expect_whole(arena);
    assert_int_equal(w.blocks, 1);
    assert_int_equal(w.free_blocks, 0);
    assert_int_equal(w.parked, 0);
    assert_int_equal(arena->top, arena->heap + w.used);
}

/* Without links by now: nothing is left of it. */
static inline void end_chain(ipc_arena *arena)
{
    struct ipc__visit v;
    expect_empty(arena);
    expect_rc(ipc__arena_enter(&v, arena), 0);
    ipc__park(&v, chain_offset(arena), IPC__PARKED_BLOCK);
    expect_rc(ipc__arena_leave(&v), 0);
    assert_int_equal(arena->used, 0);
    assert_int_equal(arena->top, arena->heap);
}

/* ---- pictures: all that an undo has to bring back ---- */

struct picture {
    size_t bytes;
    unsigned char *of;
};

/* The inner bytes of free blocks do not matter. */
static inline struct picture take_picture(const ipc_arena *arena)
{
    const size_t head = sizeof *arena;
    const size_t heap = arena->top - arena->heap;
    const struct picture taken = {head + heap, malloc(head + heap)};
    if (taken.of == NULL)
        test_fail("no memory for a picture");
    memcpy(taken.of, arena, head);
    memset(taken.of, 0, offsetof(ipc_arena, heap)); /* the lock */
    memset(taken.of + offsetof(ipc_arena, saved), 0,
           offsetof(ipc_arena, bitmap) - offsetof(ipc_arena, saved));
    memcpy(taken.of + head, (const char *)arena + arena->heap, heap);
    for (uint64_t at = arena->heap; at < arena->top;) {
        const uint64_t header = header_of(arena, at);
        const uint64_t size = header & ~(uint64_t)15;
        if ((header & IPC__BLOCK_USED) == 0)
            memset(taken.of + head + (at - arena->heap) + 24, 0, size - 32);
        at += size;
    }
    return taken;
}

static inline void drop_picture(struct picture *picture)
{
    free(picture->of);
    *picture = (struct picture){0, NULL};
}

static inline bool looks_like(const ipc_arena *arena,
                              const struct picture *picture)
{
    struct picture now = take_picture(arena);
    const bool same = now.bytes == picture->bytes &&
                      memcmp(now.of, picture->of, now.bytes) == 0;
    drop_picture(&now);
    return same;
}

#endif
