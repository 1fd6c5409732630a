/* ipc_rwlock: who waits for whom, who comes first, and 120 readers. */
#include "unit/rwlock_support.h"

#include <signal.h>

/* ---- a writer that waits ---- */

static void it_keeps_new_readers_out(void)
{
    enum {
        READER,
        WRITER,
        LATE,
        ACTORS
    };
    struct actor actors[ACTORS];
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actors_start(actors, ACTORS);
    expect_rc(actor_asks(&actors[READER], read_it, rwlock), 0);
    actor_tell(&actors[WRITER], write_it, rwlock);
    actor_waits(&actors[WRITER]);

    expect_rc(actor_asks(&actors[LATE], read_nowait, rwlock), -EAGAIN);
    expect_rc(actor_asks(&actors[LATE], read_at_once, rwlock), -ETIMEDOUT);
    expect_rc(actor_asks(&actors[LATE], read_soon, rwlock), -ETIMEDOUT);
    assert_int_equal(ipc_rwlock_readers(rwlock), 1);
    actor_tell(&actors[LATE], read_it, rwlock);
    actor_goes_on_waiting(&actors[LATE]);
    actor_waits(&actors[WRITER]);

    expect_rc(actor_asks(&actors[READER], release_it, rwlock), 0);
    expect_rc(actor_result(&actors[WRITER]), 0);
    actor_goes_on_waiting(&actors[LATE]);
    expect_rc(actor_asks(&actors[WRITER], release_it, rwlock), 0);
    expect_rc(actor_result(&actors[LATE]), 0);
    expect_rc(actor_asks(&actors[LATE], release_it, rwlock), 0);
    actors_end(actors, ACTORS);
    free_good_rwlock(rwlock);
}

/* Otherwise who reads in a function that reads would wait for a writer that
 * waits for it. */
static void who_reads_may_read_again(void)
{
    struct actor writer;
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actor_start(&writer);
    expect_rc(ipc_rwlock_acquire_read(rwlock), 0);
    actor_tell(&writer, write_it, rwlock);
    actor_waits(&writer);
    for (int depth = 1; depth < MAX_DEPTH; depth++)
        expect_rc(read_forms[depth % FORMS](rwlock), 0);
    expect_rc(ipc_rwlock_acquire_read(rwlock), -EOVERFLOW);
    expect_rc(ipc_rwlock_acquire_write(rwlock), -EDEADLK);
    for (int depth = 1; depth < MAX_DEPTH; depth++)
        expect_rc(ipc_rwlock_release(rwlock), 0);
    actor_goes_on_waiting(&writer);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    expect_rc(actor_result(&writer), 0);
    expect_rc(actor_asks(&writer, release_it, rwlock), 0);
    actor_end(&writer);
    free_good_rwlock(rwlock);
}

static void it_waits_for_all_readers(void)
{
    enum {
        READERS = 5
    };
    struct actor readers[READERS], writer;
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actors_start(readers, READERS);
    actor_start(&writer);
    for (int first = 0; first < READERS; first++) {
        for (int i = 0; i < READERS; i++)
            expect_rc(actor_asks(&readers[i], read_it, rwlock), 0);
        actor_tell(&writer, write_it, rwlock);
        actor_waits(&writer);
        for (int i = 0; i < READERS; i++) {
            assert_false(actor_is_done(&writer));
            expect_rc(
                actor_asks(&readers[(first + i) % READERS], release_it, rwlock),
                0);
        }
        expect_rc(actor_result(&writer), 0);
        expect_rc(actor_asks(&writer, release_it, rwlock), 0);
    }
    actors_end(readers, READERS);
    actor_end(&writer);
    free_good_rwlock(rwlock);
}

/* Those who wait behind it are let in although the reader before it stays. */
static void it_lets_the_readers_in_when_it_gives_up(void)
{
    enum {
        LATE = 3
    };
    struct actor late[LATE], writer;
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actors_start(late, LATE);
    actor_start(&writer);
    expect_rc(ipc_rwlock_acquire_read(rwlock), 0);
    for (int round = 0; round < 3; round++) {
        actor_tell(&writer, write_soon, rwlock);
        tell_all(late, LATE, read_it, rwlock);
        expect_rc(actor_result(&writer), -ETIMEDOUT);
        expect_all(late, LATE, 0);
        expect_rc(actor_asks(&writer, write_nowait, rwlock), -EAGAIN);
        tell_all(late, LATE, release_it, rwlock);
        expect_all(late, LATE, 0);
        assert_int_equal(ipc_rwlock_readers(rwlock), 1);
    }
    expect_rc(ipc_rwlock_release(rwlock), 0);
    actors_end(late, LATE);
    actor_end(&writer);
    free_good_rwlock(rwlock);
}

