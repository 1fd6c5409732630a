/* Lists: calls with the type in the name. */
#include "core/error.h"
#include "object/list.h"

#include <string.h>

int ipc_list_append_i64(ipc_list *list, int64_t value)
{
    return ipc_list_append(list, ipc_i64(value));
}

int ipc_list_append_f64(ipc_list *list, double value)
{
    return ipc_list_append(list, ipc_f64(value));
}

int ipc_list_append_str(ipc_list *list, const char *text)
{
    return ipc_list_append(list, ipc_str(text));
}

int ipc_list_set_i64(ipc_list *list, int64_t index, int64_t value)
{
    return ipc_list_set(list, index, ipc_i64(value));
}

int ipc_list_set_f64(ipc_list *list, int64_t index, double value)
{
    return ipc_list_set(list, index, ipc_f64(value));
}

int ipc_list_set_str(ipc_list *list, int64_t index, const char *text)
{
    return ipc_list_set(list, index, ipc_str(text));
}

/* ---- get ---- */

static int fail_type(const ipc_any *value, const char *wanted)
{
    return ipc__fail(-EINVAL, "the item is a %s, not a %s",
                     ipc_type_name(value->type), wanted);
}

/* A number, or something else that has no memory: a string is not copied. */
static int get_plain(ipc_list *list, int64_t index, ipc_any *out)
{
    if (ipc__is_remote(&list->handle)) {
        const int rc = ipc_list_get(list, index, out);
        if (rc == 0 && out->type >= IPC_TYPE_STR) {
            const uint32_t type = out->type;
            ipc_any_free(out);
            out->type = type;
        }
        return rc;
    }
    struct ipc__visit v;
    struct ipc__object *object;
    const int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (unlikely(rc != 0))
        return rc;
    struct ipc__list l;
    struct ipc__item item;
    uint64_t at;
    *out = ipc_nil();
    if (likely(ipc__list_look(&v, object, &l) &&
               ipc__list_index(&l, index, &at) &&
               ipc__list_read(&l, at, &item))) {
        *out = ipc_any_with_type(item.tag & ~(uint32_t)IPC__ITEM_LONG);
        if (out->type < IPC_TYPE_STR)
            out->u64 = item.value;
    }
    return ipc__arena_leave_unchanged(&v);
}

int ipc_list_get_i64(ipc_list *list, int64_t index, int64_t *out)
{
    ipc_any value;
    const int rc = get_plain(list, index, &value);
    if (unlikely(rc != 0))
        return rc;
    if (value.type != IPC_TYPE_I64)
        return fail_type(&value, "signed 64-bit integer");
    *out = value.i64;
    return 0;
}

int ipc_list_get_f64(ipc_list *list, int64_t index, double *out)
{
    ipc_any value;
    const int rc = get_plain(list, index, &value);
    if (unlikely(rc != 0))
        return rc;
    if (value.type == IPC_TYPE_F64)
        *out = value.f64;
    else if (value.type == IPC_TYPE_I64)
        *out = (double)value.i64;
    else if (value.type == IPC_TYPE_U64)
        *out = (double)value.u64;
    else
        return fail_type(&value, "number");
    return 0;
}

static int copy_text(const ipc_any *value, char *out, size_t room)
{
    if (value->type != IPC_TYPE_STR)
        return fail_type(value, "string");
    if (value->size >= room)
        return ipc__fail(-EMSGSIZE, "a string of %u bytes, and room for %zu",
                         value->size, room);
    memcpy(out, value->str, value->size);
    out[value->size] = 0;
    return 0;
}

int ipc_list_get_str(ipc_list *list, int64_t index, char *out, size_t room)
{
    ipc_any value;
    int rc;
    if (ipc__is_remote(&list->handle)) {
        rc = ipc_list_get(list, index, &value);
        if (rc == 0) {
            rc = copy_text(&value, out, room);
            ipc_any_free(&value);
        }
        return rc;
    }
    struct ipc__visit v;
    struct ipc__object *object;
    rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (rc != 0)
        return rc;
    struct ipc__list l;
    struct ipc__item item;
    struct ipc__handle handle;
    uint64_t at;
    int copied = 0;
    if (ipc__list_look(&v, object, &l) && ipc__list_index(&l, index, &at) &&
        ipc__list_read(&l, at, &item) &&
        ipc__item_look(&v, &item, &handle, &value) == 0)
        copied = copy_text(&value, out, room);
    rc = ipc__arena_leave_unchanged(&v);
    return rc != 0 ? rc : copied;
}

/* ---- pop ---- */

int ipc_list_pop_i64(ipc_list *list, int64_t index, int64_t *out)
{
    ipc_any value;
    const int rc = ipc__is_remote(&list->handle)
                       ? ipc__list_remote_pop(list, index, IPC_TYPE_I64, &value)
                       : ipc__list_pop(list, index, IPC_TYPE_I64, &value);
    if (rc == 0)
        *out = value.i64;
    return rc;
}
