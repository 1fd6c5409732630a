/* Fuzz target: the wire's check and decoder, beside msgpack-c.
 *
 * The first byte says what the rest is taken for, and within which limits.
 * Whatever comes
 *
 *  - the check and msgpack-c agree on what is one whole array, within limits,
 *    and on how many values it has;
 *  - the decoder gives what a simple reading of msgpack-c's tree gives, value
 *    by value, and the same errors;
 *  - what was decoded and is encoded again has the same meaning;
 *  - no memory is taken that the input does not pay for. */
#include "fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#include <msgpack.h>

#include "wire/decoder.h"
#include "wire/shape.h"
#include "wire/wire.h"

/* msgpack-c's own limit. */
#define ORACLE_DEPTH 32u

static const struct ipcm__wire_limits limit_sets[] = {
    {.frame_bytes = 1u << 20, .depth = 16, .nodes = 65536},
    {.frame_bytes = 4096, .depth = 3, .nodes = 100},
    {.frame_bytes = 64, .depth = 64, .nodes = 20},
    {.frame_bytes = 1u << 20, .depth = 64, .nodes = 65536},
};

/* Room for what an encoder makes of anything within limits. */
static const struct ipcm__wire_limits wide = {
    .frame_bytes = 1u << 22, .depth = 64, .nodes = 1u << 20};

/* ---- the oracle ---- */

struct oracle {
    msgpack_zone zone;
    msgpack_object frame;
    bool whole; /* one array, and nothing behind it */
    uint32_t nodes;
    uint32_t depth;
};

static void measure(const msgpack_object *object, uint32_t depth,
                    struct oracle *oracle)
{
    oracle->nodes++;
    if (object->type == MSGPACK_OBJECT_ARRAY ||
        object->type == MSGPACK_OBJECT_MAP) {
        depth++;
        if (depth > oracle->depth)
            oracle->depth = depth;
    }
    if (object->type == MSGPACK_OBJECT_ARRAY)
        for (uint32_t i = 0; i < object->via.array.size; i++)
            measure(&object->via.array.ptr[i], depth, oracle);
    if (object->type == MSGPACK_OBJECT_MAP)
        for (uint32_t i = 0; i < object->via.map.size; i++) {
            measure(&object->via.map.ptr[i].key, depth, oracle);
            measure(&object->via.map.ptr[i].val, depth, oracle);
        }
}

/* Could it make msgpack-c allocate for what is not there?  Wherever a length of
 * an array or map may be. */
static bool promises_too_much(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const bool is_short = data[i] == 0xdc || data[i] == 0xde;
        const bool is_long = data[i] == 0xdd || data[i] == 0xdf;
        const size_t length = is_long ? 4 : is_short ? 2 : 0;
        uint64_t count = 0;
        for (size_t k = 0; k < length && i + 1 + k < size; k++)
            count = count << 8 | data[i + 1 + k];
        if (length > 0 && count > size)
            return true;
    }
    return false;
}

static void ask(const uint8_t *data, size_t size, struct oracle *oracle)
{
    size_t at = 0;
    memset(oracle, 0, sizeof *oracle);
    fuzz_assert(msgpack_zone_init(&oracle->zone, 4096));
    oracle->whole = msgpack_unpack((const char *)data, size, &at, &oracle->zone,
                                   &oracle->frame) == MSGPACK_UNPACK_SUCCESS &&
                    oracle->frame.type == MSGPACK_OBJECT_ARRAY;
    if (oracle->whole)
        measure(&oracle->frame, 0, oracle);
}

/* ---- check ---- */

/* Did the check accept it, and has it a tree to compare with? */
static bool compare_check(const uint8_t *data, size_t size,
                          const struct ipcm__wire_limits *limits,
                          struct oracle *oracle)
{
    uint32_t nodes = 0;
    struct ipcm__shape shape = {0, 0};
    const int rc = ipcm__wire_check(data, size, limits, &nodes);
    fuzz_assert(ipcm__wire_shape(data, size, limits, &shape) == rc);
    fuzz_assert(rc == 0 || rc == -EPROTO || rc == -EMSGSIZE);
    memset(oracle, 0, sizeof *oracle);
    if (rc != 0 && promises_too_much(data, size))
        return false;
    ask(data, size, oracle);
    if (rc == 0) {
        if (!oracle->whole) {
            fuzz_assert(shape.depth > ORACLE_DEPTH);
            return false;
        }
        fuzz_assert(oracle->nodes == nodes);
        fuzz_assert(oracle->depth == shape.depth);
        fuzz_assert(oracle->depth <= limits->depth);
        fuzz_assert(nodes <= limits->nodes && size <= limits->frame_bytes);
        return true;
    }
    const bool within = oracle->nodes <= limits->nodes &&
                        oracle->depth <= limits->depth &&
                        size <= limits->frame_bytes;
    fuzz_assert(!oracle->whole || !within);
    fuzz_assert(rc != -EMSGSIZE || !oracle->whole || !within);
    return false;
}

