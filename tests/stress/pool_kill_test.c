/* Workers of pools are killed at random, and otherwise: exactly what they were
 * running fails, or is run again; the pool returns to strength; nothing is
 * kept. */
#include "stress/pool_kill_support.h"

/* See expect_only_begun_ones_died(). */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum {
    KILLS_A_CLAIM = 15
};
#else
enum {
    KILLS_A_CLAIM = 50
};
#endif

/* ---- T34: random kills under load ---- */

struct load {
    ipc_pool *pool;
    struct task_note *notes;
    ipc_future **futures;
    long tasks;
    uint32_t retries;
    struct test_random random;
    long kills;
    long ok, died, wrong, twice;
    long claimed; /* died, and was not begun */
};

static void submit_numbered(const struct load *load, long number)
{
    const struct numbered arg = {load->notes, number};
    ipc_task_options options = IPC_TASK_OPTIONS_INIT;
    options.retries = load->retries;
    expect_rc(ipc_pool_submit_with(load->pool, &options, note_and_add, &arg,
                                   sizeof arg, sizeof(long),
                                   &load->futures[number]),
              0);
}

static void submit_and_kill(struct load *load, long kills)
{
    const long each = load->tasks / (kills + kills / 5);
    for (long i = 0; i < load->tasks; i++) {
        submit_numbered(load, i);
        if (i % each != 0)
            continue;
        for (int tries = 0; tries < 20; tries++)
            if (kill_one(load->pool, &load->random)) {
                load->kills++;
                break;
            }
        (void)usleep((unsigned)test_random_between(&load->random, 0, 2000));
    }
}

static void expect_killed(ipc_future *future)
{
    ipc_exception e = IPC_EXCEPTION_INIT;
    expect_rc(ipc_future_exception(future, &e, IPC_TIME_NOW), 0);
    assert_int_equal(e.kind, IPC_EXCEPTION_DIED);
    assert_int_equal(e.status, -EOWNERDEAD);
    assert_int_equal(e.signal, SIGKILL);
    assert_true(e.attempts >= 1 && e.pid > 0);
}

static void collect(struct load *load)
{
    const ipc_deadline deadline = ipc_after_ms(3L * LIMIT_MS);
    for (long i = 0; i < load->tasks; i++) {
        const struct task_note *note = &load->notes[i];
        long result = 0;
        const int rc = ipc_future_result_until(load->futures[i], &result,
                                               sizeof result, NULL, deadline);
        if (rc == -ETIMEDOUT)
            test_fail("task %ld hangs", i);
        load->ok += rc == 0;
        load->died += rc == -EOWNERDEAD;
        load->wrong += (rc != 0 && rc != -EOWNERDEAD) ||
                       (rc == 0 && (result != i + 1 || note->ends < 1));
        load->twice += note->runs > 1 || (rc == 0 && note->runs < 1);
        load->claimed += rc == -EOWNERDEAD && note->runs == 0;
        if (rc == -EOWNERDEAD)
            expect_killed(load->futures[i]);
        expect_rc(ipc_future_free(load->futures[i]), 0);
    }
}

static void begin_load(struct load *load, const ipc_pool_options *options,
                       long tasks)
{
    load->tasks = tasks;
    load->random.state = test_seed();
    load->notes = family_memory((size_t)tasks * sizeof *load->notes);
    load->futures = calloc((size_t)tasks, sizeof(ipc_future *));
    assert_non_null(load->futures);
    load->pool = new_pool(options);
}

static void end_load(struct load *load)
{
    expect_healthy(load->pool);
    const ipc_pool_stats stats = stats_of(load->pool);
    test_report("kills", load->kills);
    test_report("ok", load->ok);
    test_report("died", load->died);
    test_report("claimed", load->claimed);
    test_report("wrong", load->wrong);
    test_report("respawned", (long long)stats.respawned);
    assert_int_equal(stats.futures, 0);
    assert_int_equal(stats.pending, 0);
    assert_int_equal(stats.running, 0);
    assert_false(stats.broken);
    const int64_t from = test_now_ns();
    expect_rc(ipc_pool_free(load->pool), 0);
    test_report("end_ms", (test_now_ns() - from) / NS_PER_MS);
    expect_rc(ipc_shared_free(load->notes), 0);
    free((void *)load->futures);
}

