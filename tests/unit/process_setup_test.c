/* CPUs, nice value and limits that a child begins with, and what start() says
 * when it cannot have them. */
#include "unit/process_support.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* What the child found, in shared memory. */
struct found {
    int cpus, first_cpu, ipc_cpus;
    int nice;
    struct rlimit files, core;
    int runs;
};

static int look_at_yourself(void *arg)
{
    struct found *found = arg;
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    found->cpus = CPU_COUNT(&set);
    for (found->first_cpu = 0; found->first_cpu < CPU_SETSIZE &&
                               !CPU_ISSET((size_t)found->first_cpu, &set);)
        found->first_cpu++;
    found->ipc_cpus = ipc_cpu_count();
    found->nice = getpriority(PRIO_PROCESS, 0);
    (void)getrlimit(RLIMIT_NOFILE, &found->files);
    (void)getrlimit(RLIMIT_CORE, &found->core);
    found->runs++;
    return 6;
}

static int last_cpu(void)
{
    cpu_set_t set;
    int cpu = CPU_SETSIZE - 1;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    while (!CPU_ISSET((size_t)cpu, &set))
        cpu--;
    return cpu;
}

static void child_begins_with_what_was_asked(void)
{
    struct found *found = test_shared(sizeof *found);
    const int cpus[] = {last_cpu(), last_cpu()}; /* twice is once */
    const ipc_process_rlimit limits[] = {{RLIMIT_NOFILE, 100, 200},
                                         {RLIMIT_CORE, 0, 0}};
    const int nice = getpriority(PRIO_PROCESS, 0);
    for (int daemon = 0; daemon < 2; daemon++) {
        const ipc_process_options options = {.size = sizeof options,
                                             .daemon = daemon == 1,
                                             .cpus = cpus,
                                             .cpu_count = 2,
                                             .nice = 3,
                                             .rlimits = limits,
                                             .rlimit_count = 2};
        ipc_process p;
        start_with(&p, look_at_yourself, found, &options);
        assert_int_equal(end_of(&p), 6);
        assert_int_equal(found->cpus, 1);
        assert_int_equal(found->first_cpu, last_cpu());
        assert_int_equal(found->ipc_cpus, 1);
        assert_int_equal(found->nice, nice + 3);
        assert_int_equal(found->files.rlim_cur, 100);
        assert_int_equal(found->files.rlim_max, 200);
        assert_int_equal(found->core.rlim_max, 0);
    }
    assert_int_equal(getpriority(PRIO_PROCESS, 0), nice);
}

static void child_begins_as_its_parent_without(void)
{
    struct found *found = test_shared(sizeof *found);
    struct found mine = {.cpus = 0};
    assert_int_equal(run(look_at_yourself, found), 6);
    assert_int_equal(look_at_yourself(&mine), 6);
    assert_memory_equal(found, &mine, sizeof mine);
}

/* In the child when start() returns, so that it can be relied on. */
static void setup_is_done_when_start_returns(void)
{
    uint32_t *words = test_shared(2 * sizeof *words);
    const ipc_process_options options = {.size = sizeof options, .nice = 2};
    ipc_process p;
    const int nice = getpriority(PRIO_PROCESS, 0);
    start_with(&p, come_and_stay, words, &options);
    assert_int_equal(getpriority(PRIO_PROCESS, (id_t)ipc_process_pid(&p)),
                     nice + 2);
    meet_signal(&words[1]);
    assert_int_equal(end_of(&p), 0);
}

/* start() fails with error; nothing ran, nothing is left, and it can be tried
 * again. */
static void expect_refused(const ipc_process_options *options, int error)
{
    struct found *found = test_shared(sizeof *found);
    const int fds = count_fds();
    ipc_process p;
    CHECK(ipc_process_init(&p, look_at_yourself, found, options), 0);
    for (int i = 0; i < 3; i++) {
        CHECK(ipc_process_start(&p), error);
        assert_true(strlen(ipc_error_detail()) > 0);
        assert_int_equal(ipc_process_pid(&p), 0);
        assert_false(ipc_process_is_alive(&p));
        CHECK(ipc_process_join(&p), -EINVAL);
        assert_int_equal(ipc_active_children(NULL, 0), 0);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
        assert_int_equal(count_fds(), fds);
    }
    CHECK(ipc_process_set_name(&p, "another"), 0);
    CHECK(ipc_process_close(&p), 0);
    assert_int_equal(found->runs, 0);
}

