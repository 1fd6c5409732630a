/* T16: a semaphore's user is killed at every instruction of acquire and of
 * release; with nobody else there, with others asleep, and with the one who
 * comes next killed too.  No permit is lost, none is made; but those of an
 * untracked one that the victim had in its hands. */
#include "crash/semaphore_sweep_support.h"

/* ---- operations ---- */

static void take_and_give_one(void *ctx)
{
    (void)ctx;
    take_one();
    think();
    give_one();
}

static void take_and_give_many(void *ctx)
{
    (void)ctx;
    take(scene->victims);
    think();
    give(scene->victims);
}

static void take_many(void *ctx)
{
    (void)ctx;
    take(scene->victims);
}

static void give_back_one(void *ctx)
{
    (void)ctx;
    give_one();
}

static void give_back_many(void *ctx)
{
    (void)ctx;
    give(scene->victims);
}

static void have_them_wait(void *ctx)
{
    warm_up(ctx);
    take(scene->victims);
    let_sleepers_in();
}

static void sweep_kinds(const uint32_t *kinds, const struct scene *plan,
                        const struct sweep *sweep, long min_points)
{
    for (; *kinds != KINDS_END; kinds++) {
        struct sweep_result result;
        struct scene of_kind = *plan;
        of_kind.flags = *kinds;
        make_scene(&of_kind);
        sweep_run(sweep, &result);
        report(&result);
        end_scene();
        sweep_expect_clean(&result, min_points);
    }
}

/* ---- nobody waits ---- */

static void t16_nobody_waits(void)
{
    const struct scene plan = {.total = 4, .holders = 3, .victims = 1};
    const struct sweep sweep = {.name = "alone",
                                .reset = reset,
                                .prepare = warm_up,
                                .victim = take_and_give_one,
                                .oracle = oracle};
    sweep_kinds(all_kinds, &plan, &sweep, 30);
}

static void t16_many_at_once(void)
{
    const struct scene plan = {.total = 4, .holders = 1, .victims = 3};
    const struct sweep sweep = {.name = "many",
                                .reset = reset,
                                .prepare = warm_up,
                                .victim = take_and_give_many,
                                .oracle = oracle,
                                .stride = sweep_stride(3)};
    sweep_kinds(all_kinds, &plan, &sweep, 30);
}

/* What was acquired stays acquired. */
static void t16_acquire_alone(void)
{
    const struct scene plan = {
        .total = 4, .holders = 1, .victims = 2, .gone_after = 2};
    const struct sweep sweep = {.name = "acquire",
                                .reset = reset,
                                .prepare = warm_up,
                                .victim = take_many,
                                .oracle = oracle};
    sweep_kinds(all_kinds, &plan, &sweep, 15);
}

/* What a thread does once in its life, to be known, is swept too. */
static void t16_the_first_acquire_of_a_process(void)
{
    const struct scene plan = {.total = 4, .holders = 3, .victims = 1};
    struct sweep sweep = {.name = "cold",
                          .reset = reset,
                          .victim = take_and_give_one,
                          .oracle = oracle,
                          .stride = sweep_stride(11)};
    sweep_kinds(tracked_kinds, &plan, &sweep, 100);
    sweep.grain = SWEEP_SYSCALLS;
    sweep.stride = 1;
    sweep_kinds(tracked_kinds, &plan, &sweep, 8);
}

/* ---- somebody waits ---- */

static void sweep_release(const struct scene *plan, void (*victim)(void *ctx),
                          long stride)
{
    const struct sweep sweep = {.name = "release",
                                .reset = reset,
                                .prepare = have_them_wait,
                                .victim = victim,
                                .oracle = oracle,
                                .stride = stride};
    no_recheck();
    sweep_kinds(all_kinds, plan, &sweep, 15);
    assert_int_equal(sums.lost_wakes, 0);
    assert_int_equal(sums.late_news, 0);
}

