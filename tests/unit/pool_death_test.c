/* Workers that die: in a task, of all causes, and with nothing to do. */
#include "unit/pool_support.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "pool/maker.h"

/* ---- ways to die ---- */

enum way {
    BY_EXIT,
    BY_EXIT_0,
    BY_FAST_EXIT,
    BY_ABORT,
    BY_SIGSEGV,
    BY_SIGKILL,
    BY_SIGTERM,
    BY_REAL_TIME_SIGNAL,
    BY_PTHREAD_EXIT,
    BY_EXEC,
    BY_EXEC_AND_STAY,
    WAYS
};

static _Noreturn void die_this_way(int way)
{
    /* No core dumps, and no report by a sanitizer. */
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)signal(SIGSEGV, SIG_DFL);
    (void)signal(SIGABRT, SIG_DFL);
    switch (way) {
    case BY_EXIT:
        look_for_no_leaks();
        leave(3);
    case BY_EXIT_0:
        look_for_no_leaks();
        leave(0);
    case BY_FAST_EXIT:
        _exit(4);
    case BY_ABORT:
        abort();
    case BY_SIGSEGV:
        (void)raise(SIGSEGV);
        break;
    case BY_SIGKILL:
        (void)raise(SIGKILL);
        break;
    case BY_SIGTERM:
        (void)raise(SIGTERM);
        break;
    case BY_REAL_TIME_SIGNAL:
        (void)raise(40);
        break;
    case BY_PTHREAD_EXIT:
        look_for_no_leaks();
        pthread_exit(NULL);
    case BY_EXEC:
        (void)execl("/bin/sh", "sh", "-c", "exit 5", (char *)NULL);
        break;
    case BY_EXEC_AND_STAY:
        (void)execl("/bin/sleep", "sleep", "3600", (char *)NULL);
        break;
    default:
        break;
    }
    _exit(99);
}

static int die(const void *arg, void *result, ipc_task *task)
{
    (void)result;
    (void)task;
    die_this_way(*(const int *)arg);
}

static ipc_future *submit_death(ipc_pool *pool, int way)
{
    return submit(pool, die, &way, sizeof way, sizeof(int));
}

/* It takes its task with it, and nothing else: what another one runs is
 * finished, and what is pending is run by the next. */
static void expect_death(ipc_pool *pool, int way, const char *says, int signal,
                         int exitcode)
{
    struct scene *scene = new_scene();
    ipc_future *held;
    hold(pool, scene, 1, &held);
    ipc_future *f = submit_death(pool, way);
    ipc_future *next = submit_number(pool, way);
    expect_status(f, -EOWNERDEAD);
    expect_says(says);
    const ipc_exception e = exception_of(f);
    assert_int_equal(e.kind, IPC_EXCEPTION_DIED);
    assert_int_equal(e.status, -EOWNERDEAD);
    assert_int_equal(e.signal, signal);
    assert_int_equal(e.exitcode, exitcode);
    assert_int_equal(e.attempts, 1);
    assert_false(e.core);
    assert_true(e.pid > 0);
    assert_non_null(strstr(e.message, says));
    assert_false(ipc_future_cancelled(f));
    assert_int_equal(number_of(next), way + 1);
    assert_true(ipc_future_running(held));
    let_go(scene, &held, 1);
    free_future(f);
    free_future(next);
    wait_for_figure(pool, workers, 2);
    free_scene(scene);
}

static const struct {
    const char *says;
    int signal, exitcode;
} ends[WAYS] = {
    [BY_EXIT] = {"ended with exit code 3 while it ran this task", 0, 3},
    [BY_EXIT_0] = {"ended with exit code 0", 0, 0},
    [BY_FAST_EXIT] = {"ended with exit code 4", 0, 4},
    [BY_ABORT] = {"was killed by SIGABRT", SIGABRT, 0},
    [BY_SIGSEGV] = {"was killed by SIGSEGV while it ran this task", SIGSEGV, 0},
    [BY_SIGKILL] = {"was killed by SIGKILL", SIGKILL, 0},
    [BY_SIGTERM] = {"was killed by SIGTERM", SIGTERM, 0},
    [BY_REAL_TIME_SIGNAL] = {"was killed by signal 40 while", 40, 0},
    [BY_EXEC] = {"", 0, 5},
    [BY_EXEC_AND_STAY] = {"was killed by SIGKILL", SIGKILL, 0},
};

static void each_death_costs_one_task(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    uint32_t deaths = 0;
    for (int way = 0; way < WAYS; way++) {
        if (way == BY_PTHREAD_EXIT || way == BY_EXEC)
            continue;
        expect_death(pool, way, ends[way].says, ends[way].signal,
                     ends[way].exitcode);
        deaths++;
    }
    const ipc_pool_stats s = figures(pool);
    assert_int_equal(s.failed, deaths);
    assert_int_equal(s.respawned, deaths);
    assert_int_equal(s.retried, 0);
    assert_int_equal(s.done, 2 * deaths);
    assert_false(s.broken);
    free_pool(pool);
}

