/* Tracked semaphores: permits that know their holder.
 *
 * State
 *   holders   who holds how many: as many places as there are permits.
 *             Changed under the guard
 *   word_     derived: the bound less what is held; and the marks of those
 *             who sleep.  Permits change under the guard, marks by anybody
 *   guard_    held for every operation
 *
 * Invariants, while the guard is free
 *   1  the permits in the word and in the holders' places are the bound;
 *   2  a place with held 0 is free, whatever its owner says;
 *   3  whoever sleeps has seen both marks in the value that it sleeps on.
 *
 * Order
 *   [release→acquire]  by the guard.
 *
 * Death
 *   A change of held is the commit, and the word follows.  Who dies in between
 *   leaves the guard to the next one, who computes the word anew and wakes all
 *   who sleep.  The owner is written before held, so what is held has an
 *   owner.
 *   Who dies holding permits is found by those who want them: they sleep on
 *   the life words of the holders too.  Whoever finds it takes its place away
 *   from it and wakes the others: the same as when it had released them. */
#include <errno.h>
#include <limits.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/error.h"
#include "core/guard.h"
#include "core/waiting.h"
#include "sync/semaphore.h"
#include "wait/look.h"

/* ---- under the guard ---- */

static uint32_t places(const ipc_semaphore *semaphore)
{
    const uint32_t count = semaphore->holders_;
    return count < IPC_SEMAPHORE_TRACKED_MAX ? count
                                             : IPC_SEMAPHORE_TRACKED_MAX;
}

static uint32_t count_held(ipc_semaphore *semaphore)
{
    const struct ipc__holder *holders = ipc__semaphore_holders(semaphore);
    const uint32_t bound = ipc__semaphore_bound(semaphore);
    uint32_t held = 0;
    for (uint32_t i = 0; i < places(semaphore); i++) {
        const uint32_t here = load_relaxed(&holders[i].held);
        held = here < bound - held ? held + here : bound;
    }
    return held;
}

/* Make the word what the holders say.  Also the guard's repair, so it wakes
 * whatever was there: one who died may have been about to. */
static void compute_word(void *arg)
{
    ipc_semaphore *semaphore = arg;
    const uint32_t value =
        ipc__semaphore_bound(semaphore) - count_held(semaphore);
    uint32_t word = load_relaxed(&semaphore->word_);
    while (!cas32_release(&semaphore->word_, word, value * SEMAPHORE_ONE))
        word = load_relaxed(&semaphore->word_);
    ipc__futex_wake(&semaphore->word_, INT_MAX);
}

static int lock(ipc_semaphore *semaphore)
{
    return ipc__guard_lock((struct ipc__guard *)&semaphore->guard_,
                           compute_word, semaphore);
}

static void unlock(ipc_semaphore *semaphore)
{
    ipc__guard_unlock((struct ipc__guard *)&semaphore->guard_);
}

/* The place of the one whose owner word this is, or a free one for 0. */
static struct ipc__holder *find_place(ipc_semaphore *semaphore, uint64_t owner)
{
    struct ipc__holder *holders = ipc__semaphore_holders(semaphore);
    for (uint32_t i = 0; i < places(semaphore); i++) {
        const bool free = load_relaxed(&holders[i].held) == 0;
        if (owner == 0 ? free
                       : !free && load_relaxed(&holders[i].owner) == owner)
            return &holders[i];
    }
    return NULL;
}

static void set_held(struct ipc__holder *place, uint64_t owner, uint32_t held)
{
    store_relaxed(&place->owner, owner);
    compiler_barrier();
    store_release(&place->held, held); /* the commit */
}

/* Take back what the dead hold. */
static void reclaim(ipc_semaphore *semaphore, bool thorough)
{
    struct ipc__holder *holders = ipc__semaphore_holders(semaphore);
    bool found = false;
    for (uint32_t i = 0; i < places(semaphore); i++) {
        if (load_relaxed(&holders[i].held) == 0)
            continue;
        struct ipc__peer peer;
        ipc__peer_look(semaphore, load_relaxed(&holders[i].owner), thorough,
                       &peer);
        if (!peer.dead)
            continue;
        set_held(&holders[i], 0, 0);
        found = true;
    }
    if (found)
        compute_word(semaphore);
}

