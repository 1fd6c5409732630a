/* Cells: allocations whose address lies in family memory as soon as they are
 * there. */
#include "harness/harness.h"
#include "harness/role.h"
#include "harness/scale.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include <ipc/error.h>
#include <ipc/shared.h>

#include "memory/shared.h"

enum {
    LIMIT_MS = 10000
};

#define KIB ((size_t)1024)

/* ---- helpers ---- */

static uint64_t *new_cells(size_t count)
{
    uint64_t *cells = ipc_shared_alloc(count * sizeof *cells);
    assert_non_null(cells);
    return cells;
}

static void *said(const uint64_t *cell)
{
    return (void *)(uintptr_t)*cell;
}

static unsigned char *get_in(uint64_t *cell, size_t size)
{
    if (ipc__shared_alloc_in(cell, size) != 0)
        test_fail("no %zu bytes: %s", size, ipc_error_detail());
    return said(cell);
}

static void free_in(uint64_t *cell)
{
    if (ipc__shared_free_in(cell) != 0)
        test_fail("free of %p: %s", said(cell), ipc_error_detail());
    assert_int_equal(*cell, 0);
}

static bool is_filled(const void *memory, size_t size, unsigned char byte)
{
    const unsigned char *at = memory;
    return at[0] == byte && memcmp(at, at + 1, size - 1) == 0;
}

static ipc_shared_info query(void)
{
    ipc_shared_info info = IPC_SHARED_INFO_INIT;
    assert_int_equal(ipc_shared_query(&info), 0);
    return info;
}

/* ---- one at a time ---- */

static void every_size_is_like_one_without_a_cell(void)
{
    static const size_t sizes[] = {
        1,    15,       16,     17,         63,
        64,   100,      1024,   4096,       8192,
        8193, 64 * KIB, 128002, 1024 * KIB, 3000 * KIB + 1,
    };
    uint64_t *cell = new_cells(1);
    const ipc_shared_info before = query();
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof sizes[0]; i++) {
        const size_t size = sizes[i / 2];
        unsigned char *memory = get_in(cell, size);
        assert_int_equal((uintptr_t)memory % (size < 64 ? 16 : 64), 0);
        const size_t usable = ipc_shared_size(memory);
        assert_true(usable >= size);
        assert_true(is_filled(memory, usable, 0));
        assert_int_equal(query().count, before.count + 1);
        assert_int_equal(query().used, before.used + usable);
        memset(memory, 0xff, usable);
        free_in(cell);
        assert_int_equal(ipc_shared_size(memory), 0);
        assert_int_equal(query().used, before.used);
    }
    assert_int_equal(ipc_shared_free(cell), 0);
}

static void cell_with_nothing_is_freed_as_often_as_you_like(void)
{
    uint64_t *cell = new_cells(1);
    free_in(cell);
    (void)get_in(cell, 100);
    free_in(cell);
    free_in(cell);
    assert_int_equal(query().count, 1);
    assert_int_equal(ipc_shared_free(cell), 0);
}

static void expect_refused(int rc)
{
    assert_int_equal(rc, -EINVAL);
    assert_string_not_equal(ipc_error_detail(), "");
}

static void wrong_cells_are_refused(void)
{
    uint64_t *cell = new_cells(4);
    uint64_t elsewhere = 0;
    uint64_t *const wrong[] = {&elsewhere, NULL, (uint64_t *)(uintptr_t)16,
                               (uint64_t *)(uintptr_t)(UINTPTR_MAX - 7),
                               (uint64_t *)(void *)((char *)cell + 4)};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        expect_refused(ipc__shared_alloc_in(wrong[i], 100));
        expect_refused(ipc__shared_free_in(wrong[i]));
    }
    expect_refused(ipc__shared_alloc_in(cell, 0));
    expect_refused(ipc__shared_alloc_in(cell, SIZE_MAX));
    assert_int_equal(*cell, 0);

    void *memory = get_in(cell, 100);
    expect_refused(ipc__shared_alloc_in(cell, 100)); /* in use */
    assert_ptr_equal(said(cell), memory);
    static const uint64_t offsets[] = {1, 16, 128, 64 * KIB, 1000 * KIB * KIB};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        cell[1] = *cell + offsets[i];
        expect_refused(ipc__shared_free_in(&cell[1]));
        assert_int_equal(cell[1], *cell + offsets[i]);
    }
    cell[1] = (uintptr_t)&elsewhere;
    expect_refused(ipc__shared_free_in(&cell[1]));
    assert_int_equal(query().count, 2);
    free_in(cell);
    assert_int_equal(ipc_shared_free(cell), 0);
}

