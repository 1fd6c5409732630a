/* Rwlocks, barriers and onces hammered by threads of one process: for the
 * thread sanitizer, which sees no more than that, and to be sure of the
 * counts.  What they protect is no atomic. */
#include "harness/scale.h"
#include "unit/lock_support.h"

#include <errno.h>
#include <sched.h>

#include <ipc/barrier.h>
#include <ipc/once.h>
#include <ipc/rwlock.h>

enum {
    THREADS = 4,
    ROUNDS = 5000,
    CELLS = 8
};

struct worker {
    int self;
    void *shared;
    void (*round)(struct worker *worker, long i);
    long reads, writes, refused;
};

static void *work(void *arg)
{
    struct worker *worker = arg;
    for (long i = 0; i < ROUNDS * test_scale(); i++)
        worker->round(worker, i);
    return NULL;
}

/* Returns what all have done together. */
static struct worker hammer(void *shared,
                            void (*round)(struct worker *worker, long i))
{
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    struct worker all = {.self = 0};
    for (int i = 0; i < THREADS; i++) {
        workers[i] =
            (struct worker){.self = i, .shared = shared, .round = round};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]),
                         0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        all.reads += workers[i].reads;
        all.writes += workers[i].writes;
        all.refused += workers[i].refused;
    }
    return all;
}

/* ---- rwlock ---- */

struct table {
    ipc_rwlock rwlock;
    long cells[CELLS]; /* all the same */
    long writes;
};

static void look(const struct table *table)
{
    for (int i = 1; i < CELLS; i++)
        if (table->cells[i] != table->cells[0])
            test_fail("cells %ld and %ld", table->cells[0], table->cells[i]);
}

static void change(struct table *table)
{
    table->writes++;
    for (int i = 0; i < CELLS; i++) {
        table->cells[i]++;
        if (i == CELLS / 2 && table->writes % 64 == 0)
            (void)sched_yield(); /* so that others come and sleep */
    }
}

/* False: it was not to be had. */
static bool had(struct worker *worker, int rc)
{
    if (rc == -EAGAIN || rc == -ETIMEDOUT) {
        worker->refused++;
        return false;
    }
    expect_rc(rc, 0);
    return true;
}

static void write_table(struct worker *worker, long i)
{
    struct table *table = worker->shared;
    ipc_rwlock *rwlock = &table->rwlock;
    const int rc =
        i % 3 == 0   ? ipc_rwlock_acquire_write_nowait(rwlock)
        : i % 3 == 1 ? ipc_rwlock_acquire_write_until(rwlock, ipc_after_us(100))
                     : ipc_rwlock_acquire_write(rwlock);
    if (!had(worker, rc))
        return;
    change(table);
    worker->writes++;
    if (i % 2 == 0) {
        expect_rc(ipc_rwlock_downgrade(rwlock), 0);
        look(table);
        worker->reads++;
    }
    expect_rc(ipc_rwlock_release(rwlock), 0);
}

static void read_table(struct worker *worker, long i)
{
    struct table *table = worker->shared;
    ipc_rwlock *rwlock = &table->rwlock;
    const int rc =
        i % 3 == 0   ? ipc_rwlock_acquire_read_nowait(rwlock)
        : i % 3 == 1 ? ipc_rwlock_acquire_read_until(rwlock, ipc_after_us(100))
                     : ipc_rwlock_acquire_read(rwlock);
    if (!had(worker, rc))
        return;
    look(table);
    if (i % 4 == 0) {
        expect_rc(ipc_rwlock_acquire_read(rwlock), 0);
        look(table);
        expect_rc(ipc_rwlock_release(rwlock), 0);
    }
    expect_rc(ipc_rwlock_release(rwlock), 0);
    worker->reads++;
}

static void read_or_write(struct worker *worker, long i)
{
    if ((i + worker->self) % 5 == 0)
        write_table(worker, i / 5);
    else
        read_table(worker, i);
}

