/* Owner words: acquire with waiting, take-over from the dead, release.
 *
 * State
 *   word   see owner.h.  Changed by CAS from exactly what was seen; by the
 *          kernel (low half) when a thread dies with list_op_pending set to
 *          it; and by FUTEX_WAKE_OP on release.
 *   since  written by waiters and by the owner; only for messages.
 *
 * Invariants
 *   1  a low half with a living thread's tid, and that thread's birth above
 *      it, is changed by that thread alone, but for the WAITERS bit;
 *   2  whoever sleeps on the low half has seen WAITERS set in the value that
 *      it sleeps on;
 *   3  OWNER_DIED, once set by a take-over, stays until the owner clears it.
 *
 * Order
 *   [release→acquire]  what an owner did before it freed the word is seen by
 *   the next one: CAS with release, or the system call, against CAS with
 *   acquire.  For a dead owner the kernel's own store, after which nothing of
 *   that thread runs, takes the place of the release; a death found in /proc
 *   lies behind the exit of the thread in the same way.
 *
 * Death, of the one who acquires
 *   before the CAS     nothing is held.  If it was the sleeper that a release
 *                      had woken, list_op_pending and the word's value 0 make
 *                      the kernel wake the next one.  If the word was taken
 *                      again meanwhile nobody is woken: the others find it
 *                      free at their re-check;
 *   after the CAS      the word names it: its life word fires, or the kernel
 *                      marks the word by list_op_pending;
 *   in a take-over     the word names the dead owner until the CAS, and
 *                      itself with OWNER_DIED after it: the next one takes
 *                      over from either.
 * Death, of the one who releases
 *   The store and the wake are one system call: either it still owns the
 *   word, or the word is free and the sleeper is awake. */
#include "core/owner.h"

#include <errno.h>
#include <limits.h>

#include "core/check.h"
#include "core/waiting.h"

#define TID_LIMIT (1u << 22) /* the kernel's PID_MAX_LIMIT */

bool ipc__owner_is_possible(uint64_t word)
{
    const uint32_t low = (uint32_t)word;
    return low == IPC__GIVEN_UP || (low & FUTEX_BITS_TID) <= TID_LIMIT;
}

void ipc__owner_note_since(int64_t *since)
{
    if (since != NULL && load_relaxed(since) == 0)
        store_relaxed(since, ipc_now());
}

/* Why waiting for an owned word is no use, or 0. */
static int why_never(uint64_t word)
{
    if ((uint32_t)word == IPC__GIVEN_UP)
        return -ENOTRECOVERABLE;
    if (!ipc__owner_is_possible(word))
        return -EUCLEAN;
    return (word & IPC__OWNER_MASK) == ipc__self.id ? -EDEADLK : 0;
}

/* One who acquires. */
struct attempt {
    uint64_t *word;
    int64_t *since;
    ipc_deadline deadline;
    uint32_t keep; /* WAITERS once we have slept: others may sleep */
    bool thorough; /* ask /proc too */
    bool spun;
    struct ipc__pace pace;
};

static bool take_over(struct attempt *a, uint64_t dead)
{
    return cas64_acquire(a->word, dead,
                         ipc__self.id | FUTEX_BIT_OWNER_DIED |
                             (dead & FUTEX_BIT_WAITERS) | a->keep);
}

/* The owner lives: sleep.  0: look again. */
static int wait_for(struct attempt *a, uint64_t now,
                    const struct ipc__peer *owner)
{
    const uint32_t low = (uint32_t)now;
    if (a->deadline == IPC_TIME_NOW)
        return -EAGAIN;
    /* Also before giving up: the wake-up that came to us, and found the word
     * taken again, was meant for others too. */
    if ((low & FUTEX_BIT_WAITERS) == 0 &&
        !cas64_relaxed(a->word, now, now | FUTEX_BIT_WAITERS))
        return 0;
    if (ipc_time_left(a->deadline) == 0)
        return -ETIMEDOUT;
    a->keep = FUTEX_BIT_WAITERS;
    ipc__owner_note_since(a->since);
    if (a->since != NULL && ipc__checking() &&
        ipc__check_wait((const struct ipc__owned *)(const void *)a->word,
                        a->word) != 0)
        return -EDEADLK;
    a->thorough =
        ipc__sleep(&a->pace, ipc__owner_futex(a->word), low | FUTEX_BIT_WAITERS,
                   owner->life, owner->life_if_alive, a->deadline);
    return 0;
}

static int acquire(struct attempt *a, uint64_t *seen)
{
    for (;;) {
        const uint64_t now = load_relaxed(a->word);
        *seen = now;
        if ((uint32_t)now == 0) {
            if (cas64_acquire(a->word, now, ipc__self.id | a->keep))
                return 0; /* [release→acquire] */
            continue;
        }
        int rc = why_never(now);
        if (rc != 0)
            return rc;
        if (!a->spun) {
            a->spun = true;
            if (ipc__spin(ipc__owner_futex(a->word), (uint32_t)now))
                continue;
        }

        struct ipc__peer owner;
        ipc__peer_look(a->word, now, a->thorough, &owner);
        if (!owner.dead)
            rc = wait_for(a, now, &owner);
        else if (take_over(a, now))
            return IPC_OWNER_DIED;
        if (rc != 0)
            return rc;
    }
}

int ipc__owner_acquire(uint64_t *word, int64_t *since, ipc_deadline deadline,
                       uint64_t *seen)
{
    struct attempt attempt = {.word = word,
                              .since = since,
                              .deadline = deadline,
                              .spun = deadline == IPC_TIME_NOW};
    ipc__pending_set(word);
    const int rc = acquire(&attempt, seen);
    ipc__check_done();
    return rc;
}

/* The call that the calling thread will make, see ipc__owner_wake_later(). */
static __thread struct {
    uint64_t *word; /* NULL: none */
    uint32_t *call;
} later;

void ipc__owner_wake_later(uint64_t *word, uint32_t *call)
{
    if (later.word != NULL)
        ipc__futex_wake(later.call, 1);
    later.word = word;
    later.call = call;
    ipc__pending_set(call);
    compiler_barrier();
    store_release(call, IPC__CALLED_LATER |
                            ((uint32_t)ipc__self.id & FUTEX_BITS_TID));
    /* Nobody else frees it: its release will see the bit. */
    uint64_t now = load_relaxed(word);
    while (!cas64_relaxed(word, now, now | FUTEX_BIT_WAITERS))
        now = load_relaxed(word);
}

void ipc__owner_release_waking_also(uint64_t *word, const uint32_t *other,
                                    int count)
{
    if (ipc__futex_free_and_wake(ipc__owner_futex(word), other, count) != 0)
        (void)ipc__futex_set_and_wake(ipc__owner_futex(word), 0, 1);
}

void ipc__owner_release_waking(uint64_t *word)
{
    if (later.word == word) {
        later.word = NULL;
        ipc__owner_release_waking_also(word, later.call, 1);
        ipc__pending_clear();
    } else {
        (void)ipc__futex_set_and_wake(ipc__owner_futex(word), 0, 1);
    }
}

void ipc__owner_give_up(uint64_t *word)
{
    (void)ipc__futex_set_and_wake(ipc__owner_futex(word), -1, INT_MAX);
}
