/* Family memory when whoever repairs after a death dies too: at every
 * instruction of the repair. */
#include "crash/shared_scene.h"
#include "harness/scale.h"

#include <signal.h>

static const char *const names[] = {"taken", "freed", "split", "top", "list"};

enum {
    HALVES = sizeof names / sizeof names[0]
};

static size_t half;

/* In the midst of a change, with the guard. */
static void die_half_way(void *arg)
{
    struct heap heap;
    warm_up(arg);
    if (get_heap(&heap) != 0 || lock_heap(&heap) != 0)
        role_exit(1);
    struct arena *arena = heap.arena;
    const uint32_t chunk = arena->partial[class_of(64)] - 1;
    uint64_t *bits = &slab_at(&heap, chunk)->bitmap[0];
    switch (half) {
    case 0: /* a slot is taken and not counted */
        store_release(bits, *bits | (uint64_t)1 << 40);
        break;
    case 1: /* the doomed one's slot is free and not counted */
        store_release(bits, *bits & ~(uint64_t)1);
        break;
    case 2: /* the second part of a split is there, the first not shorter */
        store_release(&heap.map[2], make_word(FREE, 2, 0));
        break;
    case 3: /* there is a run behind the top */
        store_release(&heap.map[arena->top], make_word(MOVING, 2, 0));
        break;
    default: /* a slab is in no list */
        list_remove(&heap, class_of(64), chunk);
        break;
    }
    (void)raise(SIGKILL);
}

static void set_half_done_scene(void *ctx)
{
    struct role role;
    start_anew();
    make_gap();
    (void)get(64); /* the doomed one */
    (void)keep(64);
    wants(64);
    scene->lenient = true;
    scene->max_moving = 2;
    role_start(&role, die_half_way, ctx);
    assert_int_equal(role_wait_dead(&role, LIMIT_MS), SIGKILL);
}

static void repairing_after_a_death(void)
{
    make_scene(NULL);
    for (half = 0; half < HALVES; half++) {
        struct sweep_result result;
        const struct sweep sweep = {.reset = set_half_done_scene,
                                    .prepare = warm_up,
                                    .victim = work,
                                    .oracle = goes_on,
                                    .stride = sweep_stride(11)};
        sweep_run(&sweep, &result);
        sweep_report(names[half], &result);
        sweep_expect_clean(&result, 50);
    }
}

static void set_lenient_scene(void *ctx)
{
    set_scene(ctx);
    scene->lenient = true;
}

static void sweep_twice(void (*setup)(void))
{
    struct sweep_result result;
    if (test_scale() == 1)
        test_skip("takes minutes: with IPC_TEST_SCALE=2 or more");
    make_scene(setup);
    const struct sweep sweep = {.reset = set_lenient_scene,
                                .prepare = warm_up,
                                .victim = work,
                                .recoverer_prepare = warm_up,
                                .recoverer = work,
                                .oracle = goes_on};
    sweep2_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, SWEEP2_LEAST);
}

static void two_deaths_in_a_row_while_allocating(void)
{
    sweep_twice(small_of_a_slab_in_use);
}

static void two_deaths_in_a_row_while_freeing(void)
{
    sweep_twice(only_slot_of_a_slab);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(repairing_after_a_death, 600),
    TEST_CASE_LIMIT(two_deaths_in_a_row_while_allocating, 3600),
    TEST_CASE_LIMIT(two_deaths_in_a_row_while_freeing, 3600),
};
TEST_MAIN(cases)
