/* What makes each kind of object ready, whom to ask for a wake-up, and how one
 * that was meant for others is handed on.
 *
 * Every object is waited for as its own waiters do: the mark of sleepers is set
 * in its word, and then that word slept on.  But ipc_wait() takes nothing, so
 * whoever was to get the thing still sleeps:
 *
 *   lock         a release wakes one, and leaves no mark in the free word.  So
 *                another one is woken; he takes it with WAITERS set, or does
 *                the same.  If the word is owned again, WAITERS is set in it
 *   semaphore    a release wakes as many as there are permits, and takes
 * SLEEPERS away only if nobody sleeps.  One more is woken; with MANY, all queue
 * a put wakes one and takes the mark away.  It is set again, and if there is a
 * message one more is woken.  Room: the same.  (A store leaves the mark while
 * somebody sleeps.  There, who ends his wait for a message wakes one too: to
 * watch the leases) event, thread, timer, future   wake all
 *
 * Handed on is what came with a change of the word, and what was found ready:
 * a message that comes back wakes somebody and changes nothing.  Nothing else
 * is, or two who wait would wake each other for ever. */
#include "wait/look.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "channel/connection_handle.h"
#include "core/error.h"
#include "core/owner.h"
#include "queue/ops.h"
#include "sync/event.h"
#include "sync/semaphore.h"
#include "wait/item.h"

/* ---- words ---- */

void ipc__look_begin(struct ipc__look *look, bool marks)
{
    look->marks = marks;
    look->until = IPC_TIME_FOREVER;
    look->count = 0;
    look->lives = 0;
}

static bool has(const struct ipc__futex *words, uint32_t count,
                const uint32_t *word)
{
    for (uint32_t i = 0; i < count; i++)
        if (words[i].word == word)
            return true;
    return false;
}

void ipc__look_add(struct ipc__look *look, const uint32_t *word, uint32_t value)
{
    if (look->count == IPC__FUTEX_MANY || has(look->words, look->count, word))
        return;
    look->words[look->count] = (struct ipc__futex){word, value};
    look->owners[look->count++] = look->item;
}

void ipc__look_add_life(struct ipc__look *look, const uint32_t *life,
                        uint32_t value)
{
    if (life == NULL || look->lives == IPC__FUTEX_MANY ||
        has(look->life, look->lives, life))
        return;
    look->life[look->lives++] = (struct ipc__futex){life, value};
}

void ipc__look_sleep(struct ipc__look *look, struct ipc__pace *pace,
                     ipc_deadline deadline)
{
    if (pace->due == 0)
        pace->due = ipc_after_ns(ipc__recheck_ns);
    ipc_deadline until = deadline < pace->due ? deadline : pace->due;
    until = until < look->until ? until : look->until;

    uint32_t count = look->count;
    for (uint32_t i = 0; i < look->lives && count < IPC__FUTEX_MANY; i++)
        look->words[count++] = look->life[i];
    if (count != 0)
        (void)ipc__futex_wait_many(look->words, count, until);
    else
        ipc_sleep_until(until);

    /* The kernel tells one sleeper of a death. */
    for (uint32_t i = look->count; i < count; i++)
        if (load_relaxed(look->words[i].word) != look->words[i].expected)
            ipc__futex_wake(look->words[i].word, INT_MAX);
    const ipc_deadline now = ipc_now();
    look->thorough = now >= pace->due;
    if (look->thorough)
        pace->due = now + ipc__recheck_ns;
}

/* ---- locks ---- */

static int look_at_lock(struct ipc__look *look, ipc_lock *lock)
{
    for (;;) {
        const uint64_t now = load_relaxed(&lock->word_);
        const uint32_t low = (uint32_t)now;
        if (low == 0 || low == IPC__GIVEN_UP || !ipc__owner_is_possible(now))
            return 1;
        if (!look->on_behalf && ipc_lock_is_mine(lock))
            return 1;
        struct ipc__peer owner;
        ipc__peer_look(lock, now, look->thorough, &owner);
        if (owner.dead)
            return 1;
        if (!look->marks)
            return 0;
        if ((low & FUTEX_BIT_WAITERS) == 0 &&
            !cas64_relaxed(&lock->word_, now, now | FUTEX_BIT_WAITERS))
            continue;
        ipc__owner_note_since(&lock->since_ns_);
        ipc__look_add(look, ipc__owner_futex(&lock->word_),
                      low | FUTEX_BIT_WAITERS);
        ipc__look_add_life(look, owner.life, owner.life_if_alive);
        return 0;
    }
}

static int look_lock(struct ipc__look *look, ipc_wait_item *item)
{
    return look_at_lock(look, item->object);
}

static void pass_on_lock(ipc_lock *lock)
{
    for (;;) {
        const uint64_t now = load_relaxed(&lock->word_);
        const uint32_t low = (uint32_t)now;
        if (low == IPC__GIVEN_UP)
            return; /* all were woken */
        if ((low & FUTEX_BITS_TID) == 0) {
            ipc__futex_wake(ipc__owner_futex(&lock->word_), 1);
            return;
        }
        if ((low & FUTEX_BIT_WAITERS) != 0 ||
            cas64_relaxed(&lock->word_, now, now | FUTEX_BIT_WAITERS))
            return;
    }
}