static void t16_one_waits(void)
{
    const struct scene plan = {
        .total = 4, .holders = 3, .victims = 1, .sleepers = 1};
    sweep_release(&plan, give_back_one, 1);
}

static void t16_two_wait(void)
{
    const struct scene plan = {
        .total = 4, .holders = 3, .victims = 1, .sleepers = 2};
    sweep_release(&plan, give_back_one, sweep_stride(3));
}

/* One release for both, who keep what they get: nobody passes it on. */
static void t16_many_are_released_to_two_who_wait(void)
{
    const struct scene plan = {
        .total = 4, .holders = 2, .victims = 2, .sleepers = 2, .keep = true};
    sweep_release(&plan, give_back_many, sweep_stride(3));
}

/* By the re-check: those who wait cannot be told of a death, but a release
 * wakes them or did not happen. */
static void without_list_have_them_wait(void *ctx)
{
    ipc__robust_list_usable = false;
    have_them_wait(ctx);
}

static void t16_without_robust_lists_by_recheck(void)
{
    const struct scene plan = {
        .total = 4, .holders = 3, .victims = 1, .sleepers = 2};
    const struct sweep sweep = {.name = "no list",
                                .reset = reset,
                                .prepare = without_list_have_them_wait,
                                .victim = give_back_one,
                                .oracle = oracle,
                                .stride = sweep_stride(37)};
    static const uint32_t kinds[] = {PLAIN, TRACKED, KINDS_END};
    sweep_kinds(kinds, &plan, &sweep, 3);
}

/* ---- transfer ---- */

static void transfer_one(void *ctx)
{
    (void)ctx;
    if (ipc_semaphore_transfer(scene->semaphore, holding[0].pid, 1) != 0)
        abort();
}

/* The first holder has it, or nobody: the victim is dead. */
static void transfer_oracle(void *ctx, const struct sweep_point *point,
                            struct sweep_result *result)
{
    const uint32_t here = ipc_semaphore_value(scene->semaphore);
    const bool moved = here == 2;
    if (here != 1 && here != 2)
        sweep_torn(result, point);
    if (point->finished && !moved)
        sweep_lost(result, point);
    if (moved) { /* it would be refused */
        scene->gone++;
        (void)role_kill(&holding[0]);
    }
    oracle(ctx, point, result);
}

static void t16_transfer(void)
{
    const struct scene plan = {.total = 2, .holders = 1, .victims = 1};
    const struct sweep sweep = {.name = "transfer",
                                .reset = reset,
                                .prepare = warm_up,
                                .victim = transfer_one,
                                .oracle = transfer_oracle,
                                .stride = sweep_stride(7)};
    static const uint32_t kinds[] = {TRACKED, KINDS_END};
    sweep_kinds(kinds, &plan, &sweep, 30);
    assert_true(sums.gone > 0);
}

/* ---- two deaths ---- */

static void sweep_twice(const uint32_t *kinds, const struct scene *plan,
                        const struct sweep *sweep, long min_points)
{
    for (; *kinds != KINDS_END; kinds++) {
        struct sweep_result result;
        struct scene of_kind = *plan;
        of_kind.flags = *kinds;
        make_scene(&of_kind);
        sweep2_run(sweep, &result);
        report(&result);
        end_scene();
        sweep_expect_clean(&result, min_points);
    }
}

static void t16_the_one_who_comes_next_is_killed_too(void)
{
    const struct scene plan = {.total = 4,
                               .holders = 1,
                               .holder = {{.permits = 2}},
                               .victims = 2,
                               .twice = true};
    const struct sweep sweep = {.name = "twice",
                                .reset = reset,
                                .prepare = warm_up,
                                .victim = take_many,
                                .recoverer_prepare = warm_up,
                                .recoverer = take_and_give_many,
                                .oracle = oracle};
    static const uint32_t kinds[] = {TRACKED, KINDS_END};
    sweep_twice(kinds, &plan, &sweep, SWEEP2_LEAST);
}

