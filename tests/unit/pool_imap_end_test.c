/* imap: failures, deadlines, its end, also before the items', in tasks, and its
 * progress. */
#include "harness/harness.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <ipc/pool.h>

#include "harness/role.h"
#include "unit/pool_map_support.h"

enum {
    N = 500
};

static int items[N];
static uint32_t *shared; /* words of a case */

static const ipc_imap_source *first_items(size_t count)
{
    static ipc_imap_source source;
    for (int i = 0; i < N; i++)
        items[i] = i;
    source = (ipc_imap_source){
        .items = items, .item_bytes = sizeof items[0], .count = count};
    return &source;
}

static void square_in_order(ipc_pool *pool, const ipc_map_options *options)
{
    ipc_imap *imap;
    int64_t result;
    int rc;
    size_t n = 0;
    expect_rc(ipc_pool_imap(pool, square, first_items(N), sizeof result,
                            options, &imap),
              0);
    while ((rc = ipc_imap_next(imap, &result, IPC_TIME_FOREVER)) > 0) {
        assert_int_equal(ipc_imap_index(imap), n);
        assert_int_equal(result, n * n);
        n++;
    }
    expect_rc(rc, 0);
    assert_int_equal(n, N);
    expect_rc(ipc_imap_next(imap, &result, IPC_TIME_FOREVER), 0);
    ipc_imap_end(imap);
}

/* ---- failures ---- */

static int fail_at_tens(const void *arg, void *result, ipc_task *task)
{
    const int n = *(const int *)arg;
    if (n % 10 == 3)
        return ipc_task_fail(task, -EIO, "not %d", n);
    return square(arg, result, task);
}

static int die_at_tens(const void *arg, void *result, ipc_task *task)
{
    if (*(const int *)arg % 10 == 3)
        kill(getpid(), SIGKILL);
    return square(arg, result, task);
}

static void go_on(ipc_pool *pool, ipc_task_function *fn, int status,
                  const char *detail)
{
    ipc_imap *imap;
    ipc_map_options options = with_chunk(0);
    for (options.chunk = 0; options.chunk < 20; options.chunk += 9) {
        int64_t result;
        expect_rc(ipc_pool_imap(pool, fn, first_items(50), sizeof result,
                                &options, &imap),
                  0);
        for (int64_t i = 0; i < 50; i++) {
            const int rc = ipc_imap_next(imap, &result, IPC_TIME_FOREVER);
            assert_int_equal(ipc_imap_index(imap), i);
            expect_rc(rc, i % 10 == 3 ? status : 1);
            if (rc == 1)
                assert_int_equal(result, i * i);
            else if (i == 3)
                expect_detail(detail);
        }
        expect_rc(ipc_imap_next(imap, &result, IPC_TIME_FOREVER), 0);
        ipc_imap_end(imap);
    }
}

static void go_on_after_failures(ipc_pool *pool)
{
    go_on(pool, fail_at_tens, -EIO, "item 3 of 50 failed: not 3");
}

static void after_a_failure_one_may_go_on(void)
{
    with_both(go_on_after_failures);
}

static void a_killed_worker_costs_one_item(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    go_on(pool, die_at_tens, -EOWNERDEAD, "was killed by SIGKILL");
    free_pool(pool);
}

static int hang_if_second(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    if (ipc_task_index(task) != 1)
        return 0;
    while (!ipc_task_is_cancelled(task))
        poll_pause();
    return -ECANCELED;
}

static void item_time(ipc_pool *pool)
{
    const ipc_imap_source four = {.count = 4};
    ipc_imap *imap;
    ipc_map_options options = with_chunk(2);
    options.task_ns = 20000000;
    expect_rc(ipc_pool_imap(pool, hang_if_second, &four, 0, &options, &imap),
              0);
    for (int i = 0; i < 4; i++)
        expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER),
                  i == 1 ? -ETIME : 1);
    ipc_imap_end(imap);
}

static void items_have_their_own_time(void)
{
    with_both(item_time);
}

static int wait_if_first(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    if (ipc_task_index(task) == 0)
        meet_wait(&shared[0], 1, 20000);
    return 0;
}

static void all_has_a_deadline(ipc_pool *pool)
{
    const ipc_imap_source four = {.count = 4};
    ipc_imap *imap;
    ipc_map_options options = with_chunk(1);
    shared[0] = 0;
    options.deadline = ipc_after_ms(20);
    expect_rc(ipc_pool_imap(pool, wait_if_first, &four, 0, &options, &imap), 0);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), -ETIMEDOUT);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), -ETIMEDOUT);
    meet_signal(&shared[0]);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_NOW), -ETIMEDOUT);
    ipc_imap_end(imap);
}

