/* Who is who.  T12: tids of another pid namespace mean nothing here.  T13: an
 * owner dies without the kernel telling, and its tid is given to somebody
 * else; nobody is taken for it, and nothing is held for ever. */
#include "unit/lock_support.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* ---- T12: another pid namespace ---- */

struct abroad {
    ipc_lock *lock; /* in family memory */
    ipc_rlock *rlock;
    ipc_lock *named; /* opened before */
    ipc_segment *segment;
};

static void use_abroad(const struct abroad *abroad)
{
    static ipc_lock own;
    ipc_lock *opened = NULL;
    ipc_segment *segment = NULL;
    expect_rc(ipc_lock_acquire(abroad->lock), -EXDEV);
    expect_detail("pid namespace");
    expect_rc(ipc_lock_acquire_nowait(abroad->lock), -EXDEV);
    expect_rc(ipc_lock_acquire_until(abroad->lock, ipc_after_ms(10)), -EXDEV);
    expect_rc(ipc_rlock_acquire(abroad->rlock), -EXDEV);
    expect_rc(ipc_lock_acquire(abroad->named), -EXDEV);
    expect_rc(ipc_lock_release(abroad->lock), -EPERM);
    assert_false(ipc_lock_is_mine(abroad->lock));
    expect_rc(ipc_lock_open("abroad", &opened), -EXDEV);
    expect_detail("pid namespace");
    expect_rc(ipc_lock_open_or_create("abroad", NULL, &opened), -EXDEV);
    expect_rc(ipc_segment_open("abroad-data", &segment), -EXDEV);
    /* What it has for itself works. */
    expect_rc(ipc_lock_acquire(&own), 0);
    expect_rc(ipc_lock_release(&own), 0);
}

static void go_abroad(void *arg)
{
    if (unshare(CLONE_NEWPID) != 0 &&
        unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
        test_skip("no pid namespaces here: %m");
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        use_abroad(arg);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    expect_rc(ipc_lock_acquire(((struct abroad *)arg)->lock), 0);
    expect_rc(ipc_lock_release(((struct abroad *)arg)->lock), 0);
}

static void go_abroad_as_a_user(void *arg)
{
    if (unshare(CLONE_NEWUSER) != 0)
        test_skip("no user namespaces here: %m");
    go_abroad(arg);
}

static void try_abroad(void (*go)(void *arg))
{
    struct abroad abroad = {.lock = new_lock(NULL), .rlock = new_rlock(NULL)};
    struct role role;
    expect_rc(ipc_lock_create("abroad", NULL, &abroad.named), 0);
    expect_rc(ipc_segment_create("abroad-data", 64, NULL, &abroad.segment), 0);
    role_start(&role, go, &abroad);
    const int status = role_wait_dead(&role, LIMIT_MS);
    expect_rc(ipc_lock_close(abroad.named), 0);
    expect_rc(ipc_lock_unlink("abroad"), 0);
    expect_rc(ipc_segment_close(abroad.segment), 0);
    expect_rc(ipc_segment_unlink("abroad-data"), 0);
    expect_rc(ipc_rlock_free(abroad.rlock), 0);
    free_good(abroad.lock);
    if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_SKIPPED)
        _exit(TEST_SKIPPED);
    assert_int_equal(status, 0);
}

static void t12_another_pid_namespace_is_refused(void)
{
    try_abroad(go_abroad);
}

static void t12_another_user_and_pid_namespace_is_refused(void)
{
    try_abroad(go_abroad_as_a_user);
}

/* ---- T13: somebody else has the tid ---- */

struct again {
    struct stage stage;
    uint32_t there;        /* the one who got the tid is */
    pthread_mutex_t mutex; /* libc's, robust */
};

/* fork() with this pid, which is free.  Writing to ns_last_pid would do it too,
 * but give pids that were used a moment ago to everybody else on the machine.
 * Returns as fork() does. */
