/* Forks, as far as a library can see them. */
#ifndef IPC_MANAGER_CLIENT_FORK_H
#define IPC_MANAGER_CLIENT_FORK_H

#include <stdint.h>

/* Which process this is: another number in each child, also in that of a raw
 * clone(), than in any process whose memory it has.  Not 0.  Costs a load. */
uint64_t ipcm__process(void);

/* From now on a child closes the connections of its parent, and finds the lock
 * below free.  -ENOMEM. */
int ipcm__forks_watch(void);

/* A lock for what a forked child must be able to use although other threads of
 * its parent were using it: held for moments only, and inside no other but a
 * link's. */
void ipcm__forks_lock(void);
void ipcm__forks_unlock(void);

#endif
