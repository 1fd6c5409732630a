/* ipc_semaphore: permits that belong to a thread, until it gives them back,
 * hands them on, or dies. */
#include "unit/semaphore_support.h"

#include <stdlib.h>

/* ---- who holds what ---- */

static void counted_for_each_thread(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(5, flags);
    expect_held(semaphore, 0);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    expect_rc(ipc_semaphore_acquire_many(semaphore, 3), 0);
    expect_held(semaphore, 4);
    expect_rc(ipc_semaphore_release_many(semaphore, 2), 0);
    expect_held(semaphore, 2);
    expect_rc(ipc_semaphore_release_many(semaphore, 3), -EPERM);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_held(semaphore, 2);
    expect_permits(semaphore, 3);
    expect_rc(ipc_semaphore_release_many(semaphore, 2), 0);
    expect_held(semaphore, 0);
    expect_rc(ipc_semaphore_release(semaphore), -EPERM);
    free_with(semaphore, 5);
}

static void permits_are_counted_for_each_thread(void)
{
    for_kinds(TRACKED, 0, counted_for_each_thread);
}

static int held_there(ipc_semaphore *semaphore)
{
    return (int)ipc_semaphore_held(semaphore);
}

static void not_others(uint32_t flags)
{
    ipc_semaphore *semaphore = new_labelled(2, flags, "hotel");
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    expect_rc(in_thread(semaphore, ipc_semaphore_release), -EPERM);
    expect_rc(in_process(semaphore, ipc_semaphore_release), -EPERM);
    assert_int_equal(in_thread(semaphore, held_there), 0);
    assert_int_equal(in_process(semaphore, held_there), 0);
    expect_held(semaphore, 1);
    expect_permits(semaphore, 1);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    expect_rc(ipc_semaphore_release(semaphore), -EPERM);
    expect_detail("hotel");
    free_with(semaphore, 2);
}

static void nobody_releases_what_others_hold(void)
{
    for_kinds(TRACKED, 0, not_others);
}

/* As many holders as there are permits, over and over. */
static void one_each(uint32_t flags, bool threads)
{
    enum {
        GUESTS = 4
    };
    ipc_semaphore *semaphore = new_semaphore(GUESTS, flags);
    for (int round = 0; round < 2; round++) {
        struct guest *guests = new_guests(semaphore, GUESTS, threads);
        for (int i = 0; i < GUESTS; i++)
            guest_holds(&guests[i], 1);
        expect_permits(semaphore, 0);
        expect_rc(ipc_semaphore_acquire_nowait(semaphore), -EAGAIN);
        expect_rc(ipc_semaphore_release(semaphore), -EPERM);
        for (int i = 0; i < GUESTS; i++)
            guest_ends(&guests[i]);
    }
    free_with(semaphore, GUESTS);
}

static void one_each_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, one_each);
}

static void there_is_room_for_as_many_holders_as_permits(void)
{
    for_kinds(TRACKED, 0, one_each_in_each_form);
}

/* ---- fork ---- */

struct family {
    ipc_semaphore *semaphore;
    uint32_t held_before, held_after;
    int released, acquired;
};

static void be_child(void *arg)
{
    struct family *family = arg;
    family->held_before = ipc_semaphore_held(family->semaphore);
    family->released = ipc_semaphore_release(family->semaphore);
    family->acquired = ipc_semaphore_acquire_nowait(family->semaphore);
    family->held_after = ipc_semaphore_held(family->semaphore);
}

static void child_is_somebody_else(uint32_t flags)
{
    struct family *family = test_shared(sizeof *family);
    ipc_semaphore *semaphore = new_semaphore(3, flags);
    family->semaphore = semaphore;
    expect_rc(ipc_semaphore_acquire_many(semaphore, 2), 0);
    assert_int_equal(role_try(be_child, family, LIMIT_MS), 0);
    assert_int_equal(family->held_before, 0);
    assert_int_equal(family->released, -EPERM);
    assert_int_equal(family->acquired, 0);
    assert_int_equal(family->held_after, 1);
    /* Its end gives its own back, and none of ours. */
    expect_permits(semaphore, 1);
    expect_held(semaphore, 2);
    expect_rc(ipc_semaphore_release_many(semaphore, 2), 0);
    free_with(semaphore, 3);
}

