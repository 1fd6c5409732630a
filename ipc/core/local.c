#include "core/local.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/atomic.h"

union ipc__local_page ipc__local_page __attribute__((aligned(IPC_PAGE_MAX)));

/* The last epoch.  In ordinary memory, so that a child goes on counting. */
static uint64_t last_epoch;
static uint32_t armed;

int ipc__wipe_on_fork(void *pages, size_t size)
{
    return madvise(pages, size, MADV_WIPEONFORK) == 0 ? 0 : -errno;
}

uint64_t ipc__local_epoch(void)
{
    uint64_t epoch = load_acquire(&ipc__local.epoch);
    if (epoch != 0)
        return epoch;
    /* Armed before the first value is stored: a fork in between copies
     * zeros. */
    if (!load_acquire(&armed)) {
        if (ipc__wipe_on_fork(&ipc__local_page, sizeof ipc__local_page) != 0)
            return 0;
        store_release(&armed, 1);
    }
    epoch = add_relaxed(&last_epoch, 1) + 1;
    (void)cas64_relaxed(&ipc__local.process, 0, epoch);
    (void)cas64_release(&ipc__local.epoch, 0, epoch);
    return load_acquire(&ipc__local.epoch);
}

void ipc__local_regions_changed(void)
{
    (void)ipc__local_epoch();
    store_release(&ipc__local.epoch, add_relaxed(&last_epoch, 1) + 1);
}
