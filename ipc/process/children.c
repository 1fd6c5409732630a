/* The processes around this one: children, parent, itself.
 *
 * State
 *   tree   on a page that is wiped by fork: a new process has no children, and
 *          its lock is free, whatever its parent's threads were doing.
 *
 * Death
 *   The tree is private.  When this process is killed its children go on, but
 *   for daemons, which notice by themselves (watch.c). */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ipc/process.h>

#include "base/atomic.h"
#include "core/error.h"
#include "core/local.h"
#include "core/private_lock.h"
#include "kernel/pidfd.h"
#include "process/internal.h"

#define GRACE_NS ((int64_t)1000 * 1000 * 1000) /* from SIGTERM to SIGKILL */

static union {
    struct ipc__family_tree tree;
    unsigned char page[IPC_PAGE_MAX];
} tree_page __attribute__((aligned(IPC_PAGE_MAX)));

_Static_assert(sizeof(struct ipc__family_tree) <= IPC_PAGE_MAX, "one page");

struct ipc__family_tree *ipc__tree(void)
{
    static uint32_t armed; /* stays set in children, as the advice does */
    if (!load_acquire(&armed)) {
        if (ipc__wipe_on_fork(&tree_page, sizeof tree_page) != 0)
            return NULL;
        store_release(&armed, 1);
    }
    return &tree_page.tree;
}

void ipc__tree_add(struct ipc__family_tree *tree, ipc_process *process)
{
    if (tree->end == NULL)
        tree->end = &tree->first;
    process->next_ = NULL;
    process->link_ = tree->end;
    *tree->end = process;
    tree->end = &process->next_;
}

void ipc__tree_remove(struct ipc__family_tree *tree, ipc_process *process)
{
    if (process->link_ == NULL)
        return;
    *process->link_ = process->next_;
    if (process->next_ != NULL)
        process->next_->link_ = process->link_;
    else
        tree->end = process->link_;
    process->link_ = NULL;
    process->next_ = NULL;
}

/* ---- who we are ---- */

void ipc__tree_begin(ipc_process *self, const char *parent_name, int parent_pid)
{
    struct ipc__family_tree *tree = ipc__tree();
    self->flags_ |= IPC__PROCESS_SELF;
    self->pid_ = getpid();
    self->next_ = NULL;
    self->link_ = NULL;
    tree->current = self;
    tree->parent.flags_ = IPC__PROCESS_PARENT;
    tree->parent.state_ = IPC__PROCESS_RUNNING;
    tree->parent.owner_pid_ = self->pid_;
    tree->parent.pid_ = parent_pid;
    tree->parent.fd_ = -1;
    snprintf(tree->parent.name_, sizeof tree->parent.name_, "%s", parent_name);
    store_release(&tree->ready, 1);
}

/* A process that nobody of ours started. */
static void fill_main(struct ipc__family_tree *tree)
{
    ipc__private_lock(&tree->lock);
    if (!tree->ready) {
        tree->main.flags_ = IPC__PROCESS_SELF;
        tree->main.state_ = IPC__PROCESS_RUNNING;
        tree->main.pid_ = getpid();
        tree->main.fd_ = -1;
        snprintf(tree->main.name_, sizeof tree->main.name_, "MainProcess");
        tree->current = &tree->main;
        store_release(&tree->ready, 1);
    }
    ipc__private_unlock(&tree->lock);
}

ipc_process *ipc_current_process(void)
{
    struct ipc__family_tree *tree = ipc__tree();
    if (tree == NULL)
        return NULL;
    if (!load_acquire(&tree->ready))
        fill_main(tree);
    return tree->current;
}

ipc_process *ipc_parent_process(void)
{
    struct ipc__family_tree *tree = ipc__tree();
    if (tree == NULL || !load_acquire(&tree->ready) || tree->parent.pid_ == 0)
        return NULL;
    ipc_process *parent = &tree->parent;
    ipc__private_lock(&tree->lock);
    if (parent->fd_ < 0 && parent->state_ == IPC__PROCESS_RUNNING) {
        /* Opened first, asked then: see watch.c. */
        parent->fd_ = ipc__pidfd_open(parent->pid_);
        if (getppid() != parent->pid_) {
            if (parent->fd_ >= 0)
                close(parent->fd_);
            parent->fd_ = -1;
            parent->flags_ |= IPC__PROCESS_LOST;
            store_release(&parent->state_, IPC__PROCESS_ENDED);
        }
    }
    ipc__private_unlock(&tree->lock);
    return parent;
}

size_t ipc_active_children(ipc_process **out, size_t capacity)
{
    struct ipc__family_tree *tree = ipc__tree();
    size_t count = 0;
    if (tree == NULL)
        return 0;
    ipc__private_lock(&tree->lock);
    for (ipc_process *child = tree->first, *next; child != NULL; child = next) {
        next = child->next_;
        ipc__process_reap(tree, child);
        if (child->state_ != IPC__PROCESS_RUNNING)
            continue;
        if (count < capacity)
            out[count] = child;
        count++;
    }
    ipc__private_unlock(&tree->lock);
    return count;
}

int ipc_getpid(void)
{
    return getpid();
}

int ipc_getppid(void)
{
    return getppid();
}

int ipc_cpu_count(void)
{
    /* Machines with more CPUs than a cpu_set_t holds need a larger set. */
    for (size_t cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        const size_t size = CPU_ALLOC_SIZE(cpus);
        if (set == NULL)
            break;
        const int rc = sched_getaffinity(0, size, set);
        const int error = errno;
        const int count = rc == 0 ? CPU_COUNT_S(size, set) : 1;
        CPU_FREE(set);
        if (rc == 0 || error != EINVAL)
            return count > 0 ? count : 1;
    }
    return 1;
}

/* ---- the end of this process ---- */

/* The first child of that kind that has not ended, or NULL. */
static ipc_process *next_child(bool daemon)
{
    struct ipc__family_tree *tree = ipc__tree();
    ipc_process *found = NULL;
    ipc__private_lock(&tree->lock);
    for (ipc_process *child = tree->first, *next;
         child != NULL && found == NULL; child = next) {
        next = child->next_;
        ipc__process_reap(tree, child);
        if (child->state_ == IPC__PROCESS_RUNNING &&
            child->options_.daemon == daemon)
            found = child;
    }
    ipc__private_unlock(&tree->lock);
    return found;
}

static void signal_daemons(int sig)
{
    struct ipc__family_tree *tree = ipc__tree();
    ipc__private_lock(&tree->lock);
    for (ipc_process *child = tree->first; child != NULL; child = child->next_)
        if (child->options_.daemon && child->state_ == IPC__PROCESS_RUNNING)
            (void)ipc__pidfd_signal(child->fd_, sig);
    ipc__private_unlock(&tree->lock);
}

void ipc__tree_end(void)
{
    if (ipc__tree() == NULL)
        return;
    ipc_process *child;
    const ipc_deadline grace = ipc_after_ns(GRACE_NS);
    signal_daemons(SIGTERM);
    while ((child = next_child(true)) != NULL)
        if (ipc_process_join_until(child, grace) != 0)
            signal_daemons(SIGKILL);
    while ((child = next_child(false)) != NULL)
        if (ipc_process_join(child) != 0)
            break;
}

int ipc__tree_end_at_exit(void)
{
    static uint32_t registered; /* with the handler, inherited by children */
    if (cas32_acquire(&registered, 0, 1) && atexit(ipc__tree_end) != 0) {
        store_release(&registered, 0);
        return ipc__fail(-ENOMEM, "no memory for an exit handler");
    }
    return 0;
}
