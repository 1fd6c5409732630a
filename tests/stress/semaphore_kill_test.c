/* T17: processes that hammer a semaphore are killed at random.  Permits are
 * conserved exactly.
 *
 * Those of a tracked one come back by themselves.  Of an untracked one they go
 * with who is killed; here each worker writes down what it is about to do, and
 * after each death all others step aside, so that what is missing can be told
 * to the permit, held against the book, and given back. */
#include "harness/kills.h"
#include "harness/scale.h"
#include "unit/semaphore_support.h"

#include <signal.h>
#include <stdlib.h>

#include "core/peers.h"

enum {
    WORKERS = 8,
    MANY = 3,         /* the most that one takes at once */
    DESKS = 2 * MANY, /* permits: after one death enough for any */
    THINK = 300
};

#define load(p)     __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define store(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define add(p, v)   __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)

/* What a worker is about, in its book. */
enum doing {
    NOTHING,
    TAKING,
    HOLDING,
    GIVING
};

struct book {
    uint32_t doing;
    uint32_t n;
    uint32_t aside; /* it stepped aside at this call */
};

struct office {
    ipc_semaphore *semaphore;
    uint32_t flags;
    uint32_t desk[DESKS]; /* pid of who sits there; 0: nobody */
    struct book books[WORKERS];
    uint32_t call;  /* how often all were called to step aside, */
    uint32_t go_on; /* and that they may go on from there */
    uint32_t baton; /* tid of one who offers a permit; 0: nobody */

    uint64_t served; /* acquires */
    uint64_t intruders;
    uint64_t passed; /* by transfer */

    /* Of the untracked: */
    uint64_t sure;    /* missing, by the book */
    uint64_t unsure;  /* deaths in the middle of taking or giving, */
    uint64_t settled; /* and what was missing then */
};

static struct office *office;

static bool is_tracked(void)
{
    return (office->flags & TRACKED) != 0;
}

static void think(void)
{
    for (volatile int i = 0; i < THINK; i++)
        ;
}

/* ---- never more inside than there are permits ---- */

#define EXITING 0x4u /* among the flags in /proc/PID/stat */

/* Has it ended, or begun to?  Its permits come back before it is a zombie. */
static bool is_dying(pid_t pid)
{
    char text[512] = "";
    (void)snprintf(text, sizeof text, "/proc/%d/stat", (int)pid);
    FILE *stat = fopen(text, "re");
    if (stat == NULL)
        return true;
    const bool there = fgets(text, sizeof text, stat) != NULL;
    (void)fclose(stat);
    const char *field = strrchr(text, ')');
    for (int i = 0; i < 7 && field != NULL; i++) /* flags: the 7th behind it */
        field = strchr(field + 1, ' ');
    return !there || field == NULL || (strtoul(field, NULL, 10) & EXITING) != 0;
}

/* Who has a permit finds a desk: free, or of one who dies. */
static bool sit_down(uint32_t *desk)
{
    for (int look = 1; look <= 1000; look++) {
        for (int i = 0; i < DESKS; i++) {
            uint32_t who = load(&desk[i]);
            if (who != 0 && (look % 50 != 0 || !is_dying((pid_t)who)))
                continue;
            if (__atomic_compare_exchange_n(&desk[i], &who, (uint32_t)getpid(),
                                            false, __ATOMIC_SEQ_CST,
                                            __ATOMIC_SEQ_CST))
                return true;
        }
    }
    return false;
}

