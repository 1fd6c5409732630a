/* Places: the two arenas of a server, containers in them by number, and what is
 * noted until a call holds. */
#ifndef IPC_MANAGER_PLACE_H
#define IPC_MANAGER_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/arena.h>
#include <ipc/dict.h>

#include "list.h"
#include "map.h"
#include "server/server.h"

/* ---- places ---- */

struct ipcm__site {
    ipc_arena *arena;         /* NULL: there is none */
    int fd;                   /* to hand out; -1 */
    ipc_dict *held;           /* number -> container */
    struct ipcm__map objects; /* identity -> object */
    struct list chores;       /* what is to be done when it can be entered */
};

int ipcm__places_open(struct ipcm__server *server);
void ipcm__places_close(struct ipcm__server *server);

/* Be in it, in a transaction.  0; IPCM__STUCK; or an error. */
int ipcm__place_enter(struct ipcm__server *server, enum ipcm__place place);

/* What was done there since holds; or did not happen.  Nowhere: 0. */
int ipcm__place_commit(struct ipcm__server *server);
void ipcm__place_abort(struct ipcm__server *server);

/* A new container for an object, held; sets handle and identity. */
int ipcm__place_make(struct ipcm__object *object);

/* Keep it alive, from inside; and no more, from anywhere. */
int ipcm__place_hold(struct ipcm__object *object);
void ipcm__place_release(struct ipcm__object *object);

/* Its arena has no name for it any more, but holds it.  Inside. */
int ipcm__place_unname(struct ipcm__object *object);

/* The handle is that of ..._new(): have one that is closed instead, from
 * inside, when it is held. */
int ipcm__place_weaken(struct ipcm__object *object, ipc_any *owned);

/* Chores that are left, and what is watched in the arena that is given out. */
void ipcm__places_turn(struct ipcm__server *server);

/* ---- containers by number ---- */

/* Numbers to handles, which stay the objects'.  *out is args, or memory that
 * is good until the next call.  -ESTALE, -EXDEV. */
int ipcm__numbers_to_handles(struct ipcm__server *server,
                             const struct ipcm__object *into,
                             const ipc_any *args, size_t count,
                             const ipc_any **out);

/* Handles to numbers, in place: each a reference more of the session, or, if
 * that is NULL, none.  owned: they are those of ..._new().  An error: what is
 * left are nils. */
int ipcm__handles_to_numbers(struct ipcm__session *session,
                             const struct ipcm__object *from, ipc_anys *values,
                             bool owned);

/* ---- notes ----
 *
 * What is to be kept, and to be undone, when the call that is being done turns
 * out well, or not. */

struct ipcm__note {
    struct ipcm__object *object;
    uint32_t op;         /* 0: it was made */
    const ipc_any *args; /* stay until the call is over */
    size_t count;
    ipc_anys owned; /* or are these; containers are numbers */
};

struct ipcm__notes {
    struct ipcm__note *items;
    size_t count;
    size_t room;
    struct ipcm__object **referred; /* got a reference of the session */
    size_t referred_count;
    size_t referred_room;
    struct ipcm__object *named; /* was made, and has a name */
};

int ipcm__note_made(struct ipcm__object *object, const ipc_any *options,
                    size_t count);
int ipcm__note_done(struct ipcm__object *object, uint32_t op,
                    const ipc_any *args, size_t count);

/* The args are moved. */
int ipcm__note_moved(struct ipcm__object *object, uint32_t op, ipc_anys *args);
int ipcm__note_referred(struct ipcm__object *object);

/* Hand them to the keeper; or undo what was referred. */
void ipcm__notes_keep(struct ipcm__server *server);
void ipcm__notes_undo(struct ipcm__server *server,
                      struct ipcm__session *session);
void ipcm__notes_free(struct ipcm__server *server);

/* A copy; strings end with a zero byte.  -ENOMEM. */
int ipcm__any_copy(const ipc_any *any, ipc_any *out);

/* The part of a container's call that batches need too: args to handles, the
 * call, results to numbers, notes.  From inside. */
int ipcm__container_do(struct ipcm__object *object, struct ipcm__call *call);

/* What a call on a durable container has done, as notes. */
int ipcm__effects(struct ipcm__object *object, struct ipcm__call *call,
                  int status);

#endif
