/* What the tests of the file lock have in common. */
#ifndef FILE_LOCK_SUPPORT_H
#define FILE_LOCK_SUPPORT_H

#include "harness/harness.h"
#include "harness/role.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/file_lock.h>

enum {
    LIMIT_MS = 10000
}; /* it hangs */

/* How roles and the case meet; from test_shared(). */
struct stage {
    uint32_t ready;
    uint32_t go;
    long counter; /* no atomic: the lock is what makes it come out right */
};

static inline struct stage *new_stage(void)
{
    (void)test_tmpdir(); /* made here, not by several roles at once */
    return test_shared(sizeof(struct stage));
}

/* The name of a file in the folder of the case. */
static inline const char *in_tmpdir(const char *name)
{
    static _Thread_local char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", test_tmpdir(), name);
    return path;
}

static inline ipc_file_lock *open_lock(const char *name)
{
    ipc_file_lock *lock = NULL;
    const int rc = ipc_file_lock_open(in_tmpdir(name), &lock);
    if (rc != 0)
        test_fail("open: %s: %s", ipc_strerror(rc), ipc_error_detail());
    return lock;
}

/* The content of a file, as text; returns its size, or -1. */
static inline long read_text(const char *path, char *out, size_t size)
{
    memset(out, 0, size);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    const long n = read(fd, out, size - 1);
    (void)close(fd);
    return n;
}

static inline void write_text(const char *path, const char *text, size_t size)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), size);
    assert_int_equal(close(fd), 0);
}

/* How many descriptors of the process are open on this file. */
static inline int descriptors_of(const char *path)
{
    struct stat file, st;
    assert_int_equal(stat(path, &file), 0);
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fstat(fd, &st) == 0 && st.st_dev == file.st_dev &&
                 st.st_ino == file.st_ino;
    return count;
}

/* ---- roles that take the lock "lock" ---- */

/* Hold it until killed.  The result of acquire must be 0 or owner died. */
static inline void hold_for_good(void *arg)
{
    struct stage *stage = arg;
    ipc_file_lock *lock = open_lock("lock");
    assert_true(ipc_file_lock_acquire(lock) >= 0);
    meet_signal(&stage->ready);
    for (;;)
        (void)pause();
}

/* Hold it until told to go on, then release it. */
static inline void hold_until_go(void *arg)
{
    struct stage *stage = arg;
    ipc_file_lock *lock = open_lock("lock");
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    meet_signal(&stage->ready);
    meet_wait(&stage->go, 1, LIMIT_MS);
    assert_int_equal(ipc_file_lock_release(lock), 0);
}

/* Can another process have it at once?  -EAGAIN or 0; it is given back. */
static inline void try_once(void *arg)
{
    int *result = arg;
    ipc_file_lock *lock = open_lock("lock");
    *result = ipc_file_lock_acquire_nowait(lock);
    if (*result >= 0)
        assert_int_equal(ipc_file_lock_release(lock), 0);
}

static inline int other_process_tries(void)
{
    int *result = test_shared(sizeof *result);
    assert_int_equal(role_try(try_once, result, LIMIT_MS), 0);
    return *result;
}

#endif
