/* Managers: a server process that owns shared objects, and gives them to
 * whoever has its key, in this machine or another; as Python's
 * multiprocessing.Manager and BaseManager.  Link with libipc-manager.
 *
 *     ipc_manager *manager;
 *     ipc_manager_start(NULL, &manager);           // a process of its own
 *
 *     ipc_list *data;
 *     ipc_manager_list(manager, NULL, &data);
 *     ... in any child: ipc_list_append_i64(data, 111);
 *     ipc_list_close(data);
 *     ipc_manager_close(manager);                  // the server ends
 *
 * and for programs that are not of one family
 *
 *     ipc_manager_connect("tls://shop:5000", key, key_bytes, NULL, &manager);
 *     ipc_manager_dict(manager, "stock", &stock);  // the same for all who ask
 *
 * What is had there
 *
 *     list, dict, set, namespace     ordinary handles: the calls of list.h,
 *                                    dict.h, set.h and namespace.h
 *     value, array, queue, lock, rlock, semaphore, bounded semaphore,
 *     condition, event, barrier      ipc_managed handles: see managed.h
 *     types of the program's own     ipc_manager_register(): see managed.h
 *
 * Names and lifetime.  An object with a name is made by whoever asks for it
 * first, and lives until ipc_manager_remove().  One without (name NULL) lives
 * as long as a process that has a handle to it does, or another container holds
 * it: a child that inherited the handle has its own part in that from its first
 * call on.  Not so where it is worked on directly (below): that lives as long as
 * the process that has asked for it does, and no ipc_manager_drop() has ended
 * it; for a child give it a name.
 *
 * Two doors.  A process of the server's own user that comes over a Unix socket
 * is handed the server's arena (arena.h), and works on the lists, dicts, sets
 * and namespaces in it directly, at the speed of memory, without a round trip.
 * All others ask the server, a round trip a call; ipc_calls (below) puts many
 * into one.  The calls are the same.  What is not in that arena is asked for
 * in any case: everything in managed.h; what is durable; and what was made by
 * a process that may not map the arena, so that it need not trust those that
 * may.  Such containers lie in a second arena; a container of one cannot be
 * put into a container of the other (-EXDEV).
 *
 * Who has the arena can spoil what is in it, and hold it up by stopping inside
 * a transaction: others then wait, and requests of the server's that need it
 * get -ETIMEDOUT after reply_ms.  What is in the second arena is out of reach.
 * IPC_MANAGER_NO_ARENA: nobody is given any.
 *
 * Addresses
 *
 *     unix:/run/shop/manager     a socket in a folder that only its owner may
 *                                enter (0700; the server makes it, or refuses)
 *     tcp://host:port            host is a name, 127.0.0.1 or [::1]; port 0:
 *                                any that is free.  Not encrypted: other than
 *                                loopback only with IPC_MANAGER_PLAIN_TCP
 *     tls://host:port            TLS 1.2
 *
 * Key.  32 bytes or more, which both sides have, and neither sends: each proves
 * to the other that it has it (HMAC-SHA-256).  Over tls the proof covers the
 * server's certificate, so that a certificate that nobody has signed is enough.
 * Without a key there is no manager: who has it may do everything with its
 * objects.  Values travel, never code.
 *
 * Death.  When a process dies its session ends: what it held is released within
 * 50 ms (Unix sockets; managed.h says what that means for each kind), what it
 * waited for is forgotten.  Over tcp and tls a session outlives a lost
 * connection by session_grace_ms, for the client to come back; a process that
 * dies is then noticed after that time.  When the server dies calls fail or,
 * if it comes back within reconnect_ms, go on: see Durable.
 *
 * Coming back.  A client whose connection is lost connects again by itself, in
 * the next call or the one under way, and repeats what was not answered; the
 * server knows the session and its last requests, so that what it had done
 * already is not done twice.  If it does not know the session any more, a call
 * that changes something and was under way fails with -ECONNRESET: it has
 * happened, or has not.
 *
 * In a server that was started again, an object with a name that is not durable
 * is made anew, as it was at first, by whoever uses a handle to it; one without
 * a name is -ESTALE.
 *
 * A server's arena ends with the server, whatever it was that ended it: from
 * that moment every call on a container that is worked on directly says
 * -ESTALE, in every process, and so does the commit of a transaction that was
 * open.  Nothing is written where nobody would find it.  Close the handle; to
 * open the name again, by ipc_manager_list() and its like, gives one into the
 * next server's arena, which is empty at first: what has to survive is durable.
 *
 * Durable.  A server with a store (a file) keeps what is in it over its own
 * death: lists, dicts, sets, namespaces, values, arrays and queues, each at its
 * level:
 *
 *     IPC_DURABLE_NONE      not kept
 *     IPC_DURABLE_INTERVAL  what was answered survives the death of the server;
 *                           a loss of power may take the last second
 *     IPC_DURABLE_ALWAYS    survives that too: the answer comes after fdatasync
 *
 * An answer is never sent before its level is reached.  Sessions with their
 * last answers are in the store too, so calls that were under way when the
 * server died are done once; locks and what else is in managed.h are free
 * afterwards.
 *
 * Errors of all calls that ask the server, beside those of the object:
 * -ENOTCONN the server cannot be reached, or the manager is closed;
 * -ECONNRESET see above; -EMSGSIZE, -EDQUOT, -ENOSPC a limit of the server:
 * the detail says which and what it is; -EPROTO it is no manager, or a broken
 * one; -ESTALE the object is no more; -EILSEQ a string that is not UTF-8
 * (bytes are for those); -EIO the store cannot be written; -ENOMEM.
 *
 * Threads: any; several may wait at once, over one connection.  No thread is
 * started in the client.
 * Processes: those that connected, and their forked children.
 * Fork: a child connects by itself, in its first call; it owns nothing that its
 * parent holds.
 * Signals: restart the wait; not for signal handlers.
 * Crash: robust. */
