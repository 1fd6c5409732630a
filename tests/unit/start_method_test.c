/* Each start method: what goes in, what comes out, who is who. */
#include "unit/start_method_support.h"

#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>

IPC_ENTRY(return_it);
IPC_ENTRY(return_zero);
IPC_ENTRY(sleep_for_good);
IPC_ENTRY(come_and_stay);

/* ---- out ---- */

static void exit_codes_come_back(void)
{
    static const int codes[] = {0, 1, 7, 77, 255};
    for (int m = 0; m < METHODS; m++) {
        for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
            ipc_process_options options = by(methods[m]);
            int code = codes[i];
            options.arg_bytes = sizeof code;
            assert_int_equal(run_with(&options, return_it, &code), code);
        }
    }
    no_server();
}

static int die_of_it(void *arg)
{
    const int sig = *(int *)arg;
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);
    return 0;
}
IPC_ENTRY(die_of_it);

static void signals_come_back(void)
{
    static const int signals[] = {SIGKILL, SIGTERM, SIGUSR1, SIGSEGV, SIGABRT};
    for (int m = 0; m < METHODS; m++) {
        for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
            ipc_process_options options = by(methods[m]);
            int sig = signals[i];
            options.arg_bytes = sizeof sig;
            assert_int_equal(run_with(&options, die_of_it, &sig), -sig);
        }
    }
    no_server();
}

static int call_exit(void *arg)
{
    (void)arg;
    leave(9);
}
IPC_ENTRY(call_exit);

static void exit_comes_back(void)
{
    for (int m = 0; m < METHODS; m++)
        assert_int_equal(run_by(methods[m], call_exit, NULL), 9);
    no_server();
}

/* ---- in ---- */

static size_t pattern_errors(const unsigned char *bytes, size_t size)
{
    size_t errors = 0;
    for (size_t i = 0; i < size; i++)
        errors += bytes[i] != (unsigned char)(i * 7 + size);
    return errors;
}

/* arg: its size, then bytes. */
static int check_pattern(void *arg)
{
    size_t size;
    unsigned char *bytes = arg;
    memcpy(&size, bytes, sizeof size);
    const size_t errors = pattern_errors(bytes + sizeof size, size);
    memset(bytes, 1, size); /* it is the child's own copy */
    return errors == 0 && (uintptr_t)bytes % 16 == 0 ? 3 : 4;
}
IPC_ENTRY(check_pattern);

static void arguments_of_any_size_arrive(void)
{
    static const size_t sizes[] = {0,    1,     15,        16,     17,
                                   4088, 65537, (1 << 20), 5000001};
    const size_t most = 5000001;
    unsigned char *bytes = malloc(sizeof(size_t) + most);
    assert_non_null(bytes);
    for (int m = 0; m < METHODS; m++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            memcpy(bytes, &sizes[i], sizeof(size_t));
            for (size_t j = 0; j < sizes[i]; j++)
                bytes[sizeof(size_t) + j] = (unsigned char)(j * 7 + sizes[i]);
            ipc_process_options options = by(methods[m]);
            options.arg_bytes = sizeof(size_t) + sizes[i];
            assert_int_equal(run_with(&options, check_pattern, bytes), 3);
        }
    }
    free(bytes);
    no_server();
}

static int is_null(void *arg)
{
    return arg == NULL ? 3 : 4;
}
IPC_ENTRY(is_null);

static int add_one(void *arg)
{
    int *number = arg;
    void *memory = ipc_shared_alloc(1000);
    (*number)++;
    CHECK(ipc_shared_free(memory), 0);
    return memory != NULL ? 0 : 1;
}
IPC_ENTRY(add_one);

static void null_and_family_pointers_arrive(void)
{
    int *number = family(sizeof *number);
    for (int m = 0; m < METHODS; m++) {
        assert_int_equal(run_by(methods[m], is_null, NULL), 3);
        assert_int_equal(run_by(methods[m], add_one, number), 0);
    }
    assert_int_equal(*number, METHODS);
    CHECK(ipc_shared_free(number), 0);
    no_server();
}

static void other_pointers_are_refused(void)
{
    static int one;
    int two = 2;
    int *three = malloc(sizeof *three);
    int *pointers[] = {&one, &two, three, (int *)16};
    for (int m = FRESH; m < METHODS; m++) {
        for (int i = 0; i < 4; i++) {
            const ipc_process_options options = by(methods[m]);
            expect_no_start(&options, return_it, pointers[i], -EINVAL);
            assert_non_null(strstr(ipc_error_detail(), "family memory"));
        }
    }
    free(three);
    no_server();
}

static int not_registered(void *arg)
{
    (void)arg;
    return 0;
}

