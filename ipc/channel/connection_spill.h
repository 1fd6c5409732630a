/* The part of a message that does not fit into a packet: a memfd that nobody
 * can change any more. */
#ifndef IPC_CHANNEL_CONNECTION_SPILL_H
#define IPC_CHANNEL_CONNECTION_SPILL_H

#include <stddef.h>
#include <stdint.h>

/* A sealed memfd with these bytes, or a negative errno. */
int ipc__spill_write(const void *data, size_t bytes);

/* Is it one, with so many bytes?  0; -EPROTO; or why that cannot be asked. */
int ipc__spill_check(int fd, uint64_t bytes);

/* Read one that was checked.  Returns 0, or -EIO when the kernel cannot bring
 * its memory back. */
int ipc__spill_read(int fd, void *buffer, size_t bytes);

#endif
