/* ipc_dict: many items, growth, going through it, containers in it, and the
 * calls with the type in the name. */
#include "unit/dict_support.h"

/* ---- many at once ---- */

static void update_sets_all_or_nothing(void)
{
    make_arena(0);
    const ipc_dict_item items[] = {{ipc_str("a"), ipc_i64(1)},
                                   {ipc_str("b"), ipc_i64(2)},
                                   {ipc_str("a"), ipc_i64(3)}};
    ok(ipc_dict_update(dict, items, 3));
    expect_items("a:3 b:2");
    ok(ipc_dict_update(dict, NULL, 0));
    expect_rc(ipc_dict_update(dict, NULL, 1), -EINVAL);
    const ipc_dict_item bad_key[] = {{ipc_str("a"), ipc_i64(7)},
                                     {ipc_str("c"), ipc_i64(7)},
                                     {ipc_f64(NAN), ipc_i64(7)}};
    const ipc_dict_item bad_value[] = {{ipc_str("b"), ipc_str("seven")},
                                       {ipc_str("c"), ipc_any_dict(dict)}};
    expect_rc(ipc_dict_update(dict, bad_key, 3), -EINVAL);
    expect_rc(ipc_dict_update(dict, bad_value, 2), -ELOOP);
    expect_items("a:3 b:2");
    end_arena();
}

static void update_of_thousands_is_one_step(void)
{
    enum {
        COUNT = 5000
    };
    ipc_dict_item *items = calloc(COUNT + 1, sizeof *items);
    char(*texts)[41] = calloc(COUNT, sizeof *texts);
    make_arena(0);
    assert_non_null(items);
    assert_non_null(texts);
    for (int i = 0; i < COUNT; i++)
        items[i] = (ipc_dict_item){ipc_str(long_text(i, 40, texts[i])),
                                   ipc_str(texts[i])};
    items[COUNT] = (ipc_dict_item){ipc_f64(NAN), ipc_nil()};
    expect_rc(ipc_dict_update(dict, items, COUNT + 1), -EINVAL);
    expect_rc(ipc_dict_length(dict), 0);
    check_arena();
    ok(ipc_dict_update(dict, items, COUNT));
    ok(ipc_dict_update(dict, items, COUNT));
    expect_rc(ipc_dict_length(dict), COUNT);
    for (int i = 0; i < COUNT; i++)
        expect_at(items[i].key, items[i].value);
    free(items);
    free(texts);
    end_arena();
}

static void merge_takes_over_what_another_has(void)
{
    ipc_dict *other, *elsewhere;
    char text[60];
    make_arena(0);
    ok(ipc_dict_new(home, &other));
    fill_letters(3);
    ok(ipc_dict_set(other, ipc_str("b"), ipc_str("two")));
    ok(ipc_dict_set(other, ipc_str(long_text(1, 30, text)), ipc_nil()));
    ok(ipc_dict_merge(dict, other));
    expect_items("a:1 b:\"two\" c:3 000000000000000000000000000001:nil");
    ok(ipc_dict_merge(dict, dict));
    expect_rc(ipc_dict_length(dict), 4);
    ok(ipc_dict_clear(other));
    ok(ipc_dict_merge(dict, other));
    expect_rc(ipc_dict_length(dict), 4);
    ok(ipc_dict_free(other));

    ipc_arena *far = new_arena(0);
    ok(ipc_dict_new(far, &elsewhere));
    expect_rc(ipc_dict_merge(dict, elsewhere), -EXDEV);
    expect_rc(ipc_dict_set(dict, ipc_str("a"), ipc_any_dict(elsewhere)),
              -EXDEV);
    ok(ipc_dict_free(elsewhere));
    ok(ipc_arena_free(far));
    end_arena();
}

/* The value that is replaced held the other one alive. */
static void merge_may_end_the_other_one(void)
{
    ipc_dict *other;
    make_arena(0);
    ok(ipc_dict_dict(dict, "other", &other));
    ok(ipc_dict_set_i64(other, "a", 1));
    ok(ipc_dict_set_str(other, "other", "itself is gone, but all of it came"));
    ok(ipc_dict_set_i64(other, "z", 26));
    ok(ipc_dict_merge(dict, other));
    expect_items("other:\"itself is gone, but all of it came\" a:1 z:26");
    expect_rc(ipc_dict_length(other), -ESTALE);
    ok(ipc_dict_close(other));
    end_arena();
}

