/* Who comes through a door. */
#include "net/net.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fail.h"
#include "net/resolve.h"

/* Linux 6.5; older headers do not know it. */
#ifndef SO_PEERPIDFD
#    define SO_PEERPIDFD 77
#endif

/* Of the process that connected, which pid was then.  Without the socket option
 * by number: the process may be gone and the number another one's, which then
 * is watched instead, and outlives it. */
static int pidfd_of(int fd, int32_t pid)
{
    int pidfd = -1;
    socklen_t bytes = sizeof pidfd;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &bytes) == 0)
        return pidfd;
    if (errno != ENOPROTOOPT || pid <= 0)
        return -1;
    return pidfd_open(pid, 0);
}

static void look_unix(int fd, struct ipcm__peer *out)
{
    struct ucred who = {0, (uid_t)-1, (gid_t)-1};
    socklen_t bytes = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) != 0)
        who.uid = (uid_t)-1;
    out->uid = who.uid;
    out->pid = who.pid;
    out->pidfd = pidfd_of(fd, who.pid);
    snprintf(out->text, sizeof out->text, "unix: pid %d, uid %u", (int)who.pid,
             (unsigned)who.uid);
}

static void look_tcp(int fd, const struct sockaddr_storage *from,
                     struct ipcm__peer *out)
{
    char ip[INET6_ADDRSTRLEN] = "?";
    uint16_t port;
    const char *scheme = out->transport == IPCM__TLS ? "tls" : "tcp";

    ipcm__ip_of(from, out->ip, &port);
    if (IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(void *)out->ip)) {
        (void)inet_ntop(AF_INET, out->ip + 12, ip, sizeof ip);
        snprintf(out->text, sizeof out->text, "%s://%s:%u", scheme, ip,
                 (unsigned)port);
    } else {
        (void)inet_ntop(AF_INET6, out->ip, ip, sizeof ip);
        snprintf(out->text, sizeof out->text, "%s://[%s]:%u", scheme, ip,
                 (unsigned)port);
    }
    ipcm__tcp_settings(fd);
}

/* A connection that is gone before it was accepted is nobody's matter. */
static bool is_of_that_one(int error)
{
    switch (error) {
    case EAGAIN:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
        return false;
    default:
        return true;
    }
}

int ipcm__door_accept(const struct ipcm__door *door, int *fd,
                      struct ipcm__peer *peer)
{
    struct sockaddr_storage from;
    int accepted;
    do {
        socklen_t bytes = sizeof from;
        memset(&from, 0, sizeof from);
        accepted = accept4(door->fd, (struct sockaddr *)&from, &bytes,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (accepted < 0 && is_of_that_one(errno));
    if (accepted < 0)
        return errno == EAGAIN
                   ? -EAGAIN
                   : ipcm__fail(-errno, "accept: %s", ipc_strerror(-errno));
    memset(peer, 0, sizeof *peer);
    peer->transport = door->address.transport;
    peer->pidfd = -1;
    if (peer->transport == IPCM__UNIX)
        look_unix(accepted, peer);
    else
        look_tcp(accepted, &from, peer);
    *fd = accepted;
    return 0;
}
