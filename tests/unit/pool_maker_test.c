/* What only the maker of a pool may do, what a worker or a callback may not,
 * and pools of programs that end without having freed them. */
#include "unit/pool_support.h"

#include <sys/wait.h>

/* ---- in a worker ---- */

static int end_my_pool(const void *arg, void *result, ipc_task *task)
{
    ipc_pool *pool = ipc_task_pool(task);
    int *rc = result;
    (void)arg;
    rc[0] = ipc_pool_shutdown(pool, true, true);
    rc[1] = ipc_pool_shutdown_until(pool, true, ipc_after_ms(LIMIT_MS));
    rc[2] = ipc_pool_free(pool);
    return 0;
}

/* A thread would wait for itself; a process is not the maker. */
static void a_task_cannot_wait_for_the_end(uint32_t kind)
{
    const int expected = kind == IPC_POOL_THREADS ? -EDEADLK : -ECHILD;
    ipc_pool *pool = new_pool(kind, 1);
    int rc[3] = {0};
    CHECK(ipc_pool_apply(pool, end_my_pool, NULL, 0, rc, sizeof rc), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rc[i], expected);
    assert_false(figures(pool).shut_down);
    expect_works(pool);
    free_pool(pool);
}
BOTH_KINDS(a_task_cannot_wait_for_the_end);

static int begin_the_end(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    return ipc_pool_shutdown(ipc_task_pool(task), false, true);
}

static void a_thread_may_begin_it(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_THREADS, 2);
    CHECK(ipc_pool_apply(pool, begin_the_end, NULL, 0, NULL, 0), 0);
    assert_true(figures(pool).shut_down);
    free_pool(pool);
}

static int terminate_my_pool(const void *arg, void *result, ipc_task *task)
{
    struct scene *scene = scene_of(arg);
    (void)result;
    CHECK(ipc_pool_terminate(ipc_task_pool(task)), 0);
    while (!ipc_task_is_cancelled(task))
        poll_pause();
    say(&scene->ended);
    return -ECANCELED;
}

static void a_thread_may_terminate_it(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_THREADS, 1);
    struct scene *scene = new_scene();
    ipc_future *f = submit_in(pool, terminate_my_pool, scene);
    expect_status(f, -ECANCELED);
    assert_int_equal(scene->ended, 1);
    free_pool(pool);
    free_scene(scene);
}

/* ---- in a callback ---- */

struct ending {
    ipc_pool *pool;
    uint32_t called;
    int rc[3];
};

static void end_the_pool(ipc_future *future, void *arg)
{
    struct ending *ending = arg;
    (void)future;
    ending->rc[0] = ipc_pool_shutdown(ending->pool, true, false);
    ending->rc[1] =
        ipc_pool_shutdown_until(ending->pool, false, ipc_after_ms(LIMIT_MS));
    ending->rc[2] = ipc_pool_free(ending->pool);
    say(&ending->called);
}

static void a_callback_cannot_wait_for_the_end(uint32_t kind)
{
    struct ending ending = {.pool = new_pool(kind, 1)};
    struct scene *scene = new_scene();
    ipc_future *held;
    hold(ending.pool, scene, 1, &held);
    ipc_future *other = new_promise(0);
    CHECK(ipc_future_add_done_callback(other, end_the_pool, &ending), 0);
    CHECK(ipc_promise_set_result(other, NULL, 0), 0);
    meet_wait(&ending.called, 1, LIMIT_MS); /* though a task still runs */
    for (int i = 0; i < 3; i++)
        assert_int_equal(ending.rc[i], -EDEADLK);
    let_go(scene, &held, 1);
    free_future(other);
    free_pool(ending.pool);
    free_scene(scene);
}
BOTH_KINDS(a_callback_cannot_wait_for_the_end);

static void terminate_the_pool(ipc_future *future, void *arg)
{
    struct ending *ending = arg;
    (void)future;
    ending->rc[0] = ipc_pool_terminate(ending->pool);
    say(&ending->called);
}

/* Then nothing is waited for that might wait for it. */
static void but_it_may_terminate(uint32_t kind)
{
    struct ending ending = {.pool = new_pool(kind, 1)};
    struct scene *scene = new_scene();
    ipc_future *f = submit_in(ending.pool, stay_till_asked, scene);
    ipc_future *other = new_promise(0);
    CHECK(ipc_future_add_done_callback(other, terminate_the_pool, &ending), 0);
    CHECK(ipc_promise_set_result(other, NULL, 0), 0);
    meet_wait(&ending.called, 1, LIMIT_MS);
    assert_int_equal(ending.rc[0], 0);
    expect_status(f, -ECANCELED);
    free_future(other);
    free_pool(ending.pool);
    free_scene(scene);
}
BOTH_KINDS(but_it_may_terminate);

/* ---- in another process ---- */