static void copies_are_of_one_moment(void)
{
    ipc_dict *copy;
    ipc_anys all;
    make_arena(0);
    ok(ipc_dict_keys(dict, &all));
    assert_int_equal(all.count, 0);
    ipc_anys_free(&all);
    ok(ipc_dict_copy(dict, &copy));
    expect_items_of(copy, "");
    ok(ipc_dict_free(copy));

    fill_letters(20);
    ok(ipc_dict_pop(dict, ipc_str("c"), NULL));
    ok(ipc_dict_copy(dict, &copy));
    ok(ipc_dict_clear(dict));
    expect_items("");
    expect_rc(ipc_dict_length(copy), 19);
    ok(ipc_dict_values(copy, &all));
    assert_int_equal(all.count, 19);
    assert_int_equal(all.items[2].i64, 4);
    ipc_anys_free(&all);
    ok(ipc_dict_keys(copy, &all));
    assert_int_equal(all.count, 19);
    assert_string_equal(all.items[18].str, "t");
    ipc_anys_free(&all);
    ok(ipc_dict_free(copy));
    end_arena();
}

/* ---- growth ---- */

static void it_grows_and_shrinks(void)
{
    static const int sizes[] = {1,   3,   4,   5,   7,   8,    9,    16,
                                17,  32,  33,  128, 129, 255,  256,  257,
                                511, 512, 513, 767, 768, 2047, 2048, 2049};
    make_arena(0);
    const uint64_t empty = used_bytes();
    for (size_t n = 0; n < sizeof sizes / sizeof sizes[0]; n++) {
        const int size = sizes[n];
        for (int i = 0; i < size; i++)
            ok(ipc_dict_set(dict, ipc_i64(i), ipc_i64(-i)));
        expect_rc(ipc_dict_length(dict), size);
        for (int i = 0; i < size; i++)
            assert_int_equal(i64_of(ipc_i64(i)), -i);
        expect_missing(ipc_i64(size));
        check_arena();
        for (int i = 0; i < size; i++) {
            /* From the front, from the end, from both. */
            const int key = n % 3 == 0   ? i
                            : n % 3 == 1 ? size - 1 - i
                            : i % 2 == 0 ? i / 2
                                         : size - 1 - i / 2;
            ok(ipc_dict_pop(dict, ipc_i64(key), NULL));
            if (i % 64 == 0)
                check_arena();
        }
        expect_rc(ipc_dict_length(dict), 0);
        check_arena();
    }
    ok(ipc_dict_clear(dict));
    expect_rc((int64_t)used_bytes(), (int64_t)empty);
    end_arena();
}

static void what_is_removed_is_memory_again(void)
{
    make_arena(0);
    for (int i = 0; i < 20000; i++)
        ok(ipc_dict_set(dict, ipc_i64(i), ipc_i64(i)));
    const uint64_t most = used_bytes();
    for (int i = 0; i < 19900; i++)
        ok(ipc_dict_pop(dict, ipc_i64(i), NULL));
    assert_true(used_bytes() < most / 20);
    for (int i = 19900; i < 20000; i++)
        assert_int_equal(i64_of(ipc_i64(i)), i);
    end_arena();
}

/* As a queue: what comes last goes last; and as a stack. */
static void the_ends_are_found_at_once(void)
{
    ipc_any key, value;
    make_arena(0);
    for (int i = 0; i < 2000; i++)
        ok(ipc_dict_set(dict, ipc_i64(i), ipc_nil()));
    for (int i = 2000; i < 50000; i++) {
        ipc_dict_cursor first = {0};
        expect_rc(ipc_dict_next(dict, &first, &key, NULL), 1);
        assert_int_equal(key.i64, i - 2000);
        ok(ipc_dict_pop(dict, key, NULL));
        ok(ipc_dict_set(dict, ipc_i64(i), ipc_nil()));
    }
    for (int i = 0; i < 50000; i++) {
        ok(ipc_dict_set(dict, ipc_str("top"), ipc_i64(i)));
        ok(ipc_dict_popitem(dict, &key, &value));
        assert_int_equal(value.i64, i);
        ipc_any_free(&key);
    }
    expect_rc(ipc_dict_length(dict), 2000);
    end_arena();
}

/* ---- going through it ---- */

