/* abort, reset, enroll, leave and a deadline of a barrier are killed at every
 * instruction while two of three wait: it has happened, for both of them, or
 * it has not; and whoever comes next is not held up. */
#include "crash/barrier_sweep_support.h"

/* ---- the victim is none of the three, or the third ---- */

static void let_both_in_first(void *ctx)
{
    warm_up(ctx);
    let_both_in();
}

static void enroll(void *ctx)
{
    (void)ctx;
    if (ipc_barrier_enroll(&state->barrier) != 0)
        abort();
}

static void leave(void *ctx)
{
    (void)ctx;
    if (ipc_barrier_leave(&state->barrier) != 0)
        abort();
}

static void enroll_first(void *ctx)
{
    warm_up(ctx);
    enroll(ctx);
    let_both_in();
}

static void let_one_in_first(void *ctx)
{
    warm_up(ctx);
    let_in(0);
}

static void give_up(void *ctx)
{
    (void)ctx;
    const int rc = ipc_barrier_wait_until(&state->barrier, ipc_after_ms(3));
    if (rc != -ETIMEDOUT)
        abort();
}

/* ---- oracles ---- */

/* It takes the guard, and so does what the dead one has left to do. */
static void ask(void *ctx)
{
    (void)ctx;
    (void)ipc_barrier_waiting(&state->barrier);
}

static bool are_sent_away(const struct sweep_point *point,
                          struct sweep_result *result)
{
    if (!both_done_within(hung_ms))
        return false;
    if (!were_sent_away())
        sweep_torn(result, point);
    state->broken++;
    return true;
}

/* Nothing has happened: they pass when a third comes. */
static bool still_wait(const struct sweep_point *point,
                       struct sweep_result *result)
{
    uint32_t places = 0;
    state->waited++;
    if (!more_come(1) || !both_done_within(hung_ms))
        return false;
    if (!have_passed(state->fresh, 1, &places) ||
        !have_passed(state->rc, OTHERS, &places))
        sweep_torn(result, point);
    return true;
}

static void finish(const struct sweep_point *point, bool well,
                   struct sweep_result *result)
{
    if (!well)
        sweep_wedge(result, point);
    use_again(point, result);
}

/* Of what breaks it, or not. */
static void oracle(void *ctx, const struct sweep_point *point,
                   struct sweep_result *result)
{
    (void)ctx;
    bool well = try_afresh(ask);
    const bool happened = is_known(point->pid);
    if (point->finished && !happened)
        sweep_lost(result, point);
    well = well && (happened ? are_sent_away(point, result)
                             : still_wait(point, result));
    finish(point, well, result);
}

/* When it has finished nobody misses it. */
static void leave_oracle(void *ctx, const struct sweep_point *point,
                         struct sweep_result *result)
{
    (void)ctx;
    bool well = try_afresh(ask);
    const bool happened = !is_known(point->pid);
    if (point->finished && !happened)
        sweep_lost(result, point);
    well = well && (happened ? still_wait(point, result)
                             : are_sent_away(point, result));
    finish(point, well, result);
}

/* One waits; the victim comes, and breaks it at its deadline or by its
 * death. */
static void deadline_oracle(void *ctx, const struct sweep_point *point,
                            struct sweep_result *result)
{
    (void)ctx;
    bool well = try_afresh(ask);
    const bool happened = is_known(point->pid);
    if (point->finished && !happened)
        sweep_lost(result, point);
    let_in(1);
    well = well && (happened ? are_sent_away(point, result)
                             : still_wait(point, result));
    finish(point, well, result);
}

/* ---- the sweeps ---- */

static void run(const char *name, struct sweep *sweep, long stride)
{
    struct sweep_result result;
    sweep->name = name;
    sweep->reset = reset;
    sweep->stride = sweep_stride(stride);
    make_state(0);
    sweep_run(sweep, &result);
    report(name, &result);
    sweep_expect_clean(&result, 10);
    assert_true(state->broken > 0);
    assert_true(state->waited > 0 || result.thinned); /* few points */
}

