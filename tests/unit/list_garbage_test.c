/* ipc_list: memory that somebody has written over, before or meanwhile.  Calls
 * give errors, or something, and come back; nobody crashes. */
#include "unit/list_support.h"

#include "harness/role.h"
#include "harness/scale.h"

#include <stdio.h>
#include <stdlib.h>

#include "object/list.h"

#define LONG_TEXT "this string is much longer than an item can hold"

enum {
    KEPT = 1 << 20,
    NOT_THE_LOCK = sizeof(ipc_lock)
};

struct garbage {
    uint64_t seed;
    long round; /* where it was when it crashed */
    long good;
    long bad;
    uint32_t stop;
};

static struct garbage *garbage;
static char *image; /* what the arena was like */
static size_t image_size;

static uint64_t any(struct test_random *random, uint64_t below)
{
    return test_random_next(random) % below;
}

/* ---- a list of all sorts ---- */

static void add_sorts(ipc_list *to, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (i % 5 == 0)
            ok(ipc_list_append_str(to, LONG_TEXT));
        else if (i % 5 == 1)
            ok(ipc_list_append_str(to, "short"));
        else
            ok(ipc_list_append_i64(to, i));
}

static void make_list(int64_t count)
{
    ipc_arena_options options = IPC_ARENA_OPTIONS_INIT;
    ipc_list *inner;
    options.max_bytes = KEPT;
    ok(ipc_arena_create("garbage", &options, &home));
    ok(ipc_list_new(home, &list));
    add_sorts(list, count);
    for (int i = 0; i < 3; i++) {
        ok(ipc_list_append_list(list, &inner));
        add_sorts(inner, 7);
        ok(ipc_list_close(inner));
    }
    ok(ipc_list_pop(list, 2, NULL)); /* something is free */
    ok(ipc_list_pop(list, 5, NULL));
    image_size = home->heap_present;
    image = malloc(image_size);
    assert_non_null(image);
    memcpy(image, home, image_size);
}

static void end_list(void)
{
    memcpy((char *)home + NOT_THE_LOCK, image + NOT_THE_LOCK,
           image_size - NOT_THE_LOCK);
    free(image);
    ok(ipc_arena_check(home));
    ok(ipc_list_free(list));
    ok(ipc_arena_close(home));
    ok(ipc_arena_unlink("garbage"));
}

/* ---- writing over it ---- */

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

/* What is in use, or the header but for the lock. */
static void scribble(struct test_random *random, bool header)
{
    const ipc_arena *then = (const ipc_arena *)(void *)image;
    const uint64_t from = header ? NOT_THE_LOCK : then->heap;
    const uint64_t end = header ? sizeof(ipc_arena) : then->top;
    uint64_t *word = (uint64_t *)(void *)((char *)home + from) +
                     any(random, (end - from) / 8);
    store_relaxed(word, some_word(random, load_relaxed(word)));
}

/* ---- using it ---- */

static void count(int64_t rc)
{
    if (rc >= 0)
        garbage->good++;
    else
        garbage->bad++;
}

static void look(struct test_random *random, int64_t index)
{
    ipc_any value = ipc_nil();
    ipc_anys all = {NULL, 0};
    ipc_list_cursor at = {(uint64_t)index};
    uint64_t where;
    int64_t number;
    char text[sizeof LONG_TEXT];
    switch (any(random, 8)) {
    case 0:
        count(ipc_list_get(list, index, &value));
        break;
    case 1:
        count(ipc_list_get_str(list, index, text, sizeof text));
        break;
    case 2:
        count(ipc_list_slice(list, 0, INT64_MAX, 3, &all));
        break;
    case 3:
        count(ipc_list_index(list, ipc_str("none"), 0, INT64_MAX, &where));
        break;
    case 4:
        count(ipc_list_length(list));
        break;
    case 5:
        count(ipc_list_next(list, &at, &value));
        break;
    case 6:
        count(ipc_list_get_i64(list, index, &number));
        break;
    default:
        count(ipc_arena_check(home));
    }
    if (value.type == IPC_TYPE_LIST)
        count(ipc_list_length(value.list));
    ipc_any_free(&value);
    ipc_anys_free(&all);
}

