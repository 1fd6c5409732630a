/* Managed locks and semaphores. */
#include "client/managed.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "fail.h"

/* ---- locks ---- */

int ipc_manager_lock(ipc_manager *manager, const char *name, ipc_managed **out)
{
    const struct ipcm__pairs none = {.count = 0};
    return ipcm__managed_make(manager, "lock", name, &none, out);
}

int ipc_manager_rlock(ipc_manager *manager, const char *name, ipc_managed **out)
{
    const struct ipcm__pairs none = {.count = 0};
    return ipcm__managed_make(manager, "rlock", name, &none, out);
}

static int has_lock(const ipc_managed *lock)
{
    if (strcmp(lock->target.type_name, "condition") == 0)
        return 0;
    return ipcm__managed_is(lock, "lock", "rlock");
}

int ipc_managed_lock_acquire_until(ipc_managed *lock, ipc_deadline deadline)
{
    const ipc_any arg = ipc_i64(ipcm__holder());
    int rc = has_lock(lock);
    if (rc == 0)
        rc = ipcm__managed_wait(lock, IPCM__OP_LOCK_ACQUIRE, &arg, 1, deadline);
    return rc > 0 ? IPC_OWNER_DIED : rc;
}

int ipc_managed_lock_acquire(ipc_managed *lock)
{
    return ipc_managed_lock_acquire_until(lock, IPC_TIME_FOREVER);
}

int ipc_managed_lock_acquire_nowait(ipc_managed *lock)
{
    return ipc_managed_lock_acquire_until(lock, IPC_TIME_NOW);
}

int ipc_managed_lock_release(ipc_managed *lock)
{
    const ipc_any arg = ipc_i64(ipcm__holder());
    const int rc = has_lock(lock);
    return rc != 0 ? rc
                   : ipcm__managed_do(lock, IPCM__OP_LOCK_RELEASE, &arg, 1);
}

int ipc_managed_lock_token(ipc_managed *lock, uint64_t *out)
{
    const ipc_any arg = ipc_i64(ipcm__holder());
    ipc_any token = ipc_nil();
    int rc = has_lock(lock);
    if (rc == 0)
        rc = ipcm__call_for(&lock->target, IPCM__OP_LOCK_TOKEN, &arg, 1, &token,
                            1);
    if (rc < 0)
        return rc;
    *out = token.u64;
    ipc_any_free(&token);
    return 0;
}

int ipc_managed_lock_check(ipc_managed *lock, uint64_t token)
{
    const ipc_any arg = ipc_u64(token);
    const int rc = has_lock(lock);
    return rc != 0 ? rc : ipcm__managed_do(lock, IPCM__OP_LOCK_CHECK, &arg, 1);
}

int ipc_managed_lock_is_held(ipc_managed *lock)
{
    int64_t held = 0;
    int rc = has_lock(lock);
    if (rc == 0)
        rc = ipcm__managed_number(lock, IPCM__OP_LOCK_IS_HELD, NULL, 0, &held);
    return rc != 0 ? rc : held != 0;
}

/* ---- semaphores ---- */

static const char plain[] = "semaphore";
static const char bounded[] = "bounded_semaphore";

int ipc_manager_semaphore(ipc_manager *manager, const char *name,
                          uint32_t value, const ipc_managed_options *options,
                          ipc_managed **out)
{
    ipc_managed_options given;
    const int rc =
        ipcm__managed_options(options, IPC_MANAGED_TRACKED, false, &given);
    if (rc != 0)
        return rc;
    struct ipcm__pairs pairs = {.count = 0};
    ipcm__pair(&pairs, "value", ipc_i64(value));
    if ((given.flags & IPC_MANAGED_TRACKED) != 0)
        ipcm__pair(&pairs, "tracked", ipc_bool(true));
    return ipcm__managed_make(manager, plain, name, &pairs, out);
}

int ipc_manager_bounded_semaphore(ipc_manager *manager, const char *name,
                                  uint32_t value, ipc_managed **out)
{
    struct ipcm__pairs pairs = {.count = 0};
    ipcm__pair(&pairs, "value", ipc_i64(value));
    return ipcm__managed_make(manager, bounded, name, &pairs, out);
}

int ipc_managed_semaphore_acquire_until(ipc_managed *semaphore,
                                        ipc_deadline deadline)
{
    int rc = ipcm__managed_is(semaphore, plain, bounded);
    if (rc == 0)
        rc = ipcm__managed_wait(semaphore, IPCM__OP_SEMAPHORE_ACQUIRE, NULL, 0,
                                deadline);
    return rc < 0 ? rc : 0;
}

int ipc_managed_semaphore_acquire(ipc_managed *semaphore)
{
    return ipc_managed_semaphore_acquire_until(semaphore, IPC_TIME_FOREVER);
}

int ipc_managed_semaphore_acquire_nowait(ipc_managed *semaphore)
{
    return ipc_managed_semaphore_acquire_until(semaphore, IPC_TIME_NOW);
}

int ipc_managed_semaphore_release_many(ipc_managed *semaphore, uint32_t n)
{
    const ipc_any arg = ipc_i64(n);
    const int rc = ipcm__managed_is(semaphore, plain, bounded);
    return rc != 0 ? rc
                   : ipcm__managed_do(semaphore, IPCM__OP_SEMAPHORE_RELEASE,
                                      &arg, 1);
}

int ipc_managed_semaphore_release(ipc_managed *semaphore)
{
    return ipc_managed_semaphore_release_many(semaphore, 1);
}

int64_t ipc_managed_semaphore_value(ipc_managed *semaphore)
{
    int64_t value = 0;
    int rc = ipcm__managed_is(semaphore, plain, bounded);
    if (rc == 0)
        rc = ipcm__managed_number(semaphore, IPCM__OP_SEMAPHORE_VALUE, NULL, 0,
                                  &value);
    return rc != 0 ? rc : value;
}
