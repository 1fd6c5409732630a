/* OPEN: the object of a name, or a new one. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <ipc/remote.h>

#include "fail.h"
#include "server/core.h"

#define ARENA_NAME_MAX 255

struct wish {
    const char *type;
    size_t type_bytes;
    const char *name; /* NULL: none */
    size_t name_bytes;
    const ipc_any *options;
    size_t count;
    size_t items; /* where "items" is in them; count: nowhere */
    uint32_t durability;
    bool served;
};

/* ---- what is asked for ---- */

static bool is_str(const ipc_any *any, const char *text)
{
    return any->type == IPC_TYPE_STR && any->size == strlen(text) &&
           memcmp(any->str, text, any->size) == 0;
}

static int read_option(struct wish *wish, const ipc_any *key,
                       const ipc_any *value)
{
    if (is_str(key, "served")) {
        if (value->type != IPC_TYPE_BOOL)
            return ipcm__fail(-EINVAL, "served is true or false");
        wish->served = value->boolean;
    } else if (is_str(key, "durability")) {
        if (value->type != IPC_TYPE_I64 || value->i64 < IPC_DURABLE_NONE ||
            value->i64 > IPC_DURABLE_ALWAYS)
            return ipcm__fail(-EINVAL, "durability is 1, 2 or 3");
        wish->durability = (uint32_t)value->i64;
    }
    return 0;
}

