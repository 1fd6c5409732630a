/* Requests, replies and values to bytes, each in the shortest form there is.
 *
 * What is written goes to the end of the buffer and counts as there only when
 * all of it fits: an error puts the end back. */
#include "wire/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fail.h"
#include "wire/bytes.h"
#include "wire/shape.h"

struct sink {
    struct ipcm__buffer *buffer;
    const struct ipcm__wire_limits *limits;
    size_t begin; /* of what is written now; the length is not part of it */
    uint32_t nodes;
    bool strict; /* strings must be UTF-8 */
    int error;   /* the first one: nothing is written any more */
};

static void fail(struct sink *sink, int error)
{
    sink->error = error;
}

/* Room for n bytes more; NULL: there was an error, or is one now. */
static uint8_t *take(struct sink *sink, size_t n)
{
    struct ipcm__buffer *buffer = sink->buffer;
    const uint32_t most = sink->limits->frame_bytes;
    if (sink->error != 0)
        return NULL;
    if (n > most || buffer->end - buffer->begin - sink->begin > most - n) {
        fail(sink,
             ipcm__fail(-EMSGSIZE,
                        "it does not fit a frame: frame_bytes is %" PRIu32,
                        most));
        return NULL;
    }
    if (n > buffer->room - buffer->end &&
        ipcm__buffer_reserve(buffer, n) == NULL) {
        fail(sink, ipcm__fail(-ENOMEM, "no memory for %zu bytes", n));
        return NULL;
    }
    buffer->end += n;
    return buffer->data + buffer->end - n;
}

/* One value more.  False: too many. */
static bool count_node(struct sink *sink)
{
    if (sink->error != 0)
        return false;
    if (sink->nodes++ < sink->limits->nodes)
        return true;
    fail(sink,
         ipcm__fail(-EMSGSIZE, "too many values in a frame: nodes is %" PRIu32,
                    sink->limits->nodes));
    return false;
}

/* ---- MessagePack ---- */

/* What a value begins with, and a number behind it. */
static void put_head(struct sink *sink, unsigned first, uint64_t number,
                     unsigned bytes)
{
    uint8_t *to = take(sink, 1 + bytes);
    if (to == NULL)
        return;
    to[0] = (uint8_t)first;
    ipcm__put_be(to + 1, number, bytes);
}

static void put_u64(struct sink *sink, uint64_t number)
{
    if (number <= 0x7f)
        put_head(sink, (unsigned)number, 0, 0);
    else if (number <= UINT8_MAX)
        put_head(sink, 0xcc, number, 1);
    else if (number <= UINT16_MAX)
        put_head(sink, 0xcd, number, 2);
    else if (number <= UINT32_MAX)
        put_head(sink, 0xce, number, 4);
    else
        put_head(sink, 0xcf, number, 8);
}

static void put_i64(struct sink *sink, int64_t number)
{
    const uint64_t bits = (uint64_t)number;
    if (number >= 0)
        put_u64(sink, bits);
    else if (number >= -32)
        put_head(sink, (uint8_t)bits, 0, 0);
    else if (number >= INT8_MIN)
        put_head(sink, 0xd0, bits, 1);
    else if (number >= INT16_MIN)
        put_head(sink, 0xd1, bits, 2);
    else if (number >= INT32_MIN)
        put_head(sink, 0xd2, bits, 4);
    else
        put_head(sink, 0xd3, bits, 8);
}

static void put_f64(struct sink *sink, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    put_head(sink, 0xcb, bits, 8);
}

static void put_body(struct sink *sink, const void *bytes, size_t n)
{
    uint8_t *to = n != 0 ? take(sink, n) : NULL;
    if (to != NULL)
        memcpy(to, bytes, n);
}

static void put_array(struct sink *sink, size_t count)
{
    if (!count_node(sink))
        return;
    if (count > sink->limits->nodes)
        fail(sink,
             ipcm__fail(-EMSGSIZE, "%zu values in a frame: nodes is %" PRIu32,
                        count, sink->limits->nodes));
    else if (count <= 15)
        put_head(sink, 0x90u + (unsigned)count, 0, 0);
    else if (count <= UINT16_MAX)
        put_head(sink, 0xdc, count, 2);
    else
        put_head(sink, 0xdd, count, 4);
}

/* ---- values ---- */

static void put_number(struct sink *sink, uint64_t number)
{
    if (count_node(sink))
        put_u64(sink, number);
}

/* first: of the form with a length of one byte; those of 2 and 4 follow it. */
static void put_sized(struct sink *sink, unsigned first, const ipc_any *any)
{
    if (any->size <= UINT8_MAX)
        put_head(sink, first, any->size, 1);
    else if (any->size <= UINT16_MAX)
        put_head(sink, first + 1, any->size, 2);
    else
        put_head(sink, first + 2, any->size, 4);
    put_body(sink, any->bytes, any->size);
}

static void put_str(struct sink *sink, const ipc_any *any)
{
    if (sink->strict && any->size <= sink->limits->frame_bytes &&
        !ipcm__utf8(any->str, any->size)) {
        fail(sink, ipcm__fail(-EILSEQ, "a string that is not UTF-8"));
        return;
    }
    if (any->size > 31) {
        put_sized(sink, 0xd9, any);
        return;
    }
    put_head(sink, 0xa0u + any->size, 0, 0);
    put_body(sink, any->str, any->size);
}

