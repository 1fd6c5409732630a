/* Registered types: objects whose code is the program's own.
 *
 * State: the table, written before a server is started, by one thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "fail.h"
#include "server/core.h"

#define TYPES_MOST 64
#define NAME_MOST  63

static struct {
    const char *name;
    ipc_manager_type_ops ops;
} types[TYPES_MOST];
static size_t type_count;

struct registered {
    ipc_manager_type_ops ops;
    void *self;
};

struct ipc_manager_results {
    struct ipcm__call *call;
    size_t bytes;
    size_t most;
};

/* ---- the table ---- */

static size_t find(const char *type, size_t bytes)
{
    size_t i = 0;
    while (i < type_count && (strlen(types[i].name) != bytes ||
                              memcmp(types[i].name, type, bytes) != 0))
        i++;
    return i;
}

const ipc_manager_type_ops *ipcm__registered(const char *type, size_t bytes)
{
    const size_t i = find(type, bytes);
    return i < type_count ? &types[i].ops : NULL;
}

const char *ipcm__registered_name(const char *type, size_t bytes)
{
    const size_t i = find(type, bytes);
    return i < type_count ? types[i].name : NULL;
}

int ipc_manager_register(const char *type, const ipc_manager_type_ops *ops)
{
    ipc_manager_type_ops given;
    const size_t bytes = strnlen(type, NAME_MOST + 1);
    const int rc = ipc__options_read(&given, sizeof given, ops);
    if (rc < 0)
        return ipcm__fail(rc, "the operations of %s", type);
    if (bytes == 0 || bytes > NAME_MOST)
        return ipcm__fail(-EINVAL, "the name of a type has 1 to %d bytes",
                          NAME_MOST);
    if (ipcm__kind_of(type, bytes) != NULL)
        return ipcm__fail(-EINVAL, "%s is a type of ours", type);
    if (given.flags != 0 || given.create == NULL || given.call == NULL)
        return ipcm__fail(-EINVAL, "%s needs create and call, and no flags",
                          type);
    if (find(type, bytes) < type_count)
        return ipcm__fail(-EEXIST, "%s is registered", type);
    if (type_count == TYPES_MOST)
        return ipcm__fail(-ENOSPC, "%d types are registered", TYPES_MOST);
    types[type_count].name = type;
    types[type_count].ops = given;
    type_count++;
    return 0;
}

/* ---- arguments and results ---- */

/* Copies, with a zero byte behind each string. */
static int copy_args(const ipc_any *args, size_t count, ipc_anys *out)
{
    struct ipcm__call row = {.object = NULL};
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = args[i].type < IPC_TYPE_LIST
                 ? ipcm__call_result_copy(&row, &args[i])
                 : ipcm__fail(-EINVAL, "containers are no arguments");
    *out = row.results;
    if (rc < 0)
        ipcm__results_end(out);
    return rc;
}

int ipc_manager_result(ipc_manager_results *results, ipc_any value)
{
    if (value.type >= IPC_TYPE_LIST)
        return ipcm__fail(-EINVAL, "a container is no result");
    const bool is_text =
        value.type == IPC_TYPE_STR || value.type == IPC_TYPE_BYTES;
    const size_t bytes = is_text ? value.size : 0;
    if (bytes > results->most - results->bytes)
        return ipcm__fail(-EMSGSIZE,
                          "the results do not fit: frame_bytes is %zu",
                          results->most);
    const int rc = ipcm__call_result_copy(results->call, &value);
    if (rc == 0)
        results->bytes += bytes;
    return rc;
}

/* Its results are its own: statuses beyond those of calls are not possible. */
static int to_status(int rc)
{
    return rc < IPCM__WAITS
               ? rc
               : ipcm__fail(-ERANGE, "a status of %d is too high", rc);
}

/* ---- the kind ---- */

static int create(struct ipcm__object *object, const ipc_any *args,
                  size_t count)
{
    const ipc_manager_type_ops *ops =
        ipcm__registered(object->type, strlen(object->type));
    struct registered *registered = calloc(1, sizeof *registered);
    ipc_anys copies = {NULL, 0};
    if (registered == NULL)
        return ipcm__fail(-ENOMEM, "no memory for an object");
    registered->ops = *ops;
    int rc = copy_args(args, count, &copies);
    if (rc == 0)
        rc = ops->create(copies.items, copies.count, &registered->self);
    ipcm__results_end(&copies);
    if (rc < 0) {
        free(registered);
        return rc;
    }
    object->state = registered;
    return 0;
}

static void destroy(struct ipcm__object *object)
{
    struct registered *registered = object->state;
    if (registered->ops.destroy != NULL)
        registered->ops.destroy(registered->self);
    free(registered);
}

static int call_method(struct ipcm__object *object, struct ipcm__call *call)
{
    const struct registered *registered = object->state;
    const struct ipcm__request *request = &call->request;
    ipc_manager_results results = {call, 0,
                                   object->server->limits->frame_bytes};
    ipc_anys copies;
    if (request->op != IPCM__OP_CALL)
        return ipcm__fail(-EINVAL, "%s is no operation on a %s",
                          ipcm__op_name(request->op), object->type);
    if (request->count == 0 || request->args[0].type != IPC_TYPE_STR)
        return ipcm__fail(-EINVAL, "CALL needs the name of a method");
    int rc = copy_args(request->args, request->count, &copies);
    if (rc < 0)
        return rc;
    rc = registered->ops.call(registered->self, copies.items[0].str,
                              copies.items + 1, copies.count - 1, &results);
    ipcm__results_end(&copies);
    return to_status(rc);
}

const struct ipcm__kind ipcm__kind_registered = {.name = "registered",
                                                 .create = create,
                                                 .destroy = destroy,
                                                 .call = call_method};
