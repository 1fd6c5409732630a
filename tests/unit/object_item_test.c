/* What lies in an arena: items, and the objects that they hold. */
#include "unit/lock_support.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include <ipc/arena.h>
#include <ipc/dict.h>
#include <ipc/list.h>

#include "object/object.h"

/* ---- helpers ---- */

static ipc_arena *new_arena(void)
{
    ipc_arena *arena = NULL;
    expect_rc(ipc_arena_new(NULL, &arena), 0);
    return arena;
}

static ipc_arena_info query(ipc_arena *arena)
{
    ipc_arena_info info = IPC_ARENA_INFO_INIT;
    expect_rc(ipc_arena_query(arena, &info), 0);
    return info;
}

/* Nothing is left in it. */
static void free_arena(ipc_arena *arena)
{
    expect_rc(ipc_arena_check(arena), 0);
    const ipc_arena_info info = query(arena);
    assert_int_equal(info.objects, 0);
    assert_int_equal(info.used_bytes, 0);
    expect_rc(ipc_arena_free(arena), 0);
}

static ipc_list *new_list(ipc_arena *arena)
{
    ipc_list *list = NULL;
    expect_rc(ipc_list_new(arena, &list), 0);
    return list;
}

static void enter(struct ipc__visit *v, ipc_arena *arena)
{
    expect_rc(ipc__arena_enter(v, arena), 0);
}

/* Make an item of a value, and drop it again. */
static int make(ipc_arena *arena, const struct ipc__object *into, ipc_any value)
{
    struct ipc__visit v;
    struct ipc__item item;
    enter(&v, arena);
    if (ipc__item_make(&v, into, &value, &item) >= 0)
        ipc__item_drop(&v, &item);
    return ipc__arena_leave(&v);
}

/* Through an item and back. */
static void expect_back(ipc_arena *arena, ipc_any value)
{
    struct ipc__visit v;
    struct ipc__item item;
    struct ipc__item copy;
    ipc_any back[2];
    enter(&v, arena);
    expect_rc(ipc__item_make(&v, NULL, &value, &item), 0);
    expect_rc(ipc__item_copy(&v, NULL, &item, &copy), 0);
    assert_true(ipc__item_equals(&v, &copy, &value));
    assert_int_equal(ipc__item_compare(&v, &item, &copy), 0);
    expect_rc(ipc__item_get(&v, &item, &back[0]), 0);
    ipc__item_drop(&v, &item);
    expect_rc(ipc__item_get(&v, &copy, &back[1]), 0);
    ipc__item_drop(&v, &copy);
    expect_rc(ipc__arena_leave(&v), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ipc_any_compare(&back[i], &value), 0);
        if (value.type == IPC_TYPE_STR || value.type == IPC_TYPE_BYTES)
            assert_int_equal(back[i].str[back[i].size], '\0');
        ipc_any_free(&back[i]);
    }
}

/* ---- items ---- */

static void values_come_back_as_they_were(void)
{
    ipc_arena *arena = new_arena();
    const ipc_any values[] = {
        ipc_nil(),         ipc_bool(false),    ipc_bool(true),
        ipc_i64(0),        ipc_i64(INT64_MIN), ipc_u64(UINT64_MAX),
        ipc_f64(0.1),      ipc_f64(-0.0),      ipc_f64(NAN),
        ipc_strn(NULL, 0), ipc_bytes(NULL, 0), ipc_strn("a\0b", 3)};
    for (size_t i = 0; i < array_length(values); i++)
        expect_back(arena, values[i]);
    free_arena(arena);
}

static void strings_of_all_lengths_come_back(void)
{
    enum {
        MOST = 5000
    };
    ipc_arena *arena = new_arena();
    char text[MOST];
    for (size_t i = 0; i < MOST; i++)
        text[i] = (char)('a' + i % 26);
    for (size_t size = 0; size <= MOST; size += size < 70 ? 1 : 493) {
        expect_back(arena, ipc_strn(text, size));
        expect_back(arena, ipc_bytes(text, size));
    }
    free_arena(arena);
}

