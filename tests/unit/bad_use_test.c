/* Bad use of what is owned: locks, rlocks, rwlocks, conditions and onces.
 * Every mistake is an error with a detail line, and changes nothing. */
#include "unit/bad_use_support.h"

#include <ipc/condition.h>
#include <ipc/lock.h>
#include <ipc/once.h>
#include <ipc/rlock.h>
#include <ipc/rwlock.h>
#include <ipc/shared.h>

static int never_called(void *arg)
{
    (void)arg;
    test_fail("called");
}

static int refuse(void *arg)
{
    (void)arg;
    return -EIO;
}

/* ---- lock, plain and fair ---- */

static ipc_lock *make_lock(uint32_t flags)
{
    const ipc_lock_options options = {sizeof options, flags, "L", 0};
    ipc_lock *lock = NULL;
    WORKS(ipc_lock_new(&options, &lock));
    return lock;
}

static void use_of_anothers_lock(void *arg)
{
    ipc_lock *lock = arg;
    REFUSED_SAYING(ipc_lock_release(lock), -EPERM, "\"L\"");
    REFUSED(ipc_lock_consistent(lock), -EPERM);
    REFUSED(ipc_lock_reset(lock), -EINVAL);
    REFUSED_SAYING(ipc_lock_fini(lock), -EBUSY, "pid");
    REFUSED_SAYING(ipc_lock_free(lock), -EBUSY, "pid");
    REFUSED_SAYING(ipc_lock_acquire_nowait(lock), -EAGAIN, "\"L\"");
    REFUSED_SAYING(ipc_lock_acquire_until(lock, ipc_after_ms(1)), -ETIMEDOUT,
                   "pid");
    REFUSED(
        ipc_lock_acquire_or_repair(lock, ipc_after_ms(1), never_called, NULL),
        -ETIMEDOUT);
    assert_false(ipc_lock_is_mine(lock));
}

static void bad_use_of_a_lock(uint32_t flags)
{
    ipc_lock *lock = make_lock(flags);
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    REFUSED_SAYING(ipc_lock_release(lock), -EPERM, "\"L\"");
    REFUSED(ipc_lock_consistent(lock), -EPERM);
    REFUSED(ipc_lock_reset(lock), -EINVAL);
    REFUSED(ipc_lock_owner(lock, &holder), -ESRCH);
    REFUSED(ipc_lock_close(lock), -EINVAL);
    WORKS(ipc_lock_acquire(lock));
    REFUSED_SAYING(ipc_lock_acquire(lock), -EDEADLK, "\"L\"");
    REFUSED(ipc_lock_acquire_nowait(lock), -EDEADLK);
    REFUSED(ipc_lock_acquire_until(lock, ipc_after_ms(1)), -EDEADLK);
    REFUSED(ipc_lock_consistent(lock), -EINVAL);
    REFUSED(ipc_lock_reset(lock), -EINVAL);
    REFUSED(ipc_lock_fini(lock), -EBUSY);
    REFUSED(ipc_lock_free(lock), -EBUSY);
    elsewhere(use_of_anothers_lock, lock);
    assert_true(ipc_lock_is_mine(lock));
    WORKS(ipc_lock_release(lock));
    REFUSED(ipc_lock_release(lock), -EPERM);
    WORKS(ipc_lock_free(lock));
    WORKS(ipc_lock_free(NULL));
    WORKS(ipc_lock_close(NULL));
}

static void locks(void)
{
    bad_use_of_a_lock(0);
    bad_use_of_a_lock(IPC_LOCK_FAIR);
}

static void die_with_lock(void *arg)
{
    WORKS(ipc_lock_acquire(arg));
    role_exit(0);
}

static void locks_that_were_given_up(void)
{
    for (uint32_t flags = 0; flags <= IPC_LOCK_FAIR; flags++) {
        ipc_lock *lock = make_lock(flags);
        ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
        elsewhere(die_with_lock, lock);
        expect_refused(
            __FILE__, __LINE__, "repair",
            ipc_lock_acquire_or_repair(lock, IPC_TIME_FOREVER, refuse, NULL),
            -EIO);
        REFUSED_SAYING(ipc_lock_acquire(lock), -ENOTRECOVERABLE, "\"L\"");
        REFUSED(ipc_lock_acquire_nowait(lock), -ENOTRECOVERABLE);
        REFUSED(ipc_lock_owner(lock, &holder), -ENOTRECOVERABLE);
        REFUSED(ipc_lock_release(lock), -EPERM);
        REFUSED(ipc_lock_consistent(lock), -EPERM);
        WORKS(ipc_lock_reset(lock));
        REFUSED(ipc_lock_reset(lock), -EINVAL);
        WORKS(ipc_lock_acquire(lock));
        WORKS(ipc_lock_release(lock));
        WORKS(ipc_lock_free(lock));
    }
}

