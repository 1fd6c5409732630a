/* ipc_lock: acquire and release, every error of theirs, and storage. */
#include "unit/lock_support.h"

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>

/* ---- what can be had at once ---- */

static void zero_filled_memory_is_a_free_lock(void)
{
    static ipc_lock lock;
    assert_false(ipc_lock_is_held(&lock));
    expect_rc(ipc_lock_acquire(&lock), 0);
    assert_true(ipc_lock_is_held(&lock));
    assert_true(ipc_lock_is_mine(&lock));
    expect_rc(ipc_lock_release(&lock), 0);
    assert_false(ipc_lock_is_held(&lock));
    assert_false(ipc_lock_is_mine(&lock));
    assert_int_equal(futex_half(&lock), 0);
}

static void a_free_lock_is_had_by_all_three_forms(void)
{
    static ipc_lock lock;
    expect_rc(ipc_lock_acquire(&lock), 0);
    expect_rc(ipc_lock_release(&lock), 0);
    expect_rc(ipc_lock_acquire_nowait(&lock), 0);
    expect_rc(ipc_lock_release(&lock), 0);
    expect_rc(ipc_lock_acquire_until(&lock, ipc_after_ms(1000)), 0);
    expect_rc(ipc_lock_release(&lock), 0);
    expect_rc(ipc_lock_acquire_until(&lock, IPC_TIME_FOREVER), 0);
    expect_rc(ipc_lock_release(&lock), 0);
}

static void a_deadline_that_has_passed_tries_once(void)
{
    static ipc_lock lock;
    static const ipc_deadline passed[] = {IPC_TIME_NOW, 1, -1, INT64_MIN};
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++) {
        expect_rc(ipc_lock_acquire_until(&lock, passed[i]), 0);
        expect_rc(ipc_lock_release(&lock), 0);
    }
}

/* ---- held by somebody else ---- */

struct thread_try {
    ipc_lock *lock;
    int (*call)(ipc_lock *lock);
    int rc;
    char detail[256];
};

static void *try_in_thread(void *arg)
{
    struct thread_try *try = arg;
    try->rc = try->call(try->lock);
    (void)strncpy(try->detail, ipc_error_detail(), sizeof try->detail - 1);
    return NULL;
}

/* What another thread gets. */
static int in_thread(ipc_lock *lock, int (*call)(ipc_lock *lock), char *detail)
{
    struct thread_try try = {.lock = lock, .call = call};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, try_in_thread, &try), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (detail != NULL)
        memcpy(detail, try.detail, sizeof try.detail);
    return try.rc;
}

static int wait_30_ms(ipc_lock *lock)
{
    return ipc_lock_acquire_until(lock, ipc_after_ms(30));
}

static int wait_not_at_all(ipc_lock *lock)
{
    return ipc_lock_acquire_until(lock, IPC_TIME_NOW);
}

static void another_thread_does_not_get_it(void)
{
    static ipc_lock lock;
    expect_rc(ipc_lock_acquire(&lock), 0);
    expect_rc(in_thread(&lock, ipc_lock_acquire_nowait, NULL), -EAGAIN);
    expect_rc(in_thread(&lock, wait_not_at_all, NULL), -ETIMEDOUT);
    expect_rc(in_thread(&lock, wait_30_ms, NULL), -ETIMEDOUT);
    assert_true(ipc_lock_is_mine(&lock));
    expect_rc(ipc_lock_release(&lock), 0);
    assert_int_equal(futex_half(&lock), 0);
}

static void another_process_does_not_get_it(void)
{
    ipc_lock *lock = new_lock(NULL);
    expect_rc(ipc_lock_acquire(lock), 0);
    expect_rc(other_process_tries(lock), -EAGAIN);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(other_process_tries(lock), 0);
    expect_rc(ipc_lock_free(lock), 0);
}

static void the_detail_names_pid_and_label(void)
{
    ipc_lock *lock = new_lock("tickets");
    struct stage *stage = stage_new(lock);
    struct role holder;
    char who[64], name[16];
    start_holder(&holder, stage);
    assert_int_equal(prctl(PR_GET_NAME, name), 0); /* a fork keeps it */
    (void)snprintf(who, sizeof who, "pid %d (%s)", (int)holder.pid, name);

    expect_rc(ipc_lock_acquire_nowait(lock), -EAGAIN);
    expect_detail("lock \"tickets\"");
    expect_detail(who);
    expect_rc(ipc_lock_acquire_until(lock, ipc_after_ms(20)), -ETIMEDOUT);
    expect_detail("lock \"tickets\"");
    expect_detail(who);
    (void)role_kill(&holder);
    expect_rc(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    expect_rc(ipc_lock_consistent(lock), 0);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_free(lock), 0);
}

