/* Waiting for several things: looking at all of them, and sleeping.
 *
 * Words alone are slept on here; descriptors alone are polled.  For both the
 * bridge sleeps on the words, on a copy of their items, and makes a descriptor
 * readable that is polled with the others.
 *
 * Death, of the one who waits
 *   It owns nothing.  Marks that it has left cost somebody a system call.  A
 *   wake-up that had come to it and was not handed on is found by the re-check
 *   of the others; for the first lock that it waits for, list_op_pending has
 *   the kernel hand it on if the lock is free. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/error.h"
#include "core/peers.h"
#include "queue/users.h"
#include "wait/bridge.h"
#include "wait/item.h"
#include "wait/look.h"

/* So many descriptors are polled without allocating memory. */
#define FEW 16

struct waiting {
    ipc_wait_item *items;
    size_t n;
    ipc_deadline deadline;
    uint64_t *lock;       /* the word of the first lock, or NULL */
    size_t words;         /* items that are looked at; the rest is */
    size_t fds;           /* polled */
    struct pollfd *polls; /* the first is the bridge's */
    struct pollfd few[FEW + 1];
    struct ipc__look look;
};

/* ---- beginning ---- */

static int check_item(const struct waiting *w, size_t i)
{
    const ipc_wait_item *item = &w->items[i];
    const uint32_t kind = item->what - IPC__WAIT_FIRST;
    if (kind > IPC_WAIT_FOR_FD - IPC__WAIT_FIRST ||
        (item->object == NULL && item->what != IPC_WAIT_FOR_FD))
        return ipc__fail(-EINVAL, "item %zu of %zu is nothing to wait for", i,
                         w->n);
    return 0;
}

static int sort_items(struct waiting *w)
{
    for (size_t i = 0; i < w->n; i++) {
        ipc_wait_item *item = &w->items[i];
        const int rc = check_item(w, i);
        if (rc != 0)
            return rc;
        const bool is_fd = ipc__look_is_fd(item);
        item->flags_ = is_fd ? IPC__ITEM_FD : 0;
        item->ready = 0;
        if (is_fd)
            w->fds++;
        else if (item->what == IPC_WAIT_FOR_LOCK && w->lock == NULL)
            w->lock = &((ipc_lock *)item->object)->word_;
    }
    w->words = w->n - w->fds;
    return 0;
}

static bool is_fd(const ipc_wait_item *item)
{
    return (item->flags_ & IPC__ITEM_FD) != 0;
}

