/* The objects of libipc, in family memory, through the shared library. */
#include "sync_peer.h"

#include <ipc/barrier.h>
#include <ipc/condition.h>
#include <ipc/error.h>
#include <ipc/event.h>
#include <ipc/lock.h>
#include <ipc/rlock.h>
#include <ipc/rwlock.h>
#include <ipc/semaphore.h>
#include <ipc/shared.h>

#include <err.h>
#include <stdlib.h>

static void check(int rc, const char *call)
{
    if (rc != 0)
        errx(EXIT_FAILURE, "%s: %s %s", call, ipc_strerror(rc),
             ipc_error_detail());
}

/* ---- semaphore ---- */

SYNC_HOLDABLE_LOOPS(semaphore, ipc_semaphore_acquire, ipc_semaphore_release)

static void *semaphore_make(uint32_t permits, uint32_t flags)
{
    ipc_semaphore_options options = IPC_SEMAPHORE_OPTIONS_INIT;
    ipc_semaphore *semaphore;

    options.flags = flags;
    check(ipc_semaphore_new(permits, &options, &semaphore),
          "ipc_semaphore_new");
    return semaphore;
}

static void *plain_make(uint32_t permits)
{
    return semaphore_make(permits, 0);
}

static void *bounded_make(uint32_t permits)
{
    return semaphore_make(permits, IPC_SEMAPHORE_BOUNDED);
}

static void *tracked_make(uint32_t permits)
{
    return semaphore_make(permits, IPC_SEMAPHORE_TRACKED);
}

static void *fair_make(uint32_t permits)
{
    return semaphore_make(permits, IPC_SEMAPHORE_FAIR);
}

static void semaphore_drop(void *semaphore)
{
    check(ipc_semaphore_free(semaphore), "ipc_semaphore_free");
}

static const struct sync_holdable semaphores[] = {
    {"libipc", plain_make, semaphore_drop, semaphore_pairs, semaphore_contend},
    {"libipc-bounded", bounded_make, semaphore_drop, semaphore_pairs, NULL},
    {"libipc-tracked", tracked_make, semaphore_drop, semaphore_pairs,
     semaphore_contend},
    {"libipc-fair", fair_make, semaphore_drop, semaphore_pairs,
     semaphore_contend},
    {0},
};

/* ---- lock ---- */

SYNC_HOLDABLE_LOOPS(lock, ipc_lock_acquire, ipc_lock_release)

static void *lock_make(uint32_t flags)
{
    ipc_lock_options options = IPC_LOCK_OPTIONS_INIT;
    ipc_lock *lock;

    options.flags = flags;
    check(ipc_lock_new(&options, &lock), "ipc_lock_new");
    return lock;
}

static void *unfair_lock_make(uint32_t n)
{
    (void)n;
    return lock_make(0);
}

static void *fair_lock_make(uint32_t n)
{
    (void)n;
    return lock_make(IPC_LOCK_FAIR);
}

static void lock_drop(void *lock)
{
    check(ipc_lock_free(lock), "ipc_lock_free");
}

static const struct sync_holdable locks[] = {
    {"libipc", unfair_lock_make, lock_drop, lock_pairs, lock_contend},
    {"libipc-fair", fair_lock_make, lock_drop, lock_pairs, lock_contend},
    {0},
};

/* ---- rwlock ---- */

SYNC_PAIRS_LOOP(read, ipc_rwlock_acquire_read, ipc_rwlock_release)
SYNC_PAIRS_LOOP(write, ipc_rwlock_acquire_write, ipc_rwlock_release)
SYNC_RWLOCK_LOOP(rwlock, ipc_rwlock_acquire_read, ipc_rwlock_release,
                 ipc_rwlock_acquire_write, ipc_rwlock_release)

static void *rwlock_make(uint32_t n)
{
    ipc_rwlock *rwlock;

    (void)n;
    check(ipc_rwlock_new(NULL, &rwlock), "ipc_rwlock_new");
    return rwlock;
}

