/* Somebody else's dicts, sets and namespaces: a server that does what it is
 * told on local ones, as a manager would; and one that answers nonsense. */
#ifndef UNIT_DICT_REMOTE_SUPPORT_H
#define UNIT_DICT_REMOTE_SUPPORT_H

#include "unit/dict_support.h"

#include <ipc/remote.h>

/* The data of a handle. */
struct far {
    void *real; /* the local one behind it */
    int *closed;
};

static const ipc_remote server;

static inline void *real_of(ipc_any handle)
{
    const struct far *far = ipc_remote_data(&handle, &server);
    assert_non_null(far);
    return far->real;
}

/* What a call gives, up to so many values. */
struct answer {
    int rc;
    size_t count;
    ipc_any values[8];
};

static inline void add(struct answer *a, ipc_any value)
{
    a->values[a->count++] = value;
}

/* ---- dicts ---- */

static inline void dict_one(struct answer *a, ipc_dict *real, uint32_t op,
                            const ipc_any *args)
{
    ipc_any value = ipc_nil();
    int64_t sum = 0;
    switch (op) {
    case IPC_OP_DICT_SET:
        a->rc = ipc_dict_set(real, args[0], args[1]);
        return;
    case IPC_OP_DICT_GET:
        a->rc = ipc_dict_get(real, args[0], &value);
        add(a, value);
        return;
    case IPC_OP_DICT_SETDEFAULT:
        a->rc = ipc_dict_setdefault(real, args[0], args[1], &value);
        add(a, ipc_i64(a->rc));
        add(a, value);
        return;
    case IPC_OP_DICT_POP:
        a->rc = ipc_dict_pop(real, args[0], &value);
        add(a, value);
        return;
    case IPC_OP_DICT_CONTAINS:
        a->rc = ipc_dict_contains(real, args[0]);
        add(a, ipc_bool(a->rc == 1));
        return;
    case IPC_OP_DICT_INCR:
        a->rc = ipc_dict_incr(real, args[0], args[1].i64, &sum);
        add(a, ipc_i64(sum));
        return;
    default:
        a->rc = ipc_dict_cas(real, args[0], args[1].boolean ? &args[2] : NULL,
                             args[3].boolean ? &args[4] : NULL);
        add(a, ipc_i64(a->rc));
    }
}

static inline void dict_pair(struct answer *a, ipc_dict *real)
{
    ipc_any key = ipc_nil(), value = ipc_nil();
    a->rc = ipc_dict_popitem(real, &key, &value);
    add(a, key);
    add(a, value);
}

static inline void dict_next(struct answer *a, ipc_dict *real, uint64_t after)
{
    ipc_dict_cursor at = {after};
    ipc_any key, value;
    a->rc = ipc_dict_next(real, &at, &key, &value);
    if (a->rc != 1)
        return;
    add(a, ipc_u64(at.after));
    add(a, key);
    add(a, value);
}

static inline ipc_deadline deadline_of(int64_t ns)
{
    return ns < 0 ? IPC_TIME_FOREVER : ipc_after_ns(ns);
}

static inline void dict_watch(struct answer *a, ipc_dict *real,
                              const ipc_any *args)
{
    uint64_t version = args[1].u64;
    ipc_any value = ipc_nil();
    a->rc = ipc_dict_watch(real, args[0], &version, &value,
                           deadline_of(args[2].i64));
    add(a, ipc_u64(version));
    add(a, value);
}

/* ---- sets ---- */

static inline void set_one(struct answer *a, ipc_set *real, uint32_t op,
                           const ipc_any *args)
{
    ipc_any value = ipc_nil();
    switch (op) {
    case IPC_OP_SET_ADD:
        a->rc = ipc_set_add(real, args[0]);
        break;
    case IPC_OP_SET_DISCARD:
        a->rc = ipc_set_discard(real, args[0]);
        break;
    case IPC_OP_SET_CONTAINS:
        a->rc = ipc_set_contains(real, args[0]);
        break;
    case IPC_OP_SET_REMOVE:
        a->rc = ipc_set_remove(real, args[0]);
        return;
    default:
        a->rc = ipc_set_pop(real, &value);
        add(a, value);
        return;
    }
    add(a, ipc_i64(a->rc));
}

static inline void set_next(struct answer *a, ipc_set *real, uint64_t after)
{
    ipc_set_cursor at = {after};
    ipc_any member;
    a->rc = ipc_set_next(real, &at, &member);
    if (a->rc != 1)
        return;
    add(a, ipc_u64(at.after));
    add(a, member);
}

static inline void set_pair(struct answer *a, ipc_set *real, uint32_t op,
                            const ipc_any *args)
{
    ipc_set *other = real_of(args[0]);
    if (op == IPC_OP_SET_UNION)
        a->rc = ipc_set_union(real, other);
    else if (op == IPC_OP_SET_INTERSECT)
        a->rc = ipc_set_intersect(real, other);
    else if (op == IPC_OP_SET_SUBTRACT)
        a->rc = ipc_set_subtract(real, other);
    else
        add(a, ipc_i64(a->rc = ipc_set_is_subset(real, other)));
}

/* ---- the server ---- */

static ipc_any far_new(uint32_t type, void *real, int *closed);

