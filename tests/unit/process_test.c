/* Processes are started with what they were given, run apart from their
 * starter, and end with what they returned. */
#include "unit/process_support.h"

#include <pthread.h>

#include <ipc/shared.h>

/* ---- the target ---- */

struct seen {
    int pid, ppid;
    int own_pid, own_ppid; /* as ipc_getpid() and ipc_getppid() say */
    void *arg;
    char name[40];
    char comm[64];
};

static int look_around(void *arg)
{
    struct seen *seen = *(struct seen **)arg;
    seen->pid = (int)getpid();
    seen->ppid = (int)getppid();
    seen->own_pid = ipc_getpid();
    seen->own_ppid = ipc_getppid();
    seen->arg = arg;
    (void)snprintf(seen->name, sizeof seen->name, "%s",
                   ipc_process_name(ipc_current_process()));
    comm_of(getpid(), seen->comm);
    return 0;
}

static void target_runs_in_a_child(void)
{
    struct seen *seen = test_shared(sizeof *seen);
    ipc_process p;
    CHECK(ipc_process_init(&p, look_around, &seen, NULL), 0);
    assert_int_equal(ipc_process_pid(&p), 0);
    CHECK(ipc_process_start(&p), 0);
    const int pid = ipc_process_pid(&p);
    assert_true(pid > 0 && pid != getpid());
    assert_int_equal(end_of(&p), 0);
    assert_int_equal(seen->pid, pid);
    assert_int_equal(seen->own_pid, pid);
    assert_int_equal(seen->ppid, getpid());
    assert_int_equal(seen->own_ppid, getpid());
    assert_ptr_equal(seen->arg, &seen);
}

static int a_global = 1;

static int change_the_global(void *unused)
{
    (void)unused;
    a_global++;
    return a_global;
}

static void child_has_copies_of_all_memory(void)
{
    assert_int_equal(run(change_the_global, NULL), 2);
    assert_int_equal(run(change_the_global, NULL), 2);
    assert_int_equal(a_global, 1);
}

static int count_up(void *arg)
{
    (void)__atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
    return 0;
}

static void child_shares_family_memory(void)
{
    int *hits = ipc_shared_alloc(sizeof *hits);
    assert_non_null(hits);
    for (int i = 0; i < 3; i++)
        assert_int_equal(run(count_up, hits), 0);
    assert_int_equal(*hits, 3);
    CHECK(ipc_shared_free(hits), 0);
}

/* ---- exit codes ---- */

static void result_is_the_exit_code(void)
{
    static const struct {
        int result, code;
    } table[] = {{0, 0},     {1, 1},     {77, 77}, {127, 127},
                 {128, 128}, {255, 255}, {256, 0}, {-1, 255}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int result = table[i].result;
        assert_int_equal(run(return_it, &result), table[i].code);
        assert_int_equal(run_daemon(return_it, &result), table[i].code);
    }
}

static int call_exit(void *arg)
{
    leave(*(int *)arg);
}

static int call__exit(void *arg)
{
    _exit(*(int *)arg);
}

static void *exit_from_a_thread(void *arg)
{
    leave(*(int *)arg);
}

static int let_a_thread_exit(void *arg)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, exit_from_a_thread, arg), 0);
    (void)pthread_join(thread, NULL);
    return 99;
}

static int end_the_only_thread(void *unused)
{
    (void)unused;
    pthread_exit(NULL);
}

static int die_of(void *arg)
{
    (void)signal(*(int *)arg, SIG_DFL);
    (void)raise(*(int *)arg);
    return 0;
}

static void every_way_to_end_has_its_code(void)
{
    int (*const ways[])(void *) = {call_exit, call__exit, let_a_thread_exit};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        for (int code = 0; code <= 300; code += 100) {
            assert_int_equal(run(ways[i], &code), code & 255);
            assert_int_equal(run_daemon(ways[i], &code), code & 255);
        }
    }
    /* The process of a thread that was the last one ends with 0; a daemon's
     * watcher does not count. */
    if (!THREAD_SANITIZED) { /* it has threads of its own */
        assert_int_equal(run(end_the_only_thread, NULL), 0);
        assert_int_equal(run_daemon(end_the_only_thread, NULL), 0);
    }

    static const int signals[] = {SIGKILL, SIGTERM, SIGABRT, SIGSEGV, SIGUSR1};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        int sig = signals[i];
        assert_int_equal(run(die_of, &sig), -sig);
        assert_int_equal(run_daemon(die_of, &sig), -sig);
    }
}

/* ---- arguments ---- */

struct argument {
    int number;
    char text[100];
};

static int read_argument(void *arg)
{
    const struct argument *given = arg;
    return strcmp(given->text, "as it was") == 0 ? given->number : -1;
}

static void argument_bytes_are_copied_by_init(void)
{
    struct argument argument = {42, "as it was"};
    const ipc_process_options options = {.size = sizeof options,
                                         .arg_bytes = sizeof argument};
    ipc_process p;
    CHECK(ipc_process_init(&p, read_argument, &argument, &options), 0);
    memset(&argument, 0, sizeof argument);
    CHECK(ipc_process_start(&p), 0);
    assert_int_equal(end_of(&p), 42);
}

