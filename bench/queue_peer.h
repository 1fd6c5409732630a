/* A queue between processes that is measured, and the loops that use it.
 *
 * A peer says how the queue is made and gives its functions to QUEUE_LOOPS():
 *
 *     static bool pipe_put(void *queue, const void *message, size_t size);
 *     static bool pipe_get(void *queue, void *message, size_t size,
 *                          size_t *out_size);
 *
 *     QUEUE_LOOPS(pipe, pipe_put, pipe_get)
 *
 *     const struct queue_peer queue_peers_pipe[] = {
 *         {.name = "pipe", .make = pipe_make, .drop = pipe_drop,
 *          .loops = &pipe_loops},
 *         {0},
 *     };
 *
 * In each peer's copy of the loops its functions are called by name, as a
 * program would: a call through a pointer costs a nanosecond that users do not
 * pay.
 *
 * The first word of a message, and the last one if it is another, says which
 * producer put it and as its how manyth.  Who gets it checks its size, both
 * words, and that this producer's messages come in order; and in the end all
 * that was put must have been got: as many, and with the same sum of words. */
#ifndef IPC_BENCH_QUEUE_PEER_H
#define IPC_BENCH_QUEUE_PEER_H

#include "bench.h"

#include <string.h>
#include <sys/uio.h>

#define QUEUE_LINE   __attribute__((aligned(64)))
#define QUEUE_INLINE static inline __attribute__((always_inline, unused))

#define QUEUE_SIDE_MAX  (BENCH_TEAM_MAX / 2)
#define QUEUE_BATCH_MAX 32
#define QUEUE_TRIPS_MAX ((size_t)1 << 19)

/* What is measured: constant. */
struct queue_shape {
    const char *params;
    size_t size; /* of each message, in bytes: 8, or 16 and more */
    size_t producers;
    size_t consumers;
    size_t depth; /* how many messages the queue should hold; a power of 2 */
    bool one_cpu; /* all on one, or else where the kernel likes */
};

/* What one process shows the others. */
struct queue_member {
    QUEUE_LINE uint64_t count; /* messages put, or got; round trips */
    uint64_t sum;              /* of their words */
    uint64_t joined;
    uint64_t done;
};

/* What a process needs to be one end of a queue. */
struct queue_end {
    const struct queue_shape *shape;
    struct queue_member *member;
    const uint64_t *stop;
    float *trips;      /* how long each round trip took, in us */
    uint64_t producer; /* which one this is */

    /* Memory for messages, used in turn. */
    unsigned char *buffers;
    size_t buffer_count;
    size_t buffer;

    uint64_t last[QUEUE_SIDE_MAX]; /* the last word from each producer */
};

/* Each is given the queue as the process has it, and returns false when a call
 * failed, or with what was got something was wrong. */
struct queue_loops {
    bool (*produce)(void *queue, struct queue_end *end); /* until the stop */
    bool (*consume)(void *queue, struct queue_end *end); /* until killed */

    /* Put a message, get it back: until the stop.  And the other side, until
     * it is killed.  NULL: not measured. */
    bool (*ask)(void *there, void *back, struct queue_end *end);
    bool (*answer)(void *there, void *back, struct queue_end *end);
};

struct queue_peer {
    const char *name;
    size_t size_max; /* of a message; 0: any */
    bool one_to_one; /* one producer and one consumer, by definition */

    /* Make an empty queue that children forked later can use, or join.  Ends
     * with queue_skip() when it cannot be had on this machine. */
    void *(*make)(const struct queue_shape *shape);

    /* Called in a child: first by all who get from this queue, index says as
     * which of them; then by all who put, index says so, too.  Returns what
     * the loops are to be given, or ends the process.  May be NULL. */
    void *(*join_consumer)(void *queue, const struct queue_shape *shape,
                           size_t index);
    void *(*join_producer)(void *queue, const struct queue_shape *shape,
                           size_t index);

    /* Called by the one who made it, when all children are dead: killed,
     * maybe inside of a call. */
    void (*drop)(void *queue);

    const struct queue_loops *loops;
};

