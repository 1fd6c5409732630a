/* Client: what ipc_list_append() on a remote list, ipc_managed_lock_acquire()
 * and ipc_manager_list() stand on.
 *
 *     manager    what ipc_manager * points to: address, key, options, arena
 *     link       this process's connection and session: requests, replies, who
 *                reads, coming back (link.h)
 *     target     an object as a handle knows it
 *     calls      ipc_calls
 *
 * No thread.  Those who wait for replies take turns: one of them reads and
 * hands out what comes, the others sleep on an ipc_event of their own; who has
 * his reply and was the reader wakes the next.  Sending is under the link's
 * lock, by whoever has something to send; what the socket does not take the
 * reader sends when it does, so that reading and writing go on side by side.
 *
 * Fork.  The link knows its process.  A process that finds another one's link makes
 * a new one; the descriptors of the old one were closed in the fork (fork.c);
 * its memory is left alone, locks and all, as other threads may have been
 * inside.
 *
 * Epochs.  A link counts its sessions: a new one, or one that came back without
 * its references, is a new epoch.  Numbers of objects, and references to them,
 * are good for the epoch in which they were had.  Who prepares a request says
 * for which; when it is another one by now he is told so (IPCM__AGAIN), and
 * prepares it anew.
 *
 * Deadlines.  The server counts the time that a call waits.  A call without
 * reply reply_ms beyond that gives the connection up, and with it the session,
 * as nobody knows what it was given; so what the process holds there is
 * released.
 *
 * Coming back.  Requests that have no reply stay, with their ids.  After a
 * handshake that RESUMED they are sent again.  After one that did not: those
 * that change nothing, and those that only take what the end of a session gives
 * back, are prepared anew; the others are -ECONNRESET. */
#ifndef IPC_MANAGER_CLIENT_H
#define IPC_MANAGER_CLIENT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <ipc/any.h>
#include <ipc/managed.h>
#include <ipc/manager.h>
#include <ipc/process.h>
#include <ipc/remote.h>
#include <ipc/time.h>

#include "list.h"
#include "net/net.h"
#include "wire/handshake.h"
#include "wire/wire.h"

struct ipcm__link;
struct ipcm__waiter;

struct ipc_manager {
    uint32_t references; /* the program's, and one for each handle; atomic */
    uint32_t flags;
    uint32_t connect_ms;
    uint32_t reconnect_ms;
    uint32_t reply_ms;
    char label[24]; /* "": none */
    char address_text[IPCM__ADDRESS_TEXT];
    struct ipcm__address address;
    uint8_t key[IPC_MANAGER_KEY_MAX];
    size_t key_bytes;
    struct ipcm__tls *tls;   /* NULL: not tls */
    struct ipcm__link *link; /* of the process that made it; atomic */
    ipc_arena *arena;        /* NULL: was not handed one; atomic */
    uint64_t arena_instance; /* of the server that was asked for it last; this
                                and former under the lock of forks */
    struct ipcm__former *former; /* arenas of servers before that */
    ipc_process server;          /* that we started */
    int32_t starter;             /* the pid that did; 0: nobody */
    int stop_fd;                 /* an eventfd that ends it; -1: none */
    uint32_t drain_ms;           /* that it takes for its end */
};

/* ---- managers ---- */

/* A new one with one reference; and where it is to connect to. */
ipc_manager *ipcm__manager_new(void);
int ipcm__manager_fill(ipc_manager *manager, const char *address,
                       const void *key, size_t key_bytes,
                       const ipc_manager_connect_options *options);
void ipcm__label_take(ipc_manager *manager, const char *label);
void ipcm__manager_hold(ipc_manager *manager);
void ipcm__manager_drop(ipc_manager *manager);

/* Connect for the first time, and fetch the arena. */
int ipcm__manager_begin(ipc_manager *manager);

/* The server that this very process has started: is there one; is it gone;
 * end it, and wait until it is gone. */
bool ipcm__server_is_ours(const ipc_manager *manager);
bool ipcm__server_has_ended(ipc_manager *manager);
void ipcm__server_stop(ipc_manager *manager);

/* ---- objects as handles know them ---- */

