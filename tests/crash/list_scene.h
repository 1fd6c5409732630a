/* A scene for the death of somebody in a list: what it is like, what is done
 * to it, and what the next one must find: all of that or nothing of it. */
#ifndef CRASH_LIST_SCENE_H
#define CRASH_LIST_SCENE_H

#include "harness/harness.h"
#include "harness/role.h"
#include "harness/scale.h"
#include "harness/sweep.h"

#include <stdio.h>
#include <string.h>

#include <ipc/error.h>

#include "object/list.h"

#define LONG_TEXT "this string is much longer than an item can hold"

enum {
    LIMIT_MS = 2000, /* longer means that it hangs */
    MOST = 4096
};

struct scene {
    const char *name;
    int64_t size;          /* of the list, */
    bool mixed;            /* which has more than numbers */
    void (*prepare)(void); /* what else there is; may be NULL */
    void (*act)(void);
    long stride; /* of the quick run */
};

/* What a list was like. */
struct picture {
    uint64_t used;
    uint64_t objects;
    uint64_t version;
    uint64_t count;
    uint64_t items[MOST]; /* something of each */
};

/* In memory that all share. */
struct state {
    ipc_arena *arena;
    ipc_list *list;
    ipc_list *other; /* may be NULL, as the next one */
    ipc_list *inner;
    ipc_list *elsewhere; /* in another arena */
    struct picture before, after, found;
    char problem[160];
};

static struct state *state;
static const struct scene *scene;
static bool twice; /* the next one is killed too */

static void must(int rc)
{
    if (rc < 0)
        test_fail("%s: %s", scene->name, ipc_error_detail());
}

/* ---- pictures ---- */

/* What the same values have in common. */
static uint64_t sum_of(const ipc_any *value)
{
    uint64_t sum = value->type + 1;
    if (value->type == IPC_TYPE_STR || value->type == IPC_TYPE_BYTES)
        for (uint32_t i = 0; i < value->size; i++)
            sum = sum * 31 + (unsigned char)value->str[i];
    else if (value->type < IPC_TYPE_STR)
        sum += value->u64 * 100;
    return sum;
}

static void take_picture(struct picture *picture)
{
    ipc_arena_info info = IPC_ARENA_INFO_INIT;
    ipc_anys all;
    must(ipc_arena_query(state->arena, &info));
    must(ipc_list_slice(state->list, 0, INT64_MAX, 1, &all));
    assert_true(all.count <= MOST);
    picture->used = info.used_bytes;
    picture->objects = info.objects;
    picture->count = all.count;
    picture->version = 0;
    must(ipc_list_watch(state->list, &picture->version, IPC_TIME_NOW));
    for (size_t i = 0; i < all.count; i++)
        picture->items[i] = sum_of(&all.items[i]);
    ipc_anys_free(&all);
}

static bool is_same(const struct picture *a, const struct picture *b)
{
    return a->version == b->version && a->count == b->count &&
           a->objects == b->objects &&
           memcmp(a->items, b->items, a->count * sizeof a->items[0]) == 0;
}

/* ---- before ---- */

static void end_scene(void)
{
    if (state->arena == NULL)
        return;
    (void)ipc_list_free(state->other); /* what was broken cannot be freed */
    (void)ipc_list_free(state->list);
    must(ipc_arena_free(state->arena));
    state->arena = NULL;
}

static void reset(void *ctx)
{
    ipc_arena_options options = IPC_ARENA_OPTIONS_INIT;
    (void)ctx;
    options.max_bytes = 1 << 20;
    end_scene();
    must(ipc_arena_new(&options, &state->arena));
    must(ipc_list_new(state->arena, &state->list));
    state->other = NULL;
    state->inner = NULL;
    for (int64_t i = 0; i < scene->size; i++)
        if (scene->mixed && i % 3 == 1)
            must(ipc_list_append_str(state->list, LONG_TEXT));
        else
            must(ipc_list_append_i64(state->list, i * 7919 % 10007));
    if (scene->prepare != NULL)
        scene->prepare();
}

/* What is done the first time in a process is not what is looked at. */
static void warm_up(void *ctx)
{
    (void)ctx;
    must(ipc_list_length(state->list) < 0 ? -1 : 0);
}

static void act(void *ctx)
{
    (void)ctx;
    scene->act();
}

/* ---- the next one ---- */

static void blame(const char *what)
{
    if (state->problem[0] == '\0')
        (void)snprintf(state->problem, sizeof state->problem, "%s: %s", what,
                       ipc_error_detail());
}

