/* Values on their way out and in: numbers for handles, and copies. */
#include "client/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/fork.h"
#include "fail.h"

/* ---- copies ---- */

int ipcm__copy_value(const ipc_any *value, ipc_any *out)
{
    *out = *value;
    if (value->type != IPC_TYPE_STR && value->type != IPC_TYPE_BYTES)
        return 0;
    char *copy = malloc((size_t)value->size + 1);
    if (copy == NULL)
        return ipcm__fail(-ENOMEM, "no memory for %u bytes", value->size);
    if (value->size > 0)
        memcpy(copy, value->bytes, value->size);
    copy[value->size] = '\0';
    out->bytes = copy;
    return 0;
}

int ipcm__copy_values(const ipc_any *values, size_t count, ipc_anys *out)
{
    ipc_anys copies = {NULL, 0};
    if (count == 0) {
        *out = copies;
        return 0;
    }
    copies.items = calloc(count, sizeof *copies.items);
    if (copies.items == NULL)
        return ipcm__fail(-ENOMEM, "no memory for %zu values", count);
    for (; copies.count < count; copies.count++) {
        const int rc = ipcm__copy_value(&values[copies.count],
                                        &copies.items[copies.count]);
        if (rc != 0) {
            ipcm__free_numbers(&copies);
            return rc;
        }
    }
    *out = copies;
    return 0;
}

void ipcm__free_numbers(ipc_anys *values)
{
    for (size_t i = 0; i < values->count; i++)
        if (ipcm__is_container(&values->items[i]))
            values->items[i] = ipc_nil();
    ipc_anys_free(values);
}

/* ---- out ---- */

int ipcm__to_wire(const ipc_manager *manager, uint64_t epoch,
                  const ipc_any *value, ipc_any *out)
{
    *out = *value;
    if (!ipcm__is_container(value))
        return 0;
    if (value->list == NULL)
        return ipcm__fail(-EINVAL, "a handle that is NULL");
    ipc_managed *there = ipc_remote_data(value, &ipcm__remote_container);
    if (there == NULL)
        return ipcm__fail(-EXDEV,
                          "the %s is used directly, and cannot be part "
                          "of what the manager serves",
                          ipc_type_name(value->type));
    if (there->target.manager != manager)
        return ipcm__fail(-EXDEV, "the %s is another manager's",
                          ipc_type_name(value->type));
    return ipcm__target_id(&there->target, epoch, &out->u64);
}

int ipcm__all_to_wire(const ipc_manager *manager, uint64_t epoch,
                      const ipc_any *values, size_t count, ipc_any **out)
{
    bool containers = false;
    for (size_t i = 0; i < count; i++)
        containers = containers || ipcm__is_container(&values[i]);
    if (!containers) {
        *out = (ipc_any *)(uintptr_t)values;
        return 0;
    }
    ipc_any *numbers = malloc(count * sizeof *numbers);
    if (numbers == NULL)
        return ipcm__fail(-ENOMEM, "no memory for %zu values", count);
    for (size_t i = 0; i < count; i++) {
        const int rc = ipcm__to_wire(manager, epoch, &values[i], &numbers[i]);
        if (rc != 0) {
            free(numbers);
            return rc;
        }
    }
    *out = numbers;
    return 0;
}

/* ---- in ---- */

/* The handle has the reference that came with the number; also if it fails. */
static int make_handle(ipc_manager *manager, const struct ipcm__ask *ask,
                       ipc_any *value)
{
    struct ipcm__target target = {
        .manager = manager,
        .id = value->u64,
        .instance = ask->instance,
        .epoch = ask->epoch,
        .process = ipcm__process(),
        .type = value->type,
    };
    ipcm__manager_hold(manager);
    *value = ipc_nil();
    const int rc = ipcm__remote_handle(&target, value);
    if (rc != 0)
        ipcm__target_end(&target);
    return rc;
}

int ipcm__from_wire(ipc_manager *manager, const struct ipcm__ask *ask,
                    ipc_anys *values)
{
    int rc = 0;
    for (size_t i = 0; i < values->count; i++) {
        ipc_any *value = &values->items[i];
        if (!ipcm__is_container(value))
            continue;
        if (rc == 0) {
            rc = make_handle(manager, ask, value);
        } else {
            ipcm__link_tell(manager, ask->epoch, value->u64);
            *value = ipc_nil();
        }
    }
    if (rc != 0)
        ipc_anys_free(values);
    return rc;
}
