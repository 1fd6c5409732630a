/* What lock.c does for its siblings. */
#ifndef IPC_SYNC_LOCK_H
#define IPC_SYNC_LOCK_H

#include <ipc/lock.h>

#include "sync/object.h"

/* Acquire by deadline, in which IPC_TIME_NOW stands for the _nowait form. */
int ipc__lock_acquire_form(ipc_lock *lock, ipc_deadline deadline);

/* The caller was given IPC_OWNER_DIED: repair, then keep it or give it up, as
 * ipc_lock_acquire_or_repair() says. */
int ipc__lock_repair(ipc_lock *lock, int (*repair)(void *arg), void *arg);

/* Describe a new lock that is the first member of a structure of so many
 * bytes, behind which its line lies if it is fair. */
int ipc__lock_prepare(ipc_lock *made, struct ipc__room *room, size_t bytes,
                      const ipc_lock_options *options);

#endif
