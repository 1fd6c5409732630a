/* The lock files that this process has open: each once.
 *
 * Closing any descriptor of a file drops the POSIX locks that the process has
 * on it.  So all handles of one file share one descriptor, which is closed
 * with the last of them. */
#ifndef IPC_SYNC_FILE_REGISTRY_H
#define IPC_SYNC_FILE_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <ipc/file_lock.h>

#include "sync/file_record.h"

/* One file, however many handles it has. */
struct ipc__lock_file {
    struct ipc__lock_file *next;
    dev_t device;
    ino_t inode;
    int fd;
    uint32_t handles;      /* under the registry's lock; 0: see the source */
    ipc_lock local;        /* between the threads of this process */
    ipc_file_lock *holder; /* written under local, read by any thread */
    struct ipc__file_record record; /* the holder's; under local */
};

/* Every call begins with this.  In a forked child the first one makes the
 * child's copies free: what was held was the parent's. */
void ipc__file_registry_enter(void);

/* The file of an absolute path, made if need be, with one handle more.
 * Errors: those of ipc_file_lock_open(). */
int ipc__file_registry_get(const char *path, struct ipc__lock_file **out);

/* One handle less.  Fails only if the registry could not be locked. */
int ipc__file_registry_put(struct ipc__lock_file *file);

/* Acquire a lock of which a thread's death leaves nothing half-done. */
int ipc__file_local_acquire(ipc_lock *lock, ipc_deadline deadline);

/* Does the descriptor still belong to the file?  0; -EBADF if the program has
 * closed it behind our back; or why that cannot be said. */
int ipc__lock_file_check(const struct ipc__lock_file *file);

static inline bool ipc__lock_file_is(const struct ipc__lock_file *file,
                                     const struct stat *st)
{
    return file->device == st->st_dev && file->inode == st->st_ino;
}

#endif
