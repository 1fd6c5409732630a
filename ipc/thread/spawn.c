/* Starting a thread, and what it does first and last.
 *
 * Order
 *   [starter→thread]  by pthread_create().
 *   [setup→starter]   setup_error is stored before is_set_up, with release.
 *   [end→join]        the thread's last store to its record is state, with
 *                     release; who finds ENDED loads it with acquire. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/error.h"
#include "core/private_lock.h"
#include "thread/internal.h"
#include "thread/placement.h"

#define PATIENCE_NS ((int64_t)100 * 1000 * 1000)

/* ---- the new thread ---- */

/* Its number, for those who ask, see ipc_thread_native_id(). */
static void announce(struct ipc__thread *record)
{
    if (!cas32_release(&record->tid, IPC__TID_UNKNOWN, (uint32_t)gettid())) {
        store_release(&record->tid, (uint32_t)gettid());
        ipc__futex_wake(&record->tid, INT_MAX);
    }
}

static int set_up(struct ipc__thread *record)
{
    const ipc_thread_options *options = record->setup;
    if (options == NULL)
        return 0;
    int rc = ipc__run_on_cpus(options->cpus, options->cpu_count);
    if (rc == 0)
        rc = ipc__add_nice(options->nice);
    record->setup_error = rc;
    store_release(&record->is_set_up, 1); /* [setup→starter] */
    ipc__futex_wake(&record->is_set_up, INT_MAX);
    return rc;
}

static int run(const struct ipc__thread *record)
{
    const ipc_thread_ops *ops = record->ops;
    ipc_thread *self = record->object;
    if (ops == NULL)
        return record->target(record->arg);
    int code = ops->on_start != NULL ? ops->on_start(self) : 0;
    if (code == 0) {
        code = ops->run(self);
        if (ops->on_exit != NULL)
            ops->on_exit(self, code);
    }
    return code;
}

/* However run() was left: where there was no memory to have the end noticed
 * by context.c, this is it. */
static void leave(void *armed)
{
    struct ipc__thread *record = ipc__context_record();
    if (armed != NULL || record == NULL)
        return;
    (void)ipc__values_end(true);
    ipc__context.record = NULL;
    ipc__thread_end(record);
}

/* In a child that the target has forked, and in which it has returned, the
 * record is another process's, and perhaps closed by now. */
static void note_result(struct ipc__thread *record, int exitcode)
{
    if (ipc__context_record() != record)
        return;
    record->exitcode = exitcode;
    record->returned = true;
}

static void call_target(struct ipc__thread *record, void *armed)
{
    pthread_cleanup_push(leave, armed);
    note_result(record, run(record));
    pthread_cleanup_pop(1);
}

static void *thread_main(void *arg)
{
    struct ipc__thread *record = arg;
    record->handle = pthread_self();
    ipc__context.process = record->process;
    ipc__context.record = record;
    void *armed = ipc__context_arm() == 0 ? record : NULL;
    (void)prctl(PR_SET_NAME, record->name);
    announce(record);
    if (set_up(record) == 0)
        call_target(record, armed);
    else
        leave(armed);
    return NULL;
}

/* ---- the starter ---- */

static int make_attributes(pthread_attr_t *attributes, size_t stack_bytes)
{
    if (pthread_attr_init(attributes) != 0)
        return ipc__fail(-ENOMEM, "no memory to start a thread");
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (stack_bytes == 0 || (stack_bytes <= SIZE_MAX - page &&
                             pthread_attr_setstacksize(
                                 attributes, round_up(stack_bytes, page)) == 0))
        return 0;
    (void)pthread_attr_destroy(attributes);
    return ipc__fail(-EINVAL, "a stack of %zu bytes", stack_bytes);
}

