/* What the tests of semaphores have in common: kinds, and those who wait,
 * which are threads or processes. */
#ifndef SEMAPHORE_SUPPORT_H
#define SEMAPHORE_SUPPORT_H

#include "unit/lock_support.h"

#include <errno.h>
#include <stdio.h>

#include <ipc/semaphore.h>

/* ---- kinds ---- */

enum {
    PLAIN = 0,
    BOUNDED = IPC_SEMAPHORE_BOUNDED,
    TRACKED = IPC_SEMAPHORE_TRACKED,
    FAIR = IPC_SEMAPHORE_FAIR,
    EVERY_FLAG = BOUNDED | TRACKED | FAIR
};

/* Of which failure is, for the log of a case that fails. */
static inline void say_kind(uint32_t flags)
{
    printf("kind:%s%s%s%s\n", flags == 0 ? " plain" : "",
           (flags & BOUNDED) != 0 ? " bounded" : "",
           (flags & TRACKED) != 0 ? " tracked" : "",
           (flags & FAIR) != 0 ? " fair" : "");
}

/* Run it for all kinds that have these flags and none of those. */
static inline void for_kinds(uint32_t with, uint32_t without,
                             void (*run)(uint32_t flags))
{
    for (uint32_t flags = 0; flags <= EVERY_FLAG; flags++) {
        if ((flags & with) != with || (flags & without) != 0)
            continue;
        say_kind(flags);
        run(flags);
    }
}

static inline ipc_semaphore_options semaphore_options(uint32_t flags,
                                                      const char *label)
{
    ipc_semaphore_options options = IPC_SEMAPHORE_OPTIONS_INIT;
    options.flags = flags;
    options.label = label;
    return options;
}

static inline ipc_semaphore *new_labelled(uint32_t value, uint32_t flags,
                                          const char *label)
{
    const ipc_semaphore_options options = semaphore_options(flags, label);
    ipc_semaphore *semaphore = NULL;
    expect_rc(ipc_semaphore_new(value, &options, &semaphore), 0);
    return semaphore;
}

static inline ipc_semaphore *new_semaphore(uint32_t value, uint32_t flags)
{
    return new_labelled(value, flags, NULL);
}

#define expect_permits(semaphore, expected)                                    \
    do {                                                                       \
        const uint32_t value_ = ipc_semaphore_value(semaphore);                \
        const uint32_t expected_ = (expected);                                 \
        if (value_ != expected_)                                               \
            test_fail("value is %u, expected %u", value_, expected_);          \
    } while (0)

#define expect_held(semaphore, expected)                                       \
    do {                                                                       \
        const uint32_t held_ = ipc_semaphore_held(semaphore);                  \
        const uint32_t expected_ = (expected);                                 \
        if (held_ != expected_)                                                \
            test_fail("%u are held, expected %u", held_, expected_);           \
    } while (0)

/* It has so many permits, which can be had, and goes. */
static inline void free_with(ipc_semaphore *semaphore, uint32_t permits)
{
    expect_permits(semaphore, permits);
    expect_rc(ipc_semaphore_acquire_many_nowait(semaphore, permits), 0);
    expect_rc(ipc_semaphore_acquire_nowait(semaphore), -EAGAIN);
    expect_rc(ipc_semaphore_release_many(semaphore, permits), 0);
    expect_rc(ipc_semaphore_free(semaphore), 0);
}

/* ---- those who wait ---- */

/* Meeting as in role.h, in a way that ThreadSanitizer can see: it does not know
 * what the kernel stores. */
struct bell {
    uint32_t seen;
    uint32_t rung;
};

static inline void bell_ring(struct bell *bell)
{
    __atomic_store_n(&bell->seen, 1, __ATOMIC_RELEASE);
    meet_signal(&bell->rung);
}

static inline bool bell_rang(struct bell *bell)
{
    return __atomic_load_n(&bell->rung, __ATOMIC_SEQ_CST) != 0 &&
           __atomic_load_n(&bell->seen, __ATOMIC_ACQUIRE) != 0;
}

#define bell_wait(bell, limit_ms)                                              \
    do {                                                                       \
        meet_wait(&(bell)->rung, 1, (limit_ms));                               \
        (void)bell_rang(bell);                                                 \
    } while (0)

/* In shared memory.  Acquires n, says so, and gives them back when told. */
struct guest {
    ipc_semaphore *semaphore;
    uint32_t n;
    int32_t wait_ms;       /* 0: for as long as it takes */
    uint32_t *comes;       /* counts those that were served; may be NULL */
    void (*prepare)(void); /* before it acquires; may be NULL */
    void (*end)(void);     /* instead of giving back; may be NULL */

    /* Told by the guest: */
    uint32_t tid;      /* it is about to acquire */
    struct bell done;  /* it has returned... */
    int rc;            /* ...with this, */
    uint32_t place;    /* so many had been served before, */
    int64_t done_ns;   /* and when */
    struct bell given; /* it has given them back */

