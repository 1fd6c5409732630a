/* File lock: a lock for programs that share nothing but a file.
 *
 *     ipc_file_lock *lock;
 *     rc = ipc_file_lock_open("tickets.json.lock", &lock);
 *     rc = ipc_file_lock_acquire(lock);
 *     if (rc == IPC_OWNER_DIED)
 *         ...                                  // check tickets.json
 *     ...
 *     ipc_file_lock_release(lock);
 *     ipc_file_lock_close(lock);
 *
 * The lock is a small file of its own beside the data, made when it is first
 * opened and never removed.  It may lie on any file system that has POSIX
 * record locks (fcntl F_SETLK, the kind that belongs to a process), NFS too.
 * While it is held the file says by whom, as text: `cat tickets.json.lock`.
 * A program that dies is noticed by that line being left: the next one to
 * acquire gets IPC_OWNER_DIED, as with ipc_lock.
 *
 * The lock excludes processes, and the threads of one process.  It belongs to
 * the thread that acquired it.  Programs that take part must use libipc, or
 * lockf()/fcntl() on the same file.  A program that opens and closes the lock
 * file by itself drops its own locks (a POSIX rule): leave it to this module.
 *
 * Cost: seven system calls, two of them writes to the file: about 10 us on a
 * disk's file system, 4 us in /dev/shm.  A wait with a deadline polls, from
 * 0.1 ms up to 10 ms apart, because the kernel offers no timed file lock; a
 * wait without one sleeps in the kernel.
 *
 * Threads: any.  Fork: the child owns nothing; its handle works.
 * Signals: restart the wait.
 * Crash: robust: the kernel drops the lock of a process that died. */
#ifndef IPC_FILE_LOCK_H
#define IPC_FILE_LOCK_H

#include <ipc/api.h>
#include <ipc/lock.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

typedef struct ipc_file_lock ipc_file_lock;

/* Open the lock file, making it (mode 0666 less the umask) if need be.
 *
 * Errors: what open(2) says (-ENOENT no such folder, -EACCES, -EROFS,
 * -EMFILE, ...); -EPERM not a regular file; -EUCLEAN a file with other
 * content, which is left as it is; -ENOSPC. */
IPC_API IPC_MUST_USE int ipc_file_lock_open(const char *path,
                                            ipc_file_lock **out)
    IPC_NONNULL(1, 2);

/* Errors: -EBUSY a thread of this process holds it through this handle.
 * NULL is fine. */
IPC_API int ipc_file_lock_close(ipc_file_lock *lock);

/* As ipc_lock_acquire() and its forms: 0, IPC_OWNER_DIED, or -EDEADLK,
 * -EAGAIN, -ETIMEDOUT, -ENOTRECOVERABLE.
 * Errors besides: -ENOLCK the file system has no locks to give; -ESTALE the
 * lock file was removed or replaced by somebody; -EUCLEAN somebody wrote
 * into it; -EBADF the program has closed its descriptor; -EIO, -ENOSPC. */
IPC_API IPC_MUST_USE int ipc_file_lock_acquire(ipc_file_lock *lock)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_file_lock_acquire_nowait(ipc_file_lock *lock)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_file_lock_acquire_until(ipc_file_lock *lock,
                                                     ipc_deadline deadline)
    IPC_NONNULL(1);

/* As the functions of ipc_lock of the same name.  owner() tells of a dead
 * holder with alive false, and of one on another host with pid 0.  A release
 * whose line cannot be written is a release: the next one gets
 * IPC_OWNER_DIED. */
IPC_API int ipc_file_lock_release(ipc_file_lock *lock) IPC_NONNULL(1);
IPC_API int ipc_file_lock_consistent(ipc_file_lock *lock) IPC_NONNULL(1);
IPC_API int ipc_file_lock_reset(ipc_file_lock *lock) IPC_NONNULL(1);
IPC_API int ipc_file_lock_owner(ipc_file_lock *lock, ipc_lock_holder *out)
    IPC_NONNULL(1, 2);

IPC_END_DECLS

#endif
