/* State
 *   registry.process  whose the rest is, as in ipc__local; with RESETTING while
 *                     a thread of it frees the copied locks
 *   registry.lock     guards the list and the counts of handles
 *   registry.first    the list.  An entry with no handles only keeps a second
 *                     descriptor of its file from being closed too early
 *
 * Invariants
 *   1. A file of the list has one entry with handles, and that one has every
 *      handle of this process.
 *   2. No descriptor of a file of the list is closed while it has handles.
 *   3. Each change of the list is one store: what a fork copies at any moment,
 *      and what a thread leaves that dies at any moment, is a list.
 *
 * Order: [reset→enter] the stores that free the copied locks come before
 * registry.process is seen to be ours.
 *
 * Death: of a thread in here: a handle or a descriptor is left over.  Of the
 * process: nothing is left. */
#include "sync/file_registry.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ipc/error.h>

#include "base/atomic.h"
#include "core/local.h"

#define RESETTING ((uint64_t)1 << 63)

static struct {
    uint64_t process;
    ipc_lock lock;
    struct ipc__lock_file *first;
} registry;

void ipc__file_registry_enter(void)
{
    (void)ipc__local_epoch(); /* makes the process known to itself */
    const uint64_t self = load_relaxed(&ipc__local.process);
    uint64_t seen;
    while ((seen = load_acquire(&registry.process)) != self) {
        if (seen == (self | RESETTING)) {
            sched_yield();
            continue;
        }
        if (!cas64_relaxed(&registry.process, seen, self | RESETTING))
            continue;
        memset(&registry.lock, 0, sizeof registry.lock);
        for (struct ipc__lock_file *f = registry.first; f; f = f->next) {
            memset(&f->local, 0, sizeof f->local);
            f->holder = NULL;
        }
        store_release(&registry.process, self); /* [reset→enter] */
    }
}

int ipc__file_local_acquire(ipc_lock *lock, ipc_deadline deadline)
{
    const int rc = ipc_lock_acquire_until(lock, deadline);
    return rc == IPC_OWNER_DIED ? ipc_lock_consistent(lock) : rc;
}

int ipc__lock_file_check(const struct ipc__lock_file *file)
{
    struct stat st;
    if (fstat(file->fd, &st) != 0)
        return -errno;
    return ipc__lock_file_is(file, &st) ? 0 : -EBADF;
}

static struct ipc__lock_file *find(const struct stat *st)
{
    struct ipc__lock_file *f = registry.first;
    while (f != NULL && (!ipc__lock_file_is(f, st) || f->handles == 0))
        f = f->next;
    return f;
}

/* Returns a descriptor; or -ENOENT or -EEXIST when path has changed since the
 * caller looked.  O_CREAT is for a path where nothing is: in a sticky folder
 * the kernel may refuse it for the file of another user. */
static int open_path(const char *path, bool create)
{
    const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    const int fd = open(path, create ? flags | O_CREAT | O_EXCL : flags, 0666);
    if (fd < 0)
        return -errno;
    if (fd > STDERR_FILENO)
        return fd;
    /* A program that closed its standard streams must not print into it. */
    const int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    const int rc = higher < 0 ? -errno : higher;
    close(fd);
    return rc;
}

/* Fill in the entry of a new descriptor.  Errors, which only a file that is
 * not in the list can give: it is not a lock file, or has no room. */
static int identify(int fd, struct ipc__lock_file *f)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EPERM;
    f->device = st.st_dev;
    f->inode = st.st_ino;
    f->fd = fd;
    if (find(&st) != NULL)
        return 0;
    return st.st_size == 0 ? ipc__file_record_reserve(fd)
                           : ipc__file_record_check(fd);
}

/* Open what was not found in the list, and put it there. */
static int add(const char *path, bool create, struct ipc__lock_file **out)
{
    struct ipc__lock_file *f = calloc(1, sizeof *f);
    if (f == NULL)
        return -ENOMEM;
    const int fd = open_path(path, create);
    const int rc = fd < 0 ? fd : identify(fd, f);
    if (rc < 0) {
        if (fd >= 0)
            close(fd);
        free(f);
        return rc;
    }
    /* Found now, if path was changed meanwhile.  Closing the new descriptor
     * might drop a lock: it waits in the list, in an entry without handles. */
    const struct stat st = {.st_dev = f->device, .st_ino = f->inode};
    struct ipc__lock_file *known = find(&st);
    *out = known != NULL ? known : f;
    (*out)->handles++;
    f->next = registry.first;
    store_release(&registry.first, f);
    return 0;
}

static int find_or_add(const char *path, struct ipc__lock_file **out)
{
    int rc = 0;
    for (int tries = 0; tries < 100; tries++) {
        struct stat st;
        const bool exists = lstat(path, &st) == 0;
        if (!exists && errno != ENOENT)
            return -errno;
        if (exists && !S_ISREG(st.st_mode))
            return -EPERM;
        struct ipc__lock_file *known = exists ? find(&st) : NULL;
        if (known != NULL) {
            known->handles++;
            *out = known;
            return 0;
        }
        rc = add(path, !exists, out);
        if (rc != (exists ? -ENOENT : -EEXIST))
            break;
    }
    return rc;
}

/* Forget a file without handles, and close all descriptors of it that the
 * program has not closed by itself: their numbers may be in use again. */
static void forget(const struct stat *st)
{
    struct ipc__lock_file **link = &registry.first;
    while (*link != NULL) {
        struct ipc__lock_file *f = *link;
        if (!ipc__lock_file_is(f, st)) {
            link = &f->next;
            continue;
        }
        store_release(link, f->next);
        if (ipc__lock_file_check(f) == 0) /* or it may be a stranger's */
            close(f->fd);
        free(f);
    }
}

int ipc__file_registry_get(const char *path, struct ipc__lock_file **out)
{
    int rc = ipc__file_local_acquire(&registry.lock, IPC_TIME_FOREVER);
    if (rc < 0)
        return rc;
    rc = find_or_add(path, out);
    (void)ipc_lock_release(&registry.lock);
    return rc;
}

int ipc__file_registry_put(struct ipc__lock_file *file)
{
    const int rc = ipc__file_local_acquire(&registry.lock, IPC_TIME_FOREVER);
    if (rc < 0)
        return rc;
    const struct stat st = {.st_dev = file->device, .st_ino = file->inode};
    if (--file->handles == 0)
        forget(&st);
    (void)ipc_lock_release(&registry.lock);
    return 0;
}
