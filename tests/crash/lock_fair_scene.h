/* What the sweeps of fair locks have in common: a lock, a pair of numbers that
 * it protects, and sleepers who wait in a known order. */
#ifndef LOCK_FAIR_SCENE_H
#define LOCK_FAIR_SCENE_H

#include "harness/scale.h"
#include "harness/sweep.h"
#include "unit/lock_fair_support.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "core/family.h"
#include "core/peers.h"
#include "core/waiting.h"

enum {
    MAX_SLEEPERS = 3,
    MOST_SERVED = 7
};

/* In family memory. */
struct scene {
    ipc_lock *lock;
    ipc_lock warm; /* for making a thread known, see warm_up() */
    uint32_t x, y; /* equal whenever the lock is free and sound */
    int sleepers;
    uint32_t warmed; /* sleepers that are known */
    uint32_t open;   /* the i-th one begins to wait at i + 1 */
    uint32_t coming; /* sleepers that have seen that */
    uint32_t served[MAX_SLEEPERS];
    uint32_t count;
    char order[MOST_SERVED + 1]; /* 'a'..: sleepers, 'v': the victim */
    int64_t last_ns;             /* when the last sleeper had the lock */
    uint32_t ready, go;          /* of the holder */
    uint32_t prepared;           /* the victim begins */
    uint32_t peers;
    int rc; /* of the fresh one */

    /* Figures over all points. */
    long disorder;   /* sleepers were not served in their order */
    long late_words; /* without the re-check somebody would sleep for good */
    long max_ms;     /* with it: the longest from a death to the last one */
};

static struct scene *scene;
static struct role sleeping[MAX_SLEEPERS];
static struct role holder;

static inline bool rechecks(void)
{
    return ipc__recheck_ns != INT64_MAX;
}

/* So that a sweep need not wait long at each point whose death is found by
 * the re-check. */
static inline void quick_recheck(void)
{
    ipc__recheck_ns = 5 * NS_PER_MS;
}

/* Without the re-check what is lost is a sleep for good, which needs no clock
 * to be seen. */
static inline void no_recheck(void)
{
    ipc__recheck_ns = INT64_MAX;
}

/* ---- the operation: what is stepped calls no assert ---- */

static int take_fair(void)
{
    const int rc = ipc_lock_acquire(scene->lock);
    if (rc == IPC_OWNER_DIED) {
        __atomic_store_n(&scene->y, scene->x, __ATOMIC_SEQ_CST);
        if (ipc_lock_consistent(scene->lock) != 0)
            abort();
    } else if (rc != 0) {
        abort();
    }
    return rc;
}

static void give_fair(void)
{
    if (ipc_lock_release(scene->lock) != 0)
        abort();
}

/* Broken ones take their place. */
static int (*take)(void) = take_fair;
static void (*give)(void) = give_fair;

