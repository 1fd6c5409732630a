/* Who looks, when somebody was killed in a pool, whether all goes on, and whether
 * all of it is there. */
#ifndef CRASH_POOL_LOOK_H
#define CRASH_POOL_LOOK_H

#include "crash/pool_scene.h"

static inline int try_one(unsigned number, size_t bytes)
{
    unsigned char result[SPILLED];
    ipc_future *future;
    int rc = submit_number(number, bytes, bytes, &future);
    if (rc != 0)
        return rc;
    rc = ipc_future_result(future, result, sizeof result, NULL);
    if (rc == 0 && !are_bytes(result, bytes, number))
        note_torn();
    return rc != 0 ? rc : ipc_future_free(future);
}

static inline void look_fresh(void *ctx)
{
    (void)ctx;
    look_once();
    if (try_one(LAST, NEAR) != 0)
        role_exit(2);
    if (try_one(LAST_LONG, SPILLED) != 0)
        role_exit(3);
}

static inline bool says(const char *problem)
{
    if (scene->problem == NULL)
        scene->problem = problem;
    return false;
}

static inline bool says_of(uint32_t i, const char *problem)
{
    static char text[80];
    const struct ipc_future *record = &scene->pool->records[i];
    (void)snprintf(text, sizeof text, "record %u, 0x%x of client %u, %s", i,
                   record->state, record->client, problem);
    return says(text);
}

/* A free record may keep memory for the next task, of known size. */
static inline bool has_unknown_memory(const struct ipc_future *record)
{
    return (record->arg != 0 && record->arg_room == 0) ||
           (record->result != 0 && record->result_room == 0);
}

/* All memory that there is is kept by free records, which is counted. */
static inline bool memory_is_known(void)
{
    const ipc_pool *pool = scene->pool;
    uint64_t count = 0;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < pool->made; i++) {
        const struct ipc_future *record = &pool->records[i];
        count += cells_of(record);
        bytes += ipc__table_kept(record);
    }
    return allocations() == scene->count + count && pool->kept == bytes;
}

/* Every record is free and in the list, once. */
static inline bool list_is_whole(void)
{
    const ipc_pool *pool = scene->pool;
    bool seen[NUMBERS] = {false};
    uint32_t n = 0;
    for (uint32_t i = 0; i < pool->made; i++)
        if (pool->records[i].state != IPC__FREE)
            return says_of(i, "is not free");
        else if (has_unknown_memory(&pool->records[i]))
            return says_of(i, "has memory that is not known");
        else if (pool->records[i].pool != pool ||
                 pool->records[i].magic != IPC__FUTURE_MAGIC)
            return says_of(i, "is not made");
    for (uint32_t at = pool->free_head; at != 0; n++) {
        if (at > pool->made || seen[at - 1])
            return says("the list is torn");
        seen[at - 1] = true;
        at = pool->records[at - 1].next;
    }
    return n == pool->made || says("the list is not whole");
}

/* Nobody works, nothing is pending, nothing is kept. */
static inline bool is_whole(void)
{
    const ipc_pool *pool = scene->pool;
    if (!list_is_whole())
        return false;
    if (pool->asleep != 0 || pool->looking != 0 || pool->living != 0)
        return says("workers are counted that are gone");
    if ((pool->tail & IPC__LINE_SLEEPERS) != 0)
        return says("nobody sleeps");
    if (ipc__table_pending(pool) != 0)
        return says("the line is not empty");
    for (uint32_t i = 1; i < IPC__CLIENTS; i++)
        if (pool->clients[i].id != 0)
            return says("a dead one has records");
    return memory_is_known() || says("memory is lost");
}

/* All workers leave, also those that come for what others left: 0. */
static inline int end_crew(void)
{
    int code = 0;
    ipc__table_close(scene->pool);
    boss.request = boss.done_request = IPC__ASK_CLOSE;
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < CREW; i++) {
            int status = 0;
            if (crew[i].pid == 0)
                continue;
            if (!role_dead_within(&crew[i], scene->wedge_ms, &status)) {
                (void)role_kill(&crew[i]);
                code = code == 0 ? 10 : code;
            } else if (status != 0) {
                code = code == 0 ? 11 : code;
            }
        }
        supervise();
    }
    return code;
}

/* All go on: a fresh process, and all workers up to the end of the pool. */
static inline bool go_on(const struct sweep_point *point,
                         struct sweep_result *result)
{
    const int looked = role_try(look_fresh, NULL, scene->wedge_ms);
    const int left = end_crew();
    if (looked == 0 && left == 0)
        return true;
    if (result->printed < 10)
        printf("  who looks ended with %d, the crew with %d\n", looked, left);
    sweep_wedge(result, point);
    return false;
}

static inline void check_whole(const struct sweep_point *point,
                               struct sweep_result *result)
{
    if (scene->short_of_memory)
        for (uint32_t i = 0; i < 3; i++)
            must(ipc__table_free(&scene->pool->records[i]) == 0);
    if (is_whole())
        return;
    if (result->printed < 10)
        printf("  %s\n", scene->problem);
    sweep_leftover(result, point);
}

static inline struct sweep_result
run_sweep(const char *name, const struct scene *given, const struct sweep *how)
{
    struct sweep_result result;
    struct sweep sweep = *how;
    sweep.name = name;
    if (sweep.prepare == NULL)
        sweep.prepare = warm_up;
    no_recheck();
    make_scene(given);
    sweep_run(&sweep, &result);
    end_scene();
    sweep_report(name, &result);
    return result;
}

#endif
