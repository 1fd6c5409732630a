/* Pools whose workers are not forked: by a template, or as fresh images of the
 * program.  What they run has to be registered. */
#include "unit/pool_support.h"

#include "unit/start_method_support.h"

static ipc_pool_options by_method(uint32_t method, uint32_t workers)
{
    ipc_pool_options options = with_workers(IPC_POOL_PROCESSES, workers);
    options.start_method = method;
    return options;
}

/* Each case with both methods. */
#define BOTH_METHODS(name)                                                     \
    static void name##_by_forkserver(void)                                     \
    {                                                                          \
        name(IPC_START_FORKSERVER);                                            \
        no_server();                                                           \
    }                                                                          \
    static void name##_by_spawn(void)                                          \
    {                                                                          \
        name(IPC_START_SPAWN);                                                 \
    }                                                                          \
    struct both_methods_end_

#define METHOD_CASES(name)                                                     \
    TEST_CASE(name##_by_forkserver), TEST_CASE(name##_by_spawn)

IPC_ENTRY(add_one);
IPC_ENTRY(count_it);
IPC_ENTRY(stay);

static int not_registered(const void *arg, void *result, ipc_task *task)
{
    return add_one(arg, result, task);
}

/* ---- functions ---- */

static void registered_functions_are_run(uint32_t method)
{
    const ipc_pool_options options = by_method(method, 2);
    ipc_pool *pool = pool_with(&options);
    ipc_future *f[50];
    for (int i = 0; i < 50; i++)
        f[i] = submit_number(pool, i);
    for (int i = 0; i < 50; i++)
        assert_int_equal(number_of(f[i]), i + 1);
    free_futures(f, 50);
    free_pool(pool);
}
BOTH_METHODS(registered_functions_are_run);

static int set_nothing_up(void *arg)
{
    (void)arg;
    return 0;
}

static void tear_nothing_down(void *arg)
{
    (void)arg;
}

static void others_are_refused(uint32_t method)
{
    const int n = 1;
    int result = 0;
    ipc_pool_options options = by_method(method, 1);
    ipc_pool *pool = pool_with(&options);
    ipc_future *f = NULL;
    CHECK(ipc_pool_submit(pool, not_registered, &n, 4, 4, &f), -EINVAL);
    assert_null(f);
    expect_says("regist");
    CHECK(ipc_pool_submit_nowait(pool, not_registered, &n, 4, 4, &f), -EINVAL);
    CHECK(ipc_pool_submit_with(pool, NULL, not_registered, &n, 4, 4, &f),
          -EINVAL);
    CHECK(ipc_pool_apply(pool, not_registered, &n, 4, &result, 4), -EINVAL);
    CHECK(ipc_pool_map(pool, not_registered, &n, 4, 1, &result, 4, NULL),
          -EINVAL);
    assert_int_equal(figures(pool).futures, 0);
    expect_works(pool);
    free_pool(pool);
    options.initializer = set_nothing_up;
    CHECK(ipc_pool_new(&options, &pool), -EINVAL);
    assert_null(pool);
    options.initializer = NULL;
    options.finalizer = tear_nothing_down;
    CHECK(ipc_pool_new(&options, &pool), -EINVAL);
    assert_null(pool);
}
BOTH_METHODS(others_are_refused);

/* The method of the process is the pool's, if that names none. */
static void the_method_of_the_process(uint32_t method)
{
    const int n = 1;
    ipc_future *f = NULL;
    CHECK(ipc_set_start_method((int)method), 0);
    ipc_pool *fresh = new_pool(IPC_POOL_PROCESSES, 1);
    const ipc_pool_options options = by_method(IPC_START_FORK, 1);
    ipc_pool *forked = pool_with(&options);
    CHECK(ipc_set_start_method(IPC_START_DEFAULT), 0);
    CHECK(ipc_pool_submit(fresh, not_registered, &n, 4, 4, &f), -EINVAL);
    expect_works(fresh);
    CHECK(ipc_pool_submit(forked, not_registered, &n, 4, 4, &f), 0);
    assert_int_equal(number_of(f), 2);
    free_pool(forked);
    free_pool(fresh);
}
BOTH_METHODS(the_method_of_the_process);

/* Threads have the program's addresses. */
static void threads_need_no_registration(void)
{
    const int n = 1;
    ipc_future *f = NULL;
    ipc_pool_options options = with_workers(IPC_POOL_THREADS, 1);
    options.start_method = IPC_START_SPAWN;
    ipc_pool *pool = pool_with(&options);
    CHECK(ipc_pool_submit(pool, not_registered, &n, 4, 4, &f), 0);
    assert_int_equal(number_of(f), 2);
    free_pool(pool);
}

/* ---- who submits is another image of the program ---- */

enum {
    ITEMS = 40
};

struct foreign {
    ipc_pool *pool;
    struct scene *scene;
};

static int submit_from_afar(void *arg)
{
    ipc_pool *pool = ((struct foreign *)arg)->pool;
    ipc_future *f = NULL;
    int n = 41;
    if (ipc_pool_submit(pool, not_registered, &n, sizeof n, sizeof n, &f) !=
        -EINVAL)
        return 1;
    if (strstr(ipc_error_detail(), "regist") == NULL)
        return 2;
    if (ipc_pool_submit(pool, add_one, &n, sizeof n, sizeof n, &f) != 0)
        return 3;
    if (ipc_future_result_until(f, &n, sizeof n, NULL,
                                ipc_after_ms(LIMIT_MS)) != 0)
        return 4;
    return n == 42 && ipc_future_free(f) == 0 ? 0 : 5;
}
IPC_ENTRY(submit_from_afar);

static int map_from_afar(void *arg)
{
    ipc_pool *pool = ((struct foreign *)arg)->pool;
    int items[ITEMS], results[ITEMS] = {0};
    for (int i = 0; i < ITEMS; i++)
        items[i] = 3 * i;
    if (ipc_pool_map(pool, not_registered, items, sizeof items[0], ITEMS,
                     results, sizeof results[0], NULL) != -EINVAL)
        return 1;
    if (ipc_pool_map(pool, add_one, items, sizeof items[0], ITEMS, results,
                     sizeof results[0], NULL) != 0)
        return 2;
    for (int i = 0; i < ITEMS; i++)
        if (results[i] != 3 * i + 1)
            return 3;
    return 0;
}
IPC_ENTRY(map_from_afar);

static void from_afar(uint32_t method, int (*target)(void *arg), uint32_t kind)
{
    struct foreign *foreign = family(sizeof *foreign);
    foreign->pool = new_pool(kind, 2);
    assert_int_equal(run_by(method, target, foreign), 0);
    expect_works(foreign->pool);
    assert_int_equal(figures(foreign->pool).respawned, 0);
    free_pool(foreign->pool);
    CHECK(ipc_shared_free(foreign), 0);
}

static void submitting_from_afar_to_processes(uint32_t method)
{
    from_afar(method, submit_from_afar, IPC_POOL_PROCESSES);
}
BOTH_METHODS(submitting_from_afar_to_processes);

static void submitting_from_afar_to_threads(uint32_t method)
{
    skip_unseen_processes(IPC_POOL_THREADS);
    from_afar(method, submit_from_afar, IPC_POOL_THREADS);
}
BOTH_METHODS(submitting_from_afar_to_threads);

static void mapping_from_afar_by_processes(uint32_t method)
{
    from_afar(method, map_from_afar, IPC_POOL_PROCESSES);
}
BOTH_METHODS(mapping_from_afar_by_processes);

static void mapping_from_afar_by_threads(uint32_t method)
{
    skip_unseen_processes(IPC_POOL_THREADS);
    from_afar(method, map_from_afar, IPC_POOL_THREADS);
}
BOTH_METHODS(mapping_from_afar_by_threads);

/* A fork is the same image, also of who has made no pool yet. */
static int submit_what_has_no_name(void *arg)
{
    struct foreign *foreign = arg;
    int n = 41;
    meet_wait(&foreign->scene->open, 1, LIMIT_MS);
    return ipc_pool_apply(foreign->pool, not_registered, &n, sizeof n, &n,
                          sizeof n) == 0
               ? n
               : 1;
}

static void forked_before_there_is_a_pool(void)
{
    struct foreign *foreign = family(sizeof *foreign);
    ipc_process child;
    foreign->scene = new_scene();
    start_by(IPC_START_FORK, &child, submit_what_has_no_name, foreign);
    foreign->pool = new_pool(IPC_POOL_PROCESSES, 1);
    say(&foreign->scene->open);
    assert_int_equal(end_of(&child), 42);
    free_pool(foreign->pool);
    free_scene(foreign->scene);
    CHECK(ipc_shared_free(foreign), 0);
}

static size_t running(const ipc_pool *pool, ipc_task_function *fn)
{
    ipc_worker_info info[2];
    size_t n = 0;
    if (ipc_pool_workers(pool, info, 2) != 2)
        return SIZE_MAX;
    for (size_t i = 0; i < 2; i++)
        n += info[i].since != 0 && info[i].fn == fn ? 1 : 0;
    return n;
}

/* What the maker runs has no name here, what we run has. */
static int look_from_afar(void *arg)
{
    const struct foreign *foreign = arg;
    ipc_future *f = NULL;
    if (running(foreign->pool, NULL) != 1)
        return 1;
    if (ipc_pool_submit(foreign->pool, stay, &foreign->scene,
                        sizeof(struct scene *), 0, &f) != 0)
        return 2;
    meet_wait(&foreign->scene->came, 2, LIMIT_MS);
    if (running(foreign->pool, stay) != 1 || running(foreign->pool, NULL) != 1)
        return 3;
    meet_signal(&foreign->scene->more[0]);
    meet_wait(&foreign->scene->open, 1, LIMIT_MS);
    return ipc_future_wait_until(f, ipc_after_ms(LIMIT_MS)) == 0 ? 0 : 4;
}
IPC_ENTRY(look_from_afar);

static void what_workers_run_seen_from_afar(uint32_t method)
{
    struct foreign *foreign = family(sizeof *foreign);
    ipc_process child;
    ipc_future *held;
    foreign->pool = new_pool(IPC_POOL_PROCESSES, 2);
    foreign->scene = new_scene();
    hold(foreign->pool, foreign->scene, 1, &held);
    start_by(method, &child, look_from_afar, foreign);
    meet_wait(&foreign->scene->more[0], 1, LIMIT_MS);
    assert_int_equal(running(foreign->pool, stay), 2);
    let_go(foreign->scene, &held, 1);
    assert_int_equal(end_of(&child), 0);
    free_pool(foreign->pool);
    free_scene(foreign->scene);
    CHECK(ipc_shared_free(foreign), 0);
}
BOTH_METHODS(what_workers_run_seen_from_afar);

/* ---- initializer, and what workers inherit ---- */

static int loaded; /* in a worker that was set up */

static int load(void *arg)
{
    loaded = 11;
    meet_signal(&((struct scene *)arg)->more[0]);
    return 0;
}
IPC_ENTRY(load);

static void unload(void *arg)
{
    meet_signal(&((struct scene *)arg)->more[1]);
}
IPC_ENTRY(unload);

static int is_loaded(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)task;
    *(int *)result = loaded;
    return 0;
}
IPC_ENTRY(is_loaded);

