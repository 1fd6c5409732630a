/* Boost's message queue. */
#include "queue_peer.h"

#include <boost/interprocess/ipc/message_queue.hpp>

#include <string>
#include <unistd.h>

namespace
{

namespace bip = boost::interprocess;

/* The name is needed for the moment only: children inherit the mapping. */
void *boost_make(const struct queue_shape *shape)
{
    std::string name = "ipc-bench-" + std::to_string(getpid());
    auto *queue = new bip::message_queue(bip::create_only, name.c_str(),
                                         shape->depth, shape->size);

    bip::message_queue::remove(name.c_str());
    return queue;
}

void boost_drop(void *queue)
{
    delete static_cast<bip::message_queue *>(queue);
}

bool boost_put(void *queue, const void *message, size_t size)
{
    static_cast<bip::message_queue *>(queue)->send(message, size, 0);
    return true;
}

bool boost_get(void *queue, void *message, size_t size, size_t *out_size)
{
    bip::message_queue::size_type got = 0;
    unsigned int priority = 0;

    static_cast<bip::message_queue *>(queue)->receive(message, size, got,
                                                      priority);
    *out_size = got;
    return true;
}

QUEUE_LOOPS(boost, boost_put, boost_get)

} // namespace

const struct queue_peer queue_peers_boost[] = {
    {"boost-mq", 0, false, boost_make, nullptr, nullptr, boost_drop,
     &boost_loops},
    {},
};
