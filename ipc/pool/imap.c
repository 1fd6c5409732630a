/* Imap: results one by one, while a window of items is at work.
 *
 * Items are always copied into the parts (part.h) and results out of them: a
 * part owns all that its worker touches, so that an imap may be ended at any
 * moment.
 *
 * State
 *   pieces    parts that are at work or done, in the order of their items;
 *   current   the part whose results are being fetched, from item `at` on.  The
 *             one before may be lent to the caller: so the part stays until the
 *             next call, also when all of it was fetched;
 *   drafted   items that are in the draft and could not be submitted yet;
 *   hold      of the pool (hold.h), until nothing more is to be submitted.
 *
 * When the time for all of it is up, results that are done are still given, up
 * to the first that is not: then all that is left is ended. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/options.h"
#include "core/error.h"
#include "pool/part.h"

#define WINDOW_EACH 4u
#define WINDOW_MIN  8u
#define WINDOW_MAX  (1u << 20)

struct ipc_imap {
    struct ipc__cut cut;
    ipc_map_array array; /* the cut's */
    ipc_imap_source source;
    ipc_deadline deadline;
    struct ipc__pieces pieces;
    struct ipc__progress progress;
    struct ipc__piece current;
    uint32_t at;
    uint32_t drafted;
    size_t taken; /* items out of the source */
    size_t fetched;
    size_t index;
    bool unordered;
    bool has_ended; /* the source, or there is no use in going on */
    bool is_late;   /* all that was left was ended */
    int error;      /* why, and not said yet */
    char detail[256];
};

/* ---- items ---- */

static void end_with(ipc_imap *imap, int error)
{
    imap->has_ended = true;
    imap->error = error;
    snprintf(imap->detail, sizeof imap->detail, "%s", ipc_error_detail());
}

static int next_of_array(const ipc_imap *imap, void *item)
{
    const ipc_imap_source *source = &imap->source;
    if (imap->taken == source->count)
        return 0;
    if (source->item_bytes != 0)
        memcpy(item,
               (const char *)source->items + imap->taken * source->item_bytes,
               source->item_bytes);
    return 1;
}

/* 1, 0 or a negative errno. */
static int next_item(ipc_imap *imap)
{
    const ipc_imap_source *source = &imap->source;
    void *item = ipc__cut_item(&imap->cut, imap->drafted);
    size_t bytes = source->item_bytes;
    ipc__set_detail("%s", "");
    const int rc = source->next == NULL
                       ? next_of_array(imap, item)
                       : source->next(source->arg, item, &bytes);
    if (rc <= 0)
        return rc;
    if (bytes > source->item_bytes)
        return ipc__fail(-EMSGSIZE, "item %zu has %zu bytes, %zu are the most",
                         imap->taken, bytes, source->item_bytes);
    ipc__cut_set_size(&imap->cut, imap->drafted, bytes);
    return 1;
}

static void fill_draft(ipc_imap *imap)
{
    while (!imap->has_ended && imap->drafted < imap->cut.chunk) {
        const int rc = next_item(imap);
        if (rc <= 0) {
            end_with(imap, rc);
            break;
        }
        imap->drafted++;
        imap->taken++;
    }
    ipc__cut_draft(&imap->cut, imap->taken - imap->drafted, imap->drafted);
}

/* Have the window full.  0; -EAGAIN, -ETIMEDOUT: nothing is at work, and
 * nothing can be submitted. */
static int fill_window(ipc_imap *imap, ipc_deadline deadline)
{
    struct ipc__pieces *pieces = &imap->pieces;
    while (pieces->used < pieces->max) {
        fill_draft(imap);
        if (imap->drafted == 0)
            return 0;
        const bool is_idle = pieces->used == 0 && imap->current.future == NULL;
        const int rc = ipc__piece_submit(&pieces->all[pieces->used], &imap->cut,
                                         is_idle ? deadline : IPC_TIME_NOW);
        if (rc == -EAGAIN || rc == -ETIMEDOUT || rc == -ENOBUFS)
            return is_idle ? rc : 0;
        imap->drafted = 0;
        if (rc == 0)
            pieces->used++;
        else
            end_with(imap, rc);
    }
    return 0;
}

