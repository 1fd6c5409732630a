/* Values and arrays of a manager. */
#include "manager/kinds_support.h"

#define GET  IPCM__OP_VALUE_GET
#define SET  IPCM__OP_VALUE_SET
#define INCR IPCM__OP_VALUE_INCR
#define CAS  IPCM__OP_VALUE_CAS

#define A_GET  IPCM__OP_ARRAY_GET
#define A_SET  IPCM__OP_ARRAY_SET
#define LENGTH IPCM__OP_ARRAY_LENGTH
#define SLICE  IPCM__OP_ARRAY_SLICE
#define A_PUT  IPCM__OP_ARRAY_PUT

#define BOOLS   ipc_str("type"), ipc_i64(IPC_TYPE_BOOL)
#define NUMBERS ipc_str("type"), ipc_i64(IPC_TYPE_I64)
#define DOUBLES ipc_str("type"), ipc_i64(IPC_TYPE_F64)

static struct client *a, *b;

static void begin(void)
{
    server_begin();
    a = client_new();
    b = client_new();
}

/* ---- values ---- */

static void a_value_is_what_was_set(void)
{
    begin();
    const uint64_t value = make(a, "value", "v");
    says(b, GET, value, "nil");
    does(b, SET, value, 0, ipc_str("hello"));
    says(a, GET, value, "\"hello\"");
    does(b, SET, value, 0, ipc_bytes("", 0));
    says(a, GET, value, "b\"\"");
    does(b, SET, value, 0, ipc_bool(true));
    says(a, GET, value, "true");
    const uint64_t other =
        make(a, "value", NULL, ipc_str("value"), ipc_f64(0.5));
    says(a, GET, other, "0.5");
    ipc_any handle = ipc_any_with_type(IPC_TYPE_LIST);
    handle.u64 = make(a, "list", NULL, ipc_str("served"), ipc_bool(true));
    does(a, SET, value, -EINVAL, handle);
    does(a, CAS, value, -EINVAL, handle, ipc_nil());
    does(a, CAS, value, -EINVAL, ipc_nil(), handle);
    says(a, GET, value, "true");
    server_end();
}

static void a_number_is_counted_up_and_down(void)
{
    begin();
    const uint64_t value = make(a, "value", NULL, ipc_str("value"), ipc_i64(5));
    says(a, INCR, value, "6", ipc_i64(1));
    says(b, INCR, value, "-4", ipc_i64(-10));
    does(a, SET, value, 0, ipc_i64(INT64_MAX));
    does(a, INCR, value, -EOVERFLOW, ipc_i64(1));
    says(a, GET, value, "9223372036854775807");
    does(a, SET, value, 0, ipc_u64(UINT64_MAX));
    does(a, INCR, value, -EOVERFLOW, ipc_i64(-1));
    says(a, INCR, value, "9223372036854775807", ipc_i64(INT64_MIN));
    server_end();
}

static void a_value_is_set_if_it_is_what_is_expected(void)
{
    begin();
    const uint64_t value = make(a, "value", NULL, ipc_str("value"), ipc_i64(1));
    says(a, CAS, value, "0", ipc_i64(2), ipc_i64(3));
    says(a, CAS, value, "0", ipc_f64(1.0), ipc_i64(3));
    says(a, CAS, value, "1", ipc_i64(1), ipc_str("three"));
    says(a, CAS, value, "1", ipc_str("three"), ipc_nil());
    says(a, GET, value, "nil");
    server_end();
}

