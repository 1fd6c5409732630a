/* nanomsg: each consumer has an address, and all producers send to all of
 * them. */
#include "queue_peer.h"

#include <err.h>
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Addresses are files, in a folder that is removed with all in it. */
struct folder {
    char path[64];
    size_t consumers;
};

struct socket {
    int id;
};

static void *nanomsg_make(const struct queue_shape *shape)
{
    struct folder *folder = malloc(sizeof *folder);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    const char *parent = getenv("TMPDIR");

    if (folder == NULL)
        err(EXIT_FAILURE, "malloc");
    snprintf(folder->path, sizeof folder->path, "%s/ipc-bench-XXXXXX",
             parent == NULL ? "/tmp" : parent);
    if (mkdtemp(folder->path) == NULL)
        err(EXIT_FAILURE, "%s", folder->path);
    folder->consumers = shape->consumers;
    return folder;
}

static void print_path(char *out, size_t size, const struct folder *folder,
                       const char *scheme, size_t consumer)
{
    snprintf(out, size, "%s%s/%zu", scheme, folder->path, consumer);
}

static void nanomsg_drop(void *queue)
{
    struct folder *folder = queue;
    char path[128];

    for (size_t i = 0; i < folder->consumers; i++) {
        print_path(path, sizeof path, folder, "", i);
        unlink(path);
    }
    rmdir(folder->path);
    free(folder);
}

static void check(int rc, const char *call)
{
    if (rc < 0)
        errx(EXIT_FAILURE, "%s: %s", call, nn_strerror(nn_errno()));
}

static struct socket *new_socket(int protocol)
{
    struct socket *socket = malloc(sizeof *socket);

    if (socket == NULL)
        err(EXIT_FAILURE, "malloc");
    socket->id = nn_socket(AF_SP, protocol);
    check(socket->id, "nn_socket");
    return socket;
}

static void *nanomsg_join_consumer(void *queue, const struct queue_shape *shape,
                                   size_t index)
{
    struct socket *socket = new_socket(NN_PULL);
    const int no_limit = -1;
    char address[128];

    (void)shape;
    print_path(address, sizeof address, queue, "ipc://", index);
    check(nn_setsockopt(socket->id, NN_SOL_SOCKET, NN_RCVMAXSIZE, &no_limit,
                        sizeof no_limit),
          "NN_RCVMAXSIZE");
    check(nn_bind(socket->id, address), "nn_bind");
    return socket;
}

static void *nanomsg_join_producer(void *queue, const struct queue_shape *shape,
                                   size_t index)
{
    struct socket *socket = new_socket(NN_PUSH);
    char address[128];

    (void)index;
    for (size_t i = 0; i < shape->consumers; i++) {
        print_path(address, sizeof address, queue, "ipc://", i);
        check(nn_connect(socket->id, address), "nn_connect");
    }
    return socket;
}

static bool nanomsg_put(void *queue, const void *message, size_t size)
{
    const struct socket *socket = queue;

    return nn_send(socket->id, message, size, 0) == (int)size;
}

static bool nanomsg_get(void *queue, void *message, size_t size,
                        size_t *out_size)
{
    const struct socket *socket = queue;
    int got = nn_recv(socket->id, message, size, 0);

    *out_size = (size_t)got;
    return got >= 0;
}

QUEUE_LOOPS(nanomsg, nanomsg_put, nanomsg_get)

const struct queue_peer queue_peers_nanomsg[] = {
    {.name = "nanomsg",
     .make = nanomsg_make,
     .join_consumer = nanomsg_join_consumer,
     .join_producer = nanomsg_join_producer,
     .drop = nanomsg_drop,
     .loops = &nanomsg_loops},
    {0},
};
