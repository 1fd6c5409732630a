/* Dicts and sets in an arena of the case's own, and what they must look like. */
#ifndef UNIT_DICT_SUPPORT_H
#define UNIT_DICT_SUPPORT_H

#include "harness/harness.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ipc/arena.h>
#include <ipc/dict.h>
#include <ipc/error.h>
#include <ipc/list.h>
#include <ipc/namespace.h>
#include <ipc/set.h>

enum {
    LIMIT_MS = 10000 /* it hangs */
};

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
static ipc_dict *dict;

static inline ipc_arena *new_arena(uint64_t max_bytes)
{
    ipc_arena_options options = IPC_ARENA_OPTIONS_INIT;
    ipc_arena *arena = NULL;
    options.max_bytes = max_bytes;
    ok(ipc_arena_new(&options, &arena));
    return arena;
}

static inline void make_arena(uint64_t max_bytes)
{
    home = new_arena(max_bytes);
    ok(ipc_dict_new(home, &dict));
}

static inline uint64_t used_bytes(void)
{
    ipc_arena_info info = IPC_ARENA_INFO_INIT;
    ok(ipc_arena_query(home, &info));
    return info.used_bytes;
}

static inline uint64_t object_count(void)
{
    ipc_arena_info info = IPC_ARENA_INFO_INIT;
    ok(ipc_arena_query(home, &info));
    return info.objects;
}

static inline void check_arena(void)
{
    ok(ipc_arena_check(home));
}

/* Whole, and with nothing in it when the dict is gone. */
static inline void end_arena(void)
{
    check_arena();
    ok(ipc_dict_free(dict));
    check_arena();
    expect_rc((int64_t)used_bytes(), 0);
    ok(ipc_arena_free(home));
}

static inline void expect_detail(const char *part)
{
    if (strstr(ipc_error_detail(), part) == NULL)
        test_fail("\"%s\" does not say \"%s\"", ipc_error_detail(), part);
}

/* ---- values ---- */

static inline int64_t i64_of(ipc_any key)
{
    ipc_any value;
    ok(ipc_dict_get(dict, key, &value));
    if (value.type != IPC_TYPE_I64)
        test_fail("a %s", ipc_type_name(value.type));
    return value.i64;
}

static inline void expect_at(ipc_any key, ipc_any wanted)
{
    ipc_any value;
    ok(ipc_dict_get(dict, key, &value));
    if (value.type != wanted.type || !ipc_any_equal(&value, &wanted)) {
        char text[100];
        (void)ipc_any_format(&value, text, sizeof text);
        test_fail("the value is %s", text);
    }
    ipc_any_free(&value);
}

static inline void expect_missing(ipc_any key)
{
    ipc_any value = ipc_i64(4711);
    expect_rc(ipc_dict_get(dict, key, &value), -ENOENT);
    assert_int_equal(value.i64, 4711);
    expect_rc(ipc_dict_contains(dict, key), 0);
}

/* All of it, as one line: "a:1 b:2". */
static inline void expect_items_of(ipc_dict *which, const char *wanted)
{
    char text[1000] = "";
    size_t end = 0;
    ipc_anys all;
    ok(ipc_dict_items(which, &all));
    for (size_t i = 0; i < all.count && end < sizeof text; i += 2) {
        char key[100], value[100];
        (void)ipc_any_format(&all.items[i], key, sizeof key);
        (void)ipc_any_format(&all.items[i + 1], value, sizeof value);
        if (all.items[i].type == IPC_TYPE_STR)
            (void)snprintf(key, sizeof key, "%s", all.items[i].str);
        end += (size_t)snprintf(text + end, sizeof text - end, "%s%s:%s",
                                i > 0 ? " " : "", key, value);
    }
    ipc_anys_free(&all);
    if (strcmp(text, wanted) != 0)
        test_fail("it is \"%s\", not \"%s\"", text, wanted);
}

static inline void expect_items(const char *wanted)
{
    expect_items_of(dict, wanted);
}

/* Keys from "a" on, with 1, 2, ... */
static inline void fill_letters(int count)
{
    for (int i = 0; i < count; i++) {
        const char key[2] = {(char)('a' + i), '\0'};
        ok(ipc_dict_set_i64(dict, key, i + 1));
    }
}

/* Long enough for a block of its own; the same for the same number. */
static inline const char *long_text(int64_t number, size_t bytes, char *out)
{
    (void)snprintf(out, bytes + 1, "%0*" PRId64, (int)bytes, number);
    return out;
}

#endif
