/* Part: how a map is cut, and what becomes of the pieces.
 *
 * A draft, in private memory, is filled for one part after the other and
 * submitted as the argument of a task, which copies it into family memory.
 * From then on it belongs to whoever runs it (job.c), but for `stop`, until its
 * future is final.
 *
 * Death of who submits: its pieces are futures of its own, see table.c. */
#include "pool/part.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/error.h"
#include "core/family.h"
#include "pool/future.h"

/* Parts for each worker, so that none has nothing to do while another one is
 * still busy with a large part. */
#define PARTS_EACH 8u
/* Bytes of a part's copies, where its size is for us to choose: so that it is
 * a small one for the allocator, which has to get no memory for it.  And at
 * most, with some room for what is before them. */
#define COPY_GOOD ((size_t)7680)
#define COPY_MAX  (((size_t)1 << 30) - ((size_t)1 << 20))

static int fail_memory(void)
{
    return ipc__fail(-ENOMEM, "no memory to cut a map");
}

/* ---- where arrays are ---- */

static bool is_family_memory(const void *address, size_t bytes)
{
    struct ipc__region *family;
    uintptr_t lo = 0;
    uintptr_t span = 0;
    if (ipc__family(&family) != 0 ||
        ipc__region_find(address, &lo, &span) != family)
        return false;
    const uintptr_t offset = (uintptr_t)address - lo;
    return offset < span && bytes <= span - offset;
}

/* Do the workers see it? */
static bool is_seen(const struct ipc__cut *cut, const void *address,
                    size_t item_bytes)
{
    if (cut->streams)
        return false;
    return (cut->pool->kind == IPC_POOL_THREADS &&
            cut->pool->maker_pid == getpid()) ||
           item_bytes == 0 ||
           is_family_memory(address, item_bytes * cut->count);
}

/* ---- how large ---- */

uint32_t ipc__cut_workers(const struct ipc_pool *pool)
{
    const uint32_t workers = load_relaxed(&pool->wanted);
    return workers != 0 ? workers : 1;
}

/* Bytes that an item adds to its part; more than COPY_MAX: too many. */
static size_t bytes_each(const struct ipc__cut *cut, const bool *copied)
{
    size_t bytes = copied[cut->array_count] ? cut->result_bytes : 0;
    bytes += cut->statuses ? sizeof(int32_t) : 0;
    bytes += cut->streams ? 2 * sizeof(uint32_t) : 0;
    for (uint32_t k = 0; k < cut->array_count && bytes <= COPY_MAX; k++)
        if (copied[k] && cut->arrays[k].item_bytes > COPY_MAX)
            bytes = COPY_MAX + 1;
        else if (copied[k])
            bytes += cut->arrays[k].item_bytes;
    return bytes;
}

static size_t good_chunk(const struct ipc__cut *cut, size_t each)
{
    const size_t parts = (size_t)ipc__cut_workers(cut->pool) * PARTS_EACH;
    const size_t fair = cut->count / parts + (cut->count % parts != 0);
    const size_t small = each != 0 ? COPY_GOOD / each : SIZE_MAX;
    if (cut->streams || small == 0)
        return 1;
    return fair < small ? fair : small;
}

static int choose_chunk(struct ipc__cut *cut, uint32_t asked, size_t each)
{
    if (each > COPY_MAX)
        return ipc__fail(-EMSGSIZE, "a map of items of over %zu MiB",
                         COPY_MAX >> 20);
    const size_t most = each != 0 ? COPY_MAX / each : UINT32_MAX;
    size_t chunk = asked != 0 ? asked : good_chunk(cut, each);
    if (cut->count != 0 && chunk > cut->count)
        chunk = cut->count;
    if (chunk > most)
        chunk = most;
    cut->chunk = chunk < UINT32_MAX ? (uint32_t)chunk : UINT32_MAX;
    return 0;
}

/* ---- the draft ---- */

/* So much more behind the header; returns where. */
static size_t take(struct ipc__cut *cut, size_t bytes, size_t alignment)
{
    const size_t at = round_up(cut->draft_bytes, alignment);
    cut->draft_bytes = at + bytes;
    return at;
}

static void lay_out_array(struct ipc__cut *cut, struct ipc__part_array *array,
                          size_t item_bytes, bool copied)
{
    array->item_bytes = item_bytes;
    if (copied)
        array->offset = take(cut, item_bytes * cut->chunk, 16);
}