/* 500 kills, in a quick run 100: it has 600 tries, but a worker that is just
 * being started, or was killed before, is passed over. */
static void expect_enough_kills(const struct load *load)
{
    assert_true(load->kills >= (test_scale() > 1 ? 500 : 100));
}

/* What died was begun; but for tasks whose worker was killed between the moment
 * it made them its own, from which on they may have been begun and nobody can
 * know, and the first instruction of their function.  That is less than a
 * microsecond, and of a new worker some page faults, of a task of 15 on average
 * and of idle time: about one kill in 300 is seen to hit it, one in 100 where a
 * sanitizer makes all of that longer. */
static void expect_only_begun_ones_died(const struct load *load)
{
    assert_true(load->claimed <= load->kills / KILLS_A_CLAIM + 2);
    assert_true(load->claimed < load->died);
}

static void t34_only_what_they_were_running_fails(void)
{
    const ipc_shared_info before = memory_now();
    const ipc_pool_options options = tough_options(8);
    struct load load = {.retries = 0};
    begin_load(&load, &options, 10000 * test_scale());
    submit_and_kill(&load, 500 * test_scale());
    collect(&load);
    assert_int_equal(load.wrong, 0);
    assert_int_equal(load.twice, 0);
    assert_true(load.died <= load.kills);
    assert_true(load.died > 0);
    expect_enough_kills(&load);
    expect_only_begun_ones_died(&load);
    end_load(&load);
    expect_no_more(&before);
}

static void t34_with_retries_all_complete(void)
{
    const ipc_shared_info before = memory_now();
    const ipc_pool_options options = tough_options(8);
    struct load load = {.retries = 5};
    begin_load(&load, &options, 10000 * test_scale());
    submit_and_kill(&load, 500 * test_scale());
    collect(&load);
    assert_int_equal(load.wrong, 0);
    assert_int_equal(load.died, 0);
    assert_int_equal(load.ok, load.tasks);
    expect_enough_kills(&load);
    test_report("retried", (long long)stats_of(load.pool).retried);
    end_load(&load);
    expect_no_more(&before);
}

/* ---- T35: all that are idle ---- */

static void t35_the_next_submit_completes(void)
{
    const ipc_shared_info before = memory_now();
    const ipc_pool_options options = tough_options(4);
    ipc_pool *pool = new_pool(&options);
    int64_t longest = 0;
    for (long round = 0; round < 20 * test_scale(); round++) {
        ipc_worker_info info[8];
        expect_healthy(pool);
        wait_for(stats_of(pool).idle == 4 && stats_of(pool).workers == 4);
        const size_t n = ipc_pool_workers(pool, info, 8);
        for (size_t i = 0; i < n; i++)
            if (info[i].pid > 0)
                (void)kill(info[i].pid, SIGKILL);
        const int64_t from = test_now_ns();
        expect_healthy(pool);
        const int64_t took = test_now_ns() - from;
        longest = took > longest ? took : longest;
    }
    test_report("longest_us", longest / 1000);
    assert_true(longest < 2000 * NS_PER_MS);
    assert_int_equal(stats_of(pool).failed, 0); /* they had nothing to lose */
    assert_int_equal(stats_of(pool).retried, 0);
    expect_rc(ipc_pool_free(pool), 0);
    expect_no_more(&before);
}

/* ---- T37: a task that always kills its worker ---- */

