/* What a pool's workers run with: CPUs, nice, limits, names; and how many CPUs
 * there are for us. */
#include "unit/pool_support.h"

#include <limits.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "pool/maker.h"

/* ---- CPUs ---- */

static int cpus_of_worker(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)task;
    return sched_getaffinity(0, sizeof(cpu_set_t), result) == 0 ? 0 : -errno;
}

static void only_these_cpus(uint32_t kind)
{
    const int cpu = 0;
    cpu_set_t set;
    ipc_pool_options options = with_workers(kind, 2);
    options.cpus = &cpu;
    options.cpu_count = 1;
    ipc_pool *pool = pool_with(&options);
    CHECK(ipc_pool_apply(pool, cpus_of_worker, NULL, 0, &set, sizeof set), 0);
    assert_int_equal(CPU_COUNT(&set), 1);
    assert_true(CPU_ISSET(0, &set));
    free_pool(pool);
}
BOTH_KINDS(only_these_cpus);

struct spread {
    uint32_t worker;
    cpu_set_t set;
};

static int tell_cpus(const void *arg, void *result, ipc_task *task)
{
    struct spread *spread = result;
    spread->worker = ipc_task_worker(task);
    (void)cpus_of_worker(NULL, &spread->set, task);
    return stay(arg, NULL, task);
}

static void one_cpu_each_in_turn(uint32_t kind)
{
    if (ipc_cpu_count() < 2)
        test_skip("one CPU");
    struct scene *scene = new_scene();
    const int cpus[] = {1, 0};
    ipc_pool_options options = with_workers(kind, 4);
    options.cpus = cpus;
    options.cpu_count = 2;
    options.spread = true;
    ipc_pool *pool = pool_with(&options);
    ipc_future *f[4];
    for (int i = 0; i < 4; i++)
        f[i] = submit(pool, tell_cpus, &scene, sizeof(struct scene *),
                      sizeof(struct spread));
    meet_wait(&scene->came, 4, LIMIT_MS);
    say(&scene->open);
    for (int i = 0; i < 4; i++) {
        struct spread spread;
        CHECK(ipc_future_result(f[i], &spread, sizeof spread, NULL), 0);
        assert_int_equal(CPU_COUNT(&spread.set), 1);
        assert_true(CPU_ISSET((size_t)cpus[spread.worker % 2], &spread.set));
    }
    free_pool(pool);
    free_scene(scene);
}
BOTH_KINDS(one_cpu_each_in_turn);

/* ---- nice and limits ---- */

static int nice_of_worker(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)task;
    *(int *)result = getpriority(PRIO_PROCESS, (id_t)gettid());
    return 0;
}

static void nicer_workers(uint32_t kind)
{
    const int before = getpriority(PRIO_PROCESS, 0);
    ipc_pool_options options = with_workers(kind, 1);
    int nice = 0;
    options.nice = 2;
    ipc_pool *pool = pool_with(&options);
    CHECK(ipc_pool_apply(pool, nice_of_worker, NULL, 0, &nice, sizeof nice), 0);
    assert_int_equal(nice, before + 2 > 19 ? 19 : before + 2);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
    free_pool(pool);
}
BOTH_KINDS(nicer_workers);

static int files_of_worker(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)task;
    return getrlimit(RLIMIT_NOFILE, result) == 0 ? 0 : -errno;
}

static void limits_of_processes(void)
{
    ipc_process_rlimit limit = {
        .resource = RLIMIT_NOFILE, .soft = 77, .hard = 99};
    struct rlimit found = {0};
    ipc_pool_options options = with_workers(IPC_POOL_PROCESSES, 1);
    options.rlimits = &limit;
    options.rlimit_count = 1;
    options.max_tasks_per_worker = 1;
    ipc_pool *pool = pool_with(&options);
    limit.soft = 1; /* it has a copy */
    for (int i = 0; i < 2; i++) {
        CHECK(ipc_pool_apply(pool, files_of_worker, NULL, 0, &found,
                             sizeof found),
              0);
        assert_int_equal(found.rlim_cur, 77);
        assert_int_equal(found.rlim_max, 99);
    }
    free_pool(pool);
    limit.resource = 1000;
    assert_true(ipc_pool_new(&options, &pool) < 0);
    assert_null(pool);
}

/* ---- names ---- */

struct name {
    char text[17];
    uint32_t worker;
};

static int name_of_worker(const void *arg, void *result, ipc_task *task)
{
    struct name *name = result;
    (void)arg;
    name->worker = ipc_task_worker(task);
    return prctl(PR_GET_NAME, name->text) == 0 ? 0 : -errno;
}

