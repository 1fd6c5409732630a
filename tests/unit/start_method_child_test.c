/* What a child of each method begins with, and what it can do: limits, output,
 * children of its own, and the objects of its family. */
#include "unit/start_method_support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <ipc/lock.h>
#include <ipc/queue.h>
#include <ipc/semaphore.h>

IPC_ENTRY(return_it);
IPC_ENTRY(return_zero);
IPC_ENTRY(sleep_for_good);

/* ---- setup ---- */

struct found {
    int cpus, nice, runs;
    struct rlimit files;
};

static int look_at_yourself(void *arg)
{
    struct found *found = arg;
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    found->cpus = CPU_COUNT(&set);
    found->nice = getpriority(PRIO_PROCESS, 0);
    (void)getrlimit(RLIMIT_NOFILE, &found->files);
    found->runs++;
    return 6;
}
IPC_ENTRY(look_at_yourself);

static void child_begins_with_what_was_asked(void)
{
    struct found *found = family(sizeof *found);
    const int cpus[] = {0};
    const ipc_process_rlimit limits[] = {{RLIMIT_NOFILE, 100, 200},
                                         {RLIMIT_CORE, 0, 0}};
    const int nice = getpriority(PRIO_PROCESS, 0);
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    if (!CPU_ISSET(0, &set))
        test_skip("CPU 0 is not ours");
    for (int m = 0; m < METHODS; m++) {
        for (int daemon = 0; daemon < 2; daemon++) {
            ipc_process_options options = by(methods[m]);
            options.daemon = daemon == 1;
            options.cpus = cpus;
            options.cpu_count = 1;
            options.nice = 3;
            options.rlimits = limits;
            options.rlimit_count = 2;
            assert_int_equal(run_with(&options, look_at_yourself, found), 6);
            assert_int_equal(found->cpus, 1);
            assert_int_equal(found->nice, nice + 3);
            assert_int_equal(found->files.rlim_cur, 100);
            assert_int_equal(found->files.rlim_max, 200);
        }
    }
    assert_int_equal(getpriority(PRIO_PROCESS, 0), nice);
    CHECK(ipc_shared_free(found), 0);
    no_server();
}

static void what_it_cannot_have_is_reported(void)
{
    struct found *found = family(sizeof *found);
    static const int no_cpu = 1 << 20;
    static const ipc_process_rlimit bad = {RLIMIT_NOFILE, 20, 10};
    for (int m = 0; m < METHODS; m++) {
        ipc_process_options options = by(methods[m]);
        options.cpus = &no_cpu;
        options.cpu_count = 1;
        expect_no_start(&options, look_at_yourself, found, -EINVAL);
        options.cpu_count = 0;
        options.rlimits = &bad;
        options.rlimit_count = 1;
        options.daemon = true;
        expect_no_start(&options, look_at_yourself, found, -EINVAL);
    }
    assert_int_equal(found->runs, 0);
    no_server();
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    CHECK(ipc_shared_free(found), 0);
}

/* As the starter has them; handlers become the default. */
static int tell_signals(void *unused)
{
    (void)unused;
    struct sigaction interrupt;
    struct sigaction hangup;
    struct sigaction user;
    (void)sigaction(SIGINT, NULL, &interrupt);
    (void)sigaction(SIGHUP, NULL, &hangup);
    (void)sigaction(SIGUSR1, NULL, &user);
    return (interrupt.sa_handler == SIG_DFL ? 1 : 0) +
           (hangup.sa_handler == SIG_IGN ? 2 : 0) +
           (user.sa_handler == SIG_DFL ? 4 : 0);
}
IPC_ENTRY(tell_signals);

static void handle(int sig)
{
    (void)sig;
}

static void signals_begin_as_after_an_exec(void)
{
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGUSR1, handle);
    for (int m = FRESH; m < METHODS; m++)
        assert_int_equal(run_by(methods[m], tell_signals, NULL), 7);
    no_server();
}

static int tell_environment(void *unused)
{
    (void)unused;
    /* NOLINTBEGIN(concurrency-mt-unsafe): there is one thread */
    const char *value = getenv("START_METHOD_TEST");
    return (value != NULL && strcmp(value, "kept") == 0 ? 1 : 0) +
           (getenv("LIBIPC_SPAWN") == NULL ? 2 : 0);
    /* NOLINTEND(concurrency-mt-unsafe) */
}
IPC_ENTRY(tell_environment);

static void environment_is_kept(void)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    assert_int_equal(setenv("START_METHOD_TEST", "kept", 1), 0);
    for (int m = 0; m < METHODS; m++)
        assert_int_equal(run_by(methods[m], tell_environment, NULL), 3);
    no_server();
}

