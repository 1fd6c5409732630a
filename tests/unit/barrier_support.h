/* What the tests of barriers have in common. */
#ifndef BARRIER_SUPPORT_H
#define BARRIER_SUPPORT_H

#include "unit/actor_support.h"

#include <errno.h>

#include <ipc/barrier.h>

#include "core/peers.h"
#include "core/waiting.h"

#define SOON ipc_after_ms(30)

/* ---- for actors: arg is the barrier ---- */

#define BARRIER_ACT(name, call)                                                \
    static inline int name(void *arg)                                          \
    {                                                                          \
        ipc_barrier *barrier = arg;                                            \
        return call;                                                           \
    }

BARRIER_ACT(come, ipc_barrier_wait(barrier))
BARRIER_ACT(come_nowait, ipc_barrier_wait_nowait(barrier))
BARRIER_ACT(come_at_once, ipc_barrier_wait_until(barrier, IPC_TIME_NOW))
BARRIER_ACT(come_soon, ipc_barrier_wait_until(barrier, SOON))
BARRIER_ACT(come_late, ipc_barrier_wait_until(barrier, ipc_after_ms(LIMIT_MS)))
BARRIER_ACT(enroll, ipc_barrier_enroll(barrier))
BARRIER_ACT(leave, ipc_barrier_leave(barrier))
BARRIER_ACT(abort_it, ipc_barrier_abort(barrier))
BARRIER_ACT(reset_it, ipc_barrier_reset(barrier))

static inline int no_robust_list(void *arg)
{
    (void)arg;
    ipc__robust_list_usable = false;
    return 0;
}

/* ---- from the case ---- */

static inline ipc_barrier *new_barrier(uint32_t parties, uint32_t flags)
{
    const ipc_barrier_options options = {sizeof options, flags, NULL};
    ipc_barrier *barrier = NULL;
    expect_rc(ipc_barrier_new(parties, &options, &barrier), 0);
    return barrier;
}

static inline void tell_all(struct actor *actors, int count,
                            int (*fn)(void *arg), void *arg)
{
    for (int i = 0; i < count; i++)
        actor_tell(&actors[i], fn, arg);
}

static inline void expect_all(const struct actor *actors, int count, int rc)
{
    for (int i = 0; i < count; i++)
        expect_rc(actor_result(&actors[i]), rc);
}

/* They come one after the other, and wait. */
static inline void come_in_turn(struct actor *actors, int count,
                                ipc_barrier *barrier)
{
    for (int i = 0; i < count; i++) {
        const uint32_t before = ipc_barrier_waiting(barrier);
        actor_tell(&actors[i], come, barrier);
        actor_waits(&actors[i]);
        assert_int_equal(ipc_barrier_waiting(barrier), before + 1);
    }
}

/* They have passed, each with a place of its own below this one. */
static inline void expect_places_below(const struct actor *actors, int count,
                                       int below)
{
    uint64_t places = 0;
    assert_true(below <= 64);
    for (int i = 0; i < count; i++) {
        const int place = actor_result(&actors[i]);
        if (place < 0 || place >= below || (places >> place & 1) != 0)
            test_fail("actor %d of %d has place %d (%s)", i, count, place,
                      actors[i].page->detail);
        else
            places |= UINT64_C(1) << place;
    }
}

/* Each place from 0 on is somebody's. */
static inline void expect_places(const struct actor *actors, int count)
{
    expect_places_below(actors, count, count);
}

/* All come and pass, so it is whole. */
static inline void pass_together(struct actor *actors, int count,
                                 ipc_barrier *barrier)
{
    tell_all(actors, count, come, barrier);
    expect_places(actors, count);
    assert_false(ipc_barrier_is_broken(barrier));
    assert_int_equal(ipc_barrier_waiting(barrier), 0);
}

/* It returns within the time that is promised; in ms after start. */
static inline long told_after(const struct actor *actor, int rc, int64_t start)
{
    if (!meet_within(&actor->page->done, actor->page->order + 1,
                     RECHECK_MS + SLACK_MS))
        test_fail("nobody told it of the death");
    expect_rc(actor_result(actor), rc);
    return to_ms(actor->page->end_ns - start);
}

static inline void expect_broken(ipc_barrier *barrier)
{
    assert_true(ipc_barrier_is_broken(barrier));
    expect_rc(ipc_barrier_wait(barrier), -ECANCELED);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_rc(ipc_barrier_wait_nowait(barrier), -ECANCELED);
    expect_rc(come_soon(barrier), -ECANCELED);
    expect_rc(come_at_once(barrier), -ECANCELED);
    assert_int_equal(ipc_barrier_waiting(barrier), 0);
}

#endif
