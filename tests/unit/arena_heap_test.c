/* The allocator of an arena: sizes, alignment, who has which bytes, what
 * becomes of freed ones, and the end of memory. */
#include "unit/arena_support.h"

/* ---- sizes ---- */

static uint64_t alloc_one(ipc_arena *arena, uint64_t bytes, int *rc)
{
    struct ipc__visit v;
    expect_rc(ipc__arena_enter(&v, arena), 0);
    const uint64_t at = ipc__alloc(&v, bytes);
    const uint64_t size = at != 0 ? ipc__block_size(&v, at) : 0;
    *rc = ipc__arena_leave(&v);
    if (at != 0) {
        assert_true(size >= bytes && size <= bytes + 47);
        assert_int_equal(((uintptr_t)arena + at) % 16, 0);
    }
    return at;
}

static void park_one(ipc_arena *arena, uint64_t at)
{
    struct ipc__visit v;
    expect_rc(ipc__arena_enter(&v, arena), 0);
    ipc__park(&v, at, IPC__PARKED_BLOCK);
    expect_rc(ipc__arena_leave(&v), 0);
}

static bool is_full_of(const ipc_arena *arena, uint64_t at, uint64_t bytes,
                       unsigned char byte)
{
    const unsigned char *text = (const unsigned char *)arena + at;
    return bytes == 0 ||
           (text[0] == byte && memcmp(text, text + 1, bytes - 1) == 0);
}

enum {
    SIZES = 5000
};

static void every_size_is_aligned_and_untouched_by_others(void)
{
    static uint64_t at[SIZES + 1];
    ipc_arena *arena = new_arena(64 * MIB);
    int rc;
    for (uint64_t i = 0; i <= SIZES; i++) {
        at[i] = alloc_one(arena, i, &rc);
        expect_rc(rc, 0);
        memset((char *)arena + at[i], (int)(i % 251), i);
    }
    for (uint64_t i = 0; i <= SIZES; i++)
        assert_true(is_full_of(arena, at[i], i, (unsigned char)(i % 251)));
    for (uint64_t i = 1; i <= SIZES; i += 2)
        park_one(arena, at[i]);
    for (uint64_t i = 1; i <= SIZES; i += 2) {
        at[i] = alloc_one(arena, i, &rc);
        memset((char *)arena + at[i], (int)(i % 250), i);
    }
    for (uint64_t i = 0; i <= SIZES; i++)
        assert_true(is_full_of(arena, at[i], i,
                               (unsigned char)(i % (i % 2 == 0 ? 251 : 250))));
    for (uint64_t i = 0; i <= SIZES; i++)
        park_one(arena, at[i]);
    assert_int_equal(query(arena).used_bytes, 0);
    assert_int_equal(arena->top, arena->heap);
    expect_rc(ipc_arena_check(arena), 0);
    expect_rc(ipc_arena_free(arena), 0);
}

static void huge_sizes_fit_or_are_refused(void)
{
    static const uint64_t sizes[] = {
        MIB,           3 * MIB,           17 * MIB + 5,   40 * MIB,
        64 * MIB - 24, 64 * MIB - 23,     64 * MIB,       64 * MIB + 1,
        1024 * MIB,    (uint64_t)1 << 40, UINT64_MAX / 2, UINT64_MAX - 8,
        UINT64_MAX};
    ipc_arena *arena = new_arena(64 * MIB);
    for (size_t i = 0; i < array_length(sizes); i++) {
        int rc;
        const uint64_t at = alloc_one(arena, sizes[i], &rc);
        expect_rc(rc, sizes[i] <= 64 * MIB - 24 ? 0 : -ENOSPC);
        if (rc == 0) {
            memset((char *)arena + at, 0x5a, sizes[i]);
            park_one(arena, at);
        }
        assert_int_equal(query(arena).used_bytes, 0);
        assert_int_equal(arena->top, arena->heap);
    }
    expect_rc(ipc_arena_check(arena), 0);
    expect_rc(ipc_arena_free(arena), 0);
}

/* ---- against a model ---- */

enum {
    PLACES = 400,
    STEPS = 200000
};

struct model {
    uint64_t at;
    uint64_t bytes;
    unsigned char byte;
};

static uint64_t some_size(struct test_random *random)
{
    const long kind = test_random_between(random, 0, 99);
    return (uint64_t)(kind < 60   ? test_random_between(random, 0, 200)
                      : kind < 95 ? test_random_between(random, 200, 6000)
                                  : test_random_between(random, 6000, 90000));
}

static void add_to_model(ipc_arena *arena, struct model *one,
                         struct test_random *random)
{
    int rc;
    one->bytes = some_size(random);
    one->byte = (unsigned char)test_random_next(random);
    one->at = alloc_one(arena, one->bytes, &rc);
    if (one->at == 0)
        expect_rc(rc, -ENOSPC);
    else
        memset((char *)arena + one->at, one->byte, one->bytes);
}

