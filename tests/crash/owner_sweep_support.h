/* What the sweeps of lock and guard have in common: the owner word, a pair of
 * numbers that it protects, and those who wait for it. */
#ifndef OWNER_SWEEP_SUPPORT_H
#define OWNER_SWEEP_SUPPORT_H

#include "crash/look_once.h"
#include "harness/sweep.h"
#include "unit/lock_support.h"

#include <errno.h>
#include <stdlib.h>

#include "core/family.h"
#include "core/peers.h"
#include "core/waiting.h"

/* ---- the re-check, to be turned off ---- */

/* Without the re-check a wake-up or a notice of death that is lost is a sleep
 * for good, which needs no clock to be seen. */
static inline void no_recheck(void)
{
    ipc__recheck_ns = INT64_MAX;
}

/* ---- state ---- */

enum {
    MAX_SLEEPERS = 2
};

/* In family memory. */
struct state {
    ipc_lock lock; /* or a guard, which is its first word */
    ipc_lock warm; /* for making a thread known, see warm_up() */
    uint32_t x, y; /* equal whenever the lock is free and sound */
    int fresh_rc;  /* what the acquire of the one who comes last gave */
    int sleepers;  /* of the context */
    uint32_t open; /* sleepers may begin to wait */
    uint32_t served[MAX_SLEEPERS]; /* it has had the lock */
    int64_t last_ns;               /* when the last of them had the lock */
    uint32_t peers; /* threads known before: more is a leftover */
    void (*fresh)(void *ctx);

    /* Points at which somebody sleeps for good without the re-check: */
    long lost_wakes; /* on a lock that is free: a wake-up was lost */
    long late_news;  /* on a dead owner: nobody told of the death */
    long max_ms;     /* with the re-check: the longest wait after a death */
};

static struct state *state;
static struct role sleeping[MAX_SLEEPERS];

/* ---- the operation: what is stepped calls no assert ---- */

static int take_lock(void)
{
    const int rc = ipc_lock_acquire(&state->lock);
    if (rc == IPC_OWNER_DIED) {
        __atomic_store_n(&state->y, state->x, __ATOMIC_SEQ_CST);
        if (ipc_lock_consistent(&state->lock) != 0)
            abort();
    } else if (rc != 0) {
        abort();
    }
    return rc;
}

static inline void change(void)
{
    __atomic_store_n(&state->x, state->x + 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&state->y, state->y + 1, __ATOMIC_SEQ_CST);
}

static void give_lock(void)
{
    if (ipc_lock_release(&state->lock) != 0)
        abort();
}

/* Returns IPC_OWNER_DIED when the pair was repaired. */
static int (*take)(void) = take_lock;
static void (*give)(void) = give_lock;

static inline void think(void)
{
    for (volatile int i = 0; i < 8; i++)
        ;
}

/* Make this thread known where the lock lies. */
static inline void warm_up(void *ctx)
{
    (void)ctx;
    look_once();
    if (ipc_lock_acquire(&state->warm) != 0 ||
        ipc_lock_release(&state->warm) != 0)
        abort();
}

/* ---- those who wait ---- */

/* Does not end when it was served: its end would wake those who wait for it,
 * and hide that a wake-up was lost. */
static inline void sleeper(void *served)
{
    warm_up(NULL);
    meet_wait(&state->open, 1, LIMIT_MS);
    (void)take();
    change();
    state->last_ns = test_now_ns();
    give();
    meet_signal(served);
    for (;;)
        (void)pause();
}

static inline void wait_asleep_on_lock(pid_t pid)
{
    while (!asleep_on(pid, &state->lock.word_) && !thread_ended(pid))
        poll_pause();
}

/* The lock is held: have the sleepers begin to wait, one after the other
 * asleep. */
static inline void let_sleepers_in(void)
{
    meet_signal(&state->open);
    for (int i = 0; i < state->sleepers; i++)
        wait_asleep_on_lock(sleeping[i].pid);
}

static inline void start_sleepers(void)
{
    for (int i = 0; i < state->sleepers; i++)
        role_start(&sleeping[i], sleeper, &state->served[i]);
}

