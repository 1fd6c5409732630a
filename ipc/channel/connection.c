/* Making and closing: what an end is, is in connection_handle.h. */
#include "channel/connection_handle.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/options.h"
#include "core/error.h"

#ifndef SO_PASSPIDFD
#    define SO_PASSPIDFD 76
#endif

/* Asked for; the kernel doubles it, for what it needs itself, after it has cut
 * it to net.core.wmem_max. */
#define SOCKET_BUFFER (512 * 1024)

/* A packet takes no more than a fifth of the buffer.  The kernel wakes who waits
 * for room when three quarters are free: so there are when one is under way. */
#define PACKETS_IN_BUFFER 5

/* ---- errors ---- */

int ipc__connection_fail(const ipc_connection *c, int error)
{
    static const struct {
        int code;
        const char *text;
    } texts[] = {
        {-EPIPE, "the other end is gone"},
        {-EPROTO, "what came is no message of libipc's, and was dropped"},
        {-EMFILE, "the message needs a file descriptor and none is free"},
        {-EIO, "the message was taken, but its memory cannot be read"},
    };
    const char *text = ipc_strerror(error);
    for (size_t i = 0; i < array_length(texts); i++)
        if (texts[i].code == error)
            text = texts[i].text;
    return ipc__fail(error, "connection %d: %s", c->fd, text);
}

int ipc__connection_fail_direction(const ipc_connection *c)
{
    return ipc__fail(-EBADF, "connection %d: this end only %s", c->fd,
                     c->sends ? "sends" : "receives");
}

/* ---- the guard of those who receive ---- */

static void nothing_to_repair(void *unused)
{
    (void)unused;
}

int ipc__connection_lock(const ipc_connection *c)
{
    return ipc__guard_lock(c->receiving, nothing_to_repair, NULL);
}

/* It is used once, so that what it needs is there, and is what children
 * inherit. */
static int share_guard(ipc_connection *c)
{
    c->receiving = mmap(NULL, sizeof *c->receiving, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c->receiving == MAP_FAILED)
        return ipc__fail(-ENOMEM, "no memory for a connection");
    const int rc = ipc__connection_lock(c);
    if (rc == 0)
        ipc__guard_unlock(c->receiving);
    else
        (void)munmap(c->receiving, sizeof *c->receiving);
    return rc;
}

/* ---- make them ---- */

static int fail_socket(int fd, int error)
{
    return ipc__fail(-error, "descriptor %d as a socket: %s", fd,
                     ipc_strerror(-error));
}

static int buffer_of(int fd, size_t *out)
{
    int bytes = 0;
    socklen_t size = sizeof bytes;
    if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &size) != 0)
        return fail_socket(fd, errno);
    *out = bytes > 0 ? (size_t)bytes : 0;
    return 0;
}

static size_t inside_max_for(size_t buffer_bytes)
{
    const size_t share = buffer_bytes / PACKETS_IN_BUFFER;
    return share < IPC__INSIDE_MAX ? share : IPC__INSIDE_MAX;
}

/* A handle; it does not own fd before it is given to somebody. */
static int handle_new(int fd, uint64_t max_bytes, ipc_connection **out)
{
    size_t buffer_bytes = 0;
    int rc = buffer_of(fd, &buffer_bytes);
    if (rc != 0)
        return rc;
    ipc_connection *c = malloc(sizeof *c);
    if (c == NULL)
        return ipc__fail(-ENOMEM, "no memory for a connection");
    *c = (ipc_connection){.fd = fd,
                          .sends = true,
                          .receives = true,
                          .max_bytes = max_bytes,
                          .buffer_bytes = buffer_bytes,
                          .inside_max = inside_max_for(buffer_bytes)};
    rc = share_guard(c);
    if (rc != 0) {
        free(c);
        return rc;
    }
    *out = c;
    return 0;
}

static void handle_free(ipc_connection *c)
{
    (void)munmap(c->receiving, sizeof *c->receiving);
    free(c);
}

static int read_limit(uint64_t given, uint64_t *out)
{
    if (given > INT64_MAX)
        return ipc__fail(-EINVAL, "connection: max_bytes is 2^63 or more");
    *out = given != 0 ? given : IPC_CONNECTION_MAX_BYTES;
    return 0;
}

static int read_pipe_options(const ipc_pipe_options *given,
                             ipc_pipe_options *out)
{
    const int rc = ipc__options_read(out, sizeof *out, given);
    if (rc != 0)
        return ipc__fail(rc, "pipe: options of size %u", (unsigned)given->size);
    if ((out->flags & ~IPC_PIPE_ONE_WAY) != 0)
        return ipc__fail(-EINVAL, "pipe: unknown flags 0x%x",
                         (unsigned)out->flags);
    return read_limit(out->max_bytes, &out->max_bytes);
}

