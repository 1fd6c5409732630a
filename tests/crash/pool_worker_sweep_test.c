/* A worker is killed at every instruction of taking, claiming, running and
 * completing a task.  When it is buried exactly the task that it was running has
 * failed, or is run once more if it may be; all others are run once, by others;
 * and nothing is kept.  The re-check is off: what is lost would be a sleep for
 * good. */
#include "crash/pool_worker_scene.h"

#include "core/guard.h"

static void take_and_run(void *ctx)
{
    ipc_pool *pool = scene->pool;
    const uint32_t *claims = pool->workers[0].claims;
    (void)ctx;
    uint32_t left;
    const int n = ipc__table_take(pool, 0, &left);
    for (int i = 0; i < n; i++) {
        struct ipc_future *future = ipc__table_record(pool, claims[i] - 1);
        if (ipc__table_claim(future, 0))
            ipc__worker_run_one(pool, 0, future);
    }
    ipc__table_leave(pool, 0);
}

/* ---- take, claim, run, complete ---- */

static const struct sweep of_cycle = {.reset = put_scene_behind_backs,
                                      .victim = take_and_run};

static void one_task(void)
{
    expect_clean("alone", (struct scene){.before = 1}, of_cycle, 3);
    expect_clean("1", (struct scene){.before = 1, .workers = 2}, of_cycle, 9);
    expect_clean("2", (struct scene){.before = 1, .workers = 3}, of_cycle, 19);
}

static void many_tasks(void)
{
    expect_clean("alone", (struct scene){.before = 12}, of_cycle, 21);
    expect_clean("1", (struct scene){.before = 12, .workers = 2}, of_cycle, 29);
    expect_clean("2", (struct scene){.before = 5, .workers = 3}, of_cycle, 31);
}

static void a_wrapped_line(void)
{
    expect_clean("line", (struct scene){.before = 4, .start = LINE - 2},
                 of_cycle, 11);
    expect_clean("count", (struct scene){.before = 4, .start = 0x3ffffffe},
                 of_cycle, 17);
}

static void spilled_ones(void)
{
    expect_clean("result", (struct scene){.before = 1, .result_bytes = SPILLED},
                 of_cycle, 13);
    expect_clean("both",
                 (struct scene){.before = 1,
                                .workers = 2,
                                .arg_bytes = SPILLED,
                                .result_bytes = SPILLED},
                 of_cycle, 23);
    expect_clean("kept",
                 (struct scene){.before = 1,
                                .result_bytes = SPILLED,
                                .kept_bytes = SPILLED},
                 of_cycle, 13);
    expect_clean("kept_again",
                 (struct scene){.before = 1,
                                .result_bytes = SPILLED,
                                .kept_bytes = SPILLED / 2,
                                .retries = 2},
                 of_cycle, 17);
    expect_clean("reserved", (struct scene){.before = 1, .reserves = true},
                 of_cycle, 13);
}

/* Whatever the dead one has done to the record, the next attempt finds what was
 * submitted. */
static void tasks_that_are_run_again(void)
{
    expect_clean("near", (struct scene){.before = 1, .retries = 2}, of_cycle,
                 7);
    expect_clean("far",
                 (struct scene){.before = 2,
                                .workers = 2,
                                .arg_bytes = FAR,
                                .result_bytes = FAR,
                                .retries = 2},
                 of_cycle, 17);
    expect_clean(
        "spilled",
        (struct scene){.before = 1, .result_bytes = SPILLED, .retries = 2},
        of_cycle, 17);
    expect_clean("reserved",
                 (struct scene){.before = 1, .reserves = true, .retries = 2},
                 of_cycle, 7);
}

static void one_that_nobody_asks_for(void)
{
    expect_clean("near", (struct scene){.before = 1, .abandoned = true},
                 of_cycle, 5);
    expect_clean("spilled",
                 (struct scene){.before = 1,
                                .abandoned = true,
                                .arg_bytes = SPILLED,
                                .result_bytes = SPILLED},
                 of_cycle, 13);
}

/* It says itself that it was ended, and dies of that. */
static void one_that_is_asked_to_end(void)
{
    expect_clean("alone", (struct scene){.before = 1, .asked = true}, of_cycle,
                 3);
}

/* ---- somebody sleeps on its future ---- */

static void wait_for_it(void *ctx)
{
    unsigned char bytes[SPILLED];
    (void)ctx;
    look_once();
    scene->waiter_rc = ipc_future_result(futures[0], bytes, sizeof bytes, NULL);
}

static void put_scene_and_wait(void *ctx)
{
    put_scene_behind_backs(ctx);
    role_start(&waiter, wait_for_it, NULL);
    wait_until_sleeping(waiter.pid, LIMIT_MS);
}

static void one_that_is_waited_for(void)
{
    const struct sweep sweep = {.reset = put_scene_and_wait,
                                .victim = take_and_run};
    expect_clean("alone", (struct scene){.before = 1}, sweep, 5);
    expect_clean(
        "spilled",
        (struct scene){.before = 2, .workers = 2, .result_bytes = SPILLED},
        sweep, 17);
    expect_clean("again", (struct scene){.before = 1, .retries = 2}, sweep, 9);
}

