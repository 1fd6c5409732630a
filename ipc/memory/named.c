/* Named regions.
 *
 * State, of the file under the name
 *   its inode     appears by linkat() when it is complete, goes by unlink()
 *   flock         shared: held by every mapping.  The kernel keeps it with
 *                 the mapping itself, not with a descriptor: descriptors are
 *                 closed at once, forked children carry the mapping on, and
 *                 any kind of death lets go.  Exclusive: held for a moment by
 *                 who finds that nobody has it mapped.
 *   first byte    locked (OFD) by who looks for other users, for as long as
 *                 it looks.
 *   opens         handles not closed, in the header.  Counted up after the
 *                 mapping stands, down before it goes.
 *
 * Invariants
 *   1  who gets the exclusive lock knows that no process has it mapped;
 *   2  then opens > 0 means that somebody died without closing: abandoned;
 *   3  a name is removed only while a lock is held on the inode that it was
 *      just seen to lead to; cleaning needs the exclusive one, so that what
 *      anybody has mapped, or is about to map, stays;
 *   4  who has a lock and sees that the inode has no name any more lets it go
 *      and looks again.
 *
 * Order
 *   The file system's own: everything in the file was written before
 *   linkat().
 *
 * Death
 *   creating: before linkat() the file has no name and goes with the process;
 *   after it the region is complete, and abandoned as its only user died.
 *   Opening: before opens is raised nothing is left; after it, as a user that
 *   died.  Cleaning: the lock goes; the name is there or not, and the next
 *   one does the same again.  Closing: counted down or not, both are true. */
#include "memory/named.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ipc/segment.h>
#include <ipc/time.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/error.h"
#include "core/owner.h"

#define FOLDER         "/dev/shm/"
#define NAME_MAX_BYTES 200
#define SIZE_MAX_BYTES ((size_t)IPC__REGION_MAX - IPC__REGION_TABLE)

/* How long to wait for somebody who cleans or opens: they take microseconds,
 * but may be stopped. */
#define BUSY_NS ((int64_t)2 * 1000 * 1000 * 1000)

struct path {
    char text[sizeof FOLDER + NAME_MAX_BYTES];
};

static int make_path(const char *name, struct path *out)
{
    const char *flat = name[0] == '/' ? name + 1 : name;
    const size_t length = strnlen(flat, NAME_MAX_BYTES + 1);
    if (length == 0 || length > NAME_MAX_BYTES || flat[0] == '.' ||
        strchr(flat, '/') != NULL)
        return ipc__fail(-EINVAL,
                         "\"%.64s\" is no name: 1 to %d bytes, no '/', "
                         "not starting with '.'",
                         name, NAME_MAX_BYTES);
    snprintf(out->text, sizeof out->text, FOLDER "%s", flat);
    return 0;
}

static int fail_file(int error, const struct path *path, const char *doing)
{
    return ipc__fail(-error, "cannot %s %s: %s", doing, path->text,
                     strerrordesc_np(error));
}

/* ---- looking at a file that has the name ---- */

static int check_file(const struct stat *st, const struct path *path)
{
    if (!S_ISREG(st->st_mode))
        return ipc__fail(-EPERM, "%s is not a regular file", path->text);
    if (st->st_uid != geteuid())
        return ipc__fail(-EPERM, "%s belongs to user %u", path->text,
                         (unsigned)st->st_uid);
    if (st->st_nlink > 1)
        return ipc__fail(-EPERM, "%s has other names (hard links)", path->text);
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return ipc__fail(-EPERM, "%s may be written by others", path->text);
    return 0;
}