static inline uint32_t peers_now(void)
{
    struct ipc__region *family;
    assert_int_equal(ipc__family(&family), 0);
    return ipc__peer_count(family);
}

static void fresh_take_change_give(void *ctx)
{
    warm_up(ctx);
    state->fresh_rc = take();
    change();
    give();
}

static inline void make_state(int sleepers)
{
    state = ipc_shared_alloc(sizeof *state);
    assert_non_null(state);
    state->sleepers = sleepers;
    state->fresh = fresh_take_change_give;
    state->peers = peers_now();
}

static inline void reset(void *ctx)
{
    (void)ctx;
    memset(&state->lock, 0, sizeof state->lock);
    state->x = state->y = 0;
    state->open = 0;
    memset(state->served, 0, sizeof state->served);
    state->last_ns = 0;
    start_sleepers();
}

/* ---- oracles ---- */

/* A fresh process gets the lock, told truly whether its owner died; then it
 * is free, the pair is whole, and nobody is thought to be there. */
static inline void fresh_oracle(void *ctx, const struct sweep_point *point,
                                struct sweep_result *result)
{
    const bool was_free = futex_half(&state->lock) == 0;
    const int how = role_try(state->fresh, ctx, WEDGE_MS);
    if (how == ROLE_HUNG) {
        sweep_wedge(result, point);
        return;
    }
    if (how != 0)
        test_fail("the next process failed: %d", how);
    if (state->fresh_rc != (was_free ? 0 : IPC_OWNER_DIED))
        sweep_lost(result, point);
    if (state->x != state->y)
        sweep_torn(result, point);
    if (peers_now() > state->peers || futex_half(&state->lock) != 0)
        sweep_leftover(result, point);
}

static inline bool is_served(int i)
{
    return __atomic_load_n(&state->served[i], __ATOMIC_SEQ_CST) != 0;
}

static inline bool all_served(void)
{
    bool served = true;
    for (int i = 0; i < state->sleepers; i++)
        served = served && is_served(i);
    return served;
}

/* All that were not served sleep on the lock.  Nobody is left who could wake
 * them. */
static inline bool all_stuck(void)
{
    for (int look = 0; look < 3; look++) {
        for (int i = 0; i < state->sleepers; i++)
            if (!is_served(i) &&
                !asleep_on(sleeping[i].pid, &state->lock.word_))
                return false;
        poll_pause();
    }
    return !all_served();
}

static inline void end_sleepers(void)
{
    for (int i = 0; i < state->sleepers; i++) {
        if (thread_ended(sleeping[i].pid))
            test_fail("a sleeper has failed");
        (void)role_kill(&sleeping[i]);
    }
}

/* Others that the context has started, to be ended before the fresh one. */
static void (*end_others)(void);

/* Everybody who waited gets it, each in turn; then a fresh process. */
static inline void sleepers_oracle(void *ctx, const struct sweep_point *point,
                                   struct sweep_result *result)
{
    const int64_t start = test_now_ns();
    const bool was_free = futex_half(&state->lock) == 0;
    bool stuck = false, wedged = false;
    while (!all_served() && !stuck && !wedged) {
        stuck = ipc__recheck_ns == INT64_MAX && all_stuck();
        wedged = test_now_ns() - start > WEDGE_MS * NS_PER_MS;
        poll_pause();
    }
    end_sleepers();
    if (end_others != NULL)
        end_others();
    if (stuck)
        ++*(was_free ? &state->lost_wakes : &state->late_news);
    else if (wedged)
        sweep_wedge(result, point);
    else if (state->sleepers > 0 &&
             to_ms(state->last_ns - start) > state->max_ms)
        state->max_ms = to_ms(state->last_ns - start);
    fresh_oracle(ctx, point, result);
}

static inline void report(const char *name, const struct sweep_result *result)
{
    sweep_report(name, result);
    if (ipc__recheck_ns == INT64_MAX) {
        test_report("lost_wakes", state->lost_wakes);
        test_report("late_news", state->late_news);
    } else if (state->sleepers > 0) {
        test_report("max_ms", state->max_ms);
    }
}

#endif
