/* Dicts and sets against a model, by random calls: what is in them, and in
 * which order.  Some of the calls are in transactions, and some of those are
 * taken back. */
#include "harness/scale.h"
#include "unit/dict_support.h"

enum {
    KEYS = 700,
    STEPS = 100000,
    CHECK_EVERY = 5000,
    LOOK_EVERY = 500
};

/* The live ones, in their order: key and value are numbers that the real ones
 * are made of. */
struct model {
    int count;
    int keys[KEYS];
    int64_t values[KEYS];
};

static struct model model;
static struct test_random dice;

static long dice_between(long low, long high)
{
    return test_random_between(&dice, low, high);
}

static int find(int key)
{
    for (int i = 0; i < model.count; i++)
        if (model.keys[i] == key)
            return i;
    return -1;
}

static void put(int key, int64_t value)
{
    const int at = find(key);
    if (at >= 0) {
        model.values[at] = value;
        return;
    }
    model.keys[model.count] = key;
    model.values[model.count++] = value;
}

static void remove_at(int at)
{
    model.count--;
    for (int i = at; i < model.count; i++) {
        model.keys[i] = model.keys[i + 1];
        model.values[i] = model.values[i + 1];
    }
}

/* ---- the real ones ---- */

/* Integers, doubles, short and long strings, bytes. */
static ipc_any key_of(int key, char text[100])
{
    const int size = snprintf(text, 100, "key %d", key);
    switch (key % 6) {
    case 0:
        return ipc_i64(key - KEYS / 2);
    case 1:
        return ipc_f64(key / 8.0);
    case 2:
        return ipc_str(long_text(key, 16 + (size_t)key % 50, text));
    case 3:
        return ipc_bytes(text, (size_t)size);
    case 4:
        return ipc_u64(UINT64_MAX - (uint64_t)key);
    default:
        return ipc_str(text);
    }
}

static ipc_any value_of(int64_t value, char text[100])
{
    switch (value % 4) {
    case 0:
        return ipc_str(long_text(value, 15 + (size_t)value % 60, text));
    case 1:
        (void)snprintf(text, 100, "%" PRId64, value);
        return ipc_str(text);
    default:
        return ipc_i64(value);
    }
}

static void expect_same(const ipc_any *is, ipc_any wanted)
{
    if (is->type != wanted.type || !ipc_any_equal(is, &wanted))
        test_fail("a %s that is another one", ipc_type_name(is->type));
}

static void expect_model(void)
{
    char text[100];
    ipc_anys all;
    ok(ipc_dict_items(dict, &all));
    assert_int_equal(all.count, 2 * (size_t)model.count);
    for (int i = 0; i < model.count; i++) {
        expect_same(&all.items[2 * (size_t)i], key_of(model.keys[i], text));
        expect_same(&all.items[2 * (size_t)i + 1],
                    value_of(model.values[i], text));
    }
    ipc_anys_free(&all);
}

/* ---- steps ---- */

static void step_set(int key, int64_t value)
{
    char text[100], text2[100];
    ok(ipc_dict_set(dict, key_of(key, text), value_of(value, text2)));
    put(key, value);
}

static void step_get(int key)
{
    char text[100], text2[100];
    const int at = find(key);
    ipc_any value;
    expect_rc(ipc_dict_get(dict, key_of(key, text), &value),
              at >= 0 ? 0 : -ENOENT);
    if (at >= 0) {
        expect_same(&value, value_of(model.values[at], text2));
        ipc_any_free(&value);
    }
}

static void step_pop(int key)
{
    char text[100], text2[100];
    const int at = find(key);
    ipc_any value;
    expect_rc(ipc_dict_pop(dict, key_of(key, text), &value),
              at >= 0 ? 0 : -ENOENT);
    if (at >= 0) {
        expect_same(&value, value_of(model.values[at], text2));
        ipc_any_free(&value);
        remove_at(at);
    }
}

static void step_popitem(void)
{
    char text[100];
    ipc_any key, value;
    expect_rc(ipc_dict_popitem(dict, &key, &value),
              model.count > 0 ? 0 : -ENOENT);
    if (model.count > 0) {
        expect_same(&key, key_of(model.keys[model.count - 1], text));
        expect_same(&value, value_of(model.values[model.count - 1], text));
        ipc_any_free(&key);
        ipc_any_free(&value);
        model.count--;
    }
}

static void step_setdefault(int key, int64_t value)
{
    char text[100], text2[100];
    const bool is_new = find(key) < 0;
    ipc_any is;
    expect_rc(ipc_dict_setdefault(dict, key_of(key, text),
                                  value_of(value, text2), &is),
              is_new);
    if (is_new)
        put(key, value);
    expect_same(&is, value_of(model.values[find(key)], text2));
    ipc_any_free(&is);
}

