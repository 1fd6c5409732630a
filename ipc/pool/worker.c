/* Worker: takes tasks, runs them, and sleeps when there are none.
 *
 * State, Invariants and Order are those of table.c.
 *
 * Death, while it
 *   has claims        the supervisor puts in line again what is pending of them;
 *   runs a task       the record says RUNNING and whose: the supervisor ends it,
 *                     or makes it PENDING again;
 *   has completed it  the record is final.  Who waits for the bell, and an
 *                     abandoned record, are seen to by the supervisor;
 *   sleeps            nothing is lost but perhaps a wake-up: the supervisor
 *                     repeats it. */
#include "pool/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/error.h"
#include "core/local.h"
#include "core/peers.h"
#include "core/waiting.h"
#include "pool/future.h"
#include "pool/job.h"
#include "pool/part.h"
#include "pool/table.h"
#include "process/entry.h"

#define SHORT_LINES   2
#define GATHER_PAUSES 50

__thread struct ipc_task *ipc__task;

/* ---- functions ---- */

/* Where workers are other images of the program than who submits, functions
 * have a number and not an address. */
ipc__any_function ipc__pool_function(uint64_t fn)
{
    if ((fn & IPC__ENTRY) == 0)
        return (ipc__any_function)(uintptr_t)fn;
    const struct ipc__entry_id id = {
        .index = (uint32_t)((fn & ~IPC__ENTRY) >> 32), .hash = (uint32_t)fn};
    return ipc__entry_at(id);
}

static bool has_addresses_of(const struct ipc_pool *pool)
{
    return likely(pool->image == load_relaxed(&ipc__image)) ||
           pool->image == ipc__image_number();
}

ipc__any_function ipc__pool_function_seen(const struct ipc_pool *pool,
                                          uint64_t fn)
{
    return (fn & IPC__ENTRY) != 0 || has_addresses_of(pool)
               ? ipc__pool_function(fn)
               : NULL;
}

int ipc__pool_name_function(const struct ipc_pool *pool, ipc__any_function fn,
                            uint64_t *out)
{
    *out = (uint64_t)(uintptr_t)fn;
    if (has_addresses_of(pool) || fn == NULL)
        return 0;
    struct ipc__entry_id id;
    const int rc = ipc__entry_of(fn, &id);
    if (rc == 0)
        *out = IPC__ENTRY | (uint64_t)id.index << 32 | id.hash;
    return rc;
}

void ipc__pool_ring(struct ipc_pool *pool)
{
    add_release(&pool->bell, 1);
    ipc__futex_wake(&pool->bell, 1);
}

/* ---- one task ---- */

/* To some milliseconds, for a quarter of the price. */
static int64_t coarse_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t time_allowed(const struct ipc_pool *pool,
                            const struct ipc_future *future)
{
    int64_t ns = 0;
    if ((future->shape & IPC__TIMED) != 0)
        ns = future->task_ns;
    return ns == 0 ? pool->task_ns : ns;
}

/* When whose time is up; of a task inside another one, who is first.  The
 * supervisor may sleep beyond it. */
struct due {
    int64_t at; /* 0: never */
    uint32_t of;
};

static void note_due(struct ipc_pool *pool, struct ipc__worker *w,
                     struct due due)
{
    store_relaxed(&w->due, 0);
    store_release(&w->due_of, due.of);
    store_release(&w->due, due.at);
    full_barrier();
    if (due.at != 0 && due.at < load_relaxed(&pool->looks_at))
        ipc__pool_ring(pool);
}

static struct due due_of(const struct ipc__worker *w)
{
    return (struct due){load_relaxed(&w->due), load_relaxed(&w->due_of)};
}

static void note_begin(struct ipc_pool *pool, struct ipc__worker *w,
                       const struct ipc_future *future, int64_t outer)
{
    const int64_t ns = time_allowed(pool, future);
    const uint32_t index = ipc__table_index(future) + 1;
    store_relaxed(&w->since, coarse_now());
    store_relaxed(&w->running, index);
    if (likely(ns <= 0))
        return;
    const int64_t at = ipc_after_ns(ns);
    if (outer == 0 || at < outer)
        note_due(pool, w, (struct due){at, index});
}

void ipc__worker_item(struct ipc_task *task, size_t index)
{
    struct ipc_pool *pool = task->pool;
    struct ipc__worker *w = &pool->workers[task->worker];
    task->index = index;
    note_begin(pool, w, task->future, task->outer_due);
}

