/* Key files. */
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ipc/manager.h>

#include <sodium.h>

#include "fail.h"
#include "net/net.h"

int ipc_manager_key_read(const char *path, void *key, size_t room,
                         size_t *bytes)
{
    size_t n = 0;
    const int rc = ipcm__secret_read(path, key, room, &n);
    if (rc != 0)
        return rc;
    if (n < IPC_MANAGER_KEY_MIN) {
        sodium_memzero(key, n);
        return ipcm__fail(-EINVAL, "%s has %zu bytes; a key has %u or more",
                          path, n, IPC_MANAGER_KEY_MIN);
    }
    *bytes = n;
    return 0;
}

static int fail_errno(const char *path, const char *what)
{
    const int error = errno;
    return ipcm__fail(-error, "%s: %s: %s", path, what, ipc_strerror(-error));
}

static int write_all(int fd, const uint8_t *data, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t n = write(fd, data, bytes);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            bytes -= (size_t)n;
        }
    }
    return fsync(fd) == 0 ? 0 : -errno;
}

static int fill(int fd, const char *path, const uint8_t *key, size_t bytes)
{
    /* Whatever the umask takes away. */
    if (fchmod(fd, 0600) != 0)
        return fail_errno(path, "its mode cannot be set");
    return write_all(fd, key, bytes) == 0
               ? 0
               : fail_errno(path, "it cannot be written");
}

static int make(const char *path, const uint8_t *key, size_t bytes)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_errno(path, "it cannot be made");
    int rc = fill(fd, path, key, bytes);
    if (close(fd) != 0 && rc == 0)
        rc = fail_errno(path, "it cannot be written");
    if (rc != 0)
        (void)unlink(path);
    return rc;
}

int ipc_manager_key_write(const char *path)
{
    uint8_t key[IPC_MANAGER_KEY_MIN];
    if (getrandom(key, sizeof key, 0) != (ssize_t)sizeof key)
        return ipcm__fail(-EIO, "no random numbers");
    const int rc = make(path, key, sizeof key);
    sodium_memzero(key, sizeof key);
    return rc;
}