/* With the lock. */
static inline void change(char who)
{
    const uint32_t count = scene->count;
    __atomic_store_n(&scene->x, scene->x + 1, __ATOMIC_SEQ_CST);
    if (count < MOST_SERVED) {
        scene->order[count] = who;
        __atomic_store_n(&scene->count, count + 1, __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(&scene->y, scene->y + 1, __ATOMIC_SEQ_CST);
}

/* Spinning is not what is swept: who has one CPU does not. */
static inline void use_one_cpu(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)sched_getcpu(), &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        abort();
}

/* Make this thread known where the lock lies. */
static inline void warm_up(void *ctx)
{
    (void)ctx;
    use_one_cpu();
    if (ipc_lock_acquire(&scene->warm) != 0 ||
        ipc_lock_release(&scene->warm) != 0)
        abort();
}

static inline void take_change_give(void *ctx)
{
    (void)ctx;
    (void)take();
    change('v');
    give();
}

static inline void change_and_give(void *ctx)
{
    (void)ctx;
    change('v');
    give();
}

/* ---- sleepers and the holder ---- */

/* They do not end when they were served: an end would wake those who wait for
 * it, and hide that a wake-up was lost. */
static inline _Noreturn void live_on(uint32_t *word)
{
    meet_signal(word);
    for (;;)
        (void)pause();
}

static inline void sleeper(void *arg)
{
    const uint32_t index = (uint32_t)((uint32_t *)arg - scene->served);
    warm_up(NULL);
    meet_signal(&scene->warmed);
    meet_wait(&scene->open, index + 1, LIMIT_MS);
    meet_signal(&scene->coming);
    (void)take();
    change((char)('a' + index));
    scene->last_ns = test_now_ns();
    give();
    live_on(arg);
}

static inline bool is_waiting(pid_t pid)
{
    return take == take_fair ? stands_in_line(scene->lock, pid)
                             : asleep_in_futex(pid);
}

/* The lock is held: have sleepers begin to wait, up to the n-th. */
static inline void let_in(int n)
{
    for (int i = (int)scene->open; i < n; i++) {
        meet_signal(&scene->open);
        meet_wait(&scene->coming, (uint32_t)i + 1, LIMIT_MS);
        while (!is_waiting(sleeping[i].pid) && !thread_ended(sleeping[i].pid))
            poll_pause();
    }
}

static inline void hold_and_give(void *ctx)
{
    warm_up(ctx);
    (void)take();
    meet_signal(&scene->ready);
    meet_wait(&scene->go, 1, LIMIT_MS);
    give();
    live_on(&scene->ready);
}

/* Ends the holder: by a release, or by its death. */
static inline void have_it_released(void)
{
    meet_signal(&scene->go);
}

static inline void have_it_inherited(void)
{
    (void)role_kill(&holder);
}

/* ---- setting the scene ---- */

static inline uint32_t peers_now(void)
{
    struct ipc__region *family;
    assert_int_equal(ipc__family(&family), 0);
    return ipc__peer_count(family);
}

static inline void make_scene(int sleepers)
{
    ipc_lock_options options = IPC_LOCK_OPTIONS_INIT;
    options.flags = IPC_LOCK_FAIR;
    scene = ipc_shared_alloc(sizeof *scene);
    assert_non_null(scene);
    expect_rc(ipc_lock_new(&options, &scene->lock), 0);
    if (rechecks())
        quick_recheck();
    scene->sleepers = sleepers;
    scene->peers = peers_now();
}

static inline void end_all(void)
{
    (void)role_kill(&holder);
    for (int i = 0; i < scene->sleepers; i++)
        (void)role_kill(&sleeping[i]);
}

static inline void reset(void *ctx)
{
    (void)ctx;
    ipc_lock_options options = IPC_LOCK_OPTIONS_INIT;
    options.flags = IPC_LOCK_FAIR;
    options.bytes = ipc_lock_bytes(IPC_LOCK_FAIR);
    end_all();
    expect_rc(ipc_lock_init(scene->lock, &options), 0);
    scene->x = scene->y = scene->count = 0;
    scene->warmed = scene->open = scene->coming = 0;
    scene->ready = scene->go = scene->prepared = 0;
    scene->last_ns = 0;
    memset(scene->served, 0, sizeof scene->served);
    memset(scene->order, 0, sizeof scene->order);
    for (int i = 0; i < scene->sleepers; i++)
        role_start(&sleeping[i], sleeper, &scene->served[i]);
    meet_wait(&scene->warmed, (uint32_t)scene->sleepers, LIMIT_MS);
}

static inline void reset_with_holder(void *ctx)
{
    reset(ctx);
    role_start(&holder, hold_and_give, NULL);
    meet_wait(&scene->ready, 1, LIMIT_MS);
}

/* ---- the oracle ---- */

static inline bool is_served(int i)
{
    return __atomic_load_n(&scene->served[i], __ATOMIC_SEQ_CST) != 0;
}

static inline bool all_served(void)
{
    bool served = true;
    for (int i = 0; i < scene->sleepers; i++)
        served = served && is_served(i);
    return served;
}

/* All that were not served sleep.  Nobody is left who could wake them. */
static inline bool all_stuck(void)
{
    for (int look = 0; look < 3; look++) {
        for (int i = 0; i < scene->sleepers; i++)
            if (!is_served(i) && !asleep_in_futex(sleeping[i].pid))
                return false;
        poll_pause();
    }
    return !all_served();
}

static inline bool in_order(void)
{
    char last = 'a';
    for (const char *p = scene->order; *p != '\0'; p++) {
        if (*p == 'v')
            continue;
        if (*p != last)
            return false;
        last++;
    }
    return true;
}

static void fresh_take_change_give(void *ctx)
{
    warm_up(ctx);
    scene->rc = take();
    change('f');
    give();
}

/* A fresh process gets the lock; then it is free, the pair is whole, and
 * nobody is thought to be there. */
static inline void fresh_oracle(void *ctx, const struct sweep_point *point,
                                struct sweep_result *result)
{
    const int how = role_try(fresh_take_change_give, ctx, WEDGE_MS);
    if (how == ROLE_HUNG) {
        sweep_wedge(result, point);
        return;
    }
    if (how != 0)
        test_fail("the next process failed: %d", how);
    if (scene->x != scene->y)
        sweep_torn(result, point);
    if (peers_now() > scene->peers || futex_half(scene->lock) != 0)
        sweep_leftover(result, point);
}

/* Everybody who waited gets it, in order; then a fresh process. */
static inline void line_oracle(void *ctx, const struct sweep_point *point,
                               struct sweep_result *result)
{
    const int64_t start = test_now_ns();
    bool stuck = false, wedged = false;
    let_in(scene->sleepers);
    while (!all_served() && !stuck && !wedged) {
        stuck = !rechecks() && all_stuck();
        wedged = test_now_ns() - start > WEDGE_MS * NS_PER_MS;
        poll_pause();
    }
    if (stuck)
        scene->late_words++;
    else if (wedged)
        sweep_wedge(result, point);
    else if (scene->sleepers > 0 &&
             to_ms(scene->last_ns - start) > scene->max_ms)
        scene->max_ms = to_ms(scene->last_ns - start);
    if (!stuck && !wedged && !in_order())
        scene->disorder++;
    end_all();
    fresh_oracle(ctx, point, result);
}

static inline void report(const char *name, const struct sweep_result *result)
{
    sweep_report(name, result);
    test_report("disorder", scene->disorder);
    test_report(rechecks() ? "max_ms" : "late_words",
                rechecks() ? scene->max_ms : scene->late_words);
}

#endif
