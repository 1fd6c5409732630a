/* Pools that are measured: workers that run the tasks they are given and hand
 * the results back.
 *
 * A task is given some words and returns as many, each of them one larger:
 * the least that lets everybody see that it was run, and with what.  Threads
 * find the words where the caller has them, and leave the results where he
 * wants them; processes have to be sent them, and to send them back. */
#ifndef IPC_BENCH_POOL_PEER_H
#define IPC_BENCH_POOL_PEER_H

#include "bench.h"

#define POOL_WORKERS   2
#define POOL_WORDS_MAX 128

typedef void pool_task_fn(const uint64_t *arg, uint64_t *result, size_t words);

/* The argument i of a batch begins at words * i, and so does its result. */
struct pool_batch {
    pool_task_fn *fn;
    const uint64_t *args;
    uint64_t *results;
    size_t words; /* of each argument, and of each result */
    size_t count;
};

/* What goes wrong in them ends the process. */
struct pool_peer {
    const char *name;
    bool processes; /* workers are processes, not threads */

    /* Zero-filled, for the arguments, and for the results; it goes with the
     * process.  NULL: the caller's own. */
    void *(*memory)(size_t bytes);

    /* Start a pool of POOL_WORKERS, for batches of at most that many tasks of
     * at most that many words.  Where whoever waits takes part in the work,
     * he is one of them.  What is returned may be NULL. */
    void *(*start)(size_t words, size_t count);

    /* Submit each task by itself, then collect all results.  NULL: only map
     * is measured. */
    void (*run)(void *pool, const struct pool_batch *batch);

    /* Call the function with all of them, as the peer does that best.  NULL:
     * tasks that each call it with some of them are run. */
    void (*map)(void *pool, const struct pool_batch *batch);

    /* No task is left when it is called. */
    void (*stop)(void *pool);
};

#ifdef __cplusplus
extern "C" {
#endif

/* The tables end with a peer without a name. */
extern const struct pool_peer pool_peers_libipc[];
extern const struct pool_peer pool_peers_system[];
extern const struct pool_peer pool_peers_boost[];
extern const struct pool_peer pool_peers_tbb[];
extern const struct pool_peer pool_peers_gomp[];
extern const struct pool_peer pool_peers_libuv[];
extern const struct pool_peer pool_peers_glib[];

/* What every task does in the end. */
pool_task_fn pool_add_one;

/* ---- for pools of processes ---- */

/* A message there, with the argument, or back, with the result.  Forked
 * workers have the function at the same place. */
struct pool_message {
    pool_task_fn *fn;
    uint64_t index; /* in the batch */
    uint64_t words[POOL_WORDS_MAX];
};

size_t pool_message_size(size_t words);

/* Returns its size. */
size_t pool_write(struct pool_message *message, const struct pool_batch *batch,
                  size_t index);

/* In a worker: make an answer of a message of that size. */
void pool_answer(const struct pool_message *message, size_t size,
                 struct pool_message *out_answer);

/* Put the result where it belongs. */
void pool_read(const struct pool_message *answer, size_t size,
               const struct pool_batch *batch);

#ifdef __cplusplus
}
#endif

/* Where a task of a batch has its words. */
static inline const uint64_t *pool_arg(const struct pool_batch *batch,
                                       size_t index)
{
    return batch->args + batch->words * index;
}

static inline uint64_t *pool_result(const struct pool_batch *batch,
                                    size_t index)
{
    return batch->results + batch->words * index;
}

#endif
