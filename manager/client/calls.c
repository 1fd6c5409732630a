/* Many calls at once. */
#include "client/calls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "fail.h"
#include "server/containers.h"

/* Arguments for which an entry keeps the room. */
#define FEW 8u

/* ---- collecting them ---- */

int ipc_calls_new(ipc_manager *manager, ipc_calls **out)
{
    ipc_calls *calls = calloc(1, sizeof *calls);
    if (calls == NULL)
        return ipcm__fail(-ENOMEM, "no memory for calls");
    ipcm__manager_hold(manager);
    calls->manager = manager;
    *out = calls;
    return 0;
}

/* Strings go, and room for so many that it is worth it. */
static void clear_args(struct ipcm__entry *entry)
{
    for (size_t i = 0; i < entry->args.count; i++)
        if (!ipcm__is_container(&entry->args.items[i]))
            ipc_any_free(&entry->args.items[i]);
    entry->args.count = 0;
    if (entry->room <= FEW)
        return;
    free(entry->args.items);
    entry->args.items = NULL;
    entry->room = 0;
}

int ipc_calls_clear(ipc_calls *calls)
{
    for (size_t i = 0; i < calls->count; i++) {
        struct ipcm__entry *entry = &calls->entries[i];
        clear_args(entry);
        ipc_anys_free(&entry->results);
        free(entry->detail);
        entry->detail = NULL;
    }
    calls->count = 0;
    calls->has_run = false;
    return 0;
}

int ipc_calls_free(ipc_calls *calls)
{
    if (calls == NULL)
        return 0;
    (void)ipc_calls_clear(calls);
    for (size_t i = 0; i < calls->room; i++)
        free(calls->entries[i].args.items);
    free(calls->entries);
    free(calls->chunk);
    ipcm__manager_drop(calls->manager);
    free(calls);
    return 0;
}

static int grow(ipc_calls *calls)
{
    if (calls->count < calls->room)
        return 0;
    const size_t room = calls->room == 0 ? 16 : 2 * calls->room;
    if (room > INT_MAX)
        return ipcm__fail(-EMSGSIZE, "%zu calls", calls->count);
    struct ipcm__entry *entries =
        realloc(calls->entries, room * sizeof *entries);
    if (entries == NULL)
        return ipcm__fail(-ENOMEM, "no memory for %zu calls", room);
    memset(entries + calls->room, 0, (room - calls->room) * sizeof *entries);
    calls->entries = entries;
    calls->room = room;
    return 0;
}

static int keep_args(struct ipcm__entry *entry, const ipc_any *args,
                     size_t count)
{
    if (count > entry->room) {
        ipc_any *items = reallocarray(entry->args.items, count, sizeof *items);
        if (items == NULL)
            return ipcm__fail(-ENOMEM, "no memory for %zu values", count);
        entry->args.items = items;
        entry->room = count;
    }
    for (entry->args.count = 0; entry->args.count < count;
         entry->args.count++) {
        const size_t i = entry->args.count;
        const int rc = ipcm__copy_value(&args[i], &entry->args.items[i]);
        if (rc != 0) {
            clear_args(entry);
            return rc;
        }
    }
    return 0;
}

static int check_call(const ipc_calls *calls, const ipc_any *handle,
                      uint32_t op, const ipc_managed *there)
{
    if (calls->has_run)
        return ipcm__fail(-EALREADY, "they have run");
    if ((ipcm__op_flags(op) & IPCM__OP_BATCHES) == 0)
        return ipcm__fail(-EINVAL,
                          "%u is no operation that can be put "
                          "together with others",
                          op);
    if (!ipcm__is_container(handle) || handle->list == NULL ||
        (there == NULL && load_acquire(&calls->manager->arena) == NULL) ||
        (there != NULL && there->target.manager != calls->manager))
        return ipcm__fail(-EINVAL, "it is no handle of this manager");
    return 0;
}

int ipc_calls_add(ipc_calls *calls, ipc_any handle, uint32_t op,
                  const ipc_any *args, size_t count)
{
    ipc_managed *there = ipcm__is_container(&handle) && handle.list != NULL
                             ? ipc_remote_data(&handle, &ipcm__remote_container)
                             : NULL;
    int rc = check_call(calls, &handle, op, there);
    if (rc == 0 && count > 0 && args == NULL)
        rc = ipcm__fail(-EINVAL, "arguments that are NULL");
    if (rc == 0)
        rc = grow(calls);
    if (rc != 0)
        return rc;
    struct ipcm__entry *entry = &calls->entries[calls->count];
    rc = keep_args(entry, args, count);
    if (rc != 0)
        return rc;
    entry->handle = handle;
    entry->there = there;
    entry->op = op;
    entry->status = 0;
    entry->results = (ipc_anys){NULL, 0};
    return (int)calls->count++;
}

/* ---- results ---- */

