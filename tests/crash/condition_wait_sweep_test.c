/* T19: one who waits is killed at every instruction of it, before it sleeps
 * and after it was called.  Who notifies does not wait for it; the others get
 * the calls that were theirs, at once; and those that went down with it by the
 * re-check, within 200 ms. */
#include "crash/condition_sweep_support.h"

#include "sync/line.h"

enum {
    OFTEN_MS = 5 /* a re-check period that lets all points be tried */
};

static int first_sleepers; /* that come before the victim */
static struct role holder;
static struct stage *stage;

/* ---- the victim ---- */

/* Without the re-check of its own: step by step it takes longer than the
 * period. */
static void warm_and_hold(void *ctx)
{
    no_recheck();
    warm_up(ctx);
    take_lock();
}

static void wait_and_let_go(void *ctx)
{
    (void)ctx;
    const int rc = ipc_condition_wait(&state->condition, &state->lock);
    state->victim_rc = (uint32_t)(rc + 1000);
    let_go(rc);
}

static void time_out_and_let_go(void *ctx)
{
    (void)ctx;
    const int rc = ipc_condition_wait_until(&state->condition, &state->lock, 1);
    state->victim_rc = (uint32_t)(rc + 1000);
    let_go(rc);
}

static bool victim_asleep(void *ctx, pid_t victim)
{
    (void)ctx;
    return in_condition(victim);
}

static void reset(void *ctx)
{
    reset_empty(ctx);
    for (int i = 0; i < first_sleepers; i++)
        start_sleeper(i);
}

/* ---- meanwhile: the victim sleeps, or is dead ---- */

static void others_then_notify(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    start_sleepers(first_sleepers);
    fresh_notify(state->notify);
}

static void hold_until_told(void *arg)
{
    (void)arg;
    take_lock();
    meet_signal(&stage->ready);
    meet_wait(&stage->go, 1, LIMIT_MS);
    let_go(0);
    for (;;)
        (void)pause();
}

/* The one that is called finds the lock taken, and sleeps on that. */
static void others_then_notify_holding(void *ctx, pid_t victim, bool dead)
{
    stage->ready = stage->go = 0;
    start_sleepers(first_sleepers);
    role_start(&holder, hold_until_told, NULL);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    fresh_notify(state->notify);
    while (!dead && !thread_ended(victim) &&
           !asleep_on(victim, &state->lock.word_))
        poll_pause();
    meet_signal(&stage->go);
    (void)ctx;
}

/* ---- what is to be found ---- */

/* Has the victim had the lock again?  Then its call was not lost: it is told
 * by the lock that it died, or it has let it go. */
static bool victim_got_there(const struct sweep_point *point)
{
    const uint64_t low = futex_half(&state->lock);
    return state->victim_rc != 0 || state->told != 0 ||
           (low & FUTEX_BIT_OWNER_DIED) != 0 ||
           (low & FUTEX_BITS_TID) == (uint32_t)point->pid;
}

/* Wait until so many are back; how long after the victim's death that was. */
static void wait_for_pass_on(int wanted, const struct sweep_point *point,
                             struct sweep_result *result)
{
    const int64_t start_ns = test_now_ns();
    const int64_t limit_ns = (RECHECK_MS + SLACK_MS) * NS_PER_MS;
    while (count_back() < wanted) {
        if (test_now_ns() - start_ns > limit_ns) {
            sweep_wedge(result, point);
            return;
        }
        poll_pause();
    }
    if (test_now_ns() - start_ns > state->pass_on_ns)
        state->pass_on_ns = test_now_ns() - start_ns;
}

static int smaller(uint32_t a, int b)
{
    return a < (uint32_t)b ? (int)a : b;
}

/* Of those that live, as many as were notified come back; one fewer when the
 * victim was called and had its turn. */
