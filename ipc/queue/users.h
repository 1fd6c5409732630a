/* Users: what threads of this process do with a queue that must not go away
 * under them. */
#ifndef IPC_QUEUE_USERS_H
#define IPC_QUEUE_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/queue.h>

#include "core/peers.h"
#include "core/waiting.h"

/* A thread that waits for some queues; on its stack. */
struct ipc__queue_user {
    struct ipc__queue_user *next, **link;
    uint64_t process; /* 0: it is not in the list */
    const void *objects;
    size_t stride; /* bytes from one pointer to the next */
    size_t count;
};

/* From now on, until it leaves, the calling thread waits for these.  Some of
 * the pointers may be to other things, or NULL. */
void ipc__queue_user_enter(struct ipc__queue_user *user, const void *objects,
                           size_t stride, size_t count);
void ipc__queue_user_leave(struct ipc__queue_user *user);

/* Does a thread of this process wait for the queue? */
bool ipc__queue_is_waited_for(const ipc_queue *queue);

/* Does one have something of it reserved, peeked, taken, or on its way out? */
bool ipc__queue_is_in_hand(ipc_queue *queue);

/* May it be of a segment of its own?  The calling thread is known there. */
static inline bool ipc__queue_may_go(const ipc_queue *queue)
{
    return (uintptr_t)queue - ipc__self.lo == IPC__REGION_TABLE;
}

/* As ipc__sleep_many(), on words of the queue first of all. */
static inline bool ipc__queue_sleep(const ipc_queue *queue,
                                    struct ipc__pace *pace,
                                    const struct ipc__futex *words,
                                    uint32_t count, ipc_deadline deadline)
{
    struct ipc__queue_user user;
    const bool listed = ipc__queue_may_go(queue);
    if (listed)
        ipc__queue_user_enter(&user, &queue, 0, 1);
    const bool due = ipc__sleep_many(pace, words, count, deadline);
    if (listed)
        ipc__queue_user_leave(&user);
    return due;
}

#endif
