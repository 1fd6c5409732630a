/* Doors in the file system.
 *
 * State   the folder, the socket "x", and the lock file "x.lock" beside it.
 * Order   lock, look for a socket that nobody answers at, remove it, bind,
 *         chmod, listen.  At the end: remove the socket, remove the lock file,
 *         unlock.  A lock file may be removed by its owner only, so who has
 *         locked one looks whether it is still the one in the folder.
 * Death   the lock goes with the process; both files stay, and are what the
 *         next one finds: it takes them over. */
#include "net/door.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fail.h"

#define PATH_BYTES      sizeof((struct ipcm__address *)NULL)->path
#define LOCK_PATH_BYTES 120

/* How often a lock file may be removed under our hands before we give up. */
#define LOCK_ATTEMPTS 100

/* ---- the folder ---- */

static int look_at_folder(int fd, const char *folder, mode_t mode)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return ipcm__fail(-errno, "folder %s: %s", folder,
                          ipc_strerror(-errno));
    if (st.st_uid != geteuid())
        return ipcm__fail(-EPERM, "folder %s belongs to user %u", folder,
                          (unsigned)st.st_uid);
    if ((st.st_mode & 0777) != mode)
        return ipcm__fail(-EACCES, "folder %s has mode %04o, not %04o", folder,
                          (unsigned)(st.st_mode & 0777), (unsigned)mode);
    return 0;
}

/* Of a path from the root. */
static void folder_of(const char *path, char out[PATH_BYTES])
{
    const char *slash = strrchr(path, '/');
    const size_t bytes = slash == path ? 1 : (size_t)(slash - path);
    memcpy(out, path, bytes);
    out[bytes] = '\0';
}

static int fail_make(const char *folder, int error)
{
    return ipcm__fail(-error, "folder %s cannot be made: %s", folder,
                      ipc_strerror(-error));
}

/* Make it, or see that it is ours alone. */
static int enter_folder(const char *path, mode_t mode)
{
    char folder[PATH_BYTES];
    folder_of(path, folder);
    const bool is_new = mkdir(folder, mode) == 0;
    if (!is_new && errno != EEXIST)
        return fail_make(folder, errno);
    const int fd =
        open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return ipcm__fail(-errno, "folder %s: %s", folder,
                          ipc_strerror(-errno));
    if (is_new)
        (void)fchmod(fd, mode); /* the umask may have taken some of it */
    const int rc = look_at_folder(fd, folder, mode);
    close(fd);
    return rc;
}

/* ---- the lock file ---- */

static void lock_path(const struct ipcm__address *address,
                      char out[LOCK_PATH_BYTES])
{
    snprintf(out, LOCK_PATH_BYTES, "%s.lock", address->path);
}

static bool is_there(const char *path, int fd)
{
    struct stat of_fd, of_path;
    return fstat(fd, &of_fd) == 0 && lstat(path, &of_path) == 0 &&
           of_fd.st_ino == of_path.st_ino && of_fd.st_dev == of_path.st_dev;
}

/* The descriptor, or an error. */
static int lock(const struct ipcm__address *address)
{
    char path[LOCK_PATH_BYTES];
    lock_path(address, path);
    for (int i = 0; i < LOCK_ATTEMPTS; i++) {
        const int fd =
            open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
            return ipcm__fail(-errno, "%s: %s", path, ipc_strerror(-errno));
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            const int error = errno;
            close(fd);
            if (error != EWOULDBLOCK)
                return ipcm__fail(-error, "%s: %s", path, ipc_strerror(-error));
            return ipcm__fail(-EADDRINUSE, "another server is at unix:%s",
                              address->path);
        }
        if (is_there(path, fd))
            return fd;
        close(fd);
    }
    return ipcm__fail(-EADDRINUSE, "%s comes and goes", path);
}

/* ---- the socket ---- */

static void to_sockaddr(const struct ipcm__address *address,
                        struct sockaddr_un *out)
{
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    memcpy(out->sun_path, address->path, strlen(address->path) + 1);
}

/* Does nobody answer?  Only a refusal says so for sure. */
static bool is_left_over(const struct ipcm__address *address)
{
    struct sockaddr_un at;
    const int fd =
        socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    to_sockaddr(address, &at);
    const bool refused =
        connect(fd, (const struct sockaddr *)&at, sizeof at) != 0 &&
        errno == ECONNREFUSED;
    close(fd);
    return refused;
}

/* 0 nothing is there; 1 what a dead server has left; or an error. */
static int look_at_place(const struct ipcm__address *address)
{
    struct stat st;
    if (lstat(address->path, &st) != 0)
        return errno == ENOENT ? 0
                               : ipcm__fail(-errno, "%s: %s", address->path,
                                            ipc_strerror(-errno));
    if (!S_ISSOCK(st.st_mode))
        return ipcm__fail(-EADDRINUSE, "%s is no socket", address->path);
    if (!is_left_over(address))
        return ipcm__fail(-EADDRINUSE, "somebody is at unix:%s", address->path);
    return 1;
}