/* Nothing more is to be submitted, also no part once more: those may be
 * interrupted that have several items with a time. */
static bool needs_hold(const ipc_imap *imap)
{
    const struct ipc__cut *cut = &imap->cut;
    const bool is_timed =
        cut->pool->task_ns != 0 || (cut->order.shape & IPC__TIMED) != 0;
    return !imap->has_ended || imap->drafted != 0 ||
           (imap->pieces.used != 0 && is_timed && cut->chunk > 1);
}

static void end_hold(ipc_imap *imap)
{
    ipc__hold_end(imap->cut.hold);
    imap->cut.hold = NULL;
}

/* ---- results ---- */

static void tell(ipc_imap *imap)
{
    const size_t total =
        imap->source.next == NULL ? imap->source.count : imap->taken;
    ipc__progress_tell(&imap->progress, imap->fetched, total);
}

/* The next result of the current part: where it lies. */
static int fetch(ipc_imap *imap, const void **data, size_t *bytes)
{
    const struct ipc__piece *piece = &imap->current;
    const uint32_t item = imap->at++;
    const int rc = ipc__piece_status(piece, item);
    imap->index = piece->part->first + item;
    imap->fetched++;
    if (rc != 0)
        return ipc__piece_fail(
            piece, item, imap->source.next == NULL ? imap->source.count : 0);
    return ipc__piece_borrow(piece, item, data, bytes);
}

/* Of the current part all is fetched, and nothing is lent any more. */
static void let_go(ipc_imap *imap)
{
    struct ipc__piece *piece = &imap->current;
    if (piece->future != NULL && imap->at == piece->part->count)
        ipc__piece_free(piece);
}

static int copy_out(const ipc_imap *imap, void *result, const void *data,
                    size_t bytes)
{
    const size_t room = imap->cut.result_bytes;
    if (bytes > room)
        return ipc__fail(-EMSGSIZE,
                         "item %zu has a result of %zu bytes, %zu "
                         "are the most: see ipc_imap_borrow()",
                         imap->index, bytes, room);
    if (room != 0) {
        if (bytes != 0)
            memcpy(result, data, bytes);
        memset((char *)result + bytes, 0, room - bytes);
    }
    return 0;
}

/* Is there one that is done?  1: it is the current one; 0; or an error. */
static int find_done(ipc_imap *imap, ipc_deadline deadline)
{
    struct ipc__pieces *pieces = &imap->pieces;
    const uint32_t n = imap->unordered ? pieces->used : 1;
    for (uint32_t i = 0; i < n; i++) {
        struct ipc__piece *piece = &pieces->all[i];
        if (!ipc__piece_is_done(piece))
            continue;
        const int rc = ipc__piece_resume(piece, &imap->cut, deadline);
        if (rc > 0)
            continue;
        if (rc == -EAGAIN || rc == -ETIMEDOUT)
            return rc;
        imap->current = *piece;
        imap->at = 0;
        ipc__pieces_remove(pieces, i);
        return 1;
    }
    return 0;
}

static int wait_for_one(ipc_imap *imap, ipc_deadline deadline)
{
    for (;;) {
        const int found = find_done(imap, deadline);
        if (found != 0)
            return found;
        const int rc =
            ipc__pieces_wait(&imap->pieces, 0,
                             imap->unordered ? imap->pieces.used : 1, deadline);
        if (rc != 0)
            return rc;
    }
}

static int end_of(ipc_imap *imap)
{
    const int error = imap->error;
    imap->error = 0;
    return error == 0 ? 0 : ipc__fail(error, "%s", imap->detail);
}

static int not_yet(const ipc_imap *imap, int rc, ipc_deadline deadline)
{
    if (rc != -ETIMEDOUT && rc != -EAGAIN && rc != -ENOBUFS)
        return rc;
    return ipc__fail(deadline == IPC_TIME_NOW ? -EAGAIN : -ETIMEDOUT,
                     "%zu results were fetched, the next is not done",
                     imap->fetched);
}

