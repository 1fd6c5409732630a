/* A pool whose workers are threads, used by many threads at once in all the ways
 * there are: mostly for ThreadSanitizer.  And one whose workers are processes,
 * with several threads that submit. */
#include "stress/pool_kill_support.h"

#include <pthread.h>

#include "base/atomic.h"

enum {
    SUBMITTERS = 4,
    ROUNDS = 400,
    BATCH = 8,
    WORDS = 40, /* of an argument that does not fit into a record */
    MIDDLE = 10 /* of one that just does */
};

static ipc_pool *pool;
static uint64_t calls; /* of callbacks */

struct submitter {
    pthread_t thread;
    uint64_t random;
    uint64_t ok, cancelled, wrong, callbacks;
};

/* ---- tasks ---- */

static int sum_words(const void *arg, void *result, ipc_task *task)
{
    const long *words = arg;
    long sum = 0;
    for (size_t i = 0; i < ipc_task_arg_bytes(task) / sizeof *words; i++)
        sum += words[i];
    burn(sum % 50);
    *(long *)result = sum;
    return 0;
}

static int wait_for_the_end(const void *arg, void *result, ipc_task *task)
{
    (void)arg, (void)result;
    for (int i = 0; i < 10000 && !ipc_task_is_cancelled(task); i++)
        burn(100);
    return -ECANCELED;
}

static int fib(const void *arg, void *result, ipc_task *task)
{
    const long n = *(const long *)arg;
    const long less[] = {n - 1, n - 2};
    ipc_future *futures[2] = {NULL, NULL};
    long sum = n;
    int rc = 0;
    for (int i = 0; n >= 2 && i < 2 && rc == 0; i++)
        rc = ipc_pool_submit(ipc_task_pool(task), fib, &less[i], sizeof(long),
                             sizeof(long), &futures[i]);
    for (int i = 0; n >= 2 && i < 2 && rc == 0; i++) {
        long part = 0;
        rc = ipc_future_result(futures[i], &part, sizeof part, NULL);
        sum = i == 0 ? part : sum + part;
    }
    for (int i = 0; i < 2; i++)
        (void)ipc_future_free(futures[i]);
    *(long *)result = sum;
    return rc;
}

/* ---- those who submit ---- */

static ipc_future *submit_sum(size_t words)
{
    long arg[WORDS];
    ipc_future *future;
    for (size_t i = 0; i < words; i++)
        arg[i] = (long)i;
    expect_rc(ipc_pool_submit(pool, sum_words, arg, words * sizeof *arg,
                              sizeof(long), &future),
              0);
    return future;
}

static void collect_sum(struct submitter *s, ipc_future *future, size_t words)
{
    const long n = (long)words;
    long sum = -1;
    const int rc = ipc_future_result(future, &sum, sizeof sum, NULL);
    if (rc == 0 && sum == n * (n - 1) / 2)
        s->ok++;
    else if (rc == -ECANCELED)
        s->cancelled++;
    else
        s->wrong++;
    expect_rc(ipc_future_free(future), 0);
}

static void count_call(ipc_future *future, void *arg)
{
    (void)future;
    add_relaxed((uint64_t *)arg, 1);
}

static void several(struct submitter *s, struct test_random *random)
{
    ipc_future *futures[BATCH];
    size_t words[BATCH];
    for (int i = 0; i < BATCH; i++) {
        static const size_t sizes[] = {2, MIDDLE, WORDS};
        words[i] = sizes[test_random_between(random, 0, 2)];
        futures[i] = submit_sum(words[i]);
    }
    const long i = test_random_between(random, 0, BATCH - 1);
    if (i % 2 == 0)
        (void)ipc_future_cancel(futures[i]);
    assert_true(
        ipc_wait_futures(futures, BATCH,
                         i < 3 ? IPC_FIRST_COMPLETED : IPC_ALL_COMPLETED,
                         IPC_TIME_FOREVER) >= 1);
    for (int k = 0; k < BATCH; k++)
        collect_sum(s, futures[k], words[k]);
}

static void with_callbacks(struct submitter *s)
{
    ipc_future *future = submit_sum(MIDDLE);
    for (int i = 0; i < 2; i++)
        expect_rc(ipc_future_add_done_callback(future, count_call, &calls), 0);
    s->callbacks += 2;
    expect_rc(ipc_future_wait(future), 0);
    int rc;
    while ((rc = ipc_future_free(future)) == -EBUSY)
        poll_pause();
    expect_rc(rc, 0);
}

static void terminated(struct submitter *s)
{
    ipc_future *future;
    expect_rc(ipc_pool_submit(pool, wait_for_the_end, NULL, 0, 0, &future), 0);
    const int rc = ipc_future_terminate(future, 0);
    assert_true(rc == 0 || rc == -EALREADY);
    expect_rc(ipc_future_result(future, NULL, 0, NULL), -ECANCELED);
    s->cancelled++;
    expect_rc(ipc_future_free(future), 0);
}

