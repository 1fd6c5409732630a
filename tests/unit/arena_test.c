/* Arenas: what they are made with, transactions and who may be in one, the
 * family's own, fork, and the rules of the internal visits. */
#include "unit/arena_support.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <ipc/shared.h>

#include "core/family.h"

/* ---- options ---- */

static int try_options(uint32_t size, uint32_t flags, uint64_t max_bytes)
{
    const ipc_arena_options options = {
        .size = size, .flags = flags, .max_bytes = max_bytes};
    ipc_arena *arena = NULL;
    const int rc = ipc_arena_new(&options, &arena);
    assert_true((rc == 0) == (arena != NULL));
    if (rc == 0)
        expect_rc(ipc_arena_free(arena), 0);
    return rc;
}

static void options_are_looked_at(void)
{
    const uint32_t size = sizeof(ipc_arena_options);
    expect_rc(try_options(size, 0, 0), 0);
    expect_rc(try_options(size, 0, 64 * KIB - 1), -EINVAL);
    expect_rc(try_options(size, 0, 64 * KIB), 0);
    expect_rc(try_options(size, 0, 64 * KIB + 1), 0);
    expect_rc(try_options(size, 0, ((uint64_t)32 << 30) + 1), -EINVAL);
    expect_rc(try_options(size, 0, UINT64_MAX), -EINVAL);
    expect_rc(try_options(size, 0, 1), -EINVAL);
    expect_rc(try_options(size, IPC_ARENA_PERSIST, 0), -EINVAL);
    for (uint32_t bit = 1; bit < 32; bit++)
        expect_rc(try_options(size, 1u << bit, 0), -EINVAL);
    expect_rc(try_options(0, 0, 0), -EINVAL);
    expect_rc(try_options(3, 0, 0), -EINVAL);
    expect_rc(try_options(8, 0, 1), 0); /* an old program's: no max_bytes */
    expect_rc(try_options(5000, 0, 0), -EINVAL);
}

static void options_of_a_newer_program(void)
{
    struct {
        ipc_arena_options options;
        uint64_t more;
    } newer = {{.size = sizeof newer, .max_bytes = MIB}, 0};
    ipc_arena *arena = NULL;
    expect_rc(ipc_arena_new(&newer.options, &arena), 0);
    expect_rc(ipc_arena_free(arena), 0);
    newer.more = 1;
    expect_rc(ipc_arena_new(&newer.options, &arena), -E2BIG);
    expect_rc(ipc_arena_new(NULL, &arena), 0);
    assert_int_equal(query(arena).max_bytes, 1024 * MIB);
    expect_rc(ipc_arena_free(arena), 0);
    expect_rc(ipc_arena_free(NULL), 0);
}

static void the_limit_is_as_it_was_asked_for(void)
{
    static const uint64_t limits[] = {64 * KIB,   64 * KIB + 4096,
                                      100 * KIB,  MIB,
                                      1024 * MIB, (uint64_t)8 << 30};
    for (size_t i = 0; i < array_length(limits); i++) {
        ipc_arena *arena = new_arena(limits[i]);
        const ipc_arena_info info = query(arena);
        assert_int_equal(info.max_bytes, limits[i]);
        assert_int_equal(info.used_bytes, 0);
        assert_int_equal(info.objects, 0);
        assert_int_equal(info.recoveries, 0);
        assert_true(info.present_bytes < 200 * KIB);
        expect_rc(ipc_arena_check(arena), 0);
        expect_rc(ipc_arena_free(arena), 0);
    }
}

static void labels_are_in_details(void)
{
    ipc_arena_options options = IPC_ARENA_OPTIONS_INIT;
    ipc_arena *arena = NULL;
    options.max_bytes = MIB;
    options.label = "a label that is longer than 23 bytes";
    expect_rc(ipc_arena_new(&options, &arena), 0);
    arena->top++;
    expect_rc(ipc_arena_check(arena), -EUCLEAN);
    assert_non_null(
        strstr(ipc_error_detail(), "arena \"a label that is longer \""));
    arena->top--;
    arena->spoilt = 0;
    expect_rc(ipc_arena_check(arena), 0);
    expect_rc(ipc_arena_free(arena), 0);
}

static void infos_of_other_sizes(void)
{
    ipc_arena *arena = new_arena(MIB);
    ipc_arena_info info;
    memset(&info, 0xee, sizeof info);
    info.size = 16;
    expect_rc(ipc_arena_query(arena, &info), 0);
    assert_int_equal(info.max_bytes, MIB);
    assert_true(info.present_bytes == 0xeeeeeeeeeeeeeeee);
    info.size = 2;
    expect_rc(ipc_arena_query(arena, &info), -EINVAL);
    expect_rc(ipc_arena_free(arena), 0);
}

