/* Futures: whoever waits for one, or frees it, is killed at every instruction;
 * and who rings the bell for those who wait for many. */
#include "crash/future_sweep_support.h"

/* ---- waiting ---- */

static void wait_for_it(void *ctx)
{
    uint64_t words[WORDS];
    (void)ctx;
    must(ipc_future_result(state->promise, words, sizeof words, NULL));
}

static void keep_it(void *ctx, pid_t victim, bool dead)
{
    (void)ctx;
    (void)victim;
    (void)dead;
    expect_rc(keep(state->promise, VICTIM), 0);
}

static bool sleeps_on_it(void *ctx, pid_t victim)
{
    (void)ctx;
    return asleep_on(victim, &state->promise->state);
}

/* Others who wait are told of it, and it can be freed. */
static void the_one_who_waits(void)
{
    for (int sleepers = 0; sleepers <= 2; sleepers++) {
        struct sweep sweep = {.name = "wait",
                              .reset = reset,
                              .prepare = let_sleepers_in,
                              .victim = wait_for_it,
                              .meanwhile = keep_it,
                              .asleep = sleeps_on_it,
                              .oracle = oracle,
                              .stride = sleepers > 0 ? sweep_stride(2) : 1};
        struct sweep_result result;
        ipc__recheck_ns = INT64_MAX;
        make_state(sleepers);
        sweep_run(&sweep, &result);
        sweep_report(NULL, &result);
        sweep_expect_clean(&result, 40);
        assert_true(result.woken > 0);
    }
}

/* ---- freeing ---- */

static void free_it(void *ctx)
{
    (void)ctx;
    must(ipc_future_free(state->promise));
}

static void reset_done(void *ctx)
{
    reset(ctx);
    expect_rc(keep(state->promise, VICTIM), 0);
}

/* Another one frees it too: it is free afterwards, once. */
static void free_again(void *ctx)
{
    (void)ctx;
    look_once();
    state->fresh_rc = ipc_future_free(state->promise);
}

static void free_oracle(void *ctx, const struct sweep_point *point,
                        struct sweep_result *result)
{
    const bool was_there = allocations() == state->allocations + 1;
    const int how = role_try(free_again, ctx, WEDGE_MS);
    if (how == ROLE_HUNG)
        sweep_wedge(result, point);
    else if (how != 0)
        test_fail("the next process failed: %d", how);
    if (state->fresh_rc != (was_there ? 0 : -EINVAL))
        sweep_lost(result, point);
    look_for_leftovers(point, result);
}

static void freed_when_it_is_done(void)
{
    struct sweep sweep = {.name = "free",
                          .reset = reset_done,
                          .prepare = warm_up,
                          .victim = free_it,
                          .oracle = free_oracle};
    struct sweep_result result;
    make_state(0);
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 60);
}

/* Let go of before it is done: who completes it frees it, else the next who
 * lets go. */
static void finish_and_free(void *ctx)
{
    (void)ctx;
    look_once();
    const bool abandoned = (state->promise->state & IPC__ABANDONED) != 0;
    must(keep(state->promise, FRESH));
    if (!abandoned)
        must(ipc_future_free(state->promise));
}

static void abandon_oracle(void *ctx, const struct sweep_point *point,
                           struct sweep_result *result)
{
    const bool abandoned = (state->promise->state & IPC__ABANDONED) != 0;
    if (point->finished && !abandoned)
        sweep_lost(result, point);
    const int how = role_try(finish_and_free, ctx, WEDGE_MS);
    if (how == ROLE_HUNG)
        sweep_wedge(result, point);
    else if (how != 0)
        test_fail("the next process failed: %d", how);
    look_for_leftovers(point, result);
}

static void freed_before_it_is_done(void)
{
    struct sweep sweep = {.name = "abandon",
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = free_it,
                          .oracle = abandon_oracle};
    struct sweep_result result;
    make_state(0);
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 15);
}

/* ---- the bell ---- */

enum {
    MANY = 120
};

static ipc_future **many;

/* Sleeps on the bell until the promise is done: the others never are. */
static void wait_for_many(void *served)
{
    warm_up(NULL);
    meet_wait(&state->open, 1, LIMIT_MS);
    many[MANY / 2] = state->promise;
    state->rc[0] =
        ipc_wait_futures(many, MANY, IPC_FIRST_COMPLETED, IPC_TIME_FOREVER) == 1
            ? 0
            : -EUCLEAN;
    state->words[0][0] = VICTIM;
    for (uint64_t i = 1; i < WORDS; i++)
        state->words[0][i] = VICTIM + i;
    meet_signal(served);
    for (;;)
        (void)pause();
}

static void reset_many(void *ctx)
{
    const int sleepers = state->sleepers;
    state->sleepers = 0;
    reset(ctx);
    state->sleepers = sleepers;
    role_start(&sleeping[0], wait_for_many, &state->served[0]);
}

static void let_many_in(void *ctx)
{
    warm_up(ctx);
    meet_signal(&state->open);
    while (!asleep_on(sleeping[0].pid, ipc__future_bell()) &&
           !thread_ended(sleeping[0].pid))
        poll_pause();
}

static void set_result(void *ctx)
{
    (void)ctx;
    must(keep(state->promise, VICTIM));
}

static void make_many(void)
{
    many = ipc_shared_alloc(MANY * sizeof(ipc_future *));
    assert_non_null(many);
    for (int i = 0; i < MANY; i++)
        expect_rc(ipc_promise_new(8, &many[i]), 0);
}

/* Done and not rung: found by a look at all of them. */
static void many_are_told_by_recheck(void)
{
    struct sweep sweep = {.name = "bell",
                          .reset = reset_many,
                          .prepare = let_many_in,
                          .victim = set_result,
                          .oracle = oracle,
                          .stride = sweep_stride(3)};
    struct sweep_result result;
    ipc__recheck_ns = SHORT_RECHECK_MS * NS_PER_MS;
    make_many();
    make_state(1);
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 30);
}

/* What is done and not told of does not stay so only because of the re-check:
 * without it somebody waits for ever. */
static void without_the_bell_it_is_found(void)
{
    struct sweep sweep = {.name = "no re-check",
                          .reset = reset_many,
                          .prepare = let_many_in,
                          .victim = set_result,
                          .oracle = oracle,
                          .stride = 12};
    struct sweep_result result;
    ipc__recheck_ns = INT64_MAX;
    make_many();
    make_state(1);
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    assert_true(result.wedges > 0);
    assert_int_equal(result.torn, 0);
}

static const struct test_case cases[] = {
    TEST_CASE(the_one_who_waits),
    TEST_CASE(freed_when_it_is_done),
    TEST_CASE(freed_before_it_is_done),
    TEST_CASE_LIMIT(without_the_bell_it_is_found, 90),
    TEST_CASE_LIMIT(many_are_told_by_recheck, 60),
};
TEST_MAIN(cases)
