/* The one pass: is this one whole MessagePack array, within the limits?
 *
 * Without recursion, and without allocation: for each array that is open there
 * is a count of what is still to come.  A count that was declared is only
 * counted down, byte by byte of what is there, so a frame of n bytes takes n
 * steps at most whatever it says. */
#include "wire/shape.h"

#include <errno.h>
#include <inttypes.h>

#include "fail.h"
#include "wire/bytes.h"

enum kind {
    NEVER, /* no MessagePack begins so */
    PLAIN, /* so many bytes follow */
    SIZED, /* a length follows, and then so many bytes, and its type's */
    ARRAY, /* a count follows */
    MAP
};

struct form {
    uint8_t kind;
    uint8_t length; /* bytes of the length or count */
    uint8_t body;   /* bytes besides */
};

/* What begins with 0xc0 to 0xdf. */
static const struct form forms[32] = {
    {PLAIN, 0, 0},  {NEVER, 0, 0}, {PLAIN, 0, 0}, {PLAIN, 0, 0}, /* nil, bool */
    {SIZED, 1, 0},  {SIZED, 2, 0}, {SIZED, 4, 0},                /* bin */
    {SIZED, 1, 1},  {SIZED, 2, 1}, {SIZED, 4, 1},                /* ext */
    {PLAIN, 0, 4},  {PLAIN, 0, 8},                               /* float */
    {PLAIN, 0, 1},  {PLAIN, 0, 2}, {PLAIN, 0, 4}, {PLAIN, 0, 8}, /* uint */
    {PLAIN, 0, 1},  {PLAIN, 0, 2}, {PLAIN, 0, 4}, {PLAIN, 0, 8}, /* int */
    {PLAIN, 0, 2},  {PLAIN, 0, 3}, {PLAIN, 0, 5}, {PLAIN, 0, 9}, /* fixext */
    {PLAIN, 0, 17}, {SIZED, 1, 0}, {SIZED, 2, 0}, {SIZED, 4, 0}, /* str */
    {ARRAY, 2, 0},  {ARRAY, 4, 0}, {MAP, 2, 0},   {MAP, 4, 0},
};

/* One value as its first bytes show it. */
struct item {
    bool is_array;
    bool has_items; /* array or map, empty or not */
    uint64_t count; /* of values in it */
    uint64_t bytes; /* of itself, with its first one */
};

/* What begins with the rest: the number is in the byte. */
static void read_short(uint8_t first, struct item *item)
{
    if (first >= 0x80 && first <= 0x9f) {
        item->has_items = true;
        item->is_array = first >= 0x90;
        item->count = first & 15u;
        item->count *= item->is_array ? 1 : 2;
    } else if (first >= 0xa0 && first <= 0xbf) {
        item->bytes += first & 31u;
    }
}

static int read_item(const uint8_t *at, size_t left, struct item *item)
{
    *item = (struct item){.bytes = 1};
    if (at[0] < 0xc0 || at[0] > 0xdf) {
        read_short(at[0], item);
        return 0;
    }
    const struct form *form = &forms[at[0] - 0xc0];
    if (form->kind == NEVER)
        return ipcm__fail(-EPROTO, "byte 0x%02x, which begins nothing", at[0]);
    if (form->kind == PLAIN) {
        item->bytes = 1u + form->body;
        return 0;
    }
    if (form->length >= left)
        return ipcm__fail(-EPROTO, "the frame ends within a length");
    const uint64_t number = ipcm__get_be(at + 1, form->length);
    item->bytes = 1u + form->length + form->body;
    if (form->kind == SIZED) {
        item->bytes += number;
    } else {
        item->has_items = true;
        item->is_array = form->kind == ARRAY;
        item->count = number * (item->is_array ? 1 : 2);
    }
    return 0;
}

static int next_item(const uint8_t *at, size_t left, struct item *item)
{
    if (left == 0)
        return ipcm__fail(-EPROTO, "the frame ends too early");
    if (at[0] <= 0x7f || at[0] >= 0xe0) { /* most are small integers */
        *item = (struct item){.bytes = 1};
        return 0;
    }
    const int rc = read_item(at, left, item);
    if (rc < 0)
        return rc;
    if (item->bytes > left)
        return ipcm__fail(-EPROTO,
                          "a value of %" PRIu64 " bytes, of which %zu "
                          "are in the frame",
                          item->bytes, left);
    if (item->count > left - item->bytes)
        return ipcm__fail(-EPROTO,
                          "an array of %" PRIu64 " values in %zu bytes",
                          item->count, left - (size_t)item->bytes);
    return 0;
}

/* What is open: how many values are still to come at each depth. */
struct open {
    uint32_t depth;
    uint64_t left[IPCM__DEPTH_MAX];
};

static int open_one(struct open *open, uint64_t count,
                    const struct ipcm__wire_limits *limits,
                    struct ipcm__shape *shape)
{
    const uint32_t most =
        limits->depth < IPCM__DEPTH_MAX ? limits->depth : IPCM__DEPTH_MAX;
    if (open->depth >= most)
        return ipcm__fail(-EMSGSIZE, "arrays nest too deep: depth is %" PRIu32,
                          most);
    open->left[open->depth++] = count;
    if (open->depth > shape->depth)
        shape->depth = open->depth;
    return 0;
}

/* A value is complete; and so may be those that it was the last of. */
static void close_those_done(struct open *open)
{
    while (open->depth > 0 && open->left[open->depth - 1] == 0)
        open->depth--;
}

int ipcm__wire_shape(const void *data, size_t bytes,
                     const struct ipcm__wire_limits *limits,
                     struct ipcm__shape *out)
{
    const uint8_t *at = data;
    size_t left = bytes;
    struct open open;
    struct ipcm__shape shape = {0, 0};

    if (bytes > limits->frame_bytes)
        return ipcm__fail(-EMSGSIZE,
                          "a frame of %zu bytes: frame_bytes is %" PRIu32,
                          bytes, limits->frame_bytes);
    open.depth = 0;
    do {
        struct item item;
        int rc = next_item(at, left, &item);
        if (rc < 0)
            return rc;
        if (open.depth > 0)
            open.left[open.depth - 1]--;
        else if (!item.is_array)
            return ipcm__fail(-EPROTO, "the frame is no array");
        if (shape.nodes++ == limits->nodes)
            return ipcm__fail(-EMSGSIZE,
                              "too many values in a frame: nodes is %" PRIu32,
                              limits->nodes);
        if (item.has_items) {
            rc = open_one(&open, item.count, limits, &shape);
            if (rc < 0)
                return rc;
        }
        at += item.bytes;
        left -= (size_t)item.bytes;
        close_those_done(&open);
    } while (open.depth > 0);

    if (left != 0)
        return ipcm__fail(-EPROTO, "%zu bytes behind the array", left);
    *out = shape;
    return 0;
}

int ipcm__wire_check(const void *data, size_t bytes,
                     const struct ipcm__wire_limits *limits, uint32_t *nodes)
{
    struct ipcm__shape shape;
    const int rc = ipcm__wire_shape(data, bytes, limits, &shape);
    if (rc == 0 && nodes != NULL)
        *nodes = shape.nodes;
    return rc;
}