static void short_strings_take_no_memory(void)
{
    ipc_arena *arena = new_arena();
    struct ipc__visit v;
    struct ipc__item item[2];
    const ipc_any fourteen = ipc_str("12345678901234");
    const ipc_any fifteen = ipc_str("123456789012345");

    enter(&v, arena);
    expect_rc(ipc__item_make(&v, NULL, &fourteen, &item[0]), 0);
    assert_int_equal(arena->used, 0);
    assert_int_equal(item[0].tag, IPC_TYPE_STR);
    expect_rc(ipc__item_make(&v, NULL, &fifteen, &item[1]), 0);
    assert_true(arena->used > 0);
    assert_int_equal(item[1].tag_word, IPC_TYPE_STR | IPC__ITEM_LONG);
    assert_int_equal(item[1].size, 15);
    assert_true(ipc__item_compare(&v, &item[0], &item[1]) < 0);
    assert_false(ipc__item_equals(&v, &item[0], &fifteen));
    assert_false(ipc__item_equals(&v, &item[1], &fourteen));
    ipc__item_drop(&v, &item[0]);
    ipc__item_drop(&v, &item[1]);
    expect_rc(ipc__arena_leave(&v), 0);
    free_arena(arena);
}

/* Equal ones are the same words, whatever was in the memory before. */
static void items_have_one_form(void)
{
    ipc_arena *arena = new_arena();
    struct ipc__visit v;
    struct ipc__item item[2];
    ipc_any forced = ipc_i64(5);
    forced.type = IPC_TYPE_U64;
    const ipc_any pairs[][2] = {{forced, ipc_i64(5)},
                                {ipc_str("abc"), ipc_strn("abcd", 3)},
                                {ipc_bool(true), ipc_bool(true)},
                                {ipc_nil(), ipc_nil()}};
    enter(&v, arena);
    for (size_t i = 0; i < array_length(pairs); i++) {
        for (int k = 0; k < 2; k++) {
            memset(&item[k], 0x55 << k, sizeof item[k]);
            expect_rc(ipc__item_make(&v, NULL, &pairs[i][k], &item[k]), 0);
        }
        assert_memory_equal(&item[0], &item[1], sizeof item[0]);
    }
    expect_rc(ipc__arena_leave(&v), 0);
    free_arena(arena);
}

static void values_that_are_none_are_refused(void)
{
    ipc_arena *arena = new_arena();
    ipc_list *list = new_list(arena);
    ipc_any wrong = ipc_any_list(list);
    wrong.type = IPC_TYPE_DICT;

    expect_rc(make(arena, NULL, (ipc_any){.type = 11}), -EINVAL);
    expect_rc(make(arena, NULL, (ipc_any){.type = UINT32_MAX}), -EINVAL);
    expect_rc(make(arena, NULL, ipc_strn(NULL, 1)), -EINVAL);
    expect_rc(make(arena, NULL, ipc_bytes("", IPC_ANY_BYTES_MAX + 1)), -EINVAL);
    expect_rc(make(arena, NULL, ipc_bytes("", SIZE_MAX)), -EINVAL);
    expect_rc(make(arena, NULL, ipc_any_list(list)), -EINVAL);
    expect_detail("cannot be a key");
    expect_rc(ipc_list_append(list, wrong), -EINVAL);
    expect_rc(ipc_list_append(list, ipc_any_list(NULL)), -EINVAL);
    expect_rc((int)ipc_list_length(list), 0);
    expect_rc(ipc_list_free(list), 0);
    free_arena(arena);
}

/* What was made in a visit that fails never was. */
static void failing_leaves_nothing(void)
{
    ipc_arena *arena = new_arena();
    ipc_list *list = new_list(arena);
    ipc_list *inner = new_list(arena);
    const ipc_arena_info before = query(arena);
    struct ipc__visit v;
    struct ipc__object *into;
    struct ipc__item item;
    const ipc_any text = ipc_str("longer than fourteen bytes");
    const ipc_any held = ipc_any_list(inner);

    expect_rc(ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &into), 0);
    expect_rc(ipc__item_make(&v, into, &text, &item), 0);
    expect_rc(ipc__item_make(&v, into, &held, &item), 0);
    assert_non_null(ipc__object_make(&v, IPC_TYPE_DICT));
    expect_rc(ipc__visit_fail(&v, -ERANGE, "on purpose"), -ERANGE);
    expect_rc(ipc__item_make(&v, into, &text, &item), -ERANGE);
    assert_null(ipc__object_make(&v, IPC_TYPE_DICT));
    expect_rc(ipc__arena_leave(&v), -ERANGE);
    expect_detail("on purpose");

    const ipc_arena_info after = query(arena);
    assert_int_equal(after.objects, before.objects);
    assert_int_equal(after.used_bytes, before.used_bytes);
    expect_rc(ipc_arena_check(arena), 0);
    expect_rc(ipc_list_free(inner), 0);
    expect_rc(ipc_list_free(list), 0);
    free_arena(arena);
}

