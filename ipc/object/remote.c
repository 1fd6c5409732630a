/* Calls on handles whose object is somebody else's. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/error.h"
#include "object/object.h"

static void *data_of(const struct ipc__handle *handle)
{
    return (void *)(uintptr_t)handle->at;
}

int ipc__remote_call_many(struct ipc__handle *handle, enum ipc_op op,
                          const ipc_any *args, size_t count, ipc_anys *out)
{
    ipc_anys results = {NULL, 0};
    const int rc = handle->remote->call(data_of(handle), (uint32_t)op, args,
                                        count, &results);
    if (rc < 0) {
        ipc_anys_free(&results);
        return rc;
    }
    *out = results;
    return rc;
}

int ipc__remote_call(struct ipc__handle *handle, enum ipc_op op,
                     const ipc_any *args, size_t count, ipc_any *out,
                     size_t want)
{
    ipc_anys results;
    const int rc = ipc__remote_call_many(handle, op, args, count, &results);
    if (rc < 0)
        return rc;
    if (results.count != want) {
        const size_t got = results.count;
        ipc_anys_free(&results);
        return ipc__fail(-EPROTO, "%zu results came where %zu were expected",
                         got, want);
    }
    for (size_t i = 0; i < want; i++) {
        out[i] = results.items[i];
        results.items[i] = ipc_nil();
    }
    ipc_anys_free(&results);
    return rc;
}

void ipc__remote_close(struct ipc__handle *handle)
{
    handle->remote->close(data_of(handle));
    free(handle);
}

/* ---- for those who serve them ---- */

int ipc_remote_handle(uint32_t type, const ipc_remote *remote, void *data,
                      ipc_any *out)
{
    if (type < IPC_TYPE_LIST || type > IPC_TYPE_NAMESPACE)
        return ipc__fail(-EINVAL, "%u is no type of handles", type);
    struct ipc__handle *handle = calloc(1, sizeof *handle);
    if (handle == NULL)
        return ipc__fail(-ENOMEM, "no memory for a handle");
    handle->type = type;
    handle->remote = remote;
    handle->at = (uintptr_t)data;
    *out = ipc_any_with_type(type);
    out->list = (ipc_list *)handle;
    return 0;
}

static const struct ipc__handle *handle_of(const ipc_any *any)
{
    return any->type >= IPC_TYPE_LIST && any->type <= IPC_TYPE_NAMESPACE
               ? (const struct ipc__handle *)any->list
               : NULL;
}

void *ipc_remote_data(const ipc_any *any, const ipc_remote *remote)
{
    const struct ipc__handle *handle = handle_of(any);
    return handle != NULL && ipc__is_remote(handle) && handle->remote == remote
               ? data_of(handle)
               : NULL;
}

uint64_t ipc_any_identity(const ipc_any *any)
{
    const struct ipc__handle *handle = handle_of(any);
    if (handle == NULL)
        return 0;
    if (!ipc__is_remote(handle))
        return handle->serial;
    return handle->remote->identity != NULL
               ? handle->remote->identity(data_of(handle))
               : (uintptr_t)handle;
}

void ipc_remote_detail(const char *format, ...)
{
    char line[200];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    (void)ipc__fail(0, "%s", line);
}
