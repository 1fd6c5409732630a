/* Queues: their messages.
 *
 * State
 *   A message is in one of three places: the heap of those that are ready, the
 *   heap of those on a lease, the list of the dead ones.
 *
 * Invariants
 *   1  the first heap has room for all messages, so that none that comes back
 *      is ever lost for want of memory;
 *   2  each is paid for: limits.queue_bytes.
 *
 * Order
 *   By number, which grows with every put, or against it, or by priority first:
 *   so a message that comes back has its old place.
 *
 * Death
 *   The session of who has a lease ends: its hold is lost, as if the lease had
 *   run out. */
#include "server/queue.h"

#include <errno.h>
#include <stdlib.h>

#include "server/core.h"
#include "server/kinds.h"

/* Beside the message: places in heaps and maps. */
#define OVERHEAD (sizeof(struct message) + 64)

/* ---- heaps ---- */

static void place_at(struct message_heap *heap, size_t place,
                     struct message *message)
{
    heap->at[place] = message;
    message->place = place;
}

static void move_up(struct message_heap *heap, struct message *message)
{
    size_t place = message->place;
    while (place > 0) {
        struct message *above = heap->at[(place - 1) / 2];
        if (!heap->before(message, above))
            break;
        place_at(heap, place, above);
        place = (place - 1) / 2;
    }
    place_at(heap, place, message);
}

static void move_down(struct message_heap *heap, struct message *message)
{
    size_t place = message->place;
    for (;;) {
        size_t below = place * 2 + 1;
        if (below >= heap->count)
            break;
        if (below + 1 < heap->count &&
            heap->before(heap->at[below + 1], heap->at[below]))
            below++;
        if (!heap->before(heap->at[below], message))
            break;
        place_at(heap, place, heap->at[below]);
        place = below;
    }
    place_at(heap, place, message);
}

static int heap_reserve(struct message_heap *heap, size_t count)
{
    if (count <= heap->room)
        return 0;
    const size_t room = count < 8 ? 8 : count + count / 2;
    struct message **at =
        (struct message **)reallocarray((void *)heap->at, room, sizeof(void *));
    if (at == NULL)
        return ipcm__fail_no_memory();
    heap->at = at;
    heap->room = room;
    return 0;
}

static void heap_add(struct message_heap *heap, struct message *message)
{
    place_at(heap, heap->count++, message);
    move_up(heap, message);
}

static void heap_remove(struct message_heap *heap, struct message *message)
{
    struct message *last = heap->at[--heap->count];
    if (last == message)
        return;
    place_at(heap, message->place, last);
    move_up(heap, last);
    move_down(heap, last);
}

static bool before_fifo(const struct message *a, const struct message *b)
{
    return a->number < b->number;
}

static bool before_lifo(const struct message *a, const struct message *b)
{
    return a->number > b->number;
}

static bool before_priority(const struct message *a, const struct message *b)
{
    return a->priority != b->priority ? a->priority > b->priority
                                      : a->number < b->number;
}

static bool ends_before(const struct message *a, const struct message *b)
{
    return a->lease < b->lease;
}

/* ---- the whole ---- */

void ipcm__queue_begin(struct queue *queue)
{
    static bool (*const orders[])(const struct message *,
                                  const struct message *) = {
        [QUEUE_FIFO] = before_fifo,
        [QUEUE_LIFO] = before_lifo,
        [QUEUE_PRIORITY] = before_priority,
    };
    queue->ready.before = orders[queue->order];
    queue->leased.before = ends_before;
    queue->token = ipcm__first_token();
    list_init(&queue->dead);
}

static void remove_all(struct queue *queue)
{
    while (queue->ready.count > 0)
        ipcm__queue_remove(queue, queue->ready.at[queue->ready.count - 1]);
    while (!list_is_empty(&queue->dead))
        ipcm__queue_remove(
            queue, list_entry(queue->dead.next, struct message, of_dead));
}

void ipcm__queue_end(struct queue *queue)
{
    remove_all(queue);
    while (queue->leased.count > 0)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): another one is there */
        ipcm__queue_remove(queue, queue->leased.at[0]);
    free((void *)queue->ready.at);
    free((void *)queue->leased.at);
    ipcm__map_free(&queue->tokens);
    ipcm__map_free(&queue->numbers);
}

size_t ipcm__queue_count(const struct queue *queue)
{
    return queue->ready.count + queue->leased.count + queue->dead_count;
}

static bool is_durable(const struct queue *queue)
{
    return queue->object->durability > IPC_DURABLE_NONE;
}

/* ---- messages ---- */

static int64_t bytes_of(const struct message *message)
{
    return (int64_t)(OVERHEAD + ipcm__value_bytes(&message->value));
}

static int fill(struct queue *queue, struct message *message,
                const ipc_any *value)
{
    int rc = ipcm__any_copy(value, &message->value);
    if (rc == 0)
        rc = ipcm__object_charge(queue->object, bytes_of(message));
    if (rc != 0)
        return rc;
    if (is_durable(queue))
        rc = ipcm__map_put(&queue->numbers, message->number, message);
    if (rc < 0)
        (void)ipcm__object_charge(queue->object, -bytes_of(message));
    return rc;
}

