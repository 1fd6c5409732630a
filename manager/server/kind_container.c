/* Lists, dicts, sets and namespaces: the containers of libipc, in one of the
 * two arenas. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <ipc/remote.h>

#include "fail.h"
#include "server/containers.h"
#include "server/core.h"

/* ---- new ones ---- */

static bool is_str(const ipc_any *any, const char *text)
{
    return any->type == IPC_TYPE_STR && any->size == strlen(text) &&
           memcmp(any->str, text, any->size) == 0;
}

/* Where the contents begin in the options; count: there are none. */
static int find_items(const ipc_any *args, size_t count, size_t *out)
{
    for (size_t i = 0; i < count; i += 2) {
        if (is_str(&args[i], "items")) {
            *out = i + 1;
            return 0;
        }
        if (!is_str(&args[i], "durability") && !is_str(&args[i], "served"))
            return ipcm__fail(-EINVAL, "option %zu is not one of a container",
                              i / 2 + 1);
    }
    *out = count;
    return 0;
}

static uint32_t filling_op(uint32_t type)
{
    if (type == IPC_TYPE_LIST)
        return IPC_OP_LIST_EXTEND;
    return type == IPC_TYPE_SET ? IPC_OP_SET_UPDATE : IPC_OP_DICT_UPDATE;
}

/* From inside: any operation, of numbers. */
static int apply(struct ipcm__object *object, uint32_t op, const ipc_any *args,
                 size_t count)
{
    const ipc_any *handles;
    ipc_anys results = {NULL, 0};
    int rc =
        ipcm__numbers_to_handles(object->server, object, args, count, &handles);
    if (rc == 0)
        rc =
            ipcm__container_call(&object->handle, op, handles, count, &results);
    ipc_anys_free(&results);
    return rc;
}

static void unmake(struct ipcm__object *object)
{
    struct ipcm__map *map = &object->server->sites[object->place].objects;
    ipcm__place_release(object);
    if (ipcm__map_get(map, object->identity) == object)
        (void)ipcm__map_take(map, object->identity);
    ipc_any_free(&object->handle);
}

static int create(struct ipcm__object *object, const ipc_any *args,
                  size_t count)
{
    size_t items;
    int rc = find_items(args, count, &items);
    if (rc == 0)
        rc = ipcm__place_enter(object->server, object->place);
    if (rc == 0)
        rc = ipcm__place_make(object);
    if (rc != 0)
        return rc;
    if (items < count)
        rc = apply(object, filling_op(object->kind->type), args + items,
                   count - items);
    if (rc < 0)
        unmake(object);
    return rc < 0 ? rc : 0;
}

static void destroy(struct ipcm__object *object)
{
    (void)object; /* the place has let it go */
}

/* ---- calls ---- */

/* A new container of any type, for an operation that puts it in. */
static int make_into(struct ipcm__object *object, uint32_t op,
                     const ipc_any *before, const ipc_any *type,
                     ipc_anys *results)
{
    const struct ipcm__site *site = &object->server->sites[object->place];
    ipc_any made = ipc_nil();
    if (type->type != IPC_TYPE_I64 || type->i64 < IPC_TYPE_LIST ||
        type->i64 > IPC_TYPE_NAMESPACE)
        return ipcm__fail(-EINVAL, "that is no type of a container");
    int rc = ipcm__container_new(site->arena, (uint32_t)type->i64, &made);
    if (rc < 0)
        return rc;
    ipc_any args[2] = {made, made};
    if (before != NULL)
        args[0] = *before;
    rc = ipcm__container_call(&object->handle, op, args, before != NULL ? 2 : 1,
                              results);
    struct ipcm__call row = {.object = object};
    if (rc == 0)
        rc = ipcm__call_result(&row, made);
    if (rc < 0)
        (void)ipcm__container_free(&made);
    else
        *results = row.results;
    return rc;
}

