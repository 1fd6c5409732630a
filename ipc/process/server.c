/* The owner's side of a template: start it, have it start children, end it.
 *
 * State
 *   tree->server   the template that takes orders, with one use of it; under
 *                  server_lock, which is held while one talks to it, and for
 *                  a change under the tree's lock too.  Each
 *                  child that it has started uses it too: refs, under the
 *                  tree's lock.
 *   start->state   BEGUN; then the child makes it ENTERED, or the starter
 *                  makes it ABANDONED, by a CAS each: so a child whose
 *                  template has died runs, or another one is asked for, and
 *                  never both.
 *
 * Death, of the template
 *   before it forks       the socket ends; ABANDONED; another template;
 *   after it has forked   the child replies all the same: it has the socket;
 *   later                 its children go on without one who knows how they
 *                         end.
 * Death, of the child
 *   before it replies     the template tells how it ended, in the start
 *                         block; start succeeds, join tells.
 * Death, of the owner
 *   The template watches it, as a daemon does.  A child that has not replied
 *   cannot any more, and ends. */
#include "process/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ipc/shared.h>

#include "base/atomic.h"
#include "base/options.h"
#include "core/error.h"
#include "core/private_lock.h"
#include "core/waiting.h"
#include "kernel/pidfd.h"
#include "kernel/syscall.h"
#include "memory/shared.h"
#include "process/child.h"
#include "process/streams.h"

#define ORPHAN_NS 1000000000 /* for a child to reply without its template */

#define DIED 1 /* the template, before there was a child */

/* How to make a template; kept for when it has to be made again. */
struct ipc__plan {
    ipc_forkserver_options options;
    int fds[IPC_PROCESS_FDS_MAX];
};

struct ipc__server {
    struct ipc__child child; /* the template: not one of the children */
    int socket;              /* -1: it takes no more orders */
    ino_t inode;             /* of the socket */
    uint32_t refs;           /* under the tree's lock */
    uint32_t gone;           /* it has ended; set once */
    uint64_t sequence;
};

/* ---- its life ---- */

bool ipc__server_is_gone(const struct ipc__server *server)
{
    if (load_acquire(&server->gone))
        return true;
    siginfo_t info = {.si_pid = 0};
    int rc = ipc__pidfd_wait(server->child.fd, IPC_TIME_NOW);
    if (rc == -EBADF) { /* the program has closed it */
        rc = waitid(P_PID, (id_t)server->child.pid, &info,
                    WEXITED | WNOHANG | WNOWAIT);
        rc = rc != 0 || info.si_pid != 0 ? 0 : -EAGAIN;
    }
    if (rc == 0)
        store_release(&((struct ipc__server *)(uintptr_t)server)->gone, 1);
    return rc == 0;
}

/* Is the socket ours still?  The program may have closed it. */
static bool has_socket(const struct ipc__server *server)
{
    struct stat st;
    return server->socket >= 0 && fstat(server->socket, &st) == 0 &&
           S_ISSOCK(st.st_mode) && st.st_ino == server->inode;
}

static void close_socket(struct ipc__server *server)
{
    if (has_socket(server))
        (void)close(server->socket);
    server->socket = -1;
}

void ipc__server_close_inherited(const struct ipc__server *server)
{
    if (has_socket(server))
        (void)close(server->socket);
    ipc__pidfd_close(server->child.fd);
}

/* Nobody needs it any more. */
static void end_server(struct ipc__server *server)
{
    close_socket(server);
    (void)ipc__child_signal(&server->child, SIGKILL);
    (void)ipc__child_join(&server->child, IPC_TIME_FOREVER);
    ipc__pidfd_close(server->child.fd);
    (void)ipc_shared_free(server->child.start);
    free(server);
}

void ipc__server_put(struct ipc__server *server)
{
    struct ipc__tree *tree = ipc__tree();
    ipc__private_lock(&tree->lock);
    const bool last = --server->refs == 0;
    ipc__private_unlock(&tree->lock);
    if (last)
        end_server(server);
}

/* With both locks: a child that is forked meanwhile looks at it. */
static void set_server(struct ipc__tree *tree, struct ipc__server *server)
{
    ipc__private_lock(&tree->lock);
    tree->server = server;
    ipc__private_unlock(&tree->lock);
}

