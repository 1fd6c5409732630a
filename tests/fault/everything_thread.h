/* One use of threads, their local values and timers: a part of everything.c,
 * where DONE() is. */
#ifndef FAULT_EVERYTHING_THREAD_H
#define FAULT_EVERYTHING_THREAD_H

#include <pthread.h>
#include <sched.h>

#include <ipc/local.h>
#include <ipc/shared.h>
#include <ipc/thread.h>
#include <ipc/timer.h>

/* Who lacks the memory for a thread is told that it lacks a thread. */
static bool began(const char *call, int rc)
{
    const bool lacks = rc == -EAGAIN && now->expected != NULL &&
                       !now->expected(rc) && now->expected(-ENOMEM);
    return done(call, lacks ? -ENOMEM : rc);
}

#define BEGAN(call) began(#call, (ipc__fail_plain(0), (call)))

/* ---- threads ---- */

struct body {
    ipc_thread *thread; /* its object */
    uint32_t *go;
};

static int look_at_itself(void *arg)
{
    const struct body *body = arg;
    ipc_lock lock = {.word_ = 0};
    meet_wait(body->go, 1, LIMIT_MS);
    assert_ptr_equal(ipc_current_thread(), body->thread);
    assert_ptr_not_equal(ipc_main_thread(), body->thread);
    assert_int_equal(ipc_thread_native_id(body->thread), ipc_gettid());
    assert_true(ipc_thread_ident(body->thread) > 1);
    CHECK(ipc_thread_join(body->thread), -EDEADLK);
    if (DONE(ipc_lock_acquire(&lock)))
        CHECK(ipc_lock_release(&lock), 0);
    return 5;
}

static void finish_thread(ipc_thread *thread, bool started, int code)
{
    int got = -1;
    if (started) {
        CHECK(ipc_thread_join_until(thread, ipc_after_ms(LIMIT_MS)), 0);
        CHECK(ipc_thread_join_nowait(thread), 0);
        CHECK(ipc_thread_exitcode(thread, &got), 0);
        assert_int_equal(got, code);
    } else {
        CHECK(ipc_thread_join(thread), -EINVAL);
    }
    assert_false(ipc_thread_is_alive(thread));
    CHECK(ipc_thread_close(thread), 0);
}

/* It runs, until it is told to go on. */
static void look_at(ipc_thread *thread)
{
    ipc_thread *active[2] = {NULL, NULL};
    int code = 0;
    assert_true(ipc_thread_is_alive(thread));
    assert_true(ipc_thread_native_id(thread) != ipc_gettid());
    assert_int_equal(ipc_active_threads(active, 2), 2);
    assert_ptr_equal(active[0], ipc_main_thread());
    assert_ptr_equal(active[1], thread);
    CHECK(ipc_thread_start(thread), -EALREADY);
    CHECK(ipc_thread_join_nowait(thread), -EAGAIN);
    CHECK(ipc_thread_join_until(thread, ipc_after_us(20)), -ETIMEDOUT);
    CHECK(ipc_thread_exitcode(thread, &code), -EAGAIN);
    CHECK(ipc_thread_set_name(thread, "late"), -EBUSY);
    CHECK(ipc_thread_close(thread), -EBUSY);
}

static bool use_target(void)
{
    ipc_thread thread;
    uint32_t go = 0;
    struct body body = {&thread, &go};
    const ipc_thread_options options = {.size = sizeof options,
                                        .arg_bytes = sizeof body};
    const bool ready =
        DONE(ipc_thread_init(&thread, look_at_itself, &body, &options));
    CHECK(ipc_thread_set_name(&thread, "looks"), 0);
    const bool started = BEGAN(ipc_thread_start(&thread));
    assert_true(ready || !started);
    if (started) {
        look_at(&thread);
        meet_signal(&go);
    }
    finish_thread(&thread, started, 5);
    assert_true(ipc_active_threads(NULL, 0) == 1 || now->expected != NULL);
    return started;
}

/* The object of one that is its own subclass. */
struct stages {
    ipc_thread thread;
    int started, exited;
};

static int on_start(ipc_thread *self)
{
    ((struct stages *)self)->started++;
    return 0;
}

static int run_daemon_thread(ipc_thread *self)
{
    return ipc_thread_is_daemon(self) ? 6 : 0;
}

static void on_exit_with(ipc_thread *self, int exitcode)
{
    ((struct stages *)self)->exited = exitcode;
}

