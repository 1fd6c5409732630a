/* Calls: handles and deadlines to a request, its reply to handles. */
#include "client/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ipc/time.h>

#include "base/atomic.h"
#include "fail.h"

/* Arguments on the stack, with ns. */
#define FEW 8u

#define POLL_MS 10

int64_t ipcm__holder(void)
{
    /* A thread's number in the process: unlike its tid nobody gets it again. */
    static uint64_t last;
    static __thread uint64_t mine;
    if (mine == 0)
        mine = add_relaxed(&last, 1) + 1;
    return (int64_t)mine;
}

struct arguments {
    ipc_any few[FEW];
    ipc_any *numbers; /* NULL, or to be freed */
    ipc_any *values;  /* what is sent */
    ipc_any *longer;  /* NULL, or to be freed */
};

static void free_arguments(struct arguments *args)
{
    free(args->numbers);
    free(args->longer);
}

static int prepare(ipc_manager *manager, uint64_t epoch, const ipc_any *values,
                   size_t count, bool waits, struct arguments *out)
{
    ipc_any *numbers = NULL;
    out->numbers = out->longer = NULL;
    const int rc = ipcm__all_to_wire(manager, epoch, values, count, &numbers);
    if (rc != 0)
        return rc;
    if (numbers != values)
        out->numbers = numbers;
    out->values = numbers;
    if (!waits)
        return 0;
    out->values = out->few;
    if (count >= FEW) {
        out->longer = malloc((count + 1) * sizeof *out->longer);
        if (out->longer == NULL) {
            free_arguments(out);
            return ipcm__fail(-ENOMEM, "no memory for %zu values", count);
        }
        out->values = out->longer;
    }
    if (count > 0)
        memcpy(out->values, numbers, count * sizeof *numbers);
    out->values[count] = ipc_nil();
    return 0;
}

struct call {
    ipc_manager *manager;
    struct ipcm__target *target;
    uint32_t op;
    const ipc_any *args;
    size_t count;
    ipc_deadline wait;
};

static int call_once(const struct call *call, struct ipcm__ask *ask)
{
    ipcm__ask_begin(ask);
    uint64_t epoch = 0;
    uint64_t object = 0;
    int rc = ipcm__link_up(call->manager, &epoch);
    if (rc == 0 && call->target != NULL)
        rc = ipcm__target_id(call->target, epoch, &object);
    if (rc != 0)
        return rc;
    const bool waits = (ipcm__op_flags(call->op) & IPCM__OP_WAITS) != 0;
    struct arguments args;
    rc = prepare(call->manager, epoch, call->args, call->count, waits, &args);
    if (rc != 0)
        return rc;
    ask->request.op = call->op;
    ask->request.object = object;
    ask->request.args = args.values;
    ask->request.count = call->count + (waits ? 1 : 0);
    ask->ns = waits ? &args.values[call->count] : NULL;
    ask->wait = call->wait;
    ask->fd = -1;
    rc = ipcm__link_ask(call->manager, epoch, ask, 1, IPC_TIME_FOREVER);
    free_arguments(&args);
    ask->request.args = NULL;
    ask->ns = NULL;
    return rc != 0 ? rc : ask->status;
}

int ipcm__fail_again(void)
{
    return ipcm__fail(-ENOTCONN,
                      "the connection was lost %d times during the call",
                      IPCM__TRIES);
}

static int call_surely(const struct call *call, struct ipcm__ask *ask)
{
    int tries = 0;
    int rc;
    do
        rc = call_once(call, ask);
    while (rc == IPCM__AGAIN && ++tries < IPCM__TRIES);
    return rc;
}

/* Too many wait already: ask again soon.  False: its time is up. */
static bool pause_between(const struct call *call)
{
    const ipc_deadline soon = ipc_after_ms(POLL_MS);
    if (ipc_time_left(call->wait) == 0)
        return false;
    ipc_sleep_until(soon < call->wait ? soon : call->wait);
    return true;
}

static int call(const struct call *call, ipc_anys *results)
{
    struct ipcm__ask ask;
    int rc;
    while ((rc = call_surely(call, &ask)) == -EAGAIN && ask.polls)
        if (!pause_between(call))
            return ipcm__fail(-ETIMEDOUT, "it was not to be had in time");
    if (rc == IPCM__AGAIN)
        return ipcm__fail_again();
    if (rc < 0) {
        if (rc == ask.status)
            ipc_remote_detail("%s", ask.detail);
        return rc;
    }
    const int converted = ipcm__from_wire(call->manager, &ask, &ask.results);
    if (converted != 0)
        return converted;
    if (results != NULL)
        *results = ask.results;
    else
        ipc_anys_free(&ask.results);
    return rc;
}

int ipcm__call(struct ipcm__target *target, uint32_t op, const ipc_any *args,
               size_t count, ipc_deadline wait, ipc_anys *results)
{
    const struct call what = {target->manager, target, op, args, count, wait};
    return call(&what, results);
}

int ipcm__call_manager(ipc_manager *manager, uint32_t op, const ipc_any *args,
                       size_t count, ipc_anys *results)
{
    const struct call what = {manager, NULL, op, args, count, IPC_TIME_NOW};
    return call(&what, results);
}

int ipcm__unpack(ipc_anys *results, ipc_any *out, size_t want)
{
    const size_t got = results->count;
    if (got != want) {
        ipc_anys_free(results);
        return ipcm__fail(-EPROTO, "%zu results came where %zu were expected",
                          got, want);
    }
    for (size_t i = 0; i < want; i++) {
        out[i] = results->items[i];
        results->items[i] = ipc_nil();
    }
    ipc_anys_free(results);
    return 0;
}

int ipcm__call_for(struct ipcm__target *target, uint32_t op,
                   const ipc_any *args, size_t count, ipc_any *out, size_t want)
{
    ipc_anys results = {NULL, 0};
    const int rc = ipcm__call(target, op, args, count, IPC_TIME_NOW, &results);
    if (rc < 0)
        return rc;
    const int unpacked = ipcm__unpack(&results, out, want);
    return unpacked != 0 ? unpacked : rc;
}

int ipcm__call_until(struct ipcm__target *target, uint32_t op,
                     const ipc_any *args, size_t count, ipc_deadline wait,
                     ipc_any *out)
{
    ipc_anys results = {NULL, 0};
    const int rc = ipcm__call(target, op, args, count, wait, &results);
    if (rc < 0)
        return rc;
    const int unpacked = ipcm__unpack(&results, out, 1);
    return unpacked != 0 ? unpacked : rc;
}
