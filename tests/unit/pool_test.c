/* Pools: options, submitting in all forms, bytes of all sizes, what a task
 * asks, and pointers that are no pools. */
#include "unit/pool_support.h"

/* ---- options ---- */

static void expect_refused(const ipc_pool_options *options, int error,
                           const char *says)
{
    ipc_pool *pool = (ipc_pool *)1;
    CHECK(ipc_pool_new(options, &pool), error);
    assert_null(pool);
    expect_says(says);
}

static void options_that_make_no_sense_are_refused(void)
{
    static const ipc_pool_options none = IPC_POOL_OPTIONS_INIT;
    ipc_pool_options bad[11];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        bad[i] = none;
    bad[0].kind = 2;
    bad[1].flags = 2;
    bad[2].workers = IPC_POOL_WORKERS_MAX + 1;
    bad[3].max_pending = IPC_POOL_PENDING_MAX + 1;
    bad[4].max_deaths = 129;
    bad[5].task_ns = -1;
    bad[6].grace_ns = -1;
    bad[7].idle_ns = -1;
    bad[8].deaths_ns = -1;
    bad[9].start_method = 77;
    bad[10].spread = true;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_refused(&bad[i], -EINVAL, "pool: ");
}

static void options_of_another_version(void)
{
    struct {
        ipc_pool_options options;
        uint64_t newer;
    } longer = {.options = IPC_POOL_OPTIONS_INIT, .newer = 1};
    longer.options.workers = 1;
    longer.options.size = sizeof longer;
    expect_refused(&longer.options, -E2BIG, "another version");
    longer.newer = 0;
    free_pool(pool_with(&longer.options));
    longer.options.size = 3;
    expect_refused(&longer.options, -EINVAL, "another version");
    longer.options.size = offsetof(ipc_pool_options, max_pending);
    longer.options.task_ns = -1; /* behind its end */
    free_pool(pool_with(&longer.options));
}

/* What starting its workers fails with; nothing is left of them. */
static void workers_that_cannot_be_started(uint32_t kind)
{
    static const int cpus[] = {0, 1000000};
    const uint64_t before = allocations();
    ipc_pool_options options = with_workers(kind, 2);
    options.cpus = cpus;
    options.cpu_count = 2;
    options.spread = true; /* the first one can */
    ipc_pool *pool = NULL;
    CHECK(ipc_pool_new(&options, &pool), -EINVAL);
    assert_null(pool);
    assert_int_equal(allocations(), before);
}
BOTH_KINDS(workers_that_cannot_be_started);

static void default_is_one_process_for_each_cpu(void)
{
    ipc_pool *pool = pool_with(NULL);
    assert_int_equal(figures(pool).workers, ipc_cpu_quota());
    const int nothing = 0;
    ipc_future *f = submit(pool, add_one, &nothing, sizeof(int), sizeof(int));
    assert_int_equal(number_of(f), 1);
    assert_true(exception_of(f).kind == IPC_EXCEPTION_NONE);
    free_future(f);
    free_pool(pool);
    CHECK(ipc_pool_free(NULL), 0);
}

/* ---- submitting ---- */

static void every_form_submits(uint32_t kind)
{
    ipc_pool *pool = new_pool(kind, 1);
    ipc_task_options options = IPC_TASK_OPTIONS_INIT;
    ipc_future *f[8];
    int n[8];
    for (int i = 0; i < 8; i++)
        n[i] = i;
#define NTH(i) add_one, &n[i], sizeof(int), sizeof(int)
    CHECK(ipc_pool_submit(pool, NTH(0), &f[0]), 0);
    CHECK(ipc_pool_submit_nowait(pool, NTH(1), &f[1]), 0);
    CHECK(ipc_pool_submit_until(pool, NTH(2), IPC_TIME_FOREVER, &f[2]), 0);
    CHECK(ipc_pool_submit_until(pool, NTH(3), IPC_TIME_NOW, &f[3]), 0);
    CHECK(ipc_pool_submit_until(pool, NTH(4), 1, &f[4]), 0);
    CHECK(ipc_pool_submit_with(pool, NULL, NTH(5), &f[5]), 0);
    options.deadline = 1;
    CHECK(ipc_pool_submit_with(pool, &options, NTH(6), &f[6]), 0);
    options.nowait = true;
    CHECK(ipc_pool_submit_with(pool, &options, NTH(7), &f[7]), 0);
#undef NTH
    n[0] = 99; /* they have copies */
    for (int i = 0; i < 8; i++)
        assert_int_equal(number_of(f[i]), i + 1);
    free_futures(f, 8);
    free_pool(pool);
}
BOTH_KINDS(every_form_submits);