static void stand_up(uint32_t *desk)
{
    for (int i = 0; i < DESKS; i++) {
        uint32_t who = (uint32_t)getpid();
        if (__atomic_compare_exchange_n(&desk[i], &who, 0, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return;
    }
}

static void work_at_desks(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!sit_down(office->desk))
            (void)add(&office->intruders, 1);
    think();
    for (uint32_t i = 0; i < n; i++)
        stand_up(office->desk);
}

/* ---- workers ---- */

static int acquire(uint32_t n, long form)
{
    ipc_semaphore *semaphore = office->semaphore;
    switch (form) {
    case 0:
        return ipc_semaphore_acquire_many_nowait(semaphore, n);
    case 1:
        return ipc_semaphore_acquire_many_until(semaphore, n,
                                                ipc_after_us(500));
    default:
        return n == 1 ? ipc_semaphore_acquire(semaphore)
                      : ipc_semaphore_acquire_many(semaphore, n);
    }
}

static void write_down(struct book *book, enum doing doing)
{
    store(&book->doing, (uint32_t)doing);
}

static void one_round(struct book *book, struct test_random *random)
{
    const uint32_t n = test_random_between(random, 0, 3) == 0
                           ? (uint32_t)test_random_between(random, 2, MANY)
                           : 1;
    store(&book->n, n);
    write_down(book, TAKING);
    const int rc = acquire(n, test_random_between(random, 0, 5));
    write_down(book, rc == 0 ? HOLDING : NOTHING);
    if (rc == -EAGAIN || rc == -ETIMEDOUT)
        return;
    expect_rc(rc, 0);
    work_at_desks(n);
    (void)add(&office->served, 1);
    write_down(book, GIVING);
    expect_rc(ipc_semaphore_release_many(office->semaphore, n), 0);
    write_down(book, NOTHING);
}

static struct test_random own_random(void)
{
    return (struct test_random){(uint64_t)getpid() ^ (uint64_t)test_now_ns()
                                                         << 20};
}

static void step_aside(struct book *book)
{
    const uint32_t call = load(&office->call);
    if (call == load(&office->go_on))
        return;
    store(&book->aside, call);
    while (load(&office->go_on) != call)
        poll_pause();
}

static void work(void *ctx, int index)
{
    struct book *book = &office->books[index];
    struct test_random random = own_random();
    (void)ctx;
    write_down(book, NOTHING);
    while (kills_go_on()) {
        step_aside(book);
        one_round(book, &random);
    }
}

static void work_without_list(void *ctx, int index)
{
    ipc__robust_list_usable = false;
    work(ctx, index);
}

/* ---- untracked: after each death ---- */

static void call_all_but(int dead)
{
    const int64_t end = test_now_ns() + LIMIT_MS * NS_PER_MS;
    const uint32_t call = 1 + add(&office->call, 1);
    for (int i = 0; i < WORKERS; i++) {
        while (i != dead && load(&office->books[i].aside) != call) {
            if (test_now_ns() > end)
                test_fail("worker %d does not come back: value %u", i,
                          ipc_semaphore_value(office->semaphore));
            poll_pause();
        }
    }
}

/* Nobody has a permit but who has died. */
static void settle(void *ctx, int index, pid_t pid)
{
    struct book *book = &office->books[index];
    (void)ctx, (void)pid;
    call_all_but(index);
    const uint32_t value = ipc_semaphore_value(office->semaphore);
    const uint32_t missing = DESKS - value;
    if (book->doing == NOTHING) {
        assert_int_equal(missing, 0);
    } else if (book->doing == HOLDING) {
        assert_int_equal(missing, book->n);
        office->sure += missing;
    } else {
        assert_true(missing == 0 || missing == book->n);
        office->unsure++;
        office->settled += missing;
    }
    if (missing != 0)
        expect_rc(ipc_semaphore_release_many(office->semaphore, missing), 0);
    book->doing = NOTHING; /* the next worker may not come so far */
    store(&office->go_on, office->call);
}

/* ---- at the end ---- */

static void check(void *ctx, struct kills_result *result)
{
    ipc_semaphore *semaphore = office->semaphore;
    (void)ctx, (void)result;
    const uint32_t value = ipc_semaphore_value(semaphore);
    test_report("drift", (long long)value - DESKS);
    test_report("intruders", (long long)office->intruders);
    assert_int_equal(value, DESKS);
    assert_true(office->intruders == 0);
    assert_true(office->served > 0);
    expect_rc(ipc_semaphore_acquire_many_nowait(semaphore, DESKS), 0);
    expect_rc(ipc_semaphore_release_many(semaphore, DESKS), 0);
}

static void kill_at_random(uint32_t flags, void (*worker)(void *ctx, int index),
                           long kills)
{
    struct kills plan = {.workers = WORKERS,
                         .work = worker,
                         .check = check,
                         .kills = kills_for(kills)};
    struct kills_result result;
    office = ipc_shared_alloc(sizeof *office);
    assert_non_null(office);
    office->flags = flags;
    office->semaphore = new_semaphore(DESKS, flags);
    if (!is_tracked())
        plan.died = settle;
    kills_run(&plan, &result);
    kills_report(&result);
    test_report("served", (long long)office->served);
    if (office->passed > 0)
        test_report("passed", (long long)office->passed);
    if (!is_tracked()) {
        test_report("sure", (long long)office->sure);
        test_report("unsure", (long long)office->unsure);
        test_report("settled", (long long)office->settled);
    }
    assert_int_equal(result.wedges, 0);
    expect_rc(ipc_semaphore_free(office->semaphore), 0);
    expect_rc(ipc_shared_free(office), 0);
}

static void t17_tracked(void)
{
    kill_at_random(TRACKED, work, 1000);
}

static void t17_fair_and_tracked(void)
{
    kill_at_random(TRACKED | FAIR, work, 500);
}

static void t17_plain(void)
{
    kill_at_random(PLAIN, work, 250);
}

static void t17_bounded_and_fair(void)
{
    kill_at_random(BOUNDED | FAIR, work, 150);
}

/* Whose death is told by the re-check only. */
static void t17_without_robust_lists_by_recheck(void)
{
    kill_at_random(TRACKED, work_without_list, 100);
}

/* ---- permits that go from one to another ---- */

/* Somebody who took an offer of ours, a while ago perhaps, may have taken the
 * permit too. */
static void give_back_or_find_it_gone(void)
{
    const int rc = ipc_semaphore_release(office->semaphore);
    if (rc != -EPERM)
        expect_rc(rc, 0);
}

/* Offer a permit, and wait a moment whether somebody takes it. */
static void offer(void)
{
    const uint32_t self = (uint32_t)gettid();
    uint32_t nobody = 0;
    if (!__atomic_compare_exchange_n(&office->baton, &nobody, self, false,
                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        if (thread_ended((pid_t)nobody)) /* its offer died with it */
            (void)__atomic_compare_exchange_n(&office->baton, &nobody, 0, false,
                                              __ATOMIC_SEQ_CST,
                                              __ATOMIC_SEQ_CST);
    } else {
        uint32_t me = self;
        think();
        (void)__atomic_compare_exchange_n(&office->baton, &me, 0, false,
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    give_back_or_find_it_gone();
}

static void take_offer(void)
{
    const uint32_t from =
        __atomic_exchange_n(&office->baton, 0, __ATOMIC_SEQ_CST);
    if (from == 0 || from == (uint32_t)gettid())
        return;
    const int rc = ipc_semaphore_transfer(office->semaphore, (int32_t)from, 1);
    if (rc == -EPERM)
        return;
    expect_rc(rc, 0);
    work_at_desks(1);
    (void)add(&office->passed, 1);
    give_back_or_find_it_gone();
}

static void pass_on(void *ctx, int index)
{
    struct test_random random = own_random();
    (void)ctx, (void)index;
    while (kills_go_on()) {
        take_offer();
        const int rc = acquire(1, test_random_between(&random, 0, 5));
        if (rc == -EAGAIN || rc == -ETIMEDOUT)
            continue;
        expect_rc(rc, 0);
        (void)add(&office->served, 1);
        offer();
        if (ipc_semaphore_held(office->semaphore) != 0)
            test_fail("something is still held");
    }
}

static void t17_transfer(void)
{
    kill_at_random(TRACKED, pass_on, 200);
}

/* ---- what these must find ---- */

static void check_drift(void *ctx, struct kills_result *result)
{
    (void)ctx, (void)result;
    test_report("drift",
                (long long)ipc_semaphore_value(office->semaphore) - 1000);
    assert_true(ipc_semaphore_value(office->semaphore) < 1000);
}

static void permits_that_nobody_gives_back_are_found(void)
{
    struct kills plan = {
        .workers = WORKERS, .work = work, .check = check_drift, .kills = 60};
    struct kills_result result;
    office = ipc_shared_alloc(sizeof *office);
    assert_non_null(office);
    office->semaphore = new_semaphore(1000, PLAIN);
    kills_run(&plan, &result);
    kills_report(&result);
    assert_int_equal(result.wedges, 0);
    test_report("intruders", (long long)office->intruders);
    assert_true(office->intruders > 0);
    expect_rc(ipc_semaphore_free(office->semaphore), 0);
    expect_rc(ipc_shared_free(office), 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t17_tracked, 120),
    TEST_CASE_LIMIT(t17_fair_and_tracked, 120),
    TEST_CASE_LIMIT(t17_plain, 120),
    TEST_CASE_LIMIT(t17_bounded_and_fair, 120),
    TEST_CASE_LIMIT(t17_without_robust_lists_by_recheck, 120),
    TEST_CASE_LIMIT(t17_transfer, 120),
    TEST_CASE_LIMIT(permits_that_nobody_gives_back_are_found, 60),
};
TEST_MAIN(cases)
