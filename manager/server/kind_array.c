/* Arrays: so many items of one type, 8 bytes each (a bool 1). */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "server/core.h"
#include "server/kinds.h"

/* More than memory has, so that nothing overflows. */
#define LENGTH_MAX ((int64_t)1 << 40)

struct array {
    uint32_t type;
    uint32_t width; /* bytes of an item */
    int64_t length;
    uint8_t *items;
};

/* ---- items ---- */

static ipc_any item_at(const struct array *array, int64_t index)
{
    ipc_any item = ipc_any_with_type(array->type);
    memcpy(&item.i64, array->items + (size_t)index * array->width,
           array->width);
    return item;
}

static void put_at(struct array *array, int64_t index, const ipc_any *value)
{
    memcpy(array->items + (size_t)index * array->width, &value->i64,
           array->width);
}

static int check_types(const struct array *array, const ipc_any *values,
                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (values[i].type != array->type)
            return ipcm__fail(-EINVAL, "item %zu is a %s; the array holds %ss",
                              i, ipc_type_name(values[i].type),
                              ipc_type_name(array->type));
    return 0;
}

/* ---- making and ending ---- */

struct plan {
    int64_t type;
    int64_t length;
    const ipc_any *items; /* NULL: none */
};

static int read_option(const struct ipcm__object *object,
                       const struct ipcm__option *option, struct plan *plan)
{
    if (ipcm__option_is(option->name, option->bytes, "type") &&
        ipcm__option_i64(option->value, IPC_TYPE_BOOL, IPC_TYPE_F64,
                         &plan->type) == 0 &&
        plan->type != IPC_TYPE_U64)
        return 0;
    if (ipcm__option_is(option->name, option->bytes, "length") &&
        ipcm__option_i64(option->value, 0, LENGTH_MAX, &plan->length) == 0)
        return 0;
    if (ipcm__option_is(option->name, option->bytes, "items")) {
        plan->items = option->value;
        plan->length = (int64_t)option->count;
        return 0;
    }
    return ipcm__option_fail(object, option->name, option->bytes);
}

static int read_options(const struct ipcm__object *object, const ipc_any *args,
                        size_t count, struct plan *plan)
{
    struct ipcm__options options = {args, count, 0};
    struct ipcm__option option;
    int rc = ipcm__option_next(&options, &option);
    while (rc == 1) {
        rc = read_option(object, &option, plan);
        if (rc == 0)
            rc = ipcm__option_next(&options, &option);
    }
    if (rc == 0 && (plan->type == 0 || plan->length < 0))
        return ipcm__fail(-EINVAL, "an array needs options type and length");
    return rc;
}

static int64_t bytes_of(const struct array *array)
{
    return (int64_t)sizeof *array + array->length * (int64_t)array->width;
}

static void destroy(struct ipcm__object *object)
{
    struct array *array = object->state;
    (void)ipcm__object_charge(object, -bytes_of(array));
    free(array->items);
    free(array);
}

/* Paid for before it is asked for, as the length is what a client says. */
static int make(struct ipcm__object *object, struct array *array)
{
    const int rc = ipcm__object_charge(object, bytes_of(array));
    if (rc != 0)
        return rc;
    array->items = calloc((size_t)array->length + 1, array->width);
    if (array->items != NULL)
        return 0;
    (void)ipcm__object_charge(object, -bytes_of(array));
    return ipcm__fail_no_memory();
}

static int create(struct ipcm__object *object, const ipc_any *args,
                  size_t count)
{
    struct plan plan = {0, -1, NULL};
    int rc = read_options(object, args, count, &plan);
    if (rc != 0)
        return rc;
    struct array *array = calloc(1, sizeof *array);
    if (array == NULL)
        return ipcm__fail_no_memory();
    array->type = (uint32_t)plan.type;
    array->width = plan.type == IPC_TYPE_BOOL ? 1 : 8;
    array->length = plan.length;
    if (plan.items != NULL)
        rc = check_types(array, plan.items, (size_t)plan.length);
    if (rc == 0)
        rc = make(object, array);
    if (rc != 0) {
        free(array);
        return rc;
    }
    for (int64_t i = 0; plan.items != NULL && i < plan.length; i++)
        put_at(array, i, &plan.items[i]);
    object->state = array;
    return 0;
}

/* ---- operations ---- */

/* Negative ones count from the end. */
static int arg_index(const struct array *array,
                     const struct ipcm__request *request, int64_t *out)
{
    int64_t index;
    const int rc = ipcm__arg_i64(request, 0, INT64_MIN, INT64_MAX, &index);
    if (rc != 0)
        return rc;
    *out = index < 0 ? index + array->length : index;
    if (*out >= 0 && *out < array->length)
        return 0;
    return ipcm__fail(-ERANGE, "no index %" PRId64 " in %" PRId64 " items",
                      index, array->length);
}

static int get(const struct array *array, struct ipcm__call *call)
{
    int64_t index;
    int rc = ipcm__arg_count(&call->request, 1, 1);
    if (rc == 0)
        rc = arg_index(array, &call->request, &index);
    return rc != 0 ? rc : ipcm__call_result(call, item_at(array, index));
}

