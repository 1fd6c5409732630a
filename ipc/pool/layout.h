/* What pools and futures have in family memory.
 *
 * A future and the task that it is for are one record.  Those of pools lie in
 * their pool's table; a promise is a record of its own.  What travels between
 * submitter and worker, of a short task, is the first of its cache lines.
 *
 * Who may change a record is said by its state, in which all that decides is
 * one word:
 *
 *     FREE       those with the pool's put guard
 *     WRITING    the process `client`, which fills or empties it
 *     PENDING    nobody; whoever makes it RUNNING or CANCELLED, by a CAS
 *     RUNNING    the worker whose number is in it; when that is dead, the
 *                supervisor
 *     DONE...    nobody; its last user makes it WRITING, to free it */
#ifndef IPC_POOL_LAYOUT_H
#define IPC_POOL_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/future.h>
#include <ipc/pool.h>

#include "base/atomic.h"
#include "core/guard.h"

#define IPC__LINE 64

/* ---- the state of a future: a futex word ---- */

enum ipc__future_state {
    IPC__FREE = 0,
    IPC__WRITING = 1,
    IPC__PENDING = 2,
    IPC__RUNNING = 3,
    IPC__DONE = 4,     /* all from here on are final */
    IPC__FAILED = 5,   /* kind and status say how */
    IPC__CANCELLED = 6 /* before it was begun */
};

#define IPC__FUTURE_STATES  0xfu
#define IPC__SLEEPERS       0x10u /* somebody sleeps on the word */
#define IPC__BELL           0x20u /* somebody waits for the bell, see future.h */
#define IPC__TERMINATE      0x40u /* somebody wants it ended while it runs */
#define IPC__ABANDONED      0x80u /* nobody will ask: free it when it is done */
#define IPC__FUTURE_FLAGS   0xf0u
#define IPC__RUNNER_SHIFT   12       /* RUNNING: the worker's number + 1, */
#define IPC__PROMISE_RUNNER 0xfffffu /* or this: see `runner` */

static inline enum ipc__future_state ipc__future_state(uint32_t word)
{
    return (enum ipc__future_state)(word & IPC__FUTURE_STATES);
}

static inline bool ipc__future_is_final(uint32_t word)
{
    return ipc__future_state(word) >= IPC__DONE;
}

/* ---- records ---- */

/* shape: where the bytes are, and what more there is. */
#define IPC__ARG_FAR        1u  /* in far; neither bit: in near */
#define IPC__ARG_SPILLED    2u  /* where the cell `arg` says */
#define IPC__RESULT_FAR     4u  /* behind what far has of the argument */
#define IPC__RESULT_SPILLED 8u  /* where the cell `result` says */
#define IPC__JOB            16u /* a part of a map: see job.h */
#define IPC__TIMED          32u /* task_ns is its own */

#define IPC__NEAR 40

/* Where an argument begins in near: from 16 bytes on it is aligned to 16. */
static inline size_t ipc__near_begin(size_t bytes)
{
    return bytes < 16 ? 0 : 8;
}

#define IPC__FAR 128

struct ipc_future {
    /* A short task needs no more than this line. */
    uint32_t state;
    uint8_t shape;
    uint8_t attempts; /* begun so often; by who makes it RUNNING */
    uint16_t client;  /* whose it is: see struct ipc__client */
    uint64_t fn;      /* address, or IPC__ENTRY | number: see process/entry.h */
    union {
        uint32_t arg_bytes;
        uint32_t next; /* FREE: index + 1 of the next free one */
    };
    uint32_t result_bytes; /* promised; of what it is, when it is done */
    _Alignas(8) unsigned char near_[IPC__NEAR];

