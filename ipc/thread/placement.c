#include "thread/placement.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <sys/resource.h>

int ipc__run_on_cpus(const int *cpus, uint32_t count)
{
    if (count == 0)
        return 0;
    cpu_set_t set;
    CPU_ZERO(&set);
    for (uint32_t i = 0; i < count; i++) {
        const int cpu = cpus[i];
        if (cpu < 0 || cpu >= CPU_SETSIZE)
            return -EINVAL;
        CPU_SET((size_t)cpu, &set);
    }
    /* The kernel takes what there is of the set and says nothing of the
     * rest. */
    cpu_set_t got;
    if (sched_setaffinity(0, sizeof set, &set) != 0 ||
        sched_getaffinity(0, sizeof got, &got) != 0)
        return -errno;
    return CPU_EQUAL(&set, &got) ? 0 : -EINVAL;
}

int ipc__add_nice(int by)
{
    if (by == 0)
        return 0;
    /* In Linux a thread has a nice value of its own, and 0 is the caller. */
    const int now = getpriority(PRIO_PROCESS, 0);
    return setpriority(PRIO_PROCESS, 0, now + by) == 0 ? 0 : -errno;
}
