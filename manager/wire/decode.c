/* Bytes to requests, replies and values. */
#include "wire/wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "wire/decoder.h"

/* ---- requests ---- */

/* An operation that has no number here is one that nobody knows. */
static uint32_t to_op(const msgpack_object *object)
{
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        object->via.u64 > UINT32_MAX)
        return UINT32_MAX;
    return (uint32_t)object->via.u64;
}

/* Operation and object, from the first of two objects. */
static int to_target(const msgpack_object *objects, struct ipcm__request *out)
{
    out->op = to_op(&objects[0]);
    if (objects[1].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return ipcm__fail(-EINVAL, "a negative number of an object");
    out->object = objects[1].via.u64;
    return 0;
}

/* Looked at before there is memory for calls: one that is really there is three
 * bytes long at least. */
static bool is_call(const msgpack_object *object)
{
    return object->type == MSGPACK_OBJECT_ARRAY &&
           object->via.array.size >= 2 &&
           ipcm__tree_is_integer(&object->via.array.ptr[0]) &&
           ipcm__tree_is_integer(&object->via.array.ptr[1]);
}

static int to_call(struct ipcm__decoder *decoder, const msgpack_object *object,
                   struct ipcm__request *out)
{
    const msgpack_object *items = object->via.array.ptr;
    memset(out, 0, sizeof *out);
    const int rc = to_target(items, out);
    if (rc < 0)
        return rc;
    out->count = object->via.array.size - 2;
    return ipcm__tree_values(decoder, items + 2, out->count, true, &out->args);
}

static int to_calls(struct ipcm__decoder *decoder,
                    const msgpack_object *objects, size_t count,
                    struct ipcm__request *out)
{
    for (size_t i = 0; i < count; i++)
        if (!is_call(&objects[i]))
            return ipcm__fail(-EINVAL,
                              "call %zu: it is no array of operation and "
                              "object",
                              i);
    decoder->calls = ipcm__decoder_room(decoder->calls, &decoder->call_room,
                                        count, sizeof *decoder->calls);
    if (decoder->calls == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const int rc = to_call(decoder, &objects[i], &decoder->calls[i]);
        if (rc < 0) {
            char detail[200];
            snprintf(detail, sizeof detail, "%s", ipc_error_detail());
            return ipcm__fail(rc, "call %zu: %s", i, detail);
        }
    }
    out->calls = decoder->calls;
    out->call_count = count;
    return 0;
}

int ipcm__decode_request(struct ipcm__decoder *decoder, const void *data,
                         size_t bytes, struct ipcm__request *out)
{
    struct ipcm__tree tree;
    struct ipcm__request request = {.id = 0};

    int rc = ipcm__tree_read(decoder, data, bytes, &tree);
    if (rc < 0)
        return rc;
    if (tree.count < 3 || !ipcm__tree_is_integer(&tree.items[0]) ||
        !ipcm__tree_is_integer(&tree.items[1]) ||
        !ipcm__tree_is_integer(&tree.items[2]))
        return ipcm__fail(-EPROTO, "a request without id, operation, object");
    if (tree.items[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        tree.items[0].via.u64 == 0)
        return ipcm__fail(-EPROTO, "a request whose id is not positive");
    request.id = tree.items[0].via.u64;
    rc = to_target(tree.items + 1, &request);
    *out = request;
    if (rc < 0)
        return rc;
    if (tree.cut)
        return ipcm__fail(-EINVAL, "an array is no value");
    const size_t count = tree.count - 3;
    if (request.op == IPCM__OP_BATCH)
        return to_calls(decoder, tree.items + 3, count, out);
    rc = ipcm__tree_values(decoder, tree.items + 3, count, true, &out->args);
    out->count = rc == 0 ? count : 0;
    return rc;
}

/* ---- replies ---- */

/* A status and what belongs to it. */
static int to_status(struct ipcm__decoder *decoder,
                     const msgpack_object *objects, size_t count,
                     struct ipcm__reply *out)
{
    if (count == 0 || !ipcm__tree_is_integer(&objects[0]) ||
        (objects[0].type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
         objects[0].via.u64 > INT64_MAX))
        return ipcm__fail(-EPROTO, "a reply without status");
    out->status = objects[0].via.i64;
    if (out->status >= 0) {
        out->count = count - 1;
        return ipcm__tree_values(decoder, objects + 1, out->count, false,
                                 &out->results);
    }
    if (count > 1 && objects[1].type == MSGPACK_OBJECT_STR) {
        out->detail_bytes = objects[1].via.str.size;
        out->detail = out->detail_bytes != 0 ? objects[1].via.str.ptr : "";
    }
    return 0;
}

static int to_answers(struct ipcm__decoder *decoder,
                      const msgpack_object *objects, size_t count,
                      struct ipcm__reply *out)
{
    decoder->answers =
        ipcm__decoder_room(decoder->answers, &decoder->answer_room, count,
                           sizeof *decoder->answers);
    if (decoder->answers == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const msgpack_object *object = &objects[i];
        if (object->type != MSGPACK_OBJECT_ARRAY)
            return ipcm__fail(-EPROTO, "result %zu of a batch is no array", i);
        memset(&decoder->answers[i], 0, sizeof *decoder->answers);
        const int rc = to_status(decoder, object->via.array.ptr,
                                 object->via.array.size, &decoder->answers[i]);
        if (rc < 0)
            return rc;
    }
    out->calls = decoder->answers;
    out->call_count = count;
    return 0;
}

/* Only replies to a BATCH have arrays as results. */
static bool is_batch(const struct ipcm__tree *tree)
{
    return tree->count > 2 && tree->items[2].type == MSGPACK_OBJECT_ARRAY &&
           tree->items[1].type == MSGPACK_OBJECT_POSITIVE_INTEGER;
}

int ipcm__decode_reply(struct ipcm__decoder *decoder, const void *data,
                       size_t bytes, struct ipcm__reply *out)
{
    struct ipcm__tree tree;
    struct ipcm__reply reply = {.id = 0};

    int rc = ipcm__tree_read(decoder, data, bytes, &tree);
    if (rc < 0)
        return rc;
    if (tree.cut)
        return ipcm__fail(-EPROTO, "a reply with arrays in its results");
    if (tree.count < 2 || tree.items[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return ipcm__fail(-EPROTO, "a reply without id and status");
    reply.id = tree.items[0].via.u64;
    if (is_batch(&tree)) {
        rc = to_status(decoder, tree.items + 1, 1, &reply);
        if (rc == 0)
            rc = to_answers(decoder, tree.items + 2, tree.count - 2, &reply);
    } else {
        rc = to_status(decoder, tree.items + 1, tree.count - 1, &reply);
    }
    if (rc == -EINVAL)
        rc = ipcm__fail(-EPROTO, "a reply with a result that is no value");
    if (rc == 0)
        *out = reply;
    return rc;
}

/* ---- values alone ---- */

int ipcm__decode_values(struct ipcm__decoder *decoder, const void *data,
                        size_t bytes, const ipc_any **out, size_t *count)
{
    struct ipcm__tree tree;
    int rc = ipcm__tree_read(decoder, data, bytes, &tree);
    if (rc < 0)
        return rc;
    if (tree.cut)
        return ipcm__fail(-EINVAL, "an array is no value");
    rc = ipcm__tree_values(decoder, tree.items, tree.count, false, out);
    if (rc == 0)
        *count = tree.count;
    return rc;
}
