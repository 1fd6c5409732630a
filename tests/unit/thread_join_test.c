/* Waiting for threads. */
#include "unit/thread_support.h"

#include <signal.h>

#include "harness/faults.h"

static void join_waits_tries_or_waits_until(void)
{
    uint32_t words[2] = {0, 0};
    ipc_thread t;
    start_thread(&t, come_and_stay, words);
    for (int i = 0; i < 3; i++) {
        CHECK(ipc_thread_join_nowait(&t), -EAGAIN);
        CHECK(ipc_thread_join_until(&t, IPC_TIME_NOW), -ETIMEDOUT);
        CHECK(ipc_thread_join_until(&t, ipc_now() - 1), -ETIMEDOUT);
        CHECK(ipc_thread_join_until(&t, -5), -ETIMEDOUT);
        assert_true(ipc_thread_is_alive(&t));
    }
    assert_non_null(strstr(ipc_error_detail(), ipc_thread_name(&t)));
    const ipc_deadline deadline = ipc_after_ms(30);
    CHECK(ipc_thread_join_until(&t, deadline), -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
    int code = 4711;
    CHECK(ipc_thread_exitcode(&t, &code), -EAGAIN);
    assert_int_equal(code, 4711);

    say(&words[1]);
    CHECK(ipc_thread_join_until(&t, IPC_TIME_FOREVER), 0);
    for (int i = 0; i < 2; i++) {
        CHECK(ipc_thread_join(&t), 0);
        CHECK(ipc_thread_join_nowait(&t), 0);
        CHECK(ipc_thread_join_until(&t, IPC_TIME_NOW), 0);
        CHECK(ipc_thread_join_until(&t, -5), 0);
    }
    assert_false(ipc_thread_is_alive(&t));
    assert_int_equal(end_of_thread(&t), 0);
}

static void exitcode_is_known_without_join(void)
{
    int code = 12, got = 4711;
    ipc_thread t;
    start_thread(&t, return_it, &code);
    while (ipc_thread_exitcode(&t, &got) == -EAGAIN)
        poll_pause();
    assert_int_equal(got, 12);
    CHECK(ipc_thread_close(&t), 0);
}

static void close_alone_is_enough(void)
{
    uint32_t words[2] = {0, 1};
    ipc_thread t;
    start_thread(&t, come_and_stay, words);
    while (ipc_thread_close(&t) == -EBUSY)
        poll_pause();
    assert_int_equal(words[0], 1);
}

/* ---- joining itself ---- */

static int join_myself(void *arg)
{
    ipc_thread *self = ipc_current_thread();
    int code;
    assert_ptr_equal(self, arg);
    CHECK(ipc_thread_join(self), -EDEADLK);
    CHECK(ipc_thread_join_nowait(self), -EDEADLK);
    CHECK(ipc_thread_join_until(self, ipc_after_ms(1)), -EDEADLK);
    CHECK(ipc_thread_exitcode(self, &code), -EAGAIN);
    CHECK(ipc_thread_close(self), -EBUSY);
    assert_true(ipc_thread_is_alive(self));
    CHECK(ipc_thread_join_nowait(ipc_main_thread()), -EAGAIN);
    return 1;
}

static void a_thread_cannot_join_itself(void)
{
    ipc_thread t;
    start_thread(&t, join_myself, &t);
    assert_int_equal(end_of_thread(&t), 1);
    CHECK(ipc_thread_join(ipc_main_thread()), -EDEADLK);
    CHECK(ipc_thread_close(ipc_main_thread()), -EINVAL);
}

/* ---- many join one ---- */

struct joiner {
    ipc_thread thread;
    ipc_thread *target;
    int deadline_ms; /* -1: none */
    int first, last, code;
};

static int join_it(void *arg)
{
    struct joiner *self = arg;
    self->first = self->deadline_ms < 0
                      ? ipc_thread_join(self->target)
                      : ipc_thread_join_until(self->target,
                                              ipc_after_ms(self->deadline_ms));
    self->last = ipc_thread_join_until(self->target, ipc_after_ms(LIMIT_MS));
    self->code = 4711;
    (void)ipc_thread_exitcode(self->target, &self->code);
    return 0;
}

static int stay_and_leave(void *arg)
{
    (void)come_and_stay(arg);
    pthread_exit((void *)(intptr_t)77);
}

static void many_threads_join_one(void)
{
    enum {
        COUNT = 9
    };
    static const int deadlines[] = {-1, LIMIT_MS, 5};
    struct joiner joiners[COUNT];
    uint32_t words[2] = {0, 0};
    ipc_thread t;
    start_thread(&t, stay_and_leave, words);
    for (int i = 0; i < COUNT; i++) {
        joiners[i] =
            (struct joiner){.target = &t, .deadline_ms = deadlines[i % 3]};
        start_thread(&joiners[i].thread, join_it, &joiners[i]);
    }
    CHECK(ipc_thread_join_until(&t, ipc_after_ms(30)), -ETIMEDOUT);
    say(&words[1]);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(end_of_thread(&joiners[i].thread), 0);
        assert_true(joiners[i].first == 0 ||
                    (i % 3 == 2 && joiners[i].first == -ETIMEDOUT));
        assert_int_equal(joiners[i].last, 0);
        assert_int_equal(joiners[i].code, 77);
    }
    assert_int_equal(end_of_thread(&t), 77);
}

