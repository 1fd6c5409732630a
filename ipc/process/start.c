/* Starting a process, and doing it by fork().
 *
 * Cost
 *   A page that a new child writes, or runs for the first time, costs it a page
 *   fault, and ten of those a third of the fork.  On the way of every child
 *   the system calls are therefore made here and not in libc.
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
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ipc/process.h>
#include <ipc/shared.h>

#include "base/atomic.h"
#include "core/error.h"
#include "core/private_lock.h"
#include "core/waiting.h"
#include "kernel/pidfd.h"
#include "kernel/syscall.h"
#include "memory/shared.h"
#include "process/child.h"
#include "process/fresh.h"
#include "process/internal.h"
#include "process/streams.h"

#define FORK_PATIENCE_NS ((int64_t)100 * 1000 * 1000)

/* ---- the child ---- */

static bool needs_setup(const ipc_process_options *options)
{
    return options->daemon || options->cpu_count != 0 || options->nice != 0 ||
           options->rlimit_count != 0;
}

static int set_up(const ipc_process_options *options, int parent_pid)
{
    const struct ipc__setup setup = {
        .cpus = options->cpus,
        .rlimits = options->rlimits,
        .cpu_count = options->cpu_count,
        .rlimit_count = options->rlimit_count,
        .nice = options->nice,
        .daemon = options->daemon,
        .parent_pid = parent_pid,
        .parent_fd = -1,
    };
    return ipc__child_set_up(&setup);
}

/* What the starter had in its tree, which is wiped in the child. */
struct origin {
    char name[32];
    int place; /* see keep_place() */
    int parent_fd;
    const struct ipc__child *siblings;
    const struct ipc__server *server;
};

/* The starter's pidfds are not ours. */
static void close_inherited(const struct origin *origin)
{
    const struct ipc__child *sibling = origin->siblings;
    for (; sibling != NULL; sibling = sibling->next) {
        ipc__pidfd_close(sibling->fd);
        if (sibling->server != NULL)
            ipc__server_close_inherited(sibling->server);
    }
    if (origin->server != NULL)
        ipc__server_close_inherited(origin->server);
    if (origin->parent_fd > 0)
        ipc__pidfd_close(origin->parent_fd);
    (void)ipc__syscall1(SYS_close, origin->place);
    ipc__watch_forget();
}

/* See ipc__own_thread_begin(). */
static __thread bool is_own_thread;

static _Noreturn void be_child(struct ipc__tree *tree,
                               const struct ipc__child *child,
                               const struct origin *origin)
{
    const ipc_process *process = child->process;
    struct ipc__start *start = child->start;
    is_own_thread = false;
    close_inherited(origin);
    ipc__drop_inherited();
    ipc__tree_begin(tree, child, origin->name);
    (void)ipc__syscall2(SYS_prctl, PR_SET_NAME, child->name);

    if (needs_setup(&process->options_)) {
        const int rc = set_up(&process->options_, child->starter);
        if (rc != 0) {
            ipc__child_report_failed(start, IPC__STEP_SETUP, rc);
            _exit(1);
        }
        ipc__child_report(start, IPC__START_RUNNING);
    }
    ipc__child_run(child->process, start);
}

/* ---- the starter ---- */

