/* What stands behind a lock: slots that may run out, regions that come and go
 * while threads use others, and libc's own robust mutexes in the same list of
 * the kernel. */
#include "unit/lock_support.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>

#include "core/family.h"
#include "core/peers.h"

/* ---- more threads than slots ---- */

enum {
    CROWD = 600,
    LAST = 40,
    SMALL_STACK = 256 * 1024
};

struct crowd {
    ipc_lock shared;
    long counter;
    ipc_lock own[CROWD];
    uint32_t there;
    uint32_t leave;
    pid_t tids[CROWD];
};

struct member {
    struct crowd *crowd;
    int index;
};

static void *join_crowd(void *arg)
{
    struct member *self = arg;
    struct crowd *crowd = self->crowd;
    crowd->tids[self->index] = gettid();
    expect_rc(ipc_lock_acquire(&crowd->shared), 0);
    crowd->counter++;
    expect_rc(ipc_lock_release(&crowd->shared), 0);
    expect_rc(ipc_lock_acquire(&crowd->own[self->index]), 0);
    meet_signal(&crowd->there);
    meet_wait(&crowd->leave, 1, 2 * LIMIT_MS);
    if (self->index < CROWD - LAST)
        expect_rc(ipc_lock_release(&crowd->own[self->index]), 0);
    return NULL;
}

static bool has_slot(const struct ipc__region *region, pid_t tid)
{
    for (size_t i = 0; i < IPC__REGION_SLOTS; i++)
        if (region->slots[i].tid == (uint32_t)tid &&
            region->slots[i].life == ((uint32_t)tid | FUTEX_BIT_WAITERS))
            return true;
    return false;
}

static void start_crowd(struct crowd *crowd, struct member *members,
                        pthread_t *threads)
{
    pthread_attr_t attr;
    assert_int_equal(pthread_attr_init(&attr), 0);
    assert_int_equal(pthread_attr_setstacksize(&attr, SMALL_STACK), 0);
    for (int i = 0; i < CROWD; i++) {
        members[i] = (struct member){crowd, i};
        if (pthread_create(&threads[i], &attr, join_crowd, &members[i]) != 0)
            test_skip("no %d threads here", (int)CROWD);
    }
    assert_int_equal(pthread_attr_destroy(&attr), 0);
    meet_wait(&crowd->there, CROWD, 2 * LIMIT_MS);
}

/* The end of a thread without a slot is found in /proc: at once by who comes
 * later, by the re-check by who waits. */
static void more_threads_than_slots_still_work(void)
{
    static struct member members[CROWD];
    static pthread_t threads[CROWD];
    struct ipc__region *family;
    struct crowd *crowd = ipc_shared_alloc(sizeof *crowd);
    assert_non_null(crowd);
    assert_int_equal(ipc__family(&family), 0);
    start_crowd(crowd, members, threads);
    expect_rc(ipc_lock_acquire(&crowd->shared), 0);
    assert_int_equal(crowd->counter, CROWD);
    expect_rc(ipc_lock_release(&crowd->shared), 0);

    int slotless = 0;
    for (int i = 0; i < CROWD; i++)
        slotless += !has_slot(family, crowd->tids[i]);
    test_report("peers", CROWD);
    test_report("slotless", slotless);
    assert_true(slotless >= CROWD - (int)IPC__REGION_SLOTS);
    assert_true(ipc__peer_count(family) <= IPC__REGION_SLOTS);

    int waited_for = CROWD - 1;
    while (waited_for > CROWD - LAST &&
           has_slot(family, crowd->tids[waited_for]))
        waited_for--;
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    expect_rc(ipc_lock_owner(&crowd->own[waited_for], &holder), 0);
    assert_int_equal(holder.tid, crowd->tids[waited_for]);
    assert_int_equal(holder.pid, getpid());
    assert_true(holder.alive);

    struct role waiter;
    struct stage *stage = stage_new(&crowd->own[waited_for]);
    start_waiter(&waiter, take_and_give, stage);
    const int64_t start = test_now_ns();
    meet_signal(&crowd->leave);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    test_report("ms", expect_told(&waiter, stage, start));
    for (int i = CROWD - LAST; i < CROWD; i++)
        if (i != waited_for)
            expect_rc(ipc_lock_acquire_nowait(&crowd->own[i]), IPC_OWNER_DIED);
    expect_rc(ipc_shared_free(crowd), 0);
}

/* ---- what the kernel is told to look at ---- */

