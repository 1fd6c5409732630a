/* Locks and time: deadlines are kept whatever interrupts, owners that are
 * stopped are never robbed, and no wait looks at the wall clock. */
#include "unit/lock_support.h"

#include "harness/faults.h"
#include "harness/scale.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "core/peers.h"

/* Wait for a held lock until `ms` from now; returns by how much too long that
 * took, in ms.  Too short is a failure. */
static long expect_timeout(ipc_lock *lock, int ms)
{
    const ipc_deadline deadline = ipc_after_ms(ms);
    expect_rc(ipc_lock_acquire_until(lock, deadline), -ETIMEDOUT);
    const int64_t late = test_now_ns() - deadline;
    if (late < 0)
        test_fail("timed out %ld us before the deadline", (long)-late / 1000);
    if (late > SLACK_MS * NS_PER_MS)
        test_fail("timed out %ld ms after the deadline", to_ms(late));
    return to_ms(late);
}

static void make_good_and_free(ipc_lock *lock)
{
    expect_rc(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    expect_rc(ipc_lock_consistent(lock), 0);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_free(lock), 0);
}

/* ---- T06: the owner is stopped ---- */

static void add_when_told(void *arg)
{
    struct stage *stage = arg;
    expect_rc(ipc_lock_acquire(stage->lock), 0);
    const long before = stage->counter;
    meet_signal(&stage->ready);
    meet_wait(&stage->go, 1, LIMIT_MS);
    stage->counter = before + 1; /* wrong if somebody was here meanwhile */
    expect_rc(ipc_lock_release(stage->lock), 0);
}

static void t06_a_stopped_owner_is_waited_for_and_never_robbed(void)
{
    ipc_lock *lock = new_lock("stopped");
    struct stage *stage = stage_new(lock);
    struct role holder;
    long worst = 0;
    role_start(&holder, add_when_told, stage);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    role_stop(&holder);
    for (long i = 0; i < 5 * test_scale(); i++) {
        const long late = expect_timeout(lock, 100);
        worst = late > worst ? late : worst;
        expect_rc(ipc_lock_acquire_nowait(lock), -EAGAIN);
    }
    test_report("late_ms", worst);
    role_cont(&holder);
    meet_signal(&stage->go);
    expect_rc(ipc_lock_acquire(lock), 0);
    assert_int_equal(stage->counter, 1);
    expect_rc(ipc_lock_release(lock), 0);
    role_wait_ok(&holder, LIMIT_MS);
    expect_rc(ipc_lock_free(lock), 0);
}

/* Stopped and then killed: that is told as any death. */
static void t06_a_stopped_owner_that_is_killed_is_told(void)
{
    ipc_lock *lock = new_lock(NULL);
    struct role holder;
    start_holder(&holder, stage_new(lock));
    role_stop(&holder);
    expect_rc(ipc_lock_acquire_until(lock, ipc_after_ms(10)), -ETIMEDOUT);
    (void)role_kill(&holder);
    make_good_and_free(lock);
}

/* A waiter that is stopped holds nobody up. */
static void t06_a_stopped_waiter_is_passed_by(void)
{
    ipc_lock *lock = new_lock(NULL);
    struct stage *first = stage_new(lock), *second = stage_new(lock);
    struct role stopped, other;
    expect_rc(ipc_lock_acquire(lock), 0);
    start_waiter(&stopped, take_and_give, first);
    role_stop(&stopped);
    start_waiter(&other, take_and_give, second);
    expect_rc(ipc_lock_release(lock), 0);
    role_wait_ok(&other, RECHECK_MS + SLACK_MS);
    assert_int_equal(second->rc, 0);
    role_cont(&stopped);
    role_wait_ok(&stopped, LIMIT_MS);
    assert_int_equal(first->rc, 0);
    expect_rc(ipc_lock_free(lock), 0);
}

/* ---- T48: a storm of signals ---- */

enum {
    STORM = 5000
};

static void t48_deadlines_are_kept_in_a_storm(void)
{
    ipc_lock *lock = new_lock(NULL);
    struct role holder;
    long worst = 0;
    start_holder(&holder, stage_new(lock));
    storm_start(STORM);
    for (int i = 0; i < 3; i++) {
        const long late = expect_timeout(lock, 150);
        worst = late > worst ? late : worst;
        expect_rc(ipc_lock_acquire_nowait(lock), -EAGAIN);
    }
    test_report("signals", storm_stop());
    test_report("late_ms", worst);
    (void)role_kill(&holder);
    make_good_and_free(lock);
}

static void release_and_take_again(void *arg)
{
    struct stage *stage = arg;
    for (int i = 0; i < 20; i++) {
        expect_rc(ipc_lock_acquire(stage->lock), 0);
        stage->counter++;
        wait_ms(5);
        expect_rc(ipc_lock_release(stage->lock), 0);
    }
}

