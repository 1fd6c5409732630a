/* What the sweeps of rwlocks have in common: the lock, a pair of numbers that
 * it protects, and those who wait for it, to read or to write. */
#ifndef RWLOCK_SWEEP_SUPPORT_H
#define RWLOCK_SWEEP_SUPPORT_H

#include "harness/sweep.h"
#include "unit/lock_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <ipc/rwlock.h>

#include "core/family.h"
#include "core/peers.h"
#include "core/waiting.h"

enum {
    MAX_SLEEPERS = 2,
    PLACES = 120
};

/* Whoever takes longer hangs, on a loaded machine too. */
static int hung_ms = 3000;

/* In family memory. */
struct state {
    ipc_rwlock rwlock;
    ipc_lock warm;   /* for making a thread known */
    uint32_t x, y;   /* equal whenever nobody writes, and all is sound */
    uint32_t torn;   /* somebody saw them differ who should not */
    uint32_t told;   /* how many were told that a writer died */
    uint32_t writes; /* completed, but the victim's */
    uint32_t open;   /* sleepers may begin to wait */
    uint32_t begun[MAX_SLEEPERS], served[MAX_SLEEPERS];
    uint32_t holding, go; /* of those who hold it at first */
    int fresh_read, fresh_write;
    uint32_t peers;
    uint32_t victims; /* who may have written, and may have been told */

    /* Points at which somebody sleeps for good without the re-check: */
    long lost_wakes; /* the victim holds nothing: a wake-up was lost */
    long late_news;  /* it does: nobody told of its death */
    long max_ms;     /* with the re-check: the longest that took */
};

static struct state *state;

/* Of the case: "RW" has a reader and a writer that wait. */
static const char *sleepers = "";
static struct role sleeping[MAX_SLEEPERS];

/* ---- the operations: what is stepped calls no assert ---- */

/* Other locks than the library's are swept too, to be found broken. */
struct lock_ops {
    int (*read)(ipc_rwlock *rwlock);
    int (*write)(ipc_rwlock *rwlock);
    int (*release)(ipc_rwlock *rwlock);
    bool careless; /* nothing is repaired */
};

static const struct lock_ops real = {.read = ipc_rwlock_acquire_read,
                                     .write = ipc_rwlock_acquire_write,
                                     .release = ipc_rwlock_release};
static const struct lock_ops *ops = &real;

