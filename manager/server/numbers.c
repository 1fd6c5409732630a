/* Containers by number: outside they are numbers, in an arena handles. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "server/containers.h"
#include "server/core.h"

static bool is_container(const ipc_any *any)
{
    return any->type >= IPC_TYPE_LIST && any->type <= IPC_TYPE_NAMESPACE;
}

/* ---- numbers to handles ---- */

static int to_handle(struct ipcm__server *server,
                     const struct ipcm__object *into, const ipc_any *number,
                     ipc_any *out)
{
    const struct ipcm__object *object = ipcm__object_find(server, number->u64);
    if (object == NULL)
        return -ESTALE;
    if (object->kind->type != number->type)
        return ipcm__fail(-EINVAL, "object %" PRIu64 " is a %s, not a %s",
                          object->id, object->type,
                          ipc_type_name(number->type));
    if (object->place != into->place)
        return ipcm__fail(-EXDEV, "the %s lives in another arena",
                          object->type);
    if (into->durability > IPC_DURABLE_NONE &&
        object->durability <= IPC_DURABLE_NONE)
        return ipcm__fail(-EXDEV, "the %s is not durable", object->type);
    *out = object->handle;
    return 0;
}

static int room_for(struct ipcm__server *server, size_t count)
{
    if (count <= server->handle_room)
        return 0;
    ipc_any *more = realloc(server->handles, count * sizeof *more);
    if (more == NULL)
        return ipcm__fail(-ENOMEM, "no memory for %zu arguments", count);
    server->handles = more;
    server->handle_room = count;
    return 0;
}

int ipcm__numbers_to_handles(struct ipcm__server *server,
                             const struct ipcm__object *into,
                             const ipc_any *args, size_t count,
                             const ipc_any **out)
{
    size_t first = 0;
    while (first < count && !is_container(&args[first]))
        first++;
    *out = args;
    if (first == count)
        return 0;
    int rc = room_for(server, count);
    if (rc < 0)
        return rc;
    memcpy(server->handles, args, count * sizeof *args);
    for (size_t i = first; i < count && rc == 0; i++)
        if (is_container(&args[i]))
            rc = to_handle(server, into, &args[i], &server->handles[i]);
    *out = server->handles;
    return rc;
}

/* ---- handles to numbers ---- */

/* One that was not met before.  What is new takes after what it was made in. */
static int meet(const struct ipcm__object *from, ipc_any *handle, bool owned,
                struct ipcm__object **out)
{
    const uint32_t durability =
        owned ? from->durability : (uint32_t)IPC_DURABLE_NONE;
    int rc =
        ipcm__object_meet(from->server, from->place, durability, handle, out);
    if (rc < 0 || !owned)
        return rc;
    ipc_any mine = (*out)->handle;
    rc = ipcm__place_weaken(*out, &mine);
    if (rc < 0) {
        (*out)->handle = ipc_nil();
        (void)ipcm__container_free(&mine);
        ipcm__object_look(*out);
    }
    return rc;
}

/* *value is nil, if that is all right. */
static int find_or_meet(struct ipcm__session *session,
                        const struct ipcm__object *from, ipc_any *value,
                        bool owned, struct ipcm__object **out)
{
    const struct ipcm__site *site = &from->server->sites[from->place];
    struct ipcm__object *object =
        ipcm__map_get(&site->objects, ipc_any_identity(value));
    if (object == NULL && session == NULL)
        return ipcm__fail(-EUCLEAN, "a %s in object %" PRIu64 " has no number",
                          ipc_type_name(value->type), from->id);
    if (object == NULL)
        return meet(from, value, owned, out);
    ipc_any_free(value);
    *out = object;
    return 0;
}

/* One more reference.  What was only met for it goes again if that fails. */
static int refer(struct ipcm__session *session, struct ipcm__object *object,
                 bool is_new)
{
    int rc = ipcm__session_refer(session, object);
    if (rc == 0) {
        rc = ipcm__note_referred(object);
        if (rc < 0)
            ipcm__session_unrefer(session, object, 1);
    } else if (is_new) {
        char detail[256];
        (void)snprintf(detail, sizeof detail, "%s", ipc_error_detail());
        ipcm__object_look(object);
        rc = ipcm__fail(rc, "%s", detail);
    }
    return rc;
}

/* -ESTALE: it was taken out of its last holder by this very call, and is no
 * more once that holds.  Whoever gets the number finds that out; it is not
 * referred to, and, if it had a number before, not ended here: the call may
 * still be undone. */
static int to_number(struct ipcm__session *session,
                     const struct ipcm__object *from, ipc_any *value,
                     bool owned)
{
    struct ipcm__object *object;
    const uint32_t type = value->type;
    uint64_t id = 0;
    const size_t before = from->server->objects.count;
    int rc = find_or_meet(session, from, value, owned, &object);
    if (rc == 0) {
        id = object->id;
        if (session != NULL)
            rc = refer(session, object, from->server->objects.count != before);
    } else if (rc == -ESTALE && !owned) {
        id = ipcm__object_next_id(from->server);
        ipc_any_free(value);
    }
    if (rc < 0 && (rc != -ESTALE || owned))
        return rc;
    *value = ipc_any_with_type(type);
    value->u64 = id;
    return 0;
}

int ipcm__handles_to_numbers(struct ipcm__session *session,
                             const struct ipcm__object *from, ipc_anys *values,
                             bool owned)
{
    int rc = 0;
    for (size_t i = 0; i < values->count; i++) {
        ipc_any *value = &values->items[i];
        if (!is_container(value))
            continue;
        if (rc == 0)
            rc = to_number(session, from, value, owned);
        if (rc < 0) {
            if (owned)
                (void)ipcm__container_free(value);
            else
                ipc_any_free(value);
            *value = ipc_nil();
        }
    }
    return rc;
}

void ipcm__results_end(ipc_anys *results)
{
    for (size_t i = 0; i < results->count; i++)
        if (is_container(&results->items[i]))
            results->items[i] = ipc_nil();
    ipc_anys_free(results);
}
