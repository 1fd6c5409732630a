/* A process is killed at every instruction of a change of many items of a dict,
 * of two sets, of a transaction; and so is the one who undoes it.  Then all of
 * the change is there, or nothing; the arena is whole, and nothing is lost. */
#include "crash/dict_sweep_support.h"

/* ---- dicts ---- */

static void some_items(void)
{
    fill_letters(6);
    ok(ipc_dict_set_str(dict, LONG_TEXT, LONG_TEXT));
    ok(ipc_dict_set_str(dict, "text", LONG_TEXT));
}

static void update_several(void *ctx)
{
    const ipc_dict_item items[] = {
        {ipc_str("text"), ipc_str(OTHER_TEXT)},
        {ipc_str("a"), ipc_i64(100)},
        {ipc_str("new"), ipc_i64(200)},
        {ipc_str(OTHER_TEXT), ipc_f64(0.5)},
    };
    (void)ctx;
    must(ipc_dict_update(dict, items, 4));
}

static void update_of_several(void)
{
    sweep_op(some_items, update_several, 41);
}

/* The table grows, a string is parked: all that there is to undo. */
static void the_next_one_dies_too(void)
{
    sweep_op_twice(some_items, update_several);
}

static void nested_items(void)
{
    ipc_list *list;
    some_items();
    ok(ipc_dict_list(dict, "list", &list));
    ok(ipc_list_append_str(list, LONG_TEXT));
    ok(ipc_list_close(list));
}

static void clear(void *ctx)
{
    (void)ctx;
    must(ipc_dict_clear(dict));
}

static void clear_of_all(void)
{
    sweep_op(nested_items, clear, 31);
}

static void make_list(void *ctx)
{
    ipc_list *list;
    (void)ctx;
    must(ipc_dict_list(dict, "a list that is new", &list));
}

static void a_container_that_is_new(void)
{
    sweep_op(some_items, make_list, 17);
}

static void put_default(void *ctx)
{
    (void)ctx;
    must(ipc_dict_setdefault(dict, ipc_str(OTHER_TEXT), ipc_str(OTHER_TEXT),
                             NULL));
}

static void setdefault_of_what_is_missing(void)
{
    sweep_op(some_items, put_default, 19);
}

static void two_dicts(void)
{
    some_items();
    ok(ipc_dict_set_str(other, "text", OTHER_TEXT));
    ok(ipc_dict_set_str(other, OTHER_TEXT, OTHER_TEXT));
    ok(ipc_dict_set_i64(other, "a", 200));
}

static void merge(void *ctx)
{
    (void)ctx;
    must(ipc_dict_merge(dict, other));
}

static void merge_of_two(void)
{
    sweep_op(two_dicts, merge, 31);
}

/* ---- sets ---- */

static void two_sets(void)
{
    for (int64_t i = 0; i < 12; i++)
        must(ipc_set_add(set, ipc_i64(i)));
    for (int64_t i = 8; i < 16; i++)
        must(ipc_set_add(other_set, ipc_i64(i)));
    must(ipc_set_add(set, ipc_str(LONG_TEXT)));
    must(ipc_set_add(other_set, ipc_str(LONG_TEXT)));
    must(ipc_set_add(other_set, ipc_str(OTHER_TEXT)));
}

static void unite(void *ctx)
{
    (void)ctx;
    must(ipc_set_union(set, other_set));
}

static void intersect(void *ctx)
{
    (void)ctx;
    must(ipc_set_intersect(set, other_set));
}

static void subtract(void *ctx)
{
    (void)ctx;
    must(ipc_set_subtract(set, other_set));
}

static void add_one(void *ctx)
{
    (void)ctx;
    must(ipc_set_add(set, ipc_str(OTHER_TEXT)));
}

static void discard_one(void *ctx)
{
    (void)ctx;
    must(ipc_set_discard(set, ipc_str(LONG_TEXT)));
}

static void union_of_sets(void)
{
    sweep_op(two_sets, unite, 61);
}

static void intersection_of_sets(void)
{
    sweep_op(two_sets, intersect, 61);
}

static void difference_of_sets(void)
{
    sweep_op(two_sets, subtract, 61);
}

static void a_new_member(void)
{
    sweep_op(two_sets, add_one, 13);
}

static void a_member_that_goes(void)
{
    sweep_op(two_sets, discard_one, 17);
}

/* ---- transactions ---- */

static void do_several(void *ctx)
{
    (void)ctx;
    must(ipc_atomic_begin(home));
    must(ipc_dict_incr(dict, ipc_str("a"), -1, NULL));
    must(ipc_dict_pop(dict, ipc_str(LONG_TEXT), NULL));
    must(ipc_set_add(set, ipc_str("new")));
    must(ipc_dict_set(dict, ipc_str("text"), ipc_str(OTHER_TEXT)));
    must(ipc_dict_popitem(dict, &(ipc_any){0}, &(ipc_any){0}));
    must(ipc_dict_set(other, ipc_str(LONG_TEXT), ipc_i64(1)));
    must(ipc_atomic_commit(home));
}

static void a_transaction(void)
{
    sweep_op(some_items, do_several, 61);
}

/* ---- what these must find ---- */

static void without_transaction(void *ctx)
{
    (void)ctx;
    must(ipc_dict_pop(dict, ipc_str(LONG_TEXT), NULL));
    must(ipc_dict_set(other, ipc_str(LONG_TEXT), ipc_i64(1)));
}

static void several_without_a_transaction_are_found(void)
{
    struct sweep_result result;
    make_scene();
    some_items();
    keep_scene(without_transaction);
    const struct sweep sweep = sweep_of(without_transaction, 29);
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    assert_int_equal(result.wedges, 0);
    assert_true(result.torn > 0);
    end_scene();
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(several_without_a_transaction_are_found, 60),
    TEST_CASE_LIMIT(update_of_several, 60),
    TEST_CASE_LIMIT(the_next_one_dies_too, 90),
    TEST_CASE_LIMIT(clear_of_all, 60),
    TEST_CASE_LIMIT(a_container_that_is_new, 60),
    TEST_CASE_LIMIT(setdefault_of_what_is_missing, 60),
    TEST_CASE_LIMIT(merge_of_two, 60),
    TEST_CASE_LIMIT(union_of_sets, 60),
    TEST_CASE_LIMIT(intersection_of_sets, 60),
    TEST_CASE_LIMIT(difference_of_sets, 60),
    TEST_CASE_LIMIT(a_new_member, 60),
    TEST_CASE_LIMIT(a_member_that_goes, 60),
    TEST_CASE_LIMIT(a_transaction, 60),
};
TEST_MAIN(cases)
