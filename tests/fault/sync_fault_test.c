/* Synchronisation objects in a storm of signals, and where the kernel does not
 * know futex_waitv() or robust lists: waits go on to the same deadline, and
 * deaths are found by the re-check. */
#include "unit/process_support.h"

#include "harness/faults.h"

#include <sys/syscall.h>

#include <ipc/barrier.h>
#include <ipc/condition.h>
#include <ipc/event.h>
#include <ipc/lock.h>
#include <ipc/once.h>
#include <ipc/rwlock.h>
#include <ipc/semaphore.h>
#include <ipc/shared.h>

#ifndef SYS_futex_waitv
#    define SYS_futex_waitv 449
#endif

enum {
    STORM = 10000,
    HITS = 20,
    LATE_MS = 1000,
    RECHECK_MS = 200
};

/* In family memory.  The other one holds or has what is waited for here. */
struct stage {
    ipc_lock lock; /* of the condition */
    ipc_condition condition;
    ipc_event event;
    ipc_once once;
    ipc_rwlock written, read;
    ipc_semaphore semaphore;
    ipc_barrier barrier;
    ipc_lock *fair;
    ipc_semaphore *tracked, *queued;
    uint32_t ready, go;
    bool truth;
};

static struct stage *new_stage(void)
{
    const ipc_lock_options fair = {sizeof fair, IPC_LOCK_FAIR, NULL, 0};
    const ipc_semaphore_options tracked = {sizeof tracked,
                                           IPC_SEMAPHORE_TRACKED, NULL, 0};
    const ipc_semaphore_options queued = {sizeof queued, IPC_SEMAPHORE_FAIR,
                                          NULL, 0};
    struct stage *stage = ipc_shared_alloc(sizeof *stage);
    assert_non_null(stage);
    CHECK(ipc_lock_new(&fair, &stage->fair), 0);
    CHECK(ipc_semaphore_new(1, &tracked, &stage->tracked), 0);
    CHECK(ipc_semaphore_new(0, &queued, &stage->queued), 0);
    CHECK(ipc_barrier_init(&stage->barrier, 2, NULL), 0);
    return stage;
}

static void end_stage(struct stage *stage)
{
    CHECK(ipc_lock_free(stage->fair), 0);
    CHECK(ipc_semaphore_free(stage->tracked), 0);
    CHECK(ipc_semaphore_free(stage->queued), 0);
    CHECK(ipc_shared_free(stage), 0);
}

