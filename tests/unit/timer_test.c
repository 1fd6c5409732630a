/* Timers: start, run, repeat, cancel, wait. */
#include "unit/thread_support.h"

#include <ipc/timer.h>

#include "harness/scale.h"
#include "thread/timer_heap.h"

/* Wait for the thread of the timers to leave. */
static void expect_no_thread(void)
{
    const int64_t from = test_now_ns();
    while (count_kernel_threads() > 1 && !THREAD_SANITIZED &&
           ms_since(from) < LIMIT_MS)
        poll_pause();
    assert_true(count_kernel_threads() == 1 || THREAD_SANITIZED);
}

struct ring {
    ipc_timer timer;
    uint32_t runs;
    int64_t at_ns;
    int tid;
    char name[16];
    int blocked;
};

static void ring_it(void *arg)
{
    struct ring *ring = arg;
    sigset_t set;
    ring->at_ns = ipc_now();
    ring->tid = ipc_gettid();
    (void)snprintf(ring->name, sizeof ring->name, "%s",
                   ipc_thread_name(ipc_current_thread()));
    (void)pthread_sigmask(SIG_SETMASK, NULL, &set);
    ring->blocked = sigismember(&set, SIGTERM) && sigismember(&set, SIGINT) &&
                    sigismember(&set, SIGALRM);
    say(&ring->runs);
}

static void start_ring(struct ring *ring, ipc_deadline when)
{
    CHECK(ipc_timer_start(&ring->timer, when, ring_it, ring, NULL), 0);
}

/* ---- one timer ---- */

static void timer_runs_at_its_moment(void)
{
    struct ring ring = {.runs = 0};
    const ipc_deadline when = ipc_after_ms(30);
    start_ring(&ring, when);
    assert_true(ipc_timer_is_pending(&ring.timer));
    assert_true(ipc_timer_is_alive(&ring.timer));
    meet_wait(&ring.runs, 1, LIMIT_MS);
    assert_true(ring.at_ns >= when);
    CHECK(ipc_timer_join(&ring.timer), 0);
    assert_false(ipc_timer_is_pending(&ring.timer));
    assert_false(ipc_timer_is_alive(&ring.timer));
    assert_int_not_equal(ring.tid, getpid());
    assert_string_equal(ring.name, "Timers");
    assert_true(ring.blocked);
    expect_no_thread();
    assert_int_equal(ring.runs, 1);
    assert_int_equal(ipc_active_threads(NULL, 0), 1);
}

static void moments_that_have_passed_are_now(void)
{
    static const ipc_deadline moments[] = {IPC_TIME_NOW, 1, -5, INT64_MIN};
    for (size_t i = 0; i < 4; i++) {
        struct ring ring = {.runs = 0};
        start_ring(&ring, moments[i]);
        CHECK(ipc_timer_join_until(&ring.timer, ipc_after_ms(LIMIT_MS)), 0);
        assert_int_equal(ring.runs, 1);
    }
}

static void timer_can_be_started_again(void)
{
    struct ring ring = {.runs = 0};
    for (uint32_t i = 1; i <= 20; i++) {
        start_ring(&ring, ipc_after_us(i % 2 == 0 ? 0 : 100));
        CHECK(ipc_timer_join(&ring.timer), 0);
        assert_int_equal(ring.runs, i);
        if (i % 5 == 0)
            expect_no_thread();
    }
}

static void pending_timer_is_not_started_again(void)
{
    struct ring ring = {.runs = 0};
    start_ring(&ring, ipc_after_s(100));
    CHECK(ipc_timer_start(&ring.timer, IPC_TIME_NOW, ring_it, &ring, NULL),
          -EALREADY);
    assert_true(strlen(ipc_error_detail()) > 0);
    CHECK(ipc_timer_cancel(&ring.timer), 0);
    assert_int_equal(ring.runs, 0);
}

/* ---- cancel ---- */

static void cancelled_timer_does_not_run(void)
{
    struct ring ring = {.runs = 0};
    CHECK(ipc_timer_cancel(&ring.timer), -EINVAL);
    start_ring(&ring, ipc_after_ms(20));
    CHECK(ipc_timer_cancel(&ring.timer), 0);
    assert_false(ipc_timer_is_alive(&ring.timer));
    CHECK(ipc_timer_join(&ring.timer), 0);
    CHECK(ipc_timer_cancel(&ring.timer), -EALREADY);
    expect_no_thread();
    ipc_sleep_until(ipc_after_ms(25));
    assert_int_equal(ring.runs, 0);
    start_ring(&ring, IPC_TIME_NOW);
    CHECK(ipc_timer_join(&ring.timer), 0);
    assert_int_equal(ring.runs, 1);
    CHECK(ipc_timer_cancel(&ring.timer), -EALREADY);
}

