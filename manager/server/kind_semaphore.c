/* Semaphores: permits that are free, and, of a bounded or tracked one, a hold
 * for each that somebody has, in the order of taking.
 *
 * Death: the session ends, its holds are lost, and each gives its permit back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fail.h"
#include "server/kinds.h"

#define PERMITS_MAX INT32_MAX

struct semaphore {
    int64_t permits; /* that are free */
    int64_t bound;
    bool tracked;
};

static int set_option(struct ipcm__object *object, const char *name,
                      size_t bytes, const ipc_any *value)
{
    struct semaphore *semaphore = object->state;
    const bool bounded = object->kind == &ipcm__kind_bounded_semaphore;
    if (ipcm__option_is(name, bytes, "value") &&
        ipcm__option_i64(value, 0, PERMITS_MAX, &semaphore->permits) == 0)
        return 0;
    if (!bounded && ipcm__option_is(name, bytes, "tracked") &&
        value->type == IPC_TYPE_BOOL) {
        semaphore->tracked = value->boolean;
        return 0;
    }
    return ipcm__option_fail(object, name, bytes);
}

static int create(struct ipcm__object *object, const ipc_any *args,
                  size_t count)
{
    struct ipcm__options options = {args, count, 0};
    struct ipcm__option option;
    struct semaphore *semaphore = calloc(1, sizeof *semaphore);
    if (semaphore == NULL)
        return ipcm__fail_no_memory();
    object->state = semaphore;
    semaphore->permits = 1;
    semaphore->tracked = object->kind == &ipcm__kind_bounded_semaphore;
    int rc = ipcm__option_next(&options, &option);
    while (rc == 1) {
        rc = set_option(object, option.name, option.bytes, option.value);
        if (rc == 0)
            rc = ipcm__option_next(&options, &option);
    }
    if (rc < 0) {
        free(semaphore);
        return rc;
    }
    semaphore->bound = object->kind == &ipcm__kind_bounded_semaphore
                           ? semaphore->permits
                           : PERMITS_MAX;
    return 0;
}

static void destroy(struct ipcm__object *object)
{
    free(object->state);
}

/* ---- permits of sessions ---- */

static int hold_one(struct ipcm__object *object, struct ipcm__session *session)
{
    const int rc = ipcm__object_charge(object, sizeof(struct ipcm__hold));
    if (rc != 0)
        return rc;
    if (ipcm__hold_new(sizeof(struct ipcm__hold), session, object) != NULL)
        return 0;
    (void)ipcm__object_charge(object, -(int64_t)sizeof(struct ipcm__hold));
    return -ENOMEM;
}

static void let_go(struct ipcm__object *object, struct ipcm__hold *hold)
{
    ipcm__hold_end(hold);
    (void)ipcm__object_charge(object, -(int64_t)sizeof *hold);
}

/* One of this session's; NULL: it has none. */
static struct ipcm__hold *hold_of(struct ipcm__object *object,
                                  struct ipcm__session *session)
{
    struct list *held = &session->held;
    for (struct list *at = held->next; at != held; at = at->next) {
        struct ipcm__hold *hold = list_entry(at, struct ipcm__hold, of_session);
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): who is freed has left */
        if (hold->object == object)
            return hold;
    }
    return NULL;
}

/* Permits were released, whose is another question: first those of who says so,
 * then those that have been held longest. */
static void let_go_many(struct ipcm__object *object,
                        struct ipcm__session *session, int64_t n)
{
    struct ipcm__hold *hold = hold_of(object, session);
    for (; n > 0 && hold != NULL; n--) {
        let_go(object, hold);
        hold = hold_of(object, session);
    }
    for (; n > 0 && !list_is_empty(&object->holds); n--)
        let_go(object,
               list_entry(object->holds.next, struct ipcm__hold, of_object));
}

/* ---- operations ---- */

static int acquire(struct ipcm__object *object, struct ipcm__call *call)
{
    struct semaphore *semaphore = object->state;
    int64_t ns;
    int rc = ipcm__arg_count(&call->request, 1, 1);
    if (rc == 0)
        rc = ipcm__arg_ns(call, 0, &ns);
    if (rc != 0)
        return rc;
    if (semaphore->permits == 0 ||
        !ipcm__is_next(call, IPCM__OP_SEMAPHORE_ACQUIRE,
                       IPCM__OP_SEMAPHORE_ACQUIRE)) {
        rc = ipcm__would_wait(call, ns, "has no permit");
        return rc == IPCM__WAITS ? IPCM__WAITS_ALL : rc;
    }
    if (semaphore->tracked)
        rc = hold_one(object, call->session);
    if (rc == 0)
        semaphore->permits--;
    return rc;
}

static int release(struct ipcm__object *object, struct ipcm__call *call)
{
    struct semaphore *semaphore = object->state;
    int64_t n;
    int rc = ipcm__arg_count(&call->request, 1, 1);
    if (rc == 0)
        rc = ipcm__arg_i64(&call->request, 0, 1, PERMITS_MAX, &n);
    if (rc != 0)
        return rc;
    if (n > semaphore->bound - semaphore->permits)
        return ipcm__fail(-EOVERFLOW,
                          "%lld permits are free, %lld are released: the %s "
                          "has no more than %lld",
                          (long long)semaphore->permits, (long long)n,
                          object->kind->name, (long long)semaphore->bound);
    if (semaphore->tracked)
        let_go_many(object, call->session, n);
    semaphore->permits += n;
    ipcm__object_ring(object);
    return 0;
}

static int call_semaphore(struct ipcm__object *object, struct ipcm__call *call)
{
    const struct semaphore *semaphore = object->state;
    int rc;
    switch (call->request.op) {
    case IPCM__OP_SEMAPHORE_ACQUIRE:
        return acquire(object, call);
    case IPCM__OP_SEMAPHORE_RELEASE:
        return release(object, call);
    case IPCM__OP_SEMAPHORE_VALUE:
        rc = ipcm__arg_count(&call->request, 0, 0);
        return rc != 0 ? rc : ipcm__answer_i64(call, semaphore->permits);
    default:
        return ipcm__fail_no_operation(call);
    }
}

/* The next one may go on, which the one that is gone has held up. */
static void withdrawn(struct ipcm__object *object, struct ipcm__call *call)
{
    (void)call;
    ipcm__object_ring(object);
}

static void lost(struct ipcm__object *object, struct ipcm__hold *hold)
{
    struct semaphore *semaphore = object->state;
    let_go(object, hold);
    if (semaphore->permits < semaphore->bound)
        semaphore->permits++;
    ipcm__object_ring(object);
}

static int describe(const struct ipcm__object *object, char *out, size_t size)
{
    const struct semaphore *semaphore = object->state;
    size_t holds = 0;
    for (const struct list *at = object->holds.next; at != &object->holds;
         at = at->next)
        holds++;
    return snprintf(out, size, "%lld free, %zu held, %zu wait",
                    (long long)semaphore->permits, holds,
                    ipcm__waiting_count(object));
}

const struct ipcm__kind ipcm__kind_semaphore = {
    .name = "semaphore",
    .create = create,
    .destroy = destroy,
    .call = call_semaphore,
    .withdrawn = withdrawn,
    .lost = lost,
    .describe = describe,
};

const struct ipcm__kind ipcm__kind_bounded_semaphore = {
    .name = "bounded_semaphore",
    .create = create,
    .destroy = destroy,
    .call = call_semaphore,
    .withdrawn = withdrawn,
    .lost = lost,
    .describe = describe,
};
