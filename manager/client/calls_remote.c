/* Many calls at once: those that the server is asked for. */
#include "client/calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

/* Prepared and sent together. */
#define CHUNK 512u

static bool is_loss(int status)
{
    return status == -ECONNRESET || status == -ENOTCONN;
}

/* ---- to requests ---- */

static int prepare(ipc_manager *manager, uint64_t epoch,
                   const struct ipcm__entry *entry,
                   struct ipcm__request *request)
{
    ipc_any *args = NULL;
    uint64_t object = 0;
    int rc = ipcm__target_id(&entry->there->target, epoch, &object);
    if (rc == 0)
        rc = ipcm__all_to_wire(manager, epoch, entry->args.items,
                               entry->args.count, &args);
    if (rc == 0)
        *request = (struct ipcm__request){.op = entry->op,
                                          .object = object,
                                          .args = args,
                                          .count = entry->args.count};
    return rc;
}

static void free_request(const struct ipcm__entry *entry,
                         struct ipcm__request *request)
{
    if (request->args != entry->args.items)
        free((void *)(uintptr_t)request->args);
    request->args = NULL;
}

/* ---- one after the other ---- */

struct ipcm__chunk {
    ipc_manager *manager;
    size_t room; /* of asks */
    size_t count;
    struct ipcm__entry *entries[CHUNK];
    struct ipcm__ask asks[];
};

/* Those that cannot be asked for have their errors, and leave the chunk. */
static int prepare_chunk(struct ipcm__chunk *chunk, uint64_t epoch)
{
    size_t ready = 0;
    size_t at = 0;
    int rc = 0;
    for (; at < chunk->count; at++) {
        struct ipcm__entry *entry = chunk->entries[at];
        struct ipcm__ask *ask = &chunk->asks[ready];
        ipcm__ask_begin(ask);
        rc = prepare(chunk->manager, epoch, entry, &ask->request);
        if (rc == IPCM__AGAIN || is_loss(rc))
            break;
        if (rc != 0)
            ipcm__entry_end(entry, rc, ipc_error_detail());
        else
            chunk->entries[ready++] = entry;
        rc = 0;
    }
    const size_t left = chunk->count - at;
    memmove(&chunk->entries[ready], &chunk->entries[at],
            left * sizeof(struct ipcm__entry *));
    chunk->count = ready + left;
    if (rc != 0)
        for (size_t i = 0; i < ready; i++)
            free_request(chunk->entries[i], &chunk->asks[i].request);
    return rc;
}

/* What is to be asked for again stays in the chunk. */
static int finish_chunk(struct ipcm__chunk *chunk)
{
    size_t again = 0;
    int rc = 0;
    for (size_t i = 0; i < chunk->count; i++) {
        struct ipcm__entry *entry = chunk->entries[i];
        struct ipcm__ask *ask = &chunk->asks[i];
        free_request(entry, &ask->request);
        if (ask->status == IPCM__AGAIN) {
            chunk->entries[again++] = entry;
            continue;
        }
        int status = ask->status;
        if (status >= 0 &&
            ipcm__from_wire(chunk->manager, ask, &ask->results) != 0)
            status = -ENOMEM;
        if (status >= 0)
            entry->results = ask->results;
        ipcm__entry_end(entry, is_loss(status) ? -ECONNRESET : status,
                        ask->detail);
        if (is_loss(status) && rc == 0)
            rc = ipcm__fail(status, "%s", ask->detail);
    }
    chunk->count = again;
    return rc;
}

static int run_chunk(struct ipcm__chunk *chunk)
{
    for (int i = 0; chunk->count > 0 && i < IPCM__TRIES; i++) {
        uint64_t epoch = 0;
        int rc = ipcm__link_up(chunk->manager, &epoch);
        if (rc == 0)
            rc = prepare_chunk(chunk, epoch);
        if (rc == IPCM__AGAIN)
            continue;
        if (rc != 0)
            return rc;
        rc = ipcm__link_ask(chunk->manager, epoch, chunk->asks, chunk->count,
                            IPC_TIME_FOREVER);
        if (rc != 0) {
            for (size_t j = 0; j < chunk->count; j++)
                free_request(chunk->entries[j], &chunk->asks[j].request);
            return rc;
        }
        rc = finish_chunk(chunk);
        if (rc != 0)
            return rc;
    }
    return chunk->count == 0 ? 0 : ipcm__fail_again();
}

