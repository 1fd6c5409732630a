/* ipc_barrier: where it is stored, its options, and what is made of bytes that
 * none of us wrote. */
#include "unit/barrier_support.h"

static void it_has_1_to_500_parties(void)
{
    static ipc_barrier local;
    ipc_barrier *made = NULL;
    static const uint32_t wrong[] = {0, IPC_BARRIER_MAX + 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        expect_rc(ipc_barrier_init(&local, wrong[i], NULL), -EINVAL);
        assert_true(ipc_error_detail()[0] != '\0');
        expect_rc(ipc_barrier_new(wrong[i], NULL, &made), -EINVAL);
        expect_rc(ipc_barrier_create("wrong", wrong[i], NULL, &made), -EINVAL);
        expect_rc(ipc_barrier_open_or_create("wrong", wrong[i], NULL, &made),
                  -EINVAL);
    }
    assert_null(made);
    assert_int_equal(test_shm_names(), 0);
    expect_rc(ipc_barrier_init(&local, IPC_BARRIER_MAX, NULL), 0);
    assert_int_equal(ipc_barrier_parties(&local), IPC_BARRIER_MAX);
    expect_rc(ipc_barrier_fini(&local), 0);
}

struct newer_options {
    ipc_barrier_options known;
    uint64_t unknown;
};

static void options_are_checked(void)
{
    static ipc_barrier local;
    ipc_barrier *made = NULL;
    ipc_barrier_options options = IPC_BARRIER_OPTIONS_INIT;
    options.flags = IPC_BARRIER_SHRINK;
    options.label = "abcdefghijklmnopqrstuvwxyz";
    memset(&local, 0xff, sizeof local);
    expect_rc(ipc_barrier_init(&local, 2, &options), 0);
    assert_string_equal(local.label_, "abcdefghijklmnopqrstuvw");
    expect_rc(ipc_barrier_abort(&local), 0);
    expect_rc(ipc_barrier_wait(&local), -ECANCELED);
    expect_detail("\"abcdefghijklmnopqrstuvw\"");
    options.flags = IPC_BARRIER_SHRINK << 1;
    expect_rc(ipc_barrier_init(&local, 2, &options), -EINVAL);
    expect_rc(ipc_barrier_new(2, &options, &made), -EINVAL);
    expect_rc(ipc_barrier_create("options", 2, &options, &made), -EINVAL);
    options.flags = 0;
    options.size = 0;
    expect_rc(ipc_barrier_init(&local, 2, &options), -EINVAL);
    struct newer_options newer = {{sizeof newer, 0, "new"}, 0};
    expect_rc(ipc_barrier_init(&local, 2, &newer.known), 0);
    assert_string_equal(local.label_, "new");
    newer.unknown = 1;
    expect_rc(ipc_barrier_init(&local, 2, &newer.known), -E2BIG);
    expect_rc(ipc_barrier_new(2, &newer.known, &made), -E2BIG);
    assert_null(made);
    assert_int_equal(test_shm_names(), 0);
}

static void fini_and_free_refuse_while_somebody_waits(void)
{
    static ipc_barrier local;
    struct actor actor;
    ipc_barrier *barrier = new_barrier(2, 0);
    actor_start(&actor);
    come_in_turn(&actor, 1, barrier);
    expect_rc(ipc_barrier_fini(barrier), -EBUSY);
    expect_rc(ipc_barrier_free(barrier), -EBUSY);
    expect_rc(ipc_barrier_wait(barrier), 1);
    expect_rc(actor_result(&actor), 0);
    come_in_turn(&actor, 1, barrier);
    actor_kill(&actor); /* the dead do not wait */
    expect_rc(ipc_barrier_fini(barrier), 0);
    expect_rc(ipc_barrier_wait(barrier), -EUCLEAN);
    expect_rc(ipc_barrier_init(barrier, 1, NULL), 0);
    expect_rc(ipc_barrier_wait(barrier), 0);
    expect_rc(ipc_barrier_free(barrier), 0);
    expect_rc(ipc_barrier_free(NULL), 0);
    expect_rc(ipc_barrier_close(NULL), 0);
    expect_rc(ipc_barrier_init(&local, 1, NULL), 0);
    expect_rc(ipc_barrier_free(&local), -EINVAL);
    expect_rc(ipc_barrier_close(&local), -EINVAL);
}

static void expect_unclean(ipc_barrier *barrier)
{
    expect_rc(ipc_barrier_wait(barrier), -EUCLEAN);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_rc(ipc_barrier_wait_nowait(barrier), -EUCLEAN);
    expect_rc(come_soon(barrier), -EUCLEAN);
    expect_rc(ipc_barrier_enroll(barrier), -EUCLEAN);
    expect_rc(ipc_barrier_leave(barrier), -EUCLEAN);
    expect_rc(ipc_barrier_abort(barrier), -EUCLEAN);
    expect_rc(ipc_barrier_reset(barrier), -EUCLEAN);
    (void)ipc_barrier_is_broken(barrier);
    (void)ipc_barrier_waiting(barrier);
    (void)ipc_barrier_parties(barrier);
}