static void cells_may_lie_in_what_cells_say(void)
{
    enum {
        LENGTH = 200
    };
    uint64_t *first = new_cells(1);
    uint64_t *at = first;
    for (size_t i = 0; i < LENGTH; i++)
        at = (uint64_t *)(void *)get_in(at, i % 50 == 0 ? 9000 : 16);
    assert_int_equal(query().count, LENGTH + 1);
    for (size_t i = 0; i < LENGTH; i++) {
        uint64_t *last = first;
        while (*(uint64_t *)said(last) != 0)
            last = said(last);
        free_in(last);
    }
    assert_int_equal(query().count, 1);
    assert_int_equal(ipc_shared_free(first), 0);
}

/* ---- another member's ---- */

static void fill_and_die(void *arg)
{
    uint64_t *cells = arg;
    for (size_t i = 0; i < 6; i++)
        memset(get_in(&cells[i], (size_t)100 << i * 3), 0xaa, 100);
    role_exit(7);
}

static void cells_of_the_dead_are_freed_by_others(void)
{
    uint64_t *cells = new_cells(6);
    assert_int_equal(role_try(fill_and_die, cells, LIMIT_MS), 7);
    assert_int_equal(query().count, 7);
    for (size_t i = 0; i < 6; i++) {
        assert_true(is_filled(said(&cells[i]), 100, 0xaa));
        free_in(&cells[i]);
    }
    assert_int_equal(query().count, 1);
    assert_int_equal(ipc_shared_free(cells), 0);
}

/* What is locked in memory cannot be given back; it must not come up again in
 * somebody else's block. */
static void memory_freed_while_locked_comes_back_zero_filled(void)
{
    uint64_t *cell = new_cells(2);
    unsigned char *memory = get_in(cell, 64 * KIB);
    memset(memory, 0xff, 64 * KIB);
    if (mlock(memory, 64 * KIB) != 0)
        test_skip("mlock: %m");
    free_in(cell);
    for (size_t size = 16; size <= 64 * KIB; size *= 2) {
        assert_true(is_filled(get_in(&cell[0], size), size, 0));
        assert_true(is_filled(get_in(&cell[1], size), size, 0));
        memset(said(&cell[0]), 0xff, size);
        memset(said(&cell[1]), 0xff, size);
        free_in(&cell[0]);
        free_in(&cell[1]);
    }
    assert_int_equal(munlock(memory, 64 * KIB), 0);
    assert_int_equal(ipc_shared_free(cell), 0);
}

/* ---- many at once ---- */

enum {
    THREADS = 4,
    CELLS = 16,
    STEPS = 3000
};

struct worker {
    pthread_t thread;
    uint64_t seed;
    uint64_t *cells;
};

static size_t some_size(struct test_random *random)
{
    const bool large = test_random_between(random, 0, 49) == 0;
    return (size_t)test_random_between(random, 1, large ? 150000 : 700);
}

/* Each block is filled with a tag of the cell, and ends with it. */
static void step_in_cell(uint64_t *cell, unsigned char tag,
                         struct test_random *random)
{
    if (*cell == 0) {
        unsigned char *memory = get_in(cell, some_size(random));
        const size_t size = ipc_shared_size(memory);
        if (!is_filled(memory, size, 0))
            test_fail("%zu bytes are not zero-filled", size);
        memset(memory, tag, size);
    } else {
        const size_t size = ipc_shared_size(said(cell));
        if (size == 0 || !is_filled(said(cell), size, tag))
            test_fail("%zu bytes were written by somebody else", size);
        free_in(cell);
    }
}

static void *churn(void *arg)
{
    const struct worker *worker = arg;
    struct test_random random = {worker->seed};
    for (int step = 0; step < STEPS; step++) {
        const long i = test_random_between(&random, 0, CELLS - 1);
        step_in_cell(&worker->cells[i], (unsigned char)(worker->seed + 1),
                     &random);
        if (step % 10 == 0)
            assert_int_equal(
                ipc_shared_free(ipc_shared_alloc(some_size(&random))), 0);
    }
    return NULL;
}

static void threads_use_cells_and_the_rest_at_once(void)
{
    struct worker workers[THREADS];
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] =
            (struct worker){.seed = seed + i, .cells = new_cells(CELLS)};
        assert_int_equal(
            pthread_create(&workers[i].thread, NULL, churn, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        for (size_t j = 0; j < CELLS; j++)
            free_in(&workers[i].cells[j]);
        assert_int_equal(ipc_shared_free(workers[i].cells), 0);
    }
    assert_int_equal(query().count, 0);
    assert_int_equal(query().used, 0);
}

static const struct test_case cases[] = {
    TEST_CASE(every_size_is_like_one_without_a_cell),
    TEST_CASE(cell_with_nothing_is_freed_as_often_as_you_like),
    TEST_CASE(wrong_cells_are_refused),
    TEST_CASE(cells_may_lie_in_what_cells_say),
    TEST_CASE(cells_of_the_dead_are_freed_by_others),
    TEST_CASE(memory_freed_while_locked_comes_back_zero_filled),
    TEST_CASE(threads_use_cells_and_the_rest_at_once),
};
TEST_MAIN(cases)
