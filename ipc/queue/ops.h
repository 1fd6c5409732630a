/* What a kind of queue can do. */
#ifndef IPC_QUEUE_OPS_H
#define IPC_QUEUE_OPS_H

#include <stdbool.h>
#include <stddef.h>

#include "queue/layout.h"

struct ipc__look;

enum ipc__lease_end {
    IPC__LEASE_ACK,
    IPC__LEASE_NACK,
    IPC__LEASE_EXTEND
};

/* As the public functions.  A deadline of IPC_TIME_NOW makes the _nowait form;
 * release with keep leaves the message in the queue. */
struct ipc__queue_ops {
    int (*put)(ipc_queue *queue, const void *data, size_t bytes,
               uint32_t priority, ipc_deadline deadline);
    int (*putv)(ipc_queue *queue, const ipc_queue_item *items, size_t n,
                ipc_deadline deadline);
    int (*reserve)(ipc_queue *queue, size_t bytes, ipc_message *message,
                   ipc_deadline deadline);
    int (*commit)(ipc_queue *queue, ipc_message *message, bool abort);

    int (*get)(ipc_queue *queue, void *buffer, size_t room, size_t *bytes,
               ipc_deadline deadline);
    int (*getv)(ipc_queue *queue, ipc_queue_item *items, size_t n,
                ipc_deadline deadline);
    int (*peek)(ipc_queue *queue, ipc_message *message, ipc_deadline deadline);
    int (*release)(ipc_queue *queue, ipc_message *message, bool keep);

    /* NULL: by peek and release. */
    int (*get_alloc)(ipc_queue *queue, void **data, size_t *bytes,
                     ipc_deadline deadline);
    int (*get_exactly)(ipc_queue *queue, void *buffer, size_t bytes,
                       ipc_deadline deadline);

    int (*take)(ipc_queue *queue, ipc_message *message, ipc_deadline deadline);
    int (*settle)(ipc_queue *queue, ipc_message *message,
                  enum ipc__lease_end how, ipc_deadline lease);
    uint32_t (*dead)(ipc_queue *queue);
    int (*take_dead)(ipc_queue *queue, ipc_message *message);

    size_t (*size)(ipc_queue *queue);
    bool (*full)(ipc_queue *queue);
    int (*task_done)(ipc_queue *queue);
    int (*join)(ipc_queue *queue, ipc_deadline deadline);
    int (*close)(ipc_queue *queue, bool immediate);
    int (*fini)(ipc_queue *queue); /* nobody may be using it */

    /* For ipc_wait(): see ipc__look_at().  And its descriptor; NULL: none. */
    int (*look)(ipc_queue *queue, struct ipc__look *look);
    int (*descriptor)(const ipc_queue *queue);
};

extern const struct ipc__queue_ops ipc__ring_ops;
extern const struct ipc__queue_ops ipc__store_ops;
extern const struct ipc__queue_ops ipc__no_queue_ops; /* all -EUCLEAN */

/* ---- for several kinds ---- */

int ipc__queue_task_done(ipc_queue *queue);

/* Some messages have turned out never to have been: that may be all that those
 * who join have waited for. */
void ipc__queue_tell_joiners(ipc_queue *queue);
int ipc__queue_join(ipc_queue *queue, ipc_deadline deadline);

/* The same, with a look at whether any of those that are not done were aborted
 * or belong to the dead. */
int ipc__queue_join_looking(ipc_queue *queue, ipc_deadline deadline,
                            void (*look)(ipc_queue *queue, bool thorough));

/* -ENOTSUP: what needs another kind of queue. */
int ipc__queue_no_take(ipc_queue *queue, ipc_message *message,
                       ipc_deadline deadline);
int ipc__queue_no_settle(ipc_queue *queue, ipc_message *message,
                         enum ipc__lease_end how, ipc_deadline lease);
uint32_t ipc__queue_no_dead(ipc_queue *queue);
int ipc__queue_no_take_dead(ipc_queue *queue, ipc_message *message);

/* With the guard of those who get, and the queue empty: has it been so for as
 * long?  If so its memory is to be given back; says so once, until there has
 * been another message. */
bool ipc__queue_is_idle(struct ipc_queue *queue, int64_t ns);

/* ---- messages of errors ---- */

#define IPC__QUEUE_SPOILT "has been written over by somebody"

int ipc__queue_fail(const struct ipc_queue *queue, int error, const char *text);
int ipc__queue_fail_size(const struct ipc_queue *queue, size_t size,
                         size_t limit, const char *what);

/* error: there is no memory for a message of so many bytes. */
int ipc__queue_fail_memory(const struct ipc_queue *queue, int error,
                           size_t bytes);

#endif