static void workers_are_set_up(uint32_t method)
{
    struct scene *scene = new_scene();
    ipc_pool_options options = by_method(method, 2);
    options.initializer = load;
    options.finalizer = unload;
    options.initializer_arg = scene;
    options.max_tasks_per_worker = 2;
    ipc_pool *pool = pool_with(&options);
    loaded = 5; /* they do not see this */
    for (int i = 0; i < 6; i++) {
        int n = 0;
        CHECK(ipc_pool_apply(pool, is_loaded, NULL, 0, &n, sizeof n), 0);
        assert_int_equal(n, 11);
    }
    free_pool(pool);
    assert_true(scene->more[0] >= 3);
    assert_int_equal(scene->more[1], scene->more[0]);
    free_scene(scene);
}
BOTH_METHODS(workers_are_set_up);

static int load_nothing(void *arg)
{
    (void)arg;
    return -ENOENT;
}
IPC_ENTRY(load_nothing);

static void a_failed_initializer_breaks_it(uint32_t method)
{
    ipc_pool_options options = by_method(method, 2);
    options.initializer = load_nothing;
    ipc_pool *pool = pool_with(&options);
    wait_for_figure(pool, broken, true);
    CHECK(ipc_pool_apply(pool, add_one, "1234", 4, NULL, 0), -ENOTRECOVERABLE);
    free_pool(pool);
}
BOTH_METHODS(a_failed_initializer_breaks_it);

