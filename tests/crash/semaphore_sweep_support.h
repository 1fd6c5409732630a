/* What the sweeps of semaphores have in common: a semaphore, who holds its
 * permits, who waits for them, and the count of permits after a death.
 *
 * In each run some permits are held by holders, processes that live as long as
 * the case; some by the victim, as its operation begins or ends; the others
 * are free.  Sleepers are started for each run; each takes one permit, and
 * gives it back or keeps it. */
#ifndef SEMAPHORE_SWEEP_SUPPORT_H
#define SEMAPHORE_SWEEP_SUPPORT_H

#include "crash/look_once.h"
#include "harness/sweep.h"
#include "unit/semaphore_support.h"

#include <signal.h>
#include <stdlib.h>

#include "core/family.h"
#include "core/peers.h"
#include "core/waiting.h"

enum {
    HOLDERS_MAX = 4,
    SLEEPERS_MAX = 2,
    LONG_MS = 600000 /* the life of a case */
};

/* Without the re-check a wake-up or a notice of death that is lost is a sleep
 * for good, which needs no clock to be seen. */
static inline void no_recheck(void)
{
    ipc__recheck_ns = INT64_MAX;
}

static inline bool rechecks(void)
{
    return ipc__recheck_ns != INT64_MAX;
}

/* ---- state: in family memory ---- */

struct holder {
    uint32_t permits; /* that it takes */
    uint32_t take, taken, give, given;
};

struct sleeper {
    uint32_t waiting; /* it is about to acquire */
    uint32_t served;
};

struct scene {
    /* What the case sets: */
    uint32_t flags;
    uint32_t total;
    int holders;
    uint32_t victims;    /* permits that the operation takes or gives */
    uint32_t gone_after; /* of these: gone when it is complete */
    int sleepers;
    bool keep;      /* sleepers keep what they get */
    bool twice;     /* two victims in a run, one after the other */
    bool forgetful; /* broken on purpose: tracked, it is thought */

    ipc_semaphore *semaphore;
    ipc_semaphore *warm; /* for making a thread known, */
    ipc_lock known;      /* also where that takes none of its guard */
    struct holder holder[HOLDERS_MAX];
    struct sleeper sleeper[SLEEPERS_MAX];
    uint32_t open; /* sleepers that may come */
    uint32_t peers;
    int64_t last_ns; /* when the last sleeper was served */
    int fresh_rc;

    /* Figures: */
    long lost_wakes; /* sleepers that slept on beside free permits, */
    long late_news;  /* or beside a dead holder */
    long gone;       /* untracked permits that went with the victim */
    long max_ms;     /* with the re-check: the longest wait after a death */
};

static struct scene *scene;
static struct role holding[HOLDERS_MAX];
static struct role sleeping[SLEEPERS_MAX];

static inline bool is_tracked(void)
{
    return scene->forgetful || (scene->flags & TRACKED) != 0;
}

/* ---- the operation: what is stepped calls no assert ---- */

static inline void take(uint32_t n)
{
    if (ipc_semaphore_acquire_many(scene->semaphore, n) != 0)
        abort();
}

static inline void give(uint32_t n)
{
    if (ipc_semaphore_release_many(scene->semaphore, n) != 0)
        abort();
}

/* The forms for one are functions of their own. */
static inline void take_one(void)
{
    if (ipc_semaphore_acquire(scene->semaphore) != 0)
        abort();
}

static inline void give_one(void)
{
    if (ipc_semaphore_release(scene->semaphore) != 0)
        abort();
}

static inline void think(void)
{
    for (volatile int i = 0; i < 8; i++)
        ;
}

/* Make this thread known where the semaphore lies. */
static inline void warm_up(void *ctx)
{
    (void)ctx;
    look_once();
    if (ipc_semaphore_acquire(scene->warm) != 0 ||
        ipc_semaphore_release(scene->warm) != 0 ||
        ipc_lock_acquire(&scene->known) != 0 ||
        ipc_lock_release(&scene->known) != 0)
        abort();
}

/* ---- holders ---- */

static inline void be_holder(void *arg)
{
    struct holder *holder = arg;
    warm_up(NULL);
    for (uint32_t round = 1;; round++) {
        meet_wait(&holder->take, round, LONG_MS);
        take(holder->permits);
        meet_signal(&holder->taken);
        meet_wait(&holder->give, round, LONG_MS);
        give(holder->permits);
        meet_signal(&holder->given);
    }
}