static void t48_waits_end_with_the_lock_in_a_storm(void)
{
    ipc_lock *lock = new_lock(NULL);
    struct stage *stage = stage_new(lock);
    struct role other;
    role_start(&other, release_and_take_again, stage);
    storm_start(STORM);
    for (int i = 0; i < 20; i++) {
        expect_rc(ipc_lock_acquire(lock), 0);
        stage->counter++;
        expect_rc(ipc_lock_release(lock), 0);
    }
    role_wait_ok(&other, LIMIT_MS);
    test_report("signals", storm_stop());
    assert_int_equal(stage->counter, 40);
    expect_rc(ipc_lock_free(lock), 0);
}

static void wait_in_storm(void *arg)
{
    storm_start(STORM);
    take_and_give(arg);
    (void)storm_stop();
}

static long kill_owner_under_storm(void (*holder_fn)(void *arg))
{
    ipc_lock *lock = new_lock(NULL);
    struct stage *stage = stage_new(lock);
    struct role holder, waiter;
    role_start(&holder, holder_fn, stage);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    role_start(&waiter, wait_in_storm, stage);
    while ((futex_half(lock) & FUTEX_BIT_WAITERS) == 0)
        poll_pause();
    const int64_t start = test_now_ns();
    (void)role_kill(&holder);
    const long ms = expect_told(&waiter, stage, start);
    expect_rc(ipc_lock_free(lock), 0);
    return ms;
}

static void t48_a_death_is_told_in_a_storm(void)
{
    test_report("ms", kill_owner_under_storm(hold_for_good));
}

/* By the re-check, which signals must not put off for ever. */
static void t48_the_recheck_comes_also_in_a_storm(void)
{
    test_report("ms", kill_owner_under_storm(hold_unnoticed));
}

/* ---- a waiter that gives up ---- */

struct lazy {
    struct stage stage;
    ipc_deadline deadline;
};

static void pin_to_one_cpu(void)
{
    cpu_set_t cpus;
    assert_int_equal(sched_getaffinity(0, sizeof cpus, &cpus), 0);
    size_t first = 0;
    while (!CPU_ISSET(first, &cpus))
        first++;
    CPU_ZERO(&cpus);
    CPU_SET(first, &cpus);
    assert_int_equal(sched_setaffinity(0, sizeof cpus, &cpus), 0);
}

/* Runs only when nobody else wants the processor. */
static void give_up_late(void *arg)
{
    struct lazy *lazy = arg;
    const struct sched_param param = {0};
    assert_int_equal(sched_setscheduler(0, SCHED_IDLE, &param), 0);
    lazy->stage.rc = ipc_lock_acquire_until(lazy->stage.lock, lazy->deadline);
    if (lazy->stage.rc == 0)
        expect_rc(ipc_lock_release(lazy->stage.lock), 0);
}

static bool sleeper_is_forgotten(const struct role *sleeper, ipc_lock *lock)
{
    for (int i = 0; i < 20; i++) {
        if ((futex_half(lock) & FUTEX_BIT_WAITERS) != 0 ||
            !asleep_on(sleeper->pid, &lock->word_))
            return false;
        poll_pause();
    }
    return true;
}

/* A waiter has been woken by a release, but before it runs the lock is taken
 * by somebody else, and its deadline passes.  It took the only wake-up there
 * was: it must leave the mark for the one who still sleeps, or that one will
 * not be woken by the next release. */
static void who_gives_up_leaves_the_mark_for_other_sleepers(void)
{
    ipc_lock *lock = new_lock(NULL);
    struct lazy *lazy = test_shared(sizeof *lazy);
    struct stage *stage = stage_new(lock);
    struct role late, sleeper;
    int gave_up = 0, forgotten = 0;
    pin_to_one_cpu();
    lazy->stage.lock = lock;
    for (int round = 0; round < 5; round++) {
        expect_rc(ipc_lock_acquire(lock), 0);
        lazy->deadline = ipc_after_ms(40);
        if (!try_start_waiter(&late, give_up_late, &lazy->stage)) {
            role_wait_ok(&late, LIMIT_MS); /* others wanted the processor */
            expect_rc(ipc_lock_release(lock), 0);
            continue;
        }
        start_waiter(&sleeper, take_and_give, stage);
        while (ipc_now() < lazy->deadline - NS_PER_MS)
            ;
        expect_rc(ipc_lock_release(lock), 0);
        const int rc = ipc_lock_acquire_nowait(lock);
        while (ipc_now() < lazy->deadline + NS_PER_MS)
            ;
        role_wait_ok(&late, LIMIT_MS);
        if (rc == 0 && lazy->stage.rc == -ETIMEDOUT) {
            gave_up++;
            forgotten += sleeper_is_forgotten(&sleeper, lock);
        }
        if (rc == 0)
            expect_rc(ipc_lock_release(lock), 0);
        role_wait_ok(&sleeper, RECHECK_MS + SLACK_MS);
    }
    test_report("gave_up", gave_up);
    test_report("forgotten", forgotten);
    assert_int_equal(forgotten, 0);
    expect_rc(ipc_lock_free(lock), 0);
}