static void take_a_second_at_most(uint32_t method)
{
    struct scene *scene = new_scene();
    ipc_pool_options options = by_method(method, 2);
    options.grace_ns = LIMIT_MS * NS_PER_MS;
    ipc_pool *pool = pool_with(&options);
    ipc_future *held[2];
    hold(pool, scene, 2, held);
    const int64_t begin = test_now_ns();
    CHECK(ipc_future_terminate(held[0], LIMIT_MS * NS_PER_MS), 0);
    expect_status(held[0], -ECANCELED);
    CHECK(ipc_pool_terminate(pool), 0);
    assert_true(test_now_ns() - begin < LIMIT_MS / 2 * NS_PER_MS);
    free_pool(pool);
    free_scene(scene);
}

/* The grace is for those who want to end well, not for all because their maker
 * does not hear the signal. */
static void sigterm_ends_them_whatever_the_maker_does(void)
{
    static const uint32_t all[] = {IPC_START_FORK, IPC_START_FORKSERVER,
                                   IPC_START_SPAWN};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
        take_a_second_at_most(all[i]);
        assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
        no_server();
        assert_true(signal(SIGTERM, SIG_IGN) != SIG_ERR);
        take_a_second_at_most(all[i]);
        assert_true(signal(SIGTERM, SIG_DFL) != SIG_ERR);
        no_server();
    }
}