static void *wait_and_release(void *arg)
{
    ipc_lock *lock = arg;
    expect_rc(ipc_lock_acquire(lock), 0);
    expect_rc(ipc_lock_release(lock), 0);
    assert_non_null(ipc__self.robust);
    assert_null(ipc__self.robust->list_op_pending);
    expect_rc(ipc_lock_acquire_until(lock, ipc_after_ms(LIMIT_MS)), 0);
    expect_rc(ipc_lock_acquire(lock), -EDEADLK);
    expect_rc(ipc_lock_release(lock), 0);
    assert_null(ipc__self.robust->list_op_pending);
    return NULL;
}

/* A word of memory that is another's by then would be written to when this
 * thread dies. */
static void nothing_is_announced_when_nothing_is_held(void)
{
    ipc_lock *lock = new_lock(NULL);
    pthread_t threads[3];
    for (int round = 0; round < 20; round++) {
        expect_rc(ipc_lock_acquire(lock), 0);
        for (int i = 0; i < 3; i++)
            assert_int_equal(
                pthread_create(&threads[i], NULL, wait_and_release, lock), 0);
        while ((futex_half(lock) & FUTEX_BIT_WAITERS) == 0)
            poll_pause();
        expect_rc(ipc_lock_release(lock), 0);
        for (int i = 0; i < 3; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    /* Failing to get it announces nothing either. */
    expect_rc(ipc_lock_acquire(lock), 0);
    expect_rc(ipc_lock_acquire(lock), -EDEADLK);
    assert_null(ipc__self.robust->list_op_pending);
    expect_rc(ipc_lock_release(lock), 0);
    assert_null(ipc__self.robust->list_op_pending);
    expect_rc(ipc_lock_free(lock), 0);
}

/* ---- regions come and go ---- */

enum {
    OPENERS = 2,
    USERS = 3,
    OPENINGS = 1000
};

struct bustle {
    ipc_lock *family_lock;
    ipc_rlock *rlock;
    ipc_lock private_lock;
    long family_count, rlock_count, private_count;
    long rounds[USERS];
    uint32_t started;
    uint32_t stop;
};

static void use_all(struct bustle *bustle)
{
    expect_rc(ipc_lock_acquire(bustle->family_lock), 0);
    bustle->family_count++;
    expect_rc(ipc_lock_acquire(&bustle->private_lock), 0);
    bustle->private_count++;
    expect_rc(ipc_lock_release(bustle->family_lock), 0);
    expect_rc(ipc_lock_release(&bustle->private_lock), 0);

    /* The set of regions changes between the levels. */
    for (uint32_t depth = 1; depth <= 4; depth++) {
        expect_rc(ipc_rlock_acquire(bustle->rlock), 0);
        assert_int_equal(ipc_rlock_depth(bustle->rlock), depth);
        (void)sched_yield();
    }
    bustle->rlock_count++;
    for (uint32_t depth = 4; depth >= 1; depth--) {
        assert_int_equal(ipc_rlock_depth(bustle->rlock), depth);
        expect_rc(ipc_rlock_release(bustle->rlock), 0);
        (void)sched_yield();
    }
}

static void *use_until_stopped(void *arg)
{
    struct bustle *bustle = arg;
    const uint32_t i =
        __atomic_fetch_add(&bustle->started, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&bustle->stop, __ATOMIC_RELAXED) == 0) {
        use_all(bustle);
        bustle->rounds[i]++;
    }
    return NULL;
}

/* Opens, uses and closes a segment that others of its kind use too. */
static void *open_and_close(void *arg)
{
    (void)arg;
    for (int i = 0; i < OPENINGS; i++) {
        ipc_segment *segment = NULL;
        expect_rc(ipc_segment_open("bustle", &segment), 0);
        struct {
            ipc_lock lock;
            long count;
        } *data = ipc_segment_data(segment);
        expect_rc(ipc_lock_acquire(&data->lock), 0);
        data->count++;
        expect_rc(ipc_lock_release(&data->lock), 0);
        expect_rc(ipc_segment_close(segment), 0);
    }
    return NULL;
}

static void threads_use_locks_while_others_open_and_close_segments(void)
{
    struct bustle bustle = {.family_lock = new_lock("family"),
                            .rlock = new_rlock("rlock")};
    ipc_segment *segment = NULL;
    pthread_t openers[OPENERS], users[USERS];
    expect_rc(ipc_segment_create("bustle", 4096, NULL, &segment), 0);
    for (int i = 0; i < USERS; i++)
        assert_int_equal(
            pthread_create(&users[i], NULL, use_until_stopped, &bustle), 0);
    for (int i = 0; i < OPENERS; i++)
        assert_int_equal(
            pthread_create(&openers[i], NULL, open_and_close, NULL), 0);
    for (int i = 0; i < OPENERS; i++)
        assert_int_equal(pthread_join(openers[i], NULL), 0);
    __atomic_store_n(&bustle.stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < USERS; i++)
        assert_int_equal(pthread_join(users[i], NULL), 0);
    long rounds = 0;
    for (int i = 0; i < USERS; i++)
        rounds += bustle.rounds[i];
    test_report("openings", (long long)OPENERS * OPENINGS);
    test_report("rounds", rounds);
    assert_int_equal(bustle.family_count, rounds);
    assert_int_equal(bustle.private_count, rounds);
    assert_int_equal(bustle.rlock_count, rounds);
    assert_int_equal(
        ((long *)ipc_segment_data(segment))[sizeof(ipc_lock) / sizeof(long)],
        OPENERS * OPENINGS);
    expect_rc(ipc_segment_close(segment), 0);
    expect_rc(ipc_segment_unlink("bustle"), 0);
    expect_rc(ipc_lock_free(bustle.family_lock), 0);
    expect_rc(ipc_rlock_free(bustle.rlock), 0);
}

/* ---- libc's robust mutexes in the same list ---- */

enum {
    MUTEXES = 4
};

struct mixed {
    pthread_mutex_t mutex[MUTEXES]; /* always locked in this order */
    ipc_segment *segment[2];
    ipc_lock *lock[2];
    uint32_t ready;
    uint32_t go;
};

static void init_mutexes(struct mixed *mixed)
{
    pthread_mutexattr_t attr;
    assert_int_equal(pthread_mutexattr_init(&attr), 0);
    assert_int_equal(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST),
                     0);
    assert_int_equal(
        pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED), 0);
    for (int i = 0; i < MUTEXES; i++)
        assert_int_equal(pthread_mutex_init(&mixed->mutex[i], &attr), 0);
    assert_int_equal(pthread_mutexattr_destroy(&attr), 0);
}

