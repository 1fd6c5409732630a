/* Others than workers are killed: who made the pool, who submits to it, the
 * template that its workers come from.  And forks while threads submit. */
#include "harness/kills.h"
#include "stress/pool_kill_support.h"

#include <pthread.h>

#include <ipc/process.h>

#include "base/atomic.h"

IPC_ENTRY(add_one);

/* ---- T36: the maker ---- */

enum {
    CREW = 4
};

static struct {
    uint32_t ready;
    uint32_t running;
    int32_t pids[CREW];
} * stage;

static int run_for_ever(const void *arg, void *result, ipc_task *task)
{
    (void)arg, (void)result, (void)task;
    meet_signal(&stage->running);
    do
        burn(LOOPS);
    while (__atomic_load_n(&stage->running, __ATOMIC_RELAXED) != UINT32_MAX);
    return 0;
}

static void make_and_pause(void *arg)
{
    const ipc_pool_options options = tough_options(CREW);
    const long busy = *(const long *)arg;
    const long n = 1;
    ipc_worker_info info[CREW];
    ipc_pool *pool = new_pool(&options);
    expect_healthy(pool);
    for (long i = 0; i < busy; i++)
        expect_rc(ipc_pool_submit(pool, run_for_ever, NULL, 0, 0, NULL), 0);
    meet_wait(&stage->running, (uint32_t)busy, LIMIT_MS);
    for (int i = 0; busy == CREW && i < 100; i++)
        expect_rc(ipc_pool_submit(pool, add_one, &n, sizeof n, sizeof n, NULL),
                  0);
    wait_for(stats_of(pool).workers == CREW);
    assert_int_equal(ipc_pool_workers(pool, info, CREW), CREW);
    for (int i = 0; i < CREW; i++)
        stage->pids[i] = info[i].pid;
    meet_signal(&stage->ready);
    for (;;)
        (void)pause();
}

static void t36_workers_end_with_who_made_them(void)
{
    const int names = test_shm_names();
    int64_t longest = 0;
    stage = test_shared(sizeof *stage);
    for (long round = 0; round < 6 * test_scale(); round++) {
        long busy = round % 3 * (CREW / 2); /* none, some, all */
        struct role maker;
        memset(stage, 0, sizeof *stage);
        role_start(&maker, make_and_pause, &busy);
        meet_wait(&stage->ready, 1, LIMIT_MS);
        const int64_t from = test_now_ns();
        (void)role_kill(&maker);
        for (int i = 0; i < CREW; i++)
            while (!thread_ended(stage->pids[i])) {
                if (test_now_ns() - from > 1000 * NS_PER_MS)
                    test_fail("worker %d is an orphan", stage->pids[i]);
                poll_pause();
            }
        const int64_t took = test_now_ns() - from;
        longest = took > longest ? took : longest;
    }
    test_report("longest_ms", longest / NS_PER_MS);
    assert_int_equal(test_shm_names(), names);
}

/* ---- those who submit ---- */

enum {
    SUBMITTERS = 4,
    NUMBERS = 1 << 17,
    LONG_ARG = 304
};

static struct field {
    ipc_pool *pool;
    struct task_note *notes; /* SUBMITTERS * NUMBERS */
    uint32_t next[SUBMITTERS];
    uint8_t put[SUBMITTERS][NUMBERS]; /* submit has returned 0 */
    uint64_t wrong;
    uint64_t results;
} * field;

static int add_to_long(const void *arg, void *result, ipc_task *task)
{
    (void)task;
    *(long *)result = *(const long *)arg + 1;
    return 0;
}

static ipc_future *submit_long(long number)
{
    long arg[LONG_ARG / sizeof(long)] = {number};
    ipc_future *future;
    expect_rc(ipc_pool_submit(field->pool, add_to_long, arg, sizeof arg,
                              LONG_ARG, &future),
              0);
    return future;
}