#ifndef IPC_MANAGER_H
#define IPC_MANAGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/any.h>
#include <ipc/api.h>
#include <ipc/arena.h>
#include <ipc/dict.h>
#include <ipc/list.h>
#include <ipc/namespace.h>
#include <ipc/set.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

typedef struct ipc_manager ipc_manager;

enum ipc_durability {
    IPC_DURABLE_DEFAULT = 0, /* what the server says for objects with a name */
    IPC_DURABLE_NONE = 1,
    IPC_DURABLE_INTERVAL = 2,
    IPC_DURABLE_ALWAYS = 3
};

#define IPC_MANAGER_KEY_MIN 32u   /* bytes */
#define IPC_MANAGER_KEY_MAX 1024u /* bytes */

/* ---- limits of a server ----
 *
 * 0 is the default, which each line names: so no limit can be set to 0, and
 * "none at all" is said by the least that is possible, 1, where that makes
 * sense.  What is refused says which limit it was by the name of its field, and
 * its value. */
typedef struct ipc_manager_limits {
    uint32_t size; /* of this structure: IPC_MANAGER_LIMITS_INIT */

    /* What a client sends. */
    uint32_t frame_bytes; /* one request or reply; 1 MiB; 4 KiB to 64 MiB */
    uint32_t depth;       /* of nested arrays in it; 16; 3 to 64 */
    uint32_t nodes;       /* values in it, all told; 65536 */
    uint32_t key_bytes;   /* a key or a name; 4096 */
    uint32_t value_bytes; /* a string or bytes; 0: as much as fits a frame */

    /* Connections. */
    uint32_t connections;          /* 1024 */
    uint32_t connections_per_peer; /* of one uid or IP address; 0: no other */
    uint32_t half_open;            /* of one peer in the handshake; 64 */
    uint32_t handshake_ms;         /* for all of it; 2000 */
    uint32_t in_flight;            /* requests not answered yet, waiting ones
                                      included; 256 */
    uint32_t turn;                 /* requests of one connection before others
                                      have theirs; 32 */
    uint32_t queued_bytes;         /* replies not taken yet; then no more of its
                                      requests are read; 4 MiB */
    uint32_t slow_client_ms;       /* with full queue; then it is dropped;
                                      10000 */

    /* Sessions.  ..._grace_ms: how long they outlive their connection.  For
     * none at all over tcp and tls, or after a restart, say 1: a millisecond. */
    uint32_t session_grace_ms;       /* tcp, tls; 0: 10000 */
    uint32_t local_session_grace_ms; /* unix; 0: none, which is the default */
    uint32_t restart_grace_ms;       /* of those in the store; 0: 10000 */
    uint32_t session_reply_bytes;    /* last answers, kept for those who come
                                        back; 1 MiB */
    uint32_t session_objects;        /* handles of one session; 16384 */

    /* Memory. */
    uint32_t objects;          /* 1048576 */
    uint32_t container_length; /* items in one served container; 2^32 - 1 */
    uint64_t arena_bytes;      /* of the arena that is given out; 1 GiB */
    uint64_t memory_bytes;     /* of the second arena; 1 GiB */
    uint64_t queue_bytes; /* values, arrays and queues, all told; 256 MiB */

    /* Time. */
    uint32_t reply_ms; /* the most that a request waits for an arena that
                          somebody holds; 5000 */
    uint32_t drain_ms; /* for what is under way, at the end; 2000 */
} ipc_manager_limits;

