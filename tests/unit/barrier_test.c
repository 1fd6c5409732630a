/* ipc_barrier: parties that come and pass, phase after phase. */
#include "unit/barrier_support.h"

/* ---- passing ---- */

static void one_party_passes_alone(void)
{
    ipc_barrier *barrier = new_barrier(1, 0);
    assert_int_equal(sizeof *barrier, 4096);
    for (int i = 0; i < 100; i++) {
        expect_rc(ipc_barrier_wait(barrier), 0);
        expect_rc(ipc_barrier_wait_nowait(barrier), 0);
        expect_rc(come_soon(barrier), 0);
        expect_rc(come_at_once(barrier), 0);
    }
    assert_int_equal(ipc_barrier_parties(barrier), 1);
    assert_int_equal(ipc_barrier_waiting(barrier), 0);
    expect_rc(ipc_barrier_free(barrier), 0);
}

/* Places are given out in the order in which they come. */
static void pass_in_turn(struct actor *actors, int count, ipc_barrier *barrier)
{
    struct actor *last = &actors[count - 1];
    for (int i = 0; i < count - 1; i++) {
        expect_rc(actor_asks(&actors[i], come_nowait, barrier), -EAGAIN);
        assert_int_equal(ipc_barrier_waiting(barrier), i);
        actor_tell(&actors[i], i % 2 == 0 ? come : come_late, barrier);
        actor_waits(&actors[i]);
        assert_int_equal(ipc_barrier_waiting(barrier), i + 1);
    }
    expect_rc(actor_asks(last, come, barrier), count - 1);
    for (int i = 0; i < count - 1; i++)
        expect_rc(actor_result(&actors[i]), i);
    assert_int_equal(ipc_barrier_waiting(barrier), 0);
    assert_int_equal(ipc_barrier_parties(barrier), count);
    assert_false(ipc_barrier_is_broken(barrier));
}

static void two_and_ten_processes_pass(void)
{
    for (int count = 2; count <= 10; count += 8) {
        struct actor actors[10];
        ipc_barrier *barrier = new_barrier((uint32_t)count, 0);
        actors_start(actors, count);
        for (int round = 0; round < 3; round++)
            pass_in_turn(actors, count, barrier);
        actors_end(actors, count);
        expect_rc(ipc_barrier_free(barrier), 0);
    }
}

static void two_and_ten_threads_pass(void)
{
    for (int count = 2; count <= 10; count += 8) {
        static ipc_barrier local;
        struct actor actors[10];
        expect_rc(ipc_barrier_init(&local, (uint32_t)count, NULL), 0);
        actors_start_threads(actors, count);
        for (int round = 0; round < 3; round++)
            pass_in_turn(actors, count, &local);
        actors_end(actors, count);
        expect_rc(ipc_barrier_fini(&local), 0);
    }
}

/* The last one need not wait, in whatever form it comes. */
static void the_last_one_passes_in_all_forms(void)
{
    static int (*const forms[])(void *arg) = {come, come_nowait, come_at_once,
                                              come_soon, come_late};
    struct actor first;
    ipc_barrier *barrier = new_barrier(2, 0);
    actor_start(&first);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        actor_tell(&first, come, barrier);
        actor_waits(&first);
        expect_rc(forms[i](barrier), 1);
        expect_rc(actor_result(&first), 0);
    }
    actor_end(&first);
    expect_rc(ipc_barrier_free(barrier), 0);
}

/* ---- phase after phase ---- */

enum {
    PHASES = 1000,
    PARTIES = 3,
    CROWD = 6
};

struct relay {
    ipc_barrier *barrier;
    uint32_t next;           /* who is the next to work: each in turn */
    long seen[CROWD];        /* by each: the phase that it is in */
    uint32_t tickets;        /* arrivals given out */
    uint32_t given[PARTIES]; /* how often each place was somebody's */
    uint32_t torn;
};

static int work_in_phases(void *arg)
{
    struct relay *relay = arg;
    const uint32_t self =
        __atomic_fetch_add(&relay->next, 1, __ATOMIC_SEQ_CST) % PARTIES;
    for (long phase = 1; phase <= PHASES; phase++) {
        relay->seen[self] = phase;
        const int place = ipc_barrier_wait(relay->barrier);
        if (place < 0 || place >= PARTIES)
            return place < 0 ? place : -ERANGE;
        (void)__atomic_add_fetch(&relay->given[place], 1, __ATOMIC_SEQ_CST);
        for (int i = 0; i < PARTIES; i++)
            if (relay->seen[i] != phase)
                relay->torn++;
        const int again =
            ipc_barrier_wait(relay->barrier); /* all have looked */
        if (again < 0)
            return again;
    }
    return 0;
}

