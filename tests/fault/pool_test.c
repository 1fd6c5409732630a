/* Pools, futures and fresh images when the system says no: no memory, no
 * descriptors, system calls that fail.  Calls say so, or it is tried again;
 * nothing is left behind, nobody hangs, and the next time it works. */
#include "fault/everything.h"
#include "fault/watched.h"
#include "harness/faults.h"
#include "harness/sweep.h"

#include <limits.h>
#include <pthread.h>
#include <sys/wait.h>

#include <ipc/pool.h>
#include <ipc/shared.h>

#include "pool/maker.h"

#ifndef SYS_clone3
#    define SYS_clone3 435
#endif

/* ---- before and after ---- */

struct before {
    int fds;
    int names;
};

static struct before look_before(void)
{
    assert_int_equal(chdir(test_tmpdir()), 0);
    return (struct before){count_fds(), test_shm_names()};
}

/* A future is freed when its callbacks have returned. */
static bool becomes_empty(void)
{
    const int64_t end = test_now_ns() + (int64_t)LIMIT_MS * 1000000;
    ipc_shared_info info = IPC_SHARED_INFO_INIT;
    do {
        CHECK(ipc_shared_query(&info), 0);
        if (info.count == 0)
            return true;
        poll_pause();
    } while (test_now_ns() < end);
    return false;
}

static void look_after(const struct before *before)
{
    assert_int_equal(count_fds(), before->fds);
    assert_int_equal(test_shm_names(), before->names);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_true(becomes_empty());
}

static void use_well(enum everything_part part, const struct before *before)
{
    struct everything well = {.part = part};
    use_everything(&well);
    look_after(before);
}

/* ---- no memory ---- */

/* Where libc has no memory for a thread it says that there is none. */
static bool no_memory(int error)
{
    return error == -ENOMEM || error == -EAGAIN;
}

struct plan {
    enum everything_part part;
    long nth;
    bool onward;
    long count; /* of allocations; of errors */
};

static void no_faults_in_children(void)
{
    (void)fault_malloc_end();
}

static void use_without_memory(void *arg)
{
    struct plan *plan = arg;
    struct everything use = {.expected = no_memory, .part = plan->part};
    const struct before before = look_before();
    assert_int_equal(pthread_atfork(NULL, NULL, no_faults_in_children), 0);
    fault_malloc_nth(plan->nth, plan->onward);
    use_everything(&use);
    plan->count = fault_malloc_end();
    look_after(&before);
    use_well(plan->part, &before);
}

/* For every n; in a quick run for some of them. */
static void expect_errors_only(enum everything_part part, bool onward,
                               long quick)
{
    struct plan *plan = test_shared(sizeof *plan);
    plan->part = part;
    plan->onward = onward;
    const long stride = sweep_stride(quick);
    long step = sweep_first(stride);
    for (plan->nth = 1;; plan->nth += step, step = stride) {
        struct role role;
        role_start(&role, use_without_memory, plan);
        role_wait_ok(&role, LIMIT_MS);
        if (plan->count < plan->nth)
            break;
    }
    test_report("n", plan->nth);
    assert_true(plan->nth > 20);
}

static void one_allocation_for_pools_fails(void)
{
    expect_errors_only(ONLY_POOLS, false, 4);
}

static void one_allocation_for_starts_fails(void)
{
    expect_errors_only(ONLY_STARTS, false, 3);
}

static void no_allocation_for_pools_works_any_more(void)
{
    expect_errors_only(ONLY_POOLS, true, 12);
}

static void no_allocation_for_starts_works_any_more(void)
{
    expect_errors_only(ONLY_STARTS, true, 9);
}

/* ---- no descriptors ---- */

static bool no_descriptor(int error)
{
    return error == -EMFILE || error == -ENOMEM;
}

static void use_without_descriptors(void *arg)
{
    struct plan *plan = arg;
    struct everything use = {.expected = no_descriptor, .part = plan->part};
    const struct before before = look_before();
    if (plan->part == ONLY_STARTS) /* it is what fresh images are given */
        CHECK(ipc_shared_init(), 0);
    fault_fds_left((int)plan->nth);
    use_everything(&use);
    fault_fds_restore();
    plan->count = use.errors;
    look_after(&before);
    use_well(plan->part, &before);
}

