/* Dicts: the calls on one item.  What may be killed where is in table.c and
 * journal.c. */
#include "object/dict.h"
#include "core/error.h"

/* ---- storage ---- */

int ipc_dict_new(ipc_arena *arena, ipc_dict **out)
{
    struct ipc__handle *handle;
    const int rc = ipc__handle_new(arena, IPC_TYPE_DICT, &handle);
    if (rc == 0)
        *out = (ipc_dict *)handle;
    return rc;
}

int ipc_dict_free(ipc_dict *dict)
{
    return dict != NULL ? ipc__handle_free(&dict->handle, IPC_TYPE_DICT) : 0;
}

int ipc_dict_close(ipc_dict *dict)
{
    return dict != NULL ? ipc__handle_close(&dict->handle) : 0;
}

int ipc_dict_copy(ipc_dict *dict, ipc_dict **out)
{
    struct ipc__handle *handle;
    const int rc =
        ipc__map_copy(&dict->handle, IPC_TYPE_DICT, IPC_OP_DICT_COPY, &handle);
    if (rc == 0)
        *out = (ipc_dict *)handle;
    return rc;
}

/* ---- one item ---- */

int ipc_dict_set(ipc_dict *dict, ipc_any key, ipc_any value)
{
    return ipc__map_set(&dict->handle, IPC_TYPE_DICT, &key, &value);
}

int ipc_dict_get(ipc_dict *dict, ipc_any key, ipc_any *out)
{
    return ipc__map_get(&dict->handle, IPC_TYPE_DICT, &key, out);
}

int ipc_dict_pop(ipc_dict *dict, ipc_any key, ipc_any *out)
{
    return ipc__map_pop(&dict->handle, IPC_TYPE_DICT, &key, out);
}

int ipc_dict_contains(ipc_dict *dict, ipc_any key)
{
    return ipc__map_contains(&dict->handle, IPC_TYPE_DICT, &key);
}

int64_t ipc_dict_length(ipc_dict *dict)
{
    return ipc__map_length(&dict->handle, IPC_TYPE_DICT, IPC_OP_DICT_LENGTH);
}

static void put_default(struct ipc__sought *s, const ipc_any *value,
                        ipc_any *out)
{
    struct ipc__item item;
    if (ipc__item_make(&s->v, s->t.object, value, &item) < 0)
        return;
    ipc__view_add(&s->t, &s->key, &item);
    if (out != NULL)
        (void)ipc__item_get(&s->v, &item, out);
}

int ipc_dict_setdefault(ipc_dict *dict, ipc_any key, ipc_any value,
                        ipc_any *out)
{
    if (ipc__is_remote(&dict->handle))
        return ipc__dict_remote_setdefault(&dict->handle, &key, &value, out);
    struct ipc__sought s;
    ipc_any found = ipc_nil();
    ipc_any *wanted = out != NULL ? &found : NULL;
    int rc = ipc__map_seek(&s, &dict->handle, IPC_TYPE_DICT, &key);
    if (rc != 0)
        return rc;
    const bool is_new = s.row == NULL;
    if (is_new)
        put_default(&s, &value, wanted);
    else if (wanted != NULL)
        (void)ipc__item_get(&s.v, &s.row->value, wanted);
    rc = is_new ? ipc__arena_leave(&s.v) : ipc__arena_leave_unchanged(&s.v);
    if (rc < 0)
        ipc_any_free(&found);
    else if (out != NULL)
        *out = found;
    return rc < 0 ? rc : is_new;
}

int ipc_dict_popitem(ipc_dict *dict, ipc_any *key, ipc_any *value)
{
    if (ipc__is_remote(&dict->handle))
        return ipc__dict_remote_popitem(&dict->handle, key, value);
    struct ipc__visit v;
    struct ipc__view t;
    ipc_any found[2] = {ipc_nil(), ipc_nil()};
    int rc = ipc__map_enter(&v, &dict->handle, IPC_TYPE_DICT, &t);
    if (rc != 0)
        return rc;
    struct ipc__row *row = ipc__view_last(&t);
    if (row == NULL) {
        rc = ipc__arena_leave_unchanged(&v);
        return rc < 0 ? rc : ipc__fail(-ENOENT, "the dict is empty");
    }
    if (ipc__item_get(&v, &row->key, &found[0]) >= 0 &&
        ipc__item_get(&v, &row->value, &found[1]) >= 0) {
        ipc__view_remove(&t, row);
        ipc__view_settle(&t, 1);
    }
    rc = ipc__arena_leave(&v);
    if (rc < 0) {
        ipc_any_free(&found[0]);
        ipc_any_free(&found[1]);
        return rc;
    }
    *key = found[0];
    *value = found[1];
    return 0;
}

