/* Deaths around a fair lock: of its owner, of those who wait in line, and of
 * one who was just handed the lock.  The others are served in their order. */
#include "unit/lock_fair_support.h"

#include "harness/scale.h"

enum {
    GUESTS = 5
};

/* ---- of those who wait ---- */

/* Returns how long after the release all had been served. */
static long kill_in_line(const char *who, const char *order, enum place place)
{
    struct fair fair;
    struct guest guests[GUESTS];
    make_fair_lock(&fair, place);
    struct line *line = new_line(&fair);
    expect_rc(ipc_lock_acquire(fair.lock), 0);
    send_guests(line, guests, GUESTS, false);
    for (const char *p = who; *p != '\0'; p++)
        (void)role_kill(&guests[*p - 'a'].role);
    const int64_t start = test_now_ns();
    expect_rc(ipc_lock_release(fair.lock), 0);
    see_off(guests, GUESTS);
    const long ms = to_ms(test_now_ns() - start);
    expect_served(line, order);
    for (const char *p = order; *p != '\0'; p++)
        assert_int_equal(line->of[*p - 'a'].rc, 0);
    end_fair(&fair);
    return ms;
}

static const struct {
    const char *killed;
    const char *served;
} deaths[] = {
    {"a", "bcde"}, {"c", "abde"}, {"e", "abcd"},
    {"bd", "ace"}, {"abcd", "e"}, {"abcde", ""},
};

static void who_dies_waiting_is_passed_over(void)
{
    long longest = 0;
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++) {
        const long ms =
            kill_in_line(deaths[i].killed, deaths[i].served, IN_FAMILY);
        if (ms > longest)
            longest = ms;
        (void)kill_in_line(deaths[i].killed, deaths[i].served, BY_NAME);
    }
    test_report("ms", longest);
    assert_true(longest < SLACK_MS);
}

/* In memory of nobody's a death is found in /proc. */
static void who_dies_waiting_is_passed_over_by_recheck(void)
{
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++) {
        const long ms =
            kill_in_line(deaths[i].killed, deaths[i].served, IN_OURS);
        assert_true(ms < GUESTS * RECHECK_MS + SLACK_MS);
    }
}

/* ---- of one who was handed the lock ---- */

/* It is stopped, so it has not run since it was chosen. */
static void kill_the_chosen(enum place place)
{
    struct fair fair;
    struct guest guests[3];
    make_fair_lock(&fair, place);
    struct line *line = new_line(&fair);
    expect_rc(ipc_lock_acquire(fair.lock), 0);
    send_guests(line, guests, 3, false);
    stop_guest(&guests[0]);
    expect_rc(ipc_lock_release(fair.lock), 0);
    assert_int_equal(line->count, 0);
    const int64_t start = test_now_ns();
    (void)role_kill(&guests[0].role);
    see_off(guests, 3);
    expect_served(line, "bc");
    assert_true(line->of[1].rc >= 0);
    assert_int_equal(line->of[2].rc, 0);
    const long ms = to_ms(line->of[1].got_ns - start);
    test_report(place == IN_FAMILY ? "family_ms" : "ours_ms", ms);
    assert_true(ms < RECHECK_MS + SLACK_MS);
    end_fair(&fair);
}

static void death_of_the_chosen_serves_the_next(void)
{
    kill_the_chosen(IN_FAMILY);
    kill_the_chosen(IN_OURS);
}

/* The line is as long as it can be, and all but its end die when it is their
 * turn: what they leave must not be taken for anything by who comes next. */
