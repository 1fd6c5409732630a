/* Barrier: who has come, under a guard, and a word that changes when all have.
 *
 * State
 *   phase_     bit 0 SLEEPERS, somebody may sleep on this value; bit 1 BROKEN;
 *              above, the number of the phase.  SLEEPERS set by who sleeps,
 *              all else under the guard
 *   party_[]   the first room_ of them: identities; in the spare bits ENROLLED
 *              and the phase in which it came last, modulo 128.  GONE: a party
 *              that died, of a barrier that shrinks.  Under the guard
 *   acting_    who runs the action: its word in party_
 *   came_      places given out in this phase
 *   parties_   derived: room_ less those that are GONE
 *   resets_    for each of the last 64 phases, whether a reset ended it
 *   resetting_ the phase that a reset is ending, plus 1; 0: none is
 *
 * Invariants, while the guard is free
 *   1  has come to this phase: whose word has its number.  Others are either
 *      enrolled, or their place is free;
 *   2  whoever sleeps has seen SLEEPERS in the value that it sleeps on;
 *   3  a phase ends, whole, only when all its parties have come and live.
 *
 * Order
 *   [end→wait]  what the parties did before they came is seen by all after: by
 *   the guard, and the change of phase_, a release, against loads with
 *   acquire.
 *
 * Death
 *   of one who comes   before its word is in party_ it has not come;
 *   of the last        before phase_ changes the phase goes on, with a dead
 *                      party, as below; after it the phase is over, and the
 *                      words of it have the wrong number: tidy() sweeps them
 *                      up.  The wake-up frees the guard in the same step;
 *                      before it the guard's recovery wakes all, or they look
 *                      again.  (Otherwise the change is the wake-up too.)
 *   of one who waits, or is enrolled   those who wait sleep on its life word:
 *                      they break the barrier, or mark it GONE;
 *   in a reset         resetting_ is there first and goes last: who finds it
 *                      does the rest. */
#include <errno.h>
#include <limits.h>
#include <stddef.h>

#include <ipc/barrier.h>

#include "base/bits.h"
#include "core/error.h"
#include "core/guard.h"
#include "core/waiting.h"
#include "sync/object.h"

#define NOUN "barrier"

/* Whose life words one who waits sleeps on, and whom it looks at again: the
 * next ones after its own place.  So everybody is watched by somebody, and
 * whoever notices a death tells all. */
#define WATCHED 8

/* phase_ */
#define SLEEPERS 1u
#define BROKEN   2u
#define ONE      4u

/* A word of party_ */
#define NUMBER_SHIFT 22
#define NUMBER_MASK  0x1fc00000u
#define ENROLLED     0x20000000u
#define GONE         UINT64_MAX

_Static_assert(sizeof(ipc_barrier) == 4096, "barrier layout");
_Static_assert(offsetof(ipc_barrier, party_) == 96, "barrier layout");
_Static_assert((NUMBER_MASK | ENROLLED) == IPC__OWNER_SPARE, "spare bits");

/* ---- messages ---- */

static int fail_with(ipc_barrier *barrier, int error, const char *text)
{
    char name[IPC__NAME_BYTES];
    return ipc__fail(error, "%s %s",
                     ipc__object_name(NOUN, barrier->label_, barrier, name),
                     text);
}

static int fail_broken(ipc_barrier *barrier)
{
    return fail_with(barrier, -ECANCELED,
                     "is broken: a party died or timed out, its action "
                     "failed, or it was aborted or reset");
}

/* ---- the guard ---- */

static uint32_t number_of(uint32_t phase)
{
    return phase / ONE << NUMBER_SHIFT & NUMBER_MASK;
}

static uint32_t current(const ipc_barrier *barrier)
{
    return number_of(load_relaxed(&barrier->phase_));
}

static uint32_t room_of(const ipc_barrier *barrier)
{
    const uint32_t room = load_relaxed(&barrier->room_);
    return room < IPC_BARRIER_MAX ? room : IPC_BARRIER_MAX;
}

static bool has_come(const ipc_barrier *barrier, uint64_t word)
{
    return word != GONE && (word & FUTEX_BITS_TID & ~IPC__OWNER_SPARE) != 0 &&
           ((uint32_t)word & NUMBER_MASK) == current(barrier);
}

