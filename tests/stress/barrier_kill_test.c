/* Parties of a barrier are killed at random: one that breaks, and is reset, and
 * one that shrinks.  Nobody hangs, and no phase ends that somebody has not
 * come to. */
#include "harness/kills.h"
#include "harness/scale.h"
#include "unit/lock_support.h"

#include <errno.h>

#include <ipc/barrier.h>

#include "core/peers.h"
#include "core/waiting.h"

#define load(p)     __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define store(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define add(p)      ((void)__atomic_add_fetch((p), 1, __ATOMIC_SEQ_CST))

/* ---- broken, and reset ---- */

enum {
    WORKERS = 4,
    THINK = 300
};

/* What a worker tells of itself: since when it waits, and, told by others,
 * since when it is dead.  0: it does not, it is not. */
struct party {
    int64_t came_ns;
    int64_t dead_ns;
};

struct field {
    ipc_barrier barrier;
    struct party parties[WORKERS];
    uint64_t phases; /* counted by the action */
    uint64_t passed, broken, resets;
    uint64_t places[WORKERS];
    uint64_t short_handed; /* phases that ended without somebody */
};

static struct field *field;
static int (*wait_at)(ipc_barrier *barrier, int (*action)(void *arg),
                      void *arg);

static int wait_real(ipc_barrier *barrier, int (*action)(void *arg), void *arg)
{
    return ipc_barrier_wait_action(barrier, action, arg, IPC_TIME_FOREVER);
}

/* The last one has come: all others have, and none of them was dead, and
 * buried, before that. */
static int end_phase(void *arg)
{
    const struct party *last = arg;
    for (int i = 0; i < WORKERS; i++) {
        const struct party *party = &field->parties[i];
        const int64_t dead = load(&party->dead_ns);
        if (load(&party->came_ns) == 0 && dead != 0 &&
            dead < load(&last->came_ns))
            add(&field->short_handed);
    }
    add(&field->phases);
    return 0;
}

static void think(void)
{
    for (volatile int i = 0; i < THINK; i++)
        ;
}

static void come_and_pass(struct party *self)
{
    store(&self->dead_ns, 0);
    store(&self->came_ns, test_now_ns());
    const int place = wait_at(&field->barrier, end_phase, self);
    store(&self->came_ns, 0);
    if (place == -ECANCELED) {
        add(&field->broken);
        if (ipc_barrier_is_broken(&field->barrier)) {
            expect_rc(ipc_barrier_reset(&field->barrier), 0);
            add(&field->resets);
        }
        return;
    }
    if (place < 0 || place >= WORKERS)
        test_fail("wait: %d (%s)", place, ipc_error_detail());
    else
        add(&field->places[place]);
    add(&field->passed);
    think();
}

static void work(void *ctx, int index)
{
    (void)ctx;
    while (kills_go_on())
        come_and_pass(&field->parties[index]);
    /* The others cannot leave without this one. */
    (void)ipc_barrier_abort(&field->barrier);
}

static void work_without_list(void *ctx, int index)
{
    ipc__robust_list_usable = false;
    work(ctx, index);
}

static void died(void *ctx, int index, pid_t pid)
{
    (void)ctx, (void)pid;
    store(&field->parties[index].came_ns, 0);
    store(&field->parties[index].dead_ns, test_now_ns());
}

static void make_field(void)
{
    field = ipc_shared_alloc(sizeof *field);
    assert_non_null(field);
    expect_rc(ipc_barrier_init(&field->barrier, WORKERS, NULL), 0);
    wait_at = wait_real;
}

static void report_field(void)
{
    test_report("phases", (long long)field->phases);
    test_report("passed", (long long)field->passed);
    test_report("sent_away", (long long)field->broken);
    test_report("resets", (long long)field->resets);
    test_report("short_handed", (long long)field->short_handed);
}

static void kill_at_random(void (*worker)(void *ctx, int index), long kills)
{
    struct kills plan = {.workers = WORKERS,
                         .work = worker,
                         .died = died,
                         .kills = kills_for(kills)};
    struct kills_result result;
    make_field();
    kills_run(&plan, &result);
    kills_report(&result);
    report_field();
    assert_int_equal(result.wedges, 0);
    assert_true(field->short_handed == 0);
    assert_true(field->passed > 0 && field->broken > 0);
    assert_true(field->passed <= field->phases * WORKERS);
    for (int i = 0; i < WORKERS; i++)
        assert_true(field->places[i] <= field->phases);
    expect_rc(ipc_shared_free(field), 0);
}

static void four_parties_die_and_reset(void)
{
    kill_at_random(work, 500);
}

/* A death is found by the re-check. */
static void without_robust_lists_by_recheck(void)
{
    kill_at_random(work_without_list, 100);
}

/* ---- shrinking ---- */

enum {
    FAMILY = 8
};

struct clan {
    ipc_barrier barrier;
    uint32_t there, started;
    uint64_t rounds[FAMILY];
    uint32_t stop;
};

