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
#include "kernel/syscall.h"
#include "process/internal.h"
#include "process/request.h"
#include "thread/end.h"

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

/* The record of a relative that is not a child. */
static void fill_record(struct ipc__child *record, int relation, int pid,
                        ipc_process *object, const char name[32])
{
    record->process = object;
    memcpy(record->name, name, sizeof record->name);
    record->relation = relation;
    record->running = 1;
    record->pid = pid;
    record->fd = -1;
}

/* The object of a relative that the program has none for. */
static void fill_object(ipc_process *object, struct ipc__child *record)
{
    memcpy(object->name_, record->name, sizeof object->name_);
    object->state_ = IPC__PROCESS_READY;
    object->child_ = record;
}

void ipc__tree_begin(struct ipc__tree *tree, const struct ipc__child *origin,
                     const char *parent_name)
{
    const int pid = (int)ipc__syscall0(SYS_getpid); /* see start.c: Cost */
    fill_record(&tree->self, IPC__SELF, pid, origin->process, origin->name);
    fill_record(&tree->parent, IPC__PARENT, origin->starter,
                &tree->parent_object, parent_name);
    fill_object(&tree->parent_object, &tree->parent);
    tree->self.starter = pid;
    tree->parent.starter = pid;
    tree->origin = origin;
    tree->current = origin->process;
    store_release(&tree->ready, 1);
}

void ipc__tree_begin_fresh(struct ipc__tree *tree,
                           const struct ipc__request *request, int parent_fd)
{
    const int pid = (int)ipc__syscall0(SYS_getpid);
    fill_record(&tree->self, IPC__SELF, pid, &tree->main_object, request->name);
    fill_object(&tree->main_object, &tree->self);
    tree->main_object.options_.size = sizeof tree->main_object.options_;
    tree->main_object.options_.daemon = request->daemon != 0;
    fill_record(&tree->parent, IPC__PARENT, request->owner,
                &tree->parent_object, request->parent_name);
    fill_object(&tree->parent_object, &tree->parent);
    tree->parent.fd = parent_fd;
    tree->adopted = parent_fd >= 0;
    tree->self.starter = pid;
    tree->parent.starter = pid;
    tree->current = &tree->main_object;
    store_release(&tree->ready, 1);
}

/* A process that nobody of ours started. */
static void fill_main(struct ipc__tree *tree)
{
    static const char name[32] = "MainProcess";
    ipc__private_lock(&tree->lock);
    if (!tree->ready) {
        fill_record(&tree->self, IPC__SELF, getpid(), &tree->main_object, name);
        fill_object(&tree->main_object, &tree->self);
        tree->self.starter = tree->self.pid;
        tree->current = &tree->main_object;
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

struct ipc__child *ipc__tree_record(const ipc_process *process)
{
    struct ipc__child *record = process->child_;
    struct ipc__tree *tree = ipc__tree();
    if (record != NULL && tree != NULL && record == tree->origin)
        return &tree->self;
    return record;
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
    struct ipc__child *parent = &tree->parent;
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
        ipc__child_reap(child);
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
    struct ipc__tree *tree = ipc__tree();
    if (tree == NULL || !load_acquire(&tree->ready) || !tree->adopted)
        return getppid();
    ipc__child_collect(&tree->parent);
    return load_acquire(&tree->parent.running) ? tree->parent.pid : getppid();
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

/* The first child of that kind that has not ended, or NULL.  Its record stays
 * until it is let go, also if another thread closes the process. */
static struct ipc__child *hold_child(struct ipc__tree *tree, bool daemon)
{
    struct ipc__child *found = NULL;
    ipc__private_lock(&tree->lock);
    for (struct ipc__child *child = tree->first; child != NULL && found == NULL;
         child = child->next) {
        ipc__child_reap(child);
        if (child->running && child->daemon == daemon)
            found = child;
    }
    if (found != NULL)
        found->holders++;
    ipc__private_unlock(&tree->lock);
    return found;
}

/* Join the children of a kind, until the deadline. */
static void join_children(struct ipc__tree *tree, bool daemon,
                          ipc_deadline deadline)
{
    struct ipc__child *child;
    int rc = 0;
    while (rc == 0 && (child = hold_child(tree, daemon)) != NULL) {
        rc = ipc__child_join(child, deadline);
        ipc__child_let_go(child);
    }
}

static void signal_daemons(struct ipc__tree *tree, int sig)
{
    ipc__private_lock(&tree->lock);
    for (struct ipc__child *child = tree->first; child != NULL;
         child = child->next)
        if (child->daemon)
            (void)ipc__child_signal(child, sig);
    ipc__private_unlock(&tree->lock);
}

/* Daemons first, then the others. */
static void end_children(struct ipc__tree *tree)
{
    signal_daemons(tree, SIGTERM);
    join_children(tree, true, ipc_after_ns(GRACE_NS));
    signal_daemons(tree, SIGKILL);
    /* One that may not be signalled, or whose tracer holds it, is left. */
    join_children(tree, true, ipc_after_ns(GRACE_NS));
    join_children(tree, false, IPC_TIME_FOREVER);
}

void (*ipc__ends_first)(void);

void ipc__tree_end(void)
{
    void (*const ends_first)(void) = load_acquire(&ipc__ends_first);
    if (ends_first != NULL)
        ends_first();
    struct ipc__tree *tree = ipc__tree();
    /* These may start children still. */
    if (load_relaxed(&ipc__threads_used))
        ipc__threads_end();
    if (tree == NULL)
        return;
    if (tree->first != NULL)
        end_children(tree);
    if (tree->server != NULL || tree->plan != NULL)
        ipc__server_end(tree);
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
