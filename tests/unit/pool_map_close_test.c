/* Pools that end while maps are run. */
#include "unit/pool_support.h"

#include "pool/table.h"

enum {
    ITEMS = 300,
    LATE = 1,  /* item 0 is out of time */
    FAILS = 2, /* it fails, and the one behind stays */
    STAYS = 4, /* items stay until the scene is open */
    ENDS = 8   /* it tries to end the pool */
};

struct mapping {
    ipc_pool *pool;
    struct scene *scene;
    uint32_t how;
    uint32_t chunk;
    pthread_t thread;
    int rc;
    char detail[256];
    int32_t statuses[ITEMS];
};

static struct mapping *mapping; /* before workers are forked */

static int come(ipc_task *task, uint32_t how)
{
    struct scene *scene = mapping->scene;
    (void)__atomic_add_fetch(&scene->count, 1, __ATOMIC_RELAXED);
    say(&scene->came);
    if ((how & ENDS) != 0)
        return ipc_pool_shutdown(ipc_task_pool(task), true, false) == -EDEADLK
                   ? 0
                   : -EPROTO;
    while ((how & STAYS) != 0 && !ipc_task_is_cancelled(task) &&
           __atomic_load_n(&scene->open, __ATOMIC_ACQUIRE) == 0)
        poll_pause();
    return 0;
}

static int take_part(const void *arg, void *result, ipc_task *task)
{
    const uint32_t how = mapping->how;
    const size_t i = ipc_task_index(task);
    (void)arg;
    (void)result;
    if ((how & FAILS) != 0 && i == 0)
        return -EIO;
    if ((how & LATE) == 0 || i != 0)
        return come(task, how);
    (void)come(task, 0);
    while (!ipc_task_is_cancelled(task))
        poll_pause();
    return -ECANCELED;
}

static void *run_map(void *arg)
{
    struct mapping *m = arg;
    ipc_map_options options = IPC_MAP_OPTIONS_INIT;
    options.chunk = m->chunk;
    options.statuses = m->statuses;
    m->rc = ipc_pool_map(m->pool, take_part, NULL, 0, ITEMS, NULL, 0, &options);
    (void)snprintf(m->detail, sizeof m->detail, "%s", ipc_error_detail());
    return NULL;
}

/* Another thread maps, and so many of its items have come. */
static void begin_map(struct mapping *m, const ipc_pool_options *options,
                      uint32_t how, uint32_t chunk, uint32_t came)
{
    mapping = m;
    *m = (struct mapping){
        .scene = new_scene(), .how = how, .chunk = chunk, .rc = 1};
    m->pool = pool_with(options);
    assert_int_equal(pthread_create(&m->thread, NULL, run_map, m), 0);
    meet_wait(&m->scene->came, came, LIMIT_MS);
}

static void end_map(struct mapping *m, int rc)
{
    assert_int_equal(pthread_join(m->thread, NULL), 0);
    if (m->rc != rc)
        test_fail("%d (%s), expected %d", m->rc, m->detail, rc);
    free_pool(m->pool);
    free_scene(m->scene);
}

/* Nor is any of it dropped: most of it is not in line yet. */
static void a_map_goes_on_when_it_is_closed(uint32_t kind)
{
    static struct mapping m;
    const ipc_pool_options options = with_workers(kind, 2);
    begin_map(&m, &options, STAYS, 1, 2);
    CHECK(ipc_pool_shutdown(m.pool, false, false), 0);
    assert_true(figures(m.pool).shut_down);
    say(&m.scene->open);
    CHECK(ipc_pool_shutdown(m.pool, true, false), 0);
    assert_int_equal(counted(m.scene), ITEMS);
    end_map(&m, 0);
}
BOTH_KINDS(a_map_goes_on_when_it_is_closed);

static void what_a_late_item_has_stopped_goes_on(uint32_t kind)
{
    static struct mapping m;
    ipc_pool_options options = with_workers(kind, 1);
    options.task_ns = 100 * NS_PER_MS;
    begin_map(&m, &options, LATE, ITEMS, 1);
    CHECK(ipc_pool_shutdown(m.pool, true, false), 0);
    for (int i = 0; i < ITEMS; i++)
        assert_int_equal(m.statuses[i], i == 0 ? -ETIME : 0);
    end_map(&m, 0);
}
BOTH_KINDS(what_a_late_item_has_stopped_goes_on);

/* It says so, also when an item has failed before. */
static void a_map_that_is_terminated_says_so(uint32_t kind)
{
    static struct mapping m;
    const ipc_pool_options options = with_workers(kind, 1);
    begin_map(&m, &options, FAILS | STAYS, ITEMS, 1);
    CHECK(ipc_pool_terminate(m.pool), 0);
    end_map(&m, -ECANCELED);
    assert_non_null(strstr(m.detail, "shut down"));
    assert_int_equal(m.statuses[0], -EIO);
    for (int i = 2; i < ITEMS; i++)
        assert_int_equal(m.statuses[i], -ECANCELED);
}
BOTH_KINDS(a_map_that_is_terminated_says_so);