#define IPC_MANAGER_LIMITS_INIT                                                \
    {                                                                          \
        sizeof(ipc_manager_limits), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  \
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                                    \
    }

/* ---- a server ---- */

#define IPC_MANAGER_PLAIN_TCP       1u /* tcp, not encrypted, on any address */
#define IPC_MANAGER_NO_ARENA        2u /* nobody maps the arena; or: not me */
#define IPC_MANAGER_REMOTE_SHUTDOWN 4u /* who has the key may end the server */

enum ipc_manager_log_level {
    IPC_MANAGER_LOG_ERROR = 3, /* as syslog(3) numbers them */
    IPC_MANAGER_LOG_WARNING = 4,
    IPC_MANAGER_LOG_INFO = 6,
    IPC_MANAGER_LOG_DEBUG = 7
};

typedef struct ipc_manager_options {
    uint32_t size;  /* of this structure: IPC_MANAGER_OPTIONS_INIT */
    uint32_t flags; /* IPC_MANAGER_... */

    /* Where to listen, at most 8.  None: "unix:", which is the socket "manager"
     * in the folder $XDG_RUNTIME_DIR/libipc or else /tmp/libipc-<uid>; and for
     * ipc_manager_start() one of its own there, with another name each time. */
    const char *const *addresses;
    size_t address_count;

    /* NULL, ipc_manager_start() only: 32 random bytes. */
    const void *key;
    size_t key_bytes;

    /* A file, made if there is none; NULL: nothing is durable. */
    const char *store;
    uint32_t durability;     /* of named objects that do not say; 0: NONE */
    uint32_t snapshot_bytes; /* of log before a snapshot; 0: 64 MiB.  One is of
                                one object, whole: meanwhile all wait, some
                                10 ms for each MiB that is in it */

    /* tls: files, PEM.  client_ca: clients must have a certificate of it. */
    const char *tls_certificate;
    const char *tls_key;
    const char *tls_client_ca;

    /* Other users that may come over Unix sockets.  They get no arena.  The
     * folder of the socket is then 0711 and the socket 0666. */
    const uint32_t *uids;
    size_t uid_count;

    const ipc_manager_limits *limits;

    /* Called in the server, a line a time, without keys or values, some ten a
     * second at most.  NULL: no log. */
    void (*log)(void *arg, int level, const char *line);

    /* ipc_manager_serve(): called once it listens, with the addresses as they
     * became; negative: it ends with that result.  NULL is fine. */
    int (*ready)(void *arg, const char *const *addresses, size_t count);
    void *arg; /* for log and ready */

    /* ipc_manager_serve(): it ends when this becomes readable (a signalfd, an
     * eventfd, a pipe).  0: never.  Not read, not closed. */
    int32_t stop_fd;
    uint32_t reserved_;
} ipc_manager_options;

