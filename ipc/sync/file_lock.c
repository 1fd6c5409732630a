/* File lock: a POSIX record lock between processes, an ipc_lock between the
 * threads of each, and a line of text that says how the file was left.
 *
 * Why this kind of lock: flock() and open-file-description locks belong to
 * the descriptor, and every forked child that has a copy of it keeps them
 * alive when the holder is dead.  A POSIX lock belongs to the process.  The
 * price is that closing any descriptor of the file drops it
 * (file_registry.h), and that it does not exclude threads (`local`).
 *
 * State
 *   the record  in the file: free, held, repair or lost (file_record.h)
 *   the range   the POSIX lock on the whole file
 *   local, holder, record of struct ipc__lock_file: private to the process
 *
 * Invariants
 *   1. The record is written by whoever has both local and the range.
 *   2. A process has the range while one of its threads has local, or has
 *      died having it.
 *   3. Between an acquire that gave the lock and the release a thread has
 *      both, and the record names it.
 *   So a record that names an owner, read by another who has both, was left
 *   by the dead.
 *
 * Order
 *   acquire: local, range, read the record, write ours
 *   release: write the record, range, local
 *   What one process writes to the record before it gives up the range is
 *   read by the next that gets it; local does the same for threads.
 *
 * Death of the process, when the kernel drops the range, after each step:
 *   up to the write of acquire   the record is as it was before
 *   up to the write of release   it names us: the next owner is told
 *   from then on                 it is free, or lost
 * Death of a thread alone: local passes to the next thread of its process,
 * which is granted the range once more; the record tells it the rest. */
#include <ipc/file_lock.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/options.h"
#include "core/error.h"
#include "core/peers.h"
#include "kernel/futex.h"
#include "kernel/procfs.h"
#include "sync/file_record.h"
#include "sync/file_registry.h"

#define POLL_MIN_NS 100000
#define POLL_MAX_NS 10000000

struct ipc_file_lock {
    struct ipc__lock_file *file;
    char path[]; /* absolute */
};

/* ---- the range ---- */

