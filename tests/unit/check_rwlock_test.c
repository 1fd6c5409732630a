/* Check mode finds circles in which there are rwlocks, onces and conditions. */
#include "unit/check_support.h"

#include <ipc/condition.h>
#include <ipc/once.h>

/* ---- rwlocks ---- */

static void writers_of_rwlocks(void)
{
    struct ring *ring = new_ring(2);
    for (int i = 0; i < 2; i++)
        ring->things[i] = (struct thing){new_rwlock(names[i]), WRITE, WRITE};
    expect_ring_found(ring, true);
    expect_ring_found(ring, false);
    for (int i = 0; i < 2; i++)
        expect_rc(ipc_rwlock_free(ring->things[i].object), 0);
}

static void readers_that_wait_for_writers(void)
{
    struct ring *ring = new_ring(3);
    for (int i = 0; i < 3; i++)
        ring->things[i] = (struct thing){new_rwlock(names[i]), WRITE, READ};
    expect_ring_found(ring, true);
    expect_ring_found(ring, false);
    for (int i = 0; i < 3; i++)
        expect_rc(ipc_rwlock_free(ring->things[i].object), 0);
}

/* Party 0 has the lock and wants to write; party 1 reads and wants the
 * lock. */
static void a_writer_that_waits_for_a_reader(void)
{
    struct ring *ring = new_ring(2);
    ring->things[0] = (struct thing){new_lock(names[0]), LOCK, LOCK};
    ring->things[1] = (struct thing){new_rwlock(names[1]), READ, WRITE};
    expect_ring_found(ring, true);
    expect_ring_found(ring, false);
    expect_rc(ipc_lock_free(ring->things[0].object), 0);
    expect_rc(ipc_rwlock_free(ring->things[1].object), 0);
}

static void two_rwlocks_that_each_other_reads(void)
{
    struct ring *ring = new_ring(2);
    for (int i = 0; i < 2; i++)
        ring->things[i] = (struct thing){new_rwlock(names[i]), READ, WRITE};
    expect_ring_found(ring, true);
    expect_ring_found(ring, false);
    for (int i = 0; i < 2; i++)
        expect_rc(ipc_rwlock_free(ring->things[i].object), 0);
}

/* Others read too, and leave in the end: only one reader is in the circle. */
struct crowd {
    ipc_rwlock *rwlock;
    uint32_t reading;
    uint32_t go;
};

static void read_until_go(void *arg)
{
    struct crowd *crowd = arg;
    expect_rc(ipc_rwlock_acquire_read(crowd->rwlock), 0);
    meet_signal(&crowd->reading);
    meet_wait(&crowd->go, 1, LIMIT_MS);
    expect_rc(ipc_rwlock_release(crowd->rwlock), 0);
}

static void one_of_many_readers(void)
{
    struct ring *ring = new_ring(2);
    struct crowd *crowd = test_shared(sizeof *crowd);
    struct role readers[4];
    struct party parties[2];
    (void)ipc_check_enable(true);
    crowd->rwlock = new_rwlock(names[1]);
    ring->things[0] = (struct thing){new_lock(names[0]), LOCK, LOCK};
    ring->things[1] = (struct thing){crowd->rwlock, READ, WRITE};
    ring->in_order = true;
    for (uint32_t i = 0; i < 4; i++) {
        role_start(&readers[i], read_until_go, crowd);
        meet_wait(&crowd->reading, i + 1, LIMIT_MS);
    }
    for (int i = 0; i < 2; i++) {
        parties[i] = (struct party){.ring = ring, .index = i};
        start_party(&parties[i]);
    }
    let_them_want(ring);
    while (!asleep_in_futex(tid_of_party(ring, 1)) &&
           __atomic_load_n(&ring->told, __ATOMIC_SEQ_CST) == 0)
        poll_pause();
    meet_signal(&crowd->go);
    for (int i = 0; i < 2; i++)
        end_party(&parties[i]);
    for (int i = 0; i < 4; i++)
        role_wait_ok(&readers[i], LIMIT_MS);
    expect_found(ring, names);
    expect_rc(ipc_lock_free(ring->things[0].object), 0);
    expect_rc(ipc_rwlock_free(crowd->rwlock), 0);
}

/* A reader waits for a writer that waits for another reader: party 0 reads
 * and wants the lock that party 2 has; party 1 wants to write; party 2 wants
 * to read, too late. */
