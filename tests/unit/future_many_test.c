/* Several futures: ipc_wait_futures(), ipc_as_completed(). */
#include "unit/future_support.h"

#include "pool/future.h"

enum {
    MANY = 500 /* more than one sleeps on */
};

static ipc_future **new_numbers(size_t n)
{
    ipc_future **f = calloc(n, sizeof(ipc_future *));
    assert_non_null(f);
    for (size_t i = 0; i < n; i++)
        f[i] = new_number();
    return f;
}

static void free_numbers(ipc_future **f, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!ipc_future_done(f[i]))
            CHECK(ipc_future_cancel(f[i]), 0);
    free_futures(f, n);
    free(f);
}

static int wait_soon(ipc_future **f, size_t n, int when)
{
    return ipc_wait_futures(f, n, when, ipc_after_ms(LIMIT_MS));
}

static void fail_it(ipc_future *f)
{
    CHECK(ipc_promise_set_exception(f, -EIO, "it failed"), 0);
}

/* ---- wait ---- */

static void nothing_to_wait_for(void)
{
    ipc_future *none[3] = {NULL, NULL, NULL};
    for (int when = IPC_ALL_COMPLETED; when <= IPC_FIRST_EXCEPTION; when++) {
        CHECK(ipc_wait_futures(NULL, 0, when, IPC_TIME_FOREVER), 0);
        CHECK(ipc_wait_futures(none, 3, when, IPC_TIME_FOREVER), 0);
    }
    CHECK(ipc_wait_futures(none, 3, 3, IPC_TIME_NOW), -EINVAL);
    CHECK(ipc_wait_futures(none, 3, -1, IPC_TIME_NOW), -EINVAL);
}

static void first_completed(size_t n)
{
    ipc_future **f = new_numbers(n);
    struct later later;
    CHECK(ipc_wait_futures(f, n, IPC_FIRST_COMPLETED, IPC_TIME_NOW), -EAGAIN);
    CHECK(ipc_wait_futures(f, n, IPC_FIRST_COMPLETED, ipc_after_ms(SOON_MS)),
          -ETIMEDOUT);
    begin_later(&later, set_seven, f[n - 1]);
    CHECK(wait_soon(f, n, IPC_FIRST_COMPLETED), 1);
    end_later(&later);
    /* Some are done already. */
    CHECK(wait_soon(f, n, IPC_FIRST_COMPLETED), 1);
    CHECK(ipc_wait_futures(f, n, IPC_FIRST_COMPLETED, IPC_TIME_NOW), 1);
    CHECK(ipc_wait_futures(f, n - 1, IPC_FIRST_COMPLETED, IPC_TIME_NOW),
          -EAGAIN);
    free_numbers(f, n);
}

static void first_of_a_few(void)
{
    for (size_t n = 2; n <= 128; n *= 2)
        first_completed(n);
}

static void first_of_many(void)
{
    first_completed(MANY);
}

struct first_exception {
    ipc_future **f;
    size_t n;
};

static void done_then_failed(void *arg)
{
    const struct first_exception *x = arg;
    for (size_t i = 0; i < x->n / 2; i++)
        set_number(x->f[i], 1);
    fail_it(x->f[x->n / 2]);
}

static void first_exception_of(size_t n)
{
    struct later later;
    struct first_exception x = {new_numbers(n), n};
    begin_later(&later, done_then_failed, &x);
    CHECK(wait_soon(x.f, n, IPC_FIRST_EXCEPTION), (int)(n / 2 + 1));
    end_later(&later);
    /* One has failed already. */
    CHECK(ipc_wait_futures(x.f, n, IPC_FIRST_EXCEPTION, IPC_TIME_NOW),
          (int)(n / 2 + 1));
    free_numbers(x.f, n);
}

static void first_exception(void)
{
    first_exception_of(4);
    first_exception_of(MANY);
}

static void cancel_the_rest(void *arg)
{
    const struct first_exception *x = arg;
    for (size_t i = 2; i < x->n; i++)
        CHECK(ipc_future_cancel(x->f[i]), 0);
}

/* To be cancelled is no exception; then it is all. */
static void first_exception_and_none_fails(void)
{
    struct later later;
    struct first_exception x = {new_numbers(6), 6};
    set_number(x.f[0], 1);
    CHECK(ipc_future_cancel(x.f[1]), 0);
    CHECK(ipc_wait_futures(x.f, 6, IPC_FIRST_EXCEPTION, IPC_TIME_NOW), -EAGAIN);
    begin_later(&later, cancel_the_rest, &x);
    CHECK(wait_soon(x.f, 6, IPC_FIRST_EXCEPTION), 6);
    end_later(&later);
    free_numbers(x.f, 6);
}

