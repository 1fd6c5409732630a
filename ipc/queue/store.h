/* Store: messages in slots, in an order that is kept apart from them: last in,
 * first out; by priority; and whatever may come back from a lease.
 *
 * What lies where, and what may be killed when, is in store.c. */
#ifndef IPC_QUEUE_STORE_H
#define IPC_QUEUE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bits.h"
#include "core/waiting.h"
#include "queue/ops.h"
#include "queue/pages.h"

/* ---- slots ---- */

enum ipc__entry_state {
    IPC__ENTRY_FREE = 0,
    IPC__ENTRY_WRITING,
    IPC__ENTRY_READY,
    IPC__ENTRY_GETTING, /* and it goes down with him */
    IPC__ENTRY_PEEKING,
    IPC__ENTRY_LEASED,
    IPC__ENTRY_DEAD,       /* a dead letter, */
    IPC__ENTRY_LEASED_DEAD /* and one on a lease */
};

/* A message, or room for one. */
struct ipc__entry {
    uint64_t mark;   /* state, deliveries, generation: see below */
    uint64_t owner;  /* whose it is, if somebody is at it */
    uint64_t number; /* of its put; when put.at is there it is in the queue */
    uint64_t order;  /* its place among those of one priority */
    int64_t lease;   /* holds until then */
    uint32_t priority;
    uint32_t bytes;
    uint32_t page; /* where it lies, if it is too long for the cell */
    uint32_t pages;
    uint32_t place; /* derived: where the heap has it, */
    uint32_t seat;  /* and the list that it is in */
};

/* The lists, all derived: the i-th of each. */
struct ipc__store_lists {
    uint32_t heap; /* the next message first */
    uint32_t busy; /* slots with an owner */
    uint32_t free;
    uint32_t dead; /* letters */
};

struct ipc__store_state {
    uint64_t order; /* the last that was given */
    uint32_t high;  /* slots from here on are free and in no list */
    uint32_t heap;  /* how many each list has */
    uint32_t busy;
    uint32_t free;
    uint32_t dead;
    uint32_t ready;         /* messages in the heap that can be had */
    uint32_t crowded;       /* somebody waits for more room than a slot */
    uint32_t turn;          /* who in busy is looked at next */
    uint32_t cells_present; /* the cells have memory up to here */
};

/* A mark is the word by which a message changes hands.  The generation counts
 * the owners of the slot: with its number, a token that nobody else has. */
#define IPC__ENTRY_DELIVERY       64u /* one; state below it */
#define IPC__ENTRY_DELIVERIES_MAX 0x03ffffffu

static inline uint64_t ipc__entry_mark(uint64_t of, enum ipc__entry_state state)
{
    return (of & ~(uint64_t)(IPC__ENTRY_DELIVERY - 1)) | state;
}

static inline enum ipc__entry_state ipc__entry_state(uint64_t mark)
{
    return (enum ipc__entry_state)(mark % IPC__ENTRY_DELIVERY);
}

static inline uint32_t ipc__entry_deliveries(uint64_t mark)
{
    return (uint32_t)mark / IPC__ENTRY_DELIVERY;
}

static inline uint32_t ipc__entry_generation(uint64_t mark)
{
    return (uint32_t)(mark >> 32);
}

/* ---- the queue as this process sees it ---- */

/* What it is told about itself is read once, and fits into the region. */
struct ipc__store {
    struct ipc_queue *queue;
    struct ipc__store_state *state;
    struct ipc__entry *slots;
    struct ipc__store_lists *lists;
    char *cells;
    uint32_t cell; /* bytes of one: longer messages lie in pages */
    uint32_t capacity;
    uint32_t flags;
    uint32_t max_deliveries;
    int64_t lease_ns;
    uint64_t room; /* units of messages */
    struct ipc__pages pages;
};

#define IPC__STORE_UNIT  16u
#define IPC__STORE_PIECE 256u /* slots that get memory at a time */

