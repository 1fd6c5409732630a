/* ipc_semaphore: several permits at once, all or none. */
#include "unit/semaphore_support.h"

/* ---- what can be had at once ---- */

static void many_at_once(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(5, flags);
    expect_rc(ipc_semaphore_acquire_many(semaphore, 2), 0);
    expect_permits(semaphore, 3);
    expect_rc(ipc_semaphore_acquire_many_nowait(semaphore, 2), 0);
    expect_permits(semaphore, 1);
    expect_rc(ipc_semaphore_acquire_many_until(semaphore, 1, ipc_after_ms(100)),
              0);
    expect_permits(semaphore, 0);
    expect_rc(ipc_semaphore_release_many(semaphore, 4), 0);
    expect_permits(semaphore, 4);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    free_with(semaphore, 5);
}

static void many_are_had_at_once(void)
{
    for_kinds(0, 0, many_at_once);
}

static void nothing_is_wanted(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(1, flags);
    expect_rc(ipc_semaphore_acquire_many(semaphore, 0), 0);
    expect_rc(ipc_semaphore_acquire_many_nowait(semaphore, 0), 0);
    expect_rc(ipc_semaphore_acquire_many_until(semaphore, 0, IPC_TIME_NOW), 0);
    expect_rc(ipc_semaphore_release_many(semaphore, 0), 0);
    expect_permits(semaphore, 1);
    expect_held(semaphore, 0);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    expect_rc(ipc_semaphore_acquire_many(semaphore, 0), 0); /* does not wait */
    expect_rc(ipc_semaphore_release(semaphore), 0);
    free_with(semaphore, 1);
}

static void none_are_always_had(void)
{
    for_kinds(0, 0, nothing_is_wanted);
}

static void too_few(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(4, flags);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    expect_rc(ipc_semaphore_acquire_many_nowait(semaphore, 4), -EAGAIN);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_permits(semaphore, 3);
    expect_rc(ipc_semaphore_acquire_many_until(semaphore, 4, ipc_after_ms(10)),
              -ETIMEDOUT);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_permits(semaphore, 3);
    expect_rc(ipc_semaphore_acquire_many_nowait(semaphore, 3), 0);
    expect_rc(ipc_semaphore_release_many(semaphore, 4), 0);
    free_with(semaphore, 4);
}

static void all_or_none_are_acquired(void)
{
    for_kinds(0, 0, too_few);
}

/* ---- more than there can ever be ---- */

static void more_than_ever(uint32_t flags)
{
    const bool limited = (flags & (BOUNDED | TRACKED)) != 0;
    const uint32_t most = limited ? 3 : IPC_SEMAPHORE_MAX;
    ipc_semaphore *semaphore = new_semaphore(3, flags);
    expect_rc(ipc_semaphore_acquire_many(semaphore, most + 1), -EINVAL);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_rc(ipc_semaphore_acquire_many_nowait(semaphore, most + 1), -EINVAL);
    expect_rc(ipc_semaphore_acquire_many_until(semaphore, UINT32_MAX,
                                               IPC_TIME_FOREVER),
              -EINVAL);
    /* Numbers that a multiplication would make small. */
    expect_rc(ipc_semaphore_acquire_many(semaphore, 0x40000001u), -EINVAL);
    expect_rc(ipc_semaphore_acquire_many(semaphore, 0x80000001u), -EINVAL);
    expect_rc(ipc_semaphore_acquire_many_nowait(semaphore, 0x10000000u),
              -EINVAL);
    expect_permits(semaphore, 3);
    if (!limited)
        expect_rc(ipc_semaphore_acquire_many_nowait(semaphore, 4), -EAGAIN);
    free_with(semaphore, 3);
}

static void who_wants_more_than_it_ever_has_is_refused(void)
{
    for_kinds(0, 0, more_than_ever);
}

static void too_many_back(uint32_t flags)
{
    static const uint32_t too_many[] = {
        2,           3,           512,         0x0fffffff,
        0x10000000u, 0x3fffffffu, 0x40000000u, 0x40000001u,
        0x80000001u, 0xc0000001u, UINT32_MAX,
    };
    const int error = (flags & TRACKED) != 0 ? -EPERM : -EOVERFLOW;
    ipc_semaphore *semaphore = new_semaphore(3, flags);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    for (size_t i = 0; i < sizeof too_many / sizeof too_many[0]; i++) {
        expect_rc(ipc_semaphore_release_many(semaphore, too_many[i]), error);
        expect_permits(semaphore, 2);
    }
    expect_rc(ipc_semaphore_release(semaphore), 0);
    free_with(semaphore, 3);
}

static void all_or_none_are_released(void)
{
    for_kinds(BOUNDED, 0, too_many_back);
    for_kinds(TRACKED, 0, too_many_back);
}

/* ---- large numbers ---- */

static void large_numbers(uint32_t flags)
{
    const uint32_t total =
        (flags & TRACKED) != 0 ? IPC_SEMAPHORE_TRACKED_MAX : IPC_SEMAPHORE_MAX;
    static const uint32_t some[] = {1, 510, 511, 512, 513, 2048, 65536};
    ipc_semaphore *semaphore = new_semaphore(total, flags);
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        expect_rc(ipc_semaphore_acquire_many(semaphore, some[i]), 0);
        expect_permits(semaphore, total - some[i]);
        expect_rc(ipc_semaphore_release_many(semaphore, some[i]), 0);
    }
    free_with(semaphore, total);
}

