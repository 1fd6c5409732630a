/* All kinds of synchronisation objects behind the same calls. */
#ifndef NAMED_SYNC_SUPPORT_H
#define NAMED_SYNC_SUPPORT_H

#include "unit/segment_support.h"

#include <ipc/barrier.h>
#include <ipc/condition.h>
#include <ipc/event.h>
#include <ipc/lock.h>
#include <ipc/rlock.h>
#include <ipc/rwlock.h>
#include <ipc/semaphore.h>
#include <ipc/shared.h>

struct kind {
    const char *name;
    const char *type; /* kinds of one type open each other's names */
    int (*create)(const char *name, void **out);
    int (*open)(const char *name, void **out);
    int (*open_or_create)(const char *name, void **out);
    int (*close)(void *object);
    int (*unlink)(const char *name);
    int (*new)(void **out);
    int (*free)(void *object);
    int (*fini)(void *object);

    /* What is done to one is seen through the other: they are the same. */
    void (*use)(void *object, void *same);

    /* Be the one who holds it, and end that; NULL: nobody does. */
    void (*hold)(void *object);
    void (*let_go)(void *object);

    /* Wait for it, returning a result; and have one who waits go on.  NULL:
     * as for hold, by another process. */
    int (*wait)(void *object);
    void (*wake)(void *object);
};

/* NOLINTBEGIN(bugprone-macro-parentheses): names and argument lists */

/* The calls of a kind, x, whose objects are described by the other
 * arguments. */
#define KIND_CALLS(kind, x, ...)                                               \
    static int kind##_create(const char *name, void **out)                     \
    {                                                                          \
        ipc_##x *made = *out;                                                  \
        const int rc = ipc_##x##_create(name, __VA_ARGS__, &made);             \
        *out = made;                                                           \
        return rc;                                                             \
    }                                                                          \
                                                                               \
    static int kind##_open(const char *name, void **out)                       \
    {                                                                          \
        ipc_##x *made = *out;                                                  \
        const int rc = ipc_##x##_open(name, &made);                            \
        *out = made;                                                           \
        return rc;                                                             \
    }                                                                          \
                                                                               \
    static int kind##_open_or_create(const char *name, void **out)             \
    {                                                                          \
        ipc_##x *made = *out;                                                  \
        const int rc = ipc_##x##_open_or_create(name, __VA_ARGS__, &made);     \
        *out = made;                                                           \
        return rc;                                                             \
    }                                                                          \
                                                                               \
    static int kind##_close(void *object)                                      \
    {                                                                          \
        return ipc_##x##_close(object);                                        \
    }                                                                          \
                                                                               \
    static int kind##_new(void **out)                                          \
    {                                                                          \
        ipc_##x *made = *out;                                                  \
        const int rc = ipc_##x##_new(__VA_ARGS__, &made);                      \
        *out = made;                                                           \
        return rc;                                                             \
    }                                                                          \
                                                                               \
    static int kind##_free(void *object)                                       \
    {                                                                          \
        return ipc_##x##_free(object);                                         \
    }                                                                          \
                                                                               \
    static int kind##_fini(void *object)                                       \
    {                                                                          \
        return ipc_##x##_fini(object);                                         \
    }

#define KIND(kind, x)                                                          \
    .name = #kind, .type = #x, .create = kind##_create, .open = kind##_open,   \
    .open_or_create = kind##_open_or_create, .close = kind##_close,            \
    .unlink = ipc_##x##_unlink, .new = kind##_new, .free = kind##_free,        \
    .fini = kind##_fini

/* NOLINTEND(bugprone-macro-parentheses) */

