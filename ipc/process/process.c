/* The process object: describe, join, ask, signal, close.
 *
 * State
 *   child->running   1 from the start (start.c) until the status was taken,
 *                    or taken by somebody else.  0 is stored with release
 *                    after exitcode and lost; readers load it with acquire.
 *   reaping          under the tree's lock, so that of several joiners one
 *                    takes the status from the kernel and all find it.
 *
 * Order
 *   [template→starter]  the template stores a child's status, then ended, with
 *   release; the starter loads ended with acquire.
 *
 * Death
 *   Nothing here is shared but the start block, which the child and the
 *   template write. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ipc/process.h>
#include <ipc/shared.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/options.h"
#include "core/error.h"
#include "core/private_lock.h"
#include "core/waiting.h"
#include "kernel/pidfd.h"
#include "process/internal.h"

#define POLL_MS   50   /* where there is no descriptor to sleep on */
#define STATUS_MS 1000 /* for the template to tell how its child ended */

/* ---- describe ---- */

static int copy_argument(ipc_process *process)
{
    const size_t size = process->options_.arg_bytes;
    if (size == 0)
        return 0;
    if (process->arg_ == NULL)
        return ipc__fail(-EINVAL, "arg_bytes is %zu and arg is NULL", size);
    process->arg_copy_ = malloc(size);
    if (process->arg_copy_ == NULL)
        return ipc__fail(-ENOMEM, "no memory to copy %zu bytes", size);
    memcpy(process->arg_copy_, process->arg_, size);
    process->arg_ = process->arg_copy_;
    return 0;
}

static int init(ipc_process *process, const ipc_process_options *options)
{
    int rc = ipc__options_read(&process->options_, sizeof process->options_,
                               options);
    if (rc != 0) {
        memset(&process->options_, 0, sizeof process->options_);
        rc = ipc__fail(rc, "process options of a size that is not known");
    }
    if (process->options_.name != NULL)
        snprintf(process->name_, sizeof process->name_, "%s",
                 process->options_.name);
    process->options_.name = NULL; /* the copy counts */
    if (rc == 0)
        rc = copy_argument(process);
    process->error_ = rc; /* start() reports it again */
    process->state_ = IPC__PROCESS_READY;
    return rc;
}

int ipc_process_init(ipc_process *process, int (*target)(void *arg), void *arg,
                     const ipc_process_options *options)
{
    memset(process, 0, sizeof *process);
    process->target_ = target;
    process->arg_ = arg;
    return init(process, options);
}

int ipc_process_init_ops(ipc_process *process, const ipc_process_ops *ops,
                         const ipc_process_options *options)
{
    memset(process, 0, sizeof *process);
    process->ops_ = ops;
    int rc = init(process, options);
    if (rc == 0 && (ops->run == NULL || process->arg_copy_ != NULL)) {
        rc = ipc__fail(-EINVAL, "process ops without run");
        process->error_ = rc;
    }
    return rc;
}

static int check_ready(const ipc_process *process)
{
    return process->child_ == NULL
               ? 0
               : ipc__fail(-EBUSY, "%s was started", process->name_);
}

int ipc_process_set_name(ipc_process *process, const char *name)
{
    const int rc = check_ready(process);
    if (rc == 0)
        snprintf(process->name_, sizeof process->name_, "%s", name);
    return rc;
}

int ipc_process_set_daemon(ipc_process *process, bool daemon)
{
    const int rc = check_ready(process);
    if (rc == 0)
        process->options_.daemon = daemon;
    return rc;
}

/* ---- how it ended ---- */

static void set_ended(struct ipc__child *child, int exitcode)
{
    child->exitcode = exitcode;
    store_release(&child->running, 0);
}

static void set_ended_by(struct ipc__child *child, int wait_status)
{
    child->core = WIFSIGNALED(wait_status) && WCOREDUMP(wait_status);
    set_ended(child, WIFEXITED(wait_status) ? WEXITSTATUS(wait_status)
                                            : -WTERMSIG(wait_status));
}

static void set_ended_as(struct ipc__child *child, const siginfo_t *info)
{
    child->core = info->si_code == CLD_DUMPED;
    set_ended(child,
              info->si_code == CLD_EXITED ? info->si_status : -info->si_status);
}