#define IPC_MANAGER_OPTIONS_INIT                                               \
    {                                                                          \
        sizeof(ipc_manager_options), 0, NULL, 0, NULL, 0, NULL, 0, 0, NULL,    \
            NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, 0, 0                  \
    }

/* Start a server in a process of its own, a daemon child of this one, and
 * connect to it.  Returns when it can be used.  The server has what was
 * registered (ipc_manager_register()) before.
 *
 * It ends with ipc_manager_close() or ipc_manager_shutdown() by this process,
 * or with this process.  Forked children use the manager and its handles as
 * they are; others need address and key.
 *
 * Errors: -EINVAL an address or limit that makes no sense, a key that is too
 * short, unknown flags, a durability without a store; -E2BIG; -EADDRINUSE
 * something that lives has the address; -EACCES, -EPERM the socket's folder,
 * the store or a key file may be read or written by others, or not by us;
 * plain tcp was not asked for by name; -EUCLEAN the store is damaged;
 * -EPROTONOSUPPORT it is another program's file, or of a newer version: it is
 * left as it is; -EBUSY another server has it; what ipc_process_start() says;
 * -ENOMEM. */
IPC_API IPC_MUST_USE int ipc_manager_start(const ipc_manager_options *options,
                                           ipc_manager **out) IPC_NONNULL(2);

/* Be a server: in the calling thread, until stop_fd is readable or somebody
 * shuts it down.  Then what is under way is finished, for drain_ms at most, and
 * the store closed.  The process must not fork meanwhile.  Ignores SIGPIPE by
 * MSG_NOSIGNAL; no signal is handled here.  (Python:
 * get_server().serve_forever().  The program ipc-managerd is this call.)
 *
 * Returns 0 in the end.  Errors: as above; -EIO the store could not be written:
 * nothing that was answered is lost, but it does not go on. */
IPC_API int ipc_manager_serve(const ipc_manager_options *options);

/* Is all well with store, key, certificates, addresses, stop_fd and limits?
 * Looks, and changes nothing: 0 or the error that ipc_manager_serve() would give
 * at this moment.  So of a server that runs it says -EADDRINUSE, or -EBUSY of its
 * store. */
IPC_API int ipc_manager_check(const ipc_manager_options *options);

/* ---- a client ---- */

typedef struct ipc_manager_connect_options {
    uint32_t size;         /* of this structure: ..._CONNECT_OPTIONS_INIT */
    uint32_t flags;        /* IPC_MANAGER_PLAIN_TCP, ..._NO_ARENA */
    uint32_t connect_ms;   /* for the first connection, and to find a server
                              again that ended in the middle of it; 0: 5000 */
    uint32_t reconnect_ms; /* to find a lost server again; 0: 10000;
                              UINT32_MAX: do not try */
    uint32_t reply_ms;     /* an answer may take so long, beyond what the call
                              itself waits; then the connection is given up;
                              0: 30000 */
    uint32_t reserved_;
    const char *label; /* UTF-8, shown in debug_info: 23 bytes are kept */

    /* tls: files, PEM.  Without ca only the key vouches for the server. */
    const char *tls_ca;
    const char *tls_name; /* in the certificate; NULL: the host.  With ca */
    const char *tls_certificate;
    const char *tls_key;
} ipc_manager_connect_options;

