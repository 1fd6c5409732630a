/* Managed objects: what a manager has beside lists and dicts: values, arrays,
 * queues, locks, semaphores, conditions, events and barriers, and types of the
 * program's own; as what SyncManager of Python makes.
 *
 *     ipc_managed *orders;
 *     ipc_manager_queue(manager, "orders", NULL, &orders);
 *
 *     ipc_managed_queue_put(orders, ipc_str("tea"));
 *     ...
 *     ipc_any order;
 *     rc = ipc_managed_queue_get_until(orders, &order, ipc_after_ms(500));
 *     ...
 *     ipc_any_free(&order);
 *     ipc_managed_close(orders);
 *
 * Each call is a round trip to the server, wherever the caller is; for the
 * processes of one machine the objects of lock.h, queue.h and so on are a
 * hundred times as fast.  These are for those that have nothing in common but
 * the manager, or need queues that survive the machine.
 *
 * Owners.  What is held is held by a thread of a session, that is of a process
 * (or, in other languages, of a connection: PROTOCOL.md).  When the session
 * ends, by the death of the process or by ipc_manager_close():
 *
 *     lock, rlock, condition   released; the next to acquire gets
 *                              IPC_OWNER_DIED, is the owner, and nothing more
 *                              is asked of it
 *     bounded semaphore        its permits come back
 *     semaphore                with IPC_MANAGED_TRACKED: they come back
 *     queue                    what it had taken on a lease is there again
 *     barrier                  if it was waiting, or enrolled: broken
 *     waiting                  is over, and nothing was taken
 *
 * A thread that ends alone leaves what it holds to its process.
 *
 * Waiting calls have three forms, as everywhere (time.h); a round trip is made
 * by ..._nowait too.  -EAGAIN (_nowait) and -ETIMEDOUT (_until): it was not to
 * be had.  Who waits is served in the order of coming.  If the connection is
 * lost meanwhile the call connects again and waits anew, from the end of the
 * line.  While the server is away or does not answer, calls of all forms may
 * last reconnect_ms, or reply_ms, longer.
 *
 * Seven of eight of the server's in_flight (of 256: 224) may wait at once for
 * one process and connection, of all its threads.  Beyond that queues, locks,
 * semaphores and events are asked for again every 10 ms, out of turn; conditions
 * and barriers are waited for when one of the others is answered, for which a
 * program in which so many threads wait needs a higher in_flight.
 *
 * Errors of all calls: those of manager.h; -EINVAL the object is of another
 * type.
 *
 * Threads, processes, fork, signals, crash: see manager.h. */
#ifndef IPC_MANAGED_H
#define IPC_MANAGED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/any.h>
#include <ipc/api.h>
#include <ipc/manager.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

typedef struct ipc_managed ipc_managed;

/* ---- to have one ----
 *
 * The object of that name, made if there is none: then with these arguments and
 * options, which mean nothing if it is there.  NULL: a new one without a name.
 * Returns 1 if it was made, 0 if it was there.
 *
 * Errors: -EINVAL something of another type has the name; bad name or
 * arguments; -ENOTSUP durable, and the server has no store; -EDQUOT; -ENOSPC.
 */

#define IPC_MANAGED_TRACKED  1u /* semaphore: permits of the dead come back */
#define IPC_MANAGED_LIFO     2u /* queue: last in, first out */
#define IPC_MANAGED_PRIORITY 4u /* queue: the highest number first */

typedef struct ipc_managed_options {
    uint32_t size;       /* of this structure: IPC_MANAGED_OPTIONS_INIT */
    uint32_t flags;      /* IPC_MANAGED_... */
    uint32_t durability; /* value, array, queue: enum ipc_durability */

    /* Queues only. */
    uint32_t max_deliveries; /* then it is a dead letter; 0: no end */
    uint64_t capacity;       /* messages; 0: as the server's memory allows */
    int64_t lease_ns;        /* a take holds so long; 0: while the session is */
} ipc_managed_options;

#define IPC_MANAGED_OPTIONS_INIT                                               \
    {                                                                          \
        sizeof(ipc_managed_options), 0, 0, 0, 0, 0                             \
    }

IPC_API IPC_MUST_USE int ipc_manager_value(ipc_manager *manager,
                                           const char *name, ipc_any initial,
                                           const ipc_managed_options *options,
                                           ipc_managed **out) IPC_NONNULL(1, 5);

/* count items of one type, IPC_TYPE_BOOL, _I64 or _F64, at first initial[] or,
 * if that is NULL, false or 0.  The count does not change. */
