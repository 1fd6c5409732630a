/* Store: the file as a file.  Before SQLite sees it: is it ours, may nobody
 * else write it, and does it begin as our files do?  Nothing here changes a
 * file that is there.
 *
 * Who has it open.  The descriptor on which these questions were asked stays
 * open and locked with flock(2) for as long as the store is: a second server
 * finds that out before it touches anything.  (SQLite's own locks go when any
 * descriptor of the file is closed in the process; this one does not.)
 *
 * A new file is made in memory, written to a file without a name, synced, and
 * then linked: whoever is killed meanwhile leaves nothing.  Where the file
 * system has no such files it gets a name beside the path for that time. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "fail.h"
#include "store/parts.h"

/* SQLite's: "Database File Format".  From the beginning ours have a log, as
 * changing that later would need a rollback journal for a moment. */
#define EPOCH_FIRST_MAX (1u << 21)

#define HEADER_BYTES 100
#define HEADER_MODE  18 /* two bytes, to write and to read */
#define IN_WAL_MODE  2
#define MAGIC        "SQLite format 3"

char *ipcm__store_path(const char *path, const char *suffix)
{
    char *out = NULL;
    return asprintf(&out, "%s%s", path, suffix) < 0 ? NULL : out;
}

static int fail_errno(const char *path, const char *what)
{
    const int error = -errno;
    return ipcm__fail(error, "store %s: %s: %s", path, what,
                      strerrordesc_np(-error));
}

/* ---- who may write it ---- */

/* Its descriptor, or an error. */
static int folder_open(const char *path)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return -ENOMEM;
    const int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    return fd >= 0 ? fd : fail_errno(path, "its folder");
}

/* Others who may write the folder can put another file in place of ours. */
static int folder_check(const char *path)
{
    struct stat st;
    int rc = 0;
    const int fd = folder_open(path);
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) != 0)
        rc = fail_errno(path, "its folder");
    else if (st.st_uid != geteuid() && st.st_uid != 0)
        rc = ipcm__fail(-EACCES, "store %s: its folder is user %u's", path,
                        (unsigned)st.st_uid);
    else if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        rc = ipcm__fail(-EACCES,
                        "store %s: others may write its folder (mode %04o)",
                        path, (unsigned)st.st_mode & 07777);
    (void)close(fd);
    return rc;
}

static int owner_check(const char *path, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail_errno(path, "fstat");
    if (!S_ISREG(st.st_mode))
        return ipcm__fail(-EPROTONOSUPPORT, "store %s: it is no file", path);
    if (st.st_uid != geteuid())
        return ipcm__fail(-EACCES, "store %s: it is user %u's", path,
                          (unsigned)st.st_uid);
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return ipcm__fail(-EACCES,
                          "store %s: others may use it (mode %04o, not 0600)",
                          path, (unsigned)st.st_mode & 07777);
    if ((st.st_mode & S_IWUSR) == 0)
        return ipcm__fail(-EACCES, "store %s: it is read-only (mode %04o)",
                          path, (unsigned)st.st_mode & 07777);
    return 0;
}

/* ---- whose it is ---- */

static uint32_t big_endian(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
           (uint32_t)at[2] << 8 | at[3];
}

static int header_check(const char *path, int fd)
{
    uint8_t head[HEADER_BYTES] = {0};
    const ssize_t n = pread(fd, head, sizeof head, 0);
    if (n < 0)
        return fail_errno(path, "read");
    if (n == 0)
        return ipcm__fail(-EUCLEAN,
                          "store %s: the file is empty: remove it to begin "
                          "anew, if there was nothing in it",
                          path);
    const size_t begins = (size_t)n < sizeof MAGIC ? (size_t)n : sizeof MAGIC;
    if (memcmp(head, MAGIC, begins) != 0)
        return ipcm__fail(-EPROTONOSUPPORT,
                          "store %s: the file is not one of ours", path);
    if (n < HEADER_BYTES)
        return ipcm__fail(-EUCLEAN, "store %s: only %zd bytes are left of it",
                          path, n);
    const uint32_t version = big_endian(head + 60);
    const uint32_t application = big_endian(head + 68);
    if (application != STORE_APPLICATION)
        return ipcm__fail(-EPROTONOSUPPORT,
                          "store %s: it is an SQLite file of another program "
                          "(application_id 0x%08x, ours is 0x%08x)",
                          path, (unsigned)application, STORE_APPLICATION);
    if (version > STORE_VERSION)
        return ipcm__fail(-EPROTONOSUPPORT,
                          "store %s: it is of version %u; this program knows "
                          "%d",
                          path, (unsigned)version, STORE_VERSION);
    if (version != STORE_VERSION || head[HEADER_MODE] != IN_WAL_MODE ||
        head[HEADER_MODE + 1] != IN_WAL_MODE)
        return ipcm__fail(-EUCLEAN,
                          "store %s: no program of ours wrote its header "
                          "(version %u, mode %u)",
                          path, (unsigned)version, head[HEADER_MODE]);
    return 0;
}

/* What lies beside it, and SQLite would read: a rollback journal is never ours,
 * as it would be played back; a log that is no log would be written over. */