#define expect_done(call)                                                      \
    do {                                                                       \
        const int rc_ = (call);                                                \
        if (rc_ != 0)                                                          \
            test_fail("%s: %d: %s", #call, rc_, ipc_error_detail());           \
    } while (0)

/* ---- semaphores ---- */

#define SEMAPHORE_OPTIONS(flags)                                               \
    &(const ipc_semaphore_options)                                             \
    {                                                                          \
        sizeof(ipc_semaphore_options), (flags), "named", 0                     \
    }

KIND_CALLS(semaphore, semaphore, 2, NULL)
KIND_CALLS(bounded, semaphore, 2, SEMAPHORE_OPTIONS(IPC_SEMAPHORE_BOUNDED))
KIND_CALLS(tracked, semaphore, 2, SEMAPHORE_OPTIONS(IPC_SEMAPHORE_TRACKED))
KIND_CALLS(fair, semaphore, 2,
           SEMAPHORE_OPTIONS(IPC_SEMAPHORE_TRACKED | IPC_SEMAPHORE_FAIR))

static void semaphore_use(void *object, void *same)
{
    expect_done(ipc_semaphore_acquire(object));
    assert_int_equal(ipc_semaphore_value(same), 1);
    expect_done(ipc_semaphore_acquire_nowait(same));
    assert_int_equal(ipc_semaphore_acquire_nowait(object), -EAGAIN);
    expect_done(ipc_semaphore_release_many(object, 2));
    assert_int_equal(ipc_semaphore_value(same), 2);
}

static void semaphore_hold(void *object)
{
    expect_done(ipc_semaphore_acquire_many(object, 2));
}

static void semaphore_let_go(void *object)
{
    expect_done(ipc_semaphore_release_many(object, 2));
}

static int semaphore_wait(void *object)
{
    int rc = ipc_semaphore_acquire(object);
    if (rc == 0)
        rc = ipc_semaphore_release(object);
    return rc;
}

/* ---- event ---- */

KIND_CALLS(event, event, NULL)

static void event_use(void *object, void *same)
{
    assert_false(ipc_event_is_set(object));
    expect_done(ipc_event_set(object));
    assert_true(ipc_event_is_set(same));
    expect_done(ipc_event_wait(same));
    expect_done(ipc_event_clear(same));
    assert_false(ipc_event_is_set(object));
}

static int event_wait(void *object)
{
    return ipc_event_wait(object);
}

static void event_wake(void *object)
{
    expect_done(ipc_event_set(object));
    expect_done(ipc_event_clear(object));
}

/* ---- condition: with a lock that each process has for itself ---- */

KIND_CALLS(condition, condition, NULL)

static void condition_use(void *object, void *same)
{
    ipc_lock lock = {.word_ = 0};
    assert_int_equal(ipc_condition_waiting(same), 0);
    expect_done(ipc_condition_notify(object, 1));
    expect_done(ipc_condition_notify_all(same));
    expect_done(ipc_lock_acquire(&lock));
    assert_int_equal(ipc_condition_wait_until(object, &lock, ipc_after_ms(1)),
                     -ETIMEDOUT);
    expect_done(ipc_lock_release(&lock));
}

static int condition_wait(void *object)
{
    ipc_lock lock = {.word_ = 0};
    int rc = ipc_lock_acquire(&lock);
    if (rc == 0)
        rc = ipc_condition_wait(object, &lock);
    return rc == 0 ? ipc_lock_release(&lock) : rc;
}

static void condition_wake(void *object)
{
    expect_done(ipc_condition_notify_all(object));
}

/* ---- barrier ---- */

KIND_CALLS(barrier, barrier, 2, NULL)

static void barrier_use(void *object, void *same)
{
    assert_int_equal(ipc_barrier_parties(same), 2);
    assert_int_equal(ipc_barrier_wait_nowait(object), -EAGAIN);
    expect_done(ipc_barrier_abort(object));
    assert_true(ipc_barrier_is_broken(same));
    expect_done(ipc_barrier_reset(same));
    assert_false(ipc_barrier_is_broken(object));
}

static int barrier_wait(void *object)
{
    return ipc_barrier_wait(object); /* the first: 0 */
}

static void barrier_wake(void *object)
{
    assert_int_equal(ipc_barrier_wait(object), 1);
}

/* ---- rwlock and locks ---- */

KIND_CALLS(rwlock, rwlock, NULL)
KIND_CALLS(lock, lock, NULL)
KIND_CALLS(rlock, rlock, NULL)

static void rwlock_use(void *object, void *same)
{
    expect_done(ipc_rwlock_acquire_read(object));
    assert_true(ipc_rwlock_is_reading(same));
    expect_done(ipc_rwlock_release(same));
    expect_done(ipc_rwlock_acquire_write(same));
    assert_true(ipc_rwlock_is_writing(object));
    expect_done(ipc_rwlock_release(object));
}

static void rwlock_hold(void *object)
{
    expect_done(ipc_rwlock_acquire_write(object));
}

static void rwlock_let_go(void *object)
{
    expect_done(ipc_rwlock_release(object));
}

static int rwlock_wait(void *object)
{
    int rc = ipc_rwlock_acquire_read(object);
    if (rc == 0)
        rc = ipc_rwlock_release(object);
    return rc;
}

static void lock_use(void *object, void *same)
{
    expect_done(ipc_lock_acquire(object));
    assert_true(ipc_lock_is_mine(same));
    expect_done(ipc_lock_release(same));
}

static void lock_hold(void *object)
{
    expect_done(ipc_lock_acquire(object));
}

static void lock_let_go(void *object)
{
    expect_done(ipc_lock_release(object));
}

static int lock_wait(void *object)
{
    int rc = ipc_lock_acquire(object);
    if (rc == 0)
        rc = ipc_lock_release(object);
    return rc;
}

static void rlock_use(void *object, void *same)
{
    expect_done(ipc_rlock_acquire(object));
    assert_int_equal(ipc_rlock_depth(same), 1);
    expect_done(ipc_rlock_release(same));
}

static void rlock_hold(void *object)
{
    expect_done(ipc_rlock_acquire(object));
}

static void rlock_let_go(void *object)
{
    expect_done(ipc_rlock_release(object));
}

static int rlock_wait(void *object)
{
    int rc = ipc_rlock_acquire(object);
    if (rc == 0)
        rc = ipc_rlock_release(object);
    return rc;
}

/* ---- the table ---- */

/* Untracked permits are held by nobody, but wait and wake as others. */
static const struct kind kinds[] = {
    {KIND(semaphore, semaphore), .use = semaphore_use},
    {KIND(bounded, semaphore), .use = semaphore_use},
    {KIND(tracked, semaphore), .use = semaphore_use, .hold = semaphore_hold,
     .let_go = semaphore_let_go, .wait = semaphore_wait},
    {KIND(fair, semaphore), .use = semaphore_use, .hold = semaphore_hold,
     .let_go = semaphore_let_go, .wait = semaphore_wait},
    {KIND(event, event), .use = event_use, .wait = event_wait,
     .wake = event_wake},
    {KIND(condition, condition), .use = condition_use, .wait = condition_wait,
     .wake = condition_wake},
    {KIND(barrier, barrier), .use = barrier_use, .wait = barrier_wait,
     .wake = barrier_wake},
    {KIND(rwlock, rwlock), .use = rwlock_use, .hold = rwlock_hold,
     .let_go = rwlock_let_go, .wait = rwlock_wait},
    {KIND(lock, lock), .use = lock_use, .hold = lock_hold,
     .let_go = lock_let_go, .wait = lock_wait},
    {KIND(rlock, rlock), .use = rlock_use, .hold = rlock_hold,
     .let_go = rlock_let_go, .wait = rlock_wait},
};

enum {
    KINDS = sizeof kinds / sizeof kinds[0]
};

static inline bool same_type(const struct kind *a, const struct kind *b)
{
    return strcmp(a->type, b->type) == 0;
}

/* Run it for every kind, which the log of a case that fails names. */
static inline void for_kinds(void (*run)(const struct kind *kind))
{
    for (size_t i = 0; i < KINDS; i++) {
        printf("kind: %s\n", kinds[i].name);
        run(&kinds[i]);
    }
}

/* ---- what must work ---- */

static inline void *make(const struct kind *kind, const char *name)
{
    void *object = NULL;
    expect_done(kind->create(name, &object));
    return object;
}

static inline void *open_named(const struct kind *kind, const char *name)
{
    void *object = NULL;
    expect_done(kind->open(name, &object));
    return object;
}

static inline void *make_new(const struct kind *kind)
{
    void *object = NULL;
    expect_done(kind->new (&object));
    return object;
}

#endif
