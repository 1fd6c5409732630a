/* ipc_barrier when it breaks: abort, reset, deadlines, and T23: parties that
 * die while they wait.  Nobody is ever let through short-handed. */
#include "unit/barrier_support.h"

#include <signal.h>

enum {
    PARTIES = 4
};

/* ---- abort and reset ---- */

static void abort_sends_all_away(void)
{
    struct actor actors[PARTIES];
    ipc_barrier *barrier = new_barrier(PARTIES, 0);
    actors_start(actors, PARTIES);
    for (int waiting = 0; waiting < PARTIES; waiting++) {
        come_in_turn(actors, waiting, barrier);
        assert_false(ipc_barrier_is_broken(barrier));
        expect_rc(ipc_barrier_abort(barrier), 0);
        expect_all(actors, waiting, -ECANCELED);
        for (int i = 0; i < waiting; i++)
            assert_true(actors[i].page->detail[0] != '\0');
        expect_broken(barrier);
        expect_rc(ipc_barrier_abort(barrier), 0); /* once more */
        expect_broken(barrier);
        expect_rc(ipc_barrier_reset(barrier), 0);
        pass_together(actors, PARTIES, barrier);
    }
    actors_end(actors, PARTIES);
    expect_rc(ipc_barrier_free(barrier), 0);
}

static void reset_makes_it_whole_and_empty(void)
{
    struct actor actors[PARTIES];
    ipc_barrier *barrier = new_barrier(PARTIES, 0);
    actors_start(actors, PARTIES);
    for (int waiting = 0; waiting < PARTIES; waiting++) {
        come_in_turn(actors, waiting, barrier);
        expect_rc(ipc_barrier_reset(barrier), 0);
        assert_int_equal(ipc_barrier_waiting(barrier), 0);
        assert_false(ipc_barrier_is_broken(barrier));
        expect_all(actors, waiting, -ECANCELED);
        expect_rc(ipc_barrier_reset(barrier), 0); /* nothing to do */
        pass_together(actors, PARTIES, barrier);
    }
    actors_end(actors, PARTIES);
    expect_rc(ipc_barrier_free(barrier), 0);
}

/* One that was waiting when it was reset, and runs again only when others have
 * passed since, is not taken for one of those. */
static void who_is_late_to_hear_of_a_reset_does_not_pass(void)
{
    struct actor actors[PARTIES], slow;
    ipc_barrier *barrier = new_barrier(PARTIES, 0);
    actors_start(actors, PARTIES);
    actor_start(&slow);
    for (int phases = 0; phases < 4; phases++) {
        come_in_turn(&slow, 1, barrier);
        role_stop_outside(&slow.role, &barrier->guard_);
        expect_rc(ipc_barrier_reset(barrier), 0);
        for (int i = 0; i < phases; i++)
            pass_together(actors, PARTIES, barrier);
        come_in_turn(actors, 1, barrier); /* somebody waits again */
        role_cont(&slow.role);
        expect_rc(actor_result(&slow), -ECANCELED);
        actor_waits(&actors[0]);
        expect_rc(ipc_barrier_reset(barrier), 0);
        expect_rc(actor_result(&actors[0]), -ECANCELED);
    }
    actors_end(actors, PARTIES);
    actor_end(&slow);
    expect_rc(ipc_barrier_free(barrier), 0);
}

/* One that has been let through, and runs again only when the barrier has gone
 * on, has passed. */
