/* What a pool's workers run with: CPUs, nice, limits, names; and how many CPUs
 * there are for us. */
#include "unit/pool_support.h"

#include <sched.h>
#include <sys/resource.h>

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

/* ---- how many CPUs ---- */

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
    BOTH_CASES(only_these_cpus),      BOTH_CASES(one_cpu_each_in_turn),
    BOTH_CASES(nicer_workers),        TEST_CASE(limits_of_processes),
    BOTH_CASES(workers_have_names),   TEST_CASE(errors_name_the_pool),
    TEST_CASE(cpus_that_may_be_used),
};
TEST_MAIN(cases)
