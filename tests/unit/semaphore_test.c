/* ipc_semaphore: acquire and release one permit, every kind, every error. */
#include "unit/semaphore_support.h"

/* ---- what can be had at once ---- */

static void each_permit_can_be_had_once(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(3, flags);
    expect_permits(semaphore, 3);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    expect_permits(semaphore, 2);
    expect_rc(ipc_semaphore_acquire_nowait(semaphore), 0);
    expect_rc(ipc_semaphore_acquire_until(semaphore, ipc_after_ms(1000)), 0);
    expect_permits(semaphore, 0);
    expect_rc(ipc_semaphore_acquire_nowait(semaphore), -EAGAIN);
    expect_rc(ipc_semaphore_acquire_until(semaphore, IPC_TIME_NOW), -ETIMEDOUT);
    expect_permits(semaphore, 0);
    for (uint32_t free = 1; free <= 3; free++) {
        expect_rc(ipc_semaphore_release(semaphore), 0);
        expect_permits(semaphore, free);
    }
    free_with(semaphore, 3);
}

static void all_kinds_give_each_permit_once(void)
{
    for_kinds(0, 0, each_permit_can_be_had_once);
}

static void deadline_that_has_passed(uint32_t flags)
{
    static const ipc_deadline passed[] = {IPC_TIME_NOW, 1, -1, INT64_MIN};
    ipc_semaphore *semaphore = new_semaphore(1, flags);
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++) {
        expect_rc(ipc_semaphore_acquire_until(semaphore, passed[i]), 0);
        expect_rc(ipc_semaphore_acquire_until(semaphore, passed[i]),
                  -ETIMEDOUT);
        expect_rc(ipc_semaphore_release(semaphore), 0);
        expect_rc(ipc_semaphore_acquire_many_until(semaphore, 1, passed[i]), 0);
        expect_rc(ipc_semaphore_acquire_many_until(semaphore, 1, passed[i]),
                  -ETIMEDOUT);
        expect_rc(ipc_semaphore_release(semaphore), 0);
    }
    expect_rc(ipc_semaphore_acquire_until(semaphore, IPC_TIME_FOREVER), 0);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    free_with(semaphore, 1);
}

static void a_deadline_that_has_passed_tries_once(void)
{
    for_kinds(0, 0, deadline_that_has_passed);
}

static void deadline_is_kept(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(1, flags);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    const int64_t start = test_now_ns();
    expect_rc(ipc_semaphore_acquire_until(semaphore, ipc_after_ms(30)),
              -ETIMEDOUT);
    const int64_t took = test_now_ns() - start;
    assert_true(took >= 30 * NS_PER_MS);
    assert_true(took < (30 + SLACK_MS) * NS_PER_MS);
    expect_permits(semaphore, 0);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    free_with(semaphore, 1); /* nobody waits: it may go */
}

static void a_deadline_is_kept_and_leaves_nothing_behind(void)
{
    for_kinds(0, 0, deadline_is_kept);
}

/* ---- how many there may be ---- */

static void anybody_may_release(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(0, flags);
    expect_rc(ipc_semaphore_acquire_nowait(semaphore), -EAGAIN);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    expect_rc(in_thread(semaphore, ipc_semaphore_release), 0);
    expect_rc(in_process(semaphore, ipc_semaphore_release), 0);
    free_with(semaphore, 3);
}

static void a_plain_one_grows_with_each_release(void)
{
    for_kinds(0, BOUNDED | TRACKED, anybody_may_release);
}

static void full_to_the_brim(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(IPC_SEMAPHORE_MAX - 1, flags);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    expect_permits(semaphore, IPC_SEMAPHORE_MAX);
    expect_rc(ipc_semaphore_release(semaphore), -EOVERFLOW);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    expect_rc(ipc_semaphore_release_many(semaphore, 2), -EOVERFLOW);
    expect_rc(ipc_semaphore_release_many(semaphore, UINT32_MAX), -EOVERFLOW);
    expect_permits(semaphore, IPC_SEMAPHORE_MAX - 1);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    free_with(semaphore, IPC_SEMAPHORE_MAX);
}