static int do_what_the_maker_does(void *arg)
{
    ipc_pool *pool = arg;
    CHECK(ipc_pool_shutdown(pool, true, true), -ECHILD);
    CHECK(ipc_pool_shutdown(pool, false, false), -ECHILD);
    CHECK(ipc_pool_shutdown_until(pool, true, IPC_TIME_FOREVER), -ECHILD);
    CHECK(ipc_pool_terminate(pool), -ECHILD);
    CHECK(ipc_pool_kill(pool), -ECHILD);
    CHECK(ipc_pool_resize(pool, 2), -ECHILD);
    CHECK(ipc_pool_free(pool), -ECHILD);
    expect_says("was made by process");
    expect_works(pool);
    return 0;
}

static void do_it_in_a_fork(void *pool)
{
    (void)do_what_the_maker_does(pool);
}

static void a_child_is_not_the_maker(uint32_t kind)
{
    skip_unseen_processes(kind);
    struct role fork;
    ipc_pool *pool = new_pool(kind, 1);
    assert_int_equal(run(do_what_the_maker_does, pool), 0);
    role_start(&fork, do_it_in_a_fork, pool);
    role_wait_ok(&fork, LIMIT_MS);
    expect_works(pool);
    assert_int_equal(figures(pool).workers, 1);
    free_pool(pool);
}
BOTH_KINDS(a_child_is_not_the_maker);

/* ---- programs that end ---- */

struct program {
    uint32_t kind;
    struct scene *scene;
};

/* The first one is still at work when the program ends. */
static void submit_and_leave(const struct program *program)
{
    ipc_pool *pool = new_pool(program->kind, 2);
    CHECK(ipc_pool_submit(pool, stay, &program->scene, sizeof(struct scene *),
                          0, NULL),
          0);
    for (int i = 0; i < 100; i++)
        CHECK(ipc_pool_submit(pool, count_it, &program->scene,
                              sizeof(struct scene *), 0, NULL),
              0);
    meet_wait(&program->scene->came, 1, LIMIT_MS);
    meet_signal(&program->scene->more[0]);
}

/* The program is at its end, and waits there. */
static void let_it_end(struct scene *scene, pid_t pid)
{
    meet_wait(&scene->more[0], 1, LIMIT_MS);
    wait_until_blocked(pid, LIMIT_MS);
    meet_signal(&scene->open);
}

static void expect_all_run(struct scene *scene)
{
    assert_int_equal(scene->ended, 1);
    assert_int_equal(counted(scene), 100);
    *scene = (struct scene){0};
}

static void leave_by_exit(void *program)
{
    look_for_no_leaks();
    submit_and_leave(program);
    leave(0);
}

static void at_exit_what_was_submitted_is_run(uint32_t kind)
{
    struct program program = {kind, new_scene()};
    struct role role;
    role_start(&role, leave_by_exit, &program);
    let_it_end(program.scene, role.pid);
    role_wait_ok(&role, LIMIT_MS);
    expect_all_run(program.scene);
    free_scene(program.scene);
}
BOTH_KINDS(at_exit_what_was_submitted_is_run);

static int exit_in_a_task(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    (void)task;
    leave(7);
}

static void have_a_task_exit(void *unused)
{
    (void)unused;
    look_for_no_leaks();
    ipc_pool *others = new_pool(IPC_POOL_PROCESSES, 1);
    expect_works(others);
    (void)submit(new_pool(IPC_POOL_THREADS, 2), exit_in_a_task, NULL, 0, 0);
    (void)pause();
}

/* It cannot wait for itself. */
static void a_task_in_a_thread_may_end_the_program(void)
{
    struct role role;
    role_start(&role, have_a_task_exit, NULL);
    const int status = role_wait_dead(&role, LIMIT_MS);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

/* Children of the family, by exit() and by returning; also of one who has a
 * pool itself, which is not theirs to end. */
static int exit_in_a_child(void *program)
{
    leave_by_exit(program);
    return 1;
}

static int return_in_a_child(void *program)
{
    look_for_no_leaks();
    submit_and_leave(program);
    return 0;
}

static void expect_all_run_by(int (*child)(void *arg), uint32_t kind)
{
    /* ThreadSanitizer knows no threads in forks of a program with threads, and
     * AddressSanitizer's own locks may be held there for ever. */
#ifdef __SANITIZE_ADDRESS__
    const int rounds = 1;
#else
    const int rounds = THREAD_SANITIZED ? 1 : 2;
#endif
    struct program program = {kind, new_scene()};
    ipc_pool *pool = NULL;
    ipc_process process;
    for (int i = 0; i < rounds; i++) {
        start(&process, child, &program);
        let_it_end(program.scene, ipc_process_pid(&process));
        assert_int_equal(end_of(&process), 0);
        expect_all_run(program.scene);
        if (pool == NULL)
            pool = new_pool(IPC_POOL_PROCESSES, 1);
    }
    expect_works(pool);
    free_pool(pool);
    free_scene(program.scene);
}

static void at_exit_of_a_child_too(uint32_t kind)
{
    expect_all_run_by(exit_in_a_child, kind);
}
BOTH_KINDS(at_exit_of_a_child_too);

static void and_when_its_target_returns(uint32_t kind)
{
    expect_all_run_by(return_in_a_child, kind);
}
BOTH_KINDS(and_when_its_target_returns);

/* ---- a program that is killed ---- */

static void have_workers(void *arg)
{
    struct scene *scene = arg;
    ipc_future *held[2];
    ipc_worker_info workers[4];
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 4);
    hold(pool, scene, 2, held);
    (void)wait_for_workers(pool, workers, 4);
    for (int i = 0; i < 4; i++)
        scene->pids[i] = workers[i].pid;
    meet_signal(&scene->more[0]);
    (void)pause();
}

