/* Job: a part of a map, as its worker runs it.
 *
 * State
 *   next, at   how far it is.  The worker changes `at` before each item, and
 *              `next` when it stops; items from next to at - 1 are finished,
 *              the one behind is being run.  at <= next: none is.
 *   failure    of the first item that failed; before the item is counted.
 *   stop       by who submitted it: the item that runs is the last one.
 *   All but `stop` have one writer: who has the future RUNNING, or the
 *   supervisor, when that is dead.
 *
 * Order
 *   [complete→result]  of the future makes results, statuses and failure seen
 *   by who submitted it.  What that one looks at before, at and next, says no
 *   more than how long it may take.
 *
 * Death
 *   in an item costs this item, or one of its retries; a worker that has died
 *   before its first item has begun costs nothing, but not more often than a
 *   task may kill workers. */
#include "pool/job.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/error.h"
#include "pool/future.h"
#include "pool/part.h"

/* So many workers one item may kill, whatever its retries. */
#define DEATHS_MAX 3u

/* ---- what a part consists of ---- */

static char *behind(struct ipc__part *part, uint64_t offset)
{
    return (char *)part + offset;
}

static char *array_at(struct ipc__part *part,
                      const struct ipc__part_array *array)
{
    return array->offset == 0 ? (char *)(uintptr_t)array->address
                              : behind(part, array->offset);
}

static int32_t *statuses_of(struct ipc__part *part)
{
    return (int32_t *)(void *)behind(part, part->statuses_at);
}

static const uint32_t *sizes_of(struct ipc__part *part)
{
    return (const uint32_t *)(void *)behind(part, part->sizes_at);
}

static uint32_t *result_sizes_of(struct ipc__part *part)
{
    return (uint32_t *)(void *)behind(part, part->result_sizes_at);
}

/* Do count elements lie within the part, or none at all (offset 0)? */
static bool holds(const struct ipc_future *future, uint64_t offset,
                  uint64_t each, uint64_t count)
{
    if (offset == 0 || each == 0)
        return true;
    return offset <= future->arg_bytes &&
           count <= (future->arg_bytes - offset) / each;
}

static bool array_is_sound(const struct ipc_future *future, uint32_t count,
                           const struct ipc__part_array *array)
{
    return holds(future, array->offset, array->item_bytes, count);
}

static bool is_sound(const struct ipc_future *future,
                     const struct ipc__part *part)
{
    if (part == NULL || future->arg_bytes < sizeof *part ||
        part->next > part->count || part->array_count == 0 ||
        !holds(future, sizeof *part, sizeof part->arrays[0],
               part->array_count) ||
        !holds(future, part->statuses_at, sizeof(int32_t), part->count) ||
        !holds(future, part->sizes_at, sizeof(uint32_t), part->count) ||
        !holds(future, part->result_sizes_at, sizeof(uint32_t), part->count) ||
        !holds(future, part->pointers_at, sizeof(void *), part->array_count) ||
        !array_is_sound(future, part->count, &part->results))
        return false;
    for (uint32_t k = 0; k < part->array_count; k++)
        if (!array_is_sound(future, part->count, &part->arrays[k]))
            return false;
    return true;
}

static struct ipc__part *part_of(const struct ipc_task *task)
{
    return ipc__future_arg(task->future);
}

/* ---- an item has failed ---- */

static struct ipc__part_failure *note_failure(struct ipc__part *part,
                                              uint32_t item, int status)
{
    if (part->statuses_at != 0)
        statuses_of(part)[item] = status;
    if (part->failure.item != 0)
        return NULL;
    part->failure.item = item + 1;
    part->failure.status = status;
    return &part->failure;
}

static bool is_due(const struct ipc_task *task)
{
    const int64_t due = load_relaxed(&task->pool->workers[task->worker].due);
    return due != 0 && ipc_time_left(due) <= 0;
}

static SLOW_PATH void item_failed(struct ipc_task *task, struct ipc__part *part,
                                  uint32_t item, int status)
{
    const bool asked =
        status == -ECANCELED && ipc__future_is_unwanted(task->future);
    const bool late = asked && is_due(task);
    const int returned = status;
    if (late)
        status = -ETIME;
    else if (status > 0)
        status = -EINVAL;
    struct ipc__part_failure *failure = note_failure(part, item, status);
    if (failure == NULL)
        return;
    failure->pid = task->pool->workers[task->worker].pid;
    failure->kind = late    ? IPC_EXCEPTION_DEADLINE
                    : asked ? IPC_EXCEPTION_CANCELLED
                            : IPC_EXCEPTION_FAILED;
    if (returned > 0)
        snprintf(failure->message, sizeof failure->message,
                 "returned %d, which is no status", returned);
    else if (!task->has_message)
        failure->message[0] = '\0';
}

