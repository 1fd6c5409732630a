/* State
 *   place.owner, ticket   written by who enters, under the guard
 *   place.state   FREE → AWAKE by who enters, under the guard;
 *                 AWAKE → ASLEEP by its owner, before it sleeps;
 *                 AWAKE or ASLEEP → CALLED under the guard, by anybody, or
 *                 ASLEEP → CALLED_LATER | tid of who will wake it;
 *                 called → FREE by its owner; any → FREE under the guard, by
 *                 its owner, or by anybody once the owner is dead
 *   tickets, used under the guard
 *
 * Invariants
 *   1  owner and ticket are those of who waits in every place that is not
 *      FREE: they are written first, and state is the commit;
 *   2  whoever sleeps has put ASLEEP into its own place;
 *   3  places from used on are FREE.
 *
 * Order
 *   [call→wait]  what the caller did before is seen by the one called: CAS
 *   with release, or the system call, against a load with acquire.
 *
 * Death
 *   of who enters     before state it has no place;
 *   of who calls      a call is one CAS, or one system call that stores and
 *                     wakes: it has happened or not.  Two calls are not: one
 *                     that frees the guard too, and one that is left to the
 *                     release of the lock.  Of these the state is stored first;
 *                     who dies before the wake-up leaves the guard, whose
 *                     recovery wakes all who were called, or a word of its own
 *                     in the place, which the kernel finds (core/owner.h);
 *   of who waits      its place stays, names a dead one, and is freed by the
 *                     next who looks for the first or for a free place;
 *   of who was called its place says so and names a dead one: the others
 *                     who wait find that at their re-check, and pass the call
 *                     on.  For that, its owner leaves it so until it has what
 *                     it was called for. */
#include "sync/line.h"

#include <limits.h>

#include <ipc/lock.h>

#include "core/region.h"

_Static_assert(sizeof(struct ipc__line) == 32 + 16 * IPC__LINE_PLACES,
               "line layout");

static uint32_t used(const struct ipc__line *line)
{
    const uint32_t count = load_relaxed(&line->used);
    return count < IPC__LINE_PLACES ? count : IPC__LINE_PLACES;
}

static void recover(void *arg)
{
    struct ipc__line *line = arg;
    for (uint32_t i = 0; i < used(line); i++)
        if (ipc__line_is_called(&line->places[i]))
            ipc__futex_wake(&line->places[i].state, 1);
}

int ipc__line_lock(struct ipc__line *line)
{
    return ipc__guard_lock(&line->guard, recover, line);
}

void ipc__line_unlock(struct ipc__line *line)
{
    ipc__guard_unlock(&line->guard);
}

bool ipc__line_is_empty(struct ipc__line *line)
{
    for (uint32_t i = 0; i < used(line); i++)
        if (load_relaxed(&line->places[i].state) != IPC__PLACE_FREE)
            return false;
    return true;
}

static bool is_waiting(const struct ipc__place *place)
{
    const uint32_t state = load_relaxed(&place->state);
    return state == IPC__PLACE_AWAKE || state == IPC__PLACE_ASLEEP;
}

static bool is_dead(const struct ipc__place *place, bool thorough)
{
    struct ipc__peer peer;
    ipc__peer_look(place, load_relaxed(&place->owner), thorough, &peer);
    return peer.dead;
}

static void set_free(struct ipc__place *place)
{
    store_release(&place->state, (uint32_t)IPC__PLACE_FREE);
}

/* ---- entering and leaving ---- */

static struct ipc__place *free_place(struct ipc__line *line)
{
    const uint32_t count = used(line);
    for (uint32_t i = 0; i < count; i++)
        if (load_relaxed(&line->places[i].state) == IPC__PLACE_FREE)
            return &line->places[i];
    if (count == IPC__LINE_PLACES)
        return NULL;
    store_relaxed(&line->used, count + 1);
    return &line->places[count];
}

struct ipc__place *ipc__line_enter(struct ipc__line *line)
{
    struct ipc__place *place = free_place(line);
    if (place == NULL)
        return NULL;
    const uint32_t ticket = load_relaxed(&line->tickets);
    store_relaxed(&line->tickets, ticket + 1);
    store_relaxed(&place->owner, ipc__self.id);
    store_relaxed(&place->ticket, ticket);
    store_release(&place->state, (uint32_t)IPC__PLACE_AWAKE); /* the commit */
    return place;
}

bool ipc__line_is_mine(const struct ipc__place *place)
{
    return load_relaxed(&place->owner) == ipc__self.id &&
           (is_waiting(place) || ipc__line_is_called(place));
}

bool ipc__line_leave(struct ipc__place *place)
{
    const bool called = ipc__line_is_called(place);
    set_free(place);
    return called;
}

uint32_t ipc__line_count(struct ipc__line *line)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < used(line); i++) {
        struct ipc__place *place = &line->places[i];
        if (!is_waiting(place))
            continue;
        if (is_dead(place, true))
            set_free(place);
        else
            count++;
    }
    return count;
}

void ipc__line_bury(struct ipc__line *line)
{
    for (uint32_t i = 0; i < used(line); i++) {
        struct ipc__place *place = &line->places[i];
        if (load_relaxed(&place->state) != IPC__PLACE_FREE &&
            is_dead(place, true))
            set_free(place);
    }
}

void ipc__line_uncall(struct ipc__place *place)
{
    store_relaxed(&place->state, (uint32_t)IPC__PLACE_AWAKE);
}

