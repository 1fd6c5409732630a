/* What objects tell the descriptors that stand for them, ipc_..._fd(). */
#ifndef IPC_WAIT_FD_H
#define IPC_WAIT_FD_H

#include <stdint.h>

#include "base/atomic.h"
#include "base/bits.h"

/* Has there ever been one, in this process or those that it was forked from? */
extern uint32_t ipc__fds_used __attribute__((visibility("hidden")));

void ipc__fds_found_nothing(const void *object);
void ipc__fds_forget(const void *object);

/* A call of this process on the object would have had to wait.  Not with a
 * guard or lock of the library. */
static inline void ipc__found_nothing(const void *object)
{
    if (unlikely(load_relaxed(&ipc__fds_used) != 0))
        ipc__fds_found_nothing(object);
}

/* The object goes, in this process: so do its descriptors. */
static inline void ipc__forget(const void *object)
{
    if (unlikely(load_relaxed(&ipc__fds_used) != 0))
        ipc__fds_forget(object);
}

#endif
