/* Descriptors that stand for objects.
 *
 * Each is an eventfd of this process and one item for the bridge to look after.
 * When the object is ready the bridge makes it readable, and forgets about it.
 * It stays so until a call on the object would have had to wait: then it is
 * made unreadable, and the bridge looks again, and if there is something by
 * now says so again.  Nobody else looks at such an object for it, so those who
 * have no descriptors pay for one load, where they would wait anyway. */
#include "wait/fd.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/error.h"
#include "queue/ops.h"
#include "wait/bridge.h"
#include "wait/item.h"
#include "wait/look.h"

uint32_t ipc__fds_used;

struct entry {
    struct ipc__bridged bridged; /* first */
    ipc_wait_item item;
};

/* ---- which ---- */

static bool is_there(const struct ipc__bridged *b)
{
    return b->is_object && load_relaxed(&b->state) <= IPC__BRIDGE_SAID;
}

static bool is_of(const struct ipc__bridged *b, const void *object)
{
    return is_there(b) && b->items[0].object == object;
}

static bool is_same(const struct ipc__bridged *b, const void *arg)
{
    const ipc_wait_item *item = arg;
    return is_of(b, item->object) && b->items[0].what == item->what;
}

static bool is_fd(const struct ipc__bridged *b, const void *arg)
{
    return is_there(b) && b->fd == *(const int *)arg;
}

/* ---- what objects say ---- */

void ipc__fds_found_nothing(const void *object)
{
    struct ipc__bridged *b = NULL;
    if (ipc__bridge_is_locked())
        return; /* it is a look of our own */
    ipc__bridge_lock();
    while ((b = ipc__bridge_find(b, is_of, object)) != NULL)
        ipc__bridge_again_locked(b);
    ipc__bridge_unlock();
}

/* With the lock, which it gives up. */
static void end_unlocking(struct ipc__bridged *b)
{
    ipc__bridge_remove_unlocking(b);
    (void)close(b->fd);
    free(b); /* the entry */
}

static bool end_first(bool (*is)(const struct ipc__bridged *b, const void *arg),
                      const void *arg)
{
    ipc__bridge_lock();
    struct ipc__bridged *b = ipc__bridge_find(NULL, is, arg);
    if (b != NULL)
        end_unlocking(b);
    else
        ipc__bridge_unlock();
    return b != NULL;
}

void ipc__fds_forget(const void *object)
{
    while (end_first(is_of, object))
        ;
}

int ipc_fd_close(int fd)
{
    return load_relaxed(&ipc__fds_used) != 0 && end_first(is_fd, &fd)
               ? 0
               : ipc__fail(-EINVAL, "descriptor %d stands for no object", fd);
}

/* ---- make one ---- */

/* It is readable from the beginning if the object is ready now.  Negative: it
 * cannot be waited for. */
static int look_first(struct entry *entry)
{
    struct ipc__look look = {.on_behalf = true};
    ipc__look_begin(&look, false);
    return ipc__look_at(&look, &entry->item);
}

/* The kernel knows itself when it is ready. */
static int epoll_of(int fd, uint32_t events)
{
    struct epoll_event event = {.events = events};
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    int rc = epoll;
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        rc = ipc__fail(-errno, "no descriptor for a queue: %s",
                       ipc_strerror(-errno));
        if (epoll >= 0)
            (void)close(epoll);
    }
    return rc;
}

static int open_fd(struct entry *entry)
{
    struct ipc__bridged *b = &entry->bridged;
    if (ipc__look_is_fd(&entry->item)) {
        b->is_told = true;
        return epoll_of(ipc__queue_descriptor(entry->item.object),
                        entry->item.what == IPC_WAIT_FOR_ROOM ? EPOLLOUT
                                                              : EPOLLIN);
    }
    const int rc = look_first(entry);
    if (rc < 0)
        return rc;
    b->fd = ipc__bridge_eventfd();
    if (b->fd >= 0 && rc > 0)
        ipc__bridge_say(b);
    return b->fd;
}

static int new_entry(const ipc_wait_item *item, struct entry **out)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return ipc__fail(-ENOMEM, "no memory for a descriptor");
    entry->item = *item;
    entry->item.flags_ = IPC__ITEM_LEVEL;
    entry->bridged.items = &entry->item;
    entry->bridged.count = 1;
    entry->bridged.is_object = true;
    const int fd = open_fd(entry);
    if (fd < 0) {
        free(entry);
        return fd;
    }
    entry->bridged.fd = fd;
    *out = entry;
    return 0;
}

static int add_unlocking(const ipc_wait_item *item)
{
    struct entry *entry = NULL;
    int rc = new_entry(item, &entry);
    if (rc == 0) {
        rc = ipc__bridge_add_locked(&entry->bridged);
        if (rc == 0) {
            rc = entry->bridged.fd;
        } else {
            (void)close(entry->bridged.fd);
            free(entry);
        }
    }
    ipc__bridge_unlock();
    return rc;
}

static int fd_for(const ipc_wait_item *item)
{
    const int rc = ipc__bridge_prepare();
    if (rc != 0)
        return rc;
    store_relaxed(&ipc__fds_used, 1);
    ipc__bridge_lock();
    const struct ipc__bridged *b = ipc__bridge_find(NULL, is_same, item);
    if (b == NULL)
        return add_unlocking(item);
    const int fd = b->fd;
    ipc__bridge_unlock();
    return fd;
}

static int fd_of(uint32_t what, void *object)
{
    const ipc_wait_item item = {.what = what, .object = object};
    return fd_for(&item);
}

int ipc_queue_fd(ipc_queue *queue, int events)
{
    if (events != POLLIN && events != POLLOUT)
        return ipc__fail(-EINVAL, "a queue's descriptor for events 0x%x",
                         (unsigned)events);
    return fd_of(events == POLLIN ? IPC_WAIT_FOR_MESSAGE : IPC_WAIT_FOR_ROOM,
                 queue);
}

int ipc_lock_fd(ipc_lock *lock)
{
    return fd_of(IPC_WAIT_FOR_LOCK, lock);
}

int ipc_rlock_fd(ipc_rlock *rlock)
{
    return fd_of(IPC_WAIT_FOR_LOCK, &rlock->lock_);
}

int ipc_semaphore_fd(ipc_semaphore *semaphore)
{
    return fd_of(IPC_WAIT_FOR_SEMAPHORE, semaphore);
}

int ipc_event_fd(ipc_event *event)
{
    return fd_of(IPC_WAIT_FOR_EVENT, event);
}

int ipc_thread_fd(ipc_thread *thread)
{
    return fd_of(IPC_WAIT_FOR_THREAD, thread);
}

int ipc_timer_fd(ipc_timer *timer)
{
    return fd_of(IPC_WAIT_FOR_TIMER, timer);
}

int ipc_future_fd(ipc_future *future)
{
    return fd_of(IPC_WAIT_FOR_FUTURE, future);
}
