/* ipc_condition_notify: how many come back, and who. */
#include "unit/condition_support.h"

#include <signal.h>

#include "core/waiting.h"
#include "harness/scale.h"

static void notify(struct box *box, uint32_t n)
{
    expect_rc(ipc_condition_notify(&box->condition, n), 0);
}

static void expect_all_notified(const struct waiter *waiters, int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(waiters[i].rc, 0);
}

/* Those who are left go too, and all was well. */
static void end_all(struct waiter *waiters, int count)
{
    struct box *box = waiters->box;
    expect_rc(ipc_condition_notify_all(&box->condition), 0);
    for (int i = 0; i < count; i++)
        end_one(&waiters[i]);
    expect_all_notified(waiters, count);
    expect_rc(ipc_shared_free(waiters), 0);
    free_box(box);
}

/* ---- how many ---- */

static void notify_1_of_3(bool threads)
{
    struct box *box = new_box();
    struct waiter *waiters = start_waiters(box, 3, wait_once, threads);
    notify(box, 1);
    expect_back(waiters, 3, 1);
    wait_ms(CALM_MS);
    expect_back(waiters, 3, 1);
    assert_int_equal(ipc_condition_waiting(&box->condition), 2);
    end_all(waiters, 3);
}

static void notify_1_wakes_exactly_one_process(void)
{
    notify_1_of_3(false);
}

static void notify_1_wakes_exactly_one_thread(void)
{
    notify_1_of_3(true);
}

static void notify_n_of_5(bool threads)
{
    struct box *box = new_box();
    struct waiter *waiters = start_waiters(box, 5, wait_once, threads);
    notify(box, 0);
    expect_back(waiters, 5, 0);
    notify(box, 2);
    expect_back(waiters, 5, 2);
    wait_ms(CALM_MS / 2);
    expect_back(waiters, 5, 2);
    notify(box, 7); /* more than there are: the rest is not remembered */
    expect_back(waiters, 5, 5);
    lock_box(box);
    expect_rc(wait_any_ms(box), -ETIMEDOUT);
    unlock_box(box);
    end_all(waiters, 5);
}

static void notify_n_wakes_n_processes(void)
{
    notify_n_of_5(false);
}

static void notify_n_wakes_n_threads(void)
{
    notify_n_of_5(true);
}

static void notify_all_wakes_every_process(void)
{
    struct box *box = new_box();
    end_all(start_waiters(box, 8, wait_once, false), 8);
}

static void notify_all_wakes_every_thread(void)
{
    struct box *box = new_box();
    end_all(start_waiters(box, 8, wait_once, true), 8);
}

/* Each call calls others than the calls before, also when those have not come
 * back yet. */
static void two_notifications_wake_two(void)
{
    struct box *box = new_box();
    struct waiter *waiters = start_waiters(box, 4, wait_once, false);
    lock_box(box); /* nobody comes back for now */
    notify(box, 1);
    notify(box, 1);
    notify(box, 1);
    unlock_box(box);
    expect_back(waiters, 4, 3);
    wait_ms(CALM_MS / 2);
    expect_back(waiters, 4, 3);
    end_all(waiters, 4);
}

/* ---- who ---- */

static void the_longest_waiting_first(bool threads)
{
    struct box *box = new_box();
    struct waiter *waiters = start_waiters(box, 5, wait_once, threads);
    for (uint32_t turn = 1; turn <= 5; turn++) {
        notify(box, 1);
        expect_back(waiters, 5, turn);
    }
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(waiters[i].turn, i + 1);
    end_all(waiters, 5);
}

static void the_longest_waiting_process_is_first(void)
{
    the_longest_waiting_first(false);
}

static void the_longest_waiting_thread_is_first(void)
{
    the_longest_waiting_first(true);
}

/* Places in the line that were given back are used again: the order is that of
 * the arrivals all the same. */
