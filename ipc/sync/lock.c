/* Lock: an owner word with a public face.  What may be killed where is in
 * core/owner.c.  In addition:
 *
 * State
 *   word_      the owner word
 *   since_ns_  0 stored by each new owner, the time stored by the first who
 *              waits for it or asks; for messages only
 *   label_     written by init
 *
 * Death
 *   The owner word is the only commit.  A release that finds OWNER_DIED
 *   (nobody said consistent) gives the lock up, in one step that wakes all
 *   sleepers.  Nothing of the lock is touched after the store that frees
 *   it. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <ipc/lock.h>

#include "base/options.h"
#include "core/error.h"
#include "core/owner.h"
#include "sync/fair.h"
#include "sync/lock.h"
#include "wait/fd.h"

#define NOUN "lock"

_Static_assert(sizeof(ipc_lock) == 64, "lock layout");
_Static_assert(offsetof(ipc_lock, word_) == 0, "lock layout");

/* ---- messages ---- */

static const char *label_of(const ipc_lock *lock, char out[IPC__NAME_BYTES])
{
    return ipc__object_name(NOUN, lock->label_, lock, out);
}

/* Why the lock could not be had, given the word that was in the way. */
static int fail_held(ipc_lock *lock, int error, uint64_t word)
{
    char label[IPC__NAME_BYTES];
    char name[24];
    int32_t pid;
    const int64_t since = load_relaxed(&lock->since_ns_);
    const int64_t held = since > 0 ? ipc_now() - since : 0;

    label_of(lock, label);
    ipc__peer_describe(lock, word, &pid, name);
    return ipc__fail(error, "%s is held by pid %d%s%s%s, thread %u, for %.3f s",
                     label, (int)pid, name[0] != '\0' ? " (" : "", name,
                     name[0] != '\0' ? ")" : "",
                     (unsigned)(word & FUTEX_BITS_TID), (double)held / 1e9);
}

static int fail_acquire(ipc_lock *lock, int error, uint64_t word)
{
    char label[IPC__NAME_BYTES];
    switch (error) {
    case -EAGAIN:
    case -ETIMEDOUT:
        ipc__found_nothing(lock);
        return fail_held(lock, error, word);
    case -EDEADLK:
        if ((word & IPC__OWNER_MASK) != ipc__self.id)
            return error; /* the check said which circle */
        return ipc__fail(error, "%s is held by the calling thread",
                         label_of(lock, label));
    case -ENOTRECOVERABLE:
        return ipc__fail(error,
                         "the owner of %s died and nobody made it consistent",
                         label_of(lock, label));
    case -EUCLEAN:
        return ipc__fail(error, "%s holds 0x%llx, which no owner wrote",
                         label_of(lock, label), (unsigned long long)word);
    default:
        return error; /* registering said why */
    }
}

static int fail_not_mine(const ipc_lock *lock, const char *what)
{
    char label[IPC__NAME_BYTES];
    return ipc__fail(-EPERM, "%s: the calling thread does not hold %s", what,
                     label_of(lock, label));
}

/* ---- acquire and release ---- */

static SLOW_PATH int acquire_slow(ipc_lock *lock, ipc_deadline deadline)
{
    uint64_t seen = 0;
    int rc = ipc__self_is_ready(lock) ? 0 : ipc__self_register(lock);
    if (rc == 0 && ipc__lock_is_fair(lock)) {
        rc = ipc__fair_acquire(lock, deadline, &seen);
    } else if (rc == 0) {
        rc =
            ipc__owner_acquire(&lock->word_, &lock->since_ns_, deadline, &seen);
        ipc__pending_clear();
    }
    if (rc < 0)
        return fail_acquire(lock, rc, seen);
    store_relaxed(&lock->since_ns_, 0);
    return rc;
}

static inline int acquire(ipc_lock *lock, ipc_deadline deadline)
{
    if (ipc__self_is_ready(lock) &&
        ipc__owner_try(&lock->word_, ipc__self.id)) {
        store_relaxed(&lock->since_ns_, 0);
        return 0;
    }
    return acquire_slow(lock, deadline);
}

int ipc_lock_acquire(ipc_lock *lock)
{
    return acquire(lock, IPC_TIME_FOREVER);
}

int ipc_lock_acquire_nowait(ipc_lock *lock)
{
    return acquire(lock, IPC_TIME_NOW);
}

int ipc_lock_acquire_until(ipc_lock *lock, ipc_deadline deadline)
{
    /* IPC_TIME_NOW would be answered with -EAGAIN. */
    return acquire(lock, deadline > 0 ? deadline : 1);
}

static SLOW_PATH int release_slow(ipc_lock *lock)
{
    const uint64_t word = load_relaxed(&lock->word_);
    if (!ipc__self_is_known() || (word & IPC__OWNER_MASK) != ipc__self.id)
        return fail_not_mine(lock, "release");
    if (ipc__lock_is_fair(lock))
        ipc__fair_release(lock);
    else if ((word & FUTEX_BIT_OWNER_DIED) != 0)
        ipc__owner_give_up(&lock->word_);
    else if ((word & FUTEX_BIT_WAITERS) != 0 ||
             !cas64_release(&lock->word_, word, 0)) /* [release→acquire] */
        ipc__owner_release_waking(&lock->word_);
    return 0;
}

int ipc_lock_release(ipc_lock *lock)
{
    if (ipc__self_is_known() &&
        likely(cas64_release(&lock->word_, ipc__self.id, 0)))
        return 0; /* [release→acquire] */
    return release_slow(lock);
}

