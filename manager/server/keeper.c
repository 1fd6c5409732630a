/* Keeper: what is durable.
 *
 * State
 *   store      an open group of it is what this turn has done so far
 *   kept       something went into it since ipcm__keeper_kept()
 *   sync_at    what was only committed is synced then, at the latest; 0: there
 *              is nothing
 *
 * Order
 *   Rows in the order in which things were done; commit; replies.  A snapshot
 *   is a group of its own, after that of the turn, so that it can be given up.
 *
 * Death
 *   before the commit   nothing of the turn has happened, and nobody has been
 *                       told that it has;
 *   after it            all of it has, and answers that did not get out are
 *                       those of the sessions, for when they come back. */
#include "server/keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "server/core.h"

#define SYNC_EVERY  IPC_S(1)
#define RETRY_AFTER IPC_S(10) /* a snapshot that could not be made */

/* Rows of snapshots: values in one, adapted so that a row has some hundred KiB;
 * and how much of them one turn writes, when there are many small ones. */
#define VALUES_LEAST 4
#define VALUES_FIRST 64
#define VALUES_MOST  4096
#define ROW_BYTES    ((size_t)256 << 10)
#define TURN_BYTES   ((size_t)1 << 20)

/* More than any frame may have, so that what was stored can be loaded by a
 * server with other limits. */
static const struct ipcm__wire_limits store_limits = {
    .frame_bytes = 512u << 20, .depth = 64, .nodes = 64u << 20};

struct ipcm__keeper {
    struct ipcm__server *server;
    const struct ipcm__config *config;
    struct ipcm__store *store;
    struct ipcm__decoder *decoder;
    struct ipcm__buffer buffer; /* of the row that is made */
    bool kept;
    ipc_deadline sync_at;
    ipc_deadline snapshot_at; /* none before */
    bool more_snapshots;      /* the last turn had no time for all */
};

int ipcm__keeper_open(struct ipcm__server *server,
                      const struct ipcm__config *config,
                      struct ipcm__keeper **out)
{
    *out = NULL;
    if (config->store == NULL)
        return 0;
    struct ipcm__keeper *keeper = calloc(1, sizeof *keeper);
    if (keeper == NULL)
        return -ENOMEM;
    keeper->server = server;
    keeper->config = config;
    int rc = ipcm__decoder_new(&store_limits, &keeper->decoder);
    if (rc == 0)
        rc = ipcm__store_open(config->store, 0, &keeper->store);
    if (rc < 0) {
        ipcm__decoder_free(keeper->decoder);
        free(keeper);
        return rc;
    }
    *out = keeper;
    return 0;
}

int ipcm__keeper_close(struct ipcm__keeper *keeper)
{
    if (keeper == NULL)
        return 0;
    const int rc = ipcm__store_close(keeper->store);
    ipcm__decoder_free(keeper->decoder);
    ipcm__buffer_free(&keeper->buffer);
    free(keeper);
    return rc;
}

uint32_t ipcm__keeper_epoch(const struct ipcm__keeper *keeper)
{
    return keeper == NULL ? 0 : ipcm__store_epoch(keeper->store);
}

void ipcm__keeper_figures(const struct ipcm__keeper *keeper, uint64_t *bytes,
                          uint64_t *commits)
{
    *bytes = 0;
    *commits = 0;
    if (keeper != NULL)
        ipcm__store_figures(keeper->store, bytes, commits);
}

/* ---- loading ---- */

/* What came from the store is ours: if it makes no sense, it was damaged. */
static int damaged(uint64_t object, const char *what, int rc)
{
    if (rc == -ENOMEM || rc == -ENOSPC || rc == -EDQUOT)
        return ipcm__fail(rc,
                          "the store has more than fits: %s of object "
                          "%llu: %s",
                          what, (unsigned long long)object, ipc_error_detail());
    return ipcm__fail(-EUCLEAN, "the store is damaged: %s of object %llu: %s",
                      what, (unsigned long long)object, ipc_error_detail());
}

static int load_object(void *arg, const struct ipcm__store_object *row)
{
    struct ipcm__keeper *keeper = arg;
    struct ipcm__object *object;
    const ipc_any *options;
    size_t count;
    int rc = ipcm__decode_values(keeper->decoder, row->options,
                                 row->option_bytes, &options, &count);
    if (rc == 0)
        rc = ipcm__object_restore(keeper->server, row, options, count, &object);
    return rc < 0 ? damaged(row->id, "options", rc) : 0;
}

