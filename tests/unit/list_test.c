/* ipc_list: every call on a list, and its errors. */
#include "unit/list_support.h"

#include <math.h>

#define LONG_TEXT "this string is much longer than an item can hold"

/* ---- one value ---- */

static void an_empty_list(void)
{
    ipc_any any = ipc_i64(7);
    make_arena(0);
    expect_empty();
    expect_rc(ipc_list_get(list, 0, &any), -ERANGE);
    expect_rc(ipc_list_get(list, -1, &any), -ERANGE);
    expect_rc(ipc_list_set(list, 0, ipc_nil()), -ERANGE);
    expect_rc(ipc_list_pop(list, 0, &any), -ERANGE);
    expect_rc(ipc_list_pop(list, -1, NULL), -ERANGE);
    expect_rc(ipc_list_remove(list, ipc_nil()), -ENOENT);
    expect_rc(ipc_list_contains(list, ipc_nil()), 0);
    expect_rc(ipc_list_count(list, ipc_nil()), 0);
    ok(ipc_list_sort(list, 0));
    ok(ipc_list_reverse(list));
    ok(ipc_list_clear(list));
    ok(ipc_list_extend(list, NULL, 0));
    ok(ipc_list_replace(list, 0, 0, NULL, 0));
    assert_int_equal(any.i64, 7);
    expect_empty();
    end_arena();
}

static void indexes_are_from_both_ends(void)
{
    make_arena(0);
    fill(10, 3);
    assert_int_equal(i64_at(0), 10);
    assert_int_equal(i64_at(2), 12);
    assert_int_equal(i64_at(-1), 12);
    assert_int_equal(i64_at(-3), 10);
    static const int64_t outside[] = {3, -4, INT64_MAX, INT64_MIN, 1000};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        int64_t is = 5;
        ipc_any any = ipc_i64(5);
        expect_rc(ipc_list_get(list, outside[i], &any), -ERANGE);
        expect_rc(ipc_list_get_i64(list, outside[i], &is), -ERANGE);
        expect_rc(ipc_list_set_i64(list, outside[i], 1), -ERANGE);
        expect_rc(ipc_list_pop(list, outside[i], &any), -ERANGE);
        expect_rc(ipc_list_pop_i64(list, outside[i], &is), -ERANGE);
        assert_int_equal(is, 5);
        assert_int_equal(any.i64, 5);
    }
    ok(ipc_list_set_i64(list, -1, 99));
    ok(ipc_list_set_i64(list, 0, 88));
    expect_items(88, 11, 99);
    end_arena();
}

static void insert_goes_to_the_nearest_place(void)
{
    make_arena(0);
    ok(ipc_list_insert(list, 5, ipc_i64(1)));
    ok(ipc_list_insert(list, -100, ipc_i64(0)));
    ok(ipc_list_insert(list, INT64_MAX, ipc_i64(9)));
    ok(ipc_list_insert(list, INT64_MIN, ipc_i64(-1)));
    ok(ipc_list_insert(list, -1, ipc_i64(8)));
    ok(ipc_list_insert(list, 2, ipc_i64(5)));
    expect_items(-1, 0, 5, 1, 8, 9);
    end_arena();
}

static void pop_takes_out(void)
{
    int64_t is;
    ipc_any any;
    make_arena(0);
    fill(0, 6);
    ok(ipc_list_pop_i64(list, -1, &is));
    assert_int_equal(is, 5);
    ok(ipc_list_pop_i64(list, 0, &is));
    assert_int_equal(is, 0);
    ok(ipc_list_pop(list, 1, &any));
    assert_int_equal(any.i64, 2);
    ok(ipc_list_pop(list, 1, NULL));
    expect_items(1, 4);
    ok(ipc_list_append(list, ipc_str(LONG_TEXT)));
    ok(ipc_list_pop(list, -1, &any));
    assert_string_equal(any.str, LONG_TEXT);
    ipc_any_free(&any);
    ok(ipc_list_append(list, ipc_str(LONG_TEXT)));
    ok(ipc_list_pop(list, 2, NULL));
    expect_items(1, 4);
    end_arena();
}

/* ---- values of all types ---- */

