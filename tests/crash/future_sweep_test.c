/* Futures: whoever completes, begins or cancels one is killed at every
 * instruction; with nobody else there, with one and with two asleep. */
#include "crash/future_sweep_support.h"

static void no_recheck(void)
{
    ipc__recheck_ns = INT64_MAX;
}

static void short_recheck(void)
{
    ipc__recheck_ns = SHORT_RECHECK_MS * NS_PER_MS;
}

static void run(struct sweep *sweep, int sleepers, long min_points)
{
    struct sweep_result result;
    make_state(sleepers);
    state->cancels = sweep->ctx != NULL;
    sweep->reset = reset;
    sweep_run(sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, min_points);
}

/* ---- completing ---- */

static void set_result(void *ctx)
{
    (void)ctx;
    must(keep(state->promise, VICTIM));
}

static void set_result_of_pending(int sleepers)
{
    struct sweep sweep = {.name = "set",
                          .prepare = let_sleepers_in,
                          .victim = set_result,
                          .oracle = oracle};
    no_recheck();
    run(&sweep, sleepers, 60);
}

static void set_result_and_nobody_waits(void)
{
    set_result_of_pending(0);
}

static void set_result_and_one_waits(void)
{
    set_result_of_pending(1);
}

static void set_result_and_two_wait(void)
{
    set_result_of_pending(2);
}

/* Who slept when it was begun in passing finds the death by the re-check. */
static void set_result_and_nobody_else_comes_by_recheck(void)
{
    struct sweep sweep = {.name = "set, alone",
                          .prepare = let_sleepers_in,
                          .victim = set_result,
                          .oracle = oracle_alone,
                          .stride = sweep_stride(2)};
    short_recheck();
    run(&sweep, 2, 20);
}

static void begin_and_let_in(void *ctx)
{
    warm_up(ctx);
    must(ipc_promise_begin(state->promise));
    let_sleepers_in(ctx);
}

/* Who waits for a promise that was begun watches over the one who has. */
static void begun_and_set(void)
{
    for (int sleepers = 1; sleepers <= 2; sleepers++) {
        struct sweep sweep = {.name = "begun",
                              .prepare = begin_and_let_in,
                              .victim = set_result,
                              .oracle = oracle_alone};
        no_recheck();
        run(&sweep, sleepers, 40);
    }
}

static void set_exception(void *ctx)
{
    (void)ctx;
    must(ipc_promise_set_exception(state->promise, -EOWNERDEAD, "so it is"));
}

static void begun_and_failed(void)
{
    struct sweep sweep = {.name = "failed",
                          .prepare = begin_and_let_in,
                          .victim = set_exception,
                          .oracle = oracle_alone};
    no_recheck();
    run(&sweep, 2, 40);
}

/* ---- beginning, cancelling ---- */

static void begin(void *ctx)
{
    (void)ctx;
    must(ipc_promise_begin(state->promise));
}

/* It is begun, and then its beginner dies in any case. */
static void begin_oracle(void *ctx, const struct sweep_point *point,
                         struct sweep_result *result)
{
    struct sweep_point dead = *point;
    dead.finished = false;
    oracle(ctx, &dead, result);
}

static void begun_with_and_without_sleepers(void)
{
    for (int sleepers = 0; sleepers <= 2; sleepers++) {
        struct sweep sweep = {.name = "begin",
                              .prepare = let_sleepers_in,
                              .victim = begin,
                              .oracle = begin_oracle};
        no_recheck();
        run(&sweep, sleepers, 30);
    }
}

static void cancel(void *ctx)
{
    (void)ctx;
    must(ipc_future_cancel(state->promise));
}

/* Between the change and the wake-up: the re-check. */
static void cancelled_by_recheck(void)
{
    for (int sleepers = 0; sleepers <= 2; sleepers++) {
        struct sweep sweep = {.name = "cancel",
                              .prepare = let_sleepers_in,
                              .victim = cancel,
                              .oracle = oracle};
        sweep.ctx = &sweep;
        short_recheck();
        run(&sweep, sleepers, 15);
    }
}

/* ---- who takes over is killed too ---- */

static void wait_for_it(void *ctx)
{
    (void)ctx;
    state->fresh_rc = ipc_future_wait_until(state->promise, 1);
}

static void the_one_who_finds_the_dead_is_killed_too(void)
{
    struct sweep sweep = {.name = "twice",
                          .reset = reset,
                          .prepare = begin_and_let_in,
                          .victim = set_result,
                          .recoverer_prepare = warm_up,
                          .recoverer = wait_for_it,
                          .oracle = oracle_alone};
    struct sweep_result result;
    no_recheck();
    make_state(1);
    sweep2_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, SWEEP2_LEAST);
}

/* ---- what these must find ---- */

/* Done, then told, as two steps. */
static void set_badly(void *ctx)
{
    (void)ctx;
    uint64_t *words = (uint64_t *)(void *)(state->promise + 1);
    state->promise->shape |= IPC__RESULT_SPILLED;
    state->promise->result_bytes = WORDS * sizeof *words;
    for (uint64_t i = 0; i < WORDS; i++)
        words[i] = VICTIM + i;
    uint32_t word = load_relaxed(&state->promise->state);
    while (!cas32_release(&state->promise->state, word,
                          word + IPC__DONE - IPC__PENDING))
        word = load_relaxed(&state->promise->state);
    ipc__futex_wake(&state->promise->state, INT32_MAX);
}

static void telling_in_two_steps_is_found(void)
{
    struct sweep sweep = {.name = "two steps",
                          .reset = reset,
                          .prepare = let_sleepers_in,
                          .victim = set_badly,
                          .oracle = oracle,
                          .stride = 5};
    struct sweep_result result;
    no_recheck();
    make_state(1);
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    assert_true(result.wedges > 0);
    assert_int_equal(result.torn, 0);
}

/* Done before the result is there. */
static void set_too_early(void *ctx)
{
    (void)ctx;
    uint64_t *words = (uint64_t *)(void *)(state->promise + 1);
    state->promise->shape |= IPC__RESULT_SPILLED;
    state->promise->result_bytes = WORDS * sizeof *words;
    must(ipc__future_claim(state->promise, false));
    (void)ipc__future_complete(state->promise, IPC__DONE);
    for (uint64_t i = 0; i < WORDS; i++)
        words[i] = VICTIM + i;
}

static void a_result_that_comes_too_late_is_found(void)
{
    struct sweep sweep = {.name = "too early",
                          .reset = reset,
                          .prepare = let_sleepers_in,
                          .victim = set_too_early,
                          .oracle = oracle,
                          .stride = 2};
    struct sweep_result result;
    no_recheck();
    make_state(1);
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    assert_int_equal(result.wedges, 0);
    assert_true(result.torn > 0);
}

static const struct test_case cases[] = {
    TEST_CASE(telling_in_two_steps_is_found),
    TEST_CASE(a_result_that_comes_too_late_is_found),
    TEST_CASE(set_result_and_nobody_waits),
    TEST_CASE(set_result_and_one_waits),
    TEST_CASE(set_result_and_two_wait),
    TEST_CASE(set_result_and_nobody_else_comes_by_recheck),
    TEST_CASE(begun_and_set),
    TEST_CASE(begun_and_failed),
    TEST_CASE(begun_with_and_without_sleepers),
    TEST_CASE(cancelled_by_recheck),
    TEST_CASE_LIMIT(the_one_who_finds_the_dead_is_killed_too, 60),
};
TEST_MAIN(cases)
