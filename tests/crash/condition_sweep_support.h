/* What the sweeps of conditions have in common: those who wait besides the
 * victim, one who notifies, and what is to be found afterwards. */
#ifndef CONDITION_SWEEP_SUPPORT_H
#define CONDITION_SWEEP_SUPPORT_H

#include "crash/look_once.h"
#include "harness/sweep.h"
#include "unit/condition_support.h"

#include "core/family.h"
#include "core/peers.h"
#include "core/waiting.h"

enum {
    MAX_SLEEPERS = 3,
    EVERYBODY = 1000 /* notify_all */
};

struct sleeper {
    uint32_t back; /* it has come back, and let go of the lock */
    int rc;
};

/* In family memory. */
struct state {
    ipc_lock lock;
    ipc_condition condition;
    struct box warm;    /* for making a thread known, see warm_up() */
    int sleepers;       /* of the context */
    uint32_t notify;    /* as many as this, or EVERYBODY */
    uint32_t told;      /* the lock's owner died, somebody was told */
    uint32_t notified;  /* the victim has come back from notify */
    uint32_t victim_rc; /* of the victim's wait, + 1000; 0: not back */
    uint32_t peers;     /* threads known before: more is a leftover */
    uint32_t hung;      /* the one who notifies waits for ever */
    int64_t notify_ns;  /* how long that took, at most */
    long swallowed;     /* points whose call went down with the victim */
    long extra;         /* points at which one more came than was called */
    int64_t pass_on_ns; /* how long it took to pass a call on, at most */
    struct sleeper sleeper[MAX_SLEEPERS];
};

static struct state *state;
static struct role sleeping[MAX_SLEEPERS];

static inline void no_recheck(void)
{
    ipc__recheck_ns = INT64_MAX;
}

/* ---- what is stepped calls no assert ---- */

/* What dead owners leave is made good. */
static inline void let_go(int rc)
{
    if (rc == IPC_OWNER_DIED) {
        (void)__atomic_add_fetch(&state->told, 1, __ATOMIC_SEQ_CST);
        if (ipc_lock_consistent(&state->lock) != 0)
            abort();
    }
    if ((rc < 0 && rc != -ETIMEDOUT) || ipc_lock_release(&state->lock) != 0)
        abort();
}

static inline void take_lock(void)
{
    const int rc = ipc_lock_acquire(&state->lock);
    if (rc == IPC_OWNER_DIED) {
        (void)__atomic_add_fetch(&state->told, 1, __ATOMIC_SEQ_CST);
        if (ipc_lock_consistent(&state->lock) != 0)
            abort();
    } else if (rc != 0) {
        abort();
    }
}

static inline void notify_so_many(uint32_t n)
{
    const int rc = n == EVERYBODY ? ipc_condition_notify_all(&state->condition)
                                  : ipc_condition_notify(&state->condition, n);
    if (rc != 0)
        abort();
}

/* Make this thread known where the condition lies. */
static inline void warm_up(void *ctx)
{
    (void)ctx;
    look_once();
    if (ipc_lock_acquire(&state->warm.lock) != 0 ||
        ipc_condition_wait_until(&state->warm.condition, &state->warm.lock,
                                 IPC_TIME_NOW) != -ETIMEDOUT ||
        ipc_lock_release(&state->warm.lock) != 0)
        abort();
}

/* ---- those who wait ---- */

/* Does not end when it is back: its end might wake others, and hide that a
 * wake-up was lost. */
static inline void sleep_till_called(void *arg)
{
    struct sleeper *sleeper = arg;
    take_lock();
    sleeper->rc = ipc_condition_wait(&state->condition, &state->lock);
    let_go(sleeper->rc);
    meet_signal(&sleeper->back);
    for (;;)
        (void)pause();
}

static inline bool in_condition(pid_t pid)
{
    return asleep_in(pid, &state->condition, sizeof state->condition);
}

static inline bool is_back(int i)
{
    return __atomic_load_n(&state->sleeper[i].back, __ATOMIC_SEQ_CST) != 0;
}

static inline void expect_alive(int i)
{
    if (thread_ended(sleeping[i].pid))
        test_fail("sleeper %d has failed", i);
}

static inline void start_sleeper(int i)
{
    state->sleeper[i] = (struct sleeper){.back = 0};
    role_start(&sleeping[i], sleep_till_called, &state->sleeper[i]);
    while (!in_condition(sleeping[i].pid)) {
        expect_alive(i);
        poll_pause();
    }
}

