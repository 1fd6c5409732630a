/* ipc_lock: every way to lose an owner, T07 to T11.  Where the kernel tells,
 * the figure "ms" is below one; where the re-check finds out, the name says
 * so, and 200 ms are promised. */
#include "unit/lock_support.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/peers.h"

static void wait_for_go(struct stage *stage)
{
    meet_signal(&stage->ready);
    meet_wait(&stage->go, 1, LIMIT_MS);
}

/* A role loses the lock once it is told to go.  Another process that waits is
 * told; after how long, is returned. */
static long lose(void (*loser)(void *arg), struct role *role)
{
    ipc_lock *lock = new_lock(NULL);
    struct stage *stage = stage_new(lock), *waiting = stage_new(lock);
    struct role waiter;
    role_start(role, loser, stage);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    start_waiter(&waiter, take_and_give, waiting);
    const int64_t start = test_now_ns();
    meet_signal(&stage->go);
    const long ms = expect_told(&waiter, waiting, start);
    free_good(lock);
    return ms;
}

/* ---- T07: execve() ---- */

static void become_sleep(void)
{
    (void)execlp("sleep", "sleep", "1000", (char *)0);
    _exit(127);
}

static void hold_and_exec(void *arg)
{
    struct stage *stage = arg;
    expect_rc(ipc_lock_acquire(stage->lock), 0);
    wait_for_go(stage);
    become_sleep();
}

static void *exec_in_thread(void *arg)
{
    hold_and_exec(arg);
    return NULL;
}

static void hold_and_exec_in_thread(void *arg)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, exec_in_thread, arg), 0);
    (void)pthread_join(thread, NULL);
}

/* Another thread than the owner. */
static void exec_beside_owner(void *arg)
{
    struct stage *stage = arg;
    pthread_t thread;
    expect_rc(ipc_lock_acquire(stage->lock), 0);
    assert_int_equal(pthread_create(&thread, NULL, exec_in_thread,
                                    stage_new(new_lock(NULL))),
                     0);
    wait_for_go(stage);
    become_sleep();
}

static bool runs_sleep(pid_t pid)
{
    char path[64], name[32] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *comm = fopen(path, "re");
    if (comm == NULL)
        return false;
    const bool ok = fgets(name, sizeof name, comm) != NULL;
    (void)fclose(comm);
    return ok && strcmp(name, "sleep\n") == 0;
}

/* The process goes on as another program: soon, since what waits for the lock
 * may be told before execve() is through. */
static void expect_alive_and_kill(struct role *role)
{
    const int64_t end = test_now_ns() + LIMIT_MS * NS_PER_MS;
    while (!runs_sleep(role->pid)) {
        assert_false(thread_ended(role->pid));
        assert_true(test_now_ns() < end);
        poll_pause();
    }
    (void)role_kill(role);
}

static void t07_exec_is_the_death_of_an_owner(void)
{
    struct role role;
    test_report("ms", lose(hold_and_exec, &role));
    expect_alive_and_kill(&role);
}

static void t07_exec_by_another_thread_is_too(void)
{
    struct role role;
    test_report("ms", lose(exec_beside_owner, &role));
    expect_alive_and_kill(&role);
}

/* By the re-check: a thread that is not the first takes over the first one's
 * tid in execve(), so that the kernel does not find its own in the words. */
static void t07_exec_in_a_thread_is_found_by_recheck(void)
{
    struct role role;
    test_report("ms", lose(hold_and_exec_in_thread, &role));
    expect_alive_and_kill(&role);
}

/* ---- T08: the end of a thread ---- */

static void *return_holding(void *arg)
{
    struct stage *stage = arg;
    expect_rc(ipc_lock_acquire(stage->lock), 0);
    wait_for_go(stage);
    return NULL;
}

static void *exit_holding(void *arg)
{
    (void)return_holding(arg);
    pthread_exit(NULL);
}

static void *wait_to_be_cancelled(void *arg)
{
    struct stage *stage = arg;
    expect_rc(ipc_lock_acquire(stage->lock), 0);
    meet_signal(&stage->ready);
    for (;;)
        (void)pause();
}

static void lose_thread(void *(*body)(void *), struct stage *stage)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, body, stage), 0);
    if (body == wait_to_be_cancelled) {
        meet_wait(&stage->go, 1, LIMIT_MS);
        assert_int_equal(pthread_cancel(thread), 0);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (;;) /* the process lives */
        (void)pause();
}

