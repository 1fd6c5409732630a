/* System calls fail, always or the nth time, in calls of the whole interface:
 * these say so, leave nothing behind, and work the next time. */
#include "fault/everything.h"
#include "harness/faults.h"
#include "harness/sweep.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <ipc/lock.h>
#include <ipc/shared.h>

#ifndef SYS_futex_waitv
#    define SYS_futex_waitv 449
#endif
#ifndef SYS_clone3
#    define SYS_clone3 435
#endif
#ifndef SYS_pidfd_open
#    define SYS_pidfd_open 434
#endif

/* ---- what fails, and what that may be called ---- */

enum {
    EVERY = 6 /* for a quick run */
};

enum {
    HARMLESS = 1, /* nobody notices */
    /* Threads, or the start of the timers' thread, make the call with all
     * signals blocked, so that it cannot be counted. */
    THREADS_BLOCK = 2,
    TIMERS_BLOCK = 4,
    HELPER_BLOCKS = 8, /* and the one that waits on behalf of others */
    UNCOUNTED = 16,    /* see fault_syscall_nth() */
    NO_PROCESSES = 32, /* they are not what is tested */
    BLIND = 64         /* the test makes the call itself */
};

struct failing {
    const char *name;
    int number;
    int error;
    int also[2]; /* how else the error may be reported */
    unsigned how;
};

static const struct failing *failing;

static bool is_expected(int error)
{
    return (failing->how & HARMLESS) == 0 &&
           (error == -failing->error || error == -failing->also[0] ||
            error == -failing->also[1]);
}

/* File systems and sandboxes say such things. */
static const struct failing table[] = {
    {"openat", SYS_openat, EACCES, {EPERM, 0}, HELPER_BLOCKS},
    {"openat full", SYS_openat, ENFILE, {0, 0}, HELPER_BLOCKS},
    {"memfd_create", SYS_memfd_create, ENFILE, {ENOMEM, 0}, 0},
    {"memfd_create old", SYS_memfd_create, ENOSYS, {ENOMEM, 0}, 0},
    {"mmap", SYS_mmap, ENOMEM, {0, 0}, TIMERS_BLOCK},
    {"madvise", SYS_madvise, ENOMEM, {ENOSYS, 0}, THREADS_BLOCK},
    {"madvise old", SYS_madvise, EINVAL, {ENOSYS, ENOMEM}, THREADS_BLOCK},
    {"ftruncate", SYS_ftruncate, EFBIG, {ENOMEM, 0}, 0},
    {"fallocate", SYS_fallocate, ENOSPC, {0, 0}, 0},
    {"unlink", SYS_unlink, EACCES, {0, 0}, 0},
    {"linkat", SYS_linkat, EACCES, {0, 0}, 0},
    {"linkat full", SYS_linkat, ENOSPC, {0, 0}, 0},
    {"flock", SYS_flock, ENOLCK, {EBUSY, 0}, 0},
    {"fcntl", SYS_fcntl, ENOLCK, {ENOMEM, EBUSY}, 0},
    {"pread64", SYS_pread64, EIO, {0, 0}, 0},
    {"pwrite64", SYS_pwrite64, ENOSPC, {0, 0}, 0},
    {"pidfd_open", SYS_pidfd_open, EMFILE, {0, 0}, 0},
    {"pidfd_open old", SYS_pidfd_open, ENOSYS, {0, 0}, 0},
    {"fork", SYS_clone, ENOMEM, {0, 0}, THREADS_BLOCK},
    {"fork limit", SYS_clone, EAGAIN, {0, 0}, THREADS_BLOCK},
    {"clone3", SYS_clone3, EAGAIN, {ENOMEM, 0}, UNCOUNTED},
    {"mprotect", SYS_mprotect, ENOMEM, {EAGAIN, 0}, TIMERS_BLOCK},
    {"sched_setaffinity", SYS_sched_setaffinity, EPERM, {0, 0}, 0},
    {"sched_getaffinity", SYS_sched_getaffinity, EPERM, {0, 0}, 0},
    {"setpriority", SYS_setpriority, EACCES, {0, 0}, 0},
    {"getdents64", SYS_getdents64, ENOMEM, {0, 0}, 0},
    {"getrandom", SYS_getrandom, ENOSYS, {0, 0}, HARMLESS},
    {"futex_waitv", SYS_futex_waitv, ENOSYS, {0, 0}, HARMLESS | HELPER_BLOCKS},
    {"futex_waitv forbidden",
     SYS_futex_waitv,
     EPERM,
     {0, 0},
     HARMLESS | HELPER_BLOCKS},
    {"get_robust_list",
     SYS_get_robust_list,
     EPERM,
     {0, 0},
     HARMLESS | HELPER_BLOCKS},
    {"prctl", SYS_prctl, EPERM, {0, 0}, HARMLESS | THREADS_BLOCK},
};

