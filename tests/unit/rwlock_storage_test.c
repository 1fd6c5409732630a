/* ipc_rwlock: where it is stored, and what is made of words that none of us
 * wrote. */
#include "unit/rwlock_support.h"

#include <stdio.h>

/* ---- words that none of us wrote ---- */

static void a_garbage_writer_is_euclean(void)
{
    static const uint32_t impossible[] = {0x3fffffffu, 0x00400001u, 0x7fffffffu,
                                          0xbfffffffu, 0x80500000u};
    for (size_t i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
        ipc_rwlock rwlock = {.word_ =
                                 UINT64_C(0xdeadbeef00000000) | impossible[i]};
        ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
        for (int form = 0; form < FORMS; form++) {
            expect_rc(read_forms[form](&rwlock), -EUCLEAN);
            expect_rc(write_forms[form](&rwlock), -EUCLEAN);
        }
        expect_rc(ipc_rwlock_writer(&rwlock, &holder), -EUCLEAN);
        expect_rc(ipc_rwlock_release(&rwlock), -EPERM);
        expect_rc(ipc_rwlock_downgrade(&rwlock), -EPERM);
        expect_rc(ipc_rwlock_consistent(&rwlock), -EPERM);
        expect_rc(ipc_rwlock_reset(&rwlock), -EINVAL);
        assert_int_equal(ipc_rwlock_readers(&rwlock), 0);
    }
}

/* Readers that do not exist, or never can, hold nobody up for good. */
static void garbage_readers_are_no_readers(void)
{
    static const uint64_t nobody[] = {
        UINT64_C(0x1234567800000001), /* tid 1 was born otherwise */
        UINT64_C(0x12345678003fffff), UINT64_C(0x12345678013fffff),
        UINT64_C(0x12345678c0000000), UINT64_C(0x00000000401fffff),
        UINT64_C(0x12345678803fffff),
    };
    for (size_t i = 0; i < sizeof nobody / sizeof nobody[0]; i++) {
        ipc_rwlock rwlock = {.word_ = 0};
        for (int j = 0; j < MAX_READERS; j++)
            rwlock.readers_[j] = nobody[i];
        expect_rc(ipc_rwlock_acquire_read(&rwlock), 0);
        expect_rc(ipc_rwlock_release(&rwlock), 0);
        rwlock.readers_[i] = nobody[i];
        expect_rc(ipc_rwlock_acquire_write_nowait(&rwlock), 0);
        expect_rc(ipc_rwlock_release(&rwlock), 0);
        assert_int_equal(ipc_rwlock_readers(&rwlock), 0);
    }
}

/* A word that names nobody alive is a writer that died, whoever wrote it. */
static void a_garbage_writer_that_is_dead_is_recovered(void)
{
    for (uint32_t writing = 0; writing < 2; writing++) {
        ipc_rwlock rwlock = {.word_ = UINT64_C(0x12345678003fffff),
                             .writing_ = writing};
        expect_rc(ipc_rwlock_acquire_read_nowait(&rwlock),
                  writing ? -EOWNERDEAD : 0);
        if (!writing)
            expect_rc(ipc_rwlock_release(&rwlock), 0);
        expect_rc(ipc_rwlock_acquire_write_nowait(&rwlock),
                  writing ? IPC_OWNER_DIED : 0);
        if (writing)
            expect_rc(ipc_rwlock_consistent(&rwlock), 0);
        expect_rc(ipc_rwlock_release(&rwlock), 0);
        expect_free(&rwlock);
    }
}

/* ---- storage ---- */

static void init_keeps_a_label_of_23_bytes(void)
{
    const ipc_rwlock_options options = {sizeof options, 0,
                                        "abcdefghijklmnopqrstuvwxyz"};
    ipc_rwlock rwlock;
    memset(&rwlock, 0xff, sizeof rwlock);
    expect_rc(ipc_rwlock_init(&rwlock, &options), 0);
    assert_string_equal(rwlock.label_, "abcdefghijklmnopqrstuvw");
    expect_rc(ipc_rwlock_acquire_read(&rwlock), 0);
    expect_rc(ipc_rwlock_acquire_write(&rwlock), -EDEADLK);
    expect_detail("\"abcdefghijklmnopqrstuvw\"");
    expect_rc(ipc_rwlock_release(&rwlock), 0);
    memset(&rwlock, 0xff, sizeof rwlock);
    expect_rc(ipc_rwlock_init(&rwlock, NULL), 0);
    assert_string_equal(rwlock.label_, "");
    expect_free(&rwlock);
}

