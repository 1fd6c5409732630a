/* The guard is killed at every instruction: of lock, change and unlock, of
 * the recovery that follows, and of the wait for it. */
#include "crash/owner_wait_support.h"

#include "core/guard.h"

/* ---- the operation: what is stepped calls no assert ---- */

static bool recovered; /* in the last lock */

static void recover(void *arg)
{
    struct state *s = arg;
    recovered = true;
    think();
    __atomic_store_n(&s->y, s->x, __ATOMIC_SEQ_CST);
    think();
}

static struct ipc__guard *guard(void)
{
    return (struct ipc__guard *)(void *)&state->lock.word_;
}

static int take_guard(void)
{
    recovered = false;
    if (ipc__guard_lock(guard(), recover, state) != 0)
        abort();
    return recovered ? IPC_OWNER_DIED : 0;
}

static void give_guard(void)
{
    ipc__guard_unlock(guard());
}

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

static void without_list_warm_and_take(void *ctx)
{
    ipc__robust_list_usable = false;
    warm_and_take(ctx);
}

static void change_and_give(void *ctx)
{
    (void)ctx;
    change();
    give();
}

static void begin(int sleepers)
{
    take = take_guard;
    give = give_guard;
    make_state(sleepers);
}

/* ---- alone ---- */

static void sweep_alone(void (*prepare_fn)(void *ctx))
{
    struct sweep sweep = {.name = "guard",
                          .reset = reset,
                          .prepare = prepare_fn,
                          .victim = take_change_give,
                          .oracle = fresh_oracle};
    struct sweep_result result;
    begin(0);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    sweep_expect_clean(&result, 30);
}

static void nobody_waits(void)
{
    sweep_alone(warm_up);
}

static void nobody_waits_without_robust_lists(void)
{
    sweep_alone(without_list_warm_up);
}

/* Kills in recover() as well. */
static void the_one_who_recovers_is_killed_too(void)
{
    struct sweep sweep = {.name = "guard twice",
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = take_change_give,
                          .recoverer_prepare = warm_up,
                          .recoverer = take_change_give,
                          .oracle = fresh_oracle};
    struct sweep_result result;
    begin(0);
    sweep2_run(&sweep, &result);
    report(NULL, &result);
    sweep_expect_clean(&result, SWEEP2_LEAST);
}

/* ---- others sleep ---- */

static void sweep_with_sleepers(int sleepers)
{
    struct sweep sweep = {.name = "guard, sleepers",
                          .reset = reset,
                          .prepare = warm_and_take,
                          .victim = change_and_give,
                          .oracle = sleepers_oracle};
    struct sweep_result result;
    no_recheck();
    begin(sleepers);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    sweep_expect_clean(&result, 20);
    assert_int_equal(state->lost_wakes, 0);
    assert_int_equal(state->late_news, 0);
}

static void one_waits(void)
{
    sweep_with_sleepers(1);
}

static void two_wait(void)
{
    sweep_with_sleepers(2);
}

static void two_wait_without_robust_lists_by_recheck(void)
{
    struct sweep sweep = {.name = "guard, no list",
                          .reset = reset,
                          .prepare = without_list_warm_and_take,
                          .victim = change_and_give,
                          .oracle = sleepers_oracle,
                          .stride = sweep_stride(5)};
    struct sweep_result result;
    begin(2);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    sweep_expect_clean(&result, 8);
}

/* ---- who waits is killed ---- */

/* Without the re-check: the guard is announced to the kernel for as long as it
 * is wanted or held, so that every death is told. */
static void a_waiter_is_killed_when_it_is_released(void)
{
    struct sweep_result result;
    no_recheck();
    begin(2);
    sweep_wait(hold_then_give, others_then_release, sweep_stride(3), &result);
    sweep_expect_clean(&result, 100);
    assert_true(result.woken > 6);
    assert_int_equal(state->lost_wakes, 0);
    assert_int_equal(state->late_news, 0);
}

/* By the re-check: who is woken by a death, and dies before it has taken over,
 * takes the news with it. */
static void a_waiter_is_killed_when_the_owner_died_by_recheck(void)
{
    struct sweep_result result;
    begin(2);
    sweep_wait(hold_then_give, others_then_kill, sweep_stride(11), &result);
    sweep_expect_clean(&result, 30);
    no_recheck();
    begin(2);
    sweep_wait(hold_then_give, others_then_kill, sweep_stride(11), &result);
}

/* ---- what these must find ---- */

/* Frees, then wakes, in two steps that nobody looks after. */
static void give_in_two_steps(void *ctx)
{
    (void)ctx;
    change();
    __atomic_store_n(&guard()->word, 0, __ATOMIC_SEQ_CST);
    think();
    ipc__futex_wake((const uint32_t *)(const void *)&guard()->word, 1);
}

static void an_unlock_in_two_steps_is_found(void)
{
    struct sweep sweep = {.name = "two steps",
                          .reset = reset,
                          .prepare = without_list_warm_and_take,
                          .victim = give_in_two_steps,
                          .oracle = sleepers_oracle};
    struct sweep_result result;
    no_recheck();
    begin(2);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    assert_true(state->lost_wakes > 0);
    assert_true(state->late_news > 0);
}

static const struct test_case cases[] = {
    TEST_CASE(nobody_waits),
    TEST_CASE(nobody_waits_without_robust_lists),
    TEST_CASE_LIMIT(the_one_who_recovers_is_killed_too, 60),
    TEST_CASE(one_waits),
    TEST_CASE(two_wait),
    TEST_CASE(two_wait_without_robust_lists_by_recheck),
    TEST_CASE_LIMIT(a_waiter_is_killed_when_it_is_released, 60),
    TEST_CASE_LIMIT(a_waiter_is_killed_when_the_owner_died_by_recheck, 60),
    TEST_CASE(an_unlock_in_two_steps_is_found),
};
TEST_MAIN(cases)
