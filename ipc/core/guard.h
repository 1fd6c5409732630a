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

static inline void ipc__guard_unlock(struct ipc__guard *guard)
{
    if (unlikely(!cas64_release(&guard->word, ipc__self.id, 0)))
        ipc__owner_release_waking(&guard->word); /* [release→acquire] */
    ipc__pending_clear();
}

#endif