/* The kernel keeps the direction too, for those who get an end by its
 * descriptor. */
static int make_sockets(bool one_way, int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        return ipc__fail(-errno, "pipe: no socket: %s", ipc_strerror(-errno));
    const int bytes = SOCKET_BUFFER;
    for (int i = 0; i < 2; i++)
        (void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    if (one_way)
        (void)shutdown(fds[0], SHUT_WR);
    return 0;
}

int ipc_pipe(const ipc_pipe_options *options, ipc_connection **first,
             ipc_connection **second)
{
    ipc_pipe_options o;
    ipc_connection *a = NULL;
    ipc_connection *b = NULL;
    int fds[2];
    int rc = read_pipe_options(options, &o);
    if (rc != 0)
        return rc;
    const bool one_way = (o.flags & IPC_PIPE_ONE_WAY) != 0;
    rc = make_sockets(one_way, fds);
    if (rc != 0)
        return rc;
    rc = handle_new(fds[0], o.max_bytes, &a);
    if (rc != 0)
        goto no_handle;
    rc = handle_new(fds[1], o.max_bytes, &b);
    if (rc != 0)
        goto no_second;
    a->sends = !one_way;
    b->receives = !one_way;
    *first = a;
    *second = b;
    return 0;

no_second:
    handle_free(a);
no_handle:
    (void)close(fds[0]);
    (void)close(fds[1]);
    return rc;
}

static int check_socket(int fd)
{
    int domain = 0;
    int type = 0;
    socklen_t size = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0)
        return fail_socket(fd, errno);
    if (domain != AF_UNIX || type != SOCK_SEQPACKET)
        return ipc__fail(-EINVAL,
                         "descriptor %d is not a Unix socket of type seqpacket",
                         fd);
    return 0;
}

static int read_connection_options(const ipc_connection_options *given,
                                   ipc_connection_options *out)
{
    const uint32_t known =
        IPC_CONNECTION_RECEIVE_ONLY | IPC_CONNECTION_SEND_ONLY;
    const int rc = ipc__options_read(out, sizeof *out, given);
    if (rc != 0)
        return ipc__fail(rc, "connection: options of size %u",
                         (unsigned)given->size);
    if ((out->flags & ~known) != 0 || out->flags == known)
        return ipc__fail(-EINVAL, "connection: flags 0x%x",
                         (unsigned)out->flags);
    return read_limit(out->max_bytes, &out->max_bytes);
}

/* What whoever had the socket before may have set, and changes how packets
 * arrive: credentials that come along, and where a look begins. */
static void reset_socket(int fd)
{
    static const struct {
        int option;
        int value;
    } options[] = {{SO_PASSCRED, 0},
                   {SO_PASSSEC, 0},
                   {SO_PASSPIDFD, 0},
                   {SO_PEEK_OFF, -1}};
    for (size_t i = 0; i < array_length(options); i++)
        (void)setsockopt(fd, SOL_SOCKET, options[i].option, &options[i].value,
                         sizeof options[i].value);
}

int ipc_connection_from_fd(int fd, const ipc_connection_options *options,
                           ipc_connection **out)
{
    ipc_connection_options o;
    ipc_connection *c = NULL;
    int rc = read_connection_options(options, &o);
    if (rc == 0)
        rc = check_socket(fd);
    if (rc == 0)
        rc = handle_new(fd, o.max_bytes, &c);
    if (rc != 0)
        return rc;
    c->sends = (o.flags & IPC_CONNECTION_RECEIVE_ONLY) == 0;
    c->receives = (o.flags & IPC_CONNECTION_SEND_ONLY) == 0;
    reset_socket(fd);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    *out = c;
    return 0;
}

int ipc_connection_detach(ipc_connection *connection)
{
    const int fd = connection->fd;
    handle_free(connection);
    return fd;
}

int ipc_connection_close(ipc_connection *connection)
{
    if (connection != NULL)
        (void)close(ipc_connection_detach(connection));
    return 0;
}

/* ---- what it is ---- */

int ipc_connection_fileno(const ipc_connection *connection)
{
    return connection->fd;
}

bool ipc_connection_can_recv(const ipc_connection *connection)
{
    return connection->receives;
}

bool ipc_connection_can_send(const ipc_connection *connection)
{
    return connection->sends;
}
