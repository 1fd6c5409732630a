/* The workers of a pool: what they are set up with, how many there are and how
 * long they stay. */
#include "unit/pool_support.h"

/* ---- initializer and finalizer ---- */

static int set_up(void *arg)
{
    say(&((struct scene *)arg)->more[0]);
    return 0;
}

static void tear_down(void *arg)
{
    say(&((struct scene *)arg)->more[1]);
}

static int is_set_up(const void *arg, void *result, ipc_task *task)
{
    (void)task;
    *(int *)result = (int)scene_of(arg)->more[0];
    return 0;
}

static ipc_pool_options with_setup(uint32_t kind, uint32_t workers,
                                   struct scene *scene)
{
    ipc_pool_options options = with_workers(kind, workers);
    options.initializer = set_up;
    options.finalizer = tear_down;
    options.initializer_arg = scene;
    return options;
}

static void once_in_each_worker(uint32_t kind)
{
    struct scene *scene = new_scene();
    const ipc_pool_options options = with_setup(kind, 3, scene);
    ipc_pool *pool = pool_with(&options);
    ipc_future *held[3];
    hold(pool, scene, 3, held);
    assert_int_equal(scene->more[0], 3);
    assert_int_equal(scene->more[1], 0);
    let_go(scene, held, 3);
    free_pool(pool);
    assert_int_equal(scene->more[0], 3);
    assert_int_equal(scene->more[1], 3);
    free_scene(scene);
}
BOTH_KINDS(once_in_each_worker);

static void before_the_first_task(uint32_t kind)
{
    struct scene *scene = new_scene();
    const ipc_pool_options options = with_setup(kind, 1, scene);
    ipc_pool *pool = pool_with(&options);
    ipc_future *f =
        submit(pool, is_set_up, &scene, sizeof(struct scene *), sizeof(int));
    assert_int_equal(number_of(f), 1);
    free_pool(pool);
    free_scene(scene);
}
BOTH_KINDS(before_the_first_task);

/* A killed one has no time for it. */
static void no_finalizer_when_it_is_killed(void)
{
    struct scene *scene = new_scene();
    const ipc_pool_options options = with_setup(IPC_POOL_PROCESSES, 2, scene);
    ipc_pool *pool = pool_with(&options);
    ipc_future *held[2];
    hold(pool, scene, 2, held);
    CHECK(ipc_pool_kill(pool), 0);
    free_pool(pool);
    assert_int_equal(scene->more[0], 2);
    assert_int_equal(scene->more[1], 0);
    free_scene(scene);
}

static int set_up_nothing(void *arg)
{
    meet_wait(&((struct scene *)arg)->open, 1, LIMIT_MS);
    return 1;
}

static void expect_broken(ipc_pool *pool)
{
    const int n = 1;
    ipc_future *f = NULL;
    CHECK(ipc_pool_submit(pool, add_one, &n, sizeof n, sizeof n, &f),
          -ENOTRECOVERABLE);
    assert_null(f);
    CHECK(ipc_pool_submit_nowait(pool, add_one, &n, sizeof n, 0, NULL),
          -ENOTRECOVERABLE);
    CHECK(ipc_pool_apply(pool, add_one, &n, sizeof n, NULL, 0),
          -ENOTRECOVERABLE);
    expect_says("is broken");
    assert_true(figures(pool).broken);
}

static void an_initializer_that_fails_breaks_the_pool(uint32_t kind)
{
    struct scene *scene = new_scene();
    ipc_pool_options options = with_setup(kind, 2, scene);
    options.initializer = set_up_nothing;
    ipc_pool *pool = pool_with(&options);
    ipc_future *f[3];
    for (int i = 0; i < 3; i++)
        f[i] = submit_number(pool, i);
    say(&scene->open);
    for (int i = 0; i < 3; i++) {
        expect_status(f[i], -ENOTRECOVERABLE);
        const ipc_exception e = exception_of(f[i]);
        assert_int_equal(e.kind, IPC_EXCEPTION_BROKEN);
        assert_int_equal(e.attempts, 0);
        assert_false(ipc_future_cancelled(f[i]));
    }
    wait_for_figure(pool, workers, 0);
    expect_broken(pool);
    CHECK(ipc_pool_shutdown(pool, true, false), 0);
    expect_broken(pool);
    free_pool(pool);
    assert_int_equal(scene->more[1], 0);
    free_scene(scene);
}
BOTH_KINDS(an_initializer_that_fails_breaks_the_pool);

