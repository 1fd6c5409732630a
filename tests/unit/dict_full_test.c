/* Dicts and sets in an arena that is full: what does not fit leaves no trace,
 * and what is taken out makes room. */
#include "unit/dict_support.h"

enum {
    MOST = 64 * 1024 /* the smallest arena */
};

/* Fill it up with strings, down to the last few bytes. */
static ipc_list *filler;

static void fill_up(size_t bytes)
{
    static char text[4096];
    memset(text, 'x', sizeof text);
    for (; bytes >= 16; bytes /= 2)
        while (ipc_list_append(filler, ipc_strn(text, bytes)) == 0)
            ;
}

static void make_full_arena(int items, size_t bytes)
{
    make_arena(MOST);
    ok(ipc_list_new(home, &filler));
    for (int i = 0; i < items; i++)
        ok(ipc_dict_set(dict, ipc_i64(i), ipc_i64(i)));
    fill_up(bytes);
}

static void end_full_arena(void)
{
    check_arena();
    ok(ipc_list_free(filler));
    end_arena();
}

/* ---- what does not fit ---- */

static void a_dict_that_cannot_grow_is_as_it_was(void)
{
    char text[200];
    make_full_arena(20, 2048);
    int added = 20;
    int rc = 0;
    while ((rc = ipc_dict_set(dict, ipc_i64(added), ipc_i64(added))) == 0)
        added++;
    expect_rc(rc, -ENOSPC);
    const uint64_t used = used_bytes();
    const ipc_dict_item items[] = {
        {ipc_i64(0), ipc_i64(100)},
        {ipc_str("new"), ipc_str(long_text(1, 199, text))}};
    ipc_any out = ipc_i64(4711);
    expect_rc(ipc_dict_update(dict, items, 2), -ENOSPC);
    expect_rc(ipc_dict_setdefault(dict, ipc_str("new"), ipc_nil(), &out),
              -ENOSPC);
    expect_rc(ipc_dict_incr(dict, ipc_str("new"), 1, NULL), -ENOSPC);
    expect_rc(ipc_dict_cas(dict, ipc_str("new"), NULL, &items[0].value),
              -ENOSPC);
    expect_rc(ipc_dict_set(dict, ipc_str(text), ipc_nil()), -ENOSPC);
    assert_int_equal(out.i64, 4711);
    expect_rc(ipc_dict_length(dict), added);
    for (int i = 0; i < added; i++)
        assert_int_equal(i64_of(ipc_i64(i)), i);
    expect_rc((int64_t)used_bytes(), (int64_t)used);
    check_arena();
    test_report("added", added);
    assert_true(added > 20);
    end_full_arena();
}

/* A string that does not fit in place of one that is there. */
static void a_value_that_does_not_fit_leaves_the_old_one(void)
{
    static char text[3000];
    make_arena(MOST);
    ok(ipc_list_new(home, &filler));
    ok(ipc_dict_set_str(dict, "key", "the old value, in a block"));
    fill_up(2048);
    const uint64_t used = used_bytes();
    expect_rc(ipc_dict_set_str(dict, "key", long_text(1, 2999, text)), -ENOSPC);
    expect_at(ipc_str("key"), ipc_str("the old value, in a block"));
    expect_rc((int64_t)used_bytes(), (int64_t)used);
    end_full_arena();
}

static void whatever_the_room_it_fits_or_leaves_no_trace(void)
{
    static const int sizes[] = {0,  1,  3,   4,   7,   8,   15,  16, 31,
                                32, 64, 100, 128, 200, 255, 256, 300};
    int full = 0;
    for (size_t n = 0; n < sizeof sizes / sizeof sizes[0]; n++) {
        for (size_t room = 16; room <= 4096; room *= 2) {
            make_full_arena(sizes[n], room);
            const uint64_t used = used_bytes();
            const int rc = ipc_dict_set(dict, ipc_str("a long enough key"),
                                        ipc_str("and a long value"));
            if (rc != 0) {
                expect_rc(rc, -ENOSPC);
                expect_rc((int64_t)used_bytes(), (int64_t)used);
                expect_missing(ipc_str("a long enough key"));
                full++;
            }
            expect_rc(ipc_dict_length(dict), sizes[n] + (rc == 0));
            end_full_arena();
        }
    }
    test_report("full", full);
    assert_true(full > 0);
}

static void copies_and_unions_that_do_not_fit(void)
{
    ipc_dict *copy = NULL, *small;
    ipc_set *set, *all, *made = NULL;
    make_arena(MOST);
    ok(ipc_list_new(home, &filler));
    ok(ipc_dict_new(home, &small));
    ok(ipc_set_new(home, &set));
    ok(ipc_set_new(home, &all));
    for (int i = 0; i < 300; i++) {
        ok(ipc_dict_set(dict, ipc_i64(i), ipc_i64(i)));
        expect_rc(ipc_set_add(all, ipc_i64(i)), 1);
    }
    ok(ipc_dict_set_i64(small, "mine", 1));
    expect_rc(ipc_set_add(set, ipc_i64(-1)), 1);
    fill_up(2048);
    const uint64_t used = used_bytes();
    expect_rc(ipc_dict_copy(dict, &copy), -ENOSPC);
    ipc_dict *const large = dict;
    expect_rc(ipc_dict_merge(small, large), -ENOSPC);
    expect_rc(ipc_set_copy(all, &made), -ENOSPC);
    expect_rc(ipc_set_union(set, all), -ENOSPC);
    assert_null(copy);
    assert_null(made);
    expect_items_of(small, "mine:1");
    expect_rc(ipc_set_length(set), 1);
    expect_rc((int64_t)used_bytes(), (int64_t)used);
    ok(ipc_dict_free(small));
    ok(ipc_set_free(set));
    ok(ipc_set_free(all));
    end_full_arena();
}

/* ---- what is taken out ---- */

static void to_take_out_needs_no_memory(void)
{
    make_full_arena(500, 2048);
    for (int i = 0; i < 500; i++) {
        ok(ipc_dict_pop(dict, ipc_i64(i), NULL));
        if (i % 50 == 0)
            check_arena();
    }
    expect_rc(ipc_dict_length(dict), 0);
    end_full_arena();
}

static void what_was_taken_out_is_room(void)
{
    ipc_dict *other;
    make_arena(MOST);
    ok(ipc_dict_new(home, &other));
    int count = 0;
    while (ipc_dict_set(dict, ipc_i64(count), ipc_i64(count)) == 0)
        count++;
    for (int i = 0; i < count - 10; i++)
        ok(ipc_dict_pop(dict, ipc_i64(i), NULL));
    for (int i = 0; i < count / 2; i++)
        ok(ipc_dict_set(other, ipc_i64(i), ipc_i64(i)));
    check_arena();
    ok(ipc_dict_free(other));
    test_report("count", count);
    end_arena();
}

static const struct test_case cases[] = {
    TEST_CASE(a_dict_that_cannot_grow_is_as_it_was),
    TEST_CASE(a_value_that_does_not_fit_leaves_the_old_one),
    TEST_CASE(whatever_the_room_it_fits_or_leaves_no_trace),
    TEST_CASE(copies_and_unions_that_do_not_fit),
    TEST_CASE(to_take_out_needs_no_memory),
    TEST_CASE(what_was_taken_out_is_room),
};
TEST_MAIN(cases)