static inline uint32_t get(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void put(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static inline void count(uint32_t *word)
{
    (void)__atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
}

static inline void think(void)
{
    for (volatile int i = 0; i < 4; i++)
        ;
}

/* What a reader sees: the pair is whole, and nobody changes it. */
static inline void look(void)
{
    const uint32_t x = get(&state->x);
    think();
    if (get(&state->y) != x || get(&state->x) != x)
        count(&state->torn);
}

/* What a writer does. */
static inline void change(void)
{
    if (get(&state->x) != get(&state->y))
        count(&state->torn);
    put(&state->x, get(&state->x) + 1);
    think();
    put(&state->y, get(&state->y) + 1);
}

static inline void give(void)
{
    if (ops->release(&state->rwlock) != 0)
        abort();
}

/* Returns what acquire said: the pair is repaired. */
static inline int take_write(void)
{
    const int rc = ops->write(&state->rwlock);
    if (rc == IPC_OWNER_DIED) {
        count(&state->told);
        if (!ops->careless)
            put(&state->y, get(&state->x));
        if (ipc_rwlock_consistent(&state->rwlock) != 0)
            abort();
    } else if (rc != 0) {
        abort();
    }
    return rc;
}

/* Read; if it needs to be repaired first, do that.  Returns what the first
 * acquire said. */
static inline int take_read(void)
{
    const int first = ops->read(&state->rwlock);
    for (int rc = first; rc != 0; rc = ops->read(&state->rwlock)) {
        if (rc != -EOWNERDEAD)
            abort();
        (void)take_write();
        give();
    }
    return first;
}

/* Who spins before it sleeps passes thousands of points of which one is like
 * the other. */
static inline void spin_no_more(void)
{
    const uint32_t word = 0;
    (void)ipc__spin(&word, 0); /* the first one sets the limit */
    ipc__spin_limit = 0;
}

static inline void warm_up(void *ctx)
{
    (void)ctx;
    spin_no_more();
    if (ipc_lock_acquire(&state->warm) != 0 ||
        ipc_lock_release(&state->warm) != 0)
        abort();
}

static inline void without_list_warm_up(void *ctx)
{
    ipc__robust_list_usable = false;
    warm_up(ctx);
}

static inline void read_look_give(void *ctx)
{
    (void)ctx;
    (void)take_read();
    look();
    give();
}

static inline void write_change_give(void *ctx)
{
    (void)ctx;
    (void)take_write();
    change();
    give();
}

/* ---- those who wait ---- */

/* Does not end when it was served: its end would wake those who wait for it,
 * and hide that a wake-up was lost. */
static inline void sleeper(void *arg)
{
    const long self = (long)(intptr_t)arg;
    warm_up(NULL);
    meet_wait(&state->open, 1, LIMIT_MS);
    put(&state->begun[self], 1);
    if (sleepers[self] == 'R') {
        read_look_give(NULL);
    } else {
        write_change_give(NULL);
        count(&state->writes);
    }
    meet_signal(&state->served[self]);
    for (;;)
        (void)pause();
}

static inline int sleeper_count(void)
{
    return (int)strlen(sleepers);
}

static inline void start_sleepers(void)
{
    for (int i = 0; i < sleeper_count(); i++)
        role_start(&sleeping[i], sleeper, (void *)(intptr_t)i);
}

static inline bool is_served(int i)
{
    return get(&state->served[i]) != 0;
}

static inline bool is_waiting(int i)
{
    return get(&state->begun[i]) != 0 && asleep_in_futex(sleeping[i].pid) &&
           !is_served(i);
}

/* They cannot have it now, or they have had it. */
static inline void let_sleepers_in(void)
{
    meet_signal(&state->open);
    for (int i = 0; i < sleeper_count(); i++)
        while (!is_waiting(i) && !is_served(i) &&
               !thread_ended(sleeping[i].pid))
            poll_pause();
}

static inline bool all_served(void)
{
    bool served = true;
    for (int i = 0; i < sleeper_count(); i++)
        served = served && is_served(i);
    return served;
}

/* All that were not served sleep, and nobody is left who could wake them. */
static inline bool all_stuck(void)
{
    for (int look = 0; look < 3; look++) {
        for (int i = 0; i < sleeper_count(); i++)
            if (!is_served(i) && !is_waiting(i))
                return false;
        poll_pause();
    }
    return !all_served();
}

static inline void end_sleepers(void)
{
    for (int i = 0; i < sleeper_count(); i++) {
        if (thread_ended(sleeping[i].pid))
            test_fail("a sleeper has failed");
        (void)role_kill(&sleeping[i]);
    }
}

/* ---- the re-check ---- */

/* Without it a wake-up or a notice of death that is lost is a sleep for good,
 * which needs no clock to be seen. */
static inline void no_recheck(void)
{
    ipc__recheck_ns = INT64_MAX;
}

/* Often, so that a sweep of what it has to mend is short. */
static inline void quick_recheck(void)
{
    ipc__recheck_ns = 5 * NS_PER_MS;
}

/* ---- state ---- */

static inline uint32_t peers_now(void)
{
    struct ipc__region *family;
    assert_int_equal(ipc__family(&family), 0);
    return ipc__peer_count(family);
}

static inline void make_state(const char *who_waits)
{
    state = ipc_shared_alloc(sizeof *state);
    assert_non_null(state);
    state->peers = peers_now();
    state->victims = 1;
    sleepers = who_waits;
}

static inline void reset(void *ctx)
{
    (void)ctx;
    memset(&state->rwlock, 0, sizeof state->rwlock);
    state->x = state->y = 0;
    state->torn = state->told = state->writes = state->open = 0;
    memset(state->begun, 0, sizeof state->begun);
    memset(state->served, 0, sizeof state->served);
    start_sleepers();
}

/* ---- the oracle ---- */

static inline void read_afresh(void *ctx)
{
    warm_up(ctx);
    state->fresh_read = ops->read(&state->rwlock);
    if (state->fresh_read == 0) {
        look();
        give();
    } else if (state->fresh_read != -EOWNERDEAD) {
        abort();
    }
}

static inline void write_afresh(void *ctx)
{
    warm_up(ctx);
    state->fresh_write = take_write();
    change();
    count(&state->writes);
    give();
}

static inline bool is_free(void)
{
    bool none = (uint32_t)state->rwlock.word_ == 0;
    for (int i = 0; i < PLACES; i++)
        none = none && (uint32_t)state->rwlock.readers_[i] == 0;
    return none;
}

/* Does a word still name this thread? */
static inline bool holds_it(pid_t pid)
{
    const uint32_t tid_bits = 0x003fffff;
    bool named = ((uint32_t)state->rwlock.word_ & tid_bits) == (uint32_t)pid;
    for (int i = 0; i < PLACES; i++)
        named = named || ((uint32_t)state->rwlock.readers_[i] & tid_bits) ==
                             (uint32_t)pid;
    return named;
}

/* False: hung. */
static inline bool try_afresh(void (*fn)(void *ctx))
{
    const int how = role_try(fn, NULL, hung_ms);
    if (how != 0 && how != ROLE_HUNG)
        test_fail("the next process failed: %d", how);
    return how == 0;
}

/* What the victim may have left for others to repair. */
enum news {
    NEWS_PERHAPS,
    NEWS_NONE /* it was about to write nothing */
};

/* told: how many of those who waited were. */
static inline bool are_told_well(const struct sweep_point *point,
                                 enum news news, uint32_t told)
{
    if (news == NEWS_NONE || point->finished)
        return get(&state->told) == 0;
    return told == 0 || (told == 1 && state->fresh_write == 0);
}

static inline void fresh_oracle(const struct sweep_point *point, enum news news,
                                struct sweep_result *result)
{
    const bool was_free = is_free();
    const uint32_t told = get(&state->told);
    if (!try_afresh(read_afresh) || !try_afresh(write_afresh)) {
        sweep_wedge(result, point);
        return;
    }
    /* Reader and writer are told the same, and not without a reason. */
    if ((state->fresh_read != 0) != (state->fresh_write != 0) ||
        (was_free && state->fresh_write != 0) ||
        (state->victims == 1 && !are_told_well(point, news, told)))
        sweep_lost(result, point);
    if (get(&state->torn) != 0 || state->x != state->y)
        sweep_torn(result, point);
    /* Each change is there, and of the victim's all or nothing. */
    if (state->x - state->writes > state->victims)
        sweep_lost(result, point);
    if (!is_free() || peers_now() > state->peers)
        sweep_leftover(result, point);
}

/* Everybody who waited gets it; then fresh processes do. */
static inline void crowd_oracle(const struct sweep_point *point, enum news news,
                                void (*end_others)(void),
                                struct sweep_result *result)
{
    const int64_t start = test_now_ns();
    bool stuck = false, wedged = false;
    while (!all_served() && !stuck && !wedged) {
        stuck = ipc__recheck_ns == INT64_MAX && all_stuck();
        wedged = test_now_ns() - start > hung_ms * NS_PER_MS;
        poll_pause();
    }
    const long ms = to_ms(test_now_ns() - start);
    const bool dead_holds_it = holds_it(point->pid);
    end_sleepers();
    if (end_others != NULL)
        end_others();
    if (stuck)
        ++*(dead_holds_it ? &state->late_news : &state->lost_wakes);
    else if (wedged)
        sweep_wedge(result, point);
    else if (ms > state->max_ms)
        state->max_ms = ms;
    fresh_oracle(point, news, result);
}

static inline void writer_oracle(void *ctx, const struct sweep_point *point,
                                 struct sweep_result *result)
{
    (void)ctx;
    crowd_oracle(point, NEWS_PERHAPS, NULL, result);
}

static inline void reader_oracle(void *ctx, const struct sweep_point *point,
                                 struct sweep_result *result)
{
    (void)ctx;
    crowd_oracle(point, NEWS_NONE, NULL, result);
}

static inline void report(const char *name, const struct sweep_result *result)
{
    char text[48];
    sweep_report(name, result);
    if (sleepers[0] == '\0')
        return;
    if (ipc__recheck_ns == INT64_MAX) {
        (void)snprintf(text, sizeof text, "%s.lost_wakes", name);
        test_report(text, state->lost_wakes);
        (void)snprintf(text, sizeof text, "%s.late_news", name);
        test_report(text, state->late_news);
    } else {
        (void)snprintf(text, sizeof text, "%s.max_ms", name);
        test_report(text, state->max_ms);
    }
}

#endif