static int fail_with_eio(void *arg)
{
    meet_wait(&((struct scene *)arg)->open, 1, LIMIT_MS);
    return -EIO;
}

static void a_broken_pool_says_which_initializer_failed(uint32_t kind)
{
    static const char says[] =
        "broken: the initializer of Crew-1 has failed: -5 (Input/output error)";
    struct scene *scene = new_scene();
    ipc_pool_options options = with_setup(kind, 1, scene);
    options.initializer = fail_with_eio;
    options.name = "Crew";
    ipc_pool *pool = pool_with(&options);
    ipc_future *f = submit_number(pool, 1);
    say(&scene->open);
    expect_status(f, -ENOTRECOVERABLE);
    expect_says(says);
    assert_non_null(strstr(exception_of(f).message, says));
    expect_broken(pool);
    expect_says("Crew is broken: ");
    expect_says(says);
    int results[2];
    CHECK(ipc_pool_map(pool, add_one, (const int[]){1, 2}, sizeof(int), 2,
                       results, sizeof(int), NULL),
          -ENOTRECOVERABLE);
    expect_says(says);
    free_pool(pool);
    free_scene(scene);
}
BOTH_KINDS(a_broken_pool_says_which_initializer_failed);

/* ---- replaced after so many tasks ---- */

static int who(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)task;
    *(int *)result = gettid();
    return 0;
}

static void replaced_after_so_many_tasks(uint32_t kind)
{
    enum {
        TASKS = 10,
        EACH = 3
    };
    struct scene *scene = new_scene();
    ipc_pool_options options = with_setup(kind, 1, scene);
    options.max_tasks_per_worker = EACH;
    ipc_pool *pool = pool_with(&options);
    int tids[TASKS];
    for (int i = 0; i < TASKS; i++) {
        CHECK(ipc_pool_apply(pool, who, NULL, 0, &tids[i], sizeof(int)), 0);
        if (i % EACH != 0)
            assert_int_equal(tids[i], tids[i - 1]);
        else if (i != 0)
            assert_int_not_equal(tids[i], tids[i - 1]);
    }
    assert_int_equal(figures(pool).respawned, TASKS / EACH);
    assert_int_equal(figures(pool).done, TASKS);
    free_pool(pool);
    assert_int_equal(scene->more[0], 1 + TASKS / EACH);
    assert_int_equal(scene->more[1], 1 + TASKS / EACH);
    free_scene(scene);
}
BOTH_KINDS(replaced_after_so_many_tasks);

/* ---- more and fewer ---- */

static void more_workers_while_all_are_busy(uint32_t kind)
{
    struct scene *scene = new_scene();
    ipc_pool *pool = new_pool(kind, 1);
    ipc_future *held[4];
    hold(pool, scene, 1, held);
    CHECK(ipc_pool_resize(pool, 4), 0);
    hold(pool, scene, 3, held + 1); /* all four at once */
    assert_int_equal(figures(pool).workers, 4);
    assert_int_equal(figures(pool).running, 4);
    let_go(scene, held, 4);
    free_pool(pool);
    free_scene(scene);
}
BOTH_KINDS(more_workers_while_all_are_busy);