static void pass_on_lock_item(const ipc_wait_item *item)
{
    pass_on_lock(item->object);
}

/* ---- semaphores ---- */

static int look_at_plain(struct ipc__look *look, ipc_semaphore *semaphore)
{
    for (;;) {
        const uint32_t word = load_relaxed(&semaphore->word_);
        if (word >= SEMAPHORE_ONE)
            return 1; /* also if it is more than can be */
        if (!look->marks)
            return 0;
        if ((word & SEMAPHORE_SLEEPERS) == 0 &&
            !cas32_relaxed(&semaphore->word_, word, word | SEMAPHORE_SLEEPERS))
            continue;
        ipc__look_add(look, &semaphore->word_, word | SEMAPHORE_SLEEPERS);
        return 0;
    }
}

static bool is_fair(const ipc_semaphore *semaphore)
{
    return (load_relaxed(&semaphore->flags_) & IPC_SEMAPHORE_FAIR) != 0;
}

static int look_semaphore(struct ipc__look *look, ipc_wait_item *item)
{
    ipc_semaphore *semaphore = item->object;
    if (!ipc__is_semaphore(semaphore))
        return 1;
    const int rc = ipc__is_tracked(semaphore)
                       ? ipc__tracked_look(look->item->object, look)
                       : look_at_plain(look, semaphore);
    /* The first of those who wait has the turnstile: a permit is his. */
    return rc > 0 && is_fair(semaphore)
               ? look_at_lock(look, &ipc__semaphore_turnstile(semaphore)->lock)
               : rc;
}

static void pass_on_semaphore(const ipc_wait_item *item)
{
    ipc_semaphore *semaphore = item->object;
    if (!ipc__is_semaphore(semaphore))
        return;
    if (is_fair(semaphore))
        pass_on_lock(&ipc__semaphore_turnstile(semaphore)->lock);
    const uint32_t word = load_relaxed(&semaphore->word_);
    if (word < SEMAPHORE_ONE)
        return;
    if ((word & SEMAPHORE_MANY) == 0)
        ipc__futex_wake(&semaphore->word_, 1);
    /* The one woken may want many, if that came a moment ago. */
    if ((load_relaxed(&semaphore->word_) & SEMAPHORE_MANY) != 0)
        ipc__futex_wake(&semaphore->word_, INT_MAX);
}

/* ---- events ---- */

static int look_event(struct ipc__look *look, ipc_wait_item *item)
{
    ipc_event *event = item->object;
    for (;;) {
        const uint32_t now = load_acquire(&event->word_); /* [set→wait] */
        if (look->is_first || (item->flags_ & IPC__ITEM_LEVEL) != 0)
            item->seen_ = now;
        if ((now & IPC__EVENT_FOREIGN) != 0 ||
            ipc__event_was_set(now, item->seen_))
            return 1;
        if (!look->marks)
            return 0;
        if ((now & IPC__EVENT_SLEEPERS) == 0 &&
            !cas32_relaxed(&event->word_, now, now | IPC__EVENT_SLEEPERS))
            continue;
        ipc__look_add(look, &event->word_, now | IPC__EVENT_SLEEPERS);
        return 0;
    }
}

/* ---- futures ---- */

static int look_future(struct ipc__look *look, ipc_wait_item *item)
{
    return ipc__future_look_for(item->object, look);
}

/* ---- queues ---- */

static bool is_for_room(const ipc_wait_item *item)
{
    return item->what == IPC_WAIT_FOR_ROOM;
}

static int look_queue(struct ipc__look *look, ipc_wait_item *item)
{
    return ipc__queue_look(item->object, look);
}

static void pass_on_queue(const ipc_wait_item *item)
{
    ipc_queue *queue = item->object;
    const uint32_t kind = load_relaxed(&queue->kind);
    if (kind != IPC__QUEUE_RING && kind != IPC__QUEUE_STORE)
        return;
    uint32_t *word = is_for_room(item) ? &queue->head : &queue->tail;
    if (kind == IPC__QUEUE_STORE) {
        ipc__futex_wake(word, 1);
        return;
    }
    if ((load_relaxed(word) & IPC__QUEUE_SLEEPERS) == 0)
        (void)or_relaxed(word, IPC__QUEUE_SLEEPERS);
    if (is_for_room(item) ? !ipc_queue_full(queue) : !ipc_queue_empty(queue))
        ipc__futex_wake(word, 1);
}

/* One at least of those who sleep on a store knows of each lease in it. */
static bool watches_leases(const ipc_wait_item *item)
{
    const ipc_queue *queue = item->object;
    return item->what == IPC_WAIT_FOR_MESSAGE &&
           load_relaxed(&queue->kind) == IPC__QUEUE_STORE;
}

/* ---- of this process ---- */

static int look_thread(struct ipc__look *look, ipc_wait_item *item)
{
    return ipc__thread_look(item->object, look);
}

