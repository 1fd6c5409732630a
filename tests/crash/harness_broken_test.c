/* The crash harness, tried on models of locks: it must find what is wrong with
 * the broken ones, and nothing in the sound one. */
#include "crash/harness_model.h"
#include "harness/harness.h"
#include "harness/kills.h"
#include "harness/role.h"
#include "harness/sweep.h"

#include <string.h>

static void reset(void *ctx)
{
    (void)ctx;
    memset(model, 0, sizeof *model);
}

/* ---- lock; x++; y++; unlock ---- */

static void change(void)
{
    store(&model->x, model->x + 1);
    store(&model->y, model->y + 1);
}

static void naive_change(void *ctx)
{
    (void)ctx;
    naive_take();
    change();
    naive_give();
}

static void careless_change(void *ctx)
{
    (void)ctx;
    (void)robust_take();
    change();
    robust_give();
}

static void sound_change(void *ctx)
{
    (void)ctx;
    if (robust_take())
        store(&model->y, model->x);
    change();
    robust_give();
}

static void think(void)
{
    for (volatile int i = 0; i < 8; i++)
        ;
}

/* Announces its work, but a repairer withdraws the announcement too early. */
static void hasty_change(void *ctx)
{
    (void)ctx;
    (void)robust_take();
    if (model->dirty) {
        store(&model->dirty, 0);
        think();
        store(&model->y, model->x);
    }
    store(&model->dirty, 1);
    change();
    store(&model->dirty, 0);
    robust_give();
}

static void (*next_change)(void *ctx);

static void fresh_change(void *ctx)
{
    robust_attach(ctx);
    next_change(ctx);
}

/* A fresh process must get through, and find or leave x == y.  All others are
 * dead: if it goes to sleep nobody will wake it. */
static void change_oracle(void *ctx, const struct sweep_point *point,
                          struct sweep_result *result)
{
    struct role role;
    role_start(&role, fresh_change, ctx);
    while (!thread_ended(role.pid) && !asleep_on(role.pid, &model->lock))
        poll_pause();
    if (!thread_ended(role.pid))
        sweep_wedge(result, point);
    else if (model->x != model->y)
        sweep_torn(result, point);
    (void)role_kill(&role);
}

static void sweep_change(void (*victim)(void *ctx), struct sweep_result *result)
{
    next_change = victim;
    struct sweep sweep = {.reset = reset,
                          .prepare = robust_attach,
                          .victim = victim,
                          .oracle = change_oracle};
    sweep_run(&sweep, result);
    sweep_report(NULL, result);
    sweep_expect_min_points(result, 10);
}

static void lock_that_nobody_inherits_wedges(void)
{
    struct sweep_result result;
    model_new();
    sweep_change(naive_change, &result);
    assert_true(result.wedges > 0);
}

static void breakpoints_find_what_stepping_finds(void)
{
    struct sweep_result by_break, by_step;
    model_new();
    next_change = careless_change;
    struct sweep sweep = {.reset = reset,
                          .prepare = robust_attach,
                          .victim = careless_change,
                          .oracle = change_oracle};
    sweep_run(&sweep, &by_break);
    sweep.always_step = true;
    sweep_run(&sweep, &by_step);
    sweep_report("break", &by_break);
    sweep_report("step", &by_step);
    assert_int_equal(by_break.points, by_step.points);
    assert_int_equal(by_break.torn, by_step.torn);
    assert_int_equal(by_break.wedges, by_step.wedges);
}

static void change_without_repair_is_torn(void)
{
    struct sweep_result result;
    model_new();
    sweep_change(careless_change, &result);
    assert_int_equal(result.wedges, 0);
    assert_true(result.torn > 0);
}

static void sound_lock_is_clean(void)
{
    struct sweep_result result;
    model_new();
    sweep_change(sound_change, &result);
    sweep_expect_clean(&result, 10);
}

static void sweep_change_twice(void (*op)(void *ctx),
                               struct sweep_result *result)
{
    model_new();
    next_change = op;
    struct sweep sweep = {.reset = reset,
                          .prepare = robust_attach,
                          .victim = op,
                          .recoverer_prepare = robust_attach,
                          .recoverer = op,
                          .oracle = change_oracle};
    sweep2_run(&sweep, result);
    sweep_report(NULL, result);
    sweep_expect_min_points(result, SWEEP2_LEAST);
}

static void repair_that_forgets_is_torn_by_a_second_death(void)
{
    struct sweep_result result;
    model_new();
    sweep_change(hasty_change, &result);
    sweep_expect_clean(&result, 10); /* one death does not show it */
    sweep_change_twice(hasty_change, &result);
    assert_int_equal(result.wedges, 0);
    assert_true(result.torn > 0);
}

static void sound_lock_survives_two_deaths(void)
{
    struct sweep_result result;
    sweep_change_twice(sound_change, &result);
    sweep_expect_clean(&result, SWEEP2_LEAST);
}

/* ---- random kills ---- */

/* Most of its time it holds the lock. */
static void work_naive(void *ctx, int index)
{
    (void)ctx, (void)index;
    while (kills_go_on()) {
        naive_take();
        for (int i = 0; i < 200; i++)
            change();
        naive_give();
    }
}

static void work_sound(void *ctx, int index)
{
    (void)index;
    robust_attach(ctx);
    while (kills_go_on())
        sound_change(ctx);
}

static void random_kills_wedge_a_lock_that_nobody_inherits(void)
{
    model_new();
    struct kills kills = {
        .workers = 4, .work = work_naive, .stall_limit_ms = 300};
    struct kills_result result;
    kills_run(&kills, &result);
    kills_report(&result);
    assert_int_equal(result.wedges, 1);
}

static void check_equal(void *ctx, struct kills_result *result)
{
    (void)ctx, (void)result;
    (void)robust_take();
    store(&model->y, model->x);
    assert_true(model->x > 0);
}

static void random_kills_do_not_wedge_a_sound_lock(void)
{
    model_new();
    robust_attach(NULL);
    struct kills kills = {
        .workers = 4, .work = work_sound, .check = check_equal, .kills = 300};
    struct kills_result result;
    kills_run(&kills, &result);
    kills_report(&result);
    assert_int_equal(result.kills, 300);
    assert_int_equal(result.wedges, 0);
}

static const struct test_case cases[] = {
    TEST_CASE(lock_that_nobody_inherits_wedges),
    TEST_CASE(change_without_repair_is_torn),
    TEST_CASE(breakpoints_find_what_stepping_finds),
    TEST_CASE(sound_lock_is_clean),
    TEST_CASE(repair_that_forgets_is_torn_by_a_second_death),
    TEST_CASE(sound_lock_survives_two_deaths),
    TEST_CASE(random_kills_wedge_a_lock_that_nobody_inherits),
    TEST_CASE(random_kills_do_not_wedge_a_sound_lock),
};
TEST_MAIN(cases)
