/* Family memory under load, and under random kills. */
#include "harness/harness.h"
#include "harness/kills.h"
#include "harness/role.h"
#include "harness/scale.h"

#include "crash/shared_walk.h"

#include <sched.h>
#include <unistd.h>

#include <ipc/shared.h>

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
    BLOCKS = 16, /* a worker has at most */
};

/* A worker's notes about a block, in memory that all share: they outlive it.
 * One who dies while busy with a block leaves it open whether it was handed
 * out, or taken back. */
enum {
    NONE,
    BUSY,
    HELD
};

struct note {
    uint32_t state;
    unsigned char *at;
    size_t size;
    unsigned char tag;
};

struct crew {
    struct note notes[WORKERS][BLOCKS];
    uint32_t broken;  /* patterns, zeros, errors */
    uint32_t refused; /* no memory */
    uint64_t deaths;
    uint64_t busy; /* of these: while busy with a block */
};

static void note_state(struct note *note, uint32_t state)
{
    __atomic_store_n(&note->state, state, __ATOMIC_SEQ_CST);
}

static void complain(struct crew *crew, const char *what,
                     const struct note *note)
{
    (void)__atomic_add_fetch(&crew->broken, 1, __ATOMIC_RELAXED);
    printf("%d: %s: %p, %zu bytes\n", (int)getpid(), what, (void *)note->at,
           note->size);
}

static bool is_filled(const struct note *note, unsigned char byte)
{
    return note->at[0] == byte &&
           memcmp(note->at, note->at + 1, note->size - 1) == 0;
}

static void take(struct crew *crew, struct note *note,
                 struct test_random *random)
{
    const long kind = test_random_between(random, 0, 99);
    note_state(note, BUSY);
    note->size = (size_t)(kind < 60   ? test_random_between(random, 1, 300)
                          : kind < 95 ? test_random_between(random, 1, 8192)
                                      : test_random_between(random, 1, 200000));
    note->tag = (unsigned char)test_random_next(random);
    note->at = ipc_shared_alloc(note->size);
    if (note->at == NULL) {
        (void)__atomic_add_fetch(&crew->refused, 1, __ATOMIC_RELAXED);
        note_state(note, NONE);
        return;
    }
    if (!is_filled(note, 0))
        complain(crew, "not zero-filled", note);
    memset(note->at, note->tag, note->size);
    note_state(note, HELD);
}

static void give(struct crew *crew, struct note *note)
{
    if (!is_filled(note, note->tag))
        complain(crew, "written by somebody else", note);
    note_state(note, BUSY);
    if (ipc_shared_free(note->at) != 0)
        complain(crew, ipc_error_detail(), note);
    note_state(note, NONE);
}

static void work(void *ctx, int index)
{
    struct crew *crew = ctx;
    struct test_random random = {(uint64_t)getpid()};
    while (kills_go_on()) {
        struct note *note =
            &crew->notes[index][test_random_between(&random, 0, BLOCKS - 1)];
        if (note->state == NONE)
            take(crew, note, &random);
        else
            give(crew, note);
    }
    for (int i = 0; i < BLOCKS; i++)
        if (crew->notes[index][i].state == HELD)
            give(crew, &crew->notes[index][i]);
}

/* What the dead one held is taken over by the family: here by who started
 * it.  What it was busy with is nobody's any more. */
static void died(void *ctx, int index, pid_t pid)
{
    struct crew *crew = ctx;
    bool busy = false;
    (void)pid;
    for (int i = 0; i < BLOCKS; i++) {
        struct note *note = &crew->notes[index][i];
        busy = busy || note->state == BUSY;
        if (note->state == HELD)
            give(crew, note);
        note_state(note, NONE);
    }
    crew->deaths++;
    crew->busy += busy;
}

static void run_and_look(const struct kills *kills)
{
    struct crew *crew = kills->ctx;
    struct kills_result result;
    struct walk walk;
    assert_int_equal(ipc_shared_init(), 0);
    kills_run(kills, &result);
    kills_report(&result);
    walk_heap(&walk);
    test_report("busy", (long long)crew->busy);
    test_report("blocks_lost", (long long)walk.count);
    test_report("runs_lost", walk.moving_runs);
    test_report("refused", crew->refused);
    assert_int_equal(result.wedges, 0);
    assert_int_equal(crew->broken, 0);
    assert_int_equal(crew->refused, 0);
    if (walk.problem != NULL)
        test_fail("%s", walk.problem);
    assert_true(walk.count + walk.moving_runs <= crew->busy);
}

static void random_kills_corrupt_nothing_and_lose_one_block_each(void)
{
    const struct kills kills = {.ctx = test_shared(sizeof(struct crew)),
                                .workers = WORKERS,
                                .work = work,
                                .died = died,
                                .kills = kills_for(KILLS)};
    run_and_look(&kills);
}

/* Where the kernel's list of robust futexes is no use, a death with the guard
 * held is found by the re-check, within 200 ms. */
static void work_without_the_kernel(void *ctx, int index)
{
    ipc__robust_list_usable = false;
    work(ctx, index);
}

static void random_kills_found_by_the_recheck_alone(void)
{
    const struct kills kills = {.ctx = test_shared(sizeof(struct crew)),
                                .workers = WORKERS,
                                .work = work_without_the_kernel,
                                .died = died,
                                .kills = kills_for(KILLS / 5)};
    ipc__robust_list_usable = false;
    run_and_look(&kills);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(random_kills_corrupt_nothing_and_lose_one_block_each, 600),
    TEST_CASE_LIMIT(random_kills_found_by_the_recheck_alone, 600),
};
TEST_MAIN(cases)