static void all_types_come_back(void)
{
    static const char zeros[] = "a\0b\0c";
    const ipc_any in[] = {ipc_nil(),
                          ipc_bool(true),
                          ipc_bool(false),
                          ipc_i64(INT64_MIN),
                          ipc_u64(5),
                          ipc_u64(UINT64_MAX),
                          ipc_f64(0.5),
                          ipc_f64(INFINITY),
                          ipc_str(""),
                          ipc_str("fourteen bytes"),
                          ipc_str("fifteen bytes !"),
                          ipc_strn(zeros, 5),
                          ipc_bytes(zeros, 6),
                          ipc_bytes(LONG_TEXT, sizeof LONG_TEXT),
                          ipc_str(LONG_TEXT)};
    const size_t count = sizeof in / sizeof in[0];
    make_arena(0);
    for (size_t i = 0; i < count; i++)
        ok(ipc_list_append(list, in[i]));
    ok(ipc_list_extend(list, in, count));
    for (size_t i = 0; i < 2 * count; i++) {
        ipc_any any;
        ok(ipc_list_get(list, (int64_t)i, &any));
        assert_int_equal(any.type, in[i % count].type);
        assert_true(ipc_any_equal(&any, &in[i % count]));
        if (any.type == IPC_TYPE_STR)
            assert_int_equal(any.str[any.size], 0);
        ipc_any_free(&any);
        assert_true(ipc_list_contains(list, in[i % count]) == 1);
        assert_true(ipc_list_count(list, in[i % count]) == 2);
    }
    /* Each in the place of each. */
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++)
            ok(ipc_list_set(list, (int64_t)k, in[(i + k) % count]));
    ok(ipc_list_replace(list, 0, (int64_t)count, NULL, 0));
    for (size_t i = 0; i < count; i++)
        ok(ipc_list_remove(list, in[i]));
    expect_empty();
    end_arena();
}

static void values_that_are_none(void)
{
    ipc_any bad = ipc_any_with_type(11);
    ipc_any huge = ipc_strn(LONG_TEXT, (size_t)IPC_ANY_BYTES_MAX + 1);
    const ipc_any several[] = {ipc_i64(1), ipc_str(LONG_TEXT), bad};
    uint64_t at;
    make_arena(0);
    fill(0, 5);
    const uint64_t used = used_bytes();
    for (int i = 0; i < 2; i++) {
        const ipc_any value = i == 0 ? bad : huge;
        expect_rc(ipc_list_append(list, value), -EINVAL);
        expect_rc(ipc_list_insert(list, 2, value), -EINVAL);
        expect_rc(ipc_list_set(list, 2, value), -EINVAL);
        expect_rc(ipc_list_remove(list, value), -EINVAL);
        expect_rc(ipc_list_index(list, value, 0, INT64_MAX, &at), -EINVAL);
        expect_rc(ipc_list_count(list, value), -EINVAL);
        expect_rc(ipc_list_contains(list, value), -EINVAL);
    }
    /* All or nothing. */
    expect_rc(ipc_list_extend(list, several, 3), -EINVAL);
    expect_rc(ipc_list_replace(list, 1, 4, several, 3), -EINVAL);
    expect_rc(ipc_list_replace(list, 1, 1, several, 3), -EINVAL);
    expect_counting(0, 5);
    assert_int_equal(used_bytes(), used);
    end_arena();
}

/* ---- looking for ---- */

static void the_first_equal_one_is_found(void)
{
    uint64_t at = 77;
    make_arena(0);
    fill(0, 4);
    fill(0, 4);
    ok(ipc_list_append(list, ipc_f64(2.0)));
    ok(ipc_list_append(list, ipc_str("two")));
    ok(ipc_list_index(list, ipc_i64(2), 0, INT64_MAX, &at));
    assert_int_equal(at, 2);
    ok(ipc_list_index(list, ipc_i64(2), 3, INT64_MAX, &at));
    assert_int_equal(at, 6);
    ok(ipc_list_index(list, ipc_i64(2), -4, INT64_MAX, &at));
    assert_int_equal(at, 6);
    ok(ipc_list_index(list, ipc_f64(2), INT64_MIN, INT64_MAX, &at));
    assert_int_equal(at, 8);
    ok(ipc_list_index(list, ipc_str("two"), 0, INT64_MAX, &at));
    assert_int_equal(at, 9);
    expect_rc(ipc_list_index(list, ipc_i64(2), 3, 6, &at), -ENOENT);
    expect_rc(ipc_list_index(list, ipc_i64(2), 3, -4, &at), -ENOENT);
    expect_rc(ipc_list_index(list, ipc_i64(2), 7, 2, &at), -ENOENT);
    expect_rc(ipc_list_index(list, ipc_str("tw"), 0, INT64_MAX, &at), -ENOENT);
    assert_int_equal(at, 9);
    assert_true(ipc_list_count(list, ipc_i64(3)) == 2);
    assert_true(ipc_list_count(list, ipc_i64(4)) == 0);
    expect_rc(ipc_list_contains(list, ipc_u64(3)), 1);
    ok(ipc_list_remove(list, ipc_i64(2)));
    ok(ipc_list_index(list, ipc_i64(2), 0, INT64_MAX, &at));
    assert_int_equal(at, 5);
    expect_rc(ipc_list_remove(list, ipc_i64(4)), -ENOENT);
    end_arena();
}