static void expect_called(const struct sweep_point *point,
                          struct sweep_result *result)
{
    const int wanted = smaller(state->notify, state->sleepers);
    const int least =
        point->woken ? smaller(state->notify - 1, wanted) : wanted;
    if (!settle() || count_back() < least) {
        sweep_wedge(result, point);
        return;
    }
    if (count_back() < wanted && !victim_got_there(point)) {
        state->swallowed++;
        if (ipc__recheck_ns != INT64_MAX)
            wait_for_pass_on(wanted, point, result);
    }
    if (count_back() > (point->finished ? least : wanted))
        sweep_torn(result, point);
}

static void wait_oracle(void *ctx, const struct sweep_point *point,
                        struct sweep_result *result)
{
    (void)ctx;
    if (state->hung)
        sweep_wedge(result, point);
    expect_called(point, result);
    (void)role_kill(&holder);
    expect_as_new(point, result);
}

static void sweep_wait(const char *name,
                       void (*meanwhile)(void *ctx, pid_t victim, bool dead),
                       long stride, struct sweep_result *result)
{
    struct sweep sweep = {.name = name,
                          .reset = reset,
                          .prepare = warm_and_hold,
                          .victim = wait_and_let_go,
                          .asleep = victim_asleep,
                          .meanwhile = meanwhile,
                          .oracle = wait_oracle,
                          .stride = stride};
    stage = test_shared(sizeof *stage);
    sweep_run(&sweep, result);
    report(name, result);
}

/* ---- T19: what needs no re-check ---- */

static void t19_all_are_notified(void)
{
    struct sweep_result result;
    no_recheck();
    make_state(2, EVERYBODY);
    sweep_wait(NULL, others_then_notify, sweep_stride(3), &result);
    sweep_expect_clean(&result, 100);
    assert_true(result.woken > 10);
    assert_int_equal(state->swallowed, 0);
}

/* The victim is between the two: dead, it is passed over. */
static void t19_more_are_notified_than_live(void)
{
    struct sweep_result result;
    no_recheck();
    first_sleepers = 1;
    make_state(2, 3);
    sweep_wait(NULL, others_then_notify, sweep_stride(5), &result);
    sweep_expect_clean(&result, 50);
    assert_int_equal(state->swallowed, 0);
}

/* ---- T19: a deadline that has passed ---- */

/* The victim came last and was never called: nobody is back. */
static void time_out_oracle(void *ctx, const struct sweep_point *point,
                            struct sweep_result *result)
{
    (void)ctx;
    if (!settle() || count_back() != 0)
        sweep_torn(result, point);
    fresh_notify(1);
    if (state->hung || !settle() || count_back() != 1 || !is_back(0))
        sweep_wedge(result, point);
    expect_as_new(point, result);
}

static void t19_the_deadline_passes(void)
{
    struct sweep sweep = {.name = "deadline",
                          .reset = reset_with_sleepers,
                          .prepare = warm_and_hold,
                          .victim = time_out_and_let_go,
                          .oracle = time_out_oracle,
                          .stride = sweep_stride(3)};
    struct sweep_result result;
    no_recheck();
    make_state(2, 1);
    sweep_run(&sweep, &result);
    report("deadline", &result);
    sweep_expect_clean(&result, 100);
}

/* ---- T19: a call goes down with the victim ---- */

static void sweep_by_recheck(int before, uint32_t n, long stride,
                             void (*meanwhile)(void *ctx, pid_t victim,
                                               bool dead))
{
    struct sweep_result result;
    first_sleepers = before;
    ipc__recheck_ns = OFTEN_MS * NS_PER_MS;
    make_state(2, n);
    sweep_wait("often", meanwhile, sweep_stride(stride), &result);
    sweep_expect_clean(&result, 30);
    assert_true(result.woken > 3);

    /* Where each point may cost a re-check of the true period. */
    ipc__recheck_ns = IPC__RECHECK_NS;
    sweep_wait("as_is", meanwhile, sweep_stride(4 * stride), &result);
    sweep_expect_clean(&result, 10);
}

static void t19_one_is_notified_by_recheck(void)
{
    sweep_by_recheck(0, 1, 5, others_then_notify);
}

static void t19_two_are_notified_by_recheck(void)
{
    sweep_by_recheck(1, 2, 5, others_then_notify);
}

