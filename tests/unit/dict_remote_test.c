/* Dicts, sets and namespaces of somebody else's: every call makes its way there
 * and back, and nonsense that comes back is -EPROTO. */
#include "unit/dict_remote_support.h"

static ipc_dict *far_away;

static void make_far(void)
{
    make_arena(0);
    far_away = far_new(IPC_TYPE_DICT, dict, NULL).dict;
}

static void end_far(void)
{
    ok(ipc_dict_close(far_away));
    end_arena();
}

/* ---- dicts ---- */

static void one_item_goes_there_and_back(void)
{
    ipc_any key, value;
    int64_t sum;
    const ipc_any two = ipc_i64(2), three = ipc_i64(3);
    make_far();
    ok(ipc_dict_set(far_away, ipc_str("a"), ipc_i64(1)));
    ok(ipc_dict_get(far_away, ipc_str("a"), &value));
    assert_int_equal(value.i64, 1);
    expect_rc(ipc_dict_get(far_away, ipc_str("b"), &value), -ENOENT);
    expect_rc(ipc_dict_setdefault(far_away, ipc_str("b"), two, &value), 1);
    assert_int_equal(value.i64, 2);
    expect_rc(ipc_dict_setdefault(far_away, ipc_str("b"), three, NULL), 0);
    expect_rc(ipc_dict_contains(far_away, ipc_str("b")), 1);
    expect_rc(ipc_dict_contains(far_away, ipc_str("c")), 0);
    expect_rc(ipc_dict_length(far_away), 2);
    ok(ipc_dict_incr(far_away, ipc_str("a"), -5, &sum));
    assert_int_equal(sum, -4);
    ok(ipc_dict_incr(far_away, ipc_str("a"), 1, NULL));
    expect_rc(ipc_dict_cas(far_away, ipc_str("b"), &three, &two), 0);
    expect_rc(ipc_dict_cas(far_away, ipc_str("b"), &two, &three), 1);
    expect_rc(ipc_dict_cas(far_away, ipc_str("c"), NULL, &two), 1);
    expect_rc(ipc_dict_cas(far_away, ipc_str("c"), &two, NULL), 1);
    expect_items("a:-3 b:3");
    ok(ipc_dict_pop(far_away, ipc_str("a"), &value));
    assert_int_equal(value.i64, -3);
    expect_rc(ipc_dict_pop(far_away, ipc_str("a"), NULL), -ENOENT);
    ok(ipc_dict_set(far_away, ipc_str("c"), ipc_str("text")));
    ok(ipc_dict_popitem(far_away, &key, &value));
    assert_string_equal(key.str, "c");
    assert_string_equal(value.str, "text");
    ipc_any_free(&key);
    ipc_any_free(&value);
    ok(ipc_dict_pop(far_away, ipc_str("b"), NULL));
    expect_rc(ipc_dict_popitem(far_away, &key, &value), -ENOENT);
    end_far();
}

static void many_items_go_there_and_back(void)
{
    ipc_anys all;
    ipc_dict *copy, *near;
    make_far();
    const ipc_dict_item items[] = {{ipc_str("a"), ipc_i64(1)},
                                   {ipc_str("b"), ipc_str("two")}};
    ok(ipc_dict_update(far_away, items, 2));
    ok(ipc_dict_update(far_away, NULL, 0));
    expect_items("a:1 b:\"two\"");
    expect_items_of(far_away, "a:1 b:\"two\"");
    ok(ipc_dict_keys(far_away, &all));
    assert_int_equal(all.count, 2);
    assert_string_equal(all.items[1].str, "b");
    ipc_anys_free(&all);
    ok(ipc_dict_values(far_away, &all));
    assert_string_equal(all.items[1].str, "two");
    ipc_anys_free(&all);

    ok(ipc_dict_copy(far_away, &copy));
    ok(ipc_dict_set_i64(far_away, "c", 3));
    ok(ipc_dict_merge(copy, far_away));
    expect_items_of(copy, "a:1 b:\"two\" c:3");
    ok(ipc_dict_new(home, &near));
    expect_rc(ipc_dict_merge(far_away, near), -EXDEV);
    expect_rc(ipc_dict_merge(near, far_away), -EXDEV);
    ok(ipc_dict_free(near));
    ok(ipc_dict_free(real_of(ipc_any_dict(copy))));
    ok(ipc_dict_close(copy));
    ok(ipc_dict_clear(far_away));
    expect_rc(ipc_dict_length(dict), 0);
    end_far();
}

