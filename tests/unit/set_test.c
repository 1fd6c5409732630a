/* ipc_set: each call, each error. */
#include "unit/dict_support.h"

static ipc_set *first;

static void make_set(void)
{
    make_arena(0);
    ok(ipc_set_new(home, &first));
}

static void end_set(void)
{
    check_arena();
    ok(ipc_set_free(first));
    end_arena();
}

/* "1 2 3" */
static void expect_members_of(ipc_set *which, const char *wanted)
{
    char text[500] = "";
    size_t end = 0;
    ipc_anys all;
    ok(ipc_set_members(which, &all));
    for (size_t i = 0; i < all.count && end < sizeof text; i++) {
        char one[60];
        (void)ipc_any_format(&all.items[i], one, sizeof one);
        end += (size_t)snprintf(text + end, sizeof text - end, "%s%s",
                                i > 0 ? " " : "", one);
    }
    ipc_anys_free(&all);
    if (strcmp(text, wanted) != 0)
        test_fail("it has \"%s\", not \"%s\"", text, wanted);
}

static void add_numbers(ipc_set *which, int64_t from, int64_t to, int64_t step)
{
    for (int64_t i = from; i <= to; i += step)
        expect_rc(ipc_set_add(which, ipc_i64(i)), 1);
}

/* ---- one member ---- */

static void members_are_there_once(void)
{
    make_set();
    expect_rc(ipc_set_contains(first, ipc_i64(1)), 0);
    expect_rc(ipc_set_add(first, ipc_i64(1)), 1);
    expect_rc(ipc_set_add(first, ipc_u64(1)), 0);
    expect_rc(ipc_set_add(first, ipc_f64(1)), 1);
    expect_rc(ipc_set_add(first, ipc_str("a member with a block")), 1);
    expect_rc(ipc_set_add(first, ipc_str("a member with a block")), 0);
    expect_rc(ipc_set_length(first), 3);
    expect_rc(ipc_set_contains(first, ipc_str("a member with a block")), 1);
    ok(ipc_set_remove(first, ipc_i64(1)));
    expect_rc(ipc_set_remove(first, ipc_i64(1)), -ENOENT);
    expect_detail("1");
    expect_rc(ipc_set_discard(first, ipc_i64(1)), 0);
    expect_rc(ipc_set_discard(first, ipc_f64(1)), 1);
    expect_members_of(first, "\"a member with a block\"");
    end_set();
}

static void what_is_no_member_is_refused(void)
{
    ipc_any member = ipc_i64(4711);
    make_set();
    const ipc_any bad[] = {ipc_f64(NAN), ipc_any_dict(dict), ipc_any_set(first),
                           ipc_any_with_type(77)};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const ipc_any members[] = {ipc_i64(1), bad[i]};
        expect_rc(ipc_set_add(first, bad[i]), -EINVAL);
        expect_rc(ipc_set_remove(first, bad[i]), -EINVAL);
        expect_rc(ipc_set_discard(first, bad[i]), -EINVAL);
        expect_rc(ipc_set_contains(first, bad[i]), -EINVAL);
        expect_rc(ipc_set_update(first, members, 2), -EINVAL);
    }
    expect_rc(ipc_set_update(first, NULL, 1), -EINVAL);
    expect_rc(ipc_set_length(first), 0);
    expect_rc(ipc_set_pop(first, &member), -ENOENT);
    assert_int_equal(member.i64, 4711);
    end_set();
}

static void pop_takes_the_one_that_came_last(void)
{
    ipc_any member;
    make_set();
    add_numbers(first, 1, 4, 1);
    ok(ipc_set_remove(first, ipc_i64(4)));
    ok(ipc_set_pop(first, &member));
    assert_int_equal(member.i64, 3);
    expect_rc(ipc_set_add(first, ipc_str("a member with a block")), 1);
    ok(ipc_set_pop(first, &member));
    assert_string_equal(member.str, "a member with a block");
    ipc_any_free(&member);
    expect_members_of(first, "1 2");
    end_set();
}

/* ---- many ---- */

static void update_adds_all_or_none(void)
{
    make_set();
    const ipc_any members[] = {ipc_i64(3), ipc_i64(1), ipc_i64(3), ipc_i64(2)};
    ok(ipc_set_update(first, members, 4));
    expect_members_of(first, "3 1 2");
    ok(ipc_set_update(first, members, 4));
    ok(ipc_set_update(first, NULL, 0));
    expect_members_of(first, "3 1 2");
    ok(ipc_set_clear(first));
    expect_members_of(first, "");
    end_set();
}

static void it_grows_and_shrinks(void)
{
    make_set();
    add_numbers(first, 0, 2999, 1);
    check_arena();
    for (int64_t i = 0; i < 3000; i += 3)
        ok(ipc_set_remove(first, ipc_i64(i)));
    check_arena();
    for (int64_t i = 0; i < 3000; i++)
        expect_rc(ipc_set_contains(first, ipc_i64(i)), i % 3 != 0);
    add_numbers(first, 0, 2999, 3);
    expect_rc(ipc_set_length(first), 3000);
    end_set();
}

static void next_goes_from_one_to_the_next(void)
{
    ipc_set_cursor at = {0};
    ipc_any member;
    make_set();
    add_numbers(first, 1, 300, 1);
    for (int64_t i = 1; i <= 300; i++) {
        expect_rc(ipc_set_next(first, &at, &member), 1);
        assert_int_equal(member.i64, i);
        ok(ipc_set_remove(first, ipc_i64(i)));
    }
    expect_rc(ipc_set_next(first, &at, &member), 0);
    end_set();
}

/* ---- two sets ---- */

static ipc_set *second;

