/* T02 for fair locks: processes that stand in line are killed at random.
 * Mutual exclusion, and the count of what was committed, come out exact. */
#include "harness/kills.h"
#include "harness/scale.h"
#include "unit/lock_support.h"

#include <errno.h>
#include <limits.h>

#include <ipc/check.h>

#include "core/peers.h"
#include "core/waiting.h"

enum {
    WORKERS = 6,
    LOCKS = 4,
    THINK = 300
};

/* What a lock protects.  The count y is the commit word; everything else can
 * be told from it by whoever finds the owner dead. */
struct cell {
    ipc_rlock *rlock; /* fair; used as a plain lock by most cases */
    uint32_t inside;  /* who is: worker + 1; 0: nobody */
    uint32_t by;      /* whose change is under way */
    uint64_t mark;    /* what done[by] becomes */
    uint64_t x, y;
    uint64_t done[WORKERS]; /* changes of each, counted inside the lock */
};

struct field {
    int locks;
    struct cell cells[LOCKS];
    uint64_t acked[WORKERS]; /* counted after the release */
    uint64_t timeouts;
    uint64_t intruders; /* two were inside at once */
    uint64_t recovered; /* acquires that were told of a death */
};

static struct field *field;

#define load(p)     __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define store(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define add(p, v)   __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)

/* ---- inside the lock ---- */

/* Between the steps, so that most deaths find somebody inside. */
static void think(void)
{
    for (volatile int i = 0; i < THINK; i++)
        ;
}

static void repair(struct cell *cell)
{
    (void)add(&field->recovered, 1);
    store(&cell->inside, 0);
    if (load(&cell->x) != load(&cell->y)) { /* not committed: take it back */
        store(&cell->x, load(&cell->y));
        store(&cell->mark, load(&cell->done[cell->by]));
    } else { /* committed, and counted or not yet */
        store(&cell->done[cell->by], load(&cell->mark));
    }
}

static void change(struct cell *cell, int index)
{
    const uint32_t self = 1 + (uint32_t)index;
    if (__atomic_exchange_n(&cell->inside, self, __ATOMIC_SEQ_CST) != 0)
        (void)add(&field->intruders, 1);
    store(&cell->x, load(&cell->x) + 1);
    think();
    store(&cell->by, (uint32_t)index);
    store(&cell->mark, load(&cell->done[index]) + 1);
    store(&cell->y, load(&cell->x));
    think();
    store(&cell->done[index], load(&cell->mark));
    if (__atomic_exchange_n(&cell->inside, 0, __ATOMIC_SEQ_CST) != self)
        (void)add(&field->intruders, 1);
}

/* ---- one round: false when the lock was not to be had ---- */

static bool entered(struct cell *cell, int rc)
{
    if (rc == -EAGAIN)
        return false;
    if (rc == -ETIMEDOUT) {
        (void)add(&field->timeouts, 1);
        return false;
    }
    if (rc == IPC_OWNER_DIED) {
        repair(cell);
        expect_rc(ipc_lock_consistent(&cell->rlock->lock_), 0);
    } else if (rc != 0) {
        test_fail("acquire: %d (%s: %s)", rc, ipc_strerror(rc),
                  ipc_error_detail());
    }
    return true;
}

static bool round_of_lock(struct cell *cell, int index, long form)
{
    ipc_lock *lock = (ipc_lock *)cell->rlock;
    const int rc = form == 0   ? ipc_lock_acquire_nowait(lock)
                   : form == 1 ? ipc_lock_acquire_until(lock, ipc_after_us(100))
                               : ipc_lock_acquire(lock);
    if (!entered(cell, rc))
        return false;
    change(cell, index);
    expect_rc(ipc_lock_release(lock), 0);
    return true;
}

/* Its change is made at depth 2. */
static bool round_of_rlock(struct cell *cell, int index, long form)
{
    ipc_rlock *rlock = cell->rlock;
    const int rc = form == 0 ? ipc_rlock_acquire_nowait(rlock)
                   : form == 1
                       ? ipc_rlock_acquire_until(rlock, ipc_after_us(100))
                       : ipc_rlock_acquire(rlock);
    if (!entered(cell, rc))
        return false;
    expect_rc(ipc_rlock_acquire(rlock), 0);
    change(cell, index);
    expect_rc(ipc_rlock_release(rlock), 0);
    expect_rc(ipc_rlock_release(rlock), 0);
    return true;
}

/* Two locks at a time, always in the same order: that is no deadlock. */
static bool round_of_two(struct cell *cell, int index, long form)
{
    struct cell *last = &field->cells[field->locks - 1];
    if (cell == last)
        return round_of_lock(cell, index, form);
    if (!entered(cell, ipc_rlock_acquire(cell->rlock)))
        return false;
    change(cell, index);
    const bool both = round_of_lock(last, index, form);
    expect_rc(ipc_rlock_release(cell->rlock), 0);
    if (both)
        (void)add(&field->acked[index], 1); /* the worker counts one */
    return true;
}

/* ---- workers ---- */

static bool (*one_round)(struct cell *cell, int index, long form);

static void work(void *ctx, int index)
{
    (void)ctx;
    struct test_random random = {(uint64_t)getpid() ^ (uint64_t)test_now_ns()
                                                          << 20};
    while (kills_go_on()) {
        const long i = test_random_between(&random, 0, field->locks - 1);
        const long form = test_random_between(&random, 0, 5);
        if (one_round(&field->cells[i], index, form))
            (void)add(&field->acked[index], 1);
    }
}

