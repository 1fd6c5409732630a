/* Futures: waiting for one, and what it has come to.
 *
 * Who waits sets the mark in the word (see future_state.c) and sleeps on it; on
 * the life of who runs it too, if that is not a worker.  A worker that would
 * wait for a task which nobody has begun runs that one itself, unless the wait
 * may end before and another worker is free for it: so no worker is asleep for
 * good while what it waits for is in line and nobody comes for it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <ipc/error.h>

#include "base/bits.h"
#include "base/options.h"
#include "core/error.h"
#include "core/waiting.h"
#include "pool/callback.h"
#include "pool/death.h"
#include "pool/future.h"
#include "pool/worker.h"
#include "wait/fd.h"
#include "wait/look.h"

/* ---- waiting ---- */

static int fail_wait(ipc_future *future, int error)
{
    if (error == -EAGAIN || error == -ETIMEDOUT)
        return ipc__fail(error, "the future is %s",
                         ipc_future_running(future) ? "running" : "pending");
    return ipc__fail(error, "a task waits for itself");
}

/* There is nothing to wait for, or somebody else has to be seen to first: 1,
 * look again.  0: sleep.  Negative: why not. */
static int before_sleep(ipc_future *future, uint32_t word,
                        ipc_deadline deadline, bool insists)
{
    if (likely(ipc__task == NULL))
        return 0;
    if (ipc__future_is_own(future))
        return -EDEADLK;
    return ipc__future_state(word) == IPC__PENDING &&
           ipc__worker_stand_in(future, deadline, insists);
}

static void sleep_once(ipc_future *future, uint32_t word,
                       struct ipc__pace *pace, bool *thorough,
                       ipc_deadline deadline)
{
    struct ipc__peer runner;
    if (!ipc__future_mark(future, &word) ||
        ipc__future_look(future, word, *thorough, &runner))
        return;
    *thorough = ipc__sleep(pace, &future->state, word, runner.life,
                           runner.life_if_alive, deadline);
}

int ipc__future_await(ipc_future *future, ipc_deadline deadline)
{
    struct ipc__pace pace = {0};
    bool thorough = false;
    bool spun = false;

    for (;;) {
        const uint32_t word = load_acquire(&future->state);
        if (ipc__future_is_final(word))
            return 0; /* [complete→wait] */
        if (ipc__future_state(word) < IPC__PENDING)
            return ipc__fail(-EINVAL, "the future was freed");
        if (deadline == IPC_TIME_NOW)
            return fail_wait(future, -EAGAIN);
        const int rc = before_sleep(future, word, deadline,
                                    deadline == IPC_TIME_FOREVER || thorough);
        if (rc < 0)
            return fail_wait(future, rc);
        if (rc > 0)
            continue;
        if (!spun) {
            spun = true;
            if (ipc__spin(&future->state, word))
                continue;
        }
        if (ipc_time_left(deadline) == 0)
            return fail_wait(future, -ETIMEDOUT);
        sleep_once(future, word, &pace, &thorough, deadline);
    }
}

static int wait_form(ipc_future *future, ipc_deadline deadline)
{
    const int rc = ipc__future_check(future);
    return rc != 0 ? rc : ipc__future_await(future, deadline);
}

int ipc_future_wait(ipc_future *future)
{
    return wait_form(future, IPC_TIME_FOREVER);
}

int ipc_future_wait_nowait(ipc_future *future)
{
    return wait_form(future, IPC_TIME_NOW);
}

/* IPC_TIME_NOW would be answered with -EAGAIN. */
static ipc_deadline until(ipc_deadline deadline)
{
    return deadline > 0 ? deadline : 1;
}

int ipc_future_wait_until(ipc_future *future, ipc_deadline deadline)
{
    return wait_form(future, until(deadline));
}

/* One that is no future, or that the caller runs itself, is ready: its own call
 * says why. */
int ipc__future_look_for(ipc_future *future, struct ipc__look *look)
{
    struct ipc__peer runner;
    uint32_t word;
    do {
        if (ipc__future_check(future) != 0)
            return 1;
        word = load_acquire(&future->state); /* [complete→wait] */
        if (ipc__future_is_final(word))
            return 1;
        if (!look->on_behalf && !look->is_first &&
            before_sleep(future, word, look->deadline, look->thorough) != 0)
            return 1;
        if (!look->marks)
            return 0;
    } while (!ipc__future_mark(future, &word));
    if (ipc__future_look(future, word, look->thorough, &runner))
        return 1;
    ipc__look_add(look, &future->state, word);
    ipc__look_add_life(look, runner.life, runner.life_if_alive);
    return 0;
}

bool ipc_future_done(const ipc_future *future)
{
    return ipc__future_is_final(load_acquire(&future->state));
}

bool ipc_future_running(const ipc_future *future)
{
    return ipc__future_state(load_acquire(&future->state)) == IPC__RUNNING;
}