/* ---- handles ---- */

static void handles_of_another_arena_are_refused(void)
{
    ipc_arena *arena = new_arena();
    ipc_arena *elsewhere = new_arena();
    ipc_list *list = new_list(arena);
    ipc_list *stranger = new_list(elsewhere);
    expect_rc(ipc_list_append(list, ipc_any_list(stranger)), -EXDEV);
    expect_detail("another arena");
    expect_rc(ipc_list_free(stranger), 0);
    expect_rc(ipc_list_free(list), 0);
    free_arena(elsewhere);
    free_arena(arena);
}

static void handles_of_what_is_gone_are_stale(void)
{
    ipc_arena *arena = new_arena();
    ipc_list *list = new_list(arena);
    ipc_list *inner = NULL;
    expect_rc(ipc_list_append_list(list, &inner), 0);
    expect_rc(ipc_list_append_i64(inner, 1), 0);
    expect_rc(ipc_list_pop(list, 0, NULL), 0);
    expect_rc(ipc_list_append_i64(inner, 2), -ESTALE);
    expect_rc(ipc_list_append(list, ipc_any_list(inner)), -ESTALE);

    /* Nor does it find what comes where it was. */
    ipc_list *next = NULL;
    expect_rc(ipc_list_append_list(list, &next), 0);
    expect_rc(ipc_list_append_i64(inner, 2), -ESTALE);
    expect_rc((int)ipc_list_length(next), 0);
    expect_rc(ipc_list_close(inner), 0);
    expect_rc(ipc_list_close(next), 0);
    expect_rc(ipc_list_free(list), 0);
    free_arena(arena);
}

static void handles_are_of_one_type(void)
{
    ipc_arena *arena = new_arena();
    ipc_list *list = new_list(arena);
    struct ipc__visit v;
    struct ipc__object *object;
    expect_rc(ipc__handle_enter(&v, &list->handle, IPC_TYPE_DICT, &object),
              -EINVAL);
    expect_detail("the handle of a list, not of a dict");
    expect_rc(ipc__handle_free(&list->handle, IPC_TYPE_DICT), -EINVAL);
    expect_rc(ipc_list_free(list), 0);
    free_arena(arena);
}

static void what_new_made_is_ended_by_free_only(void)
{
    ipc_arena *arena = new_arena();
    ipc_list *list = new_list(arena);
    ipc_list *inner = new_list(arena);
    expect_rc(ipc_list_close(list), -EINVAL);
    expect_detail("ipc_list_new()");
    expect_rc(ipc_list_append(list, ipc_any_list(inner)), 0);
    expect_rc(ipc_list_free(inner), 0);

    /* It lives on where it is held. */
    ipc_any got;
    expect_rc(ipc_list_get(list, 0, &got), 0);
    assert_int_equal(got.type, IPC_TYPE_LIST);
    expect_rc(ipc_list_append_i64(got.list, 5), 0);
    expect_rc(ipc_list_free(got.list), -EINVAL);
    ipc_any_free(&got);
    expect_rc(ipc_list_free(list), 0);
    expect_rc(ipc_list_free(NULL), 0);
    expect_rc(ipc_list_close(NULL), 0);
    free_arena(arena);
}

/* ---- handles and transactions ---- */

static void freed_in_a_transaction_that_is_aborted_it_lives(void)
{
    ipc_arena *arena = new_arena();
    ipc_list *list = new_list(arena);
    expect_rc(ipc_list_append_i64(list, 7), 0);
    for (int i = 0; i < 3; i++) {
        int64_t value = 0;
        expect_rc(ipc_atomic_begin(arena), 0);
        expect_rc(ipc_list_free(list), 0);
        expect_rc(ipc_list_append_i64(list, 8), -ESTALE);
        expect_rc(ipc_list_free(list), -EINVAL);
        expect_rc(ipc_atomic_abort(arena), 0);
        expect_rc(ipc_list_get_i64(list, -1, &value), 0);
        assert_int_equal(value, 7);
    }
    expect_rc(ipc_atomic_begin(arena), 0);
    expect_rc(ipc_list_free(list), 0);
    expect_rc(ipc_atomic_commit(arena), 0);
    free_arena(arena);
}