/* ---- running it ---- */

/* What does not change from item to item. */
struct run {
    struct ipc_task *task;
    struct ipc__part *part;
    ipc_task_function *fn;
    char *items;
    size_t item_bytes;
    char *results;
    size_t result_bytes;
    uint32_t *result_sizes; /* NULL: all have result_bytes */
    bool timed;
    uint32_t failed;
};

static const void *arg_of(const struct run *run, uint32_t item)
{
    struct ipc__part *part = run->part;
    if (likely((part->flags & IPC__PART_STAR) == 0)) {
        const bool is_empty = part->sizes_at != 0 ? sizes_of(part)[item] == 0
                                                  : run->item_bytes == 0;
        return is_empty ? NULL : run->items + item * run->item_bytes;
    }
    const void **pointers =
        (const void **)(void *)behind(part, part->pointers_at);
    for (uint32_t k = 0; k < part->array_count; k++)
        pointers[k] = array_at(part, &part->arrays[k]) +
                      item * part->arrays[k].item_bytes;
    return pointers;
}

static int run_item(const struct run *run, uint32_t item)
{
    struct ipc_task *task = run->task;
    char *result = run->results + item * run->result_bytes;
    const size_t index = run->part->first + item;
    if (unlikely(run->timed))
        ipc__worker_item(task, index);
    if (unlikely(run->result_sizes != NULL))
        run->result_sizes[item] = (uint32_t)run->result_bytes;
    task->index = index;
    task->has_message = false;
    return run->fn(arg_of(run, item), run->result_bytes != 0 ? result : NULL,
                   task);
}

/* Returns the item behind the last one that was finished. */
static uint32_t run_items(struct run *run)
{
    struct ipc__part *part = run->part;
    const bool goes_on = (part->flags & IPC__PART_GO_ON) != 0;
    uint32_t item = part->next;
    if (run->result_bytes != 0 && item < part->count)
        memset(run->results + item * run->result_bytes, 0,
               (part->count - item) * run->result_bytes);
    /* The signal that ends an item whose time is up may come a little later:
     * it should find nobody in another item. */
    while (item < part->count && load_relaxed(&part->stop) == 0 &&
           !ipc__future_is_unwanted(run->task->future)) {
        store_relaxed(&part->at, item + 1);
        compiler_barrier();
        const int status = run_item(run, item);
        compiler_barrier();
        if (unlikely(status != 0)) {
            item_failed(run->task, part, item, status);
            run->failed++;
        }
        item++;
        if (unlikely(status != 0) && !goes_on)
            break;
    }
    return item;
}

static void set_up(struct run *run)
{
    struct ipc__part *part = run->part;
    run->items = array_at(part, &part->arrays[0]);
    run->item_bytes = part->arrays[0].item_bytes;
    run->results = array_at(part, &part->results);
    run->result_bytes = part->results.item_bytes;
    if (part->result_sizes_at != 0)
        run->result_sizes = result_sizes_of(part);
    run->timed = run->task->pool->task_ns != 0 ||
                 (run->task->future->shape & IPC__TIMED) != 0;
}

/* The part itself is going to be counted as one that is done. */
static void count_items(const struct ipc_task *task, uint32_t n,
                        uint32_t failed)
{
    struct ipc__worker *w = &task->pool->workers[task->worker];
    const uint64_t done = (uint64_t)n - failed - 1;
    if (task->worker == IPC_WORKER_CALLER) { /* any number of threads */
        (void)add_relaxed(&w->failed, failed);
        (void)add_relaxed(&w->done, done);
        return;
    }
    if (unlikely(failed != 0))
        store_relaxed(&w->failed, w->failed + failed);
    store_relaxed(&w->done, w->done + done);
}

int ipc__job_run(struct ipc_task *task)
{
    struct run run = {
        .task = task,
        .part = part_of(task),
        .fn = (ipc_task_function *)ipc__pool_function(task->future->fn),
    };
    if (!is_sound(task->future, run.part))
        return -EUCLEAN;
    if (run.fn == NULL) /* another image than that of who submitted it */
        return -EINVAL;
    set_up(&run);
    task->is_item = true;
    const uint32_t next = run_items(&run);
    count_items(task, next - run.part->next, run.failed);
    store_relaxed(&run.part->next, next);
    return 0;
}

/* ---- its worker is dead ---- */

static void blame_death(struct ipc__part *part, uint32_t item,
                        const struct ipc_future *future)
{
    const bool late = future->kind == IPC_EXCEPTION_DEADLINE;
    struct ipc__part_failure *failure =
        note_failure(part, item, late ? -ETIME : -EOWNERDEAD);
    if (failure == NULL)
        return;
    failure->kind = late ? IPC_EXCEPTION_DEADLINE : IPC_EXCEPTION_DIED;
    failure->pid = future->pid;
    failure->death = ipc__death_of(future);
    failure->message[0] = '\0';
}

