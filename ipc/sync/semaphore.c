/* Semaphore: one word of permits and marks; tracked ones are in tracked.c.
 *
 * State
 *   word_    free permits times 4, and two marks: SLEEPERS, somebody may sleep
 *            on this value; MANY, and wants more than one permit
 *   guard_   held by a release that finds a mark
 *   bound_, flags_, holders_, label_   written by init
 *   turnstile   of a fair one: held by the first of those who wait
 *
 * Invariants
 *   1  whoever sleeps has seen SLEEPERS, and if it wants many MANY, in the
 *      value that it sleeps on; who wants one sleeps only on no permits;
 *   2  marks are set by anybody, and taken away under the guard only;
 *   3  while a mark is set, permits are added under the guard only.
 *
 * Order
 *   [release→acquire]  what a releaser did before is seen by who gets the
 *   permit: CAS with release, or the system call, against CAS with acquire.
 *
 * A release without marks is a CAS.  One with marks takes the guard, so by 3
 * nobody else adds, and the bound can be checked before the system call that
 * adds and wakes.  If it wakes fewer than it might, nobody sleeps: the mark can
 * go, unless somebody began to sleep since; who does that has seen no permits,
 * so if the number of permits is still what we made it, nobody has.  With MANY
 * all are woken, and mark again if need be: whom the permits suffice only they
 * know.
 *
 * Fair ones: who finds the turnstile taken, or no permit, passes through it,
 * one at a time, in the order of the lock's line; so only the first waits for
 * the word.
 *
 * Death
 *   of the releaser   before the CAS or the call nothing was released; after
 *                     it all is done.  The guard needs no repair: the word is
 *                     all there is.  A release of more than 511 with sleepers
 *                     is a CAS and a wake-up; between them the sleepers'
 *                     re-check is what wakes them;
 *   of the acquirer   before the CAS it has nothing; after it the permit is
 *                     its own, and lost (see tracked.c).  If it dies awake,
 *                     the permit that it was woken for stays in the word, and
 *                     the re-check of another finds it;
 *   in the turnstile  the next one gets that lock from the dead. */
#include "sync/semaphore.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/error.h"
#include "core/guard.h"
#include "core/waiting.h"
#include "sync/fair.h"
#include "sync/lock.h"
#include "wait/fd.h"

#define NOUN "semaphore"

/* FUTEX_WAKE_OP takes operands up to 2,047. */
#define ADD_MAX 511u

#define SPECIAL (IPC_SEMAPHORE_TRACKED | IPC_SEMAPHORE_FAIR)

_Static_assert(sizeof(ipc_semaphore) == 128, "semaphore layout");
_Static_assert(sizeof(struct ipc__guard) == sizeof(uint64_t), "guard layout");
_Static_assert(sizeof(struct ipc__holder) == 16, "holder layout");

/* ---- messages ---- */

int ipc__semaphore_fail(ipc_semaphore *semaphore, int error, uint32_t n)
{
    char name[IPC__NAME_BYTES];
    const uint32_t word = load_relaxed(&semaphore->word_);
    ipc__object_name(NOUN, semaphore->label_, semaphore, name);
    switch (error) {
    case -EAGAIN:
    case -ETIMEDOUT:
        ipc__found_nothing(semaphore);
        return ipc__fail(error, "%s has %u free permits, %u are wanted", name,
                         word / SEMAPHORE_ONE, n);
    case -EOVERFLOW:
        return ipc__fail(error, "%s would have more than %u permits", name,
                         ipc__semaphore_bound(semaphore));
    case -EINVAL:
        return ipc__fail(error, "%s never has %u permits, but %u at most", name,
                         n, ipc__semaphore_bound(semaphore));
    case -EPERM:
        return ipc__fail(error, "%s: the calling thread does not hold %u", name,
                         n);
    case -EUCLEAN:
        return ipc__fail(error, "%s holds 0x%x, which nobody wrote", name,
                         word);
    default:
        return error; /* the guard said why */
    }
}

/* What lies behind the semaphore is believed only with the right seal. */
static uint64_t seal_of(const ipc_semaphore *semaphore)
{
    const uint64_t sizes =
        (uint64_t)semaphore->bound_ << 32 | semaphore->holders_;
    return (sizes ^ semaphore->flags_ ^ UINT64_C(0x6970632d73656d61)) *
           UINT64_C(0x9e3779b97f4a7c15);
}

