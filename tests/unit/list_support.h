/* Lists in an arena of the case's own, and what they must look like. */
#ifndef UNIT_LIST_SUPPORT_H
#define UNIT_LIST_SUPPORT_H

#include "harness/harness.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <ipc/error.h>
#include <ipc/list.h>

#define expect_rc(call, wanted) expect_rc_at(call, wanted, #call, __LINE__)
static inline void expect_rc_at(int64_t rc, int64_t wanted, const char *call,
                                int line)
{
    if (rc != wanted)
        test_fail_at(__FILE__, line, "%s is %lld, not %lld; %s", call,
                     (long long)rc, (long long)wanted, ipc_error_detail());
}

#define ok(call) expect_rc(call, 0)

static ipc_arena *home;
static ipc_list *list;

static inline void make_arena(uint64_t max_bytes)
{
    ipc_arena_options options = IPC_ARENA_OPTIONS_INIT;
    options.max_bytes = max_bytes;
    ok(ipc_arena_new(&options, &home));
    ok(ipc_list_new(home, &list));
}

static inline uint64_t used_bytes(void)
{
    ipc_arena_info info = IPC_ARENA_INFO_INIT;
    ok(ipc_arena_query(home, &info));
    return info.used_bytes;
}

/* Whole, and with nothing in it when the list is gone. */
static inline void end_arena(void)
{
    ok(ipc_arena_check(home));
    ok(ipc_list_free(list));
    ok(ipc_arena_check(home));
    expect_rc((int64_t)used_bytes(), 0);
    ok(ipc_arena_free(home));
}

static inline void fill(int64_t from, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        ok(ipc_list_append_i64(list, from + i));
}

static inline int64_t i64_at(int64_t index)
{
    int64_t is = INT64_MIN;
    ok(ipc_list_get_i64(list, index, &is));
    return is;
}

#define expect_items(...)                                                      \
    expect_items_at((const int64_t[]){__VA_ARGS__},                            \
                    sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t),  \
                    __LINE__)
static inline void expect_items_at(const int64_t *items, size_t count, int line)
{
    ipc_anys all;
    ok(ipc_list_slice(list, 0, INT64_MAX, 1, &all));
    if (all.count != count)
        test_fail_at(__FILE__, line, "%zu items, not %zu", all.count, count);
    for (size_t i = 0; i < count; i++)
        if (all.items[i].type != IPC_TYPE_I64 || all.items[i].i64 != items[i])
            test_fail_at(__FILE__, line, "item %zu is %" PRId64, i,
                         all.items[i].i64);
    ipc_anys_free(&all);
}

static inline void expect_empty(void)
{
    expect_rc(ipc_list_length(list), 0);
}

/* The items are from, from + 1, ... */
static inline void expect_counting(int64_t from, int64_t count)
{
    ipc_anys all;
    ok(ipc_list_slice(list, 0, INT64_MAX, 1, &all));
    assert_int_equal(all.count, count);
    for (int64_t i = 0; i < count; i++)
        if (all.items[i].type != IPC_TYPE_I64 || all.items[i].i64 != from + i)
            test_fail("item %" PRId64 " is %" PRId64, i, all.items[i].i64);
    ipc_anys_free(&all);
}

#endif