static bool is_mine(uint64_t word)
{
    return (word & ~(uint64_t)IPC__OWNER_SPARE) == ipc__self.id;
}

static void look_at(const uint64_t *word, bool thorough, struct ipc__peer *out)
{
    ipc__peer_look(word, load_relaxed(word) & ~(uint64_t)IPC__OWNER_SPARE,
                   thorough, out);
}

/* Change phase_ and wake who sleeps. */
static void change_phase(ipc_barrier *barrier, uint32_t add)
{
    for (;;) {
        const uint32_t phase = load_relaxed(&barrier->phase_);
        if ((phase & SLEEPERS) != 0) {
            (void)ipc__futex_change_and_wake(&barrier->phase_, IPC__FUTEX_ADD,
                                             (int)(add - SLEEPERS), INT_MAX);
            return; /* [end→wait] */
        }
        if (cas32_release(&barrier->phase_, phase, phase + add))
            return; /* [end→wait] */
    }
}

/* After a phase has ended: its words make room, those who are enrolled have
 * not come, and nobody has. */
static void tidy(ipc_barrier *barrier)
{
    const uint32_t before =
        (current(barrier) - (1u << NUMBER_SHIFT)) & NUMBER_MASK;
    uint32_t gone = 0;
    uint32_t came = 0;
    for (uint32_t i = 0; i < room_of(barrier); i++) {
        const uint64_t word = load_relaxed(&barrier->party_[i]);
        gone += word == GONE;
        if (has_come(barrier, word))
            came++;
        else if (word != GONE)
            store_relaxed(&barrier->party_[i],
                          (word & ENROLLED) == 0
                              ? 0
                              : (word & ~(uint64_t)NUMBER_MASK) | before);
    }
    store_relaxed(&barrier->parties_, room_of(barrier) - gone);
    if (came == 0 || load_relaxed(&barrier->came_) < came)
        store_relaxed(&barrier->came_, came);
}

/* Note how the phase is about to end. */
static void set_reset(ipc_barrier *barrier, uint32_t phase, bool by_reset)
{
    const uint64_t bit = (uint64_t)1 << phase / ONE % 64;
    const uint64_t others = load_relaxed(&barrier->resets_) & ~bit;
    store_relaxed(&barrier->resets_, by_reset ? others | bit : others);
}

static bool was_reset(const ipc_barrier *barrier, uint32_t phase)
{
    return (load_relaxed(&barrier->resets_) >> phase / ONE % 64 & 1) != 0;
}

static void finish_reset(ipc_barrier *barrier)
{
    const uint32_t phase = load_relaxed(&barrier->phase_) & ~SLEEPERS;
    if (load_relaxed(&barrier->resetting_) == phase + 1) {
        set_reset(barrier, phase, true);
        change_phase(barrier, ONE - (phase & BROKEN));
    }
    for (uint32_t i = 0; i < room_of(barrier); i++) {
        uint64_t *word = &barrier->party_[i];
        struct ipc__peer peer = {.dead = true};
        if (load_relaxed(word) != GONE && load_relaxed(word) != 0)
            look_at(word, true, &peer);
        if (peer.dead)
            store_relaxed(word, 0);
    }
    tidy(barrier);
    compiler_barrier();
    store_relaxed(&barrier->resetting_, 0);
}

static void recover(void *arg)
{
    ipc_barrier *barrier = arg;
    ipc__futex_wake(&barrier->phase_, INT_MAX); /* of a phase just ended */
    if (load_relaxed(&barrier->resetting_) != 0)
        finish_reset(barrier);
    else
        tidy(barrier);
}

static int lock(ipc_barrier *barrier)
{
    const uint32_t room = load_relaxed(&barrier->room_);
    const bool possible =
        room != 0 && room <= IPC_BARRIER_MAX &&
        load_relaxed(&barrier->parties_) <= room &&
        (load_relaxed(&barrier->flags_) & ~IPC_BARRIER_SHRINK) == 0;
    const int rc = !possible
                       ? -EUCLEAN
                       : ipc__guard_lock((struct ipc__guard *)&barrier->guard_,
                                         recover, barrier);
    return rc == -EUCLEAN ? fail_with(barrier, rc, "holds what nobody wrote")
                          : rc;
}

