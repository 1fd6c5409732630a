/* ipc_rlock: levels, and every function and error in its recursive flavour. */
#include "unit/lock_support.h"

#include <errno.h>

static void hold_twice_for_good(void *arg)
{
    struct stage *stage = arg;
    stage->rc = ipc_rlock_acquire(stage->rlock);
    assert_true(stage->rc >= 0);
    expect_rc(ipc_rlock_acquire(stage->rlock), 0);
    meet_signal(&stage->ready);
    for (;;)
        (void)pause();
}

static struct stage *rlock_stage(ipc_rlock *rlock)
{
    struct stage *stage = stage_new(&rlock->lock_);
    stage->rlock = rlock;
    return stage;
}

static void start_holder_of_two(struct role *role, struct stage *stage)
{
    role_start(role, hold_twice_for_good, stage);
    meet_wait(&stage->ready, 1, LIMIT_MS);
}

static void die_holding_twice(ipc_rlock *rlock)
{
    struct role role;
    start_holder_of_two(&role, rlock_stage(rlock));
    (void)role_kill(&role);
}

/* ---- levels ---- */

static void levels_are_counted(void)
{
    static ipc_rlock rlock;
    assert_int_equal(ipc_rlock_depth(&rlock), 0);
    for (uint32_t depth = 1; depth <= 100; depth++) {
        expect_rc(ipc_rlock_acquire(&rlock), 0);
        assert_int_equal(ipc_rlock_depth(&rlock), depth);
    }
    for (uint32_t depth = 100; depth >= 1; depth--) {
        assert_true(ipc_rlock_is_mine(&rlock));
        assert_int_equal(ipc_rlock_depth(&rlock), depth);
        expect_rc(ipc_rlock_release(&rlock), 0);
    }
    assert_int_equal(ipc_rlock_depth(&rlock), 0);
    assert_false(ipc_rlock_is_held(&rlock));
    expect_rc(ipc_rlock_release(&rlock), -EPERM);
}

static void all_forms_go_deeper(void)
{
    static ipc_rlock rlock;
    expect_rc(ipc_rlock_acquire_nowait(&rlock), 0);
    expect_rc(ipc_rlock_acquire_nowait(&rlock), 0);
    expect_rc(ipc_rlock_acquire_until(&rlock, IPC_TIME_NOW), 0);
    expect_rc(ipc_rlock_acquire_until(&rlock, ipc_after_ms(1000)), 0);
    expect_rc(ipc_rlock_acquire(&rlock), 0);
    assert_int_equal(ipc_rlock_depth(&rlock), 5);
    for (int i = 0; i < 5; i++)
        expect_rc(ipc_rlock_release(&rlock), 0);
    assert_false(ipc_rlock_is_held(&rlock));
}

static void deeper_than_the_counter_is_eoverflow(void)
{
    static ipc_rlock rlock;
    expect_rc(ipc_rlock_acquire(&rlock), 0);
    rlock.depth_ = UINT32_MAX;
    expect_rc(ipc_rlock_acquire(&rlock), -EOVERFLOW);
    expect_rc(ipc_rlock_acquire_nowait(&rlock), -EOVERFLOW);
    expect_rc(ipc_rlock_acquire_until(&rlock, IPC_TIME_NOW), -EOVERFLOW);
    assert_true(ipc_error_detail()[0] != '\0');
    assert_int_equal(ipc_rlock_depth(&rlock), UINT32_MAX);
    expect_rc(ipc_rlock_release(&rlock), 0);
    assert_int_equal(ipc_rlock_depth(&rlock), UINT32_MAX - 1);
    expect_rc(ipc_rlock_acquire(&rlock), 0);
    rlock.depth_ = 1;
    expect_rc(ipc_rlock_release(&rlock), 0);
}

/* The set of regions, which a thread's knowledge of addresses depends on,
 * changes between the levels. */
