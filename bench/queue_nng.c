/* nng: each consumer has an address, and all producers send to all of them. */
#include "queue_peer.h"

#include <err.h>
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct address {
    char prefix[64];
};

static void *nng_make(const struct queue_shape *shape)
{
    static unsigned made;
    struct address *address = malloc(sizeof *address);

    (void)shape;
    if (address == NULL)
        err(EXIT_FAILURE, "malloc");
    /* A name that is not in the file system. */
    snprintf(address->prefix, sizeof address->prefix,
             "abstract://ipc-bench-%d-%lld-%u", (int)getpid(),
             (long long)bench_now(), made++);
    return address;
}

static void print_address(char *out, size_t size, const void *queue,
                          size_t consumer)
{
    const struct address *address = queue;

    snprintf(out, size, "%s-%zu", address->prefix, consumer);
}

static void check(int rc, const char *call)
{
    if (rc != 0)
        errx(EXIT_FAILURE, "%s: %s", call, nng_strerror(rc));
}

static nng_socket *new_socket(int (*open)(nng_socket *), size_t depth)
{
    nng_socket *socket = malloc(sizeof *socket);

    if (socket == NULL)
        err(EXIT_FAILURE, "malloc");
    check(open(socket), "nng open");
    /* Not all versions have such buffers on both sides. */
    (void)nng_socket_set_int(*socket, NNG_OPT_SENDBUF, (int)depth);
    (void)nng_socket_set_int(*socket, NNG_OPT_RECVBUF, (int)depth);
    check(nng_socket_set_size(*socket, NNG_OPT_RECVMAXSZ, 0),
          "NNG_OPT_RECVMAXSZ");
    return socket;
}

static void *nng_join_consumer(void *queue, const struct queue_shape *shape,
                               size_t index)
{
    nng_socket *socket = new_socket(nng_pull0_open, shape->depth);
    char address[128];

    print_address(address, sizeof address, queue, index);
    check(nng_listen(*socket, address, NULL, 0), "nng_listen");
    return socket;
}

static void *nng_join_producer(void *queue, const struct queue_shape *shape,
                               size_t index)
{
    nng_socket *socket = new_socket(nng_push0_open, shape->depth);
    char address[128];

    (void)index;
    for (size_t i = 0; i < shape->consumers; i++) {
        print_address(address, sizeof address, queue, i);
        check(nng_dial(*socket, address, NULL, 0), "nng_dial");
    }
    return socket;
}

static bool nng_put(void *queue, const void *message, size_t size)
{
    const nng_socket *socket = queue;

    /* It takes a pointer to void, and only reads there. */
    check(nng_send(*socket, (void *)message, size, 0), "nng_send");
    return true;
}

static bool nng_get(void *queue, void *message, size_t size, size_t *out_size)
{
    const nng_socket *socket = queue;

    *out_size = size;
    check(nng_recv(*socket, message, out_size, 0), "nng_recv");
    return true;
}

QUEUE_LOOPS(nng, nng_put, nng_get)

const struct queue_peer queue_peers_nng[] = {
    {.name = "nng",
     .make = nng_make,
     .join_consumer = nng_join_consumer,
     .join_producer = nng_join_producer,
     .drop = free,
     .loops = &nng_loops},
    {0},
};
