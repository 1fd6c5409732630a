/* ipc_namespace: values with names. */
#include "harness/role.h"
#include "unit/dict_support.h"

static ipc_namespace *names;

static void make_names(void)
{
    make_arena(0);
    ok(ipc_namespace_new(home, &names));
}

static void end_names(void)
{
    check_arena();
    ok(ipc_namespace_free(names));
    end_arena();
}

static void values_have_names(void)
{
    ipc_any value = ipc_i64(4711);
    int64_t number = 4711;
    make_names();
    expect_rc(ipc_namespace_has(names, "x"), 0);
    expect_rc(ipc_namespace_get(names, "x", &value), -ENOENT);
    expect_detail("x");
    expect_rc(ipc_namespace_get_i64(names, "x", &number), -ENOENT);
    expect_rc(ipc_namespace_delete(names, "x"), -ENOENT);
    assert_int_equal(value.i64, 4711);
    assert_int_equal(number, 4711);

    ok(ipc_namespace_set_i64(names, "x", 10));
    ok(ipc_namespace_set(names, "y", ipc_str("a text that takes a block")));
    ok(ipc_namespace_set(names, "", ipc_f64(0.5)));
    expect_rc(ipc_namespace_has(names, "x"), 1);
    expect_rc(ipc_namespace_has(names, ""), 1);
    ok(ipc_namespace_get_i64(names, "x", &number));
    assert_int_equal(number, 10);
    ok(ipc_namespace_get(names, "y", &value));
    assert_string_equal(value.str, "a text that takes a block");
    ipc_any_free(&value);
    expect_rc(ipc_namespace_get_i64(names, "y", &number), -EINVAL);
    ok(ipc_namespace_set_i64(names, "x", 11));
    ok(ipc_namespace_delete(names, "y"));
    expect_rc(ipc_namespace_has(names, "y"), 0);
    end_names();
}

static void names_are_in_the_order_in_which_they_came(void)
{
    ipc_anys all;
    make_names();
    ok(ipc_namespace_names(names, &all));
    assert_int_equal(all.count, 0);
    ipc_anys_free(&all);
    for (int i = 0; i < 50; i++) {
        char name[30];
        (void)snprintf(name, sizeof name, i % 2 ? "n%d" : "a long name %08d",
                       i);
        ok(ipc_namespace_set_i64(names, name, i));
    }
    ok(ipc_namespace_names(names, &all));
    assert_int_equal(all.count, 50);
    assert_string_equal(all.items[3].str, "n3");
    assert_string_equal(all.items[4].str, "a long name 00000004");
    ipc_anys_free(&all);
    end_names();
}

static void set_in_role(void *arg)
{
    (void)arg;
    ok(ipc_namespace_set_i64(names, "from the child", 7));
}

static void all_processes_see_the_same(void)
{
    struct role child;
    int64_t number;
    make_names();
    role_start(&child, set_in_role, NULL);
    role_wait_ok(&child, LIMIT_MS);
    ok(ipc_namespace_get_i64(names, "from the child", &number));
    assert_int_equal(number, 7);
    end_names();
}

static void containers_and_types(void)
{
    ipc_namespace *same;
    ipc_any value;
    make_names();
    ok(ipc_namespace_set(names, "dict", ipc_any_dict(dict)));
    expect_rc(ipc_namespace_set(names, "me", ipc_any_namespace(names)), -ELOOP);
    expect_rc(ipc_dict_set(dict, ipc_str("up"), ipc_any_namespace(names)),
              -ELOOP);
    ok(ipc_namespace_get(names, "dict", &value));
    ok(ipc_dict_set_i64(value.dict, "a", 1));
    ipc_any_free(&value);
    expect_items("a:1");

    expect_rc(ipc_namespace_set((ipc_namespace *)dict, "a", ipc_nil()),
              -EINVAL);
    expect_rc(ipc_dict_set((ipc_dict *)names, ipc_nil(), ipc_nil()), -EINVAL);
    ok(ipc_arena_namespace(home, "settings", &same));
    ok(ipc_namespace_set_i64(same, "x", 1));
    ok(ipc_arena_remove(home, "settings"));
    expect_rc(ipc_namespace_set_i64(same, "x", 1), -ESTALE);
    ok(ipc_namespace_close(same));
    ok(ipc_namespace_close(NULL));
    ok(ipc_namespace_free(NULL));
    ok(ipc_namespace_free(names));
    check_arena();
    ok(ipc_dict_free(dict));
    ok(ipc_arena_free(home));
}

static const struct test_case cases[] = {
    TEST_CASE(values_have_names),
    TEST_CASE(names_are_in_the_order_in_which_they_came),
    TEST_CASE(all_processes_see_the_same),
    TEST_CASE(containers_and_types),
};
TEST_MAIN(cases)
