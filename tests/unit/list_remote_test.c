/* ipc_list: lists of somebody else's, who does what is asked with a list of
 * his own. */
#include "unit/list_support.h"

#include <stdlib.h>

#include "core/error.h"
#include "object/object.h"

static struct {
    enum ipc_op op; /* of the last call */
    size_t count;   /* of its arguments */
    int calls;
    int closed;
    ipc_any answer; /* if the type is not nil: instead of the right one */
    size_t answers; /* how many of them */
    bool wrong;
    int64_t nanoseconds;      /* of a watch */
    void (*before_pop)(void); /* somebody else is faster */
} there;

static ipc_list *far;

static ipc_list *new_far(void);

/* ---- the other side ---- */

static int64_t number(const ipc_any *args, size_t i)
{
    assert_true(i < there.count);
    assert_int_equal(args[i].type, IPC_TYPE_I64);
    return args[i].i64;
}

static int give(ipc_anys *results, const ipc_any *values, size_t count)
{
    results->items = calloc(count + 1, sizeof *values);
    assert_non_null(results->items);
    for (size_t i = 0; i < count; i++)
        results->items[i] = values[i];
    results->count = count;
    return 0;
}

static int give_number(ipc_anys *results, int64_t value)
{
    const ipc_any any = ipc_i64(value);
    return value < 0 ? (int)value : give(results, &any, 1);
}

static int give_value(ipc_anys *results, int rc, ipc_any value)
{
    return rc != 0 ? rc : give(results, &value, 1);
}

static int change(enum ipc_op op, const ipc_any *args, size_t count)
{
    switch ((int)op) {
    case IPC_OP_LIST_APPEND:
        assert_int_equal(count, 1);
        return ipc_list_append(list, args[0]);
    case IPC_OP_LIST_INSERT:
        assert_int_equal(count, 2);
        return ipc_list_insert(list, number(args, 0), args[1]);
    case IPC_OP_LIST_SET:
        assert_int_equal(count, 2);
        return ipc_list_set(list, number(args, 0), args[1]);
    case IPC_OP_LIST_REMOVE:
        return ipc_list_remove(list, args[0]);
    case IPC_OP_LIST_EXTEND:
        return ipc_list_extend(list, args, count);
    case IPC_OP_LIST_REPLACE:
        return ipc_list_replace(list, number(args, 0), number(args, 1),
                                args + 2, count - 2);
    case IPC_OP_LIST_SORT:
        return ipc_list_sort(list, (uint32_t)number(args, 0));
    case IPC_OP_LIST_REVERSE:
        return ipc_list_reverse(list);
    case IPC_OP_LIST_CLEAR:
        return ipc_list_clear(list);
    default:
        return 1;
    }
}

/* index, type: is it of that? */
static int look_at_type(const ipc_any *args)
{
    ipc_any value;
    const int rc = ipc_list_get(list, number(args, 0), &value);
    if (rc != 0)
        return rc;
    const bool same = value.type == (uint32_t)number(args, 1);
    ipc_any_free(&value);
    return same ? 0 : -EINVAL;
}

static int ask(enum ipc_op op, const ipc_any *args, ipc_anys *results)
{
    ipc_any value = ipc_nil();
    uint64_t at = 0;
    int rc;
    switch ((int)op) {
    case IPC_OP_LIST_GET:
        rc = ipc_list_get(list, number(args, 0), &value);
        return give_value(results, rc, value);
    case IPC_OP_LIST_POP:
        if (there.before_pop != NULL)
            there.before_pop();
        rc = there.count > 1 ? look_at_type(args) : 0;
        if (rc == 0)
            rc = ipc_list_pop(list, number(args, 0), &value);
        return give_value(results, rc, value);
    case IPC_OP_LIST_INDEX:
        rc = ipc_list_index(list, args[0], number(args, 1), number(args, 2),
                            &at);
        return rc != 0 ? rc : give_number(results, (int64_t)at);
    case IPC_OP_LIST_COUNT:
        return give_number(results, ipc_list_count(list, args[0]));
    case IPC_OP_LIST_CONTAINS:
        return give_number(results, ipc_list_contains(list, args[0]));
    case IPC_OP_LIST_LENGTH:
        return give_number(results, ipc_list_length(list));
    case IPC_OP_LIST_SLICE:
        return ipc_list_slice(list, number(args, 0), number(args, 1),
                              number(args, 2), results);
    case IPC_OP_LIST_COPY:
        return give_value(results, 0, ipc_any_list(new_far()));
    case IPC_OP_LIST_APPEND_NEW:
        value = ipc_any_with_type((uint32_t)number(args, 0));
        value.list = new_far();
        value.list->handle.type = value.type;
        return give_value(results, 0, value);
    case IPC_OP_LIST_WATCH:
        there.nanoseconds = number(args, 1);
        at = (uint64_t)number(args, 0);
        rc = ipc_list_watch(list, &at, IPC_TIME_NOW);
        return rc != 0 ? rc : give_number(results, (int64_t)at);
    default:
        test_fail("call %d", (int)op);
    }
}