/* The idle ones first; who is busy finishes what it runs. */
static void fewer_workers_while_some_are_busy(uint32_t kind)
{
    struct scene *scene = new_scene();
    ipc_pool *pool = new_pool(kind, 4);
    ipc_future *held[2];
    hold(pool, scene, 2, held);
    CHECK(ipc_pool_resize(pool, 2), 0);
    wait_for_figure(pool, workers, 2);
    assert_int_equal(figures(pool).running, 2);
    assert_int_equal(figures(pool).idle, 0);
    CHECK(ipc_pool_resize(pool, 1), 0);
    let_go(scene, held, 2);
    wait_for_figure(pool, workers, 1);
    expect_works(pool);
    assert_int_equal(figures(pool).respawned, 0);
    assert_int_equal(figures(pool).failed, 0);
    CHECK(ipc_pool_resize(pool, 3), 0);
    wait_for_figure(pool, workers, 3);
    expect_works(pool);
    free_pool(pool);
    free_scene(scene);
}
BOTH_KINDS(fewer_workers_while_some_are_busy);

static void sizes_that_are_refused(uint32_t kind)
{
    ipc_pool *pool = new_pool(kind, 1);
    CHECK(ipc_pool_resize(pool, 0), -EINVAL);
    CHECK(ipc_pool_resize(pool, IPC_POOL_WORKERS_MAX + 1), -EINVAL);
    CHECK(ipc_pool_resize(pool, 1), 0);
    assert_int_equal(figures(pool).workers, 1);
    free_pool(pool);
}
BOTH_KINDS(sizes_that_are_refused);

static void idle_ones_leave_and_come_back(uint32_t kind)
{
    struct scene *scene = new_scene();
    ipc_pool_options options = with_setup(kind, 4, scene);
    options.idle_ns = 10 * NS_PER_MS;
    options.min_workers = 1;
    ipc_pool *pool = pool_with(&options);
    ipc_future *held[4];
    for (int round = 0; round < 2; round++) {
        hold(pool, scene, 4, held);
        assert_int_equal(figures(pool).workers, 4);
        let_go(scene, held, 4);
        wait_for_figure(pool, workers, 1);
        scene->open = 0;
        expect_works(pool);
    }
    assert_int_equal(figures(pool).failed, 0);
    free_pool(pool);
    assert_int_equal(scene->more[1], scene->more[0]);
    free_scene(scene);
}
BOTH_KINDS(idle_ones_leave_and_come_back);

static void down_to_none(uint32_t kind)
{
    ipc_pool_options options = with_workers(kind, 2);
    options.idle_ns = NS_PER_MS;
    ipc_pool *pool = pool_with(&options);
    for (int round = 0; round < 3; round++) {
        wait_for_figure(pool, workers, 0);
        expect_works(pool);
    }
    wait_for_figure(pool, workers, 0);
    CHECK(ipc_pool_shutdown(pool, true, false), 0);
    free_pool(pool);
}
BOTH_KINDS(down_to_none);

/* A task that finds nobody there, and a pool that is shut down at once. */
static void the_last_task_of_a_pool_without_workers(uint32_t kind)
{
    ipc_pool_options options = with_workers(kind, 2);
    options.idle_ns = NS_PER_MS;
    ipc_pool *pool = pool_with(&options);
    wait_for_figure(pool, workers, 0);
    ipc_future *f = submit_number(pool, 3);
    CHECK(ipc_pool_shutdown(pool, true, false), 0);
    assert_int_equal(number_of(f), 4);
    free_pool(pool);
}
BOTH_KINDS(the_last_task_of_a_pool_without_workers);

/* ---- looking at it ---- */

