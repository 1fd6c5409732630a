/* Promises: who may complete one, and what becomes of it when that one dies. */
#include "unit/future_support.h"

#include "core/peers.h"
#include "core/waiting.h"
#include "pool/future.h"

/* ---- once ---- */

static void a_promise_is_kept_once(void)
{
    ipc_future *f = new_number();
    const int two = 2;
    set_number(f, 1);
    CHECK(ipc_promise_set_result(f, &two, sizeof two), -EALREADY);
    CHECK(ipc_promise_set_exception(f, -EIO, "late"), -EALREADY);
    CHECK(ipc_promise_begin(f), -EALREADY);
    assert_int_equal(number_of(f), 1);
    assert_int_equal(exception_of(f).kind, IPC_EXCEPTION_NONE);
    free_future(f);

    f = new_number();
    CHECK(ipc_promise_set_exception(f, -EIO, "first"), 0);
    CHECK(ipc_promise_set_exception(f, -EPERM, "second"), -EALREADY);
    CHECK(ipc_promise_set_result(f, &two, sizeof two), -EALREADY);
    assert_int_equal(exception_of(f).status, -EIO);
    assert_string_equal(exception_of(f).message, "first");
    free_future(f);
}

static void a_cancelled_one_is_not_kept(void)
{
    ipc_future *f = new_number();
    const int two = 2;
    CHECK(ipc_future_cancel(f), 0);
    CHECK(ipc_promise_begin(f), -ECANCELED);
    CHECK(ipc_promise_set_result(f, &two, sizeof two), -ECANCELED);
    CHECK(ipc_promise_set_exception(f, -EIO, NULL), -ECANCELED);
    free_future(f);
}

static void what_is_no_failure_is_refused(void)
{
    ipc_future *f = new_number();
    CHECK(ipc_promise_set_exception(f, 0, NULL), -EINVAL);
    CHECK(ipc_promise_set_exception(f, 5, NULL), -EINVAL);
    assert_false(ipc_future_done(f));
    CHECK(ipc_future_cancel(f), 0);
    free_future(f);
}

static void begun_twice(void)
{
    ipc_future *f = new_number();
    CHECK(ipc_promise_begin(f), 0);
    CHECK(ipc_promise_begin(f), -EALREADY);
    set_number(f, 4);
    free_future(f);
}

/* ---- others ---- */

static int complete_as_other(void *promise)
{
    const int number = 9;
    CHECK(ipc_promise_set_result(promise, &number, sizeof number), -EPERM);
    CHECK(ipc_promise_set_exception(promise, -EIO, NULL), -EPERM);
    CHECK(ipc_promise_begin(promise), -EALREADY);
    return 0;
}

static void complete_as_other_process(void *promise)
{
    (void)complete_as_other(promise);
}

static void only_the_thread_that_has_begun_it(void)
{
    struct role role;
    ipc_future *f = new_number();
    CHECK(ipc_promise_begin(f), 0);
    assert_int_equal(run_thread(complete_as_other, f), 0);
    role_start(&role, complete_as_other_process, f);
    role_wait_ok(&role, LIMIT_MS);
    set_number(f, 1);
    free_future(f);
}

static void keep_in_child(void *promise)
{
    set_number(promise, 42);
}

static void kept_by_another_process(void)
{
    for (int i = 0; i < 10; i++) {
        struct role role;
        ipc_future *f = new_number();
        role_start(&role, keep_in_child, f);
        assert_int_equal(number_of(f), 42);
        role_wait_ok(&role, LIMIT_MS);
        free_future(f);
    }
}

static void make_in_child(void *out)
{
    ipc_future **promise = out;
    *promise = new_promise(50000);
}

static void made_by_a_process_that_has_ended(void)
{
    static char text[50000];
    struct role role;
    ipc_future **f = ipc_shared_alloc(sizeof(ipc_future *));
    assert_non_null(f);
    role_start(&role, make_in_child, f);
    role_wait_ok(&role, LIMIT_MS);
    memset(text, 'y', sizeof text);
    CHECK(ipc_promise_set_result(*f, text, sizeof text), 0);
    CHECK(ipc_future_result(*f, text, sizeof text, NULL), 0);
    free_future(*f);
    CHECK(ipc_shared_free(f), 0);
}