static void hammer_table(struct table *table)
{
    const struct worker all = hammer(table, read_or_write);
    test_report("reads", all.reads);
    test_report("writes", all.writes);
    test_report("refused", all.refused);
    assert_true(all.reads > 0 && all.writes > 0);
    assert_int_equal(table->writes, all.writes);
    look(table);
    assert_int_equal(table->cells[0], all.writes);
    assert_int_equal(ipc_rwlock_readers(&table->rwlock), 0);
    expect_rc(ipc_rwlock_fini(&table->rwlock), 0);
}

static void threads_share_a_table_in_static_memory(void)
{
    static struct table table;
    hammer_table(&table);
}

static void threads_share_a_table_in_family_memory(void)
{
    struct table *table = ipc_shared_alloc(sizeof *table);
    assert_non_null(table);
    hammer_table(table);
    expect_rc(ipc_shared_free(table), 0);
}

static void write_only(struct worker *worker, long i)
{
    write_table(worker, i);
}

static void threads_write_in_turn(void)
{
    static struct table table;
    const struct worker all = hammer(&table, write_only);
    assert_int_equal(table.cells[0], all.writes);
    assert_int_equal(table.writes, all.writes);
}

/* ---- barrier ---- */

struct relay {
    ipc_barrier barrier;
    long cells[THREADS]; /* each its own */
    long sum;            /* by the action */
    long sums;
};

static int add_up(void *arg)
{
    struct relay *relay = arg;
    relay->sum = 0;
    for (int i = 0; i < THREADS; i++)
        relay->sum += relay->cells[i];
    relay->sums++;
    return 0;
}

/* Each writes its cell; one adds up; all read the sum; then again. */
static void pass_twice(struct worker *worker, long i)
{
    struct relay *relay = worker->shared;
    relay->cells[worker->self] = i;
    const int place = ipc_barrier_wait_action(&relay->barrier, add_up, relay,
                                              IPC_TIME_FOREVER);
    if (place < 0 || place >= THREADS)
        test_fail("wait: %d (%s)", place, ipc_error_detail());
    if (relay->sum != i * THREADS || relay->sums != i + 1)
        test_fail("sum %ld, number %ld, in round %ld", relay->sum, relay->sums,
                  i);
    assert_true(ipc_barrier_wait(&relay->barrier) >= 0);
    worker->reads++;
}

static void threads_pass_phases(void)
{
    static struct relay relay;
    expect_rc(ipc_barrier_init(&relay.barrier, THREADS, NULL), 0);
    const struct worker all = hammer(&relay, pass_twice);
    test_report("phases", 2 * all.reads / THREADS);
    assert_int_equal(relay.sums, ROUNDS * test_scale());
    expect_rc(ipc_barrier_fini(&relay.barrier), 0);
}

/* ---- once ---- */

struct lazy {
    ipc_once once;
    long value; /* written by who does it */
    long done;
};

struct many {
    struct lazy lazy[ROUNDS];
};

static int fill(void *arg)
{
    struct lazy *lazy = arg;
    lazy->value = 4711;
    lazy->done++;
    return 0;
}

static void use_lazily(struct worker *worker, long i)
{
    struct many *many = worker->shared;
    struct lazy *lazy = &many->lazy[i % ROUNDS];
    const int rc = i % 2 == 0 ? ipc_once_run(&lazy->once, fill, lazy)
                              : ipc_once_run_until(&lazy->once, fill, lazy,
                                                   ipc_after_ms(LIMIT_MS));
    expect_rc(rc, 0);
    if (lazy->value != 4711 || lazy->done != 1)
        test_fail("value %ld, done %ld times", lazy->value, lazy->done);
    worker->reads++;
}

static void threads_fill_it_once(void)
{
    static struct many many;
    const struct worker all = hammer(&many, use_lazily);
    test_report("uses", all.reads);
    for (int i = 0; i < ROUNDS; i++)
        assert_int_equal(many.lazy[i].done, 1);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(threads_share_a_table_in_static_memory, 300),
    TEST_CASE_LIMIT(threads_share_a_table_in_family_memory, 300),
    TEST_CASE_LIMIT(threads_write_in_turn, 300),
    TEST_CASE_LIMIT(threads_pass_phases, 300),
    TEST_CASE_LIMIT(threads_fill_it_once, 300),
};
TEST_MAIN(cases)