/* ---- the time for all of it ---- */

static bool is_time_up(const ipc_imap *imap)
{
    return ipc_time_left(imap->deadline) <= 0;
}

static void drop_all(ipc_imap *imap, bool terminate)
{
    for (uint32_t i = 0; i < imap->pieces.used; i++) {
        ipc__piece_stop(&imap->pieces.all[i], terminate);
        ipc__piece_free(&imap->pieces.all[i]);
    }
    imap->pieces.used = 0;
}

static int fail_late(ipc_imap *imap)
{
    imap->is_late = true;
    drop_all(imap, true);
    end_hold(imap);
    return ipc__fail(-ETIMEDOUT,
                     "%zu results were fetched before the time was up",
                     imap->fetched);
}

/* Is nothing left, at work or to be submitted? */
static bool is_over(const ipc_imap *imap)
{
    const ipc_imap_source *source = &imap->source;
    return imap->pieces.used == 0 && imap->drafted == 0 &&
           (imap->has_ended ||
            (source->next == NULL && imap->taken == source->count));
}

/* Nothing more is begun. */
static int find_late(ipc_imap *imap)
{
    if (imap->is_late)
        return fail_late(imap);
    if (imap->current.future != NULL)
        return 1;
    if (is_over(imap))
        return end_of(imap);
    const int rc = imap->pieces.used != 0 ? find_done(imap, IPC_TIME_NOW) : 0;
    return rc > 0 ? rc : fail_late(imap);
}

/* ---- fetching ---- */

static int find_in_time(ipc_imap *imap, ipc_deadline deadline)
{
    int rc = fill_window(imap, deadline);
    if (rc != 0)
        return not_yet(imap, rc, deadline);
    if (imap->current.future != NULL)
        return 1;
    if (imap->pieces.used == 0)
        return end_of(imap);
    rc = wait_for_one(imap, deadline);
    return rc < 0 ? not_yet(imap, rc, deadline) : rc;
}

/* Have a current part: 1; 0 that was all; or an error. */
static int find(ipc_imap *imap, ipc_deadline deadline)
{
    if (imap->cut.hold != NULL)
        ipc__hold_follow(imap->cut.pool, imap->cut.hold);
    if (imap->deadline < deadline)
        deadline = imap->deadline;
    let_go(imap);
    int rc = is_time_up(imap) ? find_late(imap) : find_in_time(imap, deadline);
    if ((rc == -ETIMEDOUT || rc == -EAGAIN) && is_time_up(imap) &&
        !is_over(imap))
        rc = find_late(imap); /* meanwhile */
    if (!needs_hold(imap))
        end_hold(imap);
    return rc;
}

int ipc_imap_next(ipc_imap *imap, void *result, ipc_deadline deadline)
{
    const void *data = NULL;
    size_t bytes = 0;
    int rc = find(imap, deadline);
    if (rc <= 0)
        return rc;
    rc = fetch(imap, &data, &bytes);
    if (rc == 0 && result != NULL)
        rc = copy_out(imap, result, data, bytes);
    let_go(imap);
    tell(imap);
    return rc == 0 ? 1 : rc;
}

int ipc_imap_borrow(ipc_imap *imap, const void **data, size_t *bytes,
                    ipc_deadline deadline)
{
    const void *lent = NULL;
    size_t n = 0;
    int rc = find(imap, deadline);
    if (rc <= 0)
        return rc;
    rc = fetch(imap, &lent, &n);
    if (rc == 0) {
        *data = lent;
        if (bytes != NULL)
            *bytes = n;
    }
    tell(imap);
    return rc == 0 ? 1 : rc;
}

size_t ipc_imap_index(const ipc_imap *imap)
{
    return imap->index;
}

/* ---- beginning and end ---- */