static void unlock(ipc_barrier *barrier)
{
    ipc__guard_unlock((struct ipc__guard *)&barrier->guard_);
}

/* All are here: they wake up when the guard is free, as they need it next. */
static void end_phase_and_unlock(ipc_barrier *barrier)
{
    const uint32_t phase = load_relaxed(&barrier->phase_);
    store_release(&barrier->phase_, (phase & ~SLEEPERS) + ONE); /* [end→wait] */
    tidy(barrier);
    if ((phase & SLEEPERS) == 0)
        unlock(barrier);
    else
        ipc__guard_unlock_waking((struct ipc__guard *)&barrier->guard_,
                                 &barrier->phase_, INT_MAX);
}

/* ---- under the guard ---- */

static bool is_broken(const ipc_barrier *barrier)
{
    return (load_relaxed(&barrier->phase_) & BROKEN) != 0;
}

static void break_it(ipc_barrier *barrier)
{
    if (!is_broken(barrier))
        change_phase(barrier, BROKEN);
}

static uint32_t count_come(const ipc_barrier *barrier)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < room_of(barrier); i++)
        count += has_come(barrier, load_relaxed(&barrier->party_[i]));
    return count;
}

static bool is_complete(const ipc_barrier *barrier)
{
    return count_come(barrier) >= load_relaxed(&barrier->parties_);
}

/* A party has died. */
static void bury(ipc_barrier *barrier, uint64_t *word)
{
    if ((barrier->flags_ & IPC_BARRIER_SHRINK) == 0) {
        break_it(barrier);
        return;
    }
    store_release(word, GONE);
    store_relaxed(&barrier->parties_, load_relaxed(&barrier->parties_) - 1);
}

/* Look at those who have come or are enrolled, but for the caller, beginning
 * after a place: bury the dead, and note the lives of up to limit of the
 * living.  Unless it is to look at all it stops there.  Returns how many. */
static uint32_t look_around(ipc_barrier *barrier, uint32_t place, bool all,
                            bool thorough, struct ipc__futex words[WATCHED])
{
    const uint32_t room = room_of(barrier);
    uint32_t count = 0;
    for (uint32_t i = 1; i <= room && (all || count < WATCHED); i++) {
        uint64_t *word = &barrier->party_[(place + i) % room];
        const uint64_t now = load_relaxed(word);
        struct ipc__peer peer;
        if (now == GONE || now == 0 || is_mine(now) ||
            (!has_come(barrier, now) && (now & ENROLLED) == 0))
            continue;
        look_at(word, thorough, &peer);
        if (peer.dead)
            bury(barrier, word);
        else if (peer.life != NULL && count < WATCHED)
            words[count++] = (struct ipc__futex){peer.life, peer.life_if_alive};
    }
    return count;
}

static void bury_the_dead(ipc_barrier *barrier, bool thorough)
{
    struct ipc__futex ignored[WATCHED];
    (void)look_around(barrier, 0, true, thorough, ignored);
}

/* The word to come with: the caller's own if it is enrolled, or a free one. */
static uint64_t *find_place(ipc_barrier *barrier)
{
    uint64_t *free = NULL;
    for (uint32_t i = 0; i < room_of(barrier); i++) {
        const uint64_t word = load_relaxed(&barrier->party_[i]);
        if (word != GONE && is_mine(word) && (word & ENROLLED) != 0)
            return &barrier->party_[i];
        if (free == NULL && word != GONE && !has_come(barrier, word) &&
            (word & ENROLLED) == 0)
            free = &barrier->party_[i];
    }
    return free;
}

static uint64_t *find_mine(ipc_barrier *barrier)
{
    for (uint32_t i = 0; i < room_of(barrier); i++) {
        const uint64_t word = load_relaxed(&barrier->party_[i]);
        if (word != GONE && is_mine(word) &&
            (has_come(barrier, word) || (word & ENROLLED) != 0))
            return &barrier->party_[i];
    }
    return NULL;
}