static void places_used_again_do_not_change_the_order(void)
{
    struct box *box = new_box();
    struct waiter *waiters = family_alloc(12 * sizeof *waiters);
    uint32_t back = 0;
    for (int i = 0; i < 4; i++)
        start_one(&waiters[i], box, wait_once, false);
    for (int i = 4; i < 12; i++) {
        notify(box, 1);
        meet_wait(&box->back, ++back, LIMIT_MS);
        start_one(&waiters[i], box, wait_once, false);
    }
    for (int i = 0; i < 4; i++) {
        notify(box, 1);
        meet_wait(&box->back, ++back, LIMIT_MS);
    }
    for (int i = 0; i < 12; i++) {
        end_one(&waiters[i]);
        assert_int_equal(waiters[i].turn, i + 1);
    }
    expect_rc(ipc_shared_free(waiters), 0);
    free_box(box);
}

/* A notification goes to those who wait, not to those who have given up. */
static void those_who_timed_out_are_not_counted(void)
{
    struct box *box = new_box();
    struct waiter *waiter = family_alloc(sizeof *waiter);
    lock_box(box);
    for (int i = 0; i < 3; i++)
        expect_rc(wait_any_ms(box), -ETIMEDOUT);
    unlock_box(box);
    start_one(waiter, box, wait_once, false);
    notify(box, 1);
    end_one(waiter);
    assert_int_equal(waiter->rc, 0);
    assert_int_equal(ipc_condition_waiting(&box->condition), 0);
    expect_rc(ipc_shared_free(waiter), 0);
    free_box(box);
}

/* ---- the dead ---- */

/* Of those who wait the first ones are dead: they are passed over at once,
 * without the re-check. */
static void the_dead_are_passed_over(void)
{
    struct box *box = new_box();
    ipc__recheck_ns = INT64_MAX;
    struct waiter *waiters = start_waiters(box, 5, wait_once, false);
    for (int i = 0; i < 3; i++)
        (void)role_kill(&waiters[i].role);
    notify(box, 1);
    meet_wait(&box->back, 1, LIMIT_MS);
    assert_int_equal(turn_of(&waiters[3]), 1);
    expect_waiting(&waiters[4]);
    notify(box, 1);
    end_one(&waiters[3]);
    end_one(&waiters[4]);
    assert_int_equal(waiters[4].turn, 2);
    expect_rc(ipc_condition_fini(&box->condition), 0);
    expect_rc(ipc_shared_free(waiters), 0);
    expect_rc(ipc_shared_free(box), 0);
}

static void all_are_dead(void)
{
    struct box *box = new_box();
    struct waiter *waiters = start_waiters(box, 3, wait_once, false);
    expect_rc(ipc_condition_fini(&box->condition), -EBUSY);
    for (int i = 0; i < 3; i++)
        (void)role_kill(&waiters[i].role);
    notify(box, 1);
    expect_rc(ipc_condition_notify_all(&box->condition), 0);
    lock_box(box); /* not IPC_OWNER_DIED: they did not hold it */
    expect_rc(wait_any_ms(box), -ETIMEDOUT);
    unlock_box(box);
    expect_rc(ipc_condition_fini(&box->condition), 0);
    expect_rc(ipc_shared_free(waiters), 0);
    expect_rc(ipc_shared_free(box), 0);
}

/* The dead hold no places: many more die in it than can wait at a time. */
static void places_of_the_dead_are_used_again(void)
{
    enum {
        AT_ONCE = 31
    };
    struct box *box = new_box();
    for (int round = 0; round < 5; round++) {
        struct waiter *waiters = family_alloc(AT_ONCE * sizeof *waiters);
        for (int i = 0; i < AT_ONCE; i++)
            start_one(&waiters[i], box, wait_once, false);
        for (int i = 0; i < AT_ONCE; i++)
            (void)role_kill(&waiters[i].role);
        expect_rc(ipc_shared_free(waiters), 0);
    }
    end_all(start_waiters(box, 1, wait_once, false), 1);
}

