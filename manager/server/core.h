/* Core: what the files of the server know of each other, and kinds need not.
 *
 *     loop.c        epoll, turns
 *     door.c        who comes in; visitor.c: how many of one peer, and how often
 *                   they have failed
 *     connection.c  bytes in (_in.c), bytes out (_out.c); greet.c: the
 *                   handshake
 *     request.c     one request: find what it is for, call it, answer it
 *     office.c      operations on the manager; open.c: OPEN; batch.c: BATCH
 *     waiting.c     calls that wait, and what rings them
 *     session.c     sessions; answers.c, references.c: what they have
 *     object.c      objects by number; names.c: by name
 *     place.c       the two arenas; numbers.c: containers in them by number
 *     notes.c       what is to be kept once the call is done
 */
#ifndef IPC_MANAGER_CORE_H
#define IPC_MANAGER_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"
#include "map.h"
#include "server/connection.h"
#include "server/keeper.h"
#include "server/place.h"
#include "server/server.h"
#include "server/timer.h"

#define IPCM__DOORS_MAX 8

/* ---- requests ---- */

#define IPCM__STUCK   0x10010 /* the arena is held by somebody: again, later */
#define IPCM__SILENCE 0x10011 /* it was answered already */

/* One request as it came, without length.  0; IPCM__STUCK nothing was done, it
 * is to be passed again; or an error: break the connection. */
int ipcm__request_take(struct ipcm__connection *connection, const void *data,
                       size_t bytes);

/* Call the object, and answer; also again.  0 it was answered, IPCM__WAITS,
 * _WAITS_ALL, or IPCM__STUCK. */
int ipcm__call_do(struct ipcm__call *call);

/* Answer the one that is being done: status, or an error with its detail.  What
 * was begun for it holds then, or is undone. */
void ipcm__call_answer(struct ipcm__call *call, int status);

/* Answer another one, which waits: an error, with its detail. */
void ipcm__call_refuse(struct ipcm__call *call, int error);

/* End results: containers in them are numbers. */
void ipcm__results_end(ipc_anys *results);

/* Look at the arguments' limits. */
int ipcm__request_limits(const struct ipcm__server *server,
                         const struct ipcm__request *request);

/* Operations on object 0. */
int ipcm__office_call(struct ipcm__call *call);
int ipcm__office_open(struct ipcm__call *call);
int ipcm__office_stats(struct ipcm__call *call);
int ipcm__office_debug(struct ipcm__call *call);
int ipcm__batch_do(struct ipcm__call *call);

/* ---- waiting ---- */

/* It waits from now on: a copy of it is made, with all that it needs. */
int ipcm__wait_begin(struct ipcm__call *call);

/* It does not wait any more: withdrawn from its kind, and freed. */
void ipcm__wait_withdraw(struct ipcm__call *call);

/* When a request is given up; at_once: it does not wait. */
int ipcm__wait_deadline(struct ipcm__call *call);

/* Call again what waits for what was rung. */
void ipcm__wait_rung(struct ipcm__server *server);

/* The object is gone: -ESTALE for all. */
void ipcm__wait_gone(struct ipcm__object *object);

/* The object's timer: after every call of its kind. */
void ipcm__object_retime(struct ipcm__object *object);

/* ---- sessions ---- */

int ipcm__session_new(struct ipcm__server *server, struct ipcm__session **out);

/* The one of that id that this peer may have; NULL. */
struct ipcm__session *ipcm__session_find(struct ipcm__server *server,
                                         const uint8_t id[IPCM__SESSION_BYTES],
                                         const struct ipcm__peer *peer);

/* It has this connection from now on; the peer's pidfd is the session's. */
void ipcm__session_join(struct ipcm__session *session,
                        struct ipcm__connection *connection);

/* Its connection is lost. */
void ipcm__session_leave(struct ipcm__session *session);

/* How long it outlives its connection. */
uint32_t ipcm__session_grace_ms(const struct ipcm__session *session);

/* ---- answers ---- */

int ipcm__answers_new(struct ipcm__server *server, struct ipcm__answers **out);
void ipcm__answers_free(struct ipcm__answers *answers);

/* NULL: it is known that it was done, but no longer what came of it. */
int ipcm__answers_add(struct ipcm__answers *answers, uint64_t id,
                      const void *frame, size_t bytes);

/* 1: it was done, and that is the answer (or NULL); 0: it was not. */
int ipcm__answers_find(const struct ipcm__answers *answers, uint64_t id,
                       const void **frame, size_t *bytes);

/* ---- references ---- */

int ipcm__references_new(struct ipcm__references **out);

/* One more.  -EDQUOT, -ENOMEM. */
int ipcm__session_refer(struct ipcm__session *session,
                        struct ipcm__object *object);

/* Give n back, or as many as there are. */
void ipcm__session_unrefer(struct ipcm__session *session,
                           struct ipcm__object *object, uint64_t n);
void ipcm__references_end(struct ipcm__session *session);

/* ---- objects ---- */

struct ipcm__plan {
    const struct ipcm__kind *kind;
    const char *type; /* its name; stays */
    uint64_t id;      /* 0: a new one */
    const char *name; /* NULL: none */
    size_t name_bytes;
    uint32_t durability;
    enum ipcm__place place;
    const ipc_any *args; /* of OPEN, behind type and name */
    size_t count;
};

