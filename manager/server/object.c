/* Objects by number.
 *
 * State: what server.h says.  An object lives while it has a name or a
 * reference.  One that is a durable container and has neither may still be in
 * another container: then it is loose, keeps its number, which is in the store,
 * and is looked at now and then, whether it is alive. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <ipc/dict.h>
#include <ipc/list.h>
#include <ipc/namespace.h>
#include <ipc/set.h>

#include "fail.h"
#include "server/core.h"

#define EPOCH_SHIFT    40
#define INSTANCE_SHIFT 42 /* of which so many bits are left, of 64 */

static const struct ipcm__kind *const kinds[] = {
    &ipcm__kind_list,      &ipcm__kind_dict,      &ipcm__kind_set,
    &ipcm__kind_namespace, &ipcm__kind_value,     &ipcm__kind_array,
    &ipcm__kind_queue,     &ipcm__kind_lock,      &ipcm__kind_rlock,
    &ipcm__kind_semaphore, &ipcm__kind_condition, &ipcm__kind_bounded_semaphore,
    &ipcm__kind_event,     &ipcm__kind_barrier};
#define KIND_COUNT (sizeof kinds / sizeof kinds[0])

const struct ipcm__kind *ipcm__kind_of(const char *type, size_t bytes)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (strlen(kinds[i]->name) == bytes &&
            memcmp(kinds[i]->name, type, bytes) == 0)
            return kinds[i];
    return NULL;
}

const struct ipcm__kind *ipcm__kind_of_container(uint32_t type)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (kinds[i]->type == type && type != 0)
            return kinds[i];
    return NULL;
}

struct ipcm__object *ipcm__object_find(struct ipcm__server *server, uint64_t id)
{
    struct ipcm__object *object = ipcm__map_get(&server->objects, id);
    if (object == NULL)
        ipc_remote_detail("object %" PRIu64 " is no more", id);
    return object;
}

int ipcm__object_charge(struct ipcm__object *object, int64_t bytes)
{
    struct ipcm__server *server = object->server;
    const uint64_t most = server->limits->queue_bytes;
    if (bytes < 0) {
        const uint64_t back =
            (uint64_t)-bytes < object->bytes ? (uint64_t)-bytes : object->bytes;
        object->bytes -= back;
        server->charged -= back;
        return 0;
    }
    if ((uint64_t)bytes > most - server->charged)
        return ipcm__fail(-ENOSPC,
                          "%" PRId64 " bytes more than the %" PRIu64
                          " in use: queue_bytes is %" PRIu64,
                          bytes, server->charged, most);
    object->bytes += (uint64_t)bytes;
    server->charged += (uint64_t)bytes;
    return 0;
}

/* ---- made ---- */

static void tick(struct ipcm__timer *timer)
{
    struct ipcm__object *object = list_entry(timer, struct ipcm__object, timer);
    object->kind->tick(object);
    ipcm__object_retime(object);
}

void ipcm__object_retime(struct ipcm__object *object)
{
    if (object->timer.fire != NULL)
        ipcm__timer_set(&object->server->timers, &object->timer,
                        object->kind->next(object));
}

/* No number is given twice: a client that comes back with one of the server
 * before would have another object.  Below 2^63. */
uint64_t ipcm__object_next_id(struct ipcm__server *server)
{
    const uint64_t epoch = ipcm__keeper_epoch(server->keeper);
    const uint64_t base =
        epoch != 0 ? epoch : (server->instance >> INSTANCE_SHIFT) + 1;
    return (base << EPOCH_SHIFT) + ++server->object_number;
}

/* Registered, without anything in it. */
static int new_object(struct ipcm__server *server,
                      const struct ipcm__plan *plan, struct ipcm__object **out)
{
    if (server->objects.count >= server->limits->objects)
        return ipcm__fail(-EDQUOT, "there are %zu objects: objects is %u",
                          server->objects.count, server->limits->objects);
    struct ipcm__object *object = calloc(1, sizeof *object);
    if (object == NULL)
        return ipcm__fail(-ENOMEM, "no memory for an object");
    object->id = plan->id != 0 ? plan->id : ipcm__object_next_id(server);
    object->kind = plan->kind;
    object->server = server;
    object->type = plan->type;
    object->durability = plan->durability;
    object->place = plan->place;
    list_init(&object->holds);
    list_init(&object->waiting);
    list_init(&object->of_names);
    list_init(&object->of_rung);
    list_init(&object->of_loose);
    int rc = ipcm__map_put(&server->objects, object->id, object);
    if (rc == 0 && object->kind->next != NULL)
        rc = ipcm__timer_make(&server->timers, &object->timer, tick);
    if (rc == 0 && plan->name != NULL)
        rc = ipcm__name_add(object, plan->name, plan->name_bytes);
    if (object->kind == &ipcm__kind_condition)
        list_prepend(&server->object_list, &object->of_server);
    else
        list_append(&server->object_list, &object->of_server);
    if (rc < 0) {
        list_remove(&object->of_server);
        ipcm__timer_end(&server->timers, &object->timer);
        (void)ipcm__map_take(&server->objects, object->id);
        free(object);
        return rc;
    }
    *out = object;
    return 0;
}