static void look_at_all(ipc_arena *arena, const struct model *all)
{
    uint64_t used = 0;
    for (int i = 0; i < PLACES; i++) {
        struct ipc__visit v;
        if (all[i].at == 0)
            continue;
        assert_true(is_full_of(arena, all[i].at, all[i].bytes, all[i].byte));
        expect_rc(ipc__arena_enter(&v, arena), 0);
        used += ipc__block_size(&v, all[i].at) + IPC__ARENA_HEADER;
        expect_rc(ipc__arena_leave_unchanged(&v), 0);
    }
    assert_int_equal(query(arena).used_bytes, used);
}

static void random_blocks_as_in_a_model(void)
{
    static struct model all[PLACES];
    struct test_random random = {test_seed()};
    ipc_arena *arena = new_arena(MIB);
    long refused = 0;
    uint64_t peak = 0;
    for (long i = 0; i < STEPS * test_scale(); i++) {
        struct model *one = &all[test_random_between(&random, 0, PLACES - 1)];
        if (one->at == 0) {
            add_to_model(arena, one, &random);
            refused += one->at == 0;
        } else {
            assert_true(is_full_of(arena, one->at, one->bytes, one->byte));
            park_one(arena, one->at);
            one->at = 0;
        }
        if (i % 4096 == 0)
            look_at_all(arena, all);
        peak = arena->used > peak ? arena->used : peak;
    }
    for (int i = 0; i < PLACES; i++)
        if (all[i].at != 0)
            park_one(arena, all[i].at);
    test_report("refused", refused);
    test_report("peak_used", (long long)peak);
    assert_int_equal(arena->used, 0);
    assert_int_equal(arena->top, arena->heap);
    expect_rc(ipc_arena_check(arena), 0);
    expect_rc(ipc_arena_free(arena), 0);
}

/* The same through a chain, and every so often the whole heap is walked. */
static void random_chains_keep_the_heap_whole(void)
{
    struct test_random random = {test_seed()};
    ipc_arena *arena = arena_with_chain(MIB);
    long full = 0;
    for (int i = 0; i < 30000; i++) {
        const uint64_t place = (uint64_t)test_random_between(&random, 0, 20);
        const bool add =
            test_random_between(&random, 0, 99) < (i / 3000 % 2 == 0 ? 60 : 40);
        const int rc =
            add ? add_one(arena, place, some_size(&random), (uint64_t)i)
                : remove_one(arena, place);
        full += rc == -ENOSPC;
        assert_true(rc == 0 || rc == -ENOSPC);
        if (i % 64 == 0)
            (void)expect_whole(arena);
    }
    test_report("full", full);
    remove_all(arena);
    expect_empty(arena);
    expect_rc(ipc_arena_free(arena), 0);
}

/* ---- what is freed grows together ---- */

static void neighbours_grow_together_in_any_order(void)
{
    enum {
        N = 7,
        ORDERS = 5040
    };
    ipc_arena *arena = new_arena(MIB);
    int rc;
    for (int order = 0; order < ORDERS; order++) {
        uint64_t at[N];
        int left = order;
        for (int i = 0; i < N; i++)
            at[i] = alloc_one(arena, 40 + 100 * (uint64_t)i, &rc);
        for (int n = N; n > 0; n--) {
            const int which = left % n;
            left /= n;
            park_one(arena, at[which]);
            at[which] = at[n - 1];
        }
        assert_int_equal(arena->top, arena->heap);
        assert_int_equal(arena->used, 0);
    }
    for (size_t i = 0; i < array_length(arena->bitmap); i++)
        assert_int_equal(arena->bitmap[i], 0);
    expect_rc(ipc_arena_check(arena), 0);
    expect_rc(ipc_arena_free(arena), 0);
}

/* ---- the end of it ---- */

static uint64_t fill_up(ipc_arena *arena, uint64_t bytes)
{
    uint64_t count = 0;
    int rc;
    while ((rc = add_one(arena, 0, bytes, count)) == 0)
        count++;
    expect_rc(rc, -ENOSPC);
    return count;
}

static void a_full_arena_says_so_and_can_be_used_again(void)
{
    static const uint64_t sizes[] = {1, 100, 1000, 30000};
    for (size_t i = 0; i < array_length(sizes); i++) {
        ipc_arena *arena = arena_with_chain(256 * KIB);
        const uint64_t count = fill_up(arena, sizes[i]);
        struct picture full = take_picture(arena);
        const uint64_t each =
            (sizeof(struct link) + sizes[i] + IPC__ARENA_HEADER + 15) / 16 * 16;
        assert_true(count >= (256 * KIB - 64) / each);
        expect_rc(add_one(arena, 3, sizes[i], 1), -ENOSPC);
        assert_true(looks_like(arena, &full));
        drop_picture(&full);
        (void)expect_whole(arena);
        remove_all(arena);
        expect_empty(arena);
        assert_int_equal(fill_up(arena, sizes[i]), count);
        (void)expect_whole(arena);
        assert_true(query(arena).present_bytes <= 256 * KIB + arena->heap);
        expect_rc(ipc_arena_free(arena), 0);
    }
}