struct ipc__place *ipc__line_before(struct ipc__line *line,
                                    const struct ipc__place *place)
{
    struct ipc__place *before = NULL;
    for (uint32_t i = 0; i < used(line); i++) {
        struct ipc__place *other = &line->places[i];
        if (load_relaxed(&other->state) == IPC__PLACE_FREE ||
            (int32_t)(other->ticket - place->ticket) >= 0)
            continue;
        if (before == NULL || (int32_t)(other->ticket - before->ticket) > 0)
            before = other;
    }
    return before;
}

/* ---- calling ---- */

/* Who waits and came first; in *others, whether anybody else waits. */
static struct ipc__place *came_first(struct ipc__line *line, bool *others)
{
    struct ipc__place *first = NULL;
    *others = false;
    for (uint32_t i = 0; i < used(line); i++) {
        struct ipc__place *place = &line->places[i];
        if (!is_waiting(place))
            continue;
        *others = first != NULL;
        if (first == NULL ||
            (int32_t)(place->ticket - first->ticket) < 0) /* they wrap */
            first = place;
    }
    return first;
}

static struct ipc__place *living_first(struct ipc__line *line, bool sure,
                                       bool *others)
{
    struct ipc__place *first;
    while ((first = came_first(line, others)) != NULL && (sure || *others) &&
           is_dead(first, false))
        set_free(first);
    return first;
}

struct ipc__place *ipc__line_first(struct ipc__line *line, bool sure)
{
    bool others;
    return living_first(line, sure, &others);
}

void ipc__line_call(struct ipc__place *place)
{
    if (cas32_release(&place->state, IPC__PLACE_AWAKE, IPC__PLACE_CALLED))
        return; /* [call→wait] */
    (void)ipc__futex_set_and_wake(&place->state, IPC__PLACE_CALLED, 1);
}

void ipc__line_call_all(struct ipc__line *line)
{
    for (uint32_t i = 0; i < used(line); i++)
        if (is_waiting(&line->places[i]))
            ipc__line_call(&line->places[i]);
}

/* Who sleeps is woken as the guard becomes free, not before: it would run into
 * it. */
static void call_sleeper_and_unlock(struct ipc__line *line,
                                    struct ipc__place *place)
{
    store_release(&place->state, (uint32_t)IPC__PLACE_CALLED); /* [call→wait] */
    ipc__guard_unlock_waking(&line->guard, &place->state, 1);
}

void ipc__line_call_and_unlock(struct ipc__line *line, struct ipc__place *place)
{
    if (cas32_release(&place->state, IPC__PLACE_AWAKE, IPC__PLACE_CALLED))
        ipc__line_unlock(line); /* [call→wait] */
    else
        call_sleeper_and_unlock(line, place);
}

/* The lock that those in the line will want, if the caller holds it.  Where
 * it lies is what shared memory says: it has to be in the same region. */
static uint64_t *lock_held(const struct ipc__line *line)
{
    uintptr_t lo;
    uintptr_t span;
    const uintptr_t at = (uintptr_t)line + (uintptr_t)load_relaxed(&line->lock);
    if (line->lock == 0 || ipc__self.robust == NULL ||
        ipc__region_find(line, &lo, &span) == NULL ||
        at - lo >= span - sizeof(ipc_lock) || at % sizeof(uint64_t) != 0)
        return NULL;
    uint64_t *word = (uint64_t *)at;
    return (load_relaxed(word) & ~(uint64_t)FUTEX_BIT_WAITERS) == ipc__self.id
               ? word
               : NULL;
}

void ipc__line_notify_and_unlock(struct ipc__line *line, uint32_t n)
{
    bool others;
    struct ipc__place *place;
    while ((place = living_first(line, false, &others)) != NULL && others &&
           n-- > 1)
        ipc__line_call(place);
    uint64_t *lock;
    if (place == NULL ||
        cas32_release(&place->state, IPC__PLACE_AWAKE, IPC__PLACE_CALLED)) {
        ipc__line_unlock(line); /* [call→wait] */
    } else if ((lock = lock_held(line)) == NULL) {
        call_sleeper_and_unlock(line, place);
    } else {
        ipc__owner_wake_later(lock, &place->state); /* [call→wait] */
        ipc__guard_unlock_only(&line->guard);
    }
}

void ipc__line_pass_on(struct ipc__line *line)
{
    for (uint32_t i = 0; i < used(line); i++) {
        struct ipc__place *place = &line->places[i];
        /* Looked at again: it may have left, and ended, in between. */
        if (!ipc__line_is_called(place) || !is_dead(place, true) ||
            !ipc__line_is_called(place))
            continue;
        /* First the other's call: if we die in between, it is called twice,
         * which does no harm. */
        struct ipc__place *next = ipc__line_first(line, true);
        if (next != NULL)
            ipc__line_call(next);
        set_free(place);
    }
}

/* ---- waiting ---- */

bool ipc__line_wait(struct ipc__place *place, struct ipc__pace *pace,
                    const uint32_t *life, uint32_t life_if_alive,
                    ipc_deadline deadline)
{
    if (load_relaxed(&place->state) == IPC__PLACE_AWAKE) {
        if (ipc__spin(&place->state, IPC__PLACE_AWAKE) ||
            !cas32_relaxed(&place->state, IPC__PLACE_AWAKE, IPC__PLACE_ASLEEP))
            return false; /* called */
    }
    return ipc__sleep(pace, &place->state, IPC__PLACE_ASLEEP, life,
                      life_if_alive, deadline);
}
