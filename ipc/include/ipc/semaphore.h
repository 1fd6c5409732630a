/* Semaphore: a number of permits, as Python's Semaphore and BoundedSemaphore,
 * and one whose permits come back when their holder dies.
 *
 *     ipc_semaphore *room;
 *     ipc_semaphore_new(3, NULL, &room);       // three at a time
 *
 *     int rc = ipc_semaphore_acquire(room);
 *     ...
 *     ipc_semaphore_release(room);
 *
 * Kinds, by flags of the options:
 *
 *     0          plain: anybody may release, as often as he likes (Python's
 *                Semaphore).  The permits of a dead holder are lost: nobody
 *                knows that it had them
 *     _BOUNDED   never more permits than at first: one release too many is
 *                -EOVERFLOW and changes nothing (Python's BoundedSemaphore)
 *     _TRACKED   permits belong to the thread that acquired them.  Its death,
 *                SIGKILL included, gives them back; releasing what the caller
 *                does not hold is -EPERM.  (No counterpart in Python or POSIX;
 *                System V has SEM_UNDO.)
 *
 * and with any of them
 *
 *     _FAIR      first come, first served.  Otherwise a running thread may get
 *                a permit before one that was waiting wakes up, and whoever
 *                wants many may wait for long while others take few
 *
 * Cost: uncontended, a plain or bounded semaphore makes no system call and is
 * as fast as sem_t.  A tracked one takes a short lock each time (about three
 * times as long).  A fair one costs nothing more while nobody waits; when
 * somebody does, each permit goes from hand to hand through a sleep and a
 * wake-up, some microseconds, where an unfair one lets those run who run.
 *
 * Zero-filled memory is a valid plain semaphore without permits.
 *
 * Threads: any.  Processes: any that see the memory, of one pid namespace.
 * Fork: the child holds nothing of a tracked semaphore.
 * Signals: restart the wait; not for signal handlers.
 * Crash: robust.  A release or an acquire has happened or not, whenever its
 * process is killed; nobody else ever waits for a dead process. */
#ifndef IPC_SEMAPHORE_H
#define IPC_SEMAPHORE_H

#include <ipc/api.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

#define IPC_SEMAPHORE_BOUNDED 1u
#define IPC_SEMAPHORE_TRACKED 2u
#define IPC_SEMAPHORE_FAIR    4u

#define IPC_SEMAPHORE_MAX         0x0fffffffu /* permits, ever */
#define IPC_SEMAPHORE_TRACKED_MAX 65536u      /* permits of a tracked one */

/* 128 bytes; tracked and fair ones use more, behind it.  The fields are shown
 * for debuggers; use the functions. */
typedef struct ipc_semaphore {
    uint32_t word_;    /* free permits times 4; marks of those who wait */
    uint32_t bound_;   /* free permits never exceed this; 0: _MAX */
    uint64_t guard_;   /* held while somebody is woken, or holders change */
    uint32_t flags_;   /* IPC_SEMAPHORE_... */
    uint32_t holders_; /* places behind for holders of permits */
    char label_[24];   /* for error details; may be empty */
    uint64_t seal_;    /* of what does not change, if there is more behind */
    uint64_t reserved_[9];
} __attribute__((aligned(8))) ipc_semaphore;

typedef struct ipc_semaphore_options {
    uint32_t size;     /* of this structure: IPC_SEMAPHORE_OPTIONS_INIT */
    uint32_t flags;    /* IPC_SEMAPHORE_... */
    const char *label; /* shown in error details; up to 23 bytes are kept */

    /* ipc_semaphore_init() only, and needed there for tracked and fair ones:
     * how much memory there is at the semaphore.  See ..._bytes(). */
    size_t bytes;
} ipc_semaphore_options;

#define IPC_SEMAPHORE_OPTIONS_INIT                                             \
    {                                                                          \
        sizeof(ipc_semaphore_options), 0, NULL, 0                              \
    }

/* ---- storage: the caller's, the family's, or a name's ---- */

/* The memory that a semaphore of value permits with these flags takes:
 * sizeof(ipc_semaphore) if it is neither tracked nor fair. */
IPC_API size_t ipc_semaphore_bytes(uint32_t value, uint32_t flags);

/* Make it a semaphore with value free permits.  Nobody may be using it.
 *
 * Errors: -EINVAL unknown flags, too many permits, or a bounded or tracked one
 * that would never have any; -E2BIG; -EMSGSIZE options->bytes is less than it
 * takes. */
