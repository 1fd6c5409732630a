/* Starting a fresh image of this program.
 *
 * The child shares this process's memory until it has become the new image, as
 * a child of vfork() does: the time that takes does not depend on how much
 * memory there is, and no handler of pthread_atfork() runs.  So it makes raw
 * system calls, on a stack of its own, and touches nothing else; its signal
 * handlers, which would run in this memory, are gone before it lets signals
 * through.
 *
 * It becomes /proc/self/exe: the file that this process runs, whatever its
 * name stands for by now. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "core/error.h"
#include "kernel/syscall.h"
#include "process/fresh.h"

#ifndef SYS_close_range
#    define SYS_close_range 436
#endif

#define STACK_BYTES         16384
#define KERNEL_SIGSET_BYTES 8
#define SIGNALS             64

/* Sanitizers would have it use the thread-local data of its parent. */
#define NO_SANITIZER                                                           \
    __attribute__((no_sanitize("address", "thread", "undefined")))

/* NOLINTNEXTLINE(readability-identifier-naming): as in watch.c */
extern int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);

struct image {
    const struct ipc__orders *orders;
    struct ipc__start *start;
    char **argv;
    char **envp;
    int extra;
    uint64_t signals; /* the mask to begin with */
};

/* The kernel's struct sigaction, of which the first word counts. */
struct kernel_action {
    uintptr_t handler;
    uint64_t rest[3];
};

/* What is ignored stays so, as after any exec. */
static NO_SANITIZER void drop_handlers(void)
{
    for (int sig = 1; sig <= SIGNALS; sig++) {
        struct kernel_action action;
        action.handler = 0;
        (void)ipc__syscall4(SYS_rt_sigaction, sig, 0, &action,
                            KERNEL_SIGSET_BYTES);
        if (action.handler == (uintptr_t)SIG_DFL ||
            action.handler == (uintptr_t)SIG_IGN)
            continue;
        action.handler = (uintptr_t)SIG_DFL;
        action.rest[0] = 0;
        action.rest[1] = 0;
        action.rest[2] = 0;
        (void)ipc__syscall4(SYS_rt_sigaction, sig, &action, 0,
                            KERNEL_SIGSET_BYTES);
    }
}

static NO_SANITIZER long keep(int fd)
{
    return fd < 0 ? 0 : ipc__syscall3(SYS_fcntl, fd, F_SETFD, 0);
}

static NO_SANITIZER long choose_descriptors(const struct image *image)
{
    const struct ipc__orders *orders = image->orders;
    long rc = ipc__syscall3(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC);
    for (int fd = 0; fd <= 2; fd++)
        (void)keep(fd); /* it may be closed */
    for (uint32_t i = 0; i < orders->request.fd_count && rc >= 0; i++)
        rc = keep(orders->fds[i].number);
    if (rc >= 0)
        rc = keep(orders->request.family.fd);
    if (rc >= 0)
        rc = keep(orders->fd);
    return rc >= 0 ? keep(image->extra) : rc;
}

static NO_SANITIZER int become(void *arg)
{
    const struct image *image = arg;
    struct ipc__start *start = image->start;
    start->pid = (int32_t)ipc__syscall0(SYS_getpid);
    drop_handlers();
    long rc = choose_descriptors(image);
    (void)ipc__syscall4(SYS_rt_sigprocmask, SIG_SETMASK, &image->signals, 0,
                        KERNEL_SIGSET_BYTES);
    if (rc >= 0)
        rc = ipc__syscall3(SYS_execve, "/proc/self/exe", image->argv,
                           image->envp);
    start->error = (int32_t)rc;
    start->step = IPC__STEP_EXEC;
    __atomic_store_n(&start->state, IPC__START_FAILED, __ATOMIC_RELEASE);
    (void)ipc__syscall1(SYS_exit_group, 127);
    return 0;
}

static int start_image(struct image *image)
{
    unsigned char *stack = malloc(STACK_BYTES);
    if (stack == NULL)
        return -ENOMEM;
    uint64_t all = UINT64_MAX;
    (void)ipc__syscall4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &image->signals,
                        KERNEL_SIGSET_BYTES);
    const int pid = __clone(become, stack + STACK_BYTES,
                            CLONE_VM | CLONE_VFORK | SIGCHLD, image);
    const int error = errno;
    (void)ipc__syscall4(SYS_rt_sigprocmask, SIG_SETMASK, &image->signals, 0,
                        KERNEL_SIGSET_BYTES);
    free(stack);
    return pid >= 0 ? pid : -error;
}

/* The environment, and one variable more. */
static char **environment_with(char *variable)
{
    size_t count = 0;
    while (environ != NULL && environ[count] != NULL)
        count++;
    char **envp = malloc((count + 2) * sizeof *envp);
    if (envp == NULL)
        return NULL;
    if (count > 0)
        memcpy(envp, environ, count * sizeof *envp);
    envp[count] = variable;
    envp[count + 1] = NULL;
    return envp;
}

int ipc__image_start(const struct ipc__orders *orders, int extra)
{
    char variable[64];
    (void)snprintf(variable, sizeof variable, IPC__FRESH_VARIABLE "=%d,0",
                   orders->fd);
    char **envp = environment_with(variable);
    struct image image = {
        .orders = orders,
        .start = (struct ipc__start *)(uintptr_t)orders->request.start,
        .argv = ipc__fresh_argv(),
        .envp = envp,
        .extra = extra,
    };
    if (envp == NULL)
        return ipc__fail(-ENOMEM, "no memory for the environment of %s",
                         orders->request.name);
    const int pid = start_image(&image);
    free(envp);
    return pid >= 0 ? pid
                    : ipc__fail(pid, "cannot start %s: %s",
                                orders->request.name, strerrordesc_np(-pid));
}
