/* What a new process does first and last, whatever way it was started. */
#ifndef IPC_PROCESS_CHILD_H
#define IPC_PROCESS_CHILD_H

#include "process/internal.h"

/* What a process is to be given before its target runs. */
struct ipc__setup {
    const int *cpus;
    const ipc_process_rlimit *rlimits;
    uint32_t cpu_count;
    uint32_t rlimit_count;
    int32_t nice;
    bool daemon;
    int parent_pid; /* whom a daemon watches */
    int parent_fd;  /* its pidfd, if it is not the kernel's parent, or -1 */
};

/* Returns 0 or a negative errno. */
int ipc__child_set_up(const struct ipc__setup *setup);

/* Tell the starter. */
void ipc__child_report(struct ipc__start *start, enum ipc__start_state state);
void ipc__child_report_failed(struct ipc__start *start,
                              enum ipc__start_step step, int error);

/* Run the target and end. */
_Noreturn void ipc__child_run(ipc_process *self, struct ipc__start *start);

#endif
