/* ipc_barrier: parties that are enrolled, and barriers that shrink. */
#include "unit/barrier_support.h"

#include <pthread.h>

enum {
    PARTIES = 3
};

static void enroll_all(struct actor *actors, int count, ipc_barrier *barrier)
{
    for (int i = 0; i < count; i++)
        expect_rc(actor_asks(&actors[i], enroll, barrier), 0);
}

/* ---- enroll and leave ---- */

static void all_places_can_be_taken(void)
{
    struct actor actors[PARTIES + 1];
    ipc_barrier *barrier = new_barrier(PARTIES, 0);
    actors_start(actors, PARTIES + 1);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < PARTIES; i++) {
            expect_rc(actor_asks(&actors[i], leave, barrier), -ESRCH);
            expect_rc(actor_asks(&actors[i], enroll, barrier), 0);
            expect_rc(actor_asks(&actors[i], enroll, barrier), -EALREADY);
        }
        expect_rc(actor_asks(&actors[PARTIES], enroll, barrier), -ENOSPC);
        assert_true(actors[PARTIES].page->detail[0] != '\0');
        expect_rc(actor_asks(&actors[PARTIES], leave, barrier), -ESRCH);
        assert_int_equal(ipc_barrier_waiting(barrier), 0);
        expect_rc(actor_asks(&actors[round], leave, barrier), 0);
        expect_rc(actor_asks(&actors[PARTIES], enroll, barrier), 0);
        expect_rc(actor_asks(&actors[PARTIES], leave, barrier), 0);
        expect_rc(actor_asks(&actors[round], enroll, barrier), 0);
        for (int i = 0; i < PARTIES; i++)
            expect_rc(actor_asks(&actors[i], leave, barrier), 0);
    }
    assert_int_equal(ipc_barrier_parties(barrier), PARTIES);
    actors_end(actors, PARTIES + 1);
    expect_rc(ipc_barrier_free(barrier), 0);
}

static void who_is_enrolled_counts_once(void)
{
    struct actor actors[PARTIES];
    ipc_barrier *barrier = new_barrier(PARTIES, 0);
    actors_start(actors, PARTIES);
    enroll_all(actors, PARTIES - 1, barrier); /* but one */
    for (int round = 0; round < 50; round++) {
        come_in_turn(actors, PARTIES - 1, barrier);
        expect_rc(actor_asks(&actors[PARTIES - 1], come, barrier), PARTIES - 1);
        expect_places(actors, PARTIES);
    }
    assert_int_equal(ipc_barrier_waiting(barrier), 0);
    actors_end(actors, PARTIES);
    expect_rc(ipc_barrier_free(barrier), 0);
}

static void a_forked_child_is_not_enrolled(void)
{
    struct actor child;
    ipc_barrier *barrier = new_barrier(2, 0);
    expect_rc(ipc_barrier_enroll(barrier), 0);
    actor_start(&child);
    expect_rc(actor_asks(&child, leave, barrier), -ESRCH);
    expect_rc(actor_asks(&child, enroll, barrier), 0);
    expect_rc(actor_asks(&child, leave, barrier), 0);
    actor_kill(&child);
    assert_false(ipc_barrier_is_broken(barrier));
    expect_rc(ipc_barrier_leave(barrier), 0);
    expect_rc(ipc_barrier_free(barrier), 0);
}

/* ---- the death of who is enrolled ---- */

static void it_breaks_wherever_it_dies(int (*before)(void *arg))
{
    struct actor actors[PARTIES], late;
    ipc_barrier *barrier = new_barrier(PARTIES, 0);
    actors_start(actors, PARTIES);
    actor_start(&late);
    if (before != NULL)
        expect_rc(actor_asks(&actors[2], before, NULL), 0);
    enroll_all(&actors[2], 1, barrier);
    come_in_turn(actors, 2, barrier);
    const int64_t start = test_now_ns();
    actor_kill(&actors[2]);
    for (int i = 0; i < 2; i++)
        test_report("ms", told_after(&actors[i], -ECANCELED, start));
    expect_rc(actor_asks(&late, come, barrier), -ECANCELED);
    expect_broken(barrier);

    expect_rc(ipc_barrier_reset(barrier), 0);
    actor_start(&actors[2]);
    enroll_all(actors, PARTIES, barrier); /* the dead has left */
    pass_together(actors, PARTIES, barrier);
    actors_end(actors, PARTIES);
    actor_end(&late);
    expect_rc(ipc_barrier_free(barrier), 0);
}

static void those_who_wait_are_told_at_once(void)
{
    it_breaks_wherever_it_dies(NULL);
}

static void those_who_wait_are_told_by_recheck(void)
{
    it_breaks_wherever_it_dies(no_robust_list);
}

static void who_comes_later_is_told(void)
{
    struct actor doomed;
    ipc_barrier *barrier = new_barrier(2, 0);
    actor_start(&doomed);
    enroll_all(&doomed, 1, barrier);
    actor_kill(&doomed);
    expect_rc(ipc_barrier_wait(barrier), -ECANCELED);
    expect_broken(barrier);
    expect_rc(ipc_barrier_free(barrier), 0);
}