static void a_line_full_of_those_who_died_chosen_serves_the_rest(void)
{
    enum {
        PLACES_IN_LINE = 61,
        DOOMED = PLACES_IN_LINE - 2
    };
    struct fair fair;
    static struct guest guests[PLACES_IN_LINE + 1];
    make_fair_lock(&fair, IN_FAMILY);
    struct line *line = new_line(&fair);
    expect_rc(ipc_lock_acquire(fair.lock), 0);
    for (int i = 0; i < PLACES_IN_LINE + 1; i++)
        guests[i] = (struct guest){.line = line,
                                   .index = i < DOOMED ? i + 3 : i - DOOMED,
                                   .deadline = IPC_TIME_FOREVER};
    for (int i = 0; i < PLACES_IN_LINE; i++) {
        send_guest(&guests[i]);
        if (i < DOOMED)
            stop_guest(&guests[i]);
    }
    expect_rc(ipc_lock_release(fair.lock), 0);
    for (int i = 0; i < DOOMED - 1; i++) {
        (void)role_kill(&guests[i].role);
        expect_rc(ipc_lock_acquire_nowait(fair.lock), -EAGAIN); /* the next */
    }
    send_guest(&guests[PLACES_IN_LINE]);
    (void)role_kill(&guests[DOOMED - 1].role);
    see_off(guests + DOOMED, 3);
    expect_served(line, "abc");
    end_fair(&fair);
}

/* ---- of the owner ---- */

static void kill_the_owner(enum place place, const char *report)
{
    struct fair fair;
    struct role owner;
    struct guest guests[GUESTS];
    make_fair_lock(&fair, place);
    struct line *line = new_line(&fair);
    start_holder(&owner, stage_new(fair.lock));
    send_guests(line, guests, GUESTS, false);
    const int64_t start = test_now_ns();
    (void)role_kill(&owner);
    see_off(guests, GUESTS);
    expect_served(line, "abcde");
    assert_int_equal(line->of[0].rc, IPC_OWNER_DIED);
    for (int i = 1; i < GUESTS; i++)
        assert_int_equal(line->of[i].rc, 0);
    const long ms = to_ms(line->of[0].got_ns - start);
    test_report(report, ms);
    assert_true(ms < RECHECK_MS + SLACK_MS);
    end_fair(&fair);
}

static void first_in_line_is_told_of_the_owners_death(void)
{
    kill_the_owner(IN_FAMILY, "family_ms");
    kill_the_owner(IN_SEGMENT, "segment_ms");
}

static void first_in_line_is_told_of_the_owners_death_by_recheck(void)
{
    kill_the_owner(IN_OURS, "ms");
}

/* Two deaths: of the owner and of the first in line. */
static void owner_and_first_in_line_die(void)
{
    struct fair fair;
    struct role owner;
    struct guest guests[3];
    make_fair_lock(&fair, IN_FAMILY);
    struct line *line = new_line(&fair);
    start_holder(&owner, stage_new(fair.lock));
    send_guests(line, guests, 3, false);
    stop_guest(&guests[0]);
    (void)role_kill(&owner);
    (void)role_kill(&guests[0].role);
    see_off(guests, 3);
    expect_served(line, "bc");
    assert_int_equal(line->of[1].rc, IPC_OWNER_DIED);
    assert_int_equal(line->of[2].rc, 0);
    end_fair(&fair);
}

static void nobody_gets_what_was_given_up_until_it_is_reset(void)
{
    struct fair fair;
    struct role owner;
    struct guest guests[GUESTS];
    make_fair_lock(&fair, IN_FAMILY);
    struct line *line = new_line(&fair);
    line->careless = true;
    start_holder(&owner, stage_new(fair.lock));
    send_guests(line, guests, GUESTS, false);
    (void)role_kill(&owner);
    see_off(guests, GUESTS);
    assert_int_equal(line->count, 1); /* one was told, and gave it up */
    for (int i = 0; i < GUESTS; i++)
        assert_int_equal(line->of[i].rc, line->served[0] == 'a' + i
                                             ? IPC_OWNER_DIED
                                             : -ENOTRECOVERABLE);
    expect_rc(ipc_lock_acquire(fair.lock), -ENOTRECOVERABLE);
    expect_rc(ipc_lock_reset(fair.lock), 0);

    *line = (struct line){.fair = fair, .hold = 1};
    expect_rc(ipc_lock_acquire(fair.lock), 0);
    send_guests(line, guests, GUESTS, false);
    expect_rc(ipc_lock_release(fair.lock), 0);
    see_off(guests, GUESTS);
    expect_served(line, "abcde");
    end_fair(&fair);
}

