/* Server: one thread with an epoll loop.  Its parts, and what they promise each
 * other:
 *
 *     loop         epoll, timers, doors, signals to stop; turns
 *     connection   bytes to requests, replies to bytes; handshake; pressure
 *     session      who somebody is, what he has, his last answers
 *     object       names, numbers, references; the two arenas
 *     kinds        what objects do: containers, value, array, queue, lock, ...
 *     keeper       what is durable: rows for the store, held-back replies
 *
 * A turn: wait; accept; read what came and do at most limits.turn requests a
 * connection, round robin; look again at waiting calls that may go on; let
 * timers run out; commit the store; send.  Nothing else waits, ever: not for
 * a client, and not for an arena (see below).
 *
 * The arena that is given out is locked by its users too, and one of them may
 * be stopped inside.  So it is entered by ipc_atomic_begin_until() with a
 * deadline of 1 ms, once a turn at most, and what needs it is done together; if
 * that fails its requests are tried again each turn until limits.reply_ms, and
 * all others go on.  Replies to what was done in it go out after its commit.
 * Changes in it by those who have mapped it are not announced: calls that watch
 * something there are looked at every 10 ms while there are any.  The second
 * arena is a memfd too (not family memory: nobody else is to have it), and is
 * never waited for.
 *
 * Deaths.  The pidfd of a Unix peer is in the epoll set: readable is the end of
 * its sessions, also if a forked child keeps the socket open.
 *
 * Memory of requests: strings point into the connection's input buffer, and are
 * good until the call returns.  What waits copies them. */
#ifndef IPC_MANAGER_SERVER_H
#define IPC_MANAGER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/any.h>
#include <ipc/managed.h>
#include <ipc/manager.h>
#include <ipc/time.h>

#include "list.h"
#include "net/net.h"
#include "server/timer.h"
#include "store/store.h"
#include "wire/handshake.h"
#include "wire/wire.h"

struct ipcm__server;
struct ipcm__session;
struct ipcm__object;
struct ipcm__call;
struct ipcm__kind;

/* ==== for who starts one: client/start.c, ipc_manager_serve() ==== */

/* Options with every default filled in, and looked at.  Owns copies of all that
 * it points to, but for the registered types. */
struct ipcm__config {
    uint32_t flags;
    struct ipcm__address addresses[8];
    size_t address_count;
    bool is_chosen; /* the address is ours: embedded, and none was given */
    uint8_t key[IPC_MANAGER_KEY_MAX];
    size_t key_bytes;
    char *store;
    uint32_t durability;
    uint32_t snapshot_bytes;
    char *tls_certificate;
    char *tls_key;
    char *tls_client_ca;
    uint32_t *uids;
    size_t uid_count;
    ipc_manager_limits limits;
    struct ipcm__wire_limits wire;
    void (*log)(void *arg, int level, const char *line);
    int (*ready)(void *arg, const char *const *addresses, size_t count);
    void *arg;
    int stop_fd;     /* -1: none */
    int32_t starter; /* its pid may shut down; 0: nobody */
};

/* embedded: for ipc_manager_start(): addresses and key may be missing. */
int ipcm__config_read(const ipc_manager_options *options, bool embedded,
                      struct ipcm__config *out);

/* What its addresses need. */
bool ipcm__config_has_tls(const struct ipcm__config *config);
uint32_t ipcm__config_door_flags(const struct ipcm__config *config);

/* Wipes the key. */
void ipcm__config_free(struct ipcm__config *config);

/* Open the store, load it, listen: everything that can fail.  The config is the
 * caller's and stays. */
int ipcm__server_open(const struct ipcm__config *config,
                      struct ipcm__server **out);

/* Until it is to stop; then drains, closes store and doors.  0 or -EIO. */
int ipcm__server_run(struct ipcm__server *server);
void ipcm__server_free(struct ipcm__server *server);

/* Where it listens, as text.  Owns: the server. */
size_t ipcm__server_addresses(const struct ipcm__server *server,
                              const char *const **out);

/* The types that were registered in this process; NULL: no such. */
const ipc_manager_type_ops *ipcm__registered(const char *type, size_t bytes);

/* ==== between the parts ==== */

/* ---- sessions ---- */

