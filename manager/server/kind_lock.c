/* Locks: a word of who has it, and a line.
 *
 * State
 *   hold     who has it, also in the list of its session; NULL: it is free
 *   line     places of those who wait, through the lock itself or through a
 *            condition that uses it
 *   token    grows with each owner
 *
 * Order
 *   Only the first of the line may have it, or who comes when there is no line.
 *   So when it becomes free, and when the first leaves, the object through
 *   which the (new) first waits is rung.
 *
 * Death
 *   The session ends: its hold is lost, died is set, the first of the line is
 *   rung, and is told. */
#include "server/lock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fail.h"
#include "server/kinds.h"

struct ipcm__lock_hold {
    struct ipcm__hold hold;
    struct ipcm__lock *lock;
};

int ipcm__lock_new(struct ipcm__object *object, bool recursive,
                   struct ipcm__lock **out)
{
    struct ipcm__lock *lock = calloc(1, sizeof *lock);
    if (lock == NULL)
        return ipcm__fail_no_memory();
    lock->object = object;
    lock->recursive = recursive;
    lock->token = ipcm__first_token();
    list_init(&lock->line);
    *out = lock;
    return 0;
}

void ipcm__lock_free(struct ipcm__lock *lock)
{
    free(lock);
}

struct ipcm__hold *ipcm__lock_hold_of(const struct ipcm__lock *lock)
{
    return lock->hold == NULL ? NULL : &lock->hold->hold;
}

bool ipcm__lock_is_of(const struct ipcm__lock *lock,
                      const struct ipcm__session *session, int64_t holder)
{
    return lock->hold != NULL && lock->hold->hold.session == session &&
           lock->holder == holder;
}

/* ---- the line ---- */

static void ring_first(const struct ipcm__lock *lock)
{
    if (lock->hold == NULL && !list_is_empty(&lock->line))
        ipcm__object_ring(
            list_entry(lock->line.next, struct ipcm__lock_place, of_line)
                ->object);
}

void ipcm__lock_leave_line(struct ipcm__lock *lock,
                           struct ipcm__lock_place *place)
{
    if (place == NULL)
        return;
    list_remove(&place->of_line);
    free(place);
    ring_first(lock);
}

static struct ipcm__lock_place *place_of(const struct ipcm__call *call)
{
    return (struct ipcm__lock_place *)(uintptr_t)call->scratch[0];
}

void ipcm__lock_withdraw(struct ipcm__lock *lock, struct ipcm__call *call)
{
    ipcm__lock_leave_line(lock, place_of(call));
    call->scratch[0] = 0;
}

static bool may_have_it(const struct ipcm__lock *lock,
                        const struct ipcm__lock_place *place)
{
    return lock->hold == NULL &&
           (list_is_empty(&lock->line) ||
            (place != NULL && lock->line.next == &place->of_line));
}

/* ---- to have it, and not to have it any more ---- */

static int own(struct ipcm__lock *lock, struct ipcm__session *session,
               int64_t holder, uint32_t levels)
{
    struct ipcm__lock_hold *hold =
        ipcm__hold_new(sizeof *hold, session, lock->object);
    if (hold == NULL)
        return -ENOMEM;
    hold->lock = lock;
    lock->hold = hold;
    lock->holder = holder;
    lock->levels = levels;
    lock->token++;
    const int status = lock->died ? IPC_OWNER_DIED : 0;
    lock->died = false;
    return status;
}

static int own_again(struct ipcm__lock *lock, uint32_t levels)
{
    if (!lock->recursive)
        return ipcm__fail(-EDEADLK, "the %s is the holder's already",
                          lock->object->kind->name);
    if (lock->levels > UINT32_MAX - levels)
        return ipcm__fail(-EOVERFLOW, "the holder has it %u times",
                          (unsigned)lock->levels);
    lock->levels += levels;
    return 0;
}

static int line_up(struct ipcm__lock *lock, struct ipcm__call *call)
{
    struct ipcm__lock_place *place = calloc(1, sizeof *place);
    if (place == NULL)
        return ipcm__fail_no_memory();
    place->object = call->object;
    list_append(&lock->line, &place->of_line);
    call->scratch[0] = (uintptr_t)place;
    return IPCM__WAITS;
}

static int wait_for_it(struct ipcm__lock *lock, struct ipcm__call *call,
                       int64_t ns)
{
    char why[160] = "is held";
    if (ns == 0 || call->expired)
        (void)ipcm__lock_describe(lock, why, sizeof why);
    const int rc = ipcm__would_wait(call, ns, why);
    return rc != IPCM__WAITS || place_of(call) != NULL ? rc
                                                       : line_up(lock, call);
}

int ipcm__lock_take(struct ipcm__lock *lock, struct ipcm__call *call,
                    int64_t holder, uint32_t levels, int64_t ns,
                    uint64_t *token)
{
    int rc;
    if (ipcm__lock_is_of(lock, call->session, holder))
        rc = own_again(lock, levels);
    else if (may_have_it(lock, place_of(call)))
        rc = own(lock, call->session, holder, levels);
    else
        rc = wait_for_it(lock, call, ns);
    if (rc == IPCM__WAITS)
        return rc;
    ipcm__lock_withdraw(lock, call);
    *token = lock->token;
    return rc;
}

static void set_free(struct ipcm__lock *lock)
{
    ipcm__hold_end(&lock->hold->hold);
    lock->hold = NULL;
    lock->levels = 0;
    ring_first(lock);
}

uint32_t ipcm__lock_give(struct ipcm__lock *lock)
{
    const uint32_t levels = lock->levels;
    set_free(lock);
    return levels;
}

