/* Two processes that wait for each other, turn by turn. */
#ifndef IPC_BENCH_SYNC_MATCH_H
#define IPC_BENCH_SYNC_MATCH_H

#include "sync_peer.h"

enum sync_placement {
    SYNC_ANYWHERE, /* where the kernel likes */
    SYNC_APART,    /* each on a CPU of his own */
    SYNC_TOGETHER  /* both on one */
};

struct sync_match_shape {
    enum sync_placement placement;
    bool calls; /* counted, instead of the time */
    const char *event_params;
    const char *condition_params;
};

/* Ends with one without params. */
extern const struct sync_match_shape sync_match_shapes[];

/* c->what is the peer, a struct sync_match; c->how the shape. */
void sync_match_run(const struct bench_case *c);

#endif
