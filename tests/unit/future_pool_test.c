/* Futures of pools: results and arguments of all sizes, what tasks and their
 * workers die of, waiting inside of tasks. */
#include "unit/future_support.h"

#include <poll.h>

static ipc_pool *new_pool(uint32_t kind, uint32_t workers)
{
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    ipc_pool *pool = NULL;
    options.kind = kind;
    options.workers = workers;
    CHECK(ipc_pool_new(&options, &pool), 0);
    return pool;
}

static void free_pool(ipc_pool *pool)
{
    CHECK(ipc_pool_free(pool), 0);
}

static ipc_future *submit(ipc_pool *pool, ipc_task_function *fn,
                          const void *arg, size_t arg_bytes,
                          size_t result_bytes)
{
    ipc_future *future = NULL;
    CHECK(ipc_pool_submit(pool, fn, arg, arg_bytes, result_bytes, &future), 0);
    assert_non_null(future);
    return future;
}

/* ---- bytes ---- */

/* Each byte of the result is told from those of the argument. */
static int mix(const void *arg, void *result, ipc_task *task)
{
    const unsigned char *in = arg;
    unsigned char *out = result;
    const size_t in_bytes = ipc_task_arg_bytes(task);
    const size_t out_bytes = ipc_task_result_bytes(task);
    unsigned char sum = 0;
    for (size_t i = 0; i < out_bytes; i++)
        if (out[i] != 0)
            return -EUCLEAN;
    for (size_t i = 0; i < in_bytes; i++)
        sum = (unsigned char)(sum + in[i]);
    for (size_t i = 0; i < out_bytes; i++)
        out[i] = (unsigned char)(sum + i);
    for (size_t i = 0; i < in_bytes; i++) /* it was not written over */
        sum = (unsigned char)(sum - in[i]);
    return sum == 0 ? 0 : -EUCLEAN;
}

static void mix_sizes(ipc_pool *pool, size_t in_bytes, size_t out_bytes)
{
    unsigned char in[300], out[300], sum = 0;
    for (size_t i = 0; i < in_bytes; i++) {
        in[i] = (unsigned char)(i * 3 + 1);
        sum = (unsigned char)(sum + in[i]);
    }
    ipc_future *f = submit(pool, mix, in, in_bytes, out_bytes);
    size_t bytes = 0;
    CHECK(ipc_future_result(f, out, sizeof out, &bytes), 0);
    assert_int_equal(bytes, out_bytes);
    for (size_t i = 0; i < out_bytes; i++)
        assert_int_equal(out[i], (unsigned char)(sum + i));
    free_future(f);
}

static void all_sizes(uint32_t kind)
{
    static const size_t sizes[] = {0,  1,  8,  15, 16,  17,  24,  32,  33, 39,
                                   40, 41, 64, 96, 112, 127, 128, 129, 300};
    const size_t count = sizeof sizes / sizeof sizes[0];
    free_pool(new_pool(kind, 1));
    const uint64_t before = allocations();
    ipc_pool *pool = new_pool(kind, 1);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++)
            mix_sizes(pool, sizes[i], sizes[k]);
    free_pool(pool);
    assert_int_equal(allocations(), before);
}

static void sizes_by_processes(void)
{
    all_sizes(IPC_POOL_PROCESSES);
}

static void sizes_by_threads(void)
{
    all_sizes(IPC_POOL_THREADS);
}

/* ---- what went wrong ---- */

static int fail_task(const void *arg, void *result, ipc_task *task)
{
    (void)result;
    return *(const int *)arg != 0
               ? ipc_task_fail(task, -ENOENT, "no such page: %d",
                               *(const int *)arg)
               : -EAGAIN;
}

static int die(const void *arg, void *result, ipc_task *task)
{
    (void)result;
    (void)task;
    if (*(const int *)arg < 0)
        exit(-*(const int *)arg); /* NOLINT(concurrency-mt-unsafe): alone */
    (void)kill(getpid(), *(const int *)arg);
    return 0;
}

static void tasks_that_fail(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 1);
    const int page = 12, none = 0;
    ipc_future *f = submit(pool, fail_task, &page, sizeof page, 100);
    expect_status(f, -ENOENT);
    expect_says("task failed: no such page: 12");
    ipc_exception e = exception_of(f);
    assert_int_equal(e.kind, IPC_EXCEPTION_FAILED);
    assert_int_equal(e.attempts, 1);
    assert_true(e.pid > 0 && e.pid != getpid());
    assert_string_equal(e.message, "no such page: 12");
    free_future(f);
    f = submit(pool, fail_task, &none, sizeof none, 0);
    expect_status(f, -EAGAIN);
    assert_true(ipc_future_done(f));
    free_future(f);
    free_pool(pool);
}