/* ---- rlock ---- */

static void use_of_anothers_rlock(void *arg)
{
    ipc_rlock *rlock = arg;
    REFUSED_SAYING(ipc_rlock_release(rlock), -EPERM, "\"R\"");
    REFUSED(ipc_rlock_consistent(rlock), -EPERM);
    REFUSED(ipc_rlock_fini(rlock), -EBUSY);
    REFUSED(ipc_rlock_free(rlock), -EBUSY);
    REFUSED_SAYING(ipc_rlock_acquire_nowait(rlock), -EAGAIN, "pid");
    assert_int_equal(ipc_rlock_depth(rlock), 0);
}

static void rlocks(void)
{
    for (uint32_t flags = 0; flags <= IPC_LOCK_FAIR; flags++) {
        const ipc_lock_options options = {sizeof options, flags, "R", 0};
        ipc_rlock *rlock = NULL;
        WORKS(ipc_rlock_new(&options, &rlock));
        REFUSED_SAYING(ipc_rlock_release(rlock), -EPERM, "\"R\"");
        REFUSED(ipc_rlock_consistent(rlock), -EPERM);
        REFUSED(ipc_rlock_reset(rlock), -EINVAL);
        REFUSED(ipc_rlock_close(rlock), -EINVAL);
        WORKS(ipc_rlock_acquire(rlock));
        WORKS(ipc_rlock_acquire(rlock));
        elsewhere(use_of_anothers_rlock, rlock);
        REFUSED(ipc_rlock_free(rlock), -EBUSY);
        __atomic_store_n(&rlock->depth_, UINT32_MAX, __ATOMIC_RELAXED);
        REFUSED(ipc_rlock_acquire(rlock), -EOVERFLOW);
        __atomic_store_n(&rlock->depth_, 2, __ATOMIC_RELAXED);
        WORKS(ipc_rlock_release(rlock));
        REFUSED(ipc_rlock_consistent(rlock), -EINVAL);
        WORKS(ipc_rlock_release(rlock));
        REFUSED(ipc_rlock_release(rlock), -EPERM);
        WORKS(ipc_rlock_free(rlock));
    }
}

/* ---- rwlock ---- */

static ipc_rwlock *make_rwlock(void)
{
    const ipc_rwlock_options options = {sizeof options, 0, "RW"};
    ipc_rwlock *rwlock = NULL;
    WORKS(ipc_rwlock_new(&options, &rwlock));
    return rwlock;
}

static void use_while_another_reads(void *arg)
{
    ipc_rwlock *rwlock = arg;
    REFUSED_SAYING(ipc_rwlock_release(rwlock), -EPERM, "\"RW\"");
    REFUSED(ipc_rwlock_downgrade(rwlock), -EPERM);
    REFUSED(ipc_rwlock_consistent(rwlock), -EPERM);
    REFUSED(ipc_rwlock_reset(rwlock), -EINVAL);
    REFUSED_SAYING(ipc_rwlock_acquire_write_nowait(rwlock), -EAGAIN, "pid");
    REFUSED_SAYING(ipc_rwlock_acquire_write_until(rwlock, ipc_after_ms(1)),
                   -ETIMEDOUT, "pid");
    REFUSED(ipc_rwlock_fini(rwlock), -EBUSY);
    REFUSED(ipc_rwlock_free(rwlock), -EBUSY);
    WORKS(ipc_rwlock_acquire_read(rwlock));
    WORKS(ipc_rwlock_release(rwlock));
    REFUSED(ipc_rwlock_release(rwlock), -EPERM);
}

