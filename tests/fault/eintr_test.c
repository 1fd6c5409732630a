/* A storm of signals, whose handler does not restart system calls: what waits
 * goes on waiting, to the same deadline, and what was about to be noticed is
 * noticed. */
#include "unit/process_support.h"

#include "harness/faults.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>

#include <ipc/array.h>
#include <ipc/file_lock.h>
#include <ipc/lock.h>
#include <ipc/segment.h>
#include <ipc/shared.h>
#include <ipc/thread.h>
#include <ipc/timer.h>

enum {
    STORM = 10000,
    HITS = 20,
    LATE_MS = 1000
};

static int64_t worst_ns; /* the latest return after a deadline */

static void expect_at(ipc_deadline deadline)
{
    const int64_t late = ipc_now() - deadline;
    assert_true(late >= 0);
    assert_true(late < (int64_t)LATE_MS * 1000000);
    if (late > worst_ns)
        worst_ns = late;
}

static void end_storm(void)
{
    const long hits = storm_stop();
    test_report("signals", hits);
    test_report("latest_us", worst_ns / 1000);
    assert_true(hits > HITS || THREAD_SANITIZED); /* it holds some back */
}

/* ---- time ---- */

static void sleep_until_goes_to_its_deadline(void)
{
    storm_start(STORM);
    for (int i = 0; i < 5; i++) {
        const ipc_deadline deadline = ipc_after_ms(20);
        ipc_sleep_until(deadline);
        expect_at(deadline);
    }
    end_storm();
}

/* ---- processes ---- */

static int sleep_and_return(void *arg)
{
    ipc_sleep_until(ipc_after_ms(*(int *)arg));
    return 3;
}

static void join_goes_to_the_end_or_its_deadline(void)
{
    int ms = 60;
    storm_start(STORM);
    ipc_process p;
    start(&p, sleep_for_good, NULL);
    for (int i = 0; i < 3; i++) {
        const ipc_deadline deadline = ipc_after_ms(20);
        CHECK(ipc_process_join_until(&p, deadline), -ETIMEDOUT);
        expect_at(deadline);
        CHECK(ipc_process_join_nowait(&p), -EAGAIN);
    }
    CHECK(ipc_process_kill(&p), 0);
    assert_int_equal(end_of(&p), -SIGKILL);

    start(&p, sleep_and_return, &ms);
    CHECK(ipc_process_join(&p), 0);
    assert_int_equal(end_of(&p), 3);
    end_storm();
}

static void start_and_close_are_not_disturbed(void)
{
    storm_start(STORM);
    for (int i = 0; i < 60; i++) {
        int code = i;
        assert_int_equal(run(return_it, &code), code);
        assert_int_equal(run_daemon(return_it, &code), code);
    }
    end_storm();
}

static void die_at_once(void)
{
    (void)raise(SIGKILL);
}

/* The storm is faster than the re-check that is to find the death. */
static void start_sees_a_death_in_setup_by_the_recheck(void)
{
    assert_int_equal(pthread_atfork(NULL, NULL, die_at_once), 0);
    storm_start(1000);
    ipc_process p;
    start_daemon(&p, return_zero, NULL);
    assert_int_equal(end_of(&p), -SIGKILL);
    (void)storm_stop();
}

/* ---- the exit rules ---- */

static void exit_in_a_storm(void *arg)
{
    ipc_process p[2];
    static int ms = 50;
    start_daemon(&p[0], sleep_for_good, NULL);
    start(&p[1], sleep_and_return, &ms);
    *(int *)arg = ipc_process_pid(&p[1]);
    storm_start(STORM);
    leave(0);
}

static void exit_joins_the_children(void)
{
    int *pid = test_shared(sizeof *pid);
    struct role role;
    role_start(&role, exit_in_a_storm, pid);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(kill(*pid, 0), -1);
}

/* ---- locks ---- */

struct locks {
    ipc_lock lock;
    ipc_array *array;
    uint32_t held;
};

static int hold_for_good(void *arg)
{
    struct locks *locks = arg;
    CHECK(ipc_lock_acquire(&locks->lock), 0);
    meet_signal(&locks->held);
    return sleep_for_good(NULL);
}

static int hold_a_while(void *arg)
{
    struct locks *locks = arg;
    CHECK(ipc_lock_acquire(&locks->lock), 0);
    meet_signal(&locks->held);
    ipc_sleep_until(ipc_after_ms(60));
    CHECK(ipc_lock_release(&locks->lock), 0);
    return 0;
}

