/* To be a server, and to look whether one could be. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fail.h"
#include "net/resolve.h"
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

/* ---- check ----
 *
 * In the order of ipcm__server_open(), so that the first error is the same. */

static int check_tls(const struct ipcm__config *config)
{
    const struct ipcm__tls_options options = {.server = true,
                                              .certificate =
                                                  config->tls_certificate,
                                              .key = config->tls_key,
                                              .ca = config->tls_client_ca};
    struct ipcm__tls *tls;
    if (!ipcm__config_has_tls(config))
        return 0;
    const int rc = ipcm__tls_new(&options, &tls);
    if (rc == 0)
        ipcm__tls_free(tls);
    return rc;
}

/* A new one, and the log of an old one, have to be made beside it. */
static int check_store_folder(const char *path)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a path");
    const int rc =
        faccessat(AT_FDCWD, dirname(copy), W_OK | X_OK, AT_EACCESS) == 0
            ? 0
            : ipcm__fail(-errno, "store %s: its folder: %s", path,
                         ipc_strerror(-errno));
    free(copy);
    return rc;
}

/* Memory for both arenas, and for what is in the store: in a server that has no
 * door, and writes nothing down. */
static int check_contents(const struct ipcm__config *config)
{
    struct ipcm__config bare = *config;
    struct ipcm__server *server;
    bare.store = NULL;
    bare.log = NULL;
    explicit_bzero(bare.key, sizeof bare.key);
    int rc = ipcm__server_open_bare(&bare, &server);
    if (rc < 0)
        return rc;
    if (config->store != NULL)
        rc = check_store_folder(config->store);
    if (rc == 0 && config->store != NULL)
        rc = ipcm__keeper_look(server, config->store);
    ipcm__server_free(server);
    return rc;
}

static int check_stop(const struct ipcm__config *config)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (config->stop_fd < 0)
        return 0;
    const int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        return ipcm__fail(-errno, "no epoll: %s", ipc_strerror(-errno));
    const int rc = epoll_ctl(fd, EPOLL_CTL_ADD, config->stop_fd, &event) == 0
                       ? 0
                       : ipcm__fail(-errno, "stop_fd, which is %d: %s",
                                    config->stop_fd, ipc_strerror(-errno));
    close(fd);
    return rc;
}

/* ---- check: addresses ---- */

static bool is_any(const uint8_t ip[16])
{
    static const uint8_t v6[16];
    static const uint8_t v4[16] = {[10] = 0xff, [11] = 0xff};
    return memcmp(ip, v6, sizeof v6) == 0 || memcmp(ip, v4, sizeof v4) == 0;
}

static bool are_in_the_way(int fd, int other)
{
    struct sockaddr_storage at[2];
    uint8_t ip[2][16];
    uint16_t port[2];
    const int fds[] = {fd, other};
    if (fd < 0 || other < 0)
        return false;
    memset(at, 0, sizeof at);
    for (int i = 0; i < 2; i++) {
        socklen_t bytes = sizeof at[i];
        if (getsockname(fds[i], (struct sockaddr *)&at[i], &bytes) != 0)
            return false;
        ipcm__ip_of(&at[i], ip[i], &port[i]);
    }
    return port[0] == port[1] && (is_any(ip[0]) || is_any(ip[1]) ||
                                  memcmp(ip[0], ip[1], sizeof ip[0]) == 0);
}

/* The server would find the second one taken, by itself. */
static int check_others(const struct ipcm__config *config, const int *fds,
                        size_t which)
{
    const struct ipcm__address *address = &config->addresses[which];
    char text[IPCM__ADDRESS_TEXT];
    ipcm__address_format(address, text, sizeof text);
    for (size_t i = 0; i < which; i++) {
        const struct ipcm__address *other = &config->addresses[i];
        if (address->transport == IPCM__UNIX
                ? other->transport == IPCM__UNIX &&
                      strcmp(address->path, other->path) == 0
                : are_in_the_way(fds[which], fds[i]))
            return ipcm__fail(-EADDRINUSE, "%s is asked for twice", text);
    }
    return 0;
}

static int check_addresses(const struct ipcm__config *config)
{
    int fds[IPCM__DOORS_MAX];
    size_t count = 0;
    int rc = 0;
    while (count < config->address_count && rc == 0) {
        rc = ipcm__door_check(&config->addresses[count],
                              ipcm__config_door_flags(config), &fds[count]);
        if (rc == 0)
            rc = check_others(config, fds, count++);
    }
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return rc;
}

int ipc_manager_check(const ipc_manager_options *options)
{
    struct ipcm__config config;
    int rc = ipcm__config_read(options, false, &config);
    if (rc < 0)
        return rc;
    rc = check_tls(&config);
    if (rc == 0)
        rc = check_contents(&config);
    if (rc == 0)
        rc = check_stop(&config);
    if (rc == 0)
        rc = check_addresses(&config);
    ipcm__config_free(&config);
    return rc;
}