static void bad_orders_are_refused(uint32_t kind)
{
    ipc_pool *pool = new_pool(kind, 1);
    ipc_task_options options = IPC_TASK_OPTIONS_INIT;
    ipc_future *f = (ipc_future *)1;
    const size_t most = (size_t)1 << 30;
    const char one = 1;
    CHECK(ipc_pool_submit(pool, add_one, &one, most + 1, 0, &f), -EMSGSIZE);
    assert_null(f);
    CHECK(ipc_pool_submit(pool, add_one, NULL, 0, most + 1, &f), -EMSGSIZE);
    CHECK(ipc_pool_submit(pool, add_one, &one, SIZE_MAX, 0, &f), -EMSGSIZE);
    CHECK(ipc_pool_submit(pool, add_one, NULL, 0, SIZE_MAX, NULL), -EMSGSIZE);
    options.size = 2;
    f = (ipc_future *)1;
    CHECK(ipc_pool_submit_with(pool, &options, add_one, NULL, 0, 0, &f),
          -EINVAL);
    assert_null(f);
    assert_int_equal(figures(pool).futures, 0);
    expect_works(pool);
    free_pool(pool);
}
BOTH_KINDS(bad_orders_are_refused);

/* One worker runs them in the order in which they came. */
static int append(const void *arg, void *result, ipc_task *task)
{
    struct scene *scene = scene_of(arg);
    (void)task;
    *(uint32_t *)result = scene->count++;
    return 0;
}

static void first_come_first_run(uint32_t kind)
{
    enum {
        COUNT = 200
    };
    ipc_pool *pool = new_pool(kind, 1);
    struct scene *scene = new_scene();
    ipc_future *f[COUNT];
    for (int i = 0; i < COUNT; i++)
        f[i] = submit(pool, append, &scene, sizeof(struct scene *),
                      sizeof(uint32_t));
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(number_of(f[i]), i);
    free_futures(f, COUNT);
    free_pool(pool);
    free_scene(scene);
}
BOTH_KINDS(first_come_first_run);

/* ---- bytes ---- */

static const size_t sizes[] = {0,   1,   8,    15,    16,     24,  32,
                               33,  40,  41,   63,    64,     127, 128,
                               129, 300, 4096, 65537, 1 << 20};
enum {
    SIZES = sizeof sizes / sizeof sizes[0]
};

static void paint(unsigned char *bytes, size_t n, size_t seed)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(i * 7 + (i >> 8) + seed);
}

static bool is_painted(const unsigned char *bytes, size_t n, size_t seed)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != (unsigned char)(i * 7 + (i >> 8) + seed))
            return false;
    return true;
}