struct slow {
    ipc_timer timer, other;
    uint32_t begun, go, ended;
};

static void be_slow(void *arg)
{
    struct slow *slow = arg;
    say(&slow->begun);
    meet_wait(&slow->go, 1, LIMIT_MS);
    say(&slow->ended);
}

struct canceller {
    ipc_thread thread;
    struct slow *slow;
    int rc;
    uint32_t ended; /* the callback, when cancel() returned */
};

static int cancel_it(void *arg)
{
    struct canceller *self = arg;
    self->rc = ipc_timer_cancel(&self->slow->timer);
    self->ended = self->slow->ended;
    return 0;
}

static void cancel_waits_for_the_callback(void)
{
    for (int repeating = 0; repeating < 2; repeating++) {
        struct slow slow = {.begun = 0};
        struct canceller cancellers[3];
        const ipc_timer_options options = {
            .size = sizeof options,
            .period_ns = repeating ? (int64_t)1 << 50 : 0};
        CHECK(ipc_timer_start(&slow.timer, IPC_TIME_NOW, be_slow, &slow,
                              &options),
              0);
        meet_wait(&slow.begun, 1, LIMIT_MS);
        assert_true(ipc_timer_is_alive(&slow.timer));
        assert_int_equal(ipc_timer_is_pending(&slow.timer), repeating);
        for (int i = 0; i < 3; i++) {
            cancellers[i] = (struct canceller){.slow = &slow};
            start_thread(&cancellers[i].thread, cancel_it, &cancellers[i]);
            wait_until_sleeping(ipc_thread_native_id(&cancellers[i].thread),
                                LIMIT_MS);
        }
        say(&slow.go);
        int cancelled = 0;
        for (int i = 0; i < 3; i++) {
            assert_int_equal(end_of_thread(&cancellers[i].thread), 0);
            assert_int_equal(cancellers[i].ended, 1);
            assert_true(cancellers[i].rc == 0 || cancellers[i].rc == -EALREADY);
            cancelled += cancellers[i].rc == 0;
        }
        assert_int_equal(cancelled, repeating);
        assert_false(ipc_timer_is_alive(&slow.timer));
    }
}

/* ---- join ---- */

static void join_waits_tries_or_waits_until(void)
{
    struct ring ring = {.runs = 0};
    CHECK(ipc_timer_join(&ring.timer), -EINVAL);
    CHECK(ipc_timer_join_nowait(&ring.timer), -EINVAL);
    start_ring(&ring, ipc_after_ms(50));
    CHECK(ipc_timer_join_nowait(&ring.timer), -EAGAIN);
    CHECK(ipc_timer_join_until(&ring.timer, IPC_TIME_NOW), -ETIMEDOUT);
    CHECK(ipc_timer_join_until(&ring.timer, ipc_after_ms(5)), -ETIMEDOUT);
    assert_int_equal(ring.runs, 0);
    CHECK(ipc_timer_join(&ring.timer), 0);
    assert_int_equal(ring.runs, 1);
    CHECK(ipc_timer_join_nowait(&ring.timer), 0);
    CHECK(ipc_timer_join_until(&ring.timer, -1), 0);
}

static int join_a_timer(void *timer)
{
    return ipc_timer_join(timer);
}