/* Count a death at this item.  True: it may be run once more. */
static bool may_repeat(struct ipc__part *part, uint32_t item, bool was_begun,
                       const struct ipc_future *future)
{
    if (part->dead_item != item + 1)
        part->deaths = 0;
    part->dead_item = item + 1;
    part->deaths++;
    if (part->deaths >= DEATHS_MAX)
        return false;
    return !was_begun || (future->kind == IPC_EXCEPTION_DIED &&
                          part->deaths <= part->retries);
}

/* Items that its last worker has finished, and did not come to count. */
static void count_finished(struct ipc_pool *pool, struct ipc__part *part,
                           uint32_t from, uint32_t to)
{
    uint64_t failed = 0;
    for (uint32_t i = from; i < to; i++)
        failed += part->statuses_at != 0 ? statuses_of(part)[i] != 0
                                         : part->failure.item == i + 1;
    store_relaxed(&pool->tasks_before,
                  pool->tasks_before + (to - from) - failed);
    store_relaxed(&pool->failed_before, pool->failed_before + failed);
}

bool ipc__job_lost(struct ipc_future *future)
{
    struct ipc_pool *pool = future->pool;
    struct ipc__part *part = ipc__future_arg(future);
    if (!is_sound(future, part))
        return false;
    const uint32_t at = load_relaxed(&part->at);
    const bool was_begun = at > part->next && at <= part->count;
    const uint32_t item = was_begun ? at - 1 : part->next;
    count_finished(pool, part, part->next, item);
    store_release(&part->next, item);
    store_release(&part->at, 0);
    if (item == part->count)
        return false;
    const bool is_unwanted = load_relaxed(&part->stop) != 0 ||
                             future->kind == IPC_EXCEPTION_CANCELLED;
    if (!is_unwanted && may_repeat(part, item, was_begun, future)) {
        store_relaxed(&pool->retried, pool->retried + (was_begun ? 1 : 0));
        return true;
    }
    if (was_begun || !is_unwanted)
        store_relaxed(&pool->lost, pool->lost + 1);
    if (is_unwanted)
        return false;
    blame_death(part, item, future);
    store_release(&part->next, item + 1);
    return (part->flags & IPC__PART_GO_ON) != 0 && item + 1 < part->count;
}

/* ---- what an item asks ---- */

size_t ipc__job_arg_bytes(const struct ipc_task *task)
{
    struct ipc__part *part = part_of(task);
    if ((part->flags & IPC__PART_STAR) != 0)
        return part->array_count * sizeof(void *);
    return part->sizes_at != 0 ? sizes_of(part)[task->index - part->first]
                               : part->arrays[0].item_bytes;
}

size_t ipc__job_result_bytes(const struct ipc_task *task)
{
    struct ipc__part *part = part_of(task);
    return part->result_sizes_at != 0
               ? result_sizes_of(part)[task->index - part->first]
               : part->results.item_bytes;
}

static void *take_place(struct ipc__part *part, uint32_t item, size_t bytes)
{
    if (bytes == 0)
        return NULL;
    char *place = array_at(part, &part->results);
    return memset(place + item * part->results.item_bytes, 0, bytes);
}

int ipc__job_reserve(struct ipc_task *task, size_t bytes, void **out)
{
    struct ipc__part *part = part_of(task);
    const uint32_t item = (uint32_t)(task->index - part->first);
    const size_t most = part->results.item_bytes;
    *out = NULL;
    if (part->result_sizes_at == 0)
        return ipc__fail(-ENOTSUP, "the results of a map have one size");
    result_sizes_of(part)[item] = 0;
    if (bytes <= most) {
        *out = take_place(part, item, bytes);
    } else if ((part->flags & IPC__PART_ANY_SIZE) != 0) {
        const int rc = ipc__future_make_room(task->future, bytes);
        if (rc != 0)
            return rc;
        *out = ipc__future_data(task->future);
    } else {
        return ipc__fail(-EMSGSIZE,
                         "a result of %zu bytes, %zu are the most in chunks",
                         bytes, most);
    }
    result_sizes_of(part)[item] = (uint32_t)bytes;
    return 0;
}

uint32_t ipc__job_attempt(const struct ipc_task *task)
{
    const struct ipc__part *part = part_of(task);
    const uint64_t item = task->index - part->first + 1;
    return part->dead_item == item ? part->deaths + 1 : 1;
}

void ipc__job_say(struct ipc_task *task, const char *message)
{
    struct ipc__part_failure *failure = &part_of(task)->failure;
    if (failure->item == 0)
        snprintf(failure->message, sizeof failure->message, "%s", message);
}