static struct clan *clan;

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void live_in_clan(void *arg)
{
    const long self = (long)(intptr_t)arg;
    expect_rc(ipc_barrier_enroll(&clan->barrier), 0);
    meet_signal(&clan->there);
    meet_wait(&clan->started, 1, LIMIT_MS);
    for (long i = 0; load(&clan->stop) == 0; i++) {
        const int place = i % 3 == 0 ? wait_real(&clan->barrier, nothing, NULL)
                                     : ipc_barrier_wait(&clan->barrier);
        if (place < 0 || place >= FAMILY)
            test_fail("wait: %d (%s)", place, ipc_error_detail());
        add(&clan->rounds[self]);
    }
    expect_rc(ipc_barrier_leave(&clan->barrier), 0);
}

/* The rest goes on, within a limit: false, it hangs. */
static bool goes_on(const bool *alive)
{
    uint64_t before[FAMILY];
    const int64_t end = test_now_ns() + 3000 * NS_PER_MS;
    for (int i = 0; i < FAMILY; i++)
        before[i] = load(&clan->rounds[i]);
    for (int i = 0; i < FAMILY; i++)
        while (alive[i] && load(&clan->rounds[i]) < before[i] + 2) {
            if (test_now_ns() > end)
                return false;
            poll_pause();
        }
    return true;
}

/* All but one are killed, one after the other. */
static long kill_a_clan(struct test_random *random)
{
    struct role roles[FAMILY];
    bool alive[FAMILY];
    memset(clan, 0, sizeof *clan);
    const ipc_barrier_options options = {sizeof options, IPC_BARRIER_SHRINK,
                                         NULL};
    expect_rc(ipc_barrier_init(&clan->barrier, FAMILY, &options), 0);
    for (int i = 0; i < FAMILY; i++) {
        alive[i] = true;
        role_start(&roles[i], live_in_clan, (void *)(intptr_t)i);
    }
    meet_wait(&clan->there, FAMILY, LIMIT_MS);
    meet_signal(&clan->started);
    for (int left = FAMILY; left > 1; left--) {
        int next = (int)test_random_between(random, 0, FAMILY - 1);
        while (!alive[next])
            next = (next + 1) % FAMILY;
        const int64_t until =
            test_now_ns() + test_random_between(random, 0, 300000);
        while (test_now_ns() < until)
            continue;
        (void)role_kill(&roles[next]);
        alive[next] = false;
        /* Sometimes two at one time. */
        if (left % 3 != 0 && !goes_on(alive))
            test_fail("%d are left, and wait for the dead", left - 1);
    }
    assert_true(goes_on(alive));
    assert_int_equal(ipc_barrier_parties(&clan->barrier), 1);
    store(&clan->stop, 1);
    for (int i = 0; i < FAMILY; i++)
        if (alive[i])
            role_wait_ok(&roles[i], LIMIT_MS);
    return FAMILY - 1;
}

static void a_clan_dies_out_but_one(void)
{
    struct test_random random = {test_seed()};
    const long clans = 30 * test_scale();
    uint64_t rounds = 0;
    long kills = 0;
    clan = ipc_shared_alloc(sizeof *clan);
    assert_non_null(clan);
    for (long i = 0; i < clans; i++) {
        kills += kill_a_clan(&random);
        for (int j = 0; j < FAMILY; j++)
            rounds += clan->rounds[j];
    }
    test_report("kills", kills);
    test_report("rounds", (long long)rounds);
    expect_rc(ipc_shared_free(clan), 0);
}

/* ---- what these must find ---- */

/* A number of those who have come, and nothing about who they were. */
static int wait_counting(ipc_barrier *barrier, int (*action)(void *arg),
                         void *arg)
{
    const uint32_t phase = load(&barrier->phase_);
    const uint32_t came =
        __atomic_fetch_add(&barrier->came_, 1, __ATOMIC_SEQ_CST);
    if (came + 1 == WORKERS) {
        (void)action(arg);
        store(&barrier->came_, 0);
        add(&barrier->phase_);
        ipc__futex_wake(&barrier->phase_, INT32_MAX);
    }
    while (load(&barrier->phase_) == phase)
        (void)ipc__futex_wait(&barrier->phase_, phase, ipc_after_ms(20));
    return came < WORKERS ? (int)came : 0;
}

static void work_counting(void *ctx, int index)
{
    (void)ctx;
    while (kills_go_on())
        come_and_pass(&field->parties[index]);
    for (;;) /* the others cannot leave without it */
        (void)wait_counting(&field->barrier, end_phase, &field->parties[index]);
}

static void passing_short_handed_is_found(void)
{
    struct kills plan = {.workers = WORKERS,
                         .work = work_counting,
                         .died = died,
                         .kills = 100,
                         .stall_limit_ms = 500};
    struct kills_result result;
    make_field();
    wait_at = wait_counting;
    kills_run(&plan, &result);
    report_field();
    assert_true(result.wedges > 0);
    assert_true(field->short_handed > 0);
    expect_rc(ipc_shared_free(field), 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(four_parties_die_and_reset, 600),
    TEST_CASE_LIMIT(without_robust_lists_by_recheck, 600),
    TEST_CASE_LIMIT(a_clan_dies_out_but_one, 600),
    TEST_CASE_LIMIT(passing_short_handed_is_found, 60),
};
TEST_MAIN(cases)
