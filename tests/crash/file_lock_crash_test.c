/* The file lock under SIGKILL: at every instruction of its calls, and at
 * random under load.  Whatever is killed, the next process gets the lock, and
 * is told if somebody died inside. */
#include "harness/harness.h"
#include "harness/kills.h"
#include "harness/role.h"
#include "harness/scale.h"
#include "harness/sweep.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/file_lock.h>

enum {
    LIMIT_MS = 10000
};

/* What the lock protects, and what was seen; in memory that all share. */
struct data {
    long x, y; /* equal, but for one who is inside */
    long inside;
    long told;
    long not_told;
    long broken; /* two were inside, or x != y and nobody was told */
};

static ipc_file_lock *lock; /* of this process, or inherited */

static const char *lock_path(void)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/lock", test_tmpdir());
    return path;
}

static ipc_file_lock *open_lock(void)
{
    ipc_file_lock *opened = NULL;
    assert_int_equal(ipc_file_lock_open(lock_path(), &opened), 0);
    return opened;
}

static struct data *new_data(void)
{
    (void)test_tmpdir(); /* made here, not by several roles at once */
    return test_shared(sizeof(struct data));
}

/* ---- what is done under the lock ---- */

static void enter(struct data *data, int rc)
{
    if (rc == IPC_OWNER_DIED) {
        data->y = data->x;
        (void)ipc_file_lock_consistent(lock);
        data->told++;
    } else {
        if (data->inside != 0 || data->x != data->y)
            data->broken++;
        data->not_told++;
    }
    data->inside = 1;
}

static void change_and_leave(struct data *data)
{
    *(volatile long *)&data->x += 1;
    (void)getppid(); /* a system call: sweeps of these kill here too */
    *(volatile long *)&data->y += 1;
    data->inside = 0;
    (void)ipc_file_lock_release(lock);
}

static void acquire_change_release(void *ctx)
{
    const int rc = ipc_file_lock_acquire(lock);
    if (rc >= 0) {
        enter(ctx, rc);
        change_and_leave(ctx);
    }
}

/* ---- sweeps ---- */

/* All that others see of a file lock changes in system calls, so that killing
 * before and after each of them misses nothing.  The sweeps of acquire and
 * release take every instruction all the same, and with IPC_TEST_SCALE all
 * do. */
static enum sweep_grain usual_grain(void)
{
    return test_scale() > 1 ? SWEEP_INSTRUCTIONS : SWEEP_SYSCALLS;
}

/* In a victim: everything but the operation itself is done before. */
static void open_and_use(void *ctx)
{
    (void)ctx;
    lock = open_lock();
    if (ipc_file_lock_acquire_nowait(lock) == 0)
        (void)ipc_file_lock_release(lock);
}

/* Leaves the lock as it is. */
static void open_only(void *ctx)
{
    (void)ctx;
    lock = open_lock();
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    (void)ipc_file_lock_owner(lock, &holder);
}

/* In a fresh process: within a second, or with an exit code that says why
 * not. */
