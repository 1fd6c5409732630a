/* Values: one, of any type but handles. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fail.h"
#include "server/core.h"
#include "server/kinds.h"

struct value {
    ipc_any is;
};

/* The new one is copied, and paid for, before the old one goes. */
static int put(struct ipcm__object *object, const ipc_any *new_value)
{
    struct value *value = object->state;
    const int64_t more = (int64_t)ipcm__value_bytes(new_value) -
                         (int64_t)ipcm__value_bytes(&value->is);
    ipc_any copy;
    int rc = ipcm__plain_value(new_value);
    if (rc == 0)
        rc = ipcm__object_charge(object, more);
    if (rc != 0)
        return rc;
    rc = ipcm__any_copy(new_value, &copy);
    if (rc < 0) {
        (void)ipcm__object_charge(object, -more);
        return rc;
    }
    ipc_any_free(&value->is);
    value->is = copy;
    return 0;
}

static void destroy(struct ipcm__object *object)
{
    struct value *value = object->state;
    const int64_t bytes = (int64_t)ipcm__value_bytes(&value->is);
    (void)ipcm__object_charge(object, -(int64_t)sizeof *value - bytes);
    ipc_any_free(&value->is);
    free(value);
}

static int create(struct ipcm__object *object, const ipc_any *args,
                  size_t count)
{
    struct ipcm__options options = {args, count, 0};
    struct ipcm__option option;
    int rc = ipcm__object_charge(object, sizeof(struct value));
    if (rc != 0)
        return rc;
    object->state = calloc(1, sizeof(struct value));
    if (object->state == NULL) {
        (void)ipcm__object_charge(object, -(int64_t)sizeof(struct value));
        return ipcm__fail_no_memory();
    }
    rc = ipcm__option_next(&options, &option);
    while (rc == 1) {
        rc = ipcm__option_is(option.name, option.bytes, "value")
                 ? put(object, option.value)
                 : ipcm__option_fail(object, option.name, option.bytes);
        if (rc == 0)
            rc = ipcm__option_next(&options, &option);
    }
    if (rc < 0)
        destroy(object);
    return rc;
}

/* ---- operations ---- */

static int get(const struct value *value, struct ipcm__call *call)
{
    const int rc = ipcm__arg_count(&call->request, 0, 0);
    return rc != 0 ? rc : ipcm__call_result_copy(call, &value->is);
}

/* What is logged is what came of it, whatever the operation was. */
static int change(struct ipcm__object *object, const ipc_any *to)
{
    const int rc = put(object, to);
    return rc != 0 ? rc : ipcm__keep(object, IPCM__OP_VALUE_SET, to, 1);
}

static int set(struct ipcm__object *object, struct ipcm__call *call)
{
    const int rc = ipcm__arg_count(&call->request, 1, 1);
    return rc != 0 ? rc : change(object, &call->request.args[0]);
}

static int incr(struct ipcm__object *object, struct ipcm__call *call)
{
    const struct value *value = object->state;
    int64_t by;
    int64_t sum;
    int rc = ipcm__arg_count(&call->request, 1, 1);
    if (rc == 0)
        rc = ipcm__arg_i64(&call->request, 0, INT64_MIN, INT64_MAX, &by);
    if (rc != 0)
        return rc;
    if (value->is.type != IPC_TYPE_I64 && value->is.type != IPC_TYPE_U64)
        return ipcm__fail(-EINVAL, "the value is a %s, and no integer",
                          ipc_type_name(value->is.type));
    if (value->is.type == IPC_TYPE_U64
            ? __builtin_add_overflow(value->is.u64, by, &sum)
            : __builtin_add_overflow(value->is.i64, by, &sum))
        return ipcm__fail(-EOVERFLOW, "the sum is over 64 bits");
    const ipc_any to = ipc_i64(sum);
    rc = ipcm__answer_i64(call, sum);
    return rc != 0 ? rc : change(object, &to);
}

static int cas(struct ipcm__object *object, struct ipcm__call *call)
{
    const struct value *value = object->state;
    const ipc_any *args = call->request.args;
    int rc = ipcm__arg_count(&call->request, 2, 2);
    if (rc == 0)
        rc = ipcm__plain_value(&args[0]);
    if (rc == 0)
        rc = ipcm__plain_value(&args[1]);
    if (rc != 0)
        return rc;
    const bool same = ipc_any_equal(&value->is, &args[0]);
    rc = ipcm__answer_i64(call, same);
    return rc < 0 || !same ? rc : change(object, &args[1]);
}

static int call_value(struct ipcm__object *object, struct ipcm__call *call)
{
    switch (call->request.op) {
    case IPCM__OP_VALUE_GET:
        return get(object->state, call);
    case IPCM__OP_VALUE_SET:
        return set(object, call);
    case IPCM__OP_VALUE_INCR:
        return incr(object, call);
    case IPCM__OP_VALUE_CAS:
        return cas(object, call);
    default:
        return ipcm__fail_no_operation(call);
    }
}

/* ---- durable ---- */

static int save(struct ipcm__object *object, uint64_t *at, size_t most,
                uint32_t *op, ipc_anys *args)
{
    const struct value *value = object->state;
    (void)most;
    if (*at != 0)
        return 0;
    args->items = calloc(1, sizeof *args->items);
    if (args->items == NULL)
        return ipcm__fail_no_memory();
    args->count = 1;
    const int rc = ipcm__any_copy(&value->is, &args->items[0]);
    if (rc < 0) {
        ipc_anys_free(args);
        return rc;
    }
    *op = IPCM__OP_VALUE_SET;
    *at = 1;
    return 1;
}

static int replay(struct ipcm__object *object, uint32_t op, const ipc_any *args,
                  size_t count)
{
    if (op != IPCM__OP_VALUE_SET || count != 1)
        return ipcm__fail(-EUCLEAN, "a value has no row %u with %zu values",
                          (unsigned)op, count);
    return put(object, args);
}

static int describe(const struct ipcm__object *object, char *out, size_t size)
{
    const struct value *value = object->state;
    char text[80];
    (void)ipc_any_format(&value->is, text, sizeof text);
    return snprintf(out, size, "is %s", text);
}

const struct ipcm__kind ipcm__kind_value = {
    .name = "value",
    .durable = true,
    .create = create,
    .destroy = destroy,
    .call = call_value,
    .save = save,
    .replay = replay,
    .describe = describe,
};
