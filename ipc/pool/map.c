/* Map: runs a function for each item, and waits for all of them.
 *
 * The caller cuts the items into parts (part.h) and keeps a bounded number of
 * them submitted.  It looks at those that are done, copies their results where
 * they were not stored in place, and submits more.
 *
 * Which failure counts does not depend on who was faster: when an item has
 * failed, the parts behind it are given up, those before it are still waited
 * for, and may fail too.
 *
 * What is given up while it runs may go on for a moment.  If it works in
 * memory of the caller the caller waits for it; if not it is let go.
 *
 * It holds the pool (hold.h): one that is shut down meanwhile runs all of it,
 * and is not freed while the caller runs a part, or looks at one. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/options.h"
#include "core/error.h"
#include "pool/maker.h"
#include "pool/part.h"

/* Parts that are submitted at a time. */
#define WINDOW_EACH 16u
#define WINDOW_MIN  64u
#define WINDOW_MAX  4096u

struct map {
    struct ipc__cut cut;
    ipc_map_options options;
    ipc_deadline deadline;
    struct ipc__pieces pieces;
    struct ipc__progress progress;
    size_t begun; /* items that are submitted, or will not be */
    size_t finished;
    size_t failed_at; /* the first; count: none */
    int failed_with;
    char detail[256];
    int error; /* all is given up */
};

/* ---- giving up ---- */

/* A part that will not be looked at any more. */
static void drop(struct map *map, uint32_t i)
{
    struct ipc__piece *piece = &map->pieces.all[i];
    ipc__piece_free(piece);
    ipc__pieces_remove(&map->pieces, i);
}

/* Give up the parts that begin behind an item. */
static void give_up_behind(struct map *map, size_t item, bool terminate)
{
    for (uint32_t i = map->pieces.used; i-- > 0;) {
        struct ipc__piece *piece = &map->pieces.all[i];
        if (piece->part->first < item)
            break;
        ipc__piece_stop(piece, terminate);
        if (!map->cut.in_place)
            drop(map, i);
    }
    map->begun = map->cut.count;
}

static void give_up(struct map *map, int error)
{
    if (map->error != 0)
        return;
    map->error = error;
    if (map->failed_at == map->cut.count)
        snprintf(map->detail, sizeof map->detail, "%s", ipc_error_detail());
    give_up_behind(map, 0, error == -ETIMEDOUT);
}

static void note_failure(struct map *map, const struct ipc__piece *piece,
                         uint32_t item)
{
    const size_t index = piece->part->first + item;
    if (map->options.statuses != NULL || index >= map->failed_at)
        return;
    map->failed_at = index;
    map->failed_with = ipc__piece_fail(piece, item, map->cut.count);
    snprintf(map->detail, sizeof map->detail, "%s", ipc_error_detail());
}

/* ---- parts that are done ---- */

static void fetch(const struct map *map, const struct ipc__piece *piece)
{
    const struct ipc__part *part = piece->part;
    const size_t bytes = part->results.item_bytes;
    if (part->results.offset != 0)
        memcpy(map->cut.results + part->first * bytes,
               ipc__piece_result(piece, 0), part->next * bytes);
    if (map->options.statuses != NULL)
        memcpy(&map->options.statuses[part->first],
               (const char *)part + part->statuses_at,
               part->next * sizeof(int32_t));
}

/* Have items not been run, for no fault of another one, and although they are
 * wanted? */
static bool was_broken_off(const struct ipc__part *part)
{
    return part->next < part->count && part->stop == 0 &&
           (part->failure.item == 0 || (part->flags & IPC__PART_GO_ON) != 0);
}

/* Part i is done: true if it is not looked at any more. */
static bool take(struct map *map, uint32_t i)
{
    struct ipc__piece *piece = &map->pieces.all[i];
    const struct ipc__part *part = piece->part;
    const int rc = ipc__piece_resume(piece, &map->cut, map->deadline);
    if (rc > 0)
        return false;
    if (map->error == 0 && part->first < map->failed_at)
        fetch(map, piece);
    map->finished += part->next;
    if (part->failure.item != 0 && map->error == 0)
        note_failure(map, piece, part->failure.item - 1);
    if (rc < 0)
        give_up(map, rc);
    else if (was_broken_off(part))
        give_up(map, ipc__piece_fail(piece, part->next, map->cut.count));
    return true;
}