/* With server_lock: it takes no more orders. */
static void retire(struct ipc__tree *tree)
{
    struct ipc__server *server = tree->server;
    if (server == NULL)
        return;
    set_server(tree, NULL);
    close_socket(server);
    if (ipc__server_is_gone(server))
        ipc__child_collect(&server->child);
    ipc__server_put(server);
}

void ipc__server_end(struct ipc__tree *tree)
{
    ipc__private_lock(&tree->server_lock);
    retire(tree);
    free(tree->plan);
    tree->plan = NULL;
    ipc__private_unlock(&tree->server_lock);
}

/* ---- starting one ---- */

static int write_orders(struct ipc__orders *orders,
                        const struct ipc__server *server,
                        const struct ipc__plan *plan, int socket)
{
    const ipc_forkserver_options *options = &plan->options;
    struct ipc__request *request = &orders->request;
    int rc = 0;
    request->kind = IPC__REQUEST_TEMPLATE;
    request->socket = socket;
    if (options->preload != NULL) {
        request->has_entry = 1;
        rc = ipc__entry_of((ipc__function)options->preload, &request->entry);
    }
    if (rc == 0)
        rc = ipc__orders_arg(orders, options->preload_arg);
    if (rc == 0)
        rc = ipc__orders_fds(orders, plan->fds, options->fd_count);
    if (rc == 0)
        rc = ipc__family_place(&request->family);
    return rc != 0 ? rc : ipc__orders_write(orders, &server->child);
}

static int open_sockets(int ends[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        ends[i] = ipc__fd_above_standard(ends[i]);
        if (ends[i] < 0) {
            (void)close(ends[1 - i]);
            return ends[i];
        }
    }
    return 0;
}

static int start_template(struct ipc__server *server,
                          const struct ipc__plan *plan)
{
    struct ipc__orders orders = {.fd = -1};
    int ends[2];
    struct stat st;
    int rc = open_sockets(ends);
    if (rc != 0)
        return ipc__fail(rc, "no socket for a forkserver");
    server->socket = ends[0];
    rc = fstat(ends[0], &st) != 0 ? -errno : 0;
    server->inode = rc == 0 ? st.st_ino : 0;
    if (rc == 0)
        rc = write_orders(&orders, server, plan, ends[1]);
    if (rc == 0)
        rc = ipc__fresh_start(&server->child, &orders, ends[1], false);
    if (orders.fd >= 0)
        (void)close(orders.fd);
    (void)close(ends[1]);
    if (rc != 0)
        (void)close(ends[0]);
    return rc;
}

/* With server_lock. */
static int make_server(struct ipc__tree *tree)
{
    static const struct ipc__plan plain = {.options = {.size = 0}};
    void *start = NULL;
    int rc = ipc__fresh_is_possible();
    if (rc != 0)
        return rc;
    struct ipc__server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return ipc__fail(-ENOMEM, "no memory for a forkserver");
    rc = ipc_shared_init();
    if (rc == 0)
        rc = ipc__shared_alloc(sizeof *server->child.start, &start);
    server->child.start = start;
    server->child.starter = getpid();
    memcpy(server->child.name, "forkserver", sizeof "forkserver");
    server->refs = 1;
    if (rc == 0)
        rc = start_template(server, tree->plan != NULL ? tree->plan : &plain);
    if (rc == 0) {
        set_server(tree, server);
        return 0;
    }
    (void)ipc_shared_free(start);
    free(server);
    return rc;
}

/* ---- orders ---- */

/* DIED, or an error, or 0. */
static int send_order(struct ipc__server *server,
                      const struct ipc__orders *orders)
{
    struct ipc__order order = {
        .sequence = ++server->sequence,
        .start = orders->request.start,
        .fd_count = orders->request.fd_count,
    };
    int fds[IPC__ORDER_FDS] = {orders->fd};
    uint32_t count = 1;
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            continue;
        order.standard |= 1u << fd;
        fds[count++] = fd;
    }
    for (uint32_t i = 0; i < order.fd_count; i++)
        fds[count++] = orders->fds[i].number;
    if (!has_socket(server))
        return DIED;
    const int rc =
        ipc__mail_send(server->socket, &order, sizeof order, fds, count);
    return rc == -EPIPE || rc == -ECONNRESET || rc == -ENOTCONN ? DIED : rc;
}

