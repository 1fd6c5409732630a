/* Maps: what is the same for dicts and namespaces, and some of it for sets. */
#include "core/error.h"
#include "object/dict.h"

/* ---- in the arena ---- */

int ipc__map_enter(struct ipc__visit *v, const struct ipc__handle *handle,
                   uint32_t type, struct ipc__view *t)
{
    struct ipc__object *object;
    const int rc = ipc__handle_enter(v, handle, type, &object);
    if (unlikely(rc != 0))
        return rc;
    if (unlikely(!ipc__view_open(t, v, object)))
        return ipc__arena_leave_unchanged(v);
    return 0;
}

int ipc__map_seek(struct ipc__sought *s, const struct ipc__handle *handle,
                  uint32_t type, const ipc_any *key)
{
    struct ipc__object *object;
    int rc = ipc__key_make(handle->arena, key, &s->key);
    if (likely(rc == 0))
        rc = ipc__handle_enter(&s->v, handle, type, &object);
    if (unlikely(rc != 0))
        return rc;
    s->row = ipc__view_open_at(&s->t, &s->v, object, &s->key);
    if (unlikely(s->v.rc < 0))
        return ipc__arena_leave_unchanged(&s->v);
    return 0;
}

struct ipc__object *ipc__map_other(struct ipc__visit *v,
                                   const struct ipc__handle *other,
                                   uint32_t type)
{
    const char *name = ipc_type_name(type);
    struct ipc__object *object = NULL;
    if (other->type != type)
        (void)ipc__visit_fail(v, -EINVAL, "the other one is no %s", name);
    else if (other->arena != v->arena)
        (void)ipc__visit_fail(v, -EXDEV, "the other %s lives elsewhere", name);
    else if ((object = ipc__handle_object(v, other)) == NULL)
        (void)ipc__visit_fail(v, -ESTALE, "the other %s is no more", name);
    else if ((object->type & IPC__OBJECT_TYPE) != type)
        (void)ipc__visit_spoilt(v, "an object's type");
    return v->rc < 0 ? NULL : object;
}

int ipc__map_enter_both(struct ipc__visit *v, const struct ipc__handle *handle,
                        const struct ipc__handle *other, uint32_t type,
                        struct ipc__view t[2])
{
    const int rc = ipc__map_enter(v, handle, type, &t[0]);
    if (rc != 0)
        return rc;
    struct ipc__object *object = ipc__map_other(v, other, type);
    if (object == NULL || !ipc__view_open(&t[1], v, object))
        return ipc__arena_leave_unchanged(v);
    return 0;
}

void ipc__map_put(struct ipc__sought *s, const ipc_any *value)
{
    struct ipc__item item;
    if (ipc__item_make(&s->v, s->t.object, value, &item) < 0)
        return;
    if (s->row != NULL)
        ipc__view_set(&s->t, s->row, &item);
    else
        ipc__view_add(&s->t, &s->key, &item);
}

/* ---- one item ---- */

int ipc__map_set(struct ipc__handle *handle, uint32_t type, const ipc_any *key,
                 const ipc_any *value)
{
    if (ipc__is_remote(handle)) {
        const ipc_any args[] = {*key, *value};
        return ipc__remote_call(handle, IPC_OP_DICT_SET, args, 2, NULL, 0);
    }
    struct ipc__sought s;
    const int rc = ipc__map_seek(&s, handle, type, key);
    if (rc != 0)
        return rc;
    ipc__map_put(&s, value);
    return ipc__arena_leave(&s.v);
}

int ipc__map_get(struct ipc__handle *handle, uint32_t type, const ipc_any *key,
                 ipc_any *out)
{
    if (ipc__is_remote(handle))
        return ipc__remote_call(handle, IPC_OP_DICT_GET, key, 1, out, 1);
    struct ipc__sought s;
    const int rc = ipc__map_seek(&s, handle, type, key);
    if (rc != 0)
        return rc;
    if (likely(s.row != NULL)) {
        (void)ipc__item_get(&s.v, &s.row->value, out);
        return ipc__arena_leave_unchanged(&s.v);
    }
    (void)ipc__arena_leave_unchanged(&s.v);
    return ipc__key_missing(key);
}

static int remote_pop(struct ipc__handle *handle, const ipc_any *key,
                      ipc_any *out)
{
    ipc_any value;
    const int rc = ipc__remote_call(handle, IPC_OP_DICT_POP, key, 1, &value, 1);
    if (rc < 0)
        return rc;
    if (out != NULL)
        *out = value;
    else
        ipc_any_free(&value);
    return 0;
}

