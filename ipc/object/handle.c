/* Handles: an arena, where in it, and the serial of what was there.
 *
 * State
 *   Of a handle: nothing of it changes, but `next`.
 *   ended  private to the thread: what it has freed in a transaction
 *
 * A handle is weak: it keeps nothing alive, and finds out by the serial.  The
 * one that ..._new() returns stands for a reference, IPC__OBJECT_OWNED, which
 * ..._free() drops.  Where that is done in a transaction, its memory has to
 * stay until one knows how that ends: it waits in `ended`.
 *
 * Death
 *   Between the allocation of a handle in family memory and the return of
 *   ..._new() the handle is lost, and the object too if the visit was over: as
 *   with all family memory that a dead member had told nobody about. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <ipc/shared.h>

#include "core/error.h"
#include "core/region.h"
#include "memory/shared.h"
#include "object/object.h"

_Static_assert(sizeof(struct ipc__handle) == 64, "handle layout");

/* ---- enter ---- */

static SLOW_PATH int fail_type(const struct ipc__handle *handle, uint32_t type)
{
    const bool is_one =
        handle->type >= IPC_TYPE_LIST && handle->type <= IPC_TYPE_NAMESPACE;
    return ipc__fail(
        -EINVAL, "the handle of %s%s, not of a %s", is_one ? "a " : "nothing",
        is_one ? ipc_type_name(handle->type) : "", ipc_type_name(type));
}

static SLOW_PATH int leave_again(struct ipc__visit *v, bool stale,
                                 uint32_t type)
{
    if (stale)
        (void)ipc__visit_fail(v, -ESTALE, "the %s is no more",
                              ipc_type_name(type));
    else
        (void)ipc__visit_spoilt(v, "an object's type");
    (void)ipc__arena_leave_unchanged(v);
    return stale ? -ESTALE : -EUCLEAN;
}

int ipc__handle_enter(struct ipc__visit *v, const struct ipc__handle *handle,
                      uint32_t type, struct ipc__object **out)
{
    if (unlikely(handle->type != type))
        return fail_type(handle, type);
    const int rc = ipc__arena_enter(v, handle->arena);
    if (unlikely(rc != 0))
        return rc;
    struct ipc__object *object = ipc__handle_object(v, handle);
    if (unlikely(object == NULL || (object->type & IPC__OBJECT_TYPE) != type))
        return leave_again(v, object == NULL, type);
    *out = object;
    return 0;
}

/* ---- memory ---- */

static bool is_in_family(const ipc_arena *arena)
{
    const struct ipc__region *region = ipc__region_find(arena, NULL, NULL);
    return region != NULL && region->facts.kind == IPC__REGION_FAMILY;
}

static int allocate(bool family, struct ipc__handle **out)
{
    void *memory = NULL;
    const int rc = family ? ipc__shared_alloc(sizeof **out, &memory) : 0;
    if (rc != 0)
        return rc;
    if (!family)
        memory = calloc(1, sizeof **out);
    if (memory == NULL)
        return ipc__fail(-ENOMEM, "no memory for a handle");
    *out = memory;
    (*out)->family = family;
    return 0;
}

static void release(struct ipc__handle *handle)
{
    handle->type = 0;
    if (handle->family != 0)
        (void)ipc_shared_free(handle);
    else
        free(handle);
}

static void fill(struct ipc__handle *handle, const struct ipc__visit *v,
                 const struct ipc__object *object)
{
    handle->type = (uint32_t)(object->type & IPC__OBJECT_TYPE);
    handle->arena = v->arena;
    handle->at = ipc__offset(v, object);
    handle->serial = object->serial;
}

/* ---- of what is there already ---- */

struct ipc__handle *ipc__handle_make(struct ipc__visit *v,
                                     const struct ipc__object *object)
{
    struct ipc__handle *handle = NULL;
    if (v->rc < 0)
        return NULL;
    const int rc = allocate(false, &handle);
    if (rc != 0) {
        v->rc = rc;
        return NULL;
    }
    fill(handle, v, object);
    return handle;
}

int ipc__handle_close(struct ipc__handle *handle)
{
    if (handle == NULL)
        return 0;
    if (ipc__is_remote(handle)) {
        ipc__remote_close(handle);
        return 0;
    }
    if (handle->owner != 0)
        return ipc__fail(
            -EINVAL, "the %s was made by ipc_%s_new(): it has to be freed",
            ipc_type_name(handle->type), ipc_type_name(handle->type));
    release(handle);
    return 0;
}

