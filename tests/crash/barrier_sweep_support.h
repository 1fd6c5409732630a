/* What the sweeps of barriers have in common: a barrier for three, the two
 * others that come to it, and what may become of them when the third dies. */
#ifndef BARRIER_SWEEP_SUPPORT_H
#define BARRIER_SWEEP_SUPPORT_H

#include "harness/sweep.h"
#include "unit/lock_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <ipc/barrier.h>

#include "core/family.h"
#include "core/peers.h"
#include "core/waiting.h"

enum {
    PARTIES = 3,
    OTHERS = PARTIES - 1,
    NUMBER = ~3 /* the bits of phase_ that number the phases */
};

/* Whoever takes longer hangs, on a loaded machine too. */
static int hung_ms = 3000;

/* In family memory. */
struct state {
    ipc_barrier barrier;
    ipc_lock warm;
    uint32_t flags;
    uint32_t acted;
    uint32_t open[OTHERS], begun[OTHERS], done[OTHERS];
    int rc[OTHERS]; /* what they got */
    int fresh[PARTIES];
    uint32_t peers;

    /* At how many points what became of the others: */
    long passed, broken, waited;
};

static struct state *state;
static struct role other[OTHERS];

/* What is swept: the library's or, to be found broken, another one. */
static int (*wait_at)(ipc_barrier *barrier) = ipc_barrier_wait;

/* ---- what is stepped calls no assert ---- */

