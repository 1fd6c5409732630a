/* Barrier: a fixed number of parties wait until all have come, as Python's
 * Barrier.
 *
 *     ipc_barrier *b;
 *     ipc_barrier_new(4, NULL, &b);
 *
 *     int place = ipc_barrier_wait(b);    // 0 to 3, in each of the four
 *     if (place == 0)
 *         print_totals();                 // one of them
 *
 * It can be used again at once, for the next phase.  When a party that waits
 * dies, or gives up waiting at its deadline, or somebody aborts, the barrier is
 * *broken*: all who wait, and all who come, get -ECANCELED, until
 * ipc_barrier_reset().  Nobody is ever let through short-handed.
 *
 * A party that dies before it comes is not missed by anybody, unless it has
 * told the barrier by ipc_barrier_enroll() that it will come: then its death
 * breaks it too, wherever it dies.
 *
 * IPC_BARRIER_SHRINK: a death makes the barrier smaller by one party instead
 * of breaking it, and lets the others through if they are complete now.
 * (The place that the dead one had in its phase is then nobody's.)
 *
 * Threads: any.  Processes: any that see the memory, of one pid namespace.
 * Signals: restart the wait; not for signal handlers.
 * Crash: robust.  A death is noticed at once by those who came after the dead
 * one, or within 200 ms by the re-check of the others. */
#ifndef IPC_BARRIER_H
#define IPC_BARRIER_H

#include <ipc/api.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

#define IPC_BARRIER_SHRINK 1u /* a death makes it smaller, not broken */

#define IPC_BARRIER_MAX 500 /* parties */

/* 4096 bytes. */
typedef struct ipc_barrier {
    uint64_t guard_;
    uint32_t phase_;   /* changes when all have come, or it breaks */
    uint32_t room_;    /* parties, as of the beginning */
    uint32_t parties_; /* parties left */
    uint32_t flags_;
    uint32_t came_; /* places given out in this phase */
    uint32_t padding_;
    uint32_t resetting_; /* a reset is under way */
    char label_[24];
    uint32_t reserved_;
    uint64_t acting_; /* who runs the action */
    uint64_t resets_; /* bit n: phase n, modulo 64, was ended by a reset */
    uint64_t more_[2];
    uint64_t party_[500]; /* who has come, or is enrolled */
} ipc_barrier;

typedef struct ipc_barrier_options {
    uint32_t size;     /* of this structure: IPC_BARRIER_OPTIONS_INIT */
    uint32_t flags;    /* IPC_BARRIER_... */
    const char *label; /* shown in error details; up to 23 bytes are kept */
} ipc_barrier_options;

#define IPC_BARRIER_OPTIONS_INIT                                               \
    {                                                                          \
        sizeof(ipc_barrier_options), 0, NULL                                   \
    }

/* Storage: as for locks, see lock.h; but zero-filled memory is no barrier
 * (-EUCLEAN).  parties is 1 to IPC_BARRIER_MAX, otherwise -EINVAL.  -EBUSY
 * from fini and free while a living thread waits. */
IPC_API int ipc_barrier_init(ipc_barrier *barrier, uint32_t parties,
                             const ipc_barrier_options *options) IPC_NONNULL(1);
IPC_API int ipc_barrier_fini(ipc_barrier *barrier) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_barrier_new(uint32_t parties,
                                         const ipc_barrier_options *options,
                                         ipc_barrier **out) IPC_NONNULL(3);
IPC_API int ipc_barrier_free(ipc_barrier *barrier);
IPC_API IPC_MUST_USE int ipc_barrier_create(const char *name, uint32_t parties,
                                            const ipc_barrier_options *options,
                                            ipc_barrier **out)
    IPC_NONNULL(1, 4);
IPC_API IPC_MUST_USE int ipc_barrier_open(const char *name, ipc_barrier **out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int
ipc_barrier_open_or_create(const char *name, uint32_t parties,
                           const ipc_barrier_options *options,
                           ipc_barrier **out) IPC_NONNULL(1, 4);
IPC_API int ipc_barrier_close(ipc_barrier *barrier);
IPC_API int ipc_barrier_unlink(const char *name) IPC_NONNULL(1);

/* Come, and wait until all parties have.  When a deadline passes the barrier
 * breaks, for everybody (as in Python).
 *
 * Returns the caller's place among the parties of this phase: 0 for the first
 * that came, parties - 1 for the last.
 * Errors: -ECANCELED it is broken; the detail says why; -ETIMEDOUT (_until)
 * it was the caller's deadline that broke it; -EAGAIN (_nowait) others are
 * missing, and the caller has not come; -EDEADLK the calling thread is inside
 * the barrier's action; -EUCLEAN; -EXDEV; -ENOMEM. */
IPC_API IPC_MUST_USE int ipc_barrier_wait(ipc_barrier *barrier) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_barrier_wait_nowait(ipc_barrier *barrier)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_barrier_wait_until(ipc_barrier *barrier,
                                                ipc_deadline deadline)
    IPC_NONNULL(1);

/* The same with an action: the party that comes last calls its action(arg)
 * before anybody goes on.  A negative result breaks the barrier, and is that
 * party's result; so does its death.  (Python gives the action to the
 * constructor; here it is each party's own, as functions have no address that
 * unrelated programs agree on.) */
IPC_API IPC_MUST_USE int
ipc_barrier_wait_action(ipc_barrier *barrier, int (*action)(void *arg),
                        void *arg, ipc_deadline deadline) IPC_NONNULL(1, 2);

/* Be one of the parties whether waiting or not: from now on the death of the
 * calling thread counts wherever it dies.  leave ends that.
 *
 * Errors: -EALREADY; -ENOSPC all parties are enrolled; leave: -ESRCH not
 * enrolled. */
IPC_API int ipc_barrier_enroll(ipc_barrier *barrier) IPC_NONNULL(1);
IPC_API int ipc_barrier_leave(ipc_barrier *barrier) IPC_NONNULL(1);

/* Break it: all who wait get -ECANCELED. */
IPC_API int ipc_barrier_abort(ipc_barrier *barrier) IPC_NONNULL(1);

/* Make it whole and empty.  Those who wait get -ECANCELED. */
IPC_API int ipc_barrier_reset(ipc_barrier *barrier) IPC_NONNULL(1);

/* As of what has been noticed: see Crash, above. */
IPC_API bool ipc_barrier_is_broken(ipc_barrier *barrier) IPC_NONNULL(1);

/* How many have come in this phase; how many it takes. */
IPC_API uint32_t ipc_barrier_waiting(ipc_barrier *barrier) IPC_NONNULL(1);
IPC_API uint32_t ipc_barrier_parties(const ipc_barrier *barrier) IPC_NONNULL(1);

IPC_END_DECLS

#endif
