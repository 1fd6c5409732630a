/* How pools end: shut down, terminated, killed, interrupted, freed, and left
 * behind by a program that ends. */
#include "unit/pool_support.h"

enum {
    PENDING = 5
};

/* One worker, which is busy, and some pending tasks. */
struct busy {
    ipc_pool *pool;
    struct scene *scene;
    ipc_future *held;
    ipc_future *pending[PENDING];
};

static void be_busy(struct busy *busy, const ipc_pool_options *options,
                    ipc_task_function *task)
{
    busy->pool = pool_with(options);
    busy->scene = new_scene();
    busy->held = submit_in(busy->pool, task, busy->scene);
    meet_wait(&busy->scene->came, 1, LIMIT_MS);
    for (int i = 0; i < PENDING; i++)
        busy->pending[i] = submit_in(busy->pool, count_it, busy->scene);
}

static void be_busy_with(struct busy *busy, uint32_t kind,
                         ipc_task_function *task)
{
    const ipc_pool_options options = with_workers(kind, 1);
    be_busy(busy, &options, task);
}

static void expect_cancelled(const struct busy *busy)
{
    for (int i = 0; i < PENDING; i++) {
        expect_status(busy->pending[i], -ECANCELED);
        assert_true(ipc_future_cancelled(busy->pending[i]));
    }
    assert_int_equal(counted(busy->scene), 0);
}

static void expect_all_run(const struct busy *busy)
{
    for (int i = 0; i < PENDING; i++)
        expect_status(busy->pending[i], 0);
    expect_status(busy->held, 0);
    assert_int_equal(counted(busy->scene), PENDING);
}

static void be_gone(struct busy *busy)
{
    free_pool(busy->pool);
    free_scene(busy->scene);
}

static void expect_closed(ipc_pool *pool)
{
    const int n = 1;
    int result;
    ipc_future *f = (ipc_future *)1;
    CHECK(ipc_pool_submit(pool, add_one, &n, 4, 4, &f), -EPIPE);
    assert_null(f);
    CHECK(ipc_pool_submit_nowait(pool, add_one, &n, 4, 4, &f), -EPIPE);
    CHECK(ipc_pool_submit_until(pool, add_one, &n, 4, 4, 1, NULL), -EPIPE);
    CHECK(ipc_pool_apply(pool, add_one, &n, 4, &result, 4), -EPIPE);
    CHECK(ipc_pool_map(pool, add_one, &n, 4, 1, &result, 4, NULL), -EPIPE);
    CHECK(ipc_pool_resize(pool, 2), -EPIPE);
    expect_says("shut down");
    assert_true(figures(pool).shut_down);
    assert_false(figures(pool).broken);
}

/* ---- shutdown ---- */

static void shutdown_waits_for_what_was_submitted(uint32_t kind)
{
    struct busy busy;
    struct later later;
    be_busy_with(&busy, kind, stay);
    assert_false(figures(busy.pool).shut_down);
    begin_later(&later, open_scene, busy.scene);
    CHECK(ipc_pool_shutdown(busy.pool, true, false), 0);
    end_later(&later);
    assert_int_equal(counted(busy.scene), PENDING);
    expect_all_run(&busy);
    assert_int_equal(figures(busy.pool).workers, 0);
    expect_closed(busy.pool);
    CHECK(ipc_pool_shutdown(busy.pool, true, true), 0);
    CHECK(ipc_pool_terminate(busy.pool), 0);
    CHECK(ipc_pool_kill(busy.pool), 0);
    be_gone(&busy);
}
BOTH_KINDS(shutdown_waits_for_what_was_submitted);

static void shutdown_that_does_not_wait(uint32_t kind)
{
    struct busy busy;
    be_busy_with(&busy, kind, stay);
    CHECK(ipc_pool_shutdown(busy.pool, false, false), 0);
    expect_closed(busy.pool);
    assert_true(ipc_future_running(busy.held));
    assert_false(ipc_future_done(busy.pending[0]));
    CHECK(ipc_pool_shutdown(busy.pool, false, false), 0);
    say(&busy.scene->open);
    expect_all_run(&busy);
    CHECK(ipc_pool_shutdown(busy.pool, true, false), 0);
    be_gone(&busy);
}
BOTH_KINDS(shutdown_that_does_not_wait);

