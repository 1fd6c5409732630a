/* Owners, templates and children killed while others count on them. */
#include "unit/start_method_support.h"

#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

IPC_ENTRY(return_zero);
IPC_ENTRY(sleep_for_good);

/* ---- the owner ---- */

enum {
    ALL = 2 * METHODS + 1
};

struct brood {
    uint32_t ready;
    int32_t pids[ALL]; /* of daemons and others; and the template's */
};

static int be_there(void *arg)
{
    struct brood *brood = arg;
    meet_signal(&brood->ready);
    return sleep_for_good(NULL);
}
IPC_ENTRY(be_there);

static void have_a_brood(void *arg)
{
    struct brood *brood = arg;
    static ipc_process p[2 * METHODS];
    for (int m = 0; m < METHODS; m++) {
        for (int daemon = 0; daemon < 2; daemon++) {
            ipc_process_options options = by(methods[m]);
            options.daemon = daemon == 1;
            ipc_process *process = &p[2 * m + daemon];
            start_with(process, be_there, brood, &options);
            brood->pids[2 * m + daemon] = ipc_process_pid(process);
        }
    }
    brood->pids[ALL - 1] = ipc_forkserver_pid();
    meet_wait(&brood->ready, ALL - 1, LIMIT_MS);
    meet_signal(&brood->ready);
    (void)pause();
}

static bool ends_within(int fd, int ms)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    return poll(&item, 1, ms) == 1;
}

/* Daemons and the template within 100 ms, by their watchers. */
static void t36_daemons_and_template_end_with_their_owner(void)
{
    int64_t slowest = 0;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    for (int i = 0; i < 5; i++) {
        struct brood *brood = family(sizeof *brood);
        struct role role;
        int fds[ALL];
        role_start(&role, have_a_brood, brood);
        meet_wait(&brood->ready, ALL, LIMIT_MS);
        for (int j = 0; j < ALL; j++) {
            fds[j] = (int)syscall(SYS_pidfd_open, brood->pids[j], 0);
            assert_true(fds[j] >= 0);
        }
        const int64_t from = test_now_ns();
        (void)role_kill(&role);
        for (int j = 1; j < ALL; j += j < ALL - 2 ? 2 : 1)
            if (!ends_within(fds[j], 1000))
                test_fail("process %d outlives its owner", j);
        if (ms_since(from) > slowest)
            slowest = ms_since(from);
        for (int j = 0; j < ALL - 1; j += 2) {
            assert_false(ends_within(fds[j], 0)); /* no daemon */
            (void)kill(brood->pids[j], SIGKILL);
        }
        while (waitpid(-1, NULL, 0) > 0)
            continue;
        for (int j = 0; j < ALL; j++)
            (void)close(fds[j]);
        CHECK(ipc_shared_free(brood), 0);
    }
    test_report("slowest_ms", slowest);
}

/* What a child of a template knows of its owner's end. */
struct orphan {
    uint32_t words[2];
    int parent, alive, join_rc, parent_after;
};

static int outlive(void *arg)
{
    struct orphan *orphan = arg;
    ipc_process *parent = ipc_parent_process();
    orphan->parent = ipc_getppid();
    orphan->alive = ipc_process_is_alive(parent);
    meet_signal(&orphan->words[0]);
    orphan->join_rc = ipc_process_join_until(parent, ipc_after_ms(LIMIT_MS));
    orphan->parent_after = ipc_getppid();
    meet_signal(&orphan->words[1]);
    return 0;
}
IPC_ENTRY(outlive);

static void start_one_and_stay(void *arg)
{
    ipc_process p;
    start_by(IPC_START_FORKSERVER, &p, outlive, arg);
    (void)pause();
}

static void child_of_a_template_sees_its_owner_die(void)
{
    struct orphan *orphan = family(sizeof *orphan);
    struct role role;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    role_start(&role, start_one_and_stay, orphan);
    meet_wait(&orphan->words[0], 1, LIMIT_MS);
    assert_int_equal(orphan->parent, role.pid);
    assert_true(orphan->alive);
    const int pid = role.pid;
    (void)role_kill(&role);
    meet_wait(&orphan->words[1], 1, LIMIT_MS);
    CHECK(orphan->join_rc, 0);
    assert_int_not_equal(orphan->parent_after, pid);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
    CHECK(ipc_shared_free(orphan), 0);
}

/* ---- the template ---- */

static int count_me(void *arg)
{
    (void)__atomic_add_fetch((uint32_t *)arg, 1, __ATOMIC_RELAXED);
    return 3;
}
IPC_ENTRY(count_me);