static void lose_by_return(void *arg)
{
    lose_thread(return_holding, arg);
}

static void lose_by_pthread_exit(void *arg)
{
    lose_thread(exit_holding, arg);
}

static void lose_by_cancel(void *arg)
{
    lose_thread(wait_to_be_cancelled, arg);
}

static void t08_a_thread_that_returns_is_told(void)
{
    struct role role;
    test_report("ms", lose(lose_by_return, &role));
    (void)role_kill(&role);
}

static void t08_a_thread_that_exits_is_told(void)
{
    struct role role;
    test_report("ms", lose(lose_by_pthread_exit, &role));
    (void)role_kill(&role);
}

static void t08_a_thread_that_is_cancelled_is_told(void)
{
    struct role role;
    test_report("ms", lose(lose_by_cancel, &role));
    (void)role_kill(&role);
}

static void lose_by_exit(void *arg)
{
    (void)return_holding(arg);
    exit(0); /* NOLINT(concurrency-mt-unsafe): that is what is tried */
}

static void t08_a_process_that_exits_is_told(void)
{
    struct role role;
    test_report("ms", lose(lose_by_exit, &role));
    role_wait_ok(&role, LIMIT_MS);
}

/* ---- T09: more than the kernel's list may hold ---- */

enum {
    MANY = 3000
};

struct many {
    ipc_lock locks[MANY];
    uint32_t ready;
};

static void hold_many(void *arg)
{
    struct many *many = arg;
    for (int i = 0; i < MANY; i++)
        expect_rc(ipc_lock_acquire(&many->locks[i]), 0);
    meet_signal(&many->ready);
    for (;;)
        (void)pause();
}

static void t09_three_thousand_locks_of_one_thread_are_recovered(void)
{
    struct many *many = ipc_shared_alloc(sizeof *many);
    struct role holder;
    assert_non_null(many);
    role_start(&holder, hold_many, many);
    meet_wait(&many->ready, 1, LIMIT_MS);
    for (int i = 0; i < MANY; i += 100)
        expect_rc(ipc_lock_acquire_nowait(&many->locks[i]), -EAGAIN);
    const int64_t start = test_now_ns();
    (void)role_kill(&holder);
    int recovered = 0;
    for (int i = 0; i < MANY; i++)
        recovered += ipc_lock_acquire_nowait(&many->locks[i]) == IPC_OWNER_DIED;
    test_report("ms", to_ms(test_now_ns() - start));
    test_report("recovered", recovered);
    assert_int_equal(recovered, MANY);
    expect_rc(ipc_shared_free(many), 0);
}

/* ---- T10: fork ---- */

static void child_of_owner(void *arg)
{
    ipc_lock *lock = arg;
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    expect_rc(ipc_lock_release(lock), -EPERM);
    expect_rc(ipc_lock_consistent(lock), -EPERM);
    assert_false(ipc_lock_is_mine(lock));
    expect_rc(ipc_lock_acquire_nowait(lock), -EAGAIN);
    expect_rc(ipc_lock_owner(lock, &holder), 0);
    assert_int_equal(holder.pid, getppid());
}

static void t10_a_child_does_not_own_what_its_parent_holds(void)
{
    ipc_lock *lock = new_lock(NULL);
    expect_rc(ipc_lock_acquire(lock), 0);
    assert_int_equal(role_try(child_of_owner, lock, LIMIT_MS), 0);
    assert_true(ipc_lock_is_mine(lock)); /* also after its exit */
    expect_rc(other_process_tries(lock), -EAGAIN);
    expect_rc(ipc_lock_acquire(lock), -EDEADLK);
    expect_rc(ipc_lock_release(lock), 0);
    free_good(lock);
}

struct family_of_owner {
    struct stage stage;
    pid_t child;
};

static void hold_and_have_a_child(void *arg)
{
    struct family_of_owner *family = arg;
    expect_rc(ipc_lock_acquire(family->stage.lock), 0);
    const pid_t child = fork();
    if (child == 0)
        for (;;)
            (void)pause();
    family->child = child;
    meet_signal(&family->stage.ready);
    for (;;)
        (void)pause();
}