/* Returns what fcntl() does: F_GETLK leaves in *range who is in the way. */
static int range_call(int fd, int command, short type, struct flock *range)
{
    *range = (struct flock){.l_type = type, .l_whence = SEEK_SET};
    int rc;
    do {
        rc = fcntl(fd, command, range);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return errno == EACCES ? -EAGAIN : -errno;
    return 0;
}

static int range_acquire(int fd, ipc_deadline deadline)
{
    struct flock range;
    if (deadline == IPC_TIME_FOREVER) {
        const int rc = range_call(fd, F_SETLKW, F_WRLCK, &range);
        /* The kernel looks for cycles of processes, not of threads: what it
         * takes for a deadlock may be two threads of each process that do not
         * wait for each other.  Then poll, as ipc_lock would wait. */
        if (rc != -EDEADLK)
            return rc;
    }
    int64_t pause_ns = POLL_MIN_NS;
    for (;;) {
        const int rc = range_call(fd, F_SETLK, F_WRLCK, &range);
        if (rc != -EAGAIN)
            return rc;
        const ipc_deadline now = ipc_now();
        if (now >= deadline)
            return -ETIMEDOUT;
        ipc_sleep_until(deadline - now < pause_ns ? deadline : now + pause_ns);
        pause_ns = pause_ns * 2 < POLL_MAX_NS ? pause_ns * 2 : POLL_MAX_NS;
    }
}

static void range_release(int fd)
{
    struct flock range;
    (void)range_call(fd, F_SETLK, F_UNLCK, &range);
}

/* Look without having the locks: at the record, and at which other process
 * has the range.  The record is read before and after, until it is the same,
 * so that the two belong together.
 *
 * Returns 0 no other process has it; 1 one has, *pid or 0 if it cannot be
 * told (another host, another pid namespace); or a negative errno. */
static int look(int fd, struct ipc__file_record *record, int32_t *pid)
{
    struct ipc__file_record before;
    struct flock range;
    int last, tries = 0;
    *record = (struct ipc__file_record){.state = IPC__FILE_FREE};
    int rc = ipc__file_record_read(fd, record);
    do {
        before = *record;
        last = rc;
        rc = range_call(fd, F_GETLK, F_WRLCK, &range);
        if (rc < 0)
            return rc;
        rc = ipc__file_record_read(fd, record);
    } while ((rc != last || !ipc__file_record_equal(&before, record)) &&
             ++tries < 20);
    if (rc < 0)
        return rc;
    *pid = range.l_type != F_UNLCK && range.l_pid > 0 ? range.l_pid : 0;
    return range.l_type != F_UNLCK;
}

/* ---- both locks ---- */

/* Does path still name the file?  Others would lock another one then.  Where
 * path can no longer be looked up, take it for granted. */
static int check_path(const ipc_file_lock *lock)
{
    struct stat st;
    if (lstat(lock->path, &st) == 0)
        return ipc__lock_file_is(lock->file, &st) ? 0 : -ESTALE;
    return errno == ENOENT || errno == ENOTDIR ? -ESTALE : 0;
}

static void drop(struct ipc__lock_file *f)
{
    range_release(f->fd);
    (void)ipc_lock_release(&f->local);
}

/* Get both locks, and see what the record says. */
static int take(ipc_file_lock *lock, ipc_deadline deadline,
                struct ipc__file_record *record)
{
    struct ipc__lock_file *f = lock->file;
    int rc = ipc__file_local_acquire(&f->local, deadline);
    if (rc < 0)
        return rc;
    store_relaxed(&f->holder, NULL); /* set if a thread died */
    rc = ipc__lock_file_check(f);
    if (rc == 0)
        rc = range_acquire(f->fd, deadline);
    if (rc < 0) {
        (void)ipc_lock_release(&f->local);
        return rc;
    }
    rc = check_path(lock);
    if (rc == 0)
        rc = ipc__file_record_read(f->fd, record);
    if (rc < 0)
        drop(f);
    return rc;
}

static bool is_mine(const ipc_file_lock *lock)
{
    return load_relaxed(&lock->file->holder) == lock &&
           ipc_lock_is_mine(&lock->file->local);
}

/* Does a living thread of this process hold it? */
static bool thread_holds(struct ipc__lock_file *f)
{
    ipc_lock_holder thread = IPC_LOCK_HOLDER_INIT;
    return load_acquire(&f->holder) != NULL &&
           ipc_lock_owner(&f->local, &thread) == 0 && thread.alive;
}

static int find_owner(struct ipc__lock_file *f, ipc_lock_holder *out)
{
    struct ipc__file_record record;
    int32_t pid;
    const bool here = thread_holds(f);
    const int rc = look(f->fd, &record, &pid);
    if (rc < 0)
        return rc;
    if (record.state == IPC__FILE_LOST)
        return -ENOTRECOVERABLE;
    out->alive = rc > 0 || here;
    if (!out->alive && record.state == IPC__FILE_FREE)
        return -ESRCH;

    /* The record may still be that of the one before, or of another pid
     * namespace. */
    out->pid = rc > 0 ? pid : here ? getpid() : record.pid;
    const bool named = record.pid != 0 && record.pid == out->pid;
    out->tid = named ? record.tid : 0;
    out->since_ns = named ? record.since_us * 1000 : ipc_now();
    out->owner_died = record.state == IPC__FILE_REPAIR ||
                      (!out->alive && record.state == IPC__FILE_HELD);
    return 0;
}

/* Fail, with a line about it. */
static int fail(ipc_file_lock *lock, int error)
{
    static const struct {
        int code;
        const char *text;
    } texts[] = {
        {-EPERM, "not held by this thread through this handle"},
        {-EDEADLK, "this thread holds it already"},
        {-EBUSY, "a thread holds it through this handle"},
        {-ESTALE, "the file was removed or replaced"},
        {-EUCLEAN, "the file holds something else"},
        {-EBADF, "the program closed its descriptor"},
    };
    const char *text = ipc_strerror(error);
    for (size_t i = 0; i < array_length(texts); i++)
        if (texts[i].code == error)
            text = texts[i].text;
    return ipc__fail(error, "file lock \"%s\": %s", lock->path, text);
}

/* Fail because somebody holds it. */
static int fail_held(ipc_file_lock *lock, int error)
{
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    if (find_owner(lock->file, &holder) != 0 || holder.pid == 0)
        return fail(lock, error);
    char name[16];
    ipc__proc_name(holder.pid, name, sizeof name);
    const int64_t held_ns = ipc_now() - holder.since_ns;
    return ipc__fail(
        error, "file lock \"%s\" is held by pid %d (%s), thread %d, for %.1f s",
        lock->path, holder.pid, name, holder.tid,
        held_ns > 0 ? (double)held_ns / 1e9 : 0.0);
}

/* ---- open and close ---- */

/* A handle with the absolute form of path, for a program that changes its
 * working directory. */
static int handle_new(const char *path, ipc_file_lock **out)
{
    char *folder = NULL;
    if (path[0] == '\0')
        return -ENOENT;
    if (path[0] != '/' && (folder = getcwd(NULL, 0)) == NULL)
        return -errno;
    const char *before = folder != NULL ? folder : "";
    const size_t size = strlen(before) + 1 + strlen(path) + 1;
    ipc_file_lock *lock = malloc(sizeof *lock + size);
    if (lock != NULL)
        snprintf(lock->path, size, "%s%s%s", before, folder ? "/" : "", path);
    free(folder);
    *out = lock;
    return lock != NULL ? 0 : -ENOMEM;
}

static int fail_open(const char *path, int error)
{
    const char *text = ipc_strerror(error);
    if (error == -EPERM)
        text = "not a regular file, or not permitted";
    if (error == -EUCLEAN)
        text = "not a lock file: it holds something else";
    return ipc__fail(error, "file lock \"%s\": %s", path, text);
}

int ipc_file_lock_open(const char *path, ipc_file_lock **out)
{
    ipc__file_registry_enter();
    ipc_file_lock *lock = NULL;
    int rc = handle_new(path, &lock);
    if (rc == 0)
        rc = ipc__file_registry_get(lock->path, &lock->file);
    if (rc < 0) {
        free(lock);
        return fail_open(path, rc);
    }
    *out = lock;
    return 0;
}

int ipc_file_lock_close(ipc_file_lock *lock)
{
    if (lock == NULL)
        return 0;
    ipc__file_registry_enter();
    struct ipc__lock_file *f = lock->file;
    if (load_relaxed(&f->holder) == lock) {
        if (thread_holds(f))
            return fail(lock, -EBUSY);
        store_relaxed(&f->holder, NULL);
    }
    const int rc = ipc__file_registry_put(f);
    if (rc < 0)
        return fail(lock, rc);
    free(lock);
    return 0;
}

/* ---- acquire and release ---- */

/* Both locks are ours: name us in the record. */
static int sign(ipc_file_lock *lock, enum ipc__file_state state)
{
    struct ipc__lock_file *f = lock->file;
    f->record = (struct ipc__file_record){
        .state = state,
        .pid = ipc__self.pid,
        .tid = (int32_t)(ipc__self.id & FUTEX_BITS_TID),
        .since_us = ipc_now() / 1000,
    };
    /* First, so that who finds us in the record finds that we live. */
    store_release(&f->holder, lock);
    return ipc__file_record_write(f->fd, &f->record);
}

static int acquire(ipc_file_lock *lock, ipc_deadline deadline, int too_late)
{
    ipc__file_registry_enter();
    struct ipc__file_record record;
    int rc = take(lock, deadline, &record);
    if (rc == -ETIMEDOUT)
        return fail_held(lock, too_late);
    if (rc < 0)
        return fail(lock, rc);

    const bool died = record.state != IPC__FILE_FREE;
    if (record.state == IPC__FILE_LOST)
        rc = -ENOTRECOVERABLE;
    else
        rc = sign(lock, died ? IPC__FILE_REPAIR : IPC__FILE_HELD);
    if (rc < 0) {
        store_relaxed(&lock->file->holder, NULL);
        drop(lock->file);
        return fail(lock, rc);
    }
    return died ? IPC_OWNER_DIED : 0;
}

int ipc_file_lock_acquire(ipc_file_lock *lock)
{
    return acquire(lock, IPC_TIME_FOREVER, -ETIMEDOUT);
}

int ipc_file_lock_acquire_nowait(ipc_file_lock *lock)
{
    return acquire(lock, IPC_TIME_NOW, -EAGAIN);
}

int ipc_file_lock_acquire_until(ipc_file_lock *lock, ipc_deadline deadline)
{
    return acquire(lock, deadline, -ETIMEDOUT);
}

int ipc_file_lock_release(ipc_file_lock *lock)
{
    ipc__file_registry_enter();
    struct ipc__lock_file *f = lock->file;
    if (!is_mine(lock))
        return fail(lock, -EPERM);
    const bool lost = f->record.state == IPC__FILE_REPAIR;
    const struct ipc__file_record next = {.state = lost ? IPC__FILE_LOST
                                                        : IPC__FILE_FREE};
    /* If it cannot be written the old one stays, and the next owner is told
     * to look at the data: no reason to keep everybody out. */
    (void)ipc__file_record_write(f->fd, &next);
    store_relaxed(&f->holder, NULL);
    drop(f);
    return 0;
}

int ipc_file_lock_consistent(ipc_file_lock *lock)
{
    ipc__file_registry_enter();
    struct ipc__lock_file *f = lock->file;
    if (!is_mine(lock))
        return fail(lock, -EPERM);
    if (f->record.state != IPC__FILE_REPAIR)
        return fail(lock, -EINVAL);
    struct ipc__file_record next = f->record;
    next.state = IPC__FILE_HELD;
    const int rc = ipc__file_record_write(f->fd, &next);
    if (rc < 0)
        return fail(lock, rc);
    f->record = next;
    return 0;
}

int ipc_file_lock_reset(ipc_file_lock *lock)
{
    ipc__file_registry_enter();
    struct ipc__lock_file *f = lock->file;
    struct ipc__file_record record;
    int32_t pid;
    /* A lock in use is refused without waiting for it. */
    int rc = look(f->fd, &record, &pid);
    if (rc >= 0 && record.state != IPC__FILE_LOST)
        rc = -EINVAL;
    if (rc >= 0)
        rc = take(lock, IPC_TIME_FOREVER, &record);
    if (rc < 0)
        return fail(lock, rc);
    const struct ipc__file_record next = {.state = IPC__FILE_FREE};
    rc = record.state == IPC__FILE_LOST ? ipc__file_record_write(f->fd, &next)
                                        : -EINVAL;
    drop(f);
    return rc < 0 ? fail(lock, rc) : 0;
}

int ipc_file_lock_owner(ipc_file_lock *lock, ipc_lock_holder *out)
{
    ipc__file_registry_enter();
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    int rc = find_owner(lock->file, &holder);
    if (rc == 0)
        rc = ipc__info_write(out, &holder, sizeof holder);
    return rc < 0 ? fail(lock, rc) : 0;
}
