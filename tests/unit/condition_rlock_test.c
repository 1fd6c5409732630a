/* ipc_condition with an rlock: all its levels are released and held again. */
#include "unit/condition_support.h"

#include <signal.h>

enum {
    DEPTH = 3
};

static void hold(struct box *box, uint32_t depth)
{
    for (uint32_t i = 0; i < depth; i++)
        expect_rc(ipc_rlock_acquire(&box->rlock), 0);
}

static void let_go(struct box *box, uint32_t depth)
{
    for (uint32_t i = 0; i < depth; i++)
        expect_rc(ipc_rlock_release(&box->rlock), 0);
}

static void expect_depth(const struct box *box, uint32_t depth)
{
    assert_int_equal(ipc_rlock_depth(&box->rlock), depth);
}

/* ---- those who wait: as in condition_support.h, three levels deep ---- */

static int wait_once_rlock(struct box *box)
{
    return ipc_condition_wait_rlock(&box->condition, &box->rlock);
}

static int wait_for_gate_rlock(struct box *box)
{
    return ipc_condition_wait_for_rlock(&box->condition, &box->rlock,
                                        gate_is_open, box);
}

static void live_with_levels(void *arg)
{
    struct waiter *waiter = arg;
    struct box *box = waiter->box;
    hold(box, DEPTH);
    __atomic_store_n(&waiter->tid, gettid(), __ATOMIC_SEQ_CST);
    waiter->rc = waiter->wait(box);
    if (waiter->rc != -ENOTRECOVERABLE) {
        expect_depth(box, DEPTH);
        if (waiter->rc == IPC_OWNER_DIED)
            expect_rc(ipc_rlock_consistent(&box->rlock), 0);
        let_go(box, DEPTH);
    }
    expect_depth(box, 0);
    meet_signal(&box->back);
}

static struct waiter *start_with_levels(struct box *box, int count,
                                        int (*wait)(struct box *box))
{
    struct waiter *waiters = family_alloc((size_t)count * sizeof *waiters);
    for (int i = 0; i < count; i++) {
        waiters[i].box = box;
        waiters[i].wait = wait;
        role_start(&waiters[i].role, live_with_levels, &waiters[i]);
        expect_waiting(&waiters[i]);
    }
    return waiters;
}

/* ---- levels ---- */

static void try_and_say(void *arg)
{
    struct box *box = arg;
    expect_rc(ipc_rlock_acquire_nowait(&box->rlock), 0);
    expect_depth(box, 1);
    expect_rc(ipc_rlock_release(&box->rlock), 0);
}

static void all_levels_are_released_and_held_again(void)
{
    struct box *box = new_box();
    struct waiter *waiters = start_with_levels(box, 2, wait_once_rlock);
    assert_false(ipc_rlock_is_held(&box->rlock));
    assert_int_equal(role_try(try_and_say, box, LIMIT_MS), 0);
    hold(box, 2);
    expect_rc(ipc_condition_notify_all(&box->condition), 0);
    let_go(box, 2);
    end_waiters(waiters, 2);
    assert_int_equal(box->back, 2);
    assert_false(ipc_rlock_is_held(&box->rlock));
    free_box(box);
}

/* Each of the four forms, at each depth, whether others use it meanwhile or
 * not. */
static void levels_outlive_a_timeout(void)
{
    static struct box box;
    for (uint32_t depth = 1; depth <= 4; depth++) {
        hold(&box, depth);
        expect_rc(ipc_condition_wait_rlock_until(&box.condition, &box.rlock,
                                                 ipc_after_ms(ANY_MS)),
                  -ETIMEDOUT);
        expect_depth(&box, depth);
        expect_rc(ipc_condition_wait_for_rlock_until(&box.condition, &box.rlock,
                                                     gate_is_open, &box,
                                                     IPC_TIME_NOW),
                  -ETIMEDOUT);
        expect_depth(&box, depth);
        let_go(&box, depth);
        expect_depth(&box, 0);
    }
    box.gate = 1;
    hold(&box, 2);
    expect_rc(ipc_condition_wait_for_rlock(&box.condition, &box.rlock,
                                           gate_is_open, &box),
              0);
    expect_rc(ipc_condition_wait_for_rlock_until(
                  &box.condition, &box.rlock, gate_is_open, &box, IPC_TIME_NOW),
              0);
    expect_depth(&box, 2);
    let_go(&box, 2);
}

