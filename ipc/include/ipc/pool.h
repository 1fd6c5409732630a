/* Pools: workers that run tasks; Python's ProcessPoolExecutor,
 * ThreadPoolExecutor, multiprocessing.Pool and ThreadPool.
 *
 *     static int square(const void *arg, void *result, ipc_task *task)
 *     {
 *         const int n = *(const int *)arg;
 *         *(int *)result = n * n;
 *         return 0;
 *     }
 *
 *     ipc_pool *pool;
 *     ipc_pool_new(NULL, &pool);                 // as many as there are CPUs
 *
 *     ipc_future *answer;
 *     int n = 12;
 *     ipc_pool_submit(pool, square, &n, sizeof n, sizeof(int), &answer);
 *     ipc_future_result(answer, &n, sizeof n, NULL);          // 144
 *     ipc_future_free(answer);
 *
 *     ipc_pool_map(pool, square, in, sizeof *in, 1000, out, sizeof *out, NULL);
 *
 *     ipc_pool_free(pool);
 *
 * A task is a function and the bytes that it is given; what comes back is bytes
 * too, any number of both.  They travel through family memory: submitter and
 * worker wake each other directly, nothing is in between.
 *
 * Workers are processes (the default) or threads.  The functions, options and
 * futures are the same; a program changes from one to the other by one word.
 *
 * Pointers in what a task is given mean the same to a worker process only if
 * they point into family memory (shared.h), or to what was there when the
 * worker was forked.  What an initializer has made for its worker's tasks to
 * use is kept in a thread-local variable, which serves both kinds of worker.
 *
 * Death.  A worker that is killed, crashes or calls exit() fails only the task
 * that it was running (see IPC_EXCEPTION_DIED), or has it run again if the task
 * says that it may be; a task that has killed three workers fails.  The worker
 * is replaced: at once, then after 10 ms, 20 ms, ... 1 s while they keep
 * dying.  When max_deaths of them die within deaths_ns the pool is broken: it
 * fails what is pending with IPC_EXCEPTION_BROKEN and takes nothing more.
 * Worker processes end with the process that has made the pool, within 100 ms
 * of a SIGKILL.  What they had not finished fails: with -EOWNERDEAD if it was
 * being run, else with -ENOTRECOVERABLE (IPC_EXCEPTION_BROKEN).  The others of
 * the family may not know yet: submit then returns 0, and the future fails so
 * when it is waited for.  From when one of them has waited, for a future of the
 * pool or for room in it, the pool is broken, and submit fails at once.
 *
 * A pool that was not freed when its maker ends (by exit(), by returning from
 * main() or from the target of an ipc_process) is shut down then: what was
 * submitted is run first, as in Python.
 *
 * A pool has one thread of its own, in the process that made it.  It sleeps
 * until a worker dies, a task's time is up or somebody asks for something.
 *
 * A task that waits for another task of its pool which nobody has begun may run
 * that one in place, also beyond the deadline of its wait if no other worker is
 * free (future.h).  They share a worker then: if one is ended
 * while it runs, or dies, so does the other, of which IPC_EXCEPTION_DIED is
 * said.
 *
 * A pool without a worker, of which none can be started for 10 s, is broken.
 *
 * Workers that replace others, or are added later, are forked while the program
 * has threads: see process.h for what that means, and start them by forkserver
 * if it matters.
 *
 * One worker begins tasks in the order in which they were submitted.  Several
 * take up to 16 at a time where there are plenty, so that one may be begun
 * before another one that came up to 16 places earlier for each worker.  What a
 * worker had taken and not begun when it died or left, or is to begin again,
 * comes last; what it has taken is begun by others if its task takes longer.
 *
 * The futures of a process that has ended are freed (but for those of a worker
 * that has left in good order: the maker has them), and what it had pending is
 * cancelled, unless nobody was to ask for it; that is known of 250 processes
 * that live and submit.
 *
 * Threads: any.  Processes: any member of the family may submit, also workers;
 * in one that spawn or forkserver has started, and the maker's or its workers'
 * image of the program is not its own, functions have to be registered
 * (IPC_ENTRY) for any pool, also of threads (-EINVAL).
 * What says "the maker" works in the process that made the pool only (-ECHILD).
 * Fork: children may submit.
 * Signals: restart the wait; only ipc_pool_interrupt() is for handlers.
 * Crash: robust.  Whoever is killed wherever: no other task is lost, run twice
 * or torn, and nobody hangs; if the maker dies, its workers end. */
