/* Locks that the library stores: in family memory, or under a name. */
#include <errno.h>
#include <string.h>

#include <ipc/lock.h>
#include <ipc/rlock.h>
#include <ipc/shared.h>

#include "base/atomic.h"
#include "core/error.h"
#include "core/region.h"
#include "memory/named.h"
#include "memory/shared.h"

/* ---- family memory ---- */

int ipc_lock_new(const ipc_lock_options *options, ipc_lock **out)
{
    ipc_lock made;
    void *lock;
    int rc = ipc_lock_init(&made, options);
    if (rc == 0)
        rc = ipc__shared_alloc(sizeof made, &lock);
    if (rc != 0)
        return rc;
    *out = memcpy(lock, &made, sizeof made);
    return 0;
}

int ipc_lock_free(ipc_lock *lock)
{
    if (lock == NULL)
        return 0;
    if (ipc_shared_size(lock) < sizeof *lock)
        return ipc__fail(-EINVAL, "%p is no lock in family memory",
                         (void *)lock);
    const int rc = ipc_lock_fini(lock);
    return rc != 0 ? rc : ipc_shared_free(lock);
}

int ipc_rlock_new(const ipc_lock_options *options, ipc_rlock **out)
{
    ipc_rlock made;
    void *rlock;
    int rc = ipc_rlock_init(&made, options);
    if (rc == 0)
        rc = ipc__shared_alloc(sizeof made, &rlock);
    if (rc != 0)
        return rc;
    *out = memcpy(rlock, &made, sizeof made);
    return 0;
}

int ipc_rlock_free(ipc_rlock *rlock)
{
    if (rlock == NULL)
        return 0;
    if (ipc_shared_size(rlock) < sizeof *rlock)
        return ipc__fail(-EINVAL, "%p is no lock in family memory",
                         (void *)rlock);
    const int rc = ipc_rlock_fini(rlock);
    return rc != 0 ? rc : ipc_shared_free(rlock);
}

/* ---- names ---- */

typedef int getter(const struct ipc__named *what, struct ipc__region **out);

/* An ipc_rlock begins with its ipc_lock, so both are filled in this way. */
static void fill(void *data, const void *made)
{
    memcpy(data, made, sizeof(ipc_lock));
}

static int get_lock(getter *get, enum ipc__region_kind kind, const char *name,
                    const ipc_lock_options *options, void **out)
{
    ipc_lock made;
    struct ipc__region *region;
    const struct ipc__named what = {
        .name = name,
        .kind = kind,
        .size = kind == IPC__REGION_LOCK ? sizeof(ipc_lock) : sizeof(ipc_rlock),
        .fill = fill,
        .arg = &made,
    };
    int rc = ipc_lock_init(&made, options);
    if (rc == 0)
        rc = get(&what, &region);
    if (rc == 0)
        *out = ipc__region_data(region);
    return rc;
}

/* The region of a named lock, if it is one. */
static struct ipc__region *named_region(const void *lock,
                                        enum ipc__region_kind kind)
{
    struct ipc__region *region = ipc__region_find(lock, NULL, NULL);
    return region != NULL && region->facts.kind == (uint32_t)kind &&
                   ipc__region_data(region) == lock
               ? region
               : NULL;
}

static int close_lock(ipc_lock *lock, enum ipc__region_kind kind)
{
    if (lock == NULL)
        return 0;
    struct ipc__region *region = named_region(lock, kind);
    if (region == NULL)
        return ipc__fail(-EINVAL, "the lock was not opened by name");
    if (ipc_lock_is_mine(lock))
        return ipc__fail(-EBUSY, "the calling thread holds the lock");
    ipc__named_close(region);
    return 0;
}

int ipc_lock_create(const char *name, const ipc_lock_options *options,
                    ipc_lock **out)
{
    void *lock;
    const int rc =
        get_lock(ipc__named_create, IPC__REGION_LOCK, name, options, &lock);
    if (rc == 0)
        *out = lock;
    return rc;
}

int ipc_lock_open(const char *name, ipc_lock **out)
{
    void *lock;
    const int rc =
        get_lock(ipc__named_open, IPC__REGION_LOCK, name, NULL, &lock);
    if (rc == 0)
        *out = lock;
    return rc;
}

int ipc_lock_open_or_create(const char *name, const ipc_lock_options *options,
                            ipc_lock **out)
{
    void *lock;
    const int rc = get_lock(ipc__named_open_or_create, IPC__REGION_LOCK, name,
                            options, &lock);
    if (rc == 0)
        *out = lock;
    return rc;
}

int ipc_lock_close(ipc_lock *lock)
{
    return close_lock(lock, IPC__REGION_LOCK);
}

int ipc_lock_unlink(const char *name)
{
    return ipc__named_unlink(name, IPC__REGION_LOCK);
}

int ipc_rlock_create(const char *name, const ipc_lock_options *options,
                     ipc_rlock **out)
{
    void *rlock;
    const int rc =
        get_lock(ipc__named_create, IPC__REGION_RLOCK, name, options, &rlock);
    if (rc == 0)
        *out = rlock;
    return rc;
}

int ipc_rlock_open(const char *name, ipc_rlock **out)
{
    void *rlock;
    const int rc =
        get_lock(ipc__named_open, IPC__REGION_RLOCK, name, NULL, &rlock);
    if (rc == 0)
        *out = rlock;
    return rc;
}

int ipc_rlock_open_or_create(const char *name, const ipc_lock_options *options,
                             ipc_rlock **out)
{
    void *rlock;
    const int rc = get_lock(ipc__named_open_or_create, IPC__REGION_RLOCK, name,
                            options, &rlock);
    if (rc == 0)
        *out = rlock;
    return rc;
}

int ipc_rlock_close(ipc_rlock *rlock)
{
    return close_lock(rlock == NULL ? NULL : &rlock->lock_, IPC__REGION_RLOCK);
}

int ipc_rlock_unlink(const char *name)
{
    return ipc__named_unlink(name, IPC__REGION_RLOCK);
}
