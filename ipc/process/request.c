#include "process/request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bits.h"
#include "core/error.h"
#include "kernel/pidfd.h"

/* "ipcs", and the layout: another libipc may have been installed since. */
#define MAGIC                                                                  \
    (0x69706373u | (uint64_t)sizeof(struct ipc__request) << 32 |               \
     (uint64_t)sizeof(struct ipc__start) << 48)
#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define MOST  ((size_t)1 << 40)
#define PART  16 /* alignment */

enum {
    HEAD,
    RLIMITS,
    FDS,
    CPUS,
    ARG,
    PARTS
};

static void sizes_of(const struct ipc__request *request, size_t sizes[PARTS])
{
    sizes[HEAD] = sizeof *request;
    sizes[RLIMITS] = request->rlimit_count * sizeof(ipc_process_rlimit);
    sizes[FDS] = request->fd_count * sizeof(struct ipc__passed);
    sizes[CPUS] = request->cpu_count * sizeof(int);
    sizes[ARG] = request->arg_bytes;
}

static size_t whole(const size_t sizes[PARTS])
{
    size_t bytes = 0;
    for (int i = 0; i < PARTS; i++)
        bytes += round_up(sizes[i], PART);
    return bytes;
}

/* Growing a file past the limit would raise SIGXFSZ. */
static bool is_too_large(size_t bytes)
{
    struct rlimit limit;
    return bytes > MOST ||
           (getrlimit(RLIMIT_FSIZE, &limit) == 0 && bytes > limit.rlim_cur);
}

static int write_all(int fd, const void *data, size_t size, off_t at)
{
    const char *from = data;
    while (size > 0) {
        const ssize_t n = pwrite(fd, from, size, at);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n <= 0)
            continue;
        from += n;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

static int fill(int fd, const struct ipc__request *request,
                const void *const parts[PARTS], const size_t sizes[PARTS])
{
    off_t at = 0;
    int rc = 0;
    for (int i = 0; i < PARTS && rc == 0; i++) {
        rc = write_all(fd, parts[i], sizes[i], at);
        at += (off_t)round_up(sizes[i], PART);
    }
    if (rc == 0 && ftruncate(fd, (off_t)request->bytes) != 0)
        rc = -errno;
    if (rc == 0 && fcntl(fd, F_ADD_SEALS, SEALS) != 0)
        rc = -errno;
    return rc == -ENOSPC ? -ENOMEM : rc;
}

int ipc__request_write(struct ipc__request *request,
                       const struct ipc__request_tables *tables)
{
    size_t sizes[PARTS];
    const void *const parts[PARTS] = {request, tables->rlimits, tables->fds,
                                      tables->cpus, tables->arg};
    sizes_of(request, sizes);
    request->magic = MAGIC;
    request->bytes = whole(sizes);
    if (is_too_large(request->bytes))
        return ipc__fail(-EFBIG, "an argument of %zu bytes is too large",
                         sizes[ARG]);
    int fd = memfd_create("libipc-start", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    fd = ipc__fd_above_standard(fd >= 0 ? fd : -errno);
    if (fd < 0)
        return ipc__fail(fd, "no file for the orders of %s", request->name);
    const int rc = fill(fd, request, parts, sizes);
    if (rc == 0)
        return fd;
    close(fd);
    return ipc__fail(rc, "no memory for the orders of %s", request->name);
}

static int read_all(int fd, void *out, size_t size)
{
    char *to = out;
    size_t got = 0;
    while (got < size) {
        const ssize_t n = pread(fd, to + got, size - got, (off_t)got);
        if (n == 0 || (n < 0 && errno != EINTR))
            return -EBADF;
        if (n > 0)
            got += (size_t)n;
    }
    return 0;
}

int ipc__request_peek(int fd, struct ipc__request *out)
{
    struct stat st;
    struct ipc__request request;
    size_t sizes[PARTS];
    if (fstat(fd, &st) != 0 || (size_t)st.st_size < sizeof request ||
        fcntl(fd, F_GET_SEALS) != SEALS ||
        read_all(fd, &request, sizeof request) != 0 || request.magic != MAGIC ||
        request.arg_bytes > MOST)
        return -EBADF;
    sizes_of(&request, sizes);
    if (request.bytes != whole(sizes) ||
        request.bytes != (uint64_t)st.st_size ||
        memchr(request.name, '\0', sizeof request.name) == NULL ||
        memchr(request.parent_name, '\0', sizeof request.name) == NULL)
        return -EBADF;
    *out = request;
    return 0;
}

int ipc__request_read(int fd, struct ipc__request **out,
                      struct ipc__request_tables *tables)
{
    struct ipc__request head;
    size_t sizes[PARTS];
    char *parts[PARTS];
    int rc = ipc__request_peek(fd, &head);
    if (rc != 0)
        return rc;
    char *memory = malloc(head.bytes);
    if (memory == NULL)
        return -ENOMEM;
    rc = read_all(fd, memory, head.bytes);
    if (rc != 0) {
        free(memory);
        return rc;
    }
    sizes_of(&head, sizes);
    for (int i = 0; i < PARTS; i++) {
        parts[i] = memory;
        memory += round_up(sizes[i], PART);
    }
    *out = (struct ipc__request *)(void *)parts[HEAD];
    *tables = (struct ipc__request_tables){
        .rlimits = (const ipc_process_rlimit *)(void *)parts[RLIMITS],
        .fds = (const struct ipc__passed *)(void *)parts[FDS],
        .cpus = (const int *)(void *)parts[CPUS],
        .arg = parts[ARG],
    };
    return 0;
}
