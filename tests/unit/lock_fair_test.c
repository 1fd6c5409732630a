/* Fair locks: who comes first is served first, whoever waits, wherever the
 * lock lies; and nobody barges in. */
#include "unit/lock_fair_support.h"

#include "harness/faults.h"

#include <signal.h>

enum {
    GUESTS = 6,
    PLACES_IN_LINE = 61,
    CROWD = 80
};

/* ---- first come, first served ---- */

static void six_in_order(struct fair *fair, bool as_threads)
{
    struct guest guests[GUESTS];
    struct line *line = new_line(fair);
    expect_rc(fair_acquire(fair, IPC_TIME_FOREVER), 0);
    send_guests(line, guests, GUESTS, as_threads);
    assert_int_equal(line->count, 0);
    expect_rc(fair_release(fair), 0);
    see_off(guests, GUESTS);
    expect_served(line, "abcdef");
    for (int i = 0; i < GUESTS; i++)
        assert_int_equal(line->of[i].rc, 0);
    assert_false(ipc_lock_is_held(lock_of(fair)));
}

static void in_all_places(bool as_threads)
{
    for (enum place place = IN_FAMILY; place < PLACES; place++) {
        struct fair fair;
        make_fair_lock(&fair, place);
        six_in_order(&fair, as_threads);
        end_fair(&fair);
        make_fair_rlock(&fair, place);
        six_in_order(&fair, as_threads);
        end_fair(&fair);
    }
}

static void threads_are_served_in_order(void)
{
    in_all_places(true);
}

static void processes_are_served_in_order(void)
{
    in_all_places(false);
}

static void threads_and_processes_stand_in_one_line(void)
{
    struct fair fair;
    struct guest guests[GUESTS];
    make_fair_lock(&fair, IN_FAMILY);
    struct line *line = new_line(&fair);
    expect_rc(fair_acquire(&fair, IPC_TIME_FOREVER), 0);
    for (int i = 0; i < GUESTS; i++) {
        guests[i] = (struct guest){.line = line,
                                   .index = i,
                                   .deadline = IPC_TIME_FOREVER,
                                   .is_thread = i % 2 == 0};
        send_guest(&guests[i]);
    }
    expect_rc(fair_release(&fair), 0);
    see_off(guests, GUESTS);
    expect_served(line, "abcdef");
    end_fair(&fair);
}

/* ---- a lock that each of them opens by its name ---- */

static void open_and_be_served(void *arg)
{
    struct guest *guest = arg;
    struct guest mine = *guest;
    struct line *line = guest->line;
    ipc_lock *lock = NULL;
    expect_rc(ipc_lock_open("fair-lock", &lock), 0);
    __atomic_store_n(&line->of[mine.index].tid, gettid(), __ATOMIC_SEQ_CST);
    meet_signal(&line->come);
    expect_rc(ipc_lock_acquire(lock), 0);
    note_served(line, (char)('a' + mine.index));
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_close(lock), 0);
}

static void those_who_open_it_by_name_stand_in_line(void)
{
    struct fair fair;
    struct guest guests[GUESTS];
    make_fair_lock(&fair, BY_NAME);
    struct line *line = new_line(&fair);
    expect_rc(ipc_lock_acquire(fair.lock), 0);
    for (int i = 0; i < GUESTS; i++) {
        guests[i] = (struct guest){.line = line, .index = i};
        role_start(&guests[i].role, open_and_be_served, &guests[i]);
        meet_wait(&line->come, (uint32_t)i + 1, LIMIT_MS);
        wait_until_in_line(fair.lock, guests[i].role.pid, guests[i].deadline);
    }
    expect_rc(ipc_lock_release(fair.lock), 0);
    see_off(guests, GUESTS);
    expect_served(line, "abcdef");
    end_fair(&fair);
}