static pid_t fork_with_pid(pid_t pid)
{
    int *tid_address = NULL; /* where libc keeps the tid of this thread */
    struct robust_list_head *head = NULL;
    size_t size = 0;
    if (prctl(PR_GET_TID_ADDRESS, &tid_address) != 0)
        return -1;
    struct clone_args args = {.flags =
                                  CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
                              .child_tid = (uint64_t)(uintptr_t)tid_address,
                              .exit_signal = SIGCHLD,
                              .set_tid = (uint64_t)(uintptr_t)&pid,
                              .set_tid_size = 1};
    (void)syscall(SYS_get_robust_list, 0, &head, &size);
    const pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (child == 0) { /* what fork() does about the robust list */
        head->list.next = &head->list;
        (void)syscall(SYS_set_robust_list, head, size);
    }
    return child;
}

/* At the start of a case. */
static void need_chosen_pids(void)
{
    const pid_t self = getpid();
    const pid_t child = fork_with_pid(self); /* taken: EEXIST, if permitted */
    if (child == 0)
        _exit(0);
    assert_int_equal(child, -1);
    if (errno != EEXIST)
        test_skip("pids cannot be chosen here: %m");
}

/* A role with this pid, whose owner has died. */
static void start_with_pid(struct role *role, void (*fn)(void *arg),
                           struct again *again, pid_t pid)
{
    const int64_t end = test_now_ns() + LIMIT_MS * NS_PER_MS;
    /* Identities tell threads apart by when they were born, in ticks. */
    wait_ms(30);
    (void)fflush(stdout);
    pid_t child;
    while ((child = fork_with_pid(pid)) < 0 && errno == EEXIST &&
           test_now_ns() < end)
        poll_pause(); /* somebody else has it now */
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        fn(again);
        role_exit(0);
    }
    assert_int_equal(child, pid);
    role->pid = pid;
}

static struct again *again_new(ipc_lock *lock)
{
    struct again *again = test_shared(sizeof *again);
    pthread_mutexattr_t attr;
    again->stage.lock = lock;
    assert_int_equal(pthread_mutexattr_init(&attr), 0);
    (void)pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    (void)pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    assert_int_equal(pthread_mutex_init(&again->mutex, &attr), 0);
    return again;
}

/* An owner has died unnoticed; returns the pid it had. */
static pid_t die_unnoticed(struct again *again)
{
    struct role owner;
    role_start(&owner, hold_unnoticed, &again->stage);
    meet_wait(&again->stage.ready, 1, LIMIT_MS);
    const pid_t pid = owner.pid;
    (void)role_kill(&owner);
    return pid;
}

/* ---- it lives, and has nothing to do with the lock ---- */

static void live_on(void *arg)
{
    struct again *again = arg;
    static ipc_lock own;
    expect_rc(ipc_lock_acquire(&own), 0); /* takes a slot */
    meet_signal(&again->there);
    for (;;)
        (void)pause();
}

static void t13_a_dead_owner_is_found_behind_an_innocent_tid(void)
{
    ipc_lock *lock = new_lock(NULL);
    struct again *again = again_new(lock);
    struct stage *waiting = stage_new(lock);
    struct role innocent, waiter;
    need_chosen_pids();
    const pid_t pid = die_unnoticed(again);
    start_with_pid(&innocent, live_on, again, pid);
    meet_wait(&again->there, 1, LIMIT_MS);

    const int64_t start = test_now_ns();
    role_start(&waiter, take_and_give, waiting);
    test_report("ms", expect_told(&waiter, waiting, start));
    assert_false(thread_ended(innocent.pid));
    (void)role_kill(&innocent);
    expect_rc(ipc_lock_free(lock), 0);
}

/* ---- it wants the lock itself ---- */

