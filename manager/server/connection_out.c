/* What goes out: replies, gathered in a turn and sent after its commit. */
#include <errno.h>
#include <string.h>

#include "fail.h"
#include "server/core.h"

#define MS ((int64_t)1000000)

int ipcm__connection_reply(struct ipcm__connection *connection,
                           const struct ipcm__reply *reply)
{
    const int rc = ipcm__encode_reply(&connection->out,
                                      &connection->server->config->wire, reply);
    if (rc == 0 && list_is_empty(&connection->of_sent))
        list_append(&connection->server->sending, &connection->of_sent);
    return rc;
}

int ipcm__connection_frame(struct ipcm__connection *connection,
                           const void *frame, size_t bytes)
{
    uint8_t *to =
        ipcm__buffer_reserve(&connection->out, IPCM__FRAME_HEAD + bytes);
    if (to == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a reply");
    for (unsigned i = 0; i < IPCM__FRAME_HEAD; i++)
        to[i] = (uint8_t)(bytes >> (8 * i));
    memcpy(to + IPCM__FRAME_HEAD, frame, bytes);
    connection->out.end += IPCM__FRAME_HEAD + bytes;
    if (list_is_empty(&connection->of_sent))
        list_append(&connection->server->sending, &connection->of_sent);
    return 0;
}

void ipcm__connection_send_fd(struct ipcm__connection *connection, int fd)
{
    connection->out_fd = fd;
    connection->out_fd_at = ipcm__connection_out(connection);
}

/* One write.  How many bytes; -EAGAIN; or an error. */
static int64_t write_some(struct ipcm__connection *connection)
{
    struct ipcm__buffer *out = &connection->out;
    size_t bytes = ipcm__connection_out(connection);
    if (connection->out_fd >= 0 && connection->out_fd_at != 0)
        bytes = connection->out_fd_at;
    else if (connection->out_fd >= 0)
        connection->stream.send_fd = connection->out_fd;
    const int64_t n =
        ipcm__stream_write(&connection->stream, out->data + out->begin, bytes);
    if (n <= 0)
        return n;
    if (connection->out_fd >= 0 && connection->out_fd_at == 0) {
        connection->stream.send_fd = -1;
        connection->out_fd = -1;
    } else if (connection->out_fd >= 0) {
        connection->out_fd_at -= (size_t)n;
    }
    ipcm__buffer_sent(out, (size_t)n);
    connection->server->figures.bytes_out += (uint64_t)n;
    return n;
}

/* Replies of a bare session: to its function. */
static void hand_out(struct ipcm__connection *connection)
{
    struct ipcm__server *server = connection->server;
    struct ipcm__buffer out = connection->out;
    connection->out = (struct ipcm__buffer){NULL, 0, 0, 0};
    while (out.begin < out.end) {
        uint32_t length;
        struct ipcm__reply reply;
        const uint8_t *head = out.data + out.begin;
        if (ipcm__frame_length(head, &server->config->wire, &length) < 0 ||
            ipcm__decode_reply(server->replies, head + IPCM__FRAME_HEAD, length,
                               &reply) < 0)
            break;
        connection->answer(connection->arg, &reply);
        out.begin += IPCM__FRAME_HEAD + length;
    }
    ipcm__buffer_free(&out);
}

/* Replies are not taken: from when on? */
static void watch_slowness(struct ipcm__connection *connection)
{
    struct ipcm__server *server = connection->server;
    const ipc_manager_limits *limits = server->limits;
    if (connection->phase != IPCM__PHASE_OPEN)
        return;
    if (ipcm__connection_out(connection) < limits->queued_bytes)
        ipcm__timer_clear(&server->timers, &connection->timer);
    else if (connection->timer.place == 0)
        ipcm__timer_set(&server->timers, &connection->timer,
                        server->now + limits->slow_client_ms * MS);
}

void ipcm__connection_flush(struct ipcm__connection *connection)
{
    int64_t n = 1;
    if (ipcm__connection_is_bare(connection)) {
        hand_out(connection);
        return;
    }
    if (connection->doomed) {
        ipcm__connection_close(connection);
        return;
    }
    if (connection->phase != IPCM__PHASE_OPEN &&
        connection->phase != IPCM__PHASE_LAST)
        return;
    const bool was_full = !ipcm__connection_may_go_on(connection);
    while (n > 0 && ipcm__connection_out(connection) != 0)
        n = write_some(connection);
    if ((n < 0 && n != -EAGAIN) || (connection->phase == IPCM__PHASE_LAST &&
                                    ipcm__connection_out(connection) == 0)) {
        ipcm__connection_close(connection);
        return;
    }
    watch_slowness(connection);
    if (was_full && ipcm__connection_may_go_on(connection) &&
        list_is_empty(&connection->of_ready))
        list_append(&connection->server->ready, &connection->of_ready);
    ipcm__connection_look(connection);
}
