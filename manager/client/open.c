/* Lists, dicts, sets and namespaces of a manager. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/options.h"
#include "client/client.h"
#include "fail.h"

static int fail_type(uint32_t type)
{
    return ipcm__fail(-EINVAL,
                      "%s is not the type of a list, dict, set or "
                      "namespace",
                      ipc_type_name(type));
}

/* durability, served and items, as they are in the request. */
static ipc_any *make_options(const ipc_manager_object_options *given,
                             size_t *count, size_t *kept)
{
    ipc_any *options = calloc(given->item_count + 5, sizeof *options);
    if (options == NULL)
        return NULL;
    size_t n = 0;
    if (given->durability != IPC_DURABLE_DEFAULT) {
        options[n++] = ipc_str("durability");
        options[n++] = ipc_i64(given->durability);
    }
    if ((given->flags & IPC_MANAGER_SERVED) != 0) {
        options[n++] = ipc_str("served");
        options[n++] = ipc_bool(true);
    }
    *kept = n;
    if (given->item_count > 0) {
        options[n++] = ipc_str("items");
        memcpy(options + n, given->items,
               given->item_count * sizeof *given->items);
        n += given->item_count;
    }
    *count = n;
    return options;
}

static int check_options(const ipc_manager_object_options *options)
{
    if ((options->flags & ~IPC_MANAGER_SERVED) != 0)
        return ipcm__fail(-EINVAL, "unknown flags 0x%x", options->flags);
    if (options->durability > IPC_DURABLE_ALWAYS)
        return ipcm__fail(-EINVAL, "no such durability: %u",
                          options->durability);
    if (options->item_count > 0 &&
        (options->items == NULL || options->item_count > UINT32_MAX))
        return ipcm__fail(-EINVAL, "items that are NULL, or too many");
    return 0;
}

/* In the arena if it lies there and we have it; else by asking. */
static int make_handle(struct ipcm__target *target, uint32_t place,
                       ipc_any *out)
{
    int rc = place == 1 ? ipcm__arena_handle(target, out) : 1;
    if (rc == 1)
        rc = ipcm__remote_handle(target, out);
    if (rc != 0)
        ipcm__target_end(target);
    return rc;
}

/* What has gone with its server between the answer and our look into the arena
 * is opened anew, in the next one. */
static int open_somewhere(ipc_manager *manager,
                          const struct ipcm__opening *opening, uint32_t type,
                          ipc_any *out)
{
    int made = -ESTALE;
    int rc = 0;
    for (int i = 0; made == -ESTALE && i < IPCM__TRIES; i++) {
        struct ipcm__target target;
        uint32_t place = 0;
        rc = ipcm__open(manager, opening, &target, &place);
        if (rc < 0)
            return rc;
        target.type = type;
        made = make_handle(&target, place, out);
    }
    return made != 0 ? made : rc;
}

int ipc_manager_open(ipc_manager *manager, uint32_t type, const char *name,
                     const ipc_manager_object_options *options, ipc_any *out)
{
    ipc_manager_object_options given;
    int rc = ipc__options_read(&given, sizeof given, options);
    if (rc != 0)
        return ipcm__fail(rc, "options of another version");
    rc = check_options(&given);
    if (rc != 0)
        return rc;
    struct ipcm__opening opening = {.type = ipcm__container_type(type),
                                    .name = name};
    if (opening.type == NULL)
        return fail_type(type);
    ipc_any *list = make_options(&given, &opening.count, &opening.kept);
    if (list == NULL)
        return ipcm__fail(-ENOMEM, "no memory for %zu items", given.item_count);
    opening.options = list;
    rc = open_somewhere(manager, &opening, type, out);
    free(list);
    return rc;
}

static int open_plain(ipc_manager *manager, uint32_t type, const char *name,
                      ipc_any *out)
{
    const int rc = ipc_manager_open(manager, type, name, NULL, out);
    return rc < 0 ? rc : 0;
}

int ipc_manager_list(ipc_manager *manager, const char *name, ipc_list **out)
{
    ipc_any handle;
    const int rc = open_plain(manager, IPC_TYPE_LIST, name, &handle);
    if (rc == 0)
        *out = handle.list;
    return rc;
}

int ipc_manager_dict(ipc_manager *manager, const char *name, ipc_dict **out)
{
    ipc_any handle;
    const int rc = open_plain(manager, IPC_TYPE_DICT, name, &handle);
    if (rc == 0)
        *out = handle.dict;
    return rc;
}

int ipc_manager_set(ipc_manager *manager, const char *name, ipc_set **out)
{
    ipc_any handle;
    const int rc = open_plain(manager, IPC_TYPE_SET, name, &handle);
    if (rc == 0)
        *out = handle.set;
    return rc;
}

int ipc_manager_namespace(ipc_manager *manager, const char *name,
                          ipc_namespace **out)
{
    ipc_any handle;
    const int rc = open_plain(manager, IPC_TYPE_NAMESPACE, name, &handle);
    if (rc == 0)
        *out = handle.names;
    return rc;
}

bool ipc_manager_is_direct(const ipc_manager *manager, const ipc_any *handle)
{
    return load_acquire(&manager->arena) != NULL &&
           ipcm__is_container(handle) &&
           ipc_remote_data(handle, &ipcm__remote_container) == NULL;
}

int ipc_manager_drop(ipc_manager *manager, ipc_any *handle)
{
    if (!ipcm__is_container(handle) || handle->list == NULL)
        return ipcm__fail(-EINVAL, "it is no handle");
    const ipc_managed *there = ipc_remote_data(handle, &ipcm__remote_container);
    if (there != NULL && there->target.manager != manager)
        return ipcm__fail(-EINVAL, "the handle is another manager's");
    if (there == NULL)
        ipcm__arena_drop(manager, handle);
    ipc_any_free(handle);
    return 0;
}

int ipc_manager_remove(ipc_manager *manager, const char *name)
{
    const ipc_any arg = ipc_str(name);
    const int rc = ipcm__call_manager(manager, IPCM__OP_REMOVE, &arg, 1, NULL);
    return rc < 0 ? rc : 0;
}
