/* Queues: their messages, for kind_queue.c (operations), queue_messages.c (who
 * is where) and queue_rows.c (what is durable of them). */
#ifndef IPC_MANAGER_QUEUE_H
#define IPC_MANAGER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/any.h>
#include <ipc/time.h>

#include "list.h"
#include "map.h"
#include "server/server.h"

enum queue_order {
    QUEUE_FIFO,
    QUEUE_LIFO,
    QUEUE_PRIORITY
};

enum queue_closed {
    QUEUE_OPEN,
    QUEUE_CLOSED,     /* no more puts */
    QUEUE_CLOSED_NOW, /* and nothing comes out any more */
};

enum message_state {
    MESSAGE_READY,
    MESSAGE_LEASED,
    MESSAGE_DEAD
};

struct message {
    struct ipcm__hold hold; /* LEASED */
    struct list of_dead;
    enum message_state state;
    uint32_t deliveries;
    uint64_t number; /* grows with every put */
    uint64_t token;  /* LEASED */
    int64_t priority;
    ipc_deadline lease; /* LEASED */
    size_t place;       /* in the heap of its state, from 0 */
    ipc_any value;
};

/* The first of them is at [0]. */
struct message_heap {
    struct message **at;
    size_t count;
    size_t room;
    bool (*before)(const struct message *a, const struct message *b);
};

/* Who waits, by what for. */
enum queue_line {
    LINE_PUT,
    LINE_GET,
    LINE_JOIN,
    LINES
};

struct queue {
    struct ipcm__object *object;
    enum queue_order order;
    enum queue_closed closed;
    uint32_t max_deliveries;
    uint64_t capacity;
    int64_t lease_ns;
    uint64_t token;  /* of the last take */
    uint64_t number; /* of the last put */
    uint64_t unfinished;
    uint64_t finishes; /* how often that came to 0 */
    size_t dead_count;
    struct message_heap ready;  /* in the order of getting */
    struct message_heap leased; /* in that of their ends */
    struct list dead;
    struct ipcm__map tokens;  /* of those that are leased */
    struct ipcm__map numbers; /* of all, of a durable queue */
    size_t waiting[LINES];
};

/* ---- queue_messages.c ---- */

void ipcm__queue_begin(struct queue *queue);
void ipcm__queue_end(struct queue *queue);

/* All that there are, wherever. */
size_t ipcm__queue_count(const struct queue *queue);

/* A copy of it, ready.  number 0: the next one.  -ENOSPC, -ENOMEM. */
int ipcm__queue_add(struct queue *queue, const ipc_any *value, int64_t priority,
                    uint64_t number, struct message **out);

/* It is no more: wherever it was. */
void ipcm__queue_remove(struct queue *queue, struct message *message);

/* Lease it: reserve says whether that will be possible, and is undone by
 * nothing. */
int ipcm__queue_reserve_lease(struct queue *queue);
void ipcm__queue_lease(struct queue *queue, struct message *message,
                       struct ipcm__session *session);
void ipcm__queue_set_lease(struct queue *queue, struct message *message,
                           ipc_deadline until);

/* The lease is over: ready again, or dead, or dropped. */
void ipcm__queue_give_back(struct queue *queue, struct message *message);

/* So many deliveries, of one that is not leased. */
void ipcm__queue_deliveries(struct queue *queue, struct message *message,
                            uint32_t deliveries);

/* Leases that have run out. */
void ipcm__queue_expire(struct queue *queue, ipc_deadline now);

/* One is done.  Unfinished is not 0. */
void ipcm__queue_finish(struct queue *queue);

/* Close it, and drop what is not on a lease. */
void ipcm__queue_close(struct queue *queue, bool immediate);

/* ---- kind_queue.c ---- */

/* The next one that this call may have; NULL: *rc says why not. */
struct message *ipcm__queue_find_next(const struct ipcm__call *call, int *rc);

/* ---- queue_leases.c: operations ---- */

int ipcm__queue_take(struct ipcm__object *object, struct ipcm__call *call);
int ipcm__queue_take_dead(struct ipcm__object *object, struct ipcm__call *call);
int ipcm__queue_ack(struct ipcm__object *object, const struct ipcm__call *call);
int ipcm__queue_nack(struct ipcm__object *object,
                     const struct ipcm__call *call);
int ipcm__queue_extend(struct ipcm__object *object,
                       const struct ipcm__call *call);

/* ---- queue_rows.c ----
 *
 *     PUT        value, priority, number, deliveries; and so on
 *     GET        number
 *     TAKE       number: one delivery more
 *     ACK        number
 *     TASK_DONE
 *     CLOSE      immediate
 *     INFO       closed, the last number, unfinished: ends a snapshot */
int ipcm__queue_save(struct ipcm__object *object, uint64_t *at, size_t most,
                     uint32_t *op, ipc_anys *args);
int ipcm__queue_replay(struct ipcm__object *object, uint32_t op,
                       const ipc_any *args, size_t count);

int ipcm__queue_keep_put(const struct queue *queue,
                         const struct message *message);

/* A row with a number only. */
int ipcm__queue_keep(const struct queue *queue, uint32_t op, uint64_t number);

#endif
