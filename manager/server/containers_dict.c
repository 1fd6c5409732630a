/* Dicts by number. */
#include <errno.h>

#include <ipc/dict.h>
#include <ipc/remote.h>

#include "fail.h"
#include "server/containers_parts.h"

static int set(const ipc_any *handle, const ipc_any *args, size_t count,
               ipc_anys *results)
{
    (void)count, (void)results;
    return ipc_dict_set(handle->dict, args[0], args[1]);
}

static int get(const ipc_any *handle, const ipc_any *args, size_t count,
               ipc_anys *results)
{
    (void)count;
    ipc_any value = ipc_nil();
    const int rc = ipc_dict_get(handle->dict, args[0], &value);
    return rc < 0 ? rc : ipcm__result_one(results, value);
}

static int setdefault(const ipc_any *handle, const ipc_any *args, size_t count,
                      ipc_anys *results)
{
    (void)count;
    ipc_any value = ipc_nil();
    const int rc = ipc_dict_setdefault(handle->dict, args[0], args[1], &value);
    return rc < 0 ? rc : ipcm__result_two(results, ipc_i64(rc), value);
}

static int pop(const ipc_any *handle, const ipc_any *args, size_t count,
               ipc_anys *results)
{
    (void)count;
    ipc_any value = ipc_nil();
    const int rc = ipc_dict_pop(handle->dict, args[0], &value);
    return rc < 0 ? rc : ipcm__result_one(results, value);
}

static int popitem(const ipc_any *handle, const ipc_any *args, size_t count,
                   ipc_anys *results)
{
    (void)args, (void)count;
    ipc_any key = ipc_nil();
    ipc_any value = ipc_nil();
    const int rc = ipc_dict_popitem(handle->dict, &key, &value);
    return rc < 0 ? rc : ipcm__result_two(results, key, value);
}

static int contains(const ipc_any *handle, const ipc_any *args, size_t count,
                    ipc_anys *results)
{
    (void)count;
    return ipcm__result_number(results,
                               ipc_dict_contains(handle->dict, args[0]));
}

static int length(const ipc_any *handle, const ipc_any *args, size_t count,
                  ipc_anys *results)
{
    (void)args, (void)count;
    return ipcm__result_number(results, ipc_dict_length(handle->dict));
}

static int incr(const ipc_any *handle, const ipc_any *args, size_t count,
                ipc_anys *results)
{
    (void)count;
    int64_t by = 0;
    int64_t sum = 0;
    int rc = ipcm__take_i64(&args[1], &by);
    if (rc == 0)
        rc = ipc_dict_incr(handle->dict, args[0], by, &sum);
    return rc < 0 ? rc : ipcm__result_one(results, ipc_i64(sum));
}

static int cas(const ipc_any *handle, const ipc_any *args, size_t count,
               ipc_anys *results)
{
    (void)count;
    bool is_expected = false;
    bool is_set = false;
    int rc = ipcm__take_bool(&args[1], &is_expected);
    if (rc == 0)
        rc = ipcm__take_bool(&args[3], &is_set);
    if (rc < 0)
        return rc;
    return ipcm__result_number(results,
                               ipc_dict_cas(handle->dict, args[0],
                                            is_expected ? &args[2] : NULL,
                                            is_set ? &args[4] : NULL));
}

static int watch(const ipc_any *handle, const ipc_any *args, size_t count,
                 ipc_anys *results)
{
    (void)count;
    uint64_t version = 0;
    int64_t ns = 0;
    ipc_any value = ipc_nil();
    int rc = ipcm__take_u64(&args[1], &version);
    if (rc == 0)
        rc = ipcm__take_i64(&args[2], &ns);
    if (rc == 0)
        rc = ipc_dict_watch(handle->dict, args[0], &version, &value,
                            IPC_TIME_NOW);
    return rc < 0 ? rc : ipcm__result_two(results, ipc_u64(version), value);
}

static int update(const ipc_any *handle, const ipc_any *args, size_t count,
                  ipc_anys *results)
{
    (void)results;
    const ipc_dict_item *items;
    const int rc = ipcm__take_items(args, count, &items);
    return rc < 0 ? rc : ipc_dict_update(handle->dict, items, count / 2);
}