/* ---- look and change in one step ---- */

/* What incr starts from, and the sum.  0 or v->rc. */
static int add_to(struct ipc__visit *v, const struct ipc__item *old, int64_t by,
                  int64_t *sum)
{
    const uint32_t tag = old->tag;
    const uint64_t number = old->value;
    bool overflow;
    if (likely(tag == IPC_TYPE_I64))
        overflow = __builtin_add_overflow((int64_t)number, by, sum);
    else if (tag == IPC_TYPE_U64)
        overflow = __builtin_add_overflow(number, by, sum);
    else
        return ipc__visit_fail(v, -EINVAL, "the value is no int but a %s",
                               ipc_type_name(tag & ~(uint32_t)IPC__ITEM_LONG));
    if (unlikely(overflow))
        return ipc__visit_fail(v, -EOVERFLOW, "the sum does not fit");
    return 0;
}

int ipc_dict_incr(ipc_dict *dict, ipc_any key, int64_t by, int64_t *out)
{
    if (ipc__is_remote(&dict->handle))
        return ipc__dict_remote_incr(&dict->handle, &key, by, out);
    struct ipc__sought s;
    int64_t sum = by;
    int rc = ipc__map_seek(&s, &dict->handle, IPC_TYPE_DICT, &key);
    if (rc != 0)
        return rc;
    if (unlikely(s.row == NULL) || add_to(&s.v, &s.row->value, by, &sum) >= 0) {
        const struct ipc__item item = {.words = {IPC_TYPE_I64, (uint64_t)sum}};
        if (likely(s.row != NULL))
            ipc__view_set(&s.t, s.row, &item);
        else
            ipc__view_add(&s.t, &s.key, &item);
    }
    rc = ipc__arena_leave(&s.v);
    if (rc >= 0 && out != NULL)
        *out = sum;
    return rc;
}

static bool is_expected(struct ipc__sought *s, const ipc_any *expected)
{
    if (s->row == NULL || expected == NULL)
        return s->row == NULL && expected == NULL;
    return ipc__item_equals(&s->v, &s->row->value, expected);
}

int ipc_dict_cas(ipc_dict *dict, ipc_any key, const ipc_any *expected,
                 const ipc_any *value)
{
    if (ipc__is_remote(&dict->handle))
        return ipc__dict_remote_cas(&dict->handle, &key, expected, value);
    if (expected != NULL && expected->type > IPC_TYPE_NAMESPACE)
        return ipc__fail(-EINVAL, "no value has the type %u", expected->type);
    struct ipc__sought s;
    int rc = ipc__map_seek(&s, &dict->handle, IPC_TYPE_DICT, &key);
    if (rc != 0)
        return rc;
    if (!is_expected(&s, expected)) {
        rc = ipc__arena_leave_unchanged(&s.v);
        return rc < 0 ? rc : 0;
    }
    if (value != NULL) {
        ipc__map_put(&s, value);
    } else if (s.row != NULL) {
        ipc__view_remove(&s.t, s.row);
        ipc__view_settle(&s.t, 1);
    }
    rc = ipc__arena_leave(&s.v);
    return rc < 0 ? rc : 1;
}

/* ---- waiting for a change ---- */

/* It has changed: what it is now. */
static int tell_change(struct ipc__sought *s, uint64_t *version, ipc_any *out)
{
    const uint64_t now = s->row != NULL ? load_relaxed(&s->row->version) : 0;
    ipc_any value = ipc_nil();
    if (out != NULL && s->row != NULL)
        (void)ipc__item_get(&s->v, &s->row->value, &value);
    const int rc = ipc__arena_leave_unchanged(&s->v);
    if (rc < 0)
        return rc;
    *version = now;
    if (out != NULL)
        *out = value;
    return 0;
}

int ipc_dict_watch(ipc_dict *dict, ipc_any key, uint64_t *version, ipc_any *out,
                   ipc_deadline deadline)
{
    if (ipc__is_remote(&dict->handle))
        return ipc__map_remote_watch(&dict->handle, IPC_OP_DICT_WATCH, &key,
                                     version, out, deadline);
    for (;;) {
        struct ipc__sought s;
        int rc = ipc__map_seek(&s, &dict->handle, IPC_TYPE_DICT, &key);
        if (rc != 0)
            return rc;
        if (*version != (s.row != NULL ? load_relaxed(&s.row->version) : 0))
            return tell_change(&s, version, out);
        rc = ipc__object_sleep(&s.v, s.t.object, deadline);
        if (rc != 0)
            return rc;
    }
}
