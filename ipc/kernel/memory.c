#include "kernel/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#    define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

int ipc__memory_populate(void *start, size_t size)
{
    while (madvise(start, size, MADV_POPULATE_WRITE) != 0)
        if (errno != EINTR && errno != EAGAIN)
            return errno == EINVAL ? -ENOSYS : -ENOMEM;
    return 0;
}

void ipc__memory_release(void *start, size_t size, size_t touched)
{
    /* Locked memory (mlock) cannot be given back. */
    if (madvise(start, size, MADV_REMOVE) != 0)
        memset(start, 0, touched);
}
