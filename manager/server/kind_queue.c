/* Queues: operations. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fail.h"
#include "server/core.h"
#include "server/kinds.h"
#include "server/queue.h"

/* Of a reply to TAKE, beside the value. */
#define LEASE_BYTES 64

/* ---- making and ending ---- */

static int read_order(const ipc_any *value, enum queue_order *out)
{
    if (value->type != IPC_TYPE_STR)
        return -EINVAL;
    if (ipcm__option_is(value->str, value->size, "fifo"))
        *out = QUEUE_FIFO;
    else if (ipcm__option_is(value->str, value->size, "lifo"))
        *out = QUEUE_LIFO;
    else if (ipcm__option_is(value->str, value->size, "priority"))
        *out = QUEUE_PRIORITY;
    else
        return -EINVAL;
    return 0;
}

static int read_option(const struct ipcm__object *object,
                       const struct ipcm__option *option, struct queue *queue)
{
    int64_t number;
    int rc = -EINVAL;
    if (ipcm__option_is(option->name, option->bytes, "order"))
        rc = read_order(option->value, &queue->order);
    else if (ipcm__option_is(option->name, option->bytes, "lease_ns"))
        rc = ipcm__option_i64(option->value, 0, INT64_MAX, &queue->lease_ns);
    else if (ipcm__option_is(option->name, option->bytes, "capacity")) {
        rc = ipcm__option_i64(option->value, 0, INT64_MAX, &number);
        queue->capacity = rc == 0 ? (uint64_t)number : 0;
    } else if (ipcm__option_is(option->name, option->bytes, "max_deliveries")) {
        rc = ipcm__option_i64(option->value, 0, UINT32_MAX, &number);
        queue->max_deliveries = rc == 0 ? (uint32_t)number : 0;
    }
    return rc < 0 ? ipcm__option_fail(object, option->name, option->bytes) : 0;
}

static int create(struct ipcm__object *object, const ipc_any *args,
                  size_t count)
{
    struct ipcm__options options = {args, count, 0};
    struct ipcm__option option;
    struct queue *queue = calloc(1, sizeof *queue);
    if (queue == NULL)
        return ipcm__fail_no_memory();
    queue->object = object;
    int rc = ipcm__option_next(&options, &option);
    while (rc == 1) {
        rc = read_option(object, &option, queue);
        if (rc == 0)
            rc = ipcm__option_next(&options, &option);
    }
    if (rc < 0) {
        free(queue);
        return rc;
    }
    ipcm__queue_begin(queue);
    object->state = queue;
    return 0;
}

static void destroy(struct ipcm__object *object)
{
    ipcm__queue_end(object->state);
    free(object->state);
}

/* ---- put ---- */

static int fail_closed(const struct ipcm__object *object)
{
    return ipcm__fail(-EPIPE, "queue \"%s\" is closed",
                      object->name != NULL ? object->name : "");
}

/* What has been put can be taken: with its lease, in one reply. */
static int check_size(const struct ipcm__object *object, const ipc_any *value)
{
    const uint32_t most = object->server->config->wire.frame_bytes;
    return ipcm__value_bytes(value) + LEASE_BYTES <= most
               ? 0
               : ipcm__fail(-EMSGSIZE,
                            "a message of %u bytes: limits.frame_bytes is %u, "
                            "and a lease takes %d of it",
                            (unsigned)value->size, (unsigned)most, LEASE_BYTES);
}

static int put(struct ipcm__object *object, struct ipcm__call *call)
{
    struct queue *queue = object->state;
    const struct ipcm__request *request = &call->request;
    struct message *message;
    int64_t priority;
    int64_t ns;
    int rc = ipcm__arg_count(request, 3, 3);
    if (rc == 0)
        rc = ipcm__plain_value(&request->args[0]);
    if (rc == 0)
        rc = check_size(object, &request->args[0]);
    if (rc == 0)
        rc = ipcm__arg_i64(request, 1, INT64_MIN, INT64_MAX, &priority);
    if (rc == 0)
        rc = ipcm__arg_ns(call, 2, &ns);
    if (rc != 0)
        return rc;
    if (queue->closed != QUEUE_OPEN)
        return fail_closed(object);
    if ((queue->capacity != 0 && ipcm__queue_count(queue) >= queue->capacity) ||
        !ipcm__is_next(call, IPCM__OP_QUEUE_PUT, IPCM__OP_QUEUE_PUT))
        return ipcm__would_wait(call, ns, "is full");
    rc = ipcm__queue_add(queue, &request->args[0], priority, 0, &message);
    if (rc != 0)
        return rc;
    ipcm__object_ring(object);
    return ipcm__queue_keep_put(queue, message);
}