static void what_a_value_takes_is_paid_for(void)
{
    begin();
    the_config.limits.queue_bytes = 10000;
    const uint64_t before = charged();
    static char text[9990];
    memset(text, 'x', sizeof text);
    const uint64_t value =
        make(a, "value", NULL, ipc_str("value"), ipc_strn(text, 9000));
    const uint64_t id = ask(a, SET, value, ipc_strn(text, 9990));
    expect_status(a, id, -ENOSPC);
    expect_detail_of(a, id, "queue_bytes");
    does(a, SET, value, 0, ipc_nil());
    does(a, SET, value, 0, ipc_strn(text, 9000));
    refuses(a, -ENOSPC, "value", ipc_str("value"), ipc_strn(text, 9000));
    refuses(a, -ENOSPC, "array", NUMBERS, ipc_str("length"), ipc_i64(1000000));
    refuses(a, -ENOSPC, "array", NUMBERS, ipc_str("length"),
            ipc_i64((int64_t)1 << 40));
    (void)ask(a, IPCM__OP_DROP, 0, ipc_u64(value), ipc_i64(1));
    assert_int_equal(charged(), before);
    server_end();
}

/* ---- arrays ---- */

static void an_array_holds_items_of_one_type(void)
{
    begin();
    const uint64_t numbers =
        make(a, "array", "n", NUMBERS, ipc_str("length"), ipc_i64(4));
    const uint64_t bools = make(a, "array", NULL, BOOLS, ipc_str("items"),
                                ipc_bool(true), ipc_bool(false));
    const uint64_t doubles =
        make(a, "array", NULL, DOUBLES, ipc_str("items"), ipc_f64(0.5));
    says(a, LENGTH, numbers, "4");
    says(a, SLICE, numbers, "0 0 0 0", ipc_i64(0), ipc_i64(INT64_MAX));
    says(a, SLICE, bools, "true false", ipc_i64(0), ipc_i64(2));
    says(a, A_GET, doubles, "0.5", ipc_i64(0));
    does(a, A_SET, numbers, -EINVAL, ipc_i64(0), ipc_f64(1));
    does(a, A_SET, numbers, -EINVAL, ipc_i64(0), ipc_u64(UINT64_MAX));
    does(a, A_SET, bools, -EINVAL, ipc_i64(0), ipc_i64(1));
    does(a, A_SET, bools, 0, ipc_i64(-1), ipc_bool(true));
    says(a, A_GET, bools, "true", ipc_i64(1));
    server_end();
}

static void indexes_count_from_both_ends(void)
{
    begin();
    const uint64_t array = make(a, "array", NULL, NUMBERS, ipc_str("items"),
                                ipc_i64(10), ipc_i64(20), ipc_i64(30));
    does(b, A_SET, array, 0, ipc_i64(-3), ipc_i64(11));
    does(b, A_SET, array, 0, ipc_i64(2), ipc_i64(INT64_MIN));
    says(a, A_GET, array, "11", ipc_i64(0));
    says(a, A_GET, array, "-9223372036854775808", ipc_i64(-1));
    does(a, A_GET, array, -ERANGE, ipc_i64(3));
    does(a, A_GET, array, -ERANGE, ipc_i64(-4));
    does(a, A_SET, array, -ERANGE, ipc_i64(INT64_MIN), ipc_i64(1));
    does(a, A_GET, array, -ERANGE, ipc_i64(INT64_MAX));
    server_end();
}

static void slices_are_as_in_python(void)
{
    begin();
    const uint64_t array =
        make(a, "array", NULL, NUMBERS, ipc_str("items"), ipc_i64(0),
             ipc_i64(1), ipc_i64(2), ipc_i64(3), ipc_i64(4));
    says(a, SLICE, array, "1 2", ipc_i64(1), ipc_i64(3));
    says(a, SLICE, array, "3 4", ipc_i64(-2), ipc_i64(100));
    says(a, SLICE, array, "0 1 2 3", ipc_i64(-100), ipc_i64(-1));
    says(a, SLICE, array, "", ipc_i64(3), ipc_i64(1));
    says(a, SLICE, array, "", ipc_i64(INT64_MAX), ipc_i64(INT64_MIN));
    server_end();
}