static void expect_named(uint32_t kind, const char *given, const char *expected)
{
    ipc_pool_options options = with_workers(kind, 2);
    char begin[32];
    (void)snprintf(begin, sizeof begin, "%s", given != NULL ? given : "");
    options.name = given != NULL ? begin : NULL;
    ipc_pool *pool = pool_with(&options);
    memset(begin, 'x', sizeof begin - 1); /* it has a copy */
    for (int i = 0; i < 4; i++) {
        struct name name;
        char wanted[48];
        CHECK(ipc_pool_apply(pool, name_of_worker, NULL, 0, &name, sizeof name),
              0);
        (void)snprintf(wanted, sizeof wanted, "%s-%u", expected,
                       name.worker + 1);
        wanted[15] = '\0'; /* as much as the kernel keeps */
        assert_string_equal(name.text, wanted);
    }
    free_pool(pool);
}

static void workers_have_names(uint32_t kind)
{
    expect_named(kind, "Count", "Count");
    expect_named(kind, NULL, "Pool-1");
    expect_named(kind, NULL, "Pool-2");
    expect_named(kind, "a name that is rather long", "a name that is r");
}
BOTH_KINDS(workers_have_names);

static void errors_name_the_pool(void)
{
    ipc_pool_options options = with_workers(IPC_POOL_THREADS, 1);
    options.name = "Fetchers";
    ipc_pool *pool = pool_with(&options);
    CHECK(ipc_pool_resize(pool, 0), -EINVAL);
    expect_says("Fetchers");
    free_pool(pool);
}

/* ---- who is a worker ---- */

/* How many items are run at once, and how many by the caller of map. */
static struct {
    uint32_t now, most, by_caller;
} at_once;

