/* ipc_dict: each call on one item, what may be a key, and every error. */
#include "unit/dict_support.h"

/* ---- keys ---- */

static void every_type_of_key_is_one_of_its_own(void)
{
    static const char zeros[3] = "a\0b";
    make_arena(0);
    const ipc_any keys[] = {
        ipc_nil(),
        ipc_bool(false),
        ipc_bool(true),
        ipc_i64(0),
        ipc_i64(1),
        ipc_i64(-1),
        ipc_i64(INT64_MIN),
        ipc_i64(INT64_MAX),
        ipc_u64(UINT64_MAX),
        ipc_f64(0.0),
        ipc_f64(1.0),
        ipc_f64(INFINITY),
        ipc_str(""),
        ipc_bytes("", 0),
        ipc_str("a"),
        ipc_bytes("a", 1),
        ipc_strn(zeros, 2),
        ipc_strn(zeros, 3),
        ipc_str("fourteen bytes"),
        ipc_bytes("fourteen bytes", 14),
        ipc_str("fifteen bytes: "),
        ipc_bytes("fifteen bytes: ", 15),
        ipc_str("fifteen bytes; "),
    };
    const int count = (int)(sizeof keys / sizeof keys[0]);
    for (int i = 0; i < count; i++) {
        expect_missing(keys[i]);
        ok(ipc_dict_set(dict, keys[i], ipc_i64(i)));
        expect_rc(ipc_dict_length(dict), i + 1);
    }
    ipc_anys all;
    ok(ipc_dict_keys(dict, &all));
    assert_int_equal(all.count, count);
    for (int i = 0; i < count; i++) {
        assert_int_equal(i64_of(keys[i]), i);
        assert_int_equal(all.items[i].type, keys[i].type);
        assert_true(ipc_any_equal(&all.items[i], &keys[i]));
        expect_rc(ipc_dict_contains(dict, keys[i]), 1);
    }
    ipc_anys_free(&all);
    check_arena();
    for (int i = 0; i < count; i++)
        ok(ipc_dict_pop(dict, keys[i], NULL));
    expect_rc(ipc_dict_length(dict), 0);
    end_arena();
}

static void text_of_every_length_is_told_apart(void)
{
    char text[80];
    make_arena(0);
    memset(text, 'x', sizeof text);
    for (size_t bytes = 0; bytes < sizeof text; bytes++)
        ok(ipc_dict_set(dict, ipc_strn(text, bytes), ipc_i64((int64_t)bytes)));
    for (size_t bytes = 0; bytes < sizeof text; bytes++) {
        assert_int_equal(i64_of(ipc_strn(text, bytes)), bytes);
        /* Another one that differs in one byte, whichever. */
        for (size_t at = 0; at < bytes; at++) {
            text[at] = 'y';
            expect_rc(ipc_dict_contains(dict, ipc_strn(text, bytes)), 0);
            text[at] = 'x';
        }
    }
    end_arena();
}

static void equal_keys_are_one(void)
{
    make_arena(0);
    ipc_any five = ipc_i64(5);
    five.type = IPC_TYPE_U64; /* as somebody might make it */
    ok(ipc_dict_set(dict, ipc_i64(5), ipc_i64(1)));
    ok(ipc_dict_set(dict, ipc_u64(5), ipc_i64(2)));
    ok(ipc_dict_set(dict, five, ipc_i64(3)));
    ok(ipc_dict_set(dict, ipc_f64(0.0), ipc_i64(4)));
    ok(ipc_dict_set(dict, ipc_f64(-0.0), ipc_i64(5)));
    expect_items("5:3 0.0:5");
    end_arena();
}

static void what_is_no_key_is_refused(void)
{
    ipc_list *list;
    ipc_any value;
    make_arena(0);
    ok(ipc_list_new(home, &list));
    const ipc_any bad[] = {ipc_f64(NAN),
                           ipc_any_list(list),
                           ipc_any_dict(dict),
                           ipc_any_with_type(11),
                           ipc_any_with_type(UINT32_MAX),
                           ipc_strn(NULL, 3),
                           ipc_strn(NULL, 30),
                           ipc_strn("", IPC_ANY_BYTES_MAX + (size_t)1)};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const ipc_dict_item item = {bad[i], ipc_i64(1)};
        expect_rc(ipc_dict_set(dict, bad[i], ipc_i64(1)), -EINVAL);
        assert_true(ipc_error_detail()[0] != '\0');
        expect_rc(ipc_dict_get(dict, bad[i], &value), -EINVAL);
        expect_rc(ipc_dict_pop(dict, bad[i], NULL), -EINVAL);
        expect_rc(ipc_dict_contains(dict, bad[i]), -EINVAL);
        expect_rc(ipc_dict_incr(dict, bad[i], 1, NULL), -EINVAL);
        expect_rc(ipc_dict_setdefault(dict, bad[i], ipc_nil(), NULL), -EINVAL);
        expect_rc(ipc_dict_cas(dict, bad[i], NULL, NULL), -EINVAL);
        expect_rc(ipc_dict_update(dict, &item, 1), -EINVAL);
    }
    expect_rc(ipc_dict_length(dict), 0);
    ok(ipc_list_free(list));
    end_arena();
}

