/* What callbacks may do, repeating timers, bad use. */
#include "unit/thread_support.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#include <ipc/process.h>
#include <ipc/timer.h>

#include "harness/faults.h"

/* ---- repeating ---- */

enum {
    MAX_RUNS = 12
};

struct repeater {
    ipc_timer timer;
    uint32_t runs;
    int stop_after;
    int64_t sleep_ns;
    int64_t at[MAX_RUNS];
    int cancel_rc;
};

static void repeat(void *arg)
{
    struct repeater *self = arg;
    if (self->runs < MAX_RUNS)
        self->at[self->runs] = ipc_now();
    if (self->sleep_ns != 0 && self->runs == 0)
        ipc_sleep_until(ipc_after_ns(self->sleep_ns));
    if ((int)self->runs + 1 == self->stop_after)
        self->cancel_rc = ipc_timer_cancel(&self->timer);
    say(&self->runs);
}

static void repeating_timer_runs_until_it_is_cancelled(void)
{
    const int64_t period = 5000000;
    const ipc_timer_options options = {.size = sizeof options,
                                       .period_ns = period};
    struct repeater self = {.stop_after = 6, .cancel_rc = 1};
    const ipc_deadline first = ipc_after_ms(5);
    CHECK(ipc_timer_start(&self.timer, first, repeat, &self, &options), 0);
    CHECK(ipc_timer_join_until(&self.timer, ipc_after_ms(LIMIT_MS)), 0);
    assert_int_equal(self.cancel_rc, 0);
    assert_int_equal(self.runs, 6);
    for (int i = 0; i < 6; i++) /* never early, whatever went before */
        assert_true(self.at[i] >= first + i * period);
    CHECK(ipc_timer_cancel(&self.timer), -EALREADY);
    ipc_sleep_until(ipc_after_ns(3 * period));
    assert_int_equal(self.runs, 6);
}

/* What was missed does not come all at once. */
static void missed_periods_are_left_out(void)
{
    const int64_t period = 4000000;
    const ipc_timer_options options = {.size = sizeof options,
                                       .period_ns = period};
    struct repeater self = {.stop_after = 4, .sleep_ns = 10 * period};
    const ipc_deadline first = ipc_now();
    CHECK(ipc_timer_start(&self.timer, first, repeat, &self, &options), 0);
    CHECK(ipc_timer_join_until(&self.timer, ipc_after_ms(LIMIT_MS)), 0);
    assert_int_equal(self.runs, 4);
    assert_true(self.at[1] >= first + 10 * period);
    for (int i = 2; i < 4; i++) {
        /* Each in a period of its own. */
        assert_true((self.at[i] - first) / period >
                    (self.at[i - 1] - first) / period);
    }
}

static void period_without_end(void)
{
    const ipc_timer_options options = {.size = sizeof options,
                                       .period_ns = INT64_MAX};
    struct repeater self = {.stop_after = 0};
    CHECK(ipc_timer_start(&self.timer, IPC_TIME_NOW, repeat, &self, &options),
          0);
    meet_wait(&self.runs, 1, LIMIT_MS);
    CHECK(ipc_timer_join_until(&self.timer, ipc_after_ms(5)), -ETIMEDOUT);
    assert_true(ipc_timer_is_pending(&self.timer));
    CHECK(ipc_timer_cancel(&self.timer), 0);
    assert_int_equal(self.runs, 1);
}

/* ---- callbacks and timers ---- */

struct actor {
    ipc_timer timer, other;
    uint32_t runs;
    int rc[8];
};

static void count(void *arg)
{
    say(&((struct actor *)arg)->runs);
}

static void start_again(void *arg)
{
    struct actor *self = arg;
    self->rc[0] = ipc_timer_is_alive(&self->timer);
    self->rc[1] = ipc_timer_is_pending(&self->timer);
    if (self->runs < 10)
        self->rc[2] |= ipc_timer_start(&self->timer, ipc_after_us(50),
                                       start_again, self, NULL);
    say(&self->runs);
}

static void callback_starts_its_own_timer(void)
{
    struct actor self = {.runs = 0};
    CHECK(ipc_timer_start(&self.timer, IPC_TIME_NOW, start_again, &self, NULL),
          0);
    CHECK(ipc_timer_join_until(&self.timer, ipc_after_ms(LIMIT_MS)), 0);
    assert_int_equal(self.runs, 11);
    assert_int_equal(self.rc[0], 1);
    assert_int_equal(self.rc[1], 0);
    assert_int_equal(self.rc[2], 0);
}

