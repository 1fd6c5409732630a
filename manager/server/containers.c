/* Containers by number: which function it is, and whether its arguments are as
 * many as it takes. */
#include "server/containers_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ipc/list.h>
#include <ipc/namespace.h>
#include <ipc/remote.h>
#include <ipc/set.h>

#include "fail.h"
#include "wire/wire.h"

/* ---- results ---- */

int ipcm__results_room(ipc_anys *results, size_t count)
{
    results->items = calloc(count != 0 ? count : 1, sizeof *results->items);
    if (results->items == NULL)
        return ipcm__fail(-ENOMEM, "no memory for %zu results", count);
    results->count = count;
    return 0;
}

int ipcm__result_one(ipc_anys *results, ipc_any value)
{
    const int rc = ipcm__results_room(results, 1);
    if (rc != 0)
        ipc_any_free(&value);
    else
        results->items[0] = value;
    return rc;
}

int ipcm__result_two(ipc_anys *results, ipc_any first, ipc_any second)
{
    const int rc = ipcm__results_room(results, 2);
    if (rc != 0) {
        ipc_any_free(&first);
        ipc_any_free(&second);
        return rc;
    }
    results->items[0] = first;
    results->items[1] = second;
    return 0;
}

int ipcm__result_number(ipc_anys *results, int64_t rc)
{
    return rc < 0 ? (int)rc : ipcm__result_one(results, ipc_i64(rc));
}

/* ---- arguments ---- */

static int fail_type(const ipc_any *arg, const char *wanted)
{
    return ipcm__fail(-EINVAL, "an argument is a %s, and should be %s",
                      ipc_type_name(arg->type), wanted);
}

int ipcm__take_i64(const ipc_any *arg, int64_t *out)
{
    if (arg->type != IPC_TYPE_I64)
        return fail_type(arg, "an integer");
    *out = arg->i64;
    return 0;
}

int ipcm__take_u64(const ipc_any *arg, uint64_t *out)
{
    if (arg->type != IPC_TYPE_U64 &&
        (arg->type != IPC_TYPE_I64 || arg->i64 < 0))
        return fail_type(arg, "an integer of 0 or more");
    *out = arg->u64;
    return 0;
}

int ipcm__take_bool(const ipc_any *arg, bool *out)
{
    if (arg->type != IPC_TYPE_BOOL)
        return fail_type(arg, "true or false");
    *out = arg->boolean;
    return 0;
}

int ipcm__take_handle(const ipc_any *arg, uint32_t type)
{
    return arg->type == type ? 0 : fail_type(arg, ipc_type_name(type));
}