static void who_is_late_to_go_on_has_passed(void)
{
    struct actor actors[PARTIES], slow;
    ipc_barrier *barrier = new_barrier(PARTIES, 0);
    actors_start(actors, PARTIES);
    actor_start(&slow);
    for (int phases = 0; phases < 4; phases++) {
        come_in_turn(&slow, 1, barrier);
        role_stop_outside(&slow.role, &barrier->guard_);
        tell_all(actors, PARTIES - 1, come, barrier);
        for (int i = 0; i < PARTIES - 1; i++)
            assert_in_range(actor_result(&actors[i]), 1, PARTIES - 1);
        for (int i = 0; i < phases; i++)
            pass_together(actors, PARTIES, barrier);
        come_in_turn(actors, 1, barrier);
        role_cont(&slow.role);
        expect_rc(actor_result(&slow), 0);
        actor_waits(&actors[0]);
        expect_rc(ipc_barrier_reset(barrier), 0);
        expect_rc(actor_result(&actors[0]), -ECANCELED);
    }
    actors_end(actors, PARTIES);
    actor_end(&slow);
    expect_rc(ipc_barrier_free(barrier), 0);
}

/* What is done to the barrier after its phase concerns the next one only: the
 * parties of one phase all pass, or none does. */
static void who_is_late_has_passed_whatever_came_after(void)
{
    static int (*const acts[])(void *arg) = {reset_it, abort_it, come_soon};
    for (int i = 0; i < 3; i++) {
        struct actor actors[PARTIES];
        ipc_barrier *barrier = new_barrier(PARTIES, 0);
        actors_start(actors, PARTIES);
        come_in_turn(actors, 1, barrier);
        role_stop_outside(&actors[0].role, &barrier->guard_);
        tell_all(&actors[1], PARTIES - 1, come, barrier);
        for (int j = 1; j < PARTIES; j++)
            assert_in_range(actor_result(&actors[j]), 1, PARTIES - 1);
        expect_rc(acts[i](barrier), acts[i] == come_soon ? -ETIMEDOUT : 0);
        role_cont(&actors[0].role);
        expect_rc(actor_result(&actors[0]), 0);
        actors_end(actors, PARTIES);
        expect_rc(ipc_barrier_free(barrier), 0);
    }
}

/* ---- deadlines ---- */

static void one_that_gives_up_breaks_it_for_all(void)
{
    static int (*const forms[])(void *arg) = {come_soon, come_at_once};
    struct actor actors[PARTIES];
    ipc_barrier *barrier = new_barrier(PARTIES, 0);
    actors_start(actors, PARTIES);
    for (int waiting = 0; waiting < PARTIES - 1; waiting++) {
        come_in_turn(actors, waiting, barrier);
        expect_rc(forms[waiting % 2](barrier), -ETIMEDOUT);
        expect_all(actors, waiting, -ECANCELED);
        expect_broken(barrier);
        expect_rc(ipc_barrier_reset(barrier), 0);
        pass_together(actors, PARTIES, barrier);
    }
    actors_end(actors, PARTIES);
    expect_rc(ipc_barrier_free(barrier), 0);
}

static int never(void *arg)
{
    (void)arg;
    return -EPROTO; /* no action runs when somebody is missing */
}

static int come_soon_with_action(void *arg)
{
    return ipc_barrier_wait_action(arg, never, NULL, SOON);
}

static void deadlines_are_kept(void)
{
    ipc_barrier *barrier = new_barrier(2, 0);
    static int (*const forms[])(void *arg) = {come_soon, come_soon_with_action};
    for (int i = 0; i < 2; i++) {
        const int64_t start = test_now_ns();
        expect_rc(forms[i](barrier), -ETIMEDOUT);
        assert_in_range(to_ms(test_now_ns() - start), 29, 29 + SLACK_MS);
        expect_rc(ipc_barrier_reset(barrier), 0);
    }
    expect_rc(ipc_barrier_free(barrier), 0);
}

static void no_action(int number)
{
    (void)number;
}

static int heed_signals(void *arg)
{
    struct sigaction action = {.sa_handler = no_action};
    (void)arg;
    return sigaction(SIGUSR1, &action, NULL);
}

