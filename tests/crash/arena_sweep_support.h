/* Scenes for sweeps of arenas: a state, an operation, and what the next one who
 * comes must find after its death, which is the state before or the one after,
 * and a whole heap in any case. */
#ifndef CRASH_ARENA_SWEEP_SUPPORT_H
#define CRASH_ARENA_SWEEP_SUPPORT_H

#include "harness/sweep.h"
#include "unit/arena_support.h"

/* What the chain has, and how much is used when nothing is parked. */
struct contents {
    uint64_t digest;
    uint64_t used;
};

struct scene {
    ipc_arena *arena;
    void (*op)(ipc_arena *arena);
    struct contents before;
    struct contents after;
    struct contents now;
    bool twice; /* two are killed: a point tells of the second */
    char problem[160];
};

static struct scene *scene; /* all share it */

/* How it was, with the lock and the journal. */
static unsigned char *image;
static size_t image_bytes;

static uint64_t digest_of(const ipc_arena *arena)
{
    uint64_t digest = 0xcbf29ce484222325;
    for (uint64_t at = chain_of(arena)->first; at != 0;
         at = link_at(arena, at)->next) {
        const struct link *link = link_at(arena, at);
        digest = (digest ^ link->bytes) * 0x100000001b3;
        digest = (digest ^ link->tag) * 0x100000001b3;
    }
    return digest ^ chain_of(arena)->count << 32 ^ chain_of(arena)->sum << 40;
}

static void blame(const char *what)
{
    if (scene->problem[0] == '\0')
        (void)snprintf(scene->problem, sizeof scene->problem, "%s", what);
}

static void blame_if_not_whole(const char *when)
{
    struct arena_walk walk;
    char text[sizeof scene->problem];
    walk_arena(scene->arena, &walk);
    if (walk.problem[0] == '\0')
        return;
    (void)snprintf(text, sizeof text, "%s: %.120s", when, walk.problem);
    blame(text);
}

/* ---- who takes part ---- */

static void reset(void *ctx)
{
    (void)ctx;
    memcpy(scene->arena, image, image_bytes);
    scene->problem[0] = '\0';
}

static void just_look(void *ctx)
{
    struct ipc__visit v;
    (void)ctx;
    if (ipc__arena_enter(&v, scene->arena) == 0)
        (void)ipc__arena_leave_unchanged(&v);
}

static void do_op(void *ctx)
{
    (void)ctx;
    scene->op(scene->arena);
}

/* The next one who comes. */
static void look_around(void *ctx)
{
    ipc_arena *arena = scene->arena;
    struct ipc__visit v;
    (void)ctx;
    const int rc = ipc__arena_enter(&v, arena);
    if (rc != 0) {
        blame(ipc_error_detail());
        return;
    }
    if (arena->saved != 0 || arena->in_transaction != 0)
        blame("something is left of the dead");
    blame_if_not_whole("found");
    (void)ipc__arena_leave_unchanged(&v);
    scene->now.digest = digest_of(arena);
    ipc__arena_drain(arena);
    blame_if_not_whole("after draining");
    scene->now.used = arena->used;
    if (arena->parked != 0)
        blame("something stays parked");
    if (scene->problem[0] != '\0')
        return;
    for (uint64_t i = 0; i < 8; i++)
        if (add_one(arena, i, 120 * i, i) != 0 || remove_one(arena, 3) != 0)
            blame(ipc_error_detail());
    blame_if_not_whole("after use");
}

static bool same(const struct contents *a, const struct contents *b)
{
    return a->digest == b->digest && a->used == b->used;
}

static void oracle(void *ctx, const struct sweep_point *point,
                   struct sweep_result *result)
{
    const bool was_done = point->finished && !scene->twice;
    const int rc = role_try(look_around, ctx, 2000);
    if (rc == ROLE_HUNG) {
        sweep_wedge(result, point);
        return;
    }
    if (rc != 0)
        blame("the next one has failed");
    else if (!same(&scene->now, &scene->after) &&
             (was_done || !same(&scene->now, &scene->before)))
        blame("neither before nor after");
    if (scene->problem[0] == '\0')
        return;
    if (result->torn + result->leftovers < 3)
        printf("%s\n", scene->problem);
    if (strstr(scene->problem, "of nobody") != NULL)
        sweep_leftover(result, point);
    else
        sweep_torn(result, point);
}

/* ---- scenes ---- */

static struct contents contents_of(const ipc_arena *arena)
{
    return (struct contents){digest_of(arena), arena->used};
}

static void keep_image(void)
{
    image_bytes = scene->arena->heap_present;
    free(image);
    image = malloc(image_bytes);
    assert_non_null(image);
    memcpy(image, scene->arena, image_bytes);
}

/* The state is as setup leaves it.  setup may be NULL. */
static void make_scene(void (*setup)(ipc_arena *arena),
                       void (*op)(ipc_arena *arena))
{
    scene = test_shared(sizeof *scene);
    scene->arena = arena_with_chain(8 * MIB);
    scene->op = op;
    if (setup != NULL)
        setup(scene->arena);
    (void)expect_whole(scene->arena);
    keep_image();
    scene->before = contents_of(scene->arena);
    assert_int_equal(role_try(do_op, NULL, LIMIT_MS), 0);
    (void)expect_whole(scene->arena);
    scene->after = contents_of(scene->arena);
}

static void end_scene(void)
{
    reset(NULL);
    just_look(NULL);
    expect_rc(ipc_arena_free(scene->arena), 0);
    free(image);
    image = NULL;
}

/* ---- operations ---- */

#define OP(call)                                                               \
    do {                                                                       \
        if ((call) != 0)                                                       \
            _exit(1);                                                          \
    } while (0)

static inline void several_links(ipc_arena *arena)
{
    for (uint64_t i = 0; i < 12; i++)
        OP(add_one(arena, 0, 100 + 40 * i, i + 1));
}

/* A change of everything there is, in several visits. */
static inline void transaction(ipc_arena *arena)
{
    struct ipc__visit v;
    OP(ipc_atomic_begin(arena));
    OP(add_one(arena, 2, 60, 100));
    OP(remove_one(arena, 4));
    OP(ipc__arena_enter(&v, arena));
    chain_rewrite(&v, 200);
    OP(ipc__arena_leave(&v));
    OP(remove_one(arena, 1));
    OP(add_one(arena, 0, 700, 300));
    OP(ipc_atomic_commit(arena));
}

#endif
