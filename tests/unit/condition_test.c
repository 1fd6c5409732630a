/* ipc_condition: wait and its deadlines, what it does with the lock, and every
 * refusal. */
#include "unit/condition_support.h"

#include "harness/faults.h"

/* ---- what can be had at once ---- */

static void zero_filled_memory_is_a_condition(void)
{
    static struct box box;
    assert_int_equal(ipc_condition_waiting(&box.condition), 0);
    expect_rc(ipc_condition_notify(&box.condition, 1), 0);
    expect_rc(ipc_condition_notify(&box.condition, 0), 0);
    expect_rc(ipc_condition_notify(&box.condition, UINT32_MAX), 0);
    expect_rc(ipc_condition_notify_all(&box.condition), 0);
    lock_box(&box);
    expect_rc(wait_any_ms(&box), -ETIMEDOUT);
    unlock_box(&box);
    assert_int_equal(ipc_condition_waiting(&box.condition), 0);
    expect_rc(ipc_condition_fini(&box.condition), 0);
}

/* ---- the lock is not the caller's ---- */

static bool never_asked(void *arg)
{
    (void)arg;
    test_fail("the predicate of a wait that was refused was called");
}

static void expect_refused(struct box *box)
{
    ipc_condition *c = &box->condition;
    const ipc_deadline soon = ipc_after_ms(LIMIT_MS);
    expect_rc(ipc_condition_wait(c, &box->lock), -EPERM);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_rc(ipc_condition_wait_until(c, &box->lock, soon), -EPERM);
    expect_rc(ipc_condition_wait_until(c, &box->lock, IPC_TIME_NOW), -EPERM);
    expect_rc(ipc_condition_wait_for(c, &box->lock, never_asked, NULL), -EPERM);
    expect_rc(
        ipc_condition_wait_for_until(c, &box->lock, never_asked, NULL, soon),
        -EPERM);
    expect_rc(ipc_condition_wait_rlock(c, &box->rlock), -EPERM);
    expect_rc(ipc_condition_wait_rlock_until(c, &box->rlock, soon), -EPERM);
    expect_rc(ipc_condition_wait_for_rlock(c, &box->rlock, never_asked, NULL),
              -EPERM);
    expect_rc(ipc_condition_wait_for_rlock_until(c, &box->rlock, never_asked,
                                                 NULL, soon),
              -EPERM);
    assert_int_equal(ipc_condition_waiting(c), 0);
}

static void *refused_in_thread(void *arg)
{
    expect_refused(arg);
    return NULL;
}

static void refused_in_process(void *arg)
{
    expect_refused(arg);
}

static void waiting_without_the_lock_is_refused(void)
{
    struct box *box = new_box();
    expect_refused(box);
    assert_false(ipc_lock_is_held(&box->lock));
    assert_false(ipc_rlock_is_held(&box->rlock));
    free_box(box);
}

static void waiting_with_the_lock_of_another_thread_is_refused(void)
{
    struct box *box = new_box();
    pthread_t thread;
    lock_box(box);
    expect_rc(ipc_rlock_acquire(&box->rlock), 0);
    assert_int_equal(pthread_create(&thread, NULL, refused_in_thread, box), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(ipc_lock_is_mine(&box->lock));
    assert_int_equal(ipc_rlock_depth(&box->rlock), 1);
    expect_rc(ipc_rlock_release(&box->rlock), 0);
    unlock_box(box);
    free_box(box);
}

static void a_child_does_not_hold_the_lock_of_its_parent(void)
{
    struct box *box = new_box();
    struct role child;
    lock_box(box);
    expect_rc(ipc_rlock_acquire(&box->rlock), 0);
    role_start(&child, refused_in_process, box);
    role_wait_ok(&child, LIMIT_MS);
    expect_rc(ipc_rlock_release(&box->rlock), 0);
    unlock_box(box);
    free_box(box);
}

/* ---- deadlines ---- */

static void a_deadline_that_has_passed_is_etimedout(void)
{
    static const ipc_deadline passed[] = {IPC_TIME_NOW, 1, -1, INT64_MIN};
    static struct box box;
    lock_box(&box);
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++) {
        expect_rc(
            ipc_condition_wait_until(&box.condition, &box.lock, passed[i]),
            -ETIMEDOUT);
        assert_true(ipc_lock_is_mine(&box.lock));
    }
    unlock_box(&box);
    assert_int_equal(ipc_condition_waiting(&box.condition), 0);
}

