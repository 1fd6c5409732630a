/* Servers for tests of the client: embedded ones, and ones in a role that can
 * be killed and started again at the same address. */
#ifndef MANAGER_CLIENT_SUPPORT_H
#define MANAGER_CLIENT_SUPPORT_H

#include "harness/harness.h"
#include "harness/role.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/managed.h>
#include <ipc/manager.h>
#include <ipc/process.h>
#include <ipc/remote.h>

#define CLIENT_KEY "a key for tests that has more than 32 bytes"

/* The call is done: 0, with the detail if it is not. */
#define OK(call) client_ok((call), #call, __FILE__, __LINE__)
static inline void client_ok(int64_t rc, const char *what, const char *file,
                             int line)
{
    if (rc != 0)
        test_fail_at(file, line, "%s: %lld %s: %s", what, (long long)rc,
                     ipc_strerror((int)rc), ipc_error_detail());
}

/* The call returns this. */
#define IS(call, expected)                                                     \
    client_is((call), (expected), #call, __FILE__, __LINE__)
static inline void client_is(int64_t rc, int64_t expected, const char *what,
                             const char *file, int line)
{
    if (rc != expected)
        test_fail_at(file, line, "%s: %lld where %lld was expected: %s", what,
                     (long long)rc, (long long)expected, ipc_error_detail());
}

static inline ipc_manager *client_start(const ipc_manager_options *options)
{
    ipc_manager *manager = NULL;
    OK(ipc_manager_start(options, &manager));
    return manager;
}

static inline ipc_list *client_served_list(ipc_manager *manager,
                                           const char *name)
{
    ipc_manager_object_options options = IPC_MANAGER_OBJECT_OPTIONS_INIT;
    options.flags = IPC_MANAGER_SERVED;
    ipc_any list;
    const int rc =
        ipc_manager_open(manager, IPC_TYPE_LIST, name, &options, &list);
    if (rc < 0)
        test_fail("open: %s: %s", ipc_strerror(rc), ipc_error_detail());
    return list.list;
}

/* ---- a server in a role ---- */

struct client_server {
    char address[IPC_MANAGER_KEY_MAX]; /* as it became */
    char asked[160];
    char store[160];
    uint32_t durability;
    uint32_t flags;
    ipc_manager_limits limits;
    uint32_t ready;
    struct role role;
};

static inline int client_server_ready(void *arg, const char *const *addresses,
                                      size_t count)
{
    struct client_server *server = arg;
    assert_true(count >= 1);
    snprintf(server->address, sizeof server->address, "%s", addresses[0]);
    meet_signal(&server->ready);
    return 0;
}

static inline void client_server_main(void *arg)
{
    struct client_server *server = arg;
    const char *addresses[] = {server->asked};
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    options.flags = server->flags;
    options.addresses = addresses;
    options.address_count = 1;
    options.key = CLIENT_KEY;
    options.key_bytes = strlen(CLIENT_KEY);
    options.limits = &server->limits;
    if (server->store[0] != '\0')
        options.store = server->store;
    options.durability = server->durability;
    options.ready = client_server_ready;
    options.arg = server;
    OK(ipc_manager_serve(&options));
}

static inline struct client_server *client_server_new(const char *address)
{
    static int number;
    struct client_server *server = test_shared(sizeof *server);
    const ipc_manager_limits limits = IPC_MANAGER_LIMITS_INIT;
    server->limits = limits;
    if (address != NULL) {
        snprintf(server->asked, sizeof server->asked, "%s", address);
        return server;
    }
    char folder[100];
    snprintf(folder, sizeof folder, "%s/d%d", test_tmpdir(), number++);
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(server->asked, sizeof server->asked, "unix:%s/s", folder);
    return server;
}

static inline void client_server_start(struct client_server *server)
{
    server->ready = 0;
    role_start(&server->role, client_server_main, server);
    meet_wait(&server->ready, 1, 10000);
}

static inline void client_server_kill(struct client_server *server)
{
    role_kill(&server->role);
}

static inline ipc_manager *
client_connect_with(const char *address,
                    const ipc_manager_connect_options *options)
{
    ipc_manager *manager = NULL;
    OK(ipc_manager_connect(address, CLIENT_KEY, strlen(CLIENT_KEY), options,
                           &manager));
    return manager;
}

static inline ipc_manager *client_connect(const struct client_server *server)
{
    return client_connect_with(server->address, NULL);
}

#endif
