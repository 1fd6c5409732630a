/* Models of ipc's protocols for Spin (run.sh runs them): processes that may be
 * killed at any step, and the part of Linux that they rely on.  This file is
 * what all of them share; owner.pml is the owner word, and lock.pml, queue.pml
 * and event.pml are models.
 *
 * A model is a set of processes, numbered from 1 to PROCESSES, that share
 * words.  Each access to a shared word is one step, and instead of any step a
 * process may be killed: DEATHS times in all.  Spin tries every order of the
 * steps, so a kill falls before and after each.  Sets of processes are bit
 * masks.
 *
 * One step is
 *   - one access.  A load whose value only decides the CAS or the store that
 *     follows is one step with it: a CAS that fails has done nothing, and the
 *     loop around it begins again; and what the guard protects nobody else
 *     changes meanwhile (that is asserted);
 *   - one system call on a futex.  FUTEX_WAKE_OP changes and wakes; a wait
 *     compares and goes to sleep.  The one of many who is woken is any;
 *   - a death, with what the kernel does about one word of the dead: a killed
 *     process does nothing between its last step and that.
 * Memory is accessed in the order of the program: whether weaker orders are
 * enough is for ThreadSanitizer to say.
 *
 * The re-check: when nothing else can move, the timers of all who sleep run
 * out together, and each looks again, in any order.  Something must have been
 * achieved before that happens a second time.  So a hang is a state, not an
 * endless loop, and there are few states; 100 ms are long beside all that
 * moves.  A re-check while others run is a wake-up for no reason: EARLY of
 * those happen, at any time.
 *
 * A model says what a wedge is (IS_WEDGED): nothing moves, not even after the
 * re-check if there is one, although somebody waits for what is there.  Spin
 * itself reports states in which nothing moves and not all are asleep, dead or
 * finished.
 *
 * Options, by -D:
 *   DEATHS=n     how many may be killed
 *   RECHECK      there is a re-check
 *   EARLY=n      so many wake up for no reason
 *   SPARE_WAKEE  nobody is killed who was woken and has not yet done what for
 *   SPARE_OWNER  nobody is killed who owns the owner word */

#ifndef DEATHS
#    define DEATHS 0
#endif
#ifndef EARLY
#    define EARLY 0
#endif

#define me _pid /* the first process to start is the judge: 0 */

#define BIT(p)         (1 << (p))
#define EVERYBODY      (BIT(PROCESSES + 1) - 2)
#define HAS(set, p)    (((set) & BIT(p)) != 0)
#define ADD(set, p)    set = (set) | BIT(p)
#define REMOVE(set, p) set = (set) & ~BIT(p)

byte deaths;
byte early;
byte killed;   /* they run no more */
byte gone;     /* and the kernel has done for them what it does */
byte finished; /* they have nothing left to do */
byte wakee;    /* were woken, and have not done what for */
byte due;      /* sleep, and their timers have run out */
bit ticked;    /* since something was achieved last */
bit wedged;

/* Something has been achieved. */
#define PROGRESS ticked = 0

/* ---- to be killed ---- */

#ifdef SPARE_WAKEE
#    define IS_SPARED_WAKEE IS_WAKEE(me)
#else
#    define IS_SPARED_WAKEE false
#endif
#ifdef SPARE_OWNER
#    define IS_SPARED_OWNER (inside == me)
#else
#    define IS_SPARED_OWNER false
#endif

/* In place of any step.  The label dead is inside an atomic sequence, so that
 * the jump and the DIE behind it are one step. */
#define OR_DIE                                                                 \
    :: atomic { deaths < DEATHS && !IS_SPARED_WAKEE && !IS_SPARED_OWNER ->     \
        goto dead }

/* DEQUEUE is the model's: takes one out of all sets of those who sleep. */
#define DIE                                                                    \
    deaths++;                                                                  \
    ADD(killed, me);                                                           \
    DEQUEUE(me);                                                               \
    PROGRESS

#define STEP(...)                                                              \
    if                                                                         \
    :: atomic { __VA_ARGS__ }                                                  \
    OR_DIE                                                                     \
    fi

/* ---- to sleep and to be woken ---- */

/* Models have ASLEEP, the set of all who sleep, and ROUSE, which takes one out
 * of it. */
#define UNTIL_ROUSED                                                           \
    if                                                                         \
    :: atomic { !HAS(ASLEEP, me) -> skip }                                     \
    :: atomic { HAS(due, me) -> ROUSE(me) }                                    \
    :: atomic { HAS_DEADLINE(me) && HAS(ASLEEP, me) -> ROUSE(me) }             \
    :: atomic { early < EARLY && HAS(ASLEEP, me) -> early++; ROUSE(me) }       \
    OR_DIE                                                                     \
    fi

hidden byte any; /* within a step: one of a set; 0: it is empty */

inline choose_any(set)
{
    if
    :: HAS(set, 1) -> any = 1
    :: HAS(set, 2) -> any = 2
    :: HAS(set, 3) -> any = 3
    :: HAS(set, 4) -> any = 4
    :: else -> any = 0
    fi
}

inline wake_any(sleepers, woken)
{
    REMOVE(sleepers, any);
    REMOVE(due, any);
    woken = (woken | BIT(any)) & EVERYBODY
}

inline futex_wake_one(sleepers, woken)
{
    choose_any(sleepers);
    wake_any(sleepers, woken)
}

inline futex_wake_all(sleepers, woken)
{
    due = due & ~sleepers;
    woken = woken | sleepers;
    sleepers = 0
}
