/* Tasks that are not wanted any more, before they are begun and while they
 * run, and tasks whose time is up. */
#include "unit/pool_support.h"

/* ---- before and after ---- */

static void a_pending_task_is_never_run(uint32_t kind)
{
    struct scene *scene = new_scene();
    ipc_pool *pool = new_pool(kind, 1);
    ipc_future *held;
    hold(pool, scene, 1, &held);
    ipc_future *f = submit_in(pool, count_it, scene);
    ipc_future *by_force = submit_in(pool, count_it, scene);
    CHECK(ipc_future_cancel(f), 0);
    CHECK(ipc_future_cancel(f), 0);
    CHECK(ipc_future_terminate(f, 0), 0);
    CHECK(ipc_future_terminate(by_force, 0), 0);
    CHECK(ipc_future_cancel(held), -EBUSY);
    assert_true(ipc_future_cancelled(f) && ipc_future_done(f));
    expect_status(by_force, -ECANCELED);
    expect_status(f, -ECANCELED);
    const ipc_exception e = exception_of(f);
    assert_int_equal(e.kind, IPC_EXCEPTION_CANCELLED);
    assert_int_equal(e.status, -ECANCELED);
    assert_int_equal(e.attempts + (uint32_t)e.pid, 0);
    assert_non_null(strstr(e.message, "before it was begun"));
    let_go(scene, &held, 1);
    expect_works(pool);
    assert_int_equal(counted(scene), 0);
    free_pool(pool);
    free_scene(scene);
}
BOTH_KINDS(a_pending_task_is_never_run);

static void what_is_done_stays_so(uint32_t kind)
{
    ipc_pool *pool = new_pool(kind, 1);
    ipc_future *f = submit_number(pool, 1);
    assert_int_equal(number_of(f), 2);
    CHECK(ipc_future_cancel(f), -EALREADY);
    CHECK(ipc_future_terminate(f, 0), -EALREADY);
    assert_int_equal(number_of(f), 2);
    assert_false(ipc_future_cancelled(f));
    free_pool(pool);
}
BOTH_KINDS(what_is_done_stays_so);

/* ---- while it runs ---- */

static volatile sig_atomic_t got_sigterm;

static void on_sigterm(int sig)
{
    (void)sig;
    got_sigterm = 1;
}

/* Told by SIGTERM, it ends in its own way. */
static int leave_on_sigterm(const void *arg, void *result, ipc_task *task)
{
    struct scene *scene = scene_of(arg);
    (void)result;
    (void)task;
    got_sigterm = 0;
    (void)signal(SIGTERM, on_sigterm);
    meet_signal(&scene->came);
    while (got_sigterm == 0)
        poll_pause();
    meet_signal(&scene->ended);
    _exit(0);
}

static int ignore_sigterm(const void *arg, void *result, ipc_task *task)
{
    (void)signal(SIGTERM, SIG_IGN);
    return stay(arg, result, task);
}

static ipc_future *begin_in(ipc_pool *pool, ipc_task_function *fn,
                            struct scene *scene)
{
    const uint32_t before = __atomic_load_n(&scene->came, __ATOMIC_RELAXED);
    ipc_future *f = submit_in(pool, fn, scene);
    meet_wait(&scene->came, before + 1, LIMIT_MS);
    return f;
}

static void expect_terminated(ipc_future *f, int64_t grace_ns)
{
    CHECK(ipc_future_cancel(f), -EBUSY);
    CHECK(ipc_future_terminate(f, grace_ns), 0);
    expect_status(f, -ECANCELED);
    const ipc_exception e = exception_of(f);
    assert_int_equal(e.kind, IPC_EXCEPTION_CANCELLED);
    assert_int_equal(e.attempts, 1);
    assert_true(e.pid != 0);
    assert_true(ipc_future_cancelled(f));
    CHECK(ipc_future_terminate(f, grace_ns), 0);
    CHECK(ipc_future_cancel(f), 0);
    free_future(f);
}

