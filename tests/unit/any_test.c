/* Values: which are the same, in which order they are, how they look. */
#include "unit/lock_support.h"

#include "harness/scale.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <ipc/any.h>

#include "object/object.h"

/* ---- helpers ---- */

static ipc_any text(uint32_t type, const void *bytes, size_t size)
{
    return type == IPC_TYPE_STR ? ipc_strn(bytes, size)
                                : ipc_bytes(bytes, size);
}

/* With exactly as much room as it takes, and one less. */
static void expect_format(ipc_any any, const char *expected)
{
    char out[200];
    const size_t length = strlen(expected);
    memset(out, '~', sizeof out);
    expect_rc(ipc_any_format(&any, out, length + 1), (int)length);
    assert_string_equal(out, expected);
    assert_int_equal(out[length + 1], '~');

    memset(out, '~', sizeof out);
    expect_rc(ipc_any_format(&any, out, length), (int)length);
    assert_memory_equal(out, expected, length - 1);
    assert_int_equal(out[length - 1], '\0');
    assert_int_equal(out[length], '~');

    expect_rc(ipc_any_format(&any, NULL, 0), (int)length);
}

static int sign(int number)
{
    return (number > 0) - (number < 0);
}

/* Each less than all that come behind it. */
static void expect_ascending(const ipc_any *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            const int expected = (i > k) - (i < k);
            const int order = sign(ipc_any_compare(&values[i], &values[k]));
            if (order != expected)
                test_fail("value %zu against %zu: %d, not %d", i, k, order,
                          expected);
            assert_true(ipc_any_equal(&values[i], &values[k]) == (i == k));
        }
    }
}

static void expect_same(ipc_any a, ipc_any b)
{
    assert_int_equal(ipc_any_compare(&a, &b), 0);
    assert_int_equal(ipc_any_compare(&b, &a), 0);
}

/* ---- compare ---- */

static void one_number_is_one_integer(void)
{
    ipc_any forced = ipc_i64(5);
    assert_int_equal(ipc_u64(5).type, IPC_TYPE_I64);
    assert_int_equal(ipc_u64(INT64_MAX).type, IPC_TYPE_I64);
    assert_int_equal(ipc_u64((uint64_t)INT64_MAX + 1).type, IPC_TYPE_U64);
    forced.type = IPC_TYPE_U64;
    expect_same(forced, ipc_i64(5));
    expect_same(ipc_u64(UINT64_MAX), ipc_u64(UINT64_MAX));

    const ipc_any ascending[] = {
        ipc_i64(INT64_MIN), ipc_i64(-1),
        ipc_i64(0),         ipc_u64(1),
        ipc_i64(INT64_MAX), ipc_u64((uint64_t)INT64_MAX + 1),
        ipc_u64(UINT64_MAX)};
    expect_ascending(ascending, array_length(ascending));
}

static void types_have_an_order(void)
{
    struct ipc__handle handle = {.type = IPC_TYPE_LIST};
    const ipc_any ascending[] = {
        ipc_nil(),
        ipc_bool(false),
        ipc_bool(true),
        ipc_i64(INT64_MIN),
        ipc_u64(UINT64_MAX),
        ipc_f64(-INFINITY),
        ipc_str(""),
        ipc_str("z"),
        ipc_bytes("", 0),
        ipc_bytes("a", 1),
        ipc_any_list((ipc_list *)(void *)&handle),
        ipc_any_dict((ipc_dict *)(void *)&handle),
        ipc_any_set((ipc_set *)(void *)&handle),
        ipc_any_namespace((ipc_namespace *)(void *)&handle)};
    expect_ascending(ascending, array_length(ascending));
}

static void zero_has_no_sign_and_nan_is_itself(void)
{
    const ipc_any ascending[] = {
        ipc_f64(-INFINITY), ipc_f64(-1.5), ipc_f64(-0x1p-1074), ipc_f64(0.0),
        ipc_f64(0x1p-1074), ipc_f64(1.0),  ipc_f64(INFINITY),   ipc_f64(NAN)};
    expect_ascending(ascending, array_length(ascending));
    expect_same(ipc_f64(0.0), ipc_f64(-0.0));
    expect_same(ipc_f64(NAN), ipc_f64(-NAN));
    assert_false(ipc_any_equal(&ascending[5],
                               &(ipc_any){.type = IPC_TYPE_I64, .i64 = 1}));
}