static void complete_all(void *arg)
{
    const struct first_exception *x = arg;
    for (size_t i = x->n; i-- > 0;)
        if (!ipc_future_done(x->f[i]))
            set_number(x->f[i], 1);
}

static void all_completed(void)
{
    struct later later;
    struct first_exception x = {new_numbers(MANY), MANY};
    fail_it(x.f[3]);
    CHECK(ipc_future_cancel(x.f[4]), 0);
    CHECK(ipc_wait_futures(x.f, MANY, IPC_ALL_COMPLETED, IPC_TIME_NOW),
          -EAGAIN);
    CHECK(ipc_wait_futures(x.f, MANY, IPC_ALL_COMPLETED, ipc_after_ms(SOON_MS)),
          -ETIMEDOUT);
    begin_later(&later, complete_all, &x);
    CHECK(wait_soon(x.f, MANY, IPC_ALL_COMPLETED), MANY);
    end_later(&later);
    free_numbers(x.f, MANY);
}

/* Each place in the array counts. */
static void the_same_twice_and_none(void)
{
    ipc_future *one = new_number();
    ipc_future *f[] = {one, NULL, one, NULL, one};
    struct later later;
    CHECK(ipc_wait_futures(f, 5, IPC_ALL_COMPLETED, IPC_TIME_NOW), -EAGAIN);
    begin_later(&later, set_seven, one);
    CHECK(wait_soon(f, 5, IPC_FIRST_EXCEPTION), 3);
    end_later(&later);
    CHECK(wait_soon(f, 5, IPC_ALL_COMPLETED), 3);
    free_future(one);
}

/* Somebody waits for all, others for each: nobody is left asleep. */
struct pending_calls {
    ipc_future *f[20];
    uint32_t go;
};

static int complete_calls(void *arg)
{
    struct pending_calls *calls = arg;
    meet_wait(&calls->go, 1, LIMIT_MS);
    for (int i = 0; i < 20; i++)
        set_number(calls->f[i], i);
    return 0;
}

static void completed_while_the_wait_begins(void)
{
    for (int i = 0; i < 50; i++) {
        struct pending_calls calls = {.go = 0};
        ipc_thread thread;
        for (int k = 0; k < 20; k++)
            calls.f[k] = new_number();
        start_thread(&thread, complete_calls, &calls);
        say(&calls.go);
        CHECK(wait_soon(calls.f, 20,
                        i % 2 == 0 ? IPC_ALL_COMPLETED : IPC_FIRST_EXCEPTION),
              20);
        assert_int_equal(end_of_thread(&thread), 0);
        free_futures(calls.f, 20);
    }
}

/* ---- as completed ---- */

static void as_they_are_done(void)
{
    ipc_future **f = new_numbers(5);
    ipc_as_completed *next;
    size_t i = 9;
    CHECK(ipc_as_completed_begin(f, 5, &next), 0);
    CHECK(ipc_as_completed_next(next, IPC_TIME_NOW, &i), -EAGAIN);
    CHECK(ipc_as_completed_next(next, ipc_after_ms(SOON_MS), &i), -ETIMEDOUT);
    assert_int_equal(i, 9);
    set_number(f[3], 1);
    CHECK(ipc_as_completed_next(next, IPC_TIME_NOW, &i), 1);
    assert_int_equal(i, 3);
    CHECK(ipc_as_completed_next(next, IPC_TIME_NOW, &i), -EAGAIN);
    fail_it(f[0]);
    CHECK(ipc_as_completed_next(next, IPC_TIME_FOREVER, &i), 1);
    assert_int_equal(i, 0);
    CHECK(ipc_future_cancel(f[4]), 0);
    CHECK(ipc_as_completed_next(next, IPC_TIME_FOREVER, &i), 1);
    assert_int_equal(i, 4);
    set_number(f[1], 1);
    set_number(f[2], 1);
    CHECK(ipc_as_completed_next(next, IPC_TIME_FOREVER, &i), 1);
    CHECK(ipc_as_completed_next(next, IPC_TIME_FOREVER, &i), 1);
    CHECK(ipc_as_completed_next(next, IPC_TIME_FOREVER, &i), 0);
    CHECK(ipc_as_completed_next(next, IPC_TIME_NOW, &i), 0);
    ipc_as_completed_end(next);
    free_numbers(f, 5);
}

