/* A lock between the threads of one process, for the library's own lists.
 *
 * Nobody is killed inside without the whole process, and after a fork the
 * word lies on a wiped page: it need not be robust.  0 free, 1 held, 2 held
 * and somebody may sleep. */
#ifndef IPC_CORE_PRIVATE_LOCK_H
#define IPC_CORE_PRIVATE_LOCK_H

#include "base/atomic.h"
#include "kernel/futex.h"

static inline void ipc__private_lock(uint32_t *word)
{
    if (cas32_acquire(word, 0, 1))
        return;
    while (exchange_acquire(word, 2u) != 0)
        (void)ipc__futex_wait(word, 2, IPC_TIME_FOREVER);
}

static inline void ipc__private_unlock(uint32_t *word)
{
    if (exchange_release(word, 0u) == 2)
        ipc__futex_wake(word, 1);
}

#endif