struct ipcm__session {
    uint8_t id[IPCM__SESSION_BYTES];
    uint32_t number; /* for people, from 1 */
    struct ipcm__peer peer;
    char label[24];
    struct ipcm__connection *connection; /* NULL: in its grace */
    ipc_deadline grace;
    uint64_t highest;              /* id of its requests */
    struct list held;              /* ipcm__hold: what it has */
    struct list waiting;           /* ipcm__call */
    struct ipcm__answers *answers; /* NULL: it cannot come back */
    struct ipcm__references *references;

    /* The server's own. */
    struct ipcm__server *server;
    struct list of_server;
    struct ipcm__timer timer; /* its grace */
    struct ipcm__watch *process;
    uint32_t waiting_count;
    bool may_map;  /* the arena */
    bool restored; /* from the store, and nobody has come back yet */
    bool stored;   /* answers of it are in the store */
};

/* What a session has of an object, beside references: a lock, permits, leases,
 * a place in a barrier.  Allocated by the kind.  When the session ends the kind
 * hears of every one. */
struct ipcm__hold {
    struct list of_session;
    struct list of_object;
    struct ipcm__session *session;
    struct ipcm__object *object;
};

void ipcm__hold_add(struct ipcm__hold *hold, struct ipcm__session *session,
                    struct ipcm__object *object);
void ipcm__hold_remove(struct ipcm__hold *hold); /* not freed */

/* ---- objects ---- */

/* Where a container lies. */
enum ipcm__place {
    IPCM__PLACE_SERVER = 0, /* it is no container: in our own memory */
    IPCM__PLACE_GIVEN = 1,  /* the arena that is given out */
    IPCM__PLACE_OWN = 2     /* the second one */
};

struct ipcm__object {
    uint64_t id;
    const struct ipcm__kind *kind;
    struct ipcm__server *server;
    char *name;          /* NULL: none */
    uint64_t references; /* of all sessions */
    uint64_t bytes;      /* counted against limits.queue_bytes */
    uint32_t durability; /* never DEFAULT */
    enum ipcm__place place;
    bool gone; /* removed: what waits is answered -ESTALE */
    struct list holds;
    struct list waiting; /* ipcm__call, in the order of coming */
    ipc_any handle;      /* a container's; else nil */
    void *state;         /* the kind's own */

    /* The server's own. */
    struct list of_server; /* conditions before all others */
    const char *type;      /* kind->name, or what was registered */
    size_t name_bytes;
    struct ipcm__object *next_of_name; /* names with the same hash */
    uint64_t identity;                 /* of a container, in its arena */
    struct list of_names;              /* in the order of coming */
    struct list of_rung;
    struct list of_loose;     /* durable, and held by containers only */
    struct ipcm__timer timer; /* kind->next */
    bool held;                /* a container: we keep it alive */
    bool entitled;            /* and its arena has a name for it */
    bool former;              /* while loading: it has gone since */
};

/* The time of this turn: what leases and deadlines are counted from. */
ipc_deadline ipcm__now(const struct ipcm__server *server);

/* Another object needs it (a condition's lock): as a reference of a session. */
void ipcm__object_refer(struct ipcm__object *object);
void ipcm__object_unrefer(struct ipcm__object *object);

/* By number; NULL: -ESTALE. */
struct ipcm__object *ipcm__object_find(struct ipcm__server *server,
                                       uint64_t id);

/* Take bytes of limits.queue_bytes for an object, or give them back (negative).
 * -ENOSPC with a detail. */
int ipcm__object_charge(struct ipcm__object *object, int64_t bytes);

/* It has changed, and what waits for it may go on: looked at before the turn
 * ends.  Of kinds: also of another object (a condition's lock). */
void ipcm__object_ring(struct ipcm__object *object);

/* ---- calls ---- */

#define IPCM__WAITS     0x10000 /* result of kind->call */
#define IPCM__WAITS_ALL 0x10001 /* and so do all behind it */

/* A request on its way, or waiting. */
struct ipcm__call {
    struct ipcm__session *session;
    struct ipcm__object *object;
    struct ipcm__request request;
    struct list of_session;
    struct list of_object;
    ipc_deadline deadline; /* of those that wait: set by who has called kind */
    uint32_t attempts;     /* 0: the first time */
    bool expired;          /* the deadline has passed: the last time */
    uint64_t scratch[2];   /* the kind's own between attempts, at first 0 */

    /* Set by the kind, for a result of 0 or more. */
    ipc_anys results;

