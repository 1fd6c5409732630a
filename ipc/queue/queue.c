/* Queue: the calls that users make. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "queue/ops.h"
#include "queue/posix.h"
#include "queue/ring.h"
#include "wait/look.h"

static ipc_deadline until(ipc_deadline deadline)
{
    return deadline > 0 ? deadline : 1; /* -ETIMEDOUT, not -EAGAIN */
}

/* What queues of other kinds do; most are of the first. */
static SLOW_PATH const struct ipc__queue_ops *other_ops(const ipc_queue *queue,
                                                        uint32_t kind)
{
    if (kind == IPC__QUEUE_POSIX && ipc__posix_is_handle(queue))
        return &ipc__posix_ops;
    return kind == IPC__QUEUE_RING    ? &ipc__ring_ops
           : kind == IPC__QUEUE_STORE ? &ipc__store_ops
                                      : &ipc__no_queue_ops;
}

static inline bool is_ring(const ipc_queue *queue)
{
    return likely(load_relaxed(&queue->kind) == IPC__QUEUE_RING);
}

static const struct ipc__queue_ops *ops_of(const ipc_queue *queue)
{
    return is_ring(queue) ? &ipc__ring_ops
                          : other_ops(queue, load_relaxed(&queue->kind));
}

int ipc__queue_look(ipc_queue *queue, struct ipc__look *look)
{
    return ops_of(queue)->look(queue, look);
}

int ipc__queue_descriptor(const ipc_queue *queue)
{
    const struct ipc__queue_ops *ops = ops_of(queue);
    return ops->descriptor != NULL ? ops->descriptor(queue) : -1;
}

/* ---- put ---- */

static inline int put(ipc_queue *queue, const void *data, size_t bytes,
                      ipc_deadline deadline)
{
    return is_ring(queue) ? ipc__ring_put(queue, data, bytes, deadline)
                          : ops_of(queue)->put(queue, data, bytes, 0, deadline);
}

int ipc_queue_put(ipc_queue *queue, const void *data, size_t bytes)
{
    return put(queue, data, bytes, IPC_TIME_FOREVER);
}

int ipc_queue_put_nowait(ipc_queue *queue, const void *data, size_t bytes)
{
    return put(queue, data, bytes, IPC_TIME_NOW);
}

int ipc_queue_put_until(ipc_queue *queue, const void *data, size_t bytes,
                        ipc_deadline deadline)
{
    return put(queue, data, bytes, until(deadline));
}

int ipc_queue_put_priority(ipc_queue *queue, const void *data, size_t bytes,
                           uint32_t priority, ipc_deadline deadline)
{
    return ops_of(queue)->put(queue, data, bytes, priority, deadline);
}

int ipc_queue_putv(ipc_queue *queue, const ipc_queue_item *items, size_t n,
                   ipc_deadline deadline)
{
    return ops_of(queue)->putv(queue, items, n < INT_MAX ? n : INT_MAX,
                               deadline);
}

/* ---- get ---- */

static inline int get(ipc_queue *queue, void *buffer, size_t room,
                      size_t *bytes, ipc_deadline deadline)
{
    return is_ring(queue)
               ? ipc__ring_get(queue, buffer, room, bytes, deadline)
               : ops_of(queue)->get(queue, buffer, room, bytes, deadline);
}

int ipc_queue_get(ipc_queue *queue, void *buffer, size_t room, size_t *bytes)
{
    return get(queue, buffer, room, bytes, IPC_TIME_FOREVER);
}

int ipc_queue_get_nowait(ipc_queue *queue, void *buffer, size_t room,
                         size_t *bytes)
{
    return get(queue, buffer, room, bytes, IPC_TIME_NOW);
}

int ipc_queue_get_until(ipc_queue *queue, void *buffer, size_t room,
                        size_t *bytes, ipc_deadline deadline)
{
    return get(queue, buffer, room, bytes, until(deadline));
}

int ipc_queue_getv(ipc_queue *queue, ipc_queue_item *items, size_t n,
                   ipc_deadline deadline)
{
    return ops_of(queue)->getv(queue, items, n < INT_MAX ? n : INT_MAX,
                               deadline);
}

/* Peeked at: it comes back if anything goes wrong. */
static int get_peeked(ipc_queue *queue, ipc_message *message, void *to)
{
    if (message->bytes != 0)
        memcpy(to, message->data, message->bytes);
    return ops_of(queue)->release(queue, message, false);
}

int ipc_queue_get_alloc(ipc_queue *queue, void **data, size_t *bytes,
                        ipc_deadline deadline)
{
    ipc_message message;
    const struct ipc__queue_ops *ops = ops_of(queue);
    if (ops->get_alloc != NULL)
        return ops->get_alloc(queue, data, bytes, deadline);
    int rc = ops->peek(queue, &message, deadline);
    if (rc != 0)
        return rc;
    const size_t size = message.bytes;
    char *copy = malloc(size + 1);
    if (copy == NULL) {
        (void)ops_of(queue)->release(queue, &message, true);
        return ipc__queue_fail(queue, -ENOMEM, "finds no memory for a copy");
    }
    copy[size] = '\0';
    rc = get_peeked(queue, &message, copy);
    if (rc != 0) {
        free(copy);
        return rc;
    }
    *data = copy;
    if (bytes != NULL)
        *bytes = size;
    return 0;
}

