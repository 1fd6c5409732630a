/* Loop: one turn after the other.
 *
 *     wait for something to happen, at most until the next timer
 *     what happened: who comes in, who can be read from, who has died
 *     each connection that has something to do: limits.turn requests
 *     timers
 *     the arena's chores
 *     the store's commit
 *     send
 *
 * While something is left to do for the next turn it does not wait. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "fail.h"
#include "server/core.h"

#define MS       ((int64_t)1000000)
#define EVENTS   256
#define RETRY    (2 * MS) /* for an arena that somebody holds */
#define WAIT_MAX 60000    /* ms */

/* ---- what epoll looks at ---- */

int ipcm__watch_begin(struct ipcm__server *server, struct ipcm__watch *watch,
                      int fd, uint32_t events,
                      void (*ready)(struct ipcm__watch *watch, uint32_t events))
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    watch->ready = ready;
    watch->events = events;
    watch->fd = -1;
    if (server->epoll < 0)
        return ipcm__fail(-ENOTSUP, "a bare server looks at nothing");
    if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        return ipcm__fail(-errno, "epoll does not take the descriptor");
    watch->fd = fd;
    return 0;
}

void ipcm__watch_set(struct ipcm__server *server, struct ipcm__watch *watch,
                     uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (watch->fd < 0 || watch->events == events)
        return;
    watch->events = events;
    (void)epoll_ctl(server->epoll, EPOLL_CTL_MOD, watch->fd, &event);
}

void ipcm__watch_end(struct ipcm__server *server, struct ipcm__watch *watch)
{
    if (watch->fd < 0)
        return;
    (void)epoll_ctl(server->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->fd = -1;
    /* It may have been told of in this very turn. */
    for (int i = 0; i < server->event_count; i++)
        if (server->events[i].data.ptr == watch)
            server->events[i].data.ptr = NULL;
}

/* ---- waiting ---- */

/* -1: for as long as it takes, which costs the kernel no timer. */
static int wait_ms(const struct ipcm__server *server, ipc_deadline until)
{
    if (!list_is_empty(&server->ready) || !list_is_empty(&server->rung) ||
        !list_is_empty(&server->sending))
        return 0;
    ipc_deadline next = ipcm__timers_next(&server->timers);
    const ipc_deadline keeper = ipcm__keeper_next(server->keeper);
    if (keeper < next)
        next = keeper;
    if (until < next)
        next = until;
    if (next == IPC_TIME_FOREVER && server->stuck == 0)
        return -1;
    const int64_t now = ipc_now();
    if (server->stuck != 0 && now + RETRY < next)
        next = now + RETRY;
    if (next <= now)
        return 0;
    const int64_t ms = (next - now + MS - 1) / MS;
    return ms < WAIT_MAX ? (int)ms : WAIT_MAX;
}

static int wait_for_events(struct ipcm__server *server, ipc_deadline until)
{
    int n = epoll_wait(server->epoll, server->events, EVENTS,
                       wait_ms(server, until));
    if (n < 0 && errno != EINTR)
        return ipcm__fail(-errno, "epoll does not wait");
    server->event_count = n > 0 ? n : 0;
    server->now = ipc_now();
    for (int i = 0; i < server->event_count; i++) {
        struct ipcm__watch *watch = server->events[i].data.ptr;
        if (watch != NULL)
            watch->ready(watch, server->events[i].events);
    }
    server->event_count = 0;
    return 0;
}

/* ---- a turn ---- */

static void wake_stuck(struct ipcm__server *server)
{
    for (struct list *at = server->connections.next;
         server->stuck != 0 && at != &server->connections; at = at->next) {
        struct ipcm__connection *connection =
            list_entry(at, struct ipcm__connection, of_server);
        if (connection->stuck != 0)
            ipcm__connection_wake(connection);
    }
}

/* Each once: those that are ready again have their turn in the next one. */
static void serve_ready(struct ipcm__server *server)
{
    struct list end;
    list_append(&server->ready, &end);
    while (server->ready.next != &end) {
        struct ipcm__connection *connection =
            list_entry(server->ready.next, struct ipcm__connection, of_ready);
        list_remove(&connection->of_ready);
        ipcm__connection_turn(connection);
    }
    list_remove(&end);
}

void ipcm__loop_bury(struct ipcm__server *server)
{
    while (!list_is_empty(&server->gone))
        ipcm__connection_free(
            list_entry(server->gone.next, struct ipcm__connection, of_server));
}

static void send_all(struct ipcm__server *server)
{
    struct list end;
    list_append(&server->sending, &end);
    while (server->sending.next != &end) {
        struct ipcm__connection *connection =
            list_entry(server->sending.next, struct ipcm__connection, of_sent);
        list_remove(&connection->of_sent);
        ipcm__connection_flush(connection);
    }
    list_remove(&end);
}

int ipcm__loop_finish(struct ipcm__server *server)
{
    ipcm__wait_rung(server);
    ipcm__timers_run(&server->timers, server->now);
    ipcm__wait_rung(server);
    ipcm__places_turn(server);
    const int rc = ipcm__keeper_commit(server->keeper, server->now);
    if (rc < 0) {
        server->failed = -EIO;
        server->stopping = true;
        ipcm__log(server, IPC_MANAGER_LOG_ERROR, "the store: %s",
                  ipc_error_detail());
        return rc;
    }
    server->dirty = false;
    send_all(server);
    ipcm__loop_bury(server);
    return 0;
}

int ipcm__loop_turn(struct ipcm__server *server, ipc_deadline until)
{
    server->blocked = false;
    const int rc = wait_for_events(server, until);
    if (rc < 0)
        return rc;
    wake_stuck(server);
    serve_ready(server);
    return ipcm__loop_finish(server);
}

/* ---- the end ---- */

static bool is_idle(const struct ipcm__server *server)
{
    for (const struct list *at = server->connections.next;
         at != &server->connections; at = at->next) {
        const struct ipcm__connection *connection =
            list_entry(at, struct ipcm__connection, of_server);
        if (connection->out.begin != connection->out.end ||
            !list_is_empty(&connection->of_ready))
            return false;
    }
    return true;
}

void ipcm__loop_drain(struct ipcm__server *server)
{
    const ipc_deadline end = ipc_now() + server->limits->drain_ms * MS;
    /* What had come by now is taken, and nothing after it. */
    for (struct list *at = server->connections.next; at != &server->connections;
         at = at->next) {
        struct ipcm__connection *connection =
            list_entry(at, struct ipcm__connection, of_server);
        if (connection->phase != IPCM__PHASE_OPEN)
            continue;
        connection->is_readable = true;
        ipcm__connection_wake(connection);
    }
    int rc = ipcm__loop_turn(server, server->now);
    server->draining = true;
    while (rc == 0 && server->failed == 0 && !is_idle(server) &&
           ipc_now() < end)
        rc = ipcm__loop_turn(server, end);
}