struct convoy {
    ipc_lock *lock;
    ipc_rwlock *rwlock;
    uint32_t ready[3]; /* stands where it should */
    uint32_t go;       /* the last one may want to read */
    int rc[3];
    char detail[256];
};

static void read_then_lock(void *arg)
{
    struct convoy *convoy = arg;
    expect_rc(ipc_rwlock_acquire_read(convoy->rwlock), 0);
    meet_signal(&convoy->ready[0]);
    convoy->rc[0] =
        ipc_lock_acquire_until(convoy->lock, ipc_after_ms(PATIENCE_MS));
    if (convoy->rc[0] == 0)
        expect_rc(ipc_lock_release(convoy->lock), 0);
    expect_rc(ipc_rwlock_release(convoy->rwlock), 0);
}

static void only_write(void *arg)
{
    struct convoy *convoy = arg;
    meet_signal(&convoy->ready[1]);
    convoy->rc[1] = ipc_rwlock_acquire_write_until(convoy->rwlock,
                                                   ipc_after_ms(PATIENCE_MS));
    if (convoy->rc[1] == 0)
        expect_rc(ipc_rwlock_release(convoy->rwlock), 0);
}

static void lock_then_read(void *arg)
{
    struct convoy *convoy = arg;
    expect_rc(ipc_lock_acquire(convoy->lock), 0);
    meet_signal(&convoy->ready[2]);
    meet_wait(&convoy->go, 1, LIMIT_MS);
    convoy->rc[2] = ipc_rwlock_acquire_read_until(convoy->rwlock,
                                                  ipc_after_ms(PATIENCE_MS));
    if (convoy->rc[2] == -EDEADLK)
        (void)snprintf(convoy->detail, sizeof convoy->detail, "%s",
                       ipc_error_detail());
    if (convoy->rc[2] == 0)
        expect_rc(ipc_rwlock_release(convoy->rwlock), 0);
    expect_rc(ipc_lock_release(convoy->lock), 0);
}

static void a_reader_kept_out_by_a_writer_that_waits(void)
{
    struct convoy *convoy = test_shared(sizeof *convoy);
    struct role reader, writer, last;
    char text[32];
    (void)ipc_check_enable(true);
    convoy->lock = new_lock(names[0]);
    convoy->rwlock = new_rwlock(names[1]);
    role_start(&last, lock_then_read, convoy);
    meet_wait(&convoy->ready[2], 1, LIMIT_MS);
    role_start(&reader, read_then_lock, convoy);
    meet_wait(&convoy->ready[0], 1, LIMIT_MS);
    wait_until_sleeping(reader.pid, LIMIT_MS);
    role_start(&writer, only_write, convoy);
    meet_wait(&convoy->ready[1], 1, LIMIT_MS);
    wait_until_sleeping(writer.pid, LIMIT_MS);
    const int pids[] = {reader.pid, writer.pid, last.pid};
    meet_signal(&convoy->go);
    role_wait_ok(&last, LIMIT_MS);
    role_wait_ok(&reader, LIMIT_MS);
    role_wait_ok(&writer, LIMIT_MS);
    assert_int_equal(convoy->rc[0], 0);
    assert_int_equal(convoy->rc[1], 0);
    assert_int_equal(convoy->rc[2], -EDEADLK);
    for (int i = 0; i < 3; i++) {
        (void)snprintf(text, sizeof text, "pid %d", pids[i]);
        expect_says(convoy->detail, text);
    }
    expect_says(convoy->detail, "\"alpha\"");
    expect_says(convoy->detail, "\"beta\"");
    expect_rc(ipc_lock_free(convoy->lock), 0);
    expect_rc(ipc_rwlock_free(convoy->rwlock), 0);
}

/* ---- once ---- */

struct once_scene {
    ipc_once once;
    ipc_lock *lock;
    uint32_t running, holding;
    int in_once, on_once; /* what the two were told */
};

static int run_once(void *arg)
{
    struct once_scene *scene = arg;
    meet_signal(&scene->running);
    meet_wait(&scene->holding, 1, LIMIT_MS);
    const int rc =
        ipc_lock_acquire_until(scene->lock, ipc_after_ms(PATIENCE_MS));
    scene->in_once = rc;
    return rc == 0 ? ipc_lock_release(scene->lock) : rc;
}