/* Open what lies under the name, if it may be trusted at all. */
static int open_file(const struct path *path, struct stat *st)
{
    /* Looked at first: opening a pipe would be noticed at its other end. */
    if (lstat(path->text, st) != 0)
        return fail_file(errno, path, "open");
    int rc = check_file(st, path);
    if (rc != 0)
        return rc;
    const int fd = open(path->text, O_RDWR | O_NOFOLLOW | O_CLOEXEC |
                                        O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        if (errno == ELOOP || errno == EISDIR || errno == ENXIO)
            return ipc__fail(-EPERM, "%s is not a regular file", path->text);
        return fail_file(errno, path, "open");
    }
    rc = fstat(fd, st) != 0 ? fail_file(errno, path, "examine")
                            : check_file(st, path);
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

static int read_facts(int fd, const struct path *path, const struct stat *st,
                      struct ipc__region_facts *facts)
{
    const ssize_t n = pread(fd, facts, sizeof *facts, 0);
    if (n < 0)
        return fail_file(errno, path, "read");
    if (n != (ssize_t)sizeof *facts)
        return ipc__fail(-EUCLEAN, "%s is not a libipc segment", path->text);
    return ipc__region_check(facts, (size_t)st->st_size, path->text);
}

/* Does the data of this kind begin with an owner word? */
static bool begins_with_owner(uint32_t kind)
{
    return kind == IPC__REGION_LOCK || kind == IPC__REGION_RLOCK ||
           kind == IPC__REGION_RWLOCK || kind == IPC__REGION_ARRAY ||
           kind == IPC__REGION_VALUE;
}

/* Nobody has it mapped (we hold the exclusive lock).  Did somebody die without
 * closing it, and is there nothing in it that must be kept? */
static bool is_abandoned(int fd, const struct ipc__region_facts *facts)
{
    uint32_t opens = 0;
    if ((facts->flags & IPC_SEGMENT_PERSIST) != 0 ||
        pread(fd, &opens, sizeof opens, offsetof(struct ipc__region, opens)) !=
            (ssize_t)sizeof opens ||
        opens == 0)
        return false;
    if (!begins_with_owner(facts->kind))
        return true;
    /* A lock whose owner died has news for the next one. */
    uint64_t word = 1;
    return pread(fd, &word, sizeof word, IPC__REGION_TABLE) ==
               (ssize_t)sizeof word &&
           (uint32_t)word == 0;
}

/* Remove the name if it still leads to the inode that we hold a lock on. */
static int remove_name(int fd, const struct path *path)
{
    struct stat held;
    struct stat named;
    if (fstat(fd, &held) != 0 || lstat(path->text, &named) != 0)
        return fail_file(errno, path, "examine");
    if (held.st_ino != named.st_ino || held.st_dev != named.st_dev)
        return ipc__fail(-ENOENT, "%s is gone", path->text);
    if (unlink(path->text) != 0)
        return fail_file(errno, path, "remove");
    return 0;
}

/* Wait one's turn to look whether anybody has the file mapped: a lock on its
 * first byte.  So that who finds the exclusive flock refused knows that it is
 * a mapping that refuses it, and not somebody who is just looking too.
 * -EAGAIN: it is another one's turn. */
static int take_turn(int fd)
{
    struct flock first = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    if (fcntl(fd, F_OFD_SETLK, &first) == 0)
        return 0;
    return errno == EAGAIN || errno == EACCES
               ? -EAGAIN
               : ipc__fail(-errno, "the file system of " FOLDER
                                   " has no locks to give");
}

/* Close the file.  Its flock stays with the mapping, or is dropped for good,
 * as the turn is: a child that another thread forks right now has a copy of
 * the descriptor. */
static void let_go(int fd, bool mapped)
{
    struct flock first = {
        .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    if (!mapped) /* first: whose turn is next shall not find it */
        (void)flock(fd, LOCK_UN);
    (void)fcntl(fd, F_OFD_SETLK, &first);
    close(fd);
}

/* ---- opening ---- */

/* NULL: there is no such kind.  The compiler warns when a kind has no name. */
static const char *name_of_kind(uint32_t kind)
{
    switch ((enum ipc__region_kind)kind) {
    case IPC__REGION_FAMILY:
        return "family memory";
    case IPC__REGION_SEGMENT:
        return "a segment";
    case IPC__REGION_LOCK:
        return "a lock";
    case IPC__REGION_RLOCK:
        return "an rlock";
    case IPC__REGION_SEMAPHORE:
        return "a semaphore";
    case IPC__REGION_CONDITION:
        return "a condition";
    case IPC__REGION_EVENT:
        return "an event";
    case IPC__REGION_BARRIER:
        return "a barrier";
    case IPC__REGION_RWLOCK:
        return "an rwlock";
    case IPC__REGION_QUEUE:
        return "a queue";
    case IPC__REGION_ARENA:
        return "an arena";
    case IPC__REGION_ARRAY:
        return "an array";
    case IPC__REGION_VALUE:
        return "a value";
    }
    return NULL;
}

static int check_kind(const struct ipc__named *what, const struct path *path,
                      const struct ipc__region_facts *facts)
{
    if (facts->kind != (uint32_t)what->kind) {
        const char *found = name_of_kind(facts->kind);
        return ipc__fail(found != NULL ? -EINVAL : -EUCLEAN, "%s is %s, not %s",
                         path->text, found != NULL ? found : "unknown",
                         name_of_kind((uint32_t)what->kind));
    }
    const size_t least = what->least != 0 ? what->least : what->size;
    if (facts->data_size < least)
        return ipc__fail(-EMSGSIZE, "%s has %llu bytes, %zu are needed",
                         path->text, (unsigned long long)facts->data_size,
                         least);
    return 0;
}

/* NULL with the reason in *rc. */
static struct ipc__region *map_file(int fd, size_t size,
                                    const struct path *path, int *rc)
{
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED)
        return map;
    *rc = fail_file(errno, path, "map");
    return NULL;
}

/* With the file locked (exclusively if alone): map it and be a user of it. */
static int attach(int fd, const struct ipc__named *what,
                  const struct path *path,
                  const struct ipc__region_facts *facts, bool alone,
                  struct ipc__region **out)
{
    int rc = check_kind(what, path, facts);
    if (rc != 0)
        return rc;
    struct ipc__region *region = map_file(fd, (size_t)facts->size, path, &rc);
    if (region == NULL)
        return rc;
    if (alone) /* what the dead had counted is void */
        store_relaxed(&region->opens, 0);
    add_relaxed(&region->opens, 1);
    if (alone && flock(fd, LOCK_SH | LOCK_NB) != 0)
        rc = -EAGAIN; /* the change is not one step: somebody cut in */
    if (rc == 0)
        rc = ipc__region_add(region, (size_t)facts->size);
    if (rc != 0) {
        add_relaxed(&region->opens, (uint32_t)-1);
        munmap(region, (size_t)facts->size);
        return rc;
    }
    *out = region;
    return 0;
}

/* One look at the name.  -EAGAIN: it is changing, look again. */
static int open_once(const struct ipc__named *what, const struct path *path,
                     struct ipc__region **out)
{
    struct stat st;
    struct ipc__region_facts facts;
    const int fd = open_file(path, &st);
    if (fd < 0)
        return fd;

    bool alone = false;
    int rc = read_facts(fd, path, &st, &facts); /* they never change */
    if (rc == 0)
        rc = take_turn(fd);
    if (rc == 0) {
        alone = flock(fd, LOCK_EX | LOCK_NB) == 0;
        if ((!alone && flock(fd, LOCK_SH | LOCK_NB) != 0) ||
            fstat(fd, &st) != 0 || st.st_nlink == 0) /* invariant 4 */
            rc = -EAGAIN;
    }
    if (rc == 0 && alone && !begins_with_owner(facts.kind) &&
        is_abandoned(fd, &facts)) {
        rc = remove_name(fd, path);
        if (rc == 0)
            rc = -EAGAIN;
    }
    if (rc == 0)
        rc = attach(fd, what, path, &facts, alone, out);
    let_go(fd, rc == 0);
    return rc;
}

/* Do one step again while it says -EAGAIN, for a limited time. */
static int patiently(int (*step)(const struct ipc__named *what,
                                 const struct path *path,
                                 struct ipc__region **out),
                     const struct ipc__named *what, struct ipc__region **out)
{
    struct path path;
    int rc = make_path(what->name, &path);
    if (rc != 0)
        return rc;
    const ipc_deadline deadline = ipc_after_ns(BUSY_NS);
    int64_t pause_us = 20;
    while ((rc = step(what, &path, out)) == -EAGAIN) {
        if (ipc_time_left(deadline) == 0)
            return ipc__fail(-EBUSY, "%s is kept busy by others", path.text);
        ipc_sleep_until(ipc_after_us(pause_us));
        pause_us = pause_us < 5000 ? pause_us * 2 : 5000;
    }
    return rc;
}

int ipc__named_open(const struct ipc__named *what, struct ipc__region **out)
{
    return patiently(open_once, what, out);
}

/* ---- creating ---- */

static int link_file(int fd, const struct path *path)
{
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, self, AT_FDCWD, path->text, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    /* Without /proc newer kernels accept the descriptor itself. */
    if (errno == ENOENT &&
        linkat(fd, "", AT_FDCWD, path->text, AT_EMPTY_PATH) == 0)
        return 0;
    return fail_file(errno, path, "create");
}

/* With a nameless file: make it a complete region, then give it the name. */
static int publish(int fd, const struct ipc__named *what,
                   const struct path *path, struct ipc__region **out)
{
    const size_t size = IPC__REGION_TABLE + what->size;
    struct rlimit limit;
    int rc = 0;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && size > limit.rlim_cur)
        rc = EFBIG; /* to try would raise SIGXFSZ */
    if (rc == 0 && what->present != 0 && ftruncate(fd, (off_t)size) != 0)
        rc = errno;
    if (rc == 0)
        rc = posix_fallocate(fd, 0,
                             (off_t)(what->present != 0
                                         ? IPC__REGION_TABLE + what->present
                                         : size));
    if (rc != 0)
        return fail_file(rc, path, "allocate");
    if (flock(fd, LOCK_SH | LOCK_NB) != 0)
        return fail_file(errno, path, "lock");
    struct ipc__region *region = map_file(fd, size, path, &rc);
    if (region == NULL)
        return rc;
    ipc__region_init(region, what->kind, what->flags, what->size);
    region->opens = 1;
    if (what->fill != NULL)
        what->fill(ipc__region_data(region), what->arg);
    rc = ipc__region_add(region, size);
    if (rc != 0) {
        munmap(region, size);
        return rc;
    }
    rc = link_file(fd, path);
    if (rc != 0) {
        ipc__region_remove(region);
        return rc;
    }
    *out = region;
    return 0;
}

