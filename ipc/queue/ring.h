/* Ring: messages one behind the other, first in, first out.
 *
 * What lies where, and what may be killed when, is in ring.c. */
#ifndef IPC_QUEUE_RING_H
#define IPC_QUEUE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bits.h"
#include "core/waiting.h"
#include "queue/ops.h"
#include "queue/pages.h"

#define IPC__UNIT 16u

/* Longer messages lie in pages, and are copied outside of any guard. */
#define IPC__INLINE_MAX 1024u

/* A message, or what will be one; in units, which its bytes follow. */
struct ipc__record {
    uint64_t mark;  /* state, and who is at it; see ring.c */
    uint32_t bytes; /* of the message */
    uint32_t units; /* of the record, IPC__SPILLED perhaps; 0: go to 0 */
};

/* In its bytes, if they lie elsewhere. */
struct ipc__spill {
    uint32_t page;
    uint32_t pages;
    uint32_t units; /* of the message, when it was reserved */
    uint32_t reserved;
};

#define IPC__SPILLED 0x80000000u

/* Low half of a mark: state, or state with the tid of who is at it.  Others
 * who wait for him to be done set WAITERS. */
#define IPC__MARK_READY   0x00400000u
#define IPC__MARK_FREE    0x00800000u
#define IPC__MARK_ABORTED 0x01000000u
#define IPC__MARK_WRITING 0x02000000u
#define IPC__MARK_GETTING 0x04000000u /* and it goes down with him */
#define IPC__MARK_PEEKING 0x08000000u
#define IPC__MARK_STATES  0x0fc00000u

/* The queue as this process sees it: what it is told about itself is read
 * once, and fits into the region. */
struct ipc__ring {
    struct ipc_queue *queue;
    char *base; /* of the units */
    uint32_t units;
    uint32_t capacity;
    uint64_t room; /* units of messages */
    uint32_t flags;
    struct ipc__pages pages;
};

/* How much memory a ring takes; and to begin one in zeroed memory whose facts
 * are written. */
void ipc__ring_plan(struct ipc_queue *facts);
size_t ipc__ring_bytes(const struct ipc_queue *facts);

/* How much of that has to have memory at first. */
size_t ipc__ring_present(const struct ipc_queue *facts);

/* Registers the calling thread.  0, -EUCLEAN, or as ipc__self_register(). */
int ipc__ring_view(struct ipc_queue *queue, struct ipc__ring *ring);

/* The same in the least time, of what a short message needs: where the units
 * lie; NULL if that cannot be.  The calling thread is registered. */
static inline char *ipc__ring_units(const struct ipc_queue *queue,
                                    uint32_t *units)
{
    const uint32_t at = load_relaxed(&queue->units_at) & ~(IPC__UNIT - 1);
    *units = load_relaxed(&queue->units);
    return likely((uintptr_t)queue - ipc__self.lo + at +
                      (size_t)*units * IPC__UNIT <=
                  ipc__self.span)
               ? (char *)(uintptr_t)queue + at
               : NULL;
}

/* ---- the guards ---- */

int ipc__ring_lock_put(struct ipc__ring *ring);
int ipc__ring_lock_get(struct ipc__ring *ring);

static inline void ipc__ring_unlock_put(const struct ipc__ring *ring)
{
    ipc__guard_unlock(&ring->queue->put.guard);
}

static inline void ipc__ring_unlock_get(const struct ipc__ring *ring)
{
    ipc__guard_unlock(&ring->queue->get.guard);
}

/* ---- places: how many messages came before, and where ---- */

static inline uint64_t ipc__place(uint32_t count, uint32_t unit)
{
    return (uint64_t)unit << 32 | (count & IPC__QUEUE_COUNTS);
}

static inline uint32_t ipc__place_count(uint64_t place)
{
    return (uint32_t)place;
}

static inline uint32_t ipc__place_unit(uint64_t place)
{
    return (uint32_t)(place >> 32);
}

/* ---- records ---- */