static void lock_is_waited_for_to_the_deadline(void)
{
    struct locks *locks = ipc_shared_alloc(sizeof *locks);
    assert_non_null(locks);
    storm_start(STORM);
    ipc_process p;
    start(&p, hold_a_while, locks);
    meet_wait(&locks->held, 1, LIMIT_MS);
    CHECK(ipc_lock_acquire(&locks->lock), 0);
    CHECK(ipc_lock_release(&locks->lock), 0);
    assert_int_equal(end_of(&p), 0);

    start(&p, hold_for_good, locks);
    meet_wait(&locks->held, 2, LIMIT_MS);
    for (int i = 0; i < 3; i++) {
        const ipc_deadline deadline = ipc_after_ms(20);
        CHECK(ipc_lock_acquire_until(&locks->lock, deadline), -ETIMEDOUT);
        expect_at(deadline);
    }
    CHECK(ipc_process_kill(&p), 0);
    CHECK(ipc_lock_acquire(&locks->lock), IPC_OWNER_DIED);
    CHECK(ipc_lock_release(&locks->lock), 0);
    assert_int_equal(end_of(&p), -SIGKILL);
    end_storm();
    CHECK(ipc_shared_free(locks), 0);
}

/* The kernel will not tell of its death: it knows of no list. */
static int hold_unannounced(void *arg)
{
    static struct robust_list_head none = {.list = {&none.list}};
    struct locks *locks = arg;
    CHECK(ipc_lock_acquire(&locks->lock), 0);
    assert_int_equal(syscall(SYS_set_robust_list, &none, sizeof none), 0);
    meet_signal(&locks->held);
    return sleep_for_good(NULL);
}

/* The storm is faster than the re-check that is to find the death. */
static void lock_of_the_dead_is_found_by_the_recheck(void)
{
    struct locks *locks = ipc_shared_alloc(sizeof *locks);
    assert_non_null(locks);
    ipc_process p;
    start(&p, hold_unannounced, locks);
    meet_wait(&locks->held, 1, LIMIT_MS);
    storm_start(1000);
    CHECK(ipc_lock_acquire_until(&locks->lock, ipc_after_ms(20)), -ETIMEDOUT);
    CHECK(ipc_process_kill(&p), 0);
    assert_int_equal(end_of(&p), -SIGKILL);
    const int64_t from = test_now_ns();
    CHECK(ipc_lock_acquire_until(&locks->lock, ipc_after_ms(LIMIT_MS)),
          IPC_OWNER_DIED);
    test_report("ms", ms_since(from));
    assert_true(ms_since(from) < 1200);
    (void)storm_stop();
    CHECK(ipc_lock_release(&locks->lock), 0);
    CHECK(ipc_shared_free(locks), 0);
}

/* ---- threads ---- */

static int wait_for_word(void *arg)
{
    meet_wait(arg, 1, LIMIT_MS);
    return 3;
}

static void thread_is_joined_at_its_end_or_at_the_deadline(void)
{
    uint32_t go = 0;
    int code = 0;
    ipc_thread thread;
    storm_start(STORM);
    CHECK(ipc_thread_init(&thread, wait_for_word, &go, NULL), 0);
    CHECK(ipc_thread_start(&thread), 0);
    for (int i = 0; i < 3; i++) {
        const ipc_deadline deadline = ipc_after_ms(20);
        CHECK(ipc_thread_join_until(&thread, deadline), -ETIMEDOUT);
        expect_at(deadline);
    }
    meet_signal(&go);
    CHECK(ipc_thread_join(&thread), 0);
    CHECK(ipc_thread_exitcode(&thread, &code), 0);
    assert_int_equal(code, 3);
    CHECK(ipc_thread_close(&thread), 0);
    end_storm();
}

static void note_moment(void *arg)
{
    *(ipc_deadline *)arg = ipc_now();
}

static void run_timers(void *unused)
{
    (void)unused;
    storm_start(STORM);
    for (int i = 0; i < 3; i++) {
        ipc_timer timer = {.state_ = 0};
        ipc_deadline moment = 0;
        const ipc_deadline deadline = ipc_after_ms(20);
        CHECK(ipc_timer_start(&timer, ipc_after_ms(40), note_moment, &moment,
                              NULL),
              0);
        CHECK(ipc_timer_join_until(&timer, deadline), -ETIMEDOUT);
        expect_at(deadline);
        CHECK(ipc_timer_join(&timer), 0);
        assert_true(moment >= timer.when_);
    }
    end_storm();
}

