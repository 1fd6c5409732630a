/* Config: the options as the library has them. */
#include "managerd.h"

/* It listens.  The server has a copy of the key by now. */
static int is_ready(void *arg, const char *const *addresses, size_t count)
{
    managerd_key_wipe(arg);
    for (size_t i = 0; i < count; i++)
        managerd_log(IPC_MANAGER_LOG_INFO, "listening at %s", addresses[i]);
    managerd_notify("READY=1");
    return 0;
}

void managerd_config(const struct managerd_options *options,
                     struct managerd_key *key, int stop_fd,
                     ipc_manager_options *out)
{
    const ipc_manager_options empty = IPC_MANAGER_OPTIONS_INIT;
    *out = empty;
    out->flags = options->flags;
    if (options->address_count != 0)
        out->addresses = options->addresses;
    out->address_count = options->address_count;
    out->key = key->bytes;
    out->key_bytes = key->count;
    out->store = options->store;
    out->durability = options->durability;
    out->snapshot_bytes = options->snapshot_bytes;
    out->tls_certificate = options->tls_certificate;
    out->tls_key = options->tls_key;
    out->tls_client_ca = options->tls_client_ca;
    if (options->uid_count != 0)
        out->uids = options->uids;
    out->uid_count = options->uid_count;
    out->limits = &options->limits;
    out->log = managerd_log_line;
    out->ready = is_ready;
    out->arg = key;
    out->stop_fd = stop_fd;
}