#define IPC_MANAGER_CONNECT_OPTIONS_INIT                                       \
    {                                                                          \
        sizeof(ipc_manager_connect_options), 0, 0, 0, 0, 0, NULL, NULL, NULL,  \
            NULL, NULL                                                         \
    }

/* Connect to a server that runs.  The key is copied.
 *
 * Errors: -ENOENT, -ECONNREFUSED nobody is there; -ECONNRESET somebody is, and
 * hangs up on us, again and again; -EHOSTUNREACH no such host;
 * -ETIMEDOUT; -EACCES the server does not have this key, or says that we do
 * not; -EPERM plain tcp was not asked for by name, or the socket is another
 * user's; -EUSERS it has had too many connections for all of connect_ms; -EPROTONOSUPPORT another
 * version; -EPROTO it is no manager; -EKEYREJECTED the certificate is not of
 * ca; -EINVAL; -E2BIG; -ENOMEM; -EMFILE. */
IPC_API IPC_MUST_USE int
ipc_manager_connect(const char *address, const void *key, size_t key_bytes,
                    const ipc_manager_connect_options *options,
                    ipc_manager **out) IPC_NONNULL(1, 2, 5);

/* Let go of it: the session ends, and what it holds is released.  A server that
 * this very process has started ends.  Handles still open say -ENOTCONN, or, if
 * they point into the arena, must not be used any more: close them first.  In a
 * forked child: only the child's part.  NULL is fine.
 *
 * Errors: -EBUSY another thread is in a call, or the calling one in a
 * transaction; nothing was done. */
IPC_API int ipc_manager_close(ipc_manager *manager);

/* End the server, in order: it answers what is under way and takes no more.
 * Waits until it is gone if this process has started it.
 *
 * Errors: -EPERM this process has not started it, and the server does not
 * have IPC_MANAGER_REMOTE_SHUTDOWN. */
IPC_API int ipc_manager_shutdown(ipc_manager *manager) IPC_NONNULL(1);

/* Where it is, in a form for ipc_manager_connect(); of a started one the first
 * of its addresses.  Owns: the manager. */
IPC_API const char *ipc_manager_address(const ipc_manager *manager)
    IPC_NONNULL(1);

/* Its key, to be handed to others.  Owns: the manager. */
IPC_API const void *ipc_manager_key(const ipc_manager *manager, size_t *bytes)
    IPC_NONNULL(1, 2);

/* The arena that this process was handed, for transactions (ipc_atomic_begin())
 * and ipc_list_new(); NULL if it was not.  When the server has ended it is
 * another one as soon as something was opened in the next server's; the old one
 * stays mapped until the manager is closed.  Owns: the manager. */
IPC_API ipc_arena *ipc_manager_arena(ipc_manager *manager) IPC_NONNULL(1);

/* ---- key files ---- */

/* The bytes of a key file, at most room of them.
 *
 * Errors: -EACCES others may read or write it, or it is another user's;
 * -EINVAL shorter than IPC_MANAGER_KEY_MIN; -EMSGSIZE longer than room; -ELOOP
 * a symbolic link; what open(2) says. */
IPC_API IPC_MUST_USE int ipc_manager_key_read(const char *path, void *key,
                                              size_t room, size_t *bytes)
    IPC_NONNULL(1, 2, 4);

/* A new file, mode 0600, with 32 random bytes.  -EEXIST it is there. */
IPC_API IPC_MUST_USE int ipc_manager_key_write(const char *path) IPC_NONNULL(1);

/* ---- lists, dicts, sets, namespaces ----
 *
 * The one of that name, made empty if there is none; name NULL: a new one.
 * Close the handle in the end (ipc_list_close(), ...).  An anonymous one that
 * lies in the arena goes with the session, or ipc_manager_drop(); another one
 * when its last handle is closed.
 *
 * Errors: -EINVAL something of another type has the name, or it is empty, too
 * long, not UTF-8, or begins with '#'; -EDQUOT, -ENOSPC. */
