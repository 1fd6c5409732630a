/* Pools, where a task does what it had better not, or one stands inside another
 * one. */
#include "unit/pool_support.h"

#include <sys/wait.h>

/* ---- a task that forks, and whose child returns from it too ---- */

static int fork_and_return(const void *arg, void *result, ipc_task *task)
{
    (void)task;
    const pid_t child = fork();
    if (child > 0)
        (void)waitpid(child, NULL, 0);
    *(int *)result = *(const int *)arg + 1;
    return child < 0 ? -errno : 0;
}

static void a_stray_child_does_no_harm(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    for (int i = 0; i < 20; i++) {
        int n = 0;
        CHECK(ipc_pool_apply(pool, fork_and_return, &i, sizeof i, &n, sizeof n),
              0);
        assert_int_equal(n, i + 1);
    }
    for (int i = 0; i < 1000; i++) {
        int n = 0;
        CHECK(ipc_pool_apply(pool, add_one, &i, sizeof i, &n, sizeof n), 0);
        assert_int_equal(n, i + 1);
    }
    assert_int_equal(figures(pool).done, 1020);
    free_pool(pool);
}

/* ---- whose time is up ---- */

static int last(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    while (!ipc_task_is_cancelled(task))
        poll_pause();
    return -ECANCELED;
}

/* Its own time is up while it runs another one in place, which has none: with
 * threads only that one can be asked, so it looks after the outer one. */
static int wait_for_another(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    ipc_future *inner;
    int rc = ipc_pool_submit(ipc_task_pool(task), last, NULL, 0, 0, &inner);
    if (rc == 0)
        rc = ipc_future_result(inner, NULL, 0, NULL);
    return rc;
}

static void the_outer_tasks_time_is_its_own(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 1);
    ipc_task_options options = IPC_TASK_OPTIONS_INIT;
    ipc_exception e = IPC_EXCEPTION_INIT;
    ipc_future *f;
    options.task_ns = IPC_MS(50);
    options.retries = 1;
    CHECK(
        ipc_pool_submit_with(pool, &options, wait_for_another, NULL, 0, 0, &f),
        0);
    CHECK(ipc_future_exception(f, &e, ipc_after_ms(LIMIT_MS)), 0);
    assert_int_equal(e.kind, IPC_EXCEPTION_DEADLINE);
    assert_int_equal(e.status, -ETIME);
    assert_int_equal(e.attempts, 1);
    CHECK(ipc_future_free(f), 0);
    free_pool(pool);
}

/* ---- a handler that children inherit ---- */

static void interrupt_it(void *pool)
{
    ipc_pool_interrupt(pool);
    ipc_pool_interrupt(pool);
    ipc_pool_interrupt(NULL);
}

static void a_child_interrupts_nothing(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    int n = 1;
    assert_int_equal(role_try(interrupt_it, pool, LIMIT_MS), 0);
    CHECK(ipc_pool_apply(pool, add_one, &n, sizeof n, &n, sizeof n), 0);
    assert_int_equal(n, 2);
    assert_false(figures(pool).shut_down);
    free_pool(pool);
}

/* ---- futures of a worker that has left ---- */

static int hand_out(const void *arg, void *result, ipc_task *task)
{
    ipc_future *inner;
    const int rc = ipc_pool_submit(ipc_task_pool(task), add_one, arg,
                                   sizeof(int), sizeof(int), &inner);
    *(ipc_future **)result = inner;
    return rc;
}

static void they_are_the_makers(void)
{
    ipc_pool_options options = with_workers(IPC_POOL_PROCESSES, 1);
    options.max_tasks_per_worker = 1;
    ipc_pool *pool = pool_with(&options);
    for (int i = 0; i < 10; i++) {
        ipc_future *inner = NULL;
        int n = 0;
        CHECK(ipc_pool_apply(pool, hand_out, &i, sizeof i, &inner,
                             sizeof(ipc_future *)),
              0);
        CHECK(ipc_future_wait(inner), 0);
        CHECK(ipc_pool_apply(pool, add_one, &i, sizeof i, &n, sizeof n), 0);
        CHECK(ipc_future_result(inner, &n, sizeof n, NULL), 0);
        assert_int_equal(n, i + 1);
        CHECK(ipc_future_free(inner), 0);
    }
    free_pool(pool);
}

/* ---- options that say half ---- */

static int nothing_to_begin(void *arg)
{
    (void)arg;
    return 0;
}
IPC_ENTRY(nothing_to_begin);

static void expect_refused(const ipc_pool_options *options)
{
    ipc_pool *pool = NULL;
    CHECK(ipc_pool_new(options, &pool), -EINVAL);
    assert_null(pool);
}

static void a_count_without_an_array(void)
{
    int here;
    ipc_pool_options options = with_workers(IPC_POOL_PROCESSES, 1);
    options.cpu_count = 2;
    expect_refused(&options);
    options = with_workers(IPC_POOL_PROCESSES, 1);
    options.rlimit_count = 1;
    expect_refused(&options);
    options = with_workers(IPC_POOL_PROCESSES, 1);
    options.start_method = IPC_START_SPAWN;
    options.initializer = nothing_to_begin;
    options.initializer_arg = &here;
    expect_refused(&options);
}

static const struct test_case cases[] = {
    TEST_CASE(a_stray_child_does_no_harm),
    TEST_CASE(the_outer_tasks_time_is_its_own),
    TEST_CASE(a_child_interrupts_nothing),
    TEST_CASE(they_are_the_makers),
    TEST_CASE(a_count_without_an_array),
};
TEST_MAIN(cases)
