/* Wait for several things at once, as Python's multiprocessing.connection.wait
 * and select, but also for what has no descriptor; and descriptors for the
 * event loops of others.
 *
 *     ipc_wait_item items[] = {
 *         IPC_WAIT_QUEUE(orders),        // there is a message
 *         IPC_WAIT_PROCESS(&cook),       // it has ended
 *         IPC_WAIT_FD(socket, POLLIN),   // as poll(2) says
 *     };
 *     int rc = ipc_wait(items, 3, ipc_after_ms(500));
 *     if (rc > 0 && items[0].ready)
 *         rc = ipc_queue_get_nowait(orders, order, sizeof order, &bytes);
 *
 * Ready means: the nowait call would not have to wait, as of that moment.  That
 * includes calls that would fail for another reason: the queue is closed, the
 * owner of the lock is dead, there is no queue any more.  Nothing is taken:
 * somebody else may be faster, so use nowait calls for what is ready, and wait
 * again if they say -EAGAIN.
 *
 * Who waits here stands in nobody's way.  A wake-up that came here, for a
 * message, a permit or a lock that one of several could have, is handed on to
 * the next who waits for it; so when several wait in this way for the same
 * thing all of them may be told of it.  When one of them is killed in just that
 * moment the next finds it at its re-check, within 200 ms.
 *
 * How it waits.  For objects in memory alone, one system call (futex_waitv)
 * sleeps on all of them, on 128 words at most: what there are more is looked at
 * every 100 ms, and so are all but the first before Linux 5.16.  For
 * descriptors alone (processes, connections, POSIX queues too) it is ppoll().
 * For both together nothing in the kernel sleeps; then a thread of the library
 * looks after the objects and says so by a descriptor, which costs some tens of
 * microseconds a call.  That thread is started by the first such call, or the
 * first of the calls below; it has all signals blocked, waits for nobody at the
 * end of the process, ends by itself when it has not been needed for a moment,
 * and does not exist in forked children until they need one of their own.
 *
 * Who waits here for locks is not part of the circles that check mode looks for
 * (see check.h).
 *
 * Threads: any; an array of items is used by one call at a time.  Not a
 * cancellation point.
 * Processes: as the objects.
 * Fork: safe.
 * Signals: restart the wait; not for signal handlers.
 * Crash: robust.  Who is killed while it waits leaves nothing behind. */
#ifndef IPC_WAIT_H
#define IPC_WAIT_H

#include <stddef.h>

#include <ipc/api.h>
#include <ipc/connection.h>
#include <ipc/event.h>
#include <ipc/future.h>
#include <ipc/lock.h>
#include <ipc/process.h>
#include <ipc/queue.h>
#include <ipc/rlock.h>
#include <ipc/semaphore.h>
#include <ipc/thread.h>
#include <ipc/time.h>
#include <ipc/timer.h>

IPC_BEGIN_DECLS

/* 40 bytes.  Made by the macros below. */
typedef struct ipc_wait_item {
    uint32_t what;
    int32_t fd;      /* of IPC_WAIT_FD */
    void *object;    /* of the others */
    uint32_t events; /* of IPC_WAIT_FD: POLLIN and the like */
    uint32_t bytes;  /* of IPC_WAIT_QUEUE_ROOM */
    uint32_t ready;  /* set by ipc_wait(): 0; 1; of IPC_WAIT_FD, what poll(2)
                      calls revents */
    uint32_t seen_;
    uint32_t flags_;
    uint32_t reserved_;
} ipc_wait_item;

enum {
    IPC_WAIT_FOR_MESSAGE = 0x77610001,
    IPC_WAIT_FOR_ROOM,
    IPC_WAIT_FOR_LOCK,
    IPC_WAIT_FOR_SEMAPHORE,
    IPC_WAIT_FOR_EVENT,
    IPC_WAIT_FOR_THREAD,
    IPC_WAIT_FOR_TIMER,
    IPC_WAIT_FOR_FUTURE,
    IPC_WAIT_FOR_CONNECTION,
    IPC_WAIT_FOR_PROCESS,
    IPC_WAIT_FOR_FD
};

/* An initialiser; the compiler sees to it that the object is of the type. */
#define IPC__WAIT_ITEM(what, type, object, bytes)                              \
    {                                                                          \
        (what), -1, (1 ? (object) : (type *)0), 0, (bytes), 0, 0, 0, 0         \
    }

/* A message can be had: ipc_queue_get_nowait().  Of a queue with leases,
 * ipc_queue_take_nowait(). */
#define IPC_WAIT_QUEUE(queue)                                                  \
    IPC__WAIT_ITEM(IPC_WAIT_FOR_MESSAGE, ipc_queue, queue, 0)

/* There is room for a message of so many bytes: ipc_queue_put_nowait(). */
#define IPC_WAIT_QUEUE_ROOM(queue, bytes)                                      \
    IPC__WAIT_ITEM(IPC_WAIT_FOR_ROOM, ipc_queue, queue, (uint32_t)(bytes))