/* The tables end with a peer without a name. */
#ifdef __cplusplus
extern "C" {
#endif
extern const struct queue_peer queue_peers_libipc[];
extern const struct queue_peer queue_peers_raw[];
extern const struct queue_peer queue_peers_system[];
extern const struct queue_peer queue_peers_boost[];
extern const struct queue_peer queue_peers_zeromq[];
extern const struct queue_peer queue_peers_nng[];
extern const struct queue_peer queue_peers_nanomsg[];
extern const struct queue_peer queue_peers_ck[];

/* As bench_skip(), and say why: once, not in each case and round. */
void queue_skip(const char *why) __attribute__((noreturn));

/* Say what is wrong with a message; false. */
bool queue_wrong(const struct queue_end *end, size_t size, uint64_t word);

/* The memory for the next messages. */
void queue_next_buffers(struct queue_end *end, struct iovec *messages,
                        size_t count);
#ifdef __cplusplus
}
#endif

/* ---- for peers that never sleep ---- */

#define QUEUE_SPINS 200

/* Called each time that the queue was found full, or empty, in a row.  Spins
 * for about as long as a message takes, then lets the other one have the CPU,
 * who may be waiting for this very one. */
void queue_relax(unsigned *tries);

/* A copy of a size that is known is a few instructions, and not a call. */
QUEUE_INLINE void queue_copy(void *to, const void *from, size_t size)
{
    if (size == 8)
        memcpy(to, from, 8);
    else if (size == 64)
        memcpy(to, from, 64);
    else
        memcpy(to, from, size);
}

/* ---- messages ---- */

QUEUE_INLINE unsigned char *queue_next_buffer(struct queue_end *end,
                                              size_t size)
{
    size_t buffer = end->buffer;

    end->buffer = buffer + 1 == end->buffer_count ? 0 : buffer + 1;
    return end->buffers + buffer * size;
}

/* Write the producer's next message.  Returns its word. */
QUEUE_INLINE uint64_t queue_write(struct queue_end *end, void *message,
                                  size_t size)
{
    uint64_t word = ++end->last[end->producer];

    memcpy(message, &word, sizeof word);
    if (size > sizeof word)
        memcpy((unsigned char *)message + size - sizeof word, &word,
               sizeof word);
    return word;
}

QUEUE_INLINE void queue_count(struct queue_end *end, uint64_t count,
                              uint64_t sum)
{
    struct queue_member *member = end->member;

    /* Only this process writes there. */
    __atomic_store_n(&member->sum, member->sum + sum, __ATOMIC_RELAXED);
    __atomic_store_n(&member->count, member->count + count, __ATOMIC_RELEASE);
}

/* Look at a message that was got.  Returns its word, or 0 when it is not one
 * that may come now. */
QUEUE_INLINE uint64_t queue_read(struct queue_end *end, const void *message,
                                 size_t size)
{
    uint64_t word = 0;
    uint64_t tail = 0;
    uint64_t producer;

    if (size == end->shape->size) {
        memcpy(&word, message, sizeof word);
        memcpy(&tail, (const unsigned char *)message + size - sizeof tail,
               sizeof tail);
    }
    producer = word >> 56;
    if (producer < end->shape->producers && word == tail &&
        word > end->last[producer]) {
        end->last[producer] = word;
        return word;
    }
    (void)queue_wrong(end, size, word);
    return 0;
}

QUEUE_INLINE bool queue_stopped(const struct queue_end *end)
{
    return __atomic_load_n(end->stop, __ATOMIC_RELAXED) != 0;
}

/* ---- loops: a copy into the queue and a copy out of it ---- */

typedef bool queue_put_fn(void *queue, const void *message, size_t size);
typedef bool queue_get_fn(void *queue, void *message, size_t size,
                          size_t *out_size);

QUEUE_INLINE bool queue_put_all(void *queue, struct queue_end *end,
                                queue_put_fn *put)
{
    size_t size = end->shape->size;

    while (!queue_stopped(end)) {
        unsigned char *message = queue_next_buffer(end, size);
        uint64_t word = queue_write(end, message, size);

        if (!put(queue, message, size))
            return false;
        queue_count(end, 1, word);
    }
    return true;
}