static void none_and_the_same_twice(void)
{
    ipc_future *one = new_number();
    ipc_future *f[] = {NULL, one, NULL, one};
    ipc_as_completed *next;
    size_t seen = 0, i;
    CHECK(ipc_as_completed_begin(NULL, 0, &next), 0);
    CHECK(ipc_as_completed_next(next, IPC_TIME_FOREVER, &i), 0);
    ipc_as_completed_end(next);
    ipc_as_completed_end(NULL);
    CHECK(ipc_as_completed_begin(f, 4, &next), 0);
    set_number(one, 1);
    while (ipc_as_completed_next(next, IPC_TIME_FOREVER, &i) > 0)
        seen |= (size_t)1 << i;
    assert_int_equal(seen, 10);
    ipc_as_completed_end(next);
    free_future(one);
}

struct told {
    size_t calls, done, total;
};

static void note_progress(size_t done, size_t total, void *arg)
{
    struct told *told = arg;
    told->calls++;
    told->done = done;
    told->total = total;
}

static void expect_told(const struct told *told, size_t calls, size_t done)
{
    assert_int_equal(told->calls, calls);
    assert_int_equal(told->done, done);
    assert_int_equal(told->total, 4);
}

/* With each that next() returns, and with nothing else. */
static void progress_is_told_of_each(void)
{
    ipc_future **f = new_numbers(4);
    ipc_future *some[] = {f[0], NULL, f[1], f[2], NULL, f[3]};
    struct told told = {0, 0, 0};
    ipc_as_completed *next;
    size_t i;
    CHECK(ipc_as_completed_begin(some, 6, &next), 0);
    ipc_as_completed_progress(next, note_progress, &told);
    CHECK(ipc_as_completed_next(next, IPC_TIME_NOW, &i), -EAGAIN);
    CHECK(ipc_as_completed_next(next, ipc_after_ms(SOON_MS), &i), -ETIMEDOUT);
    assert_int_equal(told.calls, 0);
    set_number(f[2], 1);
    fail_it(f[0]);
    CHECK(ipc_as_completed_next(next, IPC_TIME_NOW, &i), 1);
    expect_told(&told, 1, 1);
    CHECK(ipc_as_completed_next(next, IPC_TIME_NOW, &i), 1);
    expect_told(&told, 2, 2);
    CHECK(ipc_as_completed_next(next, IPC_TIME_NOW, &i), -EAGAIN);
    ipc_as_completed_progress(next, NULL, NULL);
    set_number(f[1], 1);
    CHECK(ipc_as_completed_next(next, IPC_TIME_NOW, &i), 1);
    expect_told(&told, 2, 2);
    ipc_as_completed_progress(next, note_progress, &told);
    CHECK(ipc_future_cancel(f[3]), 0);
    CHECK(ipc_as_completed_next(next, IPC_TIME_NOW, &i), 1);
    expect_told(&told, 3, 4);
    CHECK(ipc_as_completed_next(next, IPC_TIME_NOW, &i), 0);
    expect_told(&told, 3, 4);
    ipc_as_completed_end(next);
    free_numbers(f, 4);
}

/* A future may be freed as soon as it was told of. */
static void freed_on_the_way(void)
{
    ipc_future **f = new_numbers(MANY);
    ipc_as_completed *next;
    size_t i, count = 0;
    CHECK(ipc_as_completed_begin(f, MANY, &next), 0);
    for (size_t k = 0; k < MANY; k++) {
        set_number(f[MANY - 1 - k], 1);
        while (ipc_as_completed_next(next, IPC_TIME_NOW, &i) > 0) {
            free_future(f[i]);
            count++;
        }
    }
    assert_int_equal(count, MANY);
    ipc_as_completed_end(next);
    free(f);
}

struct stream {
    ipc_future **f;
    size_t n;
    size_t jump; /* the order: every jump-th; 1: as they come */
    uint32_t go;
};

static void complete_in_order(void *arg)
{
    struct stream *stream = arg;
    meet_wait(&stream->go, 1, LIMIT_MS);
    for (size_t i = 0; i < stream->n; i++)
        set_number(stream->f[i * stream->jump % stream->n], (int)i);
}

static int complete_in_thread(void *arg)
{
    complete_in_order(arg);
    return 0;
}

