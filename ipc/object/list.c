/* Lists: one item at a time.
 *
 * State, invariants, death: see list_ring.c. */
#include "object/list.h"

/* ---- append ---- */

/* The slot behind the last item, if it is there. */
static inline struct ipc__item *free_slot(const struct ipc__list *l)
{
    const uint64_t position = l->first + l->count;
    if (ipc__list_is_small(l))
        return likely(l->count < l->capacity)
                   ? (struct ipc__item *)l->slots +
                         (position & (l->capacity - 1))
                   : NULL;
    if ((l->first & (IPC__LIST_CHUNK - 1)) + l->count >= l->capacity ||
        load_relaxed(ipc__list_entry(l, position)) == 0)
        return NULL;
    return ipc__list_slot(l, l->count);
}

static SLOW_PATH struct ipc__item *grown_slot(struct ipc__list *l)
{
    const uint64_t index = l->count;
    return ipc__list_splice(l, index, 0, 1) ? ipc__list_slot(l, index) : NULL;
}

static inline int append(struct ipc__visit *v, struct ipc__object *object,
                         const struct ipc__item *item)
{
    struct ipc__list l;
    if (unlikely(!ipc__list_look(v, object, &l)))
        return v->rc;
    struct ipc__item *slot = free_slot(&l);
    if (likely(slot != NULL))
        ipc__put64(v, &l.body->head.count, l.count + 1);
    else if ((slot = grown_slot(&l)) == NULL)
        return v->rc;
    if (likely(v->outer))
        *slot = *item;
    else
        ipc__item_put(v, slot, item);
    ipc__list_nested(&l, ipc__item_is_handle(item), 0);
    ipc__object_changed(v, object);
    return v->rc;
}

int ipc__list_append(struct ipc__visit *v, struct ipc__object *object,
                     const struct ipc__item *item)
{
    return append(v, object, item);
}

int ipc_list_append(ipc_list *list, ipc_any value)
{
    if (ipc__is_remote(&list->handle))
        return ipc__remote_call(&list->handle, IPC_OP_LIST_APPEND, &value, 1,
                                NULL, 0);
    struct ipc__visit v;
    struct ipc__object *object;
    const int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (unlikely(rc != 0))
        return rc;
    struct ipc__item item;
    if (ipc__item_make(&v, object, &value, &item) == 0)
        (void)append(&v, object, &item);
    return ipc__arena_leave(&v);
}

/* ---- insert ---- */

int ipc_list_insert(ipc_list *list, int64_t index, ipc_any value)
{
    if (ipc__is_remote(&list->handle)) {
        const ipc_any args[] = {ipc_i64(index), value};
        return ipc__remote_call(&list->handle, IPC_OP_LIST_INSERT, args, 2,
                                NULL, 0);
    }
    struct ipc__visit v;
    struct ipc__object *object;
    const int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (rc != 0)
        return rc;
    struct ipc__list l;
    if (ipc__list_look(&v, object, &l))
        (void)ipc__list_put_many(&l, ipc__list_clamp(l.count, index), 0, &value,
                                 1);
    return ipc__arena_leave(&v);
}

/* ---- get ---- */

int ipc_list_get(ipc_list *list, int64_t index, ipc_any *out)
{
    if (ipc__is_remote(&list->handle)) {
        const ipc_any arg = ipc_i64(index);
        return ipc__remote_call(&list->handle, IPC_OP_LIST_GET, &arg, 1, out,
                                1);
    }
    struct ipc__visit v;
    struct ipc__object *object;
    int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (unlikely(rc != 0))
        return rc;
    struct ipc__list l;
    struct ipc__item item;
    ipc_any value = ipc_nil();
    uint64_t at;
    if (likely(ipc__list_look(&v, object, &l) &&
               ipc__list_index(&l, index, &at) &&
               ipc__list_read(&l, at, &item)))
        (void)ipc__item_get(&v, &item, &value);
    rc = ipc__arena_leave_unchanged(&v);
    if (likely(rc == 0))
        *out = value;
    else
        ipc_any_free(&value);
    return rc;
}

int ipc_list_next(ipc_list *list, ipc_list_cursor *cursor, ipc_any *out)
{
    if (cursor->index > INT64_MAX)
        return 0;
    if (ipc__is_remote(&list->handle)) {
        const int rc = ipc_list_get(list, (int64_t)cursor->index, out);
        if (rc == 0)
            cursor->index++;
        return rc == 0 ? 1 : rc == -ERANGE ? 0 : rc;
    }
    struct ipc__visit v;
    struct ipc__object *object;
    int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (rc != 0)
        return rc;
    struct ipc__list l;
    struct ipc__item item;
    ipc_any value = ipc_nil();
    bool there = false;
    if (ipc__list_look(&v, object, &l) && cursor->index < l.count &&
        ipc__list_read(&l, cursor->index, &item))
        there = ipc__item_get(&v, &item, &value) == 0;
    rc = ipc__arena_leave_unchanged(&v);
    if (rc != 0) {
        ipc_any_free(&value);
        return rc;
    }
    if (!there)
        return 0;
    cursor->index++;
    *out = value;
    return 1;
}

