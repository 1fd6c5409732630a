/* RLock: a lock and how often its owner holds it.
 *
 * State
 *   lock_   see lock.c
 *   depth_  written by the owner only: 1 after it has acquired, from whatever
 *           a dead owner left; meaningless while the lock is free
 *
 * Death
 *   between acquire and depth_ = 1, or between depth changes, the lock names
 *   a dead owner: the next one starts again at 1.  The last release frees the
 *   lock with depth_ still 1; a stale depth on a free lock hurts nobody. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <ipc/rlock.h>

#include "core/error.h"
#include "core/owner.h"
#include "sync/fair.h"
#include "sync/lock.h"

_Static_assert(sizeof(ipc_rlock) == 128, "rlock layout");
_Static_assert(offsetof(ipc_rlock, depth_) == 64, "rlock layout");

static int deeper(ipc_rlock *rlock)
{
    const uint32_t depth = load_relaxed(&rlock->depth_);
    if (depth == UINT32_MAX)
        return ipc__fail(-EOVERFLOW, "the rlock is held 2^32 - 1 times");
    store_relaxed(&rlock->depth_, depth + 1);
    return 0;
}

/* After an acquire of the lock below: 0 and IPC_OWNER_DIED start at depth 1,
 * -EDEADLK means that it is ours already. */
static inline int acquired(ipc_rlock *rlock, int rc)
{
    if (likely(rc >= 0))
        store_relaxed(&rlock->depth_, 1);
    return rc;
}

/* Ours already?  Looked at first, so that going deeper costs no system call
 * and leaves no error detail behind. */
static inline bool is_mine(const ipc_rlock *rlock)
{
    return ipc__self_is_known() && (load_relaxed(&rlock->lock_.word_) &
                                    IPC__OWNER_MASK) == ipc__self.id;
}

int ipc_rlock_acquire(ipc_rlock *rlock)
{
    if (is_mine(rlock))
        return deeper(rlock);
    return acquired(rlock, ipc_lock_acquire(&rlock->lock_));
}

int ipc_rlock_acquire_nowait(ipc_rlock *rlock)
{
    if (is_mine(rlock))
        return deeper(rlock);
    return acquired(rlock, ipc_lock_acquire_nowait(&rlock->lock_));
}

int ipc_rlock_acquire_until(ipc_rlock *rlock, ipc_deadline deadline)
{
    if (is_mine(rlock))
        return deeper(rlock);
    return acquired(rlock, ipc_lock_acquire_until(&rlock->lock_, deadline));
}

int ipc_rlock_release(ipc_rlock *rlock)
{
    if (unlikely(load_relaxed(&rlock->depth_) > 1) && is_mine(rlock)) {
        store_relaxed(&rlock->depth_, load_relaxed(&rlock->depth_) - 1);
        return 0;
    }
    return ipc_lock_release(&rlock->lock_);
}

int ipc_rlock_acquire_or_repair(ipc_rlock *rlock, ipc_deadline deadline,
                                int (*repair)(void *arg), void *arg)
{
    if (is_mine(rlock))
        return deeper(rlock);
    const int rc =
        acquired(rlock, ipc__lock_acquire_form(&rlock->lock_, deadline));
    return rc == IPC_OWNER_DIED ? ipc__lock_repair(&rlock->lock_, repair, arg)
                                : rc;
}

int ipc_rlock_consistent(ipc_rlock *rlock)
{
    return ipc_lock_consistent(&rlock->lock_);
}

int ipc_rlock_reset(ipc_rlock *rlock)
{
    return ipc_lock_reset(&rlock->lock_);
}

int ipc_rlock_owner(ipc_rlock *rlock, ipc_lock_holder *out)
{
    return ipc_lock_owner(&rlock->lock_, out);
}

bool ipc_rlock_is_mine(const ipc_rlock *rlock)
{
    return is_mine(rlock);
}

bool ipc_rlock_is_held(const ipc_rlock *rlock)
{
    return ipc_lock_is_held(&rlock->lock_);
}

uint32_t ipc_rlock_depth(const ipc_rlock *rlock)
{
    return is_mine(rlock) ? load_relaxed(&rlock->depth_) : 0;
}

/* ---- storage ---- */

size_t ipc_rlock_bytes(uint32_t flags)
{
    return sizeof(ipc_rlock) - sizeof(ipc_lock) + ipc_lock_bytes(flags);
}

static int prepare(ipc_rlock *made, struct ipc__room *room,
                   const ipc_lock_options *options)
{
    return ipc__lock_prepare(&made->lock_, room, sizeof *made, options);
}

static size_t bytes_of(const void *object)
{
    const ipc_rlock *rlock = object;
    return ipc_rlock_bytes(ipc__lock_is_fair(&rlock->lock_) ? IPC_LOCK_FAIR
                                                            : 0);
}

static bool is_held(const void *object)
{
    return ipc_rlock_is_mine(object);
}

static int finish(void *object)
{
    return ipc_rlock_fini(object);
}

int ipc_rlock_fini(ipc_rlock *rlock)
{
    const size_t bytes = bytes_of(rlock);
    const int rc = ipc_lock_fini(&rlock->lock_);
    if (rc == 0)
        ipc__object_wipe(rlock, bytes);
    return rc;
}

IPC__OBJECT_STORAGE(rlock, IPC__REGION_RLOCK, "lock",
                    (const ipc_lock_options *options), (options))