static void several_items_are_put_in_one_step_or_not(void)
{
    begin();
    const uint64_t array =
        make(a, "array", NULL, NUMBERS, ipc_str("length"), ipc_i64(4));
    does(a, A_PUT, array, 0, ipc_i64(1), ipc_i64(7), ipc_i64(8));
    does(a, A_PUT, array, 0, ipc_i64(-1), ipc_i64(9));
    does(a, A_PUT, array, 0, ipc_i64(4));
    does(a, A_PUT, array, -ERANGE, ipc_i64(3), ipc_i64(1), ipc_i64(1));
    does(a, A_PUT, array, -ERANGE, ipc_i64(5));
    does(a, A_PUT, array, -ERANGE, ipc_i64(-5), ipc_i64(1));
    does(a, A_PUT, array, -EINVAL, ipc_i64(0), ipc_i64(1), ipc_nil());
    does(a, A_PUT, array, -EINVAL);
    says(a, SLICE, array, "0 7 8 9", ipc_i64(0), ipc_i64(4));
    server_end();
}

static void a_slice_that_no_reply_can_hold_is_refused(void)
{
    begin();
    const uint64_t array =
        make(a, "array", NULL, BOOLS, ipc_str("length"), ipc_i64(1000000));
    const uint64_t id = ask(a, SLICE, array, ipc_i64(0), ipc_i64(1000000));
    expect_status(a, id, -EMSGSIZE);
    expect_detail_of(a, id, "nodes");
    does(a, SLICE, array, 0, ipc_i64(0), ipc_i64(60000));
    server_end();
}

static void wrong_requests_change_nothing(void)
{
    begin();
    const uint64_t value = make(a, "value", NULL);
    const uint64_t array =
        make(a, "array", NULL, NUMBERS, ipc_str("length"), ipc_i64(1));
    does(a, GET, value, -EINVAL, ipc_nil());
    does(a, SET, value, -EINVAL);
    does(a, INCR, value, -EINVAL, ipc_i64(1)); /* nil is no number */
    does(a, INCR, value, -EINVAL, ipc_str("1"));
    does(a, CAS, value, -EINVAL, ipc_nil());
    does(a, A_GET, value, -ENOSYS, ipc_i64(0));
    does(a, GET, array, -ENOSYS);
    does(a, A_GET, array, -EINVAL);
    does(a, A_GET, array, -EINVAL, ipc_f64(0));
    does(a, LENGTH, array, -EINVAL, ipc_nil());
    does(a, SLICE, array, -EINVAL, ipc_i64(0));
    refuses(a, -EINVAL, "value", ipc_str("length"), ipc_i64(1));
    refuses(a, -EINVAL, "array");
    refuses(a, -EINVAL, "array", NUMBERS);
    refuses(a, -EINVAL, "array", ipc_str("length"), ipc_i64(1));
    refuses(a, -EINVAL, "array", ipc_str("type"), ipc_i64(IPC_TYPE_STR),
            ipc_str("length"), ipc_i64(1));
    refuses(a, -EINVAL, "array", NUMBERS, ipc_str("length"), ipc_i64(-1));
    refuses(a, -EINVAL, "array", NUMBERS, ipc_str("items"), ipc_nil());
    refuses(a, -EINVAL, "array", ipc_str("type"), ipc_i64(IPC_TYPE_U64),
            ipc_str("length"), ipc_i64(1));
    server_end();
}

static const struct test_case cases[] = {
    TEST_CASE(a_value_is_what_was_set),
    TEST_CASE(a_number_is_counted_up_and_down),
    TEST_CASE(a_value_is_set_if_it_is_what_is_expected),
    TEST_CASE(what_a_value_takes_is_paid_for),
    TEST_CASE(an_array_holds_items_of_one_type),
    TEST_CASE(indexes_count_from_both_ends),
    TEST_CASE(slices_are_as_in_python),
    TEST_CASE(several_items_are_put_in_one_step_or_not),
    TEST_CASE(a_slice_that_no_reply_can_hold_is_refused),
    TEST_CASE(wrong_requests_change_nothing),
};
TEST_MAIN(cases)
