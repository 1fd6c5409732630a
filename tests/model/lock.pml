/* A lock, or with GUARD a guard: PROCESSES (3, or 4) acquire and release it,
 * ROUNDS times each.
 *
 * A wedge: somebody sleeps, and nobody holds it who is alive.
 *
 * Options, besides those of owner.pml:
 *   DEADLINES  one of them gives up waiting, at any time */

#ifndef ROUNDS
#    define ROUNDS 2
#endif
#ifndef PROCESSES
#    define PROCESSES 3
#endif

#ifdef DEADLINES
#    define HAS_DEADLINE(p) ((p) == PROCESSES)
#else
#    define HAS_DEADLINE(p) false
#endif

#define ASLEEP      asleep
#define ROUSE(p)    ROUSE_ON_WORD(p)
#define DEQUEUE(p)  ROUSE(p); REMOVE(wakee, p)
#define IS_WAKEE(p) HAS(wakee, p)
#define IS_WEDGED   (asleep != 0)
#define IS_LOST     (finished == EVERYBODY && word != 0 && word != GIVEN_UP)

#include "kernel.pml"
#include "owner.pml"
#include "judge.pml"

active [PROCESSES] proctype locker()
{
    byte keep, seen, outcome, round;

    do
    :: atomic { round < ROUNDS -> round++; SET_PENDING };
        owner_acquire();
#ifndef GUARD
        STEP(CLEAR_PENDING);
#endif
        if
        :: outcome == NOT_HELD -> keep = 0; seen = 0; outcome = 0
        :: outcome == HELD -> owner_release()
        :: outcome == REPAIR -> owner_consistent(); owner_release()
#ifndef GUARD
        :: outcome == REPAIR -> owner_release() /* gives it up */
#endif
        fi;
#ifdef GUARD
        STEP(CLEAR_PENDING)
#endif
    :: atomic { round == ROUNDS -> ADD(finished, me); goto end }
    OR_DIE
    od;
    atomic {
        skip;
dead:
        round = 0;
        OWNER_DIES
    };
end:
    skip
}
