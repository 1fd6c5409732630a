/* Putting descriptors under the numbers where they are wanted. */
#ifndef IPC_PROCESS_ARRANGE_H
#define IPC_PROCESS_ARRANGE_H

#include <stdbool.h>
#include <stdint.h>

struct ipc__arranged {
    int fd;     /* where it is; afterwards too */
    int number; /* where it is wanted; -1: anywhere */
    bool cloexec;
};

/* Move each to its number.  Those that are anywhere make room.  0; -EBUSY when
 * a number above 2 is taken by a descriptor that is not among them; -EMFILE,
 * -EBADF: a number is not possible here. */
int ipc__arrange(struct ipc__arranged *places, uint32_t count);

#endif