static void levels_outlive_a_change_of_regions(void)
{
    ipc_rlock *rlock = new_rlock(NULL);
    static ipc_rlock in_static;
    for (uint32_t depth = 1; depth <= 5; depth++) {
        ipc_segment *segment = NULL;
        expect_rc(ipc_rlock_acquire(rlock), 0);
        expect_rc(ipc_rlock_acquire(&in_static), 0);
        expect_rc(ipc_segment_create("levels", 4096, NULL, &segment), 0);
        ipc_rlock *in_segment = ipc_segment_data(segment);
        expect_rc(ipc_rlock_acquire(in_segment), 0);
        expect_rc(ipc_rlock_acquire(in_segment), 0);
        expect_rc(ipc_rlock_release(in_segment), 0);
        expect_rc(ipc_rlock_release(in_segment), 0);
        expect_rc(ipc_segment_close(segment), 0);
        expect_rc(ipc_segment_unlink("levels"), 0);
        assert_int_equal(ipc_rlock_depth(rlock), depth);
        assert_int_equal(ipc_rlock_depth(&in_static), depth);
    }
    for (int i = 0; i < 5; i++) {
        expect_rc(ipc_rlock_release(rlock), 0);
        expect_rc(ipc_rlock_release(&in_static), 0);
    }
    assert_false(ipc_rlock_is_held(rlock));
    assert_false(ipc_rlock_is_held(&in_static));
    expect_rc(ipc_rlock_free(rlock), 0);
}

/* ---- others ---- */

static void *another_thread(void *arg)
{
    ipc_rlock *rlock = arg;
    expect_rc(ipc_rlock_acquire_nowait(rlock), -EAGAIN);
    expect_rc(ipc_rlock_acquire_until(rlock, ipc_after_ms(5)), -ETIMEDOUT);
    expect_rc(ipc_rlock_release(rlock), -EPERM);
    expect_rc(ipc_rlock_consistent(rlock), -EPERM);
    expect_rc(ipc_rlock_reset(rlock), -EINVAL);
    assert_int_equal(ipc_rlock_depth(rlock), 0);
    assert_false(ipc_rlock_is_mine(rlock));
    assert_true(ipc_rlock_is_held(rlock));
    return NULL;
}

static void another_process(void *arg)
{
    (void)another_thread(arg);
}

static void others_get_it_after_the_last_level(void)
{
    ipc_rlock *rlock = new_rlock("levels");
    struct stage *stage = rlock_stage(rlock);
    struct role waiter;
    for (int i = 0; i < 3; i++)
        expect_rc(ipc_rlock_acquire(rlock), 0);
    for (uint32_t depth = 3; depth >= 1; depth--) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, another_thread, rlock),
                         0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(role_try(another_process, rlock, LIMIT_MS), 0);
        assert_int_equal(ipc_rlock_depth(rlock), depth);
        if (depth > 1)
            expect_rc(ipc_rlock_release(rlock), 0);
    }
    start_waiter(&waiter, take_and_give, stage);
    expect_rc(ipc_rlock_release(rlock), 0);
    role_wait_ok(&waiter, LIMIT_MS);
    assert_int_equal(stage->rc, 0);
    expect_rc(ipc_rlock_free(rlock), 0);
}

static void the_detail_of_a_refusal_names_the_label(void)
{
    ipc_rlock *rlock = new_rlock("levels");
    struct role role;
    start_holder_of_two(&role, rlock_stage(rlock));
    expect_rc(ipc_rlock_acquire_nowait(rlock), -EAGAIN);
    expect_detail("\"levels\"");
    expect_rc(ipc_rlock_acquire_until(rlock, ipc_after_ms(5)), -ETIMEDOUT);
    expect_detail("\"levels\"");
    expect_rc(ipc_rlock_release(rlock), -EPERM);
    expect_detail("\"levels\"");
    (void)role_kill(&role);
    expect_rc(ipc_rlock_acquire(rlock), IPC_OWNER_DIED);
    expect_rc(ipc_rlock_release(rlock), 0);
    expect_rc(ipc_rlock_free(rlock), 0);
}

static void the_child_owns_no_level(void *arg)
{
    ipc_rlock *rlock = arg;
    assert_int_equal(ipc_rlock_depth(rlock), 0);
    expect_rc(ipc_rlock_release(rlock), -EPERM);
    expect_rc(ipc_rlock_acquire_nowait(rlock), -EAGAIN);
}

static void a_child_owns_no_level(void)
{
    ipc_rlock *rlock = new_rlock(NULL);
    expect_rc(ipc_rlock_acquire(rlock), 0);
    expect_rc(ipc_rlock_acquire(rlock), 0);
    assert_int_equal(role_try(the_child_owns_no_level, rlock, LIMIT_MS), 0);
    assert_int_equal(ipc_rlock_depth(rlock), 2);
    expect_rc(ipc_rlock_release(rlock), 0);
    expect_rc(ipc_rlock_release(rlock), 0);
    expect_rc(ipc_rlock_free(rlock), 0);
}

