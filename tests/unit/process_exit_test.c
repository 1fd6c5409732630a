/* How processes end: what becomes of their children, handlers and text. */
#include "unit/process_support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

/* ---- what the programs of this file share with their case ---- */

enum {
    BY_EXIT,
    BY_RETURN,
    BY_THREAD,
    WAYS
};

struct program {
    uint32_t ready;  /* children that are there */
    uint32_t go;     /* raised to let them end */
    uint32_t ended;  /* non-daemons that came to their end */
    uint32_t terms;  /* SIGTERM seen by daemons */
    int32_t daemons; /* to start: that end by SIGTERM */
    int32_t deaf;    /* to start: that ignore it */
    int32_t stopped; /* to start: that are stopped */
    int32_t others;  /* to start: that end when they are told */
    int32_t way;     /* of these: how it ends */
    int32_t pids[8]; /* of all children, in that order */
};

static struct program *here; /* of this program */

static void on_term(int sig)
{
    (void)sig;
    /* NOLINTNEXTLINE(bugprone-signal-handler,cert-sig30-c): one system call */
    meet_signal(&here->terms);
    _exit(0);
}

static int be_a_daemon(void *unused)
{
    (void)unused;
    (void)signal(SIGTERM, on_term);
    meet_signal(&here->ready);
    return sleep_for_good(NULL);
}

static int be_deaf(void *unused)
{
    (void)unused;
    (void)signal(SIGTERM, SIG_IGN);
    meet_signal(&here->ready);
    return sleep_for_good(NULL);
}

static int be_stopped(void *unused)
{
    (void)unused;
    meet_signal(&here->ready);
    (void)raise(SIGSTOP);
    return 0;
}

static int be_another(void *unused)
{
    (void)unused;
    meet_signal(&here->ready);
    meet_wait(&here->go, 1, LIMIT_MS);
    meet_signal(&here->ended);
    return 0;
}

/* Processes whose objects are gone when the program ends. */
static void start_all(void)
{
    static ipc_process p[8];
    int count = 0;
    for (int i = 0; i < here->daemons; i++)
        start_daemon(&p[count++], be_a_daemon, NULL);
    for (int i = 0; i < here->deaf; i++)
        start_daemon(&p[count++], be_deaf, NULL);
    for (int i = 0; i < here->stopped; i++) {
        siginfo_t info;
        start_daemon(&p[count], be_stopped, NULL);
        const id_t pid = (id_t)ipc_process_pid(&p[count++]);
        assert_int_equal(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT), 0);
    }
    for (int i = 0; i < here->others; i++)
        start(&p[count++], be_another, NULL);
    for (int i = 0; i < count; i++)
        here->pids[i] = ipc_process_pid(&p[i]);
    meet_wait(&here->ready, (uint32_t)count, LIMIT_MS);
    if (!SANITIZED) /* it would miss what the library knows about them */
        memset(p, 0xff, sizeof p);
}

static void *exit_with_code(void *arg)
{
    leave(*(int *)arg);
}

static int be_the_program(void *arg)
{
    here = arg;
    int code = 21;
    start_all();
    if (here->way == BY_RETURN)
        return code;
    if (here->way == BY_EXIT)
        leave(code);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, exit_with_code, &code), 0);
    (void)pthread_join(thread, NULL);
    return 0;
}

static void be_a_main_program(void *arg)
{
    leave(be_the_program(arg));
}

static bool gone(pid_t pid)
{
    return kill(pid, 0) != 0 && errno == ESRCH;
}

/* The program as a process of ours, or as a main program. */
struct runner {
    bool is_main;
    struct role role;
    ipc_process process;
};

static void begin(struct runner *runner, struct program *program)
{
    if (runner->is_main)
        role_start(&runner->role, be_a_main_program, program);
    else
        start(&runner->process, be_the_program, program);
}

