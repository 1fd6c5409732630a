/* Check mode finds circles: of threads, of processes, of both, over locks of
 * every kind and in every place.  One is told, backs off, and all go on. */
#include "unit/check_support.h"

#include <signal.h>

#include <ipc/once.h>

static const char *const names[] = {"alpha", "beta", "gamma", "delta"};

/* Everybody at once and one after the other; a few times. */
static void expect_ring_found(struct ring *ring, bool as_threads)
{
    static const int rounds = 5;
    (void)ipc_check_enable(true);
    long told = 0, closers = 0;
    for (int i = 0; i < 2 * rounds; i++) {
        struct ring *copy = test_shared(sizeof *copy);
        *copy = *ring;
        copy->in_order = i % 2 == 1;
        go_round(copy, as_threads);
        expect_found(copy, names);
        /* The last one closes the circle.  (Another one may happen to look
         * again at that moment.) */
        closers += copy->in_order && copy->of[copy->n - 1].rc == -EDEADLK;
        told += copy->told;
    }
    test_report(as_threads ? "told_threads" : "told_processes", told);
    assert_true(closers > 0);
}

/* ---- locks of the family ---- */

static void ring_of_new_locks(int n)
{
    struct ring *ring = new_ring(n);
    for (int i = 0; i < n; i++)
        ring->things[i] = (struct thing){new_lock(names[i]), LOCK, LOCK};
    expect_ring_found(ring, true);
    expect_ring_found(ring, false);
    for (int i = 0; i < n; i++)
        expect_rc(ipc_lock_free(ring->things[i].object), 0);
}

static void two_locks(void)
{
    ring_of_new_locks(2);
}

static void three_locks(void)
{
    ring_of_new_locks(3);
}

static void four_locks(void)
{
    ring_of_new_locks(4);
}

static void rlocks(void)
{
    struct ring *ring = new_ring(3);
    for (int i = 0; i < 3; i++)
        ring->things[i] = (struct thing){new_rlock(names[i]), RLOCK, RLOCK};
    expect_ring_found(ring, true);
    expect_ring_found(ring, false);
    for (int i = 0; i < 3; i++)
        expect_rc(ipc_rlock_free(ring->things[i].object), 0);
}

static void fair_locks(void)
{
    struct ring *ring = new_ring(3);
    for (int i = 0; i < 3; i++)
        ring->things[i] = (struct thing){fair_lock(names[i]), LOCK, LOCK};
    expect_ring_found(ring, true);
    expect_ring_found(ring, false);
    for (int i = 0; i < 3; i++)
        expect_rc(ipc_lock_free(ring->things[i].object), 0);
}

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

/* ---- other places ---- */

static void threads_with_locks_of_their_own(void)
{
    static ipc_lock locks[3];
    struct ring *ring = new_ring(3);
    for (int i = 0; i < 3; i++) {
        const ipc_lock_options options = {sizeof options, 0, names[i], 0};
        expect_rc(ipc_lock_init(&locks[i], &options), 0);
        ring->things[i] = (struct thing){&locks[i], LOCK, LOCK};
    }
    expect_ring_found(ring, true);
}

static void locks_in_a_segment(void)
{
    ipc_segment *segment = NULL;
    struct ring *ring = new_ring(3);
    expect_rc(ipc_segment_create("ring", 3 * sizeof(ipc_lock), NULL, &segment),
              0);
    ipc_lock *locks = ipc_segment_data(segment);
    for (int i = 0; i < 3; i++) {
        const ipc_lock_options options = {sizeof options, 0, names[i], 0};
        expect_rc(ipc_lock_init(&locks[i], &options), 0);
        ring->things[i] = (struct thing){&locks[i], LOCK, LOCK};
    }
    expect_ring_found(ring, true);
    expect_ring_found(ring, false);
    expect_rc(ipc_segment_close(segment), 0);
    expect_rc(ipc_segment_unlink("ring"), 0);
}

/* Some by name, some in a segment, some in family memory. */
static void locks_in_all_places(void)
{
    struct ring *ring = new_ring(4);
    ipc_segment *segment = NULL;
    ipc_lock *named = NULL;
    ipc_rlock *named_rlock = NULL;
    const ipc_lock_options one = {sizeof one, 0, names[0], 0};
    const ipc_lock_options two = {sizeof two, 0, names[1], 0};
    const ipc_lock_options three = {sizeof three, 0, names[2], 0};
    expect_rc(ipc_lock_create("ring-lock", &one, &named), 0);
    expect_rc(ipc_rlock_create("ring-rlock", &two, &named_rlock), 0);
    expect_rc(ipc_segment_create("ring-segment", 500, NULL, &segment), 0);
    expect_rc(ipc_lock_init(ipc_segment_data(segment), &three), 0);
    ring->things[0] = (struct thing){named, LOCK, LOCK};
    ring->things[1] = (struct thing){named_rlock, RLOCK, RLOCK};
    ring->things[2] = (struct thing){ipc_segment_data(segment), LOCK, LOCK};
    ring->things[3] = (struct thing){new_lock(names[3]), LOCK, LOCK};
    expect_ring_found(ring, true);
    expect_ring_found(ring, false);
    expect_rc(ipc_lock_free(ring->things[3].object), 0);
    expect_rc(ipc_lock_close(named), 0);
    expect_rc(ipc_rlock_close(named_rlock), 0);
    expect_rc(ipc_segment_close(segment), 0);
    expect_rc(ipc_lock_unlink("ring-lock"), 0);
    expect_rc(ipc_rlock_unlink("ring-rlock"), 0);
    expect_rc(ipc_segment_unlink("ring-segment"), 0);
}