static void step_update(int key, int64_t value)
{
    char text[20][100], text2[20][100];
    ipc_dict_item items[20];
    const int count = (int)dice_between(0, 20);
    for (int i = 0; i < count; i++) {
        const int one = (key + i * 7) % KEYS;
        items[i] = (ipc_dict_item){key_of(one, text[i]),
                                   value_of(value + i, text2[i])};
        put(one, value + i);
    }
    ok(ipc_dict_update(dict, items, (size_t)count));
}

static void one_step(void)
{
    /* It grows for a while, then it shrinks. */
    static bool growing = true;
    const int key = (int)dice_between(0, KEYS - 1);
    const int64_t value = dice_between(0, 1000000);
    const long what = dice_between(0, 99);
    if (model.count < 5)
        growing = true;
    else if (model.count > KEYS - 30)
        growing = false;
    if (what < 40)
        growing ? step_set(key, value) : step_pop(key);
    else if (what < 60)
        step_get(key);
    else if (what < 75)
        step_pop(key);
    else if (what < 80)
        step_popitem();
    else if (what < 90)
        step_setdefault(key, value);
    else if (what < 95)
        step_set(key, value);
    else if (growing && what < 98)
        step_update(key, value);
    if (dice_between(0, 20000) == 0) {
        ok(ipc_dict_clear(dict));
        model.count = 0;
    }
    expect_rc(ipc_dict_length(dict), model.count);
}

/* Some steps that hold, or never were. */
static int transaction(void)
{
    static struct model before;
    const int steps = (int)dice_between(1, 60);
    before = model;
    ok(ipc_atomic_begin(home));
    for (int i = 0; i < steps; i++)
        one_step();
    if (dice_between(0, 1) == 0) {
        ok(ipc_atomic_commit(home));
    } else {
        ok(ipc_atomic_abort(home));
        model = before;
        expect_model();
    }
    return steps;
}

static void random_calls_give_what_the_model_says(void)
{
    dice.state = test_seed();
    make_arena(0);
    const long steps = STEPS * test_scale();
    for (long i = 0; i < steps; i++) {
        if (dice_between(0, 199) == 0)
            i += transaction();
        else
            one_step();
        if (i % LOOK_EVERY == 0)
            expect_model();
        if (i % CHECK_EVERY == 0)
            check_arena();
    }
    expect_model();
    end_arena();
}

/* ---- sets ---- */

enum {
    MEMBERS = 300
};

static bool is_in[2][MEMBERS];
static ipc_set *sets[2];

static void expect_members(int which)
{
    char text[100];
    ipc_anys all;
    size_t count = 0;
    for (int i = 0; i < MEMBERS; i++) {
        count += is_in[which][i];
        expect_rc(ipc_set_contains(sets[which], key_of(i, text)),
                  is_in[which][i]);
    }
    expect_rc(ipc_set_length(sets[which]), (int64_t)count);
    ok(ipc_set_members(sets[which], &all));
    assert_int_equal(all.count, count);
    ipc_anys_free(&all);
}

static void pair_step(int which)
{
    const int other = 1 - which;
    const long what = dice_between(0, 3);
    bool subset = true;
    for (int i = 0; i < MEMBERS; i++) {
        bool *mine = &is_in[which][i];
        const bool his = is_in[other][i];
        subset = subset && (!*mine || his);
        *mine = what == 0   ? *mine || his
                : what == 1 ? *mine && his
                : what == 2 ? *mine && !his
                            : *mine;
    }
    if (what == 0)
        ok(ipc_set_union(sets[which], sets[other]));
    else if (what == 1)
        ok(ipc_set_intersect(sets[which], sets[other]));
    else if (what == 2)
        ok(ipc_set_subtract(sets[which], sets[other]));
    else
        expect_rc(ipc_set_is_subset(sets[which], sets[other]), subset);
    expect_members(which);
}

static void member_step(int which)
{
    char text[100];
    const int member = (int)dice_between(0, MEMBERS - 1);
    bool *mine = &is_in[which][member];
    if (dice_between(0, 3) > 0) {
        expect_rc(ipc_set_add(sets[which], key_of(member, text)), !*mine);
        *mine = true;
    } else {
        expect_rc(ipc_set_discard(sets[which], key_of(member, text)), *mine);
        *mine = false;
    }
}

static void random_sets_are_what_the_model_says(void)
{
    dice.state = test_seed();
    make_arena(0);
    ok(ipc_set_new(home, &sets[0]));
    ok(ipc_set_new(home, &sets[1]));
    const long steps = STEPS * test_scale();
    for (long i = 0; i < steps; i++) {
        const int which = (int)dice_between(0, 1);
        if (dice_between(0, 199) == 0)
            pair_step(which);
        else
            member_step(which);
        if (i % CHECK_EVERY == 0)
            check_arena();
    }
    ok(ipc_set_free(sets[0]));
    ok(ipc_set_free(sets[1]));
    end_arena();
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(random_calls_give_what_the_model_says, 120),
    TEST_CASE_LIMIT(random_sets_are_what_the_model_says, 120),
};
TEST_MAIN(cases)