static void submit_and_forget(int index)
{
    const uint32_t number = field->next[index];
    const struct numbered arg = {field->notes + (size_t)index * NUMBERS,
                                 number};
    if (number == NUMBERS)
        return;
    field->next[index] = number + 1; /* whatever becomes of it */
    expect_rc(ipc_pool_submit(field->pool, note_and_add, &arg, sizeof arg,
                              sizeof(long), NULL),
              0);
    field->put[index][number] = 1;
}

static void submit_and_collect(long number)
{
    long result[LONG_ARG / sizeof(long)];
    ipc_future *future = submit_long(number);
    if (ipc_future_result(future, result, sizeof result, NULL) != 0 ||
        result[0] != number + 1)
        add_relaxed(&field->wrong, 1);
    add_relaxed(&field->results, 1);
    expect_rc(ipc_future_free(future), 0);
}

static void submit_for_ever(void *ctx, int index)
{
    struct test_random random = {(uint64_t)getpid()};
    ipc_future *future;
    (void)ctx;
    while (kills_go_on()) {
        switch (test_random_between(&random, 0, 5)) {
        case 0:
            future = submit_long(1);
            (void)ipc_future_cancel(future);
            expect_rc(ipc_future_free(future), 0);
            break;
        case 1:
            expect_rc(ipc_future_free(submit_long(2)), 0);
            break;
        case 2:
            (void)submit_long(3); /* until this process ends */
            break;
        case 3:
            submit_and_collect(4);
            break;
        default:
            submit_and_forget(index);
        }
    }
}

static void check_field(void *ctx, struct kills_result *result)
{
    long put = 0;
    long lost = 0;
    long twice = 0;
    (void)ctx;
    (void)result;
    wait_for(stats_of(field->pool).futures == 0 &&
             stats_of(field->pool).pending == 0 &&
             stats_of(field->pool).running == 0);
    for (int i = 0; i < SUBMITTERS; i++)
        for (uint32_t k = 0; k < field->next[i]; k++) {
            const struct task_note *note =
                &field->notes[(size_t)i * NUMBERS + k];
            put += field->put[i][k];
            lost += field->put[i][k] != 0 && note->runs == 0;
            twice += note->runs > 1;
        }
    test_report("put", put);
    test_report("lost", lost);
    test_report("twice", twice);
    test_report("results", (long long)field->results);
    assert_true(put > 100);
    assert_int_equal(lost, 0);
    assert_int_equal(twice, 0);
    assert_int_equal(field->wrong, 0);
}

static void submitters_are_killed(void)
{
    const ipc_shared_info before = memory_now();
    ipc_pool_options options = tough_options(2);
    struct kills plan = {.workers = SUBMITTERS,
                         .work = submit_for_ever,
                         .check = check_field,
                         .kills = kills_for(400),
                         .stall_limit_ms = 5000};
    struct kills_result result;
    options.max_pending = 200;
    field = test_shared(sizeof *field);
    field->notes =
        family_memory((size_t)SUBMITTERS * NUMBERS * sizeof *field->notes);
    field->pool = new_pool(&options);
    kills_run(&plan, &result);
    kills_report(&result);
    assert_int_equal(result.wedges, 0);
    expect_healthy(field->pool);
    expect_rc(ipc_pool_free(field->pool), 0);
    expect_rc(ipc_shared_free(field->notes), 0);
    expect_no_more(&before);
}

/* More of them in a short time than a pool can tell apart. */
static void submit_and_die(void *arg)
{
    (void)arg;
    (void)submit_long(3);
    (void)kill(getpid(), SIGKILL);
}

static void many_submitters_one_by_one(void)
{
    const ipc_shared_info before = memory_now();
    const ipc_pool_options options = tough_options(2);
    const long deaths = 350 * test_scale();
    field = test_shared(sizeof *field);
    field->pool = new_pool(&options);
    for (long i = 0; i < deaths; i++)
        assert_int_equal(role_try(submit_and_die, NULL, LIMIT_MS),
                         ROLE_SIGNAL + SIGKILL);
    wait_for(stats_of(field->pool).futures == 0);
    test_report("deaths", deaths);
    expect_rc(ipc_pool_free(field->pool), 0);
    expect_no_more(&before);
}

/* ---- T38: the template ---- */