static void workers_that_die(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 1);
    const int by_signal = SIGKILL, by_itself = -3;
    ipc_future *f = submit(pool, die, &by_signal, sizeof(int), 0);
    expect_status(f, -EOWNERDEAD);
    expect_says("was killed by SIGKILL");
    ipc_exception e = exception_of(f);
    assert_int_equal(e.kind, IPC_EXCEPTION_DIED);
    assert_int_equal(e.signal, SIGKILL);
    assert_int_equal(e.attempts, 1);
    free_future(f);
    f = submit(pool, die, &by_itself, sizeof(int), 0);
    expect_status(f, -EOWNERDEAD);
    expect_says("exit code 3");
    e = exception_of(f);
    assert_int_equal(e.signal, 0);
    assert_int_equal(e.exitcode, 3);
    free_future(f);
    free_pool(pool);
}

struct shared {
    uint32_t begun, go;
    ipc_future *self;
};

static int stay(const void *arg, void *result, ipc_task *task)
{
    struct shared *shared = *(struct shared *const *)arg;
    (void)result;
    (void)task;
    meet_signal(&shared->begun);
    while (shared->begun != 0)
        (void)pause();
    return 0;
}

static void terminated_while_it_runs(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 1);
    struct shared *shared = ipc_shared_alloc(sizeof *shared);
    assert_non_null(shared);
    ipc_future *f = submit(pool, stay, &shared, sizeof(struct shared *), 0);
    meet_wait(&shared->begun, 1, LIMIT_MS);
    assert_true(ipc_future_running(f));
    CHECK(ipc_future_cancel(f), -EBUSY);
    CHECK(ipc_future_terminate(f, 10 * NS_PER_MS), 0);
    expect_status(f, -ECANCELED);
    assert_int_equal(exception_of(f).kind, IPC_EXCEPTION_CANCELLED);
    assert_true(ipc_future_cancelled(f));
    free_future(f);
    free_pool(pool);
    CHECK(ipc_shared_free(shared), 0);
}

/* ---- inside of tasks ---- */

static int answer(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)task;
    *(int *)result = 42;
    return 0;
}

enum {
    PARTS = 8
};

/* With one worker nobody else can run the parts. */
static int wait_in_many_ways(const void *arg, void *result, ipc_task *task)
{
    const int way = *(const int *)arg;
    ipc_future *f[PARTS];
    ipc_as_completed *next;
    ipc_wait_item item;
    size_t i;
    int sum = 0, n = 0;
    for (int k = 0; k < PARTS; k++)
        if (ipc_pool_submit(ipc_task_pool(task), answer, NULL, 0, sizeof(int),
                            &f[k]) != 0)
            return -EIO;
    switch (way) {
    case 0:
        break; /* result() alone */
    case 1:
        if (ipc_wait_futures(f, PARTS, IPC_ALL_COMPLETED, IPC_TIME_FOREVER) !=
            PARTS)
            return -EIO;
        break;
    case 2:
        if (ipc_wait_futures(f, PARTS, IPC_FIRST_COMPLETED, IPC_TIME_FOREVER) <
            1)
            return -EIO;
        break;
    case 3:
        if (ipc_as_completed_begin(f, PARTS, &next) != 0)
            return -EIO;
        while (ipc_as_completed_next(next, IPC_TIME_FOREVER, &i) > 0)
            n++;
        ipc_as_completed_end(next);
        if (n != PARTS)
            return -EIO;
        break;
    default:
        item = (ipc_wait_item)IPC_WAIT_FUTURE(f[PARTS - 1]);
        if (ipc_wait(&item, 1, IPC_TIME_FOREVER) != 1)
            return -EIO;
    }
    for (int k = 0; k < PARTS; k++) {
        int part = 0;
        if (ipc_future_result(f[k], &part, sizeof part, NULL) != 0 ||
            ipc_future_free(f[k]) != 0)
            return -EIO;
        sum += part;
    }
    *(int *)result = sum;
    return 0;
}