static void expect_kept(struct box *box, int ms)
{
    const ipc_deadline deadline = ipc_after_ms(ms);
    expect_rc(ipc_condition_wait_until(&box->condition, &box->lock, deadline),
              -ETIMEDOUT);
    const int64_t late = ipc_now() - deadline;
    assert_true(late >= 0);
    assert_true(late < SLACK_MS * NS_PER_MS);
    assert_true(ipc_lock_is_mine(&box->lock));
}

/* Shorter and longer than the re-check period. */
static void deadlines_are_kept(void)
{
    static struct box box;
    lock_box(&box);
    expect_kept(&box, 1);
    expect_kept(&box, 30);
    expect_kept(&box, 250);
    unlock_box(&box);
}

static void signals_do_not_end_a_wait(void)
{
    static struct box box;
    lock_box(&box);
    storm_start(2000);
    expect_kept(&box, 150);
    test_report("signals", storm_stop());
    unlock_box(&box);
}

static int wait_any_ms_when_others_want_the_lock(struct box *box)
{
    meet_signal(&box->ready);
    while ((futex_half(&box->lock) & FUTEX_BIT_WAITERS) == 0)
        poll_pause();
    return wait_any_ms(box);
}

/* A wait comes back holding the lock, however long that takes. */
static void a_timeout_waits_for_the_lock(void)
{
    struct box *box = new_box();
    struct waiter *waiter = family_alloc(sizeof *waiter);
    waiter->box = box;
    waiter->wait = wait_any_ms_when_others_want_the_lock;
    role_start(&waiter->role, live_as_waiter, waiter);
    meet_wait(&box->ready, 1, LIMIT_MS);
    lock_box(box);
    while (!asleep_on(tid_of(waiter), &box->lock.word_))
        poll_pause();
    assert_int_equal(box->back, 0);
    unlock_box(box);
    end_waiters(waiter, 1);
    assert_int_equal(box->back, 1);
    free_box(box);
}

/* ---- what it does with the lock ---- */

static void waiting_lets_others_have_the_lock(void)
{
    struct box *box = new_box();
    struct waiter *waiters = start_waiters(box, 2, wait_once, false);
    expect_rc(ipc_lock_acquire_nowait(&box->lock), 0);
    unlock_box(box);
    expect_rc(other_process_tries(&box->lock), 0);
    expect_rc(ipc_condition_notify_all(&box->condition), 0);
    end_waiters(waiters, 2);
    free_box(box);
}

static void who_is_notified_waits_for_the_lock(bool threads)
{
    struct box *box = new_box();
    struct waiter *waiter = start_waiters(box, 1, wait_once, threads);
    lock_box(box);
    expect_rc(ipc_condition_notify(&box->condition, 1), 0);
    while (!asleep_on(tid_of(waiter), &box->lock.word_))
        poll_pause();
    assert_int_equal(box->back, 0);
    unlock_box(box);
    end_one(waiter);
    assert_int_equal(waiter->rc, 0);
    expect_rc(ipc_shared_free(waiter), 0);
    free_box(box);
}

static void a_notified_process_waits_for_the_lock(void)
{
    who_is_notified_waits_for_the_lock(false);
}

static void a_notified_thread_waits_for_the_lock(void)
{
    who_is_notified_waits_for_the_lock(true);
}

/* ---- with a fair lock ---- */

struct fair {
    ipc_lock *lock;
    ipc_condition condition;
    uint32_t back;
};

static void wait_with_fair_lock(void *arg)
{
    struct fair *fair = arg;
    for (int i = 0; i < 5; i++) {
        expect_rc(ipc_lock_acquire(fair->lock), 0);
        expect_rc(ipc_condition_wait(&fair->condition, fair->lock), 0);
        meet_signal(&fair->back);
        expect_rc(ipc_lock_release(fair->lock), 0);
    }
}

