/* ipc_lock wherever it may lie: private and family memory, segments, memory
 * that the program mapped by itself, and under a name. */
#include "unit/lock_support.h"

#include <errno.h>
#include <stdlib.h>

static void make_good_and_release(ipc_lock *lock)
{
    expect_rc(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    expect_rc(ipc_lock_consistent(lock), 0);
    expect_rc(ipc_lock_release(lock), 0);
}

/* ---- private memory: for threads ---- */

enum {
    THREADS = 4,
    ROUNDS = 5000
};

struct counted {
    ipc_lock lock;
    long counter;
};

static void *count(void *arg)
{
    struct counted *c = arg;
    for (int i = 0; i < ROUNDS; i++) {
        expect_rc(ipc_lock_acquire(&c->lock), 0);
        c->counter++;
        expect_rc(ipc_lock_release(&c->lock), 0);
    }
    return NULL;
}

static void count_in_threads(struct counted *c)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, c), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(c->counter, THREADS * ROUNDS);
}

static void private_memory_serves_threads(void)
{
    static struct counted in_static;
    struct counted *in_heap = calloc(1, sizeof *in_heap);
    struct counted on_stack = {.counter = 0};
    count_in_threads(&in_static);
    count_in_threads(in_heap);
    count_in_threads(&on_stack);
    free(in_heap);
}

static void *end_holding(void *arg)
{
    expect_rc(ipc_lock_acquire(arg), 0);
    return NULL;
}

static void the_end_of_a_thread_is_told_in_private_memory(void)
{
    static ipc_lock lock;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, end_holding, &lock), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    make_good_and_release(&lock);
}

/* The child's copy is another lock, and nobody's: it owns nothing. */
static void child_of_private(void *arg)
{
    ipc_lock *lock = arg;
    assert_false(ipc_lock_is_mine(lock));
    expect_rc(ipc_lock_release(lock), -EPERM);
}

static void a_fork_copies_a_private_lock_not_its_ownership(void)
{
    static ipc_lock lock;
    expect_rc(ipc_lock_acquire(&lock), 0);
    assert_int_equal(role_try(child_of_private, &lock, LIMIT_MS), 0);
    expect_rc(ipc_lock_release(&lock), 0);
}

/* ---- family memory ---- */

struct family_stage {
    uint32_t ready;
    uint32_t go;
    struct counted *c; /* made by a child */
};

static void make_and_hold(void *arg)
{
    struct family_stage *stage = arg;
    stage->c = ipc_shared_alloc(sizeof *stage->c);
    assert_non_null(stage->c);
    expect_rc(ipc_lock_acquire(&stage->c->lock), 0);
    meet_signal(&stage->ready);
    meet_wait(&stage->go, 1, LIMIT_MS);
    stage->c->counter = 42;
    expect_rc(ipc_lock_release(&stage->c->lock), 0);
    expect_rc(ipc_lock_acquire(&stage->c->lock), 0);
    meet_signal(&stage->ready);
    for (;;)
        (void)pause();
}

static void the_parent_uses_what_a_child_allocated_after_the_fork(void)
{
    struct family_stage *stage = test_shared(sizeof *stage);
    struct role child;
    expect_rc(ipc_shared_init(), 0);
    role_start(&child, make_and_hold, stage);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    struct counted *c = stage->c;
    expect_rc(ipc_lock_acquire_nowait(&c->lock), -EAGAIN);
    meet_signal(&stage->go);
    meet_wait(&stage->ready, 2, LIMIT_MS);
    assert_int_equal(c->counter, 42);
    expect_rc(ipc_lock_acquire_nowait(&c->lock), -EAGAIN);
    (void)role_kill(&child);
    make_good_and_release(&c->lock);
    expect_rc(ipc_shared_free(c), 0);
}

/* ---- segments: programs that are not related ---- */

struct segment_stage {
    uint32_t ready;
    uint32_t go;
};

static void hold_in_segment(void *arg)
{
    struct segment_stage *stage = arg;
    ipc_segment *segment = NULL;
    expect_rc(ipc_segment_open("places", &segment), 0);
    struct counted *c = ipc_segment_data(segment);
    expect_rc(ipc_lock_acquire(&c->lock), 0);
    c->counter++;
    meet_signal(&stage->ready);
    for (;;)
        (void)pause();
}