static void expect_errors_until_there_are_enough(enum everything_part part)
{
    struct plan *plan = test_shared(sizeof *plan);
    plan->part = part;
    plan->nth = -1;
    do {
        struct role role;
        plan->nth++;
        role_start(&role, use_without_descriptors, plan);
        role_wait_ok(&role, LIMIT_MS);
    } while (plan->count != 0);
    test_report("needed", plan->nth);
}

static void pools_without_descriptors_say_so(void)
{
    expect_errors_until_there_are_enough(ONLY_POOLS);
}

static void starts_without_descriptors_say_so(void)
{
    expect_errors_until_there_are_enough(ONLY_STARTS);
}

/* ---- system calls ---- */

enum {
    HARMLESS = 1, /* nobody notices */
    EACH = 2,     /* each of them counts, also in a quick run */
    ALWAYS = 4    /* once it costs a start block, as the template looks dead */
};

struct failing {
    const char *name;
    int number;
    int error;
    int also[2]; /* how else the error may be reported */
    unsigned how;
};

static const struct failing table[] = {
    {"memfd_create", SYS_memfd_create, ENFILE, {ENOMEM, 0}, 0},
    {"openat", SYS_openat, ENFILE, {0, 0}, 0},
    {"mmap", SYS_mmap, ENOMEM, {EAGAIN, 0}, 0},
    {"mprotect", SYS_mprotect, ENOMEM, {EAGAIN, 0}, 0},
    {"madvise", SYS_madvise, ENOMEM, {ENOSYS, 0}, 0},
    {"fallocate", SYS_fallocate, ENOSPC, {ENOMEM, 0}, 0},
    {"ftruncate", SYS_ftruncate, EFBIG, {ENOMEM, 0}, 0},
    {"pidfd_open", SYS_pidfd_open, EMFILE, {0, 0}, EACH},
    {"fork", SYS_clone, ENOMEM, {0, 0}, EACH},
    {"fork limit", SYS_clone, EAGAIN, {0, 0}, EACH},
    {"clone3", SYS_clone3, EAGAIN, {ENOMEM, 0}, EACH},
    {"prctl", SYS_prctl, EPERM, {0, 0}, HARMLESS},
};

/* Only fresh images and the template make these. */
static const struct failing table_of_starts[] = {
    {"socketpair", SYS_socketpair, ENFILE, {0, 0}, 0},
    {"sendmsg", SYS_sendmsg, ENOBUFS, {ENOMEM, 0}, 0},
    {"recvmsg", SYS_recvmsg, ENOMEM, {0, 0}, ALWAYS},
    {"execve", SYS_execve, EACCES, {0, 0}, 0},
    {"dup3", SYS_dup3, EBUSY, {0, 0}, 0},
};

enum {
    COUNT = sizeof table / sizeof table[0],
    COUNT_OF_STARTS = sizeof table_of_starts / sizeof table_of_starts[0]
};

static const struct failing *failing;

/* A sanitizer does not live without it. */
static bool is_sanitizers(void)
{
    return SANITIZED &&
           (failing->number == SYS_mmap || failing->number == SYS_mprotect);
}

static bool is_expected(int error)
{
    return (failing->how & HARMLESS) == 0 &&
           (error == -failing->error || error == -failing->also[0] ||
            error == -failing->also[1]);
}

/* A pool whose workers all fail is broken; a fresh image without it ends. */
static bool is_expected_always(int error)
{
    return is_expected(error) || error == -ENOTRECOVERABLE || error == -EPIPE;
}

