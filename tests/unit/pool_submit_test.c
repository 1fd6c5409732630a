/* Who submits to a pool, and what becomes of it: other processes, tasks of its
 * own, those that nobody asks about, and more than it may have pending. */
#include "unit/pool_support.h"

/* ---- nobody asks ---- */

static void without_a_future(uint32_t kind)
{
    ipc_pool *pool = new_pool(kind, 2);
    struct scene *scene = new_scene();
    for (int i = 0; i < 100; i++)
        CHECK(ipc_pool_submit(pool, count_it, &scene, sizeof(struct scene *),
                              4096, NULL),
              0);
    CHECK(ipc_pool_shutdown(pool, true, false), 0);
    assert_int_equal(counted(scene), 100);
    const ipc_pool_stats s = figures(pool);
    assert_int_equal(s.done, 100);
    assert_int_equal(s.futures, 0);
    free_pool(pool);
    free_scene(scene);
}
BOTH_KINDS(without_a_future);

static void freed_before_it_is_done(uint32_t kind)
{
    ipc_pool *pool = new_pool(kind, 1);
    struct scene *scene = new_scene();
    ipc_future *held, *pending[3];
    hold(pool, scene, 1, &held);
    for (int i = 0; i < 3; i++)
        pending[i] = submit_in(pool, count_it, scene);
    assert_int_equal(figures(pool).futures, 4);
    free_future(held); /* it runs */
    free_future(pending[1]);
    assert_int_equal(figures(pool).futures, 2);
    CHECK(ipc_future_free(pending[1]), -EINVAL);
    say(&scene->open);
    expect_status(pending[2], 0);
    assert_int_equal(counted(scene), 3); /* in order */
    assert_int_equal(scene->ended, 1);
    free_future(pending[0]);
    free_future(pending[2]);
    assert_int_equal(figures(pool).futures, 0);
    wait_for_figure(pool, running, 0);
    free_pool(pool);
    free_scene(scene);
}
BOTH_KINDS(freed_before_it_is_done);

/* Records are used again, and what long results had is given back. */
static void nothing_is_left_of_what_was_freed(uint32_t kind)
{
    enum {
        MANY = 300
    };
    static unsigned char bytes[100000];
    static ipc_future *f[MANY];
    ipc_pool *pool = new_pool(kind, 2);
    const uint64_t before = allocations();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++)
            f[i] = submit(pool, add_one, bytes, sizeof bytes, sizeof bytes);
        for (int i = 0; i < MANY; i++)
            expect_status(f[i], -EMSGSIZE);
        assert_int_equal(figures(pool).futures, MANY);
        free_futures(f, MANY);
        assert_int_equal(figures(pool).futures, 0);
        assert_int_equal(allocations(), before);
    }
    free_pool(pool);
}
BOTH_KINDS(nothing_is_left_of_what_was_freed);

/* Bytes, and none there. */
static void an_argument_that_is_none_is_refused(uint32_t kind)
{
    ipc_pool *pool = new_pool(kind, 1);
    ipc_future *f = (ipc_future *)pool;
    int result = 0;
    CHECK(ipc_pool_submit(pool, add_one, NULL, 8, sizeof(int), &f), -EINVAL);
    assert_null(f);
    expect_says("8 bytes");
    CHECK(ipc_pool_submit(pool, add_one, NULL, 8, sizeof(int), NULL), -EINVAL);
    CHECK(ipc_pool_submit_nowait(pool, add_one, NULL, 1, sizeof(int), &f),
          -EINVAL);
    CHECK(ipc_pool_submit_until(pool, add_one, NULL, 500, sizeof(int),
                                ipc_after_ms(LIMIT_MS), &f),
          -EINVAL);
    CHECK(ipc_pool_submit_with(pool, NULL, add_one, NULL, 1, sizeof(int), &f),
          -EINVAL);
    CHECK(ipc_pool_apply(pool, add_one, NULL, 8, &result, sizeof result),
          -EINVAL);
    assert_int_equal(figures(pool).futures, 0);
    expect_works(pool);
    free_pool(pool);
}
BOTH_KINDS(an_argument_that_is_none_is_refused);

/* ---- other processes ---- */