static void what_is_no_arena_is_not_freed(void)
{
    void *memory = ipc_shared_alloc(100);
    expect_rc(ipc_arena_free(memory), -EINVAL);
    expect_rc(ipc_arena_close(memory), -EINVAL);
    expect_rc(ipc_shared_free(memory), 0);
}

/* An arena comes, is used and goes: nothing is lost. */
static void family_memory_is_as_before(void)
{
    ipc_shared_info before = IPC_SHARED_INFO_INIT;
    ipc_shared_info after = IPC_SHARED_INFO_INIT;
    expect_rc(ipc_shared_query(&before), 0);
    for (int i = 0; i < 50; i++) {
        ipc_arena *arena = arena_with_chain(4 * MIB);
        expect_rc(add_one(arena, 0, MIB, 1), 0);
        expect_rc(ipc_arena_free(arena), 0);
    }
    expect_rc(ipc_shared_query(&after), 0);
    assert_int_equal(before.count, after.count);
    assert_int_equal(before.used, after.used);
}

/* ---- transactions ---- */

static void transactions_begin_and_end(void)
{
    ipc_arena *arena = arena_with_chain(MIB);
    expect_rc(ipc_atomic_commit(arena), -EPERM);
    expect_rc(ipc_atomic_abort(arena), -EPERM);
    expect_rc(ipc_atomic_begin(arena), 0);
    expect_rc(ipc_atomic_begin(arena), -EALREADY);
    expect_rc(ipc_atomic_begin_nowait(arena), -EALREADY);
    expect_rc(ipc_atomic_begin_until(arena, IPC_TIME_NOW), -EALREADY);
    expect_rc(ipc_arena_free(arena), -EBUSY);
    expect_rc(add_one(arena, 0, 10, 5), 0);
    expect_rc(ipc_arena_check(arena), -EUCLEAN); /* blocks without an object */
    assert_true(query(arena).used_bytes > 0);
    expect_rc(ipc_atomic_commit(arena), 0);
    expect_rc(ipc_atomic_commit(arena), -EPERM);
    assert_int_equal(chain_of(arena)->sum, 5);
    expect_rc(ipc_atomic_begin_nowait(arena), 0);
    expect_rc(ipc_atomic_abort(arena), 0);
    expect_rc(ipc_atomic_abort(arena), -EPERM);
    expect_rc(ipc_atomic_begin_until(arena, ipc_after_ms(10)), 0);
    expect_rc(ipc_atomic_commit(arena), 0);
    expect_rc(ipc_atomic_begin_until(arena, IPC_TIME_NOW), 0);
    expect_rc(ipc_atomic_commit(arena), 0);
    expect_rc(ipc_arena_free(arena), 0);
}

/* One thread may be in transactions of several arenas. */
static void transactions_of_two_arenas_at_once(void)
{
    ipc_arena *one = arena_with_chain(MIB);
    ipc_arena *two = arena_with_chain(MIB);
    expect_rc(ipc_atomic_begin(one), 0);
    expect_rc(ipc_atomic_begin(two), 0);
    expect_rc(ipc_atomic_begin(NULL), 0);
    expect_rc(add_one(one, 0, 10, 1), 0);
    expect_rc(add_one(two, 0, 10, 2), 0);
    expect_rc(ipc_atomic_commit(one), 0);
    expect_rc(ipc_atomic_abort(two), 0);
    expect_rc(ipc_atomic_commit(NULL), 0);
    assert_int_equal(chain_of(one)->sum, 1);
    assert_int_equal(chain_of(two)->sum, 0);
    expect_rc(ipc_arena_free(one), 0);
    expect_rc(ipc_arena_free(two), 0);
}

struct stage {
    ipc_arena *arena;
    uint32_t ready;
    uint32_t go;
    uint32_t done;
    int rc[8];
};

static void hold_until_go(void *arg)
{
    struct stage *stage = arg;
    expect_rc(ipc_atomic_begin(stage->arena), 0);
    expect_rc(add_one(stage->arena, 0, 10, 9), 0);
    meet_signal(&stage->ready);
    meet_wait(&stage->go, 1, LIMIT_MS);
    expect_rc(ipc_atomic_commit(stage->arena), 0);
}