/* The way to build something that appears in one step. */
static void made_and_freed_in_a_transaction(void)
{
    ipc_arena *arena = new_arena();
    ipc_list *list = new_list(arena);
    ipc_shared_info before = IPC_SHARED_INFO_INIT;
    ipc_shared_info after = IPC_SHARED_INFO_INIT;
    expect_rc(ipc_shared_query(&before), 0);
    for (int i = 0; i < 4; i++) {
        expect_rc(ipc_atomic_begin(arena), 0);
        ipc_list *row = new_list(arena);
        expect_rc(ipc_list_append_i64(row, i), 0);
        expect_rc(ipc_list_append(list, ipc_any_list(row)), 0);
        expect_rc(ipc_list_free(row), 0);
        expect_rc(
            i % 2 == 0 ? ipc_atomic_commit(arena) : ipc_atomic_abort(arena), 0);
        expect_rc(ipc_arena_check(arena), 0);
    }
    expect_rc((int)ipc_list_length(list), 2);
    expect_rc(ipc_shared_query(&after), 0);
    assert_int_equal(after.count, before.count);
    expect_rc(ipc_list_free(list), 0);
    free_arena(arena);
}

static void what_an_aborted_transaction_made_is_stale(void)
{
    ipc_arena *arena = new_arena();
    expect_rc(ipc_atomic_begin(arena), 0);
    ipc_list *never = new_list(arena);
    expect_rc(ipc_list_append_i64(never, 1), 0);
    expect_rc(ipc_atomic_abort(arena), 0);
    expect_rc(ipc_list_append_i64(never, 2), -ESTALE);

    ipc_list *list = new_list(arena); /* where that one would be */
    expect_rc(ipc_list_append_i64(never, 2), -ESTALE);
    expect_rc((int)ipc_list_length(list), 0);
    expect_rc(ipc_list_free(never), 0);
    expect_rc(ipc_list_free(list), 0);
    free_arena(arena);
}

/* ---- part of itself ---- */

static void nothing_becomes_part_of_itself(void)
{
    ipc_arena *arena = new_arena();
    ipc_list *list = new_list(arena);
    ipc_dict *dict = NULL;
    ipc_list *inner = NULL;
    expect_rc(ipc_dict_new(arena, &dict), 0);
    expect_rc(ipc_list_append(list, ipc_any_list(list)), -ELOOP);
    expect_rc(ipc_list_append(list, ipc_any_dict(dict)), 0);
    expect_rc(ipc_dict_list(dict, "inner", &inner), 0);
    expect_rc(ipc_list_append(inner, ipc_any_list(inner)), -ELOOP);
    expect_rc(ipc_list_append(inner, ipc_any_dict(dict)), -ELOOP);
    expect_rc(ipc_list_append(inner, ipc_any_list(list)), -ELOOP);
    expect_rc(ipc_dict_set(dict, ipc_str("list"), ipc_any_list(list)), -ELOOP);
    expect_detail("part of itself");
    expect_rc((int)ipc_list_length(inner), 0);

    /* Twice in the same place is fine; and once it is out, so is the other way
     * round. */
    expect_rc(ipc_list_append(list, ipc_any_dict(dict)), 0);
    expect_rc(ipc_list_append(list, ipc_any_list(inner)), 0);
    expect_rc(ipc_list_clear(list), 0);
    expect_rc(ipc_list_append(inner, ipc_any_list(list)), 0);
    expect_rc(ipc_arena_check(arena), 0);
    expect_rc(ipc_list_close(inner), 0);
    expect_rc(ipc_dict_free(dict), 0);
    expect_rc(ipc_list_free(list), 0);
    free_arena(arena);
}

enum {
    DEEP = 1000
};

/* Nothing that goes through it takes its depth from the stack. */
static void nesting_may_be_deep(void)
{
    ipc_arena *arena = new_arena();
    ipc_list *top = new_list(arena);
    ipc_list *at = top;
    for (int i = 0; i < DEEP; i++) {
        ipc_list *below = NULL;
        expect_rc(ipc_list_append_list(at, &below), 0);
        if (at != top)
            expect_rc(ipc_list_close(at), 0);
        at = below;
    }
    expect_rc(ipc_list_append(at, ipc_any_list(top)), -ELOOP);
    expect_rc(ipc_arena_check(arena), 0);
    assert_int_equal(query(arena).objects, DEEP + 1);
    expect_rc(ipc_list_close(at), 0);
    expect_rc(ipc_list_free(top), 0);
    free_arena(arena);
}

