/* What a fresh image of the program is told by the process that wants it: a
 * sealed memfd, which nobody can change any more. */
#ifndef IPC_PROCESS_REQUEST_H
#define IPC_PROCESS_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "core/family.h"
#include "process/entry.h"
#include "process/internal.h"

enum ipc__request_kind {
    IPC__REQUEST_PROCESS = 1,
    IPC__REQUEST_TEMPLATE = 2
};

/* A descriptor that the new process is to have. */
struct ipc__passed {
    int32_t number;
    uint32_t cloexec;
};

/* The beginning of a request.  Behind it lie, each 16-aligned, the limits, the
 * descriptors, the CPUs and the argument's bytes. */
struct ipc__request {
    uint64_t magic;
    uint64_t bytes; /* of the whole */
    struct ipc__family_place family;
    uint64_t start;     /* address of the start block */
    uint64_t arg;       /* address in family memory, or 0 */
    uint64_t arg_bytes; /* not 0: the argument is in the request */
    struct ipc__entry_id entry;
    uint32_t kind;
    uint32_t method; /* what IPC_START_DEFAULT means */
    int32_t owner;   /* the pid of who wants it */
    int32_t nice;
    uint32_t has_entry;
    uint32_t daemon;
    uint32_t rlimit_count;
    uint32_t fd_count;
    uint32_t cpu_count;
    int32_t socket; /* of a template: where orders come from */
    char name[32];
    char parent_name[32];
};

/* What goes behind it. */
struct ipc__request_tables {
    const ipc_process_rlimit *rlimits;
    const struct ipc__passed *fds;
    const int *cpus;
    const void *arg;
};

/* Make it.  Returns a close-on-exec descriptor, or a negative errno.  Fills in
 * magic and bytes. */
int ipc__request_write(struct ipc__request *request,
                       const struct ipc__request_tables *tables);

/* Read the beginning, if the descriptor is such a request.  0 or -EBADF. */
int ipc__request_peek(int fd, struct ipc__request *out);

/* Read it all.  The result lives in one piece of memory, *out, that is never
 * freed; tables point into it.  0, -EBADF or -ENOMEM. */
int ipc__request_read(int fd, struct ipc__request **out,
                      struct ipc__request_tables *tables);

#endif
