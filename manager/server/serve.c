/* To be a server, and to look whether one could be. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fail.h"
#include "server/core.h"

/* ---- serve ---- */

int ipc_manager_serve(const ipc_manager_options *options)
{
    struct ipcm__config config;
    struct ipcm__server *server;
    const char *const *addresses;
    int rc = ipcm__config_read(options, false, &config);
    if (rc < 0)
        return rc;
    rc = ipcm__server_open(&config, &server);
    if (rc == 0) {
        const size_t count = ipcm__server_addresses(server, &addresses);
        if (config.ready != NULL)
            rc = config.ready(config.arg, addresses, count);
        if (rc >= 0)
            rc = ipcm__server_run(server);
        ipcm__server_free(server);
    }
    ipcm__config_free(&config);
    return rc;
}

/* ---- check ---- */

/* The folder of a socket: if it is there it must be ours, and nobody else's. */
static int check_folder(const struct ipcm__config *config, const char *path)
{
    char folder[sizeof config->addresses[0].path];
    struct stat about;
    (void)snprintf(folder, sizeof folder, "%s", path);
    char *end = strrchr(folder, '/');
    if (end == NULL || end == folder)
        return ipcm__fail(-EINVAL, "%s is in no folder of its own", path);
    *end = 0;
    if (lstat(folder, &about) != 0)
        return errno == ENOENT ? 0 : ipcm__fail(-errno, "%s", folder);
    const mode_t others = config->uid_count != 0 ? 0066 : 0077;
    if (!S_ISDIR(about.st_mode) || about.st_uid != geteuid() ||
        (about.st_mode & others) != 0)
        return ipcm__fail(-EACCES, "%s is not a folder of ours alone", folder);
    return 0;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;
        return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) != 0;
    }
    const struct sockaddr_in *in = (const void *)address;
    return address->sa_family == AF_INET &&
           ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

/* Could it be had? */
static int check_bind(const struct addrinfo *info, const char *text)
{
    const int on = 1;
    const int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ipcm__fail(-errno, "%s", text);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const int rc = bind(fd, info->ai_addr, info->ai_addrlen) == 0
                       ? 0
                       : ipcm__fail(-errno, "%s cannot be had", text);
    close(fd);
    return rc;
}

static int check_host(const struct ipcm__config *config,
                      const struct ipcm__address *address)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *all;
    char text[IPCM__ADDRESS_TEXT];
    char port[8];
    ipcm__address_format(address, text, sizeof text);
    (void)snprintf(port, sizeof port, "%u", address->port);
    if (getaddrinfo(address->host, port, &hints, &all) != 0)
        return ipcm__fail(-EHOSTUNREACH, "%s: no such host", text);
    int rc = 0;
    for (const struct addrinfo *at = all; at != NULL && rc == 0;
         at = at->ai_next)
        if (address->transport == IPCM__TCP && !is_loopback(at->ai_addr) &&
            (config->flags & IPC_MANAGER_PLAIN_TCP) == 0)
            rc = ipcm__fail(-EPERM, "%s is not encrypted, and not loopback",
                            text);
    if (rc == 0 && all != NULL)
        rc = check_bind(all, text);
    freeaddrinfo(all);
    return rc;
}

static int check_tls(const struct ipcm__config *config)
{
    const struct ipcm__tls_options options = {.server = true,
                                              .certificate =
                                                  config->tls_certificate,
                                              .key = config->tls_key,
                                              .ca = config->tls_client_ca};
    struct ipcm__tls *tls;
    const int rc = ipcm__tls_new(&options, &tls);
    if (rc == 0)
        ipcm__tls_free(tls);
    return rc;
}

static int check_address(const struct ipcm__config *config,
                         const struct ipcm__address *address)
{
    if (address->transport == IPCM__UNIX)
        return check_folder(config, address->path);
    const int rc = address->transport == IPCM__TLS ? check_tls(config) : 0;
    return rc == 0 ? check_host(config, address) : rc;
}

static int check_store(const struct ipcm__config *config)
{
    struct ipcm__store *store;
    const int rc =
        ipcm__store_open(config->store, IPCM__STORE_CHECK_ONLY, &store);
    return rc == 0 ? ipcm__store_close(store) : rc;
}

int ipc_manager_check(const ipc_manager_options *options)
{
    struct ipcm__config config;
    int rc = ipcm__config_read(options, false, &config);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < config.address_count && rc == 0; i++)
        rc = check_address(&config, &config.addresses[i]);
    if (rc == 0 && config.store != NULL)
        rc = check_store(&config);
    ipcm__config_free(&config);
    return rc;
}