IPC_API IPC_MUST_USE int ipc_manager_list(ipc_manager *manager,
                                          const char *name, ipc_list **out)
    IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_manager_dict(ipc_manager *manager,
                                          const char *name, ipc_dict **out)
    IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_manager_set(ipc_manager *manager, const char *name,
                                         ipc_set **out) IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_manager_namespace(ipc_manager *manager,
                                               const char *name,
                                               ipc_namespace **out)
    IPC_NONNULL(1, 3);

#define IPC_MANAGER_SERVED 1u /* not in the arena that is given out */

typedef struct ipc_manager_object_options {
    uint32_t size; /* of this structure: IPC_MANAGER_OBJECT_OPTIONS_INIT */
    uint32_t durability; /* enum ipc_durability */
    uint32_t flags;      /* IPC_MANAGER_SERVED */
    uint32_t reserved_;

    /* What is in it when it is made: of a dict key, value, key, value, ...
     * All of it, in one step. */
    const ipc_any *items;
    size_t item_count;
} ipc_manager_object_options;

#define IPC_MANAGER_OBJECT_OPTIONS_INIT                                        \
    {                                                                          \
        sizeof(ipc_manager_object_options), 0, 0, 0, NULL, 0                   \
    }

/* The same for any of the four types, with options for when it is made.  *out
 * is a handle: ipc_any_free() in the end.
 *
 * Returns 1: it was made; 0: it was there, and options that concern its making
 * meant nothing.  Errors: -EINVAL no such type; -EEXIST it was there with
 * another durability; -ENOTSUP durable, and the server has no store; -EXDEV an
 * item is a handle into another arena, or not durable while this is. */
IPC_API IPC_MUST_USE int
ipc_manager_open(ipc_manager *manager, uint32_t type, const char *name,
                 const ipc_manager_object_options *options, ipc_any *out)
    IPC_NONNULL(1, 5);

/* Is it worked on directly?  false: each call is a round trip. */
IPC_API bool ipc_manager_is_direct(const ipc_manager *manager,
                                   const ipc_any *handle) IPC_NONNULL(1, 2);

/* This process needs an anonymous container no more, and closes the handle,
 * which is nil afterwards. */
IPC_API int ipc_manager_drop(ipc_manager *manager, ipc_any *handle)
    IPC_NONNULL(1, 2);

/* The name is no more, of whatever type the object was.  What nothing else
 * holds is gone then; who waits for it gets -ESTALE.  -ENOENT. */
IPC_API int ipc_manager_remove(ipc_manager *manager, const char *name)
    IPC_NONNULL(1, 2);

/* ---- many calls at once ----
 *
 *     ipc_calls *calls;
 *     ipc_calls_new(manager, &calls);
 *     for (...)
 *         ipc_calls_add(calls, ipc_any_list(list), IPC_OP_LIST_APPEND, &v, 1);
 *     rc = ipc_calls_run(calls, 0);
 *     ipc_calls_free(calls);
 *
 * Calls on lists, dicts, sets and namespaces by the number of the operation,
 * with arguments and results as remote.h says.  They are sent together, and
 * answered together: many in the time of one round trip.  With IPC_CALLS_ATOMIC
 * they are a transaction: all of them happen, or none does, and nobody sees
 * some without the others.  Results of one are no arguments of another, and
 * those that wait (watch) are -EINVAL.
 *
 * Without IPC_CALLS_ATOMIC each is done or not, and when the connection is
 * lost each is repeated for itself.  Directly used containers are changed in
 * place, in the same order.
 *
 * Threads: one at a time uses an ipc_calls.  Fork: the child's is its own. */
typedef struct ipc_calls ipc_calls;

#define IPC_CALLS_ATOMIC 1u

IPC_API IPC_MUST_USE int ipc_calls_new(ipc_manager *manager, ipc_calls **out)
    IPC_NONNULL(1, 2);

