/* Config: the options of a server, with every default filled in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/options.h"
#include "fail.h"
#include "server/core.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

#define SNAPSHOT_BYTES (64u << 20)

/* ---- limits ---- */

struct limit {
    const char *name;
    size_t offset;
    bool is_64;
    uint64_t is; /* when it is 0 */
    uint64_t least;
    uint64_t most;
};

#define LIMIT_OF(field, wide, is, least, most)                                 \
    {                                                                          \
#        field, offsetof(ipc_manager_limits, field), wide, is, least, most     \
    }
#define LIMIT(field, is, least, most)   LIMIT_OF(field, false, is, least, most)
#define LIMIT64(field, is, least, most) LIMIT_OF(field, true, is, least, most)

static const struct limit table[] = {
    LIMIT(frame_bytes, MIB, 4 * KIB, 64 * MIB),
    LIMIT(depth, 16, 3, 64),
    LIMIT(nodes, 65536, 16, UINT32_MAX),
    LIMIT(key_bytes, 4096, 1, 64 * MIB),
    LIMIT(value_bytes, 0, 0, 64 * MIB),
    LIMIT(connections, 1024, 1, 1 << 20),
    LIMIT(connections_per_peer, 0, 0, 1 << 20),
    LIMIT(half_open, 64, 1, 1 << 20),
    LIMIT(handshake_ms, 2000, 10, 600000),
    LIMIT(in_flight, 256, 1, 65536),
    LIMIT(turn, 32, 1, 1 << 20),
    LIMIT(queued_bytes, 4 * MIB, KIB, GIB),
    LIMIT(slow_client_ms, 10000, 10, 86400000),
    LIMIT(session_grace_ms, 10000, 0, 86400000),
    LIMIT(local_session_grace_ms, 0, 0, 86400000),
    LIMIT(restart_grace_ms, 10000, 0, 86400000),
    LIMIT(session_reply_bytes, MIB, 0, GIB),
    LIMIT(session_objects, 16384, 1, UINT32_MAX),
    LIMIT(objects, 1048576, 1, UINT32_MAX),
    LIMIT(container_length, UINT32_MAX, 1, UINT32_MAX),
    LIMIT64(arena_bytes, GIB, 64 * KIB, 32 * GIB),
    LIMIT64(memory_bytes, GIB, 64 * KIB, 32 * GIB),
    LIMIT64(queue_bytes, 256 * MIB, 1, UINT64_MAX),
    LIMIT(reply_ms, 5000, 1, 86400000),
    LIMIT(drain_ms, 2000, 1, 86400000),
};

static uint64_t load(const ipc_manager_limits *limits, const struct limit *one)
{
    const char *at = (const char *)limits + one->offset;
    uint32_t small;
    uint64_t large;
    memcpy(&small, at, sizeof small);
    if (!one->is_64)
        return small;
    memcpy(&large, at, sizeof large);
    return large;
}

static void store(ipc_manager_limits *limits, const struct limit *one,
                  uint64_t value)
{
    char *at = (char *)limits + one->offset;
    const uint32_t small = (uint32_t)value;
    if (one->is_64)
        memcpy(at, &value, sizeof value);
    else
        memcpy(at, &small, sizeof small);
}

static int read_limits(const ipc_manager_limits *given, ipc_manager_limits *out)
{
    const int rc = ipc__options_read(out, sizeof *out, given);
    if (rc < 0)
        return ipcm__fail(rc, "the limits");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct limit *one = &table[i];
        const uint64_t value = load(out, one);
        if (value == 0)
            store(out, one, one->is);
        else if (value < one->least || value > one->most)
            return ipcm__fail(-EINVAL, "%s is %llu: %llu to %llu are possible",
                              one->name, (unsigned long long)value,
                              (unsigned long long)one->least,
                              (unsigned long long)one->most);
    }
    out->size = sizeof *out;
    return 0;
}

/* ---- addresses and the key ---- */

static int read_addresses(const ipc_manager_options *given, bool embedded,
                          struct ipcm__config *out)
{
    if (given->address_count > IPCM__DOORS_MAX)
        return ipcm__fail(-EINVAL, "%zu addresses: at most %d are possible",
                          given->address_count, IPCM__DOORS_MAX);
    for (size_t i = 0; i < given->address_count; i++) {
        struct ipcm__address *address = &out->addresses[i];
        int rc = ipcm__address_parse(given->addresses[i], address);
        if (rc == 0 && address->transport == IPCM__UNIX &&
            address->path[0] == 0)
            rc = ipcm__address_default(address, false);
        if (rc < 0)
            return rc;
        if (address->transport == IPCM__TLS &&
            (given->tls_certificate == NULL || given->tls_key == NULL))
            return ipcm__fail(-EINVAL, "%s needs tls_certificate and tls_key",
                              given->addresses[i]);
    }
    out->address_count = given->address_count;
    if (out->address_count != 0)
        return 0;
    out->address_count = 1;
    out->is_chosen = embedded;
    return ipcm__address_default(&out->addresses[0], embedded);
}

