/* libuv: work for its threads, whose ends the loop hears of. */
#include "pool_peer.h"

#include <err.h>
#include <stdlib.h>
#include <uv.h>

#define TEXT_OF(number) TEXT(number)
#define TEXT(number)    #number

struct uv_task {
    uv_work_t work;
    pool_task_fn *fn;
    const uint64_t *arg;
    uint64_t *result;
    size_t words;
};

struct uv_pool {
    uv_loop_t loop;
    struct uv_task *tasks;
};

static void check(int rc, const char *call)
{
    if (rc != 0)
        errx(EXIT_FAILURE, "%s: %s", call, uv_strerror(rc));
}

static void *libuv_start(size_t words, size_t count)
{
    struct uv_pool *pool = malloc(sizeof *pool);

    (void)words;
    if (pool == NULL)
        err(EXIT_FAILURE, "malloc");
    pool->tasks = calloc(count, sizeof *pool->tasks);
    if (pool->tasks == NULL)
        err(EXIT_FAILURE, "calloc");
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    if (setenv("UV_THREADPOOL_SIZE", TEXT_OF(POOL_WORKERS), 1) != 0)
        err(EXIT_FAILURE, "setenv");
    check(uv_loop_init(&pool->loop), "uv_loop_init");
    return pool;
}

static void work(uv_work_t *work)
{
    struct uv_task *task = work->data;

    task->fn(task->arg, task->result, task->words);
}

static void worked(uv_work_t *work, int status)
{
    (void)work;
    check(status, "uv_queue_work");
}

static void libuv_run(void *arg, const struct pool_batch *batch)
{
    struct uv_pool *pool = arg;

    for (size_t i = 0; i < batch->count; i++) {
        struct uv_task *task = &pool->tasks[i];

        task->fn = batch->fn;
        task->arg = pool_arg(batch, i);
        task->result = pool_result(batch, i);
        task->words = batch->words;
        task->work.data = task;
        check(uv_queue_work(&pool->loop, &task->work, work, worked),
              "uv_queue_work");
    }
    check(uv_run(&pool->loop, UV_RUN_DEFAULT), "uv_run");
}

static void libuv_stop(void *arg)
{
    struct uv_pool *pool = arg;

    check(uv_loop_close(&pool->loop), "uv_loop_close");
    free(pool->tasks);
    free(pool);
}

const struct pool_peer pool_peers_libuv[] = {
    {.name = "libuv-queue_work",
     .start = libuv_start,
     .run = libuv_run,
     .stop = libuv_stop},
    {0},
};