bool ipc__is_semaphore(const ipc_semaphore *semaphore)
{
    const uint32_t flags = load_relaxed(&semaphore->flags_);
    const uint32_t bound = load_relaxed(&semaphore->bound_);
    const bool tracked = (flags & IPC_SEMAPHORE_TRACKED) != 0;
    return load_relaxed(&semaphore->word_) < SEMAPHORE_LIMIT &&
           (flags & ~(SPECIAL | IPC_SEMAPHORE_BOUNDED)) == 0 &&
           bound <= (tracked ? IPC_SEMAPHORE_TRACKED_MAX : IPC_SEMAPHORE_MAX) &&
           semaphore->holders_ == (tracked ? bound : 0) &&
           ((flags & SPECIAL) == 0 || semaphore->seal_ == seal_of(semaphore));
}

/* ---- acquire ---- */

static inline bool try_acquire(ipc_semaphore *semaphore, uint32_t n)
{
    const uint32_t word = load_relaxed(&semaphore->word_);
    /* At least n, and a possible word. */
    return likely(word - n * SEMAPHORE_ONE <
                  SEMAPHORE_LIMIT - n * SEMAPHORE_ONE) &&
           likely(cas32_acquire(&semaphore->word_, word,
                                word - n * SEMAPHORE_ONE));
}

static int acquire_plain(ipc_semaphore *semaphore, uint32_t n,
                         ipc_deadline deadline)
{
    const uint32_t marks = n > 1 ? SEMAPHORE_MARKS : SEMAPHORE_SLEEPERS;
    struct ipc__pace pace = {0};
    bool spun = false;

    for (;;) {
        const uint32_t word = load_relaxed(&semaphore->word_);
        if (word >= SEMAPHORE_LIMIT)
            return -EUCLEAN;
        if (word / SEMAPHORE_ONE >= n) {
            if (cas32_acquire(&semaphore->word_, word,
                              word - n * SEMAPHORE_ONE))
                return 0; /* [release→acquire] */
            continue;
        }
        if (deadline == IPC_TIME_NOW)
            return -EAGAIN;
        if (!spun) {
            spun = true;
            if (ipc__spin(&semaphore->word_, word))
                continue;
        }
        if (ipc_time_left(deadline) == 0)
            return -ETIMEDOUT;
        if ((word & marks) != marks &&
            !cas32_relaxed(&semaphore->word_, word, word | marks))
            continue;
        (void)ipc__sleep(&pace, &semaphore->word_, word | marks, NULL, 0,
                         deadline);
    }
}

static int acquire_kind(ipc_semaphore *semaphore, uint32_t n,
                        ipc_deadline deadline)
{
    return ipc__is_tracked(semaphore)
               ? ipc__tracked_acquire(semaphore, n, deadline)
               : acquire_plain(semaphore, n, deadline);
}

static int acquire_fair(ipc_semaphore *semaphore, uint32_t n,
                        ipc_deadline deadline)
{
    ipc_lock *turnstile = &ipc__semaphore_turnstile(semaphore)->lock;
    if (!ipc__lock_is_fair(turnstile)) /* the first time */
        store_relaxed(&turnstile->line_, (uint32_t)sizeof *turnstile);
    if (!ipc_lock_is_held(turnstile)) {
        const int rc = acquire_kind(semaphore, n, IPC_TIME_NOW);
        if (rc != -EAGAIN)
            return rc;
    }
    int rc = ipc__lock_acquire_form(turnstile, deadline);
    if (rc < 0)
        return rc;
    if (rc == IPC_OWNER_DIED)
        (void)ipc_lock_consistent(turnstile);
    rc = acquire_kind(semaphore, n, deadline);
    (void)ipc_lock_release(turnstile);
    return rc;
}

static SLOW_PATH int acquire_slow(ipc_semaphore *semaphore, uint32_t n,
                                  ipc_deadline deadline)
{
    if (!ipc__is_semaphore(semaphore))
        return ipc__semaphore_fail(semaphore, -EUCLEAN, n);
    if (n == 0)
        return 0;
    if (n > ipc__semaphore_bound(semaphore))
        return ipc__semaphore_fail(semaphore, -EINVAL, n);
    const int rc = (semaphore->flags_ & IPC_SEMAPHORE_FAIR) != 0
                       ? acquire_fair(semaphore, n, deadline)
                       : acquire_kind(semaphore, n, deadline);
    return rc < 0 ? ipc__semaphore_fail(semaphore, rc, n) : 0;
}

static inline int acquire(ipc_semaphore *semaphore, uint32_t n,
                          ipc_deadline deadline)
{
    if (likely((semaphore->flags_ & SPECIAL) == 0) && likely(n - 1 < ADD_MAX) &&
        try_acquire(semaphore, n))
        return 0;
    return acquire_slow(semaphore, n, deadline);
}

int ipc_semaphore_acquire(ipc_semaphore *semaphore)
{
    return acquire(semaphore, 1, IPC_TIME_FOREVER);
}

int ipc_semaphore_acquire_nowait(ipc_semaphore *semaphore)
{
    return acquire(semaphore, 1, IPC_TIME_NOW);
}

