/* T16, T18: every way to lose the holder of a permit.
 *
 * "At once" is without the re-check: who waits sleeps for good unless it is
 * told.  Where the re-check finds out, the name says so, and 200 ms are
 * promised. */
#include "unit/semaphore_support.h"

#include <signal.h>

#include "core/peers.h"
#include "core/waiting.h"

enum {
    HOLDERS = 4
};

static void no_recheck(void)
{
    ipc__recheck_ns = INT64_MAX;
}

/* As many processes as permits, each with one; and one place more. */
static struct guest *all_taken(ipc_semaphore *semaphore)
{
    struct guest *guests = new_guests(semaphore, HOLDERS + 2, false);
    for (int i = 0; i < HOLDERS; i++)
        guest_holds(&guests[i], 1);
    return guests;
}

static void all_end(struct guest *guests)
{
    for (int i = 0; i < HOLDERS + 2; i++)
        if (guests[i].role.pid != 0)
            guest_ends(&guests[i]);
}

/* ---- tracked: at once ---- */

static void nowait_after_each(uint32_t flags)
{
    for (int dead = 0; dead < HOLDERS; dead++) {
        ipc_semaphore *semaphore = new_semaphore(HOLDERS, flags);
        struct guest *guests = all_taken(semaphore);
        expect_rc(ipc_semaphore_acquire_nowait(semaphore), -EAGAIN);
        (void)role_kill(&guests[dead].role);
        expect_rc(ipc_semaphore_acquire_nowait(semaphore), 0);
        expect_rc(ipc_semaphore_acquire_nowait(semaphore), -EAGAIN);
        expect_rc(ipc_semaphore_release(semaphore), 0);
        all_end(guests);
        free_with(semaphore, HOLDERS);
    }
}

static void t16_nowait_has_the_permit_of_any_dead_holder(void)
{
    no_recheck();
    for_kinds(TRACKED, BOUNDED, nowait_after_each);
}

static void told_of_each(uint32_t flags)
{
    int64_t max_ns = 0;
    for (int dead = 0; dead < HOLDERS; dead++) {
        ipc_semaphore *semaphore = new_semaphore(HOLDERS, flags);
        struct guest *guests = all_taken(semaphore);
        struct guest *waiter = &guests[HOLDERS];
        guest_start_asleep(waiter);
        const int64_t start = test_now_ns();
        (void)role_kill(&guests[dead].role);
        guest_returns(waiter, 0);
        if (waiter->done_ns - start > max_ns)
            max_ns = waiter->done_ns - start;
        expect_permits(semaphore, 0);
        all_end(guests);
        free_with(semaphore, HOLDERS);
    }
    test_report((flags & FAIR) != 0 ? "fair_us" : "us", max_ns / 1000);
}

static void t16_one_who_waits_is_told_at_once_of_any_dead_holder(void)
{
    no_recheck();
    for_kinds(TRACKED, BOUNDED, told_of_each);
}

/* Two wait; two permits come back at once, with one holder or with two. */
static void told_both(uint32_t flags)
{
    for (int holders = 1; holders <= 2; holders++) {
        ipc_semaphore *semaphore = new_semaphore(2, flags);
        struct guest *guests = new_guests(semaphore, 4, false);
        for (int i = 0; i < holders; i++)
            guest_holds(&guests[i], holders == 1 ? 2 : 1);
        guest_start_asleep(&guests[2]);
        guest_start_asleep(&guests[3]);
        for (int i = 0; i < holders; i++)
            (void)kill(guests[i].role.pid, SIGKILL);
        guest_returns(&guests[2], 0);
        guest_returns(&guests[3], 0);
        for (int i = 0; i < holders; i++)
            (void)role_kill(&guests[i].role);
        guest_ends(&guests[2]);
        guest_ends(&guests[3]);
        free_with(semaphore, 2);
    }
}

static void t16_two_who_wait_are_both_told_at_once(void)
{
    no_recheck();
    for_kinds(TRACKED, BOUNDED, told_both);
}

/* One who wants all of them waits through one death after the other. */
static void told_of_all(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(HOLDERS, flags);
    struct guest *guests = all_taken(semaphore);
    struct guest *waiter = &guests[HOLDERS];
    waiter->n = HOLDERS;
    guest_start_asleep(waiter);
    for (int dead = 0; dead < HOLDERS; dead++) {
        if (dead > 0)
            guest_asleep(waiter);
        (void)role_kill(&guests[dead].role);
    }
    guest_returns(waiter, 0);
    expect_permits(semaphore, 0);
    guest_ends(waiter);
    free_with(semaphore, HOLDERS);
}

