/* The process that made a pool is killed: its futures are done all the same,
 * for those of the family who wait. */
#include "unit/future_support.h"

enum {
    COUNT = 150 /* of them more than one sleeps on */
};

/* In family memory. */
struct scene {
    ipc_future *f[COUNT];
    uint32_t begun, ready;
};

static int stay(const void *arg, void *result, ipc_task *task)
{
    struct scene *scene = *(struct scene *const *)arg;
    (void)result;
    (void)task;
    meet_signal(&scene->begun);
    while (scene->begun != 0)
        (void)pause();
    return 0;
}

static void make_pool_and_stay(void *arg)
{
    struct scene *scene = arg;
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    ipc_pool *pool;
    options.workers = 1;
    CHECK(ipc_pool_new(&options, &pool), 0);
    for (int i = 0; i < COUNT; i++)
        CHECK(ipc_pool_submit(pool, stay, &scene, sizeof(struct scene *),
                              sizeof(int), &scene->f[i]),
              0);
    meet_signal(&scene->ready);
    for (;;)
        (void)pause();
}

static struct scene *new_scene(struct role *maker)
{
    struct scene *scene = ipc_shared_alloc(sizeof *scene);
    assert_non_null(scene);
    role_start(maker, make_pool_and_stay, scene);
    meet_wait(&scene->ready, 1, LIMIT_MS);
    meet_wait(&scene->begun, 1, LIMIT_MS);
    return scene;
}

static void kill_role(void *role)
{
    (void)role_kill(role);
}

/* The first one ran, in a worker that has ended too; nobody begins the
 * others. */
static void expect_ends(struct scene *scene)
{
    expect_status(scene->f[0], -EOWNERDEAD);
    assert_int_equal(exception_of(scene->f[0]).kind, IPC_EXCEPTION_DIED);
    for (int i = 1; i < COUNT; i++) {
        expect_status(scene->f[i], -ENOTRECOVERABLE);
        assert_int_equal(exception_of(scene->f[i]).kind, IPC_EXCEPTION_BROKEN);
    }
    CHECK(ipc_shared_free(scene), 0);
}

static void one_that_runs_by_recheck(void)
{
    struct role maker;
    struct scene *scene = new_scene(&maker);
    struct later later;
    begin_later(&later, kill_role, &maker);
    CHECK(ipc_future_wait_until(scene->f[0], ipc_after_ms(LIMIT_MS)), 0);
    end_later(&later);
    expect_ends(scene);
}

static void one_that_is_pending_by_recheck(void)
{
    struct role maker;
    struct scene *scene = new_scene(&maker);
    struct later later;
    begin_later(&later, kill_role, &maker);
    CHECK(ipc_future_wait_until(scene->f[7], ipc_after_ms(LIMIT_MS)), 0);
    end_later(&later);
    expect_ends(scene);
}

static void all_by_recheck(void)
{
    struct role maker;
    struct scene *scene = new_scene(&maker);
    struct later later;
    ipc_as_completed *next;
    size_t i, n = 0;
    begin_later(&later, kill_role, &maker);
    CHECK(ipc_as_completed_begin(scene->f, COUNT, &next), 0);
    while (ipc_as_completed_next(next, ipc_after_ms(LIMIT_MS), &i) > 0)
        n++;
    assert_int_equal(n, COUNT);
    ipc_as_completed_end(next);
    end_later(&later);
    expect_ends(scene);
}

static void in_ipc_wait_by_recheck(void)
{
    struct role maker;
    struct scene *scene = new_scene(&maker);
    struct later later;
    ipc_wait_item items[] = {IPC_WAIT_FUTURE(scene->f[0]),
                             IPC_WAIT_FUTURE(scene->f[1])};
    begin_later(&later, kill_role, &maker);
    assert_true(ipc_wait(items, 2, ipc_after_ms(LIMIT_MS)) > 0);
    end_later(&later);
    expect_ends(scene);
}

static const struct test_case cases[] = {
    TEST_CASE(one_that_runs_by_recheck),
    TEST_CASE(one_that_is_pending_by_recheck),
    TEST_CASE(all_by_recheck),
    TEST_CASE(in_ipc_wait_by_recheck),
};
TEST_MAIN(cases)