/* ---- get ---- */

struct message *ipcm__queue_find_next(const struct ipcm__call *call, int *rc)
{
    const struct queue *queue = call->object->state;
    int64_t ns;
    *rc = ipcm__arg_count(&call->request, 1, 1);
    if (*rc == 0)
        *rc = ipcm__arg_ns(call, 0, &ns);
    if (*rc != 0)
        return NULL;
    if (queue->ready.count > 0 &&
        ipcm__is_next(call, IPCM__OP_QUEUE_GET, IPCM__OP_QUEUE_TAKE))
        return queue->ready.at[0];
    if (queue->closed == QUEUE_CLOSED_NOW ||
        (queue->closed == QUEUE_CLOSED && queue->ready.count == 0 &&
         queue->leased.count == 0))
        *rc = fail_closed(call->object);
    else
        *rc = ipcm__would_wait(call, ns, "is empty");
    return NULL;
}

static int get(struct ipcm__object *object, struct ipcm__call *call)
{
    struct queue *queue = object->state;
    int rc;
    struct message *message = ipcm__queue_find_next(call, &rc);
    if (message != NULL)
        rc = ipcm__call_result_copy(call, &message->value);
    if (message == NULL || rc != 0)
        return rc;
    const uint64_t number = message->number;
    ipcm__queue_remove(queue, message);
    ipcm__object_ring(object); /* there is room */
    return ipcm__queue_keep(queue, IPCM__OP_QUEUE_GET, number);
}

/* ---- the whole ---- */

static int task_done(struct ipcm__object *object, const struct ipcm__call *call)
{
    struct queue *queue = object->state;
    const int rc = ipcm__arg_count(&call->request, 0, 0);
    if (rc != 0)
        return rc;
    if (queue->unfinished == 0)
        return ipcm__fail(-EINVAL, "there is nothing that is not done");
    ipcm__queue_finish(queue);
    return ipcm__keep(object, IPCM__OP_QUEUE_TASK_DONE, NULL, 0);
}

/* Also if more was put in the same turn, after all was done. */
static int join(const struct queue *queue, struct ipcm__call *call)
{
    int64_t ns;
    int rc = ipcm__arg_count(&call->request, 1, 1);
    if (rc == 0)
        rc = ipcm__arg_ns(call, 0, &ns);
    if (rc != 0)
        return rc;
    if (call->scratch[0] == 0)
        call->scratch[0] = queue->finishes + 1;
    if (queue->unfinished == 0 || queue->finishes != call->scratch[0] - 1)
        return 0;
    return ipcm__would_wait(call, ns, "is not done");
}

static int close_it(struct ipcm__object *object, const struct ipcm__call *call)
{
    bool immediate;
    int rc = ipcm__arg_count(&call->request, 1, 1);
    if (rc == 0)
        rc = ipcm__arg_bool(&call->request, 0, &immediate);
    if (rc != 0)
        return rc;
    ipcm__queue_close(object->state, immediate);
    return ipcm__keep(object, IPCM__OP_QUEUE_CLOSE, call->request.args, 1);
}

static int info(const struct queue *queue, struct ipcm__call *call)
{
    int rc = ipcm__arg_count(&call->request, 0, 0);
    if (rc == 0)
        rc = ipcm__call_result(call, ipc_bool(queue->closed != QUEUE_OPEN));
    if (rc == 0)
        rc = ipcm__answer_u64(call, queue->ready.count);
    if (rc == 0)
        rc = ipcm__answer_u64(call, queue->capacity);
    if (rc == 0)
        rc = ipcm__answer_u64(call, queue->leased.count);
    if (rc == 0)
        rc = ipcm__answer_u64(call, queue->dead_count);
    return rc != 0 ? rc : ipcm__answer_u64(call, queue->unfinished);
}

