/* T22: an event is killed at every instruction of set, clear and wait.  It was
 * set, and all who waited are awake at once, or it was not, and all wait as
 * before.  All without the re-check. */
#include "crash/look_once.h"
#include "harness/sweep.h"
#include "unit/lock_support.h"

#include <errno.h>
#include <stdlib.h>

#include <ipc/event.h>

#include "core/waiting.h"

enum {
    MAX_SLEEPERS = 4
};

/* In family memory. */
struct state {
    ipc_event event;
    int sleepers;       /* of the context */
    uint32_t victim_ok; /* the victim's wait was not for nothing */
    uint32_t hung;      /* the one who sets waits for ever */
    int64_t set_ns;     /* how long setting took, at most */
    uint32_t back[MAX_SLEEPERS];
};

static struct state *state;
static struct role sleeping[MAX_SLEEPERS];

/* ---- what is stepped calls no assert ---- */

static void must(int rc)
{
    if (rc != 0)
        abort();
}

static void prepare_to_wait(void *ctx)
{
    (void)ctx;
    look_once();
}

static void set(void *ctx)
{
    (void)ctx;
    must(ipc_event_set(&state->event));
}

static void clear(void *ctx)
{
    (void)ctx;
    must(ipc_event_clear(&state->event));
}

static void set_and_clear(void *ctx)
{
    set(ctx);
    clear(ctx);
}

static void wait_till_set(void *ctx)
{
    (void)ctx;
    must(ipc_event_wait(&state->event));
    state->victim_ok = 1;
}

static void time_out(void *ctx)
{
    (void)ctx;
    must(ipc_event_wait_until(&state->event, 1) != -ETIMEDOUT);
}

/* ---- those who wait ---- */

/* Does not end when it is back: its end might wake others. */
static void sleep_till_set(void *back)
{
    must(ipc_event_wait(&state->event));
    meet_signal(back);
    for (;;)
        (void)pause();
}

static bool on_event(pid_t pid)
{
    return asleep_on(pid, &state->event.word_);
}

static bool is_back(int i)
{
    return __atomic_load_n(&state->back[i], __ATOMIC_SEQ_CST) != 0;
}

static int count_back(void)
{
    int back = 0;
    for (int i = 0; i < state->sleepers; i++)
        back += is_back(i);
    return back;
}

static void start_sleepers(void)
{
    for (int i = 0; i < state->sleepers; i++)
        role_start(&sleeping[i], sleep_till_set, &state->back[i]);
    for (int i = 0; i < state->sleepers; i++)
        wait_until_at(sleeping[i].pid, on_event, LIMIT_MS, __FILE__, __LINE__);
}

static void end_sleepers(void)
{
    for (int i = 0; i < state->sleepers; i++) {
        if (sleeping[i].pid != 0 && thread_ended(sleeping[i].pid))
            test_fail("sleeper %d has failed", i);
        (void)role_kill(&sleeping[i]);
    }
}

/* Each is back, or sleeps: nothing more will happen by itself.  False: it does
 * not come to that. */
static bool settle(void)
{
    const int64_t end = test_now_ns() + WEDGE_MS * NS_PER_MS;
    for (int i = 0; i < state->sleepers; i++)
        while (!is_back(i) && !on_event(sleeping[i].pid)) {
            if (test_now_ns() > end)
                return false;
            poll_pause();
        }
    return true;
}

/* ---- contexts ---- */

static void make_state(int sleepers)
{
    ipc__recheck_ns = INT64_MAX;
    state = ipc_shared_alloc(sizeof *state);
    assert_non_null(state);
    state->sleepers = sleepers;
}

static void reset_empty(void *ctx)
{
    (void)ctx;
    memset(&state->event, 0, sizeof state->event);
    memset(state->back, 0, sizeof state->back);
    state->victim_ok = state->hung = 0;
}

static void reset_with_sleepers(void *ctx)
{
    reset_empty(ctx);
    start_sleepers();
}

static void reset_set(void *ctx)
{
    reset_empty(ctx);
    set(ctx);
}

/* ---- others ---- */

static void set_in_time(void *arg)
{
    const int64_t start_ns = test_now_ns();
    set(arg);
    const int64_t ns = test_now_ns() - start_ns;
    if (ns > state->set_ns)
        state->set_ns = ns;
}

