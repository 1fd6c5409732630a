/* Futures: what will have been computed; Python's concurrent.futures.Future.
 *
 *     ipc_future *answer;
 *     rc = ipc_pool_submit(pool, square, &n, sizeof n, sizeof(int), &answer);
 *     ...
 *     int out;
 *     rc = ipc_future_result(answer, &out, sizeof out, NULL);    // waits
 *     ipc_future_free(answer);
 *
 * A future is pending, then perhaps running, and then done in one of four
 * ways, for good:
 *
 *     it has a result                result() is 0
 *     the task has failed            result() is the task's negative status
 *     whoever ran it has died        -EOWNERDEAD   (exception() says how)
 *     it was cancelled, or its       -ECANCELED
 *     time was up                    -ETIME
 *
 * Pools (pool.h) make futures; a program makes its own with ipc_promise_new().
 * They lie in family memory: every member of the family may wait for one.
 *
 * Tasks may wait for tasks of their pool that they have submitted, with any
 * number of workers: one that waits for another task which nobody has begun runs
 * that one itself, in place.  At once, if it waits without a deadline for one
 * future, or for all of several, or if the pool has no other worker.  A wait that
 * may end before that (it has a deadline, or is for the first of several) leaves
 * it to the other workers; when nobody has begun it after 100 ms and none of them
 * is free it runs in place, and such a call may take longer than its deadline by
 * the time of that task.  What does not wait
 * (_nowait, IPC_TIME_NOW, a deadline that has passed) runs nothing.
 *
 * When a result is not to be had ipc_error_detail() has the task's own message,
 * or says how its worker died.
 *
 * Threads, processes: any of the family.
 * Fork: a child may use what its parent's futures are; freed once by anybody.
 * Signals: restart the wait; not for signal handlers.
 * Crash: robust.  What was done stays done, whoever dies.  Who waits finds that
 * whoever should have completed it is dead, within 100 ms; who only looks
 * (_nowait, ipc_future_done()) may see it pending or running for ever then. */
#ifndef IPC_FUTURE_H
#define IPC_FUTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/api.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

typedef struct ipc_future ipc_future;

/* ---- the result ---- */

/* Wait until it is done and copy its result into a buffer of room bytes (NULL
 * if room is 0).  *bytes (may be NULL) is its size, also for -EMSGSIZE.  May be
 * called any number of times, by any number of threads.
 *
 * Errors: as above; -EAGAIN (_nowait) and -ETIMEDOUT (_until) it is not done
 * (a task may fail with these too: ipc_future_done() tells); -EMSGSIZE the
 * buffer is too small; -EINVAL this is no future, or was freed; -EDEADLK a
 * task waits for itself. */
IPC_API IPC_MUST_USE int ipc_future_result(ipc_future *future, void *buffer,
                                           size_t room, size_t *bytes)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_future_result_nowait(ipc_future *future,
                                                  void *buffer, size_t room,
                                                  size_t *bytes) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int
ipc_future_result_until(ipc_future *future, void *buffer, size_t room,
                        size_t *bytes, ipc_deadline deadline) IPC_NONNULL(1);

/* The same without a copy.  *data, NULL if the result has no bytes, is good
 * until the future is freed.  With a deadline of IPC_TIME_NOW it is -EAGAIN
 * that it is not done.  Owns: the future. */
IPC_API IPC_MUST_USE int ipc_future_borrow(ipc_future *future,
                                           const void **data, size_t *bytes,
                                           ipc_deadline deadline)
    IPC_NONNULL(1, 2);

/* Wait for it to be done, whatever it has come to.  0, -EAGAIN, -ETIMEDOUT,
 * -EINVAL, -EDEADLK. */
IPC_API IPC_MUST_USE int ipc_future_wait(ipc_future *future) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_future_wait_nowait(ipc_future *future)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_future_wait_until(ipc_future *future,
                                               ipc_deadline deadline)
    IPC_NONNULL(1);

