/* Where, and how politely, the calling thread runs. */
#ifndef IPC_THREAD_PLACEMENT_H
#define IPC_THREAD_PLACEMENT_H

#include <stdint.h>

/* Run on these CPUs only; count 0: no change.  0, -EINVAL if one of them does
 * not exist or may not be used, or another negative errno. */
int ipc__run_on_cpus(const int *cpus, uint32_t count);

/* Add to the nice value.  0, -EPERM or -EACCES. */
int ipc__add_nice(int by);

#endif
