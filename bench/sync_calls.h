/* How many system calls this process makes. */
#ifndef IPC_BENCH_SYNC_CALLS_H
#define IPC_BENCH_SYNC_CALLS_H

#include <stdbool.h>
#include <stdint.h>

/* Count from now on; for good.  False where this cannot be done. */
bool sync_calls_start(void);

/* The count. */
uint64_t sync_calls(void);

#endif
