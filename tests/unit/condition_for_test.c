/* ipc_condition_wait_for: waiting for a predicate. */
#include "unit/condition_support.h"

#include <signal.h>

static int wait_for(struct box *box)
{
    return ipc_condition_wait_for(&box->condition, &box->lock, gate_is_open,
                                  box);
}

static int wait_for_until(struct box *box, ipc_deadline deadline)
{
    return ipc_condition_wait_for_until(&box->condition, &box->lock,
                                        gate_is_open, box, deadline);
}

/* ---- it is true ---- */

static void a_predicate_that_is_true_does_not_wait(void)
{
    static struct box box;
    lock_box(&box);
    box.gate = 1;
    expect_rc(wait_for(&box), 0);
    assert_int_equal(box.calls, 1);
    expect_rc(wait_for_until(&box, IPC_TIME_FOREVER), 0);
    assert_int_equal(box.calls, 2);
    expect_rc(wait_for_until(&box, IPC_TIME_NOW), 0);
    expect_rc(wait_for_until(&box, -1), 0);
    assert_true(ipc_lock_is_mine(&box.lock));
    unlock_box(&box);
}

/* ---- it becomes true ---- */

static void notified_too_early(bool threads)
{
    struct box *box = new_box();
    struct waiter *waiters = start_waiters(box, 3, wait_for, threads);
    assert_int_equal(box->calls, 3);
    for (uint32_t i = 1; i <= 3; i++) {
        expect_rc(ipc_condition_notify_all(&box->condition), 0);
        while (__atomic_load_n(&box->calls, __ATOMIC_SEQ_CST) < 3 + 3 * i)
            poll_pause();
        expect_back(waiters, 3, 0);
    }
    open_gate(box);
    expect_rc(ipc_condition_notify_all(&box->condition), 0);
    for (int i = 0; i < 3; i++)
        end_one(&waiters[i]);
    for (int i = 0; i < 3; i++)
        assert_int_equal(waiters[i].rc, 0);
    assert_true(box->calls >= 3 + 9 + 3);
    expect_rc(ipc_shared_free(waiters), 0);
    free_box(box);
}

static void processes_wait_on_until_it_is_true(void)
{
    notified_too_early(false);
}

static void threads_wait_on_until_it_is_true(void)
{
    notified_too_early(true);
}

static bool lock_is_mine(void *arg)
{
    struct box *box = arg;
    assert_true(ipc_lock_is_mine(&box->lock));
    return gate_is_open(box);
}

static int wait_for_holding(struct box *box)
{
    return ipc_condition_wait_for(&box->condition, &box->lock, lock_is_mine,
                                  box);
}

static void the_predicate_is_asked_with_the_lock_held(void)
{
    struct box *box = new_box();
    struct waiter *waiter = start_waiters(box, 1, wait_for_holding, false);
    expect_rc(ipc_condition_notify(&box->condition, 1), 0);
    open_gate(box);
    expect_rc(ipc_condition_notify(&box->condition, 1), 0);
    end_waiters(waiter, 1);
    free_box(box);
}

/* ---- it does not, in time ---- */

static void the_deadline_is_kept(void)
{
    static struct box box;
    lock_box(&box);
    expect_rc(wait_for_until(&box, IPC_TIME_NOW), -ETIMEDOUT);
    assert_true(box.calls >= 1);
    const ipc_deadline deadline = ipc_after_ms(30);
    expect_rc(wait_for_until(&box, deadline), -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
    assert_true(ipc_lock_is_mine(&box.lock));
    unlock_box(&box);
    assert_int_equal(ipc_condition_waiting(&box.condition), 0);
}

static void notify_until_back(void *arg)
{
    struct box *box = arg;
    meet_signal(&box->ready);
    while (__atomic_load_n(&box->back, __ATOMIC_SEQ_CST) == 0) {
        expect_rc(ipc_condition_notify_all(&box->condition), 0);
        poll_pause();
    }
}

/* Notifications do not put the deadline off. */
static void one_deadline_for_all_of_it(void)
{
    struct box *box = new_box();
    struct role notifier;
    role_start(&notifier, notify_until_back, box);
    meet_wait(&box->ready, 1, LIMIT_MS);
    lock_box(box);
    const ipc_deadline deadline = ipc_after_ms(100);
    expect_rc(wait_for_until(box, deadline), -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
    assert_true(ipc_now() - deadline < SLACK_MS * NS_PER_MS);
    test_report("asked", box->calls);
    assert_true(box->calls > 2);
    unlock_box(box);
    meet_signal(&box->back);
    role_wait_ok(&notifier, LIMIT_MS);
    free_box(box);
}

static int wait_for_a_while(struct box *box)
{
    return wait_for_until(box, ipc_after_ms(500));
}

/* It became true and nobody said so: it is asked once more in the end. */
static void it_is_asked_after_the_deadline(void)
{
    struct box *box = new_box();
    struct waiter *waiter = start_waiters(box, 1, wait_for_a_while, false);
    open_gate(box);
    end_one(waiter);
    assert_int_equal(waiter->rc, 0);
    expect_rc(ipc_shared_free(waiter), 0);
    free_box(box);
}

/* ---- what stops it ---- */

static void die_in_the_lock(void *arg)
{
    struct box *box = arg;
    lock_box(box);
    box->gate = 1; /* half done */
    expect_rc(ipc_condition_notify_all(&box->condition), 0);
    (void)kill(getpid(), SIGKILL);
}

static void the_predicate_is_not_asked_about_broken_data(void)
{
    struct box *box = new_box();
    struct waiter *waiter = start_waiters(box, 1, wait_for, false);
    struct role role;
    role_start(&role, die_in_the_lock, box);
    (void)role_wait_dead(&role, LIMIT_MS);
    end_one(waiter);
    assert_int_equal(waiter->rc, IPC_OWNER_DIED);
    assert_int_equal(box->calls, 1);
    expect_rc(ipc_shared_free(waiter), 0);
    free_box(box);
}

static void a_lock_that_is_given_up_ends_it(void)
{
    struct box *box = new_box();
    struct waiter *waiter = start_waiters(box, 1, wait_for, false);
    die_holding(&box->lock);
    expect_rc(ipc_lock_acquire(&box->lock), IPC_OWNER_DIED);
    box->gate = 1;
    expect_rc(ipc_lock_release(&box->lock), 0); /* not consistent */
    expect_rc(ipc_condition_notify(&box->condition, 1), 0);
    end_one(waiter);
    assert_int_equal(waiter->rc, -ENOTRECOVERABLE);
    assert_int_equal(box->calls, 1);
    expect_rc(ipc_lock_reset(&box->lock), 0);
    expect_rc(ipc_shared_free(waiter), 0);
    free_box(box);
}

static const struct test_case cases[] = {
    TEST_CASE(a_predicate_that_is_true_does_not_wait),
    TEST_CASE(processes_wait_on_until_it_is_true),
    TEST_CASE(threads_wait_on_until_it_is_true),
    TEST_CASE(the_predicate_is_asked_with_the_lock_held),
    TEST_CASE(the_deadline_is_kept),
    TEST_CASE(one_deadline_for_all_of_it),
    TEST_CASE(it_is_asked_after_the_deadline),
    TEST_CASE(the_predicate_is_not_asked_about_broken_data),
    TEST_CASE(a_lock_that_is_given_up_ends_it),
};
TEST_MAIN(cases)
