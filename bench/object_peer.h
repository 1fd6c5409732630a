/* A shared list, or a shared dict, to be measured.
 *
 * A peer does a run of operations per call, in loops of its own: so its
 * functions are called by name there, as a program would, and those that can
 * have several requests under way at once have room for that. */
#ifndef IPC_BENCH_OBJECT_PEER_H
#define IPC_BENCH_OBJECT_PEER_H

#include "bench.h"

/* How many items lists and dicts have that are not measured growing, and how
 * many operations a call has there. */
#define OBJECT_LENGTH 1024
#define OBJECT_STEP   16

#define OBJECT_KEY_SIZE 24

enum object_op {
    LIST_APPEND,  /* number */
    LIST_GET,     /* the value at index number */
    DICT_SET,     /* key to number */
    DICT_GET,     /* the value of key */
    DICT_ADD_TWO, /* add 1 to OBJECT_LEFT and OBJECT_RIGHT, as one step */
    OBJECT_OPS
};

#define OBJECT_LEFT  "left"
#define OBJECT_RIGHT "right"

/* What one operation is about. */
struct object_item {
    uint64_t number;
    char key[OBJECT_KEY_SIZE];
};

struct object_memory {
    double used;    /* bytes, by its own account */
    double present; /* bytes taken from the system */
};

/* Returns the sum of the values that were got; 0 for the other operations.
 * The first member is 0. */
typedef uint64_t object_run_fn(void *object, size_t member,
                               const struct object_item *items, size_t count);

struct object_peer {
    const char *name;
    bool threads;      /* for those of one process only */
    uint64_t grow_max; /* measured growing up to so many; 0: not at all */

    /* Make an empty one that so many members can use; processes are forked
     * later. */
    void *(*make)(size_t members);
    void (*drop)(void *object);

    /* NULL: it has no such thing. */
    object_run_fn *run[OBJECT_OPS];

    /* How many items it has; after DICT_ADD_TWO: the two sums, which have to
     * be the same, or else UINT64_MAX. */
    uint64_t (*length)(void *object, enum object_op op);

    /* May be NULL. */
    void (*measure)(void *object, struct object_memory *out);
};

/* The tables end with a peer without a name. */
extern const struct object_peer object_peers_libipc[];
extern const struct object_peer object_peers_system[];
extern const struct object_peer object_peers_redis[];
extern const struct object_peer object_peers_glib[];

/* In this order: a request at a time and several, kept on disk always; the same
 * once a second. */
#define OBJECT_REDIS_DURABLE 4
extern const struct object_peer
    object_peers_redis_durable[OBJECT_REDIS_DURABLE];

#endif