/* NULL is fine. */
IPC_API int ipc_calls_free(ipc_calls *calls);

/* One more.  Arguments are copied.  Returns its place, from 0 on.
 *
 * Errors: -EINVAL not a handle of this manager, or an operation that there is
 * not; -EMSGSIZE atomic ones must fit one frame: told by run. */
IPC_API IPC_MUST_USE int ipc_calls_add(ipc_calls *calls, ipc_any handle,
                                       uint32_t op, const ipc_any *args,
                                       size_t count) IPC_NONNULL(1);

/* Do them.  Returns 0: each has its result, of which some may be errors.
 * Errors: atomic: why none was done, and the detail says which call it was;
 * -EXDEV they are not all of one arena; -EALREADY they have run.  Otherwise:
 * the connection was lost; those without a result say -ECONNRESET. */
IPC_API IPC_MUST_USE int ipc_calls_run(ipc_calls *calls, uint32_t flags)
    IPC_NONNULL(1);

/* How the call at a place went; *out (may be NULL) are its results, which stay
 * the calls', until ipc_calls_free() or _clear().  -ERANGE; -EINVAL not run. */
IPC_API int ipc_calls_result(ipc_calls *calls, size_t place,
                             const ipc_anys **out) IPC_NONNULL(1);

/* Empty it, for use again. */
IPC_API int ipc_calls_clear(ipc_calls *calls) IPC_NONNULL(1);

/* ---- looking at it ---- */

/* Does it answer?  0, or why not. */
IPC_API IPC_MUST_USE int ipc_manager_ping(ipc_manager *manager,
                                          ipc_deadline deadline) IPC_NONNULL(1);

/* Objects that live, named or in use: 0 or more, or an error. */
IPC_API IPC_MUST_USE int64_t ipc_manager_number_of_objects(ipc_manager *manager)
    IPC_NONNULL(1);

/* name, type, name, type, ...: strings, in the order in which they came. */
IPC_API IPC_MUST_USE int ipc_manager_names(ipc_manager *manager, ipc_anys *out)
    IPC_NONNULL(1, 2);

/* Text for people, a line for each object and each session: type, name, how
 * many have it, who holds it and who waits.  Cut at frame_bytes.  End it with
 * ipc_any_free(). */
IPC_API IPC_MUST_USE int ipc_manager_debug_info(ipc_manager *manager,
                                                ipc_any *out) IPC_NONNULL(1, 2);

typedef struct ipc_manager_stats {
    uint32_t size;     /* of this structure: IPC_MANAGER_STATS_INIT */
    uint32_t pid;      /* of the server */
    int64_t up_ns;     /* since it began to listen */
    uint64_t instance; /* another one after every start */
    uint64_t objects;
    uint64_t sessions;
    uint64_t connections;
    uint64_t waiting;       /* requests */
    uint64_t requests;      /* since the start, this and the next six */
    uint64_t repeated;      /* of them: known already, answered again */
    uint64_t accepted;      /* connections */
    uint64_t refused_key;   /* handshakes with a wrong key */
    uint64_t refused_limit; /* connections over a limit */
    uint64_t broken;        /* connections closed for what they sent */
    uint64_t slow;          /* connections dropped for not reading */
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t arena_bytes;  /* in use: of the arena that is given out, */
    uint64_t memory_bytes; /* of the second one, */
    uint64_t queue_bytes;  /* of values, arrays and queues */
    uint64_t store_bytes;  /* of the file and its log */
    uint64_t commits;      /* of the store */
} ipc_manager_stats;

#define IPC_MANAGER_STATS_INIT                                                 \
    {                                                                          \
        sizeof(ipc_manager_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,   \
            0, 0, 0, 0, 0, 0, 0                                                \
    }

IPC_API int ipc_manager_query(ipc_manager *manager, ipc_manager_stats *stats)
    IPC_NONNULL(1, 2);

IPC_END_DECLS

#endif
