/* ipc_event: set, clear, is_set, and waiting in all forms. */
#include "unit/event_support.h"

#include "harness/faults.h"
#include "harness/scale.h"

#include <signal.h>

/* ---- what can be had at once ---- */

static void zero_filled_memory_is_an_event_that_is_not_set(void)
{
    static ipc_event event;
    assert_false(ipc_event_is_set(&event));
    expect_rc(ipc_event_wait_nowait(&event), -EAGAIN);
    expect_rc(ipc_event_clear(&event), 0);
    assert_false(ipc_event_is_set(&event));
}

static void set_and_clear(void)
{
    static ipc_event event;
    for (int i = 0; i < 5; i++) {
        expect_rc(ipc_event_set(&event), 0);
        expect_rc(ipc_event_set(&event), 0);
        assert_true(ipc_event_is_set(&event));
        expect_rc(ipc_event_clear(&event), 0);
        expect_rc(ipc_event_clear(&event), 0);
        assert_false(ipc_event_is_set(&event));
    }
    expect_rc(ipc_event_fini(&event), 0);
}

static void an_event_that_is_set_lets_all_forms_pass(void)
{
    static ipc_event event;
    expect_rc(ipc_event_set(&event), 0);
    for (int i = 0; i < 3; i++) { /* waiting does not clear it */
        expect_rc(ipc_event_wait(&event), 0);
        expect_rc(ipc_event_wait_nowait(&event), 0);
        expect_rc(ipc_event_wait_until(&event, ipc_after_ms(ANY_MS)), 0);
        expect_rc(ipc_event_wait_until(&event, IPC_TIME_FOREVER), 0);
        expect_rc(ipc_event_wait_until(&event, IPC_TIME_NOW), 0);
        expect_rc(ipc_event_wait_until(&event, -1), 0);
    }
    assert_true(ipc_event_is_set(&event));
}

/* ---- deadlines ---- */

static void expect_kept(ipc_event *event, int ms)
{
    const ipc_deadline deadline = ipc_after_ms(ms);
    expect_rc(ipc_event_wait_until(event, deadline), -ETIMEDOUT);
    const int64_t late = ipc_now() - deadline;
    assert_true(late >= 0);
    assert_true(late < SLACK_MS * NS_PER_MS);
}

static void deadlines_are_kept(void)
{
    static ipc_event event;
    static const ipc_deadline passed[] = {IPC_TIME_NOW, 1, -1, INT64_MIN};
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++)
        expect_rc(ipc_event_wait_until(&event, passed[i]), -ETIMEDOUT);
    expect_kept(&event, 1);
    expect_kept(&event, 30);
    expect_kept(&event, 250); /* longer than the re-check period */
}

static void signals_do_not_end_a_wait(void)
{
    static ipc_event event;
    storm_start(2000);
    expect_kept(&event, 150);
    test_report("signals", storm_stop());
}

static void the_detail_names_the_label(void)
{
    const ipc_event_options options = {sizeof options, 0, "green light"};
    ipc_event event;
    expect_rc(ipc_event_init(&event, &options), 0);
    expect_rc(ipc_event_wait_nowait(&event), -EAGAIN);
    expect_detail("event \"green light\"");
    expect_rc(ipc_event_wait_until(&event, IPC_TIME_NOW), -ETIMEDOUT);
    expect_detail("event \"green light\"");
}

/* ---- those who wait ---- */

static void all_go(int count, bool threads)
{
    struct crossing *crossing = new_crossing();
    struct car *cars = start_cars(crossing, count, threads);
    meet_signal(&crossing->go);
    expect_cars_wait(cars, count);
    assert_int_equal(crossing->back, 0);
    expect_rc(ipc_event_set(&crossing->event), 0);
    meet_wait(&crossing->back, (uint32_t)count, LIMIT_MS);
    assert_true(ipc_event_is_set(&crossing->event));
    end_cars(cars, count);
    free_crossing(crossing);
}

