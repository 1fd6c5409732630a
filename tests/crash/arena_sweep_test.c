/* A visit of an arena is killed at every instruction: it happened or it did
 * not, and no block is lost. */
#include "crash/arena_sweep_support.h"

static void sweep_with_stride(void (*setup)(ipc_arena *arena),
                              void (*op)(ipc_arena *arena), long stride,
                              long min_points)
{
    struct sweep_result result;
    make_scene(setup, op);
    const struct sweep sweep = {.reset = reset,
                                .prepare = just_look,
                                .victim = do_op,
                                .oracle = oracle,
                                .stride = stride};
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, min_points);
    end_scene();
}

static void sweep_op(void (*setup)(ipc_arena *arena),
                     void (*op)(ipc_arena *arena), long stride, long min_points)
{
    sweep_with_stride(setup, op, sweep_stride(stride), min_points);
}

/* ---- allocating ---- */

static void add_a_small_one(ipc_arena *arena)
{
    OP(add_one(arena, 1, 68, 50)); /* 112 bytes with all that belongs to it */
}

static void a_gap_of_that_size(ipc_arena *arena)
{
    OP(add_one(arena, 0, 68, 1));
    OP(add_one(arena, 0, 500, 2));
    OP(remove_one(arena, 1));
}

static void a_large_gap(ipc_arena *arena)
{
    OP(add_one(arena, 0, 3000, 1));
    OP(add_one(arena, 0, 500, 2));
    OP(remove_one(arena, 1));
}

static void several_gaps(ipc_arena *arena)
{
    several_links(arena);
    for (uint64_t i = 0; i < 5; i++)
        OP(remove_one(arena, i));
}

static void allocating_from_a_list(void)
{
    sweep_op(a_gap_of_that_size, add_a_small_one, 4, 50);
}

static void allocating_a_part_of_a_block(void)
{
    sweep_op(a_large_gap, add_a_small_one, 5, 50);
}

static void allocating_among_several_gaps(void)
{
    sweep_op(several_gaps, add_a_small_one, 7, 50);
}

static void allocating_at_the_top(void)
{
    sweep_op(several_links, add_a_small_one, 4, 50);
}

/* There is memory up to a page behind what is needed, and no more. */
static void little_memory(ipc_arena *arena)
{
    several_links(arena);
    while (arena->heap_present - arena->top > 100)
        OP(add_one(arena, 0, 1, 1));
}

static void allocating_at_the_top_where_no_memory_is(void)
{
    sweep_op(little_memory, add_a_small_one, 4, 50);
}

/* ---- parking and draining ---- */

static void three_and_one(ipc_arena *arena)
{
    for (uint64_t i = 0; i < 4; i++)
        OP(add_one(arena, 0, 200 + 100 * i, i + 1));
}

static void remove_the_second(ipc_arena *arena)
{
    OP(remove_one(arena, 1));
}

/* In memory the chain's links lie the other way round. */
static void with_a_gap_before(ipc_arena *arena)
{
    several_links(arena);
    OP(remove_one(arena, 2));
}

static void with_a_gap_behind(ipc_arena *arena)
{
    several_links(arena);
    OP(remove_one(arena, 0));
    several_links(arena);
    OP(remove_one(arena, 10));
    OP(remove_one(arena, 12));
}

static void remove_the_eleventh(ipc_arena *arena)
{
    OP(remove_one(arena, 11));
}

static void remove_the_first(ipc_arena *arena)
{
    OP(remove_one(arena, 0));
}

static void freeing_a_block_alone(void)
{
    sweep_op(three_and_one, remove_the_second, 5, 50);
}

static void freeing_behind_a_gap(void)
{
    sweep_op(with_a_gap_before, remove_the_second, 6, 50);
}

static void freeing_before_a_gap(void)
{
    sweep_op(with_a_gap_behind, remove_the_eleventh, 7, 50);
}

static void between_two_gaps(ipc_arena *arena)
{
    several_links(arena);
    OP(remove_one(arena, 4));
    OP(remove_one(arena, 5));
}

static void remove_the_fifth(ipc_arena *arena)
{
    OP(remove_one(arena, 4));
}

static void freeing_between_two_gaps(void)
{
    sweep_op(between_two_gaps, remove_the_fifth, 7, 50);
}