static inline uint32_t get(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

/* Who spins before it sleeps passes thousands of points of which one is like
 * the other. */
static inline void warm_up(void *ctx)
{
    const uint32_t word = 0;
    (void)ctx;
    (void)ipc__spin(&word, 0); /* the first one sets the limit */
    ipc__spin_limit = 0;
    if (ipc_lock_acquire(&state->warm) != 0 ||
        ipc_lock_release(&state->warm) != 0)
        abort();
}

static inline int act(void *arg)
{
    (void)arg;
    (void)__atomic_add_fetch(&state->acted, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static inline int wait_and_act(ipc_barrier *barrier)
{
    return ipc_barrier_wait_action(barrier, act, NULL, IPC_TIME_FOREVER);
}

/* ---- the others ---- */

/* They look again often: how soon a death is noticed without the kernel is not
 * what is tested here.  They do not end: that would wake those who wait. */
static inline void come_when_told(void *arg)
{
    const long self = (long)(intptr_t)arg;
    warm_up(NULL);
    ipc__recheck_ns = 5 * NS_PER_MS;
    meet_wait(&state->open[self], 1, LIMIT_MS);
    __atomic_store_n(&state->begun[self], 1, __ATOMIC_SEQ_CST);
    state->rc[self] = wait_at(&state->barrier);
    meet_signal(&state->done[self]);
    for (;;)
        (void)pause();
}

static inline bool is_done(int i)
{
    return get(&state->done[i]) != 0;
}

static inline void let_in(int i)
{
    meet_signal(&state->open[i]);
    while (!is_done(i) &&
           !(get(&state->begun[i]) != 0 && asleep_in_futex(other[i].pid)) &&
           !thread_ended(other[i].pid))
        poll_pause();
}

static inline void let_both_in(void)
{
    for (int i = 0; i < OTHERS; i++)
        let_in(i);
}

static inline void end_others(void)
{
    for (int i = 0; i < OTHERS; i++) {
        if (other[i].pid == 0)
            continue;
        if (thread_ended(other[i].pid))
            test_fail("another party has failed");
        (void)role_kill(&other[i]);
    }
}

static inline bool both_done_within(int limit_ms)
{
    const int64_t end = test_now_ns() + limit_ms * NS_PER_MS;
    while (!(is_done(0) && is_done(1))) {
        if (test_now_ns() > end)
            return false;
        poll_pause();
    }
    return true;
}

/* ---- state ---- */

static inline uint32_t peers_now(void)
{
    struct ipc__region *family;
    assert_int_equal(ipc__family(&family), 0);
    return ipc__peer_count(family);
}

static inline void make_state(uint32_t flags)
{
    state = ipc_shared_alloc(sizeof *state);
    assert_non_null(state);
    state->flags = flags;
    state->peers = peers_now();
}

static inline void reset_parties(uint32_t parties)
{
    const ipc_barrier_options options = {sizeof options, state->flags, NULL};
    assert_int_equal(ipc_barrier_init(&state->barrier, parties, &options), 0);
    state->acted = 0;
    memset(state->open, 0, sizeof state->open);
    memset(state->begun, 0, sizeof state->begun);
    memset(state->done, 0, sizeof state->done);
    memset(state->rc, 0, sizeof state->rc);
}

static inline void reset(void *ctx)
{
    (void)ctx;
    reset_parties(PARTIES);
    for (int i = 0; i < OTHERS; i++)
        role_start(&other[i], come_when_told, (void *)(intptr_t)i);
}

/* ---- what the oracles ask ---- */

static inline bool is_ended(void)
{
    return (get(&state->barrier.phase_) & (uint32_t)NUMBER) != 0;
}

/* Does the barrier know this thread: has it come, or is it enrolled; or has
 * that been dealt with?  In the order in which the others do that. */
static inline bool is_known(pid_t pid)
{
    const uint64_t gone = UINT64_MAX;
    bool known = false;
    for (int i = 0; i < PARTIES; i++) {
        const uint64_t word =
            __atomic_load_n(&state->barrier.party_[i], __ATOMIC_SEQ_CST);
        known = known || word == gone ||
                ((uint32_t)word & 0x003fffff) == (uint32_t)pid;
    }
    return known || ipc_barrier_is_broken(&state->barrier) || is_ended();
}

static inline void come_afresh(void *arg)
{
    warm_up(NULL);
    ipc__recheck_ns = 5 * NS_PER_MS;
    *(int *)arg = wait_at(&state->barrier);
}

/* So many more come.  False: hung. */
static inline bool more_come(int count)
{
    struct role role[PARTIES];
    bool ended = true;
    for (int i = 0; i < count; i++)
        role_start(&role[i], come_afresh, &state->fresh[i]);
    for (int i = 0; i < count; i++) {
        int status = 0;
        const bool in_time = role_dead_within(&role[i], hung_ms, &status);
        if (in_time && status != 0)
            test_fail("a new party failed: wait status 0x%x", status);
        ended = ended && in_time;
        (void)role_kill(&role[i]);
    }
    return ended;
}

/* Do these say that all have passed, each with a place of its own? */
static inline bool have_passed(const int *rc, int count, uint32_t *places)
{
    for (int i = 0; i < count; i++) {
        if (rc[i] < 0 || rc[i] >= PARTIES || (*places >> rc[i] & 1) != 0)
            return false;
        *places |= 1u << rc[i];
    }
    return true;
}

static inline bool were_sent_away(void)
{
    for (int i = 0; i < OTHERS; i++)
        if (state->rc[i] != -ECANCELED)
            return false;
    return true;
}

static inline void reset_it(void *ctx)
{
    (void)ctx;
    if (ipc_barrier_reset(&state->barrier) != 0)
        abort();
}

static inline void abort_it(void *ctx)
{
    (void)ctx;
    if (ipc_barrier_abort(&state->barrier) != 0)
        abort();
}

/* False: hung. */
static inline bool try_afresh(void (*fn)(void *ctx))
{
    const int how = role_try(fn, NULL, hung_ms);
    if (how != 0 && how != ROLE_HUNG)
        test_fail("the next process failed: %d", how);
    return how == 0;
}

/* In the end, whatever was: whole again, new parties pass, and no trace is
 * left of anybody. */
static inline void use_again(const struct sweep_point *point,
                             struct sweep_result *result)
{
    uint32_t places = 0;
    bool left = false;
    end_others();
    if (ipc_barrier_is_broken(&state->barrier) && !try_afresh(reset_it)) {
        sweep_wedge(result, point);
        return;
    }
    const int parties = (int)ipc_barrier_parties(&state->barrier);
    if (!more_come(parties)) {
        sweep_wedge(result, point);
        return;
    }
    if (!have_passed(state->fresh, parties, &places))
        sweep_lost(result, point);
    for (int i = 0; i < PARTIES; i++) {
        const uint64_t word = state->barrier.party_[i];
        left = left || (word != 0 && word != UINT64_MAX);
    }
    if (left || peers_now() > state->peers ||
        ipc_barrier_waiting(&state->barrier) != 0)
        sweep_leftover(result, point);
}

static inline void report(const char *name, const struct sweep_result *result)
{
    char text[48];
    sweep_report(name, result);
    (void)snprintf(text, sizeof text, "%s.passed", name);
    test_report(text, state->passed);
    (void)snprintf(text, sizeof text, "%s.broken", name);
    test_report(text, state->broken);
    (void)snprintf(text, sizeof text, "%s.waited", name);
    test_report(text, state->waited);
}

#endif
