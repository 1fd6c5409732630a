/* One who runs a once, or waits for who runs it, is killed at every
 * instruction.  Nobody hangs; whoever returns finds it done; and it is done
 * again only when who did it died. */
#include "harness/sweep.h"
#include "unit/lock_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <ipc/once.h>

#include "core/family.h"
#include "core/peers.h"
#include "core/waiting.h"

enum {
    MAX_OTHERS = 2
};

/* Whoever takes longer hangs, on a loaded machine too. */
static int hung_ms = 3000;

/* In family memory. */
struct state {
    ipc_once once;
    ipc_lock warm;
    uint32_t x, y;      /* 1 when it is done */
    uint32_t completed; /* how often the function came to its end */
    uint32_t unfinished, told;
    uint32_t open, begun[MAX_OTHERS], done[MAX_OTHERS];
    uint32_t inside, go; /* of who runs it first */
    int fresh;
    uint32_t deaths; /* in each run, at most */
    uint32_t peers;
    long stuck; /* points at which somebody sleeps for good */
};

static struct state *state;
static int others; /* of the case */
static struct role other[MAX_OTHERS], first;

static int (*run)(ipc_once *once, int (*fn)(void *arg),
                  void *arg) = ipc_once_run;

static uint32_t get(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void put(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static void count(uint32_t *word)
{
    (void)__atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
}

static void think(void)
{
    for (volatile int i = 0; i < 8; i++)
        ;
}

/* ---- what is stepped calls no assert ---- */

static int do_it(void *arg)
{
    (void)arg;
    put(&state->x, 1);
    think();
    put(&state->y, 1);
    count(&state->completed);
    return 0;
}

/* In two halves, between which others come to wait. */
static int do_it_slowly(void *arg)
{
    put(&state->x, 1);
    count(&state->inside);
    while (get(&state->go) == 0)
        (void)ipc__futex_wait(&state->go, 0, IPC_TIME_FOREVER);
    return do_it(arg);
}

static int run_with(int (*fn)(void *arg))
{
    const int rc = run(&state->once, fn, NULL);
    if (rc < 0)
        abort();
    if (rc == IPC_OWNER_DIED)
        count(&state->told);
    if (get(&state->x) != 1 || get(&state->y) != 1)
        count(&state->unfinished);
    return rc;
}

static void run_it(void *ctx)
{
    (void)ctx;
    (void)run_with(do_it);
}

static void run_slowly(void *ctx)
{
    (void)ctx;
    (void)run_with(do_it_slowly);
}

static void warm_up(void *ctx)
{
    const uint32_t word = 0;
    (void)ctx;
    (void)ipc__spin(&word, 0);
    ipc__spin_limit = 0;
    if (ipc_lock_acquire(&state->warm) != 0 ||
        ipc_lock_release(&state->warm) != 0)
        abort();
}

/* ---- the others ---- */

static void come_when_told(void *arg)
{
    const long self = (long)(intptr_t)arg;
    warm_up(NULL);
    meet_wait(&state->open, 1, LIMIT_MS);
    put(&state->begun[self], 1);
    (void)run_with(do_it);
    meet_signal(&state->done[self]);
    for (;;) /* its end would wake those who wait for it */
        (void)pause();
}

static bool waits(int i)
{
    return get(&state->begun[i]) != 0 && asleep_in_futex(other[i].pid) &&
           get(&state->done[i]) == 0;
}

static void let_others_in(void)
{
    meet_signal(&state->open);
    for (int i = 0; i < others; i++)
        while (!waits(i) && get(&state->done[i]) == 0 &&
               !thread_ended(other[i].pid))
            poll_pause();
}

static bool all_done(void)
{
    bool done = true;
    for (int i = 0; i < others; i++)
        done = done && get(&state->done[i]) != 0;
    return done;
}

/* Those that are not done sleep, and nobody is left who could wake them. */
static bool all_stuck(void)
{
    for (int look = 0; look < 3; look++) {
        for (int i = 0; i < others; i++)
            if (get(&state->done[i]) == 0 && !waits(i))
                return false;
        poll_pause();
    }
    return !all_done();
}

/* One that runs it first, and lives on. */
static void hold_it(void *arg)
{
    (void)arg;
    warm_up(NULL);
    (void)run_with(do_it_slowly);
    for (;;)
        (void)pause();
}

/* ---- around each death ---- */

static void make_state(int count_of_others)
{
    struct ipc__region *family;
    state = ipc_shared_alloc(sizeof *state);
    assert_non_null(state);
    assert_int_equal(ipc__family(&family), 0);
    state->peers = ipc__peer_count(family);
    state->deaths = 1;
    others = count_of_others;
}

static void reset(void *ctx)
{
    (void)ctx;
    memset(&state->once, 0, sizeof state->once);
    state->x = state->y = state->completed = 0;
    state->unfinished = state->told = state->open = 0;
    state->inside = state->go = 0;
    memset(state->begun, 0, sizeof state->begun);
    memset(state->done, 0, sizeof state->done);
    for (int i = 0; i < others; i++)
        role_start(&other[i], come_when_told, (void *)(intptr_t)i);
}

static void reset_with_first(void *ctx)
{
    (void)role_kill(&first);
    reset(ctx);
    role_start(&first, hold_it, NULL);
    while (get(&state->inside) == 0)
        poll_pause();
}

static void others_then_go(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    let_others_in();
    meet_signal(&state->go);
}

static void others_then_kill(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    let_others_in();
    (void)role_kill(&first);
}

static void run_afresh(void *ctx)
{
    warm_up(ctx);
    state->fresh = run_with(do_it);
}

static void oracle(void *ctx, const struct sweep_point *point,
                   struct sweep_result *result)
{
    const int64_t start = test_now_ns();
    struct ipc__region *family;
    bool stuck = false, wedged = false;
    while (!all_done() && !stuck && !wedged) {
        stuck = ipc__recheck_ns == INT64_MAX && all_stuck();
        wedged = test_now_ns() - start > hung_ms * NS_PER_MS;
        poll_pause();
    }
    for (int i = 0; i < others; i++) {
        if (thread_ended(other[i].pid))
            test_fail("one of the others has failed");
        (void)role_kill(&other[i]);
    }
    (void)role_kill(&first);
    state->stuck += stuck;
    const int how = role_try(run_afresh, ctx, hung_ms);
    if (how != 0 && how != ROLE_HUNG)
        test_fail("the next process failed: %d", how);
    if (wedged || how == ROLE_HUNG) {
        sweep_wedge(result, point);
        return;
    }
    if (state->unfinished != 0)
        sweep_torn(result, point);
    /* Done again only after a death, and told of no more than there were. */
    const uint32_t deaths = state->deaths - (point->finished ? 1 : 0);
    if (state->completed > 1 + deaths || state->told > deaths ||
        !ipc_once_is_done(&state->once))
        sweep_lost(result, point);
    assert_int_equal(ipc__family(&family), 0);
    if (ipc__peer_count(family) > state->peers)
        sweep_leftover(result, point);
}

/* ---- the sweeps ---- */

static struct sweep_result sweep_once(const char *name, struct sweep *sweep)
{
    struct sweep_result result;
    char text[48];
    sweep->name = name;
    sweep->oracle = oracle;
    sweep_run(sweep, &result);
    sweep_report(name, &result);
    if (ipc__recheck_ns == INT64_MAX && others > 0) {
        (void)snprintf(text, sizeof text, "%s.stuck", name);
        test_report(text, state->stuck);
    }
    return result;
}

static void no_recheck(void)
{
    ipc__recheck_ns = INT64_MAX;
}

static void who_runs_it_alone(void)
{
    struct sweep sweep = {.reset = reset, .prepare = warm_up, .victim = run_it};
    make_state(0);
    const struct sweep_result result = sweep_once("alone", &sweep);
    sweep_expect_clean(&result, 30);
}

/* Without the re-check: they are woken when it is done, and told at once of a
 * death. */
static void who_runs_it_while_others_wait(void)
{
    struct sweep sweep = {.reset = reset,
                          .prepare = warm_up,
                          .victim = run_slowly,
                          .meanwhile = others_then_go};
    no_recheck();
    for (int count_of_others = 1; count_of_others <= MAX_OTHERS;
         count_of_others++) {
        make_state(count_of_others);
        const struct sweep_result result =
            sweep_once(count_of_others == 1 ? "one" : "two", &sweep);
        sweep_expect_clean(&result, 30);
        assert_true(result.woken > 3);
        assert_int_equal(state->stuck, 0);
    }
}

/* By the re-check: one that was woken alone, and dies, tells nobody. */
static void who_waits_by_recheck(void)
{
    struct sweep sweep = {.reset = reset_with_first,
                          .prepare = warm_up,
                          .victim = run_it,
                          .meanwhile = others_then_go,
                          .stride = sweep_stride(11)};
    make_state(2);
    struct sweep_result result = sweep_once("done", &sweep);
    sweep_expect_clean(&result, 10);
    sweep.meanwhile = others_then_kill;
    state->deaths = 2;
    result = sweep_once("killed", &sweep);
    sweep_expect_clean(&result, 10);
}

static void the_next_one_is_killed_too(void)
{
    struct sweep sweep = {.name = "twice",
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = run_it,
                          .recoverer_prepare = warm_up,
                          .recoverer = run_it,
                          .oracle = oracle};
    struct sweep_result result;
    make_state(0);
    state->deaths = 2;
    sweep2_run(&sweep, &result);
    sweep_report("twice", &result);
    sweep_expect_clean(&result, SWEEP2_LEAST);
}

/* ---- what these must find ---- */

/* 0, 1: somebody is at it, 2: done; what most of these are made of. */
static int run_by_flag(ipc_once *once, int (*fn)(void *arg), void *arg)
{
    uint32_t *word = &once->done_;
    uint32_t seen = 0;
    if (__atomic_compare_exchange_n(word, &seen, 2, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST)) {
        const int rc = fn(arg);
        put(word, 1);
        ipc__futex_wake(word, INT32_MAX);
        return rc;
    }
    while (get(word) != 1)
        (void)ipc__futex_wait(word, 2, IPC_TIME_FOREVER);
    return 0;
}

static void a_flag_is_found(void)
{
    struct sweep sweep = {
        .reset = reset, .prepare = warm_up, .victim = run_it, .stride = 17};
    make_state(0);
    run = run_by_flag;
    hung_ms = 300; /* it does */
    const struct sweep_result result = sweep_once("flag", &sweep);
    assert_true(result.wedges > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(who_runs_it_alone, 60),
    TEST_CASE_LIMIT(who_runs_it_while_others_wait, 60),
    TEST_CASE_LIMIT(who_waits_by_recheck, 60),
    TEST_CASE_LIMIT(the_next_one_is_killed_too, 120),
    TEST_CASE_LIMIT(a_flag_is_found, 60),
};
TEST_MAIN(cases)
