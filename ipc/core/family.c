/* The family's region.
 *
 * State
 *   family       the region, in this process and in those forked from it.
 *   descriptor   of its memfd, by which a fresh image of the program maps it
 *                too.  High, close-on-exec, and looked at before it is used:
 *                the program may have closed it and opened another file
 *                under its number.
 *
 * Address
 *   A fresh image has to find the range free, wherever the kernel has put its
 *   stack and its libraries.  So it is where the kernel puts nothing by
 *   itself, if that can be had; at random there. */
#include "core/family.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
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

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

#define FD_FROM 100 /* out of the way of programs that count on low numbers */

/* Between the programs, which begin at 0x55... (or low), and the libraries,
 * which begin at 0x7f...; 16 TiB.  A hint: sanitizers and small address spaces
 * know better. */
#define PLACE_FIRST 0x200000000000u
#define PLACE_UNITS ((uint32_t)1 << 28)

/* Inherited by children, with the mapping. */
static struct ipc__region *family;
static struct {
    int fd; /* -1: none was to be had */
    dev_t device;
    ino_t inode;
} descriptor = {.fd = -1};

static void *random_place(void)
{
    uint32_t units = 0;
    if (getrandom(&units, sizeof units, GRND_NONBLOCK) != sizeof units)
        units = (uint32_t)ipc_now() * 2654435761u;
    return (void *)(PLACE_FIRST + (uintptr_t)(units % PLACE_UNITS) * UNIT);
}

/* Keep a copy of the descriptor under a high number. */
static int keep_high(int fd)
{
    struct rlimit limit;
    const int kept = fcntl(fd, F_DUPFD_CLOEXEC, FD_FROM);
    if (kept >= 0 || errno != EINVAL || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return kept;
    return fcntl(fd, F_DUPFD_CLOEXEC, (int)limit.rlim_cur / 2);
}

static void keep_descriptor(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return;
    descriptor.device = st.st_dev;
    descriptor.inode = st.st_ino;
    descriptor.fd = keep_high(fd);
    if (descriptor.fd < 0 && fd > STDERR_FILENO)
        descriptor.fd = fd; /* there is no other to be had */
}

/* Is this the family's memfd? */
static bool is_descriptor(int fd)
{
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == descriptor.device &&
           st.st_ino == descriptor.inode;
}

static void drop_descriptor(void)
{
    if (is_descriptor(descriptor.fd))
        close(descriptor.fd);
    descriptor.fd = -1;
}

int ipc__family_fd(void)
{
    if (is_descriptor(descriptor.fd))
        return descriptor.fd;
    return ipc__fail(-EBADF, "the descriptor of family memory is closed");
}

/* A memfd that nobody can resize. */
static void *map_range(size_t size)
{
    const int fd = memfd_create("libipc", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return MAP_FAILED;
    void *map = MAP_FAILED;
    if (ftruncate(fd, (off_t)size) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
        map = mmap(random_place(), size, PROT_NONE, MAP_SHARED | MAP_NORESERVE,
                   fd, 0);
    const int error = errno;
    if (map != MAP_FAILED)
        keep_descriptor(fd);
    if (map == MAP_FAILED || descriptor.fd != fd)
        close(fd);
    errno = error;
    return map;
}

/* Only now may it be touched: in a program that has called mlockall() the
 * kernel would have filled all of a range that could be touched at once. */
static int open_range(void *map, size_t size)
{
    (void)munlock(map, size);
    return mprotect(map, size, PROT_READ | PROT_WRITE) == 0 ? 0 : -ENOMEM;
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
    if (rc == 0)
        rc = ipc__memory_populate(region, IPC__REGION_TABLE + UNIT);
    if (rc == 0) {
        ipc__region_init(region, IPC__REGION_FAMILY, 0,
                         size - IPC__REGION_TABLE);
        rc = ipc__region_add(region, size);
    }
    if (rc != 0) {
        munmap(region, size);
        drop_descriptor();
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

/* Map the memfd where the family has it. */
static int map_there(const struct ipc__family_place *place)
{
    void *const there = (void *)(uintptr_t)place->address;
    void *map =
        mmap(there, place->size, PROT_NONE,
             MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, place->fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    if (map == there)
        return open_range(map, place->size);
    munmap(map, place->size);
    return -EEXIST;
}

int ipc__family_place(struct ipc__family_place *out)
{
    struct ipc__region *region = NULL;
    int rc = ipc__family(&region);
    if (rc != 0)
        return rc;
    const int fd = ipc__family_fd();
    if (fd < 0)
        return fd;
    *out = (struct ipc__family_place){
        .address = (uintptr_t)region,
        .size = ipc__region_mapped_size(region),
        .id = region->facts.id,
        .fd = fd,
    };
    return 0;
}

int ipc__family_enter(const struct ipc__family_place *place)
{
    struct stat st;
    struct ipc__region_facts facts;
    if (fstat(place->fd, &st) != 0 ||
        (fcntl(place->fd, F_GET_SEALS) & SEALS) != SEALS ||
        (uint64_t)st.st_size != place->size ||
        pread(place->fd, &facts, sizeof facts, 0) != sizeof facts)
        return -EBADF;
    int rc = ipc__region_check(&facts, place->size, "family memory");
    if (rc == 0 &&
        (facts.id != place->id || facts.kind != (uint32_t)IPC__REGION_FAMILY))
        rc = -EUCLEAN;
    if (rc == 0 && ipc__local_epoch() == 0)
        rc = -ENOSYS;
    if (rc == 0)
        rc = map_there(place);
    if (rc != 0)
        return rc;
    struct ipc__region *region = (void *)(uintptr_t)place->address;
    rc = ipc__region_add(region, place->size);
    if (rc != 0)
        return rc;
    descriptor.fd = place->fd;
    descriptor.device = st.st_dev;
    descriptor.inode = st.st_ino;
    (void)fcntl(place->fd, F_SETFD, FD_CLOEXEC);
    store_release(&family, region);
    return 0;
}

void ipc__family_fd_moved(int fd)
{
    descriptor.fd = fd;
}