static void targets_have_to_be_registered(void)
{
    for (int m = FRESH; m < METHODS; m++) {
        const ipc_process_options options = by(methods[m]);
        expect_no_start(&options, not_registered, NULL, -EINVAL);
        assert_non_null(strstr(ipc_error_detail(), "is not registered"));
    }
    assert_int_equal(run_by(IPC_START_FORK, not_registered, NULL), 0);
    no_server();
}

static int run_self(ipc_process *self)
{
    (void)self;
    return 0;
}

static void ops_are_for_fork(void)
{
    static const ipc_process_ops ops = {.run = run_self};
    for (int m = FRESH; m < METHODS; m++) {
        const ipc_process_options options = by(methods[m]);
        ipc_process p;
        CHECK(ipc_process_init_ops(&p, &ops, &options), 0);
        CHECK(ipc_process_start(&p), -ENOTSUP);
        CHECK(ipc_process_close(&p), 0);
    }
    no_server();
}

/* ---- the method ---- */

static int tell_method(void *unused)
{
    (void)unused;
    return ipc_get_start_method();
}
IPC_ENTRY(tell_method);

static void default_is_inherited(void)
{
    assert_int_equal(ipc_get_start_method(), IPC_START_FORK);
    for (int m = 0; m < METHODS; m++) {
        CHECK(ipc_set_start_method((int)methods[m]), 0);
        assert_int_equal(ipc_get_start_method(), methods[m]);
        for (int i = 0; i < METHODS; i++)
            assert_int_equal(run_by(methods[i], tell_method, NULL), methods[m]);
        assert_int_equal(run(tell_method, NULL), methods[m]);
    }
    CHECK(ipc_set_start_method(IPC_START_DEFAULT), 0);
    assert_int_equal(ipc_get_start_method(), IPC_START_FORK);
    no_server();
}

static void unknown_methods_are_refused(void)
{
    CHECK(ipc_set_start_method(-1), -EINVAL);
    CHECK(ipc_set_start_method(4), -EINVAL);
    const ipc_process_options options = by(4);
    expect_no_start(&options, return_zero, NULL, -EINVAL);
    assert_int_equal(ipc_get_start_method(), IPC_START_FORK);
}

/* ---- who is who ---- */

struct who {
    int pid, parent, kernels_parent, parent_object, daemon, children, started;
    char name[32], parent_name[32];
    int parent_alive;
};

static int tell_who(void *arg)
{
    struct who *who = arg;
    const ipc_process *self = ipc_current_process();
    ipc_process *parent = ipc_parent_process();
    who->pid = ipc_getpid();
    who->parent = ipc_getppid();
    who->kernels_parent = getppid();
    who->parent_object = ipc_process_pid(parent);
    who->daemon = ipc_process_is_daemon(self);
    who->children = (int)ipc_active_children(NULL, 0);
    who->parent_alive = ipc_process_is_alive(parent);
    (void)snprintf(who->name, sizeof who->name, "%s", ipc_process_name(self));
    (void)snprintf(who->parent_name, sizeof who->parent_name, "%s",
                   ipc_process_name(parent));
    return ipc_process_fd(parent) >= 0 ? 0 : 1;
}
IPC_ENTRY(tell_who);

static void everybody_knows_who_is_who(void)
{
    struct who *who = family(sizeof *who);
    for (int m = 0; m < METHODS; m++) {
        for (int daemon = 0; daemon < 2; daemon++) {
            ipc_process_options options = by(methods[m]);
            ipc_process p;
            options.daemon = daemon == 1;
            options.name = "a long name that goes on";
            start_with(&p, tell_who, who, &options);
            const int pid = ipc_process_pid(&p);
            assert_int_equal(end_of(&p), 0);
            assert_int_equal(who->pid, pid);
            assert_int_equal(who->parent, getpid());
            assert_int_equal(who->parent_object, getpid());
            assert_int_equal(who->daemon, daemon);
            assert_int_equal(who->children, 0);
            assert_true(who->parent_alive);
            assert_string_equal(who->name, options.name);
            assert_string_equal(who->parent_name, "MainProcess");
            assert_int_equal(who->kernels_parent,
                             methods[m] == IPC_START_FORKSERVER
                                 ? ipc_forkserver_pid()
                                 : getpid());
        }
    }
    CHECK(ipc_shared_free(who), 0);
    no_server();
}

static void names_are_shown_by_the_kernel(void)
{
    uint32_t *words = family(2 * sizeof *words);
    for (int m = 0; m < METHODS; m++) {
        ipc_process_options options = by(methods[m]);
        char comm[64];
        ipc_process p;
        options.name = "worker-seven";
        words[0] = words[1] = 0;
        start_with(&p, come_and_stay, words, &options);
        meet_wait(&words[0], 1, LIMIT_MS);
        comm_of(ipc_process_pid(&p), comm);
        assert_string_equal(comm, "worker-seven");
        assert_int_equal(ipc_active_children(NULL, 0), 1);
        meet_signal(&words[1]);
        assert_int_equal(end_of(&p), 0);
        assert_int_equal(ipc_active_children(NULL, 0), 0);
    }
    CHECK(ipc_shared_free(words), 0);
    no_server();
}

