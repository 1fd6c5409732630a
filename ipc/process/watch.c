/* The watcher of a daemon child: ends it when its parent is gone.
 *
 * PR_SET_PDEATHSIG would be simpler, but it fires when the parent's *thread*
 * that forked ends, and a program may well start its daemons from a thread
 * that goes away.  A pidfd stands for the whole process.
 *
 * The watcher is a bare kernel thread, known to the kernel only: it makes raw
 * system calls, touches no thread-local data, and never returns to libc.  So
 * libc goes on taking the child for single-threaded: fork(), malloc() and the
 * end of the process are not affected, and pthread_exit() of the last real
 * thread still ends the process.
 *
 * Death
 *   It dies with its process, by whatever cause.  In a fork of its process it
 *   does not exist; a daemon forked there gets its own, on the same stack,
 *   which is a copy by then. */
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "core/error.h"
#include "kernel/pidfd.h"
#include "kernel/syscall.h"
#include "process/internal.h"

#define STACK_BYTES 16384
#define NOBODY      65534
#define RECHECK_NS  80000000 /* a daemon ends within 100 ms of its parent */

/* The kernel's signal set, all of it: libc's macros spare its own signals. */
#define KERNEL_SIGSET_BYTES 8

static struct {
    int fd;  /* -1: the program has closed it */
    int pid; /* 0: nobody is watched */
    bool is_parent;
    unsigned char stack[STACK_BYTES] __attribute__((aligned(64)));
} watch;

/* Sanitizers would have it use the thread-local data of another thread. */
#define NO_SANITIZER                                                           \
    __attribute__((no_sanitize("address", "thread", "undefined")))

/* clone() by the name that sanitizers do not intercept: theirs keeps things on
 * the stack of the caller. */
/* NOLINTNEXTLINE(readability-identifier-naming): libc's name */
extern int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);

/* The watcher needs no rights: a process may always kill itself.  libc does
 * not know it, so a daemon that gives up its rights would leave it with them;
 * it gives them up at once.  (Changing the user makes the process undumpable,
 * which is put back.) */
static NO_SANITIZER void drop_rights(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}};
    if (ipc__syscall0(SYS_geteuid) == 0) {
        const long dumpable = ipc__syscall1(SYS_prctl, PR_GET_DUMPABLE);
        (void)ipc__syscall2(SYS_setgroups, 0, 0);
        (void)ipc__syscall3(SYS_setresgid, NOBODY, NOBODY, NOBODY);
        (void)ipc__syscall3(SYS_setresuid, NOBODY, NOBODY, NOBODY);
        (void)ipc__syscall2(SYS_prctl, PR_SET_DUMPABLE, dumpable);
    }
    (void)ipc__syscall2(SYS_capset, &header, none);
}

/* A parent is gone when there is another one.  Of any other process only its
 * pidfd can tell; without that its pid, which it may share. */
static NO_SANITIZER bool is_gone(bool ready)
{
    if (watch.is_parent)
        return ipc__syscall0(SYS_getppid) != watch.pid;
    if (ready)
        return ipc__syscall4(SYS_pidfd_send_signal, watch.fd, 0, 0, 0) !=
               -EBADF;
    return watch.fd < 0 && ipc__syscall2(SYS_kill, watch.pid, 0) == -ESRCH;
}

static NO_SANITIZER int watcher(void *unused)
{
    (void)unused;
    drop_rights();
    for (;;) {
        /* Bounded: the program may have closed the descriptor and opened
         * another file under its number. */
        struct pollfd item = {watch.fd, POLLIN, 0};
        struct timespec pause = {0, RECHECK_NS};
        long rc = 0;
        if (watch.fd >= 0)
            rc = ipc__syscall5(SYS_ppoll, &item, 1, &pause, 0, 0);
        else
            (void)ipc__syscall2(SYS_nanosleep, &pause, 0);

        if (is_gone(rc > 0 && (item.revents & POLLIN) != 0))
            (void)ipc__syscall2(SYS_kill, ipc__syscall0(SYS_getpid), SIGKILL);
        /* Ready, and the parent lives: the number is another file's now.  Or
         * the limit on descriptors has become so low that none can be waited
         * for. */
        if (rc != 0 && rc != -EINTR)
            watch.fd = -1;
    }
    return 0;
}

void ipc__watch_forget(void)
{
    if (watch.pid == 0)
        return;
    ipc__pidfd_close(watch.fd);
    watch.pid = 0;
}

static int begin(int pid, int fd, bool is_parent)
{
    watch.fd = fd;
    watch.pid = pid;
    watch.is_parent = is_parent;

    uint64_t all = UINT64_MAX;
    uint64_t before = 0;
    (void)ipc__syscall4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before,
                        KERNEL_SIGSET_BYTES);
    const int tid = __clone(watcher, watch.stack + STACK_BYTES,
                            CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
                                CLONE_THREAD | CLONE_SYSVSEM,
                            NULL);
    const int error = errno;
    (void)ipc__syscall4(SYS_rt_sigprocmask, SIG_SETMASK, &before, 0,
                        KERNEL_SIGSET_BYTES);
    if (tid > 0)
        return 0;
    ipc__watch_forget();
    return ipc__fail(-error, "the daemon cannot watch its parent");
}

int ipc__watch_parent(int parent_pid)
{
    if (getppid() == 0)
        return ipc__fail(-EXDEV, "the daemon's parent is in another pid "
                                 "namespace");
    const int fd = ipc__pidfd_open(parent_pid); /* or poll, without one */
    /* Opened first, asked then: a parent that died before left its pid to
     * anybody. */
    if (getppid() != parent_pid)
        (void)kill(getpid(), SIGKILL);
    return begin(parent_pid, fd, true);
}

int ipc__watch_process(int pid, int pidfd)
{
    return begin(pid, pidfd, false);
}
