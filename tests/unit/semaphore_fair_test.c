/* ipc_semaphore, fair: who comes first is served first. */
#include "unit/semaphore_support.h"

enum {
    GUESTS = 5
};

/* Guests who came one after the other, for permits that the case has. */
static struct guest *in_order(ipc_semaphore *semaphore, uint32_t count,
                              bool threads)
{
    struct guest *guests = new_guests(semaphore, count, threads);
    for (uint32_t i = 0; i < count; i++)
        guest_start_asleep(&guests[i]);
    return guests;
}

static void all_end(struct guest *guests, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (guests[i].tid != 0)
            guest_ends(&guests[i]);
}

/* ---- in order ---- */

static void one_at_a_time(uint32_t flags, bool threads)
{
    ipc_semaphore *semaphore = new_semaphore(GUESTS, flags);
    expect_rc(ipc_semaphore_acquire_many(semaphore, GUESTS), 0);
    struct guest *guests = in_order(semaphore, GUESTS, threads);
    for (uint32_t i = 0; i < GUESTS; i++) {
        expect_rc(ipc_semaphore_release(semaphore), 0);
        guest_returns(&guests[i], 0);
        assert_int_equal(guests[i].place, i);
        assert_int_equal(*guests[i].comes, i + 1);
    }
    all_end(guests, GUESTS);
    free_with(semaphore, GUESTS);
}

static void one_at_a_time_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, one_at_a_time);
}

static void five_are_served_as_they_came(void)
{
    for_kinds(FAIR, 0, one_at_a_time_in_each_form);
}

/* One permit that goes from one to the next. */
static void hand_to_hand(uint32_t flags, bool threads)
{
    ipc_semaphore *semaphore = new_semaphore(1, flags);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    struct guest *guests = in_order(semaphore, GUESTS, threads);
    for (uint32_t i = 0; i < GUESTS; i++)
        bell_ring(&guests[i].leave);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    for (uint32_t i = 0; i < GUESTS; i++) {
        guest_returns(&guests[i], 0);
        assert_int_equal(guests[i].place, i);
    }
    all_end(guests, GUESTS);
    free_with(semaphore, 1);
}

static void hand_to_hand_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, hand_to_hand);
}

static void one_permit_goes_from_hand_to_hand(void)
{
    for_kinds(FAIR, 0, hand_to_hand_in_each_form);
}

/* Who has just released and is running does not get it before the one who
 * waits. */
static void no_barging(uint32_t flags, bool threads)
{
    ipc_semaphore *semaphore = new_semaphore(1, flags);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    struct guest *guests = in_order(semaphore, GUESTS, threads);
    for (uint32_t i = 0; i < GUESTS; i++) {
        expect_rc(i == 0 ? ipc_semaphore_release(semaphore) : 0, 0);
        expect_rc(ipc_semaphore_acquire_nowait(semaphore), -EAGAIN);
        guest_returns(&guests[i], 0);
        expect_rc(ipc_semaphore_acquire_nowait(semaphore), -EAGAIN);
        guest_gives(&guests[i]);
    }
    all_end(guests, GUESTS);
    free_with(semaphore, 1);
}

static void no_barging_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, no_barging);
}

static void who_runs_does_not_overtake_who_waits(void)
{
    for_kinds(FAIR, 0, no_barging_in_each_form);
}

/* ---- one who wants many ---- */

static void first_in_line_wants_three(uint32_t flags, bool threads)
{
    ipc_semaphore *semaphore = new_semaphore(3, flags);
    struct guest *guests = new_guests(semaphore, 3, threads);
    expect_rc(ipc_semaphore_acquire_many(semaphore, 3), 0);
    guests[0].n = 3;
    for (int i = 0; i < 3; i++)
        guest_start_asleep(&guests[i]);
    for (uint32_t free = 1; free <= 2; free++) {
        expect_rc(ipc_semaphore_release(semaphore), 0);
        expect_rc(ipc_semaphore_acquire_nowait(semaphore), -EAGAIN);
        guest_asleep(&guests[1]);
        expect_permits(semaphore, free);
    }
    expect_rc(ipc_semaphore_release(semaphore), 0);
    guest_returns(&guests[0], 0);
    guest_asleep(&guests[1]);
    guest_gives(&guests[0]);
    guest_returns(&guests[1], 0);
    guest_returns(&guests[2], 0);
    all_end(guests, 3);
    free_with(semaphore, 3);
}