struct ipcm__target {
    ipc_manager *manager;
    uint64_t id;
    uint64_t instance; /* of the server that gave it */
    uint64_t epoch;    /* in which the process has its reference */
    uint64_t process;  /* that one: see fork.h; 0: nobody */
    uint32_t type;     /* enum ipc_type; 0: managed */
    uint32_t durability;
    char type_name[64];
    char *name;       /* NULL: anonymous, or nested */
    ipc_anys options; /* of OPEN, to open it again; with name only */
    bool one_time;    /* it cannot be opened again: options are not all there */
};

/* What a remote handle's data is, and what an ipc_managed is. */
struct ipc_managed {
    struct ipcm__target target;
};

/* The number of the object in this epoch: takes a reference in a forked child
 * or a new session, opens by name after a restart.  -ESTALE. */
int ipcm__target_id(struct ipcm__target *target, uint64_t epoch, uint64_t *out);

/* Give its reference back, without waiting for an answer; free what it has, but
 * not itself. */
void ipcm__target_end(struct ipcm__target *target);

/* OPEN: name may be NULL.  Status 1 or 0.  options as they are in the request;
 * containers in them are handles. */
struct ipcm__opening {
    const char *type;
    const char *name;
    const ipc_any *options;
    size_t count;
    size_t kept;       /* of the options, to open it again */
    ipc_managed *lock; /* NULL, or: one more option */
};
int ipcm__open(ipc_manager *manager, const struct ipcm__opening *opening,
               struct ipcm__target *out, uint32_t *place);

/* ---- calls ---- */

/* A request and its reply.  wait: of those with an argument ns, which is put
 * last, how long; else IPC_TIME_NOW.  Containers in args and results are
 * handles here.  Status, or an error with the server's detail.  results NULL:
 * not wanted. */
int ipcm__call(struct ipcm__target *target, uint32_t op, const ipc_any *args,
               size_t count, ipc_deadline wait, ipc_anys *results);

/* The same, of the manager itself. */
int ipcm__call_manager(ipc_manager *manager, uint32_t op, const ipc_any *args,
                       size_t count, ipc_anys *results);

/* One that does not wait, with exactly want results, which are moved to out[];
 * -EPROTO there are others.  And one that waits, with one result. */
int ipcm__call_for(struct ipcm__target *target, uint32_t op,
                   const ipc_any *args, size_t count, ipc_any *out,
                   size_t want);
int ipcm__call_until(struct ipcm__target *target, uint32_t op,
                     const ipc_any *args, size_t count, ipc_deadline wait,
                     ipc_any *out);

/* Move exactly want results to out[]: 0, or -EPROTO and they are ended. */
int ipcm__unpack(ipc_anys *results, ipc_any *out, size_t want);

/* After so many times. */
int ipcm__fail_again(void);

/* What locks are held by: the calling thread, within the session. */
int64_t ipcm__holder(void);

/* ---- the link ---- */

/* A status: the epoch is another one, nothing was done.  How often that may be
 * so under one call, and how often a connection may be lost under it: a request
 * that costs the server its life each time is not repeated for ever. */
#define IPCM__AGAIN INT_MIN
#define IPCM__TRIES 20

#define IPCM__DETAIL 160

/* Of a BATCH that was done, one of its calls. */
struct ipcm__outcome {
    int status;
    ipc_anys results;
};

/* One of several requests that are sent together.  Begun, or zero-filled, but
 * for what is said here. */
struct ipcm__ask {
    struct ipcm__request request; /* id is filled in; containers are numbers */
    ipc_any *ns;       /* the argument that becomes the time left; NULL: none */
    ipc_deadline wait; /* with ns */

    /* The answer. */
    int status;
    ipc_anys results;               /* the caller's; containers are numbers */
    struct ipcm__outcome *outcomes; /* BATCH: the caller's, for all its calls */
    uint64_t epoch;                 /* of what is in results */
    uint64_t instance;
    int fd; /* ARENA: that came with it, the caller's */

    /* The link's own. */
    struct list place;
    struct ipcm__waiter *waiter; /* NULL: nobody wants the answer */
    uint64_t end;                /* in all that was written: its last byte */
    bool was_sent;               /* whole */
    bool was_repeated;           /* to a server that had been restarted */
    bool polls;                  /* it would have waited: to be asked again */
    uint32_t repeats;            /* how often it was sent again */

    char detail[IPCM__DETAIL]; /* of the answer; behind all that is zeros */
};

