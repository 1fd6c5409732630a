/* Timers, and the one thread that runs them.
 *
 * State, under the lock
 *   first      a heap of those that are pending, in the callers' memory
 *   now        whose callback is running, or NULL.  For comparison only: the
 *              callback may have freed it.
 *   running    there is a thread.  It clears this, with the lock, before it
 *              ends; who starts a timer then starts another thread.
 *   waited     pending timers that the end of the process waits for, and
 *   now_waited whether it does for the callback
 *   sleeps_until   when the thread wakes up by itself; 0 while it is awake.
 *              Only a timer that comes earlier, or a heap that has become
 *              empty, has to wake it.
 *   state_     of a timer: PENDING while it is in the heap.
 *
 * Invariant
 *   From the call of a callback on its thread touches nothing of that timer:
 *   a repeating one is back in the heap by then, any other out of it.
 *
 * Death
 *   All of it is private, and dies with the process.  A forked child finds the
 *   page wiped: no thread, no timers.  A timer that names another process as
 *   its owner is none of its own. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/options.h"
#include "core/error.h"
#include "core/private_lock.h"
#include "kernel/futex.h"
#include "thread/internal.h"
#include "thread/timer_heap.h"
#include "wait/fd.h"
#include "wait/look.h"

_Static_assert(sizeof(ipc_timer) == 128, "timer layout");

/* How long the thread stays when there are no timers: starting and cancelling
 * one over and over, as a time-out of something quick, is to be cheap. */
#define LINGER_NS ((int64_t)20 * 1000 * 1000)

/* ipc_timer.state_: nothing that lies about in memory by chance. */
enum {
    PENDING = 0x74690001,
    DONE = 0x74690002, /* its callback was called */
    CANCELLED = 0x74690003
};

/* ---- about a timer; with the lock ---- */

static bool is_ours(const ipc_timer *timer)
{
    return timer->owner_ == ipc__process_number();
}

static bool is_pending(const ipc_timer *timer)
{
    return timer->state_ == PENDING && is_ours(timer);
}

static bool is_running(const struct ipc__timers *timers, const ipc_timer *timer)
{
    return timers->now == timer;
}

static bool on_its_thread(const struct ipc__timers *timers)
{
    return timers->record != NULL && timers->record == ipc__context_record();
}

static bool is_waited_for(const ipc_timer *timer)
{
    return !timer->daemon_ && timer->when_ != IPC_TIME_FOREVER;
}

static const char *name_of(const ipc_timer *timer)
{
    return timer->name_[0] != '\0' ? timer->name_ : "the timer";
}

/* Was it started, and by this process? */
static int check(const ipc_timer *timer)
{
    if (timer->state_ != PENDING && timer->state_ != DONE &&
        timer->state_ != CANCELLED)
        return ipc__fail(-EINVAL, "the timer was not started");
    if (!is_ours(timer))
        return ipc__fail(-ECHILD, "%s was started by another process",
                         name_of(timer));
    return 0;
}

static void insert(struct ipc__timers *timers, ipc_timer *timer)
{
    timer->state_ = PENDING;
    timer->order_ = ++timers->starts;
    ipc__timer_heap_insert(&timers->first, timer);
    timers->waited += is_waited_for(timer);
}

static void take_out(struct ipc__timers *timers, ipc_timer *timer,
                     uint32_t state)
{
    timers->waited -= is_waited_for(timer);
    ipc__timer_heap_remove(&timers->first, timer);
    timer->state_ = state;
    if (timers->first == NULL)
        timers->empty_since = ipc_now();
}

/* ---- who waits for what ---- */

/* Have the thread look again. */
static void wake_thread(struct ipc__timers *timers)
{
    timers->sleeps_until = 0;
    (void)add_relaxed(&timers->changed, 1);
    ipc__futex_wake(&timers->changed, 1);
}

/* A timer has run, or was cancelled. */
static void note_end(struct ipc__timers *timers)
{
    if (timers->sleepers == 0 && !timers->watched)
        return;
    timers->watched = false;
    (void)add_relaxed(&timers->ended, 1);
    ipc__futex_wake(&timers->ended, INT_MAX);
}