/* ---- many ---- */

static void slices_are_as_in_python(void)
{
    static const struct {
        int64_t start, stop, step;
        const char *is;
    } slices[] = {{0, INT64_MAX, 1, "0123456"},
                  {2, 5, 1, "234"},
                  {-3, -1, 1, "45"},
                  {5, 2, 1, ""},
                  {100, 200, 1, ""},
                  {-100, 2, 1, "01"},
                  {0, 7, 2, "0246"},
                  {1, 6, 3, "14"},
                  {0, 7, INT64_MAX, "0"},
                  {INT64_MAX, INT64_MIN, -1, "6543210"},
                  {6, 2, -1, "6543"},
                  {-1, -4, -2, "64"},
                  {-1, -5, -2, "64"},
                  {2, 5, -1, ""},
                  {3, INT64_MIN, -2, "31"},
                  {6, 0, INT64_MIN, "6"},
                  {-100, -200, -1, ""},
                  {0, INT64_MIN, -1, "0"}};
    make_arena(0);
    fill(0, 7);
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        char is[16];
        ipc_anys all;
        ok(ipc_list_slice(list, slices[i].start, slices[i].stop, slices[i].step,
                          &all));
        assert_true(all.count < sizeof is);
        for (size_t k = 0; k < all.count; k++)
            is[k] = (char)('0' + all.items[k].i64);
        is[all.count] = 0;
        assert_string_equal(is, slices[i].is);
        ipc_anys_free(&all);
        assert_true(all.count == 0 && all.items == NULL);
    }
    ipc_anys none = {NULL, 5};
    expect_rc(ipc_list_slice(list, 0, 1, 0, &none), -EINVAL);
    assert_int_equal(none.count, 5);
    end_arena();
}

static void replace_is_the_assignment_of_a_slice(void)
{
    const ipc_any new[] = {ipc_i64(-1), ipc_i64(-2), ipc_i64(-3), ipc_i64(-4)};
    make_arena(0);
    fill(0, 6);
    ok(ipc_list_replace(list, 1, 3, new, 2));
    expect_items(0, -1, -2, 3, 4, 5);
    ok(ipc_list_replace(list, -2, INT64_MAX, new, 1));
    expect_items(0, -1, -2, 3, -1);
    ok(ipc_list_replace(list, 0, 1, new, 4));
    expect_items(-1, -2, -3, -4, -1, -2, 3, -1);
    ok(ipc_list_replace(list, 5, 2, new, 1)); /* before 5 */
    expect_items(-1, -2, -3, -4, -1, -1, -2, 3, -1);
    ok(ipc_list_replace(list, 2, 7, NULL, 0));
    expect_items(-1, -2, 3, -1);
    ok(ipc_list_replace(list, INT64_MIN, INT64_MAX, new, 3));
    expect_items(-1, -2, -3);
    ok(ipc_list_replace(list, 100, 200, new, 1));
    expect_items(-1, -2, -3, -1);
    ok(ipc_list_replace(list, 0, INT64_MAX, NULL, 0));
    expect_empty();
    end_arena();
}

static void sort_is_stable_and_knows_all_types(void)
{
    make_arena(0);
    const ipc_any in[] = {ipc_str("b"),       ipc_f64(0.0), ipc_i64(3),
                          ipc_nil(),          ipc_str("a"), ipc_u64(UINT64_MAX),
                          ipc_str(LONG_TEXT), ipc_i64(-3),  ipc_f64(-0.0),
                          ipc_bool(true),     ipc_i64(3),   ipc_bytes("a", 1)};
    const size_t count = sizeof in / sizeof in[0];
    ok(ipc_list_extend(list, in, count));
    for (uint32_t flags = 0; flags <= IPC_LIST_DESCENDING; flags++) {
        ipc_any a;
        ok(ipc_list_sort(list, flags));
        ok(ipc_list_sort(list, flags)); /* in order already */
        ok(ipc_list_get(list, 0, &a));
        for (size_t i = 1; i < count; i++) {
            ipc_any b;
            ok(ipc_list_get(list, (int64_t)i, &b));
            const int order = ipc_any_compare(&a, &b);
            assert_true(flags == 0 ? order <= 0 : order >= 0);
            /* Equal ones as they were, both times. */
            if (a.type == IPC_TYPE_F64 && b.type == IPC_TYPE_F64)
                assert_true(!signbit(a.f64) && signbit(b.f64));
            ipc_any_free(&a);
            a = b;
        }
        ipc_any_free(&a);
    }
    expect_rc(ipc_list_sort(list, 2), -EINVAL);
    end_arena();
}

