/* It is read, never mapped: whatever the sender has given us, reading cannot
 * raise SIGBUS.  The seals say that it is memory, which never keeps a reader
 * waiting as a pipe or a file of a dead server would, and that it stays as it
 * is. */
#include "channel/connection_spill.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#    define MFD_NOEXEC_SEAL 8u
#endif

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int make_file(void)
{
    static const char name[] = "libipc-message";
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
        fd = memfd_create(name, flags);
    return fd < 0 ? -errno : fd;
}

static int write_all(int fd, const char *data, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t n = write(fd, data, bytes);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return -ENOSPC;
        if (n > 0) {
            data += n;
            bytes -= (size_t)n;
        }
    }
    return 0;
}

int ipc__spill_write(const void *data, size_t bytes)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && bytes > limit.rlim_cur)
        return -EFBIG; /* to try would raise SIGXFSZ */
    const int fd = make_file();
    if (fd < 0)
        return fd;
    int rc = write_all(fd, data, bytes);
    if (rc == 0 && fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) != 0)
        rc = -errno;
    if (rc == 0)
        return fd;
    (void)close(fd);
    return rc;
}

int ipc__spill_check(int fd, uint64_t bytes)
{
    struct stat st;
    const int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0) /* it is no memory; or we may not ask */
        return errno == EINVAL || errno == EBADF ? -EPROTO : -errno;
    if ((seals & SEALS) != SEALS || fstat(fd, &st) != 0)
        return -EPROTO;
    return st.st_size >= 0 && (uint64_t)st.st_size == bytes ? 0 : -EPROTO;
}

int ipc__spill_read(int fd, void *buffer, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        const ssize_t n =
            pread(fd, (char *)buffer + done, bytes - done, (off_t)done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            return -EIO; /* not swapped in again */
    }
    return 0;
}
