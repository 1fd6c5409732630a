/* Order
 *   A receiver looks at a packet, decides, and takes it.  Looking installs a
 *   descriptor without taking the packet, so where none is free nothing is
 *   lost; taking needs none, because the kernel drops its own.  Whoever calls
 *   both in between keeps others from taking that packet (connection.c).
 *
 * Errors
 *   The kernel reports ECONNRESET once when the other side went with messages
 *   unread, before it hands out what that side has sent: receivers pass over
 *   it.  Senders take it for what it means: the other side is gone. */
#include "channel/connection_packet.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Room for what comes with a packet: descriptors, the first of which is the
 * one; and credentials, where somebody has asked for them. */
union control {
    char bytes[96];
    struct cmsghdr align;
};

/* A packet that is small enough goes through one piece of memory: two pieces
 * cost 200 ns more on each side. */
#define FLAT_BYTES ((size_t)240)

struct flat {
    struct ipc__packet_head head;
    char bytes[FLAT_BYTES];
};

/* ---- send ---- */

static int send_error(int error)
{
    switch (error) {
    case ECONNRESET:
    case ECONNREFUSED:
    case ENOTCONN:
        return -EPIPE;
    case ENOBUFS:
        return -ENOMEM;
    default:
        return error == EWOULDBLOCK ? -EAGAIN : -error;
    }
}

static void attach(struct msghdr *message, union control *control, int fd)
{
    memset(control, 0, sizeof *control);
    message->msg_control = control;
    message->msg_controllen = CMSG_SPACE(sizeof fd);
    struct cmsghdr *item = CMSG_FIRSTHDR(message);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(item), &fd, sizeof fd);
}

static ssize_t send_flat(int socket, const struct ipc__packet *packet,
                         const void *data)
{
    struct flat flat;
    flat.head = packet->head;
    if (packet->inside > 0)
        memcpy(flat.bytes, data, packet->inside);
    return send(socket, &flat, sizeof flat.head + packet->inside,
                MSG_DONTWAIT | MSG_NOSIGNAL);
}