static void a_fair_lock_serves_as_well(void)
{
    const ipc_lock_options options = {.size = sizeof options,
                                      .flags = IPC_LOCK_FAIR};
    struct fair *fair = family_alloc(sizeof *fair);
    struct role roles[3];
    expect_rc(ipc_lock_new(&options, &fair->lock), 0);
    for (int i = 0; i < 3; i++)
        role_start(&roles[i], wait_with_fair_lock, fair);
    for (uint32_t i = 1; i <= 5; i++) {
        while (ipc_condition_waiting(&fair->condition) < 3)
            poll_pause();
        expect_rc(ipc_lock_acquire(fair->lock), 0);
        expect_rc(ipc_condition_notify_all(&fair->condition), 0);
        expect_rc(ipc_lock_release(fair->lock), 0);
        meet_wait(&fair->back, 3 * i, LIMIT_MS);
    }
    for (int i = 0; i < 3; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
    expect_rc(ipc_condition_fini(&fair->condition), 0);
    expect_rc(ipc_lock_free(fair->lock), 0);
    expect_rc(ipc_shared_free(fair), 0);
}

/* ---- notify, as far as it concerns one ---- */

static void a_notification_is_not_remembered(void)
{
    static struct box box;
    lock_box(&box);
    for (int i = 0; i < 3; i++) {
        expect_rc(ipc_condition_notify(&box.condition, 5), 0);
        expect_rc(ipc_condition_notify_all(&box.condition), 0);
    }
    expect_rc(wait_any_ms(&box), -ETIMEDOUT);
    unlock_box(&box);
}

static void the_notifier_need_not_hold_the_lock(void)
{
    struct box *box = new_box();
    for (int i = 0; i < 20; i++) {
        struct waiter *waiter = start_waiters(box, 1, wait_once, i % 2 != 0);
        if (i % 4 < 2)
            lock_box(box);
        expect_rc(ipc_condition_notify(&box->condition, 1), 0);
        if (i % 4 < 2)
            unlock_box(box);
        end_one(waiter);
        assert_int_equal(waiter->rc, 0);
        expect_rc(ipc_shared_free(waiter), 0);
    }
    free_box(box);
}

/* The same thread again and again: its place is free afterwards. */
static void places_are_given_back(void)
{
    static struct box box;
    lock_box(&box);
    for (int i = 0; i < 3 * LINE; i++) {
        expect_rc(
            ipc_condition_wait_until(&box.condition, &box.lock, IPC_TIME_NOW),
            -ETIMEDOUT);
        assert_int_equal(ipc_condition_waiting(&box.condition), 0);
    }
    unlock_box(&box);
}

/* ---- somebody waits ---- */

static void fini_is_refused_while_somebody_waits(void)
{
    struct box *box = new_box();
    struct waiter *waiters = start_waiters(box, 2, wait_once, false);
    expect_rc(ipc_condition_fini(&box->condition), -EBUSY);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_rc(ipc_condition_notify_all(&box->condition), 0);
    end_waiters(waiters, 2);
    free_box(box);
}

/* It was notified, and is not back yet: it still uses its place. */
static void fini_is_refused_until_they_are_back(void)
{
    struct box *box = new_box();
    struct waiter *waiter = start_waiters(box, 1, wait_once, false);
    lock_box(box);
    expect_rc(ipc_condition_notify(&box->condition, 1), 0);
    while (!asleep_on(tid_of(waiter), &box->lock.word_))
        poll_pause();
    expect_rc(ipc_condition_fini(&box->condition), -EBUSY);
    unlock_box(box);
    end_one(waiter);
    assert_int_equal(waiter->rc, 0);
    expect_rc(ipc_shared_free(waiter), 0);
    free_box(box);
}

static void how_many_wait_is_told(void)
{
    struct box *box = new_box();
    struct waiter *waiters = start_waiters(box, 4, wait_once, false);
    for (uint32_t left = 4; left > 0; left--) {
        assert_int_equal(ipc_condition_waiting(&box->condition), left);
        expect_rc(ipc_condition_notify(&box->condition, 1), 0);
        expect_back(waiters, 4, 5 - left);
        lock_box(box); /* the one that came back has left for good */
        unlock_box(box);
    }
    end_waiters(waiters, 4);
    free_box(box);
}

static const struct test_case cases[] = {
    TEST_CASE(zero_filled_memory_is_a_condition),
    TEST_CASE(waiting_without_the_lock_is_refused),
    TEST_CASE(waiting_with_the_lock_of_another_thread_is_refused),
    TEST_CASE(a_child_does_not_hold_the_lock_of_its_parent),
    TEST_CASE(a_deadline_that_has_passed_is_etimedout),
    TEST_CASE(deadlines_are_kept),
    TEST_CASE(signals_do_not_end_a_wait),
    TEST_CASE(a_timeout_waits_for_the_lock),
    TEST_CASE(waiting_lets_others_have_the_lock),
    TEST_CASE(a_notified_process_waits_for_the_lock),
    TEST_CASE(a_notified_thread_waits_for_the_lock),
    TEST_CASE(a_fair_lock_serves_as_well),
    TEST_CASE(a_notification_is_not_remembered),
    TEST_CASE(the_notifier_need_not_hold_the_lock),
    TEST_CASE(places_are_given_back),
    TEST_CASE(fini_is_refused_while_somebody_waits),
    TEST_CASE(fini_is_refused_until_they_are_back),
    TEST_CASE(how_many_wait_is_told),
};
TEST_MAIN(cases)