static void who_has_left_is_not_missed(void)
{
    struct actor actors[2];
    ipc_barrier *barrier = new_barrier(2, 0);
    actors_start(actors, 2);
    enroll_all(actors, 2, barrier);
    pass_together(actors, 2, barrier);
    expect_rc(actor_asks(&actors[1], leave, barrier), 0);
    come_in_turn(actors, 1, barrier);
    actor_kill(&actors[1]);
    actor_goes_on_waiting(&actors[0]);
    expect_rc(ipc_barrier_wait(barrier), 1);
    expect_rc(actor_result(&actors[0]), 0);
    actor_end(&actors[0]);
    expect_rc(ipc_barrier_free(barrier), 0);
}

static void *enroll_and_end(void *arg)
{
    expect_rc(ipc_barrier_enroll(arg), 0);
    return NULL;
}

static void the_end_of_a_thread_is_a_death(void)
{
    pthread_t thread;
    struct actor actor;
    ipc_barrier *barrier = new_barrier(2, 0);
    actor_start_thread(&actor);
    come_in_turn(&actor, 1, barrier);
    assert_int_equal(pthread_create(&thread, NULL, enroll_and_end, barrier), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    expect_rc(actor_result(&actor), -ECANCELED);
    actor_end(&actor);
    expect_rc(ipc_barrier_free(barrier), 0);
}

/* ---- shrinking ---- */

/* Who waits dies: the others are complete when one more has come. */
static void it_shrinks_by_who_waits(int (*before)(void *arg))
{
    struct actor actors[PARTIES];
    ipc_barrier *barrier = new_barrier(PARTIES, IPC_BARRIER_SHRINK);
    for (int which = 0; which < 2; which++) {
        actors_start(actors, PARTIES);
        if (before != NULL)
            expect_rc(actor_asks(&actors[which], before, NULL), 0);
        come_in_turn(actors, 2, barrier);
        actor_kill(&actors[which]);
        struct actor rest[2] = {actors[1 - which], actors[2]};
        actor_tell(&rest[1], come, barrier);
        expect_places_below(rest, 2, PARTIES); /* the dead had one of them */
        assert_false(ipc_barrier_is_broken(barrier));
        assert_int_equal(ipc_barrier_parties(barrier), 2);
        pass_together(rest, 2, barrier);
        actors_end(rest, 2);
        expect_rc(ipc_barrier_free(barrier), 0);
        barrier = new_barrier(PARTIES, IPC_BARRIER_SHRINK);
    }
    expect_rc(ipc_barrier_free(barrier), 0);
}

static void a_death_makes_it_smaller(void)
{
    it_shrinks_by_who_waits(NULL);
}

static void a_death_unnoticed_makes_it_smaller_by_recheck(void)
{
    it_shrinks_by_who_waits(no_robust_list);
}

/* All the others wait: they go on at once. */
static void the_others_go_on(int (*before)(void *arg))
{
    struct actor actors[PARTIES];
    ipc_barrier *barrier = new_barrier(PARTIES, IPC_BARRIER_SHRINK);
    actors_start(actors, PARTIES);
    if (before != NULL)
        expect_rc(actor_asks(&actors[2], before, NULL), 0);
    enroll_all(actors, PARTIES, barrier);
    pass_together(actors, PARTIES, barrier);
    come_in_turn(actors, 2, barrier);
    const int64_t start = test_now_ns();
    actor_kill(&actors[2]);
    if (!meet_within(&actors[0].page->done, actors[0].page->order + 1,
                     RECHECK_MS + SLACK_MS))
        test_fail("nobody told it of the death");
    expect_places(actors, 2);
    test_report("ms", to_ms(actors[1].page->end_ns - start));
    assert_int_equal(ipc_barrier_parties(barrier), 2);
    pass_together(actors, 2, barrier);

    come_in_turn(actors, 1, barrier); /* and then there was one */
    actor_kill(&actors[1]);
    expect_rc(actor_result(&actors[0]), 0);
    assert_int_equal(ipc_barrier_parties(barrier), 1);
    expect_rc(actor_asks(&actors[0], come, barrier), 0);
    assert_false(ipc_barrier_is_broken(barrier));
    actor_end(&actors[0]);
    expect_rc(ipc_barrier_free(barrier), 0);
}

static void the_others_go_on_at_once(void)
{
    the_others_go_on(NULL);
}

static void the_others_go_on_by_recheck(void)
{
    the_others_go_on(no_robust_list);
}

/* Several die at one time, some of them waiting. */
static void many_deaths_at_one_time(void)
{
    enum {
        MANY = 10,
        LEFT = 3
    };
    struct actor actors[MANY];
    ipc_barrier *barrier = new_barrier(MANY, IPC_BARRIER_SHRINK);
    actors_start(actors, MANY);
    enroll_all(actors, MANY, barrier);
    come_in_turn(actors, MANY / 2, barrier);
    for (int i = LEFT; i < MANY; i++)
        role_stop(&actors[i].role);
    for (int i = LEFT; i < MANY; i++)
        actor_kill(&actors[i]);
    for (int i = 0; i < LEFT; i++)
        assert_in_range(actor_result(&actors[i]), 0, MANY - 1);
    assert_int_equal(ipc_barrier_parties(barrier), LEFT);
    pass_together(actors, LEFT, barrier);
    actors_end(actors, LEFT);
    expect_rc(ipc_barrier_free(barrier), 0);
}

/* When nobody is left there is nobody to wait for, nor with. */
static void nobody_waits_for_a_barrier_of_the_dead(void)
{
    struct actor doomed[2], late;
    ipc_barrier *barrier = new_barrier(2, IPC_BARRIER_SHRINK);
    actors_start(doomed, 2);
    actor_start(&late);
    enroll_all(doomed, 2, barrier);
    for (int i = 0; i < 2; i++)
        actor_kill(&doomed[i]);
    assert_true(actor_asks(&late, come, barrier) < 0);
    expect_rc(ipc_barrier_reset(barrier), 0);
    assert_int_equal(ipc_barrier_parties(barrier), 2);
    come_in_turn(&late, 1, barrier);
    expect_rc(ipc_barrier_wait(barrier), 1);
    expect_rc(actor_result(&late), 0);
    actor_end(&late);
    expect_rc(ipc_barrier_free(barrier), 0);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int come_with_action(void *arg)
{
    return ipc_barrier_wait_action(arg, nothing, NULL, IPC_TIME_FOREVER);
}

/* One that ran an action long ago, when the phases had the same numbers, runs
 * none now: the others need not wait for it. */
static void an_action_of_long_ago_is_over(void)
{
    struct actor actors[PARTIES];
    ipc_barrier *barrier = new_barrier(PARTIES, IPC_BARRIER_SHRINK);
    actors_start(actors, PARTIES);
    enroll_all(actors, PARTIES, barrier);
    for (int phases = 1; phases <= 256; phases *= 2) {
        struct actor lasting[] = {actors[0], actors[1]};
        come_in_turn(&actors[1], PARTIES - 1, barrier);
        expect_rc(actor_asks(&actors[0], come_with_action, barrier),
                  PARTIES - 1);
        expect_all(&actors[1], 1, 0);
        expect_all(&actors[2], 1, 1);
        for (int i = 1; i < phases; i++)
            pass_together(actors, PARTIES, barrier);
        come_in_turn(lasting, 2, barrier);
        actor_kill(&actors[2]);
        expect_places(lasting, 2);

        expect_rc(ipc_barrier_reset(barrier), 0);
        actor_start(&actors[2]);
        enroll_all(&actors[2], 1, barrier);
        assert_int_equal(ipc_barrier_parties(barrier), PARTIES);
    }
    actors_end(actors, PARTIES);
    expect_rc(ipc_barrier_free(barrier), 0);
}

/* It is only deaths that make it smaller. */
static void everything_else_still_breaks_it(void)
{
    struct actor actors[2];
    ipc_barrier *barrier = new_barrier(3, IPC_BARRIER_SHRINK);
    actors_start(actors, 2);
    come_in_turn(actors, 1, barrier);
    expect_rc(come_soon(barrier), -ETIMEDOUT);
    expect_rc(actor_result(&actors[0]), -ECANCELED);
    expect_broken(barrier);
    expect_rc(ipc_barrier_reset(barrier), 0);
    come_in_turn(actors, 2, barrier);
    expect_rc(ipc_barrier_abort(barrier), 0);
    expect_all(actors, 2, -ECANCELED);
    expect_broken(barrier);
    assert_int_equal(ipc_barrier_parties(barrier), 3);
    actors_end(actors, 2);
    expect_rc(ipc_barrier_free(barrier), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(all_places_can_be_taken),
    TEST_CASE(who_is_enrolled_counts_once),
    TEST_CASE(a_forked_child_is_not_enrolled),
    TEST_CASE(those_who_wait_are_told_at_once),
    TEST_CASE(those_who_wait_are_told_by_recheck),
    TEST_CASE(who_comes_later_is_told),
    TEST_CASE(who_has_left_is_not_missed),
    TEST_CASE(the_end_of_a_thread_is_a_death),
    TEST_CASE(a_death_makes_it_smaller),
    TEST_CASE(a_death_unnoticed_makes_it_smaller_by_recheck),
    TEST_CASE(the_others_go_on_at_once),
    TEST_CASE(the_others_go_on_by_recheck),
    TEST_CASE(many_deaths_at_one_time),
    TEST_CASE(nobody_waits_for_a_barrier_of_the_dead),
    TEST_CASE(an_action_of_long_ago_is_over),
    TEST_CASE(everything_else_still_breaks_it),
};
TEST_MAIN(cases)
