/* Pools: nobody is forgotten, nobody is overtaken by far, and who waits costs
 * nothing. */
#include "unit/pool_support.h"

#include <signal.h>
#include <time.h>

/* ---- behind a long task ---- */

enum {
    FIRST = 16, /* as many as a worker may take at once */
    AHEAD = 60  /* in line, at least */
};

struct crowd {
    uint32_t let_go;
    uint32_t held;
    uint32_t begun; /* of those behind the long one */
    uint32_t over;  /* the long one */
    uint32_t ran;   /* of the short ones that keep the line full */
};

static int hold_on(const void *arg, void *result, ipc_task *task)
{
    struct crowd *crowd = *(struct crowd *const *)arg;
    (void)result;
    (void)task;
    meet_signal(&crowd->held);
    meet_wait(&crowd->let_go, 1, LIMIT_MS);
    return 0;
}

static int last_till_they_have_begun(const void *arg, void *result,
                                     ipc_task *task)
{
    struct crowd *crowd = *(struct crowd *const *)arg;
    (void)result;
    (void)task;
    meet_wait(&crowd->begun, FIRST - 1, LIMIT_MS);
    meet_signal(&crowd->over);
    return 0;
}

static int begin(const void *arg, void *result, ipc_task *task)
{
    struct crowd *crowd = *(struct crowd *const *)arg;
    (void)result;
    (void)task;
    meet_signal(&crowd->begun);
    return 0;
}

static int be_short(const void *arg, void *result, ipc_task *task)
{
    struct crowd *crowd = *(struct crowd *const *)arg;
    (void)result;
    (void)task;
    ipc_sleep_until(ipc_after_ns(100000)); /* work: the line is never empty */
    (void)__atomic_add_fetch(&crowd->ran, 1, __ATOMIC_RELAXED);
    return 0;
}

static void throw_in(ipc_pool *pool, ipc_task_function *fn, struct crowd *crowd)
{
    CHECK(ipc_pool_submit(pool, fn, &crowd, sizeof(struct crowd *), 0, NULL),
          0);
}

/* The one who took them runs it, and the other one always finds something in
 * line. */
static void what_is_behind_a_long_task_is_run_by_others(uint32_t kind)
{
    struct crowd *crowd = ipc_shared_alloc(sizeof *crowd);
    uint32_t sent = 0;
    assert_non_null(crowd);
    ipc_pool *pool = new_pool(kind, 2);
    for (int i = 0; i < 2; i++)
        throw_in(pool, hold_on, crowd);
    meet_wait(&crowd->held, 2, LIMIT_MS);
    throw_in(pool, last_till_they_have_begun, crowd);
    for (int i = 1; i < FIRST; i++)
        throw_in(pool, begin, crowd);
    for (; sent < AHEAD; sent++)
        throw_in(pool, be_short, crowd);
    meet_signal(&crowd->let_go);
    while (__atomic_load_n(&crowd->over, __ATOMIC_RELAXED) == 0)
        if (sent - __atomic_load_n(&crowd->ran, __ATOMIC_RELAXED) < AHEAD) {
            throw_in(pool, be_short, crowd);
            sent++;
        } else {
            poll_pause();
        }
    free_pool(pool);
    assert_int_equal(crowd->begun, FIRST - 1);
    CHECK(ipc_shared_free(crowd), 0);
}
BOTH_KINDS(what_is_behind_a_long_task_is_run_by_others);

/* ---- in order ---- */

struct order {
    uint32_t count;
    int begun[40];
};

struct number {
    struct order *order;
    int number;
};

static int note(const void *arg, void *result, ipc_task *task)
{
    const struct number *n = arg;
    (void)result;
    (void)task;
    n->order->begun[n->order->count++] = n->number;
    return 0;
}