/* With the lock, which is given up meanwhile. */
static void sleep_until_end(struct ipc__timers *timers, ipc_deadline deadline)
{
    const uint32_t seen = load_relaxed(&timers->ended);
    timers->sleepers++;
    ipc__private_unlock(&timers->lock);
    (void)ipc__futex_wait(&timers->ended, seen, deadline);
    ipc__private_lock(&timers->lock);
    timers->sleepers--;
}

/* ---- the thread ---- */

struct call {
    void (*fn)(void *arg);
    void *arg;
};

/* The next moment of a repeating timer, on the grid of its first one; those
 * that have gone by are left out. */
static ipc_deadline next_moment(const ipc_timer *timer, ipc_deadline now)
{
    const int64_t period = timer->period_ns_;
    const ipc_deadline base = timer->when_ > 0 ? timer->when_ : now;
    ipc_deadline next;
    if (__builtin_add_overflow(base, period, &next))
        return IPC_TIME_FOREVER;
    if (next > now)
        return next;
    return next + ((now - next) / period + 1) * period;
}

static void take_call(struct ipc__timers *timers, ipc_timer *timer,
                      ipc_deadline now, struct call *out)
{
    *out = (struct call){timer->fn_, timer->arg_};
    timers->now = timer;
    timers->now_waited = is_waited_for(timer);
    timers->runs++;
    take_out(timers, timer, DONE);
    if (timer->period_ns_ != 0) {
        timer->when_ = next_moment(timer, now);
        insert(timers, timer);
    }
}

static void sleep_on_changes(struct ipc__timers *timers, ipc_deadline deadline)
{
    const uint32_t seen = load_relaxed(&timers->changed);
    timers->sleeps_until = deadline;
    ipc__private_unlock(&timers->lock);
    (void)ipc__futex_wait(&timers->changed, seen, deadline);
    ipc__private_lock(&timers->lock);
    timers->sleeps_until = 0;
}

static void leave(struct ipc__timers *timers)
{
    timers->running = false;
    timers->record = NULL;
}

/* Wait for the next callback; false when there have been no timers for some
 * time, and the thread has left. */
static bool next_call(struct ipc__timers *timers, struct call *out)
{
    ipc_timer *first;
    ipc_deadline now, until;
    ipc__private_lock(&timers->lock);
    for (;;) {
        first = timers->first;
        now = ipc_now();
        until = first != NULL ? first->when_ : timers->empty_since + LINGER_NS;
        if (until <= now)
            break;
        sleep_on_changes(timers, until);
    }
    if (first != NULL)
        take_call(timers, first, now, out);
    else
        leave(timers);
    ipc__private_unlock(&timers->lock);
    return first != NULL;
}

/* False in a child that the callback has forked, and then returned from. */
static bool end_call(struct ipc__timers *timers)
{
    ipc__private_lock(&timers->lock);
    const bool is_here = on_its_thread(timers);
    if (is_here) {
        timers->now = NULL;
        timers->now_waited = false;
        note_end(timers);
    }
    ipc__private_unlock(&timers->lock);
    return is_here;
}

static int start_thread(struct ipc__timers *timers);

/* A callback has called pthread_exit(): the others shall not miss it. */
static void on_unwind(void *arg)
{
    struct ipc__timers *timers = arg;
    if (!end_call(timers))
        return;
    ipc__private_lock(&timers->lock);
    leave(timers);
    if (timers->first != NULL)
        (void)start_thread(timers); /* or the next ipc_timer_start() does */
    ipc__private_unlock(&timers->lock);
}

static int run_timers(void *arg)
{
    struct ipc__timers *timers = arg;
    struct call call;
    pthread_cleanup_push(on_unwind, timers);
    while (next_call(timers, &call)) {
        call.fn(call.arg);
        if (!end_call(timers))
            break;
    }
    pthread_cleanup_pop(0);
    return 0;
}

/* With the lock.  No signal handler of the program is to run in a thread that
 * it does not know. */