static void next_sees_each_once(void)
{
    ipc_dict_cursor at = {0};
    ipc_any key, value;
    make_arena(0);
    expect_rc(ipc_dict_next(dict, &at, &key, &value), 0);
    fill_letters(3);
    expect_rc(ipc_dict_next(dict, &at, &key, &value), 1);
    assert_string_equal(key.str, "a");
    assert_int_equal(value.i64, 1);
    ipc_any_free(&key);
    expect_rc(ipc_dict_next(dict, &at, NULL, &value), 1);
    assert_int_equal(value.i64, 2);
    expect_rc(ipc_dict_next(dict, &at, &key, NULL), 1);
    assert_string_equal(key.str, "c");
    ipc_any_free(&key);
    expect_rc(ipc_dict_next(dict, &at, NULL, NULL), 0);
    ok(ipc_dict_set_i64(dict, "d", 4)); /* came meanwhile */
    expect_rc(ipc_dict_next(dict, &at, NULL, &value), 1);
    assert_int_equal(value.i64, 4);
    at.after = UINT64_MAX;
    expect_rc(ipc_dict_next(dict, &at, NULL, NULL), 0);
    end_arena();
}

/* Whatever is built anew meanwhile. */
static void what_stays_is_seen_whatever_goes(void)
{
    enum {
        COUNT = 1000
    };
    bool seen[COUNT] = {false};
    ipc_dict_cursor at = {0};
    ipc_any key;
    int rc, seen_count = 0;
    make_arena(0);
    for (int i = 0; i < COUNT; i++)
        ok(ipc_dict_set(dict, ipc_i64(i), ipc_nil()));
    while ((rc = ipc_dict_next(dict, &at, &key, NULL)) == 1) {
        assert_true(key.i64 >= 0 && key.i64 < COUNT);
        assert_false(seen[key.i64]);
        seen[key.i64] = true;
        seen_count++;
        /* All but every 10th goes, from both ends. */
        for (int i = 0; i < 3; i++) {
            const int gone = (seen_count * 3 + i) % COUNT;
            const int other = COUNT - 1 - gone;
            if (gone % 10 != 0)
                (void)!ipc_dict_pop(dict, ipc_i64(gone), NULL);
            if (other % 10 != 0)
                (void)!ipc_dict_pop(dict, ipc_i64(other), NULL);
        }
    }
    ok(rc);
    for (int i = 0; i < COUNT; i += 10)
        assert_true(seen[i]);
    test_report("seen", seen_count);
    end_arena();
}

/* ---- containers ---- */

static void containers_are_values(void)
{
    ipc_list *list, *again;
    ipc_dict *inner;
    ipc_any value;
    int64_t is;
    make_arena(0);
    ok(ipc_dict_list(dict, "list", &list));
    ok(ipc_list_append_i64(list, 7));
    ok(ipc_dict_list(dict, "list", &again));
    ok(ipc_list_get_i64(again, 0, &is));
    assert_int_equal(is, 7);
    ok(ipc_list_close(again));
    expect_rc(ipc_dict_dict(dict, "list", &inner), -EINVAL);
    expect_detail("list");

    ok(ipc_dict_dict(dict, "dict", &inner));
    ok(ipc_dict_set(inner, ipc_str("list too"), ipc_any_list(list)));
    expect_rc(ipc_dict_set(inner, ipc_str("up"), ipc_any_dict(dict)), -ELOOP);
    expect_rc(ipc_dict_set(dict, ipc_str("me"), ipc_any_dict(dict)), -ELOOP);
    expect_rc((int64_t)object_count(), 3);
    check_arena();

    ok(ipc_dict_pop(dict, ipc_str("list"), NULL)); /* held by inner still */
    ok(ipc_list_append_i64(list, 8));
    ok(ipc_dict_pop(dict, ipc_str("dict"), &value));
    assert_int_equal(value.type, IPC_TYPE_DICT);
    ipc_any_free(&value);
    expect_rc(ipc_list_length(list), -ESTALE);
    expect_rc(ipc_dict_length(inner), -ESTALE);
    expect_rc((int64_t)object_count(), 1);
    ok(ipc_list_close(list));
    ok(ipc_dict_close(inner));
    end_arena();
}