static void nested(uint32_t kind)
{
    ipc_pool *pool = new_pool(kind, 1);
    for (int way = 0; way < 5; way++) {
        ipc_future *f =
            submit(pool, wait_in_many_ways, &way, sizeof way, sizeof(int));
        assert_int_equal(number_of(f), PARTS * 42);
        free_future(f);
    }
    free_pool(pool);
}

static void tasks_wait_for_tasks_in_one_process(void)
{
    nested(IPC_POOL_PROCESSES);
}

static void tasks_wait_for_tasks_in_one_thread(void)
{
    nested(IPC_POOL_THREADS);
}

/* ---- inside of tasks, until a deadline ---- */

/* Wait for one of a task's own in one of five ways. */
static int wait_by(int way, ipc_future *f, ipc_deadline deadline)
{
    ipc_as_completed *next;
    ipc_wait_item items[2] = {IPC_WAIT_FUTURE(f), IPC_WAIT_FD(0, POLLPRI)};
    size_t i;
    int rc;
    switch (way) {
    case 0:
        return ipc_future_wait_until(f, deadline);
    case 1:
        rc = ipc_wait_futures(&f, 1, IPC_ALL_COMPLETED, deadline);
        return rc < 0 ? rc : 0;
    case 2:
        rc = ipc_wait_futures(&f, 1, IPC_FIRST_COMPLETED, deadline);
        return rc < 0 ? rc : 0;
    case 3:
        rc = ipc_as_completed_begin(&f, 1, &next);
        if (rc == 0) {
            rc = ipc_as_completed_next(next, deadline, &i);
            ipc_as_completed_end(next);
        }
        return rc < 0 ? rc : 0;
    default:
        rc = ipc_wait(items, way == 4 ? 1 : 2, deadline);
        return rc < 0 ? rc : 0;
    }
}

enum {
    WAYS = 6 /* the last one beside a descriptor */
};

struct talk {
    int way;
    struct shared *shared;
};

static int listen_to_it(const void *arg, void *result, ipc_task *task)
{
    (void)result;
    (void)task;
    meet_wait(&(*(struct shared *const *)arg)->go, 1, LIMIT_MS);
    return 0;
}

/* The other one ends when it hears from us, after a wait in vain. */
static int talk(const void *arg, void *result, ipc_task *task)
{
    const struct talk *talk = arg;
    ipc_future *f;
    (void)result;
    int rc = ipc_pool_submit(ipc_task_pool(task), listen_to_it, &talk->shared,
                             sizeof(struct shared *), 0, &f);
    if (rc != 0)
        return rc;
    const int64_t begin = test_now_ns();
    rc = wait_by(talk->way, f, ipc_after_ms(SOON_MS));
    if (rc != -ETIMEDOUT)
        return ipc_task_fail(task, -EIO, "the first wait gave %d", rc);
    if (test_now_ns() - begin > SLACK_MS * NS_PER_MS)
        return ipc_task_fail(task, -EIO, "the first wait took too long");
    meet_signal(&talk->shared->go);
    rc = wait_by(talk->way, f, ipc_after_ms(LIMIT_MS));
    return rc == 0 ? ipc_future_free(f) : rc;
}

static void a_deadline_holds_while_others_are_free(uint32_t kind)
{
    struct talk order = {.shared = ipc_shared_alloc(sizeof *order.shared)};
    assert_non_null(order.shared);
    ipc_pool *pool = new_pool(kind, 3); /* some are being started */
    for (order.way = 0; order.way < WAYS; order.way++) {
        for (int i = 0; i < 3; i++) {
            order.shared->go = 0;
            ipc_future *f = submit(pool, talk, &order, sizeof order, 0);
            expect_status(f, 0);
            free_future(f);
        }
    }
    free_pool(pool);
    CHECK(ipc_shared_free(order.shared), 0);
}

static void processes_keep_a_deadline(void)
{
    a_deadline_holds_while_others_are_free(IPC_POOL_PROCESSES);
}

static void threads_keep_a_deadline(void)
{
    if (THREAD_SANITIZED)
        test_skip("its memory of who did what is too slow for this");
    a_deadline_holds_while_others_are_free(IPC_POOL_THREADS);
}

