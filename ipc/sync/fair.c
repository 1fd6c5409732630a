/* Fair locks: an owner word, and a line behind the lock.
 *
 * While somebody waits the word is never free: who releases it writes the
 * first in line into it as its owner, and then calls that one.  While nobody
 * waits the word is an ordinary lock's, and the line is not looked at.
 *
 * State
 *   word_   see core/owner.h.  WAITERS: there may be somebody in the line.
 *           With WAITERS, given to others under the line's guard only
 *   line    see line.c
 *
 * Invariants
 *   1  whoever is in the line has seen WAITERS in the word after it came in;
 *   2  the word names who has the lock; being called only says so sooner.
 *
 * Death
 *   of the owner          as of any lock.  Those in line find it by its life
 *                         word, if they came while it was the owner, or else
 *                         at their re-check; whoever finds it gives the lock
 *                         to the first in line, with OWNER_DIED;
 *   of who hands it over  after the word names the next one, and before that
 *                         one is called: it finds itself in the word at its
 *                         re-check;
 *   of who was handed it  the word names a dead one: as the owner's death. */
#include "sync/fair.h"

#include <errno.h>

#include <ipc/rlock.h>

#include "base/bits.h"
#include "core/check.h"

/* NULL if the lock says what cannot be. */
static struct ipc__line *line_of(ipc_lock *lock)
{
    const uint32_t offset = load_relaxed(&lock->line_);
    if (offset != sizeof(ipc_lock) && offset != sizeof(ipc_rlock))
        return NULL;
    return (struct ipc__line *)(void *)((char *)lock + offset);
}

static bool is_mine(uint64_t word)
{
    return (word & IPC__OWNER_MASK) == ipc__self.id;
}

/* One who waits. */
struct waiter {
    ipc_lock *lock;
    struct ipc__line *line;
    struct ipc__place *place; /* NULL: none yet */
    struct ipc__peer owner;   /* as of the last look */
    struct ipc__pace pace;
    bool thorough;
    uint64_t seen;
};

static void leave(struct waiter *w)
{
    if (w->place != NULL)
        (void)ipc__line_leave(w->place);
    w->place = NULL;
}

/* With the guard.  The owner has died: the first in line has the lock, which
 * may be the caller.  -EAGAIN: look again. */
static int take_over(struct waiter *w, uint64_t now)
{
    struct ipc__place *first = ipc__line_first(w->line, true);
    const bool to_me = first == NULL || first == w->place;
    const uint64_t id = to_me ? ipc__self.id : load_relaxed(&first->owner);
    const uint64_t next =
        (id & IPC__OWNER_MASK) | FUTEX_BIT_OWNER_DIED | FUTEX_BIT_WAITERS;
    if (!cas64_acquire(&w->lock->word_, now, next))
        return -EAGAIN;
    if (!to_me) {
        ipc__line_call(first);
        return -EAGAIN;
    }
    return IPC_OWNER_DIED;
}

/* With the guard: sleep on the life of who stands just before, and not of the
 * owner, unless nobody does: who stands before will be the owner next, and
 * nobody wakes up to look whose life it is then. */
static void watch_who_is_before(struct waiter *w)
{
    struct ipc__peer peer;
    const struct ipc__place *before =
        w->place == NULL ? NULL : ipc__line_before(w->line, w->place);
    if (before == NULL)
        return;
    ipc__peer_look(before, load_relaxed(&before->owner), false, &peer);
    if (!peer.dead)
        w->owner = peer;
}

/* With the guard: be in line, and have that seen.  -EAGAIN: look again. */
static int stand_in_line(struct waiter *w, uint64_t now)
{
    if (w->place == NULL)
        w->place = ipc__line_enter(w->line);
    if (w->place == NULL) {
        ipc__line_bury(w->line);
        w->place = ipc__line_enter(w->line);
    }
    if (w->place != NULL && ipc__line_is_called(w->place))
        ipc__line_uncall(w->place); /* but the word names somebody else */
    if ((now & FUTEX_BIT_WAITERS) == 0 &&
        !cas64_relaxed(&w->lock->word_, now, now | FUTEX_BIT_WAITERS))
        return -EAGAIN;
    watch_who_is_before(w);
    return -EBUSY;
}

