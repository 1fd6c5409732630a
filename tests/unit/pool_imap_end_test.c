/* imap: its end, also before the items', in tasks, and its progress. */
#include "harness/harness.h"

#include <errno.h>

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

static void closing(ipc_pool *pool)
{
    ipc_imap *imap;
    ipc_map_options options = with_chunk(1);
    int64_t result;
    int n = 0, rc;
    options.window = 10;
    expect_rc(ipc_pool_imap(pool, square, first_items(N), 8, &options, &imap),
              0);
    expect_rc(ipc_pool_shutdown(pool, false, false), 0);
    while ((rc = ipc_imap_next(imap, &result, IPC_TIME_FOREVER)) > 0)
        n++;
    expect_rc(rc, -EPIPE);
    assert_int_equal(n, 10);
    ipc_imap_end(imap);
    expect_rc(ipc_pool_imap(pool, square, first_items(N), 8, &options, &imap),
              -EPIPE);
}

static void what_is_begun_comes_although_the_pool_closes(void)
{
    with_both(closing);
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
    TEST_CASE(what_was_not_begun_is_cancelled_at_the_end),
    TEST_CASE(end_of_nothing_is_fine),
    TEST_CASE(what_is_begun_comes_although_the_pool_closes),
    TEST_CASE(imaps_in_tasks_do_not_wait_for_ever),
    TEST_CASE(progress_counts_what_was_fetched),
    TEST_CASE(arguments_are_checked),
};
TEST_MAIN(cases)
