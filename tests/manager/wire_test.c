/* The wire: what is sent arrives. */
#include "manager/wire_support.h"

#include <float.h>
#include <math.h>

#include "wire/decoder.h"

/* ---- values ---- */

static ipc_any container(uint32_t type, uint64_t number)
{
    ipc_any any = ipc_any_with_type(type);
    any.u64 = number;
    return any;
}

static void assert_bytes(const struct ipcm__buffer *buffer, const char *hex)
{
    const struct wire_bytes bytes = wire_hex(hex);
    assert_int_equal(buffer->end, bytes.count);
    assert_memory_equal(buffer->data, bytes.data, bytes.count);
}

static void values_have_the_shortest_form(void)
{
    const struct {
        ipc_any value;
        const char *hex;
    } table[] = {
        {ipc_nil(), "c0"},
        {ipc_bool(false), "c2"},
        {ipc_bool(true), "c3"},
        {ipc_i64(0), "00"},
        {ipc_i64(127), "7f"},
        {ipc_i64(128), "cc80"},
        {ipc_i64(255), "ccff"},
        {ipc_i64(256), "cd0100"},
        {ipc_i64(65536), "ce00010000"},
        {ipc_i64(INT64_C(1) << 32), "cf0000000100000000"},
        {ipc_i64(INT64_MAX), "cf7fffffffffffffff"},
        {ipc_u64(UINT64_MAX), "cfffffffffffffffff"},
        {ipc_i64(-1), "ff"},
        {ipc_i64(-32), "e0"},
        {ipc_i64(-33), "d0df"},
        {ipc_i64(-129), "d1ff7f"},
        {ipc_i64(-32769), "d2ffff7fff"},
        {ipc_i64(INT64_MIN), "d38000000000000000"},
        {ipc_f64(1.0), "cb3ff0000000000000"},
        {ipc_str(""), "a0"},
        {ipc_str("abc"), "a3616263"},
        {ipc_bytes("", 0), "c400"},
        {ipc_bytes("\x00\xff", 2), "c40200ff"},
        {container(IPC_TYPE_LIST, 5), "c709010700000000000000 05"},
        {container(IPC_TYPE_NAMESPACE, UINT64_MAX), "c709010affffffffffffffff"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct ipcm__buffer buffer = {0};
        char hex[64] = "91";
        strcat(hex, table[i].hex);
        assert_int_equal(
            ipcm__encode_values(&buffer, &wire_limits, &table[i].value, 1), 0);
        assert_bytes(&buffer, hex);
        ipcm__buffer_free(&buffer);
    }
}

static void values_come_back(void)
{
    char long_text[70000];
    memset(long_text, 'x', sizeof long_text);
    const ipc_any values[] = {
        ipc_nil(),
        ipc_bool(true),
        ipc_i64(INT64_MIN),
        ipc_i64(-1),
        ipc_i64(INT64_MAX),
        ipc_u64((uint64_t)INT64_MAX + 1),
        ipc_u64(UINT64_MAX),
        ipc_f64(-0.0),
        ipc_f64(DBL_MIN / 2),
        ipc_f64(INFINITY),
        ipc_f64(NAN),
        ipc_str("f\xc3\xbcr"),
        ipc_strn("a\0b", 3),
        ipc_strn(long_text, 31),
        ipc_strn(long_text, 32),
        ipc_strn(long_text, 256),
        ipc_strn(long_text, sizeof long_text),
        ipc_bytes(long_text, 65535),
        ipc_bytes(long_text, 65536),
        container(IPC_TYPE_LIST, 0),
        container(IPC_TYPE_DICT, 1),
        container(IPC_TYPE_SET, UINT64_MAX),
        container(IPC_TYPE_NAMESPACE, 7),
    };
    const size_t count = sizeof values / sizeof values[0];
    struct ipcm__decoder *decoder = wire_decoder(&wire_limits);
    struct ipcm__buffer buffer = {0};
    const ipc_any *out;
    size_t out_count;

    assert_int_equal(ipcm__encode_values(&buffer, &wire_limits, values, count),
                     0);
    uint8_t *copy = wire_tight(buffer.data, buffer.end);
    assert_int_equal(
        ipcm__decode_values(decoder, copy, buffer.end, &out, &out_count), 0);
    assert_int_equal(out_count, count);
    for (size_t i = 0; i < count; i++)
        wire_assert_same(&values[i], &out[i]);
    free(copy);
    ipcm__buffer_free(&buffer);
    ipcm__decoder_free(decoder);
}

static void any_form_of_a_number_will_do(void)
{
    static const struct {
        const char *hex;
        int64_t number;
    } table[] = {
        {"cc05", 5},        {"cd0005", 5},
        {"ce00000005", 5},  {"cf0000000000000005", 5},
        {"d005", 5},        {"d10005", 5},
        {"d200000005", 5},  {"d30000000000000005", 5},
        {"d0ff", -1},       {"d1ffff", -1},
        {"d2ffffffff", -1}, {"d3ffffffffffffffff", -1},
    };
    struct ipcm__decoder *decoder = wire_decoder(&wire_limits);
    const ipc_any *out;
    size_t count;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char hex[64] = "91";
        strcat(hex, table[i].hex);
        const struct wire_bytes bytes = wire_hex(hex);
        assert_int_equal(
            ipcm__decode_values(decoder, bytes.data, bytes.count, &out, &count),
            0);
        assert_int_equal(out[0].type, IPC_TYPE_I64);
        assert_int_equal(out[0].i64, table[i].number);
    }
    const struct wire_bytes single = wire_hex("91 ca3fc00000");
    assert_int_equal(
        ipcm__decode_values(decoder, single.data, single.count, &out, &count),
        0);
    assert_int_equal(out[0].type, IPC_TYPE_F64);
    assert_true(out[0].f64 == 1.5);
    ipcm__decoder_free(decoder);
}

