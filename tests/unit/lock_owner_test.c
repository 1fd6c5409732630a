/* ipc_lock: who holds it, repair on acquire, and the scope macro. */
#include "unit/lock_support.h"

#include <errno.h>
#include <signal.h>

/* ---- ipc_lock_owner() ---- */

static void nobody_owns_a_free_lock(void)
{
    static ipc_lock lock;
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    expect_rc(ipc_lock_owner(&lock, &holder), -ESRCH);
    assert_int_equal(holder.pid, 0); /* left alone on failure */
}

static void the_owner_is_pid_and_thread(void)
{
    static ipc_lock lock;
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    const int64_t before = test_now_ns();
    expect_rc(ipc_lock_acquire(&lock), 0);
    expect_rc(ipc_lock_owner(&lock, &holder), 0);
    assert_int_equal(holder.size, sizeof holder);
    assert_int_equal(holder.pid, getpid());
    assert_int_equal(holder.tid, gettid());
    assert_true(holder.alive);
    assert_false(holder.owner_died);
    assert_in_range(holder.since_ns, before, test_now_ns());
    expect_rc(ipc_lock_release(&lock), 0);
    expect_rc(ipc_lock_owner(&lock, &holder), -ESRCH);
}

static void *own_and_look(void *arg)
{
    ipc_lock *lock = arg;
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    expect_rc(ipc_lock_acquire(lock), 0);
    expect_rc(ipc_lock_owner(lock, &holder), 0);
    assert_int_equal(holder.pid, getpid());
    assert_int_equal(holder.tid, gettid());
    assert_int_not_equal(holder.tid, holder.pid);
    expect_rc(ipc_lock_release(lock), 0);
    return NULL;
}

static void the_owner_may_be_any_thread(void)
{
    static ipc_lock lock;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, own_and_look, &lock), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Alive, stopped, killed but not waited for, gone. */
static void the_owner_is_told_in_every_state(void)
{
    ipc_lock *lock = new_lock(NULL);
    struct stage *stage = stage_new(lock);
    struct role role;
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    start_holder(&role, stage);
    const pid_t pid = role.pid;

    expect_rc(ipc_lock_owner(lock, &holder), 0);
    assert_int_equal(holder.pid, pid);
    assert_int_equal(holder.tid, pid);
    assert_true(holder.alive);
    assert_false(holder.owner_died);
    const int64_t since = holder.since_ns;

    role_stop(&role);
    expect_rc(ipc_lock_owner(lock, &holder), 0);
    assert_true(holder.alive);
    assert_false(holder.owner_died);
    assert_true(holder.since_ns == since);
    role_cont(&role);

    assert_int_equal(kill(pid, SIGKILL), 0);
    while (!thread_ended(pid))
        poll_pause();
    expect_rc(ipc_lock_owner(lock, &holder), 0);
    assert_int_equal(holder.pid, pid);
    assert_false(holder.alive);
    assert_true(holder.owner_died);
    (void)role_kill(&role);
    expect_rc(ipc_lock_owner(lock, &holder), 0);
    assert_int_equal(holder.pid, pid);
    assert_false(holder.alive);
    assert_true(holder.owner_died);

    expect_rc(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    expect_rc(ipc_lock_owner(lock, &holder), 0);
    assert_int_equal(holder.pid, getpid());
    assert_true(holder.alive);
    assert_true(holder.owner_died); /* not consistent yet */
    assert_true(holder.since_ns > since);
    expect_rc(ipc_lock_consistent(lock), 0);
    expect_rc(ipc_lock_owner(lock, &holder), 0);
    assert_false(holder.owner_died);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_free(lock), 0);
}

static void a_lock_given_up_has_no_owner(void)
{
    ipc_lock *lock = new_lock(NULL);
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    die_holding(lock);
    expect_rc(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_owner(lock, &holder), -ENOTRECOVERABLE);
    assert_int_equal(holder.pid, 0);
    expect_rc(ipc_lock_free(lock), 0);
}

/* When the kernel has marked the word itself the tid is gone from it: nobody
 * can be named, and least of all the caller, who may have been born in the
 * same tick of the clock. */
static void a_word_that_the_kernel_marked_names_nobody(void)
{
    static ipc_lock lock;
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    expect_rc(ipc_lock_acquire(&lock), 0);
    lock.word_ = (lock.word_ & ~UINT64_C(0xffffffff)) | FUTEX_BIT_OWNER_DIED;
    expect_rc(ipc_lock_owner(&lock, &holder), 0);
    assert_int_equal(holder.tid, 0);
    assert_false(holder.alive);
    assert_true(holder.owner_died);
    assert_int_equal(holder.pid, 0);
}

static void since_is_when_somebody_first_saw_it(void)
{
    ipc_lock *lock = new_lock(NULL);
    struct stage *stage = stage_new(lock);
    struct role role;
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    start_holder(&role, stage);
    const int64_t before = test_now_ns();
    expect_rc(ipc_lock_acquire_until(lock, ipc_after_ms(20)), -ETIMEDOUT);
    const int64_t after = test_now_ns();
    wait_ms(20);
    expect_rc(ipc_lock_owner(lock, &holder), 0);
    assert_in_range(holder.since_ns, before, after);
    (void)role_kill(&role);
    expect_rc(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_free(lock), 0);
}