static void t36_no_worker_outlives_a_killed_maker(void)
{
    struct scene *scene = new_scene();
    struct role maker;
    role_start(&maker, have_workers, scene);
    meet_wait(&scene->more[0], 1, LIMIT_MS);
    for (int i = 0; i < 4; i++)
        assert_false(thread_ended(scene->pids[i]));
    (void)role_kill(&maker);
    const int64_t begin = test_now_ns();
    for (int i = 0; i < 4; i++)
        while (!thread_ended(scene->pids[i])) {
            if (test_now_ns() - begin > (1000 + SLACK_MS) * NS_PER_MS)
                test_fail("worker %d lives on", scene->pids[i]);
            poll_pause();
        }
    test_report("ms", (test_now_ns() - begin) / NS_PER_MS);
    free_scene(scene);
}

/* ---- a pool whose maker was killed ---- */

struct lost {
    struct scene *scene;
    uint32_t max_pending;
    ipc_pool *pool;
};

/* Its only worker is busy, and max_pending tasks wait. */
static void make_pool_and_stay(void *arg)
{
    struct lost *lost = arg;
    ipc_pool_options options = with_workers(IPC_POOL_PROCESSES, 1);
    ipc_future *held;
    options.max_pending = lost->max_pending;
    lost->pool = pool_with(&options);
    hold(lost->pool, lost->scene, 1, &held);
    for (uint32_t i = 0; i < lost->max_pending; i++)
        (void)submit_number(lost->pool, 1);
    meet_signal(&lost->scene->more[0]);
    (void)pause();
}

static struct lost *lose_maker(uint32_t max_pending)
{
    struct lost *lost = ipc_shared_alloc(sizeof *lost);
    struct role maker;
    assert_non_null(lost);
    *lost = (struct lost){.scene = new_scene(), .max_pending = max_pending};
    role_start(&maker, make_pool_and_stay, lost);
    meet_wait(&lost->scene->more[0], 1, LIMIT_MS);
    if (max_pending != 0)
        CHECK(ipc_pool_submit_nowait(lost->pool, count_it, NULL, 0, 0, NULL),
              -EAGAIN);
    role_kill(&maker);
    return lost;
}

static void expect_refused(struct lost *lost)
{
    ipc_future *f = (ipc_future *)1;
    const int n = 1;
    CHECK(ipc_pool_submit(lost->pool, add_one, &n, sizeof n, sizeof n, &f),
          -ENOTRECOVERABLE);
    assert_null(f);
    expect_says("its maker has died");
    assert_true(figures(lost->pool).broken);
    free_scene(lost->scene);
    CHECK(ipc_shared_free(lost), 0);
}

/* What is submitted is nobody's; who waits for it finds that out, for all. */
static void a_pool_without_its_maker_is_broken_by_who_waits(void)
{
    struct lost *lost = lose_maker(0);
    ipc_future *f = submit_number(lost->pool, 1);
    expect_status(f, -ENOTRECOVERABLE);
    const ipc_exception e = exception_of(f);
    assert_int_equal(e.kind, IPC_EXCEPTION_BROKEN);
    assert_string_equal(e.message, "its pool is broken: its maker has died");
    free_future(f);
    expect_refused(lost);
}

/* By the re-check. */
static void and_by_who_waits_for_room(void)
{
    struct lost *lost = lose_maker(2);
    const int64_t begin = test_now_ns();
    expect_refused(lost);
    const int64_t ms = (test_now_ns() - begin) / NS_PER_MS;
    test_report("ms", ms);
    assert_true(ms < 200 + SLACK_MS);
}

static const struct test_case cases[] = {
    BOTH_CASES(a_task_cannot_wait_for_the_end),
    TEST_CASE(a_thread_may_begin_it),
    TEST_CASE(a_thread_may_terminate_it),
    BOTH_CASES(a_callback_cannot_wait_for_the_end),
    BOTH_CASES(but_it_may_terminate),
    BOTH_CASES(a_child_is_not_the_maker),
    BOTH_CASES(at_exit_what_was_submitted_is_run),
    TEST_CASE(a_task_in_a_thread_may_end_the_program),
    BOTH_CASES(at_exit_of_a_child_too),
    BOTH_CASES(and_when_its_target_returns),
    TEST_CASE(t36_no_worker_outlives_a_killed_maker),
    TEST_CASE(a_pool_without_its_maker_is_broken_by_who_waits),
    TEST_CASE(and_by_who_waits_for_room),
};
TEST_MAIN(cases)
