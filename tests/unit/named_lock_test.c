/* Named locks: where they are kept, for how long, and what other kinds of
 * named memory say to them. */
#include "unit/segment_support.h"

#include <stdlib.h>

#include <ipc/lock.h>
#include <ipc/rlock.h>

struct stage {
    char name[80];
    uint32_t ready;
    uint32_t go;
    uint32_t inside;
    uint32_t count;
};

static struct stage *new_stage(void)
{
    struct stage *stage = test_shared(sizeof *stage);
    (void)snprintf(stage->name, sizeof stage->name, "%s", shm_name("lock"));
    return stage;
}

static ipc_lock *open_lock(const char *name)
{
    ipc_lock *lock = NULL;
    const int rc = ipc_lock_open(name, &lock);
    if (rc != 0)
        test_fail("open %s: %d: %s", name, rc, ipc_error_detail());
    return lock;
}

static ipc_lock *make_lock(const char *name)
{
    ipc_lock *lock = NULL;
    const int rc = ipc_lock_create(name, NULL, &lock);
    if (rc != 0)
        test_fail("create %s: %d: %s", name, rc, ipc_error_detail());
    return lock;
}

static void close_lock(ipc_lock *lock)
{
    const int rc = ipc_lock_close(lock);
    if (rc != 0)
        test_fail("close: %d: %s", rc, ipc_error_detail());
}

static void run(void (*part)(void *arg), struct stage *stage)
{
    struct role role;
    role_start(&role, part, stage);
    role_wait_ok(&role, LIMIT_MS);
}

static void run_to_death(void (*part)(void *arg), struct stage *stage)
{
    struct role role;
    role_start(&role, part, stage);
    assert_int_equal(role_wait_dead(&role, LIMIT_MS), SIGKILL);
}

/* ---- storage ---- */

static void all_who_open_the_name_get_one_lock(void)
{
    const char *name = shm_name("lock");
    ipc_lock *none = NULL;
    expect_failure(ipc_lock_open(name, &none), -ENOENT, "open");
    expect_failure(ipc_lock_unlink(name), -ENOENT, "unlink");
    ipc_lock *one = make_lock(name);
    expect_failure(ipc_lock_create(name, NULL, &none), -EEXIST, "create");
    ipc_lock *two = open_lock(name);
    ipc_lock *three = NULL;
    assert_int_equal(ipc_lock_open_or_create(name, NULL, &three), 0);
    assert_int_equal(ipc_lock_acquire(one), 0);
    assert_true(ipc_lock_is_mine(two));
    assert_int_equal(ipc_lock_acquire(two), -EDEADLK);
    assert_int_equal(ipc_lock_release(three), 0);
    assert_false(ipc_lock_is_held(one));
    close_lock(one);
    assert_int_equal(ipc_lock_acquire(two), 0);
    assert_int_equal(ipc_lock_release(two), 0);
    close_lock(two);
    close_lock(three);
    assert_true(shm_exists(name));
    assert_int_equal(ipc_lock_unlink(name), 0);
    assert_int_equal(ipc_lock_close(NULL), 0);
}

static void add_a_few(void *arg)
{
    struct stage *stage = arg;
    ipc_lock *lock = NULL;
    assert_int_equal(ipc_lock_open_or_create(stage->name, NULL, &lock), 0);
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(ipc_lock_acquire(lock), 0);
        assert_int_equal(stage->inside++, 0);
        stage->count++;
        stage->inside--;
        assert_int_equal(ipc_lock_release(lock), 0);
    }
    close_lock(lock);
}

