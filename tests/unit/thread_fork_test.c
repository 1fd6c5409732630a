/* Threads and fork: processes started in threads, threads in processes, and
 * what a child knows of its parent's threads. */
#include "unit/thread_support.h"

#include <sys/wait.h>

#include <ipc/process.h>

static void expect_not_ours(ipc_thread *t)
{
    int code = 4711;
    CHECK(ipc_thread_join(t), -ECHILD);
    assert_true(strlen(ipc_error_detail()) > 0);
    CHECK(ipc_thread_join_nowait(t), -ECHILD);
    CHECK(ipc_thread_join_until(t, ipc_after_ms(1)), -ECHILD);
    CHECK(ipc_thread_exitcode(t, &code), -ECHILD);
    assert_int_equal(code, 4711);
    assert_false(ipc_thread_is_alive(t));
    CHECK(ipc_thread_start(t), -EALREADY);
    CHECK(ipc_thread_set_name(t, "another"), -EBUSY);
}

/* A child begins with one thread, which is its main thread. */
static void expect_alone(void)
{
    ipc_thread *list[4];
    assert_int_equal(ipc_active_threads(list, 4), 1);
    assert_ptr_equal(list[0], ipc_current_thread());
    assert_ptr_equal(ipc_main_thread(), ipc_current_thread());
    assert_string_equal(ipc_thread_name(ipc_main_thread()), "MainThread");
    assert_int_equal(ipc_thread_native_id(ipc_main_thread()), getpid());
    assert_true(ipc_thread_is_alive(ipc_main_thread()));
}

static int names_itself(void *unused)
{
    (void)unused;
    return strcmp(ipc_thread_name(ipc_current_thread()), "Thread-1") == 0;
}

/* ---- handles of the parent ---- */

struct threads {
    ipc_thread running, ended;
};

static int use_the_handles(void *arg)
{
    struct threads *t = arg;
    expect_alone();
    expect_not_ours(&t->running);
    expect_not_ours(&t->ended);
    CHECK(ipc_thread_close(&t->running), 0);
    CHECK(ipc_thread_close(&t->ended), 0);
    assert_int_equal(run_thread(names_itself, NULL), 1);
    /* Their memory is free for a thread of its own. */
    start_thread(&t->running, names_itself, NULL);
    assert_int_equal(end_of_thread(&t->running), 0);
    expect_alone();
    return 4;
}

static void use_them_in_a_plain_fork(void *arg)
{
    assert_int_equal(use_the_handles(arg), 4);
}

static void use_them_and_exit(void *arg)
{
    assert_int_equal(use_the_handles(arg), 4);
    leave(0);
}

static void handles_of_the_parents_threads(void)
{
    skip_threads_after_fork();
    static struct threads t;
    uint32_t words[2] = {0, 0};
    struct role role;
    start_thread(&t.running, come_and_stay, words);
    meet_wait(&words[0], 1, LIMIT_MS); /* not in malloc() during the fork */
    start_thread(&t.ended, return_zero, NULL);
    CHECK(ipc_thread_join(&t.ended), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run(use_the_handles, &t), 4);
        role_start(&role, use_them_in_a_plain_fork, &t);
        role_wait_ok(&role, LIMIT_MS);
        role_start(&role, use_them_and_exit, &t);
        role_wait_ok(&role, LIMIT_MS);
    }
    assert_true(ipc_thread_is_alive(&t.running));
    say(&words[1]);
    assert_int_equal(end_of_thread(&t.running), 0);
    assert_int_equal(end_of_thread(&t.ended), 0);
}

/* ---- processes started in threads ---- */

static int start_a_process(void *arg)
{
    ipc_thread *self = ipc_current_thread();
    assert_int_equal(run(arg == NULL ? return_zero : use_the_handles, arg),
                     arg == NULL ? 0 : 4);
    assert_ptr_equal(ipc_current_thread(), self);
    return 0;
}

static int look_around(void *parents_thread)
{
    expect_alone();
    expect_not_ours(parents_thread);
    CHECK(ipc_thread_close(parents_thread), 0);
    expect_alone();
    return 0;
}