#ifndef IPC_POOL_H
#define IPC_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/api.h>
#include <ipc/future.h>
#include <ipc/process.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

typedef struct ipc_pool ipc_pool;
typedef struct ipc_task ipc_task;

/* A task.  arg: the bytes that it was given; NULL if there are none.
 * result: zero-filled room for the result that was promised at submit; NULL if
 * that was 0.  Both are aligned to 16 from 16 bytes on, to 8 before (those of
 * map, imap: as items of an array are).  They and task are good until it
 * returns.  What it returns is 0, or a negative errno: the task has failed (a
 * positive number counts as -EINVAL). */
typedef int ipc_task_function(const void *arg, void *result, ipc_task *task);

/* ---- options ---- */

enum {
    IPC_POOL_PROCESSES = 0,
    IPC_POOL_THREADS = 1
};

#define IPC_POOL_WORKERS_MAX 1024
#define IPC_POOL_PENDING_MAX (1u << 20)

typedef struct ipc_pool_options {
    uint32_t size;    /* of this structure: IPC_POOL_OPTIONS_INIT */
    uint32_t kind;    /* IPC_POOL_PROCESSES or IPC_POOL_THREADS */
    uint32_t workers; /* up to IPC_POOL_WORKERS_MAX; 0: ipc_cpu_quota() */

    /* Tasks that may be pending, up to IPC_POOL_PENDING_MAX; then submit waits.
     * 0: as many as fit. */
    uint32_t max_pending;

    /* A worker that has run so many is replaced; what it takes at a time of a
     * map (chunk) is one.  0: never. */
    uint32_t max_tasks_per_worker;

    /* How processes are started: IPC_START_...  With another one than fork
     * every task function has to be registered (IPC_ENTRY). */
    uint32_t start_method;

    /* Run in each worker before its first task and after its last (not when it
     * is killed).  An initializer that fails breaks the pool; so do three
     * workers in a row that end in it.  Neither of them is to wait for the pool
     * or its tasks.  initializer_arg has to be in family memory, or NULL, if
     * the workers are not forked. */
    int (*initializer)(void *arg);
    void (*finalizer)(void *arg);
    void *initializer_arg;

    /* How long a task may run, unless it says otherwise; then it fails with
     * -ETIME.  A process that runs it gets SIGTERM, and SIGKILL grace_ns later;
     * a thread is asked.  0: for ever. */
    int64_t task_ns;
    int64_t grace_ns; /* 0: one second */

    /* Workers that have had nothing to do for so long end, down to
     * min_workers, also after ipc_pool_resize(); they come back when there is
     * work.  0: they stay. */
    int64_t idle_ns;
    uint32_t min_workers;

    /* The pool is broken after max_deaths (128 at most) within deaths_ns.  0:
     * 100, 10 s. */
    uint32_t max_deaths;
    int64_t deaths_ns;

    /* "NAME-1", "NAME-2"... are the workers' names; 24 bytes of it are kept.
     * NULL: "Pool-1". */
    const char *name;

    /* Of workers, see process.h.  With spread each one is put on one of the
     * CPUs, in turn.  Limits are for processes only. */
    const int *cpus;
    uint32_t cpu_count;
    bool spread;
    int32_t nice;
    const ipc_process_rlimit *rlimits;
    uint32_t rlimit_count;

    uint32_t flags; /* IPC_POOL_KEEP_INTERRUPT */
} ipc_pool_options;

/* Worker processes get SIGINT as the others of their terminal do.  Else they
 * ignore it, and whoever made the pool decides (ipc_pool_interrupt()).
 * Handlers of the program for SIGINT and SIGTERM are not called in workers.
 * SIGTERM ends them, also if the maker ignores or blocks it, unless their
 * initializer or a task sees to it. */
#define IPC_POOL_KEEP_INTERRUPT 1u

#define IPC_POOL_OPTIONS_INIT                                                  \
    {                                                                          \
        sizeof(ipc_pool_options), 0, 0, 0, 0, 0, NULL, NULL, NULL, 0, 0, 0, 0, \
            0, 0, NULL, NULL, 0, false, 0, NULL, 0, 0                          \
    }

/* How many CPUs this process may use: its affinity mask, and the quota of its
 * control group, rounded up.  At least 1. */
IPC_API int ipc_cpu_quota(void);