static void a_segment_serves_programs_that_are_not_related(void)
{
    struct segment_stage *stage = test_shared(sizeof *stage);
    ipc_segment *segment = NULL;
    struct role holder;
    expect_rc(
        ipc_segment_create("places", sizeof(struct counted), NULL, &segment),
        0);
    /* No call before this made a family: the role is of its own. */
    role_start(&holder, hold_in_segment, stage);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    struct counted *c = ipc_segment_data(segment);
    assert_int_equal(c->counter, 1);
    expect_rc(ipc_lock_acquire_nowait(&c->lock), -EAGAIN);
    (void)role_kill(&holder);
    make_good_and_release(&c->lock);
    expect_rc(ipc_segment_close(segment), 0);
    expect_rc(ipc_segment_unlink("places"), 0);
}

static void one_segment_mapped_twice_is_one_lock(void)
{
    ipc_segment *one = NULL;
    ipc_segment *two = NULL;
    expect_rc(ipc_segment_create("twice", 4096, NULL, &one), 0);
    expect_rc(ipc_segment_open("twice", &two), 0);
    ipc_lock *first = ipc_segment_data(one);
    ipc_lock *second = ipc_segment_data(two);
    assert_true(first != second);
    expect_rc(ipc_lock_acquire(first), 0);
    assert_true(ipc_lock_is_mine(second));
    expect_rc(ipc_lock_acquire(second), -EDEADLK);
    expect_rc(ipc_segment_close(one), 0); /* the lock is used through two */
    assert_true(ipc_lock_is_mine(second));
    expect_rc(ipc_lock_release(second), 0);
    expect_rc(ipc_segment_close(two), 0);
    expect_rc(ipc_segment_unlink("twice"), 0);
}

/* ---- memory that the program mapped by itself ---- */

struct mapped_stage {
    struct stage stage;
    ipc_lock lock;
};

/* By the re-check: what a program mapped by itself the library knows nothing
 * of, and programs that are not related cannot tell each other of deaths. */
static void foreign_mapping_death_is_found_by_recheck(void)
{
    struct mapped_stage *mapped = test_shared(sizeof *mapped);
    struct role holder, waiter;
    mapped->stage.lock = &mapped->lock;
    /* Each makes a family of its own: this process has none yet. */
    start_holder(&holder, &mapped->stage);
    start_waiter(&waiter, take_and_give, &mapped->stage);
    const int64_t start = test_now_ns();
    (void)role_kill(&holder);
    test_report("ms", expect_told(&waiter, &mapped->stage, start));
}

/* ---- names ---- */

static void named_locks_are_created_opened_and_removed(void)
{
    const ipc_lock_options options = {.size = sizeof options,
                                      .label = "tickets"};
    ipc_lock *lock = NULL;
    ipc_lock *again = NULL;
    expect_rc(ipc_lock_open("place", &lock), -ENOENT);
    expect_rc(ipc_lock_unlink("place"), -ENOENT);
    expect_rc(ipc_lock_create("place", &options, &lock), 0);
    expect_rc(ipc_lock_create("place", &options, &again), -EEXIST);
    expect_rc(ipc_lock_create("/place", &options, &again), -EEXIST);
    assert_null(again);
    assert_string_equal(lock->label_, "tickets");

    expect_rc(ipc_lock_acquire(lock), 0);
    expect_rc(ipc_lock_open("place", &again), 0);
    assert_string_equal(again->label_, "tickets");
    expect_rc(ipc_lock_acquire(again), -EDEADLK);
    expect_rc(ipc_lock_close(again), -EBUSY); /* the same lock: held */
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_close(again), 0);
    expect_rc(ipc_lock_open_or_create("place", NULL, &again), 0);
    assert_string_equal(again->label_, "tickets"); /* it was there */
    expect_rc(ipc_lock_close(again), 0);

    expect_rc(ipc_lock_close(lock), 0);
    expect_rc(ipc_lock_open("place", &lock), 0); /* the name stays */
    expect_rc(ipc_lock_unlink("place"), 0);
    expect_rc(ipc_lock_acquire(lock), 0); /* who has it keeps it */
    expect_rc(ipc_lock_open("place", &again), -ENOENT);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_close(lock), 0);
    expect_rc(ipc_lock_close(NULL), 0);
    assert_int_equal(test_shm_names(), 0);
}

