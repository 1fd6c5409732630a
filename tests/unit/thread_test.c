/* Threads: describe, start, what the target gets, how it ends, bad use. */
#include "unit/thread_support.h"

#include <ipc/process.h>

/* ---- the target and its argument ---- */

static int add_one(void *arg)
{
    ++*(int *)arg;
    return 7;
}

static void target_sees_the_memory_of_its_starter(void)
{
    int number = 41;
    ipc_thread t;
    int code = 0;
    CHECK(ipc_thread_init(&t, add_one, &number, NULL), 0);
    CHECK(ipc_thread_start(&t), 0);
    CHECK(ipc_thread_join(&t), 0);
    CHECK(ipc_thread_exitcode(&t, &code), 0);
    CHECK(ipc_thread_close(&t), 0);
    assert_int_equal(number, 42);
    assert_int_equal(code, 7);
}

struct args {
    char text[20];
    uint32_t go;
};

static int look_at_copy(void *arg)
{
    struct args *mine = arg;
    assert_int_equal((uintptr_t)arg % _Alignof(max_align_t), 0);
    assert_string_equal(mine->text, "before");
    mine->text[0] = 'B';
    return 3;
}

static void argument_is_copied_by_init(void)
{
    struct args args = {.text = "before"};
    const ipc_thread_options options = {.size = sizeof options,
                                        .arg_bytes = sizeof args};
    ipc_thread t[2];
    for (int i = 0; i < 2; i++)
        CHECK(ipc_thread_init(&t[i], look_at_copy, &args, &options), 0);
    memcpy(args.text, "after", 6);
    for (int i = 0; i < 2; i++)
        CHECK(ipc_thread_start(&t[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(end_of_thread(&t[i]), 3);
    assert_string_equal(args.text, "after");
}

/* ---- the "subclass" ---- */

struct counter {
    ipc_thread thread;
    int start_result, upto;
    char history[32];
    int seen_exitcode;
};

static void note(ipc_thread *self, char what)
{
    struct counter *counter = (struct counter *)self;
    counter->history[strlen(counter->history)] = what;
    assert_ptr_equal(ipc_current_thread(), self);
}

static int on_start(ipc_thread *self)
{
    note(self, 's');
    return ((struct counter *)self)->start_result;
}

static int count_up(ipc_thread *self)
{
    const struct counter *counter = (struct counter *)self;
    for (int i = 0; i < counter->upto; i++)
        note(self, (char)('0' + i));
    return counter->upto;
}

static void on_exit_of_it(ipc_thread *self, int exitcode)
{
    note(self, 'e');
    ((struct counter *)self)->seen_exitcode = exitcode;
}

static const ipc_thread_ops counter_ops = {
    .run = count_up, .on_start = on_start, .on_exit = on_exit_of_it};

static void subclass_gets_itself_back(void)
{
    struct counter counter = {.upto = 3};
    CHECK(ipc_thread_init_ops(&counter.thread, &counter_ops, NULL), 0);
    CHECK(ipc_thread_start(&counter.thread), 0);
    assert_int_equal(end_of_thread(&counter.thread), 3);
    assert_string_equal(counter.history, "s012e");
    assert_int_equal(counter.seen_exitcode, 3);
}

static void on_start_may_refuse(void)
{
    struct counter counter = {.upto = 3, .start_result = 9};
    CHECK(ipc_thread_init_ops(&counter.thread, &counter_ops, NULL), 0);
    CHECK(ipc_thread_start(&counter.thread), 0);
    assert_int_equal(end_of_thread(&counter.thread), 9);
    assert_string_equal(counter.history, "s");
}

static int leave_in_run(ipc_thread *self)
{
    note(self, 'x');
    pthread_exit((void *)(intptr_t)5);
}

static void on_exit_is_not_called_after_pthread_exit(void)
{
    static const ipc_thread_ops ops = {.run = leave_in_run,
                                       .on_exit = on_exit_of_it};
    struct counter counter = {.upto = 3};
    CHECK(ipc_thread_init_ops(&counter.thread, &ops, NULL), 0);
    CHECK(ipc_thread_start(&counter.thread), 0);
    assert_int_equal(end_of_thread(&counter.thread), 5);
    assert_string_equal(counter.history, "x");
}

/* ---- exit codes ---- */

static int exit_by_pthread(void *arg)
{
    pthread_exit((void *)(intptr_t) * (int *)arg);
}

static int be_cancelled(void *arg)
{
    *(pthread_t *)arg = pthread_self();
    (void)pthread_cancel(pthread_self());
    pthread_testcancel();
    return 0;
}

static void exitcode_is_any_int(void)
{
    static const int codes[] = {0, 1, 255, 256, -1, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        int code = codes[i];
        assert_int_equal(run_thread(return_it, &code), codes[i]);
        if (codes[i] != -1)
            assert_int_equal(run_thread(exit_by_pthread, &code), codes[i]);
    }
}

static void cancelled_thread_says_so(void)
{
    pthread_t handle;
    assert_int_equal(run_thread(be_cancelled, &handle), -ECANCELED);
    int code = -1; /* PTHREAD_CANCELED */
    assert_int_equal(run_thread(exit_by_pthread, &code), -ECANCELED);
}

/* ---- options ---- */

static void options_of_another_version(void)
{
    struct {
        ipc_thread_options known;
        uint64_t tail;
    } newer = {.known = {.size = sizeof newer}, .tail = 0};
    ipc_thread t;
    int number = 5;
    CHECK(ipc_thread_init(&t, add_one, &number, &newer.known), 0);
    newer.tail = 1;
    CHECK(ipc_thread_init(&t, add_one, &number, &newer.known), -E2BIG);
    CHECK(ipc_thread_start(&t), -E2BIG);
    CHECK(ipc_thread_close(&t), 0);
    static const uint32_t bad[] = {0, 3, 5000};
    for (size_t i = 0; i < 3; i++) {
        const ipc_thread_options options = {.size = bad[i]};
        CHECK(ipc_thread_init(&t, add_one, &number, &options), -EINVAL);
        CHECK(ipc_thread_start(&t), -EINVAL);
        assert_int_equal(number, 5);
        CHECK(ipc_thread_close(&t), 0);
    }
    const ipc_thread_options older = {.size = 8, .daemon = true};
    CHECK(ipc_thread_init(&t, add_one, &number, &older), 0);
    assert_true(ipc_thread_is_daemon(&t));
    CHECK(ipc_thread_close(&t), 0);
    const ipc_thread_options empty = IPC_THREAD_OPTIONS_INIT;
    CHECK(ipc_thread_init(&t, add_one, &number, &empty), 0);
    CHECK(ipc_thread_close(&t), 0);
}

static void names_and_daemon_flag(void)
{
    ipc_thread t[3];
    const ipc_thread_options options = {
        .size = sizeof options, .name = "a name of more than thirty-one bytes"};
    int code = 1;
    CHECK(ipc_thread_init(&t[0], return_it, &code, &options), 0);
    assert_string_equal(ipc_thread_name(&t[0]),
                        "a name of more than thirty-one ");
    CHECK(ipc_thread_set_name(&t[0], "short"), 0);
    assert_string_equal(ipc_thread_name(&t[0]), "short");
    assert_false(ipc_thread_is_daemon(&t[0]));
    CHECK(ipc_thread_set_daemon(&t[0], true), 0);
    assert_true(ipc_thread_is_daemon(&t[0]));
    CHECK(ipc_thread_start(&t[0]), 0);
    CHECK(ipc_thread_set_name(&t[0], "late"), -EBUSY);
    CHECK(ipc_thread_set_daemon(&t[0], false), -EBUSY);
    assert_string_equal(ipc_thread_name(&t[0]), "short");

    for (int i = 1; i < 3; i++) {
        char expected[32];
        start_thread(&t[i], return_it, &code);
        (void)snprintf(expected, sizeof expected, "Thread-%d", i);
        assert_string_equal(ipc_thread_name(&t[i]), expected);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(end_of_thread(&t[i]), 1);
}

/* ---- bad use ---- */

static void expect_all(ipc_thread *t, int error)
{
    int code = 4711;
    CHECK(ipc_thread_join(t), error);
    assert_true(strlen(ipc_error_detail()) > 0);
    CHECK(ipc_thread_join_nowait(t), error);
    CHECK(ipc_thread_join_until(t, ipc_after_ms(1)), error);
    CHECK(ipc_thread_exitcode(t, &code), error);
    assert_int_equal(code, 4711);
    assert_false(ipc_thread_is_alive(t));
}

static void nothing_is_known_before_start_and_after_close(void)
{
    int code = 2;
    ipc_thread t = {.state_ = 0};
    expect_all(&t, -EINVAL);
    CHECK(ipc_thread_start(&t), -EINVAL);
    CHECK(ipc_thread_close(&t), 0);
    CHECK(ipc_thread_init(&t, return_it, &code, NULL), 0);
    expect_all(&t, -EINVAL);
    assert_int_equal(ipc_thread_native_id(&t), 0);
    assert_true(ipc_thread_ident(&t) == 0);
    CHECK(ipc_thread_start(&t), 0);
    assert_int_equal(end_of_thread(&t), 2);
    expect_all(&t, -EINVAL);
    CHECK(ipc_thread_start(&t), -EINVAL);
    CHECK(ipc_thread_close(&t), 0);
    memset(&t, 0xdb, sizeof t); /* what is not init'ed at all */
    expect_all(&t, -EINVAL);
    CHECK(ipc_thread_start(&t), -EINVAL);
}

static void an_object_starts_one_thread(void)
{
    uint32_t words[2] = {0, 0};
    ipc_thread t;
    start_thread(&t, come_and_stay, words);
    CHECK(ipc_thread_start(&t), -EALREADY);
    assert_non_null(strstr(ipc_error_detail(), ipc_thread_name(&t)));
    CHECK(ipc_thread_close(&t), -EBUSY);
    assert_true(ipc_thread_is_alive(&t));
    say(&words[1]);
    CHECK(ipc_thread_join(&t), 0);
    CHECK(ipc_thread_start(&t), -EALREADY);
    assert_int_equal(end_of_thread(&t), 0);
    CHECK(ipc_thread_init(&t, return_zero, NULL, NULL), 0); /* once more */
    CHECK(ipc_thread_start(&t), 0);
    assert_int_equal(end_of_thread(&t), 0);
}

static void failed_init_is_reported_by_start(void)
{
    static const ipc_thread_ops no_run = {.on_start = on_start};
    const ipc_thread_options options = {.size = sizeof options, .arg_bytes = 4};
    const ipc_thread_options huge = {.size = sizeof huge,
                                     .arg_bytes = PTRDIFF_MAX};
    ipc_thread t;
    CHECK(ipc_thread_init(&t, return_zero, NULL, &options), -EINVAL);
    CHECK(ipc_thread_start(&t), -EINVAL);
    CHECK(ipc_thread_close(&t), 0);
    CHECK(ipc_thread_init_ops(&t, &counter_ops, &options), -EINVAL);
    CHECK(ipc_thread_close(&t), 0);
    CHECK(ipc_thread_init_ops(&t, &no_run, NULL), -EINVAL);
    CHECK(ipc_thread_start(&t), -EINVAL);
    CHECK(ipc_thread_close(&t), 0);
    if (!SANITIZED) { /* they end the program */
        CHECK(ipc_thread_init(&t, return_zero, &t, &huge), -ENOMEM);
        CHECK(ipc_thread_start(&t), -ENOMEM);
        CHECK(ipc_thread_close(&t), 0);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(target_sees_the_memory_of_its_starter),
    TEST_CASE(argument_is_copied_by_init),
    TEST_CASE(subclass_gets_itself_back),
    TEST_CASE(on_start_may_refuse),
    TEST_CASE(on_exit_is_not_called_after_pthread_exit),
    TEST_CASE(exitcode_is_any_int),
    TEST_CASE(cancelled_thread_says_so),
    TEST_CASE(options_of_another_version),
    TEST_CASE(names_and_daemon_flag),
    TEST_CASE(nothing_is_known_before_start_and_after_close),
    TEST_CASE(an_object_starts_one_thread),
    TEST_CASE(failed_init_is_reported_by_start),
};
TEST_MAIN(cases)