static void large_numbers_are_had(void)
{
    for_kinds(0, 0, large_numbers);
}

/* Those who wait are woken also by more than fit into one system call. */
static void wakes_many(uint32_t flags, bool threads)
{
    enum {
        GUESTS = 3,
        EACH = 1000,
        TOTAL = GUESTS * EACH
    };
    ipc_semaphore *semaphore = new_semaphore(TOTAL, flags);
    struct guest *guests = new_guests(semaphore, GUESTS, threads);
    expect_rc(ipc_semaphore_acquire_many(semaphore, TOTAL), 0);
    for (int i = 0; i < GUESTS; i++) {
        guests[i].n = EACH;
        guest_start_asleep(&guests[i]);
    }
    expect_rc(ipc_semaphore_release_many(semaphore, TOTAL), 0);
    for (int i = 0; i < GUESTS; i++)
        guest_returns(&guests[i], 0);
    expect_permits(semaphore, 0);
    for (int i = 0; i < GUESTS; i++)
        guest_ends(&guests[i]);
    free_with(semaphore, TOTAL);
}

static void wakes_many_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, wakes_many);
}

static void a_large_release_wakes_all_who_can_go_on(void)
{
    for_kinds(0, 0, wakes_many_in_each_form);
}

/* ---- waiting ---- */

/* One who wants three goes on when there are three, and takes them all at
 * once. */
static void waits_for_three(uint32_t flags, bool threads)
{
    ipc_semaphore *semaphore = new_semaphore(3, flags);
    struct guest *guest = new_guests(semaphore, 1, threads);
    expect_rc(ipc_semaphore_acquire_many(semaphore, 3), 0);
    guest->n = 3;
    guest_start_asleep(guest);
    for (uint32_t free = 1; free <= 2; free++) {
        expect_rc(ipc_semaphore_release(semaphore), 0);
        guest_asleep(guest);
        expect_permits(semaphore, free);
    }
    expect_rc(ipc_semaphore_release(semaphore), 0);
    guest_returns(guest, 0);
    expect_permits(semaphore, 0);
    guest_ends(guest);
    free_with(semaphore, 3);
}

static void waits_for_three_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, waits_for_three);
}

static void who_wants_many_waits_for_all_of_them(void)
{
    for_kinds(0, 0, waits_for_three_in_each_form);
}

/* Two are released at once: two who want one each go on. */
static void two_at_once(uint32_t flags, bool threads)
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
    expect_rc(ipc_semaphore_release_many(semaphore, 2), 0);
    while (__atomic_load_n(served, __ATOMIC_SEQ_CST) < 2)
        poll_pause();
    expect_permits(semaphore, 0);
    assert_int_equal(__atomic_load_n(served, __ATOMIC_SEQ_CST), 2);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    for (int i = 0; i < GUESTS; i++)
        guest_returns(&guests[i], 0);
    for (int i = 0; i < GUESTS; i++)
        guest_ends(&guests[i]);
    free_with(semaphore, GUESTS);
}

static void two_at_once_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, two_at_once);
}

static void a_release_of_two_lets_two_go_on(void)
{
    for_kinds(0, 0, two_at_once_in_each_form);
}

/* One who wants more than there is does not keep another, who wants less,
 * asleep; but for a fair one, where it came first. */
static void few_beside_many(uint32_t flags, bool threads)
{
    ipc_semaphore *semaphore = new_semaphore(3, flags);
    struct guest *guests = new_guests(semaphore, 2, threads);
    expect_rc(ipc_semaphore_acquire_many(semaphore, 3), 0);
    guests[0].n = 3;
    guest_start_asleep(&guests[0]);
    guest_start_asleep(&guests[1]);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    guest_returns(&guests[1], 0);
    expect_rc(ipc_semaphore_release_many(semaphore, 2), 0);
    guest_asleep(&guests[0]);
    guest_gives(&guests[1]);
    guest_returns(&guests[0], 0);
    guest_ends(&guests[1]);
    guest_ends(&guests[0]);
    free_with(semaphore, 3);
}

static void few_beside_many_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, few_beside_many);
}

static void who_wants_few_passes_one_who_wants_many(void)
{
    for_kinds(0, FAIR, few_beside_many_in_each_form);
}

static const struct test_case cases[] = {
    TEST_CASE(many_are_had_at_once),
    TEST_CASE(none_are_always_had),
    TEST_CASE(all_or_none_are_acquired),
    TEST_CASE(who_wants_more_than_it_ever_has_is_refused),
    TEST_CASE(all_or_none_are_released),
    TEST_CASE(large_numbers_are_had),
    TEST_CASE(a_large_release_wakes_all_who_can_go_on),
    TEST_CASE(who_wants_many_waits_for_all_of_them),
    TEST_CASE(a_release_of_two_lets_two_go_on),
    TEST_CASE(who_wants_few_passes_one_who_wants_many),
};
TEST_MAIN(cases)