int ipc__thread_spawn(struct ipc__threads *threads, struct ipc__thread *record,
                      size_t stack_bytes)
{
    pthread_attr_t attributes;
    pthread_t handle;
    int rc = make_attributes(&attributes, stack_bytes);
    if (rc != 0)
        return rc;
    if (record->kind == IPC__THREAD_HELPER)
        (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    /* With the lock, so that nobody finds it in the list before it exists. */
    ipc__private_lock(&threads->lock);
    if (record->name[0] == '\0') {
        snprintf(record->name, sizeof record->name, "Thread-%u",
                 ++threads->named);
        memcpy(record->object->name_, record->name, sizeof record->name);
    }
    record->process = ipc__process_number();
    record->ident = IPC__THREAD_IDENT_MAIN + ++threads->idents;
    const int error = pthread_create(&handle, &attributes, thread_main, record);
    if (error == 0)
        ipc__threads_add(threads, record);
    ipc__private_unlock(&threads->lock);
    (void)pthread_attr_destroy(&attributes);
    if (error == 0)
        return 0;
    return ipc__fail(-error, "cannot start %s: %s", record->name,
                     strerrordesc_np(error));
}

int ipc__thread_patiently(int (*attempt)(void *arg), void *arg)
{
    const ipc_deadline deadline = ipc_after_ns(PATIENCE_NS);
    int64_t pause_ms = 1;
    int rc;
    while ((rc = attempt(arg)) == -EAGAIN && ipc_time_left(deadline) > 0) {
        ipc_sleep_until(ipc_after_ms(pause_ms));
        pause_ms *= 2;
    }
    return rc;
}

/* Wait until it has set itself up.  0, or what it failed with, and then it has
 * ended. */
static int await_setup(struct ipc__thread *record)
{
    while (!load_acquire(&record->is_set_up))
        (void)ipc__futex_wait(&record->is_set_up, 0, IPC_TIME_FOREVER);
    const int rc = record->setup_error;
    if (rc == 0)
        return 0;
    (void)ipc__thread_join(record, IPC_TIME_FOREVER);
    return ipc__fail(rc, "%s could not be set up: %s", record->name,
                     strerrordesc_np(-rc));
}

static struct ipc__thread *new_record(ipc_thread *thread)
{
    struct ipc__thread *record = calloc(1, sizeof *record);
    if (record == NULL)
        return NULL;
    const ipc_thread_options *options = &thread->options_;
    record->kind = IPC__THREAD_STARTED;
    record->object = thread;
    record->ops = thread->ops_;
    record->target = thread->target_;
    record->arg = thread->arg_;
    record->daemon = options->daemon;
    memcpy(record->name, thread->name_, sizeof record->name);
    if (options->cpu_count != 0 || options->nice != 0)
        record->setup = options;
    return record;
}

struct attempt {
    struct ipc__threads *threads;
    struct ipc__thread *record;
};

static int attempt_start(void *arg)
{
    const struct attempt *attempt = arg;
    return ipc__thread_spawn(attempt->threads, attempt->record,
                             attempt->record->object->options_.stack_bytes);
}

int ipc_thread_start(ipc_thread *thread)
{
    struct attempt attempt = {NULL, NULL};
    if (thread->state_ != IPC__THREAD_READY)
        return ipc__fail(-EINVAL, "the thread was not init'ed");
    if (thread->record_ != NULL)
        return ipc__fail(-EALREADY, "%s was started", thread->name_);
    if (thread->error_ != 0)
        return ipc__fail(thread->error_, "the thread's init had failed");
    int rc = ipc__threads_begin(&attempt.threads);
    if (rc != 0)
        return rc;
    struct ipc__thread *record = new_record(thread);
    if (record == NULL)
        return ipc__fail(-ENOMEM, "no memory to start a thread");

    const bool has_setup = record->setup != NULL;
    attempt.record = record;
    thread->record_ = record; /* before: the thread may use its object */
    rc = ipc__thread_patiently(attempt_start, &attempt);
    if (rc == 0 && has_setup) /* else it may be closed by now */
        rc = await_setup(record);
    if (rc != 0) {
        thread->record_ = NULL;
        free(record);
    }
    return rc;
}