static void make_two(void)
{
    make_set();
    ok(ipc_set_new(home, &second));
    add_numbers(first, 1, 6, 1);
    add_numbers(second, 4, 8, 1);
}

static void end_two(void)
{
    ok(ipc_set_free(second));
    end_set();
}

static void union_has_those_of_both(void)
{
    make_two();
    ok(ipc_set_union(first, second));
    expect_members_of(first, "1 2 3 4 5 6 7 8");
    ok(ipc_set_union(first, first));
    expect_members_of(first, "1 2 3 4 5 6 7 8");
    expect_members_of(second, "4 5 6 7 8");
    end_two();
}

static void intersect_keeps_those_that_both_have(void)
{
    make_two();
    ok(ipc_set_intersect(first, second));
    expect_members_of(first, "4 5 6");
    ok(ipc_set_intersect(first, first));
    expect_members_of(first, "4 5 6");
    ok(ipc_set_clear(second));
    ok(ipc_set_intersect(first, second));
    expect_members_of(first, "");
    end_two();
}

static void subtract_takes_out_those_of_the_other(void)
{
    make_two();
    ok(ipc_set_subtract(first, second)); /* the second one is smaller */
    expect_members_of(first, "1 2 3");
    add_numbers(first, 8, 9, 1);
    ok(ipc_set_subtract(first, second)); /* and not */
    expect_members_of(first, "1 2 3 9");
    ok(ipc_set_subtract(first, first));
    expect_members_of(first, "");
    end_two();
}

static void is_subset_tells(void)
{
    make_two();
    expect_rc(ipc_set_is_subset(first, second), 0);
    expect_rc(ipc_set_is_subset(first, first), 1);
    ok(ipc_set_intersect(first, second));
    expect_rc(ipc_set_is_subset(first, second), 1);
    expect_rc(ipc_set_is_subset(second, first), 0);
    ok(ipc_set_clear(first));
    expect_rc(ipc_set_is_subset(first, second), 1);
    end_two();
}

static void large_sets_with_long_members(void)
{
    char text[60];
    make_set();
    ok(ipc_set_new(home, &second));
    for (int i = 0; i < 3000; i++) {
        (void)long_text(i, 40, text);
        expect_rc(ipc_set_add(first, ipc_str(text)), 1);
        if (i % 30 == 0)
            expect_rc(ipc_set_add(second, ipc_str(text)), 1);
    }
    ipc_set *copy;
    ok(ipc_set_copy(first, &copy));
    ok(ipc_set_intersect(first, second));
    expect_rc(ipc_set_length(first), 100);
    check_arena();
    ok(ipc_set_subtract(copy, second));
    expect_rc(ipc_set_length(copy), 2900);
    check_arena();
    ok(ipc_set_union(copy, first));
    expect_rc(ipc_set_length(copy), 3000);
    expect_rc(ipc_set_is_subset(second, copy), 1);
    ok(ipc_set_free(copy));
    end_two();
}

static void sets_of_two_arenas_have_nothing_in_common(void)
{
    ipc_set *far;
    make_two();
    ipc_arena *elsewhere = new_arena(0);
    ok(ipc_set_new(elsewhere, &far));
    expect_rc(ipc_set_union(first, far), -EXDEV);
    expect_rc(ipc_set_intersect(first, far), -EXDEV);
    expect_rc(ipc_set_subtract(first, far), -EXDEV);
    expect_rc(ipc_set_is_subset(first, far), -EXDEV);
    expect_rc(ipc_set_union(first, (ipc_set *)dict), -EINVAL);
    expect_rc(ipc_set_add((ipc_set *)dict, ipc_nil()), -EINVAL);
    ok(ipc_set_free(far));
    ok(ipc_arena_free(elsewhere));
    ok(ipc_arena_set(home, "gone", &far));
    ok(ipc_arena_remove(home, "gone"));
    expect_rc(ipc_set_union(first, far), -ESTALE);
    expect_rc(ipc_set_add(far, ipc_nil()), -ESTALE);
    expect_rc(ipc_set_length(far), -ESTALE);
    ok(ipc_set_close(far));
    ok(ipc_set_close(NULL));
    ok(ipc_set_free(NULL));
    expect_rc(ipc_set_length(first), 6);
    ok(ipc_set_free(second));
    ok(ipc_set_free(first));
    check_arena();
    ok(ipc_dict_free(dict));
    ok(ipc_arena_free(home));
}

/* A first is a value too. */
static void a_set_in_a_dict(void)
{
    ipc_any value;
    make_set();
    ok(ipc_dict_set(dict, ipc_str("first"), ipc_any_set(first)));
    expect_rc(ipc_set_add(first, ipc_i64(7)), 1);
    ok(ipc_dict_get(dict, ipc_str("first"), &value));
    expect_rc(ipc_set_contains(value.set, ipc_i64(7)), 1);
    ipc_any_free(&value);
    ok(ipc_dict_clear(dict));
    expect_rc(ipc_set_length(first), 1);
    end_set();
}

static const struct test_case cases[] = {
    TEST_CASE(members_are_there_once),
    TEST_CASE(what_is_no_member_is_refused),
    TEST_CASE(pop_takes_the_one_that_came_last),
    TEST_CASE(update_adds_all_or_none),
    TEST_CASE(it_grows_and_shrinks),
    TEST_CASE(next_goes_from_one_to_the_next),
    TEST_CASE(union_has_those_of_both),
    TEST_CASE(intersect_keeps_those_that_both_have),
    TEST_CASE(subtract_takes_out_those_of_the_other),
    TEST_CASE(is_subset_tells),
    TEST_CASE(large_sets_with_long_members),
    TEST_CASE(sets_of_two_arenas_have_nothing_in_common),
    TEST_CASE(a_set_in_a_dict),
};
TEST_MAIN(cases)