static int call(struct ipc_task *task)
{
    struct ipc_future *future = task->future;
    if ((future->shape & IPC__JOB) != 0)
        return ipc__job_run(task);
    ipc_task_function *fn = (ipc_task_function *)ipc__pool_function(future->fn);
    if (unlikely(fn == NULL))
        return ipc_task_fail(task, -EINVAL, "no such function");
    if (future->result_bytes != 0) {
        const int rc = ipc__future_make_room(future, future->result_bytes);
        if (unlikely(rc != 0))
            return ipc_task_fail(task, rc, "no memory for the result");
    }
    return fn(ipc__future_arg(future), ipc__future_data(future), task);
}

/* A task has been asked to end, and did; or it has failed. */
static void blame(const struct ipc_task *task, const struct ipc__worker *w,
                  int status)
{
    struct ipc_future *future = task->future;
    const struct due due = due_of(w);
    const bool is_due = due.at != 0 && ipc_time_left(due.at) <= 0 &&
                        due.of == ipc__table_index(task->future) + 1;
    char text[64];
    future->pid = w->pid;
    if (status == -ECANCELED && ipc__future_is_unwanted(future)) {
        if (is_due)
            ipc__future_blame(future, IPC_EXCEPTION_DEADLINE | IPC__BY_ITSELF,
                              -ETIME, "its time was up");
        else
            ipc__future_blame(future, IPC_EXCEPTION_CANCELLED | IPC__BY_ITSELF,
                              -ECANCELED, "terminated while it ran");
    } else if (status > 0) {
        snprintf(text, sizeof text, "returned %d, which is no status", status);
        ipc__future_blame(future, IPC_EXCEPTION_FAILED, -EINVAL, text);
    } else if (!task->has_message || status != future->status) {
        ipc__future_blame(future, IPC_EXCEPTION_FAILED, status, NULL);
    }
}

/* Of a task inside another one, that one goes on, and its time. */
static void note_end(const struct ipc_task *task, struct ipc__worker *w,
                     struct due due)
{
    const struct ipc_task *outer = task->outer;
    store_relaxed(&w->running,
                  outer != NULL ? ipc__table_index(outer->future) + 1 : 0);
    if (unlikely(load_relaxed(&w->due) != due.at))
        note_due(task->pool, w, due);
}

/* A task has forked, and its child has returned from it: there is nothing more
 * for that to do. */
static SLOW_PATH _Noreturn void end_of_a_stray(int status)
{
    _exit(status == 0 ? 0 : 1);
}

void ipc__worker_run_one(struct ipc_pool *pool, uint32_t worker,
                         struct ipc_future *future)
{
    struct ipc__worker *w = &pool->workers[worker];
    const struct due due = due_of(w); /* of the outer one */
    const uint64_t process = load_relaxed(&ipc__local.process);
    struct ipc_task task = {.future = future,
                            .pool = pool,
                            .worker = worker,
                            .outer = ipc__task,
                            .outer_due = due.at};
    note_begin(pool, w, future, due.at);
    ipc__task = &task;
    int status = call(&task);
    if (unlikely(load_relaxed(&ipc__local.process) != process))
        end_of_a_stray(status);
    ipc__task = task.outer;
    if (unlikely(task.has_message) && status == 0 && !task.is_item)
        status = future->status; /* it has said that it fails */
    if (unlikely(status != 0))
        blame(&task, w, status);
    note_end(&task, w, due);
    uint64_t *count = status == 0 ? &w->done : &w->failed;
    if (likely(worker != IPC_WORKER_CALLER))
        store_relaxed(count, *count + 1);
    else /* any number of threads */
        (void)add_relaxed(count, 1);

    const uint32_t word =
        ipc__future_complete(future, status == 0 ? IPC__DONE : IPC__FAILED);
    if (likely((word & (IPC__TERMINATE | IPC__ABANDONED)) == 0))
        return;
    /* A signal for it may be on its way: it must not hit another task. */
    if ((word & IPC__TERMINATE) != 0 && pool->kind == IPC_POOL_PROCESSES)
        store_relaxed(&w->leave, 1);
    if ((word & IPC__ABANDONED) != 0)
        (void)ipc__table_free(future);
}

bool ipc__worker_help(struct ipc_future *future)
{
    const struct ipc_task *task = ipc__task;
    if (likely(task == NULL) || future->pool != task->pool ||
        !ipc__table_claim(future, task->worker))
        return false;
    ipc__worker_run_one(task->pool, task->worker, future);
    return true;
}

/* Other workers that have nothing to do, or will be there in a moment. */
static uint32_t free_workers(const struct ipc_pool *pool, uint32_t worker)
{
    const uint32_t living = load_relaxed(&pool->living);
    const uint32_t wanted = load_relaxed(&pool->wanted);
    const uint32_t used = load_relaxed(&pool->workers_used);
    uint32_t n = wanted > living ? wanted - living : 0;
    for (uint32_t i = 0; i < used; i++) {
        const struct ipc__worker *w = &pool->workers[i];
        const uint32_t phase = load_relaxed(&w->phase);
        if (i != worker && load_relaxed(&w->leave) == 0 &&
            (phase == IPC__WORKER_STARTING || phase == IPC__WORKER_LOOKING ||
             phase == IPC__WORKER_ASLEEP))
            n++;
    }
    return n;
}

