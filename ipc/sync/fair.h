/* Fair locks: who comes first is served first. */
#ifndef IPC_SYNC_FAIR_H
#define IPC_SYNC_FAIR_H

#include <ipc/lock.h>

#include "sync/line.h"

static inline bool ipc__lock_is_fair(const ipc_lock *lock)
{
    return load_relaxed(&lock->line_) != 0;
}

/* As ipc__owner_acquire(), for a fair lock. */
int ipc__fair_acquire(ipc_lock *lock, ipc_deadline deadline, uint64_t *seen);

/* Release an owned lock: it goes to the first in line.  If OWNER_DIED is set it
 * is given up. */
void ipc__fair_release(ipc_lock *lock);

#endif
