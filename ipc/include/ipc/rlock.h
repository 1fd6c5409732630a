/* RLock: a lock that its owner may acquire again, as Python's RLock.
 *
 *     ipc_rlock *r;
 *     ipc_rlock_new(NULL, &r);
 *     rc = ipc_rlock_acquire(r);         // depth 1
 *     rc = ipc_rlock_acquire(r);         // depth 2, at once
 *     ipc_rlock_release(r);
 *     ipc_rlock_release(r);              // free for others
 *
 * It is a lock in every other respect: see lock.h for storage, names, the
 * death of an owner, and the contracts.  When the owner dies all its levels
 * are gone: who gets IPC_OWNER_DIED holds it once.  Zero-filled memory is a
 * valid, free rlock.
 *
 * The forms, results and errors are those of the ipc_lock_... functions, but
 * for what is said here. */
#ifndef IPC_RLOCK_H
#define IPC_RLOCK_H

#include <ipc/api.h>
#include <ipc/lock.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

/* 128 bytes. */
typedef struct ipc_rlock {
    ipc_lock lock_;
    uint32_t depth_; /* written by the owner only */
    uint32_t reserved_[15];
} ipc_rlock;

/* As ipc_lock_bytes(), for an rlock. */
IPC_API size_t ipc_rlock_bytes(uint32_t flags);

IPC_API int ipc_rlock_init(ipc_rlock *rlock, const ipc_lock_options *options)
    IPC_NONNULL(1);
IPC_API int ipc_rlock_fini(ipc_rlock *rlock) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_rlock_new(const ipc_lock_options *options,
                                       ipc_rlock **out) IPC_NONNULL(2);
IPC_API int ipc_rlock_free(ipc_rlock *rlock);

IPC_API IPC_MUST_USE int ipc_rlock_create(const char *name,
                                          const ipc_lock_options *options,
                                          ipc_rlock **out) IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_rlock_open(const char *name, ipc_rlock **out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int
ipc_rlock_open_or_create(const char *name, const ipc_lock_options *options,
                         ipc_rlock **out) IPC_NONNULL(1, 3);
IPC_API int ipc_rlock_close(ipc_rlock *rlock);
IPC_API int ipc_rlock_unlink(const char *name) IPC_NONNULL(1);

/* Never -EDEADLK: the owner goes one level deeper.
 * Errors: -EOVERFLOW deeper than 2^32 - 1 levels. */
IPC_API IPC_MUST_USE int ipc_rlock_acquire(ipc_rlock *rlock) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_rlock_acquire_nowait(ipc_rlock *rlock)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_rlock_acquire_until(ipc_rlock *rlock,
                                                 ipc_deadline deadline)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int
ipc_rlock_acquire_or_repair(ipc_rlock *rlock, ipc_deadline deadline,
                            int (*repair)(void *arg), void *arg)
    IPC_NONNULL(1, 3);

/* One level up; the last one frees it. */
IPC_API int ipc_rlock_release(ipc_rlock *rlock) IPC_NONNULL(1);

IPC_API int ipc_rlock_consistent(ipc_rlock *rlock) IPC_NONNULL(1);
IPC_API int ipc_rlock_reset(ipc_rlock *rlock) IPC_NONNULL(1);

IPC_API int ipc_rlock_owner(ipc_rlock *rlock, ipc_lock_holder *out)
    IPC_NONNULL(1, 2);
IPC_API bool ipc_rlock_is_mine(const ipc_rlock *rlock) IPC_NONNULL(1);
IPC_API bool ipc_rlock_is_held(const ipc_rlock *rlock) IPC_NONNULL(1);

/* How many times the calling thread holds it: 0 when it does not. */
IPC_API uint32_t ipc_rlock_depth(const ipc_rlock *rlock) IPC_NONNULL(1);

/* As IPC_WITH_LOCK. */
#define IPC_WITH_RLOCK(rlock, rc)                                              \
    for (ipc_rlock * ipc__held                                                 \
             __attribute__((cleanup(ipc__rlock_scope_end))) =                  \
             ipc__rlock_scope_begin((rlock), &(rc));                           \
         ipc__held != NULL; ipc__rlock_scope_next(&ipc__held))

static inline ipc_rlock *ipc__rlock_scope_begin(ipc_rlock *rlock, int *rc)
{
    *rc = ipc_rlock_acquire(rlock);
    return *rc >= 0 ? rlock : NULL;
}

static inline void ipc__rlock_scope_end(ipc_rlock **held)
{
    if (*held != NULL)
        (void)ipc_rlock_release(*held);
}

static inline void ipc__rlock_scope_next(ipc_rlock **held)
{
    ipc__rlock_scope_end(held);
    *held = NULL;
}

IPC_END_DECLS

#endif