static void a_container_may_be_put_in_and_replaced(void)
{
    ipc_dict *inner;
    make_arena(0);
    ok(ipc_dict_new(home, &inner));
    for (int i = 0; i < 3; i++) {
        ok(ipc_dict_set(dict, ipc_str("a"), ipc_any_dict(inner)));
        ok(ipc_dict_set(dict, ipc_str("b"), ipc_any_dict(inner)));
        check_arena();
    }
    expect_at(ipc_str("a"), ipc_any_dict(inner));
    ok(ipc_dict_free(inner)); /* lives on in dict */
    expect_rc((int64_t)object_count(), 2);
    ok(ipc_dict_set_i64(dict, "a", 1));
    expect_rc((int64_t)object_count(), 2);
    ok(ipc_dict_set_str(dict, "b", "a string that takes a block"));
    expect_rc((int64_t)object_count(), 1);
    end_arena();
}

static void a_large_tree_is_given_back(void)
{
    make_arena(0);
    for (int i = 0; i < 300; i++) {
        ipc_dict *inner;
        char name[40];
        (void)snprintf(name, sizeof name, "a child with number %d", i);
        ok(ipc_dict_dict(dict, name, &inner));
        for (int j = 0; j < 20; j++)
            ok(ipc_dict_set(inner, ipc_i64(j),
                            ipc_str("a string that takes a block")));
        ok(ipc_dict_close(inner));
    }
    check_arena();
    const uint64_t before = used_bytes();
    ok(ipc_dict_clear(dict));
    assert_true(used_bytes() < before / 100);
    expect_rc((int64_t)object_count(), 1);
    end_arena();
}

/* ---- the type in the name ---- */

static void typed_calls(void)
{
    int64_t i64 = 4711;
    double f64 = 0;
    char text[20] = "unchanged";
    make_arena(0);
    ok(ipc_dict_set_i64(dict, "i", -5));
    ok(ipc_dict_set_f64(dict, "f", 0.5));
    ok(ipc_dict_set_str(dict, "s", "text"));
    ok(ipc_dict_set_str(dict, "long", "a string that takes a block"));
    ok(ipc_dict_set(dict, ipc_str("u"), ipc_u64(UINT64_MAX)));
    ok(ipc_dict_get_i64(dict, "i", &i64));
    assert_int_equal(i64, -5);
    ok(ipc_dict_get_f64(dict, "f", &f64));
    assert_true(f64 == 0.5);
    ok(ipc_dict_get_f64(dict, "i", &f64));
    assert_true(f64 == -5);
    ok(ipc_dict_get_f64(dict, "u", &f64));
    assert_true(f64 == 0x1p64);
    expect_rc(ipc_dict_get_str(dict, "s", text, 4), -EMSGSIZE);
    expect_rc(ipc_dict_get_str(dict, "long", text, sizeof text), -EMSGSIZE);
    assert_string_equal(text, "unchanged");
    ok(ipc_dict_get_str(dict, "s", text, 5));
    assert_string_equal(text, "text");

    i64 = 4711;
    expect_rc(ipc_dict_get_i64(dict, "f", &i64), -EINVAL);
    expect_rc(ipc_dict_get_i64(dict, "u", &i64), -EINVAL);
    expect_rc(ipc_dict_get_i64(dict, "long", &i64), -EINVAL);
    expect_rc(ipc_dict_get_f64(dict, "long", &f64), -EINVAL);
    expect_rc(ipc_dict_get_str(dict, "i", text, sizeof text), -EINVAL);
    expect_rc(ipc_dict_get_i64(dict, "none", &i64), -ENOENT);
    expect_rc(ipc_dict_get_f64(dict, "none", &f64), -ENOENT);
    expect_rc(ipc_dict_get_str(dict, "none", text, sizeof text), -ENOENT);
    assert_int_equal(i64, 4711);
    end_arena();
}

static const struct test_case cases[] = {
    TEST_CASE(update_sets_all_or_nothing),
    TEST_CASE(update_of_thousands_is_one_step),
    TEST_CASE(merge_takes_over_what_another_has),
    TEST_CASE(merge_may_end_the_other_one),
    TEST_CASE(copies_are_of_one_moment),
    TEST_CASE(it_grows_and_shrinks),
    TEST_CASE(what_is_removed_is_memory_again),
    TEST_CASE(the_ends_are_found_at_once),
    TEST_CASE(next_sees_each_once),
    TEST_CASE(what_stays_is_seen_whatever_goes),
    TEST_CASE(containers_are_values),
    TEST_CASE(a_container_may_be_put_in_and_replaced),
    TEST_CASE(a_large_tree_is_given_back),
    TEST_CASE(typed_calls),
};
TEST_MAIN(cases)