static bool ends_within(struct runner *runner, int limit_ms, int *code)
{
    if (!runner->is_main) {
        if (ipc_process_join_until(&runner->process, ipc_after_ms(limit_ms)) !=
            0)
            return false;
        *code = end_of(&runner->process);
        return true;
    }
    int status;
    if (!role_dead_within(&runner->role, limit_ms, &status))
        return false;
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return true;
}

static int wait_for_the_end(struct runner *runner)
{
    int code = 0;
    if (!ends_within(runner, LIMIT_MS, &code))
        test_fail("the program does not end");
    return code;
}

/* ---- children of a process that ends normally ---- */

static void daemons_are_terminated_and_others_joined(void)
{
    for (int i = 0; i < 2 * WAYS; i++) {
        struct program *program = test_shared(sizeof *program);
        struct runner runner = {.is_main = i % 2 == 0};
        program->way = i / 2;
        program->daemons = 2;
        program->others = 2;
        begin(&runner, program);
        meet_wait(&program->terms, 2,
                  LIMIT_MS); /* without waiting for others */
        int code;
        assert_false(ends_within(&runner, 20, &code));
        assert_int_equal(program->ended, 0);
        meet_signal(&program->go);
        assert_int_equal(wait_for_the_end(&runner), 21);
        assert_int_equal(program->ended, 2);
        for (int j = 0; j < 4; j++)
            assert_true(gone(program->pids[j]));
    }
}

/* One second for all of them, then SIGKILL. */
static void daemons_that_do_not_end_are_killed_a_second_later(void)
{
    struct program *program = test_shared(sizeof *program);
    struct runner runner = {.is_main = true};
    program->daemons = 1;
    program->deaf = 2;
    program->stopped = 2;
    begin(&runner, program);
    meet_wait(&program->terms, 1, LIMIT_MS);
    const int64_t from = test_now_ns();
    assert_int_equal(wait_for_the_end(&runner), 21);
    test_report("grace_ms", ms_since(from));
    assert_true(ms_since(from) > 500);
    for (int j = 0; j < 5; j++)
        assert_true(gone(program->pids[j]));
}

static int leave_at_once(void *arg)
{
    here = arg;
    start_all();
    _exit(4);
}

static void underscore_exit_waits_for_nobody(void)
{
    struct program *program = test_shared(sizeof *program);
    program->others = 1;
    assert_int_equal(run(leave_at_once, program), 4);
    assert_int_equal(program->ended, 0);
    assert_false(gone(program->pids[0]));
    meet_signal(&program->go);
    meet_wait(&program->ended, 1, LIMIT_MS);
}

/* A program that tidies up its descriptors has closed those of its children.
 * They are found by their pids then. */
static void close_all_and_exit(void *arg)
{
    here = arg;
    ipc_process daemon, other;
    start_daemon(&daemon, be_a_daemon, NULL);
    start(&other, be_another, NULL);
    here->pids[0] = ipc_process_pid(&daemon);
    meet_wait(&here->ready, 2, LIMIT_MS);
    assert_int_equal(close_range(3, ~0u, 0), 0);
    (void)ipc_process_join_until(&daemon, ipc_after_ms(1));
    (void)ipc_process_close(&daemon);
    (void)ipc_process_is_alive(&other);
    (void)ipc_process_close(&other);
    memset(&daemon, 0xff, sizeof daemon);
    memset(&other, 0xff, sizeof other);
    free(malloc(200)); /* for what was freed to be used again */
    (void)ipc_active_children(NULL, 0);
    leave(8);
}

static void program_that_closed_all_descriptors_ends(void)
{
    struct program *program = test_shared(sizeof *program);
    struct role role;
    role_start(&role, close_all_and_exit, program);
    meet_signal(&program->go); /* it joins the other one, by its pid */
    int status = role_wait_dead(&role, LIMIT_MS);
    assert_int_equal(status, 8 << 8);
    meet_wait(&program->ended, 1, LIMIT_MS);
    const int64_t from = test_now_ns();
    while (!gone(program->pids[0]) && ms_since(from) < LIMIT_MS)
        poll_pause();
    assert_true(gone(program->pids[0]));
}