static void take_all(struct map *map)
{
    const size_t failed_at = map->failed_at;
    for (uint32_t i = 0; i < map->pieces.used;) {
        if (!ipc__piece_is_done(&map->pieces.all[i]) || !take(map, i))
            i++;
        else if (i < map->pieces.used)
            drop(map, i);
    }
    if (map->failed_at < failed_at)
        give_up_behind(map, map->failed_at, false);
}

static void tell(struct map *map)
{
    size_t done = map->finished;
    if (map->progress.fn == NULL)
        return;
    for (uint32_t i = 0; i < map->pieces.used; i++)
        done += ipc__piece_finished(&map->pieces.all[i]);
    ipc__progress_tell(&map->progress, done, map->cut.count);
}

/* ---- parts that are not begun ---- */

static bool is_full(const struct map *map)
{
    return map->pieces.used == map->pieces.max;
}

/* Returns 0; -EAGAIN there is no room now; or an error. */
static int submit_one(struct map *map)
{
    const size_t left = map->cut.count - map->begun;
    const uint32_t n = left < map->cut.chunk ? (uint32_t)left : map->cut.chunk;
    struct ipc__piece *piece = &map->pieces.all[map->pieces.used];
    ipc__cut_draft(&map->cut, map->begun, n);
    const int rc = ipc__piece_submit(
        piece, &map->cut, map->pieces.used != 0 ? IPC_TIME_NOW : map->deadline);
    if ((rc == -EAGAIN || rc == -ENOBUFS) && map->pieces.used != 0)
        return -EAGAIN;
    if (rc != 0)
        return rc;
    map->pieces.used++;
    map->begun += n;
    return 0;
}

static void submit_more(struct map *map)
{
    int rc = 0;
    while (rc == 0 && map->begun < map->cut.count && !is_full(map))
        rc = submit_one(map);
    if (rc != 0 && rc != -EAGAIN)
        give_up(map, rc);
}

/* ---- waiting ---- */

/* The caller has CPUs and a nice value of its own; and where there is one worker
 * one item at a time is run. */
static bool is_like_a_worker(const struct ipc_pool *pool)
{
    if (pool->kind != IPC_POOL_THREADS || pool->maker_pid != getpid() ||
        load_relaxed(&pool->wanted) == 1)
        return false;
    const ipc_pool_options *options = &pool->maker->options;
    return options->cpu_count == 0 && options->nice == 0;
}

/* Run a part that nobody has begun: the last one, as workers begin with the
 * first. */
static bool lend_a_hand(const struct map *map)
{
    if (map->error != 0 || map->deadline != IPC_TIME_FOREVER ||
        map->progress.fn != NULL || map->cut.hold == NULL ||
        !is_like_a_worker(map->cut.pool))
        return false;
    for (uint32_t i = map->pieces.used; i-- > 0;)
        if (ipc__worker_lend(map->pieces.all[i].future))
            return true;
    return false;
}

/* When there is more to submit: sleep until one of so many parts in the middle
 * of the line is done that if none of them is, all workers are at work.  At the
 * end they are waited for one by one. */
static int wait_for_some(struct map *map, ipc_deadline deadline)
{
    const uint32_t used = map->pieces.used;
    const uint32_t workers = ipc__cut_workers(map->cut.pool) + 1;
    const uint32_t from = used > 2 * workers ? used / 2 : 0;
    const uint32_t n = used - from < workers ? used - from : workers;
    const bool is_end = map->begun == map->cut.count;
    if (lend_a_hand(map))
        return 0;
    return ipc__pieces_wait(&map->pieces, is_end ? 0 : from, is_end ? 1 : n,
                            deadline);
}

static void wait_a_while(struct map *map)
{
    ipc_deadline deadline = map->error == 0 ? map->deadline : IPC_TIME_FOREVER;
    if (map->progress.fn != NULL && ipc_time_left(deadline) > IPC__PROGRESS_NS)
        deadline = ipc_after_ns(IPC__PROGRESS_NS);
    const int rc = wait_for_some(map, deadline);
    if (rc == 0 || map->error != 0)
        return;
    if (rc != -ETIMEDOUT && rc != -EAGAIN)
        give_up(map, rc);
    else if (ipc_time_left(map->deadline) <= 0)
        give_up(map, ipc__fail(-ETIMEDOUT, "%zu of %zu items were done",
                               map->finished, map->cut.count));
}

static int run(struct map *map)
{
    submit_more(map);
    while (map->pieces.used != 0) {
        wait_a_while(map);
        take_all(map);
        submit_more(map);
        tell(map);
    }
    if (map->error == 0 && map->failed_at == map->cut.count)
        return 0;
    return ipc__fail(map->failed_at < map->cut.count ? map->failed_with
                                                     : map->error,
                     "%s", map->detail);
}

