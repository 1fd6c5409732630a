/* What glibc and the kernel offer: mutexes, a semaphore, a file lock. */
#include "lock_peer.h"

#include <err.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- mutexes ---- */

LOCK_PEER_LOOPS(mutex, pthread_mutex_lock, pthread_mutex_unlock)

static void *mutex_make(int robust, int type)
{
    pthread_mutex_t *mutex = bench_shared(sizeof(pthread_mutex_t));
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    if (pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) ||
        pthread_mutexattr_setrobust(&attributes, robust) ||
        pthread_mutexattr_settype(&attributes, type) ||
        pthread_mutex_init(mutex, &attributes))
        errx(EXIT_FAILURE, "no such mutex here");
    pthread_mutexattr_destroy(&attributes);
    return mutex;
}

static void *plain_make(void)
{
    return mutex_make(PTHREAD_MUTEX_STALLED, PTHREAD_MUTEX_NORMAL);
}

static void *robust_make(void)
{
    return mutex_make(PTHREAD_MUTEX_ROBUST, PTHREAD_MUTEX_NORMAL);
}

static void *robust_recursive_make(void)
{
    return mutex_make(PTHREAD_MUTEX_ROBUST, PTHREAD_MUTEX_RECURSIVE);
}

static void mutex_drop(void *mutex)
{
    pthread_mutex_destroy(mutex);
    munmap(mutex, sizeof(pthread_mutex_t));
}

/* ---- semaphore ---- */

LOCK_PEER_LOOPS(semaphore, sem_wait, sem_post)

static void *semaphore_make(void)
{
    sem_t *semaphore = bench_shared(sizeof(sem_t));

    if (sem_init(semaphore, 1, 1) != 0)
        err(EXIT_FAILURE, "sem_init");
    return semaphore;
}

static void semaphore_drop(void *semaphore)
{
    sem_destroy(semaphore);
    munmap(semaphore, sizeof(sem_t));
}

/* ---- flock ---- */

static int flock_acquire(const int *fd)
{
    return flock(*fd, LOCK_EX);
}

static int flock_release(const int *fd)
{
    return flock(*fd, LOCK_UN);
}

LOCK_PEER_LOOPS(flock, flock_acquire, flock_release)

static void *flock_make(void)
{
    static int fd;
    char path[] = "/tmp/ipc-bench-XXXXXX";

    fd = mkstemp(path);
    if (fd < 0)
        err(EXIT_FAILURE, "%s", path);
    unlink(path);
    return &fd;
}

static void flock_drop(void *lock)
{
    const int *fd = lock;

    close(*fd);
}

/* flock() belongs to the open file, which forked processes share: they would
 * not exclude each other, so it takes part in no contest. */
const struct lock_peer lock_peers_system[] = {
    {"pthread-pshared", true, plain_make, mutex_drop, mutex_pairs,
     mutex_contend},
    {"pthread-robust", true, robust_make, mutex_drop, mutex_pairs,
     mutex_contend},
    {"pthread-robust-rec", true, robust_recursive_make, mutex_drop, mutex_pairs,
     mutex_contend},
    {"sem_t-pshared", true, semaphore_make, semaphore_drop, semaphore_pairs,
     semaphore_contend},
    {"flock", false, flock_make, flock_drop, flock_pairs, flock_contend},
    {0},
};