static void open_segment(struct mixed *mixed, int i)
{
    static const char *const names[2] = {"mixed-0", "mixed-1"};
    expect_rc(
        ipc_segment_open_or_create(names[i], 4096, NULL, &mixed->segment[i]),
        0);
    mixed->lock[i] = ipc_segment_data(mixed->segment[i]);
}

/* The list is then, from its head: mutex 2, slot 1, mutex 1, slot 0, mutex 0.
 * Lock 1 is held. */
static void fill_list(struct mixed *mixed)
{
    assert_int_equal(pthread_mutex_lock(&mixed->mutex[0]), 0);
    expect_rc(ipc_lock_acquire(mixed->lock[0]), 0);
    expect_rc(ipc_lock_release(mixed->lock[0]), 0);
    assert_int_equal(pthread_mutex_lock(&mixed->mutex[1]), 0);
    expect_rc(ipc_lock_acquire(mixed->lock[1]), 0);
    assert_int_equal(pthread_mutex_lock(&mixed->mutex[2]), 0);
}

static void expect_owner_dead(pthread_mutex_t *mutex)
{
    assert_int_equal(pthread_mutex_trylock(mutex), EOWNERDEAD);
    assert_int_equal(pthread_mutex_consistent(mutex), 0);
    assert_int_equal(pthread_mutex_unlock(mutex), 0);
}

/* The table of a segment that was closed goes when a thread next registers:
 * the case must leave no mapping. */
static void unmap_what_stayed(void)
{
    static ipc_lock any;
    expect_rc(ipc_lock_acquire(&any), 0);
    expect_rc(ipc_lock_release(&any), 0);
}

static void *list_of_both(void *arg)
{
    struct mixed *mixed = arg;
    fill_list(mixed);
    meet_signal(&mixed->ready);
    meet_wait(&mixed->go, 1, LIMIT_MS);
    /* Segment 0 is closed.  Unlinking mutex 1 writes to both slots, unlinking
     * mutex 0 to the one in the segment that went. */
    assert_int_equal(pthread_mutex_unlock(&mixed->mutex[1]), 0);
    assert_int_equal(pthread_mutex_unlock(&mixed->mutex[0]), 0);
    assert_int_equal(pthread_mutex_lock(&mixed->mutex[3]), 0);
    return NULL;
}

