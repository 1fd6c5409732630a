/* Parents that die in any way, and what becomes of their children. */
#include "unit/process_support.h"

#include "harness/kills.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <ipc/shared.h>

/* Daemons promise to end within 100 ms; a second on top is for the machine. */
enum {
    DAEMON_LIMIT_MS = 1100,
    DAEMONS = 3,
    ALL = 2 * DAEMONS + 1
};

/* What the processes of a case share. */
struct stage {
    uint32_t ready;
    uint32_t go;
    uint32_t answers;
    int32_t how;           /* the parent dies */
    int32_t pids[ALL + 1]; /* of its descendants */
};

enum {
    BY_SIGKILL,
    BY__EXIT,
    BY_ABORT,
    BY_SEGV,
    BY_THREAD__EXIT,
    WAYS
};

static struct stage *new_stage(void)
{
    /* Orphans come to the case, which can see how they ended. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    return test_shared(sizeof(struct stage));
}

/* ---- watching descendants ---- */

static int open_pid(pid_t pid)
{
    const int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        test_fail("pidfd_open(%d): %m", (int)pid);
    return fd;
}

static bool ends_within(int pidfd, int limit_ms)
{
    struct pollfd item = {.fd = pidfd, .events = POLLIN};
    return poll(&item, 1, limit_ms) > 0;
}

/* An orphan has ended, by this signal. */
static void expect_killed(pid_t pid, int sig)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != sig)
        test_fail("pid %d ended with wait status 0x%x", (int)pid,
                  (unsigned)status);
}

/* ---- a parent with daemons, which have daemons, and another child ---- */

static struct stage *here;

static void note_pid(int index)
{
    here->pids[index] = getpid();
    meet_signal(&here->ready);
}

static int be_a_grandchild(void *arg)
{
    note_pid(DAEMONS + *(int *)arg);
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL); /* SIGKILL cannot be */
    return sleep_for_good(NULL);
}

static int be_a_daemon(void *arg)
{
    ipc_process grandchild;
    (void)signal(SIGTERM, SIG_IGN);
    start_daemon(&grandchild, be_a_grandchild, arg);
    note_pid(*(int *)arg);
    return sleep_for_good(NULL);
}

static int be_another(void *unused)
{
    (void)unused;
    note_pid(ALL - 1);
    meet_wait(&here->go, 1, LIMIT_MS);
    return 0;
}

static void *leave_by__exit(void *unused)
{
    (void)unused;
    _exit(0);
}

static void die(int how)
{
    pthread_t thread;
    switch (how) {
    case BY__EXIT:
        _exit(3);
    case BY_ABORT:
        abort();
    case BY_SEGV:
        (void)raise(SIGSEGV);
        break;
    case BY_THREAD__EXIT:
        assert_int_equal(pthread_create(&thread, NULL, leave_by__exit, NULL),
                         0);
        break;
    default:
        break;
    }
    (void)sleep_for_good(NULL);
}

static void be_the_parent(void *arg)
{
    here = arg;
    ipc_process p[DAEMONS + 1];
    for (int i = 0; i < DAEMONS; i++)
        start_daemon(&p[i], be_a_daemon, &i);
    start(&p[DAEMONS], be_another, NULL);
    meet_wait(&here->ready, ALL, LIMIT_MS);
    meet_signal(&here->answers);
    if (here->how != BY_SIGKILL)
        meet_wait(&here->go, 1, LIMIT_MS);
    die(here->how);
}

static void daemons_end_with_their_parent(void)
{
    struct stage *stage = new_stage();
    int64_t slowest = 0;
    for (int how = 0; how < WAYS; how++) {
        struct role parent;
        int fds[ALL];
        memset(stage, 0, sizeof *stage);
        stage->how = how;
        role_start(&parent, be_the_parent, stage);
        meet_wait(&stage->answers, 1, LIMIT_MS);
        for (int i = 0; i < ALL; i++)
            fds[i] = open_pid(stage->pids[i]);

        const int64_t from = test_now_ns();
        if (how == BY_SIGKILL)
            (void)role_kill(&parent);
        else
            meet_signal(&stage->go);
        for (int i = 0; i < 2 * DAEMONS; i++) {
            const int left = DAEMON_LIMIT_MS - (int)ms_since(from);
            if (!ends_within(fds[i], left > 0 ? left : 0))
                test_fail("daemon %d outlives its parent, which died by %d", i,
                          how);
        }
        if (ms_since(from) > slowest)
            slowest = ms_since(from);
        if (how == BY_SIGKILL) {
            assert_false(ends_within(fds[ALL - 1], 0)); /* no daemon */
            meet_signal(&stage->go);
        } else {
            (void)role_wait_dead(&parent, LIMIT_MS);
        }
        for (int i = 0; i < 2 * DAEMONS; i++)
            expect_killed(stage->pids[i], SIGKILL);
        int status;
        assert_int_equal(waitpid(stage->pids[ALL - 1], &status, 0),
                         stage->pids[ALL - 1]);
        assert_int_equal(status, 0);
        for (int i = 0; i < ALL; i++)
            (void)close(fds[i]);
    }
    test_report("slowest_ms", slowest);
}