static void values_that_are_none_are_refused(void)
{
    make_arena(0);
    ok(ipc_dict_set_i64(dict, "a", 1));
    const ipc_any bad[] = {ipc_any_with_type(11), ipc_strn(NULL, 30),
                           ipc_strn("", IPC_ANY_BYTES_MAX + (size_t)1)};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const ipc_any one = ipc_i64(1);
        expect_rc(ipc_dict_set(dict, ipc_str("a"), bad[i]), -EINVAL);
        expect_rc(ipc_dict_set(dict, ipc_str("b"), bad[i]), -EINVAL);
        expect_rc(ipc_dict_setdefault(dict, ipc_str("b"), bad[i], NULL),
                  -EINVAL);
        expect_rc(ipc_dict_cas(dict, ipc_str("a"), &one, &bad[i]), -EINVAL);
        expect_rc(ipc_dict_cas(dict, ipc_str("b"), NULL, &bad[i]), -EINVAL);
    }
    const ipc_any none = ipc_any_with_type(11);
    expect_rc(ipc_dict_cas(dict, ipc_str("a"), &none, NULL), -EINVAL);
    expect_items("a:1");
    end_arena();
}

/* ---- one item ---- */

static void items_stay_in_the_order_of_their_keys(void)
{
    make_arena(0);
    fill_letters(5);
    ok(ipc_dict_set_i64(dict, "b", 22)); /* keeps its place */
    expect_items("a:1 b:22 c:3 d:4 e:5");
    ok(ipc_dict_pop(dict, ipc_str("a"), NULL));
    ok(ipc_dict_pop(dict, ipc_str("c"), NULL));
    ok(ipc_dict_set_i64(dict, "c", 33)); /* comes again, last */
    ok(ipc_dict_set_i64(dict, "a", 11));
    expect_items("b:22 d:4 e:5 c:33 a:11");
    end_arena();
}

static void what_is_not_there_is_enoent(void)
{
    ipc_any key = ipc_i64(1), value = ipc_i64(2);
    make_arena(0);
    expect_rc(ipc_dict_get(dict, ipc_str("no such"), &value), -ENOENT);
    expect_detail("no such");
    expect_rc(ipc_dict_pop(dict, ipc_i64(4711), &value), -ENOENT);
    expect_detail("4711");
    expect_rc(ipc_dict_popitem(dict, &key, &value), -ENOENT);
    assert_int_equal(key.i64, 1);
    assert_int_equal(value.i64, 2);
    fill_letters(3);
    expect_missing(ipc_str("d"));
    expect_rc(ipc_dict_pop(dict, ipc_str("d"), NULL), -ENOENT);
    end_arena();
}

static void setdefault_puts_what_is_missing(void)
{
    ipc_any value;
    char text[60];
    make_arena(0);
    expect_rc(ipc_dict_setdefault(dict, ipc_str("a"), ipc_i64(1), &value), 1);
    assert_int_equal(value.i64, 1);
    expect_rc(ipc_dict_setdefault(dict, ipc_str("a"), ipc_i64(2), &value), 0);
    assert_int_equal(value.i64, 1);
    expect_rc(ipc_dict_setdefault(dict, ipc_str("b"), ipc_i64(2), NULL), 1);
    expect_rc(ipc_dict_setdefault(dict, ipc_str("b"), ipc_i64(3), NULL), 0);
    (void)long_text(7, 50, text);
    expect_rc(ipc_dict_setdefault(dict, ipc_str("c"), ipc_str(text), &value),
              1);
    assert_string_equal(value.str, text);
    ipc_any_free(&value);
    expect_rc(ipc_dict_length(dict), 3);
    end_arena();
}

static void pop_takes_out(void)
{
    ipc_any value;
    char text[60], key[60];
    make_arena(0);
    fill_letters(4);
    ok(ipc_dict_set(dict, ipc_str(long_text(1, 40, key)),
                    ipc_str(long_text(2, 50, text))));
    ok(ipc_dict_pop(dict, ipc_str("b"), &value));
    assert_int_equal(value.i64, 2);
    ok(ipc_dict_pop(dict, ipc_str(key), &value));
    assert_string_equal(value.str, text);
    ipc_any_free(&value);
    expect_items("a:1 c:3 d:4");
    end_arena();
}

