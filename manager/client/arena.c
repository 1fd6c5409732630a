/* The arena that the server gives out, and handles into it.
 *
 * State
 *   arena, arena_instance, former   of a manager.  A server's arena ends with
 *           the server (ipc_arena_own()): every call on what is in it is -ESTALE
 *           from then on.  The next server has another one, which is fetched
 *           when something in it is opened.  The old one stays mapped until the
 *           manager is closed, as handles may point into it.
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

#include "base/atomic.h"
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

/* Handles into it may be open still, and say -ESTALE. */
struct ipcm__former {
    struct ipcm__former *next;
    ipc_arena *arena;
};

/* ---- having it ---- */

/* Keep what that server has handed out, if anything (-1): once, however many
 * threads have asked for it. */
static int adopt(ipc_manager *manager, int fd, uint64_t instance)
{
    struct ipcm__former *former = calloc(1, sizeof *former);
    if (former == NULL)
        return ipcm__fail(-ENOMEM, "no memory for an arena");
    ipcm__forks_lock();
    if (manager->arena_instance != instance) {
        ipc_arena *arena = NULL;
        /* Not every server is in this machine's memory. */
        if (fd >= 0 && ipc_arena_attach(fd, &arena) != 0)
            arena = NULL;
        former->arena = manager->arena;
        manager->arena_instance = instance;
        store_release(&manager->arena, arena);
    }
    if (former->arena != NULL) {
        former->next = manager->former;
        manager->former = former;
        former = NULL;
    }
    ipcm__forks_unlock();
    free(former);
    return 0;
}

/* -EBUSY: it is on its way to another thread, over the same connection. */
static int ask_for_it(ipc_manager *manager, uint64_t epoch, uint64_t instance)
{
    int rc = -EBUSY;
    int fd = -1;
    for (int i = 0; rc == -EBUSY && i < IPCM__TRIES; i++) {
        struct ipcm__ask ask = {.request = {.op = IPCM__OP_ARENA}, .fd = -1};
        rc = ipcm__link_ask(manager, epoch, &ask, 1, IPC_TIME_FOREVER);
        if (rc == 0)
            rc = ask.status;
        if (rc == 0) {
            ipcm__free_numbers(&ask.results);
            instance = ask.instance;
            fd = ask.fd;
        } else if (ask.fd >= 0) {
            close(ask.fd);
        }
    }
    if (rc == 0 || rc == -EPERM || rc == -ENOSYS || rc == -ENOTSUP)
        rc = adopt(manager, fd, instance);
    if (fd >= 0)
        close(fd);
    return rc;
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
        const uint64_t instance = ipcm__link_instance(manager, epoch, &flags);
        if (instance == 0)
            rc = IPCM__AGAIN;
        else if ((flags & IPCM__WELCOME_ARENA) != 0)
            rc = ask_for_it(manager, epoch, instance);
        else
            rc = adopt(manager, -1, instance);
    }
    return rc == IPCM__AGAIN ? ipcm__fail_again() : rc;
}

/* ---- handles ---- */

/* The arena of the target's server: *known is false if that was not asked for
 * it yet. */
static ipc_arena *arena_of(const struct ipcm__target *target, bool *known)
{
    const ipc_manager *manager = target->manager;
    ipcm__forks_lock();
    *known = manager->arena_instance == target->instance;
    ipc_arena *arena = *known ? manager->arena : NULL;
    ipcm__forks_unlock();
    return arena;
}

static int find_arena(const struct ipcm__target *target, ipc_arena **out)
{
    bool known = false;
    *out = arena_of(target, &known);
    if (known)
        return 0;
    const int rc = ipcm__arena_fetch(target->manager);
    *out = rc == 0 ? arena_of(target, &known) : NULL;
    return rc;
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
    char name[32];
    ipc_arena *arena = NULL;
    ipc_any handle;
    int rc = find_arena(target, &arena);
    if (rc != 0 || arena == NULL)
        return rc != 0 ? rc : 1;
    snprintf(name, sizeof name, "#%" PRIu64, target->id);
    /* Its name may have been removed since the server has answered: then it is
     * the reference that we have of it.  Made anew by that name, here, it would
     * be another one, of which the server knows nothing. */
    rc = ipc_arena_find(arena, target->name != NULL ? target->name : name,
                        target->type, &handle);
    if (rc != 0)
        return rc == -ENOENT ? 1 : rc;
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

static void forget_given(const ipc_manager *manager)
{
    struct given *entry;
    while ((entry = take_given(manager, 0)) != NULL)
        free(entry);
}

/* ---- the end ---- */

int ipcm__arenas_close(ipc_manager *manager)
{
    while (manager->former != NULL) {
        struct ipcm__former *former = manager->former;
        const int rc = ipc_arena_close(former->arena);
        if (rc != 0)
            return rc;
        manager->former = former->next;
        free(former);
    }
    const int rc = ipc_arena_close(manager->arena);
    if (rc != 0)
        return rc;
    store_release(&manager->arena, NULL);
    forget_given(manager);
    return 0;
}