static void work_without_list(void *ctx, int index)
{
    ipc__robust_list_usable = false;
    work(ctx, index);
}

static void work_in_check_mode(void *ctx, int index)
{
    (void)ipc_check_enable(true);
    work(ctx, index);
}

/* ---- at the end ---- */

static void check(void *ctx, struct kills_result *result)
{
    uint64_t committed = 0, acked = 0;
    (void)ctx;
    for (int i = 0; i < field->locks; i++) {
        struct cell *cell = &field->cells[i];
        uint64_t done = 0;
        assert_true(entered(cell, ipc_rlock_acquire(cell->rlock)));
        for (int worker = 0; worker < WORKERS; worker++)
            done += cell->done[worker];
        assert_true(cell->x == cell->y);
        assert_true(cell->y == done);
        assert_int_equal(cell->inside, 0);
        committed += cell->y;
        expect_rc(ipc_rlock_release(cell->rlock), 0);
    }
    for (int worker = 0; worker < WORKERS; worker++)
        acked += field->acked[worker];
    /* A worker that was killed had committed at most two more than it said,
     * one in each lock. */
    assert_true(committed >= acked);
    assert_true(committed - acked <= 2 * (uint64_t)result->kills);
    test_report("committed", (long long)committed);
    test_report("recovered", (long long)field->recovered);
    test_report("timeouts", (long long)field->timeouts);
    test_report("intruders", (long long)field->intruders);
    assert_true(field->intruders == 0);
    assert_true(field->recovered > 0);
}

static void make_field(int locks)
{
    ipc_lock_options options = IPC_LOCK_OPTIONS_INIT;
    options.flags = IPC_LOCK_FAIR;
    field = ipc_shared_alloc(sizeof *field);
    assert_non_null(field);
    field->locks = locks;
    for (int i = 0; i < locks; i++)
        expect_rc(ipc_rlock_new(&options, &field->cells[i].rlock), 0);
}

static void end_field(void)
{
    for (int i = 0; i < field->locks; i++)
        expect_rc(ipc_rlock_free(field->cells[i].rlock), 0);
    expect_rc(ipc_shared_free(field), 0);
}

static void kill_at_random(int locks,
                           bool (*round)(struct cell *cell, int index,
                                         long form),
                           void (*worker)(void *ctx, int index), long kills)
{
    struct kills plan = {.workers = WORKERS,
                         .work = worker,
                         .check = check,
                         .kills = kills_for(kills)};
    struct kills_result result;
    make_field(locks);
    one_round = round;
    kills_run(&plan, &result);
    kills_report(&result);
    assert_int_equal(result.wedges, 0);
    end_field();
}

/* Most processes stand in line. */
static void t02_six_processes_and_one_fair_lock(void)
{
    kill_at_random(1, round_of_lock, work, 500);
}

/* Most deaths find an owner. */
static void t02_six_processes_and_four_fair_locks(void)
{
    kill_at_random(4, round_of_lock, work, 250);
}

static void t02_six_processes_and_two_fair_rlocks(void)
{
    kill_at_random(2, round_of_rlock, work, 250);
}

static void t02_in_check_mode(void)
{
    kill_at_random(3, round_of_two, work_in_check_mode, 250);
}

/* Who sleeps is told by the re-check only. */
static void t02_without_robust_lists_by_recheck(void)
{
    kill_at_random(3, round_of_lock, work_without_list, 50);
}

/* ---- what these must find ---- */

/* The fair lock of textbooks: whoever has drawn a number and dies is waited
 * for. */
static struct {
    uint32_t next, serving;
} * tickets;

static long wait_for_change(uint32_t *word, uint32_t value)
{
    return syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void work_with_tickets(void *ctx, int index)
{
    (void)ctx;
    while (kills_go_on()) {
        const uint32_t mine = add(&tickets->next, 1);
        uint32_t now;
        while ((now = load(&tickets->serving)) != mine)
            (void)wait_for_change(&tickets->serving, now);
        change(&field->cells[0], index);
        (void)add(&tickets->serving, 1);
        (void)syscall(SYS_futex, &tickets->serving, FUTEX_WAKE, INT_MAX, NULL,
                      NULL, 0);
    }
}

static void a_lock_of_tickets_wedges(void)
{
    struct kills plan = {.workers = WORKERS,
                         .work = work_with_tickets,
                         .kills = 50,
                         .stall_limit_ms = 500};
    struct kills_result result;
    make_field(1);
    tickets = test_shared(sizeof *tickets);
    kills_run(&plan, &result);
    kills_report(&result);
    assert_int_equal(result.wedges, 1);
    end_field();
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t02_six_processes_and_one_fair_lock, 600),
    TEST_CASE_LIMIT(t02_six_processes_and_four_fair_locks, 600),
    TEST_CASE_LIMIT(t02_six_processes_and_two_fair_rlocks, 600),
    TEST_CASE_LIMIT(t02_in_check_mode, 600),
    TEST_CASE_LIMIT(t02_without_robust_lists_by_recheck, 600),
    TEST_CASE_LIMIT(a_lock_of_tickets_wedges, 60),
};
TEST_MAIN(cases)
