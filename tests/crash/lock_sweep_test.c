/* T01 and T04: a lock is killed at every instruction of acquire, change and
 * release; with nobody else there, with others asleep, and with the one who
 * takes over killed too. */
#include "crash/owner_sweep_support.h"

/* ---- the operation ---- */

static void take_change_give(void *ctx)
{
    (void)ctx;
    (void)take();
    change();
    give();
}

static void warm_and_take(void *ctx)
{
    warm_up(ctx);
    (void)take();
    let_sleepers_in();
}

static void change_and_give(void *ctx)
{
    (void)ctx;
    change();
    give();
}

/* ---- T01 ---- */

static void t01_nobody_waits(void)
{
    struct sweep sweep = {.name = "warm",
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = take_change_give,
                          .oracle = fresh_oracle};
    struct sweep_result result;
    make_state(0);
    sweep_run(&sweep, &result);
    report("warm", &result);
    sweep_expect_clean(&result, 30);
}

/* What a thread does once in its life, to be known, is swept too. */
static void t01_the_first_acquire_of_a_process(void)
{
    struct sweep sweep = {.name = "cold",
                          .reset = reset,
                          .victim = take_change_give,
                          .oracle = fresh_oracle,
                          .stride = sweep_stride(11)};
    struct sweep_result result;
    make_state(0);
    sweep_run(&sweep, &result);
    report("cold", &result);
    sweep_expect_clean(&result, 100);
    sweep.grain = SWEEP_SYSCALLS;
    sweep.stride = 1;
    sweep_run(&sweep, &result);
    report("calls", &result);
    sweep_expect_clean(&result, 10);
}

static void sweep_with_sleepers(int sleepers)
{
    struct sweep sweep = {.name = "sleepers",
                          .reset = reset,
                          .prepare = warm_and_take,
                          .victim = change_and_give,
                          .oracle = sleepers_oracle};
    struct sweep_result result;
    no_recheck();
    make_state(sleepers);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    sweep_expect_clean(&result, 20);
    assert_int_equal(state->lost_wakes, 0);
    assert_int_equal(state->late_news, 0);
}

static void t01_one_waits(void)
{
    sweep_with_sleepers(1);
}

static void t01_two_wait(void)
{
    sweep_with_sleepers(2);
}

/* By the re-check: those who wait cannot be told of a death, but a release
 * wakes them or did not happen. */
static void without_list_warm_and_take(void *ctx)
{
    ipc__robust_list_usable = false;
    warm_and_take(ctx);
}

static void sweep_without_list(void)
{
    struct sweep sweep = {.name = "no list",
                          .reset = reset,
                          .prepare = without_list_warm_and_take,
                          .victim = change_and_give,
                          .oracle = sleepers_oracle,
                          .stride = sweep_stride(5)};
    struct sweep_result result;
    make_state(2);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    sweep_expect_clean(&result, 10);
}

static void t01_without_robust_lists_by_recheck(void)
{
    sweep_without_list();
    no_recheck();
    sweep_without_list();
    assert_true(state->late_news > 0);
    assert_int_equal(state->lost_wakes, 0);
}

/* ---- T04 ---- */

static void t04_the_one_who_takes_over_is_killed_too(void)
{
    struct sweep sweep = {.name = "twice",
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = take_change_give,
                          .recoverer_prepare = warm_up,
                          .recoverer = take_change_give,
                          .oracle = fresh_oracle};
    struct sweep_result result;
    make_state(0);
    sweep2_run(&sweep, &result);
    report("twice", &result);
    sweep_expect_clean(&result, SWEEP2_LEAST);
}

/* ---- what these must find ---- */

/* Free, then wake, as two steps, with nothing announced.  With a life word
 * the sleeper would be told of the death in between, and look again. */
static void change_and_give_badly(void *ctx)
{
    (void)ctx;
    change();
    __atomic_store_n(&state->lock.word_, 0, __ATOMIC_SEQ_CST);
    think();
    ipc__futex_wake((const uint32_t *)(const void *)&state->lock.word_, 1);
}

static void a_release_in_two_steps_is_found(void)
{
    struct sweep sweep = {.name = "two steps",
                          .reset = reset,
                          .prepare = without_list_warm_and_take,
                          .victim = change_and_give_badly,
                          .oracle = sleepers_oracle,
                          .stride = 5};
    struct sweep_result result;
    no_recheck();
    make_state(1);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    assert_int_equal(result.wedges, 0);
    assert_true(state->lost_wakes > 0);
}

static void take_change_give_carelessly(void *ctx)
{
    (void)ctx;
    state->fresh_rc = ipc_lock_acquire(&state->lock);
    if (state->fresh_rc == IPC_OWNER_DIED)
        (void)ipc_lock_consistent(&state->lock);
    change();
    give();
}

static void a_repair_that_is_left_out_is_found(void)
{
    struct sweep sweep = {.name = "careless",
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = take_change_give_carelessly,
                          .oracle = fresh_oracle};
    struct sweep_result result;
    make_state(0);
    state->fresh = take_change_give_carelessly;
    sweep_run(&sweep, &result);
    report(NULL, &result);
    assert_int_equal(result.wedges, 0);
    assert_true(result.torn > 0);
}

static const struct test_case cases[] = {
    TEST_CASE(t01_nobody_waits),
    TEST_CASE_LIMIT(t01_the_first_acquire_of_a_process, 60),
    TEST_CASE(t01_one_waits),
    TEST_CASE(t01_two_wait),
    TEST_CASE(t01_without_robust_lists_by_recheck),
    TEST_CASE_LIMIT(t04_the_one_who_takes_over_is_killed_too, 60),
    TEST_CASE(a_release_in_two_steps_is_found),
    TEST_CASE(a_repair_that_is_left_out_is_found),
};
TEST_MAIN(cases)
