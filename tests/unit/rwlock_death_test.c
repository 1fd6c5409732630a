/* ipc_rwlock when those who hold it, or wait for it, die: T24.  Where the
 * kernel tells, the figure "ms" is below one; where the re-check finds out,
 * the name says so, and 200 ms are promised. */
#include "unit/rwlock_support.h"

#include <pthread.h>

static int no_robust_list(void *arg)
{
    (void)arg;
    ipc__robust_list_usable = false;
    return 0;
}

/* It returns within the time that is promised; in ms after start. */
static long told_after(const struct actor *actor, int rc, int64_t start)
{
    if (!meet_within(&actor->page->done, actor->page->order + 1,
                     RECHECK_MS + SLACK_MS))
        test_fail("nobody told it of the death");
    expect_rc(actor_result(actor), rc);
    return to_ms(actor->page->end_ns - start);
}

/* ---- readers that die ---- */

enum {
    READERS = 10
};

/* Ten read, a writer waits, five die, the others leave. */
static void five_of_ten_die(int (*before)(void *arg), bool alive_leave_first)
{
    struct actor readers[READERS], writer;
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actors_start(readers, READERS);
    actor_start(&writer);
    for (int i = 0; i < READERS; i++) {
        if (before != NULL)
            expect_rc(actor_asks(&readers[i], before, NULL), 0);
        for (int depth = 0; depth <= i % 3; depth++)
            expect_rc(actor_asks(&readers[i], read_it, rwlock), 0);
    }
    actor_tell(&writer, write_it, rwlock);
    actor_waits(&writer);

    int64_t last = test_now_ns();
    for (int turn = 0; turn < 2; turn++) {
        for (int i = 0; i < READERS; i++) {
            const bool dies = i % 2 == 0;
            if (dies == (alive_leave_first == (turn == 0)))
                continue;
            assert_false(actor_is_done(&writer));
            for (int depth = 0; !dies && depth <= i % 3; depth++)
                expect_rc(actor_asks(&readers[i], release_it, rwlock), 0);
            last = test_now_ns();
            if (dies)
                actor_kill(&readers[i]);
        }
    }
    test_report("ms", told_after(&writer, 0, last));
    assert_int_equal(ipc_rwlock_readers(rwlock), 0);
    expect_rc(actor_asks(&writer, release_it, rwlock), 0);
    for (int i = 1; i < READERS; i += 2)
        actor_end(&readers[i]);
    actor_end(&writer);
    free_good_rwlock(rwlock);
}

static void t24_dead_readers_are_not_waited_for(void)
{
    five_of_ten_die(NULL, false);
}

static void t24_the_last_readers_die_while_a_writer_waits(void)
{
    five_of_ten_die(NULL, true);
}

static void t24_the_last_readers_die_unnoticed_by_recheck(void)
{
    five_of_ten_die(no_robust_list, true);
}

static void the_dead_are_not_counted(void)
{
    ipc_rwlock *rwlock = new_rwlock(NULL);
    die_in(read_it, rwlock);
    assert_int_equal(ipc_rwlock_readers(rwlock), 0);
    expect_rc(ipc_rwlock_acquire_read(rwlock), 0);
    die_in(read_it, rwlock);
    assert_int_equal(ipc_rwlock_readers(rwlock), 1);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    expect_rc(ipc_rwlock_acquire_write_nowait(rwlock), 0);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    die_in(read_it, rwlock);
    expect_rc(ipc_rwlock_acquire_write_until(rwlock, IPC_TIME_NOW), 0);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    free_good_rwlock(rwlock);
}

/* Their places are taken by others, without a writer to clean up. */
static void more_die_than_there_are_places(void)
{
    enum {
        DEAD = MAX_READERS + 10
    };
    ipc_rwlock *rwlock = new_rwlock(NULL);
    for (int i = 0; i < DEAD; i++)
        die_in(i % 2 == 0 ? read_it : read_nowait, rwlock);
    assert_int_equal(ipc_rwlock_readers(rwlock), 0);
    expect_rc(ipc_rwlock_acquire_read(rwlock), 0);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    for (int i = 0; i < DEAD; i++)
        die_in(read_it, rwlock);
    expect_rc(ipc_rwlock_acquire_write(rwlock), 0);
    expect_rc(ipc_rwlock_downgrade(rwlock), 0);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    free_good_rwlock(rwlock);
}

static void *read_and_end(void *arg)
{
    expect_rc(ipc_rwlock_acquire_read(arg), 0);
    expect_rc(ipc_rwlock_acquire_read(arg), 0);
    return NULL;
}

static void *write_and_end(void *arg)
{
    expect_rc(ipc_rwlock_acquire_write(arg), 0);
    return NULL;
}