/* With the guard.  -EBUSY: wait; -EAGAIN: look again; else the result. */
static int look(struct waiter *w, bool may_wait)
{
    const uint64_t now = load_acquire(&w->lock->word_);
    const uint32_t low = (uint32_t)now;
    w->seen = now;
    if (low == 0)
        return cas64_acquire(&w->lock->word_, now,
                             ipc__self.id | FUTEX_BIT_WAITERS)
                   ? 0
                   : -EAGAIN;
    if (low == IPC__GIVEN_UP)
        return -ENOTRECOVERABLE;
    if (!ipc__owner_is_possible(now))
        return -EUCLEAN;
    if (is_mine(now)) {
        if (w->place == NULL)
            return -EDEADLK;
        return (low & FUTEX_BIT_OWNER_DIED) != 0 ? IPC_OWNER_DIED : 0;
    }
    ipc__peer_look(w->lock, now, w->thorough, &w->owner);
    if (w->owner.dead)
        return take_over(w, now);
    return may_wait ? stand_in_line(w, now) : -ENOLCK;
}

/* Sleep until it may be worth a look. */
static void wait_in_line(struct waiter *w, ipc_deadline deadline)
{
    if (w->place != NULL) {
        if (!ipc__line_is_called(w->place))
            w->thorough = ipc__line_wait(w->place, &w->pace, w->owner.life,
                                         w->owner.life_if_alive, deadline);
    } else { /* the line is full: until the lock changes hands */
        w->thorough =
            ipc__sleep(&w->pace, ipc__owner_futex(&w->lock->word_),
                       (uint32_t)w->seen | FUTEX_BIT_WAITERS, w->owner.life,
                       w->owner.life_if_alive, deadline);
    }
}

/* One look, with the guard; leaves the line when that settles it. */
static int look_once(struct waiter *w, bool may_wait)
{
    int rc = ipc__line_lock(w->line);
    if (rc != 0)
        return rc;
    do {
        rc = look(w, may_wait);
    } while (rc == -EAGAIN);
    if (rc != -EBUSY)
        leave(w);
    ipc__line_unlock(w->line);
    return rc;
}

static int acquire_in_line(struct waiter *w, ipc_deadline deadline)
{
    for (;;) {
        int rc = look_once(w, deadline != IPC_TIME_NOW);
        if (rc == -EBUSY && ipc_time_left(deadline) == 0) {
            /* Unless it has come to us in this moment. */
            rc = look_once(w, false);
            return rc == -ENOLCK ? -ETIMEDOUT : rc;
        }
        if (rc == -ENOLCK)
            return -EAGAIN;
        if (rc != -EBUSY)
            return rc;
        ipc__owner_note_since(&w->lock->since_ns_);
        if (ipc__checking()) {
            rc = ipc__check_wait(
                (const struct ipc__owned *)(const void *)w->lock,
                &w->lock->word_);
            if (rc != 0) {
                const int last = look_once(w, false);
                return last == -ENOLCK ? rc : last;
            }
        }
        wait_in_line(w, deadline);
    }
}

int ipc__fair_acquire(ipc_lock *lock, ipc_deadline deadline, uint64_t *seen)
{
    struct waiter w = {.lock = lock, .line = line_of(lock)};
    *seen = load_relaxed(&lock->word_);
    if (w.line == NULL)
        return -EUCLEAN;
    const int rc = acquire_in_line(&w, deadline);
    ipc__check_done();
    *seen = w.seen;
    return rc;
}

void ipc__fair_release(ipc_lock *lock)
{
    struct ipc__line *line = line_of(lock);
    const uint64_t word = load_relaxed(&lock->word_);
    if (cas64_release(&lock->word_, ipc__self.id, 0))
        return; /* [release→acquire] */
    if ((word & FUTEX_BIT_OWNER_DIED) != 0) {
        ipc__owner_give_up(&lock->word_);
        if (line != NULL && ipc__line_lock(line) == 0) {
            ipc__line_call_all(line);
            ipc__line_unlock(line);
        }
        return;
    }
    if (line == NULL || ipc__line_lock(line) != 0) {
        ipc__owner_release_waking(&lock->word_);
        return;
    }
    /* With WAITERS set and the guard held nobody else changes the word. */
    struct ipc__place *first = ipc__line_first(line, true);
    if (first == NULL) {
        ipc__owner_release_waking(&lock->word_);
    } else {
        store_relaxed(&lock->since_ns_, 0);
        store_release(&lock->word_,
                      (load_relaxed(&first->owner) & IPC__OWNER_MASK) |
                          FUTEX_BIT_WAITERS); /* [release→acquire] */
        ipc__line_call_and_unlock(line, first);
        return;
    }
    ipc__line_unlock(line);
}