/* And one who waits for either of them. */
static void t16_two_are_killed_and_one_waits(void)
{
    const struct scene plan = {
        .total = 2, .holders = 1, .victims = 1, .sleepers = 1, .twice = true};
    const struct sweep sweep = {.name = "twice",
                                .reset = reset,
                                .prepare = have_them_wait,
                                .victim = give_back_one,
                                .recoverer_prepare = warm_up,
                                .recoverer = take_and_give_one,
                                .oracle = oracle};
    static const uint32_t kinds[] = {TRACKED, KINDS_END};
    no_recheck();
    sweep_twice(kinds, &plan, &sweep, SWEEP2_LEAST);
    assert_int_equal(sums.lost_wakes, 0);
    assert_int_equal(sums.late_news, 0);
}

/* ---- what these must find ---- */

/* Add, then wake, as two steps. */
static void give_badly(void *ctx)
{
    uint32_t *word = &scene->semaphore->word_;
    (void)ctx;
    (void)__atomic_fetch_add(word, 4, __ATOMIC_SEQ_CST);
    think();
    ipc__futex_wake(word, 1);
}

static void a_release_in_two_steps_is_found(void)
{
    const struct scene plan = {
        .total = 4, .holders = 3, .victims = 1, .sleepers = 1};
    const struct sweep sweep = {.name = "two steps",
                                .reset = reset,
                                .prepare = have_them_wait,
                                .victim = give_badly,
                                .oracle = oracle};
    static const uint32_t kinds[] = {PLAIN, KINDS_END};
    no_recheck();
    sweep_kinds(kinds, &plan, &sweep, 5);
    assert_true(sums.lost_wakes > 0);
}

static void take_one_by_one(void *ctx)
{
    (void)ctx;
    for (uint32_t i = 0; i < scene->victims; i++)
        take_one();
    for (uint32_t i = 0; i < scene->victims; i++)
        give_one();
}

static void sweep_broken(const struct scene *plan, void (*victim)(void *ctx),
                         struct sweep_result *result)
{
    const struct sweep sweep = {.name = "broken",
                                .reset = reset,
                                .prepare = warm_up,
                                .victim = victim,
                                .oracle = oracle};
    make_scene(plan);
    sweep_run(&sweep, result);
    report(result);
    end_scene();
    assert_int_equal(result->wedges, 0);
}

static void many_acquired_one_by_one_are_found(void)
{
    const struct scene plan = {.total = 4, .holders = 1, .victims = 3};
    struct sweep_result result;
    sweep_broken(&plan, take_one_by_one, &result);
    assert_true(result.torn > 0);
}

static void a_semaphore_that_forgets_its_holders_is_found(void)
{
    const struct scene plan = {
        .total = 4, .holders = 3, .victims = 1, .forgetful = true};
    struct sweep_result result;
    sweep_broken(&plan, take_and_give_one, &result);
    assert_true(result.torn > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t16_nobody_waits, 60),
    TEST_CASE_LIMIT(t16_many_at_once, 60),
    TEST_CASE_LIMIT(t16_acquire_alone, 60),
    TEST_CASE_LIMIT(t16_the_first_acquire_of_a_process, 60),
    TEST_CASE_LIMIT(t16_one_waits, 60),
    TEST_CASE_LIMIT(t16_two_wait, 60),
    TEST_CASE_LIMIT(t16_many_are_released_to_two_who_wait, 60),
    TEST_CASE_LIMIT(t16_without_robust_lists_by_recheck, 60),
    TEST_CASE_LIMIT(t16_transfer, 60),
    TEST_CASE_LIMIT(t16_the_one_who_comes_next_is_killed_too, 120),
    TEST_CASE_LIMIT(t16_two_are_killed_and_one_waits, 60),
    TEST_CASE(a_release_in_two_steps_is_found),
    TEST_CASE(many_acquired_one_by_one_are_found),
    TEST_CASE(a_semaphore_that_forgets_its_holders_is_found),
};
TEST_MAIN(cases)