bool ipc_future_cancelled(const ipc_future *future)
{
    const enum ipc__future_state state =
        ipc__future_state(load_acquire(&future->state));
    return state == IPC__CANCELLED ||
           (state == IPC__FAILED &&
            ipc__future_kind(future) == IPC_EXCEPTION_CANCELLED);
}

/* ---- what went wrong ---- */

static const char *own_message(ipc_future *future)
{
    const char *text = ipc__future_data(future);
    return text != NULL ? text : "";
}

static void describe_death(const ipc_future *future, char *out, size_t size)
{
    if (future->pool == NULL) {
        snprintf(out, size, "the thread that had begun it has died (pid %d)",
                 future->pid);
        return;
    }
    const struct ipc__death death = ipc__death_of(future);
    char how[96];
    ipc__death_describe(&death, how, sizeof how);
    snprintf(out, size, "worker %d %s while it ran this task", future->pid,
             how);
}

static void describe_break(const ipc_future *future, char *out, size_t size)
{
    const char *reason =
        future->pool != NULL ? ipc__pool_reason(future->pool) : "";
    if (reason[0] != '\0')
        snprintf(out, size, "its pool is broken: %s", reason);
    else
        snprintf(out, size, "the maker of its pool has died");
}

static void describe(ipc_future *future, uint32_t kind, char *out, size_t size)
{
    const char *text = own_message(future);
    if (text[0] != '\0')
        snprintf(out, size, "%s", text);
    else if (kind == IPC_EXCEPTION_DIED)
        describe_death(future, out, size);
    else if (kind == IPC_EXCEPTION_CANCELLED)
        snprintf(out, size, "cancelled while it ran");
    else if (kind == IPC_EXCEPTION_DEADLINE)
        snprintf(out, size, "its time was up");
    else if (kind == IPC_EXCEPTION_BROKEN)
        describe_break(future, out, size);
    else
        snprintf(out, size, "%s", ipc_strerror(future->status));
}

/* Of a FAILED one: status.  It is negative, or somebody has written it who
 * should not. */
static int status_of(const ipc_future *future)
{
    return future->status < 0 ? future->status : -EUCLEAN;
}

/* The error of a final one that has no result, with the detail line. */
static SLOW_PATH int fail_as_it_did(ipc_future *future)
{
    char text[sizeof((ipc_exception *)0)->message];
    if (ipc__future_state(load_acquire(&future->state)) == IPC__CANCELLED)
        return ipc__fail(-ECANCELED, "the future was cancelled");
    const uint32_t kind = ipc__future_kind(future);
    describe(future, kind, text, sizeof text);
    return ipc__fail(status_of(future), "task failed: %s", text);
}

/* Begun and not finished by those who died, and once more. */
static uint32_t attempts_of(const ipc_future *future)
{
    const bool finished_itself = future->kind == IPC_EXCEPTION_FAILED ||
                                 (future->kind & IPC__BY_ITSELF) != 0;
    const uint32_t attempts = future->attempts;
    return future->pool != NULL && finished_itself ? attempts + 1 : attempts;
}

static void fill_failure(ipc_future *future, ipc_exception *out)
{
    out->kind = ipc__future_kind(future);
    out->status = status_of(future);
    out->pid = future->pid;
    out->attempts = attempts_of(future);
    if (out->kind == IPC_EXCEPTION_DIED) {
        out->signal = future->signal;
        out->exitcode = future->exitcode;
        out->core = future->core != 0;
        out->maybe_oom = future->maybe_oom != 0;
    }
    describe(future, out->kind, out->message, sizeof out->message);
}

int ipc_future_exception(ipc_future *future, ipc_exception *out,
                         ipc_deadline deadline)
{
    ipc_exception found = {.size = sizeof found};
    const int rc = wait_form(future, deadline);
    if (rc != 0)
        return rc;
    switch (ipc__future_state(load_acquire(&future->state))) {
    case IPC__DONE:
        if (future->pool != NULL)
            found.attempts = (uint32_t)future->attempts + 1;
        break;
    case IPC__CANCELLED:
        found.kind = IPC_EXCEPTION_CANCELLED;
        found.status = -ECANCELED;
        found.attempts = future->attempts;
        snprintf(found.message, sizeof found.message,
                 "cancelled before it was begun");
        break;
    default:
        fill_failure(future, &found);
    }
    return ipc__info_write(out, &found, sizeof found) == 0
               ? 0
               : ipc__fail(-EINVAL, "the structure's size is %u", out->size);
}

/* ---- the result ---- */

static inline bool has_result(const ipc_future *future)
{
    return likely(future->magic == IPC__FUTURE_MAGIC) &&
           likely(ipc__future_state(load_acquire(&future->state)) ==
                  IPC__DONE); /* [complete→wait] */
}

static int copy_out(ipc_future *future, void *buffer, size_t room,
                    size_t *bytes)
{
    const size_t n = future->result_bytes;
    if (bytes != NULL)
        *bytes = n;
    if (unlikely(n > (buffer != NULL ? room : 0)))
        return ipc__fail(-EMSGSIZE, "a result of %zu bytes, room for %zu", n,
                         room);
    if (n != 0)
        memcpy(buffer, ipc__future_data(future), n);
    return 0;
}