int ipc_semaphore_acquire_until(ipc_semaphore *semaphore, ipc_deadline deadline)
{
    /* IPC_TIME_NOW would be answered with -EAGAIN. */
    return acquire(semaphore, 1, deadline > 0 ? deadline : 1);
}

int ipc_semaphore_acquire_many(ipc_semaphore *semaphore, uint32_t n)
{
    return acquire(semaphore, n, IPC_TIME_FOREVER);
}

int ipc_semaphore_acquire_many_nowait(ipc_semaphore *semaphore, uint32_t n)
{
    return acquire(semaphore, n, IPC_TIME_NOW);
}

int ipc_semaphore_acquire_many_until(ipc_semaphore *semaphore, uint32_t n,
                                     ipc_deadline deadline)
{
    return acquire(semaphore, n, deadline > 0 ? deadline : 1);
}

/* ---- release ---- */

/* Add n and wake as many: word is what was there. */
static int add_waking_some(ipc_semaphore *semaphore, uint32_t word, uint32_t n)
{
    const int woken = ipc__futex_change_and_wake(
        &semaphore->word_, IPC__FUTEX_ADD, (int)(n * SEMAPHORE_ONE), (int)n);
    if (woken < 0)
        return woken;
    const uint32_t now = load_relaxed(&semaphore->word_);
    if ((now & SEMAPHORE_MANY) != 0) /* it came a moment ago: see above */
        ipc__futex_wake(&semaphore->word_, INT_MAX);
    else if ((uint32_t)woken < n && now == word + n * SEMAPHORE_ONE)
        (void)cas32_relaxed(&semaphore->word_, now, now & ~SEMAPHORE_MARKS);
    return 0;
}

int ipc__semaphore_add(ipc_semaphore *semaphore, uint32_t n)
{
    const uint32_t bound = ipc__semaphore_bound(semaphore);
    for (;;) {
        const uint32_t word = load_relaxed(&semaphore->word_);
        const uint32_t after = word + n * SEMAPHORE_ONE;
        if (word >= SEMAPHORE_LIMIT)
            return -EUCLEAN;
        if (n > bound || word / SEMAPHORE_ONE > bound - n)
            return -EOVERFLOW;
        if ((word & SEMAPHORE_MARKS) == 0 || n > ADD_MAX) {
            if (!cas32_release(&semaphore->word_, word,
                               after & ~SEMAPHORE_MARKS))
                continue; /* [release→acquire] */
            if ((word & SEMAPHORE_MARKS) != 0)
                ipc__futex_wake(&semaphore->word_, INT_MAX);
            return 0;
        }
        if ((word & SEMAPHORE_MANY) == 0)
            return add_waking_some(semaphore, word, n);
        /* MANY never stands alone, so both marks go by one subtraction. */
        const int rc = ipc__futex_change_and_wake(
            &semaphore->word_, IPC__FUTEX_ADD,
            (int)(n * SEMAPHORE_ONE - SEMAPHORE_MARKS), INT_MAX);
        return rc < 0 ? rc : 0;
    }
}

static void nothing_to_repair(void *arg)
{
    (void)arg;
}

static int release_plain(ipc_semaphore *semaphore, uint32_t n)
{
    struct ipc__guard *guard = (struct ipc__guard *)&semaphore->guard_;
    int rc = ipc__guard_lock(guard, nothing_to_repair, NULL);
    if (rc != 0)
        return rc;
    rc = ipc__semaphore_add(semaphore, n);
    ipc__guard_unlock(guard);
    return rc;
}

static SLOW_PATH int release_slow(ipc_semaphore *semaphore, uint32_t n)
{
    if (!ipc__is_semaphore(semaphore))
        return ipc__semaphore_fail(semaphore, -EUCLEAN, n);
    if (n == 0)
        return 0;
    const int rc = ipc__is_tracked(semaphore)
                       ? ipc__tracked_release(semaphore, n)
                       : release_plain(semaphore, n);
    return rc < 0 ? ipc__semaphore_fail(semaphore, rc, n) : 0;
}

static inline int release(ipc_semaphore *semaphore, uint32_t n)
{
    const uint32_t word = load_relaxed(&semaphore->word_);
    if (likely((semaphore->flags_ & IPC_SEMAPHORE_TRACKED) == 0) &&
        likely((word & SEMAPHORE_MARKS) == 0) &&
        likely(word < SEMAPHORE_LIMIT) && likely(n - 1 < ADD_MAX) &&
        likely(word / SEMAPHORE_ONE + n <= ipc__semaphore_bound(semaphore)) &&
        likely(
            cas32_release(&semaphore->word_, word, word + n * SEMAPHORE_ONE)))
        return 0; /* [release→acquire] */
    return release_slow(semaphore, n);
}