static int start_thread(struct ipc__timers *timers)
{
    struct ipc__thread *record = calloc(1, sizeof *record);
    if (record == NULL)
        return ipc__fail(-ENOMEM, "no memory for the thread of the timers");
    record->kind = IPC__THREAD_HELPER;
    record->target = run_timers;
    record->arg = timers;
    record->daemon = true;
    snprintf(record->name, sizeof record->name, "Timers");
    ipc__thread_give_object(record);

    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    timers->empty_since = ipc_now();
    const int rc = ipc__thread_spawn(&ipc__the_threads, record, 0);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        free(record);
        return rc;
    }
    timers->running = true;
    timers->record = record;
    return 0;
}

/* ---- start and cancel ---- */

struct request {
    struct ipc__timers *timers;
    ipc_timer *timer;
    ipc_timer made;
};

static int attempt_start(void *arg)
{
    struct request *request = arg;
    struct ipc__timers *timers = request->timers;
    ipc_timer *timer = request->timer;
    int rc = 0;
    ipc__private_lock(&timers->lock);
    if (is_pending(timer))
        rc = ipc__fail(-EALREADY, "%s was started", name_of(timer));
    else if (!timers->running)
        rc = start_thread(timers);
    if (rc == 0) {
        *timer = request->made;
        insert(timers, timer);
        if (timer->when_ < timers->sleeps_until)
            wake_thread(timers);
    }
    ipc__private_unlock(&timers->lock);
    return rc;
}

static int read_options(const ipc_timer_options *options, ipc_timer *made)
{
    ipc_timer_options given;
    const int rc = ipc__options_read(&given, sizeof given, options);
    if (rc != 0)
        return ipc__fail(rc, "timer options of a size that is not known");
    if (given.period_ns < 0)
        return ipc__fail(-EINVAL, "a period of %lld ns",
                         (long long)given.period_ns);
    made->period_ns_ = given.period_ns;
    made->daemon_ = given.daemon;
    if (given.name != NULL)
        snprintf(made->name_, sizeof made->name_, "%s", given.name);
    return 0;
}

int ipc_timer_start(ipc_timer *timer, ipc_deadline when, void (*fn)(void *arg),
                    void *arg, const ipc_timer_options *options)
{
    struct ipc__threads *threads = NULL;
    struct request request = {.timer = timer,
                              .made = {.fn_ = fn, .arg_ = arg, .when_ = when}};
    int rc = read_options(options, &request.made);
    if (rc == 0)
        rc = ipc__threads_begin(&threads);
    if (rc != 0)
        return rc;
    request.timers = &threads->timers;
    request.made.owner_ = ipc__process_number();
    return ipc__thread_patiently(attempt_start, &request);
}

/* Wait until the callback of a timer, that which is running now, returns; not
 * if that waits for us. */
static void await_callback(struct ipc__timers *timers, const ipc_timer *timer)
{
    const uint64_t run = timers->runs;
    while (is_running(timers, timer) && timers->runs == run &&
           !on_its_thread(timers) && !timers->exiting)
        sleep_until_end(timers, IPC_TIME_FOREVER);
}

/* The timers of this process; NULL where it cannot have any. */
static struct ipc__timers *lock_timers(void)
{
    struct ipc__threads *threads = ipc__threads();
    if (threads == NULL)
        return NULL;
    ipc__private_lock(&threads->timers.lock);
    return &threads->timers;
}

int ipc_timer_cancel(ipc_timer *timer)
{
    struct ipc__timers *timers = lock_timers();
    if (timers == NULL)
        return ipc__fail(-EINVAL, "the timer was not started");
    int rc = check(timer);
    if (rc == 0 && timer->state_ != PENDING)
        rc = ipc__fail(-EALREADY, "%s %s", name_of(timer),
                       timer->state_ == DONE ? "has run" : "was cancelled");
    if (rc == 0) {
        take_out(timers, timer, CANCELLED);
        note_end(timers);
        if (timers->first == NULL &&
            timers->sleeps_until > timers->empty_since + LINGER_NS)
            wake_thread(timers);
    }
    if (rc == 0 || rc == -EALREADY)
        await_callback(timers, timer);
    ipc__private_unlock(&timers->lock);
    return rc;
}