static int get_or_new(struct ipcm__object *object, struct ipcm__call *call,
                      ipc_anys *results)
{
    const struct ipcm__request *request = &call->request;
    int rc = ipcm__arg_count(request, 2, 2);
    if (rc < 0)
        return rc;
    rc = ipcm__container_call(&object->handle, IPC_OP_DICT_GET, request->args,
                              1, results);
    if (rc == -ENOENT) {
        call->made = true;
        return make_into(object, IPC_OP_DICT_SET, &request->args[0],
                         &request->args[1], results);
    }
    if (rc == 0 && (request->args[1].type != IPC_TYPE_I64 ||
                    results->items[0].type != request->args[1].i64)) {
        ipc_anys_free(results);
        rc = ipcm__fail(-EINVAL, "something else is at the key");
    }
    return rc;
}

static int copy_namespace(struct ipcm__object *object, ipc_anys *results)
{
    const struct ipcm__site *site = &object->server->sites[object->place];
    ipc_any made;
    int rc = ipcm__container_new(site->arena, IPC_TYPE_NAMESPACE, &made);
    if (rc < 0)
        return rc;
    rc = ipcm__container_call(&made, IPC_OP_DICT_MERGE, &object->handle, 1,
                              results);
    struct ipcm__call row = {.object = object};
    if (rc == 0)
        rc = ipcm__call_result(&row, made);
    if (rc < 0)
        (void)ipcm__container_free(&made);
    else
        *results = row.results;
    return rc;
}

/* owned: the results are handles of ..._new(). */
static int perform(struct ipcm__object *object, struct ipcm__call *call,
                   ipc_anys *results, bool *owned)
{
    const struct ipcm__request *request = &call->request;
    const ipc_any *args;
    *owned = true;
    if (request->op == IPC_OP_LIST_APPEND_NEW &&
        object->kind->type == IPC_TYPE_LIST) {
        const int rc = ipcm__arg_count(request, 1, 1);
        return rc < 0 ? rc
                      : make_into(object, IPC_OP_LIST_APPEND, NULL,
                                  &request->args[0], results);
    }
    if (request->op == IPC_OP_DICT_GET_OR_NEW &&
        (object->kind->type == IPC_TYPE_DICT ||
         object->kind->type == IPC_TYPE_NAMESPACE)) {
        const int rc = get_or_new(object, call, results);
        *owned = call->made;
        return rc;
    }
    if (request->op == IPC_OP_DICT_COPY &&
        object->kind->type == IPC_TYPE_NAMESPACE)
        return copy_namespace(object, results);
    *owned = request->op == IPC_OP_LIST_COPY ||
             request->op == IPC_OP_DICT_COPY || request->op == IPC_OP_SET_COPY;
    const int rc = ipcm__numbers_to_handles(
        object->server, object, request->args, request->count, &args);
    return rc < 0 ? rc
                  : ipcm__container_call(&object->handle, request->op, args,
                                         request->count, results);
}

static uint32_t length_op(uint32_t type)
{
    if (type == IPC_TYPE_LIST)
        return IPC_OP_LIST_LENGTH;
    return type == IPC_TYPE_SET ? IPC_OP_SET_LENGTH : IPC_OP_DICT_LENGTH;
}

/* After a change, which is undone if it is too long. */
static int check_length(const struct ipcm__object *object)
{
    const uint32_t most = object->server->limits->container_length;
    ipc_anys results = {NULL, 0};
    if (most == UINT32_MAX)
        return 0;
    const int rc = ipcm__container_call(
        &object->handle, length_op(object->kind->type), NULL, 0, &results);
    const int64_t length = rc == 0 ? results.items[0].i64 : 0;
    ipc_anys_free(&results);
    if (length > most)
        return ipcm__fail(
            -EDQUOT, "a %s of %" PRId64 " items: container_length is %" PRIu32,
            object->type, length, most);
    return rc;
}

static int explain(const struct ipcm__object *object, int rc)
{
    const ipc_manager_limits *limits = object->server->limits;
    if (rc != -ENOSPC)
        return rc;
    if (object->place == IPCM__PLACE_GIVEN)
        return ipcm__fail(rc, "the arena is full: arena_bytes is %" PRIu64,
                          limits->arena_bytes);
    return ipcm__fail(rc, "the second arena is full: memory_bytes is %" PRIu64,
                      limits->memory_bytes);
}