static inline uint32_t ipc__store_units(uint32_t bytes)
{
    return (bytes + IPC__STORE_UNIT - 1) / IPC__STORE_UNIT;
}

/* As those of the ring. */
void ipc__store_plan(struct ipc_queue *facts);
size_t ipc__store_bytes(const struct ipc_queue *facts);
size_t ipc__store_present(const struct ipc_queue *facts);
int ipc__store_view(struct ipc_queue *queue, struct ipc__store *store);

int ipc__store_lock(struct ipc__store *store);

static inline void ipc__store_unlock(const struct ipc__store *store)
{
    ipc__guard_unlock(&store->queue->put.guard);
}

static inline bool ipc__store_is_strict(const struct ipc__store *store)
{
    return (store->flags & IPC_QUEUE_RELAXED) == 0;
}

static inline bool ipc__store_is_closed(const struct ipc__store *store)
{
    return (load_relaxed(&store->queue->tail) & IPC__QUEUE_CLOSED) != 0;
}

/* Closed, and what is left is dropped. */
static inline bool ipc__store_is_dropped(const struct ipc__store *store)
{
    return ipc__store_is_closed(store) &&
           (load_relaxed(&store->queue->done) & IPC__QUEUE_IMMEDIATE) != 0;
}

/* ---- with the guard: slots ---- */

/* What a slot says, read once and seen to be possible. */
struct ipc__entry_seen {
    struct ipc__entry *slot;
    uint32_t n;
    enum ipc__entry_state state;
    uint64_t mark;
    char *data;
    uint32_t bytes;
    uint32_t page;
    uint32_t pages; /* 0: it lies in its cell */
};

bool ipc__entry_look(const struct ipc__store *store, uint32_t n,
                     struct ipc__entry_seen *out);

/* The one that a token names, if it is in this state still.  False: not. */
bool ipc__entry_find(const struct ipc__store *store, const ipc_message *message,
                     enum ipc__entry_state state, struct ipc__entry_seen *out);
void ipc__entry_tell(const struct ipc__entry_seen *seen, ipc_message *message);

/* Nobody's, in this state, and in no list.  It is the caller's now, a
 * generation later. */
void ipc__entry_claim(const struct ipc__store *store,
                      struct ipc__entry_seen *seen, enum ipc__entry_state state,
                      uint32_t deliveries);

/* It is in no list: it becomes free.  settled: nobody needs to say that it is
 * done. */
void ipc__entry_free(const struct ipc__store *store,
                     const struct ipc__entry_seen *seen, bool settled);

/* It is busy: it becomes READY, or a dead letter, and who waits for that has
 * been woken. */
void ipc__entry_give_back(const struct ipc__store *store,
                          const struct ipc__entry_seen *seen);

/* It is being written: it becomes free. */
void ipc__entry_abort(const struct ipc__store *store,
                      const struct ipc__entry_seen *seen);

/* ---- with the guard: lists; see store_lists.c ---- */

void ipc__heap_push(const struct ipc__store *store, uint32_t n);
void ipc__heap_remove(const struct ipc__store *store, uint32_t n);
bool ipc__heap_first(const struct ipc__store *store, uint32_t *n);
void ipc__busy_add(const struct ipc__store *store, uint32_t n);
void ipc__busy_remove(const struct ipc__store *store, uint32_t n);
void ipc__dead_add(const struct ipc__store *store, uint32_t n);
void ipc__dead_remove(const struct ipc__store *store, uint32_t n);
void ipc__free_add(const struct ipc__store *store, uint32_t n);

/* All lists, and what is counted with them, from the slots. */
void ipc__lists_derive(const struct ipc__store *store);

/* ---- with the guard: waking ---- */

/* A word counts n more, and so many of its sleepers wake up. */
void ipc__store_count(uint32_t *word, uint32_t n, int wake);