/* Only queues, connections and waiting make these. */
static const struct failing table_of_messages[] = {
    {"socketpair", SYS_socketpair, ENFILE, {0, 0}, 0},
    {"getsockopt", SYS_getsockopt, EPERM, {0, 0}, 0},
    {"setsockopt", SYS_setsockopt, EPERM, {0, 0}, HARMLESS},
    {"shutdown", SYS_shutdown, EPERM, {0, 0}, HARMLESS},
    {"ioctl", SYS_ioctl, EPERM, {0, 0}, HARMLESS},
    {"sendto", SYS_sendto, ENOBUFS, {ENOMEM, 0}, 0},
    {"sendmsg", SYS_sendmsg, ENOBUFS, {ENOMEM, 0}, 0},
    {"sendmsg full", SYS_sendmsg, ETOOMANYREFS, {0, 0}, 0},
    {"recvfrom", SYS_recvfrom, ENOMEM, {0, 0}, 0},
    {"recvmsg", SYS_recvmsg, ENOMEM, {0, 0}, 0},
    {"write", SYS_write, ENOSPC, {0, 0}, BLIND | HELPER_BLOCKS},
    {"ppoll", SYS_ppoll, ENOMEM, {0, 0}, BLIND | NO_PROCESSES},
#ifdef SYS_poll
    {"poll", SYS_poll, EPERM, {0, 0}, BLIND},
#endif
    {"eventfd", SYS_eventfd2, ENFILE, {0, 0}, 0},
    {"epoll_create1", SYS_epoll_create1, ENFILE, {0, 0}, 0},
    {"epoll_ctl", SYS_epoll_ctl, ENOSPC, {0, 0}, 0},
    {"prlimit64", SYS_prlimit64, EPERM, {0, 0}, HARMLESS | THREADS_BLOCK},
    {"mq_open", SYS_mq_open, ENFILE, {0, 0}, 0},
    {"mq_open none", SYS_mq_open, ENOSYS, {0, 0}, 0},
    {"mq_open limits", SYS_mq_open, EMFILE, {ENOSPC, 0}, 0},
    {"mq_unlink", SYS_mq_unlink, EACCES, {0, 0}, 0},
    {"mq_getsetattr", SYS_mq_getsetattr, EPERM, {0, 0}, 0},
    {"mq_timedsend", SYS_mq_timedsend, ENOMEM, {0, 0}, 0},
    {"mq_timedreceive", SYS_mq_timedreceive, EPERM, {0, 0}, 0},
};

enum {
    COUNT = sizeof table / sizeof table[0],
    COUNT_OF_MESSAGES = sizeof table_of_messages / sizeof table_of_messages[0]
};

struct outcome {
    enum everything_part part;
    long nth; /* 0: always */
    long calls;
    long errors;
};

static struct everything plan_of(const struct outcome *outcome)
{
    const bool counted = outcome->nth != 0;
    return (struct everything){
        .part = outcome->part,
        .no_threads = counted && (failing->how & THREADS_BLOCK) != 0,
        .no_timers = counted && (failing->how & TIMERS_BLOCK) != 0,
        .no_helper = counted && (failing->how & HELPER_BLOCKS) != 0,
        .no_processes = (failing->how & NO_PROCESSES) != 0,
        .blind = (failing->how & BLIND) != 0};
}

static void use_everything_and_look(void *arg)
{
    struct outcome *outcome = arg;
    struct everything use = plan_of(outcome);
    use.expected = is_expected;
    assert_int_equal(chdir(test_tmpdir()), 0);
    const int fds = count_fds();
    if (outcome->nth == 0)
        fault_syscall(failing->number, failing->error);
    else
        fault_syscall_nth(failing->number, outcome->nth, failing->error);
    use_everything(&use);
    outcome->errors = use.errors;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    if (outcome->nth == 0)
        return; /* nor can it be looked at itself any more */
    outcome->calls = fault_syscall_count();
    if (outcome->calls < outcome->nth) { /* it is still to come */
        assert_int_equal(use.errors, 0);
        return;
    }
    remove_names_of_everything();
    assert_int_equal(count_fds(), fds);
    struct everything again = plan_of(outcome);
    use_everything(&again);
    assert_int_equal(count_fds(), fds);
}