/* Each holds the one below twice: 2^48 ways lead to the last one. */
static void many_ways_are_gone_once(void)
{
    enum {
        LEVELS = 48
    };
    ipc_arena *arena = new_arena();
    ipc_list *bottom = new_list(arena);
    ipc_list *at = bottom;
    for (int i = 0; i < LEVELS; i++) {
        ipc_list *above = new_list(arena);
        expect_rc(ipc_list_append(above, ipc_any_list(at)), 0);
        expect_rc(ipc_list_append(above, ipc_any_list(at)), 0);
        if (at != bottom)
            expect_rc(ipc_list_free(at), 0);
        at = above;
    }
    expect_rc(ipc_list_append(bottom, ipc_any_list(at)), -ELOOP);
    expect_rc(ipc_arena_check(arena), 0);
    expect_rc(ipc_list_free(at), 0);
    expect_rc(ipc_list_free(bottom), 0);
    free_arena(arena);
}

/* ---- watching ---- */

struct post {
    ipc_list *list;
    int rc;
    uint64_t version;
};

static void watch(void *arg)
{
    struct post *post = arg;
    post->rc = ipc_list_watch(post->list, &post->version, IPC_TIME_FOREVER);
}

static void who_watches_is_woken_by_a_change(void)
{
    ipc_arena *arena = new_arena();
    struct post *post = test_shared(sizeof *post);
    struct role role;
    post->list = new_list(arena);
    expect_rc(ipc_list_watch(post->list, &post->version, IPC_TIME_NOW), 0);
    for (int i = 0; i < 3; i++) {
        role_start(&role, watch, post);
        wait_until_sleeping(role.pid, LIMIT_MS);
        expect_rc(ipc_list_append_i64(post->list, i), 0);
        role_wait_ok(&role, LIMIT_MS);
        expect_rc(post->rc, 0);
        expect_rc(ipc_list_watch(post->list, &post->version, IPC_TIME_NOW),
                  -EAGAIN);
    }
    expect_rc(ipc_list_free(post->list), 0);
    free_arena(arena);
}

static void who_watches_is_woken_by_the_end(void)
{
    ipc_arena *arena = new_arena();
    ipc_list *list = new_list(arena);
    struct post *post = test_shared(sizeof *post);
    struct role role;
    expect_rc(ipc_list_append_list(list, &post->list), 0);
    expect_rc(ipc_list_watch(post->list, &post->version, IPC_TIME_NOW), 0);
    role_start(&role, watch, post);
    wait_until_sleeping(role.pid, LIMIT_MS);
    expect_rc(ipc_list_clear(list), 0);
    role_wait_ok(&role, LIMIT_MS);
    expect_rc(post->rc, -ESTALE);
    expect_rc(ipc_list_close(post->list), 0);
    expect_rc(ipc_list_free(list), 0);
    free_arena(arena);
}

static void watching_has_its_errors(void)
{
    ipc_arena *arena = new_arena();
    ipc_list *list = new_list(arena);
    uint64_t version = 0;
    expect_rc(ipc_list_watch(list, &version, IPC_TIME_FOREVER), 0);
    assert_true(version > 0);
    expect_rc(ipc_list_watch(list, &version, IPC_TIME_NOW), -EAGAIN);
    expect_detail("the list has not changed");
    expect_rc(ipc_list_watch(list, &version, ipc_after_ms(20)), -ETIMEDOUT);
    expect_rc(ipc_list_watch(list, &version, 1), -ETIMEDOUT);
    expect_rc(ipc_atomic_begin(arena), 0);
    expect_rc(ipc_list_watch(list, &version, IPC_TIME_FOREVER), -EBUSY);
    expect_rc(ipc_list_append_i64(list, 1), 0);
    expect_rc(ipc_atomic_commit(arena), 0);
    expect_rc(ipc_list_watch(list, &version, IPC_TIME_FOREVER), 0);
    expect_rc(ipc_list_free(list), 0);
    free_arena(arena);
}

/* The bell is rung for those who have asked for it, once. */
static void what_nobody_watches_rings_once_at_most(void)
{
    ipc_arena *arena = new_arena();
    ipc_list *list = new_list(arena);
    uint64_t version = 0;
    expect_rc(ipc_list_append_i64(list, 1), 0);
    assert_int_equal(arena->bell, 0);
    expect_rc(ipc_list_watch(list, &version, IPC_TIME_FOREVER), 0);
    expect_rc(ipc_list_watch(list, &version, ipc_after_ms(5)), -ETIMEDOUT);
    for (int i = 0; i < 5; i++) {
        expect_rc(ipc_list_append_i64(list, i), 0);
        assert_int_equal(arena->bell, 1);
    }
    expect_rc(ipc_list_free(list), 0);
    free_arena(arena);
}

