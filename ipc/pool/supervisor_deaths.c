/* Supervisor: deaths of workers.
 *
 * A worker that is dead is joined; then what it was running is ended, or is
 * pending again, what it had claimed is put in line again, and what it had
 * submitted goes.  Too many deaths, or too early ones, break the pool. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include <ipc/error.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/peers.h"
#include "pool/death.h"
#include "pool/future.h"
#include "pool/job.h"
#include "pool/supervisor.h"
#include "pool/table.h"

#define ATTEMPTS_MAX  3
#define STILLBORN_MAX 3

/* ---- the tasks of the dead ---- */

static void set_pending(struct ipc_pool *pool, struct ipc_future *future)
{
    uint32_t word = load_relaxed(&future->state);
    const uint32_t keep = IPC__SLEEPERS | IPC__BELL | IPC__ABANDONED;
    while (!cas32_release(&future->state, word, (word & keep) | IPC__PENDING))
        word = load_relaxed(&future->state);
    ipc__table_put_again(pool, future);
}

static void complete(struct ipc_future *future, enum ipc__future_state state)
{
    const uint32_t word = ipc__future_complete(future, state);
    if ((word & IPC__ABANDONED) != 0)
        (void)ipc__table_free(future);
}

static bool may_run_again(const struct ipc_future *future)
{
    return (future->shape & IPC__TIMED) != 0 &&
           future->attempts <= future->retries &&
           future->attempts < ATTEMPTS_MAX;
}

static void end_part(struct ipc__round *r, struct ipc_future *future)
{
    if (ipc__job_lost(future))
        set_pending(r->pool, future);
    else
        complete(future, IPC__DONE);
}

/* A task that a dead worker was running. */
static void end_lost(struct ipc__round *r, uint32_t worker,
                     struct ipc_future *future)
{
    struct ipc_pool *pool = r->pool;
    const struct ipc__hand *hand = &r->maker->hands[worker];
    const bool is_unwanted = ipc__future_is_unwanted(future);
    ipc__crew_describe(r->maker, worker, future);
    if (future->attempts < UINT8_MAX)
        future->attempts++;
    future->kind = !is_unwanted          ? IPC_EXCEPTION_DIED
                   : !hand->for_deadline ? IPC_EXCEPTION_CANCELLED
                                         : IPC_EXCEPTION_DEADLINE;
    if ((future->shape & IPC__JOB) != 0) {
        end_part(r, future);
    } else if (!is_unwanted && may_run_again(future)) {
        store_relaxed(&pool->retried, pool->retried + 1);
        future->result_bytes = future->promised; /* whatever it had changed */
        set_pending(pool, future);
    } else {
        store_relaxed(&pool->lost, pool->lost + 1);
        if (!is_unwanted)
            ipc__future_blame(future, IPC_EXCEPTION_DIED, -EOWNERDEAD, NULL);
        else if (hand->for_deadline)
            ipc__future_blame(future, IPC_EXCEPTION_DEADLINE, -ETIME, NULL);
        else
            ipc__future_blame(future, IPC_EXCEPTION_CANCELLED, -ECANCELED,
                              NULL);
        complete(future, IPC__FAILED);
    }
}

static void end_tasks_of(struct ipc__round *r, uint32_t worker)
{
    const uint32_t made = load_acquire(&r->pool->made);
    for (uint32_t i = 0; i < made; i++) {
        struct ipc_future *future = &r->pool->records[i];
        const uint32_t word = load_acquire(&future->state);
        if (ipc__runner_of(word) != worker)
            continue;
        if (ipc__future_state(word) == IPC__RUNNING)
            end_lost(r, worker, future);
        else if (ipc__future_is_final(word) && (word & IPC__ABANDONED) != 0)
            (void)ipc__table_free(future);
    }
}

/* ---- dead workers ---- */

/* deaths: how many of them, and when. */
static void break_by_deaths(struct ipc__round *r, uint32_t last, int error,
                            const char *deaths)
{
    struct ipc_future record = {.signal = 0};
    char how[96];
    ipc__crew_describe(r->maker, last, &record);
    const struct ipc__death death = ipc__death_of(&record);
    ipc__death_describe(&death, how, sizeof how);
    ipc__pool_break(r->pool, error, "%s, the last %s", deaths, how);
    ipc__supervisor_ask(r->maker, IPC__ASK_CANCEL);
}

static void note_death(struct ipc__round *r, uint32_t i, bool got_anywhere)
{
    struct ipc__maker *maker = r->maker;
    struct ipc_pool *pool = r->pool;
    maker->deaths[maker->death_count++ % IPC__DEATHS] = r->now;
    if (got_anywhere) {
        maker->delay_ns = 0;
    } else {
        maker->spawn_at = r->now + maker->delay_ns;
        maker->delay_ns = maker->delay_ns == 0 ? IPC__FIRST_DELAY_NS
                          : maker->delay_ns * 2 < IPC__LAST_DELAY_NS
                              ? maker->delay_ns * 2
                              : IPC__LAST_DELAY_NS;
    }
    const uint32_t most = pool->max_deaths;
    if (maker->death_count >= most &&
        maker->deaths[(maker->death_count - most) % IPC__DEATHS] >=
            r->now - pool->deaths_ns &&
        pool->broken == 0) {
        char deaths[96];
        snprintf(deaths, sizeof deaths, "%u workers of %s died within %g s",
                 most, pool->name, (double)pool->deaths_ns / 1e9);
        break_by_deaths(r, i, EOWNERDEAD, deaths);
    }
}