/* ---- output ---- */

static int print_part(void *unused)
{
    (void)unused;
    printf("child,");
    return 0;
}
IPC_ENTRY(print_part);

static void output_is_flushed_once_and_in_order(void)
{
    for (int m = 0; m < METHODS; m++) {
        char text[200] = "";
        const int file = memfd_create("test-file", MFD_CLOEXEC);
        const int out = fcntl(1, F_DUPFD_CLOEXEC, 3);
        (void)fflush(stdout);
        assert_int_equal(dup2(file, 1), 1);
        (void)setvbuf(stdout, NULL, _IOFBF, 4096);
        printf("one,");
        const int first = run_by(methods[m], print_part, NULL);
        printf("two,");
        const int second = run_by(methods[m], print_part, NULL);
        (void)fflush(stdout);
        assert_int_equal(dup2(out, 1), 1);
        (void)setvbuf(stdout, NULL, _IOLBF, 0);
        (void)close(out);
        assert_int_equal(first, 0);
        assert_int_equal(second, 0);
        assert_true(pread(file, text, sizeof text - 1, 0) > 0);
        (void)close(file);
        assert_string_equal(text, "one,child,two,child,");
    }
    no_server();
}

/* ---- children of children ---- */

struct depth {
    uint32_t method[3];
    int at;
    int runs;
};

static int start_another(void *arg)
{
    struct depth *depth = arg;
    const int at = depth->at++;
    (void)__atomic_add_fetch(&depth->runs, 1, __ATOMIC_RELAXED);
    if (at == 3)
        return 40;
    return run_by(depth->method[at], start_another, depth);
}
IPC_ENTRY(start_another);

static void each_can_start_each(void)
{
    struct depth *depth = family(sizeof *depth);
    for (int i = 0; i < 27; i++) {
        *depth = (struct depth){
            .method = {methods[i % 3], methods[i / 3 % 3], methods[i / 9]}};
        assert_int_equal(run_by(methods[i % 3], start_another, depth), 40);
        assert_int_equal(depth->runs, 4);
    }
    CHECK(ipc_shared_free(depth), 0);
    no_server();
}

/* ---- the objects of the family ---- */

struct objects {
    ipc_lock lock;
    int count; /* under the lock */
    ipc_queue *queue;
    ipc_semaphore *semaphore;
    char name[64];
};

static int use_the_objects(void *arg)
{
    struct objects *o = arg;
    ipc_semaphore *named = NULL;
    int number = 0;
    size_t size = 0;
    for (int i = 0; i < 100; i++) {
        CHECK(ipc_lock_acquire(&o->lock), 0);
        o->count++;
        CHECK(ipc_lock_release(&o->lock), 0);
    }
    CHECK(ipc_queue_get(o->queue, &number, sizeof number, &size), 0);
    assert_int_equal(number, 17);
    CHECK(ipc_semaphore_release(o->semaphore), 0);
    CHECK(ipc_semaphore_open(o->name, &named), 0);
    CHECK(ipc_semaphore_release(named), 0);
    CHECK(ipc_semaphore_close(named), 0);
    number++;
    CHECK(ipc_queue_put(o->queue, &number, sizeof number), 0);
    return 0;
}
IPC_ENTRY(use_the_objects);

static void objects_of_the_family_and_named_ones_work(void)
{
    struct objects *o = family(sizeof *o);
    ipc_semaphore *named = NULL;
    int number = 17;
    size_t size = 0;
    (void)snprintf(o->name, sizeof o->name, "/start-method-%d", (int)getpid());
    CHECK(ipc_queue_new(NULL, &o->queue), 0);
    CHECK(ipc_semaphore_new(0, NULL, &o->semaphore), 0);
    CHECK(ipc_semaphore_create(o->name, 0, NULL, &named), 0);
    for (int m = 0; m < METHODS; m++) {
        number = 17;
        CHECK(ipc_queue_put(o->queue, &number, sizeof number), 0);
        assert_int_equal(run_by(methods[m], use_the_objects, o), 0);
        CHECK(ipc_queue_get(o->queue, &number, sizeof number, &size), 0);
        assert_int_equal(number, 18);
        CHECK(ipc_semaphore_acquire_nowait(o->semaphore), 0);
        CHECK(ipc_semaphore_acquire_nowait(named), 0);
    }
    assert_int_equal(o->count, 100 * METHODS);
    CHECK(ipc_semaphore_close(named), 0);
    CHECK(ipc_semaphore_unlink(o->name), 0);
    CHECK(ipc_semaphore_free(o->semaphore), 0);
    CHECK(ipc_queue_free(o->queue), 0);
    CHECK(ipc_shared_free(o), 0);
    no_server();
}

