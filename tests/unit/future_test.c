/* Futures: states, results, failures, cancelling, freeing; with promises, which
 * are completed when the case says so. */
#include "unit/future_support.h"

#include <poll.h>

/* ---- states ---- */

static void a_new_one_is_pending(void)
{
    ipc_future *f = new_number();
    assert_false(ipc_future_done(f));
    assert_false(ipc_future_running(f));
    assert_false(ipc_future_cancelled(f));
    CHECK(ipc_future_wait_nowait(f), -EAGAIN);
    expect_says("pending");
    CHECK(ipc_promise_begin(f), 0);
    assert_true(ipc_future_running(f));
    assert_false(ipc_future_done(f));
    CHECK(ipc_future_wait_nowait(f), -EAGAIN);
    expect_says("running");
    set_number(f, 3);
    assert_false(ipc_future_running(f));
    assert_true(ipc_future_done(f));
    assert_false(ipc_future_cancelled(f));
    assert_int_equal(number_of(f), 3);
    free_future(f);
}

static void cancel_in_every_state(void)
{
    ipc_future *pending = new_number();
    CHECK(ipc_future_cancel(pending), 0);
    CHECK(ipc_future_cancel(pending), 0);
    assert_true(ipc_future_cancelled(pending));
    assert_true(ipc_future_done(pending));
    assert_false(ipc_future_running(pending));
    expect_status(pending, -ECANCELED);
    expect_says("cancelled");
    free_future(pending);

    ipc_future *running = new_number();
    CHECK(ipc_promise_begin(running), 0);
    CHECK(ipc_future_cancel(running), -EBUSY);
    CHECK(ipc_future_terminate(running, 0), -ENOTSUP);
    assert_false(ipc_future_cancelled(running));
    set_number(running, 1);
    CHECK(ipc_future_cancel(running), -EALREADY);
    CHECK(ipc_future_terminate(running, 0), -EALREADY);
    free_future(running);

    ipc_future *failed = new_number();
    CHECK(ipc_promise_set_exception(failed, -EIO, NULL), 0);
    CHECK(ipc_future_cancel(failed), -EALREADY);
    assert_false(ipc_future_cancelled(failed));
    free_future(failed);

    ipc_future *terminated = new_number();
    CHECK(ipc_future_terminate(terminated, 0), 0);
    assert_true(ipc_future_cancelled(terminated));
    CHECK(ipc_future_terminate(terminated, 0), 0);
    free_future(terminated);
}

/* ---- results ---- */

static void results_of_every_size(void)
{
    static const size_t sizes[] = {
        0,   1,   7,   8,   15,  16,  17,   32,   33,   39,     40,     41,
        127, 128, 129, 161, 192, 193, 1000, 4096, 4097, 100000, 9999999};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const size_t n = sizes[i];
        unsigned char *in = malloc(n + 1);
        unsigned char *out = malloc(n + 1);
        const void *data = NULL;
        size_t bytes = 1;
        assert_true(in != NULL && out != NULL);
        for (size_t k = 0; k < n; k++)
            in[k] = (unsigned char)(k * 7 + i);
        ipc_future *f = new_promise(n);
        CHECK(ipc_promise_set_result(f, in, n), 0);
        CHECK(ipc_future_result(f, out, n, &bytes), 0);
        assert_int_equal(bytes, n);
        assert_memory_equal(in, out, n);
        CHECK(ipc_future_borrow(f, &data, &bytes, IPC_TIME_FOREVER), 0);
        assert_int_equal(bytes, n);
        assert_true(n != 0 ? memcmp(data, in, n) == 0 : data == NULL);
        assert_true(n < 16 || (uintptr_t)data % 16 == 0);
        if (n != 0) {
            CHECK(ipc_future_result(f, out, n - 1, &bytes), -EMSGSIZE);
            assert_int_equal(bytes, n);
        }
        free_future(f);
        free(in);
        free(out);
    }
}

static void shorter_results_than_promised(void)
{
    for (size_t n = 0; n <= 48; n++) {
        char text[48] = "a text that is shorter than what was promised..";
        char out[48];
        size_t bytes = 0;
        ipc_future *f = new_promise(48);
        CHECK(ipc_promise_set_result(f, text, n), 0);
        CHECK(ipc_future_result(f, out, sizeof out, &bytes), 0);
        assert_int_equal(bytes, n);
        assert_memory_equal(out, text, n);
        free_future(f);
    }
    ipc_future *f = new_promise(2);
    CHECK(ipc_promise_set_result(f, "abc", 3), -EMSGSIZE);
    assert_false(ipc_future_done(f));
    CHECK(ipc_promise_set_result(f, "ab", 2), 0);
    free_future(f);
    CHECK(ipc_promise_new(SIZE_MAX, &f), -EINVAL);
}