/* Its image may end by itself, or be ended: it is no worker any more. */
static void a_task_that_becomes_another_program(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 1);
    ipc_future *f = submit_death(pool, BY_EXEC);
    expect_status(f, -EOWNERDEAD);
    const ipc_exception e = exception_of(f);
    assert_true(e.exitcode == 5 || e.signal == SIGKILL);
    free_future(f);
    expect_works(pool);
    free_pool(pool);
}

static void a_task_that_ends_its_thread(uint32_t kind)
{
    if (kind == IPC_POOL_PROCESSES && SANITIZED)
        test_skip("its last thread does not return to the sanitizer");
    ipc_pool *pool = new_pool(kind, 2);
    for (int i = 0; i < 3; i++)
        expect_death(pool, BY_PTHREAD_EXIT, "exit code 0", 0, 0);
    assert_int_equal(figures(pool).respawned, 3);
    free_pool(pool);
}
BOTH_KINDS(a_task_that_ends_its_thread);

/* As a program does that closes all it does not know. */
static void close_pidfds(void)
{
    for (int fd = 3; fd < 256; fd++) {
        char path[32];
        char what[64] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, what, sizeof what - 1) > 0 &&
            strstr(what, "pidfd") != NULL)
            assert_int_equal(close(fd), 0);
    }
}

/* The kernel drops the status, and there is no descriptor that has it. */
static void an_end_that_nobody_saw(void)
{
    ipc_worker_info worker;
    (void)signal(SIGCHLD, SIG_IGN);
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 1);
    (void)wait_for_workers(pool, &worker, 1);
    close_pidfds();
    ipc_future *f = submit_death(pool, BY_FAST_EXIT);
    expect_status(f, -EOWNERDEAD);
    expect_says(" died (nobody saw how) while it ran this task");
    const ipc_exception e = exception_of(f);
    assert_int_equal(e.kind, IPC_EXCEPTION_DIED);
    assert_int_equal(e.signal, 0);
    assert_int_equal(e.exitcode, -1);
    assert_false(e.core);
    assert_false(e.maybe_oom);
    free_future(f);
    expect_works(pool);
    free_pool(pool);
    (void)signal(SIGCHLD, SIG_DFL);
}

/* ---- want of memory ---- */

static void count_oom_kills(const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/proc", ipc__system_root);
    assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
    (void)snprintf(path, sizeof path, "%s/proc/vmstat", ipc__system_root);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* A made-up /proc says how often the kernel has killed for that. */
static void perhaps_for_want_of_memory(void)
{
    ipc__system_root = test_tmpdir();
    count_oom_kills("nr_free_pages 1\noom_kill 3\nlast 9\n");
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    expect_death(pool, BY_SIGKILL, "was killed by SIGKILL while", SIGKILL, 0);
    count_oom_kills("nr_free_pages 1\noom_kill 4\nlast 9\n");
    ipc_future *f = submit_death(pool, BY_SIGKILL);
    expect_status(f, -EOWNERDEAD);
    expect_says("was killed by SIGKILL (perhaps for want of memory)");
    assert_true(exception_of(f).maybe_oom);
    free_future(f);
    f = submit_death(pool, BY_ABORT); /* that would be SIGKILL */
    expect_status(f, -EOWNERDEAD);
    assert_false(exception_of(f).maybe_oom);
    free_future(f);
    free_pool(pool);
}

/* ---- a core dump ---- */

static int dump(const void *arg, void *result, ipc_task *task)
{
    const struct rlimit some = {1 << 20, 1 << 20};
    (void)result;
    (void)task;
    (void)signal(SIGABRT, SIG_DFL);
    if (chdir(arg) != 0 || setrlimit(RLIMIT_CORE, &some) != 0)
        return -errno;
    abort();
}

static void dump_in_a_fork(void *dir)
{
    (void)dump(dir, NULL, NULL);
}

/* Whether the machine leaves one is for its administrator to say. */
static void the_core_flag_says_what_wait_says(void)
{
    const char *dir = test_tmpdir();
    struct role fork;
    if (SANITIZED)
        test_skip("a core dump of a sanitizer's size");
    role_start(&fork, dump_in_a_fork, (void *)(uintptr_t)dir);
    const int status = role_wait_dead(&fork, LIMIT_MS);
    if (!WIFSIGNALED(status))
        test_skip("no core dumps here");
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 1);
    ipc_future *f = submit(pool, dump, dir, strlen(dir) + 1, 0);
    expect_status(f, -EOWNERDEAD);
    assert_int_equal(exception_of(f).core, WCOREDUMP(status) != 0);
    assert_int_equal(strstr(ipc_error_detail(), "core dumped") != NULL,
                     WCOREDUMP(status) != 0);
    test_report("core", WCOREDUMP(status) != 0);
    free_future(f);
    free_pool(pool);
}

