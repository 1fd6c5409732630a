/* What the tests of arrays and values have in common. */
#ifndef ARRAY_SUPPORT_H
#define ARRAY_SUPPORT_H

#include "unit/lock_support.h"

#include <errno.h>
#include <stdio.h>

#include <ipc/array.h>
#include <ipc/value.h>

/* Not a power of two, and no word: copied byte after byte. */
struct record {
    uint32_t a, b, c;
};

static inline ipc_array *new_array(ipc_element element, size_t length,
                                   uint32_t flags)
{
    ipc_array_options options = IPC_ARRAY_OPTIONS_INIT;
    ipc_array *array = NULL;
    options.flags = flags;
    expect_rc(ipc_array_new(element, length, &options, &array), 0);
    assert_non_null(array);
    return array;
}

static inline ipc_value *new_value(ipc_element element, uint32_t flags)
{
    ipc_value_options options = IPC_VALUE_OPTIONS_INIT;
    ipc_value *value = NULL;
    options.flags = flags;
    expect_rc(ipc_value_new(element, &options, &value), 0);
    assert_non_null(value);
    return value;
}

static inline int32_t i32_at(ipc_array *array, int64_t index)
{
    int32_t is = 0;
    expect_rc(ipc_array_get_i32(array, index, &is), 0);
    return is;
}

static inline int64_t i64_of(ipc_value *value)
{
    int64_t is = 0;
    expect_rc(ipc_value_get_i64(value, &is), 0);
    return is;
}

#endif
