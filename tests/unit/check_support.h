/* What the tests of check mode have in common: rings of parties, each of which
 * holds one thing and wants the next one's. */
#ifndef CHECK_SUPPORT_H
#define CHECK_SUPPORT_H

#include "unit/lock_support.h"

#include <errno.h>
#include <stdio.h>

#include <ipc/check.h>
#include <ipc/rwlock.h>

enum {
    MOST_PARTIES = 6,
    PATIENCE_MS = 5000, /* of who waits in a ring: it was not found */
};

/* ---- things to hold and to want ---- */

enum way {
    LOCK,
    RLOCK,
    READ, /* an rwlock */
    WRITE
};

struct thing {
    void *object;
    enum way held, wanted; /* how */
};

static inline int acquire_thing(void *object, enum way way,
                                ipc_deadline deadline)
{
    switch (way) {
    case LOCK:
        return ipc_lock_acquire_until(object, deadline);
    case RLOCK:
        return ipc_rlock_acquire_until(object, deadline);
    case READ:
        return ipc_rwlock_acquire_read_until(object, deadline);
    case WRITE:
    default:
        return ipc_rwlock_acquire_write_until(object, deadline);
    }
}

static inline int release_thing(void *object, enum way way)
{
    switch (way) {
    case LOCK:
        return ipc_lock_release(object);
    case RLOCK:
        return ipc_rlock_release(object);
    case READ:
    case WRITE:
    default:
        return ipc_rwlock_release(object);
    }
}

static inline ipc_lock *fair_lock(const char *label)
{
    const ipc_lock_options options = {sizeof options, IPC_LOCK_FAIR, label, 0};
    ipc_lock *lock = NULL;
    expect_rc(ipc_lock_new(&options, &lock), 0);
    return lock;
}

static inline ipc_rwlock *new_rwlock(const char *label)
{
    const ipc_rwlock_options options = {sizeof options, 0, label};
    ipc_rwlock *rwlock = NULL;
    expect_rc(ipc_rwlock_new(&options, &rwlock), 0);
    return rwlock;
}

/* ---- rings ---- */

/* Shared by all parties.  Party i holds thing i and wants thing i + 1. */
struct ring {
    int n;
    bool in_order;    /* each wants only when the one before it sleeps */
    int patience_ms;  /* how long it waits for what it wants */
    bool stubborn;    /* a party that is told does not try again */
    uint32_t holding; /* parties that have what they hold */
    uint32_t wanting; /* parties that may begin to want: the i-th at i + 1 */
    uint32_t coming;  /* parties that have begun to */
    uint32_t told;    /* -EDEADLK, all together */
    uint32_t through; /* parties that have got, or been refused, for good */
    struct thing things[MOST_PARTIES];
    struct {
        pid_t pid, tid;
        int rc;           /* of the first try */
        char detail[256]; /* of the first refusal */
    } of[MOST_PARTIES];
};

struct party {
    struct ring *ring;
    int index;
    bool is_thread;
    pthread_t thread;
    struct role role;
};

static inline struct ring *new_ring(int n)
{
    struct ring *ring = test_shared(sizeof *ring);
    ring->n = n;
    ring->patience_ms = PATIENCE_MS;
    return ring;
}

static inline struct thing *thing_of(struct ring *ring, int index)
{
    return &ring->things[index % ring->n];
}

static inline int try_next(struct ring *ring, int index)
{
    const struct thing *next = thing_of(ring, index + 1);
    const int rc = acquire_thing(next->object, next->wanted,
                                 ipc_after_ms(ring->patience_ms));
    if (rc == -EDEADLK) {
        if (ring->of[index].detail[0] == '\0')
            (void)snprintf(ring->of[index].detail,
                           sizeof ring->of[index].detail, "%s",
                           ipc_error_detail());
        (void)__atomic_add_fetch(&ring->told, 1, __ATOMIC_SEQ_CST);
    }
    return rc;
}

/* Back off until it has both; the other one may be faster again and again. */
static inline int try_on(struct ring *ring, int index)
{
    const struct thing *own = thing_of(ring, index);
    int rc = -EDEADLK;
    while (rc == -EDEADLK) {
        expect_rc(release_thing(own->object, own->held), 0);
        poll_pause();
        expect_rc(
            acquire_thing(own->object, own->held, ipc_after_ms(PATIENCE_MS)),
            0);
        rc = try_next(ring, index);
    }
    return rc;
}