int ipc_lock_consistent(ipc_lock *lock)
{
    if (!ipc_lock_is_mine(lock))
        return fail_not_mine(lock, "consistent");
    uint64_t word = load_relaxed(&lock->word_);
    if ((word & FUTEX_BIT_OWNER_DIED) == 0)
        return ipc__fail(-EINVAL, "the last owner did not die");
    while (!cas64_relaxed(&lock->word_, word,
                          word & ~(uint64_t)FUTEX_BIT_OWNER_DIED))
        word = load_relaxed(&lock->word_); /* WAITERS was set meanwhile */
    return 0;
}

int ipc_lock_reset(ipc_lock *lock)
{
    const uint64_t word = load_relaxed(&lock->word_);
    if ((uint32_t)word != IPC__GIVEN_UP ||
        !cas64_release(&lock->word_, word, 0))
        return ipc__fail(-EINVAL, "the lock is not in need of a reset");
    return 0;
}

int ipc__lock_acquire_form(ipc_lock *lock, ipc_deadline deadline)
{
    return acquire(lock, deadline > 0 ? deadline : IPC_TIME_NOW);
}

int ipc__lock_repair(ipc_lock *lock, int (*repair)(void *arg), void *arg)
{
    int rc = repair(arg);
    if (rc < 0) {
        (void)ipc_lock_release(lock); /* not consistent: gives it up */
        return ipc__fail(rc, "the repair failed; the lock is given up");
    }
    rc = ipc_lock_consistent(lock);
    return rc < 0 ? rc : IPC_OWNER_DIED;
}

int ipc_lock_acquire_or_repair(ipc_lock *lock, ipc_deadline deadline,
                               int (*repair)(void *arg), void *arg)
{
    const int rc = ipc__lock_acquire_form(lock, deadline);
    return rc == IPC_OWNER_DIED ? ipc__lock_repair(lock, repair, arg) : rc;
}

/* ---- who holds it ---- */

bool ipc_lock_is_mine(const ipc_lock *lock)
{
    return ipc__self_is_known() &&
           (load_relaxed(&lock->word_) & IPC__OWNER_MASK) == ipc__self.id;
}

bool ipc_lock_is_held(const ipc_lock *lock)
{
    const uint32_t low = (uint32_t)load_relaxed(&lock->word_);
    return low != 0 && low != IPC__GIVEN_UP;
}

int ipc_lock_owner(ipc_lock *lock, ipc_lock_holder *out)
{
    const uint64_t word = load_relaxed(&lock->word_);
    const uint32_t low = (uint32_t)word;
    if (low == 0)
        return ipc__fail(-ESRCH, "nobody holds the lock");
    if (low == IPC__GIVEN_UP)
        return fail_acquire(lock, -ENOTRECOVERABLE, word);
    if (!ipc__owner_is_possible(word))
        return fail_acquire(lock, -EUCLEAN, word);

    struct ipc__peer owner;
    char name[24];
    ipc_lock_holder holder = {.size = sizeof holder};
    ipc__peer_look(lock, word, true, &owner);
    ipc__peer_describe(lock, word, &holder.pid, name);
    ipc__owner_note_since(&lock->since_ns_);
    holder.tid = (int32_t)(low & FUTEX_BITS_TID);
    holder.alive = !owner.dead;
    holder.owner_died = (low & FUTEX_BIT_OWNER_DIED) != 0 || owner.dead;
    holder.since_ns = load_relaxed(&lock->since_ns_);
    return ipc__info_write(out, &holder, sizeof holder) == 0
               ? 0
               : ipc__fail(-EINVAL,
                           "a lock holder of a size that is not known");
}

/* ---- storage ---- */

size_t ipc_lock_bytes(uint32_t flags)
{
    return sizeof(ipc_lock) +
           ((flags & IPC_LOCK_FAIR) != 0 ? sizeof(struct ipc__line) : 0);
}

int ipc__lock_prepare(ipc_lock *made, struct ipc__room *room, size_t bytes,
                      const ipc_lock_options *options)
{
    ipc_lock_options given;
    const int rc =
        ipc__object_options(NOUN, &given, sizeof given, options, IPC_LOCK_FAIR);
    if (rc != 0)
        return rc;
    const bool fair = (given.flags & IPC_LOCK_FAIR) != 0;
    room->needed = bytes + (fair ? sizeof(struct ipc__line) : 0);
    room->given = given.bytes;
    made->line_ = fair ? (uint32_t)bytes : 0;
    ipc__object_label(made->label_, given.label);
    return 0;
}

static int prepare(ipc_lock *made, struct ipc__room *room,
                   const ipc_lock_options *options)
{
    return ipc__lock_prepare(made, room, sizeof *made, options);
}

static size_t bytes_of(const void *object)
{
    const ipc_lock *lock = object;
    return ipc_lock_bytes(ipc__lock_is_fair(lock) ? IPC_LOCK_FAIR : 0);
}

static bool is_held(const void *object)
{
    return ipc_lock_is_mine(object);
}

static int finish(void *object)
{
    return ipc_lock_fini(object);
}

int ipc_lock_fini(ipc_lock *lock)
{
    const uint64_t word = load_relaxed(&lock->word_);
    ipc__forget(lock);
    if (ipc_lock_is_held(lock))
        return fail_held(lock, -EBUSY, word);
    ipc__object_wipe(lock, bytes_of(lock));
    return 0;
}

IPC__OBJECT_STORAGE(lock, IPC__REGION_LOCK, NOUN,
                    (const ipc_lock_options *options), (options))
