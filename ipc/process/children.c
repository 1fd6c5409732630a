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
    struct ipc__tree tree;
    unsigned char page[IPC_PAGE_MAX];
} tree_page __attribute__((aligned(IPC_PAGE_MAX)));

_Static_assert(sizeof(struct ipc__tree) <= IPC_PAGE_MAX, "one page");

struct ipc__tree *ipc__tree(void)
{
    static uint32_t armed; /* stays set in children, as the advice does */
    if (!load_acquire(&armed)) {
        if (ipc__wipe_on_fork(&tree_page, sizeof tree_page) != 0)
            return NULL;
        store_release(&armed, 1);
    }
    return &tree_page.tree;
}

void ipc__tree_add(struct ipc__tree *tree, struct ipc__child *child)
{
    if (tree->end == NULL)
        tree->end = &tree->first;
    child->next = NULL;
    child->link = tree->end;
    *tree->end = child;
    tree->end = &child->next;
}

void ipc__tree_remove(struct ipc__tree *tree, struct ipc__child *child)
{
    if (child->link == NULL)
        return;
    *child->link = child->next;
    if (child->next != NULL)
        child->next->link = child->link;
    else
        tree->end = child->link;
    child->link = NULL;
    child->next = NULL;
}

/* ---- who we are ---- */

static void fill_relative(struct ipc__relative *relative, int relation,
                          const char *name, int pid)
{
    snprintf(relative->process.name_, sizeof relative->process.name_, "%s",
             name);
    relative->process.state_ = IPC__PROCESS_READY;
    relative->process.child_ = &relative->child;
    relative->child.process = &relative->process;
    memcpy(relative->child.name, relative->process.name_,
           sizeof relative->child.name);
    relative->child.relation = relation;
    relative->child.running = 1;
    relative->child.starter = getpid();
    relative->child.pid = pid;
    relative->child.fd = -1;
}

void ipc__tree_begin(struct ipc__child *child, const char *parent_name)
{
    struct ipc__tree *tree = ipc__tree();
    fill_relative(&tree->parent, IPC__PARENT, parent_name, child->starter);
    child->relation = IPC__SELF;
    child->running = 1;
    child->starter = getpid();
    child->pid = getpid();
    child->fd = -1;
    tree->current = child->process;
    store_release(&tree->ready, 1);
}

/* A process that nobody of ours started. */
static void fill_main(struct ipc__tree *tree)
{
    ipc__private_lock(&tree->lock);
    if (!tree->ready) {
        fill_relative(&tree->main, IPC__SELF, "MainProcess", getpid());
        tree->current = &tree->main.process;
        store_release(&tree->ready, 1);
    }
    ipc__private_unlock(&tree->lock);
}

ipc_process *ipc_current_process(void)
{
    struct ipc__tree *tree = ipc__tree();
    if (tree == NULL)
        return NULL;
    if (!load_acquire(&tree->ready))
        fill_main(tree);
    return tree->current;
}

/* Open the parent's pidfd, or note that it is gone. */
static void find_parent(struct ipc__child *parent)
{
    /* Opened first, asked then: a parent that died before left its pid to
     * anybody. */
    parent->fd = ipc__pidfd_open(parent->pid);
    if (getppid() == parent->pid)
        return;
    if (parent->fd >= 0)
        close(parent->fd);
    parent->fd = -1;
    parent->lost = true;
    store_release(&parent->running, 0);
}

ipc_process *ipc_parent_process(void)
{
    struct ipc__tree *tree = ipc__tree();
    if (tree == NULL || !load_acquire(&tree->ready))
        return NULL;
    struct ipc__child *parent = &tree->parent.child;
    if (parent->pid == 0)
        return NULL;
    ipc__private_lock(&tree->lock);
    if (parent->fd < 0 && parent->running)
        find_parent(parent);
    ipc__private_unlock(&tree->lock);
    return parent->process;
}

size_t ipc_active_children(ipc_process **out, size_t capacity)
{
    struct ipc__tree *tree = ipc__tree();
    size_t count = 0;
    if (tree == NULL)
        return 0;
    ipc__private_lock(&tree->lock);
    for (struct ipc__child *child = tree->first, *next; child != NULL;
         child = next) {
        next = child->next;
        ipc__child_reap(tree, child);
        if (!child->running)
            continue;
        if (count < capacity)
            out[count] = child->process;
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
static struct ipc__child *next_child(struct ipc__tree *tree, bool daemon)
{
    struct ipc__child *found = NULL;
    ipc__private_lock(&tree->lock);
    for (struct ipc__child *child = tree->first, *next;
         child != NULL && found == NULL; child = next) {
        next = child->next;
        ipc__child_reap(tree, child);
        if (child->running && child->daemon == daemon)
            found = child;
    }
    ipc__private_unlock(&tree->lock);
    return found;
}

static void signal_daemons(struct ipc__tree *tree, int sig)
{
    ipc__private_lock(&tree->lock);
    for (struct ipc__child *child = tree->first; child != NULL;
         child = child->next)
        if (child->daemon)
            (void)ipc__pidfd_signal(child->fd, sig);
    ipc__private_unlock(&tree->lock);
}

void ipc__tree_end(void)
{
    struct ipc__tree *tree = ipc__tree();
    struct ipc__child *child;
    if (tree == NULL)
        return;
    const ipc_deadline grace = ipc_after_ns(GRACE_NS);
    signal_daemons(tree, SIGTERM);
    while ((child = next_child(tree, true)) != NULL)
        if (ipc__child_join(child, grace) != 0)
            signal_daemons(tree, SIGKILL);
    while ((child = next_child(tree, false)) != NULL)
        if (ipc__child_join(child, IPC_TIME_FOREVER) != 0)
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