static void shutdown_that_cancels(uint32_t kind)
{
    struct busy busy;
    be_busy_with(&busy, kind, stay);
    CHECK(ipc_pool_shutdown(busy.pool, false, true), 0);
    expect_cancelled(&busy);
    expect_closed(busy.pool);
    assert_true(ipc_future_running(busy.held));
    say(&busy.scene->open);
    CHECK(ipc_pool_shutdown(busy.pool, true, true), 0);
    expect_status(busy.held, 0);
    be_gone(&busy);
}
BOTH_KINDS(shutdown_that_cancels);

/* The second one asks for more. */
static void shutdown_and_then_cancel(uint32_t kind)
{
    struct busy busy;
    be_busy_with(&busy, kind, stay);
    CHECK(ipc_pool_shutdown(busy.pool, false, false), 0);
    assert_false(ipc_future_done(busy.pending[0]));
    CHECK(ipc_pool_shutdown(busy.pool, false, true), 0);
    expect_cancelled(&busy);
    say(&busy.scene->open);
    CHECK(ipc_pool_shutdown(busy.pool, true, false), 0);
    expect_status(busy.held, 0);
    be_gone(&busy);
}
BOTH_KINDS(shutdown_and_then_cancel);

static void shutdown_until_a_deadline(uint32_t kind)
{
    struct busy busy;
    be_busy_with(&busy, kind, stay);
    CHECK(ipc_pool_shutdown_until(busy.pool, false, ipc_after_ms(SOON_MS)),
          -ETIMEDOUT);
    expect_says("tasks that run");
    CHECK(ipc_pool_shutdown_until(busy.pool, false, IPC_TIME_NOW), -ETIMEDOUT);
    expect_closed(busy.pool);
    say(&busy.scene->open); /* it goes on */
    CHECK(ipc_pool_shutdown_until(busy.pool, false, ipc_after_ms(LIMIT_MS)), 0);
    expect_all_run(&busy);
    CHECK(ipc_pool_shutdown_until(busy.pool, true, IPC_TIME_NOW), 0);
    be_gone(&busy);
}
BOTH_KINDS(shutdown_until_a_deadline);

/* What tasks submit once it is shut down is refused. */
static int submit_when_open(const void *arg, void *result, ipc_task *task)
{
    (void)stay(arg, NULL, task);
    ipc_future *f = NULL;
    *(int *)result = ipc_pool_submit(ipc_task_pool(task), count_it, arg,
                                     sizeof(struct scene *), 0, &f);
    return 0;
}

static void tasks_of_a_closed_pool_cannot_submit(uint32_t kind)
{
    ipc_pool *pool = new_pool(kind, 1);
    struct scene *scene = new_scene();
    ipc_future *f = submit(pool, submit_when_open, &scene,
                           sizeof(struct scene *), sizeof(int));
    meet_wait(&scene->came, 1, LIMIT_MS);
    CHECK(ipc_pool_shutdown(pool, false, false), 0);
    say(&scene->open);
    assert_int_equal(number_of(f), -EPIPE);
    assert_int_equal(counted(scene), 0);
    free_pool(pool);
    free_scene(scene);
}
BOTH_KINDS(tasks_of_a_closed_pool_cannot_submit);

/* ---- at once ---- */

static void terminate_asks_what_runs(uint32_t kind)
{
    struct busy busy;
    be_busy_with(&busy, kind, stay_till_asked);
    CHECK(ipc_pool_terminate(busy.pool), 0);
    expect_cancelled(&busy);
    expect_status(busy.held, -ECANCELED);
    assert_int_equal(exception_of(busy.held).kind, IPC_EXCEPTION_CANCELLED);
    assert_true(ipc_future_cancelled(busy.held));
    CHECK(ipc_pool_shutdown(busy.pool, true, false), 0);
    expect_closed(busy.pool);
    assert_int_equal(figures(busy.pool).workers, 0);
    assert_int_equal(figures(busy.pool).respawned, 0);
    be_gone(&busy);
}
BOTH_KINDS(terminate_asks_what_runs);

