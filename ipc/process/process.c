/* The process object: describe, join, ask, signal, close.
 *
 * State
 *   state_     READY -> RUNNING (start.c) -> ENDED.  ENDED is stored with
 *              release after exitcode_; readers load it with acquire.
 *   reaping    under the tree's lock, so that of several joiners one takes
 *              the status from the kernel and all find it.
 *
 * Death
 *   Nothing here is shared but the start block, which the child writes. */
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
#include "kernel/pidfd.h"
#include "process/internal.h"

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
    process->fd_ = -1;
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
    process->exitcode_ = rc; /* start() reports it again */
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
        process->exitcode_ = rc;
    }
    return rc;
}

static int check_ready(const ipc_process *process)
{
    return process->state_ == IPC__PROCESS_READY
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

static void set_ended(ipc_process *process, int exitcode)
{
    process->exitcode_ = exitcode;
    store_release(&process->state_, IPC__PROCESS_ENDED);
}

/* Somebody else took the status.  A child that ended by itself has left its
 * exit code; how it was killed nobody can tell any more. */
static void set_ended_lost(ipc_process *process)
{
    const struct ipc__start *start = process->start_;
    if (start != NULL && load_acquire(&start->state) == IPC__START_EXITING) {
        set_ended(process, start->code);
        return;
    }
    process->flags_ |= IPC__PROCESS_LOST;
    set_ended(process, 0);
}

void ipc__process_reap(struct ipc__family_tree *tree, ipc_process *process)
{
    siginfo_t info = {.si_pid = 0};
    if (process->state_ != IPC__PROCESS_RUNNING)
        return;
    int rc;
    do {
        rc = waitid(P_PIDFD, (id_t)process->fd_, &info, WEXITED | WNOHANG);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0 && info.si_pid == 0)
        return; /* it runs */
    if (rc != 0)
        set_ended_lost(process);
    else if (info.si_code == CLD_EXITED)
        set_ended(process, info.si_status);
    else
        set_ended(process, -info.si_status);
    ipc__tree_remove(tree, process);
}

/* May this process ask about that one?  0 or why not. */
static int check_started(const ipc_process *process)
{
    const uint32_t state = load_acquire(&process->state_);
    if (state == IPC__PROCESS_NONE || state == IPC__PROCESS_READY)
        return ipc__fail(-EINVAL, "%s was not started",
                         process->name_[0] != '\0' ? process->name_
                                                   : "the process");
    if ((process->flags_ & IPC__PROCESS_SELF) == 0 &&
        process->owner_pid_ != getpid())
        return ipc__fail(-ECHILD, "%s was started by pid %d, this is pid %d",
                         process->name_, (int)process->owner_pid_,
                         (int)getpid());
    return 0;
}

/* Sleep until a child has ended, leaving its status to ipc__process_reap().
 * Without a deadline this is one blocking system call. */
static int wait_end(const ipc_process *process, ipc_deadline deadline)
{
    if (deadline != IPC_TIME_FOREVER ||
        (process->flags_ & IPC__PROCESS_PARENT) != 0)
        return ipc__pidfd_wait(process->fd_, deadline);
    siginfo_t info;
    for (;;) {
        if (waitid(P_PIDFD, (id_t)process->fd_, &info, WEXITED | WNOWAIT) == 0)
            return 0;
        if (errno == ECHILD) /* reaped by another joiner, or by a stranger */
            return ipc__pidfd_wait(process->fd_, deadline);
        if (errno != EINTR)
            return -errno;
    }
}

static void collect(ipc_process *process)
{
    struct ipc__family_tree *tree = ipc__tree();
    ipc__private_lock(&tree->lock);
    if ((process->flags_ & IPC__PROCESS_PARENT) != 0) {
        process->flags_ |= IPC__PROCESS_LOST;
        set_ended(process, 0);
    } else {
        ipc__process_reap(tree, process);
    }
    ipc__private_unlock(&tree->lock);
}

static int join(ipc_process *process, ipc_deadline deadline)
{
    int rc = check_started(process);
    if (rc != 0)
        return rc;
    if ((process->flags_ & IPC__PROCESS_SELF) != 0)
        return ipc__fail(-EDEADLK, "%s cannot join itself", process->name_);
    if (load_acquire(&process->state_) == IPC__PROCESS_ENDED)
        return 0;
    if (process->fd_ < 0)
        return ipc__fail(process->fd_, "%s has no descriptor", process->name_);
    rc = wait_end(process, deadline);
    if (rc == 0)
        collect(process);
    else if (rc == -ETIMEDOUT)
        rc = ipc__fail(deadline == IPC_TIME_NOW ? -EAGAIN : rc,
                       "%s (pid %d) is running", process->name_,
                       (int)process->pid_);
    return rc;
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
    const int rc = join(process, IPC_TIME_NOW);
    if (rc == -EDEADLK)
        return ipc__fail(-EAGAIN, "%s is running", process->name_);
    if (rc != 0)
        return rc;
    if ((process->flags_ & IPC__PROCESS_LOST) != 0)
        return ipc__fail(-ECHILD,
                         "%s has ended, and its status is not ours to know",
                         process->name_);
    *out = process->exitcode_;
    return 0;
}

/* ---- signals ---- */

int ipc_process_signal(ipc_process *process, int sig)
{
    int rc = check_started(process);
    if (rc != 0)
        return rc;
    if ((process->flags_ & IPC__PROCESS_SELF) != 0)
        return kill(getpid(), sig) == 0 ? 0 : ipc__fail_plain(-errno);
    if (load_acquire(&process->state_) == IPC__PROCESS_ENDED)
        return 0;
    rc = ipc__pidfd_signal(process->fd_, sig);
    if (rc == -ESRCH)
        return 0;
    return rc == 0 ? 0
                   : ipc__fail(rc, "cannot send signal %d to %s", sig,
                               process->name_);
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
    return process->pid_;
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
    const int rc = check_started(process);
    if (rc != 0)
        return rc;
    return process->fd_ >= 0
               ? process->fd_
               : ipc__fail(-EINVAL, "%s has no sentinel", process->name_);
}

int ipc_process_close(ipc_process *process)
{
    const uint32_t state = load_acquire(&process->state_);
    if (state == IPC__PROCESS_NONE)
        return 0;
    if ((process->flags_ & (IPC__PROCESS_SELF | IPC__PROCESS_PARENT)) != 0)
        return ipc__fail(-EINVAL, "%s is not a child", process->name_);
    const bool ours = process->owner_pid_ == getpid();
    if (state != IPC__PROCESS_READY && ours) {
        if (join(process, IPC_TIME_NOW) == -EAGAIN)
            return ipc__fail(-EBUSY, "%s (pid %d) is running", process->name_,
                             (int)process->pid_);
        close(process->fd_); /* a child of ours has closed its copy at start */
        (void)ipc_shared_free(process->start_);
    }
    free(process->arg_copy_);
    memset(process, 0, sizeof *process);
    process->fd_ = -1;
    return 0;
}
