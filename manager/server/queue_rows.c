/* Queues: what is durable of them.
 *
 * Rows name messages by their numbers.  A lease is none after a restart; what
 * stays of a take is that there was one more delivery.  So nack and the end of
 * a lease leave no row. */
#include "server/queue.h"

#include <errno.h>
#include <stdlib.h>

#include "fail.h"
#include "server/core.h"
#include "server/kinds.h"

#define ROW_VALUES 4 /* of a PUT, for each message */

/* ---- to the store ---- */

int ipcm__queue_keep_put(const struct queue *queue,
                         const struct message *message)
{
    const ipc_any row[ROW_VALUES] = {message->value, ipc_i64(message->priority),
                                     ipc_u64(message->number),
                                     ipc_i64(message->deliveries)};
    return ipcm__keep(queue->object, IPCM__OP_QUEUE_PUT, row, ROW_VALUES);
}

int ipcm__queue_keep(const struct queue *queue, uint32_t op, uint64_t number)
{
    const ipc_any row = ipc_u64(number);
    return ipcm__keep(queue->object, op, &row, 1);
}

static int room_for(ipc_anys *args, size_t count)
{
    args->items = calloc(count, sizeof *args->items);
    if (args->items == NULL)
        return ipcm__fail_no_memory();
    args->count = count;
    return 0;
}

/* Where it stands: the last row. */
static int save_info(const struct queue *queue, uint32_t *op, ipc_anys *args)
{
    const int rc = room_for(args, 3);
    if (rc != 0)
        return rc;
    args->items[0] = ipc_i64(queue->closed);
    args->items[1] = ipc_u64(queue->number);
    args->items[2] = ipc_u64(queue->unfinished);
    *op = IPCM__OP_QUEUE_INFO;
    return 1;
}

static int save_messages(const struct queue *queue, size_t *at, size_t most,
                         ipc_anys *args)
{
    const struct message *message;
    uint64_t number;
    size_t count = 0;
    int rc = room_for(args, most * ROW_VALUES);
    while (rc == 0 && count < most &&
           (message = ipcm__map_next(&queue->numbers, at, &number)) != NULL) {
        ipc_any *row = args->items + count * ROW_VALUES;
        rc = ipcm__any_copy(&message->value, &row[0]);
        row[1] = ipc_i64(message->priority);
        row[2] = ipc_u64(message->number);
        row[3] = ipc_i64(message->deliveries);
        count++;
    }
    args->count = count * ROW_VALUES;
    if (rc < 0 || count == 0)
        ipc_anys_free(args);
    return rc != 0 ? rc : count > 0;
}

/* *at: the place in the map, plus 1 when that is through. */
int ipcm__queue_save(struct ipcm__object *object, uint64_t *at, size_t most,
                     uint32_t *op, ipc_anys *args)
{
    const struct queue *queue = object->state;
    size_t place = (size_t)*at;
    if (place > queue->numbers.room)
        return 0;
    *op = IPCM__OP_QUEUE_PUT;
    const int rc = save_messages(
        queue, &place, most < ROW_VALUES ? 1 : most / ROW_VALUES, args);
    if (rc != 0) {
        *at = place;
        return rc;
    }
    *at = queue->numbers.room + 1;
    return save_info(queue, op, args);
}

/* ---- from the store ---- */

static int damaged(uint32_t op)
{
    return ipcm__fail(-EUCLEAN, "a queue has no such row %u (%s)", (unsigned)op,
                      ipcm__op_name(op));
}

static int read_u64(const ipc_any *arg, uint64_t high, uint64_t *out)
{
    if ((arg->type != IPC_TYPE_I64 && arg->type != IPC_TYPE_U64) ||
        (arg->type == IPC_TYPE_I64 && arg->i64 < 0) || arg->u64 > high)
        return -EINVAL;
    *out = arg->u64;
    return 0;
}

static int replay_put(struct queue *queue, const ipc_any *row)
{
    struct message *message;
    uint64_t number;
    uint64_t deliveries;
    if (ipcm__plain_value(&row[0]) < 0 || row[1].type != IPC_TYPE_I64 ||
        read_u64(&row[2], UINT64_MAX, &number) < 0 || number == 0 ||
        read_u64(&row[3], UINT32_MAX, &deliveries) < 0 ||
        ipcm__map_get(&queue->numbers, number) != NULL)
        return damaged(IPCM__OP_QUEUE_PUT);
    const int rc =
        ipcm__queue_add(queue, &row[0], row[1].i64, number, &message);
    if (rc != 0)
        return rc;
    ipcm__queue_deliveries(queue, message, (uint32_t)deliveries);
    return 0;
}

static int replay_puts(struct queue *queue, const ipc_any *args, size_t count)
{
    int rc = count % ROW_VALUES != 0 ? damaged(IPCM__OP_QUEUE_PUT) : 0;
    for (size_t i = 0; rc == 0 && i < count; i += ROW_VALUES)
        rc = replay_put(queue, args + i);
    return rc;
}

/* What had been taken when the queue was closed at once was dropped by that
 * here, and acked later there. */
static int replay_number(struct queue *queue, uint32_t op, const ipc_any *arg)
{
    uint64_t number;
    if (read_u64(arg, UINT64_MAX, &number) < 0)
        return damaged(op);
    struct message *message = ipcm__map_get(&queue->numbers, number);
    if (message == NULL)
        return queue->closed == QUEUE_CLOSED_NOW ? 0 : damaged(op);
    if (op == IPCM__OP_QUEUE_TAKE) {
        ipcm__queue_deliveries(queue, message,
                               message->deliveries +
                                   (message->deliveries < UINT32_MAX));
        return 0;
    }
    ipcm__queue_remove(queue, message);
    if (op == IPCM__OP_QUEUE_ACK)
        ipcm__queue_finish(queue);
    return 0;
}

static int replay_info(struct queue *queue, const ipc_any *args)
{
    uint64_t closed;
    uint64_t number;
    if (read_u64(&args[0], QUEUE_CLOSED_NOW, &closed) < 0 ||
        read_u64(&args[1], UINT64_MAX, &number) < 0 || number < queue->number ||
        read_u64(&args[2], UINT64_MAX, &queue->unfinished) < 0)
        return damaged(IPCM__OP_QUEUE_INFO);
    queue->number = number;
    if (closed != QUEUE_OPEN)
        ipcm__queue_close(queue, closed == QUEUE_CLOSED_NOW);
    return 0;
}

int ipcm__queue_replay(struct ipcm__object *object, uint32_t op,
                       const ipc_any *args, size_t count)
{
    struct queue *queue = object->state;
    switch (op) {
    case IPCM__OP_QUEUE_PUT:
        return replay_puts(queue, args, count);
    case IPCM__OP_QUEUE_GET:
    case IPCM__OP_QUEUE_TAKE:
    case IPCM__OP_QUEUE_ACK:
        return count == 1 ? replay_number(queue, op, args) : damaged(op);
    case IPCM__OP_QUEUE_TASK_DONE:
        ipcm__queue_finish(queue);
        return 0;
    case IPCM__OP_QUEUE_CLOSE:
        if (count != 1 || args[0].type != IPC_TYPE_BOOL)
            return damaged(op);
        ipcm__queue_close(queue, args[0].boolean);
        return 0;
    case IPCM__OP_QUEUE_INFO:
        return count == 3 ? replay_info(queue, args) : damaged(op);
    default:
        return damaged(op);
    }
}