static void in_a_thread(void *(*fn)(void *arg), ipc_rwlock *rwlock)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fn, rwlock), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void the_end_of_a_thread_is_a_death(void)
{
    static ipc_rwlock local;
    ipc_rwlock *const both[] = {&local, new_rwlock(NULL)};
    for (int i = 0; i < 2; i++) {
        in_a_thread(read_and_end, both[i]);
        expect_rc(ipc_rwlock_acquire_write(both[i]), 0);
        expect_rc(ipc_rwlock_release(both[i]), 0);
        in_a_thread(write_and_end, both[i]);
        expect_rc(ipc_rwlock_acquire_read(both[i]), -EOWNERDEAD);
        expect_rc(ipc_rwlock_acquire_write(both[i]), IPC_OWNER_DIED);
        expect_rc(ipc_rwlock_consistent(both[i]), 0);
        expect_rc(ipc_rwlock_release(both[i]), 0);
    }
    free_good_rwlock(both[1]);
}

/* ---- a writer that dies ---- */

static void it_leaves_data_in_need_of_repair(void)
{
    ipc_rwlock *rwlock = new_rwlock("torn");
    for (int round = 0; round < FORMS; round++) {
        die_in(write_forms[round], rwlock);
        for (int form = 0; form < FORMS; form++)
            expect_rc(read_forms[form](rwlock), -EOWNERDEAD);
        expect_detail("torn");
        assert_false(ipc_rwlock_is_reading(rwlock));
        expect_rc(stranger_gets(read_it, rwlock), -EOWNERDEAD);
        expect_rc(write_forms[round](rwlock), IPC_OWNER_DIED);
        assert_true(ipc_rwlock_is_writing(rwlock));
        expect_rc(ipc_rwlock_downgrade(rwlock), -EINVAL);
        expect_rc(ipc_rwlock_reset(rwlock), -EINVAL);
        expect_rc(ipc_rwlock_consistent(rwlock), 0);
        expect_rc(ipc_rwlock_consistent(rwlock), -EINVAL);
        if (round % 2 == 0)
            expect_rc(ipc_rwlock_downgrade(rwlock), 0);
        expect_rc(ipc_rwlock_release(rwlock), 0);
        expect_rc(stranger_gets(read_nowait, rwlock), 0);
        expect_rc(stranger_gets(write_nowait, rwlock), 0);
    }
    free_good_rwlock(rwlock);
}

static void the_news_outlives_those_who_died_with_it(void)
{
    struct actor doomed;
    ipc_rwlock *rwlock = new_rwlock(NULL);
    die_in(write_it, rwlock);
    for (int i = 0; i < 3; i++) {
        actor_start(&doomed);
        expect_rc(actor_asks(&doomed, write_it, rwlock), IPC_OWNER_DIED);
        actor_kill(&doomed);
        expect_rc(ipc_rwlock_acquire_read(rwlock), -EOWNERDEAD);
    }
    expect_rc(ipc_rwlock_acquire_write(rwlock), IPC_OWNER_DIED);
    expect_rc(ipc_rwlock_consistent(rwlock), 0);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    expect_rc(ipc_rwlock_acquire_write(rwlock), 0);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    free_good_rwlock(rwlock);
}

static void given_up_until_reset(void)
{
    ipc_rwlock *rwlock = new_rwlock("hope");
    die_in(write_it, rwlock);
    expect_rc(ipc_rwlock_acquire_write(rwlock), IPC_OWNER_DIED);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    for (int form = 0; form < FORMS; form++) {
        expect_rc(read_forms[form](rwlock), -ENOTRECOVERABLE);
        expect_detail("hope");
        expect_rc(write_forms[form](rwlock), -ENOTRECOVERABLE);
        expect_detail("hope");
    }
    expect_rc(stranger_gets(read_it, rwlock), -ENOTRECOVERABLE);
    expect_rc(ipc_rwlock_release(rwlock), -EPERM);
    assert_false(ipc_rwlock_is_writing(rwlock));
    assert_int_equal(ipc_rwlock_readers(rwlock), 0);
    expect_rc(ipc_rwlock_reset(rwlock), 0);
    expect_rc(ipc_rwlock_reset(rwlock), -EINVAL);
    expect_rc(stranger_gets(read_nowait, rwlock), 0);
    expect_rc(stranger_gets(write_nowait, rwlock), 0);
    free_good_rwlock(rwlock);
}

enum {
    WAITERS = 4
};

