/* T20: who notifies is killed at every instruction.  Each one who waits has
 * been called, and is awake at once, or still waits as before; there is nothing
 * in between.  All without the re-check. */
#include "crash/condition_sweep_support.h"

#include "sync/line.h"

/* ---- the victim ---- */

static void notify(void *ctx)
{
    (void)ctx;
    notify_so_many(state->notify);
}

/* As programs do it. */
static void change_and_notify(void *ctx)
{
    (void)ctx;
    take_lock();
    notify_so_many(state->notify);
    let_go(0);
}

/* ---- what is to be found ---- */

static uint32_t smaller(uint32_t a, int b)
{
    return a < (uint32_t)b ? a : (uint32_t)b;
}

/* Of those who wait the first ones are back, no more than were to be called;
 * and if the victim got to its end, no fewer. */
static void expect_called(uint32_t most, const struct sweep_point *point,
                          struct sweep_result *result)
{
    const uint32_t back = (uint32_t)count_back();
    for (int i = 1; i < state->sleepers; i++)
        if (is_back(i) && !is_back(i - 1))
            sweep_torn(result, point);
    if (back > most)
        sweep_torn(result, point);
    if (point->finished && back < smaller(state->notify, state->sleepers))
        sweep_lost(result, point);
}

static void look(uint32_t most, const struct sweep_point *point,
                 struct sweep_result *result)
{
    if (!settle())
        sweep_wedge(result, point);
    expect_called(most, point, result);
    expect_as_new(point, result);
}

static void notify_oracle(void *ctx, const struct sweep_point *point,
                          struct sweep_result *result)
{
    (void)ctx;
    look(state->notify, point, result);
}

static void two_notifies_oracle(void *ctx, const struct sweep_point *point,
                                struct sweep_result *result)
{
    (void)ctx;
    look(2 * state->notify, point, result);
}

/* ---- T20 ---- */

static void sweep_notify(const char *name, int sleepers, uint32_t n,
                         long stride, long min_points)
{
    struct sweep sweep = {.name = name,
                          .reset = reset_with_sleepers,
                          .prepare = warm_up,
                          .victim = notify,
                          .oracle = notify_oracle,
                          .stride = stride};
    struct sweep_result result;
    no_recheck();
    make_state(sleepers, n);
    sweep_run(&sweep, &result);
    report(name, &result);
    sweep_expect_clean(&result, min_points);
}

static void t20_nobody_waits(void)
{
    sweep_notify("1", 0, 1, 1, 5);
    sweep_notify("all", 0, EVERYBODY, 1, 5);
}

static void t20_one_waits(void)
{
    sweep_notify("1", 1, 1, 1, 50);
    sweep_notify("2", 1, 2, 1, 50);
    sweep_notify("all", 1, EVERYBODY, 1, 50);
}

static void t20_two_wait_and_one_is_notified(void)
{
    sweep_notify("1", 2, 1, 1, 50);
}

static void t20_two_wait_and_two_are_notified(void)
{
    sweep_notify("2", 2, 2, sweep_stride(2), 80);
}

static void t20_two_wait_and_all_are_notified(void)
{
    sweep_notify("all", 2, EVERYBODY, sweep_stride(2), 80);
}

/* Those who come back are told, and those who do not come back are found by
 * the next one, who is told. */
static void t20_the_notifier_holds_the_lock(void)
{
    struct sweep sweep = {.name = "holding",
                          .reset = reset_with_sleepers,
                          .prepare = warm_up,
                          .victim = change_and_notify,
                          .oracle = notify_oracle,
                          .stride = sweep_stride(3)};
    struct sweep_result result;
    no_recheck();
    make_state(2, 1);
    sweep_run(&sweep, &result);
    report("holding", &result);
    sweep_expect_clean(&result, 80);
}

static void hold_and_notify(void *ctx)
{
    take_lock();
    notify(ctx);
    __atomic_store_n(&state->notified, 1, __ATOMIC_SEQ_CST);
    let_go(0);
}

/* Nobody else does anything: the notifier's death alone has to wake it. */
static void called_by_its_death_oracle(void *ctx,
                                       const struct sweep_point *point,
                                       struct sweep_result *result)
{
    const int64_t end = test_now_ns() + WEDGE_MS * NS_PER_MS;
    (void)ctx;
    while (__atomic_load_n(&state->notified, __ATOMIC_SEQ_CST) != 0 &&
           !is_back(0) && test_now_ns() < end)
        poll_pause();
    if (__atomic_load_n(&state->notified, __ATOMIC_SEQ_CST) != 0 && !is_back(0))
        sweep_lost(result, point);
    look(state->notify, point, result);
}

/* The one who is called is to be woken by the release, which does not come: the
 * kernel wakes it. */