QUEUE_INLINE bool queue_get_one(void *queue, struct queue_end *end,
                                queue_get_fn *get, unsigned char *message,
                                uint64_t *out_word)
{
    size_t got = 0;

    if (!get(queue, message, end->shape->size, &got))
        return false;
    *out_word = queue_read(end, message, got);
    return *out_word != 0;
}

QUEUE_INLINE bool queue_get_all(void *queue, struct queue_end *end,
                                queue_get_fn *get)
{
    uint64_t word;

    while (queue_get_one(queue, end, get,
                         queue_next_buffer(end, end->shape->size), &word))
        queue_count(end, 1, word);
    return false;
}

QUEUE_INLINE bool queue_ask_all(void *there, void *back, struct queue_end *end,
                                queue_put_fn *put, queue_get_fn *get)
{
    unsigned char *message = end->buffers;
    size_t size = end->shape->size;
    uint64_t expected = 0;
    int64_t begin = bench_now();

    while (!queue_stopped(end) && expected < QUEUE_TRIPS_MAX) {
        size_t got = 0;
        uint64_t word;
        int64_t now;

        expected++;
        memcpy(message, &expected, sizeof expected);
        memcpy(message + size - sizeof expected, &expected, sizeof expected);
        if (!put(there, message, size) || !get(back, message, size, &got))
            return false;
        word = queue_read(end, message, got);
        if (word != expected)
            return word != 0 && queue_wrong(end, got, word);
        now = bench_now();
        end->trips[expected - 1] = (float)(now - begin) / 1e3F;
        begin = now;
        queue_count(end, 1, word);
    }
    return true;
}

QUEUE_INLINE bool queue_answer_all(void *there, void *back,
                                   struct queue_end *end, queue_put_fn *put,
                                   queue_get_fn *get)
{
    unsigned char *message = end->buffers;
    uint64_t word;

    while (queue_get_one(there, end, get, message, &word)) {
        queue_count(end, 1, word);
        if (!put(back, message, end->shape->size))
            return false;
    }
    return false;
}

/* Define NAME_loops. */
#define QUEUE_LOOPS(NAME, PUT, GET)                                            \
    static bool NAME##_produce(void *queue, struct queue_end *end)             \
    {                                                                          \
        return queue_put_all(queue, end, PUT);                                 \
    }                                                                          \
                                                                               \
    static bool NAME##_consume(void *queue, struct queue_end *end)             \
    {                                                                          \
        return queue_get_all(queue, end, GET);                                 \
    }                                                                          \
                                                                               \
    static bool NAME##_ask(void *there, void *back, struct queue_end *end)     \
    {                                                                          \
        return queue_ask_all(there, back, end, PUT, GET);                      \
    }                                                                          \
                                                                               \
    static bool NAME##_answer(void *there, void *back, struct queue_end *end)  \
    {                                                                          \
        return queue_answer_all(there, back, end, PUT, GET);                   \
    }                                                                          \
                                                                               \
    static const struct queue_loops NAME##_loops = {                           \
        NAME##_produce, NAME##_consume, NAME##_ask, NAME##_answer};

/* ---- loops: batches ---- */

/* Put, or get, 1 to count messages.  Returns how many; 0 when that failed. */
typedef size_t queue_putv_fn(void *queue, const struct iovec *messages,
                             size_t count);
/* Each iov_len is the room at first, and then the size of what was got. */
typedef size_t queue_getv_fn(void *queue, struct iovec *messages, size_t count);

/* Not more than an eighth of what fits, that both sides can work at once. */
QUEUE_INLINE size_t queue_batch(const struct queue_shape *shape)
{
    size_t batch = shape->depth / 8;

    return batch < QUEUE_BATCH_MAX ? batch : QUEUE_BATCH_MAX;
}

