/* What the tests of fair locks have in common: places for them, and a line of
 * guests who wait in a known order. */
#ifndef LOCK_FAIR_SUPPORT_H
#define LOCK_FAIR_SUPPORT_H

#include "unit/lock_support.h"

#include <errno.h>
#include <stdio.h>

#include "sync/line.h"

/* ---- who stands in line ---- */

/* The thread has a place in the line of a fair lock, or there is none left.
 * (That it sleeps says less: it may do so on its way into the line.) */
static inline bool stands_in_line(const ipc_lock *lock, pid_t tid)
{
    const struct ipc__line *line =
        (const void *)((const char *)lock + lock->line_);
    int taken = 0;
    for (int i = 0; i < IPC__LINE_PLACES; i++) {
        const struct ipc__place *place = &line->places[i];
        if (__atomic_load_n(&place->state, __ATOMIC_ACQUIRE) == IPC__PLACE_FREE)
            continue;
        taken++;
        if ((__atomic_load_n(&place->owner, __ATOMIC_RELAXED) &
             FUTEX_BITS_TID) == (uint32_t)tid)
            return true;
    }
    return taken == IPC__LINE_PLACES && asleep_in_futex(tid);
}

static inline const void *guard_of_line(const ipc_lock *lock)
{
    return (const char *)lock + lock->line_; /* a line begins with it */
}

/* Or it has waited, and its deadline has passed. */
static inline void wait_until_in_line(const ipc_lock *lock, pid_t tid,
                                      ipc_deadline deadline)
{
    const int64_t end = test_now_ns() + LIMIT_MS * NS_PER_MS;
    while (!stands_in_line(lock, tid)) {
        if (thread_ended(tid) && ipc_time_left(deadline) == 0)
            return;
        if (thread_ended(tid) || test_now_ns() > end)
            test_fail("thread %d does not stand in line", (int)tid);
        poll_pause();
    }
}

/* ---- places ---- */

enum place {
    IN_FAMILY,  /* ..._new() */
    IN_OURS,    /* ..._init() on memory that no region knows */
    IN_BLOCK,   /* on family memory of the program's own */
    IN_SEGMENT, /* on a segment */
    BY_NAME,    /* ..._create() */
    PLACES
};

/* A lock or an rlock; the other one is NULL. */
struct fair {
    enum place place;
    ipc_lock *lock;
    ipc_rlock *rlock;
    ipc_segment *segment;
    const char *name;
};

static inline ipc_lock *lock_of(const struct fair *fair)
{
    return fair->rlock != NULL ? &fair->rlock->lock_ : fair->lock;
}

static inline ipc_lock_options fair_options(void)
{
    ipc_lock_options options = IPC_LOCK_OPTIONS_INIT;
    options.flags = IPC_LOCK_FAIR;
    options.label = "fair";
    return options;
}

static inline void *fair_memory(struct fair *fair, size_t bytes)
{
    void *memory = NULL;
    if (fair->place == IN_OURS)
        return test_shared(bytes);
    if (fair->place == IN_BLOCK) {
        memory = ipc_shared_alloc(bytes);
        assert_non_null(memory);
        return memory;
    }
    expect_rc(ipc_segment_create("fair-segment", bytes, NULL, &fair->segment),
              0);
    return ipc_segment_data(fair->segment);
}

static inline void make_fair_lock(struct fair *fair, enum place place)
{
    ipc_lock_options options = fair_options();
    *fair = (struct fair){.place = place, .name = "fair-lock"};
    if (place == IN_FAMILY) {
        expect_rc(ipc_lock_new(&options, &fair->lock), 0);
    } else if (place == BY_NAME) {
        expect_rc(ipc_lock_create(fair->name, &options, &fair->lock), 0);
    } else {
        options.bytes = ipc_lock_bytes(IPC_LOCK_FAIR);
        fair->lock = fair_memory(fair, options.bytes);
        expect_rc(ipc_lock_init(fair->lock, &options), 0);
    }
}

static inline void make_fair_rlock(struct fair *fair, enum place place)
{
    ipc_lock_options options = fair_options();
    *fair = (struct fair){.place = place, .name = "fair-rlock"};
    if (place == IN_FAMILY) {
        expect_rc(ipc_rlock_new(&options, &fair->rlock), 0);
    } else if (place == BY_NAME) {
        expect_rc(ipc_rlock_create(fair->name, &options, &fair->rlock), 0);
    } else {
        options.bytes = ipc_rlock_bytes(IPC_LOCK_FAIR);
        fair->rlock = fair_memory(fair, options.bytes);
        expect_rc(ipc_rlock_init(fair->rlock, &options), 0);
    }
}

/* It must be free. */
static inline void end_fair(struct fair *fair)
{
    const bool deep = fair->rlock != NULL;
    if (fair->place == IN_FAMILY) {
        expect_rc(
            deep ? ipc_rlock_free(fair->rlock) : ipc_lock_free(fair->lock), 0);
        return;
    }
    if (fair->place == BY_NAME) {
        expect_rc(deep ? ipc_rlock_close(fair->rlock)
                       : ipc_lock_close(fair->lock),
                  0);
        expect_rc(deep ? ipc_rlock_unlink(fair->name)
                       : ipc_lock_unlink(fair->name),
                  0);
        return;
    }
    expect_rc(deep ? ipc_rlock_fini(fair->rlock) : ipc_lock_fini(fair->lock),
              0);
    if (fair->place == IN_BLOCK)
        expect_rc(ipc_shared_free(lock_of(fair)), 0);
    if (fair->place == IN_SEGMENT) {
        expect_rc(ipc_segment_close(fair->segment), 0);
        expect_rc(ipc_segment_unlink("fair-segment"), 0);
    }
}