/* ---- making and ending it ---- */

/* Make a pool and start its workers; returns when they are being started.  What
 * is pointed to is copied, but for what initializer_arg points to.  Owns: the
 * maker, until ipc_pool_free().  *out is NULL if it fails.
 *
 * Errors: -E2BIG, -EINVAL options of another version, or out of range; -ENOMEM;
 * -EAGAIN no more processes or threads allowed; what ipc_process_start() fails
 * with. */
IPC_API IPC_MUST_USE int ipc_pool_new(const ipc_pool_options *options,
                                      ipc_pool **out) IPC_NONNULL(2);

/* Take no more tasks, and let the workers end when they have run what there is;
 * with cancel_pending, what has been begun.  Wait for that, and for the
 * callbacks of this process, if wait; _until waits.  Again is fine.  The
 * futures are still there.  For the maker.
 *
 * Without cancel_pending, a map that has begun comes to its end, and so does an
 * imap, until all its items are submitted: both are waited for, whoever in the
 * family has them, as long as that thread lives.  An imap that the caller itself
 * would go on with is not: with wait, what is within its window is run, and then
 * it says -EPIPE.  Nor is any at the end of the program.  With cancel_pending
 * maps of this process are waited for until they have seen it.  (Of more than
 * 256 maps, or imaps, at once, some may be broken off.)
 *
 * Errors: -ECHILD; -EDEADLK with wait, by a worker or a callback; -ETIMEDOUT
 * (_until) some still run, and it goes on; -EINVAL this is no pool. */
IPC_API int ipc_pool_shutdown(ipc_pool *pool, bool wait, bool cancel_pending)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_pool_shutdown_until(ipc_pool *pool,
                                                 bool cancel_pending,
                                                 ipc_deadline deadline)
    IPC_NONNULL(1);

/* At once: cancel what is pending, send the worker processes SIGTERM and a
 * grace later SIGKILL; or SIGKILL.  Of several graces that one has been given,
 * by these or ipc_future_terminate(), the one that is over first counts.  What
 * runs is done with -ECANCELED.  Threads are asked.  Waits for processes to end,
 * not for threads.  For the maker.
 *
 * Errors: -ECHILD; -EINVAL this is no pool. */
IPC_API int ipc_pool_terminate(ipc_pool *pool) IPC_NONNULL(1);
IPC_API int ipc_pool_kill(ipc_pool *pool) IPC_NONNULL(1);

/* For a handler of SIGINT: the first call cancels what is pending and lets the
 * rest finish; the second terminates.  A map that runs returns -ECANCELED, and
 * says that its pool was interrupted.  In children of the maker, which inherit
 * the handler, it does nothing; nor if pool is NULL.  Async-signal-safe. */
IPC_API void ipc_pool_interrupt(ipc_pool *pool);

/* Shut it down with cancel_pending, wait, and free it, with all its futures:
 * they must not be used any more, by anybody.  NULL is fine.  For the maker; in
 * another process it does nothing but say -ECHILD.
 *
 * Errors: as ipc_pool_shutdown(); then nothing is freed. */
IPC_API int ipc_pool_free(ipc_pool *pool);

/* Change the number of workers: new ones are started, or idle ones end first
 * and others when they have finished their task.  Returns at once.  For the
 * maker.
 *
 * Errors: -EINVAL 0, or more than IPC_POOL_WORKERS_MAX; -EPIPE it was shut
 * down; -ECHILD. */
IPC_API IPC_MUST_USE int ipc_pool_resize(ipc_pool *pool, uint32_t workers)
    IPC_NONNULL(1);

/* ---- submitting ---- */

/* Run fn with a copy of the bytes at arg, and room for result_bytes of result.
 * *out is the caller's, who frees it (future.h), or NULL if it fails; with out
 * NULL nobody will ask.  Waits when max_pending tasks are pending; a worker of
 * the pool does not wait (but for _nowait, which fails): it runs the task
 * itself, in place.
 *
 * Errors: -EPIPE the pool was shut down; -ENOTRECOVERABLE it is broken;
 * -EAGAIN (_nowait) and -ETIMEDOUT (_until) too many are pending; -ENOBUFS more
 * than a million futures are not freed; -EMSGSIZE over 1 GiB; -ENOMEM;
 * -EINVAL this is no pool; arg is NULL, but arg_bytes is not 0; fn is not
 * registered, in a pool whose workers are not forked, or by a process that is
 * another image; and of options: a task_ns below -1, or another version (also
 * -E2BIG). */