/* 0: it has a result. */
static SLOW_PATH int wait_for_result(ipc_future *future, ipc_deadline deadline)
{
    const int rc = wait_form(future, deadline);
    return rc != 0 || has_result(future) ? rc : fail_as_it_did(future);
}

static inline int result_form(ipc_future *future, void *buffer, size_t room,
                              size_t *bytes, ipc_deadline deadline)
{
    if (!has_result(future)) {
        const int rc = wait_for_result(future, deadline);
        if (rc != 0)
            return rc;
    }
    return copy_out(future, buffer, room, bytes);
}

int ipc_future_result(ipc_future *future, void *buffer, size_t room,
                      size_t *bytes)
{
    return result_form(future, buffer, room, bytes, IPC_TIME_FOREVER);
}

int ipc_future_result_nowait(ipc_future *future, void *buffer, size_t room,
                             size_t *bytes)
{
    return result_form(future, buffer, room, bytes, IPC_TIME_NOW);
}

int ipc_future_result_until(ipc_future *future, void *buffer, size_t room,
                            size_t *bytes, ipc_deadline deadline)
{
    return result_form(future, buffer, room, bytes, until(deadline));
}

int ipc_future_borrow(ipc_future *future, const void **data, size_t *bytes,
                      ipc_deadline deadline)
{
    if (!has_result(future)) {
        const int rc = wait_for_result(future, deadline);
        if (rc != 0)
            return rc;
    }
    *data = ipc__future_data(future);
    if (bytes != NULL)
        *bytes = future->result_bytes;
    return 0;
}

/* ---- not wanted any more ---- */

/* 0: it was cancelled, now or before; -EALREADY; -EBUSY it runs. */
static int cancel(ipc_future *future)
{
    for (;;) {
        const uint32_t word = load_acquire(&future->state);
        switch (ipc__future_state(word)) {
        case IPC__PENDING:
            if (ipc__future_cancel_pending(future)) {
                if ((word & IPC__ABANDONED) != 0)
                    (void)ipc__future_dispose(future);
                return 0;
            }
            break;
        case IPC__RUNNING:
            return -EBUSY;
        default:
            return ipc_future_cancelled(future)
                       ? 0
                       : ipc__fail(-EALREADY, "the future is done");
        }
    }
}

int ipc_future_cancel(ipc_future *future)
{
    int rc = ipc__future_check(future);
    if (rc == 0)
        rc = cancel(future);
    return rc == -EBUSY ? ipc__fail(rc, "the future is running") : rc;
}

int ipc_future_terminate(ipc_future *future, int64_t grace_ns)
{
    int rc = ipc__future_check(future);
    if (rc == 0)
        rc = cancel(future);
    if (rc != -EBUSY)
        return rc;
    if (future->pool == NULL)
        return ipc__fail(-ENOTSUP, "a promise that runs cannot be terminated");
    if (grace_ns < 0)
        grace_ns = 0;
    if ((load_relaxed(&future->state) & IPC__TERMINATE) == 0 ||
        grace_ns < load_relaxed(&future->grace_ns))
        store_relaxed(&future->grace_ns, grace_ns);
    if (!ipc__future_set_flag(future, IPC__TERMINATE))
        return ipc__fail(-EALREADY, "the future is done");
    ipc__pool_ring(future->pool);
    return 0;
}

/* ---- letting go ---- */

static bool has_sleepers(ipc_future *future, uint32_t word)
{
    return (word & IPC__SLEEPERS) != 0 &&
           ipc__futex_sleepers(&future->state, word) > 0;
}

/* 0: somebody else frees it when it is done; 1: it is final; negative. */
static int abandon(ipc_future *future)
{
    for (;;) {
        const uint32_t word = load_acquire(&future->state);
        if ((word & IPC__ABANDONED) != 0 ||
            ipc__future_state(word) == IPC__WRITING ||
            (ipc__future_state(word) == IPC__FREE && future->pool != NULL))
            return ipc__fail(-EINVAL, "the future was freed");
        if (ipc__future_is_final(word) || ipc__future_state(word) == IPC__FREE)
            return 1;
        if (has_sleepers(future, word))
            return ipc__fail(-EBUSY, "somebody waits for the future");
        if (cas32_release(&future->state, word, word | IPC__ABANDONED))
            return 0;
    }
}

int ipc_future_free(ipc_future *future)
{
    if (future == NULL)
        return 0;
    if (future->magic != IPC__FUTURE_MAGIC)
        return ipc__fail(-EINVAL, "this is no future, or was freed");
    int rc = ipc__callbacks_let_go(future);
    if (rc < 0)
        return ipc__fail(rc, "the future was freed");
    ipc__forget(future);
    if (rc > 0)
        return 0; /* after its callbacks */
    rc = abandon(future);
    return rc == 1 ? ipc__future_dispose(future) : rc;
}
