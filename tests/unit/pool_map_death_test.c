/* Maps whose workers die, whose time is up, and how far they are. */
#include "harness/harness.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
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

static int64_t results[N];
static int32_t statuses[N];
static uint32_t *shared; /* words of a case */

/* A word: how often something was done. */
static uint32_t count_one(uint32_t *word)
{
    return __atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
}

static uint32_t count_of(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

/* ---- death ---- */

static int die_at_500(const void *arg, void *result, ipc_task *task)
{
    const size_t i = ipc_task_index(task);
    (void)arg;
    if (i == 500)
        kill(getpid(), SIGKILL);
    *(size_t *)result = i + 1;
    return 0;
}

static void a_killed_worker_fails_its_item(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    expect_rc(ipc_pool_map(pool, die_at_500, NULL, 0, N, results,
                           sizeof results[0], NULL),
              -EOWNERDEAD);
    expect_detail("item 500 of 1000: its worker, pid ");
    expect_detail("was killed by SIGKILL");
    free_pool(pool);
}

/* In private memory and in the family's. */
static void lose_one_item(int64_t *to)
{
    static const uint32_t chunks[] = {0, 1, 300, 1000};
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    for (size_t c = 0; c < 4; c++) {
        ipc_map_options options = with_chunk(chunks[c]);
        options.statuses = statuses;
        memset(to, 0, N * sizeof *to);
        expect_rc(ipc_pool_map(pool, die_at_500, NULL, 0, N, to, sizeof *to,
                               &options),
                  0);
        for (int i = 0; i < N; i++) {
            assert_int_equal(statuses[i], i == 500 ? -EOWNERDEAD : 0);
            if (i != 500)
                assert_int_equal(to[i], i + 1);
        }
    }
    free_pool(pool);
}

static void with_statuses_a_killed_worker_costs_one_item(void)
{
    lose_one_item(results);
    int64_t *to = ipc_shared_alloc(N * sizeof *to);
    lose_one_item(to);
    ipc_shared_free(to);
}

static int exit_at_5(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    if (ipc_task_index(task) == 5)
        _exit(17);
    return 0;
}

static void a_worker_that_exits_fails_its_item(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    expect_rc(ipc_pool_map(pool, exit_at_5, NULL, 0, 10, NULL, 0, NULL),
              -EOWNERDEAD);
    expect_detail("item 5 of 10: its worker, pid ");
    expect_detail("ended with exit code 17");
    free_pool(pool);
}

/* shared[i]: how often item i was begun. */
static int die_at_first(const void *arg, void *result, ipc_task *task)
{
    const size_t i = ipc_task_index(task);
    const uint32_t attempt = count_one(&shared[i]);
    (void)arg;
    if (ipc_task_attempt(task) != attempt)
        return -EPROTO;
    if (i % 30 == 7 && attempt == 1)
        kill(getpid(), SIGKILL);
    *(size_t *)result = i * 2;
    return 0;
}

static void expect_retried(const ipc_pool *pool, uint64_t items)
{
    ipc_pool_stats stats = IPC_POOL_STATS_INIT;
    expect_rc(ipc_pool_query(pool, &stats), 0);
    assert_int_equal(stats.retried, items);
}

static void with_retries_items_are_run_again(void)
{
    enum {
        COUNT = 90
    };
    shared = test_shared(COUNT * sizeof *shared);
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    ipc_map_options options = with_chunk(20);
    options.retries = 1;
    expect_rc(ipc_pool_map(pool, die_at_first, NULL, 0, COUNT, results,
                           sizeof results[0], &options),
              0);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(results[i], i * 2);
        assert_int_equal(shared[i], i % 30 == 7 ? 2 : 1);
    }
    expect_retried(pool, 3);
    free_pool(pool);
}

static int die_always_at_3(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    if (ipc_task_index(task) == 3) {
        count_one(&shared[0]);
        kill(getpid(), SIGKILL);
    }
    return 0;
}

static void an_item_that_has_killed_three_workers_fails(void)
{
    shared = test_shared(sizeof *shared);
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    ipc_map_options options = with_chunk(4);
    options.retries = 1000;
    expect_rc(
        ipc_pool_map(pool, die_always_at_3, NULL, 0, 12, NULL, 0, &options),
        -EOWNERDEAD);
    assert_int_equal(count_of(&shared[0]), 3);
    expect_retried(pool, 2);
    free_pool(pool);
}