static void first_in_line_wants_three_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, first_in_line_wants_three);
}

static void who_wants_few_waits_behind_who_wants_many(void)
{
    for_kinds(FAIR, 0, first_in_line_wants_three_in_each_form);
}

/* Takers of one, who come again and again, so that all three are never free
 * by chance; and one who wants all three. */
struct crowd {
    ipc_semaphore *semaphore;
    uint32_t stop;
    uint32_t rounds[3];
};

struct taker {
    struct crowd *crowd;
    int index;
    bool is_thread;
    pthread_t thread;
    struct role role;
};

static void take_one_over_and_over(void *arg)
{
    const struct taker *taker = arg;
    struct crowd *crowd = taker->crowd;
    while (__atomic_load_n(&crowd->stop, __ATOMIC_SEQ_CST) == 0) {
        expect_rc(ipc_semaphore_acquire(crowd->semaphore), 0);
        (void)__atomic_add_fetch(&crowd->rounds[taker->index], 1,
                                 __ATOMIC_SEQ_CST);
        sched_yield();
        expect_rc(ipc_semaphore_release(crowd->semaphore), 0);
    }
}

static void *take_one_over_and_over_thread(void *arg)
{
    take_one_over_and_over(arg);
    return NULL;
}

static void start_taker(struct taker *taker)
{
    if (taker->is_thread)
        assert_int_equal(pthread_create(&taker->thread, NULL,
                                        take_one_over_and_over_thread, taker),
                         0);
    else
        role_start(&taker->role, take_one_over_and_over, taker);
}

static void end_taker(struct taker *taker)
{
    if (taker->is_thread)
        assert_int_equal(pthread_join(taker->thread, NULL), 0);
    else
        role_wait_ok(&taker->role, LIMIT_MS);
}

static void many_among_takers_of_one(uint32_t flags, bool threads)
{
    struct crowd *crowd = test_shared(sizeof *crowd);
    struct taker takers[3];
    crowd->semaphore = new_semaphore(3, flags);
    for (int i = 0; i < 3; i++) {
        takers[i] =
            (struct taker){.crowd = crowd, .index = i, .is_thread = threads};
        start_taker(&takers[i]);
    }
    for (int i = 0; i < 3; i++) {
        while (__atomic_load_n(&crowd->rounds[i], __ATOMIC_SEQ_CST) < 20)
            poll_pause();
        expect_rc(ipc_semaphore_acquire_many_until(crowd->semaphore, 3,
                                                   ipc_after_ms(LIMIT_MS)),
                  0);
        expect_permits(crowd->semaphore, 0);
        expect_rc(ipc_semaphore_release_many(crowd->semaphore, 3), 0);
    }
    __atomic_store_n(&crowd->stop, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 3; i++)
        end_taker(&takers[i]);
    free_with(crowd->semaphore, 3);
}

static void many_among_takers_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, many_among_takers_of_one);
}

static void who_wants_many_is_not_starved(void)
{
    for_kinds(FAIR, 0, many_among_takers_in_each_form);
}

/* ---- one leaves the line ---- */

/* The one at this place in the line gives up; the others are served in
 * order. */
static void gives_up_at(uint32_t flags, bool threads, uint32_t who)
{
    ipc_semaphore *semaphore = new_semaphore(3, flags);
    struct guest *guests = new_guests(semaphore, 3, threads);
    expect_rc(ipc_semaphore_acquire_many(semaphore, 3), 0);
    guests[who].wait_ms = 80;
    for (uint32_t i = 0; i < 3; i++)
        guest_start_asleep(&guests[i]);
    guest_returns(&guests[who], -ETIMEDOUT);
    for (uint32_t i = 0, place = 0; i < 3; i++) {
        if (i == who)
            continue;
        expect_rc(ipc_semaphore_release(semaphore), 0);
        guest_returns(&guests[i], 0);
        assert_int_equal(guests[i].place, place++);
    }
    all_end(guests, 3);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    free_with(semaphore, 3);
}

static void gives_up_anywhere(uint32_t flags, bool threads)
{
    for (uint32_t who = 0; who < 3; who++)
        gives_up_at(flags, threads, who);
}

static void gives_up_anywhere_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, gives_up_anywhere);
}

