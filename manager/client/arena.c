/* The arena that the server gives out, and handles into it.
 *
 * State
 *   given   anonymous containers in it that this process has a reference to:
 *           which one, by the identity of its handles, and its number.  Under
 *           the lock of forks.  A forked child has inherited handles, but not
 *           the references: entries say whose they are. */
#include "client/client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/fork.h"
#include "fail.h"

struct given {
    struct list place;
    const ipc_manager *manager;
    uint64_t identity;
    uint64_t id;
    uint64_t epoch;
    uint64_t process;
};

static struct list given = {&given, &given};

/* ---- having it ---- */

static int ask_for_it(ipc_manager *manager, uint64_t epoch)
{
    struct ipcm__ask ask = {.request = {.op = IPCM__OP_ARENA}, .fd = -1};
    int rc = ipcm__link_ask(manager, epoch, &ask, 1, IPC_TIME_FOREVER);
    if (rc == 0)
        rc = ask.status;
    if (rc == 0) {
        ipcm__free_numbers(&ask.results);
        /* Not every server is in this machine's memory. */
        if (ask.fd >= 0 && ipc_arena_attach(ask.fd, &manager->arena) == 0)
            manager->arena_instance = ask.instance;
    }
    if (ask.fd >= 0)
        close(ask.fd);
    return rc == -EPERM || rc == -ENOSYS || rc == -ENOTSUP ? 0 : rc;
}

int ipcm__arena_fetch(ipc_manager *manager)
{
    uint64_t epoch = 0;
    uint32_t flags = 0;
    int rc = 0;
    if ((manager->flags & IPC_MANAGER_NO_ARENA) != 0 ||
        manager->address.transport != IPCM__UNIX)
        return 0;
    rc = IPCM__AGAIN;
    for (int i = 0; rc == IPCM__AGAIN && i < IPCM__TRIES; i++) {
        rc = ipcm__link_up(manager, &epoch);
        if (rc != 0)
            return rc;
        if (ipcm__link_instance(manager, epoch, &flags) == 0)
            rc = IPCM__AGAIN;
        else if ((flags & IPCM__WELCOME_ARENA) != 0)
            rc = ask_for_it(manager, epoch);
    }
    return rc == IPCM__AGAIN ? ipcm__fail_again() : rc;
}

/* ---- handles ---- */

static int find_by_name(ipc_arena *arena, uint32_t type, const char *name,
                        ipc_any *out)
{
    ipc_any found = ipc_any_with_type(type);
    int rc = -EINVAL;
    switch (type) {
    case IPC_TYPE_LIST:
        rc = ipc_arena_list(arena, name, &found.list);
        break;
    case IPC_TYPE_DICT:
        rc = ipc_arena_dict(arena, name, &found.dict);
        break;
    case IPC_TYPE_SET:
        rc = ipc_arena_set(arena, name, &found.set);
        break;
    case IPC_TYPE_NAMESPACE:
        rc = ipc_arena_namespace(arena, name, &found.names);
        break;
    default:
        break;
    }
    if (rc >= 0)
        *out = found;
    return rc < 0 ? rc : 0;
}

static int remember(const struct ipcm__target *target, const ipc_any *handle)
{
    struct given *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a handle");
    entry->manager = target->manager;
    entry->identity = ipc_any_identity(handle);
    entry->id = target->id;
    entry->epoch = target->epoch;
    entry->process = target->process;
    ipcm__forks_lock();
    list_append(&given, &entry->place);
    ipcm__forks_unlock();
    return 0;
}

int ipcm__arena_handle(struct ipcm__target *target, ipc_any *out)
{
    const ipc_manager *manager = target->manager;
    if (manager->arena == NULL || manager->arena_instance != target->instance)
        return -ENOENT;
    char name[32];
    snprintf(name, sizeof name, "#%" PRIu64, target->id);
    ipc_any handle;
    int rc = find_by_name(manager->arena, target->type,
                          target->name != NULL ? target->name : name, &handle);
    if (rc != 0)
        return rc;
    if (target->name == NULL) {
        rc = remember(target, &handle);
        if (rc != 0) {
            ipc_any_free(&handle);
            return rc;
        }
        target->process = 0; /* the reference stays */
    }
    ipcm__target_end(target);
    *out = handle;
    return 0;
}

static struct given *take_given(const ipc_manager *manager, uint64_t identity)
{
    struct given *found = NULL;
    ipcm__forks_lock();
    for (struct list *at = given.next; at != &given && found == NULL;
         at = at->next) {
        struct given *entry = list_entry(at, struct given, place);
        if (entry->manager == manager &&
            (identity == 0 || entry->identity == identity))
            found = entry;
    }
    if (found != NULL)
        list_remove(&found->place);
    ipcm__forks_unlock();
    return found;
}

void ipcm__arena_drop(ipc_manager *manager, const ipc_any *handle)
{
    struct given *entry = take_given(manager, ipc_any_identity(handle));
    if (entry == NULL)
        return;
    if (entry->process == ipcm__process())
        ipcm__link_tell(manager, entry->epoch, entry->id);
    free(entry);
}

void ipcm__arena_forget(const ipc_manager *manager)
{
    struct given *entry;
    while ((entry = take_given(manager, 0)) != NULL)
        free(entry);
}