static void argument_pointer_is_passed_on(void)
{
    struct argument argument = {42, "changed after init"};
    ipc_process p;
    CHECK(ipc_process_init(&p, read_argument, &argument, NULL), 0);
    (void)snprintf(argument.text, sizeof argument.text, "as it was");
    CHECK(ipc_process_start(&p), 0);
    memset(&argument, 0, sizeof argument);
    assert_int_equal(end_of(&p), 42);
}

static int is_null(void *arg)
{
    return arg == NULL;
}

static void bad_arguments_are_refused_by_init_and_start(void)
{
    ipc_process p;
    assert_int_equal(run(is_null, NULL), 1);

    ipc_process_options options = {.size = sizeof options, .arg_bytes = 1};
    CHECK(ipc_process_init(&p, is_null, NULL, &options), -EINVAL);
    CHECK(ipc_process_start(&p), -EINVAL);
    CHECK(ipc_process_start(&p), -EINVAL);
    CHECK(ipc_process_close(&p), 0);

    if (SANITIZED) /* it takes such a size for a bug */
        return;
    int byte = 0;
    options.arg_bytes = SIZE_MAX / 4;
    CHECK(ipc_process_init(&p, is_null, &byte, &options), -ENOMEM);
    CHECK(ipc_process_start(&p), -ENOMEM);
    CHECK(ipc_process_close(&p), 0);
}

/* ---- the subclass form ---- */

struct counter {
    ipc_process process;
    int start_code, run_code;
    int *steps; /* shared: what ran, as decimal digits */
};

static int counter_on_start(ipc_process *self)
{
    struct counter *c = (struct counter *)self;
    *c->steps = *c->steps * 10 + 1;
    return c->start_code;
}

static int counter_run(ipc_process *self)
{
    struct counter *c = (struct counter *)self;
    *c->steps = *c->steps * 10 + 2;
    assert_ptr_equal(ipc_current_process(), self);
    if (c->run_code == 1000)
        leave(7);
    return c->run_code;
}

static void counter_on_exit(ipc_process *self, int exitcode)
{
    struct counter *c = (struct counter *)self;
    *c->steps = *c->steps * 10 + (exitcode == c->run_code ? 3 : 9);
}

static void ops_are_called_with_the_object(void)
{
    static const ipc_process_ops all = {counter_run, counter_on_start,
                                        counter_on_exit};
    static const ipc_process_ops bare = {.run = counter_run};
    static const struct {
        const ipc_process_ops *ops;
        int start_code, run_code; /* 1000: run calls exit(7) */
        int steps, code;
    } table[] = {
        {&all, 0, 5, 123, 5},   {&all, 0, 0, 123, 0}, {&all, 9, 5, 1, 9},
        {&all, 0, 1000, 12, 7}, {&bare, 9, 6, 2, 6},
    };
    int *steps = test_shared(sizeof *steps);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct counter c = {.start_code = table[i].start_code,
                            .run_code = table[i].run_code,
                            .steps = steps};
        *steps = 0;
        CHECK(ipc_process_init_ops(&c.process, table[i].ops, NULL), 0);
        CHECK(ipc_process_start(&c.process), 0);
        assert_int_equal(end_of(&c.process), table[i].code);
        assert_int_equal(*steps, table[i].steps);
    }
}

static void ops_without_run_are_refused(void)
{
    static const ipc_process_ops none = {.on_start = counter_on_start};
    ipc_process p;
    CHECK(ipc_process_init_ops(&p, &none, NULL), -EINVAL);
    CHECK(ipc_process_start(&p), -EINVAL);
    CHECK(ipc_process_close(&p), 0);
}

/* ---- names ---- */

static void expect_name(const char *given, const char *name, const char *comm)
{
    struct seen *seen = test_shared(sizeof *seen);
    char buffer[64] = "";
    ipc_process_options options = {.size = sizeof options};
    if (given != NULL) {
        (void)snprintf(buffer, sizeof buffer, "%s", given);
        options.name = buffer;
    }
    ipc_process p;
    CHECK(ipc_process_init(&p, look_around, &seen, &options), 0);
    memset(buffer, 'x', sizeof buffer - 1);
    CHECK(ipc_process_start(&p), 0);
    assert_string_equal(ipc_process_name(&p), name);
    assert_int_equal(end_of(&p), 0);
    assert_string_equal(seen->name, name);
    assert_string_equal(seen->comm, comm);
}

static int first_child_is_number_one(void *unused)
{
    (void)unused;
    expect_name(NULL, "Process-1", "Process-1");
    return 0;
}

