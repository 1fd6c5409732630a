/* Family memory: what is handed out, and what comes back. */
#include "harness/harness.h"
#include "harness/role.h"
#include "harness/scale.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <ipc/error.h>
#include <ipc/shared.h>

enum {
    LIMIT_MS = 10000
};

#define KIB ((size_t)1024)
#define MIB (KIB * 1024)

/* ---- helpers ---- */

static void *get(size_t size)
{
    void *memory = ipc_shared_alloc(size);
    if (memory == NULL)
        test_fail("no %zu bytes: %s", size, ipc_error_detail());
    return memory;
}

static void give(void *memory)
{
    if (ipc_shared_free(memory) != 0)
        test_fail("free of %p: %s", memory, ipc_error_detail());
}

static bool is_filled(const void *memory, size_t size, unsigned char byte)
{
    const unsigned char *at = memory;
    return at[0] == byte && memcmp(at, at + 1, size - 1) == 0;
}

static bool is_zero(const void *memory, size_t size)
{
    return is_filled(memory, size, 0);
}

static ipc_shared_info query(void)
{
    ipc_shared_info info = IPC_SHARED_INFO_INIT;
    assert_int_equal(ipc_shared_query(&info), 0);
    return info;
}

/* Run a part of a case in a process of its own that has no family yet. */
static void in_a_fresh_process(void (*part)(void *arg), void *arg)
{
    struct role role;
    role_start(&role, part, arg);
    role_wait_ok(&role, LIMIT_MS);
}

/* ---- sizes ---- */

/* Allocate, look, spoil, free. */
static void take_and_spoil(size_t size)
{
    unsigned char *memory = get(size);
    const uintptr_t unit = size < 64 ? 16 : 64;
    if ((uintptr_t)memory % unit != 0)
        test_fail("%zu bytes at %p are not aligned to %zu", size,
                  (void *)memory, (size_t)unit);
    if (ipc_shared_size(memory) < size)
        test_fail("%zu bytes may be used of %zu", ipc_shared_size(memory),
                  size);
    if (!is_zero(memory, ipc_shared_size(memory)))
        test_fail("%zu bytes are not zero-filled", size);
    memset(memory, 0xff, ipc_shared_size(memory));
    give(memory);
    assert_int_equal(ipc_shared_size(memory), 0);
}

static void every_small_size_is_aligned_and_zero_filled_again(void)
{
    for (int pass = 0; pass < 2; pass++)
        for (size_t size = 1; size <= 8193; size++)
            take_and_spoil(size);
    assert_int_equal(query().count, 0);
    assert_int_equal(query().used, 0);
}

static void large_sizes_are_aligned_and_zero_filled_again(void)
{
    static const size_t sizes[] = {
        64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 128 * KIB - 1, 128 * KIB + 1,
        MIB - 1,      MIB,      MIB + 1,      10000001,      100 * MIB,
    };
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            take_and_spoil(sizes[i]);
    assert_int_equal(query().count, 0);
}

static void too_much_or_nothing_is_refused_with_a_reason(void)
{
    const size_t sizes[] = {0, (size_t)query().reserved + 1, SIZE_MAX / 2,
                            SIZE_MAX - 4095, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        give(get(1)); /* the detail line is about the last call that failed */
        assert_null(ipc_shared_alloc(sizes[i]));
        char wanted[40];
        (void)snprintf(wanted, sizeof wanted, "%zu bytes", sizes[i]);
        assert_non_null(strstr(ipc_error_detail(), wanted));
    }
    assert_int_equal(query().count, 0);
}

/* ---- a long random history against a list of what there should be ---- */

enum {
    MODEL_BLOCKS = 300,
    MODEL_STEPS = 20000
};

struct block {
    unsigned char *at;
    size_t size;
    unsigned char tag;
};

static void fill_block(const struct block *block)
{
    memset(block->at, block->tag, block->size);
}

static void check_block(const struct block *block)
{
    if (!is_filled(block->at, block->size, block->tag))
        test_fail("%zu bytes at %p were written by somebody else", block->size,
                  (void *)block->at);
}

static size_t random_size(struct test_random *random)
{
    const long kind = test_random_between(random, 0, 99);
    if (kind < 50)
        return (size_t)test_random_between(random, 1, 256);
    if (kind < 85)
        return (size_t)test_random_between(random, 1, 8192);
    if (kind < 99)
        return (size_t)test_random_between(random, 8193, 200000);
    return (size_t)test_random_between(random, 1, 3 * MIB);
}