/* ---- T49: no wall clock ---- */

static void wait_without_slots(void *arg)
{
    ipc__robust_list_usable = false;
    (void)expect_timeout(arg, 20);
}

/* Also run by itself, under strace. */
static void t49_timed_waits_of_all_kinds(void)
{
    ipc_lock *lock = new_lock(NULL);
    ipc_rlock *rlock = new_rlock(NULL);
    struct stage *stage = stage_new(lock);
    struct role holder;
    start_holder(&holder, stage);
    (void)expect_timeout(lock, 20);
    (void)expect_timeout(lock, 150); /* longer than the re-check period */
    assert_int_equal(role_try(wait_without_slots, lock, LIMIT_MS), 0);
    expect_rc(ipc_rlock_acquire_until(rlock, ipc_after_ms(20)), 0);
    expect_rc(ipc_rlock_release(rlock), 0);
    ipc_sleep_until(ipc_after_ms(1));
    (void)role_kill(&holder);
    make_good_and_free(lock);
    expect_rc(ipc_rlock_free(rlock), 0);
}

/* /proc/self/exe would be strace itself. */
static void exec_strace_on_this_program(void *arg)
{
    static char self[4096];
    const char *output = arg;
    const int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0 || null_fd < 0)
        _exit(1);
    (void)dup2(null_fd, 1);
    (void)execlp("strace", "strace", "-f", "-qq", "-e",
                 "trace=futex,futex_waitv,clock_nanosleep", "-o", output, self,
                 "t49_timed_waits_of_all_kinds", (char *)0);
    _exit(TEST_SKIPPED);
}

/* The seconds of a timeout lie near the monotonic clock's: it is absolute. */
static bool is_absolute(const char *line)
{
    const char *at = strstr(line, "tv_sec=");
    const long now = (long)(test_now_ns() / 1000000000);
    const long seconds = strtol(at + strlen("tv_sec="), NULL, 10);
    return seconds >= now - 60 && seconds <= now + 60;
}

static void check_call(const char *line, int *waits)
{
    const bool timed = strstr(line, "tv_sec=") != NULL;
    const bool relative = strstr(line, "FUTEX_WAIT,") != NULL ||
                          strstr(line, "FUTEX_WAIT_PRIVATE,") != NULL;
    const bool sleep = strstr(line, "clock_nanosleep(") != NULL;
    if (strstr(line, "CLOCK_REALTIME") != NULL)
        test_fail("looks at the wall clock: %s", line);
    if (!timed || strstr(line, "{tv_sec=0, tv_nsec=50000}") != NULL)
        return; /* the harness pauses for 50 us between two looks */
    if (relative || !is_absolute(line))
        test_fail("waits for a while, not until a moment: %s", line);
    if (sleep && strstr(line, "CLOCK_MONOTONIC, TIMER_ABSTIME") == NULL)
        test_fail("sleeps by another clock: %s", line);
    if (strstr(line, "futex_waitv(") != NULL &&
        strstr(line, "CLOCK_MONOTONIC") == NULL)
        test_fail("waits by another clock: %s", line);
    ++*waits;
}

static void t49_no_wait_looks_at_the_wall_clock(void)
{
    char output[512], line[1024];
    struct role role;
    int waits = 0;
    (void)snprintf(output, sizeof output, "%s/calls", test_tmpdir());
    role_start(&role, exec_strace_on_this_program, output);
    const int status = role_wait_dead(&role, 25000);
    if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_SKIPPED)
        test_skip("strace is not installed");
    if (status != 0)
        test_skip("strace cannot trace here");
    FILE *calls = fopen(output, "re");
    while (calls != NULL && fgets(line, sizeof line, calls) != NULL)
        check_call(line, &waits);
    if (calls != NULL)
        (void)fclose(calls);
    test_report("waits", waits);
    assert_true(waits >= 4);
}

static const struct test_case cases[] = {
    TEST_CASE(t06_a_stopped_owner_is_waited_for_and_never_robbed),
    TEST_CASE(t06_a_stopped_owner_that_is_killed_is_told),
    TEST_CASE(t06_a_stopped_waiter_is_passed_by),
    TEST_CASE(t48_deadlines_are_kept_in_a_storm),
    TEST_CASE(t48_waits_end_with_the_lock_in_a_storm),
    TEST_CASE(t48_a_death_is_told_in_a_storm),
    TEST_CASE(t48_the_recheck_comes_also_in_a_storm),
    TEST_CASE(who_gives_up_leaves_the_mark_for_other_sleepers),
    TEST_CASE(t49_timed_waits_of_all_kinds),
    TEST_CASE(t49_no_wait_looks_at_the_wall_clock),
};
TEST_MAIN(cases)
