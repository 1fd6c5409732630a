/* Once: an owner word held while the function runs, and whether it is done.
 *
 * State
 *   word_   who is doing it; see core/owner.h
 *   done_   0, or 1 once it is done; written by the owner
 *
 * Order
 *   [done→run]  what the function did is seen by those who find done_ set:
 *   store with release against loads with acquire.
 *
 * Death
 *   before done_   the next one finds a dead owner, and does it again;
 *   after it       it is done; the word is freed by the next who looks at it,
 *                  which nobody needs to. */
#include <errno.h>
#include <stddef.h>

#include <ipc/once.h>

#include "base/bits.h"
#include "core/check.h"
#include "core/error.h"
#include "core/owner.h"

#define DONE 1u

_Static_assert(sizeof(ipc_once) == 64, "once layout");
_Static_assert(offsetof(ipc_once, label_) == offsetof(struct ipc__owned, label),
               "once layout");

static int fail_once(ipc_once *once, int error, uint64_t word)
{
    char name[24];
    int32_t pid;
    switch (error) {
    case -EAGAIN:
    case -ETIMEDOUT:
        ipc__peer_describe(once, word, &pid, name);
        return ipc__fail(error, "pid %d is at it", (int)pid);
    case -EDEADLK:
        return (word & IPC__OWNER_MASK) == ipc__self.id
                   ? ipc__fail(error, "called from within its own function")
                   : error; /* the check said which circle */
    case -ENOTRECOVERABLE:
    case -EUCLEAN:
        return ipc__fail(-EUCLEAN, "once %p holds what nobody wrote",
                         (void *)once);
    default:
        return error;
    }
}

static void release(ipc_once *once)
{
    if (!cas64_release(&once->word_, ipc__self.id, 0))
        ipc__owner_release_waking(&once->word_); /* [release→acquire] */
}

static SLOW_PATH int run(ipc_once *once, int (*fn)(void *arg), void *arg,
                         ipc_deadline deadline)
{
    uint64_t seen = 0;
    if (load_relaxed(&once->done_) > DONE)
        return fail_once(once, -EUCLEAN, seen);
    int rc = ipc__self_is_ready(once) ? 0 : ipc__self_register(once);
    if (rc != 0)
        return rc;
    const int held =
        ipc__owner_acquire(&once->word_, &once->since_ns_, deadline, &seen);
    ipc__pending_clear();
    if (held < 0)
        return fail_once(once, held, seen);
    store_relaxed(&once->since_ns_, 0);
    if (load_acquire(&once->done_) == DONE) { /* by who died or left */
        release(once);
        return 0;
    }
    rc = fn(arg);
    if (rc >= 0)
        store_release(&once->done_, DONE); /* [done→run] */
    release(once);
    return rc < 0 ? rc : held;
}

static inline int run_form(ipc_once *once, int (*fn)(void *arg), void *arg,
                           ipc_deadline deadline)
{
    return likely(load_acquire(&once->done_) == DONE) /* [done→run] */
               ? 0
               : run(once, fn, arg, deadline);
}

int ipc_once_run(ipc_once *once, int (*fn)(void *arg), void *arg)
{
    return run_form(once, fn, arg, IPC_TIME_FOREVER);
}

int ipc_once_run_nowait(ipc_once *once, int (*fn)(void *arg), void *arg)
{
    return run_form(once, fn, arg, IPC_TIME_NOW);
}

int ipc_once_run_until(ipc_once *once, int (*fn)(void *arg), void *arg,
                       ipc_deadline deadline)
{
    return run_form(once, fn, arg, deadline > 0 ? deadline : 1);
}

bool ipc_once_is_done(const ipc_once *once)
{
    return load_acquire(&once->done_) == DONE;
}

int ipc_once_reset(ipc_once *once)
{
    const uint64_t word = load_relaxed(&once->word_);
    struct ipc__peer peer = {.dead = true};
    if ((uint32_t)word != 0)
        ipc__peer_look(once, word, true, &peer);
    if (!peer.dead)
        return fail_once(once, -EAGAIN, word), -EBUSY;
    store_release(&once->done_, 0);
    return 0;
}
