/* What the tests of pools share. */
#ifndef POOL_SUPPORT_H
#define POOL_SUPPORT_H

#include "unit/future_support.h"

#include <sys/prctl.h>

/* ---- one case for both kinds of worker ---- */

#define BOTH_KINDS(name)                                                       \
    static void name##_in_processes(void)                                      \
    {                                                                          \
        name(IPC_POOL_PROCESSES);                                              \
    }                                                                          \
    static void name##_in_threads(void)                                        \
    {                                                                          \
        name(IPC_POOL_THREADS);                                                \
    }                                                                          \
    struct both_kinds_end_

#define BOTH_CASES(name)                                                       \
    TEST_CASE(name##_in_processes), TEST_CASE(name##_in_threads)

/* What a thread has from another process, or gives to it, is nothing to
 * ThreadSanitizer. */
static inline void skip_unseen_processes(uint32_t kind)
{
    if (THREAD_SANITIZED && kind == IPC_POOL_THREADS)
        test_skip("ThreadSanitizer does not see other processes");
}

/* ---- pools ---- */

static inline ipc_pool_options with_workers(uint32_t kind, uint32_t workers)
{
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    options.kind = kind;
    options.workers = workers;
    return options;
}

static inline ipc_pool *pool_with(const ipc_pool_options *options)
{
    ipc_pool *pool = NULL;
    CHECK(ipc_pool_new(options, &pool), 0);
    assert_non_null(pool);
    return pool;
}

static inline ipc_pool *new_pool(uint32_t kind, uint32_t workers)
{
    const ipc_pool_options options = with_workers(kind, workers);
    return pool_with(&options);
}

static inline void free_pool(ipc_pool *pool)
{
    CHECK(ipc_pool_free(pool), 0);
}

static inline ipc_pool_stats figures(const ipc_pool *pool)
{
    ipc_pool_stats stats = IPC_POOL_STATS_INIT;
    CHECK(ipc_pool_query(pool, &stats), 0);
    return stats;
}

/* Poll until a figure is as it should be. */
#define wait_for_figure(pool, figure, value)                                   \
    do {                                                                       \
        const int64_t limit_ = test_now_ns() + LIMIT_MS * NS_PER_MS;           \
        while (figures(pool).figure != (value)) {                              \
            if (test_now_ns() > limit_)                                        \
                test_fail(#figure " is %llu, not %llu",                        \
                          (unsigned long long)figures(pool).figure,            \
                          (unsigned long long)(value));                        \
            poll_pause();                                                      \
        }                                                                      \
    } while (0)

/* Poll until so many workers are there, each with an identity. */
static inline size_t wait_for_workers(const ipc_pool *pool,
                                      ipc_worker_info *out, size_t n)
{
    const int64_t limit = test_now_ns() + LIMIT_MS * NS_PER_MS;
    for (;;) {
        const size_t found = ipc_pool_workers(pool, out, n);
        size_t ready = 0;
        for (size_t i = 0; i < found && i < n; i++)
            ready += out[i].tid != 0 ? 1 : 0;
        if (found == n && ready == n)
            return found;
        if (test_now_ns() > limit)
            test_fail("%zu workers of %zu", ready, n);
        poll_pause();
    }
}

/* ---- submitting ---- */

static inline ipc_future *submit(ipc_pool *pool, ipc_task_function *fn,
                                 const void *arg, size_t arg_bytes,
                                 size_t result_bytes)
{
    ipc_future *future = NULL;
    CHECK(ipc_pool_submit(pool, fn, arg, arg_bytes, result_bytes, &future), 0);
    assert_non_null(future);
    return future;
}

static inline ipc_future *submit_with(ipc_pool *pool,
                                      const ipc_task_options *options,
                                      ipc_task_function *fn, const void *arg,
                                      size_t arg_bytes, size_t result_bytes)
{
    ipc_future *future = NULL;
    CHECK(ipc_pool_submit_with(pool, options, fn, arg, arg_bytes, result_bytes,
                               &future),
          0);
    assert_non_null(future);
    return future;
}

static inline ipc_task_options with_retries(uint32_t retries)
{
    ipc_task_options options = IPC_TASK_OPTIONS_INIT;
    options.retries = retries;
    return options;
}

static inline ipc_task_options with_time(int64_t task_ns)
{
    ipc_task_options options = IPC_TASK_OPTIONS_INIT;
    options.task_ns = task_ns;
    return options;
}

/* ---- what tasks do ---- */

static inline int add_one(const void *arg, void *result, ipc_task *task)
{
    (void)task;
    *(int *)result = *(const int *)arg + 1;
    return 0;
}

static inline ipc_future *submit_number(ipc_pool *pool, int number)
{
    return submit(pool, add_one, &number, sizeof number, sizeof number);
}

/* It does what it is there for. */
static inline void expect_works(ipc_pool *pool)
{
    ipc_future *f = submit_number(pool, 41);
    assert_int_equal(number_of(f), 42);
    free_future(f);
}

/* Where a case and its tasks meet: in family memory. */
struct scene {
    uint32_t came; /* tasks that were begun */
    uint32_t open; /* they may go on */
    uint32_t ended;
    uint32_t count; /* of something */
    int32_t pids[8];
    uint32_t more[8];
};

static inline struct scene *new_scene(void)
{
    struct scene *scene = ipc_shared_alloc(sizeof *scene);
    assert_non_null(scene);
    return scene;
}

static inline void free_scene(struct scene *scene)
{
    CHECK(ipc_shared_free(scene), 0);
}

/* The argument of a task that has a scene. */
static inline struct scene *scene_of(const void *arg)
{
    return *(struct scene *const *)arg;
}

static inline ipc_future *submit_in(ipc_pool *pool, ipc_task_function *fn,
                                    struct scene *scene)
{
    return submit(pool, fn, &scene, sizeof(struct scene *), 0);
}

/* Until the scene is open. */
static inline int stay(const void *arg, void *result, ipc_task *task)
{
    struct scene *scene = scene_of(arg);
    (void)result;
    (void)task;
    say(&scene->came);
    meet_wait(&scene->open, 1, LIMIT_MS);
    say(&scene->ended);
    return 0;
}

/* Until it is asked to end, or is ended. */
static inline int stay_till_asked(const void *arg, void *result, ipc_task *task)
{
    struct scene *scene = scene_of(arg);
    (void)result;
    say(&scene->came);
    while (!ipc_task_is_cancelled(task))
        poll_pause();
    say(&scene->ended);
    return -ECANCELED;
}

static inline int count_it(const void *arg, void *result, ipc_task *task)
{
    (void)result;
    (void)task;
    (void)__atomic_add_fetch(&scene_of(arg)->count, 1, __ATOMIC_RELAXED);
    return 0;
}

static inline uint32_t counted(const struct scene *scene)
{
    return __atomic_load_n(&scene->count, __ATOMIC_RELAXED);
}

/* Keep n workers busy until the scene is open. */
static inline void hold(ipc_pool *pool, struct scene *scene, uint32_t n,
                        ipc_future **out)
{
    const uint32_t before = __atomic_load_n(&scene->came, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < n; i++)
        out[i] = submit_in(pool, stay, scene);
    meet_wait(&scene->came, before + n, LIMIT_MS);
}

static inline void let_go(struct scene *scene, ipc_future **held, uint32_t n)
{
    say(&scene->open);
    for (uint32_t i = 0; i < n; i++)
        expect_status(held[i], 0);
    free_futures(held, n);
}

static inline void open_scene(void *scene)
{
    say(&((struct scene *)scene)->open);
}

#endif
