/* Deadlines: the one time type. */
#include "harness/harness.h"

#include <limits.h>
#include <math.h>
#include <time.h>

#include <ipc/time.h>

#define S ((int64_t)1000000000)

static int64_t clock_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * S + now.tv_nsec;
}

static void now_is_the_monotonic_clock(void)
{
    for (int i = 0; i < 1000; i++) {
        const int64_t before = clock_ns();
        const ipc_deadline now = ipc_now();
        assert_true(before <= now);
        assert_true(now <= clock_ns());
    }
}

/* deadline lies ns ahead of a moment since before. */
static void expect_ahead(int64_t before, ipc_deadline deadline, int64_t ns)
{
    assert_true(deadline >= before + ns);
    assert_true(deadline <= clock_ns() + ns);
}

static void durations_become_deadlines(void)
{
    static const int64_t counts[] = {0, 1, 999, 1000, 12345678, -1, -12345};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        const int64_t n = counts[i];
        int64_t before = clock_ns();
        expect_ahead(before, ipc_after_ns(n), n);
        before = clock_ns();
        expect_ahead(before, ipc_after_us(n), n * 1000);
    }
    int64_t before = clock_ns();
    expect_ahead(before, ipc_after_ms(7), 7000000);
    before = clock_ns();
    expect_ahead(before, ipc_after_s(2.5), 5 * S / 2);
    before = clock_ns();
    expect_ahead(before, ipc_after_s(1e-9), 1);
    before = clock_ns();
    expect_ahead(before, ipc_after_s(1e9), 1000000000 * S);
}

static void what_does_not_fit_is_for_ever(void)
{
    assert_true(ipc_after_ns(INT64_MAX) == IPC_TIME_FOREVER);
    assert_true(ipc_after_us(INT64_MAX) == IPC_TIME_FOREVER);
    assert_true(ipc_after_us(INT64_MAX / 1000 + 1) == IPC_TIME_FOREVER);
    assert_true(ipc_after_us(INT64_MAX / 1000) == IPC_TIME_FOREVER);
    assert_true(ipc_after_ms(INT64_MAX) == IPC_TIME_FOREVER);
    assert_true(ipc_after_ms(INT64_MAX / 1000000) == IPC_TIME_FOREVER);
    assert_true(ipc_after_s(1e10) == IPC_TIME_FOREVER);
    assert_true(ipc_after_s(1e300) == IPC_TIME_FOREVER);
    assert_true(ipc_after_s((double)INFINITY) == IPC_TIME_FOREVER);
    /* The largest that does. */
    assert_true(ipc_after_ns(INT64_MAX - ipc_now() - S) < IPC_TIME_FOREVER);
}

static void what_is_negative_has_passed(void)
{
    static const int64_t counts[] = {INT64_MIN, INT64_MIN + 1, INT64_MIN / 1000,
                                     -1000 * S};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        assert_true(ipc_after_ns(counts[i]) <= ipc_now());
        assert_true(ipc_after_us(counts[i]) <= ipc_now());
        assert_true(ipc_after_ms(counts[i]) <= ipc_now());
        assert_true(ipc_after_ms(counts[i]) >= IPC_TIME_NOW);
    }
    assert_true(ipc_after_s(-1) <= ipc_now());
    assert_true(ipc_after_s(0) <= ipc_now());
    assert_true(ipc_after_s(-1e300) <= ipc_now());
    assert_true(ipc_after_s((double)-INFINITY) <= ipc_now());
    assert_true(ipc_after_s((double)NAN) <= ipc_now());
}

static void time_left_is_never_negative(void)
{
    assert_true(ipc_time_left(IPC_TIME_NOW) == 0);
    assert_true(ipc_time_left(INT64_MIN) == 0);
    assert_true(ipc_time_left(-1) == 0);
    assert_true(ipc_time_left(ipc_now()) == 0);
    assert_true(ipc_time_left(IPC_TIME_FOREVER) == INT64_MAX);
    const int64_t left = ipc_time_left(ipc_after_s(100));
    assert_true(left <= 100 * S && left > 90 * S);
    assert_true(ipc_time_left(IPC_TIME_FOREVER - 1) < INT64_MAX);
}

static void sleep_ends_at_its_deadline(void)
{
    const ipc_deadline past[] = {IPC_TIME_NOW, -1, INT64_MIN, ipc_now()};
    const int64_t from = clock_ns();
    for (size_t i = 0; i < sizeof past / sizeof past[0]; i++)
        ipc_sleep_until(past[i]);
    assert_true(clock_ns() - from < 10 * S);
    for (int ms = 1; ms <= 20; ms += 19) {
        const ipc_deadline deadline = ipc_after_ms(ms);
        ipc_sleep_until(deadline);
        assert_true(ipc_now() >= deadline);
        assert_true(ipc_now() - deadline < 10 * S);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(now_is_the_monotonic_clock),
    TEST_CASE(durations_become_deadlines),
    TEST_CASE(what_does_not_fit_is_for_ever),
    TEST_CASE(what_is_negative_has_passed),
    TEST_CASE(time_left_is_never_negative),
    TEST_CASE(sleep_ends_at_its_deadline),
};
TEST_MAIN(cases)
