/* Supervisor: the thread of a pool, in the process that made it.
 *
 * It sleeps on the pool's bell and on the life words of the workers, by which
 * the kernel announces their deaths, and does what nobody else can: ends or
 * repeats the tasks of the dead, replaces workers, ends tasks whose time is up
 * or that are not wanted any more, and the pool itself.
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
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/shared.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/peers.h"
#include "core/waiting.h"
#include "kernel/procfs.h"
#include "pool/death.h"
#include "pool/future.h"
#include "pool/job.h"
#include "pool/maker.h"
#include "pool/table.h"
#include "pool/worker.h"

#define FIRST_DELAY_NS ((int64_t)10 * 1000 * 1000)
#define LAST_DELAY_NS  ((int64_t)1000 * 1000 * 1000)
#define CLIENTS_NS     ((int64_t)500 * 1000 * 1000)
#define SOON_NS        ((int64_t)1000 * 1000)
#define ATTEMPTS_MAX   3
#define STILLBORN_MAX  3

struct round {
    struct ipc__maker *maker;
    struct ipc_pool *pool;
    ipc_deadline now;
    ipc_deadline next; /* when to look again */
    uint32_t working;  /* workers that are there */
    uint32_t count;    /* words to sleep on */
    struct ipc__futex words[IPC__FUTEX_MANY];
};

static void look_again_at(struct round *r, ipc_deadline when)
{
    if (when < r->next)
        r->next = when;
}

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

static void end_part(struct round *r, struct ipc_future *future)
{
    if (ipc__job_lost(future))
        set_pending(r->pool, future);
    else
        complete(future, IPC__DONE);
}

/* A task that a dead worker was running. */
static void end_lost(struct round *r, uint32_t worker,
                     struct ipc_future *future)
{
    struct ipc_pool *pool = r->pool;
    const struct ipc__hand *hand = &r->maker->hands[worker];
    const bool is_unwanted =
        (load_relaxed(&future->state) & IPC__TERMINATE) != 0;
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

static uint32_t runner_of(uint32_t word)
{
    return (word >> IPC__RUNNER_SHIFT) - 1;
}

static void end_tasks_of(struct round *r, uint32_t worker)
{
    const uint32_t made = load_acquire(&r->pool->made);
    for (uint32_t i = 0; i < made; i++) {
        struct ipc_future *future = &r->pool->records[i];
        const uint32_t word = load_acquire(&future->state);
        if (runner_of(word) != worker)
            continue;
        if (ipc__future_state(word) == IPC__RUNNING)
            end_lost(r, worker, future);
        else if (ipc__future_is_final(word) && (word & IPC__ABANDONED) != 0)
            (void)ipc__table_free(future);
    }
}

/* ---- dead workers ---- */

/* deaths: how many of them, and when. */
static void break_by_deaths(struct round *r, uint32_t last, int error,
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

static void note_death(struct round *r, uint32_t i, bool got_anywhere)
{
    struct ipc__maker *maker = r->maker;
    struct ipc_pool *pool = r->pool;
    maker->deaths[maker->death_count++ % IPC__DEATHS] = r->now;
    if (got_anywhere) {
        maker->delay_ns = 0;
    } else {
        maker->spawn_at = r->now + maker->delay_ns;
        maker->delay_ns = maker->delay_ns == 0 ? FIRST_DELAY_NS
                          : maker->delay_ns * 2 < LAST_DELAY_NS
                              ? maker->delay_ns * 2
                              : LAST_DELAY_NS;
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

/* It submitted, too: what it had submitted is nobody's.  Of one that has left in
 * good order it may be the result of a task: it is the maker's. */
static void bury_submitter(struct round *r, int32_t pid, bool left)
{
    for (uint32_t i = 1; i < IPC__CLIENTS; i++) {
        if ((int32_t)load_relaxed(&r->pool->clients[i].id) != pid)
            continue;
        if (left)
            ipc__table_adopt(r->pool, i);
        ipc__table_bury_client(r->pool, i);
    }
}

/* Workers that end by themselves before they have begun would do so for ever.
 * (SIGKILL comes from others, or for want of memory in the initializer.) */
static void look_at_beginnings(struct round *r, uint32_t i)
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

static void break_by_beginning(struct round *r, uint32_t i)
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

static void bury(struct round *r, uint32_t i)
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
    ipc__crew_close(r->maker, i);
}

static void look_at_worker(struct round *r, uint32_t i, bool thorough)
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
            hand->kill_at = r->now + FIRST_DELAY_NS;
        look_again_at(r, r->now + SOON_NS);
    } else if (peer.life != NULL && r->count < IPC__FUTEX_MANY) {
        r->words[r->count++] =
            (struct ipc__futex){peer.life, peer.life_if_alive};
    }
    r->working++;
}

/* ---- tasks that are to end ---- */

static void end_worker(struct round *r, uint32_t i, int64_t grace_ns)
{
    struct ipc__hand *hand = &r->maker->hands[i];
    if (r->pool->kind != IPC_POOL_PROCESSES || !hand->started ||
        hand->was_signaled)
        return;
    hand->was_signaled = true;
    hand->kill_at = r->now + grace_ns;
    ipc__crew_signal(r->maker, i, SIGTERM);
}

static void look_at_times(struct round *r, uint32_t i)
{
    struct ipc__hand *hand = &r->maker->hands[i];
    struct ipc__worker *w = &r->pool->workers[i];
    if (!hand->started)
        return;
    const int64_t due = load_acquire(&w->due);
    const uint32_t of = load_acquire(&w->due_of);
    if (due != 0 && due > r->now) {
        look_again_at(r, due);
    } else if (due != 0 && of != 0 && !hand->was_signaled) {
        struct ipc_future *future = &r->pool->records[of - 1];
        /* It may be in another item by now: that one stops when it sees the
         * flag, and is run again; or in another task. */
        if (runner_of(load_acquire(&future->state)) == i &&
            load_acquire(&w->due) == due &&
            ipc__future_set_flag(future, IPC__TERMINATE) &&
            load_relaxed(&w->due) == due) {
            hand->for_deadline = true;
            end_worker(r, i, r->pool->grace_ns);
        }
    }
    if (hand->kill_at != 0 && hand->kill_at <= r->now) {
        ipc__crew_signal(r->maker, i, SIGKILL);
        hand->kill_at = r->now + LAST_DELAY_NS;
    }
    if (hand->kill_at != 0)
        look_again_at(r, hand->kill_at);
}

/* Tasks that somebody wants ended while they run. */
static void look_for_unwanted(struct round *r)
{
    const uint32_t made = load_acquire(&r->pool->made);
    for (uint32_t i = 0; i < made; i++) {
        const struct ipc_future *future = &r->pool->records[i];
        const uint32_t word = load_acquire(&future->state);
        if ((word & IPC__TERMINATE) != 0 &&
            ipc__future_state(word) == IPC__RUNNING &&
            runner_of(word) < r->pool->workers_used)
            end_worker(r, runner_of(word), load_relaxed(&future->grace_ns));
    }
}

static void terminate_all(struct round *r, bool at_once)
{
    struct ipc_pool *pool = r->pool;
    const uint32_t made = load_acquire(&pool->made);
    for (uint32_t i = 0; i < made; i++)
        if (ipc__future_state(load_relaxed(&pool->records[i].state)) ==
            IPC__RUNNING)
            (void)ipc__future_set_flag(&pool->records[i], IPC__TERMINATE);
    for (uint32_t i = 0; i < pool->workers_used; i++) {
        end_worker(r, i, pool->grace_ns);
        if (at_once)
            r->maker->hands[i].kill_at = r->now;
    }
}

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

static void look_at_requests(struct round *r)
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
        terminate_all(r, request == IPC__ASK_KILL);
    maker->done_request = request;
}