static void look(void *arg)
{
    (void)arg;
    if (ipc_list_length(state->list) < 0)
        blame("length");
    if (ipc_arena_check(state->arena) != 0)
        blame("check");
    ipc__arena_drain(state->arena);
    if (ipc_arena_check(state->arena) != 0)
        blame("check when all is freed");
    if (state->problem[0] == '\0')
        take_picture(&state->found);
    if (ipc_list_append_i64(state->list, 1) != 0 ||
        ipc_list_pop(state->list, -1, NULL) != 0)
        blame("append");
}

static void oracle(void *ctx, const struct sweep_point *point,
                   struct sweep_result *result)
{
    const struct picture *found = &state->found;
    (void)ctx;
    state->problem[0] = '\0';
    if (role_try(look, NULL, LIMIT_MS) != 0) {
        sweep_wedge(result, point);
        return;
    }
    const bool before =
        (twice || !point->finished) && is_same(found, &state->before);
    const bool after = is_same(found, &state->after);
    if (state->problem[0] != '\0' || (!before && !after)) {
        if (result->printed < 5)
            printf("%s: %s\n", scene->name, state->problem);
        sweep_torn(result, point);
        return;
    }
    const struct picture *is = before ? &state->before : &state->after;
    if (found->used != is->used)
        sweep_leftover(result, point);
}

/* ---- the sweep ---- */

/* Without a death: what it is like before, and after. */
static void learn(const struct scene *which)
{
    scene = which;
    reset(NULL);
    ipc__arena_drain(state->arena);
    take_picture(&state->before);
    scene->act();
    ipc__arena_drain(state->arena);
    take_picture(&state->after);
    assert_false(is_same(&state->before, &state->after));
}

static struct sweep make_sweep(const struct scene *which)
{
    if (state == NULL)
        state = test_shared(sizeof *state);
    learn(which);
    return (struct sweep){.name = which->name,
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = act,
                          .oracle = oracle,
                          .stride = sweep_stride(which->stride),
                          .max_points = 200000};
}

/* ---- what may be there, and what is done ---- */

static inline void add_inner(void)
{
    must(ipc_list_append_list(state->list, &state->inner));
    must(ipc_list_append_i64(state->inner, 1));
    must(ipc_list_append_str(state->inner, LONG_TEXT));
}

/* A list with a directory that has become short. */
static inline void make_short(void)
{
    must(ipc_list_replace(state->list, 0, -9, NULL, 0));
}

static inline void add_other(void)
{
    must(ipc_list_copy(state->list, &state->other));
}

static inline void free_other(void)
{
    must(ipc_list_free(state->other));
}

static inline void append(void)
{
    must(ipc_list_append_i64(state->list, -1));
}

static inline void append_long(void)
{
    must(ipc_list_append_str(state->list, LONG_TEXT LONG_TEXT));
}

static inline void append_list(void)
{
    ipc_list *made;
    must(ipc_list_append_list(state->list, &made));
}

static inline void insert_first(void)
{
    must(ipc_list_insert(state->list, 0, ipc_i64(-1)));
}

static inline void insert_third(void)
{
    must(ipc_list_insert(state->list, 3, ipc_str(LONG_TEXT)));
}

static inline void insert_third_last(void)
{
    must(ipc_list_insert(state->list, -3, ipc_i64(-1)));
}

static inline void pop_last(void)
{
    must(ipc_list_pop(state->list, -1, NULL));
}

static inline void pop_first(void)
{
    must(ipc_list_pop(state->list, 0, NULL));
}

static inline void pop_fifth(void)
{
    must(ipc_list_pop(state->list, 4, NULL));
}

static inline void set_text(void)
{
    must(ipc_list_set_str(state->list, 1, LONG_TEXT "!"));
}

static inline void clear(void)
{
    must(ipc_list_clear(state->list));
}

static inline void extend(void)
{
    const ipc_any several[] = {ipc_i64(-1), ipc_str(LONG_TEXT), ipc_f64(0.5)};
    must(ipc_list_extend(state->list, several, 3));
}

static inline void replace(void)
{
    const ipc_any several[] = {ipc_str(LONG_TEXT), ipc_i64(-1)};
    must(ipc_list_replace(state->list, 2, 6, several, 2));
}

static inline void sort(void)
{
    must(ipc_list_sort(state->list, 0));
}

static inline void reverse(void)
{
    must(ipc_list_reverse(state->list));
}

static inline void drop_inner(void)
{
    must(ipc_list_pop(state->list, -1, NULL));
}

static inline void several_together(void)
{
    must(ipc_atomic_begin(state->arena));
    must(ipc_list_pop(state->list, -1, NULL));
    must(ipc_list_append_i64(state->list, -5));
    must(ipc_list_insert(state->list, 1, ipc_str(LONG_TEXT)));
    must(ipc_atomic_commit(state->arena));
}

#endif
