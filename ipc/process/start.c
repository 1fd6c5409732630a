/* Starting a process by fork(), and what the child does first and last.
 *
 * Cost
 *   A page that a new child writes, or runs for the first time, costs it a page
 *   fault, and ten of those a third of the fork.  On the way of every child
 *   the system calls are therefore made here and not in libc.
 *
 * Order
 *   [child→starter]  the child stores error before state, with release; the
 *   starter loads state with acquire.
 *
 * Death, of the starter
 *   before fork    nothing was started; a start block may stay taken (leaky);
 *   after fork     the child is a process without a parent: a daemon finds
 *                  that out in ipc__watch_parent() and ends.
 * Death, of the child
 *   before it reports   the starter's wait re-checks whether it lives; start
 *                       succeeds, and join tells how it ended;
 *   at any later time   an ordinary exit status. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ipc/process.h>
#include <ipc/shared.h>

#include "base/atomic.h"
#include "core/error.h"
#include "core/private_lock.h"
#include "core/waiting.h"
#include "kernel/futex.h"
#include "kernel/pidfd.h"
#include "kernel/syscall.h"
#include "memory/shared.h"
#include "process/internal.h"
#include "process/streams.h"
#include "thread/placement.h"

#define FORK_PATIENCE_NS ((int64_t)100 * 1000 * 1000)

/* ---- the child ---- */

static int set_rlimits(const ipc_process_options *options)
{
    for (uint32_t i = 0; i < options->rlimit_count; i++) {
        const ipc_process_rlimit *limit = &options->rlimits[i];
        const struct rlimit value = {limit->soft, limit->hard};
        if (setrlimit((__rlimit_resource_t)limit->resource, &value) != 0)
            return -errno;
    }
    return 0;
}

static bool needs_setup(const ipc_process_options *options)
{
    return options->daemon || options->cpu_count != 0 || options->nice != 0 ||
           options->rlimit_count != 0;
}

static int set_up(const ipc_process *process, int parent_pid)
{
    const ipc_process_options *options = &process->options_;
    int rc = ipc__run_on_cpus(options->cpus, options->cpu_count);
    if (rc == 0)
        rc = ipc__add_nice(options->nice);
    if (rc == 0 && options->daemon) /* its watcher inherits what is above */
        rc = ipc__watch_parent(parent_pid);
    if (rc == 0) /* last: they may leave no room for what is above */
        rc = set_rlimits(options);
    return rc;
}

static void report(struct ipc__start *start, enum ipc__start_state state)
{
    store_release(&start->state, state); /* [child→starter] */
    ipc__futex_wake(&start->state, INT_MAX);
}

/* The end of a child: its own threads and children, its own output, and nothing
 * of what its parent has set up for its own end. */
static _Noreturn void end_child(int code, struct ipc__start *start)
{
    ipc__tree_end();
    ipc__flush_pending();
    if (start != NULL) {
        start->code = code & 0xff;
        store_release(&start->state, IPC__START_EXITING);
    }
    (void)ipc__syscall1(SYS_exit_group, code);
    __builtin_unreachable();
}

/* The child has called exit().  Registered in the child, so it runs before
 * the handlers that its parent had set, and they stay undone. */
static void on_child_exit(int code, void *start)
{
    end_child(code, start);
}

static int run(ipc_process *self)
{
    const ipc_process_ops *ops = self->ops_;
    if (ops == NULL)
        return self->target_(self->arg_);
    int code = ops->on_start != NULL ? ops->on_start(self) : 0;
    if (code == 0) {
        code = ops->run(self);
        if (ops->on_exit != NULL)
            ops->on_exit(self, code);
    }
    return code;
}

/* What the starter had in its tree, which is wiped in the child. */
struct origin {
    char name[32];
    int place; /* see keep_place() */
    int parent_fd;
    const struct ipc__child *siblings;
};

/* The starter's pidfds are not ours. */
static void close_inherited(const struct origin *origin)
{
    const struct ipc__child *sibling = origin->siblings;
    for (; sibling != NULL; sibling = sibling->next)
        ipc__pidfd_close(sibling->fd);
    if (origin->parent_fd > 0)
        ipc__pidfd_close(origin->parent_fd);
    (void)ipc__syscall1(SYS_close, origin->place);
    ipc__watch_forget();
}

static _Noreturn void be_child(struct ipc__tree *tree,
                               const struct ipc__child *child,
                               const struct origin *origin)
{
    const ipc_process *process = child->process;
    struct ipc__start *start = child->start;
    close_inherited(origin);
    ipc__drop_inherited();
    ipc__tree_begin(tree, child, origin->name);
    (void)ipc__syscall2(SYS_prctl, PR_SET_NAME, child->name);

    if (needs_setup(&process->options_)) {
        const int rc = set_up(process, child->starter);
        start->error = rc;
        report(start, rc == 0 ? IPC__START_RUNNING : IPC__START_FAILED);
        if (rc != 0)
            _exit(1);
    }
    if (on_exit(on_child_exit, start) != 0)
        _exit(1);
    end_child(run(child->process), start);
}

/* ---- the starter ---- */

/* A descriptor number for the child's pidfd must be had before there is a
 * child: the starter's own pidfd keeps the place. */
