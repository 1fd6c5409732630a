/* Supervisor: enough workers, and not too many: those that died are replaced,
 * slower while they keep dying; a pool is resized; idle ones come back. */
#include <errno.h>
#include <limits.h>

#include <ipc/error.h>

#include "base/atomic.h"
#include "pool/death.h"
#include "pool/supervisor.h"
#include "pool/table.h"

static bool wants_more(const struct ipc__round *r)
{
    const struct ipc_pool *pool = r->pool;
    const uint32_t living = load_relaxed(&pool->living);
    const uint32_t pending = ipc__table_pending(pool);
    const uint32_t request = load_acquire(&r->maker->request);
    if (request >= IPC__ASK_CANCEL ||
        (request == IPC__ASK_CLOSE && pending == 0))
        return false;
    if (living >= load_relaxed(&pool->wanted))
        return false;
    return pool->idle_ns == 0 || living < pool->min_workers || pending != 0;
}

/* Who submits is to ring then.  A worker that leaves says so too, which may be
 * overwritten here; but its death brings us back. */
static void note_shrunk(struct ipc_pool *pool)
{
    const bool is_shrunk =
        load_relaxed(&pool->living) < load_relaxed(&pool->wanted);
    if (load_relaxed(&pool->shrunk) != is_shrunk)
        store_relaxed(&pool->shrunk, is_shrunk);
    full_barrier(); /* then look what is pending */
}

int64_t ipc__pool_patience_ns = (int64_t)10 * 1000 * 1000 * 1000;

/* One could not be started.  What is missing may be there soon; but nobody is to
 * wait for ever for a pool in which nobody works. */
static void lose_patience(struct ipc__round *r)
{
    struct ipc__maker *maker = r->maker;
    if (load_relaxed(&r->pool->living) != 0 || r->pool->broken != 0) {
        maker->alone_at = 0;
    } else if (maker->alone_at == 0) {
        maker->alone_at = r->now;
    } else if (r->now - maker->alone_at >= ipc__pool_patience_ns) {
        ipc__pool_break(r->pool, ECHILD, "no worker can be started: %s",
                        ipc_error_detail());
        ipc__supervisor_ask(maker, IPC__ASK_CANCEL);
    }
}

static void start_more(struct ipc__round *r)
{
    struct ipc_pool *pool = r->pool;
    /* Not those that leave meanwhile: they are to be buried first. */
    uint32_t most = load_relaxed(&pool->wanted) - load_relaxed(&pool->living);
    const uint32_t pending = ipc__table_pending(pool);
    const bool closes = load_relaxed(&r->maker->request) != IPC__ASK_NOTHING;
    if ((pool->idle_ns != 0 || closes) && most > pending + 1)
        most = pending + 1;
    for (uint32_t i = 0; i < pool->workers_max && most != 0 && wants_more(r);
         i++) {
        if (r->maker->hands[i].started)
            continue;
        if (r->maker->spawn_at > r->now) {
            ipc__round_again_at(r, r->maker->spawn_at);
            return;
        }
        store_relaxed(&pool->respawned, pool->respawned + 1);
        if (ipc__crew_start(r->maker, i) != 0) {
            store_relaxed(&pool->respawned, pool->respawned - 1);
            r->maker->spawn_at = r->now + IPC__FIRST_DELAY_NS;
            ipc__round_again_at(r, r->maker->spawn_at);
            lose_patience(r);
            return;
        }
        r->maker->alone_at = 0;
        r->working++;
        most--;
        ipc__round_again_at(r, r->now + IPC__SOON_NS);
    }
}

static uint32_t count_leaving(const struct ipc_pool *pool)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < pool->workers_used; i++) {
        const struct ipc__worker *w = &pool->workers[i];
        if (load_relaxed(&w->phase) != IPC__WORKER_NONE &&
            load_relaxed(&w->left) == 0 && load_relaxed(&w->leave) != 0)
            n++;
    }
    return n;
}

/* The idle ones go first. */
static void let_some_leave(struct ipc__round *r)
{
    struct ipc_pool *pool = r->pool;
    const uint32_t wanted = load_relaxed(&pool->wanted);
    uint32_t staying = load_relaxed(&pool->living) - count_leaving(pool);
    for (int busy = 0; busy < 2; busy++)
        for (uint32_t i = pool->workers_used; i-- > 0 && staying > wanted;) {
            struct ipc__worker *w = &pool->workers[i];
            const uint32_t phase = load_relaxed(&w->phase);
            if (phase == IPC__WORKER_NONE || load_relaxed(&w->leave) != 0 ||
                load_relaxed(&w->left) != 0 ||
                (busy == 0 && load_relaxed(&w->running) != 0))
                continue;
            store_release(&w->leave, 1);
            staying--;
            ipc__futex_wake(&pool->tail, INT_MAX);
        }
}

void ipc__supervisor_fit(struct ipc__round *r)
{
    const struct ipc_pool *pool = r->pool;
    note_shrunk(r->pool);
    if (wants_more(r))
        start_more(r);
    if (load_relaxed(&pool->living) > load_relaxed(&pool->wanted))
        let_some_leave(r);
}