/* The descriptors, in the order of their items. */
static int fill_polls(struct waiting *w)
{
    w->polls = w->few;
    if (w->fds > FEW)
        w->polls = malloc((w->fds + 1) * sizeof *w->polls);
    if (w->polls == NULL)
        return ipc__fail(-ENOMEM, "no memory to poll %zu descriptors", w->fds);
    struct pollfd *poll = w->polls;
    *poll = (struct pollfd){.fd = -1, .events = POLLIN};
    for (size_t i = 0; i < w->n; i++) {
        if (!is_fd(&w->items[i]))
            continue;
        poll++;
        const int rc = ipc__look_fd(&w->items[i], &poll->fd, &poll->events);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- looking ---- */

static int fail_poll(const struct waiting *w, int error)
{
    if (error == EINVAL) /* what poll(2) says then */
        return ipc__fail(-EMFILE,
                         "RLIMIT_NOFILE is too low to poll %zu descriptors",
                         w->fds);
    return ipc__fail(-error, "cannot poll %zu descriptors: %s", w->fds,
                     ipc_strerror(-error));
}

/* Poll until something is ready, or the deadline.  0 or a negative errno. */
static int poll_until(const struct waiting *w, ipc_deadline deadline)
{
    const size_t first = w->polls[0].fd < 0; /* there is no bridge */
    int rc;
    do {
        const int64_t ns = ipc_time_left(deadline);
        const struct timespec left = {.tv_sec = ns / 1000000000,
                                      .tv_nsec = ns % 1000000000};
        rc = ppoll(w->polls + first, w->fds + 1 - first,
                   deadline == IPC_TIME_FOREVER ? NULL : &left, NULL);
    } while ((rc == 0 && ipc_time_left(deadline) != 0) ||
             (rc < 0 && errno == EINTR));
    return rc >= 0 ? 0 : fail_poll(w, errno);
}

static int fail_fd(const struct pollfd *poll, size_t item)
{
    return ipc__fail(-EBADF, "item %zu: descriptor %d is not open", item,
                     poll->fd);
}

/* What the poll has found: how many are ready, or -EBADF. */
static int count_fds(struct waiting *w)
{
    const struct pollfd *poll = w->polls;
    int ready = 0;
    for (size_t i = 0; i < w->n && w->fds != 0; i++) {
        ipc_wait_item *item = &w->items[i];
        if (!is_fd(item))
            continue;
        poll++;
        const uint32_t events = (uint16_t)poll->revents;
        if ((events & POLLNVAL) != 0)
            return fail_fd(poll, i);
        item->ready = item->what == IPC_WAIT_FOR_FD ? events : events != 0;
        ready += item->ready != 0;
    }
    return ready;
}

/* How many objects are ready, or a negative errno. */
static int count_words(struct waiting *w, bool marks)
{
    int ready = 0;
    ipc__look_begin(&w->look, marks);
    for (size_t i = 0; i < w->n && w->words != 0; i++) {
        ipc_wait_item *item = &w->items[i];
        if (is_fd(item))
            continue;
        const int rc = ipc__look_at(&w->look, item);
        if (rc < 0)
            return rc;
        item->ready = (uint32_t)rc;
        ready += rc;
    }
    w->look.is_first = false;
    return ready;
}

static int add(int a, int b)
{
    return a < 0 ? a : b < 0 ? b : a + b;
}

/* Both, without waiting. */
static int count_all(struct waiting *w)
{
    const int words = count_words(w, false);
    if (words < 0 || w->fds == 0)
        return words;
    const int rc = poll_until(w, IPC_TIME_NOW);
    return rc != 0 ? rc : add(words, count_fds(w));
}

/* ---- words ---- */

/* The caller may die in the sleep, or just after it. */
static void sleep_on_words(struct waiting *w, struct ipc__pace *pace)
{
    const bool pending = w->lock != NULL && (ipc__self_is_ready(w->lock) ||
                                             ipc__self_register(w->lock) == 0);
    if (pending)
        ipc__pending_set(w->lock);
    ipc__look_sleep(&w->look, pace, w->deadline);
    ipc__look_pass_on_changed(&w->look);
    if (pending)
        ipc__pending_clear();
}

static void pass_on_found(struct waiting *w, bool leaves)
{
    for (size_t i = 0; i < w->n; i++)
        ipc__look_pass_on_found(&w->items[i], w->items[i].ready != 0, leaves);
}

static int wait_for_words(struct waiting *w)
{
    struct ipc__pace pace = {0};
    bool slept = false;
    for (;;) {
        const int ready = count_words(w, true);
        const bool over = ready != 0 || ipc_time_left(w->deadline) == 0;
        if (slept)
            pass_on_found(w, over);
        if (over)
            return ready;
        sleep_on_words(w, &pace);
        slept = true;
    }
}

/* ---- words and descriptors ---- */

/* A copy of those that the bridge looks after. */
static ipc_wait_item *copy_words(const struct waiting *w)
{
    ipc_wait_item *copy = malloc(w->words * sizeof *copy);
    size_t n = 0;
    for (size_t i = 0; i < w->n && copy != NULL; i++)
        if (!is_fd(&w->items[i]))
            copy[n++] = w->items[i];
    return copy;
}

/* Now and then we look ourselves, as who sleeps does; first of all so that a
 * task of ours that nobody else can run is run here. */
static int poll_with_bridge(struct waiting *w, struct ipc__bridged *bridged)
{
    int rc = count_words(w, false);
    if (rc != 0)
        return rc;
    for (;;) {
        const ipc_deadline due = ipc_after_ns(ipc__recheck_ns);
        const bool last = w->deadline <= due;
        rc = poll_until(w, last ? w->deadline : due);
        if (rc == 0)
            rc = add(count_words(w, false), count_fds(w));
        if (rc != 0 || (last && ipc_time_left(w->deadline) == 0))
            return rc;
        w->look.thorough = ipc_time_left(due) == 0;
        if (w->polls[0].revents != 0)
            ipc__bridge_again(bridged);
    }
}

static int wait_with_bridge(struct waiting *w)
{
    struct ipc__bridged bridged = {
        .count = w->words, .items = copy_words(w), .fd = -1};
    int rc = bridged.items != NULL
                 ? 0
                 : ipc__fail(-ENOMEM, "no memory to wait for %zu items", w->n);
    if (rc == 0) {
        bridged.fd = ipc__bridge_eventfd();
        rc = bridged.fd < 0 ? bridged.fd : ipc__bridge_add(&bridged);
    }
    if (rc == 0) {
        w->polls[0].fd = bridged.fd;
        rc = poll_with_bridge(w, &bridged);
        ipc__bridge_remove(&bridged);
    }
    if (bridged.fd >= 0)
        (void)close(bridged.fd);
    free(bridged.items);
    return rc;
}

/* ---- all of it ---- */

static int wait_for_fds(struct waiting *w)
{
    if (w->words != 0)
        return wait_with_bridge(w);
    const int rc = poll_until(w, w->deadline);
    return rc != 0 ? rc : count_fds(w);
}

/* None of its queues is to be detached meanwhile. */
static int block(struct waiting *w)
{
    struct ipc__queue_user user;
    ipc__queue_user_enter(&user, &w->items->object, sizeof *w->items, w->n);
    const int rc = w->fds != 0 ? wait_for_fds(w) : wait_for_words(w);
    ipc__queue_user_leave(&user);
    return rc;
}

static int wait_for_any(struct waiting *w)
{
    int rc = sort_items(w);
    if (rc == 0 && w->fds != 0)
        rc = fill_polls(w);
    if (rc == 0)
        rc = count_all(w);
    if (rc == 0 && w->deadline > 0)
        rc = block(w);
    if (rc != 0)
        return rc;
    return ipc__fail(w->deadline == IPC_TIME_NOW ? -EAGAIN : -ETIMEDOUT,
                     "none of %zu items is ready", w->n);
}

int ipc_wait(ipc_wait_item *items, size_t n, ipc_deadline deadline)
{
    struct waiting w;
    int state;
    if (n == 0 || n > INT_MAX)
        return ipc__fail(-EINVAL, "wait for %zu items", n);
    w.items = items;
    w.n = n;
    w.deadline = deadline;
    w.lock = NULL;
    w.words = 0;
    w.fds = 0;
    w.polls = NULL;
    w.look.is_first = true;
    w.look.thorough = false;
    w.look.on_behalf = false;
    w.look.deadline = deadline;
    /* Who is cancelled in here would leave the bridge with what is no more. */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    const int rc = wait_for_any(&w);
    if (w.polls != w.few)
        free(w.polls);
    (void)pthread_setcancelstate(state, NULL);
    return rc;
}