static void expect_relay(const struct relay *relay, uint32_t phases)
{
    assert_int_equal(relay->torn, 0);
    for (int i = 0; i < PARTIES; i++)
        assert_int_equal(relay->given[i], phases);
}

static void processes_pass_a_thousand_times(void)
{
    struct actor actors[PARTIES];
    struct relay *relay = test_shared(sizeof *relay);
    relay->barrier = new_barrier(PARTIES, 0);
    actors_start(actors, PARTIES);
    tell_all(actors, PARTIES, work_in_phases, relay);
    expect_all(actors, PARTIES, 0);
    expect_relay(relay, PHASES);
    actors_end(actors, PARTIES);
    expect_rc(ipc_barrier_free(relay->barrier), 0);
}

static void threads_pass_a_thousand_times(void)
{
    static ipc_barrier local;
    static struct relay relay = {.barrier = &local};
    struct actor actors[PARTIES];
    expect_rc(ipc_barrier_init(&local, PARTIES, NULL), 0);
    actors_start_threads(actors, PARTIES);
    tell_all(actors, PARTIES, work_in_phases, &relay);
    expect_all(actors, PARTIES, 0);
    expect_relay(&relay, PHASES);
    actors_end(actors, PARTIES);
}

/* Six come to a barrier for three: whoever comes. */
static int come_with_a_ticket(void *arg)
{
    struct relay *relay = arg;
    while (__atomic_fetch_add(&relay->tickets, 1, __ATOMIC_SEQ_CST) <
           PHASES * PARTIES) {
        const int place = ipc_barrier_wait(relay->barrier);
        if (place < 0 || place >= PARTIES)
            return place < 0 ? place : -ERANGE;
        (void)__atomic_add_fetch(&relay->given[place], 1, __ATOMIC_SEQ_CST);
    }
    return 0;
}

static void more_may_come_than_there_are_parties(void)
{
    struct actor crowd[CROWD];
    struct relay *relay = test_shared(sizeof *relay);
    relay->barrier = new_barrier(PARTIES, 0);
    actors_start_threads(crowd, CROWD / 2);
    actors_start(&crowd[CROWD / 2], CROWD / 2);
    tell_all(crowd, CROWD, come_with_a_ticket, relay);
    expect_all(crowd, CROWD, 0);
    expect_relay(relay, PHASES);
    assert_int_equal(ipc_barrier_waiting(relay->barrier), 0);
    actors_end(crowd, CROWD);
    expect_rc(ipc_barrier_free(relay->barrier), 0);
}

enum {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    MANY = 100
#else
    MANY = IPC_BARRIER_MAX
#endif
};

/* Each place is somebody's. */
static void expect_many_places(const struct actor *actors)
{
    char taken[MANY] = {0};
    for (int i = 0; i < MANY; i++) {
        const int place = actor_result(&actors[i]);
        assert_in_range(place, 0, MANY - 1);
        assert_int_equal(taken[place]++, 0);
    }
}

static void five_hundred_threads_pass(void)
{
    static struct actor actors[MANY];
    ipc_barrier *barrier = new_barrier(MANY, 0);
    actors_start_threads(actors, MANY);
    const int64_t start = test_now_ns();
    tell_all(actors, MANY, come, barrier);
    expect_many_places(actors);
    test_report("ms", to_ms(test_now_ns() - start));
    actors_end(actors, MANY);
    expect_rc(ipc_barrier_free(barrier), 0);
}

/* They look after each other meanwhile, and must not keep the last one out by
 * that. */
static void five_hundred_wait_long_for_the_last(void)
{
    static struct actor actors[MANY];
    ipc_barrier *barrier = new_barrier(MANY, 0);
    actors_start_threads(actors, MANY);
    tell_all(actors, MANY - 1, come, barrier);
    wait_ms(5 * RECHECK_MS);
    const int64_t start = test_now_ns();
    actor_tell(&actors[MANY - 1], come, barrier);
    expect_many_places(actors);
    test_report("ms", to_ms(test_now_ns() - start));
    actors_end(actors, MANY);
    expect_rc(ipc_barrier_free(barrier), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(one_party_passes_alone),
    TEST_CASE(two_and_ten_processes_pass),
    TEST_CASE(two_and_ten_threads_pass),
    TEST_CASE(the_last_one_passes_in_all_forms),
    TEST_CASE(processes_pass_a_thousand_times),
    TEST_CASE(threads_pass_a_thousand_times),
    TEST_CASE(more_may_come_than_there_are_parties),
    TEST_CASE(five_hundred_threads_pass),
    TEST_CASE(five_hundred_wait_long_for_the_last),
};
TEST_MAIN(cases)
