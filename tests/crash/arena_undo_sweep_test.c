/* Whoever undoes what the dead have begun is killed too, at every instruction:
 * the next one goes on with it. */
#include "crash/arena_sweep_support.h"

#include <signal.h>

/* ---- the one who dies has done as much as there is ---- */

static void several_gaps(ipc_arena *arena)
{
    several_links(arena);
    for (uint64_t i = 0; i < 5; i++)
        OP(remove_one(arena, i));
}

static void die_before_the_commit(void *ctx)
{
    struct ipc__visit v;
    ipc_arena *arena = scene->arena;
    (void)ctx;
    OP(ipc_atomic_begin(arena));
    OP(add_one(arena, 2, 60, 100));
    OP(remove_one(arena, 3));
    OP(ipc__arena_enter(&v, arena));
    chain_rewrite(&v, 200);
    OP(ipc__arena_leave(&v));
    OP(add_one(arena, 0, 700, 300));
    (void)raise(SIGKILL);
}

static void nothing(ipc_arena *arena)
{
    (void)arena;
}

/* The image is of an arena that nobody has looked at since. */
static void make_dead_scene(void)
{
    make_scene(several_gaps, nothing);
    assert_int_equal(role_try(die_before_the_commit, NULL, LIMIT_MS),
                     ROLE_SIGNAL + SIGKILL);
    assert_true(scene->arena->saved > 100);
    keep_image();
}

static void know_the_family(void *ctx)
{
    (void)ctx;
    (void)ipc_arena_query(
        NULL, &(ipc_arena_info){sizeof(ipc_arena_info), 0, 0, 0, 0, 0, 0});
}

static void look(ipc_arena *arena)
{
    (void)arena;
    just_look(NULL);
}

static void undoing(void)
{
    struct sweep_result result;
    make_dead_scene();
    scene->op = look;
    const struct sweep sweep = {.reset = reset,
                                .prepare = know_the_family,
                                .victim = do_op,
                                .oracle = oracle,
                                .stride = sweep_stride(31)};
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 50);
    end_scene();
}

/* The one who comes goes on with a change of his own. */
static void undo_and_change(ipc_arena *arena)
{
    OP(add_one(arena, 1, 68, 50));
}

static void undoing_and_changing(void)
{
    struct sweep_result result;
    make_scene(several_gaps, undo_and_change);
    reset(NULL);
    assert_int_equal(role_try(die_before_the_commit, NULL, LIMIT_MS),
                     ROLE_SIGNAL + SIGKILL);
    keep_image();
    const struct sweep sweep = {.reset = reset,
                                .prepare = know_the_family,
                                .victim = do_op,
                                .oracle = oracle,
                                .stride = sweep_stride(41)};
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 50);
    end_scene();
}

/* ---- both ---- */

static void both_are_killed(void)
{
    struct sweep_result result;
    make_scene(several_gaps, transaction);
    scene->twice = true;
    const struct sweep sweep = {.reset = reset,
                                .prepare = just_look,
                                .victim = do_op,
                                .recoverer_prepare = know_the_family,
                                .recoverer = just_look,
                                .oracle = oracle};
    sweep2_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 100);
    end_scene();
}

/* ---- what these must find ---- */

/* Counts the records off before it has undone them. */
static void undo_carelessly(ipc_arena *arena)
{
    const int rc = ipc_lock_acquire(&arena->lock);
    if (rc != IPC_OWNER_DIED)
        _exit(1);
    struct ipc__visit v = {.outer = true};
    OP(ipc__visit_begin(&v, arena));
    while (arena->saved != 0) {
        const uint64_t record = v.journal[arena->saved - 1];
        const uint64_t words = record >> 40;
        store_relaxed(&arena->saved, arena->saved - 1 - words);
        compiler_barrier();
        memcpy((char *)arena + (record & (((uint64_t)1 << 40) - 1)) * 8,
               v.journal + arena->saved, words * 8);
    }
    store_relaxed(&arena->in_transaction, 0);
    OP(ipc_lock_consistent(&arena->lock));
    OP(ipc_lock_release(&arena->lock));
}

static void an_undo_that_counts_too_early_is_found(void)
{
    struct sweep_result result;
    make_dead_scene();
    scene->op = undo_carelessly;
    const struct sweep sweep = {.reset = reset,
                                .prepare = know_the_family,
                                .victim = do_op,
                                .oracle = oracle,
                                .stride = 11};
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    assert_int_equal(result.wedges, 0);
    assert_true(result.torn + result.leftovers > 0);
    end_scene();
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(undoing, 60),
    TEST_CASE_LIMIT(undoing_and_changing, 60),
    TEST_CASE_LIMIT(both_are_killed, 60),
    TEST_CASE_LIMIT(an_undo_that_counts_too_early_is_found, 60),
};
TEST_MAIN(cases)
