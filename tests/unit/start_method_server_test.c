/* The template of forkserver children: its preload, its end, its deaths. */
#include "unit/start_method_support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

IPC_ENTRY(return_it);
IPC_ENTRY(return_zero);
IPC_ENTRY(sleep_for_good);
IPC_ENTRY(come_and_stay);

/* ---- preload ---- */

static int loaded;    /* by the preload: in the template and its children */
static int loaded_fd; /* that it has opened */

struct loads {
    uint32_t count;
    int result;
    int pid;
};

static int load(void *arg)
{
    struct loads *loads = arg;
    (void)__atomic_add_fetch(&loads->count, 1, __ATOMIC_RELAXED);
    loads->pid = getpid();
    loaded = 42;
    loaded_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    printf("loaded\n");
    return loads->result;
}
IPC_ENTRY(load);

static int tell_loaded(void *unused)
{
    (void)unused;
    struct stat st;
    return loaded_fd > 2 && fstat(loaded_fd, &st) == 0 && S_ISCHR(st.st_mode)
               ? loaded
               : 99;
}
IPC_ENTRY(tell_loaded);

static ipc_forkserver_options with(struct loads *loads)
{
    return (ipc_forkserver_options){.size = sizeof(ipc_forkserver_options),
                                    .preload = load,
                                    .preload_arg = loads};
}

static void preload_runs_once_and_children_have_it(void)
{
    struct loads *loads = family(sizeof *loads);
    const ipc_forkserver_options options = with(loads);
    CHECK(ipc_forkserver_start(&options), 0);
    assert_int_equal(loads->count, 1);
    assert_int_equal(loads->pid, ipc_forkserver_pid());
    CHECK(ipc_forkserver_start(&options), -EALREADY);
    for (int i = 0; i < 5; i++)
        assert_int_equal(run_by(IPC_START_FORKSERVER, tell_loaded, NULL), 42);
    assert_int_equal(loads->count, 1);
    assert_int_equal(loaded, 0);
    assert_int_equal(run_by(IPC_START_SPAWN, tell_loaded, NULL), 99);
    no_server();
    assert_int_equal(run_by(IPC_START_FORKSERVER, tell_loaded, NULL), 99);
    no_server();
    CHECK(ipc_shared_free(loads), 0);
}