static void want_it(void *arg)
{
    struct again *again = arg;
    ipc_lock *lock = again->stage.lock;
    assert_false(ipc_lock_is_mine(lock));
    expect_rc(ipc_lock_release(lock), -EPERM);
    expect_rc(ipc_lock_consistent(lock), -EPERM);
    const int64_t start = test_now_ns();
    expect_rc(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    test_report("ms", to_ms(test_now_ns() - start));
    assert_true(ipc_lock_is_mine(lock));
    expect_rc(ipc_lock_consistent(lock), 0);
    expect_rc(ipc_lock_release(lock), 0);
}

static void t13_who_got_the_tid_is_not_taken_for_the_owner(void)
{
    ipc_lock *lock = new_lock(NULL);
    struct again *again = again_new(lock);
    struct role innocent;
    need_chosen_pids();
    start_with_pid(&innocent, want_it, again, die_unnoticed(again));
    role_wait_ok(&innocent, RECHECK_MS + SLACK_MS);
    expect_rc(ipc_lock_free(lock), 0);
}

/* The same for each life of one pid: every one dies holding it, unnoticed. */
static void want_it_and_die(void *arg)
{
    struct again *again = arg;
    ipc_lock *lock = again->stage.lock;
    expect_rc(ipc_lock_acquire_until(lock, ipc_after_ms(SLACK_MS)),
              IPC_OWNER_DIED);
    forget_robust_list();
}

static void t13_one_tid_lives_and_dies_many_times(void)
{
    enum {
        LIVES = 8
    };
    ipc_lock *lock = new_lock(NULL);
    struct again *again = again_new(lock);
    need_chosen_pids();
    const pid_t pid = die_unnoticed(again);
    for (int i = 0; i < LIVES; i++) {
        struct role role;
        start_with_pid(&role, want_it_and_die, again, pid);
        role_wait_ok(&role, RECHECK_MS + SLACK_MS);
    }
    test_report("lives", LIVES);
    expect_rc(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_free(lock), 0);
}

/* ---- it closes a segment in which the dead one still has a slot ---- */

static ipc_segment *open_segment(void)
{
    ipc_segment *segment = NULL;
    expect_rc(ipc_segment_open("again", &segment), 0);
    return segment;
}

static void hold_in_segment_unnoticed(void *arg)
{
    struct again *again = arg;
    ipc_lock *locks = ipc_segment_data(open_segment());
    expect_rc(ipc_lock_acquire(&locks[0]), 0);
    forget_robust_list();
    meet_signal(&again->stage.ready);
    for (;;)
        (void)pause();
}

/* Holds a robust mutex of libc, whose link is in the same list as ours. */
static void open_and_close(void *arg)
{
    struct again *again = arg;
    ipc_segment *segment = open_segment();
    ipc_lock *locks = ipc_segment_data(segment);
    expect_rc(ipc_lock_acquire(&locks[1]), 0);
    expect_rc(ipc_lock_release(&locks[1]), 0);
    assert_int_equal(pthread_mutex_lock(&again->mutex), 0);
    expect_rc(ipc_segment_close(segment), 0);
    meet_signal(&again->there);
    for (;;)
        (void)pause();
}

/* The links in a dead peer's slot lead into the memory of that peer: who got
 * its tid and pid must not follow them.  Its own list must stay whole, so
 * that libc's mutex is told of its death. */
static void t13_the_links_of_a_dead_slot_are_not_followed(void)
{
    struct again *again = again_new(NULL);
    ipc_segment *segment = NULL;
    struct role owner, innocent;
    need_chosen_pids();
    expect_rc(ipc_segment_create("again", 4096, NULL, &segment), 0);
    role_start(&owner, hold_in_segment_unnoticed, again);
    meet_wait(&again->stage.ready, 1, LIMIT_MS);
    const pid_t pid = owner.pid;
    (void)role_kill(&owner);

    start_with_pid(&innocent, open_and_close, again, pid);
    if (!meet_within(&again->there, 1, 2000))
        test_fail("it got no further: wait status 0x%x",
                  (unsigned)role_kill(&innocent));
    (void)role_kill(&innocent);
    const int how = pthread_mutex_trylock(&again->mutex);
    expect_rc(ipc_segment_close(segment), 0);
    expect_rc(ipc_segment_unlink("again"), 0);
    assert_int_equal(how, EOWNERDEAD);
}

static const struct test_case cases[] = {
    TEST_CASE(t12_another_pid_namespace_is_refused),
    TEST_CASE(t12_another_user_and_pid_namespace_is_refused),
    TEST_CASE(t13_a_dead_owner_is_found_behind_an_innocent_tid),
    TEST_CASE(t13_who_got_the_tid_is_not_taken_for_the_owner),
    TEST_CASE(t13_one_tid_lives_and_dies_many_times),
    TEST_CASE(t13_the_links_of_a_dead_slot_are_not_followed),
};
TEST_MAIN(cases)
