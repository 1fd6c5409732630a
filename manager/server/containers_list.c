/* Lists by number. */
#include <errno.h>

#include <ipc/list.h>
#include <ipc/remote.h>

#include "fail.h"
#include "server/containers_parts.h"

static int append(const ipc_any *handle, const ipc_any *args, size_t count,
                  ipc_anys *results)
{
    (void)count, (void)results;
    return ipc_list_append(handle->list, args[0]);
}

static int insert(const ipc_any *handle, const ipc_any *args, size_t count,
                  ipc_anys *results)
{
    (void)count, (void)results;
    int64_t index = 0;
    const int rc = ipcm__take_i64(&args[0], &index);
    return rc == 0 ? ipc_list_insert(handle->list, index, args[1]) : rc;
}

static int get(const ipc_any *handle, const ipc_any *args, size_t count,
               ipc_anys *results)
{
    (void)count;
    int64_t index = 0;
    ipc_any value = ipc_nil();
    int rc = ipcm__take_i64(&args[0], &index);
    if (rc == 0)
        rc = ipc_list_get(handle->list, index, &value);
    return rc < 0 ? rc : ipcm__result_one(results, value);
}

static int set(const ipc_any *handle, const ipc_any *args, size_t count,
               ipc_anys *results)
{
    (void)count, (void)results;
    int64_t index = 0;
    const int rc = ipcm__take_i64(&args[0], &index);
    return rc == 0 ? ipc_list_set(handle->list, index, args[1]) : rc;
}

static int expect_type(ipc_list *list, int64_t index, const ipc_any *arg)
{
    uint64_t type = 0;
    ipc_any value = ipc_nil();
    int rc = ipcm__take_u64(arg, &type);
    if (rc == 0)
        rc = ipc_list_get(list, index, &value);
    if (rc == 0 && value.type != type)
        rc = ipcm__fail(-EINVAL, "the item is no %s but a %s",
                        ipc_type_name((uint32_t)type),
                        ipc_type_name(value.type));
    ipc_any_free(&value);
    return rc;
}

static int pop(const ipc_any *handle, const ipc_any *args, size_t count,
               ipc_anys *results)
{
    int64_t index = 0;
    ipc_any value = ipc_nil();
    int rc = ipcm__take_i64(&args[0], &index);
    if (rc == 0 && count > 1)
        rc = expect_type(handle->list, index, &args[1]);
    if (rc == 0)
        rc = ipc_list_pop(handle->list, index, &value);
    return rc < 0 ? rc : ipcm__result_one(results, value);
}

static int remove_one(const ipc_any *handle, const ipc_any *args, size_t count,
                      ipc_anys *results)
{
    (void)count, (void)results;
    return ipc_list_remove(handle->list, args[0]);
}

static int index_of(const ipc_any *handle, const ipc_any *args, size_t count,
                    ipc_anys *results)
{
    (void)count;
    int64_t start = 0;
    int64_t stop = 0;
    uint64_t place = 0;
    int rc = ipcm__take_i64(&args[1], &start);
    if (rc == 0)
        rc = ipcm__take_i64(&args[2], &stop);
    if (rc == 0)
        rc = ipc_list_index(handle->list, args[0], start, stop, &place);
    return rc < 0 ? rc : ipcm__result_one(results, ipc_u64(place));
}

static int count_of(const ipc_any *handle, const ipc_any *args, size_t count,
                    ipc_anys *results)
{
    (void)count;
    return ipcm__result_number(results, ipc_list_count(handle->list, args[0]));
}

static int contains(const ipc_any *handle, const ipc_any *args, size_t count,
                    ipc_anys *results)
{
    (void)count;
    return ipcm__result_number(results,
                               ipc_list_contains(handle->list, args[0]));
}

static int length(const ipc_any *handle, const ipc_any *args, size_t count,
                  ipc_anys *results)
{
    (void)args, (void)count;
    return ipcm__result_number(results, ipc_list_length(handle->list));
}

static int extend(const ipc_any *handle, const ipc_any *args, size_t count,
                  ipc_anys *results)
{
    (void)results;
    return ipc_list_extend(handle->list, args, count);
}

static int slice(const ipc_any *handle, const ipc_any *args, size_t count,
                 ipc_anys *results)
{
    int64_t at[3] = {0};
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = ipcm__take_i64(&args[i], &at[i]);
    return rc < 0 ? rc
                  : ipc_list_slice(handle->list, at[0], at[1], at[2], results);
}