    /* The server's own. */
    struct ipcm__timer timer;    /* the deadline */
    bool at_once;                /* ns was 0 */
    bool made;                   /* GET_OR_NEW: it is new */
    void *copied;                /* it waits: its arguments */
    struct ipcm__reply *replies; /* of a BATCH */
    size_t reply_count;
};

/* One more result; the value is moved: strings must be from malloc(), and are
 * freed if it fails.  -ENOMEM. */
int ipcm__call_result(struct ipcm__call *call, ipc_any value);

/* The same, with a copy of a string or bytes. */
int ipcm__call_result_copy(struct ipcm__call *call, const ipc_any *value);

/* ---- kinds ----
 *
 * A kind is a state machine: it is called, changes its state, and says what to
 * answer.  To wait it returns IPCM__WAITS, having changed nothing that others
 * must not see; it is called again with the same call, in the order of coming,
 * whenever the object was rung, and for the last time with expired set, when it
 * must not wait any more (but a condition, which may still have to wait for its
 * lock). */
struct ipcm__kind {
    const char *name; /* "lock" */
    uint32_t type;    /* enum ipc_type of containers; else 0 */
    bool durable;     /* it has save */

    /* A new one: args are the options of OPEN, behind type and name.  Sets
     * object->state.  Also when loading. */
    int (*create)(struct ipcm__object *object, const ipc_any *args,
                  size_t count);

    /* Nobody waits and nobody holds any more. */
    void (*destroy)(struct ipcm__object *object);

    /* Status, error, or IPCM__WAITS. */
    int (*call)(struct ipcm__object *object, struct ipcm__call *call);

    /* A call that waited is over without an answer of ours: cancelled,
     * connection lost, object removed, session ended (before lost).  NULL:
     * nothing to do. */
    void (*withdrawn)(struct ipcm__object *object, struct ipcm__call *call);

    /* The session that has it has ended.  Frees it.  NULL: never held. */
    void (*lost)(struct ipcm__object *object, struct ipcm__hold *hold);

    /* The next moment at which something happens by itself (leases), and that
     * it has come.  NULL: never. */
    ipc_deadline (*next)(const struct ipcm__object *object);
    void (*tick)(struct ipcm__object *object);

    /* As ipcm__container_save(). */
    int (*save)(struct ipcm__object *object, uint64_t *at, size_t most,
                uint32_t *op, ipc_anys *args);

    /* Replay a row of the store: no session, does not wait. */
    int (*replay)(struct ipcm__object *object, uint32_t op, const ipc_any *args,
                  size_t count);

    /* A line for debug_info, as snprintf(): who has it and who waits. */
    int (*describe)(const struct ipcm__object *object, char *out, size_t size);
};

extern const struct ipcm__kind ipcm__kind_list, ipcm__kind_dict, ipcm__kind_set,
    ipcm__kind_namespace, ipcm__kind_value, ipcm__kind_array, ipcm__kind_queue,
    ipcm__kind_lock, ipcm__kind_rlock, ipcm__kind_semaphore,
    ipcm__kind_bounded_semaphore, ipcm__kind_condition, ipcm__kind_event,
    ipcm__kind_barrier, ipcm__kind_registered;

/* ---- the keeper ---- */

/* An operation on a durable object was done: what happened goes into the open
 * group, and the reply waits for its commit.  Of kinds whose effect is another
 * one than the request (a GET that waited): they log it themselves. */
int ipcm__keep(struct ipcm__object *object, uint32_t op, const ipc_any *args,
               size_t count);

/* ---- the log ---- */

void ipcm__log(struct ipcm__server *server, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ==== for tests: the parts that do no I/O ==== */

/* A server without doors or loop, and a session in it: what state machines,
 * stores and fuzzers are driven by.  answer gets every reply. */
int ipcm__server_open_bare(const struct ipcm__config *config,
                           struct ipcm__server **out);
int ipcm__session_open_bare(struct ipcm__server *server,
                            void (*answer)(void *arg,
                                           const struct ipcm__reply *reply),
                            void *arg, struct ipcm__session **out);
void ipcm__session_end(struct ipcm__session *session);

/* A request as it came, without its length. */
int ipcm__server_feed(struct ipcm__server *server,
                      struct ipcm__session *session, const void *data,
                      size_t bytes);

/* The rest of a turn, as if it were that time. */
int ipcm__server_turn(struct ipcm__server *server, ipc_deadline now);

#endif
