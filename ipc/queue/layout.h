/* What a queue is in shared memory: this head, then what its kind needs. */
#ifndef IPC_QUEUE_LAYOUT_H
#define IPC_QUEUE_LAYOUT_H

#include <stdint.h>

#include <ipc/queue.h>

#include "core/guard.h"

enum ipc__queue_kind {
    IPC__QUEUE_RING = 0x676e6952,  /* first in, first out: ring.h */
    IPC__QUEUE_STORE = 0x726f7453, /* other orders, and leases: store.h */
    IPC__QUEUE_POSIX = 0x7869736f  /* not in shared memory: posix.h */
};

#define IPC__QUEUE_LINE 128 /* bytes that two CPUs had better not share */

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): that is the point */
struct ipc_queue {
    /* Never changes. */
    uint32_t kind;
    uint32_t flags;
    uint32_t capacity; /* messages */
    uint32_t max_deliveries;
    uint64_t bytes; /* of all messages */
    int64_t lease_ns;
    uint32_t units; /* of a ring: 16 bytes each; of a store: slots */
    uint32_t pages; /* for what is too large for a unit or slot */
    char label[24];
    uint32_t units_at; /* so far behind the head's beginning; a ring's */

    /* Of those who put: under its guard. */
    struct ipc__queue_put {
        struct ipc__guard guard;
        uint64_t at;            /* place of the next message; see ring.c */
        uint64_t next;          /* what it is about to become */
        uint64_t freed;         /* what lies before this place is free */
        uint64_t used;          /* units of message between freed and at */
        uint32_t units_gone;    /* the ring has memory from here, */
        uint32_t units_present; /* up to here; */
        uint32_t pages_present; /* and the pages up to here */
    } put __attribute__((aligned(IPC__QUEUE_LINE)));

    /* Messages ever put, times 4; marks.  What consumers sleep on. */
    uint32_t tail __attribute__((aligned(IPC__QUEUE_LINE)));

    /* Of those who get: under its guard. */
    struct ipc__queue_get {
        struct ipc__guard guard;
        uint64_t at;           /* place of the first message that is not free */
        uint64_t next;         /* what it is about to become */
        uint64_t cursor;       /* of the first that may be had */
        uint32_t aborted;      /* messages that never were, up to at; */
        uint32_t aborted_next; /* and up to next */
        uint32_t tail_seen;
        uint32_t idle_tail; /* with so many put it was found empty, first */
        int64_t idle_since; /* at this time; 0: it was not */
    } get __attribute__((aligned(IPC__QUEUE_LINE)));

    /* Messages ever freed, times 4; marks.  What producers sleep on. */
    uint32_t head __attribute__((aligned(IPC__QUEUE_LINE)));

    /* Messages ever said to be done, times 4; marks. */
    uint32_t done __attribute__((aligned(IPC__QUEUE_LINE)));

    /* Of a ring: who sleeps on tail, and on head.  Never too few; the dead do
     * not go, which costs the others some calls, no more. */
    uint32_t getters;
    uint32_t putters;
};

/* Marks in tail, head and done. */
#define IPC__QUEUE_SLEEPERS  1u /* somebody may sleep on this value */
#define IPC__QUEUE_CLOSED    2u
#define IPC__QUEUE_ONE       4u
#define IPC__QUEUE_IMMEDIATE 2u /* in done: what is left is dropped */

/* In getters and putters: ipc_wait() has been called, count no more. */
#define IPC__QUEUE_WATCHED 0x80000000u

/* Those counts run to 2^30. */
#define IPC__QUEUE_COUNTS 0x3fffffffu

static inline uint32_t ipc__queue_count(uint32_t word)
{
    return word / IPC__QUEUE_ONE;
}

/* How much further a is than b. */
static inline uint32_t ipc__queue_ahead(uint32_t a, uint32_t b)
{
    return (a - b) & IPC__QUEUE_COUNTS;
}

#endif
