/* Cells under SIGKILL, at every instruction: whatever is killed, either
 * nothing is allocated or the cell says what, and who frees that leaves family
 * memory as it was. */
#include "crash/shared_cell_scene.h"
#include "crash/shared_places.h"
#include "harness/scale.h"

/* ---- scenes of a full machine ---- */

static void large_without_room(void)
{
    make_gap();
    wants(2 * CHUNK);
    scene->full = true;
}

static void new_slab_without_room(void)
{
    make_gap();
    wants(200);
    scene->full = true;
}

/* ---- sweeps ---- */

static void sweep_cell(void (*setup)(void), long stride)
{
    struct sweep_result result;
    make_cell_scene(setup);
    const struct sweep sweep = {.reset = set_cell_scene,
                                .prepare = warm_up,
                                .victim = use_cell,
                                .oracle = nothing_is_lost,
                                .stride = stride};
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 100);
}

static void allocating_from_a_slab_in_use(void)
{
    sweep_cell(small_of_a_slab_in_use, 1);
}

static void allocating_the_last_slot_of_a_slab(void)
{
    sweep_cell(last_slot_of_a_slab, sweep_stride(2));
}

static void allocating_from_a_new_slab(void)
{
    sweep_cell(small_of_a_new_slab, sweep_stride(2));
}

static void allocating_large_from_a_gap(void)
{
    sweep_cell(large_from_a_gap, sweep_stride(2));
}

static void allocating_large_from_joined_gaps(void)
{
    sweep_cell(large_from_joined_gaps, sweep_stride(2));
}

static void allocating_large_at_the_top(void)
{
    sweep_cell(large_at_the_top, sweep_stride(2));
}

static void allocating_large_beyond_the_map(void)
{
    sweep_cell(large_beyond_the_map, sweep_stride(2));
}

static void allocating_large_on_a_full_machine(void)
{
    sweep_cell(large_without_room, sweep_stride(5));
}

static void allocating_from_a_new_slab_on_a_full_machine(void)
{
    sweep_cell(new_slab_without_room, sweep_stride(5));
}

static void freeing_one_of_several_slots(void)
{
    sweep_cell(one_of_several_slots, 1);
}

static void freeing_a_slot_of_a_full_slab(void)
{
    sweep_cell(one_slot_of_a_full_slab, sweep_stride(2));
}

static void freeing_the_only_slot_of_a_slab(void)
{
    sweep_cell(only_slot_of_a_slab, sweep_stride(2));
}

static void freeing_a_large_block(void)
{
    sweep_cell(large_block, sweep_stride(2));
}

/* ---- the sweep itself, on what is wrong on purpose ---- */

static struct sweep_result sweep_broken(void (*setup)(void),
                                        void (*victim)(void *ctx),
                                        void (*reset)(void *ctx))
{
    struct sweep_result result;
    make_cell_scene(setup);
    const struct sweep sweep = {.reset = reset,
                                .prepare = warm_up,
                                .victim = victim,
                                .oracle = nothing_is_lost,
                                .stride = 2};
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    assert_int_equal(result.wedges, 0);
    return result;
}

static void store_after_the_unlock(void *ctx)
{
    void *memory;
    (void)ctx;
    if (ipc__shared_alloc(scene->wanted, &memory) != 0)
        _exit(1);
    cell_say(scene->cell, memory);
}

static void sweep_finds_a_cell_stored_too_late(void)
{
    assert_true(sweep_broken(small_of_a_slab_in_use, store_after_the_unlock,
                             set_cell_scene)
                    .leftovers > 0);
}

static void sweep_finds_a_run_stored_too_late(void)
{
    assert_true(
        sweep_broken(large_from_a_gap, store_after_the_unlock, set_cell_scene)
            .leftovers > 0);
}

static void clear_after_the_free(void *ctx)
{
    (void)ctx;
    (void)ipc_shared_free(scene->target);
    cell_say(scene->cell, NULL);
}

static void sweep_finds_a_cell_cleared_too_late(void)
{
    assert_true(
        sweep_broken(large_block, clear_after_the_free, set_cell_scene).torn >
        0);
}

static void clear_before_the_free(void *ctx)
{
    (void)ctx;
    cell_say(scene->cell, NULL);
    (void)ipc_shared_free(scene->target);
}

static void sweep_finds_a_cell_cleared_too_early(void)
{
    assert_true(sweep_broken(one_of_several_slots, clear_before_the_free,
                             set_cell_scene)
                    .leftovers > 0);
}

static void set_scene_forgetful(void *ctx)
{
    set_cell_scene(ctx);
    scene->forgetful = true;
}

static void sweep_finds_a_cell_that_is_not_settled(void)
{
    assert_true(
        sweep_broken(one_of_several_slots, use_cell, set_scene_forgetful).torn >
        0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(allocating_from_a_slab_in_use, 120),
    TEST_CASE_LIMIT(allocating_the_last_slot_of_a_slab, 120),
    TEST_CASE_LIMIT(allocating_from_a_new_slab, 120),
    TEST_CASE_LIMIT(allocating_large_from_a_gap, 120),
    TEST_CASE_LIMIT(allocating_large_from_joined_gaps, 120),
    TEST_CASE_LIMIT(allocating_large_at_the_top, 120),
    TEST_CASE_LIMIT(allocating_large_beyond_the_map, 120),
    TEST_CASE_LIMIT(allocating_large_on_a_full_machine, 120),
    TEST_CASE_LIMIT(allocating_from_a_new_slab_on_a_full_machine, 120),
    TEST_CASE_LIMIT(freeing_one_of_several_slots, 120),
    TEST_CASE_LIMIT(freeing_a_slot_of_a_full_slab, 120),
    TEST_CASE_LIMIT(freeing_the_only_slot_of_a_slab, 120),
    TEST_CASE_LIMIT(freeing_a_large_block, 120),
    TEST_CASE_LIMIT(sweep_finds_a_cell_stored_too_late, 120),
    TEST_CASE_LIMIT(sweep_finds_a_run_stored_too_late, 120),
    TEST_CASE_LIMIT(sweep_finds_a_cell_cleared_too_late, 120),
    TEST_CASE_LIMIT(sweep_finds_a_cell_cleared_too_early, 120),
    TEST_CASE_LIMIT(sweep_finds_a_cell_that_is_not_settled, 120),
};
TEST_MAIN(cases)
