/* What the tests of queues of the second kind have in common: queues with any
 * flags, and messages that carry a number and fill their bytes with it. */
#ifndef QUEUE_STORE_SUPPORT_H
#define QUEUE_STORE_SUPPORT_H

#include "unit/actor_support.h"

#include <errno.h>
#include <stdlib.h>

#include <ipc/queue.h>
#include <ipc/time.h>

#include "core/waiting.h"
#include "queue/layout.h"

enum {
    SMALL = 24,
    INLINE = 1000, /* fits the cell of a queue with few slots */
    LONG = 9000    /* lies in pages */
};

static inline ipc_queue_options store_options(uint32_t flags, uint32_t capacity)
{
    ipc_queue_options options = IPC_QUEUE_OPTIONS_INIT;
    options.flags = flags;
    options.capacity = capacity;
    return options;
}

static inline ipc_queue *new_queue(const ipc_queue_options *options)
{
    ipc_queue *queue = NULL;
    expect_rc(ipc_queue_new(options, &queue), 0);
    return queue;
}

static inline ipc_queue *new_store(uint32_t flags, uint32_t capacity)
{
    const ipc_queue_options options = store_options(flags, capacity);
    return new_queue(&options);
}

/* ---- messages ---- */

static inline void fill_message(void *data, size_t bytes, uint32_t number)
{
    memset(data, (int)(number * 37 + 11) & 0xff, bytes);
    if (bytes >= sizeof number)
        memcpy(data, &number, sizeof number);
}

/* Its number; UINT32_MAX: it is torn. */
static inline uint32_t number_of(const void *data, size_t bytes)
{
    const unsigned char *c = data;
    uint32_t number;
    if (bytes < sizeof number)
        return UINT32_MAX;
    memcpy(&number, data, sizeof number);
    for (size_t i = sizeof number; i < bytes; i++)
        if (c[i] != ((number * 37 + 11) & 0xff))
            return UINT32_MAX;
    return number;
}

static inline int put_number(ipc_queue *queue, uint32_t number, size_t bytes,
                             uint32_t priority)
{
    char *data = malloc(bytes);
    if (data == NULL)
        abort();
    fill_message(data, bytes, number);
    const int rc =
        ipc_queue_put_priority(queue, data, bytes, priority, IPC_TIME_NOW);
    free(data);
    return rc;
}

#define expect_put(queue, number, bytes)                                       \
    expect_rc(put_number((queue), (number), (bytes), 0), 0)

static inline int get_number(ipc_queue *queue, uint32_t *number,
                             ipc_deadline deadline)
{
    void *data;
    size_t bytes;
    const int rc = ipc_queue_get_alloc(queue, &data, &bytes, deadline);
    if (rc != 0)
        return rc;
    *number = number_of(data, bytes);
    free(data);
    return 0;
}

#define expect_number(queue, expected)                                         \
    do {                                                                       \
        uint32_t number_ = 0;                                                  \
        expect_rc(get_number((queue), &number_, IPC_TIME_NOW), 0);             \
        if (number_ != (uint32_t)(expected))                                   \
            test_fail("got message %d, expected %d", (int)number_,             \
                      (int)(expected));                                        \
    } while (0)

#define expect_empty(queue)                                                    \
    do {                                                                       \
        char byte_;                                                            \
        expect_rc(ipc_queue_get_nowait((queue), &byte_, 1, NULL), -EAGAIN);    \
        assert_true(ipc_queue_empty(queue));                                   \
    } while (0)

#define expect_taken(queue, message, expected)                                 \
    do {                                                                       \
        expect_rc(ipc_queue_take_nowait((queue), (message)), 0);               \
        const uint32_t number_ = number_of((message)->data, (message)->bytes); \
        if (number_ != (uint32_t)(expected))                                   \
            test_fail("took message %d, expected %d", (int)number_,            \
                      (int)(expected));                                        \
    } while (0)

/* Nothing is left in anybody's hands, and all room is there again. */
static inline void expect_all_room(ipc_queue *queue)
{
    const uint32_t capacity = ipc_queue_capacity(queue);
    expect_empty(queue);
    for (uint32_t i = 0; i < capacity; i++)
        expect_put(queue, i, sizeof i);
    expect_rc(put_number(queue, 0, sizeof(uint32_t), 0), -EAGAIN);
    assert_true(ipc_queue_full(queue));
    assert_int_equal(ipc_queue_size(queue), capacity);
    for (uint32_t i = 0; i < capacity; i++) {
        uint32_t number;
        expect_rc(get_number(queue, &number, IPC_TIME_NOW), 0);
    }
    assert_true(queue->put.used == 0);
}

static inline void free_empty(ipc_queue *queue)
{
    expect_all_room(queue);
    expect_rc(ipc_queue_free(queue), 0);
}

#endif
