/* Namespaces by number: the operations on dicts, made of the five calls that
 * there are.  Those of several calls are one step where the arena is held, as
 * the server does (ipc_atomic_begin()). */
#include <errno.h>
#include <stdlib.h>

#include <ipc/namespace.h>
#include <ipc/remote.h>

#include "fail.h"
#include "server/containers_parts.h"

/* ---- one name ---- */

static int set(const ipc_any *handle, const ipc_any *args, size_t count,
               ipc_anys *results)
{
    (void)count, (void)results;
    char *name;
    int rc = ipcm__take_text(&args[0], &name);
    if (rc < 0)
        return rc;
    rc = ipc_namespace_set(handle->names, name, args[1]);
    ipcm__end_text(name);
    return rc;
}

static int find(const ipc_any *handle, const ipc_any *arg, ipc_any *out)
{
    char *name;
    int rc = ipcm__take_text(arg, &name);
    if (rc < 0)
        return rc;
    rc = ipc_namespace_get(handle->names, name, out);
    ipcm__end_text(name);
    return rc;
}

static int get(const ipc_any *handle, const ipc_any *args, size_t count,
               ipc_anys *results)
{
    (void)count;
    ipc_any value = ipc_nil();
    const int rc = find(handle, &args[0], &value);
    return rc < 0 ? rc : ipcm__result_one(results, value);
}

static int setdefault(const ipc_any *handle, const ipc_any *args, size_t count,
                      ipc_anys *results)
{
    ipc_any value = ipc_nil();
    int rc = find(handle, &args[0], &value);
    const bool is_new = rc == -ENOENT;
    if (is_new) {
        rc = set(handle, args, count, results);
        if (rc == 0)
            rc = find(handle, &args[0], &value);
    }
    return rc < 0 ? rc : ipcm__result_two(results, ipc_i64(is_new), value);
}

static int take_out(const ipc_any *handle, const ipc_any *arg)
{
    char *name;
    int rc = ipcm__take_text(arg, &name);
    if (rc < 0)
        return rc;
    rc = ipc_namespace_delete(handle->names, name);
    ipcm__end_text(name);
    return rc;
}

static int pop(const ipc_any *handle, const ipc_any *args, size_t count,
               ipc_anys *results)
{
    (void)count;
    ipc_any value = ipc_nil();
    int rc = find(handle, &args[0], &value);
    if (rc < 0)
        return rc;
    rc = take_out(handle, &args[0]);
    if (rc < 0) {
        ipc_any_free(&value);
        return rc;
    }
    return ipcm__result_one(results, value);
}

static int contains(const ipc_any *handle, const ipc_any *args, size_t count,
                    ipc_anys *results)
{
    (void)count;
    char *name;
    int rc = ipcm__take_text(&args[0], &name);
    if (rc < 0)
        return rc;
    rc = ipc_namespace_has(handle->names, name);
    ipcm__end_text(name);
    return ipcm__result_number(results, rc);
}

static int incr(const ipc_any *handle, const ipc_any *args, size_t count,
                ipc_anys *results)
{
    (void)count;
    int64_t by = 0;
    int64_t sum = 0;
    ipc_any value = ipc_i64(0);
    int rc = ipcm__take_i64(&args[1], &by);
    if (rc == 0)
        rc = find(handle, &args[0], &value);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    if (value.type != IPC_TYPE_I64) {
        ipc_any_free(&value);
        return ipcm__fail(-EINVAL, "it is no integer");
    }
    if (__builtin_add_overflow(value.i64, by, &sum))
        return ipcm__fail(-EOVERFLOW, "the sum is no 64-bit integer");
    const ipc_any pair[] = {args[0], ipc_i64(sum)};
    rc = set(handle, pair, 2, results);
    return rc < 0 ? rc : ipcm__result_one(results, ipc_i64(sum));
}

static int cas(const ipc_any *handle, const ipc_any *args, size_t count,
               ipc_anys *results)
{
    bool is_expected = false;
    bool is_set = false;
    ipc_any value = ipc_nil();
    int rc = ipcm__take_bool(&args[1], &is_expected);
    if (rc == 0)
        rc = ipcm__take_bool(&args[3], &is_set);
    if (rc == 0)
        rc = find(handle, &args[0], &value);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    const bool is_there = rc == 0;
    const bool is_it = is_there == is_expected &&
                       (!is_there || ipc_any_equal(&value, &args[2]));
    ipc_any_free(&value);
    rc = 0;
    if (is_it && is_set) {
        const ipc_any pair[] = {args[0], args[4]};
        rc = set(handle, pair, count, results);
    } else if (is_it && is_there) {
        rc = take_out(handle, &args[0]);
    }
    return rc < 0 ? rc : ipcm__result_number(results, is_it);
}

/* ---- all of them ---- */

static int names(const ipc_any *handle, const ipc_any *args, size_t count,
                 ipc_anys *results)
{
    (void)args, (void)count;
    return ipc_namespace_names(handle->names, results);
}

static int length(const ipc_any *handle, const ipc_any *args, size_t count,
                  ipc_anys *results)
{
    (void)args, (void)count;
    ipc_anys all = {NULL, 0};
    const int rc = ipc_namespace_names(handle->names, &all);
    const size_t many = all.count;
    ipc_anys_free(&all);
    return rc < 0 ? rc : ipcm__result_one(results, ipc_u64(many));
}