IPC_API IPC_MUST_USE int ipc_pool_submit(ipc_pool *pool, ipc_task_function *fn,
                                         const void *arg, size_t arg_bytes,
                                         size_t result_bytes, ipc_future **out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int
ipc_pool_submit_nowait(ipc_pool *pool, ipc_task_function *fn, const void *arg,
                       size_t arg_bytes, size_t result_bytes, ipc_future **out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int
ipc_pool_submit_until(ipc_pool *pool, ipc_task_function *fn, const void *arg,
                      size_t arg_bytes, size_t result_bytes,
                      ipc_deadline deadline, ipc_future **out)
    IPC_NONNULL(1, 2);

typedef struct ipc_task_options {
    uint32_t size;    /* of this structure: IPC_TASK_OPTIONS_INIT */
    uint32_t retries; /* run it again so often if its worker dies: for tasks
                         that may be begun more than once */
    int64_t task_ns;  /* as in the pool's options; 0: those; -1: for ever */
    ipc_deadline deadline; /* of waiting for room; 0: none */
    bool nowait;           /* do not wait for room: -EAGAIN */
} ipc_task_options;

#define IPC_TASK_OPTIONS_INIT                                                  \
    {                                                                          \
        sizeof(ipc_task_options), 0, 0, 0, false                               \
    }

/* What is run is said as in the other forms; how, by the options (NULL: as
 * ipc_pool_submit()), which may serve for any number of tasks. */
IPC_API IPC_MUST_USE int
ipc_pool_submit_with(ipc_pool *pool, const ipc_task_options *options,
                     ipc_task_function *fn, const void *arg, size_t arg_bytes,
                     size_t result_bytes, ipc_future **out) IPC_NONNULL(1, 3);

/* Submit, wait and copy the result, which has result_bytes.
 *
 * Errors: as ipc_pool_submit() and ipc_future_result(): what the task has
 * failed with, -EMSGSIZE if it has given more. */
IPC_API IPC_MUST_USE int ipc_pool_apply(ipc_pool *pool, ipc_task_function *fn,
                                        const void *arg, size_t arg_bytes,
                                        void *result, size_t result_bytes)
    IPC_NONNULL(1, 2);

/* ---- in a task ---- */

/* For its function, and the thread that has called that, until it returns. */

IPC_API size_t ipc_task_arg_bytes(const ipc_task *task) IPC_NONNULL(1);
IPC_API size_t ipc_task_result_bytes(const ipc_task *task) IPC_NONNULL(1);

/* Give it a result of another size than was promised: *out is zero-filled
 * room, in the future itself (NULL if bytes is 0); what there was is lost.
 *
 * Errors: -EMSGSIZE over 1 GiB, or in an imap whose workers take several items
 * at a time (chunk) more than was promised; -ENOMEM; -ENOTSUP in map, whose
 * results all have the same size. */
IPC_API IPC_MUST_USE int ipc_task_reserve(ipc_task *task, size_t bytes,
                                          void **out) IPC_NONNULL(1, 3);

/* The same, and copy it: for "return ipc_task_return(task, text, n);". */
IPC_API IPC_MUST_USE int ipc_task_return(ipc_task *task, const void *data,
                                         size_t bytes) IPC_NONNULL(1);

/* Say why it fails: for "return ipc_task_fail(task, -EIO, "no %s", name);".
 * Up to 161 bytes are kept, for ipc_future_exception().  Returns status, or
 * -EINVAL if that is not negative; and that is how the task has ended, also if
 * it returns 0 then. */
IPC_API int ipc_task_fail(ipc_task *task, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4))) IPC_NONNULL(1, 3);

/* Has somebody terminated it, or is its time up?  For tasks in threads; return
 * -ECANCELED soon then. */
IPC_API bool ipc_task_is_cancelled(const ipc_task *task) IPC_NONNULL(1);

/* Which attempt this is: 1, or more if workers died. */
IPC_API uint32_t ipc_task_attempt(const ipc_task *task) IPC_NONNULL(1);

/* Of map: which item.  0 elsewhere. */
IPC_API size_t ipc_task_index(const ipc_task *task) IPC_NONNULL(1);

/* Its pool, for submitting more, and the worker that runs it: 0, 1, ...; or
 * IPC_WORKER_CALLER, see ipc_pool_map(). */