static bool asked_with_all_levels(void *arg)
{
    struct box *box = arg;
    expect_depth(box, DEPTH);
    return gate_is_open(box);
}

static int wait_with_all_levels(struct box *box)
{
    return ipc_condition_wait_for_rlock_until(&box->condition, &box->rlock,
                                              asked_with_all_levels, box,
                                              ipc_after_ms(LIMIT_MS));
}

static void the_predicate_is_asked_with_all_levels_held(void)
{
    struct box *box = new_box();
    struct waiter *waiters = start_with_levels(box, 1, wait_with_all_levels);
    expect_rc(ipc_condition_notify(&box->condition, 1), 0);
    hold(box, 1);
    box->gate = 1;
    expect_rc(ipc_condition_notify(&box->condition, 1), 0);
    let_go(box, 1);
    end_waiters(waiters, 1);
    free_box(box);
}

static void predicates_of_several(void)
{
    struct box *box = new_box();
    struct waiter *waiters = start_with_levels(box, 3, wait_for_gate_rlock);
    hold(box, DEPTH);
    box->gate = 1;
    expect_rc(ipc_condition_notify_all(&box->condition), 0);
    let_go(box, DEPTH);
    end_waiters(waiters, 3);
    assert_int_equal(box->back, 3);
    free_box(box);
}

/* ---- deaths ---- */

static void notify_and_die_with_levels(void *arg)
{
    struct box *box = arg;
    hold(box, 2);
    expect_rc(ipc_condition_notify_all(&box->condition), 0);
    (void)kill(getpid(), SIGKILL);
}

static void die_with_levels(void *arg)
{
    struct box *box = arg;
    hold(box, 2);
    (void)kill(getpid(), SIGKILL);
}

static void run_to_death(void (*how)(void *arg), struct box *box)
{
    struct role role;
    role_start(&role, how, box);
    assert_int_equal(role_wait_dead(&role, LIMIT_MS), SIGKILL);
}

static void levels_are_held_again_when_the_owner_died(void)
{
    struct box *box = new_box();
    struct waiter *waiters = start_with_levels(box, 2, wait_once_rlock);
    run_to_death(notify_and_die_with_levels, box);
    for (int i = 0; i < 2; i++)
        end_one(&waiters[i]);
    assert_int_equal(waiters[0].rc + waiters[1].rc, IPC_OWNER_DIED);
    expect_rc(ipc_shared_free(waiters), 0);
    free_box(box);
}

static void a_given_up_rlock_is_not_held(void)
{
    struct box *box = new_box();
    struct waiter *waiters = start_with_levels(box, 2, wait_for_gate_rlock);
    run_to_death(die_with_levels, box);
    expect_rc(ipc_rlock_acquire(&box->rlock), IPC_OWNER_DIED);
    expect_rc(ipc_rlock_release(&box->rlock), 0);
    expect_rc(ipc_condition_notify_all(&box->condition), 0);
    for (int i = 0; i < 2; i++) {
        end_one(&waiters[i]);
        assert_int_equal(waiters[i].rc, -ENOTRECOVERABLE);
    }
    expect_rc(ipc_rlock_reset(&box->rlock), 0);
    expect_rc(ipc_shared_free(waiters), 0);
    free_box(box);
}

static const struct test_case cases[] = {
    TEST_CASE(all_levels_are_released_and_held_again),
    TEST_CASE(levels_outlive_a_timeout),
    TEST_CASE(the_predicate_is_asked_with_all_levels_held),
    TEST_CASE(predicates_of_several),
    TEST_CASE(levels_are_held_again_when_the_owner_died),
    TEST_CASE(a_given_up_rlock_is_not_held),
};
TEST_MAIN(cases)