/* One that writes, and dies when the crowd waits: returns when. */
static int64_t die_before(struct actor *crowd, int (*const acts[])(void *arg),
                          int (*before)(void *arg), ipc_rwlock *rwlock)
{
    struct actor doomed;
    actor_start(&doomed);
    actors_start(crowd, WAITERS);
    if (before != NULL)
        expect_rc(actor_asks(&doomed, before, NULL), 0);
    expect_rc(actor_asks(&doomed, write_it, rwlock), 0);
    for (int i = 0; i < WAITERS; i++) {
        actor_tell(&crowd[i], acts[i], rwlock);
        actor_waits(&crowd[i]);
    }
    const int64_t start = test_now_ns();
    actor_kill(&doomed);
    return start;
}

static void those_who_wait_are_told(int (*before)(void *arg))
{
    static int (*const acts[])(void *arg) = {read_it, read_late, read_it,
                                             read_it};
    struct actor crowd[WAITERS];
    long ms = 0;
    ipc_rwlock *rwlock = new_rwlock(NULL);
    const int64_t start = die_before(crowd, acts, before, rwlock);
    for (int i = 0; i < WAITERS; i++) {
        const long after = told_after(&crowd[i], -EOWNERDEAD, start);
        ms = after > ms ? after : ms;
    }
    test_report("ms", ms);
    actors_end(crowd, WAITERS);
    expect_rc(ipc_rwlock_acquire_write(rwlock), IPC_OWNER_DIED);
    expect_rc(ipc_rwlock_consistent(rwlock), 0);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    free_good_rwlock(rwlock);
}

/* Of the writers one is told and makes it good.  The readers are sent away, or
 * let in after that. */
static void one_writer_that_waits_takes_over(int (*before)(void *arg))
{
    static int (*const acts[])(void *arg) = {read_it, write_it, read_it,
                                             write_late};
    struct actor crowd[WAITERS];
    ipc_rwlock *rwlock = new_rwlock(NULL);
    const int64_t start = die_before(crowd, acts, before, rwlock);
    while (!actor_is_done(&crowd[1]) && !actor_is_done(&crowd[3]))
        poll_pause();
    const int first = actor_is_done(&crowd[1]) ? 1 : 3;
    test_report("ms", told_after(&crowd[first], IPC_OWNER_DIED, start));
    expect_rc(actor_asks(&crowd[first], say_consistent, rwlock), 0);
    expect_rc(actor_asks(&crowd[first], release_it, rwlock), 0);
    struct actor rest[] = {crowd[0], crowd[2], crowd[4 - first]};
    assert_true(serve_all(rest, 3, rwlock) >= 1);
    actors_end(crowd, WAITERS);
    free_good_rwlock(rwlock);
}

static void those_who_wait_are_told_at_once(void)
{
    those_who_wait_are_told(NULL);
}

static void those_who_wait_are_told_by_recheck(void)
{
    those_who_wait_are_told(no_robust_list);
}

static void one_writer_takes_over_at_once(void)
{
    one_writer_that_waits_takes_over(NULL);
}

static void one_writer_takes_over_by_recheck(void)
{
    one_writer_that_waits_takes_over(no_robust_list);
}

static void giving_up_sends_all_away(void)
{
    struct actor crowd[WAITERS];
    ipc_rwlock *rwlock = new_rwlock(NULL);
    die_in(write_it, rwlock);
    actors_start(crowd, WAITERS);
    expect_rc(ipc_rwlock_acquire_write(rwlock), IPC_OWNER_DIED);
    for (int i = 0; i < WAITERS; i++) {
        actor_tell(&crowd[i], i % 2 == 0 ? read_it : write_it, rwlock);
        actor_waits(&crowd[i]);
    }
    expect_rc(ipc_rwlock_release(rwlock), 0);
    expect_all(crowd, WAITERS, -ENOTRECOVERABLE);
    actors_end(crowd, WAITERS);
    expect_rc(ipc_rwlock_reset(rwlock), 0);
    free_good_rwlock(rwlock);
}

static void readers_wait_for_who_repairs(void)
{
    struct actor reader;
    ipc_rwlock *rwlock = new_rwlock(NULL);
    die_in(write_it, rwlock);
    actor_start(&reader);
    expect_rc(ipc_rwlock_acquire_write(rwlock), IPC_OWNER_DIED);
    expect_rc(actor_asks(&reader, read_soon, rwlock), -ETIMEDOUT);
    expect_rc(ipc_rwlock_consistent(rwlock), 0);
    expect_rc(actor_asks(&reader, read_soon, rwlock), -ETIMEDOUT);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    expect_rc(actor_asks(&reader, read_nowait, rwlock), 0);
    expect_rc(actor_asks(&reader, release_it, rwlock), 0);
    actor_end(&reader);
    free_good_rwlock(rwlock);
}

/* ---- a writer that dies while it waits ---- */