/* ---- values ---- */

/* One character at a time, by its number. */
static bool is_utf8(const uint8_t *text, size_t size)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < size;) {
        const uint8_t first = text[i++];
        const int more = first < 0x80    ? 0
                         : first >= 0xf8 ? -1
                         : first >= 0xf0 ? 3
                         : first >= 0xe0 ? 2
                         : first >= 0xc0 ? 1
                                         : -1;
        if (more < 0 || size - i < (size_t)more)
            return false;
        uint32_t number = more == 0 ? first : first & (0x3fu >> more);
        for (int k = 0; k < more; k++) {
            if ((text[i] & 0xc0) != 0x80)
                return false;
            number = number << 6 | (text[i++] & 0x3fu);
        }
        if (number < least[more] || number > 0x10ffff ||
            (number >= 0xd800 && number < 0xe000))
            return false;
    }
    return true;
}

static bool same_text(const ipc_any *value, uint32_t type, const char *text,
                      uint32_t size)
{
    return value->type == type && value->size == size && value->str != NULL &&
           (size == 0 || memcmp(value->bytes, text, size) == 0);
}

static bool same_double(double a, double b)
{
    return a == b || (a != a && b != b);
}

/* 0 and it is that value, or the error that it is. */
static int model_value(const msgpack_object *object, bool strict,
                       const ipc_any *value)
{
    const uint8_t *ext = (const uint8_t *)object->via.ext.ptr;
    uint64_t number = 0;
    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
        return value != NULL && value->type != IPC_TYPE_NIL;
    case MSGPACK_OBJECT_BOOLEAN:
        return value != NULL && (value->type != IPC_TYPE_BOOL ||
                                 value->boolean != object->via.boolean);
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return value != NULL &&
               (value->u64 != object->via.u64 ||
                value->type !=
                    (object->via.u64 >> 63 ? IPC_TYPE_U64 : IPC_TYPE_I64));
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return value != NULL &&
               (value->type != IPC_TYPE_I64 || value->i64 != object->via.i64);
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return value != NULL && (value->type != IPC_TYPE_F64 ||
                                 !same_double(value->f64, object->via.f64));
    case MSGPACK_OBJECT_STR:
        if (strict && !is_utf8((const uint8_t *)object->via.str.ptr,
                               object->via.str.size))
            return -EILSEQ;
        return value != NULL &&
               !same_text(value, IPC_TYPE_STR, object->via.str.ptr,
                          object->via.str.size);
    case MSGPACK_OBJECT_BIN:
        return value != NULL &&
               !same_text(value, IPC_TYPE_BYTES, object->via.bin.ptr,
                          object->via.bin.size);
    case MSGPACK_OBJECT_EXT:
        if (object->via.ext.type != 1 || object->via.ext.size != 9 ||
            ext[0] < 7 || ext[0] > 10)
            return -EINVAL;
        for (int i = 1; i < 9; i++)
            number = number << 8 | ext[i];
        return value != NULL && (value->type != ext[0] || value->u64 != number);
    default:
        return -EINVAL;
    }
}

