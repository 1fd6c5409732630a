/* Task: what a function asks, and says, that a pool runs. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <ipc/pool.h>

#include "base/atomic.h"
#include "core/error.h"
#include "pool/future.h"
#include "pool/part.h"
#include "pool/worker.h"

size_t ipc_task_arg_bytes(const ipc_task *task)
{
    return task->is_item ? ipc__job_arg_bytes(task) : task->future->arg_bytes;
}

size_t ipc_task_result_bytes(const ipc_task *task)
{
    return task->is_item ? ipc__job_result_bytes(task)
                         : task->future->result_bytes;
}

int ipc_task_reserve(ipc_task *task, size_t bytes, void **out)
{
    if ((task->future->shape & IPC__JOB) != 0)
        return ipc__job_reserve(task, bytes, out);
    const int rc = ipc__future_make_room(task->future, bytes);
    *out = rc == 0 ? ipc__future_data(task->future) : NULL;
    return rc;
}

int ipc_task_return(ipc_task *task, const void *data, size_t bytes)
{
    void *room;
    if (bytes != 0 && data == NULL)
        return ipc__fail(-EINVAL, "a result of %zu bytes at NULL", bytes);
    const int rc = ipc_task_reserve(task, bytes, &room);
    if (rc == 0 && bytes != 0)
        memcpy(room, data, bytes);
    return rc;
}

int ipc_task_fail(ipc_task *task, int status, const char *format, ...)
{
    char text[sizeof((ipc_exception *)0)->message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (status >= 0)
        status = -EINVAL;
    if ((task->future->shape & IPC__JOB) == 0)
        ipc__future_blame(task->future, IPC_EXCEPTION_FAILED, status, text);
    else
        ipc__job_say(task, text);
    task->has_message = true;
    return status;
}

bool ipc_task_is_cancelled(const ipc_task *task)
{
    return ipc__future_is_unwanted(task->future);
}

uint32_t ipc_task_attempt(const ipc_task *task)
{
    return task->is_item ? ipc__job_attempt(task)
                         : (uint32_t)task->future->attempts + 1;
}

size_t ipc_task_index(const ipc_task *task)
{
    return task->index;
}

ipc_pool *ipc_task_pool(const ipc_task *task)
{
    return task->pool;
}

uint32_t ipc_task_worker(const ipc_task *task)
{
    return task->worker;
}