/* The first of two: the other one ends when it hears that there is one. */
static int wait_for_the_first(const void *arg, void *result, ipc_task *task)
{
    struct shared *shared = *(struct shared *const *)arg;
    ipc_pool *pool = ipc_task_pool(task);
    ipc_future *f[2] = {NULL, NULL};
    ipc_wait_item items[2];
    (void)result;
    for (int way = 0; way < 3; way++) {
        ipc_as_completed *next;
        size_t i = 0;
        shared->go = 0;
        int rc = ipc_pool_submit(pool, listen_to_it, arg,
                                 sizeof(struct shared *), 0, &f[0]);
        if (rc == 0)
            rc = ipc_pool_submit(pool, answer, NULL, 0, sizeof(int), &f[1]);
        items[0] = (ipc_wait_item)IPC_WAIT_FUTURE(f[0]);
        items[1] = (ipc_wait_item)IPC_WAIT_FUTURE(f[1]);
        if (rc == 0 && way == 0)
            rc = ipc_wait_futures(f, 2, IPC_FIRST_COMPLETED, IPC_TIME_FOREVER);
        else if (rc == 0 && way == 1)
            rc = ipc_wait(items, 2, IPC_TIME_FOREVER);
        else if (rc == 0 && (rc = ipc_as_completed_begin(f, 2, &next)) == 0) {
            rc = ipc_as_completed_next(next, IPC_TIME_FOREVER, &i);
            ipc_as_completed_end(next);
        }
        if (rc < 0 || ipc_future_done(f[0]))
            return ipc_task_fail(task, -EIO, "way %d: %d", way, rc);
        meet_signal(&shared->go);
        if (ipc_future_wait(f[0]) != 0 || ipc_future_free(f[0]) != 0 ||
            ipc_future_free(f[1]) != 0)
            return -EIO;
    }
    return 0;
}

static void the_first_of_several_while_others_are_free(void)
{
    struct shared *shared = ipc_shared_alloc(sizeof *shared);
    assert_non_null(shared);
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 3);
    ipc_future *f =
        submit(pool, wait_for_the_first, &shared, sizeof(struct shared *), 0);
    expect_status(f, 0);
    free_future(f);
    free_pool(pool);
    CHECK(ipc_shared_free(shared), 0);
}

struct errand {
    int way;
    bool has_deadline;
};

/* A wait that is over already runs nothing; one that may last does. */
static int run_an_errand(const void *arg, void *result, ipc_task *task)
{
    const struct errand *errand = arg;
    ipc_future *f;
    int rc =
        ipc_pool_submit(ipc_task_pool(task), answer, NULL, 0, sizeof(int), &f);
    if (rc != 0)
        return rc;
    if (wait_by(errand->way, f, 1) != -ETIMEDOUT ||
        wait_by(errand->way, f, errand->way == 0 ? 1 : IPC_TIME_NOW) == 0)
        return ipc_task_fail(task, -EIO, "it was run too early");
    rc = wait_by(errand->way, f,
                 errand->has_deadline ? ipc_after_ms(LIMIT_MS)
                                      : IPC_TIME_FOREVER);
    if (rc == 0)
        rc = ipc_future_result_nowait(f, result, sizeof(int), NULL);
    (void)ipc_future_free(f);
    return rc;
}

/* All workers wait, so each helps. */
static void all_wait(uint32_t kind, uint32_t workers)
{
    enum {
        TASKS = 8
    };
    ipc_pool *pool = new_pool(kind, workers);
    struct errand errand;
    for (errand.way = 0; errand.way < WAYS; errand.way++) {
        for (int i = 0; i < 2; i++) {
            ipc_future *f[TASKS];
            errand.has_deadline = i == 1;
            for (int k = 0; k < TASKS; k++)
                f[k] = submit(pool, run_an_errand, &errand, sizeof errand,
                              sizeof(int));
            for (int k = 0; k < TASKS; k++)
                assert_int_equal(number_of(f[k]), 42);
            free_futures(f, TASKS);
        }
    }
    free_pool(pool);
}

static void where_nobody_is_free_who_waits_helps(void)
{
    all_wait(IPC_POOL_PROCESSES, 1);
    all_wait(IPC_POOL_THREADS, 1);
}

