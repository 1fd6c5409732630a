/* Arenas with a name: unrelated programs, their lifetime, names of other
 * things, and a full /dev/shm. */
#include "unit/arena_support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <ipc/lock.h>
#include <ipc/segment.h>

#include "harness/faults.h"

#define NAME  "ipc-test-arena"
#define OTHER "ipc-test-arena-other"

static ipc_arena *create(uint32_t flags, uint64_t max_bytes)
{
    const ipc_arena_options options = {
        .size = sizeof options, .flags = flags, .max_bytes = max_bytes};
    ipc_arena *arena = NULL;
    expect_rc(ipc_arena_create(NAME, &options, &arena), 0);
    return arena;
}

static ipc_arena *open_it(void)
{
    ipc_arena *arena = NULL;
    expect_rc(ipc_arena_open(NAME, &arena), 0);
    return arena;
}

static void run_to_death(void (*part)(void *arg), void *arg)
{
    assert_int_equal(role_try(part, arg, LIMIT_MS), ROLE_SIGNAL + SIGKILL);
}

/* ---- the same for all who ask ---- */

static void all_who_open_the_name_get_one_arena(void)
{
    ipc_arena *none = NULL;
    ipc_arena *three = NULL;
    expect_rc(ipc_arena_open(NAME, &none), -ENOENT);
    expect_rc(ipc_arena_unlink(NAME), -ENOENT);
    ipc_arena *one = create(0, MIB);
    expect_rc(ipc_arena_create(NAME, NULL, &none), -EEXIST);
    ipc_arena *two = open_it();
    expect_rc(ipc_arena_open_or_create(NAME, NULL, &three), 0);
    assert_null(none);
    assert_ptr_not_equal(one, two);
    chain_make(one);
    expect_rc(add_one(two, 0, 100, 1), 0);
    expect_rc(add_one(three, 0, 1000, 2), 0);
    expect_rc(add_one(one, 0, 10000, 4), 0);
    assert_int_equal(chain_of(two)->sum, 7);
    assert_int_equal(query(three).max_bytes, MIB);
    (void)expect_whole(one);
    (void)expect_whole(two);
    expect_rc(remove_one(two, 1), 0);
    (void)expect_whole(three);
    expect_rc(ipc_arena_close(one), 0);
    expect_rc(ipc_arena_close(two), 0);
    expect_rc(ipc_arena_unlink(NAME), 0);
    expect_rc(add_one(three, 0, 10, 1), 0);
    expect_rc(ipc_arena_close(three), 0);
    expect_rc(ipc_arena_open(NAME, &none), -ENOENT);
    expect_rc(ipc_arena_close(NULL), 0);
}

static void a_transaction_keeps_it_open(void)
{
    ipc_arena *one = create(0, MIB);
    ipc_arena *two = open_it();
    chain_make(one);
    expect_rc(ipc_atomic_begin(one), 0);
    expect_rc(ipc_arena_close(one), -EBUSY);
    expect_rc(ipc_arena_close(two), -EBUSY);
    expect_rc(ipc_atomic_begin(two), -EALREADY); /* it is the same */
    expect_rc(add_one(two, 0, 10, 1), 0);
    expect_rc(ipc_atomic_commit(two), 0);
    assert_int_equal(chain_of(one)->sum, 1);
    expect_rc(ipc_arena_close(one), 0);
    expect_rc(ipc_arena_free(two), -EINVAL);
    expect_rc(ipc_arena_close(two), 0);
    expect_rc(ipc_arena_unlink(NAME), 0);
}

static void closed_by_all_it_stays(void)
{
    ipc_arena *arena = create(0, 16 * MIB);
    chain_make(arena);
    for (uint64_t i = 0; i < 100; i++)
        expect_rc(add_one(arena, i / 3, 50 * i, i), 0);
    struct picture before = take_picture(arena);
    expect_rc(ipc_arena_close(arena), 0);
    arena = open_it();
    assert_true(looks_like(arena, &before));
    drop_picture(&before);
    remove_all(arena);
    expect_empty(arena);
    expect_rc(ipc_arena_close(arena), 0);
    expect_rc(ipc_arena_unlink(NAME), 0);
}

static void a_new_one_takes_little_memory(void)
{
    struct stat st;
    ipc_arena *arena = create(0, (uint64_t)32 << 30);
    assert_int_equal(stat("/dev/shm/" NAME, &st), 0);
    test_report("kb", st.st_blocks / 2);
    assert_true(st.st_blocks / 2 < 256);
    assert_int_equal(query(arena).max_bytes, (uint64_t)32 << 30);
    chain_make(arena);
    expect_rc(add_one(arena, 0, 12 * MIB, 1), 0);
    remove_all(arena);
    expect_empty(arena);
    expect_rc(ipc_arena_close(arena), 0);
    expect_rc(ipc_arena_unlink(NAME), 0);
}

/* ---- lifetime ---- */

