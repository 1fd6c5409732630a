/* ipc_condition and the deaths of those who hold its lock. */
#include "unit/condition_support.h"

#include <signal.h>

static int wait_300_ms(struct box *box)
{
    return ipc_condition_wait_until(&box->condition, &box->lock,
                                    ipc_after_ms(300));
}

static void notify_all_and_die(void *arg)
{
    struct box *box = arg;
    lock_box(box);
    expect_rc(ipc_condition_notify_all(&box->condition), 0);
    (void)kill(getpid(), SIGKILL);
}

/* Leave the lock as one that was killed holding it, perhaps after it has
 * notified. */
static void die(struct box *box, void (*how)(void *arg))
{
    struct role role;
    role_start(&role, how, box);
    assert_int_equal(role_wait_dead(&role, LIMIT_MS), SIGKILL);
}

static void give_up(struct box *box)
{
    die_holding(&box->lock);
    expect_rc(ipc_lock_acquire(&box->lock), IPC_OWNER_DIED);
    expect_rc(ipc_lock_release(&box->lock), 0);
}

static void expect_rc_of_turn(const struct waiter *waiters, int count,
                              uint32_t turn, int rc)
{
    for (int i = 0; i < count; i++)
        if (waiters[i].turn == turn)
            assert_int_equal(waiters[i].rc, rc);
}

/* ---- somebody dies holding the lock ---- */

static void owner_dies(bool threads)
{
    struct box *box = new_box();
    struct waiter *waiters = start_waiters(box, 3, wait_once, threads);
    die(box, notify_all_and_die);
    for (int i = 0; i < 3; i++)
        end_one(&waiters[i]);
    expect_rc_of_turn(waiters, 3, 1, IPC_OWNER_DIED);
    expect_rc_of_turn(waiters, 3, 2, 0); /* the first one repaired it */
    expect_rc_of_turn(waiters, 3, 3, 0);
    expect_rc(ipc_shared_free(waiters), 0);
    free_box(box);
}

static void the_first_process_that_comes_back_is_told(void)
{
    owner_dies(false);
}

static void the_first_thread_that_comes_back_is_told(void)
{
    owner_dies(true);
}

/* The news is more than the timeout: who is not told must not release. */
static void a_death_is_told_at_the_deadline_too(void)
{
    struct box *box = new_box();
    struct waiter *waiter = start_waiters(box, 1, wait_300_ms, false);
    die_holding(&box->lock);
    end_one(waiter);
    assert_int_equal(waiter->rc, IPC_OWNER_DIED);
    expect_rc(ipc_shared_free(waiter), 0);
    free_box(box);
}

/* Who waits in the condition does not hold the lock, and dies without
 * news. */
static void who_dies_waiting_is_no_owner_that_died(void)
{
    struct box *box = new_box();
    struct waiter *waiters = start_waiters(box, 3, wait_once, false);
    for (int i = 0; i < 3; i++)
        (void)role_kill(&waiters[i].role);
    lock_box(box);
    unlock_box(box);
    expect_rc(ipc_condition_fini(&box->condition), 0);
    expect_rc(ipc_shared_free(waiters), 0);
    expect_rc(ipc_shared_free(box), 0);
}

/* ---- the lock is given up ---- */

static void all_are_told_that_the_lock_is_given_up(bool threads)
{
    struct box *box = new_box();
    struct waiter *waiters = start_waiters(box, 3, wait_once, threads);
    give_up(box);
    expect_back(waiters, 3, 0);
    expect_rc(ipc_condition_notify_all(&box->condition), 0);
    for (int i = 0; i < 3; i++)
        end_one(&waiters[i]);
    for (int i = 0; i < 3; i++)
        assert_int_equal(waiters[i].rc, -ENOTRECOVERABLE);
    expect_rc(ipc_shared_free(waiters), 0);

    /* Afterwards all is as new. */
    expect_rc(ipc_lock_reset(&box->lock), 0);
    assert_int_equal(ipc_condition_waiting(&box->condition), 0);
    box->back = 0;
    waiters = start_waiters(box, 2, wait_once, threads);
    expect_rc(ipc_condition_notify(&box->condition, 1), 0);
    expect_back(waiters, 2, 1);
    expect_rc(ipc_condition_notify(&box->condition, 1), 0);
    end_waiters(waiters, 2);
    free_box(box);
}

static void processes_are_told_that_the_lock_is_given_up(void)
{
    all_are_told_that_the_lock_is_given_up(false);
}

static void threads_are_told_that_the_lock_is_given_up(void)
{
    all_are_told_that_the_lock_is_given_up(true);
}

/* -ETIMEDOUT would say that the lock is held. */
static void given_up_is_told_at_the_deadline_too(void)
{
    struct box *box = new_box();
    struct waiter *waiter = start_waiters(box, 1, wait_300_ms, false);
    give_up(box);
    end_one(waiter);
    assert_int_equal(waiter->rc, -ENOTRECOVERABLE);
    expect_rc(ipc_lock_reset(&box->lock), 0);
    expect_rc(ipc_shared_free(waiter), 0);
    free_box(box);
}

/* ---- the caller's own lock is not consistent ---- */

/* It gives the lock up by waiting, as by releasing it. */
static void waiting_with_data_that_is_not_repaired_gives_the_lock_up(void)
{
    struct box *box = new_box();
    die_holding(&box->lock);
    expect_rc(ipc_lock_acquire(&box->lock), IPC_OWNER_DIED);
    expect_rc(wait_any_ms(box), -ENOTRECOVERABLE);
    assert_false(ipc_lock_is_mine(&box->lock));
    expect_rc(ipc_lock_acquire(&box->lock), -ENOTRECOVERABLE);
    expect_rc(ipc_lock_reset(&box->lock), 0);
    free_box(box);
}

static const struct test_case cases[] = {
    TEST_CASE(the_first_process_that_comes_back_is_told),
    TEST_CASE(the_first_thread_that_comes_back_is_told),
    TEST_CASE(a_death_is_told_at_the_deadline_too),
    TEST_CASE(who_dies_waiting_is_no_owner_that_died),
    TEST_CASE(processes_are_told_that_the_lock_is_given_up),
    TEST_CASE(threads_are_told_that_the_lock_is_given_up),
    TEST_CASE(given_up_is_told_at_the_deadline_too),
    TEST_CASE(waiting_with_data_that_is_not_repaired_gives_the_lock_up),
};
TEST_MAIN(cases)