static void preload_that_fails_is_reported(void)
{
    struct loads *loads = family(sizeof *loads);
    const ipc_forkserver_options options = with(loads);
    loads->result = -ENOENT;
    CHECK(ipc_forkserver_start(&options), -ENOENT);
    assert_non_null(strstr(ipc_error_detail(), "preload"));
    loads->result = 3;
    CHECK(ipc_forkserver_start(&options), -EINVAL);
    assert_int_equal(ipc_forkserver_pid(), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(loads->count, 2);
    CHECK(ipc_shared_free(loads), 0);
}

static void *linger(void *thread_may_end)
{
    while (__atomic_load_n((uint32_t *)thread_may_end, __ATOMIC_RELAXED) == 0)
        poll_pause();
    return NULL;
}

/* A thread, that is left behind if *arg is 0. */
static int load_by_thread(void *arg)
{
    uint32_t *may_end = arg;
    pthread_t thread;
    if (pthread_create(&thread, NULL, linger, may_end) != 0)
        return -EAGAIN;
    return *may_end != 0 ? -pthread_join(thread, NULL) : 0;
}
IPC_ENTRY(load_by_thread);

static void preload_that_leaves_a_thread_is_refused(void)
{
    if (THREAD_SANITIZED)
        test_skip("a sanitizer has a thread of its own");
    uint32_t *may_end = family(sizeof *may_end);
    const ipc_forkserver_options options = {.size = sizeof options,
                                            .preload = load_by_thread,
                                            .preload_arg = may_end};
    CHECK(ipc_forkserver_start(&options), -EBUSY);
    assert_non_null(strstr(ipc_error_detail(), "thread"));
    assert_int_equal(ipc_forkserver_pid(), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    *may_end = 1;
    for (int i = 0; i < 20; i++) {
        CHECK(ipc_forkserver_start(&options), 0);
        assert_int_equal(run_by(IPC_START_FORKSERVER, return_zero, NULL), 0);
        no_server();
    }
    CHECK(ipc_shared_free(may_end), 0);
}

static int end_it(void *unused)
{
    (void)unused;
    leave(5);
}
IPC_ENTRY(end_it);

static int not_registered(void *unused)
{
    (void)unused;
    return 0;
}

static void options_that_make_no_sense_are_refused(void)
{
    int one = 1;
    const int closed = 999;
    ipc_forkserver_options options = {.size = sizeof options,
                                      .preload = not_registered};
    CHECK(ipc_forkserver_start(&options), -EINVAL);
    options.preload = load;
    options.preload_arg = &one;
    CHECK(ipc_forkserver_start(&options), -EINVAL);
    options = (ipc_forkserver_options){
        .size = sizeof options, .fds = &closed, .fd_count = 1};
    CHECK(ipc_forkserver_start(&options), -EBADF);
    options = (ipc_forkserver_options){.size = 2};
    CHECK(ipc_forkserver_start(&options), -EINVAL);
    options =
        (ipc_forkserver_options){.size = sizeof options, .preload = end_it};
    CHECK(ipc_forkserver_start(&options), -EPIPE);
    CHECK(ipc_forkserver_stop(), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static int read_number(void *arg)
{
    char digit = 0;
    return pread(*(int *)arg, &digit, 1, 0) == 1 ? digit : 1;
}
IPC_ENTRY(read_number);

static void its_descriptors_are_its_childrens_too(void)
{
    int fd = memfd_create("test-file", MFD_CLOEXEC);
    assert_int_equal(write(fd, "7", 1), 1);
    const ipc_forkserver_options server = {
        .size = sizeof server, .fds = &fd, .fd_count = 1};
    ipc_process_options options = by(IPC_START_FORKSERVER);
    options.arg_bytes = sizeof fd;
    CHECK(ipc_forkserver_start(&server), 0);
    assert_int_equal(run_with(&options, read_number, &fd), '7');
    /* The same number for something else is too much. */
    options.fds = &fd;
    options.fd_count = 1;
    ipc_process p;
    CHECK(ipc_process_init(&p, read_number, &fd, &options), 0);
    CHECK(ipc_process_start(&p), -EBUSY);
    CHECK(ipc_process_close(&p), 0);
    no_server();
    assert_int_equal(run_with(&options, read_number, &fd), '7');
    (void)close(fd);
    no_server();
}

/* ---- its end ---- */

static void stop_lets_children_go_on(void)
{
    uint32_t *words = family(2 * sizeof *words);
    ipc_process p;
    ipc_process q;
    start_by(IPC_START_FORKSERVER, &p, come_and_stay, words);
    start_by(IPC_START_FORKSERVER, &q, sleep_for_good, NULL);
    const int first = ipc_forkserver_pid();
    meet_wait(&words[0], 1, LIMIT_MS);
    no_server();
    assert_true(ipc_process_is_alive(&p));
    assert_int_equal(run_by(IPC_START_FORKSERVER, return_zero, NULL), 0);
    assert_int_not_equal(ipc_forkserver_pid(), first);
    meet_signal(&words[1]);
    assert_int_equal(end_of(&p), 0);
    CHECK(ipc_process_kill(&q), 0);
    assert_int_equal(end_of(&q), -SIGKILL);
    assert_int_equal(kill(first, 0), -1);
    CHECK(ipc_shared_free(words), 0);
    no_server();
    no_server();
}

/* ---- its deaths ---- */

static void kill_server(void)
{
    const int pid = ipc_forkserver_pid();
    assert_true(pid > 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
}

static void t38_killed_before_a_start_it_is_made_again(void)
{
    struct loads *loads = family(sizeof *loads);
    const ipc_forkserver_options options = with(loads);
    CHECK(ipc_forkserver_start(&options), 0);
    for (uint32_t i = 1; i < 6; i++) {
        kill_server();
        assert_int_equal(run_by(IPC_START_FORKSERVER, tell_loaded, NULL), 42);
        assert_int_equal(loads->count, i + 1);
    }
    CHECK(ipc_shared_free(loads), 0);
    no_server();
}

static void t38_children_outlive_it_and_join_does_not_hang(void)
{
    uint32_t *words = family(2 * sizeof *words);
    ipc_process p;
    ipc_process q;
    int code = 77;
    start_by(IPC_START_FORKSERVER, &p, come_and_stay, words);
    start_by(IPC_START_FORKSERVER, &q, sleep_for_good, NULL);
    meet_wait(&words[0], 1, LIMIT_MS);
    kill_server();
    CHECK(ipc_process_join_until(&p, ipc_after_ms(50)), -ETIMEDOUT);
    assert_true(ipc_process_is_alive(&p));
    meet_signal(&words[1]);
    assert_int_equal(end_of(&p), 0); /* it has left its exit code */

    CHECK(ipc_process_kill(&q), 0);
    CHECK(ipc_process_join_until(&q, ipc_after_ms(LIMIT_MS)), 0);
    const int rc = ipc_process_exitcode(&q, &code);
    assert_true(rc == -ECHILD || (rc == 0 && code == -SIGKILL));
    CHECK(ipc_process_close(&q), 0);
    CHECK(ipc_shared_free(words), 0);
    no_server();
}

/* A stopped one can tell nothing. */
static void stopped_one_does_not_hold_up_join(void)
{
    uint32_t *words = family(2 * sizeof *words);
    ipc_process p;
    start_by(IPC_START_FORKSERVER, &p, come_and_stay, words);
    meet_wait(&words[0], 1, LIMIT_MS);
    assert_int_equal(kill(ipc_forkserver_pid(), SIGSTOP), 0);
    meet_signal(&words[1]);
    assert_int_equal(end_of(&p), 0);
    no_server();
    CHECK(ipc_shared_free(words), 0);
}

/* Ctrl-C is for the program. */
static void interrupt_does_not_end_it(void)
{
    assert_int_equal(run_by(IPC_START_FORKSERVER, return_zero, NULL), 0);
    const int pid = ipc_forkserver_pid();
    assert_int_equal(kill(pid, SIGINT), 0);
    assert_int_equal(run_by(IPC_START_FORKSERVER, return_zero, NULL), 0);
    assert_int_equal(ipc_forkserver_pid(), pid);
    no_server();
}

/* With SIGCHLD ignored the kernel keeps no status. */
static void statuses_are_kept_with_sigchld_ignored(void)
{
    (void)signal(SIGCHLD, SIG_IGN);
    for (int m = FRESH; m < METHODS; m++) {
        ipc_process_options options = by(methods[m]);
        int code = 33;
        options.arg_bytes = sizeof code;
        assert_int_equal(run_with(&options, return_it, &code), 33);
    }
    ipc_process p;
    start_by(IPC_START_FORKSERVER, &p, sleep_for_good, NULL);
    CHECK(ipc_process_kill(&p), 0);
    assert_int_equal(end_of(&p), -SIGKILL);
    no_server();
}

/* Whose it is, and whose it is not. */
static void child_has_one_of_its_own(void *arg)
{
    const int *pid = arg;
    assert_int_equal(ipc_forkserver_pid(), 0);
    assert_int_equal(run_by(IPC_START_FORKSERVER, return_zero, NULL), 0);
    assert_int_not_equal(ipc_forkserver_pid(), *pid);
    no_server();
}

static int same_in_a_child(void *arg)
{
    child_has_one_of_its_own(arg);
    return 0;
}
IPC_ENTRY(same_in_a_child);

static void it_belongs_to_one_process(void)
{
    int *pid = family(sizeof *pid);
    CHECK(ipc_forkserver_start(NULL), 0);
    *pid = ipc_forkserver_pid();
    assert_int_equal(role_try(child_has_one_of_its_own, pid, LIMIT_MS), 0);
    for (int m = 0; m < METHODS; m++)
        assert_int_equal(run_by(methods[m], same_in_a_child, pid), 0);
    assert_int_equal(ipc_forkserver_pid(), *pid);
    CHECK(ipc_shared_free(pid), 0);
    no_server();
}

static const struct test_case cases[] = {
    TEST_CASE(preload_runs_once_and_children_have_it),
    TEST_CASE(preload_that_fails_is_reported),
    TEST_CASE(preload_that_leaves_a_thread_is_refused),
    TEST_CASE(options_that_make_no_sense_are_refused),
    TEST_CASE(its_descriptors_are_its_childrens_too),
    TEST_CASE(stop_lets_children_go_on),
    TEST_CASE(t38_killed_before_a_start_it_is_made_again),
    TEST_CASE(t38_children_outlive_it_and_join_does_not_hang),
    TEST_CASE(stopped_one_does_not_hold_up_join),
    TEST_CASE(interrupt_does_not_end_it),
    TEST_CASE(statuses_are_kept_with_sigchld_ignored),
    TEST_CASE(it_belongs_to_one_process),
};
TEST_MAIN(cases)