/* ---- exit handlers ---- */

static char *history; /* shared text */

static void note(char what)
{
    history[strlen(history)] = what;
}

static void handler_of_parent(void)
{
    note('P');
}

static void first_handler(void)
{
    note('1');
}

static void second_handler(void)
{
    note('2');
    assert_int_equal(atexit(first_handler), 0); /* once more, from here */
}

static int set_handlers(void *arg)
{
    assert_int_equal(atexit(first_handler), 0);
    assert_int_equal(atexit(second_handler), 0);
    note('t');
    if (*(int *)arg == 1)
        leave(3);
    if (*(int *)arg == 2)
        _exit(3);
    return 3;
}

static void run_three_children(void *unused)
{
    (void)unused;
    assert_int_equal(atexit(handler_of_parent), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run(set_handlers, &i), 3);
        note(' ');
    }
    assert_int_equal(atexit(handler_of_parent), 0);
    assert_int_equal(run(return_zero, NULL), 0);
    leave(0);
}

/* A target that returns runs none, as in Python. */
static void exit_runs_the_handlers_of_its_own_process(void)
{
    history = test_shared(100);
    struct role role;
    role_start(&role, run_three_children, NULL);
    role_wait_ok(&role, LIMIT_MS);
    assert_string_equal(history, "t t211 t PP");
}

static int fork_and_let_it_exit(void *word)
{
    (void)signal(SIGCHLD, SIG_DFL);
    const pid_t pid = fork();
    if (pid == 0)
        leave(33);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 33 << 8);
    meet_signal(word);
    return sleep_for_good(NULL);
}

/* A fork inherits the handlers of a process; its end is another matter. */
static void exit_of_a_plain_fork_is_not_its_parents(void)
{
    (void)signal(SIGCHLD, SIG_IGN);
    ipc_process p;
    int code = 4711;
    uint32_t *word = test_shared(sizeof *word);
    start(&p, fork_and_let_it_exit, word);
    meet_wait(word, 1, LIMIT_MS);
    CHECK(ipc_process_kill(&p), 0);
    CHECK(ipc_process_join(&p), 0);
    const int rc = ipc_process_exitcode(&p, &code);
    assert_true(rc == -ECHILD || (rc == 0 && code == -SIGKILL));
    CHECK(ipc_process_close(&p), 0);
}

/* ---- a child with a thread that never comes back ---- */

static void *read_for_good(void *arg)
{
    (void)fgetc(arg); /* holds the lock of the stream */
    return NULL;
}

static int leave_a_reader(void *arg)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    FILE *stream = fdopen(ends[0], "r");
    pthread_t thread;
    assert_non_null(stream);
    assert_int_equal(pthread_create(&thread, NULL, read_for_good, stream), 0);
    while (ftrylockfile(stream) == 0) {
        funlockfile(stream);
        poll_pause();
    }
    printf("flushed all the same");
    return *(int *)arg;
}

static void child_with_a_blocked_reader_ends(void)
{
    int code = 12;
    assert_int_equal(run(leave_a_reader, &code), 12);
}

static const struct test_case cases[] = {
    TEST_CASE(daemons_are_terminated_and_others_joined),
    TEST_CASE(daemons_that_do_not_end_are_killed_a_second_later),
    TEST_CASE(underscore_exit_waits_for_nobody),
    TEST_CASE(program_that_closed_all_descriptors_ends),
    TEST_CASE(exit_runs_the_handlers_of_its_own_process),
    TEST_CASE(exit_of_a_plain_fork_is_not_its_parents),
    TEST_CASE(child_with_a_blocked_reader_ends),
};
TEST_MAIN(cases)
