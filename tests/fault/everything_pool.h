/* One use of pools of every kind: a part of everything.c, where DONE() is.
 *
 * A task is not run, or it fails for the reason of the fault, or its result is
 * what it should be.  No other one suffers. */
#ifndef FAULT_EVERYTHING_POOL_H
#define FAULT_EVERYTHING_POOL_H

#include <ipc/pool.h>

enum {
    LETTER_BYTES = 20000, /* in memory of its own */
    ITEMS = 90
};

/* ---- tasks ---- */

static int double_it(const void *arg, void *result, ipc_task *task)
{
    (void)task;
    *(int64_t *)result = 2 * *(const int64_t *)arg;
    return 0;
}

static int copy_it(const void *arg, void *result, ipc_task *task)
{
    (void)result;
    return ipc_task_return(task, arg, ipc_task_arg_bytes(task));
}

static int copy_into(const void *arg, void *result, ipc_task *task)
{
    memcpy(result, arg, ipc_task_result_bytes(task));
    return 0;
}

static int fail_politely(const void *arg, void *result, ipc_task *task)
{
    (void)arg, (void)result;
    return ipc_task_fail(task, -EDOM, "as agreed");
}

static int add_two(const void *arg, void *result, ipc_task *task)
{
    (void)task;
    const int64_t *const *pair = arg;
    *(int64_t *)result = *pair[0] + *pair[1];
    return 0;
}

/* By another task of the pool. */
static int double_it_elsewhere(const void *arg, void *result, ipc_task *task)
{
    return ipc_pool_apply(ipc_task_pool(task), double_it, arg, sizeof(int64_t),
                          result, sizeof(int64_t));
}

IPC_ENTRY(double_it);
IPC_ENTRY(copy_it);
IPC_ENTRY(copy_into);
IPC_ENTRY(fail_politely);
IPC_ENTRY(add_two);
IPC_ENTRY(double_it_elsewhere);

/* ---- one after the other ---- */

static const void *letter_of_tasks(void)
{
    static unsigned char letter[LETTER_BYTES];
    for (size_t i = 0; i < sizeof letter; i++)
        letter[i] = (unsigned char)(i * 11 + i / 500);
    return letter;
}

/* The task gives back what it is given. */
static void run_copy(ipc_pool *pool, ipc_task_function *fn, size_t bytes,
                     size_t promised)
{
    static unsigned char found[LETTER_BYTES];
    const void *letter = letter_of_tasks();
    ipc_future *future;
    size_t got = 0;
    if (!DONE(ipc_pool_submit_until(pool, fn, letter, bytes, promised,
                                    long_after(), &future)))
        return;
    memset(found, 0, bytes);
    if (DONE(ipc_future_result_until(future, found, bytes, &got,
                                     long_after()))) {
        assert_int_equal(got, bytes);
        assert_memory_equal(found, letter, bytes);
    }
    CHECK(ipc_future_free(future), 0);
}

static void run_copies(ipc_pool *pool)
{
    static const size_t sizes[] = {8, 100, LETTER_BYTES};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        run_copy(pool, copy_it, sizes[i], 0);
        run_copy(pool, copy_into, sizes[i], sizes[i]);
    }
}

static void run_failing(ipc_pool *pool)
{
    ipc_future *future;
    ipc_exception found = IPC_EXCEPTION_INIT;
    const ipc_task_options options = {
        .size = sizeof options, .retries = 1, .deadline = long_after()};
    if (!DONE(ipc_pool_submit_with(pool, &options, fail_politely, NULL, 0, 0,
                                   &future)))
        return;
    int rc = ipc_future_result_until(future, NULL, 0, NULL, long_after());
    assert_true(rc == -EDOM || !done("result", rc));
    if (rc == -EDOM && DONE(ipc_future_exception(future, &found, long_after())))
        assert_true(strcmp(found.message, "as agreed") == 0 ||
                    now->expected != NULL);
    CHECK(ipc_future_free(future), 0);
}

static void run_doubles(ipc_pool *pool)
{
    int64_t number = 21;
    int64_t twice = 0;
    if (DONE(ipc_pool_apply(pool, double_it, &number, sizeof number, &twice,
                            sizeof twice)))
        assert_int_equal(twice, 42);
    twice = 0;
    if (DONE(ipc_pool_apply(pool, double_it_elsewhere, &number, sizeof number,
                            &twice, sizeof twice)))
        assert_int_equal(twice, 42);
}

/* Each goes its own way. */
static void run_many(ipc_pool *pool)
{
    ipc_future *all[SOME_FUTURES];
    uint32_t called = 0;
    size_t n = 0;
    for (int64_t i = 0; i < SOME_FUTURES; i++)
        n += DONE(ipc_pool_submit_nowait(pool, double_it, &i, sizeof i,
                                         sizeof i, &all[n]));
    (void)DONE(ipc_pool_submit(pool, fail_politely, NULL, 0, 0, NULL));
    if (n == 0)
        return;
    const int rc = ipc_future_cancel(all[n - 1]);
    assert_true(rc == 0 || rc == -EBUSY || rc == -EALREADY);
    const uint32_t added = now->no_threads ? 0 : add_callbacks(all, n, &called);
    expect_all_done(all, n);
    meet_wait(&called, added, LIMIT_MS);
    for (size_t i = 0; i < n; i++)
        CHECK(ipc_future_free(all[i]), 0);
}

/* ---- maps ---- */

static void fill_items(int64_t *items)
{
    for (int64_t i = 0; i < ITEMS; i++)
        items[i] = i;
}

static void expect_multiples(const int64_t *results, int64_t times)
{
    for (int64_t i = 0; i < ITEMS; i++)
        assert_int_equal(results[i], times * i);
}

