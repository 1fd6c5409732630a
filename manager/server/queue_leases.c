/* Queues: taking a message on a lease, and what becomes of it. */
#include <errno.h>
#include <inttypes.h>

#include "fail.h"
#include "server/kinds.h"
#include "server/queue.h"

/* Everything that can fail comes first. */
static int lease(struct queue *queue, struct ipcm__call *call,
                 struct message *message)
{
    const uint64_t token = queue->token + 1;
    int rc = ipcm__queue_reserve_lease(queue);
    if (rc == 0)
        rc = ipcm__call_result_copy(call, &message->value);
    if (rc == 0)
        rc = ipcm__answer_i64(call, message->priority);
    if (rc == 0)
        rc = ipcm__answer_u64(call, token);
    if (rc == 0)
        rc = ipcm__answer_i64(call, (int64_t)message->deliveries + 1);
    if (rc == 0)
        rc = ipcm__map_put(&queue->tokens, token, message);
    if (rc != 0)
        return rc;
    queue->token = token;
    message->token = token;
    ipcm__queue_lease(queue, message, call->session);
    return ipcm__queue_keep(queue, IPCM__OP_QUEUE_TAKE, message->number);
}

int ipcm__queue_take(struct ipcm__object *object, struct ipcm__call *call)
{
    int rc;
    struct message *message = ipcm__queue_find_next(call, &rc);
    return message != NULL ? lease(object->state, call, message) : rc;
}

int ipcm__queue_take_dead(struct ipcm__object *object, struct ipcm__call *call)
{
    struct queue *queue = object->state;
    const int rc = ipcm__arg_count(&call->request, 0, 0);
    if (rc != 0)
        return rc;
    if (list_is_empty(&queue->dead))
        return ipcm__fail(-EAGAIN, "there is no dead letter");
    return lease(queue, call,
                 list_entry(queue->dead.next, struct message, of_dead));
}

/* ---- their ends ---- */

static int find_lease(const struct queue *queue, const struct ipcm__call *call,
                      size_t count, struct message **out)
{
    uint64_t token;
    int rc = ipcm__arg_count(&call->request, count, count);
    if (rc == 0)
        rc = ipcm__arg_u64(&call->request, 0, &token);
    if (rc != 0)
        return rc;
    *out = ipcm__map_get(&queue->tokens, token);
    return *out != NULL
               ? 0
               : ipcm__fail(-ESTALE, "lease %" PRIu64 " is over", token);
}

int ipcm__queue_ack(struct ipcm__object *object, const struct ipcm__call *call)
{
    struct queue *queue = object->state;
    struct message *message;
    const int rc = find_lease(queue, call, 1, &message);
    if (rc != 0)
        return rc;
    const uint64_t number = message->number;
    ipcm__queue_remove(queue, message);
    ipcm__queue_finish(queue);
    ipcm__object_ring(object);
    return ipcm__queue_keep(queue, IPCM__OP_QUEUE_ACK, number);
}

int ipcm__queue_nack(struct ipcm__object *object, const struct ipcm__call *call)
{
    struct message *message;
    const int rc = find_lease(object->state, call, 1, &message);
    if (rc == 0)
        ipcm__queue_give_back(object->state, message);
    return rc;
}

int ipcm__queue_extend(struct ipcm__object *object,
                       const struct ipcm__call *call)
{
    struct message *message;
    int64_t ns;
    int rc = find_lease(object->state, call, 2, &message);
    if (rc == 0)
        rc = ipcm__arg_i64(&call->request, 1, 0, INT64_MAX, &ns);
    if (rc == 0)
        ipcm__queue_set_lease(object->state, message, ipcm__later(object, ns));
    return rc;
}