static void cpus_that_do_not_exist_are_refused(void)
{
    static const int sets[][2] = {
        {-1, -1}, {1 << 20, 1 << 20}, {1023, 1023}, {0, 1 << 20}};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        const ipc_process_options options = {
            .size = sizeof options, .cpus = sets[i], .cpu_count = 2};
        expect_refused(&options, -EINVAL);
    }
}

static void cpu_that_does_not_exist_among_others_is_refused(void)
{
    const int set[] = {last_cpu(), 1023};
    const ipc_process_options options = {
        .size = sizeof options, .cpus = set, .cpu_count = 2};
    expect_refused(&options, -EINVAL);
}

static void limits_that_make_no_sense_are_refused(void)
{
    static const ipc_process_rlimit bad[] = {{RLIMIT_NOFILE, 20, 10},
                                             {1000, 1, 1}};
    for (int i = 0; i < 2; i++) {
        const ipc_process_options options = {
            .size = sizeof options, .rlimits = &bad[i], .rlimit_count = 1};
        expect_refused(&options, -EINVAL);
    }
    const ipc_process_rlimit too_many_files = {RLIMIT_NOFILE, 1u << 31,
                                               1u << 31};
    const ipc_process_options options = {
        .size = sizeof options, .rlimits = &too_many_files, .rlimit_count = 1};
    expect_refused(&options, -EPERM);
}

/* The status of the child that failed is taken by somebody else. */
static void refused_all_the_same_with_sigchld_ignored(void)
{
    (void)signal(SIGCHLD, SIG_IGN);
    const int cpu = -1;
    ipc_process_options options = {
        .size = sizeof options, .cpus = &cpu, .cpu_count = 1};
    expect_refused(&options, -EINVAL);
    options.daemon = true;
    expect_refused(&options, -EINVAL);
}

/* As an ordinary user. */
static void ask_for_more_rights(void *unused)
{
    (void)unused;
    const struct rlimit now = {64, 128};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    assert_int_equal(setrlimit(RLIMIT_NICE, &(struct rlimit){0, 0}), 0);
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
        test_skip("only root can become another user");
    const ipc_process_options nice = {.size = sizeof nice, .nice = -5};
    expect_refused(&nice, -EACCES);
    const ipc_process_rlimit limit = {RLIMIT_NOFILE, 64, 129};
    const ipc_process_options limits = {
        .size = sizeof limits, .rlimits = &limit, .rlimit_count = 1};
    expect_refused(&limits, -EPERM);
    const ipc_process_options daemon = {.size = sizeof daemon,
                                        .daemon = true,
                                        .rlimits = &limit,
                                        .rlimit_count = 1};
    expect_refused(&daemon, -EPERM);
}

static void rights_that_are_missing_are_reported(void)
{
    struct role role;
    role_start(&role, ask_for_more_rights, NULL);
    role_wait_ok(&role, LIMIT_MS);
}

/* A daemon's watcher is a thread of it: what holds for the one holds for the
 * other. */
static int look_at_all_threads(void *unused)
{
    (void)unused;
    int threads = 0;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        const pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
        cpu_set_t set;
        assert_int_equal(sched_getaffinity(tid, sizeof set, &set), 0);
        assert_int_equal(CPU_COUNT(&set), 1);
        threads++;
    }
    (void)closedir(dir);
    return threads;
}

static void daemons_watcher_runs_on_its_cpus(void)
{
#if defined(__SANITIZE_THREAD__)
    test_skip("a sanitizer has a thread of its own");
#endif
    if (ipc_cpu_count() < 2)
        test_skip("there is one CPU only");
    const int cpu = last_cpu();
    const ipc_process_options options = {
        .size = sizeof options, .daemon = true, .cpus = &cpu, .cpu_count = 1};
    ipc_process p;
    start_with(&p, look_at_all_threads, NULL, &options);
    assert_int_equal(end_of(&p), 2);
}

static const struct test_case cases[] = {
    TEST_CASE(child_begins_with_what_was_asked),
    TEST_CASE(child_begins_as_its_parent_without),
    TEST_CASE(setup_is_done_when_start_returns),
    TEST_CASE(cpus_that_do_not_exist_are_refused),
    TEST_CASE(cpu_that_does_not_exist_among_others_is_refused),
    TEST_CASE(limits_that_make_no_sense_are_refused),
    TEST_CASE(refused_all_the_same_with_sigchld_ignored),
    TEST_CASE(rights_that_are_missing_are_reported),
    TEST_CASE(daemons_watcher_runs_on_its_cpus),
};
TEST_MAIN(cases)