static int call(void *data, uint32_t op, const ipc_any *args, size_t count,
                ipc_anys *results)
{
    assert_ptr_equal(data, &there);
    there.op = op;
    there.count = count;
    there.calls++;
    if (there.wrong) {
        const ipc_any answers[] = {there.answer, there.answer};
        return give(results, answers, there.answers);
    }
    const int rc = change(op, args, count);
    return rc <= 0 ? rc : ask(op, args, results);
}

static void close_far(void *data)
{
    (void)data;
    there.closed++;
}

static const ipc_remote remote = {.call = call, .close = close_far};

static ipc_list *new_far(void)
{
    ipc_any any;
    assert_int_equal(ipc_remote_handle(IPC_TYPE_LIST, &remote, &there, &any),
                     0);
    return any.list;
}

static void begin(void)
{
    make_arena(0);
    far = new_far();
}

/* ---- cases ---- */

static void every_call_is_passed_on(void)
{
    const ipc_any several[] = {ipc_i64(5), ipc_str("six"), ipc_f64(7)};
    ipc_any any;
    uint64_t at;
    begin();
    ok(ipc_list_append(far, ipc_i64(2)));
    ok(ipc_list_insert(far, 0, ipc_i64(1)));
    ok(ipc_list_extend(far, several, 3));
    assert_true(ipc_list_length(far) == 5);
    ok(ipc_list_get(far, -2, &any));
    assert_string_equal(any.str, "six");
    ipc_any_free(&any);
    ok(ipc_list_set(far, 1, ipc_i64(3)));
    ok(ipc_list_index(far, ipc_i64(3), 0, INT64_MAX, &at));
    assert_int_equal(at, 1);
    expect_rc(ipc_list_index(far, ipc_i64(3), 2, 4, &at), -ENOENT);
    assert_true(ipc_list_count(far, ipc_i64(3)) == 1);
    expect_rc(ipc_list_contains(far, ipc_i64(3)), 1);
    expect_rc(ipc_list_contains(far, ipc_i64(4)), 0);
    ok(ipc_list_remove(far, ipc_i64(3)));
    expect_rc(ipc_list_remove(far, ipc_i64(3)), -ENOENT);
    ok(ipc_list_pop(far, -1, &any));
    assert_true(any.f64 == 7);
    ok(ipc_list_pop(far, -1, NULL));
    expect_items(1, 5);
    ok(ipc_list_replace(far, 0, 1, several, 1));
    ok(ipc_list_replace(far, 0, 0, NULL, 0));
    expect_items(5, 5);
    ok(ipc_list_append_i64(far, 4));
    ok(ipc_list_sort(far, 0));
    expect_items(4, 5, 5);
    ok(ipc_list_sort(far, IPC_LIST_DESCENDING));
    ok(ipc_list_reverse(far));
    expect_items(4, 5, 5);
    const int calls = there.calls;
    expect_rc(ipc_list_sort(far, 4), -EINVAL);
    ipc_anys all;
    expect_rc(ipc_list_slice(far, 0, 1, 0, &all), -EINVAL);
    assert_int_equal(there.calls, calls);
    ok(ipc_list_slice(far, -1, INT64_MIN, -2, &all));
    assert_int_equal(all.count, 2);
    assert_true(all.items[1].i64 == 4);
    ipc_anys_free(&all);
    ok(ipc_list_clear(far));
    expect_rc(ipc_list_pop(far, 0, &any), -ERANGE);
    expect_empty();
    ok(ipc_list_close(far));
    assert_int_equal(there.closed, 1);
    end_arena();
}

static void typed_calls(void)
{
    int64_t is = 1;
    double real;
    char text[8];
    begin();
    ok(ipc_list_append_i64(far, 5));
    ok(ipc_list_append_f64(far, 0.5));
    ok(ipc_list_append_str(far, "text"));
    ok(ipc_list_set_i64(far, 0, 6));
    ok(ipc_list_set_f64(far, 1, 1.5));
    ok(ipc_list_set_str(far, 2, "more"));
    ok(ipc_list_get_i64(far, 0, &is));
    assert_int_equal(is, 6);
    expect_rc(ipc_list_get_i64(far, 1, &is), -EINVAL);
    expect_rc(ipc_list_get_i64(far, 2, &is), -EINVAL);
    ok(ipc_list_get_f64(far, 1, &real));
    assert_true(real == 1.5);
    expect_rc(ipc_list_get_f64(far, 2, &real), -EINVAL);
    ok(ipc_list_get_str(far, 2, text, sizeof text));
    assert_string_equal(text, "more");
    expect_rc(ipc_list_get_str(far, 2, text, 4), -EMSGSIZE);
    expect_rc(ipc_list_get_str(far, 1, text, 4), -EINVAL);
    expect_rc(ipc_list_pop_i64(far, 1, &is), -EINVAL);
    expect_rc(ipc_list_pop_i64(far, 3, &is), -ERANGE);
    ok(ipc_list_pop_i64(far, 0, &is));
    assert_int_equal(is, 6);
    assert_true(ipc_list_length(list) == 2);
    end_arena();
}