static void unrelated_processes_exclude_each_other(void)
{
    struct stage *stage = new_stage();
    struct role roles[4];
    for (size_t i = 0; i < 4; i++)
        role_start(&roles[i], add_a_few, stage);
    for (size_t i = 0; i < 4; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
    assert_int_equal(stage->count, 8000);
    assert_int_equal(ipc_lock_unlink(stage->name), 0);
}

static void label_is_the_creators(void)
{
    const char *name = shm_name("lock");
    const ipc_lock_options first = {.size = sizeof first, .label = "first"};
    const ipc_lock_options second = {.size = sizeof second, .label = "second"};
    ipc_lock *one = NULL;
    ipc_lock *two = NULL;
    assert_int_equal(ipc_lock_open_or_create(name, &first, &one), 0);
    assert_int_equal(ipc_lock_open_or_create(name, &second, &two), 0);
    assert_int_equal(ipc_lock_acquire(one), 0);
    assert_int_equal(ipc_lock_acquire_nowait(two), -EDEADLK);
    assert_non_null(strstr(ipc_error_detail(), "\"first\""));
    assert_int_equal(ipc_lock_release(one), 0);
    close_lock(one);
    close_lock(two);
    assert_int_equal(ipc_lock_unlink(name), 0);
}

static void options_are_checked(void)
{
    const char *name = shm_name("lock");
    const ipc_lock_options options = {.size = sizeof options, .flags = 2};
    ipc_lock *lock = NULL;
    ipc_rlock *rlock = NULL;
    expect_failure(ipc_lock_create(name, &options, &lock), -EINVAL, "create");
    expect_failure(ipc_lock_open_or_create(name, &options, &lock), -EINVAL,
                   "open_or_create");
    expect_failure(ipc_rlock_create(name, &options, &rlock), -EINVAL, "create");
    expect_failure(ipc_lock_create("", NULL, &lock), -EINVAL, "no name");
    assert_false(shm_exists(name));
}

static void close_refuses_who_holds_it_and_what_has_no_name(void)
{
    const char *name = shm_name("lock");
    ipc_lock *lock = make_lock(name);
    ipc_lock plain;
    ipc_rlock *rlock = (ipc_rlock *)(void *)lock;
    assert_int_equal(ipc_lock_init(&plain, NULL), 0);
    expect_failure(ipc_lock_close(&plain), -EINVAL, "no name");
    expect_failure(ipc_rlock_close(rlock), -EINVAL, "no rlock");
    assert_int_equal(ipc_lock_acquire(lock), 0);
    expect_failure(ipc_lock_close(lock), -EBUSY, "held");
    assert_int_equal(ipc_lock_release(lock), 0);
    close_lock(lock);
    expect_failure(ipc_lock_close(lock), -EINVAL, "closed");

    ipc_segment *segment = make_segment(shm_name("seg"), 100);
    expect_failure(ipc_lock_close(ipc_segment_data(segment)), -EINVAL,
                   "in a segment");
    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment(shm_name("seg"));
    assert_int_equal(ipc_lock_unlink(name), 0);
}

static void unlinked_locks_live_on(void)
{
    const char *name = shm_name("lock");
    ipc_lock *old = make_lock(name);
    assert_int_equal(ipc_lock_unlink(name), 0);
    ipc_lock *new = make_lock(name);
    assert_int_equal(ipc_lock_acquire(old), 0);
    assert_int_equal(ipc_lock_acquire(new), 0);
    assert_int_equal(ipc_lock_release(old), 0);
    assert_int_equal(ipc_lock_release(new), 0);
    close_lock(old);
    close_lock(new);
    assert_int_equal(ipc_lock_unlink(name), 0);
}

/* ---- kinds ---- */

static int open_as(int kind, const char *name)
{
    ipc_segment *segment = NULL;
    ipc_lock *lock = NULL;
    ipc_rlock *rlock = NULL;
    return kind == 0   ? ipc_segment_open(name, &segment)
           : kind == 1 ? ipc_lock_open(name, &lock)
                       : ipc_rlock_open(name, &rlock);
}

static int open_or_create_as(int kind, const char *name)
{
    ipc_segment *segment = NULL;
    ipc_lock *lock = NULL;
    ipc_rlock *rlock = NULL;
    return kind == 0   ? ipc_segment_open_or_create(name, 1, NULL, &segment)
           : kind == 1 ? ipc_lock_open_or_create(name, NULL, &lock)
                       : ipc_rlock_open_or_create(name, NULL, &rlock);
}

static int create_as(int kind, const char *name)
{
    ipc_segment *segment = NULL;
    ipc_lock *lock = NULL;
    ipc_rlock *rlock = NULL;
    return kind == 0   ? ipc_segment_create(name, 1, NULL, &segment)
           : kind == 1 ? ipc_lock_create(name, NULL, &lock)
                       : ipc_rlock_create(name, NULL, &rlock);
}

static int unlink_as(int kind, const char *name)
{
    return kind == 0   ? ipc_segment_unlink(name)
           : kind == 1 ? ipc_lock_unlink(name)
                       : ipc_rlock_unlink(name);
}

static void close_and_reopen(int kind, const char *name)
{
    ipc_segment *segment = NULL;
    ipc_lock *lock = NULL;
    ipc_rlock *rlock = NULL;
    if (kind == 0 && ipc_segment_create(name, 200, NULL, &segment) == 0 &&
        ipc_segment_close(segment) == 0)
        return;
    if (kind == 1 && ipc_lock_create(name, NULL, &lock) == 0 &&
        ipc_lock_close(lock) == 0)
        return;
    if (kind == 2 && ipc_rlock_create(name, NULL, &rlock) == 0 &&
        ipc_rlock_close(rlock) == 0)
        return;
    test_fail("kind %d: %s", kind, ipc_error_detail());
}

static void kinds_are_told_apart(void)
{
    const char *name = shm_name("x");
    for (int made = 0; made < 3; made++) {
        close_and_reopen(made, name);
        for (int used = 0; used < 3; used++) {
            expect_failure(create_as(used, name), -EEXIST, "create");
            if (used == made)
                continue;
            expect_failure(open_as(used, name), -EINVAL, "open");
            expect_failure(open_or_create_as(used, name), -EINVAL,
                           "open_or_create");
            expect_failure(unlink_as(used, name), -EINVAL, "unlink");
            assert_true(shm_exists(name));
        }
        assert_int_equal(unlink_as(made, name), 0);
    }
}

/* ---- death ---- */

static void die_holding(void *arg)
{
    struct stage *stage = arg;
    ipc_lock *lock = make_lock(stage->name);
    assert_int_equal(ipc_lock_acquire(lock), 0);
    (void)raise(SIGKILL);
}

static void die_not_holding(void *arg)
{
    struct stage *stage = arg;
    ipc_lock *lock = make_lock(stage->name);
    assert_int_equal(ipc_lock_acquire(lock), 0);
    assert_int_equal(ipc_lock_release(lock), 0);
    (void)raise(SIGKILL);
}

static void be_told_and_repair(void *arg)
{
    struct stage *stage = arg;
    ipc_lock *lock = open_lock(stage->name);
    assert_int_equal(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    assert_int_equal(ipc_lock_consistent(lock), 0);
    assert_int_equal(ipc_lock_release(lock), 0);
    close_lock(lock);
}

static void be_told_and_die(void *arg)
{
    struct stage *stage = arg;
    ipc_lock *lock = open_lock(stage->name);
    assert_int_equal(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    (void)raise(SIGKILL);
}

static void be_told_and_give_up(void *arg)
{
    struct stage *stage = arg;
    ipc_lock *lock = open_lock(stage->name);
    assert_int_equal(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    assert_int_equal(ipc_lock_release(lock), 0);
    (void)raise(SIGKILL);
}

static void lock_of_dead_users_is_kept_until_somebody_is_told(void)
{
    struct stage *stage = new_stage();
    run_to_death(die_holding, stage);
    run_gc(0);
    assert_true(shm_exists(stage->name));
    ipc_lock *lock = NULL;
    expect_failure(ipc_lock_create(stage->name, NULL, &lock), -EEXIST,
                   "create");
    run_to_death(be_told_and_die, stage); /* nobody has repaired anything */
    run_gc(0);
    run(be_told_and_repair, stage);

    lock = open_lock(stage->name);
    assert_int_equal(ipc_lock_acquire(lock), 0);
    assert_int_equal(ipc_lock_release(lock), 0);
    close_lock(lock);
    assert_int_equal(ipc_lock_unlink(stage->name), 0);
}

static void lock_that_was_given_up_is_kept(void)
{
    struct stage *stage = new_stage();
    run_to_death(die_holding, stage);
    run_to_death(be_told_and_give_up, stage);
    run_gc(0);
    ipc_lock *lock = open_lock(stage->name);
    assert_int_equal(ipc_lock_acquire(lock), -ENOTRECOVERABLE);
    assert_int_equal(ipc_lock_reset(lock), 0);
    assert_int_equal(ipc_lock_acquire(lock), 0);
    assert_int_equal(ipc_lock_release(lock), 0);
    close_lock(lock);
    assert_int_equal(ipc_lock_unlink(stage->name), 0);
}

static void free_lock_of_dead_users_has_no_news(void)
{
    struct stage *stage = new_stage();
    run_to_death(die_not_holding, stage);
    run_gc(1);
    assert_false(shm_exists(stage->name));
    run_to_death(die_not_holding, stage);
    close_lock(make_lock(stage->name)); /* a new one */
    ipc_lock *lock = open_lock(stage->name);
    assert_int_equal(ipc_lock_acquire(lock), 0);
    assert_int_equal(ipc_lock_release(lock), 0);
    close_lock(lock);
    assert_int_equal(ipc_lock_unlink(stage->name), 0);
}

static void hold_deep_and_die(void *arg)
{
    struct stage *stage = arg;
    ipc_rlock *rlock = NULL;
    assert_int_equal(ipc_rlock_create(stage->name, NULL, &rlock), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ipc_rlock_acquire(rlock), 0);
    (void)raise(SIGKILL);
}

static void rlock_of_dead_users_is_kept_without_its_levels(void)
{
    struct stage *stage = new_stage();
    run_to_death(hold_deep_and_die, stage);
    run_gc(0);
    ipc_rlock *rlock = NULL;
    assert_int_equal(ipc_rlock_open_or_create(stage->name, NULL, &rlock), 0);
    assert_int_equal(ipc_rlock_acquire(rlock), IPC_OWNER_DIED);
    assert_int_equal(ipc_rlock_depth(rlock), 1);
    expect_failure(ipc_rlock_close(rlock), -EBUSY, "held");
    assert_int_equal(ipc_rlock_consistent(rlock), 0);
    assert_int_equal(ipc_rlock_release(rlock), 0);
    assert_int_equal(ipc_rlock_close(rlock), 0);
    assert_int_equal(ipc_rlock_unlink(stage->name), 0);
}

static void hold_and_wait(void *arg)
{
    struct stage *stage = arg;
    ipc_lock *lock = open_lock(stage->name);
    assert_int_equal(ipc_lock_acquire(lock), 0);
    meet_signal(&stage->ready);
    meet_wait(&stage->go, 1, LIMIT_MS);
}

/* One user of several dies while it holds the lock. */
static void other_users_are_told_at_once(void)
{
    struct stage *stage = new_stage();
    struct role role;
    ipc_lock *lock = make_lock(stage->name);
    role_start(&role, hold_and_wait, stage);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    assert_int_equal(ipc_lock_acquire_nowait(lock), -EAGAIN);
    (void)role_kill(&role);
    assert_int_equal(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    assert_int_equal(ipc_lock_consistent(lock), 0);
    assert_int_equal(ipc_lock_release(lock), 0);
    close_lock(lock);
    assert_int_equal(ipc_lock_unlink(stage->name), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(all_who_open_the_name_get_one_lock),
    TEST_CASE(unrelated_processes_exclude_each_other),
    TEST_CASE(label_is_the_creators),
    TEST_CASE(options_are_checked),
    TEST_CASE(close_refuses_who_holds_it_and_what_has_no_name),
    TEST_CASE(unlinked_locks_live_on),
    TEST_CASE(kinds_are_told_apart),
    TEST_CASE(lock_of_dead_users_is_kept_until_somebody_is_told),
    TEST_CASE(lock_that_was_given_up_is_kept),
    TEST_CASE(free_lock_of_dead_users_has_no_news),
    TEST_CASE(rlock_of_dead_users_is_kept_without_its_levels),
    TEST_CASE(other_users_are_told_at_once),
};
TEST_MAIN(cases)
