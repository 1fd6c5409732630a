/* ipc_rwlock: what it grants and refuses, and every error of that. */
#include "unit/rwlock_support.h"

#include <stdio.h>

/* ---- what can be had at once ---- */

static void zero_filled_memory_is_a_free_rwlock(void)
{
    static ipc_rwlock rwlock;
    assert_int_equal(sizeof rwlock, 1024);
    assert_int_equal(ipc_rwlock_readers(&rwlock), 0);
    expect_rc(ipc_rwlock_acquire_read(&rwlock), 0);
    assert_true(ipc_rwlock_is_reading(&rwlock));
    assert_false(ipc_rwlock_is_writing(&rwlock));
    assert_int_equal(ipc_rwlock_readers(&rwlock), 1);
    expect_rc(ipc_rwlock_release(&rwlock), 0);
    assert_false(ipc_rwlock_is_reading(&rwlock));
    assert_int_equal(ipc_rwlock_readers(&rwlock), 0);

    expect_rc(ipc_rwlock_acquire_write(&rwlock), 0);
    assert_true(ipc_rwlock_is_writing(&rwlock));
    assert_false(ipc_rwlock_is_reading(&rwlock));
    assert_int_equal(ipc_rwlock_readers(&rwlock), 0);
    expect_rc(ipc_rwlock_release(&rwlock), 0);
    assert_false(ipc_rwlock_is_writing(&rwlock));
    expect_free(&rwlock);
}

static void a_free_rwlock_is_had_by_all_forms(void)
{
    static ipc_rwlock rwlock;
    static const ipc_deadline passed[] = {IPC_TIME_NOW, 1, -1, INT64_MIN};
    for (int form = 0; form < FORMS; form++) {
        expect_rc(read_forms[form](&rwlock), 0);
        expect_rc(ipc_rwlock_release(&rwlock), 0);
        expect_rc(write_forms[form](&rwlock), 0);
        expect_rc(ipc_rwlock_release(&rwlock), 0);
    }
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++) {
        expect_rc(ipc_rwlock_acquire_read_until(&rwlock, passed[i]), 0);
        expect_rc(ipc_rwlock_release(&rwlock), 0);
        expect_rc(ipc_rwlock_acquire_write_until(&rwlock, passed[i]), 0);
        expect_rc(ipc_rwlock_release(&rwlock), 0);
    }
    expect_free(&rwlock);
}

/* ---- readers and writers ---- */

static void many_read_at_once_and_nobody_writes(ipc_rwlock *rwlock,
                                                struct actor *readers,
                                                int count, struct actor *other)
{
    for (int i = 0; i < count; i++) {
        expect_rc(actor_asks(&readers[i], read_forms[i % FORMS], rwlock), 0);
        assert_int_equal(ipc_rwlock_readers(rwlock), i + 1);
    }
    expect_rc(actor_asks(other, write_nowait, rwlock), -EAGAIN);
    expect_rc(actor_asks(other, write_at_once, rwlock), -ETIMEDOUT);
    expect_rc(actor_asks(other, write_soon, rwlock), -ETIMEDOUT);
    expect_rc(actor_asks(other, read_nowait, rwlock), 0);
    expect_rc(actor_asks(other, release_it, rwlock), 0);
    for (int i = 0; i < count; i++) {
        expect_rc(actor_asks(other, write_nowait, rwlock), -EAGAIN);
        expect_rc(actor_asks(&readers[i], is_reading, rwlock), 1);
        expect_rc(actor_asks(&readers[i], release_it, rwlock), 0);
    }
    expect_rc(actor_asks(other, write_nowait, rwlock), 0);
    expect_rc(actor_asks(other, release_it, rwlock), 0);
}

static void processes_read_together(void)
{
    struct actor actors[11];
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actors_start(actors, 11);
    many_read_at_once_and_nobody_writes(rwlock, actors, 10, &actors[10]);
    actors_end(actors, 11);
    free_good_rwlock(rwlock);
}

static void threads_read_together(void)
{
    static ipc_rwlock rwlock;
    struct actor actors[11];
    actors_start_threads(actors, 11);
    many_read_at_once_and_nobody_writes(&rwlock, actors, 10, &actors[10]);
    actors_end(actors, 11);
    expect_free(&rwlock);
}