static void popitem_takes_the_last(void)
{
    ipc_any key, value;
    make_arena(0);
    fill_letters(5);
    ok(ipc_dict_pop(dict, ipc_str("d"), NULL));
    ok(ipc_dict_pop(dict, ipc_str("e"), NULL));
    ok(ipc_dict_popitem(dict, &key, &value));
    assert_string_equal(key.str, "c");
    assert_int_equal(value.i64, 3);
    ipc_any_free(&key);
    ok(ipc_dict_set_i64(dict, "f", 6));
    ok(ipc_dict_popitem(dict, &key, &value));
    assert_string_equal(key.str, "f");
    ipc_any_free(&key);
    expect_items("a:1 b:2");
    end_arena();
}

static void a_value_is_replaced_by_one_of_another_type(void)
{
    char text[100];
    make_arena(0);
    const uint64_t before = used_bytes();
    const ipc_any values[] = {ipc_i64(1),
                              ipc_str(long_text(1, 90, text)),
                              ipc_f64(0.5),
                              ipc_str("short"),
                              ipc_str(long_text(2, 20, text + 91 - 21)),
                              ipc_nil(),
                              ipc_bool(true),
                              ipc_bytes("\0\1", 2),
                              ipc_u64(UINT64_MAX)};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        ok(ipc_dict_set(dict, ipc_str("key"), values[i]));
        expect_at(ipc_str("key"), values[i]);
    }
    expect_rc(ipc_dict_length(dict), 1);
    ok(ipc_dict_clear(dict));
    expect_rc((int64_t)used_bytes(), (int64_t)before);
    end_arena();
}

/* ---- look and change ---- */

static void incr_adds(void)
{
    int64_t sum = 4711;
    make_arena(0);
    ok(ipc_dict_incr(dict, ipc_str("n"), 5, &sum)); /* missing: 0 */
    assert_int_equal(sum, 5);
    ok(ipc_dict_incr(dict, ipc_str("n"), -7, &sum));
    assert_int_equal(sum, -2);
    ok(ipc_dict_incr(dict, ipc_str("n"), 0, NULL));
    assert_int_equal(i64_of(ipc_str("n")), -2);

    ok(ipc_dict_set_i64(dict, "most", INT64_MAX - 1));
    ok(ipc_dict_incr(dict, ipc_str("most"), 1, &sum));
    assert_true(sum == INT64_MAX);
    expect_rc(ipc_dict_incr(dict, ipc_str("most"), 1, &sum), -EOVERFLOW);
    assert_true(sum == INT64_MAX);
    assert_true(i64_of(ipc_str("most")) == INT64_MAX);
    ok(ipc_dict_set_i64(dict, "least", INT64_MIN));
    expect_rc(ipc_dict_incr(dict, ipc_str("least"), -1, &sum), -EOVERFLOW);
    ok(ipc_dict_incr(dict, ipc_str("least"), INT64_MAX, &sum));
    assert_true(sum == -1);

    const ipc_any beyond = ipc_u64((uint64_t)INT64_MAX + 10);
    ok(ipc_dict_set(dict, ipc_str("u"), beyond));
    expect_rc(ipc_dict_incr(dict, ipc_str("u"), 0, &sum), -EOVERFLOW);
    expect_rc(ipc_dict_incr(dict, ipc_str("u"), -9, &sum), -EOVERFLOW);
    expect_at(ipc_str("u"), beyond);
    ok(ipc_dict_incr(dict, ipc_str("u"), -10, &sum));
    assert_true(sum == INT64_MAX);
    expect_at(ipc_str("u"), ipc_i64(INT64_MAX));
    end_arena();
}

static void incr_is_for_integers(void)
{
    int64_t sum = 4711;
    char text[40];
    make_arena(0);
    const ipc_any others[] = {ipc_nil(),
                              ipc_bool(true),
                              ipc_f64(1),
                              ipc_str("1"),
                              ipc_str(long_text(1, 30, text)),
                              ipc_bytes("1", 1)};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        ok(ipc_dict_set(dict, ipc_str("n"), others[i]));
        expect_rc(ipc_dict_incr(dict, ipc_str("n"), 1, &sum), -EINVAL);
        expect_detail(ipc_type_name(others[i].type));
        expect_at(ipc_str("n"), others[i]);
    }
    assert_int_equal(sum, 4711);
    end_arena();
}

