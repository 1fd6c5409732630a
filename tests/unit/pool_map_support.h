/* What the tests of maps share. */
#ifndef UNIT_POOL_MAP_SUPPORT_H
#define UNIT_POOL_MAP_SUPPORT_H

#include "harness/harness.h"

#include <string.h>

#include <ipc/error.h>
#include <ipc/pool.h>

static inline ipc_pool *new_pool(uint32_t kind, uint32_t workers)
{
    ipc_pool *pool;
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    options.kind = kind;
    options.workers = workers;
    assert_int_equal(ipc_pool_new(&options, &pool), 0);
    return pool;
}

static inline void free_pool(ipc_pool *pool)
{
    assert_int_equal(ipc_pool_free(pool), 0);
}

/* Run a case with a pool of processes, and of threads. */
static inline void with_both(void (*fn)(ipc_pool *pool))
{
    static const uint32_t kinds[] = {IPC_POOL_PROCESSES, IPC_POOL_THREADS};
    for (size_t i = 0; i < 2; i++) {
        ipc_pool *pool = new_pool(kinds[i], 2);
        fn(pool);
        free_pool(pool);
    }
}

static inline void expect_rc(int rc, int expected)
{
    if (rc != expected)
        test_fail("%d (%s; %s) instead of %d", rc, ipc_strerror(rc),
                  ipc_error_detail(), expected);
}

static inline void expect_detail(const char *part)
{
    if (strstr(ipc_error_detail(), part) == NULL)
        test_fail("\"%s\" is not in \"%s\"", part, ipc_error_detail());
}

static inline ipc_map_options with_chunk(uint32_t chunk)
{
    ipc_map_options options = IPC_MAP_OPTIONS_INIT;
    options.chunk = chunk;
    return options;
}

/* ---- squares ---- */

static inline int square(const void *arg, void *result, ipc_task *task)
{
    (void)task;
    const int64_t n = *(const int *)arg;
    *(int64_t *)result = n * n;
    return 0;
}

static inline int *count_up(int *items, int n)
{
    for (int i = 0; i < n; i++)
        items[i] = i;
    return items;
}

static inline void expect_squares(const int64_t *results, int n)
{
    for (int64_t i = 0; i < n; i++)
        if (results[i] != i * i)
            test_fail("the square of %lld is not %lld", (long long)i,
                      (long long)results[i]);
}

#endif
