/* Readers of arguments. */
#include "wire/wire.h"

#include <errno.h>
#include <inttypes.h>

#include "fail.h"

/* The argument at a place, counted from 0; to people from 1. */
static int find(const struct ipcm__request *request, size_t place,
                const char *wanted, const ipc_any **out)
{
    if (place >= request->count)
        return ipcm__fail(-EINVAL, "%s has no argument %zu, %s",
                          ipcm__op_name(request->op), place + 1, wanted);
    *out = &request->args[place];
    return 0;
}

static int fail_type(const struct ipcm__request *request, size_t place,
                     const char *wanted)
{
    return ipcm__fail(-EINVAL, "argument %zu of %s is no %s but of type %s",
                      place + 1, ipcm__op_name(request->op), wanted,
                      ipc_type_name(request->args[place].type));
}

int ipcm__arg_i64(const struct ipcm__request *request, size_t place,
                  int64_t low, int64_t high, int64_t *out)
{
    const ipc_any *arg;
    const int rc = find(request, place, "an integer", &arg);
    if (rc < 0)
        return rc;
    if (arg->type == IPC_TYPE_I64 && arg->i64 >= low && arg->i64 <= high) {
        *out = arg->i64;
        return 0;
    }
    if (arg->type != IPC_TYPE_I64 && arg->type != IPC_TYPE_U64)
        return fail_type(request, place, "integer");
    return ipcm__fail(
        -EINVAL, "argument %zu of %s is not between %" PRId64 " and %" PRId64,
        place + 1, ipcm__op_name(request->op), low, high);
}

int ipcm__arg_u64(const struct ipcm__request *request, size_t place,
                  uint64_t *out)
{
    const ipc_any *arg;
    const int rc = find(request, place, "an integer", &arg);
    if (rc < 0)
        return rc;
    if (arg->type != IPC_TYPE_I64 && arg->type != IPC_TYPE_U64)
        return fail_type(request, place, "integer");
    if (arg->type == IPC_TYPE_I64 && arg->i64 < 0)
        return ipcm__fail(-EINVAL, "argument %zu of %s is negative", place + 1,
                          ipcm__op_name(request->op));
    *out = arg->u64;
    return 0;
}

int ipcm__arg_bool(const struct ipcm__request *request, size_t place, bool *out)
{
    const ipc_any *arg;
    const int rc = find(request, place, "true or false", &arg);
    if (rc < 0)
        return rc;
    if (arg->type != IPC_TYPE_BOOL)
        return fail_type(request, place, "bool");
    *out = arg->boolean;
    return 0;
}

int ipcm__arg_str(const struct ipcm__request *request, size_t place,
                  const char **out, size_t *bytes)
{
    const ipc_any *arg;
    const int rc = find(request, place, "a string", &arg);
    if (rc < 0)
        return rc;
    if (arg->type != IPC_TYPE_STR)
        return fail_type(request, place, "string");
    *out = arg->str;
    *bytes = arg->size;
    return 0;
}

int ipcm__arg_count(const struct ipcm__request *request, size_t low,
                    size_t high)
{
    if (request->count >= low && request->count <= high)
        return 0;
    if (low == high)
        return ipcm__fail(-EINVAL, "%s has %zu arguments, not %zu",
                          ipcm__op_name(request->op), low, request->count);
    if (request->count < low)
        return ipcm__fail(-EINVAL, "%s has %zu or more arguments, not %zu",
                          ipcm__op_name(request->op), low, request->count);
    return ipcm__fail(-EINVAL, "%s has at most %zu arguments, not %zu",
                      ipcm__op_name(request->op), high, request->count);
}
