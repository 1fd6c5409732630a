/* Lock: mutual exclusion for threads and processes, as Python's Lock with an
 * owner, that survives the death of whoever holds it.
 *
 *     struct account { ipc_lock lock; long balance; };
 *     struct account *a = ipc_shared_alloc(sizeof *a);   // a free lock
 *
 *     int rc;
 *     IPC_WITH_LOCK (&a->lock, rc) {
 *         if (rc == IPC_OWNER_DIED) {        // somebody died in here
 *             repair(a);
 *             ipc_lock_consistent(&a->lock);
 *         }
 *         a->balance -= 10;
 *     }
 *
 * Zero-filled memory is a valid, free lock, wherever it lies: in family
 * memory, in a segment, in malloc'ed or static memory for threads.  In memory
 * that the program mapped by itself and shares with unrelated programs it is
 * correct too, but a death there is noticed by the re-check only.
 *
 * Only the thread that acquired it may release it.  When the owner dies --
 * SIGKILL, exit, execve(), the end of its thread -- the next one to acquire
 * gets IPC_OWNER_DIED: it holds the lock and must repair the data, then call
 * ipc_lock_consistent().  If it releases without that, the data is given up:
 * everybody gets -ENOTRECOVERABLE until ipc_lock_reset().  A lock is never
 * taken from an owner that lives, stopped or not.  (This is POSIX's robust
 * mutex; Python's Lock has no owner and stays locked for ever.)
 *
 * Uncontended, acquire and release make no system call.  Locks are not fair:
 * a running process may get it again before one that was waiting wakes up.
 * With IPC_LOCK_FAIR they are: who comes first is served first.  That costs
 * nothing while nobody waits; when somebody does, the lock goes from hand to
 * hand through a sleep and a wake-up each time, some microseconds, where an
 * unfair lock lets those run who run: under contention expect a tenth of the
 * throughput or less.  Up to 61 wait in line; others join it as places become
 * free.
 *
 * Threads: any.  Processes: any that see the memory, of one pid namespace.
 * Fork: the child owns nothing: a lock held by the parent is the parent's.
 * Signals: restart the wait; not for signal handlers.
 * Crash: robust.  The death of an owner is noticed at once by those who began
 * to sleep while it owned the lock, by others, and where the kernel could not
 * tell, at their re-check within 200 ms. */
#ifndef IPC_LOCK_H
#define IPC_LOCK_H

#include <ipc/api.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

/* 64 bytes.  The fields are shown for debuggers; use the functions. */
typedef struct ipc_lock {
    uint64_t word_;    /* owner: futex half (tid and flags), birth half */
    int64_t since_ns_; /* held at least since; 0: nobody looked yet */
    char label_[24];   /* for error details; may be empty */
    uint32_t line_;    /* a fair lock's waiting line lies so many bytes on */
    uint32_t reserved_[5];
} __attribute__((aligned(8))) ipc_lock;

#define IPC_LOCK_FAIR 1u /* first come, first served */

typedef struct ipc_lock_options {
    uint32_t size;     /* of this structure: IPC_LOCK_OPTIONS_INIT */
    uint32_t flags;    /* IPC_LOCK_... */
    const char *label; /* shown in error details; up to 23 bytes are kept */

    /* ipc_lock_init() and ipc_rlock_init() only, and needed there for fair
     * ones: how much memory there is at the lock.  See ..._bytes(). */
    size_t bytes;
} ipc_lock_options;

#define IPC_LOCK_OPTIONS_INIT                                                  \
    {                                                                          \
        sizeof(ipc_lock_options), 0, NULL, 0                                   \
    }

/* ---- storage: the caller's, the family's, or a name's ---- */

/* The memory that a lock with these flags takes: sizeof(ipc_lock) if it is not
 * fair. */
IPC_API size_t ipc_lock_bytes(uint32_t flags);

/* Make lock a free lock, with a label, or a fair one.  Not needed for
 * zero-filled memory.  Nobody may be using it.
 *
 * Errors: -EINVAL unknown flags; -E2BIG; -EMSGSIZE options->bytes is less than
 * a fair lock takes. */
IPC_API int ipc_lock_init(ipc_lock *lock, const ipc_lock_options *options)
    IPC_NONNULL(1);

/* End its use: -EBUSY while somebody holds it.  Zero-fills it. */
IPC_API int ipc_lock_fini(ipc_lock *lock) IPC_NONNULL(1);

/* A free lock in family memory: children forked later, and earlier ones that
 * are given the pointer, see it at the same address.
 *
 * Errors: -ENOMEM, -E2BIG, -EINVAL. */
IPC_API IPC_MUST_USE int ipc_lock_new(const ipc_lock_options *options,
                                      ipc_lock **out) IPC_NONNULL(2);

/* -EBUSY while somebody holds it, -EINVAL if it is not from ipc_lock_new().
 * NULL is fine. */
IPC_API int ipc_lock_free(ipc_lock *lock);

/* Locks with a name, for unrelated programs.  The lock is a segment of its
 * own (see segment.h for names, errors and trust).  When its owner and all
 * its users have died the lock is kept until somebody has been told: opening
 * it and acquiring gives IPC_OWNER_DIED. */
