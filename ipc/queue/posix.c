/* POSIX message queues: put and get.
 *
 * The kernel copies a message in or out as one: who is killed meanwhile has put
 * it or not, and has got it or not; what a killed consumer had got is gone
 * with it.
 *
 * mq_timedreceive(3) waits by the clock on the wall, which may be set.  So the
 * descriptor never blocks, and what waits is poll, until a monotonic deadline.
 * The kernel wakes all who poll for each message that comes or goes: no wake-up
 * is lost with one of them. */
#include "queue/posix.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ipc/error.h>

#include "core/error.h"
#include "queue/users.h"
#include "sync/object.h"

/* Of those who are known to the process: handles. */
static const struct ipc__posix *handle_of(const ipc_queue *queue)
{
    return (const struct ipc__posix *)queue;
}

/* ---- errors ---- */

static int fail(const ipc_queue *queue, int error)
{
    return ipc__queue_fail(queue, error, ipc_strerror(error));
}

static int fail_to_get(const ipc_queue *queue, size_t room)
{
    char name[IPC__NAME_BYTES];
    return ipc__fail(-EMSGSIZE,
                     "%s: its messages have up to %zu bytes, but the buffer "
                     "has %zu",
                     ipc__object_name("queue", queue->label, queue, name),
                     handle_of(queue)->message_max, room);
}

static int fail_to_match(const ipc_queue *queue, size_t found, size_t wanted)
{
    char name[IPC__NAME_BYTES];
    return ipc__fail(-EMSGSIZE,
                     "%s: a message of %zu bytes, but asked for were %zu; it "
                     "is lost",
                     ipc__object_name("queue", queue->label, queue, name),
                     found, wanted);
}

/* ---- waiting ---- */

