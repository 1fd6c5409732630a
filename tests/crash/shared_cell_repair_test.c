/* Cells when whoever comes after a death dies too: the one who repairs family
 * memory, and the one who frees what the dead one's cell says. */
#include "crash/shared_cell_scene.h"
#include "crash/shared_places.h"
#include "harness/scale.h"

#include <signal.h>

/* ---- at every instruction of the repair, from chosen beginnings ---- */

static void begin_slot(const struct heap *heap, bool take)
{
    const uint32_t class = class_of(64);
    const uint32_t chunk = heap->arena->partial[class] - 1;
    const uint32_t slot = 40;
    cell_open(heap, scene->cell);
    cell_say(scene->cell, slot_address(heap, class, chunk, slot));
    if (take)
        slab_at(heap, chunk)->bitmap[0] |= (uint64_t)1 << slot;
}

static void begin_run(const struct heap *heap, bool take)
{
    struct block block;
    (void)find_block(heap, scene->live[0].at, &block);
    const uint32_t free_chunk = block.chunk - 4; /* by make_gap() */
    cell_open(heap, scene->cell);
    cell_say(scene->cell, chunk_address(heap, free_chunk));
    heap->map[free_chunk + 2] = make_word(FREE, 2, 0);
    if (take)
        heap->map[free_chunk] = make_word(MOVING, 2, 0);
}

/* What the cell says is given back, or a run made MOVING for it. */
static void end_block(const struct heap *heap, bool give)
{
    struct block block;
    (void)find_block(heap, cell_says(scene->cell), &block);
    cell_open(heap, scene->cell);
    if (word_kind(block.word) == SLAB) {
        if (give)
            slab_at(heap, block.chunk)->bitmap[block.slot / 64] &=
                ~((uint64_t)1 << block.slot % 64);
        return;
    }
    const uint32_t length = word_length(block.word);
    heap->map[block.chunk] = make_word(MOVING, length, word_more(block.word));
    if (give) {
        ipc__memory_release(chunk_address(heap, block.chunk), length * CHUNK,
                            0);
        heap->map[block.chunk] = make_word(FREE, length, 0);
    }
}

static void slot_said(const struct heap *heap)
{
    begin_slot(heap, false);
}

static void slot_taken(const struct heap *heap)
{
    begin_slot(heap, true);
}

static void run_said(const struct heap *heap)
{
    begin_run(heap, false);
}

static void run_moving(const struct heap *heap)
{
    begin_run(heap, true);
}

static void block_given_half(const struct heap *heap)
{
    end_block(heap, false);
}

static void block_given(const struct heap *heap)
{
    end_block(heap, true);
}

/* In no list, and the bit of its only slot still set. */
static void slab_moving(const struct heap *heap)
{
    struct block block;
    (void)find_block(heap, cell_says(scene->cell), &block);
    list_remove(heap, word_more(block.word), block.chunk);
    heap->map[block.chunk] = make_word(MOVING, 1, CHUNK / PAGE);
}

static void small_beside_a_gap(void)
{
    make_gap();
    (void)keep(64);
    wants(64);
}

static const struct half {
    const char *name;
    void (*setup)(void);
    void (*die)(const struct heap *heap); /* in the midst, with the guard */
} halves[] = {
    {"slot_said", small_beside_a_gap, slot_said},
    {"slot_taken", small_beside_a_gap, slot_taken},
    {"run_said", large_from_a_gap, run_said},
    {"run_moving", large_from_a_gap, run_moving},
    {"slot_given", one_of_several_slots, block_given},
    {"run_given_half", large_block, block_given_half},
    {"run_given", large_block, block_given},
    {"slab_moving", only_slot_of_a_slab, slab_moving},
};

static const struct half *half;

static void die_half_way(void *arg)
{
    struct heap heap;
    warm_up(arg);
    if (get_heap(&heap) != 0 || lock_heap(&heap) != 0)
        role_exit(1);
    half->die(&heap);
    (void)raise(SIGKILL);
}

static void set_half_done_scene(void *ctx)
{
    struct role role;
    set_cell_scene(ctx);
    scene->lenient = true;
    role_start(&role, die_half_way, ctx);
    assert_int_equal(role_wait_dead(&role, LIMIT_MS), SIGKILL);
}

static void cleaning_up_after_a_death(void)
{
    make_cell_scene(NULL);
    for (size_t i = 0; i < array_length(halves); i++) {
        struct sweep_result result;
        const struct sweep sweep = {.reset = set_half_done_scene,
                                    .prepare = warm_up,
                                    .victim = clean_up,
                                    .oracle = nothing_is_lost,
                                    .stride = sweep_stride(23)};
        half = &halves[i];
        current_setup = half->setup;
        sweep_run(&sweep, &result);
        sweep_report(half->name, &result);
        sweep_expect_clean(&result, 50);
    }
}

/* ---- at pairs of instructions ---- */

static void set_lenient_scene(void *ctx)
{
    set_cell_scene(ctx);
    scene->lenient = true;
}

static void repair_only(void *ctx)
{
    struct heap heap;
    (void)ctx;
    if (get_heap(&heap) != 0 || lock_heap(&heap) != 0)
        _exit(1);
    unlock_heap(&heap);
}

static void sweep_pairs(const char *name, void (*setup)(void),
                        void (*recoverer)(void *ctx))
{
    struct sweep_result result;
    current_setup = setup;
    const struct sweep sweep = {.reset = set_lenient_scene,
                                .prepare = warm_up,
                                .victim = use_cell,
                                .recoverer_prepare = warm_up,
                                .recoverer = recoverer,
                                .oracle = nothing_is_lost};
    sweep2_run(&sweep, &result);
    sweep_report(name, &result);
    sweep_expect_clean(&result, SWEEP2_LEAST);
}

static void sweep_both(void (*setup)(void))
{
    if (test_scale() == 1)
        test_skip("takes a minute: with IPC_TEST_SCALE=2 or more");
    make_cell_scene(NULL);
    sweep_pairs("cleaned_up", setup, clean_up);
    sweep_pairs("repaired", setup, repair_only);
}

static void two_deaths_while_allocating_a_slot(void)
{
    sweep_both(last_slot_of_a_slab);
}

static void two_deaths_while_allocating_a_new_slab(void)
{
    sweep_both(small_of_a_new_slab);
}

static void two_deaths_while_allocating_a_run(void)
{
    sweep_both(large_from_joined_gaps);
}

static void two_deaths_while_freeing_a_slot(void)
{
    sweep_both(one_slot_of_a_full_slab);
}

static void two_deaths_while_freeing_a_slab(void)
{
    sweep_both(only_slot_of_a_slab);
}

static void two_deaths_while_freeing_a_run(void)
{
    sweep_both(large_block);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(cleaning_up_after_a_death, 600),
    TEST_CASE_LIMIT(two_deaths_while_allocating_a_slot, 3600),
    TEST_CASE_LIMIT(two_deaths_while_allocating_a_new_slab, 3600),
    TEST_CASE_LIMIT(two_deaths_while_allocating_a_run, 3600),
    TEST_CASE_LIMIT(two_deaths_while_freeing_a_slot, 3600),
    TEST_CASE_LIMIT(two_deaths_while_freeing_a_slab, 3600),
    TEST_CASE_LIMIT(two_deaths_while_freeing_a_run, 3600),
};
TEST_MAIN(cases)
