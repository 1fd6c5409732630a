/* Managed conditions, events and barriers. */
#include "client/managed.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "fail.h"

/* ---- conditions ---- */

#define WOKEN_OWNER_DIED 1 /* bits of WAIT's status */
#define WOKEN_LATE       2

int ipc_manager_condition(ipc_manager *manager, const char *name,
                          ipc_managed *lock, ipc_managed **out)
{
    if (lock != NULL && lock->target.manager != manager)
        return ipcm__fail(-EINVAL, "the lock is another manager's");
    const int rc = lock != NULL ? ipcm__managed_is(lock, "lock", "rlock") : 0;
    if (rc != 0)
        return rc;
    const struct ipcm__opening opening = {
        .type = "condition", .name = name, .lock = lock};
    return ipcm__managed_open(manager, &opening, out);
}

static int is_condition(const ipc_managed *condition)
{
    return ipcm__managed_is(condition, "condition", NULL);
}

int ipc_managed_condition_wait_until(ipc_managed *condition,
                                     ipc_deadline deadline)
{
    const ipc_any arg = ipc_i64(ipcm__holder());
    int rc = is_condition(condition);
    if (rc == 0)
        rc = ipcm__managed_wait(condition, IPCM__OP_CONDITION_WAIT, &arg, 1,
                                deadline);
    if (rc <= 0)
        return rc;
    if ((rc & WOKEN_LATE) != 0)
        return ipcm__fail(deadline == IPC_TIME_NOW ? -EAGAIN : -ETIMEDOUT,
                          "the condition was not notified in time");
    return (rc & WOKEN_OWNER_DIED) != 0 ? IPC_OWNER_DIED : 0;
}

int ipc_managed_condition_wait(ipc_managed *condition)
{
    return ipc_managed_condition_wait_until(condition, IPC_TIME_FOREVER);
}

int ipc_managed_condition_wait_for_until(ipc_managed *condition,
                                         bool (*predicate)(void *arg),
                                         void *arg, ipc_deadline deadline)
{
    int died = 0;
    while (!predicate(arg)) {
        const int rc = ipc_managed_condition_wait_until(condition, deadline);
        if (rc > 0)
            died = rc;
        if (rc == -ETIMEDOUT || rc == -EAGAIN)
            return predicate(arg) ? died : rc;
        if (rc < 0)
            return rc;
    }
    return died;
}

int ipc_managed_condition_wait_for(ipc_managed *condition,
                                   bool (*predicate)(void *arg), void *arg)
{
    return ipc_managed_condition_wait_for_until(condition, predicate, arg,
                                                IPC_TIME_FOREVER);
}

static int notify(ipc_managed *condition, int64_t n)
{
    const ipc_any args[] = {ipc_i64(ipcm__holder()), ipc_i64(n)};
    const int rc = is_condition(condition);
    return rc != 0 ? rc
                   : ipcm__managed_do(condition, IPCM__OP_CONDITION_NOTIFY,
                                      args, 2);
}

int ipc_managed_condition_notify(ipc_managed *condition, uint32_t n)
{
    return notify(condition, n);
}

int ipc_managed_condition_notify_all(ipc_managed *condition)
{
    return notify(condition, -1);
}

/* ---- events ---- */

int ipc_manager_event(ipc_manager *manager, const char *name, ipc_managed **out)
{
    const struct ipcm__pairs none = {.count = 0};
    return ipcm__managed_make(manager, "event", name, &none, out);
}

static int is_event(const ipc_managed *event)
{
    return ipcm__managed_is(event, "event", NULL);
}

int ipc_managed_event_set(ipc_managed *event)
{
    const int rc = is_event(event);
    return rc != 0 ? rc : ipcm__managed_do(event, IPCM__OP_EVENT_SET, NULL, 0);
}

int ipc_managed_event_clear(ipc_managed *event)
{
    const int rc = is_event(event);
    return rc != 0 ? rc
                   : ipcm__managed_do(event, IPCM__OP_EVENT_CLEAR, NULL, 0);
}