static void a_walk_and_a_watch(void)
{
    ipc_dict_cursor at = {0};
    uint64_t version = UINT64_MAX;
    ipc_any key, value;
    make_far();
    fill_letters(2);
    expect_rc(ipc_dict_next(far_away, &at, &key, &value), 1);
    assert_string_equal(key.str, "a");
    ipc_any_free(&key);
    expect_rc(ipc_dict_next(far_away, &at, NULL, &value), 1);
    assert_int_equal(value.i64, 2);
    expect_rc(ipc_dict_next(far_away, &at, &key, &value), 0);

    ok(ipc_dict_watch(far_away, ipc_str("b"), &version, &value,
                      IPC_TIME_FOREVER));
    assert_int_equal(value.i64, 2);
    expect_rc(
        ipc_dict_watch(far_away, ipc_str("b"), &version, &value, IPC_TIME_NOW),
        -ETIMEDOUT);
    ok(ipc_dict_set_str(dict, "b", "text"));
    ok(ipc_dict_watch(far_away, ipc_str("b"), &version, NULL,
                      ipc_after_ms(1000)));
    end_far();
}

static void the_type_in_the_name(void)
{
    ipc_list *list;
    ipc_dict *inner;
    int64_t i64;
    double f64;
    char text[10];
    make_far();
    ok(ipc_dict_set_i64(far_away, "i", 5));
    ok(ipc_dict_set_f64(far_away, "f", 0.5));
    ok(ipc_dict_set_str(far_away, "s", "text"));
    ok(ipc_dict_get_i64(far_away, "i", &i64));
    ok(ipc_dict_get_f64(far_away, "f", &f64));
    ok(ipc_dict_get_str(far_away, "s", text, sizeof text));
    assert_int_equal(i64, 5);
    assert_true(f64 == 0.5);
    assert_string_equal(text, "text");
    expect_rc(ipc_dict_get_str(far_away, "s", text, 4), -EMSGSIZE);
    expect_rc(ipc_dict_get_str(far_away, "i", text, 4), -EINVAL);
    expect_rc(ipc_dict_get_i64(far_away, "s", &i64), -EINVAL);
    expect_rc(ipc_dict_get_f64(far_away, "s", &f64), -EINVAL);
    expect_rc(ipc_dict_get_str(far_away, "none", text, 4), -ENOENT);

    ok(ipc_dict_list(far_away, "list", &list));
    ok(ipc_dict_dict(far_away, "dict", &inner));
    expect_rc(ipc_dict_length(dict), 5);
    ok(ipc_list_close(real_of(ipc_any_list(list))));
    ok(ipc_dict_close(real_of(ipc_any_dict(inner))));
    ok(ipc_list_close(list));
    ok(ipc_dict_close(inner));
    end_far();
}

/* ---- sets ---- */

static void sets_go_there_and_back(void)
{
    ipc_set *first, *second, *far_first, *far_second, *copy;
    ipc_anys all;
    ipc_any member;
    make_far();
    ok(ipc_set_new(home, &first));
    ok(ipc_set_new(home, &second));
    far_first = far_new(IPC_TYPE_SET, first, NULL).set;
    far_second = far_new(IPC_TYPE_SET, second, NULL).set;
    expect_rc(ipc_set_add(far_first, ipc_i64(1)), 1);
    expect_rc(ipc_set_add(far_first, ipc_i64(1)), 0);
    const ipc_any members[] = {ipc_i64(2), ipc_str("three")};
    ok(ipc_set_update(far_first, members, 2));
    expect_rc(ipc_set_length(far_first), 3);
    expect_rc(ipc_set_contains(far_first, ipc_i64(2)), 1);
    expect_rc(ipc_set_discard(far_first, ipc_i64(2)), 1);
    expect_rc(ipc_set_discard(far_first, ipc_i64(2)), 0);
    expect_rc(ipc_set_remove(far_first, ipc_i64(2)), -ENOENT);
    ok(ipc_set_members(far_first, &all));
    assert_int_equal(all.count, 2);
    assert_string_equal(all.items[1].str, "three");
    ipc_anys_free(&all);

    ok(ipc_set_union(far_second, far_first));
    expect_rc(ipc_set_is_subset(far_first, far_second), 1);
    ok(ipc_set_remove(far_first, ipc_i64(1)));
    expect_rc(ipc_set_is_subset(far_second, far_first), 0);
    ok(ipc_set_intersect(far_second, far_first));
    expect_rc(ipc_set_length(second), 1);
    ok(ipc_set_copy(far_first, &copy));
    ok(ipc_set_subtract(far_second, copy));
    expect_rc(ipc_set_length(second), 0);
    expect_rc(ipc_set_union(far_first, first), -EXDEV);

    ipc_set_cursor at = {0};
    uint64_t version = 0;
    expect_rc(ipc_set_next(far_first, &at, &member), 1);
    assert_string_equal(member.str, "three");
    ipc_any_free(&member);
    expect_rc(ipc_set_next(far_first, &at, &member), 0);
    ok(ipc_set_watch(far_first, &version, IPC_TIME_FOREVER));
    expect_rc(ipc_set_watch(far_first, &version, ipc_after_ms(1)), -ETIMEDOUT);
    ok(ipc_set_pop(far_first, &member));
    ipc_any_free(&member);
    expect_rc(ipc_set_pop(far_first, &member), -ENOENT);
    ok(ipc_set_clear(far_first));

    ok(ipc_set_free(real_of(ipc_any_set(copy))));
    ok(ipc_set_close(copy));
    ok(ipc_set_close(far_first));
    ok(ipc_set_close(far_second));
    ok(ipc_set_free(first));
    ok(ipc_set_free(second));
    end_far();
}

