/* Starting processes: from many threads, in the middle of everything, and
 * where no more are allowed. */
#include "unit/process_support.h"

#include "harness/scale.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <ipc/lock.h>
#include <ipc/shared.h>

enum {
    SLOWER = SANITIZED ? 10 : 1
};

/* ---- a storm from many threads ---- */

struct storm {
    ipc_lock lock;
    long done; /* under the lock */
    long each;
};

/* A forked child has a robust list of its own, or its locks would not be
 * freed by the kernel. */
static bool robust_list_is_mine(void)
{
    struct robust_list_head *head = NULL;
    size_t size = 0;
    return syscall(SYS_get_robust_list, 0, &head, &size) == 0 &&
           size == sizeof *head && head != NULL && head->futex_offset == -32;
}

static int count_under_the_lock(void *arg)
{
    struct storm *storm = arg;
    if (!robust_list_is_mine() || ipc_lock_acquire(&storm->lock) != 0)
        return 1;
    storm->done++;
    return ipc_lock_release(&storm->lock) == 0 ? 9 : 2;
}

static void *start_one_after_the_other(void *arg)
{
    struct storm *storm = arg;
    for (long i = 0; i < storm->each; i++)
        assert_int_equal(run(count_under_the_lock, storm), 9);
    return NULL;
}

static void sixty_four_threads_start_processes(void)
{
    enum {
        THREADS = 64
    };
    pthread_t threads[THREADS];
    struct storm *storm = ipc_shared_alloc(sizeof *storm);
    assert_non_null(storm);
    storm->each = (2000 * test_scale() / SLOWER + THREADS - 1) / THREADS;
    const int64_t from = test_now_ns();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, start_one_after_the_other, storm),
            0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    const int64_t ns = test_now_ns() - from;
    test_report("processes", storm->done);
    test_report("per_s", storm->done * 1000000000 / ns);
    assert_int_equal(storm->done, storm->each * THREADS);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
    assert_int_equal(ipc_active_children(NULL, 0), 0);
    CHECK(ipc_shared_free(storm), 0);
}

/* ---- in the middle of malloc() and of our calls ---- */

enum {
    BUSY = 8
};

struct busy {
    ipc_lock lock;
    uint32_t stop;
};

/* Leaves the processors to the others now and then: they are two. */
static bool goes_on(const struct busy *busy, size_t round)
{
    if (round % 64 == 0)
        poll_pause();
    return __atomic_load_n(&busy->stop, __ATOMIC_RELAXED) == 0;
}

static void *allocate_all_the_time(void *arg)
{
    for (size_t i = 1; goes_on(arg, i); i++) {
        char *memory = malloc(i % 5000 + 1);
        if (memory != NULL)
            memory[0] = (char)i;
        free(memory);
    }
    return NULL;
}

static void *lock_all_the_time(void *arg)
{
    struct busy *busy = arg;
    for (size_t i = 1; goes_on(arg, i); i++) {
        CHECK(ipc_lock_acquire(&busy->lock), 0);
        CHECK(ipc_lock_release(&busy->lock), 0);
    }
    return NULL;
}

static void *share_all_the_time(void *arg)
{
    for (size_t i = 1; goes_on(arg, i); i++)
        CHECK(ipc_shared_free(ipc_shared_alloc(i * 37 % 3000 + 1)), 0);
    return NULL;
}

static bool use_lock_and_memory(struct busy *busy, void *memory, void *shared)
{
    return memory != NULL && shared != NULL &&
           ipc_lock_acquire(&busy->lock) == 0 &&
           ipc_lock_release(&busy->lock) == 0;
}

static int use_all(void *arg)
{
    bool ok = true;
    for (size_t i = 1; ok && i < 10; i++) {
        void *memory = malloc(i * 300);
        void *shared = ipc_shared_alloc(i * 300);
        ok = use_lock_and_memory(arg, memory, shared) &&
             ipc_shared_free(shared) == 0;
        free(memory);
    }
    return ok ? 0 : 1;
}

static int use_all_and_start(void *arg)
{
    return use_all(arg) == 0 ? run(use_all, arg) + 5 : 1;
}

static void processes_start_amid_malloc_and_our_calls(void)
{
    void *(*const works[])(void *) = {lock_all_the_time, share_all_the_time,
                                      allocate_all_the_time};
    /* The malloc() of sanitizers does not survive this. */
    const int kinds = SANITIZED ? 2 : 3;
    pthread_t threads[BUSY];
    struct busy *busy = ipc_shared_alloc(sizeof *busy);
    assert_non_null(busy);
    for (int i = 0; i < BUSY; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, works[i % kinds], busy), 0);
    const long count = 500 * test_scale() / SLOWER;
    for (long i = 0; i < count; i++)
        assert_int_equal(run(use_all_and_start, busy), 5);
    __atomic_store_n(&busy->stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < BUSY; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    test_report("processes", 2 * count);
    test_report("hangs", 0);
    CHECK(ipc_shared_free(busy), 0);
}

/* ---- two first ones at once ---- */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void *__libc_calloc(size_t count, size_t size); /* NOLINT: glibc's name */

static struct {
    pthread_t thread; /* whose allocation takes its time */
    uint32_t armed;
    uint32_t inside;
    uint32_t over;
} slow;

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
void *calloc(size_t count, size_t size)
{
    if (__atomic_load_n(&slow.armed, __ATOMIC_SEQ_CST) != 0 &&
        pthread_equal(pthread_self(), slow.thread)) {
        meet_signal(&slow.inside);
        (void)meet_within(&slow.over, 1, 200);
    }
    return __libc_calloc(count, size);
}
#endif

