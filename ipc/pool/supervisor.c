/* Supervisor: the thread of a pool, in the process that made it.
 *
 * It sleeps on the pool's bell and on the life words of the workers, by which
 * the kernel announces their deaths, and does what nobody else can: ends or
 * repeats the tasks of the dead, replaces workers, ends tasks whose time is up
 * or that are not wanted any more, and the pool itself.
 *
 * This is its life, what is asked of it, and who keeps it from ending.  What it
 * does about workers is in supervisor_deaths.c, supervisor_times.c and
 * supervisor_size.c.
 *
 * State
 *   what is in struct ipc__maker is its own, but for `request`;
 *   bell       rung after what it announces was stored;
 *   looks_at   the supervisor sleeps no longer than that.  It is stored before
 *              it looks at the workers' times once more, and a worker stores
 *              its time before it looks at this: either the one sees the new
 *              time, or the other rings;
 *   holds      see hold.h.
 *
 * Death
 *   It dies with its process, and then the workers end by themselves. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include "base/atomic.h"
#include "core/error.h"
#include "core/peers.h"
#include "core/waiting.h"
#include "kernel/procfs.h"
#include "pool/death.h"
#include "pool/future.h"
#include "pool/hold.h"
#include "pool/supervisor.h"
#include "pool/table.h"
#include "pool/worker.h"
#include "process/internal.h"

#define CLIENTS_NS ((int64_t)500 * 1000 * 1000)

/* ---- maps that have begun ---- */

/* When all is cancelled only those are waited for that still use the pool, of
 * this process: others do not when they see that. */
static bool is_awaited(const struct ipc__round *r, uint64_t hold)
{
    char name[24];
    int32_t pid = 0;
    if (r->maker->done_request < IPC__ASK_CANCEL)
        return true;
    ipc__peer_describe(r->pool, hold, &pid, name);
    return pid == getpid();
}

/* That of a dead thread is released, so that nobody follows it later. */
static void look_at_hold(struct ipc__round *r, uint64_t *hold, bool thorough)
{
    const uint64_t seen = load_acquire(hold);
    if (seen == 0 || (seen & IPC__HOLD_RELEASED) != 0)
        return;
    const bool dead = ipc__hold_is_dead(r->pool, seen, thorough);
    if (!dead && !is_awaited(r, seen))
        return;
    const uint64_t next =
        seen | (dead ? IPC__HOLD_RELEASED : IPC__HOLD_WATCHED);
    const bool is_set = cas64_relaxed(hold, seen, next);
    if (dead && is_set)
        return;
    r->is_held = true;
    if (!is_set)
        ipc__round_again_at(r, r->now + IPC__SOON_NS);
    else if (r->count < IPC__FUTEX_MANY)
        r->words[r->count++] =
            (struct ipc__futex){(uint32_t *)(void *)hold, (uint32_t)next};
}

/* With the line closed; before what is pending and who works is looked at. */
static void look_at_holds(struct ipc__round *r, bool thorough)
{
    struct ipc__holds *holds = ipc__holds_of(r->pool);
    if (r->maker->done_request == IPC__ASK_NOTHING)
        return;
    full_barrier(); /* [hold→close] */
    r->is_held = false;
    for (uint32_t i = 0; i < IPC__HOLDS; i++)
        look_at_hold(r, &holds->maps[i], thorough);
    for (uint32_t i = 0;
         i < IPC__HOLDS && r->maker->done_request < IPC__ASK_CANCEL; i++)
        look_at_hold(r, &holds->imaps[i], thorough);
}

/* ---- what is asked for ---- */

static void raise_word(uint32_t *word, uint32_t request)
{
    uint32_t now = load_relaxed(word);
    while (now < request && !cas32_release(word, now, request))
        now = load_relaxed(word);
}

static void raise_request(struct ipc__maker *maker, uint32_t request)
{
    raise_word(&ipc__holds_of(maker->pool)->request, request);
    full_barrier(); /* [request→put] */
    raise_word(&maker->request, request);
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

/* What it was about to put in a closed line (part.c) is in nobody's hands. */
static void end_unplaced(struct ipc_pool *pool, uint32_t client)
{
    const uint32_t made = load_acquire(&pool->made);
    for (uint32_t i = 0; i < made; i++) {
        struct ipc_future *future = &pool->records[i];
        const uint32_t word = load_acquire(&future->state);
        if (load_relaxed(&future->client) == client &&
            ipc__future_state(word) == IPC__RUNNING &&
            ipc__runner_of(word) == IPC_WORKER_CALLER)
            (void)ipc__future_complete(future, IPC__CANCELLED);
    }
}

void ipc__supervisor_bury_client(struct ipc__round *r, uint32_t client)
{
    end_unplaced(r->pool, client);
    ipc__table_bury_client(r->pool, client);
}

/* Of a worker that is not buried yet: then is told whether it has left in good
 * order, and what it has submitted becomes the maker's. */
static bool is_worker(const struct ipc_pool *pool, uint64_t id)
{
    const uint32_t used = load_relaxed(&pool->workers_used);
    for (uint32_t i = 0; i < used; i++)
        if (load_relaxed(&pool->workers[i].phase) != IPC__WORKER_NONE &&
            (uint32_t)load_relaxed(&pool->workers[i].pid) == (uint32_t)id)
            return true;
    return false;
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
        if (id != 0 && !is_worker(r->pool, id) && client_is_dead(id))
            ipc__supervisor_bury_client(r, i);
    }
}

/* ---- its life ---- */

static bool has_ended(const struct ipc__round *r)
{
    return r->maker->done_request != IPC__ASK_NOTHING && !r->is_held &&
           r->working == 0 &&
           (r->maker->done_request >= IPC__ASK_CANCEL ||
            ipc__table_pending(r->pool) == 0);
}

static void look(struct ipc__round *r, bool rung, bool thorough)
{
    struct ipc_pool *pool = r->pool;
    look_at_requests(r);
    look_at_holds(r, thorough);
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

static bool is_due_before(const struct ipc__maker *maker, ipc_deadline when)
{
    const struct ipc_pool *pool = maker->pool;
    for (uint32_t i = 0; i < pool->workers_used; i++) {
        const int64_t due = load_relaxed(&pool->workers[i].due);
        const struct ipc__hand *hand = &maker->hands[i];
        if (due != 0 && due < when && hand->started && hand->due_seen != due)
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
    ipc__own_thread_begin();
    if (ipc__self_register(pool) == 0)
        store_release(&pool->supervisor, ipc__self.id);
    for (;;) {
        const uint32_t bell = load_acquire(&pool->bell);
        struct ipc__round r = {.maker = maker,
                               .pool = pool,
                               .now = ipc_now(),
                               .next = IPC_TIME_FOREVER,
                               .is_held = true, /* until that is looked at */
                               .count = 1};
        r.words[0] = (struct ipc__futex){&pool->bell, bell};
        look(&r, bell != seen, thorough);
        seen = bell;
        if (has_ended(&r))
            break;
        store_relaxed(&pool->looks_at, r.next);
        full_barrier();
        if (is_due_before(maker, r.next))
            continue;
        thorough = ipc__sleep_many(&pace, r.words, r.count, r.next);
    }
    store_release(&pool->supervisor, 0);
    store_release(&pool->phase, IPC__POOL_ENDED);
    ipc__futex_wake(&pool->phase, INT_MAX);
    ipc__own_thread_end();
    return 0;
}
