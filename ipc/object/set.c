/* Sets: tables without values. */
#include <ipc/set.h>

#include "core/error.h"
#include "object/dict.h"

/* ---- storage ---- */

int ipc_set_new(ipc_arena *arena, ipc_set **out)
{
    struct ipc__handle *handle;
    const int rc = ipc__handle_new(arena, IPC_TYPE_SET, &handle);
    if (rc == 0)
        *out = (ipc_set *)handle;
    return rc;
}

int ipc_set_free(ipc_set *set)
{
    return set != NULL ? ipc__handle_free(&set->handle, IPC_TYPE_SET) : 0;
}

int ipc_set_close(ipc_set *set)
{
    return set != NULL ? ipc__handle_close(&set->handle) : 0;
}

int ipc_set_copy(ipc_set *set, ipc_set **out)
{
    struct ipc__handle *handle;
    const int rc =
        ipc__map_copy(&set->handle, IPC_TYPE_SET, IPC_OP_SET_COPY, &handle);
    if (rc == 0)
        *out = (ipc_set *)handle;
    return rc;
}

/* ---- one member ---- */

int ipc_set_add(ipc_set *set, ipc_any member)
{
    if (ipc__is_remote(&set->handle))
        return ipc__map_remote_flag(&set->handle, IPC_OP_SET_ADD, &member, 1);
    struct ipc__sought s;
    int rc = ipc__map_seek(&s, &set->handle, IPC_TYPE_SET, &member);
    if (rc != 0)
        return rc;
    if (s.row != NULL)
        return ipc__arena_leave_unchanged(&s.v);
    ipc__view_add(&s.t, &s.key, NULL);
    rc = ipc__arena_leave(&s.v);
    return rc < 0 ? rc : 1;
}

int ipc_set_discard(ipc_set *set, ipc_any member)
{
    if (ipc__is_remote(&set->handle))
        return ipc__map_remote_flag(&set->handle, IPC_OP_SET_DISCARD, &member,
                                    1);
    struct ipc__sought s;
    int rc = ipc__map_seek(&s, &set->handle, IPC_TYPE_SET, &member);
    if (rc != 0)
        return rc;
    if (s.row == NULL)
        return ipc__arena_leave_unchanged(&s.v);
    ipc__view_remove(&s.t, s.row);
    ipc__view_settle(&s.t, 1);
    rc = ipc__arena_leave(&s.v);
    return rc < 0 ? rc : 1;
}

int ipc_set_remove(ipc_set *set, ipc_any member)
{
    if (ipc__is_remote(&set->handle))
        return ipc__remote_call(&set->handle, IPC_OP_SET_REMOVE, &member, 1,
                                NULL, 0);
    const int rc = ipc_set_discard(set, member);
    if (rc == 0)
        return ipc__key_missing(&member);
    return rc < 0 ? rc : 0;
}

int ipc_set_pop(ipc_set *set, ipc_any *out)
{
    if (ipc__is_remote(&set->handle))
        return ipc__remote_call(&set->handle, IPC_OP_SET_POP, NULL, 0, out, 1);
    struct ipc__visit v;
    struct ipc__view t;
    ipc_any found = ipc_nil();
    int rc = ipc__map_enter(&v, &set->handle, IPC_TYPE_SET, &t);
    if (rc != 0)
        return rc;
    struct ipc__row *row = ipc__view_last(&t);
    if (row == NULL) {
        rc = ipc__arena_leave_unchanged(&v);
        return rc < 0 ? rc : ipc__fail(-ENOENT, "the set is empty");
    }
    if (ipc__item_get(&v, &row->key, &found) >= 0) {
        ipc__view_remove(&t, row);
        ipc__view_settle(&t, 1);
    }
    rc = ipc__arena_leave(&v);
    if (rc < 0)
        ipc_any_free(&found);
    else
        *out = found;
    return rc;
}

int ipc_set_contains(ipc_set *set, ipc_any member)
{
    return ipc__map_contains(&set->handle, IPC_TYPE_SET, &member);
}

int64_t ipc_set_length(ipc_set *set)
{
    return ipc__map_length(&set->handle, IPC_TYPE_SET, IPC_OP_SET_LENGTH);
}

/* ---- many ---- */

static void add_members(struct ipc__view *t, const ipc_any *members,
                        size_t count)
{
    struct ipc__visit *v = t->v;
    ipc__view_reserve(t, count);
    for (size_t i = 0; i < count && ipc__journal_room(v, 0, 0) >= 0; i++) {
        struct ipc__key key;
        if (ipc__key_make_in(v, &members[i], &key) >= 0 &&
            ipc__view_find(t, &key) == NULL)
            ipc__view_add(t, &key, NULL);
    }
}

int ipc_set_update(ipc_set *set, const ipc_any *members, size_t count)
{
    if (members == NULL && count > 0)
        return ipc__fail(-EINVAL, "%zu members at NULL", count);
    if (ipc__is_remote(&set->handle))
        return ipc__remote_call(&set->handle, IPC_OP_SET_UPDATE, members, count,
                                NULL, 0);
    struct ipc__visit v;
    struct ipc__view t;
    const int rc = ipc__map_enter(&v, &set->handle, IPC_TYPE_SET, &t);
    if (rc != 0)
        return rc;
    add_members(&t, members, count);
    return ipc__arena_leave(&v);
}

int ipc_set_members(ipc_set *set, ipc_anys *out)
{
    return ipc__map_list(&set->handle, IPC_TYPE_SET, IPC__KEYS, out);
}

int ipc_set_clear(ipc_set *set)
{
    return ipc__map_clear(&set->handle, IPC_TYPE_SET, IPC_OP_SET_CLEAR);
}

/* ---- going through it ---- */

int ipc_set_next(ipc_set *set, ipc_set_cursor *cursor, ipc_any *out)
{
    if (ipc__is_remote(&set->handle))
        return ipc__map_remote_next(&set->handle, IPC_OP_SET_NEXT,
                                    &cursor->after, out, 1);
    struct ipc__visit v;
    struct ipc__view t;
    int rc = ipc__map_enter(&v, &set->handle, IPC_TYPE_SET, &t);
    if (rc != 0)
        return rc;
    const struct ipc__row *row = ipc__view_after(&t, cursor->after);
    const uint64_t number = row != NULL ? load_relaxed(&row->number) : 0;
    if (row != NULL)
        (void)ipc__item_get(&v, &row->key, out);
    rc = ipc__arena_leave_unchanged(&v);
    if (rc < 0 || row == NULL)
        return rc;
    cursor->after = number;
    return 1;
}

/* ---- waiting for a change ---- */

int ipc_set_watch(ipc_set *set, uint64_t *version, ipc_deadline deadline)
{
    if (ipc__is_remote(&set->handle))
        return ipc__map_remote_watch(&set->handle, IPC_OP_SET_WATCH, NULL,
                                     version, NULL, deadline);
    for (;;) {
        struct ipc__visit v;
        struct ipc__object *object;
        int rc = ipc__handle_enter(&v, &set->handle, IPC_TYPE_SET, &object);
        if (rc != 0)
            return rc;
        const uint64_t now = load_relaxed(&object->version);
        if (now != *version) {
            *version = now;
            return ipc__arena_leave_unchanged(&v);
        }
        rc = ipc__object_sleep(&v, object, deadline);
        if (rc != 0)
            return rc;
    }
}