static void map_array(ipc_pool *pool, const int64_t *items, int64_t *results)
{
    memset(results, 0, ITEMS * sizeof *results);
    if (DONE(ipc_pool_map(pool, double_it, items, sizeof *items, ITEMS, results,
                          sizeof *results, NULL)))
        expect_multiples(results, 2);
}

static void map_with_statuses(ipc_pool *pool, const int64_t *items)
{
    int32_t statuses[ITEMS];
    ipc_map_options options = IPC_MAP_OPTIONS_INIT;
    options.statuses = statuses;
    options.chunk = 7;
    if (!DONE(ipc_pool_map(pool, fail_politely, items, sizeof *items, ITEMS,
                           NULL, 0, &options)))
        return;
    for (size_t i = 0; i < ITEMS; i++)
        assert_true(statuses[i] == -EDOM || !done("item", statuses[i]));
}

static void map_pairs(ipc_pool *pool, const int64_t *items, int64_t *results)
{
    const ipc_map_array arrays[] = {{items, sizeof *items},
                                    {items, sizeof *items}};
    memset(results, 0, ITEMS * sizeof *results);
    if (DONE(ipc_pool_starmap(pool, add_two, arrays, 2, ITEMS, results,
                              sizeof *results, NULL)))
        expect_multiples(results, 2);
}

/* Which items have come, in which order. */
static void go_through(ipc_imap *imap, bool ordered)
{
    int64_t result = 0;
    size_t count = 0;
    int rc = 1;
    for (int failures = 0; rc != 0 && failures < 2 * ITEMS;) {
        (void)ipc__fail_plain(0);
        rc = ipc_imap_next(imap, &result, long_after());
        if (!done("next", rc)) {
            failures++;
        } else if (rc == 1) {
            const size_t index = ipc_imap_index(imap);
            assert_true(!ordered || index >= count);
            assert_int_equal(result, 2 * (int64_t)index);
            count++;
        }
    }
    assert_int_equal(rc, 0);
    assert_true(count == ITEMS || now->expected != NULL);
}

static void go_through_both(ipc_pool *pool, const int64_t *items)
{
    const ipc_imap_source source = {
        .items = items, .item_bytes = sizeof *items, .count = ITEMS};
    ipc_imap *imap;
    if (DONE(ipc_pool_imap(pool, double_it, &source, sizeof *items, NULL,
                           &imap))) {
        go_through(imap, true);
        ipc_imap_end(imap);
    }
    if (DONE(ipc_pool_imap_unordered(pool, double_it, &source, sizeof *items,
                                     NULL, &imap))) {
        go_through(imap, false);
        ipc_imap_end(imap);
    }
}

static void map_family_memory(ipc_pool *pool, const int64_t *items)
{
    int64_t *memory = ipc_shared_alloc((size_t)2 * ITEMS * sizeof *memory);
    if (memory == NULL) {
        (void)done("ipc_shared_alloc", -ENOMEM);
        return;
    }
    fill_items(memory);
    map_array(pool, memory, memory + ITEMS);
    map_array(pool, items, memory + ITEMS);
    CHECK(ipc_shared_free(memory), 0);
}

static void use_maps(ipc_pool *pool)
{
    int64_t items[ITEMS];
    int64_t results[ITEMS];
    fill_items(items);
    map_array(pool, items, results);
    map_family_memory(pool, items);
    map_with_statuses(pool, items);
    map_pairs(pool, items, results);
    go_through_both(pool, items);
}

/* ---- the workers ---- */

static void use_workers(ipc_pool *pool)
{
    ipc_worker_info workers[8];
    ipc_pool_stats stats = IPC_POOL_STATS_INIT;
    (void)DONE(ipc_pool_resize(pool, 3));
    run_doubles(pool);
    (void)DONE(ipc_pool_resize(pool, 1));
    run_doubles(pool);
    assert_true(ipc_pool_workers(pool, workers, 8) <= 8);
    if (DONE(ipc_pool_query(pool, &stats)))
        assert_true(!stats.shut_down);
}

enum pool_end {
    BY_FREE,
    BY_SHUTDOWN,
    BY_TERMINATE,
    BY_KILL
};

static void end_pool(ipc_pool *pool, enum pool_end end)
{
    if (end == BY_SHUTDOWN)
        (void)DONE(ipc_pool_shutdown_until(pool, false, long_after()));
    else if (end == BY_TERMINATE)
        (void)DONE(ipc_pool_terminate(pool));
    else if (end == BY_KILL)
        (void)DONE(ipc_pool_kill(pool));
    CHECK(ipc_pool_free(pool), 0);
}

/* For all of them together: one that does not work costs no more. */
static void use_pool(uint32_t kind, uint32_t method, enum pool_end end)
{
    const ipc_pool_options options = {.size = sizeof options,
                                      .kind = kind,
                                      .workers = 2,
                                      .start_method = method,
                                      .max_deaths = 4,
                                      .grace_ns = (int64_t)20 * 1000 * 1000};
    ipc_pool *pool;
    if (!DONE(ipc_pool_new(&options, &pool)))
        return;
    run_doubles(pool);
    run_copies(pool);
    run_failing(pool);
    run_many(pool);
    use_maps(pool);
    use_workers(pool);
    end_pool(pool, end);
}

static void use_pools(void)
{
    use_futures();
    use_pool(IPC_POOL_PROCESSES, IPC_START_FORK, BY_SHUTDOWN);
    use_pool(IPC_POOL_PROCESSES, IPC_START_FORK, BY_KILL);
    if (!now->no_threads)
        use_pool(IPC_POOL_THREADS, IPC_START_FORK, BY_FREE);
}

#endif