static void next_one(void *ctx)
{
    struct data *data = ctx;
    lock = open_lock();
    const int rc = ipc_file_lock_acquire_until(lock, ipc_after_s(1));
    if (rc < 0)
        role_exit(-rc);
    enter(data, rc);
    change_and_leave(data);
    if (ipc_file_lock_acquire_nowait(lock) != 0)
        role_exit(1);
    enter(data, 0);
    change_and_leave(data);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static void goes_on(void *ctx, const struct sweep_point *point,
                    struct sweep_result *result)
{
    struct data *data = ctx;
    data->broken = 0;
    if (role_try(next_one, data, LIMIT_MS) != 0)
        sweep_wedge(result, point);
    if (data->broken != 0 || data->x != data->y)
        sweep_torn(result, point);
}

static void report_told(const struct data *data)
{
    test_report("told", data->told);
}

static void killed_in_acquire_and_release(void)
{
    struct data *data = new_data();
    const struct sweep sweep = {.ctx = data,
                                .prepare = open_and_use,
                                .victim = acquire_change_release,
                                .oracle = goes_on};
    struct sweep_result result;
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    report_told(data);
    sweep_expect_clean(&result, 200);
}

/* ---- sweeps of what follows a death ---- */

static void die_inside(void *ctx)
{
    struct data *data = ctx;
    lock = open_lock();
    const int rc = ipc_file_lock_acquire(lock);
    if (rc < 0)
        test_fail("acquire: %s: %s", ipc_strerror(rc), ipc_error_detail());
    enter(data, rc);
    data->x++;
}

static void leave_dead_owner(void *ctx)
{
    assert_int_equal(role_try(die_inside, ctx, LIMIT_MS), 0);
}

static void killed_in_repair(void)
{
    struct data *data = new_data();
    const struct sweep sweep = {.ctx = data,
                                .reset = leave_dead_owner,
                                .prepare = open_only,
                                .victim = acquire_change_release,
                                .grain = usual_grain(),
                                .oracle = goes_on};
    struct sweep_result result;
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    report_told(data);
    sweep_expect_clean(&result, 10);
}

static void acquire_and_give_up(void *ctx)
{
    (void)ctx;
    if (ipc_file_lock_acquire(lock) == IPC_OWNER_DIED)
        (void)ipc_file_lock_release(lock);
}

/* Told, or given up and then reset; never as if nothing had happened. */
static void next_one_after_giving_up(void *ctx)
{
    lock = open_lock();
    int rc = ipc_file_lock_acquire_until(lock, ipc_after_s(1));
    if (rc == IPC_OWNER_DIED) {
        (void)ipc_file_lock_release(lock);
        rc = ipc_file_lock_acquire_until(lock, ipc_after_s(1));
    }
    if (rc != -ENOTRECOVERABLE || ipc_file_lock_reset(lock) != 0)
        role_exit(1);
    struct data *data = ctx;
    data->y = data->x;
    data->inside = 0;
    next_one(ctx);
}

static void given_up(void *ctx, const struct sweep_point *point,
                     struct sweep_result *result)
{
    if (role_try(next_one_after_giving_up, ctx, LIMIT_MS) != 0)
        sweep_wedge(result, point);
}

static void killed_in_giving_up(void)
{
    struct data *data = new_data();
    const struct sweep sweep = {.ctx = data,
                                .reset = leave_dead_owner,
                                .prepare = open_only,
                                .victim = acquire_and_give_up,
                                .grain = usual_grain(),
                                .oracle = given_up};
    struct sweep_result result;
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 10);
}

static void give_up(void *ctx)
{
    open_only(ctx);
    acquire_and_give_up(ctx);
}

static void leave_lost_lock(void *ctx)
{
    leave_dead_owner(ctx);
    assert_int_equal(role_try(give_up, ctx, LIMIT_MS), 0);
}

static void reset_lost_lock(void *ctx)
{
    (void)ctx;
    (void)ipc_file_lock_reset(lock);
}

/* It is still lost, or free: nothing in between. */
static void next_one_after_reset(void *ctx)
{
    lock = open_lock();
    const int rc = ipc_file_lock_acquire_until(lock, ipc_after_s(1));
    if (rc == 0)
        (void)ipc_file_lock_release(lock);
    else if (rc != -ENOTRECOVERABLE || ipc_file_lock_reset(lock) != 0)
        role_exit(1);
    struct data *data = ctx;
    data->y = data->x;
    data->inside = 0;
    next_one(ctx);
}

static void lost_or_free(void *ctx, const struct sweep_point *point,
                         struct sweep_result *result)
{
    if (role_try(next_one_after_reset, ctx, LIMIT_MS) != 0)
        sweep_wedge(result, point);
}

static void killed_in_reset(void)
{
    struct data *data = new_data();
    const struct sweep sweep = {.ctx = data,
                                .reset = leave_lost_lock,
                                .prepare = open_only,
                                .victim = reset_lost_lock,
                                .grain = usual_grain(),
                                .oracle = lost_or_free};
    struct sweep_result result;
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 10);
}

/* ---- sweeps of opening and of waiting ---- */

static void remove_file(void *ctx)
{
    (void)ctx;
    (void)unlink(lock_path());
}

static void open_and_close(void *ctx)
{
    (void)ctx;
    ipc_file_lock *opened = NULL;
    if (ipc_file_lock_open(lock_path(), &opened) == 0)
        (void)ipc_file_lock_close(opened);
}

static void killed_in_open_and_close(void)
{
    struct data *data = new_data();
    const struct sweep sweep = {.ctx = data,
                                .reset = remove_file,
                                .prepare = open_and_close,
                                .victim = open_and_close,
                                .grain = usual_grain(),
                                .oracle = goes_on};
    struct sweep_result result;
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 10);
    assert_int_equal(data->told, 0);
}

