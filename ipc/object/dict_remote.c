/* Dicts, sets and namespaces of somebody else's: arguments and results. */
#include "core/error.h"
#include "object/dict.h"

static int fail_result(void)
{
    return ipc__fail(-EPROTO, "a result of a type that was not expected");
}

/* Ends the value. */
static int take_number(ipc_any *any, int64_t *out)
{
    if (any->type == IPC_TYPE_I64) {
        *out = any->i64;
        return 0;
    }
    if (any->type == IPC_TYPE_BOOL) {
        *out = any->boolean;
        return 0;
    }
    ipc_any_free(any);
    return fail_result();
}

/* One number, whatever it is. */
static int call_number(struct ipc__handle *handle, enum ipc_op op,
                       const ipc_any *args, size_t count, int64_t *out)
{
    ipc_any result;
    const int rc = ipc__remote_call(handle, op, args, count, &result, 1);
    return rc < 0 ? rc : take_number(&result, out);
}

int ipc__map_remote_number(struct ipc__handle *handle, enum ipc_op op,
                           const ipc_any *args, size_t count, int64_t *out)
{
    int64_t number;
    const int rc = call_number(handle, op, args, count, &number);
    if (rc < 0)
        return rc;
    if (number < 0)
        return fail_result();
    *out = number;
    return 0;
}

int ipc__map_remote_flag(struct ipc__handle *handle, enum ipc_op op,
                         const ipc_any *args, size_t count)
{
    int64_t number;
    const int rc = ipc__map_remote_number(handle, op, args, count, &number);
    return rc < 0 ? rc : number != 0;
}

int ipc__map_remote_handle(struct ipc__handle *handle, enum ipc_op op,
                           const ipc_any *args, size_t count, uint32_t type,
                           struct ipc__handle **out)
{
    ipc_any result;
    const int rc = ipc__remote_call(handle, op, args, count, &result, 1);
    if (rc < 0)
        return rc;
    if (result.type != type) {
        ipc_any_free(&result);
        return fail_result();
    }
    *out = (struct ipc__handle *)(void *)result.list;
    return 0;
}

int ipc__map_remote_other(struct ipc__handle *handle, enum ipc_op op,
                          struct ipc__handle *other, bool flag)
{
    if (!ipc__is_remote(other))
        return ipc__fail(-EXDEV, "the other %s lives in an arena",
                         ipc_type_name(other->type));
    ipc_any arg = ipc_any_with_type(other->type);
    arg.list = (ipc_list *)(void *)other;
    return flag ? ipc__map_remote_flag(handle, op, &arg, 1)
                : ipc__remote_call(handle, op, &arg, 1, NULL, 0);
}

/* ---- places and versions ---- */

/* Any unsigned number. */
static bool take_count(const ipc_any *any, uint64_t *out)
{
    if (any->type != IPC_TYPE_U64 &&
        (any->type != IPC_TYPE_I64 || any->i64 < 0))
        return false;
    *out = any->u64;
    return true;
}

int ipc__map_remote_next(struct ipc__handle *handle, enum ipc_op op,
                         uint64_t *after, ipc_any *out, size_t count)
{
    const ipc_any arg = ipc_u64(*after);
    ipc_anys results;
    int rc = ipc__remote_call_many(handle, op, &arg, 1, &results);
    if (rc < 0)
        return rc;
    if (results.count == 0) {
        ipc_anys_free(&results);
        return 0;
    }
    rc = 1;
    if (results.count != 1 + count || !take_count(&results.items[0], after))
        rc = fail_result();
    for (size_t i = 0; rc == 1 && i < count; i++) {
        out[i] = results.items[1 + i];
        results.items[1 + i] = ipc_nil();
    }
    ipc_anys_free(&results);
    return rc;
}

int ipc__map_remote_watch(struct ipc__handle *handle, enum ipc_op op,
                          const ipc_any *key, uint64_t *version, ipc_any *out,
                          ipc_deadline deadline)
{
    const int64_t left =
        deadline == IPC_TIME_FOREVER ? -1 : ipc_time_left(deadline);
    const ipc_any args[] = {key != NULL ? *key : ipc_nil(), ipc_u64(*version),
                            ipc_i64(left)};
    const size_t without = key == NULL;
    ipc_any results[2] = {ipc_nil(), ipc_nil()};
    int rc = ipc__remote_call(handle, op, args + without, 3 - without, results,
                              2 - without);
    if (rc < 0)
        return rc;
    if (!take_count(&results[0], version)) {
        ipc_any_free(&results[0]);
        rc = fail_result();
    } else if (out != NULL) {
        *out = results[1];
        return 0;
    }
    ipc_any_free(&results[1]);
    return rc;
}

/* ---- of dicts only ---- */

int ipc__dict_remote_setdefault(struct ipc__handle *handle, const ipc_any *key,
                                const ipc_any *value, ipc_any *out)
{
    const ipc_any args[] = {*key, *value};
    ipc_any results[2];
    int64_t is_new;
    int rc =
        ipc__remote_call(handle, IPC_OP_DICT_SETDEFAULT, args, 2, results, 2);
    if (rc < 0)
        return rc;
    rc = take_number(&results[0], &is_new);
    if (rc == 0 && out != NULL)
        *out = results[1];
    else
        ipc_any_free(&results[1]);
    return rc < 0 ? rc : is_new != 0;
}

int ipc__dict_remote_incr(struct ipc__handle *handle, const ipc_any *key,
                          int64_t by, int64_t *out)
{
    const ipc_any args[] = {*key, ipc_i64(by)};
    int64_t sum;
    const int rc = call_number(handle, IPC_OP_DICT_INCR, args, 2, &sum);
    if (rc == 0 && out != NULL)
        *out = sum;
    return rc;
}

int ipc__dict_remote_cas(struct ipc__handle *handle, const ipc_any *key,
                         const ipc_any *expected, const ipc_any *value)
{
    const ipc_any args[] = {*key, ipc_bool(expected != NULL),
                            expected != NULL ? *expected : ipc_nil(),
                            ipc_bool(value != NULL),
                            value != NULL ? *value : ipc_nil()};
    return ipc__map_remote_flag(handle, IPC_OP_DICT_CAS, args, 5);
}

int ipc__dict_remote_popitem(struct ipc__handle *handle, ipc_any *key,
                             ipc_any *value)
{
    ipc_any results[2];
    const int rc =
        ipc__remote_call(handle, IPC_OP_DICT_POPITEM, NULL, 0, results, 2);
    if (rc < 0)
        return rc;
    *key = results[0];
    *value = results[1];
    return 0;
}