static int make_draft(struct ipc__cut *cut, const bool *copied)
{
    const uint32_t n = cut->array_count;
    struct ipc__part *part =
        calloc(1, sizeof *part + n * sizeof part->arrays[0]);
    if (part == NULL)
        return fail_memory();
    part->flags = cut->flags;
    part->retries = cut->retries;
    part->array_count = n;
    cut->draft_bytes = sizeof *part + n * sizeof part->arrays[0];
    if ((cut->flags & IPC__PART_STAR) != 0)
        part->pointers_at = (uint32_t)take(cut, n * sizeof(void *), 8);
    if (cut->statuses)
        part->statuses_at = (uint32_t)take(cut, cut->chunk * 4ul, 4);
    if (cut->streams) {
        part->sizes_at = (uint32_t)take(cut, cut->chunk * 4ul, 4);
        part->result_sizes_at = (uint32_t)take(cut, cut->chunk * 4ul, 4);
        part->flags |= cut->chunk == 1 ? IPC__PART_ANY_SIZE : 0;
    }
    for (uint32_t k = 0; k < n; k++)
        lay_out_array(cut, &part->arrays[k], cut->arrays[k].item_bytes,
                      copied[k]);
    lay_out_array(cut, &part->results, cut->result_bytes, copied[n]);

    cut->draft = calloc(1, cut->draft_bytes);
    if (cut->draft != NULL)
        memcpy(cut->draft, part, sizeof *part + n * sizeof part->arrays[0]);
    free(part);
    return cut->draft != NULL ? 0 : fail_memory();
}

static int cut_and_draft(struct ipc__cut *cut, uint32_t chunk, bool *copied)
{
    const uint32_t n = cut->array_count;
    for (uint32_t k = 0; k < n; k++) {
        const ipc_map_array *array = &cut->arrays[k];
        copied[k] = !is_seen(cut, array->items, array->item_bytes);
        cut->in_place |= !copied[k] && array->item_bytes != 0;
    }
    copied[n] = !is_seen(cut, cut->results, cut->result_bytes);
    cut->in_place |= !copied[n] && cut->result_bytes != 0;
    const int rc = choose_chunk(cut, chunk, bytes_each(cut, copied));
    return rc == 0 ? make_draft(cut, copied) : rc;
}

int ipc__cut_begin(struct ipc__cut *cut, ipc_task_function *fn,
                   const ipc_map_options *options)
{
    if (cut->pool->magic != IPC__POOL_MAGIC)
        return ipc__fail(-EINVAL, "this is no pool");
    if (options->task_ns < -1)
        return ipc__fail(-EINVAL, "map: a negative time");
    int rc = ipc__pool_name_function(cut->pool, (ipc__any_function)fn,
                                     &cut->order.fn);
    if (rc != 0)
        return rc;
    cut->retries = options->retries;
    cut->order.shape = IPC__JOB;
    if (options->task_ns != 0) {
        cut->order.shape |= IPC__TIMED;
        cut->order.task_ns = options->task_ns;
    }
    bool *copied = calloc((size_t)cut->array_count + 1, sizeof *copied);
    if (copied == NULL)
        return fail_memory();
    rc = cut_and_draft(cut, options->chunk, copied);
    free(copied);
    cut->order.arg = cut->draft;
    cut->order.arg_bytes = cut->draft_bytes;
    return rc;
}

void ipc__cut_end(struct ipc__cut *cut)
{
    free(cut->draft);
    cut->draft = NULL;
}

static void draft_array(struct ipc__part *part, struct ipc__part_array *array,
                        const char *items)
{
    const size_t bytes = array->item_bytes;
    items += part->first * bytes;
    if (array->offset == 0)
        array->address = (uintptr_t)items;
    else
        memcpy((char *)part + array->offset, items, part->count * bytes);
}

void ipc__cut_draft(struct ipc__cut *cut, size_t first, uint32_t n)
{
    struct ipc__part *part = cut->draft;
    part->first = first;
    part->count = n;
    if (cut->streams)
        return;
    for (uint32_t k = 0; k < cut->array_count; k++)
        if (part->arrays[k].item_bytes != 0)
            draft_array(part, &part->arrays[k], cut->arrays[k].items);
    if (part->results.offset == 0)
        part->results.address =
            (uintptr_t)cut->results + first * cut->result_bytes;
}

void *ipc__cut_item(const struct ipc__cut *cut, uint32_t i)
{
    struct ipc__part *part = cut->draft;
    return (char *)part + part->arrays[0].offset +
           i * part->arrays[0].item_bytes;
}

void ipc__cut_set_size(struct ipc__cut *cut, uint32_t i, size_t bytes)
{
    char *sizes = (char *)cut->draft + cut->draft->sizes_at;
    ((uint32_t *)(void *)sizes)[i] = (uint32_t)bytes;
}

/* ---- one piece ---- */

/* What is in the caller's hands goes into the line of a closed pool, as what
 * the supervisor has of dead workers does.  Who dies before leaves it to the
 * supervisor. */
