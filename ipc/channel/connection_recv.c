/* Receiving: look at the packet, decide, take it; with the guard.  What may
 * take long, or needs memory, is done before or after. */
#include "channel/connection_handle.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "channel/connection_spill.h"
#include "core/error.h"

/* Where a receive begins that does not know how large the message is. */
#define FIRST_CAPACITY ((size_t)4000)

/* What a receive asks for, and what it got. */
struct receipt {
    bool wants_fd;
    void *buffer;
    size_t capacity;
    uint64_t bytes; /* of the message */
    size_t inside;  /* of these came in the packet */
    int fd;         /* the message, or where the rest of it lies; -1: none */
};

static int drop(const ipc_connection *c, int error)
{
    ipc__packet_drop(c->fd);
    return error;
}

/* Get at the descriptor that the packet brings. */
static int look_fd(const ipc_connection *c, const struct ipc__packet *packet,
                   int *out)
{
    int rc = ipc__packet_look_fd(c->fd, out);
    if (rc == 0 && packet->head.kind == IPC__PACKET_SPILLED)
        rc = ipc__spill_check(*out, packet->head.bytes - packet->inside);
    return rc;
}

/* With the guard.  -EAGAIN: there is no message. */
static int receive_now(const ipc_connection *c, struct receipt *r)
{
    struct ipc__packet packet;
    int rc = ipc__packet_look(c->fd, &packet);
    if (rc != 0)
        return rc == -EPROTO ? drop(c, rc) : rc;
    r->bytes = packet.head.bytes;
    r->inside = packet.inside;
    if (r->wants_fd != (packet.head.kind == IPC__PACKET_FD))
        return -ENOMSG;
    if (r->bytes > c->max_bytes)
        return drop(c, -EFBIG);
    if (packet.head.kind != IPC__PACKET_BYTES) {
        rc = look_fd(c, &packet, &r->fd);
        if (rc != 0)
            return rc == -EPROTO ? drop(c, rc) : rc;
    }
    if (r->bytes > r->capacity)
        return -EMSGSIZE;
    return ipc__packet_take(c->fd, &packet, r->buffer);
}

/* The result of a receive, with a detail line if it failed. */
static int explain(const ipc_connection *c, const struct receipt *r, int error)
{
    const unsigned long long bytes = r->bytes;
    switch (error) {
    case 0:
        return 0;
    case -EBADF:
        return c->receives ? ipc__connection_fail(c, error)
                           : ipc__connection_fail_direction(c);
    case -ENOMSG:
        return ipc__fail(error, "connection %d: the next message is %s", c->fd,
                         r->wants_fd ? "bytes" : "a descriptor");
    case -EFBIG:
        return ipc__fail(error,
                         "connection %d: a message of %llu bytes was dropped: "
                         "more than %llu",
                         c->fd, bytes, (unsigned long long)c->max_bytes);
    case -EMSGSIZE:
        return ipc__fail(
            error, "connection %d: the message has %llu bytes, the buffer %zu",
            c->fd, bytes, r->capacity);
    case -ESTALE:
        return ipc__fail(-EPROTO,
                         "connection %d: a message was lost: a process "
                         "receives here that does not have the end by fork",
                         c->fd);
    default:
        return ipc__connection_fail(c, error);
    }
}

/* One attempt, with others kept out. */
static int receive_once(const ipc_connection *c, struct receipt *r)
{
    int rc = ipc__connection_lock(c);
    if (rc != 0)
        return rc;
    r->fd = -1;
    rc = receive_now(c, r);
    ipc__guard_unlock(c->receiving);
    if (rc < 0 && r->fd >= 0)
        (void)close(r->fd);
    return rc;
}

static int receive(const ipc_connection *c, struct receipt *r,
                   ipc_deadline deadline)
{
    int rc;
    if (!c->receives)
        return -EBADF;
    do {
        rc = receive_once(c, r);
        if (rc != -EAGAIN)
            return rc;
        rc = ipc__connection_wait(c, POLLIN, deadline);
    } while (rc == 0);
    return rc;
}