/* Core/region.c: the table of peers stays while a thread is linked to it. */
static void segments_are_closed_under_threads_with_robust_mutexes(void)
{
    struct mixed *mixed = test_shared(sizeof *mixed);
    pthread_t thread;
    init_mutexes(mixed);
    open_segment(mixed, 0);
    open_segment(mixed, 1);
    assert_int_equal(pthread_create(&thread, NULL, list_of_both, mixed), 0);
    meet_wait(&mixed->ready, 1, LIMIT_MS);
    expect_rc(ipc_segment_close(mixed->segment[0]), 0);
    meet_signal(&mixed->go);
    assert_int_equal(pthread_join(thread, NULL), 0);

    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_mutex_trylock(&mixed->mutex[i]), 0);
        assert_int_equal(pthread_mutex_unlock(&mixed->mutex[i]), 0);
    }
    expect_owner_dead(&mixed->mutex[2]);
    expect_owner_dead(&mixed->mutex[3]);
    expect_rc(ipc_lock_acquire_nowait(mixed->lock[1]), IPC_OWNER_DIED);
    expect_rc(ipc_segment_close(mixed->segment[1]), 0);
    unmap_what_stayed();
    expect_rc(ipc_segment_unlink("mixed-0"), 0);
    expect_rc(ipc_segment_unlink("mixed-1"), 0);
}

static void process_with_both(void *arg)
{
    struct mixed *mixed = arg;
    open_segment(mixed, 0);
    open_segment(mixed, 1);
    fill_list(mixed);
    expect_rc(ipc_segment_close(mixed->segment[0]), 0);
    meet_signal(&mixed->ready);
    for (;;)
        (void)pause();
}

static void a_killed_process_releases_both_kinds(void)
{
    struct mixed *mixed = test_shared(sizeof *mixed);
    struct role role;
    init_mutexes(mixed);
    role_start(&role, process_with_both, mixed);
    meet_wait(&mixed->ready, 1, LIMIT_MS);
    open_segment(mixed, 1); /* while it is there, or it were abandoned */
    expect_rc(ipc_lock_acquire_nowait(mixed->lock[1]), -EAGAIN);
    (void)role_kill(&role);
    for (int i = 0; i < 3; i++)
        expect_owner_dead(&mixed->mutex[i]);
    expect_rc(ipc_lock_acquire_nowait(mixed->lock[1]), IPC_OWNER_DIED);
    expect_rc(ipc_segment_close(mixed->segment[1]), 0);
    expect_rc(ipc_segment_unlink("mixed-0"), 0);
    expect_rc(ipc_segment_unlink("mixed-1"), 0);
}

/* Every thread of a process is in the table of a segment that another one
 * closes; they go on with libc's mutexes and our locks, and end. */
enum {
    LINKED = 8
};

static void *linked_thread(void *arg)
{
    struct mixed *mixed = arg;
    static ipc_lock other;
    expect_rc(ipc_lock_acquire(mixed->lock[0]), 0);
    expect_rc(ipc_lock_release(mixed->lock[0]), 0);
    meet_signal(&mixed->ready);
    meet_wait(&mixed->go, 1, LIMIT_MS);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(pthread_mutex_lock(&mixed->mutex[0]), 0);
        expect_rc(ipc_lock_acquire(&other), 0);
        expect_rc(ipc_lock_release(&other), 0);
        assert_int_equal(pthread_mutex_unlock(&mixed->mutex[0]), 0);
    }
    return NULL;
}

static void many_threads_outlive_the_segment_they_are_linked_to(void)
{
    struct mixed *mixed = test_shared(sizeof *mixed);
    init_mutexes(mixed);
    for (int round = 0; round < 10; round++) {
        pthread_t threads[LINKED];
        mixed->ready = 0;
        mixed->go = 0;
        open_segment(mixed, 0);
        for (int i = 0; i < LINKED; i++)
            assert_int_equal(
                pthread_create(&threads[i], NULL, linked_thread, mixed), 0);
        meet_wait(&mixed->ready, LINKED, LIMIT_MS);
        expect_rc(ipc_segment_close(mixed->segment[0]), 0);
        meet_signal(&mixed->go);
        for (int i = 0; i < LINKED; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    unmap_what_stayed();
    expect_rc(ipc_segment_unlink("mixed-0"), 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(more_threads_than_slots_still_work, 60),
    TEST_CASE(nothing_is_announced_when_nothing_is_held),
    TEST_CASE(threads_use_locks_while_others_open_and_close_segments),
    TEST_CASE(segments_are_closed_under_threads_with_robust_mutexes),
    TEST_CASE(a_killed_process_releases_both_kinds),
    TEST_CASE(many_threads_outlive_the_segment_they_are_linked_to),
};
TEST_MAIN(cases)
