/* Limits: their names, and what they are if nobody says. */
#include "managerd.h"

#include <errno.h>
#include <string.h>

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

#define LIMIT_OF(field, wide, is, what)                                        \
    {                                                                          \
#        field, what, is, offsetof(ipc_manager_limits, field), wide            \
    }
#define LIMIT(field, is, what)   LIMIT_OF(field, false, is, what)
#define LIMIT64(field, is, what) LIMIT_OF(field, true, is, what)

const struct managerd_limit managerd_limits[] = {
    LIMIT(frame_bytes, MIB, "one request or reply"),
    LIMIT(depth, 16, "of nested arrays in it"),
    LIMIT(nodes, 65536, "values in it, all told"),
    LIMIT(key_bytes, 4096, "a key or a name"),
    LIMIT(value_bytes, 0, "a string or bytes; 0: what fits a frame"),
    LIMIT(connections, 1024, "at a time"),
    LIMIT(connections_per_peer, 0, "of one uid or IP address; 0: no other"),
    LIMIT(half_open, 64, "of one peer in the handshake"),
    LIMIT(handshake_ms, 2000, "for all of it"),
    LIMIT(in_flight, 256, "requests of one client, not answered yet"),
    LIMIT(turn, 32, "requests before others have their turn"),
    LIMIT(queued_bytes, 4 * MIB, "replies that a client has not taken yet"),
    LIMIT(slow_client_ms, 10000, "with these full; then it is dropped"),
    LIMIT(session_grace_ms, 10000, "to come back, over tcp and tls"),
    LIMIT(local_session_grace_ms, 0, "to come back, over unix"),
    LIMIT(restart_grace_ms, 10000, "to come back after a restart"),
    LIMIT(session_reply_bytes, MIB, "answers kept for who comes back"),
    LIMIT(session_objects, 16384, "handles of one session"),
    LIMIT(objects, 1048576, "of all kinds"),
    LIMIT(container_length, UINT32_MAX, "items in one served container"),
    LIMIT64(arena_bytes, GIB, "of the arena that is given out"),
    LIMIT64(memory_bytes, GIB, "of the containers that are not"),
    LIMIT64(queue_bytes, 256 * MIB, "values, arrays and queues, all told"),
    LIMIT(reply_ms, 5000, "to wait for an arena that somebody holds"),
    LIMIT(drain_ms, 2000, "for what is under way, at the end"),
};
const size_t managerd_limit_count =
    sizeof managerd_limits / sizeof managerd_limits[0];

static const struct managerd_limit *find(const char *name, size_t bytes)
{
    for (size_t i = 0; i < managerd_limit_count; i++)
        if (strlen(managerd_limits[i].name) == bytes &&
            memcmp(managerd_limits[i].name, name, bytes) == 0)
            return &managerd_limits[i];
    return NULL;
}

bool managerd_limit_is_size(const struct managerd_limit *limit)
{
    const char *end = strrchr(limit->name, '_');
    return end != NULL && strcmp(end, "_bytes") == 0;
}

int managerd_limit_set(ipc_manager_limits *limits, const char *text)
{
    const size_t bytes = strcspn(text, "=");
    const struct managerd_limit *limit = find(text, bytes);
    uint64_t value;
    if (text[bytes] != '=' || limit == NULL) {
        managerd_log(IPC_MANAGER_LOG_ERROR,
                     text[bytes] != '='
                         ? "--limit takes NAME=VALUE, not '%s'"
                         : "--limit %s: there is no such limit; see --help",
                     text);
        return -EINVAL;
    }
    const char *given = text + bytes + 1;
    const uint64_t most = limit->is_64 ? UINT64_MAX : UINT32_MAX;
    if (managerd_number(given, managerd_limit_is_size(limit), most, &value) <
        0) {
        managerd_log(IPC_MANAGER_LOG_ERROR,
                     "--limit %s takes a number up to %llu%s, not '%s'",
                     limit->name, (unsigned long long)most,
                     managerd_limit_is_size(limit)
                         ? ", or with K, M or G behind it"
                         : "",
                     given);
        return -EINVAL;
    }
    char *at = (char *)limits + limit->offset;
    const uint32_t small = (uint32_t)value;
    if (limit->is_64)
        memcpy(at, &value, sizeof value);
    else
        memcpy(at, &small, sizeof small);
    return 0;
}