static inline void ipcm__ask_begin(struct ipcm__ask *ask)
{
    memset(ask, 0, offsetof(struct ipcm__ask, detail));
    ask->detail[0] = '\0';
}

/* Be connected: the epoch. */
int ipcm__link_up(ipc_manager *manager, uint64_t *epoch);
int ipcm__link_up_until(ipc_manager *manager, ipc_deadline deadline,
                        uint64_t *epoch);

/* Send them all, in order, in as few writes as it takes, never more than
 * in_flight unanswered; return when all have a status.  until: leave them
 * behind then (-ETIMEDOUT), for requests that change nothing; else
 * IPC_TIME_FOREVER.  The waiting of all is over at the latest at wait.
 *
 * One alone that would wait, where as many wait already as may, is asked
 * without waiting if it can be: `polls` is set, and -EAGAIN is not the end. */
int ipcm__link_ask(ipc_manager *manager, uint64_t epoch, struct ipcm__ask *asks,
                   size_t count, ipc_deadline until);

/* Give a reference back: not to be answered. */
void ipcm__link_tell(ipc_manager *manager, uint64_t epoch, uint64_t object);

/* The first connection: with its errors. */
int ipcm__link_connect(ipc_manager *manager, ipc_deadline deadline);

/* No more calls: -EBUSY somebody is in one.  And that back. */
int ipcm__link_close(ipc_manager *manager);
void ipcm__link_reopen(ipc_manager *manager);

/* When it is closed: GOODBYE if it is this process's, and end it. */
void ipcm__link_end(ipc_manager *manager);

/* The memory of it, when nobody has the manager any more. */
void ipcm__link_free(ipc_manager *manager);

/* The instance of the server in this epoch, and the flags of its WELCOME; 0: it
 * is another epoch. */
uint64_t ipcm__link_instance(ipc_manager *manager, uint64_t epoch,
                             uint32_t *flags);

/* ---- values ---- */

/* Handles to numbers, for sending: of this epoch.  -EXDEV of another manager,
 * or in the arena: what is served is never in that. */
int ipcm__to_wire(const ipc_manager *manager, uint64_t epoch,
                  const ipc_any *value, ipc_any *out);

/* All of them; *out is value itself if there are no handles, else the caller's,
 * to free(). */
int ipcm__all_to_wire(const ipc_manager *manager, uint64_t epoch,
                      const ipc_any *values, size_t count, ipc_any **out);

/* Numbers to handles, in place: what the program is handed.  All are ended if
 * it fails. */
int ipcm__from_wire(ipc_manager *manager, const struct ipcm__ask *ask,
                    ipc_anys *values);

/* Copies of values without handles, or with numbers as they are. */
int ipcm__copy_values(const ipc_any *values, size_t count, ipc_anys *out);
int ipcm__copy_value(const ipc_any *value, ipc_any *out);

/* The end of results whose containers are numbers. */
void ipcm__free_numbers(ipc_anys *values);

static inline bool ipcm__is_container(const ipc_any *value)
{
    return value->type >= IPC_TYPE_LIST && value->type <= IPC_TYPE_NAMESPACE;
}

/* ---- remote containers: for <ipc/remote.h> ---- */

extern const struct ipc_remote ipcm__remote_container;

/* A handle to target, which it takes over; *out is to be ended by
 * ipc_any_free(). */
int ipcm__remote_handle(struct ipcm__target *target, ipc_any *out);

/* "list", "dict", ...; NULL: it is no container. */
const char *ipcm__container_type(uint32_t type);

/* ---- the arena ---- */

/* Ask for it and attach it, if the server gives it: 0, also if it does not. */
int ipcm__arena_fetch(ipc_manager *manager);

/* A handle to what lies there, of which this process has a reference; fetches
 * the arena if it is another server's by now.  0, and the target is ended; 1: it
 * has to be asked for, as this process has not mapped it, or its name is gone;
 * -ESTALE the server is. */
int ipcm__arena_handle(struct ipcm__target *target, ipc_any *out);

/* Unmap them all.  -EBUSY: the calling thread is in a transaction. */
int ipcm__arenas_close(ipc_manager *manager);

/* The reference to an anonymous one is given back. */
void ipcm__arena_drop(ipc_manager *manager, const ipc_any *handle);

#endif
