/* The one error convention.
 *
 * Every function that can fail returns an int:
 *
 *     negative    it did not happen; the value is a negative errno
 *     0           done
 *     positive    done, and there is something to know
 *
 *     int rc = ipc_lock_acquire(&lock);
 *     if (rc < 0)
 *         errx(1, "%s: %s", ipc_strerror(rc), ipc_error_detail());
 *     if (rc == IPC_OWNER_DIED)
 *         repair();
 *
 * The sign answers the question that matters: do I hold it?  errno itself is
 * not part of the interface: calls leave it undefined.  The library never
 * prints, never aborts and never installs a signal handler.
 *
 * The codes mean the same everywhere:
 *
 *     -EAGAIN           a _nowait call would have had to wait
 *     -ETIMEDOUT        the deadline of an _until call has passed
 *     -EDEADLK          the caller would wait for itself
 *     -EPERM            the caller does not own it, or may not touch it
 *     -ENOTRECOVERABLE  its owner died and nobody repaired it;
 *                       the pool is broken
 *     -EBUSY            still in use
 *     -ECANCELED        cancelled; the barrier is broken
 *     -EOWNERDEAD       who was at it has died: a writer, and the data needs repair;
 *                       a worker, and so its task
 *     -ETIME            its time was up
 *     -EOVERFLOW        there would be more than its bound
 *     -ERANGE           no such index
 *     -EMSGSIZE         it does not fit there
 *     -EPIPE            closed, or the other side is gone
 *     -ENOMSG           the next message is of the other kind
 *     -EPROTO, -EFBIG   what came is no message, or longer than permitted
 *     -ESTALE           the lease has run out
 *     -ENOTSUP          not possible with this kind
 *     -EXDEV            it belongs to another pid namespace
 *     -EUCLEAN          shared memory holds what no program of ours wrote
 *     -EPROTONOSUPPORT  made by an incompatible version or architecture
 *     -E2BIG            an options structure from a newer program
 *     -EINVAL           an argument makes no sense
 *     -ENOMEM, -ENOSPC  no memory, no room in /dev/shm
 *     -EMFILE, -ENFILE  no file descriptor left
 *
 * and what the kernel says (-EACCES, -ENOENT, -EEXIST, ...) is passed on.
 *
 * Threads: any.  Fork: safe. */
#ifndef IPC_ERROR_H
#define IPC_ERROR_H

#include <ipc/api.h>

IPC_BEGIN_DECLS

/* You hold the lock, and the process or thread that held it before you died
 * holding it: repair what it protects, then say so with ..._consistent(). */
#define IPC_OWNER_DIED 1

/* What a result means, in one sentence, for instance "timed out" for
 * -ETIMEDOUT.  Accepts negative, zero and positive results, and any other
 * number.  Owns: the library; never NULL; never changes. */
IPC_API const char *ipc_strerror(int result);

/* One line about the last call of this thread that returned a negative
 * result: which object, which process, what was expected.  For instance
 *
 *     lock "tickets" is held by pid 4711 (buyer-3), thread 4711, for 2.5 s
 *
 * Empty when that call had nothing to add to its code.  For people and logs:
 * the wording may change.  Owns: the library; valid until the next call of
 * this thread; never NULL. */
IPC_API const char *ipc_error_detail(void);

IPC_END_DECLS

#endif