static void t37_three_attempts_and_no_more(void)
{
    const ipc_shared_info before = memory_now();
    const ipc_pool_options options = tough_options(2);
    ipc_task_options task = IPC_TASK_OPTIONS_INIT;
    ipc_exception e = IPC_EXCEPTION_INIT;
    ipc_pool *pool = new_pool(&options);
    ipc_future *future;
    task.retries = 10;
    const int64_t from = test_now_ns();
    expect_rc(
        ipc_pool_submit_with(pool, &task, kill_own_worker, NULL, 0, 0, &future),
        0);
    expect_rc(
        ipc_future_result_until(future, NULL, 0, NULL, ipc_after_ms(LIMIT_MS)),
        -EOWNERDEAD);
    test_report("ms", (test_now_ns() - from) / NS_PER_MS);
    expect_rc(ipc_future_exception(future, &e, IPC_TIME_NOW), 0);
    assert_int_equal(e.attempts, 3);
    assert_int_equal(e.signal, SIGKILL);
    expect_rc(ipc_future_free(future), 0);
    expect_healthy(pool);
    wait_for(stats_of(pool).idle == 2);
    (void)usleep(50000); /* a loop would be seen by now */
    assert_int_equal(stats_of(pool).respawned, 3);
    assert_int_equal(stats_of(pool).retried, 2);
    assert_int_equal(stats_of(pool).workers, 2);
    expect_rc(ipc_pool_free(pool), 0);
    expect_no_more(&before);
}

/* ---- T39: a large result, half written ---- */

#define LARGE ((size_t)100 << 20)

static int write_large(const void *arg, void *result, ipc_task *task)
{
    uint32_t *half = *(uint32_t *const *)arg;
    char *bytes;
    (void)result;
    if (ipc_task_reserve(task, LARGE, (void **)&bytes) != 0)
        return -ENOMEM;
    memset(bytes, 1, LARGE / 2);
    meet_signal(half);
    for (size_t at = LARGE / 2; at < LARGE; at += 4096) {
        bytes[at] = 1;
        (void)usleep(1000);
    }
    return 0;
}

static void t39_a_half_written_result(void)
{
    const ipc_shared_info before = memory_now();
    const ipc_pool_options options = tough_options(2);
    uint32_t *half = family_memory(64);
    ipc_pool *pool = new_pool(&options);
    expect_healthy(pool);
    const ipc_shared_info with_pool = memory_now();
    for (long round = 0; round < 2 * test_scale(); round++) {
        ipc_worker_info info[4];
        ipc_future *future;
        *half = 0;
        expect_rc(
            ipc_pool_submit(pool, write_large, &half, sizeof half, 0, &future),
            0);
        meet_wait(half, 1, 3 * LIMIT_MS);
        expect_healthy(pool); /* by the other one */
        const size_t n = ipc_pool_workers(pool, info, 4);
        for (size_t i = 0; i < n; i++)
            if (info[i].fn == write_large)
                assert_return_code(kill(info[i].pid, SIGKILL), errno);
        const int64_t from = test_now_ns();
        expect_healthy(pool);
        expect_rc(ipc_future_result_until(future, NULL, 0, NULL,
                                          ipc_after_ms(LIMIT_MS)),
                  -EOWNERDEAD);
        test_report("ms", (test_now_ns() - from) / NS_PER_MS);
        expect_rc(ipc_future_free(future), 0);
        expect_no_more(&with_pool);
    }
    expect_rc(ipc_pool_free(pool), 0);
    expect_rc(ipc_shared_free(half), 0);
    expect_no_more(&before);
}

/* ---- too many deaths ---- */

static void too_many_deaths_break_it_loudly(void)
{
    enum {
        DEATHS = 5,
        PENDING = 20
    };
    const ipc_shared_info before = memory_now();
    ipc_pool_options options = tough_options(1);
    ipc_future *futures[DEATHS + PENDING];
    long n = 0;
    options.max_pending = 100; /* so that one is taken at a time, in order */
    options.max_deaths = DEATHS;
    options.deaths_ns = 60000 * NS_PER_MS;
    ipc_pool *pool = new_pool(&options);
    expect_rc(ipc_pool_submit(pool, kill_own_worker, NULL, 0, 0, &futures[0]),
              0);
    for (int i = 1; i < DEATHS + PENDING; i++)
        expect_rc(ipc_pool_submit(pool, i < DEATHS ? kill_own_worker : add_one,
                                  &n, sizeof n, sizeof n, &futures[i]),
                  0);
    for (int i = 0; i < DEATHS + PENDING; i++) {
        ipc_exception e = IPC_EXCEPTION_INIT;
        expect_rc(ipc_future_exception(futures[i], &e, ipc_after_ms(LIMIT_MS)),
                  0);
        assert_int_equal(e.kind, i < DEATHS ? IPC_EXCEPTION_DIED
                                            : IPC_EXCEPTION_BROKEN);
        assert_int_equal(e.status, i < DEATHS ? -EOWNERDEAD : -ENOTRECOVERABLE);
        expect_rc(ipc_future_free(futures[i]), 0);
    }
    ipc_future *future;
    expect_rc(ipc_pool_submit(pool, add_one, &n, sizeof n, sizeof n, &future),
              -ENOTRECOVERABLE);
    assert_non_null(strstr(ipc_error_detail(), "broken"));
    assert_true(stats_of(pool).broken);
    assert_int_equal(stats_of(pool).respawned, DEATHS - 1);
    expect_rc(ipc_pool_free(pool), 0);
    expect_no_more(&before);
}