static void put(struct test_random *random, int64_t index)
{
    const ipc_any several[] = {ipc_str(LONG_TEXT), ipc_i64(1), ipc_nil()};
    ipc_list *inner = NULL;
    switch (any(random, 7)) {
    case 0:
        count(ipc_list_append(list, several[index & 1]));
        break;
    case 1:
        count(ipc_list_insert(list, index, several[index & 1]));
        break;
    case 2:
        count(ipc_list_set(list, index, several[index & 1]));
        break;
    case 3:
        count(ipc_list_extend(list, several, 3));
        break;
    case 4:
        count(ipc_list_append_list(list, &inner));
        if (inner != NULL)
            count(ipc_list_append(inner, ipc_any_list(list)));
        break;
    case 5:
        count(ipc_list_replace(list, index, index + 9, several, 3));
        break;
    default:
        count(ipc_list_copy(list, &inner));
        if (inner != NULL)
            count(ipc_list_free(inner));
        return;
    }
    (void)ipc_list_close(inner);
}

static void change(struct test_random *random, int64_t index)
{
    ipc_any value = ipc_nil();
    switch (any(random, 6)) {
    case 0:
        count(ipc_list_pop(list, index, &value));
        break;
    case 1:
        count(ipc_list_sort(list, 0));
        break;
    case 2:
        count(ipc_list_reverse(list));
        break;
    case 3:
        count(ipc_list_remove(list, ipc_i64(index)));
        break;
    case 4:
        if (any(random, 8) == 0)
            count(ipc_list_clear(list));
        break;
    default:
        count(ipc_list_replace(list, index, index + 5, NULL, 0));
    }
    ipc_any_free(&value);
}

static void use(struct test_random *random, int times)
{
    for (int i = 0; i < times; i++) {
        const int64_t index = (int64_t)any(random, 2000) - 1000;
        switch (any(random, 3)) {
        case 0:
            look(random, index);
            break;
        case 1:
            put(random, index);
            break;
        default:
            change(random, index);
        }
    }
}

/* ---- before ---- */

static void put_back(void)
{
    memcpy((char *)home + NOT_THE_LOCK, image + NOT_THE_LOCK,
           image_size - NOT_THE_LOCK);
}

static void scribble_and_use(void *arg)
{
    const long rounds = *(const long *)arg;
    for (long i = 0; i < rounds; i++) {
        struct test_random random = {garbage->seed + (uint64_t)i};
        garbage->round = i;
        put_back();
        const int words = 1 << any(&random, 6);
        for (int k = 0; k < words; k++)
            scribble(&random, any(&random, 4) == 0);
        use(&random, 20);
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

static void scribble_before(int64_t size, long rounds)
{
    garbage = test_shared(sizeof *garbage);
    garbage->seed = test_seed();
    make_list(size);
    rounds *= test_scale();
    run(scribble_and_use, &rounds);
    end_list();
}

static void t56_a_short_list(void)
{
    scribble_before(20, 3000);
}

static void t56_a_list_of_one_chunk(void)
{
    scribble_before(900, 1000);
}

static void t56_a_list_with_a_directory(void)
{
    scribble_before(3000, 300);
}

/* ---- meanwhile ---- */

static void scribble_on(void *arg)
{
    struct test_random random = {garbage->seed};
    const bool header = *(const bool *)arg;
    while (load_acquire(&garbage->stop) == 0)
        scribble(&random, header && any(&random, 4) == 0);
}

static void use_meanwhile(void *arg)
{
    struct test_random random = {garbage->seed + 1};
    const long rounds = *(const long *)arg;
    for (long i = 0; i < rounds; i++) {
        garbage->round = i;
        put_back();
        use(&random, 20);
    }
}

static void scribble_meanwhile(bool header)
{
    struct role scribbler;
    long rounds = 1000 * test_scale();
    garbage = test_shared(sizeof *garbage);
    garbage->seed = test_seed();
    make_list(1500);
    role_start(&scribbler, scribble_on, &header);
    run(use_meanwhile, &rounds);
    store_release(&garbage->stop, 1);
    role_wait_ok(&scribbler, 5000);
    end_list();
}

static void t57_while_it_is_used(void)
{
    scribble_meanwhile(false);
}

static void t57_while_it_is_used_the_header_too(void)
{
    scribble_meanwhile(true);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t56_a_short_list, 90),
    TEST_CASE_LIMIT(t56_a_list_of_one_chunk, 90),
    TEST_CASE_LIMIT(t56_a_list_with_a_directory, 90),
    TEST_CASE_LIMIT(t57_while_it_is_used, 90),
    TEST_CASE_LIMIT(t57_while_it_is_used_the_header_too, 90),
};
TEST_MAIN(cases)