/* ---- one that writes ---- */

static void all_readers_that_wait_come_in_together(void)
{
    enum {
        READERS = 6
    };
    struct actor readers[READERS];
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actors_start(readers, READERS);
    for (int round = 0; round < 3; round++) {
        expect_rc(ipc_rwlock_acquire_write(rwlock), 0);
        tell_all(readers, READERS, round == 1 ? read_late : read_it, rwlock);
        all_wait(readers, READERS);
        expect_rc(ipc_rwlock_release(rwlock), 0);
        expect_all(readers, READERS, 0);
        assert_int_equal(ipc_rwlock_readers(rwlock), READERS);
        tell_all(readers, READERS, release_it, rwlock);
        expect_all(readers, READERS, 0);
    }
    actors_end(readers, READERS);
    free_good_rwlock(rwlock);
}

static void writers_take_turns(void)
{
    enum {
        WRITERS = 3
    };
    struct actor writers[WRITERS];
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actors_start(writers, WRITERS);
    expect_rc(ipc_rwlock_acquire_write(rwlock), 0);
    tell_all(writers, WRITERS, write_it, rwlock);
    all_wait(writers, WRITERS);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    for (int served = 0; served < WRITERS; served++) {
        const int64_t end = test_now_ns() + LIMIT_MS * NS_PER_MS;
        int next = -1, done = 0;
        while (next < 0 && test_now_ns() < end)
            for (int i = 0; i < WRITERS; i++)
                if (writers[i].page->fn == write_it &&
                    actor_is_done(&writers[i]))
                    next = i;
        assert_true(next >= 0);
        for (int i = 0; i < WRITERS; i++)
            done +=
                writers[i].page->fn == write_it && actor_is_done(&writers[i]);
        assert_int_equal(done, 1);
        expect_rc(actor_result(&writers[next]), 0);
        expect_rc(actor_asks(&writers[next], release_it, rwlock), 0);
    }
    actors_end(writers, WRITERS);
    free_good_rwlock(rwlock);
}

/* Readers and writers that wait at once are all served, in whatever order. */
static void a_mixed_crowd_is_served(void)
{
    enum {
        CROWD = 6
    };
    struct actor crowd[CROWD];
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actors_start(crowd, CROWD);
    expect_rc(ipc_rwlock_acquire_write(rwlock), 0);
    for (int i = 0; i < CROWD; i++) {
        actor_tell(&crowd[i], i % 2 == 0 ? read_it : write_it, rwlock);
        actor_waits(&crowd[i]);
    }
    expect_rc(ipc_rwlock_release(rwlock), 0);
    assert_int_equal(serve_all(crowd, CROWD, rwlock), CROWD);
    actors_end(crowd, CROWD);
    free_good_rwlock(rwlock);
}

/* ---- no starvation ---- */

struct traffic {
    ipc_rwlock *rwlock;
    uint32_t reading; /* who reads now */
    uint32_t rounds;  /* of all readers */
    uint32_t stop;
};

/* So that there is always one who reads: leaves when another one is in. */
static int read_without_end(void *arg)
{
    struct traffic *traffic = arg;
    while (__atomic_load_n(&traffic->stop, __ATOMIC_SEQ_CST) == 0) {
        if (ipc_rwlock_acquire_read(traffic->rwlock) != 0)
            return -1;
        (void)__atomic_add_fetch(&traffic->reading, 1, __ATOMIC_SEQ_CST);
        (void)__atomic_add_fetch(&traffic->rounds, 1, __ATOMIC_SEQ_CST);
        /* Not for ever: a writer that waits keeps the others out. */
        for (int i = 0; i < 2000; i++)
            if (__atomic_load_n(&traffic->reading, __ATOMIC_SEQ_CST) > 1)
                break;
        (void)__atomic_sub_fetch(&traffic->reading, 1, __ATOMIC_SEQ_CST);
        if (ipc_rwlock_release(traffic->rwlock) != 0)
            return -1;
    }
    return 0;
}

static void writers_do_not_starve(void)
{
    enum {
        READERS = 3,
        TURNS = 50
    };
    struct actor readers[READERS];
    struct traffic *traffic = test_shared(sizeof *traffic);
    int64_t longest = 0;
    traffic->rwlock = new_rwlock(NULL);
    actors_start(readers, READERS);
    tell_all(readers, READERS, read_without_end, traffic);
    for (int i = 0; i < TURNS; i++) {
        const uint32_t rounds =
            __atomic_load_n(&traffic->rounds, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&traffic->rounds, __ATOMIC_SEQ_CST) < rounds + 9)
            poll_pause();
        const int64_t start = test_now_ns();
        expect_rc(write_late(traffic->rwlock), 0);
        assert_int_equal(traffic->reading, 0);
        if (test_now_ns() - start > longest)
            longest = test_now_ns() - start;
        expect_rc(ipc_rwlock_release(traffic->rwlock), 0);
    }
    traffic->stop = 1;
    expect_all(readers, READERS, 0);
    test_report("longest_us", longest / 1000);
    test_report("reads", traffic->rounds);
    actors_end(readers, READERS);
    free_good_rwlock(traffic->rwlock);
}