/* Those that every kind of ours may have; the rest is for the kind. */
static int read_options(struct wish *wish)
{
    wish->items = wish->count;
    for (size_t i = 0; i < wish->count; i += 2) {
        if (is_str(&wish->options[i], "items")) {
            wish->items = i;
            return 0;
        }
        if (wish->options[i].type != IPC_TYPE_STR || i + 1 == wish->count)
            return ipcm__fail(-EINVAL, "option %zu is no name with a value",
                              i / 2 + 1);
        const int rc =
            read_option(wish, &wish->options[i], &wish->options[i + 1]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_wish(const struct ipcm__call *call, struct wish *wish)
{
    const struct ipcm__request *request = &call->request;
    memset(wish, 0, sizeof *wish);
    int rc = ipcm__arg_count(request, 2, SIZE_MAX);
    if (rc == 0)
        rc = ipcm__arg_str(request, 0, &wish->type, &wish->type_bytes);
    if (rc == 0 && request->args[1].type != IPC_TYPE_NIL) {
        rc = ipcm__arg_str(request, 1, &wish->name, &wish->name_bytes);
        if (rc == 0)
            rc = ipcm__name_check(call->session->server, wish->name,
                                  wish->name_bytes);
    }
    if (rc < 0)
        return rc;
    wish->options = request->args + 2;
    wish->count = request->count - 2;
    wish->items = wish->count;
    return 0;
}

/* ---- the answer ---- */

static int answer(struct ipcm__call *call, const struct ipcm__object *object,
                  int status)
{
    int rc = ipcm__call_result(call, ipc_u64(object->id));
    if (rc == 0)
        rc = ipcm__call_result(call,
                               ipc_i64(object->place == IPCM__PLACE_GIVEN));
    if (rc == 0)
        rc = ipcm__call_result(call, ipc_i64(object->durability));
    return rc < 0 ? rc : status;
}

/* One reference more, which goes again if the reply does not get out. */
static int refer(struct ipcm__call *call, struct ipcm__object *object)
{
    int rc = ipcm__session_refer(call->session, object);
    if (rc < 0)
        return rc;
    rc = ipcm__note_referred(object);
    if (rc < 0)
        ipcm__session_unrefer(call->session, object, 1);
    return rc;
}

static int found(struct ipcm__call *call, const struct wish *wish,
                 struct ipcm__object *object)
{
    if (strlen(object->type) != wish->type_bytes ||
        memcmp(object->type, wish->type, wish->type_bytes) != 0)
        return ipcm__fail(-EINVAL, "\"%s\" is a %s, not a %.*s", object->name,
                          object->type, (int)wish->type_bytes, wish->type);
    if (wish->durability != 0 && wish->durability != object->durability)
        return ipcm__fail(-EEXIST, "\"%s\" has durability %" PRIu32,
                          object->name, object->durability);
    const int rc = refer(call, object);
    return rc < 0 ? rc : answer(call, object, 0);
}

/* ---- new ones ---- */

static int find_kind(const struct wish *wish, struct ipcm__plan *plan)
{
    plan->kind = ipcm__kind_of(wish->type, wish->type_bytes);
    if (plan->kind != NULL) {
        plan->type = plan->kind->name;
        return 0;
    }
    plan->type = ipcm__registered_name(wish->type, wish->type_bytes);
    if (plan->type == NULL)
        return ipcm__fail(-ENOSYS, "there is no type %.*s",
                          (int)wish->type_bytes, wish->type);
    plan->kind = &ipcm__kind_registered;
    return 0;
}

static int choose_durability(const struct ipcm__server *server,
                             const struct wish *wish, struct ipcm__plan *plan)
{
    plan->durability = IPC_DURABLE_NONE;
    if (wish->durability > IPC_DURABLE_NONE) {
        if (!plan->kind->durable)
            return ipcm__fail(-ENOTSUP, "a %s is not durable", plan->type);
        if (server->keeper == NULL)
            return ipcm__fail(-ENOTSUP, "the server has no store");
        plan->durability = wish->durability;
    } else if (wish->durability == 0 && wish->name != NULL &&
               plan->kind->durable && server->keeper != NULL &&
               server->config->durability != IPC_DURABLE_DEFAULT) {
        plan->durability = server->config->durability;
    }
    return 0;
}

static enum ipcm__place choose_place(const struct ipcm__call *call,
                                     const struct wish *wish,
                                     const struct ipcm__plan *plan)
{
    const struct ipcm__server *server = call->session->server;
    if (plan->kind->type == 0)
        return IPCM__PLACE_SERVER;
    const bool is_given = server->sites[IPCM__PLACE_GIVEN].arena != NULL &&
                          call->session->may_map && !wish->served &&
                          plan->durability <= IPC_DURABLE_NONE &&
                          wish->name_bytes <= ARENA_NAME_MAX;
    return is_given ? IPCM__PLACE_GIVEN : IPCM__PLACE_OWN;
}

/* What is in a container from the beginning is logged as a change of it. */
static int note(struct ipcm__object *object, const struct wish *wish)
{
    if (object->durability <= IPC_DURABLE_NONE)
        return 0;
    if (object->kind->type == 0)
        return ipcm__note_made(object, wish->options, wish->count);
    int rc = ipcm__note_made(object, wish->options, wish->items);
    if (rc < 0 || wish->items == wish->count)
        return rc;
    uint32_t op = IPC_OP_DICT_UPDATE;
    if (object->kind->type == IPC_TYPE_LIST)
        op = IPC_OP_LIST_EXTEND;
    else if (object->kind->type == IPC_TYPE_SET)
        op = IPC_OP_SET_UPDATE;
    return ipcm__note_done(object, op, wish->options + wish->items + 1,
                           wish->count - wish->items - 1);
}

/* Nobody has it: it is no more, and the error stays what it was. */
static int unmake(struct ipcm__object *object, int error)
{
    char detail[256];
    (void)snprintf(detail, sizeof detail, "%s", ipc_error_detail());
    ipcm__name_remove(object);
    ipcm__object_look(object);
    return ipcm__fail(error, "%s", detail);
}

static int make(struct ipcm__call *call, const struct wish *wish,
                struct ipcm__plan *plan)
{
    struct ipcm__server *server = call->session->server;
    struct ipcm__object *object;
    plan->name = wish->name;
    plan->name_bytes = wish->name_bytes;
    plan->place = choose_place(call, wish, plan);
    plan->args = wish->options;
    plan->count = wish->count;
    int rc = ipcm__object_make(server, plan, &object);
    if (rc != 0)
        return rc;
    rc = refer(call, object);
    if (rc < 0)
        return unmake(object, rc);
    server->notes.named = object;
    rc = note(object, wish);
    return rc < 0 ? rc : answer(call, object, 1);
}

int ipcm__office_open(struct ipcm__call *call)
{
    struct ipcm__server *server = call->session->server;
    struct ipcm__plan plan = {.kind = NULL};
    struct wish wish;
    int rc = read_wish(call, &wish);
    if (rc < 0)
        return rc;
    struct ipcm__object *object =
        wish.name != NULL ? ipcm__name_find(server, wish.name, wish.name_bytes)
                          : NULL;
    if (ipcm__kind_of(wish.type, wish.type_bytes) != NULL)
        rc = read_options(&wish);
    if (rc == 0 && object != NULL)
        return found(call, &wish, object);
    if (rc == 0)
        rc = find_kind(&wish, &plan);
    if (rc == 0)
        rc = choose_durability(server, &wish, &plan);
    return rc == 0 ? make(call, &wish, &plan) : rc;
}