static int check(const ipc_imap_source *source, size_t result_bytes,
                 const ipc_map_options *options)
{
    if (source->next == NULL && source->items == NULL &&
        source->item_bytes != 0 && source->count != 0)
        return ipc__fail(-EINVAL, "imap: items come from nowhere");
    if (source->item_bytes > UINT32_MAX || result_bytes > UINT32_MAX)
        return ipc__fail(-EMSGSIZE, "imap: an item of over 4 GiB");
    if (options->statuses != NULL)
        return ipc__fail(-EINVAL, "imap: statuses are for map");
    return 0;
}

static uint32_t choose_window(const ipc_imap *imap, uint32_t asked)
{
    uint32_t parts = ipc__cut_workers(imap->cut.pool) * WINDOW_EACH;
    if (parts < WINDOW_MIN)
        parts = WINDOW_MIN;
    if (asked != 0)
        parts = (asked - 1) / imap->cut.chunk + 1;
    return parts < WINDOW_MAX ? parts : WINDOW_MAX;
}

static int begin(ipc_imap *imap, ipc_task_function *fn,
                 const ipc_map_options *options)
{
    int rc = ipc__cut_begin(&imap->cut, fn, options);
    if (rc != 0)
        return rc;
    struct ipc_pool *pool = imap->cut.pool;
    imap->cut.hold = ipc__hold_begin(pool, ipc__holds_of(pool)->imaps);
    rc = ipc__pieces_begin(&imap->pieces, choose_window(imap, options->window));
    if (rc != 0)
        return rc;
    /* A source of the caller's is asked by who fetches. */
    if (imap->source.next != NULL)
        return 0;
    rc = fill_window(imap, IPC_TIME_NOW);
    if (!needs_hold(imap))
        end_hold(imap);
    if (rc == -EAGAIN || rc == -ENOBUFS) /* there may be room later */
        return 0;
    return rc == 0 && imap->pieces.used == 0 ? imap->error : rc;
}

static int imap_new(const ipc_imap *given, ipc_task_function *fn,
                    const ipc_map_options *options, ipc_imap **out)
{
    ipc_map_options o;
    int rc = ipc__options_read(&o, sizeof o, options);
    if (rc != 0)
        return ipc__fail(rc, "imap: options of another version");
    rc = check(&given->source, given->cut.result_bytes, &o);
    if (rc != 0)
        return rc;
    ipc_imap *imap = malloc(sizeof *imap);
    if (imap == NULL)
        return ipc__fail(-ENOMEM, "no memory for an imap");
    *imap = *given;
    imap->array = (ipc_map_array){NULL, imap->source.item_bytes};
    imap->cut.arrays = &imap->array;
    imap->cut.array_count = 1;
    imap->cut.flags = IPC__PART_GO_ON;
    imap->cut.statuses = true;
    imap->cut.streams = true;
    imap->deadline = o.deadline != 0 ? o.deadline : IPC_TIME_FOREVER;
    imap->progress = (struct ipc__progress){o.progress, o.progress_arg, 0, 0};
    rc = begin(imap, fn, &o);
    if (rc == 0) {
        *out = imap;
        return 0;
    }
    ipc_imap_end(imap);
    return rc;
}

int ipc_pool_imap(ipc_pool *pool, ipc_task_function *fn,
                  const ipc_imap_source *source, size_t result_bytes,
                  const ipc_map_options *options, ipc_imap **out)
{
    const ipc_imap given = {
        .cut = {.pool = pool, .result_bytes = result_bytes},
        .source = *source,
    };
    return imap_new(&given, fn, options, out);
}

int ipc_pool_imap_unordered(ipc_pool *pool, ipc_task_function *fn,
                            const ipc_imap_source *source, size_t result_bytes,
                            const ipc_map_options *options, ipc_imap **out)
{
    const ipc_imap given = {
        .cut = {.pool = pool, .result_bytes = result_bytes},
        .source = *source,
        .unordered = true,
    };
    return imap_new(&given, fn, options, out);
}

void ipc_imap_end(ipc_imap *imap)
{
    if (imap == NULL)
        return;
    drop_all(imap, false);
    if (imap->current.future != NULL)
        ipc__piece_free(&imap->current);
    end_hold(imap);
    ipc__pieces_end(&imap->pieces);
    ipc__cut_end(&imap->cut);
    free(imap);
}
