/* Managed queues. */
#include "client/managed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "fail.h"

/* ---- to have one ---- */

static const char *order_of(uint32_t flags)
{
    switch (flags) {
    case 0:
        return "fifo";
    case IPC_MANAGED_LIFO:
        return "lifo";
    case IPC_MANAGED_PRIORITY:
        return "priority";
    default:
        return NULL;
    }
}

int ipc_manager_queue(ipc_manager *manager, const char *name,
                      const ipc_managed_options *options, ipc_managed **out)
{
    ipc_managed_options given;
    const int rc = ipcm__managed_options(
        options, IPC_MANAGED_LIFO | IPC_MANAGED_PRIORITY, true, &given);
    if (rc != 0)
        return rc;
    const char *order = order_of(given.flags);
    if (order == NULL || given.lease_ns < 0)
        return ipcm__fail(-EINVAL, "a queue has one order, and leases that "
                                   "are not negative");
    struct ipcm__pairs pairs = {.count = 0};
    if (given.durability != IPC_DURABLE_DEFAULT)
        ipcm__pair(&pairs, "durability", ipc_i64(given.durability));
    if (given.flags != 0)
        ipcm__pair(&pairs, "order", ipc_str(order));
    if (given.capacity != 0)
        ipcm__pair(&pairs, "capacity", ipc_u64(given.capacity));
    if (given.lease_ns != 0)
        ipcm__pair(&pairs, "lease_ns", ipc_i64(given.lease_ns));
    if (given.max_deliveries != 0)
        ipcm__pair(&pairs, "max_deliveries", ipc_i64(given.max_deliveries));
    return ipcm__managed_make(manager, "queue", name, &pairs, out);
}

static int is_queue(const ipc_managed *queue)
{
    return ipcm__managed_is(queue, "queue", NULL);
}

/* ---- put ---- */

static int put(ipc_managed *queue, ipc_any message, int64_t priority,
               ipc_deadline deadline)
{
    const ipc_any args[] = {message, ipc_i64(priority)};
    int rc = is_queue(queue);
    if (rc != 0)
        return rc;
    if (ipcm__is_container(&message))
        return ipcm__fail(-EINVAL, "a message is no handle");
    rc = ipcm__managed_wait(queue, IPCM__OP_QUEUE_PUT, args, 2, deadline);
    return rc < 0 ? rc : 0;
}

int ipc_managed_queue_put(ipc_managed *queue, ipc_any message)
{
    return put(queue, message, 0, IPC_TIME_FOREVER);
}

int ipc_managed_queue_put_nowait(ipc_managed *queue, ipc_any message)
{
    return put(queue, message, 0, IPC_TIME_NOW);
}

int ipc_managed_queue_put_until(ipc_managed *queue, ipc_any message,
                                ipc_deadline deadline)
{
    return put(queue, message, 0, deadline);
}

int ipc_managed_queue_put_priority(ipc_managed *queue, ipc_any message,
                                   int64_t priority, ipc_deadline deadline)
{
    return put(queue, message, priority, deadline);
}

/* ---- get ---- */

int ipc_managed_queue_get_until(ipc_managed *queue, ipc_any *out,
                                ipc_deadline deadline)
{
    int rc = is_queue(queue);
    if (rc == 0)
        rc = ipcm__call_until(&queue->target, IPCM__OP_QUEUE_GET, NULL, 0,
                              deadline, out);
    return rc < 0 ? rc : 0;
}

int ipc_managed_queue_get(ipc_managed *queue, ipc_any *out)
{
    return ipc_managed_queue_get_until(queue, out, IPC_TIME_FOREVER);
}

int ipc_managed_queue_get_nowait(ipc_managed *queue, ipc_any *out)
{
    return ipc_managed_queue_get_until(queue, out, IPC_TIME_NOW);
}

/* ---- leases ---- */

static int take(ipc_managed *queue, uint32_t op, ipc_deadline deadline,
                ipc_managed_lease *out)
{
    ipc_anys all = {NULL, 0};
    ipc_any results[4];
    memset(results, 0, sizeof results);
    int rc = is_queue(queue);
    if (rc == 0)
        rc = ipcm__call(&queue->target, op, NULL, 0, deadline, &all);
    if (rc >= 0)
        rc = ipcm__unpack(&all, results, 4);
    if (rc < 0)
        return rc;
    memset(out, 0, sizeof *out);
    out->message = results[0];
    out->priority = results[1].i64;
    out->token = results[2].u64;
    out->deliveries = (uint32_t)results[3].u64;
    for (int i = 1; i < 4; i++)
        ipc_any_free(&results[i]);
    return 0;
}

int ipc_managed_queue_take_until(ipc_managed *queue, ipc_managed_lease *out,
                                 ipc_deadline deadline)
{
    return take(queue, IPCM__OP_QUEUE_TAKE, deadline, out);
}

