/* Supervisor: tasks that are to end while they run, as their time is up, or as
 * somebody does not want them any more.
 *
 * A worker process gets SIGTERM, and SIGKILL when its grace is over; it is
 * replaced as others that died.  A thread finds the flag of its task. */
#include <signal.h>

#include "base/atomic.h"
#include "pool/future.h"
#include "pool/supervisor.h"

/* A shorter grace counts also later. */
static void end_worker(struct ipc__round *r, uint32_t i, int64_t grace_ns)
{
    struct ipc__hand *hand = &r->maker->hands[i];
    const ipc_deadline kill_at = grace_ns < IPC_TIME_FOREVER - r->now
                                     ? r->now + grace_ns
                                     : IPC_TIME_FOREVER;
    if (r->pool->kind != IPC_POOL_PROCESSES || !hand->started)
        return;
    if (!hand->was_signaled)
        ipc__crew_signal(r->maker, i, SIGTERM);
    if (!hand->was_signaled || kill_at < hand->kill_at)
        hand->kill_at = kill_at;
    hand->was_signaled = true;
}

/* With the grace of its pool, if nobody has given another one. */
static bool want_ended(struct ipc_future *future)
{
    if ((load_relaxed(&future->state) & IPC__TERMINATE) == 0)
        store_relaxed(&future->grace_ns, future->pool->grace_ns);
    return ipc__future_set_flag(future, IPC__TERMINATE);
}

void ipc__supervisor_look_at_times(struct ipc__round *r, uint32_t i)
{
    struct ipc__hand *hand = &r->maker->hands[i];
    struct ipc__worker *w = &r->pool->workers[i];
    if (!hand->started)
        return;
    const int64_t due = load_acquire(&w->due);
    const uint32_t of = load_acquire(&w->due_of);
    if (due != 0 && due > r->now) {
        ipc__round_again_at(r, due);
    } else if (due != 0 && of != 0) {
        hand->due_seen = due; /* it has been seen to, and is slept over */
        struct ipc_future *future = &r->pool->records[of - 1];
        /* It may be in another item by now: that one stops when it sees the
         * flag, and is run again; or in another task. */
        if (ipc__runner_of(load_acquire(&future->state)) == i &&
            load_acquire(&w->due) == due && want_ended(future) &&
            load_relaxed(&w->due) == due) {
            hand->for_deadline |= !hand->was_signaled;
            end_worker(r, i, r->pool->grace_ns);
        }
    }
    if (hand->kill_at != 0 && hand->kill_at <= r->now) {
        ipc__crew_signal(r->maker, i, SIGKILL);
        hand->kill_at = r->now + IPC__LAST_DELAY_NS;
    }
    if (hand->kill_at != 0)
        ipc__round_again_at(r, hand->kill_at);
}

/* Tasks that somebody wants ended while they run. */
void ipc__supervisor_end_unwanted(struct ipc__round *r)
{
    const uint32_t made = load_acquire(&r->pool->made);
    for (uint32_t i = 0; i < made; i++) {
        const struct ipc_future *future = &r->pool->records[i];
        const uint32_t word = load_acquire(&future->state);
        if ((word & IPC__TERMINATE) != 0 &&
            ipc__future_state(word) == IPC__RUNNING &&
            ipc__runner_of(word) < r->pool->workers_used)
            end_worker(r, ipc__runner_of(word),
                       load_relaxed(&future->grace_ns));
    }
}

void ipc__supervisor_terminate(struct ipc__round *r, bool at_once)
{
    struct ipc_pool *pool = r->pool;
    const uint32_t made = load_acquire(&pool->made);
    for (uint32_t i = 0; i < made; i++)
        if (ipc__future_state(load_relaxed(&pool->records[i].state)) ==
            IPC__RUNNING)
            (void)want_ended(&pool->records[i]);
    for (uint32_t i = 0; i < pool->workers_used; i++) {
        end_worker(r, i, pool->grace_ns);
        if (at_once)
            r->maker->hands[i].kill_at = r->now;
    }
}
