/* The wire: what is no frame is refused, whatever it says of itself. */
#include "manager/wire_support.h"

/* ---- frames of all kinds ---- */

struct broken {
    const char *what;
    const char *hex;
    int error;
};

/* rc of decoding it as a request; what is behind its end is not read. */
static int decode(struct ipcm__decoder *decoder, const void *data, size_t bytes,
                  struct ipcm__request *out)
{
    uint8_t *tight = wire_tight(data, bytes);
    const int rc = ipcm__decode_request(decoder, tight, bytes, out);
    free(tight);
    return rc;
}

static void t67_frames_that_break_the_connection(void)
{
    static const struct broken table[] = {
        {"nothing", "", -EPROTO},
        {"a number", "01", -EPROTO},
        {"nil", "c0", -EPROTO},
        {"a string", "a3616263", -EPROTO},
        {"a map", "83 0101 0202 0303", -EPROTO},
        {"a byte that begins nothing", "c1", -EPROTO},
        {"the same in an array", "94 01 01 00 c1", -EPROTO},
        {"no items", "90", -EPROTO},
        {"one item", "91 01", -EPROTO},
        {"two items", "92 01 01", -EPROTO},
        {"an item too few", "94 01 01 00", -EPROTO},
        {"a byte too much", "93 01 01 00 00", -EPROTO},
        {"an array behind it", "93 01 01 00 93 01 01 00", -EPROTO},
        {"id 0", "93 00 01 00", -EPROTO},
        {"a negative id", "93 ff 01 00", -EPROTO},
        {"an id that is nil", "93 c0 01 00", -EPROTO},
        {"an id that is a string", "93 a131 01 00", -EPROTO},
        {"an id that is a double", "93 cb3ff0000000000000 01 00", -EPROTO},
        {"an op that is a string", "93 01 a131 00", -EPROTO},
        {"an op that is an array", "93 01 91 01 00", -EPROTO},
        {"an object that is true", "93 01 01 c3", -EPROTO},
        {"an object that is deep", "93 01 01 91 91 91 01", -EPROTO},
        {"four billion items", "ddffffffff", -EPROTO},
        {"four billion, some there", "ddffffffff 01 01 00", -EPROTO},
        {"many in an argument", "94 01 01 00 ddffffffff", -EPROTO},
        {"a map of four billion", "94 01 01 00 dfffffffff", -EPROTO},
        {"a map of one and a half", "94 01 01 00 82 01 02 03", -EPROTO},
        {"a string of four billion", "94 01 01 00 dbffffffff", -EPROTO},
        {"bytes of four billion", "94 01 01 00 c6ffffffff 00", -EPROTO},
        {"an ext of four billion", "94 01 01 00 c9ffffffff 01", -EPROTO},
        {"an ext without its type", "94 01 01 00 c700", -EPROTO},
        {"a length without its end", "94 01 01 00 da01", -EPROTO},
        {"a string one too short", "94 01 01 00 a3 6162", -EPROTO},
    };
    struct ipcm__decoder *decoder = wire_decoder(&wire_limits);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct wire_bytes bytes = wire_hex(table[i].hex);
        struct ipcm__request request;
        const int rc = decode(decoder, bytes.data, bytes.count, &request);
        if (rc != table[i].error)
            test_fail("%s: %d", table[i].what, rc);
        if (ipc_error_detail()[0] == '\0')
            test_fail("%s: no detail", table[i].what);
    }
    ipcm__decoder_free(decoder);
}

