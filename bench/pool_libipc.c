/* libipc's own pools: of processes, and of threads. */
#include "pool_peer.h"

#include <err.h>
#include <stdlib.h>

#include <ipc/error.h>
#include <ipc/future.h>
#include <ipc/pool.h>
#include <ipc/shared.h>

struct own_pool {
    ipc_pool *pool;
    ipc_future **futures; /* of a batch */
};

static void check(int rc, const char *call)
{
    if (rc != 0)
        errx(EXIT_FAILURE, "%s: %s %s", call, ipc_strerror(rc),
             ipc_error_detail());
}

static int task(const void *arg, void *result, ipc_task *task)
{
    pool_add_one(arg, result, ipc_task_arg_bytes(task) / sizeof(uint64_t));
    return 0;
}

static void *start(uint32_t kind, size_t count)
{
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    struct own_pool *own = malloc(sizeof *own);

    if (own == NULL)
        err(EXIT_FAILURE, "malloc");
    own->futures = calloc(count, sizeof(ipc_future *));
    if (own->futures == NULL)
        err(EXIT_FAILURE, "calloc");
    options.kind = kind;
    options.workers = POOL_WORKERS;
    check(ipc_pool_new(&options, &own->pool), "ipc_pool_new");
    return own;
}

static void *start_processes(size_t words, size_t count)
{
    (void)words;
    return start(IPC_POOL_PROCESSES, count);
}

static void *start_threads(size_t words, size_t count)
{
    (void)words;
    return start(IPC_POOL_THREADS, count);
}

static void run(void *pool, const struct pool_batch *batch)
{
    struct own_pool *own = pool;
    size_t bytes = batch->words * sizeof(uint64_t);

    for (size_t i = 0; i < batch->count; i++)
        check(ipc_pool_submit(own->pool, task, pool_arg(batch, i), bytes, bytes,
                              &own->futures[i]),
              "ipc_pool_submit");
    for (size_t i = 0; i < batch->count; i++) {
        check(ipc_future_result(own->futures[i], pool_result(batch, i), bytes,
                                NULL),
              "ipc_future_result");
        check(ipc_future_free(own->futures[i]), "ipc_future_free");
    }
}

static void map(void *pool, const struct pool_batch *batch)
{
    struct own_pool *own = pool;
    size_t bytes = batch->words * sizeof(uint64_t);

    check(ipc_pool_map(own->pool, task, batch->args, bytes, batch->count,
                       batch->results, bytes, NULL),
          "ipc_pool_map");
}

static void stop(void *pool)
{
    struct own_pool *own = pool;

    check(ipc_pool_free(own->pool), "ipc_pool_free");
    free(own->futures);
    free(own);
}

static void *family_memory(size_t bytes)
{
    void *memory = ipc_shared_alloc(bytes);

    if (memory == NULL)
        errx(EXIT_FAILURE, "ipc_shared_alloc: %s", ipc_error_detail());
    return memory;
}

const struct pool_peer pool_peers_libipc[] = {
    {.name = "libipc",
     .processes = true,
     .start = start_processes,
     .run = run,
     .map = map,
     .stop = stop},
    {.name = "libipc-family-memory",
     .processes = true,
     .memory = family_memory,
     .start = start_processes,
     .map = map,
     .stop = stop},
    {.name = "libipc",
     .start = start_threads,
     .run = run,
     .map = map,
     .stop = stop},
    {.name = "libipc-family-memory",
     .memory = family_memory,
     .start = start_threads,
     .map = map,
     .stop = stop},
    {0},
};
