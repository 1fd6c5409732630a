/* T31: one who closes a queue is killed at every instruction, and one who says
 * that something is done: it is closed or not, done or not, and those who wait
 * for it know. */
#include "crash/queue_sweep_support.h"

static bool immediate;
static bool with_joiner;
static struct role joining;

static void close_it(void *ctx)
{
    (void)ctx;
    if (ipc_queue_close(scene->queue, immediate) != 0)
        abort();
}

/* ---- those who sleep, until it is closed ---- */

static void get_until_closed(void *ctx)
{
    int rc;
    (void)ctx;
    look_once();
    while ((rc = get_number(IPC_TIME_FOREVER)) >= 0)
        continue;
    role_exit(rc == -EPIPE ? 0 : 1);
}

static void put_until_closed(void *ctx)
{
    (void)ctx;
    look_once();
    role_exit(put_number(THEIRS, IPC_TIME_FOREVER) == -EPIPE ? 0 : 1);
}

static void join_it(void *ctx)
{
    (void)ctx;
    role_exit(ipc_queue_join(scene->queue) == 0 ? 0 : 1);
}

static void reset_to_close(void *ctx)
{
    struct role *role = sleeping;
    (void)ctx;
    set_scene();
    for (int i = 0; i < scene->consumers; i++)
        role_start(role++, get_until_closed, NULL);
    for (int i = 0; i < scene->producers; i++)
        role_start(role++, put_until_closed, NULL);
    for (int i = 0; i < scene->consumers + scene->producers; i++)
        wait_until_sleeping(sleeping[i].pid, LIMIT_MS);
    if (!with_joiner)
        return;
    role_start(&joining, join_it, NULL);
    wait_until_sleeping(joining.pid, LIMIT_MS);
}

static bool all_left(void)
{
    bool well = true;
    for (int i = 0; i < scene->consumers + scene->producers; i++) {
        int status = 1;
        well = role_dead_within(&sleeping[i], scene->wedge_ms, &status) &&
               status == 0 && well;
    }
    return well;
}

/* ---- who looks: it is open or closed, in all its parts ---- */

static bool is_open(void)
{
    for (uint32_t i = 1; i <= scene->before; i++)
        if (get_number(IPC_TIME_NOW) != 0)
            return says("it is open, but what was in it is gone");
    if (scene->place == FULL &&
        ipc_queue_put_nowait(scene->queue, NULL, 0) != 0)
        return says("it is open, but not for those who put");
    if (ipc_queue_join_nowait(scene->queue) != -EAGAIN)
        return says("it is open, but nothing is there to be done");
    if (ipc_queue_get_nowait(scene->queue, NULL, 0, NULL) != 0)
        return says("it is open, but not for those who get");
    for (uint32_t i = 0; i <= scene->before; i++)
        if (ipc_queue_task_done(scene->queue) != 0)
            return says("it is open, but nothing can be done");
    if (ipc_queue_join_nowait(scene->queue) != 0)
        return says("it is open, and all is done, but not for all");
    return true;
}

static bool is_shut(bool surely_immediate)
{
    int rc;
    if (ipc_queue_put_nowait(scene->queue, "x", 1) != -EPIPE)
        return says("it is closed, but not for those who put");
    while ((rc = get_number(IPC_TIME_NOW)) == 0)
        continue;
    if (rc != -EPIPE)
        return says("it is closed, but not for those who get");
    if (surely_immediate ? scene->count != 0
                         : !immediate && scene->count != scene->before)
        return says("it is closed, and what was in it is not as it should be");
    return true;
}

/* One who died on the way is found out about by who comes next, who then goes
 * the rest of it. */
static bool goes_on_being_open(void)
{
    return !ipc_queue_is_closed(scene->queue) &&
           ipc_queue_put_until(scene->queue, NULL, 0, 1) != -EPIPE;
}

static void look_at_it(void *ctx)
{
    if (scene->consumers != 0) { /* without anybody's help */
        if (!ipc_queue_is_closed(scene->queue))
            close_it(ctx);
    } else if (scene->producers == 0 && goes_on_being_open()) {
        if (!is_open())
            role_exit(1);
        close_it(ctx);
    }
    if (scene->producers != 0)
        close_it(ctx); /* once more: the first one is not sure to have done
                          it for those who put */
    if (scene->consumers + scene->producers == 0 &&
        !is_shut(*(bool *)ctx && immediate))
        role_exit(2);
}

static void close_oracle(void *ctx, const struct sweep_point *point,
                         struct sweep_result *result)
{
    bool surely = point->finished;
    (void)ctx;
    const int code = role_try(look_at_it, &surely, scene->wedge_ms);
    if (code == 1 || code == 2)
        sweep_torn(result, point);
    else if (code != 0 || !all_left())
        sweep_wedge(result, point);
    if (code != 0 && result->printed < 10)
        printf("  who looks ended with %d, %s\n", code,
               scene->problem != NULL ? scene->problem : "");
    end_sleepers();
    if (scene->torn != 0)
        sweep_torn(result, point);
}

static void sweep_close(const char *name, const struct scene *plan, long stride)
{
    const struct sweep sweep = {.reset = reset_to_close,
                                .victim = close_it,
                                .oracle = close_oracle,
                                .stride = sweep_stride(stride)};
    no_recheck();
    run_sweep(name, plan, &sweep, 5);
}