/* ---- requests and replies ---- */

static void the_protocol_says_what_is_sent(void)
{
    const ipc_any arg = ipc_i64(111);
    const struct ipcm__request request = {
        .id = 1, .op = 1, .object = 5, .args = &arg, .count = 1};
    const struct ipcm__reply reply = {.id = 1};
    struct ipcm__buffer buffer = {0};

    assert_int_equal(ipcm__encode_request(&buffer, &wire_limits, &request), 0);
    assert_bytes(&buffer, "05000000 940101056f");
    ipcm__buffer_sent(&buffer, buffer.end);
    assert_int_equal(ipcm__encode_reply(&buffer, &wire_limits, &reply), 0);
    assert_bytes(&buffer, "03000000 920100");
    ipcm__buffer_free(&buffer);
}

/* The frame that begins at *at. */
static const uint8_t *frame(const struct ipcm__buffer *buffer, size_t *at,
                            size_t *bytes)
{
    uint32_t length;
    assert_int_equal(
        ipcm__frame_length(buffer->data + *at, &wire_limits, &length), 0);
    const uint8_t *data = buffer->data + *at + IPCM__FRAME_HEAD;
    *at += IPCM__FRAME_HEAD + length;
    *bytes = length;
    return data;
}

static void requests_come_back(void)
{
    const ipc_any args[] = {ipc_i64(-3), ipc_str("x"), ipc_nil()};
    const struct ipcm__request calls[] = {
        {.op = IPC_OP_LIST_APPEND, .object = 7, .args = args, .count = 1},
        {.op = IPC_OP_LIST_LENGTH, .object = 8},
        {.op = IPC_OP_DICT_SET, .object = 9, .args = args + 1, .count = 2},
    };
    const struct ipcm__request sent[] = {
        {.id = 1, .op = IPCM__OP_PING, .args = args, .count = 3},
        {.id = UINT64_MAX, .op = IPC_OP_LIST_LENGTH, .object = UINT64_MAX},
        {.id = 3, .op = IPCM__OP_BATCH, .calls = calls, .call_count = 3},
        {.id = 4, .op = IPCM__OP_BATCH},
    };
    struct ipcm__decoder *decoder = wire_decoder(&wire_limits);
    struct ipcm__buffer buffer = {0};
    struct ipcm__request got;
    size_t at = 0;
    size_t bytes;

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(ipcm__encode_request(&buffer, &wire_limits, &sent[i]),
                         0);
    for (size_t i = 0; i < 4; i++) {
        const uint8_t *data = frame(&buffer, &at, &bytes);
        assert_int_equal(ipcm__decode_request(decoder, data, bytes, &got), 0);
        assert_int_equal(got.id, sent[i].id);
        assert_int_equal(got.op, sent[i].op);
        assert_int_equal(got.object, sent[i].object);
        assert_int_equal(got.count, sent[i].count);
        for (size_t k = 0; k < got.count; k++)
            wire_assert_same(&got.args[k], &sent[i].args[k]);
        assert_int_equal(got.call_count, sent[i].call_count);
        for (size_t k = 0; k < got.call_count; k++) {
            assert_int_equal(got.calls[k].op, calls[k].op);
            assert_int_equal(got.calls[k].object, calls[k].object);
            assert_int_equal(got.calls[k].count, calls[k].count);
            for (size_t n = 0; n < calls[k].count; n++)
                wire_assert_same(&got.calls[k].args[n], &calls[k].args[n]);
        }
    }
    assert_int_equal(at, buffer.end);
    ipcm__buffer_free(&buffer);
    ipcm__decoder_free(decoder);
}

