/* Flat frames: an array of values without another one inside, as all but a
 * BATCH are, to the objects that msgpack-c would make of it.
 *
 * The bytes have passed ipcm__wire_shape(): each value is there as a whole, and
 * none is an array or a map. */
#include "wire/decoder.h"

#include <string.h>

#include "wire/bytes.h"

struct reader {
    const uint8_t *at;
};

static uint64_t read_number(struct reader *from, unsigned bytes)
{
    const uint64_t number = ipcm__get_be(from->at, bytes);
    from->at += bytes;
    return number;
}

static const char *read_body(struct reader *from, uint32_t bytes)
{
    const char *body = (const char *)from->at;
    from->at += bytes;
    return body;
}

static void make_unsigned(msgpack_object *out, uint64_t number)
{
    out->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    out->via.u64 = number;
}

static void make_signed(msgpack_object *out, int64_t number)
{
    out->type = number >= 0 ? MSGPACK_OBJECT_POSITIVE_INTEGER
                            : MSGPACK_OBJECT_NEGATIVE_INTEGER;
    out->via.i64 = number;
}

static void read_signed(struct reader *from, unsigned first,
                        msgpack_object *out)
{
    if (first == 0xd0)
        make_signed(out, (int8_t)read_number(from, 1));
    else if (first == 0xd1)
        make_signed(out, (int16_t)read_number(from, 2));
    else if (first == 0xd2)
        make_signed(out, (int32_t)read_number(from, 4));
    else
        make_signed(out, (int64_t)read_number(from, 8));
}

static void read_float(struct reader *from, unsigned bytes, msgpack_object *out)
{
    const uint64_t bits = read_number(from, bytes);
    if (bytes == 4) {
        const uint32_t half = (uint32_t)bits;
        float number;
        memcpy(&number, &half, sizeof number);
        out->type = MSGPACK_OBJECT_FLOAT32;
        out->via.f64 = (double)number;
    } else {
        out->type = MSGPACK_OBJECT_FLOAT64;
        memcpy(&out->via.f64, &bits, sizeof bits);
    }
}

static void read_str(struct reader *from, uint32_t bytes, msgpack_object *out)
{
    out->type = MSGPACK_OBJECT_STR;
    out->via.str.size = bytes;
    out->via.str.ptr = read_body(from, bytes);
}

static void read_bin(struct reader *from, uint32_t bytes, msgpack_object *out)
{
    out->type = MSGPACK_OBJECT_BIN;
    out->via.bin.size = bytes;
    out->via.bin.ptr = read_body(from, bytes);
}

static void read_ext(struct reader *from, uint32_t bytes, msgpack_object *out)
{
    out->type = MSGPACK_OBJECT_EXT;
    out->via.ext.type = (int8_t)*from->at++;
    out->via.ext.size = bytes;
    out->via.ext.ptr = read_body(from, bytes);
}

/* What begins with 0xc0 to 0xdb. */
static void read_long(struct reader *from, unsigned first, msgpack_object *out)
{
    if (first == 0xc0) {
        out->type = MSGPACK_OBJECT_NIL;
    } else if (first <= 0xc3) {
        out->type = MSGPACK_OBJECT_BOOLEAN;
        out->via.boolean = first == 0xc3;
    } else if (first <= 0xc6) {
        read_bin(from, (uint32_t)read_number(from, 1u << (first - 0xc4)), out);
    } else if (first <= 0xc9) {
        read_ext(from, (uint32_t)read_number(from, 1u << (first - 0xc7)), out);
    } else if (first <= 0xcb) {
        read_float(from, first == 0xca ? 4 : 8, out);
    } else if (first <= 0xcf) {
        make_unsigned(out, read_number(from, 1u << (first - 0xcc)));
    } else if (first <= 0xd3) {
        read_signed(from, first, out);
    } else if (first <= 0xd8) {
        read_ext(from, 1u << (first - 0xd4), out);
    } else {
        read_str(from, (uint32_t)read_number(from, 1u << (first - 0xd9)), out);
    }
}

void ipcm__flat_read(const void *values, msgpack_object *out, size_t count)
{
    struct reader from = {values};
    for (size_t i = 0; i < count; i++) {
        const unsigned first = *from.at++;
        if (first <= 0x7f)
            make_unsigned(&out[i], first);
        else if (first >= 0xe0)
            make_signed(&out[i], (int8_t)first);
        else if (first <= 0xbf)
            read_str(&from, first & 31u, &out[i]);
        else
            read_long(&from, first, &out[i]);
    }
}