static int wait_for_itself(const void *arg, void *result, ipc_task *task)
{
    struct shared *shared = *(struct shared *const *)arg;
    ipc_as_completed *next;
    size_t i;
    (void)task;
    meet_wait(&shared->go, 1, LIMIT_MS);
    int *rc = result;
    rc[0] = ipc_future_wait(shared->self);
    rc[1] =
        ipc_wait_futures(&shared->self, 1, IPC_ALL_COMPLETED, IPC_TIME_FOREVER);
    rc[2] = ipc_wait_futures(&shared->self, 1, IPC_FIRST_COMPLETED,
                             IPC_TIME_FOREVER);
    rc[3] = ipc_as_completed_begin(&shared->self, 1, &next);
    if (rc[3] == 0) {
        rc[3] = ipc_as_completed_next(next, IPC_TIME_FOREVER, &i);
        ipc_as_completed_end(next);
    }
    return 0;
}

static void a_task_that_waits_for_itself(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 1);
    struct shared *shared = ipc_shared_alloc(sizeof *shared);
    int rc[4] = {0};
    assert_non_null(shared);
    shared->self = submit(pool, wait_for_itself, &shared,
                          sizeof(struct shared *), sizeof rc);
    meet_signal(&shared->go);
    CHECK(ipc_future_result_until(shared->self, rc, sizeof rc, NULL,
                                  ipc_after_ms(LIMIT_MS)),
          0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(rc[i], -EDEADLK);
    free_future(shared->self);
    free_pool(pool);
    CHECK(ipc_shared_free(shared), 0);
}

/* ---- many ---- */

static int add_one(const void *arg, void *result, ipc_task *task)
{
    (void)task;
    *(int *)result = *(const int *)arg + 1;
    return 0;
}

static void twenty_thousand_as_they_are_done(void)
{
    enum {
        COUNT = 20000
    };
    static ipc_future *f[COUNT];
    static unsigned char seen[COUNT];
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    ipc_as_completed *next;
    size_t i;
    int rc;
    const int64_t from = test_now_ns();
    for (int k = 0; k < COUNT; k++)
        f[k] = submit(pool, add_one, &k, sizeof k, sizeof(int));
    CHECK(ipc_as_completed_begin(f, COUNT, &next), 0);
    while ((rc = ipc_as_completed_next(next, ipc_after_ms(LIMIT_MS), &i)) > 0) {
        assert_int_equal(seen[i], 0);
        seen[i] = 1;
        assert_int_equal(number_of(f[i]), (int)i + 1);
        free_future(f[i]);
    }
    assert_int_equal(rc, 0);
    for (i = 0; i < COUNT; i++)
        assert_int_equal(seen[i], 1);
    ipc_as_completed_end(next);
    test_report("ms", (test_now_ns() - from) / NS_PER_MS);
    free_pool(pool);
}

static void count_call(ipc_future *future, void *arg)
{
    assert_true(number_of(future) > 0);
    (void)__atomic_add_fetch((uint32_t *)arg, 1, __ATOMIC_SEQ_CST);
}

/* The end of a pool waits for its callbacks. */
static void shutdown_waits_for_callbacks(void)
{
    enum {
        COUNT = 300
    };
    static uint32_t calls;
    ipc_future *f[COUNT];
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    for (int k = 0; k < COUNT; k++) {
        f[k] = submit(pool, add_one, &k, sizeof k, sizeof(int));
        CHECK(ipc_future_add_done_callback(f[k], count_call, &calls), 0);
    }
    CHECK(ipc_pool_shutdown(pool, true, false), 0);
    assert_int_equal(__atomic_load_n(&calls, __ATOMIC_SEQ_CST), COUNT);
    free_futures(f, COUNT);
    free_pool(pool);
    while (count_kernel_threads() > 1 && !THREAD_SANITIZED)
        poll_pause();
}

static const struct test_case cases[] = {
    TEST_CASE(sizes_by_processes),
    TEST_CASE(sizes_by_threads),
    TEST_CASE(tasks_that_fail),
    TEST_CASE(workers_that_die),
    TEST_CASE(terminated_while_it_runs),
    TEST_CASE(tasks_wait_for_tasks_in_one_process),
    TEST_CASE(tasks_wait_for_tasks_in_one_thread),
    TEST_CASE(processes_keep_a_deadline),
    TEST_CASE(threads_keep_a_deadline),
    TEST_CASE(the_first_of_several_while_others_are_free),
    TEST_CASE(where_nobody_is_free_who_waits_helps),
    TEST_CASE(a_task_that_waits_for_itself),
    TEST_CASE(twenty_thousand_as_they_are_done),
    TEST_CASE(shutdown_waits_for_callbacks),
};
TEST_MAIN(cases)
