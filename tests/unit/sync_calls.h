/* Every call of every synchronisation object that can be made on an object in
 * any state, good or bad, without waiting for long: for tests of bad use, of
 * dead objects and of garbage. */
#ifndef SYNC_CALLS_H
#define SYNC_CALLS_H

#include "harness/harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ipc/barrier.h>
#include <ipc/condition.h>
#include <ipc/error.h>
#include <ipc/event.h>
#include <ipc/lock.h>
#include <ipc/once.h>
#include <ipc/rlock.h>
#include <ipc/rwlock.h>
#include <ipc/semaphore.h>

#include "core/error.h"

enum {
    SYNC_WAIT_US = 300,
    SYNC_ERRORS = 6
};

/* What it acquires it gives back. */
struct sync_call {
    const char *name;
    int (*call)(void *object);
    bool enters; /* acquires, waits or changes: has to look at the object */
    int errors[SYNC_ERRORS]; /* that the header names, besides those of all */
};

struct sync_kind {
    const char *name;
    size_t size; /* of its type */
    size_t most; /* bytes that it may take, whatever its flags */
    bool zero_is_valid;

    /* NULL where there is no such call. */
    int (*init)(void *object);
    int (*fini)(void *object);
    int (*make)(void **out); /* ..._new() */
    int (*free)(void *object);

    const struct sync_call *calls;
    size_t count;
};

static inline ipc_deadline sync_soon(void)
{
    return ipc_after_us(SYNC_WAIT_US);
}

/* Errors that any call may give. */
static inline bool sync_error_is_named(const struct sync_call *call, int rc)
{
    if (rc >= 0 || rc == -EUCLEAN || rc == -EXDEV || rc == -ENOMEM)
        return true;
    for (int i = 0; i < SYNC_ERRORS; i++)
        if (rc == -call->errors[i])
            return true;
    return false;
}

/* What an earlier call left as detail must not be left by this one. */
#define SYNC_STALE "of an earlier call"

/* Make the call; an error has to be one that the header names, with a detail
 * line of its own.  when is for the message. */
static inline int sync_make_call(const char *kind, const struct sync_call *call,
                                 void *object, const char *when)
{
    ipc__set_detail("%s", SYNC_STALE);
    const int rc = call->call(object);
    if (!sync_error_is_named(call, rc))
        test_fail("%s %s %s: %d (%s) is not in the header", kind, call->name,
                  when, rc, ipc_error_detail());
    if (rc < 0 && (ipc_error_detail()[0] == '\0' ||
                   strcmp(ipc_error_detail(), SYNC_STALE) == 0))
        test_fail("%s %s %s: %d without a detail line", kind, call->name, when,
                  rc);
    return rc;
}

static inline int sync_repair(void *arg)
{
    (void)arg;
    return 0;
}

static inline int sync_succeed(void *arg)
{
    (void)arg;
    return 0;
}

static inline bool sync_never(void *arg)
{
    (void)arg;
    return false;
}

/* The wrappers below fit the table: they take what the table gives. */
/* NOLINTBEGIN(bugprone-macro-parentheses): types */
#define SYNC_CALL(name, type, expression)                                      \
    static inline int sync_##name(void *object)                                \
    {                                                                          \
        type *x = object;                                                      \
        return (expression);                                                   \
    }

