/* Pipe and connection: messages between two ends, as Python's
 * multiprocessing.Pipe and Connection.
 *
 *     ipc_connection *here, *there;
 *     rc = ipc_pipe(NULL, &here, &there);
 *     ...                                   // start a child
 *     ipc_connection_close(there);          // the child has it
 *     rc = ipc_connection_send(here, "hello", 5);
 *     rc = ipc_connection_recv(here, &data, &bytes);
 *     if (rc == -EPIPE)
 *         ...                               // the other end is gone
 *     free(data);
 *
 * What is sent arrives as it was sent, one message a call, from 0 bytes to
 * max_bytes: whole or not at all, and in the order in which it was sent.  There
 * is no thread behind it: when send has returned, the message is the kernel's,
 * and neither closing the end nor the death of the sender takes it back.
 *
 * Several threads and processes may use one end at once.  Each message goes to
 * one of those who receive.
 *
 * A connection is a handle of this process around a Unix socket
 * (SOCK_SEQPACKET).  Messages of up to 192 KiB travel in the socket.  Of a
 * longer one the rest travels in sealed memory (memfd) that goes along in the
 * same packet, at a fifth of the speed; for that both sides need a free
 * descriptor for a moment.  When about 1 MiB is under way, of each message 192
 * KiB at most being counted, send waits until three quarters of that have been
 * received; it is less for short messages, for which the kernel counts more
 * than their bytes: about 450 KiB with 1000 bytes each.  All figures are
 * smaller where net.core.wmem_max is less than 512 KiB.
 *
 * Fork: the child has both ends too, and they are the same ends.  The other
 * side is gone, which receivers are told by -EPIPE once they have got all that
 * was sent, when all processes that have it have closed it or died, by SIGKILL
 * too.  So close the ends that a process does not use; a sibling that was
 * forked meanwhile may have them as well.  Exec: the descriptors are closed.
 *
 * What arrives is checked before it is believed: the other side may be hostile,
 * and gets no further than to send messages.  Those who use the same end have
 * to trust each other, and to be of one pid namespace.  They must have it by
 * fork: of processes that got one end separately, by ipc_connection_from_fd(),
 * only one may receive at a time, or messages may be lost (-EPROTO).
 *
 * Threads: any; a handle may be closed when no other thread uses it.
 * Signals: restart the wait.  A closed other side raises no SIGPIPE.
 * Crash: robust.  Who is killed while sending has sent the message or has not;
 * who is killed while receiving may take one message with it.  Nobody else
 * notices.  Who is stopped (SIGSTOP) in the moment of taking a message holds up
 * the others that receive on the same end. */
#ifndef IPC_CONNECTION_H
#define IPC_CONNECTION_H

#include <ipc/api.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

typedef struct ipc_connection ipc_connection;

/* The most bytes in a message, where options do not say otherwise: 1 GiB. */
#define IPC_CONNECTION_MAX_BYTES (UINT64_C(1) << 30)

/* ---- make them ---- */

#define IPC_PIPE_ONE_WAY 1u /* the first end receives, the second sends */

typedef struct ipc_pipe_options {
    uint32_t size;      /* of this structure: IPC_PIPE_OPTIONS_INIT */
    uint32_t flags;     /* IPC_PIPE_... */
    uint64_t max_bytes; /* in a message; 0: IPC_CONNECTION_MAX_BYTES */
} ipc_pipe_options;

#define IPC_PIPE_OPTIONS_INIT                                                  \
    {                                                                          \
        sizeof(ipc_pipe_options), 0, 0                                         \
    }

/* Two connected ends.  Both send and receive (Python: Pipe()), unless they are
 * IPC_PIPE_ONE_WAY (Python: Pipe(False)).
 *
 * Errors: -EINVAL unknown flags, or max_bytes of 2^63 or more; -E2BIG;
 * -EMFILE, -ENFILE; -ENOMEM. */
IPC_API IPC_MUST_USE int ipc_pipe(const ipc_pipe_options *options,
                                  ipc_connection **first,
                                  ipc_connection **second) IPC_NONNULL(2, 3);

#define IPC_CONNECTION_RECEIVE_ONLY 1u
#define IPC_CONNECTION_SEND_ONLY    2u

typedef struct ipc_connection_options {
    uint32_t size;      /* of this structure: IPC_CONNECTION_OPTIONS_INIT */
    uint32_t flags;     /* IPC_CONNECTION_...; not both */
    uint64_t max_bytes; /* in a message; 0: IPC_CONNECTION_MAX_BYTES */
} ipc_connection_options;

#define IPC_CONNECTION_OPTIONS_INIT                                            \
    {                                                                          \
        sizeof(ipc_connection_options), 0, 0                                   \
    }

/* A connection around the descriptor of an end: one that came from
 * ipc_connection_recv_fd(), was kept open over an exec, or is of a socketpair()
 * or connect() of the program.
 *
 * Without flags the wrong direction of an IPC_PIPE_ONE_WAY gives -EPIPE.
 *
 * Owns: the descriptor, from a result of 0 on.  It is made close-on-exec.
 * Errors: -EINVAL not a Unix socket of type SOCK_SEQPACKET, both flags,
 * unknown ones, or max_bytes of 2^63 or more; -EBADF; -ENOTSOCK; -E2BIG;
 * -ENOMEM. */
IPC_API IPC_MUST_USE int
ipc_connection_from_fd(int fd, const ipc_connection_options *options,
                       ipc_connection **out) IPC_NONNULL(3);

/* The opposite: free the handle and return its descriptor, which is the
 * caller's then. */
IPC_API IPC_MUST_USE int ipc_connection_detach(ipc_connection *connection)
    IPC_NONNULL(1);

