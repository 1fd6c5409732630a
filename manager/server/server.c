/* Server: its parts put together, and taken apart. */
#include "server/core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <sodium.h>

#include "fail.h"

#define EVENTS     256
#define SWEEP_MOST 256
#define SWEEP_EACH ((int64_t)1000000000)

ipc_deadline ipcm__now(const struct ipcm__server *server)
{
    return server->now;
}

struct ipcm__keeper *ipcm__server_keeper(const struct ipcm__server *server)
{
    return server->keeper;
}

/* ---- open ---- */

static void sweep(struct ipcm__timer *timer)
{
    struct ipcm__server *server = list_entry(timer, struct ipcm__server, sweep);
    ipcm__objects_sweep(server, SWEEP_MOST);
    ipcm__timer_set(&server->timers, timer, server->now + SWEEP_EACH);
}

static void init_lists(struct ipcm__server *server)
{
    list_init(&server->connections);
    list_init(&server->ready);
    list_init(&server->sending);
    list_init(&server->gone);
    list_init(&server->sessions);
    list_init(&server->object_list);
    list_init(&server->name_list);
    list_init(&server->loose);
    list_init(&server->rung);
    for (size_t i = 0; i < 3; i++) {
        server->sites[i].fd = -1;
        list_init(&server->sites[i].chores);
    }
}

static int allocate(const struct ipcm__config *config,
                    struct ipcm__server **out)
{
    struct ipcm__server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a server");
    server->config = config;
    server->limits = &config->limits;
    server->epoll = -1;
    server->spare_fd = -1;
    server->stop.fd = -1;
    server->now = ipc_now();
    server->began = server->now;
    init_lists(server);
    *out = server;
    return 0;
}

/* What does no I/O but for the store. */
static int furnish(struct ipcm__server *server)
{
    const struct ipcm__config *config = server->config;
    if (sodium_init() < 0)
        return ipcm__fail(-EIO, "no random numbers");
    randombytes_buf(server->hash_key, sizeof server->hash_key);
    randombytes_buf(&server->instance, sizeof server->instance);
    int rc = ipcm__decoder_new(&config->wire, &server->decoder);
    if (rc == 0)
        rc = ipcm__timer_make(&server->timers, &server->sweep, sweep);
    if (rc == 0)
        rc = ipcm__places_open(server);
    if (rc == 0)
        rc = ipcm__keeper_open(server, config, &server->keeper);
    if (rc == 0 && server->keeper != NULL)
        rc = ipcm__keeper_load(server->keeper);
    if (rc == 0 && server->keeper != NULL)
        ipcm__timer_set(&server->timers, &server->sweep,
                        server->now + SWEEP_EACH);
    return rc;
}

static void on_stop(struct ipcm__watch *watch, uint32_t events)
{
    (void)events;
    list_entry(watch, struct ipcm__server, stop)->stopping = true;
}