static int replace(const ipc_any *handle, const ipc_any *args, size_t count,
                   ipc_anys *results)
{
    (void)results;
    int64_t start = 0;
    int64_t stop = 0;
    int rc = ipcm__take_i64(&args[0], &start);
    if (rc == 0)
        rc = ipcm__take_i64(&args[1], &stop);
    return rc < 0 ? rc
                  : ipc_list_replace(handle->list, start, stop, args + 2,
                                     count - 2);
}

static int sort(const ipc_any *handle, const ipc_any *args, size_t count,
                ipc_anys *results)
{
    (void)count, (void)results;
    uint64_t flags = 0;
    const int rc = ipcm__take_u64(&args[0], &flags);
    if (rc < 0)
        return rc;
    if ((flags & ~(uint64_t)IPC_LIST_DESCENDING) != 0)
        return ipcm__fail(-EINVAL, "unknown flags");
    return ipc_list_sort(handle->list, (uint32_t)flags);
}

static int reverse(const ipc_any *handle, const ipc_any *args, size_t count,
                   ipc_anys *results)
{
    (void)args, (void)count, (void)results;
    return ipc_list_reverse(handle->list);
}

static int clear(const ipc_any *handle, const ipc_any *args, size_t count,
                 ipc_anys *results)
{
    (void)args, (void)count, (void)results;
    return ipc_list_clear(handle->list);
}

/* The copy is that of ipc_list_new(): to be freed, not closed. */
static int copy(const ipc_any *handle, const ipc_any *args, size_t count,
                ipc_anys *results)
{
    (void)args, (void)count;
    ipc_list *made;
    int rc = ipc_list_copy(handle->list, &made);
    if (rc < 0)
        return rc;
    rc = ipcm__results_room(results, 1);
    if (rc < 0)
        (void)ipc_list_free(made);
    else
        results->items[0] = ipc_any_list(made);
    return rc;
}

static int watch(const ipc_any *handle, const ipc_any *args, size_t count,
                 ipc_anys *results)
{
    (void)count;
    uint64_t version = 0;
    int64_t ns = 0;
    int rc = ipcm__take_u64(&args[0], &version);
    if (rc == 0)
        rc = ipcm__take_i64(&args[1], &ns);
    if (rc == 0)
        rc = ipc_list_watch(handle->list, &version, IPC_TIME_NOW);
    return rc < 0 ? rc : ipcm__result_one(results, ipc_u64(version));
}

static int append_new(const ipc_any *handle, const ipc_any *args, size_t count,
                      ipc_anys *results)
{
    (void)count;
    uint64_t type = 0;
    int rc = ipcm__take_u64(&args[0], &type);
    if (rc < 0)
        return rc;
    ipc_any made = ipc_any_with_type((uint32_t)type);
    if (type == IPC_TYPE_LIST)
        rc = ipc_list_append_list(handle->list, &made.list);
    else if (type == IPC_TYPE_DICT)
        rc = ipc_list_append_dict(handle->list, &made.dict);
    else
        rc = ipcm__fail(-ENOTSUP, "only lists and dicts are made in a list");
    return rc < 0 ? rc : ipcm__result_one(results, made);
}

#define OP(name) [IPC_OP_LIST_##name - IPC_OP_LIST_APPEND]
const struct ipcm__container_op ipcm__list_ops[] = {
    OP(APPEND) = {1, 1, append},
    OP(INSERT) = {2, 2, insert},
    OP(GET) = {1, 1, get},
    OP(SET) = {2, 2, set},
    OP(POP) = {1, 2, pop},
    OP(REMOVE) = {1, 1, remove_one},
    OP(INDEX) = {3, 3, index_of},
    OP(COUNT) = {1, 1, count_of},
    OP(CONTAINS) = {1, 1, contains},
    OP(LENGTH) = {0, 0, length},
    OP(EXTEND) = {0, IPCM__ANY_NUMBER, extend},
    OP(SLICE) = {3, 3, slice},
    OP(REPLACE) = {2, IPCM__ANY_NUMBER, replace},
    OP(SORT) = {1, 1, sort},
    OP(REVERSE) = {0, 0, reverse},
    OP(CLEAR) = {0, 0, clear},
    OP(COPY) = {0, 0, copy},
    OP(WATCH) = {2, 2, watch},
    OP(APPEND_NEW) = {1, 1, append_new},
};
const size_t ipcm__list_op_count =
    sizeof ipcm__list_ops / sizeof ipcm__list_ops[0];
