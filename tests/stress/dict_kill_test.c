/* Processes that move numbers between dicts and sets of one arena, in
 * transactions and in single calls, are killed at random: what they move is
 * neither lost nor there twice. */
#include "harness/kills.h"
#include "harness/scale.h"
#include "unit/dict_support.h"

#include <unistd.h>

enum {
    WORKERS = 4,
    COUNTERS = 40,
    START = 1000,
    KILLS = 250
};

struct field {
    ipc_dict *counters; /* their sum is always the same */
    ipc_dict *spare;    /* some of them, by the same names */
    ipc_dict *strings;  /* each value tells its key */
    ipc_set *here;      /* each name is here or there */
    ipc_set *there;
    uint64_t moves; /* in the last life of each, together */
};

static struct field *field;

#define add(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)

static ipc_any name_of(long number, char text[80])
{
    (void)snprintf(text, 80,
                   number % 2 == 0 ? "counter %ld"
                                   : "a counter with a long name, number %ld",
                   number);
    return ipc_str(text);
}

/* ---- rounds ---- */

/* Take some from one, give it to another; a counter that is empty goes. */
static void move(struct test_random *random)
{
    char text[80], text2[80];
    const ipc_any from =
        name_of(test_random_between(random, 0, COUNTERS - 1), text);
    const ipc_any to =
        name_of(test_random_between(random, 0, COUNTERS - 1), text2);
    const int64_t by = test_random_between(random, 1, 300);
    ipc_any value;
    ok(ipc_atomic_begin(home));
    int rc = ipc_dict_get(field->counters, from, &value);
    if (rc == 0 && value.i64 > by)
        ok(ipc_dict_incr(field->counters, from, -by, NULL));
    else if (rc == 0)
        ok(ipc_dict_pop(field->counters, from, &value));
    else
        expect_rc(rc, -ENOENT);
    const int64_t moved = rc != 0 ? 0 : value.i64 > by ? by : value.i64;
    if (moved != 0)
        ok(ipc_dict_incr(field->counters, to, moved, NULL));
    if (test_random_between(random, 0, 9) == 0)
        ok(ipc_atomic_abort(home));
    else
        ok(ipc_atomic_commit(home));
}

/* A counter goes to the other dict, or comes back. */
static void change_sides(struct test_random *random)
{
    char text[80];
    const ipc_any name =
        name_of(test_random_between(random, 0, COUNTERS - 1), text);
    ipc_any value;
    ok(ipc_atomic_begin(home));
    if (ipc_dict_pop(field->counters, name, &value) == 0)
        ok(ipc_dict_incr(field->spare, name, value.i64, NULL));
    else if (ipc_dict_pop(field->spare, name, &value) == 0)
        ok(ipc_dict_incr(field->counters, name, value.i64, NULL));
    if (ipc_set_remove(field->here, name) == 0) {
        expect_rc(ipc_set_add(field->there, name), 1);
    } else {
        ok(ipc_set_remove(field->there, name));
        expect_rc(ipc_set_add(field->here, name), 1);
    }
    ok(ipc_atomic_commit(home));
}

/* Many strings come and go, one call each. */
static void use_strings(struct test_random *random)
{
    char key[80], value[80];
    for (int i = 0; i < 20; i++) {
        const long number = test_random_between(random, 0, 400);
        (void)snprintf(key, sizeof key, "%ld", number);
        (void)snprintf(value, sizeof value, "the value of the key %ld", number);
        if (test_random_between(random, 0, 2) > 0)
            ok(ipc_dict_set(field->strings, ipc_str(key), ipc_str(value)));
        else
            (void)!ipc_dict_pop(field->strings, ipc_str(key), NULL);
    }
    if (test_random_between(random, 0, 50) == 0)
        ok(ipc_dict_clear(field->strings));
}

static void work(void *ctx, int index)
{
    (void)ctx;
    (void)index;
    struct test_random random = {(uint64_t)getpid() ^ (uint64_t)test_now_ns()
                                                          << 20};
    while (kills_go_on()) {
        const long what = test_random_between(&random, 0, 9);
        if (what < 6)
            move(&random);
        else if (what < 8)
            change_sides(&random);
        else
            use_strings(&random);
        (void)add(&field->moves, 1);
    }
}

