/* Futures, for those who complete them and those who run them. */
#ifndef IPC_POOL_FUTURE_H
#define IPC_POOL_FUTURE_H

#include "base/atomic.h"
#include "core/peers.h"
#include "pool/layout.h"

/* The bell: a word of the family.  It rings when a future that has IPC__BELL
 * set is final.  Who waits for many futures at once reads it, sets IPC__BELL in
 * each, looks whether any is final, and sleeps on the bell.
 *
 *     bit 0       somebody may sleep on this value
 *     bits 1-31   how often it rang */
#define IPC__BELL_SLEEPERS 1u
uint32_t *ipc__future_bell(void);
void ipc__future_ring(void);

/* Make a RUNNING future final: the caller is who runs it, or has found that one
 * dead.  What goes with it was stored before.  Returns the word that it had
 * then, with flags; the caller sees to IPC__ABANDONED and IPC__TERMINATE. */
uint32_t ipc__future_complete(struct ipc_future *future,
                              enum ipc__future_state state);

/* PENDING to CANCELLED: true; false: it was not pending any more.  The caller
 * sees to IPC__ABANDONED. */
bool ipc__future_cancel_pending(struct ipc_future *future);

/* The same for any way to end: kind and status as in ipc_exception;
 * CANCELLED with -ECANCELED is as above.  *word: its state until then. */
bool ipc__future_end_pending(struct ipc_future *future, uint32_t kind,
                             int status, uint32_t *word);

/* Set a flag while it is pending or runs; false: it is not. */
bool ipc__future_set_flag(struct ipc_future *future, uint32_t flag);

/* Say what went wrong; before ipc__future_complete(FAILED).  The message is
 * kept in the record: where the result would have been, or not at all. */
void ipc__future_blame(struct ipc_future *future, uint32_t kind, int status,
                       const char *message);

/* Where its argument and its result lie; the result's room is that of
 * result_bytes.  NULL if there are none. */
void *ipc__future_arg(struct ipc_future *future);
void *ipc__future_data(struct ipc_future *future);

/* Have room for a result of so many bytes, zero-filled; what there was is lost.
 * Sets result_bytes.  0; -ENOMEM, -EMSGSIZE, and then there is none. */
int ipc__future_make_room(struct ipc_future *future, size_t bytes);

/* Is it one of ours, and not freed, as far as can be told?  0, or -EINVAL. */
int ipc__future_check(const struct ipc_future *future);

/* Give it back, which is final: to its pool's table, or a promise to the
 * family.  0 or -EINVAL. */
int ipc__future_dispose(struct ipc_future *future);

/* Wait until it is final.  0, -EAGAIN, -ETIMEDOUT, -EINVAL, -EDEADLK. */
int ipc__future_await(struct ipc_future *future, ipc_deadline deadline);

/* Does the calling thread run it, or what waits for what the thread runs? */
bool ipc__future_is_own(const struct ipc_future *future);

/* Somebody whose death leaves it for ever as it is, by word: who runs it, if
 * that is told by `runner`; or its pool's supervisor.  0: nobody. */
uint64_t ipc__future_guardian(const struct ipc_future *future, uint32_t word);

/* For who waits for it.  Look at its guardian: if that one is dead the future
 * is made final, and true is returned, unless its worker lives; else on whose
 * life to sleep is in *out. */
bool ipc__future_look(struct ipc_future *future, uint32_t word, bool thorough,
                      struct ipc__peer *out);

/* It will be slept on: set IPC__SLEEPERS in its word, which is *word and not
 * final.  False: it has changed. */
static inline bool ipc__future_mark(struct ipc_future *future, uint32_t *word)
{
    if ((*word & IPC__SLEEPERS) == 0 &&
        !cas32_relaxed(&future->state, *word, *word | IPC__SLEEPERS))
        return false;
    *word |= IPC__SLEEPERS;
    return true;
}

/* Does `runner` say who runs it? */
#define IPC__RUNNER_IS_NAMED (IPC__PROMISE_RUNNER << IPC__RUNNER_SHIFT)
static inline bool ipc__future_has_runner(uint32_t word)
{
    return word >= IPC__RUNNER_IS_NAMED;
}

/* Have runner name the caller, if it names nobody who lives.  0; -EALREADY;
 * -ENOMEM and the like if the calling thread cannot be known. */
int ipc__future_claim_runner(struct ipc_future *future);

/* Become the one who runs a pending one, without being a worker.  wake: those
 * who sleep are to watch over the caller.  0; -ECANCELED; and as above. */
int ipc__future_claim(struct ipc_future *future, bool wake);

/* A promise's record is followed by room for its result, so much at least: a
 * message fits. */
#define IPC__PROMISE_ROOM 192

#define IPC__RESULT_MAX ((size_t)1 << 30)

#endif
