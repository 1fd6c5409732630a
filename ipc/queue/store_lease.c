/* Store: leases and dead letters.  See store.c. */
#include <errno.h>

#include "core/error.h"
#include "queue/store_get.h"

/* ---- to take ---- */

static ipc_deadline end_of_lease(const struct ipc__store *store)
{
    return store->lease_ns > 0 ? ipc_after_ns(store->lease_ns)
                               : IPC_TIME_FOREVER;
}

/* With the guard: the lease begins when the mark says so. */
static void tell_lease(const struct ipc__entry_seen *seen, ipc_deadline lease,
                       ipc_message *message)
{
    ipc__entry_tell(seen, message);
    message->deliveries = ipc__entry_deliveries(seen->mark);
    message->lease = lease;
}

static uint32_t one_more(uint64_t mark)
{
    const uint32_t deliveries = ipc__entry_deliveries(mark);
    return deliveries < IPC__ENTRY_DELIVERIES_MAX ? deliveries + 1 : deliveries;
}

int ipc__store_take(struct ipc_queue *queue, ipc_message *message,
                    ipc_deadline deadline)
{
    struct ipc__store store;
    struct ipc__store_getting g;
    int rc = ipc__store_view(queue, &store);
    if (rc != 0)
        return rc;
    if ((store.flags & IPC_QUEUE_LEASES) == 0)
        return ipc__queue_no_take(queue, message, deadline);
    ipc__store_init_get(&g, &store, deadline);
    rc = ipc__store_begin_get(&g);
    if (rc != 0)
        return rc;
    const ipc_deadline lease = end_of_lease(&store);
    ipc__store_wake_watcher(&store);
    store_relaxed(&g.found.slot->lease, lease);
    ipc__store_claim(&g, IPC__ENTRY_LEASED, one_more(g.found.mark));
    tell_lease(&g.found, lease, message);
    ipc__store_unlock(&store);
    return 0;
}

/* With the guard and what the dead had swept: any dead letter. */
static int take_dead(const struct ipc__store *store, ipc_message *message)
{
    struct ipc__entry_seen seen;
    if (load_relaxed(&store->state->dead) == 0)
        return -EAGAIN;
    if (!ipc__entry_look(store, load_relaxed(&store->lists[0].dead), &seen) ||
        seen.state != IPC__ENTRY_DEAD)
        return -EUCLEAN;
    const ipc_deadline lease = end_of_lease(store);
    ipc__store_wake_watcher(store);
    ipc__dead_remove(store, seen.n);
    store_relaxed(&seen.slot->lease, lease);
    ipc__entry_claim(store, &seen, IPC__ENTRY_LEASED_DEAD,
                     ipc__entry_deliveries(seen.mark));
    tell_lease(&seen, lease, message);
    return 0;
}

int ipc__store_take_dead(struct ipc_queue *queue, ipc_message *message)
{
    struct ipc__store store;
    int rc = ipc__store_view(queue, &store);
    if (rc != 0)
        return rc;
    if ((store.flags & IPC_QUEUE_LEASES) == 0)
        return ipc__queue_no_take_dead(queue, message);
    rc = ipc__store_lock(&store);
    if (rc != 0)
        return rc;
    struct ipc__store_waiting w = {.store = &store};
    (void)ipc__store_sweep(&w);
    rc = ipc__store_is_dropped(&store) ? -EPIPE : take_dead(&store, message);
    ipc__store_unlock(&store);
    return rc == 0 ? 0
                   : ipc__queue_fail(queue, rc,
                                     rc == -EPIPE    ? "is closed"
                                     : rc == -EAGAIN ? "has no dead letter"
                                                     : IPC__QUEUE_SPOILT);
}

/* ---- to settle ---- */

/* With the guard: the lease that a message is on.  -ESTALE: it has ended. */
static int find_lease(const struct ipc__store *store,
                      const ipc_message *message, struct ipc__entry_seen *seen)
{
    struct ipc__peer peer;
    if (!ipc__entry_find(store, message, IPC__ENTRY_LEASED, seen) &&
        !ipc__entry_find(store, message, IPC__ENTRY_LEASED_DEAD, seen))
        return -ESTALE;
    if (!ipc__entry_is_over(store, seen, false, &peer))
        return 0;
    ipc__entry_end(store, seen);
    return -ESTALE;
}

static void extend(const struct ipc__store *store,
                   const struct ipc__entry_seen *seen, ipc_message *message,
                   ipc_deadline lease)
{
    if (lease < load_relaxed(&seen->slot->lease))
        ipc__store_wake_watcher(store); /* it is sooner than it was */
    store_relaxed(&seen->slot->lease, lease);
    message->lease = lease;
}

static void acknowledge(const struct ipc__store *store,
                        const struct ipc__entry_seen *seen)
{
    if (ipc__store_is_closed(store)) /* it was the last, perhaps */
        ipc__store_wake_all(&store->queue->tail);
    ipc__busy_remove(store, seen->n);
    ipc__entry_free(store, seen, true);
}

int ipc__store_settle(struct ipc_queue *queue, ipc_message *message,
                      enum ipc__lease_end how, ipc_deadline lease)
{
    struct ipc__store store;
    struct ipc__entry_seen seen;
    int rc = ipc__store_view(queue, &store);
    if (rc != 0)
        return rc;
    if ((store.flags & IPC_QUEUE_LEASES) == 0)
        return ipc__queue_no_settle(queue, message, how, lease);
    rc = ipc__store_lock(&store);
    if (rc != 0)
        return rc;
    rc = find_lease(&store, message, &seen);
    if (rc == 0 && how == IPC__LEASE_EXTEND)
        extend(&store, &seen, message, lease);
    else if (rc == 0 && how == IPC__LEASE_ACK)
        acknowledge(&store, &seen);
    else if (rc == 0)
        ipc__entry_end(&store, &seen);
    ipc__store_unlock(&store);
    if (rc != 0)
        return ipc__queue_fail(queue, rc, "had a lease that has ended");
    if (how != IPC__LEASE_EXTEND)
        *message = (ipc_message){0};
    return 0;
}