static int receive_bytes(const ipc_connection *c, struct receipt *r,
                         ipc_deadline deadline)
{
    int rc = receive(c, r, deadline);
    if (rc == 0 && r->fd >= 0) {
        rc = ipc__spill_read(r->fd, (char *)r->buffer + r->inside,
                             r->bytes - r->inside);
        (void)close(r->fd);
    }
    return rc;
}

static int recv_into(const ipc_connection *c, void *buffer, size_t capacity,
                     size_t *bytes, ipc_deadline deadline)
{
    struct receipt r = {.buffer = buffer, .capacity = capacity};
    const int rc = receive_bytes(c, &r, deadline);
    if (rc == 0 || rc == -EMSGSIZE)
        *bytes = r.bytes;
    return explain(c, &r, rc);
}

int ipc_connection_recv_into(ipc_connection *connection, void *buffer,
                             size_t capacity, size_t *bytes)
{
    return recv_into(connection, buffer, capacity, bytes, IPC_TIME_FOREVER);
}

int ipc_connection_recv_into_nowait(ipc_connection *connection, void *buffer,
                                    size_t capacity, size_t *bytes)
{
    return recv_into(connection, buffer, capacity, bytes, IPC_TIME_NOW);
}

int ipc_connection_recv_into_until(ipc_connection *connection, void *buffer,
                                   size_t capacity, size_t *bytes,
                                   ipc_deadline deadline)
{
    return recv_into(connection, buffer, capacity, bytes,
                     ipc__connection_until(deadline));
}

/* Into memory of the right size, found by trying: nothing is allocated with
 * the guard. */
static int recv_fresh(const ipc_connection *c, void **data, size_t *bytes,
                      ipc_deadline deadline)
{
    struct receipt r = {.capacity = FIRST_CAPACITY};
    int rc;
    do {
        free(r.buffer);
        r.buffer = malloc(r.capacity + 1);
        if (r.buffer == NULL)
            return ipc__fail(-ENOMEM,
                             "connection %d: no memory for a message of up to "
                             "%zu bytes",
                             c->fd, r.capacity);
        rc = receive_bytes(c, &r, deadline);
        if (rc == -EMSGSIZE)
            r.capacity = r.bytes;
    } while (rc == -EMSGSIZE);
    if (rc < 0) {
        free(r.buffer);
        return explain(c, &r, rc);
    }
    ((char *)r.buffer)[r.bytes] = '\0';
    void *fitting = realloc(r.buffer, r.bytes + 1);
    *data = fitting != NULL ? fitting : r.buffer;
    *bytes = r.bytes;
    return 0;
}

int ipc_connection_recv(ipc_connection *connection, void **data, size_t *bytes)
{
    return recv_fresh(connection, data, bytes, IPC_TIME_FOREVER);
}

int ipc_connection_recv_nowait(ipc_connection *connection, void **data,
                               size_t *bytes)
{
    return recv_fresh(connection, data, bytes, IPC_TIME_NOW);
}

int ipc_connection_recv_until(ipc_connection *connection, void **data,
                              size_t *bytes, ipc_deadline deadline)
{
    return recv_fresh(connection, data, bytes, ipc__connection_until(deadline));
}

static int recv_fd(const ipc_connection *c, int *fd, ipc_deadline deadline)
{
    struct receipt r = {.wants_fd = true};
    const int rc = receive(c, &r, deadline);
    if (rc == 0)
        *fd = r.fd;
    return explain(c, &r, rc);
}

int ipc_connection_recv_fd(ipc_connection *connection, int *fd)
{
    return recv_fd(connection, fd, IPC_TIME_FOREVER);
}

int ipc_connection_recv_fd_nowait(ipc_connection *connection, int *fd)
{
    return recv_fd(connection, fd, IPC_TIME_NOW);
}

int ipc_connection_recv_fd_until(ipc_connection *connection, int *fd,
                                 ipc_deadline deadline)
{
    return recv_fd(connection, fd, ipc__connection_until(deadline));
}

int ipc_connection_poll(ipc_connection *connection, ipc_deadline deadline)
{
    if (!connection->receives)
        return ipc__connection_fail_direction(connection);
    const int rc = ipc__packet_wait(connection->fd, POLLIN, deadline);
    if (rc == -ETIMEDOUT)
        return 0;
    return rc < 0 ? ipc__connection_fail(connection, rc) : 1;
}
