/* ipc_list: lists in lists, copies, others who change it, and waiting for
 * that. */
#include "unit/list_support.h"

#include "harness/role.h"

#include <pthread.h>
#include <unistd.h>

#include <ipc/dict.h>

#define LONG_TEXT "this string is much longer than an item can hold"

/* ---- lists in lists ---- */

static void a_list_in_a_list_is_the_thing_itself(void)
{
    ipc_list *inner;
    ipc_any any;
    make_arena(0);
    ok(ipc_list_append_list(list, &inner));
    ok(ipc_list_append_i64(inner, 1));
    ok(ipc_list_get(list, 0, &any));
    assert_int_equal(any.type, IPC_TYPE_LIST);
    ok(ipc_list_append_i64(any.list, 2));
    ipc_any_free(&any);
    assert_true(ipc_list_length(inner) == 2);
    expect_rc(ipc_list_contains(list, ipc_any_list(inner)), 1);
    ok(ipc_list_append(list, ipc_any_list(inner)));
    assert_true(ipc_list_count(list, ipc_any_list(inner)) == 2);
    ok(ipc_arena_check(home));
    ok(ipc_list_pop(list, 0, NULL));
    assert_true(ipc_list_length(inner) == 2);
    ok(ipc_list_set_i64(list, 0, 5));
    expect_rc(ipc_list_length(inner), -ESTALE);
    ok(ipc_list_close(inner));
    end_arena();
}

static void a_list_is_never_part_of_itself(void)
{
    ipc_list *a;
    ipc_list *b;
    make_arena(0);
    ok(ipc_list_append_list(list, &a));
    ok(ipc_list_append_list(a, &b));
    const ipc_any outer = ipc_any_list(list);
    const ipc_any several[] = {ipc_i64(1), ipc_str(LONG_TEXT), outer};
    expect_rc(ipc_list_append(list, outer), -ELOOP);
    expect_rc(ipc_list_append(b, outer), -ELOOP);
    expect_rc(ipc_list_insert(b, 0, outer), -ELOOP);
    ok(ipc_list_append_i64(b, 3));
    expect_rc(ipc_list_set(b, 0, outer), -ELOOP);
    expect_rc(ipc_list_extend(b, several, 3), -ELOOP);
    expect_rc(ipc_list_replace(b, 0, 1, several, 3), -ELOOP);
    expect_rc(ipc_list_append(b, ipc_any_list(a)), -ELOOP);
    assert_true(ipc_list_length(b) == 1);
    ok(ipc_list_append(a, ipc_any_list(b))); /* twice is no loop */
    ok(ipc_arena_check(home));
    ok(ipc_list_close(a));
    ok(ipc_list_close(b));
    end_arena();
}

static void handles_of_other_arenas_are_refused(void)
{
    ipc_arena *far_arena;
    ipc_list *far_list;
    make_arena(0);
    ok(ipc_arena_new(NULL, &far_arena));
    ok(ipc_list_new(far_arena, &far_list));
    expect_rc(ipc_list_append(list, ipc_any_list(far_list)), -EXDEV);
    expect_rc(ipc_list_append(list, ipc_any_list(NULL)), -EINVAL);
    expect_rc(ipc_list_append(list, ipc_any_dict((ipc_dict *)(void *)far_list)),
              -EINVAL);
    expect_empty();
    ok(ipc_list_free(far_list));
    ok(ipc_arena_free(far_arena));
    end_arena();
}

/* The only one who holds what is put in is what it is put in for. */
static void an_item_in_the_place_of_itself(void)
{
    ipc_list *inner;
    make_arena(0);
    ok(ipc_list_append_list(list, &inner));
    ok(ipc_list_append_i64(inner, 1));
    const ipc_any value = ipc_any_list(inner);
    ok(ipc_list_set(list, 0, value));
    ok(ipc_list_replace(list, 0, 1, &value, 1));
    assert_true(ipc_list_length(inner) == 1);
    ok(ipc_list_close(inner));
    end_arena();
}

static void many_levels_and_many_in_one(void)
{
    enum {
        LEVELS = 300,
        MANY = 3000
    };
    ipc_list *at;
    ipc_list *next;
    ipc_dict *dict;
    make_arena(0);
    ok(ipc_list_append_list(list, &at));
    for (int i = 0; i < LEVELS; i++) {
        ok(ipc_list_append_i64(at, i));
        ok(ipc_list_append_list(at, &next));
        ok(ipc_list_close(at));
        at = next;
    }
    expect_rc(ipc_list_append(at, ipc_any_list(list)), -ELOOP);
    for (int i = 0; i < MANY; i++) {
        ok(ipc_list_append_list(list, &next));
        ok(ipc_list_close(next));
    }
    ok(ipc_list_append_dict(list, &dict));
    expect_rc(ipc_list_contains(list, ipc_any_dict(dict)), 1);
    ok(ipc_arena_check(home));
    ok(ipc_list_reverse(list));
    ok(ipc_list_sort(list, 0));
    ok(ipc_arena_check(home));
    ok(ipc_list_clear(list));
    expect_rc(ipc_list_length(at), -ESTALE);
    ok(ipc_list_close(at));
    ok(ipc_dict_close(dict));
    end_arena();
}

