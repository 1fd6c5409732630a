/* What the sweeps of futures have in common: a promise, and those who wait for
 * it. */
#ifndef FUTURE_SWEEP_SUPPORT_H
#define FUTURE_SWEEP_SUPPORT_H

#include "crash/look_once.h"
#include "harness/sweep.h"
#include "unit/lock_support.h"

#include <errno.h>
#include <stdlib.h>

#include <ipc/future.h>

#include "core/family.h"
#include "core/peers.h"
#include "core/waiting.h"
#include "pool/future.h"

enum {
    MAX_SLEEPERS = 2,
    WORDS = 6, /* of a result: it fills what the record has for it, and more */
    SHORT_RECHECK_MS = 10,
    VICTIM = 100, /* the first word of its result */
    FRESH = 1000
};

/* In family memory. */
struct state {
    ipc_future *promise;
    ipc_future *warm; /* for making a thread known */
    int sleepers;     /* of the context */
    uint32_t open;    /* they may begin to wait */
    uint32_t served[MAX_SLEEPERS];
    int rc[MAX_SLEEPERS];
    uint64_t words[MAX_SLEEPERS][WORDS];
    bool cancels; /* the operation does, so that is an end too */
    int fresh_rc; /* of one who came later */
    uint64_t allocations;
    uint32_t peers;
};

static struct state *state;
static struct role sleeping[MAX_SLEEPERS];

static inline uint64_t allocations(void)
{
    ipc_shared_info info = IPC_SHARED_INFO_INIT;
    expect_rc(ipc_shared_query(&info), 0);
    return info.count;
}

static inline uint32_t peers_now(void)
{
    struct ipc__region *family;
    expect_rc(ipc__family(&family), 0);
    return ipc__peer_count(family);
}

/* ---- what is stepped calls no assert ---- */

static inline void must(int rc)
{
    if (rc != 0)
        abort();
}

static inline int keep(ipc_future *promise, uint64_t first)
{
    uint64_t words[WORDS];
    for (uint64_t i = 0; i < WORDS; i++)
        words[i] = first + i;
    return ipc_promise_set_result(promise, words, sizeof words);
}

/* Known, and once through everything. */
static inline void warm_up(void *ctx)
{
    (void)ctx;
    look_once();
    must(ipc__self_register(state->warm));
}

/* ---- those who wait ---- */

static inline void sleeper(void *served)
{
    const long i = (uint32_t *)served - state->served;
    warm_up(NULL);
    meet_wait(&state->open, 1, LIMIT_MS);
    state->rc[i] = ipc_future_result(state->promise, state->words[i],
                                     sizeof state->words[i], NULL);
    meet_signal(served);
    for (;;)
        (void)pause();
}

/* In the victim: have them sleep, one after the other. */
static inline void let_sleepers_in(void *ctx)
{
    warm_up(ctx);
    meet_signal(&state->open);
    for (int i = 0; i < state->sleepers; i++)
        while (!asleep_on(sleeping[i].pid, &state->promise->state) &&
               !thread_ended(sleeping[i].pid))
            poll_pause();
}

/* What happens once in a process has happened then, and is not swept. */
static inline void go_through_it_once(void)
{
    uint64_t words[WORDS];
    ipc_future *promise = NULL;
    expect_rc(ipc_promise_new(sizeof words, &promise), 0);
    expect_rc(ipc_promise_begin(promise), 0);
    expect_rc(keep(promise, VICTIM), 0);
    expect_rc(ipc_future_result(promise, words, sizeof words, NULL), 0);
    expect_rc(ipc_future_free(promise), 0);
    expect_rc(ipc_promise_new(sizeof words, &promise), 0);
    expect_rc(ipc_promise_set_exception(promise, -EIO, "text"), 0);
    expect_rc(ipc_future_wait_until(promise, 1), 0);
    expect_rc(ipc_future_free(promise), 0);
}

static inline void make_state(int sleepers)
{
    state = ipc_shared_alloc(sizeof *state);
    assert_non_null(state);
    state->sleepers = sleepers;
    expect_rc(ipc_promise_new(8, &state->warm), 0);
    go_through_it_once();
    state->allocations = allocations();
    state->peers = peers_now();
}