static void a_forked_child_holds_nothing(void)
{
    for_kinds(TRACKED, 0, child_is_somebody_else);
}

/* ---- transfer ---- */

static void from_another(uint32_t flags, bool threads)
{
    ipc_semaphore *semaphore = new_semaphore(3, flags);
    struct guest *guest = new_guests(semaphore, 1, threads);
    guest_holds(guest, 2);
    expect_rc(ipc_semaphore_release(semaphore), -EPERM);
    expect_rc(ipc_semaphore_transfer(semaphore, (int32_t)guest->tid, 1), 0);
    expect_held(semaphore, 1);
    expect_permits(semaphore, 1);
    expect_rc(ipc_semaphore_transfer(semaphore, (int32_t)guest->tid, 2),
              -EPERM);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_rc(ipc_semaphore_transfer(semaphore, (int32_t)guest->tid, 1), 0);
    expect_held(semaphore, 2);
    expect_rc(ipc_semaphore_transfer(semaphore, (int32_t)guest->tid, 1),
              -EPERM);
    expect_rc(ipc_semaphore_release_many(semaphore, 2), 0);
    expect_permits(semaphore, 3);
    guest->n = 0; /* it has none to give back */
    guest_ends(guest);
    free_with(semaphore, 3);
}

static void from_another_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, from_another);
}

static void transfer_makes_anothers_permits_ones_own(void)
{
    for_kinds(TRACKED, 0, from_another_in_each_form);
}

static void the_only_one(uint32_t flags, bool threads)
{
    ipc_semaphore *semaphore = new_semaphore(1, flags);
    struct guest *guest = new_guests(semaphore, 1, threads);
    guest_holds(guest, 1);
    expect_rc(ipc_semaphore_transfer(semaphore, (int32_t)guest->tid, 1), 0);
    expect_held(semaphore, 1);
    expect_permits(semaphore, 0);
    guest->n = 0;
    guest_ends(guest); /* gives nothing back: it is ours */
    expect_permits(semaphore, 0);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    free_with(semaphore, 1);
}

static void the_only_one_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, the_only_one);
}

static void the_only_permit_can_be_transferred(void)
{
    for_kinds(TRACKED, 0, the_only_one_in_each_form);
}

static int some_tid(ipc_semaphore *semaphore)
{
    (void)semaphore;
    return gettid();
}

static void not_from_nobody(uint32_t flags)
{
    static const int32_t impossible[] = {0, -1, 1, INT32_MAX, INT32_MIN};
    ipc_semaphore *semaphore = new_semaphore(2, flags);
    const int ended = in_thread(semaphore, some_tid);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    for (size_t i = 0; i < sizeof impossible / sizeof impossible[0]; i++)
        expect_rc(ipc_semaphore_transfer(semaphore, impossible[i], 1), -EPERM);
    expect_rc(ipc_semaphore_transfer(semaphore, ended, 1), -EPERM);
    expect_rc(ipc_semaphore_transfer(semaphore, gettid(), UINT32_MAX), -EPERM);
    expect_rc(ipc_semaphore_transfer(semaphore, gettid(), 2), -EPERM);
    expect_rc(ipc_semaphore_transfer(semaphore, gettid(), 1), 0);
    expect_held(semaphore, 1);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    expect_rc(ipc_semaphore_transfer(semaphore, gettid(), 1), -EPERM);
    free_with(semaphore, 2);
}

static void transfer_from_one_who_holds_none_is_refused(void)
{
    for_kinds(TRACKED, 0, not_from_nobody);
}