static void a_copy_has_the_same_items(void)
{
    enum {
        ITEMS = 3000
    };
    ipc_list *inner;
    ipc_list *copy;
    make_arena(0);
    ok(ipc_list_copy(list, &copy));
    expect_rc(ipc_list_length(copy), 0);
    ok(ipc_list_free(copy));
    ok(ipc_list_append_list(list, &inner));
    ok(ipc_list_append(list, ipc_str(LONG_TEXT)));
    fill(2, ITEMS - 2);
    ok(ipc_list_copy(list, &copy));
    ok(ipc_arena_check(home));
    ok(ipc_list_append_i64(inner, 7));
    ok(ipc_list_clear(list));
    assert_true(ipc_list_length(copy) == ITEMS);
    assert_true(ipc_list_length(inner) == 1);
    for (int64_t i = 2; i < ITEMS; i++) {
        int64_t is;
        ok(ipc_list_get_i64(copy, i, &is));
        assert_int_equal(is, i);
    }
    char text[sizeof LONG_TEXT];
    ok(ipc_list_get_str(copy, 1, text, sizeof text));
    assert_string_equal(text, LONG_TEXT);
    expect_rc(ipc_list_append(inner, ipc_any_list(copy)), -ELOOP);
    ok(ipc_list_close(inner));
    ok(ipc_list_free(copy));
    end_arena();
}

/* ---- going through it ---- */

static void next_sees_what_is_there(void)
{
    ipc_list_cursor at = {0};
    ipc_any item;
    int64_t seen = 0;
    int rc;
    make_arena(0);
    fill(0, 5);
    while ((rc = ipc_list_next(list, &at, &item)) == 1) {
        assert_int_equal(item.i64, seen);
        seen++;
        if (seen == 3) {
            fill(5, 2);
            ok(ipc_list_pop(list, 0, NULL));
            seen++;
        }
    }
    expect_rc(rc, 0);
    assert_int_equal(seen, 7);
    expect_rc(ipc_list_next(list, &at, &item), 0);
    fill(7, 1);
    expect_rc(ipc_list_next(list, &at, &item), 1);
    at.index = UINT64_MAX;
    expect_rc(ipc_list_next(list, &at, &item), 0);
    end_arena();
}

/* ---- several processes ---- */

enum {
    EACH = 2000
};

static void append_each(void *arg)
{
    const int64_t first = (int64_t)(intptr_t)arg;
    for (int64_t i = 0; i < EACH; i++)
        ok(ipc_list_append_i64(list, first + i));
}

static void all_that_processes_append_is_there(void)
{
    struct role roles[4];
    int64_t counts[4] = {0};
    make_arena(0);
    for (int i = 0; i < 4; i++)
        role_start(&roles[i], append_each, (void *)(intptr_t)(i * 1000000));
    for (int i = 0; i < 4; i++)
        role_wait_ok(&roles[i], 10000);
    expect_rc(ipc_list_length(list), 4L * EACH);
    for (int64_t i = 0; i < 4L * EACH; i++) {
        const int64_t is = i64_at(i);
        assert_int_equal(is % 1000000, counts[is / 1000000]++);
    }
    end_arena();
}

/* ---- watch ---- */

static void *append_later(void *arg)
{
    wait_until_sleeping(*(const pid_t *)arg, 5000);
    ok(ipc_list_append_i64(list, 9));
    return NULL;
}

static void watch_waits_for_a_change(void)
{
    uint64_t version = 0;
    pthread_t thread;
    pid_t self = gettid();
    make_arena(0);
    ok(ipc_list_watch(list, &version, IPC_TIME_FOREVER)); /* at once */
    const uint64_t first = version;
    assert_true(first >= 1);
    expect_rc(ipc_list_watch(list, &version, IPC_TIME_NOW), -EAGAIN);
    expect_rc(ipc_list_watch(list, &version, ipc_after_ms(5)), -ETIMEDOUT);
    assert_int_equal(version, first);
    assert_int_equal(pthread_create(&thread, NULL, append_later, &self), 0);
    ok(ipc_list_watch(list, &version, ipc_after_ms(5000)));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(version > first);
    end_arena();
}

