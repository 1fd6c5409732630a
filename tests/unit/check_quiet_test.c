/* Check mode raises no false alarm, and without it nothing is found. */
#include "unit/check_support.h"

#include "harness/scale.h"

#include <sched.h>

enum {
    WORKERS = 5,
    OBJECTS = 5,
    ROUNDS = 4000
};

/* ---- ordered acquisitions never make a circle ---- */

/* In family memory. */
struct depot {
    struct thing things[OBJECTS];
    uint32_t alarms;
    uint32_t acquired;
    char detail[256];
    uint64_t seed;
};

struct worker {
    struct depot *depot;
    pthread_t thread;
    struct role role;
    int index;
};

static void raise_alarm(struct depot *depot, int rc)
{
    if (__atomic_fetch_add(&depot->alarms, 1, __ATOMIC_SEQ_CST) == 0)
        (void)snprintf(depot->detail, sizeof depot->detail, "%d: %s", rc,
                       ipc_error_detail());
}

/* Some of them, from the first to the last; then all are released. */
static void go_through(struct depot *depot, struct test_random *random)
{
    bool has[OBJECTS] = {false};
    for (int i = 0; i < OBJECTS; i++) {
        const struct thing *thing = &depot->things[i];
        if (test_random_between(random, 0, 2) == 0)
            continue;
        const bool impatient = test_random_between(random, 0, 7) == 0;
        const int rc = acquire_thing(thing->object, thing->held,
                                     impatient ? ipc_after_us(50)
                                               : ipc_after_ms(LIMIT_MS));
        has[i] = rc == 0;
        if (i % 2 == 0)
            (void)sched_yield(); /* so that others come and wait */
        if (rc != 0 && !(impatient && rc == -ETIMEDOUT))
            raise_alarm(depot, rc);
    }
    for (int i = OBJECTS - 1; i >= 0; i--)
        if (has[i]) {
            const struct thing *thing = &depot->things[i];
            expect_rc(release_thing(thing->object, thing->held), 0);
            (void)__atomic_add_fetch(&depot->acquired, 1, __ATOMIC_RELAXED);
        }
}

static void work(void *arg)
{
    const struct worker *worker = arg;
    struct test_random random = {worker->depot->seed +
                                 (uint64_t)worker->index * 7919};
    for (long i = 0; i < ROUNDS * test_scale(); i++)
        go_through(worker->depot, &random);
}

static void *work_as_thread(void *arg)
{
    work(arg);
    return NULL;
}

static struct depot *new_depot(void)
{
    struct depot *depot = ipc_shared_alloc(sizeof *depot);
    assert_non_null(depot);
    depot->things[0] = (struct thing){new_lock("one"), LOCK, LOCK};
    depot->things[1] = (struct thing){new_rwlock("two"), READ, READ};
    depot->things[2] = (struct thing){new_rlock("three"), RLOCK, RLOCK};
    depot->things[3] = (struct thing){fair_lock("four"), LOCK, LOCK};
    depot->things[4] = (struct thing){new_rwlock("five"), WRITE, WRITE};
    depot->seed = test_seed();
    return depot;
}

static void expect_quiet(struct depot *depot)
{
    test_report("acquired", depot->acquired);
    if (depot->alarms != 0)
        test_fail("%u false alarms: %s", depot->alarms, depot->detail);
    assert_true(depot->acquired > ROUNDS);
    expect_rc(ipc_lock_free(depot->things[0].object), 0);
    expect_rc(ipc_rwlock_free(depot->things[1].object), 0);
    expect_rc(ipc_rlock_free(depot->things[2].object), 0);
    expect_rc(ipc_lock_free(depot->things[3].object), 0);
    expect_rc(ipc_rwlock_free(depot->things[4].object), 0);
    expect_rc(ipc_shared_free(depot), 0);
}

