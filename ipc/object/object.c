/* Objects: containers, whatever is in them.
 *
 * State, in the arena: see object.h.  All of it is journalled, but for the
 * arena's serial: it only counts on, from a random number.  What an undo takes
 * back must not have the serial of what is made afterwards, for handles to it
 * may be around; and what else is in the memory that an old handle points to is
 * not a serial by chance.
 *
 * Invariants
 *   1  refs counts the items that hold the object, and its owner, and the arena
 *      if it is the root;
 *   2  no object lies below itself;
 *   3  a serial other than 0 is that of an object that is held, or has just
 *      been made; and there is one such object.
 *
 * Order: by the arena's lock.
 *
 * Death: see visit.c.  Who changes what is watched, and dies before he has rung
 * the bell, is undone or not; those who sleep look again after 100 ms. */
#include <errno.h>

#include "core/error.h"
#include "core/waiting.h"
#include "object/found.h"
#include "object/object.h"

_Static_assert(sizeof(struct ipc__object) == 48, "object layout");
_Static_assert(sizeof(struct ipc__item) == 16, "item layout");

static uint32_t type_of(const struct ipc__object *object)
{
    return (uint32_t)(object->type & IPC__OBJECT_TYPE);
}

static bool is_container(uint32_t type)
{
    return type >= IPC_TYPE_LIST && type <= IPC_TYPE_NAMESPACE;
}

/* ---- make ---- */

struct ipc__object *ipc__object_make(struct ipc__visit *v, uint32_t type)
{
    ipc_arena *arena = v->arena;
    const uint64_t offset = ipc__alloc(v, sizeof(struct ipc__object));
    struct ipc__object *object =
        offset != 0 ? ipc__at(v, offset, sizeof *object) : NULL;
    if (object == NULL)
        return NULL;
    *object = (struct ipc__object){.type = type, .version = 1};
    store_relaxed(&arena->serial, arena->serial + 1);
    /* Journalled, so that an undo leaves no serial behind. */
    ipc__put64(v, &object->serial, arena->serial);
    ipc__block_mark_object(v, offset);
    ipc__put64(v, &arena->objects, arena->objects + 1);
    return v->rc < 0 ? NULL : object;
}

/* ---- find ---- */

struct ipc__object *ipc__object_at(struct ipc__visit *v, uint64_t offset)
{
    struct ipc__object *object = ipc__at(v, offset, sizeof *object);
    if (unlikely(object == NULL))
        return NULL;
    if (likely(object->serial != 0 && is_container(type_of(object))))
        return object;
    (void)ipc__visit_spoilt(v, "an object where none is");
    return NULL;
}

/* ---- hold and drop ---- */

void ipc__object_hold(struct ipc__visit *v, struct ipc__object *object)
{
    ipc__put64(v, &object->refs, object->refs + 1);
}

static SLOW_PATH void end(struct ipc__visit *v, struct ipc__object *object)
{
    ipc_arena *arena = v->arena;
    const uint64_t body = object->body;
    const uint64_t type = object->type;
    ipc__put64(v, &arena->objects, arena->objects - 1);
    ipc__put64(v, &object->serial, 0);
    if ((type & IPC__OBJECT_WATCHED) != 0)
        ipc__visit_ring(v);
    if (body != 0)
        ipc__park(v, body,
                  type_of(object) == IPC_TYPE_LIST ? IPC__PARKED_LIST
                                                   : IPC__PARKED_TABLE);
    ipc__park(v, ipc__offset(v, object), IPC__PARKED_BLOCK);
}

void ipc__object_drop(struct ipc__visit *v, struct ipc__object *object)
{
    const uint64_t refs = object->refs;
    if (unlikely(refs == 0)) {
        (void)ipc__visit_spoilt(v, "an object that nobody holds");
        return;
    }
    ipc__put64(v, &object->refs, refs - 1);
    if (refs == 1)
        end(v, object);
}

/* ---- what lies below ---- */

struct below {
    const struct ipc__object *wanted;
    struct ipc__found found; /* those that hold others */
};

/* An object that something below holds.  True: no need to go on. */
static bool see(struct ipc__visit *v, uint64_t offset, void *arg)
{
    struct below *below = arg;
    const struct ipc__object *object = ipc__object_at(v, offset);
    if (object == NULL || object == below->wanted)
        return true;
    if (object->body == 0)
        return false;
    const struct ipc__body *body = ipc__at(v, object->body, sizeof *body);
    if (body == NULL)
        return true;
    return body->nested != 0 &&
           ipc__found_add(v, &below->found, offset) == NULL;
}

/* Those that one of them holds.  True: no need to go on. */
static bool see_nested(struct ipc__visit *v, struct below *below,
                       uint64_t offset)
{
    const struct ipc__object *object = ipc__object_at(v, offset);
    if (object == NULL)
        return true;
    return type_of(object) == IPC_TYPE_LIST
               ? ipc__list_each_nested(v, object->body, see, below)
               : ipc__table_each_nested(v, object->body, see, below);
}

bool ipc__object_holds(struct ipc__visit *v, struct ipc__object *object,
                       const struct ipc__object *wanted)
{
    struct below below = {.wanted = wanted};
    bool ended = see(v, ipc__offset(v, object), &below);
    for (uint64_t i = 0; i < below.found.count && !ended; i++)
        ended = see_nested(v, &below, below.found.all[i].offset) || v->rc < 0;
    ipc__found_fini(&below.found);
    return ended;
}

/* ---- watch ---- */

static int leave_waiting(struct ipc__visit *v, const char *name, int error)
{
    const int rc = ipc__arena_leave_unchanged(v);
    return rc < 0 ? rc : ipc__fail(error, "the %s has not changed", name);
}

int ipc__object_sleep(struct ipc__visit *v, struct ipc__object *object,
                      ipc_deadline deadline)
{
    ipc_arena *arena = v->arena;
    const char *name = ipc_type_name(type_of(object));
    if (!v->outer && deadline != IPC_TIME_NOW)
        (void)ipc__visit_fail(v, -EBUSY,
                              "nobody else can change the %s while the calling "
                              "thread is in a transaction",
                              name);
    if (v->rc < 0)
        return ipc__arena_leave(v);
    if (deadline == IPC_TIME_NOW)
        return leave_waiting(v, name, -EAGAIN);
    if (ipc_time_left(deadline) == 0)
        return leave_waiting(v, name, -ETIMEDOUT);

    if ((object->type & IPC__OBJECT_WATCHED) == 0)
        ipc__put64(v, &object->type, object->type | IPC__OBJECT_WATCHED);
    const uint32_t bell = load_relaxed(&arena->bell);
    const int rc = ipc__arena_leave(v);
    if (rc < 0)
        return rc;
    struct ipc__pace pace = {0};
    bool due = ipc__spin(&arena->bell, bell);
    while (!due && load_relaxed(&arena->bell) == bell &&
           ipc_time_left(deadline) != 0)
        due = ipc__sleep(&pace, &arena->bell, bell, NULL, 0, deadline);
    return 0;
}
