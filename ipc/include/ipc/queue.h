/* Queue: messages from any number of producers to any number of consumers,
 * threads or processes; as Python's multiprocessing.Queue, queue.Queue,
 * LifoQueue, PriorityQueue and JoinableQueue.
 *
 *     ipc_queue *orders;
 *     ipc_queue_new(NULL, &orders);            // before the fork
 *
 *     rc = ipc_queue_put(orders, "tea", 4);
 *
 *     char order[64];
 *     size_t bytes;
 *     rc = ipc_queue_get(orders, order, sizeof order, &bytes);
 *
 * A message is bytes, 0 of them up to the byte bound of the queue.  The bytes
 * of a put lie in the queue when it returns: there is no thread that feeds it,
 * nothing to flush and nothing to lose at exit.  Each message goes to one
 * consumer.
 *
 * Bounds.  A queue holds at most `capacity` messages and `bytes` bytes, each
 * message rounded up to 16; put waits for room.
 *
 * Memory is taken as it is used, and given back by who finds the queue empty
 * for the second time in a row with 100 ms or more in between (in a get, a
 * peek, a take, ipc_wait(), or by ipc_queue_fd()), and by closing it.  What a
 * queue keeps then is some hundred KiB; other orders, and leases, also 80 bytes
 * for each message of the most that there have ever been at once.
 *
 * Order.  First in, first out; those of one producer are never swapped.  A
 * message takes its place when its put begins to copy (or by reserve); if a
 * producer is slow then, those behind it wait, unless IPC_QUEUE_RELAXED lets
 * them overtake.  Room comes back in order only: whoever writes, or peeks at, a
 * message for long keeps the room of those behind it, up to all of it.
 * IPC_QUEUE_LIFO and IPC_QUEUE_PRIORITY (highest number first, equal ones in
 * order) are kinds of their own, five to ten times slower, without that; there
 * too a slow producer is waited for, if its message would be the next, unless
 * it is relaxed.
 *
 * What a consumer's death does:
 *
 *     get           the message is either still there or went down with it
 *     peek/release  the next one gets it: it goes when it is released
 *     take/ack      (IPC_QUEUE_LEASES) the next one gets it, its count of
 *                   deliveries raised; also when the lease runs out
 *
 * and a producer's: a message is there whole, or not at all.
 *
 * Results: 0; -EAGAIN (_nowait) and -ETIMEDOUT (_until) no message, or no
 * room; -EPIPE the queue is closed; -EMSGSIZE the message is larger than the
 * queue's byte bound, or than the buffer; -EUCLEAN this is no queue, or
 * somebody has written over it; -EXDEV it belongs to another pid namespace;
 * -ENOMEM.
 * ipc_error_detail() says which queue and what was expected.
 *
 * Threads: any.  Processes: any that see it, of one pid namespace.
 * Fork: the child has no reservation, peek or lease of its parent's.
 * Signals: restart the wait; not for signal handlers.
 * Crash: robust.  Whoever is killed wherever: the others go on, and no message
 * whose put has returned is lost, torn, doubled (but by leases) or swapped
 * with another one of its producer.  (POSIX queues: see there.) */
#ifndef IPC_QUEUE_H
#define IPC_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/api.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

typedef struct ipc_queue ipc_queue;

#define IPC_QUEUE_RELAXED  1u  /* a slow producer does not hold up others */
#define IPC_QUEUE_LIFO     2u  /* last in, first out */
#define IPC_QUEUE_PRIORITY 4u  /* see ipc_queue_put_priority() */
#define IPC_QUEUE_LEASES   8u  /* with take, ack, nack and extend */
#define IPC_QUEUE_POSIX    16u /* a POSIX message queue: see below */

#define IPC_QUEUE_CAPACITY_MAX (1u << 24)        /* messages */
#define IPC_QUEUE_BYTES_MAX    ((size_t)1 << 30) /* 1 GiB */

typedef struct ipc_queue_options {
    uint32_t size;           /* of this structure: IPC_QUEUE_OPTIONS_INIT */
    uint32_t flags;          /* IPC_QUEUE_... */
    uint32_t capacity;       /* messages; 0: 1024 */
    uint32_t max_deliveries; /* then it is a dead letter; 0: no end */
    size_t bytes;            /* of all messages together; 0: 16 MiB */
    int64_t lease_ns;        /* a take holds so long; 0: until its taker dies */
    const char *label; /* shown in error details; up to 23 bytes are kept */
} ipc_queue_options;