static void set_wakes_all_processes(void)
{
    all_go(4, false);
}

static void set_wakes_all_threads(void)
{
    all_go(4, true);
}

static void set_wakes_fifty_processes(void)
{
    all_go(50, false);
}

static void set_wakes_fifty_threads(void)
{
    all_go(50, true);
}

/* Set, and cleared before any of them has run: all who waited go on, and wait
 * again in the next round. */
static void pulses(bool threads)
{
    enum {
        CARS = 4
    };
    struct crossing *crossing = new_crossing();
    const uint32_t rounds = (uint32_t)(100 * test_scale());
    crossing->rounds = rounds;
    struct car *cars = start_cars(crossing, CARS, threads);
    for (uint32_t i = 1; i <= rounds; i++) {
        meet_signal(&crossing->go);
        expect_cars_wait(cars, CARS);
        expect_rc(ipc_event_set(&crossing->event), 0);
        expect_rc(ipc_event_clear(&crossing->event), 0);
        meet_wait(&crossing->back, i * CARS, LIMIT_MS);
        assert_false(ipc_event_is_set(&crossing->event));
    }
    test_report("pulses", (long long)rounds);
    end_cars(cars, CARS);
    free_crossing(crossing);
}

static void a_pulse_releases_all_processes_that_waited(void)
{
    pulses(false);
}

static void a_pulse_releases_all_threads_that_waited(void)
{
    pulses(true);
}

/* The count of pulses has run over. */
static void a_pulse_releases_when_the_count_begins_anew(void)
{
    struct crossing *crossing = new_crossing();
    crossing->event.word_ = 0x7ffffff8u; /* one before the last */
    crossing->rounds = 4;
    struct car *cars = start_cars(crossing, 2, false);
    for (uint32_t i = 1; i <= 4; i++) {
        meet_signal(&crossing->go);
        expect_cars_wait(cars, 2);
        expect_rc(ipc_event_set(&crossing->event), 0);
        expect_rc(ipc_event_clear(&crossing->event), 0);
        meet_wait(&crossing->back, 2 * i, LIMIT_MS);
        assert_false(ipc_event_is_set(&crossing->event));
    }
    assert_true(crossing->event.word_ < 0x100);
    end_cars(cars, 2);
    free_crossing(crossing);
}

/* Clearing an event that is not set wakes nobody, and spoils nothing. */
static void a_clear_does_not_disturb_those_who_wait(void)
{
    struct crossing *crossing = new_crossing();
    struct car *cars = start_cars(crossing, 3, false);
    meet_signal(&crossing->go);
    expect_cars_wait(cars, 3);
    for (int i = 0; i < 10; i++)
        expect_rc(ipc_event_clear(&crossing->event), 0);
    wait_ms(RECHECK_MS);
    expect_cars_wait(cars, 3);
    assert_int_equal(crossing->back, 0);
    expect_rc(ipc_event_set(&crossing->event), 0);
    end_cars(cars, 3);
    free_crossing(crossing);
}

static void a_setter_waits_for_nobody(void)
{
    struct crossing *crossing = new_crossing();
    struct car *cars = start_cars(crossing, 3, false);
    meet_signal(&crossing->go);
    expect_cars_wait(cars, 3);
    role_stop(&cars[0].role);
    (void)role_kill(&cars[1].role);
    expect_rc(ipc_event_set(&crossing->event), 0);
    expect_rc(ipc_event_clear(&crossing->event), 0);
    role_wait_ok(&cars[2].role, LIMIT_MS);
    assert_int_equal(crossing->back, 1);
    /* It waited when the event was set. */
    assert_int_equal(kill(cars[0].role.pid, SIGCONT), 0);
    role_wait_ok(&cars[0].role, LIMIT_MS);
    assert_int_equal(crossing->back, 2);
    expect_rc(ipc_shared_free(cars), 0);
    free_crossing(crossing);
}

/* ---- signal handlers ---- */

