/* Processes of a program that waits for children in other ways, too. */
#include "unit/process_support.h"

#include <poll.h>
#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "kernel/pidfd.h"

/* ---- the status is taken by others ---- */

/* How a child may end, and whether a status that others took is lost. */
static const struct ending {
    int (*target)(void *);
    int value, code;
    bool lost;
} endings[] = {{return_it, 7, 7, false},
               {return_it, 0, 0, false},
               {return_it, 300, 44, false},
               {sleep_for_good, 0, -SIGKILL, true},
               {come_and_stay, 0, 0, false}};

/* Newer kernels keep the status with the pidfd. */
static bool kernel_remembers(void)
{
    int status = -1;
    const pid_t pid = fork();
    if (pid == 0)
        _exit(3);
    const int fd = ipc__pidfd_open(pid);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    status = -1;
    const bool remembers =
        ipc__pidfd_exit_status(fd, &status) == 0 && status == 3 << 8;
    (void)close(fd);
    return remembers;
}

static bool may_be_lost; /* also of a child that ended by itself */

static void expect_code_or_lost(ipc_process *process,
                                const struct ending *ending)
{
    int code = 4711;
    const int rc = ipc_process_exitcode(process, &code);
    if ((ending->lost || may_be_lost) && rc == -ECHILD)
        assert_int_equal(code, 4711);
    else
        assert_true(rc == 0 && code == ending->code);
}

static void end_one(const struct ending *ending, void (*taken)(pid_t pid),
                    const ipc_process_options *options)
{
    uint32_t *words = test_shared(2 * sizeof *words);
    int value = ending->value;
    ipc_process p;
    start_with(&p, ending->target,
               ending->target == come_and_stay ? (void *)words : &value,
               options);
    if (ending->lost)
        CHECK(ipc_process_kill(&p), 0);
    meet_signal(&words[1]);
    taken(ipc_process_pid(&p));
    if (ending->value == 0)
        CHECK(ipc_process_join(&p), 0);
    else
        CHECK(ipc_process_join_until(&p, ipc_after_ms(LIMIT_MS)), 0);
    assert_false(ipc_process_is_alive(&p));
    CHECK(ipc_process_terminate(&p), 0);
    expect_code_or_lost(&p, ending);
    CHECK(ipc_process_join_nowait(&p), 0);
    CHECK(ipc_process_close(&p), 0);
    assert_int_equal(ipc_active_children(NULL, 0), 0);
}

static void end_all(void (*taken)(pid_t pid))
{
    const ipc_process_options daemon = {.size = sizeof daemon, .daemon = true};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        end_one(&endings[i], taken, NULL);
        end_one(&endings[i], taken, &daemon);
    }
}

static void do_nothing(pid_t pid)
{
    (void)pid;
}

static void sigchld_ignored(void)
{
    (void)signal(SIGCHLD, SIG_IGN);
    end_all(do_nothing);
    (void)signal(SIGCHLD, SIG_DFL);
}

static void wait_for_any(pid_t pid)
{
    assert_int_equal(waitpid(-1, NULL, 0), pid);
}

static void stranger_waits_for_any_child(void)
{
    may_be_lost = !kernel_remembers();
    end_all(wait_for_any);
}

static bool steal;

static void steal_all_children(void)
{
    while (steal && (waitpid(-1, NULL, 0) > 0 || errno == EINTR))
        continue;
}

/* As a thread that sits in wait(), or SIGCHLD ignored, on a busy machine: the
 * child is over and gone before start() has opened a descriptor of it. */
static void stranger_is_faster_than_start(void)
{
    assert_int_equal(pthread_atfork(NULL, steal_all_children, NULL), 0);
    for (int i = 0; i < 3; i++) {
        int value = 7 * i;
        int code = 4711;
        ipc_process p;
        steal = true;
        start(&p, return_it, &value);
        steal = false;
        CHECK(ipc_process_join(&p), 0);
        assert_false(ipc_process_is_alive(&p));
        CHECK(ipc_process_terminate(&p), 0);
        /* Nobody can tell: there was never a pidfd to ask. */
        CHECK(ipc_process_exitcode(&p, &code), -ECHILD);
        CHECK(ipc_process_close(&p), 0);
    }
}

