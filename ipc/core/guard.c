/* State, invariants, order and death of the word: owner.c.  What the guard
 * adds: list_op_pending names the word from before the attempt to after the
 * release, so whenever its owner dies the kernel marks the word itself and
 * wakes a sleeper.  After a take-over OWNER_DIED is cleared only when recover
 * has run to its end: a death inside recover leaves it set for the next. */
#include "core/guard.h"

#include <errno.h>

int ipc__guard_lock_slow(struct ipc__guard *guard, void (*recover)(void *),
                         void *arg)
{
    int rc = ipc__self_is_ready(guard) ? 0 : ipc__self_register(guard);
    if (rc != 0)
        return rc;
    uint64_t seen;
    rc = ipc__owner_acquire(&guard->word, NULL, IPC_TIME_FOREVER, &seen);
    if (rc < 0) {
        ipc__pending_clear();
        /* A guard is never given up, nor taken twice: not by us. */
        return rc == -ENOTRECOVERABLE || rc == -EDEADLK ? -EUCLEAN : rc;
    }
    if (rc == IPC_OWNER_DIED) {
        recover(arg);
        uint64_t now = load_relaxed(&guard->word);
        while (!cas64_release(&guard->word, now,
                              now & ~(uint64_t)FUTEX_BIT_OWNER_DIED))
            now = load_relaxed(&guard->word); /* WAITERS was set meanwhile */
    }
    return 0;
}
