/* T05: one who waits for a lock is killed at every instruction of the wait;
 * the others who wait get the lock in turn. */
#include "crash/owner_wait_support.h"

enum {
    COARSE = 11, /* stride of a quick run, where a point may cost a re-check */
    OFTEN_MS = 5 /* a period that lets more points be tried */
};

/* What a death after the wake-up does to those who still sleep, without the
 * re-check: the wake-up is handed on as long as the lock is free.  (When the
 * victim has the lock, they may sleep on: they wait for the owner before
 * it.) */
static void t05_the_lock_is_released(void)
{
    struct sweep_result result;
    no_recheck();
    make_state(2);
    sweep_wait(hold_then_give, others_then_release, 1, &result);
    sweep_expect_clean(&result, 100);
    assert_true(result.woken > 16);
    assert_int_equal(state->lost_wakes, 0);
}

static void t05_the_lock_is_released_with_recheck(void)
{
    struct sweep_result result;
    make_state(2);
    sweep_wait(hold_then_give, others_then_release, sweep_stride(COARSE),
               &result);
    sweep_expect_clean(&result, 30);
}

/* With the re-check nobody waits for ever: as it is, and when there is one so
 * often that many points can be tried; without it, how many points there are
 * at which somebody would is told by the figures. */
static void sweep_by_recheck(void (*first)(void *ctx),
                             void (*meanwhile)(void *ctx, pid_t victim,
                                               bool dead))
{
    struct sweep_result result;
    ipc__recheck_ns = OFTEN_MS * NS_PER_MS;
    make_state(2);
    sweep_wait(first, meanwhile, sweep_stride(COARSE), &result);
    sweep_expect_clean(&result, 30);
    ipc__recheck_ns = IPC__RECHECK_NS;
    make_state(2);
    sweep_wait(first, meanwhile, sweep_stride(4L * COARSE), &result);
    sweep_expect_clean(&result, 10);
    no_recheck();
    make_state(2);
    sweep_wait(first, meanwhile, sweep_stride(COARSE), &result);
}

/* By the re-check: the kernel wakes one of those who wait for a dead owner,
 * and that one wakes the others, if it lives. */
static void t05_the_owner_is_killed_by_recheck(void)
{
    sweep_by_recheck(hold_then_give, others_then_kill);
}

/* By the re-check: the one that was woken finds the lock taken again, and
 * dies before it has left the mark that others sleep. */
static void t05_somebody_barges_in_by_recheck(void)
{
    sweep_by_recheck(hold_then_barge, others_then_barge);
}

/* A victim whose death the kernel does not look at swallows the wake-up: seen
 * without the re-check, and made good by it. */
static void t05_a_swallowed_wakeup_is_found_and_made_good_by_recheck(void)
{
    struct sweep_result result;
    prepare = without_list_warm_up;
    ipc__recheck_ns = OFTEN_MS * NS_PER_MS;
    make_state(2);
    sweep_wait(hold_then_give, others_then_release, sweep_stride(COARSE),
               &result);
    sweep_expect_clean(&result, 30);
    no_recheck();
    make_state(2);
    sweep_wait(hold_then_give, others_then_release, 5, &result);
    assert_true(state->lost_wakes > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t05_the_lock_is_released, 120),
    TEST_CASE_LIMIT(t05_the_lock_is_released_with_recheck, 60),
    TEST_CASE_LIMIT(t05_the_owner_is_killed_by_recheck, 60),
    TEST_CASE_LIMIT(t05_somebody_barges_in_by_recheck, 60),
    TEST_CASE_LIMIT(t05_a_swallowed_wakeup_is_found_and_made_good_by_recheck,
                    60),
};
TEST_MAIN(cases)
