/* The handle of a connection, for the sources that make, send and receive.
 *
 * State
 *   struct ipc_connection  what this process knows about its end; does not
 *                          change while it is open
 *   a page                 that those who are forked from here share: the guard
 *                          of those who receive on this end
 *   the socket's buffer    the messages; the kernel's
 *
 * Invariants
 *   1. A message is one packet: it is in the socket or it is not.
 *   2. Packets are taken from the socket with the guard only.  So the packet
 *      that a receiver has looked at is the one that it takes, and one that it
 *      cannot use (too large for its buffer, the other kind, no descriptor
 *      left) stays the first.
 *
 * Death
 *   of a sender    before sendmsg() a spilled message is a memfd that goes with
 *                  its only descriptor; after it all is the kernel's
 *   of a receiver  in the guard: nothing there needs repair, the next one
 *                  looks at the packet, which is there or taken; after the
 *                  take, the message goes with it
 *   The page goes with the last process that has it mapped, as the socket with
 *   the last that has it open. */
#ifndef IPC_CHANNEL_CONNECTION_HANDLE_H
#define IPC_CHANNEL_CONNECTION_HANDLE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/connection.h>

#include "channel/connection_packet.h"
#include "core/guard.h"

struct ipc_connection {
    int fd;
    bool sends;
    bool receives;
    uint64_t max_bytes;
    size_t buffer_bytes; /* of the socket, for sending */
    size_t inside_max;   /* bytes of a message that go into a packet */
    struct ipc__guard *receiving;
};

/* The most that inside_max is: a packet of so much fits well into the pieces
 * that the kernel has.  And what goes where no large piece is to be had. */
#define IPC__INSIDE_MAX   ((size_t)192 * 1024)
#define IPC__INSIDE_PAGES ((size_t)64 * 1024)

/* Receive with it: there is nothing to repair. */
int ipc__connection_lock(const ipc_connection *c);

/* Fail, with a line about it. */
int ipc__connection_fail(const ipc_connection *c, int error);

/* The end is not for this direction. */
int ipc__connection_fail_direction(const ipc_connection *c);

/* IPC_TIME_NOW stands for the form that never waits: what ..._until() is given
 * is another deadline that has passed. */
static inline ipc_deadline ipc__connection_until(ipc_deadline deadline)
{
    return deadline > 0 ? deadline : 1;
}

/* Wait for POLLIN or POLLOUT.  Returns 0, -EAGAIN, -ETIMEDOUT, or another
 * negative errno. */
static inline int ipc__connection_wait(const ipc_connection *c, short events,
                                       ipc_deadline deadline)
{
    if (deadline == IPC_TIME_NOW)
        return -EAGAIN;
    return ipc__packet_wait(c->fd, events, deadline);
}

#endif
