/* Roles: plain forked processes that play a part in a case. */
#include "harness/role.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

void role_exit(int code)
{
    (void)fflush(stdout);
    _exit(code);
}

void role_start(struct role *role, void (*fn)(void *arg), void *arg)
{
    pid_t parent = getpid();
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        test_fail("cannot fork a role: %m");
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        fn(arg);
        role_exit(0);
    }
    role->pid = pid;
}

static bool poll_end(int pidfd, int limit_ms)
{
    int64_t end = test_now_ns() + (int64_t)limit_ms * 1000000;
    for (;;) {
        int64_t left = (end - test_now_ns() + 999999) / 1000000;
        struct pollfd item = {.fd = pidfd, .events = POLLIN};
        int rc = poll(&item, 1, left > 0 ? (int)left : 0);
        if (rc > 0)
            return true;
        if (left <= 0)
            return false;
    }
}

/* Children are ours until we wait for them, so the pid is not reused. */
static int reap(struct role *role)
{
    int status = 0;
    while (waitpid(role->pid, &status, 0) < 0)
        if (errno != EINTR)
            test_fail("waiting for a role: %m");
    role->pid = 0;
    return status;
}

bool role_dead_within(struct role *role, int limit_ms, int *status)
{
    int fd = (int)syscall(SYS_pidfd_open, role->pid, 0);
    if (fd < 0)
        test_fail("pidfd_open of a role: %m");
    bool ended = poll_end(fd, limit_ms);
    (void)close(fd);
    if (ended)
        *status = reap(role);
    return ended;
}

int role_wait_dead_at(struct role *role, int limit_ms, const char *file,
                      int line)
{
    int status = 0;
    if (!role_dead_within(role, limit_ms, &status))
        test_fail_at(file, line, "role %d has not ended after %d ms",
                     (int)role->pid, limit_ms);
    return status;
}

void role_wait_ok_at(struct role *role, int limit_ms, const char *file,
                     int line)
{
    pid_t pid = role->pid;
    int status = role_wait_dead_at(role, limit_ms, file, line);
    if (WIFSIGNALED(status))
        test_fail_at(file, line, "role %d was killed by SIG%s", (int)pid,
                     sigabbrev_np(WTERMSIG(status)));
    if (WEXITSTATUS(status) == TEST_SKIPPED)
        _exit(TEST_SKIPPED); /* the reason is known already */
    if (status != 0)
        test_fail_at(file, line, "role %d ended with code %d", (int)pid,
                     WEXITSTATUS(status));
}

int role_kill(struct role *role)
{
    if (role->pid <= 0)
        return 0;
    (void)kill(role->pid, SIGKILL);
    return reap(role);
}

/* False: it has ended, and is to be waited for. */
static bool change(const struct role *role, int signal_number, int what)
{
    siginfo_t info;
    if (kill(role->pid, signal_number) != 0 ||
        waitid(P_PID, (id_t)role->pid, &info, what | WEXITED | WNOWAIT) != 0)
        test_fail("signal to a role: %m");
    if (info.si_code != CLD_STOPPED && info.si_code != CLD_CONTINUED)
        return false;
    (void)waitid(P_PID, (id_t)role->pid, &info, what);
    return true;
}

void role_stop(struct role *role)
{
    if (!change(role, SIGSTOP, WSTOPPED))
        test_fail("role %d has ended instead of stopping", (int)role->pid);
}

void role_cont(struct role *role)
{
    (void)change(role, SIGCONT, WCONTINUED); /* or it has run to its end */
}

void role_stop_outside(struct role *role, const void *guard)
{
    const uint32_t *word = guard;
    role_stop(role);
    while ((__atomic_load_n(word, __ATOMIC_ACQUIRE) & FUTEX_TID_MASK) ==
           (uint32_t)role->pid) {
        role_cont(role);
        poll_pause();
        role_stop(role);
    }
}

int role_try(void (*fn)(void *arg), void *arg, int limit_ms)
{
    struct role role;
    int status = 0;
    role_start(&role, fn, arg);
    if (!role_dead_within(&role, limit_ms, &status)) {
        (void)role_kill(&role);
        return ROLE_HUNG;
    }
    return WIFSIGNALED(status) ? ROLE_SIGNAL + WTERMSIG(status)
                               : WEXITSTATUS(status);
}