/* The reply goes to the one who asked: so the id must be told. */
static void t67_requests_that_get_an_error_reply(void)
{
    static const struct broken table[] = {
        {"an array", "94 05 02 03 90", -EINVAL},
        {"a map", "94 05 02 03 80", -EINVAL},
        {"arrays in arrays", "94 05 02 03 91 91 91 91 c0", -EINVAL},
        {"deep in a batch", "94 05 cd0106 03 93 01 02 91 91 c0", -EINVAL},
        {"an ext of another type", "94 05 02 03 d400 00", -EINVAL},
        {"a short container", "94 05 02 03 d701 0700000000000000", -EINVAL},
        {"a container of no type", "94 05 02 03 c70901 060000000000000001",
         -EINVAL},
        {"a container of type 11", "94 05 02 03 c70901 0b0000000000000001",
         -EINVAL},
        {"a negative object", "93 05 02 ff", -EINVAL},
        {"a string that is no UTF-8", "94 05 02 03 a1ff", -EILSEQ},
        {"one with a surrogate", "94 05 02 03 a3eda080", -EILSEQ},
        {"one longer than need be", "94 05 02 03 a2c080", -EILSEQ},
        {"a batch of numbers", "94 05 cd0106 00 01", -EINVAL},
        {"a batch of nothing", "94 05 cd0106 00 90", -EINVAL},
        {"a call without an object", "94 05 cd0106 00 91 01", -EINVAL},
        {"a call of a name", "94 05 cd0106 00 92 a161 01", -EINVAL},
        {"a call with an array", "94 05 cd0106 00 93 01 01 90", -EINVAL},
        {"a call with no UTF-8", "94 05 cd0106 00 93 01 01 a180", -EILSEQ},
    };
    struct ipcm__decoder *decoder = wire_decoder(&wire_limits);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct wire_bytes bytes = wire_hex(table[i].hex);
        struct ipcm__request request;
        const int rc = decode(decoder, bytes.data, bytes.count, &request);
        if (rc != table[i].error || request.id != 5 || request.count != 0 ||
            request.call_count != 0)
            test_fail("%s: %d", table[i].what, rc);
    }
    ipcm__decoder_free(decoder);
}

static void an_unknown_operation_is_no_broken_frame(void)
{
    static const char *const table[] = {"93 05 ff 00", "93 05 cdffff 00",
                                        "93 05 cf0000000100000001 00"};
    struct ipcm__decoder *decoder = wire_decoder(&wire_limits);
    for (size_t i = 0; i < 3; i++) {
        const struct wire_bytes bytes = wire_hex(table[i]);
        struct ipcm__request request;
        assert_int_equal(decode(decoder, bytes.data, bytes.count, &request), 0);
        assert_int_equal(ipcm__op_flags(request.op), 0);
    }
    ipcm__decoder_free(decoder);
}

static void an_error_in_a_batch_says_where(void)
{
    const struct wire_bytes bytes =
        wire_hex("95 05 cd0106 00 92 0a 01 94 01 01 c0 a1ff");
    struct ipcm__decoder *decoder = wire_decoder(&wire_limits);
    struct ipcm__request request;
    assert_int_equal(decode(decoder, bytes.data, bytes.count, &request),
                     -EILSEQ);
    assert_non_null(strstr(ipc_error_detail(), "call 1: argument 2"));
    ipcm__decoder_free(decoder);
}

static void t67_replies_that_break_the_connection(void)
{
    static const struct broken table[] = {
        {"no status", "91 01", -EPROTO},
        {"a status that is no number", "92 01 c0", -EPROTO},
        {"one that is too large", "92 01 cfffffffffffffffff", -EPROTO},
        {"a negative id", "92 ff 00", -EPROTO},
        {"a map as result", "93 01 00 80", -EPROTO},
        {"an array behind values", "94 01 00 c0 91 00", -EPROTO},
        {"a value behind arrays", "94 01 00 91 00 c0", -EPROTO},
        {"an array without status", "93 01 00 90", -EPROTO},
        {"deep arrays", "93 01 00 92 00 91 91 00", -EPROTO},
    };
    struct ipcm__decoder *decoder = wire_decoder(&wire_limits);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct wire_bytes bytes = wire_hex(table[i].hex);
        struct ipcm__reply reply;
        const int rc =
            ipcm__decode_reply(decoder, bytes.data, bytes.count, &reply);
        if (rc != table[i].error)
            test_fail("%s: %d", table[i].what, rc);
    }
    ipcm__decoder_free(decoder);
}

static void what_is_empty_has_an_address(void)
{
    const struct wire_bytes values = wire_hex("92 a0 c400");
    const struct wire_bytes bytes = wire_hex("93 00 ff a0");
    struct ipcm__decoder *decoder = wire_decoder(&wire_limits);
    struct ipcm__reply reply;
    const ipc_any *out;
    size_t count;
    assert_int_equal(
        ipcm__decode_values(decoder, values.data, values.count, &out, &count),
        0);
    assert_non_null(out[0].str);
    assert_non_null(out[1].bytes);
    assert_int_equal(
        ipcm__decode_reply(decoder, bytes.data, bytes.count, &reply), 0);
    assert_non_null(reply.detail);
    ipcm__decoder_free(decoder);
}