/* The kernel takes the status then, and the child leaves its exit code. */
static void sigchld_ignored_and_the_child_faster_than_start(void)
{
    assert_int_equal(pthread_atfork(NULL, steal_all_children, NULL), 0);
    (void)signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 3; i++) {
        int value = 7 * i;
        ipc_process p;
        steal = true;
        start(&p, return_it, &value);
        steal = false;
        assert_false(ipc_process_is_alive(&p));
        assert_int_equal(end_of(&p), value);
    }
    (void)signal(SIGCHLD, SIG_DFL);
}

/* ---- a debugger ---- */

struct tracing {
    uint32_t attached, go, reaped;
    int32_t pid;
};

/* Under strace or a debugger the end of a child is its tracer's to see
 * first. */
static void trace_and_take_your_time(void *arg)
{
    struct tracing *tracing = arg;
    int status;
    if (ptrace(PTRACE_SEIZE, tracing->pid, NULL, NULL) != 0)
        test_skip("ptrace is not permitted: %m");
    meet_signal(&tracing->attached);
    meet_wait(&tracing->go, 1, LIMIT_MS);
    assert_int_equal(waitpid(tracing->pid, &status, __WALL), tracing->pid);
}

static void traced_child_has_the_right_exit_code(void)
{
    struct tracing *tracing = test_shared(sizeof *tracing);
    uint32_t *words = test_shared(2 * sizeof *words);
    struct role tracer;
    ipc_process p;
    int code = 0;
    start(&p, sleep_for_good, words);
    tracing->pid = ipc_process_pid(&p);
    role_start(&tracer, trace_and_take_your_time, tracing);
    while (!meet_within(&tracing->attached, 1, 10))
        if (thread_ended(tracer.pid))
            break; /* skipped */
    CHECK(ipc_process_kill(&p), 0);
    struct pollfd item = {.fd = ipc_process_fd(&p), .events = POLLIN};
    assert_int_equal(poll(&item, 1, LIMIT_MS), 1);
    const int rc = ipc_process_exitcode(&p, &code);
    assert_true(rc == -EAGAIN || (rc == 0 && code == -SIGKILL));
    (void)ipc_process_join_until(&p, ipc_after_ms(10));
    meet_signal(&tracing->go);
    assert_int_equal(end_of(&p), -SIGKILL);
    role_wait_ok(&tracer, LIMIT_MS);
}

/* ---- other children ---- */

static volatile sig_atomic_t sigchlds;

static void on_sigchld(int sig)
{
    (void)sig;
    sigchlds = sigchlds + 1;
}

static void children_of_the_program_are_not_touched(void)
{
    struct sigaction action = {.sa_handler = on_sigchld};
    struct sigaction now;
    assert_int_equal(sigaction(SIGCHLD, &action, NULL), 0);
    pid_t own[3];
    for (int i = 0; i < 3; i++) {
        own[i] = fork();
        if (own[i] == 0)
            _exit(40 + i);
        siginfo_t info;
        assert_int_equal(waitid(P_PID, (id_t)own[i], &info, WEXITED | WNOWAIT),
                         0);
    }
    for (int i = 0; i < 10; i++) {
        ipc_process p;
        start(&p, return_zero, NULL);
        (void)ipc_active_children(NULL, 0);
        assert_int_equal(end_of(&p), 0);
    }
    for (int i = 0; i < 3; i++) {
        int status;
        assert_int_equal(waitpid(own[i], &status, 0), own[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 40 + i);
    }
    assert_int_equal(sigaction(SIGCHLD, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, on_sigchld);
    assert_true(sigchlds > 0);
}

static const struct test_case cases[] = {
    TEST_CASE(sigchld_ignored),
    TEST_CASE(stranger_waits_for_any_child),
    TEST_CASE(stranger_is_faster_than_start),
    TEST_CASE(sigchld_ignored_and_the_child_faster_than_start),
    TEST_CASE(traced_child_has_the_right_exit_code),
    TEST_CASE(children_of_the_program_are_not_touched),
};
TEST_MAIN(cases)
