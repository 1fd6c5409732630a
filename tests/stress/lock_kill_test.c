/* T02: processes that hammer locks are killed at random.  Mutual exclusion,
 * and the count of what was committed, come out exact. */
#include "harness/kills.h"
#include "harness/scale.h"
#include "unit/lock_support.h"

#include <errno.h>

#include "core/peers.h"

enum {
    WORKERS = 8,
    LOCKS = 16,
    THINK = 300
};

/* What a lock protects.  The count y is the commit word; everything else can
 * be told from it by whoever finds the owner dead. */
struct cell {
    ipc_rlock rlock;   /* used as a plain lock by most cases */
    uint32_t inside;   /* who is: worker + 1; 0: nobody */
    uint32_t by;       /* whose change is under way */
    int64_t inside_ns; /* since when */
    uint64_t mark;     /* what done[by] becomes */
    uint64_t x, y;
    uint64_t done[WORKERS]; /* changes of each, counted inside the lock */
};

struct field {
    int locks;
    struct cell cells[LOCKS];
    uint64_t acked[WORKERS]; /* counted after the release */

    uint64_t intruders;      /* two were inside at once */
    uint64_t recovered;      /* acquires that were told of a death */
    int64_t max_recovery_ns; /* from when the dead one came in: at most */
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

static void note_recovery(const struct cell *cell)
{
    const int64_t ns = test_now_ns() - load(&cell->inside_ns);
    (void)add(&field->recovered, 1);
    if (load(&cell->inside) != 0 && ns > load(&field->max_recovery_ns))
        store(&field->max_recovery_ns, ns);
}

static void repair(struct cell *cell)
{
    note_recovery(cell);
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
    store(&cell->inside_ns, test_now_ns());
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

static bool entered(ipc_lock *lock, struct cell *cell, int rc)
{
    if (rc == -EAGAIN || rc == -ETIMEDOUT)
        return false;
    if (rc == IPC_OWNER_DIED) {
        repair(cell);
        expect_rc(ipc_lock_consistent(lock), 0);
    } else if (rc != 0) {
        test_fail("acquire: %d (%s: %s)", rc, ipc_strerror(rc),
                  ipc_error_detail());
    }
    return true;
}

static bool round_of_lock(struct cell *cell, int index, long form)
{
    ipc_lock *lock = &cell->rlock.lock_;
    const int rc = form == 0   ? ipc_lock_acquire_nowait(lock)
                   : form == 1 ? ipc_lock_acquire_until(lock, ipc_after_us(500))
                               : ipc_lock_acquire(lock);
    if (!entered(lock, cell, rc))
        return false;
    change(cell, index);
    expect_rc(ipc_lock_release(lock), 0);
    return true;
}

/* Its change is made at depth 2. */
static bool round_of_rlock(struct cell *cell, int index, long form)
{
    ipc_rlock *rlock = &cell->rlock;
    const int rc = form == 0 ? ipc_rlock_acquire_nowait(rlock)
                   : form == 1
                       ? ipc_rlock_acquire_until(rlock, ipc_after_us(500))
                       : ipc_rlock_acquire(rlock);
    if (!entered(&rlock->lock_, cell, rc))
        return false;
    assert_int_equal(ipc_rlock_depth(rlock), 1);
    expect_rc(ipc_rlock_acquire(rlock), 0);
    change(cell, index);
    expect_rc(ipc_rlock_release(rlock), 0);
    expect_rc(ipc_rlock_release(rlock), 0);
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
            store(&field->acked[index], load(&field->acked[index]) + 1);
    }
}

static void work_without_list(void *ctx, int index)
{
    ipc__robust_list_usable = false;
    work(ctx, index);
}

/* ---- at the end ---- */

static void check(void *ctx, struct kills_result *result)
{
    uint64_t committed = 0, acked = 0;
    (void)ctx;
    for (int i = 0; i < field->locks; i++) {
        struct cell *cell = &field->cells[i];
        ipc_lock *lock = &cell->rlock.lock_;
        uint64_t done = 0;
        assert_true(entered(lock, cell, ipc_lock_acquire(lock)));
        for (int worker = 0; worker < WORKERS; worker++)
            done += cell->done[worker];
        assert_true(cell->x == cell->y);
        assert_true(cell->y == done);
        assert_int_equal(cell->inside, 0);
        committed += cell->y;
        expect_rc(ipc_lock_release(lock), 0);
    }
    for (int worker = 0; worker < WORKERS; worker++)
        acked += field->acked[worker];
    /* A worker that was killed had committed at most one more than it said. */
    assert_true(committed >= acked);
    assert_true(committed - acked <= (uint64_t)result->kills);
    test_report("committed", (long long)committed);
    test_report("recovered", (long long)field->recovered);
    test_report("max_recovery_ms", to_ms(field->max_recovery_ns));
    test_report("intruders", (long long)field->intruders);
    assert_true(field->intruders == 0);
    assert_true(field->recovered > 0);
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
    field = ipc_shared_alloc(sizeof *field);
    assert_non_null(field);
    field->locks = locks;
    one_round = round;
    kills_run(&plan, &result);
    kills_report(&result);
    assert_int_equal(result.wedges, 0);
    expect_rc(ipc_shared_free(field), 0);
}

/* Many locks: most deaths find an owner. */
static void t02_eight_processes_and_sixteen_locks(void)
{
    kill_at_random(LOCKS, round_of_lock, work, 1000);
}

/* One lock: most processes sleep on it. */
static void t02_eight_processes_and_one_lock(void)
{
    kill_at_random(1, round_of_lock, work, 500);
}

static void t02_eight_processes_and_four_rlocks(void)
{
    kill_at_random(4, round_of_rlock, work, 500);
}

/* Who sleeps is told by the re-check only. */
static void t02_without_robust_lists_by_recheck(void)
{
    kill_at_random(4, round_of_lock, work_without_list, 100);
}

/* ---- what these must find ---- */

static bool round_without_lock(struct cell *cell, int index, long form)
{
    (void)form;
    change(cell, index);
    return true;
}

static void an_intruder_is_found(void)
{
    struct kills plan = {.workers = WORKERS, .work = work, .kills = 50};
    struct kills_result result;
    field = ipc_shared_alloc(sizeof *field);
    assert_non_null(field);
    field->locks = 1;
    one_round = round_without_lock;
    kills_run(&plan, &result);
    test_report("intruders", (long long)field->intruders);
    assert_true(field->intruders > 0);
    expect_rc(ipc_shared_free(field), 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t02_eight_processes_and_sixteen_locks, 600),
    TEST_CASE_LIMIT(t02_eight_processes_and_one_lock, 600),
    TEST_CASE_LIMIT(t02_eight_processes_and_four_rlocks, 600),
    TEST_CASE_LIMIT(t02_without_robust_lists_by_recheck, 600),
    TEST_CASE_LIMIT(an_intruder_is_found, 60),
};
TEST_MAIN(cases)