/* Wakes those who are left, and uses it as if it were new. */
static void set_and_use(void *arg)
{
    set_in_time(arg);
    must(ipc_event_wait(&state->event));
    clear(arg);
    time_out(arg);
    must(ipc_event_is_set(&state->event));
}

/* ---- oracles ---- */

/* Those who still wait do so as they should: the next one to set it wakes them,
 * at once. */
static void expect_as_new(const struct sweep_point *point,
                          struct sweep_result *result)
{
    const int how = role_try(set_and_use, NULL, WEDGE_MS);
    if (how != 0 && how != ROLE_HUNG)
        test_fail("the next process failed: %d", how);
    const bool woken = settle() && count_back() == state->sleepers;
    if (how == ROLE_HUNG || state->hung || !woken)
        sweep_wedge(result, point);
    end_sleepers();
    if (ipc_event_fini(&state->event) != 0)
        sweep_leftover(result, point);
}

/* All are back, or none; all if it is set. */
static void expect_all_or_none(const struct sweep_point *point,
                               struct sweep_result *result)
{
    if (!settle())
        sweep_wedge(result, point);
    const int back = count_back();
    if (ipc_event_is_set(&state->event) && back != state->sleepers)
        sweep_wedge(result, point);
    else if (back != 0 && back != state->sleepers)
        sweep_torn(result, point);
}

static void set_oracle(void *ctx, const struct sweep_point *point,
                       struct sweep_result *result)
{
    (void)ctx;
    expect_all_or_none(point, result);
    const bool is_set = ipc_event_is_set(&state->event);
    if (!is_set && count_back() > 0)
        sweep_torn(result, point);
    if (!is_set && point->finished)
        sweep_lost(result, point);
    expect_as_new(point, result);
}

static void pulse_oracle(void *ctx, const struct sweep_point *point,
                         struct sweep_result *result)
{
    (void)ctx;
    expect_all_or_none(point, result);
    if (point->finished &&
        (ipc_event_is_set(&state->event) || count_back() != state->sleepers))
        sweep_lost(result, point);
    expect_as_new(point, result);
}

static void clear_oracle(void *ctx, const struct sweep_point *point,
                         struct sweep_result *result)
{
    (void)ctx;
    if (!settle() || count_back() != 0)
        sweep_torn(result, point);
    if (point->finished && ipc_event_is_set(&state->event))
        sweep_lost(result, point);
    expect_as_new(point, result);
}

/* Those who wait besides the victim are all back. */
static void wait_oracle(void *ctx, const struct sweep_point *point,
                        struct sweep_result *result)
{
    (void)ctx;
    if (!settle() || count_back() != state->sleepers)
        sweep_wedge(result, point);
    if (point->finished && !state->victim_ok)
        sweep_lost(result, point);
    expect_as_new(point, result);
}

static void report(const char *name, const struct sweep_result *result)
{
    sweep_report(name, result);
    test_report("set_max_us", state->set_ns / 1000);
}

/* ---- T22: who sets it ---- */

static void sweep_setter(int sleepers, void (*victim)(void *ctx),
                         void (*oracle)(void *ctx,
                                        const struct sweep_point *point,
                                        struct sweep_result *result),
                         long min_points)
{
    struct sweep sweep = {
        .reset = reset_with_sleepers, .victim = victim, .oracle = oracle};
    struct sweep_result result;
    make_state(sleepers);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    sweep_expect_clean(&result, min_points);
}

static void t22_set_and_nobody_waits(void)
{
    sweep_setter(0, set, set_oracle, 8);
}

static void t22_set_and_one_waits(void)
{
    sweep_setter(1, set, set_oracle, 15);
}

static void t22_set_and_two_wait(void)
{
    sweep_setter(2, set, set_oracle, 15);
}

static void t22_set_and_four_wait(void)
{
    sweep_setter(4, set, set_oracle, 15);
}

/* Cleared at once: none of those who waited is left behind. */
static void t22_set_and_clear_and_four_wait(void)
{
    sweep_setter(4, set_and_clear, pulse_oracle, 25);
}

static void t22_clear_what_is_not_set_and_two_wait(void)
{
    sweep_setter(2, clear, clear_oracle, 5);
}

static void t22_clear(void)
{
    struct sweep sweep = {
        .reset = reset_set, .victim = clear, .oracle = clear_oracle};
    struct sweep_result result;
    make_state(0);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    sweep_expect_clean(&result, 8);
}

