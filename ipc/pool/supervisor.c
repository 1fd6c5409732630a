/* Supervisor: the thread of a pool, in the process that made it.
 *
 * It sleeps on the pool's bell and on the life words of the workers, by which
 * the kernel announces their deaths, and does what nobody else can: ends or
 * repeats the tasks of the dead, replaces workers, ends tasks whose time is up
 * or that are not wanted any more, and the pool itself.
 *
 * This is its life, and what is asked of it.  What it does about workers is in
 * supervisor_deaths.c, supervisor_times.c and supervisor_size.c.
 *
 * State
 *   what is in struct ipc__maker is its own, but for `request`;
 *   bell       rung after what it announces was stored;
 *   looks_at   the supervisor sleeps no longer than that.  It is stored before
 *              it looks at the workers' times once more, and a worker stores
 *              its time before it looks at this: either the one sees the new
 *              time, or the other rings.
 *
 * Death
 *   It dies with its process, and then the workers end by themselves. */
#include <errno.h>
#include <limits.h>
#include <signal.h>

#include "base/atomic.h"
#include "core/peers.h"
#include "core/waiting.h"
#include "kernel/procfs.h"
#include "pool/supervisor.h"
#include "pool/table.h"
#include "pool/worker.h"

#define CLIENTS_NS ((int64_t)500 * 1000 * 1000)

/* ---- what is asked for ---- */

static void raise_request(struct ipc__maker *maker, uint32_t request)
{
    uint32_t now = load_relaxed(&maker->request);
    while (now < request && !cas32_release(&maker->request, now, request))
        now = load_relaxed(&maker->request);
}

void ipc__supervisor_ask(struct ipc__maker *maker,
                         enum ipc__pool_request request)
{
    raise_request(maker, request);
    ipc__pool_ring(maker->pool);
}

static void look_at_requests(struct ipc__round *r)
{
    struct ipc__maker *maker = r->maker;
    struct ipc_pool *pool = r->pool;
    const uint32_t interrupts = load_acquire(&pool->interrupts);
    if (interrupts != maker->seen_interrupts) {
        maker->seen_interrupts = interrupts;
        raise_request(maker,
                      interrupts > 1 ? IPC__ASK_TERMINATE : IPC__ASK_CANCEL);
    }
    const uint32_t request = load_acquire(&maker->request);
    if (request == IPC__ASK_NOTHING)
        return;
    if (maker->done_request < IPC__ASK_CLOSE) {
        ipc__table_close(pool);
        store_release(&pool->phase, IPC__POOL_CLOSING);
    }
    if (request >= IPC__ASK_CANCEL) /* each time: some may come back */
        (void)ipc__table_cancel_all(
            pool,
            pool->broken != 0 ? IPC_EXCEPTION_BROKEN : IPC_EXCEPTION_CANCELLED,
            pool->broken != 0 ? -ENOTRECOVERABLE : -ECANCELED);
    if (request >= IPC__ASK_TERMINATE && maker->done_request < request)
        ipc__supervisor_terminate(r, request == IPC__ASK_KILL);
    maker->done_request = request;
}

/* ---- those who submit ---- */

static bool client_is_dead(uint64_t id)
{
    uint64_t ticks = 0;
    const int rc = ipc__proc_start_time((int)(uint32_t)id, &ticks);
    if (rc == 1)
        return true;
    if (rc < 0)
        return kill((pid_t)(uint32_t)id, 0) != 0 && errno == ESRCH;
    return id >> 32 != 0 && id >> 32 != (uint32_t)ticks;
}

static void look_at_clients(struct ipc__round *r)
{
    const bool is_full = load_acquire(&r->pool->clients_full) != 0;
    if (!is_full && r->maker->clients_at > r->now)
        return;
    store_relaxed(&r->pool->clients_full, 0);
    r->maker->clients_at = r->now + CLIENTS_NS;
    for (uint32_t i = 1; i < IPC__CLIENTS; i++) {
        const uint64_t id = load_relaxed(&r->pool->clients[i].id);
        if (id != 0 && client_is_dead(id))
            ipc__table_bury_client(r->pool, i);
    }
}

/* ---- its life ---- */

static bool has_ended(const struct ipc__round *r)
{
    return r->maker->done_request != IPC__ASK_NOTHING && r->working == 0 &&
           (r->maker->done_request >= IPC__ASK_CANCEL ||
            ipc__table_pending(r->pool) == 0);
}

static void look(struct ipc__round *r, bool rung, bool thorough)
{
    struct ipc_pool *pool = r->pool;
    look_at_requests(r);
    if (rung)
        ipc__supervisor_end_unwanted(r);
    for (uint32_t i = 0; i < pool->workers_used; i++) {
        ipc__supervisor_look_at_life(r, i, thorough);
        ipc__supervisor_look_at_times(r, i);
    }
    look_at_requests(r); /* a death may have broken it */
    ipc__supervisor_fit(r);
    if (thorough || load_relaxed(&pool->clients_full) != 0)
        look_at_clients(r);
}

static bool is_due_before(const struct ipc_pool *pool, ipc_deadline when)
{
    for (uint32_t i = 0; i < pool->workers_used; i++) {
        const int64_t due = load_relaxed(&pool->workers[i].due);
        if (due != 0 && due < when)
            return true;
    }
    return false;
}

int ipc__supervise(void *arg)
{
    struct ipc__maker *maker = arg;
    struct ipc_pool *pool = maker->pool;
    struct ipc__pace pace = {0};
    uint32_t seen = load_acquire(&pool->bell) - 1;
    bool thorough = false;
    if (ipc__self_register(pool) == 0)
        store_release(&pool->supervisor, ipc__self.id);
    for (;;) {
        const uint32_t bell = load_acquire(&pool->bell);
        struct ipc__round r = {.maker = maker,
                               .pool = pool,
                               .now = ipc_now(),
                               .next = IPC_TIME_FOREVER,
                               .count = 1};
        r.words[0] = (struct ipc__futex){&pool->bell, bell};
        look(&r, bell != seen, thorough);
        seen = bell;
        if (has_ended(&r))
            break;
        store_relaxed(&pool->looks_at, r.next);
        full_barrier();
        if (is_due_before(pool, r.next))
            continue;
        thorough = ipc__sleep_many(&pace, r.words, r.count, r.next);
    }
    store_release(&pool->supervisor, 0);
    store_release(&pool->phase, IPC__POOL_ENDED);
    ipc__futex_wake(&pool->phase, INT_MAX);
    return 0;
}