/* ---- the owner died ---- */

static void all_levels_die_with_the_owner(void)
{
    ipc_rlock *rlock = new_rlock(NULL);
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    die_holding_twice(rlock);
    expect_rc(ipc_rlock_owner(rlock, &holder), 0);
    assert_false(holder.alive);
    assert_true(holder.owner_died);
    expect_rc(ipc_rlock_acquire(rlock), IPC_OWNER_DIED);
    assert_int_equal(ipc_rlock_depth(rlock), 1);
    expect_rc(ipc_rlock_owner(rlock, &holder), 0);
    assert_int_equal(holder.pid, getpid());

    expect_rc(ipc_rlock_acquire(rlock), 0); /* told once, not per level */
    assert_int_equal(ipc_rlock_depth(rlock), 2);
    expect_rc(ipc_rlock_consistent(rlock), 0);
    expect_rc(ipc_rlock_consistent(rlock), -EINVAL);
    expect_rc(ipc_rlock_release(rlock), 0);
    expect_rc(ipc_rlock_release(rlock), 0);
    expect_rc(ipc_rlock_owner(rlock, &holder), -ESRCH);
    expect_rc(ipc_rlock_acquire_nowait(rlock), 0);
    assert_int_equal(ipc_rlock_depth(rlock), 1);
    expect_rc(ipc_rlock_release(rlock), 0);
    expect_rc(ipc_rlock_free(rlock), 0);
}

static void the_last_level_gives_it_up_not_an_inner_one(void)
{
    ipc_rlock *rlock = new_rlock("hope");
    die_holding_twice(rlock);
    expect_rc(ipc_rlock_acquire_nowait(rlock), IPC_OWNER_DIED);
    expect_rc(ipc_rlock_acquire(rlock), 0);
    expect_rc(ipc_rlock_release(rlock), 0);
    assert_int_equal(ipc_rlock_depth(rlock), 1);
    expect_rc(ipc_rlock_release(rlock), 0);

    expect_rc(ipc_rlock_acquire(rlock), -ENOTRECOVERABLE);
    expect_detail("hope");
    expect_rc(ipc_rlock_acquire_nowait(rlock), -ENOTRECOVERABLE);
    expect_rc(ipc_rlock_acquire_until(rlock, IPC_TIME_NOW), -ENOTRECOVERABLE);
    expect_rc(ipc_rlock_release(rlock), -EPERM);
    assert_int_equal(ipc_rlock_depth(rlock), 0);
    expect_rc(ipc_rlock_reset(rlock), 0);
    expect_rc(ipc_rlock_reset(rlock), -EINVAL);
    expect_rc(ipc_rlock_acquire(rlock), 0);
    assert_int_equal(ipc_rlock_depth(rlock), 1);
    expect_rc(ipc_rlock_release(rlock), 0);
    expect_rc(ipc_rlock_free(rlock), 0);
}

struct repair {
    ipc_rlock *rlock;
    int calls;
    int result;
};

static int repair(void *arg)
{
    struct repair *r = arg;
    r->calls++;
    assert_int_equal(ipc_rlock_depth(r->rlock), 1);
    expect_rc(ipc_rlock_acquire(r->rlock), 0); /* a repair may use it too */
    expect_rc(ipc_rlock_release(r->rlock), 0);
    return r->result;
}

