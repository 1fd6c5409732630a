/* Connections: what epoll looks at, who comes in, and bytes in and out. */
#ifndef IPC_MANAGER_CONNECTION_H
#define IPC_MANAGER_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"
#include "net/net.h"
#include "server/server.h"
#include "server/timer.h"
#include "wire/handshake.h"
#include "wire/wire.h"

struct epoll_event;

/* ---- what epoll looks at ---- */

struct ipcm__watch {
    void (*ready)(struct ipcm__watch *watch, uint32_t events);
    int fd; /* -1: none */
    uint32_t events;
};

int ipcm__watch_begin(struct ipcm__server *server, struct ipcm__watch *watch,
                      int fd, uint32_t events,
                      void (*ready)(struct ipcm__watch *watch,
                                    uint32_t events));

/* Look for other events. */
void ipcm__watch_set(struct ipcm__server *server, struct ipcm__watch *watch,
                     uint32_t events);

/* No more.  The descriptor is still open. */
void ipcm__watch_end(struct ipcm__server *server, struct ipcm__watch *watch);

/* ---- peers ---- */

/* Of one uid, or one IP address. */
struct ipcm__visitor {
    uint64_t key;
    uint32_t connections;
    uint32_t half_open; /* of them */
    uint32_t failures;  /* one after the other */
    ipc_deadline calm;  /* then they are forgotten */
};

/* The one of a peer, made if there is none.  NULL: no memory. */
struct ipcm__visitor *ipcm__visitor_of(struct ipcm__server *server,
                                       const struct ipcm__peer *peer);

/* One connection less; and it is forgotten if nothing is to be remembered. */
void ipcm__visitor_leave(struct ipcm__server *server,
                         struct ipcm__visitor *visitor);

/* A wrong proof: how long its answer is to be held back. */
int64_t ipcm__visitor_failed(struct ipcm__server *server,
                             struct ipcm__visitor *visitor);
void ipcm__visitors_free(struct ipcm__server *server);

/* ---- connections ---- */

enum ipcm__phase {
    IPCM__PHASE_TLS,   /* before the handshake: TLS */
    IPCM__PHASE_SHAKE, /* the handshake */
    IPCM__PHASE_LATE,  /* a refusal that is held back */
    IPCM__PHASE_OPEN,
    IPCM__PHASE_LAST /* what is there is sent, then it is closed */
};

struct ipcm__connection {
    struct ipcm__server *server;
    struct list of_server;
    struct list of_ready; /* has something to do in this turn */
    struct list of_sent;  /* has something to send */
    struct ipcm__watch watch;
    struct ipcm__stream stream;
    enum ipcm__phase phase;
    bool gone;                 /* freed at the end of the turn */
    bool is_half_open;         /* counts as such */
    bool is_readable;          /* epoll says so */
    bool was_resumed;          /* requests may be known */
    bool says_goodbye;         /* its session ends with this request */
    bool doomed;               /* no memory for a reply: close it */
    struct ipcm__shake *shake; /* NULL: it is over */
    struct ipcm__peer peer;    /* its pidfd goes to the session */
    struct ipcm__visitor *visitor;
    struct ipcm__timer timer; /* handshake, refusal, or slow */
    struct ipcm__session *session;
    struct ipcm__buffer in;
    struct ipcm__buffer out;
    int out_fd;         /* to be sent; -1 */
    size_t out_fd_at;   /* with this byte of out */
    uint64_t last;      /* id of its requests */
    ipc_deadline stuck; /* since when its request waits for the arena; 0 */

    /* Of ipcm__session_open_bare(): then there is no stream. */
    void (*answer)(void *arg, const struct ipcm__reply *reply);
    void *arg;
    int broken; /* bare: why it would have been closed */
};

/* Takes over descriptor and peer; also when it fails. */
int ipcm__connection_new(struct ipcm__server *server, int fd,
                         const struct ipcm__peer *peer,
                         struct ipcm__connection **out);

/* One without a stream. */
int ipcm__connection_bare(struct ipcm__server *server,
                          void (*answer)(void *arg,
                                         const struct ipcm__reply *reply),
                          void *arg, struct ipcm__connection **out);

/* Close it now: the session is in its grace, or ends. */
void ipcm__connection_close(struct ipcm__connection *connection);

/* Its session ends; it is closed when what there is was sent. */
void ipcm__connection_last(struct ipcm__connection *connection);

/* The client broke the rules: say so, and close; its session ends. */
void ipcm__connection_break(struct ipcm__connection *connection, int error);

/* Read, and do as many requests as it has in a turn. */
void ipcm__connection_turn(struct ipcm__connection *connection);

/* Do requests that are there, at most so many.  True: there are more, which
 * could be done now. */
bool ipcm__connection_serve(struct ipcm__connection *connection, uint32_t most);

/* Send what is there. */
void ipcm__connection_flush(struct ipcm__connection *connection);

/* It has something to do, or to send. */
void ipcm__connection_wake(struct ipcm__connection *connection);

/* Append a reply.  An error: it is as it was. */
int ipcm__connection_reply(struct ipcm__connection *connection,
                           const struct ipcm__reply *reply);

/* Append a frame as it is. */
int ipcm__connection_frame(struct ipcm__connection *connection,
                           const void *frame, size_t bytes);

/* Look for what is wanted now. */
void ipcm__connection_look(struct ipcm__connection *connection);

/* The descriptor to send with what is appended next. */
void ipcm__connection_send_fd(struct ipcm__connection *connection, int fd);

void ipcm__connection_free(struct ipcm__connection *connection);

/* ---- handshakes ---- */

int ipcm__greet_begin(struct ipcm__connection *connection);

/* Go on, with what can be read or written. */
void ipcm__greet_turn(struct ipcm__connection *connection);

/* Too many, or not to come: say why, in one write, and that is all. */
void ipcm__greet_refuse(struct ipcm__server *server, int fd,
                        const struct ipcm__peer *peer, int error);

/* It is over: what it had. */
void ipcm__greet_end(struct ipcm__connection *connection);

/* ---- doors ---- */

struct ipcm__entrance {
    struct ipcm__watch watch;
    struct ipcm__door door;
    struct ipcm__server *server;
    char text[IPCM__ADDRESS_TEXT];
};

int ipcm__doors_open(struct ipcm__server *server);
void ipcm__doors_close(struct ipcm__server *server);

/* ---- what its files have in common ---- */

static inline size_t ipcm__connection_in(const struct ipcm__connection *it)
{
    return it->in.end - it->in.begin;
}

static inline size_t ipcm__connection_out(const struct ipcm__connection *it)
{
    return it->out.end - it->out.begin;
}

static inline bool ipcm__connection_is_bare(const struct ipcm__connection *it)
{
    return it->answer != NULL;
}

/* May another request of it be done? */
bool ipcm__connection_may_go_on(const struct ipcm__connection *connection);

#endif