/* ---- beginning and end ---- */

static uint32_t choose_window(const struct map *map)
{
    const size_t parts = (map->cut.count - 1) / map->cut.chunk + 1;
    uint32_t window = ipc__cut_workers(map->cut.pool) * WINDOW_EACH;
    window = window < WINDOW_MIN ? WINDOW_MIN : window;
    window = window > WINDOW_MAX ? WINDOW_MAX : window;
    return parts < window ? (uint32_t)parts : window;
}

static int check_array(const void *items, size_t item_bytes, size_t count)
{
    if (items == NULL && item_bytes != 0)
        return ipc__fail(-EINVAL, "map: no array, but %zu bytes an element",
                         item_bytes);
    if (item_bytes != 0 && count > SIZE_MAX / 2 / item_bytes)
        return ipc__fail(-EINVAL, "map: an array of %zu times %zu bytes", count,
                         item_bytes);
    return 0;
}

static int check(const struct map *map)
{
    const struct ipc__cut *cut = &map->cut;
    int rc = check_array(cut->results, cut->result_bytes, cut->count);
    for (uint32_t k = 0; k < cut->array_count && rc == 0; k++)
        rc = check_array(cut->arrays[k].items, cut->arrays[k].item_bytes,
                         cut->count);
    return rc;
}

/* What was never run has been cancelled. */
static void prepare_statuses(const struct map *map)
{
    for (size_t i = 0; map->options.statuses != NULL && i < map->cut.count; i++)
        map->options.statuses[i] = -ECANCELED;
}

static int map_cut(struct map *map, ipc_task_function *fn)
{
    if (map->cut.count == 0)
        return 0;
    int rc = ipc__cut_begin(&map->cut, fn, &map->options);
    if (rc != 0)
        return rc;
    struct ipc_pool *pool = map->cut.pool;
    map->cut.hold = ipc__hold_begin(pool, ipc__holds_of(pool)->maps);
    rc = ipc__pieces_begin(&map->pieces, choose_window(map));
    if (rc == 0) {
        prepare_statuses(map);
        rc = run(map);
        ipc__pieces_end(&map->pieces);
    }
    ipc__cut_end(&map->cut);
    ipc__hold_end(map->cut.hold);
    return rc;
}

static int map_arrays(struct map *map, ipc_task_function *fn,
                      const ipc_map_options *options)
{
    int rc = ipc__options_read(&map->options, sizeof map->options, options);
    if (rc != 0)
        return ipc__fail(rc, "map: options of another version");
    rc = check(map);
    if (rc != 0)
        return rc;
    map->deadline =
        map->options.deadline != 0 ? map->options.deadline : IPC_TIME_FOREVER;
    map->progress.fn = map->options.progress;
    map->progress.arg = map->options.progress_arg;
    map->failed_at = map->cut.count;
    if (map->options.statuses != NULL) {
        map->cut.statuses = true;
        map->cut.flags |= IPC__PART_GO_ON;
    }
    return map_cut(map, fn);
}

/* NOLINTNEXTLINE(readability-function-size): it has so many, see pool.h */
int ipc_pool_map(ipc_pool *pool, ipc_task_function *fn, const void *items,
                 size_t item_bytes, size_t count, void *results,
                 size_t result_bytes, const ipc_map_options *options)
{
    const ipc_map_array array = {items, item_bytes};
    struct map map = {.cut = {.pool = pool,
                              .arrays = &array,
                              .array_count = 1,
                              .count = count,
                              .results = results,
                              .result_bytes = result_bytes}};
    return map_arrays(&map, fn, options);
}

/* NOLINTNEXTLINE(readability-function-size) */
int ipc_pool_starmap(ipc_pool *pool, ipc_task_function *fn,
                     const ipc_map_array *arrays, uint32_t array_count,
                     size_t count, void *results, size_t result_bytes,
                     const ipc_map_options *options)
{
    struct map map = {.cut = {.pool = pool,
                              .arrays = arrays,
                              .array_count = array_count,
                              .flags = IPC__PART_STAR,
                              .count = count,
                              .results = results,
                              .result_bytes = result_bytes}};
    if (array_count == 0 || array_count > UINT16_MAX)
        return ipc__fail(-EINVAL, "starmap of %u arrays", array_count);
    return map_arrays(&map, fn, options);
}
