/* Groups: many futures, of which those that are done are wanted, soon and
 * each once. */
#ifndef IPC_POOL_GROUP_H
#define IPC_POOL_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/future.h>

#include "core/waiting.h"

/* A future in a group; part of something of the caller's. */
struct ipc__awaited {
    struct ipc__awaited *next;
    ipc_future *future;
};

struct ipc__awaited_list {
    struct ipc__awaited *first;
    struct ipc__awaited **end; /* NULL: &first */
};

/* All-zero is an empty one.  Private; used by one thread at a time. */
struct ipc__group {
    struct ipc__awaited_list waiting; /* in the order in which they came */
    struct ipc__awaited_list done;    /* found to be, and not taken yet */
    size_t left;                      /* how many wait */
    /* Tasks of the caller's pool may be run here; see ipc__worker_stand_in(). */
    bool helps;
    bool insists;
    ipc_deadline deadline;

    /* All were looked at, when the bell was as here; the next time is not
     * before again_at, as looking at many takes a while. */
    bool looked;
    uint32_t bell;
    ipc_deadline again_at;
};

void ipc__group_add(struct ipc__group *group, struct ipc__awaited *awaited);

/* One that is done, or NULL: none is known to be. */
struct ipc__awaited *ipc__group_take(struct ipc__group *group);

/* Wait until one is known to be done; thorough looks are due by the pace.
 * 0; -EAGAIN and -ETIMEDOUT none is; -EDEADLK the caller is all that is left.
 * There is at least one that waits. */
int ipc__group_wait(struct ipc__group *group, struct ipc__pace *pace,
                    ipc_deadline deadline);

/* The parts of that for who does other things meanwhile.  Look at some of
 * them, and at all if it is time to; bell is its word, read before.  False:
 * none is known to be done.  Then sleep until the bell rings, or the deadline.
 * True when a thorough look is due. */
bool ipc__group_look(struct ipc__group *group, uint32_t bell, bool thorough);
bool ipc__group_sleep(const struct ipc__group *group, uint32_t bell,
                      struct ipc__pace *pace, ipc_deadline deadline);

#endif
