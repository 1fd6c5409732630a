/* Places: the two arenas, and how one is in them.
 *
 * State
 *   inside   the arena whose transaction is open: that of the call being done
 *   held     a dict of each arena, that nothing there names: what has a number
 *            and a name or a reference is in it, so handles can be weak
 *   chores   what was let go while the arena that is given out could not be
 *            entered: done first when it can be
 *
 * Order: a call enters, changes, has its reply encoded, and commits; or aborts,
 * and has done nothing.  So no reply is too long too late.
 *
 * Death: of somebody inside the arena that is given out: libipc takes over.  A
 * wait of 1 ms may not be enough to be sure of it, so the death of a session's
 * process makes the next wait a longer one, once. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"
#include "server/containers.h"
#include "server/core.h"

#define WAIT_MS          1
#define WAIT_THOROUGH_MS 120 /* longer than libipc's re-check */
#define LOOK_AGAIN_MS    10
#define ARENA_NAME_MAX   255

struct chore {
    struct list of_site;
    uint64_t held; /* to be taken out of the dict; 0: none */
    char *name;    /* to be taken off; NULL: none */
};

/* ---- opening ---- */

static int open_site(struct ipcm__server *server, enum ipcm__place place,
                     uint64_t bytes, const char *label)
{
    struct ipcm__site *site = &server->sites[place];
    ipc_arena_options options = IPC_ARENA_OPTIONS_INIT;
    options.max_bytes = bytes;
    options.label = label;
    int fd;
    int rc = ipc_arena_create_fd(&options, &fd, &site->arena);
    if (rc < 0)
        return rc;
    site->fd = fd;
    return ipc_dict_new(site->arena, &site->held);
}

static void end_chore(struct chore *chore)
{
    list_remove(&chore->of_site);
    free(chore->name);
    free(chore);
}

static void close_site(struct ipcm__site *site)
{
    while (!list_is_empty(&site->chores))
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the freed are in no list */
        end_chore(list_entry(site->chores.next, struct chore, of_site));
    ipcm__map_free(&site->objects);
    /* Not ipc_dict_free(), which would wait for who has stopped inside: the
     * memory goes with the mapping; only the handle is ours, and small. */
    if (site->arena != NULL) {
        if (ipc_atomic_begin_nowait(site->arena) == 0) {
            (void)ipc_dict_free(site->held);
            (void)ipc_atomic_commit(site->arena);
        }
        (void)ipc_arena_close(site->arena);
    }
    if (site->fd >= 0)
        close(site->fd);
    site->arena = NULL;
    site->fd = -1;
}

/* Who has mapped it is to notice our end; where the kernel does not tell them,
 * it is not given out. */
static int open_given(struct ipcm__server *server)
{
    struct ipcm__site *site = &server->sites[IPCM__PLACE_GIVEN];
    int rc = open_site(server, IPCM__PLACE_GIVEN, server->limits->arena_bytes,
                       "manager");
    if (rc == 0)
        rc = ipc_arena_own(site->arena);
    if (rc != -ENOTSUP)
        return rc;
    ipcm__log(server, IPC_MANAGER_LOG_WARNING, "nobody is given the arena: %s",
              ipc_error_detail());
    close_site(site);
    return 0;
}

static void look_again(struct ipcm__timer *timer)
{
    struct ipcm__server *server =
        list_entry(timer, struct ipcm__server, look_again);
    for (struct list *at = server->sessions.next; at != &server->sessions;
         at = at->next) {
        struct ipcm__session *session =
            list_entry(at, struct ipcm__session, of_server);
        for (struct list *in = session->waiting.next; in != &session->waiting;
             in = in->next) {
            struct ipcm__call *call =
                list_entry(in, struct ipcm__call, of_session);
            if (call->object->place == IPCM__PLACE_GIVEN)
                ipcm__object_ring(call->object);
        }
    }
}

