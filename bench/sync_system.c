/* What glibc offers. */
#include "sync_peer.h"

#include <err.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>

/* ---- semaphore ---- */

SYNC_HOLDABLE_LOOPS(semaphore, sem_wait, sem_post)

static void *semaphore_make(uint32_t permits)
{
    sem_t *semaphore = bench_shared(sizeof(sem_t));

    if (sem_init(semaphore, 1, permits) != 0)
        err(EXIT_FAILURE, "sem_init");
    return semaphore;
}

static void semaphore_drop(void *semaphore)
{
    sem_destroy(semaphore);
    munmap(semaphore, sizeof(sem_t));
}

static const struct sync_holdable semaphores[] = {
    {"sem_t-pshared", semaphore_make, semaphore_drop, semaphore_pairs,
     semaphore_contend},
    {0},
};

/* ---- lock ---- */

SYNC_HOLDABLE_LOOPS(mutex, pthread_mutex_lock, pthread_mutex_unlock)

static void mutex_init(pthread_mutex_t *mutex, int robust)
{
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    if (pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) ||
        pthread_mutexattr_setrobust(&attributes, robust) ||
        pthread_mutex_init(mutex, &attributes))
        errx(EXIT_FAILURE, "no such mutex here");
    pthread_mutexattr_destroy(&attributes);
}

static void *mutex_make(uint32_t n)
{
    pthread_mutex_t *mutex = bench_shared(sizeof(pthread_mutex_t));

    (void)n;
    mutex_init(mutex, PTHREAD_MUTEX_ROBUST);
    return mutex;
}

static void mutex_drop(void *mutex)
{
    pthread_mutex_destroy(mutex);
    munmap(mutex, sizeof(pthread_mutex_t));
}

static const struct sync_holdable locks[] = {
    {"pthread-robust", mutex_make, mutex_drop, mutex_pairs, mutex_contend},
    {0},
};

/* ---- rwlock ---- */

SYNC_PAIRS_LOOP(read, pthread_rwlock_rdlock, pthread_rwlock_unlock)
SYNC_PAIRS_LOOP(write, pthread_rwlock_wrlock, pthread_rwlock_unlock)
SYNC_RWLOCK_LOOP(rwlock, pthread_rwlock_rdlock, pthread_rwlock_unlock,
                 pthread_rwlock_wrlock, pthread_rwlock_unlock)

static void *rwlock_make(int preference)
{
    pthread_rwlock_t *rwlock = bench_shared(sizeof(pthread_rwlock_t));
    pthread_rwlockattr_t attributes;

    pthread_rwlockattr_init(&attributes);
    if (pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) ||
        pthread_rwlockattr_setkind_np(&attributes, preference) ||
        pthread_rwlock_init(rwlock, &attributes))
        errx(EXIT_FAILURE, "no such rwlock here");
    pthread_rwlockattr_destroy(&attributes);
    return rwlock;
}

static void *readers_first_make(uint32_t n)
{
    (void)n;
    return rwlock_make(PTHREAD_RWLOCK_PREFER_READER_NP);
}