static void there_are_never_more_than_max(void)
{
    for_kinds(0, BOUNDED | TRACKED, full_to_the_brim);
}

static void one_release_too_many(uint32_t flags)
{
    const ipc_semaphore_options options = semaphore_options(flags, "hall");
    ipc_semaphore *semaphore = NULL;
    expect_rc(ipc_semaphore_new(2, &options, &semaphore), 0);
    expect_rc(ipc_semaphore_release(semaphore), -EOVERFLOW);
    expect_detail("hall");
    expect_permits(semaphore, 2);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    expect_rc(ipc_semaphore_release_many(semaphore, 2), -EOVERFLOW);
    expect_rc(ipc_semaphore_release_many(semaphore, UINT32_MAX), -EOVERFLOW);
    expect_permits(semaphore, 1);
    expect_rc(in_process(semaphore, ipc_semaphore_release), 0);
    expect_rc(in_thread(semaphore, ipc_semaphore_release), -EOVERFLOW);
    free_with(semaphore, 2);
}

static void a_bounded_one_refuses_one_release_too_many(void)
{
    for_kinds(BOUNDED, TRACKED, one_release_too_many);
}

/* It could never be acquired; and no bound is something else. */
static void bound_of_nothing(uint32_t flags)
{
    const ipc_semaphore_options options = semaphore_options(flags, NULL);
    ipc_semaphore *semaphore = NULL;
    expect_rc(ipc_semaphore_new(0, &options, &semaphore), -EINVAL);
    assert_true(ipc_error_detail()[0] != '\0');
    assert_null(semaphore);
}

static void a_bound_of_nothing_is_refused(void)
{
    for_kinds(BOUNDED, 0, bound_of_nothing);
    for_kinds(TRACKED, 0, bound_of_nothing);
}

/* ---- what is not for untracked ones ---- */

static void nobody_holds(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(2, flags);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    expect_held(semaphore, 0);
    expect_rc(ipc_semaphore_transfer(semaphore, gettid(), 1), -ENOTSUP);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_rc(ipc_semaphore_release(semaphore), 0);
    free_with(semaphore, 2);
}

static void untracked_permits_are_held_by_nobody(void)
{
    for_kinds(0, TRACKED, nobody_holds);
}

/* ---- messages ---- */

static void detail_names_it(uint32_t flags)
{
    ipc_semaphore *semaphore = new_labelled(1, flags, "changing room");
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    expect_rc(ipc_semaphore_acquire_nowait(semaphore), -EAGAIN);
    expect_detail("semaphore \"changing room\"");
    expect_rc(ipc_semaphore_acquire_until(semaphore, ipc_after_ms(5)),
              -ETIMEDOUT);
    expect_detail("semaphore \"changing room\"");
    expect_rc(ipc_semaphore_acquire_until(semaphore, IPC_TIME_NOW), -ETIMEDOUT);
    expect_detail("semaphore \"changing room\"");
    expect_rc(ipc_semaphore_release(semaphore), 0);
    free_with(semaphore, 1);
}

static void the_detail_names_the_semaphore(void)
{
    for_kinds(0, 0, detail_names_it);
}

static void detail_tells_its_place(uint32_t flags)
{
    char place[40];
    ipc_semaphore *semaphore = new_semaphore(1, flags);
    (void)snprintf(place, sizeof place, "semaphore %p", (void *)semaphore);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    expect_rc(ipc_semaphore_acquire_nowait(semaphore), -EAGAIN);
    expect_detail(place);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    free_with(semaphore, 1);
}

static void without_a_label_the_detail_tells_its_place(void)
{
    for_kinds(0, 0, detail_tells_its_place);
}