static struct ipcm__chunk *chunk_for(ipc_calls *calls, size_t count)
{
    struct ipcm__chunk *chunk = calls->chunk;
    const size_t room = count < CHUNK ? count : CHUNK;
    if (chunk != NULL && chunk->room >= room)
        return chunk;
    chunk = realloc(chunk, sizeof *chunk + room * sizeof chunk->asks[0]);
    if (chunk == NULL)
        return NULL;
    chunk->manager = calls->manager;
    chunk->room = room;
    calls->chunk = chunk;
    return chunk;
}

int ipcm__calls_pipeline(ipc_calls *calls, struct ipcm__entry *entries,
                         size_t count)
{
    struct ipcm__chunk *chunk = chunk_for(calls, count);
    if (chunk == NULL)
        return ipcm__fail(-ENOMEM, "no memory for %zu calls", count);
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < count;) {
        size_t n = count - at;
        if (n > CHUNK)
            n = CHUNK;
        for (size_t i = 0; i < n; i++)
            chunk->entries[i] = &entries[at + i];
        chunk->count = n;
        rc = run_chunk(chunk);
        at += n;
    }
    return rc;
}

/* ---- all as one ---- */

struct batch {
    ipc_manager *manager;
    struct ipcm__entry *entries;
    struct ipcm__request *requests;
    struct ipcm__outcome *outcomes;
    size_t count;
};

static int take_outcomes(const struct batch *batch, struct ipcm__ask *ask)
{
    int rc = 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct ipcm__outcome *outcome = &batch->outcomes[i];
        const int converted =
            ipcm__from_wire(batch->manager, ask, &outcome->results);
        if (converted != 0)
            rc = converted;
        else
            batch->entries[i].results = outcome->results;
        batch->entries[i].status = outcome->status;
    }
    return rc;
}

static int ask_batch(const struct batch *batch, uint64_t epoch)
{
    struct ipcm__ask ask = {
        .request = {.op = IPCM__OP_BATCH,
                    .calls = batch->requests,
                    .call_count = batch->count},
        .outcomes = batch->outcomes,
    };
    const int rc =
        ipcm__link_ask(batch->manager, epoch, &ask, 1, IPC_TIME_FOREVER);
    if (rc != 0)
        return rc;
    if (ask.status < 0)
        return ask.status == IPCM__AGAIN
                   ? IPCM__AGAIN
                   : ipcm__fail(ask.status, "%s", ask.detail);
    ipcm__free_numbers(&ask.results);
    return take_outcomes(batch, &ask);
}

static int batch_once(const struct batch *batch)
{
    uint64_t epoch = 0;
    int rc = ipcm__link_up(batch->manager, &epoch);
    size_t ready = 0;
    while (rc == 0 && ready < batch->count) {
        rc = prepare(batch->manager, epoch, &batch->entries[ready],
                     &batch->requests[ready]);
        if (rc == 0)
            ready++;
    }
    memset(batch->outcomes, 0, batch->count * sizeof *batch->outcomes);
    if (rc == 0)
        rc = ask_batch(batch, epoch);
    for (size_t i = 0; i < ready; i++)
        free_request(&batch->entries[i], &batch->requests[i]);
    return rc;
}

int ipcm__calls_batch(ipc_manager *manager, struct ipcm__entry *entries,
                      size_t count)
{
    struct batch batch = {
        .manager = manager,
        .entries = entries,
        .requests = calloc(count, sizeof *batch.requests),
        .outcomes = calloc(count, sizeof *batch.outcomes),
        .count = count,
    };
    int rc = IPCM__AGAIN;
    if (batch.requests == NULL || batch.outcomes == NULL)
        rc = ipcm__fail(-ENOMEM, "no memory for %zu calls", count);
    for (int i = 0; rc == IPCM__AGAIN && i < IPCM__TRIES; i++)
        rc = batch_once(&batch);
    free(batch.requests);
    free(batch.outcomes);
    return rc == IPCM__AGAIN ? ipcm__fail_again() : rc;
}