/* The reply to the last order.  -EAGAIN: none yet; -EPIPE: none will come. */
static int take_reply(struct ipc__server *server, struct ipc__reply *reply,
                      int *pidfd)
{
    for (;;) {
        uint32_t count = 1;
        int rc = ipc__mail_recv(server->socket, reply, sizeof *reply, pidfd,
                                &count, MSG_DONTWAIT);
        *pidfd = count > 0 ? ipc__fd_above_standard(*pidfd) : -1;
        if (rc == -EMFILE)
            rc = 0;
        if (rc == 0 && reply->sequence == server->sequence)
            return 0;
        ipc__pidfd_close(*pidfd);
        *pidfd = -1;
        if (rc != 0 && rc != -EMSGSIZE)
            return rc == -EAGAIN ? rc : -EPIPE;
    }
}

/* Sleep until it may have replied, or it is time to look around. */
static void await_packet(const struct ipc__server *server)
{
    struct pollfd items[2] = {
        {.fd = server->socket, .events = POLLIN},
        {.fd = load_relaxed(&server->gone) ? -1 : server->child.fd,
         .events = POLLIN},
    };
    const struct timespec pause = {0, (long)ipc__recheck_ns};
    struct timespec left = pause;
    (void)ipc__syscall5(SYS_ppoll, items, 2, &left, 0, 0);
}

/* The template is dead.  0: ask another one; -EAGAIN: there is a child, which
 * will reply. */
static int abandon(struct ipc__start *start)
{
    return cas32_acquire(&start->state, IPC__START_BEGUN, IPC__START_ABANDONED)
               ? 0
               : -EAGAIN;
}

/* Wait for the reply: 0; DIED; -ECHILD: the child has died before it could
 * reply. */
static int await_reply(struct ipc__server *server, struct ipc__child *child,
                       struct ipc__reply *reply, int *pidfd)
{
    ipc_deadline patience = IPC_TIME_FOREVER;
    for (;;) {
        /* Asked first: what is so then has an effect that is seen below. */
        const bool ended = load_acquire(&child->start->ended) != 0;
        const bool gone = ipc__server_is_gone(server);
        const int rc = take_reply(server, reply, pidfd);
        if (rc == 0)
            return 0;
        if (ended)
            return -ECHILD;
        if ((gone || rc == -EPIPE) && patience == IPC_TIME_FOREVER) {
            if (abandon(child->start) == 0)
                return DIED;
            patience = ipc_after_ns(ORPHAN_NS);
        }
        if (ipc_time_left(patience) == 0 ||
            (rc == -EPIPE && patience != IPC_TIME_FOREVER))
            return -ECHILD;
        await_packet(server);
    }
}

/* The child is there, or was. */
static void add_child(struct ipc__tree *tree, struct ipc__server *server,
                      struct ipc__child *child, int pid, int pidfd)
{
    ipc__private_lock(&tree->lock);
    child->pid = pid;
    child->fd = pidfd;
    child->server = server;
    server->refs++;
    child->running = 1;
    ipc__tree_add(tree, child);
    ipc__private_unlock(&tree->lock);
}

/* With server_lock.  0, DIED, or an error. */
static int order_child(struct ipc__tree *tree, struct ipc__child *child,
                       const struct ipc__orders *orders)
{
    struct ipc__server *server = tree->server;
    struct ipc__reply reply = {.pid = 0};
    int pidfd = -1;
    const int place = ipc__keep_place();
    if (place < 0)
        return place;
    int rc = send_order(server, orders);
    (void)ipc__syscall1(SYS_close, place);
    if (rc < 0)
        return ipc__fail(rc, "cannot order %s: %s", child->name,
                         strerrordesc_np(-rc));
    if (rc == 0)
        rc = await_reply(server, child, &reply, &pidfd);
    if (rc == DIED)
        return rc;
    if (rc == -ECHILD) {
        add_child(tree, server, child, child->start->pid, -1);
        return 0;
    }
    if (reply.pid > 0)
        add_child(tree, server, child, reply.pid, pidfd);
    if (reply.error == 0)
        return 0;
    if (reply.pid > 0) {
        (void)ipc__child_join(child, IPC_TIME_FOREVER);
        ipc__child_forget(child);
    }
    return ipc__fresh_failed(child->name, reply.error, reply.step);
}

/* An orphan may still look at the old one (leaky). */
static int renew_start(struct ipc__child *child)
{
    void *start = NULL;
    const int rc = ipc__shared_alloc(sizeof *child->start, &start);
    if (rc == 0)
        child->start = start;
    return rc;
}

