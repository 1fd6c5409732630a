/* The crash harness, tried on models of a queue: it must find the wake-ups that
 * are lost when the waker dies, or the one who was woken. */
#include "crash/harness_model.h"
#include "harness/harness.h"
#include "harness/role.h"
#include "harness/sweep.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct role sleeper;

/* ---- put into a queue whose consumer sleeps ---- */

static const struct timespec *recheck; /* how often a sleeper looks again */

static void take_message(void)
{
    for (;;) {
        (void)robust_take();
        if (model->head != model->tail)
            break;
        uint32_t seen = model->tail;
        model->waiting++;
        robust_give();
        (void)futex(&model->tail, FUTEX_WAIT, seen, recheck);
        (void)robust_take();
        model->waiting--;
        robust_give();
    }
    store(&model->head, model->head + 1);
    robust_give();
}

static void consumer(void *ctx)
{
    robust_attach(ctx);
    take_message();
}

static void start_sleeper(void *ctx)
{
    role_start(&sleeper, consumer, ctx);
    while (!asleep_on(sleeper.pid, &model->tail))
        poll_pause();
}

static void reset(void *ctx)
{
    (void)ctx;
    memset(model, 0, sizeof *model);
}

static void reset_with_sleeper(void *ctx)
{
    reset(ctx);
    start_sleeper(ctx);
}

static void put_wake_last(void *ctx)
{
    (void)ctx;
    (void)robust_take();
    store(&model->tail, model->tail + 1);
    uint32_t waiting = model->waiting;
    robust_give();
    if (waiting > 0)
        (void)futex(&model->tail, FUTEX_WAKE, 1, NULL);
}

static void put_wake_then_unlock(void *ctx)
{
    (void)ctx;
    (void)robust_take();
    store(&model->tail, model->tail + 1);
    if (model->waiting > 0)
        (void)futex(&model->tail, FUTEX_WAKE, 1, NULL);
    robust_give();
}

/* The kernel commits and wakes in one step. */
static void put_wake_op(void *ctx)
{
    (void)ctx;
    (void)robust_take();
    if (model->waiting > 0)
        (void)syscall(SYS_futex, &model->tail, FUTEX_WAKE_OP, 1, NULL,
                      &model->tail,
                      FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_LT, 0));
    else
        store(&model->tail, model->tail + 1);
    robust_give();
}

/* If a message was put, the consumer must get it.  One that sleeps on the
 * tail although the tail has moved was not woken; unless it looks again by
 * itself, it never will be. */
static void queue_oracle(void *ctx, const struct sweep_point *point,
                         struct sweep_result *result)
{
    (void)ctx;
    int64_t end = test_now_ns() + INT64_C(5000000000);
    while (load(&model->tail) != load(&model->head)) {
        if (recheck == NULL && asleep_on(sleeper.pid, &model->tail)) {
            sweep_wedge(result, point);
            break;
        }
        if (test_now_ns() > end)
            test_fail("the consumer neither sleeps nor takes the message");
        poll_pause();
    }
    (void)role_kill(&sleeper);
}

static void sweep_put(void (*victim)(void *ctx), const char *name,
                      struct sweep_result *result)
{
    model_new();
    struct sweep sweep = {.reset = reset_with_sleeper,
                          .prepare = robust_attach,
                          .victim = victim,
                          .oracle = queue_oracle};
    sweep_run(&sweep, result);
    sweep_report(name, result);
    sweep_expect_min_points(result, 20);
}

static void commit_then_wake_loses_wakeups(void)
{
    struct sweep_result result;
    sweep_put(put_wake_last, "wake_last", &result);
    assert_true(result.wedges > 0);
    sweep_put(put_wake_then_unlock, "then_unlock", &result);
    assert_true(result.wedges > 0);
}

static void commit_and_wake_in_one_step_is_clean(void)
{
    struct sweep_result result;
    sweep_put(put_wake_op, "wake_op", &result);
    sweep_expect_clean(&result, 20);
}

/* ---- take from a queue: the victim sleeps, is woken, and dies ---- */

static void victim_takes(void *ctx)
{
    (void)ctx;
    take_message();
}

static bool asleep_on_tail(void *ctx, pid_t victim)
{
    (void)ctx;
    return asleep_on(victim, &model->tail);
}

/* The victim sleeps, or is dead.  Another consumer sleeps behind it; then one
 * message is put, which wakes the first.  (The message may go down with the
 * victim.) */
static void put_one(void *ctx, pid_t victim, bool dead)
{
    (void)victim, (void)dead;
    robust_attach(ctx);
    start_sleeper(ctx);
    put_wake_op(ctx);
}

static void sweep_take(struct sweep_result *result)
{
    model_new();
    struct sweep sweep = {.reset = reset,
                          .prepare = robust_attach,
                          .victim = victim_takes,
                          .asleep = asleep_on_tail,
                          .meanwhile = put_one,
                          .oracle = queue_oracle};
    sweep_run(&sweep, result);
    sweep_report(recheck != NULL ? "recheck" : "no_recheck", result);
    sweep_expect_min_points(result, 40);
    assert_true(result->woken > 10);
}

static void woken_and_killed_swallows_the_wakeup(void)
{
    struct sweep_result result;
    sweep_take(&result);
    assert_true(result.wedges > 0);
}

static void recheck_finds_the_swallowed_wakeup(void)
{
    struct sweep_result result;
    recheck = &(const struct timespec){0, 30000000};
    sweep_take(&result);
    sweep_expect_clean(&result, 40);
}

static const struct test_case cases[] = {
    TEST_CASE(commit_then_wake_loses_wakeups),
    TEST_CASE(commit_and_wake_in_one_step_is_clean),
    TEST_CASE(woken_and_killed_swallows_the_wakeup),
    TEST_CASE(recheck_finds_the_swallowed_wakeup),
};
TEST_MAIN(cases)
