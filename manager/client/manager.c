/* Managers: connecting, closing, what is known about them. */
#include "client/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "base/atomic.h"
#include "base/options.h"
#include "fail.h"

#define CONNECT_MS   5000u
#define RECONNECT_MS 10000u
#define REPLY_MS     30000u

/* Between attempts at a first connection. */
#define FIRST_PAUSE_MS 5
#define LAST_PAUSE_MS  200

/* ---- references ---- */

void ipcm__manager_hold(ipc_manager *manager)
{
    (void)add_relaxed(&manager->references, 1);
}

void ipcm__manager_drop(ipc_manager *manager)
{
    /* What others did with it is seen by the last. */
    if (__atomic_fetch_sub(&manager->references, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    ipcm__link_free(manager);
    ipcm__tls_free(manager->tls);
    sodium_memzero(manager->key, sizeof manager->key);
    free(manager);
}

/* ---- making one ---- */

ipc_manager *ipcm__manager_new(void)
{
    ipc_manager *manager = calloc(1, sizeof *manager);
    if (manager == NULL)
        return NULL;
    manager->references = 1;
    manager->stop_fd = -1;
    return manager;
}

static int take_address(ipc_manager *manager, const char *address)
{
    int rc = ipcm__address_parse(address, &manager->address);
    if (rc == 0 && manager->address.transport == IPCM__UNIX &&
        manager->address.path[0] == '\0')
        rc = ipcm__address_default(&manager->address, false);
    if (rc == 0)
        ipcm__address_format(&manager->address, manager->address_text,
                             sizeof manager->address_text);
    return rc;
}

static int take_key(ipc_manager *manager, const void *key, size_t bytes)
{
    if (bytes < IPC_MANAGER_KEY_MIN || bytes > IPC_MANAGER_KEY_MAX)
        return ipcm__fail(-EINVAL,
                          "the key has %zu bytes; %u to %u are permitted",
                          bytes, IPC_MANAGER_KEY_MIN, IPC_MANAGER_KEY_MAX);
    memcpy(manager->key, key, bytes);
    manager->key_bytes = bytes;
    return 0;
}

static int take_tls(ipc_manager *manager,
                    const ipc_manager_connect_options *options)
{
    if (manager->address.transport != IPCM__TLS)
        return 0;
    const char *name = options->tls_name;
    if (name == NULL)
        name = manager->address.host;
    const struct ipcm__tls_options tls = {
        .certificate = options->tls_certificate,
        .key = options->tls_key,
        .ca = options->tls_ca,
        .name = options->tls_ca != NULL ? name : NULL,
    };
    return ipcm__tls_new(&tls, &manager->tls);
}

int ipcm__manager_fill(ipc_manager *manager, const char *address,
                       const void *key, size_t key_bytes,
                       const ipc_manager_connect_options *options)
{
    const uint32_t known = IPC_MANAGER_PLAIN_TCP | IPC_MANAGER_NO_ARENA;
    if ((options->flags & ~known) != 0)
        return ipcm__fail(-EINVAL, "unknown flags 0x%x", options->flags);
    manager->flags = options->flags;
    manager->connect_ms =
        options->connect_ms != 0 ? options->connect_ms : CONNECT_MS;
    manager->reconnect_ms =
        options->reconnect_ms != 0 ? options->reconnect_ms : RECONNECT_MS;
    manager->reply_ms = options->reply_ms != 0 ? options->reply_ms : REPLY_MS;
    ipcm__label_take(manager, options->label);
    int rc = take_address(manager, address);
    if (rc == 0)
        rc = take_key(manager, key, key_bytes);
    if (rc == 0)
        rc = take_tls(manager, options);
    return rc;
}

/* May somebody be there again soon, who was there a moment ago? */
static bool may_return(ipc_manager *manager, int rc)
{
    return (rc == -ECONNRESET || rc == -ECONNREFUSED || rc == -ENOENT ||
            rc == -EUSERS) &&
           !(ipcm__server_is_ours(manager) && ipcm__server_has_ended(manager));
}

/* A server that ends in the middle of the handshake may be one that is started
 * again; and one that many come to at once has time for us a little later. */
int ipcm__manager_begin(ipc_manager *manager)
{
    const ipc_deadline deadline = ipc_after_ms(manager->connect_ms);
    int rc = ipcm__link_connect(manager, deadline);
    const bool was_there = rc == -ECONNRESET || rc == -EUSERS;
    for (int ms = FIRST_PAUSE_MS; was_there && may_return(manager, rc) &&
                                  ipc_time_left(deadline) > IPC_MS(ms);
         ms = ms < LAST_PAUSE_MS ? 2 * ms : ms) {
        ipc_sleep_until(ipc_after_ms(ms));
        rc = ipcm__link_connect(manager, deadline);
    }
    if (was_there && rc == -ETIMEDOUT)
        rc = ipcm__fail(-ECONNRESET, "the other side has ended the connection "
                                     "during the handshake, and there was no "
                                     "time for another one");
    return rc != 0 ? rc : ipcm__arena_fetch(manager);
}

static void give_up(ipc_manager *manager)
{
    if (manager->link != NULL)
        ipcm__link_end(manager);
    ipcm__manager_drop(manager);
}

int ipc_manager_connect(const char *address, const void *key, size_t key_bytes,
                        const ipc_manager_connect_options *options,
                        ipc_manager **out)
{
    ipc_manager_connect_options given;
    int rc = ipc__options_read(&given, sizeof given, options);
    if (rc != 0)
        return ipcm__fail(rc, "options of another version");
    ipc_manager *manager = ipcm__manager_new();
    if (manager == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a manager");
    rc = ipcm__manager_fill(manager, address, key, key_bytes, &given);
    if (rc == 0)
        rc = ipcm__manager_begin(manager);
    if (rc != 0) {
        give_up(manager);
        return rc;
    }
    *out = manager;
    return 0;
}

/* ---- ending ---- */

int ipc_manager_close(ipc_manager *manager)
{
    if (manager == NULL)
        return 0;
    int rc = ipcm__link_close(manager);
    if (rc != 0)
        return rc;
    rc = ipcm__arenas_close(manager);
    if (rc != 0) {
        ipcm__link_reopen(manager);
        return rc;
    }
    ipcm__link_end(manager);
    if (ipcm__server_is_ours(manager))
        ipcm__server_stop(manager);
    if (manager->starter != 0)
        (void)ipc_process_close(&manager->server);
    if (manager->stop_fd >= 0)
        close(manager->stop_fd);
    ipcm__manager_drop(manager);
    return 0;
}

int ipc_manager_shutdown(ipc_manager *manager)
{
    if (ipcm__server_is_ours(manager)) {
        ipcm__server_stop(manager);
        return 0;
    }
    const int rc =
        ipcm__call_manager(manager, IPCM__OP_SHUTDOWN, NULL, 0, NULL);
    return rc < 0 ? rc : 0;
}

/* ---- what is known ---- */

const char *ipc_manager_address(const ipc_manager *manager)
{
    return manager->address_text;
}

const void *ipc_manager_key(const ipc_manager *manager, size_t *bytes)
{
    *bytes = manager->key_bytes;
    return manager->key;
}

ipc_arena *ipc_manager_arena(ipc_manager *manager)
{
    return load_acquire(&manager->arena);
}
