/* A queue: two producers and two consumers, a guard, and two words that commit
 * what was done: tail, on which consumers sleep, and head.  Each producer puts
 * PUTS messages; consumers take as long as there are any.
 *
 *     put   lock; write the message; commit tail, and wake; unlock
 *     get   lock; is there one?  commit head; unlock
 *           else register as waiting; unlock; sleep while tail is as it was
 *
 * A wedge: a consumer sleeps although there is a message, or somebody sleeps
 * on the guard.  Nothing may be lost but by death: of the puts that returned
 * all are committed, and each dead consumer has taken one message at most.
 *
 * How a put commits and wakes:
 *   (none)              by FUTEX_WAKE_OP if anybody is registered
 *   WAKE_BEFORE_UNLOCK  commit; wake; unlock
 *   WAKE_AFTER_UNLOCK   commit; unlock; wake */

#ifndef PUTS
#    define PUTS 1
#endif
#define PROCESSES 4
#define GUARD

#define HAS_DEADLINE(p) false
#define ASLEEP          (asleep | on_tail)
#define ROUSE(p)        ROUSE_ON_WORD(p); REMOVE(on_tail, p)
#define DEQUEUE(p)      ROUSE(p); REMOVE(wakee, p); REMOVE(called, p)
#define IS_WAKEE(p)     (HAS(wakee, p) || HAS(called, p))
#define IS_WEDGED       (asleep != 0 || (head != tail && on_tail != 0))

#define DEAD_PRODUCERS (HAS(killed, 1) + HAS(killed, 2))
#define DEAD_CONSUMERS (HAS(killed, 3) + HAS(killed, 4))
#define IS_LOST                                                                \
    (in_queue != tail - head || tail < put || tail > put + DEAD_PRODUCERS ||   \
     head < got || head > got + DEAD_CONSUMERS)

#include "kernel.pml"
#include "owner.pml"

byte tail;
byte head;
byte waiting; /* registered: they may sleep on tail */
byte on_tail; /* sleep on tail */
byte called;  /* were woken on tail, and have not looked yet */

byte written; /* the messages of which slots were written */
byte in_queue;
byte put; /* how many have returned */
byte got;

#include "judge.pml"

#define WAKE_CONSUMER futex_wake_one(on_tail, called)
#define COMMITTED     in_queue++; assert(in_queue == tail - head); PROGRESS

inline guard_lock()
{
    owner_acquire();
    if
    :: outcome == REPAIR ->
        STEP(waiting = waiting & ~gone);
        owner_consistent()
    :: outcome == HELD
    fi
}

active [2] proctype producer()
{
    byte keep, seen, outcome, puts, at;
#ifdef WAKE_AFTER_UNLOCK
    bit call;
#endif

    do
    :: atomic { puts < PUTS -> puts++; SET_PENDING };
        guard_lock();
        STEP(at = tail; ADD(written, at));
#if defined WAKE_AFTER_UNLOCK
        STEP(tail = at + 1; at = 0; call = (waiting != 0); COMMITTED);
        owner_release();
        STEP(CLEAR_PENDING; put++);
        if
        :: call -> STEP(WAKE_CONSUMER; call = 0)
        :: else
        fi
#elif defined WAKE_BEFORE_UNLOCK
        STEP(tail = at + 1; at = 0; COMMITTED);
        if
        :: waiting != 0 -> STEP(WAKE_CONSUMER)
        :: else
        fi;
        owner_release();
        STEP(CLEAR_PENDING; put++)
#else
        STEP(
            if
            :: waiting != 0 -> tail = tail + 1; WAKE_CONSUMER
            :: else -> tail = at + 1
            fi;
            at = 0;
            COMMITTED);
        owner_release();
        STEP(CLEAR_PENDING; put++)
#endif
    :: atomic { puts == PUTS -> puts = 0; ADD(finished, me); goto end }
    OR_DIE
    od;
    atomic {
        skip;
dead:
        puts = 0;
        at = 0;
#ifdef WAKE_AFTER_UNLOCK
        call = 0;
#endif
        OWNER_DIES
    };
end:
    skip
}

active [2] proctype consumer()
{
    byte keep, seen, outcome, at;
    bit taken;

    do
    :: atomic { true -> SET_PENDING };
        guard_lock();
        STEP(
            REMOVE(waiting, me);
            REMOVE(called, me);
            if
            :: head != tail ->
                assert(HAS(written, head));
                head++;
                in_queue--;
                assert(in_queue == tail - head);
                taken = 1;
                PROGRESS
            :: else ->
                at = tail;
                ADD(waiting, me)
            fi);
        owner_release();
        if
        :: atomic { taken -> CLEAR_PENDING; taken = 0; got++ }
        :: atomic { !taken -> CLEAR_PENDING };
            if
            :: atomic { tail == at -> at = 0; ADD(on_tail, me) };
end_asleep:
                UNTIL_ROUSED
            :: atomic { tail != at -> at = 0 }
            OR_DIE
            fi
        OR_DIE
        fi
    OR_DIE
    od;
    atomic {
        skip;
dead:
        at = 0;
        taken = 0;
        OWNER_DIES
    }
}