static void processes_in_order_raise_no_alarm(void)
{
    struct depot *depot = new_depot();
    struct worker workers[WORKERS];
    (void)ipc_check_enable(true);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.depot = depot, .index = i};
        role_start(&workers[i].role, work, &workers[i]);
    }
    for (int i = 0; i < WORKERS; i++)
        role_wait_ok(&workers[i].role, 6 * LIMIT_MS);
    expect_quiet(depot);
}

static void threads_in_order_raise_no_alarm(void)
{
    struct depot *depot = new_depot();
    struct worker workers[WORKERS];
    (void)ipc_check_enable(true);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.depot = depot, .index = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL,
                                        work_as_thread, &workers[i]),
                         0);
    }
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    expect_quiet(depot);
}

/* Two that take turns, each with what the other one had a moment ago: what
 * was said before must not be believed any more. */
static void two_that_swap(void *arg)
{
    const struct worker *worker = arg;
    struct depot *depot = worker->depot;
    for (long i = 0; i < 2L * ROUNDS * test_scale(); i++)
        for (int k = 0; k < 2; k++) {
            ipc_lock *lock = depot->things[(worker->index + k) % 2].object;
            const int rc = ipc_lock_acquire(lock);
            if (i % 4 == 0)
                (void)sched_yield();
            if (rc != 0)
                raise_alarm(depot, rc);
            else
                expect_rc(ipc_lock_release(lock), 0);
        }
}

static void one_lock_at_a_time_raises_no_alarm(void)
{
    struct depot *depot = ipc_shared_alloc(sizeof *depot);
    struct worker workers[4];
    assert_non_null(depot);
    (void)ipc_check_enable(true);
    depot->things[0].object = new_lock("one");
    depot->things[1].object = new_lock("two");
    for (int i = 0; i < 4; i++) {
        workers[i] = (struct worker){.depot = depot, .index = i};
        role_start(&workers[i].role, two_that_swap, &workers[i]);
    }
    for (int i = 0; i < 4; i++)
        role_wait_ok(&workers[i].role, 6 * LIMIT_MS);
    if (depot->alarms != 0)
        test_fail("%u false alarms: %s", depot->alarms, depot->detail);
    expect_rc(ipc_lock_free(depot->things[0].object), 0);
    expect_rc(ipc_lock_free(depot->things[1].object), 0);
    expect_rc(ipc_shared_free(depot), 0);
}

/* ---- what is no circle any more, or not yet ---- */

/* The other one holds b, and waits for a in some way; a is the case's. */
struct pair {
    ipc_lock *a, *b;
    uint32_t holding, coming, done, go;
    int rc;
    ipc_deadline deadline;
};

static struct pair *new_pair(void)
{
    struct pair *pair = test_shared(sizeof *pair);
    (void)ipc_check_enable(true);
    pair->a = new_lock("a");
    pair->b = new_lock("b");
    expect_rc(ipc_lock_acquire(pair->a), 0);
    return pair;
}

static void end_pair(struct pair *pair)
{
    expect_rc(ipc_lock_release(pair->a), 0);
    expect_rc(ipc_lock_free(pair->a), 0);
    expect_rc(ipc_lock_free(pair->b), 0);
}

static void hold_b_want_a(void *arg)
{
    struct pair *pair = arg;
    expect_rc(ipc_lock_acquire(pair->b), 0);
    meet_signal(&pair->holding);
    pair->rc = pair->deadline == IPC_TIME_NOW
                   ? ipc_lock_acquire_nowait(pair->a)
                   : ipc_lock_acquire_until(pair->a, pair->deadline);
    meet_signal(&pair->done);
    meet_wait(&pair->go, 1, LIMIT_MS);
    expect_rc(ipc_lock_release(pair->b), 0);
}