QUEUE_INLINE bool queue_putv_all(void *queue, struct queue_end *end,
                                 queue_putv_fn *putv)
{
    struct iovec messages[QUEUE_BATCH_MAX];
    size_t batch = queue_batch(end->shape);
    size_t size = end->shape->size;

    while (!queue_stopped(end)) {
        uint64_t sum = 0;

        queue_next_buffers(end, messages, batch);
        for (size_t i = 0; i < batch; i++)
            sum += queue_write(end, messages[i].iov_base, size);
        for (size_t put = 0; put < batch;) {
            size_t more = putv(queue, &messages[put], batch - put);

            if (more == 0)
                return false;
            put += more;
        }
        queue_count(end, batch, sum);
    }
    return true;
}

QUEUE_INLINE bool queue_getv_all(void *queue, struct queue_end *end,
                                 queue_getv_fn *getv)
{
    struct iovec messages[QUEUE_BATCH_MAX];
    size_t batch = queue_batch(end->shape);
    size_t got;

    do {
        uint64_t sum = 0;

        queue_next_buffers(end, messages, batch);
        got = getv(queue, messages, batch);
        for (size_t i = 0; i < got; i++) {
            uint64_t word =
                queue_read(end, messages[i].iov_base, messages[i].iov_len);

            if (word == 0)
                return false;
            sum += word;
        }
        queue_count(end, got, sum);
    } while (got > 0);
    return false;
}

/* Define NAME_loops, without round trips. */
#define QUEUE_BATCH_LOOPS(NAME, PUTV, GETV)                                    \
    static bool NAME##_produce(void *queue, struct queue_end *end)             \
    {                                                                          \
        return queue_putv_all(queue, end, PUTV);                               \
    }                                                                          \
                                                                               \
    static bool NAME##_consume(void *queue, struct queue_end *end)             \
    {                                                                          \
        return queue_getv_all(queue, end, GETV);                               \
    }                                                                          \
                                                                               \
    static const struct queue_loops NAME##_loops = {                           \
        NAME##_produce, NAME##_consume, NULL, NULL};

/* ---- loops: in place ---- */

/* Room for a message in the queue, and what is in it; NULL when that failed. */
typedef void *queue_reserve_fn(void *queue, size_t size);
typedef bool queue_commit_fn(void *queue, void *message, size_t size);
typedef const void *queue_peek_fn(void *queue, size_t *out_size);
typedef bool queue_release_fn(void *queue, const void *message);

/* Only the words are written and read: how much a program does with the rest
 * is not the queue's. */
QUEUE_INLINE bool queue_fill_all(void *queue, struct queue_end *end,
                                 queue_reserve_fn *reserve,
                                 queue_commit_fn *commit)
{
    size_t size = end->shape->size;

    while (!queue_stopped(end)) {
        void *message = reserve(queue, size);
        uint64_t word;

        if (message == NULL)
            return false;
        word = queue_write(end, message, size);
        if (!commit(queue, message, size))
            return false;
        queue_count(end, 1, word);
    }
    return true;
}

QUEUE_INLINE bool queue_look_all(void *queue, struct queue_end *end,
                                 queue_peek_fn *peek, queue_release_fn *release)
{
    for (;;) {
        size_t size = 0;
        const void *message = peek(queue, &size);
        uint64_t word;

        if (message == NULL)
            return false;
        word = queue_read(end, message, size);
        if (word == 0 || !release(queue, message))
            return false;
        queue_count(end, 1, word);
    }
}

/* Define NAME_loops, without round trips. */
#define QUEUE_IN_PLACE_LOOPS(NAME, RESERVE, COMMIT, PEEK, RELEASE)             \
    static bool NAME##_produce(void *queue, struct queue_end *end)             \
    {                                                                          \
        return queue_fill_all(queue, end, RESERVE, COMMIT);                    \
    }                                                                          \
                                                                               \
    static bool NAME##_consume(void *queue, struct queue_end *end)             \
    {                                                                          \
        return queue_look_all(queue, end, PEEK, RELEASE);                      \
    }                                                                          \
                                                                               \
    static const struct queue_loops NAME##_loops = {                           \
        NAME##_produce, NAME##_consume, NULL, NULL};

#endif
