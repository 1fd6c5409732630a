/* The owner word, as in ipc/core/owner.c: acquire with waiting, take-over from
 * the dead, release.  The low half only: a tid names one process for ever
 * here, which is what the birth in the high half is for.
 *
 * As a guard (GUARD) list_op_pending names the word from before the attempt to
 * after the release; as a lock only during the attempt.  With LIFE there are
 * life words that waiters sleep on too.  Without, a death is found by looking
 * at it, as where the table of slots is full.
 *
 * Options, besides those of kernel.pml:
 *   NO_ROBUST_LIST  list_op_pending is no use
 * and broken on purpose:
 *   NO_KEEP         WAITERS is not restored after a sleep
 *   GIVE_UP_FIRST   a waiter looks at its deadline before it sets WAITERS
 *   SPLIT_RELEASE   the store and the wake-up are two steps
 *   STEAL           everybody looks dead */

#define OWNER_DIED 64
#define WAITERS    128
#define GIVEN_UP   255
#define TID(value) ((value) & 7)

byte word;
byte pending; /* their list_op_pending names the word */
byte asleep;  /* sleep on the word */

/* What is true, whatever the word says. */
byte inside; /* took it, and has not given it back */
bit torn;    /* taken over from the dead, and not repaired since */

#ifdef LIFE
byte flagged;    /* their life words say that they are dead */
byte life_of[5]; /* sleeps on this one's life word too */
#    define SET_LIFE_OF(p, owner) life_of[p] = owner
#    define LOOKS_DEAD(p)         HAS(flagged, p)
#    define LETS_SLEEP(p)         (!HAS(flagged, p))
#else
#    define SET_LIFE_OF(p, owner) skip
#    define LOOKS_DEAD(p)         HAS(gone, p)
#    define LETS_SLEEP(p)         true
#endif
#ifdef STEAL
#    undef LOOKS_DEAD
#    define LOOKS_DEAD(p) true
#endif

#ifdef NO_ROBUST_LIST
#    define SET_PENDING skip
#else
#    define SET_PENDING ADD(pending, me)
#endif
#define CLEAR_PENDING REMOVE(pending, me)

/* ---- the kernel ---- */

#define ROUSE_ON_WORD(p) REMOVE(asleep, p); REMOVE(due, p); SET_LIFE_OF(p, 0)

inline wake_one()
{
    futex_wake_one(asleep, wakee);
    SET_LIFE_OF(any, 0)
}

inline wake_all()
{
    futex_wake_all(asleep, wakee);
    SET_LIFE_OF(1, 0);
    SET_LIFE_OF(2, 0);
    SET_LIFE_OF(3, 0);
    SET_LIFE_OF(4, 0)
}

#ifdef LIFE
inline wake_one_on_life(owner)
{
    if
    :: life_of[1] == owner -> any = 1
    :: life_of[2] == owner -> any = 2
    :: life_of[3] == owner -> any = 3
    :: life_of[4] == owner -> any = 4
    :: else -> any = 0
    fi;
    wake_any(asleep, wakee);
    SET_LIFE_OF(any, 0)
}

inline wake_all_on_life(owner)
{
    do
    :: life_of[1] == owner || life_of[2] == owner || life_of[3] == owner ||
       life_of[4] == owner ->
        wake_one_on_life(owner)
    :: else -> break
    od
}
#else
#    define wake_all_on_life(owner) skip
#endif

/* For list_op_pending.  (Newer kernels wake one also if the word is OWNER_DIED
 * alone.  What holds without holds with that.) */
inline handle_futex_death()
{
    if
    :: HAS(pending, me) && word == 0 -> wake_one()
    :: HAS(pending, me) && TID(word) == me ->
        word = (word & WAITERS) | OWNER_DIED;
        if
        :: (word & WAITERS) != 0 -> wake_one()
        :: else
        fi
    :: else
    fi;
    REMOVE(pending, me)
}

