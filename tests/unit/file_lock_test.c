/* The file lock as a lock: who is excluded, who may release, what is told
 * when an owner dies.  The file itself: file_lock_path_test.c. */
#include "file_lock_support.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

static void start_holder(struct role *role, void (*fn)(void *),
                         struct stage *stage)
{
    const uint32_t before = stage->ready;
    role_start(role, fn, stage);
    meet_wait(&stage->ready, before + 1, LIMIT_MS);
}

static void run_thread(void *(*fn)(void *), void *arg)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fn, arg), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---- exclusion ---- */

enum {
    ROUNDS = 400
};

static void count_up(struct stage *stage, ipc_file_lock *lock)
{
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(ipc_file_lock_acquire(lock), 0);
        const long seen = *(volatile long *)&stage->counter;
        if (i % 16 == 0)
            (void)sched_yield();
        *(volatile long *)&stage->counter = seen + 1;
        assert_int_equal(ipc_file_lock_release(lock), 0);
    }
}

static void counting_process(void *arg)
{
    ipc_file_lock *lock = open_lock("lock");
    count_up(arg, lock);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static void acquire_excludes_processes(void)
{
    struct stage *stage = new_stage();
    struct role roles[4];
    for (int i = 0; i < 4; i++)
        role_start(&roles[i], counting_process, stage);
    for (int i = 0; i < 4; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
    assert_int_equal(stage->counter, 4 * ROUNDS);
}

struct counting {
    struct stage *stage;
    ipc_file_lock *lock;
};

static void *counting_thread(void *arg)
{
    const struct counting *counting = arg;
    count_up(counting->stage, counting->lock);
    return NULL;
}

/* Two threads have a handle in common, two have one each. */
static void count_in_threads(struct stage *stage)
{
    ipc_file_lock *locks[3] = {open_lock("lock"), open_lock("lock"),
                               open_lock("lock")};
    struct counting counting[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        counting[i] = (struct counting){stage, locks[i / 2 + i / 3]};
        assert_int_equal(
            pthread_create(&threads[i], NULL, counting_thread, &counting[i]),
            0);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ipc_file_lock_close(locks[i]), 0);
}

static void acquire_excludes_threads(void)
{
    struct stage *stage = new_stage();
    count_in_threads(stage);
    assert_int_equal(stage->counter, 4 * ROUNDS);
}

static void threads_process(void *arg)
{
    count_in_threads(arg);
}

static void acquire_excludes_threads_of_several_processes(void)
{
    struct stage *stage = new_stage();
    struct role role;
    role_start(&role, threads_process, stage);
    count_in_threads(stage);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(stage->counter, 8 * ROUNDS);
}

static void lockf_of_other_programs_excludes(void)
{
    ipc_file_lock *lock = open_lock("lock");
    struct stage *stage = new_stage();
    struct role role;
    start_holder(&role, hold_until_go, stage);

    /* Closing it at the end is safe: the range is not ours then. */
    const int fd = open(in_tmpdir("lock"), O_RDWR | O_CLOEXEC);
    assert_int_equal(lockf(fd, F_TLOCK, 0), -1);
    meet_signal(&stage->go);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(lockf(fd, F_TLOCK, 0), 0);
    assert_int_equal(other_process_tries(), -EAGAIN);
    assert_int_equal(close(fd), 0);
    assert_int_equal(other_process_tries(), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

/* ---- waiting ---- */

static void nowait_and_until_say_who_holds_it(void)
{
    ipc_file_lock *lock = open_lock("lock");
    struct role role;
    char who[32];
    start_holder(&role, hold_for_good, new_stage());
    (void)snprintf(who, sizeof who, "pid %d ", (int)role.pid);

    assert_int_equal(ipc_file_lock_acquire_nowait(lock), -EAGAIN);
    assert_non_null(strstr(ipc_error_detail(), who));
    assert_non_null(strstr(ipc_error_detail(), in_tmpdir("lock")));
    assert_int_equal(ipc_file_lock_acquire_until(lock, IPC_TIME_NOW),
                     -ETIMEDOUT);
    const ipc_deadline deadline = ipc_after_ms(30);
    assert_int_equal(ipc_file_lock_acquire_until(lock, deadline), -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
    assert_non_null(strstr(ipc_error_detail(), who));
    (void)role_kill(&role);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

/* Waits for the lock, with or without a deadline. */
static void wait_for_it(void *arg)
{
    struct stage *stage = arg;
    ipc_file_lock *lock = open_lock("lock");
    meet_signal(&stage->ready);
    const int rc = stage->counter == 0
                       ? ipc_file_lock_acquire(lock)
                       : ipc_file_lock_acquire_until(lock, ipc_after_s(9));
    assert_int_equal(rc, 0);
    assert_int_equal(ipc_file_lock_release(lock), 0);
}

static void waiter_gets_it_after_release(void)
{
    ipc_file_lock *lock = open_lock("lock");
    for (long timed = 0; timed <= 1; timed++) {
        struct stage *stage = new_stage();
        struct role role;
        stage->counter = timed;
        assert_int_equal(ipc_file_lock_acquire(lock), 0);
        start_holder(&role, wait_for_it, stage);
        wait_until_blocked(role.pid, LIMIT_MS);
        assert_int_equal(ipc_file_lock_release(lock), 0);
        role_wait_ok(&role, LIMIT_MS);
    }
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
    (void)sig;
    alarms++;
}

static void signals_do_not_end_a_wait(void)
{
    ipc_file_lock *lock = open_lock("lock");
    struct stage *stage = new_stage();
    struct role role;
    start_holder(&role, hold_until_go, stage);

    const struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval every_ms = {{0, 1000}, {0, 1000}};
    const struct itimerval never = {{0, 0}, {0, 0}};
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &every_ms, NULL), 0);

    const ipc_deadline deadline = ipc_after_ms(50);
    assert_int_equal(ipc_file_lock_acquire_until(lock, deadline), -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
    assert_true(alarms > 0);
    meet_signal(&stage->go);
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static void stopped_holder_keeps_it(void)
{
    ipc_file_lock *lock = open_lock("lock");
    struct stage *stage = new_stage();
    struct role role;
    start_holder(&role, hold_until_go, stage);
    role_stop(&role);
    assert_int_equal(ipc_file_lock_acquire_until(lock, ipc_after_ms(30)),
                     -ETIMEDOUT);
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    assert_int_equal(ipc_file_lock_owner(lock, &holder), 0);
    assert_true(holder.alive);
    role_cont(&role);
    meet_signal(&stage->go);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

/* ---- no deadlock where the kernel sees one ---- */

struct crossing {
    uint32_t holding;
    uint32_t go;
    pid_t waiting[2]; /* tids */
};

struct crossing_side {
    struct crossing *crossing;
    int number; /* holds the lock of this number, waits for the other */
};

static const char *const crossing_names[] = {"a", "b"};

static void *cross_wait(void *arg)
{
    const struct crossing_side *side = arg;
    ipc_file_lock *lock = open_lock(crossing_names[1 - side->number]);
    __atomic_store_n(&side->crossing->waiting[side->number], gettid(),
                     __ATOMIC_SEQ_CST);
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
    return NULL;
}

/* One thread holds a lock, another waits for that of the other process: a
 * cycle of processes, but not of threads. */
static void cross(struct crossing *crossing, int number)
{
    struct crossing_side side = {crossing, number};
    ipc_file_lock *lock = open_lock(crossing_names[number]);
    pthread_t thread;
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    meet_signal(&crossing->holding);
    meet_wait(&crossing->holding, 2, LIMIT_MS);
    assert_int_equal(pthread_create(&thread, NULL, cross_wait, &side), 0);
    meet_wait(&crossing->go, 1, LIMIT_MS);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static void cross_0(void *arg)
{
    cross(arg, 0);
}

static void cross_1(void *arg)
{
    cross(arg, 1);
}

static void threads_that_cross_do_not_deadlock(void)
{
    struct crossing *crossing = test_shared(sizeof *crossing);
    struct role roles[2];
    (void)test_tmpdir();
    role_start(&roles[0], cross_0, crossing);
    role_start(&roles[1], cross_1, crossing);
    for (int i = 0; i < 2; i++) {
        pid_t tid;
        while ((tid = __atomic_load_n(&crossing->waiting[i],
                                      __ATOMIC_SEQ_CST)) == 0)
            poll_pause();
        wait_until_blocked(tid, LIMIT_MS);
    }
    meet_signal(&crossing->go);
    role_wait_ok(&roles[0], LIMIT_MS);
    role_wait_ok(&roles[1], LIMIT_MS);
}

/* ---- ownership ---- */

static void acquiring_twice_is_edeadlk(void)
{
    ipc_file_lock *lock = open_lock("lock");
    ipc_file_lock *other = open_lock("lock");
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    ipc_file_lock *both[] = {lock, other};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ipc_file_lock_acquire(both[i]), -EDEADLK);
        assert_int_equal(ipc_file_lock_acquire_nowait(both[i]), -EDEADLK);
        assert_int_equal(ipc_file_lock_acquire_until(both[i], ipc_after_s(1)),
                         -EDEADLK);
    }
    assert_int_equal(other_process_tries(), -EAGAIN);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(ipc_file_lock_close(other), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static void *release_is_eperm(void *arg)
{
    assert_int_equal(ipc_file_lock_release(arg), -EPERM);
    assert_int_equal(ipc_file_lock_consistent(arg), -EPERM);
    assert_int_equal(ipc_file_lock_acquire_nowait(arg), -EAGAIN);
    return NULL;
}

static void only_the_owner_releases(void)
{
    ipc_file_lock *lock = open_lock("lock");
    ipc_file_lock *other = open_lock("lock");
    assert_int_equal(ipc_file_lock_release(lock), -EPERM);
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    run_thread(release_is_eperm, lock);
    assert_int_equal(ipc_file_lock_release(other), -EPERM);
    assert_int_equal(other_process_tries(), -EAGAIN);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(ipc_file_lock_release(lock), -EPERM);
    assert_int_equal(other_process_tries(), 0);
    assert_int_equal(ipc_file_lock_close(other), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static void closing_another_handle_keeps_the_lock(void)
{
    ipc_file_lock *lock = open_lock("lock");
    ipc_file_lock *other = open_lock("lock");
    assert_int_equal(descriptors_of(in_tmpdir("lock")), 1);
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    assert_int_equal(ipc_file_lock_close(lock), -EBUSY);
    assert_int_equal(ipc_file_lock_close(other), 0);
    assert_int_equal(other_process_tries(), -EAGAIN);
    other = open_lock("lock");
    assert_int_equal(ipc_file_lock_close(other), 0);
    assert_int_equal(other_process_tries(), -EAGAIN);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
    assert_int_equal(ipc_file_lock_close(NULL), 0);
}

/* ---- fork ---- */

/* A forked child with its parent's handle, which a thread of the parent
 * holds. */
static void inheriting_child(void *arg)
{
    ipc_file_lock *lock = arg;
    assert_int_equal(ipc_file_lock_release(lock), -EPERM);
    assert_int_equal(ipc_file_lock_consistent(lock), -EPERM);
    assert_int_equal(ipc_file_lock_acquire_nowait(lock), -EAGAIN);
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    assert_int_equal(ipc_file_lock_owner(lock, &holder), 0);
    assert_int_equal(holder.pid, getppid());
    assert_true(holder.alive);

    ipc_file_lock *again = open_lock("lock");
    assert_int_equal(descriptors_of(in_tmpdir("lock")), 1);
    assert_int_equal(ipc_file_lock_close(again), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
    assert_int_equal(descriptors_of(in_tmpdir("lock")), 0);
}

static void forked_child_owns_nothing(void)
{
    ipc_file_lock *lock = open_lock("lock");
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    assert_int_equal(role_try(inheriting_child, lock, LIMIT_MS), 0);
    assert_int_equal(other_process_tries(), -EAGAIN);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

struct inherited {
    ipc_file_lock *lock;
    struct stage *stage;
};

static void use_inherited(void *arg)
{
    const struct inherited *inherited = arg;
    meet_signal(&inherited->stage->ready);
    assert_int_equal(ipc_file_lock_acquire(inherited->lock), 0);
    assert_int_equal(ipc_file_lock_release(inherited->lock), 0);
}

static void forked_child_waits_with_its_handle(void)
{
    struct inherited inherited = {open_lock("lock"), new_stage()};
    struct role role;
    assert_int_equal(ipc_file_lock_acquire(inherited.lock), 0);
    role_start(&role, use_inherited, &inherited);
    meet_wait(&inherited.stage->ready, 1, LIMIT_MS);
    wait_until_blocked(role.pid, LIMIT_MS);
    assert_int_equal(ipc_file_lock_release(inherited.lock), 0);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(ipc_file_lock_close(inherited.lock), 0);
}

static void *thread_holds_until_go(void *arg)
{
    const struct inherited *inherited = arg;
    assert_int_equal(ipc_file_lock_acquire(inherited->lock), 0);
    meet_signal(&inherited->stage->ready);
    meet_wait(&inherited->stage->go, 1, LIMIT_MS);
    assert_int_equal(ipc_file_lock_release(inherited->lock), 0);
    return NULL;
}

static void forked_while_another_thread_holds_it(void)
{
    struct inherited inherited = {open_lock("lock"), new_stage()};
    struct role role;
    pthread_t thread;
    assert_int_equal(
        pthread_create(&thread, NULL, thread_holds_until_go, &inherited), 0);
    meet_wait(&inherited.stage->ready, 1, LIMIT_MS);
    role_start(&role, use_inherited, &inherited);
    meet_wait(&inherited.stage->ready, 2, LIMIT_MS);
    wait_until_blocked(role.pid, LIMIT_MS);
    meet_signal(&inherited.stage->go);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(ipc_file_lock_close(inherited.lock), 0);
}

/* Opens and closes without end, while others fork. */
static void *open_and_close(void *arg)
{
    struct stage *stage = arg;
    while (__atomic_load_n(&stage->go, __ATOMIC_RELAXED) == 0)
        assert_int_equal(ipc_file_lock_close(open_lock("other")), 0);
    return NULL;
}

static void use_any(void *arg)
{
    (void)arg;
    assert_int_equal(ipc_file_lock_close(open_lock("other")), 0);
}

static void fork_at_any_moment_of_open(void)
{
    struct stage *stage = new_stage();
    ipc_file_lock *lock = open_lock("lock");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, open_and_close, stage), 0);
    for (int i = 0; i < 200; i++)
        assert_int_equal(role_try(use_any, NULL, LIMIT_MS), 0);
    meet_signal(&stage->go);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

/* ---- the death of the owner ---- */

static void expect_death_told(ipc_file_lock *lock)
{
    assert_int_equal(ipc_file_lock_acquire_until(lock, ipc_after_s(5)),
                     IPC_OWNER_DIED);
    assert_int_equal(ipc_file_lock_consistent(lock), 0);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    assert_int_equal(ipc_file_lock_release(lock), 0);
}

static void killed_owner_is_told_once(void)
{
    ipc_file_lock *lock = open_lock("lock");
    struct role role;
    start_holder(&role, hold_for_good, new_stage());
    (void)role_kill(&role);
    expect_death_told(lock);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static void waiter_is_told_when_the_owner_is_killed(void)
{
    ipc_file_lock *lock = open_lock("lock");
    struct stage *stage = new_stage();
    struct role holder, waiter;
    start_holder(&holder, hold_for_good, stage);
    role_start(&waiter, hold_for_good, stage);
    wait_until_blocked(waiter.pid, LIMIT_MS);
    (void)role_kill(&holder);
    meet_wait(&stage->ready, 2, LIMIT_MS);
    (void)role_kill(&waiter);
    expect_death_told(lock);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

/* Holds the lock, and has a child that keeps all descriptors. */
static void hold_with_a_child(void *arg)
{
    struct stage *stage = arg;
    ipc_file_lock *lock = open_lock("lock");
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    if (fork() == 0) {
        assert_int_equal(descriptors_of(in_tmpdir("lock")), 1);
        meet_signal(&stage->ready);
        meet_wait(&stage->go, 1, LIMIT_MS);
        meet_signal(&stage->ready);
        role_exit(0);
    }
    for (;;)
        (void)pause();
}

static void child_with_the_descriptor_does_not_hide_a_death(void)
{
    ipc_file_lock *lock = open_lock("lock");
    struct stage *stage = new_stage();
    struct role role;
    start_holder(&role, hold_with_a_child, stage);
    (void)role_kill(&role);
    expect_death_told(lock);
    meet_signal(&stage->go);
    meet_wait(&stage->ready, 2, LIMIT_MS);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static void exit_holding(void *arg)
{
    (void)arg;
    assert_int_equal(ipc_file_lock_acquire(open_lock("lock")), 0);
}

static void exec_holding(void *arg)
{
    (void)arg;
    assert_int_equal(ipc_file_lock_acquire(open_lock("lock")), 0);
    (void)execl("/bin/sh", "sh", "-c", "kill -STOP $$", (char *)NULL);
}

static void exit_and_exec_are_deaths(void)
{
    ipc_file_lock *lock = open_lock("lock");
    assert_int_equal(role_try(exit_holding, NULL, LIMIT_MS), 0);
    expect_death_told(lock);

    struct role role;
    siginfo_t info;
    role_start(&role, exec_holding, NULL);
    assert_int_equal(
        waitid(P_PID, (id_t)role.pid, &info, WSTOPPED | WEXITED | WNOWAIT), 0);
    assert_int_equal(info.si_code, CLD_STOPPED);
    expect_death_told(lock);
    (void)role_kill(&role);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static void *thread_exits_holding(void *arg)
{
    assert_int_equal(ipc_file_lock_acquire(arg), 0);
    return NULL;
}

static void end_of_the_owning_thread_is_a_death(void)
{
    ipc_file_lock *lock = open_lock("lock");
    run_thread(thread_exits_holding, lock);
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    assert_int_equal(ipc_file_lock_owner(lock, &holder), 0);
    assert_false(holder.alive);
    /* Not for other processes, as long as this one has the range. */
    assert_int_equal(other_process_tries(), -EAGAIN);
    expect_death_told(lock);

    /* And through a handle that is closed after it. */
    ipc_file_lock *other = open_lock("lock");
    run_thread(thread_exits_holding, other);
    assert_int_equal(ipc_file_lock_close(other), 0);
    expect_death_told(lock);
    run_thread(thread_exits_holding, lock);
    assert_int_equal(ipc_file_lock_close(lock), 0);
    lock = open_lock("lock");
    expect_death_told(lock);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static void *thread_waits(void *arg)
{
    const struct inherited *inherited = arg;
    __atomic_store_n(&inherited->stage->counter, gettid(), __ATOMIC_SEQ_CST);
    meet_signal(&inherited->stage->go);
    (void)!ipc_file_lock_acquire(inherited->lock);
    return NULL;
}

static void thread_cancelled_while_waiting_is_no_death(void)
{
#ifdef __SANITIZE_ADDRESS__
    test_skip("AddressSanitizer keeps the stack of a cancelled thread marked");
#endif
    struct stage *stage = new_stage();
    struct inherited inherited = {open_lock("lock"), new_stage()};
    struct role role;
    pthread_t thread;
    start_holder(&role, hold_until_go, stage);
    assert_int_equal(pthread_create(&thread, NULL, thread_waits, &inherited),
                     0);
    meet_wait(&inherited.stage->go, 1, LIMIT_MS);
    wait_until_blocked(
        (pid_t)__atomic_load_n(&inherited.stage->counter, __ATOMIC_SEQ_CST),
        LIMIT_MS);
    assert_int_equal(pthread_cancel(thread), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(ipc_file_lock_acquire_nowait(inherited.lock), -EAGAIN);
    meet_signal(&stage->go);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(ipc_file_lock_acquire(inherited.lock), 0);
    assert_int_equal(ipc_file_lock_release(inherited.lock), 0);
    assert_int_equal(ipc_file_lock_close(inherited.lock), 0);
}

static void release_without_repair_gives_it_up(void)
{
    ipc_file_lock *lock = open_lock("lock");
    struct role role;
    start_holder(&role, hold_for_good, new_stage());
    (void)role_kill(&role);
    assert_int_equal(ipc_file_lock_reset(lock), -EINVAL);
    assert_int_equal(ipc_file_lock_acquire(lock), IPC_OWNER_DIED);
    assert_int_equal(ipc_file_lock_reset(lock), -EINVAL);
    assert_int_equal(ipc_file_lock_release(lock), 0);

    assert_int_equal(ipc_file_lock_acquire(lock), -ENOTRECOVERABLE);
    assert_int_equal(ipc_file_lock_acquire_nowait(lock), -ENOTRECOVERABLE);
    assert_int_equal(other_process_tries(), -ENOTRECOVERABLE);
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    assert_int_equal(ipc_file_lock_owner(lock, &holder), -ENOTRECOVERABLE);
    assert_int_equal(ipc_file_lock_consistent(lock), -EPERM);

    assert_int_equal(ipc_file_lock_reset(lock), 0);
    assert_int_equal(ipc_file_lock_reset(lock), -EINVAL);
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    assert_int_equal(ipc_file_lock_consistent(lock), -EINVAL);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static void death_of_the_repairer_is_told_too(void)
{
    ipc_file_lock *lock = open_lock("lock");
    struct stage *stage = new_stage();
    struct role role;
    for (int i = 0; i < 3; i++) {
        start_holder(&role, hold_for_good, stage);
        (void)role_kill(&role);
    }
    expect_death_told(lock);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

/* ---- who ---- */

static void *owner_in_thread(void *arg)
{
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    assert_int_equal(ipc_file_lock_owner(arg, &holder), 0);
    assert_int_equal(holder.pid, getpid());
    assert_int_equal(holder.tid, getpid());
    assert_true(holder.alive);
    assert_false(holder.owner_died);
    return NULL;
}

static void owner_tells_who_holds_it(void)
{
    ipc_file_lock *lock = open_lock("lock");
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    assert_int_equal(ipc_file_lock_owner(lock, &holder), -ESRCH);
    assert_int_equal(holder.pid, 0);

    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    run_thread(owner_in_thread, lock);
    assert_int_equal(ipc_file_lock_release(lock), 0);

    struct role role;
    const ipc_deadline before = ipc_now();
    start_holder(&role, hold_for_good, new_stage());
    assert_int_equal(ipc_file_lock_owner(lock, &holder), 0);
    assert_int_equal(holder.size, sizeof holder);
    assert_int_equal(holder.pid, role.pid);
    assert_int_equal(holder.tid, role.pid);
    assert_true(holder.alive);
    assert_false(holder.owner_died);
    assert_true(holder.since_ns >= before - 1000);
    assert_true(holder.since_ns <= ipc_now());

    const pid_t dead = role.pid;
    (void)role_kill(&role);
    assert_int_equal(ipc_file_lock_owner(lock, &holder), 0);
    assert_int_equal(holder.pid, dead);
    assert_false(holder.alive);
    assert_true(holder.owner_died);

    assert_int_equal(ipc_file_lock_acquire(lock), IPC_OWNER_DIED);
    assert_int_equal(ipc_file_lock_owner(lock, &holder), 0);
    assert_int_equal(holder.pid, getpid());
    assert_true(holder.alive);
    assert_true(holder.owner_died);
    assert_int_equal(ipc_file_lock_consistent(lock), 0);
    assert_int_equal(ipc_file_lock_owner(lock, &holder), 0);
    assert_false(holder.owner_died);

    /* An older program's structure ends earlier; one with no size is none. */
    holder = (ipc_lock_holder){.size = 8, .tid = -7};
    assert_int_equal(ipc_file_lock_owner(lock, &holder), 0);
    assert_int_equal(holder.pid, getpid());
    assert_int_equal(holder.tid, -7);
    holder.size = 0;
    assert_int_equal(ipc_file_lock_owner(lock, &holder), -EINVAL);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static void file_says_who_holds_it(void)
{
    char text[128], expected[64];
    ipc_file_lock *lock = open_lock("lock");
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    assert_int_equal(read_text(in_tmpdir("lock"), text, sizeof text), 64);
    (void)snprintf(expected, sizeof expected,
                   "ipc-lock held   pid %7d tid %7d ", (int)getpid(),
                   (int)getpid());
    assert_memory_equal(text, expected, strlen(expected));
    assert_int_equal(text[63], '\n');
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(read_text(in_tmpdir("lock"), text, sizeof text), 64);
    assert_memory_equal(text, "ipc-lock free ", 14);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(acquire_excludes_processes),
    TEST_CASE(acquire_excludes_threads),
    TEST_CASE(acquire_excludes_threads_of_several_processes),
    TEST_CASE(lockf_of_other_programs_excludes),
    TEST_CASE(nowait_and_until_say_who_holds_it),
    TEST_CASE(waiter_gets_it_after_release),
    TEST_CASE(signals_do_not_end_a_wait),
    TEST_CASE(stopped_holder_keeps_it),
    TEST_CASE(threads_that_cross_do_not_deadlock),
    TEST_CASE(acquiring_twice_is_edeadlk),
    TEST_CASE(only_the_owner_releases),
    TEST_CASE(closing_another_handle_keeps_the_lock),
    TEST_CASE(forked_child_owns_nothing),
    TEST_CASE(forked_child_waits_with_its_handle),
    TEST_CASE(forked_while_another_thread_holds_it),
    TEST_CASE(fork_at_any_moment_of_open),
    TEST_CASE(killed_owner_is_told_once),
    TEST_CASE(waiter_is_told_when_the_owner_is_killed),
    TEST_CASE(child_with_the_descriptor_does_not_hide_a_death),
    TEST_CASE(exit_and_exec_are_deaths),
    TEST_CASE(end_of_the_owning_thread_is_a_death),
    TEST_CASE(thread_cancelled_while_waiting_is_no_death),
    TEST_CASE(release_without_repair_gives_it_up),
    TEST_CASE(death_of_the_repairer_is_told_too),
    TEST_CASE(owner_tells_who_holds_it),
    TEST_CASE(file_says_who_holds_it),
};
TEST_MAIN(cases)
