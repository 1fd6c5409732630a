/* ipc_list: at the sizes where it changes its form, and against an array with
 * random operations. */
#include "unit/list_support.h"

#include "harness/scale.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- sizes ---- */

static const int64_t sizes[] = {0,   1,    2,    3,    4,    5,    7,    15,
                                16,  17,   63,   64,   65,   255,  256,  257,
                                900, 1023, 1024, 1025, 2047, 2048, 2049, 5000};

static void each_size(void (*fn)(int64_t size))
{
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        make_arena(0);
        fn(sizes[i]);
        end_arena();
    }
}

static void up_and_down_at_the_end(int64_t size)
{
    int64_t is;
    fill(0, size);
    expect_counting(0, size);
    ok(ipc_arena_check(home));
    for (int64_t i = size; i > 0; i--) {
        ok(ipc_list_pop_i64(list, -1, &is));
        assert_int_equal(is, i - 1);
    }
    expect_empty();
    ok(ipc_arena_check(home));
    fill(0, size);
    expect_counting(0, size);
}

static void up_and_down_at_the_beginning(int64_t size)
{
    int64_t is;
    for (int64_t i = size; i > 0; i--)
        ok(ipc_list_insert(list, 0, ipc_i64(i - 1)));
    expect_counting(0, size);
    ok(ipc_arena_check(home));
    for (int64_t i = 0; i < size; i++) {
        ok(ipc_list_pop_i64(list, 0, &is));
        assert_int_equal(is, i);
    }
    expect_empty();
    ok(ipc_arena_check(home));
    fill(0, size);
    expect_counting(0, size);
}

/* Through the ring several times. */
static void as_a_line(int64_t size)
{
    int64_t is;
    fill(0, size);
    for (int64_t i = 0; i < 3 * size + 10; i++) {
        ok(ipc_list_append_i64(list, size + i));
        ok(ipc_list_pop_i64(list, 0, &is));
        assert_int_equal(is, i);
    }
    ok(ipc_arena_check(home));
    expect_counting(3 * size + 10, size);
    for (int64_t i = 3 * size + 9; i >= 0; i--) {
        ok(ipc_list_insert(list, 0, ipc_i64(i)));
        ok(ipc_list_pop_i64(list, -1, &is));
        assert_int_equal(is, size + i);
    }
    expect_counting(0, size);
}

static void in_one_step(int64_t size)
{
    ipc_any *values = calloc((size_t)size + 1, sizeof *values);
    assert_non_null(values);
    for (int64_t i = 0; i < size; i++)
        values[i] = ipc_i64(i);
    ok(ipc_list_extend(list, values, (size_t)size));
    expect_counting(0, size);
    ok(ipc_arena_check(home));
    ok(ipc_list_replace(list, 0, INT64_MAX, values, (size_t)size));
    expect_counting(0, size);
    ok(ipc_list_replace(list, 0, INT64_MAX, NULL, 0));
    expect_empty();
    ok(ipc_list_replace(list, 0, 0, values, (size_t)size));
    ok(ipc_list_replace(list, size / 2, size / 2, values, (size_t)size));
    ok(ipc_arena_check(home));
    ok(ipc_list_replace(list, size / 2, size / 2 + size, NULL, 0));
    expect_counting(0, size);
    ok(ipc_list_reverse(list));
    if (size > 0)
        assert_int_equal(i64_at(0), size - 1);
    ok(ipc_list_sort(list, 0));
    expect_counting(0, size);
    ok(ipc_list_clear(list));
    expect_empty();
    free(values);
}

static void all_sizes_at_the_end(void)
{
    each_size(up_and_down_at_the_end);
}

static void all_sizes_at_the_beginning(void)
{
    each_size(up_and_down_at_the_beginning);
}

static void all_sizes_as_a_line(void)
{
    each_size(as_a_line);
}

static void all_sizes_in_one_step(void)
{
    each_size(in_one_step);
}

