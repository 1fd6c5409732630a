/* The processes at the ends of a queue: started, watched and ended.
 *
 * The one who measures never calls the peer after the start, so he can always
 * end it: whoever is not done in time is killed, and the case fails as hung.
 * When all is well they are killed, too: that is the only way out of an empty
 * queue that all peers have in common. */
#ifndef IPC_BENCH_QUEUE_TEAM_H
#define IPC_BENCH_QUEUE_TEAM_H

#include "queue_peer.h"

/* What the processes share. */
struct queue_board {
    QUEUE_LINE uint64_t stop;
    struct queue_member members[BENCH_TEAM_MAX];
    float trips[QUEUE_TRIPS_MAX];
};

/* Members: first those who get, or the one who answers; then those who put,
 * or the one who asks. */
struct queue_team {
    const struct queue_peer *peer;
    const struct queue_shape *shape;
    struct queue_board *board;
    void *queues[2]; /* there and back; the second one for round trips only */
    struct bench_team processes;
};

/* Returns when all members have joined in and are warm.  c->what is the peer,
 * a struct queue_peer, and c->how the shape.  From here on only
 * queue_team_stop() may end the case. */
void queue_team_start(struct queue_team *team, const struct bench_case *c,
                      bool trips);

/* How many messages were put, or questions were asked and answered. */
uint64_t queue_team_put(const struct queue_team *team);

/* How many messages were got, or questions were. */
uint64_t queue_team_got(const struct queue_team *team);

/* The CPU time that all members have used so far, in ns. */
int64_t queue_team_cpu_time(const struct queue_team *team);

/* Let those who put stop, see that all of it is got, and end the team and its
 * queues.  Ends the case when something was lost. */
void queue_team_stop(struct queue_team *team);

#endif
