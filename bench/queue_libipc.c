/* libipc's own queue: one at a time, in batches, and in place. */
#include "queue_peer.h"

#include <err.h>
#include <stdlib.h>

#include <ipc/error.h>
#include <ipc/queue.h>

static void *queue_make(const struct queue_shape *shape)
{
    ipc_queue_options options = IPC_QUEUE_OPTIONS_INIT;
    ipc_queue *queue;

    options.capacity = (uint32_t)shape->depth;
    options.bytes = shape->depth * shape->size;
    if (ipc_queue_new(&options, &queue) != 0)
        errx(EXIT_FAILURE, "%s", ipc_error_detail());
    return queue;
}

static void queue_drop(void *queue)
{
    if (ipc_queue_free(queue) != 0)
        errx(EXIT_FAILURE, "%s", ipc_error_detail());
}

/* ---- one at a time ---- */

QUEUE_INLINE bool put(void *queue, const void *message, size_t size)
{
    return ipc_queue_put(queue, message, size) == 0;
}

QUEUE_INLINE bool get(void *queue, void *message, size_t size, size_t *out_size)
{
    return ipc_queue_get(queue, message, size, out_size) == 0;
}

QUEUE_LOOPS(libipc, put, get)

/* ---- batches ---- */

QUEUE_INLINE size_t move_all(void *queue, const struct iovec *messages,
                             ipc_queue_item *items, size_t count, bool get)
{
    int n;

    for (size_t i = 0; i < count; i++)
        items[i] = (ipc_queue_item){.data = messages[i].iov_base,
                                    .bytes = messages[i].iov_len,
                                    .room = messages[i].iov_len};
    n = get ? ipc_queue_getv(queue, items, count, IPC_TIME_FOREVER)
            : ipc_queue_putv(queue, items, count, IPC_TIME_FOREVER);
    return n < 0 ? 0 : (size_t)n;
}

QUEUE_INLINE size_t putv(void *queue, const struct iovec *messages,
                         size_t count)
{
    ipc_queue_item items[QUEUE_BATCH_MAX];

    return move_all(queue, messages, items, count, false);
}

QUEUE_INLINE size_t getv(void *queue, struct iovec *messages, size_t count)
{
    ipc_queue_item items[QUEUE_BATCH_MAX];
    const size_t got = move_all(queue, messages, items, count, true);

    for (size_t i = 0; i < got; i++)
        messages[i].iov_len = items[i].bytes;
    return got;
}

QUEUE_BATCH_LOOPS(libipc_batch, putv, getv)

/* ---- in place ---- */

static ipc_message in_hand;

QUEUE_INLINE void *reserve(void *queue, size_t size)
{
    return ipc_queue_reserve(queue, size, &in_hand) == 0 ? in_hand.data : NULL;
}

QUEUE_INLINE bool commit(void *queue, void *message, size_t size)
{
    (void)message;
    (void)size;
    return ipc_queue_commit(queue, &in_hand) == 0;
}

QUEUE_INLINE const void *peek(void *queue, size_t *out_size)
{
    if (ipc_queue_peek(queue, &in_hand) != 0)
        return NULL;
    *out_size = in_hand.bytes;
    return in_hand.data;
}

QUEUE_INLINE bool release(void *queue, const void *message)
{
    (void)message;
    return ipc_queue_release(queue, &in_hand) == 0;
}

QUEUE_IN_PLACE_LOOPS(libipc_in_place, reserve, commit, peek, release)

const struct queue_peer queue_peers_libipc[] = {
    {.name = "libipc",
     .make = queue_make,
     .drop = queue_drop,
     .loops = &libipc_loops},
    {.name = "libipc-batch",
     .make = queue_make,
     .drop = queue_drop,
     .loops = &libipc_batch_loops},
    {.name = "libipc-zero-copy",
     .make = queue_make,
     .drop = queue_drop,
     .loops = &libipc_in_place_loops},
    {0},
};