static void nested(struct submitter *s)
{
    long n = 6;
    expect_rc(ipc_pool_apply(pool, fib, &n, sizeof n, &n, sizeof n), 0);
    s->wrong += n != 8;
    s->ok++;
}

static void *submit_all_kinds(void *arg)
{
    struct submitter *s = arg;
    struct test_random random = {s->random};
    for (long i = 0; i < ROUNDS * test_scale(); i++) {
        switch (test_random_between(&random, 0, 7)) {
        case 0:
            with_callbacks(s);
            break;
        case 1:
            if (stats_of(pool).broken)
                s->wrong++;
            terminated(s);
            break;
        case 2:
            nested(s);
            break;
        case 3:
            expect_rc(ipc_future_free(submit_sum(WORDS)), 0);
            break;
        default:
            several(s, &random);
        }
    }
    return NULL;
}

static void run_submitters(void (*meanwhile)(struct test_random *random))
{
    struct submitter all[SUBMITTERS] = {{.ok = 0}};
    struct submitter sum = {.ok = 0};
    struct test_random random = {test_seed()};
    for (int i = 0; i < SUBMITTERS; i++) {
        all[i].random = test_random_next(&random);
        assert_int_equal(
            pthread_create(&all[i].thread, NULL, submit_all_kinds, &all[i]), 0);
    }
    if (meanwhile != NULL)
        meanwhile(&random);
    for (int i = 0; i < SUBMITTERS; i++) {
        assert_int_equal(pthread_join(all[i].thread, NULL), 0);
        sum.ok += all[i].ok;
        sum.cancelled += all[i].cancelled;
        sum.wrong += all[i].wrong;
        sum.callbacks += all[i].callbacks;
    }
    expect_rc(ipc_pool_shutdown(pool, true, false), 0);
    test_report("ok", (long long)sum.ok);
    test_report("cancelled", (long long)sum.cancelled);
    test_report("callbacks", (long long)calls);
    assert_int_equal(sum.wrong, 0);
    assert_int_equal(calls, sum.callbacks);
    assert_int_equal(stats_of(pool).futures, 0);
    expect_rc(ipc_pool_free(pool), 0);
}

static void open_threads(uint32_t workers)
{
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    options.kind = IPC_POOL_THREADS;
    options.workers = workers;
    pool = new_pool(&options);
}

static void many_submit_to_threads(void)
{
    const ipc_shared_info before = memory_now();
    open_threads(4);
    run_submitters(NULL);
    expect_no_more(&before);
}

/* ---- while workers come and go ---- */

static void resize_often(struct test_random *random)
{
    for (int i = 0; i < 30; i++) {
        ipc_worker_info info[8];
        expect_rc(
            ipc_pool_resize(pool, (uint32_t)test_random_between(random, 1, 6)),
            0);
        (void)ipc_pool_workers(pool, info, 8);
        (void)usleep(1000);
    }
}

static void threads_come_and_go(void)
{
    const ipc_shared_info before = memory_now();
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    options.kind = IPC_POOL_THREADS;
    options.workers = 4;
    options.max_tasks_per_worker = 50;
    options.idle_ns = NS_PER_MS;
    options.max_pending = 20;
    pool = new_pool(&options);
    run_submitters(resize_often);
    expect_no_more(&before);
}

/* ---- processes ---- */

static void *submit_to_processes(void *arg)
{
    struct submitter *s = arg;
    struct test_random random = {s->random};
    for (long i = 0; i < ROUNDS * test_scale(); i++)
        if (i % 8 == 0)
            nested(s);
        else
            several(s, &random);
    return NULL;
}

static void many_submit_to_processes(void)
{
    const ipc_shared_info before = memory_now();
    struct submitter all[SUBMITTERS] = {{.ok = 0}};
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    options.workers = 2;
    pool = new_pool(&options);
    for (int i = 0; i < SUBMITTERS; i++) {
        all[i].random = test_seed() + (uint64_t)i;
        assert_int_equal(
            pthread_create(&all[i].thread, NULL, submit_to_processes, &all[i]),
            0);
    }
    for (int i = 0; i < SUBMITTERS; i++) {
        assert_int_equal(pthread_join(all[i].thread, NULL), 0);
        assert_int_equal(all[i].wrong, 0);
    }
    assert_int_equal(stats_of(pool).futures, 0);
    expect_rc(ipc_pool_free(pool), 0);
    expect_no_more(&before);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(many_submit_to_threads, 60),
    TEST_CASE_LIMIT(threads_come_and_go, 60),
    TEST_CASE_LIMIT(many_submit_to_processes, 60),
};
TEST_MAIN(cases)