/* ---- while it runs ---- */

static void it_is_waited_for_and_killed(void)
{
    for (int m = 0; m < METHODS; m++) {
        ipc_process p;
        int code;
        start_by(methods[m], &p, sleep_for_good, NULL);
        assert_true(ipc_process_is_alive(&p));
        CHECK(ipc_process_join_nowait(&p), -EAGAIN);
        CHECK(ipc_process_join_until(&p, ipc_after_ms(20)), -ETIMEDOUT);
        CHECK(ipc_process_exitcode(&p, &code), -EAGAIN);
        CHECK(ipc_process_close(&p), -EBUSY);
        CHECK(ipc_process_kill(&p), 0);
        CHECK(ipc_process_join(&p), 0);
        CHECK(ipc_process_join(&p), 0);
        assert_false(ipc_process_is_alive(&p));
        CHECK(ipc_process_terminate(&p), 0);
        assert_int_equal(end_of(&p), -SIGKILL);
    }
    no_server();
}

/* What the sentinel says and what join says do not contradict each other. */
static void joined_at_once_when_the_sentinel_says_so(void)
{
    for (int m = 0; m < METHODS; m++) {
        for (int i = 0; i < 20; i++) {
            ipc_process p;
            start_by(methods[m], &p, return_zero, NULL);
            struct pollfd item = {.fd = ipc_process_fd(&p), .events = POLLIN};
            assert_int_equal(poll(&item, 1, LIMIT_MS), 1);
            CHECK(ipc_process_join_nowait(&p), 0);
            assert_int_equal(end_of(&p), 0);
        }
    }
    no_server();
}

static void *join_it(void *arg)
{
    CHECK(ipc_process_join_until(arg, ipc_after_ms(LIMIT_MS)), 0);
    return NULL;
}

static void several_threads_join_one(void)
{
    uint32_t *words = family(2 * sizeof *words);
    for (int m = 0; m < METHODS; m++) {
        pthread_t threads[4];
        ipc_process p;
        words[0] = words[1] = 0;
        start_by(methods[m], &p, come_and_stay, words);
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, join_it, &p), 0);
        meet_signal(&words[1]);
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(end_of(&p), 0);
    }
    CHECK(ipc_shared_free(words), 0);
    no_server();
}

static void thirty_at_once(void)
{
    enum {
        MANY = 30
    };
    static ipc_process p[MANY];
    int *number = family(sizeof *number);
    for (int m = 0; m < METHODS; m++) {
        for (int i = 0; i < MANY; i++) {
            ipc_process_options options = by(methods[m]);
            options.arg_bytes = sizeof i;
            start_with(&p[i], return_it, &i, &options);
        }
        for (int i = MANY - 1; i >= 0; i--)
            assert_int_equal(end_of(&p[i]), i);
    }
    CHECK(ipc_shared_free(number), 0);
    no_server();
}

static void unjoined_ones_are_joined_at_the_end(void *arg)
{
    uint32_t *words = arg;
    static ipc_process p[2 * METHODS];
    for (size_t m = 0; m < METHODS; m++) {
        ipc_process_options options = by(methods[m]);
        start_with(&p[2 * m], add_one, &words[m], &options);
        options.daemon = true;
        start_with(&p[2 * m + 1], sleep_for_good, NULL, &options);
    }
    leave(0);
}

static void end_of_the_program_joins_and_terminates(void)
{
    uint32_t *words = family(METHODS * sizeof *words);
    struct role role;
    role_start(&role, unjoined_ones_are_joined_at_the_end, words);
    role_wait_ok(&role, LIMIT_MS);
    for (int m = 0; m < METHODS; m++)
        assert_int_equal(words[m], 1);
    CHECK(ipc_shared_free(words), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(exit_codes_come_back),
    TEST_CASE(signals_come_back),
    TEST_CASE(exit_comes_back),
    TEST_CASE(arguments_of_any_size_arrive),
    TEST_CASE(null_and_family_pointers_arrive),
    TEST_CASE(other_pointers_are_refused),
    TEST_CASE(targets_have_to_be_registered),
    TEST_CASE(ops_are_for_fork),
    TEST_CASE(default_is_inherited),
    TEST_CASE(unknown_methods_are_refused),
    TEST_CASE(everybody_knows_who_is_who),
    TEST_CASE(names_are_shown_by_the_kernel),
    TEST_CASE(it_is_waited_for_and_killed),
    TEST_CASE(joined_at_once_when_the_sentinel_says_so),
    TEST_CASE(several_threads_join_one),
    TEST_CASE(thirty_at_once),
    TEST_CASE(end_of_the_program_joins_and_terminates),
};
TEST_MAIN(cases)