/* What changes nothing is no change; all else is. */
static void what_counts_as_a_change(void)
{
    uint64_t version = 0;
    uint64_t before;
    const ipc_any one = ipc_i64(1);
    make_arena(0);
    fill(0, 3);
    ok(ipc_list_watch(list, &version, IPC_TIME_NOW));
#define expect_change(call)                                                    \
    before = version;                                                          \
    ok(call);                                                                  \
    ok(ipc_list_watch(list, &version, IPC_TIME_NOW));                          \
    assert_true(version > before);
    expect_change(ipc_list_append(list, one));
    expect_change(ipc_list_insert(list, 0, one));
    expect_change(ipc_list_set(list, 0, one));
    expect_change(ipc_list_pop(list, 0, NULL));
    expect_change(ipc_list_remove(list, one));
    expect_change(ipc_list_extend(list, &one, 1));
    expect_change(ipc_list_replace(list, 0, 1, &one, 1));
    expect_change(ipc_list_reverse(list));
    expect_change(ipc_list_sort(list, IPC_LIST_DESCENDING));
    expect_change(ipc_list_clear(list));
#undef expect_change
    int64_t is;
    expect_rc(ipc_list_get_i64(list, 0, &is), -ERANGE);
    ok(ipc_list_extend(list, NULL, 0));
    expect_rc(ipc_list_set(list, 0, one), -ERANGE);
    expect_rc(ipc_list_watch(list, &version, IPC_TIME_NOW), -EAGAIN);
    end_arena();
}

static void watch_in_process(void *arg)
{
    uint64_t *version = arg;
    ok(ipc_list_watch(list, version, ipc_after_ms(5000)));
}

static void another_process_changes_it(void)
{
    struct role role;
    make_arena(0);
    uint64_t *version = test_shared(sizeof *version);
    ok(ipc_list_watch(list, version, IPC_TIME_NOW));
    const uint64_t first = *version;
    role_start(&role, watch_in_process, version);
    wait_until_sleeping(role.pid, 5000);
    ok(ipc_list_append_i64(list, 1));
    role_wait_ok(&role, 5000);
    assert_true(*version > first);
    end_arena();
}

static void watch_of_one_that_goes(void)
{
    ipc_list *inner;
    uint64_t version = 0;
    make_arena(0);
    ok(ipc_list_append_list(list, &inner));
    ok(ipc_list_watch(inner, &version, IPC_TIME_NOW));
    ok(ipc_list_pop(list, 0, NULL));
    expect_rc(ipc_list_watch(inner, &version, IPC_TIME_FOREVER), -ESTALE);
    ok(ipc_list_close(inner));
    end_arena();
}

/* ---- transactions ---- */

static void a_transaction_is_all_or_nothing(void)
{
    uint64_t version = 0;
    ipc_list *inner;
    make_arena(0);
    fill(0, 2000);
    ok(ipc_list_watch(list, &version, IPC_TIME_NOW));
    const uint64_t used = used_bytes();
    ok(ipc_atomic_begin(home));
    expect_rc(ipc_list_watch(list, &version, IPC_TIME_FOREVER), -EBUSY);
    for (int i = 0; i < 1990; i++)
        ok(ipc_list_pop(list, -1, NULL));
    for (int i = 0; i < 1500; i++)
        ok(ipc_list_append(list, ipc_str(LONG_TEXT)));
    ok(ipc_list_append_list(list, &inner));
    ok(ipc_list_append_i64(inner, 1));
    expect_rc(ipc_list_pop(list, 5000, NULL), -ERANGE);
    ok(ipc_list_sort(list, IPC_LIST_DESCENDING));
    ok(ipc_atomic_abort(home));
    expect_rc(ipc_list_length(inner), -ESTALE);
    ok(ipc_list_close(inner));
    expect_counting(0, 2000);
    expect_rc(ipc_list_watch(list, &version, IPC_TIME_NOW), -EAGAIN);
    assert_int_equal(used_bytes(), used);
    ok(ipc_atomic_begin(home));
    ok(ipc_list_clear(list));
    fill(0, 3);
    ok(ipc_atomic_commit(home));
    expect_counting(0, 3);
    end_arena();
}

static const struct test_case cases[] = {
    TEST_CASE(a_list_in_a_list_is_the_thing_itself),
    TEST_CASE(a_list_is_never_part_of_itself),
    TEST_CASE(handles_of_other_arenas_are_refused),
    TEST_CASE(an_item_in_the_place_of_itself),
    TEST_CASE(many_levels_and_many_in_one),
    TEST_CASE(a_copy_has_the_same_items),
    TEST_CASE(next_sees_what_is_there),
    TEST_CASE(all_that_processes_append_is_there),
    TEST_CASE(watch_waits_for_a_change),
    TEST_CASE(what_counts_as_a_change),
    TEST_CASE(another_process_changes_it),
    TEST_CASE(watch_of_one_that_goes),
    TEST_CASE(a_transaction_is_all_or_nothing),
};
TEST_MAIN(cases)
