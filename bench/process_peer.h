/* One way to start a process and to wait for its end. */
#ifndef IPC_BENCH_PROCESS_PEER_H
#define IPC_BENCH_PROCESS_PEER_H

#include "bench.h"

#define PROCESS_MANY 10

struct process_peer {
    const char *name;
    bool (*is_there)(void); /* NULL: always */
    void (*one)(void);      /* start and wait for one that ends at once */
    void (*many)(void);     /* the same, PROCESS_MANY at a time; or NULL */
};

/* The tables end with a peer without a name. */
extern const struct process_peer process_peers_libipc[];
extern const struct process_peer process_peers_system[];

#endif
