/* The least that a queue in shared memory can be: one producer, one consumer,
 * two indexes, and neither ever sleeps.  Each keeps a copy of the other's index
 * and looks again only when the ring seems full, or empty. */
#include "queue_peer.h"

#include <stdlib.h>
#include <sys/mman.h>

struct ring {
    size_t mask; /* constant */
    size_t size;
    size_t bytes;
    QUEUE_LINE size_t put; /* written by the producer */
    QUEUE_LINE size_t got; /* written by the consumer */

    /* Of one of them alone. */
    struct {
        QUEUE_LINE size_t put;
        size_t got;
    } producer, consumer;

    QUEUE_LINE unsigned char slots[];
};

static void *ring_make(const struct queue_shape *shape)
{
    size_t bytes = sizeof(struct ring) + shape->depth * shape->size;
    struct ring *ring = bench_shared(bytes);

    ring->mask = shape->depth - 1;
    ring->size = shape->size;
    ring->bytes = bytes;
    return ring;
}

static void ring_drop(void *queue)
{
    struct ring *ring = queue;

    munmap(ring, ring->bytes);
}

QUEUE_INLINE void *slot(struct ring *ring, size_t index, size_t size)
{
    return ring->slots + (index & ring->mask) * size;
}

/* ---- both sides ---- */

/* Wait until there is room.  Returns for how many messages. */
QUEUE_INLINE size_t await_room(struct ring *ring)
{
    size_t depth = ring->mask + 1;
    unsigned tries = 0;

    while (ring->producer.put - ring->producer.got == depth) {
        ring->producer.got = __atomic_load_n(&ring->got, __ATOMIC_ACQUIRE);
        if (ring->producer.put - ring->producer.got == depth)
            queue_relax(&tries);
    }
    return depth - (ring->producer.put - ring->producer.got);
}

QUEUE_INLINE void publish(struct ring *ring, size_t count)
{
    ring->producer.put += count;
    __atomic_store_n(&ring->put, ring->producer.put, __ATOMIC_RELEASE);
}

/* Wait until there is a message.  Returns how many there are. */
QUEUE_INLINE size_t await_message(struct ring *ring)
{
    unsigned tries = 0;

    while (ring->consumer.put == ring->consumer.got) {
        ring->consumer.put = __atomic_load_n(&ring->put, __ATOMIC_ACQUIRE);
        if (ring->consumer.put == ring->consumer.got)
            queue_relax(&tries);
    }
    return ring->consumer.put - ring->consumer.got;
}

QUEUE_INLINE void take_away(struct ring *ring, size_t count)
{
    ring->consumer.got += count;
    __atomic_store_n(&ring->got, ring->consumer.got, __ATOMIC_RELEASE);
}

/* ---- one at a time ---- */

QUEUE_INLINE bool ring_put(void *queue, const void *message, size_t size)
{
    struct ring *ring = queue;

    (void)await_room(ring);
    queue_copy(slot(ring, ring->producer.put, size), message, size);
    publish(ring, 1);
    return true;
}

QUEUE_INLINE bool ring_get(void *queue, void *message, size_t size,
                           size_t *out_size)
{
    struct ring *ring = queue;

    (void)await_message(ring);
    queue_copy(message, slot(ring, ring->consumer.got, size), size);
    take_away(ring, 1);
    *out_size = ring->size;
    return true;
}

QUEUE_LOOPS(ring, ring_put, ring_get)

/* ---- batches ---- */

QUEUE_INLINE size_t ring_putv(void *queue, const struct iovec *messages,
                              size_t count)
{
    struct ring *ring = queue;
    size_t room = await_room(ring);

    count = count < room ? count : room;
    for (size_t i = 0; i < count; i++) {
        size_t size = messages[i].iov_len;

        queue_copy(slot(ring, ring->producer.put + i, size),
                   messages[i].iov_base, size);
    }
    publish(ring, count);
    return count;
}

QUEUE_INLINE size_t ring_getv(void *queue, struct iovec *messages, size_t count)
{
    struct ring *ring = queue;
    size_t there = await_message(ring);

    count = count < there ? count : there;
    for (size_t i = 0; i < count; i++) {
        size_t size = messages[i].iov_len;

        queue_copy(messages[i].iov_base,
                   slot(ring, ring->consumer.got + i, size), size);
        messages[i].iov_len = ring->size;
    }
    take_away(ring, count);
    return count;
}

QUEUE_BATCH_LOOPS(ring_batch, ring_putv, ring_getv)

/* ---- in place ---- */

QUEUE_INLINE void *ring_reserve(void *queue, size_t size)
{
    struct ring *ring = queue;

    (void)await_room(ring);
    return slot(ring, ring->producer.put, size);
}

QUEUE_INLINE bool ring_commit(void *queue, void *message, size_t size)
{
    (void)message;
    (void)size;
    publish(queue, 1);
    return true;
}

QUEUE_INLINE const void *ring_peek(void *queue, size_t *out_size)
{
    struct ring *ring = queue;

    (void)await_message(ring);
    *out_size = ring->size;
    return slot(ring, ring->consumer.got, ring->size);
}

QUEUE_INLINE bool ring_release(void *queue, const void *message)
{
    (void)message;
    take_away(queue, 1);
    return true;
}

QUEUE_IN_PLACE_LOOPS(ring_in_place, ring_reserve, ring_commit, ring_peek,
                     ring_release)

const struct queue_peer queue_peers_raw[] = {
    {.name = "BASE-spsc-ring",
     .one_to_one = true,
     .make = ring_make,
     .drop = ring_drop,
     .loops = &ring_loops},
    {.name = "BASE-spsc-ring-batch",
     .one_to_one = true,
     .make = ring_make,
     .drop = ring_drop,
     .loops = &ring_batch_loops},
    {.name = "BASE-spsc-ring-zero-copy",
     .one_to_one = true,
     .make = ring_make,
     .drop = ring_drop,
     .loops = &ring_in_place_loops},
    {0},
};
