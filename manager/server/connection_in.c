/* What comes in: whole frames, so many in a turn, and more bytes. */
#include <errno.h>

#include "fail.h"
#include "server/core.h"

#define READ_LEAST   4096u
#define READ_MOST    65536u
#define READS_A_TURN 4

/* ---- requests ---- */

/* The next whole frame: 1; 0 there is none; or an error. */
static int next_frame(const struct ipcm__connection *connection,
                      uint32_t *length)
{
    if (ipcm__connection_in(connection) < IPCM__FRAME_HEAD)
        return 0;
    const int rc =
        ipcm__frame_length(connection->in.data + connection->in.begin,
                           &connection->server->config->wire, length);
    if (rc < 0)
        return rc;
    return ipcm__connection_in(connection) - IPCM__FRAME_HEAD >= *length;
}

/* 1: it was done; 0: not now; or an error, and it is broken. */
static int serve_one(struct ipcm__connection *connection)
{
    uint32_t length;
    int rc = next_frame(connection, &length);
    if (rc == 0)
        return 0;
    if (rc > 0)
        rc = ipcm__request_take(connection,
                                connection->in.data + connection->in.begin +
                                    IPCM__FRAME_HEAD,
                                length);
    if (rc == IPCM__STUCK)
        return 0;
    if (rc < 0) {
        ipcm__connection_break(connection, rc);
        return rc;
    }
    ipcm__buffer_sent(&connection->in, IPCM__FRAME_HEAD + length);
    if (connection->says_goodbye) {
        connection->says_goodbye = false;
        if (!ipcm__connection_is_bare(connection))
            ipcm__connection_last(connection);
    }
    return 1;
}

bool ipcm__connection_serve(struct ipcm__connection *connection, uint32_t most)
{
    uint32_t done = 0;
    uint32_t length;
    int rc = 1;
    while (done < most && ipcm__connection_may_go_on(connection) && rc == 1) {
        rc = serve_one(connection);
        done++;
    }
    return rc == 1 && ipcm__connection_may_go_on(connection) &&
           next_frame(connection, &length) != 0;
}

/* ---- in ---- */

/* As much as has come already, so that it grows with what comes. */
static size_t reading_room(const struct ipcm__connection *connection)
{
    const size_t have = ipcm__connection_in(connection);
    if (have < READ_LEAST)
        return READ_LEAST;
    return have < READ_MOST ? have : READ_MOST;
}

/* 1: that was all the room; 0: there is no more; or an error. */
static int read_some(struct ipcm__connection *connection)
{
    struct ipcm__server *server = connection->server;
    const size_t room = reading_room(connection);
    uint8_t *to = ipcm__buffer_reserve(&connection->in, room);
    if (to == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a request");
    const int64_t n = ipcm__stream_read(&connection->stream, to, room);
    if (n == -EAGAIN)
        return 0;
    if (n < 0)
        return (int)n;
    connection->in.end += (size_t)n;
    server->figures.bytes_in += (uint64_t)n;
    return (size_t)n == room || ipcm__stream_pending(&connection->stream);
}

/* Until a whole frame is there, or nothing more. */
static int read_frame(struct ipcm__connection *connection)
{
    uint32_t length;
    int rc = 1;
    for (int i = 0; i < READS_A_TURN && rc == 1; i++) {
        rc = read_some(connection);
        if (next_frame(connection, &length) != 0)
            break;
    }
    return rc;
}

void ipcm__connection_turn(struct ipcm__connection *connection)
{
    struct ipcm__server *server = connection->server;
    const uint32_t turn = server->limits->turn;
    int rc = 0;
    if (connection->phase != IPCM__PHASE_OPEN) {
        ipcm__connection_look(connection);
        return;
    }
    bool more = ipcm__connection_in(connection) != 0 &&
                ipcm__connection_serve(connection, turn);
    if (!more && connection->is_readable &&
        ipcm__connection_may_go_on(connection) && connection->stuck == 0 &&
        !server->draining) {
        connection->is_readable = false;
        rc = read_frame(connection);
        more = ipcm__connection_serve(connection, turn);
    }
    if (connection->gone)
        return;
    if (connection->in.begin == connection->in.end &&
        connection->in.room > READ_LEAST)
        ipcm__buffer_free(&connection->in);
    connection->is_readable |= rc == 1;
    if (rc < 0 && !more && connection->stuck == 0 &&
        connection->phase == IPCM__PHASE_OPEN)
        ipcm__connection_close(connection);
    else if (more || rc == 1)
        ipcm__connection_wake(connection);
}
