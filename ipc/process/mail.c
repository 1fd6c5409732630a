/* Packets with descriptors, on a socket that keeps their bounds. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kernel/syscall.h"
#include "process/server.h"

int ipc__mail_send(int fd, const void *data, size_t size, const int *fds,
                   uint32_t count)
{
    struct ipc__mail packet;
    memset(&packet, 0, sizeof packet);
    packet.data.iov_base = (void *)(uintptr_t)data;
    packet.data.iov_len = size;
    packet.message.msg_iov = &packet.data;
    packet.message.msg_iovlen = 1;
    if (count > 0) {
        packet.message.msg_control = packet.control.bytes;
        packet.message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        packet.control.header.cmsg_level = SOL_SOCKET;
        packet.control.header.cmsg_type = SCM_RIGHTS;
        packet.control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&packet.control.header), fds, count * sizeof(int));
    }
    long rc;
    do {
        rc = ipc__syscall3(SYS_sendmsg, fd, &packet.message, MSG_NOSIGNAL);
    } while (rc == -EINTR);
    return rc < 0 ? (int)rc : 0;
}

/* Take the descriptors, or close what came of them. */
static int take_fds(const struct ipc__mail *packet, int *fds, uint32_t *count)
{
    const uint32_t room = *count;
    uint32_t n = 0;
    const struct cmsghdr *header = &packet->control.header;
    if (packet->message.msg_controllen >= sizeof *header &&
        header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        n = (uint32_t)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    const bool all = (packet->message.msg_flags & MSG_CTRUNC) == 0 && n <= room;
    *count = all ? n : 0;
    for (uint32_t i = 0; i < n; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(&packet->control.header) + i * sizeof fd,
               sizeof fd);
        if (all)
            fds[i] = fd;
        else
            (void)ipc__syscall1(SYS_close, fd);
    }
    return all ? 0 : -EMFILE;
}

int ipc__mail_recv(int fd, void *data, size_t size, int *fds, uint32_t *count,
                   int flags)
{
    struct ipc__mail packet;
    memset(&packet, 0, sizeof packet);
    packet.data.iov_base = data;
    packet.data.iov_len = size;
    packet.message.msg_iov = &packet.data;
    packet.message.msg_iovlen = 1;
    packet.message.msg_control = packet.control.bytes;
    packet.message.msg_controllen = CMSG_SPACE(*count * sizeof(int));
    long rc;
    do {
        rc = ipc__syscall3(SYS_recvmsg, fd, &packet.message,
                           MSG_CMSG_CLOEXEC | flags);
    } while (rc == -EINTR);
    if (rc < 0) {
        *count = 0;
        return (int)rc;
    }
    const int taken = take_fds(&packet, fds, count);
    if (rc == 0)
        return -EPIPE;
    return (size_t)rc != size ? -EMSGSIZE : taken;
}