static void do_it_once(void *arg)
{
    struct once_scene *scene = arg;
    const int rc = ipc_once_run(&scene->once, run_once, scene);
    assert_true(rc == 0 || rc == -EDEADLK);
    assert_int_equal(rc, scene->in_once);
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void lock_and_want_it_done(void *arg)
{
    struct once_scene *scene = arg;
    expect_rc(ipc_lock_acquire(scene->lock), 0);
    meet_wait(&scene->running, 1, LIMIT_MS);
    meet_signal(&scene->holding);
    scene->on_once = ipc_once_run_until(&scene->once, do_nothing, NULL,
                                        ipc_after_ms(PATIENCE_MS));
    expect_rc(ipc_lock_release(scene->lock), 0);
}

static void a_once_whose_function_waits(void)
{
    struct once_scene *scene = ipc_shared_alloc(sizeof *scene);
    struct role one, other;
    assert_non_null(scene);
    (void)ipc_check_enable(true);
    scene->lock = new_lock(names[0]);
    role_start(&one, do_it_once, scene);
    role_start(&other, lock_and_want_it_done, scene);
    role_wait_ok(&one, LIMIT_MS);
    role_wait_ok(&other, LIMIT_MS);
    assert_true(scene->in_once == -EDEADLK || scene->on_once == -EDEADLK);
    assert_true(scene->in_once == 0 || scene->in_once == -EDEADLK);
    assert_true(scene->on_once == 0 || scene->on_once == -EDEADLK);
    expect_rc(ipc_lock_free(scene->lock), 0);
    expect_rc(ipc_shared_free(scene), 0);
}

/* ---- condition ---- */

/* A wait for a condition ends with the lock held, whatever happens, so it is
 * the other one in the circle that is told, when it looks again. */
struct meeting {
    ipc_lock *outer, *inner;
    ipc_condition condition;
    uint32_t inside, wanting;
    int waited, wanted; /* what the two were told */
};

static void wait_with_both(void *arg)
{
    struct meeting *meeting = arg;
    expect_rc(ipc_lock_acquire(meeting->outer), 0);
    expect_rc(ipc_lock_acquire(meeting->inner), 0);
    meet_signal(&meeting->inside);
    meeting->waited = ipc_condition_wait_until(
        &meeting->condition, meeting->inner, ipc_after_ms(PATIENCE_MS));
    if (!ipc_lock_is_mine(meeting->inner))
        test_fail("the wait gave %d (%s), without the lock", meeting->waited,
                  ipc_error_detail());
    expect_rc(ipc_lock_release(meeting->inner), 0);
    expect_rc(ipc_lock_release(meeting->outer), 0);
}

static void want_the_other(void *arg)
{
    struct meeting *meeting = arg;
    meet_wait(&meeting->inside, 1, LIMIT_MS);
    expect_rc(ipc_lock_acquire(meeting->inner), 0);
    meet_signal(&meeting->wanting);
    meeting->wanted =
        ipc_lock_acquire_until(meeting->outer, ipc_after_ms(PATIENCE_MS));
    expect_rc(ipc_lock_release(meeting->inner), 0);
}

static void one_who_waits_for_a_condition_is_not_refused(void)
{
    struct meeting *meeting = ipc_shared_alloc(sizeof *meeting);
    struct role one, other;
    assert_non_null(meeting);
    (void)ipc_check_enable(true);
    meeting->outer = new_lock("outer");
    meeting->inner = new_lock("inner");
    role_start(&one, wait_with_both, meeting);
    role_start(&other, want_the_other, meeting);
    meet_wait(&meeting->wanting, 1, LIMIT_MS);
    wait_until_sleeping(other.pid, LIMIT_MS);
    expect_rc(ipc_condition_notify(&meeting->condition, 1), 0);
    role_wait_ok(&one, LIMIT_MS);
    role_wait_ok(&other, LIMIT_MS);
    assert_int_equal(meeting->wanted, -EDEADLK);
    assert_int_equal(meeting->waited, 0);
    expect_rc(ipc_lock_free(meeting->outer), 0);
    expect_rc(ipc_lock_free(meeting->inner), 0);
    expect_rc(ipc_shared_free(meeting), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(writers_of_rwlocks),
    TEST_CASE(readers_that_wait_for_writers),
    TEST_CASE(a_writer_that_waits_for_a_reader),
    TEST_CASE(two_rwlocks_that_each_other_reads),
    TEST_CASE(one_of_many_readers),
    TEST_CASE(a_reader_kept_out_by_a_writer_that_waits),
    TEST_CASE(a_once_whose_function_waits),
    TEST_CASE(one_who_waits_for_a_condition_is_not_refused),
};
TEST_MAIN(cases)
