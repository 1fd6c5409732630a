/* Listeners and links: messages between programs, in one machine or two, that
 * have a key in common; as Python's multiprocessing.connection.Listener and
 * Client.  Link with libipc-manager.
 *
 *     // one program
 *     ipc_listener *listener;
 *     rc = ipc_listener_new("tcp://127.0.0.1:6000", key, key_bytes, NULL,
 *                           &listener);
 *     ipc_link *link;
 *     rc = ipc_listener_accept(listener, &link);
 *     rc = ipc_link_send(link, "hello", 5);
 *
 *     // the other
 *     rc = ipc_connect("tcp://127.0.0.1:6000", key, key_bytes, NULL, &link);
 *     rc = ipc_link_recv(link, &data, &bytes);      // "hello"
 *     free(data);
 *     ipc_link_close(link);
 *
 * Addresses, keys, and what is refused are those of manager.h.  Both sides
 * prove that they have the key before anything else is said.
 *
 * What is sent arrives as it was sent, one message a call, from 0 bytes to
 * max_bytes, whole or not at all, in order.  Between processes of one family a
 * pipe (connection.h) is faster and passes descriptors.
 *
 * A link does not connect again: when it is lost the calls say -EPIPE, in order
 * or by death alike, once all that came whole was received.
 *
 * Threads: any; sends are one after the other, and so are receives.
 * Fork: a link is used by one process at a time, parent or child; over tls only
 * by the one that made it (-ECHILD).  It is closed when all of them closed it.
 * A listener may be used by all.
 * Signals: restart the wait.  A closed other side raises no SIGPIPE.
 * Crash: a message has arrived whole or not at all; the other side learns of a
 * death at once, over a network within 30 s at worst. */
#ifndef IPC_LISTENER_H
#define IPC_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/api.h>
#include <ipc/manager.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

typedef struct ipc_listener ipc_listener;
typedef struct ipc_link ipc_link;

/* The most bytes in a message, where options do not say otherwise: 64 MiB.
 * Memory is taken as they arrive, not as they are announced. */
#define IPC_LINK_MAX_BYTES (UINT32_C(1) << 26)

#define IPC_LINK_PLAIN_TCP 1u /* see IPC_MANAGER_PLAIN_TCP */

typedef struct ipc_link_options {
    uint32_t size;       /* of this structure: IPC_LINK_OPTIONS_INIT */
    uint32_t flags;      /* IPC_LINK_... */
    uint32_t max_bytes;  /* in a message; 0: IPC_LINK_MAX_BYTES */
    uint32_t connect_ms; /* for connection and handshake, 0: 5000; listener: for
                            a handshake, of which several go on at a time, 0:
                            2000 */
    uint32_t backlog;    /* listener; 0: 128 */
    uint32_t reserved_;

    /* tls: files, PEM.  A listener needs certificate and key; who connects
     * needs none. */
    const char *tls_certificate;
    const char *tls_key;
    const char *tls_ca;   /* the other side needs a certificate of it */
    const char *tls_name; /* ipc_connect() with ca; NULL: the host */
} ipc_link_options;

#define IPC_LINK_OPTIONS_INIT                                                  \
    {                                                                          \
        sizeof(ipc_link_options), 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL        \
    }

/* ---- listener ---- */

/* Listen.  The key is copied.  Errors: as ipc_manager_start() for addresses,
 * keys and certificates. */
IPC_API IPC_MUST_USE int
ipc_listener_new(const char *address, const void *key, size_t key_bytes,
                 const ipc_link_options *options, ipc_listener **out)
    IPC_NONNULL(1, 2, 5);

/* Stop; links go on.  A Unix socket's file is removed by the process that made
 * the listener.  NULL is fine. */
IPC_API int ipc_listener_close(ipc_listener *listener);

/* The next one that proves to have the key: as long as it takes, not at all,
 * or until a deadline.  Who does not is refused, and is no error of accept.
 *
 * Errors: -EAGAIN, -ETIMEDOUT nobody came; -EMFILE, -ENFILE; -ENOMEM. */