static void one_aborts(void)
{
    struct sweep sweep = {
        .prepare = let_both_in_first, .victim = abort_it, .oracle = oracle};
    run("abort", &sweep, 1);
}

static void one_resets(void)
{
    struct sweep sweep = {
        .prepare = let_both_in_first, .victim = reset_it, .oracle = oracle};
    run("reset", &sweep, 41);
}

static void one_enrolls(void)
{
    struct sweep sweep = {
        .prepare = let_both_in_first, .victim = enroll, .oracle = oracle};
    run("enroll", &sweep, 2);
}

static void one_leaves(void)
{
    struct sweep sweep = {
        .prepare = enroll_first, .victim = leave, .oracle = leave_oracle};
    run("leave", &sweep, 2);
}

static void one_gives_up(void)
{
    struct sweep sweep = {.prepare = let_one_in_first,
                          .victim = give_up,
                          .oracle = deadline_oracle};
    run("deadline", &sweep, 23);
}

/* ---- and the next one is killed too ---- */

/* A barrier for one, which takes no others to show whether it works. */
static void reset_alone(void *ctx)
{
    (void)ctx;
    reset_parties(1);
}

static void come_and_act(void *ctx)
{
    (void)ctx;
    (void)wait_and_act(&state->barrier);
}

static void abort_and_reset(void *ctx)
{
    abort_it(ctx);
    reset_it(ctx);
}

static void alone_oracle(void *ctx, const struct sweep_point *point,
                         struct sweep_result *result)
{
    (void)ctx;
    /* A dead party breaks it: this finds out. */
    if (!more_come(1))
        sweep_wedge(result, point);
    else if (state->fresh[0] != 0 && state->fresh[0] != -ECANCELED)
        sweep_torn(result, point);
    else
        use_again(point, result);
}

static void sweep_twice(const char *name, void (*first)(void *ctx),
                        void (*second)(void *ctx))
{
    struct sweep sweep = {.name = name,
                          .reset = reset_alone,
                          .prepare = warm_up,
                          .victim = first,
                          .recoverer_prepare = warm_up,
                          .recoverer = second,
                          .oracle = alone_oracle};
    struct sweep_result result;
    make_state(0);
    sweep2_run(&sweep, &result);
    sweep_report(name, &result);
    sweep_expect_clean(&result, SWEEP2_LEAST);
}

static void who_resets_it_after_a_party_is_killed_too(void)
{
    sweep_twice("reset", come_and_act, abort_and_reset);
}

static void who_comes_after_a_reset_is_killed_too(void)
{
    sweep_twice("come", abort_and_reset, come_and_act);
}

/* ---- what these must find ---- */

/* Tells the others one after the other, and forgets the rest when it dies. */
static void abort_badly(void *ctx)
{
    (void)ctx;
    for (int i = 0; i < OTHERS; i++) {
        (void)__atomic_fetch_or(&state->barrier.phase_, 2, __ATOMIC_SEQ_CST);
        ipc__futex_wake(&state->barrier.phase_, 1);
        (void)__atomic_fetch_and(&state->barrier.phase_, ~2u, __ATOMIC_SEQ_CST);
    }
}

static void half_of_an_abort_is_found(void)
{
    struct sweep sweep = {.name = "half",
                          .reset = reset,
                          .prepare = let_both_in_first,
                          .victim = abort_badly,
                          .oracle = oracle,
                          .stride = 7};
    struct sweep_result result;
    make_state(0);
    sweep_run(&sweep, &result);
    report("half", &result);
    assert_true(result.torn + result.lost + result.wedges > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(one_aborts, 60),
    TEST_CASE_LIMIT(one_resets, 60),
    TEST_CASE_LIMIT(one_enrolls, 60),
    TEST_CASE_LIMIT(one_leaves, 60),
    TEST_CASE_LIMIT(one_gives_up, 60),
    TEST_CASE_LIMIT(who_resets_it_after_a_party_is_killed_too, 120),
    TEST_CASE_LIMIT(who_comes_after_a_reset_is_killed_too, 120),
    TEST_CASE_LIMIT(half_of_an_abort_is_found, 60),
};
TEST_MAIN(cases)
