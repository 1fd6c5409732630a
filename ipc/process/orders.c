/* Writing down what a child without a copy of this memory needs. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "core/error.h"
#include "core/region.h"
#include "process/fresh.h"

int ipc__fresh_is_possible(void)
{
    if (getauxval(AT_SECURE) != 0)
        return ipc__fail(-EPERM, "a set-user-ID program has no fresh images");
    if (ipc__fresh_argv() == NULL)
        return ipc__fail(-EINVAL, "main() has not called ipc_spawn_main()");
    return 0;
}

int ipc__orders_fds(struct ipc__orders *orders, const int *fds, uint32_t count)
{
    if (count > IPC_PROCESS_FDS_MAX)
        return ipc__fail(-EINVAL, "%u descriptors to pass, %d are the most",
                         count, IPC_PROCESS_FDS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const int flags = fds[i] > 2 ? fcntl(fds[i], F_GETFD) : 0;
        if (fds[i] < 0 || flags < 0)
            return ipc__fail(-EBADF, "descriptor %d to pass is not open",
                             fds[i]);
        uint32_t *n = &orders->request.fd_count;
        bool known = fds[i] <= 2;
        for (uint32_t j = 0; j < *n && !known; j++)
            known = orders->fds[j].number == fds[i];
        if (!known)
            orders->fds[(*n)++] =
                (struct ipc__passed){fds[i], (flags & FD_CLOEXEC) != 0};
    }
    return 0;
}

int ipc__orders_arg(struct ipc__orders *orders, const void *arg)
{
    struct ipc__region *family = NULL;
    const int rc = arg != NULL ? ipc__family(&family) : 0;
    if (rc != 0)
        return rc;
    if (arg != NULL && ipc__region_find(arg, NULL, NULL) != family)
        return ipc__fail(-EINVAL,
                         "the argument at %p is not in family memory: give "
                         "arg_bytes",
                         arg);
    orders->request.arg = (uintptr_t)arg;
    return 0;
}

static int describe(struct ipc__orders *orders, const struct ipc__child *child)
{
    const ipc_process *process = child->process;
    const ipc_process_options *options = &process->options_;
    struct ipc__request *request = &orders->request;
    if (process->ops_ != NULL)
        return ipc__fail(-ENOTSUP, "%s has ops: they are for fork only",
                         child->name);
    int rc = ipc__entry_of((ipc__function)process->target_, &request->entry);
    if (rc == 0)
        rc = ipc__orders_fds(orders, options->fds, options->fd_count);
    if (rc == 0 && options->arg_bytes == 0)
        rc = ipc__orders_arg(orders, process->arg_);
    if (rc == 0)
        rc = ipc__family_place(&request->family);
    request->kind = IPC__REQUEST_PROCESS;
    request->has_entry = 1;
    request->arg_bytes = options->arg_bytes;
    request->nice = options->nice;
    request->daemon = options->daemon;
    request->rlimit_count = options->rlimit_count;
    request->cpu_count = options->cpu_count;
    return rc;
}

int ipc__orders_write(struct ipc__orders *orders,
                      const struct ipc__child *child)
{
    const ipc_process *process = child->process;
    struct ipc__request *request = &orders->request;
    struct ipc__request_tables tables = {.fds = orders->fds};
    if (process != NULL) {
        const int rc = describe(orders, child);
        if (rc != 0)
            return rc;
        tables.rlimits = process->options_.rlimits;
        tables.cpus = process->options_.cpus;
        tables.arg = process->arg_;
    }
    request->start = (uintptr_t)child->start;
    request->method = ipc__start_method(IPC_START_DEFAULT);
    request->owner = child->starter;
    memcpy(request->name, child->name, sizeof request->name);
    memcpy(request->parent_name, ipc_current_process()->name_,
           sizeof request->parent_name);
    orders->fd = ipc__request_write(request, &tables);
    return orders->fd >= 0 ? 0 : orders->fd;
}