/* Who opens or creates it gets what there is, fair or not. */
static void a_name_keeps_the_kind_that_it_was_made_with(void)
{
    struct fair fair;
    ipc_lock *plain = NULL, *again = NULL;
    const ipc_lock_options options = fair_options();
    make_fair_lock(&fair, BY_NAME);
    expect_rc(ipc_lock_open_or_create(fair.name, NULL, &again), 0);
    assert_true(again->line_ != 0);
    expect_rc(ipc_lock_close(again), 0);
    end_fair(&fair);

    expect_rc(ipc_lock_create("plain", NULL, &plain), 0);
    expect_rc(ipc_lock_open_or_create("plain", &options, &again), 0);
    assert_true(again->line_ == 0);
    expect_rc(ipc_lock_acquire(again), 0);
    expect_rc(ipc_lock_release(plain), 0);
    expect_rc(ipc_lock_close(again), 0);
    expect_rc(ipc_lock_close(plain), 0);
    expect_rc(ipc_lock_unlink("plain"), 0);
}

/* ---- no barging ---- */

static void release_and_come_back(struct fair *fair, bool as_threads)
{
    struct guest guests[GUESTS];
    struct line *line = new_line(fair);
    expect_rc(fair_acquire(fair, IPC_TIME_FOREVER), 0);
    send_guests(line, guests, GUESTS, as_threads);
    expect_rc(fair_release(fair), 0);
    expect_rc(fair_acquire(fair, ipc_after_ms(LIMIT_MS)), 0);
    note_served(line, 'Z');
    expect_rc(fair_release(fair), 0);
    see_off(guests, GUESTS);
    expect_served(line, "abcdefZ");
}

static void who_releases_goes_behind_those_who_wait(void)
{
    struct fair fair;
    make_fair_lock(&fair, IN_FAMILY);
    release_and_come_back(&fair, true);
    release_and_come_back(&fair, false);
    end_fair(&fair);
    make_fair_rlock(&fair, IN_FAMILY);
    release_and_come_back(&fair, true);
    release_and_come_back(&fair, false);
    end_fair(&fair);
}

/* The first in line cannot run.  How often did somebody else get the lock? */
static int barge_past_the_stopped(struct fair *fair, struct line *line)
{
    struct guest guests[2];
    int barged = 0;
    expect_rc(fair_acquire(fair, IPC_TIME_FOREVER), 0);
    send_guests(line, guests, 2, false);
    stop_guest(&guests[0]);
    expect_rc(fair_release(fair), 0);
    for (int i = 0; i < 3; i++) {
        const int rc = fair_acquire(fair, i == 2 ? ipc_after_ms(RECHECK_MS + 50)
                                                 : IPC_TIME_NOW);
        if (rc == 0) {
            barged++;
            expect_rc(fair_release(fair), 0);
            continue;
        }
        expect_rc(rc, i == 2 ? -ETIMEDOUT : -EAGAIN);
        expect_detail("fair");
    }
    assert_int_equal(kill(guests[0].role.pid, SIGCONT), 0);
    see_off(guests, 2);
    return barged;
}

static void nobody_overtakes_one_who_is_stopped(void)
{
    struct fair fair;
    make_fair_lock(&fair, IN_FAMILY);
    struct line *line = new_line(&fair);
    assert_int_equal(barge_past_the_stopped(&fair, line), 0);
    expect_served(line, "ab");
    end_fair(&fair);
}

static void an_unfair_lock_is_seen_to_let_others_barge(void)
{
    struct fair fair = {.lock = new_lock("unfair")};
    struct line *line = new_line(&fair);
    const int barged = barge_past_the_stopped(&fair, line);
    test_report("barged", barged);
    assert_true(barged > 0);
    expect_rc(ipc_lock_free(fair.lock), 0);
}

/* ---- deadlines ---- */

static void time_out_at(int who, const char *order, bool as_threads)
{
    struct fair fair;
    struct guest guests[5];
    make_fair_lock(&fair, IN_FAMILY);
    struct line *line = new_line(&fair);
    expect_rc(ipc_lock_acquire(fair.lock), 0);
    for (int i = 0; i < 5; i++) {
        guests[i] = (struct guest){.line = line,
                                   .index = i,
                                   .deadline = i == who ? ipc_after_ms(150)
                                                        : IPC_TIME_FOREVER,
                                   .is_thread = as_threads};
        send_guest(&guests[i]);
    }
    see_off(&guests[who], 1);
    assert_int_equal(line->of[who].rc, -ETIMEDOUT);
    guests[who] = (struct guest){.is_thread = false};
    expect_rc(ipc_lock_release(fair.lock), 0);
    see_off(guests, 5);
    expect_served(line, order);
    end_fair(&fair);
}

