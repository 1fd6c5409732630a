/* ipc_process_start() with the starter, or the child, killed at each of its
 * system calls. */
#include "unit/process_support.h"

#include "harness/sweep.h"

#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <ipc/lock.h>
#include <ipc/shared.h>

enum {
    LEFT_MS = 1100
}; /* for a daemon to see that its parent is gone */

/* What the family of the case has before the first death. */
struct family {
    ipc_lock lock;
    bool daemon;
    int32_t count; /* under the lock */
    uint32_t runs;
};

static struct family *new_family(bool daemon)
{
    struct family *family = ipc_shared_alloc(sizeof *family);
    assert_non_null(family);
    family->daemon = daemon;
    /* Orphans come to the case. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    return family;
}

/* ---- whoever is left goes on ---- */

static int use_the_family(void *arg)
{
    struct family *family = arg;
    void *memory = ipc_shared_alloc(100);
    assert_non_null(memory);
    assert_true(ipc_lock_acquire_until(&family->lock, ipc_after_ms(500)) == 0);
    family->count++;
    CHECK(ipc_lock_release(&family->lock), 0);
    CHECK(ipc_shared_free(memory), 0);
    return 7;
}

static void go_on(void *arg)
{
    assert_int_equal(use_the_family(arg), 7);
    assert_int_equal(run(use_the_family, arg), 7);
    assert_int_equal(run_daemon(use_the_family, arg), 7);
}

/* Daemons of the dead end by themselves, and the others too: all targets
 * here are short, or daemons. */
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

static void end_all_orphans(void)
{
    char path[64];
    char text[2000] = "";
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children",
                   (int)getpid());
    FILE *children = fopen(path, "re");
    if (children != NULL) {
        (void)fgets(text, sizeof text, children);
        (void)fclose(children);
    }
    char *rest = text;
    for (long pid; (pid = strtol(rest, &rest, 10)) > 0;)
        (void)kill((pid_t)pid, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
}

static void goes_on(void *ctx, const struct sweep_point *point,
                    struct sweep_result *result)
{
    if (!all_orphans_end()) {
        sweep_leftover(result, point);
        end_all_orphans();
    }
    if (role_try(go_on, ctx, LIMIT_MS) != 0)
        sweep_wedge(result, point);
}

/* ---- the starter dies ---- */

static int count_and_stay(void *arg)
{
    struct family *family = arg;
    (void)__atomic_add_fetch(&family->runs, 1, __ATOMIC_RELAXED);
    return family->daemon ? sleep_for_good(NULL) : 0;
}

static ipc_process victims;

static void describe(void *ctx)
{
    const struct family *family = ctx;
    const ipc_process_options options = {.size = sizeof options,
                                         .daemon = family->daemon,
                                         .nice = family->daemon};
    CHECK(ipc_process_init(&victims, count_and_stay, ctx, &options), 0);
}

static void just_start(void *unused)
{
    (void)unused;
    CHECK(ipc_process_start(&victims), 0);
}

static void start_and_close(void *unused)
{
    (void)unused;
    CHECK(ipc_process_start(&victims), 0);
    CHECK(ipc_process_terminate(&victims), 0);
    CHECK(ipc_process_join(&victims), 0);
    CHECK(ipc_process_close(&victims), 0);
}

static void sweep_the_starter(const char *name, bool daemon,
                              void (*victim)(void *), long min_points)
{
    struct family *family = new_family(daemon);
    const struct sweep sweep = {.name = name,
                                .ctx = family,
                                .prepare = describe,
                                .victim = victim,
                                .oracle = goes_on,
                                .grain = SWEEP_SYSCALLS};
    struct sweep_result result;
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    test_report("ran", family->runs);
    sweep_expect_clean(&result, min_points);
    CHECK(ipc_shared_free(family), 0);
}

static void starter_killed_while_it_starts_a_daemon(void)
{
    sweep_the_starter("start", true, just_start, 30);
}

static void starter_killed_while_it_starts_another(void)
{
    sweep_the_starter("start", false, just_start, 30);
}

static void starter_killed_up_to_close(void)
{
    sweep_the_starter("start to close", true, start_and_close, 40);
}

/* What the sweep is to find: a daemon that nobody watches. */
static void start_unwatched(void *ctx)
{
    if (fork() == 0)
        (void)count_and_stay(ctx);
}

static void sweep_finds_daemons_that_stay(void)
{
    struct family *family = new_family(true);
    const struct sweep sweep = {.ctx = family,
                                .victim = start_unwatched,
                                .oracle = goes_on,
                                .grain = SWEEP_SYSCALLS,
                                .stride = 4};
    struct sweep_result result;
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    assert_true(result.leftovers > 0);
    CHECK(ipc_shared_free(family), 0);
}

/* ---- the child dies while it sets itself up ---- */

struct launch {
    int32_t rc;
    int32_t exit_rc, code;
    int64_t ms;
    uint32_t runs;
};

static int count_run(void *arg)
{
    struct launch *launch = arg;
    (void)__atomic_add_fetch(&launch->runs, 1, __ATOMIC_RELAXED);
    (void)getppid(); /* where the tracer finds that it runs */
    return 3;
}

static void launch(void *arg)
{
    struct launch *launch = arg;
    const int cpu = sched_getcpu();
    const ipc_process_rlimit limit = {RLIMIT_CORE, 0, 0};
    const ipc_process_options options = {.size = sizeof options,
                                         .daemon = true,
                                         .cpus = &cpu,
                                         .cpu_count = 1,
                                         .nice = 1,
                                         .rlimits = &limit,
                                         .rlimit_count = 1};
    ipc_process p;
    CHECK(ipc_process_init(&p, count_run, launch, &options), 0);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        test_skip("ptrace is not permitted: %m");
    (void)raise(SIGSTOP);
    const int64_t from = test_now_ns();
    launch->rc = ipc_process_start(&p);
    launch->ms = ms_since(from);
    CHECK(ipc_process_join_until(&p, ipc_after_ms(LIMIT_MS)), 0);
    launch->exit_rc = ipc_process_exitcode(&p, &launch->code);
    CHECK(ipc_process_close(&p), 0);
}

/* Let the starter fork; the child is traced then, and has not run yet. */
static pid_t trace_the_child(pid_t starter)
{
    int status;
    unsigned long child = 0;
    assert_int_equal(waitpid(starter, &status, 0), starter);
    if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_SKIPPED)
        _exit(TEST_SKIPPED);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(
        ptrace(PTRACE_SETOPTIONS, starter, NULL,
               PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD),
        0);
    assert_int_equal(ptrace(PTRACE_CONT, starter, NULL, NULL), 0);
    assert_int_equal(waitpid(starter, &status, 0), starter);
    assert_int_equal(status >> 8, SIGTRAP | (PTRACE_EVENT_FORK << 8));
    assert_int_equal(ptrace(PTRACE_GETEVENTMSG, starter, NULL, &child), 0);
    assert_int_equal(ptrace(PTRACE_DETACH, starter, NULL, NULL), 0);
    assert_int_equal(waitpid((pid_t)child, &status, __WALL), child);
    return (pid_t)child;
}