static void a_result_may_be_had_many_times(void)
{
    ipc_future *f = new_number();
    set_number(f, 11);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(number_of(f), 11);
    CHECK(ipc_future_result(f, &(int){0}, sizeof(int), NULL), 0);
    CHECK(ipc_future_result_nowait(f, &(int){0}, sizeof(int), NULL), 0);
    CHECK(ipc_future_wait(f), 0);
    CHECK(ipc_future_wait_nowait(f), 0);
    CHECK(ipc_future_wait_until(f, IPC_TIME_NOW), 0);
    free_future(f);
}

/* ---- waiting ---- */

static void expect_kept(ipc_future *f, int ms)
{
    ipc_exception exception = IPC_EXCEPTION_INIT;
    ipc_deadline deadline = ipc_after_ms(ms);
    int number;
    CHECK(ipc_future_result_until(f, &number, sizeof number, NULL, deadline),
          -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
    deadline = ipc_after_ms(ms);
    CHECK(ipc_future_exception(f, &exception, deadline), -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
    assert_true(ipc_now() - deadline < SLACK_MS * NS_PER_MS);
}

static void deadlines_are_kept(void)
{
    ipc_future *f = new_number();
    ipc_exception exception = IPC_EXCEPTION_INIT;
    const void *data;
    static const ipc_deadline passed[] = {IPC_TIME_NOW, 1, -1, INT64_MIN};
    for (size_t i = 0; i < 4; i++)
        CHECK(ipc_future_wait_until(f, passed[i]), -ETIMEDOUT);
    CHECK(ipc_future_result_nowait(f, NULL, 0, NULL), -EAGAIN);
    CHECK(ipc_future_exception(f, &exception, IPC_TIME_NOW), -EAGAIN);
    CHECK(ipc_future_borrow(f, &data, NULL, IPC_TIME_NOW), -EAGAIN);
    expect_kept(f, 1);
    expect_kept(f, 30);
    expect_kept(f, 250); /* longer than the re-check period */
    set_number(f, 1);
    CHECK(ipc_future_wait_until(f, 1), 0);
    free_future(f);
}

static void result_waits_for_a_thread(void)
{
    for (int i = 0; i < 20; i++) {
        struct later later;
        ipc_future *f = new_number();
        begin_later(&later, set_seven, f);
        assert_int_equal(number_of(f), 7);
        end_later(&later);
        free_future(f);
    }
}

static void cancel_it(void *future)
{
    CHECK(ipc_future_cancel(future), 0);
}

static void cancelling_wakes_those_who_wait(void)
{
    struct later later;
    ipc_future *f = new_number();
    begin_later(&later, cancel_it, f);
    expect_status(f, -ECANCELED);
    end_later(&later);
    free_future(f);
}

static void fail_it(void *promise)
{
    CHECK(ipc_promise_set_exception(promise, -EIO, "no such page"), 0);
}

static void exception_waits_too(void)
{
    struct later later;
    ipc_future *f = new_number();
    begin_later(&later, fail_it, f);
    const ipc_exception exception = exception_of(f);
    end_later(&later);
    assert_int_equal(exception.kind, IPC_EXCEPTION_FAILED);
    assert_int_equal(exception.status, -EIO);
    assert_string_equal(exception.message, "no such page");
    free_future(f);
}

struct crowd {
    ipc_future *future;
    uint32_t waiting, back;
    pid_t tids[8];
};

static void wait_in_crowd(void *arg)
{
    struct crowd *crowd = arg;
    const uint32_t i = __atomic_fetch_add(&crowd->waiting, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&crowd->tids[i], gettid(), __ATOMIC_SEQ_CST);
    assert_int_equal(number_of(crowd->future), 5);
    say(&crowd->back);
}

static void *wait_in_crowd_thread(void *arg)
{
    wait_in_crowd(arg);
    return NULL;
}

static void expect_crowd_sleeps(struct crowd *crowd, int n)
{
    for (int i = 0; i < n; i++) {
        while (__atomic_load_n(&crowd->tids[i], __ATOMIC_SEQ_CST) == 0)
            poll_pause();
        wait_until_sleeping(crowd->tids[i], LIMIT_MS);
    }
}

static void eight_threads_wait_for_one(void)
{
    pthread_t threads[8];
    struct crowd crowd = {.future = new_number()};
    for (int i = 0; i < 8; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, wait_in_crowd_thread, &crowd), 0);
    expect_crowd_sleeps(&crowd, 8);
    CHECK(ipc_future_free(crowd.future), -EBUSY);
    set_number(crowd.future, 5);
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    free_future(crowd.future);
}

static void eight_processes_wait_for_one(void)
{
    struct role roles[8];
    struct crowd *crowd = ipc_shared_alloc(sizeof *crowd);
    assert_non_null(crowd);
    crowd->future = new_number();
    for (int i = 0; i < 8; i++)
        role_start(&roles[i], wait_in_crowd, crowd);
    expect_crowd_sleeps(crowd, 8);
    set_number(crowd->future, 5);
    for (int i = 0; i < 8; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
    free_future(crowd->future);
    CHECK(ipc_shared_free(crowd), 0);
}

/* ---- what went wrong ---- */

static void failures_say_why(void)
{
    ipc_future *f = new_number();
    CHECK(ipc_promise_set_exception(f, -ENOENT, "no such page"), 0);
    expect_status(f, -ENOENT);
    expect_says("task failed: no such page");
    const ipc_exception exception = exception_of(f);
    assert_int_equal(exception.pid, getpid());
    assert_int_equal(exception.attempts, 1);
    assert_false(exception.core || exception.maybe_oom);
    free_future(f);

    f = new_number();
    CHECK(ipc_promise_set_exception(f, -EAGAIN, NULL), 0);
    CHECK(ipc_future_result(f, NULL, 0, NULL), -EAGAIN);
    assert_true(ipc_future_done(f));
    expect_says("task failed: ");
    free_future(f);
}

static void long_messages_are_cut(void)
{
    char text[400];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    ipc_future *f = new_promise(0);
    CHECK(ipc_promise_set_exception(f, -EIO, text), 0);
    assert_int_equal(strlen(exception_of(f).message), 161);
    free_future(f);
}

static void no_exception_where_there_is_a_result(void)
{
    ipc_future *f = new_number();
    set_number(f, 1);
    const ipc_exception exception = exception_of(f);
    assert_int_equal(exception.kind, IPC_EXCEPTION_NONE);
    assert_int_equal(exception.status, 0);
    assert_string_equal(exception.message, "");
    free_future(f);
    f = new_number();
    CHECK(ipc_future_cancel(f), 0);
    assert_int_equal(exception_of(f).kind, IPC_EXCEPTION_CANCELLED);
    assert_int_equal(exception_of(f).status, -ECANCELED);
    free_future(f);
}

static void the_structure_of_an_older_program(void)
{
    struct {
        uint32_t size, kind;
        int32_t status;
        unsigned char rest[sizeof(ipc_exception)];
    } old = {12, 0, 0, {0}};
    memset(old.rest, 0x5a, sizeof old.rest);
    ipc_future *f = new_number();
    CHECK(ipc_promise_set_exception(f, -EIO, "text"), 0);
    CHECK(ipc_future_exception(f, (ipc_exception *)(void *)&old, IPC_TIME_NOW),
          0);
    assert_int_equal(old.status, -EIO);
    assert_int_equal(old.rest[0], 0x5a);
    free_future(f);
}

/* ---- freeing ---- */

static void what_was_freed_is_gone(void)
{
    const uint64_t before = allocations();
    ipc_future *f = new_promise(100000);
    assert_int_equal(allocations(), before + 1);
    CHECK(ipc_promise_set_result(f, "x", 1), 0);
    free_future(f);
    assert_int_equal(allocations(), before);
    CHECK(ipc_future_free(NULL), 0);
}

static void freed_before_it_is_done(void)
{
    const uint64_t before = allocations();
    ipc_future *done = new_number();
    ipc_future *failed = new_number();
    ipc_future *cancelled = new_number();
    free_future(done);
    CHECK(ipc_future_free(done), -EINVAL);
    set_number(done, 1);
    free_future(failed);
    CHECK(ipc_promise_begin(failed), 0);
    CHECK(ipc_promise_set_exception(failed, -EIO, "nobody hears it"), 0);
    free_future(cancelled);
    CHECK(ipc_future_cancel(cancelled), 0);
    assert_int_equal(allocations(), before);
}

static void what_is_no_future_is_refused(void)
{
    struct {
        _Alignas(64) unsigned char bytes[512];
    } memory;
    for (int fill = 0; fill < 256; fill += 51) {
        memset(&memory, fill, sizeof memory);
        ipc_future *f = (ipc_future *)(void *)&memory;
        ipc_exception exception = IPC_EXCEPTION_INIT;
        const void *data;
        CHECK(ipc_future_wait(f), -EINVAL);
        CHECK(ipc_future_result(f, NULL, 0, NULL), -EINVAL);
        CHECK(ipc_future_borrow(f, &data, NULL, IPC_TIME_FOREVER), -EINVAL);
        CHECK(ipc_future_exception(f, &exception, IPC_TIME_FOREVER), -EINVAL);
        CHECK(ipc_future_cancel(f), -EINVAL);
        CHECK(ipc_future_terminate(f, 0), -EINVAL);
        CHECK(ipc_future_free(f), -EINVAL);
        CHECK(ipc_promise_begin(f), -EINVAL);
        CHECK(ipc_promise_set_result(f, NULL, 0), -EINVAL);
        CHECK(ipc_promise_set_exception(f, -EIO, NULL), -EINVAL);
        CHECK(ipc_wait_futures(&f, 1, IPC_ALL_COMPLETED, IPC_TIME_NOW),
              -EINVAL);
    }
}

/* ---- ipc_wait() and descriptors ---- */

static void in_ipc_wait(void)
{
    struct later later;
    ipc_future *f[2] = {new_number(), new_number()};
    ipc_wait_item items[] = {IPC_WAIT_FUTURE(f[0]), IPC_WAIT_FUTURE(f[1])};
    CHECK(ipc_wait(items, 2, IPC_TIME_NOW), -EAGAIN);
    CHECK(ipc_wait(items, 2, ipc_after_ms(SOON_MS)), -ETIMEDOUT);
    begin_later(&later, set_seven, f[1]);
    CHECK(ipc_wait(items, 2, ipc_after_ms(LIMIT_MS)), 1);
    end_later(&later);
    assert_true(items[1].ready && !items[0].ready);
    CHECK(ipc_future_cancel(f[0]), 0);
    CHECK(ipc_wait(items, 2, IPC_TIME_NOW), 2);
    free_futures(f, 2);
}

static void with_a_descriptor(void)
{
    ipc_future *f = new_number();
    const int fd = ipc_future_fd(f);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    assert_true(fd >= 0);
    assert_int_equal(ipc_future_fd(f), fd);
    assert_int_equal(poll(&poll_fd, 1, 0), 0);
    set_number(f, 1);
    assert_int_equal(poll(&poll_fd, 1, LIMIT_MS), 1);
    assert_int_equal(number_of(f), 1);
    assert_int_equal(poll(&poll_fd, 1, 0), 1); /* for good */
    free_future(f);
    CHECK(ipc_fd_close(fd), -EINVAL);
    while (count_kernel_threads() > 1 && !THREAD_SANITIZED)
        poll_pause();
}

static const struct test_case cases[] = {
    TEST_CASE(a_new_one_is_pending),
    TEST_CASE(cancel_in_every_state),
    TEST_CASE(results_of_every_size),
    TEST_CASE(shorter_results_than_promised),
    TEST_CASE(a_result_may_be_had_many_times),
    TEST_CASE(deadlines_are_kept),
    TEST_CASE(result_waits_for_a_thread),
    TEST_CASE(cancelling_wakes_those_who_wait),
    TEST_CASE(exception_waits_too),
    TEST_CASE(eight_threads_wait_for_one),
    TEST_CASE(eight_processes_wait_for_one),
    TEST_CASE(failures_say_why),
    TEST_CASE(long_messages_are_cut),
    TEST_CASE(no_exception_where_there_is_a_result),
    TEST_CASE(the_structure_of_an_older_program),
    TEST_CASE(what_was_freed_is_gone),
    TEST_CASE(freed_before_it_is_done),
    TEST_CASE(what_is_no_future_is_refused),
    TEST_CASE(in_ipc_wait),
    TEST_CASE(with_a_descriptor),
};
TEST_MAIN(cases)