static void use_while_another_writes(void *arg)
{
    ipc_rwlock *rwlock = arg;
    REFUSED(ipc_rwlock_release(rwlock), -EPERM);
    REFUSED(ipc_rwlock_downgrade(rwlock), -EPERM);
    REFUSED_SAYING(ipc_rwlock_acquire_read_nowait(rwlock), -EAGAIN, "pid");
    REFUSED_SAYING(ipc_rwlock_acquire_read_until(rwlock, ipc_after_ms(1)),
                   -ETIMEDOUT, "\"RW\"");
    REFUSED_SAYING(ipc_rwlock_acquire_write_nowait(rwlock), -EAGAIN, "pid");
    REFUSED(ipc_rwlock_free(rwlock), -EBUSY);
}

static void rwlocks(void)
{
    ipc_rwlock *rwlock = make_rwlock();
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    REFUSED_SAYING(ipc_rwlock_release(rwlock), -EPERM, "\"RW\"");
    REFUSED(ipc_rwlock_downgrade(rwlock), -EPERM);
    REFUSED(ipc_rwlock_consistent(rwlock), -EPERM);
    REFUSED(ipc_rwlock_reset(rwlock), -EINVAL);
    REFUSED(ipc_rwlock_writer(rwlock, &holder), -ESRCH);
    REFUSED(ipc_rwlock_close(rwlock), -EINVAL);

    WORKS(ipc_rwlock_acquire_read(rwlock));
    REFUSED_SAYING(ipc_rwlock_acquire_write(rwlock), -EDEADLK, "\"RW\"");
    REFUSED(ipc_rwlock_acquire_write_nowait(rwlock), -EDEADLK);
    REFUSED(ipc_rwlock_consistent(rwlock), -EPERM);
    REFUSED(ipc_rwlock_downgrade(rwlock), -EPERM);
    elsewhere(use_while_another_reads, rwlock);
    assert_true(ipc_rwlock_is_reading(rwlock));
    for (int i = 1; i < 127; i++)
        WORKS(ipc_rwlock_acquire_read(rwlock));
    REFUSED(ipc_rwlock_acquire_read(rwlock), -EOVERFLOW);
    for (int i = 0; i < 127; i++)
        WORKS(ipc_rwlock_release(rwlock));
    REFUSED(ipc_rwlock_release(rwlock), -EPERM);

    WORKS(ipc_rwlock_acquire_write(rwlock));
    REFUSED_SAYING(ipc_rwlock_acquire_read(rwlock), -EDEADLK, "\"RW\"");
    REFUSED(ipc_rwlock_acquire_write(rwlock), -EDEADLK);
    REFUSED(ipc_rwlock_consistent(rwlock), -EINVAL);
    elsewhere(use_while_another_writes, rwlock);
    assert_true(ipc_rwlock_is_writing(rwlock));
    WORKS(ipc_rwlock_release(rwlock));
    REFUSED(ipc_rwlock_release(rwlock), -EPERM);
    WORKS(ipc_rwlock_free(rwlock));
    WORKS(ipc_rwlock_free(NULL));
    WORKS(ipc_rwlock_close(NULL));
}

static void die_writing(void *arg)
{
    WORKS(ipc_rwlock_acquire_write(arg));
    role_exit(0);
}

static void rwlocks_whose_writer_died(void)
{
    ipc_rwlock *rwlock = make_rwlock();
    elsewhere(die_writing, rwlock);
    REFUSED_SAYING(ipc_rwlock_acquire_read(rwlock), -EOWNERDEAD, "\"RW\"");
    REFUSED(ipc_rwlock_acquire_read_nowait(rwlock), -EOWNERDEAD);
    expect_result(__FILE__, __LINE__, "write", ipc_rwlock_acquire_write(rwlock),
                  IPC_OWNER_DIED);
    REFUSED(ipc_rwlock_downgrade(rwlock), -EINVAL);
    WORKS(ipc_rwlock_release(rwlock)); /* not consistent: given up */
    REFUSED_SAYING(ipc_rwlock_acquire_read(rwlock), -ENOTRECOVERABLE, "\"RW\"");
    REFUSED(ipc_rwlock_acquire_write(rwlock), -ENOTRECOVERABLE);
    WORKS(ipc_rwlock_reset(rwlock));
    WORKS(ipc_rwlock_acquire_read(rwlock));
    WORKS(ipc_rwlock_release(rwlock));
    WORKS(ipc_rwlock_free(rwlock));
}

/* ---- condition ---- */

static bool is_true(void *arg)
{
    return *(bool *)arg;
}

struct waiting {
    ipc_condition *condition;
    ipc_lock *lock;
    ipc_rlock *rlock;
    bool truth;
};

