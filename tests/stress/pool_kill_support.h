/* What the tests of pools under random kills have in common: tasks by number
 * that note how often they were begun, and what is left in the end. */
#ifndef STRESS_POOL_KILL_SUPPORT_H
#define STRESS_POOL_KILL_SUPPORT_H

#include "harness/harness.h"
#include "harness/role.h"
#include "harness/scale.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/pool.h>
#include <ipc/shared.h>

enum {
    LIMIT_MS = 10000, /* it hangs */
    LOOPS = 3000
};

#define NS_PER_MS ((int64_t)1000000)

#define expect_rc(call, expected)                                              \
    do {                                                                       \
        const int rc_ = (call);                                                \
        const int expected_ = (expected);                                      \
        if (rc_ != expected_)                                                  \
            test_fail("%s: %d (%s: %s), expected %d", #call, rc_,              \
                      ipc_strerror(rc_), ipc_error_detail(), expected_);       \
    } while (0)

/* ---- tasks ---- */

/* In family memory. */
struct task_note {
    uint32_t runs; /* begun so often */
    uint32_t ends;
};

struct numbered {
    struct task_note *notes;
    long number;
};

static inline void burn(long loops)
{
    for (volatile long i = 0; i < loops; i++)
        continue;
}

static inline int note_and_add(const void *arg, void *result, ipc_task *task)
{
    const struct numbered *n = arg;
    (void)task;
    __atomic_fetch_add(&n->notes[n->number].runs, 1, __ATOMIC_SEQ_CST);
    burn(n->number % 7 * LOOPS);
    *(long *)result = n->number + 1;
    __atomic_fetch_add(&n->notes[n->number].ends, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static inline int add_one(const void *arg, void *result, ipc_task *task)
{
    (void)task;
    *(long *)result = *(const long *)arg + 1;
    return 0;
}

static inline int kill_own_worker(const void *arg, void *result, ipc_task *task)
{
    (void)arg, (void)result, (void)task;
    return kill(getpid(), SIGKILL);
}

static inline void expect_healthy(ipc_pool *pool)
{
    long n = 41;
    expect_rc(ipc_pool_apply(pool, add_one, &n, sizeof n, &n, sizeof n), 0);
    assert_int_equal(n, 42);
}

/* ---- pools ---- */

static inline ipc_pool_stats stats_of(const ipc_pool *pool)
{
    ipc_pool_stats stats = IPC_POOL_STATS_INIT;
    expect_rc(ipc_pool_query(pool, &stats), 0);
    return stats;
}

/* One that random kills do not break. */
static inline ipc_pool_options tough_options(uint32_t workers)
{
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    options.workers = workers;
    options.max_deaths = 100;
    options.deaths_ns = 1;
    return options;
}

static inline ipc_pool *new_pool(const ipc_pool_options *options)
{
    ipc_pool *pool = NULL;
    expect_rc(ipc_pool_new(options, &pool), 0);
    return pool;
}

/* SIGKILL for one of them; false: it is not there yet, or was killed before and
 * is not buried. */
static inline bool kill_one(const ipc_pool *pool, struct test_random *random)
{
    static int32_t killed[64];
    static unsigned count;
    ipc_worker_info info[64];
    const size_t n = ipc_pool_workers(pool, info, 64);
    if (n == 0 || n > 64)
        return false;
    const size_t i = (size_t)test_random_between(random, 0, (long)n - 1);
    if (info[i].pid <= 0 || info[i].tid == 0)
        return false;
    for (unsigned k = 0; k < 64; k++)
        if (killed[k] == info[i].pid)
            return false;
    killed[count++ % 64] = info[i].pid;
    return kill(info[i].pid, SIGKILL) == 0;
}

#define wait_for(condition)                                                    \
    do {                                                                       \
        const int64_t limit_ = test_now_ns() + LIMIT_MS * NS_PER_MS;           \
        while (!(condition)) {                                                 \
            if (test_now_ns() > limit_)                                        \
                test_fail("in vain: %s", #condition);                          \
            poll_pause();                                                      \
        }                                                                      \
    } while (0)

/* ---- what is left ---- */

static inline ipc_shared_info memory_now(void)
{
    ipc_shared_info info = IPC_SHARED_INFO_INIT;
    expect_rc(ipc_shared_init(), 0);
    expect_rc(ipc_shared_query(&info), 0);
    return info;
}

static inline void expect_no_more(const ipc_shared_info *before)
{
    const ipc_shared_info now = memory_now();
    assert_int_equal(now.count, before->count);
    assert_int_equal(now.used, before->used);
}

static inline void *family_memory(size_t bytes)
{
    void *memory = ipc_shared_alloc(bytes);
    assert_non_null(memory);
    return memory;
}

#endif