static ipc_event *set_by_signal;

static void set_event(int signal_number)
{
    (void)signal_number;
    if (!ipc_event_is_set(set_by_signal) && ipc_event_set(set_by_signal) != 0)
        _exit(1);
}

static void handle(int signal_number)
{
    const struct sigaction action = {.sa_handler = set_event};
    assert_int_equal(sigaction(signal_number, &action, NULL), 0);
}

static void signal_parent(void *arg)
{
    const ipc_event *event = arg;
    while (!asleep_on(getppid(), &event->word_))
        poll_pause();
    assert_int_equal(kill(getppid(), SIGUSR1), 0);
}

/* Set by the handler of a signal that comes to the very thread that waits. */
static void a_handler_sets_it_under_its_own_thread(void)
{
    struct crossing *crossing = new_crossing();
    set_by_signal = &crossing->event;
    handle(SIGUSR1);
    for (int i = 0; i < 20; i++) {
        struct role role;
        role_start(&role, signal_parent, &crossing->event);
        expect_rc(ipc_event_wait(&crossing->event), 0);
        role_wait_ok(&role, LIMIT_MS);
        expect_rc(ipc_event_clear(&crossing->event), 0);
    }
    free_crossing(crossing);
}

static void wait_and_signal(void *arg)
{
    set_by_signal = arg;
    handle(SIGUSR1);
    for (;;)
        (void)pause();
}

static void a_handler_wakes_others(void)
{
    struct crossing *crossing = new_crossing();
    struct car *cars = start_cars(crossing, 3, false);
    struct role role;
    meet_signal(&crossing->go);
    expect_cars_wait(cars, 3);
    role_start(&role, wait_and_signal, &crossing->event);
    wait_until_blocked(role.pid, LIMIT_MS);
    assert_int_equal(kill(role.pid, SIGUSR1), 0);
    end_cars(cars, 3);
    (void)role_kill(&role);
    free_crossing(crossing);
}

/* The handler interrupts set, clear and wait themselves. */
static void handlers_interrupt_everything(void)
{
    static ipc_event event;
    struct sigaction old;
    long passed = 0;
    set_by_signal = &event;
    storm_start(5000);
    assert_int_equal(sigaction(SIGALRM, NULL, &old), 0);
    handle(SIGALRM); /* the storm's own handler has to go */
    const int64_t end = test_now_ns() + 200 * NS_PER_MS;
    while (test_now_ns() < end) {
        expect_rc(ipc_event_wait_until(&event, ipc_after_ms(LIMIT_MS)), 0);
        expect_rc(ipc_event_clear(&event), 0);
        passed++;
    }
    assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
    (void)storm_stop();
    test_report("passed", passed);
    assert_true(passed > 10);
}

static const struct test_case cases[] = {
    TEST_CASE(zero_filled_memory_is_an_event_that_is_not_set),
    TEST_CASE(set_and_clear),
    TEST_CASE(an_event_that_is_set_lets_all_forms_pass),
    TEST_CASE(deadlines_are_kept),
    TEST_CASE(signals_do_not_end_a_wait),
    TEST_CASE(the_detail_names_the_label),
    TEST_CASE(set_wakes_all_processes),
    TEST_CASE(set_wakes_all_threads),
    TEST_CASE(set_wakes_fifty_processes),
    TEST_CASE(set_wakes_fifty_threads),
    TEST_CASE(a_pulse_releases_all_processes_that_waited),
    TEST_CASE(a_pulse_releases_all_threads_that_waited),
    TEST_CASE(a_pulse_releases_when_the_count_begins_anew),
    TEST_CASE(a_clear_does_not_disturb_those_who_wait),
    TEST_CASE(a_setter_waits_for_nobody),
    TEST_CASE(a_handler_sets_it_under_its_own_thread),
    TEST_CASE(a_handler_wakes_others),
    TEST_CASE(handlers_interrupt_everything),
};
TEST_MAIN(cases)