/* Whose wait may end before it is not to be kept by a task that another worker
 * could run: where there are others it is left to them, until a re-check finds it
 * still pending and none of them free. */
static bool others_may_run_it(const struct ipc_task *task,
                              ipc_deadline deadline, bool insists)
{
    const struct ipc_pool *pool = task->pool;
    if (deadline == IPC_TIME_FOREVER && insists)
        return false;
    if (ipc_time_left(deadline) == 0)
        return true;
    if (load_relaxed(&pool->living) <= 1 && load_relaxed(&pool->wanted) <= 1)
        return false;
    return !insists || free_workers(pool, task->worker) != 0;
}

bool ipc__worker_stand_in(struct ipc_future *future, ipc_deadline deadline,
                          bool insists)
{
    const struct ipc_task *task = ipc__task;
    return unlikely(task != NULL) && future->pool == task->pool &&
           !others_may_run_it(task, deadline, insists) &&
           ipc__worker_help(future);
}

/* What takes part is no worker: its tasks have no initializer's values, no time
 * of their own, and nobody could end them. */
static bool may_lend(const struct ipc_pool *pool,
                     const struct ipc_future *future)
{
    return ipc__task == NULL && pool->kind == IPC_POOL_THREADS &&
           pool->initializer == 0 && time_allowed(pool, future) <= 0 &&
           pool->maker_pid == getpid();
}

bool ipc__worker_lend(struct ipc_future *future)
{
    struct ipc_pool *pool = future->pool;
    if (!may_lend(pool, future) || !ipc__table_claim(future, IPC_WORKER_CALLER))
        return false;
    ipc__worker_run_one(pool, IPC_WORKER_CALLER, future);
    return true;
}

/* ---- finding one ---- */

static struct ipc_future *claimed(struct ipc_pool *pool, uint32_t worker,
                                  uint32_t claim)
{
    if (claim == 0 || claim > load_relaxed(&pool->made))
        return NULL;
    struct ipc_future *future = &pool->records[claim - 1];
    return ipc__table_claim(future, worker) ? future : NULL;
}

struct stroll {
    struct ipc_pool *pool;
    struct ipc__worker *w;
    uint32_t worker;
    uint32_t next; /* of its claims */
    uint32_t tasks;
    uint32_t short_lines; /* that it found in a row */
    int64_t relieved;     /* when it last looked at what others have claimed */
};

static struct ipc_future *next_own(struct stroll *s)
{
    while (s->next < IPC__CLAIMS) {
        const uint32_t claim = load_relaxed(&s->w->claims[s->next]);
        if (claim == 0)
            break;
        s->next++;
        struct ipc_future *future = claimed(s->pool, s->worker, claim);
        if (likely(future != NULL))
            return future;
    }
    s->next = IPC__CLAIMS;
    return NULL;
}

/* Others may have claimed more than they come to: from the end of theirs. */
static struct ipc_future *steal(const struct stroll *s)
{
    const uint32_t workers = load_relaxed(&s->pool->workers_used);
    for (uint32_t n = 1; n < workers; n++) {
        const struct ipc__worker *other =
            &s->pool->workers[(s->worker + n) % workers];
        if (load_relaxed(&other->phase) == IPC__WORKER_NONE)
            continue;
        for (uint32_t i = IPC__CLAIMS; i-- > 0;) {
            struct ipc_future *future =
                claimed(s->pool, s->worker, load_relaxed(&other->claims[i]));
            if (future != NULL)
                return future;
        }
    }
    return NULL;
}

/* What a worker has claimed is not to wait for ever behind a long task of its,
 * while there is always something in line. */
#define RELIEVE_NS ((int64_t)10 * 1000 * 1000)
static struct ipc_future *relieve(struct stroll *s)
{
    const int64_t now = load_relaxed(&s->w->since); /* of our last task */
    const uint32_t workers = load_relaxed(&s->pool->workers_used);
    if (likely(now - s->relieved < RELIEVE_NS))
        return NULL;
    for (uint32_t n = 1; n < workers; n++) {
        const struct ipc__worker *other =
            &s->pool->workers[(s->worker + n) % workers];
        const int64_t since = load_relaxed(&other->since);
        if (load_relaxed(&other->phase) == IPC__WORKER_NONE ||
            load_relaxed(&other->running) == 0 || now - since < RELIEVE_NS)
            continue;
        for (uint32_t i = 0; i < IPC__CLAIMS; i++) {
            struct ipc_future *future =
                claimed(s->pool, s->worker, load_relaxed(&other->claims[i]));
            if (future != NULL)
                return future;
        }
    }
    s->relieved = now;
    return NULL;
}