/* In a worker that took the place of another: a fork of a thread. */
static void skip_signals_after_fork(void)
{
    if (THREAD_SANITIZED)
        test_skip("ThreadSanitizer hands on no signals in forks of threads");
}

/* It hears SIGTERM, says so, and goes on. */
static int go_on_after_sigterm(const void *arg, void *result, ipc_task *task)
{
    struct scene *scene = scene_of(arg);
    (void)result;
    (void)task;
    got_sigterm = 0;
    (void)signal(SIGTERM, on_sigterm);
    meet_signal(&scene->came);
    while (got_sigterm == 0)
        poll_pause();
    meet_signal(&scene->ended);
    while (__atomic_load_n(&scene->open, __ATOMIC_ACQUIRE) == 0)
        poll_pause();
    return 0;
}

/* Terminated, and that has been heard; it has an hour. */
static ipc_future *begin_to_end(ipc_pool *pool, struct scene *scene)
{
    const uint32_t before = __atomic_load_n(&scene->ended, __ATOMIC_RELAXED);
    ipc_future *f = begin_in(pool, go_on_after_sigterm, scene);
    CHECK(ipc_future_terminate(f, 3600 * INT64_C(1000) * NS_PER_MS), 0);
    meet_wait(&scene->ended, before + 1, LIMIT_MS);
    return f;
}

/* Of several graces the one that is over first counts. */
static void a_shorter_grace_counts_too(void)
{
    skip_signals_after_fork();
    struct scene *scene = new_scene();
    ipc_pool_options options = with_workers(IPC_POOL_PROCESSES, 1);
    options.grace_ns = SOON_MS * NS_PER_MS;
    ipc_pool *pool = pool_with(&options);
    ipc_future *f = begin_to_end(pool, scene);
    CHECK(ipc_future_terminate(f, 0), 0);
    expect_status(f, -ECANCELED);
    free_future(f);
    f = begin_in(pool, ignore_sigterm, scene);
    CHECK(ipc_future_terminate(f, 0), 0);
    (void)ipc_future_terminate(f, LIMIT_MS * NS_PER_MS); /* it may be done */
    expect_status(f, -ECANCELED);
    free_future(f);
    f = begin_to_end(pool, scene);
    CHECK(ipc_pool_terminate(pool), 0);
    expect_status(f, -ECANCELED);
    assert_int_equal(exception_of(f).kind, IPC_EXCEPTION_CANCELLED);
    free_pool(pool);
    free_scene(scene);
}

/* Its time too; but it was not for that. */
static void its_time_counts_too(void)
{
    struct scene *scene = new_scene();
    ipc_pool_options options = with_workers(IPC_POOL_PROCESSES, 1);
    options.task_ns = 500 * NS_PER_MS;
    options.grace_ns = SOON_MS * NS_PER_MS;
    ipc_pool *pool = pool_with(&options);
    ipc_future *f = begin_to_end(pool, scene);
    expect_status(f, -ECANCELED);
    free_pool(pool);
    free_scene(scene);
}

/* A grace of hardly any time that belonged to another task, or to none, is not
 * this one's: SIGTERM is heard. */
static void the_time_of_a_task_leaves_it_its_grace(void)
{
    skip_signals_after_fork();
    struct scene *scene = new_scene();
    ipc_pool_options options = with_workers(IPC_POOL_PROCESSES, 1);
    options.task_ns = SOON_MS * NS_PER_MS;
    options.grace_ns = 3600 * INT64_C(1000) * NS_PER_MS;
    ipc_pool *pool = pool_with(&options);
    for (uint32_t i = 1; i <= 3; i++) {
        ipc_future *f = begin_in(pool, leave_on_sigterm, scene);
        expect_status(f, -ETIME);
        assert_int_equal(scene->ended, i);
        free_future(f);
    }
    free_pool(pool);
    free_scene(scene);
}

