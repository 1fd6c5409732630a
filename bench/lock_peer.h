/* One lock to be measured, and the loops that use it.
 *
 * Each peer has its own copy of the loops, in which its functions are called
 * by name, as a program would: a call through a pointer costs a nanosecond
 * that users do not pay. */
#ifndef IPC_BENCH_LOCK_PEER_H
#define IPC_BENCH_LOCK_PEER_H

#include "bench.h"

#define LOCK_LINE __attribute__((aligned(64)))

/* What the processes of a contest share, by cache lines. */
struct lock_contest {
    LOCK_LINE uint64_t guarded; /* how often anybody had the lock: under it */
    LOCK_LINE uint64_t stop;    /* set by the one who takes the time */
    uint64_t work_loops;        /* inside the lock; constant */
    struct {
        LOCK_LINE uint64_t won; /* how often this process had it */
    } member[BENCH_TEAM_MAX];
};

struct lock_peer {
    const char *name;
    bool contended; /* also measured with several processes */

    /* Make a free lock that children forked later can use; on a cache line
     * of its own, if it is in memory. */
    void *(*make)(void);
    void (*drop)(void *lock);

    /* Acquire and release it count times; false when a call fails. */
    bool (*pairs)(void *lock, uint64_t count);

    /* Acquire, work and release until the stop. */
    bool (*contend)(void *lock, struct lock_contest *contest, size_t index);
};

/* The tables end with a peer without a name. */
#ifdef __cplusplus
extern "C" {
#endif
extern const struct lock_peer lock_peers_libipc[];
extern const struct lock_peer lock_peers_system[];
extern const struct lock_peer lock_peers_boost[];
#ifdef __cplusplus
}
#endif

/* Define NAME_pairs() and NAME_contend().  ACQUIRE and RELEASE are functions
 * that take the lock and return 0 when it worked. */
#define LOCK_PEER_LOOPS(NAME, ACQUIRE, RELEASE)                                \
    static bool NAME##_pairs(void *lock, uint64_t count)                       \
    {                                                                          \
        for (uint64_t i = 0; i < count; i++) {                                 \
            if (ACQUIRE(lock) != 0)                                            \
                return false;                                                  \
            if (RELEASE(lock) != 0)                                            \
                return false;                                                  \
        }                                                                      \
        return true;                                                           \
    }                                                                          \
                                                                               \
    static bool NAME##_contend(void *lock, struct lock_contest *contest,       \
                               size_t index)                                   \
    {                                                                          \
        uint64_t won = 0;                                                      \
                                                                               \
        while (!__atomic_load_n(&contest->stop, __ATOMIC_RELAXED)) {           \
            if (ACQUIRE(lock) != 0)                                            \
                return false;                                                  \
            bench_work(contest->work_loops);                                   \
            contest->guarded++;                                                \
            if (RELEASE(lock) != 0)                                            \
                return false;                                                  \
            won++;                                                             \
        }                                                                      \
        contest->member[index].won = won;                                      \
        return true;                                                           \
    }

#endif
