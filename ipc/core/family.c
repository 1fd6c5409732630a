#include "core/family.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/error.h"
#include "core/local.h"
#include "core/private_lock.h"
#include "kernel/memory.h"

#define UNIT      ((size_t)64 << 10)
#define RANGE_MAX ((size_t)64 << 30)
#define RANGE_MIN ((size_t)16 << 20)

/* Inherited by children, with the mapping. */
static struct ipc__region *family;

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
        map = mmap(NULL, size, PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    const int error = errno;
    close(fd);
    errno = error;
    return map;
}

/* Only now may it be touched: in a program that has called mlockall() the
 * kernel would have filled all of a range that could be touched at once. */
static int open_range(void *map, size_t size)
{
    (void)munlock(map, size);
    if (mprotect(map, size, PROT_READ | PROT_WRITE) != 0)
        return -ENOMEM;
    return ipc__memory_populate(map, IPC__REGION_TABLE + UNIT);
}

/* As much as the process's limits leave.  Nothing is reserved but addresses:
 * memory is taken page by page when it is handed out. */
static int map_family(struct ipc__region **out, size_t *size)
{
    /* Growing a file past this limit would raise SIGXFSZ. */
    struct rlimit limit;
    size_t most = RANGE_MAX;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < most)
        most = (size_t)limit.rlim_cur & ~(UNIT - 1);

    for (*size = most; *size >= RANGE_MIN; *size = *size / 2 & ~(UNIT - 1)) {
        void *map = map_range(*size);
        if (map != MAP_FAILED) {
            *out = map;
            return 0;
        }
        if (errno != ENOMEM && errno != EAGAIN)
            return errno == ENOSYS || errno == EMFILE || errno == ENFILE
                       ? -errno
                       : -ENOMEM;
    }
    return -ENOMEM;
}

/* With the lock. */
static int make_family(void)
{
    struct ipc__region *region = NULL;
    size_t size = 0;
    int rc = map_family(&region, &size);
    if (rc != 0)
        return ipc__fail(rc, "no address range for family memory");
    rc = open_range(region, size);
    if (rc == 0) {
        ipc__region_init(region, IPC__REGION_FAMILY, 0,
                         size - IPC__REGION_TABLE);
        rc = ipc__region_add(region, size);
    }
    if (rc != 0) {
        munmap(region, size);
        return ipc__fail(rc, rc == -ENOSYS ? "family memory needs Linux 5.14"
                                           : "no memory for family memory");
    }
    store_release(&family, region);
    return 0;
}

static int family_new(struct ipc__region **out)
{
    if (ipc__local_epoch() == 0)
        return ipc__fail(-ENOSYS, "the kernel lacks MADV_WIPEONFORK");
    ipc__private_lock(&ipc__local.family_lock);
    const int rc = load_relaxed(&family) != NULL ? 0 : make_family();
    ipc__private_unlock(&ipc__local.family_lock);
    *out = load_acquire(&family);
    return rc;
}

int ipc__family(struct ipc__region **out)
{
    *out = load_acquire(&family);
    return likely(*out != NULL) ? 0 : family_new(out);
}