/* A worker that is faster than those who submit would meet them at each task,
 * and both wait for the same lines of memory.  It lets some gather, for about a
 * microsecond, while the line is short but never empty. */
static void let_some_gather(const struct stroll *s)
{
    if (unlikely(s->short_lines >= SHORT_LINES) && ipc__spin_limit != 0)
        ipc__pause(GATHER_PAUSES);
}

static int take(struct stroll *s)
{
    uint32_t left = 0;
    let_some_gather(s);
    const int rc = ipc__table_take(s->pool, s->worker, &left);
    const bool is_short = rc > 0 && left < IPC__CLAIMS;
    s->short_lines = is_short ? s->short_lines + 1 : 0;
    return rc;
}

/* 0 and a task, -EAGAIN; -EPIPE there will be none. */
static int find_task(struct stroll *s, struct ipc_future **out)
{
    while ((*out = next_own(s)) == NULL) {
        if (unlikely((*out = relieve(s)) != NULL))
            return 0;
        const int rc = take(s);
        if (rc < 0) {
            *out = steal(s);
            return *out != NULL ? 0 : rc;
        }
        s->next = 0;
    }
    return 0;
}

static bool may_leave(const struct stroll *s)
{
    return load_relaxed(&s->w->leave) != 0 ||
           (s->pool->max_tasks != 0 && s->tasks >= s->pool->max_tasks);
}

static void work(struct stroll *s)
{
    const int64_t idle_ns = s->pool->idle_ns;
    ipc_deadline idle_until = IPC_TIME_FOREVER;
    while (!may_leave(s)) {
        struct ipc_future *future;
        int rc = find_task(s, &future);
        if (rc == 0) {
            ipc__worker_run_one(s->pool, s->worker, future);
            s->tasks++;
            idle_until = IPC_TIME_FOREVER;
            continue;
        }
        if (rc != -EAGAIN)
            return;
        if (idle_ns != 0 && idle_until == IPC_TIME_FOREVER)
            idle_until = ipc_after_ns(idle_ns);
        rc = ipc__table_sleep(s->pool, s->worker, idle_until);
        if (rc == -ETIMEDOUT && ipc__table_may_shrink(s->pool, s->worker))
            return;
        if (rc == -ETIMEDOUT)
            idle_until = IPC_TIME_FOREVER;
        else if (rc != 0)
            return;
    }
}

/* ---- its life ---- */

/* By which tasks are ended, whatever the maker has done about it. */
static void hear_sigterm(void)
{
    struct sigaction action;
    sigset_t set;
    if (sigaction(SIGTERM, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
        (void)signal(SIGTERM, SIG_DFL);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static int begin(struct ipc_pool *pool, uint32_t worker)
{
    struct ipc__worker *w = &pool->workers[worker];
    const int rc = ipc__self_register(pool);
    if (rc != 0)
        return rc;
    store_relaxed(&w->pid, getpid());
    store_release(&w->id, ipc__self.id);
    store_release(&w->phase, IPC__WORKER_AWAKE);
    ipc__pool_ring(pool); /* so that it watches us */
    if (pool->kind == IPC_POOL_PROCESSES)
        hear_sigterm();
    int status = 0;
    if (pool->initializer != 0) {
        int (*initializer)(void *) =
            (int (*)(void *))ipc__pool_function(pool->initializer);
        status =
            initializer != NULL ? initializer(pool->initializer_arg) : -EINVAL;
    }
    store_release(&w->ready, status == 0 ? 1 : status > 0 ? -EINVAL : status);
    return status;
}

static void finish(struct ipc_pool *pool)
{
    void (*finalizer)(void *) =
        (void (*)(void *))ipc__pool_function(pool->finalizer);
    if (finalizer != NULL)
        finalizer(pool->initializer_arg);
}

int ipc__worker_run(struct ipc_pool *pool, uint32_t worker)
{
    struct stroll s = {.pool = pool,
                       .w = &pool->workers[worker],
                       .worker = worker,
                       .next = IPC__CLAIMS};
    if (begin(pool, worker) != 0) {
        store_release(&s.w->phase, IPC__WORKER_FAILED);
        ipc__pool_ring(pool);
        return 1;
    }
    work(&s);
    ipc__table_look_away(pool, worker);
    finish(pool);
    ipc__table_leave(pool, worker);
    ipc__pool_ring(pool);
    return 0;
}
