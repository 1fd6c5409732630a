/* Where in family memory a block is to be, or is: one scene for each way that
 * the allocator goes. */
#ifndef CRASH_SHARED_PLACES_H
#define CRASH_SHARED_PLACES_H

#include "crash/shared_scene.h"

static inline void small_of_a_new_slab(void)
{
    make_gap();
    wants(200);
}

static inline void large_from_a_gap(void)
{
    make_gap();
    wants(2 * CHUNK);
}

static inline void large_from_joined_gaps(void)
{
    void *gaps[3];
    for (int i = 0; i < 3; i++)
        gaps[i] = get(CHUNK);
    (void)keep(100);
    for (int i = 0; i < 3; i++)
        let_go(gaps[i]);
    wants(3 * CHUNK);
}

static inline void large_at_the_top(void)
{
    make_gap();
    wants(5 * CHUNK);
}

static inline void large_beyond_the_map(void)
{
    make_gap();
    struct heap heap;
    assert_int_equal(get_heap(&heap), 0);
    heap.arena->map_end = heap.arena->top;
    wants(5 * CHUNK);
}

static inline void one_of_several_slots(void)
{
    for (int i = 0; i < 3; i++)
        (void)keep(64);
    frees(64);
    (void)keep(64);
}

static inline void one_slot_of_a_full_slab(void)
{
    last_slot_of_a_slab();
    wants(0);
    frees(1792);
    (void)keep(1792); /* of the next slab: the list is not empty */
}

static inline void large_block(void)
{
    (void)keep(5000);
    frees(3 * CHUNK + 1);
    (void)keep(3 * CHUNK);
}

#endif
