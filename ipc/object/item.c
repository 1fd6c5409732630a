/* Items: values as containers store them.  All of a short one is in its 16
 * bytes; a long string has a block of its own; a container is held. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "object/object.h"

static bool is_text(uint32_t type)
{
    return type == IPC_TYPE_STR || type == IPC_TYPE_BYTES;
}

/* ---- make ---- */

static int make_plain(struct ipc__visit *v, uint32_t type, uint64_t value,
                      struct ipc__item *out)
{
    out->words[0] = type;
    out->words[1] = value;
    return v->rc;
}

/* In a block of its own. */
static int make_long(struct ipc__visit *v, uint32_t type, const void *bytes,
                     uint32_t size, struct ipc__item *out)
{
    const uint64_t offset = ipc__alloc(v, size);
    void *at = offset != 0 ? ipc__at(v, offset, size) : NULL;
    if (at == NULL)
        return v->rc;
    memmove(at, bytes, size);
    out->tag_word = type | IPC__ITEM_LONG;
    out->size = size;
    out->value = offset;
    return v->rc;
}

static int make_text(struct ipc__visit *v, const ipc_any *value,
                     struct ipc__item *out)
{
    const uint32_t size = value->size;
    if (size > IPC_ANY_BYTES_MAX)
        return ipc__visit_fail(v, -EINVAL,
                               "a string of %u bytes: at most %u are allowed",
                               size, IPC_ANY_BYTES_MAX);
    if (size > 0 && value->bytes == NULL)
        return ipc__visit_fail(v, -EINVAL, "a string at NULL");
    if (size > IPC__ITEM_SHORT)
        return make_long(v, value->type, value->bytes, size, out);
    out->words[0] = 0;
    out->words[1] = 0;
    out->tag = (uint8_t)value->type;
    out->length = (uint8_t)size;
    if (size > 0)
        memmove(out->text, value->bytes, size);
    return v->rc;
}

/* What nothing but an owner holds, or nothing yet, lies below nothing. */
static bool lies_below_something(const struct ipc__object *object)
{
    const bool is_owned = (object->type & IPC__OBJECT_OWNED) != 0;
    return object->refs > (is_owned ? 1 : 0);
}

static int make_held(struct ipc__visit *v, const struct ipc__object *into,
                     struct ipc__object *object, struct ipc__item *out)
{
    const uint32_t type = (uint32_t)(object->type & IPC__OBJECT_TYPE);
    if (object == into ||
        (lies_below_something(into) && ipc__object_holds(v, object, into)))
        (void)ipc__visit_fail(v, -ELOOP, "the %s would become part of itself",
                              ipc_type_name(type));
    if (v->rc < 0)
        return v->rc;
    ipc__object_hold(v, object);
    return make_plain(v, type, ipc__offset(v, object), out);
}

static int make_handle(struct ipc__visit *v, const struct ipc__object *into,
                       const ipc_any *value, struct ipc__item *out)
{
    const struct ipc__handle *handle = (const void *)value->list;
    const char *name = ipc_type_name(value->type);
    if (into == NULL)
        return ipc__visit_fail(v, -EINVAL, "a %s cannot be a key", name);
    if (handle == NULL || handle->type != value->type)
        return ipc__visit_fail(v, -EINVAL, "not the handle of a %s", name);
    if (handle->arena != v->arena)
        return ipc__visit_fail(v, -EXDEV, "the %s lives in another arena",
                               name);
    struct ipc__object *object = ipc__handle_object(v, handle);
    if (object == NULL)
        return ipc__visit_fail(v, -ESTALE, "the %s is no more", name);
    if ((object->type & IPC__OBJECT_TYPE) != value->type)
        return ipc__visit_spoilt(v, "an object's type");
    return make_held(v, into, object, out);
}

int ipc__item_make_slow(struct ipc__visit *v, const struct ipc__object *into,
                        const ipc_any *value, struct ipc__item *out)
{
    if (v->rc < 0)
        return v->rc;
    switch (value->type) {
    case IPC_TYPE_NIL:
        return make_plain(v, IPC_TYPE_NIL, 0, out);
    case IPC_TYPE_BOOL:
        return make_plain(v, IPC_TYPE_BOOL, value->boolean ? 1 : 0, out);
    case IPC_TYPE_I64:
    case IPC_TYPE_F64:
        return make_plain(v, value->type, value->u64, out);
    case IPC_TYPE_U64:
        return make_plain(v,
                          value->u64 > INT64_MAX ? IPC_TYPE_U64 : IPC_TYPE_I64,
                          value->u64, out);
    case IPC_TYPE_STR:
    case IPC_TYPE_BYTES:
        return make_text(v, value, out);
    case IPC_TYPE_LIST:
    case IPC_TYPE_DICT:
    case IPC_TYPE_SET:
    case IPC_TYPE_NAMESPACE:
        return make_handle(v, into, value, out);
    default:
        return ipc__visit_fail(v, -EINVAL, "no value has the type %u",
                               value->type);
    }
}

/* ---- look ---- */

/* The bytes of a string; NULL, and v->rc. */
static const void *text_of(struct ipc__visit *v, const struct ipc__item *item,
                           uint32_t *size)
{
    if ((item->tag & IPC__ITEM_LONG) == 0 && item->length <= IPC__ITEM_SHORT) {
        *size = item->length;
        return item->text;
    }
    if ((item->tag & IPC__ITEM_LONG) != 0 && item->size > IPC__ITEM_SHORT &&
        item->size <= IPC_ANY_BYTES_MAX) {
        *size = item->size;
        return ipc__at(v, item->value, item->size);
    }
    (void)ipc__visit_spoilt(v, "a string");
    return NULL;
}

