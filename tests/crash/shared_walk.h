/* A look at all of the family's allocator, from inside: does everything in it
 * still agree?  The program gets the allocator's own source instead of the
 * library's copy. */
#ifndef CRASH_SHARED_WALK_H
#define CRASH_SHARED_WALK_H

/* Its static functions are what the walk needs. */
#include "memory/shared.c" /* NOLINT(bugprone-suspicious-include) */

#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

struct walk {
    uint64_t count; /* blocks handed out */
    uint32_t moving_runs;
    uint32_t moving_chunks;
    uint32_t runs;
    const char *problem; /* NULL: all is well */
};

static size_t walk__pages_present(void *start, size_t size)
{
    unsigned char present[256];
    size_t count = 0;
    for (size_t at = 0; at < size; at += sizeof present * PAGE) {
        const size_t left = size - at;
        const size_t part =
            left < sizeof present * PAGE ? left : sizeof present * PAGE;
        if (mincore((char *)start + at, part, present) != 0)
            return size;
        for (size_t i = 0; i < part / PAGE; i++)
            count += present[i] & 1;
    }
    return count;
}

static const char *walk__slab(const struct heap *heap, uint32_t chunk,
                              uint64_t word, struct walk *out)
{
    const uint32_t class = word_more(word);
    if (class >= CLASSES || word_length(word) != 1)
        return "a slab of no class, or of a wrong length";
    const struct slab *slab = slab_at(heap, chunk);
    const uint32_t free_slots = slab_count_free(heap, class, chunk);
    if (free_slots > slab_slots(class))
        return "more slots taken than there are";
    if (slab->free_slots != free_slots)
        return "a slab's count of free slots is wrong";
    if (free_slots > 0 && slab->prev == 0 &&
        heap->arena->partial[class] != chunk + 1)
        return "a slab with free slots is not in its list";
    out->count += slab_slots(class) - free_slots;
    return NULL;
}

static const char *walk__runs(const struct heap *heap, struct walk *out)
{
    const struct arena *arena = heap->arena;
    bool rover_seen = arena->rover == 0 || arena->rover == arena->top;
    uint32_t i = 0;
    while (i < arena->top) {
        const uint64_t word = heap->map[i];
        const uint32_t length = word_length(word);
        const char *problem = NULL;
        if (length == 0 || length > arena->top - i)
            return "the runs do not meet the top";
        rover_seen = rover_seen || arena->rover == i;
        out->runs++;
        switch (word_kind(word)) {
        case SLAB:
            problem = walk__slab(heap, i, word, out);
            break;
        case LARGE:
            out->count++;
            break;
        case MOVING:
            out->moving_runs++;
            out->moving_chunks += length;
            break;
        case FREE:
            if (walk__pages_present(chunk_address(heap, i),
                                    (size_t)length * CHUNK) != 0)
                problem = "a free run was not given back";
            break;
        }
        if (problem != NULL)
            return problem;
        i += length;
    }
    for (; i < arena->map_end; i++)
        if (heap->map[i] != 0)
            return "something lies behind the top";
    return rover_seen ? NULL : "the search starts inside of a run";
}

static const char *walk__lists(const struct heap *heap)
{
    for (uint32_t class = 0; class < CLASSES; class ++) {
        uint32_t before = 0;
        uint32_t steps = 0;
        for (uint32_t at = heap->arena->partial[class]; at != 0;) {
            if (at > heap->arena->top || steps++ > heap->arena->top)
                return "a list of slabs leads nowhere";
            const uint64_t word = heap->map[at - 1];
            const struct slab *slab = slab_at(heap, at - 1);
            if (word_kind(word) != SLAB || word_more(word) != class)
                return "a list holds what is no slab of its class";
            if (slab->free_slots == 0 || slab->prev != before)
                return "a list of slabs is not linked well";
            before = at;
            at = slab->next;
        }
    }
    return NULL;
}

/* With the guard. */
static void walk_locked(const struct heap *heap, struct walk *out)
{
    *out = (struct walk){.problem = NULL};
    out->problem = walk__runs(heap, out);
    if (out->problem == NULL)
        out->problem = walk__lists(heap);
}

/* Takes the guard, which repairs what a death left. */
static inline void walk_heap(struct walk *out)
{
    struct heap heap;
    *out = (struct walk){.problem = "the guard cannot be had"};
    if (get_heap(&heap) != 0 || lock_heap(&heap) != 0)
        return;
    walk_locked(&heap, out);
    unlock_heap(&heap);
}

#endif