static void free_object(struct ipcm__object *object)
{
    struct ipcm__server *server = object->server;
    ipcm__name_remove(object);
    list_remove(&object->of_server);
    list_remove(&object->of_rung);
    list_remove(&object->of_loose);
    ipcm__timer_end(&server->timers, &object->timer);
    (void)ipcm__map_take(&server->objects, object->id);
    server->charged -= object->bytes;
    free(object);
}

int ipcm__object_make(struct ipcm__server *server,
                      const struct ipcm__plan *plan, struct ipcm__object **out)
{
    struct ipcm__object *object;
    int rc = new_object(server, plan, &object);
    if (rc < 0)
        return rc;
    rc = object->kind->create(object, plan->args, plan->count);
    if (rc != 0) {
        free_object(object);
        return rc;
    }
    ipcm__object_retime(object);
    *out = object;
    return 0;
}

int ipcm__object_meet(struct ipcm__server *server, enum ipcm__place place,
                      uint32_t durability, ipc_any *handle,
                      struct ipcm__object **out)
{
    const struct ipcm__kind *kind = ipcm__kind_of_container(handle->type);
    if (kind == NULL)
        return ipcm__fail(-EUCLEAN, "a value of type %u is no container",
                          handle->type);
    const struct ipcm__plan plan = {.kind = kind,
                                    .type = kind->name,
                                    .durability = durability,
                                    .place = place};
    struct ipcm__object *object;
    int rc = new_object(server, &plan, &object);
    if (rc < 0)
        return rc;
    object->handle = *handle;
    object->identity = ipc_any_identity(handle);
    rc = ipcm__map_put(&server->sites[place].objects, object->identity, object);
    if (rc == 0) {
        rc = ipcm__place_hold(object);
        if (rc < 0)
            (void)ipcm__map_take(&server->sites[place].objects,
                                 object->identity);
    }
    if (rc < 0) {
        free_object(object);
        return rc;
    }
    *handle = ipc_nil();
    *out = object;
    return 0;
}

/* ---- gone ---- */

static void lose_holds(struct ipcm__object *object)
{
    while (!list_is_empty(&object->holds)) {
        struct ipcm__hold *hold =
            list_entry(object->holds.next, struct ipcm__hold, of_object);
        ipcm__hold_remove(hold);
        object->kind->lost(object, hold);
    }
}

static void leave_place(struct ipcm__object *object)
{
    struct ipcm__map *map = &object->server->sites[object->place].objects;
    ipcm__place_release(object);
    if (ipcm__map_get(map, object->identity) == object)
        (void)ipcm__map_take(map, object->identity);
    ipc_any_free(&object->handle);
}

static void end_object(struct ipcm__object *object)
{
    struct ipcm__server *server = object->server;
    object->gone = true;
    ipcm__wait_gone(object);
    lose_holds(object);
    if (object->kind->type != 0)
        leave_place(object);
    if (object->durability > IPC_DURABLE_NONE)
        (void)ipcm__keeper_drop(server->keeper, object);
    object->kind->destroy(object);
    free_object(object);
}

bool ipcm__object_is_alive(const struct ipcm__object *object)
{
    int64_t rc = -ESTALE;
    switch (object->handle.type) {
    case IPC_TYPE_LIST:
        rc = ipc_list_length(object->handle.list);
        break;
    case IPC_TYPE_DICT:
        rc = ipc_dict_length(object->handle.dict);
        break;
    case IPC_TYPE_SET:
        rc = ipc_set_length(object->handle.set);
        break;
    case IPC_TYPE_NAMESPACE:
        rc = ipc_namespace_has(object->handle.names, "");
        break;
    default:
        break;
    }
    return rc != -ESTALE;
}

