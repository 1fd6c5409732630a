/* A process is killed at every instruction of a change of a dict.  Then
 * the change is there, or is not; the arena is whole, and nothing is lost. */
#include "crash/dict_sweep_support.h"

/* ---- one item ---- */

static void some_items(void)
{
    fill_letters(3);
    ok(ipc_dict_set_str(dict, LONG_TEXT, LONG_TEXT));
    ok(ipc_dict_set_str(dict, "text", LONG_TEXT));
}

static void set_new(void *ctx)
{
    (void)ctx;
    must(ipc_dict_set(dict, ipc_str("new"), ipc_i64(7)));
}

static void set_new_long(void *ctx)
{
    (void)ctx;
    must(ipc_dict_set(dict, ipc_str(OTHER_TEXT), ipc_str(OTHER_TEXT)));
}

static void a_new_key(void)
{
    sweep_op(some_items, set_new, 6);
}

static void the_first_key(void)
{
    sweep_op(NULL, set_new, 9);
}

static void a_new_key_with_blocks(void)
{
    sweep_op(some_items, set_new_long, 17);
}

static void replace_text(void *ctx)
{
    (void)ctx;
    must(ipc_dict_set(dict, ipc_str("text"), ipc_str(OTHER_TEXT)));
}

static void another_value(void)
{
    sweep_op(some_items, replace_text, 17);
}

static void pop_long(void *ctx)
{
    (void)ctx;
    must(ipc_dict_pop(dict, ipc_str(LONG_TEXT), NULL));
}

static void pop_of_a_key(void)
{
    sweep_op(some_items, pop_long, 25);
}

static void pop_last(void *ctx)
{
    ipc_any key, value;
    (void)ctx;
    must(ipc_dict_popitem(dict, &key, &value));
}

static void popitem_of_the_last(void)
{
    sweep_op(some_items, pop_last, 17);
}

static void increase(void *ctx)
{
    (void)ctx;
    must(ipc_dict_incr(dict, ipc_str("b"), 5, NULL));
}

static void incr_of_a_number(void)
{
    sweep_op(some_items, increase, 5);
}

static void compare_and_set(void *ctx)
{
    const ipc_any expected = ipc_str(LONG_TEXT);
    const ipc_any value = ipc_str(OTHER_TEXT);
    (void)ctx;
    must(ipc_dict_cas(dict, ipc_str("text"), &expected, &value));
}

static void compare_and_remove(void *ctx)
{
    const ipc_any expected = ipc_i64(1);
    (void)ctx;
    must(ipc_dict_cas(dict, ipc_str("a"), &expected, NULL));
}

static void cas_that_sets(void)
{
    sweep_op(some_items, compare_and_set, 23);
}

static void cas_that_removes(void)
{
    sweep_op(some_items, compare_and_remove, 7);
}

/* ---- growth ---- */

static void eight_items(void)
{
    fill(8);
}

static void full_chunk(void)
{
    fill(256);
}

static void full_index(void)
{
    fill(341);
}

/* All rows are used, most are dead. */
static void dead_rows(void)
{
    fill(16);
    for (int64_t i = 0; i < 14; i++)
        ok(ipc_dict_pop(dict, ipc_i64(i), NULL));
    ok(ipc_dict_set_str(dict, LONG_TEXT, LONG_TEXT));
    for (int64_t i = 0; i < 15; i++)
        ok(ipc_dict_set(dict, ipc_str("again"), ipc_i64(i)));
}

static void sparse_rows(void)
{
    fill(100);
    for (int64_t i = 0; i < 84; i++)
        ok(ipc_dict_pop(dict, ipc_i64(i), NULL));
}

static void pop_the_next(void *ctx)
{
    (void)ctx;
    must(ipc_dict_pop(dict, ipc_i64(84), NULL));
}

static void more_rows_and_an_index(void)
{
    sweep_op(eight_items, set_new, 37);
}

static void another_chunk(void)
{
    sweep_op(full_chunk, set_new, 17);
}

static void a_larger_index(void)
{
    sweep_op(full_index, set_new, 701);
}

static void building_anew_without_the_dead(void)
{
    sweep_op(dead_rows, set_new, 29);
}