static int look_timer(struct ipc__look *look, ipc_wait_item *item)
{
    return ipc__timer_look(item->object, look);
}

/* One that has no descriptor, or was not started. */
static int look_process(struct ipc__look *look, ipc_wait_item *item)
{
    const int rc = ipc_process_join_nowait(item->object);
    if (rc == -EAGAIN)
        look->until = ipc_after_ns(IPC__PROCESS_LOOK_NS);
    return rc == -EAGAIN ? 0 : rc == 0 ? 1 : rc;
}

/* ---- all of them ---- */

struct kind {
    int (*look)(struct ipc__look *look, ipc_wait_item *item);
    void (*pass_on)(const ipc_wait_item *item); /* NULL: all are woken */
    bool is_shared; /* what is wrong with it, its own call says */
};

static const struct kind kinds[] = {
    [IPC_WAIT_FOR_MESSAGE - IPC__WAIT_FIRST] = {look_queue, pass_on_queue,
                                                true},
    [IPC_WAIT_FOR_ROOM - IPC__WAIT_FIRST] = {look_queue, pass_on_queue, true},
    [IPC_WAIT_FOR_LOCK -
        IPC__WAIT_FIRST] = {look_lock, pass_on_lock_item, true},
    [IPC_WAIT_FOR_SEMAPHORE -
        IPC__WAIT_FIRST] = {look_semaphore, pass_on_semaphore, true},
    [IPC_WAIT_FOR_EVENT - IPC__WAIT_FIRST] = {look_event, NULL, true},
    [IPC_WAIT_FOR_THREAD - IPC__WAIT_FIRST] = {look_thread, NULL, false},
    [IPC_WAIT_FOR_TIMER - IPC__WAIT_FIRST] = {look_timer, NULL, false},
    [IPC_WAIT_FOR_FUTURE - IPC__WAIT_FIRST] = {look_future, NULL, true},
    [IPC_WAIT_FOR_PROCESS - IPC__WAIT_FIRST] = {look_process, NULL, false},
};

/* The thread that looks on behalf of others may lack what they do not. */
static bool is_want(int rc)
{
    return rc == -ENOMEM || rc == -ENOSYS;
}

int ipc__look_at(struct ipc__look *look, ipc_wait_item *item)
{
    const struct kind *kind = &kinds[item->what - IPC__WAIT_FIRST];
    look->item = item;
    const int rc = kind->look(look, item);
    if (rc >= 0 || !kind->is_shared)
        return rc;
    return !look->on_behalf || !is_want(rc);
}

static void pass_on(const ipc_wait_item *item)
{
    const struct kind *kind = &kinds[item->what - IPC__WAIT_FIRST];
    if (kind->pass_on != NULL)
        kind->pass_on(item);
}

void ipc__look_pass_on_changed(const struct ipc__look *look)
{
    for (uint32_t i = 0; i < look->count; i++) {
        ipc_wait_item *item = look->owners[i];
        if (item == NULL ||
            load_relaxed(look->words[i].word) == look->words[i].expected)
            continue;
        pass_on(item);
        item->flags_ |= IPC__ITEM_PASSED_ON;
    }
}

void ipc__look_pass_on_found(ipc_wait_item *item, bool ready, bool leaves)
{
    if ((item->flags_ & IPC__ITEM_PASSED_ON) == 0 &&
        (ready || (leaves && watches_leases(item))))
        pass_on(item);
    item->flags_ &= ~IPC__ITEM_PASSED_ON;
}

/* ---- descriptors ---- */

static int fd_of_connection(const ipc_wait_item *item, int *fd)
{
    const ipc_connection *connection = item->object;
    *fd = ipc_connection_fileno(connection);
    return ipc_connection_can_recv(connection)
               ? 0
               : ipc__connection_fail_direction(connection);
}

bool ipc__look_is_fd(const ipc_wait_item *item)
{
    switch (item->what) {
    case IPC_WAIT_FOR_CONNECTION:
    case IPC_WAIT_FOR_FD:
        return true;
    case IPC_WAIT_FOR_PROCESS:
        return ipc_process_fd(item->object) >= 0;
    case IPC_WAIT_FOR_MESSAGE:
    case IPC_WAIT_FOR_ROOM:
        return ipc__queue_descriptor(item->object) >= 0;
    default:
        return false;
    }
}

int ipc__look_fd(const ipc_wait_item *item, int *fd, short *events)
{
    *events = POLLIN;
    switch (item->what) {
    case IPC_WAIT_FOR_CONNECTION:
        return fd_of_connection(item, fd);
    case IPC_WAIT_FOR_PROCESS:
        *fd = ipc_process_fd(item->object);
        return *fd >= 0 ? 0 : *fd;
    case IPC_WAIT_FOR_FD:
        *fd = item->fd;
        *events = (short)item->events;
        return *fd >= 0 ? 0 : ipc__fail(-EBADF, "descriptor %d", item->fd);
    default:
        *fd = ipc__queue_descriptor(item->object);
        *events = is_for_room(item) ? POLLOUT : POLLIN;
        return 0;
    }
}