IPC_API IPC_MUST_USE int ipc_manager_array(ipc_manager *manager,
                                           const char *name, uint32_t type,
                                           size_t count, const ipc_any *initial,
                                           const ipc_managed_options *options,
                                           ipc_managed **out) IPC_NONNULL(1, 7);
IPC_API IPC_MUST_USE int ipc_manager_queue(ipc_manager *manager,
                                           const char *name,
                                           const ipc_managed_options *options,
                                           ipc_managed **out) IPC_NONNULL(1, 4);
IPC_API IPC_MUST_USE int ipc_manager_lock(ipc_manager *manager,
                                          const char *name, ipc_managed **out)
    IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_manager_rlock(ipc_manager *manager,
                                           const char *name, ipc_managed **out)
    IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int
ipc_manager_semaphore(ipc_manager *manager, const char *name, uint32_t value,
                      const ipc_managed_options *options, ipc_managed **out)
    IPC_NONNULL(1, 5);
IPC_API IPC_MUST_USE int
ipc_manager_bounded_semaphore(ipc_manager *manager, const char *name,
                              uint32_t value, ipc_managed **out)
    IPC_NONNULL(1, 4);

/* With a lock or rlock of the same manager; NULL: an rlock of its own. */
IPC_API IPC_MUST_USE int
ipc_manager_condition(ipc_manager *manager, const char *name, ipc_managed *lock,
                      ipc_managed **out) IPC_NONNULL(1, 4);
IPC_API IPC_MUST_USE int ipc_manager_event(ipc_manager *manager,
                                           const char *name, ipc_managed **out)
    IPC_NONNULL(1, 3);

/* parties: 1 to 65535. */
IPC_API IPC_MUST_USE int ipc_manager_barrier(ipc_manager *manager,
                                             const char *name, uint32_t parties,
                                             ipc_managed **out)
    IPC_NONNULL(1, 4);

/* Close the handle.  What the process holds of the object stays held; an
 * object without a name is gone with its last handle, and who waits for it
 * then gets -ESTALE.  NULL is fine. */
IPC_API int ipc_managed_close(ipc_managed *object);

/* "queue", "lock", ..., or the name that was registered.  Owns: the handle. */
IPC_API const char *ipc_managed_type(const ipc_managed *object) IPC_NONNULL(1);

/* ---- value ---- */