static inline bool do_many(struct answer *a, void *real, uint32_t op,
                           const ipc_any *args, size_t count, ipc_anys *all)
{
    switch (op) {
    case IPC_OP_DICT_KEYS:
        a->rc = ipc_dict_keys(real, all);
        return true;
    case IPC_OP_DICT_VALUES:
        a->rc = ipc_dict_values(real, all);
        return true;
    case IPC_OP_DICT_ITEMS:
        a->rc = ipc_dict_items(real, all);
        return true;
    case IPC_OP_SET_MEMBERS:
        a->rc = ipc_set_members(real, all);
        return true;
    case IPC_OP_DICT_UPDATE:
        a->rc = ipc_dict_update(real, (const ipc_dict_item *)(const void *)args,
                                count / 2);
        return true;
    case IPC_OP_SET_UPDATE:
        a->rc = ipc_set_update(real, args, count);
        return true;
    case IPC_OP_DICT_CLEAR:
        a->rc = ipc_dict_clear(real);
        return true;
    case IPC_OP_SET_CLEAR:
        a->rc = ipc_set_clear(real);
        return true;
    default:
        return false;
    }
}

static inline void do_handles(struct answer *a, void *real, uint32_t op,
                              const ipc_any *args)
{
    ipc_dict *copy;
    ipc_set *other;
    ipc_list *list;
    if (op == IPC_OP_DICT_COPY) {
        a->rc = ipc_dict_copy(real, &copy);
        add(a, far_new(IPC_TYPE_DICT, copy, NULL));
    } else if (op == IPC_OP_SET_COPY) {
        a->rc = ipc_set_copy(real, &other);
        add(a, far_new(IPC_TYPE_SET, other, NULL));
    } else if (args[1].i64 == IPC_TYPE_LIST) {
        a->rc = ipc_dict_list(real, args[0].str, &list);
        add(a, far_new(IPC_TYPE_LIST, list, NULL));
    } else {
        a->rc = ipc_dict_dict(real, args[0].str, &copy);
        add(a, far_new(IPC_TYPE_DICT, copy, NULL));
    }
}

static inline void do_other(struct answer *a, void *real, uint32_t op,
                            const ipc_any *args)
{
    uint64_t version;
    switch (op) {
    case IPC_OP_DICT_LENGTH:
        add(a, ipc_i64(ipc_dict_length(real)));
        return;
    case IPC_OP_SET_LENGTH:
        add(a, ipc_i64(ipc_set_length(real)));
        return;
    case IPC_OP_DICT_POPITEM:
        dict_pair(a, real);
        return;
    case IPC_OP_DICT_NEXT:
        dict_next(a, real, args[0].u64);
        return;
    case IPC_OP_SET_NEXT:
        set_next(a, real, args[0].u64);
        return;
    case IPC_OP_DICT_WATCH:
        dict_watch(a, real, args);
        return;
    case IPC_OP_SET_WATCH:
        version = args[0].u64;
        a->rc = ipc_set_watch(real, &version, deadline_of(args[1].i64));
        add(a, ipc_u64(version));
        return;
    case IPC_OP_DICT_MERGE:
        a->rc = ipc_dict_merge(real, real_of(args[0]));
        return;
    case IPC_OP_SET_UNION:
    case IPC_OP_SET_INTERSECT:
    case IPC_OP_SET_SUBTRACT:
    case IPC_OP_SET_IS_SUBSET:
        set_pair(a, real, op, args);
        return;
    case IPC_OP_DICT_COPY:
    case IPC_OP_SET_COPY:
    case IPC_OP_DICT_GET_OR_NEW:
        do_handles(a, real, op, args);
        return;
    default:
        if (op >= IPC_OP_SET_ADD)
            set_one(a, real, op, args);
        else
            dict_one(a, real, op, args);
    }
}

static inline int serve(void *data, uint32_t op, const ipc_any *args,
                        size_t count, ipc_anys *results)
{
    struct answer a = {.rc = 0};
    void *real = ((struct far *)data)->real;
    if (do_many(&a, real, op, args, count, results))
        return a.rc;
    do_other(&a, real, op, args);
    if (a.rc < 0)
        return a.rc;
    results->items = calloc(a.count + 1, sizeof *results->items);
    assert_non_null(results->items);
    results->count = a.count;
    memcpy(results->items, a.values, a.count * sizeof *results->items);
    return 0;
}

static inline void far_close(void *data)
{
    const struct far *far = data;
    if (far->closed != NULL)
        ++*far->closed;
    free(data);
}

static const ipc_remote server = {serve, far_close, NULL};

static inline ipc_any far_with(const ipc_remote *remote, uint32_t type,
                               void *real, int *closed)
{
    ipc_any handle;
    struct far *far = calloc(1, sizeof *far);
    assert_non_null(far);
    *far = (struct far){real, closed};
    ok(ipc_remote_handle(type, remote, far, &handle));
    return handle;
}

static ipc_any far_new(uint32_t type, void *real, int *closed)
{
    return far_with(&server, type, real, closed);
}

/* ---- nonsense ---- */

static ipc_any nonsense;
static size_t nonsense_count;

static inline int serve_nonsense(void *data, uint32_t op, const ipc_any *args,
                                 size_t count, ipc_anys *results)
{
    (void)data;
    (void)op;
    (void)args;
    (void)count;
    results->items = calloc(nonsense_count + 1, sizeof *results->items);
    assert_non_null(results->items);
    results->count = nonsense_count;
    for (size_t i = 0; i < nonsense_count; i++) {
        results->items[i] = nonsense;
        if (nonsense.type == IPC_TYPE_STR)
            results->items[i].str = strdup(nonsense.str);
    }
    return 0;
}

static const ipc_remote liar = {serve_nonsense, far_close, NULL};

#endif
