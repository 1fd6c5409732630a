/* A pool of processes at the ends of two of Boost's message queues. */
#include "pool_peer.h"

#include <boost/interprocess/ipc/message_queue.hpp>

#include <err.h>
#include <stdlib.h>
#include <string>
#include <unistd.h>

namespace
{

namespace bip = boost::interprocess;

/* As deep as a batch is long: nobody ever finds a queue full. */
class queue
{
  public:
    queue(const char *what, size_t depth, size_t size)
        : name(std::string("ipc-bench-") + what + std::to_string(getpid())),
          messages(bip::create_only, name.c_str(), depth, size), max(size)
    {
        /* Children inherit the mapping. */
        bip::message_queue::remove(name.c_str());
    }

    void put(const pool_message &message, size_t size)
    {
        messages.send(&message, size, 0);
    }

    size_t get(pool_message &message)
    {
        bip::message_queue::size_type size = 0;
        unsigned int priority = 0;

        messages.receive(&message, max, size, priority);
        return size;
    }

  private:
    std::string name;
    bip::message_queue messages;
    size_t max;
};

struct boost_pool {
    boost_pool(size_t words, size_t count)
        : there("there-", count, pool_message_size(words)),
          back("back-", count, pool_message_size(words))
    {
    }

    queue there;
    queue back;
    bench_team workers{};
};

/* Until an empty message comes. */
void worker(void *arg, size_t)
{
    auto *pool = static_cast<boost_pool *>(arg);
    pool_message message;
    pool_message answer;

    for (;;) {
        size_t size = pool->there.get(message);

        if (size == 0)
            return;
        pool_answer(&message, size, &answer);
        pool->back.put(answer, size);
    }
}

void *boost_start(size_t words, size_t count)
{
    /* There is room for the messages that end the workers, too. */
    auto *pool = new boost_pool(words, count + POOL_WORKERS);

    bench_team_start(&pool->workers, POOL_WORKERS, worker, pool);
    return pool;
}

void boost_run(void *arg, const struct pool_batch *batch)
{
    auto *pool = static_cast<boost_pool *>(arg);
    pool_message message;

    for (size_t i = 0; i < batch->count; i++) {
        size_t size = pool_write(&message, batch, i);

        pool->there.put(message, size);
    }
    for (size_t i = 0; i < batch->count; i++) {
        size_t size = pool->back.get(message);

        pool_read(&message, size, batch);
    }
}

void boost_stop(void *arg)
{
    auto *pool = static_cast<boost_pool *>(arg);
    pool_message end{};

    for (int i = 0; i < POOL_WORKERS; i++)
        pool->there.put(end, 0);
    bench_team_join(&pool->workers);
    delete pool;
}

} // namespace

const struct pool_peer pool_peers_boost[] = {
    {"BASE-two-boost-queues", true, nullptr, boost_start, boost_run, nullptr,
     boost_stop},
    {},
};