/* ---- who the parent is ---- */

static int answer_questions(void *arg)
{
    struct stage *stage = arg;
    stage->pids[0] = getpid();
    for (uint32_t i = 1; i < 1000; i++) {
        meet_signal(&stage->answers);
        meet_wait(&stage->go, i, LIMIT_MS);
    }
    return 0;
}

static void expect_answer(struct stage *stage)
{
    const uint32_t next = stage->answers + 1;
    meet_signal(&stage->go);
    meet_wait(&stage->answers, next, LIMIT_MS);
}

static ipc_process started_by_thread;

static void *start_it(void *stage)
{
    start_daemon(&started_by_thread, answer_questions, stage);
    return NULL;
}

static void end_of_the_starting_thread_is_no_death(void)
{
    struct stage *stage = new_stage();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, start_it, stage), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    meet_wait(&stage->answers, 1, LIMIT_MS);
    for (int i = 0; i < 3; i++) {
        expect_answer(stage);
        CHECK(ipc_process_join_until(&started_by_thread, ipc_after_ms(60)),
              -ETIMEDOUT);
    }
    CHECK(ipc_process_kill(&started_by_thread), 0);
    assert_int_equal(end_of(&started_by_thread), -SIGKILL);
}

static void *stay(void *stage)
{
    meet_wait(&((struct stage *)stage)->ready, 1, LIMIT_MS);
    _exit(0);
}

static void leave_a_thread(void *stage)
{
    pthread_t thread;
    ipc_process p;
    start_daemon(&p, answer_questions, stage);
    assert_int_equal(pthread_create(&thread, NULL, stay, stage), 0);
    pthread_exit(NULL);
}

static void end_of_the_main_thread_is_no_death(void)
{
    struct stage *stage = new_stage();
    struct role parent;
    role_start(&parent, leave_a_thread, stage);
    meet_wait(&stage->answers, 1, LIMIT_MS);
    while (!thread_ended(parent.pid)) /* the first thread is a zombie now */
        poll_pause();
    const int fd = open_pid(stage->pids[0]);
    for (int i = 0; i < 3; i++) {
        assert_false(ends_within(fd, 60));
        expect_answer(stage);
    }
    const int64_t from = test_now_ns();
    meet_signal(&stage->ready);
    assert_true(ends_within(fd, DAEMON_LIMIT_MS));
    test_report("ms", ms_since(from));
    (void)close(fd);
    (void)role_wait_dead(&parent, LIMIT_MS);
    expect_killed(stage->pids[0], SIGKILL);
}

/* ---- daemons that close what they find open ---- */

static int close_everything(void *arg)
{
    assert_int_equal(close_range(3, ~0u, 0), 0);
    return answer_questions(arg);
}

/* Every low number is a file that can be read now. */
static int reuse_everything(void *arg)
{
    int ends[2];
    assert_int_equal(close_range(3, ~0u, 0), 0);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    for (int fd = 5; fd < 40; fd++)
        assert_int_equal(dup2(ends[0], fd), fd);
    return answer_questions(arg);
}

/* A file that one sleeps on stays open until then: stop its sleep, and let it
 * look for the number again. */