static void strings_go_by_their_bytes(void)
{
    for (uint32_t type = IPC_TYPE_STR; type <= IPC_TYPE_BYTES; type++) {
        const ipc_any ascending[] = {
            text(type, NULL, 0),   text(type, "\0", 1),
            text(type, "\0a", 2),  text(type, "A", 1),
            text(type, "a", 1),    text(type, "a\0", 2),
            text(type, "aa", 2),   text(type, "ab", 2),
            text(type, "b", 1),    text(type, "\x7f", 1),
            text(type, "\x80", 1), text(type, "\xff\xff", 2),
        };
        expect_ascending(ascending, array_length(ascending));
        expect_same(text(type, NULL, 0), text(type, "x", 0));
    }
}

static void handles_are_what_they_point_to(void)
{
    ipc_arena *arena = (ipc_arena *)(uintptr_t)4096;
    struct ipc__handle a = {
        .type = IPC_TYPE_LIST, .arena = arena, .at = 64, .serial = 1};
    struct ipc__handle b = a;
    expect_same(ipc_any_list((ipc_list *)(void *)&a),
                ipc_any_list((ipc_list *)(void *)&b));
    b.serial = 2;
    const ipc_any ascending[] = {ipc_any_list(NULL),
                                 ipc_any_list((ipc_list *)(void *)&a),
                                 ipc_any_list((ipc_list *)(void *)&b)};
    expect_ascending(ascending, array_length(ascending));
}

/* ---- format ---- */

static void numbers_look_like_numbers(void)
{
    expect_format(ipc_nil(), "nil");
    expect_format(ipc_bool(true), "true");
    expect_format(ipc_bool(false), "false");
    expect_format(ipc_i64(0), "0");
    expect_format(ipc_i64(INT64_MIN), "-9223372036854775808");
    expect_format(ipc_u64(UINT64_MAX), "18446744073709551615");
}

static void doubles_never_look_like_integers(void)
{
    expect_format(ipc_f64(0.5), "0.5");
    expect_format(ipc_f64(0.1), "0.1");
    expect_format(ipc_f64(0.1 + 0.2), "0.30000000000000004");
    expect_format(ipc_f64(1), "1.0");
    expect_format(ipc_f64(-0.0), "-0.0");
    expect_format(ipc_f64(-12345), "-12345.0");
    expect_format(ipc_f64(1e300), "1e+300");
    expect_format(ipc_f64(5e-324), "4.94065645841247e-324");
    expect_format(ipc_f64(INFINITY), "inf");
    expect_format(ipc_f64(-INFINITY), "-inf");
    expect_format(ipc_f64(NAN), "nan");
    expect_format(ipc_f64(-NAN), "nan");
}

static void strings_are_quoted(void)
{
    expect_format(ipc_str(""), "\"\"");
    expect_format(ipc_str("text"), "\"text\"");
    expect_format(ipc_str("a\"b\\c\nd\te\rf"), "\"a\\\"b\\\\c\\nd\\te\\rf\"");
    expect_format(ipc_strn("\0\x1f\x7f", 3), "\"\\x00\\x1f\\x7f\"");
    expect_format(ipc_str("\xc3\xa4"), "\"\xc3\xa4\"");
    expect_format(ipc_bytes(NULL, 0), "b\"\"");
    expect_format(ipc_bytes("\0x", 2), "b\"\\x00x\"");
    expect_format(ipc_bytes("\xc3\xa4\"", 3), "b\"\\xc3\\xa4\\\"\"");
}

static void containers_have_a_name(void)
{
    expect_format(ipc_any_list(NULL), "<list>");
    expect_format(ipc_any_dict(NULL), "<dict>");
    expect_format(ipc_any_set(NULL), "<set>");
    expect_format(ipc_any_namespace(NULL), "<namespace>");
    expect_format((ipc_any){.type = 77}, "<unknown>");
    assert_string_equal(ipc_type_name(IPC_TYPE_NIL), "nil");
    assert_string_equal(ipc_type_name(IPC_TYPE_I64), "int");
    assert_string_equal(ipc_type_name(IPC_TYPE_U64), "int");
    assert_string_equal(ipc_type_name(IPC_TYPE_STR), "string");
    assert_string_equal(ipc_type_name(IPC_TYPE_NAMESPACE), "namespace");
    assert_string_equal(ipc_type_name(UINT32_MAX), "unknown");
}

/* As many digits as it takes to read the same double back. */
static void doubles_read_back_as_they_were(void)
{
    struct test_random random = {test_seed()};
    const long rounds = 20000 * test_scale();
    for (long i = 0; i < rounds; i++) {
        const uint64_t bits = test_random_next(&random);
        char out[64];
        ipc_any any = ipc_f64(0);
        any.u64 = bits;
        assert_true(ipc_any_format(&any, out, sizeof out) < 30);
        const ipc_any back = ipc_f64(strtod(out, NULL));
        if (!ipc_any_equal(&any, &back))
            test_fail("0x%" PRIx64 " is shown as %s", bits, out);
    }
    test_report("doubles", rounds);
}