static void a_writer_is_alone_with(ipc_rwlock *rwlock, struct actor *other)
{
    for (int form = 0; form < FORMS; form++) {
        expect_rc(write_forms[form](rwlock), 0);
        expect_rc(actor_asks(other, read_nowait, rwlock), -EAGAIN);
        expect_rc(actor_asks(other, read_at_once, rwlock), -ETIMEDOUT);
        expect_rc(actor_asks(other, read_soon, rwlock), -ETIMEDOUT);
        expect_rc(actor_asks(other, write_nowait, rwlock), -EAGAIN);
        expect_rc(actor_asks(other, write_at_once, rwlock), -ETIMEDOUT);
        expect_rc(actor_asks(other, write_soon, rwlock), -ETIMEDOUT);
        assert_true(ipc_rwlock_is_writing(rwlock));
        expect_rc(ipc_rwlock_release(rwlock), 0);
        expect_rc(actor_asks(other, read_nowait, rwlock), 0);
        expect_rc(actor_asks(other, release_it, rwlock), 0);
    }
    expect_free(rwlock);
}

static void a_writer_is_alone(void)
{
    static ipc_rwlock local;
    struct actor process, thread;
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actor_start(&process);
    a_writer_is_alone_with(rwlock, &process);
    actor_end(&process);
    actor_start_thread(&thread);
    a_writer_is_alone_with(rwlock, &thread);
    a_writer_is_alone_with(&local, &thread);
    actor_end(&thread);
    expect_rc(ipc_rwlock_free(rwlock), 0);
}

/* ---- the caller's own ---- */

static void reading_again_goes_127_deep(void)
{
    static ipc_rwlock rwlock;
    for (int depth = 1; depth <= MAX_DEPTH; depth++) {
        expect_rc(read_forms[depth % FORMS](&rwlock), 0);
        assert_int_equal(ipc_rwlock_readers(&rwlock), 1);
    }
    for (int form = 0; form < FORMS; form++)
        expect_rc(read_forms[form](&rwlock), -EOVERFLOW);
    for (int depth = MAX_DEPTH; depth > 0; depth--) {
        assert_true(ipc_rwlock_is_reading(&rwlock));
        expect_rc(ipc_rwlock_release(&rwlock), 0);
    }
    assert_false(ipc_rwlock_is_reading(&rwlock));
    expect_rc(ipc_rwlock_release(&rwlock), -EPERM);
    expect_free(&rwlock);
}

static void who_would_wait_for_itself_is_told(void)
{
    static ipc_rwlock rwlock;
    expect_rc(ipc_rwlock_acquire_read(&rwlock), 0);
    for (int form = 0; form < FORMS; form++)
        expect_rc(write_forms[form](&rwlock), -EDEADLK);
    assert_true(ipc_rwlock_is_reading(&rwlock));
    expect_rc(stranger_gets(read_nowait, &rwlock), 0);
    expect_rc(ipc_rwlock_release(&rwlock), 0);

    expect_rc(ipc_rwlock_acquire_write(&rwlock), 0);
    for (int form = 0; form < FORMS; form++) {
        expect_rc(read_forms[form](&rwlock), -EDEADLK);
        expect_rc(write_forms[form](&rwlock), -EDEADLK);
    }
    assert_true(ipc_rwlock_is_writing(&rwlock));
    expect_rc(ipc_rwlock_release(&rwlock), 0);
    expect_free(&rwlock);
}

/* Two who upgraded would wait for each other: both are refused. */
static void nobody_upgrades(void)
{
    struct actor two[2];
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actors_start(two, 2);
    for (int i = 0; i < 2; i++)
        expect_rc(actor_asks(&two[i], read_it, rwlock), 0);
    tell_all(two, 2, write_it, rwlock);
    expect_all(two, 2, -EDEADLK);
    assert_int_equal(ipc_rwlock_readers(rwlock), 2);
    for (int i = 0; i < 2; i++)
        expect_rc(actor_asks(&two[i], release_it, rwlock), 0);
    actors_end(two, 2);
    free_good_rwlock(rwlock);
}

static void expect_no_rights(struct actor *stranger, ipc_rwlock *rwlock)
{
    expect_rc(actor_asks(stranger, is_reading, rwlock), 0);
    expect_rc(actor_asks(stranger, is_writing, rwlock), 0);
    expect_rc(actor_asks(stranger, release_it, rwlock), -EPERM);
    expect_rc(actor_asks(stranger, downgrade_it, rwlock), -EPERM);
    expect_rc(actor_asks(stranger, say_consistent, rwlock), -EPERM);
    expect_rc(actor_asks(stranger, reset_it, rwlock), -EINVAL);
}

