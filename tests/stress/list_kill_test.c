/* A list under random kills: four processes change it, and each of them may be
 * killed wherever it is.  No item is ever half there. */
#include "harness/harness.h"
#include "harness/kills.h"
#include "harness/role.h"
#include "harness/scale.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/list.h>

#include "object/list.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum {
    KILLS = 40 /* the death of such a process takes long */
};
#else
enum {
    KILLS = 250
};
#endif

enum {
    WORKERS = 4,
    LONGEST = 3000
};

struct crew {
    ipc_arena *arena;
    ipc_list *list;  /* of numbered items */
    ipc_list *pairs; /* of two that belong together, always */
    uint32_t broken;
};

static void complain(struct crew *crew, const char *what)
{
    (void)__atomic_add_fetch(&crew->broken, 1, __ATOMIC_RELAXED);
    printf("%d: %s: %s\n", (int)getpid(), what, ipc_error_detail());
}

/* ---- numbered items: a number, or a long string with it twice ---- */

static ipc_any item_of(int64_t number, char text[64])
{
    if (number % 3 != 0)
        return ipc_i64(number);
    (void)snprintf(text, 64, "%024lld and once more %024lld", (long long)number,
                   (long long)number);
    return ipc_str(text);
}

static bool is_whole(const ipc_any *item)
{
    char text[64];
    if (item->type == IPC_TYPE_I64)
        return item->i64 % 3 != 0;
    if (item->type != IPC_TYPE_STR)
        return item->type == IPC_TYPE_LIST;
    long long number;
    if (sscanf(item->str, "%lld", &number) != 1) /* NOLINT(cert-err34-c) */
        return false;
    const ipc_any same = item_of(number, text);
    return ipc_any_equal(item, &same);
}

static void check_taken(struct crew *crew, int rc, ipc_any *item)
{
    if (rc == -ERANGE)
        return;
    if (rc != 0 || !is_whole(item))
        complain(crew, "what was got");
    if (rc == 0)
        ipc_any_free(item);
}

static void put(struct crew *crew, struct test_random *random, int64_t number)
{
    char text[64];
    const ipc_any item = item_of(number, text);
    const int64_t index = test_random_between(random, -40, 40);
    ipc_list *inner;
    int rc = 0;
    switch (test_random_between(random, 0, 5)) {
    case 0:
        rc = ipc_list_insert(crew->list, index, item);
        break;
    case 1:
        rc = ipc_list_set(crew->list, index, item);
        break;
    case 2:
        rc = ipc_list_replace(crew->list, index, index + 2, &item, 1);
        break;
    case 3:
        rc = ipc_list_append_list(crew->list, &inner);
        if (rc == 0)
            (void)ipc_list_close(inner);
        break;
    default:
        rc = ipc_list_append(crew->list, item);
    }
    if (rc != 0 && rc != -ERANGE)
        complain(crew, "put");
}

static void take(struct crew *crew, struct test_random *random)
{
    ipc_any item = ipc_nil();
    const int64_t index = test_random_between(random, -40, 40);
    int rc = 0;
    switch (test_random_between(random, 0, 9)) {
    case 0:
        rc = ipc_list_pop(crew->list, index, &item);
        break;
    case 1:
    case 2:
    case 3:
        rc = ipc_list_pop(crew->list, 0, &item);
        break;
    case 4:
        rc = ipc_list_get(crew->list, index, &item);
        break;
    case 5:
        if (test_random_between(random, 0, 20) == 0)
            rc = ipc_list_reverse(crew->list);
        item = ipc_i64(1);
        break;
    default:
        rc = ipc_list_pop(crew->list, -1, &item);
    }
    check_taken(crew, rc, &item);
}

/* Both or none, by a transaction. */
static void put_pair(struct crew *crew, int64_t number)
{
    int64_t first;
    if (ipc_atomic_begin(crew->arena) != 0) {
        complain(crew, "begin");
        return;
    }
    int rc = ipc_list_append_i64(crew->pairs, number);
    if (rc == 0)
        rc = ipc_list_append_i64(crew->pairs, -number);
    if (rc == 0 && ipc_list_length(crew->pairs) > 100)
        rc = ipc_list_replace(crew->pairs, 0, 2, NULL, 0);
    if (rc != 0 || ipc_atomic_commit(crew->arena) != 0)
        complain(crew, "pair");
    if (ipc_list_get_i64(crew->pairs, 0, &first) != 0)
        complain(crew, "first of the pairs");
}

static void work(void *ctx, int index)
{
    struct crew *crew = ctx;
    struct test_random random = {(uint64_t)getpid() * 31 + (uint64_t)index};
    while (kills_go_on()) {
        const int64_t number = (int64_t)(test_random_next(&random) >> 20);
        const int64_t length = ipc_list_length(crew->list);
        if (length < 0)
            complain(crew, "length");
        if (number % 16 == 0)
            put_pair(crew, number);
        else if (number % 8 < 5 && length < LONGEST)
            put(crew, &random, number);
        else
            take(crew, &random);
        if (number % 100000 == 0)
            (void)!ipc_list_clear(crew->list);
    }
}

/* ---- in the end ---- */

static void check(void *ctx, struct kills_result *result)
{
    const struct crew *crew = ctx;
    ipc_anys all;
    (void)result;
    assert_int_equal(ipc_arena_check(crew->arena), 0);
    assert_int_equal(ipc_list_slice(crew->list, 0, INT64_MAX, 1, &all), 0);
    for (size_t i = 0; i < all.count; i++)
        assert_true(is_whole(&all.items[i]));
    test_report("items", (long long)all.count);
    ipc_anys_free(&all);
    assert_int_equal(ipc_list_slice(crew->pairs, 0, INT64_MAX, 1, &all), 0);
    assert_int_equal(all.count % 2, 0);
    for (size_t i = 0; i < all.count; i += 2)
        assert_true(all.items[i].i64 == -all.items[i + 1].i64);
    ipc_anys_free(&all);
}

static void random_kills_leave_it_whole(void)
{
    struct crew *crew = test_shared(sizeof *crew);
    const struct kills kills = {.ctx = crew,
                                .workers = WORKERS,
                                .work = work,
                                .check = check,
                                .kills = kills_for(KILLS)};
    struct kills_result result;
    ipc_arena_info info = IPC_ARENA_INFO_INIT;
    assert_int_equal(ipc_arena_new(NULL, &crew->arena), 0);
    assert_int_equal(ipc_list_new(crew->arena, &crew->list), 0);
    assert_int_equal(ipc_list_new(crew->arena, &crew->pairs), 0);
    kills_run(&kills, &result);
    kills_report(&result);
    assert_int_equal(result.wedges, 0);
    assert_int_equal(crew->broken, 0);
    assert_int_equal(ipc_arena_query(crew->arena, &info), 0);
    test_report("recoveries", (long long)info.recoveries);
    assert_true(info.recoveries > 0);
    assert_int_equal(ipc_list_free(crew->list), 0);
    assert_int_equal(ipc_list_free(crew->pairs), 0);
    assert_int_equal(ipc_arena_check(crew->arena), 0);
    assert_int_equal(ipc_arena_query(crew->arena, &info), 0);
    assert_int_equal(info.used_bytes, 0);
    assert_int_equal(ipc_arena_free(crew->arena), 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(random_kills_leave_it_whole, 120),
};
TEST_MAIN(cases)
