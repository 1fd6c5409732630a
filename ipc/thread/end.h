/* What the end of a process does about its threads. */
#ifndef IPC_THREAD_END_H
#define IPC_THREAD_END_H

#include <stdint.h>

/* Has this process, or one that it was forked from, ever started a thread or a
 * timer?  In ordinary memory, so that a new child need not touch the page of
 * its threads to learn that it has none. */
extern uint32_t ipc__threads_used __attribute__((visibility("hidden")));

/* Wait for the threads and timers that are to be waited for, but not for the
 * caller. */
void ipc__threads_end(void);

#endif
