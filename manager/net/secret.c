/* Files that nobody else may read. */
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>

#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include <ipc/manager.h>

#include "fail.h"

static int look_at(int fd, const char *path)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return ipcm__fail(-errno, "%s: %s", path, ipc_strerror(-errno));
    if (!S_ISREG(st.st_mode))
        return ipcm__fail(-EINVAL, "%s is no file", path);
    if (st.st_uid != geteuid())
        return ipcm__fail(-EACCES, "%s belongs to user %u", path,
                          (unsigned)st.st_uid);
    if ((st.st_mode & 077) != 0)
        return ipcm__fail(-EACCES,
                          "%s has mode %04o: others must have no right", path,
                          (unsigned)(st.st_mode & 0777));
    return 0;
}

/* All of it; *bytes may become room + 1, when there is more than fits. */
static int read_all(int fd, const char *path, uint8_t *out, size_t room,
                    size_t *bytes)
{
    size_t done = 0;
    uint8_t more;
    for (;;) {
        const bool is_full = done == room;
        const ssize_t n =
            read(fd, is_full ? &more : out + done, is_full ? 1 : room - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ipcm__fail(-errno, "%s: %s", path, ipc_strerror(-errno));
        if (n == 0)
            break;
        if (is_full)
            return ipcm__fail(-EMSGSIZE, "%s has more than %zu bytes", path,
                              room);
        done += (size_t)n;
    }
    *bytes = done;
    return 0;
}

int ipcm__secret_read(const char *path, void *out, size_t room, size_t *bytes)
{
    size_t count = 0;
    const int fd =
        open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && errno == ELOOP)
        return ipcm__fail(-ELOOP, "%s is a symbolic link", path);
    if (fd < 0)
        return ipcm__fail(-errno, "%s: %s", path, ipc_strerror(-errno));
    int rc = look_at(fd, path);
    if (rc == 0)
        rc = read_all(fd, path, out, room, &count);
    close(fd);
    if (rc == 0 && count < IPC_MANAGER_KEY_MIN)
        rc = ipcm__fail(-EINVAL, "%s has %zu bytes: it must have %u or more",
                        path, count, IPC_MANAGER_KEY_MIN);
    if (rc < 0)
        sodium_memzero(out, room);
    else
        *bytes = count;
    return rc;
}