static void t16_one_who_wants_all_is_told_of_each_death(void)
{
    no_recheck();
    for_kinds(TRACKED, BOUNDED, told_of_all);
}

/* ---- other ends than SIGKILL ---- */

static void just_end(void)
{
}

static void become_sleep(void)
{
    (void)execlp("sleep", "sleep", "1000", (char *)0);
    _exit(127);
}

static void told_of_end(uint32_t flags, bool thread, void (*end)(void))
{
    ipc_semaphore *semaphore = new_semaphore(2, flags);
    struct guest *holder = new_guests(semaphore, 1, thread);
    struct guest *waiter = new_guests(semaphore, 1, false);
    holder->end = end;
    guest_holds(holder, 2);
    guest_start_asleep(waiter);
    bell_ring(&holder->leave);
    guest_returns(waiter, 0);
    if (thread)
        assert_int_equal(pthread_join(holder->thread, NULL), 0);
    else
        (void)role_kill(&holder->role);
    guest_ends(waiter);
    free_with(semaphore, 2);
}

static void told_of_ends(uint32_t flags)
{
    told_of_end(flags, true, just_end);
    told_of_end(flags, false, just_end);
    told_of_end(flags, false, become_sleep);
}

static void t16_end_of_thread_exit_and_exec_are_told_at_once(void)
{
    no_recheck();
    for_kinds(TRACKED, BOUNDED, told_of_ends);
}

/* ---- by the re-check ---- */

static long come_back_after(struct guest *holder, struct guest *waiter)
{
    const int64_t start = test_now_ns();
    (void)role_kill(&holder->role);
    bell_wait(&waiter->done, RECHECK_MS + SLACK_MS);
    expect_rc(waiter->rc, 0);
    return to_ms(waiter->done_ns - start);
}

static void unnoticed(uint32_t flags, void (*prepare)(void))
{
    ipc_semaphore *semaphore = new_semaphore(2, flags);
    struct guest *guests = new_guests(semaphore, 2, false);
    guests[0].prepare = prepare;
    guest_holds(&guests[0], 2);
    guest_start_asleep(&guests[1]);
    test_report("ms", come_back_after(&guests[0], &guests[1]));
    guest_ends(&guests[1]);
    free_with(semaphore, 2);
}

static void without_list(void)
{
    ipc__robust_list_usable = false;
}

static void nobody_was_told(uint32_t flags)
{
    unnoticed(flags, without_list);
}

static void t16_without_robust_lists_by_recheck(void)
{
    for_kinds(TRACKED, BOUNDED, nobody_was_told);
}

/* The kernel knew of the holder, and forgets: as when memory is so short that
 * it was taken from the dying before. */
static struct guest *forgotten;

static void be_forgotten(void)
{
    forget_robust_list();
    bell_ring(&forgotten->given);
    for (;;)
        (void)pause();
}

static void kernel_forgets(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(2, flags);
    struct guest *guests = new_guests(semaphore, 2, false);
    forgotten = &guests[0];
    guests[0].end = be_forgotten;
    guest_holds(&guests[0], 2);
    guest_gives(&guests[0]);
    guest_start_asleep(&guests[1]);
    test_report("ms", come_back_after(&guests[0], &guests[1]));
    guest_ends(&guests[1]);
    free_with(semaphore, 2);
}

static void t16_holder_forgotten_by_the_kernel_by_recheck(void)
{
    for_kinds(TRACKED, BOUNDED, kernel_forgets);
}

/* value() asks about all holders, without waiting. */
static void value_after_unnoticed(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(2, flags);
    struct guest *guest = new_guests(semaphore, 1, false);
    guest->prepare = without_list;
    guest_holds(guest, 2);
    (void)role_kill(&guest->role);
    free_with(semaphore, 2);
}

static void t16_value_counts_what_the_unnoticed_dead_held(void)
{
    no_recheck();
    for_kinds(TRACKED, BOUNDED, value_after_unnoticed);
}

/* Who waits goes to sleep on the lives of those who hold permits then. */
static void after_transfer(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(1, flags);
    struct guest *guests = new_guests(semaphore, 2, false);
    guest_holds(&guests[0], 1);
    guest_start_asleep(&guests[1]);
    expect_rc(ipc_semaphore_transfer(semaphore, (int32_t)guests[0].tid, 1), 0);
    guests[0].n = 0; /* it has none to give back */
    guest_ends(&guests[0]);
    guest_asleep(&guests[1]);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    guest_returns(&guests[1], 0);
    guest_ends(&guests[1]);
    free_with(semaphore, 1);
}