static void reverse_and_clear(void)
{
    make_arena(0);
    fill(0, 1);
    ok(ipc_list_reverse(list));
    expect_items(0);
    fill(1, 4);
    ok(ipc_list_reverse(list));
    expect_items(4, 3, 2, 1, 0);
    fill(5, 1);
    ok(ipc_list_reverse(list));
    expect_items(5, 0, 1, 2, 3, 4);
    ok(ipc_list_clear(list));
    expect_empty();
    ok(ipc_list_clear(list));
    fill(0, 3);
    expect_counting(0, 3);
    end_arena();
}

/* ---- with the type in the name ---- */

static void typed_calls_know_the_type(void)
{
    int64_t number = 5;
    double real = 0.25;
    char text[8] = "before";
    make_arena(0);
    ok(ipc_list_append_i64(list, 42));
    ok(ipc_list_append_f64(list, 0.5));
    ok(ipc_list_append_str(list, "seven b"));
    ok(ipc_list_append(list, ipc_u64(UINT64_MAX)));
    ok(ipc_list_append(list, ipc_bytes("seven b", 7)));
    for (int64_t i = 1; i < 5; i++) {
        expect_rc(ipc_list_get_i64(list, i, &number), -EINVAL);
        expect_rc(ipc_list_pop_i64(list, i, &number), -EINVAL);
    }
    for (int64_t i = 0; i < 5; i++)
        if (i != 2)
            expect_rc(ipc_list_get_str(list, i, text, 8), -EINVAL);
    expect_rc(ipc_list_get_f64(list, 2, &real), -EINVAL);
    expect_rc(ipc_list_get_str(list, 2, text, 7), -EMSGSIZE);
    expect_rc(ipc_list_get_str(list, 2, text, 0), -EMSGSIZE);
    assert_int_equal(number, 5);
    assert_true(real == 0.25);
    assert_string_equal(text, "before");
    assert_true(ipc_list_length(list) == 5);

    ok(ipc_list_get_f64(list, 0, &real));
    assert_true(real == 42.0);
    ok(ipc_list_get_f64(list, 1, &real));
    assert_true(real == 0.5);
    ok(ipc_list_get_f64(list, 3, &real));
    assert_true(real == 18446744073709551616.0);
    ok(ipc_list_get_str(list, 2, text, 8));
    assert_string_equal(text, "seven b");
    ok(ipc_list_set_str(list, 0, LONG_TEXT));
    char room[sizeof LONG_TEXT];
    expect_rc(ipc_list_get_str(list, 0, room, sizeof room - 1), -EMSGSIZE);
    ok(ipc_list_get_str(list, 0, room, sizeof room));
    assert_string_equal(room, LONG_TEXT);
    expect_rc(ipc_list_get_i64(list, 0, &number), -EINVAL);
    ok(ipc_list_set_f64(list, 0, 1.5));
    ok(ipc_list_set_i64(list, 0, 43));
    ok(ipc_list_pop_i64(list, 0, &number));
    assert_int_equal(number, 43);
    end_arena();
}

/* ---- handles ---- */

static void handles_are_told_apart(void)
{
    ipc_list *other;
    make_arena(0);
    fill(0, 2);
    expect_rc(ipc_list_close(list), -EINVAL); /* it is to be freed */
    ok(ipc_list_close(NULL));
    ok(ipc_list_free(NULL));
    ok(ipc_list_append_list(list, &other));
    expect_rc(ipc_list_free(other), -EINVAL); /* it is to be closed */
    ok(ipc_list_pop(list, -1, NULL));
    expect_rc(ipc_list_length(other), -ESTALE);
    expect_rc(ipc_list_append_i64(other, 1), -ESTALE);
    expect_rc(ipc_list_append(list, ipc_any_list(other)), -ESTALE);
    expect_rc(ipc_list_copy(other, &other), -ESTALE);
    ok(ipc_list_close(other));
    expect_counting(0, 2);
    end_arena();
}

static const struct test_case cases[] = {
    TEST_CASE(an_empty_list),
    TEST_CASE(indexes_are_from_both_ends),
    TEST_CASE(insert_goes_to_the_nearest_place),
    TEST_CASE(pop_takes_out),
    TEST_CASE(all_types_come_back),
    TEST_CASE(values_that_are_none),
    TEST_CASE(the_first_equal_one_is_found),
    TEST_CASE(slices_are_as_in_python),
    TEST_CASE(replace_is_the_assignment_of_a_slice),
    TEST_CASE(sort_is_stable_and_knows_all_types),
    TEST_CASE(reverse_and_clear),
    TEST_CASE(typed_calls_know_the_type),
    TEST_CASE(handles_are_told_apart),
};
TEST_MAIN(cases)
