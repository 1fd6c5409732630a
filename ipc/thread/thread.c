/* The thread object: describe, join, ask, close.
 *
 * State
 *   record->state   RUNNING; EXITING when it has called exit(); ENDED stored
 *                   by the thread as its last act (context.c says when that
 *                   is); JOINING by the one that takes the result from libc,
 *                   which is a matter of instructions by then; JOINED.
 *                   Whoever waits sleeps on it.
 *
 * Death
 *   Everything here dies with the process. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/options.h"
#include "core/error.h"
#include "core/private_lock.h"
#include "kernel/futex.h"
#include "thread/internal.h"
#include "wait/fd.h"
#include "wait/look.h"

/* ---- describe ---- */

static int copy_argument(ipc_thread *thread)
{
    const size_t size = thread->options_.arg_bytes;
    if (size == 0)
        return 0;
    if (thread->arg_ == NULL)
        return ipc__fail(-EINVAL, "arg_bytes is %zu and arg is NULL", size);
    thread->arg_copy_ = malloc(size);
    if (thread->arg_copy_ == NULL)
        return ipc__fail(-ENOMEM, "no memory to copy %zu bytes", size);
    memcpy(thread->arg_copy_, thread->arg_, size);
    thread->arg_ = thread->arg_copy_;
    return 0;
}

static int init(ipc_thread *thread, const ipc_thread_options *options)
{
    int rc =
        ipc__options_read(&thread->options_, sizeof thread->options_, options);
    if (rc != 0) {
        memset(&thread->options_, 0, sizeof thread->options_);
        rc = ipc__fail(rc, "thread options of a size that is not known");
    }
    if (thread->options_.name != NULL)
        snprintf(thread->name_, sizeof thread->name_, "%s",
                 thread->options_.name);
    thread->options_.name = NULL; /* the copy counts */
    if (rc == 0)
        rc = copy_argument(thread);
    thread->error_ = rc; /* start() reports it again */
    thread->state_ = IPC__THREAD_READY;
    return rc;
}

int ipc_thread_init(ipc_thread *thread, int (*target)(void *arg), void *arg,
                    const ipc_thread_options *options)
{
    memset(thread, 0, sizeof *thread);
    thread->target_ = target;
    thread->arg_ = arg;
    return init(thread, options);
}

int ipc_thread_init_ops(ipc_thread *thread, const ipc_thread_ops *ops,
                        const ipc_thread_options *options)
{
    memset(thread, 0, sizeof *thread);
    thread->ops_ = ops;
    int rc = init(thread, options);
    if (rc == 0 && ops->run == NULL) {
        rc = ipc__fail(-EINVAL, "thread ops without run");
        thread->error_ = rc;
    }
    return rc;
}

static int check_ready(const ipc_thread *thread)
{
    return thread->record_ == NULL
               ? 0
               : ipc__fail(-EBUSY, "%s was started", thread->name_);
}

int ipc_thread_set_name(ipc_thread *thread, const char *name)
{
    const int rc = check_ready(thread);
    if (rc == 0)
        snprintf(thread->name_, sizeof thread->name_, "%s", name);
    return rc;
}

int ipc_thread_set_daemon(ipc_thread *thread, bool daemon)
{
    const int rc = check_ready(thread);
    if (rc == 0)
        thread->options_.daemon = daemon;
    return rc;
}

/* ---- how it ended ---- */

/* pthread_join(), and what the thread gave to pthread_exit().  To be cancelled
 * in here would leave the others waiting. */
static void take_result(struct ipc__thread *record)
{
    void *value = NULL;
    int state;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    (void)pthread_join(record->handle, &value);
    (void)pthread_setcancelstate(state, NULL);
    if (record->returned)
        return;
    record->exitcode =
        value == PTHREAD_CANCELED ? -ECANCELED : (int)(intptr_t)value;
}

void ipc__thread_reap(struct ipc__thread *record)
{
    struct ipc__threads *threads = &ipc__the_threads;
    if (cas32_acquire(&record->state, IPC__THREAD_ENDED,
                      IPC__THREAD_JOINING)) { /* [end→join] */
        take_result(record);
        ipc__private_lock(&threads->lock);
        ipc__threads_remove(threads, record);
        ipc__private_unlock(&threads->lock);
        (void)add_relaxed(&threads->ended, (uint32_t)-1);
        store_release(&record->state, IPC__THREAD_JOINED);
        ipc__futex_wake(&record->state, INT_MAX);
        return;
    }
    while (load_acquire(&record->state) == IPC__THREAD_JOINING)
        (void)ipc__futex_wait(&record->state, IPC__THREAD_JOINING,
                              IPC_TIME_FOREVER);
}

/* Would it have to wait for the caller, which is about to wait for it? */
static bool waits_for_us(uint32_t state)
{
    const struct ipc__thread *self = ipc__context_record();
    if (state != IPC__THREAD_EXITING)
        return false;
    return ipc__timers_is_waited_for() ||
           (self != NULL && self->kind == IPC__THREAD_STARTED && !self->daemon);
}

static bool is_self(const struct ipc__thread *record)
{
    return record->kind == IPC__THREAD_MAIN ? ipc__is_main_thread()
                                            : record == ipc__context_record();
}

/* Sleep until it has ended.  0, or what it says otherwise. */
static int wait_end(struct ipc__thread *record, ipc_deadline deadline)
{
    uint32_t state;
    while ((state = load_acquire(&record->state)) < IPC__THREAD_ENDED) {
        if (ipc_time_left(deadline) == 0)
            return ipc__fail(deadline == IPC_TIME_NOW ? -EAGAIN : -ETIMEDOUT,
                             "%s is running", record->name);
        if (waits_for_us(state))
            return ipc__fail(-EDEADLK, "%s has called exit() and waits for %s",
                             record->name, ipc__context_record()->name);
        (void)ipc__futex_wait(&record->state, state, deadline);
    }
    return 0;
}