/* All who sleep on a word are to look again, as soon as the guard is free. */
void ipc__store_wake_all(uint32_t *word);

/* One who sleeps for a message is to look whom to watch. */
void ipc__store_wake_watcher(const struct ipc__store *store);

/* ---- waiting ---- */

#define IPC__STORE_WATCHED 9

struct ipc__store_waiting {
    struct ipc__store *store;
    uint32_t *word; /* tail: for a message; head: for room */
    ipc_deadline deadline;
    struct ipc__pace pace;
    struct ipc__futex words[IPC__STORE_WATCHED];
    uint32_t count;
    uint32_t others;          /* messages that others have, or make */
    ipc_deadline first_lease; /* that ends */
    bool thorough;
    bool spun;
    bool slept;
    const struct ipc__look *look; /* it is ipc_wait() that asks, and waits */
};

/* With the guard: is somebody no more who had it, or his lease?  If not, peer
 * says whom to watch. */
bool ipc__entry_is_over(const struct ipc__store *store,
                        const struct ipc__entry_seen *seen, bool thorough,
                        struct ipc__peer *peer);
/* Then do with it what has to be done. */
void ipc__entry_end(const struct ipc__store *store,
                    const struct ipc__entry_seen *seen);

/* With the guard: what the dead had, and what ran out, is free or there again.
 * Notes the others in w, whom to watch.  True: there was something. */
bool ipc__store_sweep(struct ipc__store_waiting *w);

/* With the guard: the same for one of them, in turn. */
void ipc__store_sweep_one(struct ipc__store *store);

/* With the guard, which it gives up: there was nothing.  Wait until it may be
 * worth a look.  0; -EAGAIN, -ETIMEDOUT; for a message -EPIPE, there will be
 * none. */
int ipc__store_wait(struct ipc__store_waiting *w);

/* With the guard: give memory back, if nothing is in it. */
void ipc__store_trim(const struct ipc__store *store);

/* Give up the guard; somebody else is to watch what we have watched. */
void ipc__store_leave(const struct ipc__store_waiting *w);

/* ---- operations ---- */

int ipc__store_put(struct ipc_queue *queue, const void *data, size_t bytes,
                   uint32_t priority, ipc_deadline deadline);
int ipc__store_putv(struct ipc_queue *queue, const ipc_queue_item *items,
                    size_t n, ipc_deadline deadline);
int ipc__store_reserve(struct ipc_queue *queue, size_t bytes,
                       ipc_message *message, ipc_deadline deadline);
int ipc__store_commit(struct ipc_queue *queue, ipc_message *message,
                      bool abort);

int ipc__store_get(struct ipc_queue *queue, void *buffer, size_t room,
                   size_t *bytes, ipc_deadline deadline);
int ipc__store_getv(struct ipc_queue *queue, ipc_queue_item *items, size_t n,
                    ipc_deadline deadline);
int ipc__store_peek(struct ipc_queue *queue, ipc_message *message,
                    ipc_deadline deadline);
int ipc__store_release(struct ipc_queue *queue, ipc_message *message,
                       bool keep);

int ipc__store_take(struct ipc_queue *queue, ipc_message *message,
                    ipc_deadline deadline);
int ipc__store_settle(struct ipc_queue *queue, ipc_message *message,
                      enum ipc__lease_end how, ipc_deadline lease);
/* For ipc_wait(): see ipc__look_at(). */
int ipc__store_look_for_message(struct ipc_queue *queue,
                                struct ipc__look *look);
int ipc__store_look_for_room(struct ipc_queue *queue, struct ipc__look *look);

/* What was found to sleep on, if rc is 1: nothing.  Turns rc round. */
int ipc__store_look_done(const struct ipc__store_waiting *w,
                         struct ipc__look *look, int rc);

uint32_t ipc__store_dead(struct ipc_queue *queue);
int ipc__store_take_dead(struct ipc_queue *queue, ipc_message *message);

#endif
