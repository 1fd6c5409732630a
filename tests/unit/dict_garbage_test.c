/* Dicts and sets whose memory somebody has written over, before or meanwhile:
 * calls give errors, or something, and come back; nobody crashes. */
#include "harness/role.h"
#include "harness/scale.h"
#include "unit/dict_support.h"

#include "object/table.h"

#define LONG_TEXT "this string is much longer than an item can hold"

enum {
    KEPT = 1 << 20,
    NOT_THE_LOCK = sizeof(ipc_lock),
    CALLS = 20 /* after each scribbling */
};

struct garbage {
    uint64_t seed;
    long round; /* where it was when it crashed */
    long good;
    long bad;
    uint32_t stop;
};

static struct garbage *garbage;
static ipc_set *first_set;
static ipc_set *second_set;
static char *image; /* what the arena was like */
static size_t image_size;

static uint64_t any(struct test_random *random, uint64_t below)
{
    return test_random_next(random) % below;
}

/* ---- tables of all sorts ---- */

static ipc_any key_of(uint64_t number, char text[80])
{
    if (number % 3 == 0)
        return ipc_i64((int64_t)number);
    (void)snprintf(
        text, 80, number % 3 == 1 ? "%" PRIu64 : LONG_TEXT " %" PRIu64, number);
    return ipc_str(text);
}

static void add_sorts(ipc_dict *to, uint64_t count)
{
    char text[80];
    for (uint64_t i = 0; i < count; i++)
        ok(ipc_dict_set(to, key_of(i, text),
                        i % 4 == 0 ? ipc_str(LONG_TEXT) : ipc_i64(1)));
}

static void make_tables(uint64_t count)
{
    ipc_arena_options options = IPC_ARENA_OPTIONS_INIT;
    ipc_dict *inner;
    char text[80];
    options.max_bytes = KEPT;
    ok(ipc_arena_create("garbage", &options, &home));
    ok(ipc_dict_new(home, &dict));
    ok(ipc_set_new(home, &first_set));
    ok(ipc_set_new(home, &second_set));
    add_sorts(dict, count);
    ok(ipc_dict_dict(dict, "inner", &inner));
    add_sorts(inner, 10);
    ok(ipc_dict_close(inner));
    for (uint64_t i = 0; i < count; i++) {
        expect_rc(ipc_set_add(first_set, key_of(i, text)), 1);
        expect_rc(ipc_set_add(second_set, key_of(2 * i, text)), 1);
    }
    ok(ipc_dict_pop(dict, key_of(2, text), NULL)); /* something is free */
    ok(ipc_dict_pop(dict, key_of(5, text), NULL));
    image_size = home->heap_present;
    image = malloc(image_size);
    assert_non_null(image);
    memcpy(image, home, image_size);
}

static void put_back(void)
{
    memcpy((char *)home + NOT_THE_LOCK, image + NOT_THE_LOCK,
           image_size - NOT_THE_LOCK);
}

static void end_tables(void)
{
    put_back();
    free(image);
    check_arena();
    ok(ipc_dict_free(dict));
    ok(ipc_set_free(first_set));
    ok(ipc_set_free(second_set));
    ok(ipc_arena_close(home));
    ok(ipc_arena_unlink("garbage"));
}

/* ---- writing over them ---- */

static uint64_t some_word(struct test_random *random, uint64_t was)
{
    const ipc_arena *then = (const ipc_arena *)(void *)image;
    const uint64_t number = test_random_next(random);
    switch (any(random, 7)) {
    case 0:
        return was ^ (uint64_t)1 << number % 64;
    case 1:
        return number >> number % 64;
    case 2:
        return was + number % 64 - 32;
    case 3: /* the offset of a block, perhaps */
        return then->heap + number % (then->top - then->heap) / 16 * 16 + 8;
    case 4:
        return *(const uint64_t *)(const void *)(image + then->heap +
                                                 number % 4096 / 8 * 8);
    case 5:
        return number % 3 == 0 ? UINT64_MAX : 0;
    default:
        return (uint64_t)1 << number % 64;
    }
}