static void join_ends_when_it_is_cancelled(void)
{
    struct ring ring = {.runs = 0};
    ipc_thread t[3];
    start_ring(&ring, IPC_TIME_FOREVER);
    for (int i = 0; i < 3; i++) {
        start_thread(&t[i], join_a_timer, &ring.timer);
        wait_until_sleeping(ipc_thread_native_id(&t[i]), LIMIT_MS);
    }
    CHECK(ipc_timer_cancel(&ring.timer), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(end_of_thread(&t[i]), 0);
}

/* ---- many ---- */

enum {
    MANY = 5000
};

static struct numbered {
    ipc_timer timer;
    uint32_t runs;
    int64_t when;
} many[MANY];
static uint32_t all_runs;
static int64_t last_when;
static uint32_t out_of_order;

static void run_in_order(void *arg)
{
    struct numbered *self = arg;
    self->runs++;
    out_of_order += self->when < last_when;
    last_when = self->when;
    say(&all_runs);
}

/* Their moments lie close together, so that many are due at once; and none runs
 * before all are started, however long that takes. */
static void thousands_run_in_order(void)
{
    struct test_random random = {test_seed()};
    const ipc_deadline base = ipc_after_ms(20);
    uint32_t expected = 0;
    struct slow gate = {.begun = 0};
    CHECK(ipc_timer_start(&gate.timer, IPC_TIME_NOW, be_slow, &gate, NULL), 0);
    meet_wait(&gate.begun, 1, LIMIT_MS);
    for (int i = 0; i < MANY; i++) {
        many[i].when = base + test_random_between(&random, 0, 20) * 1000000;
        CHECK(ipc_timer_start(&many[i].timer, many[i].when, run_in_order,
                              &many[i], NULL),
              0);
    }
    for (int i = 0; i < MANY; i += 6)
        CHECK(ipc_timer_cancel(&many[i].timer), 0);
    say(&gate.go);
    for (int i = 3; i < MANY; i += 6)
        (void)ipc_timer_cancel(&many[i].timer);
    for (int i = 0; i < MANY; i++) {
        CHECK(ipc_timer_join(&many[i].timer), 0);
        assert_true(many[i].runs <= 1);
        assert_true(i % 3 == 0 || many[i].runs == 1);
        expected += many[i].runs;
    }
    assert_int_equal(all_runs, expected);
    assert_int_equal(out_of_order, 0);
    test_report("runs", all_runs);
    expect_no_thread();
}

static void append_number(void *arg)
{
    struct numbered *self = arg;
    self->runs = ++all_runs;
}

static void same_moment_means_first_come_first_served(void)
{
    const ipc_deadline when = ipc_after_ms(30);
    for (int i = 0; i < 100; i++)
        CHECK(ipc_timer_start(&many[i].timer, when, append_number, &many[i],
                              NULL),
              0);
    for (int i = 0; i < 100; i++) {
        CHECK(ipc_timer_join(&many[i].timer), 0);
        assert_int_equal(many[i].runs, i + 1);
    }
}

/* An earlier one does not wait for the later one that the thread sleeps for. */
static void earlier_timer_comes_first(void)
{
    struct ring late = {.runs = 0}, early = {.runs = 0};
    start_ring(&late, ipc_after_s(1000));
    ipc_sleep_until(ipc_after_ms(5));
    start_ring(&early, ipc_after_ms(1));
    CHECK(ipc_timer_join_until(&early.timer, ipc_after_ms(LIMIT_MS)), 0);
    assert_int_equal(early.runs, 1);
    CHECK(ipc_timer_cancel(&late.timer), 0);
    assert_int_equal(late.runs, 0);
}

/* ---- the heap by itself ---- */

static void check_heap(const ipc_timer *top, const bool in[], ipc_timer all[],
                       int count)
{
    const ipc_timer *least = NULL;
    for (int i = 0; i < count; i++)
        if (in[i] &&
            (least == NULL || all[i].when_ < least->when_ ||
             (all[i].when_ == least->when_ && all[i].order_ < least->order_)))
            least = &all[i];
    assert_ptr_equal(top, least);
}

static void heap_has_the_first_on_top(void)
{
    enum {
        COUNT = 60
    };
    static ipc_timer all[COUNT];
    bool in[COUNT] = {false};
    ipc_timer *top = NULL;
    struct test_random random = {test_seed()};
    const long steps = 20000 * test_scale();
    for (long step = 0; step < steps; step++) {
        const long i = test_random_between(&random, 0, COUNT - 1);
        if (in[i] && step % 3 == 0 && top != &all[i]) {
            ipc__timer_heap_remove(&top, &all[i]);
            in[i] = false;
        } else if (in[i]) {
            const long first = top - all;
            ipc__timer_heap_remove(&top, top);
            in[first] = false;
        } else {
            all[i].when_ = test_random_between(&random, 0, 30);
            all[i].order_ = (uint64_t)step;
            ipc__timer_heap_insert(&top, &all[i]);
            in[i] = true;
        }
        check_heap(top, in, all, COUNT);
    }
    test_report("steps", steps);
}

static const struct test_case cases[] = {
    TEST_CASE(timer_runs_at_its_moment),
    TEST_CASE(moments_that_have_passed_are_now),
    TEST_CASE(timer_can_be_started_again),
    TEST_CASE(pending_timer_is_not_started_again),
    TEST_CASE(cancelled_timer_does_not_run),
    TEST_CASE(cancel_waits_for_the_callback),
    TEST_CASE(join_waits_tries_or_waits_until),
    TEST_CASE(join_ends_when_it_is_cancelled),
    TEST_CASE(thousands_run_in_order),
    TEST_CASE(same_moment_means_first_come_first_served),
    TEST_CASE(earlier_timer_comes_first),
    TEST_CASE(heap_has_the_first_on_top),
};
TEST_MAIN(cases)