int ipcm__places_open(struct ipcm__server *server)
{
    for (size_t i = 0; i < 3; i++) {
        server->sites[i].fd = -1;
        list_init(&server->sites[i].chores);
    }
    int rc = ipcm__timer_make(&server->timers, &server->look_again, look_again);
    if (rc == 0)
        rc = open_site(server, IPCM__PLACE_OWN, server->limits->memory_bytes,
                       "manager-own");
    if (rc == 0 && (server->config->flags & IPC_MANAGER_NO_ARENA) == 0)
        rc = open_given(server);
    return rc;
}

void ipcm__places_close(struct ipcm__server *server)
{
    ipcm__timer_end(&server->timers, &server->look_again);
    for (size_t i = 0; i < 3; i++)
        if (server->sites[i].chores.next != NULL)
            close_site(&server->sites[i]);
}

/* ---- chores ---- */

static void do_chore(struct ipcm__server *server, struct ipcm__site *site,
                     const struct chore *chore)
{
    int rc = 0;
    if (chore->name != NULL)
        (void)ipc_arena_remove(site->arena, chore->name);
    if (chore->held != 0)
        rc = ipc_dict_pop(site->held, ipc_u64(chore->held), NULL);
    if (rc < 0 && rc != -ENOENT)
        ipcm__log(server, IPC_MANAGER_LOG_ERROR,
                  "an object stays in the arena for good: %s",
                  ipc_error_detail());
}

/* In a transaction of their own, as that of the call may be aborted. */
static int do_chores(struct ipcm__server *server, struct ipcm__site *site)
{
    for (struct list *at = site->chores.next; at != &site->chores;
         at = at->next)
        do_chore(server, site, list_entry(at, struct chore, of_site));
    const int rc = ipc_atomic_commit(site->arena);
    while (rc == 0 && !list_is_empty(&site->chores))
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the freed are in no list */
        end_chore(list_entry(site->chores.next, struct chore, of_site));
    return rc;
}

static void leave_chore(struct ipcm__server *server, struct ipcm__site *site,
                        uint64_t held, const char *name)
{
    struct chore *chore = calloc(1, sizeof *chore);
    char *copy = chore != NULL && name != NULL ? strdup(name) : NULL;
    if (chore == NULL || (name != NULL && copy == NULL)) {
        free(chore);
        ipcm__log(server, IPC_MANAGER_LOG_ERROR,
                  "no memory: an object stays in the arena for good");
        return;
    }
    chore->held = held;
    chore->name = copy;
    list_append(&site->chores, &chore->of_site);
}

/* ---- being inside ---- */

static int begin(struct ipcm__server *server, struct ipcm__site *site,
                 enum ipcm__place place)
{
    if (place == IPCM__PLACE_OWN)
        return ipc_atomic_begin(site->arena);
    if (server->blocked)
        return IPCM__STUCK;
    int rc = ipc_atomic_begin_until(site->arena, ipc_after_ms(WAIT_MS));
    if (rc == -ETIMEDOUT && server->thorough) {
        server->thorough = false;
        rc =
            ipc_atomic_begin_until(site->arena, ipc_after_ms(WAIT_THOROUGH_MS));
    }
    if (rc != -ETIMEDOUT)
        return rc;
    server->blocked = true;
    return IPCM__STUCK;
}

int ipcm__place_enter(struct ipcm__server *server, enum ipcm__place place)
{
    struct ipcm__site *site = &server->sites[place];
    if (server->inside == place)
        return 0;
    if (site->arena == NULL)
        return ipcm__fail(-ENOTSUP, "the server has no such arena");
    int rc = begin(server, site, place);
    if (rc == 0 && !list_is_empty(&site->chores)) {
        rc = do_chores(server, site);
        if (rc == 0)
            rc = begin(server, site, place);
    }
    if (rc == 0)
        server->inside = place;
    return rc;
}

int ipcm__place_commit(struct ipcm__server *server)
{
    const struct ipcm__site *site = &server->sites[server->inside];
    if (server->inside == IPCM__PLACE_SERVER)
        return 0;
    server->inside = IPCM__PLACE_SERVER;
    return ipc_atomic_commit(site->arena);
}

void ipcm__place_abort(struct ipcm__server *server)
{
    const struct ipcm__site *site = &server->sites[server->inside];
    if (server->inside == IPCM__PLACE_SERVER)
        return;
    server->inside = IPCM__PLACE_SERVER;
    (void)ipc_atomic_abort(site->arena);
}