/* ---- downgrade ---- */

static void after_downgrade_one_reads(void)
{
    ipc_rwlock *rwlock = new_rwlock(NULL);
    expect_rc(ipc_rwlock_acquire_write(rwlock), 0);
    expect_rc(ipc_rwlock_downgrade(rwlock), 0);
    assert_true(ipc_rwlock_is_reading(rwlock));
    assert_false(ipc_rwlock_is_writing(rwlock));
    assert_int_equal(ipc_rwlock_readers(rwlock), 1);
    expect_rc(ipc_rwlock_downgrade(rwlock), -EPERM);
    expect_rc(stranger_gets(read_nowait, rwlock), 0);
    expect_rc(stranger_gets(write_nowait, rwlock), -EAGAIN);
    expect_rc(ipc_rwlock_acquire_read(rwlock), 0);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    expect_rc(ipc_rwlock_acquire_write(rwlock), -EDEADLK);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    expect_rc(ipc_rwlock_release(rwlock), -EPERM);
    expect_free(rwlock);
    expect_rc(ipc_rwlock_free(rwlock), 0);
}

static void downgrade_lets_the_readers_in_that_wait(void)
{
    enum {
        READERS = 3
    };
    struct actor readers[READERS];
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actors_start(readers, READERS);
    expect_rc(ipc_rwlock_acquire_write(rwlock), 0);
    tell_all(readers, READERS, read_it, rwlock);
    all_wait(readers, READERS);
    expect_rc(ipc_rwlock_downgrade(rwlock), 0);
    expect_all(readers, READERS, 0);
    assert_int_equal(ipc_rwlock_readers(rwlock), READERS + 1);
    tell_all(readers, READERS, release_it, rwlock);
    expect_all(readers, READERS, 0);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    actors_end(readers, READERS);
    free_good_rwlock(rwlock);
}

static void no_writer_comes_in_between(void)
{
    struct actor writers[2];
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actors_start(writers, 2);
    expect_rc(ipc_rwlock_acquire_write(rwlock), 0);
    tell_all(writers, 2, write_it, rwlock);
    all_wait(writers, 2);
    expect_rc(ipc_rwlock_downgrade(rwlock), 0);
    assert_true(ipc_rwlock_is_reading(rwlock));
    wait_ms(RECHECK_MS);
    all_wait(writers, 2);
    expect_rc(ipc_rwlock_acquire_read(rwlock), 0); /* still: again */
    expect_rc(ipc_rwlock_release(rwlock), 0);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    assert_int_equal(serve_all(writers, 2, rwlock), 2);
    actors_end(writers, 2);
    free_good_rwlock(rwlock);
}

/* ---- 120 readers ---- */

/* By the re-check: it sleeps until one of them leaves, not each. */
static void the_121st_waits_for_one_to_leave_by_recheck(void)
{
    static struct actor readers[MAX_READERS + 1];
    struct actor *late = &readers[MAX_READERS];
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actors_start_threads(readers, MAX_READERS + 1);
    for (int i = 0; i < MAX_READERS; i++)
        expect_rc(actor_asks(&readers[i], read_it, rwlock), 0);
    assert_int_equal(ipc_rwlock_readers(rwlock), MAX_READERS);
    expect_rc(actor_asks(late, read_nowait, rwlock), -EAGAIN);
    expect_rc(actor_asks(late, read_at_once, rwlock), -ETIMEDOUT);
    expect_rc(actor_asks(late, read_soon, rwlock), -ETIMEDOUT);
    expect_rc(actor_asks(&readers[7], read_it, rwlock), 0); /* again */
    expect_rc(actor_asks(&readers[7], release_it, rwlock), 0);

    static const int leaves[] = {0, 60, MAX_READERS - 1};
    for (int i = 0; i < 3; i++) {
        struct actor *first = &readers[leaves[i]];
        actor_tell(late, i == 1 ? read_late : read_it, rwlock);
        actor_waits(late);
        expect_rc(actor_asks(first, release_it, rwlock), 0);
        expect_rc(actor_result(late), 0);
        assert_int_equal(ipc_rwlock_readers(rwlock), MAX_READERS);
        expect_rc(actor_asks(late, release_it, rwlock), 0);
        expect_rc(actor_asks(first, read_it, rwlock), 0);
    }

    actor_tell(late, write_it, rwlock); /* has many to wait for */
    actor_waits(late);
    for (int i = 0; i < MAX_READERS; i++) {
        assert_false(actor_is_done(late));
        expect_rc(actor_asks(&readers[i], release_it, rwlock), 0);
    }
    expect_rc(actor_result(late), 0);
    expect_rc(actor_asks(late, release_it, rwlock), 0);
    actors_end(readers, MAX_READERS + 1);
    free_good_rwlock(rwlock);
}