/* ---- either kind ---- */

static inline int fair_acquire(const struct fair *fair, ipc_deadline deadline)
{
    if (fair->rlock != NULL)
        return deadline == IPC_TIME_FOREVER ? ipc_rlock_acquire(fair->rlock)
               : deadline == IPC_TIME_NOW
                   ? ipc_rlock_acquire_nowait(fair->rlock)
                   : ipc_rlock_acquire_until(fair->rlock, deadline);
    return deadline == IPC_TIME_FOREVER ? ipc_lock_acquire(fair->lock)
           : deadline == IPC_TIME_NOW
               ? ipc_lock_acquire_nowait(fair->lock)
               : ipc_lock_acquire_until(fair->lock, deadline);
}

static inline int fair_release(const struct fair *fair)
{
    return fair->rlock != NULL ? ipc_rlock_release(fair->rlock)
                               : ipc_lock_release(fair->lock);
}

/* ---- a line of guests ---- */

enum {
    MOST_GUESTS = 90
};

/* Shared by all; what has no atomic belongs to whoever holds the lock. */
struct line {
    struct fair fair;
    bool careless; /* guests release what is not consistent */
    uint32_t come; /* guests who are about to wait */
    uint32_t hold; /* guests who have it wait until this is raised */
    int count;
    char served[MOST_GUESTS + 1]; /* 'a' for the first guest, ... */
    struct {
        pid_t tid;
        int rc;
        int64_t got_ns;
    } of[MOST_GUESTS];
};

struct guest {
    struct line *line;
    ipc_deadline deadline;
    pthread_t thread;
    struct role role;
    int index;
    bool is_thread;
};

static inline struct line *new_line(const struct fair *fair)
{
    struct line *line = test_shared(sizeof *line);
    line->fair = *fair;
    line->hold = 1; /* raised: nobody waits for it */
    return line;
}

/* With the lock: the next one who has it. */
static inline void note_served(struct line *line, char who)
{
    assert_true(line->count < MOST_GUESTS);
    line->served[line->count] = who;
    line->count = line->count + 1;
}

static inline void be_served(void *arg)
{
    struct guest *guest = arg;
    struct line *line = guest->line;
    __atomic_store_n(&line->of[guest->index].tid, gettid(), __ATOMIC_SEQ_CST);
    meet_signal(&line->come);
    const int rc = fair_acquire(&line->fair, guest->deadline);
    line->of[guest->index].rc = rc;
    line->of[guest->index].got_ns = test_now_ns();
    if (rc < 0)
        return;
    note_served(line, (char)('a' + guest->index));
    meet_wait(&line->hold, 1, LIMIT_MS);
    if (rc == IPC_OWNER_DIED && !line->careless)
        expect_rc(ipc_lock_consistent(lock_of(&line->fair)), 0);
    expect_rc(fair_release(&line->fair), 0);
}

static inline void *be_served_as_thread(void *arg)
{
    be_served(arg);
    return NULL;
}

static inline pid_t tid_of(const struct guest *guest)
{
    return __atomic_load_n(&guest->line->of[guest->index].tid,
                           __ATOMIC_SEQ_CST);
}

/* The lock is held by somebody else: the guest comes and waits. */
static inline void send_guest(struct guest *guest)
{
    const ipc_lock *lock = lock_of(&guest->line->fair);
    const uint32_t before = guest->line->come;
    if (guest->is_thread)
        assert_int_equal(
            pthread_create(&guest->thread, NULL, be_served_as_thread, guest),
            0);
    else
        role_start(&guest->role, be_served, guest);
    meet_wait(&guest->line->come, before + 1, LIMIT_MS);
    if (lock->line_ != 0)
        wait_until_in_line(lock, tid_of(guest), guest->deadline);
    else
        wait_until_sleeping(tid_of(guest), LIMIT_MS);
}

/* One after the other. */
static inline void send_guests(struct line *line, struct guest *guests, int n,
                               bool as_threads)
{
    for (int i = 0; i < n; i++) {
        guests[i] = (struct guest){.line = line,
                                   .index = i,
                                   .deadline = IPC_TIME_FOREVER,
                                   .is_thread = as_threads};
        send_guest(&guests[i]);
    }
}

/* It is in line, and cannot go on. */
static inline void stop_guest(struct guest *guest)
{
    role_stop_outside(&guest->role, guard_of_line(lock_of(&guest->line->fair)));
}

static inline void see_off(struct guest *guests, int n)
{
    for (int i = 0; i < n; i++)
        if (guests[i].is_thread)
            assert_int_equal(pthread_join(guests[i].thread, NULL), 0);
        else if (guests[i].role.pid != 0)
            role_wait_ok(&guests[i].role, LIMIT_MS);
}

static inline void expect_served(const struct line *line, const char *order)
{
    if (strcmp(line->served, order) != 0)
        test_fail("served \"%s\", expected \"%s\"", line->served, order);
}

#endif