/* Each is joined by the next one, which is started before it ends. */
static void a_chain_of_joins(void)
{
    enum {
        COUNT = 20
    };
    struct joiner chain[COUNT];
    uint32_t words[2] = {0, 0};
    ipc_thread first;
    ipc_thread *last = &first;
    start_thread(&first, come_and_stay, words);
    for (int i = 0; i < COUNT; i++) {
        chain[i] = (struct joiner){.target = last, .deadline_ms = -1};
        last = &chain[i].thread;
        start_thread(last, join_it, &chain[i]);
    }
    say(&words[1]);
    for (int i = COUNT - 1; i >= 0; i--) {
        assert_int_equal(end_of_thread(&chain[i].thread), 0);
        assert_int_equal(chain[i].code, 0);
    }
    assert_int_equal(end_of_thread(&first), 0);
}

/* ---- what is over when join() returns ---- */

static pthread_key_t key;
static uint32_t destroyed;
static uint32_t may_end;

static void count_destruction(void *value)
{
    (void)value;
    if (may_end != UINT32_MAX)
        meet_wait(&may_end, 1, LIMIT_MS);
    say(&destroyed);
}

static int use_a_key(void *unused)
{
    (void)unused;
    assert_int_equal(pthread_setspecific(key, &key), 0);
    return 0;
}

/* Their keys were made after the library's, and run after its own. */
static void make_late_key(void (*destructor)(void *))
{
    assert_int_equal(run_thread(return_zero, NULL), 0);
    assert_int_equal(pthread_key_create(&key, destructor), 0);
}

static void join_waits_for_destructors_of_others(void)
{
    make_late_key(count_destruction);
    may_end = UINT32_MAX;
    for (uint32_t i = 1; i <= 50; i++) {
        assert_int_equal(run_thread(use_a_key, NULL), 0);
        assert_int_equal(destroyed, i);
    }
    (void)pthread_key_delete(key);
}

/* They take their time; a deadline is a deadline. */
static void join_until_does_not_wait_for_destructors(void)
{
    ipc_thread t;
    make_late_key(count_destruction);
    start_thread(&t, use_a_key, NULL);
    CHECK(ipc_thread_join_until(&t, ipc_after_ms(30)), -ETIMEDOUT);
    CHECK(ipc_thread_join_nowait(&t), -EAGAIN);
    assert_true(ipc_thread_is_alive(&t));
    CHECK(ipc_thread_close(&t), -EBUSY);
    say(&may_end);
    assert_int_equal(end_of_thread(&t), 0);
    assert_int_equal(destroyed, 1);
    (void)pthread_key_delete(key);
}

