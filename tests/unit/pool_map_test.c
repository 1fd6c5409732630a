/* map and starmap: order, copies, failures, statuses. */
#include "harness/harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ipc/pool.h>
#include <ipc/shared.h>

#include "harness/role.h"
#include "unit/pool_map_support.h"

enum {
    N = 1000
};

/* ---- functions ---- */

static int add_to_result(const void *arg, void *result, ipc_task *task)
{
    (void)task;
    *(int64_t *)result += *(const int *)arg; /* zero before */
    return 0;
}

static int tell_index(const void *arg, void *result, ipc_task *task)
{
    if (arg != NULL || ipc_task_arg_bytes(task) != 0)
        return -EINVAL;
    *(size_t *)result = ipc_task_index(task);
    return 0;
}

static int fail_at_300_and_700(const void *arg, void *result, ipc_task *task)
{
    const int n = *(const int *)arg;
    (void)result;
    if (n == 300)
        return ipc_task_fail(task, -EIO, "no %d", n);
    return n == 700 ? -ENOENT : 0;
}

static int items[N];
static int64_t results[N];
static int32_t statuses[N];

static int map_squares(ipc_pool *pool, size_t count,
                       const ipc_map_options *options)
{
    memset(results, 0xff, sizeof results);
    return ipc_pool_map(pool, square, items, sizeof items[0], count, results,
                        sizeof results[0], options);
}

/* ---- what comes out ---- */

static void keep_order(ipc_pool *pool)
{
    count_up(items, N);
    expect_rc(map_squares(pool, N, NULL), 0);
    expect_squares(results, N);
}

static void results_are_in_the_order_of_items(void)
{
    with_both(keep_order);
}

static void use_chunks(ipc_pool *pool)
{
    static const uint32_t chunks[] = {1,   2,    3,    7,       500,
                                      999, 1000, 5000, 1u << 31};
    count_up(items, N);
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        const ipc_map_options options = with_chunk(chunks[i]);
        expect_rc(map_squares(pool, N, &options), 0);
        expect_squares(results, N);
    }
}

static void any_chunk_will_do(void)
{
    with_both(use_chunks);
}

static void use_counts(ipc_pool *pool)
{
    count_up(items, N);
    for (size_t count = 0; count < 70; count++) {
        expect_rc(map_squares(pool, count, NULL), 0);
        expect_squares(results, (int)count);
        assert_int_equal(results[count], -1);
    }
}

static void any_count_will_do(void)
{
    with_both(use_counts);
}

static void zero_room(ipc_pool *pool)
{
    count_up(items, N);
    memset(results, 0xff, sizeof results);
    expect_rc(ipc_pool_map(pool, add_to_result, items, sizeof items[0], N,
                           results, sizeof results[0], NULL),
              0);
    for (int i = 0; i < N; i++)
        assert_int_equal(results[i], i);
}

static void room_for_results_is_zero_filled(void)
{
    with_both(zero_room);
}

static void map_nothing(ipc_pool *pool)
{
    static size_t indexes[N];
    expect_rc(ipc_pool_map(pool, tell_index, NULL, 0, N, indexes,
                           sizeof indexes[0], NULL),
              0);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(indexes[i], i);
}

static void items_may_be_only_their_indexes(void)
{
    with_both(map_nothing);
}

static int check_sizes(const void *arg, void *result, ipc_task *task)
{
    void *room;
    (void)result;
    if (arg == NULL || ipc_task_arg_bytes(task) != sizeof(int) ||
        ipc_task_result_bytes(task) != sizeof(int64_t) ||
        ipc_task_attempt(task) != 1 ||
        (ipc_task_worker(task) >= 2 &&
         ipc_task_worker(task) != IPC_WORKER_CALLER) ||
        ipc_task_pool(task) == NULL ||
        ipc_task_index(task) != (size_t) * (const int *)arg)
        return -EINVAL;
    return ipc_task_reserve(task, 100, &room) == -ENOTSUP ? 0 : -EPROTO;
}

static void ask_task(ipc_pool *pool)
{
    count_up(items, N);
    expect_rc(ipc_pool_map(pool, check_sizes, items, sizeof items[0], N,
                           results, sizeof results[0], NULL),
              0);
}

static void an_item_knows_its_sizes_and_index(void)
{
    with_both(ask_task);
}

/* ---- where arrays are ---- */

/* The distance of what fn sees from what the caller has. */
static int tell_address(const void *arg, void *result, ipc_task *task)
{
    (void)task;
    ((uintptr_t *)result)[0] = (uintptr_t)arg;
    ((uintptr_t *)result)[1] = (uintptr_t)result;
    return 0;
}