static int stay_in_spite_of_sigterm(const void *arg, void *result,
                                    ipc_task *task)
{
    (void)signal(SIGTERM, SIG_IGN);
    return stay(arg, result, task);
}

static void terminate_has_a_grace(void)
{
    struct busy busy;
    ipc_pool_options options = with_workers(IPC_POOL_PROCESSES, 1);
    options.grace_ns = SOON_MS * NS_PER_MS;
    be_busy(&busy, &options, stay_in_spite_of_sigterm);
    CHECK(ipc_pool_terminate(busy.pool), 0);
    expect_cancelled(&busy);
    expect_status(busy.held, -ECANCELED);
    assert_int_equal(busy.scene->ended, 0);
    be_gone(&busy);
}

static void kill_has_none(void)
{
    struct busy busy;
    ipc_pool_options options = with_workers(IPC_POOL_PROCESSES, 1);
    options.grace_ns = 3600 * INT64_C(1000) * NS_PER_MS;
    be_busy(&busy, &options, stay_in_spite_of_sigterm);
    CHECK(ipc_pool_kill(busy.pool), 0);
    expect_cancelled(&busy);
    expect_status(busy.held, -ECANCELED);
    be_gone(&busy);
}

/* Also when a longer grace was given before. */
static void *terminate_it(void *pool)
{
    CHECK(ipc_pool_terminate(pool), 0);
    return NULL;
}

static void kill_after_terminate(void)
{
    struct busy busy;
    pthread_t thread;
    ipc_pool_options options = with_workers(IPC_POOL_PROCESSES, 1);
    options.grace_ns = 3600 * INT64_C(1000) * NS_PER_MS;
    be_busy(&busy, &options, stay_in_spite_of_sigterm);
    assert_int_equal(pthread_create(&thread, NULL, terminate_it, busy.pool), 0);
    expect_cancelled(&busy); /* it has begun */
    CHECK(ipc_pool_kill(busy.pool), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    expect_status(busy.held, -ECANCELED);
    be_gone(&busy);
}

static void kill_asks_threads(void)
{
    struct busy busy;
    be_busy_with(&busy, IPC_POOL_THREADS, stay_till_asked);
    CHECK(ipc_pool_kill(busy.pool), 0);
    expect_status(busy.held, -ECANCELED);
    expect_cancelled(&busy);
    be_gone(&busy);
}

/* ---- interrupted ---- */

static ipc_pool *interrupted;

static void on_sigint(int sig)
{
    (void)sig;
    /* NOLINTNEXTLINE(bugprone-signal-handler,cert-sig30-c): is for that */
    ipc_pool_interrupt(interrupted);
}

static void interrupt_by_signal(const struct busy *busy)
{
    interrupted = busy->pool;
    assert_true(signal(SIGINT, on_sigint) != SIG_ERR);
    errno = 77;
    assert_int_equal(raise(SIGINT), 0);
    assert_int_equal(errno, 77);
}

static void the_first_interrupt_drains(uint32_t kind)
{
    struct busy busy;
    be_busy_with(&busy, kind, stay);
    interrupt_by_signal(&busy);
    expect_cancelled(&busy);
    assert_true(ipc_future_running(busy.held));
    expect_closed(busy.pool);
    say(&busy.scene->open);
    expect_status(busy.held, 0);
    CHECK(ipc_pool_shutdown(busy.pool, true, false), 0);
    be_gone(&busy);
}
BOTH_KINDS(the_first_interrupt_drains);

static void the_second_interrupt_terminates(uint32_t kind)
{
    struct busy busy;
    be_busy_with(&busy, kind, stay_till_asked);
    interrupt_by_signal(&busy);
    expect_cancelled(&busy);
    assert_true(ipc_future_running(busy.held));
    assert_int_equal(raise(SIGINT), 0);
    expect_status(busy.held, -ECANCELED);
    CHECK(ipc_pool_shutdown(busy.pool, true, false), 0);
    be_gone(&busy);
}
BOTH_KINDS(the_second_interrupt_terminates);

static void two_interrupts_at_once(uint32_t kind)
{
    struct busy busy;
    be_busy_with(&busy, kind, stay_till_asked);
    interrupt_by_signal(&busy);
    interrupt_by_signal(&busy);
    expect_cancelled(&busy);
    expect_status(busy.held, -ECANCELED);
    be_gone(&busy);
}
BOTH_KINDS(two_interrupts_at_once);

/* Of a terminal it reaches the workers too. */
static int get_sigint(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    (void)task;
    return raise(SIGINT);
}

static void workers_ignore_the_terminals_interrupt(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 1);
    ipc_future *f = submit(pool, get_sigint, NULL, 0, 0);
    expect_status(f, 0);
    free_future(f);
    assert_int_equal(figures(pool).respawned, 0);
    free_pool(pool);
}