/* The caller of map runs an item itself: the pool ends when that has ended. */
static void who_takes_part_is_waited_for(void)
{
    static struct mapping m;
    struct later later;
    const ipc_pool_options options = with_workers(IPC_POOL_THREADS, 2);
    begin_map(&m, &options, STAYS, ITEMS / 3, 3);
    CHECK(ipc_pool_shutdown_until(m.pool, true, ipc_after_ms(SOON_MS)),
          -ETIMEDOUT);
    begin_later(&later, open_scene, m.scene);
    CHECK(ipc_pool_shutdown(m.pool, true, false), 0);
    assert_int_equal(figures(m.pool).running, 0);
    free_pool(m.pool);
    end_later(&later);
    assert_int_equal(pthread_join(m.thread, NULL), 0);
    assert_int_equal(m.rc, 0);
    free_scene(m.scene);
}

static void who_takes_part_cannot_wait_for_the_end(void)
{
    static struct mapping m;
    const ipc_pool_options options = with_workers(IPC_POOL_THREADS, 2);
    begin_map(&m, &options, ENDS, 1, 0);
    end_map(&m, 0);
    for (int i = 0; i < ITEMS; i++)
        assert_int_equal(m.statuses[i], 0);
}

/* Its pool is closed then: nobody waits for what it was about to submit. */
static void map_in_a_role(void *m)
{
    (void)run_map(m);
}

static void a_killed_process_that_maps_is_not_waited_for(void)
{
    static struct mapping m;
    struct role role;
    mapping = &m;
    m = (struct mapping){.scene = new_scene(), .how = STAYS, .chunk = 1};
    m.pool = new_pool(IPC_POOL_PROCESSES, 2);
    role_start(&role, map_in_a_role, &m);
    meet_wait(&m.scene->came, 2, LIMIT_MS);
    CHECK(ipc_pool_shutdown_until(m.pool, false, ipc_after_ms(SOON_MS)),
          -ETIMEDOUT);
    role_kill(&role);
    say(&m.scene->open);
    CHECK(ipc_pool_shutdown_until(m.pool, false, ipc_after_ms(LIMIT_MS)), 0);
    assert_true(counted(m.scene) < ITEMS);
    free_pool(m.pool);
    free_scene(m.scene);
}

/* What it puts in a closed line is in its hands for a moment. */
static void be_killed_with_one_in_hand(void *pool)
{
    const struct ipc__order order = {.fn = 0};
    ipc_future *f;
    CHECK(ipc__table_submit_running(pool, &order, IPC_WORKER_CALLER, &f), 0);
    meet_signal(&mapping->scene->came);
    (void)pause();
}

static void what_a_killed_process_had_in_hand_is_freed(void)
{
    static struct mapping m = {.how = 0};
    struct role role;
    mapping = &m;
    m.scene = new_scene();
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 1);
    role_start(&role, be_killed_with_one_in_hand, pool);
    meet_wait(&m.scene->came, 1, LIMIT_MS);
    assert_int_equal(figures(pool).futures, 1);
    role_kill(&role);
    wait_for_figure(pool, futures, 0);
    assert_int_equal(figures(pool).running, 0);
    free_pool(pool);
    free_scene(m.scene);
}

static void a_map_says_that_it_was_interrupted(uint32_t kind)
{
    static struct mapping m;
    const ipc_pool_options options = with_workers(kind, 2);
    begin_map(&m, &options, STAYS, 1, 2);
    ipc_pool_interrupt(m.pool);
    wait_for_figure(m.pool, pending, 0);
    say(&m.scene->open);
    end_map(&m, -ECANCELED);
    assert_non_null(strstr(m.detail, "interrupted"));
}
BOTH_KINDS(a_map_says_that_it_was_interrupted);

static const struct test_case cases[] = {
    BOTH_CASES(a_map_goes_on_when_it_is_closed),
    BOTH_CASES(what_a_late_item_has_stopped_goes_on),
    BOTH_CASES(a_map_that_is_terminated_says_so),
    TEST_CASE(who_takes_part_is_waited_for),
    TEST_CASE(who_takes_part_cannot_wait_for_the_end),
    TEST_CASE(a_killed_process_that_maps_is_not_waited_for),
    TEST_CASE(what_a_killed_process_had_in_hand_is_freed),
    BOTH_CASES(a_map_says_that_it_was_interrupted),
};
TEST_MAIN(cases)