static void repair_is_called_once_and_keeps_one_level(void)
{
    struct repair r = {.rlock = new_rlock(NULL)};
    expect_rc(ipc_rlock_acquire_or_repair(r.rlock, IPC_TIME_NOW, repair, &r),
              0);
    expect_rc(ipc_rlock_acquire_or_repair(r.rlock, IPC_TIME_NOW, repair, &r),
              0);
    assert_int_equal(ipc_rlock_depth(r.rlock), 2);
    expect_rc(ipc_rlock_release(r.rlock), 0);
    expect_rc(ipc_rlock_release(r.rlock), 0);
    assert_int_equal(r.calls, 0);

    die_holding_twice(r.rlock);
    expect_rc(
        ipc_rlock_acquire_or_repair(r.rlock, IPC_TIME_FOREVER, repair, &r),
        IPC_OWNER_DIED);
    assert_int_equal(r.calls, 1);
    assert_int_equal(ipc_rlock_depth(r.rlock), 1);
    expect_rc(ipc_rlock_release(r.rlock), 0);

    r.result = -EIO;
    die_holding_twice(r.rlock);
    expect_rc(
        ipc_rlock_acquire_or_repair(r.rlock, IPC_TIME_FOREVER, repair, &r),
        -EIO);
    assert_int_equal(ipc_rlock_depth(r.rlock), 0);
    expect_rc(ipc_rlock_acquire(r.rlock), -ENOTRECOVERABLE);
    expect_rc(ipc_rlock_free(r.rlock), 0);
}

static void repair_waits_by_deadline(void)
{
    struct repair r = {.rlock = new_rlock(NULL)};
    struct role role;
    start_holder_of_two(&role, rlock_stage(r.rlock));
    expect_rc(ipc_rlock_acquire_or_repair(r.rlock, IPC_TIME_NOW, repair, &r),
              -EAGAIN);
    expect_rc(ipc_rlock_acquire_or_repair(r.rlock, ipc_after_ms(5), repair, &r),
              -ETIMEDOUT);
    assert_int_equal(r.calls, 0);
    (void)role_kill(&role);
    expect_rc(ipc_rlock_acquire(r.rlock), IPC_OWNER_DIED);
    expect_rc(ipc_rlock_release(r.rlock), 0);
    expect_rc(ipc_rlock_free(r.rlock), 0);
}

/* ---- storage ---- */

static void storage_of_all_three_kinds(void)
{
    static const ipc_rlock zero;
    const ipc_lock_options options = {.size = sizeof options, .label = "label"};
    ipc_rlock own;
    memset(&own, 0xff, sizeof own);
    expect_rc(ipc_rlock_init(&own, &options), 0);
    assert_string_equal(own.lock_.label_, "label");
    expect_rc(ipc_rlock_acquire(&own), 0);
    expect_rc(ipc_rlock_fini(&own), -EBUSY);
    expect_rc(ipc_rlock_release(&own), 0);
    expect_rc(ipc_rlock_fini(&own), 0);
    assert_memory_equal(&own, &zero, sizeof zero);

    ipc_rlock *family = new_rlock(NULL);
    expect_rc(ipc_rlock_acquire(family), 0);
    expect_rc(ipc_rlock_free(family), -EBUSY);
    expect_rc(ipc_rlock_close(family), -EINVAL);
    expect_rc(ipc_rlock_release(family), 0);
    expect_rc(ipc_rlock_free(family), 0);
    expect_rc(ipc_rlock_free(NULL), 0);
    expect_rc(ipc_rlock_close(NULL), 0);
}

static void bad_options_are_refused(void)
{
    struct {
        ipc_lock_options known;
        uint64_t unknown;
    } newer = {{.size = sizeof newer}, 1};
    ipc_lock_options flags = {.size = sizeof flags, .flags = 2};
    ipc_rlock own;
    ipc_rlock *made = NULL;
    expect_rc(ipc_rlock_init(&own, &newer.known), -E2BIG);
    expect_rc(ipc_rlock_new(&newer.known, &made), -E2BIG);
    expect_rc(ipc_rlock_create("options", &newer.known, &made), -E2BIG);
    expect_rc(ipc_rlock_init(&own, &flags), -EINVAL);
    expect_rc(ipc_rlock_new(&flags, &made), -EINVAL);
    expect_rc(ipc_rlock_create("options", &flags, &made), -EINVAL);
    expect_rc(ipc_rlock_open_or_create("options", &flags, &made), -EINVAL);
    assert_null(made);
    assert_int_equal(test_shm_names(), 0);
}