int ipc__map_pop(struct ipc__handle *handle, uint32_t type, const ipc_any *key,
                 ipc_any *out)
{
    if (ipc__is_remote(handle))
        return remote_pop(handle, key, out);
    struct ipc__sought s;
    ipc_any value = ipc_nil();
    int rc = ipc__map_seek(&s, handle, type, key);
    if (rc != 0)
        return rc;
    if (s.row == NULL) {
        (void)ipc__arena_leave_unchanged(&s.v);
        return ipc__key_missing(key);
    }
    if (out == NULL || ipc__item_get(&s.v, &s.row->value, &value) >= 0) {
        ipc__view_remove(&s.t, s.row);
        ipc__view_settle(&s.t, 1);
    }
    rc = ipc__arena_leave(&s.v);
    if (rc < 0)
        ipc_any_free(&value);
    else if (out != NULL)
        *out = value;
    return rc;
}

int ipc__map_contains(struct ipc__handle *handle, uint32_t type,
                      const ipc_any *key)
{
    if (ipc__is_remote(handle))
        return ipc__map_remote_flag(handle,
                                    type == IPC_TYPE_SET ? IPC_OP_SET_CONTAINS
                                                         : IPC_OP_DICT_CONTAINS,
                                    key, 1);
    struct ipc__sought s;
    const int rc = ipc__map_seek(&s, handle, type, key);
    if (rc != 0)
        return rc;
    (void)ipc__arena_leave_unchanged(&s.v);
    return s.row != NULL;
}

int ipc__map_get_i64(struct ipc__handle *handle, uint32_t type,
                     const ipc_any *key, int64_t *out)
{
    ipc_any value = ipc_nil();
    const int rc = ipc__map_get(handle, type, key, &value);
    if (rc < 0)
        return rc;
    if (likely(value.type == IPC_TYPE_I64)) {
        *out = value.i64;
        return 0;
    }
    const uint32_t got = value.type;
    ipc_any_free(&value);
    return ipc__fail(-EINVAL, "the value is no %s that fits, but a %s",
                     ipc_type_name(IPC_TYPE_I64), ipc_type_name(got));
}

/* ---- all of them ---- */

static enum ipc_op op_of(uint32_t type, enum ipc__part part)
{
    if (type == IPC_TYPE_SET)
        return IPC_OP_SET_MEMBERS;
    return part == IPC__KEYS     ? IPC_OP_DICT_KEYS
           : part == IPC__VALUES ? IPC_OP_DICT_VALUES
                                 : IPC_OP_DICT_ITEMS;
}

int ipc__map_list(struct ipc__handle *handle, uint32_t type,
                  enum ipc__part part, ipc_anys *out)
{
    if (ipc__is_remote(handle))
        return ipc__remote_call_many(handle, op_of(type, part), NULL, 0, out);
    struct ipc__visit v;
    struct ipc__object *object;
    const int rc = ipc__handle_enter(&v, handle, type, &object);
    if (rc != 0)
        return rc;
    (void)ipc__table_list(&v, object, part, out);
    return ipc__arena_leave_unchanged(&v);
}

int64_t ipc__map_length(struct ipc__handle *handle, uint32_t type,
                        enum ipc_op op)
{
    if (ipc__is_remote(handle)) {
        int64_t length;
        const int rc = ipc__map_remote_number(handle, op, NULL, 0, &length);
        return rc < 0 ? rc : length;
    }
    struct ipc__visit v;
    struct ipc__object *object;
    int rc = ipc__handle_enter(&v, handle, type, &object);
    if (rc != 0)
        return rc;
    const uint64_t count = ipc__table_count(&v, object);
    rc = ipc__arena_leave_unchanged(&v);
    return rc < 0 ? rc : (int64_t)(count & INT64_MAX);
}

int ipc__map_clear(struct ipc__handle *handle, uint32_t type, enum ipc_op op)
{
    if (ipc__is_remote(handle))
        return ipc__remote_call(handle, op, NULL, 0, NULL, 0);
    struct ipc__visit v;
    struct ipc__object *object;
    const int rc = ipc__handle_enter(&v, handle, type, &object);
    if (rc != 0)
        return rc;
    ipc__table_clear(&v, object);
    return ipc__arena_leave(&v);
}

int ipc__map_merge(struct ipc__handle *handle, struct ipc__handle *other,
                   uint32_t type, enum ipc_op op)
{
    if (ipc__is_remote(handle))
        return ipc__map_remote_other(handle, op, other, false);
    struct ipc__visit v;
    struct ipc__view t[2];
    const int rc = ipc__map_enter_both(&v, handle, other, type, t);
    if (rc != 0)
        return rc;
    ipc__table_merge(&t[0], &t[1]);
    return ipc__arena_leave(&v);
}

/* Into one that nobody else knows yet: who dies before he is told of it leaves
 * it behind, as with ..._new(). */
int ipc__map_copy(struct ipc__handle *from, uint32_t type, enum ipc_op op,
                  struct ipc__handle **out)
{
    if (ipc__is_remote(from))
        return ipc__map_remote_handle(from, op, NULL, 0, type, out);
    struct ipc__handle *made;
    int rc = ipc__handle_new(from->arena, type, &made);
    if (rc != 0)
        return rc;
    rc = ipc__map_merge(made, from, type, op);
    if (rc == 0)
        *out = made;
    else
        (void)ipc__handle_free(made, type);
    return rc;
}