static int place(struct ipc_pool *pool, const uint64_t *hold,
                 struct ipc_future *future)
{
    const uint32_t keep = IPC__SLEEPERS | IPC__BELL;
    uint32_t word = load_relaxed(&future->state);
    while (!cas32_release(&future->state, word, (word & keep) | IPC__PENDING))
        word = load_relaxed(&future->state);
    ipc__table_put_again(pool, future);
    ipc__pool_ring(pool);
    full_barrier(); /* [request→put] */
    const int rc = ipc__hold_check(pool, hold);
    if (rc != 0 && ipc_future_cancel(future) == 0) {
        (void)ipc_future_free(future);
        return rc;
    }
    return 0;
}

/* max_pending may be exceeded by one for each map. */
static int submit_to_closed(struct ipc_pool *pool, const uint64_t *hold,
                            const struct ipc__order *order,
                            ipc_deadline deadline, struct ipc_future **out)
{
    int rc = ipc__hold_check(pool, hold);
    if (rc != 0)
        return rc;
    if (pool->max_pending != 0 && deadline == IPC_TIME_NOW &&
        ipc__table_pending(pool) >= pool->max_pending)
        return -EAGAIN;
    rc = ipc__table_submit_running(pool, order, IPC_WORKER_CALLER, out);
    return rc == 0 ? place(pool, hold, *out) : rc;
}

static int submit(const struct ipc__cut *cut, const struct ipc__order *order,
                  ipc_deadline deadline, struct ipc__piece *out)
{
    struct ipc_pool *pool = cut->pool;
    struct ipc_future *future;
    const struct ipc_task *task = ipc__task;
    const bool is_worker = task != NULL && task->pool == pool;
    if (is_worker)
        deadline = IPC_TIME_NOW;
    int rc = ipc__table_submit(pool, order, deadline, &future);
    if (unlikely(rc == -EPIPE) && cut->hold != NULL)
        rc = submit_to_closed(pool, cut->hold, order, deadline, &future);
    if (is_worker && rc == -EAGAIN) {
        rc = ipc__table_submit_running(pool, order, task->worker, &future);
        if (rc == 0)
            ipc__worker_run_one(pool, task->worker, future);
    }
    if (rc == 0)
        *out = (struct ipc__piece){future, ipc__future_arg(future)};
    return rc;
}

int ipc__piece_submit(struct ipc__piece *out, const struct ipc__cut *cut,
                      ipc_deadline deadline)
{
    return submit(cut, &cut->order, deadline, out);
}

bool ipc__piece_is_done(const struct ipc__piece *piece)
{
    return ipc__future_is_final(load_acquire(&piece->future->state));
}

int ipc__piece_resume(struct ipc__piece *piece, const struct ipc__cut *cut,
                      ipc_deadline deadline)
{
    struct ipc_future *future = piece->future;
    const struct ipc__part *part = piece->part;
    const bool ended =
        part->failure.item != 0 && (part->flags & IPC__PART_GO_ON) == 0;
    if (ipc__future_state(load_acquire(&future->state)) != IPC__DONE ||
        part->next >= part->count || part->stop != 0 || ended)
        return 0;
    const struct ipc__order order = {
        .fn = future->fn,
        .arg = part,
        .arg_bytes = future->arg_bytes,
        .task_ns = future->task_ns,
        .shape = future->shape & (IPC__JOB | IPC__TIMED),
    };
    const int rc = submit(cut, &order, deadline, piece);
    if (rc != 0)
        return rc;
    (void)ipc_future_free(future);
    return 1;
}

uint32_t ipc__piece_finished(const struct ipc__piece *piece)
{
    const uint32_t at = load_acquire(&piece->part->at);
    const uint32_t next = load_acquire(&piece->part->next);
    return at > next ? at - 1 : next;
}

void ipc__piece_stop(const struct ipc__piece *piece, bool terminate)
{
    store_relaxed(&piece->part->stop, 1);
    if (ipc_future_cancel(piece->future) == -EBUSY && terminate)
        (void)ipc_future_terminate(piece->future, 0);
}

void ipc__piece_free(struct ipc__piece *piece)
{
    (void)ipc_future_free(piece->future);
    piece->future = NULL;
}

int ipc__piece_status(const struct ipc__piece *piece, uint32_t item)
{
    const struct ipc__part *part = piece->part;
    if (item < part->next && part->statuses_at != 0) {
        const char *statuses = (const char *)part + part->statuses_at;
        return ((const int32_t *)(const void *)statuses)[item];
    }
    if (item < part->next)
        return part->failure.item == item + 1 ? part->failure.status : 0;
    const int rc = ipc_future_result_nowait(piece->future, NULL, 0, NULL);
    return rc < 0 ? rc : -ECANCELED;
}

const char *ipc__piece_result(const struct ipc__piece *piece, uint32_t item)
{
    const struct ipc__part_array *results = &piece->part->results;
    return (const char *)piece->part + results->offset +
           item * results->item_bytes;
}