void ipcm__object_look(struct ipcm__object *object)
{
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what is freed is in no list */
    if (object->name != NULL || object->references != 0 || object->gone)
        return;
    if (object->kind->type != 0 && object->durability > IPC_DURABLE_NONE) {
        ipcm__place_release(object);
        if (ipcm__object_is_alive(object)) {
            list_remove(&object->of_loose);
            list_append(&object->server->loose, &object->of_loose);
            return;
        }
    }
    end_object(object);
}

void ipcm__object_refer(struct ipcm__object *object)
{
    object->references++;
}

void ipcm__object_unrefer(struct ipcm__object *object)
{
    if (--object->references == 0)
        ipcm__object_look(object);
}

void ipcm__objects_sweep(struct ipcm__server *server, size_t most)
{
    /* Those that live go to the end of the list. */
    struct list end;
    list_append(&server->loose, &end);
    while (most-- > 0 && server->loose.next != &end)
        ipcm__object_look(
            list_entry(server->loose.next, struct ipcm__object, of_loose));
    list_remove(&end);
}

int ipcm__object_unname(struct ipcm__object *object)
{
    int rc = 0;
    if (object->place != IPCM__PLACE_SERVER)
        rc = ipcm__place_unname(object);
    if (rc == 0)
        rc = ipcm__place_commit(object->server);
    if (rc < 0)
        return rc;
    if (object->durability > IPC_DURABLE_NONE)
        (void)ipcm__keeper_unname(object->server->keeper, object);
    ipcm__name_remove(object);
    ipcm__object_look(object);
    return 0;
}

/* ---- at the start, and at the end ---- */

int ipcm__object_restore(struct ipcm__server *server,
                         const struct ipcm__store_object *row,
                         const ipc_any *options, size_t count,
                         struct ipcm__object **out)
{
    const struct ipcm__kind *kind = ipcm__kind_of(row->type, strlen(row->type));
    if (kind == NULL || !kind->durable ||
        row->durability < IPC_DURABLE_INTERVAL ||
        row->durability > IPC_DURABLE_ALWAYS)
        return ipcm__fail(-EUCLEAN, "object %" PRIu64 " is a durable %s",
                          row->id, row->type);
    const struct ipcm__plan plan = {
        .kind = kind,
        .type = kind->name,
        .id = row->id,
        .name = row->name,
        .name_bytes = row->name_bytes,
        .durability = row->durability,
        .place = kind->type != 0 ? IPCM__PLACE_OWN : IPCM__PLACE_SERVER,
        .args = options,
        .count = count};
    const bool is_there =
        ipcm__map_get(&server->objects, row->id) != NULL ||
        (row->name != NULL &&
         ipcm__name_find(server, row->name, row->name_bytes) != NULL);
    int rc = !is_there
                 ? ipcm__object_make(server, &plan, out)
                 : ipcm__fail(-EUCLEAN, "object %" PRIu64 " twice", row->id);
    if (rc == 0)
        rc = ipcm__place_commit(server);
    else
        ipcm__place_abort(server);
    return rc;
}

/* One that went while the store was in use must not be in anything now. */
static int check_former(const struct ipcm__server *server)
{
    for (const struct list *at = server->loose.next; at != &server->loose;
         at = at->next) {
        const struct ipcm__object *object =
            list_entry(at, struct ipcm__object, of_loose);
        if (object->former)
            return ipcm__fail(-EUCLEAN, "object %" PRIu64 " is missing",
                              object->id);
    }
    return 0;
}

int ipcm__objects_restored(struct ipcm__server *server)
{
    struct list *at = server->object_list.next;
    while (at != &server->object_list) {
        struct ipcm__object *object =
            list_entry(at, struct ipcm__object, of_server);
        at = at->next;
        if (object->name == NULL && object->durability > IPC_DURABLE_NONE)
            ipcm__object_look(object);
    }
    /* What was in those that have gone by now. */
    ipcm__objects_sweep(server, SIZE_MAX);
    return check_former(server);
}

/* Conditions need their locks in the end: they come first. */
void ipcm__objects_free(struct ipcm__server *server)
{
    while (!list_is_empty(&server->object_list)) {
        struct ipcm__object *object = list_entry(
            server->object_list.next, struct ipcm__object, of_server);
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the freed are in no list */
        object->gone = true;
        ipc_any_free(&object->handle);
        object->kind->destroy(object);
        free_object(object);
    }
    ipcm__map_free(&server->objects);
    ipcm__map_free(&server->names);
}
