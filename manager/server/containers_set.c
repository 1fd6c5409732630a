/* Sets by number. */
#include <ipc/remote.h>
#include <ipc/set.h>

#include "server/containers_parts.h"

static int add(const ipc_any *handle, const ipc_any *args, size_t count,
               ipc_anys *results)
{
    (void)count;
    return ipcm__result_number(results, ipc_set_add(handle->set, args[0]));
}

static int remove_one(const ipc_any *handle, const ipc_any *args, size_t count,
                      ipc_anys *results)
{
    (void)count, (void)results;
    return ipc_set_remove(handle->set, args[0]);
}

static int discard(const ipc_any *handle, const ipc_any *args, size_t count,
                   ipc_anys *results)
{
    (void)count;
    return ipcm__result_number(results, ipc_set_discard(handle->set, args[0]));
}

static int pop(const ipc_any *handle, const ipc_any *args, size_t count,
               ipc_anys *results)
{
    (void)args, (void)count;
    ipc_any value = ipc_nil();
    const int rc = ipc_set_pop(handle->set, &value);
    return rc < 0 ? rc : ipcm__result_one(results, value);
}

static int contains(const ipc_any *handle, const ipc_any *args, size_t count,
                    ipc_anys *results)
{
    (void)count;
    return ipcm__result_number(results, ipc_set_contains(handle->set, args[0]));
}

static int length(const ipc_any *handle, const ipc_any *args, size_t count,
                  ipc_anys *results)
{
    (void)args, (void)count;
    return ipcm__result_number(results, ipc_set_length(handle->set));
}

static int update(const ipc_any *handle, const ipc_any *args, size_t count,
                  ipc_anys *results)
{
    (void)results;
    return ipc_set_update(handle->set, args, count);
}

static int members(const ipc_any *handle, const ipc_any *args, size_t count,
                   ipc_anys *results)
{
    (void)args, (void)count;
    return ipc_set_members(handle->set, results);
}

static int clear(const ipc_any *handle, const ipc_any *args, size_t count,
                 ipc_anys *results)
{
    (void)args, (void)count, (void)results;
    return ipc_set_clear(handle->set);
}

/* The copy is that of ipc_set_new(): to be freed, not closed. */
static int copy(const ipc_any *handle, const ipc_any *args, size_t count,
                ipc_anys *results)
{
    (void)args, (void)count;
    ipc_set *made;
    int rc = ipc_set_copy(handle->set, &made);
    if (rc < 0)
        return rc;
    rc = ipcm__results_room(results, 1);
    if (rc < 0)
        (void)ipc_set_free(made);
    else
        results->items[0] = ipc_any_set(made);
    return rc;
}

static int unite(const ipc_any *handle, const ipc_any *args, size_t count,
                 ipc_anys *results)
{
    (void)count, (void)results;
    const int rc = ipcm__take_handle(&args[0], IPC_TYPE_SET);
    return rc < 0 ? rc : ipc_set_union(handle->set, args[0].set);
}

static int intersect(const ipc_any *handle, const ipc_any *args, size_t count,
                     ipc_anys *results)
{
    (void)count, (void)results;
    const int rc = ipcm__take_handle(&args[0], IPC_TYPE_SET);
    return rc < 0 ? rc : ipc_set_intersect(handle->set, args[0].set);
}

static int subtract(const ipc_any *handle, const ipc_any *args, size_t count,
                    ipc_anys *results)
{
    (void)count, (void)results;
    const int rc = ipcm__take_handle(&args[0], IPC_TYPE_SET);
    return rc < 0 ? rc : ipc_set_subtract(handle->set, args[0].set);
}

static int is_subset(const ipc_any *handle, const ipc_any *args, size_t count,
                     ipc_anys *results)
{
    (void)count;
    const int rc = ipcm__take_handle(&args[0], IPC_TYPE_SET);
    return rc < 0 ? rc
                  : ipcm__result_number(
                        results, ipc_set_is_subset(handle->set, args[0].set));
}

static int next(const ipc_any *handle, const ipc_any *args, size_t count,
                ipc_anys *results)
{
    (void)count;
    ipc_set_cursor cursor;
    int rc = ipcm__take_u64(&args[0], &cursor.after);
    if (rc == 0)
        rc = ipcm__results_room(results, 2);
    if (rc < 0)
        return rc;
    rc = ipc_set_next(handle->set, &cursor, &results->items[1]);
    if (rc <= 0) {
        results->count = 0;
        return rc;
    }
    results->items[0] = ipc_u64(cursor.after);
    return 0;
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
        rc = ipc_set_watch(handle->set, &version, IPC_TIME_NOW);
    return rc < 0 ? rc : ipcm__result_one(results, ipc_u64(version));
}

#define OP(name) [IPC_OP_SET_##name - IPC_OP_SET_ADD]
const struct ipcm__container_op ipcm__set_ops[] = {
    OP(ADD) = {1, 1, add},
    OP(REMOVE) = {1, 1, remove_one},
    OP(DISCARD) = {1, 1, discard},
    OP(POP) = {0, 0, pop},
    OP(CONTAINS) = {1, 1, contains},
    OP(LENGTH) = {0, 0, length},
    OP(UPDATE) = {0, IPCM__ANY_NUMBER, update},
    OP(MEMBERS) = {0, 0, members},
    OP(CLEAR) = {0, 0, clear},
    OP(COPY) = {0, 0, copy},
    OP(UNION) = {1, 1, unite},
    OP(INTERSECT) = {1, 1, intersect},
    OP(SUBTRACT) = {1, 1, subtract},
    OP(IS_SUBSET) = {1, 1, is_subset},
    OP(NEXT) = {1, 1, next},
    OP(WATCH) = {2, 2, watch},
};
const size_t ipcm__set_op_count =
    sizeof ipcm__set_ops / sizeof ipcm__set_ops[0];
