/* What the sweeps of workers have in common: the victim is worker 0, and what
 * it leaves is buried and looked at. */
#ifndef CRASH_POOL_WORKER_SCENE_H
#define CRASH_POOL_WORKER_SCENE_H

#include "crash/pool_look.h"

static struct role waiter;

/* ---- before ---- */

static inline void put_scene(void *ctx)
{
    (void)ctx;
    set_table();
    for (uint32_t i = 1; i < scene->workers; i++)
        hire_and_wait(i);
    ipc__table_enter(scene->pool, 0);
    boss_hands[0].started = true;
}

/* The others are asleep; the victim has seen to it that nobody is woken: it
 * looks for work. */
static inline void put_scene_behind_backs(void *ctx)
{
    struct ipc__worker *w = &scene->pool->workers[0];
    put_scene(ctx);
    w->phase = IPC__WORKER_LOOKING;
    scene->pool->looking = 1;
    scene->pool->tail &= ~IPC__LINE_SLEEPERS;
    put_before();
}

/* ---- the victim ---- */

static inline void warm_up_to_work(void *ctx)
{
    struct ipc__worker *w = &scene->pool->workers[0];
    warm_up(ctx);
    w->pid = getpid();
    __atomic_store_n(&w->id, ipc__self.id, __ATOMIC_SEQ_CST);
}

/* ---- what the dead one leaves ---- */

/* Is this one being run by the dead one? */
static inline bool is_run_by_victim(const ipc_future *future)
{
    const uint32_t word = load_acquire(&future->state);
    return ipc__future_state(word) == IPC__RUNNING && ipc__runner_of(word) == 0;
}

static inline unsigned victims_tasks(bool *is_victims)
{
    unsigned n = 0;
    for (unsigned i = 0; i < scene->before; i++) {
        is_victims[i] = futures[i] != NULL && is_run_by_victim(futures[i]);
        n += is_victims[i];
    }
    return n;
}

/* Begun once, whoever has said so. */
static inline bool has_ended_once(unsigned i, int rc, bool was_victims)
{
    ipc_exception e = IPC_EXCEPTION_INIT;
    return ipc_future_exception(futures[i], &e, IPC_TIME_FOREVER) == 0 &&
           e.attempts == 1 && scene->runs[i] <= 1 &&
           (rc == 0 || rc == -ECANCELED || (was_victims && rc == -EOWNERDEAD));
}

static inline bool is_as_it_should_be(unsigned i, bool was_victims)
{
    unsigned char bytes[SPILLED];
    size_t n = 0;
    const int rc =
        ipc_future_result_nowait(futures[i], bytes, sizeof bytes, &n);
    const bool has_result =
        rc == 0 && n == (scene->reserves ? SPILLED : scene->result_bytes) &&
        are_bytes(bytes, n, i);
    if (scene->asked)
        return has_ended_once(i, rc, was_victims);
    if (!was_victims)
        return has_result && scene->runs[i] == 1;
    if (scene->retries != 0)
        return has_result && scene->runs[i] >= 1 && scene->runs[i] <= 2;
    return rc == -EOWNERDEAD && scene->runs[i] <= 1;
}

static inline void check_tasks(const bool *is_victims,
                               const struct sweep_point *point,
                               struct sweep_result *result)
{
    for (unsigned i = 0; i < scene->before; i++) {
        if (futures[i] == NULL) {
            if (scene->runs[i] > 1)
                sweep_torn(result, point);
            continue;
        }
        if (!is_as_it_should_be(i, is_victims[i])) {
            if (result->printed < 10)
                printf("  task %u, %sof the dead one: 0x%x, %u runs\n", i,
                       is_victims[i] ? "" : "not ", futures[i]->state,
                       scene->runs[i]);
            sweep_lost(result, point);
        }
        if (ipc_future_free(futures[i]) != 0)
            sweep_torn(result, point);
    }
}

static inline void check_waiter(const bool *is_victims,
                                const struct sweep_point *point,
                                struct sweep_result *result)
{
    int status = 0;
    if (waiter.pid == 0)
        return;
    if (!role_dead_within(&waiter, scene->wedge_ms, &status)) {
        (void)role_kill(&waiter);
        sweep_wedge(result, point);
    } else if (status != 0 ||
               scene->waiter_rc !=
                   (is_victims[0] && scene->retries == 0 ? -EOWNERDEAD : 0)) {
        sweep_torn(result, point);
    }
}

static inline void bury_and_look(const struct sweep_point *point,
                                 struct sweep_result *result)
{
    bool is_victims[NUMBERS] = {false};
    const unsigned n = victims_tasks(is_victims);
    victim_is_dead = true;
    scene->pool->max_tasks = 0; /* those who come now stay */
    scene->pool->idle_ns = 0;
    supervise();
    const bool all_go_on = go_on(point, result);
    check_waiter(is_victims, point, result);
    if (!all_go_on)
        return;
    if (n > 1 || (n != 0 && point->finished) || scene->torn != 0 ||
        scene->runs[LAST] != 1)
        sweep_torn(result, point);
    check_tasks(is_victims, point, result);
    scene->died += n;
    scene->ran += scene->runs[0];
    check_whole(point, result);
}

static inline void oracle(void *ctx, const struct sweep_point *point,
                          struct sweep_result *result)
{
    (void)ctx;
    bury_and_look(point, result);
}

static inline struct sweep_result sweep_work(const char *name,
                                             struct scene *plan,
                                             struct sweep sweep, long stride)
{
    plan->victim_works = true;
    if (plan->workers == 0)
        plan->workers = 1;
    if (plan->arg_bytes == 0)
        plan->arg_bytes = NEAR;
    if (plan->result_bytes == 0)
        plan->result_bytes = NEAR;
    if (sweep.prepare == NULL)
        sweep.prepare = warm_up_to_work;
    if (sweep.oracle == NULL)
        sweep.oracle = oracle;
    sweep.stride = stride;
    return run_sweep(name, plan, &sweep);
}

static inline void expect_clean(const char *name, struct scene plan,
                                struct sweep sweep, long stride)
{
    const struct sweep_result result =
        sweep_work(name, &plan, sweep, sweep_stride(stride));
    sweep_expect_clean(&result, 10);
    assert_true(scene->died > 0 || stride > 1);
}

#endif