static void t31_closed_while_nobody_waits(void)
{
    for (int now = 0; now < 2; now++) {
        immediate = now != 0;
        sweep_close(now ? "empty now" : "empty",
                    &(struct scene){.bytes = SHORT}, 4);
        sweep_close(now ? "full now" : "full",
                    &(struct scene){.place = FULL, .bytes = LONG}, 4);
    }
}

static void t31_closed_while_consumers_sleep(void)
{
    for (int now = 0; now < 2; now++) {
        immediate = now != 0;
        sweep_close(now ? "now" : "then",
                    &(struct scene){.bytes = SHORT, .consumers = 2}, 8);
    }
}

static void t31_closed_while_producers_sleep(void)
{
    for (int now = 0; now < 2; now++) {
        immediate = now != 0;
        sweep_close(
            now ? "now" : "then",
            &(struct scene){.place = FULL, .bytes = SHORT, .producers = 2}, 8);
    }
}

/* Closed for those who get, the closer dies before those who wait for room are
 * told, and nobody comes any more. */
static void alone_oracle(void *ctx, const struct sweep_point *point,
                         struct sweep_result *result)
{
    if (!ipc_queue_is_closed(scene->queue))
        close_it(ctx);
    if (!all_left())
        sweep_wedge(result, point);
    end_sleepers();
}

static void t31_closed_and_nobody_comes_by_recheck(void)
{
    const struct scene plan = {.place = FULL, .bytes = SHORT, .producers = 2};
    const struct sweep sweep = {.reset = reset_to_close,
                                .victim = close_it,
                                .oracle = alone_oracle,
                                .stride = sweep_stride(12)};
    quick_recheck();
    run_sweep("alone", &plan, &sweep, 5);
}

/* ---- those who join ---- */

static bool joiner_left(void)
{
    int status = 1;
    const bool left =
        role_dead_within(&joining, scene->wedge_ms, &status) && status == 0;
    (void)role_kill(&joining);
    return left;
}

static void join_oracle(void *ctx, const struct sweep_point *point,
                        struct sweep_result *result)
{
    if (!ipc_queue_is_closed(scene->queue))
        close_it(ctx);
    if (!joiner_left())
        sweep_wedge(result, point);
}

static void t31_dropped_while_one_joins_by_recheck(void)
{
    const struct scene plan = {.place = FULL, .bytes = SHORT};
    const struct sweep sweep = {.reset = reset_to_close,
                                .victim = close_it,
                                .oracle = join_oracle,
                                .stride = sweep_stride(8)};
    quick_recheck();
    immediate = true;
    with_joiner = true;
    run_sweep("join", &plan, &sweep, 5);
}

static void say_done(void *ctx)
{
    (void)ctx;
    if (ipc_queue_task_done(scene->queue) != 0)
        abort();
}

static void done_oracle(void *ctx, const struct sweep_point *point,
                        struct sweep_result *result)
{
    int rc;
    (void)ctx;
    if ((rc = ipc_queue_task_done(scene->queue)) != 0 && rc != -EINVAL)
        sweep_torn(result, point);
    if (rc == 0 && point->finished)
        sweep_lost(result, point);
    if (!joiner_left())
        sweep_wedge(result, point);
}

static void reset_to_join(void *ctx)
{
    (void)ctx;
    set_scene();
    fill_up(3); /* one */
    role_start(&joining, join_it, NULL);
    wait_until_sleeping(joining.pid, LIMIT_MS);
}

static void t31_done_while_one_joins(void)
{
    const struct sweep sweep = {
        .reset = reset_to_join, .victim = say_done, .oracle = done_oracle};
    no_recheck();
    run_sweep("done", &(struct scene){.bytes = SHORT}, &sweep, 5);
}

/* ---- what this must find ---- */

static void close_in_two_steps(void *ctx)
{
    (void)ctx;
    __atomic_fetch_or(&scene->queue->tail, IPC__QUEUE_CLOSED, __ATOMIC_SEQ_CST);
    ipc__futex_wake(&scene->queue->tail, 2);
}

static void t31_a_wakeup_behind_the_mark_is_found(void)
{
    struct sweep_result result;
    const struct sweep sweep = {.name = "broken",
                                .reset = reset_to_close,
                                .prepare = warm_up,
                                .victim = close_in_two_steps,
                                .oracle = close_oracle};
    no_recheck();
    make_scene(
        &(struct scene){.bytes = SHORT, .consumers = 2, .wedge_ms = 100});
    sweep_run(&sweep, &result);
    end_scene();
    sweep_report("broken", &result);
    assert_true(result.wedges > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t31_closed_while_nobody_waits, 60),
    TEST_CASE_LIMIT(t31_closed_while_consumers_sleep, 60),
    TEST_CASE_LIMIT(t31_closed_while_producers_sleep, 60),
    TEST_CASE_LIMIT(t31_closed_and_nobody_comes_by_recheck, 60),
    TEST_CASE_LIMIT(t31_dropped_while_one_joins_by_recheck, 60),
    TEST_CASE_LIMIT(t31_done_while_one_joins, 60),
    TEST_CASE_LIMIT(t31_a_wakeup_behind_the_mark_is_found, 60),
};
TEST_MAIN(cases)