#define SYNC_GETTER(name, type, expression)                                    \
    static inline int sync_##name(void *object)                                \
    {                                                                          \
        type *x = object;                                                      \
        (void)(expression);                                                    \
        return 0;                                                              \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

/* ---- lock ---- */

static inline int sync_lock_undo(ipc_lock *lock, int rc)
{
    if (rc == IPC_OWNER_DIED)
        (void)ipc_lock_consistent(lock);
    if (rc >= 0 && ipc_lock_release(lock) != 0)
        test_fail("what was acquired cannot be released: %s",
                  ipc_error_detail());
    return rc;
}

static inline int sync_lock_look(ipc_lock *lock)
{
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    return ipc_lock_owner(lock, &holder);
}

SYNC_CALL(lock_acquire_nowait, ipc_lock,
          sync_lock_undo(x, ipc_lock_acquire_nowait(x)))
SYNC_CALL(lock_acquire_until, ipc_lock,
          sync_lock_undo(x, ipc_lock_acquire_until(x, sync_soon())))
SYNC_CALL(lock_acquire_or_repair, ipc_lock,
          sync_lock_undo(x, ipc_lock_acquire_or_repair(x, sync_soon(),
                                                       sync_repair, NULL)))
SYNC_CALL(lock_release, ipc_lock, ipc_lock_release(x))
SYNC_CALL(lock_consistent, ipc_lock, ipc_lock_consistent(x))
SYNC_CALL(lock_reset, ipc_lock, ipc_lock_reset(x))
SYNC_CALL(lock_owner, ipc_lock, sync_lock_look(x))
SYNC_GETTER(lock_is_mine, ipc_lock, ipc_lock_is_mine(x))
SYNC_GETTER(lock_is_held, ipc_lock, ipc_lock_is_held(x))
SYNC_CALL(lock_init, ipc_lock, ipc_lock_init(x, NULL))
SYNC_CALL(lock_fini, ipc_lock, ipc_lock_fini(x))
SYNC_CALL(lock_free, ipc_lock, ipc_lock_free(x))

static inline int sync_lock_new(void **out)
{
    ipc_lock *made = NULL;
    const int rc = ipc_lock_new(NULL, &made);
    *out = made;
    return rc;
}

static const struct sync_call sync_lock_calls[] = {
    {"owner", sync_lock_owner, true, {ESRCH, ENOTRECOVERABLE}},
    {"is_mine", sync_lock_is_mine, false, {0}},
    {"is_held", sync_lock_is_held, false, {0}},
    {"release", sync_lock_release, false, {EPERM}},
    {"consistent", sync_lock_consistent, false, {EPERM, EINVAL}},
    {"acquire_nowait",
     sync_lock_acquire_nowait,
     true,
     {EAGAIN, EDEADLK, ENOTRECOVERABLE}},
    {"acquire_until",
     sync_lock_acquire_until,
     true,
     {ETIMEDOUT, EDEADLK, ENOTRECOVERABLE}},
    {"acquire_or_repair",
     sync_lock_acquire_or_repair,
     true,
     {ETIMEDOUT, EDEADLK, ENOTRECOVERABLE}},
    {"reset", sync_lock_reset, false, {EINVAL}},
};

/* ---- rlock ---- */

static inline int sync_rlock_undo(ipc_rlock *rlock, int rc)
{
    if (rc == IPC_OWNER_DIED)
        (void)ipc_rlock_consistent(rlock);
    if (rc >= 0 && ipc_rlock_release(rlock) != 0)
        test_fail("what was acquired cannot be released: %s",
                  ipc_error_detail());
    return rc;
}

static inline int sync_rlock_look(ipc_rlock *rlock)
{
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    return ipc_rlock_owner(rlock, &holder);
}

SYNC_CALL(rlock_acquire_nowait, ipc_rlock,
          sync_rlock_undo(x, ipc_rlock_acquire_nowait(x)))
SYNC_CALL(rlock_acquire_until, ipc_rlock,
          sync_rlock_undo(x, ipc_rlock_acquire_until(x, sync_soon())))
SYNC_CALL(rlock_acquire_or_repair, ipc_rlock,
          sync_rlock_undo(x, ipc_rlock_acquire_or_repair(x, sync_soon(),
                                                         sync_repair, NULL)))
SYNC_CALL(rlock_release, ipc_rlock, ipc_rlock_release(x))
SYNC_CALL(rlock_consistent, ipc_rlock, ipc_rlock_consistent(x))
SYNC_CALL(rlock_reset, ipc_rlock, ipc_rlock_reset(x))
SYNC_CALL(rlock_owner, ipc_rlock, sync_rlock_look(x))
SYNC_GETTER(rlock_is_mine, ipc_rlock, ipc_rlock_is_mine(x))
SYNC_GETTER(rlock_is_held, ipc_rlock, ipc_rlock_is_held(x))
SYNC_GETTER(rlock_depth, ipc_rlock, ipc_rlock_depth(x))
SYNC_CALL(rlock_init, ipc_rlock, ipc_rlock_init(x, NULL))
SYNC_CALL(rlock_fini, ipc_rlock, ipc_rlock_fini(x))
SYNC_CALL(rlock_free, ipc_rlock, ipc_rlock_free(x))

static inline int sync_rlock_new(void **out)
{
    ipc_rlock *made = NULL;
    const int rc = ipc_rlock_new(NULL, &made);
    *out = made;
    return rc;
}

static const struct sync_call sync_rlock_calls[] = {
    {"owner", sync_rlock_owner, true, {ESRCH, ENOTRECOVERABLE}},
    {"is_mine", sync_rlock_is_mine, false, {0}},
    {"is_held", sync_rlock_is_held, false, {0}},
    {"depth", sync_rlock_depth, false, {0}},
    {"release", sync_rlock_release, false, {EPERM}},
    {"consistent", sync_rlock_consistent, false, {EPERM, EINVAL}},
    {"acquire_nowait",
     sync_rlock_acquire_nowait,
     true,
     {EAGAIN, EOVERFLOW, ENOTRECOVERABLE}},
    {"acquire_until",
     sync_rlock_acquire_until,
     true,
     {ETIMEDOUT, EOVERFLOW, ENOTRECOVERABLE}},
    {"acquire_or_repair",
     sync_rlock_acquire_or_repair,
     true,
     {ETIMEDOUT, EOVERFLOW, ENOTRECOVERABLE}},
    {"reset", sync_rlock_reset, false, {EINVAL}},
};

/* ---- rwlock ---- */

static inline int sync_rwlock_undo(ipc_rwlock *rwlock, int rc)
{
    if (rc == IPC_OWNER_DIED)
        (void)ipc_rwlock_consistent(rwlock);
    if (rc >= 0 && ipc_rwlock_release(rwlock) != 0)
        test_fail("what was acquired cannot be released: %s",
                  ipc_error_detail());
    return rc;
}

static inline int sync_rwlock_look(ipc_rwlock *rwlock)
{
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    return ipc_rwlock_writer(rwlock, &holder);
}

SYNC_CALL(rwlock_read_nowait, ipc_rwlock,
          sync_rwlock_undo(x, ipc_rwlock_acquire_read_nowait(x)))
SYNC_CALL(rwlock_read_until, ipc_rwlock,
          sync_rwlock_undo(x, ipc_rwlock_acquire_read_until(x, sync_soon())))
SYNC_CALL(rwlock_write_nowait, ipc_rwlock,
          sync_rwlock_undo(x, ipc_rwlock_acquire_write_nowait(x)))
SYNC_CALL(rwlock_write_until, ipc_rwlock,
          sync_rwlock_undo(x, ipc_rwlock_acquire_write_until(x, sync_soon())))
SYNC_CALL(rwlock_release, ipc_rwlock, ipc_rwlock_release(x))
SYNC_CALL(rwlock_downgrade, ipc_rwlock, ipc_rwlock_downgrade(x))
SYNC_CALL(rwlock_consistent, ipc_rwlock, ipc_rwlock_consistent(x))
SYNC_CALL(rwlock_reset, ipc_rwlock, ipc_rwlock_reset(x))
SYNC_CALL(rwlock_writer, ipc_rwlock, sync_rwlock_look(x))
SYNC_GETTER(rwlock_readers, ipc_rwlock, ipc_rwlock_readers(x))
SYNC_GETTER(rwlock_is_reading, ipc_rwlock, ipc_rwlock_is_reading(x))
SYNC_GETTER(rwlock_is_writing, ipc_rwlock, ipc_rwlock_is_writing(x))
SYNC_CALL(rwlock_init, ipc_rwlock, ipc_rwlock_init(x, NULL))
SYNC_CALL(rwlock_fini, ipc_rwlock, ipc_rwlock_fini(x))
SYNC_CALL(rwlock_free, ipc_rwlock, ipc_rwlock_free(x))

static inline int sync_rwlock_new(void **out)
{
    ipc_rwlock *made = NULL;
    const int rc = ipc_rwlock_new(NULL, &made);
    *out = made;
    return rc;
}

static const struct sync_call sync_rwlock_calls[] = {
    {"writer", sync_rwlock_writer, true, {ESRCH, ENOTRECOVERABLE}},
    {"readers", sync_rwlock_readers, false, {0}},
    {"is_reading", sync_rwlock_is_reading, false, {0}},
    {"is_writing", sync_rwlock_is_writing, false, {0}},
    {"release", sync_rwlock_release, false, {EPERM}},
    {"downgrade", sync_rwlock_downgrade, false, {EPERM, EINVAL, EAGAIN}},
    {"consistent", sync_rwlock_consistent, false, {EPERM, EINVAL}},
    {"acquire_read_nowait",
     sync_rwlock_read_nowait,
     true,
     {EAGAIN, EDEADLK, EOWNERDEAD, ENOTRECOVERABLE, EOVERFLOW}},
    {"acquire_read_until",
     sync_rwlock_read_until,
     true,
     {ETIMEDOUT, EDEADLK, EOWNERDEAD, ENOTRECOVERABLE, EOVERFLOW}},
    {"acquire_write_nowait",
     sync_rwlock_write_nowait,
     true,
     {EAGAIN, EDEADLK, ENOTRECOVERABLE}},
    {"acquire_write_until",
     sync_rwlock_write_until,
     true,
     {ETIMEDOUT, EDEADLK, ENOTRECOVERABLE}},
    {"reset", sync_rwlock_reset, false, {EINVAL}},
};

/* ---- once ---- */

SYNC_CALL(once_run_nowait, ipc_once, ipc_once_run_nowait(x, sync_succeed, NULL))
SYNC_CALL(once_run_until, ipc_once,
          ipc_once_run_until(x, sync_succeed, NULL, sync_soon()))
SYNC_GETTER(once_is_done, ipc_once, ipc_once_is_done(x))
SYNC_CALL(once_reset, ipc_once, ipc_once_reset(x))

static const struct sync_call sync_once_calls[] = {
    {"is_done", sync_once_is_done, false, {0}},
    {"run_nowait", sync_once_run_nowait, true, {EAGAIN, EDEADLK}},
    {"run_until", sync_once_run_until, true, {ETIMEDOUT, EDEADLK}},
    {"reset", sync_once_reset, false, {EBUSY}},
};

/* ---- semaphore ---- */

/* A plain one that was released without an acquire is one permit richer:
 * garbage does not mind. */
static inline int sync_semaphore_undo(ipc_semaphore *semaphore, uint32_t n,
                                      int rc)
{
    if (rc == 0)
        (void)ipc_semaphore_release_many(semaphore, n);
    return rc;
}

SYNC_CALL(semaphore_acquire_nowait, ipc_semaphore,
          sync_semaphore_undo(x, 1, ipc_semaphore_acquire_nowait(x)))
SYNC_CALL(semaphore_acquire_until, ipc_semaphore,
          sync_semaphore_undo(x, 1,
                              ipc_semaphore_acquire_until(x, sync_soon())))
SYNC_CALL(semaphore_acquire_many_nowait, ipc_semaphore,
          sync_semaphore_undo(x, 2, ipc_semaphore_acquire_many_nowait(x, 2)))
SYNC_CALL(semaphore_acquire_many_until, ipc_semaphore,
          sync_semaphore_undo(x, 2,
                              ipc_semaphore_acquire_many_until(x, 2,
                                                               sync_soon())))
SYNC_CALL(semaphore_release, ipc_semaphore, ipc_semaphore_release(x))
SYNC_CALL(semaphore_release_many, ipc_semaphore,
          ipc_semaphore_release_many(x, 3))
SYNC_CALL(semaphore_transfer, ipc_semaphore,
          ipc_semaphore_transfer(x, gettid(), 1))
SYNC_GETTER(semaphore_value, ipc_semaphore, ipc_semaphore_value(x))
SYNC_GETTER(semaphore_held, ipc_semaphore, ipc_semaphore_held(x))
SYNC_CALL(semaphore_init, ipc_semaphore, ipc_semaphore_init(x, 1, NULL))
SYNC_CALL(semaphore_fini, ipc_semaphore, ipc_semaphore_fini(x))
SYNC_CALL(semaphore_free, ipc_semaphore, ipc_semaphore_free(x))

static inline int sync_semaphore_new(void **out)
{
    ipc_semaphore *made = NULL;
    const int rc = ipc_semaphore_new(1, NULL, &made);
    *out = made;
    return rc;
}

static const struct sync_call sync_semaphore_calls[] = {
    {"value", sync_semaphore_value, false, {0}},
    {"held", sync_semaphore_held, false, {0}},
    {"acquire_nowait", sync_semaphore_acquire_nowait, true, {EAGAIN}},
    {"acquire_until", sync_semaphore_acquire_until, true, {ETIMEDOUT}},
    {"acquire_many_nowait",
     sync_semaphore_acquire_many_nowait,
     true,
     {EAGAIN, EINVAL}},
    {"acquire_many_until",
     sync_semaphore_acquire_many_until,
     true,
     {ETIMEDOUT, EINVAL}},
    {"transfer", sync_semaphore_transfer, false, {EPERM, ENOTSUP}},
    {"release", sync_semaphore_release, true, {EOVERFLOW, EPERM}},
    {"release_many", sync_semaphore_release_many, true, {EOVERFLOW, EPERM}},
};

/* ---- event ---- */

SYNC_CALL(event_set, ipc_event, ipc_event_set(x))
SYNC_CALL(event_clear, ipc_event, ipc_event_clear(x))
SYNC_CALL(event_wait_nowait, ipc_event, ipc_event_wait_nowait(x))
SYNC_CALL(event_wait_until, ipc_event, ipc_event_wait_until(x, sync_soon()))
SYNC_GETTER(event_is_set, ipc_event, ipc_event_is_set(x))
SYNC_CALL(event_init, ipc_event, ipc_event_init(x, NULL))
SYNC_CALL(event_fini, ipc_event, ipc_event_fini(x))
SYNC_CALL(event_free, ipc_event, ipc_event_free(x))

static inline int sync_event_new(void **out)
{
    ipc_event *made = NULL;
    const int rc = ipc_event_new(NULL, &made);
    *out = made;
    return rc;
}

static const struct sync_call sync_event_calls[] = {
    {"is_set", sync_event_is_set, false, {0}},
    {"wait_nowait", sync_event_wait_nowait, true, {EAGAIN}},
    {"wait_until", sync_event_wait_until, true, {ETIMEDOUT}},
    {"clear", sync_event_clear, true, {0}},
    {"set", sync_event_set, true, {0}},
};

/* ---- condition ---- */

/* With a lock of its own, which is held as before, whatever happens. */
static inline int sync_condition_with_lock(ipc_condition *condition,
                                           bool predicate)
{
    ipc_lock lock = {.word_ = 0};
    int rc = ipc_lock_acquire(&lock);
    if (rc < 0)
        return rc;
    rc = predicate ? ipc_condition_wait_for_until(condition, &lock, sync_never,
                                                  NULL, sync_soon())
                   : ipc_condition_wait_until(condition, &lock, sync_soon());
    if (ipc_lock_release(&lock) != 0)
        test_fail("the lock is not held after the wait: %s",
                  ipc_error_detail());
    return rc;
}

static inline int sync_condition_with_rlock(ipc_condition *condition,
                                            bool predicate)
{
    ipc_rlock rlock = {.depth_ = 0};
    int rc = ipc_rlock_acquire(&rlock);
    if (rc < 0)
        return rc;
    rc = predicate
             ? ipc_condition_wait_for_rlock_until(condition, &rlock, sync_never,
                                                  NULL, sync_soon())
             : ipc_condition_wait_rlock_until(condition, &rlock, sync_soon());
    if (ipc_rlock_release(&rlock) != 0)
        test_fail("the rlock is not held after the wait: %s",
                  ipc_error_detail());
    return rc;
}

SYNC_CALL(condition_wait_until, ipc_condition,
          sync_condition_with_lock(x, false))
SYNC_CALL(condition_wait_for_until, ipc_condition,
          sync_condition_with_lock(x, true))
SYNC_CALL(condition_wait_rlock_until, ipc_condition,
          sync_condition_with_rlock(x, false))
SYNC_CALL(condition_wait_for_rlock_until, ipc_condition,
          sync_condition_with_rlock(x, true))
SYNC_CALL(condition_notify, ipc_condition, ipc_condition_notify(x, 1))
SYNC_CALL(condition_notify_all, ipc_condition, ipc_condition_notify_all(x))
SYNC_GETTER(condition_waiting, ipc_condition, ipc_condition_waiting(x))
SYNC_CALL(condition_init, ipc_condition, ipc_condition_init(x, NULL))
SYNC_CALL(condition_fini, ipc_condition, ipc_condition_fini(x))
SYNC_CALL(condition_free, ipc_condition, ipc_condition_free(x))

static inline int sync_condition_new(void **out)
{
    ipc_condition *made = NULL;
    const int rc = ipc_condition_new(NULL, &made);
    *out = made;
    return rc;
}

static const struct sync_call sync_condition_calls[] = {
    {"waiting", sync_condition_waiting, false, {0}},
    {"wait_until", sync_condition_wait_until, true, {ETIMEDOUT}},
    {"wait_for_until", sync_condition_wait_for_until, true, {ETIMEDOUT}},
    {"wait_rlock_until", sync_condition_wait_rlock_until, true, {ETIMEDOUT}},
    {"wait_for_rlock_until",
     sync_condition_wait_for_rlock_until,
     true,
     {ETIMEDOUT}},
    {"notify", sync_condition_notify, true, {0}},
    {"notify_all", sync_condition_notify_all, true, {0}},
};

/* ---- barrier ---- */

/* A place that no party can have is as bad as an error that is not named. */
static inline int sync_barrier_place(int rc)
{
    return rc < IPC_BARRIER_MAX ? rc : -EPROTO;
}

SYNC_CALL(barrier_wait_nowait, ipc_barrier,
          sync_barrier_place(ipc_barrier_wait_nowait(x)))
SYNC_CALL(barrier_wait_until, ipc_barrier,
          sync_barrier_place(ipc_barrier_wait_until(x, sync_soon())))
SYNC_CALL(barrier_wait_action, ipc_barrier,
          sync_barrier_place(ipc_barrier_wait_action(x, sync_succeed, NULL,
                                                     sync_soon())))
SYNC_CALL(barrier_enroll, ipc_barrier, ipc_barrier_enroll(x))
SYNC_CALL(barrier_leave, ipc_barrier, ipc_barrier_leave(x))
SYNC_CALL(barrier_abort, ipc_barrier, ipc_barrier_abort(x))
SYNC_CALL(barrier_reset, ipc_barrier, ipc_barrier_reset(x))
SYNC_GETTER(barrier_is_broken, ipc_barrier, ipc_barrier_is_broken(x))
SYNC_GETTER(barrier_waiting, ipc_barrier, ipc_barrier_waiting(x))
SYNC_GETTER(barrier_parties, ipc_barrier, ipc_barrier_parties(x))
SYNC_CALL(barrier_init, ipc_barrier, ipc_barrier_init(x, 2, NULL))
SYNC_CALL(barrier_fini, ipc_barrier, ipc_barrier_fini(x))
SYNC_CALL(barrier_free, ipc_barrier, ipc_barrier_free(x))

static inline int sync_barrier_new(void **out)
{
    ipc_barrier *made = NULL;
    const int rc = ipc_barrier_new(2, NULL, &made);
    *out = made;
    return rc;
}

static const struct sync_call sync_barrier_calls[] = {
    {"is_broken", sync_barrier_is_broken, false, {0}},
    {"waiting", sync_barrier_waiting, false, {0}},
    {"parties", sync_barrier_parties, false, {0}},
    {"wait_nowait",
     sync_barrier_wait_nowait,
     true,
     {ECANCELED, EAGAIN, EDEADLK}},
    {"enroll", sync_barrier_enroll, true, {EALREADY, ENOSPC}},
    {"leave", sync_barrier_leave, true, {ESRCH}},
    {"wait_action",
     sync_barrier_wait_action,
     true,
     {ECANCELED, ETIMEDOUT, EDEADLK}},
    {"abort", sync_barrier_abort, true, {0}},
    {"wait_until",
     sync_barrier_wait_until,
     true,
     {ECANCELED, ETIMEDOUT, EDEADLK}},
    {"reset", sync_barrier_reset, true, {0}},
};

/* ---- all of them ---- */

enum {
    SYNC_KINDS = 8
};

#define SYNC_COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A function, as some sizes are told by the library. */
static inline void sync_kinds(struct sync_kind out[SYNC_KINDS])
{
    const struct sync_kind kinds[SYNC_KINDS] = {
        {"lock", sizeof(ipc_lock), ipc_lock_bytes(IPC_LOCK_FAIR), true,
         sync_lock_init, sync_lock_fini, sync_lock_new, sync_lock_free,
         sync_lock_calls, SYNC_COUNT(sync_lock_calls)},
        {"rlock", sizeof(ipc_rlock), ipc_rlock_bytes(IPC_LOCK_FAIR), true,
         sync_rlock_init, sync_rlock_fini, sync_rlock_new, sync_rlock_free,
         sync_rlock_calls, SYNC_COUNT(sync_rlock_calls)},
        {"rwlock", sizeof(ipc_rwlock), sizeof(ipc_rwlock), true,
         sync_rwlock_init, sync_rwlock_fini, sync_rwlock_new, sync_rwlock_free,
         sync_rwlock_calls, SYNC_COUNT(sync_rwlock_calls)},
        {"once", sizeof(ipc_once), sizeof(ipc_once), true, NULL, NULL, NULL,
         NULL, sync_once_calls, SYNC_COUNT(sync_once_calls)},
        {"semaphore", sizeof(ipc_semaphore),
         ipc_semaphore_bytes(IPC_SEMAPHORE_TRACKED_MAX,
                             IPC_SEMAPHORE_TRACKED | IPC_SEMAPHORE_FAIR),
         true, sync_semaphore_init, sync_semaphore_fini, sync_semaphore_new,
         sync_semaphore_free, sync_semaphore_calls,
         SYNC_COUNT(sync_semaphore_calls)},
        {"event", sizeof(ipc_event), sizeof(ipc_event), true, sync_event_init,
         sync_event_fini, sync_event_new, sync_event_free, sync_event_calls,
         SYNC_COUNT(sync_event_calls)},
        {"condition", sizeof(ipc_condition), sizeof(ipc_condition), true,
         sync_condition_init, sync_condition_fini, sync_condition_new,
         sync_condition_free, sync_condition_calls,
         SYNC_COUNT(sync_condition_calls)},
        {"barrier", sizeof(ipc_barrier), sizeof(ipc_barrier), false,
         sync_barrier_init, sync_barrier_fini, sync_barrier_new,
         sync_barrier_free, sync_barrier_calls, SYNC_COUNT(sync_barrier_calls)},
    };
    memcpy(out, kinds, sizeof kinds);
}

#endif