/* *out: ipc_any_free() in the end.  Any type but handles may be set. */
IPC_API IPC_MUST_USE int ipc_managed_value_get(ipc_managed *value, ipc_any *out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_managed_value_set(ipc_managed *value,
                                               ipc_any new_value)
    IPC_NONNULL(1);

/* Add to an integer; *out (may be NULL) is the sum.  -EOVERFLOW; -EINVAL it is
 * none. */
IPC_API IPC_MUST_USE int ipc_managed_value_incr(ipc_managed *value, int64_t by,
                                                int64_t *out) IPC_NONNULL(1);

/* Set it if it is what is expected.  1: done; 0: it is not. */
IPC_API IPC_MUST_USE int
ipc_managed_value_cas(ipc_managed *value, ipc_any expected, ipc_any new_value)
    IPC_NONNULL(1);

/* ---- array ----
 *
 * Indexes as those of lists.  -ERANGE; -EINVAL an item of another type. */
IPC_API IPC_MUST_USE int ipc_managed_array_get(ipc_managed *array,
                                               int64_t index, ipc_any *out)
    IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_managed_array_set(ipc_managed *array,
                                               int64_t index, ipc_any value)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int64_t ipc_managed_array_length(ipc_managed *array)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_managed_array_slice(ipc_managed *array,
                                                 int64_t start, int64_t stop,
                                                 ipc_anys *out)
    IPC_NONNULL(1, 4);

/* array[start:start + count] = values, in one step.  -ERANGE they do not all
 * fit. */
IPC_API IPC_MUST_USE int ipc_managed_array_put(ipc_managed *array,
                                               int64_t start,
                                               const ipc_any *values,
                                               size_t count) IPC_NONNULL(1);

/* ---- queue ----
 *
 * Messages are values of any type but handles.  -EPIPE it is closed: for put
 * at once, for get and take when it is empty and nothing is out on a lease. */
IPC_API IPC_MUST_USE int ipc_managed_queue_put(ipc_managed *queue,
                                               ipc_any message) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_managed_queue_put_nowait(ipc_managed *queue,
                                                      ipc_any message)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_managed_queue_put_until(ipc_managed *queue,
                                                     ipc_any message,
                                                     ipc_deadline deadline)
    IPC_NONNULL(1);

/* The same with a priority, which other queues ignore. */
IPC_API IPC_MUST_USE int
ipc_managed_queue_put_priority(ipc_managed *queue, ipc_any message,
                               int64_t priority, ipc_deadline deadline)
    IPC_NONNULL(1);

/* The next message; ipc_any_free() in the end. */
IPC_API IPC_MUST_USE int ipc_managed_queue_get(ipc_managed *queue, ipc_any *out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_managed_queue_get_nowait(ipc_managed *queue,
                                                      ipc_any *out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_managed_queue_get_until(ipc_managed *queue,
                                                     ipc_any *out,
                                                     ipc_deadline deadline)
    IPC_NONNULL(1, 2);

/* A message on a lease: the caller's until ack (it goes, and is done), nack (it
 * is there again, at its old place), the end of the lease, or the end of the
 * session.  Any queue has leases.
 *
 * ack, nack, extend: -ESTALE the lease has run out, or was ended. */
typedef struct ipc_managed_lease {
    ipc_any message;     /* ipc_managed_lease_free() in the end */
    int64_t priority;    /* that it was put with */
    uint64_t token;      /* grows with every take of the queue */
    uint32_t deliveries; /* 1 for the first time */
    uint32_t reserved_;
} ipc_managed_lease;

IPC_API IPC_MUST_USE int ipc_managed_queue_take(ipc_managed *queue,
                                                ipc_managed_lease *out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_managed_queue_take_nowait(ipc_managed *queue,
                                                       ipc_managed_lease *out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_managed_queue_take_until(ipc_managed *queue,
                                                      ipc_managed_lease *out,
                                                      ipc_deadline deadline)
    IPC_NONNULL(1, 2);

/* One of those that were taken max_deliveries times; -EAGAIN there is none. */
IPC_API IPC_MUST_USE int ipc_managed_queue_take_dead(ipc_managed *queue,
                                                     ipc_managed_lease *out)
    IPC_NONNULL(1, 2);
IPC_API int ipc_managed_queue_ack(ipc_managed *queue,
                                  const ipc_managed_lease *lease)
    IPC_NONNULL(1, 2);
IPC_API int ipc_managed_queue_nack(ipc_managed *queue,
                                   const ipc_managed_lease *lease)
    IPC_NONNULL(1, 2);

/* From now on for so long. */
IPC_API int ipc_managed_queue_extend(ipc_managed *queue,
                                     const ipc_managed_lease *lease, int64_t ns)
    IPC_NONNULL(1, 2);

/* Its memory here; the lease goes on.  NULL is fine. */
IPC_API void ipc_managed_lease_free(ipc_managed_lease *lease);

/* A message that was got is done (an ack says so too); wait until all that were
 * put are.  -EINVAL said more often than there were messages. */
IPC_API int ipc_managed_queue_task_done(ipc_managed *queue) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_managed_queue_join(ipc_managed *queue)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_managed_queue_join_nowait(ipc_managed *queue)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_managed_queue_join_until(ipc_managed *queue,
                                                      ipc_deadline deadline)
    IPC_NONNULL(1);

/* No more puts, as ipc_queue_close(); immediate: what is in it is dropped. */
IPC_API int ipc_managed_queue_close(ipc_managed *queue, bool immediate)
    IPC_NONNULL(1);

typedef struct ipc_managed_queue_info {
    uint32_t size; /* of this structure: IPC_MANAGED_QUEUE_INFO_INIT */
    bool closed;
    uint64_t messages;   /* that wait (Python: qsize()) */
    uint64_t capacity;   /* 0: no bound */
    uint64_t leased;     /* taken, neither acked nor nacked */
    uint64_t dead;       /* dead letters */
    uint64_t unfinished; /* put and not done */
} ipc_managed_queue_info;

#define IPC_MANAGED_QUEUE_INFO_INIT                                            \
    {                                                                          \
        sizeof(ipc_managed_queue_info), false, 0, 0, 0, 0, 0                   \
    }

IPC_API int ipc_managed_queue_query(ipc_managed *queue,
                                    ipc_managed_queue_info *info)
    IPC_NONNULL(1, 2);

/* How many wait: 0 or more, or an error. */
IPC_API IPC_MUST_USE int64_t ipc_managed_queue_size(ipc_managed *queue)
    IPC_NONNULL(1);

/* ---- lock, rlock, and the lock of a condition ----
 *
 * Held by the calling thread.  An rlock may be acquired again by it, and is
 * released as often.
 *
 * acquire returns 0, or IPC_OWNER_DIED: held too, and the session of the last
 * owner had ended while it held it.
 * Errors: -EDEADLK the thread holds it (lock); release: -EPERM it does not. */
IPC_API IPC_MUST_USE int ipc_managed_lock_acquire(ipc_managed *lock)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_managed_lock_acquire_nowait(ipc_managed *lock)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_managed_lock_acquire_until(ipc_managed *lock,
                                                        ipc_deadline deadline)
    IPC_NONNULL(1);
IPC_API int ipc_managed_lock_release(ipc_managed *lock) IPC_NONNULL(1);

/* Fencing.  Who holds a lock over a network may lose it without knowing, when
 * its session ends.  The token grows with every new owner: pass it on to what
 * the lock protects, which refuses tokens lower than one that it has seen; or
 * asks by check, which says 0, or -ESTALE it is not the owner's any more.
 * token: -EPERM the calling thread does not hold it. */
IPC_API IPC_MUST_USE int ipc_managed_lock_token(ipc_managed *lock,
                                                uint64_t *out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_managed_lock_check(ipc_managed *lock,
                                                uint64_t token) IPC_NONNULL(1);

/* 1 or 0 somebody holds it, or an error. */
IPC_API IPC_MUST_USE int ipc_managed_lock_is_held(ipc_managed *lock)
    IPC_NONNULL(1);

/* ---- semaphore, bounded semaphore ----
 *
 * Permits of a tracked or bounded one belong to sessions.  Anybody may release:
 * that takes them off the caller's, then off those that have been held
 * longest.  -EOVERFLOW there would be more than the bound, or 2^31 - 1. */
IPC_API IPC_MUST_USE int ipc_managed_semaphore_acquire(ipc_managed *semaphore)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int
ipc_managed_semaphore_acquire_nowait(ipc_managed *semaphore) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int
ipc_managed_semaphore_acquire_until(ipc_managed *semaphore,
                                    ipc_deadline deadline) IPC_NONNULL(1);
IPC_API int ipc_managed_semaphore_release(ipc_managed *semaphore)
    IPC_NONNULL(1);
IPC_API int ipc_managed_semaphore_release_many(ipc_managed *semaphore,
                                               uint32_t n) IPC_NONNULL(1);

/* Permits that are free: 0 or more, or an error. */
IPC_API IPC_MUST_USE int64_t ipc_managed_semaphore_value(ipc_managed *semaphore)
    IPC_NONNULL(1);

/* ---- condition ----
 *
 * Acquired and released by ipc_managed_lock_acquire() and its like: that is its
 * lock.  The calls here need it held, -EPERM.  wait releases it, all levels of
 * an rlock, and returns with it held again, whatever it returns;
 * IPC_OWNER_DIED: notified, and as for acquire.  -ENOTCONN and -ECONNRESET: it
 * is not held, the session was lost. */
IPC_API IPC_MUST_USE int ipc_managed_condition_wait(ipc_managed *condition)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int
ipc_managed_condition_wait_until(ipc_managed *condition, ipc_deadline deadline)
    IPC_NONNULL(1);

/* Until predicate(arg) is true, which is called with the lock held, at once
 * and after each notification. */
IPC_API IPC_MUST_USE int
ipc_managed_condition_wait_for(ipc_managed *condition,
                               bool (*predicate)(void *arg), void *arg)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int
ipc_managed_condition_wait_for_until(ipc_managed *condition,
                                     bool (*predicate)(void *arg), void *arg,
                                     ipc_deadline deadline) IPC_NONNULL(1, 2);

/* Those who have waited longest.  A notification that went to a session that
 * has ended before it held the lock goes to the next. */
IPC_API int ipc_managed_condition_notify(ipc_managed *condition, uint32_t n)
    IPC_NONNULL(1);
IPC_API int ipc_managed_condition_notify_all(ipc_managed *condition)
    IPC_NONNULL(1);

/* ---- event ---- */

IPC_API int ipc_managed_event_set(ipc_managed *event) IPC_NONNULL(1);
IPC_API int ipc_managed_event_clear(ipc_managed *event) IPC_NONNULL(1);

/* 1 or 0, or an error. */
IPC_API IPC_MUST_USE int ipc_managed_event_is_set(ipc_managed *event)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_managed_event_wait(ipc_managed *event)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_managed_event_wait_until(ipc_managed *event,
                                                      ipc_deadline deadline)
    IPC_NONNULL(1);

/* ---- barrier ----
 *
 * As barrier.h says: wait returns the caller's place, 0 for the first that
 * came; -ECANCELED it is broken, -ETIMEDOUT by the caller's deadline. */
IPC_API IPC_MUST_USE int ipc_managed_barrier_wait(ipc_managed *barrier)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_managed_barrier_wait_until(ipc_managed *barrier,
                                                        ipc_deadline deadline)
    IPC_NONNULL(1);

/* Count this session's end as that of a party, whether it waits or not. */
IPC_API int ipc_managed_barrier_enroll(ipc_managed *barrier) IPC_NONNULL(1);
IPC_API int ipc_managed_barrier_leave(ipc_managed *barrier) IPC_NONNULL(1);
IPC_API int ipc_managed_barrier_abort(ipc_managed *barrier) IPC_NONNULL(1);
IPC_API int ipc_managed_barrier_reset(ipc_managed *barrier) IPC_NONNULL(1);

/* 1 or 0, or an error. */
IPC_API IPC_MUST_USE int ipc_managed_barrier_is_broken(ipc_managed *barrier)
    IPC_NONNULL(1);

/* How many wait; how many it takes: 0 or more, or an error. */
IPC_API IPC_MUST_USE int64_t ipc_managed_barrier_waiting(ipc_managed *barrier)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int64_t ipc_managed_barrier_parties(ipc_managed *barrier)
    IPC_NONNULL(1);

/* ---- types of the program's own ----
 *
 *     static int counter_call(void *self, const char *method,
 *                             const ipc_any *args, size_t count,
 *                             ipc_manager_results *results)
 *     {
 *         struct counter *c = self;
 *         if (strcmp(method, "next") != 0)
 *             return -EINVAL;
 *         return ipc_manager_result(results, ipc_i64(++c->n));
 *     }
 *     static const ipc_manager_type_ops counter = {
 *         sizeof counter, 0, counter_create, counter_call, free};
 *
 *     ipc_manager_register("counter", &counter);       // before the start
 *     ipc_manager_start(NULL, &manager);
 *     ipc_manager_object(manager, "counter", "hits", NULL, 0, &hits);
 *     ipc_managed_call(hits, "next", NULL, 0, &results);
 *
 * The functions run in the server, one at a time, while all others wait: they
 * are to be short, must not fork, must not wait, and must not use the manager.
 * What they change is not durable. */
typedef struct ipc_manager_results ipc_manager_results;

typedef struct ipc_manager_type_ops {
    uint32_t size; /* of this structure */
    uint32_t flags;

    /* A new one: *out is what call and destroy get.  0 or an error. */
    int (*create)(const ipc_any *args, size_t count, void **out);

    /* A negative result is an error, and drops the results.  Strings in args
     * end with a zero byte; they are gone when it returns. */
    int (*call)(void *self, const char *method, const ipc_any *args,
                size_t count, ipc_manager_results *results);

    /* NULL: nothing to do. */
    void (*destroy)(void *self);
} ipc_manager_type_ops;

/* For servers that this process starts (or is) from now on.  Name and ops are
 * not copied.  At most 64.
 *
 * Errors: -EINVAL it is the name of a type of ours, empty or longer than 63
 * bytes, or there is no create or call; -EEXIST; -ENOSPC; -E2BIG. */
IPC_API IPC_MUST_USE int ipc_manager_register(const char *type,
                                              const ipc_manager_type_ops *ops)
    IPC_NONNULL(1, 2);

/* In call: one more result, copied.  Any type but handles.  -ENOMEM, -EINVAL,
 * -EMSGSIZE. */
IPC_API int ipc_manager_result(ipc_manager_results *results, ipc_any value)
    IPC_NONNULL(1);

/* The one of that name; made with these arguments if there is none.  Returns 1
 * made, 0 there.  Errors: -ENOSYS the server has no such type; what create
 * says. */
IPC_API IPC_MUST_USE int
ipc_manager_object(ipc_manager *manager, const char *type, const char *name,
                   const ipc_any *args, size_t count, ipc_managed **out)
    IPC_NONNULL(1, 2, 6);

/* Returns what call returned; *out (may be NULL): ipc_anys_free() in the end.
 * A call that was under way when the server died is -ECONNRESET. */
IPC_API IPC_MUST_USE int ipc_managed_call(ipc_managed *object,
                                          const char *method,
                                          const ipc_any *args, size_t count,
                                          ipc_anys *out) IPC_NONNULL(1, 2);

IPC_END_DECLS

#endif
