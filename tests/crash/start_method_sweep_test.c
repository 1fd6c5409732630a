/* Starting a process by spawn and by forkserver, with the starter, or the
 * template, killed at each of its system calls. */
#include "unit/start_method_support.h"

#include "harness/sweep.h"

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <ipc/lock.h>

enum {
    LEFT_MS = 1100
}; /* for daemons and templates to see that their owner is gone */

struct state {
    ipc_lock lock;
    uint32_t method;
    bool daemon;
    uint32_t runs;
    int32_t pid; /* of the template */
    uint32_t words[2];
    int32_t rc, exit_rc, code;
};

static struct state *new_state(uint32_t method, bool daemon)
{
    struct state *state = family(sizeof *state);
    state->method = method;
    state->daemon = daemon;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    return state;
}

/* ---- whoever is left goes on ---- */

static int use_the_family(void *arg)
{
    struct state *state = arg;
    void *memory = ipc_shared_alloc(100);
    assert_non_null(memory);
    assert_true(ipc_lock_acquire_until(&state->lock, ipc_after_ms(500)) == 0);
    CHECK(ipc_lock_release(&state->lock), 0);
    CHECK(ipc_shared_free(memory), 0);
    return 7;
}
IPC_ENTRY(use_the_family);

static void go_on(void *arg)
{
    const struct state *state = arg;
    assert_int_equal(run_by(state->method, use_the_family, arg), 7);
    no_server();
}

static bool all_orphans_end(void)
{
    const int64_t from = test_now_ns();
    for (;;) {
        const pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0)
            return true;
        if (pid == 0 && ms_since(from) > LEFT_MS)
            return false;
        if (pid == 0)
            poll_pause();
    }
}

static void goes_on(void *ctx, const struct sweep_point *point,
                    struct sweep_result *result)
{
    if (!all_orphans_end())
        sweep_leftover(result, point);
    if (role_try(go_on, ctx, LIMIT_MS) != 0)
        sweep_wedge(result, point);
}

/* ---- the starter ---- */

static int count_and_stay(void *arg)
{
    struct state *state = arg;
    (void)__atomic_add_fetch(&state->runs, 1, __ATOMIC_RELAXED);
    return state->daemon ? sleep_for_good(NULL) : 0;
}
IPC_ENTRY(count_and_stay);

static ipc_process victims;

static void describe(void *ctx)
{
    const struct state *state = ctx;
    ipc_process_options options = by(state->method);
    options.daemon = state->daemon;
    CHECK(ipc_process_init(&victims, count_and_stay, ctx, &options), 0);
}

static void start_and_close(void *unused)
{
    (void)unused;
    CHECK(ipc_process_start(&victims), 0);
    CHECK(ipc_process_terminate(&victims), 0);
    CHECK(ipc_process_join(&victims), 0);
    CHECK(ipc_process_close(&victims), 0);
    CHECK(ipc_forkserver_stop(), 0);
}

static void sweep_the_starter(uint32_t method, bool daemon, long min_points)
{
    struct state *state = new_state(method, daemon);
    const struct sweep sweep = {.name = "start to close",
                                .ctx = state,
                                .prepare = describe,
                                .victim = start_and_close,
                                .oracle = goes_on,
                                .grain = SWEEP_SYSCALLS};
    struct sweep_result result;
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    test_report("ran", state->runs);
    sweep_expect_clean(&result, min_points);
    CHECK(ipc_shared_free(state), 0);
}

static void starter_killed_while_it_spawns(void)
{
    sweep_the_starter(IPC_START_SPAWN, false, 40);
}

static void starter_killed_while_it_spawns_a_daemon(void)
{
    sweep_the_starter(IPC_START_SPAWN, true, 40);
}

static void starter_killed_while_it_makes_and_uses_a_template(void)
{
    sweep_the_starter(IPC_START_FORKSERVER, true, 80);
}

/* ---- the template ---- */

static int count_run(void *arg)
{
    struct state *state = arg;
    (void)__atomic_add_fetch(&state->runs, 1, __ATOMIC_RELAXED);
    return 3;
}
IPC_ENTRY(count_run);

static void use_a_template(void *arg)
{
    struct state *state = arg;
    ipc_process p;
    CHECK(ipc_forkserver_start(NULL), 0);
    state->pid = ipc_forkserver_pid();
    meet_signal(&state->words[0]);
    meet_wait(&state->words[1], 1, LIMIT_MS);
    const ipc_process_options options = by(IPC_START_FORKSERVER);
    CHECK(ipc_process_init(&p, count_run, state, &options), 0);
    state->rc = ipc_process_start(&p);
    CHECK(ipc_process_join_until(&p, ipc_after_ms(LIMIT_MS)), 0);
    state->exit_rc = ipc_process_exitcode(&p, &state->code);
    CHECK(ipc_process_close(&p), 0);
    no_server();
}

/* Let the template run up to its nth stop, before or after a system call, and
 * kill it there.  False: its owner has come to its end before. */
static bool kill_template_at(struct state *state, struct role *owner, int nth)
{
    int status;
    if (ptrace(PTRACE_SEIZE, state->pid, NULL,
               PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD) != 0)
        test_skip("ptrace is not permitted: %m");
    assert_int_equal(ptrace(PTRACE_INTERRUPT, state->pid, NULL, NULL), 0);
    assert_int_equal(waitpid(state->pid, &status, __WALL), state->pid);
    meet_signal(&state->words[1]);
    for (int stops = 0; stops < nth; stops++) {
        if (ptrace(PTRACE_SYSCALL, state->pid, NULL, NULL) != 0)
            return false; /* its owner has no more use for it */
        pid_t pid;
        while ((pid = waitpid(state->pid, &status, __WALL | WNOHANG)) == 0) {
            if (role_dead_within(owner, 0, &status)) {
                assert_int_equal(status, 0);
                return false;
            }
            poll_pause();
        }
        if (pid < 0 || !WIFSTOPPED(status))
            return false;
    }
    (void)kill(state->pid, SIGKILL);
    while (waitpid(state->pid, &status, __WALL) == state->pid &&
           WIFSTOPPED(status))
        continue;
    return true;
}

static void t38_template_killed_at_each_system_call(void)
{
    struct state *state = new_state(IPC_START_FORKSERVER, false);
    int points = 0;
    int lost = 0;
    bool killed = true;
    for (int nth = 1; killed; nth++) {
        struct role owner;
        memset(state, 0, sizeof *state);
        state->method = IPC_START_FORKSERVER;
        role_start(&owner, use_a_template, state);
        meet_wait(&state->words[0], 1, LIMIT_MS);
        killed = kill_template_at(state, &owner, nth);
        if (owner.pid != 0)
            role_wait_ok(&owner, LIMIT_MS);
        if (!all_orphans_end())
            test_fail("orphans after stop %d", nth);
        points += killed;
        CHECK(state->rc, 0);
        if (state->runs != 1)
            test_fail("killed at stop %d: the target ran %u times", nth,
                      state->runs);
        lost += state->exit_rc == -ECHILD;
        if (state->exit_rc != -ECHILD)
            assert_int_equal(state->code, 3);
    }
    test_report("points", points);
    test_report("statuses_lost", lost);
    assert_true(points > 15);
    CHECK(ipc_shared_free(state), 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(starter_killed_while_it_spawns, 120),
    TEST_CASE_LIMIT(starter_killed_while_it_spawns_a_daemon, 120),
    TEST_CASE_LIMIT(starter_killed_while_it_makes_and_uses_a_template, 120),
    TEST_CASE_LIMIT(t38_template_killed_at_each_system_call, 60),
};
TEST_MAIN(cases)
