/* Each way to put a message and to get it: a part of everything.c, where
 * DONE() is.
 *
 * What could not be put is not in the queue; what could not be got still is,
 * and is got by the next try. */
#ifndef FAULT_EVERYTHING_MESSAGE_H
#define FAULT_EVERYTHING_MESSAGE_H

#include <ipc/queue.h>

enum {
    SHORT_BYTES = 40,
    LONG_BYTES = 20000, /* not with the others: in pages of its own */
    POSIX_BYTES = 900,
    BOUND = 6, /* messages */
    IN_BATCH = 3
};

/* ---- messages ---- */

struct content {
    unsigned char bytes[LONG_BYTES + 1];
};

static void make_content(struct content *content, size_t bytes, unsigned number)
{
    for (size_t i = 0; i < bytes; i++)
        content->bytes[i] =
            (unsigned char)((size_t)number * 31 + i * 7 + i / 256);
}

static void expect_content(const void *data, size_t bytes, size_t as_put,
                           unsigned number)
{
    static struct content right;
    assert_int_equal(bytes, as_put);
    make_content(&right, bytes, number);
    assert_memory_equal(data, right.bytes, bytes);
}

/* ---- each way to put and to get ---- */

struct load {
    ipc_queue *queue;
    uint32_t flags;
    uint32_t undone; /* messages that nobody said to be done */
};

static int reserve_and_commit(ipc_queue *queue, const void *data, size_t bytes)
{
    ipc_message message;
    const int rc = ipc_queue_reserve(queue, bytes + 1, &message);
    if (rc != 0)
        return rc;
    memcpy(message.data, data, bytes);
    message.bytes = bytes;
    CHECK(ipc_queue_commit(queue, &message), 0);
    return 0;
}

static int put_batch_of_one(ipc_queue *queue, void *data, size_t bytes)
{
    const ipc_queue_item item = {.data = data, .bytes = bytes};
    const int rc = ipc_queue_putv(queue, &item, 1, IPC_TIME_FOREVER);
    return rc == 1 ? 0 : rc;
}

enum {
    WAYS_TO_PUT = 6
};

static int put_so(ipc_queue *queue, unsigned way, void *data, size_t bytes)
{
    switch (way % WAYS_TO_PUT) {
    case 0:
        return ipc_queue_put(queue, data, bytes);
    case 1:
        return ipc_queue_put_nowait(queue, data, bytes);
    case 2:
        return ipc_queue_put_until(queue, data, bytes, ipc_after_ms(LIMIT_MS));
    case 3:
        return ipc_queue_put_priority(queue, data, bytes, 3, IPC_TIME_FOREVER);
    case 4:
        return put_batch_of_one(queue, data, bytes);
    default:
        return reserve_and_commit(queue, data, bytes);
    }
}

static int get_fresh(ipc_queue *queue, void *buffer, size_t *bytes)
{
    void *data;
    const int rc = ipc_queue_get_alloc(queue, &data, bytes, IPC_TIME_FOREVER);
    if (rc != 0)
        return rc;
    memcpy(buffer, data, *bytes);
    free(data);
    return 0;
}

static int get_batch_of_one(ipc_queue *queue, void *buffer, size_t *bytes)
{
    ipc_queue_item item = {.data = buffer, .room = LONG_BYTES};
    const int rc = ipc_queue_getv(queue, &item, 1, IPC_TIME_FOREVER);
    *bytes = item.bytes;
    return rc == 1 ? 0 : rc;
}

static int peek_and_release(ipc_queue *queue, void *buffer, size_t *bytes)
{
    ipc_message message;
    const int rc = ipc_queue_peek(queue, &message);
    if (rc != 0)
        return rc;
    memcpy(buffer, message.data, message.bytes);
    *bytes = message.bytes;
    CHECK(ipc_queue_release(queue, &message), 0);
    return 0;
}

/* bytes: what it has. */
static int get_exactly(ipc_queue *queue, void *buffer, size_t bytes)
{
    return ipc_queue_get_exactly(queue, buffer, bytes, IPC_TIME_FOREVER);
}

enum {
    WAYS_TO_GET = 7
};

static int get_so(ipc_queue *queue, unsigned way, void *buffer, size_t *bytes)
{
    switch (way % WAYS_TO_GET) {
    case 0:
        return ipc_queue_get(queue, buffer, LONG_BYTES, bytes);
    case 1:
        return ipc_queue_get_nowait(queue, buffer, LONG_BYTES, bytes);
    case 2:
        return ipc_queue_get_until(queue, buffer, LONG_BYTES, bytes,
                                   ipc_after_ms(LIMIT_MS));
    case 3:
        return get_fresh(queue, buffer, bytes);
    case 4:
        return get_batch_of_one(queue, buffer, bytes);
    case 5:
        return get_exactly(queue, buffer, *bytes);
    default:
        return peek_and_release(queue, buffer, bytes);
    }
}

static bool is_posix(const struct load *load)
{
    return (load->flags & IPC_QUEUE_POSIX) != 0;
}

/* Those of the system may not even be asked how many there are. */
static void expect_size(const struct load *load, size_t size)
{
    if (!is_posix(load))
        assert_int_equal(ipc_queue_size(load->queue), size);
}

static bool put_one(struct load *load, unsigned way, size_t bytes)
{
    static struct content content;
    const size_t size = ipc_queue_size(load->queue);
    make_content(&content, bytes, way);
    if (is_posix(load) && way % WAYS_TO_PUT == 5)
        way = 0;
    const bool put =
        done("put", (ipc__fail_plain(0),
                     put_so(load->queue, way, content.bytes, bytes)));
    expect_size(load, size + put);
    load->undone += put;
    return put;
}

/* In this way, once more, and if it never works in the simplest one.  False:
 * the message stays. */
static bool get_one(struct load *load, unsigned way, size_t as_put,
                    unsigned number)
{
    static struct content content;
    const size_t size = ipc_queue_size(load->queue);
    if (is_posix(load) && way % WAYS_TO_GET == 6)
        way = 0;
    for (int i = 0; i < 4; i++) {
        size_t found = as_put;
        if (i == 2)
            way = 0;
        (void)ipc__fail_plain(0);
        if (done("get", get_so(load->queue, way, content.bytes, &found))) {
            expect_content(content.bytes, found, as_put, number);
            expect_size(load, size - 1);
            return true;
        }
        expect_size(load, size);
    }
    return false;
}

#endif