static bool seen_in_place(ipc_pool *pool, const int *from, uintptr_t (*to)[2])
{
    size_t same = 0;
    expect_rc(ipc_pool_map(pool, tell_address, from, sizeof from[0], N, to,
                           sizeof to[0], NULL),
              0);
    for (size_t i = 0; i < N; i++) {
        same += to[i][0] == (uintptr_t)&from[i];
        same += to[i][1] == (uintptr_t)&to[i];
    }
    assert_true(same == 0 || same == (size_t)2 * N);
    return same != 0;
}

static void family_memory_is_used_in_place(void)
{
    static uintptr_t private_to[N][2];
    int *from = ipc_shared_alloc(N * sizeof(int));
    uintptr_t(*to)[2] = ipc_shared_alloc(N * sizeof to[0]);
    ipc_pool *processes = new_pool(IPC_POOL_PROCESSES, 2);
    ipc_pool *threads = new_pool(IPC_POOL_THREADS, 2);
    assert_true(seen_in_place(processes, from, to));
    assert_false(seen_in_place(processes, items, private_to));
    assert_true(seen_in_place(threads, from, to));
    assert_true(seen_in_place(threads, items, private_to));
    free_pool(processes);
    free_pool(threads);
    ipc_shared_free(from);
    ipc_shared_free(to);
}

static int sum_block(const void *arg, void *result, ipc_task *task)
{
    const unsigned char *bytes = arg;
    uint64_t sum = 0;
    for (size_t i = 0; i < ipc_task_arg_bytes(task); i++)
        sum += bytes[i];
    memset(result, (int)(sum % 251), ipc_task_result_bytes(task));
    return 0;
}

static void large_items(ipc_pool *pool)
{
    enum {
        EACH = 3 << 20,
        COUNT = 8
    };
    unsigned char *from = malloc((size_t)EACH * COUNT);
    unsigned char *to = malloc((size_t)EACH * COUNT);
    assert_non_null(from);
    assert_non_null(to);
    for (int i = 0; i < COUNT; i++)
        memset(from + (size_t)i * EACH, i + 1, EACH);
    expect_rc(ipc_pool_map(pool, sum_block, from, EACH, COUNT, to, EACH, NULL),
              0);
    for (int i = 0; i < COUNT; i++) {
        const int expected = (int)((uint64_t)EACH * (unsigned)(i + 1) % 251);
        assert_int_equal(to[(size_t)i * EACH], expected);
        assert_int_equal(to[(size_t)i * EACH + EACH - 1], expected);
    }
    free(from);
    free(to);
}

static void items_may_be_large(void)
{
    with_both(large_items);
}

/* ---- failures ---- */

static void fail_in_order(ipc_pool *pool)
{
    static const uint32_t chunks[] = {0, 1, 50, 1000};
    count_up(items, N);
    for (size_t i = 0; i < 4; i++) {
        const ipc_map_options options = with_chunk(chunks[i]);
        expect_rc(ipc_pool_map(pool, fail_at_300_and_700, items,
                               sizeof items[0], N, NULL, 0, &options),
                  -EIO);
        expect_detail("item 300 of 1000 failed: no 300");
    }
    keep_order(pool);
}

static void the_first_failure_in_order_counts(void)
{
    with_both(fail_in_order);
}

static uint32_t *shared; /* counters of a case */

static int fail_first_count_others(const void *arg, void *result,
                                   ipc_task *task)
{
    (void)arg;
    (void)result;
    if (ipc_task_index(task) == 0)
        return -EIO;
    __atomic_fetch_add(&shared[0], 1, __ATOMIC_RELAXED);
    poll_pause();
    return 0;
}

static void cancel_others(ipc_pool *pool)
{
    shared[0] = 0;
    expect_rc(ipc_pool_map(pool, fail_first_count_others, NULL, 0, 100000, NULL,
                           0, NULL),
              -EIO);
    expect_detail("item 0 of 100000 failed: ");
    assert_true(__atomic_load_n(&shared[0], __ATOMIC_RELAXED) < 50000);
}

static void after_a_failure_no_more_are_begun(void)
{
    shared = test_shared(sizeof *shared);
    with_both(cancel_others);
}

static int fail_every_tenth(const void *arg, void *result, ipc_task *task)
{
    const int n = *(const int *)arg;
    if (n % 10 == 3)
        return -n;
    return square(arg, result, task);
}

