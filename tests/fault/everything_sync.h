/* One use of every synchronisation object: a part of everything.c, where
 * DONE() is. */
#ifndef FAULT_EVERYTHING_SYNC_H
#define FAULT_EVERYTHING_SYNC_H

#include <ipc/barrier.h>
#include <ipc/check.h>
#include <ipc/condition.h>
#include <ipc/event.h>
#include <ipc/lock.h>
#include <ipc/once.h>
#include <ipc/rlock.h>
#include <ipc/rwlock.h>
#include <ipc/semaphore.h>
#include <ipc/shared.h>

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static bool is_so(void *arg)
{
    (void)arg;
    return true;
}

static ipc_deadline in_a_moment(void)
{
    return ipc_after_us(20);
}

/* ---- each of them, by one thread ---- */

/* A release finds its thread unknown, if the acquire needed no more than the
 * word. */
static bool give_back(ipc_semaphore *semaphore, uint32_t n)
{
    return n == 1 ? DONE(ipc_semaphore_release(semaphore))
                  : DONE(ipc_semaphore_release_many(semaphore, n));
}

/* With two permits. */
static void use_semaphore(ipc_semaphore *semaphore)
{
    if (!DONE(ipc_semaphore_acquire_many(semaphore, 2)))
        return;
    int rc = ipc_semaphore_acquire_until(semaphore, in_a_moment());
    assert_true(rc == -ETIMEDOUT || !done("until", rc));
    rc = ipc_semaphore_transfer(semaphore, getpid(), 1);
    assert_true(rc == 0 || rc == -ENOTSUP);
    if (!give_back(semaphore, 2))
        return;
    if (DONE(ipc_semaphore_acquire(semaphore)) && !give_back(semaphore, 1))
        return;
    if (DONE(ipc_semaphore_acquire_nowait(semaphore)) &&
        !give_back(semaphore, 1))
        return;
    if (DONE(ipc_semaphore_acquire_many_nowait(semaphore, 2)) &&
        !give_back(semaphore, 2))
        return;
    if (DONE(ipc_semaphore_acquire_many_until(semaphore, 2, in_a_moment())))
        (void)give_back(semaphore, 2);
    assert_int_equal(ipc_semaphore_held(semaphore), 0);
    assert_int_equal(ipc_semaphore_value(semaphore), 2);
}

static void use_event(ipc_event *event)
{
    const int rc = ipc_event_wait_until(event, in_a_moment());
    assert_true(rc == -ETIMEDOUT || !done("until", rc));
    assert_int_equal(ipc_event_wait_nowait(event), -EAGAIN);
    (void)DONE(ipc_event_set(event));
    assert_true(ipc_event_is_set(event));
    (void)DONE(ipc_event_wait(event));
    (void)DONE(ipc_event_clear(event));
}

static void wait_with_lock(ipc_condition *condition)
{
    ipc_lock lock = {.word_ = 0};
    if (!DONE(ipc_lock_acquire(&lock)))
        return;
    int rc = ipc_condition_wait_until(condition, &lock, in_a_moment());
    assert_true(rc == -ETIMEDOUT || !done("until", rc));
    (void)DONE(ipc_condition_wait_for(condition, &lock, is_so, NULL));
    (void)DONE(ipc_condition_wait_for_until(condition, &lock, is_so, NULL,
                                            in_a_moment()));
    assert_true(ipc_lock_is_mine(&lock));
    CHECK(ipc_lock_release(&lock), 0);
    CHECK(ipc_condition_wait(condition, &lock), -EPERM);
}

static void wait_with_rlock(ipc_condition *condition)
{
    ipc_rlock rlock = {.depth_ = 0};
    if (!DONE(ipc_rlock_acquire(&rlock)))
        return;
    int rc = ipc_condition_wait_rlock_until(condition, &rlock, in_a_moment());
    assert_true(rc == -ETIMEDOUT || !done("until", rc));
    (void)DONE(ipc_condition_wait_for_rlock(condition, &rlock, is_so, NULL));
    (void)DONE(ipc_condition_wait_for_rlock_until(condition, &rlock, is_so,
                                                  NULL, in_a_moment()));
    CHECK(ipc_rlock_release(&rlock), 0);
    CHECK(ipc_condition_wait_rlock(condition, &rlock), -EPERM);
}

