/* Names of hosts to addresses. */
#include "net/resolve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "fail.h"

static bool is_loopback(const struct addrinfo *info)
{
    struct sockaddr_storage address;
    uint8_t ip[16];
    uint16_t port;
    static const uint8_t mapped[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
    static const uint8_t one[16] = {[15] = 1};

    memset(&address, 0, sizeof address);
    memcpy(&address, info->ai_addr, info->ai_addrlen);
    ipcm__ip_of(&address, ip, &port);
    return memcmp(ip, mapped, sizeof mapped) == 0 ||
           memcmp(ip, one, sizeof one) == 0;
}

static int fail_resolve(const struct ipcm__address *address, int error)
{
    if (error == EAI_MEMORY)
        return ipcm__fail(-ENOMEM, "no memory to look for %s", address->host);
    if (error == EAI_SYSTEM)
        return ipcm__fail(-EHOSTUNREACH, "no host %s: %s", address->host,
                          ipc_strerror(-errno));
    return ipcm__fail(-EHOSTUNREACH, "no host %s: %s", address->host,
                      gai_strerror(error));
}

int ipcm__resolve(const struct ipcm__address *address, bool plain,
                  struct addrinfo **out)
{
    struct addrinfo hints;
    struct addrinfo *list = NULL;
    char port[8];

    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    snprintf(port, sizeof port, "%u", (unsigned)address->port);
    const int error = getaddrinfo(address->host, port, &hints, &list);
    if (error != 0)
        return fail_resolve(address, error);
    if (address->transport == IPCM__TCP && !plain) {
        for (const struct addrinfo *at = list; at != NULL; at = at->ai_next) {
            if (is_loopback(at))
                continue;
            freeaddrinfo(list);
            return ipcm__fail(-EPERM,
                              "tcp://%s:%u is neither encrypted nor loopback: "
                              "use tls, or ask for plain tcp",
                              address->host, (unsigned)address->port);
        }
    }
    *out = list;
    return 0;
}

void ipcm__ip_of(const struct sockaddr_storage *from, uint8_t ip[16],
                 uint16_t *port)
{
    memset(ip, 0, 16);
    *port = 0;
    if (from->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, from, sizeof in6);
        memcpy(ip, &in6.sin6_addr, 16);
        *port = ntohs(in6.sin6_port);
    } else if (from->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof in);
        ip[10] = 0xff;
        ip[11] = 0xff;
        memcpy(ip + 12, &in.sin_addr, 4);
        *port = ntohs(in.sin_port);
    }
}

void ipcm__tcp_settings(int fd)
{
    static const struct {
        int level;
        int name;
        int value;
    } settings[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},  {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 5}, {IPPROTO_TCP, TCP_KEEPINTVL, 5},
        {IPPROTO_TCP, TCP_KEEPCNT, 2},  {IPPROTO_TCP, TCP_USER_TIMEOUT, 15000},
    };
    /* A socket that does not know one of them works without it. */
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        (void)setsockopt(fd, settings[i].level, settings[i].name,
                         &settings[i].value, sizeof settings[i].value);
}