static bool is_zero(const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* NULL if there are none, else aligned as pool.h says. */
static bool is_placed(const void *bytes, size_t n)
{
    if (n == 0)
        return bytes == NULL;
    return bytes != NULL && (uintptr_t)bytes % (n < 16 ? 8 : 16) == 0;
}

static int repaint(const void *arg, void *result, ipc_task *task)
{
    const size_t in = ipc_task_arg_bytes(task);
    const size_t out = ipc_task_result_bytes(task);
    if (!is_placed(arg, in) || !is_placed(result, out))
        return ipc_task_fail(task, -EFAULT, "arg %p, result %p", arg, result);
    if (!is_zero(result, out) || !is_painted(arg, in, out))
        return -EUCLEAN;
    paint(result, out, in);
    return is_painted(arg, in, out) ? 0 : -EXDEV; /* nothing overlaps */
}

static void expect_repainted(ipc_pool *pool, size_t in, size_t out,
                             unsigned char *buffer)
{
    const void *borrowed = NULL;
    size_t bytes = 0;
    paint(buffer, in, out);
    ipc_future *f = submit(pool, repaint, buffer, in, out);
    CHECK(ipc_future_borrow(f, &borrowed, &bytes, ipc_after_ms(LIMIT_MS)), 0);
    assert_int_equal(bytes, out);
    assert_true(is_placed(borrowed, out));
    CHECK(ipc_future_result(f, buffer, out, NULL), 0);
    assert_true(is_painted(buffer, out, in));
    free_future(f);
    memset(buffer, 0xee, out);
    paint(buffer, in, out);
    CHECK(ipc_pool_apply(pool, repaint, buffer, in, buffer, out), 0);
    assert_true(is_painted(buffer, out, in));
}

/* The same sizes, and each beside a short one and a long one. */
static void arguments_and_results_of_all_sizes(uint32_t kind)
{
    ipc_pool *pool = new_pool(kind, 2);
    unsigned char *buffer = malloc(1 << 20);
    assert_non_null(buffer);
    for (size_t i = 0; i < SIZES; i++)
        expect_repainted(pool, sizes[i], sizes[i], buffer);
    for (size_t i = 0; i < SIZES - 2; i++)
        for (size_t k = 0; k < SIZES - 2; k++)
            expect_repainted(pool, sizes[i], sizes[k], buffer);
    free(buffer);
    free_pool(pool);
}
BOTH_KINDS(arguments_and_results_of_all_sizes);

/* ---- results of another size ---- */

struct wish {
    size_t first; /* reserved, painted, and then given up */
    size_t then;
};

static int return_wish(const void *arg, void *result, ipc_task *task)
{
    const struct wish *wish = arg;
    void *room = result;
    int rc = ipc_task_reserve(task, wish->first, &room);
    if (rc != 0 || !is_placed(room, wish->first) ||
        ipc_task_result_bytes(task) != wish->first)
        return ipc_task_fail(task, -EFAULT, "%zu: %d", wish->first, rc);
    if (!is_zero(room, wish->first))
        return -EUCLEAN;
    paint(room, wish->first, 5);
    rc = ipc_task_reserve(task, wish->then, &room);
    if (rc != 0 || !is_zero(room, wish->then))
        return ipc_task_fail(task, -EUCLEAN, "%zu: %d", wish->then, rc);
    unsigned char *bytes = malloc(wish->then + 1);
    if (bytes == NULL)
        return -ENOMEM;
    paint(bytes, wish->then, 9);
    rc = ipc_task_return(task, bytes, wish->then);
    free(bytes);
    return rc;
}

static void a_task_returns_what_it_likes(uint32_t kind)
{
    ipc_pool *pool = new_pool(kind, 1);
    unsigned char *buffer = malloc(1 << 20);
    assert_non_null(buffer);
    const uint64_t before = allocations();
    for (size_t i = 0; i < SIZES; i++)
        for (size_t k = i % 2; k < SIZES; k += 2) {
            const struct wish wish = {sizes[i], sizes[k]};
            size_t bytes = 0;
            ipc_future *f = submit(pool, return_wish, &wish, sizeof wish, 20);
            CHECK(ipc_future_result(f, buffer, 1 << 20, &bytes), 0);
            assert_int_equal(bytes, sizes[k]);
            assert_true(is_painted(buffer, bytes, 9));
            free_future(f);
        }
    assert_true(allocations() <= before + 4); /* what records keep */
    free(buffer);
    free_pool(pool);
}
BOTH_KINDS(a_task_returns_what_it_likes);

static int ask_too_much(const void *arg, void *result, ipc_task *task)
{
    void *room = result;
    (void)arg;
    const int rc = ipc_task_reserve(task, ((size_t)1 << 30) + 1, &room);
    return room != NULL                       ? -EUCLEAN
           : rc != -EMSGSIZE                  ? -ENOTSUP
           : ipc_task_result_bytes(task) != 0 ? -EXDEV
                                              : ipc_task_return(task, "ok", 3);
}

static int return_long(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    return ipc_task_return(task, "too long", 9);
}

static void apply_and_its_errors(uint32_t kind)
{
    ipc_pool *pool = new_pool(kind, 1);
    struct scene *scene = new_scene();
    char text[16];
    CHECK(ipc_pool_apply(pool, ask_too_much, NULL, 0, text, 3), 0);
    assert_string_equal(text, "ok");
    CHECK(ipc_pool_apply(pool, return_long, NULL, 0, text, 4), -EMSGSIZE);
    CHECK(ipc_pool_apply(pool, return_long, NULL, 0, NULL, 0), -EMSGSIZE);
    CHECK(
        ipc_pool_apply(pool, count_it, &scene, sizeof(struct scene *), NULL, 0),
        0);
    assert_int_equal(counted(scene), 1);
    assert_int_equal(figures(pool).futures, 0);
    free_pool(pool);
    free_scene(scene);
}
BOTH_KINDS(apply_and_its_errors);

/* ---- failing ---- */

static int fail_in_some_way(const void *arg, void *result, ipc_task *task)
{
    const int way = *(const int *)arg;
    memset(result, 7, 64);
    switch (way) {
    case 0:
        return -ENOENT;
    case 1:
        return ipc_task_fail(task, -EIO, "page %d of \"%s\"", 7, "a book");
    case 2:
        return ipc_task_fail(task, -EIO, "%0400d", 1);
    case 3:
        return ipc_task_fail(task, 3, "positive");
    case 4:
        return ipc_task_fail(task, 0, "zero");
    case 5:
        return 5;
    case 6:
        (void)ipc_task_fail(task, -EIO, "not this one");
        return -EPERM;
    case 7:
        (void)ipc_task_fail(task, -EIO, "not this one");
        return ipc_task_fail(task, -ENOSPC, "this one");
    default:
        return ipc_task_fail(task, -4096, "%s", "");
    }
}

static void a_task_says_why_it_fails(uint32_t kind)
{
    static const struct {
        int status;
        const char *message;
    } expected[] = {
        {-ENOENT, NULL},   {-EIO, "page 7 of \"a book\""},
        {-EIO, NULL},      {-EINVAL, "positive"},
        {-EINVAL, "zero"}, {-EINVAL, "returned 5, which is no status"},
        {-EPERM, NULL},    {-ENOSPC, "this one"},
        {-4096, NULL}};
    const int count = sizeof expected / sizeof expected[0];
    ipc_pool *pool = new_pool(kind, 1);
    for (int i = 0; i < count; i++) {
        ipc_future *f =
            submit(pool, fail_in_some_way, &i, sizeof i, (size_t)64);
        expect_status(f, expected[i].status);
        expect_says("task failed: ");
        const ipc_exception e = exception_of(f);
        assert_int_equal(e.kind, IPC_EXCEPTION_FAILED);
        assert_int_equal(e.status, expected[i].status);
        assert_int_equal(e.attempts, 1);
        assert_int_equal(e.signal, 0);
        assert_true(e.pid != 0);
        assert_int_equal(e.pid == getpid(), kind == IPC_POOL_THREADS);
        if (i == 2)
            assert_int_equal(strlen(e.message), 161);
        else
            assert_string_equal(e.message,
                                expected[i].message != NULL
                                    ? expected[i].message
                                    : ipc_strerror(expected[i].status));
        free_future(f);
    }
    assert_int_equal(figures(pool).failed, count);
    expect_works(pool);
    free_pool(pool);
}
BOTH_KINDS(a_task_says_why_it_fails);

/* ---- what a task asks ---- */

struct answers {
    ipc_pool *pool;
    size_t index;
    uint32_t worker;
    uint32_t attempt;
    bool is_cancelled;
};

static int ask(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    *(struct answers *)result = (struct answers){
        ipc_task_pool(task), ipc_task_index(task), ipc_task_worker(task),
        ipc_task_attempt(task), ipc_task_is_cancelled(task)};
    return 0;
}

static void what_a_task_asks(uint32_t kind)
{
    ipc_pool *pool = new_pool(kind, 3);
    for (int i = 0; i < 20; i++) {
        struct answers answers = {.index = 1};
        CHECK(ipc_pool_apply(pool, ask, NULL, 0, &answers, sizeof answers), 0);
        assert_ptr_equal(answers.pool, pool);
        assert_int_equal(answers.index, 0);
        assert_in_range(answers.worker, 0, 2);
        assert_int_equal(answers.attempt, 1);
        assert_false(answers.is_cancelled);
    }
    free_pool(pool);
}
BOTH_KINDS(what_a_task_asks);

/* ---- what is no pool ---- */

static void expect_no_pool(ipc_pool *pool)
{
    const int n = 1;
    int result;
    ipc_future *f = (ipc_future *)1;
    ipc_pool_stats stats = IPC_POOL_STATS_INIT;
    ipc_worker_info info[1];
    CHECK(ipc_pool_submit(pool, add_one, &n, 4, 4, &f), -EINVAL);
    CHECK(ipc_pool_submit_nowait(pool, add_one, &n, 4, 4, &f), -EINVAL);
    CHECK(ipc_pool_submit_until(pool, add_one, &n, 4, 4, 1, &f), -EINVAL);
    CHECK(ipc_pool_submit_with(pool, NULL, add_one, &n, 4, 4, &f), -EINVAL);
    CHECK(ipc_pool_apply(pool, add_one, &n, 4, &result, 4), -EINVAL);
    CHECK(ipc_pool_map(pool, add_one, &n, 4, 1, &result, 4, NULL), -EINVAL);
    CHECK(ipc_pool_shutdown(pool, true, true), -EINVAL);
    CHECK(ipc_pool_shutdown_until(pool, true, 1), -EINVAL);
    CHECK(ipc_pool_terminate(pool), -EINVAL);
    CHECK(ipc_pool_kill(pool), -EINVAL);
    CHECK(ipc_pool_resize(pool, 1), -EINVAL);
    CHECK(ipc_pool_query(pool, &stats), -EINVAL);
    assert_int_equal(ipc_pool_workers(pool, info, 1), 0);
    CHECK(ipc_pool_free(pool), -EINVAL);
    expect_says("no pool");
}

static void pointers_that_are_no_pools(void)
{
    static _Alignas(64) unsigned char garbage[32768];
    expect_no_pool((ipc_pool *)(void *)garbage);
    memset(garbage, 0xff, sizeof garbage);
    expect_no_pool((ipc_pool *)(void *)garbage);
    ipc_pool *pool = new_pool(IPC_POOL_THREADS, 1);
    ipc_future *f = submit_number(pool, 1);
    CHECK(ipc_future_wait(f), 0); /* then nobody writes to it */
    expect_no_pool((ipc_pool *)(void *)f);
    free_future(f);
    free_pool(pool);
}

static const struct test_case cases[] = {
    TEST_CASE(options_that_make_no_sense_are_refused),
    TEST_CASE(options_of_another_version),
    BOTH_CASES(workers_that_cannot_be_started),
    TEST_CASE(default_is_one_process_for_each_cpu),
    BOTH_CASES(every_form_submits),
    BOTH_CASES(bad_orders_are_refused),
    BOTH_CASES(first_come_first_run),
    BOTH_CASES(arguments_and_results_of_all_sizes),
    BOTH_CASES(a_task_returns_what_it_likes),
    BOTH_CASES(apply_and_its_errors),
    BOTH_CASES(a_task_says_why_it_fails),
    BOTH_CASES(what_a_task_asks),
    TEST_CASE(pointers_that_are_no_pools),
};
TEST_MAIN(cases)