static void use_condition(ipc_condition *condition)
{
    wait_with_lock(condition);
    wait_with_rlock(condition);
    (void)DONE(ipc_condition_notify(condition, 1));
    (void)DONE(ipc_condition_notify_all(condition));
    assert_int_equal(ipc_condition_waiting(condition), 0);
}

/* Of two parties: it comes alone. */
static void use_barrier(ipc_barrier *barrier)
{
    if (DONE(ipc_barrier_enroll(barrier)))
        CHECK(ipc_barrier_leave(barrier), 0);
    int rc = ipc_barrier_wait_nowait(barrier);
    assert_true(rc == -EAGAIN || !done("nowait", rc));
    rc = ipc_barrier_wait_until(barrier, in_a_moment());
    assert_true(rc == -ETIMEDOUT || !done("until", rc));
    (void)DONE(ipc_barrier_abort(barrier));
    rc = ipc_barrier_wait(barrier);
    assert_true(rc == -ECANCELED || !done("wait", rc));
    (void)DONE(ipc_barrier_reset(barrier));
    rc = ipc_barrier_wait_action(barrier, do_nothing, NULL, in_a_moment());
    assert_true(rc == -ETIMEDOUT || !done("action", rc));
    (void)ipc_barrier_is_broken(barrier);
    assert_int_equal(ipc_barrier_waiting(barrier), 0);
    assert_int_equal(ipc_barrier_parties(barrier), 2);
}

static void use_rwlock(ipc_rwlock *rwlock)
{
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    if (DONE(ipc_rwlock_acquire_read(rwlock))) {
        (void)DONE(ipc_rwlock_acquire_read_nowait(rwlock));
        while (ipc_rwlock_is_reading(rwlock))
            CHECK(ipc_rwlock_release(rwlock), 0);
    }
    if (DONE(ipc_rwlock_acquire_read_until(rwlock, in_a_moment())))
        CHECK(ipc_rwlock_release(rwlock), 0);
    if (DONE(ipc_rwlock_acquire_write(rwlock))) {
        CHECK(ipc_rwlock_writer(rwlock, &holder), 0);
        CHECK(ipc_rwlock_consistent(rwlock), -EINVAL);
        CHECK(ipc_rwlock_downgrade(rwlock), 0);
        CHECK(ipc_rwlock_release(rwlock), 0);
    }
    if (DONE(ipc_rwlock_acquire_write_nowait(rwlock)))
        CHECK(ipc_rwlock_release(rwlock), 0);
    if (DONE(ipc_rwlock_acquire_write_until(rwlock, in_a_moment())))
        CHECK(ipc_rwlock_release(rwlock), 0);
    CHECK(ipc_rwlock_reset(rwlock), -EINVAL);
    assert_int_equal(ipc_rwlock_readers(rwlock), 0);
    assert_false(ipc_rwlock_is_writing(rwlock));
}

static void use_once(void)
{
    ipc_once once = {.word_ = 0};
    if (DONE(ipc_once_run(&once, do_nothing, NULL)))
        CHECK(ipc_once_run_nowait(&once, do_nothing, NULL), 0);
    CHECK(ipc_once_reset(&once), 0);
    (void)DONE(ipc_once_run_until(&once, do_nothing, NULL, in_a_moment()));
    (void)ipc_once_is_done(&once);
}

/* ---- in all places ---- */

