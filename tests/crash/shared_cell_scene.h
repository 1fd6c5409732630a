/* The death of a member that uses a cell: what the one who cleans up after it
 * must find, and that nothing is lost when it has. */
#ifndef CRASH_SHARED_CELL_SCENE_H
#define CRASH_SHARED_CELL_SCENE_H

#include "crash/shared_scene.h"

/* In memory that all share. */
struct account {
    uint64_t count; /* without what is in the cell */
    uint64_t used;
    bool leaked; /* more than that, found by who cleans up */
};

static struct account *account;

static ipc_shared_info query(void)
{
    ipc_shared_info info = IPC_SHARED_INFO_INIT;
    if (ipc_shared_query(&info) != 0)
        blame("query: %s", ipc_error_detail());
    return info;
}

static void set_cell_scene(void *ctx)
{
    set_scene(ctx);
    const ipc_shared_info info = query();
    account->count = info.count - (scene->target != NULL);
    account->used = info.used - ipc_shared_size(scene->target);
    account->leaked = false;
}

static void make_cell_scene(void (*setup)(void))
{
    make_scene(setup);
    account = test_shared(sizeof *account);
    with_a_cell = true;
}

/* ---- who takes part ---- */

static void use_cell(void *ctx)
{
    (void)ctx;
    if (scene->target != NULL)
        (void)ipc__shared_free_in(scene->cell);
    else if (ipc__shared_alloc_in(scene->cell, scene->wanted) !=
             (scene->full ? -ENOMEM : 0))
        _exit(1);
}

static void clean_up(void *ctx)
{
    (void)ctx;
    scene->full = false;
    if (ipc__shared_free_in(scene->cell) != 0)
        blame("the cell is not freed: %s", ipc_error_detail());
}

/* ---- the next member ---- */

static void check_balance(const char *when, uint64_t count, uint64_t limit)
{
    if (count == limit)
        return;
    account->leaked = account->leaked || count > limit;
    blame("%s: %llu blocks and moving runs, not %llu", when,
          (unsigned long long)count, (unsigned long long)limit);
}

/* What is in the cell: whole, unless it is MOVING. */
static void check_content(void)
{
    const void *memory = cell_says(scene->cell);
    const size_t size =
        scene->target != NULL ? scene->target_size : scene->wanted;
    const size_t usable = ipc_shared_size(memory);
    if (usable == 0)
        return;
    if (usable < size)
        blame("only %zu bytes in the cell", usable);
    else if (scene->target != NULL && !all_are(memory, size, 0xaa))
        blame("what was not freed was written by somebody else");
    else if (scene->target == NULL && scene->finished &&
             !all_are(memory, size, 0))
        blame("%zu bytes are not zero-filled", size);
}

/* After the death, or the end. */
static void check_cell(const void *first_look)
{
    struct walk walk;
    check_walk(&walk);
    check_live();
    const void *memory = cell_says(scene->cell);
    if (first_look == NULL && memory != NULL)
        blame("the cell said nothing, and later something");
    check_balance("before", walk.count + walk.moving_runs,
                  account->count + (memory != NULL));
    check_content();
    const bool has = scene->target == NULL && !scene->full;
    if (scene->finished && !scene->lenient &&
        (has ? ipc_shared_size(memory) == 0 : memory != NULL))
        blame("the operation was not done");
}

static void next_owner(void *arg)
{
    struct walk walk;
    const void *first_look = cell_says(scene->cell);
    if (scene->forgetful)
        lock_without_repair();
    check_cell(first_look);
    clean_up(arg);
    if (cell_says(scene->cell) != NULL)
        blame("the cell still says something");
    check_walk(&walk);
    check_balance("after", walk.count + walk.moving_runs, account->count);
    if (query().used != account->used)
        blame("%llu bytes in use, not %llu", (unsigned long long)query().used,
              (unsigned long long)account->used);
    use_all_sizes();
    check_walk(&walk);
    check_balance("in the end", walk.count + walk.moving_runs, account->count);
}

static void nothing_is_lost(void *ctx, const struct sweep_point *point,
                            struct sweep_result *result)
{
    scene->finished = point->finished;
    scene->briefly = point->step % 8 != 0;
    const int rc = role_try(next_owner, ctx, LIMIT_MS);
    if (rc == ROLE_HUNG) {
        sweep_wedge(result, point);
    } else if (rc != 0 || scene->problem[0] != '\0') {
        if (result->torn + result->leftovers < 3)
            printf("%s (%d)\n", scene->problem, rc);
        if (account->leaked)
            sweep_leftover(result, point);
        else
            sweep_torn(result, point);
    }
}

#endif
