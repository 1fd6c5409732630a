/* The rings of Concurrency Kit, in shared memory.  They copy elements of one
 * type, so there is a type for each size; and they do not wait. */
#include "queue_peer.h"

#include <ck_ring.h>

#include <stdlib.h>
#include <sys/mman.h>

#define SIZE_MAX_HERE ((size_t)64 << 10)

#define ELEMENT(SIZE)                                                          \
    struct element_##SIZE {                                                    \
        uint64_t words[(SIZE) / 8];                                            \
    };                                                                         \
    CK_RING_PROTOTYPE(element_##SIZE, element_##SIZE)

ELEMENT(8)
ELEMENT(64)
ELEMENT(1024)
ELEMENT(65536)

struct ring {
    QUEUE_LINE ck_ring_t ck;
    size_t bytes;
    QUEUE_LINE uint64_t elements[];
};

static void *ring_make(const struct queue_shape *shape)
{
    size_t bytes = sizeof(struct ring) + shape->depth * shape->size;
    struct ring *ring = bench_shared(bytes);

    ck_ring_init(&ring->ck, (unsigned)shape->depth);
    ring->bytes = bytes;
    return ring;
}

static void ring_drop(void *queue)
{
    struct ring *ring = queue;

    munmap(ring, ring->bytes);
}

/* Call the function for this size. */
#define CASE(SIZE, FUNCTION, MESSAGE)                                          \
    case SIZE:                                                                 \
        return FUNCTION##_element_##SIZE(                                      \
            &ring->ck, (struct element_##SIZE *)ring->elements, MESSAGE);
#define FOR_SIZE(FUNCTION, MESSAGE)                                            \
    switch (size) {                                                            \
        CASE(8, FUNCTION, MESSAGE)                                             \
        CASE(64, FUNCTION, MESSAGE)                                            \
        CASE(1024, FUNCTION, MESSAGE)                                          \
        CASE(65536, FUNCTION, MESSAGE)                                         \
    default:                                                                   \
        abort();                                                               \
    }

/* Define NAME_put() and NAME_get() of one kind of ring. */
#define KIND(KIND_NAME)                                                        \
    QUEUE_INLINE bool KIND_NAME##_try_put(struct ring *ring, void *message,    \
                                          size_t size){                        \
        FOR_SIZE(ck_ring_enqueue_##KIND_NAME, message)}                        \
                                                                               \
    QUEUE_INLINE bool KIND_NAME##_try_get(struct ring *ring, void *message,    \
                                          size_t size){                        \
        FOR_SIZE(ck_ring_dequeue_##KIND_NAME, message)}                        \
                                                                               \
    QUEUE_INLINE bool KIND_NAME##_put(void *queue, const void *message,        \
                                      size_t size)                             \
    {                                                                          \
        unsigned tries = 0;                                                    \
                                                                               \
        while (!KIND_NAME##_try_put(queue, (void *)message, size))             \
            queue_relax(&tries);                                               \
        return true;                                                           \
    }                                                                          \
                                                                               \
    QUEUE_INLINE bool KIND_NAME##_get(void *queue, void *message, size_t size, \
                                      size_t *out_size)                        \
    {                                                                          \
        unsigned tries = 0;                                                    \
                                                                               \
        while (!KIND_NAME##_try_get(queue, message, size))                     \
            queue_relax(&tries);                                               \
        *out_size = size;                                                      \
        return true;                                                           \
    }                                                                          \
                                                                               \
    QUEUE_LOOPS(KIND_NAME, KIND_NAME##_put, KIND_NAME##_get)

KIND(spsc)
KIND(mpmc)

const struct queue_peer queue_peers_ck[] = {
    {.name = "ck_ring-spsc",
     .size_max = SIZE_MAX_HERE,
     .one_to_one = true,
     .make = ring_make,
     .drop = ring_drop,
     .loops = &spsc_loops},
    {.name = "ck_ring-mpmc",
     .size_max = SIZE_MAX_HERE,
     .make = ring_make,
     .drop = ring_drop,
     .loops = &mpmc_loops},
    {0},
};