/* The body of a table, which says where everything is. */
static uint64_t body_of(const struct ipc__handle *handle)
{
    const struct ipc__object *object =
        (const struct ipc__object *)(const void *)(image + handle->at);
    return object->body;
}

/* The header but for the lock, a body, or anything in use. */
static void scribble(struct test_random *random)
{
    const ipc_arena *then = (const ipc_arena *)(void *)image;
    uint64_t from = then->heap;
    uint64_t end = then->top;
    const uint64_t where = any(random, 32);
    if (where == 0) {
        from = NOT_THE_LOCK;
        end = sizeof(ipc_arena);
    } else if (where < 12) {
        from = body_of(where < 4 ? &first_set->handle : &dict->handle);
        end = from + sizeof(struct ipc__table);
    }
    uint64_t *word = (uint64_t *)(void *)((char *)home + from) +
                     any(random, (end - from) / 8);
    store_relaxed(word, some_word(random, load_relaxed(word)));
}

/* ---- using them ---- */

static void count(int64_t rc)
{
    if (rc >= 0)
        garbage->good++;
    else
        garbage->bad++;
}

static void look(struct test_random *random, ipc_any key)
{
    ipc_any value = ipc_nil(), value2 = ipc_nil();
    ipc_anys all = {NULL, 0};
    ipc_dict_cursor at = {any(random, 1000)};
    ipc_set_cursor in_set = {any(random, 1000)};
    uint64_t version = UINT64_MAX;
    switch (any(random, 10)) {
    case 0:
        count(ipc_dict_get(dict, key, &value));
        break;
    case 1:
        count(ipc_dict_contains(dict, key));
        break;
    case 2:
        count(ipc_dict_items(dict, &all));
        break;
    case 3:
        count(ipc_dict_next(dict, &at, &value, &value2));
        break;
    case 4:
        count(ipc_dict_length(dict));
        break;
    case 5:
        count(ipc_dict_watch(dict, key, &version, &value, IPC_TIME_NOW));
        break;
    case 6:
        count(ipc_set_is_subset(first_set, second_set));
        break;
    case 7:
        count(ipc_set_next(first_set, &in_set, &value));
        break;
    case 8:
        count(ipc_set_members(second_set, &all));
        break;
    default:
        count(ipc_arena_check(home));
    }
    if (value.type == IPC_TYPE_DICT)
        count(ipc_dict_length(value.dict));
    ipc_any_free(&value);
    ipc_any_free(&value2);
    ipc_anys_free(&all);
}

static void put(struct test_random *random, ipc_any key)
{
    ipc_dict *made = NULL;
    int64_t sum;
    switch (any(random, 9)) {
    case 0:
        count(ipc_dict_set(dict, key, ipc_str(LONG_TEXT)));
        break;
    case 1:
        count(ipc_dict_set(dict, key, ipc_i64(1)));
        break;
    case 2:
        count(ipc_dict_incr(dict, key, 1, &sum));
        break;
    case 3:
        for (int64_t i = 0; i < 300; i++)
            count(ipc_dict_set(dict, ipc_i64(i * 1000), ipc_nil()));
        break;
    case 4:
        count(ipc_dict_dict(dict, "inner", &made));
        if (made != NULL)
            count(ipc_dict_set(made, key, ipc_any_dict(dict)));
        (void)ipc_dict_close(made);
        break;
    case 5:
        count(ipc_dict_copy(dict, &made));
        if (made != NULL)
            count(ipc_dict_free(made));
        break;
    case 6:
        count(ipc_set_union(first_set, second_set));
        break;
    case 7:
        count(ipc_dict_set(dict, key, ipc_any_set(first_set)));
        break;
    default:
        count(ipc_set_add(first_set, key));
    }
}