static void replies_come_back(void)
{
    const ipc_any results[] = {ipc_str("\xff\xfe"), ipc_i64(2)};
    const struct ipcm__reply calls[] = {
        {.status = 0},
        {.status = 1, .results = results, .count = 2},
    };
    const struct ipcm__reply sent[] = {
        {.id = 1, .results = results, .count = 2},
        {.id = 2, .status = -11},
        {.id = 0, .status = -71, .detail = "why", .detail_bytes = 3},
        {.id = 3, .status = 3},
        {.id = 4, .calls = calls, .call_count = 2},
        {.id = 5, .status = INT64_MIN, .detail = "", .detail_bytes = 0},
    };
    const size_t count = sizeof sent / sizeof sent[0];
    struct ipcm__decoder *decoder = wire_decoder(&wire_limits);
    struct ipcm__buffer buffer = {0};
    struct ipcm__reply got;
    size_t at = 0;
    size_t bytes;

    for (size_t i = 0; i < count; i++)
        assert_int_equal(ipcm__encode_reply(&buffer, &wire_limits, &sent[i]),
                         0);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *data = frame(&buffer, &at, &bytes);
        assert_int_equal(ipcm__decode_reply(decoder, data, bytes, &got), 0);
        assert_int_equal(got.id, sent[i].id);
        assert_int_equal(got.status, sent[i].status);
        assert_int_equal(got.detail != NULL, sent[i].detail != NULL);
        assert_int_equal(got.detail_bytes, sent[i].detail_bytes);
        assert_int_equal(got.count, sent[i].count);
        for (size_t k = 0; k < got.count; k++)
            wire_assert_same(&got.results[k], &sent[i].results[k]);
        assert_int_equal(got.call_count, sent[i].call_count);
    }
    assert_int_equal(got.count, 0);
    ipcm__buffer_free(&buffer);
    ipcm__decoder_free(decoder);
}

static void replies_to_a_batch_come_back(void)
{
    const struct wire_bytes bytes = wire_hex("94 05 00 91 00 93 01 c3 a178");
    struct ipcm__decoder *decoder = wire_decoder(&wire_limits);
    struct ipcm__reply got;
    assert_int_equal(ipcm__decode_reply(decoder, bytes.data, bytes.count, &got),
                     0);
    assert_int_equal(got.call_count, 2);
    assert_int_equal(got.calls[0].count, 0);
    assert_int_equal(got.calls[1].status, 1);
    assert_int_equal(got.calls[1].count, 2);
    assert_true(got.calls[1].results[0].boolean);
    ipcm__decoder_free(decoder);
}

/* ---- limits of what is sent ---- */

static void what_does_not_fit_is_not_sent(void)
{
    const struct ipcm__wire_limits narrow = {
        .frame_bytes = 16, .depth = 3, .nodes = 6};
    const ipc_any text = ipc_str("0123456789ab");
    const ipc_any wrong = ipc_str("\xc0\x80");
    const ipc_any none = ipc_any_with_type(11);
    const ipc_any many[4] = {ipc_i64(1), ipc_i64(2), ipc_i64(3), ipc_i64(4)};
    struct ipcm__request request = {.id = 1, .op = 1, .object = 2};
    struct ipcm__buffer buffer = {0};

    request.args = many;
    request.count = 2;
    assert_int_equal(ipcm__encode_request(&buffer, &narrow, &request), 0);
    const size_t end = buffer.end;

    request.count = 3;
    assert_int_equal(ipcm__encode_request(&buffer, &narrow, &request),
                     -EMSGSIZE);
    assert_non_null(strstr(ipc_error_detail(), "nodes is 6"));
    request.args = &text;
    request.count = 1;
    assert_int_equal(ipcm__encode_request(&buffer, &narrow, &request),
                     -EMSGSIZE);
    assert_non_null(strstr(ipc_error_detail(), "frame_bytes is 16"));
    request.args = &wrong;
    assert_int_equal(ipcm__encode_request(&buffer, &narrow, &request), -EILSEQ);
    request.args = &none;
    assert_int_equal(ipcm__encode_request(&buffer, &narrow, &request), -EINVAL);
    assert_int_equal(ipcm__encode_values(&buffer, &narrow, many, SIZE_MAX / 16),
                     -EMSGSIZE);
    assert_int_equal(buffer.end, end);
    ipcm__buffer_free(&buffer);
}