/* The other one has both, and dies. */
static void inherit_both(struct pair *pair, struct role *role)
{
    (void)role_kill(role);
    expect_rc(ipc_lock_acquire(pair->a), IPC_OWNER_DIED);
    expect_rc(ipc_lock_consistent(pair->a), 0);
    expect_rc(ipc_lock_acquire(pair->b), IPC_OWNER_DIED);
    expect_rc(ipc_lock_consistent(pair->b), 0);
    expect_rc(ipc_lock_release(pair->b), 0);
}

static void who_has_given_up_waiting_does_not_wait(void)
{
    struct pair *pair = new_pair();
    struct role role;
    pair->deadline = ipc_after_ms(20);
    role_start(&role, hold_b_want_a, pair);
    meet_wait(&pair->done, 1, LIMIT_MS);
    assert_int_equal(pair->rc, -ETIMEDOUT);
    expect_rc(ipc_lock_acquire_until(pair->b, ipc_after_ms(20)), -ETIMEDOUT);
    meet_signal(&pair->go);
    role_wait_ok(&role, LIMIT_MS);
    end_pair(pair);
}

static void who_only_tries_does_not_wait(void)
{
    struct pair *pair = new_pair();
    struct role role;
    pair->deadline = IPC_TIME_NOW;
    role_start(&role, hold_b_want_a, pair);
    meet_wait(&pair->done, 1, LIMIT_MS);
    assert_int_equal(pair->rc, -EAGAIN);
    expect_rc(ipc_lock_acquire_until(pair->b, ipc_after_ms(20)), -ETIMEDOUT);
    meet_signal(&pair->go);
    role_wait_ok(&role, LIMIT_MS);
    end_pair(pair);
}

/* The circle would be closed, but who does not wait is in none. */
static void trying_into_a_circle_only_says_that_it_is_held(void)
{
    struct pair *pair = new_pair();
    struct role role;
    pair->deadline = ipc_after_ms(LIMIT_MS);
    role_start(&role, hold_b_want_a, pair);
    meet_wait(&pair->holding, 1, LIMIT_MS);
    wait_until_sleeping(role.pid, LIMIT_MS);
    expect_rc(ipc_lock_acquire_nowait(pair->b), -EAGAIN);
    expect_rc(ipc_lock_acquire(pair->b), -EDEADLK);
    expect_detail("deadlock");
    expect_rc(ipc_lock_release(pair->a), 0);
    meet_wait(&pair->done, 1, LIMIT_MS);
    assert_int_equal(pair->rc, 0);
    inherit_both(pair, &role);
    end_pair(pair);
}

static void who_waited_and_died_is_no_circle(void)
{
    struct pair *pair = new_pair();
    struct role role;
    pair->deadline = ipc_after_ms(LIMIT_MS);
    role_start(&role, hold_b_want_a, pair);
    meet_wait(&pair->holding, 1, LIMIT_MS);
    wait_until_sleeping(role.pid, LIMIT_MS);
    (void)role_kill(&role);
    expect_rc(ipc_lock_acquire(pair->b), IPC_OWNER_DIED);
    expect_rc(ipc_lock_consistent(pair->b), 0);
    expect_rc(ipc_lock_release(pair->b), 0);
    end_pair(pair);
}

/* It has what it waited for, and goes on with both. */
static void who_got_what_it_waited_for_does_not_wait(void)
{
    struct pair *pair = new_pair();
    struct role role;
    pair->deadline = ipc_after_ms(LIMIT_MS);
    role_start(&role, hold_b_want_a, pair);
    meet_wait(&pair->holding, 1, LIMIT_MS);
    wait_until_sleeping(role.pid, LIMIT_MS);
    expect_rc(ipc_lock_release(pair->a), 0);
    meet_wait(&pair->done, 1, LIMIT_MS);
    assert_int_equal(pair->rc, 0);
    expect_rc(ipc_lock_acquire_until(pair->a, ipc_after_ms(10)), -ETIMEDOUT);
    expect_rc(ipc_lock_acquire_until(pair->b, ipc_after_ms(10)), -ETIMEDOUT);
    inherit_both(pair, &role);
    end_pair(pair);
}

