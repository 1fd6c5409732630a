/* Conditions: a line of those who wait to be notified, who then stand in the
 * line of the lock.
 *
 * State
 *   lock      of another object, to which this one refers, or its own
 *   waiting   those not notified yet, in the order of coming
 *   Each waiting call has a waiter (scratch[1]), and from its notification or
 *   timeout on a place in the lock's line (scratch[0]).
 *
 * Order
 *   wait: the lock is given up and the waiter lines up, in one step.  notify:
 *   waiters leave the line here and take their places there, while the notifier
 *   still has the lock.
 *
 * Coming back.  A session whose connection was lost sends the same request
 * again, but has no lock any more, as the first one gave it up; and what it was
 * to be told may have gone to another one.  So a mark is left, a hold, with the
 * number of the request: who comes with it takes the lock again and is told to
 * look.
 *
 * Death
 *   of one who waits   it is forgotten; its notification goes to the next;
 *   of the owner       see kind_lock.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fail.h"
#include "server/kinds.h"
#include "server/lock.h"

#define NOT_NOTIFIED 2 /* status: beside IPC_OWNER_DIED */

struct condition {
    struct ipcm__lock *lock;
    struct ipcm__object *other; /* whose lock it is; NULL: our own */
    struct list waiting;
};

struct waiter {
    struct list of_condition; /* in none: notified, or out of time */
    struct ipcm__lock_place *place;
    int64_t holder;
    uint32_t levels;
    bool woken; /* stands for the lock */
    bool timed_out;
};

/* Left by a call that was withdrawn. */
struct mark {
    struct ipcm__hold hold;
    uint64_t request;
    int64_t holder;
    uint32_t levels;
};

/* ---- making and ending ---- */

static int use_lock_of(struct ipcm__object *object, const ipc_any *number)
{
    struct condition *condition = object->state;
    struct ipcm__object *other = NULL;
    if (number->type == IPC_TYPE_I64 && number->i64 > 0)
        other = ipcm__object_find(object->server, number->u64);
    if (other == NULL ||
        (other->kind != &ipcm__kind_lock && other->kind != &ipcm__kind_rlock))
        return ipcm__fail(-EINVAL, "option lock is no lock");
    if (condition->other != NULL)
        return ipcm__fail(-EINVAL, "option lock is there twice");
    ipcm__object_refer(other);
    condition->other = other;
    condition->lock = other->state;
    return 0;
}

static void destroy(struct ipcm__object *object)
{
    struct condition *condition = object->state;
    if (condition->other != NULL)
        ipcm__object_unrefer(condition->other);
    else
        ipcm__lock_free(condition->lock);
    free(condition);
}

static int create(struct ipcm__object *object, const ipc_any *args,
                  size_t count)
{
    struct ipcm__options options = {args, count, 0};
    struct ipcm__option option;
    struct condition *condition = calloc(1, sizeof *condition);
    if (condition == NULL)
        return ipcm__fail_no_memory();
    object->state = condition;
    list_init(&condition->waiting);
    int rc = ipcm__option_next(&options, &option);
    while (rc == 1) {
        rc = ipcm__option_is(option.name, option.bytes, "lock")
                 ? use_lock_of(object, option.value)
                 : ipcm__option_fail(object, option.name, option.bytes);
        if (rc == 0)
            rc = ipcm__option_next(&options, &option);
    }
    if (rc == 0 && condition->other == NULL)
        rc = ipcm__lock_new(object, true, &condition->lock);
    if (rc < 0)
        destroy(object);
    return rc;
}

/* ---- waiters ---- */

static struct waiter *waiter_of(const struct ipcm__call *call)
{
    return (struct waiter *)(uintptr_t)call->scratch[1];
}

/* The place was made when it began to wait, so this cannot fail. */
static void wake(struct condition *condition, struct waiter *waiter)
{
    list_remove(&waiter->of_condition);
    waiter->woken = true;
    list_append(&condition->lock->line, &waiter->place->of_line);
}