/* ---- T22: who waits ---- */

static bool victim_asleep(void *ctx, pid_t victim)
{
    (void)ctx;
    return on_event(victim);
}

/* The victim sleeps or is dead: others come to sleep too, then it is set. */
static void others_then_set(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    start_sleepers();
    state->hung = role_try(set_in_time, NULL, WEDGE_MS) != 0;
}

static void others_then_pulse(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    start_sleepers();
    state->hung = role_try(set_and_clear, NULL, WEDGE_MS) != 0;
}

static void sweep_waiter(const char *name, int sleepers,
                         void (*meanwhile)(void *ctx, pid_t victim, bool dead),
                         long stride)
{
    struct sweep sweep = {.name = name,
                          .reset = reset_empty,
                          .prepare = prepare_to_wait,
                          .victim = wait_till_set,
                          .asleep = victim_asleep,
                          .meanwhile = meanwhile,
                          .oracle = wait_oracle,
                          .stride = stride};
    struct sweep_result result;
    make_state(sleepers);
    sweep_run(&sweep, &result);
    report(name, &result);
    sweep_expect_clean(&result, 40);
    assert_true(result.woken > 0);
}

static void t22_wait_and_be_woken(void)
{
    sweep_waiter("alone", 0, others_then_set, 1);
    sweep_waiter("two", 2, others_then_set, sweep_stride(3));
    sweep_waiter("pulse", 2, others_then_pulse, sweep_stride(3));
}

static void t22_wait_and_time_out(void)
{
    struct sweep sweep = {.reset = reset_with_sleepers,
                          .prepare = prepare_to_wait,
                          .victim = time_out,
                          .oracle = clear_oracle,
                          .stride = sweep_stride(5)};
    struct sweep_result result;
    make_state(2);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    sweep_expect_clean(&result, 30);
}

/* ---- twice ---- */

static void t22_two_who_set_it_are_killed(void)
{
    struct sweep sweep = {.reset = reset_with_sleepers,
                          .victim = set_and_clear,
                          .recoverer = set_and_clear,
                          .oracle = pulse_oracle};
    struct sweep_result result;
    make_state(1);
    sweep2_run(&sweep, &result);
    report(NULL, &result);
    sweep_expect_clean(&result, SWEEP2_LEAST);
}

/* ---- what these must find ---- */

static void think(void)
{
    for (volatile int i = 0; i < 8; i++)
        ;
}

/* Set, then wake, as two steps. */
static void set_in_two_steps(void *ctx)
{
    (void)ctx;
    (void)__atomic_fetch_or(&state->event.word_, 1, __ATOMIC_SEQ_CST);
    think();
    ipc__futex_wake(&state->event.word_, MAX_SLEEPERS);
}

static void set_one_by_one(void *ctx)
{
    (void)ctx;
    (void)__atomic_fetch_or(&state->event.word_, 1, __ATOMIC_SEQ_CST);
    ipc__futex_wake(&state->event.word_, 1);
    ipc__futex_wake(&state->event.word_, MAX_SLEEPERS);
}

static void expect_found(void (*victim)(void *ctx))
{
    struct sweep sweep = {
        .reset = reset_with_sleepers, .victim = victim, .oracle = set_oracle};
    struct sweep_result result;
    make_state(2);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    assert_true(result.wedges > 0);
}

static void a_set_in_two_steps_is_found(void)
{
    expect_found(set_in_two_steps);
}

static void a_set_that_wakes_one_by_one_is_found(void)
{
    expect_found(set_one_by_one);
}

static const struct test_case cases[] = {
    TEST_CASE(t22_set_and_nobody_waits),
    TEST_CASE(t22_set_and_one_waits),
    TEST_CASE(t22_set_and_two_wait),
    TEST_CASE(t22_set_and_four_wait),
    TEST_CASE(t22_set_and_clear_and_four_wait),
    TEST_CASE(t22_clear_what_is_not_set_and_two_wait),
    TEST_CASE(t22_clear),
    TEST_CASE_LIMIT(t22_wait_and_be_woken, 60),
    TEST_CASE_LIMIT(t22_wait_and_time_out, 60),
    TEST_CASE_LIMIT(t22_two_who_set_it_are_killed, 60),
    TEST_CASE(a_set_in_two_steps_is_found),
    TEST_CASE(a_set_that_wakes_one_by_one_is_found),
};
TEST_MAIN(cases)
