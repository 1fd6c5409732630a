/* Sending: a message is made into one packet, and the kernel has it.
 *
 * Copied through the socket bytes cost a fifth of what they cost in a memfd, so
 * as many as can be go there.  A large packet takes memory of the kernel in one
 * piece, though, which may not be had: then less goes into it, for which single
 * pages do. */
#include "channel/connection_handle.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "channel/connection_spill.h"
#include "core/error.h"

static int transmit(const ipc_connection *c, const struct ipc__packet *packet,
                    const void *data, int fd, ipc_deadline deadline)
{
    int rc;
    do {
        rc = ipc__packet_send(c->fd, packet, data, fd);
        if (rc != -EAGAIN)
            return rc;
        rc = ipc__connection_wait(c, POLLOUT, deadline);
    } while (rc == 0);
    return rc;
}

/* Large messages are made when there is room for them, so that those who wait
 * for it do not each have one in memory. */
static int wait_for_room(const ipc_connection *c, ipc_deadline deadline)
{
    int rc = 0;
    while (rc == 0 && ipc__packet_is_full(c->fd, c->buffer_bytes))
        rc = ipc__connection_wait(c, POLLOUT, deadline);
    return rc;
}

static int send_spilled(const ipc_connection *c, const void *data, size_t bytes,
                        size_t inside, ipc_deadline deadline)
{
    const struct ipc__packet packet = {.head = {.kind = IPC__PACKET_SPILLED,
                                                .serial = (uint32_t)ipc_now(),
                                                .bytes = bytes},
                                       .inside = inside};
    int rc = wait_for_room(c, deadline);
    if (rc != 0)
        return rc;
    const int fd =
        ipc__spill_write((const char *)data + inside, bytes - inside);
    if (fd < 0)
        return fd;
    rc = transmit(c, &packet, data, fd, deadline);
    (void)close(fd);
    return rc;
}

/* With at most so many bytes in the packet. */
static int send_message(const ipc_connection *c, const void *data, size_t bytes,
                        size_t inside_max, ipc_deadline deadline)
{
    const struct ipc__packet packet = {
        .head = {.kind = IPC__PACKET_BYTES, .bytes = bytes}, .inside = bytes};
    if (bytes > inside_max)
        return send_spilled(c, data, bytes, inside_max, deadline);
    return transmit(c, &packet, data, -1, deadline);
}

static int send_bytes(const ipc_connection *c, const void *data, size_t bytes,
                      ipc_deadline deadline)
{
    if (!c->sends)
        return ipc__connection_fail_direction(c);
    if (bytes > c->max_bytes)
        return ipc__fail(-EMSGSIZE,
                         "connection %d: %zu bytes are more than its %llu",
                         c->fd, bytes, (unsigned long long)c->max_bytes);
    int rc = send_message(c, data, bytes, c->inside_max, deadline);
    if (rc == -ENOMEM && bytes > IPC__INSIDE_PAGES &&
        c->inside_max > IPC__INSIDE_PAGES)
        rc = send_message(c, data, bytes, IPC__INSIDE_PAGES, deadline);
    return rc < 0 ? ipc__connection_fail(c, rc) : 0;
}

int ipc_connection_send(ipc_connection *connection, const void *data,
                        size_t bytes)
{
    return send_bytes(connection, data, bytes, IPC_TIME_FOREVER);
}

int ipc_connection_send_nowait(ipc_connection *connection, const void *data,
                               size_t bytes)
{
    return send_bytes(connection, data, bytes, IPC_TIME_NOW);
}

int ipc_connection_send_until(ipc_connection *connection, const void *data,
                              size_t bytes, ipc_deadline deadline)
{
    return send_bytes(connection, data, bytes, ipc__connection_until(deadline));
}

static int send_fd(const ipc_connection *c, int fd, ipc_deadline deadline)
{
    static const struct ipc__packet packet = {.head = {.kind = IPC__PACKET_FD}};
    if (!c->sends)
        return ipc__connection_fail_direction(c);
    if (fd < 0 || (fcntl(fd, F_GETFD) < 0 && errno == EBADF))
        return ipc__fail(-EBADF, "connection %d: %d is no open descriptor",
                         c->fd, fd);
    const int rc = transmit(c, &packet, NULL, fd, deadline);
    return rc < 0 ? ipc__connection_fail(c, rc) : 0;
}

int ipc_connection_send_fd(ipc_connection *connection, int fd)
{
    return send_fd(connection, fd, IPC_TIME_FOREVER);
}

int ipc_connection_send_fd_nowait(ipc_connection *connection, int fd)
{
    return send_fd(connection, fd, IPC_TIME_NOW);
}

int ipc_connection_send_fd_until(ipc_connection *connection, int fd,
                                 ipc_deadline deadline)
{
    return send_fd(connection, fd, ipc__connection_until(deadline));
}