static void an_imap_has_a_deadline(void)
{
    shared = test_shared(sizeof *shared);
    with_both(all_has_a_deadline);
}

static int hang_from_the_third(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    if (ipc_task_index(task) >= 2)
        meet_signal(&shared[0]);
    while (ipc_task_index(task) >= 2 && !ipc_task_is_cancelled(task))
        poll_pause();
    return ipc_task_index(task) >= 2 ? -ECANCELED : 0;
}

/* Also for who only asks.  The worker that hangs is ended. */
static void after_the_deadline(ipc_pool *pool)
{
    const ipc_imap_source many = {.count = 100};
    ipc_pool_stats stats = IPC_POOL_STATS_INIT;
    ipc_imap *imap;
    ipc_map_options options = with_chunk(1);
    shared[0] = 0;
    options.deadline = ipc_after_ms(100);
    expect_rc(
        ipc_pool_imap(pool, hang_from_the_third, &many, 0, &options, &imap), 0);
    meet_wait(&shared[0], 1, 20000);
    ipc_sleep_until(options.deadline);
    for (int i = 0; i < 2; i++) /* what is done is given */
        expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_NOW), 1);
    for (int i = 0; i < 3; i++)
        expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_NOW), -ETIMEDOUT);
    expect_detail("2 results were fetched");
    do
        assert_int_equal(ipc_pool_query(pool, &stats), 0);
    while (stats.futures + stats.running != 0);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), -ETIMEDOUT);
    ipc_imap_end(imap);
    square_in_order(pool, NULL);
}

static void after_the_deadline_nothing_runs(void)
{
    shared = test_shared(sizeof *shared);
    with_both(after_the_deadline);
}

/* All that there was, fetched after the deadline. */
static void done_before_the_deadline(ipc_pool *pool)
{
    const ipc_imap_source four = {.count = 4};
    ipc_pool_stats stats = IPC_POOL_STATS_INIT;
    ipc_imap *imap;
    ipc_map_options options = with_chunk(1);
    shared[0] = 1;
    options.deadline = ipc_after_ms(500);
    options.window = 4;
    expect_rc(ipc_pool_imap(pool, wait_if_first, &four, 0, &options, &imap), 0);
    do
        assert_int_equal(ipc_pool_query(pool, &stats), 0);
    while (stats.pending + stats.running != 0);
    ipc_sleep_until(options.deadline);
    for (int i = 0; i < 4; i++)
        expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_NOW), 1);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_NOW), 0);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_NOW), 0);
    ipc_imap_end(imap);
}

static void what_was_done_in_time_is_given_later(void)
{
    shared = test_shared(sizeof *shared);
    with_both(done_before_the_deadline);
}

/* ---- ends ---- */

static int wait_and_count(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    (void)task;
    __atomic_fetch_add(&shared[1], 1, __ATOMIC_SEQ_CST);
    meet_wait(&shared[0], 1, 20000);
    return 0;
}

static void end_early(ipc_pool *pool)
{
    const ipc_imap_source many = {.count = 1000};
    ipc_pool_stats stats = IPC_POOL_STATS_INIT;
    ipc_imap *imap;
    ipc_map_options options = with_chunk(1);
    options.window = 100;
    shared[0] = shared[1] = 0;
    expect_rc(ipc_pool_imap(pool, wait_and_count, &many, 0, &options, &imap),
              0);
    expect_rc(ipc_imap_next(imap, NULL, ipc_after_ms(1)), -ETIMEDOUT);
    ipc_imap_end(imap); /* waits for nothing */
    meet_signal(&shared[0]);
    expect_rc(ipc_pool_shutdown(pool, true, false), 0);
    assert_true(__atomic_load_n(&shared[1], __ATOMIC_SEQ_CST) <= 2);
    assert_int_equal(ipc_pool_query(pool, &stats), 0);
    assert_int_equal(stats.futures, 0);
}

static void what_was_not_begun_is_cancelled_at_the_end(void)
{
    shared = test_shared(2 * sizeof *shared);
    with_both(end_early);
}

static void end_of_nothing_is_fine(void)
{
    ipc_imap_end(NULL);
}

static int fail_at_five(void *arg, void *item, size_t *bytes)
{
    int *n = arg;
    *bytes = sizeof(int);
    *(int *)item = *n;
    return (*n)++ < 5 ? 1 : -ENODEV;
}