static int read_key(const ipc_manager_options *given, bool embedded,
                    struct ipcm__config *out)
{
    if (given->key == NULL && embedded) {
        if (sodium_init() < 0)
            return ipcm__fail(-EIO, "no random numbers");
        out->key_bytes = IPC_MANAGER_KEY_MIN;
        randombytes_buf(out->key, out->key_bytes);
        return 0;
    }
    if (given->key == NULL || given->key_bytes < IPC_MANAGER_KEY_MIN ||
        given->key_bytes > IPC_MANAGER_KEY_MAX)
        return ipcm__fail(-EINVAL, "a key has %u to %u bytes",
                          IPC_MANAGER_KEY_MIN, IPC_MANAGER_KEY_MAX);
    out->key_bytes = given->key_bytes;
    memcpy(out->key, given->key, given->key_bytes);
    return 0;
}

/* ---- the rest ---- */

static int copy_text(const char *text, char **out)
{
    *out = text != NULL ? strdup(text) : NULL;
    return *out != NULL || text == NULL
               ? 0
               : ipcm__fail(-ENOMEM, "no memory for an option");
}

static int copy_texts(const ipc_manager_options *given,
                      struct ipcm__config *out)
{
    int rc = copy_text(given->store, &out->store);
    if (rc == 0)
        rc = copy_text(given->tls_certificate, &out->tls_certificate);
    if (rc == 0)
        rc = copy_text(given->tls_key, &out->tls_key);
    if (rc == 0)
        rc = copy_text(given->tls_client_ca, &out->tls_client_ca);
    if (rc < 0 || given->uid_count == 0)
        return rc;
    out->uids = calloc(given->uid_count, sizeof *out->uids);
    if (out->uids == NULL)
        return ipcm__fail(-ENOMEM, "no memory for the uids");
    memcpy(out->uids, given->uids, given->uid_count * sizeof *out->uids);
    out->uid_count = given->uid_count;
    return 0;
}

static int check(const ipc_manager_options *given)
{
    const uint32_t known = IPC_MANAGER_PLAIN_TCP | IPC_MANAGER_NO_ARENA |
                           IPC_MANAGER_REMOTE_SHUTDOWN;
    if ((given->flags & ~known) != 0)
        return ipcm__fail(-EINVAL, "unknown flags 0x%x", given->flags & ~known);
    if (given->durability > IPC_DURABLE_ALWAYS)
        return ipcm__fail(-EINVAL, "durability is 0 to %d", IPC_DURABLE_ALWAYS);
    if (given->durability > IPC_DURABLE_NONE && given->store == NULL)
        return ipcm__fail(-EINVAL, "a durability without a store");
    if ((given->addresses == NULL && given->address_count != 0) ||
        (given->uids == NULL && given->uid_count != 0))
        return ipcm__fail(-EINVAL, "a count of what is NULL");
    return 0;
}

static int fill(const ipc_manager_options *given, bool embedded,
                struct ipcm__config *out)
{
    int rc = read_limits(given->limits, &out->limits);
    if (rc == 0)
        rc = read_addresses(given, embedded, out);
    if (rc == 0)
        rc = read_key(given, embedded, out);
    if (rc == 0)
        rc = copy_texts(given, out);
    out->flags = given->flags;
    out->durability = given->durability;
    out->snapshot_bytes =
        given->snapshot_bytes != 0 ? given->snapshot_bytes : SNAPSHOT_BYTES;
    out->wire = (struct ipcm__wire_limits){
        out->limits.frame_bytes, out->limits.depth, out->limits.nodes};
    out->log = given->log;
    out->ready = given->ready;
    out->arg = given->arg;
    out->stop_fd = given->stop_fd > 0 ? given->stop_fd : -1;
    return rc;
}

int ipcm__config_read(const ipc_manager_options *options, bool embedded,
                      struct ipcm__config *out)
{
    ipc_manager_options given;
    memset(out, 0, sizeof *out);
    int rc = ipc__options_read(&given, sizeof given, options);
    if (rc < 0)
        return ipcm__fail(rc, "the options");
    rc = check(&given);
    if (rc == 0)
        rc = fill(&given, embedded, out);
    if (rc < 0)
        ipcm__config_free(out);
    return rc;
}

bool ipcm__config_has_tls(const struct ipcm__config *config)
{
    for (size_t i = 0; i < config->address_count; i++)
        if (config->addresses[i].transport == IPCM__TLS)
            return true;
    return false;
}

uint32_t ipcm__config_door_flags(const struct ipcm__config *config)
{
    uint32_t flags = 0;
    if ((config->flags & IPC_MANAGER_PLAIN_TCP) != 0)
        flags |= IPCM__DOOR_PLAIN_TCP;
    if (config->uid_count != 0)
        flags |= IPCM__DOOR_SHARED;
    return flags;
}

void ipcm__config_free(struct ipcm__config *config)
{
    free(config->store);
    free(config->tls_certificate);
    free(config->tls_key);
    free(config->tls_client_ca);
    free(config->uids);
    sodium_memzero(config, sizeof *config);
}
