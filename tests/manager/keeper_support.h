/* A server with a store, that may end and begin again. */
#ifndef MANAGER_KEEPER_SUPPORT_H
#define MANAGER_KEEPER_SUPPORT_H

#include "manager/queue_support.h"

#define ALWAYS   ipc_str("durability"), ipc_i64(IPC_DURABLE_ALWAYS)
#define INTERVAL ipc_str("durability"), ipc_i64(IPC_DURABLE_INTERVAL)

static char store_path[256];

static inline void begin_with(uint32_t snapshot_bytes)
{
    (void)snprintf(store_path, sizeof store_path, "%s/store", test_tmpdir());
    config_begin();
    the_config.store = store_path;
    the_config.snapshot_bytes = snapshot_bytes;
    the_config.limits.local_session_grace_ms = 1000;
    server_open();
    a = client_new();
    b = client_new();
}

static inline void begin(void)
{
    begin_with(64u << 20);
}

static inline void restart(void)
{
    const uint32_t snapshot_bytes = the_config.snapshot_bytes;
    server_end();
    begin_with(snapshot_bytes);
}

#endif
