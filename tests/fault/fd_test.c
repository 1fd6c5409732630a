/* No descriptors left: every call says so, leaves nothing behind, and works
 * again when there are some. */
#include "fault/everything.h"
#include "harness/faults.h"

#include <sys/wait.h>

#include <ipc/lock.h>
#include <ipc/shared.h>

/* Without descriptors there is no family memory, if it is not there yet. */
static bool no_descriptor(int error)
{
    return error == -EMFILE;
}

static bool no_descriptor_or_memory(int error)
{
    return error == -EMFILE || error == -ENOMEM;
}

struct plan {
    bool with_family; /* from the start */
    int left;
    int errors; /* that there were */
};

static void use_everything_and_look(void *arg)
{
    struct plan *plan = arg;
    struct everything use = {.expected = plan->with_family
                                             ? no_descriptor
                                             : no_descriptor_or_memory};
    assert_int_equal(chdir(test_tmpdir()), 0);
    if (plan->with_family)
        CHECK(ipc_shared_init(), 0);
    const int fds = count_fds();
    const int names = test_shm_names();
    fault_fds_left(plan->left);
    use_everything(&use);
    fault_fds_restore();
    plan->errors = use.errors;
    remove_names_of_everything();
    assert_int_equal(count_fds(), fds);
    assert_int_equal(test_shm_names(), names);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    use_everything_well();
    assert_int_equal(count_fds(), fds);
}

static int expect_errors_until_there_are_enough(bool with_family)
{
    struct plan *plan = test_shared(sizeof *plan);
    int left = 0;
    for (;; left++) {
        struct role role;
        *plan = (struct plan){.with_family = with_family, .left = left};
        role_start(&role, use_everything_and_look, plan);
        role_wait_ok(&role, LIMIT_MS);
        assert_true(left > 0 || plan->errors > 5);
        if (plan->errors == 0)
            return left;
    }
}

static void calls_without_descriptors_say_so(void)
{
    test_report("needed", expect_errors_until_there_are_enough(true));
}

static void family_without_descriptors_is_made_later(void)
{
    test_report("needed", expect_errors_until_there_are_enough(false));
}

/* ---- what the lack of descriptors must not be taken for ---- */

/* Who has none when it first takes a lock cannot ask /proc about itself. */
static int hold_without_descriptors(void *arg)
{
    ipc_lock *lock = arg;
    fault_fds_left(0);
    CHECK(ipc_lock_acquire(lock), 0);
    fault_fds_restore();
    return sleep_for_good(NULL);
}

static void lock_of_one_without_descriptors_is_not_taken_away(void)
{
    ipc_lock *lock;
    ipc_process p;
    CHECK(ipc_lock_new(NULL, &lock), 0);
    start(&p, hold_without_descriptors, lock);
    while (!ipc_lock_is_held(lock))
        poll_pause();
    CHECK(ipc_lock_acquire_until(lock, ipc_after_ms(400)), -ETIMEDOUT);
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    CHECK(ipc_lock_owner(lock, &holder), 0);
    assert_true(holder.alive);
    CHECK(ipc_process_kill(&p), 0);
    assert_int_equal(end_of(&p), -SIGKILL);
    CHECK(ipc_lock_acquire_until(lock, ipc_after_ms(LIMIT_MS)), IPC_OWNER_DIED);
    CHECK(ipc_lock_consistent(lock), 0);
    CHECK(ipc_lock_release(lock), 0);
    CHECK(ipc_lock_free(lock), 0);
}

/* And who has none when it asks about another one takes nothing away. */
static void waiter_without_descriptors_takes_nothing_away(void)
{
    ipc_lock *lock;
    CHECK(ipc_lock_new(NULL, &lock), 0);
    ipc_process p;
    start(&p, hold_without_descriptors, lock);
    while (!ipc_lock_is_held(lock))
        poll_pause();
    fault_fds_left(0);
    CHECK(ipc_lock_acquire_until(lock, ipc_after_ms(300)), -ETIMEDOUT);
    CHECK(ipc_process_kill(&p), 0);
    CHECK(ipc_lock_acquire_until(lock, ipc_after_ms(LIMIT_MS)), IPC_OWNER_DIED);
    fault_fds_restore();
    assert_int_equal(end_of(&p), -SIGKILL);
    CHECK(ipc_lock_release(lock), 0);
    CHECK(ipc_lock_free(lock), 0);
}

static int ask_for_the_parent(void *unused)
{
    (void)unused;
    fault_fds_left(0);
    ipc_process *parent = ipc_parent_process();
    assert_non_null(parent);
    assert_true(ipc_process_is_alive(parent));
    const int rc = ipc_process_join_until(parent, ipc_after_ms(1));
    assert_true(rc == -ETIMEDOUT || rc == -EMFILE);
    assert_true(ipc_process_fd(parent) < 0);
    fault_fds_restore();
    parent = ipc_parent_process();
    assert_true(ipc_process_is_alive(parent));
    CHECK(ipc_process_join_until(parent, ipc_after_ms(1)), -ETIMEDOUT);
    assert_true(ipc_process_fd(parent) > 2);
    return 0;
}

static void parent_lives_also_when_there_is_no_descriptor_of_it(void)
{
    assert_int_equal(run(ask_for_the_parent, NULL), 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(calls_without_descriptors_say_so, 60),
    TEST_CASE_LIMIT(family_without_descriptors_is_made_later, 60),
    TEST_CASE(lock_of_one_without_descriptors_is_not_taken_away),
    TEST_CASE(waiter_without_descriptors_takes_nothing_away),
    TEST_CASE(parent_lives_also_when_there_is_no_descriptor_of_it),
};
TEST_MAIN(cases)