static void use_and_count_errors(void *arg)
{
    struct plan *plan = arg;
    struct everything use = {.expected = is_expected_always,
                             .part = plan->part};
    assert_int_equal(chdir(test_tmpdir()), 0);
    fault_syscall(failing->number, failing->error);
    use_everything(&use);
    plan->count = use.errors;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void fail_always(enum everything_part part, const struct failing *calls,
                        size_t count)
{
    struct plan *plan = test_shared(sizeof *plan);
    plan->part = part;
    for (failing = calls; failing < calls + count; failing++) {
        struct role role;
        const int names = test_shm_names();
        if (is_sanitizers())
            continue;
        printf("%s (%d)\n", failing->name, failing->error);
        (void)fflush(stdout);
        role_start(&role, use_and_count_errors, plan);
        role_wait_ok(&role, LIMIT_MS);
        assert_int_equal(test_shm_names(), names);
    }
}

static void call_for_pools_that_always_fails(void)
{
    fail_always(ONLY_POOLS, table, COUNT);
    test_report("calls", COUNT);
}

static void call_for_starts_that_always_fails(void)
{
    fail_always(ONLY_STARTS, table, COUNT);
    fail_always(ONLY_STARTS, table_of_starts, COUNT_OF_STARTS);
    test_report("calls", COUNT + COUNT_OF_STARTS);
}

struct outcome {
    struct watched watched;
    enum everything_part part;
    long errors;
};

static void use_watched(void *arg)
{
    struct outcome *outcome = arg;
    struct everything use = {.expected = is_expected_always,
                             .part = outcome->part};
    const struct before before = look_before();
    watched_begin(&outcome->watched);
    use_everything(&use);
    const long calls = watched_end(&outcome->watched);
    outcome->errors = use.errors;
    if (calls < outcome->watched.first)
        assert_int_equal(use.errors, 0);
    look_after(&before);
    use_well(outcome->part, &before);
}

static long fail_once(struct outcome *outcome, long nth)
{
    struct role role;
    const enum everything_part part = outcome->part;
    *outcome = (struct outcome){.watched = {.number = failing->number,
                                            .error = failing->error,
                                            .first = nth,
                                            .last = nth},
                                .part = part};
    printf("%s (%d), call %ld\n", failing->name, failing->error, nth);
    (void)fflush(stdout);
    role_start(&role, use_watched, outcome);
    watched_serve(&outcome->watched, &role, LIMIT_MS);
    role_wait_ok(&role, LIMIT_MS);
    return outcome->watched.calls;
}

struct total {
    long pairs;
    long errors;
};

static void fail_each(enum everything_part part, const struct failing *calls,
                      size_t count, long quick, struct total *total)
{
    struct outcome *outcome = test_shared(sizeof *outcome);
    outcome->part = part;
    for (failing = calls; failing < calls + count; failing++) {
        const bool each = (failing->how & EACH) != 0 && !SANITIZED;
        const long stride = each ? 1 : sweep_stride(quick);
        if (is_sanitizers() || (failing->how & ALWAYS) != 0)
            continue;
        long step = sweep_first(stride);
        for (long nth = 1;; nth += step, step = stride) {
            const long made = fail_once(outcome, nth);
            if (made < nth)
                break;
            total->errors += outcome->errors;
            total->pairs++;
            if (stride > 1 && made < nth + step)
                break;
        }
    }
    test_report("pairs", total->pairs);
    test_report("errors", total->errors);
}

static void call_for_pools_that_fails_once(void)
{
    struct total total = {0, 0};
    fail_each(ONLY_POOLS, table, COUNT, 12, &total);
}

static void call_for_starts_that_fails_once(void)
{
    struct total total = {0, 0};
    fail_each(ONLY_STARTS, table, COUNT, 16, &total);
    fail_each(ONLY_STARTS, table_of_starts, COUNT_OF_STARTS, 2, &total);
}

/* ---- a worker that cannot be started ---- */

static int return_nothing(const void *arg, void *result, ipc_task *task)
{
    (void)arg, (void)result, (void)task;
    return 0;
}

static void kill_workers(ipc_pool *pool)
{
    ipc_worker_info workers[4];
    const size_t n = ipc_pool_workers(pool, workers, 4);
    assert_true(n <= 4);
    for (size_t i = 0; i < n; i++)
        if (workers[i].tid != 0)
            assert_int_equal(kill(workers[i].pid, SIGKILL), 0);
}

static void go_on_without_forks(void *arg)
{
    struct watched *watched = arg;
    const ipc_pool_options options = {.size = sizeof options, .workers = 2};
    ipc_pool *pool;
    watched_begin(watched);
    CHECK(ipc_pool_new(&options, &pool), 0);
    CHECK(ipc_pool_apply(pool, return_nothing, NULL, 0, NULL, 0), 0);
    const long calls = __atomic_load_n(&watched->calls, __ATOMIC_SEQ_CST);
    __atomic_store_n(&watched->last, calls + 5, __ATOMIC_SEQ_CST);
    __atomic_store_n(&watched->first, calls + 1, __ATOMIC_SEQ_CST);
    kill_workers(pool);
    int rc;
    do { /* the dead may have taken it */
        rc = ipc_pool_apply(pool, return_nothing, NULL, 0, NULL, 0);
    } while (rc == -EOWNERDEAD || watched->calls <= watched->last);
    CHECK(rc, 0);
    test_report("forks", watched_end(watched));
    CHECK(ipc_pool_free(pool), 0);
}

static void worker_that_cannot_be_started_is_tried_again(void)
{
    struct watched *watched = test_shared(sizeof *watched);
    struct role role;
    *watched = (struct watched){
        .number = SYS_clone, .error = ENOMEM, .first = LONG_MAX};
    role_start(&role, go_on_without_forks, watched);
    watched_serve(watched, &role, LIMIT_MS);
    role_wait_ok(&role, LIMIT_MS);
}

static void lose_all_without_forks(void *arg)
{
    struct watched *watched = arg;
    const ipc_pool_options options = {.size = sizeof options, .workers = 2};
    ipc_pool *pool;
    ipc__pool_patience_ns = 50000000;
    watched_begin(watched);
    CHECK(ipc_pool_new(&options, &pool), 0);
    CHECK(ipc_pool_apply(pool, return_nothing, NULL, 0, NULL, 0), 0);
    __atomic_store_n(&watched->first, 1, __ATOMIC_SEQ_CST);
    kill_workers(pool);
    int rc;
    do { /* the dead may have taken it */
        rc = ipc_pool_apply(pool, return_nothing, NULL, 0, NULL, 0);
    } while (rc == -EOWNERDEAD);
    CHECK(rc, -ENOTRECOVERABLE);
    assert_non_null(strstr(ipc_error_detail(), "no worker can be started"));
    test_report("forks", watched_end(watched));
    CHECK(ipc_pool_free(pool), 0);
}

static void a_pool_in_which_nobody_can_work_is_broken(void)
{
    struct watched *watched = test_shared(sizeof *watched);
    struct role role;
    *watched = (struct watched){.number = SYS_clone,
                                .error = ENOMEM,
                                .first = LONG_MAX,
                                .last = LONG_MAX};
    role_start(&role, lose_all_without_forks, watched);
    watched_serve(watched, &role, LIMIT_MS);
    role_wait_ok(&role, LIMIT_MS);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(one_allocation_for_pools_fails, 60),
    TEST_CASE_LIMIT(one_allocation_for_starts_fails, 60),
    TEST_CASE_LIMIT(no_allocation_for_pools_works_any_more, 60),
    TEST_CASE_LIMIT(no_allocation_for_starts_works_any_more, 60),
    TEST_CASE(pools_without_descriptors_say_so),
    TEST_CASE(starts_without_descriptors_say_so),
    TEST_CASE_LIMIT(call_for_pools_that_always_fails, 60),
    TEST_CASE_LIMIT(call_for_starts_that_always_fails, 60),
    TEST_CASE_LIMIT(call_for_pools_that_fails_once, 240),
    TEST_CASE_LIMIT(call_for_starts_that_fails_once, 240),
    TEST_CASE(worker_that_cannot_be_started_is_tried_again),
    TEST_CASE(a_pool_in_which_nobody_can_work_is_broken),
};
TEST_MAIN(cases)
