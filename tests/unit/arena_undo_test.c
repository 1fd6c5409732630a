/* Visits are done whole or not at all: undo, the journal and its limits,
 * transactions that are given up, and the dead. */
#include "unit/arena_support.h"

#include <signal.h>

#include "sync/lock.h"

static void expect_undone(ipc_arena *arena, struct picture *before)
{
    assert_true(looks_like(arena, before));
    (void)expect_whole(arena);
    assert_int_equal(arena->saved, 0);
    assert_int_equal(arena->in_transaction, 0);
    drop_picture(before);
}

static ipc_arena *some_arena(void)
{
    ipc_arena *arena = arena_with_chain(8 * MIB);
    for (uint64_t i = 0; i < 60; i++)
        expect_rc(add_one(arena, i / 2, 37 * i, i), 0);
    for (uint64_t i = 0; i < 12; i++)
        expect_rc(remove_one(arena, 3 * i), 0);
    return arena;
}

/* ---- visits that fail ---- */

/* So many random things in one visit. */
static void do_things(struct ipc__visit *v, struct test_random *random,
                      long count)
{
    for (long i = 0; i < count && v->rc >= 0; i++) {
        const uint64_t place = (uint64_t)test_random_between(random, 0, 50);
        const long what = test_random_between(random, 0, 9);
        if (what < 4)
            (void)chain_add(v, place,
                            (uint64_t)test_random_between(random, 0, 3000),
                            (uint64_t)i);
        else if (what < 7)
            (void)chain_remove(v, place);
        else if (chain_of(v->arena)->first != 0)
            chain_rewrite(v, (uint64_t)i);
    }
}

static void a_visit_that_fails_changes_nothing(void)
{
    struct test_random random = {test_seed()};
    ipc_arena *arena = some_arena();
    for (int round = 0; round < 400; round++) {
        struct picture before = take_picture(arena);
        struct ipc__visit v;
        expect_rc(ipc__arena_enter(&v, arena), 0);
        do_things(&v, &random, round % 40);
        expect_rc(ipc__visit_fail(&v, -ENOENT, "round %d", round), -ENOENT);
        expect_rc(ipc__visit_fail(&v, -EINVAL, "too late"), -ENOENT);
        expect_rc(ipc__arena_leave(&v), -ENOENT);
        expect_undone(arena, &before);
        expect_rc(ipc__arena_enter(&v, arena), 0);
        do_things(&v, &random, round % 7);
        expect_rc(ipc__arena_leave(&v), 0);
        (void)expect_whole(arena);
    }
    expect_rc(ipc_arena_free(arena), 0);
}

static void no_room_in_the_middle_changes_nothing(void)
{
    ipc_arena *arena = arena_with_chain(256 * KIB);
    struct ipc__visit v;
    expect_rc(add_one(arena, 0, 100, 1), 0);
    struct picture before = take_picture(arena);
    expect_rc(ipc__arena_enter(&v, arena), 0);
    while (chain_add(&v, 0, 1000, 2))
        continue;
    expect_rc(v.rc, -ENOSPC);
    assert_int_equal(ipc__alloc(&v, 1), 0);
    assert_false(chain_add(&v, 0, 1, 2));
    expect_rc(ipc__arena_leave(&v), -ENOSPC);
    expect_undone(arena, &before);
    expect_rc(ipc_arena_free(arena), 0);
}

/* ---- the journal ---- */

static uint64_t journal_words(const ipc_arena *arena)
{
    return ipc__journal_max(arena);
}

static void a_large_range_is_saved_and_the_memory_given_back(void)
{
    ipc_arena *arena = arena_with_chain(64 * MIB);
    struct ipc__visit v;
    expect_rc(add_one(arena, 0, 20 * MIB, 1), 0);
    const uint64_t present = query(arena).present_bytes;
    struct picture before = take_picture(arena);
    expect_rc(ipc__arena_enter(&v, arena), 0);
    chain_rewrite(&v, 2);
    assert_true(arena->saved > 20 * MIB / 8);
    expect_rc(ipc__visit_fail(&v, -ENOENT, "no"), -ENOENT);
    expect_rc(ipc__arena_leave(&v), -ENOENT);
    expect_undone(arena, &before);
    assert_int_equal(query(arena).present_bytes, present);
    expect_rc(ipc__arena_enter(&v, arena), 0);
    chain_rewrite(&v, 3);
    expect_rc(ipc__arena_leave(&v), 0);
    (void)expect_whole(arena);
    assert_int_equal(chain_of(arena)->sum, 3);
    assert_int_equal(query(arena).present_bytes, present);
    expect_rc(ipc_arena_free(arena), 0);
}