static void act(void *arg)
{
    struct actor *self = arg;
    self->rc[0] = ipc_timer_join(&self->timer);
    self->rc[1] = ipc_timer_join_nowait(&self->timer);
    self->rc[2] = ipc_timer_join(&self->other);
    self->rc[3] = ipc_timer_join_until(&self->other, ipc_after_ms(1));
    self->rc[4] = ipc_timer_cancel(&self->other);
    self->rc[5] = ipc_timer_join(&self->other);
    self->rc[6] = ipc_timer_cancel(&self->timer);
    self->rc[7] =
        ipc_timer_start(&self->other, IPC_TIME_NOW, count, self, NULL);
}

static void callback_waits_for_no_timer(void)
{
    static const int expected[] = {-EDEADLK, -EAGAIN, -EDEADLK,  -EDEADLK,
                                   0,        0,       -EALREADY, 0};
    struct actor self = {.runs = 0};
    CHECK(ipc_timer_start(&self.other, IPC_TIME_FOREVER, count, &self, NULL),
          0);
    CHECK(ipc_timer_start(&self.timer, IPC_TIME_NOW, act, &self, NULL), 0);
    CHECK(ipc_timer_join_until(&self.timer, ipc_after_ms(LIMIT_MS)), 0);
    CHECK(ipc_timer_join_until(&self.other, ipc_after_ms(LIMIT_MS)), 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(self.rc[i], expected[i]);
    assert_int_equal(self.runs, 1);
}

static uint32_t freed;

static void free_it(void *timer)
{
    memset(timer, 0xee, sizeof(ipc_timer));
    free(timer);
    say(&freed);
}

static void free_it_after_cancel(void *timer)
{
    CHECK(ipc_timer_cancel(timer), 0);
    free_it(timer);
}

static ipc_timer *new_timer(void)
{
    ipc_timer *timer = calloc(1, sizeof *timer);
    if (timer == NULL)
        test_fail("no memory");
    return timer;
}

static void callback_frees_its_timer(void)
{
    const ipc_timer_options repeating = {.size = sizeof repeating,
                                         .period_ns = 100};
    for (uint32_t i = 0; i < 100; i += 2) {
        ipc_timer *a = new_timer(), *b = new_timer();
        CHECK(ipc_timer_start(a, ipc_after_us(i), free_it, a, NULL), 0);
        CHECK(ipc_timer_start(b, ipc_after_us(i), free_it_after_cancel, b,
                              &repeating),
              0);
        meet_wait(&freed, i + 2, LIMIT_MS);
    }
}

/* ---- callbacks that do not come back ---- */

static void leave_the_thread(void *arg)
{
    say(arg);
    pthread_exit(NULL);
}

static void callback_that_ends_the_thread_does_not_stop_the_others(void)
{
    struct actor others[3] = {{.runs = 0}, {.runs = 0}, {.runs = 0}};
    ipc_timer timer = {.state_ = 0};
    uint32_t left = 0;
    for (int i = 0; i < 3; i++)
        CHECK(ipc_timer_start(&others[i].timer, ipc_after_ms(20 + i), count,
                              &others[i], NULL),
              0);
    CHECK(ipc_timer_start(&timer, IPC_TIME_NOW, leave_the_thread, &left, NULL),
          0);
    CHECK(ipc_timer_join_until(&timer, ipc_after_ms(LIMIT_MS)), 0);
    assert_int_equal(left, 1);
    for (int i = 0; i < 3; i++) {
        CHECK(ipc_timer_join_until(&others[i].timer, ipc_after_ms(LIMIT_MS)),
              0);
        assert_int_equal(others[i].runs, 1);
    }
    CHECK(ipc_timer_start(&timer, IPC_TIME_NOW, leave_the_thread, &left, NULL),
          0);
    CHECK(ipc_timer_join(&timer), 0);
    assert_int_equal(left, 2);
    CHECK(ipc_timer_start(&timer, IPC_TIME_NOW, count, &others[0], NULL), 0);
    CHECK(ipc_timer_join(&timer), 0);
    assert_int_equal(others[0].runs, 2);
}

/* ---- processes and threads in callbacks ---- */

static int exit_5(void *unused)
{
    (void)unused;
    return 5;
}

static void start_things(void *arg)
{
    struct actor *self = arg;
    self->rc[0] = run(exit_5, NULL);
    self->rc[1] = run_thread(exit_5, NULL);
}

static void callback_starts_processes_and_threads(void)
{
    struct actor self = {.runs = 0};
    CHECK(ipc_timer_start(&self.timer, IPC_TIME_NOW, start_things, &self, NULL),
          0);
    CHECK(ipc_timer_join_until(&self.timer, ipc_after_ms(LIMIT_MS)), 0);
    assert_int_equal(self.rc[0], 5);
    assert_int_equal(self.rc[1], 5);
}

static uint32_t *forks;

static void fork_and_come_back(void *status)
{
    const pid_t pid = fork();
    if (pid == 0) {
        look_for_no_leaks();
        say(forks);
        return; /* and this is the end of the child's only thread */
    }
    assert_int_equal(waitpid(pid, status, 0), pid);
}

static void fork_in_callbacks(void *unused)
{
    (void)unused;
    int status = -1;
    ipc_timer timer = {.state_ = 0};
    for (int i = 0; i < 3; i++) {
        CHECK(ipc_timer_start(&timer, IPC_TIME_NOW, fork_and_come_back, &status,
                              NULL),
              0);
        CHECK(ipc_timer_join(&timer), 0);
        assert_int_equal(status, 0);
    }
}

static void callback_forks(void)
{
    skip_threads_after_fork();
    forks = test_shared(sizeof *forks);
    struct role role;
    role_start(&role, fork_in_callbacks, NULL);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(*forks, 3);
}

/* ---- bad use ---- */

static void bad_options_are_refused(void)
{
    struct actor self = {.runs = 0};
    const ipc_timer_options negative = {.size = sizeof negative,
                                        .period_ns = -1};
    const ipc_timer_options no_size = {.size = 0};
    const struct {
        ipc_timer_options known;
        uint64_t tail;
    } newer = {.known = {.size = sizeof newer}, .tail = 1};
    const ipc_timer_options *bad[] = {&negative, &no_size, &newer.known};
    static const int expected[] = {-EINVAL, -EINVAL, -E2BIG};
    for (int i = 0; i < 3; i++) {
        CHECK(ipc_timer_start(&self.timer, IPC_TIME_NOW, count, &self, bad[i]),
              expected[i]);
        assert_true(strlen(ipc_error_detail()) > 0);
        CHECK(ipc_timer_cancel(&self.timer), -EINVAL);
    }
    assert_int_equal(self.runs, 0);
}

static void garbage_is_no_timer(void)
{
    ipc_timer garbage;
    memset(&garbage, 0xdb, sizeof garbage);
    CHECK(ipc_timer_cancel(&garbage), -EINVAL);
    CHECK(ipc_timer_join(&garbage), -EINVAL);
    assert_false(ipc_timer_is_alive(&garbage));
    assert_false(ipc_timer_is_pending(&garbage));
}

static void names_are_in_the_details(void)
{
    struct actor self = {.runs = 0};
    ipc_timer_options options = IPC_TIMER_OPTIONS_INIT;
    options.name = "tea-time";
    CHECK(
        ipc_timer_start(&self.timer, IPC_TIME_FOREVER, count, &self, &options),
        0);
    CHECK(ipc_timer_join_nowait(&self.timer), -EAGAIN);
    assert_non_null(strstr(ipc_error_detail(), "tea-time"));
    CHECK(ipc_timer_cancel(&self.timer), 0);
    CHECK(ipc_timer_cancel(&self.timer), -EALREADY);
    assert_non_null(strstr(ipc_error_detail(), "tea-time"));
}

/* ---- no thread to be had ---- */

static void start_without_threads(void *unused)
{
    (void)unused;
    struct actor self = {.runs = 0};
    CHECK(ipc_timer_start(&self.timer, IPC_TIME_NOW, count, &self, NULL), 0);
    CHECK(ipc_timer_join(&self.timer), 0);
    const int64_t from = test_now_ns();
    while (count_kernel_threads() > 1 && ms_since(from) < LIMIT_MS)
        poll_pause();
    fault_syscall(SYS_clone3, EAGAIN);
    CHECK(ipc_timer_start(&self.timer, IPC_TIME_NOW, count, &self, NULL),
          -EAGAIN);
    assert_true(strlen(ipc_error_detail()) > 0);
    CHECK(ipc_timer_cancel(&self.timer), -EALREADY); /* it ran, once */
    assert_int_equal(self.runs, 1);
}

static void no_thread_for_timers(void)
{
    if (SANITIZED)
        test_skip("a sanitizer gives up where libc says no");
    struct role role;
    role_start(&role, start_without_threads, NULL);
    role_wait_ok(&role, LIMIT_MS);
}

static const struct test_case cases[] = {
    TEST_CASE(repeating_timer_runs_until_it_is_cancelled),
    TEST_CASE(missed_periods_are_left_out),
    TEST_CASE(period_without_end),
    TEST_CASE(callback_starts_its_own_timer),
    TEST_CASE(callback_waits_for_no_timer),
    TEST_CASE(callback_frees_its_timer),
    TEST_CASE(callback_that_ends_the_thread_does_not_stop_the_others),
    TEST_CASE(callback_starts_processes_and_threads),
    TEST_CASE(callback_forks),
    TEST_CASE(bad_options_are_refused),
    TEST_CASE(garbage_is_no_timer),
    TEST_CASE(names_are_in_the_details),
    TEST_CASE(no_thread_for_timers),
};
TEST_MAIN(cases)