static void a_steady_state_does_not_grow(void)
{
    struct test_random random = {test_seed()};
    ipc_arena *arena = arena_with_chain(64 * MIB);
    uint64_t top = 0;
    for (int i = 0; i < 500; i++)
        expect_rc(add_one(arena, 0, some_size(&random) % 8192, 1), 0);
    for (int i = 0; i < 40000; i++) {
        const uint64_t place = (uint64_t)test_random_between(&random, 0, 30);
        expect_rc(remove_one(arena, place), 0);
        expect_rc(add_one(arena, place, some_size(&random) % 8192, 1), 0);
        if (i == 10000)
            top = arena->top;
    }
    test_report("top_early", (long long)(top - arena->heap));
    test_report("top_late", (long long)(arena->top - arena->heap));
    assert_true(arena->top - arena->heap < 2 * (top - arena->heap));
    expect_rc(ipc_arena_free(arena), 0);
}

/* ---- memory is given back ---- */

static void memory_is_given_back_after_a_peak(void)
{
    ipc_arena *arena = arena_with_chain(256 * MIB);
    const uint64_t before = query(arena).present_bytes;
    for (int i = 0; i < 1500; i++)
        expect_rc(add_one(arena, 0, 40000, 7), 0);
    const uint64_t peak = query(arena).present_bytes;
    remove_all(arena);
    const uint64_t after = query(arena).present_bytes;
    test_report("before", (long long)before);
    test_report("peak", (long long)peak);
    test_report("after", (long long)after);
    assert_true(peak > UINT64_C(1500) * 40000);
    assert_true(after < before + 12 * MIB);
    expect_rc(add_one(arena, 0, 30 * MIB, 7), 0);
    (void)expect_whole(arena);
    expect_rc(ipc_arena_free(arena), 0);
}

/* All in one visit: it is freed in many steps after it. */
static void memory_is_given_back_after_one_great_end(void)
{
    ipc_arena *arena = arena_with_chain(256 * MIB);
    struct ipc__visit v;
    const uint64_t before = query(arena).present_bytes;
    for (int i = 0; i < 1500; i++)
        expect_rc(add_one(arena, 0, 40000, 7), 0);
    expect_rc(ipc__arena_enter(&v, arena), 0);
    expect_rc(ipc__journal_room(&v, 0, 15000), 0);
    while (chain_remove(&v, 0))
        continue;
    expect_rc(ipc__arena_leave(&v), 0);
    expect_empty(arena);
    assert_true(query(arena).present_bytes < before + 12 * MIB);
    expect_rc(ipc_arena_free(arena), 0);
}

/* It grew for nothing. */
static void memory_of_a_visit_that_failed_is_given_back(void)
{
    ipc_arena *arena = arena_with_chain(256 * MIB);
    const uint64_t before = query(arena).present_bytes;
    struct ipc__visit v;
    expect_rc(ipc__arena_enter(&v, arena), 0);
    assert_true(ipc__alloc(&v, 100 * MIB) != 0);
    expect_rc(ipc__visit_fail(&v, -ENOENT, "no"), -ENOENT);
    expect_rc(ipc__arena_leave(&v), -ENOENT);
    expect_empty(arena);
    assert_true(query(arena).present_bytes < before + 12 * MIB);
    expect_rc(ipc_atomic_begin(arena), 0);
    expect_rc(add_one(arena, 0, 100 * MIB, 1), 0);
    expect_rc(ipc_atomic_abort(arena), 0);
    expect_empty(arena);
    assert_true(query(arena).present_bytes < before + 12 * MIB);
    expect_rc(ipc_arena_free(arena), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(every_size_is_aligned_and_untouched_by_others),
    TEST_CASE(huge_sizes_fit_or_are_refused),
    TEST_CASE_LIMIT(random_blocks_as_in_a_model, 90),
    TEST_CASE(random_chains_keep_the_heap_whole),
    TEST_CASE(neighbours_grow_together_in_any_order),
    TEST_CASE(a_full_arena_says_so_and_can_be_used_again),
    TEST_CASE(a_steady_state_does_not_grow),
    TEST_CASE(memory_is_given_back_after_a_peak),
    TEST_CASE(memory_is_given_back_after_one_great_end),
    TEST_CASE(memory_of_a_visit_that_failed_is_given_back),
};
TEST_MAIN(cases)
