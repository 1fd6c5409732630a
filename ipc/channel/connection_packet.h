/* Packets: what goes through the socket of a connection.
 *
 * A message is one packet, so that the kernel sends and receives it as one
 * step: a head, and the bytes.  Of a message that is larger than a packet the
 * packet has the first bytes, and a sealed memfd the rest (connection_spill.h);
 * a descriptor that is a message by itself goes along in the same way.
 *
 * None of these waits, but ipc__packet_wait(). */
#ifndef IPC_CHANNEL_CONNECTION_PACKET_H
#define IPC_CHANNEL_CONNECTION_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/time.h>

enum ipc__packet_kind {
    IPC__PACKET_BYTES = 0x69706301,   /* all of the message */
    IPC__PACKET_SPILLED = 0x69706302, /* its beginning, and a memfd */
    IPC__PACKET_FD = 0x69706303       /* a descriptor, no bytes */
};

struct ipc__packet_head {
    uint32_t kind;
    uint32_t serial; /* of a spilled message: tells it from the next */
    uint64_t bytes;  /* of the message */
};

/* A packet to be sent, or one that was looked at. */
struct ipc__packet {
    struct ipc__packet_head head;
    size_t inside; /* bytes of the message that are in the packet */
};

/* Send it, with the bytes inside from data, and fd if it is not negative.
 *
 * Returns 0, -EAGAIN, -EPIPE, or another negative errno. */
int ipc__packet_send(int socket, const struct ipc__packet *packet,
                     const void *data, int fd);

/* Look at the next packet and leave it where it is.
 *
 * Returns 0, -EAGAIN there is none, -EPIPE nor will there be any, -EPROTO it
 * is no packet of ours, or another negative errno. */
int ipc__packet_look(int socket, struct ipc__packet *out);

/* A descriptor of the next packet's file, which stays where it is.
 *
 * Returns 0; -EMFILE there is no number for it, or it is forbidden; -EPROTO
 * there is none, or there are several; -EAGAIN there is no packet; or another
 * negative errno. */
int ipc__packet_look_fd(int socket, int *out);

/* Take the packet that was looked at: its bytes into buffer, which has room for
 * those inside.  Its descriptor is dropped.
 *
 * Returns 0, -EAGAIN it is gone, -ESTALE it was another one, that is lost now,
 * or another negative errno. */
int ipc__packet_take(int socket, const struct ipc__packet *packet,
                     void *buffer);

/* Take the next packet, whatever it is, and drop it. */
void ipc__packet_drop(int socket);

/* Is there no room for a packet? */
bool ipc__packet_is_full(int socket, size_t buffer_bytes);

/* Wait for POLLIN or POLLOUT.  Returns 0, -ETIMEDOUT or a negative errno. */
int ipc__packet_wait(int socket, short events, ipc_deadline deadline);

#endif
