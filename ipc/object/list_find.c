/* Lists: looking for equal items. */
#include "object/list.h"

/* A value that an item may be compared with: 0 or v->rc. */
static int check_value(struct ipc__visit *v, const ipc_any *value)
{
    if (value->type > IPC_TYPE_NAMESPACE)
        return ipc__visit_fail(v, -EINVAL, "no value has the type %u",
                               value->type);
    if ((value->type == IPC_TYPE_STR || value->type == IPC_TYPE_BYTES) &&
        value->size > IPC_ANY_BYTES_MAX)
        return ipc__visit_fail(v, -EINVAL, "a string of %u bytes: %u at most",
                               value->size, IPC_ANY_BYTES_MAX);
    return 0;
}

/* Look at the items from *index up to before stop.  True: the one at *index is
 * equal.  An error is in v->rc. */
static bool find(const struct ipc__list *l, const ipc_any *value,
                 uint64_t *index, uint64_t stop)
{
    struct ipc__item item;
    for (uint64_t at = *index; at < stop; at++) {
        if (!ipc__list_read(l, at, &item))
            return false;
        const bool equal = ipc__item_equals(l->v, &item, value);
        if (l->v->rc < 0)
            return false;
        if (equal) {
            *index = at;
            return true;
        }
    }
    return false;
}

static bool look(struct ipc__visit *v, struct ipc__object *object,
                 const ipc_any *value, struct ipc__list *l)
{
    return check_value(v, value) == 0 && ipc__list_look(v, object, l);
}

static void not_there(struct ipc__visit *v)
{
    if (v->rc >= 0)
        (void)ipc__visit_fail(v, -ENOENT, "no item of the list is equal to it");
}

int ipc_list_remove(ipc_list *list, ipc_any value)
{
    if (ipc__is_remote(&list->handle))
        return ipc__remote_call(&list->handle, IPC_OP_LIST_REMOVE, &value, 1,
                                NULL, 0);
    struct ipc__visit v;
    struct ipc__object *object;
    const int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (rc != 0)
        return rc;
    struct ipc__list l;
    struct ipc__item item;
    uint64_t at = 0;
    if (look(&v, object, &value, &l)) {
        if (!find(&l, &value, &at, l.count))
            not_there(&v);
        else if (ipc__list_read(&l, at, &item))
            (void)ipc__list_take(&l, at, &item);
    }
    return ipc__arena_leave(&v);
}

int ipc_list_index(ipc_list *list, ipc_any value, int64_t start, int64_t stop,
                   uint64_t *out)
{
    int rc;
    if (ipc__is_remote(&list->handle)) {
        const ipc_any args[] = {value, ipc_i64(start), ipc_i64(stop)};
        int64_t index = 0;
        rc = ipc__list_remote_number(list, IPC_OP_LIST_INDEX, args, 3, &index);
        if (rc == 0)
            *out = (uint64_t)index;
        return rc;
    }
    struct ipc__visit v;
    struct ipc__object *object;
    rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (rc != 0)
        return rc;
    struct ipc__list l;
    uint64_t at = 0;
    if (look(&v, object, &value, &l)) {
        at = ipc__list_clamp(l.count, start);
        if (!find(&l, &value, &at, ipc__list_clamp(l.count, stop)))
            not_there(&v);
    }
    rc = ipc__arena_leave_unchanged(&v);
    if (rc == 0)
        *out = at;
    return rc;
}

/* How many are equal, of which no more are looked for than that. */
static int64_t count(ipc_list *list, const ipc_any *value, int64_t most)
{
    struct ipc__visit v;
    struct ipc__object *object;
    int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (rc != 0)
        return rc;
    struct ipc__list l;
    uint64_t at = 0;
    int64_t found = 0;
    if (look(&v, object, value, &l))
        for (; found < most && find(&l, value, &at, l.count); at++)
            found++;
    rc = ipc__arena_leave_unchanged(&v);
    return rc < 0 ? rc : found;
}

static int64_t remote_count(ipc_list *list, enum ipc_op op,
                            const ipc_any *value)
{
    int64_t found = 0;
    const int rc = ipc__list_remote_number(list, op, value, 1, &found);
    return rc < 0 ? rc : found;
}

int64_t ipc_list_count(ipc_list *list, ipc_any value)
{
    return ipc__is_remote(&list->handle)
               ? remote_count(list, IPC_OP_LIST_COUNT, &value)
               : count(list, &value, INT64_MAX);
}

int ipc_list_contains(ipc_list *list, ipc_any value)
{
    const int64_t found = ipc__is_remote(&list->handle)
                              ? remote_count(list, IPC_OP_LIST_CONTAINS, &value)
                              : count(list, &value, 1);
    return found > 0 ? 1 : (int)found;
}