/* The process of the case holds the lock until the victim sleeps. */
static void hold(void *ctx)
{
    const int rc = ipc_file_lock_acquire(lock);
    assert_true(rc >= 0);
    enter(ctx, rc);
}

static void let_go(void *ctx, pid_t victim, bool dead)
{
    (void)victim;
    (void)dead;
    change_and_leave(ctx);
}

static bool asleep_anywhere(void *ctx, pid_t victim)
{
    (void)ctx;
    return asleep(victim);
}

static void killed_in_waiting(void)
{
    struct data *data = new_data();
    const struct sweep sweep = {.ctx = data,
                                .reset = hold,
                                .prepare = open_only,
                                .victim = acquire_change_release,
                                .meanwhile = let_go,
                                .asleep = asleep_anywhere,
                                .oracle = goes_on};
    struct sweep_result result;
    lock = open_lock();
    sweep_run(&sweep, &result);
    assert_int_equal(ipc_file_lock_close(lock), 0);
    sweep_report(NULL, &result);
    test_report("woken", result.woken);
    sweep_expect_clean(&result, 200);
}

static void killed_and_its_repairer_killed(void)
{
    struct data *data = new_data();
    const struct sweep sweep = {.ctx = data,
                                .prepare = open_and_use,
                                .victim = acquire_change_release,
                                .recoverer_prepare = open_only,
                                .recoverer = acquire_change_release,
                                .grain = SWEEP_SYSCALLS,
                                .oracle = goes_on};
    struct sweep_result result;
    sweep2_run(&sweep, &result);
    sweep_report(NULL, &result);
    report_told(data);
    sweep_expect_clean(&result, 10);
}

/* ---- random kills ---- */

static int acquire_somehow(long round)
{
    switch (round % 3) {
    case 0:
        return ipc_file_lock_acquire(lock);
    case 1:
        return ipc_file_lock_acquire_nowait(lock);
    default:
        return ipc_file_lock_acquire_until(lock, ipc_after_ms(2));
    }
}

static void one_round(struct data *data, long round)
{
    const int rc = acquire_somehow(round);
    if (rc >= 0) {
        enter(data, rc);
        for (int i = 0; i < 20; i++) /* long enough to be killed inside */
            (void)sched_yield();
        change_and_leave(data);
    } else if (rc != -EAGAIN && rc != -ETIMEDOUT) {
        test_fail("acquire: %s: %s", ipc_strerror(rc), ipc_error_detail());
    }
}

struct helper {
    struct data *data;
    uint32_t stop;
};

static void *helper_main(void *arg)
{
    struct helper *helper = arg;
    for (long round = 0; __atomic_load_n(&helper->stop, __ATOMIC_RELAXED) == 0;
         round++)
        one_round(helper->data, round);
    return NULL;
}

/* Every other worker has a second thread that does the same. */
static void work(void *ctx, int index)
{
    struct helper helper = {ctx, 0};
    pthread_t thread;
    const bool threads = index % 2 == 1;
    lock = open_lock();
    if (threads)
        assert_int_equal(pthread_create(&thread, NULL, helper_main, &helper),
                         0);
    for (long round = index; kills_go_on(); round++)
        one_round(ctx, round);
    __atomic_store_n(&helper.stop, 1, __ATOMIC_RELAXED);
    if (threads)
        assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static void killed_at_random(void)
{
    struct data *data = new_data();
    const struct kills kills = {.ctx = data,
                                .workers = 6,
                                .work = work,
                                .kills = kills_for(200),
                                .min_us = 100,
                                .max_us = 5000};
    struct kills_result result;
    kills_run(&kills, &result);
    kills_report(&result);
    report_told(data);
    assert_int_equal(result.wedges, 0);
    assert_int_equal(data->broken, 0);
    assert_int_equal(role_try(next_one, data, LIMIT_MS), 0);
    assert_int_equal(data->broken, 0);
    assert_int_equal(data->x, data->y);
    assert_true(data->told > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(killed_in_acquire_and_release, 60),
    TEST_CASE_LIMIT(killed_in_repair, 60),
    TEST_CASE_LIMIT(killed_in_giving_up, 60),
    TEST_CASE_LIMIT(killed_in_reset, 60),
    TEST_CASE_LIMIT(killed_in_open_and_close, 60),
    TEST_CASE_LIMIT(killed_in_waiting, 60),
    TEST_CASE_LIMIT(killed_and_its_repairer_killed, 60),
    TEST_CASE_LIMIT(killed_at_random, 60),
};
TEST_MAIN(cases)