/* ---- inside of tasks ---- */

static int sum_up(const void *arg, void *result, ipc_task *task)
{
    const int n = *(const int *)arg;
    const int less = n - 1;
    int rest = 0;
    if (n == 0)
        return 0;
    ipc_future *f = NULL;
    int rc = ipc_pool_submit(ipc_task_pool(task), sum_up, &less, sizeof less,
                             sizeof rest, &f);
    if (rc == 0)
        rc = ipc_future_result(f, &rest, sizeof rest, NULL);
    (void)ipc_future_free(f);
    *(int *)result = rest + n;
    return rc;
}
IPC_ENTRY(sum_up);

static void tasks_submit_more(uint32_t method)
{
    const ipc_pool_options options = by_method(method, 2);
    ipc_pool *pool = pool_with(&options);
    const int n = 30;
    int sum = 0;
    CHECK(ipc_pool_apply(pool, sum_up, &n, sizeof n, &sum, sizeof sum), 0);
    assert_int_equal(sum, 465);
    free_pool(pool);
}
BOTH_METHODS(tasks_submit_more);

/* ---- deaths ---- */

static int die_by(const void *arg, void *result, ipc_task *task)
{
    (void)result;
    (void)task;
    (void)raise(*(const int *)arg);
    _exit(3);
}
IPC_ENTRY(die_by);

static void the_dead_are_replaced(uint32_t method)
{
    static const int signals[] = {SIGKILL, SIGTERM, 0};
    const ipc_pool_options options = by_method(method, 1);
    ipc_pool *pool = pool_with(&options);
    for (size_t i = 0; i < 3; i++) {
        ipc_future *f =
            submit(pool, die_by, &signals[i], sizeof(int), sizeof(int));
        expect_status(f, -EOWNERDEAD);
        const ipc_exception e = exception_of(f);
        assert_int_equal(e.kind, IPC_EXCEPTION_DIED);
        assert_int_equal(e.signal, signals[i]);
        assert_int_equal(e.exitcode, signals[i] == 0 ? 3 : 0);
        free_future(f);
        expect_works(pool);
    }
    assert_int_equal(figures(pool).respawned, 3);
    free_pool(pool);
}
BOTH_METHODS(the_dead_are_replaced);

static void *idle(void *scene)
{
    meet_wait(&((struct scene *)scene)->open, 1, LIMIT_MS);
    return NULL;
}

static int end_at_once(void *unused)
{
    (void)unused;
    return 0;
}

/* That the program has threads is said to the program, and not before it has
 * any but those of pools. */
