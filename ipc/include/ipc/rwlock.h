/* RWLock: many may read at a time, or one may write.
 *
 *     rc = ipc_rwlock_acquire_read(&c->lock);
 *     value = lookup(c, key);
 *     ipc_rwlock_release(&c->lock);
 *
 *     rc = ipc_rwlock_acquire_write(&c->lock);
 *     if (rc == IPC_OWNER_DIED) {           // a writer died in here
 *         rebuild(c);
 *         ipc_rwlock_consistent(&c->lock);
 *     }
 *     insert(c, key, value);
 *     ipc_rwlock_release(&c->lock);
 *
 * A writer that waits keeps new readers out, so writers do not starve.  A
 * thread may acquire for reading again what it reads already, up to 127 times,
 * also while a writer waits.  Acquiring for writing what one reads would wait
 * for itself and is refused: -EDEADLK.  (Release first; nothing can be
 * "upgraded", as two readers that tried would wait for each other.)
 *
 * A reader that dies is no longer counted.  A writer that dies while it holds
 * the lock leaves data in need of repair: readers get -EOWNERDEAD until
 * somebody acquires it for writing, which returns IPC_OWNER_DIED; they wait
 * while he repairs and calls ipc_rwlock_consistent().  Released without that it is given up:
 * -ENOTRECOVERABLE for everybody until ipc_rwlock_reset().  (POSIX: an
 * rwlock with a dead holder waits for ever.)
 *
 * Up to 120 hold it for reading at a time; others wait for one of them to
 * leave.  Zero-filled memory is a valid, free rwlock.
 *
 * Threads: any.  Processes: any that see the memory, of one pid namespace.
 * Fork: the child owns nothing.
 * Signals: restart the wait; not for signal handlers.
 * Crash: robust, as lock.h. */
#ifndef IPC_RWLOCK_H
#define IPC_RWLOCK_H

#include <ipc/api.h>
#include <ipc/lock.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

/* 1024 bytes. */
typedef struct ipc_rwlock {
    uint64_t word_; /* the writer, as of ipc_lock */
    int64_t since_ns_;
    char label_[24];
    uint32_t writing_; /* the writer is in: its death leaves torn data */
    uint32_t lines_;   /* which eights of readers_ were ever used */
    uint32_t reserved_[4];
    uint64_t readers_[120]; /* who reads, and how many times */
} __attribute__((aligned(8))) ipc_rwlock;

typedef struct ipc_rwlock_options {
    uint32_t size;     /* of this structure: IPC_RWLOCK_OPTIONS_INIT */
    uint32_t flags;    /* none yet: 0 */
    const char *label; /* shown in error details; up to 23 bytes are kept */
} ipc_rwlock_options;

#define IPC_RWLOCK_OPTIONS_INIT                                                \
    {                                                                          \
        sizeof(ipc_rwlock_options), 0, NULL                                    \
    }

/* Storage: as for locks, see lock.h. */
IPC_API int ipc_rwlock_init(ipc_rwlock *rwlock,
                            const ipc_rwlock_options *options) IPC_NONNULL(1);
IPC_API int ipc_rwlock_fini(ipc_rwlock *rwlock) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_rwlock_new(const ipc_rwlock_options *options,
                                        ipc_rwlock **out) IPC_NONNULL(2);
IPC_API int ipc_rwlock_free(ipc_rwlock *rwlock);
IPC_API IPC_MUST_USE int ipc_rwlock_create(const char *name,
                                           const ipc_rwlock_options *options,
                                           ipc_rwlock **out) IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_rwlock_open(const char *name, ipc_rwlock **out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int
ipc_rwlock_open_or_create(const char *name, const ipc_rwlock_options *options,
                          ipc_rwlock **out) IPC_NONNULL(1, 3);
IPC_API int ipc_rwlock_close(ipc_rwlock *rwlock);
IPC_API int ipc_rwlock_unlink(const char *name) IPC_NONNULL(1);

/* Acquire for reading.
 *
 * Errors: -EAGAIN (_nowait) and -ETIMEDOUT (_until) a writer has it or waits
 * for it, the detail says who; -EDEADLK the calling thread holds it for
 * writing; -EOWNERDEAD a writer died, the data needs repair (not held);
 * -ENOTRECOVERABLE; -EOVERFLOW more than 127 times by one thread; -EXDEV;
 * -EUCLEAN; -ENOMEM. */
IPC_API IPC_MUST_USE int ipc_rwlock_acquire_read(ipc_rwlock *rwlock)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_rwlock_acquire_read_nowait(ipc_rwlock *rwlock)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_rwlock_acquire_read_until(ipc_rwlock *rwlock,
                                                       ipc_deadline deadline)
    IPC_NONNULL(1);

/* Acquire for writing.
 *
 * Returns 0, or IPC_OWNER_DIED: held, and the data needs repair.
 * Errors: -EAGAIN and -ETIMEDOUT somebody has it; -EDEADLK the calling thread
 * has it, for reading or writing; -ENOTRECOVERABLE; -EXDEV; -EUCLEAN;
 * -ENOMEM. */
IPC_API IPC_MUST_USE int ipc_rwlock_acquire_write(ipc_rwlock *rwlock)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_rwlock_acquire_write_nowait(ipc_rwlock *rwlock)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_rwlock_acquire_write_until(ipc_rwlock *rwlock,
                                                        ipc_deadline deadline)
    IPC_NONNULL(1);

/* Release it, whichever way the calling thread holds it; one level of reading.
 * Errors: -EPERM it does not. */
IPC_API int ipc_rwlock_release(ipc_rwlock *rwlock) IPC_NONNULL(1);

/* Become a reader, without letting another writer in between.
 * Errors: -EPERM not held for writing; -EINVAL the data has not been declared
 * consistent; -EAGAIN 120 dead or dying readers are in the way. */
IPC_API int ipc_rwlock_downgrade(ipc_rwlock *rwlock) IPC_NONNULL(1);

/* As ipc_lock_consistent() and ipc_lock_reset(). */
IPC_API int ipc_rwlock_consistent(ipc_rwlock *rwlock) IPC_NONNULL(1);
IPC_API int ipc_rwlock_reset(ipc_rwlock *rwlock) IPC_NONNULL(1);

/* Who holds it for writing, or waits to: as ipc_lock_owner().  -ESRCH nobody. */
IPC_API int ipc_rwlock_writer(ipc_rwlock *rwlock, ipc_lock_holder *out)
    IPC_NONNULL(1, 2);

/* How many living threads hold it for reading.  Advisory. */
IPC_API uint32_t ipc_rwlock_readers(ipc_rwlock *rwlock) IPC_NONNULL(1);

/* Does the calling thread hold it, for reading or for writing? */
IPC_API bool ipc_rwlock_is_reading(const ipc_rwlock *rwlock) IPC_NONNULL(1);
IPC_API bool ipc_rwlock_is_writing(const ipc_rwlock *rwlock) IPC_NONNULL(1);

IPC_END_DECLS

#endif