/* ---- waiting ---- */

static void released_to_one_who_waits(uint32_t flags, bool threads)
{
    ipc_semaphore *semaphore = new_semaphore(1, flags);
    struct guest *guest = new_guests(semaphore, 1, threads);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    guest_start_asleep(guest);
    expect_permits(semaphore, 0);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    guest_returns(guest, 0);
    expect_permits(semaphore, 0);
    expect_rc(ipc_semaphore_acquire_nowait(semaphore), -EAGAIN);
    guest_ends(guest);
    free_with(semaphore, 1);
}

static void released_to_one(uint32_t flags)
{
    for_threads_and_processes(flags, released_to_one_who_waits);
}

static void one_who_waits_gets_what_is_released(void)
{
    for_kinds(0, 0, released_to_one);
}

/* Three wait; each release lets one of them go on, no more. */
static void released_one_by_one(uint32_t flags, bool threads)
{
    enum {
        GUESTS = 3
    };
    ipc_semaphore *semaphore = new_semaphore(GUESTS, flags);
    struct guest *guests = new_guests(semaphore, GUESTS, threads);
    const uint32_t *served = guests[0].comes;
    expect_rc(ipc_semaphore_acquire_many(semaphore, GUESTS), 0);
    for (int i = 0; i < GUESTS; i++)
        guest_start_asleep(&guests[i]);
    for (uint32_t i = 1; i <= GUESTS; i++) {
        expect_rc(ipc_semaphore_release(semaphore), 0);
        while (__atomic_load_n(served, __ATOMIC_SEQ_CST) < i)
            poll_pause();
        expect_permits(semaphore, 0);
        assert_int_equal(__atomic_load_n(served, __ATOMIC_SEQ_CST), i);
    }
    for (int i = 0; i < GUESTS; i++) {
        guest_returns(&guests[i], 0);
        guest_ends(&guests[i]);
    }
    free_with(semaphore, GUESTS);
}

static void one_by_one(uint32_t flags)
{
    for_threads_and_processes(flags, released_one_by_one);
}

static void each_release_lets_one_go_on(void)
{
    for_kinds(0, 0, one_by_one);
}

/* One who has given up is not in the way of those who still wait. */
static void one_gives_up(uint32_t flags, bool threads)
{
    ipc_semaphore *semaphore = new_semaphore(1, flags);
    struct guest *guests = new_guests(semaphore, 2, threads);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    guests[0].wait_ms = 80;
    guest_start_asleep(&guests[0]);
    guest_start_asleep(&guests[1]);
    guest_returns(&guests[0], -ETIMEDOUT);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    guest_returns(&guests[1], 0);
    guest_ends(&guests[0]);
    guest_ends(&guests[1]);
    free_with(semaphore, 1);
}

static void one_gives_up_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, one_gives_up);
}

static void one_who_gives_up_is_not_in_the_way(void)
{
    for_kinds(0, 0, one_gives_up_in_each_form);
}

static const struct test_case cases[] = {
    TEST_CASE(all_kinds_give_each_permit_once),
    TEST_CASE(a_deadline_that_has_passed_tries_once),
    TEST_CASE(a_deadline_is_kept_and_leaves_nothing_behind),
    TEST_CASE(a_plain_one_grows_with_each_release),
    TEST_CASE(there_are_never_more_than_max),
    TEST_CASE(a_bounded_one_refuses_one_release_too_many),
    TEST_CASE(a_bound_of_nothing_is_refused),
    TEST_CASE(untracked_permits_are_held_by_nobody),
    TEST_CASE(the_detail_names_the_semaphore),
    TEST_CASE(without_a_label_the_detail_tells_its_place),
    TEST_CASE(one_who_waits_gets_what_is_released),
    TEST_CASE(each_release_lets_one_go_on),
    TEST_CASE(one_who_gives_up_is_not_in_the_way),
};
TEST_MAIN(cases)
