/* Connections: bytes in, requests done, bytes out.
 *
 * State
 *   in     what has come and is no whole request yet, or has to wait its turn.
 *          Grows with what has come, not with what a length says
 *   out    replies.  Of a turn they are sent after it was committed, only
 *   ready  it has something to do: in the server's list, round robin
 *
 * No more is read while in_flight requests wait, while queued_bytes of replies
 * are not taken, while a request waits for the arena, and while requests that
 * have come are still to be done.
 *
 * Death: of the client: end of the stream, or its pidfd (session.c).  What it
 * had sent and nobody has answered may be done or not. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "fail.h"
#include "server/core.h"

#define MS      ((int64_t)1000000)
#define LAST_MS 2000 /* to take the last word */

/* ---- what it waits for ---- */

bool ipcm__connection_may_go_on(const struct ipcm__connection *connection)
{
    const ipc_manager_limits *limits = connection->server->limits;
    return connection->phase == IPCM__PHASE_OPEN && !connection->gone &&
           !connection->doomed && connection->session != NULL &&
           connection->session->waiting_count < limits->in_flight &&
           ipcm__connection_out(connection) < limits->queued_bytes;
}

static uint32_t wanted_events(const struct ipcm__connection *connection)
{
    const struct ipcm__stream *stream = &connection->stream;
    uint32_t events = 0;
    if (connection->phase == IPCM__PHASE_OPEN) {
        if (ipcm__connection_may_go_on(connection) && connection->stuck == 0 &&
            !connection->server->draining)
            events |= EPOLLIN;
        if (ipcm__connection_out(connection) != 0)
            events |= stream->want_read ? EPOLLIN : EPOLLOUT;
    } else if (connection->phase == IPCM__PHASE_LAST) {
        events |= stream->want_read ? EPOLLIN : EPOLLOUT;
    } else if (connection->phase != IPCM__PHASE_LATE) {
        const void *data;
        const bool writes = connection->shake != NULL &&
                            ipcm__shake_output(connection->shake, &data) != 0;
        events |= writes || stream->want_write ? EPOLLOUT : EPOLLIN;
    }
    if (stream->want_write)
        events |= EPOLLOUT;
    return events;
}

void ipcm__connection_look(struct ipcm__connection *connection)
{
    if (!connection->gone && !ipcm__connection_is_bare(connection))
        ipcm__watch_set(connection->server, &connection->watch,
                        wanted_events(connection));
}

void ipcm__connection_wake(struct ipcm__connection *connection)
{
    struct ipcm__server *server = connection->server;
    if (connection->gone)
        return;
    if (list_is_empty(&connection->of_ready))
        list_append(&server->ready, &connection->of_ready);
    if (list_is_empty(&connection->of_sent))
        list_append(&server->sending, &connection->of_sent);
}

static void on_events(struct ipcm__watch *watch, uint32_t events)
{
    struct ipcm__connection *connection =
        list_entry(watch, struct ipcm__connection, watch);
    if (connection->phase != IPCM__PHASE_OPEN &&
        connection->phase != IPCM__PHASE_LAST &&
        connection->phase != IPCM__PHASE_LATE) {
        ipcm__greet_turn(connection);
        return;
    }
    /* The other side is gone, and we are not reading what is left of it. */
    if ((events & (EPOLLHUP | EPOLLERR)) != 0 &&
        (watch->events & EPOLLIN) == 0) {
        ipcm__connection_close(connection);
        return;
    }
    connection->is_readable |= (events & ~(uint32_t)EPOLLOUT) != 0;
    ipcm__connection_wake(connection);
}

/* ---- begin and end ---- */

static void time_is_over(struct ipcm__timer *timer)
{
    struct ipcm__connection *connection =
        list_entry(timer, struct ipcm__connection, timer);
    struct ipcm__server *server = connection->server;
    if (connection->phase == IPCM__PHASE_LATE) {
        connection->phase = IPCM__PHASE_SHAKE;
        ipcm__greet_turn(connection);
        return;
    }
    if (connection->phase == IPCM__PHASE_OPEN) {
        server->figures.slow++;
        ipcm__log(server, IPC_MANAGER_LOG_WARNING,
                  "%s does not take its replies: slow_client_ms",
                  connection->peer.text);
    }
    ipcm__connection_close(connection);
}

static struct ipcm__connection *allocate(struct ipcm__server *server)
{
    struct ipcm__connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL)
        return NULL;
    connection->server = server;
    connection->watch.fd = -1;
    connection->out_fd = -1;
    connection->peer.pidfd = -1;
    connection->stream =
        (struct ipcm__stream){.fd = -1, .got_fd = -1, .send_fd = -1};
    list_init(&connection->of_server);
    list_init(&connection->of_ready);
    list_init(&connection->of_sent);
    if (ipcm__timer_make(&server->timers, &connection->timer, time_is_over) <
        0) {
        free(connection);
        return NULL;
    }
    return connection;
}