/* Each once, and none is missed. */
static void expect_each_once(ipc_future **f, size_t n)
{
    unsigned char *seen = calloc(n, 1);
    ipc_as_completed *next;
    size_t i;
    assert_non_null(seen);
    CHECK(ipc_as_completed_begin(f, n, &next), 0);
    for (size_t k = 0; k < n; k++) {
        CHECK(ipc_as_completed_next(next, ipc_after_ms(LIMIT_MS), &i), 1);
        assert_true(i < n && seen[i] == 0 && ipc_future_done(f[i]));
        seen[i] = 1;
    }
    CHECK(ipc_as_completed_next(next, IPC_TIME_FOREVER, &i), 0);
    ipc_as_completed_end(next);
    free(seen);
}

static void stream_of(size_t n, size_t jump, bool process, const char *name)
{
    struct stream *stream = ipc_shared_alloc(sizeof *stream);
    struct role role;
    ipc_thread thread;
    assert_non_null(stream);
    stream->n = n;
    stream->jump = jump;
    stream->f = ipc_shared_alloc(n * sizeof(ipc_future *));
    assert_non_null(stream->f);
    for (size_t i = 0; i < n; i++)
        stream->f[i] = new_number();
    if (process)
        role_start(&role, complete_in_order, stream);
    else
        start_thread(&thread, complete_in_thread, stream);
    const int64_t from = test_now_ns();
    say(&stream->go);
    expect_each_once(stream->f, n);
    test_report(name, (test_now_ns() - from) / NS_PER_MS);
    if (process)
        role_wait_ok(&role, LIMIT_MS);
    else
        assert_int_equal(end_of_thread(&thread), 0);
    free_futures(stream->f, n);
    CHECK(ipc_shared_free(stream->f), 0);
    CHECK(ipc_shared_free(stream), 0);
}

static void a_thousand_by_a_thread(void)
{
    stream_of(1000, 1, false, "in_order_ms");
    stream_of(1000, 7, false, "jumping_ms");
    stream_of(1000, 999, false, "backwards_ms");
}

static void a_thousand_by_a_process(void)
{
    stream_of(1000, 1, true, "in_order_ms");
    stream_of(1000, 7, true, "jumping_ms");
    stream_of(1000, 999, true, "backwards_ms");
}

/* Twice the number takes about twice the time, not four times. */
static void a_hundred_thousand(void)
{
    stream_of(100000, 1, true, "in_order_ms");
    stream_of(100000, 99999, true, "backwards_ms");
}

static int for_another_process(void *next)
{
    size_t i;
    return ipc_as_completed_next(next, IPC_TIME_NOW, &i) == -ECHILD ? 0 : 1;
}

static void of_the_process_that_has_begun_it(void)
{
    ipc_future *f = new_number();
    ipc_as_completed *next;
    CHECK(ipc_as_completed_begin(&f, 1, &next), 0);
    set_number(f, 1);
    ipc_process child;
    start(&child, for_another_process, next);
    assert_int_equal(end_of(&child), 0);
    ipc_as_completed_end(next);
    free_future(f);
}

/* Two go through the same, and both are told of all. */
static int go_through(void *arg)
{
    const struct stream *stream = arg;
    expect_each_once(stream->f, stream->n);
    return 0;
}

static void two_at_once(void)
{
    struct stream stream = {new_numbers(2000), 2000, 1, 0};
    ipc_thread threads[2];
    for (int i = 0; i < 2; i++)
        start_thread(&threads[i], go_through, &stream);
    say(&stream.go);
    complete_in_order(&stream);
    for (int i = 0; i < 2; i++)
        assert_int_equal(end_of_thread(&threads[i]), 0);
    free_numbers(stream.f, stream.n);
}

static const struct test_case cases[] = {
    TEST_CASE(nothing_to_wait_for),
    TEST_CASE(first_of_a_few),
    TEST_CASE(first_of_many),
    TEST_CASE(first_exception),
    TEST_CASE(first_exception_and_none_fails),
    TEST_CASE(all_completed),
    TEST_CASE(the_same_twice_and_none),
    TEST_CASE(completed_while_the_wait_begins),
    TEST_CASE(as_they_are_done),
    TEST_CASE(none_and_the_same_twice),
    TEST_CASE(progress_is_told_of_each),
    TEST_CASE(freed_on_the_way),
    TEST_CASE(a_thousand_by_a_thread),
    TEST_CASE(a_thousand_by_a_process),
    TEST_CASE(a_hundred_thousand),
    TEST_CASE(of_the_process_that_has_begun_it),
    TEST_CASE(two_at_once),
};
TEST_MAIN(cases)