static int count_at_once(const void *arg, void *result, ipc_task *task)
{
    const uint32_t n = __atomic_add_fetch(&at_once.now, 1, __ATOMIC_SEQ_CST);
    uint32_t most = __atomic_load_n(&at_once.most, __ATOMIC_SEQ_CST);
    (void)arg;
    (void)result;
    while (n > most &&
           !__atomic_compare_exchange_n(&at_once.most, &most, n, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        continue;
    if (ipc_task_worker(task) == IPC_WORKER_CALLER)
        (void)__atomic_add_fetch(&at_once.by_caller, 1, __ATOMIC_SEQ_CST);
    poll_pause();
    (void)__atomic_sub_fetch(&at_once.now, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static void map_with(const ipc_pool_options *options)
{
    ipc_map_options map = IPC_MAP_OPTIONS_INIT;
    ipc_pool *pool = pool_with(options);
    map.chunk = 1;
    at_once.most = at_once.by_caller = 0;
    CHECK(ipc_pool_map(pool, count_at_once, NULL, 0, 200, NULL, 0, &map), 0);
    free_pool(pool);
}

static void only_workers_run_items_where_they_are_special(void)
{
    const int cpu = 0;
    ipc_pool_options options = with_workers(IPC_POOL_THREADS, 1);
    map_with(&options);
    assert_int_equal(at_once.most, 1);
    assert_int_equal(at_once.by_caller, 0);
    options.workers = 2;
    map_with(&options);
    assert_in_range(at_once.most, 1, 3);
    assert_true(at_once.by_caller > 0);
    options.nice = 1;
    map_with(&options);
    assert_int_equal(at_once.by_caller, 0);
    options.nice = 0;
    options.cpus = &cpu;
    options.cpu_count = 1;
    map_with(&options);
    assert_int_equal(at_once.by_caller, 0);
}

/* What was asked for counts, also where there were fewer at first. */
static void as_many_idle_ones_stay_as_was_said(uint32_t kind)
{
    ipc_pool_options options = with_workers(kind, 2);
    options.min_workers = 4;
    options.idle_ns = SOON_MS * NS_PER_MS;
    ipc_pool *pool = pool_with(&options);
    CHECK(ipc_pool_resize(pool, 8), 0);
    wait_for_figure(pool, workers, 4);
    (void)usleep(3 * SOON_MS * 1000); /* the rest would be gone by now */
    assert_int_equal(figures(pool).workers, 4);
    CHECK(ipc_pool_resize(pool, 3), 0);
    wait_for_figure(pool, workers, 3);
    free_pool(pool);
}
BOTH_KINDS(as_many_idle_ones_stay_as_was_said);

/* ---- how many CPUs ---- */

/* A made-up /proc and /sys, in which path has this text. */
static void write_file(const char *path, const char *text)
{
    char full[512];
    (void)snprintf(full, sizeof full, "%s%s", ipc__system_root, path);
    for (char *slash = full + 1; (slash = strchr(slash, '/')) != NULL;
         slash++) {
        *slash = '\0';
        assert_true(mkdir(full, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int at_most(int cpus)
{
    return cpus < ipc_cpu_count() ? cpus : ipc_cpu_count();
}

static const struct {
    const char *quota, *period;
    int cpus; /* INT_MAX: no quota */
} quotas[] = {
    {"50000", "100000", 1},
    {"100000", "100000", 1},
    {"100001", "100000", 2},
    {"150000", "100000", 2},
    {"1", "1000000", 1}, /* less than a thousandth */
    {"250000", "100000", 3},
    {"6400000", "100000", 64},
    {"-1", "100000", INT_MAX},
    {"0", "100000", INT_MAX},
    {"50000", "0", INT_MAX},
    {"50000", "-100000", INT_MAX},
    {"9223372036854775807", "1", INT_MAX},
    {"99999999999999999999", "99999999999999999999", INT_MAX},
    {"rubbish", "100000", INT_MAX},
    {"50000", "rubbish", INT_MAX},
    {"", "", INT_MAX},
};

static void expect_quotas(const char *quota_file, const char *period_file)
{
    for (size_t i = 0; i < sizeof quotas / sizeof quotas[0]; i++) {
        char text[96];
        (void)snprintf(text, sizeof text, "%s%s%s\n", quotas[i].quota,
                       period_file == NULL ? " " : "",
                       period_file == NULL ? quotas[i].period : "");
        write_file(quota_file, text);
        if (period_file != NULL)
            write_file(period_file, quotas[i].period);
        if (ipc_cpu_quota() != at_most(quotas[i].cpus))
            test_fail("%s of %s: %d CPUs, not %d", quotas[i].quota,
                      quotas[i].period, ipc_cpu_quota(),
                      at_most(quotas[i].cpus));
    }
}

static void quotas_of_cgroups_2(void)
{
    ipc__system_root = test_tmpdir();
    assert_int_equal(ipc_cpu_quota(), ipc_cpu_count()); /* nothing is there */
    write_file("/proc/self/cgroup", "0::/a/b\n");
    assert_int_equal(ipc_cpu_quota(), ipc_cpu_count());
    expect_quotas("/sys/fs/cgroup/a/b/cpu.max", NULL);
    write_file("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_int_equal(ipc_cpu_quota(), ipc_cpu_count());
    /* Those that it lies in count too, the root also. */
    write_file("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
    assert_int_equal(ipc_cpu_quota(), 1);
    write_file("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    write_file("/sys/fs/cgroup/cpu.max", "50000 100000\n");
    assert_int_equal(ipc_cpu_quota(), 1);
    write_file("/proc/self/cgroup", "no line of a group\n\n");
    assert_int_equal(ipc_cpu_quota(), ipc_cpu_count());
}

static void quotas_of_cgroups_1(void)
{
    ipc__system_root = test_tmpdir();
    write_file("/proc/self/cgroup", "12:memory:/m\n"
                                    "5:cpuset:/a/b\n"
                                    "4:cpu,cpuacct:/a/b\n"
                                    "1:name=systemd:/s\n");
    assert_int_equal(ipc_cpu_quota(), ipc_cpu_count());
    write_file("/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "50000\n");
    assert_int_equal(ipc_cpu_quota(), ipc_cpu_count()); /* of what? */
    expect_quotas("/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us",
                  "/sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us");
    write_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000");
    write_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
    assert_int_equal(ipc_cpu_quota(), 1);
    write_file("/proc/self/cgroup", "5:cpuset:/a/b\n4:cpuacct:/a/b\n");
    assert_int_equal(ipc_cpu_quota(), ipc_cpu_count());
}

static void use_one_cpu(void *unused)
{
    cpu_set_t set;
    (void)unused;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    assert_int_equal(sched_setaffinity(0, sizeof set, &set), 0);
    assert_int_equal(ipc_cpu_quota(), 1);
    ipc_pool *pool = pool_with(NULL);
    assert_int_equal(figures(pool).workers, 1);
    free_pool(pool);
}

static void cpus_that_may_be_used(void)
{
    struct role role;
    assert_in_range(ipc_cpu_quota(), 1, ipc_cpu_count());
    role_start(&role, use_one_cpu, NULL);
    role_wait_ok(&role, LIMIT_MS);
}

static const struct test_case cases[] = {
    BOTH_CASES(only_these_cpus),
    BOTH_CASES(one_cpu_each_in_turn),
    BOTH_CASES(nicer_workers),
    TEST_CASE(limits_of_processes),
    BOTH_CASES(workers_have_names),
    TEST_CASE(errors_name_the_pool),
    TEST_CASE(cpus_that_may_be_used),
    TEST_CASE(only_workers_run_items_where_they_are_special),
    BOTH_CASES(as_many_idle_ones_stay_as_was_said),
    TEST_CASE(quotas_of_cgroups_2),
    TEST_CASE(quotas_of_cgroups_1),
};
TEST_MAIN(cases)