static void lengths_of_frames_have_bounds(void)
{
    uint32_t length = 77;
    assert_int_equal(ipcm__frame_length("\0\0\0\0", &wire_limits, &length),
                     -EPROTO);
    assert_int_equal(ipcm__frame_length("\x01\0\x10\0", &wire_limits, &length),
                     -EMSGSIZE);
    assert_int_equal(
        ipcm__frame_length("\xff\xff\xff\xff", &wire_limits, &length),
        -EMSGSIZE);
    assert_int_equal(length, 77);
    assert_int_equal(ipcm__frame_length("\0\0\x10\0", &wire_limits, &length),
                     0);
    assert_int_equal(length, 1u << 20);
}

/* ---- memory ---- */

static void buffers_move_and_shrink(void)
{
    struct ipcm__buffer buffer = {0};
    uint8_t next_in = 0;
    uint8_t next_out = 0;
    for (int round = 0; round < 300; round++) {
        const size_t in = (size_t)(round * 37 % 1500);
        uint8_t *to = ipcm__buffer_reserve(&buffer, in);
        assert_non_null(to);
        for (size_t i = 0; i < in; i++)
            to[i] = next_in++;
        buffer.end += in;
        const size_t left = buffer.end - buffer.begin;
        const size_t out = round % 3 == 0 ? left : left / 2;
        for (size_t i = 0; i < out; i++)
            assert_int_equal(buffer.data[buffer.begin + i], next_out++);
        ipcm__buffer_sent(&buffer, out);
        assert_true(buffer.room <= 8192);
    }
    assert_non_null(ipcm__buffer_reserve(&buffer, 1u << 20));
    buffer.end += 1u << 20;
    ipcm__buffer_sent(&buffer, buffer.end - buffer.begin);
    assert_int_equal(buffer.room, 0);
    assert_null(ipcm__buffer_reserve(&buffer, SIZE_MAX / 2));
    ipcm__buffer_free(&buffer);
}

static void decoders_give_memory_back(void)
{
    static ipc_any many[20000];
    struct ipcm__decoder *decoder = wire_decoder(&wire_limits);
    struct ipcm__buffer buffer = {0};
    const ipc_any *out;
    size_t count;
    assert_int_equal(ipcm__encode_values(&buffer, &wire_limits, many, 20000),
                     0);
    assert_int_equal(
        ipcm__decode_values(decoder, buffer.data, buffer.end, &out, &count), 0);
    assert_int_equal(count, 20000);
    assert_true(decoder->value_room > 20000);
    assert_int_equal(ipcm__decode_values(decoder, "\x90", 1, &out, &count), 0);
    assert_true(decoder->value_room < 1000);
    ipcm__buffer_free(&buffer);
    ipcm__decoder_free(decoder);
    ipcm__decoder_free(NULL);
}

/* ---- operations ---- */

