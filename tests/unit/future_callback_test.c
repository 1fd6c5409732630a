/* Callbacks of futures: who calls them, once, in order, whatever they do. */
#include "unit/future_callback_support.h"

#include <sys/wait.h>

#include "pool/callback.h"

/* ---- when ---- */

static void called_by_the_thread_for_them(void)
{
    struct notes notes = {.count = 0};
    struct note note = {&notes, 1};
    ipc_future *f = new_number();
    add(f, &note);
    assert_int_equal(notes.count, 0);
    set_number(f, 1);
    expect_count(&notes, 1);
    assert_int_not_equal(notes.tid, gettid());
    assert_true(notes.blocked);
    assert_string_equal(notes.name, "Callbacks");
    free_soon(f);
    expect_no_thread();
    assert_int_equal(ipc_active_threads(NULL, 0), 1);
}

static void called_also_for_failures_and_when_cancelled(void)
{
    struct notes notes = {.count = 0};
    struct note one = {&notes, 1}, two = {&notes, 2};
    ipc_future *f = new_number();
    ipc_future *g = new_number();
    add(f, &one);
    add(g, &two);
    CHECK(ipc_promise_set_exception(f, -EIO, NULL), 0);
    expect_count(&notes, 1);
    CHECK(ipc_future_cancel(g), 0);
    expect_count(&notes, 2);
    assert_true(notes.what[0] == 1 && notes.what[1] == 2);
    free_soon(f);
    free_soon(g);
    expect_no_thread();
}

/* By the caller, without a thread. */
static void at_once_if_it_is_done(void)
{
    for (int way = 0; way < 3; way++) {
        struct notes notes = {.count = 0};
        struct note note = {&notes, way};
        ipc_future *f = new_number();
        if (way == 0)
            set_number(f, 1);
        else if (way == 1)
            CHECK(ipc_promise_set_exception(f, -EIO, NULL), 0);
        else
            CHECK(ipc_future_cancel(f), 0);
        add(f, &note);
        assert_int_equal(notes.count, 1);
        assert_int_equal(notes.tid, gettid());
        assert_true(count_kernel_threads() == 1 || THREAD_SANITIZED);
        free_future(f);
    }
}

/* ---- order ---- */

static void in_the_order_in_which_they_came(void)
{
    struct notes notes = {.count = 0};
    struct note all[40];
    ipc_future *f = new_number();
    for (int i = 0; i < 40; i++) {
        all[i] = (struct note){&notes, i};
        add(f, &all[i]);
    }
    set_number(f, 1);
    expect_count(&notes, 40);
    for (int i = 0; i < 40; i++)
        assert_int_equal(notes.what[i], i);
    free_soon(f);
    expect_no_thread();
}

struct slow {
    struct notes *notes;
    uint32_t begun, go;
};

static void take_long(ipc_future *future, void *arg)
{
    struct slow *slow = arg;
    (void)future;
    meet_signal(&slow->begun);
    meet_wait(&slow->go, 1, LIMIT_MS);
    write_down(slow->notes, 1);
}

/* One that is added when it is done already comes behind those that are not
 * called yet. */