static void who_times_out_leaves_the_line(void)
{
    time_out_at(0, "bcde", true);
    time_out_at(2, "abde", true);
    time_out_at(4, "abcd", true);
    time_out_at(0, "bcde", false);
    time_out_at(2, "abde", false);
    time_out_at(4, "abcd", false);
}

static void all_time_out_and_the_line_is_empty(void)
{
    struct fair fair;
    struct guest guests[GUESTS];
    make_fair_lock(&fair, IN_FAMILY);
    struct line *line = new_line(&fair);
    expect_rc(ipc_lock_acquire(fair.lock), 0);
    const ipc_deadline deadline = ipc_after_ms(150);
    for (int i = 0; i < GUESTS; i++) {
        guests[i] = (struct guest){
            .line = line, .index = i, .deadline = deadline, .is_thread = true};
        send_guest(&guests[i]);
    }
    see_off(guests, GUESTS);
    for (int i = 0; i < GUESTS; i++)
        assert_int_equal(line->of[i].rc, -ETIMEDOUT);
    expect_rc(ipc_lock_release(fair.lock), 0);
    expect_rc(ipc_lock_acquire_nowait(fair.lock), 0);
    expect_rc(ipc_lock_release(fair.lock), 0);
    end_fair(&fair);
}

/* The one who releases at the very moment of the deadline. */
static void a_deadline_at_the_hand_over_gives_the_lock_or_not(void)
{
    struct fair fair;
    long timed_out = 0;
    make_fair_lock(&fair, IN_FAMILY);
    for (int i = 0; i < 60; i++) {
        struct guest guests[2];
        struct line *line = new_line(&fair);
        expect_rc(ipc_lock_acquire(fair.lock), 0);
        const ipc_deadline deadline = ipc_after_ms(8);
        guests[0] = (struct guest){
            .line = line, .deadline = deadline, .is_thread = true};
        guests[1] = (struct guest){.line = line,
                                   .index = 1,
                                   .deadline = IPC_TIME_FOREVER,
                                   .is_thread = true};
        assert_int_equal(pthread_create(&guests[0].thread, NULL,
                                        be_served_as_thread, &guests[0]),
                         0);
        meet_wait(&line->come, 1, LIMIT_MS);
        assert_int_equal(pthread_create(&guests[1].thread, NULL,
                                        be_served_as_thread, &guests[1]),
                         0);
        ipc_sleep_until(deadline - 100000 + INT64_C(5000) * i);
        expect_rc(ipc_lock_release(fair.lock), 0);
        see_off(guests, 2);
        const int rc = line->of[0].rc;
        assert_true(rc == 0 || rc == -ETIMEDOUT);
        assert_int_equal(line->of[1].rc, 0);
        assert_int_equal(line->count, rc == 0 ? 2 : 1);
        timed_out += rc != 0;
        assert_false(ipc_lock_is_held(fair.lock));
    }
    test_report("timed_out", timed_out);
    end_fair(&fair);
}

/* ---- more than there is room for ---- */

static void crowd(bool as_threads)
{
    struct fair fair;
    static struct guest guests[CROWD];
    make_fair_lock(&fair, IN_FAMILY);
    struct line *line = new_line(&fair);
    expect_rc(ipc_lock_acquire(fair.lock), 0);
    send_guests(line, guests, CROWD, as_threads);
    const int64_t start = test_now_ns();
    expect_rc(ipc_lock_release(fair.lock), 0);
    see_off(guests, CROWD);
    test_report(as_threads ? "threads_ms" : "processes_ms",
                to_ms(test_now_ns() - start));
    assert_int_equal(line->count, CROWD);
    bool seen[CROWD] = {false};
    for (int i = 0; i < CROWD; i++) {
        const int who = (unsigned char)line->served[i] - 'a';
        if (i < PLACES_IN_LINE)
            assert_int_equal(who, i);
        assert_in_range(who, 0, CROWD - 1);
        assert_false(seen[who]);
        seen[who] = true;
    }
    end_fair(&fair);
}