/* ---- freed in a transaction ---- */

static __thread struct {
    struct ipc__handle *first;
    pid_t process; /* a child forked meanwhile has nothing of it */
} ended;

static void add_to_ended(struct ipc__handle *handle)
{
    const pid_t process = getpid();
    if (ended.process != process)
        ended.first = NULL;
    ended.process = process;
    handle->next = (uintptr_t)ended.first;
    ended.first = handle;
}

static struct ipc__handle *next_of(const struct ipc__handle *handle)
{
    return (struct ipc__handle *)(uintptr_t)handle->next;
}

static bool has_ended(const struct ipc__handle *handle)
{
    const struct ipc__handle *at =
        ended.process == getpid() ? ended.first : NULL;
    while (at != NULL && at != handle)
        at = next_of(at);
    return at != NULL;
}

/* Not so if the transaction was aborted: then the object is as it was before,
 * or it never was. */
static void settle(struct ipc__handle *handle)
{
    struct ipc__visit v;
    if (ipc__arena_enter(&v, handle->arena) != 0)
        return;
    const struct ipc__object *object = ipc__handle_object(&v, handle);
    const bool owned =
        object != NULL && (object->type & IPC__OBJECT_OWNED) != 0;
    (void)ipc__arena_leave_unchanged(&v);
    if (!owned)
        release(handle);
}

static SLOW_PATH void settle_all(const ipc_arena *arena)
{
    struct ipc__handle *at = ended.process == getpid() ? ended.first : NULL;
    ended.first = NULL;
    while (at != NULL) {
        struct ipc__handle *next = next_of(at);
        if (at->arena == arena)
            settle(at);
        else
            add_to_ended(at);
        at = next;
    }
}

void ipc__handles_settle(const ipc_arena *arena)
{
    if (unlikely(ended.first != NULL))
        settle_all(arena);
}

/* ---- new and free ---- */

int ipc__handle_new(ipc_arena *arena, uint32_t type, struct ipc__handle **out)
{
    struct ipc__visit v;
    struct ipc__handle *handle;
    int rc = ipc__arena_or_default(arena, &arena);
    if (rc == 0)
        rc = allocate(is_in_family(arena), &handle);
    if (rc != 0)
        return rc;
    rc = ipc__arena_enter(&v, arena);
    if (rc != 0)
        goto fail;
    struct ipc__object *object = ipc__object_make(&v, type);
    if (object != NULL) {
        object->type |= IPC__OBJECT_OWNED;
        object->refs = 1;
        fill(handle, &v, object);
        handle->owner = 1;
    }
    rc = ipc__arena_leave(&v);
    if (rc != 0)
        goto fail;
    *out = handle;
    return 0;
fail:
    release(handle);
    return rc;
}

static int fail_ended(uint32_t type)
{
    return ipc__fail(-EINVAL,
                     "the %s was not made by ipc_%s_new(), or was freed before",
                     ipc_type_name(type), ipc_type_name(type));
}

/* Its object never was: the transaction that made it was aborted; or it was
 * freed in the one that goes on. */
static int free_stale(struct ipc__handle *handle, uint32_t type)
{
    if (has_ended(handle))
        return fail_ended(type);
    release(handle);
    return 0;
}

int ipc__handle_free(struct ipc__handle *handle, uint32_t type)
{
    struct ipc__visit v;
    struct ipc__object *object;
    if (handle == NULL)
        return 0;
    if (handle->type == type && ipc__is_remote(handle))
        return ipc__handle_close(handle);
    if (handle->owner == 0)
        return fail_ended(type);
    int rc = ipc__handle_enter(&v, handle, type, &object);
    if (rc == -ESTALE)
        return free_stale(handle, type);
    if (rc != 0)
        return rc;
    const bool in_transaction = !v.outer;
    if ((object->type & IPC__OBJECT_OWNED) == 0) {
        (void)ipc__arena_leave_unchanged(&v);
        return fail_ended(type);
    }
    ipc__put64(&v, &object->type, object->type & ~(uint64_t)IPC__OBJECT_OWNED);
    ipc__object_drop(&v, object);
    rc = ipc__arena_leave(&v);
    if (rc != 0)
        return rc;
    if (!in_transaction)
        release(handle);
    else if (!has_ended(handle))
        add_to_ended(handle);
    return 0;
}