/* ---- spoilt memory ---- */

static void items_that_nobody_wrote_are_found(void)
{
    const struct ipc__item garbage[] = {
        {.tag_word = IPC_TYPE_STR | 15u << 8}, /* longer than it can be */
        {.tag_word = IPC_TYPE_STR | IPC__ITEM_LONG, .size = 14, .value = 4096},
        {.tag_word = IPC_TYPE_STR | IPC__ITEM_LONG, .size = 20, .value = 8},
        {.tag_word = IPC_TYPE_BYTES | IPC__ITEM_LONG,
         .size = 20,
         .value = UINT64_MAX},
        {.tag_word = IPC_TYPE_I64 | IPC__ITEM_LONG, .size = 20, .value = 8},
        {.tag_word = IPC_TYPE_LIST, .value = 0},
        {.tag_word = IPC_TYPE_LIST, .value = (uint64_t)1 << 50},
        {.tag_word = 0x7f},
    };
    for (size_t i = 0; i < array_length(garbage); i++) {
        ipc_arena *arena = new_arena();
        struct ipc__visit v;
        ipc_any out = ipc_i64(4711);
        enter(&v, arena);
        expect_rc(ipc__item_get(&v, &garbage[i], &out), -EUCLEAN);
        assert_int_equal(out.i64, 4711);
        expect_rc(ipc__arena_leave(&v), -EUCLEAN);
        expect_rc(ipc__arena_enter(&v, arena), -EUCLEAN);
        expect_rc(ipc_arena_free(arena), 0);
    }
}

static struct ipc__object *object_of(ipc_list *list)
{
    return (struct ipc__object *)(void *)((char *)list->handle.arena +
                                          list->handle.at);
}

static void wrong_counts_are_found(void)
{
    ipc_arena *arena = new_arena();
    ipc_list *list = new_list(arena);
    ipc_list *inner = new_list(arena);
    expect_rc(ipc_list_append(list, ipc_any_list(inner)), 0);
    struct ipc__object *object = object_of(inner);
    assert_int_equal(object->refs, 2);
    expect_rc(ipc_arena_check(arena), 0);

    object->refs = 3;
    expect_rc(ipc_arena_check(arena), -EUCLEAN);
    expect_detail("2 hold a list that counts 3");
    object->refs = 1;
    expect_rc(ipc_arena_check(arena), -EUCLEAN);
    object->refs = 2;
    object->version = 0;
    expect_rc(ipc_arena_check(arena), -EUCLEAN);
    object->version = 1;
    object->type |= 0x400;
    expect_rc(ipc_arena_check(arena), -EUCLEAN);
    object->type &= 0x3ff;
    arena->objects++;
    expect_rc(ipc_arena_check(arena), -EUCLEAN);
    arena->objects--;
    expect_rc(ipc_arena_check(arena), 0);
    expect_rc(ipc_list_free(inner), 0);
    expect_rc(ipc_list_free(list), 0);
    free_arena(arena);
}

static const struct test_case cases[] = {
    TEST_CASE(values_come_back_as_they_were),
    TEST_CASE(strings_of_all_lengths_come_back),
    TEST_CASE(short_strings_take_no_memory),
    TEST_CASE(items_have_one_form),
    TEST_CASE(values_that_are_none_are_refused),
    TEST_CASE(failing_leaves_nothing),
    TEST_CASE(handles_of_another_arena_are_refused),
    TEST_CASE(handles_of_what_is_gone_are_stale),
    TEST_CASE(handles_are_of_one_type),
    TEST_CASE(what_new_made_is_ended_by_free_only),
    TEST_CASE(freed_in_a_transaction_that_is_aborted_it_lives),
    TEST_CASE(made_and_freed_in_a_transaction),
    TEST_CASE(what_an_aborted_transaction_made_is_stale),
    TEST_CASE(nothing_becomes_part_of_itself),
    TEST_CASE(nesting_may_be_deep),
    TEST_CASE(many_ways_are_gone_once),
    TEST_CASE(who_watches_is_woken_by_a_change),
    TEST_CASE(who_watches_is_woken_by_the_end),
    TEST_CASE(watching_has_its_errors),
    TEST_CASE(what_nobody_watches_rings_once_at_most),
    TEST_CASE(items_that_nobody_wrote_are_found),
    TEST_CASE(wrong_counts_are_found),
};
TEST_MAIN(cases)