static int repair(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static void repair_is_called_for_a_fair_lock_too(void)
{
    struct fair fair;
    int repairs = 0;
    make_fair_lock(&fair, IN_FAMILY);
    die_holding(fair.lock);
    expect_rc(ipc_lock_acquire_or_repair(fair.lock, IPC_TIME_FOREVER, repair,
                                         &repairs),
              IPC_OWNER_DIED);
    assert_int_equal(repairs, 1);
    expect_rc(ipc_lock_release(fair.lock), 0);
    end_fair(&fair);
}

/* ---- everything at random ---- */

enum fate {
    STAYS,
    DIES_WAITING,
    DIES_CHOSEN, /* stopped before its turn, and killed when it has come */
    TIMES_OUT,
    FATES
};

struct party {
    struct fair fair;
    struct line *line;
    struct guest guests[8];
    enum fate fates[8];
    int n;
};

static void invite(struct party *party, struct test_random *random)
{
    party->n = (int)test_random_between(random, 1, 8);
    for (int i = 0; i < party->n; i++) {
        party->fates[i] = (enum fate)test_random_between(random, 0, FATES - 1);
        party->guests[i] = (struct guest){
            .line = party->line,
            .index = i,
            .deadline = party->fates[i] == TIMES_OUT ? ipc_after_ms(60)
                                                     : IPC_TIME_FOREVER};
        send_guest(&party->guests[i]);
    }
}

static void have_the_party(struct party *party)
{
    for (int i = 0; i < party->n; i++) {
        struct role *role = &party->guests[i].role;
        if (party->fates[i] == TIMES_OUT)
            role_wait_ok(role, LIMIT_MS);
        else if (party->fates[i] == DIES_WAITING)
            (void)role_kill(role);
    }
    for (int i = 0; i < party->n; i++)
        if (party->fates[i] == DIES_CHOSEN)
            stop_guest(&party->guests[i]);
    expect_rc(ipc_lock_release(party->fair.lock), 0);
    for (int i = 0; i < party->n; i++) {
        struct role *role = &party->guests[i].role;
        if (party->fates[i] == STAYS)
            role_wait_ok(role, LIMIT_MS);
        else if (party->fates[i] == DIES_CHOSEN)
            (void)role_kill(role);
    }
}

static void random_lines_keep_their_order(void)
{
    struct test_random random = {test_seed()};
    struct party party;
    const long rounds = 25 * test_scale();
    make_fair_lock(&party.fair, IN_FAMILY);
    for (long round = 0; round < rounds; round++) {
        char expected[9] = "";
        party.line = new_line(&party.fair);
        expect_rc(ipc_lock_acquire(party.fair.lock), 0);
        invite(&party, &random);
        have_the_party(&party);
        size_t length = 0;
        for (int i = 0; i < party.n; i++) {
            if (party.fates[i] == STAYS)
                expected[length++] = (char)('a' + i);
            if (party.fates[i] == TIMES_OUT)
                assert_int_equal(party.line->of[i].rc, -ETIMEDOUT);
        }
        expect_served(party.line, expected);
        const int rc = ipc_lock_acquire(party.fair.lock);
        assert_true(rc >= 0); /* the last one may have died when chosen */
        if (rc == IPC_OWNER_DIED)
            expect_rc(ipc_lock_consistent(party.fair.lock), 0);
        expect_rc(ipc_lock_release(party.fair.lock), 0);
    }
    test_report("lines", rounds);
    end_fair(&party.fair);
}

static const struct test_case cases[] = {
    TEST_CASE(who_dies_waiting_is_passed_over),
    TEST_CASE(who_dies_waiting_is_passed_over_by_recheck),
    TEST_CASE(death_of_the_chosen_serves_the_next),
    TEST_CASE(a_line_full_of_those_who_died_chosen_serves_the_rest),
    TEST_CASE(first_in_line_is_told_of_the_owners_death),
    TEST_CASE(first_in_line_is_told_of_the_owners_death_by_recheck),
    TEST_CASE(owner_and_first_in_line_die),
    TEST_CASE(nobody_gets_what_was_given_up_until_it_is_reset),
    TEST_CASE(repair_is_called_for_a_fair_lock_too),
    TEST_CASE(random_lines_keep_their_order),
};
TEST_MAIN(cases)