int ipcm__container_do(struct ipcm__object *object, struct ipcm__call *call)
{
    const bool changes =
        (ipcm__op_flags(call->request.op) & IPCM__OP_CHANGES) != 0;
    ipc_anys results = {NULL, 0};
    bool owned = false;
    call->made = false;
    const int status = perform(object, call, &results, &owned);
    if (status < 0)
        return explain(object, status);
    int rc = ipcm__handles_to_numbers(call->session, object, &results, owned);
    call->results = results;
    if (rc == 0 && changes)
        rc = check_length(object);
    if (rc == 0)
        rc = ipcm__effects(object, call, status);
    if (rc == 0 && changes && !list_is_empty(&object->waiting))
        ipcm__object_ring(object);
    return rc < 0 ? explain(object, rc) : status;
}

static int call_container(struct ipcm__object *object, struct ipcm__call *call)
{
    int rc = ipcm__place_enter(object->server, object->place);
    if (rc != 0)
        return rc;
    rc = ipcm__container_do(object, call);
    if (rc != -EAGAIN ||
        (ipcm__op_flags(call->request.op) & IPCM__OP_WAITS) == 0)
        return rc;
    if (!call->expired)
        return IPCM__WAITS;
    return call->at_once ? -EAGAIN : -ETIMEDOUT;
}

/* ---- what is durable ---- */

static int save(struct ipcm__object *object, uint64_t *at, size_t most,
                uint32_t *op, ipc_anys *args)
{
    int rc = ipcm__container_save(&object->handle, at, most, op, args);
    if (rc != 1)
        return rc;
    rc = ipcm__handles_to_numbers(NULL, object, args, false);
    if (rc < 0)
        ipcm__results_end(args);
    return rc < 0 ? rc : 1;
}

/* What was put in may have been taken out later, and be no more: for as long
 * as the loading takes it is an empty one. */
static int restore_former(struct ipcm__server *server, const ipc_any *args,
                          size_t count)
{
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        struct ipcm__object *former;
        if (args[i].type < IPC_TYPE_LIST ||
            ipcm__map_get(&server->objects, args[i].u64) != NULL)
            continue;
        const struct ipcm__store_object row = {
            .id = args[i].u64,
            .type = ipc_type_name(args[i].type),
            .durability = IPC_DURABLE_INTERVAL};
        rc = ipcm__object_restore(server, &row, NULL, 0, &former);
        if (rc == 0)
            former->former = true;
    }
    return rc;
}

static int replay(struct ipcm__object *object, uint32_t op, const ipc_any *args,
                  size_t count)
{
    int rc = restore_former(object->server, args, count);
    if (rc == 0)
        rc = ipcm__place_enter(object->server, object->place);
    if (rc != 0)
        return rc;
    rc = apply(object, op, args, count);
    if (rc < 0) {
        ipcm__place_abort(object->server);
        return rc;
    }
    return ipcm__place_commit(object->server);
}

/* ---- for people ---- */

static int describe(const struct ipcm__object *object, char *out, size_t size)
{
    return snprintf(out, size, "%s",
                    object->place == IPCM__PLACE_GIVEN ? "in the arena"
                                                       : "served");
}

#define KIND(which, number)                                                    \
    const struct ipcm__kind ipcm__kind_##which = {.name = #which,              \
                                                  .type = (number),            \
                                                  .durable = true,             \
                                                  .create = create,            \
                                                  .destroy = destroy,          \
                                                  .call = call_container,      \
                                                  .save = save,                \
                                                  .replay = replay,            \
                                                  .describe = describe}

KIND(list, IPC_TYPE_LIST);
KIND(dict, IPC_TYPE_DICT);
KIND(set, IPC_TYPE_SET);
KIND(namespace, IPC_TYPE_NAMESPACE);