static void wait_without_the_locks(void *arg)
{
    struct waiting *w = arg;
    REFUSED_SAYING(ipc_condition_wait(w->condition, w->lock), -EPERM, "\"L\"");
    REFUSED(ipc_condition_wait_until(w->condition, w->lock, IPC_TIME_FOREVER),
            -EPERM);
    REFUSED(ipc_condition_wait_for(w->condition, w->lock, is_true, &w->truth),
            -EPERM);
    REFUSED(ipc_condition_wait_for_until(w->condition, w->lock, is_true,
                                         &w->truth, IPC_TIME_FOREVER),
            -EPERM);
    REFUSED(ipc_condition_wait_rlock(w->condition, w->rlock), -EPERM);
    REFUSED(ipc_condition_wait_rlock_until(w->condition, w->rlock,
                                           IPC_TIME_FOREVER),
            -EPERM);
    REFUSED(ipc_condition_wait_for_rlock(w->condition, w->rlock, is_true,
                                         &w->truth),
            -EPERM);
    REFUSED(ipc_condition_wait_for_rlock_until(w->condition, w->rlock, is_true,
                                               &w->truth, IPC_TIME_FOREVER),
            -EPERM);
    assert_false(ipc_lock_is_mine(w->lock));
    assert_int_equal(ipc_condition_waiting(w->condition), 0);
}

static void conditions(void)
{
    struct waiting w = {.truth = false};
    WORKS(ipc_condition_new(NULL, &w.condition));
    w.lock = make_lock(0);
    WORKS(ipc_rlock_new(NULL, &w.rlock));
    wait_without_the_locks(&w);
    WORKS(ipc_lock_acquire(w.lock));
    WORKS(ipc_rlock_acquire(w.rlock));
    elsewhere(wait_without_the_locks, &w);
    REFUSED(ipc_condition_wait_until(w.condition, w.lock, IPC_TIME_NOW),
            -ETIMEDOUT);
    REFUSED(ipc_condition_wait_for_until(w.condition, w.lock, is_true, &w.truth,
                                         IPC_TIME_NOW),
            -ETIMEDOUT);
    assert_true(ipc_lock_is_mine(w.lock));
    WORKS(ipc_lock_release(w.lock));
    WORKS(ipc_rlock_release(w.rlock));
    WORKS(ipc_condition_notify(w.condition, 0));
    WORKS(ipc_condition_notify(w.condition, UINT32_MAX));
    REFUSED(ipc_condition_close(w.condition), -EINVAL);
    WORKS(ipc_condition_free(w.condition));
    WORKS(ipc_condition_free(NULL));
    WORKS(ipc_condition_close(NULL));
    WORKS(ipc_lock_free(w.lock));
    WORKS(ipc_rlock_free(w.rlock));
}

/* ---- once ---- */

struct nested {
    ipc_once once;
    bool was_refused;
};

static int run_itself(void *arg)
{
    struct nested *nested = arg;
    REFUSED(ipc_once_run(&nested->once, never_called, NULL), -EDEADLK);
    REFUSED(ipc_once_run_nowait(&nested->once, never_called, NULL), -EDEADLK);
    REFUSED(ipc_once_reset(&nested->once), -EBUSY);
    nested->was_refused = true;
    return 0;
}

static void onces(void)
{
    struct nested *nested = ipc_shared_alloc(sizeof *nested);
    assert_non_null(nested);
    expect_result(__FILE__, __LINE__, "run",
                  ipc_once_run(&nested->once, refuse, NULL), -EIO);
    assert_false(ipc_once_is_done(&nested->once));
    WORKS(ipc_once_run(&nested->once, run_itself, nested));
    assert_true(nested->was_refused);
    WORKS(ipc_once_run(&nested->once, never_called, NULL));
    WORKS(ipc_once_reset(&nested->once));
    WORKS(ipc_once_reset(&nested->once));
    expect_result(__FILE__, __LINE__, "run",
                  ipc_once_run(&nested->once, refuse, NULL), -EIO);
    WORKS(ipc_shared_free(nested));
}

static const struct test_case cases[] = {
    TEST_CASE(locks),
    TEST_CASE(locks_that_were_given_up),
    TEST_CASE(rlocks),
    TEST_CASE(rwlocks),
    TEST_CASE(rwlocks_whose_writer_died),
    TEST_CASE(conditions),
    TEST_CASE(onces),
};
TEST_MAIN(cases)
