/* What the tests of locks have in common. */
#ifndef LOCK_SUPPORT_H
#define LOCK_SUPPORT_H

#include "harness/harness.h"
#include "harness/role.h"

#include <linux/futex.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/lock.h>
#include <ipc/rlock.h>
#include <ipc/segment.h>
#include <ipc/shared.h>

#include "kernel/futex.h"

enum {
    LIMIT_MS = 10000, /* it hangs */
    WEDGE_MS = 1000,  /* whoever waits for a dead owner hangs */
    RECHECK_MS = 200, /* what the header promises where the kernel ... */
    SLACK_MS = 1000,  /* ... could not tell; and a loaded machine */
    AT_ONCE_MS = 50,  /* sooner than half of the re-check period: told */
};

#define NS_PER_MS INT64_C(1000000)

/* What roles and the case share; from stage_new(). */
struct stage {
    ipc_lock *lock;
    ipc_rlock *rlock;
    uint32_t ready; /* roles that hold it, or stand where they should */
    uint32_t go;
    int rc;         /* what the acquire of a role returned, */
    int64_t got_ns; /* and when */
    long counter;   /* no atomic: the lock is what makes it come out right */
};

/* cmocka's assert_true() tells neither value nor detail. */
#define expect_rc(call, expected)                                              \
    do {                                                                       \
        const int rc_ = (call);                                                \
        const int expected_ = (expected);                                      \
        if (rc_ != expected_)                                                  \
            test_fail("%s: %d (%s: %s), expected %d", #call, rc_,              \
                      ipc_strerror(rc_), ipc_error_detail(), expected_);       \
    } while (0)

static inline void expect_detail(const char *part)
{
    if (strstr(ipc_error_detail(), part) == NULL)
        test_fail("\"%s\" does not say \"%s\"", ipc_error_detail(), part);
}

static inline ipc_lock *new_lock(const char *label)
{
    const ipc_lock_options options = {.size = sizeof options, .label = label};
    ipc_lock *lock = NULL;
    expect_rc(ipc_lock_new(&options, &lock), 0);
    return lock;
}

static inline ipc_rlock *new_rlock(const char *label)
{
    const ipc_lock_options options = {.size = sizeof options, .label = label};
    ipc_rlock *rlock = NULL;
    expect_rc(ipc_rlock_new(&options, &rlock), 0);
    return rlock;
}

static inline struct stage *stage_new(ipc_lock *lock)
{
    struct stage *stage = test_shared(sizeof *stage);
    stage->lock = lock;
    return stage;
}

static inline uint32_t futex_half(const ipc_lock *lock)
{
    return (uint32_t)__atomic_load_n(&lock->word_, __ATOMIC_SEQ_CST);
}

static inline long to_ms(int64_t ns)
{
    return (long)(ns / NS_PER_MS);
}

/* ---- roles: arg is the stage ---- */

/* Hold the lock until killed. */
static inline void hold_for_good(void *arg)
{
    struct stage *stage = arg;
    stage->rc = ipc_lock_acquire(stage->lock);
    assert_true(stage->rc >= 0);
    meet_signal(&stage->ready);
    for (;;)
        (void)pause();
}

/* The kernel forgets what it should do when this thread dies, as it does when
 * memory is so short that it was taken from the dying before. */
static inline void forget_robust_list(void)
{
    static struct robust_list_head none;
    none.list.next = &none.list;
    assert_int_equal(syscall(SYS_set_robust_list, &none, sizeof none), 0);
}

static inline void hold_unnoticed(void *arg)
{
    struct stage *stage = arg;
    expect_rc(ipc_lock_acquire(stage->lock), 0);
    forget_robust_list();
    meet_signal(&stage->ready);
    for (;;)
        (void)pause();
}

/* Hold it until told to go on, then release it. */
static inline void hold_until_go(void *arg)
{
    struct stage *stage = arg;
    expect_rc(ipc_lock_acquire(stage->lock), 0);
    meet_signal(&stage->ready);
    meet_wait(&stage->go, 1, LIMIT_MS);
    expect_rc(ipc_lock_release(stage->lock), 0);
}

/* Wait for it, say what that gave, make it good, and give it back. */
static inline void take_and_give(void *arg)
{
    struct stage *stage = arg;
    stage->rc = ipc_lock_acquire(stage->lock);
    stage->got_ns = test_now_ns();
    if (stage->rc == IPC_OWNER_DIED)
        expect_rc(ipc_lock_consistent(stage->lock), 0);
    if (stage->rc >= 0)
        expect_rc(ipc_lock_release(stage->lock), 0);
}

static inline void try_once(void *arg)
{
    struct stage *stage = arg;
    stage->rc = ipc_lock_acquire_nowait(stage->lock);
    if (stage->rc == IPC_OWNER_DIED)
        expect_rc(ipc_lock_consistent(stage->lock), 0);
    if (stage->rc >= 0)
        expect_rc(ipc_lock_release(stage->lock), 0);
}

/* ---- from the case ---- */

/* What another process gets that does not wait; it gives it back. */
static inline int other_process_tries(ipc_lock *lock)
{
    struct stage *stage = stage_new(lock);
    assert_int_equal(role_try(try_once, stage, LIMIT_MS), 0);
    return stage->rc;
}

/* It is free and sound, and goes. */
static inline void free_good(ipc_lock *lock)
{
    expect_rc(ipc_lock_acquire(lock), 0);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_free(lock), 0);
}

/* A role that holds the lock now. */
static inline void start_holder(struct role *role, struct stage *stage)
{
    const uint32_t before = stage->ready;
    role_start(role, hold_for_good, stage);
    meet_wait(&stage->ready, before + 1, LIMIT_MS);
}

/* Leave the lock as one that held it when it was killed. */
static inline void die_holding(ipc_lock *lock)
{
    struct role role;
    start_holder(&role, stage_new(lock));
    (void)role_kill(&role);
}

/* A role that sleeps on the lock now; false: it has ended without. */
static inline bool try_start_waiter(struct role *role, void (*fn)(void *arg),
                                    struct stage *stage)
{
    role_start(role, fn, stage);
    const int64_t end = test_now_ns() + LIMIT_MS * NS_PER_MS;
    while (!asleep_on(role->pid, &stage->lock->word_)) {
        if (thread_ended(role->pid) || test_now_ns() > end)
            return false;
        poll_pause();
    }
    return true;
}

static inline void start_waiter(struct role *role, void (*fn)(void *arg),
                                struct stage *stage)
{
    if (!try_start_waiter(role, fn, stage))
        test_fail("the waiter does not wait");
}

/* The waiter ends, and was told that the owner died.  Returns how long after
 * start_ns, in ms. */
static inline long expect_told(struct role *waiter, const struct stage *stage,
                               int64_t start_ns)
{
    role_wait_ok(waiter, RECHECK_MS + SLACK_MS);
    assert_int_equal(stage->rc, IPC_OWNER_DIED);
    return to_ms(stage->got_ns - start_ns);
}

/* Let time itself pass: where it is the clock that must have moved on. */
static inline void wait_ms(int ms)
{
    const int64_t end = test_now_ns() + ms * NS_PER_MS;
    while (test_now_ns() < end)
        poll_pause();
}

#endif