/* ---- every byte ---- */

/* All forms of values that there are, in one request; and of what is none. */
#define VALUES                                                                 \
    "01 01 00 c0 c2 c3 7f e0 cc80 cd0100 ce00010000 cf0000000100000000"        \
    "d080 d18000 d280000000 d38000000000000000 ca3fc00000"                     \
    "cb3ff8000000000000 a0 a3616263 d90161 da000161 db0000000161 c40100"       \
    "c5000100 c60000000100 c70901070000000000000005"
static const char all_values[] = "dc001b" VALUES;
static const char all_forms[] =
    "dc0020" VALUES "d40101 d5010101 d60101010101 810102 9190";

static void t67_a_frame_cut_at_any_byte_is_refused(void)
{
    const struct wire_bytes bytes = wire_hex(all_forms);
    uint32_t nodes;
    assert_int_equal(
        ipcm__wire_check(bytes.data, bytes.count, &wire_limits, &nodes), 0);
    assert_int_equal(nodes, 1 + 32 + 3);
    for (size_t cut = 0; cut < bytes.count; cut++) {
        uint8_t *tight = wire_tight(bytes.data, cut);
        assert_int_equal(ipcm__wire_check(tight, cut, &wire_limits, &nodes),
                         -EPROTO);
        free(tight);
    }
    test_report("cuts", (long long)bytes.count);
}

static void t67_a_frame_with_any_byte_changed_does_no_harm(void)
{
    const struct wire_bytes good = wire_hex(all_values);
    struct ipcm__decoder *decoder = wire_decoder(&wire_limits);
    long long accepted = 0;
    for (size_t at = 0; at < good.count; at++) {
        for (int value = 0; value < 256; value++) {
            struct wire_bytes bytes = good;
            struct ipcm__request request;
            bytes.data[at] = (uint8_t)value;
            const int rc = decode(decoder, bytes.data, bytes.count, &request);
            accepted += rc == 0;
            if (value == good.data[at])
                assert_int_equal(rc, 0);
            assert_true(rc == 0 || rc == -EPROTO || rc == -EINVAL ||
                        rc == -EILSEQ || rc == -EMSGSIZE);
        }
    }
    test_report("frames", (long long)good.count * 256);
    test_report("accepted", accepted);
    ipcm__decoder_free(decoder);
}

/* ---- limits ---- */

/* [1, 1, 0, [[[ ... ]]]], in all so deep. */
static size_t nest(uint8_t *out, uint32_t depth)
{
    static const uint8_t head[] = {0x94, 1, 1, 0};
    memcpy(out, head, sizeof head);
    memset(out + sizeof head, 0x91, depth);
    out[sizeof head + depth - 2] = 0x90;
    return sizeof head + depth - 1;
}

static void t67_depth_has_a_limit(void)
{
    uint8_t bytes[256];
    for (uint32_t limit = 3; limit <= 64; limit++) {
        const struct ipcm__wire_limits limits = {
            .frame_bytes = 4096, .depth = limit, .nodes = 1000};
        struct ipcm__decoder *decoder = wire_decoder(&limits);
        struct ipcm__request request;
        size_t count = nest(bytes, limit);
        assert_int_equal(decode(decoder, bytes, count, &request), -EINVAL);
        assert_int_equal(request.id, 1);
        count = nest(bytes, limit + 1);
        assert_int_equal(decode(decoder, bytes, count, &request), -EMSGSIZE);
        assert_non_null(strstr(ipc_error_detail(), "depth is "));
        ipcm__decoder_free(decoder);
    }
}

static void t67_depth_is_never_more_than_64(void)
{
    const struct ipcm__wire_limits limits = {
        .frame_bytes = 4096, .depth = UINT32_MAX, .nodes = 1000};
    uint8_t bytes[256];
    assert_int_equal(ipcm__wire_check(bytes, nest(bytes, 64), &limits, NULL),
                     0);
    assert_int_equal(ipcm__wire_check(bytes, nest(bytes, 65), &limits, NULL),
                     -EMSGSIZE);
}

