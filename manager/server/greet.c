/* Greeting: TLS and the handshake, until somebody has a session.
 *
 * Each step is bounded: by handshake_ms in all, by the sizes of the four
 * messages, and by half_open connections of one peer.  Who fails to prove the
 * key is told so late, the more often the later. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fail.h"
#include "server/core.h"

#define MS ((int64_t)1000000)

static void set_time(struct ipcm__connection *connection, int64_t ns)
{
    struct ipcm__server *server = connection->server;
    ipcm__timer_set(&server->timers, &connection->timer, server->now + ns);
}

static int begin_shake(struct ipcm__connection *connection)
{
    const struct ipcm__config *config = connection->server->config;
    uint8_t binding[32];
    int rc = ipcm__stream_binding(&connection->stream, binding);
    if (rc < 0)
        return rc;
    connection->shake = calloc(1, sizeof *connection->shake);
    if (connection->shake == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a handshake");
    const struct ipcm__shake_options options = {.purpose = IPCM__FOR_MANAGER,
                                                .key = config->key,
                                                .key_bytes = config->key_bytes,
                                                .binding = binding};
    return ipcm__shake_begin(connection->shake, IPCM__SERVER, &options);
}

int ipcm__greet_begin(struct ipcm__connection *connection)
{
    connection->is_half_open = true;
    connection->visitor->half_open++;
    set_time(connection, connection->server->limits->handshake_ms * MS);
    return connection->phase == IPCM__PHASE_SHAKE ? begin_shake(connection) : 0;
}

void ipcm__greet_end(struct ipcm__connection *connection)
{
    if (connection->shake != NULL) {
        ipcm__shake_end(connection->shake);
        free(connection->shake);
        connection->shake = NULL;
    }
    if (connection->is_half_open && connection->visitor != NULL)
        connection->visitor->half_open--;
    connection->is_half_open = false;
}

/* ---- who it is ---- */

static void fill_welcome(const struct ipcm__session *session, uint32_t flags,
                         struct ipcm__welcome *out)
{
    const struct ipcm__server *server = session->server;
    const ipc_manager_limits *limits = server->limits;
    *out = (struct ipcm__welcome){
        .instance = server->instance,
        .flags = flags | (session->may_map ? IPCM__WELCOME_ARENA : 0u),
        .frame_bytes = limits->frame_bytes,
        .in_flight = limits->in_flight,
        .grace_ms = ipcm__session_grace_ms(session),
        .depth = limits->depth,
        .nodes = limits->nodes};
    memcpy(out->session, session->id, sizeof out->session);
}

/* The proof is right. */
static void admit(struct ipcm__connection *connection)
{
    struct ipcm__server *server = connection->server;
    struct ipcm__shake *shake = connection->shake;
    struct ipcm__session *session =
        ipcm__session_find(server, shake->session, &connection->peer);
    uint32_t flags = 0;
    connection->visitor->failures = 0;
    /* One that keeps no answers does not come back: what was done already, on
     * a connection whose end we have not seen yet, would be done twice. */
    if (session != NULL && session->answers == NULL) {
        ipcm__session_end(session);
        session = NULL;
    }
    if (session != NULL) {
        flags = IPCM__WELCOME_RESUMED;
        if (session->restored)
            flags |= IPCM__WELCOME_RESTARTED;
        connection->was_resumed = true;
    } else if (ipcm__session_new(server, &session) < 0) {
        ipcm__shake_refuse(shake, EUSERS);
        return;
    }
    ipcm__session_join(session, connection);
    if (session->peer.transport != IPCM__UNIX && shake->pid != 0)
        (void)snprintf(session->label, sizeof session->label, "pid %u there",
                       shake->pid);
    struct ipcm__welcome welcome;
    fill_welcome(session, flags, &welcome);
    ipcm__shake_accept(shake, &welcome);
    ipcm__log(server, IPC_MANAGER_LOG_DEBUG, "session %u: %s%s",
              session->number, session->peer.text,
              connection->was_resumed ? ", again" : "");
}

/* ---- steps ---- */

/* 1: all is sent; 0: not yet; or an error. */
static int send_output(struct ipcm__connection *connection)
{
    for (;;) {
        const void *data;
        const size_t bytes = ipcm__shake_output(connection->shake, &data);
        if (bytes == 0)
            return 1;
        const int64_t n = ipcm__stream_write(&connection->stream, data, bytes);
        if (n == -EAGAIN)
            return 0;
        if (n < 0)
            return (int)n;
        ipcm__shake_sent(connection->shake, (size_t)n);
    }
}