static void check_apart(const struct block *all, const struct block *one)
{
    for (size_t i = 0; i < MODEL_BLOCKS; i++)
        if (&all[i] != one && all[i].at != NULL &&
            all[i].at < one->at + one->size &&
            one->at < all[i].at + all[i].size)
            test_fail("%p + %zu and %p + %zu overlap", (void *)all[i].at,
                      all[i].size, (void *)one->at, one->size);
}

static void take_block(struct block *all, struct block *one,
                       struct test_random *random)
{
    one->size = random_size(random);
    one->tag = (unsigned char)test_random_next(random);
    one->at = get(one->size);
    check_apart(all, one);
    if (!is_zero(one->at, one->size))
        test_fail("%zu bytes are not zero-filled", one->size);
    fill_block(one);
}

static void drop_block(struct block *one)
{
    check_block(one);
    give(one->at);
    one->at = NULL;
}

static void random_history_never_overlaps_or_forgets(void)
{
    static struct block all[MODEL_BLOCKS];
    struct test_random random = {test_seed()};
    uint64_t alive = 0;
    for (long step = 0; step < (long)MODEL_STEPS * test_scale(); step++) {
        struct block *one =
            &all[test_random_between(&random, 0, MODEL_BLOCKS - 1)];
        if (one->at == NULL) {
            take_block(all, one, &random);
            alive++;
        } else {
            drop_block(one);
            alive--;
        }
        if (step % 1000 == 0)
            assert_int_equal(query().count, alive);
    }
    test_report("alive", (long long)alive);
    for (size_t i = 0; i < MODEL_BLOCKS; i++)
        if (all[i].at != NULL)
            drop_block(&all[i]);
    assert_int_equal(query().count, 0);
    assert_int_equal(query().used, 0);
}

static void *churn(void *arg)
{
    struct test_random random = {(uint64_t)(uintptr_t)arg};
    struct block mine[16] = {{NULL, 0, 0}};
    for (int step = 0; step < 3000; step++) {
        struct block *one = &mine[test_random_between(&random, 0, 15)];
        if (one->at == NULL) {
            one->size = (size_t)test_random_between(
                &random, 1, step % 50 == 0 ? 150000 : 700);
            one->tag = (unsigned char)test_random_next(&random);
            one->at = get(one->size);
            fill_block(one);
        } else {
            drop_block(one);
        }
    }
    for (size_t i = 0; i < 16; i++)
        if (mine[i].at != NULL)
            drop_block(&mine[i]);
    return NULL;
}

static void threads_allocate_and_free_at_once(void)
{
    pthread_t threads[4];
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn,
                                        (void *)(uintptr_t)(seed + i)),
                         0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(query().count, 0);
}

/* ---- errors of free ---- */

static void expect_refused(void *memory)
{
    const ipc_shared_info before = query();
    assert_int_equal(ipc_shared_size(memory), 0);
    assert_int_equal(ipc_shared_free(memory), -EINVAL);
    assert_string_not_equal(ipc_error_detail(), "");
    assert_int_equal(query().count, before.count);
    assert_int_equal(query().used, before.used);
}

static void expect_insides_refused(char *memory, size_t size)
{
    static const size_t offsets[] = {1, 8, 15, 16, 17, 64, 4096, 65536, 65552};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++)
        if (offsets[i] < size)
            expect_refused(memory + offsets[i]);
    if (size > 1)
        expect_refused(memory + size - 1);
}

static void free_refuses_what_was_not_handed_out(void)
{
    static const size_t sizes[] = {1, 16, 100, 4096, 8192, 8193, 200000, MIB};
    int on_stack = 0;
    char *on_heap = malloc(100);

    assert_int_equal(ipc_shared_free(NULL), 0);
    assert_int_equal(ipc_shared_size(NULL), 0);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *memory = get(sizes[i]);
        expect_insides_refused(memory, sizes[i]);
        /* The first slot of a slab follows what is the allocator's own. */
        expect_refused((char *)((uintptr_t)memory & ~(uintptr_t)4095) + 4);
        give(memory);
        expect_refused(memory); /* twice */
    }
    expect_refused(&on_stack);
    expect_refused(on_heap);
    expect_refused((void *)(uintptr_t)16);
    expect_refused((void *)(UINTPTR_MAX - 15));
    /* A slot of a slab in use that was never handed out. */
    char *memory = get(48);
    expect_refused(memory + 48);
    /* Beyond all that was ever handed out, but in the range. */
    expect_refused(memory + 1000 * MIB);
    give(memory);
    free(on_heap);
}

/* ---- numbers ---- */