/* Arrays that each promise a little less than there is room for. */
static void t67_values_have_a_limit_all_told(void)
{
    const struct ipcm__wire_limits limits = {
        .frame_bytes = 4096, .depth = 16, .nodes = 100};
    uint8_t bytes[200];
    memset(bytes, 0, sizeof bytes);
    bytes[0] = 0xdc;
    bytes[2] = 99;
    assert_int_equal(ipcm__wire_check(bytes, 3 + 99, &limits, NULL), 0);
    bytes[2] = 100;
    assert_int_equal(ipcm__wire_check(bytes, 3 + 100, &limits, NULL),
                     -EMSGSIZE);
    assert_non_null(strstr(ipc_error_detail(), "nodes is 100"));
    /* Ten times ten values in ten arrays. */
    bytes[0] = 0x9a;
    for (size_t i = 0; i < 10; i++) {
        memset(bytes + 1 + i * 11, 0, 11);
        bytes[1 + i * 11] = 0x9a;
    }
    assert_int_equal(ipcm__wire_check(bytes, 1 + 110, &limits, NULL),
                     -EMSGSIZE);
}

static void t67_a_frame_has_a_longest_length(void)
{
    const struct ipcm__wire_limits limits = {
        .frame_bytes = 8, .depth = 3, .nodes = 100};
    const struct wire_bytes fits = wire_hex("94 01 01 00 a3616263");
    const struct wire_bytes longer = wire_hex("94 01 01 00 a461626364");
    assert_int_equal(ipcm__wire_check(fits.data, fits.count, &limits, NULL), 0);
    assert_int_equal(ipcm__wire_check(longer.data, longer.count, &limits, NULL),
                     -EMSGSIZE);
    assert_non_null(strstr(ipc_error_detail(), "frame_bytes is 8"));
}

/* ---- UTF-8 ---- */

static void utf8_is_what_the_standard_says(void)
{
    static const struct {
        const char *text;
        size_t bytes;
        bool good;
    } table[] = {
        {"", 0, true},
        {"plain ascii, longer than a word", 31, true},
        {"\0", 1, true},
        {"12345678\xc3\xbc", 10, true},
        {"\x7f", 1, true},
        {"\xc2\x80", 2, true},
        {"\xdf\xbf", 2, true},
        {"\xe0\xa0\x80", 3, true},
        {"\xed\x9f\xbf", 3, true},
        {"\xee\x80\x80", 3, true},
        {"\xef\xbf\xbf", 3, true},
        {"\xf0\x90\x80\x80", 4, true},
        {"\xf4\x8f\xbf\xbf", 4, true},
        {"\x80", 1, false},
        {"\xbf", 1, false},
        {"\xc0\x80", 2, false},
        {"\xc1\xbf", 2, false},
        {"\xc2", 1, false},
        {"\xc2\x41", 2, false},
        {"\xe0\x9f\xbf", 3, false},
        {"\xed\xa0\x80", 3, false},
        {"\xe1\x80", 2, false},
        {"\xe1\x80\xc0", 3, false},
        {"\xf0\x8f\xbf\xbf", 4, false},
        {"\xf4\x90\x80\x80", 4, false},
        {"\xf5\x80\x80\x80", 4, false},
        {"\xf1\x80\x80", 3, false},
        {"12345678\xff", 9, false},
        {"1234\xff"
         "5678901234",
         15, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        uint8_t *tight = wire_tight(table[i].text, table[i].bytes);
        if (ipcm__utf8(tight, table[i].bytes) != table[i].good)
            test_fail("text %zu", i);
        free(tight);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(t67_frames_that_break_the_connection),
    TEST_CASE(t67_requests_that_get_an_error_reply),
    TEST_CASE(an_unknown_operation_is_no_broken_frame),
    TEST_CASE(an_error_in_a_batch_says_where),
    TEST_CASE(t67_replies_that_break_the_connection),
    TEST_CASE(what_is_empty_has_an_address),
    TEST_CASE(t67_a_frame_cut_at_any_byte_is_refused),
    TEST_CASE(t67_a_frame_with_any_byte_changed_does_no_harm),
    TEST_CASE(t67_depth_has_a_limit),
    TEST_CASE(t67_depth_is_never_more_than_64),
    TEST_CASE(t67_values_have_a_limit_all_told),
    TEST_CASE(t67_a_frame_has_a_longest_length),
    TEST_CASE(utf8_is_what_the_standard_says),
};
TEST_MAIN(cases)
