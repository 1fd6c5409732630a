/* Condition: a line of those who wait; see line.c for its state, invariants
 * and deaths.
 *
 * Death
 *   of who waits     It keeps its place, once it is called, until it holds the
 *                    lock again: if it dies before, the call is passed on;
 *   of who notifies  Each of those it notifies is notified by one step; the
 *                    last one may wake up only when the lock is free, or the
 *                    kernel has found who notified it dead.
 *
 * Beyond the places of the line nobody can be called by name: who finds none
 * sleeps for one re-check period at most, and returns as if notified. */
#include <errno.h>
#include <string.h>

#include <ipc/condition.h>

#include "base/bits.h"
#include "core/check.h"
#include "core/error.h"
#include "sync/fair.h"
#include "sync/object.h"

#define NOUN "condition"

_Static_assert(sizeof(ipc_condition) == 1024, "condition layout");
_Static_assert(sizeof(struct ipc__line) == sizeof((ipc_condition *)0)->line_,
               "the line is all of it");

static struct ipc__line *line_of(ipc_condition *condition)
{
    return (struct ipc__line *)(void *)condition->line_;
}

/* ---- wait ---- */

/* Until called, or the deadline. */
static void wait_called(struct ipc__line *line, struct ipc__place *place,
                        ipc_deadline deadline)
{
    struct ipc__pace pace = {0};
    while (ipc__line_is_mine(place) && !ipc__line_is_called(place) &&
           ipc_time_left(deadline) != 0)
        if (ipc__line_wait(place, &pace, NULL, 0, deadline) &&
            ipc__line_lock(line) == 0) {
            ipc__line_pass_on(line);
            ipc__line_unlock(line);
        }
}

/* Without a place. */
static void wait_a_while(ipc_deadline deadline)
{
    const uint32_t nobody_wakes_it = 0;
    const ipc_deadline soon = ipc_after_ns(IPC__RECHECK_NS);
    (void)ipc__futex_wait(&nobody_wakes_it, 0,
                          deadline < soon ? deadline : soon);
}

/* Give the place back.  Was it called? */
static bool leave(struct ipc__line *line, struct ipc__place *place)
{
    if (ipc__line_is_called(place))
        return ipc__line_leave(place);
    const int rc = ipc__line_lock(line);
    const bool called = ipc__line_leave(place);
    if (rc == 0)
        ipc__line_unlock(line);
    return called;
}

static int wait_called_holding(ipc_condition *condition, ipc_lock *lock,
                               ipc_deadline deadline)
{
    struct ipc__line *line = line_of(condition);
    int rc = ipc__line_lock(line);
    if (rc != 0)
        return rc == -EUCLEAN ? ipc__fail(rc, "this is no condition") : rc;
    struct ipc__place *place = ipc__line_enter(line);
    if (place == NULL) {
        ipc__line_pass_on(line); /* first, as the dead may have been called */
        ipc__line_bury(line);
        place = ipc__line_enter(line);
    }
    store_relaxed(&line->lock,
                  ipc__lock_is_fair(lock) ? 0 : (char *)lock - (char *)line);
    ipc__line_unlock(line);

    (void)ipc_lock_release(lock);
    if (place != NULL)
        wait_called(line, place, deadline);
    else
        wait_a_while(deadline);
    ipc__check_insists = true; /* the lock is held when a wait ends */
    rc = ipc_lock_acquire(lock);
    ipc__check_insists = false;
    if (place != NULL && !ipc__line_is_mine(place))
        return rc != 0 ? rc
                       : ipc__fail(-EUCLEAN,
                                   "somebody has written over the condition");
    const bool called =
        place != NULL ? leave(line, place) : ipc_time_left(deadline) != 0;

    if (rc < 0 && called) /* nobody can act on it here: another one may */
        (void)ipc_condition_notify(condition, 1);
    if (rc != 0)
        return rc;
    return called ? 0 : ipc__fail(-ETIMEDOUT, "the condition was not notified");
}

/* A lock, and the rlock that it is the lock of, or NULL. */
struct held {
    ipc_lock *lock;
    ipc_rlock *rlock;
};

static int wait_until(ipc_condition *condition, struct held held,
                      ipc_deadline deadline)
{
    ipc_lock *lock = held.lock;
    if (!ipc_lock_is_mine(lock)) {
        char name[IPC__NAME_BYTES];
        return ipc__fail(-EPERM, "wait: the calling thread does not hold %s",
                         ipc__object_name("lock", lock->label_, lock, name));
    }
    if (held.rlock == NULL)
        return wait_called_holding(condition, lock, deadline);

    /* An rlock's levels are what its owner counts: released with the lock
     * below, and written anew afterwards. */
    const uint32_t depth = ipc_rlock_depth(held.rlock);
    const int rc = wait_called_holding(condition, lock, deadline);
    if (ipc_lock_is_mine(lock))
        store_relaxed(&held.rlock->depth_, depth);
    return rc;
}

