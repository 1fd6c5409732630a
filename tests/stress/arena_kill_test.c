/* An arena under load, and under random kills: nothing is lost, nothing is
 * half done. */
#include "harness/kills.h"
#include "unit/arena_support.h"

#include "core/peers.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum {
    KILLS = 60 /* the death of such a process takes long */
};
#else
enum {
    KILLS = 300
};
#endif

enum {
    WORKERS = 4,
    LINKS = 60,
    SUM = 1000000 /* of all tags, at any time that anybody sees */
};

struct crew {
    ipc_arena *arena;
    uint32_t broken;
    uint64_t deaths;
};

static void complain(struct crew *crew, const char *what)
{
    (void)__atomic_add_fetch(&crew->broken, 1, __ATOMIC_RELAXED);
    printf("%d: %s: %s\n", (int)getpid(), what, ipc_error_detail());
}

#define EXPECT(call)                                                           \
    do {                                                                       \
        if ((call) != 0)                                                       \
            complain(crew, #call);                                             \
    } while (0)

static uint64_t some_size(struct test_random *random)
{
    const long kind = test_random_between(random, 0, 99);
    return (uint64_t)(kind < 70   ? test_random_between(random, 0, 300)
                      : kind < 97 ? test_random_between(random, 300, 5000)
                                  : test_random_between(random, 5000, 100000));
}

/* ---- what workers do: the sum stays ---- */

static void add_some(struct crew *crew, struct test_random *random)
{
    const uint64_t place = (uint64_t)test_random_between(random, 0, LINKS);
    struct ipc__visit v;
    if (ipc__arena_enter(&v, crew->arena) != 0) {
        complain(crew, "enter");
        return;
    }
    (void)chain_add(&v, place, some_size(random), 0);
    if (test_random_between(random, 0, 9) == 0)
        (void)ipc__visit_fail(&v, -ENOENT, "on purpose");
    const int rc = ipc__arena_leave(&v);
    if (rc != 0 && rc != -ENOENT && rc != -ENOSPC)
        complain(crew, "leave");
}

/* In the calling thread's transaction: a visit that gives the first link so
 * much more. */
static int give_to_the_first(struct crew *crew, uint64_t tag)
{
    struct ipc__visit v;
    const int rc = ipc__arena_enter(&v, crew->arena);
    if (rc != 0)
        return rc;
    const uint64_t first = chain_of(crew->arena)->first;
    chain_rewrite(&v, link_at(crew->arena, first)->tag + tag);
    return ipc__arena_leave(&v);
}

/* Take links away and give what they had to the first one. */
static void remove_some(struct crew *crew, struct test_random *random)
{
    ipc_arena *arena = crew->arena;
    const bool give_up = test_random_between(random, 0, 4) == 0;
    long count = test_random_between(random, 1, 4);
    EXPECT(ipc_atomic_begin(arena));
    while (chain_of(arena)->count > 1 &&
           (count-- > 0 || chain_of(arena)->count > LINKS)) {
        const uint64_t sum = chain_of(arena)->sum;
        EXPECT(
            remove_one(arena, (uint64_t)test_random_between(random, 1, LINKS)));
        EXPECT(give_to_the_first(crew, sum - chain_of(arena)->sum));
    }
    EXPECT(give_up ? ipc_atomic_abort(arena) : ipc_atomic_commit(arena));
}

/* The tags go round. */
static void pass_on(struct crew *crew, struct test_random *random)
{
    ipc_arena *arena = crew->arena;
    EXPECT(ipc_atomic_begin(arena));
    const uint64_t tag = link_at(arena, chain_of(arena)->first)->tag / 2 + 1;
    EXPECT(give_to_the_first(crew, -tag));
    EXPECT(add_one(arena, 0, some_size(random) % 1000, tag));
    EXPECT(ipc_atomic_commit(arena));
}

static void work_once(struct crew *crew, struct test_random *random)
{
    switch (test_random_between(random, 0, 4)) {
    case 0:
    case 1:
        add_some(crew, random);
        break;
    case 2:
        pass_on(crew, random);
        break;
    default:
        remove_some(crew, random);
        break;
    }
}

static void work(void *ctx, int index)
{
    struct test_random random = {(uint64_t)getpid() + (uint64_t)index};
    while (kills_go_on())
        work_once(ctx, &random);
}

/* ---- what is found ---- */

static void look(struct crew *crew)
{
    struct arena_walk walk;
    struct ipc__visit v;
    EXPECT(ipc__arena_enter(&v, crew->arena));
    walk_arena(crew->arena, &walk);
    if (walk.problem[0] != '\0') {
        complain(crew, walk.problem);
        printf("%s\n", walk.problem);
    }
    if (chain_of(crew->arena)->sum != SUM)
        complain(crew, "the sum");
    EXPECT(ipc__arena_leave_unchanged(&v));
}

static void died(void *ctx, int index, pid_t pid)
{
    struct crew *crew = ctx;
    (void)index;
    (void)pid;
    if (++crew->deaths % 4 == 0)
        look(crew);
}

static void check_kills(const struct kills *kills)
{
    struct kills_result result;
    struct crew *crew = kills->ctx;
    kills_run(kills, &result);
    kills_report(&result);
    look(crew);
    test_report("recoveries", (long long)crew->arena->recoveries);
    assert_int_equal(result.wedges, 0);
    assert_int_equal(crew->broken, 0);
    assert_true(kills->kills < 300 || crew->arena->recoveries > 0);
    remove_all(crew->arena);
    end_chain(crew->arena);
    expect_rc(ipc_arena_check(crew->arena), 0);
    expect_rc(ipc_arena_free(crew->arena), 0);
}

static struct crew *new_crew(void)
{
    struct crew *crew = test_shared(sizeof *crew);
    crew->arena = arena_with_chain(4 * MIB);
    expect_rc(add_one(crew->arena, 0, 100, SUM), 0);
    return crew;
}

static void random_kills_lose_nothing(void)
{
    const struct kills kills = {.ctx = new_crew(),
                                .workers = WORKERS,
                                .work = work,
                                .died = died,
                                .kills = KILLS * test_scale()};
    check_kills(&kills);
}

/* Where the kernel's list of robust futexes is no use, the death of who has
 * the arena is found by the re-check, within 200 ms. */
static void work_without_the_kernel(void *ctx, int index)
{
    ipc__robust_list_usable = false;
    work(ctx, index);
}

static void random_kills_found_by_the_recheck_alone(void)
{
    ipc__robust_list_usable = false;
    const struct kills kills = {.ctx = new_crew(),
                                .workers = WORKERS,
                                .work = work_without_the_kernel,
                                .died = died,
                                .kills = KILLS / 6 * test_scale()};
    check_kills(&kills);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(random_kills_lose_nothing, 120),
    TEST_CASE_LIMIT(random_kills_found_by_the_recheck_alone, 120),
};
TEST_MAIN(cases)
