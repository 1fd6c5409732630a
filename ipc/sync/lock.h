/* What lock.c does for its siblings. */
#ifndef IPC_SYNC_LOCK_H
#define IPC_SYNC_LOCK_H

#include <ipc/lock.h>

/* Acquire by deadline, in which IPC_TIME_NOW stands for the _nowait form. */
int ipc__lock_acquire_form(ipc_lock *lock, ipc_deadline deadline);

/* The caller was given IPC_OWNER_DIED: repair, then keep it or give it up, as
 * ipc_lock_acquire_or_repair() says. */
int ipc__lock_repair(ipc_lock *lock, int (*repair)(void *arg), void *arg);

#endif
