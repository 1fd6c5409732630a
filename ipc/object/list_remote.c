/* Lists of somebody else's: what does not fit into one line. */
#include "core/error.h"
#include "object/list.h"

#include <stdlib.h>
#include <string.h>

static int fail_result(void)
{
    return ipc__fail(-EPROTO, "a result of a type that was not expected");
}

int ipc__list_remote_number(ipc_list *list, enum ipc_op op, const ipc_any *args,
                            size_t count, int64_t *out)
{
    ipc_any result;
    const int rc = ipc__remote_call(&list->handle, op, args, count, &result, 1);
    if (rc != 0)
        return rc;
    if (result.type != IPC_TYPE_I64 || result.i64 < 0) {
        ipc_any_free(&result);
        return fail_result();
    }
    *out = result.i64;
    return 0;
}

int ipc__list_remote_handle(ipc_list *list, enum ipc_op op, const ipc_any *args,
                            size_t count, uint32_t type,
                            struct ipc__handle **out)
{
    ipc_any result;
    const int rc = ipc__remote_call(&list->handle, op, args, count, &result, 1);
    if (rc != 0)
        return rc;
    if (result.type != type) {
        ipc_any_free(&result);
        return fail_result();
    }
    *out = (struct ipc__handle *)result.list;
    return 0;
}

int ipc__list_remote_replace(ipc_list *list, int64_t start, int64_t stop,
                             const ipc_any *values, size_t count)
{
    ipc_any *args = NULL;
    if (count < SIZE_MAX / sizeof *args - 2)
        args = malloc((count + 2) * sizeof *args);
    if (args == NULL)
        return ipc__fail(-ENOMEM, "no memory for %zu values", count);
    args[0] = ipc_i64(start);
    args[1] = ipc_i64(stop);
    if (count > 0)
        memcpy(args + 2, values, count * sizeof *args);
    const int rc = ipc__remote_call(&list->handle, IPC_OP_LIST_REPLACE, args,
                                    count + 2, NULL, 0);
    free(args);
    return rc;
}

int ipc__list_remote_pop(ipc_list *list, int64_t index, uint32_t type,
                         ipc_any *out)
{
    const ipc_any args[] = {ipc_i64(index), ipc_i64(type)};
    ipc_any value;
    const int rc = ipc__remote_call(&list->handle, IPC_OP_LIST_POP, args,
                                    type != 0 ? 2 : 1, &value, 1);
    if (rc != 0)
        return rc;
    if (type != 0 && value.type != type) {
        ipc_any_free(&value);
        return ipc__fail(-EPROTO, "another item came than a %s",
                         ipc_type_name(type));
    }
    if (out != NULL)
        *out = value;
    else
        ipc_any_free(&value);
    return 0;
}

int ipc__list_remote_watch(ipc_list *list, uint64_t *version,
                           ipc_deadline deadline)
{
    const int64_t left = ipc_time_left(deadline);
    const ipc_any args[] = {ipc_u64(*version),
                            ipc_i64(deadline == IPC_TIME_FOREVER ? -1 : left)};
    int64_t now = 0;
    const int rc =
        ipc__list_remote_number(list, IPC_OP_LIST_WATCH, args, 2, &now);
    if (rc == 0)
        *version = (uint64_t)now;
    return rc;
}