static void nothing(void)
{
}

static void *start_slowly(void *arg)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    slow.thread = pthread_self();
    __atomic_store_n(&slow.armed, 1, __ATOMIC_SEQ_CST);
    *(int *)arg = run(return_zero, NULL);
#endif
    return arg;
}

/* One is setting up what is to be done at exit, and libc holds a lock for it,
 * when the other one forks. */
static void start_two_first_ones(void *arg)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    pthread_t thread;
    int code = -1;
    for (int i = 0; i < *(int *)arg; i++)
        assert_int_equal(atexit(nothing), 0);
    assert_int_equal(pthread_create(&thread, NULL, start_slowly, &code), 0);
    if (meet_within(&slow.inside, 1, 200))
        assert_int_equal(run(return_zero, NULL), 0);
    meet_signal(&slow.over);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(code, 0);
#else
    (void)arg, (void)start_slowly, (void)nothing;
#endif
}

static void two_threads_start_their_first_processes_at_once(void)
{
    if (SANITIZED)
        test_skip("a sanitizer owns malloc()");
    /* libc allocates room for exit handlers now and then. */
    for (int handlers = 0; handlers < 34; handlers++) {
        struct role role;
        role_start(&role, start_two_first_ones, &handlers);
        role_wait_ok(&role, 3000);
    }
}

/* ---- where no more processes are allowed ---- */

static void become_a_user_without_processes(void)
{
    const uid_t uid = 1000000 + (uid_t)getpid();
    if (THREAD_SANITIZED)
        test_skip("the sanitizer has threads of its own, and they count");
    if (setresuid(uid, uid, uid) != 0)
        test_skip("only root can become another user");
    (void)prctl(PR_SET_DUMPABLE, 1);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void allow_processes(rlim_t count)
{
    const struct rlimit limit = {count, 1000};
    assert_int_equal(setrlimit(RLIMIT_NPROC, &limit), 0);
}

struct limited {
    int allowed;  /* besides the role itself */
    bool daemons; /* each is two threads */
    int64_t slowest_ms;
};

static void start_too_many(void *arg)
{
    enum {
        MANY = 6
    };
    struct limited *limited = arg;
    ipc_process p[MANY];
    uint32_t *words = test_shared(2 * sizeof *words);
    const ipc_process_options options = {.size = sizeof options,
                                         .daemon = limited->daemons};
    become_a_user_without_processes();
    CHECK(ipc_shared_init(), 0);
    allow_processes((rlim_t)limited->allowed + 1);
    const int running = limited->allowed / (limited->daemons ? 2 : 1);
    for (int i = 0; i < running; i++)
        start_with(&p[i], come_and_stay, words, &options);

    ipc_shared_info before = IPC_SHARED_INFO_INIT;
    ipc_shared_info after = IPC_SHARED_INFO_INIT;
    const int fds = count_fds();
    CHECK(ipc_shared_query(&before), 0);
    CHECK(ipc_process_init(&p[running], come_and_stay, words, &options), 0);
    for (int i = 0; i < 2; i++) {
        const int64_t from = test_now_ns();
        CHECK(ipc_process_start(&p[running]), -EAGAIN);
        if (ms_since(from) > limited->slowest_ms)
            limited->slowest_ms = ms_since(from);
        assert_true(strlen(ipc_error_detail()) > 0);
        assert_int_equal(count_fds(), fds);
        assert_int_equal(ipc_active_children(NULL, 0), running);
        CHECK(ipc_shared_query(&after), 0);
        assert_int_equal(after.count, before.count);
    }
    allow_processes(100);
    CHECK(ipc_process_start(&p[running]), 0);
    meet_wait(&words[0], (uint32_t)running + 1, LIMIT_MS);
    meet_signal(&words[1]);
    for (int i = 0; i <= running; i++)
        assert_int_equal(end_of(&p[i]), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void start_says_when_no_more_processes_are_allowed(void)
{
    struct limited *limited = test_shared(sizeof *limited);
    for (int i = 0; i < 9; i++) {
        struct role role;
        limited->daemons = i >= 4;
        limited->allowed = i >= 4 ? i - 4 : i;
        role_start(&role, start_too_many, limited);
        role_wait_ok(&role, LIMIT_MS);
    }
    test_report("slowest_ms", limited->slowest_ms);
    assert_true(limited->slowest_ms < 2000);
}

/* It waits for a moment whether another one ends. */
static void end_meanwhile(void *arg)
{
    ipc_process p[2];
    uint32_t *words = test_shared(2 * sizeof *words);
    (void)arg;
    become_a_user_without_processes();
    allow_processes(2);
    start(&p[0], come_and_stay, words);
    meet_signal(&words[1]);
    start(&p[1], return_zero, NULL); /* or before: then it is easy */
    (void)ipc_process_join(&p[0]);
    assert_int_equal(end_of(&p[1]), 0);
    assert_int_equal(end_of(&p[0]), 0);
}

static void start_waits_for_another_one_to_end(void)
{
    struct role role;
    (void)signal(SIGCHLD, SIG_IGN); /* inherited: nobody has to reap */
    role_start(&role, end_meanwhile, NULL);
    (void)signal(SIGCHLD, SIG_DFL);
    role_wait_ok(&role, LIMIT_MS);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(sixty_four_threads_start_processes, 300),
    TEST_CASE_LIMIT(processes_start_amid_malloc_and_our_calls, 300),
    TEST_CASE_LIMIT(two_threads_start_their_first_processes_at_once, 60),
    TEST_CASE(start_says_when_no_more_processes_are_allowed),
    TEST_CASE(start_waits_for_another_one_to_end),
};
TEST_MAIN(cases)