static void failing_source(ipc_pool *pool)
{
    int n = 0;
    const ipc_imap_source source = {
        .item_bytes = sizeof n, .next = fail_at_five, .arg = &n};
    ipc_imap *imap;
    expect_rc(ipc_pool_imap_unordered(pool, square, &source, 8, NULL, &imap),
              0);
    for (int i = 0; i < 5; i++)
        expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), 1);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), -ENODEV);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), 0);
    assert_int_equal(n, 6);
    ipc_imap_end(imap);
}

static void a_source_may_fail_in_any_order_too(void)
{
    with_both(failing_source);
}

/* ---- nested, narrow ---- */

static int imap_inside(const void *arg, void *result, ipc_task *task)
{
    const int depth = *(const int *)arg;
    const int below[3] = {depth - 1, depth - 1, depth - 1};
    const ipc_imap_source source = {
        .items = below, .item_bytes = sizeof below[0], .count = 3};
    ipc_imap *imap = NULL;
    int64_t sum = 0;
    int rc;
    *(int64_t *)result = 1;
    if (depth == 0)
        return 0;
    rc = (depth % 2 ? ipc_pool_imap : ipc_pool_imap_unordered)(
        ipc_task_pool(task), imap_inside, &source, sizeof sum, NULL, &imap);
    if (rc != 0)
        return rc;
    while ((rc = ipc_imap_next(imap, &sum, IPC_TIME_FOREVER)) > 0)
        *(int64_t *)result += sum;
    ipc_imap_end(imap);
    return rc;
}

static void nested_in(uint32_t kind, uint32_t workers, uint32_t max_pending)
{
    ipc_pool *pool;
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    const int depth = 4;
    int64_t sum;
    options.kind = kind;
    options.workers = workers;
    options.max_pending = max_pending;
    assert_int_equal(ipc_pool_new(&options, &pool), 0);
    expect_rc(ipc_pool_apply(pool, imap_inside, &depth, sizeof depth, &sum,
                             sizeof sum),
              0);
    assert_int_equal(sum, 1 + 3 + 9 + 27 + 81);
    square_in_order(pool, NULL);
    free_pool(pool);
}

static void imaps_in_tasks_do_not_wait_for_ever(void)
{
    for (uint32_t workers = 1; workers <= 2; workers++)
        for (uint32_t max_pending = 0; max_pending <= 2; max_pending++) {
            nested_in(IPC_POOL_PROCESSES, workers, max_pending);
            nested_in(IPC_POOL_THREADS, workers, max_pending);
        }
}

static void count_calls(size_t done, size_t total, void *arg)
{
    size_t *last = arg;
    assert_true(done > *last && done <= total && total == N);
    *last = done;
}

static void tell_progress(ipc_pool *pool)
{
    size_t last = 0;
    ipc_map_options options = with_chunk(3);
    options.progress = count_calls;
    options.progress_arg = &last;
    square_in_order(pool, &options);
    assert_int_equal(last, N);
}

static void progress_counts_what_was_fetched(void)
{
    with_both(tell_progress);
}

static void arguments_are_checked(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_THREADS, 1);
    const ipc_imap_source nowhere = {.item_bytes = 4, .count = 1};
    int32_t status;
    ipc_imap *imap = NULL;
    ipc_map_options options = with_chunk(0);
    expect_rc(ipc_pool_imap(pool, square, &nowhere, 8, NULL, &imap), -EINVAL);
    options.statuses = &status;
    expect_rc(ipc_pool_imap(pool, square, first_items(1), 8, &options, &imap),
              -EINVAL);
    assert_null(imap);
    free_pool(pool);
}

static const struct test_case cases[] = {
    TEST_CASE(after_a_failure_one_may_go_on),
    TEST_CASE(a_killed_worker_costs_one_item),
    TEST_CASE(items_have_their_own_time),
    TEST_CASE(an_imap_has_a_deadline),
    TEST_CASE(after_the_deadline_nothing_runs),
    TEST_CASE(what_was_done_in_time_is_given_later),
    TEST_CASE(what_was_not_begun_is_cancelled_at_the_end),
    TEST_CASE(end_of_nothing_is_fine),
    TEST_CASE(a_source_may_fail_in_any_order_too),
    TEST_CASE(imaps_in_tasks_do_not_wait_for_ever),
    TEST_CASE(progress_counts_what_was_fetched),
    TEST_CASE(arguments_are_checked),
};
TEST_MAIN(cases)
