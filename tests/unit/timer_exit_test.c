/* Timers at the end of their process, and in its children. */
#include "unit/thread_support.h"

#include <sys/wait.h>

#include <ipc/process.h>
#include <ipc/timer.h>

struct program {
    uint32_t runs;    /* of timers that are waited for */
    uint32_t daemons; /* runs of those that are not */
    uint32_t begun;
    uint32_t go;
    int32_t rc[4];
};

static struct program *here;

static void count(void *arg)
{
    say(arg);
}

static ipc_timer timers[8];

static void start_timer(int i, ipc_deadline when, void (*fn)(void *arg),
                        void *arg, bool daemon)
{
    const ipc_timer_options options = {.size = sizeof options,
                                       .daemon = daemon};
    CHECK(ipc_timer_start(&timers[i], when, fn, arg, &options), 0);
}

static int status_of(void (*fn)(void *), struct program *program)
{
    struct role role;
    role_start(&role, fn, program);
    return role_wait_dead(&role, LIMIT_MS);
}

/* ---- the end of the process ---- */

static void wait_and_count(void *arg)
{
    say(&here->begun);
    ipc_sleep_until(ipc_after_ms(20));
    count(arg);
}

static int start_some(void *arg)
{
    here = arg;
    start_timer(0, ipc_after_ms(30), count, &here->runs, false);
    start_timer(1, ipc_after_ms(5), wait_and_count, &here->runs, false);
    start_timer(2, ipc_after_s(1000), count, &here->daemons, true);
    start_timer(3, IPC_TIME_FOREVER, count, &here->daemons, false);
    meet_wait(&here->begun, 1, LIMIT_MS);
    return 6;
}

static void start_some_and_exit(void *arg)
{
    leave(start_some(arg));
}

static void pending_timers_are_waited_for(void)
{
    struct program *program = test_shared(sizeof *program);
    assert_int_equal(status_of(start_some_and_exit, program), 6 << 8);
    assert_int_equal(program->runs, 2);
    assert_int_equal(program->daemons, 0);
    program = test_shared(sizeof *program);
    assert_int_equal(run(start_some, program), 6);
    assert_int_equal(program->runs, 2);
    assert_int_equal(program->daemons, 0);
}

/* A timer starts a thread, which starts a timer, and so on. */
static int thread_in_between(void *unused);

static void timer_in_between(void *arg)
{
    static ipc_thread t[8];
    if (here->runs < 8)
        start_thread(&t[here->runs], thread_in_between, arg);
    say(&here->runs);
}

static int thread_in_between(void *unused)
{
    const uint32_t runs = __atomic_load_n(&here->runs, __ATOMIC_ACQUIRE);
    start_timer((int)runs % 8, ipc_after_ms(1), timer_in_between, unused,
                false);
    return 0;
}

static int begin_the_game(void *arg)
{
    here = arg;
    start_timer(0, IPC_TIME_NOW, timer_in_between, NULL, false);
    return 3;
}

static void timers_and_threads_in_turn(void)
{
    struct program *program = test_shared(sizeof *program);
    assert_int_equal(run(begin_the_game, program), 3);
    assert_int_equal(program->runs, 9);
}

static void cancel_then_end(void *arg)
{
    here = arg;
    start_timer(0, ipc_after_s(1000), count, &here->runs, false);
    CHECK(ipc_timer_cancel(&timers[0]), 0);
    leave(2);
}

static int cancel_later(void *unused)
{
    (void)unused;
    ipc_sleep_until(ipc_after_ms(20));
    CHECK(ipc_timer_cancel(&timers[0]), 0);
    return sleep_for_good(NULL);
}

static void cancel_during_the_end(void *arg)
{
    static ipc_thread t;
    here = arg;
    const ipc_timer_options repeating = {.size = sizeof repeating,
                                         .period_ns = 1000000};
    CHECK(ipc_timer_start(&timers[0], IPC_TIME_NOW, count, &here->runs,
                          &repeating),
          0);
    start_daemon_thread(&t, cancel_later, NULL);
    leave(2);
}

static void cancelled_timers_are_not_waited_for(void)
{
    struct program *program = test_shared(sizeof *program);
    assert_int_equal(status_of(cancel_then_end, program), 2 << 8);
    assert_int_equal(program->runs, 0);
    assert_int_equal(status_of(cancel_during_the_end, program), 2 << 8);
    assert_true(program->runs > 0);
}

/* ---- exit() in a callback ---- */