static void names_are_given_or_counted(void)
{
    expect_name(NULL, "Process-1", "Process-1");
    expect_name("worker", "worker", "worker");
    expect_name(NULL, "Process-2", "Process-2");
    expect_name("", "Process-3", "Process-3");
    expect_name("1234567890123456", "1234567890123456", "123456789012345");
    expect_name("a name of exactly thirty-1 bytes", /* 32, one too many */
                "a name of exactly thirty-1 byte", "a name of exact");
    expect_name("100% of (a) b", "100% of (a) b", "100% of (a) b");
    assert_int_equal(run(first_child_is_number_one, NULL), 0);
}

static void name_and_daemon_change_before_start_only(void)
{
    uint32_t *words = test_shared(2 * sizeof *words);
    ipc_process p;
    CHECK(ipc_process_init(&p, come_and_stay, words, NULL), 0);
    CHECK(ipc_process_set_name(&p, "first"), 0);
    CHECK(ipc_process_set_name(&p, "second"), 0);
    assert_false(ipc_process_is_daemon(&p));
    CHECK(ipc_process_set_daemon(&p, true), 0);
    assert_true(ipc_process_is_daemon(&p));
    CHECK(ipc_process_set_daemon(&p, false), 0);
    CHECK(ipc_process_start(&p), 0);
    CHECK(ipc_process_set_name(&p, "third"), -EBUSY);
    CHECK(ipc_process_set_daemon(&p, true), -EBUSY);
    assert_string_equal(ipc_process_name(&p), "second");
    assert_false(ipc_process_is_daemon(&p));
    meet_wait(&words[0], 1, LIMIT_MS);
    char comm[64];
    comm_of(ipc_process_pid(&p), comm);
    assert_string_equal(comm, "second");
    meet_signal(&words[1]);
    CHECK(ipc_process_join(&p), 0);
    CHECK(ipc_process_set_name(&p, "third"), -EBUSY);
    assert_int_equal(end_of(&p), 0);
}

/* ---- the life of an object ---- */

static void object_starts_one_process(void)
{
    uint32_t *words = test_shared(2 * sizeof *words);
    ipc_process p = {.state_ = 0};
    CHECK(ipc_process_start(&p), -EINVAL);
    start(&p, come_and_stay, words);
    CHECK(ipc_process_start(&p), -EALREADY);
    meet_signal(&words[1]);
    CHECK(ipc_process_join(&p), 0);
    CHECK(ipc_process_start(&p), -EALREADY);
    assert_int_equal(end_of(&p), 0);
    CHECK(ipc_process_start(&p), -EINVAL);
    assert_int_equal(words[0], 1);
}

static void object_is_closed_when_it_has_ended(void)
{
    uint32_t *words = test_shared(2 * sizeof *words);
    ipc_process p = {.state_ = 0};
    CHECK(ipc_process_close(&p), 0); /* never init'ed, but zero */
    CHECK(ipc_process_init(&p, come_and_stay, words, NULL), 0);
    CHECK(ipc_process_close(&p), 0); /* never started */
    for (int i = 0; i < 3; i++) {
        words[0] = words[1] = 0;
        start(&p, come_and_stay, words);
        meet_wait(&words[0], 1, LIMIT_MS);
        CHECK(ipc_process_close(&p), -EBUSY);
        assert_true(ipc_process_is_alive(&p));
        meet_signal(&words[1]);
        CHECK(ipc_process_join(&p), 0);
        CHECK(ipc_process_close(&p), 0);
        CHECK(ipc_process_close(&p), 0);
        assert_int_equal(ipc_process_pid(&p), 0);
    }
}

static void closing_frees_what_was_taken(void)
{
    int code = 3;
    assert_int_equal(run(return_it, &code), 3); /* makes what stays */
    ipc_shared_info before = IPC_SHARED_INFO_INIT;
    ipc_shared_info after = IPC_SHARED_INFO_INIT;
    CHECK(ipc_shared_query(&before), 0);
    const int fds = count_fds();
    for (int i = 0; i < 20; i++)
        assert_int_equal(run(return_it, &code), 3);
    CHECK(ipc_shared_query(&after), 0);
    assert_int_equal(after.count, before.count);
    assert_int_equal(after.used, before.used);
    assert_int_equal(count_fds(), fds);
}

static const struct test_case cases[] = {
    TEST_CASE(target_runs_in_a_child),
    TEST_CASE(child_has_copies_of_all_memory),
    TEST_CASE(child_shares_family_memory),
    TEST_CASE(result_is_the_exit_code),
    TEST_CASE(every_way_to_end_has_its_code),
    TEST_CASE(argument_bytes_are_copied_by_init),
    TEST_CASE(argument_pointer_is_passed_on),
    TEST_CASE(bad_arguments_are_refused_by_init_and_start),
    TEST_CASE(ops_are_called_with_the_object),
    TEST_CASE(ops_without_run_are_refused),
    TEST_CASE(names_are_given_or_counted),
    TEST_CASE(name_and_daemon_change_before_start_only),
    TEST_CASE(object_starts_one_process),
    TEST_CASE(object_is_closed_when_it_has_ended),
    TEST_CASE(closing_frees_what_was_taken),
};
TEST_MAIN(cases)