/* ---- deaths ---- */

struct doomed {
    ipc_future *promise;
    uint32_t begun;
};

static void begin_and_stay(void *arg)
{
    struct doomed *doomed = arg;
    CHECK(ipc_promise_begin(doomed->promise), 0);
    meet_signal(&doomed->begun);
    for (;;)
        (void)pause();
}

static struct doomed *new_doomed(struct role *role)
{
    struct doomed *doomed = ipc_shared_alloc(sizeof *doomed);
    assert_non_null(doomed);
    doomed->promise = new_number();
    role_start(role, begin_and_stay, doomed);
    meet_wait(&doomed->begun, 1, LIMIT_MS);
    return doomed;
}

static void end_doomed(struct doomed *doomed)
{
    free_future(doomed->promise);
    CHECK(ipc_shared_free(doomed), 0);
}

static void kill_role(void *role)
{
    (void)role_kill(role);
}

static void expect_died(ipc_future *f, pid_t pid)
{
    expect_status(f, -EOWNERDEAD);
    expect_says("has died");
    const ipc_exception exception = exception_of(f);
    assert_int_equal(exception.kind, IPC_EXCEPTION_DIED);
    assert_int_equal(exception.status, -EOWNERDEAD);
    assert_int_equal(exception.pid, pid);
    assert_true(ipc_future_done(f));
    assert_false(ipc_future_cancelled(f));
}

/* Told by the kernel, not by the re-check. */
static void who_has_begun_it_is_killed(void)
{
    ipc__recheck_ns = INT64_MAX;
    struct role role;
    struct doomed *doomed = new_doomed(&role);
    const pid_t pid = role.pid;
    struct later later;
    begin_later(&later, kill_role, &role);
    CHECK(ipc_future_wait_until(doomed->promise, ipc_after_ms(LIMIT_MS)), 0);
    end_later(&later);
    expect_died(doomed->promise, pid);
    end_doomed(doomed);
}

static void killed_before_anybody_waits(void)
{
    struct role role;
    struct doomed *doomed = new_doomed(&role);
    const pid_t pid = role.pid;
    (void)role_kill(&role);
    assert_false(ipc_future_done(doomed->promise)); /* nobody has looked */
    expect_died(doomed->promise, pid);
    CHECK(ipc_promise_set_result(doomed->promise, "", 0), -EALREADY);
    end_doomed(doomed);
}

/* Who sleeps already is woken when it is begun, to watch over who does. */
static void begun_and_killed_while_somebody_waits(void)
{
    ipc__recheck_ns = INT64_MAX;
    struct doomed *doomed = ipc_shared_alloc(sizeof *doomed);
    struct role role;
    assert_non_null(doomed);
    doomed->promise = new_number();
    const pid_t parent = getpid();
    const pid_t killer = fork();
    if (killer == 0) {
        struct role child;
        wait_until_sleeping(parent, LIMIT_MS);
        role_start(&child, begin_and_stay, doomed);
        meet_wait(&doomed->begun, 1, LIMIT_MS);
        poll_pause();
        wait_until_sleeping(parent, LIMIT_MS);
        (void)role_kill(&child);
        _exit(0);
    }
    role.pid = killer;
    CHECK(ipc_future_wait_until(doomed->promise, ipc_after_ms(LIMIT_MS)), 0);
    expect_status(doomed->promise, -EOWNERDEAD);
    role_wait_ok(&role, LIMIT_MS);
    end_doomed(doomed);
}