int ipc_queue_get_exactly(ipc_queue *queue, void *buffer, size_t bytes,
                          ipc_deadline deadline)
{
    ipc_message message;
    const struct ipc__queue_ops *ops = ops_of(queue);
    if (ops->get_exactly != NULL)
        return ops->get_exactly(queue, buffer, bytes, deadline);
    const int rc = ops->peek(queue, &message, deadline);
    if (rc != 0)
        return rc;
    if (message.bytes != bytes) {
        const size_t found = message.bytes;
        (void)ops_of(queue)->release(queue, &message, true);
        return ipc__queue_fail_size(queue, found, bytes, "but asked for were");
    }
    return get_peeked(queue, &message, buffer);
}

/* ---- in place ---- */

int ipc_queue_reserve(ipc_queue *queue, size_t bytes, ipc_message *message)
{
    return ops_of(queue)->reserve(queue, bytes, message, IPC_TIME_FOREVER);
}

int ipc_queue_reserve_nowait(ipc_queue *queue, size_t bytes,
                             ipc_message *message)
{
    return ops_of(queue)->reserve(queue, bytes, message, IPC_TIME_NOW);
}

int ipc_queue_reserve_until(ipc_queue *queue, size_t bytes,
                            ipc_message *message, ipc_deadline deadline)
{
    return ops_of(queue)->reserve(queue, bytes, message, until(deadline));
}

int ipc_queue_commit(ipc_queue *queue, ipc_message *message)
{
    return ops_of(queue)->commit(queue, message, false);
}

int ipc_queue_abort(ipc_queue *queue, ipc_message *message)
{
    return ops_of(queue)->commit(queue, message, true);
}

int ipc_queue_peek(ipc_queue *queue, ipc_message *message)
{
    return ops_of(queue)->peek(queue, message, IPC_TIME_FOREVER);
}

int ipc_queue_peek_nowait(ipc_queue *queue, ipc_message *message)
{
    return ops_of(queue)->peek(queue, message, IPC_TIME_NOW);
}

int ipc_queue_peek_until(ipc_queue *queue, ipc_message *message,
                         ipc_deadline deadline)
{
    return ops_of(queue)->peek(queue, message, until(deadline));
}

int ipc_queue_release(ipc_queue *queue, ipc_message *message)
{
    return ops_of(queue)->release(queue, message, false);
}

/* ---- leases ---- */

int ipc_queue_take(ipc_queue *queue, ipc_message *message)
{
    return ops_of(queue)->take(queue, message, IPC_TIME_FOREVER);
}

int ipc_queue_take_nowait(ipc_queue *queue, ipc_message *message)
{
    return ops_of(queue)->take(queue, message, IPC_TIME_NOW);
}

int ipc_queue_take_until(ipc_queue *queue, ipc_message *message,
                         ipc_deadline deadline)
{
    return ops_of(queue)->take(queue, message, until(deadline));
}

int ipc_queue_ack(ipc_queue *queue, ipc_message *message)
{
    return ops_of(queue)->settle(queue, message, IPC__LEASE_ACK, 0);
}

int ipc_queue_nack(ipc_queue *queue, ipc_message *message)
{
    return ops_of(queue)->settle(queue, message, IPC__LEASE_NACK, 0);
}

int ipc_queue_extend(ipc_queue *queue, ipc_message *message, ipc_deadline lease)
{
    return ops_of(queue)->settle(queue, message, IPC__LEASE_EXTEND, lease);
}

uint32_t ipc_queue_dead(ipc_queue *queue)
{
    return ops_of(queue)->dead(queue);
}

int ipc_queue_take_dead(ipc_queue *queue, ipc_message *message)
{
    return ops_of(queue)->take_dead(queue, message);
}

/* ---- the whole ---- */

size_t ipc_queue_size(ipc_queue *queue)
{
    return ops_of(queue)->size(queue);
}

bool ipc_queue_empty(ipc_queue *queue)
{
    return ipc_queue_size(queue) == 0;
}

bool ipc_queue_full(ipc_queue *queue)
{
    return ops_of(queue)->full(queue);
}

uint32_t ipc_queue_capacity(const ipc_queue *queue)
{
    return load_relaxed(&queue->capacity);
}

size_t ipc_queue_bytes(const ipc_queue *queue)
{
    return load_relaxed(&queue->bytes);
}

int ipc_queue_close(ipc_queue *queue, bool immediate)
{
    return ops_of(queue)->close(queue, immediate);
}

bool ipc_queue_is_closed(const ipc_queue *queue)
{
    return (load_relaxed(&queue->tail) & IPC__QUEUE_CLOSED) != 0;
}

int ipc_queue_task_done(ipc_queue *queue)
{
    return ops_of(queue)->task_done(queue);
}

int ipc_queue_join(ipc_queue *queue)
{
    return ops_of(queue)->join(queue, IPC_TIME_FOREVER);
}

int ipc_queue_join_nowait(ipc_queue *queue)
{
    return ops_of(queue)->join(queue, IPC_TIME_NOW);
}

int ipc_queue_join_until(ipc_queue *queue, ipc_deadline deadline)
{
    return ops_of(queue)->join(queue, until(deadline));
}
