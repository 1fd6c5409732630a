/* Boost's mutex for processes. */
#include "lock_peer.h"

#include <boost/interprocess/sync/interprocess_mutex.hpp>

#include <new>
#include <sys/mman.h>

namespace
{

using boost::interprocess::interprocess_mutex;

int boost_acquire(void *lock)
{
    static_cast<interprocess_mutex *>(lock)->lock();
    return 0;
}

int boost_release(void *lock)
{
    static_cast<interprocess_mutex *>(lock)->unlock();
    return 0;
}

LOCK_PEER_LOOPS(boost, boost_acquire, boost_release)

void *boost_make()
{
    return new (bench_shared(sizeof(interprocess_mutex))) interprocess_mutex;
}

void boost_drop(void *memory)
{
    auto *mutex = static_cast<interprocess_mutex *>(memory);

    mutex->~interprocess_mutex();
    munmap(memory, sizeof(interprocess_mutex));
}

} // namespace

const struct lock_peer lock_peers_boost[] = {
    {"boost-ipc-mutex", true, boost_make, boost_drop, boost_pairs,
     boost_contend},
    {},
};
