/* Dicts: strings as keys, and the type in the name. */
#include <string.h>

#include "core/error.h"
#include "object/dict.h"

static int fail_type(const char *wanted, uint32_t is)
{
    return ipc__fail(-EINVAL, "the value is no %s but a %s", wanted,
                     ipc_type_name(is));
}

/* ---- numbers ---- */

int ipc_dict_set_i64(ipc_dict *dict, const char *key, int64_t value)
{
    return ipc_dict_set(dict, ipc_str(key), ipc_i64(value));
}

int ipc_dict_set_f64(ipc_dict *dict, const char *key, double value)
{
    return ipc_dict_set(dict, ipc_str(key), ipc_f64(value));
}

int ipc_dict_get_i64(ipc_dict *dict, const char *key, int64_t *out)
{
    const ipc_any any = ipc_str(key);
    return ipc__map_get_i64(&dict->handle, IPC_TYPE_DICT, &any, out);
}

int ipc_dict_get_f64(ipc_dict *dict, const char *key, double *out)
{
    ipc_any value;
    const int rc = ipc_dict_get(dict, ipc_str(key), &value);
    if (rc < 0)
        return rc;
    if (value.type == IPC_TYPE_F64)
        *out = value.f64;
    else if (value.type == IPC_TYPE_I64)
        *out = (double)value.i64;
    else if (value.type == IPC_TYPE_U64)
        *out = (double)value.u64;
    else {
        const uint32_t is = value.type;
        ipc_any_free(&value);
        return fail_type(ipc_type_name(IPC_TYPE_F64), is);
    }
    return 0;
}

/* ---- strings ---- */

int ipc_dict_set_str(ipc_dict *dict, const char *key, const char *text)
{
    return ipc_dict_set(dict, ipc_str(key), ipc_str(text));
}

/* 0, or why not: nothing is written then. */
static int copy_text(const ipc_any *value, char *out, size_t room)
{
    if (value->type != IPC_TYPE_STR)
        return fail_type(ipc_type_name(IPC_TYPE_STR), value->type);
    if (value->size >= room)
        return ipc__fail(-EMSGSIZE, "a string of %u bytes into room for %zu",
                         value->size, room);
    if (value->size > 0)
        memcpy(out, value->str, value->size);
    out[value->size] = '\0';
    return 0;
}

static int remote_get_str(ipc_dict *dict, const char *key, char *out,
                          size_t room)
{
    ipc_any value;
    int rc = ipc_dict_get(dict, ipc_str(key), &value);
    if (rc < 0)
        return rc;
    rc = copy_text(&value, out, room);
    ipc_any_free(&value);
    return rc;
}

int ipc_dict_get_str(ipc_dict *dict, const char *key, char *out, size_t room)
{
    if (ipc__is_remote(&dict->handle))
        return remote_get_str(dict, key, out, room);
    const ipc_any any = ipc_str(key);
    struct ipc__sought s;
    struct ipc__handle at;
    ipc_any value;
    int rc = ipc__map_seek(&s, &dict->handle, IPC_TYPE_DICT, &any);
    if (rc != 0)
        return rc;
    if (s.row == NULL) {
        (void)ipc__arena_leave_unchanged(&s.v);
        return ipc__key_missing(&any);
    }
    rc = ipc__item_look(&s.v, &s.row->value, &at, &value);
    if (rc >= 0)
        rc = copy_text(&value, out, room);
    (void)ipc__arena_leave_unchanged(&s.v);
    return rc;
}

/* ---- containers ---- */

/* What is there, if it is of this type; or a new one.  NULL, and v->rc. */
static struct ipc__object *find_or_make(struct ipc__sought *s, uint32_t type)
{
    struct ipc__visit *v = &s->v;
    if (s->row != NULL) {
        const struct ipc__item item = s->row->value;
        if (item.tag == type)
            return ipc__object_at(v, item.value);
        (void)ipc__visit_fail(
            v, -EINVAL, "the value is no %s but a %s", ipc_type_name(type),
            ipc_type_name(item.tag & ~(uint32_t)IPC__ITEM_LONG));
        return NULL;
    }
    struct ipc__object *made = ipc__object_make(v, type);
    if (made == NULL)
        return NULL;
    const struct ipc__item item = ipc__item_of_object(v, made);
    ipc__view_add(&s->t, &s->key, &item);
    return v->rc < 0 ? NULL : made;
}

static int get_or_new(struct ipc__handle *handle, const char *key,
                      uint32_t type, struct ipc__handle **out)
{
    const ipc_any any = ipc_str(key);
    if (ipc__is_remote(handle)) {
        const ipc_any args[] = {any, ipc_i64(type)};
        return ipc__map_remote_handle(handle, IPC_OP_DICT_GET_OR_NEW, args, 2,
                                      type, out);
    }
    struct ipc__sought s;
    int rc = ipc__map_seek(&s, handle, IPC_TYPE_DICT, &any);
    if (rc != 0)
        return rc;
    const struct ipc__object *object = find_or_make(&s, type);
    struct ipc__handle *found =
        object != NULL ? ipc__handle_make(&s.v, object) : NULL;
    rc = ipc__arena_leave(&s.v);
    if (rc == 0)
        *out = found;
    else if (found != NULL)
        (void)ipc__handle_close(found);
    return rc;
}

int ipc_dict_list(ipc_dict *dict, const char *key, ipc_list **out)
{
    struct ipc__handle *handle;
    const int rc = get_or_new(&dict->handle, key, IPC_TYPE_LIST, &handle);
    if (rc == 0)
        *out = (ipc_list *)handle;
    return rc;
}

int ipc_dict_dict(ipc_dict *dict, const char *key, ipc_dict **out)
{
    struct ipc__handle *handle;
    const int rc = get_or_new(&dict->handle, key, IPC_TYPE_DICT, &handle);
    if (rc == 0)
        *out = (ipc_dict *)handle;
    return rc;
}