int ipc_semaphore_release(ipc_semaphore *semaphore)
{
    return release(semaphore, 1);
}

int ipc_semaphore_release_many(ipc_semaphore *semaphore, uint32_t n)
{
    return release(semaphore, n);
}

uint32_t ipc_semaphore_value(ipc_semaphore *semaphore)
{
    uint32_t value;
    if (!ipc__is_semaphore(semaphore))
        return 0;
    if (ipc__is_tracked(semaphore) &&
        ipc__tracked_value(semaphore, &value) == 0)
        return value;
    return load_relaxed(&semaphore->word_) / SEMAPHORE_ONE;
}

/* ---- storage ---- */

size_t ipc_semaphore_bytes(uint32_t value, uint32_t flags)
{
    size_t bytes = sizeof(ipc_semaphore);
    if ((flags & IPC_SEMAPHORE_FAIR) != 0)
        bytes += sizeof(struct ipc__turnstile);
    if ((flags & IPC_SEMAPHORE_TRACKED) != 0)
        bytes += value * sizeof(struct ipc__holder);
    return bytes;
}

static int prepare(ipc_semaphore *made, struct ipc__room *room, uint32_t value,
                   const ipc_semaphore_options *options)
{
    ipc_semaphore_options given;
    const int rc = ipc__object_options(
        NOUN, &given, sizeof given, options,
        IPC_SEMAPHORE_BOUNDED | IPC_SEMAPHORE_TRACKED | IPC_SEMAPHORE_FAIR);
    if (rc != 0)
        return rc;
    const bool tracked = (given.flags & IPC_SEMAPHORE_TRACKED) != 0;
    const bool bounded = (given.flags & IPC_SEMAPHORE_BOUNDED) != 0;
    const uint32_t most =
        tracked ? IPC_SEMAPHORE_TRACKED_MAX : IPC_SEMAPHORE_MAX;
    if (value > most)
        return ipc__fail(-EINVAL, "a semaphore of %u permits: %u at most",
                         value, most);
    if (value == 0 && (tracked || bounded))
        return ipc__fail(-EINVAL,
                         "a semaphore that never has a permit: value 0");
    room->needed = ipc_semaphore_bytes(value, given.flags);
    room->given = given.bytes;
    made->word_ = value * SEMAPHORE_ONE;
    made->bound_ = tracked || bounded ? value : 0;
    made->flags_ = given.flags;
    made->holders_ = tracked ? value : 0;
    made->seal_ = seal_of(made);
    ipc__object_label(made->label_, given.label);
    return 0;
}

static size_t bytes_of(const void *object)
{
    const ipc_semaphore *semaphore = object;
    return ipc__is_semaphore(semaphore)
               ? ipc_semaphore_bytes(semaphore->holders_, semaphore->flags_)
               : SIZE_MAX;
}

static bool is_held(const void *object)
{
    return ipc__is_tracked(object) &&
           ipc_semaphore_held((ipc_semaphore *)(uintptr_t)object) > 0;
}

static int finish(void *object)
{
    return ipc_semaphore_fini(object);
}

/* Does a living thread wait?  The marks may have been left by the dead: the
 * kernel knows who sleeps. */
static bool has_sleepers(ipc_semaphore *semaphore)
{
    int count = 0;
    uint32_t word;
    do {
        word = load_relaxed(&semaphore->word_);
        if ((word & SEMAPHORE_MARKS) != 0)
            count = ipc__futex_sleepers(&semaphore->word_, word);
    } while (count == -EAGAIN);
    if (count <= 0 && (semaphore->flags_ & IPC_SEMAPHORE_FAIR) != 0)
        count = ipc_lock_acquire_nowait(
                    &ipc__semaphore_turnstile(semaphore)->lock) == -EAGAIN;
    return count > 0;
}

int ipc_semaphore_fini(ipc_semaphore *semaphore)
{
    char name[IPC__NAME_BYTES];
    const size_t bytes = bytes_of(semaphore);
    ipc__forget(semaphore);
    if (bytes == SIZE_MAX)
        return ipc__semaphore_fail(semaphore, -EUCLEAN, 0);
    ipc__object_name(NOUN, semaphore->label_, semaphore, name);
    const uint32_t held =
        ipc__is_tracked(semaphore) ? ipc__tracked_held(semaphore) : 0;
    if (held != 0)
        return ipc__fail(-EBUSY, "%s: %u permits are held", name, held);
    if (has_sleepers(semaphore))
        return ipc__fail(-EBUSY, "somebody waits for %s", name);
    ipc__object_wipe(semaphore, bytes);
    return 0;
}

IPC__OBJECT_STORAGE(semaphore, IPC__REGION_SEMAPHORE, NOUN,
                    (uint32_t value, const ipc_semaphore_options *options),
                    (value, options))