/* Many who were called come back and end at once, while others look for calls
 * to the dead: theirs are not. */
static void those_who_come_back_and_end_pass_nothing_on(void)
{
    enum {
        STAY = 2,
        GO = LINE - STAY
    };
    for (long round = 0; round < 4 * test_scale(); round++) {
        struct box *box = new_box();
        struct waiter *waiters = family_alloc(LINE * sizeof *waiters);
        for (int i = 0; i < LINE; i++) {
            ipc__recheck_ns = i < GO ? IPC__RECHECK_NS : NS_PER_MS;
            start_one(&waiters[i], box, wait_once, false);
        }
        notify(box, GO);
        for (int i = 0; i < GO; i++)
            end_one(&waiters[i]);
        expect_back(waiters, LINE, GO);
        notify(box, STAY);
        for (int i = GO; i < LINE; i++)
            end_one(&waiters[i]);
        expect_rc(ipc_shared_free(waiters), 0);
        free_box(box);
    }
}

/* ---- the stopped ---- */

/* It is called while it cannot run, and dies before it can: the next one is
 * called instead, by the re-check. */
static void a_call_to_one_who_dies_is_passed_on_by_recheck(void)
{
    struct box *box = new_box();
    struct waiter *waiters = start_waiters(box, 3, wait_once, false);
    role_stop_outside(&waiters[0].role, &box->condition);
    notify(box, 1);
    wait_ms(RECHECK_MS + 50); /* it lives: nobody else is called for it */
    expect_waiting(&waiters[1]);
    expect_waiting(&waiters[2]);
    (void)role_kill(&waiters[0].role);

    const int64_t killed_ns = test_now_ns();
    meet_wait(&box->back, 1, RECHECK_MS + SLACK_MS);
    assert_int_equal(turn_of(&waiters[1]), 1);
    test_report("passed_on_ms", to_ms(waiters[1].back_ns - killed_ns));
    wait_ms(CALM_MS);
    expect_waiting(&waiters[2]);
    notify(box, 1);
    end_one(&waiters[1]);
    end_one(&waiters[2]);
    expect_rc(ipc_shared_free(waiters), 0);
    free_box(box);
}

static void a_call_to_one_who_is_stopped_is_kept(void)
{
    struct box *box = new_box();
    struct waiter *waiters = start_waiters(box, 2, wait_once, false);
    role_stop_outside(&waiters[0].role, &box->condition);
    notify(box, 1);
    assert_int_equal(kill(waiters[0].role.pid, SIGCONT), 0);
    expect_back(waiters, 2, 1);
    assert_int_equal(waiters[0].turn, 1);
    end_all(waiters, 2);
}

static const struct test_case cases[] = {
    TEST_CASE(notify_1_wakes_exactly_one_process),
    TEST_CASE(notify_1_wakes_exactly_one_thread),
    TEST_CASE(notify_n_wakes_n_processes),
    TEST_CASE(notify_n_wakes_n_threads),
    TEST_CASE(notify_all_wakes_every_process),
    TEST_CASE(notify_all_wakes_every_thread),
    TEST_CASE(two_notifications_wake_two),
    TEST_CASE(the_longest_waiting_process_is_first),
    TEST_CASE(the_longest_waiting_thread_is_first),
    TEST_CASE(places_used_again_do_not_change_the_order),
    TEST_CASE(those_who_timed_out_are_not_counted),
    TEST_CASE(the_dead_are_passed_over),
    TEST_CASE(all_are_dead),
    TEST_CASE(places_of_the_dead_are_used_again),
    TEST_CASE(those_who_come_back_and_end_pass_nothing_on),
    TEST_CASE(a_call_to_one_who_dies_is_passed_on_by_recheck),
    TEST_CASE(a_call_to_one_who_is_stopped_is_kept),
};
TEST_MAIN(cases)
