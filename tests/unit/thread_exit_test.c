/* Threads at the end of their process. */
#include "unit/thread_support.h"

#include <sys/wait.h>

#include <ipc/process.h>

/* ---- what the programs of this file share with their case ---- */

enum {
    BY_RETURN, /* from main(), or from the target */
    BY_EXIT,
    BY_EXIT_IN_A_THREAD,
    BY_EXIT_IN_A_DAEMON,
    BY_EXIT_IN_ANOTHER, /* a thread that is not ours */
    WAYS
};

struct program {
    uint32_t ready;     /* threads that are there */
    uint32_t go;        /* raised to let them end */
    uint32_t ended;     /* that came to their end */
    uint32_t later;     /* started by those, and came to their end */
    uint32_t leaving;   /* exit() is about to be called */
    uint32_t main_gone; /* how many have seen the main thread end */
    int32_t join_rc;    /* of whoever joined one that has called exit() */
    int32_t way;
    int32_t daemons;
    int32_t child; /* its pid */
    char history[16];
};

static struct program *here; /* of this program */

static void note(char what)
{
    here->history[strlen(here->history)] = what;
}

static int come_later(void *unused)
{
    (void)unused;
    say(&here->later);
    return 0;
}

/* Ends when it is told, and starts another one before. */
static int be_waited_for(void *another)
{
    say(&here->ready);
    meet_wait(&here->go, 1, LIMIT_MS);
    start_thread(another, come_later, NULL);
    say(&here->ended);
    return 0;
}

static int be_a_daemon(void *unused)
{
    (void)unused;
    say(&here->ready);
    return sleep_for_good(NULL);
}

/* Threads whose objects are gone when the program ends. */
static void start_all(void)
{
    static ipc_thread t[8], another[2];
    int count = 0;
    for (int i = 0; i < 2; i++)
        start_thread(&t[count++], be_waited_for, &another[i]);
    for (int i = 0; i < here->daemons; i++)
        start_daemon_thread(&t[count++], be_a_daemon, NULL);
    meet_wait(&here->ready, (uint32_t)count, LIMIT_MS);
    if (!SANITIZED) /* it would miss what the library knows about them */
        memset(t, 0xff, sizeof t);
}

static int exit_with_21(void *unused)
{
    (void)unused;
    say(&here->leaving);
    leave(21);
}

static void *exit_in_another(void *unused)
{
    (void)exit_with_21(unused);
    return NULL;
}

static int be_the_program(void *arg)
{
    static ipc_thread leaver;
    here = arg;
    start_all();
    pthread_t thread;
    switch (here->way) {
    case BY_EXIT:
        leave(21);
    case BY_EXIT_IN_A_THREAD:
        start_thread(&leaver, exit_with_21, NULL);
        (void)ipc_thread_join(&leaver); /* for good */
        break;
    case BY_EXIT_IN_A_DAEMON:
        start_daemon_thread(&leaver, exit_with_21, NULL);
        (void)ipc_thread_join(&leaver);
        break;
    case BY_EXIT_IN_ANOTHER:
        assert_int_equal(pthread_create(&thread, NULL, exit_in_another, NULL),
                         0);
        (void)pthread_join(thread, NULL);
        break;
    default:
        break;
    }
    return 21;
}

static void be_a_main_program(void *arg)
{
    leave(be_the_program(arg));
}

/* The program as a process of ours, or as a main program. */
struct runner {
    bool is_main;
    struct role role;
    ipc_process process;
};

