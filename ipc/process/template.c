/* The template: a fresh image that forks a child whenever its owner says so,
 * and tells how each has ended.
 *
 * It runs nothing else, so it has one thread and little memory; what its
 * preload has loaded its children find in theirs.
 *
 * Order
 *   [template→starter]  as in process.c.
 *
 * Death
 *   See server.c. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "kernel/futex.h"
#include "kernel/pidfd.h"
#include "kernel/syscall.h"
#include "process/arrange.h"
#include "process/child.h"
#include "process/server.h"
#include "process/streams.h"

#define HIGH 100 /* leave low numbers to what is passed */

/* How often children that cannot be watched are looked at. */
#define LOOK_MS 20

/* For threads of the preload to end. */
#define THREAD_ENDS_NS ((int64_t)100 * 1000 * 1000)

/* A child that has not been waited for. */
struct worker {
    struct worker *next;
    struct ipc__start *start;
    int pid;
    int fd; /* -1: it cannot be watched */
};

static struct {
    int socket; /* -1: no more orders */
    int epoll;
    int owner_fd;
    int own_fd; /* in a child: its own pidfd, for its reply */
    int owner;
    struct worker *workers;
    struct sigaction interrupt; /* what the owner has for these signals */
    struct sigaction child;
} template = {.socket = -1};

/* ---- in a new child ---- */

/* What came with an order, in the order in which it came. */
struct luggage {
    int fds[IPC__ORDER_FDS];
    uint32_t count;
};

static void close_workers(void)
{
    for (const struct worker *w = template.workers; w != NULL; w = w->next)
        ipc__pidfd_close(w->fd);
    (void)close(template.epoll);
    ipc__watch_forget();
}

/* Put each descriptor where the child is to have it. */
static int arrange(const struct ipc__order *order,
                   const struct luggage *luggage,
                   const struct ipc__request_tables *tables)
{
    struct ipc__arranged places[IPC__ORDER_FDS + 4];
    uint32_t count = 0;
    uint32_t next = 1;
    for (int fd = 0; fd <= 2; fd++) {
        if ((order->standard >> fd & 1) != 0)
            places[count++] =
                (struct ipc__arranged){luggage->fds[next++], fd, false};
        else
            (void)close(fd);
    }
    for (uint32_t i = 0; i < order->fd_count; i++)
        places[count++] =
            (struct ipc__arranged){luggage->fds[next++], tables->fds[i].number,
                                   tables->fds[i].cloexec != 0};
    const uint32_t own = count;
    places[count++] = (struct ipc__arranged){template.socket, -1, true};
    places[count++] = (struct ipc__arranged){template.owner_fd, -1, true};
    places[count++] = (struct ipc__arranged){template.own_fd, -1, true};
    places[count++] = (struct ipc__arranged){ipc__family_fd(), -1, true};
    const int rc = ipc__arrange(places, count);
    template.socket = places[own].fd;
    template.owner_fd = places[own + 1].fd;
    template.own_fd = places[own + 2].fd;
    if (places[own + 3].fd >= 0)
        ipc__family_fd_moved(places[own + 3].fd);
    return rc;
}

static int get_ready(const struct ipc__order *order,
                     const struct luggage *luggage, enum ipc__start_step *step)
{
    struct ipc__request *request = NULL;
    struct ipc__request_tables tables;
    *step = IPC__STEP_REQUEST;
    int rc = ipc__request_read(luggage->fds[0], &request, &tables);
    (void)close(luggage->fds[0]);
    if (rc == 0 && (request->start != order->start ||
                    request->fd_count != order->fd_count ||
                    request->owner != template.owner))
        rc = -EBADF;
    if (rc == 0) {
        *step = IPC__STEP_FDS;
        rc = arrange(order, luggage, &tables);
    }
    return rc != 0
               ? rc
               : ipc__fresh_become(request, &tables, template.owner_fd, step);
}

/* From a child; the owner gets a pidfd of it too. */
static int reply(const struct ipc__order *order, int error,
                 enum ipc__start_step step)
{
    const struct ipc__reply packet = {
        .sequence = order->sequence,
        .pid = getpid(),
        .error = error,
        .step = step,
    };
    return ipc__mail_send(template.socket, &packet, sizeof packet,
                          &template.own_fd, template.own_fd >= 0 ? 1 : 0);
}