/* Until the queue may be worth a look.  0, or a negative errno. */
static int poll_until(const struct ipc__posix *p, short event,
                      ipc_deadline deadline)
{
    struct pollfd item = {.fd = p->fd, .events = event};
    for (;;) {
        const int64_t left = ipc_time_left(deadline);
        if (left == 0)
            return -ETIMEDOUT;
        const struct timespec time = {.tv_sec = left / 1000000000,
                                      .tv_nsec = left % 1000000000};
        const int n = ppoll(&item, 1, left == INT64_MAX ? NULL : &time, NULL);
        if (n > 0)
            return 0; /* or an error, which the next try finds */
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

static int wait_for(const struct ipc__posix *p, short event,
                    ipc_deadline deadline)
{
    struct ipc__queue_user user;
    const ipc_queue *queue = &p->queue;
    ipc__queue_user_enter(&user, &queue, 0, 1);
    const int rc = poll_until(p, event, deadline);
    ipc__queue_user_leave(&user);
    return rc;
}

/* A try has failed like this.  0: there may be something now. */
static int after_try(const ipc_queue *queue, int error, short event,
                     ipc_deadline deadline)
{
    if (error != EAGAIN)
        return fail(queue, -error);
    const int rc = deadline == IPC_TIME_NOW
                       ? -EAGAIN
                       : wait_for(handle_of(queue), event, deadline);
    if (rc == -EAGAIN || rc == -ETIMEDOUT)
        return ipc__queue_fail(queue, rc,
                               event == POLLIN ? "is empty" : "is full");
    return rc == 0 ? 0 : fail(queue, rc);
}

/* ---- put ---- */

static int check_put(const ipc_queue *queue, size_t bytes, uint32_t priority)
{
    const struct ipc__posix *p = handle_of(queue);
    char name[IPC__NAME_BYTES];
    if (!p->puts)
        return ipc__queue_fail(queue, -EACCES, "may not be put into");
    if (bytes > p->message_max)
        return ipc__queue_fail_size(queue, bytes, p->message_max,
                                    "but its messages have at most");
    const long priorities = sysconf(_SC_MQ_PRIO_MAX);
    if (priorities > 0 && priority >= (unsigned long)priorities)
        return ipc__fail(-EINVAL, "%s: priority %u, and %ld is the highest",
                         ipc__object_name("queue", queue->label, queue, name),
                         priority, priorities - 1);
    return 0;
}

static int put(ipc_queue *queue, const void *data, size_t bytes,
               uint32_t priority, ipc_deadline deadline)
{
    int rc = check_put(queue, bytes, priority);
    while (rc == 0) {
        if (mq_send(handle_of(queue)->fd, data != NULL ? data : "", bytes,
                    priority) == 0)
            return 0;
        rc = after_try(queue, errno, POLLOUT, deadline);
    }
    return rc;
}

static int putv(ipc_queue *queue, const ipc_queue_item *items, size_t n,
                ipc_deadline deadline)
{
    for (size_t done = 0; done < n; done++) {
        const int rc =
            put(queue, items[done].data, items[done].bytes, 0, deadline);
        if (rc != 0)
            return done != 0 ? (int)done : rc;
    }
    return (int)n;
}

/* ---- get ---- */

/* With room for any message. */
static int receive(const ipc_queue *queue, void *buffer, size_t *bytes,
                   ipc_deadline deadline)
{
    const struct ipc__posix *p = handle_of(queue);
    if (!p->gets)
        return ipc__queue_fail(queue, -EACCES, "may not be got from");
    for (;;) {
        const ssize_t n = mq_receive(p->fd, buffer, p->message_max, NULL);
        if (n >= 0) {
            *bytes = (size_t)n;
            return 0;
        }
        const int rc = after_try(queue, errno, POLLIN, deadline);
        if (rc != 0)
            return rc;
    }
}

static int get(ipc_queue *queue, void *buffer, size_t room, size_t *bytes,
               ipc_deadline deadline)
{
    const size_t needed = handle_of(queue)->message_max;
    size_t size = needed;
    const int rc = room < needed ? fail_to_get(queue, room)
                                 : receive(queue, buffer, &size, deadline);
    if (bytes != NULL && (rc == 0 || rc == -EMSGSIZE))
        *bytes = size;
    return rc;
}

static int getv(ipc_queue *queue, ipc_queue_item *items, size_t n,
                ipc_deadline deadline)
{
    for (size_t done = 0; done < n; done++) {
        ipc_queue_item *item = &items[done];
        const int rc = get(queue, item->data, item->room, &item->bytes,
                           done == 0 ? deadline : IPC_TIME_NOW);
        if (rc != 0)
            return done != 0 ? (int)done : rc;
    }
    return (int)n;
}

/* The memory is there before the message is taken: without it that stays. */
static int get_alloc(ipc_queue *queue, void **data, size_t *bytes,
                     ipc_deadline deadline)
{
    size_t size = 0;
    char *memory = malloc(handle_of(queue)->message_max + 1);
    if (memory == NULL) {
        (void)ipc__queue_fail(queue, -ENOMEM, "finds no memory for a copy");
        return -ENOMEM;
    }
    const int rc = receive(queue, memory, &size, deadline);
    if (rc != 0) {
        free(memory);
        return rc;
    }
    memory[size] = '\0';
    *data = realloc(memory, size + 1); /* it is shorter, if that works */
    if (*data == NULL)
        *data = memory;
    if (bytes != NULL)
        *bytes = size;
    return 0;
}

static int get_exactly(ipc_queue *queue, void *buffer, size_t bytes,
                       ipc_deadline deadline)
{
    void *copy;
    size_t found = 0;
    if (bytes > handle_of(queue)->message_max)
        return ipc__queue_fail_size(queue, handle_of(queue)->message_max, bytes,
                                    "at most, but asked for were");
    int rc = get_alloc(queue, &copy, &found, deadline);
    if (rc != 0)
        return rc;
    if (found == bytes)
        memcpy(buffer, copy, bytes);
    else
        rc = fail_to_match(queue, found, bytes);
    free(copy);
    return rc;
}

/* ---- the whole ---- */

static size_t messages_in(const ipc_queue *queue)
{
    struct mq_attr now;
    return mq_getattr(handle_of(queue)->fd, &now) == 0 ? (size_t)now.mq_curmsgs
                                                       : 0;
}

static size_t size(ipc_queue *queue)
{
    return messages_in(queue);
}

static bool full(ipc_queue *queue)
{
    return messages_in(queue) >= queue->capacity;
}

/* ---- what it cannot do ---- */

static int reserve(ipc_queue *queue, size_t bytes, ipc_message *message,
                   ipc_deadline deadline)
{
    (void)bytes;
    (void)message;
    (void)deadline;
    return ipc__queue_fail(queue, -ENOTSUP,
                           "is a POSIX message queue: use put, not reserve");
}

static int commit(ipc_queue *queue, ipc_message *message, bool abort)
{
    (void)abort;
    return reserve(queue, 0, message, IPC_TIME_NOW);
}

static int peek(ipc_queue *queue, ipc_message *message, ipc_deadline deadline)
{
    (void)message;
    (void)deadline;
    return ipc__queue_fail(queue, -ENOTSUP,
                           "is a POSIX message queue: use get, not peek");
}

static int release(ipc_queue *queue, ipc_message *message, bool keep)
{
    (void)keep;
    return peek(queue, message, IPC_TIME_NOW);
}

static int take(ipc_queue *queue, ipc_message *message, ipc_deadline deadline)
{
    (void)message;
    (void)deadline;
    return ipc__queue_fail(queue, -ENOTSUP,
                           "is a POSIX message queue: it has no leases");
}

static int settle(ipc_queue *queue, ipc_message *message,
                  enum ipc__lease_end how, ipc_deadline lease)
{
    (void)how;
    return take(queue, message, lease);
}

static int take_dead(ipc_queue *queue, ipc_message *message)
{
    return take(queue, message, IPC_TIME_NOW);
}

static int join(ipc_queue *queue, ipc_deadline deadline)
{
    (void)deadline;
    return ipc__queue_fail(queue, -ENOTSUP,
                           "is a POSIX message queue: it does not count what "
                           "is done");
}

static int task_done(ipc_queue *queue)
{
    return join(queue, IPC_TIME_NOW);
}

static int close_for_all(ipc_queue *queue, bool immediate)
{
    (void)immediate;
    return ipc__queue_fail(queue, -ENOTSUP,
                           "is a POSIX message queue: it cannot be closed for "
                           "others, only detached and unlinked");
}

static int fini(ipc_queue *queue)
{
    return ipc__queue_fail(queue, -EINVAL, "is not in family memory");
}

static int descriptor(const ipc_queue *queue)
{
    return handle_of(queue)->fd;
}

const struct ipc__queue_ops ipc__posix_ops = {
    .put = put,
    .putv = putv,
    .reserve = reserve,
    .commit = commit,
    .get = get,
    .getv = getv,
    .get_alloc = get_alloc,
    .get_exactly = get_exactly,
    .peek = peek,
    .release = release,
    .take = take,
    .settle = settle,
    .dead = ipc__queue_no_dead,
    .take_dead = take_dead,
    .size = size,
    .full = full,
    .task_done = task_done,
    .join = join,
    .close = close_for_all,
    .fini = fini,
    .descriptor = descriptor,
};
