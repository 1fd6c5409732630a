/* Callbacks of futures, in the process that has added them. */
#ifndef IPC_POOL_CALLBACK_H
#define IPC_POOL_CALLBACK_H

#include <ipc/future.h>
#include <ipc/pool.h>

/* The future is about to be freed: 0.  1: it has callbacks that were not called
 * yet, and is freed after the last one; -EINVAL: that was asked for before. */
int ipc__callbacks_let_go(ipc_future *future);

/* Wait until all callbacks that this process has added to futures of the pool
 * which are done have returned.  0, -EAGAIN, -ETIMEDOUT; -EDEADLK the caller is
 * one. */
int ipc__callbacks_drain(const ipc_pool *pool, ipc_deadline deadline);

#endif
