/* A scene for the death of a member in family memory: what there is before it
 * comes, what it does, and what the next member must find. */
#ifndef CRASH_SHARED_SCENE_H
#define CRASH_SHARED_SCENE_H

#include "harness/harness.h"
#include "harness/role.h"
#include "harness/sweep.h"

#include "crash/look_once.h"
#include "kernel/memory.h"

/* For a machine that is full. */
static int populate_if_there_is_room(void *start, size_t size);
#define ipc__memory_populate populate_if_there_is_room
#include "crash/shared_walk.h"
#undef ipc__memory_populate

#include <unistd.h>

enum {
    LIMIT_MS = 1000, /* longer means that it hangs */
    LIVE = 48,
};

struct live {
    unsigned char *at;
    size_t size;
};

/* What there is before the victim comes, and what was found after it; in
 * memory that all share. */
struct scene {
    struct live live[LIVE];
    size_t live_count;
    void *target; /* what the victim frees, ... */
    size_t target_size;
    size_t wanted;  /* ... or how much it allocates */
    uint64_t *cell; /* by way of this, which is in family memory; or NULL */
    bool full;      /* the machine has no memory left */
    bool finished;
    bool lenient;        /* several deaths, or something lost before */
    bool briefly;        /* the next member uses a part of all sizes */
    bool forgetful;      /* the next member does not repair anything */
    char problem[100];   /* found by the next member */
    uint32_t max_moving; /* chunks missing for ever, at most, after a death */
};

static struct scene *scene;

static int populate_if_there_is_room(void *start, size_t size)
{
    return scene->full ? -ENOMEM : ipc__memory_populate(start, size);
}

/* ---- setting the scene, in the case's process ---- */

static unsigned char mark_of(size_t i)
{
    return (unsigned char)(0x51 + i);
}

static void *get(size_t size)
{
    void *memory = ipc_shared_alloc(size);
    if (memory == NULL)
        test_fail("no %zu bytes: %s", size, ipc_error_detail());
    return memory;
}

/* A block that must not change. */
static void *keep(size_t size)
{
    struct live *live = &scene->live[scene->live_count];
    live->at = get(size);
    live->size = size;
    memset(live->at, mark_of(scene->live_count), size);
    scene->live_count++;
    return live->at;
}

static void let_go(void *memory)
{
    assert_int_equal(ipc_shared_free(memory), 0);
}

static void wants(size_t size)
{
    scene->wanted = size;
}

static void *get_in_cell(size_t size)
{
    if (ipc__shared_alloc_in(scene->cell, size) != 0)
        test_fail("no %zu bytes: %s", size, ipc_error_detail());
    return cell_says(scene->cell);
}

static void frees(size_t size)
{
    scene->target = scene->cell != NULL ? get_in_cell(size) : get(size);
    scene->target_size = size;
    memset(scene->target, 0xaa, size);
}

/* As if the family had just been made. */
static void start_anew(void)
{
    struct heap heap;
    assert_int_equal(get_heap(&heap), 0);
    ipc__memory_release(heap.chunks, heap.arena->top * CHUNK, 0);
    memset(heap.map, 0, heap.arena->map_end * sizeof *heap.map);
    memset(heap.arena, 0, sizeof *heap.arena);
    memset(scene, 0, sizeof *scene);
}

static inline void small_of_a_slab_in_use(void)
{
    for (int i = 0; i < 3; i++)
        (void)keep(64);
    wants(64);
}

static void last_slot_of_a_slab(void)
{
    (void)keep(1792);
    struct heap heap;
    struct block block;
    assert_int_equal(get_heap(&heap), 0);
    assert_true(find_block(&heap, scene->live[0].at, &block));
    while (slab_at(&heap, block.chunk)->free_slots > 1)
        (void)keep(1792);
    wants(1700);
}

/* Chunks 0-3 free, and something behind them. */
static void make_gap(void)
{
    void *gap = get(4 * CHUNK);
    (void)keep(100);
    let_go(gap);
}

static inline void only_slot_of_a_slab(void)
{
    last_slot_of_a_slab();
    wants(0);
    (void)keep(1792);
    frees(1792);               /* alone in the second slab ... */
    let_go(scene->live[0].at); /* ... and the first one has room too */
    scene->live[0] = scene->live[--scene->live_count];
    memset(scene->live[0].at, mark_of(0), scene->live[0].size);
}

/* ---- the victim ---- */

static void (*current_setup)(void);
static bool with_a_cell;

static void set_scene(void *ctx)
{
    (void)ctx;
    start_anew();
    if (with_a_cell)
        scene->cell = get(sizeof *scene->cell);
    current_setup();
    const size_t size =
        scene->target != NULL ? scene->target_size : scene->wanted;
    scene->max_moving =
        size <= SMALL_MAX ? 1 : (uint32_t)((size + CHUNK - 1) / CHUNK);
}

