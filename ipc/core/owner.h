/* Owner words: 64 bits that say who owns something.
 *
 *     low half    the futex word, in the format that the kernel looks after:
 *                 tid | OWNER_DIED | WAITERS
 *     high half   the owner's birth: with the tid, its identity (peers.h)
 *
 * low half 0          free, whatever the high half says
 * tid                 owned
 * tid|OWNER_DIED      owned; the owner before died and what the word protects
 *                     has not been declared consistent yet
 * OWNER_DIED alone    (WAITERS perhaps) the owner died; marked by the kernel
 * all ones            given up: not recoverable
 *
 * Both the internal guard and the public lock are such a word.  They differ
 * in what stands behind them when the owner dies: the guard keeps
 * list_op_pending set while it is held, which costs two plain stores and
 * allows one guard at a time; the lock leaves it to the owner's life word,
 * and sets list_op_pending only while it waits. */
#ifndef IPC_CORE_OWNER_H
#define IPC_CORE_OWNER_H

#include <stdbool.h>
#include <stdint.h>

#include <ipc/error.h>
#include <ipc/time.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/peers.h"
#include "kernel/futex.h"

#define IPC__GIVEN_UP 0xffffffffu

/* Bits of the low half that no tid reaches: in words that the kernel does not
 * look at, for who uses the word. */
#define IPC__OWNER_SPARE 0x3fc00000u

/* Take a free word.  id is the caller's identity. */
static inline bool ipc__owner_try(uint64_t *word, uint64_t id)
{
    const uint64_t seen = load_relaxed(word);
    return likely((uint32_t)seen == 0) &&
           likely(cas64_acquire(word, seen, id)); /* [release→acquire] */
}

/* Take it, or wait for it.  The caller is registered for its address.  since
 * is that of the struct ipc__owned (core/check.h) that the word is the head
 * of: if it is 0 a waiter stores the time there.  NULL: it is a guard, of
 * which nothing is said in check mode.
 *
 * Returns 0; IPC_OWNER_DIED (the word has OWNER_DIED set then); -EDEADLK,
 * -ENOTRECOVERABLE, -EUCLEAN; -EAGAIN for a deadline of IPC_TIME_NOW,
 * -ETIMEDOUT for others.  In *seen, on failure, the word that was in the way.
 * list_op_pending is set to the word on return, also on failure. */
int ipc__owner_acquire(uint64_t *word, int64_t *since, ipc_deadline deadline,
                       uint64_t *seen);

/* Free an owned word whose WAITERS bit is set, and wake one sleeper, as one
 * step. */
void ipc__owner_release_waking(uint64_t *word);

/* The same, and in the same step wake up to count sleepers of another word. */
void ipc__owner_release_waking_also(uint64_t *word, const uint32_t *other,
                                    int count);

/* The caller owns the word and its robust list is of use.  When it next frees
 * the word, that step wakes a sleeper of *call too; and so does the kernel if
 * it dies before, unless it has taken another word meanwhile.  For that *call
 * becomes IPC__CALLED_LATER | its tid.  There is one such call at a time: an
 * earlier one is made now. */
void ipc__owner_wake_later(uint64_t *word, uint32_t *call);
#define IPC__CALLED_LATER FUTEX_BIT_WAITERS

/* Give it up and wake all sleepers, as one step. */
void ipc__owner_give_up(uint64_t *word);

/* Can any owner have written this word? */
bool ipc__owner_is_possible(uint64_t word);

/* Store the time in *since if it is 0.  since may be NULL. */
void ipc__owner_note_since(int64_t *since);

static inline uint32_t *ipc__owner_futex(uint64_t *word)
{
    return (uint32_t *)(void *)word; /* little-endian: the low half */
}

#endif