static void query_counts_what_is_handed_out(void)
{
    const ipc_shared_info before = query();
    assert_true(before.reserved >= 16 * MIB);
    assert_int_equal(before.count, 0);
    void *all[5];
    uint64_t used = 0;
    for (size_t i = 0; i < 5; i++) {
        all[i] = get((size_t)100 << i * 3);
        used += ipc_shared_size(all[i]);
        assert_int_equal(query().count, i + 1);
        assert_int_equal(query().used, used);
    }
    for (size_t i = 0; i < 5; i++)
        give(all[i]);
    assert_int_equal(query().count, 0);
    assert_int_equal(query().used, 0);
    assert_int_equal(query().reserved, before.reserved);
    assert_true(query().members >= 1);
}

static void query_fills_as_much_as_the_caller_knows(void)
{
    void *memory = get(100);
    ipc_shared_info info;
    memset(&info, 0xee, sizeof info);
    info.size = offsetof(ipc_shared_info, used);
    assert_int_equal(ipc_shared_query(&info), 0);
    assert_int_equal(info.size, offsetof(ipc_shared_info, used));
    assert_int_equal(info.reserved, query().reserved);
    assert_int_equal(info.count, UINT64_C(0xeeeeeeeeeeeeeeee));
    info.size = 0;
    assert_int_equal(ipc_shared_query(&info), -EINVAL);
    give(memory);
}

/* ---- memory is given back ---- */

static size_t pages_present(void *memory, size_t size)
{
    static unsigned char present[64 * MIB / 4096];
    size_t count = 0;
    assert_int_equal(mincore(memory, size, present), 0);
    for (size_t i = 0; i < size / 4096; i++)
        count += present[i] & 1;
    return count;
}

static void freed_large_blocks_go_back_to_the_machine(void)
{
    const size_t size = 64 * MIB;
    unsigned char *memory = get(size);
    /* Present before it is touched: no SIGBUS can come later. */
    assert_int_equal(pages_present(memory, size), size / 4096);
    memset(memory, 1, size);
    give(memory);
    assert_int_equal(pages_present(memory, size), 0);
}

static void freed_small_blocks_go_back_to_the_machine(void)
{
    enum {
        COUNT = 4000
    };
    static char *all[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        all[i] = get(4096);
    char *low = (char *)((uintptr_t)all[0] & ~(uintptr_t)0xffff);
    char *high = low;
    for (size_t i = 0; i < COUNT; i++)
        high = all[i] > high ? all[i] : high;
    const size_t size = (size_t)(high - low) / 4096 * 4096;
    const size_t before = pages_present(low, size);
    assert_true(before >= COUNT);
    for (size_t i = 0; i < COUNT; i++)
        give(all[i]);
    /* One slab of a class may stay. */
    assert_true(pages_present(low, size) <= 32);
}

/* What the program has locked in memory cannot be given back by a mere hint
 * to the kernel; it must not come up again in somebody else's block. */
static void lock_spoil_and_free(void *arg)
{
    (void)arg;
    char *memory = get(64 * KIB);
    memset(memory, 0xff, 64 * KIB);
    if (mlock(memory, 64 * KIB) != 0)
        test_skip("mlock: %m");
    give(memory);
    for (size_t size = 16; size <= 8192; size *= 2) {
        void *few[3];
        for (size_t i = 0; i < 3; i++) {
            few[i] = get(size);
            if (!is_zero(few[i], size))
                test_fail("%zu bytes are not zero-filled", size);
        }
        assert_ptr_not_equal(few[0], few[1]);
        assert_int_equal(query().count, 3);
        for (size_t i = 0; i < 3; i++)
            give(few[i]);
    }
    memory = get(64 * KIB);
    assert_true(is_zero(memory, 64 * KIB));
    give(memory);
}

static void memory_freed_while_locked_comes_back_zero_filled(void)
{
    in_a_fresh_process(lock_spoil_and_free, NULL);
}

static const struct test_case cases[] = {
    TEST_CASE(every_small_size_is_aligned_and_zero_filled_again),
    TEST_CASE(large_sizes_are_aligned_and_zero_filled_again),
    TEST_CASE(too_much_or_nothing_is_refused_with_a_reason),
    TEST_CASE(random_history_never_overlaps_or_forgets),
    TEST_CASE(threads_allocate_and_free_at_once),
    TEST_CASE(free_refuses_what_was_not_handed_out),
    TEST_CASE(query_counts_what_is_handed_out),
    TEST_CASE(query_fills_as_much_as_the_caller_knows),
    TEST_CASE(freed_large_blocks_go_back_to_the_machine),
    TEST_CASE(freed_small_blocks_go_back_to_the_machine),
    TEST_CASE(memory_freed_while_locked_comes_back_zero_filled),
};
TEST_MAIN(cases)