static void or_get_it_if_the_pool_says_so(void)
{
    ipc_pool_options options = with_workers(IPC_POOL_PROCESSES, 1);
    options.flags = IPC_POOL_KEEP_INTERRUPT;
    ipc_pool *pool = pool_with(&options);
    ipc_future *f = submit(pool, get_sigint, NULL, 0, 0);
    expect_status(f, -EOWNERDEAD);
    assert_int_equal(exception_of(f).signal, SIGINT);
    free_future(f);
    expect_works(pool);
    free_pool(pool);
}

/* ---- freed ---- */

static void free_cancels_and_waits(uint32_t kind)
{
    struct busy busy;
    struct later later;
    be_busy_with(&busy, kind, stay);
    begin_later(&later, open_scene, busy.scene);
    free_pool(busy.pool);
    end_later(&later);
    assert_int_equal(busy.scene->ended, 1);
    assert_int_equal(counted(busy.scene), 0);
    free_scene(busy.scene);
}
BOTH_KINDS(free_cancels_and_waits);

static void nothing_is_left(uint32_t kind)
{
    const uint64_t before = allocations();
    for (int i = 0; i < 3; i++) {
        ipc_pool *pool = new_pool(kind, 2);
        for (int k = 0; k < 100; k++)
            (void)submit(pool, add_one, "1234", 4, 5000); /* never freed */
        free_pool(pool);
        assert_int_equal(allocations(), before);
        CHECK(ipc_pool_shutdown(pool, true, true), -EINVAL);
        CHECK(ipc_pool_submit(pool, add_one, "1234", 4, 4, NULL), -EINVAL);
    }
}
BOTH_KINDS(nothing_is_left);

static const struct test_case cases[] = {
    BOTH_CASES(shutdown_waits_for_what_was_submitted),
    BOTH_CASES(shutdown_that_does_not_wait),
    BOTH_CASES(shutdown_that_cancels),
    BOTH_CASES(shutdown_and_then_cancel),
    BOTH_CASES(shutdown_until_a_deadline),
    BOTH_CASES(tasks_of_a_closed_pool_cannot_submit),
    BOTH_CASES(terminate_asks_what_runs),
    TEST_CASE(terminate_has_a_grace),
    TEST_CASE(kill_has_none),
    TEST_CASE(kill_after_terminate),
    TEST_CASE(kill_asks_threads),
    BOTH_CASES(the_first_interrupt_drains),
    BOTH_CASES(the_second_interrupt_terminates),
    BOTH_CASES(two_interrupts_at_once),
    TEST_CASE(workers_ignore_the_terminals_interrupt),
    TEST_CASE(or_get_it_if_the_pool_says_so),
    BOTH_CASES(free_cancels_and_waits),
    BOTH_CASES(nothing_is_left),
};
TEST_MAIN(cases)