/* As of this moment.  done: also cancelled.  The future must not be freed. */
IPC_API bool ipc_future_done(const ipc_future *future) IPC_NONNULL(1);
IPC_API bool ipc_future_running(const ipc_future *future) IPC_NONNULL(1);
IPC_API bool ipc_future_cancelled(const ipc_future *future) IPC_NONNULL(1);

/* ---- what went wrong ---- */

enum {
    IPC_EXCEPTION_NONE = 0,
    IPC_EXCEPTION_FAILED,    /* the task said so */
    IPC_EXCEPTION_DIED,      /* its worker did, while it ran */
    IPC_EXCEPTION_CANCELLED, /* somebody did not want it any more */
    IPC_EXCEPTION_DEADLINE,  /* its time was up */
    IPC_EXCEPTION_BROKEN     /* its pool is broken, or has lost its maker */
};

typedef struct ipc_exception {
    uint32_t size;     /* of this structure: IPC_EXCEPTION_INIT */
    uint32_t kind;     /* IPC_EXCEPTION_... */
    int32_t status;    /* what result() returns */
    int32_t pid;       /* of the worker in whose hands it failed; or 0 */
    int32_t signal;    /* DIED: by which; 0: it ended by itself */
    int32_t exitcode;  /* DIED without a signal: of the worker; -1: nobody saw
                          how it ended */
    uint32_t attempts; /* how often it was begun */
    bool core;         /* DIED: it left a core dump */
    bool maybe_oom;    /* DIED: killed by SIGKILL, and the kernel has counted a
                          kill for want of memory since the pool began */
    char message[162]; /* the task's own, or ours */
} ipc_exception;

#define IPC_EXCEPTION_INIT                                                     \
    {                                                                          \
        sizeof(ipc_exception), 0, 0, 0, 0, 0, 0, false, false,                 \
        {                                                                      \
            0                                                                  \
        }                                                                      \
    }

/* Wait until it is done and say what went wrong.  Waiting as
 * ipc_future_wait_until(); with IPC_TIME_NOW as ipc_future_wait_nowait().  0
 * also if nothing went wrong: out->kind tells. */
IPC_API IPC_MUST_USE int ipc_future_exception(ipc_future *future,
                                              ipc_exception *out,
                                              ipc_deadline deadline)
    IPC_NONNULL(1, 2);

/* ---- not wanted any more ---- */

/* Cancel it if nobody has begun it.
 *
 * Errors: -EBUSY it runs; -EALREADY it is done (0 if it was cancelled); -EINVAL
 * this is no future, or was freed. */
IPC_API int ipc_future_cancel(ipc_future *future) IPC_NONNULL(1);

/* The same, also when it runs.  A worker process gets SIGTERM, and SIGKILL when
 * grace_ns have passed (0 or less: at once; of several calls the shortest
 * counts), and is replaced; its other tasks are not touched.  A worker thread
 * is asked: ipc_task_is_cancelled() is true.  Returns at once; wait to see what
 * it has come to: a task may finish at this very moment, and what a thread's
 * task returns when it was asked is its result.
 *
 * Errors: -EALREADY it is done; -ENOTSUP it is a promise that runs; -EINVAL. */
IPC_API int ipc_future_terminate(ipc_future *future, int64_t grace_ns)
    IPC_NONNULL(1);

/* Let go of it.  A task that is pending or runs is finished all the same, and
 * its result dropped.  Its callbacks are called all the same, and it goes after
 * the last one.  NULL is fine.
 *
 * Errors: -EINVAL this is no future, or was freed; -EBUSY somebody waits for
 * it, in this process or another one. */
IPC_API int ipc_future_free(ipc_future *future);

/* ---- callbacks ---- */

/* Have fn(future, arg) called when it is done, exactly once: at once, by the
 * caller, if it is already; else by the library's thread for callbacks, which
 * this process then has (all signals blocked).  Callbacks of a future are
 * called in the order in which they were added; those of different futures may
 * be called by both at the same time.  They may wait for nothing long,
 * and may free the future as their last act; what they return or leave undone
 * harms nobody else's.
 *
 * Processes: called in the process that has added it, not in its children.
 * Errors: -ENOMEM, -EAGAIN no thread; -EINVAL. */