static inline void start_sleepers(int from)
{
    for (int i = from; i < state->sleepers; i++)
        start_sleeper(i);
}

static inline void end_sleepers(void)
{
    for (int i = 0; i < state->sleepers; i++) {
        if (sleeping[i].pid != 0)
            expect_alive(i);
        (void)role_kill(&sleeping[i]);
    }
}

static inline int count_back(void)
{
    int back = 0;
    for (int i = 0; i < state->sleepers; i++)
        back += is_back(i);
    return back;
}

/* Each is back, or sleeps in the condition: nothing more will happen by itself
 * but for the re-check.  False: it does not come to that. */
static inline bool settle(void)
{
    const int64_t end = test_now_ns() + WEDGE_MS * NS_PER_MS;
    for (int i = 0; i < state->sleepers; i++) {
        while (!is_back(i) && !in_condition(sleeping[i].pid)) {
            expect_alive(i);
            if (test_now_ns() > end)
                return false;
            poll_pause();
        }
    }
    return true;
}

/* ---- others ---- */

static inline void notify_as_told(void *arg)
{
    const uint32_t n = *(const uint32_t *)arg;
    const int64_t start_ns = test_now_ns();
    notify_so_many(n);
    const int64_t ns = test_now_ns() - start_ns;
    if (ns > state->notify_ns)
        state->notify_ns = ns;
}

/* Somebody notifies n, and does not wait for anybody living or dead. */
static inline void fresh_notify(uint32_t n)
{
    uint32_t *arg = &n; /* a copy in the child */
    const int how = role_try(notify_as_told, arg, WEDGE_MS);
    if (how == ROLE_HUNG)
        state->hung = 1;
    else if (how != 0)
        test_fail("the one who notifies failed: %d", how);
}

static inline uint32_t peers_now(void)
{
    struct ipc__region *family;
    assert_int_equal(ipc__family(&family), 0);
    return ipc__peer_count(family);
}

static inline void make_state(int sleepers, uint32_t notify)
{
    state = family_alloc(sizeof *state);
    state->sleepers = sleepers;
    state->notify = notify;
    state->peers = peers_now();
}

static inline void reset_empty(void *ctx)
{
    (void)ctx;
    memset(&state->lock, 0, sizeof state->lock);
    memset(&state->condition, 0, sizeof state->condition);
    memset(state->sleeper, 0, sizeof state->sleeper);
    state->told = state->victim_rc = state->hung = state->notified = 0;
}

static inline void reset_with_sleepers(void *ctx)
{
    reset_empty(ctx);
    start_sleepers(0);
}

/* ---- oracles ---- */

/* Notifies so many; then uses lock and condition as if they were new. */
static inline void notify_and_use(void *arg)
{
    notify_as_told(arg);
    take_lock();
    const int rc =
        ipc_condition_wait_until(&state->condition, &state->lock, IPC_TIME_NOW);
    let_go(rc);
    if (rc != -ETIMEDOUT)
        role_exit(1);
}

/* Those who are left still wait as they should: the next call wakes them, at
 * once.  And afterwards everything is as new. */
static inline void expect_as_new(const struct sweep_point *point,
                                 struct sweep_result *result)
{
    uint32_t left = (uint32_t)(state->sleepers - count_back());
    left += left == 0;
    const int how = role_try(notify_and_use, &left, WEDGE_MS);
    if (how == 1)
        sweep_torn(result, point);
    else if (how != 0 && how != ROLE_HUNG)
        test_fail("the next process failed: %d", how);
    const bool woken = settle() && count_back() == state->sleepers;
    if (how == ROLE_HUNG || !woken)
        sweep_wedge(result, point);
    end_sleepers();
    if (how != ROLE_HUNG &&
        (ipc_condition_waiting(&state->condition) != 0 ||
         ipc_condition_fini(&state->condition) != 0 ||
         peers_now() > state->peers || futex_half(&state->lock) != 0))
        sweep_leftover(result, point);
}

static inline void report(const char *name, const struct sweep_result *result)
{
    sweep_report(name, result);
    if (state->notify_ns > 0)
        test_report("notify_max_us", state->notify_ns / 1000);
    if (state->swallowed > 0)
        test_report("swallowed", state->swallowed);
    if (state->extra > 0)
        test_report("extra", state->extra);
    if (state->pass_on_ns > 0)
        test_report("passed_on_ms", to_ms(state->pass_on_ns));
}

#endif
