/* Check mode finds circles: of threads, of processes, of both, over locks and
 * rlocks in every place.  One is told, backs off, and all go on. */
#include "unit/check_support.h"

#include <signal.h>

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
    TEST_CASE(threads_with_locks_of_their_own),
    TEST_CASE(locks_in_a_segment),
    TEST_CASE(locks_in_all_places),
    TEST_CASE(threads_of_several_processes),
    TEST_CASE(one_that_is_stopped),
};
TEST_MAIN(cases)