void ipcm__entry_end(struct ipcm__entry *entry, int status, const char *detail)
{
    entry->status = status;
    free(entry->detail);
    entry->detail = status < 0 && detail != NULL ? strdup(detail) : NULL;
}

int ipc_calls_result(ipc_calls *calls, size_t place, const ipc_anys **out)
{
    if (!calls->has_run)
        return ipcm__fail(-EINVAL, "they have not run");
    if (place >= calls->count)
        return ipcm__fail(-ERANGE, "call %zu of %zu", place, calls->count);
    const struct ipcm__entry *entry = &calls->entries[place];
    if (entry->status < 0)
        ipc_remote_detail("%s", entry->detail != NULL ? entry->detail : "");
    else if (out != NULL)
        *out = &entry->results;
    return entry->status;
}

/* ---- running them ---- */

static int run_direct(struct ipcm__entry *entry)
{
    ipc_anys results = {NULL, 0};
    const int rc =
        ipcm__container_call(&entry->handle, entry->op, entry->args.items,
                             entry->args.count, &results);
    ipcm__entry_end(entry, rc, ipc_error_detail());
    if (rc >= 0)
        entry->results = results;
    return rc;
}

static void forget_results(ipc_calls *calls)
{
    for (size_t i = 0; i < calls->count; i++)
        ipc_anys_free(&calls->entries[i].results);
}

static int run_transaction(ipc_calls *calls)
{
    ipc_arena *arena = load_acquire(&calls->manager->arena);
    int rc = ipc_atomic_begin(arena);
    if (rc != 0)
        return rc;
    size_t i = 0;
    while (rc >= 0 && i < calls->count)
        rc = run_direct(&calls->entries[i++]);
    if (rc >= 0)
        return ipc_atomic_commit(arena);
    char detail[IPCM__DETAIL];
    snprintf(detail, sizeof detail, "call %zu: %s", i - 1, ipc_error_detail());
    (void)ipc_atomic_abort(arena);
    forget_results(calls);
    return ipcm__fail(rc, "%s", detail);
}

static int run_atomic(ipc_calls *calls)
{
    size_t direct = 0;
    for (size_t i = 0; i < calls->count; i++)
        direct += calls->entries[i].there == NULL;
    if (calls->count == 0)
        return 0;
    if (direct == 0)
        return ipcm__calls_batch(calls->manager, calls->entries, calls->count);
    if (direct != calls->count)
        return ipcm__fail(-EXDEV,
                          "%zu of the %zu containers are used "
                          "directly, and the others are not",
                          direct, calls->count);
    return run_transaction(calls);
}

/* Operations for which libipc has no call come to several. */
static bool has_steps(const struct ipcm__entry *entry)
{
    return entry->handle.type == IPC_TYPE_NAMESPACE ||
           (entry->op == IPC_OP_LIST_POP && entry->args.count > 1);
}

static void end_steps(ipc_arena *arena, struct ipcm__entry *entry)
{
    if (entry->status < 0) {
        (void)ipc_atomic_abort(arena);
        return;
    }
    const int rc = ipc_atomic_commit(arena);
    if (rc < 0) {
        ipcm__entry_end(entry, rc, ipc_error_detail());
        ipc_anys_free(&entry->results);
    }
}

/* Whole or not at all, and nobody sees a part: in the calling thread's own
 * transaction it is anyway. */
static void run_alone(ipc_calls *calls, struct ipcm__entry *entry)
{
    ipc_arena *arena = load_acquire(&calls->manager->arena);
    const int rc = has_steps(entry) ? ipc_atomic_begin(arena) : -EALREADY;
    if (rc != 0 && rc != -EALREADY) {
        ipcm__entry_end(entry, rc, ipc_error_detail());
        return;
    }
    (void)run_direct(entry);
    if (rc == 0)
        end_steps(arena, entry);
}

static int run_one_by_one(ipc_calls *calls)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < calls->count;) {
        size_t n = i;
        while (n < calls->count && calls->entries[n].there != NULL)
            n++;
        if (n > i)
            rc = ipcm__calls_pipeline(calls, &calls->entries[i], n - i);
        else
            run_alone(calls, &calls->entries[n++]);
        i = n;
    }
    return rc;
}

int ipc_calls_run(ipc_calls *calls, uint32_t flags)
{
    if ((flags & ~IPC_CALLS_ATOMIC) != 0)
        return ipcm__fail(-EINVAL, "unknown flags 0x%x", flags);
    if (calls->has_run)
        return ipcm__fail(-EALREADY, "they have run");
    if (flags == 0) {
        for (size_t i = 0; i < calls->count; i++)
            calls->entries[i].status = -ECONNRESET;
        calls->has_run = true;
        return run_one_by_one(calls);
    }
    const int rc = run_atomic(calls);
    calls->has_run = rc == 0;
    return rc;
}