static void signals_do_not_end_the_wait(void)
{
    struct actor actor;
    ipc_barrier *barrier = new_barrier(2, 0);
    actor_start(&actor);
    expect_rc(actor_asks(&actor, heed_signals, NULL), 0);
    come_in_turn(&actor, 1, barrier);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(kill(actor.role.pid, SIGUSR1), 0);
        actor_waits(&actor);
    }
    expect_rc(ipc_barrier_wait(barrier), 1);
    expect_rc(actor_result(&actor), 0);
    actor_end(&actor);
    expect_rc(ipc_barrier_free(barrier), 0);
}

/* ---- T23: a party that waits dies ---- */

/* Of three that wait, this one dies. */
static long one_dies(int which, int (*before)(void *arg))
{
    struct actor actors[PARTIES];
    ipc_barrier *barrier = new_barrier(PARTIES, 0);
    long ms = 0;
    actors_start(actors, PARTIES);
    if (before != NULL)
        expect_rc(actor_asks(&actors[which], before, NULL), 0);
    come_in_turn(actors, PARTIES - 1, barrier);
    const int64_t start = test_now_ns();
    actor_kill(&actors[which]);
    for (int i = 0; i < PARTIES - 1; i++) {
        if (i == which)
            continue;
        const long after = told_after(&actors[i], -ECANCELED, start);
        ms = after > ms ? after : ms;
        assert_true(actors[i].page->detail[0] != '\0');
    }
    expect_rc(actor_asks(&actors[PARTIES - 1], come, barrier), -ECANCELED);
    expect_broken(barrier);

    actor_start(&actors[which]);
    expect_rc(ipc_barrier_reset(barrier), 0);
    pass_together(actors, PARTIES, barrier);
    actors_end(actors, PARTIES);
    expect_rc(ipc_barrier_free(barrier), 0);
    return ms;
}

/* At once by those who came later; by the re-check by those who slept already
 * when it came. */
static void t23_the_others_are_told(void)
{
    for (int which = 0; which < PARTIES - 1; which++) {
        char name[16];
        (void)snprintf(name, sizeof name, "ms_%d", which);
        test_report(name, one_dies(which, NULL));
    }
}

static void t23_the_others_are_told_by_recheck(void)
{
    test_report("ms", one_dies(1, no_robust_list));
}

/* Nobody else waits when they die: the next to come finds out. */
static void t23_who_comes_after_the_death_does_not_pass(void)
{
    static int (*const forms[])(void *arg) = {come, come_nowait, come_soon,
                                              come_at_once, come_late};
    for (int dead = 1; dead < PARTIES; dead++) {
        for (int form = 0; form < 5; form++) {
            struct actor doomed[PARTIES];
            ipc_barrier *barrier = new_barrier(PARTIES, 0);
            actors_start(doomed, dead);
            come_in_turn(doomed, dead, barrier);
            for (int i = 0; i < dead; i++) /* all at one time */
                role_stop(&doomed[i].role);
            for (int i = 0; i < dead; i++)
                actor_kill(&doomed[i]);
            for (int i = dead; i < PARTIES; i++) {
                const int rc = forms[form](barrier);
                if (rc != -ECANCELED && rc != -EAGAIN && rc != -ETIMEDOUT)
                    test_fail("form %d with %d dead: %d", form, dead, rc);
            }
            expect_rc(come(barrier), -ECANCELED);
            expect_broken(barrier);
            expect_rc(ipc_barrier_free(barrier), 0);
        }
    }
}

/* The death of one that waits alone for the last. */
static void t23_the_last_one_alone_does_not_pass(void)
{
    struct actor doomed;
    ipc_barrier *barrier = new_barrier(2, 0);
    for (int i = 0; i < 20; i++) {
        actor_start(&doomed);
        if (i % 2 != 0)
            expect_rc(actor_asks(&doomed, no_robust_list, NULL), 0);
        come_in_turn(&doomed, 1, barrier);
        actor_kill(&doomed);
        expect_rc(ipc_barrier_wait(barrier), -ECANCELED);
        expect_rc(ipc_barrier_reset(barrier), 0);
    }
    expect_rc(ipc_barrier_free(barrier), 0);
}

