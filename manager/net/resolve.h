/* Names of hosts to addresses, and what the sockets of tcp need. */
#ifndef IPC_MANAGER_NET_RESOLVE_H
#define IPC_MANAGER_NET_RESOLVE_H

#include <sys/socket.h>

#include "net/net.h"

struct addrinfo;

/* All addresses of a tcp or tls host: to be ended by freeaddrinfo().  plain:
 * tcp may be other than loopback, else that is -EPERM.  Asking for a name takes
 * as long as the resolver takes.  -EHOSTUNREACH no such host; -ENOMEM. */
int ipcm__resolve(const struct ipcm__address *address, bool plain,
                  struct addrinfo **out);

/* The IPv6 address, or the IPv4 one mapped; and the port. */
void ipcm__ip_of(const struct sockaddr_storage *from, uint8_t ip[16],
                 uint16_t *port);

/* No delay, and death of the other side noticed within 15 s. */
void ipcm__tcp_settings(int fd);

#endif
