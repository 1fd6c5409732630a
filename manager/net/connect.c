/* Connecting. */
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "fail.h"
#include "net/resolve.h"

#define NS_PER_S  1000000000
#define NS_PER_US 1000
#define NS_PER_MS 1000000

static int fail_connect(const struct ipcm__address *address, int error)
{
    char text[IPCM__ADDRESS_TEXT];
    ipcm__address_format(address, text, sizeof text);
    return ipcm__fail(-error, "%s: %s", text, ipc_strerror(-error));
}

/* ---- unix ---- */

/* A full backlog cannot be polled for, so the socket waits by itself. */
static int connect_waiting(int fd, const struct sockaddr_un *at,
                           ipc_deadline deadline)
{
    for (;;) {
        struct timeval left = {0, 0}; /* for ever */
        if (deadline != IPC_TIME_FOREVER) {
            const int64_t ns = ipc_time_left(deadline);
            left.tv_sec = ns / NS_PER_S;
            left.tv_usec = ns % NS_PER_S / NS_PER_US + 1;
        }
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &left, sizeof left);
        if (connect(fd, (const struct sockaddr *)at, sizeof *at) == 0)
            return 0;
        if (errno == EAGAIN)
            return ETIMEDOUT;
        if (errno != EINTR)
            return errno;
    }
}

/* In the default folder nobody but ourselves and root is expected. */
static int look_at_owner(int fd, const struct ipcm__address *address)
{
    struct ucred who;
    socklen_t bytes = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) != 0)
        return fail_connect(address, errno);
    if (who.uid == geteuid() || who.uid == 0)
        return 0;
    return ipcm__fail(-EPERM, "the server at unix:%s is user %u's",
                      address->path, (unsigned)who.uid);
}

static int fail_unix(const struct ipcm__address *address, int error)
{
    switch (error) {
    case EACCES:
    case EPERM:
        return ipcm__fail(-EPERM, "unix:%s is another user's", address->path);
    case ENOTDIR:
        return fail_connect(address, ENOENT);
    case EPROTOTYPE:
        return fail_connect(address, EPROTO);
    default:
        return fail_connect(address, error);
    }
}

static int connect_unix(const struct ipcm__address *asked,
                        ipc_deadline deadline)
{
    struct ipcm__address address = *asked;
    struct sockaddr_un at;
    int rc = 0;

    if (asked->path[0] == '\0')
        rc = ipcm__address_default(&address, false);
    if (rc < 0)
        return rc;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ipcm__fail(-errno, "no socket: %s", ipc_strerror(-errno));
    memset(&at, 0, sizeof at);
    at.sun_family = AF_UNIX;
    memcpy(at.sun_path, address.path, strlen(address.path) + 1);
    const int error = connect_waiting(fd, &at, deadline);
    if (error != 0)
        rc = fail_unix(&address, error);
    else if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        rc = fail_connect(&address, errno);
    else if (asked->path[0] == '\0')
        rc = look_at_owner(fd, &address);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return fd;
}

/* ---- tcp ---- */

static int wait_connected(int fd, ipc_deadline deadline)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t bytes = sizeof error;
    for (;;) {
        int ms = -1;
        if (deadline != IPC_TIME_FOREVER) {
            const int64_t left = ipc_time_left(deadline) / NS_PER_MS + 1;
            ms = left > INT_MAX ? INT_MAX : (int)left;
        }
        const int n = poll(&poll_fd, 1, ms);
        if (n > 0)
            break;
        if (n < 0 && errno != EINTR)
            return errno;
        if (n == 0 && ipc_time_left(deadline) == 0)
            return ETIMEDOUT;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0)
        return errno;
    return error;
}

/* Where nobody listens, a socket that was given that very port connects to
 * itself. */
static bool is_own(int fd)
{
    struct sockaddr_storage here, there;
    socklen_t here_bytes = sizeof here;
    socklen_t there_bytes = sizeof there;
    uint8_t here_ip[16], there_ip[16];
    uint16_t here_port, there_port;

    memset(&here, 0, sizeof here);
    memset(&there, 0, sizeof there);
    if (getsockname(fd, (struct sockaddr *)&here, &here_bytes) != 0 ||
        getpeername(fd, (struct sockaddr *)&there, &there_bytes) != 0)
        return false;
    ipcm__ip_of(&here, here_ip, &here_port);
    ipcm__ip_of(&there, there_ip, &there_port);
    return here_port == there_port &&
           memcmp(here_ip, there_ip, sizeof here_ip) == 0;
}

/* The descriptor, or a negative errno without detail. */
static int connect_to(const struct addrinfo *info, ipc_deadline deadline)
{
    const int fd =
        socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = 0;
    if (fd < 0)
        return -errno;
    if (connect(fd, info->ai_addr, info->ai_addrlen) != 0)
        error = errno == EINPROGRESS || errno == EINTR
                    ? wait_connected(fd, deadline)
                    : errno;
    if (error == 0 && is_own(fd))
        error = ECONNREFUSED;
    if (error != 0) {
        close(fd);
        return -error;
    }
    ipcm__tcp_settings(fd);
    return fd;
}

/* An equal part of the time for each address that is left. */
static ipc_deadline part_of(ipc_deadline deadline, const struct addrinfo *info)
{
    int64_t count = 0;
    if (deadline == IPC_TIME_FOREVER)
        return deadline;
    for (; info != NULL; info = info->ai_next)
        count++;
    return ipc_after_ns(ipc_time_left(deadline) / count);
}

static int connect_tcp(const struct ipcm__address *address, uint32_t flags,
                       ipc_deadline deadline)
{
    struct addrinfo *list;
    int fd = -EHOSTUNREACH;
    const int rc =
        ipcm__resolve(address, (flags & IPCM__DOOR_PLAIN_TCP) != 0, &list);
    if (rc < 0)
        return rc;
    for (const struct addrinfo *at = list; at != NULL && fd < 0;
         at = at->ai_next)
        fd = connect_to(at, part_of(deadline, at));
    freeaddrinfo(list);
    if (fd == -ENETUNREACH || fd == -EADDRNOTAVAIL)
        fd = -EHOSTUNREACH;
    return fd < 0 ? fail_connect(address, -fd) : fd;
}

int ipcm__net_connect(const struct ipcm__address *address, uint32_t flags,
                      ipc_deadline deadline, int *fd)
{
    const int rc = address->transport == IPCM__UNIX
                       ? connect_unix(address, deadline)
                       : connect_tcp(address, flags, deadline);
    if (rc < 0)
        return rc;
    *fd = rc;
    return 0;
}