/* ---- keeping alive ---- */

int ipcm__place_hold(struct ipcm__object *object)
{
    struct ipcm__site *site = &object->server->sites[object->place];
    if (object->held || object->entitled)
        return 0;
    const int rc =
        ipc_dict_set(site->held, ipc_u64(object->id), object->handle);
    if (rc == 0)
        object->held = true;
    return rc;
}

/* What the arena calls it. */
static const char *arena_name(const struct ipcm__object *object, char text[32])
{
    if (object->name != NULL)
        return object->name;
    (void)snprintf(text, 32, "#%" PRIu64, object->id);
    return text;
}

void ipcm__place_release(struct ipcm__object *object)
{
    struct ipcm__server *server = object->server;
    struct ipcm__site *site = &server->sites[object->place];
    char text[32];
    const struct chore chore = {
        .held = object->held ? object->id : 0,
        .name = object->entitled ? (char *)arena_name(object, text) : NULL};
    object->held = false;
    object->entitled = false;
    if (chore.held == 0 && chore.name == NULL)
        return;
    if (object->place == IPCM__PLACE_OWN || server->inside == object->place)
        do_chore(server, site, &chore);
    else
        leave_chore(server, site, chore.held, chore.name);
}

int ipcm__place_unname(struct ipcm__object *object)
{
    struct ipcm__site *site = &object->server->sites[object->place];
    if (!object->entitled)
        return 0;
    object->entitled = false;
    const int rc = ipcm__place_hold(object);
    if (rc < 0) {
        object->entitled = true;
        return rc;
    }
    (void)ipc_arena_remove(site->arena, object->name);
    return 0;
}

int ipcm__place_weaken(struct ipcm__object *object, ipc_any *owned)
{
    struct ipcm__site *site = &object->server->sites[object->place];
    ipc_any weak;
    const int rc = ipc_dict_get(site->held, ipc_u64(object->id), &weak);
    if (rc < 0)
        return rc;
    (void)ipcm__container_free(owned);
    object->handle = weak;
    return 0;
}

/* ---- new ones ---- */

static int make_owned(struct ipcm__object *object, ipc_arena *arena)
{
    ipc_any owned;
    int rc = ipcm__container_new(arena, object->kind->type, &owned);
    if (rc < 0)
        return rc;
    object->handle = owned;
    rc = ipcm__place_hold(object);
    if (rc == 0)
        rc = ipcm__place_weaken(object, &owned);
    if (rc < 0) {
        object->handle = ipc_nil();
        (void)ipcm__container_free(&owned);
    }
    return rc;
}

int ipcm__place_make(struct ipcm__object *object)
{
    struct ipcm__site *site = &object->server->sites[object->place];
    char text[32];
    int rc;
    if (object->place == IPCM__PLACE_GIVEN) {
        rc = ipcm__container_named(site->arena, object->kind->type,
                                   arena_name(object, text), &object->handle);
        object->entitled = rc == 0;
    } else {
        rc = make_owned(object, site->arena);
    }
    if (rc < 0)
        return rc;
    object->identity = ipc_any_identity(&object->handle);
    /* Somebody may have put what has this name into a container before. */
    if (ipcm__map_get(&site->objects, object->identity) == NULL)
        rc = ipcm__map_put(&site->objects, object->identity, object);
    if (rc < 0) {
        ipcm__place_release(object);
        ipc_any_free(&object->handle);
    }
    return rc;
}

/* ---- every turn ---- */

void ipcm__places_turn(struct ipcm__server *server)
{
    struct ipcm__site *site = &server->sites[IPCM__PLACE_GIVEN];
    if (!list_is_empty(&site->chores) && !server->blocked &&
        ipcm__place_enter(server, IPCM__PLACE_GIVEN) == 0)
        (void)ipcm__place_commit(server);
    if ((server->watched_there != 0 || !list_is_empty(&site->chores)) &&
        server->look_again.place == 0)
        ipcm__timer_set(&server->timers, &server->look_again,
                        server->now + LOOK_AGAIN_MS * (int64_t)1000000);
}
