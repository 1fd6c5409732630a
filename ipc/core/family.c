#include "core/family.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/error.h"

#ifndef MADV_POPULATE_WRITE
#    define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

#define UNIT      ((size_t)64 << 10)
#define RANGE_MAX ((size_t)64 << 30)
#define RANGE_MIN ((size_t)16 << 20)

/* Inherited by children, with the mapping. */
static struct ipc__region *family;

int ipc__family_populate(void *start, size_t size)
{
    while (madvise(start, size, MADV_POPULATE_WRITE) != 0)
        if (errno != EINTR && errno != EAGAIN)
            return errno == EINVAL ? -ENOSYS : -ENOMEM;
    return 0;
}

void ipc__family_release(void *start, size_t size)
{
    (void)madvise(start, size, MADV_REMOVE);
}

/* A memfd that nobody can resize.  Its descriptor is closed: the mapping
 * keeps the memory, no program can close it by mistake, and no child inherits
 * one. */
static void *map_range(size_t size)
{
    const int fd = memfd_create("libipc", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return MAP_FAILED;
    void *map = MAP_FAILED;
    if (ftruncate(fd, (off_t)size) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        map = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_NORESERVE, fd, 0);
    const int error = errno;
    close(fd);
    errno = error;
    return map;
}

/* As much as the process's limits leave.  Nothing is reserved but addresses:
 * memory is taken page by page when it is handed out. */
static void *map_family(size_t *size)
{
    /* Growing a file past this limit would raise SIGXFSZ. */
    struct rlimit limit;
    size_t most = RANGE_MAX;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < most)
        most = (size_t)limit.rlim_cur & ~(UNIT - 1);

    for (*size = most; *size >= RANGE_MIN; *size = *size / 2 & ~(UNIT - 1)) {
        void *map = map_range(*size);
        if (map != MAP_FAILED)
            return map;
        if (errno != ENOMEM)
            break;
    }
    return NULL;
}

static int family_new(struct ipc__region **out)
{
    size_t size;
    struct ipc__region *region = map_family(&size);
    if (region == NULL)
        return ipc__fail(errno == ENOSYS ? -ENOSYS : -ENOMEM,
                         "no address range for family memory");
    int rc = ipc__family_populate(region, IPC__REGION_TABLE + UNIT);
    if (rc != 0) {
        munmap(region, size);
        return ipc__fail(rc, rc == -ENOSYS ? "family memory needs Linux 5.14"
                                           : "no memory for family memory");
    }
    ipc__region_init(region, IPC__REGION_FAMILY, 0, size - IPC__REGION_TABLE);

    /* Threads may race to here: the first one's stands. */
    struct ipc__region *none = NULL;
    if (!__atomic_compare_exchange_n(&family, &none, region, false,
                                     __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {
        munmap(region, size);
        *out = none;
        return 0;
    }
    rc = ipc__region_add(region, size);
    if (rc != 0)
        return ipc__fail(rc, "no memory to note a region");
    *out = region;
    return 0;
}

int ipc__family(struct ipc__region **out)
{
    *out = load_acquire(&family);
    return likely(*out != NULL) ? 0 : family_new(out);
}