/* A chain whose end is not bound to its beginning. */
static void a_long_chain_is_no_circle(void)
{
    struct ring *ring = new_ring(5);
    struct party parties[4];
    (void)ipc_check_enable(true);
    ring->in_order = true;
    for (int i = 0; i < 5; i++)
        ring->things[i] = (struct thing){new_lock("link"), LOCK, LOCK};
    expect_rc(ipc_lock_acquire(ring->things[4].object), 0);
    for (int i = 0; i < 4; i++) {
        parties[i] = (struct party){.ring = ring, .index = i};
        start_party(&parties[i]);
    }
    meet_wait(&ring->holding, 4, LIMIT_MS);
    for (uint32_t i = 0; i < 4; i++) {
        meet_signal(&ring->wanting);
        meet_wait(&ring->coming, i + 1, LIMIT_MS);
        wait_until_sleeping(parties[i].role.pid, LIMIT_MS);
    }
    wait_ms(RECHECK_MS);
    expect_rc(ipc_lock_release(ring->things[4].object), 0);
    for (int i = 0; i < 4; i++) {
        end_party(&parties[i]);
        assert_int_equal(ring->of[i].rc, 0);
    }
    assert_int_equal(ring->told, 0);
    for (int i = 0; i < 5; i++)
        expect_rc(ipc_lock_free(ring->things[i].object), 0);
}

/* ---- off ---- */

static void without_it_they_wait_for_each_other(void)
{
    (void)ipc_check_enable(false);
    for (int as_threads = 0; as_threads < 2; as_threads++) {
        struct ring *ring = new_ring(3);
        ring->patience_ms = 150;
        for (int i = 0; i < 3; i++)
            ring->things[i] = (struct thing){new_lock("x"), LOCK, LOCK};
        go_round(ring, as_threads != 0);
        assert_int_equal(ring->told, 0);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(ring->of[i].rc, -ETIMEDOUT);
            expect_rc(ipc_lock_free(ring->things[i].object), 0);
        }
    }
}

static void waiting_for_oneself_is_told_with_and_without_it(void)
{
    for (int on = 0; on < 2; on++) {
        (void)ipc_check_enable(on != 0);
        ipc_lock *lock = new_lock("mine");
        ipc_rwlock *rwlock = new_rwlock("mine");
        expect_rc(ipc_lock_acquire(lock), 0);
        expect_rc(ipc_lock_acquire(lock), -EDEADLK);
        expect_detail("\"mine\"");
        expect_rc(ipc_lock_acquire_nowait(lock), -EDEADLK);
        expect_rc(ipc_lock_release(lock), 0);
        expect_rc(ipc_rwlock_acquire_read(rwlock), 0);
        expect_rc(ipc_rwlock_acquire_write(rwlock), -EDEADLK);
        expect_detail("\"mine\"");
        expect_rc(ipc_rwlock_release(rwlock), 0);
        expect_rc(ipc_lock_free(lock), 0);
        expect_rc(ipc_rwlock_free(rwlock), 0);
    }
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(processes_in_order_raise_no_alarm, 60),
    TEST_CASE_LIMIT(threads_in_order_raise_no_alarm, 60),
    TEST_CASE_LIMIT(one_lock_at_a_time_raises_no_alarm, 60),
    TEST_CASE(who_has_given_up_waiting_does_not_wait),
    TEST_CASE(who_only_tries_does_not_wait),
    TEST_CASE(trying_into_a_circle_only_says_that_it_is_held),
    TEST_CASE(who_waited_and_died_is_no_circle),
    TEST_CASE(who_got_what_it_waited_for_does_not_wait),
    TEST_CASE(a_long_chain_is_no_circle),
    TEST_CASE(without_it_they_wait_for_each_other),
    TEST_CASE(waiting_for_oneself_is_told_with_and_without_it),
};
TEST_MAIN(cases)
