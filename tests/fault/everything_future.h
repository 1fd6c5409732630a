/* One use of futures and promises: a part of everything.c, where DONE() is.
 *
 * What could not be completed is cancelled; callbacks that were added are
 * called, each once. */
#ifndef FAULT_EVERYTHING_FUTURE_H
#define FAULT_EVERYTHING_FUTURE_H

#include <ipc/future.h>
#include <ipc/wait.h>

enum {
    MANY_FUTURES = 130, /* more than are waited for on their words */
    SOME_FUTURES = 40,  /* more than need no memory */
    CALLED_FUTURES = 3  /* callbacks at a time */
};

static ipc_deadline long_after(void)
{
    return ipc_after_ms(LIMIT_MS);
}

/* ---- one promise ---- */

static void expect_pending(ipc_future *promise)
{
    int number;
    ipc_exception found = IPC_EXCEPTION_INIT;
    assert_false(ipc_future_done(promise));
    int rc = ipc_future_result_nowait(promise, &number, sizeof number, NULL);
    assert_true(rc == -EAGAIN || !done("result", rc));
    rc = ipc_future_wait_until(promise, in_a_moment());
    assert_true(rc == -ETIMEDOUT || !done("wait", rc));
    rc = ipc_future_exception(promise, &found, in_a_moment());
    assert_true(rc == -ETIMEDOUT || !done("exception", rc));
}

static void expect_number(ipc_future *promise, int right)
{
    int number = -1;
    size_t bytes = 0;
    const void *data = NULL;
    CHECK(ipc_future_result(promise, &number, sizeof number, &bytes), 0);
    assert_int_equal(bytes, sizeof number);
    assert_int_equal(number, right);
    CHECK(ipc_future_borrow(promise, &data, &bytes, long_after()), 0);
    assert_memory_equal(data, &number, sizeof number);
}

/* Or, if that is not possible, nobody will. */
static bool complete(ipc_future *promise, int number)
{
    const bool set =
        DONE(ipc_promise_set_result(promise, &number, sizeof number));
    if (!set)
        CHECK(ipc_future_cancel(promise), 0);
    assert_true(ipc_future_done(promise));
    assert_int_equal(ipc_future_cancelled(promise), !set);
    return set;
}

static void use_promise_that_is_begun(void)
{
    ipc_future *promise;
    if (!DONE(ipc_promise_new(sizeof(int), &promise)))
        return;
    expect_pending(promise);
    if (DONE(ipc_promise_begin(promise))) {
        const int number = 3;
        CHECK(ipc_future_cancel(promise), -EBUSY);
        expect_pending(promise);
        CHECK(ipc_promise_set_result(promise, &number, sizeof number), 0);
        expect_number(promise, number);
    } else if (complete(promise, 4)) {
        expect_number(promise, 4);
    }
    CHECK(ipc_future_free(promise), 0);
}

static void use_promise_that_fails(void)
{
    ipc_future *promise;
    ipc_exception found = IPC_EXCEPTION_INIT;
    if (!DONE(ipc_promise_new(100000, &promise)))
        return;
    if (DONE(ipc_promise_set_exception(promise, -EDOM, "as agreed"))) {
        CHECK(ipc_future_exception(promise, &found, IPC_TIME_NOW), 0);
        assert_int_equal(found.status, -EDOM);
        assert_string_equal(found.message, "as agreed");
        CHECK(ipc_future_wait(promise), 0);
    }
    CHECK(ipc_future_free(promise), 0);
}

static void wait_for_promise(void)
{
    ipc_future *promise;
    if (!DONE(ipc_promise_new(sizeof(int), &promise)))
        return;
    ipc_wait_item item = IPC_WAIT_FUTURE(promise);
    int rc = ipc_wait(&item, 1, IPC_TIME_NOW);
    assert_true(rc == -EAGAIN || !done("wait", rc));
    rc = ipc_wait(&item, 1, in_a_moment());
    assert_true(rc == -ETIMEDOUT || !done("wait", rc));
    (void)ipc__fail_plain(0);
    const int fd = has_helper() ? ipc_future_fd(promise) : -1;
    const bool watched = has_helper() && done("ipc_future_fd", fd);
    (void)complete(promise, 1);
    if (DONE(ipc_wait(&item, 1, long_after())))
        assert_true(item.ready != 0);
    if (watched) {
        assert_true(is_readable(fd, LIMIT_MS));
        CHECK(ipc_fd_close(fd), 0);
    }
    CHECK(ipc_future_free(promise), 0);
}

/* ---- many promises ---- */

static size_t new_promises(ipc_future **out, size_t n)
{
    size_t made = 0;
    for (size_t i = 0; i < n; i++)
        made += DONE(ipc_promise_new(sizeof(int), &out[made]));
    return made;
}