static int clear_place(const struct ipcm__address *address)
{
    const int rc = look_at_place(address);
    if (rc <= 0)
        return rc;
    if (unlink(address->path) != 0 && errno != ENOENT)
        return ipcm__fail(-errno, "%s cannot be removed: %s", address->path,
                          ipc_strerror(-errno));
    return 0;
}

static int bind_and_listen(int fd, const struct ipcm__address *address,
                           mode_t mode, uint64_t *inode)
{
    struct sockaddr_un at;
    struct stat st;
    to_sockaddr(address, &at);
    if (bind(fd, (const struct sockaddr *)&at, sizeof at) != 0)
        return ipcm__fail(-errno, "unix:%s: %s", address->path,
                          ipc_strerror(-errno));
    if (chmod(address->path, mode) != 0 || lstat(address->path, &st) != 0 ||
        listen(fd, IPCM__BACKLOG) != 0) {
        const int error = errno;
        (void)unlink(address->path);
        return ipcm__fail(-error, "unix:%s: %s", address->path,
                          ipc_strerror(-error));
    }
    *inode = st.st_ino;
    return 0;
}

static int open_socket(const struct ipcm__address *address, mode_t mode,
                       uint64_t *inode)
{
    const int fd =
        socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ipcm__fail(-errno, "no socket: %s", ipc_strerror(-errno));
    const int rc = bind_and_listen(fd, address, mode, inode);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return fd;
}

int ipcm__door_open_unix(uint32_t flags, struct ipcm__door *out)
{
    const bool shared = (flags & IPCM__DOOR_SHARED) != 0;
    int rc = enter_folder(out->address.path, shared ? 0711 : 0700);
    if (rc < 0)
        return rc;
    out->lock_fd = lock(&out->address);
    if (out->lock_fd < 0)
        return out->lock_fd;
    rc = clear_place(&out->address);
    if (rc == 0)
        rc = open_socket(&out->address, shared ? 0666 : 0600, &out->inode);
    if (rc < 0) {
        char path[LOCK_PATH_BYTES];
        lock_path(&out->address, path);
        (void)unlink(path);
        close(out->lock_fd);
        return rc;
    }
    out->fd = rc;
    return 0;
}

void ipcm__door_remove_unix(const struct ipcm__door *door)
{
    char path[LOCK_PATH_BYTES];
    struct stat st;
    if (lstat(door->address.path, &st) == 0 && st.st_ino == door->inode)
        (void)unlink(door->address.path);
    lock_path(&door->address, path);
    if (is_there(path, door->lock_fd))
        (void)unlink(path);
}

/* ---- of the dead ---- */

void ipcm__door_clear_unix(const struct ipcm__address *address)
{
    char path[LOCK_PATH_BYTES];
    lock_path(address, path);
    const int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_there(path, fd) &&
        clear_place(address) == 0)
        (void)unlink(path);
    close(fd);
}

/* ---- looking only ---- */

static int check_folder(const char *path, mode_t mode)
{
    char folder[PATH_BYTES];
    char parent[PATH_BYTES];
    folder_of(path, folder);
    const int fd =
        open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        folder_of(folder, parent);
        return faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS) == 0
                   ? 1
                   : fail_make(folder, errno);
    }
    if (fd < 0)
        return ipcm__fail(-errno, "folder %s: %s", folder,
                          ipc_strerror(-errno));
    int rc = look_at_folder(fd, folder, mode);
    if (rc == 0 && faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) != 0)
        rc = ipcm__fail(-errno, "folder %s: %s", folder, ipc_strerror(-errno));
    close(fd);
    return rc;
}

static int check_lock(const struct ipcm__address *address)
{
    char path[LOCK_PATH_BYTES];
    int rc = 0;
    lock_path(address, path);
    const int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT
                   ? 0
                   : ipcm__fail(-errno, "%s: %s", path, ipc_strerror(-errno));
    /* Two who only look are not in each other's way. */
    if (flock(fd, LOCK_SH | LOCK_NB) != 0)
        rc = errno == EWOULDBLOCK
                 ? ipcm__fail(-EADDRINUSE, "another server is at unix:%s",
                              address->path)
                 : ipcm__fail(-errno, "%s: %s", path, ipc_strerror(-errno));
    close(fd);
    return rc;
}

int ipcm__door_check_unix(const struct ipcm__address *address, uint32_t flags)
{
    const bool shared = (flags & IPCM__DOOR_SHARED) != 0;
    int rc = check_folder(address->path, shared ? 0711 : 0700);
    if (rc != 0)
        return rc < 0 ? rc : 0; /* in a new folder there is nobody */
    rc = check_lock(address);
    if (rc == 0)
        rc = look_at_place(address);
    return rc < 0 ? rc : 0;
}
