/* Promises: futures that the program completes.
 *
 * A promise is one allocation of the family: its record, and behind it room for
 * its result or for a message.
 *
 * Who completes one that was not begun begins it first, so it is RUNNING while
 * its result is written, and runner says whose it is: see future_state.c.  So
 * whoever dies wherever leaves it pending, complete, or to be found by those
 * who wait. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "core/error.h"
#include "memory/shared.h"
#include "pool/future.h"

int ipc_promise_new(size_t bytes, ipc_future **out)
{
    void *memory;
    if (bytes > IPC__RESULT_MAX)
        return ipc__fail(-EINVAL, "a promise of %zu bytes: 1 GiB at most",
                         bytes);
    const size_t room = bytes > IPC__PROMISE_ROOM ? bytes : IPC__PROMISE_ROOM;
    const int rc = ipc__shared_alloc(sizeof(struct ipc_future) + room, &memory);
    if (rc != 0)
        return rc;
    struct ipc_future *promise = memory;
    promise->room = (uint32_t)room;
    promise->promised = (uint32_t)bytes;
    promise->client = IPC__NO_CLIENT;
    promise->magic = IPC__FUTURE_MAGIC;
    store_release(&promise->state, IPC__PENDING);
    *out = promise;
    return 0;
}

static int check(const ipc_future *promise)
{
    const int rc = ipc__future_check(promise);
    if (rc == 0 && promise->pool != NULL)
        return ipc__fail(-EINVAL, "the future is a pool's");
    return rc;
}

static int fail_claim(int error)
{
    return error == -ECANCELED ? ipc__fail(error, "the promise was cancelled")
           : error == -EALREADY
               ? ipc__fail(error, "the promise %s", "runs, or is done")
               : error;
}

int ipc_promise_begin(ipc_future *promise)
{
    int rc = check(promise);
    if (rc == 0)
        rc = ipc__future_claim(promise, true);
    if (rc != 0)
        return fail_claim(rc);
    promise->attempts = 1;
    promise->pid = ipc__self.pid;
    return 0;
}

/* Has the calling thread begun it? */
static bool is_mine(const ipc_future *promise)
{
    return ipc__self_is_known() &&
           load_relaxed(&promise->runner) == ipc__self.id;
}

/* Have it run by the caller. */
static int take(ipc_future *promise)
{
    const uint32_t word = load_acquire(&promise->state);
    if (ipc__future_state(word) == IPC__PENDING) {
        const int rc = ipc__future_claim(promise, false);
        if (rc != -EALREADY)
            return rc != 0 ? fail_claim(rc) : 0;
    }
    switch (ipc__future_state(load_acquire(&promise->state))) {
    case IPC__PENDING: /* in a moment */
    case IPC__RUNNING:
        return is_mine(promise)
                   ? 0
                   : ipc__fail(-EPERM, "another thread has begun the promise");
    case IPC__CANCELLED:
        return fail_claim(-ECANCELED);
    default:
        return ipc__fail(-EALREADY, "the promise is done");
    }
}

static void complete(ipc_future *promise, enum ipc__future_state state)
{
    promise->attempts = 1;
    promise->pid = ipc__self.pid;
    if ((ipc__future_complete(promise, state) & IPC__ABANDONED) != 0)
        (void)ipc__future_dispose(promise);
}

int ipc_promise_set_result(ipc_future *promise, const void *data, size_t bytes)
{
    int rc = check(promise);
    if (rc == 0 && bytes != 0 && data == NULL)
        return ipc__fail(-EINVAL, "a result of %zu bytes at NULL", bytes);
    if (rc == 0 && bytes > promise->promised)
        return ipc__fail(-EMSGSIZE, "a result of %zu bytes, %u were promised",
                         bytes, promise->promised);
    if (rc == 0)
        rc = take(promise);
    if (rc == 0)
        rc = ipc__future_make_room(promise, bytes);
    if (rc != 0)
        return rc;
    if (bytes != 0)
        memcpy(ipc__future_data(promise), data, bytes);
    complete(promise, IPC__DONE);
    return 0;
}

int ipc_promise_set_exception(ipc_future *promise, int status,
                              const char *message)
{
    int rc = check(promise);
    if (rc == 0 && status >= 0)
        return ipc__fail(-EINVAL, "a failure with status %d", status);
    if (rc == 0)
        rc = take(promise);
    if (rc != 0)
        return rc;
    ipc__future_blame(promise, IPC_EXCEPTION_FAILED, status, message);
    complete(promise, IPC__FAILED);
    return 0;
}
