/* Doors: sockets that listen. */
#include "net/door.h"

#include <errno.h>
#include <string.h>

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fail.h"
#include "net/resolve.h"

/* ---- tcp ---- */

/* Errors of the address and not of the machine have the same number wherever it
 * was noticed. */
static int fail_listen(const struct ipcm__address *address, int error)
{
    char text[IPCM__ADDRESS_TEXT];
    ipcm__address_format(address, text, sizeof text);
    if (error == EADDRNOTAVAIL || error == EAFNOSUPPORT)
        return ipcm__fail(-EHOSTUNREACH, "%s is no address of this machine",
                          text);
    return ipcm__fail(-error, "%s: %s", text, ipc_strerror(-error));
}

static int bind_to(const struct addrinfo *info)
{
    const int on = 1;
    const int fd =
        socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0)
        return fd;
    const int error = errno;
    close(fd);
    return -error;
}

static int listen_on(const struct addrinfo *info)
{
    const int fd = bind_to(info);
    if (fd < 0 || listen(fd, IPCM__BACKLOG) == 0)
        return fd;
    const int error = errno;
    close(fd);
    return -error;
}

/* The port that was chosen for 0. */
static uint16_t port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t bytes = sizeof address;
    uint8_t ip[16];
    uint16_t port = 0;
    memset(&address, 0, sizeof address);
    if (getsockname(fd, (struct sockaddr *)&address, &bytes) == 0)
        ipcm__ip_of(&address, ip, &port);
    return port;
}

/* The first of the host's addresses that can be had: a descriptor. */
static int first_of(const struct ipcm__address *address, uint32_t flags,
                    int (*get)(const struct addrinfo *info))
{
    struct addrinfo *list;
    int fd = -EHOSTUNREACH;
    const int rc =
        ipcm__resolve(address, (flags & IPCM__DOOR_PLAIN_TCP) != 0, &list);
    if (rc < 0)
        return rc;
    for (const struct addrinfo *at = list; at != NULL && fd < 0;
         at = at->ai_next)
        fd = get(at);
    freeaddrinfo(list);
    return fd < 0 ? fail_listen(address, -fd) : fd;
}

static int open_tcp(uint32_t flags, struct ipcm__door *out)
{
    const int fd = first_of(&out->address, flags, listen_on);
    if (fd < 0)
        return fd;
    out->fd = fd;
    out->address.port = port_of(fd);
    return 0;
}

/* ---- any ---- */

int ipcm__door_open(const struct ipcm__address *address, uint32_t flags,
                    struct ipcm__door *out)
{
    struct ipcm__door door;
    int rc = 0;

    memset(&door, 0, sizeof door);
    door.address = *address;
    door.fd = -1;
    door.lock_fd = -1;
    if (address->transport == IPCM__UNIX) {
        if (address->path[0] == '\0')
            rc = ipcm__address_default(&door.address, false);
        if (rc == 0)
            rc = ipcm__door_open_unix(flags, &door);
    } else {
        rc = open_tcp(flags, &door);
    }
    if (rc == 0)
        *out = door;
    return rc;
}

int ipcm__door_check(const struct ipcm__address *address, uint32_t flags,
                     int *fd)
{
    *fd = -1;
    if (address->transport == IPCM__UNIX)
        return ipcm__door_check_unix(address, flags);
    const int rc = first_of(address, flags, bind_to);
    if (rc < 0)
        return rc;
    *fd = rc;
    return 0;
}

void ipcm__door_close(struct ipcm__door *door)
{
    if (door->address.transport == IPCM__UNIX && door->lock_fd >= 0)
        ipcm__door_remove_unix(door);
    ipcm__door_forget(door);
}

void ipcm__door_forget(struct ipcm__door *door)
{
    if (door->fd >= 0)
        close(door->fd);
    if (door->lock_fd >= 0)
        close(door->lock_fd);
    door->fd = -1;
    door->lock_fd = -1;
}