int ipcm__take_text(const ipc_any *arg, char **out)
{
    if (arg->type != IPC_TYPE_STR)
        return fail_type(arg, "a string");
    if (memchr(arg->str, 0, arg->size) != NULL)
        return ipcm__fail(-EINVAL, "a zero byte in a name");
    char *text = malloc((size_t)arg->size + 1);
    if (text == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a name");
    memcpy(text, arg->str, arg->size);
    text[arg->size] = 0;
    *out = text;
    return 0;
}

void ipcm__end_text(char *text)
{
    free(text);
}

_Static_assert(sizeof(ipc_dict_item) == 2 * sizeof(ipc_any) &&
                   offsetof(ipc_dict_item, value) == sizeof(ipc_any),
               "an item is a key and a value, one behind the other");

int ipcm__take_items(const ipc_any *args, size_t count,
                     const ipc_dict_item **out)
{
    if (count % 2 != 0)
        return ipcm__fail(-EINVAL, "a key without a value");
    *out = (const ipc_dict_item *)(const void *)args;
    return 0;
}

/* ---- calls ---- */

static const struct ipcm__container_op *find(uint32_t type, uint32_t op)
{
    const struct ipcm__container_op *ops = ipcm__list_ops;
    size_t first = IPC_OP_LIST_APPEND;
    size_t count = ipcm__list_op_count;
    if (type == IPC_TYPE_DICT || type == IPC_TYPE_NAMESPACE) {
        const bool is_dict = type == IPC_TYPE_DICT;
        ops = is_dict ? ipcm__dict_ops : ipcm__namespace_ops;
        count = is_dict ? ipcm__dict_op_count : ipcm__namespace_op_count;
        first = IPC_OP_DICT_SET;
    } else if (type == IPC_TYPE_SET) {
        ops = ipcm__set_ops;
        count = ipcm__set_op_count;
        first = IPC_OP_SET_ADD;
    }
    return op >= first && op - first < count && ops[op - first].call != NULL
               ? &ops[op - first]
               : NULL;
}

int ipcm__container_call(const ipc_any *handle, uint32_t op,
                         const ipc_any *args, size_t count, ipc_anys *results)
{
    if (handle->type < IPC_TYPE_LIST || handle->type > IPC_TYPE_NAMESPACE)
        return ipcm__fail(-EINVAL, "a %s is no container",
                          ipc_type_name(handle->type));
    const struct ipcm__container_op *entry = find(handle->type, op);
    if (entry == NULL && ipcm__op_flags(op) == 0)
        return ipcm__fail(-ENOSYS, "there is no operation %u", op);
    if (entry == NULL)
        return ipcm__fail(-EINVAL, "%s is no operation on a %s",
                          ipcm__op_name(op), ipc_type_name(handle->type));
    if (count < entry->least || count > entry->most)
        return ipcm__fail(-EINVAL, "%s does not have %zu arguments",
                          ipcm__op_name(op), count);
    ipc_anys out = {NULL, 0};
    const int rc = entry->call(handle, args, count, &out);
    if (rc < 0)
        ipc_anys_free(&out);
    else
        *results = out;
    return rc;
}

/* ---- storage ---- */

int ipcm__container_new(ipc_arena *arena, uint32_t type, ipc_any *out)
{
    ipc_any made = ipc_any_with_type(type);
    int rc = -EINVAL;
    if (type == IPC_TYPE_LIST)
        rc = ipc_list_new(arena, &made.list);
    else if (type == IPC_TYPE_DICT)
        rc = ipc_dict_new(arena, &made.dict);
    else if (type == IPC_TYPE_SET)
        rc = ipc_set_new(arena, &made.set);
    else if (type == IPC_TYPE_NAMESPACE)
        rc = ipc_namespace_new(arena, &made.names);
    if (rc == 0)
        *out = made;
    return rc;
}

int ipcm__container_free(ipc_any *handle)
{
    int rc = -EINVAL;
    if (handle->type == IPC_TYPE_LIST)
        rc = ipc_list_free(handle->list);
    else if (handle->type == IPC_TYPE_DICT)
        rc = ipc_dict_free(handle->dict);
    else if (handle->type == IPC_TYPE_SET)
        rc = ipc_set_free(handle->set);
    else if (handle->type == IPC_TYPE_NAMESPACE)
        rc = ipc_namespace_free(handle->names);
    if (rc == 0)
        *handle = ipc_nil();
    return rc;
}

int ipcm__container_named(ipc_arena *arena, uint32_t type, const char *name,
                          ipc_any *out)
{
    ipc_any made = ipc_any_with_type(type);
    int rc = -EINVAL;
    if (type == IPC_TYPE_LIST)
        rc = ipc_arena_list(arena, name, &made.list);
    else if (type == IPC_TYPE_DICT)
        rc = ipc_arena_dict(arena, name, &made.dict);
    else if (type == IPC_TYPE_SET)
        rc = ipc_arena_set(arena, name, &made.set);
    else if (type == IPC_TYPE_NAMESPACE)
        rc = ipc_arena_namespace(arena, name, &made.names);
    if (rc == 0)
        *out = made;
    return rc;
}

/* ---- saving ---- */

static int save_list(const ipc_any *handle, uint64_t *at, size_t most,
                     ipc_anys *args)
{
    const int64_t start = (int64_t)*at;
    const int64_t many = most < INT32_MAX ? (int64_t)most : INT32_MAX;
    const int rc = ipc_list_slice(handle->list, start, start + many, 1, args);
    if (rc < 0)
        return rc;
    *at += args->count;
    return args->count != 0;
}

static int save_dict(const ipc_any *handle, uint64_t *at, size_t most,
                     ipc_anys *args)
{
    ipc_dict_cursor cursor = {*at};
    const size_t pairs = most >= 2 ? most / 2 : 1;
    int rc = ipcm__results_room(args, pairs * 2);
    size_t done = 0;
    while (rc == 0 && done < pairs) {
        const int next =
            ipc_dict_next(handle->dict, &cursor, &args->items[done * 2],
                          &args->items[done * 2 + 1]);
        if (next <= 0) {
            rc = next;
            break;
        }
        done++;
    }
    *at = cursor.after;
    args->count = done * 2;
    return rc < 0 ? rc : done != 0;
}

static int save_set(const ipc_any *handle, uint64_t *at, size_t most,
                    ipc_anys *args)
{
    ipc_set_cursor cursor = {*at};
    const size_t room = most != 0 ? most : 1;
    int rc = ipcm__results_room(args, room);
    size_t done = 0;
    while (rc == 0 && done < room) {
        const int next = ipc_set_next(handle->set, &cursor, &args->items[done]);
        if (next <= 0) {
            rc = next;
            break;
        }
        done++;
    }
    *at = cursor.after;
    args->count = done;
    return rc < 0 ? rc : done != 0;
}

int ipcm__container_save(const ipc_any *handle, uint64_t *at, size_t most,
                         uint32_t *op, ipc_anys *args)
{
    ipc_anys saved = {NULL, 0};
    int rc = -EINVAL;
    if (handle->type == IPC_TYPE_LIST) {
        *op = IPC_OP_LIST_EXTEND;
        rc = save_list(handle, at, most, &saved);
    } else if (handle->type == IPC_TYPE_DICT) {
        *op = IPC_OP_DICT_UPDATE;
        rc = save_dict(handle, at, most, &saved);
    } else if (handle->type == IPC_TYPE_SET) {
        *op = IPC_OP_SET_UPDATE;
        rc = save_set(handle, at, most, &saved);
    } else if (handle->type == IPC_TYPE_NAMESPACE) {
        rc = ipcm__save_namespace(handle, at, most, op, &saved);
    }
    if (rc == 1)
        *args = saved;
    else
        ipc_anys_free(&saved);
    return rc;
}