static void a_large_list(void)
{
    enum {
        LARGE = 100000
    };
    make_arena(0);
    fill(0, LARGE);
    expect_counting(0, LARGE);
    ok(ipc_list_insert(list, LARGE / 2, ipc_i64(-1)));
    ok(ipc_list_insert(list, 1, ipc_i64(-2)));
    ok(ipc_list_insert(list, LARGE, ipc_i64(-3)));
    ok(ipc_arena_check(home));
    ok(ipc_list_pop(list, LARGE, NULL));
    ok(ipc_list_pop(list, 1, NULL));
    ok(ipc_list_pop(list, LARGE / 2, NULL));
    expect_counting(0, LARGE);
    ok(ipc_list_reverse(list));
    assert_int_equal(i64_at(0), LARGE - 1);
    ok(ipc_list_sort(list, 0));
    expect_counting(0, LARGE);
    end_arena();
}

/* What it takes does not grow while it stays as long as it is. */
static void a_line_takes_no_more_and_more(void)
{
    make_arena(0);
    fill(0, 3000);
    for (int i = 0; i < 2048; i++) {
        ok(ipc_list_append_i64(list, i));
        ok(ipc_list_pop(list, 0, NULL));
    }
    const uint64_t used = used_bytes();
    for (int i = 0; i < 50 * 1024; i++) {
        ok(ipc_list_append_i64(list, i));
        ok(ipc_list_pop(list, 0, NULL));
    }
    assert_true(used_bytes() <= used + 17000); /* a chunk */
    end_arena();
}

/* ---- random operations ---- */

enum {
    ROOM = 6000,
    MANY = 1500
};

struct model {
    int64_t items[ROOM];
    int64_t count;
    int64_t next; /* number to put in */
    bool text;    /* long strings, not numbers */
    struct test_random random;
};

static long pick(struct model *m, int64_t low, int64_t high)
{
    return test_random_between(&m->random, low, high);
}

/* Each number is a value of its own type. */
static ipc_any value_of(const struct model *m, int64_t number, char text[48])
{
    if (m->text || number % 7 == 0) {
        (void)snprintf(text, 48, "%0*" PRId64, number % 3 == 0 ? 10 : 40,
                       number);
        return ipc_str(text);
    }
    return number % 5 == 0 ? ipc_f64((double)number) : ipc_i64(number);
}

static void expect_number(const struct model *m, ipc_any *is, int64_t number)
{
    char text[48];
    const ipc_any wanted = value_of(m, number, text);
    if (!ipc_any_equal(is, &wanted))
        test_fail("type %u, not %" PRId64, is->type, number);
    ipc_any_free(is);
}

static void model_splice(struct model *m, int64_t at, int64_t removed,
                         int64_t added)
{
    memmove(m->items + at + added, m->items + at + removed,
            (size_t)(m->count - at - removed) * sizeof m->items[0]);
    m->count += added - removed;
    for (int64_t i = 0; i < added; i++)
        m->items[at + i] = m->next + i;
    m->next += added;
}

/* count new values, in memory of the caller's. */
static ipc_any *make_values(struct model *m, int64_t count)
{
    static ipc_any values[MANY];
    static char text[MANY][48];
    for (int64_t i = 0; i < count; i++)
        values[i] = value_of(m, m->next + i, text[i]);
    return values;
}

static void some_one(struct model *m, int kind)
{
    ipc_any any;
    const int64_t at = m->count > 0 ? pick(m, 0, m->count - 1) : 0;
    if (kind < 4 && m->count < ROOM) {
        ok(ipc_list_append(list, make_values(m, 1)[0]));
        model_splice(m, m->count, 0, 1);
    } else if (kind == 4 && m->count < ROOM) {
        ok(ipc_list_insert(list, at, make_values(m, 1)[0]));
        model_splice(m, at, 0, 1);
    } else if (kind == 5 && m->count < ROOM) {
        ok(ipc_list_insert(list, 0, make_values(m, 1)[0]));
        model_splice(m, 0, 0, 1);
    } else if (m->count == 0) {
        expect_rc(ipc_list_get(list, 0, &any), -ERANGE);
    } else if (kind < 10) {
        const int64_t index = kind == 6 ? at : kind == 7 ? 0 : m->count - 1;
        ok(ipc_list_pop(list, kind == 8 ? -1 : index, &any));
        expect_number(m, &any, m->items[index]);
        model_splice(m, index, 1, 0);
    } else if (kind == 10) {
        ok(ipc_list_set(list, at - m->count, make_values(m, 1)[0]));
        model_splice(m, at, 1, 1);
    } else {
        ok(ipc_list_get(list, at, &any));
        expect_number(m, &any, m->items[at]);
    }
}