static inline uint32_t peek(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void start_holder_again(int i)
{
    struct holder *holder = &scene->holder[i];
    holder->take = holder->taken = holder->give = holder->given = 0;
    role_start(&holding[i], be_holder, holder);
}

static inline void holder_takes(int i)
{
    struct holder *holder = &scene->holder[i];
    meet_signal(&holder->take);
    meet_wait(&holder->taken, holder->take, LIMIT_MS);
}

/* False: it hangs, or was refused. */
static inline bool holder_gives(int i)
{
    struct holder *holder = &scene->holder[i];
    if (peek(&holder->give) < peek(&holder->taken))
        meet_signal(&holder->give);
    const int64_t end = test_now_ns() + WEDGE_MS * NS_PER_MS;
    while (peek(&holder->given) < peek(&holder->give))
        if (thread_ended(holding[i].pid) || test_now_ns() > end)
            return false;
        else if (!meet_within(&holder->given, peek(&holder->give), 5))
            poll_pause();
    return true;
}

static inline bool is_kept(int i)
{
    return peek(&scene->holder[i].given) < peek(&scene->holder[i].taken);
}

static inline uint32_t permits_of_holders(void)
{
    uint32_t permits = 0;
    for (int i = 0; i < scene->holders; i++)
        if (holding[i].pid != 0 && is_kept(i))
            permits += scene->holder[i].permits;
    return permits;
}

/* ---- sleepers ---- */

/* Does not end when it was served: its end would wake others, and hide that a
 * wake-up was lost. */
static inline void be_sleeper(void *arg)
{
    struct sleeper *sleeper = arg;
    const uint32_t number = 1 + (uint32_t)(sleeper - scene->sleeper);
    warm_up(NULL);
    meet_wait(&scene->open, number, LONG_MS);
    __atomic_store_n(&sleeper->waiting, 1, __ATOMIC_SEQ_CST);
    take_one();
    scene->last_ns = test_now_ns();
    if (!scene->keep)
        give_one();
    meet_signal(&sleeper->served);
    for (;;)
        (void)pause();
}

static inline bool is_served(int i)
{
    return peek(&scene->sleeper[i].served) != 0;
}

static inline bool is_asleep(int i)
{
    return peek(&scene->sleeper[i].waiting) != 0 &&
           asleep_in_futex(sleeping[i].pid);
}

/* No permit is free: have the sleepers begin to wait, one after the other
 * asleep. */
static inline void let_sleepers_in(void)
{
    for (int i = 0; i < scene->sleepers; i++) {
        meet_signal(&scene->open);
        while (!is_asleep(i) && !is_served(i) && !thread_ended(sleeping[i].pid))
            poll_pause();
    }
}

static inline int count_served(void)
{
    int served = 0;
    for (int i = 0; i < scene->sleepers; i++)
        served += is_served(i);
    return served;
}

/* All that were not served sleep.  Nobody is left who could wake them. */
static inline bool all_stuck(void)
{
    for (int look = 0; look < 3; look++) {
        for (int i = 0; i < scene->sleepers; i++)
            if (!is_served(i) && !is_asleep(i))
                return false;
        poll_pause();
    }
    return count_served() < scene->sleepers;
}

static inline void end_sleepers(void)
{
    for (int i = 0; i < scene->sleepers; i++) {
        if (thread_ended(sleeping[i].pid))
            test_fail("a sleeper has failed");
        (void)role_kill(&sleeping[i]);
    }
}

/* ---- before each run ---- */

static inline uint32_t peers_now(void)
{
    struct ipc__region *family;
    assert_int_equal(ipc__family(&family), 0);
    return ipc__peer_count(family);
}

static inline ipc_semaphore *scene_semaphore(void)
{
    ipc_semaphore *memory =
        ipc_shared_alloc(ipc_semaphore_bytes(scene->total, scene->flags));
    assert_non_null(memory);
    return memory;
}

static inline void init_semaphore(ipc_semaphore *semaphore)
{
    ipc_semaphore_options options = semaphore_options(scene->flags, NULL);
    options.bytes = ipc_semaphore_bytes(scene->total, scene->flags);
    expect_rc(ipc_semaphore_init(semaphore, scene->total, &options), 0);
}

/* plan holds what the case sets. */
static inline void make_scene(const struct scene *plan)
{
    scene = ipc_shared_alloc(sizeof *scene);
    assert_non_null(scene);
    *scene = *plan;
    say_kind(scene->flags);
    scene->semaphore = scene_semaphore();
    scene->warm = scene_semaphore();
    init_semaphore(scene->warm);
    init_semaphore(scene->semaphore);
    for (int i = 0; i < scene->holders; i++) {
        if (scene->holder[i].permits == 0)
            scene->holder[i].permits = 1;
        start_holder_again(i);
        holder_takes(i);
        assert_true(holder_gives(i));
    }
    scene->peers = peers_now(); /* all holders are known */
}

static inline void reset(void *ctx)
{
    (void)ctx;
    init_semaphore(scene->semaphore);
    for (int i = 0; i < scene->holders; i++) {
        if (holding[i].pid == 0)
            start_holder_again(i);
        holder_takes(i);
    }
    scene->open = 0;
    scene->last_ns = 0;
    memset(scene->sleeper, 0, sizeof scene->sleeper);
    for (int i = 0; i < scene->sleepers; i++)
        role_start(&sleeping[i], be_sleeper, &scene->sleeper[i]);
}

/* ---- after each run ---- */

/* What the word says, nobody being asked who might wake somebody. */
static inline uint32_t free_in_word(void)
{
    return peek(&scene->semaphore->word_) / 4;
}

/* Untracked permits that went with the victim come back: anybody may release
 * them.  Returns how many, counted by what is missing. */
static inline uint32_t give_back_missing(uint32_t kept)
{
    const uint32_t here = free_in_word();
    const uint32_t there = permits_of_holders() + kept;
    if (is_tracked() || here + there >= scene->total)
        return 0;
    const uint32_t missing = scene->total - here - there;
    expect_rc(ipc_semaphore_release_many(scene->semaphore, missing), 0);
    scene->gone += missing;
    return missing;
}

static inline uint32_t kept_by_sleepers(void)
{
    return scene->keep ? (uint32_t)count_served() : 0;
}

/* May they sleep on, because of permits that died with the victim?  With the
 * re-check, one who has got a permit may still wait for the guard of the dead
 * to give it back. */
static inline bool nothing_is_free(int64_t start)
{
    const bool guarded = (uint32_t)__atomic_load_n(&scene->semaphore->guard_,
                                                   __ATOMIC_SEQ_CST) != 0;
    return !is_tracked() && free_in_word() == 0 &&
           (!rechecks() || !guarded ||
            test_now_ns() - start > (RECHECK_MS + 50) * NS_PER_MS);
}

enum end {
    ALL_SERVED,
    SLEEP_ON, /* no permit is free, as they went with the victim */
    STUCK
};

static inline enum end wait_for_sleepers(int64_t start)
{
    for (;;) {
        if (count_served() == scene->sleepers)
            return ALL_SERVED;
        if ((!rechecks() || nothing_is_free(start)) && all_stuck())
            return nothing_is_free(start) ? SLEEP_ON : STUCK;
        if (test_now_ns() - start > WEDGE_MS * NS_PER_MS)
            return STUCK;
        poll_pause();
    }
}

static inline void count_stuck(const struct sweep_point *point,
                               struct sweep_result *result)
{
    if (rechecks())
        sweep_wedge(result, point);
    else if (free_in_word() > 0)
        scene->lost_wakes++;
    else
        scene->late_news++;
}

/* Sleepers go on, with a permit that the victim gave, or its death; or, if
 * untracked permits went with it, with those, given by the case.  Returns how
 * many of these there were. */
static inline uint32_t serve_sleepers(const struct sweep_point *point,
                                      struct sweep_result *result)
{
    const int64_t start = test_now_ns();
    uint32_t missing = 0;
    enum end end = wait_for_sleepers(start);
    if (end == SLEEP_ON) {
        missing = give_back_missing(kept_by_sleepers());
        end = wait_for_sleepers(start);
    }
    if (end != ALL_SERVED)
        count_stuck(point, result);
    else if (scene->sleepers > 0 && missing == 0 &&
             to_ms(scene->last_ns - start) > scene->max_ms)
        scene->max_ms = to_ms(scene->last_ns - start);
    return missing;
}

/* A victim has, or has not, taken all it wanted with it. */
static inline void check_missing(uint32_t missing,
                                 const struct sweep_point *point,
                                 struct sweep_result *result)
{
    const uint32_t lives = scene->twice ? 2 : 1;
    if (missing > lives * scene->victims ||
        (missing > 0 && missing % scene->victims != 0))
        sweep_torn(result, point);
    if (!scene->twice && point->finished &&
        missing != (is_tracked() ? 0 : scene->gone_after))
        sweep_lost(result, point);
}

static inline void fresh_take_all(void *ctx)
{
    const uint32_t n = scene->total;
    (void)ctx;
    scene->fresh_rc = ipc_semaphore_acquire_many_nowait(scene->semaphore, n);
    if (scene->fresh_rc == 0)
        expect_rc(ipc_semaphore_release_many(scene->semaphore, n), 0);
}

/* All permits are there, and a fresh process can have them. */
static inline void fresh_oracle(const struct sweep_point *point,
                                struct sweep_result *result)
{
    if (ipc_semaphore_value(scene->semaphore) != scene->total)
        sweep_torn(result, point);
    const int how = role_try(fresh_take_all, NULL, WEDGE_MS);
    if (how == ROLE_HUNG) {
        sweep_wedge(result, point);
        return;
    }
    if (how != 0)
        test_fail("the next process failed: %d", how);
    if (scene->fresh_rc != 0)
        sweep_torn(result, point);
    if (peers_now() > scene->peers)
        sweep_leftover(result, point);
}

/* The sum of all permits is what it was: those of the holders, of sleepers
 * that keep theirs, those that an untracked victim took with it, and those
 * that are free. */
static inline void oracle(void *ctx, const struct sweep_point *point,
                          struct sweep_result *result)
{
    (void)ctx;
    uint32_t missing = serve_sleepers(point, result);
    const uint32_t kept = kept_by_sleepers();
    end_sleepers();
    if (!is_tracked() && kept > 0)
        expect_rc(ipc_semaphore_release_many(scene->semaphore, kept), 0);
    missing += give_back_missing(0);
    check_missing(missing, point, result);
    if (ipc_semaphore_value(scene->semaphore) + permits_of_holders() !=
        scene->total)
        sweep_torn(result, point);
    for (int i = 0; i < scene->holders; i++) {
        if (holding[i].pid == 0 || !is_kept(i) || holder_gives(i))
            continue;
        sweep_wedge(result, point);
        (void)role_kill(&holding[i]);
    }
    fresh_oracle(point, result);
}

static inline void end_scene(void)
{
    for (int i = 0; i < scene->holders; i++)
        (void)role_kill(&holding[i]);
    expect_rc(ipc_shared_free(scene->semaphore), 0);
    expect_rc(ipc_shared_free(scene->warm), 0);
    expect_rc(ipc_shared_free(scene), 0);
}

/* ---- figures: of all kinds that a case sweeps ---- */

static struct sweep_result sum;
static struct scene sums;

static inline const char *kind_name(uint32_t flags)
{
    switch (flags) {
    case PLAIN:
        return "plain";
    case BOUNDED:
        return "bounded";
    case TRACKED:
        return "tracked";
    case FAIR:
        return "fair";
    default:
        return "fair_tracked";
    }
}

static inline void add_figures(const struct sweep_result *result)
{
    sum.points += result->points;
    sum.woken += result->woken;
    sum.wedges += result->wedges;
    sum.torn += result->torn;
    sum.lost += result->lost;
    sum.leftovers += result->leftovers;
    sums.lost_wakes += scene->lost_wakes;
    sums.late_news += scene->late_news;
    sums.gone += scene->gone;
    if (scene->max_ms > sums.max_ms)
        sums.max_ms = scene->max_ms;
}

static inline void report(const struct sweep_result *result)
{
    add_figures(result);
    test_report(kind_name(scene->flags), result->points);
    sweep_report(NULL, &sum);
    if (sums.gone > 0)
        test_report("gone", sums.gone);
    if (scene->sleepers > 0 && !rechecks()) {
        test_report("lost_wakes", sums.lost_wakes);
        test_report("late_news", sums.late_news);
    } else if (scene->sleepers > 0) {
        test_report("max_ms", sums.max_ms);
    }
}

#define KINDS_END UINT32_MAX

static const uint32_t all_kinds[] = {PLAIN, BOUNDED,        TRACKED,
                                     FAIR,  TRACKED | FAIR, KINDS_END};
static const uint32_t tracked_kinds[] = {TRACKED, TRACKED | FAIR, KINDS_END};
static const uint32_t untracked_kinds[] = {PLAIN, BOUNDED, FAIR, KINDS_END};

#endif