static int open_loop(struct ipcm__server *server)
{
    const struct ipcm__config *config = server->config;
    server->events = calloc(EVENTS, sizeof *server->events);
    if (server->events == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a server");
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (server->epoll < 0)
        return ipcm__fail(-errno, "no epoll: %s", ipc_strerror(-errno));
    return config->stop_fd >= 0
               ? ipcm__watch_begin(server, &server->stop, config->stop_fd,
                                   EPOLLIN, on_stop)
               : 0;
}

int ipcm__server_open(const struct ipcm__config *config,
                      struct ipcm__server **out)
{
    const struct ipcm__tls_options options = {.server = true,
                                              .certificate =
                                                  config->tls_certificate,
                                              .key = config->tls_key,
                                              .ca = config->tls_client_ca};
    struct ipcm__server *server;
    int rc = allocate(config, &server);
    if (rc < 0)
        return rc;
    if (ipcm__config_has_tls(config))
        rc = ipcm__tls_new(&options, &server->tls);
    if (rc == 0)
        rc = furnish(server);
    if (rc == 0)
        rc = open_loop(server);
    if (rc == 0)
        rc = ipcm__doors_open(server);
    if (rc < 0) {
        ipcm__server_free(server);
        return rc;
    }
    *out = server;
    return 0;
}

/* ---- run ---- */

int ipcm__server_run(struct ipcm__server *server)
{
    int rc = 0;
    ipcm__log(server, IPC_MANAGER_LOG_INFO, "ready");
    while (rc == 0 && !server->stopping)
        rc = ipcm__loop_turn(server, IPC_TIME_FOREVER);
    ipcm__log(server, IPC_MANAGER_LOG_INFO, "stopping");
    ipcm__doors_close(server);
    if (rc == 0)
        ipcm__loop_drain(server);
    const int closed = ipcm__keeper_close(server->keeper);
    server->keeper = NULL;
    if (server->failed != 0 || closed < 0)
        return -EIO;
    return rc;
}

/* ---- free ---- */

static void end_sessions(struct ipcm__server *server)
{
    while (!list_is_empty(&server->sessions))
        ipcm__session_end(
            list_entry(server->sessions.next, struct ipcm__session, of_server));
    while (!list_is_empty(&server->connections))
        ipcm__connection_close(list_entry(server->connections.next,
                                          struct ipcm__connection, of_server));
    ipcm__loop_bury(server);
}

void ipcm__server_free(struct ipcm__server *server)
{
    if (server == NULL)
        return;
    (void)ipcm__keeper_close(server->keeper);
    server->keeper = NULL;
    ipcm__doors_close(server);
    end_sessions(server);
    ipcm__notes_free(server);
    ipcm__objects_free(server);
    ipcm__places_close(server);
    ipcm__visitors_free(server);
    ipcm__map_free(&server->session_ids);
    ipcm__timers_free(&server->timers);
    ipcm__decoder_free(server->decoder);
    ipcm__decoder_free(server->replies);
    ipcm__tls_free(server->tls);
    if (server->epoll >= 0)
        close(server->epoll);
    free(server->events);
    free(server->handles);
    free(server);
}

/* ---- bare ---- */

int ipcm__server_open_bare(const struct ipcm__config *config,
                           struct ipcm__server **out)
{
    struct ipcm__server *server;
    int rc = allocate(config, &server);
    if (rc < 0)
        return rc;
    rc = furnish(server);
    if (rc == 0)
        rc = ipcm__decoder_new(&config->wire, &server->replies);
    if (rc < 0) {
        ipcm__server_free(server);
        return rc;
    }
    *out = server;
    return 0;
}

int ipcm__session_open_bare(struct ipcm__server *server,
                            void (*answer)(void *arg,
                                           const struct ipcm__reply *reply),
                            void *arg, struct ipcm__session **out)
{
    struct ipcm__session *session;
    struct ipcm__connection *connection;
    int rc = ipcm__session_new(server, &session);
    if (rc < 0)
        return rc;
    rc = ipcm__connection_bare(server, answer, arg, &connection);
    if (rc < 0) {
        ipcm__session_end(session);
        return rc;
    }
    ipcm__session_join(session, connection);
    *out = session;
    return 0;
}

int ipcm__server_feed(struct ipcm__server *server,
                      struct ipcm__session *session, const void *data,
                      size_t bytes)
{
    struct ipcm__connection *connection = session->connection;
    struct ipcm__buffer *in = &connection->in;
    uint8_t *to = ipcm__buffer_reserve(in, IPCM__FRAME_HEAD + bytes);
    if (to == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a request");
    for (unsigned i = 0; i < IPCM__FRAME_HEAD; i++)
        to[i] = (uint8_t)(bytes >> (8 * i));
    if (bytes != 0)
        memcpy(to + IPCM__FRAME_HEAD, data, bytes);
    in->end += IPCM__FRAME_HEAD + bytes;
    server->blocked = false;
    (void)ipcm__connection_serve(connection, UINT32_MAX);
    const int rc = connection->broken;
    if (rc < 0)
        ipcm__buffer_free(in);
    connection->broken = 0;
    if (!server->dirty) /* else replies wait for the commit */
        ipcm__connection_flush(connection);
    return rc;
}

int ipcm__server_turn(struct ipcm__server *server, ipc_deadline now)
{
    server->now = now;
    server->blocked = false;
    for (struct list *at = server->connections.next; at != &server->connections;
         at = at->next)
        (void)ipcm__connection_serve(
            list_entry(at, struct ipcm__connection, of_server), UINT32_MAX);
    return ipcm__loop_finish(server);
}