static int wait_for_until(ipc_condition *condition, struct held held,
                          bool (*predicate)(void *arg), void *arg,
                          ipc_deadline deadline)
{
    int rc;
    do {
        if (ipc_lock_is_mine(held.lock) && predicate(arg))
            return 0;
        rc = wait_until(condition, held, deadline); /* also says why not */
    } while (rc == 0);
    return rc == -ETIMEDOUT && predicate(arg) ? 0 : rc;
}

int ipc_condition_wait(ipc_condition *condition, ipc_lock *lock)
{
    return wait_until(condition, (struct held){lock, NULL}, IPC_TIME_FOREVER);
}

int ipc_condition_wait_until(ipc_condition *condition, ipc_lock *lock,
                             ipc_deadline deadline)
{
    return wait_until(condition, (struct held){lock, NULL}, deadline);
}

int ipc_condition_wait_for(ipc_condition *condition, ipc_lock *lock,
                           bool (*predicate)(void *arg), void *arg)
{
    return wait_for_until(condition, (struct held){lock, NULL}, predicate, arg,
                          IPC_TIME_FOREVER);
}

int ipc_condition_wait_for_until(ipc_condition *condition, ipc_lock *lock,
                                 bool (*predicate)(void *arg), void *arg,
                                 ipc_deadline deadline)
{
    return wait_for_until(condition, (struct held){lock, NULL}, predicate, arg,
                          deadline);
}

int ipc_condition_wait_rlock(ipc_condition *condition, ipc_rlock *rlock)
{
    return wait_until(condition, (struct held){&rlock->lock_, rlock},
                      IPC_TIME_FOREVER);
}

int ipc_condition_wait_rlock_until(ipc_condition *condition, ipc_rlock *rlock,
                                   ipc_deadline deadline)
{
    return wait_until(condition, (struct held){&rlock->lock_, rlock}, deadline);
}

int ipc_condition_wait_for_rlock(ipc_condition *condition, ipc_rlock *rlock,
                                 bool (*predicate)(void *arg), void *arg)
{
    return wait_for_until(condition, (struct held){&rlock->lock_, rlock},
                          predicate, arg, IPC_TIME_FOREVER);
}

int ipc_condition_wait_for_rlock_until(ipc_condition *condition,
                                       ipc_rlock *rlock,
                                       bool (*predicate)(void *arg), void *arg,
                                       ipc_deadline deadline)
{
    return wait_for_until(condition, (struct held){&rlock->lock_, rlock},
                          predicate, arg, deadline);
}

/* ---- notify ---- */

int ipc_condition_notify(ipc_condition *condition, uint32_t n)
{
    struct ipc__line *line = line_of(condition);
    /* Who holds the lock sees all who wait; others come too early or not. */
    if (ipc__line_is_empty(line) || n == 0)
        return 0;
    const int rc = ipc__line_lock(line);
    if (rc != 0)
        return rc == -EUCLEAN ? ipc__fail(rc, "this is no condition") : rc;
    ipc__line_notify_and_unlock(line, n);
    return 0;
}

int ipc_condition_notify_all(ipc_condition *condition)
{
    return ipc_condition_notify(condition, UINT32_MAX);
}

uint32_t ipc_condition_waiting(ipc_condition *condition)
{
    struct ipc__line *line = line_of(condition);
    if (ipc__line_is_empty(line) || ipc__line_lock(line) != 0)
        return 0;
    const uint32_t count = ipc__line_count(line);
    ipc__line_unlock(line);
    return count;
}

/* ---- storage ---- */

static int prepare(ipc_condition *made, struct ipc__room *room,
                   const ipc_condition_options *options)
{
    ipc_condition_options given;
    room->needed = sizeof *made;
    return ipc__object_options(NOUN, &given, sizeof given, options, 0);
}

static size_t bytes_of(const void *object)
{
    (void)object;
    return sizeof(ipc_condition);
}

static bool is_held(const void *object)
{
    (void)object;
    return false;
}

static int finish(void *object)
{
    return ipc_condition_fini(object);
}

int ipc_condition_fini(ipc_condition *condition)
{
    struct ipc__line *line = line_of(condition);
    if (!ipc__line_is_empty(line)) {
        const int rc = ipc__line_lock(line);
        if (rc != 0)
            return rc == -EUCLEAN ? ipc__fail(rc, "this is no condition") : rc;
        ipc__line_bury(line);
        const bool busy = !ipc__line_is_empty(line);
        ipc__line_unlock(line);
        if (busy) /* also if they are only on their way back */
            return ipc__fail(-EBUSY, "somebody waits for the condition");
    }
    ipc__object_wipe(condition, sizeof *condition);
    return 0;
}

IPC__OBJECT_STORAGE(condition, IPC__REGION_CONDITION, NOUN,
                    (const ipc_condition_options *options), (options))
