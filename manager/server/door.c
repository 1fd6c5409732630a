/* Doors: who comes in, and how many.
 *
 * When there are no descriptors left a spare one is given up for as long as it
 * takes to accept one more and close it: or it would stay in the queue, and
 * epoll would tell us so for ever.  The doors then stay shut for 10 ms. */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "fail.h"
#include "server/core.h"

#define MS      ((int64_t)1000000)
#define ACCEPTS 64 /* of one door in a turn */
#define PAUSE   (10 * MS)

/* ---- may it come in? ---- */

static bool is_allowed(const struct ipcm__server *server,
                       const struct ipcm__peer *peer)
{
    const struct ipcm__config *config = server->config;
    if (peer->transport != IPCM__UNIX || peer->uid == geteuid())
        return true;
    for (size_t i = 0; i < config->uid_count; i++)
        if (config->uids[i] == peer->uid)
            return true;
    return false;
}

/* 0, or the errno of the refusal. */
static int judge(struct ipcm__server *server, const struct ipcm__peer *peer,
                 const struct ipcm__visitor *visitor)
{
    const ipc_manager_limits *limits = server->limits;
    const char *limit = NULL;
    uint32_t most = 0;
    if (!is_allowed(server, peer)) {
        ipcm__log(server, IPC_MANAGER_LOG_WARNING, "%s may not come",
                  peer->text);
        return EACCES;
    }
    if (server->connection_count >= limits->connections) {
        limit = "connections";
        most = limits->connections;
    } else if (limits->connections_per_peer != 0 &&
               visitor->connections >= limits->connections_per_peer) {
        limit = "connections_per_peer";
        most = limits->connections_per_peer;
    } else if (visitor->half_open >= limits->half_open) {
        limit = "half_open";
        most = limits->half_open;
    }
    if (limit == NULL)
        return 0;
    server->figures.refused_limit++;
    ipcm__log(server, IPC_MANAGER_LOG_WARNING, "%s: too many, %s is %u",
              peer->text, limit, most);
    return EUSERS;
}

static void refuse(struct ipcm__server *server, int fd,
                   const struct ipcm__peer *peer, struct ipcm__visitor *visitor,
                   int error)
{
    ipcm__greet_refuse(server, fd, peer, error);
    if (visitor == NULL)
        return;
    visitor->connections++;
    ipcm__visitor_leave(server, visitor);
}

static void receive_guest(struct ipcm__server *server, int fd,
                          const struct ipcm__peer *peer)
{
    struct ipcm__visitor *visitor = ipcm__visitor_of(server, peer);
    const int error = visitor != NULL ? judge(server, peer, visitor) : EUSERS;
    struct ipcm__connection *connection;
    server->figures.accepted++;
    if (error != 0) {
        refuse(server, fd, peer, visitor, error);
        return;
    }
    visitor->connections++;
    if (ipcm__connection_new(server, fd, peer, &connection) < 0) {
        ipcm__visitor_leave(server, visitor);
        return;
    }
    connection->visitor = visitor;
    if (ipcm__greet_begin(connection) < 0)
        ipcm__connection_close(connection);
    else
        ipcm__greet_turn(connection);
}

/* ---- accepting ---- */

static void set_doors(struct ipcm__server *server, uint32_t events)
{
    for (size_t i = 0; i < server->entrance_count; i++)
        ipcm__watch_set(server, &server->entrances[i].watch, events);
}

static void reopen(struct ipcm__timer *timer)
{
    struct ipcm__server *server =
        list_entry(timer, struct ipcm__server, reopen);
    if (server->spare_fd < 0)
        server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    set_doors(server, EPOLLIN);
}

static void no_descriptors(struct ipcm__entrance *entrance)
{
    struct ipcm__server *server = entrance->server;
    struct ipcm__peer peer;
    int fd;
    ipcm__log(server, IPC_MANAGER_LOG_WARNING, "no file descriptor is left");
    if (server->spare_fd >= 0) {
        close(server->spare_fd);
        server->spare_fd = -1;
        if (ipcm__door_accept(&entrance->door, &fd, &peer) == 0) {
            server->figures.accepted++;
            server->figures.refused_limit++;
            ipcm__greet_refuse(server, fd, &peer, EUSERS);
        }
        server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    set_doors(server, 0);
    ipcm__timer_set(&server->timers, &server->reopen, server->now + PAUSE);
}

static void on_visit(struct ipcm__watch *watch, uint32_t events)
{
    struct ipcm__entrance *entrance =
        list_entry(watch, struct ipcm__entrance, watch);
    struct ipcm__server *server = entrance->server;
    (void)events;
    for (int i = 0; i < ACCEPTS; i++) {
        struct ipcm__peer peer;
        int fd;
        const int rc = ipcm__door_accept(&entrance->door, &fd, &peer);
        if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS) {
            no_descriptors(entrance);
            return;
        }
        if (rc == -EAGAIN)
            return;
        if (rc == 0)
            receive_guest(server, fd, &peer);
    }
}

/* ---- opening ---- */

static int open_one(struct ipcm__server *server,
                    const struct ipcm__address *address)
{
    struct ipcm__entrance *entrance =
        &server->entrances[server->entrance_count];
    const struct ipcm__config *config = server->config;
    int rc = ipcm__door_open(address, ipcm__config_door_flags(config),
                             &entrance->door);
    if (rc < 0)
        return rc;
    entrance->server = server;
    rc = ipcm__watch_begin(server, &entrance->watch, entrance->door.fd, EPOLLIN,
                           on_visit);
    if (rc < 0) {
        ipcm__door_close(&entrance->door);
        return rc;
    }
    ipcm__address_format(&entrance->door.address, entrance->text,
                         sizeof entrance->text);
    server->addresses[server->entrance_count++] = entrance->text;
    return 0;
}

int ipcm__doors_open(struct ipcm__server *server)
{
    const struct ipcm__config *config = server->config;
    int rc = ipcm__timer_make(&server->timers, &server->reopen, reopen);
    if (rc == 0) {
        server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (server->spare_fd < 0)
            rc = ipcm__fail(-errno, "/dev/null cannot be opened: %s",
                            ipc_strerror(-errno));
    }
    for (size_t i = 0; i < config->address_count && rc == 0; i++)
        rc = open_one(server, &config->addresses[i]);
    return rc;
}

void ipcm__doors_close(struct ipcm__server *server)
{
    for (size_t i = 0; i < server->entrance_count; i++) {
        ipcm__watch_end(server, &server->entrances[i].watch);
        ipcm__door_close(&server->entrances[i].door);
    }
    server->entrance_count = 0;
    ipcm__timer_end(&server->timers, &server->reopen);
    if (server->spare_fd >= 0)
        close(server->spare_fd);
    server->spare_fd = -1;
}

size_t ipcm__server_addresses(const struct ipcm__server *server,
                              const char *const **out)
{
    *out = server->addresses;
    return server->entrance_count;
}
