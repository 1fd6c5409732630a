/* Readers and writers of one table are killed at random.  A reader never sees
 * a table that is half written, and who comes after a dead writer is told. */
#include "harness/kills.h"
#include "harness/scale.h"
#include "unit/lock_support.h"

#include <errno.h>

#include <ipc/rwlock.h>

#include "core/peers.h"

enum {
    WORKERS = 8,
    CELLS = 16,
    THINK = 1500
};

/* All cells are equal whenever nobody writes, and all is sound. */
struct table {
    ipc_rwlock rwlock;
    uint64_t cells[CELLS];
    uint64_t committed; /* the last value that all have got */
    int writer;         /* whose change that is */

    uint64_t written[WORKERS]; /* by each, counted inside */
    uint64_t acked[WORKERS];   /* and after the release */
    uint64_t reads, again, downgrades, gave_up;
    uint64_t repairs;   /* acquires that were told of a death */
    uint64_t sent_away; /* readers that were */
    uint64_t torn;
};

static struct table *table;

#define load(p)     __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define store(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define add(p)      ((void)__atomic_add_fetch((p), 1, __ATOMIC_SEQ_CST))

/* Between the steps, so that most deaths find somebody inside. */
static void think(void)
{
    for (volatile int i = 0; i < THINK; i++)
        ;
}

/* Twice, in both directions: nobody writes meanwhile. */
static void look(void)
{
    const uint64_t value = load(&table->cells[0]);
    bool torn = false;
    for (int i = 0; i < CELLS; i++) {
        torn = torn || load(&table->cells[i]) != value;
        think();
    }
    for (int i = CELLS - 1; i >= 0; i--)
        torn = torn || load(&table->cells[i]) != value;
    if (torn)
        add(&table->torn);
    add(&table->reads);
}

/* A change is committed when the last cell has it; how often, is counted by
 * who finds it so. */
static void commit(void)
{
    if (load(&table->committed) == load(&table->cells[CELLS - 1]))
        return;
    store(&table->written[table->writer],
          load(&table->written[table->writer]) + 1);
    store(&table->committed, load(&table->cells[CELLS - 1]));
}

static void change(int self)
{
    const uint64_t value = load(&table->cells[0]) + 1;
    store(&table->writer, self);
    for (int i = 0; i < CELLS; i++) {
        if (load(&table->cells[i]) != value - 1)
            add(&table->torn);
        store(&table->cells[i], value);
        think();
    }
    commit();
}

/* Take back what was not committed.  The count may be one short when its
 * writer died in between: it is no commit of two words. */
static void repair(void)
{
    const uint64_t last = load(&table->cells[CELLS - 1]);
    commit();
    for (int i = 0; i < CELLS - 1; i++)
        store(&table->cells[i], last);
    add(&table->repairs);
}

/* ---- one round ---- */

/* False: it was not to be had. */
static bool entered(int rc)
{
    if (rc == -EAGAIN || rc == -ETIMEDOUT) {
        add(&table->gave_up);
        return false;
    }
    if (rc == IPC_OWNER_DIED) {
        repair();
        expect_rc(ipc_rwlock_consistent(&table->rwlock), 0);
    } else if (rc != 0) {
        test_fail("acquire: %d (%s: %s)", rc, ipc_strerror(rc),
                  ipc_error_detail());
    }
    return true;
}

static void write_round(int self, long form)
{
    ipc_rwlock *rwlock = &table->rwlock;
    const int rc =
        form == 0   ? ipc_rwlock_acquire_write_nowait(rwlock)
        : form == 1 ? ipc_rwlock_acquire_write_until(rwlock, ipc_after_us(500))
                    : ipc_rwlock_acquire_write(rwlock);
    if (!entered(rc))
        return;
    change(self);
    if (form == 2) {
        const uint64_t value = load(&table->cells[0]);
        expect_rc(ipc_rwlock_downgrade(rwlock), 0);
        look();
        if (load(&table->cells[0]) != value)
            add(&table->torn);
        add(&table->downgrades);
    }
    expect_rc(ipc_rwlock_release(rwlock), 0);
    store(&table->acked[self], load(&table->acked[self]) + 1);
}