/* ---- tasks that wait for tasks ---- */

static int fib(const void *arg, void *result, ipc_task *task)
{
    const long n = *(const long *)arg;
    const long less[] = {n - 1, n - 2};
    ipc_future *futures[2] = {NULL, NULL};
    long results[2] = {0, 0};
    int rc = 0;
    burn(500);
    if (n < 2) {
        *(long *)result = n;
        return 0;
    }
    for (int i = 0; i < 2 && rc == 0; i++)
        rc = ipc_pool_submit(ipc_task_pool(task), fib, &less[i], sizeof(long),
                             sizeof(long), &futures[i]);
    for (int i = 0; i < 2 && rc == 0; i++)
        rc = ipc_future_result(futures[i], &results[i], sizeof(long), NULL);
    for (int i = 0; i < 2; i++)
        (void)ipc_future_free(futures[i]);
    *(long *)result = results[0] + results[1];
    return rc;
}

static void nested_ones(void)
{
    const ipc_shared_info before = memory_now();
    const ipc_pool_options options = tough_options(4);
    struct test_random random = {test_seed()};
    ipc_pool *pool = new_pool(&options);
    long ok = 0;
    long died = 0;
    long kills = 0;
    for (long round = 0; round < 100 * test_scale(); round++) {
        ipc_future *future;
        const long n = 14;
        long result = 0;
        expect_rc(ipc_pool_submit(pool, fib, &n, sizeof n, sizeof n, &future),
                  0);
        while (ipc_future_wait_until(
                   future, ipc_after_ns(1000 * test_random_between(&random, 20,
                                                                   1500))) != 0)
            kills += kill_one(pool, &random);
        const int rc =
            ipc_future_result_nowait(future, &result, sizeof result, NULL);
        if (rc != -EOWNERDEAD && (rc != 0 || result != 377))
            test_fail("%d, %ld: %s", rc, result, ipc_error_detail());
        ok += rc == 0;
        died += rc == -EOWNERDEAD;
        expect_rc(ipc_future_free(future), 0);
    }
    wait_for(stats_of(pool).futures == 0 && stats_of(pool).pending == 0 &&
             stats_of(pool).running == 0);
    test_report("ok", ok);
    test_report("died", died);
    test_report("kills", kills);
    expect_healthy(pool);
    expect_rc(ipc_pool_free(pool), 0);
    expect_no_more(&before);
}

/* ---- all at once ---- */

static void cancel_some(struct load *load, long first, long count)
{
    for (int i = 0; i < 4; i++) {
        ipc_future *future = load->futures[test_random_between(
            &load->random, first, first + count - 1)];
        if (test_random_between(&load->random, 0, 1) == 0)
            (void)ipc_future_cancel(future);
        else
            (void)ipc_future_terminate(future, NS_PER_MS);
    }
}

static void collect_some(struct load *load, long first, long count)
{
    for (long i = first; i < first + count; i++) {
        const struct task_note *note = &load->notes[i];
        long result = 0;
        const int rc =
            ipc_future_result_until(load->futures[i], &result, sizeof result,
                                    NULL, ipc_after_ms(LIMIT_MS));
        load->ok += rc == 0;
        load->died += rc == -EOWNERDEAD;
        if (rc == -ETIMEDOUT)
            test_fail("task %ld hangs", i);
        load->wrong += rc != 0 && rc != -EOWNERDEAD && rc != -ECANCELED;
        load->wrong += rc == 0 && (result != i + 1 || note->runs != 1);
        load->twice += note->runs > 1;
        expect_rc(ipc_future_free(load->futures[i]), 0);
    }
}