static bool is_acting(const ipc_barrier *barrier)
{
    const uint64_t acting = load_relaxed(&barrier->acting_);
    if (!has_come(barrier, acting))
        return false; /* of an earlier phase */
    for (uint32_t i = 0; i < room_of(barrier); i++)
        if (load_relaxed(&barrier->party_[i]) == acting)
            return true;
    return false; /* it died */
}

/* ---- waiting ---- */

/* One party, from when it comes. */
struct party {
    ipc_barrier *barrier;
    int (*action)(void *arg);
    void *arg;
    ipc_deadline deadline;
    uint64_t *word;
    uint32_t phase; /* in which it came, without marks */
    int place;
    struct ipc__pace pace;
    bool thorough;
};

/* The phase has changed, or it is broken. */
static bool is_settled(const struct party *p)
{
    return (load_acquire(&p->barrier->phase_) & ~SLEEPERS) !=
           p->phase; /* [end→wait] */
}

static int settle(const struct party *p)
{
    const uint32_t phase = load_acquire(&p->barrier->phase_); /* [end→wait] */
    if ((phase & ~(SLEEPERS | BROKEN)) == p->phase ||
        was_reset(p->barrier, p->phase))
        return fail_broken(p->barrier);
    return p->place;
}

/* With the guard, which it gives up: all are here.  The result. */
static int act_and_end(struct party *p)
{
    ipc_barrier *barrier = p->barrier;
    int rc = 0;
    if (p->action != NULL) {
        store_relaxed(&barrier->acting_, load_relaxed(p->word));
        unlock(barrier);
        const int result = p->action(p->arg);
        rc = lock(barrier);
        if (rc != 0)
            return rc;
        store_relaxed(&barrier->acting_, 0);
        if (!is_settled(p) && result < 0) {
            break_it(barrier);
            unlock(barrier);
            return result;
        }
        if (!is_settled(p))
            bury_the_dead(barrier, false);
    }
    if (is_settled(p)) {
        unlock(barrier);
    } else {
        set_reset(barrier, p->phase, false);
        end_phase_and_unlock(barrier);
    }
    return settle(p);
}

/* With the guard: mark that somebody sleeps, and on what.  0: do not sleep,
 * somebody has died. */
static uint32_t prepare_sleep(struct party *p,
                              struct ipc__futex words[WATCHED + 1])
{
    ipc_barrier *barrier = p->barrier;
    const uint32_t parties = load_relaxed(&barrier->parties_);
    const uint32_t place =
        p->word == NULL ? 0 : (uint32_t)(p->word - barrier->party_);
    const uint32_t lives =
        look_around(barrier, place, false, p->thorough, words + 1);
    if (is_settled(p) || load_relaxed(&barrier->parties_) != parties)
        return 0;
    uint32_t phase = load_relaxed(&barrier->phase_);
    while (!cas32_relaxed(&barrier->phase_, phase, phase | SLEEPERS))
        phase = load_relaxed(&barrier->phase_);
    words[0] = (struct ipc__futex){&barrier->phase_, p->phase | SLEEPERS};
    return lives + 1;
}

static int time_out(struct party *p)
{
    ipc_barrier *barrier = p->barrier;
    const int rc = lock(barrier);
    if (rc != 0)
        return rc;
    const bool settled = is_settled(p);
    if (!settled)
        break_it(barrier);
    unlock(barrier);
    return settled ? settle(p)
                   : fail_with(barrier, -ETIMEDOUT,
                               "is broken: not all came before the deadline");
}

/* The caller has come, or wants to: sleep until something has changed.  With
 * the guard, which it gives up. */
static void sleep_once(struct party *p)
{
    struct ipc__futex words[WATCHED + 1];
    const uint32_t count = prepare_sleep(p, words);
    unlock(p->barrier);
    if (count != 0)
        p->thorough = ipc__sleep_many(&p->pace, words, count, p->deadline);
}