static int load_entry(void *arg, const struct ipcm__store_entry *row)
{
    struct ipcm__keeper *keeper = arg;
    struct ipcm__object *object =
        ipcm__object_find(keeper->server, row->object);
    const ipc_any *args;
    size_t count;
    if (object == NULL || object->kind->replay == NULL)
        return damaged(row->object, "a row", -EUCLEAN);
    int rc = ipcm__decode_values(keeper->decoder, row->args, row->arg_bytes,
                                 &args, &count);
    if (rc == 0)
        rc = object->kind->replay(object, row->op, args, count);
    return rc < 0 ? damaged(row->object, "a row", rc) : 0;
}

static int load_answer(void *arg, const struct ipcm__store_answer *row)
{
    const struct ipcm__keeper *keeper = arg;
    return ipcm__session_restore(keeper->server, row);
}

static const struct ipcm__store_loader loader = {load_object, load_entry,
                                                 load_answer};

int ipcm__keeper_load(struct ipcm__keeper *keeper)
{
    if (keeper == NULL)
        return 0;
    const int rc = ipcm__store_load(keeper->store, &loader, keeper);
    return rc < 0 ? rc : ipcm__objects_restored(keeper->server);
}

int ipcm__keeper_look(struct ipcm__server *server, const char *path)
{
    struct ipcm__keeper keeper = {.server = server};
    int rc = ipcm__decoder_new(&store_limits, &keeper.decoder);
    if (rc < 0)
        return rc;
    rc = ipcm__store_look(path, &loader, &keeper);
    if (rc == 0)
        rc = ipcm__objects_restored(server);
    ipcm__decoder_free(keeper.decoder);
    return rc;
}

/* ---- in a turn ---- */

static int encode(struct ipcm__keeper *keeper, const ipc_any *values,
                  size_t count)
{
    keeper->buffer.begin = 0;
    keeper->buffer.end = 0;
    return ipcm__encode_values(&keeper->buffer, &store_limits, values, count);
}

static const void *encoded(const struct ipcm__keeper *keeper, size_t *bytes)
{
    *bytes = keeper->buffer.end - keeper->buffer.begin;
    return keeper->buffer.data + keeper->buffer.begin;
}

static int log_row(struct ipcm__keeper *keeper,
                   const struct ipcm__object *object, uint32_t op)
{
    struct ipcm__store_entry row = {.object = object->id, .op = op};
    row.args = encoded(keeper, &row.arg_bytes);
    return ipcm__store_log(keeper->store, &row,
                           object->durability == IPC_DURABLE_ALWAYS);
}

int ipcm__keep(struct ipcm__object *object, uint32_t op, const ipc_any *args,
               size_t count)
{
    struct ipcm__keeper *keeper = ipcm__server_keeper(object->server);
    if (keeper == NULL || object->durability <= IPC_DURABLE_NONE)
        return 0;
    keeper->kept = true;
    const int rc = encode(keeper, args, count);
    return rc < 0 ? rc : log_row(keeper, object, op);
}

int ipcm__keeper_add(struct ipcm__keeper *keeper,
                     const struct ipcm__object *object, const ipc_any *options,
                     size_t count)
{
    if (keeper == NULL || object->durability <= IPC_DURABLE_NONE)
        return 0;
    struct ipcm__store_object row = {
        .id = object->id,
        .type = object->kind->name,
        .name = object->name,
        .name_bytes = object->name == NULL ? 0 : strlen(object->name),
        .durability = object->durability,
    };
    keeper->kept = true;
    const int rc = encode(keeper, options, count);
    if (rc < 0)
        return rc;
    row.options = encoded(keeper, &row.option_bytes);
    return ipcm__store_add(keeper->store, &row,
                           object->durability == IPC_DURABLE_ALWAYS);
}

int ipcm__keeper_drop(struct ipcm__keeper *keeper,
                      const struct ipcm__object *object)
{
    if (keeper == NULL || object->durability <= IPC_DURABLE_NONE)
        return 0;
    keeper->kept = true;
    return ipcm__store_drop(keeper->store, object->id,
                            object->durability == IPC_DURABLE_ALWAYS);
}

int ipcm__keeper_unname(struct ipcm__keeper *keeper,
                        const struct ipcm__object *object)
{
    if (keeper == NULL || object->durability <= IPC_DURABLE_NONE)
        return 0;
    keeper->kept = true;
    return ipcm__store_unname(keeper->store, object->id,
                              object->durability == IPC_DURABLE_ALWAYS);
}

bool ipcm__keeper_kept(struct ipcm__keeper *keeper)
{
    if (keeper == NULL)
        return false;
    const bool kept = keeper->kept;
    keeper->kept = false;
    return kept;
}

