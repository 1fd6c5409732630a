/* ipc_list: where there is no room, in the arena, in its journal, or in the
 * process, nothing has changed. */
#include "unit/list_support.h"

#include "harness/faults.h"

#include <stdlib.h>

#define LONG_TEXT "this string is much longer than an item can hold"

enum {
    MANY = 1500,
    HEAP = 192 << 10 /* bytes */
};

/* ---- operations ---- */

static ipc_any many[MANY];
static ipc_list *made;

static int do_append(void)
{
    return ipc_list_append_i64(list, 1);
}

static int do_append_long(void)
{
    return ipc_list_append_str(list, LONG_TEXT);
}

static int do_insert(void)
{
    return ipc_list_insert(list, ipc_list_length(list) / 3, ipc_i64(1));
}

static int do_insert_first(void)
{
    return ipc_list_insert(list, 0, ipc_str(LONG_TEXT));
}

static int do_extend(void)
{
    return ipc_list_extend(list, many, 10);
}

static int do_extend_much(void)
{
    return ipc_list_extend(list, many, MANY);
}

static int do_replace(void)
{
    return ipc_list_replace(list, 2, 5, many + 1, MANY / 2);
}

static int do_append_list(void)
{
    return ipc_list_append_list(list, &made);
}

static int do_copy(void)
{
    return ipc_list_copy(list, &made);
}

static int do_set(void)
{
    return ipc_list_set_str(list, 0, LONG_TEXT);
}

static const struct {
    const char *name;
    int (*fn)(void);
} operations[] = {{"append", do_append},   {"append_long", do_append_long},
                  {"insert", do_insert},   {"insert_first", do_insert_first},
                  {"extend", do_extend},   {"extend_much", do_extend_much},
                  {"replace", do_replace}, {"append_list", do_append_list},
                  {"copy", do_copy},       {"set", do_set}};

static void end_made(void)
{
    if (made != NULL && ipc_list_free(made) != 0)
        ok(ipc_list_close(made));
    made = NULL;
}

/* ---- a full arena ---- */

/* A string that leaves so many bytes of the arena, or about that. */
static ipc_list *leave_room(size_t bytes)
{
    static char text[HEAP];
    ipc_list *ballast;
    ok(ipc_list_new(home, &ballast));
    size_t size = HEAP;
    memset(text, 'x', sizeof text);
    ok(ipc_list_append_i64(ballast, 0)); /* has its body */
    while (ipc_list_set(ballast, 0, ipc_strn(text, size)) != 0)
        size -= 16;
    ok(ipc_list_set_i64(ballast, 0, 0));
    ok(ipc_list_set(ballast, 0, ipc_strn(text, size - bytes)));
    return ballast;
}

/* Give the operation more and more room, until it works. */
static long fill_up(size_t which, int64_t size)
{
    long refused = 0;
    for (size_t room = 0;; room += room < 256 ? 16 : 16 * 97) {
        make_arena(HEAP);
        fill(0, size);
        ipc_list *ballast = leave_room(room);
        const uint64_t used = used_bytes();
        const int rc = operations[which].fn();
        ok(ipc_arena_check(home));
        if (rc != 0) {
            expect_rc(rc, -ENOSPC);
            expect_counting(0, size);
            assert_int_equal(used_bytes(), used);
            refused++;
        }
        end_made();
        ok(ipc_list_free(ballast));
        ok(operations[which].fn()); /* there is room now */
        end_made();
        end_arena();
        if (rc == 0)
            return refused;
    }
}

static void a_full_arena_is_noticed_before_anything_changes(void)
{
    static const int64_t sizes[] = {0, 4, 1024, 2048};
    long refused = 0;
    for (size_t i = 0; i < MANY; i++)
        many[i] = i % 9 == 0 ? ipc_str(LONG_TEXT) : ipc_i64((int64_t)i);
    for (size_t which = 0; which < sizeof operations / sizeof operations[0];
         which++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            if (sizes[i] > 0 || operations[which].fn != do_set)
                refused += fill_up(which, sizes[i]);
    test_report("refused", refused);
    assert_true(refused > 100);
}

/* ---- a full journal ---- */

static void a_transaction_may_be_too_large(void)
{
    make_arena(64 << 10);
    fill(0, 1000);
    const uint64_t used = used_bytes();
    int rc = 0;
    int turns = 0;
    ok(ipc_atomic_begin(home));
    while ((rc = ipc_list_reverse(list)) == 0)
        turns++;
    expect_rc(rc, -ENOSPC);
    assert_true(turns > 2);
    assert_int_equal(i64_at(0), turns % 2 == 0 ? 0 : 999); /* that one not */
    ok(ipc_arena_check(home));
    ok(ipc_atomic_abort(home));
    expect_counting(0, 1000);
    assert_int_equal(used_bytes(), used);
    end_arena();
}

/* ---- no memory in the process ---- */

static ipc_any got;
static ipc_anys all;

static int do_get_long(void)
{
    return ipc_list_get(list, -1, &got);
}

static int do_get_list(void)
{
    return ipc_list_get(list, 0, &got);
}

static int do_pop_long(void)
{
    return ipc_list_pop(list, -1, &got);
}

static int do_pop_list(void)
{
    return ipc_list_pop(list, 0, &got);
}

static int do_slice(void)
{
    return ipc_list_slice(list, 0, 20, 1, &all);
}

static int do_sort(void)
{
    return ipc_list_sort(list, IPC_LIST_DESCENDING);
}

static int do_replace_some(void)
{
    return ipc_list_replace(list, 1, 3, many, 2);
}

static int do_next(void)
{
    ipc_list_cursor at = {0};
    const int rc = ipc_list_next(list, &at, &got);
    return rc == 1 ? 0 : rc;
}

static void without_memory(const char *name, int (*fn)(void))
{
    ipc_list *inner;
    int rc = -1;
    long nth = 0;
    while (rc != 0) {
        make_arena(0);
        ok(ipc_list_append_list(list, &inner));
        fill(0, 10);
        ok(ipc_list_append_str(list, LONG_TEXT));
        const uint64_t used = used_bytes();
        fault_malloc_nth(++nth, false);
        rc = fn();
        (void)fault_malloc_end();
        if (rc != 0) {
            expect_rc(rc, -ENOMEM);
            assert_int_equal(used_bytes(), used);
            assert_true(ipc_list_length(list) == 12);
            assert_int_equal(i64_at(1), 0);
            assert_true(ipc_list_length(inner) == 0);
        }
        ipc_any_free(&got);
        ipc_anys_free(&all);
        end_made();
        ok(ipc_list_close(inner));
        end_arena();
    }
    test_report(name, nth - 1);
    assert_true(nth > 1); /* there was one to fail */
}

static void where_malloc_fails_nothing_changes(void)
{
    many[0] = ipc_str(LONG_TEXT);
    many[1] = ipc_i64(1);
    without_memory("get_long", do_get_long);
    without_memory("get_list", do_get_list);
    without_memory("pop_long", do_pop_long);
    without_memory("pop_list", do_pop_list);
    without_memory("slice", do_slice);
    without_memory("sort", do_sort);
    without_memory("replace", do_replace_some);
    without_memory("next", do_next);
    without_memory("append_list", do_append_list);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(a_full_arena_is_noticed_before_anything_changes, 60),
    TEST_CASE(a_transaction_may_be_too_large),
    TEST_CASE(where_malloc_fails_nothing_changes),
};
TEST_MAIN(cases)
