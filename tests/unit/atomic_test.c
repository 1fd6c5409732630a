/* atomic.h: every operation, for every type; and none is lost when many do
 * it. */
#include "harness/harness.h"
#include "harness/role.h"
#include "harness/scale.h"

#include <pthread.h>

#include <ipc/atomic.h>

enum {
    LIMIT_MS = 10000,
    MEMBERS = 3
};

/* ---- each by itself ---- */

/* What every type does: T has room for 100 and is at -1 all ones. */
#define TRY_NUMBER(T, suffix)                                                  \
    do {                                                                       \
        T at = 5;                                                              \
        T expected = 7;                                                        \
        assert_true(ipc_atomic_load_##suffix(&at) == 5);                       \
        ipc_atomic_store_##suffix(&at, 6);                                     \
        assert_true(at == 6);                                                  \
        assert_true(ipc_atomic_exchange_##suffix(&at, 8) == 6);                \
        assert_true(at == 8);                                                  \
        assert_true(ipc_atomic_add_##suffix(&at, 3) == 8);                     \
        assert_true(at == 11);                                                 \
        assert_true(ipc_atomic_sub_##suffix(&at, 1) == 11);                    \
        assert_true(at == 10);                                                 \
        assert_false(ipc_atomic_cas_##suffix(&at, &expected, 20));             \
        assert_true(at == 10 && expected == 10);                               \
        assert_true(ipc_atomic_cas_##suffix(&at, &expected, 20));              \
        assert_true(at == 20 && expected == 10);                               \
        assert_true(ipc_atomic_sub_##suffix(&at, 21) == 20);                   \
        assert_true(at == (T)-1);                                              \
    } while (0)

static void every_type_does_what_it_says(void)
{
    TRY_NUMBER(int32_t, i32);
    TRY_NUMBER(uint32_t, u32);
    TRY_NUMBER(int64_t, i64);
    TRY_NUMBER(uint64_t, u64);
}

static void bits_are_set_and_cleared(void)
{
    uint32_t few = 0x0f;
    uint64_t many = UINT64_C(1) << 40;
    assert_int_equal(ipc_atomic_or_u32(&few, 0x30), 0x0f);
    assert_int_equal(ipc_atomic_and_u32(&few, 0x1e), 0x3f);
    assert_int_equal(few, 0x1e);
    assert_true(ipc_atomic_or_u64(&many, 1) == UINT64_C(1) << 40);
    assert_true(ipc_atomic_and_u64(&many, ~UINT64_C(1)) ==
                (UINT64_C(1) << 40 | 1));
    assert_true(many == UINT64_C(1) << 40);
}

static void sums_wrap_around(void)
{
    int32_t i32 = INT32_MAX;
    int64_t i64 = INT64_MIN;
    uint32_t u32 = UINT32_MAX;
    assert_true(ipc_atomic_add_i32(&i32, 1) == INT32_MAX);
    assert_true(i32 == INT32_MIN);
    assert_true(ipc_atomic_sub_i64(&i64, 1) == INT64_MIN);
    assert_true(i64 == INT64_MAX);
    assert_true(ipc_atomic_add_u32(&u32, 1) == UINT32_MAX);
    assert_true(u32 == 0);
}

/* Neighbours of a small one are not touched. */
static void only_its_own_bytes_change(void)
{
    uint32_t row[3] = {0, 0, 0};
    ipc_atomic_store_u32(&row[1], UINT32_MAX);
    assert_true(ipc_atomic_add_u32(&row[1], 1) == UINT32_MAX);
    assert_true(ipc_atomic_exchange_u32(&row[1], 5) == 0);
    assert_int_equal(row[0], 0);
    assert_int_equal(row[2], 0);
}

/* ---- many at once ---- */

struct counters {
    uint32_t ready;
    long rounds;
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    uint64_t u64;
    uint64_t by_cas;
    int64_t slots; /* taken by sub, never below 0 */
    int64_t taken; /* how many of them */
    /* A message: written before the flag. */
    uint64_t message;
    uint32_t written;
};

static void add_to_all(struct counters *all)
{
    ipc_atomic_add_i32(&all->i32, -1);
    ipc_atomic_add_u32(&all->u32, 1);
    ipc_atomic_add_i64(&all->i64, INT64_C(1) << 33);
    ipc_atomic_sub_u64(&all->u64, 1);
    uint64_t old = ipc_atomic_load_u64(&all->by_cas);
    while (!ipc_atomic_cas_u64(&all->by_cas, &old, old + 1))
        ;
    if (ipc_atomic_sub_i64(&all->slots, 1) > 0)
        ipc_atomic_add_i64(&all->taken, 1);
}

static void *count(void *arg)
{
    struct counters *all = arg;
    meet_signal(&all->ready); /* all begin together */
    meet_wait(&all->ready, MEMBERS, LIMIT_MS);
    for (long i = 0; i < all->rounds; i++)
        add_to_all(all);
    return NULL;
}

static void count_role(void *arg)
{
    (void)count(arg);
}

static struct counters *new_counters(void)
{
    struct counters *all = test_shared(sizeof *all);
    all->rounds = 20000 * test_scale();
    all->slots = all->rounds;
    return all;
}

static void expect_counts(const struct counters *all)
{
    const int64_t total = MEMBERS * all->rounds;
    assert_true(all->i32 == -total);
    assert_true(all->u32 == total);
    assert_true(all->i64 == total << 33);
    assert_true(all->u64 == UINT64_MAX - (uint64_t)total + 1);
    assert_true(all->by_cas == (uint64_t)total);
    assert_true(all->taken == all->rounds);
}

static void threads_lose_nothing(void)
{
    struct counters *all = new_counters();
    pthread_t threads[MEMBERS];
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, all), 0);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    expect_counts(all);
}

static void processes_lose_nothing(void)
{
    struct counters *all = new_counters();
    struct role roles[MEMBERS];
    for (size_t i = 0; i < MEMBERS; i++)
        role_start(&roles[i], count_role, all);
    for (size_t i = 0; i < MEMBERS; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
    expect_counts(all);
}

/* ---- order ---- */

static void *write_messages(void *arg)
{
    struct counters *all = arg;
    for (uint32_t i = 1; i <= (uint32_t)all->rounds; i++) {
        while (ipc_atomic_load_u32(&all->written) != 2 * i - 2)
            poll_pause();
        all->message = i * UINT64_C(0x100000001); /* no atomic */
        ipc_atomic_store_u32(&all->written, 2 * i - 1);
    }
    return NULL;
}

static void what_was_written_before_a_store_is_seen_after_it(void)
{
    struct counters *all = new_counters();
    pthread_t writer;
    all->rounds = 100 * test_scale();
    assert_int_equal(pthread_create(&writer, NULL, write_messages, all), 0);
    for (uint32_t i = 1; i <= (uint32_t)all->rounds; i++) {
        while (ipc_atomic_load_u32(&all->written) != 2 * i - 1)
            poll_pause();
        if (all->message != i * UINT64_C(0x100000001))
            test_fail("message %u is 0x%llx", i,
                      (unsigned long long)all->message);
        ipc_atomic_store_u32(&all->written, 2 * i);
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(every_type_does_what_it_says),
    TEST_CASE(bits_are_set_and_cleared),
    TEST_CASE(sums_wrap_around),
    TEST_CASE(only_its_own_bytes_change),
    TEST_CASE(threads_lose_nothing),
    TEST_CASE(processes_lose_nothing),
    TEST_CASE(what_was_written_before_a_store_is_seen_after_it),
};
TEST_MAIN(cases)
