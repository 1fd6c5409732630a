/* Locks, rlocks and guards hammered by threads of one process: for the thread
 * sanitizer, which sees no more than that, and to be sure of the counts. */
#include "harness/scale.h"
#include "unit/lock_support.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/guard.h"

enum {
    THREADS = 4,
    ROUNDS = 4000
};

/* Its numbers are no atomics: the lock makes them come out right. */
struct shared {
    ipc_lock lock;
    ipc_rlock rlock;
    struct ipc__guard guard;
    long count, copy;
};

struct worker {
    struct shared *shared;
    long (*round)(struct shared *shared, unsigned i);
    long done;
};

static void *work(void *arg)
{
    struct worker *worker = arg;
    const unsigned rounds = (unsigned)(ROUNDS * test_scale());
    for (unsigned i = 0; i < rounds; i++)
        worker->done += worker->round(worker->shared, i);
    return NULL;
}

static void hammer(struct shared *shared,
                   long (*round)(struct shared *shared, unsigned i))
{
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    long done = 0;
    shared->count = shared->copy = 0;
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.shared = shared, .round = round};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]),
                         0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        done += workers[i].done;
    }
    test_report("rounds", done);
    assert_true(done > 0);
    assert_int_equal(shared->count, done);
    assert_int_equal(shared->copy, done);
}

static long change(struct shared *shared)
{
    shared->count++;
    if (shared->count % 64 == 0)
        (void)sched_yield(); /* so that others come and sleep */
    shared->copy++;
    return 1;
}

/* ---- the lock, in all forms ---- */

static long use_lock(struct shared *shared, unsigned i)
{
    ipc_lock *lock = &shared->lock;
    const int rc = i % 3 == 0   ? ipc_lock_acquire_nowait(lock)
                   : i % 3 == 1 ? ipc_lock_acquire_until(lock, ipc_after_us(50))
                                : ipc_lock_acquire(lock);
    if (rc == -EAGAIN || rc == -ETIMEDOUT)
        return 0;
    expect_rc(rc, 0);
    const long done = change(shared);
    expect_rc(ipc_lock_release(lock), 0);
    return done;
}

static long always_wait(struct shared *shared, unsigned i)
{
    (void)i;
    expect_rc(ipc_lock_acquire(&shared->lock), 0);
    const long done = change(shared);
    expect_rc(ipc_lock_release(&shared->lock), 0);
    return done;
}

static void threads_take_turns_in_static_memory(void)
{
    static struct shared shared;
    hammer(&shared, always_wait);
    hammer(&shared, use_lock);
}

static void threads_take_turns_in_family_memory(void)
{
    struct shared *shared = ipc_shared_alloc(sizeof *shared);
    assert_non_null(shared);
    hammer(shared, always_wait);
    hammer(shared, use_lock);
    expect_rc(ipc_shared_free(shared), 0);
}

static void threads_take_turns_in_a_segment(void)
{
    ipc_segment *segment = NULL;
    expect_rc(
        ipc_segment_create("turns", sizeof(struct shared), NULL, &segment), 0);
    hammer(ipc_segment_data(segment), use_lock);
    expect_rc(ipc_segment_close(segment), 0);
    expect_rc(ipc_segment_unlink("turns"), 0);
}

/* ---- the rlock ---- */

static long use_rlock(struct shared *shared, unsigned i)
{
    ipc_rlock *rlock = &shared->rlock;
    const int rc =
        i % 2 == 0 ? ipc_rlock_acquire_nowait(rlock) : ipc_rlock_acquire(rlock);
    if (rc == -EAGAIN)
        return 0;
    expect_rc(rc, 0);
    const uint32_t levels = 1 + i % 3;
    for (uint32_t depth = 1; depth < levels; depth++)
        expect_rc(ipc_rlock_acquire(rlock), 0);
    assert_int_equal(ipc_rlock_depth(rlock), levels);
    const long done = change(shared);
    for (uint32_t depth = 0; depth < levels; depth++)
        expect_rc(ipc_rlock_release(rlock), 0);
    return done;
}

static void threads_nest(void)
{
    static struct shared shared;
    hammer(&shared, use_rlock);
}

/* ---- the guard ---- */