int ipcm__connection_new(struct ipcm__server *server, int fd,
                         const struct ipcm__peer *peer,
                         struct ipcm__connection **out)
{
    struct ipcm__connection *connection = allocate(server);
    struct ipcm__tls *tls = peer->transport == IPCM__TLS ? server->tls : NULL;
    int rc = connection != NULL
                 ? ipcm__stream_begin(&connection->stream, fd, tls)
                 : ipcm__fail(-ENOMEM, "no memory for a connection");
    if (rc < 0) {
        close(fd);
        if (peer->pidfd >= 0)
            close(peer->pidfd);
        if (connection != NULL)
            ipcm__connection_free(connection);
        return rc;
    }
    connection->stream.no_fds = true;
    connection->peer = *peer;
    connection->phase = tls != NULL ? IPCM__PHASE_TLS : IPCM__PHASE_SHAKE;
    list_append(&server->connections, &connection->of_server);
    server->connection_count++;
    rc = ipcm__watch_begin(server, &connection->watch, fd, EPOLLIN, on_events);
    if (rc < 0) {
        ipcm__connection_close(connection);
        return rc;
    }
    *out = connection;
    return 0;
}

int ipcm__connection_bare(struct ipcm__server *server,
                          void (*answer)(void *arg,
                                         const struct ipcm__reply *reply),
                          void *arg, struct ipcm__connection **out)
{
    struct ipcm__connection *connection = allocate(server);
    if (connection == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a connection");
    connection->answer = answer;
    connection->arg = arg;
    connection->phase = IPCM__PHASE_OPEN;
    connection->peer.transport = IPCM__UNIX;
    connection->peer.uid = geteuid();
    connection->peer.pid = getpid();
    (void)strcpy(connection->peer.text, "bare");
    list_append(&server->connections, &connection->of_server);
    server->connection_count++;
    *out = connection;
    return 0;
}

void ipcm__connection_close(struct ipcm__connection *connection)
{
    struct ipcm__server *server = connection->server;
    struct ipcm__session *session = connection->session;
    if (connection->gone)
        return;
    connection->gone = true;
    connection->session = NULL;
    ipcm__greet_end(connection);
    ipcm__timer_clear(&server->timers, &connection->timer);
    list_remove(&connection->of_ready);
    list_remove(&connection->of_sent);
    list_remove(&connection->of_server);
    list_append(&server->gone, &connection->of_server);
    if (connection->stuck != 0)
        server->stuck--;
    connection->stuck = 0;
    if (connection->watch.fd >= 0)
        ipcm__watch_end(server, &connection->watch);
    if (connection->stream.fd >= 0)
        ipcm__stream_end(&connection->stream);
    if (connection->visitor != NULL)
        ipcm__visitor_leave(server, connection->visitor);
    connection->visitor = NULL;
    server->connection_count--;
    if (session != NULL)
        ipcm__session_leave(session);
}

void ipcm__connection_free(struct ipcm__connection *connection)
{
    list_remove(&connection->of_server);
    ipcm__timer_end(&connection->server->timers, &connection->timer);
    ipcm__buffer_free(&connection->in);
    ipcm__buffer_free(&connection->out);
    if (connection->peer.pidfd >= 0)
        close(connection->peer.pidfd);
    free(connection);
}

void ipcm__connection_last(struct ipcm__connection *connection)
{
    struct ipcm__server *server = connection->server;
    struct ipcm__session *session = connection->session;
    connection->phase = IPCM__PHASE_LAST;
    ipcm__timer_set(&server->timers, &connection->timer,
                    server->now + LAST_MS * MS);
    if (session != NULL) {
        connection->session = NULL;
        session->connection = NULL;
        ipcm__session_end(session);
    }
    ipcm__connection_wake(connection);
}

void ipcm__connection_break(struct ipcm__connection *connection, int error)
{
    struct ipcm__server *server = connection->server;
    char detail[256];
    (void)snprintf(detail, sizeof detail, "%s", ipc_error_detail());
    const struct ipcm__reply reply = {
        .status = error, .detail = detail, .detail_bytes = strlen(detail)};
    server->figures.broken++;
    (void)ipcm__connection_reply(connection, &reply);
    connection->broken = error;
    if (ipcm__connection_is_bare(connection))
        return;
    ipcm__log(server, IPC_MANAGER_LOG_WARNING, "%s broke the rules: %s",
              connection->peer.text, detail);
    ipcm__connection_last(connection);
}