static int wait_for_others(struct party *p)
{
    ipc_barrier *barrier = p->barrier;
    (void)ipc__spin(&barrier->phase_, p->phase);
    while (!is_settled(p)) {
        if (ipc_time_left(p->deadline) == 0)
            return time_out(p);
        const int rc = lock(barrier);
        if (rc != 0)
            return rc;
        /* Complete, and nobody ends it: it has become smaller, or who was
         * last died. */
        if (!is_settled(p) && is_complete(barrier) && !is_acting(barrier)) {
            bury_the_dead(barrier, p->thorough);
            if (!is_settled(p) && is_complete(barrier))
                return act_and_end(p);
        }
        if (is_settled(p))
            unlock(barrier);
        else
            sleep_once(p);
    }
    return settle(p);
}

/* With the guard: come.  -EBUSY: no place until this phase is over. */
static int come(struct party *p)
{
    ipc_barrier *barrier = p->barrier;
    const uint64_t *mine = find_mine(barrier);
    p->phase = load_relaxed(&barrier->phase_) & ~SLEEPERS;
    if ((p->phase & BROKEN) != 0)
        return fail_broken(barrier);
    if (load_relaxed(&barrier->parties_) == 0)
        return fail_with(barrier, -ECANCELED, "has no party left: all died");
    if (mine != NULL && has_come(barrier, *mine))
        return fail_with(barrier, -EDEADLK,
                         "is waited for within its own action");
    p->word = is_complete(barrier) ? NULL : find_place(barrier);
    if (p->deadline == IPC_TIME_NOW &&
        (p->word == NULL ||
         count_come(barrier) + 1 < load_relaxed(&barrier->parties_)))
        return fail_with(barrier, -EAGAIN, "has not got all others");
    if (p->word == NULL)
        return -EBUSY;
    const uint32_t came = load_relaxed(&barrier->came_);
    if (came >= room_of(barrier))
        return fail_with(barrier, -EUCLEAN, "holds what nobody wrote");
    p->place = (int)came;
    store_release(p->word, ipc__self.id | number_of(p->phase) |
                               (load_relaxed(p->word) & ENROLLED));
    compiler_barrier(); /* a place too few is given again, not one skipped */
    store_relaxed(&barrier->came_, (uint32_t)p->place + 1);
    return 0;
}

static int wait_in(struct party *p)
{
    ipc_barrier *barrier = p->barrier;
    for (;;) {
        int rc = lock(barrier);
        if (rc != 0)
            return rc;
        rc = come(p);
        if (rc == -EBUSY && ipc_time_left(p->deadline) != 0) {
            sleep_once(p);
            continue;
        }
        if (rc == -EBUSY)
            rc = fail_with(barrier, -ETIMEDOUT, "is in use by others");
        if (rc != 0) {
            unlock(barrier);
            return rc;
        }
        if (is_complete(barrier)) {
            bury_the_dead(barrier, false);
            if (!is_settled(p) && is_complete(barrier))
                return act_and_end(p);
        }
        unlock(barrier);
        return wait_for_others(p);
    }
}

static int wait_form(ipc_barrier *barrier, int (*action)(void *arg), void *arg,
                     ipc_deadline deadline)
{
    struct party p = {
        .barrier = barrier, .action = action, .arg = arg, .deadline = deadline};
    return wait_in(&p);
}

int ipc_barrier_wait(ipc_barrier *barrier)
{
    return wait_form(barrier, NULL, NULL, IPC_TIME_FOREVER);
}

int ipc_barrier_wait_nowait(ipc_barrier *barrier)
{
    return wait_form(barrier, NULL, NULL, IPC_TIME_NOW);
}

int ipc_barrier_wait_until(ipc_barrier *barrier, ipc_deadline deadline)
{
    return wait_form(barrier, NULL, NULL, deadline > 0 ? deadline : 1);
}

int ipc_barrier_wait_action(ipc_barrier *barrier, int (*action)(void *arg),
                            void *arg, ipc_deadline deadline)
{
    return wait_form(barrier, action, arg, deadline > 0 ? deadline : 1);
}

/* ---- enroll, abort, reset ---- */