static _Noreturn void be_child(const struct ipc__order *order,
                               const struct luggage *luggage)
{
    struct ipc__start *start = (struct ipc__start *)(uintptr_t)order->start;
    enum ipc__start_step step = IPC__STEP_FDS;
    start->pid = getpid();
    if (!cas32_acquire(&start->state, IPC__START_BEGUN, IPC__START_ENTERED))
        _exit(1); /* the template has died, and another one is asked */
    close_workers();
    (void)sigaction(SIGINT, &template.interrupt, NULL);
    (void)sigaction(SIGCHLD, &template.child, NULL);
    /* Before a limit is set that leaves no room. */
    template.own_fd = ipc__pidfd_open(getpid());
    const int rc = template.own_fd >= 0 ? get_ready(order, luggage, &step)
                                        : template.own_fd;
    if (reply(order, rc, step) != 0 || rc != 0)
        _exit(1);
    ipc__pidfd_close(template.own_fd);
    (void)close(template.socket);
    store_release(&start->state, IPC__START_RUNNING);
    ipc__child_run(ipc_current_process(), start);
}

/* ---- the template ---- */

static void close_luggage(const struct luggage *luggage)
{
    for (uint32_t i = 0; i < luggage->count; i++)
        (void)close(luggage->fds[i]);
}

/* There may be no descriptor, or no room to watch one more. */
static void watch_worker(struct worker *worker)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = worker};
    worker->fd = ipc__pidfd_open(worker->pid);
    if (worker->fd < 0 ||
        epoll_ctl(template.epoll, EPOLL_CTL_ADD, worker->fd, &event) == 0)
        return;
    ipc__pidfd_close(worker->fd);
    worker->fd = -1;
}

/* How it has ended, as waitpid() tells. */
static int status_of(const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED)
        return (info->si_status & 0xff) << 8;
    return info->si_status | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

/* Waits if it has to. */
static void reap(struct worker *worker)
{
    siginfo_t info = {.si_pid = 0};
    while (waitid(P_PID, (id_t)worker->pid, &info, WEXITED) != 0 &&
           errno == EINTR)
        continue;
    struct ipc__start *start = worker->start;
    start->pid = worker->pid;
    start->status = status_of(&info);
    store_release(&start->ended, 1); /* [template→starter] */
    ipc__futex_wake(&start->ended, INT_MAX);
    ipc__pidfd_close(worker->fd);
    free(worker);
}

static void end_worker(struct worker *worker)
{
    struct worker **link = &template.workers;
    while (*link != NULL && *link != worker)
        link = &(*link)->next;
    if (*link == NULL)
        return;
    *link = worker->next;
    reap(worker);
}

/* Fork a child.  0, or why there is none. */
static int start_worker(const struct ipc__order *order,
                        const struct luggage *luggage)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return -ENOMEM;
    const int place = ipc__keep_place();
    const int pid = place < 0 ? -1 : fork();
    int rc = place < 0 ? place : -errno;
    if (place >= 0)
        (void)close(place);
    if (pid == 0)
        be_child(order, luggage);
    if (pid < 0) {
        free(worker);
        return rc;
    }
    worker->start = (struct ipc__start *)(uintptr_t)order->start;
    worker->pid = pid;
    worker->next = template.workers;
    template.workers = worker;
    watch_worker(worker);
    return 0;
}

static bool has_unwatched(void)
{
    const struct worker *worker = template.workers;
    while (worker != NULL && worker->fd >= 0)
        worker = worker->next;
    return worker != NULL;
}