static void others_wait_or_are_refused(void)
{
    struct stage *stage = test_shared(sizeof *stage);
    ipc_arena *arena = stage->arena = arena_with_chain(MIB);
    struct role role;
    role_start(&role, hold_until_go, stage);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    expect_rc(ipc_atomic_begin_nowait(arena), -EAGAIN);
    assert_non_null(strstr(ipc_error_detail(), "\"shop\" is held by pid"));
    const int64_t start = test_now_ns();
    expect_rc(ipc_atomic_begin_until(arena, ipc_after_ms(30)), -ETIMEDOUT);
    assert_true(test_now_ns() - start >= INT64_C(30) * 1000000);
    expect_rc(ipc_atomic_begin_until(arena, IPC_TIME_NOW), -ETIMEDOUT);
    expect_rc(ipc_atomic_begin_until(arena, -5), -ETIMEDOUT);
    expect_rc(ipc_atomic_commit(arena), -EPERM);
    expect_rc(ipc_atomic_abort(arena), -EPERM);
    expect_rc(ipc_arena_free(arena), -EBUSY);
    meet_signal(&stage->go);
    expect_rc(add_one(arena, 0, 10, 1), 0); /* waits */
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(chain_of(arena)->sum, 10);
    expect_rc(ipc_arena_free(arena), 0);
}

/* ---- threads ---- */

static void *visit_from_a_thread(void *arg)
{
    struct stage *stage = arg;
    stage->rc[0] = ipc_atomic_begin_nowait(stage->arena);
    stage->rc[1] = ipc_atomic_commit(stage->arena);
    stage->rc[2] = ipc_atomic_abort(stage->arena);
    meet_signal(&stage->ready);
    stage->rc[3] = add_one(stage->arena, 0, 10, 100);
    meet_signal(&stage->done);
    return NULL;
}

static void a_transaction_is_its_threads_alone(void)
{
    struct stage *stage = test_shared(sizeof *stage);
    ipc_arena *arena = stage->arena = arena_with_chain(MIB);
    pthread_t thread;
    expect_rc(ipc_atomic_begin(arena), 0);
    expect_rc(add_one(arena, 0, 10, 1), 0);
    assert_int_equal(pthread_create(&thread, NULL, visit_from_a_thread, stage),
                     0);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    assert_false(meet_within(&stage->done, 1, 30));
    assert_int_equal(chain_of(arena)->sum, 1);
    expect_rc(ipc_atomic_commit(arena), 0);
    meet_wait(&stage->done, 1, LIMIT_MS);
    assert_int_equal(pthread_join(thread, NULL), 0);
    expect_rc(stage->rc[0], -EAGAIN);
    expect_rc(stage->rc[1], -EPERM);
    expect_rc(stage->rc[2], -EPERM);
    expect_rc(stage->rc[3], 0);
    assert_int_equal(chain_of(arena)->sum, 101);
    (void)expect_whole(arena);
    expect_rc(ipc_arena_free(arena), 0);
}

static void *end_in_a_transaction(void *arg)
{
    expect_rc(ipc_atomic_begin(arg), 0);
    expect_rc(add_one(arg, 0, 10, 1), 0);
    return NULL;
}

static void the_end_of_a_thread_undoes_its_transaction(void)
{
    ipc_arena *arena = arena_with_chain(MIB);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, end_in_a_transaction, arena),
                     0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(query(arena).recoveries, 1);
    expect_empty(arena);
    expect_rc(ipc_arena_free(arena), 0);
}

/* ---- fork ---- */

static void child_of_a_transaction(void *arg)
{
    struct stage *stage = arg;
    expect_rc(ipc_atomic_commit(stage->arena), -EPERM);
    expect_rc(ipc_atomic_abort(stage->arena), -EPERM);
    expect_rc(ipc_atomic_begin_nowait(stage->arena), -EAGAIN);
    meet_signal(&stage->ready);
    expect_rc(add_one(stage->arena, 0, 10, 100), 0);
    meet_signal(&stage->done);
}

static void a_transaction_stays_the_parents(void)
{
    struct stage *stage = test_shared(sizeof *stage);
    ipc_arena *arena = stage->arena = arena_with_chain(MIB);
    struct role role;
    expect_rc(ipc_atomic_begin(arena), 0);
    expect_rc(add_one(arena, 0, 10, 1), 0);
    role_start(&role, child_of_a_transaction, stage);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    assert_false(meet_within(&stage->done, 1, 30));
    expect_rc(add_one(arena, 0, 10, 2), 0);
    expect_rc(ipc_atomic_commit(arena), 0);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(chain_of(arena)->sum, 103);
    assert_int_equal(query(arena).recoveries, 0);
    expect_rc(ipc_arena_free(arena), 0);
}

/* ---- the family's own ---- */