static inline void reset(void *ctx)
{
    (void)ctx;
    expect_rc(ipc_promise_new(sizeof state->words[0], &state->promise), 0);
    state->open = 0;
    memset(state->served, 0, sizeof state->served);
    memset(state->words, 0, sizeof state->words);
    for (int i = 0; i < state->sleepers; i++)
        role_start(&sleeping[i], sleeper, &state->served[i]);
}

/* ---- afterwards ---- */

/* Somebody comes, and sees to it that it is done: keeps it, or finds that who
 * was to is dead. */
static inline void finish(void *ctx)
{
    warm_up(ctx);
    const int rc = keep(state->promise, FRESH);
    if (rc != 0 && rc != -EPERM && rc != -EALREADY && rc != -ECANCELED)
        role_exit(2);
    if (ipc_future_wait_until(state->promise, ipc_after_ms(LIMIT_MS)) != 0)
        role_exit(3);
}

static inline bool all_served(void)
{
    for (int i = 0; i < state->sleepers; i++)
        if (__atomic_load_n(&state->served[i], __ATOMIC_SEQ_CST) == 0)
            return false;
    return true;
}

static inline bool served_within(int limit_ms)
{
    const int64_t end = test_now_ns() + limit_ms * NS_PER_MS;
    while (!all_served() && test_now_ns() < end)
        poll_pause();
    return all_served();
}

/* Has the promise come to one of the ends that it may come to, and was each of
 * them told so? */
static inline bool is_sound(int i)
{
    const uint64_t *words = state->words[i];
    if (state->rc[i] == -EOWNERDEAD)
        return ipc__future_state(state->promise->state) == IPC__FAILED;
    if (state->rc[i] == -ECANCELED)
        return state->cancels && ipc_future_cancelled(state->promise);
    if (state->rc[i] != 0 || (words[0] != VICTIM && words[0] != FRESH))
        return false;
    for (uint64_t k = 0; k < WORDS; k++)
        if (words[k] != words[0] + k)
            return false;
    return true;
}

static inline void end_sleepers(void)
{
    for (int i = 0; i < state->sleepers; i++) {
        if (thread_ended(sleeping[i].pid))
            test_fail("a sleeper has failed");
        (void)role_kill(&sleeping[i]);
    }
}

static inline void look_for_leftovers(const struct sweep_point *point,
                                      struct sweep_result *result)
{
    if (allocations() != state->allocations || peers_now() > state->peers)
        sweep_leftover(result, point);
    state->allocations = allocations();
}

static inline void be_served(const struct sweep_point *point,
                             struct sweep_result *result)
{
    if (!served_within(WEDGE_MS)) {
        sweep_wedge(result, point);
        return;
    }
    for (int i = 0; i < state->sleepers; i++)
        if (!is_sound(i))
            sweep_torn(result, point);
}

/* If it is done all who wait are told without anybody else's help; else when
 * somebody sees to it. */
static inline void oracle(void *ctx, const struct sweep_point *point,
                          struct sweep_result *result)
{
    const bool was_done = ipc_future_done(state->promise);
    if (point->finished && !was_done)
        sweep_lost(result, point);
    if (was_done)
        be_served(point, result);
    const int how = role_try(finish, ctx, WEDGE_MS);
    if (how == ROLE_HUNG)
        sweep_wedge(result, point);
    else if (how != 0)
        test_fail("the next process failed: %d", how);
    if (!was_done)
        be_served(point, result);
    end_sleepers();
    expect_rc(ipc_future_free(state->promise), 0);
    look_for_leftovers(point, result);
}

/* With the re-check, or the kernel's notice of the death: nobody's help is
 * needed once it was begun. */
static inline void oracle_alone(void *ctx, const struct sweep_point *point,
                                struct sweep_result *result)
{
    if (!ipc_future_done(state->promise) &&
        !ipc_future_running(state->promise)) {
        oracle(ctx, point, result);
        return;
    }
    be_served(point, result);
    end_sleepers();
    expect_rc(ipc_future_free(state->promise), 0);
    look_for_leftovers(point, result);
}

#endif
