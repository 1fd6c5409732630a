/* Kinds: what those of managed objects have in common. */
#include "server/kinds.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fail.h"

/* ---- waiting ---- */

int ipcm__would_wait(const struct ipcm__call *call, int64_t ns, const char *why)
{
    const struct ipcm__object *object = call->object;
    if (ns != 0 && !call->expired)
        return IPCM__WAITS;
    const int error = ns == 0 ? -EAGAIN : -ETIMEDOUT;
    if (object->name != NULL)
        return ipcm__fail(error, "%s \"%s\" %s", object->kind->name,
                          object->name, why);
    return ipcm__fail(error, "%s #%" PRIu64 " %s", object->kind->name,
                      object->id, why);
}

int ipcm__arg_ns(const struct ipcm__call *call, size_t place, int64_t *out)
{
    return ipcm__arg_i64(&call->request, place, -1, INT64_MAX, out);
}

bool ipcm__is_next(const struct ipcm__call *call, uint32_t first, uint32_t last)
{
    const struct list *waiting = &call->object->waiting;
    for (const struct list *at = waiting->next; at != waiting; at = at->next) {
        const struct ipcm__call *other =
            list_entry(at, struct ipcm__call, of_object);
        if (other == call)
            return true;
        if (other->request.op >= first && other->request.op <= last)
            return false;
    }
    return true;
}

size_t ipcm__waiting_count(const struct ipcm__object *object)
{
    size_t count = 0;
    const struct list *waiting = &object->waiting;
    for (const struct list *at = waiting->next; at != waiting; at = at->next)
        count++;
    return count;
}

/* ---- options ---- */

bool ipcm__option_is(const char *name, size_t bytes, const char *is)
{
    return bytes == strlen(is) && memcmp(name, is, bytes) == 0;
}

int ipcm__option_next(struct ipcm__options *options, struct ipcm__option *out)
{
    while (options->at < options->count) {
        const ipc_any *key = &options->args[options->at];
        if (key->type != IPC_TYPE_STR)
            return ipcm__fail(-EINVAL, "option %zu has no name",
                              options->at / 2 + 1);
        *out = (struct ipcm__option){key->str, key->size, key + 1, 1};
        if (ipcm__option_is(key->str, key->size, "items")) {
            out->count = options->count - options->at - 1;
            options->at = options->count;
            return 1;
        }
        if (options->count - options->at < 2)
            return ipcm__fail(-EINVAL, "option %.*s has no value",
                              (int)key->size, key->str);
        options->at += 2;
        if (!ipcm__option_is(key->str, key->size, "durability") &&
            !ipcm__option_is(key->str, key->size, "served"))
            return 1;
    }
    return 0;
}

int ipcm__no_options(const struct ipcm__object *object, const ipc_any *args,
                     size_t count)
{
    struct ipcm__options options = {args, count, 0};
    struct ipcm__option option;
    const int rc = ipcm__option_next(&options, &option);
    return rc == 1 ? ipcm__option_fail(object, option.name, option.bytes) : rc;
}

int ipcm__option_fail(const struct ipcm__object *object, const char *name,
                      size_t bytes)
{
    return ipcm__fail(-EINVAL, "option %.*s of a %s makes no sense", (int)bytes,
                      name, object->kind->name);
}

int ipcm__option_i64(const ipc_any *value, int64_t low, int64_t high,
                     int64_t *out)
{
    if (value->type != IPC_TYPE_I64 || value->i64 < low || value->i64 > high)
        return -EINVAL;
    *out = value->i64;
    return 0;
}

/* ---- values ---- */

int ipcm__plain_value(const ipc_any *value)
{
    return value->type <= IPC_TYPE_BYTES
               ? 0
               : ipcm__fail(-EINVAL, "a %s can be in a list or dict only",
                            ipc_type_name(value->type));
}

static bool has_bytes(const ipc_any *value)
{
    return value->type == IPC_TYPE_STR || value->type == IPC_TYPE_BYTES;
}

size_t ipcm__value_bytes(const ipc_any *value)
{
    return has_bytes(value) ? (size_t)value->size + 1 : 0;
}

/* ---- holds ---- */

void *ipcm__hold_new(size_t bytes, struct ipcm__session *session,
                     struct ipcm__object *object)
{
    void *memory = calloc(1, bytes);
    if (memory != NULL)
        ipcm__hold_add(memory, session, object);
    else
        (void)ipcm__fail_no_memory();
    return memory;
}

void ipcm__hold_end(struct ipcm__hold *hold)
{
    ipcm__hold_remove(hold);
    free(hold);
}

/* ---- the rest ---- */

int ipcm__fail_no_operation(const struct ipcm__call *call)
{
    return ipcm__fail(-ENOSYS, "a %s has no operation %u (%s)",
                      call->object->kind->name, (unsigned)call->request.op,
                      ipcm__op_name(call->request.op));
}

int ipcm__answer_i64(struct ipcm__call *call, int64_t value)
{
    return ipcm__call_result(call, ipc_i64(value));
}

int ipcm__answer_u64(struct ipcm__call *call, uint64_t value)
{
    return ipcm__call_result(call, ipc_u64(value));
}

uint64_t ipcm__first_token(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

ipc_deadline ipcm__later(const struct ipcm__object *object, int64_t ns)
{
    const ipc_deadline now = ipcm__now(object->server);
    return ns < IPC_TIME_FOREVER - now ? now + ns : IPC_TIME_FOREVER;
}
