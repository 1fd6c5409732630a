/* Who am I, and which threads are there? */
#include "unit/thread_support.h"

/* ---- main and current ---- */

static void main_thread_has_an_object(void)
{
    ipc_thread *self = ipc_current_thread();
    assert_non_null(self);
    assert_ptr_equal(ipc_main_thread(), self);
    assert_ptr_equal(ipc_current_thread(), self);
    assert_string_equal(ipc_thread_name(self), "MainThread");
    assert_true(ipc_thread_is_alive(self));
    assert_false(ipc_thread_is_daemon(self));
    assert_int_equal(ipc_thread_native_id(self), getpid());
    assert_int_equal(ipc_gettid(), getpid());
    assert_true(ipc_thread_ident(self) != 0);
    int code;
    CHECK(ipc_thread_exitcode(self, &code), -EINVAL);
    CHECK(ipc_thread_start(self), -EALREADY);
    CHECK(ipc_thread_set_name(self, "x"), -EBUSY);
}

struct seen {
    ipc_thread thread;
    ipc_thread *current, *main;
    int tid;
    uint32_t here, go;
};

static int see(void *arg)
{
    struct seen *seen = arg;
    seen->current = ipc_current_thread();
    seen->main = ipc_main_thread();
    seen->tid = ipc_gettid();
    say(&seen->here);
    meet_wait(&seen->go, 1, LIMIT_MS);
    return 0;
}

static void thread_knows_its_object(void)
{
    struct seen seen = {.tid = 0};
    start_thread(&seen.thread, see, &seen);
    const int native_id = ipc_thread_native_id(&seen.thread);
    const uint64_t ident = ipc_thread_ident(&seen.thread);
    meet_wait(&seen.here, 1, LIMIT_MS);
    assert_ptr_equal(seen.current, &seen.thread);
    assert_ptr_equal(seen.main, ipc_main_thread());
    assert_int_equal(seen.tid, native_id);
    assert_int_not_equal(native_id, getpid());
    assert_true(ident != 0 && ident != ipc_thread_ident(ipc_main_thread()));
    say(&seen.go);
    CHECK(ipc_thread_join(&seen.thread), 0);
    assert_int_equal(ipc_thread_native_id(&seen.thread), native_id);
    assert_true(ipc_thread_ident(&seen.thread) == ident);
    assert_int_equal(end_of_thread(&seen.thread), 0);
}

/* native_id is known as soon as start() has returned. */
static void native_id_waits_for_the_thread_to_begin(void)
{
    for (int i = 0; i < 200; i++) {
        ipc_thread t;
        uint64_t idents[2];
        start_thread(&t, return_zero, NULL);
        assert_true(ipc_thread_native_id(&t) > 0);
        idents[0] = ipc_thread_ident(&t);
        assert_int_equal(end_of_thread(&t), 0);
        start_thread(&t, return_zero, NULL);
        idents[1] = ipc_thread_ident(&t);
        assert_int_equal(end_of_thread(&t), 0);
        assert_true(idents[0] != idents[1]);
    }
}

/* ---- the list ---- */

static void active_threads_in_order(void)
{
    enum {
        COUNT = 5
    };
    uint32_t words[COUNT][2];
    ipc_thread t[COUNT];
    ipc_thread *list[COUNT + 2];
    memset(words, 0, sizeof words);
    assert_int_equal(ipc_active_threads(list, 7), 1);
    assert_ptr_equal(list[0], ipc_main_thread());
    for (int i = 0; i < COUNT; i++)
        start_thread(&t[i], come_and_stay, words[i]);
    assert_int_equal(ipc_active_threads(NULL, 0), 1 + COUNT);
    assert_int_equal(ipc_active_threads(list, 2), 1 + COUNT);
    assert_ptr_equal(list[1], &t[0]);
    assert_int_equal(ipc_active_threads(list, COUNT + 2), 1 + COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_ptr_equal(list[1 + i], &t[i]);

    say(&words[2][1]);
    assert_int_equal(end_of_thread(&t[2]), 0);
    say(&words[4][1]);
    CHECK(ipc_thread_join(&t[4]), 0);
    assert_int_equal(ipc_active_threads(list, COUNT + 2), 1 + 3);
    assert_ptr_equal(list[3], &t[3]);
    static const int others[] = {0, 1, 3};
    for (size_t i = 0; i < 3; i++)
        say(&words[others[i]][1]);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(end_of_thread(&t[others[i]]), 0);
    assert_int_equal(end_of_thread(&t[4]), 0);
    assert_int_equal(ipc_active_threads(list, 7), 1);
}

/* Nobody joins them; that they have ended is noticed all the same. */
static void ended_threads_are_collected_by_the_way(void)
{
    enum {
        COUNT = 50
    };
    static ipc_thread t[COUNT];
    for (int i = 0; i < COUNT; i++)
        start_thread(&t[i], return_zero, NULL);
    const int64_t from = test_now_ns();
    while (ipc_active_threads(NULL, 0) > 1 && ms_since(from) < LIMIT_MS)
        poll_pause();
    assert_int_equal(ipc_active_threads(NULL, 0), 1);
    while (count_kernel_threads() > 1 && !THREAD_SANITIZED &&
           ms_since(from) < LIMIT_MS)
        poll_pause();
    assert_true(count_kernel_threads() == 1 || THREAD_SANITIZED);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(end_of_thread(&t[i]), 0);
}

static long virtual_kb(void)
{
    char line[128];
    long kb = 0;
    FILE *file = fopen("/proc/self/status", "re");
    assert_non_null(file);
    while (kb == 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "VmSize:", 7) == 0)
            kb = strtol(line + 7, NULL, 10);
    (void)fclose(file);
    return kb;
}

