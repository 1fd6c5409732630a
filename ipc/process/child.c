/* The child: set up, run, end.
 *
 * Order
 *   [child→starter]  the child stores error before state, with release; the
 *   starter loads state with acquire. */
#include "process/child.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/atomic.h"
#include "kernel/futex.h"
#include "kernel/syscall.h"
#include "process/streams.h"
#include "thread/placement.h"

static int set_rlimits(const struct ipc__setup *setup)
{
    for (uint32_t i = 0; i < setup->rlimit_count; i++) {
        const ipc_process_rlimit *limit = &setup->rlimits[i];
        const struct rlimit value = {limit->soft, limit->hard};
        if (setrlimit((__rlimit_resource_t)limit->resource, &value) != 0)
            return -errno;
    }
    return 0;
}

int ipc__child_set_up(const struct ipc__setup *setup)
{
    int rc = ipc__run_on_cpus(setup->cpus, setup->cpu_count);
    if (rc == 0)
        rc = ipc__add_nice(setup->nice);
    if (rc == 0 && setup->daemon) /* its watcher inherits what is above */
        rc = setup->parent_fd >= 0
                 ? ipc__watch_process(setup->parent_pid, setup->parent_fd)
                 : ipc__watch_parent(setup->parent_pid);
    if (rc == 0) /* last: they may leave no room for what is above */
        rc = set_rlimits(setup);
    return rc;
}

void ipc__child_report(struct ipc__start *start, enum ipc__start_state state)
{
    store_release(&start->state, state); /* [child→starter] */
    ipc__futex_wake(&start->state, INT_MAX);
}

void ipc__child_report_failed(struct ipc__start *start,
                              enum ipc__start_step step, int error)
{
    start->error = error;
    start->step = step;
    ipc__child_report(start, IPC__START_FAILED);
}

/* The end of a child: its own threads and children, its own output, and nothing
 * of what its parent has set up for its own end. */
static _Noreturn void end_child(int code, struct ipc__start *start)
{
    ipc__tree_end();
    ipc__flush_pending();
    if (start != NULL) {
        start->code = code & 0xff;
        store_release(&start->state, IPC__START_EXITING);
    }
    (void)ipc__syscall1(SYS_exit_group, code);
    __builtin_unreachable();
}

/* The child has called exit().  Registered in the child, so it runs before
 * the handlers that its parent had set, and they stay undone. */
static void on_child_exit(int code, void *start)
{
    end_child(code, start);
}

static int run(ipc_process *self)
{
    const ipc_process_ops *ops = self->ops_;
    if (ops == NULL)
        return self->target_(self->arg_);
    int code = ops->on_start != NULL ? ops->on_start(self) : 0;
    if (code == 0) {
        code = ops->run(self);
        if (ops->on_exit != NULL)
            ops->on_exit(self, code);
    }
    return code;
}

void ipc__child_run(ipc_process *self, struct ipc__start *start)
{
    if (on_exit(on_child_exit, start) != 0)
        _exit(1);
    end_child(run(self), start);
}