/* Try again; and see which of them have ended. */
static void look_at_unwatched(void)
{
    for (struct worker *worker = template.workers, *next; worker != NULL;
         worker = next) {
        siginfo_t info = {.si_pid = 0};
        next = worker->next;
        if (worker->fd < 0)
            watch_worker(worker);
        if (worker->fd < 0 &&
            waitid(P_PID, (id_t)worker->pid, &info,
                   WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid != 0)
            end_worker(worker);
    }
}

static bool is_possible(const struct ipc__order *order,
                        const struct luggage *luggage)
{
    return order->fd_count <= IPC_PROCESS_FDS_MAX &&
           luggage->count ==
               1 + order->fd_count +
                   (uint32_t)__builtin_popcount(order->standard & 7);
}

static void refuse(const struct ipc__order *order, int error)
{
    const struct ipc__reply packet = {.sequence = order->sequence,
                                      .error = error};
    (void)ipc__mail_send(template.socket, &packet, sizeof packet, NULL, 0);
}

static void take_order(void)
{
    struct ipc__order order = {.sequence = 0}; /* that of no order */
    struct luggage luggage = {.count = IPC__ORDER_FDS};
    int rc = ipc__mail_recv(template.socket, &order, sizeof order, luggage.fds,
                            &luggage.count, 0);
    if (rc == -EPIPE || rc == -ECONNRESET) {
        (void)close(template.socket);
        template.socket = -1;
        return;
    }
    if (rc == 0 && !is_possible(&order, &luggage))
        rc = -EINVAL;
    if (rc == 0)
        rc = start_worker(&order, &luggage);
    close_luggage(&luggage);
    if (rc == -EAGAIN || rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE ||
        rc == -EINVAL)
        refuse(&order, rc);
}

static int move_high(int fd)
{
    const int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH);
    if (high < 0)
        return fd;
    (void)close(fd);
    return high;
}

/* Until the owner wants no more and all children have ended. */
static void serve(void)
{
    struct epoll_event events[16];
    while (template.socket >= 0 || template.workers != NULL) {
        const int n = epoll_wait(template.epoll, events, 16,
                                 has_unwatched() ? LOOK_MS : -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                take_order();
            else
                end_worker(events[i].data.ptr);
        }
        look_at_unwatched();
    }
}

static int open_all(const struct ipc__request *request)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    template.owner = request->owner;
    template.owner_fd = ipc__pidfd_open(request->owner);
    if (template.owner_fd < 0)
        return template.owner_fd;
    if (getppid() != request->owner)
        _exit(1); /* its pid may be anybody's */
    template.owner_fd = move_high(template.owner_fd);
    template.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (template.epoll < 0)
        return -errno;
    template.epoll = move_high(template.epoll);
    template.socket = move_high(request->socket);
    return epoll_ctl(template.epoll, EPOLL_CTL_ADD, template.socket, &event) ==
                   0
               ? 0
               : -errno;
}

/* A fork of threads is what a template is there to avoid.  One that was joined
 * may be on its way out still. */
static bool has_more_threads(uint32_t before)
{
    const ipc_deadline deadline = ipc_after_ns(THREAD_ENDS_NS);
    while (ipc__count_threads() > before) {
        if (ipc_time_left(deadline) == 0)
            return true;
        ipc_sleep_until(ipc_after_ms(1));
    }
    return false;
}

static int prepare(const struct ipc__request *request,
                   enum ipc__start_step *step)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    const struct sigaction normal = {.sa_handler = SIG_DFL};
    (void)sigaction(SIGINT, &ignore, &template.interrupt);
    (void)sigaction(SIGCHLD, &normal, &template.child);
    *step = IPC__STEP_SETUP;
    int rc = ipc__watch_parent(request->owner);
    if (rc == 0)
        rc = open_all(request);
    if (rc != 0 || !request->has_entry)
        return rc;
    const ipc_process *self = ipc_current_process();
    const uint32_t threads = ipc__count_threads();
    *step = IPC__STEP_PRELOAD;
    rc = self->target_(self->arg_);
    ipc__flush_pending();
    if (rc == 0 && threads != 0 && has_more_threads(threads)) {
        *step = IPC__STEP_THREADS;
        return -EBUSY;
    }
    return rc > 0 ? -EINVAL : rc;
}

void ipc__template_run(const struct ipc__request *request)
{
    struct ipc__start *start = (struct ipc__start *)(uintptr_t)request->start;
    enum ipc__start_step step;
    const int rc = prepare(request, &step);
    if (rc != 0) {
        ipc__child_report_failed(start, step, rc);
        _exit(1);
    }
    ipc__child_report(start, IPC__START_RUNNING);
    serve();
    _exit(0);
}