static int create_once(const struct ipc__named *what, const struct path *path,
                       struct ipc__region **out)
{
    const int fd =
        open(FOLDER, O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return fail_file(errno, path, "create");
    const int rc = publish(fd, what, path, out);
    let_go(fd, rc == 0);
    return rc;
}

/* Is the name taken by something abandoned?  Then remove it.  -ENOENT: it was
 * gone already. */
static int clear_name(const struct path *path, bool *removed)
{
    struct stat st;
    struct ipc__region_facts facts;
    *removed = false;
    const int fd = open_file(path, &st);
    if (fd < 0)
        return fd;
    int rc = read_facts(fd, path, &st, &facts);
    if (rc == 0)
        rc = take_turn(fd);
    if (rc == 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        if (fstat(fd, &st) != 0 || st.st_nlink == 0) /* invariant 4 */
            rc = -ENOENT;
        else if (is_abandoned(fd, &facts)) {
            rc = remove_name(fd, path);
            *removed = rc == 0;
        }
    }
    let_go(fd, false);
    return rc;
}

static int create_clearing(const struct ipc__named *what,
                           const struct path *path, struct ipc__region **out)
{
    bool removed;
    int rc = create_once(what, path, out);
    if (rc != -EEXIST)
        return rc;
    rc = clear_name(path, &removed);
    if (removed || rc == -EAGAIN || rc == -ENOENT)
        return -EAGAIN;
    return ipc__fail(-EEXIST, "%s exists already", path->text);
}

static int open_or_create_once(const struct ipc__named *what,
                               const struct path *path,
                               struct ipc__region **out)
{
    int rc = open_once(what, path, out);
    if (rc != -ENOENT)
        return rc;
    rc = create_once(what, path, out);
    return rc == -EEXIST ? -EAGAIN : rc;
}

static int check_size(const struct ipc__named *what)
{
    if (what->size >= 1 && what->size <= SIZE_MAX_BYTES)
        return 0;
    return ipc__fail(-EINVAL,
                     "a segment has 1 byte to just under 1 TiB, not %zu",
                     what->size);
}

int ipc__named_create(const struct ipc__named *what, struct ipc__region **out)
{
    const int rc = check_size(what);
    return rc != 0 ? rc : patiently(create_clearing, what, out);
}

int ipc__named_open_or_create(const struct ipc__named *what,
                              struct ipc__region **out)
{
    const int rc = check_size(what);
    return rc != 0 ? rc : patiently(open_or_create_once, what, out);
}

/* ---- closing and removing ---- */

void ipc__named_close(struct ipc__region *region)
{
    if (ipc__region_is_mine(region))
        add_relaxed(&region->opens, (uint32_t)-1);
    ipc__region_remove(region);
}

static int unlink_once(const struct ipc__named *what, const struct path *path,
                       struct ipc__region **out)
{
    struct stat st;
    struct ipc__region_facts facts;
    (void)out;
    const int fd = open_file(path, &st);
    if (fd < 0)
        return fd;
    int rc = read_facts(fd, path, &st, &facts);
    if (rc == -EXDEV || rc == -EPROTONOSUPPORT)
        rc = 0; /* ours to remove, if not to use */
    else if (rc == 0)
        rc = check_kind(what, path, &facts);
    if (rc == 0)
        rc = take_turn(fd);
    if (rc == 0) /* the shared lock keeps cleaners away */
        rc =
            flock(fd, LOCK_SH | LOCK_NB) == 0 ? remove_name(fd, path) : -EAGAIN;
    let_go(fd, false);
    return rc;
}

int ipc__named_unlink(const char *name, enum ipc__region_kind kind)
{
    const struct ipc__named what = {.name = name, .kind = kind};
    return patiently(unlink_once, &what, NULL);
}

int ipc__named_gc(void)
{
    DIR *folder = opendir(FOLDER);
    if (folder == NULL)
        return ipc__fail(-errno, "cannot list " FOLDER);
    int count = 0;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        struct path path;
        bool removed = false;
        if (make_path(entry->d_name, &path) == 0 &&
            clear_name(&path, &removed) == 0 && removed)
            count++;
    }
    closedir(folder);
    return count;
}