static void every_refusal_has_a_detail(void)
{
    static ipc_lock lock;
    char detail[256];
    char place[40];
    (void)snprintf(place, sizeof place, "lock %p", (void *)&lock);
    expect_rc(ipc_lock_release(&lock), -EPERM);
    expect_detail(place);
    expect_rc(ipc_lock_consistent(&lock), -EPERM);
    expect_detail(place);
    expect_rc(ipc_lock_reset(&lock), -EINVAL);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_rc(ipc_lock_acquire(&lock), 0);
    expect_rc(ipc_lock_acquire(&lock), -EDEADLK);
    expect_detail(place);
    expect_rc(in_thread(&lock, ipc_lock_acquire_nowait, detail), -EAGAIN);
    assert_non_null(strstr(detail, place));
    expect_rc(ipc_lock_release(&lock), 0);
}

static void a_waiter_gets_it_when_it_is_released(void)
{
    ipc_lock *lock = new_lock(NULL);
    struct stage *stage = stage_new(lock);
    struct role waiter;
    expect_rc(ipc_lock_acquire(lock), 0);
    start_waiter(&waiter, take_and_give, stage);
    expect_rc(ipc_lock_release(lock), 0);
    role_wait_ok(&waiter, LIMIT_MS);
    assert_int_equal(stage->rc, 0);
    expect_rc(ipc_lock_free(lock), 0);
}

/* ---- the caller's own ---- */

static void who_holds_it_would_wait_for_itself(void)
{
    static ipc_lock lock;
    expect_rc(ipc_lock_acquire(&lock), 0);
    expect_rc(ipc_lock_acquire(&lock), -EDEADLK);
    expect_rc(ipc_lock_acquire_nowait(&lock), -EDEADLK);
    expect_rc(ipc_lock_acquire_until(&lock, ipc_after_ms(1000)), -EDEADLK);
    expect_rc(ipc_lock_acquire_until(&lock, IPC_TIME_NOW), -EDEADLK);
    assert_true(ipc_lock_is_mine(&lock));
    expect_rc(ipc_lock_release(&lock), 0);
}

static void only_the_owner_releases(void)
{
    static ipc_lock lock;
    expect_rc(ipc_lock_release(&lock), -EPERM);
    expect_rc(ipc_lock_acquire(&lock), 0);
    expect_rc(in_thread(&lock, ipc_lock_release, NULL), -EPERM);
    expect_rc(in_thread(&lock, ipc_lock_consistent, NULL), -EPERM);
    assert_true(ipc_lock_is_mine(&lock));
    expect_rc(ipc_lock_release(&lock), 0);
    expect_rc(ipc_lock_release(&lock), -EPERM);
}

/* ---- the owner died ---- */

static void the_next_one_is_told(void)
{
    ipc_lock *lock = new_lock(NULL);
    die_holding(lock);
    assert_true(ipc_lock_is_held(lock));
    expect_rc(ipc_lock_acquire_nowait(lock), IPC_OWNER_DIED);
    assert_true(ipc_lock_is_mine(lock));
    expect_rc(other_process_tries(lock), -EAGAIN);
    expect_rc(ipc_lock_consistent(lock), 0);
    expect_rc(ipc_lock_consistent(lock), -EINVAL);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(other_process_tries(lock), 0);

    die_holding(lock);
    expect_rc(ipc_lock_acquire_until(lock, IPC_TIME_NOW), IPC_OWNER_DIED);
    expect_rc(ipc_lock_consistent(lock), 0);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_free(lock), 0);
}

static void the_news_outlives_those_who_died_with_it(void)
{
    ipc_lock *lock = new_lock(NULL);
    for (int i = 0; i < 5; i++)
        die_holding(lock);
    expect_rc(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    expect_rc(ipc_lock_consistent(lock), 0);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_acquire(lock), 0);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_free(lock), 0);
}

static void given_up_until_reset(void)
{
    ipc_lock *lock = new_lock("hope");
    die_holding(lock);
    expect_rc(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    expect_rc(ipc_lock_reset(lock), -EINVAL);
    expect_rc(ipc_lock_release(lock), 0);

    expect_rc(ipc_lock_acquire(lock), -ENOTRECOVERABLE);
    expect_detail("hope");
    expect_rc(ipc_lock_acquire_nowait(lock), -ENOTRECOVERABLE);
    expect_rc(ipc_lock_acquire_until(lock, IPC_TIME_NOW), -ENOTRECOVERABLE);
    expect_rc(other_process_tries(lock), -ENOTRECOVERABLE);
    expect_rc(ipc_lock_release(lock), -EPERM);
    expect_rc(ipc_lock_consistent(lock), -EPERM);
    assert_false(ipc_lock_is_held(lock));
    assert_false(ipc_lock_is_mine(lock));

    expect_rc(ipc_lock_reset(lock), 0);
    expect_rc(ipc_lock_reset(lock), -EINVAL);
    expect_rc(other_process_tries(lock), 0);
    expect_rc(ipc_lock_acquire(lock), 0);
    expect_rc(ipc_lock_reset(lock), -EINVAL);
    expect_rc(ipc_lock_consistent(lock), -EINVAL);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_free(lock), 0);
}

