/* oneTBB: a group of tasks, a parallel loop, and tasks nobody waits for. */
#include "pool_peer.h"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace
{

/* However many CPUs there are; the one who submits is in addition. */
struct tbb_pool {
    explicit tbb_pool(unsigned reserved)
        : limit(tbb::global_control::max_allowed_parallelism, POOL_WORKERS + 1),
          arena(POOL_WORKERS, reserved)
    {
    }

    tbb::global_control limit;
    tbb::task_arena arena;
    tbb::task_group group;

    /* Of tasks that were enqueued. */
    std::atomic<size_t> pending{0};
    std::mutex lock;
    std::condition_variable idle;
    bool done = false;
};

/* ---- whoever waits works, too ---- */

void *waiter_start(size_t, size_t)
{
    return new tbb_pool(1);
}

void group_run(void *arg, const struct pool_batch *batch)
{
    auto *pool = static_cast<tbb_pool *>(arg);

    pool->arena.execute([=] {
        for (size_t i = 0; i < batch->count; i++)
            pool->group.run([=] {
                batch->fn(pool_arg(batch, i), pool_result(batch, i),
                          batch->words);
            });
        pool->group.wait();
    });
}

void for_map(void *arg, const struct pool_batch *batch)
{
    auto *pool = static_cast<tbb_pool *>(arg);

    pool->arena.execute([=] {
        tbb::parallel_for(size_t{0}, batch->count, [=](size_t i) {
            batch->fn(pool_arg(batch, i), pool_result(batch, i), batch->words);
        });
    });
}

/* ---- only the workers work ---- */

void *enqueue_start(size_t, size_t)
{
    return new tbb_pool(0);
}

void enqueue_run(void *arg, const struct pool_batch *batch)
{
    auto *pool = static_cast<tbb_pool *>(arg);

    pool->pending = batch->count;
    pool->done = false;
    for (size_t i = 0; i < batch->count; i++)
        pool->arena.enqueue([=] {
            batch->fn(pool_arg(batch, i), pool_result(batch, i), batch->words);
            if (--pool->pending == 0) {
                std::lock_guard<std::mutex> guard(pool->lock);

                pool->done = true;
                pool->idle.notify_one();
            }
        });
    std::unique_lock<std::mutex> guard(pool->lock);
    /* Not for the count: the last one still has the lock to take then. */
    pool->idle.wait(guard, [=] {
        return pool->done;
    });
}

void tbb_stop(void *pool)
{
    delete static_cast<tbb_pool *>(pool);
}

} // namespace

const struct pool_peer pool_peers_tbb[] = {
    {"tbb-task_group", false, nullptr, waiter_start, group_run, nullptr,
     tbb_stop},
    {"tbb-parallel_for", false, nullptr, waiter_start, nullptr, for_map,
     tbb_stop},
    {"tbb-enqueue", false, nullptr, enqueue_start, enqueue_run, nullptr,
     tbb_stop},
    {},
};