static int take(ipc_semaphore *semaphore, uint32_t n, bool thorough)
{
    if (load_relaxed(&semaphore->word_) / SEMAPHORE_ONE < n)
        reclaim(semaphore, thorough);
    const uint32_t word = load_relaxed(&semaphore->word_);
    if (word >= SEMAPHORE_LIMIT)
        return -EUCLEAN;
    if (word / SEMAPHORE_ONE < n)
        return -EAGAIN;
    const uint64_t me = ipc__self.id;
    struct ipc__holder *place = find_place(semaphore, me);
    if (place == NULL)
        place = find_place(semaphore, 0);
    if (place == NULL)
        return -EUCLEAN; /* more holders than permits */
    const uint32_t held = load_relaxed(&place->held);
    set_held(place, me, held + n);
    (void)add_relaxed(&semaphore->word_, 0u - n * SEMAPHORE_ONE);
    return 0;
}

/* What to sleep on: the word, marked, and the lives of the holders.  Returns
 * how many words that is. */
static uint32_t prepare_sleep(ipc_semaphore *semaphore,
                              struct ipc__futex words[IPC__FUTEX_MANY])
{
    const struct ipc__holder *holders = ipc__semaphore_holders(semaphore);
    uint32_t word = load_relaxed(&semaphore->word_);
    while (!cas32_relaxed(&semaphore->word_, word, word | SEMAPHORE_MARKS))
        word = load_relaxed(&semaphore->word_);
    words[0] = (struct ipc__futex){&semaphore->word_, word | SEMAPHORE_MARKS};

    uint32_t count = 1;
    for (uint32_t i = 0; i < places(semaphore) && count < IPC__FUTEX_MANY;
         i++) {
        struct ipc__peer peer;
        if (load_relaxed(&holders[i].held) == 0)
            continue;
        ipc__peer_look(semaphore, load_relaxed(&holders[i].owner), false,
                       &peer);
        if (peer.dead) /* a moment ago: do not sleep */
            words[0].expected = ~word;
        else if (peer.life != NULL)
            words[count++] = (struct ipc__futex){peer.life, peer.life_if_alive};
    }
    return count;
}

/* ---- operations ---- */

int ipc__tracked_acquire(ipc_semaphore *semaphore, uint32_t n,
                         ipc_deadline deadline)
{
    struct ipc__futex words[IPC__FUTEX_MANY];
    struct ipc__pace pace = {0};
    bool thorough = false;

    for (;;) {
        uint32_t count = 0;
        int rc = lock(semaphore);
        if (rc != 0)
            return rc;
        rc = take(semaphore, n, thorough);
        if (rc == -EAGAIN && deadline != IPC_TIME_NOW)
            count = prepare_sleep(semaphore, words);
        unlock(semaphore);
        if (count == 0)
            return rc;
        if (ipc_time_left(deadline) == 0)
            return -ETIMEDOUT;
        thorough = ipc__sleep_many(&pace, words, count, deadline);
    }
}

int ipc__tracked_look(ipc_semaphore *semaphore, struct ipc__look *look)
{
    struct ipc__futex words[IPC__FUTEX_MANY];
    uint32_t count = 0;
    const int rc = lock(semaphore);
    if (rc != 0)
        return rc;
    if (load_relaxed(&semaphore->word_) < SEMAPHORE_ONE)
        reclaim(semaphore, look->thorough);
    const bool ready = load_relaxed(&semaphore->word_) >= SEMAPHORE_ONE;
    if (!ready && look->marks)
        count = prepare_sleep(semaphore, words);
    unlock(semaphore);
    for (uint32_t i = 0; i < count; i++)
        (i == 0 ? ipc__look_add : ipc__look_add_life)(look, words[i].word,
                                                      words[i].expected);
    return ready;
}