/* In a role, as their thread stays a little. */
static void timer_comes_at_its_moment(void)
{
    struct role role;
    role_start(&role, run_timers, NULL);
    role_wait_ok(&role, LIMIT_MS);
}

static int hold_the_array(void *arg)
{
    struct locks *locks = arg;
    CHECK(ipc_rlock_acquire(ipc_array_lock(locks->array)), 0);
    meet_signal(&locks->held);
    ipc_sleep_until(ipc_after_ms(60));
    CHECK(ipc_array_set_i32(locks->array, 0, 5), 0);
    CHECK(ipc_rlock_release(ipc_array_lock(locks->array)), 0);
    return 0;
}

static void array_is_waited_for(void)
{
    int32_t got = 0;
    struct locks *locks = ipc_shared_alloc(sizeof *locks);
    assert_non_null(locks);
    CHECK(ipc_array_new(IPC_ELEMENT_INT32, 1, NULL, &locks->array), 0);
    storm_start(STORM);
    ipc_process p;
    start(&p, hold_the_array, locks);
    meet_wait(&locks->held, 1, LIMIT_MS);
    CHECK(ipc_array_get_i32(locks->array, 0, &got), 0);
    assert_int_equal(got, 5);
    assert_int_equal(end_of(&p), 0);
    end_storm();
    CHECK(ipc_array_free(locks->array), 0);
    CHECK(ipc_shared_free(locks), 0);
}

/* ---- files and memory ---- */

static void segments_and_memory_are_not_disturbed(void)
{
    storm_start(STORM);
    for (int i = 0; i < 10; i++) {
        ipc_segment *segment;
        CHECK(ipc_segment_create("large", (size_t)8 << 20, NULL, &segment), 0);
        CHECK(ipc_segment_close(segment), 0);
        CHECK(ipc_segment_unlink("large"), 0);
        void *memory = ipc_shared_alloc((size_t)8 << 20);
        assert_non_null(memory);
        CHECK(ipc_shared_free(memory), 0);
    }
    end_storm();
}

struct file {
    char path[300];
    uint32_t held;
};

static int hold_the_file(void *arg)
{
    struct file *file = arg;
    ipc_file_lock *lock;
    CHECK(ipc_file_lock_open(file->path, &lock), 0);
    CHECK(ipc_file_lock_acquire(lock), 0);
    meet_signal(&file->held);
    ipc_sleep_until(ipc_after_ms(60));
    CHECK(ipc_file_lock_release(lock), 0);
    CHECK(ipc_file_lock_close(lock), 0);
    return 0;
}

static void file_lock_is_waited_for_to_the_deadline(void)
{
    struct file *file = test_shared(sizeof *file);
    (void)snprintf(file->path, sizeof file->path, "%s/lock", test_tmpdir());
    ipc_file_lock *lock;
    CHECK(ipc_file_lock_open(file->path, &lock), 0);
    for (uint32_t i = 1; i <= 2; i++) {
        ipc_process p;
        start(&p, hold_the_file, file);
        meet_wait(&file->held, i, LIMIT_MS);
        storm_start(STORM);
        if (i == 1) {
            const ipc_deadline deadline = ipc_after_ms(20);
            CHECK(ipc_file_lock_acquire_until(lock, deadline), -ETIMEDOUT);
            expect_at(deadline);
        }
        CHECK(ipc_file_lock_acquire(lock), 0);
        CHECK(ipc_file_lock_release(lock), 0);
        end_storm();
        assert_int_equal(end_of(&p), 0);
    }
    CHECK(ipc_file_lock_close(lock), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(sleep_until_goes_to_its_deadline),
    TEST_CASE(join_goes_to_the_end_or_its_deadline),
    TEST_CASE(start_and_close_are_not_disturbed),
    TEST_CASE_LIMIT(start_sees_a_death_in_setup_by_the_recheck, 5),
    TEST_CASE(exit_joins_the_children),
    TEST_CASE(lock_is_waited_for_to_the_deadline),
    TEST_CASE(lock_of_the_dead_is_found_by_the_recheck),
    TEST_CASE(thread_is_joined_at_its_end_or_at_the_deadline),
    TEST_CASE(timer_comes_at_its_moment),
    TEST_CASE(array_is_waited_for),
    TEST_CASE(segments_and_memory_are_not_disturbed),
    TEST_CASE(file_lock_is_waited_for_to_the_deadline),
};
TEST_MAIN(cases)