static void begin_to_watch_anew(pid_t pid)
{
    char stat[512] = "";
    (void)kill(pid, SIGSTOP);
    while (strstr(stat, ") T ") == NULL) {
        char path[40];
        (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        assert_non_null(fgets(stat, sizeof stat, file));
        (void)fclose(file);
    }
    (void)kill(pid, SIGCONT);
}

static int (*closer)(void *arg);

static void start_a_closer(void *stage)
{
    ipc_process p;
    start_daemon(&p, closer, stage);
    (void)sleep_for_good(NULL);
}

static void expect_alive_until_parent_dies(const char *figure)
{
    struct stage *stage = new_stage();
    struct role parent;
    role_start(&parent, start_a_closer, stage);
    meet_wait(&stage->answers, 1, LIMIT_MS);
    const int fd = open_pid(stage->pids[0]);
    begin_to_watch_anew(stage->pids[0]);
    for (int i = 0; i < 3; i++) {
        assert_false(ends_within(fd, 60));
        expect_answer(stage);
    }
    const int64_t from = test_now_ns();
    (void)role_kill(&parent);
    assert_true(ends_within(fd, DAEMON_LIMIT_MS));
    test_report(figure, ms_since(from));
    (void)close(fd);
    expect_killed(stage->pids[0], SIGKILL);
}

static void daemon_without_descriptors_ends_with_its_parent(void)
{
    closer = close_everything;
    expect_alive_until_parent_dies("closed_ms");
    closer = reuse_everything;
    expect_alive_until_parent_dies("reused_ms");
}

/* Nor may it open any: poll() fails then, and sleeping on it is no use. */
static int64_t cpu_ms(void)
{
    struct timespec used;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

static int sleep_a_while(void *arg)
{
    meet_wait(arg, 1, LIMIT_MS);
    const int64_t before = cpu_ms();
    ipc_sleep_until(ipc_after_ms(200));
    return cpu_ms() - before > 100;
}

static void daemon_that_may_open_nothing_does_not_spin(void)
{
    const ipc_process_rlimit nothing = {RLIMIT_NOFILE, 0, 0};
    const ipc_process_options options = {.size = sizeof options,
                                         .daemon = true,
                                         .rlimits = &nothing,
                                         .rlimit_count = 1};
    uint32_t *word = test_shared(sizeof *word);
    ipc_process p;
    start_with(&p, sleep_a_while, word, &options);
    begin_to_watch_anew(ipc_process_pid(&p));
    meet_signal(word);
    assert_int_equal(end_of(&p), 0);
}

/* ---- daemons of others ---- */

static int start_a_daemon(void *arg)
{
    struct stage *stage = arg;
    ipc_process p;
    start_daemon(&p, answer_questions, stage);
    stage->pids[1] = getpid();
    meet_signal(&stage->ready);
    return sleep_for_good(NULL);
}

static void start_a_grandparent(void *stage)
{
    ipc_process p;
    start(&p, start_a_daemon, stage);
    (void)sleep_for_good(NULL);
}

static void daemon_ends_with_its_own_parent_only(void)
{
    struct stage *stage = new_stage();
    struct role grandparent;
    role_start(&grandparent, start_a_grandparent, stage);
    meet_wait(&stage->answers, 1, LIMIT_MS);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    const int fd = open_pid(stage->pids[0]);
    (void)role_kill(&grandparent);
    assert_false(ends_within(fd, 150));
    expect_answer(stage);
    (void)kill(stage->pids[1], SIGKILL);
    assert_true(ends_within(fd, DAEMON_LIMIT_MS));
    (void)close(fd);
    expect_killed(stage->pids[1], SIGKILL);
    expect_killed(stage->pids[0], SIGKILL);
}

/* ---- parents killed at any moment ---- */

static void start_and_end_daemons(void *ctx, int index)
{
    (void)ctx;
    (void)index;
    while (kills_go_on()) {
        ipc_process p[2];
        for (int i = 0; i < 2; i++)
            start_daemon(&p[i], sleep_for_good, NULL);
        for (int i = 0; i < 2; i++) {
            CHECK(ipc_process_terminate(&p[i]), 0);
            (void)end_of(&p[i]);
        }
    }
}

/* All workers have left: so have their daemons, a second later at most. */
static void expect_no_orphans(void *ctx, struct kills_result *result)
{
    (void)result;
    int64_t *ms = ctx;
    const int64_t from = test_now_ns();
    for (;;) {
        const pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 && errno == ECHILD)
            break;
        if (pid == 0 && ms_since(from) > DAEMON_LIMIT_MS)
            test_fail("daemons outlive their parents");
        if (pid == 0)
            poll_pause();
    }
    *ms = ms_since(from);
}

static void parents_killed_at_random_leave_no_daemons(void)
{
    int64_t last_ms = 0;
    const struct kills kills = {.ctx = &last_ms,
                                .workers = 4,
                                .work = start_and_end_daemons,
                                .check = expect_no_orphans,
                                .kills = kills_for(300),
                                .max_us = 5000};
    struct kills_result result;
    (void)new_stage();
    int *family = ipc_shared_alloc(sizeof *family); /* of all workers */
    kills_run(&kills, &result);
    kills_report(&result);
    test_report("last_daemon_ms", last_ms);
    assert_int_equal(result.wedges, 0);
    CHECK(ipc_shared_free(family), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(daemons_end_with_their_parent),
    TEST_CASE(end_of_the_starting_thread_is_no_death),
    TEST_CASE(end_of_the_main_thread_is_no_death),
    TEST_CASE(daemon_without_descriptors_ends_with_its_parent),
    TEST_CASE(daemon_that_may_open_nothing_does_not_spin),
    TEST_CASE(daemon_ends_with_its_own_parent_only),
    TEST_CASE_LIMIT(parents_killed_at_random_leave_no_daemons, 300),
};
TEST_MAIN(cases)