static int join_timers(void *unused)
{
    (void)unused;
    here->rc[0] = ipc_timer_join(&timers[0]); /* its callback is in exit() */
    here->rc[1] = ipc_timer_join(&timers[1]); /* cannot run any more */
    here->rc[2] = ipc_timer_cancel(&timers[1]);
    here->rc[3] = ipc_timer_cancel(&timers[0]); /* does not wait */
    say(&here->runs);
    return 0;
}

static void exit_in_callback(void *joiner)
{
    wait_until_sleeping(ipc_thread_native_id(joiner), LIMIT_MS);
    leave(8);
}

static void exit_in_the_timers_thread(void *arg)
{
    static ipc_thread t;
    here = arg;
    start_timer(1, ipc_after_s(1000), count, &here->runs, false);
    CHECK(ipc_thread_init(&t, join_timers, NULL, NULL), 0);
    start_timer(0, ipc_after_ms(20), exit_in_callback, &t, false);
    CHECK(ipc_thread_start(&t), 0);
    sleep_for_good(NULL);
}

/* It waits for threads, but not for timers, as it is their thread itself. */
static void callback_may_end_the_process(void)
{
    struct program *program = test_shared(sizeof *program);
    assert_int_equal(status_of(exit_in_the_timers_thread, program), 8 << 8);
    assert_int_equal(program->rc[0], -EDEADLK);
    assert_int_equal(program->rc[1], -EDEADLK);
    assert_int_equal(program->rc[2], 0);
    assert_int_equal(program->rc[3], -EALREADY);
    assert_int_equal(program->runs, 1);
}

/* A callback is waited for, and so waits for nobody who waits for it. */
static ipc_thread leaver;

static void join_the_leaver(void *unused)
{
    (void)unused;
    say(&here->begun);
    here->rc[0] = ipc_thread_join(&leaver);
    say(&here->runs);
}

static int exit_now(void *unused)
{
    (void)unused;
    meet_wait(&here->begun, 1, LIMIT_MS);
    leave(8);
}

static void join_in_a_callback(void *arg)
{
    here = arg;
    start_thread(&leaver, exit_now, NULL);
    start_timer(0, IPC_TIME_NOW, join_the_leaver, NULL, false);
    sleep_for_good(NULL);
}

static void callback_is_told_that_it_is_waited_for(void)
{
    struct program *program = test_shared(sizeof *program);
    assert_int_equal(status_of(join_in_a_callback, program), 8 << 8);
    assert_int_equal(program->rc[0], -EDEADLK);
    assert_int_equal(program->runs, 1);
}

/* ---- children ---- */

static int use_parents_timers(void *unused)
{
    (void)unused;
    for (int i = 0; i < 2; i++) {
        CHECK(ipc_timer_cancel(&timers[i]), -ECHILD);
        assert_true(strlen(ipc_error_detail()) > 0);
        CHECK(ipc_timer_join(&timers[i]), -ECHILD);
        CHECK(ipc_timer_join_nowait(&timers[i]), -ECHILD);
        assert_false(ipc_timer_is_pending(&timers[i]));
        assert_false(ipc_timer_is_alive(&timers[i]));
    }
    /* Its own work. */
    uint32_t runs = 0;
    start_timer(0, IPC_TIME_NOW, count, &runs, false);
    CHECK(ipc_timer_join(&timers[0]), 0);
    start_timer(1, ipc_after_ms(1), count, &runs, false);
    CHECK(ipc_timer_join(&timers[1]), 0);
    assert_int_equal(runs, 2);
    return 0;
}

static void use_them_in_a_plain_fork(void *unused)
{
    (void)use_parents_timers(unused);
}

static void children_have_none_of_the_parents_timers(void)
{
    uint32_t runs = 0;
    start_timer(0, ipc_after_s(1000), count, &runs, false);
    start_timer(1, IPC_TIME_NOW, count, &runs, false);
    CHECK(ipc_timer_join(&timers[1]), 0);
    for (int i = 0; i < 3; i++) {
        struct role role;
        assert_int_equal(run(use_parents_timers, NULL), 0);
        role_start(&role, use_them_in_a_plain_fork, NULL);
        role_wait_ok(&role, LIMIT_MS);
    }
    CHECK(ipc_timer_cancel(&timers[0]), 0);
    assert_int_equal(runs, 1);
}

static const struct test_case cases[] = {
    TEST_CASE(pending_timers_are_waited_for),
    TEST_CASE(timers_and_threads_in_turn),
    TEST_CASE(cancelled_timers_are_not_waited_for),
    TEST_CASE(callback_may_end_the_process),
    TEST_CASE(callback_is_told_that_it_is_waited_for),
    TEST_CASE(children_have_none_of_the_parents_timers),
};
TEST_MAIN(cases)
