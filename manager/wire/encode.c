/* Requests, replies and values to bytes, with msgpack-c.
 *
 * What is written goes to the end of the buffer and counts as there only when
 * all of it fits: an error puts the end back. */
#include "wire/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <msgpack.h>

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

static int fail(struct sink *sink, int error)
{
    sink->error = error;
    return -1;
}

/* What msgpack-c calls. */
static int write_bytes(void *data, const char *bytes, size_t n)
{
    struct sink *sink = data;
    const uint32_t most = sink->limits->frame_bytes;
    if (sink->error != 0)
        return -1;
    if (n > most ||
        sink->buffer->end - sink->buffer->begin - sink->begin > most - n)
        return fail(sink, ipcm__fail(-EMSGSIZE,
                                     "it does not fit a frame: frame_bytes "
                                     "is %" PRIu32,
                                     most));
    uint8_t *to = ipcm__buffer_reserve(sink->buffer, n);
    if (to == NULL)
        return fail(sink, ipcm__fail(-ENOMEM, "no memory for %zu bytes", n));
    if (n != 0)
        memcpy(to, bytes, n);
    sink->buffer->end += n;
    return 0;
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

static void put_array(struct sink *sink, msgpack_packer *to, size_t count)
{
    if (!count_node(sink))
        return;
    if (count > sink->limits->nodes) {
        fail(sink,
             ipcm__fail(-EMSGSIZE, "%zu values in a frame: nodes is %" PRIu32,
                        count, sink->limits->nodes));
        return;
    }
    msgpack_pack_array(to, count);
}

static void put_number(struct sink *sink, msgpack_packer *to, uint64_t number)
{
    if (count_node(sink))
        msgpack_pack_uint64(to, number);
}

static void put_text(struct sink *sink, msgpack_packer *to, const ipc_any *any)
{
    if (any->type == IPC_TYPE_BYTES) {
        msgpack_pack_bin(to, any->size);
        msgpack_pack_bin_body(to, any->bytes, any->size);
        return;
    }
    if (sink->strict && any->size <= sink->limits->frame_bytes &&
        !ipcm__utf8(any->str, any->size)) {
        fail(sink, ipcm__fail(-EILSEQ, "a string that is not UTF-8"));
        return;
    }
    msgpack_pack_str(to, any->size);
    msgpack_pack_str_body(to, any->str, any->size);
}

static void put_container(msgpack_packer *to, const ipc_any *any)
{
    uint8_t body[IPCM__EXT_BYTES];
    body[0] = (uint8_t)any->type;
    ipcm__put64be(body + 1, any->u64);
    msgpack_pack_ext(to, sizeof body, IPCM__EXT_CONTAINER);
    msgpack_pack_ext_body(to, body, sizeof body);
}

static void put_value(struct sink *sink, msgpack_packer *to, const ipc_any *any)
{
    if (!count_node(sink))
        return;
    switch (any->type) {
    case IPC_TYPE_NIL:
        msgpack_pack_nil(to);
        break;
    case IPC_TYPE_BOOL:
        (void)(any->boolean ? msgpack_pack_true(to) : msgpack_pack_false(to));
        break;
    case IPC_TYPE_I64:
        msgpack_pack_int64(to, any->i64);
        break;
    case IPC_TYPE_U64:
        msgpack_pack_uint64(to, any->u64);
        break;
    case IPC_TYPE_F64:
        msgpack_pack_double(to, any->f64);
        break;
    case IPC_TYPE_STR:
    case IPC_TYPE_BYTES:
        put_text(sink, to, any);
        break;
    case IPC_TYPE_LIST:
    case IPC_TYPE_DICT:
    case IPC_TYPE_SET:
    case IPC_TYPE_NAMESPACE:
        put_container(to, any);
        break;
    default:
        fail(sink,
             ipcm__fail(-EINVAL, "no value has type %" PRIu32, any->type));
        break;
    }
}

static void put_values(struct sink *sink, msgpack_packer *to,
                       const ipc_any *values, size_t count)
{
    for (size_t i = 0; i < count && sink->error == 0; i++)
        put_value(sink, to, &values[i]);
}

/* ---- what is in a frame ---- */

static void put_request(struct sink *sink, msgpack_packer *to,
                        const struct ipcm__request *request)
{
    const size_t calls =
        request->op == IPCM__OP_BATCH ? request->call_count : 0;

    put_array(sink, to, 3 + request->count + calls);
    put_number(sink, to, request->id);
    put_number(sink, to, request->op);
    put_number(sink, to, request->object);
    put_values(sink, to, request->args, request->count);
    for (size_t i = 0; i < calls && sink->error == 0; i++) {
        const struct ipcm__request *call = &request->calls[i];
        put_array(sink, to, 2 + call->count);
        put_number(sink, to, call->op);
        put_number(sink, to, call->object);
        put_values(sink, to, call->args, call->count);
    }
}

/* A status and what belongs to it. */
static void put_status(struct sink *sink, msgpack_packer *to,
                       const struct ipcm__reply *reply)
{
    if (count_node(sink))
        msgpack_pack_int64(to, reply->status);
    if (reply->status >= 0) {
        put_values(sink, to, reply->results, reply->count);
    } else if (reply->detail != NULL) {
        const ipc_any detail = ipc_strn(reply->detail, reply->detail_bytes);
        put_value(sink, to, &detail);
    }
}

/* How many that are. */
static size_t status_count(const struct ipcm__reply *reply)
{
    return 1 + (reply->status >= 0 ? reply->count : reply->detail != NULL);
}

static void put_reply(struct sink *sink, msgpack_packer *to,
                      const struct ipcm__reply *reply)
{
    const size_t calls = reply->status >= 0 ? reply->call_count : 0;

    put_array(sink, to, 1 + status_count(reply) + calls);
    put_number(sink, to, reply->id);
    put_status(sink, to, reply);
    for (size_t i = 0; i < calls && sink->error == 0; i++) {
        put_array(sink, to, status_count(&reply->calls[i]));
        put_status(sink, to, &reply->calls[i]);
    }
}

/* ---- frames ---- */

/* head: bytes to be left free for the length. */
static int begin(struct sink *sink, msgpack_packer *to, size_t head)
{
    if (head > 0) {
        if (ipcm__buffer_reserve(sink->buffer, head) == NULL)
            return ipcm__fail(-ENOMEM, "no memory for a frame");
        sink->buffer->end += head;
    }
    sink->begin = sink->buffer->end - sink->buffer->begin;
    msgpack_packer_init(to, sink, write_bytes);
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
    msgpack_packer to;
    const int rc = begin(&sink, &to, IPCM__FRAME_HEAD);
    if (rc < 0)
        return rc;
    put_request(&sink, &to, request);
    return end(&sink, IPCM__FRAME_HEAD);
}

int ipcm__encode_reply(struct ipcm__buffer *buffer,
                       const struct ipcm__wire_limits *limits,
                       const struct ipcm__reply *reply)
{
    struct sink sink = {.buffer = buffer, .limits = limits};
    msgpack_packer to;
    const int rc = begin(&sink, &to, IPCM__FRAME_HEAD);
    if (rc < 0)
        return rc;
    put_reply(&sink, &to, reply);
    return end(&sink, IPCM__FRAME_HEAD);
}

int ipcm__encode_values(struct ipcm__buffer *buffer,
                        const struct ipcm__wire_limits *limits,
                        const ipc_any *values, size_t count)
{
    struct sink sink = {.buffer = buffer, .limits = limits};
    msgpack_packer to;
    const int rc = begin(&sink, &to, 0);
    if (rc < 0)
        return rc;
    put_array(&sink, &to, count);
    put_values(&sink, &to, values, count);
    return end(&sink, 0);
}