#define IPC_WORKER_CALLER IPC_POOL_WORKERS_MAX

IPC_API ipc_pool *ipc_task_pool(const ipc_task *task) IPC_NONNULL(1);
IPC_API uint32_t ipc_task_worker(const ipc_task *task) IPC_NONNULL(1);

/* ---- map ---- */

typedef struct ipc_map_options {
    uint32_t size; /* of this structure: IPC_MAP_OPTIONS_INIT */

    /* Items that a worker takes at a time.  0: chosen; by imap, one. */
    uint32_t chunk;

    uint32_t retries; /* of an item, as of a task */
    int64_t task_ns;  /* of an item; 0: the pool's; -1: for ever */

    /* For all of it.  0, which is IPC_TIME_NOW: none.  When it has passed, what
     * runs is ended: processes by SIGKILL, without a grace; threads are asked,
     * and map returns when they have finished their items, if these or the
     * results are used where they lie.  imap: see there. */
    ipc_deadline deadline;

    /* Called by the caller of map, or of ipc_imap_next(), now and then, and at
     * the end. */
    void (*progress)(size_t done, size_t total, void *arg);
    void *progress_arg;

    /* map only.  If not NULL, count numbers: the status of each item,
     * -ECANCELED if it was not run.  Then map goes on after failures and is 0
     * if it has come to an end. */
    int32_t *statuses;

    /* imap only: items at work or waiting to be fetched.  0: chosen. */
    uint32_t window;
} ipc_map_options;

#define IPC_MAP_OPTIONS_INIT                                                   \
    {                                                                          \
        sizeof(ipc_map_options), 0, 0, 0, 0, NULL, NULL, NULL, 0               \
    }

/* Run fn for each of count items of item_bytes; result i goes to results +
 * i * result_bytes.  Returns when all are done.  Arrays in family memory are
 * used where they lie; others are copied, there and back.  fn must not change
 * its item.  In a pool of threads the caller takes part while it waits, as
 * IPC_WORKER_CALLER and one more than there are workers, unless there is one
 * worker only, or an initializer, cpus, nice, a time for tasks, a deadline or
 * progress to be told.
 *
 * Errors: what the first item that failed (in order) has failed with; the
 * others that had not been begun are cancelled then; ipc_error_detail() says
 * which.  -ETIMEDOUT by the deadline: what still ran is ended.  In both cases
 * the results of the others may be there or not.  -ECANCELED the pool was shut
 * down meanwhile with cancel_pending, terminated or interrupted; -EPIPE it was
 * shut down before; -ENOTRECOVERABLE it is broken; -ENOMEM; -EMSGSIZE an item,
 * or all that is copied of one, is over 1 GiB; -EINVAL; -E2BIG options of another
 * version. */
IPC_API IPC_MUST_USE int
ipc_pool_map(ipc_pool *pool, ipc_task_function *fn, const void *items,
             size_t item_bytes, size_t count, void *results,
             size_t result_bytes, const ipc_map_options *options)
    IPC_NONNULL(1, 2);

/* The same with several arrays (up to 65535): fn gets, as arg, an array of
 * pointers, one into each of them: ((const void *const *)arg)[k]. */
typedef struct ipc_map_array {
    const void *items;
    size_t item_bytes;
} ipc_map_array;

IPC_API IPC_MUST_USE int ipc_pool_starmap(ipc_pool *pool, ipc_task_function *fn,
                                          const ipc_map_array *arrays,
                                          uint32_t array_count, size_t count,
                                          void *results, size_t result_bytes,
                                          const ipc_map_options *options)
    IPC_NONNULL(1, 2, 3);

/* Results one by one, of items one by one: only a window of them exists.
 *
 *     ipc_imap *lines;
 *     rc = ipc_pool_imap(pool, count, &source, sizeof(int), NULL, &lines);
 *     while ((rc = ipc_imap_next(lines, &words, IPC_TIME_FOREVER)) > 0)
 *         total += words;
 *     ipc_imap_end(lines);
 *
 * next(): 1 and a result, of result_bytes, in which one that is shorter is
 * followed by zeroes (NULL: pass it over); 0 that was all; what an item failed
 * with, and one may go on (-EMSGSIZE: its result is longer); -EAGAIN
 * (IPC_TIME_NOW) and -ETIMEDOUT the next one is not done.  imap: in the order
 * of the items; _unordered: as they are done.
 *
 * When the deadline in the options has passed nothing more is begun.  Results
 * that are done are still given; at the first that is not, all that runs is
 * ended, as by map, and next() is -ETIMEDOUT from then on.
 *
 * Errors of making one: as ipc_pool_map().
 *
 * Owns: the process that has made it, one thread at a time, until
 * ipc_imap_end(), which comes before ipc_pool_free(). */
