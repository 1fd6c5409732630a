/* Check mode: find deadlocks and the use of dead objects while debugging.
 *
 *     $ IPC_CHECK=1 ./program
 *
 * In check mode a thread that is about to wait for a lock, rlock, rwlock or
 * once looks whether the owner waits, over any number of other threads and
 * processes, for the caller.  If so it does not wait: it gets -EDEADLK, and
 * ipc_error_detail() names the threads and locks of the circle:
 *
 *     deadlock: pid 71 waits for lock "b", held by pid 72, which waits for
 *     lock "a", held by pid 71
 *
 * One of those in the circle gets the error, or several at the same time.
 * Objects that were fini'ed or freed are filled with a pattern, so that their
 * use gives -EUCLEAN instead of finding a free lock.
 *
 * A writer that waits for several readers waits for one after the other, and a
 * circle through a reader is found when it is that one's turn.
 *
 * Seen are circles among threads that share the memory of one family, or that
 * have each other's named locks open.  All who take part must be in check
 * mode.
 *
 * Off, it costs nothing while a lock is free, and one load before a thread
 * goes to sleep.
 *
 * Threads: any.  Fork: the child inherits the mode. */
#ifndef IPC_CHECK_H
#define IPC_CHECK_H

#include <ipc/api.h>

IPC_BEGIN_DECLS

/* Switch check mode on or off for this process, whatever IPC_CHECK in the
 * environment says.  Returns whether it was on. */
IPC_API bool ipc_check_enable(bool on);

IPC_API bool ipc_check_is_enabled(void);

IPC_END_DECLS

#endif
