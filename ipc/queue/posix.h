/* Queues that are POSIX message queues, of mq_overview(7).
 *
 * Such a queue lives in the kernel.  An ipc_queue of this kind is a handle: it
 * belongs to the process, and children inherit it by fork as they do its
 * descriptor.  It begins as all queues do, so that what never changes is read
 * in the same way.
 *
 * Its kind is no proof: anybody may write that into shared memory.  So handles
 * are believed only when they are known to the process. */
#ifndef IPC_QUEUE_POSIX_H
#define IPC_QUEUE_POSIX_H

#include <mqueue.h>
#include <stdbool.h>
#include <stddef.h>

#include "queue/ops.h"

struct ipc__posix {
    struct ipc_queue queue; /* kind, flags, capacity, bytes and label */
    size_t message_max;     /* bytes; what the kernel wants as room */
    int fd;                 /* nonblocking, closed on exec */
    bool puts;              /* what this user may do */
    bool gets;
};

extern const struct ipc__queue_ops ipc__posix_ops;

/* ---- handles: posix_handles.c ---- */

bool ipc__posix_is_handle(const ipc_queue *queue);

/* -ENOMEM: there is no place to remember it. */
int ipc__posix_remember(const struct ipc__posix *handle);
void ipc__posix_forget(const struct ipc__posix *handle);

/* ---- names: posix_open.c ---- */

/* Does this name, or do these options, mean a POSIX message queue?  Both may
 * be NULL. */
bool ipc__posix_is_meant(const char *name, const ipc_queue_options *options);

/* how: 0, O_CREAT, or O_CREAT | O_EXCL. */
int ipc__posix_open(const char *name, const ipc_queue_options *options, int how,
                    ipc_queue **out);
int ipc__posix_detach(ipc_queue *queue);
int ipc__posix_unlink(const char *name);

/* ---- limits of the system: posix_limits.c ---- */

/* The bounds of a new queue: as asked for, or as is usual here. */
int ipc__posix_plan(const ipc_queue_options *asked, struct mq_attr *out);

/* mq_open() has failed with this errno for a queue of these bounds (NULL: for
 * one that exists).  Returns the error, and tells in the detail which limit it
 * was. */
int ipc__posix_explain(int error, const char *name,
                       const struct mq_attr *asked);

#endif