/* On one processor, and a little politer: it tells how that went. */
static void use_ops(void)
{
    static const ipc_thread_ops ops = {run_daemon_thread, on_start,
                                       on_exit_with};
    const int cpu = sched_getcpu();
    const ipc_thread_options options = {.size = sizeof options,
                                        .daemon = true,
                                        .name = "polite",
                                        .cpus = &cpu,
                                        .cpu_count = cpu >= 0,
                                        .nice = 1,
                                        .stack_bytes = (size_t)1 << 20};
    struct stages stages = {.started = 0};
    CHECK(ipc_thread_init_ops(&stages.thread, &ops, &options), 0);
    assert_string_equal(ipc_thread_name(&stages.thread), "polite");
    const bool started = BEGAN(ipc_thread_start(&stages.thread));
    finish_thread(&stages.thread, started, 6);
    assert_int_equal(stages.started, started);
    assert_int_equal(stages.exited, started ? 6 : 0);
}

/* ---- local values ---- */

enum {
    LOCALS = 9 /* more than a table begins with */
};

struct locals {
    ipc_local all[LOCALS];
    uint32_t made, ended; /* values */
};

static int make_value(void *value, void *arg)
{
    struct locals *locals = arg;
    *(int *)value = 7;
    (void)__atomic_add_fetch(&locals->made, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static void end_value(void *value, void *arg)
{
    struct locals *locals = arg;
    assert_int_equal(*(int *)value, 7);
    (void)__atomic_add_fetch(&locals->ended, 1, __ATOMIC_SEQ_CST);
}

static bool use_local(ipc_local *local)
{
    (void)ipc__fail_plain(0);
    const int *mine = ipc_local_get(local);
    if (mine == NULL) {
        assert_false(ipc_local_is_set(local));
        return done("ipc_local_get", -ENOMEM);
    }
    assert_int_equal(*mine, 7);
    assert_ptr_equal(ipc_local_get(local), mine);
    assert_true(ipc_local_is_set(local));
    return true;
}

static void use_values_of_thread(struct locals *locals)
{
    for (int i = 0; i < LOCALS; i++)
        if (locals->all[i].key_ != 0)
            (void)use_local(&locals->all[i]);
    if (locals->all[0].key_ != 0 && use_local(&locals->all[0])) {
        CHECK(ipc_local_clear(&locals->all[0]), 0);
        assert_false(ipc_local_is_set(&locals->all[0]));
        (void)use_local(&locals->all[0]);
    }
}

static int have_values(void *arg)
{
    use_values_of_thread(arg);
    return 8;
}

/* A thread that was not started with us. */
static void *have_values_as_foreigner(void *arg)
{
    const ipc_thread *self = ipc_current_thread();
    if (self != NULL)
        assert_true(ipc_thread_is_daemon(self));
    else
        assert_true(now->expected != NULL); /* it promises no detail */
    use_values_of_thread(arg);
    return NULL;
}

static void have_values_in_threads(struct locals *locals)
{
    ipc_thread thread;
    pthread_t foreigner;
    CHECK(ipc_thread_init(&thread, have_values, locals, NULL), 0);
    const bool started = BEGAN(ipc_thread_start(&thread));
    finish_thread(&thread, started, 8);
    if (!started)
        return;
    if (pthread_create(&foreigner, NULL, have_values_as_foreigner, locals) == 0)
        (void)pthread_join(foreigner, NULL);
    else
        assert_true(now->expected != NULL);
}

static int refuse(void *value, void *arg)
{
    (void)value, (void)arg;
    return -EPERM;
}

static void use_local_that_refuses(void)
{
    const ipc_local_options options = {sizeof options, refuse, NULL, NULL};
    ipc_local local;
    if (!DONE(ipc_local_init(&local, 1, &options)))
        return;
    for (int i = 0; i < 2; i++) {
        (void)ipc__fail_plain(0);
        assert_null(ipc_local_get(&local));
        assert_true(strlen(ipc_error_detail()) > 0);
    }
    CHECK(ipc_local_fini(&local), 0);
}

static void use_locals(bool with_threads)
{
    static struct locals locals;
    const ipc_local_options options = {sizeof options, make_value, end_value,
                                       &locals};
    memset(&locals, 0, sizeof locals);
    for (int i = 0; i < LOCALS; i++)
        (void)DONE(ipc_local_init(&locals.all[i], sizeof(int), &options));
    use_values_of_thread(&locals);
    if (with_threads) {
        const uint32_t mine = locals.made - locals.ended;
        have_values_in_threads(&locals);
        assert_int_equal(locals.made - locals.ended, mine);
    }
    for (int i = 0; i < LOCALS; i++)
        if (locals.all[i].key_ != 0)
            CHECK(ipc_local_fini(&locals.all[i]), 0);
    assert_int_equal(locals.made, locals.ended);
    use_local_that_refuses();
}

/* ---- timers ---- */

static void count_call(void *arg)
{
    meet_signal(arg);
}

struct chain {
    ipc_timer next;
    uint32_t calls;
    int started;
};

static void start_next(void *arg)
{
    struct chain *chain = arg;
    chain->started = ipc_timer_start(&chain->next, IPC_TIME_NOW, count_call,
                                     &chain->calls, NULL);
}

static void wait_for_timer(ipc_timer *timer)
{
    CHECK(ipc_timer_join_until(timer, ipc_after_ms(LIMIT_MS)), 0);
    CHECK(ipc_timer_join_nowait(timer), 0);
    CHECK(ipc_timer_cancel(timer), -EALREADY);
    assert_false(ipc_timer_is_alive(timer));
}

static bool use_timer_that_comes(void)
{
    ipc_timer timer = {.state_ = 0};
    struct chain chain = {.calls = 0};
    CHECK(ipc_timer_cancel(&timer), -EINVAL);
    if (!BEGAN(ipc_timer_start(&timer, ipc_after_us(50), start_next, &chain,
                               NULL))) {
        assert_false(ipc_timer_is_pending(&timer));
        return false;
    }
    wait_for_timer(&timer);
    CHECK(chain.started, 0);
    wait_for_timer(&chain.next);
    assert_int_equal(chain.calls, 1);
    return true;
}

static void use_timer_that_never_comes(void)
{
    ipc_timer timer = {.state_ = 0};
    uint32_t calls = 0;
    if (!BEGAN(ipc_timer_start(&timer, ipc_after_s(1000), count_call, &calls,
                               NULL)))
        return;
    assert_true(ipc_timer_is_pending(&timer));
    CHECK(ipc_timer_start(&timer, IPC_TIME_NOW, count_call, &calls, NULL),
          -EALREADY);
    CHECK(ipc_timer_join_nowait(&timer), -EAGAIN);
    CHECK(ipc_timer_join_until(&timer, ipc_after_us(20)), -ETIMEDOUT);
    CHECK(ipc_timer_cancel(&timer), 0);
    CHECK(ipc_timer_join(&timer), 0);
    assert_int_equal(calls, 0);
}

static void use_timer_that_repeats(void)
{
    const ipc_timer_options options = {sizeof options, true, 50000, "again"};
    ipc_timer timer = {.state_ = 0};
    uint32_t calls = 0;
    if (!BEGAN(ipc_timer_start(&timer, ipc_after_us(50), count_call, &calls,
                               &options)))
        return;
    meet_wait(&calls, 3, LIMIT_MS);
    CHECK(ipc_timer_cancel(&timer), 0);
    const uint32_t so_far = calls;
    CHECK(ipc_timer_join(&timer), 0);
    assert_int_equal(calls, so_far);
}

static void use_timers(void)
{
    if (!use_timer_that_comes())
        return; /* each takes its time to give up */
    use_timer_that_never_comes();
    use_timer_that_repeats();
}

/* ---- a process that leaves them behind when it ends ---- */

static int say_that_it_ran(void *arg)
{
    meet_signal(arg);
    return 0;
}

static int leave_work(void *arg)
{
    static ipc_thread thread;
    static ipc_timer timer;
    CHECK(ipc_thread_init(&thread, say_that_it_ran, arg, NULL), 0);
    int begun = BEGAN(ipc_thread_start(&thread));
    begun += BEGAN(
        ipc_timer_start(&timer, ipc_after_us(300), count_call, arg, NULL));
    return begun;
}

static void use_end_of_process(void)
{
    uint32_t *ran = ipc_shared_alloc(sizeof *ran);
    ipc_process process;
    if (ran == NULL) {
        (void)done("ipc_shared_alloc", -ENOMEM);
        return;
    }
    CHECK(ipc_process_init(&process, leave_work, ran, NULL), 0);
    const bool started = DONE(ipc_process_start(&process));
    if (started) {
        const int begun = end_of(&process);
        assert_int_equal(*ran, begun);
        assert_true(begun == 2 || now->expected != NULL);
    } else {
        CHECK(ipc_process_close(&process), 0);
    }
    CHECK(ipc_shared_free(ran), 0);
}

/* ---- all of it ---- */

static void use_thread_things(void)
{
    const bool more = !now->no_threads && use_target();
    if (more)
        use_ops();
    use_locals(more);
    if (now->no_threads || now->no_timers)
        return;
    /* First: ThreadSanitizer loses its way where threads are started in a
     * child of a process with threads, such as that of the timers. */
    use_end_of_process();
    use_timers();
}

#endif
