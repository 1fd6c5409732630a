/* What is measured of semaphores, locks, rwlocks, events, conditions and
 * barriers, and the loops that use them.
 *
 * Each peer has its own copy of the loops, in which its functions are called by
 * name, as a program would: a call through a pointer costs a nanosecond that
 * users do not pay. */
#ifndef IPC_BENCH_SYNC_PEER_H
#define IPC_BENCH_SYNC_PEER_H

#include "bench.h"

#define SYNC_LINE __attribute__((aligned(64)))

/* Make an object that children forked later can use; on cache lines of its
 * own, if it is in memory.  n is what that kind of object is made with. */
typedef void *sync_make_fn(uint32_t n);
typedef void sync_drop_fn(void *object);
typedef bool sync_pairs_fn(void *object, uint64_t count);

/* ---- what several want at once ---- */

/* What the processes of a contest share, by cache lines. */
struct sync_contest {
    SYNC_LINE uint64_t guarded; /* how often it was had, or written: under it */
    SYNC_LINE uint64_t twin;    /* the same, when nobody writes */
    SYNC_LINE uint64_t stop;    /* set by the one who takes the time */
    uint64_t write_percent;     /* constant */
    uint64_t work_loops;        /* while having it; constant */
    struct {
        SYNC_LINE uint64_t won; /* how often this process has had it */
    } member[BENCH_TEAM_MAX];
};

/* Acquire, work and release until the stop.  False when a call fails, and when
 * somebody wrote while others read. */
typedef bool sync_contend_fn(void *object, struct sync_contest *contest,
                             size_t index);

/* A lock or a semaphore. */
struct sync_holdable {
    const char *name;
    sync_make_fn *make; /* with n permits, all free; locks: 1 */
    sync_drop_fn *drop;
    sync_pairs_fn *pairs;
    sync_contend_fn *contend; /* NULL: not measured */
};

struct sync_rwlock {
    const char *name;
    sync_make_fn *make;
    sync_drop_fn *drop;
    sync_pairs_fn *read_pairs;
    sync_pairs_fn *write_pairs;
    sync_contend_fn *contend;
};

/* ---- two players who wait for each other: event, condition, ... ---- */

struct sync_match {
    const char *name;
    bool apart;         /* never sleeps: each player needs a CPU of his own */
    sync_make_fn *make; /* it is the turn of player 0 */
    sync_drop_fn *drop;

    /* Wait for my turn and make it the other's, count times. */
    bool (*turns)(void *object, size_t me, uint64_t count);

    /* The same as player 1, who has had done turns, until he has had *last of
     * them; player 0 stores it before he has his own turn of that number. */
    bool (*follow)(void *object, uint64_t done, const uint64_t *last);
};

/* ---- a barrier ---- */

struct sync_barrier {
    const char *name;
    sync_make_fn *make; /* for n parties */
    sync_drop_fn *drop;
    sync_pairs_fn *rounds; /* wait with all others, count times */
};

/* ---- the peers ---- */

/* Each table ends with a peer without a name; NULL where there is none. */
struct sync_peers {
    const struct sync_holdable *semaphores;
    const struct sync_holdable *locks;
    const struct sync_rwlock *rwlocks;
    const struct sync_match *events;
    const struct sync_match *conditions;
    const struct sync_barrier *barriers;
};

#ifdef __cplusplus
extern "C" {
#endif
extern const struct sync_peers sync_peers_libipc;
extern const struct sync_peers sync_peers_system;
extern const struct sync_peers sync_peers_raw;
extern const struct sync_peers sync_peers_boost;
#ifdef __cplusplus
}
#endif

/* ---- loops ---- */

/* One more.  With several permits two at a time may count as one. */
static inline void sync_count(uint64_t *count)
{
    __atomic_store_n(count, __atomic_load_n(count, __ATOMIC_RELAXED) + 1,
                     __ATOMIC_RELAXED);
}

/* The next random number, of 31 bits. */
static inline uint64_t sync_draw(uint64_t *random)
{
    *random =
        *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *random >> 33;
}

/* Define NAME_pairs().  ACQUIRE and RELEASE are functions that take the object
 * and return 0 when it worked. */