static int try_order(struct ipc__tree *tree, struct ipc__child *child)
{
    struct ipc__orders orders = {.fd = -1, .request.socket = -1};
    int rc = ipc__orders_write(&orders, child);
    if (rc != 0)
        return rc;
    if (tree->server != NULL && ipc__server_is_gone(tree->server))
        retire(tree);
    if (tree->server == NULL)
        rc = make_server(tree);
    if (rc == 0)
        rc = order_child(tree, child, &orders);
    (void)close(orders.fd);
    return rc;
}

static int order_twice(struct ipc__tree *tree, struct ipc__child *child)
{
    int rc = 0;
    for (int i = 0; i < 2; i++) {
        rc = try_order(tree, child);
        if (rc != DIED)
            return rc;
        retire(tree);
        rc = renew_start(child);
        if (rc != 0)
            return rc;
    }
    return ipc__fail(-EPIPE, "%s: the forkserver has died twice", child->name);
}

int ipc__start_by_server(struct ipc__child *child)
{
    struct ipc__tree *tree = ipc__tree();
    int rc = ipc__fresh_is_possible();
    if (rc != 0)
        return rc;
    ipc__private_lock(&tree->lock);
    ipc__child_name(tree, child);
    ipc__private_unlock(&tree->lock);
    ipc__private_lock(&tree->server_lock);
    rc = order_twice(tree, child);
    ipc__private_unlock(&tree->server_lock);
    return rc;
}

/* ---- the calls ---- */

static int read_plan(const ipc_forkserver_options *options,
                     struct ipc__plan **out)
{
    struct ipc__plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return ipc__fail(-ENOMEM, "no memory for a forkserver");
    int rc = ipc__options_read(&plan->options, sizeof plan->options, options);
    if (rc != 0)
        rc = ipc__fail(rc, "forkserver options of a size that is not known");
    else if (plan->options.fd_count > IPC_PROCESS_FDS_MAX)
        rc = ipc__fail(-EINVAL, "%u descriptors to pass, %d are the most",
                       plan->options.fd_count, IPC_PROCESS_FDS_MAX);
    if (rc != 0) {
        free(plan);
        return rc;
    }
    if (plan->options.fd_count > 0)
        memcpy(plan->fds, plan->options.fds,
               plan->options.fd_count * sizeof plan->fds[0]);
    *out = plan;
    return 0;
}

/* With server_lock. */
static int start_as_planned(struct ipc__tree *tree, struct ipc__plan *plan)
{
    if (tree->server != NULL && ipc__server_is_gone(tree->server))
        retire(tree);
    if (tree->server != NULL)
        return ipc__fail(-EALREADY, "there is a forkserver: pid %d",
                         (int)tree->server->child.pid);
    struct ipc__plan *before = tree->plan;
    tree->plan = plan;
    const int rc = make_server(tree);
    if (rc != 0)
        tree->plan = before;
    else
        free(before);
    return rc;
}

int ipc_forkserver_start(const ipc_forkserver_options *options)
{
    struct ipc__tree *tree = ipc__tree();
    struct ipc__plan *plan = NULL;
    if (ipc_current_process() == NULL)
        return ipc__fail(-ENOSYS, "the kernel lacks MADV_WIPEONFORK");
    if (!ipc__fresh_is_entered())
        return ipc__fail(-EPERM, "this process was spawned and has not reached "
                                 "ipc_spawn_main() yet");
    int rc = read_plan(options, &plan);
    if (rc != 0)
        return rc;
    ipc__flush_all();
    ipc__private_lock(&tree->server_lock);
    rc = start_as_planned(tree, plan);
    ipc__private_unlock(&tree->server_lock);
    if (rc != 0)
        free(plan);
    return rc;
}

int ipc_forkserver_stop(void)
{
    struct ipc__tree *tree = ipc__tree();
    if (tree != NULL)
        ipc__server_end(tree);
    return 0;
}

int ipc_forkserver_pid(void)
{
    struct ipc__tree *tree = ipc__tree();
    int pid = 0;
    if (tree == NULL)
        return 0;
    ipc__private_lock(&tree->server_lock);
    if (tree->server != NULL && !ipc__server_is_gone(tree->server))
        pid = tree->server->child.pid;
    ipc__private_unlock(&tree->server_lock);
    return pid;
}
