/* The pid of a process that has ended belongs to somebody else now, who must
 * not be taken for it. */
#include "unit/process_support.h"

#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* A process with this very pid, which is free, that sleeps for good. */
static void start_innocent(pid_t pid)
{
    struct clone_args args = {.exit_signal = SIGCHLD,
                              .set_tid = (uint64_t)(uintptr_t)&pid,
                              .set_tid_size = 1};
    const int64_t from = test_now_ns();
    for (;;) {
        const long rc = syscall(SYS_clone3, &args, sizeof args);
        if (rc == 0)
            for (;;)
                (void)syscall(SYS_pause);
        if (rc == pid)
            return;
        if (errno != EEXIST || ms_since(from) > LIMIT_MS)
            test_skip("a pid cannot be chosen here: %m");
        poll_pause();
    }
}

/* It lives, and nobody has sent it anything. */
static void end_innocent(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    assert_int_equal(kill(pid, SIGUSR1), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGUSR1);
}

/* Ends, and a stranger takes the status. */
static pid_t start_and_lose(ipc_process *process, bool daemon)
{
    int status;
    if (daemon)
        start_daemon(process, sleep_for_good, NULL);
    else
        start(process, sleep_for_good, NULL);
    const pid_t pid = ipc_process_pid(process);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return pid;
}

static void expect_ended(ipc_process *process)
{
    CHECK(ipc_process_terminate(process), 0);
    CHECK(ipc_process_kill(process), 0);
    CHECK(ipc_process_interrupt(process), 0);
    CHECK(ipc_process_signal(process, SIGUSR2), 0);
    assert_false(ipc_process_is_alive(process));
    CHECK(ipc_process_terminate(process), 0);
    CHECK(ipc_process_join(process), 0);
    CHECK(ipc_process_join_nowait(process), 0);
    int code;
    const int rc = ipc_process_exitcode(process, &code);
    assert_true(rc == -ECHILD || (rc == 0 && code == -SIGKILL));
}

static void child_that_ended_is_not_the_one_with_its_pid(void)
{
    for (int i = 0; i < 3; i++) {
        ipc_process p;
        const pid_t pid = start_and_lose(&p, i == 2);
        start_innocent(pid);
        if (i == 1)
            assert_int_equal(ipc_active_children(NULL, 0), 0);
        expect_ended(&p);
        assert_int_equal(ipc_active_children(NULL, 0), 0);
        CHECK(ipc_process_close(&p), 0);
        end_innocent(pid);
    }
}

/* The same, and the program has closed our descriptor.  The innocent is no
 * child of this process. */
static void make_room_for_an_innocent(void *arg)
{
    int32_t *pid = arg;
    start_innocent(*pid);
    *pid = 0;
    (void)sleep_for_good(NULL);
}

static void child_without_descriptor_is_not_the_one_with_its_pid(void)
{
    int32_t *shared = test_shared(sizeof *shared);
    struct role role;
    ipc_process p;
    int status;
    start(&p, sleep_for_good, NULL);
    const pid_t pid = ipc_process_pid(&p);
    (void)close(ipc_process_fd(&p));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *shared = pid;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    role_start(&role, make_room_for_an_innocent, shared);
    while (__atomic_load_n(shared, __ATOMIC_SEQ_CST) != 0 &&
           !thread_ended(role.pid))
        poll_pause();
    if (*shared != 0)
        role_wait_ok(&role, LIMIT_MS); /* skipped */
    expect_ended(&p);
    CHECK(ipc_process_close(&p), 0);
    (void)role_kill(&role);
    end_innocent(pid);
}

/* ---- the exit rules ---- */

static void lose_a_daemon_and_exit(void *arg)
{
    ipc_process p[2];
    int32_t *pid = arg;
    *pid = start_and_lose(&p[0], true);
    start_innocent(*pid);
    start_daemon(&p[1], sleep_for_good, NULL);
    leave(0);
}

static void exit_terminates_its_own_daemons_only(void)
{
    int32_t *pid = test_shared(sizeof *pid);
    struct role role;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    role_start(&role, lose_a_daemon_and_exit, pid);
    role_wait_ok(&role, LIMIT_MS);
    end_innocent(*pid);
}

/* ---- the parent ---- */

struct family {
    uint32_t ready, go, done;
    int32_t asked_early;
    int32_t child;
};

static int ask_about_the_parent(void *arg)
{
    struct family *family = arg;
    family->child = getpid();
    if (family->asked_early)
        assert_true(ipc_process_is_alive(ipc_parent_process()));
    meet_signal(&family->ready);
    meet_wait(&family->go, 1, LIMIT_MS);
    ipc_process *parent = ipc_parent_process();
    assert_non_null(parent);
    CHECK(ipc_process_kill(parent), 0);
    assert_false(ipc_process_is_alive(parent));
    CHECK(ipc_process_terminate(parent), 0);
    CHECK(ipc_process_join(parent), 0);
    meet_signal(&family->done);
    return 0;
}

static void have_a_child(void *arg)
{
    ipc_process p;
    start(&p, ask_about_the_parent, arg);
    (void)sleep_for_good(NULL);
}

static void parent_that_ended_is_not_the_one_with_its_pid(void)
{
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    for (int i = 0; i < 2; i++) {
        struct family *family = test_shared(sizeof *family);
        struct role role;
        int status;
        family->asked_early = i;
        role_start(&role, have_a_child, family);
        const pid_t pid = role.pid;
        meet_wait(&family->ready, 1, LIMIT_MS);
        (void)role_kill(&role);
        start_innocent(pid);
        meet_signal(&family->go);
        meet_wait(&family->done, 1, LIMIT_MS);
        end_innocent(pid);
        assert_int_equal(waitpid(family->child, &status, 0), family->child);
        assert_int_equal(status, 0);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(child_that_ended_is_not_the_one_with_its_pid),
    TEST_CASE(child_without_descriptor_is_not_the_one_with_its_pid),
    TEST_CASE(exit_terminates_its_own_daemons_only),
    TEST_CASE(parent_that_ended_is_not_the_one_with_its_pid),
};
TEST_MAIN(cases)