/* What a first call does in a process; but the guard is not taken, and so
 * nothing is repaired. */
static void warm_up(void *ctx)
{
    struct heap heap;
    (void)ctx;
    look_once();
    if (get_heap(&heap) != 0 || ipc__self_register(heap.arena) != 0)
        _exit(1);
}

static inline void work(void *ctx)
{
    (void)ctx;
    if (scene->target != NULL)
        (void)ipc_shared_free(scene->target);
    else if (ipc_shared_alloc(scene->wanted) == NULL)
        _exit(1);
}

/* ---- the next member ---- */

static void blame(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
static void blame(const char *format, ...)
{
    va_list arguments;
    if (scene->problem[0] != '\0')
        return;
    va_start(arguments, format);
    (void)vsnprintf(scene->problem, sizeof scene->problem, format, arguments);
    va_end(arguments);
}

static bool all_are(const unsigned char *at, size_t size, unsigned char byte)
{
    return at[0] == byte && memcmp(at, at + 1, size - 1) == 0;
}

static void check_live(void)
{
    for (size_t i = 0; i < scene->live_count; i++) {
        const struct live *live = &scene->live[i];
        if (ipc_shared_size(live->at) < live->size)
            blame("block %zu is not handed out any more", i);
        else if (!all_are(live->at, live->size, mark_of(i)))
            blame("block %zu was written by somebody else", i);
    }
}

static void check_target(void)
{
    if (scene->target != NULL && ipc_shared_size(scene->target) != 0 &&
        !all_are(scene->target, scene->target_size, 0xaa))
        blame("what was not freed was written by somebody else");
}

/* Or a part of them: each takes a slab. */
static void use_all_sizes(void)
{
    void *all[CLASSES + 3];
    const size_t step = scene->briefly ? 5 : 1;
    for (size_t i = 0; i < CLASSES + 3; i += step) {
        const size_t size =
            i < CLASSES ? class_sizes[i] : (i - CLASSES) * 3 * CHUNK + 9000;
        all[i] = ipc_shared_alloc(size);
        if (all[i] == NULL) {
            blame("no %zu bytes", size);
            return;
        }
        if (!all_are(all[i], size, 0))
            blame("%zu bytes are not zero-filled", size);
        memset(all[i], 0xee, size);
    }
    check_live();
    for (size_t i = 0; i < CLASSES + 3; i += step)
        if (ipc_shared_free(all[i]) != 0)
            blame("free: %s", ipc_error_detail());
}

static void check_walk(struct walk *walk)
{
    walk_heap(walk);
    if (walk->problem != NULL)
        blame("%s", walk->problem);
}

static void recover_nothing(void *arg)
{
    (void)arg;
}

/* What a guard without recovery would do. */
static void lock_without_repair(void)
{
    struct heap heap;
    if (get_heap(&heap) == 0 &&
        ipc__guard_lock(&heap.arena->guard, recover_nothing, &heap) == 0)
        unlock_heap(&heap);
}

static void next_member(void *arg)
{
    (void)arg;
    struct walk before;
    struct walk after;
    if (scene->forgetful)
        lock_without_repair();
    check_walk(&before);
    check_live();
    check_target();

    const bool exact = scene->finished && !scene->lenient;
    const int64_t sign = scene->target != NULL ? -1 : 1;
    const int64_t there = (int64_t)scene->live_count + (scene->target != NULL);
    const int64_t more = ((int64_t)before.count - there) * sign;
    if (more < exact || more > (scene->lenient ? 3 : 1))
        blame("%lld blocks, there were %lld", (long long)before.count,
              (long long)there);
    const uint32_t deaths = exact ? 0 : scene->lenient ? 2 : 1;
    if (before.moving_chunks > scene->max_moving * deaths)
        blame("%u chunks are missing", before.moving_chunks);

    use_all_sizes();
    check_walk(&after);
    if (after.count != before.count ||
        after.moving_chunks != before.moving_chunks)
        blame("use by others changed the count from %llu to %llu",
              (unsigned long long)before.count,
              (unsigned long long)after.count);
}

static inline void goes_on(void *ctx, const struct sweep_point *point,
                           struct sweep_result *result)
{
    scene->finished = point->finished;
    scene->briefly = point->step % 8 != 0;
    const int rc = role_try(next_member, ctx, LIMIT_MS);
    if (rc == ROLE_HUNG) {
        sweep_wedge(result, point);
    } else if (rc != 0 || scene->problem[0] != '\0') {
        if (result->torn < 3)
            printf("%s (%d)\n", scene->problem, rc);
        sweep_torn(result, point);
    }
}

static void make_scene(void (*setup)(void))
{
    scene = test_shared(sizeof *scene);
    assert_int_equal(ipc_shared_init(), 0);
    current_setup = setup;
}

#endif
