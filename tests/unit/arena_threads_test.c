/* Threads that visit one arena, alone and in transactions: each sees it as if
 * it were alone.  For the thread sanitizer too. */
#include "unit/arena_support.h"

#include <pthread.h>

enum {
    THREADS = 4,
    ROUNDS = 3000
};

struct crew {
    ipc_arena *arena;
    uint64_t
        in_chain; /* no atomic: the arena is what makes it come out right */
    uint64_t refused;
};

static void visit(struct crew *crew, struct test_random *random)
{
    struct ipc__visit v;
    expect_rc(ipc__arena_enter(&v, crew->arena), 0);
    assert_int_equal(chain_of(crew->arena)->count, crew->in_chain);
    const bool removes = crew->in_chain > 30;
    if (removes)
        (void)chain_remove(&v, (uint64_t)test_random_between(random, 0, 40));
    else
        (void)chain_add(&v, (uint64_t)test_random_between(random, 0, 40),
                        (uint64_t)test_random_between(random, 0, 900), 1);
    if (test_random_between(random, 0, 5) == 0)
        (void)ipc__visit_fail(&v, -ENOENT, "on purpose");
    else
        crew->in_chain += removes ? UINT64_MAX : 1;
    (void)ipc__arena_leave(&v);
}

static void transaction(struct crew *crew, struct test_random *random)
{
    const bool give_up = test_random_between(random, 0, 3) == 0;
    ipc_arena *arena = crew->arena;
    int rc = ipc_atomic_begin_nowait(arena);
    if (rc == -EAGAIN)
        rc = ipc_atomic_begin_until(arena, ipc_after_us(50));
    if (rc == -ETIMEDOUT)
        rc = ipc_atomic_begin(arena);
    expect_rc(rc, 0);
    const uint64_t before = crew->in_chain;
    assert_int_equal(chain_of(arena)->count, before);
    for (long i = test_random_between(random, 0, 4); i > 0; i--) {
        expect_rc(add_one(arena, 3, 100, 1), 0);
        crew->in_chain++;
    }
    for (long i = test_random_between(random, 0, 4);
         i > 0 && crew->in_chain > 0; i--) {
        expect_rc(remove_one(arena, 2), 0);
        crew->in_chain--;
    }
    if (give_up)
        crew->in_chain = before;
    expect_rc(give_up ? ipc_atomic_abort(arena) : ipc_atomic_commit(arena), 0);
}

static void *work(void *arg)
{
    struct crew *crew = arg;
    struct test_random random = {(uint64_t)gettid()};
    for (long i = 0; i < ROUNDS * test_scale(); i++) {
        if (test_random_between(&random, 0, 2) == 0)
            transaction(crew, &random);
        else
            visit(crew, &random);
    }
    return NULL;
}

static void threads_in_one_arena(void)
{
    struct crew crew = {.arena = arena_with_chain(4 * MIB)};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &crew), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(expect_whole(crew.arena).blocks, crew.in_chain + 1);
    assert_int_equal(query(crew.arena).recoveries, 0);
    remove_all(crew.arena);
    expect_empty(crew.arena);
    expect_rc(ipc_arena_free(crew.arena), 0);
}

/* One makes the family's own arena, and all get the same. */
static void *get_default(void *arg)
{
    ipc_arena **out = arg;
    expect_rc(ipc__arena_default(out), 0);
    for (int i = 0; i < 200; i++) {
        expect_rc(ipc_atomic_begin(NULL), 0);
        expect_rc(ipc_atomic_commit(NULL), 0);
    }
    return NULL;
}

static void threads_make_the_familys_own(void)
{
    pthread_t threads[THREADS];
    ipc_arena *found[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, get_default, &found[i]), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 1; i < THREADS; i++)
        assert_ptr_equal(found[i], found[0]);
}

static const struct test_case cases[] = {
    TEST_CASE(threads_in_one_arena),
    TEST_CASE(threads_make_the_familys_own),
};
TEST_MAIN(cases)