struct shared_pool {
    ipc_pool *pool;
    struct scene *scene;
    ipc_future *left; /* by a child, for its parent */
};

static int submit_some(void *arg)
{
    const struct shared_pool *shared = arg;
    for (int i = 0; i < 50; i++) {
        expect_works(shared->pool);
        CHECK(ipc_pool_submit(shared->pool, count_it, &shared->scene,
                              sizeof(struct scene *), 0, NULL),
              0);
    }
    return 0;
}

static void children_submit(uint32_t kind)
{
    enum {
        CHILDREN = 3
    };
    skip_unseen_processes(kind);
    ipc_process children[CHILDREN];
    struct shared_pool shared = {new_pool(kind, 2), new_scene(), NULL};
    for (int i = 0; i < CHILDREN; i++)
        start(&children[i], submit_some, &shared);
    assert_int_equal(submit_some(&shared), 0);
    for (int i = 0; i < CHILDREN; i++)
        assert_int_equal(end_of(&children[i]), 0);
    CHECK(ipc_pool_shutdown(shared.pool, true, false), 0);
    assert_int_equal(counted(shared.scene), 50 * (CHILDREN + 1));
    assert_int_equal(figures(shared.pool).futures, 0);
    free_pool(shared.pool);
    free_scene(shared.scene);
}
BOTH_KINDS(children_submit);

static void leave_one(void *arg)
{
    struct shared_pool *shared = arg;
    shared->left = submit_number(shared->pool, 6);
    meet_signal(&shared->scene->came);
    meet_wait(&shared->scene->open, 1, LIMIT_MS);
}

/* A bare fork; whoever is there frees what another has submitted. */
static void one_submits_another_asks(uint32_t kind)
{
    skip_unseen_processes(kind);
    struct shared_pool *shared = ipc_shared_alloc(sizeof *shared);
    struct role child;
    assert_non_null(shared);
    shared->pool = new_pool(kind, 1);
    shared->scene = new_scene();
    role_start(&child, leave_one, shared);
    meet_wait(&shared->scene->came, 1, LIMIT_MS);
    assert_int_equal(number_of(shared->left), 7);
    free_future(shared->left);
    meet_signal(&shared->scene->open);
    role_wait_ok(&child, LIMIT_MS);
    assert_int_equal(figures(shared->pool).futures, 0);
    free_pool(shared->pool);
    free_scene(shared->scene);
    CHECK(ipc_shared_free(shared), 0);
}
BOTH_KINDS(one_submits_another_asks);

/* ---- tasks of its own ---- */

static int fib(const void *arg, void *result, ipc_task *task)
{
    const int n = *(const int *)arg;
    int parts[2] = {n - 1, n - 2};
    ipc_future *f[2];
    if (n < 2) {
        *(int *)result = n;
        return 0;
    }
    for (int i = 0; i < 2; i++)
        if (ipc_pool_submit(ipc_task_pool(task), fib, &parts[i], sizeof(int),
                            sizeof(int), &f[i]) != 0)
            return -EIO;
    int sum = 0;
    for (int i = 0; i < 2; i++) {
        int part = 0;
        if (ipc_future_result(f[i], &part, sizeof part, NULL) != 0 ||
            ipc_future_free(f[i]) != 0)
            return -EIO;
        sum += part;
    }
    *(int *)result = sum;
    return 0;
}

/* However few workers there are, and however little may be pending. */
static void tasks_wait_for_their_own_tasks(uint32_t kind)
{
    static const struct {
        uint32_t workers, max_pending;
    } pools[] = {{1, 0}, {2, 0}, {1, 1}, {2, 1}, {3, 4}};
    for (size_t i = 0; i < sizeof pools / sizeof pools[0]; i++) {
        ipc_pool_options options = with_workers(kind, pools[i].workers);
        options.max_pending = pools[i].max_pending;
        ipc_pool *pool = pool_with(&options);
        const int n = 11;
        int result = 0;
        CHECK(ipc_pool_apply(pool, fib, &n, sizeof n, &result, sizeof result),
              0);
        assert_int_equal(result, 89);
        assert_int_equal(figures(pool).futures, 0);
        assert_int_equal(figures(pool).done, 287); /* all of them */
        free_pool(pool);
    }
}
BOTH_KINDS(tasks_wait_for_their_own_tasks);