static void t19_the_lock_is_taken_by_recheck(void)
{
    sweep_by_recheck(0, 1, 11, others_then_notify_holding);
}

/* ---- the one who passes a call on is killed ---- */

static void pass_on(void *ctx)
{
    struct ipc__line *line = (void *)state->condition.line_;
    (void)ctx;
    if (ipc__line_lock(line) != 0)
        abort();
    ipc__line_pass_on(line);
    ipc__line_unlock(line);
}

/* Two sleep, and before them one was called and is dead. */
static void reset_with_dead_call(void *ctx)
{
    static struct role doomed;
    reset_empty(ctx);
    role_start(&doomed, sleep_till_called, &state->sleeper[MAX_SLEEPERS - 1]);
    while (!in_condition(doomed.pid))
        poll_pause();
    start_sleepers(0);
    role_stop(&doomed);
    notify_so_many(1);
    (void)role_kill(&doomed);
}

/* The call is still there for others to find, or was passed on; when it was
 * and that was not noted down yet, it is twice. */
static void pass_on_oracle(void *ctx, const struct sweep_point *point,
                           struct sweep_result *result)
{
    if (!settle())
        sweep_wedge(result, point);
    if (count_back() > 1)
        sweep_torn(result, point);
    if (point->finished && count_back() != 1)
        sweep_lost(result, point);
    if (role_try(pass_on, ctx, WEDGE_MS) != 0 || !settle() || !is_back(0))
        sweep_wedge(result, point);
    state->extra += count_back() > 1;
    expect_as_new(point, result);
}

static void t19_the_one_who_passes_on_is_killed(void)
{
    struct sweep sweep = {.name = "pass on",
                          .reset = reset_with_dead_call,
                          .prepare = warm_up,
                          .victim = pass_on,
                          .oracle = pass_on_oracle,
                          .stride = sweep_stride(5)};
    struct sweep_result result;
    no_recheck();
    make_state(2, 1);
    sweep_run(&sweep, &result);
    report("pass_on", &result);
    sweep_expect_clean(&result, 50);
}

/* ---- twice ---- */

static void notify(void *ctx)
{
    (void)ctx;
    notify_so_many(1);
}

/* One sleeps, and came first. */
static void twice_oracle(void *ctx, const struct sweep_point *point,
                         struct sweep_result *result)
{
    (void)ctx;
    if (!settle())
        sweep_wedge(result, point);
    expect_as_new(point, result);
}

static void t19_the_notifier_is_killed_too(void)
{
    struct sweep sweep = {.name = "twice",
                          .reset = reset_with_sleepers,
                          .prepare = warm_and_hold,
                          .victim = time_out_and_let_go,
                          .recoverer_prepare = warm_up,
                          .recoverer = notify,
                          .oracle = twice_oracle};
    struct sweep_result result;
    no_recheck();
    make_state(1, 1);
    sweep2_run(&sweep, &result);
    report("twice", &result);
    sweep_expect_clean(&result, SWEEP2_LEAST);
}

/* ---- what these must find ---- */

/* Without the re-check: calls that go down with the victim. */
static void a_call_that_is_not_passed_on_is_found(void)
{
    struct sweep_result result;
    no_recheck();
    make_state(2, 1);
    sweep_wait(NULL, others_then_notify, 5, &result);
    sweep_expect_clean(&result, 50);
    assert_true(state->swallowed > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t19_all_are_notified, 60),
    TEST_CASE_LIMIT(t19_more_are_notified_than_live, 60),
    TEST_CASE_LIMIT(t19_the_deadline_passes, 60),
    TEST_CASE_LIMIT(t19_one_is_notified_by_recheck, 120),
    TEST_CASE_LIMIT(t19_two_are_notified_by_recheck, 120),
    TEST_CASE_LIMIT(t19_the_lock_is_taken_by_recheck, 120),
    TEST_CASE_LIMIT(t19_the_one_who_passes_on_is_killed, 60),
    TEST_CASE_LIMIT(t19_the_notifier_is_killed_too, 300),
    TEST_CASE_LIMIT(a_call_that_is_not_passed_on_is_found, 60),
};
TEST_MAIN(cases)
