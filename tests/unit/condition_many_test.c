/* ipc_condition: more who wait than the line has places for. */
#include "unit/condition_support.h"

enum {
    MANY = 100
};

static void start_many(struct waiter *waiters, struct box *box,
                       int (*wait)(struct box *box), bool threads)
{
    for (int i = 0; i < MANY; i++) {
        struct waiter *waiter = &waiters[i];
        waiter->box = box;
        waiter->wait = wait;
        waiter->is_thread = threads;
        if (threads)
            assert_int_equal(
                pthread_create(&waiter->thread, NULL, live_as_thread, waiter),
                0);
        else
            role_start(&waiter->role, live_as_waiter, waiter);
    }
    /* All have had the lock; so all but one or two have let it go. */
    for (int i = 0; i < MANY; i++)
        while (tid_of(&waiters[i]) == 0)
            poll_pause();
    lock_box(box);
    unlock_box(box);
}

static void end_many(struct waiter *waiters, struct box *box)
{
    for (int i = 0; i < MANY; i++)
        end_one(&waiters[i]);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(waiters[i].rc, 0);
    assert_int_equal(box->back, MANY);
    expect_rc(ipc_shared_free(waiters), 0);
    free_box(box);
}

/* ---- one change that all wait for ---- */

static void all_see_the_gate_open(bool threads)
{
    struct box *box = new_box();
    struct waiter *waiters = family_alloc(MANY * sizeof *waiters);
    start_many(waiters, box, wait_for_gate, threads);
    const int64_t start_ns = test_now_ns();
    lock_box(box);
    box->gate = 1;
    expect_rc(ipc_condition_notify_all(&box->condition), 0);
    unlock_box(box);
    meet_wait(&box->back, MANY, RECHECK_MS + 5 * SLACK_MS);
    test_report("last_ms", to_ms(test_now_ns() - start_ns));
    end_many(waiters, box);
}

static void hundred_processes_see_the_gate_open(void)
{
    all_see_the_gate_open(false);
}

static void hundred_threads_see_the_gate_open(void)
{
    all_see_the_gate_open(true);
}

/* ---- one each ---- */

/* The gate lets one through at a time. */
static int wait_for_a_pass(struct box *box)
{
    int rc = 0;
    while (rc == 0 && box->gate == 0)
        rc = ipc_condition_wait(&box->condition, &box->lock);
    if (rc == 0)
        box->gate--;
    return rc;
}

/* A pass each, and one notification with it.  Those beyond the line's end take
 * their own time, but none is left behind, and none comes without a pass. */
static void one_pass_each(bool threads)
{
    struct box *box = new_box();
    struct waiter *waiters = family_alloc(MANY * sizeof *waiters);
    start_many(waiters, box, wait_for_a_pass, threads);
    for (uint32_t i = 1; i <= MANY; i++) {
        lock_box(box);
        box->gate++;
        expect_rc(ipc_condition_notify(&box->condition, 1), 0);
        unlock_box(box);
        if (i % 8 == 0 || i == MANY)
            meet_wait(&box->back, i, RECHECK_MS + 5 * SLACK_MS);
    }
    lock_box(box);
    assert_int_equal(box->gate, 0);
    unlock_box(box);
    end_many(waiters, box);
}

static void hundred_processes_get_a_pass_each(void)
{
    one_pass_each(false);
}

static void hundred_threads_get_a_pass_each(void)
{
    one_pass_each(true);
}

/* ---- the line is full to its last place ---- */

static void a_full_line_is_exact(void)
{
    struct box *box = new_box();
    struct waiter *waiters = start_waiters(box, LINE, wait_once, false);
    expect_rc(ipc_condition_notify(&box->condition, 1), 0);
    expect_back(waiters, LINE, 1);
    assert_int_equal(turn_of(&waiters[0]), 1);
    expect_rc(ipc_condition_notify(&box->condition, LINE - 2), 0);
    expect_back(waiters, LINE, LINE - 1);
    assert_int_equal(turn_of(&waiters[LINE - 1]), 0);
    expect_rc(ipc_condition_notify(&box->condition, 1), 0);
    end_waiters(waiters, LINE);
    free_box(box);
}

/* Nobody in the full line is alive. */
static void a_line_full_of_dead_has_places(void)
{
    struct box *box = new_box();
    struct waiter *waiters = start_waiters(box, LINE, wait_once, false);
    for (int i = 0; i < LINE; i++)
        (void)role_kill(&waiters[i].role);
    expect_rc(ipc_shared_free(waiters), 0);

    waiters = family_alloc(2 * sizeof *waiters);
    start_one(&waiters[0], box, wait_once, false);
    start_one(&waiters[1], box, wait_once, false);
    expect_rc(ipc_condition_notify(&box->condition, 1), 0);
    meet_wait(&box->back, 1, LIMIT_MS);
    assert_int_equal(turn_of(&waiters[0]), 1);
    expect_rc(ipc_condition_notify(&box->condition, 1), 0);
    end_waiters(waiters, 2);
    free_box(box);
}

/* Deadlines are kept beyond the line's end too. */
static int wait_150_ms(struct box *box)
{
    int rc = 0;
    const ipc_deadline deadline = ipc_after_ms(150);
    while (rc == 0) /* 0: it looked again by itself */
        rc = ipc_condition_wait_until(&box->condition, &box->lock, deadline);
    assert_true(ipc_now() >= deadline);
    assert_true(ipc_now() - deadline < 3 * NS_PER_MS * SLACK_MS);
    return rc == -ETIMEDOUT ? 0 : rc;
}

static void a_hundred_deadlines_are_kept(void)
{
    struct box *box = new_box();
    struct waiter *waiters = family_alloc(MANY * sizeof *waiters);
    start_many(waiters, box, wait_150_ms, true);
    end_many(waiters, box);
}

static const struct test_case cases[] = {
    TEST_CASE(hundred_processes_see_the_gate_open),
    TEST_CASE(hundred_threads_see_the_gate_open),
    TEST_CASE(hundred_processes_get_a_pass_each),
    TEST_CASE(hundred_threads_get_a_pass_each),
    TEST_CASE(a_full_line_is_exact),
    TEST_CASE(a_line_full_of_dead_has_places),
    TEST_CASE(a_hundred_deadlines_are_kept),
};
TEST_MAIN(cases)