IPC_API int ipc_semaphore_init(ipc_semaphore *semaphore, uint32_t value,
                               const ipc_semaphore_options *options)
    IPC_NONNULL(1);

/* End its use.  Zero-fills it.  Errors: -EBUSY somebody waits for it, or a
 * living thread holds permits of a tracked one. */
IPC_API int ipc_semaphore_fini(ipc_semaphore *semaphore) IPC_NONNULL(1);

/* In family memory: see ipc_lock_new() and ipc_lock_free(). */
IPC_API IPC_MUST_USE int ipc_semaphore_new(uint32_t value,
                                           const ipc_semaphore_options *options,
                                           ipc_semaphore **out) IPC_NONNULL(3);
IPC_API int ipc_semaphore_free(ipc_semaphore *semaphore);

/* Under a name, for unrelated programs: see ipc_lock_create() and segment.h.
 * Permits and flags are those that it was created with. */
IPC_API IPC_MUST_USE int
ipc_semaphore_create(const char *name, uint32_t value,
                     const ipc_semaphore_options *options, ipc_semaphore **out)
    IPC_NONNULL(1, 4);
IPC_API IPC_MUST_USE int ipc_semaphore_open(const char *name,
                                            ipc_semaphore **out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int
ipc_semaphore_open_or_create(const char *name, uint32_t value,
                             const ipc_semaphore_options *options,
                             ipc_semaphore **out) IPC_NONNULL(1, 4);
IPC_API int ipc_semaphore_close(ipc_semaphore *semaphore);
IPC_API int ipc_semaphore_unlink(const char *name) IPC_NONNULL(1);

/* ---- acquire and release ---- */

/* Take one permit, waiting for it as long as it takes, not at all, or until a
 * deadline.
 *
 * Errors: -EAGAIN (_nowait) and -ETIMEDOUT (_until) there is none; -EUCLEAN;
 * -EXDEV; -ENOMEM. */
IPC_API IPC_MUST_USE int ipc_semaphore_acquire(ipc_semaphore *semaphore)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_semaphore_acquire_nowait(ipc_semaphore *semaphore)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_semaphore_acquire_until(ipc_semaphore *semaphore,
                                                     ipc_deadline deadline)
    IPC_NONNULL(1);

/* Take n permits, all at once or none.  n 0 takes nothing.
 *
 * Errors: as above; -EINVAL more than it can ever have. */
IPC_API IPC_MUST_USE int ipc_semaphore_acquire_many(ipc_semaphore *semaphore,
                                                    uint32_t n) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int
ipc_semaphore_acquire_many_nowait(ipc_semaphore *semaphore, uint32_t n)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int
ipc_semaphore_acquire_many_until(ipc_semaphore *semaphore, uint32_t n,
                                 ipc_deadline deadline) IPC_NONNULL(1);

/* Give one permit back, or n, all at once or none, and wake who waits.
 *
 * Errors: -EOVERFLOW there would be more than the bound, or than _MAX;
 * -EPERM the caller does not hold that many (tracked); -EUCLEAN; -EXDEV;
 * -ENOMEM. */
IPC_API int ipc_semaphore_release(ipc_semaphore *semaphore) IPC_NONNULL(1);
IPC_API int ipc_semaphore_release_many(ipc_semaphore *semaphore, uint32_t n)
    IPC_NONNULL(1);

/* Tracked: make n permits that the thread tid holds the caller's own.  For a
 * permit that one thread acquires and another one is to release.  (tid is as
 * of gettid(2): for the first thread of a process, its pid.)
 *
 * Errors: -EPERM that thread does not hold so many; -ENOTSUP not tracked. */
IPC_API int ipc_semaphore_transfer(ipc_semaphore *semaphore, int32_t tid,
                                   uint32_t n) IPC_NONNULL(1);

/* Permits that are free at this moment (Python: get_value()).  Advisory.  Of
 * a tracked one, those that the dead still hold are counted as free. */
IPC_API uint32_t ipc_semaphore_value(ipc_semaphore *semaphore) IPC_NONNULL(1);

/* Tracked: how many permits the calling thread holds; otherwise 0. */
IPC_API uint32_t ipc_semaphore_held(ipc_semaphore *semaphore) IPC_NONNULL(1);

IPC_END_DECLS

#endif