static int die_with_the_lock(void *arg)
{
    CHECK(ipc_lock_acquire(arg), 0);
    return raise(SIGKILL);
}
IPC_ENTRY(die_with_the_lock);

static void lock_of_a_dead_child_is_given_on(void)
{
    ipc_lock *lock = family(sizeof *lock);
    for (int m = 0; m < METHODS; m++) {
        assert_int_equal(run_by(methods[m], die_with_the_lock, lock), -SIGKILL);
        CHECK(ipc_lock_acquire_until(lock, ipc_after_ms(LIMIT_MS)),
              IPC_OWNER_DIED);
        CHECK(ipc_lock_consistent(lock), 0);
        CHECK(ipc_lock_release(lock), 0);
    }
    CHECK(ipc_shared_free(lock), 0);
    no_server();
}

/* ---- threads ---- */

struct busy {
    ipc_lock lock;
    uint32_t stop;
    uint32_t running;
};

static void *be_busy(void *arg)
{
    struct busy *busy = arg;
    meet_signal(&busy->running);
    while (__atomic_load_n(&busy->stop, __ATOMIC_RELAXED) == 0) {
        free(malloc(1000));
        assert_int_equal(ipc_lock_acquire(&busy->lock), 0);
        void *memory = ipc_shared_alloc(100);
        (void)ipc_shared_free(memory);
        (void)ipc_lock_release(&busy->lock);
    }
    return NULL;
}

static int use_everything(void *arg)
{
    struct busy *busy = arg;
    free(malloc(1000));
    void *memory = ipc_shared_alloc(100);
    assert_non_null(memory);
    CHECK(ipc_shared_free(memory), 0);
    CHECK(ipc_lock_acquire(&busy->lock), 0);
    CHECK(ipc_lock_release(&busy->lock), 0);
    return 5;
}
IPC_ENTRY(use_everything);

static void t42_started_beside_busy_threads(void)
{
    enum {
        BUSY = 4
    };
    struct busy *busy = family(sizeof *busy);
    pthread_t threads[BUSY];
    for (int i = 0; i < BUSY; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, be_busy, busy), 0);
    meet_wait(&busy->running, BUSY, LIMIT_MS);
    for (int m = 0; m < METHODS; m++)
        for (int i = 0; i < 20; i++)
            assert_int_equal(run_by(methods[m], use_everything, busy), 5);
    __atomic_store_n(&busy->stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < BUSY; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    CHECK(ipc_shared_free(busy), 0);
    no_server();
}

static void fork_beside_threads_says_so_once(void)
{
    if (THREAD_SANITIZED)
        test_skip("a sanitizer has a thread of its own");
    struct busy *busy = family(sizeof *busy);
    pthread_t thread;
    ipc_process p;
    assert_int_equal(run(return_zero, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, be_busy, busy), 0);
    meet_wait(&busy->running, 1, LIMIT_MS);

    CHECK(ipc_process_join(&(ipc_process){.state_ = 0}), -EINVAL);
    start_by(IPC_START_SPAWN, &p, return_zero, NULL);
    assert_null(strstr(ipc_error_detail(), "threads"));
    assert_int_equal(end_of(&p), 0);
    start(&p, return_zero, NULL);
    assert_non_null(strstr(ipc_error_detail(), "forked with"));
    assert_int_equal(end_of(&p), 0);
    CHECK(ipc_process_join(&(ipc_process){.state_ = 0}), -EINVAL);
    start(&p, return_zero, NULL);
    assert_null(strstr(ipc_error_detail(), "threads"));
    assert_int_equal(end_of(&p), 0);

    __atomic_store_n(&busy->stop, 1, __ATOMIC_RELAXED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    CHECK(ipc_shared_free(busy), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(child_begins_with_what_was_asked),
    TEST_CASE(what_it_cannot_have_is_reported),
    TEST_CASE(signals_begin_as_after_an_exec),
    TEST_CASE(environment_is_kept),
    TEST_CASE(output_is_flushed_once_and_in_order),
    TEST_CASE(each_can_start_each),
    TEST_CASE(objects_of_the_family_and_named_ones_work),
    TEST_CASE(lock_of_a_dead_child_is_given_on),
    TEST_CASE(t42_started_beside_busy_threads),
    TEST_CASE(fork_beside_threads_says_so_once),
};
TEST_MAIN(cases)