static int run_forever(void *arg)
{
    (void)arg;
    while (pause() != 0)
        continue;
    return 0;
}

static int come_and_die_in_action(void *arg)
{
    return ipc_barrier_wait_action(arg, run_forever, NULL, IPC_TIME_FOREVER);
}

/* By the re-check: those who sleep did so before it came. */
static void t23_the_last_one_dies_in_its_action_by_recheck(void)
{
    struct actor actors[PARTIES];
    ipc_barrier *barrier = new_barrier(PARTIES, 0);
    actors_start(actors, PARTIES);
    come_in_turn(actors, PARTIES - 1, barrier);
    actor_tell(&actors[PARTIES - 1], come_and_die_in_action, barrier);
    wait_until_blocked(actors[PARTIES - 1].role.pid, LIMIT_MS);
    for (int i = 0; i < PARTIES - 1; i++)
        actor_waits(&actors[i]);
    const int64_t start = test_now_ns();
    actor_kill(&actors[PARTIES - 1]);
    for (int i = 0; i < PARTIES - 1; i++)
        test_report("ms", told_after(&actors[i], -ECANCELED, start));
    expect_broken(barrier);
    actor_start(&actors[PARTIES - 1]);
    expect_rc(ipc_barrier_reset(barrier), 0);
    pass_together(actors, PARTIES, barrier);
    actors_end(actors, PARTIES);
    expect_rc(ipc_barrier_free(barrier), 0);
}

/* ---- deaths that nobody misses ---- */

static void who_dies_elsewhere_is_not_missed(void)
{
    struct actor actors[PARTIES];
    ipc_barrier *barrier = new_barrier(PARTIES, 0);
    actors_start(actors, PARTIES);
    pass_together(actors, PARTIES, barrier);
    come_in_turn(actors, PARTIES - 1, barrier);
    actor_kill(&actors[PARTIES - 1]);
    actor_goes_on_waiting(&actors[0]);
    actor_start(&actors[PARTIES - 1]); /* somebody else comes */
    expect_rc(actor_asks(&actors[PARTIES - 1], come, barrier), PARTIES - 1);
    expect_places(actors, PARTIES);
    actors_end(actors, PARTIES);
    expect_rc(ipc_barrier_free(barrier), 0);
}

static void stopped_is_not_dead(void)
{
    struct actor actors[2];
    ipc_barrier *barrier = new_barrier(2, 0);
    actors_start(actors, 2);
    come_in_turn(actors, 1, barrier);
    role_stop_outside(&actors[0].role, &barrier->guard_);
    wait_ms(RECHECK_MS);
    assert_false(ipc_barrier_is_broken(barrier));
    expect_rc(actor_asks(&actors[1], come, barrier), 1);
    role_cont(&actors[0].role);
    expect_rc(actor_result(&actors[0]), 0);
    actors_end(actors, 2);
    expect_rc(ipc_barrier_free(barrier), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(abort_sends_all_away),
    TEST_CASE(reset_makes_it_whole_and_empty),
    TEST_CASE(who_is_late_to_hear_of_a_reset_does_not_pass),
    TEST_CASE(who_is_late_to_go_on_has_passed),
    TEST_CASE(who_is_late_has_passed_whatever_came_after),
    TEST_CASE(one_that_gives_up_breaks_it_for_all),
    TEST_CASE(deadlines_are_kept),
    TEST_CASE(signals_do_not_end_the_wait),
    TEST_CASE(t23_the_others_are_told),
    TEST_CASE(t23_the_others_are_told_by_recheck),
    TEST_CASE(t23_who_comes_after_the_death_does_not_pass),
    TEST_CASE(t23_the_last_one_alone_does_not_pass),
    TEST_CASE(t23_the_last_one_dies_in_its_action_by_recheck),
    TEST_CASE(who_dies_elsewhere_is_not_missed),
    TEST_CASE(stopped_is_not_dead),
};
TEST_MAIN(cases)