static int operate(struct ipcm__object *object, struct ipcm__call *call)
{
    switch (call->request.op) {
    case IPCM__OP_QUEUE_PUT:
        return put(object, call);
    case IPCM__OP_QUEUE_GET:
        return get(object, call);
    case IPCM__OP_QUEUE_TAKE:
        return ipcm__queue_take(object, call);
    case IPCM__OP_QUEUE_TAKE_DEAD:
        return ipcm__queue_take_dead(object, call);
    case IPCM__OP_QUEUE_ACK:
        return ipcm__queue_ack(object, call);
    case IPCM__OP_QUEUE_NACK:
        return ipcm__queue_nack(object, call);
    case IPCM__OP_QUEUE_EXTEND:
        return ipcm__queue_extend(object, call);
    case IPCM__OP_QUEUE_TASK_DONE:
        return task_done(object, call);
    case IPCM__OP_QUEUE_JOIN:
        return join(object->state, call);
    case IPCM__OP_QUEUE_CLOSE:
        return close_it(object, call);
    case IPCM__OP_QUEUE_INFO:
        return info(object->state, call);
    default:
        return ipcm__fail_no_operation(call);
    }
}

/* ---- who waits ---- */

static enum queue_line line_of(const struct ipcm__call *call)
{
    switch (call->request.op) {
    case IPCM__OP_QUEUE_PUT:
        return LINE_PUT;
    case IPCM__OP_QUEUE_JOIN:
        return LINE_JOIN;
    default:
        return LINE_GET;
    }
}

/* scratch[1]: it is counted among those who wait. */
static void count_waiting(struct queue *queue, struct ipcm__call *call,
                          bool waits)
{
    if (waits && call->scratch[1] == 0)
        queue->waiting[line_of(call)]++;
    else if (!waits && call->scratch[1] != 0)
        queue->waiting[line_of(call)]--;
    call->scratch[1] = waits;
}

/* All who wait, wait for the same: those behind need not be asked. */
static bool all_wait_for(const struct queue *queue, enum queue_line line)
{
    return line != LINE_JOIN &&
           queue->waiting[line] == queue->waiting[LINE_PUT] +
                                       queue->waiting[LINE_GET] +
                                       queue->waiting[LINE_JOIN];
}

static int call_queue(struct ipcm__object *object, struct ipcm__call *call)
{
    struct queue *queue = object->state;
    ipcm__queue_expire(queue, ipcm__now(object->server));
    const int rc = operate(object, call);
    count_waiting(queue, call, rc == IPCM__WAITS);
    if (rc == IPCM__WAITS && all_wait_for(queue, line_of(call)))
        return IPCM__WAITS_ALL;
    return rc;
}

static void withdrawn(struct ipcm__object *object, struct ipcm__call *call)
{
    count_waiting(object->state, call, false);
    ipcm__object_ring(object);
}

/* The hold is the first thing in a message. */
static void lost(struct ipcm__object *object, struct ipcm__hold *hold)
{
    ipcm__queue_give_back(object->state, (struct message *)(void *)hold);
}

static ipc_deadline next(const struct ipcm__object *object)
{
    const struct queue *queue = object->state;
    return queue->leased.count > 0 ? queue->leased.at[0]->lease
                                   : IPC_TIME_FOREVER;
}

static void tick(struct ipcm__object *object)
{
    ipcm__queue_expire(object->state, ipcm__now(object->server));
}

static int describe(const struct ipcm__object *object, char *out, size_t size)
{
    const struct queue *queue = object->state;
    return snprintf(out, size,
                    "%zu messages, %zu on a lease, %zu dead, %" PRIu64
                    " not done%s; %zu wait to put, %zu to get",
                    queue->ready.count, queue->leased.count, queue->dead_count,
                    queue->unfinished,
                    queue->closed == QUEUE_OPEN ? "" : ", closed",
                    queue->waiting[LINE_PUT], queue->waiting[LINE_GET]);
}

const struct ipcm__kind ipcm__kind_queue = {
    .name = "queue",
    .durable = true,
    .create = create,
    .destroy = destroy,
    .call = call_queue,
    .withdrawn = withdrawn,
    .lost = lost,
    .next = next,
    .tick = tick,
    .save = ipcm__queue_save,
    .replay = ipcm__queue_replay,
    .describe = describe,
};