/* It is free, its owner is dead, or the caller holds it. */
#define IPC_WAIT_LOCK(lock) IPC__WAIT_ITEM(IPC_WAIT_FOR_LOCK, ipc_lock, lock, 0)
#define IPC_WAIT_RLOCK(rlock)                                                  \
    IPC__WAIT_ITEM(IPC_WAIT_FOR_LOCK, ipc_lock,                                \
                   &(1 ? (rlock) : (ipc_rlock *)0)->lock_, 0)

/* It has a free permit. */
#define IPC_WAIT_SEMAPHORE(semaphore)                                          \
    IPC__WAIT_ITEM(IPC_WAIT_FOR_SEMAPHORE, ipc_semaphore, semaphore, 0)

/* It is set, or has been set since the wait began. */
#define IPC_WAIT_EVENT(event)                                                  \
    IPC__WAIT_ITEM(IPC_WAIT_FOR_EVENT, ipc_event, event, 0)

/* It can be joined. */
#define IPC_WAIT_THREAD(thread)                                                \
    IPC__WAIT_ITEM(IPC_WAIT_FOR_THREAD, ipc_thread, thread, 0)
#define IPC_WAIT_PROCESS(process)                                              \
    IPC__WAIT_ITEM(IPC_WAIT_FOR_PROCESS, ipc_process, process, 0)

/* It has run, or was cancelled (a repeating one: was cancelled). */
#define IPC_WAIT_TIMER(timer)                                                  \
    IPC__WAIT_ITEM(IPC_WAIT_FOR_TIMER, ipc_timer, timer, 0)

/* It is done.  A worker that waits for a task of its pool which nobody has
 * begun runs it. */
#define IPC_WAIT_FUTURE(future)                                                \
    IPC__WAIT_ITEM(IPC_WAIT_FOR_FUTURE, ipc_future, future, 0)

/* There is something to receive, or the other end is gone. */
#define IPC_WAIT_CONNECTION(connection)                                        \
    IPC__WAIT_ITEM(IPC_WAIT_FOR_CONNECTION, ipc_connection, connection, 0)

/* Any descriptor that poll(2) takes, and its POLLIN, POLLOUT...; POLLHUP and
 * POLLERR come unasked. */
#define IPC_WAIT_FD(fd, events)                                                \
    {                                                                          \
        IPC_WAIT_FOR_FD, (fd), NULL, (uint32_t)(events), 0, 0, 0, 0, 0         \
    }

/* Wait until at least one of n items is ready: until a deadline, or with
 * IPC_TIME_NOW not at all.  Sets `ready` of every item.
 *
 * Returns how many are ready, 1 or more.
 * Errors: -ETIMEDOUT, or with IPC_TIME_NOW -EAGAIN, none is; -EINVAL n is 0, an
 * item is none, a process, thread or timer was not started; -ECHILD one of
 * these belongs to another process; -EBADF a descriptor is not open, or an end
 * of a pipe only sends; -ENOMEM, also when the thread described above cannot
 * be started; -EMFILE, -ENFILE, -ENOSYS it was needed and there was none. */
IPC_API IPC_MUST_USE int ipc_wait(ipc_wait_item *items, size_t n,
                                  ipc_deadline deadline) IPC_NONNULL(1);

/* ---- descriptors, for event loops ---- */

/* A descriptor for poll, epoll and event loops, level-triggered: readable
 * (POLLIN, whatever it is for) while the object is ready in the sense above.
 *
 *     int fd = ipc_queue_fd(orders, POLLIN);
 *     epoll_ctl(loop, EPOLL_CTL_ADD, fd, ...);
 *     ...
 *     while ((rc = ipc_queue_get_nowait(orders, ...)) == 0)   // it is readable
 *         ...
 *
 * It becomes unreadable when a call of this process on the object has found
 * that it would have to wait (-EAGAIN, -ETIMEDOUT), or has cleared the event:
 * so use it until then.  It may be readable for nothing, when another process
 * was faster, but it is never unreadable for more than a moment when there is
 * something.  A lock that the caller holds is not ready here.
 *
 * Asked again for the same, the same descriptor is returned.  It is not to be
 * read, written or closed.  It is good until the object is freed, fini'ed,
 * closed or detached in this process, which closes it, also if that fails
 * because somebody waits; or until ipc_fd_close().  Who puts objects into
 * memory that goes in another way, and timers, has to call that first.  A
 * forked child asks for its own.
 *
 * events of a queue: POLLIN, a message can be had; or POLLOUT, there is room
 * for an empty one at least.
 *
 * The descriptors of processes and connections are ipc_process_fd() and
 * ipc_connection_fileno().
 *
 * Owns: the library.
 * Errors: -EINVAL; -ECHILD; -EMFILE, -ENFILE; -ENOMEM; -ENOSYS. */
IPC_API IPC_MUST_USE int ipc_queue_fd(ipc_queue *queue, int events)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_lock_fd(ipc_lock *lock) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_rlock_fd(ipc_rlock *rlock) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_semaphore_fd(ipc_semaphore *semaphore)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_event_fd(ipc_event *event) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_thread_fd(ipc_thread *thread) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_timer_fd(ipc_timer *timer) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_future_fd(ipc_future *future) IPC_NONNULL(1);

/* Close one of these.  -EINVAL: fd is none of them. */
IPC_API int ipc_fd_close(int fd);

IPC_END_DECLS

#endif
