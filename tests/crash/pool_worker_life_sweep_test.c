/* A worker is killed at every instruction of its life: of being born, of falling
 * asleep and waking up, of running what another one has claimed, of leaving.
 * What must hold then is said in pool_worker_sweep_test.c. */
#include "crash/pool_worker_scene.h"

static void live(void *ctx)
{
    (void)ctx;
    if (ipc__worker_run(scene->pool, 0) != 0)
        abort();
}

/* Nobody else works. */
static void put_scene_alone(void *ctx)
{
    put_scene(ctx);
    put_before();
}

/* ---- the whole life ---- */

static void a_life_of_one_task(void)
{
    const struct sweep sweep = {.reset = put_scene_alone, .victim = live};
    expect_clean("alone", (struct scene){.before = 1, .max_tasks = 1}, sweep,
                 5);
    expect_clean("two_of_many", (struct scene){.before = 9, .max_tasks = 2},
                 sweep, 12);
}

/* Nobody is registered yet. */
static void a_life_from_birth(void)
{
    const struct sweep sweep = {
        .reset = put_scene_alone, .prepare = warm_up, .victim = live};
    expect_clean(NULL, (struct scene){.before = 3, .max_tasks = 1}, sweep, 11);
}

/* And the others are slow to wake up. */
static void some_are_submitted(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    for (uint32_t i = 1; i < scene->workers; i++)
        role_stop(&crew[i]);
    put_before();
    ipc__futex_wake(&scene->pool->tail, INT_MAX);
}

static void others_wake_up(void *ctx, const struct sweep_point *point,
                           struct sweep_result *result)
{
    (void)ctx;
    for (uint32_t i = 1; i < scene->workers; i++)
        role_cont(&crew[i]);
    bury_and_look(point, result);
}

static void asleep_and_woken(void)
{
    const struct sweep sweep = {.reset = put_scene,
                                .victim = live,
                                .meanwhile = some_are_submitted,
                                .oracle = others_wake_up};
    expect_clean("alone", (struct scene){.before = 1, .max_tasks = 1}, sweep,
                 9);
    expect_clean("1", (struct scene){.before = 1, .max_tasks = 1, .workers = 2},
                 sweep, 23);
    expect_clean("many",
                 (struct scene){.before = 4, .max_tasks = 1, .workers = 3},
                 sweep, 37);
}

/* The line is closed, or the worker is asked to leave, while it sleeps. */
static void it_is_closed(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    scene->pool->workers[0].leave = 1;
    ipc__futex_wake(&scene->pool->tail, INT_MAX);
}

static void asked_to_leave(void)
{
    const struct sweep sweep = {
        .reset = put_scene, .victim = live, .meanwhile = it_is_closed};
    expect_clean("alone", (struct scene){.before = 0}, sweep, 13);
    expect_clean("1", (struct scene){.before = 0, .workers = 2}, sweep, 29);
}

static void shrink_now(void *ctx)
{
    put_scene(ctx);
    scene->pool->idle_ns = 1;
}

static void idle_for_too_long(void)
{
    const struct sweep sweep = {.reset = shrink_now, .victim = live};
    expect_clean("alone", (struct scene){.before = 0}, sweep, 13);
    expect_clean("1", (struct scene){.before = 0, .workers = 2}, sweep, 29);
}

/* ---- stealing ---- */

/* What is pending is another one's, which never comes to it. */
static void claim_for_another(void *ctx)
{
    put_scene_behind_backs(ctx);
    ipc_pool *pool = scene->pool;
    ipc__table_enter(pool, 1);
    pool->workers[1].phase = IPC__WORKER_AWAKE;
    for (unsigned i = 0; i < scene->before; i++)
        pool->workers[1].claims[i] = ipc__table_index(futures[i]) + 1;
    move_line(pool->tail / IPC__LINE_STEP);
    pool->looking = 0;
    pool->workers[0].phase = IPC__WORKER_STARTING;
}

static void bury_both(void *ctx, const struct sweep_point *point,
                      struct sweep_result *result)
{
    (void)ctx;
    ipc__table_bury_worker(scene->pool, 1);
    bury_and_look(point, result);
}

static void claims_of_another(void)
{
    const struct sweep sweep = {
        .reset = claim_for_another, .victim = live, .oracle = bury_both};
    expect_clean(NULL, (struct scene){.before = 3, .max_tasks = 2}, sweep, 9);
}

/* ---- a task that submits another one, and waits for it ---- */

static int run_inner(const void *arg, void *result, ipc_task *task)
{
    unsigned char inner[NEAR];
    ipc_future *future;
    const int rc = note_run(arg, result, task);
    if (rc != 0)
        return rc;
    if (submit_number(INNER, NEAR, NEAR, &future) != 0)
        return -EIO;
    if (ipc_future_result(future, inner, sizeof inner, NULL) != 0 ||
        !are_bytes(inner, NEAR, INNER))
        note_torn();
    return ipc_future_free(future);
}

static void put_outer(void *ctx)
{
    unsigned char arg[NEAR];
    put_scene(ctx);
    fill_bytes(arg, sizeof arg, 0);
    must(ipc_pool_submit(scene->pool, run_inner, arg, sizeof arg, NEAR,
                         &futures[0]) == 0);
}

static void nested_oracle(void *ctx, const struct sweep_point *point,
                          struct sweep_result *result)
{
    (void)ctx;
    bury_and_look(point, result);
    if (scene->runs[INNER] > 1)
        sweep_torn(result, point);
}

static void a_task_inside_a_task(void)
{
    const struct sweep sweep = {
        .reset = put_outer, .victim = live, .oracle = nested_oracle};
    expect_clean("helped", (struct scene){.before = 1, .max_tasks = 1}, sweep,
                 9);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(a_life_of_one_task, 60),
    TEST_CASE_LIMIT(a_life_from_birth, 60),
    TEST_CASE_LIMIT(asleep_and_woken, 60),
    TEST_CASE_LIMIT(asked_to_leave, 60),
    TEST_CASE_LIMIT(idle_for_too_long, 60),
    TEST_CASE_LIMIT(claims_of_another, 60),
    TEST_CASE_LIMIT(a_task_inside_a_task, 60),
};
TEST_MAIN(cases)