int ipcm__keeper_answer(struct ipcm__keeper *keeper,
                        const struct ipcm__session *session, uint64_t request,
                        const void *reply, size_t bytes)
{
    if (keeper == NULL)
        return 0;
    struct ipcm__store_answer row = {
        .uid = session->peer.transport == IPCM__UNIX ? session->peer.uid
                                                     : UINT32_MAX,
        .request = request,
        .reply = reply,
        .reply_bytes = bytes,
    };
    memcpy(row.session, session->id, sizeof row.session);
    return ipcm__store_answer(keeper->store, &row,
                              keeper->config->limits.in_flight);
}

int ipcm__keeper_forget(struct ipcm__keeper *keeper,
                        const struct ipcm__session *session)
{
    return keeper == NULL ? 0 : ipcm__store_forget(keeper->store, session->id);
}

/* ---- snapshots ---- */

/* A row larger than it should be is followed by ones with fewer values. */
static void adapt(size_t *most, size_t bytes)
{
    if (bytes > ROW_BYTES && *most > VALUES_LEAST)
        *most /= 2;
    else if (bytes < ROW_BYTES / 4 && *most < VALUES_MOST)
        *most *= 2;
}

static int save_rows(struct ipcm__keeper *keeper, struct ipcm__object *object,
                     size_t *written)
{
    size_t most = VALUES_FIRST;
    uint64_t at = 0;
    for (;;) {
        const uint64_t begin = at;
        ipc_anys args = {NULL, 0};
        uint32_t op = 0;
        size_t bytes = 0;
        int rc = object->kind->save(object, &at, most, &op, &args);
        if (rc <= 0)
            return rc;
        rc = encode(keeper, args.items, args.count);
        ipcm__results_end(&args);
        if (rc == -EMSGSIZE && most > VALUES_LEAST) {
            most /= 2;
            at = begin;
            continue;
        }
        if (rc == 0)
            rc = log_row(keeper, object, op);
        if (rc < 0)
            return rc;
        (void)encoded(keeper, &bytes);
        *written += bytes;
        adapt(&most, bytes);
    }
}

static int make_snapshot(struct ipcm__keeper *keeper,
                         struct ipcm__object *object, size_t *written)
{
    int rc = ipcm__store_snapshot_begin(keeper->store, object->id);
    if (rc < 0)
        return rc;
    rc = save_rows(keeper, object, written);
    if (rc == 0)
        rc = ipcm__store_snapshot_end(keeper->store);
    if (rc == 0)
        return ipcm__store_commit(keeper->store);
    ipcm__log(keeper->server, IPC_MANAGER_LOG_WARNING,
              "no snapshot of object %llu: %s", (unsigned long long)object->id,
              ipc_error_detail());
    keeper->snapshot_at = ipcm__now(keeper->server) + RETRY_AFTER;
    return ipcm__store_snapshot_undo(keeper->store);
}

static int make_snapshots(struct ipcm__keeper *keeper, ipc_deadline now)
{
    size_t written = 0;
    keeper->more_snapshots = false;
    while (now >= keeper->snapshot_at) {
        const uint64_t id =
            ipcm__store_worst(keeper->store, keeper->config->snapshot_bytes);
        struct ipcm__object *object =
            id == 0 ? NULL : ipcm__object_find(keeper->server, id);
        if (object == NULL || object->kind->save == NULL)
            return 0;
        if (written >= TURN_BYTES) {
            keeper->more_snapshots = true;
            return 0;
        }
        const int rc = make_snapshot(keeper, object, &written);
        if (rc < 0)
            return rc;
        written += sizeof(struct ipcm__store_entry);
    }
    return 0;
}

/* ---- the end of a turn ---- */

static int sync_in_time(struct ipcm__keeper *keeper, ipc_deadline now)
{
    if (ipcm__store_is_synced(keeper->store)) {
        keeper->sync_at = 0;
        return 0;
    }
    if (keeper->sync_at == 0)
        keeper->sync_at = now + SYNC_EVERY;
    if (now < keeper->sync_at)
        return 0;
    keeper->sync_at = 0;
    return ipcm__store_sync(keeper->store);
}

int ipcm__keeper_commit(struct ipcm__keeper *keeper, ipc_deadline now)
{
    if (keeper == NULL)
        return 0;
    int rc = ipcm__store_commit(keeper->store);
    if (rc == 0)
        rc = make_snapshots(keeper, now);
    if (rc == 0)
        rc = sync_in_time(keeper, now);
    return rc < 0 ? -EIO : 0;
}

ipc_deadline ipcm__keeper_next(const struct ipcm__keeper *keeper)
{
    if (keeper == NULL)
        return IPC_TIME_FOREVER;
    if (keeper->more_snapshots)
        return IPC_TIME_NOW;
    return keeper->sync_at != 0 ? keeper->sync_at : IPC_TIME_FOREVER;
}