int ipcm__queue_add(struct queue *queue, const ipc_any *value, int64_t priority,
                    uint64_t number, struct message **out)
{
    int rc = heap_reserve(&queue->ready, ipcm__queue_count(queue) + 1);
    if (rc != 0)
        return rc;
    struct message *message = calloc(1, sizeof *message);
    if (message == NULL)
        return ipcm__fail_no_memory();
    message->number = number != 0 ? number : queue->number + 1;
    message->priority = priority;
    list_init(&message->of_dead);
    rc = fill(queue, message, value);
    if (rc < 0) {
        ipc_any_free(&message->value);
        free(message);
        return rc;
    }
    if (message->number > queue->number)
        queue->number = message->number;
    queue->unfinished++;
    message->state = MESSAGE_READY;
    heap_add(&queue->ready, message);
    *out = message;
    return 0;
}

static void end_lease(struct queue *queue, struct message *message)
{
    heap_remove(&queue->leased, message);
    (void)ipcm__map_take(&queue->tokens, message->token);
    ipcm__hold_remove(&message->hold);
}

static void end_death(struct queue *queue, struct message *message)
{
    list_remove(&message->of_dead);
    queue->dead_count--;
}

static void take_out(struct queue *queue, struct message *message)
{
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): who is freed has left */
    switch (message->state) {
    case MESSAGE_READY:
        heap_remove(&queue->ready, message);
        break;
    case MESSAGE_LEASED:
        end_lease(queue, message);
        break;
    case MESSAGE_DEAD:
        end_death(queue, message);
        break;
    }
}

void ipcm__queue_remove(struct queue *queue, struct message *message)
{
    take_out(queue, message);
    if (is_durable(queue))
        (void)ipcm__map_take(&queue->numbers, message->number);
    (void)ipcm__object_charge(queue->object, -bytes_of(message));
    ipc_any_free(&message->value);
    free(message);
}

/* ---- leases ---- */

int ipcm__queue_reserve_lease(struct queue *queue)
{
    return heap_reserve(&queue->leased, queue->leased.count + 1);
}

void ipcm__queue_set_lease(struct queue *queue, struct message *message,
                           ipc_deadline until)
{
    message->lease = until;
    move_up(&queue->leased, message);
    move_down(&queue->leased, message);
}

void ipcm__queue_lease(struct queue *queue, struct message *message,
                       struct ipcm__session *session)
{
    take_out(queue, message);
    message->state = MESSAGE_LEASED;
    message->deliveries += message->deliveries < UINT32_MAX;
    message->lease = queue->lease_ns == 0
                         ? IPC_TIME_FOREVER
                         : ipcm__later(queue->object, queue->lease_ns);
    heap_add(&queue->leased, message);
    ipcm__hold_add(&message->hold, session, queue->object);
}

/* Ready, or dead if it was delivered too often. */
static void settle(struct queue *queue, struct message *message)
{
    if (queue->max_deliveries != 0 &&
        message->deliveries >= queue->max_deliveries) {
        message->state = MESSAGE_DEAD;
        list_append(&queue->dead, &message->of_dead);
        queue->dead_count++;
        return;
    }
    message->state = MESSAGE_READY;
    heap_add(&queue->ready, message);
}

void ipcm__queue_deliveries(struct queue *queue, struct message *message,
                            uint32_t deliveries)
{
    take_out(queue, message);
    message->deliveries = deliveries;
    settle(queue, message);
}

void ipcm__queue_give_back(struct queue *queue, struct message *message)
{
    if (queue->closed == QUEUE_CLOSED_NOW) {
        ipcm__queue_remove(queue, message);
        ipcm__queue_finish(queue);
    } else {
        end_lease(queue, message);
        settle(queue, message);
    }
    ipcm__object_ring(queue->object);
}

void ipcm__queue_expire(struct queue *queue, ipc_deadline now)
{
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): another one is there then */
    while (queue->leased.count > 0 && queue->leased.at[0]->lease <= now)
        ipcm__queue_give_back(queue, queue->leased.at[0]);
}

/* ---- done, and closed ---- */

void ipcm__queue_finish(struct queue *queue)
{
    if (queue->unfinished == 0 || --queue->unfinished > 0)
        return;
    queue->finishes++;
    ipcm__object_ring(queue->object);
}

void ipcm__queue_close(struct queue *queue, bool immediate)
{
    const size_t before = ipcm__queue_count(queue);
    if (queue->closed != QUEUE_CLOSED_NOW)
        queue->closed = immediate ? QUEUE_CLOSED_NOW : QUEUE_CLOSED;
    if (queue->closed == QUEUE_CLOSED_NOW)
        remove_all(queue);
    for (size_t n = before - ipcm__queue_count(queue); n > 0; n--)
        ipcm__queue_finish(queue);
    ipcm__object_ring(queue->object);
}