/* ---- threads and processes in one circle ---- */

struct pair {
    struct ring *ring;
    int first, second;
};

/* Two parties that are threads of one process. */
static void be_two_parties(void *arg)
{
    const struct pair *pair = arg;
    struct party parties[2] = {
        {.ring = pair->ring, .index = pair->first, .is_thread = true},
        {.ring = pair->ring, .index = pair->second, .is_thread = true}};
    start_party(&parties[0]);
    start_party(&parties[1]);
    end_party(&parties[0]);
    end_party(&parties[1]);
}

static void threads_of_several_processes(void)
{
    struct pair pairs[] = {{NULL, 0, 2}, {NULL, 1, 3}};
    ipc_lock *locks[4];
    (void)ipc_check_enable(true);
    for (int i = 0; i < 4; i++)
        locks[i] = i % 2 == 0 ? new_lock(names[i]) : fair_lock(names[i]);
    for (int round = 0; round < 6; round++) {
        struct role roles[2];
        struct ring *ring = new_ring(4);
        ring->in_order = round % 2 == 1;
        for (int i = 0; i < 4; i++)
            ring->things[i] = (struct thing){locks[i], LOCK, LOCK};
        for (int i = 0; i < 2; i++) {
            pairs[i].ring = ring;
            role_start(&roles[i], be_two_parties, &pairs[i]);
        }
        let_them_want(ring);
        role_wait_ok(&roles[0], LIMIT_MS);
        role_wait_ok(&roles[1], LIMIT_MS);
        expect_found(ring, names);
    }
    for (int i = 0; i < 4; i++)
        expect_rc(ipc_lock_free(locks[i]), 0);
}

/* A stopped one waits all the same. */
static void one_that_is_stopped(void)
{
    struct ring *ring = new_ring(2);
    struct party parties[2];
    (void)ipc_check_enable(true);
    ring->in_order = true;
    for (int i = 0; i < 2; i++) {
        ring->things[i] = (struct thing){new_lock(names[i]), LOCK, LOCK};
        parties[i] = (struct party){.ring = ring, .index = i};
        start_party(&parties[i]);
    }
    meet_wait(&ring->holding, 2, LIMIT_MS);
    meet_signal(&ring->wanting);
    meet_wait(&ring->coming, 1, LIMIT_MS);
    wait_until_sleeping(parties[0].role.pid, LIMIT_MS);
    role_stop(&parties[0].role);
    meet_signal(&ring->wanting);
    const int64_t end = test_now_ns() + PATIENCE_MS * NS_PER_MS;
    while (__atomic_load_n(&ring->told, __ATOMIC_SEQ_CST) == 0 &&
           test_now_ns() < end)
        poll_pause();
    assert_true(ring->told > 0);
    assert_int_equal(kill(parties[0].role.pid, SIGCONT), 0);
    end_party(&parties[0]);
    end_party(&parties[1]);
    expect_found(ring, names);
    for (int i = 0; i < 2; i++)
        expect_rc(ipc_lock_free(ring->things[i].object), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(two_locks),
    TEST_CASE(three_locks),
    TEST_CASE(four_locks),
    TEST_CASE(rlocks),
    TEST_CASE(fair_locks),
    TEST_CASE(writers_of_rwlocks),
    TEST_CASE(readers_that_wait_for_writers),
    TEST_CASE(a_writer_that_waits_for_a_reader),
    TEST_CASE(two_rwlocks_that_each_other_reads),
    TEST_CASE(one_of_many_readers),
    TEST_CASE(a_reader_kept_out_by_a_writer_that_waits),
    TEST_CASE(a_once_whose_function_waits),
    TEST_CASE(threads_with_locks_of_their_own),
    TEST_CASE(locks_in_a_segment),
    TEST_CASE(locks_in_all_places),
    TEST_CASE(threads_of_several_processes),
    TEST_CASE(one_that_is_stopped),
};
TEST_MAIN(cases)