/* ---- wait and ask ---- */

static int fail_alive(const struct ipc__timers *timers, const ipc_timer *timer,
                      ipc_deadline deadline)
{
    if (deadline == IPC_TIME_NOW)
        return ipc__fail(-EAGAIN, "%s has not run yet", name_of(timer));
    if (on_its_thread(timers) || timers->exiting)
        return ipc__fail(
            -EDEADLK, "%s cannot run: its thread %s", name_of(timer),
            timers->exiting ? "has called exit()" : "would wait for it");
    if (ipc_time_left(deadline) == 0)
        return ipc__fail(-ETIMEDOUT, "%s has not run yet", name_of(timer));
    return 0;
}

static int join(ipc_timer *timer, ipc_deadline deadline)
{
    struct ipc__timers *timers = lock_timers();
    if (timers == NULL)
        return ipc__fail(-EINVAL, "the timer was not started");
    int rc = check(timer);
    while (rc == 0 && (is_pending(timer) || is_running(timers, timer))) {
        rc = fail_alive(timers, timer, deadline);
        if (rc == 0)
            sleep_until_end(timers, deadline);
    }
    ipc__private_unlock(&timers->lock);
    if (rc == -EAGAIN || rc == -ETIMEDOUT)
        ipc__found_nothing(timer);
    return rc;
}

int ipc__timer_look(const ipc_timer *timer, struct ipc__look *look)
{
    struct ipc__timers *timers = lock_timers();
    if (timers == NULL)
        return ipc__fail(-EINVAL, "the timer was not started");
    int rc = check(timer);
    if (rc == 0 && !is_pending(timer) && !is_running(timers, timer)) {
        rc = 1;
    } else if (rc == 0 && look->marks) {
        timers->watched = true;
        ipc__look_add(look, &timers->ended, load_relaxed(&timers->ended));
    }
    ipc__private_unlock(&timers->lock);
    return rc;
}

int ipc_timer_join(ipc_timer *timer)
{
    return join(timer, IPC_TIME_FOREVER);
}

int ipc_timer_join_nowait(ipc_timer *timer)
{
    return join(timer, IPC_TIME_NOW);
}

int ipc_timer_join_until(ipc_timer *timer, ipc_deadline deadline)
{
    return join(timer, deadline > 0 ? deadline : 1);
}

static bool ask(const ipc_timer *timer, bool or_running)
{
    struct ipc__timers *timers = lock_timers();
    if (timers == NULL)
        return false;
    const bool yes =
        is_pending(timer) || (or_running && is_running(timers, timer));
    ipc__private_unlock(&timers->lock);
    return yes;
}

bool ipc_timer_is_pending(const ipc_timer *timer)
{
    return ask(timer, false);
}

bool ipc_timer_is_alive(const ipc_timer *timer)
{
    return ask(timer, true);
}

/* ---- the end of the process ---- */

bool ipc__timers_is_waited_for(void)
{
    struct ipc__timers *timers = lock_timers();
    if (timers == NULL)
        return false;
    const bool yes = on_its_thread(timers) && timers->now_waited;
    ipc__private_unlock(&timers->lock);
    return yes;
}

void ipc__timers_exiting(void)
{
    struct ipc__timers *timers = lock_timers();
    if (timers == NULL)
        return;
    if (on_its_thread(timers)) {
        timers->exiting = true;
        note_end(timers);
    }
    ipc__private_unlock(&timers->lock);
}

bool ipc__timers_wait(void)
{
    bool waited = false;
    struct ipc__timers *timers = lock_timers();
    if (timers == NULL)
        return false;
    while (timers->running && !timers->exiting &&
           (timers->waited != 0 || timers->now_waited)) {
        waited = true;
        sleep_until_end(timers, IPC_TIME_FOREVER);
    }
    ipc__private_unlock(&timers->lock);
    return waited;
}