    /* Said once, and hardly ever written: who submits and who runs it have it
     * both. */
    struct ipc_pool *pool; /* NULL: a promise */
    uint64_t magic;
    /* Cells of the allocator, see ipc__shared_alloc_in(), and how much they
     * have for sure.  A free record may keep what is there. */
    uint64_t arg;
    uint64_t result;
    uint32_t arg_room;
    uint32_t result_room;
    int64_t task_ns;
    uint8_t retries;
    uint8_t kind; /* IPC_EXCEPTION_..., IPC__BY_ITSELF */
    uint8_t core, maybe_oom;
    int32_t status;
    int32_t pid;
    /* Third line and fourth: */
    _Alignas(IPC__LINE) unsigned char far_[IPC__FAR];

    /* Fifth, hardly ever used: */
    uint64_t runner; /* of a promise that was begun: the thread's identity */
    int64_t grace_ns;
    int32_t signal;
    int32_t exitcode;
    uint32_t room;     /* of a promise: behind the record */
    uint32_t promised; /* of it: the most that its result may take; of a task
                          that may be run again: result_bytes as submitted */
    uint32_t reserved[8];
};

/* kind: the task returned, and was not cut short by the death of its worker,
 * which may come after it has said so. */
#define IPC__BY_ITSELF 128u

#define IPC__FUTURE_MAGIC 0x6572757475662e69ull
#define IPC__ENTRY        ((uint64_t)1 << 63)

static inline bool ipc__future_is_unwanted(const struct ipc_future *future)
{
    return (load_relaxed(&future->state) & IPC__TERMINATE) != 0;
}

static inline uint32_t ipc__future_kind(const struct ipc_future *future)
{
    return future->kind & ~IPC__BY_ITSELF;
}

_Static_assert(offsetof(struct ipc_future, near_) == 24, "record layout");
_Static_assert(offsetof(struct ipc_future, pool) == IPC__LINE, "one line");
_Static_assert(sizeof(struct ipc_future) == (size_t)5 * IPC__LINE,
               "five lines");

/* ---- workers ---- */

#define IPC__CLAIMS 16

enum ipc__worker_phase {
    IPC__WORKER_NONE = 0,     /* no such worker */
    IPC__WORKER_STARTING = 1, /* no identity yet */
    IPC__WORKER_AWAKE = 2,
    IPC__WORKER_LOOKING = 3, /* for work: nobody else need be woken */
    IPC__WORKER_ASLEEP = 4,
    IPC__WORKER_LEAVING = 5, /* runs nothing any more, and ends by itself */
    IPC__WORKER_FAILED = 6   /* the same: its initializer has failed */
};

/* Written by the worker itself, but for what it is started with. */
struct ipc__worker {
    /* What it has taken out of the line of pending tasks, and not begun, or
     * what is left of that: index + 1.  Others may run them too: the record's
     * state decides. */
    _Alignas(IPC__LINE) uint32_t claims[IPC__CLAIMS];

    uint64_t id;      /* who it is; 0: not yet */
    uint32_t phase;   /* enum ipc__worker_phase; under the get guard */
    uint32_t running; /* index + 1 of what it runs now: for looking at */
    int64_t since;    /* when that was begun, coarsely */
    int64_t due;      /* when its time is up; 0: never */
    uint64_t done;    /* tasks */
    uint64_t failed;
    int32_t pid;
    uint32_t leave;  /* asked to: by the maker */
    uint32_t left;   /* it does not count any more; under the get guard */
    int32_t ready;   /* 1: its initializer is through; or how that failed */
    uint32_t due_of; /* index + 1 of what `due` is the time of; before due */
};

_Static_assert(sizeof(struct ipc__worker) == (size_t)3 * IPC__LINE,
               "three lines");

/* ---- processes that submit ---- */

#define IPC__CLIENTS   250
#define IPC__NO_CLIENT 0xffffu

/* A process: 0: free.  pid in the low half, start time in the high one. */
struct ipc__client {
    uint64_t id;
};

/* ---- the pool ---- */

#define IPC__POOL_MAGIC 0x6c6f6f702e637069ull