static void it_has_written_nothing(void)
{
    struct actor doomed, late;
    ipc_rwlock *rwlock = new_rwlock(NULL);
    expect_rc(ipc_rwlock_acquire_read(rwlock), 0);
    for (int round = 0; round < 3; round++) {
        actor_start(&doomed);
        actor_start(&late);
        actor_tell(&doomed, round == 1 ? write_late : write_it, rwlock);
        actor_waits(&doomed);
        if (round == 2) {
            actor_tell(&late, read_it, rwlock);
            actor_waits(&late);
        }
        const int64_t start = test_now_ns();
        actor_kill(&doomed);
        if (round == 2)
            test_report("ms", told_after(&late, 0, start));
        else
            expect_rc(actor_asks(&late, read_nowait, rwlock), 0);
        expect_rc(actor_asks(&late, release_it, rwlock), 0);
        actor_end(&late);
    }
    expect_rc(ipc_rwlock_release(rwlock), 0);
    expect_rc(ipc_rwlock_acquire_write(rwlock), 0);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    free_good_rwlock(rwlock);
}

/* Its death is no reason for the writer behind it to go in. */
static void the_next_writer_waits_for_the_readers_too(void)
{
    struct actor reader, doomed, next;
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actor_start(&reader);
    actor_start(&doomed);
    actor_start(&next);
    expect_rc(actor_asks(&reader, read_it, rwlock), 0);
    actor_tell(&doomed, write_it, rwlock);
    actor_waits(&doomed);
    actor_tell(&next, write_it, rwlock);
    actor_waits(&next);
    actor_kill(&doomed);
    actor_goes_on_waiting(&next);
    expect_rc(actor_asks(&reader, release_it, rwlock), 0);
    expect_rc(actor_result(&next), 0);
    expect_rc(actor_asks(&next, release_it, rwlock), 0);
    actor_end(&next);
    actor_end(&reader);
    free_good_rwlock(rwlock);
}

static void one_that_became_a_reader_has_written_nothing(void)
{
    struct actor doomed;
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actor_start(&doomed);
    expect_rc(actor_asks(&doomed, write_it, rwlock), 0);
    expect_rc(actor_asks(&doomed, downgrade_it, rwlock), 0);
    actor_kill(&doomed);
    expect_rc(stranger_gets(read_nowait, rwlock), 0);
    expect_rc(ipc_rwlock_acquire_write_nowait(rwlock), 0);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    free_good_rwlock(rwlock);
}

/* ---- stopped is not dead ---- */

static void nothing_is_taken_from_the_stopped(void)
{
    static int (*const acts[])(void *arg) = {read_it, write_it};
    ipc_rwlock *rwlock = new_rwlock(NULL);
    for (int i = 0; i < 2; i++) {
        struct actor stopped;
        actor_start(&stopped);
        expect_rc(actor_asks(&stopped, acts[i], rwlock), 0);
        role_stop(&stopped.role);
        expect_rc(ipc_rwlock_acquire_write_until(rwlock,
                                                 ipc_after_ms(RECHECK_MS + 50)),
                  -ETIMEDOUT);
        assert_int_equal(ipc_rwlock_readers(rwlock), i == 0);
        role_cont(&stopped.role);
        expect_rc(actor_asks(&stopped, release_it, rwlock), 0);
        actor_end(&stopped);
    }
    free_good_rwlock(rwlock);
}

static const struct test_case cases[] = {
    TEST_CASE(t24_dead_readers_are_not_waited_for),
    TEST_CASE(t24_the_last_readers_die_while_a_writer_waits),
    TEST_CASE(t24_the_last_readers_die_unnoticed_by_recheck),
    TEST_CASE(the_dead_are_not_counted),
    TEST_CASE(more_die_than_there_are_places),
    TEST_CASE(the_end_of_a_thread_is_a_death),
    TEST_CASE(it_leaves_data_in_need_of_repair),
    TEST_CASE(the_news_outlives_those_who_died_with_it),
    TEST_CASE(given_up_until_reset),
    TEST_CASE(those_who_wait_are_told_at_once),
    TEST_CASE(those_who_wait_are_told_by_recheck),
    TEST_CASE(one_writer_takes_over_at_once),
    TEST_CASE(one_writer_takes_over_by_recheck),
    TEST_CASE(giving_up_sends_all_away),
    TEST_CASE(readers_wait_for_who_repairs),
    TEST_CASE(it_has_written_nothing),
    TEST_CASE(the_next_writer_waits_for_the_readers_too),
    TEST_CASE(one_that_became_a_reader_has_written_nothing),
    TEST_CASE(nothing_is_taken_from_the_stopped),
};
TEST_MAIN(cases)