/* ---- once more ---- */

struct attempts {
    uint32_t deaths; /* before it has a result */
    int way;
};

/* What it had changed before it died is forgotten. */
static int succeed_later(const void *arg, void *result, ipc_task *task)
{
    const struct attempts *attempts = arg;
    uint32_t *counts = result;
    void *room = NULL;
    if (counts[0] != 0 || counts[1] != 0)
        return -EUCLEAN;
    counts[1] = 7;
    if (ipc_task_attempt(task) > attempts->deaths) {
        counts[0] = ipc_task_attempt(task);
        return 0;
    }
    if (ipc_task_reserve(task, 3000, &room) != 0)
        return -ENOMEM;
    memset(room, 0xee, 3000);
    die_this_way(attempts->way);
}

static ipc_future *submit_attempts(ipc_pool *pool, uint32_t retries,
                                   uint32_t deaths, int way)
{
    const ipc_task_options options = with_retries(retries);
    const struct attempts attempts = {deaths, way};
    return submit_with(pool, &options, succeed_later, &attempts,
                       sizeof attempts, 2 * sizeof(uint32_t));
}

static void run_again_if_it_may_be(uint32_t kind)
{
    const int way = kind == IPC_POOL_THREADS ? BY_PTHREAD_EXIT : BY_SIGKILL;
    ipc_pool *pool = new_pool(kind, 2);
    for (uint32_t deaths = 0; deaths < 3; deaths++) {
        uint32_t counts[2] = {0};
        ipc_future *f = submit_attempts(pool, deaths, deaths, way);
        CHECK(ipc_future_result_until(f, counts, sizeof counts, NULL,
                                      ipc_after_ms(LIMIT_MS)),
              0);
        assert_int_equal(counts[0], deaths + 1);
        const ipc_exception e = exception_of(f);
        assert_int_equal(e.kind, IPC_EXCEPTION_NONE);
        assert_int_equal(e.attempts, deaths + 1);
        free_future(f);
    }
    ipc_future *f = submit_attempts(pool, 1, 2, way);
    expect_status(f, -EOWNERDEAD);
    assert_int_equal(exception_of(f).attempts, 2);
    free_future(f);
    assert_int_equal(figures(pool).retried, 4);
    assert_int_equal(figures(pool).failed, 1);
    free_pool(pool);
}
BOTH_KINDS(run_again_if_it_may_be);

/* A task that fails is not run again. */
static int fail_once(const void *arg, void *result, ipc_task *task)
{
    (void)count_it(arg, result, task);
    return -EIO;
}

static void what_fails_is_not_retried(uint32_t kind)
{
    struct scene *scene = new_scene();
    const ipc_task_options options = with_retries(5);
    ipc_pool *pool = new_pool(kind, 1);
    ipc_future *f = submit_with(pool, &options, fail_once, &scene,
                                sizeof(struct scene *), 0);
    expect_status(f, -EIO);
    assert_int_equal(counted(scene), 1);
    free_future(f);
    free_pool(pool);
    free_scene(scene);
}
BOTH_KINDS(what_fails_is_not_retried);

static void t37_a_task_that_has_killed_three_workers_fails(uint32_t kind)
{
    const int way = kind == IPC_POOL_THREADS ? BY_PTHREAD_EXIT : BY_SIGKILL;
    ipc_pool *pool = new_pool(kind, 2);
    ipc_future *f = submit_attempts(pool, 1000000, 1000000, way);
    expect_status(f, -EOWNERDEAD);
    assert_int_equal(exception_of(f).kind, IPC_EXCEPTION_DIED);
    assert_int_equal(exception_of(f).attempts, 3);
    free_future(f);
    expect_works(pool);
    wait_for_figure(pool, workers, 2);
    assert_int_equal(figures(pool).respawned, 3);
    assert_false(figures(pool).broken);
    test_report("respawned", (long long)figures(pool).respawned);
    free_pool(pool);
}
BOTH_KINDS(t37_a_task_that_has_killed_three_workers_fails);

/* ---- too many ---- */