static void *writers_first_make(uint32_t n)
{
    (void)n;
    return rwlock_make(PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
}

static void rwlock_drop(void *rwlock)
{
    pthread_rwlock_destroy(rwlock);
    munmap(rwlock, sizeof(pthread_rwlock_t));
}

static const struct sync_rwlock rwlocks[] = {
    {"pthread-rwlock", readers_first_make, rwlock_drop, read_pairs, write_pairs,
     rwlock_contend},
    {"pthread-rwlock-writers-first", writers_first_make, rwlock_drop,
     read_pairs, write_pairs, rwlock_contend},
    {0},
};

/* ---- a semaphore for each player, in the place of events ---- */

struct table {
    struct {
        SYNC_LINE sem_t turn;
    } of[2];
};

static int semaphore_turn(struct table *table, size_t me)
{
    if (sem_wait(&table->of[me].turn) != 0)
        return -1;
    return sem_post(&table->of[1 - me].turn);
}

SYNC_MATCH_LOOPS(semaphore, semaphore_turn)

static void *table_make(uint32_t n)
{
    struct table *table = bench_shared(sizeof *table);

    (void)n;
    for (unsigned i = 0; i < 2; i++) {
        if (sem_init(&table->of[i].turn, 1, 1 - i) != 0)
            err(EXIT_FAILURE, "sem_init");
    }
    return table;
}

static void table_drop(void *object)
{
    struct table *table = object;

    for (size_t i = 0; i < 2; i++)
        sem_destroy(&table->of[i].turn);
    munmap(table, sizeof *table);
}

static const struct sync_match events[] = {
    {"sem_t-pshared", false, table_make, table_drop, semaphore_turns,
     semaphore_follow},
    {0},
};

/* ---- condition ---- */

struct box {
    pthread_mutex_t mutex;
    pthread_cond_t passed;
    size_t turn;
};

static int take_turn(struct box *box, size_t me)
{
    if (pthread_mutex_lock(&box->mutex) != 0)
        return -1;
    while (box->turn != me) {
        if (pthread_cond_wait(&box->passed, &box->mutex) != 0)
            return -1;
    }
    box->turn = 1 - me;
    return 0;
}

static int condition_turn(struct box *box, size_t me)
{
    if (take_turn(box, me) != 0 || pthread_cond_signal(&box->passed) != 0)
        return -1;
    return pthread_mutex_unlock(&box->mutex);
}

SYNC_MATCH_LOOPS(condition, condition_turn)

/* Who is woken finds the mutex free. */
static int unlocked_turn(struct box *box, size_t me)
{
    if (take_turn(box, me) != 0 || pthread_mutex_unlock(&box->mutex) != 0)
        return -1;
    return pthread_cond_signal(&box->passed);
}

SYNC_MATCH_LOOPS(unlocked, unlocked_turn)

static void *box_make(int robust)
{
    struct box *box = bench_shared(sizeof *box);
    pthread_condattr_t attributes;

    mutex_init(&box->mutex, robust);
    pthread_condattr_init(&attributes);
    if (pthread_condattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) ||
        pthread_cond_init(&box->passed, &attributes))
        errx(EXIT_FAILURE, "no such condition here");
    pthread_condattr_destroy(&attributes);
    return box;
}

static void *plain_box_make(uint32_t n)
{
    (void)n;
    return box_make(PTHREAD_MUTEX_STALLED);
}

static void *robust_box_make(uint32_t n)
{
    (void)n;
    return box_make(PTHREAD_MUTEX_ROBUST);
}

static void box_drop(void *object)
{
    struct box *box = object;

    pthread_cond_destroy(&box->passed);
    pthread_mutex_destroy(&box->mutex);
    munmap(box, sizeof *box);
}

static const struct sync_match conditions[] = {
    {"pthread-pshared", false, plain_box_make, box_drop, condition_turns,
     condition_follow},
    {"pthread-robust", false, robust_box_make, box_drop, condition_turns,
     condition_follow},
    {"pthread-notify-unlocked", false, plain_box_make, box_drop, unlocked_turns,
     unlocked_follow},
    {0},
};

/* ---- barrier ---- */

static bool barrier_wait(pthread_barrier_t *barrier)
{
    int rc = pthread_barrier_wait(barrier);

    return rc == 0 || rc == PTHREAD_BARRIER_SERIAL_THREAD;
}

SYNC_BARRIER_LOOP(barrier, barrier_wait)

static void *barrier_make(uint32_t parties)
{
    pthread_barrier_t *barrier = bench_shared(sizeof(pthread_barrier_t));
    pthread_barrierattr_t attributes;

    pthread_barrierattr_init(&attributes);
    if (pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) ||
        pthread_barrier_init(barrier, &attributes, parties))
        errx(EXIT_FAILURE, "no such barrier here");
    pthread_barrierattr_destroy(&attributes);
    return barrier;
}

static void barrier_drop(void *barrier)
{
    pthread_barrier_destroy(barrier);
    munmap(barrier, sizeof(pthread_barrier_t));
}

static const struct sync_barrier barriers[] = {
    {"pthread-barrier", barrier_make, barrier_drop, barrier_rounds},
    {0},
};

const struct sync_peers sync_peers_system = {
    .semaphores = semaphores,
    .locks = locks,
    .rwlocks = rwlocks,
    .events = events,
    .conditions = conditions,
    .barriers = barriers,
};
