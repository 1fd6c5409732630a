/* Looking at a manager. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/options.h"
#include "client/client.h"
#include "fail.h"

static int ping_once(ipc_manager *manager, ipc_deadline deadline)
{
    uint64_t epoch = 0;
    const int rc = ipcm__link_up_until(manager, deadline, &epoch);
    if (rc != 0)
        return rc;
    struct ipcm__ask ask = {.request = {.op = IPCM__OP_PING}};
    const int asked = ipcm__link_ask(manager, epoch, &ask, 1, deadline);
    if (asked != 0)
        return asked;
    if (ask.status < 0 && ask.status != IPCM__AGAIN)
        ipc_remote_detail("%s", ask.detail);
    ipcm__free_numbers(&ask.results);
    return ask.status;
}

int ipc_manager_ping(ipc_manager *manager, ipc_deadline deadline)
{
    int rc = IPCM__AGAIN;
    for (int i = 0; rc == IPCM__AGAIN && i < IPCM__TRIES; i++)
        rc = ping_once(manager, deadline);
    if (rc == IPCM__AGAIN)
        return ipcm__fail_again();
    return rc < 0 ? rc : 0;
}

/* One result, of that type; the caller's. */
static int ask_for_one(ipc_manager *manager, uint32_t op, uint32_t type,
                       ipc_any *out)
{
    ipc_anys results = {NULL, 0};
    const int rc = ipcm__call_manager(manager, op, NULL, 0, &results);
    if (rc < 0)
        return rc;
    if (results.count < 1 || results.items[0].type != type) {
        ipc_anys_free(&results);
        return ipcm__fail(-EPROTO, "an answer that makes no sense");
    }
    *out = results.items[0];
    results.items[0] = ipc_nil();
    ipc_anys_free(&results);
    return 0;
}

int64_t ipc_manager_number_of_objects(ipc_manager *manager)
{
    ipc_any number;
    const int rc = ask_for_one(manager, IPCM__OP_COUNT, IPC_TYPE_I64, &number);
    return rc != 0 ? rc : number.i64;
}

int ipc_manager_names(ipc_manager *manager, ipc_anys *out)
{
    const int rc = ipcm__call_manager(manager, IPCM__OP_NAMES, NULL, 0, out);
    return rc < 0 ? rc : 0;
}

int ipc_manager_debug_info(ipc_manager *manager, ipc_any *out)
{
    return ask_for_one(manager, IPCM__OP_DEBUG, IPC_TYPE_STR, out);
}

/* ---- figures ---- */

#define FIGURE(name)                                                           \
    {                                                                          \
#        name, offsetof(ipc_manager_stats, name),                              \
            sizeof(((ipc_manager_stats *)0)->name)                             \
    }

static const struct figure {
    const char *name;
    size_t offset;
    size_t size;
} figures[] = {
    FIGURE(pid),         FIGURE(up_ns),       FIGURE(instance),
    FIGURE(objects),     FIGURE(sessions),    FIGURE(connections),
    FIGURE(waiting),     FIGURE(requests),    FIGURE(repeated),
    FIGURE(accepted),    FIGURE(refused_key), FIGURE(refused_limit),
    FIGURE(broken),      FIGURE(slow),        FIGURE(bytes_in),
    FIGURE(bytes_out),   FIGURE(arena_bytes), FIGURE(memory_bytes),
    FIGURE(queue_bytes), FIGURE(store_bytes), FIGURE(commits),
};

static void take_figure(const ipc_any *name, const ipc_any *value,
                        ipc_manager_stats *stats)
{
    if (name->type != IPC_TYPE_STR ||
        (value->type != IPC_TYPE_I64 && value->type != IPC_TYPE_U64))
        return;
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        if (strcmp(name->str, figures[i].name) != 0)
            continue;
        char *at = (char *)stats + figures[i].offset;
        const uint32_t narrow = (uint32_t)value->u64;
        if (figures[i].size == sizeof narrow)
            memcpy(at, &narrow, sizeof narrow);
        else
            memcpy(at, &value->u64, sizeof value->u64);
    }
}

int ipc_manager_query(ipc_manager *manager, ipc_manager_stats *stats)
{
    ipc_manager_stats ours = IPC_MANAGER_STATS_INIT;
    ipc_anys results = {NULL, 0};
    const int rc =
        ipcm__call_manager(manager, IPCM__OP_STATS, NULL, 0, &results);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i + 1 < results.count; i += 2)
        take_figure(&results.items[i], &results.items[i + 1], &ours);
    ipc_anys_free(&results);
    return ipc__info_write(stats, &ours, sizeof ours) != 0
               ? ipcm__fail(-EINVAL, "a structure of no version")
               : 0;
}