static void one_worker_keeps_the_order(uint32_t kind, uint32_t max_tasks)
{
    enum {
        COUNT = 40
    };
    struct order *order = ipc_shared_alloc(sizeof *order);
    ipc_pool_options options = with_workers(kind, 1);
    options.max_tasks_per_worker = max_tasks;
    assert_non_null(order);
    ipc_pool *pool = pool_with(&options);
    for (int i = 0; i < COUNT; i++) {
        const struct number n = {order, i};
        CHECK(ipc_pool_submit(pool, note, &n, sizeof n, 0, NULL), 0);
    }
    CHECK(ipc_pool_shutdown(pool, true, false), 0);
    free_pool(pool);
    assert_int_equal(order->count, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(order->begun[i], i);
    CHECK(ipc_shared_free(order), 0);
}

static void in_order(uint32_t kind)
{
    one_worker_keeps_the_order(kind, 0);
}
BOTH_KINDS(in_order);

static void in_order_though_workers_are_replaced(uint32_t kind)
{
    one_worker_keeps_the_order(kind, 3);
}
BOTH_KINDS(in_order_though_workers_are_replaced);

/* ---- who waits sleeps ---- */

static int64_t cpu_ns(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Of its CPU this process uses less than half; what spins uses all of it. */
static void expect_to_sleep(void)
{
    const int64_t used = cpu_ns();
    ipc_sleep_until(ipc_after_ms(300));
    const int64_t ms = (cpu_ns() - used) / NS_PER_MS;
    test_report("cpu_ms", ms);
    assert_true(ms < 150);
}

static int wait_for_the_end(const void *arg, void *result, ipc_task *task)
{
    struct crowd *crowd = *(struct crowd *const *)arg;
    (void)result;
    (void)task;
    (void)signal(SIGTERM, SIG_IGN);
    meet_signal(&crowd->held);
    meet_wait(&crowd->let_go, 1, LIMIT_MS);
    return 0;
}

/* It is asked to end, and does not. */
static void while_a_task_is_late(uint32_t kind)
{
    struct crowd *crowd = ipc_shared_alloc(sizeof *crowd);
    ipc_pool_options options = with_workers(kind, 1);
    options.task_ns = NS_PER_MS;
    options.grace_ns = LIMIT_MS * NS_PER_MS;
    assert_non_null(crowd);
    ipc_pool *pool = pool_with(&options);
    ipc_future *f =
        submit(pool, wait_for_the_end, &crowd, sizeof(struct crowd *), 0);
    meet_wait(&crowd->held, 1, LIMIT_MS);
    ipc_sleep_until(ipc_after_ms(20));
    expect_to_sleep();
    meet_signal(&crowd->let_go);
    CHECK(ipc_future_wait(f), 0);
    CHECK(ipc_future_free(f), 0);
    free_pool(pool);
    CHECK(ipc_shared_free(crowd), 0);
}
BOTH_KINDS(while_a_task_is_late);

/* Both end by their task's time, and one of them is not replaced. */
static void after_one_was_late_who_is_not_replaced(void)
{
    struct crowd *crowd = ipc_shared_alloc(sizeof *crowd);
    ipc_future *f[2];
    ipc_pool_options options = with_workers(IPC_POOL_PROCESSES, 2);
    options.task_ns = 50 * NS_PER_MS;
    options.grace_ns = NS_PER_MS;
    assert_non_null(crowd);
    ipc_pool *pool = pool_with(&options);
    for (int i = 0; i < 2; i++)
        f[i] =
            submit(pool, wait_for_the_end, &crowd, sizeof(struct crowd *), 0);
    meet_wait(&crowd->held, 2, LIMIT_MS);
    CHECK(ipc_pool_resize(pool, 1), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ipc_future_result(f[i], NULL, 0, NULL), -ETIME);
        CHECK(ipc_future_free(f[i]), 0);
    }
    expect_to_sleep();
    free_pool(pool);
    CHECK(ipc_shared_free(crowd), 0);
}

/* ---- what is no argument ---- */

static int say_and_forget(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    *(int *)result = 1;
    (void)ipc_task_fail(task, -EIO, "no paper");
    return 0;
}

static void who_says_that_it_fails_does(uint32_t kind)
{
    ipc_pool *pool = new_pool(kind, 1);
    int n = 0;
    assert_int_equal(
        ipc_pool_apply(pool, say_and_forget, NULL, 0, &n, sizeof n), -EIO);
    assert_non_null(strstr(ipc_error_detail(), "no paper"));
    free_pool(pool);
}
BOTH_KINDS(who_says_that_it_fails_does);

static int return_nothing(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    return ipc_task_return(task, NULL, 5);
}

static void nowhere_is_no_place(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_THREADS, 1);
    int n = 1;
    ipc_future *promise;
    CHECK(ipc_promise_new(sizeof n, &promise), 0);
    assert_int_equal(ipc_promise_set_result(promise, NULL, sizeof n), -EINVAL);
    CHECK(ipc_promise_set_result(promise, &n, sizeof n), 0);
    assert_int_equal(ipc_future_result(promise, NULL, 100, NULL), -EMSGSIZE);
    CHECK(ipc_future_free(promise), 0);
    assert_int_equal(
        ipc_wait_futures(NULL, 3, IPC_ALL_COMPLETED, IPC_TIME_FOREVER),
        -EINVAL);
    assert_int_equal(ipc_pool_apply(pool, return_nothing, NULL, 0, NULL, 0),
                     -EINVAL);
    assert_int_equal(
        ipc_pool_map(pool, return_nothing, NULL, 0, SIZE_MAX, NULL, 0, NULL),
        -EINVAL); /* at the first of so many */
    free_pool(pool);
}

static const struct test_case cases[] = {
    BOTH_CASES(what_is_behind_a_long_task_is_run_by_others),
    BOTH_CASES(in_order),
    BOTH_CASES(in_order_though_workers_are_replaced),
    BOTH_CASES(while_a_task_is_late),
    TEST_CASE(after_one_was_late_who_is_not_replaced),
    BOTH_CASES(who_says_that_it_fails_does),
    TEST_CASE(nowhere_is_no_place),
};
TEST_MAIN(cases)