static void a_pools_own_thread_takes_no_warning(void)
{
    if (THREAD_SANITIZED)
        test_skip("a sanitizer has a thread of its own");
    struct scene *scene = new_scene();
    const int by_sigkill = SIGKILL;
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 1);
    ipc_process child;
    pthread_t thread;
    ipc_future *f = submit(pool, die_by, &by_sigkill, sizeof(int), 0);
    expect_status(f, -EOWNERDEAD);
    expect_works(pool);
    assert_int_equal(figures(pool).respawned, 1);
    CHECK(ipc_future_cancel(f), -EALREADY);
    free_pool(new_pool(IPC_POOL_PROCESSES, 1));
    assert_null(strstr(ipc_error_detail(), "threads"));
    assert_int_equal(pthread_create(&thread, NULL, idle, scene), 0);
    start_by(IPC_START_FORK, &child, end_at_once, NULL);
    expect_says("forked with 2 threads");
    assert_int_equal(end_of(&child), 0);
    say(&scene->open);
    assert_int_equal(pthread_join(thread, NULL), 0);
    free_pool(pool);
    free_scene(scene);
}

static void terminated_while_it_runs(uint32_t method)
{
    struct scene *scene = new_scene();
    const ipc_pool_options options = by_method(method, 2);
    ipc_pool *pool = pool_with(&options);
    ipc_future *held[2];
    hold(pool, scene, 2, held);
    CHECK(ipc_future_terminate(held[0], 0), 0);
    expect_status(held[0], -ECANCELED);
    assert_true(ipc_future_running(held[1]));
    expect_works(pool);
    say(&scene->open);
    expect_status(held[1], 0);
    free_pool(pool);
    free_scene(scene);
}
BOTH_METHODS(terminated_while_it_runs);

static void killed_with_all_that_runs(uint32_t method)
{
    struct scene *scene = new_scene();
    const ipc_pool_options options = by_method(method, 2);
    ipc_pool *pool = pool_with(&options);
    ipc_future *held[2];
    hold(pool, scene, 2, held);
    CHECK(ipc_pool_kill(pool), 0);
    for (int i = 0; i < 2; i++)
        expect_status(held[i], -ECANCELED);
    free_pool(pool);
    free_scene(scene);
}
BOTH_METHODS(killed_with_all_that_runs);

/* The workers outlive it; the next one that is needed comes from another. */
static void t38_a_killed_template_is_made_again(void)
{
    struct scene *scene = new_scene();
    const ipc_pool_options options = by_method(IPC_START_FORKSERVER, 2);
    const int by_sigkill = SIGKILL;
    ipc_pool *pool = pool_with(&options);
    ipc_future *held;
    hold(pool, scene, 1, &held);
    const int template = ipc_forkserver_pid();
    assert_true(template > 0);
    assert_int_equal(kill(template, SIGKILL), 0);
    expect_works(pool);
    ipc_future *f = submit(pool, die_by, &by_sigkill, sizeof(int), 0);
    expect_status(f, -EOWNERDEAD);
    const int64_t begin = test_now_ns();
    expect_works(pool);
    wait_for_figure(pool, workers, 2);
    test_report("ms", (test_now_ns() - begin) / NS_PER_MS);
    assert_true(ipc_future_running(held));
    let_go(scene, &held, 1);
    assert_int_not_equal(ipc_forkserver_pid(), template);
    free_pool(pool);
    free_scene(scene);
    no_server();
}

static const struct test_case cases[] = {
    METHOD_CASES(registered_functions_are_run),
    METHOD_CASES(others_are_refused),
    METHOD_CASES(the_method_of_the_process),
    TEST_CASE(threads_need_no_registration),
    METHOD_CASES(submitting_from_afar_to_processes),
    METHOD_CASES(submitting_from_afar_to_threads),
    METHOD_CASES(mapping_from_afar_by_processes),
    METHOD_CASES(mapping_from_afar_by_threads),
    METHOD_CASES(what_workers_run_seen_from_afar),
    TEST_CASE(forked_before_there_is_a_pool),
    METHOD_CASES(workers_are_set_up),
    METHOD_CASES(a_failed_initializer_breaks_it),
    TEST_CASE(sigterm_ends_them_whatever_the_maker_does),
    METHOD_CASES(tasks_submit_more),
    METHOD_CASES(the_dead_are_replaced),
    TEST_CASE(a_pools_own_thread_takes_no_warning),
    METHOD_CASES(terminated_while_it_runs),
    METHOD_CASES(killed_with_all_that_runs),
    TEST_CASE(t38_a_killed_template_is_made_again),
};
TEST_MAIN(cases)