static int set(struct ipcm__object *object, const struct ipcm__call *call)
{
    struct array *array = object->state;
    const ipc_any *args = call->request.args;
    int64_t index;
    int rc = ipcm__arg_count(&call->request, 2, 2);
    if (rc == 0)
        rc = arg_index(array, &call->request, &index);
    if (rc == 0)
        rc = check_types(array, &args[1], 1);
    if (rc != 0)
        return rc;
    put_at(array, index, &args[1]);
    const ipc_any row[] = {ipc_i64(index), args[1]};
    return ipcm__keep(object, IPCM__OP_ARRAY_PUT, row, 2);
}

/* As in a slice of Python's. */
static int64_t clamp(const struct array *array, int64_t at)
{
    if (at < 0)
        at = at < -array->length ? 0 : at + array->length;
    return at > array->length ? array->length : at;
}

static int slice(const struct ipcm__object *object, struct ipcm__call *call)
{
    const struct array *array = object->state;
    const uint32_t nodes = object->server->config->wire.nodes;
    int64_t start;
    int64_t stop;
    int rc = ipcm__arg_count(&call->request, 2, 2);
    if (rc == 0)
        rc = ipcm__arg_i64(&call->request, 0, INT64_MIN, INT64_MAX, &start);
    if (rc == 0)
        rc = ipcm__arg_i64(&call->request, 1, INT64_MIN, INT64_MAX, &stop);
    if (rc != 0)
        return rc;
    start = clamp(array, start);
    stop = clamp(array, stop);
    if (stop - start > (int64_t)nodes)
        return ipcm__fail(-EMSGSIZE,
                          "%" PRId64 " items: a reply has at most %u values "
                          "(limits.nodes)",
                          stop - start, (unsigned)nodes);
    for (int64_t i = start; rc == 0 && i < stop; i++)
        rc = ipcm__call_result(call, item_at(array, i));
    return rc;
}

static int put(struct ipcm__object *object, const struct ipcm__call *call)
{
    struct array *array = object->state;
    const struct ipcm__request *request = &call->request;
    const size_t count = request->count - 1;
    int64_t start;
    int rc = ipcm__arg_count(request, 1, SIZE_MAX);
    if (rc == 0)
        rc = ipcm__arg_i64(request, 0, INT64_MIN, INT64_MAX, &start);
    if (rc != 0)
        return rc;
    if (start < 0)
        start += array->length;
    if (start < 0 || start > array->length ||
        (uint64_t)(array->length - start) < count)
        return ipcm__fail(-ERANGE, "%zu items do not fit there", count);
    rc = check_types(array, request->args + 1, count);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < count; i++)
        put_at(array, start + (int64_t)i, &request->args[i + 1]);
    return ipcm__keep(object, IPCM__OP_ARRAY_PUT, request->args,
                      request->count);
}

static int call_array(struct ipcm__object *object, struct ipcm__call *call)
{
    const struct array *array = object->state;
    int rc;
    switch (call->request.op) {
    case IPCM__OP_ARRAY_GET:
        return get(array, call);
    case IPCM__OP_ARRAY_SET:
        return set(object, call);
    case IPCM__OP_ARRAY_LENGTH:
        rc = ipcm__arg_count(&call->request, 0, 0);
        return rc != 0 ? rc : ipcm__answer_i64(call, array->length);
    case IPCM__OP_ARRAY_SLICE:
        return slice(object, call);
    case IPCM__OP_ARRAY_PUT:
        return put(object, call);
    default:
        return ipcm__fail_no_operation(call);
    }
}

/* ---- durable ---- */

static int save(struct ipcm__object *object, uint64_t *at, size_t most,
                uint32_t *op, ipc_anys *args)
{
    const struct array *array = object->state;
    const uint64_t length = (uint64_t)array->length;
    if (*at >= length)
        return 0;
    const uint64_t left = length - *at;
    const size_t count = left < most - 1 ? (size_t)left : most - 1;
    args->items = calloc(count + 1, sizeof *args->items);
    if (args->items == NULL)
        return ipcm__fail_no_memory();
    args->count = count + 1;
    args->items[0] = ipc_u64(*at);
    for (size_t i = 0; i < count; i++)
        args->items[i + 1] = item_at(array, (int64_t)(*at + i));
    *op = IPCM__OP_ARRAY_PUT;
    *at += count;
    return 1;
}

static int replay(struct ipcm__object *object, uint32_t op, const ipc_any *args,
                  size_t count)
{
    struct array *array = object->state;
    if (op != IPCM__OP_ARRAY_PUT || count < 1 || args[0].type != IPC_TYPE_I64 ||
        args[0].i64 < -array->length)
        return ipcm__fail(-EUCLEAN, "an array has no row %u with %zu values",
                          (unsigned)op, count);
    const int64_t start =
        args[0].i64 < 0 ? args[0].i64 + array->length : args[0].i64;
    if (start > array->length ||
        (uint64_t)(array->length - start) < count - 1 ||
        check_types(array, args + 1, count - 1) < 0)
        return ipcm__fail(-EUCLEAN, "a row of an array does not fit");
    for (size_t i = 1; i < count; i++)
        put_at(array, start + (int64_t)i - 1, &args[i]);
    return 0;
}

static int describe(const struct ipcm__object *object, char *out, size_t size)
{
    const struct array *array = object->state;
    return snprintf(out, size, "%" PRId64 " items of type %s", array->length,
                    ipc_type_name(array->type));
}

const struct ipcm__kind ipcm__kind_array = {
    .name = "array",
    .durable = true,
    .create = create,
    .destroy = destroy,
    .call = call_array,
    .save = save,
    .replay = replay,
    .describe = describe,
};
