/* Done: how many messages of a queue have been said to be done.
 *
 * State
 *   tail, get.aborted   how many there were; see ring.c
 *   done                how many are done; SLEEPERS set by who waits for the
 *                       rest; IMMEDIATE, they have been dropped.  By CAS
 *
 * Order
 *   [sleep→tell]  who waits sets SLEEPERS before it looks at `aborted` a last
 *   time; who counts aborted ones, or one that is done, does that before it
 *   looks for SLEEPERS and at the other count.  One of the two sees the
 *   other.
 *
 * Death
 *   One CAS, or one system call that counts and wakes: it is done or not.  Of
 *   one who drops them, or finds some aborted: those who wait see that at
 *   their re-check. */
#include <errno.h>
#include <limits.h>
#include <stddef.h>

#include "core/waiting.h"
#include "queue/ops.h"
#include "queue/users.h"

/* Messages that are not done, when so many are. */
static uint32_t not_done(const ipc_queue *queue, uint32_t done)
{
    if ((done & IPC__QUEUE_IMMEDIATE) != 0)
        return 0;
    const uint32_t aborted = load_relaxed(&queue->get.aborted);
    const uint32_t tail = ipc__queue_count(load_acquire(&queue->tail));
    return ipc__queue_ahead(ipc__queue_ahead(tail, aborted),
                            ipc__queue_count(done));
}

int ipc__queue_task_done(ipc_queue *queue)
{
    for (;;) {
        const uint32_t done = load_relaxed(&queue->done);
        const uint32_t left = not_done(queue, done);
        if ((done & IPC__QUEUE_IMMEDIATE) != 0)
            return 0;
        if (left == 0)
            return ipc__queue_fail(queue, -EINVAL,
                                   "has had no more messages than are done");
        if (left == 1 && (done & IPC__QUEUE_SLEEPERS) != 0) {
            (void)ipc__futex_change_and_wake(
                &queue->done, IPC__FUTEX_ADD,
                (int)(IPC__QUEUE_ONE - IPC__QUEUE_SLEEPERS), INT_MAX);
            return 0;
        }
        if (!cas32_release(&queue->done, done, done + IPC__QUEUE_ONE))
            continue;
        /* The others may have been aborted just now: [sleep→tell]. */
        if ((done & IPC__QUEUE_SLEEPERS) != 0)
            ipc__queue_tell_joiners(queue);
        return 0;
    }
}

int ipc__queue_join_looking(ipc_queue *queue, ipc_deadline deadline,
                            void (*look)(ipc_queue *queue, bool thorough))
{
    struct ipc__pace pace = {0};
    bool thorough = false;
    for (;;) {
        const uint32_t done = load_acquire(&queue->done);
        if (not_done(queue, done) == 0)
            return 0;
        if (look != NULL)
            look(queue, thorough);
        if (not_done(queue, done) == 0)
            continue;
        if (ipc_time_left(deadline) == 0)
            return ipc__queue_fail(
                queue, deadline == IPC_TIME_NOW ? -EAGAIN : -ETIMEDOUT,
                "has messages that are not done");
        if ((done & IPC__QUEUE_SLEEPERS) == 0) {
            /* [sleep→tell]: then look once more. */
            (void)cas32_relaxed(&queue->done, done, done | IPC__QUEUE_SLEEPERS);
            barrier_after_cas();
            continue;
        }
        const struct ipc__futex word = {&queue->done, done};
        thorough = ipc__queue_sleep(queue, &pace, &word, 1, deadline);
    }
}

int ipc__queue_join(ipc_queue *queue, ipc_deadline deadline)
{
    return ipc__queue_join_looking(queue, deadline, NULL);
}

void ipc__queue_tell_joiners(ipc_queue *queue)
{
    full_barrier(); /* [sleep→tell] */
    const uint32_t done = load_relaxed(&queue->done);
    if ((done & IPC__QUEUE_SLEEPERS) != 0 && not_done(queue, done) == 0 &&
        cas32_release(&queue->done, done, done & ~IPC__QUEUE_SLEEPERS))
        ipc__futex_wake(&queue->done, INT_MAX);
}