static void figures_of_a_busy_pool(uint32_t kind)
{
    struct scene *scene = new_scene();
    ipc_pool *pool = new_pool(kind, 3);
    ipc_worker_info workers[4] = {{0}};
    ipc_future *held[2], *more[5];
    (void)wait_for_workers(pool, workers, 3);
    hold(pool, scene, 2, held);
    ipc_pool_stats s = figures(pool);
    assert_int_equal(s.workers, 3);
    assert_int_equal(s.idle, 1);
    assert_int_equal(s.running, 2);
    assert_int_equal(s.pending, 0);
    assert_int_equal(s.futures, 2);
    assert_int_equal(s.done + s.failed + s.retried + s.respawned, 0);
    assert_false(s.broken || s.shut_down);

    const ipc_deadline now = ipc_now();
    int busy = 0;
    assert_int_equal(ipc_pool_workers(pool, workers, 4), 3);
    for (uint32_t i = 0; i < 3; i++) {
        const ipc_worker_info *w = &workers[i];
        assert_int_equal(w->index, i);
        assert_int_equal(w->pid == getpid(), kind == IPC_POOL_THREADS);
        assert_true(w->tid != 0);
        assert_int_equal(w->tid == w->pid, kind == IPC_POOL_PROCESSES);
        assert_int_equal(w->tasks, 0);
        if (w->fn == NULL)
            continue;
        assert_true(w->fn == stay);
        assert_true(w->since > 0 && w->since <= now);
        busy++;
    }
    assert_int_equal(busy, 2);
    assert_int_equal(workers[3].tid, 0);
    workers[1].tid = -1;
    assert_int_equal(ipc_pool_workers(pool, workers, 1), 3);
    assert_int_equal(workers[1].tid, -1);
    assert_int_equal(ipc_pool_workers(pool, NULL, 0), 3);

    let_go(scene, held, 2);
    for (int i = 0; i < 5; i++)
        more[i] = submit_number(pool, i);
    for (int i = 0; i < 5; i++)
        assert_int_equal(number_of(more[i]), i + 1);
    wait_for_figure(pool, idle, 3);
    s = figures(pool);
    assert_int_equal(s.done, 7);
    assert_int_equal(s.futures, 5);
    assert_int_equal(s.running + s.pending, 0);
    (void)ipc_pool_workers(pool, workers, 3);
    assert_int_equal(workers[0].tasks + workers[1].tasks + workers[2].tasks, 7);
    s.size = 1;
    CHECK(ipc_pool_query(pool, &s), -EINVAL);
    free_pool(pool);
    free_scene(scene);
}
BOTH_KINDS(figures_of_a_busy_pool);

/* Whatever ends without a result has failed. */
static int refuse(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    (void)task;
    return -EPERM;
}

static void figures_of_what_failed(uint32_t kind)
{
    struct scene *scene = new_scene();
    ipc_pool *pool = new_pool(kind, 1);
    ipc_future *held, *pending;
    CHECK(ipc_pool_apply(pool, refuse, NULL, 0, NULL, 0), -EPERM);
    hold(pool, scene, 1, &held);
    pending = submit_number(pool, 1);
    assert_int_equal(figures(pool).pending, 1);
    CHECK(ipc_future_cancel(pending), 0);
    assert_int_equal(figures(pool).pending, 0);
    assert_int_equal(figures(pool).failed, 2);
    let_go(scene, &held, 1);
    assert_int_equal(figures(pool).done, 1);
    CHECK(ipc_pool_shutdown(pool, true, false), 0);
    assert_int_equal(figures(pool).done, 1);
    assert_int_equal(figures(pool).failed, 2);
    free_pool(pool);
    free_scene(scene);
}
BOTH_KINDS(figures_of_what_failed);

static const struct test_case cases[] = {
    BOTH_CASES(once_in_each_worker),
    BOTH_CASES(before_the_first_task),
    TEST_CASE(no_finalizer_when_it_is_killed),
    BOTH_CASES(an_initializer_that_fails_breaks_the_pool),
    BOTH_CASES(a_broken_pool_says_which_initializer_failed),
    BOTH_CASES(replaced_after_so_many_tasks),
    BOTH_CASES(more_workers_while_all_are_busy),
    BOTH_CASES(fewer_workers_while_some_are_busy),
    BOTH_CASES(sizes_that_are_refused),
    BOTH_CASES(idle_ones_leave_and_come_back),
    BOTH_CASES(down_to_none),
    BOTH_CASES(the_last_task_of_a_pool_without_workers),
    BOTH_CASES(figures_of_a_busy_pool),
    BOTH_CASES(figures_of_what_failed),
};
TEST_MAIN(cases)