static void fini_and_free_refuse_what_is_held(void)
{
    ipc_rwlock *rwlock = new_rwlock("label");
    expect_rc(ipc_rwlock_acquire_read(rwlock), 0);
    expect_rc(ipc_rwlock_fini(rwlock), -EBUSY);
    expect_detail("label");
    expect_rc(ipc_rwlock_free(rwlock), -EBUSY);
    assert_true(ipc_rwlock_is_reading(rwlock));
    expect_rc(ipc_rwlock_release(rwlock), 0);
    expect_rc(ipc_rwlock_acquire_write(rwlock), 0);
    expect_rc(ipc_rwlock_fini(rwlock), -EBUSY);
    expect_rc(ipc_rwlock_free(rwlock), -EBUSY);
    expect_rc(ipc_rwlock_release(rwlock), 0);

    die_in(write_it, rwlock); /* the news must not be lost */
    expect_rc(ipc_rwlock_fini(rwlock), -EBUSY);
    expect_rc(ipc_rwlock_acquire_write(rwlock), IPC_OWNER_DIED);
    expect_rc(ipc_rwlock_consistent(rwlock), 0);
    expect_rc(ipc_rwlock_release(rwlock), 0);

    die_in(read_it, rwlock); /* no news */
    expect_rc(ipc_rwlock_fini(rwlock), 0);
    assert_string_equal(rwlock->label_, "");
    expect_free(rwlock);
    expect_rc(ipc_rwlock_free(rwlock), 0);
    expect_rc(ipc_rwlock_free(NULL), 0);
    expect_rc(ipc_rwlock_close(NULL), 0);

    static ipc_rwlock local;
    expect_rc(ipc_rwlock_free(&local), -EINVAL);
    expect_rc(ipc_rwlock_close(&local), -EINVAL);
}

/* It has written nothing: there is no news to lose. */
static void who_died_waiting_to_write_holds_nothing(void)
{
    struct actor doomed;
    ipc_rwlock *rwlock = new_rwlock(NULL);
    actor_start(&doomed);
    expect_rc(ipc_rwlock_acquire_read(rwlock), 0);
    actor_tell(&doomed, write_it, rwlock);
    actor_waits(&doomed);
    actor_kill(&doomed);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    expect_rc(ipc_rwlock_free(rwlock), 0);
}

struct newer_options {
    ipc_rwlock_options known;
    uint64_t unknown;
};

static void options_are_checked(void)
{
    ipc_rwlock rwlock, *made = NULL;
    ipc_rwlock_options options = IPC_RWLOCK_OPTIONS_INIT;
    expect_rc(ipc_rwlock_init(&rwlock, &options), 0);
    options.flags = 1;
    expect_rc(ipc_rwlock_init(&rwlock, &options), -EINVAL);
    expect_rc(ipc_rwlock_new(&options, &made), -EINVAL);
    expect_rc(ipc_rwlock_create("options", &options, &made), -EINVAL);
    expect_rc(ipc_rwlock_open_or_create("options", &options, &made), -EINVAL);
    options.flags = 0;
    options.size = 0;
    expect_rc(ipc_rwlock_init(&rwlock, &options), -EINVAL);

    struct newer_options newer = {{sizeof newer, 0, "new"}, 0};
    expect_rc(ipc_rwlock_init(&rwlock, &newer.known), 0);
    assert_string_equal(rwlock.label_, "new");
    newer.unknown = 1;
    expect_rc(ipc_rwlock_init(&rwlock, &newer.known), -E2BIG);
    expect_rc(ipc_rwlock_new(&newer.known, &made), -E2BIG);
    expect_rc(ipc_rwlock_create("options", &newer.known, &made), -E2BIG);
    assert_null(made); /* left alone on failure */
    assert_int_equal(test_shm_names(), 0);
}

/* ---- names ---- */

struct by_name {
    char name[64];
    ipc_rwlock *opened; /* in the actor's process */
};

static int open_it(void *arg)
{
    struct by_name *named = arg;
    return ipc_rwlock_open(named->name, &named->opened);
}

#define NAMED_ACT(act)                                                         \
    static int named_##act(void *arg)                                          \
    {                                                                          \
        struct by_name *named = arg;                                           \
        return act(named->opened);                                             \
    }
NAMED_ACT(read_it)
NAMED_ACT(write_it)
NAMED_ACT(release_it)

static int named_close(void *arg)
{
    struct by_name *named = arg;
    return ipc_rwlock_close(named->opened);
}