int ipc_managed_queue_take(ipc_managed *queue, ipc_managed_lease *out)
{
    return take(queue, IPCM__OP_QUEUE_TAKE, IPC_TIME_FOREVER, out);
}

int ipc_managed_queue_take_nowait(ipc_managed *queue, ipc_managed_lease *out)
{
    return take(queue, IPCM__OP_QUEUE_TAKE, IPC_TIME_NOW, out);
}

int ipc_managed_queue_take_dead(ipc_managed *queue, ipc_managed_lease *out)
{
    return take(queue, IPCM__OP_QUEUE_TAKE_DEAD, IPC_TIME_NOW, out);
}

static int with_token(ipc_managed *queue, uint32_t op,
                      const ipc_managed_lease *lease)
{
    const ipc_any arg = ipc_u64(lease->token);
    const int rc = is_queue(queue);
    return rc != 0 ? rc : ipcm__managed_do(queue, op, &arg, 1);
}

int ipc_managed_queue_ack(ipc_managed *queue, const ipc_managed_lease *lease)
{
    return with_token(queue, IPCM__OP_QUEUE_ACK, lease);
}

int ipc_managed_queue_nack(ipc_managed *queue, const ipc_managed_lease *lease)
{
    return with_token(queue, IPCM__OP_QUEUE_NACK, lease);
}

int ipc_managed_queue_extend(ipc_managed *queue, const ipc_managed_lease *lease,
                             int64_t ns)
{
    const ipc_any args[] = {ipc_u64(lease->token), ipc_i64(ns)};
    int rc = is_queue(queue);
    if (rc == 0 && ns <= 0)
        rc = ipcm__fail(-EINVAL, "a lease of %lld ns", (long long)ns);
    return rc != 0 ? rc
                   : ipcm__managed_do(queue, IPCM__OP_QUEUE_EXTEND, args, 2);
}

void ipc_managed_lease_free(ipc_managed_lease *lease)
{
    if (lease != NULL)
        ipc_any_free(&lease->message);
}

/* ---- all of them ---- */

int ipc_managed_queue_task_done(ipc_managed *queue)
{
    const int rc = is_queue(queue);
    return rc != 0 ? rc
                   : ipcm__managed_do(queue, IPCM__OP_QUEUE_TASK_DONE, NULL, 0);
}

int ipc_managed_queue_join_until(ipc_managed *queue, ipc_deadline deadline)
{
    int rc = is_queue(queue);
    if (rc == 0)
        rc = ipcm__managed_wait(queue, IPCM__OP_QUEUE_JOIN, NULL, 0, deadline);
    return rc < 0 ? rc : 0;
}

int ipc_managed_queue_join(ipc_managed *queue)
{
    return ipc_managed_queue_join_until(queue, IPC_TIME_FOREVER);
}

int ipc_managed_queue_join_nowait(ipc_managed *queue)
{
    return ipc_managed_queue_join_until(queue, IPC_TIME_NOW);
}

int ipc_managed_queue_close(ipc_managed *queue, bool immediate)
{
    const ipc_any arg = ipc_bool(immediate);
    const int rc = is_queue(queue);
    return rc != 0 ? rc
                   : ipcm__managed_do(queue, IPCM__OP_QUEUE_CLOSE, &arg, 1);
}

static int query(ipc_managed *queue, ipc_managed_queue_info *out)
{
    ipc_any results[6];
    memset(results, 0, sizeof results);
    int rc = is_queue(queue);
    if (rc == 0)
        rc = ipcm__call_for(&queue->target, IPCM__OP_QUEUE_INFO, NULL, 0,
                            results, 6);
    if (rc < 0)
        return rc;
    out->closed = results[0].type == IPC_TYPE_BOOL ? results[0].boolean
                                                   : results[0].i64 != 0;
    out->messages = results[1].u64;
    out->capacity = results[2].u64;
    out->leased = results[3].u64;
    out->dead = results[4].u64;
    out->unfinished = results[5].u64;
    for (int i = 0; i < 6; i++)
        ipc_any_free(&results[i]);
    return 0;
}

int ipc_managed_queue_query(ipc_managed *queue, ipc_managed_queue_info *info)
{
    ipc_managed_queue_info ours = IPC_MANAGED_QUEUE_INFO_INIT;
    const int rc = query(queue, &ours);
    if (rc != 0)
        return rc;
    return ipc__info_write(info, &ours, sizeof ours) != 0
               ? ipcm__fail(-EINVAL, "a structure of no version")
               : 0;
}

int64_t ipc_managed_queue_size(ipc_managed *queue)
{
    ipc_managed_queue_info info = IPC_MANAGED_QUEUE_INFO_INIT;
    const int rc = query(queue, &info);
    return rc != 0 ? rc : (int64_t)info.messages;
}