IPC_API IPC_MUST_USE int ipc_listener_accept(ipc_listener *listener,
                                             ipc_link **out) IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_listener_accept_nowait(ipc_listener *listener,
                                                    ipc_link **out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_listener_accept_until(ipc_listener *listener,
                                                   ipc_link **out,
                                                   ipc_deadline deadline)
    IPC_NONNULL(1, 2);

/* Where it listens, with the port that was chosen.  Owns: the listener. */
IPC_API const char *ipc_listener_address(const ipc_listener *listener)
    IPC_NONNULL(1);

/* Who was accepted last (Python: last_accepted): "tcp://10.0.0.7:51234", or
 * "unix:" with pid and uid; "" nobody.  Owns: the listener, until the next
 * accept. */
IPC_API const char *ipc_listener_last(const ipc_listener *listener)
    IPC_NONNULL(1);

/* A descriptor that is readable when accept_nowait has something to do, for
 * poll, epoll and event loops.  Owns: the listener. */
IPC_API int ipc_listener_fd(const ipc_listener *listener) IPC_NONNULL(1);

/* ---- links ---- */

/* Connect, and prove the key to each other.  Errors: as
 * ipc_manager_connect(). */
IPC_API IPC_MUST_USE int ipc_connect(const char *address, const void *key,
                                     size_t key_bytes,
                                     const ipc_link_options *options,
                                     ipc_link **out) IPC_NONNULL(1, 2, 5);

/* What was sent arrives.  NULL is fine. */
IPC_API int ipc_link_close(ipc_link *link);

/* Send a message.  A deadline that passes when some of it is on its way closes
 * the link: -EPIPE from then on.
 *
 * Errors: -EAGAIN (_nowait) and -ETIMEDOUT (_until) there was no room, nothing
 * was sent; -EPIPE the other side is gone; -EMSGSIZE more than max_bytes;
 * -ENOMEM. */
IPC_API IPC_MUST_USE int ipc_link_send(ipc_link *link, const void *data,
                                       size_t bytes) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_link_send_nowait(ipc_link *link, const void *data,
                                              size_t bytes) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_link_send_until(ipc_link *link, const void *data,
                                             size_t bytes,
                                             ipc_deadline deadline)
    IPC_NONNULL(1);

/* Receive the next message into fresh memory: *data is to be freed with free(),
 * is never NULL, and has a zero byte behind the message, which *bytes does not
 * count.  What has come in part is kept for the next call.
 *
 * Errors: -EAGAIN (_nowait); -ETIMEDOUT (_until); -EPIPE the other side is
 * gone; -EFBIG one of more than max_bytes came, and the link is closed;
 * -ENOMEM. */
IPC_API IPC_MUST_USE int ipc_link_recv(ipc_link *link, void **data,
                                       size_t *bytes) IPC_NONNULL(1, 2, 3);
IPC_API IPC_MUST_USE int ipc_link_recv_nowait(ipc_link *link, void **data,
                                              size_t *bytes)
    IPC_NONNULL(1, 2, 3);
IPC_API IPC_MUST_USE int ipc_link_recv_until(ipc_link *link, void **data,
                                             size_t *bytes,
                                             ipc_deadline deadline)
    IPC_NONNULL(1, 2, 3);

/* 1: there is a message, or the other side is gone, and recv does not wait; 0:
 * the deadline has passed. */
IPC_API IPC_MUST_USE int ipc_link_poll(ipc_link *link, ipc_deadline deadline)
    IPC_NONNULL(1);

/* Its descriptor, for poll, epoll and event loops: readable when something has
 * come; then call ipc_link_recv_nowait() until it says -EAGAIN.  Not to be
 * read, written or closed.  Owns: the link. */
IPC_API int ipc_link_fd(const ipc_link *link) IPC_NONNULL(1);

IPC_END_DECLS

#endif
