/* Boost's objects for processes.  It has no event and no barrier. */
#include "sync_peer.h"

#include <boost/interprocess/sync/interprocess_condition.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_semaphore.hpp>
#include <boost/interprocess/sync/interprocess_sharable_mutex.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>

#include <new>
#include <sys/mman.h>

namespace
{

namespace bip = boost::interprocess;

template <typename T> void drop(void *memory)
{
    static_cast<T *>(memory)->~T();
    munmap(memory, sizeof(T));
}

template <typename T> void *make(uint32_t)
{
    return new (bench_shared(sizeof(T))) T;
}

/* ---- semaphore ---- */

using semaphore = bip::interprocess_semaphore;

int semaphore_acquire(void *object)
{
    static_cast<semaphore *>(object)->wait();
    return 0;
}

int semaphore_release(void *object)
{
    static_cast<semaphore *>(object)->post();
    return 0;
}

SYNC_HOLDABLE_LOOPS(semaphore, semaphore_acquire, semaphore_release)

void *semaphore_make(uint32_t permits)
{
    return new (bench_shared(sizeof(semaphore))) semaphore(permits);
}

const struct sync_holdable semaphores[] = {
    {"boost-ipc-semaphore", semaphore_make, drop<semaphore>, semaphore_pairs,
     semaphore_contend},
    {},
};

/* ---- rwlock ---- */

using sharable = bip::interprocess_sharable_mutex;

int read_acquire(void *object)
{
    static_cast<sharable *>(object)->lock_sharable();
    return 0;
}

int read_release(void *object)
{
    static_cast<sharable *>(object)->unlock_sharable();
    return 0;
}

int write_acquire(void *object)
{
    static_cast<sharable *>(object)->lock();
    return 0;
}

int write_release(void *object)
{
    static_cast<sharable *>(object)->unlock();
    return 0;
}

SYNC_PAIRS_LOOP(read, read_acquire, read_release)
SYNC_PAIRS_LOOP(write, write_acquire, write_release)
SYNC_RWLOCK_LOOP(rwlock, read_acquire, read_release, write_acquire,
                 write_release)

const struct sync_rwlock rwlocks[] = {
    {"boost-ipc-sharable", make<sharable>, drop<sharable>, read_pairs,
     write_pairs, rwlock_contend},
    {},
};

/* ---- condition ---- */

struct box {
    bip::interprocess_mutex mutex;
    bip::interprocess_condition passed;
    size_t turn = 0;
};

int condition_turn(void *object, size_t me)
{
    auto *box = static_cast<struct box *>(object);
    bip::scoped_lock<bip::interprocess_mutex> held(box->mutex);

    while (box->turn != me)
        box->passed.wait(held);
    box->turn = 1 - me;
    box->passed.notify_one();
    return 0;
}

SYNC_MATCH_LOOPS(condition, condition_turn)

const struct sync_match conditions[] = {
    {"boost-ipc-condition", false, make<box>, drop<box>, condition_turns,
     condition_follow},
    {},
};

} // namespace

const struct sync_peers sync_peers_boost = {
    semaphores, nullptr, rwlocks, nullptr, conditions, nullptr,
};
