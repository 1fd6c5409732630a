/* What the sweeps of dicts and sets have in common: tables in an arena that is
 * put back before every kill, and somebody fresh who looks what is left: what
 * was before, or what is after, whole, and nothing lost. */
#ifndef CRASH_DICT_SWEEP_SUPPORT_H
#define CRASH_DICT_SWEEP_SUPPORT_H

#include "harness/scale.h"
#include "harness/sweep.h"
#include "unit/dict_support.h"

#include <unistd.h>

#include "object/table.h"

#define LONG_TEXT  "this string is much longer than an item can hold"
#define OTHER_TEXT "and this is another one that takes a block of its own"

/* All that tells one state from another. */
struct state {
    uint64_t items; /* a hash of them all */
    uint64_t used;
    uint64_t objects;
};

struct scene {
    struct state before, after;
    struct state found;
    int problem; /* of the one who looked: a line, or 0 */
    int rc;      /* of the call there */
    char detail[200];
};

static struct scene *scene;
static ipc_dict *probe;
static ipc_dict *other;
static ipc_set *set;
static ipc_set *other_set;
static char *image;
static uint64_t image_top;

/* ---- the state ---- */

static inline void mix(uint64_t *hash, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    for (size_t i = 0; i < bytes; i++)
        *hash = (*hash ^ at[i]) * UINT64_C(0x100000001b3);
}

static inline void mix_values(uint64_t *hash, const ipc_anys *all)
{
    for (size_t i = 0; i < all->count; i++) {
        char text[120];
        (void)ipc_any_format(&all->items[i], text, sizeof text);
        mix(hash, text, strlen(text) + 1);
    }
}

/* Stop at the first call that fails; the case's process tells. */
#define LOOK(call)                                                             \
    do {                                                                       \
        scene->rc = (call);                                                    \
        if (scene->rc != 0) {                                                  \
            scene->problem = __LINE__;                                         \
            (void)snprintf(scene->detail, sizeof scene->detail, "%s",          \
                           ipc_error_detail());                                \
            return;                                                            \
        }                                                                      \
    } while (0)

/* In a fresh process.  A change that leaves no trace has it free what is
 * parked. */
static inline void take_state(void *arg)
{
    struct state *state = arg;
    ipc_dict *const dicts[] = {dict, other};
    ipc_set *const sets[] = {set, other_set};
    ipc_arena_info info = IPC_ARENA_INFO_INIT;
    uint64_t hash = 7;
    ipc_anys all;
    LOOK(ipc_dict_incr(probe, ipc_nil(), 1, NULL));
    LOOK(ipc_arena_check(home));
    for (int i = 0; i < 2; i++) {
        LOOK(ipc_dict_items(dicts[i], &all));
        mix_values(&hash, &all);
        ipc_anys_free(&all);
        LOOK(ipc_set_members(sets[i], &all));
        mix_values(&hash, &all);
        ipc_anys_free(&all);
        mix(&hash, &i, sizeof i);
    }
    LOOK(ipc_arena_query(home, &info));
    *state = (struct state){hash, info.used_bytes, info.objects};
}

static inline bool same(const struct state *a, const struct state *b)
{
    return a->items == b->items && a->used == b->used &&
           a->objects == b->objects;
}

/* ---- the scene ---- */

static inline void make_scene(void)
{
    scene = test_shared(sizeof *scene);
    make_arena((uint64_t)256 << 10);
    ok(ipc_dict_new(home, &probe));
    ok(ipc_dict_set(probe, ipc_nil(), ipc_i64(0)));
    ok(ipc_dict_new(home, &other));
    ok(ipc_set_new(home, &set));
    ok(ipc_set_new(home, &other_set));
}

static inline void put_back(void *ctx)
{
    (void)ctx;
    memcpy(home, image, sizeof *home);
    memcpy((char *)home + home->heap, image + sizeof *home,
           image_top - home->heap);
    scene->problem = 0;
}

static inline void warm_up(void *ctx)
{
    (void)ctx;
    if (ipc_dict_incr(probe, ipc_nil(), 1, NULL) != 0)
        _exit(1);
}

static inline void state_of(void (*op)(void *ctx), struct state *out)
{
    put_back(NULL);
    if (op != NULL)
        ok(role_try(op, NULL, LIMIT_MS));
    ok(role_try(take_state, out, LIMIT_MS));
    if (scene->problem != 0)
        test_fail("line %d: %d (%s)", scene->problem, scene->rc, scene->detail);
}

/* Everything is made: keep it, and see what the operation makes of it. */
static inline void keep_scene(void (*op)(void *ctx))
{
    image_top = home->top;
    image = malloc(sizeof *home + image_top - home->heap);
    assert_non_null(image);
    memcpy(image, home, sizeof *home);
    memcpy(image + sizeof *home, (char *)home + home->heap,
           image_top - home->heap);
    state_of(NULL, &scene->before);
    state_of(op, &scene->after);
}

static inline void end_scene(void)
{
    put_back(NULL);
    free(image);
    check_arena();
    ok(ipc_dict_free(probe));
    ok(ipc_dict_free(other));
    ok(ipc_set_free(set));
    ok(ipc_set_free(other_set));
    end_arena();
}

/* ---- after the death ---- */

static inline void before_or_after(void *ctx, const struct sweep_point *point,
                                   struct sweep_result *result)
{
    (void)ctx;
    const int rc = role_try(take_state, &scene->found, LIMIT_MS);
    if (rc == ROLE_HUNG) {
        sweep_wedge(result, point);
        return;
    }
    if (rc != 0 || scene->problem != 0) {
        if (result->torn < 3)
            printf("%d; line %d: %d (%s)\n", rc, scene->problem, scene->rc,
                   scene->detail);
        sweep_torn(result, point);
        return;
    }
    const bool before = scene->found.items == scene->before.items;
    const bool after = scene->found.items == scene->after.items;
    if (!before && !after)
        sweep_torn(result, point);
    else if (point->finished && point->step == 0 && !after)
        sweep_lost(result, point);
    else if (!same(&scene->found, &scene->before) &&
             !same(&scene->found, &scene->after))
        sweep_leftover(result, point);
}

/* ---- sweeps ---- */

static inline struct sweep sweep_of(void (*op)(void *ctx), long quick)
{
    return (struct sweep){.reset = put_back,
                          .prepare = warm_up,
                          .victim = op,
                          .oracle = before_or_after,
                          .max_points = 150000,
                          .limit_ms = LIMIT_MS,
                          .stride = sweep_stride(quick)};
}

/* setup makes what op changes. */
static inline void sweep_op(void (*setup)(void), void (*op)(void *ctx),
                            long quick)
{
    struct sweep_result result;
    make_scene();
    if (setup != NULL)
        setup();
    keep_scene(op);
    const struct sweep sweep = sweep_of(op, quick);
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 20);
    assert_int_equal(result.lost, 0);
    end_scene();
}

/* Whoever comes next and undoes it is killed too. */
static inline void sweep_op_twice(void (*setup)(void), void (*op)(void *ctx))
{
    struct sweep_result result;
    make_scene();
    if (setup != NULL)
        setup();
    keep_scene(op);
    struct sweep sweep = sweep_of(op, 1);
    sweep.recoverer = warm_up;
    sweep2_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 100);
    end_scene();
}

/* What is stepped calls no assert. */
static inline void must(int rc)
{
    if (rc < 0)
        _exit(2);
}

static inline void fill(int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        ok(ipc_dict_set(dict, ipc_i64(i), ipc_i64(i)));
}

#endif