/* ---- enough workers, and not too many ---- */

static bool wants_more(const struct round *r)
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

static void start_more(struct round *r)
{
    struct ipc_pool *pool = r->pool;
    /* Not those that leave meanwhile: they are to be buried first. */
    uint32_t most = load_relaxed(&pool->wanted) - load_relaxed(&pool->living);
    if (pool->idle_ns != 0 && most > ipc__table_pending(pool) + 1)
        most = ipc__table_pending(pool) + 1;
    for (uint32_t i = 0; i < pool->workers_max && most != 0 && wants_more(r);
         i++) {
        if (r->maker->hands[i].started)
            continue;
        if (r->maker->spawn_at > r->now) {
            look_again_at(r, r->maker->spawn_at);
            return;
        }
        store_relaxed(&pool->respawned, pool->respawned + 1);
        if (ipc__crew_start(r->maker, i) != 0) {
            store_relaxed(&pool->respawned, pool->respawned - 1);
            r->maker->spawn_at = r->now + FIRST_DELAY_NS;
            look_again_at(r, r->maker->spawn_at);
            return;
        }
        r->working++;
        most--;
        look_again_at(r, r->now + SOON_NS);
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
static void let_some_leave(struct round *r)
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

static void look_at_clients(struct round *r)
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

static bool has_ended(const struct round *r)
{
    return r->maker->done_request != IPC__ASK_NOTHING && r->working == 0 &&
           (r->maker->done_request >= IPC__ASK_CANCEL ||
            ipc__table_pending(r->pool) == 0);
}

static void look(struct round *r, bool rung, bool thorough)
{
    struct ipc_pool *pool = r->pool;
    look_at_requests(r);
    if (rung)
        look_for_unwanted(r);
    for (uint32_t i = 0; i < pool->workers_used; i++) {
        look_at_worker(r, i, thorough);
        look_at_times(r, i);
    }
    look_at_requests(r); /* a death may have broken it */
    note_shrunk(pool);
    if (wants_more(r))
        start_more(r);
    if (load_relaxed(&pool->living) > load_relaxed(&pool->wanted))
        let_some_leave(r);
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
        struct round r = {.maker = maker,
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