static inline struct ipc__record *ipc__record_at(const struct ipc__ring *ring,
                                                 uint32_t unit)
{
    return (void *)(ring->base + (size_t)unit * IPC__UNIT);
}

static inline struct ipc__spill *ipc__spill_of(struct ipc__record *record)
{
    return (void *)(record + 1);
}

static inline uint32_t *ipc__mark_futex(struct ipc__record *record)
{
    return (uint32_t *)(void *)&record->mark; /* little-endian: the low half */
}

/* What a record says, read once and seen to be possible. */
struct ipc__seen {
    struct ipc__record *record;
    uint64_t mark;
    uint64_t place;
    uint64_t after; /* the place behind it */
    char *data;
    uint32_t bytes;
    uint32_t units; /* of the message, for the queue's bound */
    uint32_t page;  /* 0 pages: not spilled */
    uint32_t pages;
};

/* The record at a place that messages have come to; *place goes to where it
 * really lies.  False: that cannot be. */
bool ipc__record_look(const struct ipc__ring *ring, uint64_t *place,
                      struct ipc__seen *out);

/* The state changes, and those who wait for that wake up. */
bool ipc__mark_change(struct ipc__record *record, uint64_t from, uint32_t to);

/* ---- what is slow ---- */

/* Words to sleep on, the first of which is the queue's.  Others that there may
 * be are left to the re-check: with IPC_QUEUE_RELAXED, those of the 17th and
 * further messages that are being written. */
#define IPC__RING_WATCHED 33
struct ipc__watch {
    struct ipc__futex words[IPC__RING_WATCHED];
    uint32_t count;
    bool thorough;
};

void ipc__watch_add(struct ipc__watch *watch, const uint32_t *word,
                    uint32_t value);

/* Does who is at a message live?  Then his life is watched. */
bool ipc__record_owner_lives(const struct ipc__seen *seen,
                             struct ipc__watch *watch);

/* With the guard of those who get: what the dead had in their hands is free,
 * or there again, and what is free at the front is room.  Adds the lives of
 * others who have something in theirs. */
void ipc__ring_sweep(struct ipc__ring *ring, struct ipc__watch *watch);

/* With the guard of those who get: the messages up to here are free, so many
 * of them aborted. */
void ipc__ring_advance(const struct ipc__ring *ring, uint64_t place,
                       uint32_t aborted);

/* With neither guard: give back memory that is not in use. */
void ipc__ring_trim(struct ipc__ring *ring);

/* Free those at the front that can be. */
bool ipc__ring_advance_all(const struct ipc__ring *ring);

/* ---- what queue.c calls ---- */

int ipc__ring_put(struct ipc_queue *queue, const void *data, size_t bytes,
                  ipc_deadline deadline);
int ipc__ring_putv(struct ipc_queue *queue, const ipc_queue_item *items,
                   size_t n, ipc_deadline deadline);
int ipc__ring_reserve(struct ipc_queue *queue, size_t bytes,
                      ipc_message *message, ipc_deadline deadline);
int ipc__ring_commit(struct ipc_queue *queue, ipc_message *message, bool abort);

int ipc__ring_get(struct ipc_queue *queue, void *buffer, size_t room,
                  size_t *bytes, ipc_deadline deadline);
int ipc__ring_getv(struct ipc_queue *queue, ipc_queue_item *items, size_t n,
                   ipc_deadline deadline);
int ipc__ring_peek(struct ipc_queue *queue, ipc_message *message,
                   ipc_deadline deadline);
int ipc__ring_release(struct ipc_queue *queue, ipc_message *message, bool keep);

/* With neither guard: the queue is closed for those who put; be it for those
 * who get, too. */
int ipc__ring_finish_close(struct ipc__ring *ring);
int ipc__ring_close(struct ipc_queue *queue, bool immediate);
int ipc__ring_fini(struct ipc_queue *queue);

/* For ipc_wait(): see ipc__look_at(). */
int ipc__ring_look_for_message(struct ipc_queue *queue, struct ipc__look *look);
int ipc__ring_look_for_room(struct ipc_queue *queue, struct ipc__look *look);

#endif