IPC_API IPC_MUST_USE int ipc_lock_create(const char *name,
                                         const ipc_lock_options *options,
                                         ipc_lock **out) IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_lock_open(const char *name, ipc_lock **out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int
ipc_lock_open_or_create(const char *name, const ipc_lock_options *options,
                        ipc_lock **out) IPC_NONNULL(1, 3);

/* Stop using a named lock in this process; -EBUSY while the calling thread
 * holds it, -EINVAL if it has no name.  NULL is fine. */
IPC_API int ipc_lock_close(ipc_lock *lock);

/* Remove the name; those who have it open keep it. */
IPC_API int ipc_lock_unlink(const char *name) IPC_NONNULL(1);

/* ---- acquire and release ---- */

/* Acquire the lock, waiting for it as long as it takes, not at all, or until
 * a deadline.
 *
 * Returns 0, or IPC_OWNER_DIED: held, and the data needs repair.
 * Errors: -EDEADLK the calling thread holds it already; -EAGAIN (_nowait) and
 * -ETIMEDOUT (_until) somebody holds it, the detail says who; -ENOTRECOVERABLE
 * its owner died and nobody repaired it; -EXDEV; -EUCLEAN; -ENOMEM. */
IPC_API IPC_MUST_USE int ipc_lock_acquire(ipc_lock *lock) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_lock_acquire_nowait(ipc_lock *lock) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_lock_acquire_until(ipc_lock *lock,
                                                ipc_deadline deadline)
    IPC_NONNULL(1);

/* Acquire, and if the owner died have repair(arg) called with the lock held.
 * If it returns 0 the lock is consistent and the call returns IPC_OWNER_DIED;
 * if it returns a negative errno the lock is given up (-ENOTRECOVERABLE for
 * everybody from then on) and the call returns that errno. */
IPC_API IPC_MUST_USE int
ipc_lock_acquire_or_repair(ipc_lock *lock, ipc_deadline deadline,
                           int (*repair)(void *arg), void *arg)
    IPC_NONNULL(1, 3);

/* Release it.  Touches nothing of the lock after the store that frees it, so
 * that the next owner may free its memory.
 *
 * Errors: -EPERM the calling thread does not hold it. */
IPC_API int ipc_lock_release(ipc_lock *lock) IPC_NONNULL(1);

/* The data is repaired.  Errors: -EPERM not held by the caller; -EINVAL its
 * last owner did not die. */
IPC_API int ipc_lock_consistent(ipc_lock *lock) IPC_NONNULL(1);

/* Make a lock that is not recoverable a free lock again, once the program has
 * put new data in place.  Errors: -EINVAL it is not in that state. */
IPC_API int ipc_lock_reset(ipc_lock *lock) IPC_NONNULL(1);

/* ---- who holds it ---- */

typedef struct ipc_lock_holder {
    uint32_t size;    /* of this structure: IPC_LOCK_HOLDER_INIT */
    int32_t pid;      /* 0 when it can no longer be told */
    int32_t tid;      /* 0 when the owner is dead and the kernel marked it */
    bool alive;       /* it is running or stopped */
    bool owner_died;  /* the data is waiting for ..._consistent() */
    int64_t since_ns; /* held at least since this moment (see ipc_now()) */
} ipc_lock_holder;

#define IPC_LOCK_HOLDER_INIT                                                   \
    {                                                                          \
        sizeof(ipc_lock_holder), 0, 0, 0, 0, 0                                 \
    }

/* Who holds the lock at this moment.  since_ns is when somebody first saw it
 * held by this owner: by waiting for it, or by this call.
 *
 * Errors: -ESRCH nobody does; -ENOTRECOVERABLE; -EUCLEAN. */
IPC_API int ipc_lock_owner(ipc_lock *lock, ipc_lock_holder *out)
    IPC_NONNULL(1, 2);

/* Does the calling thread hold it? */
IPC_API bool ipc_lock_is_mine(const ipc_lock *lock) IPC_NONNULL(1);

/* Does anybody, dead or alive?  (Python: locked().)  Advisory. */
IPC_API bool ipc_lock_is_held(const ipc_lock *lock) IPC_NONNULL(1);

/* ---- with lock: ---- */

/* Run the block that follows while holding the lock, and release it however
 * the block is left: at its end, by break, by return or by goto.
 *
 *     IPC_WITH_LOCK (&lock, rc) { ... }
 *
 * rc is an int variable: what ipc_lock_acquire() returned.  If that is
 * negative the block does not run.  Not left by longjmp(). */
#define IPC_WITH_LOCK(lock, rc)                                                \
    for (ipc_lock * ipc__held __attribute__((cleanup(ipc__lock_scope_end))) =  \
             ipc__lock_scope_begin((lock), &(rc));                             \
         ipc__held != NULL; ipc__lock_scope_next(&ipc__held))

/* What the macro expands to; not for other use. */
static inline ipc_lock *ipc__lock_scope_begin(ipc_lock *lock, int *rc)
{
    *rc = ipc_lock_acquire(lock);
    return *rc >= 0 ? lock : NULL;
}

static inline void ipc__lock_scope_end(ipc_lock **held)
{
    if (*held != NULL)
        (void)ipc_lock_release(*held);
}

static inline void ipc__lock_scope_next(ipc_lock **held)
{
    ipc__lock_scope_end(held);
    *held = NULL;
}

IPC_END_DECLS

#endif