int ipc__tracked_release(ipc_semaphore *semaphore, uint32_t n)
{
    int rc = lock(semaphore);
    if (rc != 0)
        return rc;
    struct ipc__holder *place = find_place(semaphore, ipc__self.id);
    const uint32_t held = place == NULL ? 0 : load_relaxed(&place->held);
    if (held < n) {
        rc = -EPERM;
    } else {
        store_release(&place->held, held - n); /* the commit */
        rc = ipc__semaphore_add(semaphore, n);
    }
    unlock(semaphore);
    return rc;
}

static struct ipc__holder *find_thread(ipc_semaphore *semaphore, int32_t tid)
{
    struct ipc__holder *holders = ipc__semaphore_holders(semaphore);
    for (uint32_t i = 0; i < places(semaphore); i++)
        if (load_relaxed(&holders[i].held) != 0 &&
            (load_relaxed(&holders[i].owner) & FUTEX_BITS_TID) == (uint32_t)tid)
            return &holders[i];
    return NULL;
}

/* Between the two commits the permits are nobody's: if we die there, they are
 * free. */
static int move(ipc_semaphore *semaphore, int32_t tid, uint32_t n)
{
    reclaim(semaphore, false);
    struct ipc__holder *from = find_thread(semaphore, tid);
    if (from == NULL || load_relaxed(&from->held) < n)
        return -EPERM;
    struct ipc__holder *to = find_place(semaphore, ipc__self.id);
    if (to == from)
        return 0;
    store_release(&from->held, load_relaxed(&from->held) - n);
    if (to == NULL)
        to = find_place(semaphore, 0);
    if (to == NULL)
        return -EUCLEAN;
    set_held(to, ipc__self.id, load_relaxed(&to->held) + n);
    /* Those who sleep shall sleep on the new holder's life too. */
    ipc__futex_wake(&semaphore->word_, INT_MAX);
    return 0;
}

int ipc_semaphore_transfer(ipc_semaphore *semaphore, int32_t tid, uint32_t n)
{
    if (!ipc__is_semaphore(semaphore))
        return ipc__semaphore_fail(semaphore, -EUCLEAN, n);
    if (!ipc__is_semaphore(semaphore))
        return ipc__semaphore_fail(semaphore, -EUCLEAN, n);
    if (!ipc__is_tracked(semaphore))
        return ipc__fail(-ENOTSUP, "the semaphore is not tracked");
    int rc = lock(semaphore);
    if (rc == 0) {
        rc = move(semaphore, tid, n);
        unlock(semaphore);
    }
    return rc == -EPERM
               ? ipc__fail(rc, "thread %d does not hold %u permits", tid, n)
           : rc < 0 ? ipc__semaphore_fail(semaphore, rc, n)
                    : 0;
}

int ipc__tracked_value(ipc_semaphore *semaphore, uint32_t *out)
{
    const int rc = lock(semaphore);
    if (rc != 0)
        return rc;
    reclaim(semaphore, false);
    *out = load_relaxed(&semaphore->word_) / SEMAPHORE_ONE;
    unlock(semaphore);
    return 0;
}

uint32_t ipc__tracked_held(ipc_semaphore *semaphore)
{
    if (lock(semaphore) != 0)
        return 0;
    reclaim(semaphore, true);
    const uint32_t held = count_held(semaphore);
    unlock(semaphore);
    return held;
}

uint32_t ipc_semaphore_held(ipc_semaphore *semaphore)
{
    if (!ipc__is_semaphore(semaphore) || !ipc__is_tracked(semaphore) ||
        lock(semaphore) != 0)
        return 0;
    const struct ipc__holder *place = find_place(semaphore, ipc__self.id);
    const uint32_t held = place == NULL ? 0 : load_relaxed(&place->held);
    unlock(semaphore);
    return held;
}