/* Entries of one who lives and is about to withdraw, or so it seems. */
static void downgrade_says_when_there_is_no_place(void)
{
    struct actor other;
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actor_start(&other);
    expect_rc(actor_asks(&other, read_it, rwlock), 0);
    uint64_t entry = 0;
    for (int i = 0; i < MAX_READERS; i++)
        if ((uint32_t)rwlock->readers_[i] != 0)
            entry = rwlock->readers_[i];
    assert_true(entry != 0);
    expect_rc(actor_asks(&other, release_it, rwlock), 0);

    expect_rc(ipc_rwlock_acquire_write(rwlock), 0);
    for (int i = 0; i < MAX_READERS; i++)
        rwlock->readers_[i] = entry;
    expect_rc(ipc_rwlock_downgrade(rwlock), -EAGAIN);
    assert_true(ipc_rwlock_is_writing(rwlock));
    actor_kill(&other);
    expect_rc(ipc_rwlock_downgrade(rwlock), 0);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    free_good_rwlock(rwlock);
}

/* ---- deadlines and signals ---- */

static int64_t time_of(int (*fn)(void *arg), void *arg, int rc)
{
    const int64_t start = test_now_ns();
    expect_rc(fn(arg), rc);
    return to_ms(test_now_ns() - start);
}

static void deadlines_are_kept(void)
{
    struct actor other;
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actor_start(&other);
    expect_rc(actor_asks(&other, read_it, rwlock), 0);
    assert_in_range(time_of(write_soon, rwlock, -ETIMEDOUT), 29, 29 + SLACK_MS);
    expect_rc(actor_asks(&other, release_it, rwlock), 0);
    expect_rc(actor_asks(&other, write_it, rwlock), 0);
    assert_in_range(time_of(write_soon, rwlock, -ETIMEDOUT), 29, 29 + SLACK_MS);
    assert_in_range(time_of(read_soon, rwlock, -ETIMEDOUT), 29, 29 + SLACK_MS);
    expect_rc(actor_asks(&other, release_it, rwlock), 0);
    actor_end(&other);
    free_good_rwlock(rwlock);
}

static void no_action(int number)
{
    (void)number;
}

static int heed_signals(void *arg)
{
    struct sigaction action = {.sa_handler = no_action};
    (void)arg;
    return sigaction(SIGUSR1, &action, NULL);
}

static void signals_do_not_end_the_wait(void)
{
    struct actor actors[2];
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actors_start(actors, 2);
    tell_all(actors, 2, heed_signals, NULL);
    expect_all(actors, 2, 0);
    expect_rc(ipc_rwlock_acquire_read(rwlock), 0);
    actor_tell(&actors[0], write_it, rwlock);
    actor_waits(&actors[0]);
    actor_tell(&actors[1], read_it, rwlock);
    actor_waits(&actors[1]);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(kill(actors[i % 2].role.pid, SIGUSR1), 0);
        actor_waits(&actors[i % 2]);
    }
    expect_rc(ipc_rwlock_release(rwlock), 0);
    expect_rc(actor_result(&actors[0]), 0);
    expect_rc(actor_asks(&actors[0], release_it, rwlock), 0);
    expect_rc(actor_result(&actors[1]), 0);
    expect_rc(actor_asks(&actors[1], release_it, rwlock), 0);
    actors_end(actors, 2);
    free_good_rwlock(rwlock);
}

static const struct test_case cases[] = {
    TEST_CASE(it_keeps_new_readers_out),
    TEST_CASE(who_reads_may_read_again),
    TEST_CASE(it_waits_for_all_readers),
    TEST_CASE(it_lets_the_readers_in_when_it_gives_up),
    TEST_CASE(all_readers_that_wait_come_in_together),
    TEST_CASE(writers_take_turns),
    TEST_CASE(a_mixed_crowd_is_served),
    TEST_CASE(writers_do_not_starve),
    TEST_CASE(after_downgrade_one_reads),
    TEST_CASE(downgrade_lets_the_readers_in_that_wait),
    TEST_CASE(no_writer_comes_in_between),
    TEST_CASE(the_121st_waits_for_one_to_leave_by_recheck),
    TEST_CASE(downgrade_says_when_there_is_no_place),
    TEST_CASE(deadlines_are_kept),
    TEST_CASE(signals_do_not_end_the_wait),
};
TEST_MAIN(cases)
