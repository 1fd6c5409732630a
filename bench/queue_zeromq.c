/* ZeroMQ: each consumer has an address, and all producers send to all of them
 * in turn. */
#include "queue_peer.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

struct address {
    char prefix[64];
};

static void *zeromq_make(const struct queue_shape *shape)
{
    static unsigned made;
    struct address *address = malloc(sizeof *address);

    (void)shape;
    if (address == NULL)
        err(EXIT_FAILURE, "malloc");
    /* The @ is for a name that is not in the file system. */
    snprintf(address->prefix, sizeof address->prefix,
             "ipc://@ipc-bench-%d-%lld-%u", (int)getpid(),
             (long long)bench_now(), made++);
    return address;
}

static void check(bool good, const char *call)
{
    if (!good)
        errx(EXIT_FAILURE, "%s: %s", call, zmq_strerror(zmq_errno()));
}

static void *new_socket(int type, size_t depth)
{
    static void *context;
    int marks = (int)depth;
    void *socket;

    if (context == NULL)
        context = zmq_ctx_new();
    check(context != NULL, "zmq_ctx_new");
    socket = zmq_socket(context, type);
    check(socket != NULL, "zmq_socket");
    check(!zmq_setsockopt(socket, ZMQ_SNDHWM, &marks, sizeof marks) &&
              !zmq_setsockopt(socket, ZMQ_RCVHWM, &marks, sizeof marks),
          "ZMQ_SNDHWM");
    return socket;
}

static void print_address(char *out, size_t size, const void *queue,
                          size_t consumer)
{
    const struct address *address = queue;

    snprintf(out, size, "%s-%zu", address->prefix, consumer);
}

static void *zeromq_join_consumer(void *queue, const struct queue_shape *shape,
                                  size_t index)
{
    void *socket = new_socket(ZMQ_PULL, shape->depth);
    char address[128];

    print_address(address, sizeof address, queue, index);
    check(zmq_bind(socket, address) == 0, "zmq_bind");
    return socket;
}

static void *zeromq_join_producer(void *queue, const struct queue_shape *shape,
                                  size_t index)
{
    void *socket = new_socket(ZMQ_PUSH, shape->depth);
    char address[128];

    (void)index;
    for (size_t i = 0; i < shape->consumers; i++) {
        print_address(address, sizeof address, queue, i);
        check(zmq_connect(socket, address) == 0, "zmq_connect");
    }
    return socket;
}

static bool zeromq_put(void *socket, const void *message, size_t size)
{
    return zmq_send(socket, message, size, 0) == (int)size;
}

static bool zeromq_get(void *socket, void *message, size_t size,
                       size_t *out_size)
{
    int got = zmq_recv(socket, message, size, 0);

    *out_size = (size_t)got;
    return got >= 0;
}

QUEUE_LOOPS(zeromq, zeromq_put, zeromq_get)

const struct queue_peer queue_peers_zeromq[] = {
    {.name = "zeromq",
     .make = zeromq_make,
     .join_consumer = zeromq_join_consumer,
     .join_producer = zeromq_join_producer,
     .drop = free,
     .loops = &zeromq_loops},
    {0},
};