static void fail_once(struct outcome *outcome, long nth)
{
    struct role role;
    const int names = test_shm_names();
    outcome->nth = nth;
    outcome->calls = 0;
    outcome->errors = 0;
    printf("%s (%d), call %ld\n", failing->name, failing->error, nth);
    (void)fflush(stdout);
    role_start(&role, use_everything_and_look, outcome);
    role_wait_ok(&role, LIMIT_MS);
    remove_names_of_everything();
    assert_int_equal(test_shm_names(), names);
}

/* A sanitizer does not live without it, or makes it with signals blocked. */
static bool is_sanitizers(void)
{
    return SANITIZED &&
           (failing->number == SYS_mmap || failing->number == SYS_mprotect ||
            failing->number == SYS_sched_getaffinity);
}

static bool is_countable(void)
{
    return (failing->how & UNCOUNTED) == 0 && !is_sanitizers();
}

static struct outcome *outcome_of(enum everything_part part)
{
    struct outcome *outcome = test_shared(sizeof *outcome);
    outcome->part = part;
    return outcome;
}

static void fail_always(enum everything_part part, const struct failing *calls,
                        size_t count)
{
    struct outcome *outcome = outcome_of(part);
    for (failing = calls; failing < calls + count; failing++)
        if (!is_sanitizers())
            fail_once(outcome, 0);
}

struct total {
    long pairs;
    long errors;
};

/* The first, and each, or every so many-th, of the others. */
static void fail_each(enum everything_part part, const struct failing *calls,
                      size_t count, struct total *total)
{
    struct outcome *outcome = outcome_of(part);
    const long stride = sweep_stride(EVERY);
    for (failing = calls; failing < calls + count; failing++) {
        if (!is_countable())
            continue;
        long step = sweep_first(stride);
        for (long nth = 1;; nth += step, step = stride) {
            fail_once(outcome, nth);
            total->errors += outcome->errors;
            if (outcome->calls < nth)
                break;
            total->pairs++;
            if (stride > 1 && outcome->calls < nth + step)
                break;
        }
    }
}

static void call_that_always_fails(void)
{
    fail_always(ONLY_OBJECTS, table, COUNT);
    test_report("calls", COUNT);
}

static void call_for_messages_that_always_fails(void)
{
    fail_always(ONLY_MESSAGES, table, COUNT);
    fail_always(ONLY_MESSAGES, table_of_messages, COUNT_OF_MESSAGES);
    test_report("calls", COUNT + COUNT_OF_MESSAGES);
}

static void call_that_fails_once(void)
{
    struct total total = {0, 0};
    fail_each(ONLY_OBJECTS, table, COUNT, &total);
    test_report("calls", COUNT);
    test_report("pairs", total.pairs);
    test_report("errors", total.errors);
    assert_true(total.pairs > COUNT);
}

static void call_for_messages_that_fails_once(void)
{
    struct total total = {0, 0};
    fail_each(ONLY_MESSAGES, table, COUNT, &total);
    fail_each(ONLY_MESSAGES, table_of_messages, COUNT_OF_MESSAGES, &total);
    test_report("calls", COUNT + COUNT_OF_MESSAGES);
    test_report("pairs", total.pairs);
    test_report("errors", total.errors);
    assert_true(total.pairs > COUNT);
}

/* ---- a child that cannot do its part ---- */

static void no_threads_in_the_child(void)
{
    fault_syscall(SYS_clone, EAGAIN);
}

static void no_pidfds_in_the_child(void)
{
    fault_syscall(SYS_pidfd_open, EPERM);
}

static void no_polls_in_the_child(void)
{
    fault_syscall(SYS_ppoll, EPERM);
}

static void daemon_without_a_watcher_does_not_start(void)
{
    const int fds = count_fds();
    const ipc_process_options options = {.size = sizeof options,
                                         .daemon = true};
    ipc_process p;
    assert_int_equal(pthread_atfork(NULL, NULL, no_threads_in_the_child), 0);
    for (int i = 0; i < 2; i++) {
        CHECK(ipc_process_init(&p, return_zero, NULL, &options), 0);
        CHECK(ipc_process_start(&p), -EAGAIN);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(count_fds(), fds);
        CHECK(ipc_process_close(&p), 0);
    }
    assert_int_equal(run(return_zero, NULL), 0); /* it needs none */
}

static void (*fault)(void);

static void start_and_wait(void *arg)
{
    ipc_process p;
    assert_int_equal(pthread_atfork(NULL, NULL, fault), 0);
    start_daemon(&p, come_and_stay, arg);
    (void)sleep_for_good(NULL);
}

