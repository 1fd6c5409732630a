/* The public calls on arrays; what they do is in array.c and
 * array_storage.c. */
#include <ipc/array.h>

#include "memory/array.h"
#include "memory/named.h"

/* ---- storage ---- */

size_t ipc_array_bytes(ipc_element element, size_t length)
{
    return ipc__array_bytes(&ipc__array_kind, element, length);
}

int ipc_array_init(ipc_array *array, size_t bytes, ipc_element element,
                   size_t length, const ipc_array_options *options)
{
    const struct ipc__array_wish wish = {&ipc__array_kind, element, length,
                                         options};
    return ipc__array_init(&wish, array, bytes);
}

int ipc_array_fini(ipc_array *array)
{
    return ipc__array_fini(&ipc__array_kind, array);
}

int ipc_array_new(ipc_element element, size_t length,
                  const ipc_array_options *options, ipc_array **out)
{
    const struct ipc__array_wish wish = {&ipc__array_kind, element, length,
                                         options};
    return ipc__array_new(&wish, out);
}

int ipc_array_free(ipc_array *array)
{
    return ipc__array_free(&ipc__array_kind, array);
}

int ipc_array_create(const char *name, ipc_element element, size_t length,
                     const ipc_array_options *options, ipc_array **out)
{
    const struct ipc__array_wish wish = {&ipc__array_kind, element, length,
                                         options};
    return ipc__array_create(&wish, name, out);
}

int ipc_array_open(const char *name, ipc_element element, size_t length,
                   ipc_array **out)
{
    const struct ipc__array_wish wish = {&ipc__array_kind, element, length,
                                         NULL};
    return ipc__array_open(&wish, name, out);
}

int ipc_array_open_or_create(const char *name, ipc_element element,
                             size_t length, const ipc_array_options *options,
                             ipc_array **out)
{
    const struct ipc__array_wish wish = {&ipc__array_kind, element, length,
                                         options};
    return ipc__array_open_or_create(&wish, name, out);
}

int ipc_array_close(ipc_array *array)
{
    return ipc__array_close(&ipc__array_kind, array);
}

int ipc_array_unlink(const char *name)
{
    return ipc__named_unlink(name, IPC__REGION_ARRAY);
}

/* ---- elements ---- */

static struct ipc__access at(ipc_array *array, ipc_element element,
                             int64_t first, size_t count)
{
    const struct ipc__access access = {array, &ipc__array_kind, element, first,
                                       count};
    return access;
}

int ipc_array_read(ipc_array *array, int64_t first, size_t count, void *buffer,
                   size_t bytes)
{
    const struct ipc__access access = at(array, 0, first, count);
    return ipc__array_read(&access, buffer, bytes);
}

int ipc_array_write(ipc_array *array, int64_t first, size_t count,
                    const void *buffer, size_t bytes)
{
    const struct ipc__access access = at(array, 0, first, count);
    return ipc__array_write(&access, buffer, bytes);
}

int ipc_array_get(ipc_array *array, int64_t index, void *out, size_t bytes)
{
    return ipc_array_read(array, index, 1, out, bytes);
}

int ipc_array_set(ipc_array *array, int64_t index, const void *in, size_t bytes)
{
    return ipc_array_write(array, index, 1, in, bytes);
}

/* NOLINTBEGIN(bugprone-macro-parentheses): type is a type */
#define GET_AND_SET(suffix, type, element)                                     \
    int ipc_array_get_##suffix(ipc_array *array, int64_t index, type *out)     \
    {                                                                          \
        const struct ipc__access access = at(array, element, index, 1);        \
        return ipc__array_read(&access, out, sizeof *out);                     \
    }                                                                          \
                                                                               \
    int ipc_array_set_##suffix(ipc_array *array, int64_t index, type value)    \
    {                                                                          \
        const struct ipc__access access = at(array, element, index, 1);        \
        return ipc__array_write(&access, &value, sizeof value);                \
    }

#define ADD(suffix, type, element)                                             \
    int ipc_array_add_##suffix(ipc_array *array, int64_t index, type by,       \
                               type *before)                                   \
    {                                                                          \
        const struct ipc__access access = at(array, element, index, 1);        \
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

/* ---- the array itself ---- */

static struct ipc__elements look(const ipc_array *array)
{
    struct ipc__elements found = {0};
    (void)ipc__array_look(array, &ipc__array_kind, &found);
    return found;
}

void *ipc_array_data(ipc_array *array)
{
    return look(array).data;
}

ipc_rlock *ipc_array_lock(ipc_array *array)
{
    return &array->lock_;
}

size_t ipc_array_length(const ipc_array *array)
{
    return look(array).length;
}

ipc_element ipc_array_element(const ipc_array *array)
{
    return look(array).element;
}

size_t ipc_array_element_size(const ipc_array *array)
{
    return look(array).size;
}

bool ipc_array_is_raw(const ipc_array *array)
{
    return look(array).raw;
}