static void found_by_ipc_wait_and_by_wait_futures(void)
{
    struct role role[3];
    struct doomed *doomed[3];
    for (int i = 0; i < 3; i++) {
        doomed[i] = new_doomed(&role[i]);
        (void)role_kill(&role[i]);
    }
    ipc_wait_item item = IPC_WAIT_FUTURE(doomed[0]->promise);
    CHECK(ipc_wait(&item, 1, ipc_after_ms(LIMIT_MS)), 1);
    CHECK(ipc_wait_futures(&doomed[1]->promise, 1, IPC_FIRST_COMPLETED,
                           ipc_after_ms(LIMIT_MS)),
          1);
    ipc_as_completed *next = NULL;
    size_t index = 9;
    CHECK(ipc_as_completed_begin(&doomed[2]->promise, 1, &next), 0);
    CHECK(ipc_as_completed_next(next, ipc_after_ms(LIMIT_MS), &index), 1);
    ipc_as_completed_end(next);
    for (int i = 0; i < 3; i++) {
        expect_status(doomed[i]->promise, -EOWNERDEAD);
        end_doomed(doomed[i]);
    }
}

static void wait_for_doomed(void *arg)
{
    const struct doomed *doomed = arg;
    expect_status(doomed->promise, -EOWNERDEAD);
}

/* All who wait learn of it, and one makes it so. */
static void many_wait_for_the_dead(void)
{
    struct role role, waiting[6];
    struct doomed *doomed = new_doomed(&role);
    for (int i = 0; i < 6; i++) {
        role_start(&waiting[i], wait_for_doomed, doomed);
        wait_until_sleeping(waiting[i].pid, LIMIT_MS);
    }
    (void)role_kill(&role);
    for (int i = 0; i < 6; i++)
        role_wait_ok(&waiting[i], LIMIT_MS);
    assert_int_equal(ipc__future_state(doomed->promise->state), IPC__FAILED);
    end_doomed(doomed);
}

/* ---- many at once ---- */

struct race {
    ipc_future *promise;
    uint32_t go;
    uint32_t kept, lost, cancelled;
};

static int keep_one(void *arg)
{
    struct race *race = arg;
    const int number = gettid();
    meet_wait(&race->go, 1, LIMIT_MS);
    const int rc =
        ipc_promise_set_result(race->promise, &number, sizeof number);
    if (rc == 0)
        meet_signal(&race->kept);
    else if (rc == -ECANCELED)
        meet_signal(&race->cancelled);
    else if (rc == -EALREADY || rc == -EPERM)
        meet_signal(&race->lost);
    return 0;
}

static int cancel_one(void *arg)
{
    struct race *race = arg;
    meet_wait(&race->go, 1, LIMIT_MS);
    (void)ipc_future_cancel(race->promise);
    return 0;
}

/* It comes to one end: of three that complete and one that cancels. */
static void one_of_several_wins(void)
{
    const long rounds = 100 * test_scale();
    long cancelled = 0;
    for (long i = 0; i < rounds; i++) {
        ipc_thread threads[4];
        struct race race = {.promise = new_number()};
        for (int k = 0; k < 4; k++)
            start_thread(&threads[k], k < 3 ? keep_one : cancel_one, &race);
        say(&race.go);
        CHECK(ipc_future_wait_until(race.promise, ipc_after_ms(LIMIT_MS)), 0);
        for (int k = 0; k < 4; k++)
            assert_int_equal(end_of_thread(&threads[k]), 0);
        const bool was_cancelled = ipc_future_cancelled(race.promise);
        assert_int_equal(race.kept, was_cancelled ? 0 : 1);
        assert_int_equal(race.kept + race.lost + race.cancelled, 3);
        cancelled += was_cancelled;
        free_future(race.promise);
    }
    test_report("cancelled", cancelled);
}

static const struct test_case cases[] = {
    TEST_CASE(a_promise_is_kept_once),
    TEST_CASE(a_cancelled_one_is_not_kept),
    TEST_CASE(what_is_no_failure_is_refused),
    TEST_CASE(begun_twice),
    TEST_CASE(only_the_thread_that_has_begun_it),
    TEST_CASE(kept_by_another_process),
    TEST_CASE(made_by_a_process_that_has_ended),
    TEST_CASE(who_has_begun_it_is_killed),
    TEST_CASE(killed_before_anybody_waits),
    TEST_CASE(begun_and_killed_while_somebody_waits),
    TEST_CASE(found_by_ipc_wait_and_by_wait_futures),
    TEST_CASE(many_wait_for_the_dead),
    TEST_CASE(one_of_several_wins),
};
TEST_MAIN(cases)