/* In memory of its own, in family memory, and by name. */
#define USE_IN_ALL_PLACES(x, init, make, create, again)                        \
    static void use_places_of_##x(void)                                        \
    {                                                                          \
        static ipc_##x own;                                                    \
        ipc_##x *made, *named;                                                 \
        CHECK(init, 0);                                                        \
        use_##x(&own);                                                         \
        (void)DONE(ipc_##x##_fini(&own));                                      \
        if (DONE(make)) {                                                      \
            use_##x(made);                                                     \
            CHECK(ipc_##x##_free(made), 0);                                    \
        }                                                                      \
        if (!DONE(again))                                                      \
            return;                                                            \
        const int rc = (create);                                               \
        assert_true(rc == -EEXIST || !done("create", rc));                     \
        if (DONE(ipc_##x##_open("sync-" #x, &made)))                           \
            CHECK(ipc_##x##_close(made), 0);                                   \
        use_##x(named);                                                        \
        CHECK(ipc_##x##_close(named), 0);                                      \
        (void)DONE(ipc_##x##_unlink("sync-" #x));                              \
    }

USE_IN_ALL_PLACES(semaphore, ipc_semaphore_init(&own, 2, NULL),
                  ipc_semaphore_new(2, NULL, &made),
                  ipc_semaphore_create("sync-semaphore", 2, NULL, &made),
                  ipc_semaphore_open_or_create("sync-semaphore", 2, NULL,
                                               &named))
USE_IN_ALL_PLACES(event, ipc_event_init(&own, NULL), ipc_event_new(NULL, &made),
                  ipc_event_create("sync-event", NULL, &made),
                  ipc_event_open_or_create("sync-event", NULL, &named))
USE_IN_ALL_PLACES(condition, ipc_condition_init(&own, NULL),
                  ipc_condition_new(NULL, &made),
                  ipc_condition_create("sync-condition", NULL, &made),
                  ipc_condition_open_or_create("sync-condition", NULL, &named))
USE_IN_ALL_PLACES(barrier, ipc_barrier_init(&own, 2, NULL),
                  ipc_barrier_new(2, NULL, &made),
                  ipc_barrier_create("sync-barrier", 2, NULL, &made),
                  ipc_barrier_open_or_create("sync-barrier", 2, NULL, &named))
USE_IN_ALL_PLACES(rwlock, ipc_rwlock_init(&own, NULL),
                  ipc_rwlock_new(NULL, &made),
                  ipc_rwlock_create("sync-rwlock", NULL, &made),
                  ipc_rwlock_open_or_create("sync-rwlock", NULL, &named))

/* ---- those that take more memory ---- */

static void use_tracked_and_fair(void)
{
    static const uint32_t kinds[] = {
        IPC_SEMAPHORE_BOUNDED, IPC_SEMAPHORE_TRACKED, IPC_SEMAPHORE_FAIR,
        IPC_SEMAPHORE_TRACKED | IPC_SEMAPHORE_FAIR};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const ipc_semaphore_options options = {sizeof options, kinds[i], NULL,
                                               0};
        ipc_semaphore *semaphore;
        assert_true(ipc_semaphore_bytes(2, kinds[i]) >= sizeof *semaphore);
        if (!DONE(ipc_semaphore_new(2, &options, &semaphore)))
            continue;
        use_semaphore(semaphore);
        CHECK(ipc_semaphore_free(semaphore), 0);
    }
    const ipc_lock_options fair = {sizeof fair, IPC_LOCK_FAIR, NULL, 0};
    ipc_rlock *rlock;
    assert_true(ipc_rlock_bytes(IPC_LOCK_FAIR) > ipc_lock_bytes(0));
    if (DONE(ipc_rlock_new(&fair, &rlock))) {
        if (DONE(ipc_rlock_acquire(rlock)))
            CHECK(ipc_rlock_release(rlock), 0);
        CHECK(ipc_rlock_free(rlock), 0);
    }
}

/* ---- two processes, one of which sleeps each time ---- */

struct duet {
    ipc_lock *fair;
    ipc_event event;
    ipc_condition condition;
    ipc_lock lock;
    ipc_rwlock rwlock;
    ipc_semaphore semaphore;
    ipc_once once;
    ipc_barrier barrier;
};

/* Does what the other one has to wait for, a little later.  No call that
 * would fail for lack of something stops it. */
static int lead(void *arg)
{
    struct duet *duet = arg;
    int bad = 0;
    ipc_sleep_until(ipc_after_us(300));
    bad += ipc_event_set(&duet->event) != 0;
    ipc_sleep_until(ipc_after_us(300));
    bad += ipc_semaphore_release(&duet->semaphore) != 0;
    ipc_sleep_until(ipc_after_us(300));
    while (ipc_condition_waiting(&duet->condition) == 0)
        ipc_sleep_until(ipc_after_us(100));
    bad += ipc_condition_notify(&duet->condition, 1) != 0;
    if (ipc_lock_acquire(duet->fair) != 0 ||
        ipc_rwlock_acquire_write(&duet->rwlock) != 0)
        return 1;
    bad += ipc_barrier_wait(&duet->barrier) < 0;
    ipc_sleep_until(ipc_after_us(300));
    bad += ipc_lock_release(duet->fair) != 0;
    ipc_sleep_until(ipc_after_us(300));
    bad += ipc_rwlock_release(&duet->rwlock) != 0;
    return bad;
}

/* All of these are waits for the leader: the thread is known already, so
 * nothing can be missing any more. */
static void follow(struct duet *duet)
{
    CHECK(ipc_event_wait(&duet->event), 0);
    CHECK(ipc_semaphore_acquire(&duet->semaphore), 0);
    CHECK(ipc_lock_acquire(&duet->lock), 0);
    CHECK(ipc_condition_wait(&duet->condition, &duet->lock), 0);
    CHECK(ipc_lock_release(&duet->lock), 0);
    assert_true(ipc_barrier_wait(&duet->barrier) >= 0);
    CHECK(ipc_lock_acquire(duet->fair), 0);
    CHECK(ipc_lock_release(duet->fair), 0);
    CHECK(ipc_rwlock_acquire_read(&duet->rwlock), 0);
    CHECK(ipc_rwlock_release(&duet->rwlock), 0);
    CHECK(ipc_once_run(&duet->once, do_nothing, NULL), 0);
}

static void use_together(void)
{
    const ipc_lock_options fair = {sizeof fair, IPC_LOCK_FAIR, NULL, 0};
    struct duet *duet = ipc_shared_alloc(sizeof *duet);
    ipc_process leader;
    if (duet == NULL) {
        (void)done("ipc_shared_alloc", -ENOMEM);
        return;
    }
    CHECK(ipc_barrier_init(&duet->barrier, 2, NULL), 0);
    if (DONE(ipc_lock_acquire(&duet->lock))) {
        CHECK(ipc_lock_release(&duet->lock), 0);
        if (DONE(ipc_lock_new(&fair, &duet->fair))) {
            CHECK(ipc_process_init(&leader, lead, duet, NULL), 0);
            const bool started = DONE(ipc_process_start(&leader));
            if (started)
                follow(duet);
            finish(&leader, started, 0);
            CHECK(ipc_lock_free(duet->fair), 0);
        }
    }
    CHECK(ipc_shared_free(duet), 0);
}

/* ---- all of it ---- */

static void use_sync(void)
{
    (void)ipc_check_is_enabled();
    use_places_of_semaphore();
    use_places_of_event();
    use_places_of_condition();
    use_places_of_barrier();
    use_places_of_rwlock();
    use_once();
    use_tracked_and_fair();
    use_together();
}

static void remove_names_of_sync(void)
{
    (void)ipc_semaphore_unlink("sync-semaphore");
    (void)ipc_event_unlink("sync-event");
    (void)ipc_condition_unlink("sync-condition");
    (void)ipc_barrier_unlink("sync-barrier");
    (void)ipc_rwlock_unlink("sync-rwlock");
}

#endif