static void use_the_familys(void *arg)
{
    struct stage *stage = arg;
    ipc_arena *arena = NULL;
    meet_signal(&stage->ready);
    meet_wait(&stage->go, 1, LIMIT_MS);
    expect_rc(ipc__arena_default(&arena), 0);
    ipc_arena *first = NULL;
    if (!__atomic_compare_exchange_n(&stage->arena, &first, arena, false,
                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        assert_ptr_equal(first, arena);
    expect_rc(ipc_atomic_begin(NULL), 0);
    expect_rc(ipc_atomic_commit(NULL), 0);
    expect_rc(ipc_arena_check(NULL), 0);
}

static void many_make_the_familys_own_at_once(void)
{
    enum {
        MANY = 6
    };
    struct stage *stage = test_shared(sizeof *stage);
    struct role roles[MANY];
    ipc_shared_info before = IPC_SHARED_INFO_INIT;
    ipc_shared_info after = IPC_SHARED_INFO_INIT;
    expect_rc(ipc_shared_init(), 0);
    expect_rc(ipc_shared_query(&before), 0);
    for (int i = 0; i < MANY; i++)
        role_start(&roles[i], use_the_familys, stage);
    meet_wait(&stage->ready, MANY, LIMIT_MS);
    meet_signal(&stage->go);
    for (int i = 0; i < MANY; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
    expect_rc(ipc_shared_query(&after), 0);
    assert_int_equal(after.count, before.count + 1);
    assert_int_equal(query(NULL).max_bytes, (uint64_t)4 << 30);
    assert_int_equal(query(NULL).used_bytes, 0);
}

/* Where a program may have little address space the family's is smaller. */
static void with_few_addresses(void *arg)
{
    const struct rlimit limit = {(rlim_t)2 << 30, (rlim_t)2 << 30};
    (void)arg;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    expect_rc(ipc_atomic_begin(NULL), 0);
    expect_rc(ipc_atomic_commit(NULL), 0);
    assert_true(query(NULL).max_bytes >= 64 * MIB);
    assert_true(query(NULL).max_bytes < (uint64_t)2 << 30);
}

static void the_familys_own_fits_where_addresses_are_few(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    test_skip("a sanitizer takes more addresses than that");
#endif
    assert_int_equal(role_try(with_few_addresses, NULL, LIMIT_MS), 0);
}

static void a_wild_address_of_the_familys_own_is_refused(void)
{
    static const uint64_t wild[] = {1,
                                    4096,
                                    (uint64_t)64 << 30,
                                    0xdeadbeef,
                                    (uint64_t)1 << 46,
                                    (uint64_t)1 << 63,
                                    UINT64_MAX};
    struct ipc__region *family;
    expect_rc(ipc__family(&family), 0);
    for (size_t i = 0; i < array_length(wild); i++) {
        family->arena = wild[i];
        expect_rc(ipc_atomic_begin(NULL), -EUCLEAN);
        family->arena = (uintptr_t)family + wild[i];
        assert_true(ipc_atomic_begin(NULL) == -EUCLEAN);
    }
    family->arena = 0;
    expect_rc(ipc_atomic_begin(NULL), 0);
    expect_rc(ipc_atomic_commit(NULL), 0);
}

/* ---- from a signal handler it is refused, not done by halves ---- */

static ipc_arena *interrupted;
static int handler_rc;

static void visit_in_handler(int number)
{
    static ipc_arena_info info = IPC_ARENA_INFO_INIT;
    (void)number;
    /* NOLINTNEXTLINE(bugprone-signal-handler,cert-sig30-c): it is refused */
    handler_rc = ipc_arena_query(interrupted, &info);
}

static void a_handler_within_a_visit_is_refused(void)
{
    struct ipc__visit v;
    interrupted = arena_with_chain(MIB);
    assert_true(signal(SIGUSR1, visit_in_handler) != SIG_ERR);
    expect_rc(ipc__arena_enter(&v, interrupted), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    expect_rc(handler_rc, -EDEADLK);
    expect_rc(ipc__arena_leave(&v), 0);
    expect_empty(interrupted);
    expect_rc(ipc_arena_free(interrupted), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(options_are_looked_at),
    TEST_CASE(options_of_a_newer_program),
    TEST_CASE(the_limit_is_as_it_was_asked_for),
    TEST_CASE(labels_are_in_details),
    TEST_CASE(infos_of_other_sizes),
    TEST_CASE(what_is_no_arena_is_not_freed),
    TEST_CASE(family_memory_is_as_before),
    TEST_CASE(transactions_begin_and_end),
    TEST_CASE(transactions_of_two_arenas_at_once),
    TEST_CASE(others_wait_or_are_refused),
    TEST_CASE(a_transaction_is_its_threads_alone),
    TEST_CASE(the_end_of_a_thread_undoes_its_transaction),
    TEST_CASE(a_transaction_stays_the_parents),
    TEST_CASE(many_make_the_familys_own_at_once),
    TEST_CASE(the_familys_own_fits_where_addresses_are_few),
    TEST_CASE(a_wild_address_of_the_familys_own_is_refused),
    TEST_CASE(a_handler_within_a_visit_is_refused),
};
TEST_MAIN(cases)