/* ---- the end of the holder ---- */

static int take_two(ipc_semaphore *semaphore)
{
    return ipc_semaphore_acquire_many_nowait(semaphore, 2);
}

static int take_two_and_exit(ipc_semaphore *semaphore)
{
    const int rc = ipc_semaphore_acquire_many_nowait(semaphore, 2);
    exit(rc); /* NOLINT(concurrency-mt-unsafe): a role has one thread */
}

static int take_two_and_exec(ipc_semaphore *semaphore)
{
    if (ipc_semaphore_acquire_many_nowait(semaphore, 2) == 0)
        (void)execl("/bin/true", "true", (char *)NULL);
    abort();
}

static void ends_holding(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(2, flags);
    struct outcome *outcome = test_shared(sizeof *outcome);
    expect_rc(in_thread(semaphore, take_two), 0);
    expect_permits(semaphore, 2);
    expect_rc(in_thread(semaphore, take_two), 0);
    expect_rc(ipc_semaphore_acquire_many_nowait(semaphore, 2), 0);
    expect_rc(ipc_semaphore_release_many(semaphore, 2), 0);

    expect_rc(in_process(semaphore, take_two), 0);
    expect_permits(semaphore, 2);
    outcome->semaphore = semaphore;
    outcome->call = take_two_and_exit;
    assert_int_equal(role_try(make_call, outcome, LIMIT_MS), 0);
    expect_rc(ipc_semaphore_acquire_many_nowait(semaphore, 2), 0);
    expect_rc(ipc_semaphore_release_many(semaphore, 2), 0);
    outcome->call = take_two_and_exec;
    assert_int_equal(role_try(make_call, outcome, LIMIT_MS), 0);
    free_with(semaphore, 2);
}

static void permits_come_back_however_the_holder_ends(void)
{
    for_kinds(TRACKED, 0, ends_holding);
}

static void fini_after_death(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(2, flags);
    expect_rc(in_process(semaphore, take_two), 0);
    expect_rc(ipc_semaphore_fini(semaphore), 0);
    expect_rc(ipc_semaphore_free(semaphore), 0);
}

static void what_only_the_dead_hold_may_go(void)
{
    for_kinds(TRACKED, 0, fini_after_death);
}

/* A living holder's are not touched when another one's come back. */
static void one_of_two_ends(uint32_t flags, bool threads)
{
    ipc_semaphore *semaphore = new_semaphore(3, flags);
    struct guest *guest = new_guests(semaphore, 1, threads);
    guest_holds(guest, 1);
    expect_rc(in_process(semaphore, take_two), 0);
    expect_permits(semaphore, 2);
    expect_rc(ipc_semaphore_acquire_many_nowait(semaphore, 3), -EAGAIN);
    expect_rc(ipc_semaphore_acquire_many_nowait(semaphore, 2), 0);
    expect_rc(ipc_semaphore_release_many(semaphore, 2), 0);
    guest_ends(guest);
    free_with(semaphore, 3);
}

static void one_of_two_ends_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, one_of_two_ends);
}

static void the_livings_permits_stay_theirs(void)
{
    for_kinds(TRACKED, 0, one_of_two_ends_in_each_form);
}

static const struct test_case cases[] = {
    TEST_CASE(permits_are_counted_for_each_thread),
    TEST_CASE(nobody_releases_what_others_hold),
    TEST_CASE(there_is_room_for_as_many_holders_as_permits),
    TEST_CASE(a_forked_child_holds_nothing),
    TEST_CASE(transfer_makes_anothers_permits_ones_own),
    TEST_CASE(the_only_permit_can_be_transferred),
    TEST_CASE(transfer_from_one_who_holds_none_is_refused),
    TEST_CASE(permits_come_back_however_the_holder_ends),
    TEST_CASE(what_only_the_dead_hold_may_go),
    TEST_CASE(the_livings_permits_stay_theirs),
};
TEST_MAIN(cases)