/* Make one.  IPCM__STUCK: its arena cannot be entered. */
int ipcm__object_make(struct ipcm__server *server,
                      const struct ipcm__plan *plan, struct ipcm__object **out);

/* One of a container that was met in an arena.  The handle is moved. */
int ipcm__object_meet(struct ipcm__server *server, enum ipcm__place place,
                      uint32_t durability, ipc_any *handle,
                      struct ipcm__object **out);

/* A number that no object has, or will have. */
uint64_t ipcm__object_next_id(struct ipcm__server *server);

/* Has it neither name nor references?  Then it goes, or is loose. */
void ipcm__object_look(struct ipcm__object *object);

/* Loose ones that are no more: look at so many. */
void ipcm__objects_sweep(struct ipcm__server *server, size_t most);

/* The name is taken off. */
int ipcm__object_unname(struct ipcm__object *object);
bool ipcm__object_is_alive(const struct ipcm__object *object);
void ipcm__objects_free(struct ipcm__server *server);

/* ---- kinds ---- */

/* A type that was registered, under a name that stays; NULL. */
const char *ipcm__registered_name(const char *type, size_t bytes);

const struct ipcm__kind *ipcm__kind_of(const char *type, size_t bytes);
const struct ipcm__kind *ipcm__kind_of_container(uint32_t type);

/* ---- names ---- */

struct ipcm__object *ipcm__name_find(struct ipcm__server *server,
                                     const char *name, size_t bytes);

/* 1 to key_bytes bytes, no '#' first, no zero byte.  -EINVAL. */
int ipcm__name_check(const struct ipcm__server *server, const char *name,
                     size_t bytes);
int ipcm__name_add(struct ipcm__object *object, const char *name, size_t bytes);
void ipcm__name_remove(struct ipcm__object *object);

/* ---- the server ---- */

struct ipcm__figures {
    uint64_t requests;
    uint64_t repeated;
    uint64_t accepted;
    uint64_t refused_key;
    uint64_t refused_limit;
    uint64_t broken;
    uint64_t slow;
    uint64_t bytes_in;
    uint64_t bytes_out;
};

struct ipcm__server {
    const struct ipcm__config *config;
    const ipc_manager_limits *limits; /* in config */
    struct ipcm__keeper *keeper;
    struct ipcm__tls *tls;
    struct ipcm__decoder *decoder;
    struct ipcm__decoder *replies; /* of bare sessions */
    ipc_deadline now;
    ipc_deadline began;
    uint64_t instance;
    uint8_t hash_key[16];

    int epoll;                  /* -1: bare */
    struct epoll_event *events; /* of this turn */
    int event_count;
    struct ipcm__watch stop;
    bool stopping;
    bool draining; /* nothing more is read */
    bool dirty;    /* replies wait for the keeper's commit */
    int failed;    /* -EIO */

    struct ipcm__entrance entrances[IPCM__DOORS_MAX];
    const char *addresses[IPCM__DOORS_MAX];
    size_t entrance_count;
    int spare_fd; /* to have one left when there are none */
    struct ipcm__timer reopen;
    struct ipcm__map visitors;

    struct list connections;
    uint64_t connection_count;
    struct list ready;
    struct list sending;
    struct list gone; /* connections */

    struct list sessions;
    struct ipcm__map session_ids;
    uint64_t session_count;
    uint32_t session_number;
    uint64_t waiting_count;

    struct ipcm__map objects;
    struct list object_list;
    struct ipcm__map names;
    struct list name_list;
    struct list loose;
    struct list rung;
    uint64_t object_number; /* of the last one */
    uint64_t charged;       /* of limits.queue_bytes */
    struct ipcm__timer sweep;

    struct ipcm__site sites[3]; /* by enum ipcm__place */
    enum ipcm__place inside;    /* SERVER: in none */
    bool blocked;   /* the arena could not be entered in this turn */
    bool thorough;  /* somebody died: it is worth a longer wait, once */
    uint64_t stuck; /* connections whose request waits for it */
    uint64_t watched_there;
    uint64_t arena_used; /* when it was looked at last */
    struct ipcm__timer look_again;
    ipc_any *handles; /* of arguments */
    size_t handle_room;

    struct ipcm__notes notes;
    struct ipcm__timers timers;
    struct ipcm__figures figures;
    struct {
        ipc_deadline second;
        uint32_t lines;
        uint32_t dropped;
    } log;
};

/* One turn; waits for something to happen until then at most. */
int ipcm__loop_turn(struct ipcm__server *server, ipc_deadline until);

/* What every turn ends with.  -EIO. */
int ipcm__loop_finish(struct ipcm__server *server);

/* Bury connections that are gone. */
void ipcm__loop_bury(struct ipcm__server *server);

/* No more is taken; what is under way is answered, for drain_ms at most. */
void ipcm__loop_drain(struct ipcm__server *server);

/* A keyed hash. */
uint64_t ipcm__hash(const struct ipcm__server *server, const void *data,
                    size_t bytes);

#endif