static void t10_a_child_does_not_keep_what_its_dead_parent_held(void)
{
    struct family_of_owner *family = test_shared(sizeof *family);
    struct role parent;
    family->stage.lock = new_lock(NULL);
    role_start(&parent, hold_and_have_a_child, family);
    meet_wait(&family->stage.ready, 1, LIMIT_MS);
    (void)role_kill(&parent);
    assert_false(thread_ended(family->child));
    expect_rc(ipc_lock_acquire_nowait(family->stage.lock), IPC_OWNER_DIED);
    expect_rc(ipc_lock_consistent(family->stage.lock), 0);
    expect_rc(ipc_lock_release(family->stage.lock), 0);
    assert_int_equal(kill(family->child, SIGKILL), 0);
    free_good(family->stage.lock);
}

/* ---- T11: children that libc knows nothing of ---- */

static pid_t raw_clone(void)
{
    return (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L);
}

static pid_t raw_clone3(void)
{
    struct clone_args args = {.exit_signal = SIGCHLD};
    return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

/* The parent of the clone holds a lock too: it must stay the parent's. */
static void clone_and_hold(struct stage *stage, pid_t (*clone_it)(void))
{
    ipc_lock *parents = new_lock(NULL);
    expect_rc(ipc_lock_acquire(parents), 0);
    const pid_t pid = clone_it();
    if (pid == 0) {
        expect_rc(ipc_lock_release(parents), -EPERM);
        hold_and_exec(stage); /* no: it is killed while it waits */
    }
    if (pid < 0)
        test_skip("raw clone: %m");
    meet_wait(&stage->go, 1, LIMIT_MS);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(ipc_lock_is_mine(parents));
    expect_rc(ipc_lock_release(parents), 0);
}

static void hold_in_raw_clone(void *arg)
{
    clone_and_hold(arg, raw_clone);
}

static void hold_in_raw_clone3(void *arg)
{
    clone_and_hold(arg, raw_clone3);
}

static void t11_the_death_of_a_raw_clone_is_found_by_recheck(void)
{
    struct role role;
    test_report("clone_ms", lose(hold_in_raw_clone, &role));
    role_wait_ok(&role, LIMIT_MS);
    test_report("clone3_ms", lose(hold_in_raw_clone3, &role));
    role_wait_ok(&role, LIMIT_MS);
}

/* ---- without the kernel's help ---- */

static void lose_without_list(void *arg)
{
    ipc__robust_list_usable = false;
    (void)return_holding(arg);
    (void)raise(SIGKILL);
}

static void lose_thread_without_list(void *arg)
{
    ipc__robust_list_usable = false;
    lose_thread(exit_holding, arg);
}

static void death_without_robust_lists_is_found_by_recheck(void)
{
    struct role role;
    test_report("kill_ms", lose(lose_without_list, &role));
    (void)role_kill(&role);
    test_report("thread_ms", lose(lose_thread_without_list, &role));
    (void)role_kill(&role);
}

static void count_without_list(void *arg)
{
    struct stage *stage = arg;
    ipc__robust_list_usable = false;
    for (int i = 0; i < 2000; i++) {
        expect_rc(ipc_lock_acquire(stage->lock), 0);
        stage->counter++;
        expect_rc(ipc_lock_release(stage->lock), 0);
    }
}

static void locks_exclude_without_robust_lists(void)
{
    enum {
        ROLES = 4
    };
    struct stage *stage = stage_new(new_lock(NULL));
    struct role roles[ROLES];
    for (int i = 0; i < ROLES; i++)
        role_start(&roles[i], count_without_list, stage);
    for (int i = 0; i < ROLES; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
    assert_int_equal(stage->counter, ROLES * 2000);
    free_good(stage->lock);
}

static const struct test_case cases[] = {
    TEST_CASE(t07_exec_is_the_death_of_an_owner),
    TEST_CASE(t07_exec_by_another_thread_is_too),
    TEST_CASE(t07_exec_in_a_thread_is_found_by_recheck),
    TEST_CASE(t08_a_thread_that_returns_is_told),
    TEST_CASE(t08_a_thread_that_exits_is_told),
    TEST_CASE(t08_a_thread_that_is_cancelled_is_told),
    TEST_CASE(t08_a_process_that_exits_is_told),
    TEST_CASE(t09_three_thousand_locks_of_one_thread_are_recovered),
    TEST_CASE(t10_a_child_does_not_own_what_its_parent_holds),
    TEST_CASE(t10_a_child_does_not_keep_what_its_dead_parent_held),
    TEST_CASE(t11_the_death_of_a_raw_clone_is_found_by_recheck),
    TEST_CASE(death_without_robust_lists_is_found_by_recheck),
    TEST_CASE(locks_exclude_without_robust_lists),
};
TEST_MAIN(cases)