struct killer {
    uint32_t stop;
    uint32_t kills;
    uint64_t seed;
};

static void *kill_templates(void *arg)
{
    struct killer *killer = arg;
    while (__atomic_load_n(&killer->stop, __ATOMIC_RELAXED) == 0) {
        const int pid = ipc_forkserver_pid();
        if (pid > 0 && kill(pid, SIGKILL) == 0)
            killer->kills++;
        killer->seed = killer->seed * 6364136223846793005u + 1;
        ipc_sleep_until(ipc_after_us((int64_t)(killer->seed >> 33) % 4000));
    }
    return NULL;
}

/* Each target runs once, or not at all when start() has failed. */
static void t38_template_killed_at_random(void)
{
    enum {
        STARTS = 100
    };
    uint32_t *runs = family(STARTS * sizeof *runs);
    struct killer killer = {.seed = (uint64_t)test_now_ns()};
    pthread_t thread;
    int failed = 0;
    int lost = 0;
    assert_int_equal(pthread_create(&thread, NULL, kill_templates, &killer), 0);
    for (int i = 0; i < STARTS; i++) {
        const ipc_process_options options = by(IPC_START_FORKSERVER);
        ipc_process p;
        int code = 0;
        CHECK(ipc_process_init(&p, count_me, &runs[i], &options), 0);
        const int rc = ipc_process_start(&p);
        if (rc != 0) {
            CHECK(rc, -EPIPE);
            failed++;
        } else {
            CHECK(ipc_process_join_until(&p, ipc_after_ms(LIMIT_MS)), 0);
            const int how = ipc_process_exitcode(&p, &code);
            lost += how != 0;
            if (how == 0)
                assert_int_equal(code, 3);
        }
        CHECK(ipc_process_close(&p), 0);
        assert_int_equal(runs[i], rc == 0);
    }
    __atomic_store_n(&killer.stop, 1, __ATOMIC_RELAXED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    no_server();
    test_report("kills", killer.kills);
    test_report("failed", failed);
    test_report("lost", lost);
    assert_true(killer.kills > 20);
    CHECK(ipc_shared_free(runs), 0);
}

/* ---- T40, T41 ---- */

static void *start_many(void *arg)
{
    for (int i = 0; i < 15; i++)
        for (int m = FRESH; m < METHODS; m++)
            assert_int_equal(run_by(methods[m], count_me, arg), 3);
    return NULL;
}

static void t40_storm_of_starts(void)
{
    enum {
        THREADS = 8
    };
    uint32_t *runs = family(sizeof *runs);
    pthread_t threads[THREADS];
    assert_int_equal(run_by(IPC_START_FORKSERVER, return_zero, NULL), 0);
    const int fds = count_fds();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, start_many, runs),
                         0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(*runs, THREADS * 15 * 2);
    assert_int_equal(count_fds(), fds);
    CHECK(ipc_shared_free(runs), 0);
    no_server();
}

static void no_more_processes(void *unused)
{
    (void)unused;
    CHECK(ipc_shared_init(), 0);
    CHECK(ipc_forkserver_start(NULL), 0);
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
        test_skip("only root can become another user");
    no_server(); /* a template of this user */
    CHECK(ipc_forkserver_start(NULL), 0);
    assert_int_equal(setrlimit(RLIMIT_NPROC, &(struct rlimit){0, 4000}), 0);
    const ipc_process_options options = by(IPC_START_SPAWN);
    expect_no_start(&options, return_zero, NULL, -EAGAIN);
    no_server();
    const ipc_process_options served = by(IPC_START_FORKSERVER);
    expect_no_start(&served, return_zero, NULL, -EAGAIN);
    assert_int_equal(setrlimit(RLIMIT_NPROC, &(struct rlimit){4000, 4000}), 0);
    for (int m = 0; m < METHODS; m++)
        assert_int_equal(run_by(methods[m], return_zero, NULL), 0);
    no_server();
}

static void t41_no_more_processes_is_reported(void)
{
    struct role role;
    role_start(&role, no_more_processes, NULL);
    role_wait_ok(&role, LIMIT_MS);
}

static const struct test_case cases[] = {
    TEST_CASE(t36_daemons_and_template_end_with_their_owner),
    TEST_CASE(child_of_a_template_sees_its_owner_die),
    TEST_CASE(t38_template_killed_at_random),
    TEST_CASE(t40_storm_of_starts),
    TEST_CASE(t41_no_more_processes_is_reported),
};
TEST_MAIN(cases)
