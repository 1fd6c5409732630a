/* A server that holds a list, to be measured: an object_peer for each way of
 * asking it. */
#ifndef IPC_BENCH_MANAGER_PEER_H
#define IPC_BENCH_MANAGER_PEER_H

#include "object_peer.h"

/* How many requests a client has under way, if it has several. */
#define MANAGER_PIPELINE 16

/* Kept on disk: always before it is answered, or soon after. */
enum manager_way {
    MANAGER_SYNC,
    MANAGER_PIPE,
    MANAGER_SYNC_ALWAYS,
    MANAGER_PIPE_ALWAYS,
    MANAGER_SYNC_INTERVAL,
    MANAGER_PIPE_INTERVAL,
    MANAGER_WAYS
};

/* What is kept on disk goes into the current folder.  No length: it keeps
 * nothing at all. */
struct manager_peer {
    const char *name;
    const struct object_peer *ways[MANAGER_WAYS]; /* NULL: there is no such */
};

/* Connecting, until the first request can be sent: a server and as many
 * connections as wanted, one after the other. */
struct manager_caller {
    const char *name;
    void *(*make)(void);
    void (*drop)(void *server);
    void *(*call)(void *server);
    void (*hang_up)(void *connection);
};

extern const struct manager_peer manager_libipc;
extern const struct manager_peer manager_direct;
extern const struct manager_peer manager_echo;

extern const struct manager_caller manager_callers_libipc[];
extern const struct manager_caller manager_callers_echo[];

#endif