/* In another pool it is a submitter as any other. */
static int apply_there(const void *arg, void *result, ipc_task *task)
{
    ipc_pool *other = *(ipc_pool *const *)arg;
    const int n = 20;
    (void)task;
    return ipc_pool_apply(other, add_one, &n, sizeof n, result, sizeof n);
}

static void tasks_submit_to_another_pool(uint32_t kind)
{
    static const uint32_t kinds[] = {IPC_POOL_PROCESSES, IPC_POOL_THREADS};
    for (int i = 0; i < 2; i++) {
        ipc_pool *other = new_pool(kinds[i], 1);
        ipc_pool *pool = new_pool(kind, 2);
        int result = 0;
        CHECK(ipc_pool_apply(pool, apply_there, &other, sizeof(ipc_pool *),
                             &result, sizeof result),
              0);
        assert_int_equal(result, 21);
        free_pool(pool);
        free_pool(other);
    }
}
BOTH_KINDS(tasks_submit_to_another_pool);

/* ---- as many as may be pending ---- */

enum {
    ROOM = 3
};

struct full {
    ipc_pool *pool;
    struct scene *scene;
    ipc_future *held;
    ipc_future *pending[ROOM];
};

/* One worker, which is busy, and as many pending tasks as there may be. */
static void fill(struct full *full, uint32_t kind)
{
    ipc_pool_options options = with_workers(kind, 1);
    options.max_pending = ROOM;
    full->pool = pool_with(&options);
    full->scene = new_scene();
    hold(full->pool, full->scene, 1, &full->held);
    for (int i = 0; i < ROOM; i++)
        full->pending[i] = submit_number(full->pool, i);
    assert_int_equal(figures(full->pool).pending, ROOM);
}

static void empty(struct full *full)
{
    let_go(full->scene, &full->held, 1);
    for (int i = 0; i < ROOM; i++)
        CHECK(ipc_future_wait_until(full->pending[i], ipc_after_ms(LIMIT_MS)),
              0);
    free_futures(full->pending, ROOM);
    assert_int_equal(figures(full->pool).futures, 0);
    free_pool(full->pool);
    free_scene(full->scene);
}

static void no_more_than_may_be_pending(uint32_t kind)
{
    ipc_task_options options = IPC_TASK_OPTIONS_INIT;
    struct full full;
    ipc_future *f = (ipc_future *)1;
    int n = 1;
    fill(&full, kind);
#define ONE add_one, &n, sizeof n, sizeof n
    CHECK(ipc_pool_submit_nowait(full.pool, ONE, &f), -EAGAIN);
    assert_null(f);
    expect_says("3 tasks pending");
    CHECK(ipc_pool_submit_until(full.pool, ONE, ipc_after_ms(SOON_MS), &f),
          -ETIMEDOUT);
    CHECK(ipc_pool_submit_until(full.pool, ONE, IPC_TIME_NOW, &f), -ETIMEDOUT);
    CHECK(ipc_pool_submit_until(full.pool, ONE, 1, NULL), -ETIMEDOUT);
    options.deadline = 1;
    CHECK(ipc_pool_submit_with(full.pool, &options, ONE, &f), -ETIMEDOUT);
    options.deadline = ipc_after_ms(SOON_MS);
    CHECK(ipc_pool_submit_with(full.pool, &options, ONE, &f), -ETIMEDOUT);
    options.nowait = true;
    CHECK(ipc_pool_submit_with(full.pool, &options, ONE, &f), -EAGAIN);
#undef ONE
    assert_int_equal(figures(full.pool).futures, ROOM + 1);
    empty(&full);
}
BOTH_KINDS(no_more_than_may_be_pending);

static void who_waits_for_room_gets_it(uint32_t kind)
{
    struct full full;
    struct later later;
    fill(&full, kind);
    begin_later(&later, open_scene, full.scene);
    ipc_future *f = submit_number(full.pool, 8); /* opens when we sleep */
    assert_int_equal(number_of(f), 9);
    end_later(&later);
    free_future(f);
    empty(&full);
}
BOTH_KINDS(who_waits_for_room_gets_it);