/* Workers come and go for every reason there is. */
static void a_lively_pool(void)
{
    enum {
        BATCH = 25
    };
    const ipc_shared_info before = memory_now();
    ipc_pool_options options = tough_options(4);
    struct load load = {.retries = 0};
    const long rounds = 200 * test_scale();
    options.max_tasks_per_worker = 20;
    options.idle_ns = 2 * NS_PER_MS;
    options.min_workers = 1;
    options.grace_ns = NS_PER_MS;
    begin_load(&load, &options, rounds * BATCH);
    for (long round = 0; round < rounds; round++) {
        const long first = round * BATCH;
        for (long i = first; i < first + BATCH; i++)
            submit_numbered(&load, i);
        if (round % 4 == 0)
            expect_rc(ipc_pool_resize(load.pool, (uint32_t)test_random_between(
                                                     &load.random, 1, 6)),
                      0);
        if (round % 3 == 0)
            cancel_some(&load, first, BATCH);
        load.kills += kill_one(load.pool, &load.random);
        collect_some(&load, first, BATCH);
        if (round % 16 == 0)
            (void)usleep(5000); /* some leave */
    }
    assert_int_equal(load.wrong, 0);
    assert_int_equal(load.twice, 0);
    end_load(&load);
    expect_no_more(&before);
}

/* ---- while it ends ---- */

static void end_in_a_hail(long round)
{
    const ipc_pool_options options = tough_options(4);
    struct load load = {.retries = round % 2 == 0 ? 0 : 2};
    begin_load(&load, &options, 400);
    for (long i = 0; i < load.tasks; i++)
        submit_numbered(&load, i);
    for (int i = 0; i < 5; i++)
        load.kills += kill_one(load.pool, &load.random);
    if (round % 4 == 0)
        expect_rc(ipc_pool_terminate(load.pool), 0);
    else if (round % 4 == 1)
        expect_rc(ipc_pool_kill(load.pool), 0);
    else
        expect_rc(ipc_pool_shutdown(load.pool, true, round % 4 == 2), 0);
    for (long i = 0; i < load.tasks; i++) {
        const int rc = ipc_future_wait_nowait(load.futures[i]);
        long result;
        if (rc != 0)
            test_fail("task %ld of round %ld: %d", i, round, rc);
        load.ok += ipc_future_result_nowait(load.futures[i], &result,
                                            sizeof result, NULL) == 0;
        expect_rc(ipc_future_free(load.futures[i]), 0);
    }
    if (round % 4 == 3 && load.retries == 0)
        assert_true(load.ok >= load.tasks - load.kills);
    assert_int_equal(stats_of(load.pool).futures, 0);
    expect_rc(ipc_pool_free(load.pool), 0);
    expect_rc(ipc_shared_free(load.notes), 0);
    free((void *)load.futures);
}

static void kills_while_it_ends(void)
{
    const ipc_shared_info before = memory_now();
    for (long round = 0; round < 24 * test_scale(); round++)
        end_in_a_hail(round);
    expect_no_more(&before);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t34_only_what_they_were_running_fails, 60),
    TEST_CASE_LIMIT(t34_with_retries_all_complete, 60),
    TEST_CASE_LIMIT(t35_the_next_submit_completes, 60),
    TEST_CASE_LIMIT(t37_three_attempts_and_no_more, 30),
    TEST_CASE_LIMIT(t39_a_half_written_result, 60),
    TEST_CASE_LIMIT(too_many_deaths_break_it_loudly, 30),
    TEST_CASE_LIMIT(nested_ones, 60),
    TEST_CASE_LIMIT(a_lively_pool, 60),
    TEST_CASE_LIMIT(kills_while_it_ends, 60),
};
TEST_MAIN(cases)