static void eighty_threads_wait(void)
{
    crowd(true);
}

static void eighty_processes_wait(void)
{
    crowd(false);
}

/* ---- nobody waits ---- */

static void a_free_fair_lock_takes_no_system_call(void)
{
    struct fair fair;
    make_fair_lock(&fair, IN_FAMILY);
    expect_rc(ipc_lock_acquire(fair.lock), 0);
    expect_rc(ipc_lock_release(fair.lock), 0);
    fault_syscall_nth(SYS_futex, 0, 0);
    for (int i = 0; i < 100; i++) {
        expect_rc(ipc_lock_acquire(fair.lock), 0);
        expect_rc(ipc_lock_release(fair.lock), 0);
    }
    assert_int_equal(fault_syscall_count(), 0);
    end_fair(&fair);
}

/* ---- what an rlock and a condition do with it ---- */

static void owner_goes_deeper_while_others_wait(void)
{
    struct fair fair;
    struct guest guests[3];
    make_fair_rlock(&fair, IN_FAMILY);
    struct line *line = new_line(&fair);
    expect_rc(ipc_rlock_acquire(fair.rlock), 0);
    send_guests(line, guests, 3, false);
    expect_rc(ipc_rlock_acquire(fair.rlock), 0);
    expect_rc(ipc_rlock_acquire_nowait(fair.rlock), 0);
    expect_rc(ipc_rlock_acquire_until(fair.rlock, ipc_after_ms(10)), 0);
    for (uint32_t depth = 4; depth > 1; depth--) {
        assert_int_equal(ipc_rlock_depth(fair.rlock), depth);
        expect_rc(ipc_rlock_release(fair.rlock), 0);
    }
    assert_int_equal(line->count, 0);
    expect_rc(ipc_rlock_release(fair.rlock), 0);
    see_off(guests, 3);
    expect_served(line, "abc");
    end_fair(&fair);
}

static void the_detail_names_the_owner(void)
{
    struct fair fair;
    struct stage *stage = test_shared(sizeof *stage);
    struct role role;
    char pid[32];
    make_fair_lock(&fair, IN_FAMILY);
    stage->lock = fair.lock;
    role_start(&role, hold_until_go, stage);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    (void)snprintf(pid, sizeof pid, "pid %d", (int)role.pid);
    expect_rc(ipc_lock_acquire_nowait(fair.lock), -EAGAIN);
    expect_detail("\"fair\"");
    expect_detail(pid);
    expect_rc(ipc_lock_acquire_until(fair.lock, ipc_after_ms(5)), -ETIMEDOUT);
    expect_detail(pid);
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    expect_rc(ipc_lock_owner(fair.lock, &holder), 0);
    assert_int_equal(holder.pid, role.pid);
    assert_true(holder.alive);
    expect_rc(ipc_lock_fini(fair.lock), -EBUSY);
    expect_rc(ipc_lock_free(fair.lock), -EBUSY);
    expect_detail(pid);
    meet_signal(&stage->go);
    role_wait_ok(&role, LIMIT_MS);
    end_fair(&fair);
}

static const struct test_case cases[] = {
    TEST_CASE(threads_are_served_in_order),
    TEST_CASE(processes_are_served_in_order),
    TEST_CASE(threads_and_processes_stand_in_one_line),
    TEST_CASE(those_who_open_it_by_name_stand_in_line),
    TEST_CASE(a_name_keeps_the_kind_that_it_was_made_with),
    TEST_CASE(who_releases_goes_behind_those_who_wait),
    TEST_CASE(nobody_overtakes_one_who_is_stopped),
    TEST_CASE(an_unfair_lock_is_seen_to_let_others_barge),
    TEST_CASE(who_times_out_leaves_the_line),
    TEST_CASE(all_time_out_and_the_line_is_empty),
    TEST_CASE(a_deadline_at_the_hand_over_gives_the_lock_or_not),
    TEST_CASE(eighty_threads_wait),
    TEST_CASE(eighty_processes_wait),
    TEST_CASE(a_free_fair_lock_takes_no_system_call),
    TEST_CASE(owner_goes_deeper_while_others_wait),
    TEST_CASE(the_detail_names_the_owner),
};
TEST_MAIN(cases)