#define IPC_QUEUE_OPTIONS_INIT                                                 \
    {                                                                          \
        sizeof(ipc_queue_options), 0, 0, 0, 0, 0, NULL                         \
    }

/* ---- storage: the family's, or a name's ---- */

/* In family memory: children forked later, and whoever else is of the family,
 * use it at the same address.  Owns: the family, until ipc_queue_free().
 *
 * Errors: -EINVAL unknown flags, LIFO with PRIORITY, lease_ns or max_deliveries
 * without LEASES, bounds over the ones above; with other orders or leases also
 * bounds that could take more than 32 GiB of memory, where each message longer
 * than bytes / capacity (64 to 1024 bytes) takes whole pages; -E2BIG;
 * -ENOMEM. */
IPC_API IPC_MUST_USE int ipc_queue_new(const ipc_queue_options *options,
                                       ipc_queue **out) IPC_NONNULL(2);

/* Messages in it are dropped.  Errors: -EBUSY somebody waits for it, or a
 * living thread has something of it reserved, peeked or taken. */
IPC_API int ipc_queue_free(ipc_queue *queue);

/* Under a name, for unrelated programs: see segment.h, also for errors and for
 * what becomes of the queues of those who died.  Bounds and flags are those
 * that it was created with. */
IPC_API IPC_MUST_USE int ipc_queue_create(const char *name,
                                          const ipc_queue_options *options,
                                          ipc_queue **out) IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_queue_open(const char *name, ipc_queue **out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int
ipc_queue_open_or_create(const char *name, const ipc_queue_options *options,
                         ipc_queue **out) IPC_NONNULL(1, 3);

/* Unmap it; others, who have it open, notice nothing.  (ipc_queue_close() is
 * something else: it closes the queue for all.)  NULL is fine.
 *
 * Errors: -EINVAL it was not opened by name; -EBUSY a thread of this process
 * waits for it, in ipc_wait() too, or has something of it reserved, peeked or
 * taken.  One that is in the middle of a call, not asleep, is not noticed. */
IPC_API int ipc_queue_detach(ipc_queue *queue);

/* Remove the name; those who have it open keep it. */
IPC_API int ipc_queue_unlink(const char *name) IPC_NONNULL(1);

/* ---- POSIX message queues: IPC_QUEUE_POSIX ----
 *
 * The queue that mq_open(3) knows as "/orders" is called "posix:/orders" here,
 * or "posix:orders", in create, open, open_or_create and unlink.  With
 * IPC_QUEUE_POSIX create and open_or_create also take "/orders" or "orders".
 * Other programs use it with plain mq_... calls; queues of theirs are opened by
 * name.
 *
 * It lives in the kernel, mode 0600, until unlinked; the ipc_queue is a handle
 * of this process, inherited by fork, closed on exec.  capacity is mq_maxmsg
 * and bytes / capacity mq_msgsize, the most of one message; 0: the system's
 * defaults.  open_or_create leaves the bounds of one that exists.
 *
 * The highest priority comes first, equal ones in order; get does not tell it.
 * A buffer needs room for bytes / capacity, or get is -EMSGSIZE with that
 * number in *bytes.  get_exactly: a message of another size is -EMSGSIZE and
 * lost.  Plain callers that block in mq_receive or mq_send are served first.
 *
 * -ENOTSUP: ipc_queue_new, LIFO, LEASES; reserve, peek, take, task_done, join
 * and what goes with them; close: others cannot be told.  is_closed is false,
 * dead is 0.
 *
 * Errors: -EINVAL bad name, bounds over msg_max or msgsize_max, priority over
 * 32767; -ENOSPC queues_max or RLIMIT_MSGQUEUE; -EMFILE; -EEXIST; -ENOENT;
 * -EACCES; -ENOSYS.  The detail names the limit, its value and what was asked.
 *
 * Crash: a message is in or out, never torn; a consumer killed in get takes
 * its message along. */

/* ---- put and get ---- */

/* Put a copy of bytes at data, which may be NULL if there are none. */
IPC_API IPC_MUST_USE int ipc_queue_put(ipc_queue *queue, const void *data,
                                       size_t bytes) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_queue_put_nowait(ipc_queue *queue,
                                              const void *data, size_t bytes)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_queue_put_until(ipc_queue *queue, const void *data,
                                             size_t bytes,
                                             ipc_deadline deadline)
    IPC_NONNULL(1);

/* The same with a priority; other queues ignore it. */
IPC_API IPC_MUST_USE int
ipc_queue_put_priority(ipc_queue *queue, const void *data, size_t bytes,
                       uint32_t priority, ipc_deadline deadline) IPC_NONNULL(1);

/* Get the next message into a buffer of room bytes.  *bytes (may be NULL) is
 * its size; also for -EMSGSIZE, with which it stays in the queue. */
IPC_API IPC_MUST_USE int ipc_queue_get(ipc_queue *queue, void *buffer,
                                       size_t room, size_t *bytes)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_queue_get_nowait(ipc_queue *queue, void *buffer,
                                              size_t room, size_t *bytes)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_queue_get_until(ipc_queue *queue, void *buffer,
                                             size_t room, size_t *bytes,
                                             ipc_deadline deadline)
    IPC_NONNULL(1);

/* Into memory from malloc(), one byte longer than the message and ended by 0.
 * Owns: the caller, until free(). */
IPC_API IPC_MUST_USE int ipc_queue_get_alloc(ipc_queue *queue, void **data,
                                             size_t *bytes,
                                             ipc_deadline deadline)
    IPC_NONNULL(1, 2);

/* Plain values: structs, numbers.  A message of another size is -EMSGSIZE and
 * stays.
 *
 *     struct order order = {...};
 *     rc = IPC_QUEUE_PUT(orders, order);
 *     rc = IPC_QUEUE_GET(orders, &order); */
#define IPC_QUEUE_PUT(queue, value)                                            \
    ipc_queue_put((queue), &(value), sizeof(value))
#define IPC_QUEUE_GET(queue, pointer)                                          \
    ipc_queue_get_exactly((queue), (pointer), sizeof *(pointer),               \
                          IPC_TIME_FOREVER)
IPC_API IPC_MUST_USE int ipc_queue_get_exactly(ipc_queue *queue, void *buffer,
                                               size_t bytes,
                                               ipc_deadline deadline)
    IPC_NONNULL(1, 2);

/* ---- batches ---- */

typedef struct ipc_queue_item {
    void *data;
    size_t bytes; /* of the message */
    size_t room;  /* getv: of the buffer */
} ipc_queue_item;

/* Put n messages, in this order, waiting as needed; they are not one: others
 * may come in between, and a killed caller has put the first so many.
 *
 * Returns how many were put, if any; n unless something went wrong, and then
 * the next call says what. */
IPC_API IPC_MUST_USE int ipc_queue_putv(ipc_queue *queue,
                                        const ipc_queue_item *items, size_t n,
                                        ipc_deadline deadline)
    IPC_NONNULL(1, 2);

/* Wait for one message; then get as many as there are and fit, n at most.
 * Returns how many. */
IPC_API IPC_MUST_USE int ipc_queue_getv(ipc_queue *queue, ipc_queue_item *items,
                                        size_t n, ipc_deadline deadline)
    IPC_NONNULL(1, 2);

/* ---- in place ---- */

/* A message in the memory of the queue, until it is given back. */
typedef struct ipc_message {
    void *data; /* aligned to 16 */
    size_t bytes;
    uint32_t priority;
    uint32_t deliveries; /* take: 1 for the first time */
    ipc_deadline lease;  /* take: holds until then */
    uint64_t token_[2];
} ipc_message;

/* Reserve room for a message, write it there, and commit it; or abort.  The
 * message has its place in the order from now on; it can be made shorter by
 * lowering message->bytes before the commit.  The reserving thread commits: if
 * it dies before, the message is skipped and its room comes back.
 *
 * commit and abort: -EINVAL it is not the caller's reservation. */
IPC_API IPC_MUST_USE int ipc_queue_reserve(ipc_queue *queue, size_t bytes,
                                           ipc_message *message)
    IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int
ipc_queue_reserve_nowait(ipc_queue *queue, size_t bytes, ipc_message *message)
    IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_queue_reserve_until(ipc_queue *queue, size_t bytes,
                                                 ipc_message *message,
                                                 ipc_deadline deadline)
    IPC_NONNULL(1, 3);
IPC_API int ipc_queue_commit(ipc_queue *queue, ipc_message *message)
    IPC_NONNULL(1, 2);
IPC_API int ipc_queue_abort(ipc_queue *queue, ipc_message *message)
    IPC_NONNULL(1, 2);

/* Look at the next message where it lies; nobody else gets it.  It goes when
 * the same thread releases it; if that dies before, the next one gets it.  Who
 * puts into the same queue before that may wait for his own release. */
IPC_API IPC_MUST_USE int ipc_queue_peek(ipc_queue *queue, ipc_message *message)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_queue_peek_nowait(ipc_queue *queue,
                                               ipc_message *message)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_queue_peek_until(ipc_queue *queue,
                                              ipc_message *message,
                                              ipc_deadline deadline)
    IPC_NONNULL(1, 2);
IPC_API int ipc_queue_release(ipc_queue *queue, ipc_message *message)
    IPC_NONNULL(1, 2);

/* ---- leases: IPC_QUEUE_LEASES ---- */

/* Take a message on a lease: it is the caller's until ack (it goes), nack (the
 * next one gets it, at its old place in the order), the end of the lease, or
 * the caller's death.  Any thread that has the message may ack it: the token
 * counts; but the death that counts is that of the taker.
 *
 * ack, nack, extend: -ESTALE the lease has run out: from its deadline on, even
 * if nobody else has taken the message yet.  message->data may be another one's
 * by then.
 *
 * A closed queue is -EPIPE when nothing is there and nobody else has a lease, a
 * peek or a reservation, from which something might come back. */
IPC_API IPC_MUST_USE int ipc_queue_take(ipc_queue *queue, ipc_message *message)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_queue_take_nowait(ipc_queue *queue,
                                               ipc_message *message)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_queue_take_until(ipc_queue *queue,
                                              ipc_message *message,
                                              ipc_deadline deadline)
    IPC_NONNULL(1, 2);
IPC_API int ipc_queue_ack(ipc_queue *queue, ipc_message *message)
    IPC_NONNULL(1, 2);
IPC_API int ipc_queue_nack(ipc_queue *queue, ipc_message *message)
    IPC_NONNULL(1, 2);
IPC_API int ipc_queue_extend(ipc_queue *queue, ipc_message *message,
                             ipc_deadline lease) IPC_NONNULL(1, 2);

/* Dead letters: messages that were delivered max_deliveries times and never
 * acknowledged.  take_dead takes any one of them as a lease, or fails with
 * -EAGAIN.  They take up room, and are not done, until they are acked. */
IPC_API uint32_t ipc_queue_dead(ipc_queue *queue) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_queue_take_dead(ipc_queue *queue,
                                             ipc_message *message)
    IPC_NONNULL(1, 2);

/* ---- the whole ---- */

/* Messages that wait, as of this moment; and whether there is none, or as many
 * as there may be (bytes are not looked at). */
IPC_API size_t ipc_queue_size(ipc_queue *queue) IPC_NONNULL(1);
IPC_API bool ipc_queue_empty(ipc_queue *queue) IPC_NONNULL(1);
IPC_API bool ipc_queue_full(ipc_queue *queue) IPC_NONNULL(1);
IPC_API uint32_t ipc_queue_capacity(const ipc_queue *queue) IPC_NONNULL(1);
IPC_API size_t ipc_queue_bytes(const ipc_queue *queue) IPC_NONNULL(1);

/* Say that what was got has been done (an ack says so too); wait until that is
 * true of all that was ever put.  As in Python's JoinableQueue: a consumer
 * that dies in between is never done, but with leases.
 *
 * Errors: -EINVAL said more often than there were messages. */
IPC_API int ipc_queue_task_done(ipc_queue *queue) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_queue_join(ipc_queue *queue) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_queue_join_nowait(ipc_queue *queue) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_queue_join_until(ipc_queue *queue,
                                              ipc_deadline deadline)
    IPC_NONNULL(1);

/* No more puts: they are -EPIPE now, everywhere, and so is getting once the
 * queue is empty; immediate: at once, and what is in it is dropped.  Wakes all
 * who wait.  As Queue.shutdown() of Python 3.13.  Cannot be undone. */
IPC_API int ipc_queue_close(ipc_queue *queue, bool immediate) IPC_NONNULL(1);
IPC_API bool ipc_queue_is_closed(const ipc_queue *queue) IPC_NONNULL(1);

IPC_END_DECLS

#endif
