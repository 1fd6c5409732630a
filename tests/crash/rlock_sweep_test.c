/* T03: an rlock, nested three deep, is killed at every instruction.  Whoever
 * comes next holds it once, whatever depth the dead one had reached. */
#include "crash/look_once.h"
#include "harness/sweep.h"
#include "unit/lock_support.h"

#include <stdlib.h>

enum {
    DEPTH = 3
};

static struct {
    ipc_rlock rlock;
    ipc_lock warm;
    uint32_t x, y;  /* equal whenever the rlock is free and sound */
    int rc;         /* of whoever came after the victim */
    uint32_t depth; /* that it had then: 1 */
    uint32_t open;  /* the sleeper may begin to wait */
} * state;

static struct role sleeping;

/* ---- the operation: what is stepped calls no assert ---- */

static void warm_up(void *ctx)
{
    (void)ctx;
    look_once();
    if (ipc_lock_acquire(&state->warm) != 0 ||
        ipc_lock_release(&state->warm) != 0)
        abort();
}

static int take_first(void)
{
    const int rc = ipc_rlock_acquire(&state->rlock);
    if (rc == IPC_OWNER_DIED) {
        __atomic_store_n(&state->y, state->x, __ATOMIC_SEQ_CST);
        if (ipc_rlock_consistent(&state->rlock) != 0)
            abort();
    } else if (rc != 0) {
        abort();
    }
    return rc;
}

static void change_inside(void)
{
    for (int i = 1; i < DEPTH; i++)
        if (ipc_rlock_acquire(&state->rlock) != 0)
            abort();
    __atomic_store_n(&state->x, state->x + 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&state->y, state->y + 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < DEPTH; i++)
        if (ipc_rlock_release(&state->rlock) != 0)
            abort();
}

static void take_nested(void *ctx)
{
    (void)ctx;
    (void)take_first();
    change_inside();
}

static void change_nested(void *ctx)
{
    (void)ctx;
    change_inside();
}

/* ---- those who come after ---- */

static void next(void *ctx)
{
    warm_up(ctx);
    state->rc = take_first();
    state->depth = ipc_rlock_depth(&state->rlock);
    change_inside();
}

static void sleeper(void *ctx)
{
    warm_up(ctx);
    meet_wait(&state->open, 1, LIMIT_MS);
    next(ctx);
}

static void reset(void *ctx)
{
    (void)ctx;
    memset(&state->rlock, 0, sizeof state->rlock);
    state->x = state->y = state->depth = state->open = 0;
}

static void reset_with_sleeper(void *ctx)
{
    reset(ctx);
    role_start(&sleeping, sleeper, NULL);
}

/* Holds it once, and somebody sleeps on it. */
static void take_and_let_sleeper_in(void *ctx)
{
    warm_up(ctx);
    (void)take_first();
    meet_signal(&state->open);
    while (!asleep_on(sleeping.pid, &state->rlock.lock_.word_) &&
           !thread_ended(sleeping.pid))
        poll_pause();
}

/* ---- oracles ---- */

static void check(const struct sweep_point *point, bool was_free,
                  struct sweep_result *result)
{
    if (state->rc != (was_free ? 0 : IPC_OWNER_DIED))
        sweep_lost(result, point);
    if (state->x != state->y)
        sweep_torn(result, point);
    if (state->depth != 1 || ipc_rlock_is_held(&state->rlock))
        sweep_leftover(result, point); /* a level of the dead */
}

static void next_oracle(void *ctx, const struct sweep_point *point,
                        struct sweep_result *result)
{
    const bool was_free = futex_half(&state->rlock.lock_) == 0;
    const int how = role_try(next, ctx, WEDGE_MS);
    if (how == ROLE_HUNG)
        sweep_wedge(result, point);
    else if (how != 0)
        test_fail("the next process failed: %d", how);
    else
        check(point, was_free, result);
}

static void sleeper_oracle(void *ctx, const struct sweep_point *point,
                           struct sweep_result *result)
{
    int status = 0;
    (void)ctx;
    if (!role_dead_within(&sleeping, WEDGE_MS, &status)) {
        (void)role_kill(&sleeping);
        sweep_wedge(result, point);
        return;
    }
    if (status != 0)
        test_fail("the sleeper failed: wait status 0x%x", (unsigned)status);
    /* Whether it was free when it died is known to the sleeper only. */
    check(point, state->rc == 0, result);
    next_oracle(ctx, point, result);
}

/* ---- T03 ---- */

static void make_state(void)
{
    state = ipc_shared_alloc(sizeof *state);
    assert_non_null(state);
}

static void t03_nobody_waits(void)
{
    struct sweep sweep = {.name = "nested",
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = take_nested,
                          .oracle = next_oracle};
    struct sweep_result result;
    make_state();
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 80);
}

static void t03_one_waits(void)
{
    struct sweep sweep = {.name = "nested, one waits",
                          .reset = reset_with_sleeper,
                          .prepare = take_and_let_sleeper_in,
                          .victim = change_nested,
                          .oracle = sleeper_oracle};
    struct sweep_result result;
    make_state();
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 60);
}

static void t03_the_one_who_takes_over_is_killed_too(void)
{
    struct sweep sweep = {.name = "nested, twice",
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = take_nested,
                          .recoverer_prepare = warm_up,
                          .recoverer = take_nested,
                          .oracle = next_oracle};
    struct sweep_result result;
    make_state();
    sweep2_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, SWEEP2_LEAST);
}

/* ---- what these must find ---- */

/* Keeps the count of the dead: goes on from the depth that it finds. */
static void next_broken(void *ctx)
{
    warm_up(ctx);
    const uint32_t before = state->rlock.depth_;
    state->rc = take_first();
    if (state->rc == IPC_OWNER_DIED && before > 0)
        state->rlock.depth_ = before;
    state->depth = ipc_rlock_depth(&state->rlock);
    change_inside();
}

static void broken_oracle(void *ctx, const struct sweep_point *point,
                          struct sweep_result *result)
{
    const bool was_free = futex_half(&state->rlock.lock_) == 0;
    assert_int_equal(role_try(next_broken, ctx, WEDGE_MS), 0);
    check(point, was_free, result);
}

static void a_depth_that_outlives_its_owner_is_found(void)
{
    struct sweep sweep = {.name = "stale depth",
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = take_nested,
                          .oracle = broken_oracle,
                          .stride = 3};
    struct sweep_result result;
    make_state();
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    assert_true(result.leftovers > 0);
}

static const struct test_case cases[] = {
    TEST_CASE(t03_nobody_waits),
    TEST_CASE(t03_one_waits),
    TEST_CASE_LIMIT(t03_the_one_who_takes_over_is_killed_too, 60),
    TEST_CASE(a_depth_that_outlives_its_owner_is_found),
};
TEST_MAIN(cases)