static void garbage_is_euclean(void)
{
    static ipc_barrier barrier;
    static const int bytes[] = {0, 0xff, 0x5a};
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        memset(&barrier, bytes[i], sizeof barrier);
        expect_unclean(&barrier);
    }
}

static void one_wrong_word_is_euclean(void)
{
    static ipc_barrier barrier;
    static uint32_t *const words[] = {&barrier.room_, &barrier.parties_,
                                      &barrier.flags_};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        expect_rc(ipc_barrier_init(&barrier, 2, NULL), 0);
        *words[i] = IPC_BARRIER_MAX + 1;
        expect_unclean(&barrier);
    }
    expect_rc(ipc_barrier_init(&barrier, 2, NULL), 0);
    barrier.guard_ = UINT64_C(0x123456783fffffff); /* no owner */
    expect_unclean(&barrier);
}

/* Parties that do not exist hold nobody up: it is broken, or they are not
 * seen at all. */
static void garbage_parties_are_no_parties(void)
{
    static const uint64_t nobody[] = {
        UINT64_C(0x1234567800000001), UINT64_C(0x12345678003fffff),
        UINT64_C(0xffffffffffffffff), UINT64_C(0x5a5a5a5a5a5a5a5a),
        UINT64_C(0x12345678c0000000)};
    for (size_t i = 0; i < sizeof nobody / sizeof nobody[0]; i++) {
        static ipc_barrier barrier;
        expect_rc(ipc_barrier_init(&barrier, 2, NULL), 0);
        for (int j = 0; j < IPC_BARRIER_MAX; j++)
            barrier.party_[j] = nobody[i];
        const int rc = come_soon(&barrier);
        assert_true(rc == -ETIMEDOUT || rc == -ECANCELED || rc == -EUCLEAN);
    }
}

/* ---- names ---- */

struct by_name {
    char name[64];
    ipc_barrier *opened; /* in the actor's process */
};

static int open_it(void *arg)
{
    struct by_name *named = arg;
    const int rc = ipc_barrier_open(named->name, &named->opened);
    return rc != 0 ? rc : (int)ipc_barrier_parties(named->opened);
}

static int come_by_name(void *arg)
{
    const struct by_name *named = arg;
    return ipc_barrier_wait(named->opened);
}

static int close_by_name(void *arg)
{
    const struct by_name *named = arg;
    return ipc_barrier_close(named->opened);
}

static void a_name_makes_it_one_for_all(void)
{
    struct actor other;
    struct by_name *named = test_shared(sizeof *named);
    ipc_barrier *barrier = NULL, *again = NULL;
    ipc_lock *lock = NULL;
    name_it(named->name, "barrier");
    actor_start(&other);
    expect_rc(ipc_barrier_open(named->name, &barrier), -ENOENT);
    expect_rc(ipc_barrier_unlink(named->name), -ENOENT);
    expect_rc(ipc_barrier_create(named->name, 2, NULL, &barrier), 0);
    expect_rc(ipc_barrier_create(named->name, 2, NULL, &again), -EEXIST);
    expect_rc(ipc_lock_open(named->name, &lock), -EINVAL);
    expect_rc(ipc_barrier_open_or_create(named->name, 7, NULL, &again), 0);
    assert_int_equal(ipc_barrier_parties(again), 2); /* the creator's */
    expect_rc(actor_asks(&other, open_it, named), 2);
    for (int i = 0; i < 100; i++) {
        actor_tell(&other, come_by_name, named);
        const int place = ipc_barrier_wait(i % 2 == 0 ? barrier : again);
        assert_in_range(place, 0, 1);
        expect_rc(actor_result(&other), 1 - place);
    }
    expect_rc(actor_asks(&other, close_by_name, named), 0);
    actor_end(&other);
    expect_rc(ipc_barrier_close(again), 0);
    expect_rc(ipc_barrier_close(barrier), 0);
    expect_rc(ipc_barrier_unlink(named->name), 0);
    expect_rc(ipc_lock_create(named->name, NULL, &lock), 0);
    expect_rc(ipc_barrier_open(named->name, &barrier), -EINVAL);
    expect_rc(ipc_barrier_open_or_create(named->name, 2, NULL, &barrier),
              -EINVAL);
    expect_rc(ipc_barrier_unlink(named->name), -EINVAL);
    expect_rc(ipc_lock_close(lock), 0);
    expect_rc(ipc_lock_unlink(named->name), 0);
    assert_int_equal(test_shm_names(), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(it_has_1_to_500_parties),
    TEST_CASE(options_are_checked),
    TEST_CASE(fini_and_free_refuse_while_somebody_waits),
    TEST_CASE(garbage_is_euclean),
    TEST_CASE(one_wrong_word_is_euclean),
    TEST_CASE(garbage_parties_are_no_parties),
    TEST_CASE(a_name_makes_it_one_for_all),
};
TEST_MAIN(cases)