/* ---- at the end ---- */

static int64_t sum_of(ipc_dict *of)
{
    ipc_anys all;
    int64_t sum = 0;
    ok(ipc_dict_values(of, &all));
    for (size_t i = 0; i < all.count; i++) {
        assert_int_equal(all.items[i].type, IPC_TYPE_I64);
        sum += all.items[i].i64;
    }
    ipc_anys_free(&all);
    return sum;
}

static void check_strings(void)
{
    ipc_anys all;
    ok(ipc_dict_items(field->strings, &all));
    for (size_t i = 0; i < all.count; i += 2) {
        char value[80];
        (void)snprintf(value, sizeof value, "the value of the key %s",
                       all.items[i].str);
        assert_string_equal(all.items[i + 1].str, value);
    }
    ipc_anys_free(&all);
}

static void check(void *ctx, struct kills_result *result)
{
    ipc_arena_info info = IPC_ARENA_INFO_INIT;
    (void)ctx;
    (void)result;
    check_arena();
    assert_int_equal(sum_of(field->counters) + sum_of(field->spare),
                     (int64_t)COUNTERS * START);
    for (long i = 0; i < COUNTERS; i++) {
        char text[80];
        const ipc_any name = name_of(i, text);
        expect_rc(ipc_set_contains(field->here, name) +
                      ipc_set_contains(field->there, name),
                  1);
    }
    check_strings();
    ok(ipc_arena_query(home, &info));
    test_report("recoveries", (long long)info.recoveries);
    test_report("moves", (long long)field->moves);
    assert_true(info.recoveries > 0);
}

static void make_field(void)
{
    field = test_shared(sizeof *field);
    home = new_arena(0);
    ok(ipc_dict_new(home, &field->counters));
    ok(ipc_dict_new(home, &field->spare));
    ok(ipc_dict_new(home, &field->strings));
    ok(ipc_set_new(home, &field->here));
    ok(ipc_set_new(home, &field->there));
    for (long i = 0; i < COUNTERS; i++) {
        char text[80];
        ok(ipc_dict_set(field->counters, name_of(i, text), ipc_i64(START)));
        expect_rc(ipc_set_add(field->here, name_of(i, text)), 1);
    }
}

static void end_field(void)
{
    ok(ipc_dict_free(field->counters));
    ok(ipc_dict_free(field->spare));
    ok(ipc_dict_free(field->strings));
    ok(ipc_set_free(field->here));
    ok(ipc_set_free(field->there));
    check_arena();
    expect_rc((int64_t)used_bytes(), 0);
    ok(ipc_arena_free(home));
}

static void nothing_is_lost_and_nothing_is_there_twice(void)
{
    struct kills plan = {.workers = WORKERS,
                         .work = work,
                         .check = check,
                         .kills = KILLS * test_scale()};
    struct kills_result result;
    make_field();
    kills_run(&plan, &result);
    kills_report(&result);
    assert_int_equal(result.wedges, 0);
    end_field();
}

/* ---- what this must find ---- */

static void move_in_two_calls(void *ctx, int index)
{
    char text[80], text2[80];
    (void)ctx;
    (void)index;
    while (kills_go_on()) {
        ok(ipc_dict_incr(field->counters, name_of(0, text), -1, NULL));
        for (volatile int i = 0; i < 300; i++)
            ;
        ok(ipc_dict_incr(field->counters, name_of(1, text2), 1, NULL));
    }
}

static void a_move_without_a_transaction_is_found(void)
{
    struct kills plan = {
        .workers = WORKERS, .work = move_in_two_calls, .kills = 100};
    struct kills_result result;
    make_field();
    kills_run(&plan, &result);
    const int64_t lost = (int64_t)COUNTERS * START - sum_of(field->counters);
    test_report("lost", lost);
    assert_true(lost > 0);
    end_field();
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(a_move_without_a_transaction_is_found, 60),
    TEST_CASE_LIMIT(nothing_is_lost_and_nothing_is_there_twice, 600),
};
TEST_MAIN(cases)
