/* Lists: those that are made: alone, as a copy, and in a list. */
#include "object/list.h"

/* ---- storage ---- */

int ipc_list_new(ipc_arena *arena, ipc_list **out)
{
    struct ipc__handle *handle;
    const int rc = ipc__handle_new(arena, IPC_TYPE_LIST, &handle);
    if (rc == 0)
        *out = (ipc_list *)handle;
    return rc;
}

int ipc_list_free(ipc_list *list)
{
    return list != NULL ? ipc__handle_free(&list->handle, IPC_TYPE_LIST) : 0;
}

int ipc_list_close(ipc_list *list)
{
    return list != NULL ? ipc__handle_close(&list->handle) : 0;
}

/* ---- copy ---- */

static void copy_items(const struct ipc__list *from, struct ipc__list *to)
{
    struct ipc__visit *v = from->v;
    uint64_t nested = 0;
    if (from->count == 0 || !ipc__list_splice(to, 0, 0, from->count))
        return;
    for (uint64_t i = 0; i < from->count; i++) {
        struct ipc__item item;
        struct ipc__item *slot = ipc__list_slot(to, i);
        if (slot == NULL || !ipc__list_read(from, i, &item) ||
            ipc__item_copy(v, to->object, &item, slot) != 0)
            return;
        nested += ipc__item_is_handle(&item);
    }
    ipc__list_nested(to, nested, 0);
}

/* Into a list that nobody else knows yet. */
static int copy(ipc_list *list, const ipc_list *made)
{
    struct ipc__visit v;
    struct ipc__object *object;
    const int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (rc != 0)
        return rc;
    struct ipc__list from;
    struct ipc__list to;
    struct ipc__object *target = ipc__handle_object(&v, &made->handle);
    if (target == NULL)
        (void)ipc__visit_spoilt(&v, "a list that was made is not there");
    else if (ipc__list_look(&v, object, &from) &&
             ipc__list_look(&v, target, &to))
        copy_items(&from, &to);
    return ipc__arena_leave(&v);
}

/* Who dies between the two visits leaves a list that nobody has, as he would
 * have before the return of ipc_list_new(). */
int ipc_list_copy(ipc_list *list, ipc_list **out)
{
    struct ipc__handle *handle;
    int rc;
    if (ipc__is_remote(&list->handle)) {
        rc = ipc__list_remote_handle(list, IPC_OP_LIST_COPY, NULL, 0,
                                     IPC_TYPE_LIST, &handle);
        if (rc == 0)
            *out = (ipc_list *)handle;
        return rc;
    }
    ipc_list *made;
    rc = ipc_list_new(list->handle.arena, &made);
    if (rc != 0)
        return rc;
    rc = copy(list, made);
    if (rc == 0)
        *out = made;
    else
        (void)ipc_list_free(made);
    return rc;
}

/* ---- in a list ---- */

/* A value whose handle is made in this visit. */
static struct ipc__handle *
append_made(struct ipc__visit *v, struct ipc__object *object, uint32_t type)
{
    const struct ipc__object *made = ipc__object_make(v, type);
    struct ipc__handle *handle =
        made != NULL ? ipc__handle_make(v, made) : NULL;
    if (handle == NULL)
        return NULL;
    struct ipc__item item;
    ipc_any value = ipc_any_with_type(type);
    value.list = (ipc_list *)handle;
    if (ipc__item_make(v, object, &value, &item) == 0)
        (void)ipc__list_append(v, object, &item);
    return handle;
}

static int append_new(ipc_list *list, uint32_t type, struct ipc__handle **out)
{
    if (ipc__is_remote(&list->handle)) {
        const ipc_any arg = ipc_i64(type);
        return ipc__list_remote_handle(list, IPC_OP_LIST_APPEND_NEW, &arg, 1,
                                       type, out);
    }
    struct ipc__visit v;
    struct ipc__object *object;
    int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (rc != 0)
        return rc;
    struct ipc__handle *handle = append_made(&v, object, type);
    rc = ipc__arena_leave(&v);
    if (rc == 0)
        *out = handle;
    else
        (void)ipc__handle_close(handle);
    return rc;
}

int ipc_list_append_list(ipc_list *list, ipc_list **out)
{
    struct ipc__handle *handle;
    const int rc = append_new(list, IPC_TYPE_LIST, &handle);
    if (rc == 0)
        *out = (ipc_list *)handle;
    return rc;
}

int ipc_list_append_dict(ipc_list *list, ipc_dict **out)
{
    struct ipc__handle *handle;
    const int rc = append_new(list, IPC_TYPE_DICT, &handle);
    if (rc == 0)
        *out = (ipc_dict *)handle;
    return rc;
}