/* It submitted, too: what it had submitted is nobody's.  Of one that has left
 * in good order it may be the result of a task: it is the maker's. */
static void bury_submitter(struct ipc__round *r, int32_t pid, bool left)
{
    for (uint32_t i = 1; i < IPC__CLIENTS; i++) {
        if ((int32_t)load_relaxed(&r->pool->clients[i].id) != pid)
            continue;
        if (left)
            ipc__table_adopt(r->pool, i);
        ipc__supervisor_bury_client(r, i);
    }
}

/* Workers that end by themselves before they have begun would do so for ever.
 * (SIGKILL comes from others, or for want of memory in the initializer.) */
static void look_at_beginnings(struct ipc__round *r, uint32_t i)
{
    struct ipc__maker *maker = r->maker;
    struct ipc_future how = {.signal = 0};
    if (load_acquire(&r->pool->workers[i].ready) == 1) {
        maker->stillborn = 0;
        return;
    }
    ipc__crew_describe(maker, i, &how);
    if (maker->hands[i].was_signaled ||
        (how.signal == SIGKILL && r->pool->initializer == 0))
        return;
    if (++maker->stillborn >= STILLBORN_MAX && r->pool->broken == 0) {
        char deaths[96];
        snprintf(deaths, sizeof deaths,
                 "%u workers of %s died before they had begun",
                 maker->stillborn, r->pool->name);
        break_by_deaths(r, i, ECHILD, deaths);
    }
}

static void break_by_beginning(struct ipc__round *r, uint32_t i)
{
    const struct ipc_pool *pool = r->pool;
    const int status = load_acquire(&pool->workers[i].ready);
    if (status < 0)
        ipc__pool_break(r->pool, ECHILD,
                        "the initializer of %s-%u has failed: %d (%s)",
                        pool->name, i + 1, status, ipc_strerror(status));
    else
        ipc__pool_break(r->pool, ECHILD, "%s-%u could not begin", pool->name,
                        i + 1);
    ipc__supervisor_ask(r->maker, IPC__ASK_CANCEL);
}

static void bury(struct ipc__round *r, uint32_t i)
{
    struct ipc_pool *pool = r->pool;
    struct ipc__hand *hand = &r->maker->hands[i];
    struct ipc__worker *w = &pool->workers[i];
    const uint32_t phase = load_acquire(&w->phase);
    const bool left = phase == IPC__WORKER_LEAVING;
    const bool got_anywhere = w->done + w->failed != 0;
    look_at_beginnings(r, i);
    if (phase == IPC__WORKER_FAILED && pool->broken == 0)
        break_by_beginning(r, i);
    end_tasks_of(r, i);
    ipc__table_bury_worker(pool, i);
    if (pool->kind == IPC_POOL_PROCESSES && w->pid != 0)
        bury_submitter(r, w->pid, left);
    ipc__future_ring();
    if (!left && !hand->was_signaled)
        note_death(r, i, got_anywhere);
    store_relaxed(&pool->tasks_before, pool->tasks_before + w->done);
    store_relaxed(&pool->failed_before, pool->failed_before + w->failed);
    store_relaxed(&w->done, 0);
    store_relaxed(&w->failed, 0);
    store_relaxed(&w->due, 0);
    ipc__crew_close(r->maker, i);
}

void ipc__supervisor_look_at_life(struct ipc__round *r, uint32_t i,
                                  bool thorough)
{
    struct ipc__hand *hand = &r->maker->hands[i];
    const struct ipc__worker *w = &r->pool->workers[i];
    const uint64_t id = load_acquire(&w->id);
    struct ipc__peer peer = {.dead = false};
    if (!hand->started)
        return;
    if (id != 0 && !hand->is_dead) {
        ipc__peer_look(r->pool, id, thorough, &peer);
        hand->is_dead = peer.dead;
    }
    /* Who has no identity yet, or is dead but not gone, is looked at often. */
    if (id == 0 || hand->is_dead) {
        if (ipc__crew_join(r->maker, i, IPC_TIME_NOW)) {
            bury(r, i);
            return;
        }
        /* It may have another program's image, or other threads. */
        if (hand->is_dead && r->pool->kind == IPC_POOL_PROCESSES &&
            hand->kill_at == 0)
            hand->kill_at = r->now + IPC__FIRST_DELAY_NS;
        ipc__round_again_at(r, r->now + IPC__SOON_NS);
    } else if (peer.life != NULL && r->count < IPC__FUTEX_MANY) {
        r->words[r->count++] =
            (struct ipc__futex){peer.life, peer.life_if_alive};
    }
    r->working++;
}
