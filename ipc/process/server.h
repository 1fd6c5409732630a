/* What the owner of a template and the template say to each other, a packet
 * each. */
#ifndef IPC_PROCESS_SERVER_H
#define IPC_PROCESS_SERVER_H

#include <stdint.h>
#include <sys/socket.h>

#include "process/fresh.h"

/* Start a child.  With it come the request, those of the descriptors 0, 1 and 2
 * that are in standard (bit 0, 1, 2), and those that are passed. */
struct ipc__order {
    uint64_t sequence;
    uint64_t start; /* address of the start block */
    uint32_t standard;
    uint32_t fd_count;
};

/* From the child, with a pidfd of it, when it is about to run the target; or
 * with error and step when it could not, and ends.  From the template, with
 * pid 0, when there is no child. */
struct ipc__reply {
    uint64_t sequence;
    int32_t pid;
    int32_t error;
    uint32_t step;
    uint32_t reserved;
};

#define IPC__ORDER_FDS (1 + 3 + IPC_PROCESS_FDS_MAX)

/* A packet, as sendmsg() and recvmsg() want it. */
struct ipc__mail {
    struct msghdr message;
    struct iovec data;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(IPC__ORDER_FDS * sizeof(int))];
    } control;
};

/* Send data and count descriptors.  Returns 0 or a negative errno.  Never a
 * signal, never a cancellation point; nor is the other. */
int ipc__mail_send(int fd, const void *data, size_t size, const int *fds,
                   uint32_t count);

/* Receive size bytes and up to *count descriptors, which are close-on-exec.
 * Returns 0; -EPIPE at the end; -EMSGSIZE for another size; -EMFILE when there
 * was no room for the descriptors; another negative errno. */
int ipc__mail_recv(int fd, void *data, size_t size, int *fds, uint32_t *count,
                   int flags);

#endif