static void more_than_the_journal_holds_is_refused(void)
{
    static const uint64_t too_much[][2] = {
        {4 * MIB / 8, 1},
        {0, 4 * MIB / 16},
        {UINT64_MAX, 1},
        {1, UINT64_MAX},
        {UINT64_MAX / 2, UINT64_MAX / 2},
        {UINT64_MAX - 3, 1},
        {UINT64_MAX, UINT64_MAX},
        {(uint64_t)1 << 62, (uint64_t)1 << 62}};
    ipc_arena *arena = arena_with_chain(8 * MIB);
    expect_rc(add_one(arena, 0, 5 * MIB, 1), 0);
    struct picture before = take_picture(arena);
    for (size_t i = 0; i < array_length(too_much); i++) {
        struct ipc__visit v;
        expect_rc(ipc__arena_enter(&v, arena), 0);
        ipc__put64(&v, &chain_of(arena)->count, 99);
        expect_rc(ipc__journal_room(&v, too_much[i][0], too_much[i][1]),
                  -ENOSPC);
        expect_rc(ipc__arena_leave(&v), -ENOSPC);
        assert_true(looks_like(arena, &before));
    }
    struct ipc__visit v;
    expect_rc(ipc__arena_enter(&v, arena), 0);
    chain_rewrite(&v, 2);
    expect_rc(ipc__arena_leave(&v), -ENOSPC);
    expect_undone(arena, &before);
    expect_rc(ipc_arena_free(arena), 0);
}

/* By words only, without a look at the room. */
static void words_fill_the_journal_to_its_end(void)
{
    ipc_arena *arena = arena_with_chain(MIB);
    struct ipc__visit v;
    struct picture before = take_picture(arena);
    uint64_t puts = 0;
    expect_rc(ipc__arena_enter(&v, arena), 0);
    while (v.rc >= 0) {
        ipc__put64(&v, &chain_of(arena)->count, ++puts);
        assert_int_equal(chain_of(arena)->count, v.rc >= 0 ? puts : puts - 1);
    }
    expect_rc(v.rc, -ENOSPC);
    assert_true(puts > journal_words(arena) / 2 - IPC__SAVED_MAX);
    expect_rc(ipc__arena_leave(&v), -ENOSPC);
    expect_undone(arena, &before);
    expect_rc(ipc_arena_free(arena), 0);
}

/* What was promised room is saved, whatever went wrong meanwhile. */
static void a_range_is_saved_after_an_error_too(void)
{
    ipc_arena *arena = arena_with_chain(MIB);
    struct ipc__visit v;
    expect_rc(add_one(arena, 0, 4000, 1), 0);
    struct picture before = take_picture(arena);
    struct link *link = link_at(arena, chain_of(arena)->first);
    expect_rc(ipc__arena_enter(&v, arena), 0);
    expect_rc(ipc__journal_room(&v, 500, 1), 0);
    expect_rc(ipc__visit_fail(&v, -ENOENT, "no"), -ENOENT);
    ipc__save(&v, link->text, 500);
    memset(link->text, 0xee, 4000);
    expect_rc(ipc__arena_leave(&v), -ENOENT);
    expect_undone(arena, &before);
    expect_rc(ipc_arena_free(arena), 0);
}

/* ---- in a transaction ---- */

static void only_the_call_that_fails_is_undone(void)
{
    ipc_arena *arena = some_arena();
    struct test_random random = {test_seed()};
    struct picture before = take_picture(arena);
    expect_rc(ipc_atomic_begin(arena), 0);
    for (int i = 0; i < 200; i++) {
        struct ipc__visit v;
        expect_rc(add_one(arena, 2, 500, 7), 0);
        expect_rc(remove_one(arena, 9), 0);
        struct picture now = take_picture(arena);
        expect_rc(ipc__arena_enter(&v, arena), 0);
        do_things(&v, &random, i % 20);
        expect_rc(ipc__visit_fail(&v, -ENOENT, "no"), -ENOENT);
        expect_rc(ipc__arena_leave(&v), -ENOENT);
        assert_true(looks_like(arena, &now));
        (void)expect_whole(arena);
        drop_picture(&now);
    }
    struct picture kept = take_picture(arena);
    const uint64_t count = chain_of(arena)->count;
    expect_rc(ipc_atomic_commit(arena), 0);
    assert_int_equal(chain_of(arena)->count, count);
    assert_int_equal(expect_whole(arena).parked, 0);
    assert_int_equal(arena->saved, 0);
    drop_picture(&kept);
    drop_picture(&before);
    expect_rc(ipc_arena_free(arena), 0);
}