static void put_text_first(void)
{
    there.before_pop = NULL;
    ok(ipc_list_insert(list, 0, ipc_str("somebody else's")));
}

static void a_typed_pop_that_comes_late_takes_nothing(void)
{
    int64_t is = 1;
    begin();
    fill(0, 2);
    there.before_pop = put_text_first;
    there.calls = 0;
    expect_rc(ipc_list_pop_i64(far, 0, &is), -EINVAL);
    assert_int_equal(there.calls, 1); /* at no time was it out of the list */
    assert_int_equal(is, 1);
    expect_rc(ipc_list_contains(list, ipc_str("somebody else's")), 1);
    assert_int_equal(i64_at(1), 0);
    there.answer = ipc_f64(0.5);
    there.answers = 1;
    there.wrong = true;
    expect_rc(ipc_list_pop_i64(far, 0, &is), -EPROTO);
    there.wrong = false;
    end_arena();
}

static void next_until_there_are_no_more(void)
{
    ipc_list_cursor at = {0};
    ipc_any item;
    int64_t seen = 0;
    begin();
    fill(0, 3);
    while (ipc_list_next(far, &at, &item) == 1)
        assert_int_equal(item.i64, seen++);
    assert_int_equal(seen, 3);
    expect_rc(ipc_list_next(far, &at, &item), 0);
    end_arena();
}

static void watch_says_how_long(void)
{
    uint64_t version = 0;
    begin();
    fill(0, 1);
    ok(ipc_list_watch(far, &version, IPC_TIME_FOREVER));
    assert_int_equal(there.nanoseconds, -1);
    const uint64_t first = version;
    expect_rc(ipc_list_watch(far, &version, IPC_TIME_NOW), -EAGAIN);
    assert_int_equal(there.nanoseconds, 0);
    assert_int_equal(version, first);
    fill(0, 1);
    ok(ipc_list_watch(far, &version, ipc_after_s(100)));
    assert_true(there.nanoseconds > 0 && there.nanoseconds <= IPC_S(100));
    assert_true(version > first);
    end_arena();
}

static void new_ones(void)
{
    ipc_list *copy;
    ipc_list *inner;
    ipc_dict *dict;
    begin();
    ok(ipc_list_copy(far, &copy));
    ok(ipc_list_free(copy));
    ok(ipc_list_append_list(far, &inner));
    ok(ipc_list_close(inner));
    ok(ipc_list_append_dict(far, &dict));
    assert_int_equal(dict->handle.type, IPC_TYPE_DICT);
    ok(ipc_list_close((ipc_list *)(void *)dict));
    assert_int_equal(there.closed, 3);
    end_arena();
}

static void expect_protocol(size_t answers, ipc_any answer)
{
    ipc_any any = ipc_nil();
    ipc_list *other;
    uint64_t at;
    there.wrong = true;
    there.answer = answer;
    there.answers = answers;
    expect_rc(ipc_list_length(far), -EPROTO);
    expect_rc(ipc_list_count(far, any), -EPROTO);
    expect_rc(ipc_list_contains(far, any), -EPROTO);
    expect_rc(ipc_list_index(far, any, 0, 1, &at), -EPROTO);
    expect_rc(ipc_list_copy(far, &other), -EPROTO);
    expect_rc(ipc_list_append_list(far, &other), -EPROTO);
    expect_rc(ipc_list_watch(far, &at, IPC_TIME_NOW), -EPROTO);
    if (answers != 0)
        expect_rc(ipc_list_append(far, any), -EPROTO);
    if (answers != 1) {
        expect_rc(ipc_list_get(far, 0, &any), -EPROTO);
        expect_rc(ipc_list_pop(far, 0, &any), -EPROTO);
    }
    there.wrong = false;
}

static void answers_that_are_none(void)
{
    begin();
    expect_protocol(0, ipc_nil());
    expect_protocol(1, ipc_nil());
    expect_protocol(2, ipc_i64(1));
    expect_protocol(1, ipc_f64(1));
    expect_rc(ipc_list_length(far), 0);
    end_arena();
}

static const struct test_case cases[] = {
    TEST_CASE(every_call_is_passed_on),
    TEST_CASE(typed_calls),
    TEST_CASE(a_typed_pop_that_comes_late_takes_nothing),
    TEST_CASE(next_until_there_are_no_more),
    TEST_CASE(watch_says_how_long),
    TEST_CASE(new_ones),
    TEST_CASE(answers_that_are_none),
};
TEST_MAIN(cases)