/* The first error among them; values NULL: not to be compared. */
static int model_values(const msgpack_object *objects, uint32_t count,
                        bool strict, const ipc_any *values)
{
    for (uint32_t i = 0; i < count; i++) {
        const int rc = model_value(&objects[i], strict,
                                   values != NULL ? &values[i] : NULL);
        fuzz_assert(rc <= 0);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool is_integer(const msgpack_object *object)
{
    return object->type == MSGPACK_OBJECT_POSITIVE_INTEGER ||
           object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
}

static bool is_natural(const msgpack_object *object)
{
    return object->type == MSGPACK_OBJECT_POSITIVE_INTEGER;
}

/* ---- requests ---- */

static int model_call(const msgpack_object *object)
{
    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size < 2 ||
        !is_integer(&object->via.array.ptr[0]) ||
        !is_integer(&object->via.array.ptr[1]))
        return -EINVAL;
    if (!is_natural(&object->via.array.ptr[1]))
        return -EINVAL;
    return model_values(object->via.array.ptr + 2, object->via.array.size - 2,
                        true, NULL);
}

/* Calls that are none come before what is in them. */
static int model_calls(const msgpack_object *objects, uint32_t count)
{
    int rc = 0;
    for (uint32_t i = 0; i < count; i++)
        if (objects[i].type != MSGPACK_OBJECT_ARRAY ||
            objects[i].via.array.size < 2 ||
            !is_integer(&objects[i].via.array.ptr[0]) ||
            !is_integer(&objects[i].via.array.ptr[1]))
            return -EINVAL;
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = model_call(&objects[i]);
    return rc;
}

static int model_request(const struct oracle *oracle)
{
    const msgpack_object_array *array = &oracle->frame.via.array;
    if (array->size < 3 || !is_integer(&array->ptr[0]) ||
        !is_integer(&array->ptr[1]) || !is_integer(&array->ptr[2]) ||
        !is_natural(&array->ptr[0]) || array->ptr[0].via.u64 == 0)
        return -EPROTO;
    if (!is_natural(&array->ptr[2]))
        return -EINVAL;
    if (oracle->depth > 3)
        return -EINVAL;
    if (is_natural(&array->ptr[1]) && array->ptr[1].via.u64 == IPCM__OP_BATCH)
        return model_calls(array->ptr + 3, array->size - 3);
    return model_values(array->ptr + 3, array->size - 3, true, NULL);
}

static void compare_request(const struct oracle *oracle,
                            const struct ipcm__request *request)
{
    const msgpack_object *items = oracle->frame.via.array.ptr;
    const uint32_t count = oracle->frame.via.array.size - 3;
    fuzz_assert(request->id == items[0].via.u64);
    if (is_natural(&items[1]) && items[1].via.u64 <= UINT32_MAX)
        fuzz_assert(request->op == items[1].via.u64);
    else
        fuzz_assert(request->op == UINT32_MAX);
    fuzz_assert(request->object == items[2].via.u64);
    if (request->op != IPCM__OP_BATCH) {
        fuzz_assert(request->count == count && request->call_count == 0);
        fuzz_assert(model_values(items + 3, count, true, request->args) == 0);
        return;
    }
    fuzz_assert(request->call_count == count && request->count == 0);
    for (uint32_t i = 0; i < count; i++) {
        const msgpack_object_array *call = &items[3 + i].via.array;
        fuzz_assert(request->calls[i].count == call->size - 2);
        fuzz_assert(request->calls[i].object == call->ptr[1].via.u64);
        fuzz_assert(model_values(call->ptr + 2, call->size - 2, true,
                                 request->calls[i].args) == 0);
    }
}

static void fuzz_request(struct ipcm__decoder *decoder, const uint8_t *data,
                         size_t size, const struct oracle *oracle)
{
    struct ipcm__request request;
    struct ipcm__buffer buffer = {NULL, 0, 0, 0};
    struct oracle again;

    const int rc = ipcm__decode_request(decoder, data, size, &request);
    fuzz_assert(decoder->value_room * sizeof *decoder->values +
                    decoder->call_room * sizeof *decoder->calls <=
                64 * (size + 64));
    if (oracle == NULL) {
        fuzz_assert(rc < 0);
        return;
    }
    fuzz_assert(rc == model_request(oracle));
    if (rc == -EINVAL || rc == -EILSEQ)
        fuzz_assert(request.id == oracle->frame.via.array.ptr[0].via.u64 &&
                    request.count == 0 && request.call_count == 0);
    if (rc != 0)
        return;
    compare_request(oracle, &request);
    fuzz_assert(ipcm__encode_request(&buffer, &wide, &request) == 0);
    ask(buffer.data + IPCM__FRAME_HEAD, buffer.end - IPCM__FRAME_HEAD, &again);
    fuzz_assert(again.whole && again.nodes == oracle->nodes);
    compare_request(&again, &request);
    msgpack_zone_destroy(&again.zone);
    ipcm__buffer_free(&buffer);
}

/* ---- replies ---- */

static int model_status(const msgpack_object *objects, uint32_t count)
{
    if (count == 0 || !is_integer(&objects[0]) ||
        (is_natural(&objects[0]) && objects[0].via.u64 > INT64_MAX))
        return -EPROTO;
    if (!is_natural(&objects[0]))
        return 0;
    return model_values(objects + 1, count - 1, false, NULL) == 0 ? 0 : -EPROTO;
}

static int model_reply(const struct oracle *oracle)
{
    const msgpack_object_array *array = &oracle->frame.via.array;
    if (oracle->depth > 3 || array->size < 2 || !is_natural(&array->ptr[0]))
        return -EPROTO;
    if (array->size == 2 || array->ptr[2].type != MSGPACK_OBJECT_ARRAY ||
        !is_natural(&array->ptr[1]))
        return model_status(array->ptr + 1, array->size - 1);
    int rc = model_status(array->ptr + 1, 1);
    for (uint32_t i = 2; i < array->size && rc == 0; i++)
        rc = array->ptr[i].type != MSGPACK_OBJECT_ARRAY
                 ? -EPROTO
                 : model_status(array->ptr[i].via.array.ptr,
                                array->ptr[i].via.array.size);
    return rc;
}

static void compare_status(const msgpack_object *objects, uint32_t count,
                           const struct ipcm__reply *reply)
{
    fuzz_assert(reply->status == objects[0].via.i64);
    if (reply->status >= 0) {
        fuzz_assert(reply->count == count - 1 && reply->detail == NULL);
        fuzz_assert(
            model_values(objects + 1, count - 1, false, reply->results) == 0);
        return;
    }
    fuzz_assert(reply->count == 0);
    const bool told = count > 1 && objects[1].type == MSGPACK_OBJECT_STR;
    fuzz_assert(told == (reply->detail != NULL));
    if (told) {
        const ipc_any detail = ipc_strn(reply->detail, reply->detail_bytes);
        fuzz_assert(model_value(&objects[1], false, &detail) == 0);
    }
}

static void compare_reply(const struct oracle *oracle,
                          const struct ipcm__reply *reply)
{
    const msgpack_object *items = oracle->frame.via.array.ptr;
    const uint32_t count = oracle->frame.via.array.size - 1;
    fuzz_assert(reply->id == items[0].via.u64);
    if (reply->call_count == 0) {
        compare_status(items + 1, count, reply);
        return;
    }
    fuzz_assert(reply->call_count == count - 1);
    for (uint32_t i = 0; i < count - 1; i++)
        compare_status(items[2 + i].via.array.ptr, items[2 + i].via.array.size,
                       &reply->calls[i]);
}

static void fuzz_reply(struct ipcm__decoder *decoder, const uint8_t *data,
                       size_t size, const struct oracle *oracle)
{
    struct ipcm__reply reply;
    struct ipcm__buffer buffer = {NULL, 0, 0, 0};
    struct oracle again;

    const int rc = ipcm__decode_reply(decoder, data, size, &reply);
    if (oracle == NULL) {
        fuzz_assert(rc < 0);
        return;
    }
    fuzz_assert(rc == model_reply(oracle));
    if (rc != 0)
        return;
    compare_reply(oracle, &reply);
    fuzz_assert(ipcm__encode_reply(&buffer, &wide, &reply) == 0);
    ask(buffer.data + IPCM__FRAME_HEAD, buffer.end - IPCM__FRAME_HEAD, &again);
    fuzz_assert(again.whole);
    compare_reply(&again, &reply);
    msgpack_zone_destroy(&again.zone);
    ipcm__buffer_free(&buffer);
}

/* ---- values alone ---- */

static void fuzz_values(struct ipcm__decoder *decoder, const uint8_t *data,
                        size_t size, const struct oracle *oracle)
{
    const ipc_any *values;
    size_t count;
    struct ipcm__buffer buffer = {NULL, 0, 0, 0};
    struct oracle again;

    const int rc = ipcm__decode_values(decoder, data, size, &values, &count);
    if (oracle == NULL) {
        fuzz_assert(rc < 0);
        return;
    }
    const msgpack_object_array *array = &oracle->frame.via.array;
    fuzz_assert(rc == (oracle->depth > 3 ? -EINVAL
                                         : model_values(array->ptr, array->size,
                                                        false, NULL)));
    if (rc != 0)
        return;
    fuzz_assert(count == array->size);
    fuzz_assert(model_values(array->ptr, array->size, false, values) == 0);
    fuzz_assert(ipcm__encode_values(&buffer, &wide, values, count) == 0);
    ask(buffer.data, buffer.end, &again);
    fuzz_assert(again.whole && again.nodes == oracle->nodes);
    fuzz_assert(model_values(again.frame.via.array.ptr,
                             again.frame.via.array.size, false, values) == 0);
    msgpack_zone_destroy(&again.zone);
    ipcm__buffer_free(&buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const kinds[])(struct ipcm__decoder *, const uint8_t *,
                                 size_t, const struct oracle *) = {
        fuzz_request, fuzz_request, fuzz_reply, fuzz_values};
    struct ipcm__decoder *decoder;
    struct oracle oracle;

    if (size == 0)
        return 0;
    const struct ipcm__wire_limits *limits = &limit_sets[data[0] >> 2 & 3];
    /* A copy that ends where its memory does. */
    uint8_t *frame = malloc(size);
    fuzz_assert(frame != NULL);
    memcpy(frame, data + 1, size - 1);
    uint8_t *tight = realloc(frame, size == 1 ? 1 : size - 1);
    fuzz_assert(tight != NULL);
    fuzz_assert(ipcm__decoder_new(limits, &decoder) == 0);

    const bool has_tree = compare_check(tight, size - 1, limits, &oracle);
    kinds[data[0] & 3](decoder, tight, size - 1, has_tree ? &oracle : NULL);

    if (oracle.zone.chunk_size != 0)
        msgpack_zone_destroy(&oracle.zone);
    ipcm__decoder_free(decoder);
    free(tight);
    return 0;
}
