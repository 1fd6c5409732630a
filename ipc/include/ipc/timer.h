/* Timers: call a function later, as Python's threading.Timer.
 *
 *     static void remind(void *arg) { ... }
 *
 *     ipc_timer timer = {0};
 *     rc = ipc_timer_start(&timer, ipc_after_ms(500), remind, arg, NULL);
 *     ...
 *     if (ipc_timer_cancel(&timer) == 0)
 *         ;                              // it will not be called any more
 *
 * All timers of a process share one thread, which is started by the first and
 * ends soon after the last: thousands of them are fine, and starting and
 * cancelling one costs O(log n) and allocates nothing.  So callbacks are run
 * one after the other, each as soon as its moment has come and the one before
 * has returned; what takes long belongs to a thread of its own.
 *
 * A callback may start and cancel timers, its own included, and the memory of
 * a timer that will not run again may be freed in it.  All signals are blocked
 * in it, and stay so in processes that it starts.
 *
 * The clock is monotonic: setting the system's date does not move a timer.
 *
 * At the normal end of the process timers that have not run yet are waited
 * for, like threads (see thread.h), and as Python does; not those with the
 * daemon option, and those that were started for IPC_TIME_FOREVER.  A
 * repeating one would be waited for until somebody cancels it.
 *
 * The structure is the caller's, zero-filled before it is first used, in
 * private memory.  It has to stay there while the timer is alive.
 *
 * Threads: any.
 * Fork: the child has none of its parent's timers: calls on them fail with
 * -ECHILD, and they may be started there.
 * Signals: not for signal handlers.
 * Crash: timers die with their process. */
#ifndef IPC_TIMER_H
#define IPC_TIMER_H

#include <ipc/api.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

/* 128 bytes.  The fields are shown so that it can be embedded; use the
 * functions. */
typedef struct ipc_timer {
    struct ipc_timer *child_; /* in the heap of timers that wait */
    struct ipc_timer *next_;
    struct ipc_timer *back_;
    void (*fn_)(void *arg);
    void *arg_;
    ipc_deadline when_;
    int64_t period_ns_;
    uint64_t order_; /* of those for the same moment, the first comes first */
    uint64_t owner_; /* the process that started it */
    uint32_t state_;
    uint32_t daemon_;
    char name_[24];
    uint64_t reserved_[3];
} ipc_timer;

typedef struct ipc_timer_options {
    uint32_t size; /* of this structure: IPC_TIMER_OPTIONS_INIT */
    bool daemon;   /* not waited for at the end of the process */

    /* If not 0, it runs again that much later, and so on until it is
     * cancelled.  The moments are counted from the first one, so they do not
     * drift; those that went by while a callback was running are left out. */
    int64_t period_ns;

    /* Shown in error details; up to 23 bytes are kept.  May be NULL. */
    const char *name;
} ipc_timer_options;

#define IPC_TIMER_OPTIONS_INIT                                                 \
    {                                                                          \
        sizeof(ipc_timer_options), false, 0, NULL                              \
    }

/* Have fn(arg) called at a moment, for instance ipc_after_ms(100).  One that
 * lies in the past is now.  A timer that has run or was cancelled may be
 * started again.
 *
 * Errors: -EALREADY it was started and has not run yet; -EINVAL a negative
 * period; -E2BIG; -EAGAIN or -ENOMEM its thread cannot be started; -ENOSYS
 * the kernel is too old. */
IPC_API IPC_MUST_USE int ipc_timer_start(ipc_timer *timer, ipc_deadline when,
                                         void (*fn)(void *arg), void *arg,
                                         const ipc_timer_options *options)
    IPC_NONNULL(1, 3);

/* Have it not called any more.  If its callback is running just now, waits
 * until it has returned, unless the caller is a callback itself.  Whatever the
 * result, the memory may be freed then.
 *
 * Returns 0: it was waiting for its moment, or for the next one.
 * Errors: -EALREADY it has run, or was cancelled before; -EINVAL it was never
 * started; -ECHILD it is a timer of another process. */
IPC_API int ipc_timer_cancel(ipc_timer *timer) IPC_NONNULL(1);

/* Wait until it has run, or was cancelled: as long as it takes, not at all, or
 * until a deadline.
 *
 * Errors: -EAGAIN (_nowait) and -ETIMEDOUT (_until) it has not; -EDEADLK the
 * caller is a callback, so that it cannot run; -EINVAL, -ECHILD. */
IPC_API int ipc_timer_join(ipc_timer *timer) IPC_NONNULL(1);
IPC_API int ipc_timer_join_nowait(ipc_timer *timer) IPC_NONNULL(1);
IPC_API int ipc_timer_join_until(ipc_timer *timer, ipc_deadline deadline)
    IPC_NONNULL(1);

/* Is it waiting for its moment, or for the next one?  And, is it, or is its
 * callback running?  Both false for a timer of another process. */
IPC_API bool ipc_timer_is_pending(const ipc_timer *timer) IPC_NONNULL(1);
IPC_API bool ipc_timer_is_alive(const ipc_timer *timer) IPC_NONNULL(1);

IPC_END_DECLS

#endif
