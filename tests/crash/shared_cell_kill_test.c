/* Cells under random kills: whoever comes in the place of a dead worker frees
 * what its cells say, or dies of it too; in the end nothing is lost. */
#include "harness/harness.h"
#include "harness/kills.h"
#include "harness/role.h"
#include "harness/scale.h"

#include "crash/shared_walk.h"

#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum {
    KILLS = 60 /* the death of such a process takes long */
};
#else
enum {
    KILLS = 500
};
#endif

enum {
    WORKERS = 6,
    CELLS = 16 /* a worker has */
};

struct crew {
    uint64_t *cells[WORKERS];
    uint32_t broken;  /* patterns, zeros, errors */
    uint32_t refused; /* no memory */
    uint64_t held;    /* cells of the dead that said something, ... */
    uint64_t moving;  /* ... and of these, what was no block any more or yet */
};

static void complain(struct crew *crew, const char *what)
{
    (void)__atomic_add_fetch(&crew->broken, 1, __ATOMIC_RELAXED);
    printf("%d: %s\n", (int)getpid(), what);
}

static bool is_filled(const unsigned char *at, size_t size, unsigned char byte)
{
    return at[0] == byte && memcmp(at, at + 1, size - 1) == 0;
}

static void clear(struct crew *crew, uint64_t *cell)
{
    if (ipc__shared_free_in(cell) != 0)
        complain(crew, ipc_error_detail());
    if (*cell != 0)
        complain(crew, "the cell still says something");
}

static void take(struct crew *crew, uint64_t *cell, unsigned char tag,
                 struct test_random *random)
{
    const long kind = test_random_between(random, 0, 99);
    const size_t size =
        (size_t)(kind < 60   ? test_random_between(random, 1, 300)
                 : kind < 90 ? test_random_between(random, 1, 8192)
                             : test_random_between(random, 1, 200000));
    if (ipc__shared_alloc_in(cell, size) != 0) {
        (void)__atomic_add_fetch(&crew->refused, 1, __ATOMIC_RELAXED);
        return;
    }
    unsigned char *memory = cell_says(cell);
    if (!is_filled(memory, size, 0))
        complain(crew, "not zero-filled");
    memset(memory, tag, ipc_shared_size(memory));
}

static void give(struct crew *crew, uint64_t *cell, unsigned char tag)
{
    const size_t size = ipc_shared_size(cell_says(cell));
    if (size == 0 || !is_filled(cell_says(cell), size, tag))
        complain(crew, "written by somebody else");
    clear(crew, cell);
}

/* What is there at first is the dead one's. */
static void work(void *ctx, int index)
{
    struct crew *crew = ctx;
    uint64_t *cells = crew->cells[index];
    struct test_random random = {(uint64_t)getpid()};
    const unsigned char tag = (unsigned char)(index + 1);
    for (int i = 0; i < CELLS; i++)
        clear(crew, &cells[i]);
    while (kills_go_on()) {
        uint64_t *cell = &cells[test_random_between(&random, 0, CELLS - 1)];
        if (*cell == 0)
            take(crew, cell, tag, &random);
        else
            give(crew, cell, tag);
    }
    for (int i = 0; i < CELLS; i++)
        if (cells[i] != 0)
            give(crew, &cells[i], tag);
}

static void died(void *ctx, int index, pid_t pid)
{
    struct crew *crew = ctx;
    (void)pid;
    for (int i = 0; i < CELLS; i++) {
        const void *memory = cell_says(&crew->cells[index][i]);
        crew->held += memory != NULL;
        crew->moving += memory != NULL && ipc_shared_size(memory) == 0;
    }
}

static void run_and_look(void (*worker)(void *ctx, int index), long kills)
{
    struct crew *crew = test_shared(sizeof *crew);
    const struct kills run = {.ctx = crew,
                              .workers = WORKERS,
                              .work = worker,
                              .died = died,
                              .kills = kills_for(kills)};
    struct kills_result result;
    struct walk walk;
    for (int i = 0; i < WORKERS; i++)
        crew->cells[i] = ipc_shared_alloc(CELLS * sizeof(uint64_t));
    kills_run(&run, &result);
    kills_report(&result);
    walk_heap(&walk);
    test_report("held", (long long)crew->held);
    test_report("moving", (long long)crew->moving);
    assert_int_equal(result.wedges, 0);
    assert_int_equal(crew->broken, 0);
    assert_int_equal(crew->refused, 0);
    if (walk.problem != NULL)
        test_fail("%s", walk.problem);
    assert_int_equal(walk.count, WORKERS);
    assert_int_equal(walk.moving_runs, 0);
}

static void random_kills_lose_nothing(void)
{
    run_and_look(work, KILLS);
}

/* Where the kernel's list of robust futexes is no use, a death with the guard
 * held is found by the re-check, within 200 ms. */
static void work_without_the_kernel(void *ctx, int index)
{
    ipc__robust_list_usable = false;
    work(ctx, index);
}

static void random_kills_found_by_the_recheck_lose_nothing(void)
{
    ipc__robust_list_usable = false;
    run_and_look(work_without_the_kernel, KILLS / 5);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(random_kills_lose_nothing, 600),
    TEST_CASE_LIMIT(random_kills_found_by_the_recheck_lose_nothing, 600),
};
TEST_MAIN(cases)
