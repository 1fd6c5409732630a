/* What tests of the wire have in common. */
#ifndef MANAGER_WIRE_SUPPORT_H
#define MANAGER_WIRE_SUPPORT_H

#include "harness/harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ipc/any.h>
#include <ipc/error.h>
#include <ipc/remote.h>

#include "wire/wire.h"

static const struct ipcm__wire_limits wire_limits = {
    .frame_bytes = 1u << 20, .depth = 16, .nodes = 65536};

struct wire_bytes {
    uint8_t data[512];
    size_t count;
};

static inline int wire_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* "92 01 c0" */
static inline struct wire_bytes wire_hex(const char *text)
{
    struct wire_bytes bytes = {.count = 0};
    for (; *text != '\0'; text++) {
        if (*text == ' ')
            continue;
        assert_true(bytes.count < sizeof bytes.data && text[1] != '\0');
        bytes.data[bytes.count++] =
            (uint8_t)(wire_digit(text[0]) << 4 | wire_digit(text[1]));
        text++;
    }
    return bytes;
}

/* A copy that ends where its memory does: reading behind it is seen. */
static inline uint8_t *wire_tight(const void *data, size_t bytes)
{
    uint8_t *copy = malloc(bytes == 0 ? 1 : bytes);
    assert_non_null(copy);
    if (bytes != 0)
        memcpy(copy, data, bytes);
    return copy;
}

static inline struct ipcm__decoder *
wire_decoder(const struct ipcm__wire_limits *limits)
{
    struct ipcm__decoder *decoder;
    assert_int_equal(ipcm__decoder_new(limits, &decoder), 0);
    return decoder;
}

static inline void wire_assert_same(const ipc_any *a, const ipc_any *b)
{
    assert_int_equal(a->type, b->type);
    if (a->type >= IPC_TYPE_LIST)
        assert_int_equal(a->u64, b->u64);
    else
        assert_int_equal(ipc_any_compare(a, b), 0);
}

#endif