static int current_in_destructor;

static void ask_who_it_is(void *expected)
{
    current_in_destructor += ipc_current_thread() == expected;
    (void)ipc_active_threads(NULL, 0);
}

static int ask_later(void *unused)
{
    (void)unused;
    assert_int_equal(pthread_setspecific(key, ipc_current_thread()), 0);
    return 0;
}

static void destructors_know_who_they_are(void)
{
    make_late_key(ask_who_it_is);
    assert_int_equal(run_thread(ask_later, NULL), 0);
    assert_int_equal(current_in_destructor, 1);
    (void)pthread_key_delete(key);
}

/* A destructor that comes back in every round asks the library in the last
 * ones, too, when the thread is as good as gone. */
static int rounds;

static void come_back(void *value)
{
    if (ipc_current_thread() == NULL)
        rounds += 100;
    rounds++;
    (void)ipc_active_threads(NULL, 0);
    (void)pthread_setspecific(key, value);
}

static int leave_a_comer(void *value)
{
    assert_int_equal(pthread_setspecific(key, value), 0);
    return 0;
}

static void destructor_of_the_last_round(void)
{
    assert_int_equal(pthread_key_create(&key, come_back), 0);
    assert_int_equal(run_thread(leave_a_comer, &key), 0);
    test_report("rounds", rounds);
    assert_true(rounds % 100 >= 3);
    (void)pthread_key_delete(key);
    assert_int_equal(ipc_active_threads(NULL, 0), 1);
}

/* ---- interrupted and cancelled joiners ---- */

static void signals_do_not_end_a_join(void)
{
    uint32_t words[2] = {0, 0};
    ipc_thread t;
    start_thread(&t, come_and_stay, words);
    storm_start(2000);
    const ipc_deadline deadline = ipc_after_ms(50);
    CHECK(ipc_thread_join_until(&t, deadline), -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
    test_report("signals", storm_stop());
    say(&words[1]);
    assert_int_equal(end_of_thread(&t), 0);
}

static uint32_t joining;
static pthread_t joiner_handle;

static int join_for_good(void *arg)
{
    joiner_handle = pthread_self();
    say(&joining);
    const int rc = ipc_thread_join(arg);
    say(&joining);
    pthread_testcancel();
    return rc;
}

/* A join is no cancellation point: it goes on, and the cancellation waits. */
static void cancelled_joiner_finishes_its_join(void)
{
    uint32_t words[2] = {0, 0};
    ipc_thread t, joiner;
    start_thread(&t, come_and_stay, words);
    start_thread(&joiner, join_for_good, &t);
    meet_wait(&joining, 1, LIMIT_MS);
    wait_until_sleeping(ipc_thread_native_id(&joiner), LIMIT_MS);
    assert_int_equal(pthread_cancel(joiner_handle), 0);
    CHECK(ipc_thread_join_until(&joiner, ipc_after_ms(10)), -ETIMEDOUT);
    say(&words[1]);
    meet_wait(&joining, 2, LIMIT_MS);
    assert_int_equal(end_of_thread(&joiner), -ECANCELED);
    assert_int_equal(end_of_thread(&t), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(join_waits_tries_or_waits_until),
    TEST_CASE(exitcode_is_known_without_join),
    TEST_CASE(close_alone_is_enough),
    TEST_CASE(a_thread_cannot_join_itself),
    TEST_CASE(many_threads_join_one),
    TEST_CASE(a_chain_of_joins),
    TEST_CASE(join_waits_for_destructors_of_others),
    TEST_CASE(join_until_does_not_wait_for_destructors),
    TEST_CASE(destructors_know_who_they_are),
    TEST_CASE(destructor_of_the_last_round),
    TEST_CASE(signals_do_not_end_a_join),
    TEST_CASE(cancelled_joiner_finishes_its_join),
};
TEST_MAIN(cases)