static void names_and_kinds_are_checked(void)
{
    static const char *const bad[] = {"", "/", ".", "..", "a/b", "//a", ".a"};
    ipc_lock *lock = NULL;
    ipc_rlock *rlock = NULL;
    ipc_segment *segment = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect_rc(ipc_lock_create(bad[i], NULL, &lock), -EINVAL);
        expect_rc(ipc_lock_open(bad[i], &lock), -EINVAL);
        expect_rc(ipc_lock_open_or_create(bad[i], NULL, &lock), -EINVAL);
        expect_rc(ipc_lock_unlink(bad[i]), -EINVAL);
    }
    expect_rc(ipc_rlock_create("kind", NULL, &rlock), 0);
    expect_rc(ipc_lock_open("kind", &lock), -EINVAL);
    expect_detail("rlock");
    expect_rc(ipc_lock_open_or_create("kind", NULL, &lock), -EINVAL);
    expect_rc(ipc_segment_open("kind", &segment), -EINVAL);
    expect_rc(ipc_lock_unlink("kind"), -EINVAL);
    expect_rc(ipc_lock_close(&rlock->lock_), -EINVAL);
    expect_rc(ipc_rlock_close(rlock), 0);
    expect_rc(ipc_rlock_unlink("kind"), 0);
    assert_null(lock);
    assert_null(segment);
}

static void only_a_name_can_be_closed(void)
{
    static ipc_lock in_static;
    ipc_lock *in_family = new_lock(NULL);
    expect_rc(ipc_lock_close(&in_static), -EINVAL);
    expect_rc(ipc_lock_close(in_family), -EINVAL);
    expect_rc(ipc_lock_free(in_family), 0);
}

static void close_inherited(void *arg)
{
    expect_rc(ipc_lock_close(arg), 0);
}

static void a_child_closes_its_own_mapping_only(void)
{
    ipc_lock *lock = NULL;
    expect_rc(ipc_lock_create("inherit", NULL, &lock), 0);
    expect_rc(ipc_lock_acquire(lock), 0);
    assert_int_equal(role_try(close_inherited, lock, LIMIT_MS), 0);
    expect_rc(other_process_tries(lock), -EAGAIN);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_close(lock), 0);
    expect_rc(ipc_lock_unlink("inherit"), 0);
}

static void create_and_die(void *arg)
{
    ipc_lock *lock = NULL;
    const bool *holding = arg;
    expect_rc(ipc_lock_create("orphan", NULL, &lock), 0);
    if (*holding)
        expect_rc(ipc_lock_acquire(lock), 0);
    _exit(0); /* without closing it: as good as killed */
}

static void a_named_lock_is_kept_until_somebody_has_been_told(void)
{
    bool holding = true;
    ipc_lock *lock = NULL;
    assert_int_equal(role_try(create_and_die, &holding, LIMIT_MS), 0);
    expect_rc(ipc_segment_gc(), 0);
    expect_rc(ipc_lock_create("orphan", NULL, &lock), -EEXIST);
    expect_rc(ipc_lock_open("orphan", &lock), 0);
    make_good_and_release(lock);
    expect_rc(ipc_lock_close(lock), 0);
    expect_rc(ipc_segment_gc(), 0); /* closed properly: it stays */
    expect_rc(ipc_lock_unlink("orphan"), 0);

    holding = false;
    assert_int_equal(role_try(create_and_die, &holding, LIMIT_MS), 0);
    expect_rc(ipc_lock_create("orphan", NULL, &lock), 0); /* abandoned */
    expect_rc(ipc_lock_close(lock), 0);
    expect_rc(ipc_lock_unlink("orphan"), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(private_memory_serves_threads),
    TEST_CASE(the_end_of_a_thread_is_told_in_private_memory),
    TEST_CASE(a_fork_copies_a_private_lock_not_its_ownership),
    TEST_CASE(the_parent_uses_what_a_child_allocated_after_the_fork),
    TEST_CASE(a_segment_serves_programs_that_are_not_related),
    TEST_CASE(one_segment_mapped_twice_is_one_lock),
    TEST_CASE(foreign_mapping_death_is_found_by_recheck),
    TEST_CASE(named_locks_are_created_opened_and_removed),
    TEST_CASE(names_and_kinds_are_checked),
    TEST_CASE(only_a_name_can_be_closed),
    TEST_CASE(a_child_closes_its_own_mapping_only),
    TEST_CASE(a_named_lock_is_kept_until_somebody_has_been_told),
};
TEST_MAIN(cases)