/* The refusal of a wrong proof is held back. */
static void hold_back(struct ipcm__connection *connection)
{
    struct ipcm__server *server = connection->server;
    const int64_t most = server->limits->handshake_ms * MS;
    const int64_t late = ipcm__visitor_failed(server, connection->visitor);
    server->figures.refused_key++;
    ipcm__log(server, IPC_MANAGER_LOG_WARNING, "%s does not have the key",
              connection->peer.text);
    connection->phase = IPCM__PHASE_LATE;
    set_time(connection, late < most ? late : most);
}

/* 1: go on; 0: wait; or an error. */
static int receive(struct ipcm__connection *connection)
{
    uint8_t bytes[IPCM__HELLO_BYTES];
    size_t wants = ipcm__shake_wants(connection->shake);
    if (wants > sizeof bytes)
        wants = sizeof bytes;
    if (wants == 0)
        return -EPIPE;
    const int64_t n = ipcm__stream_read(&connection->stream, bytes, wants);
    if (n == -EAGAIN)
        return 0;
    if (n < 0)
        return (int)n;
    const int rc = ipcm__shake_feed(connection->shake, bytes, (size_t)n);
    if (rc == IPCM__SHAKE_ASK)
        admit(connection);
    return rc < 0 ? rc : 1;
}

static void open_up(struct ipcm__connection *connection)
{
    struct ipcm__server *server = connection->server;
    ipcm__greet_end(connection);
    connection->phase = IPCM__PHASE_OPEN;
    connection->is_readable = true;
    ipcm__timer_clear(&server->timers, &connection->timer);
    ipcm__connection_wake(connection);
}

/* It cannot become anything; what is there to be said is said. */
static void fail(struct ipcm__connection *connection, int error)
{
    if (error == -EACCES && connection->phase == IPCM__PHASE_SHAKE) {
        hold_back(connection);
        ipcm__connection_look(connection);
        return;
    }
    if (connection->shake != NULL)
        (void)send_output(connection);
    ipcm__connection_close(connection);
}

/* 1: it is done; 0: wait; or an error. */
static int step(struct ipcm__connection *connection)
{
    int rc = 1;
    if (connection->phase == IPCM__PHASE_TLS) {
        rc = ipcm__stream_ready(&connection->stream);
        if (rc <= 0)
            return rc;
        rc = begin_shake(connection);
        if (rc < 0)
            return rc;
        connection->phase = IPCM__PHASE_SHAKE;
        rc = 1;
    }
    while (rc == 1) {
        rc = send_output(connection);
        if (rc != 1)
            return rc;
        if (connection->shake->error != 0) /* the refusal is out */
            return -EPIPE;
        if (connection->session != NULL)
            return 1;
        rc = receive(connection);
    }
    return rc;
}

void ipcm__greet_turn(struct ipcm__connection *connection)
{
    const int rc = step(connection);
    if (rc == 1)
        open_up(connection);
    else if (rc < 0)
        fail(connection, rc);
    if (!connection->gone)
        ipcm__connection_look(connection);
}

/* ---- refusals at the door ---- */

void ipcm__greet_refuse(struct ipcm__server *server, int fd,
                        const struct ipcm__peer *peer, int error)
{
    const struct ipcm__config *config = server->config;
    const struct ipcm__shake_options options = {.purpose = IPCM__FOR_MANAGER,
                                                .key = config->key,
                                                .key_bytes = config->key_bytes};
    struct ipcm__shake shake;
    const void *data;
    uint8_t hello[IPCM__HELLO_BYTES];
    if (peer->transport != IPCM__TLS &&
        ipcm__shake_begin(&shake, IPCM__SERVER, &options) == 0) {
        ipcm__shake_refuse(&shake, error);
        const size_t bytes = ipcm__shake_output(&shake, &data);
        (void)send(fd, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        ipcm__shake_end(&shake);
        /* What has come and is not read would break what we have sent. */
        (void)recv(fd, hello, sizeof hello, MSG_DONTWAIT);
    }
    close(fd);
    if (peer->pidfd >= 0)
        close(peer->pidfd);
}