/* Kill it at its nth stop: before or after a system call.  False: it has come
 * to its target before that, and goes on. */
static bool kill_at(pid_t child, int nth, const struct launch *launch)
{
    int status;
    for (int i = 1; i < nth; i++) {
        assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
        assert_int_equal(waitpid(child, &status, __WALL), child);
        if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80))
            test_fail("the child ended with wait status 0x%x",
                      (unsigned)status);
        if (launch->runs != 0) {
            assert_int_equal(ptrace(PTRACE_DETACH, child, NULL, NULL), 0);
            return false;
        }
    }
    (void)kill(child, SIGKILL);
    while (waitpid(child, &status, __WALL) == child && WIFSTOPPED(status))
        continue;
    return true;
}

/* Its starter waits for it meanwhile, and sees its death by the 100 ms
 * re-check. */
static void child_killed_in_its_setup_is_seen_by_the_recheck(void)
{
    struct launch *found = test_shared(sizeof *found);
    int64_t slowest = 0;
    bool killed = true;
    int points = 0;
    for (int nth = 1; killed; nth++) {
        struct role starter;
        memset(found, 0, sizeof *found);
        role_start(&starter, launch, found);
        killed = kill_at(trace_the_child(starter.pid), nth, found);
        role_wait_ok(&starter, LIMIT_MS);
        points += killed;
        CHECK(found->rc, 0);
        CHECK(found->exit_rc, 0);
        assert_int_equal(found->code, killed ? -SIGKILL : 3);
        assert_int_equal(found->runs, !killed);
        if (killed && found->ms > slowest)
            slowest = found->ms;
    }
    test_report("points", points);
    test_report("slowest_ms", slowest);
    assert_true(points > 20);
    assert_true(slowest < 1200);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(starter_killed_while_it_starts_a_daemon, 120),
    TEST_CASE_LIMIT(starter_killed_while_it_starts_another, 120),
    TEST_CASE_LIMIT(starter_killed_up_to_close, 120),
    TEST_CASE_LIMIT(sweep_finds_daemons_that_stay, 120),
    TEST_CASE_LIMIT(child_killed_in_its_setup_is_seen_by_the_recheck, 60),
};
TEST_MAIN(cases)