static int start_one_that_looks_around(void *unused)
{
    (void)unused;
    return run(look_around, ipc_current_thread());
}

static void process_started_in_a_thread_has_that_one_only(void)
{
    assert_int_equal(run_thread(start_one_that_looks_around, NULL), 0);
}

static void many_threads_start_processes(void)
{
    enum {
        COUNT = 20
    };
    ipc_thread t[COUNT];
    for (int i = 0; i < COUNT; i++)
        start_thread(&t[i], start_a_process, NULL);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(end_of_thread(&t[i]), 0);
    assert_int_equal(ipc_active_children(NULL, 0), 0);
}

/* ---- plain forks in threads ---- */

/* The child is the copy of this thread alone; when it returns it is the last
 * thread of its process, which ends with code 0. */
static int fork_and_return(void *unused)
{
    (void)unused;
    ipc_thread *self = ipc_current_thread();
    const pid_t pid = fork();
    if (pid == 0) {
        look_for_no_leaks();
        expect_not_ours(self);
        expect_alone();
        assert_int_equal(run_thread(names_itself, NULL), 1);
        return 55;
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_ptr_equal(ipc_current_thread(), self);
    return 5;
}

static int fork_and_close(void *unused)
{
    (void)unused;
    ipc_thread *self = ipc_current_thread();
    const pid_t pid = fork();
    if (pid == 0) {
        look_for_no_leaks();
        CHECK(ipc_thread_close(self), 0); /* its own: of another process */
        return 55;
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    return 5;
}

static int fork_and_exit(void *unused)
{
    (void)unused;
    const pid_t pid = fork();
    if (pid == 0) {
        static ipc_thread t;
        look_for_no_leaks();
        start_thread(&t, return_zero, NULL); /* joined by exit() */
        leave(9);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 9 << 8);
    return 5;
}

/* In a role, as the ends of such children would end the case, too. */
static void fork_in_threads(void *unused)
{
    (void)unused;
    static int (*const ways[])(void *) = {fork_and_return, fork_and_close,
                                          fork_and_exit};
    uint32_t words[2] = {0, 0};
    ipc_thread other;
    start_thread(&other, come_and_stay, words);
    meet_wait(&words[0], 1, LIMIT_MS);
    for (size_t i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            assert_int_equal(run_thread(ways[i], NULL), 5);
    say(&words[1]);
    assert_int_equal(end_of_thread(&other), 0);
}

static void plain_forks_in_threads(void)
{
    skip_threads_after_fork();
    struct role role;
    role_start(&role, fork_in_threads, NULL);
    role_wait_ok(&role, LIMIT_MS);
}

/* ---- while others are busy ---- */

static uint32_t stop;

static int start_and_join(void *unused)
{
    (void)unused;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        ipc_thread t;
        start_thread(&t, return_zero, NULL);
        (void)ipc_active_threads(NULL, 0);
        assert_int_equal(end_of_thread(&t), 0);
    }
    return 0;
}

static int use_threads(void *unused)
{
    (void)unused;
    expect_alone();
    return run_thread(names_itself, NULL) == 1 ? 0 : 1;
}

/* Whatever locks they hold at the moment of the fork. */
static void fork_while_others_start_and_join(void)
{
    enum {
        OTHERS = 3
    };
    ipc_thread t[OTHERS];
    skip_threads_after_fork();
#if defined(__SANITIZE_ADDRESS__)
    test_skip("AddressSanitizer's allocator may be locked in the child");
#endif
    for (int i = 0; i < OTHERS; i++)
        start_thread(&t[i], start_and_join, NULL);
    for (int i = 0; i < 40; i++)
        assert_int_equal(run(use_threads, NULL), 0);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < OTHERS; i++)
        assert_int_equal(end_of_thread(&t[i]), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(handles_of_the_parents_threads),
    TEST_CASE(process_started_in_a_thread_has_that_one_only),
    TEST_CASE(many_threads_start_processes),
    TEST_CASE(plain_forks_in_threads),
    TEST_CASE(fork_while_others_start_and_join),
};
TEST_MAIN(cases)