static void too_many_deaths_break_the_pool(uint32_t kind)
{
    const int way = kind == IPC_POOL_THREADS ? BY_PTHREAD_EXIT : BY_SIGKILL;
    struct scene *scene = new_scene();
    ipc_pool_options options = with_workers(kind, 2);
    options.max_deaths = 3;
    options.deaths_ns = 3600 * INT64_C(1000) * NS_PER_MS;
    ipc_pool *pool = pool_with(&options);
    ipc_future *held, *f[3], *pending[10];
    hold(pool, scene, 1, &held);
    for (int i = 0; i < 3; i++)
        f[i] = submit_death(pool, way);
    ipc_future *wait = submit_in(pool, stay, scene); /* or it is too late */
    for (int i = 0; i < 2; i++)
        expect_status(f[i], -EOWNERDEAD);
    int n = 0;
    while (n < 10 && ipc_pool_submit(pool, add_one, &n, sizeof n, sizeof n,
                                     &pending[n]) == 0)
        n++;
    expect_status(f[2], -EOWNERDEAD);
    expect_status(wait, -ENOTRECOVERABLE);
    expect_says("broken: 3 workers of Pool-1 died within 3600 s, the last ");
    assert_int_equal(exception_of(wait).kind, IPC_EXCEPTION_BROKEN);
    for (int i = 0; i < n; i++)
        expect_status(pending[i], -ENOTRECOVERABLE);
    assert_true(figures(pool).broken);
    CHECK(ipc_pool_submit(pool, add_one, &n, sizeof n, sizeof n, &wait),
          -ENOTRECOVERABLE);
    expect_says("Pool-1 is broken: 3 workers of Pool-1 died within 3600 s, ");
    expect_says(kind == IPC_POOL_THREADS ? "the last ended with exit code 0"
                                         : "the last was killed by SIGKILL");
    let_go(scene, &held, 1); /* it finishes what it runs */
    free_pool(pool);
    free_scene(scene);
}
BOTH_KINDS(too_many_deaths_break_the_pool);

static void deaths_far_apart_do_not(uint32_t kind)
{
    const int way = kind == IPC_POOL_THREADS ? BY_PTHREAD_EXIT : BY_SIGKILL;
    ipc_pool_options options = with_workers(kind, 1);
    options.max_deaths = 2;
    options.deaths_ns = 1;
    ipc_pool *pool = pool_with(&options);
    for (int i = 0; i < 4; i++) {
        ipc_future *f = submit_death(pool, way);
        expect_status(f, -EOWNERDEAD);
        expect_works(pool);
        free_future(f);
    }
    assert_false(figures(pool).broken);
    free_pool(pool);
}
BOTH_KINDS(deaths_far_apart_do_not);

static int die_before_the_first(void *arg)
{
    (void)arg;
    die_this_way(BY_SIGKILL);
}

static void an_initializer_that_kills_its_worker(void)
{
    ipc_pool_options options = with_workers(IPC_POOL_PROCESSES, 2);
    options.initializer = die_before_the_first;
    ipc_pool *pool = pool_with(&options);
    ipc_future *f = NULL;
    const int n = 1;
    const int rc = ipc_pool_submit(pool, add_one, &n, sizeof n, sizeof n, &f);
    if (rc == 0)
        expect_status(f, -ENOTRECOVERABLE);
    else
        CHECK(rc, -ENOTRECOVERABLE);
    wait_for_figure(pool, broken, true);
    free_pool(pool);
}

/* ---- with nothing to do ---- */

static void t35_idle_workers_are_replaced(void)
{
    ipc_worker_info before[3], after[3];
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 3);
    (void)wait_for_workers(pool, before, 3);
    wait_for_figure(pool, idle, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(kill(before[i].pid, SIGKILL), 0);
    const int64_t begin = test_now_ns();
    expect_works(pool);
    test_report("us", (test_now_ns() - begin) / 1000);
    wait_for_figure(pool, respawned, 3);
    (void)wait_for_workers(pool, after, 3);
    for (int i = 0; i < 3; i++)
        assert_int_not_equal(before[i].pid, after[i].pid);
    assert_int_equal(figures(pool).failed, 0);
    free_pool(pool);
}

static const struct test_case cases[] = {
    TEST_CASE(each_death_costs_one_task),
    TEST_CASE(a_task_that_becomes_another_program),
    BOTH_CASES(a_task_that_ends_its_thread),
    TEST_CASE(an_end_that_nobody_saw),
    TEST_CASE(perhaps_for_want_of_memory),
    TEST_CASE(the_core_flag_says_what_wait_says),
    BOTH_CASES(run_again_if_it_may_be),
    BOTH_CASES(what_fails_is_not_retried),
    BOTH_CASES(t37_a_task_that_has_killed_three_workers_fails),
    BOTH_CASES(too_many_deaths_break_the_pool),
    BOTH_CASES(deaths_far_apart_do_not),
    TEST_CASE(an_initializer_that_kills_its_worker),
    TEST_CASE(t35_idle_workers_are_replaced),
};
TEST_MAIN(cases)