typedef struct ipc_imap ipc_imap;

/* Items come from an array, which stays there until all of it was fetched, or
 * from next(): 1 and an item (of at most item_bytes, *bytes of them) or 0, the
 * end; a negative errno ends it too, and is what ipc_imap_next() says last.  It
 * is called by the one who fetches. */
typedef struct ipc_imap_source {
    const void *items;
    size_t item_bytes;
    size_t count;
    int (*next)(void *arg, void *item, size_t *bytes); /* NULL: the array */
    void *arg;
} ipc_imap_source;

IPC_API IPC_MUST_USE int ipc_pool_imap(ipc_pool *pool, ipc_task_function *fn,
                                       const ipc_imap_source *source,
                                       size_t result_bytes,
                                       const ipc_map_options *options,
                                       ipc_imap **out) IPC_NONNULL(1, 2, 3, 6);
IPC_API IPC_MUST_USE int
ipc_pool_imap_unordered(ipc_pool *pool, ipc_task_function *fn,
                        const ipc_imap_source *source, size_t result_bytes,
                        const ipc_map_options *options, ipc_imap **out)
    IPC_NONNULL(1, 2, 3, 6);
IPC_API IPC_MUST_USE int ipc_imap_next(ipc_imap *imap, void *result,
                                       ipc_deadline deadline) IPC_NONNULL(1);

/* The same without a copy, and for results of any size (ipc_task_return()):
 * *data is good for *bytes (may be NULL; 0: *data is NULL) until next(),
 * borrow() or end() is called. */
IPC_API IPC_MUST_USE int ipc_imap_borrow(ipc_imap *imap, const void **data,
                                         size_t *bytes, ipc_deadline deadline)
    IPC_NONNULL(1, 2);

/* The item, from 0 on, that the last result or failure belongs to. */
IPC_API size_t ipc_imap_index(const ipc_imap *imap) IPC_NONNULL(1);
/* Also before the end: what is pending is cancelled, and what runs dropped.
 * NULL is fine. */
IPC_API void ipc_imap_end(ipc_imap *imap);

/* ---- looking at it ---- */

/* As of this moment; by any process.
 *
 * Errors: -EINVAL this is no pool, or another version of the structure. */
typedef struct ipc_pool_stats {
    uint32_t size;    /* of this structure: IPC_POOL_STATS_INIT */
    uint32_t workers; /* that live */
    uint32_t idle;    /* of them */
    uint32_t pending; /* tasks */
    uint32_t running;
    uint32_t futures; /* not freed */

    /* Tasks since the beginning, and each item of maps; but what a worker takes
     * at a time of a map (chunk) is one task while it is pending or runs, and
     * if it is cancelled before. */
    uint64_t done;      /* with a result */
    uint64_t failed;    /* in any other way */
    uint64_t retried;   /* begun once more */
    uint64_t respawned; /* workers that replaced others */
    bool broken;
    bool shut_down;
} ipc_pool_stats;

#define IPC_POOL_STATS_INIT                                                    \
    {                                                                          \
        sizeof(ipc_pool_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, false, false        \
    }

IPC_API int ipc_pool_query(const ipc_pool *pool, ipc_pool_stats *stats)
    IPC_NONNULL(1, 2);

/* What the workers are doing; by any process.  Stores up to capacity entries,
 * and returns how many workers there are; 0 if this is no pool. */
typedef struct ipc_worker_info {
    int32_t pid;    /* of a thread: of its process */
    int32_t tid;    /* 0: it is being started */
    uint32_t index; /* as ipc_task_worker() */
    uint32_t reserved;
    ipc_task_function *fn; /* what it runs; NULL: nothing, or it is known by an
                              address of another image */
    ipc_deadline since;    /* when that was begun; 0: it runs nothing */
    uint64_t tasks;        /* that it has run, and items of maps */
} ipc_worker_info;

IPC_API size_t ipc_pool_workers(const ipc_pool *pool, ipc_worker_info *out,
                                size_t capacity) IPC_NONNULL(1);

IPC_END_DECLS

#endif