IPC_API IPC_MUST_USE int
ipc_future_add_done_callback(ipc_future *future,
                             void (*fn)(ipc_future *future, void *arg),
                             void *arg) IPC_NONNULL(1, 2);

/* ---- several ---- */

enum {
    IPC_ALL_COMPLETED = 0,
    IPC_FIRST_COMPLETED,
    IPC_FIRST_EXCEPTION /* or all, if none fails */
};

/* Wait for some of n futures (NULL among them are passed over), without taking
 * anything.  Returns how many are done, at least 1 (0 if there are none).
 *
 * Errors: -EAGAIN (IPC_TIME_NOW) and -ETIMEDOUT not enough are; -EINVAL one is
 * no future, or return_when is none of these; -ENOMEM; -EDEADLK. */
IPC_API IPC_MUST_USE int ipc_wait_futures(ipc_future *const *futures, size_t n,
                                          int return_when,
                                          ipc_deadline deadline);

/* Go through futures as they are done:
 *
 *     ipc_as_completed *next;
 *     rc = ipc_as_completed_begin(futures, n, &next);
 *     while ((rc = ipc_as_completed_next(next, deadline, &i)) > 0)
 *         ... futures[i] is done ...
 *     ipc_as_completed_end(next);
 *
 * next(): 1 and the index of one that is done, each once; 0 that was all;
 * -ETIMEDOUT, -EAGAIN; -ECHILD in a child of who has begun it.  begin(): 0;
 * -EINVAL one is no future (NULL is passed over); -ENOMEM.  The array is
 * copied; the futures have to live on until end(), but one that was returned
 * may be freed.  Owns: the caller's process; one thread at a time. */
typedef struct ipc_as_completed ipc_as_completed;

IPC_API IPC_MUST_USE int ipc_as_completed_begin(ipc_future *const *futures,
                                                size_t n,
                                                ipc_as_completed **out)
    IPC_NONNULL(3);

/* Have progress(done, total, arg) called, by the caller of next(), with each
 * one that it returns; ipc_progress_bar_show() will do.  NULL: no more. */
IPC_API void ipc_as_completed_progress(ipc_as_completed *iterator,
                                       void (*progress)(size_t done,
                                                        size_t total,
                                                        void *arg),
                                       void *arg) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_as_completed_next(ipc_as_completed *iterator,
                                               ipc_deadline deadline,
                                               size_t *index) IPC_NONNULL(1, 3);
IPC_API void ipc_as_completed_end(ipc_as_completed *iterator);

/* ---- promises: futures of the program's own ---- */

/* A pending future, which the program completes, any member of the family.
 * bytes: the most that its result may take.  Owns: the family, until
 * ipc_future_free(), also when its maker has died.
 *
 * Errors: -ENOMEM; -EINVAL over 1 GiB. */
IPC_API IPC_MUST_USE int ipc_promise_new(size_t bytes, ipc_future **out)
    IPC_NONNULL(2);

/* Begin it: it cannot be cancelled any more, and if the caller's thread dies
 * before it has completed it, it is done: -EOWNERDEAD.
 *
 * Errors: -ECANCELED it was cancelled; -EALREADY it runs or is done; -EINVAL it
 * is a pool's. */
IPC_API IPC_MUST_USE int ipc_promise_begin(ipc_future *promise) IPC_NONNULL(1);

/* Complete it, begun or not.
 *
 * Errors: -EALREADY it is done; -ECANCELED it was cancelled; -EMSGSIZE more
 * than was promised; -EPERM another thread has begun it; -EINVAL it is no
 * promise. */
IPC_API IPC_MUST_USE int ipc_promise_set_result(ipc_future *promise,
                                                const void *data, size_t bytes)
    IPC_NONNULL(1);

/* Complete it with a failure: status is a negative errno, message (may be NULL)
 * text of which up to 161 bytes are kept.
 *
 * Errors: as above; -EINVAL also a status that is not negative. */
IPC_API IPC_MUST_USE int
ipc_promise_set_exception(ipc_future *promise, int status, const char *message)
    IPC_NONNULL(1);

IPC_END_DECLS

#endif
