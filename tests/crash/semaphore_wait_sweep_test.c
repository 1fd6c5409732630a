/* T16: one who waits for permits is killed at every instruction of the wait,
 * before it sleeps and after it was woken; the others who wait get theirs.
 *
 * It is the first that waits.  It is woken alone, and its death must not
 * swallow for good the wake-up that the others need: by the re-check, as there
 * is no owner whose death the kernel could tell them of.  How many points
 * there are at which the others would sleep on without it, is told by the
 * figures. */
#include "crash/semaphore_sweep_support.h"

enum {
    COARSE = 37 /* stride of a quick run, where a point may cost a re-check */
};

/* ---- the victim ---- */

static void wait_and_give(void *ctx)
{
    (void)ctx;
    take_one();
    think();
    give_one();
}

static void wait_for_many(void *ctx)
{
    (void)ctx;
    take(scene->victims);
    think();
    give(scene->victims);
}

/* It sleeps, or it has given up long ago what it was to wait for. */
static bool sleeps(void *ctx, pid_t victim)
{
    (void)ctx;
    return asleep_in_futex(victim);
}

/* The victim sleeps or is dead: others come to sleep behind it, then a holder
 * gives its permits. */
static void others_then_release(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    let_sleepers_in();
    assert_true(holder_gives(0));
}

static void others_then_kill(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    let_sleepers_in();
    (void)role_kill(&holding[0]);
}

/* One that dies before there is anything to have takes nothing with it. */
static void wait_oracle(void *ctx, const struct sweep_point *point,
                        struct sweep_result *result)
{
    const long gone = scene->gone;
    oracle(ctx, point, result);
    if (!point->woken && scene->gone != gone)
        sweep_lost(result, point);
}

static void sweep_wait(const uint32_t *kinds, const struct scene *plan,
                       const struct sweep *how)
{
    for (; *kinds != KINDS_END; kinds++) {
        struct sweep_result result;
        struct scene of_kind = *plan;
        struct sweep sweep = *how;
        sweep.name = "wait";
        sweep.reset = reset;
        sweep.prepare = how->prepare != NULL ? how->prepare : warm_up;
        sweep.asleep = sleeps;
        sweep.oracle = wait_oracle;
        of_kind.flags = *kinds;
        make_scene(&of_kind);
        sweep_run(&sweep, &result);
        report(&result);
        end_scene();
        sweep_expect_clean(&result, 3);
        assert_true(result.woken > 0);
    }
}

/* ---- released ---- */

static const struct scene two_behind = {
    .total = 4,
    .holders = 2,
    .holder = {{.permits = 1}, {.permits = 3}},
    .victims = 1,
    .sleepers = 2};

static void t16_a_permit_is_released_by_recheck(void)
{
    const struct sweep sweep = {.victim = wait_and_give,
                                .meanwhile = others_then_release,
                                .stride = sweep_stride(COARSE)};
    sweep_wait(all_kinds, &two_behind, &sweep);
}

/* Without the re-check: nobody hangs but those who sleep on; these are
 * counted.  What was sure, is: a permit is had by somebody or free. */
static void t16_a_permit_is_released_and_nobody_looks_again(void)
{
    const struct sweep sweep = {.victim = wait_and_give,
                                .meanwhile = others_then_release,
                                .stride = sweep_stride(11)};
    no_recheck();
    sweep_wait(all_kinds, &two_behind, &sweep);
}

/* One who wants two is killed; two who want one each wait behind it. */
static void t16_one_who_wants_many_by_recheck(void)
{
    const struct scene plan = {.total = 4,
                               .holders = 2,
                               .holder = {{.permits = 2}, {.permits = 2}},
                               .victims = 2,
                               .sleepers = 2};
    const struct sweep sweep = {.victim = wait_for_many,
                                .meanwhile = others_then_release,
                                .stride = sweep_stride(COARSE)};
    sweep_wait(all_kinds, &plan, &sweep);
}

/* ---- the holder is killed ---- */

static void t16_the_holder_is_killed_by_recheck(void)
{
    const struct sweep sweep = {.victim = wait_and_give,
                                .meanwhile = others_then_kill,
                                .stride = sweep_stride(COARSE)};
    sweep_wait(tracked_kinds, &two_behind, &sweep);
}

/* ---- a victim whose death the kernel does not look at ---- */

static void without_list_warm_up(void *ctx)
{
    ipc__robust_list_usable = false;
    warm_up(ctx);
}

static void t16_without_robust_lists_by_recheck(void)
{
    const struct sweep sweep = {.prepare = without_list_warm_up,
                                .victim = wait_and_give,
                                .meanwhile = others_then_release,
                                .stride = sweep_stride(2L * COARSE)};
    static const uint32_t kinds[] = {TRACKED, FAIR, KINDS_END};
    sweep_wait(kinds, &two_behind, &sweep);
}

/* ---- one who gives up waiting ---- */

static void wait_in_vain(void *ctx)
{
    (void)ctx;
    if (ipc_semaphore_acquire_until(scene->semaphore, ipc_after_ms(2)) !=
        -ETIMEDOUT)
        abort();
}

/* Nothing is released while it waits; then the sleepers, who come behind it,
 * are served by the holder. */
static void gave_up_oracle(void *ctx, const struct sweep_point *point,
                           struct sweep_result *result)
{
    let_sleepers_in();
    if (!holder_gives(0))
        sweep_wedge(result, point);
    oracle(ctx, point, result);
}

static void t16_one_who_gives_up_by_recheck(void)
{
    for (const uint32_t *kinds = all_kinds; *kinds != KINDS_END; kinds++) {
        const struct sweep sweep = {.name = "in vain",
                                    .reset = reset,
                                    .prepare = warm_up,
                                    .victim = wait_in_vain,
                                    .oracle = gave_up_oracle,
                                    .stride = sweep_stride(4L * COARSE)};
        struct sweep_result result;
        struct scene plan = two_behind;
        plan.flags = *kinds;
        make_scene(&plan);
        sweep_run(&sweep, &result);
        report(&result);
        end_scene();
        sweep_expect_clean(&result, 3);
    }
}

/* ---- what these must find ---- */

/* Wakes one, whatever there is, and takes the mark of those who wait with it:
 * nobody wakes the others. */
static void wait_selfishly(void *ctx)
{
    uint32_t *word = &scene->semaphore->word_;
    (void)ctx;
    take_one();
    think();
    __atomic_store_n(word, 4, __ATOMIC_SEQ_CST);
}

static void a_wakeup_that_is_swallowed_is_found(void)
{
    const struct sweep sweep = {.victim = wait_selfishly,
                                .meanwhile = others_then_release,
                                .stride = 3};
    static const uint32_t kinds[] = {PLAIN, KINDS_END};
    no_recheck();
    sweep_wait(kinds, &two_behind, &sweep);
    assert_true(sums.lost_wakes > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t16_a_permit_is_released_by_recheck, 60),
    TEST_CASE_LIMIT(t16_a_permit_is_released_and_nobody_looks_again, 60),
    TEST_CASE_LIMIT(t16_one_who_wants_many_by_recheck, 60),
    TEST_CASE_LIMIT(t16_the_holder_is_killed_by_recheck, 60),
    TEST_CASE_LIMIT(t16_without_robust_lists_by_recheck, 60),
    TEST_CASE_LIMIT(t16_one_who_gives_up_by_recheck, 60),
    TEST_CASE_LIMIT(a_wakeup_that_is_swallowed_is_found, 60),
};
TEST_MAIN(cases)