int ipc_barrier_enroll(ipc_barrier *barrier)
{
    int rc = lock(barrier);
    if (rc != 0)
        return rc;
    uint64_t *word = find_place(barrier);
    if (find_mine(barrier) != NULL) {
        rc = fail_with(barrier, -EALREADY, "has the calling thread enrolled");
    } else if (word == NULL) {
        rc = fail_with(barrier, -ENOSPC, "has no place for another party");
    } else {
        const uint32_t before =
            (current(barrier) - (1u << NUMBER_SHIFT)) & NUMBER_MASK;
        store_release(word, ipc__self.id | before | ENROLLED);
    }
    unlock(barrier);
    return rc;
}

int ipc_barrier_leave(ipc_barrier *barrier)
{
    int rc = lock(barrier);
    if (rc != 0)
        return rc;
    uint64_t *word = find_mine(barrier);
    if (word == NULL || (*word & ENROLLED) == 0)
        rc = fail_with(barrier, -ESRCH, "has the calling thread not enrolled");
    else
        store_release(
            word, has_come(barrier, *word) ? *word & ~(uint64_t)ENROLLED : 0);
    unlock(barrier);
    return rc;
}

int ipc_barrier_abort(ipc_barrier *barrier)
{
    const int rc = lock(barrier);
    if (rc != 0)
        return rc;
    break_it(barrier);
    unlock(barrier);
    return 0;
}

int ipc_barrier_reset(ipc_barrier *barrier)
{
    const int rc = lock(barrier);
    if (rc != 0)
        return rc;
    store_relaxed(&barrier->resetting_,
                  (load_relaxed(&barrier->phase_) & ~SLEEPERS) + 1);
    compiler_barrier();
    finish_reset(barrier);
    unlock(barrier);
    return 0;
}

bool ipc_barrier_is_broken(ipc_barrier *barrier)
{
    return is_broken(barrier);
}

uint32_t ipc_barrier_waiting(ipc_barrier *barrier)
{
    if (lock(barrier) != 0)
        return 0;
    const uint32_t count = is_broken(barrier) ? 0 : count_come(barrier);
    unlock(barrier);
    return count;
}

uint32_t ipc_barrier_parties(const ipc_barrier *barrier)
{
    return load_relaxed(&barrier->parties_);
}

/* ---- storage ---- */

static int prepare(ipc_barrier *made, struct ipc__room *room, uint32_t parties,
                   const ipc_barrier_options *options)
{
    ipc_barrier_options given;
    const int rc = ipc__object_options(NOUN, &given, sizeof given, options,
                                       IPC_BARRIER_SHRINK);
    if (rc != 0)
        return rc;
    if (parties == 0 || parties > IPC_BARRIER_MAX)
        return ipc__fail(-EINVAL, "a barrier of %u parties: 1 to %u", parties,
                         IPC_BARRIER_MAX);
    room->needed = sizeof *made;
    made->room_ = parties;
    made->parties_ = parties;
    made->flags_ = given.flags;
    ipc__object_label(made->label_, given.label);
    return 0;
}

static size_t bytes_of(const void *object)
{
    (void)object;
    return sizeof(ipc_barrier);
}

static bool is_held(const void *object)
{
    (void)object;
    return false;
}

static int finish(void *object)
{
    return ipc_barrier_fini(object);
}

/* Does a living thread wait? */
static bool has_waiters(ipc_barrier *barrier)
{
    for (uint32_t i = 0; i < room_of(barrier); i++) {
        struct ipc__peer peer;
        if (!has_come(barrier, load_relaxed(&barrier->party_[i])))
            continue;
        look_at(&barrier->party_[i], true, &peer);
        if (!peer.dead)
            return true;
    }
    return false;
}

int ipc_barrier_fini(ipc_barrier *barrier)
{
    if (load_relaxed(&barrier->room_) == 0 &&
        load_relaxed(&barrier->guard_) == 0)
        return 0; /* it was fini'ed */
    const int rc = lock(barrier);
    if (rc != 0)
        return rc;
    const bool busy = !is_broken(barrier) && has_waiters(barrier);
    unlock(barrier);
    if (busy)
        return fail_with(barrier, -EBUSY, "is waited for");
    ipc__object_wipe(barrier, sizeof *barrier);
    return 0;
}

IPC__OBJECT_STORAGE(barrier, IPC__REGION_BARRIER, NOUN,
                    (uint32_t parties, const ipc_barrier_options *options),
                    (parties, options))
