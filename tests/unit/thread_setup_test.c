/* CPUs, nice value, stack and name that a thread begins with, and what start()
 * says when it cannot have them. */
#include "unit/thread_support.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "harness/faults.h"

struct found {
    int cpus, first_cpu;
    int nice;
    int tid;
    size_t stack_bytes;
    char comm[64];
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
    found->nice = getpriority(PRIO_PROCESS, 0);
    found->tid = ipc_gettid();
    name_in_kernel(found->tid, found->comm);
    pthread_attr_t attributes;
    assert_int_equal(pthread_getattr_np(pthread_self(), &attributes), 0);
    (void)pthread_attr_getstacksize(&attributes, &found->stack_bytes);
    (void)pthread_attr_destroy(&attributes);
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

static void thread_begins_with_what_was_asked(void)
{
    const int cpus[] = {last_cpu(), last_cpu()}; /* twice is once */
    const int nice = getpriority(PRIO_PROCESS, 0);
    for (int daemon = 0; daemon < 2; daemon++) {
        const ipc_thread_options options = {.size = sizeof options,
                                            .daemon = daemon == 1,
                                            .name = "one-of-20-bytes-long",
                                            .cpus = cpus,
                                            .cpu_count = 2,
                                            .nice = 3,
                                            .stack_bytes = 300001};
        struct found found = {.runs = 0};
        ipc_thread t;
        start_thread_with(&t, look_at_yourself, &found, &options);
        assert_int_equal(end_of_thread(&t), 6);
        assert_int_equal(found.cpus, 1);
        assert_int_equal(found.first_cpu, last_cpu());
        assert_int_equal(found.nice, nice + 3);
        assert_string_equal(found.comm, "one-of-20-bytes"); /* 15 of them */
        assert_true(found.stack_bytes >= 300001);
        if (!SANITIZED)
            assert_true(found.stack_bytes < 400000);
    }
    assert_int_equal(getpriority(PRIO_PROCESS, 0), nice); /* of the others */
}

static void thread_begins_as_its_starter_without(void)
{
    struct found found = {.runs = 0}, mine = {.runs = 0};
    assert_int_equal(run_thread(look_at_yourself, &found), 6);
    assert_int_equal(look_at_yourself(&mine), 6);
    assert_int_equal(found.cpus, mine.cpus);
    assert_int_equal(found.nice, mine.nice);
    assert_string_equal(found.comm, "Thread-1");
    assert_string_not_equal(mine.comm, "Thread-1");
}

static void setup_is_done_when_start_returns(void)
{
    uint32_t words[2] = {0, 0};
    const ipc_thread_options options = {.size = sizeof options, .nice = 2};
    ipc_thread t;
    const int nice = getpriority(PRIO_PROCESS, 0);
    start_thread_with(&t, come_and_stay, words, &options);
    assert_int_equal(getpriority(PRIO_PROCESS, (id_t)ipc_thread_native_id(&t)),
                     nice + 2);
    say(&words[1]);
    assert_int_equal(end_of_thread(&t), 0);
}

/* start() fails with error; nothing ran, nothing is left, and it can be tried
 * again. */
static void expect_refused(const ipc_thread_options *options, int error)
{
    struct found found = {.runs = 0};
    ipc_thread t;
    CHECK(ipc_thread_init(&t, look_at_yourself, &found, options), 0);
    for (int i = 0; i < 3; i++) {
        CHECK(ipc_thread_start(&t), error);
        assert_true(strlen(ipc_error_detail()) > 0);
        assert_int_equal(ipc_thread_native_id(&t), 0);
        assert_false(ipc_thread_is_alive(&t));
        CHECK(ipc_thread_join(&t), -EINVAL);
        assert_int_equal(ipc_active_threads(NULL, 0), 1);
    }
    CHECK(ipc_thread_set_name(&t, "another"), 0);
    CHECK(ipc_thread_close(&t), 0);
    assert_int_equal(found.runs, 0);
}

static void cpus_that_do_not_exist_are_refused(void)
{
    const int sets[][2] = {{-1, -1},
                           {1 << 20, 1 << 20},
                           {1023, 1023},
                           {0, 1 << 20},
                           {last_cpu(), 1023}};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        const ipc_thread_options options = {
            .size = sizeof options, .cpus = sets[i], .cpu_count = 2};
        expect_refused(&options, -EINVAL);
    }
}

static void stack_that_is_too_small_is_refused(void)
{
    static const size_t sizes[] = {1, 4096, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const ipc_thread_options options = {.size = sizeof options,
                                            .stack_bytes = sizes[i]};
        expect_refused(&options, -EINVAL);
    }
}

/* More than there is: tried for 100 ms. */
static void stack_that_is_too_large_is_refused(void)
{
    if (SANITIZED)
        test_skip("a sanitizer gives up where libc says no");
    const ipc_thread_options options = {.size = sizeof options,
                                        .stack_bytes = (size_t)1 << 50};
    ipc_thread t;
    CHECK(ipc_thread_init(&t, return_zero, NULL, &options), 0);
    CHECK(ipc_thread_start(&t), -EAGAIN);
    CHECK(ipc_thread_close(&t), 0);
}

static void ask_for_more_rights(void *unused)
{
    (void)unused;
    assert_int_equal(setrlimit(RLIMIT_NICE, &(struct rlimit){0, 0}), 0);
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
        test_skip("only root can become another user");
    const ipc_thread_options nice = {.size = sizeof nice, .nice = -5};
    expect_refused(&nice, -EACCES);
}

static void rights_that_are_missing_are_reported(void)
{
    struct role role;
    role_start(&role, ask_for_more_rights, NULL);
    role_wait_ok(&role, LIMIT_MS);
}

/* No threads at all, and then some again. */
static void start_where_no_threads_are_allowed(void *unused)
{
    (void)unused;
    ipc_thread t;
    CHECK(ipc_thread_init(&t, return_zero, NULL, NULL), 0);
    /* Started once, so that all else that it needs is there. */
    CHECK(ipc_thread_start(&t), 0);
    assert_int_equal(end_of_thread(&t), 0);
    CHECK(ipc_thread_init(&t, return_zero, NULL, NULL), 0);
    fault_syscall(SYS_clone3, EAGAIN);
    const ipc_deadline from = ipc_now();
    CHECK(ipc_thread_start(&t), -EAGAIN);
    assert_true(ipc_now() - from >= 100000000);
    assert_non_null(strstr(ipc_error_detail(), "Thread-2"));
    assert_int_equal(ipc_active_threads(NULL, 0), 1);
    CHECK(ipc_thread_close(&t), 0);
}

static void no_more_threads_allowed(void)
{
    if (SANITIZED)
        test_skip("a sanitizer gives up where libc says no");
    struct role role;
    role_start(&role, start_where_no_threads_are_allowed, NULL);
    role_wait_ok(&role, LIMIT_MS);
}

static const struct test_case cases[] = {
    TEST_CASE(thread_begins_with_what_was_asked),
    TEST_CASE(thread_begins_as_its_starter_without),
    TEST_CASE(setup_is_done_when_start_returns),
    TEST_CASE(cpus_that_do_not_exist_are_refused),
    TEST_CASE(stack_that_is_too_small_is_refused),
    TEST_CASE(stack_that_is_too_large_is_refused),
    TEST_CASE(rights_that_are_missing_are_reported),
    TEST_CASE(no_more_threads_allowed),
};
TEST_MAIN(cases)