static void daemon_that_cannot_poll_ends_with_its_parent(void)
{
    static void (*const faults[])(void) = {no_polls_in_the_child,
                                           no_pidfds_in_the_child};
    for (int i = 0; i < 2; i++) {
        uint32_t *words = test_shared(2 * sizeof *words);
        struct role parent;
        fault = faults[i];
        role_start(&parent, start_and_wait, words);
        meet_wait(&words[0], 1, LIMIT_MS);
        (void)role_kill(&parent); /* the runner sees whether the daemon stays */
    }
}

/* ---- locks without the kernel's help: deaths by the re-check ---- */

struct scene {
    ipc_lock lock;
    uint32_t held;
    uint32_t go_on;
};

static int hold_for_good(void *arg)
{
    struct scene *scene = arg;
    if (ipc_lock_acquire(&scene->lock) < 0)
        return 1;
    meet_signal(&scene->held);
    return sleep_for_good(NULL);
}

static int allocate_for_good(void *arg)
{
    struct scene *scene = arg;
    while (__atomic_load_n(&scene->go_on, __ATOMIC_RELAXED) != 0) {
        if (ipc_shared_free(ipc_shared_alloc(50)) != 0)
            return 1;
        meet_signal(&scene->held);
    }
    return 0;
}

static void live_without(void *arg)
{
    static const struct {
        int number, error;
    } filters[][2] = {
        {{SYS_futex_waitv, ENOSYS}, {0, 0}},
        {{SYS_futex_waitv, EPERM}, {0, 0}},
        {{SYS_get_robust_list, EPERM}, {0, 0}},
        {{SYS_futex_waitv, EPERM}, {SYS_get_robust_list, EPERM}},
    };
    const int which = *(int *)arg;
    for (int i = 0; i < 2; i++)
        if (filters[which][i].number != 0)
            fault_syscall(filters[which][i].number, filters[which][i].error);

    struct scene *scene = ipc_shared_alloc(sizeof *scene);
    assert_non_null(scene);
    ipc_process p;
    int64_t slowest = 0;
    for (uint32_t i = 1; i <= 3; i++) {
        start(&p, hold_for_good, scene);
        meet_wait(&scene->held, i, LIMIT_MS);
        CHECK(ipc_lock_acquire_until(&scene->lock, ipc_after_ms(150)),
              -ETIMEDOUT);
        const int64_t from = test_now_ns();
        CHECK(ipc_process_kill(&p), 0);
        CHECK(ipc_lock_acquire_until(&scene->lock, ipc_after_ms(LIMIT_MS)),
              IPC_OWNER_DIED);
        if (ms_since(from) > slowest)
            slowest = ms_since(from);
        CHECK(ipc_lock_consistent(&scene->lock), 0);
        CHECK(ipc_lock_release(&scene->lock), 0);
        assert_int_equal(end_of(&p), -SIGKILL);
    }

    /* Most of these die in the allocator, which has a guard. */
    scene->go_on = 1;
    scene->held = 0;
    for (uint32_t i = 1; i <= 20; i++) {
        start(&p, allocate_for_good, scene);
        meet_wait(&scene->held, i * 20, LIMIT_MS);
        CHECK(ipc_process_kill(&p), 0);
        assert_int_equal(end_of(&p), -SIGKILL);
        const int64_t from = test_now_ns();
        CHECK(ipc_shared_free(ipc_shared_alloc(50)), 0);
        if (ms_since(from) > slowest)
            slowest = ms_since(from);
    }
    static const char *const names[] = {"no_waitv_ms", "waitv_forbidden_ms",
                                        "no_robust_list_ms", "neither_ms"};
    test_report(names[which], slowest);
    assert_true(slowest < 1200);
    CHECK(ipc_shared_free(scene), 0);
}

static void deaths_are_found_by_the_recheck_without_futex_waitv(void)
{
    for (int which = 0; which < 2; which++) {
        struct role role;
        role_start(&role, live_without, &which);
        role_wait_ok(&role, LIMIT_MS);
    }
}

static void deaths_are_found_by_the_recheck_without_robust_list(void)
{
    for (int which = 2; which < 4; which++) {
        struct role role;
        role_start(&role, live_without, &which);
        role_wait_ok(&role, LIMIT_MS);
    }
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(call_that_always_fails, 120),
    TEST_CASE_LIMIT(call_that_fails_once, 240),
    TEST_CASE_LIMIT(call_for_messages_that_always_fails, 120),
    TEST_CASE_LIMIT(call_for_messages_that_fails_once, 240),
    TEST_CASE(daemon_without_a_watcher_does_not_start),
    TEST_CASE(daemon_that_cannot_poll_ends_with_its_parent),
    TEST_CASE(deaths_are_found_by_the_recheck_without_futex_waitv),
    TEST_CASE(deaths_are_found_by_the_recheck_without_robust_list),
};
TEST_MAIN(cases)