static void begin(struct runner *runner, int (*target)(void *arg),
                  void (*fn)(void *arg), struct program *program)
{
    if (runner->is_main)
        role_start(&runner->role, fn, program);
    else
        start(&runner->process, target, program);
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

/* ---- whoever ends it, and however ---- */

static void threads_are_joined_and_daemons_left_alone(void)
{
    for (int i = 0; i < 2 * WAYS; i++) {
        struct program *program = test_shared(sizeof *program);
        struct runner runner = {.is_main = i % 2 == 0};
        program->way = i / 2;
        program->daemons = 2;
        begin(&runner, be_the_program, be_a_main_program, program);
        meet_wait(&program->ready, 4, LIMIT_MS);
        int code;
        assert_false(ends_within(&runner, 20, &code));
        assert_int_equal(program->ended, 0);
        say(&program->go);
        assert_int_equal(wait_for_the_end(&runner), 21);
        assert_int_equal(program->ended, 2);
        assert_int_equal(program->later, 2);
    }
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
    assert_int_equal(run(leave_at_once, program), 4);
    assert_int_equal(program->ended, 0);
}

/* ---- before what ---- */

static void early_handler(void)
{
    note('e');
}

static void late_handler(void)
{
    note('l');
    say(&here->go);
}

static int be_the_child(void *unused)
{
    (void)unused;
    meet_wait(&here->ended, 1, LIMIT_MS);
    note('c');
    return 0;
}

static int note_then_free_the_child(void *unused)
{
    (void)unused;
    meet_wait(&here->go, 1, LIMIT_MS);
    note('t');
    say(&here->ended);
    return 0;
}

static void set_handlers_around(void *arg)
{
    static ipc_thread t;
    static ipc_process p;
    here = arg;
    assert_int_equal(atexit(early_handler), 0);
    start(&p, be_the_child, NULL);
    start_thread(&t, note_then_free_the_child, NULL);
    assert_int_equal(atexit(late_handler), 0);
    leave(0);
}

/* As all exit handlers: in the reverse order of their registration. */
static void threads_are_joined_between_handlers_and_before_children(void)
{
    struct program *program = test_shared(sizeof *program);
    struct role role;
    role_start(&role, set_handlers_around, program);
    role_wait_ok(&role, LIMIT_MS);
    assert_string_equal(program->history, "ltce");
}

static int be_a_child_for_long(void *unused)
{
    (void)unused;
    return sleep_for_good(NULL);
}

/* A daemon child is not terminated while a thread still works with it. */
static int ask_the_child(void *process)
{
    meet_wait(&here->go, 1, LIMIT_MS);
    note(ipc_process_is_alive(process) ? 'a' : 'd');
    return 0;
}

static void end_with_a_daemon_child(void *arg)
{
    static ipc_thread t;
    static ipc_process p;
    here = arg;
    start_daemon(&p, be_a_child_for_long, NULL);
    here->child = ipc_process_pid(&p);
    start_thread(&t, ask_the_child, &p);
    say(&here->leaving);
    leave(0);
}

static void daemon_children_live_until_threads_have_ended(void)
{
    struct program *program = test_shared(sizeof *program);
    struct role role;
    role_start(&role, end_with_a_daemon_child, program);
    meet_wait(&program->leaving, 1, LIMIT_MS);
    int status;
    assert_false(role_dead_within(&role, 20, &status));
    say(&program->go);
    role_wait_ok(&role, LIMIT_MS);
    assert_string_equal(program->history, "a");
    assert_int_equal(kill(program->child, 0), -1);
}

/* ---- the main thread as others see it ---- */

static int wait_for_main(void *unused)
{
    (void)unused;
    say(&here->ready);
    CHECK(ipc_thread_join(ipc_main_thread()), 0);
    assert_false(ipc_thread_is_alive(ipc_main_thread()));
    say(&here->main_gone);
    if (here->way == BY_EXIT && ipc_thread_is_daemon(ipc_current_thread()))
        return sleep_for_good(NULL); /* a daemon that ends is not joined */
    return 0;
}

static void end_with_waiters(void *arg)
{
    static ipc_thread t[2];
    here = arg;
    start_thread(&t[0], wait_for_main, NULL);
    start_daemon_thread(&t[1], wait_for_main, NULL);
    meet_wait(&here->ready, 2, LIMIT_MS);
    for (int i = 0; i < 2; i++)
        wait_until_sleeping(ipc_thread_native_id(&t[i]), LIMIT_MS);
    if (here->way == BY_EXIT)
        leave(0);
    look_for_no_leaks();
    pthread_exit(NULL);
}

/* Python: threading.main_thread().join() in a thread. */
static void main_thread_has_ended_when_it_has_called_exit(void)
{
    struct program *program = test_shared(sizeof *program);
    struct role role;
    program->way = BY_EXIT;
    role_start(&role, end_with_waiters, program);
    role_wait_ok(&role, LIMIT_MS);
    assert_true(program->main_gone >= 1);
}

/* Here the daemon is the last thread, and its end is that of the process. */
static void main_thread_has_ended_after_pthread_exit(void)
{
    if (THREAD_SANITIZED)
        test_skip("its own thread would be the last one, and stay");
    struct program *program = test_shared(sizeof *program);
    struct role role;
    program->way = BY_RETURN; /* or nearly so */
    role_start(&role, end_with_waiters, program);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(program->main_gone, 2);
}

static void leave_main_to_threads(void *arg)
{
    here = arg;
    start_all();
    say(&here->go);
    look_for_no_leaks();
    pthread_exit(NULL);
}

static void process_goes_on_after_pthread_exit_of_main(void)
{
    if (THREAD_SANITIZED)
        test_skip("its own thread would be the last one, and stay");
    struct program *program = test_shared(sizeof *program);
    struct role role;
    role_start(&role, leave_main_to_threads, program);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(program->ended, 2);
    assert_int_equal(program->later, 2);
}

/* ---- those who wait for one that has called exit() ---- */

static ipc_thread leaver;

static int join_the_leaver(void *unused)
{
    (void)unused;
    say(&here->ready);
    here->join_rc = ipc_thread_join(&leaver);
    CHECK(ipc_thread_join_nowait(&leaver), -EAGAIN);
    assert_true(ipc_thread_is_alive(&leaver));
    return 0;
}

static int leave_when_joined(void *joiner)
{
    meet_wait(&here->go, 1, LIMIT_MS);
    meet_wait(&here->ready, 1, LIMIT_MS);
    wait_until_sleeping(ipc_thread_native_id(joiner), LIMIT_MS);
    return exit_with_21(NULL);
}

static void join_who_leaves(void *arg)
{
    static ipc_thread joiner;
    here = arg;
    start_thread(&leaver, leave_when_joined, &joiner);
    start_thread(&joiner, join_the_leaver, NULL);
    say(&here->go);
    (void)ipc_thread_join(&leaver); /* nobody waits for main: for good */
}

/* Each would wait for the other. */
static void joiner_of_a_thread_in_exit_is_told(void)
{
    struct program *program = test_shared(sizeof *program);
    struct role role;
    role_start(&role, join_who_leaves, program);
    const int status = role_wait_dead(&role, LIMIT_MS);
    assert_int_equal(status, 21 << 8);
    assert_int_equal(program->join_rc, -EDEADLK);
}

/* ---- objects on the stack of main() ---- */

static int end_when_told(void *copied)
{
    meet_wait(&here->go, 1, LIMIT_MS);
    assert_int_equal(*(int *)copied, 4711);
    say(&here->ended);
    return 0;
}

static void __attribute__((noinline)) start_on_the_stack(void)
{
    ipc_thread t[3];
    int number = 4711;
    for (int i = 0; i < 3; i++) {
        const ipc_thread_options options = {.size = sizeof options,
                                            .arg_bytes = sizeof number};
        start_thread_with(&t[i], end_when_told, &number, &options);
    }
}

static void __attribute__((noinline)) overwrite_the_stack(void)
{
    volatile char junk[4096];
    for (size_t i = 0; i < sizeof junk; i++)
        junk[i] = (char)0xee;
}

static int leave_objects_behind(void *arg)
{
    here = arg;
    start_on_the_stack();
    overwrite_the_stack();
    say(&here->go);
    return 5;
}

static void objects_may_be_gone_at_the_end(void)
{
    struct program *program = test_shared(sizeof *program);
    assert_int_equal(run(leave_objects_behind, program), 5);
    assert_int_equal(program->ended, 3);
}

static const struct test_case cases[] = {
    TEST_CASE(threads_are_joined_and_daemons_left_alone),
    TEST_CASE(underscore_exit_waits_for_nobody),
    TEST_CASE(threads_are_joined_between_handlers_and_before_children),
    TEST_CASE(daemon_children_live_until_threads_have_ended),
    TEST_CASE(main_thread_has_ended_when_it_has_called_exit),
    TEST_CASE(main_thread_has_ended_after_pthread_exit),
    TEST_CASE(process_goes_on_after_pthread_exit_of_main),
    TEST_CASE(joiner_of_a_thread_in_exit_is_told),
    TEST_CASE(objects_may_be_gone_at_the_end),
};
TEST_MAIN(cases)
