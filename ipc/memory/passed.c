/* Passed regions.
 *
 * State: as that of a named region, but there is no file to find it by, and
 * none to clean up: it is gone with the last descriptor and mapping.
 *
 * Trust: the seals are looked at first.  With them nobody can cut the file off
 * under the feet of those who have it mapped. */
#include "memory/passed.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic.h"
#include "core/error.h"
#include "kernel/memory.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int map_fd(int fd, size_t size, const char *name,
                  struct ipc__region **out)
{
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (map == MAP_FAILED)
        return ipc__fail(-errno, "%s: cannot map %zu bytes", name, size);
    *out = map;
    return 0;
}

static int add(struct ipc__region *region, size_t size)
{
    const int rc = ipc__region_add(region, size);
    if (rc != 0)
        munmap(region, size);
    return rc;
}

/* ---- a new one ---- */

static int size_fd(int fd, size_t size)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && size > limit.rlim_cur)
        return -EFBIG; /* to try would raise SIGXFSZ */
    if (ftruncate(fd, (off_t)size) != 0 || fcntl(fd, F_ADD_SEALS, SEALS) != 0)
        return -errno;
    return 0;
}

static int fill_region(struct ipc__region *region,
                       const struct ipc__named *what)
{
    const size_t present = what->present != 0 ? what->present : what->size;
    const int rc = ipc__memory_populate(region, IPC__REGION_TABLE + present);
    if (rc != 0)
        return ipc__fail(rc, "%s: no memory for %zu bytes", what->name,
                         present);
    ipc__region_init(region, what->kind, what->flags, what->size);
    region->opens = 1;
    if (what->fill != NULL)
        what->fill(ipc__region_data(region), what->arg);
    return 0;
}

static int make(int fd, const struct ipc__named *what, struct ipc__region **out)
{
    const size_t size = IPC__REGION_TABLE + what->size;
    int rc = size_fd(fd, size);
    if (rc != 0)
        return ipc__fail(rc, "%s: cannot make a memfd of %zu bytes", what->name,
                         size);
    rc = map_fd(fd, size, what->name, out);
    if (rc != 0)
        return rc;
    rc = fill_region(*out, what);
    if (rc != 0) {
        munmap(*out, size);
        return rc;
    }
    return add(*out, size);
}

int ipc__passed_create(const struct ipc__named *what, int *fd,
                       struct ipc__region **out)
{
    const int made =
        memfd_create("libipc-passed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (made < 0)
        return ipc__fail(-errno, "%s: cannot make a memfd", what->name);
    const int rc = make(made, what, out);
    if (rc != 0)
        close(made);
    else
        *fd = made;
    return rc;
}

/* ---- one that was passed ---- */

static int look(int fd, const struct ipc__named *what,
                struct ipc__region_facts *facts)
{
    struct stat st;
    const int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0)
        return ipc__fail(errno == EBADF ? -EBADF : -EUCLEAN,
                         "%s: descriptor %d is no memfd", what->name, fd);
    if ((seals & SEALS) != SEALS)
        return ipc__fail(-EUCLEAN,
                         "%s: the memfd could be resized: it has to "
                         "be sealed",
                         what->name);
    if (fstat(fd, &st) != 0 ||
        pread(fd, facts, sizeof *facts, 0) != (ssize_t)sizeof *facts)
        return ipc__fail(-EUCLEAN, "%s: the memfd cannot be read", what->name);
    const int rc = ipc__region_check(facts, (size_t)st.st_size, what->name);
    if (rc != 0)
        return rc;
    if (facts->kind != (uint32_t)what->kind || facts->data_size < what->least)
        return ipc__fail(-EINVAL, "%s: the memfd holds something else",
                         what->name);
    return 0;
}

int ipc__passed_attach(int fd, const struct ipc__named *what,
                       struct ipc__region **out)
{
    struct ipc__region_facts facts;
    int rc = look(fd, what, &facts);
    if (rc == 0)
        rc = map_fd(fd, (size_t)facts.size, what->name, out);
    if (rc == 0)
        rc = add(*out, (size_t)facts.size);
    if (rc == 0)
        add_relaxed(&(*out)->opens, 1);
    return rc;
}