/* First the robust list, with the life word in it; then list_op_pending. */
#ifdef LIFE
#    define ROBUST_LIST ADD(flagged, me); wake_one_on_life(me) }; atomic {
#else
#    define ROBUST_LIST
#endif
#define OWNER_DIES                                                             \
    keep = 0;                                                                  \
    seen = 0;                                                                  \
    outcome = 0;                                                               \
    DIE;                                                                       \
    ROBUST_LIST                                                                \
    handle_futex_death();                                                      \
    ADD(gone, me)

/* ---- acquire ---- */

/* What came of it. */
#define HELD     1
#define REPAIR   2 /* IPC_OWNER_DIED */
#define NOT_HELD 3

#define IS_OWNED    (TID(word) != 0 && word != GIVEN_UP)
#define OWNER_DEAD  (IS_OWNED && LOOKS_DEAD(TID(word)))
#define OWNER_ALIVE (IS_OWNED && !LOOKS_DEAD(TID(word)))

#ifdef NO_KEEP
#    define KEEP 0
#else
#    define KEEP WAITERS
#endif

#ifdef GIVE_UP_FIRST
#    define OR_GIVE_UP_FIRST                                                   \
        :: atomic { OWNER_ALIVE && HAS_DEADLINE(me) ->                         \
            outcome = NOT_HELD; break }
#else
#    define OR_GIVE_UP_FIRST
#endif

inline take(how)
{
    inside = me;
    outcome = how;
    REMOVE(wakee, me);
    PROGRESS
}

inline take_over()
{
    assert(HAS(killed, inside));
    word = me | OWNER_DIED | (word & WAITERS) | keep;
    torn = 1;
    take(REPAIR)
}

/* After SET_PENDING.  keep, seen and outcome are the caller's. */
inline owner_acquire()
{
    do
    :: atomic { word == 0 ->
        assert(inside == 0 && !torn);
        word = me | keep;
        take(HELD);
        break }
    :: atomic { word == GIVEN_UP ->
        REMOVE(wakee, me);
        outcome = NOT_HELD;
        break }
    :: atomic { word != 0 && TID(word) == 0 ->
        take_over();
        break }
    :: atomic { OWNER_DEAD ->
        seen = word;
        wake_all_on_life(TID(seen)) };
        if
        :: atomic { word == seen -> take_over(); break }
        :: atomic { word != seen -> seen = 0 }
        OR_DIE
        fi
    OR_GIVE_UP_FIRST
    :: atomic { OWNER_ALIVE ->
        word = word | WAITERS;
        seen = word;
        REMOVE(wakee, me) }; /* its duty is the owner's now */
        if
        :: atomic { HAS_DEADLINE(me) -> outcome = NOT_HELD; break }
        :: atomic { word == seen && LETS_SLEEP(TID(seen)) ->
            keep = KEEP;
            ADD(asleep, me);
            SET_LIFE_OF(me, TID(seen));
            seen = 0 };
           UNTIL_ROUSED
        :: atomic { word != seen || !LETS_SLEEP(TID(seen)) ->
            keep = KEEP;
            seen = 0 }
        OR_DIE
        fi
    OR_DIE
    od
}

/* ---- release ---- */

#ifdef SPLIT_RELEASE
#    define FREE_AND_WAKE word = 0
#    define WAKE_AFTERWARDS                                                    \
        if                                                                     \
        :: (seen & (WAITERS | OWNER_DIED)) == WAITERS -> STEP(wake_one())      \
        :: else                                                                \
        fi;
#else
#    define FREE_AND_WAKE word = 0; wake_one()
#    define WAKE_AFTERWARDS
#endif

inline owner_release()
{
    STEP(
        assert(inside == me && TID(word) == me);
        seen = word;
        inside = 0;
        keep = 0;
        outcome = 0;
        PROGRESS;
        if
        :: (seen & OWNER_DIED) != 0 -> word = GIVEN_UP; torn = 0; wake_all()
        :: seen == me -> word = 0
        :: seen == (me | WAITERS) -> FREE_AND_WAKE
        fi);
    WAKE_AFTERWARDS
    seen = 0
}

/* The data is whole again. */
inline owner_consistent()
{
    STEP(word = word & ~OWNER_DIED; torn = 0)
}