/* Somebody else took the status, or the program ignores SIGCHLD.  Newer
 * kernels remember it with the pidfd; for the other case the child leaves its
 * exit code. */
void ipc__child_set_lost(struct ipc__child *child)
{
    const struct ipc__start *start = child->start;
    int status;
    if (ipc__pidfd_exit_status(child->fd, &status) == 0) {
        set_ended_by(child, status);
    } else if (start != NULL &&
               load_acquire(&start->state) == IPC__START_EXITING) {
        set_ended(child, start->code);
    } else {
        child->lost = true;
        set_ended(child, 0);
    }
}

/* waitid(), by pidfd or, when the program has closed that, by pid: the pid of
 * a child that was not waited for is its own. */
static int wait_for(const struct ipc__child *child, siginfo_t *info, int flags)
{
    int rc;
    do {
        info->si_pid = 0;
        rc = waitid(P_PIDFD, (id_t)child->fd, info, flags);
        if (rc != 0 && (errno == EBADF || errno == EINVAL))
            rc = waitid(P_PID, (id_t)child->pid, info, flags);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : -errno;
}

static int wait_for_pidfd(const struct ipc__child *child, ipc_deadline deadline)
{
    const int rc =
        child->fd >= 0 ? ipc__pidfd_wait(child->fd, deadline) : -EBADF;
    if (rc == 0 || rc == -ETIMEDOUT)
        return rc;
    /* No descriptor: look now and then. */
    if (ipc_time_left(deadline) == 0)
        return -ETIMEDOUT;
    ipc_sleep_until(ipc_after_ms(POLL_MS));
    return 0;
}

/* ---- children of a template ---- */

static bool has_status(const struct ipc__child *child)
{
    return load_acquire(&child->start->ended) != 0; /* [template→starter] */
}

/* Is this process, which is not our child to the kernel, dead?  Without a
 * descriptor its pid tells, in time. */
static bool is_dead(const struct ipc__child *child)
{
    const int rc =
        child->fd >= 0 ? ipc__pidfd_wait(child->fd, IPC_TIME_NOW) : -EBADF;
    return rc == 0 ||
           (rc == -EBADF && kill(child->pid, 0) != 0 && errno == ESRCH);
}

/* The child is dead, and its template is about to say how that came about,
 * unless it is dead too, or stopped. */
static void await_status(const struct ipc__child *child)
{
    const ipc_deadline deadline = ipc_after_ms(STATUS_MS);
    struct ipc__pace pace = {0};
    while (!has_status(child) && !ipc__server_is_gone(child->server) &&
           ipc_time_left(deadline) > 0)
        (void)ipc__sleep(&pace, &child->start->ended, 0, NULL, 0, deadline);
}

/* The template cannot tell.  If we are the one whom orphans come to, the
 * kernel can. */
static void take_orphan(struct ipc__child *child)
{
    siginfo_t info;
    if (wait_for(child, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
        ipc__child_set_lost(child);
    else
        set_ended_as(child, &info);
}

static void reap_by_server(struct ipc__child *child)
{
    if (!has_status(child)) {
        if (!is_dead(child))
            return;
        await_status(child);
    }
    if (has_status(child))
        set_ended_by(child, child->start->status);
    else
        take_orphan(child);
}

/* Sleep until the template has spoken, or it is time to look whether it
 * lives. */
static int wait_for_server(const struct ipc__child *child,
                           ipc_deadline deadline)
{
    struct ipc__pace pace = {0};
    if (ipc__server_is_gone(child->server))
        return wait_for_pidfd(child, deadline);
    while (!has_status(child) && ipc_time_left(deadline) > 0)
        if (ipc__sleep(&pace, &child->start->ended, 0, NULL, 0, deadline))
            return 0;
    return has_status(child) ? 0 : -ETIMEDOUT;
}

/* ---- wait ---- */

void ipc__child_reap(struct ipc__child *child)
{
    siginfo_t info;
    if (!child->running)
        return;
    if (child->server != NULL) {
        reap_by_server(child);
        return;
    }
    const int rc = wait_for(child, &info, WEXITED | WNOHANG);
    if (rc == 0 && info.si_pid == 0)
        return; /* it runs, or a tracer has not let go of it */
    if (rc != 0)
        ipc__child_set_lost(child);
    else
        set_ended_as(child, &info);
}

/* Sleep until it has ended, leaving a child's status to ipc__child_reap().
 * Without a deadline this is one blocking system call. */
static int wait_end(const struct ipc__child *child, ipc_deadline deadline)
{
    siginfo_t info;
    if (child->server != NULL)
        return wait_for_server(child, deadline);
    if (child->relation == IPC__CHILD && deadline == IPC_TIME_FOREVER &&
        wait_for(child, &info, WEXITED | WNOWAIT) == 0)
        return 0;
    return wait_for_pidfd(child, deadline);
}

static bool is_gone(const struct ipc__tree *tree,
                    const struct ipc__child *relative)
{
    return tree->adopted ? is_dead(relative) : getppid() != relative->pid;
}

void ipc__child_collect(struct ipc__child *child)
{
    struct ipc__tree *tree = ipc__tree();
    ipc__private_lock(&tree->lock);
    if (child->relation == IPC__CHILD) {
        ipc__child_reap(child);
    } else if (child->running && is_gone(tree, child)) {
        child->lost = true;
        set_ended(child, 0);
    }
    ipc__private_unlock(&tree->lock);
}

int ipc__child_join(struct ipc__child *child, ipc_deadline deadline)
{
    if (child->relation == IPC__SELF)
        return ipc__fail(-EDEADLK, "%s cannot join itself", child->name);
    while (load_acquire(&child->running)) {
        const int rc = wait_end(child, deadline);
        ipc__child_collect(child);
        if (!load_acquire(&child->running))
            break;
        if (rc == -ETIMEDOUT || ipc_time_left(deadline) == 0)
            return ipc__fail(deadline == IPC_TIME_NOW ? -EAGAIN : -ETIMEDOUT,
                             "%s (pid %d) is running", child->name,
                             (int)child->pid);
        /* Dead, but its tracer has not let go of it. */
        ipc_sleep_until(ipc_after_ms(1));
    }
    return 0;
}

void ipc__child_forget(struct ipc__child *child)
{
    struct ipc__tree *tree = ipc__tree();
    ipc__private_lock(&tree->lock);
    ipc__tree_remove(tree, child);
    ipc__private_unlock(&tree->lock);
    ipc__pidfd_close(child->fd);
    child->fd = -1;
}

void ipc__child_free_start(struct ipc__child *child)
{
    /* A template that is stopped may still write to it. */
    if (child->server == NULL || has_status(child) ||
        ipc__server_is_gone(child->server))
        (void)ipc_shared_free(child->start);
    child->start = NULL;
    if (child->server != NULL)
        ipc__server_put(child->server);
    child->server = NULL;
}

void ipc__child_let_go(struct ipc__child *child)
{
    struct ipc__tree *tree = ipc__tree();
    ipc__private_lock(&tree->lock);
    child->holders--;
    const bool last = child->holders == 0 && child->closed;
    ipc__private_unlock(&tree->lock);
    if (last)
        free(child);
}

/* Is it ours to wait for still, so that its pid is its own? */
static bool has_its_pid(const struct ipc__child *child)
{
    siginfo_t info;
    if (child->server != NULL)
        return !has_status(child) && !ipc__server_is_gone(child->server);
    return waitid(P_PID, (id_t)child->pid, &info,
                  WEXITED | WNOHANG | WNOWAIT) == 0;
}

int ipc__child_signal(struct ipc__child *child, int sig)
{
    if (!load_acquire(&child->running))
        return 0;
    int rc = child->fd >= 0 ? ipc__pidfd_signal(child->fd, sig) : -EBADF;
    if (rc == -EBADF && child->relation == IPC__CHILD)
        rc = !has_its_pid(child) || kill(child->pid, sig) == 0 ? 0 : -errno;
    return rc == -ESRCH ? 0 : rc;
}

/* The record of a started process that this process may ask about, or why
 * not. */
static int get_child(const ipc_process *process, struct ipc__child **out)
{
    struct ipc__child *child = ipc__tree_record(process);
    if (process->state_ != IPC__PROCESS_READY || child == NULL)
        return ipc__fail(-EINVAL, "%s was not started",
                         process->name_[0] != '\0' ? process->name_
                                                   : "the process");
    if (child->starter != getpid())
        return ipc__fail(-ECHILD, "%s was started by pid %d, this is pid %d",
                         process->name_, (int)child->starter, (int)getpid());
    *out = child;
    return 0;
}

static int join(const ipc_process *process, ipc_deadline deadline)
{
    struct ipc__child *child = NULL;
    const int rc = get_child(process, &child);
    return rc != 0 ? rc : ipc__child_join(child, deadline);
}

int ipc_process_join(ipc_process *process)
{
    return join(process, IPC_TIME_FOREVER);
}

int ipc_process_join_nowait(ipc_process *process)
{
    return join(process, IPC_TIME_NOW);
}

int ipc_process_join_until(ipc_process *process, ipc_deadline deadline)
{
    return join(process, deadline > 0 ? deadline : 1);
}

bool ipc_process_is_alive(ipc_process *process)
{
    const int rc = join(process, IPC_TIME_NOW);
    return rc == -EAGAIN || rc == -EDEADLK;
}

int ipc_process_exitcode(ipc_process *process, int *out)
{
    struct ipc__child *child = NULL;
    int rc = get_child(process, &child);
    if (rc == 0)
        rc = ipc__child_join(child, IPC_TIME_NOW);
    if (rc == -EDEADLK)
        return ipc__fail(-EAGAIN, "%s is running", process->name_);
    if (rc != 0)
        return rc;
    if (child->lost)
        return ipc__fail(-ECHILD,
                         "%s has ended, and its status is not ours to know",
                         process->name_);
    *out = child->exitcode;
    return 0;
}

/* ---- signals ---- */

int ipc_process_signal(ipc_process *process, int sig)
{
    struct ipc__child *child = NULL;
    int rc = get_child(process, &child);
    if (rc != 0)
        return rc;
    if (child->relation == IPC__SELF)
        rc = kill(getpid(), sig) == 0 ? 0 : -errno;
    else
        rc = ipc__child_signal(child, sig);
    if (rc == 0)
        return 0;
    return ipc__fail(rc, "cannot send signal %d to %s", sig, process->name_);
}

int ipc_process_terminate(ipc_process *process)
{
    return ipc_process_signal(process, SIGTERM);
}

int ipc_process_kill(ipc_process *process)
{
    return ipc_process_signal(process, SIGKILL);
}

int ipc_process_interrupt(ipc_process *process)
{
    return ipc_process_signal(process, SIGINT);
}

/* ---- ask ---- */

int ipc_process_pid(const ipc_process *process)
{
    const struct ipc__child *child = ipc__tree_record(process);
    return child != NULL ? child->pid : 0;
}

const char *ipc_process_name(const ipc_process *process)
{
    return process->name_;
}

bool ipc_process_is_daemon(const ipc_process *process)
{
    return process->options_.daemon;
}

int ipc_process_fd(const ipc_process *process)
{
    struct ipc__child *child = NULL;
    const int rc = get_child(process, &child);
    if (rc != 0)
        return rc;
    return child->fd >= 0
               ? child->fd
               : ipc__fail(-EINVAL, "%s has no sentinel", process->name_);
}

int ipc_process_close(ipc_process *process)
{
    struct ipc__child *child = ipc__tree_record(process);
    if (process->state_ != IPC__PROCESS_READY)
        return 0;
    if (child != NULL && child->relation != IPC__CHILD)
        return ipc__fail(-EINVAL, "%s is not a child", process->name_);
    if (child != NULL && child->starter == getpid()) {
        if (ipc__child_join(child, IPC_TIME_NOW) != 0)
            return ipc__fail(-EBUSY, "%s (pid %d) is running", process->name_,
                             (int)child->pid);
        ipc__child_forget(child);
        ipc__child_free_start(child);
    } else if (child != NULL && child->fd >= 0 && ipc__tree()->origin == NULL) {
        /* Inherited by a plain fork(); our own children have dropped it. */
        ipc__pidfd_close(child->fd);
    }
    if (child != NULL) {
        child->holders++;
        child->closed = true;
        ipc__child_let_go(child);
    }
    free(process->arg_copy_);
    memset(process, 0, sizeof *process);
    return 0;
}
