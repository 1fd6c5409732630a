/* A party of a barrier is killed at every instruction of its wait: as the
 * first, the middle and the last to come.  The others all pass, or are all
 * sent away, or still wait if the dead one had not come; none hangs, and they
 * never pass short-handed. */
#include "crash/barrier_sweep_support.h"

/* ---- the victim, and the two others ---- */

static void come(void *ctx)
{
    (void)ctx;
    const int rc = wait_at(&state->barrier);
    if (rc < 0 && rc != -ECANCELED)
        abort();
}

static void come_after_one(void *ctx)
{
    warm_up(ctx);
    let_in(0);
}

static void come_after_both(void *ctx)
{
    warm_up(ctx);
    let_both_in();
}

static void both_come(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    let_both_in();
}

static void the_other_comes(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    let_in(1);
}

/* ---- what may become of the others ---- */

/* Nobody knows of the victim: the others wait for a third, and pass with it.
 * False: they hung. */
static bool third_comes(const struct sweep_point *point,
                        struct sweep_result *result)
{
    uint32_t places = 0;
    state->waited++;
    if (is_done(0) || is_done(1)) {
        sweep_torn(result, point); /* passed, or were sent away, for nothing */
        return true;
    }
    if (!more_come(1) || !both_done_within(hung_ms))
        return false;
    if (!have_passed(state->fresh, 1, &places) ||
        !have_passed(state->rc, OTHERS, &places))
        sweep_lost(result, point);
    return true;
}

/* The phase has ended, or will, without a third. */
static bool settles(const struct sweep_point *point, bool may_pass,
                    struct sweep_result *result)
{
    uint32_t places = 0;
    if (!both_done_within(hung_ms))
        return false;
    if (were_sent_away() && (state->flags & IPC_BARRIER_SHRINK) == 0) {
        state->broken++;
        if (point->finished)
            sweep_lost(result, point);
    } else if (have_passed(state->rc, OTHERS, &places)) {
        state->passed++;
        if (!may_pass)
            sweep_torn(result, point); /* short-handed */
        if (wait_at == wait_and_act && state->acted != 1 &&
            (state->flags & IPC_BARRIER_SHRINK) == 0)
            sweep_lost(result, point);
    } else {
        sweep_torn(result, point); /* one so, the other otherwise */
    }
    return true;
}

/* In the swept phase, which the victim ended itself if it came last. */
static bool victim_was_first;

static void oracle(void *ctx, const struct sweep_point *point,
                   struct sweep_result *result)
{
    const bool shrinks = (state->flags & IPC_BARRIER_SHRINK) != 0;
    const bool early = victim_was_first && !point->woken;
    (void)ctx;
    /* First this one: it may end while the other is asked. */
    const bool may_pass = shrinks || (is_ended() && !early);
    const bool settled = is_known(point->pid) ? settles(point, may_pass, result)
                                              : third_comes(point, result);
    if (!settled)
        sweep_wedge(result, point);
    use_again(point, result);
}

/* ---- the sweeps ---- */

static struct sweep_result run(const char *name, struct sweep *sweep,
                               uint32_t flags, long stride)
{
    struct sweep_result result;
    sweep->name = name;
    sweep->reset = reset;
    sweep->victim = come;
    sweep->oracle = oracle;
    sweep->stride = sweep_stride(stride);
    victim_was_first = sweep->meanwhile != NULL;
    make_state(flags);
    sweep_run(sweep, &result);
    report(name, &result);
    return result;
}

static void sweep_all_places(uint32_t flags, long stride)
{
    struct sweep first = {.prepare = warm_up, .meanwhile = both_come};
    struct sweep middle = {.prepare = come_after_one,
                           .meanwhile = the_other_comes};
    struct sweep last = {.prepare = come_after_both};
    struct sweep_result result = run("first", &first, flags, stride);
    sweep_expect_clean(&result, 20);
    assert_true(result.woken > 0);
    result = run("middle", &middle, flags, stride);
    sweep_expect_clean(&result, 20);
    assert_true(result.woken > 0);
    result = run("last", &last, flags, stride);
    sweep_expect_clean(&result, 20);
    assert_true(state->passed > 0 && state->waited > 0);
}

static void one_of_three_dies(void)
{
    sweep_all_places(0, 13);
}

static void one_of_three_dies_with_an_action(void)
{
    wait_at = wait_and_act;
    sweep_all_places(0, 23);
}

static void one_of_three_dies_and_the_barrier_shrinks(void)
{
    sweep_all_places(IPC_BARRIER_SHRINK, 23);
}

static void one_of_three_dies_and_it_shrinks_with_an_action(void)
{
    wait_at = wait_and_act;
    sweep_all_places(IPC_BARRIER_SHRINK, 29);
}

static void without_list(void *ctx)
{
    ipc__robust_list_usable = false;
    come_after_both(ctx);
}

static void the_last_one_dies_unnoticed_by_recheck(void)
{
    struct sweep last = {.prepare = without_list};
    const struct sweep_result result = run("last", &last, 0, 11);
    sweep_expect_clean(&result, 50);
    assert_true(state->broken > 0);
}

/* ---- what these must find ---- */

/* A number of those who have come: what most barriers are made of. */
static int wait_counting(ipc_barrier *barrier)
{
    const uint32_t phase = get(&barrier->phase_);
    const uint32_t came =
        __atomic_fetch_add(&barrier->came_, 1, __ATOMIC_SEQ_CST);
    if (came + 1 == PARTIES) {
        __atomic_store_n(&barrier->came_, 0, __ATOMIC_SEQ_CST);
        (void)__atomic_add_fetch(&barrier->phase_, 4, __ATOMIC_SEQ_CST);
        ipc__futex_wake(&barrier->phase_, INT32_MAX);
    }
    while (get(&barrier->phase_) == phase)
        (void)ipc__futex_wait(&barrier->phase_, phase, IPC_TIME_FOREVER);
    return (int)came;
}

static void passing_short_handed_is_found(void)
{
    struct sweep first = {.prepare = warm_up, .meanwhile = both_come};
    wait_at = wait_counting;
    const struct sweep_result result = run("first", &first, 0, 2);
    assert_true(result.torn > 0);
}

static void a_lost_wake_up_is_found(void)
{
    struct sweep last = {.prepare = come_after_both};
    wait_at = wait_counting;
    hung_ms = 300; /* it does */
    const struct sweep_result result = run("last", &last, 0, 3);
    assert_true(result.wedges > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(one_of_three_dies, 120),
    TEST_CASE_LIMIT(one_of_three_dies_with_an_action, 120),
    TEST_CASE_LIMIT(one_of_three_dies_and_the_barrier_shrinks, 120),
    TEST_CASE_LIMIT(one_of_three_dies_and_it_shrinks_with_an_action, 120),
    TEST_CASE_LIMIT(the_last_one_dies_unnoticed_by_recheck, 120),
    TEST_CASE_LIMIT(passing_short_handed_is_found, 120),
    TEST_CASE_LIMIT(a_lost_wake_up_is_found, 120),
};
TEST_MAIN(cases)