void ipcm__lock_lost(struct ipcm__hold *hold)
{
    struct ipcm__lock *lock = ((struct ipcm__lock_hold *)(void *)hold)->lock;
    lock->died = true;
    set_free(lock);
}

/* ---- operations ---- */

static int acquire(struct ipcm__lock *lock, struct ipcm__call *call)
{
    int64_t holder;
    int64_t ns;
    uint64_t token = 0;
    int rc = ipcm__arg_count(&call->request, 2, 2);
    if (rc == 0)
        rc = ipcm__arg_i64(&call->request, 0, INT64_MIN, INT64_MAX, &holder);
    if (rc == 0)
        rc = ipcm__arg_ns(call, 1, &ns);
    if (rc != 0)
        return rc;
    const int status = ipcm__lock_take(lock, call, holder, 1, ns, &token);
    if (status < 0 || status == IPCM__WAITS)
        return status;
    rc = ipcm__answer_u64(call, token);
    return rc < 0 ? rc : status;
}

/* The holder at the only argument; -EPERM it does not have the lock. */
static int find_holder(struct ipcm__lock *lock, const struct ipcm__call *call)
{
    int64_t holder;
    int rc = ipcm__arg_count(&call->request, 1, 1);
    if (rc == 0)
        rc = ipcm__arg_i64(&call->request, 0, INT64_MIN, INT64_MAX, &holder);
    if (rc != 0 || ipcm__lock_is_of(lock, call->session, holder))
        return rc;
    return ipcm__fail(-EPERM, "the %s is not the holder's",
                      lock->object->kind->name);
}

static int release(struct ipcm__lock *lock, const struct ipcm__call *call)
{
    const int rc = find_holder(lock, call);
    if (rc == 0 && --lock->levels == 0)
        set_free(lock);
    return rc;
}

static int check(const struct ipcm__lock *lock, const struct ipcm__call *call)
{
    uint64_t token;
    int rc = ipcm__arg_count(&call->request, 1, 1);
    if (rc == 0)
        rc = ipcm__arg_u64(&call->request, 0, &token);
    if (rc != 0 || (lock->hold != NULL && lock->token == token))
        return rc;
    return ipcm__fail(-ESTALE, "the token %" PRIu64 " is not the owner's",
                      token);
}

static int is_held(const struct ipcm__lock *lock, struct ipcm__call *call)
{
    const int rc = ipcm__arg_count(&call->request, 0, 0);
    return rc != 0 ? rc : ipcm__answer_i64(call, lock->hold != NULL);
}

static int token_of(struct ipcm__lock *lock, struct ipcm__call *call)
{
    const int rc = find_holder(lock, call);
    return rc != 0 ? rc : ipcm__answer_u64(call, lock->token);
}

int ipcm__lock_call(struct ipcm__lock *lock, struct ipcm__call *call)
{
    switch (call->request.op) {
    case IPCM__OP_LOCK_ACQUIRE:
        return acquire(lock, call);
    case IPCM__OP_LOCK_RELEASE:
        return release(lock, call);
    case IPCM__OP_LOCK_CHECK:
        return check(lock, call);
    case IPCM__OP_LOCK_IS_HELD:
        return is_held(lock, call);
    case IPCM__OP_LOCK_TOKEN:
        return token_of(lock, call);
    default:
        return ipcm__fail_no_operation(call);
    }
}

int ipcm__lock_describe(const struct ipcm__lock *lock, char *out, size_t size)
{
    if (lock->hold == NULL)
        return snprintf(out, size, "is free");
    const struct ipcm__session *session = lock->hold->hold.session;
    return snprintf(out, size,
                    "is held by session %u (%s), holder %" PRId64 ", %u time%s",
                    (unsigned)session->number, session->peer.text, lock->holder,
                    (unsigned)lock->levels, lock->levels == 1 ? "" : "s");
}

/* ---- the kinds ---- */

static int create(struct ipcm__object *object, const ipc_any *args,
                  size_t count)
{
    struct ipcm__lock *lock = NULL;
    int rc = ipcm__no_options(object, args, count);
    if (rc == 0)
        rc = ipcm__lock_new(object, object->kind == &ipcm__kind_rlock, &lock);
    if (rc == 0)
        object->state = lock;
    return rc;
}

static void destroy(struct ipcm__object *object)
{
    ipcm__lock_free(object->state);
}

static int call_lock(struct ipcm__object *object, struct ipcm__call *call)
{
    const int rc = ipcm__lock_call(object->state, call);
    /* Nobody behind the first of the line will have it. */
    return rc == IPCM__WAITS ? IPCM__WAITS_ALL : rc;
}

static void withdrawn(struct ipcm__object *object, struct ipcm__call *call)
{
    ipcm__lock_withdraw(object->state, call);
}

static void lost(struct ipcm__object *object, struct ipcm__hold *hold)
{
    (void)object;
    ipcm__lock_lost(hold);
}

static int describe(const struct ipcm__object *object, char *out, size_t size)
{
    return ipcm__lock_describe(object->state, out, size);
}

const struct ipcm__kind ipcm__kind_lock = {
    .name = "lock",
    .create = create,
    .destroy = destroy,
    .call = call_lock,
    .withdrawn = withdrawn,
    .lost = lost,
    .describe = describe,
};

const struct ipcm__kind ipcm__kind_rlock = {
    .name = "rlock",
    .create = create,
    .destroy = destroy,
    .call = call_lock,
    .withdrawn = withdrawn,
    .lost = lost,
    .describe = describe,
};