int ipc__keep_place(void)
{
    /* Our own pidfd does. */
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

int ipc__child_born(struct ipc__child *child, int pid)
{
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
    return 0;
}

/* With the tree's lock. */
static int fork_child(struct ipc__tree *tree, struct ipc__child *child)
{
    const int place = ipc__keep_place();
    if (place < 0)
        return place;
    struct origin origin = {.place = place,
                            .parent_fd = tree->parent.fd,
                            .siblings = tree->first,
                            .server = tree->server};
    memcpy(origin.name, tree->current->name_, sizeof origin.name);
    const pid_t pid = fork();
    if (pid == 0)
        be_child(tree, child, &origin);
    const int error = errno;
    close(place);
    if (pid < 0)
        return ipc__fail(-error, "cannot fork %s: %s", child->name,
                         strerrordesc_np(error));
    const int rc = ipc__child_born(child, pid);
    if (rc == 0)
        ipc__tree_add(tree, child);
    return rc;
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

void ipc__child_name(struct ipc__tree *tree, struct ipc__child *child)
{
    ipc_process *process = child->process;
    if (process->name_[0] == '\0')
        snprintf(process->name_, sizeof process->name_, "Process-%u",
                 ++tree->named);
    memcpy(child->name, process->name_, sizeof child->name);
}

static int try_fork(struct ipc__child *child)
{
    struct ipc__tree *tree = ipc__tree();
    ipc__private_lock(&tree->lock);
    ipc__child_name(tree, child);
    /* Under the lock, so that no child of ours is forked while libc's own
     * lock for this is held. */
    int rc = ipc__tree_end_at_exit();
    if (rc == 0)
        rc = fork_child(tree, child);
    ipc__private_unlock(&tree->lock);
    return rc;
}

uint32_t ipc__count_threads(void)
{
    struct stat st;
    return stat("/proc/self/task", &st) == 0 && st.st_nlink > 2
               ? (uint32_t)st.st_nlink - 2
               : 0;
}

void ipc__own_thread_begin(void)
{
    is_own_thread = true;
    (void)add_relaxed(&ipc__tree()->own, 1);
}

void ipc__own_thread_end(void)
{
    (void)add_relaxed(&ipc__tree()->own, UINT32_MAX);
    is_own_thread = false;
}

/* A fork of a program with threads is a trap.  Say so, once. */
static void warn_of_threads(struct ipc__tree *tree)
{
    if (is_own_thread || load_relaxed(&tree->warned))
        return;
    const uint32_t own = load_relaxed(&tree->own);
    const uint32_t threads = ipc__count_threads();
    if (threads <= own + 1)
        return;
    store_relaxed(&tree->warned, true);
    ipc__set_detail("forked with %u threads: locks that the others held "
                    "stay held in the child, see process.h",
                    threads - own);
}

static int start_by_fork(struct ipc__child *child)
{
    int rc = try_fork(child);
    if (rc == 0 && needs_setup(&child->process->options_))
        rc = await_setup(child);
    if (rc == 0 && !__libc_single_threaded)
        warn_of_threads(ipc__tree());
    return rc;
}

static int start_once(struct ipc__child *child)
{
    switch (child->method) {
    case IPC_START_SPAWN:
        return ipc__start_spawn(child);
    case IPC_START_FORKSERVER:
        return ipc__start_by_server(child);
    default:
        return start_by_fork(child);
    }
}

/* Forget the last attempt.  Its child may have written into the start block, and
 * a template that is stopped still may. */
static int begin_again(struct ipc__child *child)
{
    void *start = NULL;
    const bool has_start = child->start != NULL;
    ipc__child_free_start(child);
    const int rc =
        has_start ? ipc__shared_alloc(sizeof *child->start, &start) : 0;
    child->start = start;
    child->lost = false;
    return rc;
}

/* Where no more processes are allowed, one may end soon. */
static int start_child(struct ipc__child *child)
{
    const ipc_deadline deadline = ipc_after_ns(FORK_PATIENCE_NS);
    int64_t pause_ms = 1;
    int rc;
    ipc__flush_all();
    while ((rc = start_once(child)) == -EAGAIN && ipc_time_left(deadline) > 0) {
        ipc_sleep_until(ipc_after_ms(pause_ms));
        pause_ms *= 2;
        rc = begin_again(child);
        if (rc != 0)
            break;
    }
    return rc;
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
    const uint32_t method = ipc__start_method(process->options_.start_method);
    struct ipc__child *child = calloc(1, sizeof *child);
    if (child == NULL)
        return ipc__fail(-ENOMEM, "no memory to start a process");
    int rc = ipc_shared_init();
    if (rc == 0 && (method != IPC_START_FORK ||
                    needs_setup(&process->options_) || ignores_sigchld()))
        rc = ipc__shared_alloc(sizeof *child->start, &start);
    if (rc != 0) {
        free(child);
        return rc;
    }
    child->start = start;
    child->process = process;
    child->daemon = process->options_.daemon;
    child->method = method;
    child->starter = getpid();
    *out = child;
    return 0;
}

static int check_method(const ipc_process *process)
{
    if (process->options_.start_method > IPC_START_SPAWN)
        return ipc__fail(-EINVAL, "start method %u is not known",
                         process->options_.start_method);
    return ipc__fresh_is_entered()
               ? 0
               : ipc__fail(-EPERM,
                           "%s: this process was spawned and has not "
                           "reached ipc_spawn_main() yet",
                           process->name_);
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
    int rc = check_method(process);
    if (rc != 0)
        return rc;
    if (ipc_current_process() == NULL)
        return ipc__fail(-ENOSYS, "the kernel lacks MADV_WIPEONFORK");

    rc = new_child(process, &child);
    if (rc != 0)
        return rc;
    process->child_ = child; /* before the fork: the child has it too */
    rc = start_child(child);
    if (rc != 0) {
        process->child_ = NULL;
        ipc__child_free_start(child);
        free(child);
    }
    return rc;
}