/* Close this process's end.  What was sent stays with the other side; what was
 * not yet received here is there for others who have this end, or lost with
 * the last of them.  NULL is fine. */
IPC_API int ipc_connection_close(ipc_connection *connection);

/* ---- send ---- */

/* Send a message, waiting for room as long as it takes, not at all, or until a
 * deadline.  data may be NULL when bytes is 0.
 *
 * Errors, nothing was sent: -EAGAIN (_nowait) and -ETIMEDOUT (_until) there
 * was no room; -EPIPE the other side is gone; -EMSGSIZE more than max_bytes;
 * -EBADF this end only receives; -ENOMEM.  For long messages also
 * -EMFILE, -ENFILE; -ENOSPC; -EFBIG more than RLIMIT_FSIZE; -ETOOMANYREFS as
 * many descriptors as this user may have are under way in sockets. */
IPC_API IPC_MUST_USE int ipc_connection_send(ipc_connection *connection,
                                             const void *data, size_t bytes)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_connection_send_nowait(ipc_connection *connection,
                                                    const void *data,
                                                    size_t bytes)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int
ipc_connection_send_until(ipc_connection *connection, const void *data,
                          size_t bytes, ipc_deadline deadline) IPC_NONNULL(1);

/* Send a descriptor: a message of its own kind.  Whoever receives it gets a
 * descriptor of the same open file; the caller's stays open and is the
 * caller's.  To pass a connection on, send its ipc_connection_fileno() and make
 * a connection of what arrives with ipc_connection_from_fd().
 *
 * Errors as above, and -EBADF fd is none. */
IPC_API IPC_MUST_USE int ipc_connection_send_fd(ipc_connection *connection,
                                                int fd) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int
ipc_connection_send_fd_nowait(ipc_connection *connection, int fd)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int
ipc_connection_send_fd_until(ipc_connection *connection, int fd,
                             ipc_deadline deadline) IPC_NONNULL(1);

/* ---- receive ---- */

/* Receive the next message into fresh memory: *data is to be freed with
 * free(), is never NULL, and has a zero byte behind the message, which *bytes
 * does not count.
 *
 * Errors, the message is kept for the next who receives: -ENOMSG it is a
 * descriptor, see ipc_connection_recv_fd(); -ENOMEM; -EMFILE it needs a
 * descriptor and there is none, or a security module forbids it.
 * Errors, it is dropped: -EFBIG it has more than max_bytes; -EPROTO it is none
 * that this library has sent; -EIO the memory that it lies in cannot be read.
 * Errors, there is none: -EAGAIN (_nowait); -ETIMEDOUT (_until); -EPIPE and
 * there will be none, as the other side is gone; -EBADF this end only sends. */
IPC_API IPC_MUST_USE int ipc_connection_recv(ipc_connection *connection,
                                             void **data, size_t *bytes)
    IPC_NONNULL(1, 2, 3);
IPC_API IPC_MUST_USE int ipc_connection_recv_nowait(ipc_connection *connection,
                                                    void **data, size_t *bytes)
    IPC_NONNULL(1, 2, 3);
IPC_API IPC_MUST_USE int ipc_connection_recv_until(ipc_connection *connection,
                                                   void **data, size_t *bytes,
                                                   ipc_deadline deadline)
    IPC_NONNULL(1, 2, 3);

/* Receive the next message into a buffer of capacity bytes; *bytes says how
 * many it has.  buffer may be NULL when capacity is 0.  (Python:
 * recv_bytes_into.)
 *
 * Errors besides those above: -EMSGSIZE it has more bytes than the buffer:
 * *bytes says how many, and the message is kept. */
IPC_API IPC_MUST_USE int ipc_connection_recv_into(ipc_connection *connection,
                                                  void *buffer, size_t capacity,
                                                  size_t *bytes)
    IPC_NONNULL(1, 4);
IPC_API IPC_MUST_USE int
ipc_connection_recv_into_nowait(ipc_connection *connection, void *buffer,
                                size_t capacity, size_t *bytes)
    IPC_NONNULL(1, 4);
IPC_API IPC_MUST_USE int
ipc_connection_recv_into_until(ipc_connection *connection, void *buffer,
                               size_t capacity, size_t *bytes,
                               ipc_deadline deadline) IPC_NONNULL(1, 4);

/* Receive a descriptor.  It is the caller's, and close-on-exec.
 *
 * Errors as above; -ENOMSG the next message is bytes. */
IPC_API IPC_MUST_USE int ipc_connection_recv_fd(ipc_connection *connection,
                                                int *fd) IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int
ipc_connection_recv_fd_nowait(ipc_connection *connection, int *fd)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int
ipc_connection_recv_fd_until(ipc_connection *connection, int *fd,
                             ipc_deadline deadline) IPC_NONNULL(1, 2);

/* Wait until there is something to receive, or the other side is gone, so that
 * a receive does not wait (unless somebody else is faster).
 *
 * Returns 1, or 0 when the deadline has passed.
 * Errors: -EBADF this end only sends. */
IPC_API IPC_MUST_USE int ipc_connection_poll(ipc_connection *connection,
                                             ipc_deadline deadline)
    IPC_NONNULL(1);

/* ---- what it is ---- */

/* Its descriptor, for poll, epoll and event loops: readable (POLLIN) when
 * ipc_connection_poll() would return 1.  Not to be read, written or closed.
 * Owns: the connection. */
IPC_API int ipc_connection_fileno(const ipc_connection *connection)
    IPC_NONNULL(1);

/* May it be used in this direction?  (Python: readable, writable.) */
IPC_API bool ipc_connection_can_recv(const ipc_connection *connection)
    IPC_NONNULL(1);
IPC_API bool ipc_connection_can_send(const ipc_connection *connection)
    IPC_NONNULL(1);

IPC_END_DECLS

#endif