static void freeing_the_last_one_below_the_top(void)
{
    sweep_op(three_and_one, remove_the_first, 4, 50);
}

static void a_gap_below_the_last(ipc_arena *arena)
{
    three_and_one(arena);
    OP(remove_one(arena, 1));
}

static void freeing_the_last_one_behind_a_gap(void)
{
    sweep_op(a_gap_below_the_last, remove_the_first, 5, 50);
}

/* More than is freed in one go, so that the lock is given back in between. */
static void many_links(ipc_arena *arena)
{
    for (uint64_t i = 0; i < 70; i++)
        OP(add_one(arena, 0, 16 * (i % 4), i + 1));
}

static void remove_everything(ipc_arena *arena)
{
    struct ipc__visit v;
    OP(ipc__arena_enter(&v, arena));
    while (chain_remove(&v, 0))
        continue;
    OP(ipc__arena_leave(&v));
}

/* So long a course that no run can try every point of it. */
static void freeing_many_at_once(void)
{
    const long quick = sweep_stride(331);
    sweep_with_stride(many_links, remove_everything, quick > 97 ? quick : 97,
                      50);
}

/* ---- memory that is given back ---- */

static void a_peak(ipc_arena *arena)
{
    OP(add_one(arena, 0, 100, 1));
    OP(add_one(arena, 0, 100, 2));
    arena->heap_present = arena->heap_end; /* as if it had been */
}

static void remove_with_a_peak(ipc_arena *arena)
{
    OP(remove_one(arena, 0));
}

static void giving_memory_back(void)
{
    sweep_op(a_peak, remove_with_a_peak, 6, 50);
}

/* ---- visits that fail, transactions ---- */

static void fail_after_all(ipc_arena *arena)
{
    struct ipc__visit v;
    OP(ipc__arena_enter(&v, arena));
    (void)chain_add(&v, 1, 68, 50);
    (void)chain_remove(&v, 3);
    chain_rewrite(&v, 77);
    (void)ipc__visit_fail(&v, -ENOENT, "no");
    OP(ipc__arena_leave(&v) != -ENOENT);
}

static void failing(void)
{
    sweep_op(several_gaps, fail_after_all, 41, 50);
}

static void committing(void)
{
    sweep_op(several_gaps, transaction, 61, 50);
}

static void abort_it(ipc_arena *arena)
{
    struct ipc__visit v;
    OP(ipc_atomic_begin(arena));
    OP(add_one(arena, 2, 60, 100));
    OP(remove_one(arena, 3));
    OP(ipc__arena_enter(&v, arena));
    (void)chain_add(&v, 0, 300, 4);
    (void)ipc__visit_fail(&v, -ENOENT, "only this");
    OP(ipc__arena_leave(&v) != -ENOENT);
    OP(add_one(arena, 0, 700, 300));
    OP(ipc_atomic_abort(arena));
}

static void aborting(void)
{
    sweep_op(several_gaps, abort_it, 61, 50);
}

/* The journal has to grow, and is given back. */
static void save_much(ipc_arena *arena)
{
    struct ipc__visit v;
    OP(ipc__arena_enter(&v, arena));
    const struct link *link = link_at(arena, chain_of(arena)->first);
    OP(ipc__journal_room(&v, 130000, 1));
    ipc__save(&v, link->text, 10000);
    (void)chain_add(&v, 0, 60, 2);
    OP(ipc__arena_leave(&v));
}

static void one_large_link(ipc_arena *arena)
{
    OP(add_one(arena, 0, 80000, 1));
}

static void saving_more_than_there_is_room(void)
{
    struct sweep_result result;
    make_scene(one_large_link, save_much);
    const struct sweep sweep = {.reset = reset,
                                .prepare = just_look,
                                .victim = do_op,
                                .oracle = oracle,
                                .grain = SWEEP_SYSCALLS};
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 2);
    end_scene();
}

/* ---- what these must find ---- */

static struct sweep_result sweep_broken(void (*op)(ipc_arena *arena),
                                        long stride)
{
    struct sweep_result result;
    make_scene(several_gaps, op);
    const struct sweep sweep = {.reset = reset,
                                .prepare = just_look,
                                .victim = do_op,
                                .oracle = oracle,
                                .stride = stride};
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    assert_int_equal(result.wedges, 0);
    end_scene();
    return result;
}

