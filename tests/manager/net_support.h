/* Addresses and doors, for tests. */
#ifndef MANAGER_NET_SUPPORT_H
#define MANAGER_NET_SUPPORT_H

#include "harness/harness.h"
#include "harness/role.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <ipc/error.h>

#include "net/net.h"

static inline struct ipcm__address unix_address(const char *name)
{
    struct ipcm__address address = {.transport = IPCM__UNIX};
    const int n = snprintf(address.path, sizeof address.path, "%s/%s",
                           test_tmpdir(), name);
    assert_true(n > 0 && (size_t)n < sizeof address.path);
    return address;
}

static inline struct ipcm__address tcp_address(const char *host)
{
    struct ipcm__address address = {.transport = IPCM__TCP};
    snprintf(address.host, sizeof address.host, "%s", host);
    return address;
}

static inline void accept_one(const struct ipcm__door *door, int *fd,
                              struct ipcm__peer *peer)
{
    struct pollfd at = {.fd = door->fd, .events = POLLIN};
    assert_int_equal(poll(&at, 1, 5000), 1);
    assert_int_equal(ipcm__door_accept(door, fd, peer), 0);
}

/* A socket in the same place, without a lock file: of another program. */
static inline int foreign_socket(const struct ipcm__address *address, int type)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    snprintf(at.sun_path, sizeof at.sun_path, "%s", address->path);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

#endif
