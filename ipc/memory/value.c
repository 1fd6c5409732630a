/* The public calls on values: arrays of one. */
#include <ipc/value.h>

#include "memory/array.h"
#include "memory/named.h"

/* ---- storage ---- */

static ipc_array *array_of(ipc_value *value)
{
    return value != NULL ? &value->array_ : NULL;
}

/* What is wanted of one; the result of getting it goes to *out. */
static int get_one(int rc, ipc_array *array, ipc_value **out)
{
    if (rc == 0)
        *out = (ipc_value *)(void *)array;
    return rc;
}

size_t ipc_value_bytes(ipc_element element)
{
    return ipc__array_bytes(&ipc__value_kind, element, 1);
}

int ipc_value_init(ipc_value *value, size_t bytes, ipc_element element,
                   const ipc_value_options *options)
{
    const struct ipc__array_wish wish = {&ipc__value_kind, element, 1, options};
    return ipc__array_init(&wish, &value->array_, bytes);
}

int ipc_value_fini(ipc_value *value)
{
    return ipc__array_fini(&ipc__value_kind, &value->array_);
}

int ipc_value_new(ipc_element element, const ipc_value_options *options,
                  ipc_value **out)
{
    const struct ipc__array_wish wish = {&ipc__value_kind, element, 1, options};
    ipc_array *array = NULL;
    const int rc = ipc__array_new(&wish, &array);
    return get_one(rc, array, out);
}

int ipc_value_free(ipc_value *value)
{
    return ipc__array_free(&ipc__value_kind, array_of(value));
}

int ipc_value_create(const char *name, ipc_element element,
                     const ipc_value_options *options, ipc_value **out)
{
    const struct ipc__array_wish wish = {&ipc__value_kind, element, 1, options};
    ipc_array *array = NULL;
    const int rc = ipc__array_create(&wish, name, &array);
    return get_one(rc, array, out);
}

int ipc_value_open(const char *name, ipc_element element, ipc_value **out)
{
    const struct ipc__array_wish wish = {&ipc__value_kind, element, 1, NULL};
    ipc_array *array = NULL;
    const int rc = ipc__array_open(&wish, name, &array);
    return get_one(rc, array, out);
}

int ipc_value_open_or_create(const char *name, ipc_element element,
                             const ipc_value_options *options, ipc_value **out)
{
    const struct ipc__array_wish wish = {&ipc__value_kind, element, 1, options};
    ipc_array *array = NULL;
    const int rc = ipc__array_open_or_create(&wish, name, &array);
    return get_one(rc, array, out);
}

int ipc_value_close(ipc_value *value)
{
    return ipc__array_close(&ipc__value_kind, array_of(value));
}

int ipc_value_unlink(const char *name)
{
    return ipc__named_unlink(name, IPC__REGION_VALUE);
}

/* ---- get, set, add ---- */

static struct ipc__access at(ipc_value *value, ipc_element element)
{
    const struct ipc__access access = {&value->array_, &ipc__value_kind,
                                       element, 0, 1};
    return access;
}

int ipc_value_get(ipc_value *value, void *out, size_t bytes)
{
    const struct ipc__access access = at(value, 0);
    return ipc__array_read(&access, out, bytes);
}

int ipc_value_set(ipc_value *value, const void *in, size_t bytes)
{
    const struct ipc__access access = at(value, 0);
    return ipc__array_write(&access, in, bytes);
}

/* NOLINTBEGIN(bugprone-macro-parentheses): type is a type */
#define GET_AND_SET(suffix, type, element)                                     \
    int ipc_value_get_##suffix(ipc_value *value, type *out)                    \
    {                                                                          \
        const struct ipc__access access = at(value, element);                  \
        return ipc__array_read(&access, out, sizeof *out);                     \
    }                                                                          \
                                                                               \
    int ipc_value_set_##suffix(ipc_value *value, type to)                      \
    {                                                                          \
        const struct ipc__access access = at(value, element);                  \
        return ipc__array_write(&access, &to, sizeof to);                      \
    }

#define ADD(suffix, type, element)                                             \
    int ipc_value_add_##suffix(ipc_value *value, type by, type *before)        \
    {                                                                          \
        const struct ipc__access access = at(value, element);                  \
        return ipc__array_add_##suffix(&access, by, before);                   \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

GET_AND_SET(i32, int32_t, IPC_ELEMENT_INT32)
GET_AND_SET(i64, int64_t, IPC_ELEMENT_INT64)
GET_AND_SET(f64, double, IPC_ELEMENT_DOUBLE)
GET_AND_SET(char, char, IPC_ELEMENT_CHAR)
GET_AND_SET(byte, uint8_t, IPC_ELEMENT_BYTE)
ADD(i32, int32_t, IPC_ELEMENT_INT32)
ADD(i64, int64_t, IPC_ELEMENT_INT64)
ADD(f64, double, IPC_ELEMENT_DOUBLE)

/* ---- the value itself ---- */

static struct ipc__elements look(const ipc_value *value)
{
    struct ipc__elements found = {0};
    (void)ipc__array_look(&value->array_, &ipc__value_kind, &found);
    return found;
}

void *ipc_value_data(ipc_value *value)
{
    return look(value).data;
}

ipc_rlock *ipc_value_lock(ipc_value *value)
{
    return &value->array_.lock_;
}

ipc_element ipc_value_element(const ipc_value *value)
{
    return look(value).element;
}

size_t ipc_value_element_size(const ipc_value *value)
{
    return look(value).size;
}

bool ipc_value_is_raw(const ipc_value *value)
{
    return look(value).raw;
}