static int beside_check(const char *path, const char *suffix, bool is_log)
{
    uint8_t head[4] = {0};
    char *name = ipcm__store_path(path, suffix);
    if (name == NULL)
        return -ENOMEM;
    const int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int rc = 0;
    if (fd < 0) {
        rc = errno == ENOENT ? 0 : fail_errno(path, suffix);
    } else if (pread(fd, head, sizeof head, 0) != 0 &&
               (!is_log || ((big_endian(head) & ~1u) != 0x377f0682 &&
                            big_endian(head) != 0))) {
        rc = ipcm__fail(-EUCLEAN, "store %s: %s is not its log", path, name);
    }
    if (fd >= 0)
        (void)close(fd);
    free(name);
    return rc;
}

/* The descriptor may be of a file that has lost its name since. */
static bool is_still_there(const char *path, int fd)
{
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 &&
           opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

static int file_check(const char *path, int fd)
{
    int rc = owner_check(path, fd);
    if (rc == 0)
        rc = header_check(path, fd);
    if (rc != 0)
        return rc;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? ipcm__fail(-EBUSY, "store %s: another server has it open",
                                path)
                   : fail_errno(path, "flock");
    if (!is_still_there(path, fd))
        return ipcm__fail(-EBUSY, "store %s: it was replaced meanwhile", path);
    rc = beside_check(path, "-journal", false);
    return rc == 0 ? beside_check(path, "-wal", true) : rc;
}

int ipcm__store_file_open(const char *path, int *out)
{
    int rc = folder_check(path);
    if (rc != 0)
        return rc;
    const int fd =
        open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return errno == ENOENT ? 1 : fail_errno(path, "open");
    rc = file_check(path, fd);
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    *out = fd;
    return 0;
}

/* ---- a new one ---- */

/* The bytes of a store with nothing in it.  To be ended with sqlite3_free(). */
static int image_make(const char *path, uint8_t **image, size_t *bytes)
{
    struct ipcm__store store = {.path = (char *)(uintptr_t)path};
    char pragmas[128];
    char first[80];
    sqlite3_int64 n = 0;
    int rc = sqlite3_open_v2(
        ":memory:", &store.db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    rc = ipcm__store_sql_error(&store, rc, "a new one");
    (void)snprintf(pragmas, sizeof pragmas,
                   "PRAGMA application_id = %u; PRAGMA user_version = %d;",
                   STORE_APPLICATION, STORE_VERSION);
    if (rc == 0)
        rc = ipcm__store_sql_run(&store, pragmas);
    if (rc == 0)
        rc = ipcm__store_sql_run(&store, ipcm__store_schema);
    /* No two stores begin alike: numbers of the one are none of the other. */
    const uint32_t epoch = randombytes_uniform(EPOCH_FIRST_MAX);
    (void)snprintf(first, sizeof first,
                   "INSERT INTO store VALUES(1, %" PRIu32 ", -%" PRIu32 ", 1)",
                   epoch, epoch);
    if (rc == 0)
        rc = ipcm__store_sql_run(&store, first);
    if (rc == 0) {
        *image = sqlite3_serialize(store.db, "main", &n, 0);
        *bytes = (size_t)n;
        rc = *image == NULL ? -ENOMEM : 0;
    }
    if (rc == 0)
        memset(*image + HEADER_MODE, IN_WAL_MODE, 2);
    (void)sqlite3_close(store.db);
    return rc;
}

static int write_all(const char *path, int fd, const uint8_t *at, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t n = write(fd, at, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail_errno(path, "write");
        at += n;
        bytes -= (size_t)n;
    }
    return fsync(fd) == 0 ? 0 : fail_errno(path, "fsync");
}

/* Without a name; or, with *name set, with one that is to be removed. */
static int nameless(const char *path, int folder, char **name)
{
    char self[32];
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", folder);
    int fd = open(self, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
        return fd;
    *name = ipcm__store_path(path, ".new-XXXXXX");
    return *name == NULL ? -1 : mkostemp(*name, O_CLOEXEC);
}

static int give_name(int fd, const char *name, const char *path)
{
    char self[32];
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    const int rc = name != NULL ? link(name, path)
                                : linkat(AT_FDCWD, self, AT_FDCWD, path,
                                         AT_SYMLINK_FOLLOW);
    return rc == 0 || errno == EEXIST ? 0 : fail_errno(path, "link");
}

static int create_in(const char *path, int folder, const uint8_t *image,
                     size_t bytes)
{
    char *name = NULL;
    const int fd = nameless(path, folder, &name);
    int rc = fd < 0 ? fail_errno(path, "create") : 0;
    if (rc == 0)
        rc = write_all(path, fd, image, bytes);
    if (rc == 0)
        rc = give_name(fd, name, path);
    if (rc == 0 && fsync(folder) != 0)
        rc = fail_errno(path, "fsync of its folder");
    if (fd >= 0)
        (void)close(fd);
    if (name != NULL)
        (void)unlink(name);
    free(name);
    return rc;
}

int ipcm__store_file_create(const char *path)
{
    uint8_t *image = NULL;
    size_t bytes = 0;
    const int folder = folder_open(path);
    if (folder < 0)
        return folder;
    int rc = image_make(path, &image, &bytes);
    if (rc == 0)
        rc = create_in(path, folder, image, bytes);
    sqlite3_free(image);
    (void)close(folder);
    return rc;
}