static void count_done(ipc_future *future, void *arg)
{
    assert_true(ipc_future_done(future));
    meet_signal(arg);
}

static uint32_t add_callbacks(ipc_future **all, size_t n, uint32_t *called)
{
    uint32_t added = 0;
    for (size_t i = 0; i < n && i < CALLED_FUTURES; i++)
        added += DONE(ipc_future_add_done_callback(all[i], count_done, called));
    return added;
}

/* All n are done, or will be: each comes once. */
static void expect_each_once(ipc_as_completed *next, size_t n)
{
    bool seen[MANY_FUTURES] = {false};
    size_t count = 0;
    size_t i = 0;
    for (size_t failures = 0; count < n && failures < 2;) {
        (void)ipc__fail_plain(0);
        const int rc = ipc_as_completed_next(next, long_after(), &i);
        if (!done("next", rc)) {
            failures++;
            continue;
        }
        assert_int_equal(rc, 1);
        assert_false(seen[i]);
        seen[i] = true;
        count++;
    }
    if (count == n)
        CHECK(ipc_as_completed_next(next, IPC_TIME_NOW, &i), 0);
}

static void expect_none_done(ipc_future **all, size_t n)
{
    int rc = ipc_wait_futures(all, n, IPC_FIRST_COMPLETED, IPC_TIME_NOW);
    assert_true(rc == -EAGAIN || !done("wait", rc));
    rc = ipc_wait_futures(all, n, IPC_FIRST_EXCEPTION, in_a_moment());
    assert_true(rc == -ETIMEDOUT || !done("wait", rc));
    rc = ipc_wait_futures(all, n, IPC_ALL_COMPLETED, in_a_moment());
    assert_true(rc == -ETIMEDOUT || !done("wait", rc));
}

static void expect_all_done(ipc_future **all, size_t n)
{
    (void)ipc__fail_plain(0);
    const int rc = ipc_wait_futures(all, n, IPC_ALL_COMPLETED, long_after());
    assert_true(!done("wait", rc) || rc == (int)n);
}

static void use_promises_at_once(size_t n)
{
    ipc_future *all[MANY_FUTURES];
    ipc_as_completed *next;
    uint32_t called = 0;
    n = new_promises(all, n);
    if (n == 0)
        return;
    expect_none_done(all, n);
    const uint32_t added = now->no_threads ? 0 : add_callbacks(all, n, &called);
    const bool going = DONE(ipc_as_completed_begin(all, n, &next));
    for (size_t i = 0; i < n; i++)
        if (complete(all[i], (int)i))
            expect_number(all[i], (int)i);
    expect_all_done(all, n);
    if (going) {
        expect_each_once(next, n);
        ipc_as_completed_end(next);
    }
    meet_wait(&called, added, LIMIT_MS);
    for (size_t i = 0; i < n; i++)
        CHECK(ipc_future_free(all[i]), 0);
    assert_int_equal(called, added);
}

/* ---- by another process ---- */

struct promises {
    size_t n;
    ipc_future *all[MANY_FUTURES];
};

static int complete_all(void *arg)
{
    struct promises *promises = arg;
    for (size_t i = 0; i < promises->n; i++)
        (void)complete(promises->all[i], (int)i);
    return 0;
}

static void await_in_turn(struct promises *promises)
{
    ipc_as_completed *next;
    if (DONE(ipc_as_completed_begin(promises->all, promises->n, &next))) {
        expect_each_once(next, promises->n);
        ipc_as_completed_end(next);
    }
    expect_all_done(promises->all, promises->n);
}

static void use_promises_together(size_t n)
{
    struct promises promises = {0};
    ipc_process process;
    promises.n = new_promises(promises.all, n);
    CHECK(ipc_process_init(&process, complete_all, &promises, NULL), 0);
    const bool started = DONE(ipc_process_start(&process));
    if (started && promises.n != 0)
        await_in_turn(&promises);
    finish(&process, started, 0);
    for (size_t i = 0; i < promises.n; i++) {
        if (!started) /* or it was, for a moment */
            (void)ipc_future_cancel(promises.all[i]);
        CHECK(ipc_future_wait_until(promises.all[i], long_after()), 0);
        CHECK(ipc_future_free(promises.all[i]), 0);
    }
}

static void use_futures(void)
{
    use_promise_that_is_begun();
    use_promise_that_fails();
    wait_for_promise();
    use_promises_at_once(3);
    use_promises_at_once(SOME_FUTURES);
    use_promises_at_once(MANY_FUTURES);
    use_promises_together(3);
    use_promises_together(MANY_FUTURES);
}

#endif