/* Workers are killed from outside, one after the other. */
static void *kill_some(void *arg)
{
    ipc_pool *pool = arg;
    for (int n = 0; n < 20; n++) {
        ipc_worker_info info[2];
        memset(info, 0, sizeof info);
        (void)ipc_pool_workers(pool, info, 2);
        const int32_t pid = info[n % 2].pid;
        if (pid > 0 && info[n % 2].tid != 0)
            kill(pid, SIGKILL);
        ipc_sleep_until(ipc_after_ms(10));
    }
    __atomic_store_n(&shared[0], 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static int spin(const void *arg, void *result, ipc_task *task)
{
    const ipc_deadline until = ipc_after_us(50);
    (void)arg;
    while (ipc_time_left(until) > 0)
        continue;
    *(size_t *)result = ipc_task_index(task) + 1;
    return 0;
}

static void random_kills_cost_nothing_with_retries(void)
{
    shared = test_shared(sizeof *shared);
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    ipc_map_options options = with_chunk(0);
    pthread_t killer;
    int maps = 0;
    options.retries = 2;
    assert_int_equal(pthread_create(&killer, NULL, kill_some, pool), 0);
    while (count_of(&shared[0]) == 0) {
        memset(results, 0, sizeof results);
        expect_rc(ipc_pool_map(pool, spin, NULL, 0, N, results,
                               sizeof results[0], &options),
                  0);
        for (int i = 0; i < N; i++)
            assert_int_equal(results[i], i + 1);
        maps++;
    }
    assert_int_equal(pthread_join(killer, NULL), 0);
    test_report("maps", maps);
    free_pool(pool);
}

/* ---- the maker of a map dies ---- */

static int count_and_wait(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    (void)task;
    count_one(&shared[1]);
    meet_signal(&shared[0]);
    meet_wait(&shared[2], 1, 20000);
    return 0;
}

static void map_and_never_return(void *arg)
{
    const ipc_map_options options = with_chunk(1);
    expect_rc(
        ipc_pool_map(arg, count_and_wait, NULL, 0, 500, NULL, 0, &options), 0);
}

static void futures_become(const ipc_pool *pool, uint32_t at_most)
{
    ipc_pool_stats stats = IPC_POOL_STATS_INIT;
    const int64_t began = test_now_ns();
    do {
        poll_pause();
        assert_int_equal(ipc_pool_query(pool, &stats), 0);
    } while (stats.futures > at_most && test_now_ns() - began < 10000000000);
    assert_true(stats.futures <= at_most);
}

static void a_map_of_a_killed_process_is_cancelled(void)
{
    shared = test_shared(3 * sizeof *shared);
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    struct role role;
    role_start(&role, map_and_never_return, pool);
    meet_wait(&shared[0], 2, 20000);
    role_kill(&role);
    futures_become(pool, 2); /* that run */
    meet_signal(&shared[2]);
    futures_become(pool, 0);
    assert_true(count_of(&shared[1]) < 500);
    free_pool(pool);
}

/* ---- time ---- */

static int hang_at_40(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    while (ipc_task_index(task) == 40 && !ipc_task_is_cancelled(task))
        poll_pause();
    *(size_t *)result = ipc_task_index(task) + 1;
    return ipc_task_index(task) == 40 ? -ECANCELED : 0;
}

static void hang_in_map(ipc_pool *pool)
{
    ipc_map_options options = with_chunk(10);
    options.deadline = ipc_after_ms(50);
    expect_rc(ipc_pool_map(pool, hang_at_40, NULL, 0, 100, results,
                           sizeof results[0], &options),
              -ETIMEDOUT);
    expect_detail(" of 100 items were done");
    expect_rc(ipc_pool_map(pool, spin, NULL, 0, 100, results, sizeof results[0],
                           NULL),
              0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(results[i], i + 1);
}

static void a_map_has_a_deadline(void)
{
    with_both(hang_in_map);
}

static int hang_in_spite_of_sigterm(const void *arg, void *result,
                                    ipc_task *task)
{
    (void)arg;
    (void)result;
    (void)task;
    (void)signal(SIGTERM, SIG_IGN);
    meet_wait(&shared[0], 1, 20000);
    return 0;
}

/* Its items lie where workers see them: so they are waited for. */
static void the_deadline_of_a_map_has_no_grace(void)
{
    ipc_pool *pool;
    ipc_pool_options pool_options = IPC_POOL_OPTIONS_INIT;
    ipc_map_options options = with_chunk(1);
    int *items = ipc_shared_alloc(4 * sizeof *items);
    const int64_t began = test_now_ns();
    shared = test_shared(sizeof *shared);
    pool_options.workers = 2;
    pool_options.grace_ns = 3600 * INT64_C(1000000000);
    assert_int_equal(ipc_pool_new(&pool_options, &pool), 0);
    options.deadline = ipc_after_ms(50);
    expect_rc(ipc_pool_map(pool, hang_in_spite_of_sigterm, items, sizeof *items,
                           4, NULL, 0, &options),
              -ETIMEDOUT);
    test_report("ms", (test_now_ns() - began) / 1000000);
    assert_true(test_now_ns() - began < 10000000000);
    free_pool(pool);
    ipc_shared_free(items);
}

/* Thread pools work in private arrays: they are waited for. */
static void nobody_writes_after_the_deadline(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_THREADS, 2);
    for (int n = 0; n < 20; n++) {
        ipc_map_options options = with_chunk(1);
        options.deadline = ipc_after_us(200);
        const int rc = ipc_pool_map(pool, spin, NULL, 0, N, results,
                                    sizeof results[0], &options);
        memset(results, 0, sizeof results);
        assert_true(rc == 0 || rc == -ETIMEDOUT);
        expect_rc(ipc_pool_apply(pool, spin, NULL, 0, &statuses[0], 8), 0);
        for (int i = 0; i < N; i++)
            assert_int_equal(results[i], 0);
    }
    free_pool(pool);
}

static void time_of_item(ipc_pool *pool)
{
    ipc_map_options options = with_chunk(25);
    options.task_ns = 30000000;
    options.statuses = statuses;
    expect_rc(ipc_pool_map(pool, hang_at_40, NULL, 0, 100, results,
                           sizeof results[0], &options),
              0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(statuses[i], i == 40 ? -ETIME : 0);
        if (i != 40)
            assert_int_equal(results[i], i + 1);
    }
    options.statuses = NULL;
    expect_rc(ipc_pool_map(pool, hang_at_40, NULL, 0, 100, results,
                           sizeof results[0], &options),
              -ETIME);
    expect_detail("item 40 of 100: its time was up");
}

static void negative_times(ipc_pool *pool)
{
    const ipc_imap_source source = {.count = 1};
    ipc_map_options options = with_chunk(0);
    ipc_task_options task = IPC_TASK_OPTIONS_INIT;
    ipc_imap *imap;
    options.task_ns = -2;
    task.task_ns = INT64_MIN;
    expect_rc(ipc_pool_map(pool, spin, NULL, 0, 1, results, 8, &options),
              -EINVAL);
    expect_rc(ipc_pool_imap(pool, spin, &source, 8, &options, &imap), -EINVAL);
    expect_rc(ipc_pool_submit_with(pool, &task, spin, NULL, 0, 8, NULL),
              -EINVAL);
    options.task_ns = -1;
    expect_rc(ipc_pool_map(pool, spin, NULL, 0, 1, results, 8, &options), 0);
}

static void a_negative_time_is_for_ever_or_refused(void)
{
    with_both(negative_times);
}

static void an_item_has_its_own_time(void)
{
    with_both(time_of_item);
}

/* ---- figures ---- */

static int fail_at_odd(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    return ipc_task_index(task) % 2 == 1 ? -EIO : 0;
}

static void expect_figures(const ipc_pool *pool, uint64_t done, uint64_t failed)
{
    ipc_pool_stats stats = IPC_POOL_STATS_INIT;
    expect_rc(ipc_pool_query(pool, &stats), 0);
    assert_int_equal(stats.done, done);
    assert_int_equal(stats.failed, failed);
}

static void count_items(ipc_pool *pool)
{
    ipc_map_options options = with_chunk(0);
    options.statuses = statuses;
    expect_rc(ipc_pool_map(pool, fail_at_odd, NULL, 0, N, NULL, 0, &options),
              0);
    expect_figures(pool, N / 2, N / 2);
    expect_rc(ipc_pool_map(pool, spin, NULL, 0, 100, results, 8, NULL), 0);
    expect_figures(pool, N / 2 + 100, N / 2);
    expect_rc(ipc_pool_apply(pool, spin, NULL, 0, &results[0], 8), 0);
    expect_figures(pool, N / 2 + 101, N / 2);
    options.statuses = NULL; /* one part, and it ends at its item 1 */
    options.chunk = 10;
    expect_rc(ipc_pool_map(pool, fail_at_odd, NULL, 0, 10, NULL, 0, &options),
              -EIO);
    expect_figures(pool, N / 2 + 102, N / 2 + 1);
}

static void each_item_counts(void)
{
    with_both(count_items);
}

static int fail_or_die(const void *arg, void *result, ipc_task *task)
{
    return ipc_task_index(task) == 51 ? kill(getpid(), SIGKILL)
                                      : fail_at_odd(arg, result, task);
}

static void and_those_before_a_death(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    ipc_map_options options = with_chunk(100);
    options.statuses = statuses;
    expect_rc(ipc_pool_map(pool, fail_or_die, NULL, 0, 100, NULL, 0, &options),
              0);
    expect_figures(pool, 50, 50);
    free_pool(pool);
}

/* ---- progress ---- */

struct seen {
    size_t last;
    size_t calls;
    pthread_t thread;
};

static void note_progress(size_t done, size_t total, void *arg)
{
    struct seen *seen = arg;
    assert_int_equal(total, N);
    assert_true(done > seen->last && done <= total);
    assert_true(pthread_equal(pthread_self(), seen->thread));
    seen->last = done;
    seen->calls++;
}

static void have_progress(ipc_pool *pool)
{
    struct seen seen = {.thread = pthread_self()};
    ipc_map_options options = with_chunk(10);
    options.progress = note_progress;
    options.progress_arg = &seen;
    expect_rc(ipc_pool_map(pool, spin, NULL, 0, N, results, sizeof results[0],
                           &options),
              0);
    assert_int_equal(seen.last, N);
    assert_true(seen.calls <= N);
}

static void progress_rises_to_the_total(void)
{
    with_both(have_progress);
}

static int wait_for_word(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    if (ipc_task_index(task) == 50)
        meet_wait(&shared[0], 1, 20000);
    return 0;
}

/* Item 50 of one part waits until the caller has been told of it. */
static void let_it_go_on(size_t done, size_t total, void *arg)
{
    (void)total;
    (void)arg;
    if (done == 50)
        meet_signal(&shared[0]);
}

static void progress_within_a_part(ipc_pool *pool)
{
    ipc_map_options options = with_chunk(100);
    options.progress = let_it_go_on;
    shared[0] = 0;
    expect_rc(
        ipc_pool_map(pool, wait_for_word, NULL, 0, 100, NULL, 0, &options), 0);
}

static void progress_is_told_while_a_part_runs(void)
{
    shared = test_shared(sizeof *shared);
    with_both(progress_within_a_part);
}

static const struct test_case cases[] = {
    TEST_CASE(a_killed_worker_fails_its_item),
    TEST_CASE(with_statuses_a_killed_worker_costs_one_item),
    TEST_CASE(a_worker_that_exits_fails_its_item),
    TEST_CASE(with_retries_items_are_run_again),
    TEST_CASE(an_item_that_has_killed_three_workers_fails),
    TEST_CASE(random_kills_cost_nothing_with_retries),
    TEST_CASE(a_map_of_a_killed_process_is_cancelled),
    TEST_CASE(a_map_has_a_deadline),
    TEST_CASE(the_deadline_of_a_map_has_no_grace),
    TEST_CASE(nobody_writes_after_the_deadline),
    TEST_CASE(an_item_has_its_own_time),
    TEST_CASE(a_negative_time_is_for_ever_or_refused),
    TEST_CASE(each_item_counts),
    TEST_CASE(and_those_before_a_death),
    TEST_CASE(progress_rises_to_the_total),
    TEST_CASE(progress_is_told_while_a_part_runs),
};
TEST_MAIN(cases)
