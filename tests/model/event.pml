/* An event, as in ipc/sync/event.c: one word that says whether it is set,
 * whether somebody may sleep on it, and how often it was cleared.  Two
 * processes set it and clear it again at once, ROUNDS times each, and two wait
 * for it as often.
 *
 * A wedge: somebody sleeps although a set took effect since it began to wait.
 * And who returns from a wait must have had such a set, or have found the
 * event set when it began.
 *
 * Broken on purpose:
 *   SPLIT_SET  the store and the wake-up are two steps
 *   WAKE_ONE   a set wakes one
 *   NO_COUNT   clears are not counted */

#ifndef ROUNDS
#    define ROUNDS 2
#endif
#define PROCESSES 4

#define HAS_DEADLINE(p) false
#define ASLEEP          asleep
#define ROUSE(p)        REMOVE(asleep, p); REMOVE(due, p)
#define DEQUEUE(p)      ROUSE(p); REMOVE(wakee, p)
#define IS_WAKEE(p)     HAS(wakee, p)
#define IS_WEDGED       ((asleep & owed) != 0)
#define IS_LOST         false

#include "kernel.pml"

#define SET          1
#define SLEEPERS     2
#define COUNT(value) ((value) >> 2)

#define IS_SET       ((word & SET) != 0)
#define HAS_SLEEPERS ((word & SLEEPERS) != 0)
#ifdef NO_COUNT
#    define CLEARED 0
#else
#    define CLEARED ((COUNT(word) + 1) << 2)
#endif

byte word;
byte asleep; /* sleep on the word */

/* What is true, whatever the word says. */
byte begun; /* wait, and found it not set when they began */
byte owed;  /* and a set took effect since */

#include "judge.pml"

/* What a set does: effective at once, and for nobody if it was set already. */
inline or_set()
{
    if
    :: !IS_SET -> owed = owed | begun
    :: else
    fi;
    word = word | SET;
    PROGRESS
}

#if defined SPLIT_SET
#    define OR_SET_AND_WAKE                                                    \
        STEP(or_set());                                                        \
        STEP(futex_wake_all(asleep, wakee))
#elif defined WAKE_ONE
#    define OR_SET_AND_WAKE STEP(or_set(); futex_wake_one(asleep, wakee))
#else
#    define OR_SET_AND_WAKE STEP(or_set(); futex_wake_all(asleep, wakee))
#endif

inline event_set()
{
    do
    :: atomic { IS_SET -> break }
    :: atomic { !IS_SET && !HAS_SLEEPERS -> or_set(); break }
    :: atomic { !IS_SET && HAS_SLEEPERS -> skip };
        OR_SET_AND_WAKE;
        break
    OR_DIE
    od
}

inline event_clear()
{
    STEP(
        if
        :: IS_SET -> word = CLEARED
        :: else
        fi)
}

#define WAS_SET (IS_SET || COUNT(word) != count)

/* count and seen are the caller's. */
inline event_wait()
{
    STEP(
        count = COUNT(word);
        if
        :: !IS_SET -> ADD(begun, me)
        :: else
        fi);
    do
    :: atomic { WAS_SET ->
        assert(HAS(owed, me) || !HAS(begun, me));
        REMOVE(begun, me);
        REMOVE(owed, me);
        REMOVE(wakee, me);
        PROGRESS;
        count = 0;
        break }
    :: atomic { !WAS_SET -> word = word | SLEEPERS; seen = word };
        if
        :: atomic { word == seen -> ADD(asleep, me); REMOVE(wakee, me);
            seen = 0 };
end_asleep:
            UNTIL_ROUSED
        :: atomic { word != seen -> seen = 0 }
        OR_DIE
        fi
    OR_DIE
    od
}

active [2] proctype setter()
{
    byte round;

    do
    :: atomic { round < ROUNDS -> round++ };
        event_set();
        event_clear()
    :: atomic { round == ROUNDS -> round = 0; ADD(finished, me); goto end }
    od;
    atomic {
        skip;
dead:
        round = 0;
        DIE;
        ADD(gone, me)
    };
end:
    skip
}

active [2] proctype waiter()
{
    byte round, count, seen;

    do
    :: atomic { round < ROUNDS -> round++ };
        event_wait()
    :: atomic { round == ROUNDS -> round = 0; ADD(finished, me); goto end }
    od;
    atomic {
        skip;
dead:
        round = 0;
        count = 0;
        seen = 0;
        REMOVE(begun, me);
        REMOVE(owed, me);
        DIE;
        ADD(gone, me)
    };
end:
    skip
}
