/* The locks of libipc, through the shared library. */
#include "lock_peer.h"

#include <ipc/error.h>
#include <ipc/file_lock.h>
#include <ipc/lock.h>
#include <ipc/rlock.h>
#include <ipc/segment.h>

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void check(int rc, const char *call)
{
    if (rc != 0)
        errx(EXIT_FAILURE, "%s: %s %s", call, ipc_strerror(rc),
             ipc_error_detail());
}

/* ---- lock and rlock in family memory ---- */

LOCK_PEER_LOOPS(lock, ipc_lock_acquire, ipc_lock_release)

static void *lock_make(void)
{
    ipc_lock *lock;

    check(ipc_lock_new(NULL, &lock), "ipc_lock_new");
    return lock;
}

static void lock_drop(void *lock)
{
    check(ipc_lock_free(lock), "ipc_lock_free");
}

LOCK_PEER_LOOPS(rlock, ipc_rlock_acquire, ipc_rlock_release)

static void *rlock_make(void)
{
    ipc_rlock *rlock;

    check(ipc_rlock_new(NULL, &rlock), "ipc_rlock_new");
    return rlock;
}

static void rlock_drop(void *rlock)
{
    check(ipc_rlock_free(rlock), "ipc_rlock_free");
}

/* ---- lock in a named segment ---- */

static ipc_segment *segment;

static void *segment_make(void)
{
    char name[64];

    snprintf(name, sizeof name, "ipc-bench-lock-%d", (int)getpid());
    check(ipc_segment_create(name, sizeof(ipc_lock), NULL, &segment),
          "ipc_segment_create");
    check(ipc_segment_unlink(name), "ipc_segment_unlink");
    return ipc_segment_data(segment);
}

static void segment_drop(void *lock)
{
    (void)lock;
    check(ipc_segment_close(segment), "ipc_segment_close");
}

/* ---- file lock ---- */

LOCK_PEER_LOOPS(file, ipc_file_lock_acquire, ipc_file_lock_release)

static char folder[] = "/tmp/ipc-bench-XXXXXX";
static char path[sizeof folder + sizeof "/lock"];

static void *file_make(void)
{
    ipc_file_lock *lock;

    if (mkdtemp(folder) == NULL)
        err(EXIT_FAILURE, "%s", folder);
    snprintf(path, sizeof path, "%s/lock", folder);
    check(ipc_file_lock_open(path, &lock), "ipc_file_lock_open");
    return lock;
}

static void file_drop(void *lock)
{
    check(ipc_file_lock_close(lock), "ipc_file_lock_close");
    unlink(path);
    rmdir(folder);
}

const struct lock_peer lock_peers_libipc[] = {
    {"libipc", true, lock_make, lock_drop, lock_pairs, lock_contend},
    {"libipc-rlock", true, rlock_make, rlock_drop, rlock_pairs, rlock_contend},
    {"libipc-named-lock", false, segment_make, segment_drop, lock_pairs,
     lock_contend},
    {"libipc-file-lock", false, file_make, file_drop, file_pairs, file_contend},
    {0},
};