static void t20_the_notifier_dies_before_it_releases(void)
{
    struct sweep sweep = {.name = "before release",
                          .reset = reset_with_sleepers,
                          .prepare = warm_up,
                          .victim = hold_and_notify,
                          .oracle = called_by_its_death_oracle};
    struct sweep_result result;
    no_recheck();
    make_state(1, 1);
    sweep_run(&sweep, &result);
    report("before release", &result);
    sweep_expect_clean(&result, 80);
}

/* What a thread does once in its life, to be known, is swept too. */
static void t20_the_first_notify_of_a_process(void)
{
    struct sweep sweep = {.name = "cold",
                          .reset = reset_with_sleepers,
                          .victim = notify,
                          .oracle = notify_oracle,
                          .stride = sweep_stride(23)};
    struct sweep_result result;
    no_recheck();
    make_state(1, 1);
    sweep_run(&sweep, &result);
    report("cold", &result);
    sweep_expect_clean(&result, 50);
}

/* ---- twice ---- */

static void t20_the_next_notifier_is_killed_too(void)
{
    struct sweep sweep = {.name = "twice",
                          .reset = reset_with_sleepers,
                          .prepare = warm_up,
                          .victim = notify,
                          .recoverer_prepare = warm_up,
                          .recoverer = notify,
                          .oracle = two_notifies_oracle};
    struct sweep_result result;
    no_recheck();
    make_state(1, 1);
    sweep2_run(&sweep, &result);
    report("twice", &result);
    sweep_expect_clean(&result, SWEEP2_LEAST);
}

/* ---- what these must find ---- */

static void think(void)
{
    for (volatile int i = 0; i < 8; i++)
        ;
}

/* Called, then woken, as two steps. */
static void notify_in_two_steps(void *ctx)
{
    struct ipc__line *line = (void *)state->condition.line_;
    (void)ctx;
    __atomic_store_n(&line->places[0].state, IPC__PLACE_CALLED,
                     __ATOMIC_SEQ_CST);
    think();
    ipc__futex_wake(&line->places[0].state, 1);
}

static void a_call_in_two_steps_is_found(void)
{
    struct sweep sweep = {.name = "two steps",
                          .reset = reset_with_sleepers,
                          .prepare = warm_up,
                          .victim = notify_in_two_steps,
                          .oracle = notify_oracle};
    struct sweep_result result;
    no_recheck();
    make_state(1, 1);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    assert_true(result.wedges > 0);
}

/* Two are called by one wake-up that comes at the end. */
static void notify_all_at_the_end(void *ctx)
{
    struct ipc__line *line = (void *)state->condition.line_;
    (void)ctx;
    if (ipc__line_lock(line) != 0)
        abort();
    for (int i = 0; i < 2; i++)
        __atomic_store_n(&line->places[i].state, IPC__PLACE_CALLED,
                         __ATOMIC_SEQ_CST);
    ipc__line_unlock(line);
    for (int i = 0; i < 2; i++)
        ipc__futex_wake(&line->places[i].state, 1);
}

static void calls_without_wake_ups_are_found(void)
{
    struct sweep sweep = {.name = "at the end",
                          .reset = reset_with_sleepers,
                          .prepare = warm_up,
                          .victim = notify_all_at_the_end,
                          .oracle = notify_oracle};
    struct sweep_result result;
    no_recheck();
    make_state(2, 2);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    assert_true(result.wedges > 0);
}

/* The release alone is to wake who was called. */
static void notify_and_forget(void *ctx)
{
    take_lock();
    notify(ctx);
    ipc__pending_clear();
    __atomic_store_n(&state->notified, 1, __ATOMIC_SEQ_CST);
    think();
    let_go(0);
}

static void a_call_that_the_kernel_does_not_know_of_is_found(void)
{
    struct sweep sweep = {.name = "forgotten",
                          .reset = reset_with_sleepers,
                          .prepare = warm_up,
                          .victim = notify_and_forget,
                          .oracle = called_by_its_death_oracle,
                          .stride = 31};
    struct sweep_result result;
    no_recheck();
    make_state(1, 1);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    assert_true(result.lost > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t20_nobody_waits, 60),
    TEST_CASE_LIMIT(t20_one_waits, 60),
    TEST_CASE_LIMIT(t20_two_wait_and_one_is_notified, 60),
    TEST_CASE_LIMIT(t20_two_wait_and_two_are_notified, 60),
    TEST_CASE_LIMIT(t20_two_wait_and_all_are_notified, 60),
    TEST_CASE_LIMIT(t20_the_notifier_holds_the_lock, 60),
    TEST_CASE_LIMIT(t20_the_notifier_dies_before_it_releases, 60),
    TEST_CASE_LIMIT(t20_the_first_notify_of_a_process, 60),
    TEST_CASE_LIMIT(t20_the_next_notifier_is_killed_too, 150),
    TEST_CASE_LIMIT(a_call_in_two_steps_is_found, 60),
    TEST_CASE_LIMIT(calls_without_wake_ups_are_found, 60),
    TEST_CASE_LIMIT(a_call_that_the_kernel_does_not_know_of_is_found, 60),
};
TEST_MAIN(cases)
