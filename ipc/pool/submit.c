/* Submitting tasks. */
#include <errno.h>

#include "base/bits.h"
#include "base/options.h"
#include "core/error.h"
#include "pool/table.h"
#include "pool/worker.h"

static SLOW_PATH int refuse(struct ipc_future **out, int rc)
{
    if (out != NULL)
        *out = NULL;
    return rc;
}

/* Its own worker must not wait for room: those who would make it may all wait
 * here. */
static int submit_inside(struct ipc_pool *pool, const struct ipc__order *order,
                         struct ipc_future **out)
{
    const uint32_t worker = ipc__task->worker;
    int rc = ipc__table_submit(pool, order, IPC_TIME_NOW, out);
    if (rc != -EAGAIN)
        return rc;
    rc = ipc__table_submit_running(pool, order, worker, out);
    if (rc == 0)
        ipc__worker_run_one(pool, worker, *out);
    return rc;
}

static int submit(struct ipc_pool *pool, const struct ipc__order *order,
                  ipc_deadline deadline, struct ipc_future **out)
{
    struct ipc_future *future = NULL;
    if (unlikely(pool->magic != IPC__POOL_MAGIC))
        return refuse(out, ipc__fail(-EINVAL, "this is no pool, or was freed"));
    if (unlikely(order->arg == NULL && order->arg_bytes != 0))
        return refuse(out, ipc__fail(-EINVAL, "%zu bytes of argument, at NULL",
                                     order->arg_bytes));
    const int rc = unlikely(ipc__task != NULL) && ipc__task->pool == pool &&
                           deadline != IPC_TIME_NOW
                       ? submit_inside(pool, order, &future)
                       : ipc__table_submit(pool, order, deadline, &future);
    if (out != NULL)
        *out = rc == 0 ? future : NULL;
    return rc;
}

/* What the deadline says of a form that may wait: IPC_TIME_NOW, which would be
 * answered with -EAGAIN, is one that has passed. */
static ipc_deadline until(ipc_deadline deadline)
{
    return deadline > 0 ? deadline : 1;
}

static ipc_deadline deadline_of(const ipc_task_options *o)
{
    if (o->nowait)
        return IPC_TIME_NOW;
    return o->deadline != 0 ? until(o->deadline) : IPC_TIME_FOREVER;
}

/* NOLINTBEGIN(readability-function-size): they have so many, see pool.h */

static int submit_plain(ipc_pool *pool, ipc_task_function *fn, const void *arg,
                        size_t arg_bytes, size_t result_bytes,
                        ipc_deadline deadline, ipc_future **out)
{
    struct ipc__order order = {.arg = arg,
                               .arg_bytes = arg_bytes,
                               .result_bytes = result_bytes,
                               .abandoned = out == NULL};
    const int rc =
        ipc__pool_name_function(pool, (ipc__any_function)fn, &order.fn);
    return likely(rc == 0) ? submit(pool, &order, deadline, out)
                           : refuse(out, rc);
}

int ipc_pool_submit_until(ipc_pool *pool, ipc_task_function *fn,
                          const void *arg, size_t arg_bytes,
                          size_t result_bytes, ipc_deadline deadline,
                          ipc_future **out)
{
    return submit_plain(pool, fn, arg, arg_bytes, result_bytes, until(deadline),
                        out);
}

int ipc_pool_submit(ipc_pool *pool, ipc_task_function *fn, const void *arg,
                    size_t arg_bytes, size_t result_bytes, ipc_future **out)
{
    return submit_plain(pool, fn, arg, arg_bytes, result_bytes,
                        IPC_TIME_FOREVER, out);
}

int ipc_pool_submit_nowait(ipc_pool *pool, ipc_task_function *fn,
                           const void *arg, size_t arg_bytes,
                           size_t result_bytes, ipc_future **out)
{
    return submit_plain(pool, fn, arg, arg_bytes, result_bytes, IPC_TIME_NOW,
                        out);
}

int ipc_pool_submit_with(ipc_pool *pool, const ipc_task_options *options,
                         ipc_task_function *fn, const void *arg,
                         size_t arg_bytes, size_t result_bytes,
                         ipc_future **out)
{
    ipc_task_options o;
    int rc = ipc__options_read(&o, sizeof o, options);
    if (rc != 0)
        return refuse(out, ipc__fail(rc, "task: options of another version"));
    if (o.task_ns < -1)
        return refuse(out, ipc__fail(-EINVAL, "task: a negative time"));
    struct ipc__order order = {.arg = arg,
                               .arg_bytes = arg_bytes,
                               .result_bytes = result_bytes,
                               .task_ns = o.task_ns,
                               .retries = o.retries,
                               .shape = IPC__TIMED,
                               .abandoned = out == NULL};
    rc = ipc__pool_name_function(pool, (ipc__any_function)fn, &order.fn);
    return rc == 0 ? submit(pool, &order, deadline_of(&o), out)
                   : refuse(out, rc);
}

/* NOLINTEND(readability-function-size) */

int ipc_pool_apply(ipc_pool *pool, ipc_task_function *fn, const void *arg,
                   size_t arg_bytes, void *result, size_t result_bytes)
{
    ipc_future *future;
    int rc = ipc_pool_submit(pool, fn, arg, arg_bytes, result_bytes, &future);
    if (rc != 0)
        return rc;
    rc = ipc_future_result(future, result, result_bytes, NULL);
    (void)ipc_future_free(future);
    return rc;
}