/* ---- what these must find ---- */

static struct sweep_result found_in(void (*victim)(void *ctx),
                                    struct scene plan)
{
    struct sweep sweep = of_cycle;
    sweep.victim = victim;
    plan.wedge_ms = 150;
    return sweep_work("broken", &plan, sweep, 2);
}

/* What is taken is nowhere until it is claimed. */
static void head_before_the_claims(void *ctx)
{
    ipc_pool *pool = scene->pool;
    (void)ctx;
    if (ipc__guard_lock(&pool->get_guard, NULL, pool) != 0)
        abort();
    const uint32_t index =
        pool->line[(pool->head / IPC__LINE_STEP) & (LINE - 1)];
    pool->tail_seen = pool->tail / IPC__LINE_STEP;
    add_release(&pool->head, IPC__LINE_STEP);
    pool->workers[0].claims[0] = index + 1;
    ipc__guard_unlock(&pool->get_guard);
    struct ipc_future *future = ipc__table_record(pool, index);
    if (ipc__table_claim(future, 0))
        ipc__worker_run_one(pool, 0, future);
    ipc__table_leave(pool, 0);
}

/* It is run before it says so, and by others too. */
static void run_before_the_claim(void *ctx)
{
    ipc_pool *pool = scene->pool;
    uint32_t left;
    (void)ctx;
    if (ipc__table_take(pool, 0, &left) != 1)
        abort();
    struct ipc_future *future =
        ipc__table_record(pool, pool->workers[0].claims[0] - 1);
    __atomic_fetch_add(&scene->runs[0], 1, __ATOMIC_SEQ_CST);
    (void)ipc__future_make_room(future, NEAR);
    fill_bytes(ipc__future_data(future), NEAR, 0);
    if (ipc__table_claim(future, 0))
        (void)ipc__future_complete(future, IPC__DONE);
    ipc__table_leave(pool, 0);
}

/* It is woken when it is done, and nobody has told that it is. */
static void complete_without_waking(void *ctx)
{
    ipc_pool *pool = scene->pool;
    uint32_t left;
    (void)ctx;
    if (ipc__table_take(pool, 0, &left) != 1)
        abort();
    struct ipc_future *future =
        ipc__table_record(pool, pool->workers[0].claims[0] - 1);
    if (!ipc__table_claim(future, 0))
        abort();
    __atomic_fetch_add(&scene->runs[0], 1, __ATOMIC_SEQ_CST);
    (void)ipc__future_make_room(future, NEAR);
    fill_bytes(ipc__future_data(future), NEAR, 0);
    store_release(&future->state,
                  IPC__DONE | (1u << IPC__RUNNER_SHIFT) | IPC__SLEEPERS);
    ipc__futex_wake(&future->state, INT_MAX);
    ipc__table_leave(pool, 0);
}

static void a_task_that_is_nowhere_is_found(void)
{
    const struct sweep_result result =
        found_in(head_before_the_claims, (struct scene){.before = 1});
    assert_true(result.lost + result.leftovers > 0);
}

static void a_task_that_is_run_twice_is_found(void)
{
    assert_true(
        found_in(run_before_the_claim, (struct scene){.before = 1}).lost > 0);
}

static void a_wakeup_behind_the_end_is_found(void)
{
    struct scene plan = {.before = 1, .wedge_ms = 150};
    const struct sweep sweep = {.reset = put_scene_and_wait,
                                .victim = complete_without_waking};
    assert_true(sweep_work("broken", &plan, sweep, 3).wedges > 0);
}

/* A supervisor that does not put in line again what was claimed. */
static void bury_carelessly(void *ctx, const struct sweep_point *point,
                            struct sweep_result *result)
{
    (void)ctx;
    memset(scene->pool->workers[0].claims, 0,
           sizeof scene->pool->workers[0].claims);
    bury_and_look(point, result);
}

static void claims_that_are_forgotten_are_found(void)
{
    struct scene plan = {.before = 3, .wedge_ms = 150};
    struct sweep sweep = of_cycle;
    sweep.oracle = bury_carelessly;
    const struct sweep_result result = sweep_work("broken", &plan, sweep, 3);
    assert_true(result.lost > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(one_task, 60),
    TEST_CASE_LIMIT(many_tasks, 60),
    TEST_CASE_LIMIT(a_wrapped_line, 60),
    TEST_CASE_LIMIT(spilled_ones, 60),
    TEST_CASE_LIMIT(tasks_that_are_run_again, 60),
    TEST_CASE_LIMIT(one_that_nobody_asks_for, 60),
    TEST_CASE_LIMIT(one_that_is_asked_to_end, 60),
    TEST_CASE_LIMIT(one_that_is_waited_for, 60),
    TEST_CASE_LIMIT(a_task_that_is_nowhere_is_found, 60),
    TEST_CASE_LIMIT(a_task_that_is_run_twice_is_found, 60),
    TEST_CASE_LIMIT(a_wakeup_behind_the_end_is_found, 60),
    TEST_CASE_LIMIT(claims_that_are_forgotten_are_found, 60),
};
TEST_MAIN(cases)
