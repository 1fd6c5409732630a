/* Objects that a walk has found, each once, in the order in which it found
 * them.  Private memory. */
#ifndef IPC_OBJECT_FOUND_H
#define IPC_OBJECT_FOUND_H

#include "object/arena.h"

struct ipc__found_one {
    uint64_t offset;
    uint64_t times; /* that it was found */
};

/* All-zero is an empty one. */
struct ipc__found {
    struct ipc__found_one *all;
    uint64_t count;
    uint64_t room;
    uint64_t *slots; /* twice the room: 0, or 1 + its place in all */
};

/* Once more.  What is known of it, until the next call; NULL, and v->rc is
 * -ENOMEM. */
struct ipc__found_one *
ipc__found_add(struct ipc__visit *v, struct ipc__found *found, uint64_t offset);

void ipc__found_fini(struct ipc__found *found);

#endif