static int merge(const ipc_any *handle, const ipc_any *args, size_t count,
                 ipc_anys *results)
{
    (void)count, (void)results;
    const int rc = ipcm__take_handle(&args[0], IPC_TYPE_DICT);
    return rc < 0 ? rc : ipc_dict_merge(handle->dict, args[0].dict);
}

static int keys(const ipc_any *handle, const ipc_any *args, size_t count,
                ipc_anys *results)
{
    (void)args, (void)count;
    return ipc_dict_keys(handle->dict, results);
}

static int values(const ipc_any *handle, const ipc_any *args, size_t count,
                  ipc_anys *results)
{
    (void)args, (void)count;
    return ipc_dict_values(handle->dict, results);
}

static int items_of(const ipc_any *handle, const ipc_any *args, size_t count,
                    ipc_anys *results)
{
    (void)args, (void)count;
    return ipc_dict_items(handle->dict, results);
}

static int clear(const ipc_any *handle, const ipc_any *args, size_t count,
                 ipc_anys *results)
{
    (void)args, (void)count, (void)results;
    return ipc_dict_clear(handle->dict);
}

/* The copy is that of ipc_dict_new(): to be freed, not closed. */
static int copy(const ipc_any *handle, const ipc_any *args, size_t count,
                ipc_anys *results)
{
    (void)args, (void)count;
    ipc_dict *made;
    int rc = ipc_dict_copy(handle->dict, &made);
    if (rc < 0)
        return rc;
    rc = ipcm__results_room(results, 1);
    if (rc < 0)
        (void)ipc_dict_free(made);
    else
        results->items[0] = ipc_any_dict(made);
    return rc;
}

static int next(const ipc_any *handle, const ipc_any *args, size_t count,
                ipc_anys *results)
{
    (void)count;
    ipc_dict_cursor cursor;
    int rc = ipcm__take_u64(&args[0], &cursor.after);
    if (rc == 0)
        rc = ipcm__results_room(results, 3);
    if (rc < 0)
        return rc;
    rc = ipc_dict_next(handle->dict, &cursor, &results->items[1],
                       &results->items[2]);
    if (rc <= 0) {
        results->count = 0;
        return rc;
    }
    results->items[0] = ipc_u64(cursor.after);
    return 0;
}

/* libipc makes these only with text without zero bytes as keys. */
static int get_or_new(const ipc_any *handle, const ipc_any *args, size_t count,
                      ipc_anys *results)
{
    (void)count;
    uint64_t type = 0;
    int rc = ipcm__take_u64(&args[1], &type);
    if (rc < 0)
        return rc;
    char *key;
    rc = ipcm__take_text(&args[0], &key);
    if (rc < 0)
        return rc;
    ipc_any made = ipc_any_with_type((uint32_t)type);
    if (type == IPC_TYPE_LIST)
        rc = ipc_dict_list(handle->dict, key, &made.list);
    else if (type == IPC_TYPE_DICT)
        rc = ipc_dict_dict(handle->dict, key, &made.dict);
    else
        rc = ipcm__fail(-ENOTSUP, "only lists and dicts are made in a dict");
    ipcm__end_text(key);
    return rc < 0 ? rc : ipcm__result_one(results, made);
}

#define OP(name) [IPC_OP_DICT_##name - IPC_OP_DICT_SET]
const struct ipcm__container_op ipcm__dict_ops[] = {
    OP(SET) = {2, 2, set},
    OP(GET) = {1, 1, get},
    OP(SETDEFAULT) = {2, 2, setdefault},
    OP(POP) = {1, 1, pop},
    OP(POPITEM) = {0, 0, popitem},
    OP(CONTAINS) = {1, 1, contains},
    OP(LENGTH) = {0, 0, length},
    OP(INCR) = {2, 2, incr},
    OP(CAS) = {5, 5, cas},
    OP(WATCH) = {3, 3, watch},
    OP(UPDATE) = {0, IPCM__ANY_NUMBER, update},
    OP(MERGE) = {1, 1, merge},
    OP(KEYS) = {0, 0, keys},
    OP(VALUES) = {0, 0, values},
    OP(ITEMS) = {0, 0, items_of},
    OP(CLEAR) = {0, 0, clear},
    OP(COPY) = {0, 0, copy},
    OP(NEXT) = {1, 1, next},
    OP(GET_OR_NEW) = {2, 2, get_or_new},
};
const size_t ipcm__dict_op_count =
    sizeof ipcm__dict_ops / sizeof ipcm__dict_ops[0];
