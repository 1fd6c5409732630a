/* What the tests of conditions have in common: those who wait, as processes or
 * as threads. */
#ifndef CONDITION_SUPPORT_H
#define CONDITION_SUPPORT_H

#include "unit/lock_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <ipc/condition.h>

enum {
    LINE = 61,     /* so many are told apart by a condition */
    CALM_MS = 500, /* somebody who was woken by mistake has come by then */
    ANY_MS = 20    /* for a wait that is to time out */
};

/* Lies in family memory. */
struct box {
    ipc_lock lock;
    ipc_rlock rlock;
    ipc_condition condition;
    uint32_t gate;  /* what predicates ask for; changed under the lock */
    uint32_t calls; /* of predicates */
    uint32_t ready; /* roles stand where they should */
    uint32_t back;  /* how many have come back from their wait */
};

/* One who waits.  Lies in family memory. */
struct waiter {
    struct box *box;
    int (*wait)(struct box *box); /* called with the lock held */
    int rc;
    uint32_t turn;   /* it came back as the so-manieth, from 1; 0: not yet */
    int64_t back_ns; /* and when */
    pid_t tid;
    bool is_thread;
    struct role role; /* the case's own: */
    pthread_t thread;
};

static inline void *family_alloc(size_t size)
{
    void *memory = ipc_shared_alloc(size);
    assert_non_null(memory);
    return memory;
}

static inline struct box *new_box(void)
{
    return family_alloc(sizeof(struct box));
}

/* Nobody is left in it. */
static inline void free_box(struct box *box)
{
    assert_int_equal(ipc_condition_waiting(&box->condition), 0);
    expect_rc(ipc_condition_fini(&box->condition), 0);
    expect_rc(ipc_shared_free(box), 0);
}

static inline void lock_box(struct box *box)
{
    expect_rc(ipc_lock_acquire(&box->lock), 0);
}

static inline void unlock_box(struct box *box)
{
    expect_rc(ipc_lock_release(&box->lock), 0);
}

/* ---- ways to wait ---- */

static inline int wait_once(struct box *box)
{
    return ipc_condition_wait(&box->condition, &box->lock);
}

static inline int wait_any_ms(struct box *box)
{
    return ipc_condition_wait_until(&box->condition, &box->lock,
                                    ipc_after_ms(ANY_MS));
}

static inline int wait_for_gate(struct box *box)
{
    int rc = 0;
    while (rc == 0 && box->gate == 0)
        rc = ipc_condition_wait(&box->condition, &box->lock);
    return rc;
}

static inline bool gate_is_open(void *arg)
{
    struct box *box = arg;
    (void)__atomic_add_fetch(&box->calls, 1, __ATOMIC_SEQ_CST);
    return box->gate != 0;
}

static inline void open_gate(struct box *box)
{
    lock_box(box);
    box->gate = 1;
    unlock_box(box);
}

/* ---- those who wait ---- */

static inline void live_as_waiter(void *arg)
{
    struct waiter *waiter = arg;
    struct box *box = waiter->box;
    lock_box(box);
    __atomic_store_n(&waiter->tid, gettid(), __ATOMIC_SEQ_CST);
    waiter->rc = waiter->wait(box);
    waiter->back_ns = test_now_ns();
    const bool held = waiter->rc != -ENOTRECOVERABLE;
    assert_int_equal(ipc_lock_is_mine(&box->lock), held);
    if (waiter->rc == IPC_OWNER_DIED)
        expect_rc(ipc_lock_consistent(&box->lock), 0);
    __atomic_store_n(&waiter->turn,
                     1 + __atomic_load_n(&box->back, __ATOMIC_SEQ_CST),
                     __ATOMIC_SEQ_CST);
    meet_signal(&box->back);
    if (held)
        unlock_box(box);
}

static inline void *live_as_thread(void *arg)
{
    live_as_waiter(arg);
    return NULL;
}

static inline pid_t tid_of(const struct waiter *waiter)
{
    return __atomic_load_n(&waiter->tid, __ATOMIC_SEQ_CST);
}