/* Another one goes on undisturbed, in the same worker. */
static void a_running_process_is_ended_by_sigterm(void)
{
    struct scene *scene = new_scene();
    struct scene *other = new_scene();
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    ipc_future *held;
    hold(pool, other, 1, &held);
    ipc_future *f = begin_in(pool, leave_on_sigterm, scene);
    ipc_future *next = submit_number(pool, 1);
    expect_terminated(f, 3600 * INT64_C(1000) * NS_PER_MS);
    assert_int_equal(scene->ended, 1);
    assert_int_equal(number_of(next), 2);
    assert_true(ipc_future_running(held));
    let_go(other, &held, 1);
    wait_for_figure(pool, workers, 2);
    assert_int_equal(figures(pool).respawned, 1);
    free_pool(pool);
    free_scene(scene);
    free_scene(other);
}

static void or_by_sigkill_if_it_ignores_that(void)
{
    static const int64_t graces[] = {10 * NS_PER_MS, 0, -5};
    struct scene *scene = new_scene();
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 1);
    for (size_t i = 0; i < sizeof graces / sizeof graces[0]; i++) {
        expect_terminated(begin_in(pool, ignore_sigterm, scene), graces[i]);
        expect_works(pool);
    }
    assert_int_equal(scene->ended, 0);
    assert_int_equal(figures(pool).respawned, 3);
    free_pool(pool);
    free_scene(scene);
}

static void a_running_thread_is_asked(void)
{
    struct scene *scene = new_scene();
    ipc_pool *pool = new_pool(IPC_POOL_THREADS, 2);
    ipc_future *other = begin_in(pool, stay_till_asked, scene);
    expect_terminated(begin_in(pool, stay_till_asked, scene), 0);
    assert_int_equal(scene->ended, 1);
    assert_true(ipc_future_running(other));
    expect_works(pool);
    expect_terminated(other, 0);
    assert_int_equal(figures(pool).respawned, 0);
    free_pool(pool);
    free_scene(scene);
}

/* What it returns then is its result. */
static int answer_when_asked(const void *arg, void *result, ipc_task *task)
{
    (void)stay_till_asked(arg, result, task);
    *(int *)result = 5;
    return 0;
}

static int fail_when_asked(const void *arg, void *result, ipc_task *task)
{
    (void)stay_till_asked(arg, result, task);
    return ipc_task_fail(task, -EINTR, "asked");
}

static void what_a_thread_returns_when_asked_counts(void)
{
    struct scene *scene = new_scene();
    ipc_pool *pool = new_pool(IPC_POOL_THREADS, 1);
    ipc_future *f = submit(pool, answer_when_asked, &scene,
                           sizeof(struct scene *), sizeof(int));
    meet_wait(&scene->came, 1, LIMIT_MS);
    CHECK(ipc_future_terminate(f, 0), 0);
    assert_int_equal(number_of(f), 5);
    assert_false(ipc_future_cancelled(f));
    CHECK(ipc_future_terminate(f, 0), -EALREADY);
    free_future(f);
    f = begin_in(pool, fail_when_asked, scene);
    CHECK(ipc_future_terminate(f, 0), 0);
    expect_status(f, -EINTR);
    assert_string_equal(exception_of(f).message, "asked");
    free_future(f);
    free_pool(pool);
    free_scene(scene);
}

/* Not run again, though it might be. */
static void a_terminated_task_is_not_retried(void)
{
    struct scene *scene = new_scene();
    const ipc_task_options options = with_retries(2);
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 1);
    ipc_future *f =
        submit_with(pool, &options, stay, &scene, sizeof(struct scene *), 0);
    meet_wait(&scene->came, 1, LIMIT_MS);
    expect_terminated(f, 0);
    expect_works(pool);
    assert_int_equal(scene->came, 1);
    assert_int_equal(figures(pool).retried, 0);
    free_pool(pool);
    free_scene(scene);
}

/* ---- its time is up ---- */