static void read_round(int self, long form)
{
    ipc_rwlock *rwlock = &table->rwlock;
    const int rc =
        form == 0   ? ipc_rwlock_acquire_read_nowait(rwlock)
        : form == 1 ? ipc_rwlock_acquire_read_until(rwlock, ipc_after_us(500))
                    : ipc_rwlock_acquire_read(rwlock);
    if (rc == -EOWNERDEAD) {
        add(&table->sent_away);
        write_round(self, 3);
        return;
    }
    if (!entered(rc))
        return;
    look();
    if (form == 2) {
        expect_rc(ipc_rwlock_acquire_read(rwlock), 0);
        look();
        expect_rc(ipc_rwlock_release(rwlock), 0);
        add(&table->again);
    }
    expect_rc(ipc_rwlock_release(rwlock), 0);
}

static int writers_of_ten;

static void work(void *ctx, int index)
{
    (void)ctx;
    struct test_random random = {(uint64_t)getpid() ^ (uint64_t)test_now_ns()
                                                          << 20};
    while (kills_go_on()) {
        const long form = test_random_between(&random, 0, 5);
        if (test_random_between(&random, 1, 10) <= writers_of_ten)
            write_round(index, form);
        else
            read_round(index, form);
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
    uint64_t written = 0, acked = 0;
    (void)ctx;
    assert_true(entered(ipc_rwlock_acquire_write(&table->rwlock)));
    for (int i = 0; i < CELLS; i++)
        assert_true(table->cells[i] == table->committed);
    expect_rc(ipc_rwlock_release(&table->rwlock), 0);
    assert_int_equal(ipc_rwlock_readers(&table->rwlock), 0);
    for (int i = 0; i < WORKERS; i++) {
        written += table->written[i];
        acked += table->acked[i];
    }
    const uint64_t committed = table->committed,
                   kills = (uint64_t)result->kills;
    assert_true(committed + kills >= written && written + kills >= committed);
    assert_true(committed >= acked && committed - acked <= kills);
    test_report("reads", (long long)table->reads);
    test_report("writes", (long long)committed);
    test_report("downgrades", (long long)table->downgrades);
    test_report("gave_up", (long long)table->gave_up);
    test_report("repairs", (long long)table->repairs);
    test_report("sent_away", (long long)table->sent_away);
    test_report("torn", (long long)table->torn);
}

static void kill_at_random(int writers, void (*worker)(void *ctx, int index),
                           long kills)
{
    struct kills plan = {.workers = WORKERS,
                         .work = worker,
                         .check = check,
                         .kills = kills_for(kills)};
    struct kills_result result;
    table = ipc_shared_alloc(sizeof *table);
    assert_non_null(table);
    writers_of_ten = writers;
    kills_run(&plan, &result);
    kills_report(&result);
    assert_int_equal(result.wedges, 0);
    assert_true(table->torn == 0);
    assert_true(table->reads > 0 && table->committed > 0);
    if (kills >= 500) /* else it may not have happened */
        assert_true(table->repairs > 0);
    expect_rc(ipc_shared_free(table), 0);
}

static void mostly_readers(void)
{
    kill_at_random(2, work, 1000);
}

static void mostly_writers(void)
{
    kill_at_random(7, work, 500);
}

/* Who sleeps is told by the re-check only. */
static void without_robust_lists_by_recheck(void)
{
    kill_at_random(4, work_without_list, 200);
}

/* ---- what these must find ---- */

static void work_without_lock(void *ctx, int index)
{
    (void)ctx;
    for (int i = 0; kills_go_on(); i++) {
        if (i % 2 == 0)
            change(index);
        else
            look();
    }
}

static void torn_tables_are_found(void)
{
    struct kills plan = {
        .workers = WORKERS, .work = work_without_lock, .kills = 50};
    struct kills_result result;
    table = ipc_shared_alloc(sizeof *table);
    assert_non_null(table);
    kills_run(&plan, &result);
    test_report("torn", (long long)table->torn);
    assert_true(table->torn > 0);
    expect_rc(ipc_shared_free(table), 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(mostly_readers, 600),
    TEST_CASE_LIMIT(mostly_writers, 600),
    TEST_CASE_LIMIT(without_robust_lists_by_recheck, 600),
    TEST_CASE_LIMIT(torn_tables_are_found, 60),
};
TEST_MAIN(cases)