static void kill_workers(const ipc_pool *pool)
{
    ipc_worker_info info[CREW];
    const size_t n = ipc_pool_workers(pool, info, CREW);
    for (size_t i = 0; i < n; i++)
        if (info[i].pid > 0)
            (void)kill(info[i].pid, SIGKILL);
}

static void t38_the_template_is_killed(void)
{
    const ipc_shared_info before = memory_now();
    ipc_pool_options options = tough_options(2);
    struct test_random random = {test_seed()};
    const long rounds = 6 * test_scale();
    int64_t longest = 0;
    options.start_method = IPC_START_FORKSERVER;
    ipc_pool *pool = new_pool(&options);
    expect_healthy(pool);
    for (long round = 0; round < rounds; round++) {
        const int template = ipc_forkserver_pid();
        const int64_t from = test_now_ns();
        if (template > 0)
            assert_return_code(kill(template, SIGKILL), errno);
        expect_healthy(pool); /* those that are there go on */
        if (test_random_between(&random, 0, 1) == 0)
            (void)kill_one(pool, &random);
        else
            kill_workers(pool);
        expect_healthy(pool);
        wait_for(stats_of(pool).workers == 2);
        const int64_t took = test_now_ns() - from;
        longest = took > longest ? took : longest;
    }
    test_report("longest_ms", longest / NS_PER_MS);
    expect_rc(ipc_pool_free(pool), 0);
    expect_rc(ipc_forkserver_stop(), 0);
    /* Nobody knows whether the worker was born that a killed template was just
     * making: what told it how to begin stays. */
    const ipc_shared_info now = memory_now();
    test_report("left_behind", (long long)(now.count - before.count));
    assert_true(now.count - before.count <= (uint64_t)rounds);
}

/* ---- T42: forks while eight threads submit ---- */

static ipc_pool *common;
static uint32_t stop;

static void *keep_submitting(void *arg)
{
    uint64_t *count = arg;
    while (load_relaxed(&stop) == 0) {
        expect_healthy(common);
        ++*count;
    }
    return NULL;
}

/* A child: the pool of its parent, and one of its own. */
static void use_pools(void *arg)
{
    const long round = *(const long *)arg;
    ipc_pool_options options = tough_options(1);
    options.kind = round % 3 == 0 ? IPC_POOL_THREADS : IPC_POOL_PROCESSES;
    for (int i = 0; i < 5; i++)
        expect_healthy(common);
    if (round % 2 == 0)
        return;
    ipc_pool *own = new_pool(&options);
    expect_healthy(own);
    expect_rc(ipc_pool_free(own), 0);
}

/* 50 forks in a quick run, 10,000 at scale 200: whatever the eight hold at that
 * moment, the child can use both pools, and the pool goes on. */
static void t42_forks_while_eight_threads_submit(void)
{
    enum {
        THREADS = 8
    };
    const ipc_shared_info before = memory_now();
    const ipc_pool_options options = tough_options(2);
    pthread_t threads[THREADS];
    uint64_t counts[THREADS] = {0};
    uint64_t sum = 0;
    common = new_pool(&options);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, keep_submitting, &counts[i]), 0);
    const long forks = 50 * test_scale();
    for (long round = 0; round < forks; round++)
        assert_int_equal(role_try(use_pools, &round, LIMIT_MS), 0);
    store_relaxed(&stop, 1);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        sum += counts[i];
    }
    test_report("forks", forks);
    test_report("submitted", (long long)sum);
    wait_for(stats_of(common).futures == 0);
    expect_rc(ipc_pool_free(common), 0);
    expect_no_more(&before);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t36_workers_end_with_who_made_them, 60),
    TEST_CASE_LIMIT(submitters_are_killed, 60),
    TEST_CASE_LIMIT(many_submitters_one_by_one, 60),
    TEST_CASE_LIMIT(t38_the_template_is_killed, 60),
    TEST_CASE_LIMIT(t42_forks_while_eight_threads_submit, 60),
};

int main(int argc, char **argv)
{
    ipc_spawn_main(argc, argv);
    return test_run(cases, sizeof cases / sizeof cases[0], argc, argv);
}