int ipc_managed_event_is_set(ipc_managed *event)
{
    int64_t is = 0;
    int rc = is_event(event);
    if (rc == 0)
        rc = ipcm__managed_number(event, IPCM__OP_EVENT_IS_SET, NULL, 0, &is);
    return rc != 0 ? rc : is != 0;
}

int ipc_managed_event_wait_until(ipc_managed *event, ipc_deadline deadline)
{
    int rc = is_event(event);
    if (rc == 0)
        rc = ipcm__managed_wait(event, IPCM__OP_EVENT_WAIT, NULL, 0, deadline);
    return rc < 0 ? rc : 0;
}

int ipc_managed_event_wait(ipc_managed *event)
{
    return ipc_managed_event_wait_until(event, IPC_TIME_FOREVER);
}

/* ---- barriers ---- */

int ipc_manager_barrier(ipc_manager *manager, const char *name,
                        uint32_t parties, ipc_managed **out)
{
    struct ipcm__pairs pairs = {.count = 0};
    ipcm__pair(&pairs, "parties", ipc_i64(parties));
    return ipcm__managed_make(manager, "barrier", name, &pairs, out);
}

static int is_barrier(const ipc_managed *barrier)
{
    return ipcm__managed_is(barrier, "barrier", NULL);
}

int ipc_managed_barrier_wait_until(ipc_managed *barrier, ipc_deadline deadline)
{
    ipc_any place = ipc_nil();
    int rc = is_barrier(barrier);
    if (rc == 0)
        rc = ipcm__call_until(&barrier->target, IPCM__OP_BARRIER_WAIT, NULL, 0,
                              deadline, &place);
    if (rc < 0)
        return rc;
    if (place.type != IPC_TYPE_I64 || place.i64 < 0 || place.i64 > INT_MAX) {
        ipc_any_free(&place);
        return ipcm__fail(-EPROTO, "a place that is none");
    }
    return (int)place.i64;
}

int ipc_managed_barrier_wait(ipc_managed *barrier)
{
    return ipc_managed_barrier_wait_until(barrier, IPC_TIME_FOREVER);
}

static int do_barrier(ipc_managed *barrier, uint32_t op)
{
    const int rc = is_barrier(barrier);
    return rc != 0 ? rc : ipcm__managed_do(barrier, op, NULL, 0);
}

int ipc_managed_barrier_enroll(ipc_managed *barrier)
{
    return do_barrier(barrier, IPCM__OP_BARRIER_ENROLL);
}

int ipc_managed_barrier_leave(ipc_managed *barrier)
{
    return do_barrier(barrier, IPCM__OP_BARRIER_LEAVE);
}

int ipc_managed_barrier_abort(ipc_managed *barrier)
{
    return do_barrier(barrier, IPCM__OP_BARRIER_ABORT);
}

int ipc_managed_barrier_reset(ipc_managed *barrier)
{
    return do_barrier(barrier, IPCM__OP_BARRIER_RESET);
}

static int64_t info(ipc_managed *barrier, int which)
{
    ipc_any results[3];
    memset(results, 0, sizeof results);
    int rc = is_barrier(barrier);
    if (rc == 0)
        rc = ipcm__call_for(&barrier->target, IPCM__OP_BARRIER_INFO, NULL, 0,
                            results, 3);
    if (rc < 0)
        return rc;
    const ipc_any *result = &results[which];
    const int64_t value =
        result->type == IPC_TYPE_BOOL ? result->boolean : result->i64;
    for (int i = 0; i < 3; i++)
        ipc_any_free(&results[i]);
    return value;
}

int64_t ipc_managed_barrier_parties(ipc_managed *barrier)
{
    return info(barrier, 0);
}

int64_t ipc_managed_barrier_waiting(ipc_managed *barrier)
{
    return info(barrier, 1);
}

int ipc_managed_barrier_is_broken(ipc_managed *barrier)
{
    const int64_t broken = info(barrier, 2);
    return broken < 0 ? (int)broken : broken != 0;
}
