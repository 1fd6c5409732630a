/* What the tests of named memory have in common: names, and users that die. */
#ifndef UNIT_SEGMENT_SUPPORT_H
#define UNIT_SEGMENT_SUPPORT_H

#include "harness/harness.h"
#include "harness/role.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/segment.h>

enum {
    LIMIT_MS = 10000 /* longer means that it hangs */
};

/* A name of this case's own, the same in all its roles.  Valid for the next
 * few calls. */
static inline const char *shm_name(const char *what)
{
    static char names[16][64];
    static unsigned next;
    char *name = names[next++ % 16];
    (void)snprintf(name, sizeof names[0], "ipc-test-%d-%s", (int)getsid(0),
                   what);
    return name;
}

static inline const char *shm_path(const char *name)
{
    static char paths[4][300];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "/dev/shm/%s", name);
    return path;
}

static inline bool shm_exists(const char *name)
{
    struct stat st;
    return lstat(shm_path(name), &st) == 0;
}

/* ---- what must work ---- */

static inline ipc_segment *make_segment(const char *name, size_t size)
{
    ipc_segment *segment = NULL;
    const int rc = ipc_segment_create(name, size, NULL, &segment);
    if (rc != 0)
        test_fail("create %s: %d: %s", name, rc, ipc_error_detail());
    return segment;
}

static inline ipc_segment *open_segment(const char *name)
{
    ipc_segment *segment = NULL;
    const int rc = ipc_segment_open(name, &segment);
    if (rc != 0)
        test_fail("open %s: %d: %s", name, rc, ipc_error_detail());
    return segment;
}

static inline void write_text(ipc_segment *segment, const char *text)
{
    (void)snprintf(ipc_segment_data(segment), ipc_segment_size(segment), "%s",
                   text);
}

static inline void unlink_segment(const char *name)
{
    const int rc = ipc_segment_unlink(name);
    if (rc != 0)
        test_fail("unlink %s: %d: %s", name, rc, ipc_error_detail());
}

/* ---- and what must not ---- */

static inline void expect_failure(int rc, int error, const char *what)
{
    if (rc != error)
        test_fail("%s: %d, not %d", what, rc, error);
    if (ipc_error_detail()[0] == '\0')
        test_fail("%s: no detail", what);
}

static inline void expect_no_open(const char *name, int error)
{
    ipc_segment *segment = (ipc_segment *)(void *)&segment;
    const ipc_segment *const before = segment;
    expect_failure(ipc_segment_open(name, &segment), error, name);
    if (segment != before)
        test_fail("open %s failed, but has written its result", name);
}

static inline void expect_no_create(const char *name, int error)
{
    ipc_segment *segment = NULL;
    expect_failure(ipc_segment_create(name, 100, NULL, &segment), error, name);
}

static inline void expect_no_open_or_create(const char *name, int error)
{
    ipc_segment *segment = NULL;
    expect_failure(ipc_segment_open_or_create(name, 100, NULL, &segment), error,
                   name);
}

/* Where /dev/shm is not the test's own it may remove more. */
static inline void run_gc(int at_least)
{
    const int rc = ipc_segment_gc();
    if (rc < at_least)
        test_fail("gc: %d, not %d: %s", rc, at_least, ipc_error_detail());
}

/* ---- users that die ---- */

struct doomed {
    const char *name;
    size_t size;
    uint32_t flags;
    char text[16]; /* what it writes */
    uint64_t id;   /* of its segment, when it has shared memory */
};

static inline void create_and_die(void *arg)
{
    const struct doomed *doomed = arg;
    ipc_segment_options options = IPC_SEGMENT_OPTIONS_INIT;
    ipc_segment *segment = NULL;
    options.flags = doomed->flags;
    const int rc =
        ipc_segment_create(doomed->name, doomed->size, &options, &segment);
    if (rc != 0)
        test_fail("create %s: %d: %s", doomed->name, rc, ipc_error_detail());
    memcpy(ipc_segment_data(segment), doomed->text, sizeof doomed->text);
    (void)raise(SIGKILL);
}

/* Have a segment made by a process that is killed without closing it. */
static inline void leave_abandoned(const char *name, uint32_t flags)
{
    struct doomed doomed = {name, 100, flags, "of the dead", 0};
    struct role role;
    role_start(&role, create_and_die, &doomed);
    assert_int_equal(role_wait_dead(&role, LIMIT_MS), SIGKILL);
    assert_true(shm_exists(name));
}

#endif
