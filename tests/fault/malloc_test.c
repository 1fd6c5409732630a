/* The nth allocation fails, for every n, in a quick run for some, in calls of
 * the whole interface: they say so, leave nothing behind, and work the next
 * time. */
#include "fault/everything.h"
#include "harness/faults.h"
#include "harness/sweep.h"

#include <pthread.h>
#include <sys/wait.h>

#include <ipc/shared.h>

enum {
    EVERY = 2 /* for a quick run */
};

static bool no_memory(int error)
{
    return error == -ENOMEM;
}

/* ---- in a fresh process for each n ---- */

struct plan {
    enum everything_part part;
    long nth;
    bool onward;
    long count; /* of allocations that were made */
};

static void no_faults_in_children(void)
{
    (void)fault_malloc_end();
}

static void use_everything_and_look(void *arg)
{
    struct plan *plan = arg;
    struct everything use = {.expected = no_memory, .part = plan->part};
    assert_int_equal(chdir(test_tmpdir()), 0);
    assert_int_equal(pthread_atfork(NULL, NULL, no_faults_in_children), 0);
    const int fds = count_fds();
    const int names = test_shm_names();

    fault_malloc_nth(plan->nth, plan->onward);
    use_everything(&use);
    plan->count = fault_malloc_end();
    assert_int_equal(count_fds(), fds);
    assert_int_equal(test_shm_names(), names);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);

    ipc_shared_info before = IPC_SHARED_INFO_INIT;
    ipc_shared_info after = IPC_SHARED_INFO_INIT;
    CHECK(ipc_shared_query(&before), 0);
    assert_int_equal(before.count, 0);
    struct everything again = {.part = plan->part};
    use_everything(&again);
    CHECK(ipc_shared_query(&after), 0);
    assert_int_equal(after.count, 0);
    assert_int_equal(count_fds(), fds);
}

static void expect_errors_only(enum everything_part part, bool onward)
{
    struct plan *plan = test_shared(sizeof *plan);
    plan->part = part;
    plan->onward = onward;
    const long stride = sweep_stride(EVERY);
    long step = sweep_first(stride);
    for (plan->nth = 1;; plan->nth += step, step = stride) {
        struct role role;
        role_start(&role, use_everything_and_look, plan);
        role_wait_ok(&role, LIMIT_MS);
        if (plan->count < plan->nth)
            break;
    }
    test_report("n", plan->nth - 1);
    assert_true(plan->nth > 8);
}

static void one_allocation_fails(void)
{
    expect_errors_only(ONLY_OBJECTS, false);
}

static void one_allocation_for_messages_fails(void)
{
    expect_errors_only(ONLY_MESSAGES, false);
}

static void no_allocation_works_any_more(void)
{
    expect_errors_only(ONLY_OBJECTS, true);
}

static void no_allocation_for_messages_works_any_more(void)
{
    expect_errors_only(ONLY_MESSAGES, true);
}

/* ---- allocations of the child ---- */

static struct plan *of_the_child;

static void fail_in_the_child(void)
{
    fault_malloc_nth(of_the_child->nth, of_the_child->onward);
}

static int count_allocations(void *unused)
{
    (void)unused;
    of_the_child->count = fault_malloc_end();
    return 4;
}

static void nothing(void)
{
}

/* libc allocates room for exit handlers now and then: a child that finds none
 * ends with code 1 instead of running. */
static void allocation_of_the_child_fails(void)
{
    long failed = 0;
    if (SANITIZED)
        test_skip("a sanitizer owns malloc()");
    of_the_child = test_shared(sizeof *of_the_child);
    of_the_child->nth = 1;
    of_the_child->onward = true;
    assert_int_equal(run(return_zero, NULL), 0);
    assert_int_equal(pthread_atfork(NULL, NULL, fail_in_the_child), 0);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(atexit(nothing), 0);
        of_the_child->count = -1;
        const int code = run(count_allocations, NULL);
        assert_int_equal(code, of_the_child->count >= 0 ? 4 : 1);
        failed += code == 1;
    }
    test_report("failed", failed);
    assert_in_range(failed, 1, 2);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(one_allocation_fails, 120),
    TEST_CASE_LIMIT(one_allocation_for_messages_fails, 120),
    TEST_CASE_LIMIT(no_allocation_works_any_more, 120),
    TEST_CASE_LIMIT(no_allocation_for_messages_works_any_more, 120),
    TEST_CASE(allocation_of_the_child_fails),
};
TEST_MAIN(cases)