static void die_with_it_open(void *arg)
{
    const uint32_t *flags = arg;
    ipc_arena *arena = create(*flags, MIB);
    chain_make(arena);
    expect_rc(add_one(arena, 0, 100, 7), 0);
    expect_rc(ipc_atomic_begin(arena), 0);
    expect_rc(add_one(arena, 0, 100, 100), 0);
    expect_rc(remove_one(arena, 1), 0);
    (void)raise(SIGKILL);
}

static void abandoned_it_is_gone(void)
{
    uint32_t flags = 0;
    ipc_arena *arena = NULL;
    run_to_death(die_with_it_open, &flags);
    expect_rc(ipc_arena_open(NAME, &arena), -ENOENT);
    run_to_death(die_with_it_open, &flags);
    expect_rc(ipc_arena_open_or_create(NAME, NULL, &arena), 0);
    assert_int_equal(query(arena).used_bytes, 0);
    expect_rc(ipc_arena_close(arena), 0);
    expect_rc(ipc_arena_unlink(NAME), 0);
}

static void abandoned_it_persists_if_it_was_to(void)
{
    uint32_t flags = IPC_ARENA_PERSIST;
    run_to_death(die_with_it_open, &flags);
    ipc_arena *arena = open_it();
    assert_int_equal(query(arena).recoveries, 1);
    assert_int_equal(chain_of(arena)->sum, 7); /* of the dead: undone */
    assert_int_equal(expect_whole(arena).blocks, 2);
    expect_rc(ipc_arena_close(arena), 0);
    expect_rc(ipc_arena_unlink(NAME), 0);
}

static void add_by_name(void *arg)
{
    (void)arg;
    ipc_arena *arena = open_it();
    for (uint64_t i = 0; i < 500; i++) {
        expect_rc(add_one(arena, 0, 10 * i, 1), 0);
        if (i % 2 == 0)
            expect_rc(remove_one(arena, 2), 0);
    }
    expect_rc(ipc_arena_close(arena), 0);
}

static void processes_at_different_addresses_share_it(void)
{
    enum {
        N = 3
    };
    struct role roles[N];
    ipc_arena *arena = create(0, 16 * MIB);
    chain_make(arena);
    for (int i = 0; i < N; i++)
        role_start(&roles[i], add_by_name, NULL);
    for (int i = 0; i < N; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
    assert_int_equal(expect_whole(arena).blocks, 1 + N * 250);
    remove_all(arena);
    expect_empty(arena);
    expect_rc(ipc_arena_close(arena), 0);
    expect_rc(ipc_arena_unlink(NAME), 0);
}

static void open_or_create_and_count(void *arg)
{
    ipc_arena *arena = NULL;
    uint32_t *go = arg;
    meet_wait(go, 1, LIMIT_MS);
    expect_rc(ipc_arena_open_or_create(NAME, NULL, &arena), 0);
    struct ipc__visit v;
    expect_rc(ipc__arena_enter(&v, arena), 0);
    ipc__put64(&v, &arena->objects, arena->objects + 1);
    expect_rc(ipc__arena_leave(&v), 0);
    expect_rc(ipc_arena_close(arena), 0);
}

static void many_make_it_at_once(void)
{
    enum {
        N = 6
    };
    for (int round = 0; round < 10; round++) {
        struct role roles[N];
        uint32_t *go = test_shared(sizeof *go);
        for (int i = 0; i < N; i++)
            role_start(&roles[i], open_or_create_and_count, go);
        meet_signal(go);
        for (int i = 0; i < N; i++)
            role_wait_ok(&roles[i], LIMIT_MS);
        ipc_arena *arena = open_it();
        assert_int_equal(query(arena).objects, N);
        expect_rc(ipc_arena_close(arena), 0);
        expect_rc(ipc_arena_unlink(NAME), 0);
    }
}

/* ---- names of other things ---- */

static void names_of_other_kinds_are_refused(void)
{
    ipc_lock *lock = NULL;
    ipc_segment *segment = NULL;
    ipc_arena *arena = NULL;
    expect_rc(ipc_lock_create(NAME, NULL, &lock), 0);
    expect_rc(ipc_segment_create(OTHER, MIB, NULL, &segment), 0);
    expect_rc(ipc_arena_open(NAME, &arena), -EINVAL);
    expect_rc(ipc_arena_open_or_create(NAME, NULL, &arena), -EINVAL);
    expect_rc(ipc_arena_create(NAME, NULL, &arena), -EEXIST);
    expect_rc(ipc_arena_unlink(NAME), -EINVAL);
    expect_rc(ipc_arena_open(OTHER, &arena), -EINVAL);
    expect_rc(ipc_arena_close(ipc_segment_data(segment)), -EINVAL);
    expect_rc(ipc_lock_close(lock), 0);
    expect_rc(ipc_lock_unlink(NAME), 0);
    expect_rc(ipc_segment_close(segment), 0);
    expect_rc(ipc_segment_unlink(OTHER), 0);
    arena = create(0, MIB);
    expect_rc(ipc_lock_open(NAME, &lock), -EINVAL);
    expect_rc(ipc_segment_open(NAME, &segment), -EINVAL);
    assert_non_null(strstr(ipc_error_detail(), "an arena"));
    expect_rc(ipc_segment_unlink(NAME), -EINVAL);
    expect_rc(ipc_arena_close(arena), 0);
    expect_rc(ipc_arena_unlink(NAME), 0);
}

static void what_is_no_name_is_refused(void)
{
    static const char *const bad[] = {"", "/", ".", "..", ".a", "a/b", "//a"};
    ipc_arena *arena = NULL;
    for (size_t i = 0; i < array_length(bad); i++) {
        expect_rc(ipc_arena_create(bad[i], NULL, &arena), -EINVAL);
        expect_rc(ipc_arena_open(bad[i], &arena), -EINVAL);
        expect_rc(ipc_arena_open_or_create(bad[i], NULL, &arena), -EINVAL);
        expect_rc(ipc_arena_unlink(bad[i]), -EINVAL);
    }
    const ipc_arena_options options = {.size = sizeof options, .flags = 4};
    expect_rc(ipc_arena_create(NAME, &options, &arena), -EINVAL);
    expect_rc(ipc_arena_open_or_create(NAME, &options, &arena), -EINVAL);
    expect_rc(ipc_arena_open(NAME, &arena), -ENOENT);
}

/* A file that was cut, or says that its arena is larger than it is. */
static void an_arena_larger_than_its_file_is_refused(void)
{
    ipc_arena *arena = create(0, MIB);
    const uint64_t end = arena->heap_end;
    ipc_arena *none = NULL;
    arena->heap_end += 4096;
    expect_rc(ipc_arena_open(NAME, &none), -EUCLEAN);
    arena->heap_end = UINT64_MAX;
    expect_rc(ipc_arena_open(NAME, &none), -EUCLEAN);
    arena->heap_end = end;
    ipc_arena *two = open_it();
    expect_rc(ipc_arena_close(two), 0);
    expect_rc(ipc_arena_close(arena), 0);
    expect_rc(ipc_arena_unlink(NAME), 0);
    const int fd = open("/dev/shm/" NAME, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 100000), 0);
    expect_rc(ipc_arena_open(NAME, &none), -EUCLEAN);
    (void)close(fd);
    assert_int_equal(unlink("/dev/shm/" NAME), 0);
}