static void the_answer_has_the_size_that_was_asked_for(void)
{
    static ipc_lock lock;
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    expect_rc(ipc_lock_acquire(&lock), 0);
    holder.size = 8; /* of a program that knew only the pid */
    holder.tid = -7;
    expect_rc(ipc_lock_owner(&lock, &holder), 0);
    assert_int_equal(holder.pid, getpid());
    assert_int_equal(holder.tid, -7);
    assert_int_equal(holder.size, 8);
    holder.size = 0;
    expect_rc(ipc_lock_owner(&lock, &holder), -EINVAL);

    struct {
        ipc_lock_holder known;
        uint64_t unknown;
    } newer = {{.size = sizeof newer}, 7};
    expect_rc(ipc_lock_owner(&lock, &newer.known), 0);
    assert_int_equal(newer.known.tid, gettid());
    expect_rc(ipc_lock_release(&lock), 0);
}

/* ---- is_mine, is_held ---- */

static void *not_mine(void *arg)
{
    assert_false(ipc_lock_is_mine(arg));
    assert_true(ipc_lock_is_held(arg));
    return NULL;
}

static void not_mine_role(void *arg)
{
    (void)not_mine(arg);
}

static void mine_is_the_thread_that_holds_it(void)
{
    ipc_lock *lock = new_lock(NULL);
    pthread_t thread;
    expect_rc(ipc_lock_acquire(lock), 0);
    assert_true(ipc_lock_is_mine(lock));
    assert_int_equal(pthread_create(&thread, NULL, not_mine, lock), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(role_try(not_mine_role, lock, LIMIT_MS), 0);
    expect_rc(ipc_lock_release(lock), 0);
    die_holding(lock);
    assert_false(ipc_lock_is_mine(lock));
    assert_true(ipc_lock_is_held(lock)); /* dead or alive */
    expect_rc(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    assert_true(ipc_lock_is_mine(lock)); /* also while OWNER_DIED stands */
    expect_rc(ipc_lock_release(lock), 0);
    assert_false(ipc_lock_is_held(lock));
    expect_rc(ipc_lock_free(lock), 0);
}

/* ---- acquire_or_repair ---- */

struct repair {
    ipc_lock *lock;
    int calls;
    int result;
};

static int repair(void *arg)
{
    struct repair *r = arg;
    r->calls++;
    assert_true(ipc_lock_is_mine(r->lock));
    return r->result;
}

static int acquire_or_repair(struct repair *r, ipc_deadline deadline)
{
    return ipc_lock_acquire_or_repair(r->lock, deadline, repair, r);
}

static void repair_is_called_when_the_owner_died(void)
{
    struct repair r = {.lock = new_lock(NULL)};
    expect_rc(acquire_or_repair(&r, IPC_TIME_FOREVER), 0);
    expect_rc(acquire_or_repair(&r, IPC_TIME_FOREVER), -EDEADLK);
    assert_int_equal(r.calls, 0);
    expect_rc(ipc_lock_release(r.lock), 0);

    die_holding(r.lock);
    expect_rc(acquire_or_repair(&r, IPC_TIME_NOW), IPC_OWNER_DIED);
    assert_int_equal(r.calls, 1);
    assert_true(ipc_lock_is_mine(r.lock));
    expect_rc(ipc_lock_consistent(r.lock), -EINVAL); /* it is already */
    expect_rc(ipc_lock_release(r.lock), 0);
    expect_rc(ipc_lock_acquire(r.lock), 0);
    expect_rc(ipc_lock_release(r.lock), 0);
    expect_rc(ipc_lock_free(r.lock), 0);
}

static void a_repair_that_fails_gives_the_lock_up(void)
{
    struct repair r = {.lock = new_lock(NULL), .result = -EIO};
    die_holding(r.lock);
    expect_rc(acquire_or_repair(&r, ipc_after_ms(1000)), -EIO);
    assert_int_equal(r.calls, 1);
    assert_false(ipc_lock_is_mine(r.lock));
    expect_rc(acquire_or_repair(&r, IPC_TIME_NOW), -ENOTRECOVERABLE);
    expect_rc(ipc_lock_acquire(r.lock), -ENOTRECOVERABLE);
    assert_int_equal(r.calls, 1);
    expect_rc(ipc_lock_reset(r.lock), 0);
    expect_rc(acquire_or_repair(&r, IPC_TIME_NOW), 0);
    expect_rc(ipc_lock_release(r.lock), 0);
    expect_rc(ipc_lock_free(r.lock), 0);
}

static void repair_waits_by_deadline(void)
{
    struct repair r = {.lock = new_lock(NULL)};
    struct role holder;
    start_holder(&holder, stage_new(r.lock));
    expect_rc(acquire_or_repair(&r, IPC_TIME_NOW), -EAGAIN);
    expect_rc(acquire_or_repair(&r, ipc_after_ms(20)), -ETIMEDOUT);
    assert_int_equal(r.calls, 0);
    (void)role_kill(&holder);
    expect_rc(acquire_or_repair(&r, IPC_TIME_FOREVER), IPC_OWNER_DIED);
    expect_rc(ipc_lock_release(r.lock), 0);
    expect_rc(ipc_lock_free(r.lock), 0);
}

static int die_in_repair(void *arg)
{
    (void)arg;
    (void)raise(SIGKILL);
    return 0;
}

static void take_and_die_in_repair(void *arg)
{
    expect_rc(
        ipc_lock_acquire_or_repair(arg, IPC_TIME_FOREVER, die_in_repair, NULL),
        IPC_OWNER_DIED);
}

static void who_dies_in_repair_is_followed_by_the_next(void)
{
    struct repair r = {.lock = new_lock(NULL)};
    die_holding(r.lock);
    for (int i = 0; i < 3; i++)
        assert_int_equal(role_try(take_and_die_in_repair, r.lock, LIMIT_MS),
                         ROLE_SIGNAL + SIGKILL);
    expect_rc(acquire_or_repair(&r, IPC_TIME_NOW), IPC_OWNER_DIED);
    assert_int_equal(r.calls, 1);
    expect_rc(ipc_lock_release(r.lock), 0);
    expect_rc(ipc_lock_free(r.lock), 0);
}

/* ---- IPC_WITH_LOCK ---- */

static ipc_lock scoped;

static int leave_by_return(void)
{
    int rc;
    IPC_WITH_LOCK(&scoped, rc) {
        assert_int_equal(rc, 0);
        assert_true(ipc_lock_is_mine(&scoped));
        return 7;
    }
    return 0;
}

static void the_scope_releases_however_it_is_left(void)
{
    int rc = -1;
    int entered = 0;
    IPC_WITH_LOCK(&scoped, rc) {
        entered++;
        assert_true(ipc_lock_is_mine(&scoped));
    }
    assert_int_equal(rc, 0);
    assert_false(ipc_lock_is_held(&scoped));
    IPC_WITH_LOCK(&scoped, rc) {
        entered++;
        if (ipc_lock_is_mine(&scoped))
            break;
        entered = 100;
    }
    assert_false(ipc_lock_is_held(&scoped));
    IPC_WITH_LOCK(&scoped, rc) {
        entered++;
        if (ipc_lock_is_mine(&scoped))
            continue;
        entered = 100;
    }
    assert_false(ipc_lock_is_held(&scoped));
    IPC_WITH_LOCK(&scoped, rc) {
        entered++;
        goto out;
    }
out:
    assert_false(ipc_lock_is_held(&scoped));
    assert_int_equal(leave_by_return(), 7);
    assert_false(ipc_lock_is_held(&scoped));
    assert_int_equal(entered, 4);
}

static void the_scope_is_not_entered_without_the_lock(void)
{
    int rc = 0;
    expect_rc(ipc_lock_acquire(&scoped), 0);
    IPC_WITH_LOCK(&scoped, rc)
        test_fail("entered without the lock");
    assert_int_equal(rc, -EDEADLK);
    assert_true(ipc_lock_is_mine(&scoped));
    expect_rc(ipc_lock_release(&scoped), 0);
}

static void the_scope_says_that_the_owner_died(void)
{
    ipc_lock *lock = new_lock(NULL);
    int rc = 0;
    int entered = 0;
    die_holding(lock);
    IPC_WITH_LOCK(lock, rc) {
        entered++;
        assert_int_equal(rc, IPC_OWNER_DIED);
        expect_rc(ipc_lock_consistent(lock), 0);
    }
    assert_int_equal(entered, 1);
    expect_rc(ipc_lock_acquire_nowait(lock), 0);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_free(lock), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(nobody_owns_a_free_lock),
    TEST_CASE(the_owner_is_pid_and_thread),
    TEST_CASE(the_owner_may_be_any_thread),
    TEST_CASE(the_owner_is_told_in_every_state),
    TEST_CASE(a_lock_given_up_has_no_owner),
    TEST_CASE(a_word_that_the_kernel_marked_names_nobody),
    TEST_CASE(since_is_when_somebody_first_saw_it),
    TEST_CASE(the_answer_has_the_size_that_was_asked_for),
    TEST_CASE(mine_is_the_thread_that_holds_it),
    TEST_CASE(repair_is_called_when_the_owner_died),
    TEST_CASE(a_repair_that_fails_gives_the_lock_up),
    TEST_CASE(repair_waits_by_deadline),
    TEST_CASE(who_dies_in_repair_is_followed_by_the_next),
    TEST_CASE(the_scope_releases_however_it_is_left),
    TEST_CASE(the_scope_is_not_entered_without_the_lock),
    TEST_CASE(the_scope_says_that_the_owner_died),
};
TEST_MAIN(cases)