static void giving_up_wakes_everybody(void)
{
    enum {
        WAITERS = 3
    };
    ipc_lock *lock = new_lock(NULL);
    struct stage *stages[WAITERS];
    struct role waiters[WAITERS];
    die_holding(lock);
    expect_rc(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    for (int i = 0; i < WAITERS; i++) {
        stages[i] = stage_new(lock);
        start_waiter(&waiters[i], take_and_give, stages[i]);
    }
    expect_rc(ipc_lock_release(lock), 0);
    for (int i = 0; i < WAITERS; i++) {
        role_wait_ok(&waiters[i], LIMIT_MS);
        assert_int_equal(stages[i]->rc, -ENOTRECOVERABLE);
    }
    expect_rc(ipc_lock_free(lock), 0);
}

static void consistent_keeps_those_who_wait(void)
{
    ipc_lock *lock = new_lock(NULL);
    struct stage *stage = stage_new(lock);
    struct role waiter;
    die_holding(lock);
    expect_rc(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    start_waiter(&waiter, take_and_give, stage);
    expect_rc(ipc_lock_consistent(lock), 0);
    assert_true((futex_half(lock) & FUTEX_BIT_WAITERS) != 0);
    expect_rc(ipc_lock_release(lock), 0);
    role_wait_ok(&waiter, LIMIT_MS);
    assert_int_equal(stage->rc, 0);
    expect_rc(ipc_lock_free(lock), 0);
}

/* ---- words that no owner wrote ---- */

static void garbage_is_euclean(void)
{
    static const uint32_t impossible[] = {
        0x3fffffffu, 0x00400001u, 0x00ffffffu, 0x7fffffffu,
        0xbfffffffu, 0xfffffffeu, 0x80500000u, 0x60000000u,
    };
    for (size_t i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
        ipc_lock lock = {.word_ = UINT64_C(0xdeadbeef00000000) | impossible[i]};
        const uint64_t before = lock.word_;
        ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
        expect_rc(ipc_lock_acquire(&lock), -EUCLEAN);
        expect_detail("lock");
        expect_rc(ipc_lock_acquire_nowait(&lock), -EUCLEAN);
        expect_rc(ipc_lock_acquire_until(&lock, ipc_after_ms(10)), -EUCLEAN);
        expect_rc(ipc_lock_owner(&lock, &holder), -EUCLEAN);
        expect_rc(ipc_lock_release(&lock), -EPERM);
        expect_rc(ipc_lock_consistent(&lock), -EPERM);
        expect_rc(ipc_lock_reset(&lock), -EINVAL);
        expect_rc(ipc_lock_fini(&lock), -EBUSY);
        assert_true(lock.word_ == before);
    }
}

/* A word that names nobody alive is a lock whose owner died, whoever wrote
 * it: never one that hangs. */
static void garbage_that_names_the_dead_is_recovered(void)
{
    static const uint64_t names_nobody[] = {
        UINT64_C(0x1234567800000001), /* tid 1 lives, but was born otherwise */
        UINT64_C(0x12345678003fffff), /* no such thread */
        UINT64_C(0x1234567880000000), /* waiters, and no owner */
        UINT64_C(0x12345678c0000000), /* the kernel's mark */
        UINT64_C(0x0000000040000000),
        UINT64_C(0x12345678403fffff), /* took over, died before consistent */
    };
    for (size_t i = 0; i < sizeof names_nobody / sizeof names_nobody[0]; i++) {
        ipc_lock lock = {.word_ = names_nobody[i]};
        expect_rc(ipc_lock_acquire_nowait(&lock), IPC_OWNER_DIED);
        expect_rc(ipc_lock_consistent(&lock), 0);
        expect_rc(ipc_lock_release(&lock), 0);
        expect_rc(ipc_lock_acquire(&lock), 0);
        expect_rc(ipc_lock_release(&lock), 0);
    }
}

/* A free lock is free, whatever is left in the half that names the birth. */
static void the_birth_half_of_a_free_word_means_nothing(void)
{
    ipc_lock lock = {.word_ = UINT64_C(0xdeadbeef00000000)};
    assert_false(ipc_lock_is_held(&lock));
    expect_rc(ipc_lock_release(&lock), -EPERM);
    expect_rc(ipc_lock_acquire_nowait(&lock), 0);
    expect_rc(ipc_lock_release(&lock), 0);
}

/* ---- storage ---- */

static void init_keeps_a_label_of_23_bytes(void)
{
    const ipc_lock_options options = {.size = sizeof options,
                                      .label = "abcdefghijklmnopqrstuvwxyz"};
    ipc_lock lock;
    memset(&lock, 0xff, sizeof lock);
    expect_rc(ipc_lock_init(&lock, &options), 0);
    assert_string_equal(lock.label_, "abcdefghijklmnopqrstuvw");
    expect_rc(ipc_lock_acquire(&lock), 0);
    expect_rc(ipc_lock_acquire(&lock), -EDEADLK);
    expect_detail("\"abcdefghijklmnopqrstuvw\"");
    expect_rc(ipc_lock_release(&lock), 0);
    expect_rc(ipc_lock_init(&lock, NULL), 0);
    assert_string_equal(lock.label_, "");
}

static void fini_zero_fills_what_nobody_holds(void)
{
    static const ipc_lock zero;
    ipc_lock *lock = new_lock("label");
    expect_rc(ipc_lock_acquire(lock), 0);
    expect_rc(ipc_lock_fini(lock), -EBUSY);
    expect_detail("label");
    expect_rc(ipc_lock_free(lock), -EBUSY);
    assert_true(ipc_lock_is_mine(lock));
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_fini(lock), 0);
    assert_memory_equal(lock, &zero, sizeof zero);

    die_holding(lock); /* the news must not be lost */
    expect_rc(ipc_lock_fini(lock), -EBUSY);
    expect_rc(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_fini(lock), 0); /* given up: nobody holds it */
    expect_rc(ipc_lock_free(lock), 0);
    expect_rc(ipc_lock_free(NULL), 0);
}

struct newer_options {
    ipc_lock_options known;
    uint64_t unknown;
};

static void options_are_checked(void)
{
    ipc_lock lock;
    ipc_lock *made = NULL;
    ipc_lock_options options = IPC_LOCK_OPTIONS_INIT;
    expect_rc(ipc_lock_init(&lock, &options), 0);

    options.flags = 2;
    expect_rc(ipc_lock_init(&lock, &options), -EINVAL);
    expect_rc(ipc_lock_new(&options, &made), -EINVAL);
    expect_rc(ipc_lock_create("options", &options, &made), -EINVAL);
    expect_rc(ipc_lock_open_or_create("options", &options, &made), -EINVAL);
    options.flags = 0;
    options.size = 0;
    expect_rc(ipc_lock_init(&lock, &options), -EINVAL);
    options.size = 1u << 30;
    expect_rc(ipc_lock_init(&lock, &options), -EINVAL);
    options.size = 8; /* of a program that knew no labels */
    options.label = (const char *)8;
    expect_rc(ipc_lock_init(&lock, &options), 0);
    assert_string_equal(lock.label_, "");

    struct newer_options newer = {{.size = sizeof newer, .label = "new"}, 0};
    expect_rc(ipc_lock_init(&lock, &newer.known), 0);
    assert_string_equal(lock.label_, "new");
    newer.unknown = 1;
    expect_rc(ipc_lock_init(&lock, &newer.known), -E2BIG);
    expect_rc(ipc_lock_new(&newer.known, &made), -E2BIG);
    expect_rc(ipc_lock_create("options", &newer.known, &made), -E2BIG);
    assert_null(made); /* left alone on failure */
    assert_int_equal(test_shm_names(), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(zero_filled_memory_is_a_free_lock),
    TEST_CASE(a_free_lock_is_had_by_all_three_forms),
    TEST_CASE(a_deadline_that_has_passed_tries_once),
    TEST_CASE(another_thread_does_not_get_it),
    TEST_CASE(another_process_does_not_get_it),
    TEST_CASE(the_detail_names_pid_and_label),
    TEST_CASE(every_refusal_has_a_detail),
    TEST_CASE(a_waiter_gets_it_when_it_is_released),
    TEST_CASE(who_holds_it_would_wait_for_itself),
    TEST_CASE(only_the_owner_releases),
    TEST_CASE(the_next_one_is_told),
    TEST_CASE(the_news_outlives_those_who_died_with_it),
    TEST_CASE(given_up_until_reset),
    TEST_CASE(giving_up_wakes_everybody),
    TEST_CASE(consistent_keeps_those_who_wait),
    TEST_CASE(garbage_is_euclean),
    TEST_CASE(garbage_that_names_the_dead_is_recovered),
    TEST_CASE(the_birth_half_of_a_free_word_means_nothing),
    TEST_CASE(init_keeps_a_label_of_23_bytes),
    TEST_CASE(fini_zero_fills_what_nobody_holds),
    TEST_CASE(options_are_checked),
};
TEST_MAIN(cases)