static void one_who_gives_up_leaves_the_line(void)
{
    for_kinds(FAIR, BOUNDED, gives_up_anywhere_in_each_form);
}

/* The first wants more than there is and gives up: the next one goes on with
 * what there is. */
static void first_gives_up(uint32_t flags, bool threads)
{
    ipc_semaphore *semaphore = new_semaphore(3, flags);
    struct guest *guests = new_guests(semaphore, 2, threads);
    expect_rc(ipc_semaphore_acquire_many(semaphore, 2), 0);
    guests[0].n = 3;
    guests[0].wait_ms = 80;
    guest_start_asleep(&guests[0]);
    guest_start_asleep(&guests[1]);
    guest_returns(&guests[0], -ETIMEDOUT);
    const int64_t start = test_now_ns();
    guest_returns(&guests[1], 0);
    assert_true(guests[1].done_ns - start <
                (RECHECK_MS + SLACK_MS) * NS_PER_MS);
    expect_permits(semaphore, 0);
    all_end(guests, 2);
    expect_rc(ipc_semaphore_release_many(semaphore, 2), 0);
    free_with(semaphore, 3);
}

static void first_gives_up_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, first_gives_up);
}

static void the_next_one_goes_on_when_the_first_gives_up(void)
{
    for_kinds(FAIR, BOUNDED, first_gives_up_in_each_form);
}

/* By the re-check where the dead one is found only then. */
static void killed_at(uint32_t flags, uint32_t who)
{
    ipc_semaphore *semaphore = new_semaphore(GUESTS, flags);
    expect_rc(ipc_semaphore_acquire_many(semaphore, GUESTS), 0);
    struct guest *guests = in_order(semaphore, GUESTS, false);
    (void)role_kill(&guests[who].role);
    guests[who].tid = 0;
    for (uint32_t i = 0, place = 0; i < GUESTS; i++) {
        if (i == who)
            continue;
        expect_rc(ipc_semaphore_release(semaphore), 0);
        bell_wait(&guests[i].done, RECHECK_MS + SLACK_MS);
        expect_rc(guests[i].rc, 0);
        assert_int_equal(guests[i].place, place++);
    }
    all_end(guests, GUESTS);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    free_with(semaphore, GUESTS);
}

static void killed_anywhere(uint32_t flags)
{
    for (uint32_t who = 0; who < GUESTS; who += 2)
        killed_at(flags, who);
}

static void one_who_is_killed_leaves_the_line_by_recheck(void)
{
    for_kinds(FAIR, BOUNDED, killed_anywhere);
}

/* ---- more than a line holds ---- */

static void very_many(uint32_t flags, bool threads)
{
    enum {
        CROWD = 80
    };
    ipc_semaphore *semaphore = new_semaphore(2, flags);
    struct guest *guests = new_guests(semaphore, CROWD, threads);
    expect_rc(ipc_semaphore_acquire_many(semaphore, 2), 0);
    for (int i = 0; i < CROWD; i++)
        guest_start_asleep(&guests[i]);
    for (int i = 0; i < CROWD; i++)
        bell_ring(&guests[i].leave);
    expect_rc(ipc_semaphore_release_many(semaphore, 2), 0);
    for (int i = 0; i < CROWD; i++) {
        guest_returns(&guests[i], 0);
        guest_ends(&guests[i]);
    }
    free_with(semaphore, 2);
}

static void very_many_threads(uint32_t flags)
{
    very_many(flags, true);
}

static void eighty_who_wait_are_all_served(void)
{
    for_kinds(FAIR, BOUNDED, very_many_threads);
}

static const struct test_case cases[] = {
    TEST_CASE(five_are_served_as_they_came),
    TEST_CASE(one_permit_goes_from_hand_to_hand),
    TEST_CASE(who_runs_does_not_overtake_who_waits),
    TEST_CASE(who_wants_few_waits_behind_who_wants_many),
    TEST_CASE(who_wants_many_is_not_starved),
    TEST_CASE(one_who_gives_up_leaves_the_line),
    TEST_CASE(the_next_one_goes_on_when_the_first_gives_up),
    TEST_CASE(one_who_is_killed_leaves_the_line_by_recheck),
    TEST_CASE(eighty_who_wait_are_all_served),
};
TEST_MAIN(cases)