static int look_at_text(struct ipc__visit *v, const struct ipc__item *item,
                        ipc_any *out)
{
    uint32_t size;
    const void *bytes = text_of(v, item, &size);
    if (bytes == NULL)
        return v->rc;
    *out = ipc_any_with_type(item->tag & ~(uint32_t)IPC__ITEM_LONG);
    out->size = size;
    out->bytes = bytes;
    return v->rc;
}

static int look_at_handle(struct ipc__visit *v, const struct ipc__item *item,
                          struct ipc__handle *at, ipc_any *out)
{
    const struct ipc__object *object = ipc__object_at(v, item->value);
    if (object == NULL)
        return v->rc;
    if ((object->type & IPC__OBJECT_TYPE) != item->tag)
        return ipc__visit_spoilt(v, "an item of another type than its object");
    *at = (struct ipc__handle){.type = item->tag,
                               .arena = v->arena,
                               .at = item->value,
                               .serial = object->serial};
    *out = ipc_any_with_type(item->tag);
    out->list = (ipc_list *)(void *)at;
    return v->rc;
}

int ipc__item_look(struct ipc__visit *v, const struct ipc__item *item,
                   struct ipc__handle *at, ipc_any *out)
{
    const uint32_t tag = item->tag;
    if (tag <= IPC_TYPE_F64) {
        *out = ipc_any_with_type(tag);
        out->u64 = tag == IPC_TYPE_BOOL ? item->value & 1 : item->value;
        return v->rc;
    }
    if (is_text(tag & ~(uint32_t)IPC__ITEM_LONG))
        return look_at_text(v, item, out);
    if (ipc__item_is_handle(item))
        return look_at_handle(v, item, at, out);
    return ipc__visit_spoilt(v, "an item");
}

/* ---- get ---- */

static int get_text(struct ipc__visit *v, ipc_any *value)
{
    char *copy = malloc((size_t)value->size + 1);
    if (copy == NULL)
        return ipc__visit_fail(v, -ENOMEM, "no memory for %zu bytes",
                               (size_t)value->size + 1);
    memmove(copy, value->bytes, value->size);
    copy[value->size] = '\0';
    value->str = copy;
    return 0;
}

static int get_handle(struct ipc__visit *v, const struct ipc__item *item,
                      ipc_any *value)
{
    const struct ipc__object *object = ipc__object_at(v, item->value);
    struct ipc__handle *handle =
        object != NULL ? ipc__handle_make(v, object) : NULL;
    value->list = (ipc_list *)(void *)handle;
    return handle != NULL ? 0 : v->rc;
}

int ipc__item_get_slow(struct ipc__visit *v, const struct ipc__item *item,
                       ipc_any *out)
{
    struct ipc__handle at;
    ipc_any value = ipc_nil();
    int rc = v->rc < 0 ? v->rc : ipc__item_look(v, item, &at, &value);
    if (rc < 0)
        return rc;
    if (is_text(value.type))
        rc = get_text(v, &value);
    else if (ipc__item_is_handle(item))
        rc = get_handle(v, item, &value);
    if (rc < 0)
        return rc;
    *out = value;
    return rc;
}

/* ---- once more, and not any more ---- */

int ipc__item_copy(struct ipc__visit *v, const struct ipc__object *into,
                   const struct ipc__item *item, struct ipc__item *out)
{
    if (v->rc < 0)
        return v->rc;
    if ((item->tag & IPC__ITEM_LONG) != 0) {
        uint32_t size;
        const void *bytes = text_of(v, item, &size);
        return bytes == NULL
                   ? v->rc
                   : make_long(v, item->tag & ~(uint32_t)IPC__ITEM_LONG, bytes,
                               size, out);
    }
    if (ipc__item_is_handle(item)) {
        struct ipc__object *object = ipc__object_at(v, item->value);
        return object == NULL ? v->rc : make_held(v, into, object, out);
    }
    *out = *item;
    return v->rc;
}

/* The object that an item holds is held by one less.  False: it holds none. */
static bool drop_held(struct ipc__visit *v, const struct ipc__item *item)
{
    if (!ipc__item_is_handle(item))
        return false;
    struct ipc__object *object = ipc__object_at(v, item->value);
    if (object != NULL)
        ipc__object_drop(v, object);
    return true;
}

void ipc__item_drop_slow(struct ipc__visit *v, const struct ipc__item *item)
{
    if (v->rc < 0 || drop_held(v, item))
        return;
    if ((item->tag & IPC__ITEM_LONG) != 0)
        ipc__park(v, item->value, IPC__PARKED_BLOCK);
    else if (item->tag > IPC_TYPE_NAMESPACE)
        (void)ipc__visit_spoilt(v, "an item");
}

void ipc__item_drain_slow(struct ipc__visit *v, const struct ipc__item *item)
{
    if (v->rc < 0 || drop_held(v, item))
        return;
    if ((item->tag & IPC__ITEM_LONG) != 0)
        ipc__free_now(v, item->value);
    else if (item->tag > IPC_TYPE_NAMESPACE)
        (void)ipc__visit_spoilt(v, "an item");
}

/* ---- compare ---- */

bool ipc__item_equals_slow(struct ipc__visit *v, const struct ipc__item *item,
                           const ipc_any *value)
{
    struct ipc__handle at;
    ipc_any mine;
    if (ipc__item_look(v, item, &at, &mine) < 0)
        return false;
    return ipc_any_compare(&mine, value) == 0;
}

int ipc__item_compare(struct ipc__visit *v, const struct ipc__item *a,
                      const struct ipc__item *b)
{
    struct ipc__handle at[2];
    ipc_any one;
    ipc_any other;
    if (ipc__item_look(v, a, &at[0], &one) < 0 ||
        ipc__item_look(v, b, &at[1], &other) < 0)
        return 0;
    return ipc_any_compare(&one, &other);
}