static int keep_place(void)
{
    const int fd = ipc__pidfd_open(getpid());
    return fd >= 0 ? fd : ipc__fail(fd, "no file descriptor for a pidfd");
}

static void undo_child(pid_t pid)
{
    siginfo_t info;
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
        return; /* a stranger has waited for it: its pid may be anybody's */
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* With the tree's lock. */
static int fork_child(struct ipc__tree *tree, struct ipc__child *child)
{
    const int place = keep_place();
    if (place < 0)
        return place;
    struct origin origin = {
        .place = place, .parent_fd = tree->parent.fd, .siblings = tree->first};
    memcpy(origin.name, tree->current->name_, sizeof origin.name);
    const pid_t pid = fork();
    if (pid == 0)
        be_child(tree, child, &origin);
    const int error = errno;
    close(place);
    if (pid < 0)
        return ipc__fail(-error, "cannot fork %s: %s", child->name,
                         strerrordesc_np(error));
    child->pid = pid;
    child->fd = ipc__pidfd_open(pid);
    if (child->fd >= 0) {
        child->running = 1;
    } else if (child->fd == -ESRCH) { /* ended, and a stranger waited for it */
        ipc__child_set_lost(child);
    } else {
        undo_child(pid);
        return ipc__fail(child->fd, "no file descriptor for a pidfd");
    }
    ipc__tree_add(tree, child);
    return 0;
}

/* Wait until the child has set itself up.  0, or what it failed with, and
 * then it has ended. */
static int await_setup(struct ipc__child *child)
{
    const struct ipc__start *start = child->start;
    struct ipc__pace pace = {0};
    uint32_t state;
    while ((state = load_acquire(&start->state)) == IPC__START_BEGUN)
        if (ipc__sleep(&pace, &start->state, state, NULL, 0,
                       IPC_TIME_FOREVER) &&
            ipc__child_join(child, IPC_TIME_NOW) == 0)
            return 0; /* it was killed: join will tell */
    if (state != IPC__START_FAILED)
        return 0;
    const int rc = start->error;
    (void)ipc__child_join(child, IPC_TIME_FOREVER);
    ipc__child_forget(child);
    return ipc__fail(rc, "%s could not be set up: %s", child->name,
                     strerrordesc_np(-rc));
}

static int try_start(struct ipc__child *child)
{
    struct ipc__tree *tree = ipc__tree();
    ipc_process *process = child->process;
    ipc__private_lock(&tree->lock);
    if (process->name_[0] == '\0')
        snprintf(process->name_, sizeof process->name_, "Process-%u",
                 ++tree->named);
    memcpy(child->name, process->name_, sizeof child->name);
    /* Under the lock, so that no child of ours is forked while libc's own
     * lock for this is held. */
    int rc = ipc__tree_end_at_exit();
    if (rc == 0)
        rc = fork_child(tree, child);
    ipc__private_unlock(&tree->lock);
    return rc;
}

/* Where no more processes are allowed, one may end soon. */
static int start_child(struct ipc__child *child)
{
    const ipc_deadline deadline = ipc_after_ns(FORK_PATIENCE_NS);
    int64_t pause_ms = 1;
    int rc;
    ipc__flush_all();
    while ((rc = try_start(child)) == -EAGAIN && ipc_time_left(deadline) > 0) {
        ipc_sleep_until(ipc_after_ms(pause_ms));
        pause_ms *= 2;
    }
    return rc == 0 && needs_setup(&child->process->options_)
               ? await_setup(child)
               : rc;
}

/* Nobody will be able to wait for our children. */
static bool ignores_sigchld(void)
{
    struct sigaction action;
    return sigaction(SIGCHLD, NULL, &action) == 0 &&
           (action.sa_handler == SIG_IGN ||
            (action.sa_flags & SA_NOCLDWAIT) != 0);
}

static int new_child(ipc_process *process, struct ipc__child **out)
{
    void *start = NULL;
    struct ipc__child *child = calloc(1, sizeof *child);
    if (child == NULL)
        return ipc__fail(-ENOMEM, "no memory to start a process");
    int rc = ipc_shared_init();
    if (rc == 0 && (needs_setup(&process->options_) || ignores_sigchld()))
        rc = ipc__shared_alloc(sizeof *child->start, &start);
    if (rc != 0) {
        free(child);
        return rc;
    }
    child->start = start;
    child->process = process;
    child->daemon = process->options_.daemon;
    child->starter = getpid();
    *out = child;
    return 0;
}

int ipc_process_start(ipc_process *process)
{
    struct ipc__child *child = NULL;
    if (process->state_ != IPC__PROCESS_READY)
        return ipc__fail(-EINVAL, "the process was not init'ed");
    if (process->child_ != NULL)
        return ipc__fail(-EALREADY, "%s was started", process->name_);
    if (process->error_ != 0)
        return ipc__fail(process->error_, "the process's init had failed");
    if (ipc_current_process() == NULL)
        return ipc__fail(-ENOSYS, "the kernel lacks MADV_WIPEONFORK");

    int rc = new_child(process, &child);
    if (rc != 0)
        return rc;
    process->child_ = child; /* before the fork: the child has it too */
    rc = start_child(child);
    if (rc != 0) {
        process->child_ = NULL;
        (void)ipc_shared_free(child->start);
        free(child);
    }
    return rc;
}
