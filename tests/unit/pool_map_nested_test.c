/* Maps in maps, many parts, narrow lines, several maps at once. */
#include "harness/harness.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <ipc/pool.h>

#include "harness/role.h"
#include "unit/pool_map_support.h"

enum {
    N = 1000
};

static const uint32_t kinds[] = {IPC_POOL_PROCESSES, IPC_POOL_THREADS};

static int items[N];
static int64_t results[N];

static int map_squares(ipc_pool *pool, size_t count,
                       const ipc_map_options *options)
{
    memset(results, 0xff, sizeof results);
    return ipc_pool_map(pool, square, items, sizeof items[0], count, results,
                        sizeof results[0], options);
}

static int map_inside(const void *arg, void *result, ipc_task *task)
{
    const int depth = *(const int *)arg;
    int below[4] = {depth - 1, depth - 1, depth - 1, depth - 1};
    int64_t sums[4];
    *(int64_t *)result = 1;
    if (depth == 0)
        return 0;
    const int rc = ipc_pool_map(ipc_task_pool(task), map_inside, below,
                                sizeof below[0], 4, sums, sizeof sums[0], NULL);
    for (int i = 0; i < 4; i++)
        *(int64_t *)result += sums[i];
    return rc;
}

static void maps_in_maps_do_not_wait_for_ever(void)
{
    for (size_t k = 0; k < 2; k++)
        for (uint32_t workers = 1; workers <= 3; workers++) {
            ipc_pool *pool = new_pool(kinds[k], workers);
            const int depth[2] = {3, 3};
            int64_t sums[2];
            expect_rc(ipc_pool_map(pool, map_inside, depth, sizeof depth[0], 2,
                                   sums, sizeof sums[0], NULL),
                      0);
            assert_int_equal(sums[0], 1 + 4 + 16 + 64);
            assert_int_equal(sums[1], 1 + 4 + 16 + 64);
            free_pool(pool);
        }
}

static void a_narrow_line_is_enough(void)
{
    for (size_t k = 0; k < 2; k++)
        for (uint32_t pending = 1; pending <= 3; pending += 2) {
            ipc_pool *pool;
            ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
            const ipc_map_options one = with_chunk(1);
            const int depth[2] = {2, 2};
            int64_t sums[2];
            options.kind = kinds[k];
            options.workers = 2;
            options.max_pending = pending;
            assert_int_equal(ipc_pool_new(&options, &pool), 0);
            count_up(items, N);
            expect_rc(map_squares(pool, N, &one), 0);
            expect_squares(results, N);
            expect_rc(ipc_pool_map(pool, map_inside, depth, sizeof depth[0], 2,
                                   sums, sizeof sums[0], NULL),
                      0);
            assert_int_equal(sums[1], 1 + 4 + 16);
            free_pool(pool);
        }
}

static void more_parts_than_the_window(ipc_pool *pool)
{
    enum {
        MANY = 30000
    };
    int *from = malloc(MANY * sizeof *from);
    int64_t *to = malloc(MANY * sizeof *to);
    const ipc_map_options options = with_chunk(1);
    assert_non_null(from);
    assert_non_null(to);
    count_up(from, MANY);
    expect_rc(ipc_pool_map(pool, square, from, sizeof *from, MANY, to,
                           sizeof *to, &options),
              0);
    expect_squares(to, MANY);
    ipc_pool_stats stats = IPC_POOL_STATS_INIT;
    assert_int_equal(ipc_pool_query(pool, &stats), 0);
    assert_int_equal(stats.futures, 0);
    free(from);
    free(to);
}

static void any_number_of_parts_will_do(void)
{
    with_both(more_parts_than_the_window);
}

static void *map_in_thread(void *arg)
{
    int from[200];
    int64_t to[200];
    count_up(from, 200);
    for (int i = 0; i < 20; i++) {
        expect_rc(ipc_pool_map(arg, square, from, sizeof from[0], 200, to,
                               sizeof to[0], NULL),
                  0);
        expect_squares(to, 200);
    }
    return NULL;
}

static void several_at_once(ipc_pool *pool)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, map_in_thread, pool),
                         0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void several_threads_may_map_at_once(void)
{
    with_both(several_at_once);
}

static void map_in_role(void *arg)
{
    (void)map_in_thread(arg);
}

/* Also with threads of another process: arrays are copied then. */
static void map_from_child(ipc_pool *pool)
{
    struct role role;
    role_start(&role, map_in_role, pool);
    role_wait_ok(&role, 20000);
}

static void another_process_of_the_family_may_map(void)
{
    with_both(map_from_child);
}

static const struct test_case cases[] = {
    TEST_CASE(maps_in_maps_do_not_wait_for_ever),
    TEST_CASE(a_narrow_line_is_enough),
    TEST_CASE(any_number_of_parts_will_do),
    TEST_CASE(several_threads_may_map_at_once),
    TEST_CASE(another_process_of_the_family_may_map),
};
TEST_MAIN(cases)