static void notify_first(struct condition *condition)
{
    if (!list_is_empty(&condition->waiting))
        wake(condition,
             list_entry(condition->waiting.next, struct waiter, of_condition));
}

static void end_waiter(struct condition *condition, struct ipcm__call *call)
{
    struct waiter *waiter = waiter_of(call);
    list_remove(&waiter->of_condition);
    ipcm__lock_leave_line(condition->lock, waiter->place);
    free(waiter);
    call->scratch[0] = 0;
    call->scratch[1] = 0;
}

static int new_waiter(struct ipcm__object *object, struct ipcm__call *call,
                      int64_t holder)
{
    struct waiter *waiter = calloc(1, sizeof *waiter);
    struct ipcm__lock_place *place = calloc(1, sizeof *place);
    if (waiter == NULL || place == NULL) {
        free(waiter);
        free(place);
        return ipcm__fail_no_memory();
    }
    list_init(&waiter->of_condition);
    list_init(&place->of_line);
    place->object = object;
    waiter->place = place;
    waiter->holder = holder;
    call->scratch[0] = (uintptr_t)place;
    call->scratch[1] = (uintptr_t)waiter;
    return 0;
}

/* ---- marks ---- */

static struct mark *find_mark(struct ipcm__object *object,
                              const struct ipcm__session *session,
                              int64_t holder)
{
    struct list *holds = &object->holds;
    const struct condition *condition = object->state;
    const struct ipcm__hold *of_lock = ipcm__lock_hold_of(condition->lock);
    for (struct list *at = holds->next; at != holds; at = at->next) {
        struct ipcm__hold *hold = list_entry(at, struct ipcm__hold, of_object);
        struct mark *mark = (struct mark *)(void *)hold;
        if (hold != of_lock && hold->session == session &&
            mark->holder == holder)
            return mark;
    }
    return NULL;
}

static void end_mark(struct mark *mark)
{
    ipcm__hold_end(&mark->hold);
}

/* If there is no memory the request that comes again is told that it does not
 * have the lock. */
static void leave_mark(struct ipcm__object *object,
                       const struct ipcm__call *call)
{
    const struct waiter *waiter = waiter_of(call);
    struct mark *mark = find_mark(object, call->session, waiter->holder);
    if (mark == NULL) {
        mark = ipcm__hold_new(sizeof *mark, call->session, object);
        if (mark == NULL)
            return;
    }
    mark->request = call->request.id;
    mark->holder = waiter->holder;
    mark->levels = waiter->levels;
}

/* ---- waiting ---- */

/* The lock again, which may take its time, whatever the deadline. */
static int take_again(struct condition *condition, struct ipcm__call *call)
{
    struct waiter *waiter = waiter_of(call);
    const int late = waiter->timed_out ? NOT_NOTIFIED : 0;
    const bool expired = call->expired;
    uint64_t token = 0;
    call->expired = false;
    const int rc = ipcm__lock_take(condition->lock, call, waiter->holder,
                                   waiter->levels, -1, &token);
    call->expired = expired;
    if (rc == IPCM__WAITS)
        return rc;
    waiter->place = NULL; /* it went with the lock */
    end_waiter(condition, call);
    if (rc < 0)
        return rc;
    const int answered = ipcm__answer_u64(call, token);
    return answered < 0 ? answered : rc | late;
}

static int go_on(struct condition *condition, struct ipcm__call *call,
                 int64_t ns)
{
    struct waiter *waiter = waiter_of(call);
    if (!waiter->woken && (ns == 0 || call->expired)) {
        waiter->timed_out = true;
        wake(condition, waiter);
    }
    return waiter->woken ? take_again(condition, call) : IPCM__WAITS;
}

