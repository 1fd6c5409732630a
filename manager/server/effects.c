/* Effects: what a call on a durable container has done to it, in operations
 * that can be repeated without looking at another object. */
#include <errno.h>

#include <ipc/remote.h>

#include "fail.h"
#include "server/containers.h"
#include "server/core.h"

#define CHUNK 1024 /* values in one row */

/* All that is in one container is put into another, or into itself anew. */
static int note_contents(const struct ipcm__object *from,
                         struct ipcm__object *into)
{
    uint64_t at = 0;
    uint32_t op;
    ipc_anys values;
    int rc;
    while ((rc = ipcm__container_save(&from->handle, &at, CHUNK, &op,
                                      &values)) == 1) {
        rc = ipcm__handles_to_numbers(NULL, from, &values, false);
        if (rc < 0) {
            ipcm__results_end(&values);
            return rc;
        }
        rc = ipcm__note_moved(into, op, &values);
        if (rc < 0)
            return rc;
    }
    return rc;
}

/* The number in the first result. */
static struct ipcm__object *first_of(const struct ipcm__call *call,
                                     struct ipcm__server *server)
{
    return call->results.count != 0
               ? ipcm__object_find(server, call->results.items[0].u64)
               : NULL;
}

static int note_copy(struct ipcm__object *object, const struct ipcm__call *call)
{
    struct ipcm__object *copy = first_of(call, object->server);
    if (copy == NULL)
        return -ESTALE;
    const int rc = ipcm__note_made(copy, NULL, 0);
    return rc < 0 ? rc : note_contents(copy, copy);
}

/* A new container was put in: by APPEND, or by SET at a key. */
static int note_new(struct ipcm__object *object, const struct ipcm__call *call,
                    const ipc_any *key)
{
    struct ipcm__object *made = first_of(call, object->server);
    ipc_anys args = {NULL, 0};
    if (made == NULL)
        return -ESTALE;
    int rc = ipcm__note_made(made, NULL, 0);
    if (rc < 0)
        return rc;
    struct ipcm__call row = {.object = object};
    if (key != NULL)
        rc = ipcm__call_result_copy(&row, key);
    if (rc == 0)
        rc = ipcm__call_result(&row, call->results.items[0]);
    args = row.results;
    if (rc < 0) {
        ipcm__results_end(&args);
        return rc;
    }
    return ipcm__note_moved(
        object, key != NULL ? IPC_OP_DICT_SET : IPC_OP_LIST_APPEND, &args);
}

static int note_other(struct ipcm__object *object,
                      const struct ipcm__call *call)
{
    const struct ipcm__object *other =
        ipcm__object_find(object->server, call->request.args[0].u64);
    return other != NULL ? note_contents(other, object) : -ESTALE;
}

static int note_anew(struct ipcm__object *object)
{
    const int rc = ipcm__note_done(object, IPC_OP_SET_CLEAR, NULL, 0);
    return rc < 0 ? rc : note_contents(object, object);
}

static bool has_done(const struct ipcm__call *call)
{
    return call->results.count != 0 && call->results.items[0].i64 == 1;
}

int ipcm__effects(struct ipcm__object *object, struct ipcm__call *call,
                  int status)
{
    const struct ipcm__request *request = &call->request;
    if (status < 0 || object->server->keeper == NULL ||
        object->durability <= IPC_DURABLE_NONE ||
        (ipcm__op_flags(request->op) & IPCM__OP_LOGGED) == 0)
        return 0;
    switch (request->op) {
    case IPC_OP_LIST_APPEND_NEW:
        return note_new(object, call, NULL);
    case IPC_OP_DICT_GET_OR_NEW:
        return call->made ? note_new(object, call, &request->args[0]) : 0;
    case IPC_OP_LIST_COPY:
    case IPC_OP_DICT_COPY:
    case IPC_OP_SET_COPY:
        return note_copy(object, call);
    case IPC_OP_DICT_MERGE:
    case IPC_OP_SET_UNION:
        return note_other(object, call);
    case IPC_OP_SET_INTERSECT:
    case IPC_OP_SET_SUBTRACT:
        return note_anew(object);
    case IPC_OP_DICT_SETDEFAULT:
    case IPC_OP_DICT_CAS:
    case IPC_OP_SET_ADD:
    case IPC_OP_SET_DISCARD:
        if (!has_done(call))
            return 0;
        break;
    default:
        break;
    }
    return ipcm__note_done(object, request->op, request->args, request->count);
}