static void strangers_release_nothing(void)
{
    struct actor others[2];
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actor_start(&others[0]);
    actor_start_thread(&others[1]);
    for (int i = 0; i < 2; i++) {
        expect_no_rights(&others[i], rwlock);
        expect_rc(ipc_rwlock_acquire_read(rwlock), 0);
        expect_no_rights(&others[i], rwlock);
        assert_true(ipc_rwlock_is_reading(rwlock));
        expect_rc(ipc_rwlock_release(rwlock), 0);
        expect_rc(ipc_rwlock_acquire_write(rwlock), 0);
        expect_no_rights(&others[i], rwlock);
        assert_true(ipc_rwlock_is_writing(rwlock));
        expect_rc(ipc_rwlock_release(rwlock), 0);
    }
    actors_end(others, 2);
    free_good_rwlock(rwlock);
}

/* Forked while the parent holds it. */
static void a_forked_child_owns_nothing(void)
{
    struct actor child;
    ipc_rwlock *rwlock = new_rwlock(NULL);
    expect_rc(ipc_rwlock_acquire_read(rwlock), 0);
    actor_start(&child);
    expect_no_rights(&child, rwlock);
    expect_rc(actor_asks(&child, write_nowait, rwlock), -EAGAIN);
    expect_rc(actor_asks(&child, read_it, rwlock), 0); /* its own */
    assert_int_equal(ipc_rwlock_readers(rwlock), 2);
    expect_rc(actor_asks(&child, release_it, rwlock), 0);
    expect_rc(actor_asks(&child, release_it, rwlock), -EPERM);
    actor_end(&child);
    expect_rc(ipc_rwlock_release(rwlock), 0);

    expect_rc(ipc_rwlock_acquire_write(rwlock), 0);
    actor_start(&child);
    expect_no_rights(&child, rwlock);
    expect_rc(actor_asks(&child, read_nowait, rwlock), -EAGAIN);
    expect_rc(actor_asks(&child, write_nowait, rwlock), -EAGAIN);
    actor_end(&child);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    free_good_rwlock(rwlock);
}

static void wrong_moments_are_refused(void)
{
    static ipc_rwlock rwlock;
    expect_rc(ipc_rwlock_reset(&rwlock), -EINVAL);
    expect_rc(ipc_rwlock_downgrade(&rwlock), -EPERM);
    expect_rc(ipc_rwlock_acquire_read(&rwlock), 0);
    expect_rc(ipc_rwlock_downgrade(&rwlock), -EPERM);
    expect_rc(ipc_rwlock_consistent(&rwlock), -EPERM);
    expect_rc(ipc_rwlock_reset(&rwlock), -EINVAL);
    expect_rc(ipc_rwlock_release(&rwlock), 0);
    expect_rc(ipc_rwlock_acquire_write(&rwlock), 0);
    expect_rc(ipc_rwlock_consistent(&rwlock), -EINVAL);
    expect_rc(ipc_rwlock_reset(&rwlock), -EINVAL);
    expect_rc(ipc_rwlock_release(&rwlock), 0);
    expect_free(&rwlock);
}

/* ---- what messages say ---- */

static void the_detail_names_label_and_writer(void)
{
    struct actor writer;
    char who[32];
    ipc_rwlock *rwlock = new_rwlock("prices");
    actor_start(&writer);
    expect_rc(actor_asks(&writer, write_it, rwlock), 0);
    (void)snprintf(who, sizeof who, "pid %d", (int)writer.role.pid);
    expect_rc(ipc_rwlock_acquire_read_nowait(rwlock), -EAGAIN);
    expect_detail("\"prices\"");
    expect_detail(who);
    expect_rc(read_soon(rwlock), -ETIMEDOUT);
    expect_detail("\"prices\"");
    expect_detail(who);
    expect_rc(ipc_rwlock_acquire_write_nowait(rwlock), -EAGAIN);
    expect_detail("\"prices\"");
    expect_detail(who);
    expect_rc(actor_asks(&writer, release_it, rwlock), 0);
    expect_rc(actor_asks(&writer, read_it, rwlock), 0);
    expect_rc(ipc_rwlock_acquire_write_nowait(rwlock), -EAGAIN);
    expect_detail("\"prices\"");
    expect_rc(write_soon(rwlock), -ETIMEDOUT);
    expect_detail("\"prices\"");
    actor_end(&writer);
    free_good_rwlock(rwlock);
}