static void operations_have_names_and_flags(void)
{
    static const struct {
        uint32_t op;
        uint32_t flags;
        const char *name;
    } table[] = {
        {IPC_OP_LIST_APPEND,
         IPCM__OP_KNOWN | IPCM__OP_CHANGES | IPCM__OP_BATCHES | IPCM__OP_LOGGED,
         "LIST_APPEND"},
        {IPC_OP_DICT_GET, IPCM__OP_KNOWN | IPCM__OP_BATCHES, "DICT_GET"},
        {IPC_OP_SET_WATCH, IPCM__OP_KNOWN | IPCM__OP_WAITS, "SET_WATCH"},
        {IPCM__OP_OPEN, IPCM__OP_KNOWN | IPCM__OP_CHANGES, "OPEN"},
        {IPCM__OP_CANCEL, IPCM__OP_KNOWN, "CANCEL"},
        {IPCM__OP_QUEUE_GET,
         IPCM__OP_KNOWN | IPCM__OP_CHANGES | IPCM__OP_WAITS | IPCM__OP_LOGGED,
         "QUEUE_GET"},
        {IPCM__OP_CALL, IPCM__OP_KNOWN | IPCM__OP_CHANGES, "CALL"},
        {0, 0, "?"},
        {20, 0, "?"},
        {300, 0, "?"},
        {481, 0, "?"},
        {UINT32_MAX, 0, "?"},
    };
    long known = 0;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(ipcm__op_flags(table[i].op), table[i].flags);
        assert_string_equal(ipcm__op_name(table[i].op), table[i].name);
    }
    for (uint32_t op = 0; op < 1000; op++) {
        const uint32_t flags = ipcm__op_flags(op);
        assert_int_equal((flags & IPCM__OP_KNOWN) == 0, flags == 0);
        assert_int_equal(flags == 0, strcmp(ipcm__op_name(op), "?") == 0);
        /* What waits cannot be part of a transaction. */
        assert_false((flags & IPCM__OP_WAITS) && (flags & IPCM__OP_BATCHES));
        if (flags & IPCM__OP_LOGGED)
            assert_true(flags & IPCM__OP_CHANGES);
        known += flags != 0;
    }
    test_report("operations", known);
}

static void arguments_are_read_by_type_and_bounds(void)
{
    const ipc_any args[] = {ipc_i64(-5), ipc_u64(UINT64_MAX), ipc_bool(true),
                            ipc_str("ab")};
    const struct ipcm__request request = {
        .id = 1, .op = IPC_OP_LIST_SET, .args = args, .count = 4};
    int64_t i64 = 0;
    uint64_t u64 = 0;
    bool boolean = false;
    const char *text = NULL;
    size_t bytes = 0;

    assert_int_equal(ipcm__arg_i64(&request, 0, -5, 5, &i64), 0);
    assert_int_equal(i64, -5);
    assert_int_equal(ipcm__arg_i64(&request, 0, -4, 5, &i64), -EINVAL);
    assert_non_null(strstr(ipc_error_detail(), "argument 1 of LIST_SET"));
    assert_int_equal(ipcm__arg_i64(&request, 1, INT64_MIN, INT64_MAX, &i64),
                     -EINVAL);
    assert_int_equal(ipcm__arg_i64(&request, 3, 0, 1, &i64), -EINVAL);
    assert_int_equal(ipcm__arg_i64(&request, 4, 0, 1, &i64), -EINVAL);
    assert_int_equal(ipcm__arg_u64(&request, 1, &u64), 0);
    assert_int_equal(u64, UINT64_MAX);
    assert_int_equal(ipcm__arg_u64(&request, 0, &u64), -EINVAL);
    assert_int_equal(ipcm__arg_bool(&request, 2, &boolean), 0);
    assert_true(boolean);
    assert_int_equal(ipcm__arg_bool(&request, 0, &boolean), -EINVAL);
    assert_int_equal(ipcm__arg_str(&request, 3, &text, &bytes), 0);
    assert_int_equal(bytes, 2);
    assert_int_equal(ipcm__arg_str(&request, 2, &text, &bytes), -EINVAL);
    assert_int_equal(ipcm__arg_count(&request, 4, 4), 0);
    assert_int_equal(ipcm__arg_count(&request, 2, SIZE_MAX), 0);
    assert_int_equal(ipcm__arg_count(&request, 3, 3), -EINVAL);
    assert_int_equal(ipcm__arg_count(&request, 5, 6), -EINVAL);
    assert_int_equal(ipcm__arg_count(&request, 0, 1), -EINVAL);
}

static const struct test_case cases[] = {
    TEST_CASE(values_have_the_shortest_form),
    TEST_CASE(values_come_back),
    TEST_CASE(any_form_of_a_number_will_do),
    TEST_CASE(the_protocol_says_what_is_sent),
    TEST_CASE(requests_come_back),
    TEST_CASE(replies_come_back),
    TEST_CASE(replies_to_a_batch_come_back),
    TEST_CASE(what_does_not_fit_is_not_sent),
    TEST_CASE(lengths_of_frames_have_bounds),
    TEST_CASE(buffers_move_and_shrink),
    TEST_CASE(decoders_give_memory_back),
    TEST_CASE(operations_have_names_and_flags),
    TEST_CASE(arguments_are_read_by_type_and_bounds),
};
TEST_MAIN(cases)
