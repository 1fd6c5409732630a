/* Waiting for several futures: all, the first, the first that fails, or one
 * after the other. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/bits.h"
#include "core/error.h"
#include "pool/future.h"
#include "pool/group.h"
#include "thread/context.h"

/* So many need no memory from the heap. */
#define FEW 32

static int check_all(ipc_future *const *futures, size_t n)
{
    if (n > INT_MAX || (futures == NULL && n != 0))
        return ipc__fail(-EINVAL, "%zu futures at %p", n,
                         (const void *)futures);
    for (size_t i = 0; i < n; i++)
        if (futures[i] != NULL && ipc__future_check(futures[i]) != 0)
            return ipc__fail(-EINVAL, "future %zu of %zu is none, or was freed",
                             i, n);
    return 0;
}

/* ---- wait ---- */

static bool has_failed(const ipc_future *future)
{
    return ipc__future_state(load_acquire(&future->state)) == IPC__FAILED &&
           ipc__future_kind(future) != IPC_EXCEPTION_CANCELLED;
}

struct count {
    size_t futures;
    size_t done;
    bool failed; /* one of those that are done */
};

static void count_all(ipc_future *const *futures, size_t n, struct count *out)
{
    *out = (struct count){.futures = 0};
    for (size_t i = 0; i < n; i++) {
        if (futures[i] == NULL)
            continue;
        out->futures++;
        if (ipc_future_done(futures[i])) {
            out->done++;
            out->failed = out->failed || has_failed(futures[i]);
        }
    }
}

static bool is_enough(const struct count *count, int return_when)
{
    return count->done == count->futures ||
           (return_when == IPC_FIRST_COMPLETED && count->done != 0) ||
           (return_when == IPC_FIRST_EXCEPTION && count->failed);
}

static int wait_for_all(ipc_future *const *futures, size_t n,
                        ipc_deadline deadline)
{
    for (size_t i = 0; i < n; i++) {
        const int rc =
            futures[i] != NULL ? ipc__future_await(futures[i], deadline) : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int wait_for_first(struct ipc__group *group, int return_when,
                          ipc_deadline deadline)
{
    struct ipc__pace pace = {0};
    while (group->left != 0 || group->done.first != NULL) {
        const struct ipc__awaited *awaited;
        while ((awaited = ipc__group_take(group)) != NULL)
            if (return_when == IPC_FIRST_COMPLETED ||
                has_failed(awaited->future))
                return 0;
        const int rc =
            group->left != 0 ? ipc__group_wait(group, &pace, deadline) : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int wait_for_some(ipc_future *const *futures, size_t n, int return_when,
                         ipc_deadline deadline)
{
    struct ipc__awaited few[FEW];
    struct ipc__group group = {.left = 0};
    struct ipc__awaited *all = few;
    if (n > FEW)
        all = malloc(n * sizeof *all);
    if (all == NULL)
        return ipc__fail(-ENOMEM, "no memory to wait for %zu futures", n);
    for (size_t i = 0; i < n; i++) {
        all[i].future = futures[i];
        if (futures[i] != NULL)
            ipc__group_add(&group, &all[i]);
    }
    const int rc = wait_for_first(&group, return_when, deadline);
    if (all != few)
        free(all);
    return rc;
}

int ipc_wait_futures(ipc_future *const *futures, size_t n, int return_when,
                     ipc_deadline deadline)
{
    struct count count;
    int rc = check_all(futures, n);
    if (rc != 0)
        return rc;
    if (return_when < IPC_ALL_COMPLETED || return_when > IPC_FIRST_EXCEPTION)
        return ipc__fail(-EINVAL, "wait for %d", return_when);
    count_all(futures, n, &count);
    if (is_enough(&count, return_when))
        return (int)count.done;
    rc = return_when == IPC_ALL_COMPLETED
             ? wait_for_all(futures, n, deadline)
             : wait_for_some(futures, n, return_when, deadline);
    if (rc != 0)
        return rc;
    count_all(futures, n, &count);
    return (int)count.done;
}

/* ---- one after the other ---- */

struct ipc_as_completed {
    struct ipc__group group;
    struct ipc__pace pace;
    uint64_t process; /* whose it is */
    size_t total;
    size_t done; /* and returned */
    void (*progress)(size_t done, size_t total, void *arg);
    void *progress_arg;
    struct ipc__awaited all[];
};

int ipc_as_completed_begin(ipc_future *const *futures, size_t n,
                           ipc_as_completed **out)
{
    const int rc = check_all(futures, n);
    if (rc != 0)
        return rc;
    ipc_as_completed *it = calloc(1, sizeof *it + n * sizeof it->all[0]);
    if (it == NULL)
        return ipc__fail(-ENOMEM, "no memory to go through %zu futures", n);
    it->process = ipc__process_number();
    for (size_t i = 0; i < n; i++) {
        it->all[i].future = futures[i];
        if (futures[i] == NULL)
            continue;
        ipc__group_add(&it->group, &it->all[i]);
        it->total++;
    }
    *out = it;
    return 0;
}

void ipc_as_completed_progress(ipc_as_completed *it,
                               void (*progress)(size_t done, size_t total,
                                                void *arg),
                               void *arg)
{
    it->progress = progress;
    it->progress_arg = arg;
}

int ipc_as_completed_next(ipc_as_completed *it, ipc_deadline deadline,
                          size_t *index)
{
    if (it->process != ipc__process_number())
        return ipc__fail(-ECHILD, "another process goes through these futures");
    struct ipc__awaited *awaited = ipc__group_take(&it->group);
    if (awaited == NULL) {
        if (it->group.left == 0)
            return 0;
        const int rc = ipc__group_wait(&it->group, &it->pace, deadline);
        if (rc != 0)
            return rc;
        awaited = ipc__group_take(&it->group);
    }
    *index = (size_t)(awaited - it->all);
    it->done++;
    if (it->progress != NULL)
        it->progress(it->done, it->total, it->progress_arg);
    return 1;
}

void ipc_as_completed_end(ipc_as_completed *it)
{
    free(it);
}
