/* Condition: wait, while holding a lock, for others to say that something has
 * changed; as Python's Condition and POSIX's condition variable.
 *
 *     struct box { ipc_lock lock; ipc_condition filled; int items; };
 *
 *     rc = ipc_lock_acquire(&b->lock);              // takes one item
 *     while (b->items == 0)
 *         rc = ipc_condition_wait(&b->filled, &b->lock);
 *     b->items--;
 *     ipc_lock_release(&b->lock);
 *
 *     rc = ipc_lock_acquire(&b->lock);              // puts one in
 *     b->items++;
 *     ipc_condition_notify(&b->filled, 1);
 *     ipc_lock_release(&b->lock);
 *
 * Waiting releases the lock, sleeps, and acquires it again before it returns,
 * whatever it returns.  When somebody died meanwhile holding the lock, it
 * returns IPC_OWNER_DIED as ipc_lock_acquire() does: repair the data, call
 * ipc_lock_consistent(), and look at the condition again.
 *
 * notify wakes those who have waited longest.  It wakes no more than it was
 * told to, with two exceptions, for which a wait belongs into a loop, as in
 * POSIX: a notification that went to a thread that was killed is passed on,
 * and more than 61 who wait at once look again ten times a second.
 *
 * The notifier need not hold the lock (Python's must), and never waits for
 * those who wait, living or dead.  But if it notifies after it has released
 * the lock it may be killed in between, and nobody learns of the change; killed
 * while it holds the lock, the next one to acquire it is told, and should
 * notify_all once the data is repaired.  All who wait at a time use the same
 * lock.
 *
 * Zero-filled memory is a valid condition.
 *
 * Threads: any.  Processes: any that see the memory, of one pid namespace.
 * Signals: restart the wait; not for signal handlers.
 * Crash: robust.  A notification has happened or not, whenever its process is
 * killed; one that went to a thread that dies before it holds the lock again
 * reaches another one within 200 ms. */
#ifndef IPC_CONDITION_H
#define IPC_CONDITION_H

#include <ipc/api.h>
#include <ipc/lock.h>
#include <ipc/rlock.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

/* 1024 bytes. */
typedef struct ipc_condition {
    uint64_t line_[126]; /* those who wait */
    uint64_t reserved_[2];
} ipc_condition;

typedef struct ipc_condition_options {
    uint32_t size;  /* of this structure: IPC_CONDITION_OPTIONS_INIT */
    uint32_t flags; /* none yet: 0 */
} ipc_condition_options;

#define IPC_CONDITION_OPTIONS_INIT                                             \
    {                                                                          \
        sizeof(ipc_condition_options), 0                                       \
    }

/* Storage: as for locks, see lock.h.  -EBUSY from fini and free while a
 * living thread waits. */
IPC_API int ipc_condition_init(ipc_condition *condition,
                               const ipc_condition_options *options)
    IPC_NONNULL(1);
IPC_API int ipc_condition_fini(ipc_condition *condition) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_condition_new(const ipc_condition_options *options,
                                           ipc_condition **out) IPC_NONNULL(2);
IPC_API int ipc_condition_free(ipc_condition *condition);
IPC_API IPC_MUST_USE int
ipc_condition_create(const char *name, const ipc_condition_options *options,
                     ipc_condition **out) IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_condition_open(const char *name,
                                            ipc_condition **out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int
ipc_condition_open_or_create(const char *name,
                             const ipc_condition_options *options,
                             ipc_condition **out) IPC_NONNULL(1, 3);
IPC_API int ipc_condition_close(ipc_condition *condition);
IPC_API int ipc_condition_unlink(const char *name) IPC_NONNULL(1);

/* Release the lock, wait to be notified, and acquire the lock again.  The
 * caller holds it.
 *
 * Returns 0: notified; IPC_OWNER_DIED: holds the lock, its data needs repair.
 * Errors, the lock being held as before: -EPERM the caller does not hold it,
 * nothing was done; -ETIMEDOUT (_until) not notified in time; -EUCLEAN;
 * -EXDEV; -ENOMEM.  And -ENOTRECOVERABLE: the lock was given up meanwhile, and
 * is not held. */
IPC_API IPC_MUST_USE int ipc_condition_wait(ipc_condition *condition,
                                            ipc_lock *lock) IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_condition_wait_until(ipc_condition *condition,
                                                  ipc_lock *lock,
                                                  ipc_deadline deadline)
    IPC_NONNULL(1, 2);

/* Wait until predicate(arg) is true.  It is called with the lock held, first
 * of all at once.  (Python: wait_for().)
 *
 * Returns 0: it is true; -ETIMEDOUT: the deadline has passed and it is not;
 * and otherwise what stopped the wait, as above.  After IPC_OWNER_DIED the
 * predicate was not called: the data needs repair first. */
IPC_API IPC_MUST_USE int ipc_condition_wait_for(ipc_condition *condition,
                                                ipc_lock *lock,
                                                bool (*predicate)(void *arg),
                                                void *arg) IPC_NONNULL(1, 2, 3);
IPC_API IPC_MUST_USE int
ipc_condition_wait_for_until(ipc_condition *condition, ipc_lock *lock,
                             bool (*predicate)(void *arg), void *arg,
                             ipc_deadline deadline) IPC_NONNULL(1, 2, 3);

/* The same with an rlock, of which all levels are released and, afterwards,
 * held again. */
IPC_API IPC_MUST_USE int ipc_condition_wait_rlock(ipc_condition *condition,
                                                  ipc_rlock *rlock)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int
ipc_condition_wait_rlock_until(ipc_condition *condition, ipc_rlock *rlock,
                               ipc_deadline deadline) IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int
ipc_condition_wait_for_rlock(ipc_condition *condition, ipc_rlock *rlock,
                             bool (*predicate)(void *arg), void *arg)
    IPC_NONNULL(1, 2, 3);
IPC_API IPC_MUST_USE int
ipc_condition_wait_for_rlock_until(ipc_condition *condition, ipc_rlock *rlock,
                                   bool (*predicate)(void *arg), void *arg,
                                   ipc_deadline deadline) IPC_NONNULL(1, 2, 3);

/* Wake up to n of those who wait, or all.  Nobody waiting is fine: it is not
 * remembered.  Errors: -EUCLEAN; -EXDEV; -ENOMEM. */
IPC_API int ipc_condition_notify(ipc_condition *condition, uint32_t n)
    IPC_NONNULL(1);
IPC_API int ipc_condition_notify_all(ipc_condition *condition) IPC_NONNULL(1);

/* How many wait.  Advisory. */
IPC_API uint32_t ipc_condition_waiting(ipc_condition *condition) IPC_NONNULL(1);

IPC_END_DECLS

#endif