static ssize_t send_parts(int socket, const struct ipc__packet *packet,
                          const void *data, int fd)
{
    struct ipc__packet_head head = packet->head;
    struct iovec parts[2] = {
        {.iov_base = &head, .iov_len = sizeof head},
        {.iov_base = (void *)(uintptr_t)data, .iov_len = packet->inside}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    union control control;
    if (fd >= 0)
        attach(&message, &control, fd);
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int ipc__packet_send(int socket, const struct ipc__packet *packet,
                     const void *data, int fd)
{
    ssize_t n;
    do {
        n = fd < 0 && packet->inside <= FLAT_BYTES
                ? send_flat(socket, packet, data)
                : send_parts(socket, packet, data, fd);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? send_error(errno) : 0;
}

/* ---- receive ---- */

static bool try_again(int error)
{
    return error == EINTR || error == ECONNRESET;
}

static int receive_error(int error)
{
    if (error == ENOTCONN)
        return -EPIPE;
    return error == EWOULDBLOCK ? -EAGAIN : -error;
}

/* Both return the packet's length, of which more may be lost, or a negative
 * errno. */
static ssize_t receive(int socket, void *buffer, size_t size, int flags)
{
    ssize_t n;
    do {
        n = recv(socket, buffer, size, flags | MSG_DONTWAIT | MSG_TRUNC);
    } while (n < 0 && try_again(errno));
    return n < 0 ? receive_error(errno) : n;
}

static ssize_t receive_parts(int socket, struct msghdr *message, int flags)
{
    ssize_t n;
    do {
        n = recvmsg(socket, message, flags | MSG_DONTWAIT | MSG_TRUNC);
    } while (n < 0 && try_again(errno));
    return n < 0 ? receive_error(errno) : n;
}

/* Nothing was read: because all is read, or because that was the packet? */
static int why_empty(int socket)
{
    struct pollfd item = {.fd = socket, .events = POLLRDHUP};
    int n;
    do {
        n = poll(&item, 1, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return (item.revents & (POLLRDHUP | POLLHUP)) != 0 ? -EPIPE : -EPROTO;
}

/* Can it be what its head says? */
static bool is_possible(const struct ipc__packet *packet)
{
    switch (packet->head.kind) {
    case IPC__PACKET_BYTES:
        return packet->inside == packet->head.bytes;
    case IPC__PACKET_SPILLED:
        return packet->inside < packet->head.bytes;
    case IPC__PACKET_FD:
        return packet->inside == 0 && packet->head.bytes == 0;
    default:
        return false;
    }
}

int ipc__packet_look(int socket, struct ipc__packet *out)
{
    const ssize_t n = receive(socket, &out->head, sizeof out->head, MSG_PEEK);
    if (n < 0)
        return (int)n;
    if (n == 0)
        return why_empty(socket);
    if ((size_t)n < sizeof out->head)
        return -EPROTO;
    out->inside = (size_t)n - sizeof out->head;
    return is_possible(out) ? 0 : -EPROTO;
}

/* Keep the first descriptor, close the others.  Returns how many came. */
static int descriptors_of(struct msghdr *message, int *first)
{
    int count = 0;
    for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item != NULL;
         item = CMSG_NXTHDR(message, item)) {
        if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= item->cmsg_len;
             at += sizeof(int)) {
            int fd;
            memcpy(&fd, (char *)item + at, sizeof fd);
            if (count++ == 0)
                *first = fd;
            else
                (void)close(fd);
        }
    }
    return count;
}

int ipc__packet_look_fd(int socket, int *out)
{
    char byte;
    union control control;
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    const ssize_t n =
        receive_parts(socket, &message, MSG_PEEK | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return (int)n;
    int fd = -1;
    const int count = descriptors_of(&message, &fd);
    if (count == 1 && (message.msg_flags & MSG_CTRUNC) == 0) {
        *out = fd;
        return 0;
    }
    if (count > 0)
        (void)close(fd);
    return count == 0 && (message.msg_flags & MSG_CTRUNC) != 0 ? -EMFILE
                                                               : -EPROTO;
}

static bool is_same(const struct ipc__packet *packet, ssize_t n,
                    const struct ipc__packet_head *head)
{
    return (size_t)n == sizeof *head + packet->inside &&
           memcmp(head, &packet->head, sizeof *head) == 0;
}

static int take_flat(int socket, const struct ipc__packet *packet, void *buffer)
{
    struct flat flat;
    const ssize_t n =
        receive(socket, &flat, sizeof flat.head + packet->inside, 0);
    if (n < 0)
        return (int)n;
    if (!is_same(packet, n, &flat.head))
        return -ESTALE;
    if (packet->inside > 0)
        memcpy(buffer, flat.bytes, packet->inside);
    return 0;
}

static int take_parts(int socket, const struct ipc__packet *packet,
                      void *buffer)
{
    struct ipc__packet_head head = {0};
    struct iovec parts[2] = {{.iov_base = &head, .iov_len = sizeof head},
                             {.iov_base = buffer, .iov_len = packet->inside}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    const ssize_t n = receive_parts(socket, &message, 0);
    if (n < 0)
        return (int)n;
    return is_same(packet, n, &head) ? 0 : -ESTALE;
}

int ipc__packet_take(int socket, const struct ipc__packet *packet, void *buffer)
{
    return packet->inside <= FLAT_BYTES ? take_flat(socket, packet, buffer)
                                        : take_parts(socket, packet, buffer);
}

void ipc__packet_drop(int socket)
{
    char byte;
    (void)receive(socket, &byte, sizeof byte, 0);
}

/* ---- room ---- */

bool ipc__packet_is_full(int socket, size_t buffer_bytes)
{
    int queued = 0;
    return ioctl(socket, SIOCOUTQ, &queued) == 0 && queued >= 0 &&
           (size_t)queued >= buffer_bytes;
}

int ipc__packet_wait(int socket, short events, ipc_deadline deadline)
{
    struct pollfd item = {.fd = socket, .events = events};
    for (;;) {
        const int64_t ns = ipc_time_left(deadline);
        const struct timespec left = {.tv_sec = ns / 1000000000,
                                      .tv_nsec = ns % 1000000000};
        const int rc =
            ppoll(&item, 1, deadline == IPC_TIME_FOREVER ? NULL : &left, NULL);
        if (rc > 0)
            return (item.revents & POLLNVAL) != 0 ? -EBADF : 0;
        if (rc < 0 && errno != EINTR)
            return -errno;
        if (rc == 0 && ipc_time_left(deadline) == 0)
            return -ETIMEDOUT;
    }
}