static void giving_memory_back(void)
{
    sweep_op(sparse_rows, pop_the_next, 53);
}

/* ---- what these must find ---- */

static void broken(void (*setup)(void), void (*op)(void *ctx), long stride,
                   struct sweep_result *result)
{
    make_scene();
    setup();
    keep_scene(op);
    struct sweep sweep = sweep_of(op, 1);
    sweep.stride = stride;
    sweep_run(&sweep, result);
    sweep_report(NULL, result);
    assert_int_equal(result->wedges, 0);
    end_scene();
}

/* Two visits for what is one change. */
static void move_in_two_steps(void *ctx)
{
    (void)ctx;
    must(ipc_dict_incr(dict, ipc_str("a"), -1, NULL));
    must(ipc_dict_incr(dict, ipc_str("b"), 1, NULL));
}

static void a_change_in_two_steps_is_found(void)
{
    struct sweep_result result;
    broken(some_items, move_in_two_steps, 9, &result);
    assert_true(result.torn > 0);
}

/* One visit that forgets the journal. */
static void move_without_journal(void *ctx)
{
    const ipc_any a = ipc_str("a"), b = ipc_str("b");
    struct ipc__visit v;
    struct ipc__object *object;
    (void)ctx;
    must(ipc__handle_enter(&v, &dict->handle, IPC_TYPE_DICT, &object));
    struct ipc__item *from =
        (struct ipc__item *)(uintptr_t)ipc__table_find(&v, object, &a);
    struct ipc__item *to =
        (struct ipc__item *)(uintptr_t)ipc__table_find(&v, object, &b);
    from->value--;
    for (volatile int i = 0; i < 20; i++)
        ;
    to->value++;
    must(ipc__arena_leave(&v));
}

static void a_change_without_the_journal_is_found(void)
{
    struct sweep_result result;
    broken(some_items, move_without_journal, 9, &result);
    assert_true(result.torn > 0);
}

/* A row that is counted, and told to the index, in a visit of its own. */
static void add_uncounted(void *ctx)
{
    const ipc_any new_key = ipc_str("new");
    const struct ipc__item value = {.words = {IPC_TYPE_I64, 7}};
    struct ipc__visit v;
    struct ipc__object *object;
    (void)ctx;
    must(ipc__handle_enter(&v, &dict->handle, IPC_TYPE_DICT, &object));
    ipc__table_put(&v, object, &new_key, &value);
    struct ipc__table *table = ipc__at(&v, object->body, sizeof *table);
    table->head.count--;
    must(ipc__arena_leave(&v));
    must(ipc__handle_enter(&v, &dict->handle, IPC_TYPE_DICT, &object));
    table->head.count++;
    must(ipc__arena_leave(&v));
}

static void a_row_that_is_counted_late_is_found(void)
{
    struct sweep_result result;
    broken(eight_items, add_uncounted, 41, &result);
    assert_true(result.torn > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(a_change_in_two_steps_is_found, 60),
    TEST_CASE_LIMIT(a_change_without_the_journal_is_found, 60),
    TEST_CASE_LIMIT(a_row_that_is_counted_late_is_found, 60),
    TEST_CASE_LIMIT(a_new_key, 60),
    TEST_CASE_LIMIT(the_first_key, 60),
    TEST_CASE_LIMIT(a_new_key_with_blocks, 60),
    TEST_CASE_LIMIT(another_value, 60),
    TEST_CASE_LIMIT(pop_of_a_key, 60),
    TEST_CASE_LIMIT(popitem_of_the_last, 60),
    TEST_CASE_LIMIT(incr_of_a_number, 60),
    TEST_CASE_LIMIT(cas_that_sets, 60),
    TEST_CASE_LIMIT(cas_that_removes, 60),
    TEST_CASE_LIMIT(more_rows_and_an_index, 60),
    TEST_CASE_LIMIT(another_chunk, 60),
    TEST_CASE_LIMIT(a_larger_index, 60),
    TEST_CASE_LIMIT(building_anew_without_the_dead, 60),
    TEST_CASE_LIMIT(giving_memory_back, 60),
};
TEST_MAIN(cases)