static void t16_a_transferred_permit_does_not_go_with_its_old_holder(void)
{
    no_recheck();
    for_kinds(TRACKED, BOUNDED, after_transfer);
}

/* Takes over the permit of the process that started it. */
static ipc_semaphore *handed_on;

static void take_over(void)
{
    expect_rc(ipc_semaphore_transfer(handed_on, getppid(), 1), 0);
}

static void new_holder_dies(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(1, flags);
    struct guest *guests = new_guests(semaphore, 2, false);
    handed_on = semaphore;
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    guest_start_asleep(&guests[0]);
    guests[1].prepare = take_over;
    guest_holds(&guests[1], 0);
    expect_held(semaphore, 0);
    test_report("ms", come_back_after(&guests[1], &guests[0]));
    guest_ends(&guests[0]);
    free_with(semaphore, 1);
}

/* By the re-check, if who waits was not told of the new holder. */
static void t16_holder_by_transfer_dies_by_recheck(void)
{
    for_kinds(TRACKED, BOUNDED, new_holder_dies);
}

/* ---- those who wait die ---- */

static void dead_waiters_are_nobody(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(1, flags);
    struct guest *guests = new_guests(semaphore, 3, false);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    for (int i = 0; i < 3; i++)
        guest_start_asleep(&guests[i]);
    for (int i = 0; i < 3; i++)
        (void)role_kill(&guests[i].role);
    expect_rc(ipc_semaphore_acquire_nowait(semaphore), -EAGAIN);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    expect_rc(ipc_semaphore_acquire_nowait(semaphore), 0);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    free_with(semaphore, 1);
}

static void t16_dead_waiters_are_not_in_the_way(void)
{
    no_recheck();
    for_kinds(0, 0, dead_waiters_are_nobody);
}

static void fini_after_dead_waiters(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(1, flags);
    struct guest *guests = new_guests(semaphore, 3, false);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    for (int i = 0; i < 3; i++)
        guest_start_asleep(&guests[i]);
    for (int i = 0; i < 3; i++)
        (void)role_kill(&guests[i].role);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    expect_rc(ipc_semaphore_fini(semaphore), 0);
    expect_rc(ipc_semaphore_free(semaphore), 0);
}

static void t16_what_only_the_dead_wait_for_may_go(void)
{
    for_kinds(0, 0, fini_after_dead_waiters);
}

/* ---- T18: untracked ---- */

static void lost(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(1, flags);
    struct guest *guests = new_guests(semaphore, 2, false);
    guest_holds(&guests[0], 1);
    (void)role_kill(&guests[0].role);
    expect_permits(semaphore, 0);
    expect_rc(ipc_semaphore_acquire_nowait(semaphore), -EAGAIN);
    guests[1].wait_ms = 150; /* longer than a re-check */
    guest_start_asleep(&guests[1]);
    guest_returns(&guests[1], -ETIMEDOUT);
    guest_ends(&guests[1]);
    expect_permits(semaphore, 0);
    expect_rc(ipc_semaphore_release(semaphore), 0); /* anybody may */
    free_with(semaphore, 1);
}

static void t18_untracked_permit_of_a_dead_holder_is_lost(void)
{
    for_kinds(0, TRACKED, lost);
}

static const struct test_case cases[] = {
    TEST_CASE(t16_nowait_has_the_permit_of_any_dead_holder),
    TEST_CASE(t16_one_who_waits_is_told_at_once_of_any_dead_holder),
    TEST_CASE(t16_two_who_wait_are_both_told_at_once),
    TEST_CASE(t16_one_who_wants_all_is_told_of_each_death),
    TEST_CASE(t16_end_of_thread_exit_and_exec_are_told_at_once),
    TEST_CASE(t16_without_robust_lists_by_recheck),
    TEST_CASE(t16_holder_forgotten_by_the_kernel_by_recheck),
    TEST_CASE(t16_value_counts_what_the_unnoticed_dead_held),
    TEST_CASE(t16_a_transferred_permit_does_not_go_with_its_old_holder),
    TEST_CASE(t16_holder_by_transfer_dies_by_recheck),
    TEST_CASE(t16_dead_waiters_are_not_in_the_way),
    TEST_CASE(t16_what_only_the_dead_wait_for_may_go),
    TEST_CASE(t18_untracked_permit_of_a_dead_holder_is_lost),
};
TEST_MAIN(cases)