static void no_recovery(void *arg)
{
    (void)arg;
    test_fail("recovery without a death");
}

static long use_guard(struct shared *shared, unsigned i)
{
    (void)i;
    expect_rc(ipc__guard_lock(&shared->guard, no_recovery, NULL), 0);
    const long done = change(shared);
    ipc__guard_unlock(&shared->guard);
    return done;
}

static void threads_use_a_guard(void)
{
    struct shared *shared = ipc_shared_alloc(sizeof *shared);
    assert_non_null(shared);
    hammer(shared, use_guard);
    expect_rc(ipc_shared_free(shared), 0);
}

/* ---- threads that end holding it ---- */

struct mortal {
    ipc_lock lock;
    /* Atomics here: that a death comes before what the next owner does, the
     * kernel knows, and no sanitizer. */
    long started, finished, deaths;
};

#define add(p) ((void)__atomic_add_fetch((p), 1, __ATOMIC_RELAXED))

static void *live_and_die(void *arg)
{
    struct mortal *mortal = arg;
    for (int i = 0; i < 20; i++) {
        const int rc = ipc_lock_acquire(&mortal->lock);
        if (rc == IPC_OWNER_DIED) {
            add(&mortal->deaths);
            __atomic_store_n(
                &mortal->finished,
                __atomic_load_n(&mortal->started, __ATOMIC_RELAXED),
                __ATOMIC_RELAXED);
            expect_rc(ipc_lock_consistent(&mortal->lock), 0);
        } else {
            expect_rc(rc, 0);
        }
        add(&mortal->started);
        if (i == 19)
            break; /* dies */
        add(&mortal->finished);
        expect_rc(ipc_lock_release(&mortal->lock), 0);
    }
    return NULL;
}

static void every_thread_dies_holding_it(void)
{
    static struct mortal mortal;
    const long threads = 40 * test_scale();
    pthread_t alive[THREADS];
    for (long i = 0; i < threads; i += THREADS) {
        for (int j = 0; j < THREADS; j++)
            assert_int_equal(
                pthread_create(&alive[j], NULL, live_and_die, &mortal), 0);
        for (int j = 0; j < THREADS; j++)
            assert_int_equal(pthread_join(alive[j], NULL), 0);
    }
    expect_rc(ipc_lock_acquire(&mortal.lock), IPC_OWNER_DIED);
    expect_rc(ipc_lock_release(&mortal.lock), 0);
    test_report("deaths", mortal.deaths + 1);
    assert_int_equal(mortal.deaths + 1, threads);
    assert_int_equal(mortal.started, 20 * threads);
}

/* ---- the memory goes with the release ---- */

struct gift {
    ipc_lock lock;
    uint32_t held;
};

static void *hold_and_release(void *arg)
{
    struct gift *gift = arg;
    expect_rc(ipc_lock_acquire(&gift->lock), 0);
    meet_signal(&gift->held);
    (void)sched_yield();
    expect_rc(ipc_lock_release(&gift->lock), 0);
    return NULL;
}

/* Release touches nothing of the lock after the store that frees it: who gets
 * the lock then may unmap it. */
static void the_next_owner_may_unmap_it(void)
{
    for (long i = 0; i < 300 * test_scale(); i++) {
        struct gift *gift = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        pthread_t thread;
        assert_true(gift != MAP_FAILED);
        assert_int_equal(pthread_create(&thread, NULL, hold_and_release, gift),
                         0);
        meet_wait(&gift->held, 1, LIMIT_MS);
        expect_rc(ipc_lock_acquire(&gift->lock), 0);
        assert_int_equal(munmap(gift, 4096), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(threads_take_turns_in_static_memory, 300),
    TEST_CASE_LIMIT(threads_take_turns_in_family_memory, 300),
    TEST_CASE_LIMIT(threads_take_turns_in_a_segment, 300),
    TEST_CASE_LIMIT(threads_nest, 300),
    TEST_CASE_LIMIT(threads_use_a_guard, 300),
    TEST_CASE_LIMIT(every_thread_dies_holding_it, 300),
    TEST_CASE_LIMIT(the_next_owner_may_unmap_it, 300),
};
TEST_MAIN(cases)