#define SYNC_PAIRS_LOOP(NAME, ACQUIRE, RELEASE)                                \
    static bool NAME##_pairs(void *object, uint64_t count)                     \
    {                                                                          \
        for (uint64_t i = 0; i < count; i++) {                                 \
            if (ACQUIRE(object) != 0)                                          \
                return false;                                                  \
            if (RELEASE(object) != 0)                                          \
                return false;                                                  \
        }                                                                      \
        return true;                                                           \
    }

/* Define NAME_pairs() and NAME_contend(). */
#define SYNC_HOLDABLE_LOOPS(NAME, ACQUIRE, RELEASE)                            \
    SYNC_PAIRS_LOOP(NAME, ACQUIRE, RELEASE)                                    \
                                                                               \
    static bool NAME##_contend(void *object, struct sync_contest *contest,     \
                               size_t index)                                   \
    {                                                                          \
        while (!__atomic_load_n(&contest->stop, __ATOMIC_RELAXED)) {           \
            if (ACQUIRE(object) != 0)                                          \
                return false;                                                  \
            bench_work(contest->work_loops);                                   \
            sync_count(&contest->guarded);                                     \
            if (RELEASE(object) != 0)                                          \
                return false;                                                  \
            sync_count(&contest->member[index].won);                           \
        }                                                                      \
        return true;                                                           \
    }

/* Define NAME_contend() of an rwlock.  Who writes when is random, and the same
 * for all peers and rounds. */
#define SYNC_RWLOCK_LOOP(NAME, READ, READ_END, WRITE, WRITE_END)               \
    static bool NAME##_contend(void *lock, struct sync_contest *contest,       \
                               size_t index)                                   \
    {                                                                          \
        uint64_t random = index;                                               \
                                                                               \
        while (!__atomic_load_n(&contest->stop, __ATOMIC_RELAXED)) {           \
            if (sync_draw(&random) % 100 < contest->write_percent) {           \
                if (WRITE(lock) != 0)                                          \
                    return false;                                              \
                sync_count(&contest->guarded);                                 \
                bench_work(contest->work_loops);                               \
                sync_count(&contest->twin);                                    \
                if (WRITE_END(lock) != 0)                                      \
                    return false;                                              \
            } else {                                                           \
                uint64_t found;                                                \
                                                                               \
                if (READ(lock) != 0)                                           \
                    return false;                                              \
                found = __atomic_load_n(&contest->guarded, __ATOMIC_RELAXED);  \
                bench_work(contest->work_loops);                               \
                if (__atomic_load_n(&contest->twin, __ATOMIC_RELAXED) !=       \
                    found)                                                     \
                    return false;                                              \
                if (READ_END(lock) != 0)                                       \
                    return false;                                              \
            }                                                                  \
            sync_count(&contest->member[index].won);                           \
        }                                                                      \
        return true;                                                           \
    }

/* Define NAME_turns() and NAME_follow().  TURN takes the object and which
 * player it is, and returns 0 when it worked. */
#define SYNC_MATCH_LOOPS(NAME, TURN)                                           \
    static bool NAME##_turns(void *object, size_t me, uint64_t count)          \
    {                                                                          \
        for (uint64_t i = 0; i < count; i++) {                                 \
            if (TURN(object, me) != 0)                                         \
                return false;                                                  \
        }                                                                      \
        return true;                                                           \
    }                                                                          \
                                                                               \
    static bool NAME##_follow(void *object, uint64_t done,                     \
                              const uint64_t *last)                            \
    {                                                                          \
        do {                                                                   \
            if (TURN(object, 1) != 0)                                          \
                return false;                                                  \
            done++;                                                            \
        } while (__atomic_load_n(last, __ATOMIC_RELAXED) != done);             \
        return true;                                                           \
    }

/* Define NAME_rounds().  WAIT takes the barrier and returns false when it did
 * not work. */
#define SYNC_BARRIER_LOOP(NAME, WAIT)                                          \
    static bool NAME##_rounds(void *barrier, uint64_t count)                   \
    {                                                                          \
        for (uint64_t i = 0; i < count; i++) {                                 \
            if (!WAIT(barrier))                                                \
                return false;                                                  \
        }                                                                      \
        return true;                                                           \
    }

#endif