/* Fire and forget: their stacks are freed when others are started. */
static void stacks_of_ended_threads_are_not_kept(void)
{
    enum {
        COUNT = 300,
        STACK_KB = 1024
    };
    if (SANITIZED)
        test_skip("a sanitizer has memory of its own for each thread");
    static ipc_thread t[COUNT];
    const ipc_thread_options options = {.size = sizeof options,
                                        .stack_bytes = (size_t)STACK_KB * 1024};
    start_thread(&t[0], return_zero, NULL); /* malloc's own for threads */
    assert_int_equal(end_of_thread(&t[0]), 0);
    const long before = virtual_kb();
    for (int i = 0; i < COUNT; i++) {
        start_thread_with(&t[i], return_zero, NULL, &options);
        while (ipc_thread_is_alive(&t[i]))
            poll_pause();
    }
    const long more = virtual_kb() - before;
    test_report("more_kb", more);
    assert_true(more < (long)COUNT * STACK_KB / 2);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(end_of_thread(&t[i]), 0);
}

/* ---- threads of others ---- */

static void *see_foreign(void *arg)
{
    (void)see(arg);
    struct seen *seen = arg;
    ipc_thread *self = seen->current;
    assert_ptr_equal(ipc_current_thread(), self);
    assert_true(ipc_thread_is_alive(self));
    assert_true(ipc_thread_is_daemon(self));
    assert_int_equal(ipc_thread_native_id(self), ipc_gettid());
    int code;
    CHECK(ipc_thread_join(self), -EINVAL);
    CHECK(ipc_thread_exitcode(self, &code), -EINVAL);
    CHECK(ipc_thread_close(self), -EINVAL);
    return NULL;
}

static void threads_of_others_get_objects(void)
{
    struct seen seen[2] = {{.tid = 0}, {.tid = 0}};
    pthread_t handles[2];
    ipc_thread *list[4];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            pthread_create(&handles[i], NULL, see_foreign, &seen[i]), 0);
        meet_wait(&seen[i].here, 1, LIMIT_MS);
    }
    assert_string_equal(ipc_thread_name(seen[0].current), "Dummy-1");
    assert_string_equal(ipc_thread_name(seen[1].current), "Dummy-2");
    assert_int_equal(ipc_active_threads(list, 4), 3);
    assert_ptr_equal(list[1], seen[0].current);
    assert_ptr_equal(list[2], seen[1].current);
    CHECK(ipc_thread_join_until(seen[0].current, ipc_after_ms(1)), -EINVAL);
    for (int i = 0; i < 2; i++) {
        say(&seen[i].go);
        assert_int_equal(pthread_join(handles[i], NULL), 0);
    }
    assert_int_equal(ipc_active_threads(list, 4), 1);
}

/* ---- a hundred at once ---- */

static void hundred_threads_at_once(void)
{
    enum {
        COUNT = 100
    };
    static struct seen all[COUNT];
    for (int i = 0; i < COUNT; i++)
        start_thread(&all[i].thread, see, &all[i]);
    for (int i = 0; i < COUNT; i++)
        meet_wait(&all[i].here, 1, LIMIT_MS);
    assert_int_equal(ipc_active_threads(NULL, 0), COUNT + 1);
    for (int i = 0; i < COUNT; i++) {
        char expected[32], comm[64];
        (void)snprintf(expected, sizeof expected, "Thread-%d", i + 1);
        assert_string_equal(ipc_thread_name(&all[i].thread), expected);
        name_in_kernel(ipc_thread_native_id(&all[i].thread), comm);
        assert_string_equal(comm, expected);
        assert_ptr_equal(all[i].current, &all[i].thread);
        for (int j = 0; j < i; j++)
            assert_true(all[i].tid != all[j].tid &&
                        ipc_thread_ident(&all[i].thread) !=
                            ipc_thread_ident(&all[j].thread));
    }
    for (int i = 0; i < COUNT; i++)
        say(&all[i].go);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(end_of_thread(&all[i].thread), 0);
    assert_int_equal(ipc_active_threads(NULL, 0), 1);
}

static const struct test_case cases[] = {
    TEST_CASE(main_thread_has_an_object),
    TEST_CASE(thread_knows_its_object),
    TEST_CASE(native_id_waits_for_the_thread_to_begin),
    TEST_CASE(active_threads_in_order),
    TEST_CASE(ended_threads_are_collected_by_the_way),
    TEST_CASE(stacks_of_ended_threads_are_not_kept),
    TEST_CASE(threads_of_others_get_objects),
    TEST_CASE(hundred_threads_at_once),
};
TEST_MAIN(cases)