static inline uint32_t turn_of(const struct waiter *waiter)
{
    return __atomic_load_n(&waiter->turn, __ATOMIC_SEQ_CST);
}

/* Does it sleep in a futex wait on a word of this object alone?  (Who waits for
 * a lock sleeps on its owner's life too.)  Where the kernel does not tell, any
 * sleep counts. */
static inline bool asleep_in(pid_t tid, const void *object, size_t size)
{
    char path[64], text[256] = "";
    if (tid == 0 || !asleep_in_futex(tid))
        return false;
    (void)snprintf(path, sizeof path, "/proc/%d/syscall", (int)tid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return true;
    const bool told = fgets(text, sizeof text, file) != NULL;
    (void)fclose(file);
    if (!told)
        return true;
    char *rest = text;
    if (strtol(text, &rest, 10) != SYS_futex || rest == text)
        return false;
    return (uintptr_t)strtoul(rest, NULL, 16) - (uintptr_t)object < size;
}

static inline bool waits(const struct waiter *waiter)
{
    return asleep_in(tid_of(waiter), &waiter->box->condition,
                     sizeof waiter->box->condition);
}

static inline void expect_waiting(const struct waiter *waiter)
{
    const int64_t end = test_now_ns() + LIMIT_MS * NS_PER_MS;
    while (!waits(waiter)) {
        const pid_t tid = tid_of(waiter);
        if ((tid != 0 && thread_ended(tid)) || turn_of(waiter) != 0 ||
            test_now_ns() > end)
            test_fail("the waiter does not wait: turn %u, rc %d",
                      turn_of(waiter), waiter->rc);
        poll_pause();
    }
}

/* One more who sleeps in the condition now, as the last one in the line. */
static inline void start_one(struct waiter *waiter, struct box *box,
                             int (*wait)(struct box *box), bool is_thread)
{
    *waiter = (struct waiter){.box = box, .wait = wait, .is_thread = is_thread};
    if (is_thread)
        assert_int_equal(
            pthread_create(&waiter->thread, NULL, live_as_thread, waiter), 0);
    else
        role_start(&waiter->role, live_as_waiter, waiter);
    expect_waiting(waiter);
}

static inline struct waiter *start_waiters(struct box *box, int count,
                                           int (*wait)(struct box *box),
                                           bool threads)
{
    struct waiter *waiters = family_alloc((size_t)count * sizeof *waiters);
    for (int i = 0; i < count; i++)
        start_one(&waiters[i], box, wait, threads);
    assert_int_equal(ipc_condition_waiting(&box->condition), count);
    return waiters;
}

static inline void end_one(struct waiter *waiter)
{
    if (waiter->is_thread)
        assert_int_equal(pthread_join(waiter->thread, NULL), 0);
    else
        role_wait_ok(&waiter->role, LIMIT_MS);
}

static inline void end_waiters(struct waiter *waiters, int count)
{
    for (int i = 0; i < count; i++)
        end_one(&waiters[i]);
    expect_rc(ipc_shared_free(waiters), 0);
}

/* So many wait, no more and no fewer. */
static inline void expect_count(struct box *box, uint32_t count)
{
    const int64_t end = test_now_ns() + LIMIT_MS * NS_PER_MS;
    while (ipc_condition_waiting(&box->condition) != count) {
        if (test_now_ns() > end)
            test_fail("%u wait, not %u", ipc_condition_waiting(&box->condition),
                      count);
        poll_pause();
    }
}

/* So many come back, and no more are on their way: the others sleep. */
static inline void expect_back(const struct waiter *waiters, int count,
                               uint32_t back)
{
    uint32_t left = 0;
    meet_wait(&waiters->box->back, back, LIMIT_MS);
    for (int i = 0; i < count; i++) {
        if (turn_of(&waiters[i]) != 0)
            continue;
        expect_waiting(&waiters[i]);
        left++;
    }
    assert_int_equal(left, (uint32_t)count - back);
    expect_count(waiters->box, left);
}

#endif