/* ---- namespaces: with the numbers of dicts ---- */

static void namespaces_go_there_and_back(void)
{
    ipc_anys all;
    ipc_any value;
    int64_t i64;
    int closed = 0;
    make_far();
    ipc_namespace *names = far_new(IPC_TYPE_NAMESPACE, dict, &closed).names;
    ok(ipc_namespace_set(names, "a", ipc_str("text")));
    ok(ipc_namespace_set_i64(names, "b", 5));
    ok(ipc_namespace_get(names, "a", &value));
    assert_string_equal(value.str, "text");
    ipc_any_free(&value);
    ok(ipc_namespace_get_i64(names, "b", &i64));
    assert_int_equal(i64, 5);
    expect_rc(ipc_namespace_get_i64(names, "a", &i64), -EINVAL);
    expect_rc(ipc_namespace_has(names, "b"), 1);
    ok(ipc_namespace_delete(names, "b"));
    expect_rc(ipc_namespace_delete(names, "b"), -ENOENT);
    expect_rc(ipc_namespace_has(names, "b"), 0);
    ok(ipc_namespace_names(names, &all));
    assert_int_equal(all.count, 1);
    ipc_anys_free(&all);
    ok(ipc_namespace_close(names));
    assert_int_equal(closed, 1);
    end_far();
}

/* ---- nonsense ---- */

static void expect_nonsense(ipc_any answer, size_t count)
{
    ipc_dict *liars_dict = far_with(&liar, IPC_TYPE_DICT, NULL, NULL).dict;
    ipc_set *liars_set = far_with(&liar, IPC_TYPE_SET, NULL, NULL).set;
    ipc_any out[2] = {ipc_i64(4711), ipc_i64(4712)};
    ipc_dict_cursor at = {7};
    uint64_t version = 8;
    int64_t number = 9;
    ipc_list *list = NULL;
    ipc_dict *copy = NULL;
    const ipc_any key = ipc_str("key");
    nonsense = answer;
    nonsense_count = count;
    expect_rc(ipc_dict_setdefault(liars_dict, key, key, &out[0]), -EPROTO);
    expect_rc(ipc_dict_incr(liars_dict, key, 1, &number), -EPROTO);
    expect_rc(ipc_dict_cas(liars_dict, key, NULL, NULL), -EPROTO);
    expect_rc(ipc_dict_contains(liars_dict, key), -EPROTO);
    expect_rc(ipc_dict_length(liars_dict), -EPROTO);
    expect_rc(ipc_dict_watch(liars_dict, key, &version, &out[0], 1), -EPROTO);
    expect_rc(ipc_dict_copy(liars_dict, &copy), -EPROTO);
    expect_rc(ipc_dict_list(liars_dict, "key", &list), -EPROTO);
    expect_rc(ipc_set_add(liars_set, key), -EPROTO);
    expect_rc(ipc_set_watch(liars_set, &version, 1), -EPROTO);
    if (count != 0) {
        expect_rc(ipc_dict_next(liars_dict, &at, &out[0], &out[1]), -EPROTO);
        expect_rc(ipc_dict_set(liars_dict, key, key), -EPROTO);
        expect_rc(ipc_dict_clear(liars_dict), -EPROTO);
    }
    assert_int_equal(out[0].i64, 4711);
    assert_int_equal(out[1].i64, 4712);
    assert_true(at.after == 7 && version == 8 && number == 9);
    assert_null(list);
    assert_null(copy);
    ok(ipc_dict_close(liars_dict));
    ok(ipc_set_close(liars_set));
}

static void nonsense_is_refused(void)
{
    for (size_t count = 0; count < 5; count++) {
        expect_nonsense(ipc_str("text"), count);
        expect_nonsense(ipc_f64(0.5), count);
        expect_nonsense(ipc_nil(), count);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(one_item_goes_there_and_back),
    TEST_CASE(many_items_go_there_and_back),
    TEST_CASE(a_walk_and_a_watch),
    TEST_CASE(the_type_in_the_name),
    TEST_CASE(sets_go_there_and_back),
    TEST_CASE(namespaces_go_there_and_back),
    TEST_CASE(nonsense_is_refused),
};
TEST_MAIN(cases)