static void store_without_saving(ipc_arena *arena)
{
    struct ipc__visit v;
    struct chain *chain = chain_of(arena);
    OP(ipc__arena_enter(&v, arena));
    struct link *link = link_at(arena, chain->first);
    store_relaxed(&chain->sum, chain->sum - link->tag + 70);
    ipc__put64(&v, &link->tag, 70);
    memset(link->text, 0, link->bytes);
    for (uint64_t i = 0; i < link->bytes; i++)
        link->text[i] = text_byte(70, i);
    OP(ipc__arena_leave(&v));
}

static void a_store_without_saving_is_found(void)
{
    assert_true(sweep_broken(store_without_saving, 37).torn > 0);
}

/* Of a word that has a record, but of what was stored. */
static void store_before_saving(ipc_arena *arena)
{
    struct ipc__visit v;
    struct chain *chain = chain_of(arena);
    OP(ipc__arena_enter(&v, arena));
    struct link *link = link_at(arena, chain->first);
    const uint64_t first = chain->first;
    store_relaxed(&chain->first, link->next);
    compiler_barrier();
    ipc__put64(&v, &chain->count, chain->count - 1);
    ipc__put64(&v, &chain->sum, chain->sum - link->tag);
    ipc__put64(&v, &chain->first, chain->first);
    ipc__park(&v, first, IPC__PARKED_BLOCK);
    OP(ipc__arena_leave(&v));
}

static void a_store_before_saving_is_found(void)
{
    const struct sweep_result result = sweep_broken(store_before_saving, 7);
    assert_true(result.torn + result.leftovers > 0);
}

/* What was freed at once is given out again and written over. */
static void free_without_parking(ipc_arena *arena)
{
    struct ipc__visit v;
    struct chain *chain = chain_of(arena);
    OP(ipc__arena_enter(&v, arena));
    const uint64_t first = chain->first;
    const struct link *link = link_at(arena, first);
    const uint64_t bytes = link->bytes;
    ipc__put64(&v, &chain->count, chain->count - 1);
    ipc__put64(&v, &chain->sum, chain->sum - link->tag);
    ipc__put64(&v, &chain->first, link->next);
    ipc__free_now(&v, first);
    (void)chain_add(&v, 2, bytes, 90);
    OP(ipc__arena_leave(&v));
}

static void a_block_that_is_freed_at_once_is_found(void)
{
    assert_true(sweep_broken(free_without_parking, 61).torn > 0);
}

static void two_visits(ipc_arena *arena)
{
    OP(add_one(arena, 0, 100, 3));
    OP(remove_one(arena, 2));
}

static void two_visits_are_not_one(void)
{
    assert_true(sweep_broken(two_visits, 31).torn > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(allocating_from_a_list, 60),
    TEST_CASE_LIMIT(allocating_a_part_of_a_block, 60),
    TEST_CASE_LIMIT(allocating_among_several_gaps, 60),
    TEST_CASE_LIMIT(allocating_at_the_top, 60),
    TEST_CASE_LIMIT(allocating_at_the_top_where_no_memory_is, 60),
    TEST_CASE_LIMIT(freeing_a_block_alone, 60),
    TEST_CASE_LIMIT(freeing_behind_a_gap, 60),
    TEST_CASE_LIMIT(freeing_before_a_gap, 60),
    TEST_CASE_LIMIT(freeing_between_two_gaps, 60),
    TEST_CASE_LIMIT(freeing_the_last_one_below_the_top, 60),
    TEST_CASE_LIMIT(freeing_the_last_one_behind_a_gap, 60),
    TEST_CASE_LIMIT(freeing_many_at_once, 60),
    TEST_CASE_LIMIT(giving_memory_back, 60),
    TEST_CASE_LIMIT(failing, 60),
    TEST_CASE_LIMIT(committing, 60),
    TEST_CASE_LIMIT(aborting, 60),
    TEST_CASE_LIMIT(saving_more_than_there_is_room, 60),
    TEST_CASE_LIMIT(a_store_without_saving_is_found, 60),
    TEST_CASE_LIMIT(a_store_before_saving_is_found, 60),
    TEST_CASE_LIMIT(a_block_that_is_freed_at_once_is_found, 60),
    TEST_CASE_LIMIT(two_visits_are_not_one, 60),
};
TEST_MAIN(cases)