/* Give up the lock; or come again, having done so before. */
static int begin(struct ipcm__object *object, struct ipcm__call *call,
                 int64_t holder)
{
    struct condition *condition = object->state;
    const bool has_it =
        ipcm__lock_is_of(condition->lock, call->session, holder);
    struct mark *mark = find_mark(object, call->session, holder);
    const bool again =
        !has_it && mark != NULL && mark->request == call->request.id;
    if (!has_it && !again)
        return ipcm__fail(-EPERM, "the lock is not the holder's");
    const int rc = new_waiter(object, call, holder);
    if (rc != 0)
        return rc;
    struct waiter *waiter = waiter_of(call);
    if (again) {
        waiter->levels = mark->levels;
        wake(condition, waiter);
    } else {
        list_append(&condition->waiting, &waiter->of_condition);
        waiter->levels = ipcm__lock_give(condition->lock);
    }
    if (mark != NULL)
        end_mark(mark);
    return 0;
}

static int wait_for(struct ipcm__object *object, struct ipcm__call *call)
{
    int64_t holder;
    int64_t ns;
    int rc = ipcm__arg_count(&call->request, 2, 2);
    if (rc == 0)
        rc = ipcm__arg_i64(&call->request, 0, INT64_MIN, INT64_MAX, &holder);
    if (rc == 0)
        rc = ipcm__arg_ns(call, 1, &ns);
    if (rc != 0)
        return rc;
    if (waiter_of(call) == NULL)
        rc = begin(object, call, holder);
    return rc != 0 ? rc : go_on(object->state, call, ns);
}

static int notify(struct condition *condition, struct ipcm__call *call)
{
    int64_t holder;
    int64_t n;
    int rc = ipcm__arg_count(&call->request, 2, 2);
    if (rc == 0)
        rc = ipcm__arg_i64(&call->request, 0, INT64_MIN, INT64_MAX, &holder);
    if (rc == 0)
        rc = ipcm__arg_i64(&call->request, 1, -1, INT64_MAX, &n);
    if (rc != 0)
        return rc;
    if (!ipcm__lock_is_of(condition->lock, call->session, holder))
        return ipcm__fail(-EPERM, "the lock is not the holder's");
    for (; n != 0 && !list_is_empty(&condition->waiting); n--)
        notify_first(condition);
    return 0;
}

/* ---- the kind ---- */

static int call_condition(struct ipcm__object *object, struct ipcm__call *call)
{
    struct condition *condition = object->state;
    switch (call->request.op) {
    case IPCM__OP_CONDITION_WAIT:
        return wait_for(object, call);
    case IPCM__OP_CONDITION_NOTIFY:
        return notify(condition, call);
    default:
        return ipcm__lock_call(condition->lock, call);
    }
}

static void withdrawn(struct ipcm__object *object, struct ipcm__call *call)
{
    struct condition *condition = object->state;
    const struct waiter *waiter = waiter_of(call);
    if (waiter == NULL) {
        ipcm__lock_withdraw(condition->lock, call);
        return;
    }
    if (waiter->woken && !waiter->timed_out)
        notify_first(condition);
    leave_mark(object, call);
    end_waiter(condition, call);
}

static void lost(struct ipcm__object *object, struct ipcm__hold *hold)
{
    const struct condition *condition = object->state;
    if (hold == ipcm__lock_hold_of(condition->lock))
        ipcm__lock_lost(hold);
    else
        end_mark((struct mark *)(void *)hold);
}

static int describe(const struct ipcm__object *object, char *out, size_t size)
{
    const struct condition *condition = object->state;
    char lock[160];
    size_t waiting = 0;
    for (const struct list *at = condition->waiting.next;
         at != &condition->waiting; at = at->next)
        waiting++;
    (void)ipcm__lock_describe(condition->lock, lock, sizeof lock);
    return snprintf(out, size, "its lock %s, %zu wait", lock, waiting);
}

const struct ipcm__kind ipcm__kind_condition = {
    .name = "condition",
    .create = create,
    .destroy = destroy,
    .call = call_condition,
    .withdrawn = withdrawn,
    .lost = lost,
    .describe = describe,
};