static inline void take_part(void *arg)
{
    const struct party *party = arg;
    struct ring *ring = party->ring;
    const int index = party->index;
    const struct thing *own = thing_of(ring, index);
    const struct thing *next = thing_of(ring, index + 1);
    ring->of[index].pid = getpid();
    __atomic_store_n(&ring->of[index].tid, gettid(), __ATOMIC_SEQ_CST);
    expect_rc(acquire_thing(own->object, own->held, IPC_TIME_FOREVER), 0);
    meet_signal(&ring->holding);
    meet_wait(&ring->wanting, ring->in_order ? (uint32_t)index + 1 : 1,
              LIMIT_MS);
    meet_signal(&ring->coming);
    int rc = try_next(ring, index);
    ring->of[index].rc = rc;
    if (rc == -EDEADLK && !ring->stubborn)
        rc = try_on(ring, index);
    if (rc == 0)
        expect_rc(release_thing(next->object, next->wanted), 0);
    meet_signal(&ring->through);
    if (rc == -ETIMEDOUT) /* nobody gets anything because another gave up */
        meet_wait(&ring->through, (uint32_t)ring->n, LIMIT_MS);
    expect_rc(release_thing(own->object, own->held), 0);
}

static inline void *take_part_as_thread(void *arg)
{
    take_part(arg);
    return NULL;
}

static inline pid_t tid_of_party(struct ring *ring, int index)
{
    return __atomic_load_n(&ring->of[index].tid, __ATOMIC_SEQ_CST);
}

static inline void start_party(struct party *party)
{
    if (party->is_thread)
        assert_int_equal(
            pthread_create(&party->thread, NULL, take_part_as_thread, party),
            0);
    else
        role_start(&party->role, take_part, party);
}

static inline void let_them_want(struct ring *ring)
{
    meet_wait(&ring->holding, (uint32_t)ring->n, LIMIT_MS);
    if (!ring->in_order) {
        meet_signal(&ring->wanting);
        return;
    }
    for (int i = 0; i < ring->n; i++) {
        meet_signal(&ring->wanting);
        meet_wait(&ring->coming, (uint32_t)i + 1, LIMIT_MS);
        if (i + 1 < ring->n)
            wait_until_sleeping(tid_of_party(ring, i), LIMIT_MS);
    }
}

static inline void end_party(struct party *party)
{
    if (party->is_thread)
        assert_int_equal(pthread_join(party->thread, NULL), 0);
    else
        role_wait_ok(&party->role, LIMIT_MS);
}

/* One way or the other all have ended when this returns. */
static inline void go_round(struct ring *ring, bool as_threads)
{
    struct party parties[MOST_PARTIES];
    for (int i = 0; i < ring->n; i++) {
        parties[i] =
            (struct party){.ring = ring, .index = i, .is_thread = as_threads};
        start_party(&parties[i]);
    }
    let_them_want(ring);
    for (int i = 0; i < ring->n; i++)
        end_party(&parties[i]);
}

/* ---- what is expected ---- */

static inline void expect_says(const char *detail, const char *part)
{
    if (strstr(detail, part) == NULL)
        test_fail("\"%s\" does not say \"%s\"", detail, part);
}

static inline void expect_names_all(struct ring *ring, const char *detail,
                                    const char *const *labels)
{
    char text[64];
    expect_says(detail, "deadlock");
    for (int i = 0; i < ring->n; i++) {
        (void)snprintf(text, sizeof text, "pid %d", (int)ring->of[i].pid);
        expect_says(detail, text);
        (void)snprintf(text, sizeof text, "\"%s\"", labels[i]);
        expect_says(detail, text);
    }
}

/* Somebody was told; who was, was told all; and all have gone on. */
static inline void expect_found(struct ring *ring, const char *const *labels)
{
    int told = 0;
    for (int i = 0; i < ring->n; i++) {
        const int rc = ring->of[i].rc;
        if (rc != 0 && rc != -EDEADLK)
            test_fail("party %d was told %d", i, rc);
        told += rc == -EDEADLK;
        if (rc == -EDEADLK && labels != NULL)
            expect_names_all(ring, ring->of[i].detail, labels);
    }
    if (told == 0)
        test_fail("nobody was told");
    assert_int_equal(ring->through, ring->n);
}

static const char *const names[MOST_PARTIES] = {"alpha", "beta", "gamma",
                                                "delta"};

/* Everybody at once and one after the other; a few times. */
static inline void expect_ring_found(struct ring *ring, bool as_threads)
{
    static const int rounds = 5;
    (void)ipc_check_enable(true);
    long told = 0, closers = 0;
    for (int i = 0; i < 2 * rounds; i++) {
        struct ring *copy = test_shared(sizeof *copy);
        *copy = *ring;
        copy->in_order = i % 2 == 1;
        go_round(copy, as_threads);
        expect_found(copy, names);
        /* The last one closes the circle.  (Another one may happen to look
         * again at that moment.) */
        closers += copy->in_order && copy->of[copy->n - 1].rc == -EDEADLK;
        told += copy->told;
    }
    test_report(as_threads ? "told_threads" : "told_processes", told);
    test_report(as_threads ? "by_last_thread" : "by_last_process", closers);
}

#endif