static void a_name_makes_it_one_for_all(void)
{
    struct actor other;
    struct by_name *named = test_shared(sizeof *named);
    const ipc_rwlock_options options = {sizeof options, 0, "mine"};
    ipc_rwlock *rwlock = NULL, *again = NULL;
    name_it(named->name, "rwlock");
    actor_start(&other);
    expect_rc(ipc_rwlock_open(named->name, &rwlock), -ENOENT);
    expect_rc(ipc_rwlock_unlink(named->name), -ENOENT);
    assert_null(rwlock);
    expect_rc(ipc_rwlock_create(named->name, &options, &rwlock), 0);
    expect_rc(ipc_rwlock_create(named->name, NULL, &again), -EEXIST);
    expect_rc(ipc_rwlock_open_or_create(named->name, NULL, &again), 0);
    assert_string_equal(again->label_, "mine");

    expect_rc(actor_asks(&other, open_it, named), 0);
    expect_rc(actor_asks(&other, named_read_it, named), 0);
    assert_int_equal(ipc_rwlock_readers(again), 1);
    expect_rc(ipc_rwlock_acquire_write_nowait(rwlock), -EAGAIN);
    expect_rc(actor_asks(&other, named_close, named), -EBUSY);
    expect_rc(actor_asks(&other, named_release_it, named), 0);
    expect_rc(actor_asks(&other, named_write_it, named), 0);
    expect_rc(ipc_rwlock_acquire_read_nowait(again), -EAGAIN);
    expect_rc(actor_asks(&other, named_close, named), -EBUSY);
    expect_rc(actor_asks(&other, named_release_it, named), 0);
    expect_rc(actor_asks(&other, named_close, named), 0);
    actor_end(&other);
    expect_rc(ipc_rwlock_close(rwlock), 0);
    expect_rc(ipc_rwlock_close(again), 0);
    expect_rc(ipc_rwlock_unlink(named->name), 0);
    assert_int_equal(test_shm_names(), 0);
}

/* What a writer that died leaves behind is kept until somebody was told. */
static void the_news_of_a_named_one_is_kept(void)
{
    struct actor other;
    struct by_name *named = test_shared(sizeof *named);
    ipc_rwlock *rwlock = NULL;
    name_it(named->name, "rwlock");
    expect_rc(ipc_rwlock_create(named->name, NULL, &rwlock), 0);
    actor_start(&other);
    expect_rc(actor_asks(&other, open_it, named), 0);
    expect_rc(ipc_rwlock_close(rwlock), 0);
    expect_rc(actor_asks(&other, named_write_it, named), 0);
    actor_kill(&other);
    (void)ipc_segment_gc();
    expect_rc(ipc_rwlock_open_or_create(named->name, NULL, &rwlock), 0);
    expect_rc(ipc_rwlock_acquire_read(rwlock), -EOWNERDEAD);
    expect_rc(ipc_rwlock_acquire_write(rwlock), IPC_OWNER_DIED);
    expect_rc(ipc_rwlock_consistent(rwlock), 0);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    expect_rc(ipc_rwlock_close(rwlock), 0);
    expect_rc(ipc_rwlock_unlink(named->name), 0);
}

static void other_kinds_are_told_apart(void)
{
    char name[64];
    name_it(name, "kind");
    ipc_rwlock *rwlock = NULL;
    ipc_lock *lock = NULL;
    expect_rc(ipc_lock_create(name, NULL, &lock), 0);
    expect_rc(ipc_lock_close(lock), 0);
    expect_rc(ipc_rwlock_open(name, &rwlock), -EINVAL);
    expect_rc(ipc_rwlock_open_or_create(name, NULL, &rwlock), -EINVAL);
    expect_rc(ipc_rwlock_unlink(name), -EINVAL);
    expect_rc(ipc_lock_unlink(name), 0);
    expect_rc(ipc_rwlock_create(name, NULL, &rwlock), 0);
    expect_rc(ipc_lock_open(name, &lock), -EINVAL);
    expect_rc(ipc_lock_close((ipc_lock *)(void *)rwlock), -EINVAL);
    expect_rc(ipc_rwlock_close(rwlock), 0);
    expect_rc(ipc_rwlock_unlink(name), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(a_garbage_writer_is_euclean),
    TEST_CASE(garbage_readers_are_no_readers),
    TEST_CASE(a_garbage_writer_that_is_dead_is_recovered),
    TEST_CASE(init_keeps_a_label_of_23_bytes),
    TEST_CASE(fini_and_free_refuse_what_is_held),
    TEST_CASE(who_died_waiting_to_write_holds_nothing),
    TEST_CASE(options_are_checked),
    TEST_CASE(a_name_makes_it_one_for_all),
    TEST_CASE(the_news_of_a_named_one_is_kept),
    TEST_CASE(other_kinds_are_told_apart),
};
TEST_MAIN(cases)
