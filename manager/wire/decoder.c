/* The decoder: checked bytes to objects of msgpack-c, and those to values.
 * Flat ones are read without its help (flat.c).
 *
 * msgpack-c keeps 32 levels at most, and no frame that means something has
 * more than two (a call in a BATCH).  Of those that nest deeper, within the
 * limit, only the integers in the first places are read: the rest is no value,
 * which is an error of the request and not of the connection. */
#include "wire/decoder.h"

#include <errno.h>
#include <stdlib.h>

#include "fail.h"
#include "wire/bytes.h"
#include "wire/shape.h"

/* A call in a BATCH has two; with one more the error can name the place. */
#define DEPTH_OF_MEANING 3u
#define ZONE_BYTES       4096u
/* Room for more than this is given back when it is not needed any more. */
#define KEPT_ITEMS   1024u
#define FEWEST_ITEMS 32u

int ipcm__decoder_new(const struct ipcm__wire_limits *limits,
                      struct ipcm__decoder **out)
{
    struct ipcm__decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL || !msgpack_zone_init(&decoder->zone, ZONE_BYTES)) {
        free(decoder);
        return ipcm__fail(-ENOMEM, "no memory for a decoder");
    }
    decoder->limits = *limits;
    *out = decoder;
    return 0;
}

void ipcm__decoder_free(struct ipcm__decoder *decoder)
{
    if (decoder == NULL)
        return;
    msgpack_zone_destroy(&decoder->zone);
    free(decoder->values);
    free(decoder->calls);
    free(decoder->answers);
    free(decoder);
}

void *ipcm__decoder_room(void *array, size_t *room, size_t need, size_t unit)
{
    if (array != NULL && need <= *room &&
        (*room <= KEPT_ITEMS || need > KEPT_ITEMS))
        return array;
    free(array);
    *room = need < FEWEST_ITEMS ? FEWEST_ITEMS : need;
    array = calloc(*room, unit);
    if (array == NULL) {
        *room = 0;
        ipc_remote_detail("no memory for %zu values", need);
    }
    return array;
}

/* ---- bytes to objects ---- */

static bool begins_integer(uint8_t first)
{
    return first <= 0x7f || first >= 0xe0 || (first >= 0xcc && first <= 0xd3);
}

/* Bytes of the head of an array. */
static size_t head_of(const uint8_t *data)
{
    if (data[0] == 0xdc)
        return 3;
    return data[0] == 0xdd ? 5 : 1;
}

/* shape.nodes are the array and what is in it. */
static int read_flat(struct ipcm__decoder *decoder, const uint8_t *data,
                     const struct ipcm__shape *shape, struct ipcm__tree *out)
{
    const size_t count = shape->nodes - 1;
    msgpack_object *items =
        msgpack_zone_malloc(&decoder->zone, (count + 1) * sizeof *items);
    if (items == NULL)
        return ipcm__fail(-ENOMEM, "no memory for %zu values", count);
    ipcm__flat_read(data + head_of(data), items, count);
    *out = (struct ipcm__tree){items, count, false};
    return 0;
}

/* The integers that a frame begins with, three at most. */
static int read_heads(struct ipcm__decoder *decoder, const uint8_t *data,
                      size_t bytes, struct ipcm__tree *out)
{
    size_t at = head_of(data);
    size_t count = 0;
    msgpack_object *heads =
        msgpack_zone_malloc(&decoder->zone, 3 * sizeof(msgpack_object));
    if (heads == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a frame");
    while (count < 3 && at < bytes && begins_integer(data[at])) {
        (void)msgpack_unpack((const char *)data, bytes, &at, &decoder->zone,
                             &heads[count]);
        count++;
    }
    *out = (struct ipcm__tree){heads, count, true};
    return 0;
}

int ipcm__tree_read(struct ipcm__decoder *decoder, const void *data,
                    size_t bytes, struct ipcm__tree *out)
{
    struct ipcm__shape shape;
    msgpack_object frame;
    size_t at = 0;

    int rc = ipcm__wire_shape(data, bytes, &decoder->limits, &shape);
    if (rc < 0)
        return rc;
    decoder->values = ipcm__decoder_room(decoder->values, &decoder->value_room,
                                         shape.nodes, sizeof *decoder->values);
    if (decoder->values == NULL)
        return -ENOMEM;
    decoder->value_count = 0;
    msgpack_zone_clear(&decoder->zone);
    if (shape.depth == 1)
        return read_flat(decoder, data, &shape, out);
    if (shape.depth > DEPTH_OF_MEANING)
        return read_heads(decoder, data, bytes, out);
    if (msgpack_unpack(data, bytes, &at, &decoder->zone, &frame) !=
        MSGPACK_UNPACK_SUCCESS)
        return ipcm__fail(-ENOMEM, "no memory for a frame of %zu bytes", bytes);
    *out =
        (struct ipcm__tree){frame.via.array.ptr, frame.via.array.size, false};
    return 0;
}

/* ---- objects to values ---- */

bool ipcm__tree_is_integer(const msgpack_object *object)
{
    return object->type == MSGPACK_OBJECT_POSITIVE_INTEGER ||
           object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
}

static bool is_container(const msgpack_object *object)
{
    if (object->type != MSGPACK_OBJECT_EXT ||
        object->via.ext.type != IPCM__EXT_CONTAINER ||
        object->via.ext.size != IPCM__EXT_BYTES)
        return false;
    const uint8_t type = (uint8_t)object->via.ext.ptr[0];
    return type >= IPC_TYPE_LIST && type <= IPC_TYPE_NAMESPACE;
}

static ipc_any container_of(const msgpack_object *object)
{
    const uint8_t *body = (const uint8_t *)object->via.ext.ptr;
    ipc_any any = ipc_any_with_type(body[0]);
    any.u64 = ipcm__get_be(body + 1, 8);
    return any;
}

/* msgpack-c has no address for what is empty. */
static const char *text_of(const char *text, uint32_t bytes)
{
    return bytes != 0 ? text : "";
}

/* False: it is no value. */
static bool to_value(const msgpack_object *object, ipc_any *out)
{
    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
        *out = ipc_nil();
        return true;
    case MSGPACK_OBJECT_BOOLEAN:
        *out = ipc_bool(object->via.boolean);
        return true;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        *out = ipc_u64(object->via.u64);
        return true;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        *out = ipc_i64(object->via.i64);
        return true;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        *out = ipc_f64(object->via.f64);
        return true;
    case MSGPACK_OBJECT_STR:
        *out = ipc_strn(text_of(object->via.str.ptr, object->via.str.size),
                        object->via.str.size);
        return true;
    case MSGPACK_OBJECT_BIN:
        *out = ipc_bytes(text_of(object->via.bin.ptr, object->via.bin.size),
                         object->via.bin.size);
        return true;
    default:
        if (!is_container(object))
            return false;
        *out = container_of(object);
        return true;
    }
}

int ipcm__tree_values(struct ipcm__decoder *decoder,
                      const msgpack_object *objects, size_t count, bool strict,
                      const ipc_any **out)
{
    ipc_any *values = decoder->values + decoder->value_count;
    for (size_t i = 0; i < count; i++) {
        if (!to_value(&objects[i], &values[i]))
            return ipcm__fail(-EINVAL,
                              "argument %zu is an array, a map or an unknown "
                              "ext, which is no value",
                              i + 1);
        if (strict && values[i].type == IPC_TYPE_STR &&
            !ipcm__utf8(values[i].str, values[i].size))
            return ipcm__fail(-EILSEQ, "argument %zu is not UTF-8", i + 1);
    }
    decoder->value_count += count;
    *out = values;
    return 0;
}