static void abort_brings_everything_back(void)
{
    ipc_arena *arena = some_arena();
    struct test_random random = {test_seed()};
    for (int i = 0; i < 100; i++) {
        struct picture before = take_picture(arena);
        expect_rc(ipc_atomic_begin(arena), 0);
        for (int k = 0; k < i; k++) {
            struct ipc__visit v;
            expect_rc(ipc__arena_enter(&v, arena), 0);
            do_things(&v, &random, 5);
            if (k % 5 == 4)
                (void)ipc__visit_fail(&v, -ENOENT, "no");
            expect_rc(ipc__arena_leave(&v), k % 5 == 4 ? -ENOENT : 0);
        }
        expect_rc(ipc_atomic_abort(arena), 0);
        expect_undone(arena, &before);
        expect_rc(add_one(arena, 1, 200 * (uint64_t)i, 1), 0);
    }
    expect_rc(ipc_arena_free(arena), 0);
}

/* What is parked in a transaction is nobody's before it ends. */
static void what_is_freed_is_not_given_out_before_the_commit(void)
{
    ipc_arena *arena = arena_with_chain(MIB);
    expect_rc(add_one(arena, 0, 1000, 1), 0);
    expect_rc(add_one(arena, 0, 1000, 2), 0);
    const uint64_t used = arena->used;
    const uint64_t first = chain_of(arena)->first;
    expect_rc(ipc_atomic_begin(arena), 0);
    expect_rc(remove_one(arena, 0), 0);
    for (int i = 0; i < 20; i++) {
        expect_rc(add_one(arena, 0, 1000, 3), 0);
        assert_true(chain_of(arena)->first != first);
    }
    assert_int_equal(expect_whole(arena).parked, 1);
    expect_rc(ipc_atomic_abort(arena), 0);
    assert_int_equal(arena->used, used);
    assert_int_equal(chain_of(arena)->first, first);
    (void)expect_whole(arena);
    expect_rc(ipc_arena_free(arena), 0);
}

/* ---- a transaction that has filled the journal ----
 *
 * Nothing more can be done in it, but to end it; and if its holder dies the
 * next one undoes it. */

static void fill_the_journal(ipc_arena *arena)
{
    struct ipc__visit v;
    expect_rc(ipc__arena_enter(&v, arena), 0);
    ipc__put64(&v, &chain_of(arena)->count, 1);
    while (arena->saved + 2 <= v.room || v.room < journal_words(arena)) {
        if (arena->saved + 2 > v.room)
            expect_rc(ipc__journal_room(&v,
                                        journal_words(arena) - arena->saved -
                                            IPC__SAVED_MAX,
                                        0),
                      0);
        ipc__put64(&v, &chain_of(arena)->sum, arena->saved);
    }
    expect_rc(ipc__arena_leave(&v), 0);
    assert_true(journal_words(arena) - arena->saved < 2);
    expect_rc(ipc__arena_enter(&v, arena), -ENOSPC);
}

static void a_transaction_with_a_full_journal_can_be_ended(void)
{
    ipc_arena *arena = arena_with_chain(MIB);
    struct picture before = take_picture(arena);
    expect_rc(ipc_atomic_begin(arena), 0);
    fill_the_journal(arena);
    expect_rc(ipc_atomic_abort(arena), 0);
    expect_undone(arena, &before);
    expect_rc(ipc_atomic_begin(arena), 0);
    fill_the_journal(arena);
    expect_rc(ipc_atomic_commit(arena), 0);
    assert_int_equal(chain_of(arena)->count, 1);
    assert_int_equal(arena->saved, 0);
    expect_rc(ipc_arena_free(arena), 0);
}

static void die_with_a_full_journal(void *arg)
{
    expect_rc(ipc_atomic_begin(arg), 0);
    fill_the_journal(arg);
    (void)raise(SIGKILL);
}

