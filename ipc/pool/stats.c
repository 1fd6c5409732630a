/* Looking at a pool. */
#include <errno.h>

#include "base/atomic.h"
#include "base/options.h"
#include "core/error.h"
#include "core/peers.h"
#include "pool/table.h"
#include "pool/worker.h"

static void count_workers(const ipc_pool *pool, ipc_pool_stats *s)
{
    s->done += load_relaxed(&pool->workers[IPC_WORKER_CALLER].done);
    s->failed += load_relaxed(&pool->workers[IPC_WORKER_CALLER].failed);
    for (uint32_t i = 0; i < load_relaxed(&pool->workers_used); i++) {
        const struct ipc__worker *w = &pool->workers[i];
        const uint32_t phase = load_relaxed(&w->phase);
        s->done += load_relaxed(&w->done);
        s->failed += load_relaxed(&w->failed);
        if (phase == IPC__WORKER_NONE || phase >= IPC__WORKER_LEAVING)
            continue;
        s->workers++;
        if (load_relaxed(&w->running) == 0)
            s->idle++;
    }
}

static void count_records(const ipc_pool *pool, ipc_pool_stats *s)
{
    const uint32_t made = load_acquire(&pool->made);
    for (uint32_t i = 0; i < made; i++) {
        const uint32_t word = load_relaxed(&pool->records[i].state);
        const enum ipc__future_state state = ipc__future_state(word);
        s->pending += state == IPC__PENDING ? 1 : 0;
        s->running += state == IPC__RUNNING ? 1 : 0;
        s->futures +=
            state != IPC__FREE && (word & IPC__ABANDONED) == 0 ? 1 : 0;
    }
}

int ipc_pool_query(const ipc_pool *pool, ipc_pool_stats *stats)
{
    if (pool->magic != IPC__POOL_MAGIC)
        return ipc__fail(-EINVAL, "this is no pool, or was freed");
    ipc_pool_stats s = IPC_POOL_STATS_INIT;
    count_workers(pool, &s);
    count_records(pool, &s);
    s.done += load_relaxed(&pool->tasks_before);
    s.failed += load_relaxed(&pool->failed_before) + load_relaxed(&pool->lost) +
                load_relaxed(&pool->cancelled);
    if ((int64_t)s.done < 0) /* a part of failures is being counted: job.c */
        s.done = 0;
    s.retried = load_relaxed(&pool->retried);
    s.respawned = load_relaxed(&pool->respawned);
    s.broken = load_relaxed(&pool->broken) != 0;
    s.shut_down = (load_relaxed(&pool->tail) & IPC__LINE_CLOSED) != 0;
    return ipc__info_write(stats, &s, sizeof s);
}

static void describe(const ipc_pool *pool, uint32_t i, ipc_worker_info *out)
{
    const struct ipc__worker *w = &pool->workers[i];
    const uint32_t running = load_relaxed(&w->running);
    *out = (ipc_worker_info){
        .pid = load_relaxed(&w->pid),
        .tid = (int32_t)((uint32_t)load_acquire(&w->id) & FUTEX_BITS_TID),
        .index = i,
        .tasks = load_relaxed(&w->done) + load_relaxed(&w->failed)};
    if (running != 0 && running <= load_relaxed(&pool->made)) {
        out->fn = (ipc_task_function *)ipc__pool_function_seen(
            pool, load_relaxed(&pool->records[running - 1].fn));
        out->since = load_relaxed(&w->since);
    }
}

size_t ipc_pool_workers(const ipc_pool *pool, ipc_worker_info *out,
                        size_t capacity)
{
    size_t n = 0;
    if (pool->magic != IPC__POOL_MAGIC)
        return 0;
    for (uint32_t i = 0; i < load_relaxed(&pool->workers_used); i++) {
        if (load_relaxed(&pool->workers[i].phase) == IPC__WORKER_NONE)
            continue;
        if (n < capacity)
            describe(pool, i, &out[n]);
        n++;
    }
    return n;
}