static void put_container(struct sink *sink, const ipc_any *any)
{
    uint8_t body[1 + IPCM__EXT_BYTES] = {IPCM__EXT_CONTAINER,
                                         (uint8_t)any->type};
    ipcm__put_be(body + 2, any->u64, 8);
    put_head(sink, 0xc7, IPCM__EXT_BYTES, 1);
    put_body(sink, body, sizeof body);
}

static void put_value(struct sink *sink, const ipc_any *any)
{
    if (!count_node(sink))
        return;
    switch (any->type) {
    case IPC_TYPE_NIL:
        put_head(sink, 0xc0, 0, 0);
        break;
    case IPC_TYPE_BOOL:
        put_head(sink, any->boolean ? 0xc3 : 0xc2, 0, 0);
        break;
    case IPC_TYPE_I64:
        put_i64(sink, any->i64);
        break;
    case IPC_TYPE_U64:
        put_u64(sink, any->u64);
        break;
    case IPC_TYPE_F64:
        put_f64(sink, any->f64);
        break;
    case IPC_TYPE_STR:
        put_str(sink, any);
        break;
    case IPC_TYPE_BYTES:
        put_sized(sink, 0xc4, any);
        break;
    case IPC_TYPE_LIST:
    case IPC_TYPE_DICT:
    case IPC_TYPE_SET:
    case IPC_TYPE_NAMESPACE:
        put_container(sink, any);
        break;
    default:
        fail(sink,
             ipcm__fail(-EINVAL, "no value has type %" PRIu32, any->type));
        break;
    }
}

static void put_values(struct sink *sink, const ipc_any *values, size_t count)
{
    for (size_t i = 0; i < count && sink->error == 0; i++)
        put_value(sink, &values[i]);
}

/* ---- what is in a frame ---- */

static void put_request(struct sink *sink, const struct ipcm__request *request)
{
    const size_t calls =
        request->op == IPCM__OP_BATCH ? request->call_count : 0;

    put_array(sink, 3 + request->count + calls);
    put_number(sink, request->id);
    put_number(sink, request->op);
    put_number(sink, request->object);
    put_values(sink, request->args, request->count);
    for (size_t i = 0; i < calls && sink->error == 0; i++) {
        const struct ipcm__request *call = &request->calls[i];
        put_array(sink, 2 + call->count);
        put_number(sink, call->op);
        put_number(sink, call->object);
        put_values(sink, call->args, call->count);
    }
}

/* A status and what belongs to it. */
static void put_status(struct sink *sink, const struct ipcm__reply *reply)
{
    if (count_node(sink))
        put_i64(sink, reply->status);
    if (reply->status >= 0) {
        put_values(sink, reply->results, reply->count);
    } else if (reply->detail != NULL) {
        const ipc_any detail = ipc_strn(reply->detail, reply->detail_bytes);
        put_value(sink, &detail);
    }
}

/* How many that are. */
static size_t status_count(const struct ipcm__reply *reply)
{
    return 1 + (reply->status >= 0 ? reply->count : reply->detail != NULL);
}

static void put_reply(struct sink *sink, const struct ipcm__reply *reply)
{
    const size_t calls = reply->status >= 0 ? reply->call_count : 0;

    put_array(sink, 1 + status_count(reply) + calls);
    put_number(sink, reply->id);
    put_status(sink, reply);
    for (size_t i = 0; i < calls && sink->error == 0; i++) {
        put_array(sink, status_count(&reply->calls[i]));
        put_status(sink, &reply->calls[i]);
    }
}

/* ---- frames ---- */

/* head: bytes to be left free for the length. */
static int begin(struct sink *sink, size_t head)
{
    if (head > 0) {
        if (ipcm__buffer_reserve(sink->buffer, head) == NULL)
            return ipcm__fail(-ENOMEM, "no memory for a frame");
        sink->buffer->end += head;
    }
    sink->begin = sink->buffer->end - sink->buffer->begin;
    return 0;
}

static int end(struct sink *sink, size_t head)
{
    struct ipcm__buffer *buffer = sink->buffer;
    const size_t length = buffer->end - buffer->begin - sink->begin;
    if (sink->error != 0) {
        buffer->end = buffer->begin + sink->begin - head;
        return sink->error;
    }
    if (head > 0)
        ipcm__put32le(buffer->data + buffer->begin + sink->begin - head,
                      (uint32_t)length);
    return 0;
}

int ipcm__encode_request(struct ipcm__buffer *buffer,
                         const struct ipcm__wire_limits *limits,
                         const struct ipcm__request *request)
{
    struct sink sink = {.buffer = buffer, .limits = limits, .strict = true};
    const int rc = begin(&sink, IPCM__FRAME_HEAD);
    if (rc < 0)
        return rc;
    put_request(&sink, request);
    return end(&sink, IPCM__FRAME_HEAD);
}

int ipcm__encode_reply(struct ipcm__buffer *buffer,
                       const struct ipcm__wire_limits *limits,
                       const struct ipcm__reply *reply)
{
    struct sink sink = {.buffer = buffer, .limits = limits};
    const int rc = begin(&sink, IPCM__FRAME_HEAD);
    if (rc < 0)
        return rc;
    put_reply(&sink, reply);
    return end(&sink, IPCM__FRAME_HEAD);
}

int ipcm__encode_values(struct ipcm__buffer *buffer,
                        const struct ipcm__wire_limits *limits,
                        const ipc_any *values, size_t count)
{
    struct sink sink = {.buffer = buffer, .limits = limits};
    const int rc = begin(&sink, 0);
    if (rc < 0)
        return rc;
    put_array(&sink, count);
    put_values(&sink, values, count);
    return end(&sink, 0);
}
