/* OpenMP: a team of threads, of which the one who asks is one. */
#include "pool_peer.h"

/* The team comes with the first parallel region, and stays. */
static void *gomp_start(size_t words, size_t count)
{
    (void)words;
    (void)count;
    return NULL;
}

static void task_run(void *pool, const struct pool_batch *batch)
{
    (void)pool;
#pragma omp parallel num_threads(POOL_WORKERS)
#pragma omp single
    for (size_t i = 0; i < batch->count; i++) {
#pragma omp task firstprivate(i)
        batch->fn(pool_arg(batch, i), pool_result(batch, i), batch->words);
    }
}

static void for_map(void *pool, const struct pool_batch *batch)
{
    (void)pool;
#pragma omp parallel for num_threads(POOL_WORKERS)
    for (size_t i = 0; i < batch->count; i++)
        batch->fn(pool_arg(batch, i), pool_result(batch, i), batch->words);
}

static void gomp_stop(void *pool)
{
    (void)pool;
}

const struct pool_peer pool_peers_gomp[] = {
    {.name = "gomp-task",
     .start = gomp_start,
     .run = task_run,
     .stop = gomp_stop},
    {.name = "gomp-parallel_for",
     .start = gomp_start,
     .map = for_map,
     .stop = gomp_stop},
    {0},
};
