/* Dicts: the calls on many items, and those that go from one to the next. */
#include "core/error.h"
#include "object/dict.h"

_Static_assert(sizeof(ipc_dict_item) == 2 * sizeof(ipc_any),
               "items are keys and values in turn");

static void put_items(struct ipc__visit *v, struct ipc__object *object,
                      const ipc_dict_item *items, size_t count)
{
    for (size_t i = 0; i < count && ipc__journal_room(v, 0, 0) >= 0; i++) {
        struct ipc__item item;
        if (ipc__item_make(v, object, &items[i].value, &item) >= 0)
            ipc__table_put(v, object, &items[i].key, &item);
    }
}

int ipc_dict_update(ipc_dict *dict, const ipc_dict_item *items, size_t count)
{
    if (items == NULL && count > 0)
        return ipc__fail(-EINVAL, "%zu items at NULL", count);
    if (ipc__is_remote(&dict->handle))
        return ipc__remote_call(&dict->handle, IPC_OP_DICT_UPDATE,
                                (const ipc_any *)(const void *)items, 2 * count,
                                NULL, 0);
    struct ipc__visit v;
    struct ipc__view t;
    const int rc = ipc__map_enter(&v, &dict->handle, IPC_TYPE_DICT, &t);
    if (rc != 0)
        return rc;
    ipc__view_reserve(&t, count);
    put_items(&v, t.object, items, count);
    return ipc__arena_leave(&v);
}

int ipc_dict_merge(ipc_dict *dict, ipc_dict *other)
{
    return ipc__map_merge(&dict->handle, &other->handle, IPC_TYPE_DICT,
                          IPC_OP_DICT_MERGE);
}

int ipc_dict_keys(ipc_dict *dict, ipc_anys *out)
{
    return ipc__map_list(&dict->handle, IPC_TYPE_DICT, IPC__KEYS, out);
}

int ipc_dict_values(ipc_dict *dict, ipc_anys *out)
{
    return ipc__map_list(&dict->handle, IPC_TYPE_DICT, IPC__VALUES, out);
}

int ipc_dict_items(ipc_dict *dict, ipc_anys *out)
{
    return ipc__map_list(&dict->handle, IPC_TYPE_DICT, IPC__ITEMS, out);
}

int ipc_dict_clear(ipc_dict *dict)
{
    return ipc__map_clear(&dict->handle, IPC_TYPE_DICT, IPC_OP_DICT_CLEAR);
}

/* ---- going through it ---- */

/* The values that the caller wants are his, the others are ended. */
static void hand_out(ipc_any found[2], ipc_any *key, ipc_any *value)
{
    if (key != NULL)
        *key = found[0];
    else
        ipc_any_free(&found[0]);
    if (value != NULL)
        *value = found[1];
    else
        ipc_any_free(&found[1]);
}

/* 1, 0 or an error: found has something to end if it is not an error. */
static int next(const struct ipc__handle *handle, uint64_t *after,
                ipc_any found[2], const bool wanted[2])
{
    struct ipc__visit v;
    struct ipc__view t;
    int rc = ipc__map_enter(&v, handle, IPC_TYPE_DICT, &t);
    if (rc != 0)
        return rc;
    const struct ipc__row *row = ipc__view_after(&t, *after);
    const uint64_t number = row != NULL ? load_relaxed(&row->number) : 0;
    if (row != NULL && wanted[0])
        (void)ipc__item_get(&v, &row->key, &found[0]);
    if (row != NULL && wanted[1])
        (void)ipc__item_get(&v, &row->value, &found[1]);
    rc = ipc__arena_leave_unchanged(&v);
    if (rc < 0) {
        hand_out(found, NULL, NULL);
        return rc;
    }
    if (row != NULL)
        *after = number;
    return row != NULL;
}

int ipc_dict_next(ipc_dict *dict, ipc_dict_cursor *cursor, ipc_any *key,
                  ipc_any *value)
{
    const bool wanted[2] = {key != NULL, value != NULL};
    ipc_any found[2] = {ipc_nil(), ipc_nil()};
    const int rc = ipc__is_remote(&dict->handle)
                       ? ipc__map_remote_next(&dict->handle, IPC_OP_DICT_NEXT,
                                              &cursor->after, found, 2)
                       : next(&dict->handle, &cursor->after, found, wanted);
    if (rc == 1)
        hand_out(found, key, value);
    return rc;
}