int64_t ipc_list_length(ipc_list *list)
{
    if (ipc__is_remote(&list->handle)) {
        int64_t length = 0;
        const int rc =
            ipc__list_remote_number(list, IPC_OP_LIST_LENGTH, NULL, 0, &length);
        return rc < 0 ? rc : length;
    }
    struct ipc__visit v;
    struct ipc__object *object;
    int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (unlikely(rc != 0))
        return rc;
    struct ipc__list l;
    const uint64_t count = ipc__list_look(&v, object, &l) ? l.count : 0;
    rc = ipc__arena_leave_unchanged(&v);
    return rc < 0 ? rc : (int64_t)count;
}

/* ---- set ---- */

static inline int set(struct ipc__list *l, int64_t index, const ipc_any *value)
{
    struct ipc__visit *v = l->v;
    struct ipc__item item;
    uint64_t at;
    if (!ipc__list_index(l, index, &at))
        return v->rc;
    struct ipc__item *slot = ipc__list_slot(l, at);
    if (slot == NULL || ipc__item_make(v, l->object, value, &item) != 0)
        return v->rc;
    const struct ipc__item old = ipc__list_load(slot);
    ipc__item_put(v, slot, &item);
    ipc__list_nested(l, ipc__item_is_handle(&item), ipc__item_is_handle(&old));
    ipc__item_drop(v, &old);
    ipc__object_changed(v, l->object);
    return v->rc;
}

int ipc_list_set(ipc_list *list, int64_t index, ipc_any value)
{
    if (ipc__is_remote(&list->handle)) {
        const ipc_any args[] = {ipc_i64(index), value};
        return ipc__remote_call(&list->handle, IPC_OP_LIST_SET, args, 2, NULL,
                                0);
    }
    struct ipc__visit v;
    struct ipc__object *object;
    const int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (unlikely(rc != 0))
        return rc;
    struct ipc__list l;
    if (likely(ipc__list_look(&v, object, &l)))
        (void)set(&l, index, &value);
    return ipc__arena_leave(&v);
}

/* ---- pop ---- */

/* Take one off at an end, if no chunk becomes empty by that. */
static inline bool shorten(struct ipc__list *l, uint64_t index)
{
    const uint64_t within =
        ipc__list_is_small(l) ? 1 : (l->first + index) & (IPC__LIST_CHUNK - 1);
    struct ipc__list_body *body = l->body;
    if (index == l->count - 1) {
        if (within == 0 || l->count == 1)
            return false;
    } else if (index == 0 && within != IPC__LIST_CHUNK - 1) {
        ipc__put64(l->v, &body->first, (l->first + 1) & (l->capacity - 1));
    } else {
        return false;
    }
    ipc__put64(l->v, &body->head.count, l->count - 1);
    return true;
}

int ipc__list_take(struct ipc__list *l, uint64_t index,
                   const struct ipc__item *item)
{
    struct ipc__visit *v = l->v;
    if (!shorten(l, index) && !ipc__list_splice(l, index, 1, 0))
        return v->rc;
    ipc__list_nested(l, 0, ipc__item_is_handle(item));
    ipc__item_drop(v, item);
    ipc__object_changed(v, l->object);
    return v->rc;
}

/* Take out an item, if it is a value of a type (0: of any). */
static void pop(struct ipc__list *l, int64_t index, uint32_t type, ipc_any *out)
{
    struct ipc__item item;
    uint64_t at;
    if (!ipc__list_index(l, index, &at) || !ipc__list_read(l, at, &item))
        return;
    if (type != 0 && item.tag != type) {
        (void)ipc__visit_fail(l->v, -EINVAL, "the item is no %s",
                              ipc_type_name(type));
        return;
    }
    if (out == NULL || ipc__item_get(l->v, &item, out) == 0)
        (void)ipc__list_take(l, at, &item);
}

int ipc__list_pop(ipc_list *list, int64_t index, uint32_t type, ipc_any *out)
{
    struct ipc__visit v;
    struct ipc__object *object;
    int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (unlikely(rc != 0))
        return rc;
    struct ipc__list l;
    ipc_any value = ipc_nil();
    if (ipc__list_look(&v, object, &l))
        pop(&l, index, type, out != NULL ? &value : NULL);
    rc = ipc__arena_leave(&v);
    if (rc == 0 && out != NULL)
        *out = value;
    else
        ipc_any_free(&value);
    return rc;
}

int ipc_list_pop(ipc_list *list, int64_t index, ipc_any *out)
{
    return ipc__is_remote(&list->handle)
               ? ipc__list_remote_pop(list, index, 0, out)
               : ipc__list_pop(list, index, 0, out);
}

/* ---- watch ---- */

int ipc_list_watch(ipc_list *list, uint64_t *version, ipc_deadline deadline)
{
    if (ipc__is_remote(&list->handle))
        return ipc__list_remote_watch(list, version, deadline);
    for (;;) {
        struct ipc__visit v;
        struct ipc__object *object;
        int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
        if (rc != 0)
            return rc;
        const uint64_t now = load_relaxed(&object->version);
        if (now != *version) {
            rc = ipc__arena_leave_unchanged(&v);
            if (rc == 0)
                *version = now;
            return rc;
        }
        rc = ipc__object_sleep(&v, object, deadline);
        if (rc != 0)
            return rc;
    }
}