    struct bell leave; /* tells it to */

    bool is_thread;
    pthread_t thread;
    struct role role;
};

static inline void be_guest(void *arg)
{
    struct guest *guest = arg;
    if (guest->prepare != NULL)
        guest->prepare();
    __atomic_store_n(&guest->tid, (uint32_t)gettid(), __ATOMIC_SEQ_CST);
    guest->rc =
        guest->wait_ms == 0
            ? ipc_semaphore_acquire_many(guest->semaphore, guest->n)
            : ipc_semaphore_acquire_many_until(guest->semaphore, guest->n,
                                               ipc_after_ms(guest->wait_ms));
    guest->done_ns = test_now_ns();
    if (guest->rc == 0 && guest->comes != NULL)
        guest->place = __atomic_fetch_add(guest->comes, 1, __ATOMIC_SEQ_CST);
    bell_ring(&guest->done);
    bell_wait(&guest->leave, 4 * LIMIT_MS);
    if (guest->end != NULL)
        guest->end();
    else if (guest->rc == 0)
        expect_rc(ipc_semaphore_release_many(guest->semaphore, guest->n), 0);
    bell_ring(&guest->given);
}

static inline void *be_guest_thread(void *arg)
{
    be_guest(arg);
    return NULL;
}

/* Begins to acquire, or has acquired already. */
static inline void guest_start(struct guest *guest)
{
    if (guest->is_thread)
        assert_int_equal(
            pthread_create(&guest->thread, NULL, be_guest_thread, guest), 0);
    else
        role_start(&guest->role, be_guest, guest);
    while (__atomic_load_n(&guest->tid, __ATOMIC_SEQ_CST) == 0)
        poll_pause();
}

static inline bool guest_is_done(struct guest *guest)
{
    return bell_rang(&guest->done);
}

/* It sleeps, and has done so for some looks: not in passing. */
static inline void guest_asleep(struct guest *guest)
{
    for (int look = 0; look < 3; look++) {
        wait_until_sleeping((pid_t)guest->tid, LIMIT_MS);
        if (guest_is_done(guest))
            test_fail("one that should wait has come back with %d", guest->rc);
        poll_pause();
    }
}

static inline void guest_start_asleep(struct guest *guest)
{
    guest_start(guest);
    guest_asleep(guest);
}

/* It was served, or came back with an error. */
static inline void guest_returns(struct guest *guest, int rc)
{
    bell_wait(&guest->done, LIMIT_MS);
    expect_rc(guest->rc, rc);
}

static inline void guest_gives(struct guest *guest)
{
    bell_ring(&guest->leave);
    bell_wait(&guest->given, LIMIT_MS);
}

static inline void guest_ends(struct guest *guest)
{
    guest_gives(guest);
    if (guest->is_thread)
        assert_int_equal(pthread_join(guest->thread, NULL), 0);
    else
        role_wait_ok(&guest->role, LIMIT_MS);
}

/* Comes, and is served without waiting. */
static inline void guest_holds(struct guest *guest, uint32_t n)
{
    guest->n = n;
    guest_start(guest);
    guest_returns(guest, 0);
}

static inline struct guest *new_guests(ipc_semaphore *semaphore, uint32_t count,
                                       bool threads)
{
    struct guest *guests =
        test_shared((count + 1) * sizeof *guests); /* the last: the count */
    for (uint32_t i = 0; i < count; i++) {
        guests[i].semaphore = semaphore;
        guests[i].n = 1;
        guests[i].comes = &guests[count].n;
        guests[i].is_thread = threads;
    }
    return guests;
}

/* Run it with guests that are threads, and again with processes. */
static inline void for_threads_and_processes(uint32_t flags,
                                             void (*run)(uint32_t flags,
                                                         bool threads))
{
    printf("as threads\n");
    run(flags, true);
    printf("as processes\n");
    run(flags, false);
}

/* ---- what others get ---- */

struct outcome {
    ipc_semaphore *semaphore;
    int (*call)(ipc_semaphore *semaphore);
    int rc;
};

static inline void make_call(void *arg)
{
    struct outcome *outcome = arg;
    outcome->rc = outcome->call(outcome->semaphore);
}

static inline void *make_call_thread(void *arg)
{
    make_call(arg);
    return NULL;
}

/* What a thread of this process gets, that ends then. */
static inline int in_thread(ipc_semaphore *semaphore,
                            int (*call)(ipc_semaphore *semaphore))
{
    struct outcome outcome = {.semaphore = semaphore, .call = call};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, make_call_thread, &outcome),
                     0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return outcome.rc;
}

/* What a process gets, that ends then. */
static inline int in_process(ipc_semaphore *semaphore,
                             int (*call)(ipc_semaphore *semaphore))
{
    struct outcome *outcome = test_shared(sizeof *outcome);
    outcome->semaphore = semaphore;
    outcome->call = call;
    assert_int_equal(role_try(make_call, outcome, LIMIT_MS), 0);
    return outcome->rc;
}

#endif