static void every_refusal_has_a_detail(void)
{
    static ipc_rwlock rwlock;
    char place[40];
    (void)snprintf(place, sizeof place, "%p", (void *)&rwlock);
    expect_rc(ipc_rwlock_release(&rwlock), -EPERM);
    expect_detail(place);
    expect_rc(ipc_rwlock_downgrade(&rwlock), -EPERM);
    expect_detail(place);
    expect_rc(ipc_rwlock_consistent(&rwlock), -EPERM);
    expect_detail(place);
    expect_rc(ipc_rwlock_reset(&rwlock), -EINVAL);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_rc(ipc_rwlock_acquire_read(&rwlock), 0);
    expect_rc(ipc_rwlock_acquire_write(&rwlock), -EDEADLK);
    expect_detail(place);
    for (int depth = 1; depth < MAX_DEPTH; depth++)
        expect_rc(ipc_rwlock_acquire_read(&rwlock), 0);
    expect_rc(ipc_rwlock_acquire_read(&rwlock), -EOVERFLOW);
    expect_detail(place);
    for (int depth = 0; depth < MAX_DEPTH; depth++)
        expect_rc(ipc_rwlock_release(&rwlock), 0);
    expect_rc(ipc_rwlock_acquire_write(&rwlock), 0);
    expect_rc(ipc_rwlock_acquire_read(&rwlock), -EDEADLK);
    expect_detail(place);
    expect_rc(ipc_rwlock_release(&rwlock), 0);
}

static void the_writer_can_be_asked_for(void)
{
    struct actor writer;
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    const int64_t start = ipc_now();
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actor_start(&writer);
    expect_rc(ipc_rwlock_writer(rwlock, &holder), -ESRCH);
    expect_rc(actor_asks(&writer, read_it, rwlock), 0);
    expect_rc(ipc_rwlock_writer(rwlock, &holder), -ESRCH);
    expect_rc(actor_asks(&writer, release_it, rwlock), 0);

    expect_rc(actor_asks(&writer, write_it, rwlock), 0);
    expect_rc(ipc_rwlock_writer(rwlock, &holder), 0);
    assert_int_equal(holder.pid, writer.role.pid);
    assert_int_equal(holder.tid, writer.role.pid);
    assert_true(holder.alive);
    assert_false(holder.owner_died);
    assert_true(holder.since_ns >= start && holder.since_ns <= ipc_now());
    expect_rc(actor_asks(&writer, release_it, rwlock), 0);

    expect_rc(ipc_rwlock_acquire_read(rwlock), 0); /* one that waits */
    actor_tell(&writer, write_it, rwlock);
    actor_waits(&writer);
    expect_rc(ipc_rwlock_writer(rwlock, &holder), 0);
    assert_int_equal(holder.pid, writer.role.pid);
    assert_true(holder.alive);
    actor_kill(&writer);
    expect_rc(ipc_rwlock_release(rwlock), 0);

    die_in(write_it, rwlock);
    expect_rc(ipc_rwlock_writer(rwlock, &holder), 0);
    assert_false(holder.alive);
    assert_true(holder.owner_died);
    expect_rc(ipc_rwlock_acquire_write(rwlock), IPC_OWNER_DIED);
    expect_rc(ipc_rwlock_writer(rwlock, &holder), 0);
    assert_int_equal(holder.pid, getpid());
    assert_true(holder.alive);
    assert_true(holder.owner_died);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    expect_rc(ipc_rwlock_writer(rwlock, &holder), -ENOTRECOVERABLE);
    expect_rc(ipc_rwlock_reset(rwlock), 0);
    free_good_rwlock(rwlock);
}

static const struct test_case cases[] = {
    TEST_CASE(zero_filled_memory_is_a_free_rwlock),
    TEST_CASE(a_free_rwlock_is_had_by_all_forms),
    TEST_CASE(processes_read_together),
    TEST_CASE(threads_read_together),
    TEST_CASE(a_writer_is_alone),
    TEST_CASE(reading_again_goes_127_deep),
    TEST_CASE(who_would_wait_for_itself_is_told),
    TEST_CASE(nobody_upgrades),
    TEST_CASE(strangers_release_nothing),
    TEST_CASE(a_forked_child_owns_nothing),
    TEST_CASE(wrong_moments_are_refused),
    TEST_CASE(the_detail_names_label_and_writer),
    TEST_CASE(every_refusal_has_a_detail),
    TEST_CASE(the_writer_can_be_asked_for),
};
TEST_MAIN(cases)