static void rwlock_drop(void *rwlock)
{
    check(ipc_rwlock_free(rwlock), "ipc_rwlock_free");
}

static const struct sync_rwlock rwlocks[] = {
    {"libipc", rwlock_make, rwlock_drop, read_pairs, write_pairs,
     rwlock_contend},
    {0},
};

/* ---- event: one for each player ---- */

struct table {
    ipc_event *turn_of[2];
};

static int event_turn(const struct table *table, size_t me)
{
    ipc_event *mine = table->turn_of[me];

    if (ipc_event_wait(mine) != 0 || ipc_event_clear(mine) != 0)
        return -1;
    return ipc_event_set(table->turn_of[1 - me]);
}

SYNC_MATCH_LOOPS(event, event_turn)

static void *event_make(uint32_t n)
{
    static struct table table;

    (void)n;
    for (size_t i = 0; i < 2; i++)
        check(ipc_event_new(NULL, &table.turn_of[i]), "ipc_event_new");
    check(ipc_event_set(table.turn_of[0]), "ipc_event_set");
    return &table;
}

static void event_drop(void *object)
{
    const struct table *table = object;

    for (size_t i = 0; i < 2; i++)
        check(ipc_event_free(table->turn_of[i]), "ipc_event_free");
}

static const struct sync_match events[] = {
    {"libipc", false, event_make, event_drop, event_turns, event_follow},
    {0},
};

/* ---- condition ---- */

struct box {
    ipc_lock lock;
    ipc_condition passed;
    size_t turn;
};

static int take_turn(struct box *box, size_t me)
{
    if (ipc_lock_acquire(&box->lock) != 0)
        return -1;
    while (box->turn != me) {
        if (ipc_condition_wait(&box->passed, &box->lock) != 0)
            return -1;
    }
    box->turn = 1 - me;
    return 0;
}

static int condition_turn(struct box *box, size_t me)
{
    if (take_turn(box, me) != 0 || ipc_condition_notify(&box->passed, 1) != 0)
        return -1;
    return ipc_lock_release(&box->lock);
}

SYNC_MATCH_LOOPS(condition, condition_turn)

/* Who is woken finds the lock free. */
static int unlocked_turn(struct box *box, size_t me)
{
    if (take_turn(box, me) != 0 || ipc_lock_release(&box->lock) != 0)
        return -1;
    return ipc_condition_notify(&box->passed, 1);
}

SYNC_MATCH_LOOPS(unlocked, unlocked_turn)

static void *condition_make(uint32_t n)
{
    struct box *box = ipc_shared_alloc(sizeof *box);

    (void)n;
    if (box == NULL)
        errx(EXIT_FAILURE, "ipc_shared_alloc: %s", ipc_error_detail());
    return box;
}

static void condition_drop(void *box)
{
    check(ipc_shared_free(box), "ipc_shared_free");
}

static const struct sync_match conditions[] = {
    {"libipc", false, condition_make, condition_drop, condition_turns,
     condition_follow},
    {"libipc-notify-unlocked", false, condition_make, condition_drop,
     unlocked_turns, unlocked_follow},
    {0},
};

/* ---- barrier ---- */

static bool barrier_wait(ipc_barrier *barrier)
{
    return ipc_barrier_wait(barrier) >= 0;
}

SYNC_BARRIER_LOOP(barrier, barrier_wait)

static void *barrier_make(uint32_t parties)
{
    ipc_barrier *barrier;

    check(ipc_barrier_new(parties, NULL, &barrier), "ipc_barrier_new");
    return barrier;
}

static void barrier_drop(void *barrier)
{
    check(ipc_barrier_free(barrier), "ipc_barrier_free");
}

static const struct sync_barrier barriers[] = {
    {"libipc", barrier_make, barrier_drop, barrier_rounds},
    {0},
};

const struct sync_peers sync_peers_libipc = {
    .semaphores = semaphores,
    .locks = locks,
    .rwlocks = rwlocks,
    .events = events,
    .conditions = conditions,
    .barriers = barriers,
};