static void a_death_with_a_full_journal_is_undone(void)
{
    ipc_arena *arena = arena_with_chain(MIB);
    struct picture before = take_picture(arena);
    assert_int_equal(role_try(die_with_a_full_journal, arena, LIMIT_MS),
                     ROLE_SIGNAL + SIGKILL);
    assert_int_equal(query(arena).recoveries, 1);
    expect_undone(arena, &before);
    expect_rc(add_one(arena, 0, 10, 1), 0);
    expect_rc(ipc_arena_free(arena), 0);
}

/* ---- the dead ---- */

struct stage {
    ipc_arena *arena;
    uint32_t ready;
    uint32_t go;
    uint32_t done;
};

static void change_and_wait(void *arg)
{
    struct stage *stage = arg;
    expect_rc(ipc_atomic_begin(stage->arena), 0);
    for (uint64_t i = 0; i < 30; i++) {
        expect_rc(add_one(stage->arena, i, 300, i), 0);
        expect_rc(remove_one(stage->arena, 2 * i), 0);
    }
    meet_signal(&stage->ready);
    for (;;)
        (void)pause();
}

static void change_within(void *arg)
{
    struct stage *stage = arg;
    struct ipc__visit v;
    struct test_random random = {42};
    expect_rc(ipc__arena_enter(&v, stage->arena), 0);
    do_things(&v, &random, 60);
    meet_signal(&stage->ready);
    for (;;)
        (void)pause();
}

static void kill_one(struct stage *stage, void (*fn)(void *arg))
{
    struct role role;
    const uint32_t before = stage->ready;
    role_start(&role, fn, stage);
    meet_wait(&stage->ready, before + 1, LIMIT_MS);
    (void)role_kill(&role);
}

static void who_is_killed_has_changed_nothing(void)
{
    struct stage *stage = test_shared(sizeof *stage);
    stage->arena = some_arena();
    for (uint64_t i = 1; i <= 20; i++) {
        struct picture before = take_picture(stage->arena);
        kill_one(stage, i % 2 == 0 ? change_and_wait : change_within);
        assert_int_equal(query(stage->arena).recoveries, i);
        expect_undone(stage->arena, &before);
        expect_rc(add_one(stage->arena, i, 5, i), 0);
    }
    expect_rc(ipc_arena_free(stage->arena), 0);
}

static void wait_and_add(void *arg)
{
    struct stage *stage = arg;
    expect_rc(add_one(stage->arena, 0, 10, 1000), 0);
    meet_signal(&stage->done);
}

/* The next one sleeps already when the holder of a transaction dies. */
static void who_waits_goes_on_when_the_holder_dies(void)
{
    struct stage *stage = test_shared(sizeof *stage);
    struct role holder, waiter;
    stage->arena = some_arena();
    const uint64_t sum = chain_of(stage->arena)->sum;
    role_start(&holder, change_and_wait, stage);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    role_start(&waiter, wait_and_add, stage);
    wait_until_sleeping(waiter.pid, LIMIT_MS);
    (void)role_kill(&holder);
    role_wait_ok(&waiter, 1000);
    assert_int_equal(query(stage->arena).recoveries, 1);
    assert_int_equal(chain_of(stage->arena)->sum, sum + 1000);
    (void)expect_whole(stage->arena);
    expect_rc(ipc_arena_free(stage->arena), 0);
}

/* The end of it does not have to wait for somebody to come in. */
static void an_arena_that_somebody_died_in_can_be_freed(void)
{
    struct stage *stage = test_shared(sizeof *stage);
    stage->arena = some_arena();
    kill_one(stage, change_and_wait);
    expect_rc(ipc_arena_free(stage->arena), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(a_visit_that_fails_changes_nothing),
    TEST_CASE(no_room_in_the_middle_changes_nothing),
    TEST_CASE(a_large_range_is_saved_and_the_memory_given_back),
    TEST_CASE(more_than_the_journal_holds_is_refused),
    TEST_CASE(words_fill_the_journal_to_its_end),
    TEST_CASE(a_range_is_saved_after_an_error_too),
    TEST_CASE(only_the_call_that_fails_is_undone),
    TEST_CASE(abort_brings_everything_back),
    TEST_CASE(what_is_freed_is_not_given_out_before_the_commit),
    TEST_CASE(a_transaction_with_a_full_journal_can_be_ended),
    TEST_CASE(a_death_with_a_full_journal_is_undone),
    TEST_CASE(who_is_killed_has_changed_nothing),
    TEST_CASE(who_waits_goes_on_when_the_holder_dies),
    TEST_CASE(an_arena_that_somebody_died_in_can_be_freed),
};
TEST_MAIN(cases)