int ipc__piece_borrow(const struct ipc__piece *piece, uint32_t item,
                      const void **data, size_t *bytes)
{
    const struct ipc__part *part = piece->part;
    const char *sizes = (const char *)part + part->result_sizes_at;
    const size_t n = ((const uint32_t *)(const void *)sizes)[item];
    const bool is_large = n > part->results.item_bytes;
    const void *found = is_large ? ipc__future_data(piece->future)
                        : n != 0 ? ipc__piece_result(piece, item)
                                 : NULL;
    if (is_large && (found == NULL || n != piece->future->result_bytes))
        return ipc__fail(-EUCLEAN, "item %zu has no result",
                         (size_t)part->first + item);
    *data = found;
    *bytes = n;
    return 0;
}

static void describe(char *out, size_t room,
                     const struct ipc__part_failure *failure)
{
    char how[96];
    ipc__death_describe(&failure->death, how, sizeof how);
    if (failure->message[0] != '\0')
        snprintf(out, room, " failed: %.161s", failure->message);
    else if (failure->kind == IPC_EXCEPTION_DIED)
        snprintf(out, room, ": its worker, pid %d, %s", failure->pid, how);
    else if (failure->kind == IPC_EXCEPTION_DEADLINE)
        snprintf(out, room, ": its time was up");
    else
        snprintf(out, room, " failed: %s", ipc_strerror(failure->status));
}

static const char *why_not_run(const struct ipc__piece *piece, int status)
{
    const struct ipc_pool *pool = piece->future->pool;
    const char *reason =
        status == -ENOTRECOVERABLE ? ipc__pool_reason(pool) : "";
    if (status != -ECANCELED)
        return reason[0] != '\0' ? reason : ipc_strerror(status);
    return load_relaxed(&pool->interrupts) != 0 ? "its pool was interrupted"
           : (load_relaxed(&pool->tail) & IPC__LINE_CLOSED) != 0
               ? "its pool was shut down"
               : "it was cancelled";
}

int ipc__piece_fail(const struct ipc__piece *piece, uint32_t item, size_t count)
{
    const struct ipc__part *part = piece->part;
    const int status = ipc__piece_status(piece, item);
    const size_t index = part->first + item;
    char text[256];
    if (item < part->next && part->failure.item == item + 1)
        describe(text, sizeof text, &part->failure);
    else
        snprintf(text, sizeof text, " %s: %s",
                 item < part->next ? "failed" : "was not run",
                 why_not_run(piece, status));
    if (count == 0)
        return ipc__fail(status, "item %zu%s", index, text);
    return ipc__fail(status, "item %zu of %zu%s", index, count, text);
}

/* ---- pieces ---- */

int ipc__pieces_begin(struct ipc__pieces *pieces, uint32_t max)
{
    pieces->used = 0;
    pieces->max = max;
    pieces->all = calloc(max, sizeof pieces->all[0]);
    pieces->futures = calloc(max, sizeof(ipc_future *));
    if (pieces->all != NULL && pieces->futures != NULL)
        return 0;
    ipc__pieces_end(pieces);
    return fail_memory();
}

void ipc__pieces_end(struct ipc__pieces *pieces)
{
    free(pieces->all);
    free((void *)pieces->futures);
    *pieces = (struct ipc__pieces){0};
}

void ipc__pieces_remove(struct ipc__pieces *pieces, uint32_t i)
{
    pieces->used--;
    memmove(&pieces->all[i], &pieces->all[i + 1],
            (pieces->used - i) * sizeof pieces->all[0]);
}

int ipc__pieces_wait(struct ipc__pieces *pieces, uint32_t from, uint32_t n,
                     ipc_deadline deadline)
{
    if (ipc__task != NULL)
        for (uint32_t i = 0; i < pieces->used; i++)
            if (ipc__worker_stand_in(pieces->all[i].future, deadline, true))
                return 0;
    if (n == 1)
        return ipc_future_wait_until(pieces->all[from].future, deadline);
    for (uint32_t i = 0; i < n; i++)
        pieces->futures[i] = pieces->all[from + i].future;
    const int rc =
        ipc_wait_futures(pieces->futures, n, IPC_FIRST_COMPLETED, deadline);
    return rc < 0 ? rc : 0;
}

/* ---- progress ---- */

void ipc__progress_tell(struct ipc__progress *progress, size_t done,
                        size_t total)
{
    if (progress->fn == NULL || done <= progress->told)
        return;
    if (done < total && done - progress->told < total / 100 &&
        ipc_time_left(progress->when) > 0)
        return;
    progress->told = done;
    progress->when = ipc_after_ns(IPC__PROGRESS_NS);
    progress->fn(done, total, progress->arg);
}
