/* Managed arrays, and types of the program's own. */
#include "client/managed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

/* ---- arrays ---- */

static const char array_type[] = "array";

static int check_type(uint32_t type)
{
    if (type == IPC_TYPE_BOOL || type == IPC_TYPE_I64 || type == IPC_TYPE_F64)
        return 0;
    return ipcm__fail(-EINVAL, "an array has no items of type %s",
                      ipc_type_name(type));
}

static int open_array(ipc_manager *manager, const char *name,
                      const struct ipcm__pairs *pairs, const ipc_any *items,
                      size_t count, ipc_managed **out)
{
    const size_t all = pairs->count + count + 2;
    if (count > SIZE_MAX / sizeof(ipc_any) - 64)
        return ipcm__fail(-EINVAL, "an array of %zu items", count);
    ipc_any *options = calloc(all, sizeof *options);
    if (options == NULL)
        return ipcm__fail(-ENOMEM, "no memory for %zu values", count);
    memcpy(options, pairs->items, pairs->count * sizeof *options);
    size_t n = pairs->count;
    if (items != NULL) {
        options[n++] = ipc_str("items");
        if (count > 0)
            memcpy(options + n, items, count * sizeof *options);
        n += count;
    } else {
        options[n++] = ipc_str("length");
        options[n++] = ipc_u64(count);
    }
    const struct ipcm__opening opening = {.type = array_type,
                                          .name = name,
                                          .options = options,
                                          .count = n,
                                          .kept = n};
    const int rc = ipcm__managed_open(manager, &opening, out);
    free(options);
    return rc;
}

/* NOLINTNEXTLINE(readability-function-size): it has as many arguments */
int ipc_manager_array(ipc_manager *manager, const char *name, uint32_t type,
                      size_t count, const ipc_any *initial,
                      const ipc_managed_options *options, ipc_managed **out)
{
    ipc_managed_options given;
    int rc = ipcm__managed_options(options, 0, true, &given);
    if (rc == 0)
        rc = check_type(type);
    if (rc != 0)
        return rc;
    struct ipcm__pairs pairs = {.count = 0};
    if (given.durability != IPC_DURABLE_DEFAULT)
        ipcm__pair(&pairs, "durability", ipc_i64(given.durability));
    ipcm__pair(&pairs, "type", ipc_i64(type));
    return open_array(manager, name, &pairs, initial, count, out);
}

static int is_array(const ipc_managed *array)
{
    return ipcm__managed_is(array, array_type, NULL);
}

int ipc_managed_array_get(ipc_managed *array, int64_t index, ipc_any *out)
{
    const ipc_any arg = ipc_i64(index);
    const int rc = is_array(array);
    return rc != 0 ? rc
                   : ipcm__call_for(&array->target, IPCM__OP_ARRAY_GET, &arg, 1,
                                    out, 1);
}

int ipc_managed_array_set(ipc_managed *array, int64_t index, ipc_any value)
{
    const ipc_any args[] = {ipc_i64(index), value};
    const int rc = is_array(array);
    return rc != 0 ? rc : ipcm__managed_do(array, IPCM__OP_ARRAY_SET, args, 2);
}

int64_t ipc_managed_array_length(ipc_managed *array)
{
    int64_t length = 0;
    int rc = is_array(array);
    if (rc == 0)
        rc = ipcm__managed_number(array, IPCM__OP_ARRAY_LENGTH, NULL, 0,
                                  &length);
    return rc != 0 ? rc : length;
}

int ipc_managed_array_slice(ipc_managed *array, int64_t start, int64_t stop,
                            ipc_anys *out)
{
    const ipc_any args[] = {ipc_i64(start), ipc_i64(stop)};
    struct ipcm__target *target = &array->target;
    int rc = is_array(array);
    if (rc == 0)
        rc = ipcm__call(target, IPCM__OP_ARRAY_SLICE, args, 2, IPC_TIME_NOW,
                        out);
    return rc < 0 ? rc : 0;
}

int ipc_managed_array_put(ipc_managed *array, int64_t start,
                          const ipc_any *values, size_t count)
{
    int rc = is_array(array);
    if (rc != 0)
        return rc;
    if (count > SIZE_MAX / sizeof(ipc_any) - 1 || (count > 0 && values == NULL))
        return ipcm__fail(-EINVAL, "%zu values that cannot be", count);
    ipc_any *args = malloc((count + 1) * sizeof *args);
    if (args == NULL)
        return ipcm__fail(-ENOMEM, "no memory for %zu values", count);
    args[0] = ipc_i64(start);
    if (count > 0)
        memcpy(args + 1, values, count * sizeof *args);
    rc = ipcm__managed_do(array, IPCM__OP_ARRAY_PUT, args, count + 1);
    free(args);
    return rc;
}

/* ---- types of the program's own ---- */

int ipc_manager_object(ipc_manager *manager, const char *type, const char *name,
                       const ipc_any *args, size_t count, ipc_managed **out)
{
    if (count > 0 && args == NULL)
        return ipcm__fail(-EINVAL, "arguments that are NULL");
    if (strlen(type) >= sizeof(((struct ipcm__target *)0)->type_name))
        return ipcm__fail(-EINVAL, "\"%s\" is too long for a type", type);
    for (size_t i = 0; i < count; i++)
        if (ipcm__is_container(&args[i]))
            return ipcm__fail(-EINVAL, "a handle cannot be an argument");
    const struct ipcm__opening opening = {.type = type,
                                          .name = name,
                                          .options = args,
                                          .count = count,
                                          .kept = count};
    return ipcm__managed_open(manager, &opening, out);
}

int ipc_managed_call(ipc_managed *object, const char *method,
                     const ipc_any *args, size_t count, ipc_anys *out)
{
    struct ipcm__target *target = &object->target;
    if (count > 0 && args == NULL)
        return ipcm__fail(-EINVAL, "arguments that are NULL");
    ipc_any *all = count < SIZE_MAX / sizeof *all - 1
                       ? malloc((count + 1) * sizeof *all)
                       : NULL;
    if (all == NULL)
        return ipcm__fail(-ENOMEM, "no memory for %zu values", count);
    all[0] = ipc_str(method);
    if (count > 0)
        memcpy(all + 1, args, count * sizeof *all);
    const int rc =
        ipcm__call(target, IPCM__OP_CALL, all, count + 1, IPC_TIME_NOW, out);
    free(all);
    return rc;
}
