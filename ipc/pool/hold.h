/* Holds: maps and imaps that have begun.  A pool that is shut down, and not to
 * cancel, takes nothing more, but for what these have yet to submit; and it does
 * not end before them.
 *
 * A hold is one word: the thread that has it, as peers.h names it, and flags; or
 * 0.  So one whose thread has died is none.
 *
 * Order
 *   [hold→close]  who begins stores its hold and then looks whether the line is
 *   closed; the supervisor closes the line and then looks for holds;
 *   [request→put]  what is asked is stored before what is pending is cancelled;
 *   who puts something in a closed line looks at it afterwards. */
#ifndef IPC_POOL_HOLD_H
#define IPC_POOL_HOLD_H

#include "pool/layout.h"

#define IPC__HOLD_WATCHED  0x40000000u /* the supervisor sleeps on the word */
#define IPC__HOLD_RELEASED 0x80000000u /* it counts no more */

/* More than these, of each kind, are not held: they are broken off. */
#define IPC__HOLDS 256u

/* In family memory, behind the workers of a pool. */
struct ipc__holds {
    uint64_t maps[IPC__HOLDS];
    uint64_t imaps[IPC__HOLDS];
    uint32_t request; /* the most that was asked: enum ipc__pool_request */
    uint32_t reserved[15];
};

static inline struct ipc__holds *ipc__holds_of(const struct ipc_pool *pool)
{
    return (struct ipc__holds *)(void *)&pool
        ->workers[IPC_POOL_WORKERS_MAX + 1];
}

/* Hold a pool by one of its words for holds of a kind; NULL: it is shut down
 * already, or there is no room. */
uint64_t *ipc__hold_begin(struct ipc_pool *pool, uint64_t *holds);

/* It is the calling thread's from now on. */
void ipc__hold_follow(struct ipc_pool *pool, uint64_t *hold);

/* The pool may be gone when this returns.  NULL is fine. */
void ipc__hold_end(uint64_t *hold);

/* May its holder submit, although the pool is shut down?  0; -EPIPE, -ECANCELED,
 * -ENOTRECOVERABLE. */
int ipc__hold_check(struct ipc_pool *pool, const uint64_t *hold);

/* Has its thread died?  thorough: where that takes a system call. */
bool ipc__hold_is_dead(struct ipc_pool *pool, uint64_t hold, bool thorough);

/* The calling thread will wait for the end of the pool: nobody is to wait for
 * holds of its own.  And: the process ends, no imap is waited for. */
void ipc__holds_release_own(struct ipc_pool *pool);
void ipc__holds_release_imaps(struct ipc_pool *pool);

#endif