int ipc__thread_join(struct ipc__thread *record, ipc_deadline deadline)
{
    if (is_self(record))
        return ipc__fail(-EDEADLK, "%s cannot join itself", record->name);
    const int rc = wait_end(record, deadline);
    if (rc == 0 && record->kind == IPC__THREAD_STARTED)
        ipc__thread_reap(record);
    return rc;
}

/* The record of a started thread that this process may ask about, or why
 * not. */
static int get_record(const ipc_thread *thread, struct ipc__thread **out)
{
    if (thread->state_ != IPC__THREAD_READY)
        return ipc__fail(-EINVAL, "the thread was not init'ed");
    struct ipc__thread *record = thread->record_;
    if (record == NULL)
        return ipc__fail(-EINVAL, "%s was not started",
                         thread->name_[0] != '\0' ? thread->name_
                                                  : "the thread");
    if (!ipc__thread_is_ours(record))
        return ipc__fail(-ECHILD, "%s is a thread of another process",
                         thread->name_);
    *out = record;
    return 0;
}

static int fail_stranger(const struct ipc__thread *record)
{
    return ipc__fail(-EINVAL, "%s was not started by ipc_thread_start()",
                     record->name);
}

int ipc__thread_look(const ipc_thread *thread, struct ipc__look *look)
{
    struct ipc__thread *record = NULL;
    const int rc = get_record(thread, &record);
    if (rc != 0)
        return rc;
    if (record->kind != IPC__THREAD_STARTED && record->kind != IPC__THREAD_MAIN)
        return fail_stranger(record);
    const uint32_t state = load_acquire(&record->state); /* [end→join] */
    ipc__look_add(look, &record->state, state);
    return state >= IPC__THREAD_ENDED;
}

static int join(const ipc_thread *thread, ipc_deadline deadline)
{
    struct ipc__thread *record = NULL;
    const int rc = get_record(thread, &record);
    if (rc != 0)
        return rc;
    if (record->kind != IPC__THREAD_STARTED && record->kind != IPC__THREAD_MAIN)
        return fail_stranger(record);
    return ipc__thread_join(record, deadline);
}

int ipc_thread_join(ipc_thread *thread)
{
    return join(thread, IPC_TIME_FOREVER);
}

int ipc_thread_join_nowait(ipc_thread *thread)
{
    return join(thread, IPC_TIME_NOW);
}

int ipc_thread_join_until(ipc_thread *thread, ipc_deadline deadline)
{
    return join(thread, deadline > 0 ? deadline : 1);
}

bool ipc_thread_is_alive(ipc_thread *thread)
{
    struct ipc__thread *record = NULL;
    return get_record(thread, &record) == 0 &&
           load_acquire(&record->state) < IPC__THREAD_ENDED;
}

int ipc_thread_exitcode(ipc_thread *thread, int *out)
{
    struct ipc__thread *record = NULL;
    int rc = get_record(thread, &record);
    if (rc != 0)
        return rc;
    if (record->kind != IPC__THREAD_STARTED)
        return fail_stranger(record);
    rc = ipc__thread_join(record, IPC_TIME_NOW);
    if (rc != 0)
        return ipc__fail(-EAGAIN, "%s is running", record->name);
    *out = record->exitcode;
    return 0;
}

/* ---- ask ---- */

uint64_t ipc_thread_ident(const ipc_thread *thread)
{
    return thread->record_ != NULL ? thread->record_->ident : 0;
}

/* The thread tells it as one of its first acts. */
int ipc_thread_native_id(const ipc_thread *thread)
{
    struct ipc__thread *record = thread->record_;
    if (record == NULL)
        return 0;
    uint32_t tid;
    while ((tid = load_acquire(&record->tid)) == IPC__TID_UNKNOWN ||
           tid == IPC__TID_AWAITED) {
        if (!ipc__thread_is_ours(record))
            return 0;
        if (tid == IPC__TID_AWAITED ||
            cas32_acquire(&record->tid, IPC__TID_UNKNOWN, IPC__TID_AWAITED))
            (void)ipc__futex_wait(&record->tid, IPC__TID_AWAITED,
                                  IPC_TIME_FOREVER);
    }
    return (int)tid;
}

const char *ipc_thread_name(const ipc_thread *thread)
{
    return thread->name_;
}

bool ipc_thread_is_daemon(const ipc_thread *thread)
{
    return thread->options_.daemon;
}

/* The object lets go of a thread that has ended. */
static void close_record(struct ipc__thread *record)
{
    struct ipc__threads *threads = &ipc__the_threads;
    ipc__thread_reap(record);
    ipc__private_lock(&threads->lock);
    record->holders++;
    record->closed = true;
    ipc__private_unlock(&threads->lock);
    ipc__thread_let_go(record);
}

int ipc_thread_close(ipc_thread *thread)
{
    struct ipc__thread *record = thread->record_;
    if (thread->state_ != IPC__THREAD_READY)
        return 0;
    if (record != NULL && record->kind != IPC__THREAD_STARTED)
        return fail_stranger(record);
    if (record != NULL && !ipc__thread_is_ours(record)) {
        free(record); /* a copy: those who held it are not here */
    } else if (record != NULL) {
        if (load_acquire(&record->state) < IPC__THREAD_ENDED)
            return ipc__fail(-EBUSY, "%s is running", record->name);
        ipc__forget(thread);
        close_record(record);
    }
    free(thread->arg_copy_);
    memset(thread, 0, sizeof *thread);
    return 0;
}