/* ---- end ---- */

static void freeing_twice_does_no_harm(void)
{
    ipc_any any = ipc_str(strdup("text"));
    ipc_any_free(&any);
    assert_int_equal(any.type, IPC_TYPE_NIL);
    assert_int_equal(any.u64, 0);
    ipc_any_free(&any);
    ipc_any_free(NULL);

    any = ipc_i64(7);
    ipc_any_free(&any);
    assert_int_equal(any.type, IPC_TYPE_NIL);
    any = ipc_any_set(NULL);
    ipc_any_free(&any);
    assert_int_equal(any.type, IPC_TYPE_NIL);
}

static void many_are_freed_at_once(void)
{
    ipc_anys anys = {calloc(3, sizeof(ipc_any)), 3};
    assert_non_null(anys.items);
    anys.items[0] = ipc_str(strdup("first"));
    anys.items[1] = ipc_f64(1);
    anys.items[2] = ipc_bytes(strdup("last"), 4);
    ipc_anys_free(&anys);
    assert_null(anys.items);
    assert_int_equal(anys.count, 0);
    ipc_anys_free(&anys);
    ipc_anys_free(NULL);
}

/* ---- remote ---- */

struct desk {
    int rc;
    size_t results;
    uint32_t op;
    size_t args;
    int closed;
};

static int desk_call(void *data, uint32_t op, const ipc_any *args, size_t count,
                     ipc_anys *results)
{
    struct desk *desk = data;
    (void)args;
    desk->op = op;
    desk->args = count;
    if (desk->results > 0) {
        results->items = calloc(desk->results, sizeof(ipc_any));
        assert_non_null(results->items);
    }
    for (size_t i = 0; i < desk->results; i++)
        results->items[i] = ipc_str(strdup("result"));
    results->count = desk->results;
    return desk->rc;
}

static void desk_close(void *data)
{
    struct desk *desk = data;
    desk->closed++;
}

static const ipc_remote desk_remote = {.call = desk_call, .close = desk_close};

static void remote_results_are_as_many_as_expected(void)
{
    struct desk desk = {0};
    ipc_any any;
    const ipc_any args[] = {ipc_i64(0), ipc_i64(1)};
    ipc_any out[2];
    ipc_anys many;

    expect_rc(ipc_remote_handle(IPC_TYPE_LIST, &desk_remote, &desk, &any), 0);
    struct ipc__handle *handle = &any.list->handle;
    assert_ptr_equal(ipc_remote_data(&any, &desk_remote), &desk);
    assert_true(ipc_any_identity(&any) != 0);
    expect_rc(ipc__remote_call(handle, IPC_OP_LIST_CLEAR, NULL, 0, NULL, 0), 0);
    assert_int_equal(desk.op, IPC_OP_LIST_CLEAR);

    desk.results = 2;
    expect_rc(ipc__remote_call(handle, IPC_OP_LIST_SET, args, 2, out, 2), 0);
    assert_int_equal(desk.args, 2);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(out[i].str, "result");
        ipc_any_free(&out[i]);
    }
    expect_rc(ipc__remote_call(handle, IPC_OP_LIST_GET, args, 1, out, 1),
              -EPROTO);
    expect_rc(ipc__remote_call(handle, IPC_OP_LIST_CLEAR, NULL, 0, NULL, 0),
              -EPROTO);
    expect_rc(ipc__remote_call_many(handle, IPC_OP_LIST_SLICE, NULL, 0, &many),
              0);
    assert_int_equal(many.count, 2);
    ipc_anys_free(&many);

    desk.rc = -ERANGE;
    expect_rc(ipc__remote_call(handle, IPC_OP_LIST_GET, args, 1, out, 2),
              -ERANGE);

    ipc_any_free(&any);
    assert_int_equal(desk.closed, 1);
}

static const struct test_case cases[] = {
    TEST_CASE(one_number_is_one_integer),
    TEST_CASE(types_have_an_order),
    TEST_CASE(zero_has_no_sign_and_nan_is_itself),
    TEST_CASE(strings_go_by_their_bytes),
    TEST_CASE(handles_are_what_they_point_to),
    TEST_CASE(numbers_look_like_numbers),
    TEST_CASE(doubles_never_look_like_integers),
    TEST_CASE(strings_are_quoted),
    TEST_CASE(containers_have_a_name),
    TEST_CASE(doubles_read_back_as_they_were),
    TEST_CASE(freeing_twice_does_no_harm),
    TEST_CASE(many_are_freed_at_once),
    TEST_CASE(remote_results_are_as_many_as_expected),
};
TEST_MAIN(cases)