/* tail and head count by 4; the bits are: */
#define IPC__LINE_SLEEPERS 1u
#define IPC__LINE_CLOSED   2u /* tail only */
#define IPC__LINE_STEP     4u

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): that is the point */
struct ipc_pool {
    /* Never changes: */
    uint64_t magic;
    struct ipc_future *records;
    uint32_t *line;              /* of indexes of pending records */
    struct ipc__worker *workers; /* and one for IPC_WORKER_CALLER */
    uint32_t records_max;
    uint32_t line_mask;
    uint32_t workers_max;
    uint32_t kind;
    uint32_t max_pending;
    uint32_t max_tasks;
    uint32_t start_method;
    uint32_t flags;
    int64_t task_ns;
    int64_t grace_ns;
    int64_t idle_ns;
    int64_t deaths_ns;
    uint32_t max_deaths;
    uint64_t initializer; /* functions: as fn of a record */
    uint64_t finalizer;
    uint64_t image; /* whose functions have addresses here: process/entry.h */
    void *initializer_arg;
    struct ipc__maker *maker; /* in the private memory of its maker */
    uint64_t serial;          /* of this pool among those at this address */
    int32_t maker_pid;
    uint32_t min_workers;
    char name[32];

    /* Those who submit: */
    _Alignas(IPC__LINE) struct ipc__guard put_guard;
    uint32_t free_head; /* index + 1 */
    uint32_t made;      /* records that were ever used */
    uint32_t head_seen;
    uint32_t placing;         /* index + 1 of what is being put in the line; */
    uint32_t placing_tail;    /* at this place; */
    uint32_t placing_from;    /* and what its state was before */
    uint32_t wakes;           /* of workers, by those who submit */
    uint32_t wakes_saved;     /* tasks for which there was none */
    uint64_t kept;            /* bytes in the cells of free records; derived */
    uint32_t line_present;    /* entries that have memory; any of those who */
    uint32_t records_present; /* submit; and records */

    _Alignas(IPC__LINE) uint32_t tail; /* tasks ever put in line; futex word */

    /* Those who take: */
    _Alignas(IPC__LINE) struct ipc__guard get_guard;
    uint32_t tail_seen;
    uint32_t asleep;         /* workers */
    uint32_t wakes_seen;     /* by workers that came */
    uint32_t looking;        /* workers that have nothing to do, and spin */
    uint32_t living;         /* that have not left; derived */
    uint32_t workers_used;   /* those from here on are NONE; by the maker */
    uint32_t wanted;         /* workers; by the maker */
    uint64_t cancelled_seen; /* when the line was last looked through */

    _Alignas(IPC__LINE) uint32_t head; /* tasks ever taken; futex word */

    /* The supervisor sleeps on the bell; see supervisor.c. */
    _Alignas(IPC__LINE) uint32_t bell;
    uint32_t phase;        /* enum ipc__pool_phase; futex word */
    int64_t looks_at;      /* when the supervisor will look by itself */
    uint32_t shrunk;       /* there are fewer workers than wanted: ring */
    uint32_t interrupts;   /* ipc_pool_interrupt() was called so often */
    uint32_t clients_full; /* somebody found no place among them: ring */
    uint32_t broken;       /* 0, a positive errno, or IPC__MAKER_DIED */
    uint64_t tasks_before; /* of workers that are gone */
    uint64_t failed_before;
    uint64_t retried;
    uint64_t respawned;
    uint64_t lost; /* tasks that died with their workers */
    uint64_t cancelled;
    uint64_t supervisor; /* who it is; 0: there is none yet, or any more */
    char reason[128];    /* why it is broken; before `broken` */

    _Alignas(IPC__LINE) struct ipc__client clients[IPC__CLIENTS];
};

/* Broken by who has found that; without a reason of its own. */
#define IPC__MAKER_DIED 0x10000u

enum ipc__pool_phase {
    IPC__POOL_RUNNING = 0,
    IPC__POOL_CLOSING = 1, /* no more tasks; workers leave when there is none */
    IPC__POOL_ENDED = 2    /* all workers are gone */
};

#endif
