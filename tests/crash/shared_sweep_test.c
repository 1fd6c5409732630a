/* Family memory under SIGKILL, at every instruction of its calls.  Whatever
 * is killed, the next member finds an allocator in which everything agrees,
 * what the others hold is untouched, and no more is missing than what the
 * dead one was busy with. */
#include "crash/shared_places.h"
#include "crash/shared_scene.h"
#include "harness/scale.h"

/* ---- sweeps ---- */

static void sweep_scene(void (*setup)(void), long stride)
{
    struct sweep_result result;
    make_scene(setup);
    const struct sweep sweep = {.reset = set_scene,
                                .prepare = warm_up,
                                .victim = work,
                                .oracle = goes_on,
                                .stride = stride};
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 100);
}

static void allocating_from_a_slab_in_use(void)
{
    sweep_scene(small_of_a_slab_in_use, 1);
}

static void allocating_the_last_slot_of_a_slab(void)
{
    sweep_scene(last_slot_of_a_slab, sweep_stride(2));
}

static void allocating_from_a_new_slab(void)
{
    sweep_scene(small_of_a_new_slab, sweep_stride(2));
}

static void allocating_large_from_a_gap(void)
{
    sweep_scene(large_from_a_gap, sweep_stride(2));
}

static void allocating_large_from_joined_gaps(void)
{
    sweep_scene(large_from_joined_gaps, sweep_stride(2));
}

static void allocating_large_at_the_top(void)
{
    sweep_scene(large_at_the_top, sweep_stride(2));
}

static void allocating_large_beyond_the_map(void)
{
    sweep_scene(large_beyond_the_map, sweep_stride(2));
}

static void freeing_one_of_several_slots(void)
{
    sweep_scene(one_of_several_slots, 1);
}

static void freeing_a_slot_of_a_full_slab(void)
{
    sweep_scene(one_slot_of_a_full_slab, sweep_stride(2));
}

static void freeing_the_only_slot_of_a_slab(void)
{
    sweep_scene(only_slot_of_a_slab, sweep_stride(2));
}

static void freeing_a_large_block(void)
{
    sweep_scene(large_block, sweep_stride(2));
}

/* The first call of a process also makes it known as a peer: too long for
 * every instruction in the quick run. */
static void allocating_in_the_first_call_of_a_process(void)
{
    struct sweep_result result;
    make_scene(small_of_a_new_slab);
    struct sweep sweep = {.reset = set_scene,
                          .victim = work,
                          .oracle = goes_on,
                          .grain = SWEEP_SYSCALLS};
    sweep_run(&sweep, &result);
    sweep_report("calls", &result);
    sweep_expect_clean(&result, 10);
    sweep.grain = SWEEP_INSTRUCTIONS;
    sweep.stride = test_scale() > 1 ? 3 : 37;
    sweep_run(&sweep, &result);
    sweep_report("instructions", &result);
    sweep_expect_clean(&result, 30);
}

/* ---- the sweep itself, on what is wrong on purpose ---- */

static void set_scene_forgetful(void *ctx)
{
    set_scene(ctx);
    scene->forgetful = true;
}

static void sweep_finds_a_missing_repair(void)
{
    struct sweep_result result;
    make_scene(one_slot_of_a_full_slab);
    const struct sweep sweep = {.reset = set_scene_forgetful,
                                .prepare = warm_up,
                                .victim = work,
                                .oracle = goes_on};
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    assert_int_equal(result.wedges, 0);
    assert_true(result.torn > 0);
}

/* Shortens the first part before the second one is there. */
static void split_the_wrong_way(void *ctx)
{
    (void)ctx;
    struct heap heap;
    if (get_heap(&heap) != 0 || lock_heap(&heap) != 0)
        _exit(1);
    store_release(&heap.map[0], make_word(LARGE, 2, 2 * CHUNK / PAGE));
    store_release(&heap.map[2], make_word(FREE, 2, 0));
    unlock_heap(&heap);
}

static void sweep_finds_a_split_in_the_wrong_order(void)
{
    struct sweep_result result;
    make_scene(large_from_a_gap);
    const struct sweep sweep = {.reset = set_scene,
                                .prepare = warm_up,
                                .victim = split_the_wrong_way,
                                .oracle = goes_on};
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    assert_int_equal(result.wedges, 0);
    assert_true(result.torn > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(allocating_from_a_slab_in_use, 120),
    TEST_CASE_LIMIT(allocating_the_last_slot_of_a_slab, 120),
    TEST_CASE_LIMIT(allocating_from_a_new_slab, 120),
    TEST_CASE_LIMIT(allocating_large_from_a_gap, 120),
    TEST_CASE_LIMIT(allocating_large_from_joined_gaps, 120),
    TEST_CASE_LIMIT(allocating_large_at_the_top, 120),
    TEST_CASE_LIMIT(allocating_large_beyond_the_map, 120),
    TEST_CASE_LIMIT(freeing_one_of_several_slots, 120),
    TEST_CASE_LIMIT(freeing_a_slot_of_a_full_slab, 120),
    TEST_CASE_LIMIT(freeing_the_only_slot_of_a_slab, 120),
    TEST_CASE_LIMIT(freeing_a_large_block, 120),
    TEST_CASE_LIMIT(allocating_in_the_first_call_of_a_process, 600),
    TEST_CASE(sweep_finds_a_missing_repair),
    TEST_CASE(sweep_finds_a_split_in_the_wrong_order),
};
TEST_MAIN(cases)