static void have_statuses(ipc_pool *pool)
{
    ipc_map_options options = with_chunk(33);
    count_up(items, N);
    memset(statuses, 0xff, sizeof statuses);
    options.statuses = statuses;
    expect_rc(ipc_pool_map(pool, fail_every_tenth, items, sizeof items[0], N,
                           results, sizeof results[0], &options),
              0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(statuses[i], i % 10 == 3 ? -i : 0);
        if (i % 10 != 3)
            assert_int_equal(results[i], i * i);
    }
}

static void with_statuses_all_are_run(void)
{
    with_both(have_statuses);
}

static int return_seven(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    (void)task;
    return 7;
}

static void positive(ipc_pool *pool)
{
    expect_rc(ipc_pool_map(pool, return_seven, NULL, 0, 5, NULL, 0, NULL),
              -EINVAL);
    expect_detail("item 0 of 5 failed: returned 7, which is no status");
}

static void positive_results_are_a_mistake(void)
{
    with_both(positive);
}

static void a_closed_pool_maps_nothing(void)
{
    static const uint32_t kinds[] = {IPC_POOL_PROCESSES, IPC_POOL_THREADS};
    for (size_t i = 0; i < 2; i++) {
        ipc_pool *pool = new_pool(kinds[i], 2);
        assert_int_equal(ipc_pool_shutdown(pool, true, false), 0);
        expect_rc(map_squares(pool, N, NULL), -EPIPE);
        free_pool(pool);
    }
}

static void arguments_are_checked(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_THREADS, 1);
    ipc_map_options options = with_chunk(0);
    expect_rc(ipc_pool_map(pool, square, NULL, 4, 1, results, 8, NULL),
              -EINVAL);
    expect_rc(ipc_pool_map(pool, square, items, 4, 1, NULL, 8, NULL), -EINVAL);
    expect_rc(
        ipc_pool_map(pool, square, items, 4, SIZE_MAX / 4, results, 8, NULL),
        -EINVAL);
    options.size = 2;
    expect_rc(map_squares(pool, 1, &options), -EINVAL);
    const ipc_map_array array = {items, sizeof items[0]};
    expect_rc(ipc_pool_starmap(pool, square, &array, 0, 1, results, 8, NULL),
              -EINVAL);
    free_pool(pool);
}

/* ---- starmap ---- */

static int multiply_add(const void *arg, void *result, ipc_task *task)
{
    const void *const *args = arg;
    if (ipc_task_arg_bytes(task) != 3 * sizeof(void *))
        return -EINVAL;
    *(int64_t *)result = *(const int *)args[0] * *(const int64_t *)args[1] +
                         *(const char *)args[2];
    return 0;
}

static void three_arrays(ipc_pool *pool)
{
    static int64_t factors[N];
    static const uint32_t chunks[] = {0, 1, 13};
    char *more = ipc_shared_alloc(N); /* the others are private */
    count_up(items, N);
    for (int i = 0; i < N; i++) {
        factors[i] = (int64_t)3 * i;
        more[i] = (char)(i % 50);
    }
    const ipc_map_array arrays[] = {
        {items, sizeof items[0]}, {factors, sizeof factors[0]}, {more, 1}};
    for (size_t c = 0; c < 3; c++) {
        const ipc_map_options options = with_chunk(chunks[c]);
        memset(results, 0xff, sizeof results);
        expect_rc(ipc_pool_starmap(pool, multiply_add, arrays, 3, N, results,
                                   sizeof results[0], &options),
                  0);
        for (int i = 0; i < N; i++)
            assert_int_equal(results[i], 3 * i * i + i % 50);
    }
    ipc_shared_free(more);
}

static void starmap_gives_an_element_of_each_array(void)
{
    with_both(three_arrays);
}

static const struct test_case cases[] = {
    TEST_CASE(results_are_in_the_order_of_items),
    TEST_CASE(any_chunk_will_do),
    TEST_CASE(any_count_will_do),
    TEST_CASE(room_for_results_is_zero_filled),
    TEST_CASE(items_may_be_only_their_indexes),
    TEST_CASE(an_item_knows_its_sizes_and_index),
    TEST_CASE(family_memory_is_used_in_place),
    TEST_CASE(items_may_be_large),
    TEST_CASE(the_first_failure_in_order_counts),
    TEST_CASE(after_a_failure_no_more_are_begun),
    TEST_CASE(with_statuses_all_are_run),
    TEST_CASE(positive_results_are_a_mistake),
    TEST_CASE(a_closed_pool_maps_nothing),
    TEST_CASE(arguments_are_checked),
    TEST_CASE(starmap_gives_an_element_of_each_array),
};
TEST_MAIN(cases)
