/* Users.
 *
 * State, under the lock
 *   first   those who wait, in this process.  It lies on a page that is wiped
 *           in children: none of those who wait is there.
 *
 * Who has something of a queue in his hands is written in the queue itself.
 *
 * Death: all of it is private. */
#include "queue/users.h"

#include <string.h>
#include <unistd.h>

#include "core/local.h"
#include "core/private_lock.h"
#include "queue/ring.h"
#include "queue/store.h"

static union {
    struct {
        uint32_t lock; /* private */
        struct ipc__queue_user *first;
    } users;
    unsigned char page[IPC_PAGE_MAX];
} page __attribute__((aligned(IPC_PAGE_MAX)));

#define the_users (page.users)

/* ---- who waits ---- */

static bool is_armed(void)
{
    static uint32_t armed; /* stays set in children, as the advice does */
    if (load_acquire(&armed) == 0) {
        if (ipc__wipe_on_fork(&page, sizeof page) != 0)
            return false;
        store_release(&armed, 1);
    }
    return true;
}

void ipc__queue_user_enter(struct ipc__queue_user *user, const void *objects,
                           size_t stride, size_t count)
{
    *user = (struct ipc__queue_user){
        .objects = objects, .stride = stride, .count = count};
    if (ipc__local_epoch() == 0 || !is_armed())
        return;
    user->process = load_relaxed(&ipc__local.process);
    ipc__private_lock(&the_users.lock);
    user->next = the_users.first;
    user->link = &the_users.first;
    if (user->next != NULL)
        user->next->link = &user->next;
    the_users.first = user;
    ipc__private_unlock(&the_users.lock);
}

void ipc__queue_user_leave(struct ipc__queue_user *user)
{
    /* Else it is a child, of a fork in a signal handler. */
    if (user->process == 0 ||
        user->process != load_relaxed(&ipc__local.process))
        return;
    ipc__private_lock(&the_users.lock);
    *user->link = user->next;
    if (user->next != NULL)
        user->next->link = user->link;
    ipc__private_unlock(&the_users.lock);
}

static bool waits_for(const struct ipc__queue_user *user,
                      const ipc_queue *queue)
{
    const char *at = user->objects;
    for (size_t i = 0; i < user->count; i++) {
        const void *object;
        memcpy(&object, at + i * user->stride, sizeof object);
        if (object == queue)
            return true;
    }
    return false;
}

bool ipc__queue_is_waited_for(const ipc_queue *queue)
{
    bool found = false;
    ipc__private_lock(&the_users.lock);
    for (const struct ipc__queue_user *user = the_users.first;
         user != NULL && !found; user = user->next)
        found = waits_for(user, queue);
    ipc__private_unlock(&the_users.lock);
    return found;
}

/* ---- who has something ---- */

static bool is_ours(const ipc_queue *queue, uint64_t owner)
{
    struct ipc__peer peer;
    int32_t pid;
    char name[24];
    if (owner == ipc__self.id)
        return true;
    ipc__peer_look(queue, owner, false, &peer);
    if (peer.dead)
        return false;
    ipc__peer_describe(queue, owner, &pid, name);
    return pid == getpid();
}

/* With the guard of those who get. */
static bool is_any_in_ring(const struct ipc__ring *ring)
{
    const struct ipc_queue *queue = ring->queue;
    uint64_t place = queue->get.at;
    uint32_t n = ipc__queue_ahead(ipc__queue_count(load_acquire(&queue->tail)),
                                  ipc__place_count(place));
    struct ipc__seen seen;
    for (; n != 0 && n <= ring->capacity; n--) {
        if (!ipc__record_look(ring, &place, &seen))
            break;
        const uint32_t state = (uint32_t)seen.mark & IPC__MARK_STATES;
        const uint64_t owner =
            seen.mark & IPC__OWNER_MASK & ~(uint64_t)IPC__MARK_STATES;
        if ((state == IPC__MARK_WRITING || state == IPC__MARK_GETTING ||
             state == IPC__MARK_PEEKING) &&
            is_ours(queue, owner))
            return true;
        place = seen.after;
    }
    return false;
}

static bool is_in_ring(ipc_queue *queue)
{
    struct ipc__ring ring;
    if (ipc__ring_view(queue, &ring) != 0 || ipc__ring_lock_get(&ring) != 0)
        return false;
    const bool found = is_any_in_ring(&ring);
    ipc__ring_unlock_get(&ring);
    return found;
}

/* With the guard, and what the dead had, and what ran out, swept. */
static bool is_any_in_store(const struct ipc__store *store)
{
    const uint32_t busy = load_relaxed(&store->state->busy);
    struct ipc__entry_seen seen;
    for (uint32_t i = 0; i < busy && i < store->capacity; i++)
        if (ipc__entry_look(store, load_relaxed(&store->lists[i].busy),
                            &seen) &&
            is_ours(store->queue, load_relaxed(&seen.slot->owner)))
            return true;
    return false;
}

static bool is_in_store(ipc_queue *queue)
{
    struct ipc__store store;
    if (ipc__store_view(queue, &store) != 0 || ipc__store_lock(&store) != 0)
        return false;
    struct ipc__store_waiting w = {.store = &store};
    (void)ipc__store_sweep(&w);
    const bool found = is_any_in_store(&store);
    ipc__store_unlock(&store);
    return found;
}

bool ipc__queue_is_in_hand(ipc_queue *queue)
{
    const uint32_t kind = load_relaxed(&queue->kind);
    return kind == IPC__QUEUE_RING    ? is_in_ring(queue)
           : kind == IPC__QUEUE_STORE ? is_in_store(queue)
                                      : false;
}