/* What the names from one on stand for; with_names: each behind its name, which
 * moves there. */
static int gather(const ipc_any *handle, ipc_anys *all, size_t first,
                  bool with_names, ipc_anys *results)
{
    const size_t each = with_names ? 2 : 1;
    int rc = ipcm__results_room(results, (all->count - first) * each);
    for (size_t i = first; i < all->count && rc == 0; i++) {
        ipc_any *out = &results->items[(i - first) * each];
        rc = ipc_namespace_get(handle->names, all->items[i].str,
                               with_names ? &out[1] : &out[0]);
        if (with_names && rc == 0) {
            out[0] = all->items[i];
            all->items[i] = ipc_nil();
        }
    }
    return rc;
}

static int values(const ipc_any *handle, const ipc_any *args, size_t count,
                  ipc_anys *results)
{
    (void)args, (void)count;
    ipc_anys all = {NULL, 0};
    int rc = ipc_namespace_names(handle->names, &all);
    if (rc == 0)
        rc = gather(handle, &all, 0, false, results);
    ipc_anys_free(&all);
    return rc;
}

static int items_of(const ipc_any *handle, const ipc_any *args, size_t count,
                    ipc_anys *results)
{
    (void)args, (void)count;
    ipc_anys all = {NULL, 0};
    int rc = ipc_namespace_names(handle->names, &all);
    if (rc == 0)
        rc = gather(handle, &all, 0, true, results);
    ipc_anys_free(&all);
    return rc;
}

static int update(const ipc_any *handle, const ipc_any *args, size_t count,
                  ipc_anys *results)
{
    const ipc_dict_item *items;
    int rc = ipcm__take_items(args, count, &items);
    for (size_t i = 0; i < count && rc == 0; i += 2)
        rc = set(handle, args + i, 2, results);
    return rc;
}

static int merge(const ipc_any *handle, const ipc_any *args, size_t count,
                 ipc_anys *results)
{
    ipc_anys all = {NULL, 0};
    int rc = ipcm__take_handle(&args[0], IPC_TYPE_NAMESPACE);
    if (rc == 0)
        rc = items_of(&args[0], NULL, 0, &all);
    if (rc == 0)
        rc = update(handle, all.items, all.count, results);
    (void)count;
    ipc_anys_free(&all);
    return rc;
}

static int clear(const ipc_any *handle, const ipc_any *args, size_t count,
                 ipc_anys *results)
{
    (void)args, (void)count, (void)results;
    ipc_anys all = {NULL, 0};
    int rc = ipc_namespace_names(handle->names, &all);
    for (size_t i = 0; i < all.count && rc == 0; i++)
        rc = ipc_namespace_delete(handle->names, all.items[i].str);
    ipc_anys_free(&all);
    return rc;
}

static int cannot(const ipc_any *handle, const ipc_any *args, size_t count,
                  ipc_anys *results)
{
    (void)handle, (void)args, (void)count, (void)results;
    return ipcm__fail(-ENOTSUP, "namespaces cannot do that; dicts can");
}

#define OP(name) [IPC_OP_DICT_##name - IPC_OP_DICT_SET]
const struct ipcm__container_op ipcm__namespace_ops[] = {
    OP(SET) = {2, 2, set},
    OP(GET) = {1, 1, get},
    OP(SETDEFAULT) = {2, 2, setdefault},
    OP(POP) = {1, 1, pop},
    OP(POPITEM) = {0, 0, cannot},
    OP(CONTAINS) = {1, 1, contains},
    OP(LENGTH) = {0, 0, length},
    OP(INCR) = {2, 2, incr},
    OP(CAS) = {5, 5, cas},
    OP(WATCH) = {3, 3, cannot},
    OP(UPDATE) = {0, IPCM__ANY_NUMBER, update},
    OP(MERGE) = {1, 1, merge},
    OP(KEYS) = {0, 0, names},
    OP(VALUES) = {0, 0, values},
    OP(ITEMS) = {0, 0, items_of},
    OP(CLEAR) = {0, 0, clear},
    OP(COPY) = {0, 0, cannot},
    OP(NEXT) = {1, 1, cannot},
    OP(GET_OR_NEW) = {2, 2, cannot},
};
const size_t ipcm__namespace_op_count =
    sizeof ipcm__namespace_ops / sizeof ipcm__namespace_ops[0];

/* ---- saving ---- */

int ipcm__save_namespace(const ipc_any *handle, uint64_t *at, size_t most,
                         uint32_t *op, ipc_anys *args)
{
    ipc_anys all = {NULL, 0};
    const size_t pairs = most >= 2 ? most / 2 : 1;
    int rc = ipc_namespace_names(handle->names, &all);
    if (rc < 0)
        return rc;
    const size_t first = *at < all.count ? (size_t)*at : all.count;
    while (all.count - first > pairs)
        ipc_any_free(&all.items[--all.count]);
    rc = gather(handle, &all, first, true, args);
    *op = IPC_OP_DICT_UPDATE;
    *at = all.count;
    const bool is_some = all.count != first;
    ipc_anys_free(&all);
    return rc < 0 ? rc : is_some;
}