static void take_out(struct test_random *random, ipc_any key)
{
    ipc_any value = ipc_nil(), value2 = ipc_nil();
    switch (any(random, 8)) {
    case 0:
        count(ipc_dict_pop(dict, key, &value));
        break;
    case 1:
        count(ipc_dict_popitem(dict, &value, &value2));
        break;
    case 2:
        if (any(random, 8) == 0)
            count(ipc_dict_clear(dict));
        break;
    case 3:
        count(ipc_dict_cas(dict, key, &key, NULL));
        break;
    case 4:
        count(ipc_set_discard(first_set, key));
        break;
    case 5:
        count(ipc_set_pop(first_set, &value));
        break;
    case 6:
        count(ipc_set_intersect(first_set, second_set));
        break;
    default:
        count(ipc_set_subtract(second_set, first_set));
    }
    ipc_any_free(&value);
    ipc_any_free(&value2);
}

static void use(struct test_random *random)
{
    for (int i = 0; i < CALLS; i++) {
        char text[80];
        const ipc_any key = key_of(any(random, 1500), text);
        switch (any(random, 3)) {
        case 0:
            look(random, key);
            break;
        case 1:
            put(random, key);
            break;
        default:
            take_out(random, key);
        }
    }
}

/* ---- before ---- */

static void scribble_and_use(void *arg)
{
    const long rounds = *(const long *)arg;
    for (long i = 0; i < rounds; i++) {
        struct test_random random = {garbage->seed + (uint64_t)i};
        garbage->round = i;
        put_back();
        const int words = 1 << any(&random, 6);
        for (int k = 0; k < words; k++)
            scribble(&random);
        use(&random);
    }
}

/* In a process of its own: what crashes is that one. */
static void run(void (*part)(void *arg), void *arg)
{
    const int rc = role_try(part, arg, 60000);
    test_report("good", garbage->good);
    test_report("bad", garbage->bad);
    if (rc != 0)
        test_fail("%d in round %ld of seed %llu", rc, garbage->round,
                  (unsigned long long)garbage->seed);
    assert_true(garbage->good > 0 && garbage->bad > 0);
}

static void scribble_before(uint64_t size, long rounds)
{
    garbage = test_shared(sizeof *garbage);
    garbage->seed = test_seed();
    make_tables(size);
    rounds *= test_scale();
    run(scribble_and_use, &rounds);
    end_tables();
}

static void t56_tables_without_an_index(void)
{
    scribble_before(7, 3000);
}

static void t56_tables_of_one_chunk(void)
{
    scribble_before(200, 1500);
}

static void t56_tables_with_a_directory(void)
{
    scribble_before(1500, 300);
}

/* ---- meanwhile ---- */

static void scribble_on(void *arg)
{
    struct test_random random = {garbage->seed};
    (void)arg;
    while (load_acquire(&garbage->stop) == 0) {
        scribble(&random);
        for (volatile int i = 0; i < 20000; i++)
            ; /* so that it is not always too late */
    }
}

static void use_meanwhile(void *arg)
{
    struct test_random random = {garbage->seed + 1};
    const long rounds = *(const long *)arg;
    for (long i = 0; i < rounds; i++) {
        garbage->round = i;
        put_back();
        use(&random);
    }
}

static void t57_while_they_are_used(void)
{
    struct role scribbler;
    long rounds = 1000 * test_scale();
    garbage = test_shared(sizeof *garbage);
    garbage->seed = test_seed();
    make_tables(900);
    role_start(&scribbler, scribble_on, NULL);
    run(use_meanwhile, &rounds);
    store_release(&garbage->stop, 1);
    role_wait_ok(&scribbler, 5000);
    end_tables();
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t56_tables_without_an_index, 90),
    TEST_CASE_LIMIT(t56_tables_of_one_chunk, 90),
    TEST_CASE_LIMIT(t56_tables_with_a_directory, 90),
    TEST_CASE_LIMIT(t57_while_they_are_used, 90),
};
TEST_MAIN(cases)