static void cas_compares_and_sets(void)
{
    const ipc_any key = ipc_str("key"), one = ipc_i64(1), two = ipc_i64(2);
    const ipc_any unsigned_one = ipc_u64(1), other_one = ipc_f64(1);
    char text[60];
    make_arena(0);
    const ipc_any long_one = ipc_str(long_text(3, 50, text));
    expect_rc(ipc_dict_cas(dict, key, &one, &two), 0); /* not there */
    expect_rc(ipc_dict_cas(dict, key, &one, NULL), 0);
    expect_rc(ipc_dict_cas(dict, key, NULL, NULL), 1); /* and stays so */
    expect_missing(key);
    expect_rc(ipc_dict_cas(dict, key, NULL, &one), 1);
    expect_rc(ipc_dict_cas(dict, key, NULL, &two), 0); /* it is there */
    expect_rc(ipc_dict_cas(dict, key, NULL, NULL), 0);
    expect_rc(ipc_dict_cas(dict, key, &other_one, &two), 0);
    expect_rc(ipc_dict_cas(dict, key, &two, &one), 0);
    expect_at(key, one);
    expect_rc(ipc_dict_cas(dict, key, &unsigned_one, &long_one), 1);
    expect_at(key, long_one);
    expect_rc(ipc_dict_cas(dict, key, &long_one, &two), 1);
    expect_rc(ipc_dict_cas(dict, key, &two, NULL), 1);
    expect_missing(key);
    end_arena();
}

/* ---- storage ---- */

static void handles_say_what_they_are(void)
{
    ipc_list *list;
    ipc_set *set;
    ipc_dict *other = NULL;
    ipc_any value;
    make_arena(0);
    ok(ipc_list_new(home, &list));
    ok(ipc_set_new(home, &set));
    expect_rc(ipc_dict_set((ipc_dict *)list, ipc_nil(), ipc_nil()), -EINVAL);
    expect_detail("list");
    expect_rc(ipc_dict_length((ipc_dict *)set), -EINVAL);
    expect_rc(ipc_dict_free((ipc_dict *)list), -EINVAL);
    expect_rc(ipc_dict_merge(dict, (ipc_dict *)set), -EINVAL);
    ok(ipc_list_free(list));
    ok(ipc_set_free(set));
    ok(ipc_dict_free(NULL));
    ok(ipc_dict_close(NULL));

    ok(ipc_arena_dict(home, "stock", &other));
    ok(ipc_dict_set_i64(other, "apples", 5));
    ok(ipc_arena_remove(home, "stock"));
    expect_rc(ipc_dict_get(other, ipc_str("apples"), &value), -ESTALE);
    expect_rc(ipc_dict_set(other, ipc_str("apples"), ipc_nil()), -ESTALE);
    expect_rc(ipc_dict_length(other), -ESTALE);
    expect_rc(ipc_dict_merge(dict, other), -ESTALE);
    ok(ipc_dict_close(other));
    ok(ipc_arena_dict(home, "stock", &other));
    ok(ipc_dict_close(other));
    ok(ipc_arena_remove(home, "stock"));
    check_arena();
    ok(ipc_dict_free(dict));
    check_arena();
    ok(ipc_arena_free(home));
}

static void the_familys_own_arena_will_do(void)
{
    ipc_dict *made;
    int64_t is;
    ok(ipc_dict_new(NULL, &made));
    ok(ipc_dict_set_i64(made, "a", 1));
    ok(ipc_dict_get_i64(made, "a", &is));
    assert_int_equal(is, 1);
    ok(ipc_arena_check(NULL));
    ok(ipc_dict_free(made));
    ok(ipc_arena_check(NULL));
}

static const struct test_case cases[] = {
    TEST_CASE(every_type_of_key_is_one_of_its_own),
    TEST_CASE(text_of_every_length_is_told_apart),
    TEST_CASE(equal_keys_are_one),
    TEST_CASE(what_is_no_key_is_refused),
    TEST_CASE(values_that_are_none_are_refused),
    TEST_CASE(items_stay_in_the_order_of_their_keys),
    TEST_CASE(what_is_not_there_is_enoent),
    TEST_CASE(setdefault_puts_what_is_missing),
    TEST_CASE(pop_takes_out),
    TEST_CASE(popitem_takes_the_last),
    TEST_CASE(a_value_is_replaced_by_one_of_another_type),
    TEST_CASE(incr_adds),
    TEST_CASE(incr_is_for_integers),
    TEST_CASE(cas_compares_and_sets),
    TEST_CASE(handles_say_what_they_are),
    TEST_CASE(the_familys_own_arena_will_do),
};
TEST_MAIN(cases)