static void named_rlocks(void)
{
    const ipc_lock_options options = {.size = sizeof options,
                                      .label = "levels"};
    ipc_rlock *rlock = NULL;
    ipc_rlock *again = NULL;
    ipc_lock *lock = NULL;
    expect_rc(ipc_rlock_open("named", &rlock), -ENOENT);
    expect_rc(ipc_rlock_open_or_create("named", &options, &rlock), 0);
    expect_rc(ipc_rlock_create("named", NULL, &again), -EEXIST);
    expect_rc(ipc_rlock_open("named", &again), 0);
    assert_string_equal(again->lock_.label_, "levels");
    expect_rc(ipc_rlock_acquire(rlock), 0);
    expect_rc(ipc_rlock_acquire(again), 0); /* the same: one level deeper */
    assert_int_equal(ipc_rlock_depth(rlock), 2);
    expect_rc(ipc_rlock_close(again), -EBUSY);
    expect_rc(ipc_rlock_release(again), 0);
    expect_rc(ipc_rlock_release(rlock), 0);
    expect_rc(ipc_rlock_close(again), 0);

    expect_rc(ipc_rlock_unlink("named"), 0);
    expect_rc(ipc_rlock_unlink("named"), -ENOENT);
    expect_rc(ipc_rlock_close(rlock), 0);
    expect_rc(ipc_lock_create("named", NULL, &lock), 0);
    expect_rc(ipc_rlock_open("named", &rlock), -EINVAL);
    expect_rc(ipc_rlock_unlink("named"), -EINVAL);
    expect_rc(ipc_lock_close(lock), 0);
    expect_rc(ipc_lock_unlink("named"), 0);
}

/* ---- the rest ---- */

static void garbage_is_euclean(void)
{
    ipc_rlock rlock = {.lock_ = {.word_ = UINT64_C(0xdeadbeef3fffffff)},
                       .depth_ = 77};
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    expect_rc(ipc_rlock_acquire(&rlock), -EUCLEAN);
    expect_rc(ipc_rlock_acquire_nowait(&rlock), -EUCLEAN);
    expect_rc(ipc_rlock_release(&rlock), -EPERM);
    expect_rc(ipc_rlock_owner(&rlock, &holder), -EUCLEAN);
    assert_int_equal(ipc_rlock_depth(&rlock), 0);

    rlock.lock_.word_ = 0; /* free: whatever the depth says */
    expect_rc(ipc_rlock_release(&rlock), -EPERM);
    assert_int_equal(ipc_rlock_depth(&rlock), 0);
    expect_rc(ipc_rlock_acquire(&rlock), 0);
    assert_int_equal(ipc_rlock_depth(&rlock), 1);
    expect_rc(ipc_rlock_release(&rlock), 0);
}

static int nested_scopes(ipc_rlock *rlock)
{
    int rc = -1;
    IPC_WITH_RLOCK(rlock, rc) {
        assert_int_equal(rc, 0);
        if (ipc_rlock_depth(rlock) == 3)
            return 3;
        return nested_scopes(rlock);
    }
    return rc;
}

static void scopes_nest_and_release_however_they_are_left(void)
{
    static ipc_rlock rlock;
    int rc = -1;
    assert_int_equal(nested_scopes(&rlock), 3);
    assert_false(ipc_rlock_is_held(&rlock));
    IPC_WITH_RLOCK(&rlock, rc) {
        break;
    }
    assert_int_equal(rc, 0);
    assert_false(ipc_rlock_is_held(&rlock));
    rlock.lock_.word_ = 0x3fffffffu;
    IPC_WITH_RLOCK(&rlock, rc)
        test_fail("entered without the rlock");
    assert_int_equal(rc, -EUCLEAN);
}

static const struct test_case cases[] = {
    TEST_CASE(levels_are_counted),
    TEST_CASE(all_forms_go_deeper),
    TEST_CASE(deeper_than_the_counter_is_eoverflow),
    TEST_CASE(levels_outlive_a_change_of_regions),
    TEST_CASE(others_get_it_after_the_last_level),
    TEST_CASE(the_detail_of_a_refusal_names_the_label),
    TEST_CASE(a_child_owns_no_level),
    TEST_CASE(all_levels_die_with_the_owner),
    TEST_CASE(the_last_level_gives_it_up_not_an_inner_one),
    TEST_CASE(repair_is_called_once_and_keeps_one_level),
    TEST_CASE(repair_waits_by_deadline),
    TEST_CASE(storage_of_all_three_kinds),
    TEST_CASE(bad_options_are_refused),
    TEST_CASE(named_rlocks),
    TEST_CASE(garbage_is_euclean),
    TEST_CASE(scopes_nest_and_release_however_they_are_left),
};
TEST_MAIN(cases)