static void *submit_and_ask(void *arg)
{
    const struct full *full = arg;
    expect_works(full->pool);
    return NULL;
}

static void many_wait_for_room(uint32_t kind)
{
    enum {
        THREADS = 4
    };
    struct full full;
    pthread_t threads[THREADS];
    fill(&full, kind);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, submit_and_ask, &full), 0);
    say(&full.scene->open);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    empty(&full);
}
BOTH_KINDS(many_wait_for_room);

static void cancel_first(void *arg)
{
    CHECK(ipc_future_cancel(((struct full *)arg)->pending[0]), 0);
}

/* Within the 100 ms of the re-check. */
static void cancelled_ones_make_room(uint32_t kind)
{
    struct full full;
    struct later later;
    fill(&full, kind);
    begin_later(&later, cancel_first, &full);
    ipc_future *f = submit_number(full.pool, 1);
    end_later(&later);
    ipc_future *none = NULL;
    CHECK(ipc_pool_submit_nowait(full.pool, add_one, "1234", 4, 4, &none),
          -EAGAIN);
    CHECK(ipc_future_cancel(f), 0);
    free_future(f);
    for (int i = 1; i < ROOM; i++)
        CHECK(ipc_future_cancel(full.pending[i]), 0);
    assert_int_equal(figures(full.pool).pending, 0);
    ipc_future *more[ROOM];
    for (int i = 0; i < ROOM; i++)
        CHECK(
            ipc_pool_submit_nowait(full.pool, add_one, "1234", 4, 4, &more[i]),
            0);
    CHECK(ipc_pool_submit_nowait(full.pool, add_one, "1234", 4, 4, &none),
          -EAGAIN);
    free_futures(more, ROOM);
    empty(&full);
}
BOTH_KINDS(cancelled_ones_make_room);

/* Also when one that is still wanted is before it. */
static void a_cancelled_one_in_the_middle_makes_room(uint32_t kind)
{
    struct full full;
    ipc_future *f = NULL;
    const int n = 5;
    fill(&full, kind);
    CHECK(ipc_future_cancel(full.pending[1]), 0);
    assert_int_equal(figures(full.pool).pending, ROOM - 1);
    CHECK(
        ipc_pool_submit_nowait(full.pool, add_one, &n, sizeof n, sizeof n, &f),
        0);
    CHECK(ipc_future_cancel(f), 0);
    free_future(f);
    empty(&full);
}
BOTH_KINDS(a_cancelled_one_in_the_middle_makes_room);

/* Who waits for room when the pool ends is told. */
static void shut_it_down(void *arg)
{
    CHECK(ipc_pool_shutdown(((struct full *)arg)->pool, false, false), 0);
}

static void who_waits_for_room_is_told_of_the_end(uint32_t kind)
{
    struct full full;
    struct later later;
    ipc_future *f = NULL;
    const int n = 5;
    fill(&full, kind);
    begin_later(&later, shut_it_down, &full);
    CHECK(ipc_pool_submit(full.pool, add_one, &n, sizeof n, sizeof n, &f),
          -EPIPE);
    end_later(&later);
    empty(&full);
}
BOTH_KINDS(who_waits_for_room_is_told_of_the_end);

static const struct test_case cases[] = {
    BOTH_CASES(without_a_future),
    BOTH_CASES(freed_before_it_is_done),
    BOTH_CASES(nothing_is_left_of_what_was_freed),
    BOTH_CASES(an_argument_that_is_none_is_refused),
    BOTH_CASES(children_submit),
    BOTH_CASES(one_submits_another_asks),
    BOTH_CASES(tasks_wait_for_their_own_tasks),
    BOTH_CASES(tasks_submit_to_another_pool),
    BOTH_CASES(no_more_than_may_be_pending),
    BOTH_CASES(who_waits_for_room_gets_it),
    BOTH_CASES(many_wait_for_room),
    BOTH_CASES(cancelled_ones_make_room),
    BOTH_CASES(a_cancelled_one_in_the_middle_makes_room),
    BOTH_CASES(who_waits_for_room_is_told_of_the_end),
};
TEST_MAIN(cases)