static void added_while_others_are_called(void)
{
    struct notes notes = {.count = 0};
    struct slow slow = {.notes = &notes};
    struct note two = {&notes, 2}, three = {&notes, 3};
    ipc_future *f = new_number();
    CHECK(ipc_future_add_done_callback(f, take_long, &slow), 0);
    add(f, &two);
    set_number(f, 1);
    meet_wait(&slow.begun, 1, LIMIT_MS);
    add(f, &three);
    assert_int_equal(notes.count, 0);
    CHECK(ipc_future_free(f), 0); /* after them */
    CHECK(ipc_future_free(f), -EINVAL);
    say(&slow.go);
    expect_count(&notes, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(notes.what[i], i + 1);
    expect_no_thread();
}

static void add_another(ipc_future *future, void *arg)
{
    struct note *note = arg;
    const int what = note->what++;
    if (what < 5)
        CHECK(ipc_future_add_done_callback(future, add_another, note), 0);
    write_down(note->notes, what);
}

static void a_callback_adds_another(void)
{
    struct notes notes = {.count = 0};
    struct note note = {&notes, 0};
    ipc_future *f = new_number();
    CHECK(ipc_future_add_done_callback(f, add_another, &note), 0);
    set_number(f, 1);
    expect_count(&notes, 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(notes.what[i], i);
    free_soon(f);
    expect_no_thread();
}

/* ---- what they may do ---- */

static void free_it(ipc_future *future, void *arg)
{
    const struct note *note = arg;
    free_future(future);
    write_down(note->notes, note->what);
}

static void the_last_one_frees_it(void)
{
    const uint64_t before = allocations();
    struct notes notes = {.count = 0};
    struct note note = {&notes, 1};
    for (uint32_t i = 1; i <= 30; i++) {
        ipc_future *f = new_number();
        add(f, &note);
        CHECK(ipc_future_add_done_callback(f, free_it, &note), 0);
        set_number(f, 1);
        expect_count(&notes, 2 * i);
    }
    assert_int_equal(allocations(), before);
    expect_no_thread();
}

static void free_early(ipc_future *future, void *arg)
{
    const struct note *note = arg;
    CHECK(ipc_future_free(future), 0);
    write_down(note->notes, note->what);
}

static void another_than_the_last_may_too(void)
{
    const uint64_t before = allocations();
    struct notes notes = {.count = 0};
    struct note one = {&notes, 1}, two = {&notes, 2};
    ipc_future *f = new_number();
    CHECK(ipc_future_add_done_callback(f, free_early, &one), 0);
    add(f, &two);
    set_number(f, 1);
    expect_count(&notes, 2);
    assert_int_equal(notes.what[1], 2);
    expect_no_thread();
    /* It goes when the last one has returned. */
    const int64_t from = test_now_ns();
    while (allocations() != before &&
           test_now_ns() - from < LIMIT_MS * NS_PER_MS)
        poll_pause();
    assert_int_equal(allocations(), before);
}

static void leave_the_thread(ipc_future *future, void *arg)
{
    (void)future;
    (void)arg;
    pthread_exit(NULL);
}

/* The others are called all the same. */
static void one_that_ends_its_thread(void)
{
    struct notes notes = {.count = 0};
    struct note note = {&notes, 2};
    ipc_future *f = new_number();
    ipc_future *g = new_number();
    CHECK(ipc_future_add_done_callback(f, leave_the_thread, NULL), 0);
    add(f, &note);
    CHECK(ipc_future_add_done_callback(g, leave_the_thread, NULL), 0);
    set_number(f, 1);
    expect_count(&notes, 1);
    set_number(g, 1);
    free_soon(f);
    free_soon(g);
    expect_no_thread();
}

static void keep_next(ipc_future *future, void *next)
{
    assert_int_equal(number_of(future), 1);
    set_number(next, 1);
}

/* One completes the next. */
static void a_chain(void)
{
    ipc_future *f[50];
    for (int i = 0; i < 50; i++)
        f[i] = new_number();
    for (int i = 0; i + 1 < 50; i++)
        CHECK(ipc_future_add_done_callback(f[i], keep_next, f[i + 1]), 0);
    set_number(f[0], 1);
    assert_int_equal(number_of(f[49]), 1);
    for (int i = 0; i < 50; i++)
        free_soon(f[i]);
    expect_no_thread();
}

/* ---- many ---- */

struct tally {
    uint32_t calls[2000];
    uint32_t all;
};

struct one {
    struct tally *tally;
    uint32_t i;
};

static void count_it(ipc_future *future, void *arg)
{
    const struct one *one = arg;
    (void)future;
    (void)__atomic_add_fetch(&one->tally->calls[one->i], 1, __ATOMIC_RELAXED);
    say(&one->tally->all);
}

static void each_once(void)
{
    enum {
        COUNT = 2000
    };
    static struct tally tally;
    static struct one ones[COUNT];
    static ipc_future *f[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        ones[i] = (struct one){&tally, i};
        f[i] = new_number();
        CHECK(ipc_future_add_done_callback(f[i], count_it, &ones[i]), 0);
    }
    for (uint32_t i = 0; i < COUNT; i++)
        set_number(f[(i * 7) % COUNT], 1);
    meet_wait(&tally.all, COUNT, LIMIT_MS);
    for (uint32_t i = 0; i < COUNT; i++) {
        free_soon(f[i]);
        assert_int_equal(tally.calls[i], 1);
    }
    assert_int_equal(tally.all, COUNT);
    expect_no_thread();
}

struct racer {
    ipc_future *f;
    struct tally *tally;
    uint32_t go;
};

static int complete_it(void *arg)
{
    struct racer *racer = arg;
    meet_wait(&racer->go, 1, LIMIT_MS);
    set_number(racer->f, 1);
    return 0;
}

/* Added while it is being completed: called by one or the other, once. */
static void added_at_the_very_moment(void)
{
    const long rounds = 200 * test_scale();
    for (long i = 0; i < rounds; i++) {
        static struct tally tally;
        struct one one = {&tally, 0};
        struct racer racer = {.f = new_number(), .tally = &tally};
        ipc_thread thread;
        memset(&tally, 0, sizeof tally);
        start_thread(&thread, complete_it, &racer);
        say(&racer.go);
        CHECK(ipc_future_add_done_callback(racer.f, count_it, &one), 0);
        meet_wait(&tally.all, 1, LIMIT_MS);
        assert_int_equal(end_of_thread(&thread), 0);
        free_soon(racer.f);
        assert_int_equal(tally.all, 1);
    }
    expect_no_thread();
}

/* ---- processes ---- */

static void keep_it(void *f)
{
    set_number(f, 1);
}

static void completed_by_another_process(void)
{
    struct notes notes = {.count = 0};
    struct note note = {&notes, 1};
    struct role role;
    ipc_future *f = new_number();
    role_start(&role, keep_it, f);
    add(f, &note);
    expect_count(&notes, 1);
    role_wait_ok(&role, LIMIT_MS);
    free_soon(f);
    expect_no_thread();
}

struct family {
    ipc_future *f;
    uint32_t go, calls, done;
    pid_t called_by[4];
};

static void say_who(ipc_future *future, void *arg)
{
    struct family *family = arg;
    (void)future;
    const uint32_t i = __atomic_fetch_add(&family->calls, 1, __ATOMIC_SEQ_CST);
    family->called_by[i] = getpid();
    meet_signal(&family->done);
}

static void child_of_one_that_waits(void *arg)
{
    struct family *family = arg;
    meet_signal(&family->go);
    CHECK(ipc_future_wait(family->f), 0);
    /* Its own is called by it; not its parent's. */
    CHECK(ipc_future_add_done_callback(family->f, say_who, family), 0);
    assert_int_equal(count_kernel_threads(), 1);
}

static void not_in_children(void)
{
    skip_threads_after_fork();
    struct family *family = ipc_shared_alloc(sizeof *family);
    struct role role;
    assert_non_null(family);
    family->f = new_number();
    CHECK(ipc_future_add_done_callback(family->f, say_who, family), 0);
    role_start(&role, child_of_one_that_waits, family);
    meet_wait(&family->go, 1, LIMIT_MS);
    set_number(family->f, 1);
    const pid_t child = role.pid;
    role_wait_ok(&role, LIMIT_MS);
    meet_wait(&family->done, 2, LIMIT_MS);
    free_soon(family->f);
    assert_int_equal(family->done, 2);
    assert_true(family->called_by[0] + family->called_by[1] ==
                child + getpid());
    CHECK(ipc_shared_free(family), 0);
    expect_no_thread();
}

static int with_own_thread(void *arg)
{
    struct notes notes = {.count = 0};
    struct note note = {&notes, 1};
    ipc_future *f = new_number();
    (void)arg;
    add(f, &note);
    set_number(f, 1);
    expect_count(&notes, 1);
    free_soon(f);
    return 0;
}

static void a_child_has_its_own(void)
{
    skip_threads_after_fork();
#ifdef __SANITIZE_ADDRESS__
    /* The thread may be starting while the child is forked. */
    test_skip("AddressSanitizer's own locks may be held in the child for ever");
#endif
    struct notes notes = {.count = 0};
    struct note note = {&notes, 1};
    ipc_future *f = new_number();
    add(f, &note);
    ipc_process child;
    start(&child, with_own_thread, NULL);
    assert_int_equal(end_of(&child), 0);
    assert_int_equal(notes.count, 0);
    set_number(f, 1);
    expect_count(&notes, 1);
    free_soon(f);
    expect_no_thread();
}

/* ---- draining, as the end of a pool does; promises have no pool ---- */

static void drain(ipc_future *future, void *arg)
{
    const struct note *note = arg;
    (void)future;
    CHECK(ipc__callbacks_drain(NULL, IPC_TIME_FOREVER), -EDEADLK);
    write_down(note->notes, note->what);
}

static void drained(void)
{
    struct notes notes = {.count = 0};
    struct slow slow = {.notes = &notes};
    struct note two = {&notes, 2}, never = {&notes, 3};
    ipc_future *f = new_number();
    ipc_future *g = new_number();
    CHECK(ipc__callbacks_drain(NULL, IPC_TIME_NOW), 0);
    CHECK(ipc_future_add_done_callback(f, take_long, &slow), 0);
    CHECK(ipc_future_add_done_callback(f, drain, &two), 0);
    add(g, &never);
    CHECK(ipc__callbacks_drain(NULL, IPC_TIME_NOW), 0);
    set_number(f, 1);
    meet_wait(&slow.begun, 1, LIMIT_MS);
    CHECK(ipc__callbacks_drain(NULL, IPC_TIME_NOW), -EAGAIN);
    CHECK(ipc__callbacks_drain(NULL, ipc_after_ms(SOON_MS)), -ETIMEDOUT);
    say(&slow.go);
    CHECK(ipc__callbacks_drain(NULL, ipc_after_ms(LIMIT_MS)), 0);
    assert_int_equal(notes.count, 2);
    CHECK(ipc_future_cancel(g), 0);
    CHECK(ipc__callbacks_drain(NULL, IPC_TIME_FOREVER), 0);
    assert_int_equal(notes.count, 3);
    free_future(f);
    free_future(g);
    expect_no_thread();
}

static const struct test_case cases[] = {
    TEST_CASE(called_by_the_thread_for_them),
    TEST_CASE(called_also_for_failures_and_when_cancelled),
    TEST_CASE(at_once_if_it_is_done),
    TEST_CASE(in_the_order_in_which_they_came),
    TEST_CASE(added_while_others_are_called),
    TEST_CASE(a_callback_adds_another),
    TEST_CASE(the_last_one_frees_it),
    TEST_CASE(another_than_the_last_may_too),
    TEST_CASE(one_that_ends_its_thread),
    TEST_CASE(a_chain),
    TEST_CASE(each_once),
    TEST_CASE(added_at_the_very_moment),
    TEST_CASE(completed_by_another_process),
    TEST_CASE(not_in_children),
    TEST_CASE(a_child_has_its_own),
    TEST_CASE(drained),
};
TEST_MAIN(cases)