static bool is_so(void *arg)
{
    return __atomic_load_n((bool *)arg, __ATOMIC_SEQ_CST);
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* ---- the one that has it all ---- */

static int stay_until_go(void *arg)
{
    struct stage *stage = arg;
    meet_signal(&stage->ready);
    meet_wait(&stage->go, 1, LIMIT_MS);
    return 0;
}

static int hold_all(void *arg)
{
    struct stage *stage = arg;
    CHECK(ipc_lock_acquire(stage->fair), 0);
    CHECK(ipc_rwlock_acquire_write(&stage->written), 0);
    CHECK(ipc_rwlock_acquire_read(&stage->read), 0);
    CHECK(ipc_semaphore_acquire(stage->tracked), 0);
    return ipc_once_run(&stage->once, stay_until_go, stage);
}

/* ---- waits, each to a deadline ---- */

static int wait_event(struct stage *stage, ipc_deadline deadline)
{
    return ipc_event_wait_until(&stage->event, deadline);
}

static int wait_semaphore(struct stage *stage, ipc_deadline deadline)
{
    return ipc_semaphore_acquire_until(&stage->semaphore, deadline);
}

static int wait_many(struct stage *stage, ipc_deadline deadline)
{
    return ipc_semaphore_acquire_many_until(&stage->semaphore, 2, deadline);
}

static int wait_tracked(struct stage *stage, ipc_deadline deadline)
{
    return ipc_semaphore_acquire_until(stage->tracked, deadline);
}

static int wait_queued(struct stage *stage, ipc_deadline deadline)
{
    return ipc_semaphore_acquire_until(stage->queued, deadline);
}

static int wait_condition(struct stage *stage, ipc_deadline deadline)
{
    CHECK(ipc_lock_acquire(&stage->lock), 0);
    const int rc =
        ipc_condition_wait_until(&stage->condition, &stage->lock, deadline);
    CHECK(ipc_lock_release(&stage->lock), 0);
    return rc;
}

static int wait_truth(struct stage *stage, ipc_deadline deadline)
{
    CHECK(ipc_lock_acquire(&stage->lock), 0);
    const int rc = ipc_condition_wait_for_until(&stage->condition, &stage->lock,
                                                is_so, &stage->truth, deadline);
    CHECK(ipc_lock_release(&stage->lock), 0);
    return rc;
}

static int wait_barrier(struct stage *stage, ipc_deadline deadline)
{
    const int rc = ipc_barrier_wait_until(&stage->barrier, deadline);
    if (rc == -ETIMEDOUT)
        CHECK(ipc_barrier_reset(&stage->barrier), 0);
    return rc;
}

static int wait_to_read(struct stage *stage, ipc_deadline deadline)
{
    return ipc_rwlock_acquire_read_until(&stage->written, deadline);
}

static int wait_to_write(struct stage *stage, ipc_deadline deadline)
{
    return ipc_rwlock_acquire_write_until(&stage->written, deadline);
}

static int wait_for_reader(struct stage *stage, ipc_deadline deadline)
{
    return ipc_rwlock_acquire_write_until(&stage->read, deadline);
}

static int wait_once(struct stage *stage, ipc_deadline deadline)
{
    return ipc_once_run_until(&stage->once, do_nothing, NULL, deadline);
}

static int wait_fair(struct stage *stage, ipc_deadline deadline)
{
    return ipc_lock_acquire_until(stage->fair, deadline);
}

static const struct {
    const char *name;
    int (*wait)(struct stage *stage, ipc_deadline deadline);
} waits[] = {
    {"event", wait_event},
    {"semaphore", wait_semaphore},
    {"many", wait_many},
    {"tracked", wait_tracked},
    {"fair semaphore", wait_queued},
    {"condition", wait_condition},
    {"wait_for", wait_truth},
    {"barrier", wait_barrier},
    {"read", wait_to_read},
    {"write", wait_to_write},
    {"reader", wait_for_reader},
    {"once", wait_once},
    {"fair lock", wait_fair},
};

enum {
    WAITS = sizeof waits / sizeof waits[0]
};

/* ---- a storm ---- */

static void end_storm(void)
{
    const long hits = storm_stop();
    test_report("signals", hits);
    assert_true(hits > HITS || THREAD_SANITIZED); /* it holds some back */
}

static void all_waits_go_to_their_deadline(void)
{
    struct stage *stage = new_stage();
    int64_t latest = 0;
    ipc_process p;
    start(&p, hold_all, stage);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    storm_start(STORM);
    for (int i = 0; i < WAITS; i++) {
        const ipc_deadline deadline = ipc_after_ms(20);
        const int rc = waits[i].wait(stage, deadline);
        const int64_t late = ipc_now() - deadline;
        if (rc != -ETIMEDOUT || late < 0 || late > LATE_MS * INT64_C(1000000))
            test_fail("%s: %d (%s), %lld us late", waits[i].name, rc,
                      ipc_error_detail(), (long long)(late / 1000));
        latest = late > latest ? late : latest;
    }
    end_storm();
    test_report("latest_us", latest / 1000);
    meet_signal(&stage->go);
    assert_int_equal(end_of(&p), 0);
    CHECK(ipc_lock_acquire(stage->fair), IPC_OWNER_DIED);
    CHECK(ipc_lock_consistent(stage->fair), 0);
    CHECK(ipc_lock_release(stage->fair), 0);
    end_stage(stage);
}

/* In the order of waits[]; some time for the other one to sleep before each. */
static int let_all_through(void *arg)
{
    struct stage *stage = arg;
    CHECK(ipc_lock_acquire(stage->fair), 0);
    CHECK(ipc_rwlock_acquire_write(&stage->written), 0);
    CHECK(ipc_rwlock_acquire_read(&stage->read), 0);
    meet_signal(&stage->ready);
    ipc_sleep_until(ipc_after_ms(10));
    CHECK(ipc_event_set(&stage->event), 0);
    ipc_sleep_until(ipc_after_ms(10));
    CHECK(ipc_semaphore_release(&stage->semaphore), 0);
    ipc_sleep_until(ipc_after_ms(10));
    CHECK(ipc_semaphore_release_many(&stage->semaphore, 2), 0);
    ipc_sleep_until(ipc_after_ms(10));
    CHECK(ipc_semaphore_release(stage->queued), 0);
    while (ipc_condition_waiting(&stage->condition) == 0)
        ipc_sleep_until(ipc_after_ms(1));
    CHECK(ipc_condition_notify(&stage->condition, 1), 0);
    ipc_sleep_until(ipc_after_ms(10));
    __atomic_store_n(&stage->truth, true, __ATOMIC_SEQ_CST);
    CHECK(ipc_condition_notify_all(&stage->condition), 0);
    assert_true(ipc_barrier_wait(&stage->barrier) >= 0);
    ipc_sleep_until(ipc_after_ms(10));
    CHECK(ipc_rwlock_release(&stage->written), 0);
    ipc_sleep_until(ipc_after_ms(10));
    CHECK(ipc_rwlock_release(&stage->read), 0);
    ipc_sleep_until(ipc_after_ms(10));
    CHECK(ipc_lock_release(stage->fair), 0);
    return 0;
}

static void all_waits_end_when_they_should(void)
{
    struct stage *stage = new_stage();
    ipc_process p;
    start(&p, let_all_through, stage);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    storm_start(STORM);
    for (int i = 0; i < WAITS; i++) {
        const int rc = waits[i].wait(stage, ipc_after_ms(LIMIT_MS));
        if (rc < 0)
            test_fail("%s: %d (%s)", waits[i].name, rc, ipc_error_detail());
        if (waits[i].wait == wait_to_read)
            CHECK(ipc_rwlock_release(&stage->written), 0);
    }
    end_storm();
    assert_int_equal(end_of(&p), 0);
    CHECK(ipc_lock_release(stage->fair), 0);
    CHECK(ipc_semaphore_release(stage->tracked), 0);
    end_stage(stage);
}

/* ---- deaths that nobody tells ---- */

static int enroll_and_stay(void *arg)
{
    struct stage *stage = arg;
    CHECK(ipc_barrier_enroll(&stage->barrier), 0);
    CHECK(ipc_lock_acquire(stage->fair), 0);
    CHECK(ipc_rwlock_acquire_read(&stage->read), 0);
    CHECK(ipc_semaphore_acquire(stage->tracked), 0);
    CHECK(ipc_rwlock_acquire_write(&stage->written), 0);
    meet_signal(&stage->ready);
    return sleep_for_good(NULL);
}

struct dying {
    int (*wait)(struct stage *stage, ipc_deadline deadline);
    int rc; /* that it ends with */
};

static const struct dying dying[] = {
    {wait_barrier, -ECANCELED},  {wait_fair, IPC_OWNER_DIED},
    {wait_for_reader, 0},        {wait_tracked, 0},
    {wait_to_read, -EOWNERDEAD}, {wait_to_write, IPC_OWNER_DIED},
};

struct killer {
    ipc_process *victim;
    struct stage *stage;
    pid_t waiter;
};

/* Once the waiter sleeps. */
static void kill_when_asleep(void *arg)
{
    const struct killer *killer = arg;
    meet_wait(&killer->stage->go, 1, LIMIT_MS);
    wait_until_sleeping(killer->waiter, LIMIT_MS);
    if (kill(ipc_process_pid(killer->victim), SIGKILL) != 0)
        test_fail("kill: %m");
}

/* Returns how long it took, in ms. */
static long wait_for_death(const struct dying *death)
{
    struct stage *stage = new_stage();
    struct role role;
    ipc_process p;
    start(&p, enroll_and_stay, stage);
    struct killer killer = {&p, stage, getpid()};
    meet_wait(&stage->ready, 1, LIMIT_MS);
    role_start(&role, kill_when_asleep, &killer);
    meet_signal(&stage->go);
    const int64_t from = test_now_ns();
    CHECK(death->wait(stage, ipc_after_ms(LIMIT_MS)), death->rc);
    const long ms = (long)ms_since(from);
    assert_int_equal(end_of(&p), -SIGKILL);
    role_wait_ok(&role, LIMIT_MS);
    return ms;
}

/* What it leaves held goes with the process. */
static void all_deaths(void *arg)
{
    static const struct {
        int number, error;
    } filters[] = {{0, 0},
                   {SYS_futex_waitv, ENOSYS},
                   {SYS_futex_waitv, EPERM},
                   {SYS_get_robust_list, EPERM}};
    static const char *const names[] = {
        "told_ms", "no_waitv_ms", "waitv_forbidden_ms", "no_robust_list_ms"};
    const int which = *(int *)arg;
    long slowest = 0;
    if (filters[which].number != 0)
        fault_syscall(filters[which].number, filters[which].error);
    for (size_t i = 0; i < sizeof dying / sizeof dying[0]; i++) {
        const long ms = wait_for_death(&dying[i]);
        slowest = ms > slowest ? ms : slowest;
    }
    test_report(names[which], slowest);
    assert_true(slowest < RECHECK_MS + LATE_MS);
}

static void deaths_are_told(void)
{
    int which = 0;
    struct role role;
    role_start(&role, all_deaths, &which);
    role_wait_ok(&role, LIMIT_MS);
}

static void deaths_are_found_by_the_recheck(void)
{
    for (int which = 1; which < 4; which++) {
        struct role role;
        role_start(&role, all_deaths, &which);
        role_wait_ok(&role, LIMIT_MS);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(all_waits_go_to_their_deadline),
    TEST_CASE(all_waits_end_when_they_should),
    TEST_CASE(deaths_are_told),
    TEST_CASE(deaths_are_found_by_the_recheck),
};
TEST_MAIN(cases)