/* ---- a full machine ---- */

static void with_a_small_shm(void *arg)
{
    ipc_arena *arena = NULL;
    ipc_arena_options options = IPC_ARENA_OPTIONS_INIT;
    int rc;
    (void)arg;
    fault_small_shm(2 * MIB, 0);
    options.max_bytes = 64 * MIB;
    expect_rc(ipc_arena_create(NAME, &options, &arena), 0);
    chain_make(arena);
    for (int round = 0; round < 3; round++) {
        uint64_t count = 0;
        while ((rc = add_one(arena, 0, 20000, count)) == 0)
            count++;
        expect_rc(rc, -ENOMEM);
        assert_true(count > 40);
        struct picture before = take_picture(arena);
        expect_rc(add_one(arena, 0, 20000, 1), -ENOMEM);
        assert_true(looks_like(arena, &before));
        expect_rc(ipc_atomic_begin(arena), 0);
        expect_rc(remove_one(arena, 0), 0);
        expect_rc(add_one(arena, 0, 20000, 1), -ENOMEM);
        expect_rc(ipc_atomic_abort(arena), 0);
        assert_true(looks_like(arena, &before));
        drop_picture(&before);
        (void)expect_whole(arena);
        struct ipc__visit v;
        expect_rc(ipc__arena_enter(&v, arena), 0);
        expect_rc(ipc__journal_room(&v, MIB / 8, 1), -ENOMEM);
        expect_rc(ipc__arena_leave(&v), -ENOMEM);
        remove_all(arena);
        expect_empty(arena);
    }
    expect_rc(ipc_arena_close(arena), 0);
    expect_rc(ipc_arena_unlink(NAME), 0);
    fault_small_shm(64 * KIB, 0);
    expect_rc(ipc_arena_create(NAME, &options, &arena), -ENOSPC);
    assert_int_equal(test_shm_names(), 0);
}

static void a_full_shm_is_an_error_and_changes_nothing(void)
{
    struct role role;
    role_start(&role, with_a_small_shm, NULL);
    role_wait_ok(&role, LIMIT_MS);
}

static const struct test_case cases[] = {
    TEST_CASE(all_who_open_the_name_get_one_arena),
    TEST_CASE(a_transaction_keeps_it_open),
    TEST_CASE(closed_by_all_it_stays),
    TEST_CASE(a_new_one_takes_little_memory),
    TEST_CASE(abandoned_it_is_gone),
    TEST_CASE(abandoned_it_persists_if_it_was_to),
    TEST_CASE(processes_at_different_addresses_share_it),
    TEST_CASE(many_make_it_at_once),
    TEST_CASE(names_of_other_kinds_are_refused),
    TEST_CASE(what_is_no_name_is_refused),
    TEST_CASE(an_arena_larger_than_its_file_is_refused),
    TEST_CASE(a_full_shm_is_an_error_and_changes_nothing),
};
TEST_MAIN(cases)
