/* Managed objects: having one, values. */
#include "client/managed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "fail.h"

/* ---- to have one ---- */

int ipcm__managed_open(ipc_manager *manager,
                       const struct ipcm__opening *opening, ipc_managed **out)
{
    ipc_managed *object = calloc(1, sizeof *object);
    if (object == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a handle");
    uint32_t place = 0;
    const int rc = ipcm__open(manager, opening, &object->target, &place);
    if (rc < 0)
        free(object);
    else
        *out = object;
    return rc;
}

int ipcm__managed_make(ipc_manager *manager, const char *type, const char *name,
                       const struct ipcm__pairs *pairs, ipc_managed **out)
{
    const struct ipcm__opening opening = {
        .type = type,
        .name = name,
        .options = pairs->items,
        .count = pairs->count,
        .kept = pairs->count,
    };
    return ipcm__managed_open(manager, &opening, out);
}

int ipcm__managed_options(const ipc_managed_options *given, uint32_t flags,
                          bool durable, ipc_managed_options *out)
{
    const int rc = ipc__options_read(out, sizeof *out, given);
    if (rc != 0)
        return ipcm__fail(rc, "options of another version");
    if ((out->flags & ~flags) != 0)
        return ipcm__fail(-EINVAL, "flags 0x%x are not for this type",
                          out->flags & ~flags);
    if (out->durability > IPC_DURABLE_ALWAYS ||
        (!durable && out->durability > IPC_DURABLE_NONE))
        return ipcm__fail(-EINVAL, "durability %u is not for this type",
                          out->durability);
    return 0;
}

int ipc_managed_close(ipc_managed *object)
{
    if (object == NULL)
        return 0;
    ipcm__target_end(&object->target);
    free(object);
    return 0;
}

const char *ipc_managed_type(const ipc_managed *object)
{
    return object->target.type_name;
}

/* ---- calls ---- */

int ipcm__managed_is(const ipc_managed *object, const char *type,
                     const char *other)
{
    const char *is = object->target.type_name;
    if (strcmp(is, type) == 0 || (other != NULL && strcmp(is, other) == 0))
        return 0;
    return ipcm__fail(-EINVAL, "the object is a %s, and no %s", is, type);
}

int ipcm__managed_do(ipc_managed *object, uint32_t op, const ipc_any *args,
                     size_t count)
{
    return ipcm__call_for(&object->target, op, args, count, NULL, 0);
}

int ipcm__managed_number(ipc_managed *object, uint32_t op, const ipc_any *args,
                         size_t count, int64_t *out)
{
    ipc_any result;
    const int rc = ipcm__call_for(&object->target, op, args, count, &result, 1);
    if (rc < 0)
        return rc;
    if (result.type != IPC_TYPE_I64) {
        ipc_any_free(&result);
        return ipcm__fail(-EPROTO, "a result that is no number");
    }
    *out = result.i64;
    return 0;
}

int ipcm__managed_wait(ipc_managed *object, uint32_t op, const ipc_any *args,
                       size_t count, ipc_deadline deadline)
{
    struct ipcm__target *target = &object->target;
    return ipcm__call(target, op, args, count, deadline, NULL);
}

/* ---- value ---- */

static void add_durability(struct ipcm__pairs *pairs,
                           const ipc_managed_options *options)
{
    if (options->durability != IPC_DURABLE_DEFAULT)
        ipcm__pair(pairs, "durability", ipc_i64(options->durability));
}

int ipc_manager_value(ipc_manager *manager, const char *name, ipc_any initial,
                      const ipc_managed_options *options, ipc_managed **out)
{
    ipc_managed_options given;
    const int rc = ipcm__managed_options(options, 0, true, &given);
    if (rc != 0)
        return rc;
    if (ipcm__is_container(&initial))
        return ipcm__fail(-EINVAL, "a value is no handle");
    struct ipcm__pairs pairs = {.count = 0};
    add_durability(&pairs, &given);
    ipcm__pair(&pairs, "value", initial);
    return ipcm__managed_make(manager, "value", name, &pairs, out);
}

static int is_value(const ipc_managed *value)
{
    return ipcm__managed_is(value, "value", NULL);
}

int ipc_managed_value_get(ipc_managed *value, ipc_any *out)
{
    const int rc = is_value(value);
    return rc != 0 ? rc
                   : ipcm__call_for(&value->target, IPCM__OP_VALUE_GET, NULL, 0,
                                    out, 1);
}

int ipc_managed_value_set(ipc_managed *value, ipc_any new_value)
{
    const int rc = is_value(value);
    return rc != 0 ? rc
                   : ipcm__managed_do(value, IPCM__OP_VALUE_SET, &new_value, 1);
}

int ipc_managed_value_incr(ipc_managed *value, int64_t by, int64_t *out)
{
    const ipc_any arg = ipc_i64(by);
    ipc_any sum;
    int rc = is_value(value);
    if (rc == 0)
        rc = ipcm__call_for(&value->target, IPCM__OP_VALUE_INCR, &arg, 1, &sum,
                            1);
    if (rc < 0)
        return rc;
    if (out != NULL)
        *out = sum.i64;
    ipc_any_free(&sum);
    return 0;
}

int ipc_managed_value_cas(ipc_managed *value, ipc_any expected,
                          ipc_any new_value)
{
    const ipc_any args[] = {expected, new_value};
    int64_t done = 0;
    int rc = is_value(value);
    if (rc == 0)
        rc = ipcm__managed_number(value, IPCM__OP_VALUE_CAS, args, 2, &done);
    return rc != 0 ? rc : done != 0;
}
