/* GLib's pool of threads; a count says when all tasks are done. */
#include "pool_peer.h"

#include <err.h>
#include <glib.h>
#include <stdlib.h>

struct glib_task {
    pool_task_fn *fn;
    const uint64_t *arg;
    uint64_t *result;
    size_t words;
};

struct glib_pool {
    GThreadPool *threads;
    GMutex lock;
    GCond idle;
    gint pending;
    struct glib_task *tasks;
};

static void work(void *arg, void *owner)
{
    struct glib_task *task = arg;
    struct glib_pool *pool = owner;

    task->fn(task->arg, task->result, task->words);
    if (g_atomic_int_dec_and_test(&pool->pending)) {
        g_mutex_lock(&pool->lock);
        g_cond_signal(&pool->idle);
        g_mutex_unlock(&pool->lock);
    }
}

static void *glib_start(size_t words, size_t count)
{
    struct glib_pool *pool = g_new0(struct glib_pool, 1);

    (void)words;
    g_mutex_init(&pool->lock);
    g_cond_init(&pool->idle);
    pool->tasks = g_new(struct glib_task, count);
    pool->threads = g_thread_pool_new(work, pool, POOL_WORKERS, TRUE, NULL);
    if (pool->threads == NULL)
        errx(EXIT_FAILURE, "g_thread_pool_new");
    return pool;
}

static void glib_run(void *arg, const struct pool_batch *batch)
{
    struct glib_pool *pool = arg;

    g_atomic_int_set(&pool->pending, (gint)batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        pool->tasks[i] = (struct glib_task){
            batch->fn, pool_arg(batch, i), pool_result(batch, i), batch->words};
        if (!g_thread_pool_push(pool->threads, &pool->tasks[i], NULL))
            errx(EXIT_FAILURE, "g_thread_pool_push");
    }
    g_mutex_lock(&pool->lock);
    while (g_atomic_int_get(&pool->pending) > 0)
        g_cond_wait(&pool->idle, &pool->lock);
    g_mutex_unlock(&pool->lock);
}

static void glib_stop(void *arg)
{
    struct glib_pool *pool = arg;

    g_thread_pool_free(pool->threads, FALSE, TRUE);
    g_mutex_clear(&pool->lock);
    g_cond_clear(&pool->idle);
    g_free(pool->tasks);
    g_free(pool);
}

const struct pool_peer pool_peers_glib[] = {
    {.name = "glib-GThreadPool",
     .start = glib_start,
     .run = glib_run,
     .stop = glib_stop},
    {0},
};
