/* Guard: the short lock inside the library's own shared structures.
 *
 * An owner word held with list_op_pending set, so that the kernel itself
 * marks it when its owner dies.  Between lock and unlock: no other guard, no
 * call out of the library, no allocation, a bounded amount of work.  When the
 * last owner died inside, the recovery function runs before the lock is
 * granted; it makes the structure whole from whatever instruction it was left
 * at, and may be killed and run again.
 *
 * Where the kernel's robust list cannot be used (see
 * ipc__robust_list_usable) the word still names its owner, and a death is
 * found by the re-check: within 200 ms instead of at once. */
#ifndef IPC_CORE_GUARD_H
#define IPC_CORE_GUARD_H

#include "core/owner.h"

struct ipc__guard {
    uint64_t word; /* all-zero is a free guard */
};

int ipc__guard_lock_slow(struct ipc__guard *guard, void (*recover)(void *),
                         void *arg);

/* Returns 0, or why the calling thread cannot take part (-EXDEV, -ENOMEM,
 * -EUCLEAN), and then it does not hold it. */
static inline int ipc__guard_lock(struct ipc__guard *guard,
                                  void (*recover)(void *), void *arg)
{
    if (ipc__self_is_ready(guard)) {
        ipc__pending_set(&guard->word);
        if (ipc__owner_try(&guard->word, ipc__self.id))
            return 0;
    }
    return ipc__guard_lock_slow(guard, recover, arg);
}

/* Take it if it is free and nobody died in it, at once. */
static inline bool ipc__guard_try(struct ipc__guard *guard)
{
    if (unlikely(!ipc__self_is_ready(guard)))
        return false;
    ipc__pending_set(&guard->word);
    if (likely(ipc__owner_try(&guard->word, ipc__self.id)))
        return true;
    ipc__pending_clear();
    return false;
}

/* Unlock, but leave list_op_pending alone: it names another word by now. */
static inline void ipc__guard_unlock_only(struct ipc__guard *guard)
{
    if (unlikely(!cas64_release(&guard->word, ipc__self.id, 0)))
        ipc__owner_release_waking(&guard->word); /* [release→acquire] */
}

static inline void ipc__guard_unlock(struct ipc__guard *guard)
{
    ipc__guard_unlock_only(guard);
    ipc__pending_clear();
}

/* Unlock, and wake up to count sleepers of another word, as one step: those
 * who wake up find the guard free.  What they were to see has been stored
 * before, so the recovery function has to wake them too. */
static inline void ipc__guard_unlock_waking(struct ipc__guard *guard,
                                            const uint32_t *other, int count)
{
    ipc__owner_release_waking_also(&guard->word, other, count);
    ipc__pending_clear();
}

#endif