static void expect_late(ipc_future *f)
{
    expect_status(f, -ETIME);
    const ipc_exception e = exception_of(f);
    assert_int_equal(e.kind, IPC_EXCEPTION_DEADLINE);
    assert_int_equal(e.status, -ETIME);
    assert_int_equal(e.attempts, 1);
    assert_string_equal(e.message, "its time was up");
    assert_false(ipc_future_cancelled(f));
    free_future(f);
}

static ipc_task_function *for_ever(uint32_t kind)
{
    return kind == IPC_POOL_THREADS ? stay_till_asked : ignore_sigterm;
}

/* Of the pool, of the task, or none: by then others' has passed. */
static void a_task_has_its_time(uint32_t kind)
{
    struct scene *scene = new_scene();
    ipc_pool_options options = with_workers(kind, 3);
    options.task_ns = 20 * NS_PER_MS;
    options.grace_ns = NS_PER_MS;
    ipc_pool *pool = pool_with(&options);
    const ipc_task_options for_good = with_time(-1);
    const ipc_task_options shorter = with_time(1);
    ipc_future *unhurried =
        submit_with(pool, &for_good, stay, &scene, sizeof(struct scene *), 0);
    ipc_future *f = submit_in(pool, for_ever(kind), scene);
    ipc_future *short_one = submit_with(pool, &shorter, for_ever(kind), &scene,
                                        sizeof(struct scene *), 0);
    expect_late(short_one);
    expect_late(f);
    for (int i = 0; i < 3; i++)
        expect_works(pool);
    assert_true(ipc_future_running(unhurried));
    let_go(scene, &unhurried, 1);
    assert_int_equal(figures(pool).failed, 2);
    free_pool(pool);
    free_scene(scene);
}
BOTH_KINDS(a_task_has_its_time);

static void a_task_may_have_more_than_its_pools(uint32_t kind)
{
    struct scene *scene = new_scene();
    ipc_pool_options options = with_workers(kind, 2);
    options.task_ns = NS_PER_MS;
    options.grace_ns = NS_PER_MS;
    ipc_pool *pool = pool_with(&options);
    const ipc_task_options longer = with_time(3600 * INT64_C(1000) * NS_PER_MS);
    ipc_future *f =
        submit_with(pool, &longer, stay, &scene, sizeof(struct scene *), 0);
    for (int i = 0; i < 3; i++)
        expect_late(submit_in(pool, for_ever(kind), scene));
    assert_true(ipc_future_running(f));
    let_go(scene, &f, 1);
    free_pool(pool);
    free_scene(scene);
}
BOTH_KINDS(a_task_may_have_more_than_its_pools);

/* A task inside of another one has its own time, and gives back the rest. */
static int outlive_another(const void *arg, void *result, ipc_task *task)
{
    const ipc_task_options for_good = with_time(-1);
    const int n = 1;
    ipc_future *f = NULL;
    (void)arg;
    int rc = ipc_pool_submit_with(ipc_task_pool(task), &for_good, add_one, &n,
                                  sizeof n, sizeof n, &f);
    if (rc == 0)
        rc = ipc_future_result(f, result, sizeof n, NULL);
    (void)ipc_future_free(f);
    while (rc == 0 && !ipc_task_is_cancelled(task))
        poll_pause();
    return rc == 0 ? -ECANCELED : rc;
}

static void its_time_goes_on_after_a_task_inside(uint32_t kind)
{
    ipc_pool_options options = with_workers(kind, 1);
    options.task_ns = 20 * NS_PER_MS;
    ipc_pool *pool = pool_with(&options);
    expect_late(submit(pool, outlive_another, NULL, 0, sizeof(int)));
    expect_works(pool);
    free_pool(pool);
}
BOTH_KINDS(its_time_goes_on_after_a_task_inside);

/* ---- at the very moment ---- */