static void some_many(struct model *m, int kind)
{
    const int64_t from = pick(m, 0, m->count);
    int64_t removed = pick(m, 0, m->count - from);
    int64_t added = pick(m, 0, pick(m, 0, 3) == 0 ? MANY : 8);
    if (pick(m, 0, 3) != 0 && removed > 8)
        removed %= 8;
    if (m->count - removed + added > ROOM)
        added = 0;
    if (kind == 0 && m->count + added <= ROOM) {
        ok(ipc_list_extend(list, make_values(m, added), (size_t)added));
        model_splice(m, m->count, 0, added);
    } else if (kind == 1) {
        ok(ipc_list_replace(list, from, from + removed, make_values(m, added),
                            (size_t)added));
        model_splice(m, from, removed, added);
    } else if (kind == 2) {
        ok(ipc_list_reverse(list));
        for (int64_t i = 0; i < m->count / 2; i++) {
            const int64_t item = m->items[i];
            m->items[i] = m->items[m->count - 1 - i];
            m->items[m->count - 1 - i] = item;
        }
    } else if (kind == 3) {
        ok(ipc_list_clear(list));
        m->count = 0;
    }
}

static void compare(struct model *m)
{
    ipc_anys all;
    ok(ipc_list_slice(list, 0, INT64_MAX, 1, &all));
    assert_int_equal(all.count, m->count);
    for (int64_t i = 0; i < m->count; i++)
        expect_number(m, &all.items[i], m->items[i]);
    ipc_anys_free(&all);
    ok(ipc_arena_check(home));
}

/* The whole of some operations, or none of it. */
static void some_together(struct model *m)
{
    static struct model before;
    before = *m;
    const bool holds = pick(m, 0, 1) == 0;
    const long steps = pick(m, 1, 30);
    ok(ipc_atomic_begin(home));
    for (long i = 0; i < steps; i++)
        if (pick(m, 0, 9) == 0)
            some_many(m, (int)pick(m, 0, 2));
        else
            some_one(m, (int)pick(m, 0, 11));
    if (holds) {
        ok(ipc_atomic_commit(home));
    } else {
        ok(ipc_atomic_abort(home));
        before.random = m->random;
        *m = before;
    }
}

static void run_model(long steps, bool text)
{
    static struct model model;
    struct model *m = &model;
    memset(m, 0, sizeof *m);
    m->random.state = test_seed();
    m->text = text;
    make_arena(0);
    for (long i = 0; i < steps; i++) {
        const long kind = pick(m, 0, 999);
        if (kind < 2)
            some_many(m, 3);
        else if (kind < 12)
            some_many(m, (int)pick(m, 0, 2));
        else if (kind < 15)
            some_together(m);
        else
            some_one(m, (int)pick(m, 0, 11));
        if (i % 1000 == 0)
            compare(m);
    }
    compare(m);
    test_report("items", (long long)m->count);
    end_arena();
}

static void as_an_array_would_be(void)
{
    run_model(100000 * test_scale(), false);
}

static void as_an_array_of_long_strings_would_be(void)
{
    run_model(30000 * test_scale(), true);
}

static const struct test_case cases[] = {
    TEST_CASE(all_sizes_at_the_end),
    TEST_CASE(all_sizes_at_the_beginning),
    TEST_CASE(all_sizes_as_a_line),
    TEST_CASE(all_sizes_in_one_step),
    TEST_CASE(a_large_list),
    TEST_CASE(a_line_takes_no_more_and_more),
    TEST_CASE_LIMIT(as_an_array_would_be, 60),
    TEST_CASE_LIMIT(as_an_array_of_long_strings_would_be, 60),
};
TEST_MAIN(cases)