static int tick(const void *arg, void *result, ipc_task *task)
{
    uint32_t *word = *(uint32_t *const *)arg;
    (void)result;
    (void)task;
    (void)__atomic_add_fetch(word, 1, __ATOMIC_RELAXED);
    return 0;
}

static void spin_ns(int64_t ns)
{
    const int64_t until = test_now_ns() + ns;
    while (test_now_ns() < until)
        continue;
}

/* It is run or cancelled, never both, whatever cancel() says. */
static void cancelled_at_the_very_moment(uint32_t kind)
{
    const int rounds = SANITIZED ? 1000 : 4000;
    uint32_t *ran = ipc_shared_alloc(sizeof *ran);
    ipc_pool *pool = new_pool(kind, 2);
    int cancelled = 0, busy = 0, done = 0;
    assert_non_null(ran);
    for (int i = 0; i < rounds; i++) {
        *ran = 0;
        ipc_future *f = submit(pool, tick, &ran, sizeof(uint32_t *), 0);
        spin_ns(INT64_C(200) * (i % 500));
        const int rc = ipc_future_cancel(f);
        cancelled += rc == 0;
        busy += rc == -EBUSY;
        done += rc == -EALREADY;
        expect_status(f, rc == 0 ? -ECANCELED : 0);
        assert_int_equal(*ran, rc == 0 ? 0 : 1);
        free_future(f);
    }
    assert_int_equal(cancelled + busy + done, rounds);
    test_report("cancelled", cancelled);
    test_report("busy", busy);
    free_pool(pool);
    CHECK(ipc_shared_free(ran), 0);
}
BOTH_KINDS(cancelled_at_the_very_moment);

/* The signal never hits the next task. */
static void terminated_at_the_very_moment(uint32_t kind)
{
    enum {
        ROUNDS = 100
    };
    uint32_t *ran = ipc_shared_alloc(sizeof *ran);
    ipc_pool *pool = new_pool(kind, 1);
    int cut = 0;
    assert_non_null(ran);
    for (int i = 0; i < ROUNDS; i++) {
        *ran = 0;
        ipc_future *f = submit(pool, tick, &ran, sizeof(uint32_t *), 0);
        ipc_future *next = submit_number(pool, i);
        spin_ns(INT64_C(2000) * i);
        const int asked = ipc_future_terminate(f, NS_PER_MS);
        assert_true(asked == 0 || asked == -EALREADY);
        const int rc =
            ipc_future_result_until(f, NULL, 0, NULL, ipc_after_ms(LIMIT_MS));
        assert_true(rc == 0 || (rc == -ECANCELED && asked == 0));
        if (rc == 0)
            assert_int_equal(*ran, 1);
        cut += rc != 0;
        assert_int_equal(number_of(next), i + 1);
        free_future(f);
        free_future(next);
    }
    test_report("cut", cut);
    assert_false(figures(pool).broken);
    free_pool(pool);
    CHECK(ipc_shared_free(ran), 0);
}
BOTH_KINDS(terminated_at_the_very_moment);

static const struct test_case cases[] = {
    BOTH_CASES(a_pending_task_is_never_run),
    BOTH_CASES(what_is_done_stays_so),
    TEST_CASE(a_shorter_grace_counts_too),
    TEST_CASE(its_time_counts_too),
    TEST_CASE(the_time_of_a_task_leaves_it_its_grace),
    TEST_CASE(a_running_process_is_ended_by_sigterm),
    TEST_CASE(or_by_sigkill_if_it_ignores_that),
    TEST_CASE(a_running_thread_is_asked),
    TEST_CASE(what_a_thread_returns_when_asked_counts),
    TEST_CASE(a_terminated_task_is_not_retried),
    BOTH_CASES(a_task_has_its_time),
    BOTH_CASES(a_task_may_have_more_than_its_pools),
    BOTH_CASES(its_time_goes_on_after_a_task_inside),
    BOTH_CASES(cancelled_at_the_very_moment),
    BOTH_CASES(terminated_at_the_very_moment),
};
TEST_MAIN(cases)
