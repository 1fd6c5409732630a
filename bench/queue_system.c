/* What the kernel offers: message queues of POSIX, pipes, Unix sockets. */
#include "queue_peer.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);

    if (memory == NULL)
        err(EXIT_FAILURE, "calloc");
    return memory;
}

/* ---- POSIX message queues ---- */

/* By default a user may have so much in queues, and a queue so many messages
 * of such a size. */
#define MQUEUE_BYTES    380000
#define MQUEUE_OVERHEAD 128
#define MQUEUE_DEPTH    10
#define MQUEUE_SIZE_MAX 8192

struct mqueue {
    mqd_t id;
};

static bool write_number(const char *path, long number)
{
    FILE *f = fopen(path, "we");
    bool good;

    if (f == NULL)
        return false;
    good = fprintf(f, "%ld\n", number) > 0;
    return fclose(f) == 0 && good;
}

/* Go where the limits on the number and size of messages can be raised, and
 * nobody else sees it. */
static bool raise_limits(void)
{
    return unshare(CLONE_NEWIPC) == 0 &&
           write_number("/proc/sys/fs/mqueue/msg_max", 1 << 16) &&
           write_number("/proc/sys/fs/mqueue/msgsize_max", 1 << 20);
}

static mqd_t mqueue_open(size_t size, size_t depth)
{
    struct mq_attr attributes = {
        .mq_maxmsg = (long)depth,
        .mq_msgsize = (long)size,
    };
    char name[64];
    mqd_t id;

    snprintf(name, sizeof name, "/ipc-bench-%d", (int)getpid());
    id = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
    if (id != (mqd_t)-1)
        mq_unlink(name);
    return id;
}

static void *mqueue_make_of(size_t size, size_t depth)
{
    struct mqueue *queue = allocate(sizeof *queue);

    queue->id = mqueue_open(size, depth);
    if (queue->id == (mqd_t)-1 && errno == EINVAL && raise_limits())
        queue->id = mqueue_open(size, depth);
    if (queue->id == (mqd_t)-1)
        queue_skip("mqueue: the limits of this machine are too low");
    return queue;
}

static void *mqueue_make_deep(const struct queue_shape *shape)
{
    size_t depth = MQUEUE_BYTES / (shape->size + MQUEUE_OVERHEAD);

    return mqueue_make_of(shape->size,
                          depth < shape->depth ? depth : shape->depth);
}

static void *mqueue_make_default(const struct queue_shape *shape)
{
    return mqueue_make_of(shape->size, MQUEUE_DEPTH);
}

static void mqueue_drop(void *queue)
{
    struct mqueue *mqueue = queue;

    mq_close(mqueue->id);
    free(mqueue);
}

static bool mqueue_put(void *queue, const void *message, size_t size)
{
    const struct mqueue *mqueue = queue;

    return mq_send(mqueue->id, message, size, 0) == 0;
}

static bool mqueue_get(void *queue, void *message, size_t size,
                       size_t *out_size)
{
    const struct mqueue *mqueue = queue;
    ssize_t got = mq_receive(mqueue->id, message, size, NULL);

    *out_size = (size_t)got;
    return got >= 0;
}

QUEUE_LOOPS(mqueue, mqueue_put, mqueue_get)

/* ---- byte streams: a pipe, a socket ---- */

struct stream_locks {
    pthread_mutex_t put;
    QUEUE_LINE pthread_mutex_t get;
};

struct stream {
    int out;
    int in;
    struct stream_locks *locks; /* or NULL */
};

/* A message goes through the kernel as one piece if it is no larger. */
#define WHOLE_MAX 4096

/* Larger messages of several would mix, so they take turns. */
static struct stream_locks *make_locks(const struct queue_shape *shape)
{
    pthread_mutexattr_t attributes;
    struct stream_locks *locks;

    if (shape->size <= WHOLE_MAX || shape->producers + shape->consumers == 2)
        return NULL;
    locks = bench_shared(sizeof *locks);
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&locks->put, &attributes);
    pthread_mutex_init(&locks->get, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return locks;
}

static struct stream *make_stream(const struct queue_shape *shape,
                                  const int fds[2])
{
    struct stream *stream = allocate(sizeof *stream);

    stream->in = fds[0];
    stream->out = fds[1];
    stream->locks = make_locks(shape);
    return stream;
}

static void *pipe_make(const struct queue_shape *shape)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) != 0)
        err(EXIT_FAILURE, "pipe");
    return make_stream(shape, fds);
}

static void *unix_make(const struct queue_shape *shape)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        err(EXIT_FAILURE, "socketpair");
    return make_stream(shape, fds);
}

static void stream_drop(void *queue)
{
    struct stream *stream = queue;

    close(stream->in);
    close(stream->out);
    if (stream->locks != NULL)
        munmap(stream->locks, sizeof *stream->locks);
    free(stream);
}

static bool write_all(int fd, const unsigned char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);

        if (written < 0)
            return false;
        bytes += written;
        size -= (size_t)written;
    }
    return true;
}

static bool read_all(int fd, unsigned char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t got = read(fd, bytes, size);

        if (got <= 0)
            return false;
        bytes += got;
        size -= (size_t)got;
    }
    return true;
}

static bool stream_put(void *queue, const void *message, size_t size)
{
    struct stream *stream = queue;
    bool good;

    if (stream->locks == NULL)
        return write_all(stream->out, message, size);
    pthread_mutex_lock(&stream->locks->put);
    good = write_all(stream->out, message, size);
    pthread_mutex_unlock(&stream->locks->put);
    return good;
}

static bool stream_get(void *queue, void *message, size_t size,
                       size_t *out_size)
{
    struct stream *stream = queue;
    bool good;

    *out_size = size;
    if (stream->locks == NULL)
        return read_all(stream->in, message, size);
    pthread_mutex_lock(&stream->locks->get);
    good = read_all(stream->in, message, size);
    pthread_mutex_unlock(&stream->locks->get);
    return good;
}

QUEUE_LOOPS(stream, stream_put, stream_get)

/* ---- a socket that keeps messages apart ---- */

#define SOCKET_SIZE   ((size_t)64 << 10) /* fits into the default buffer */
#define SOCKET_BUFFER (4 << 20)

/* Root may have a larger buffer than others. */
static void enlarge_buffer(int fd, size_t size)
{
    const int wanted = SOCKET_BUFFER;
    int got = 0;
    socklen_t length = sizeof got;

    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof wanted);
    if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &got, &length) != 0)
        err(EXIT_FAILURE, "getsockopt");
    if ((size_t)got < 2 * size)
        queue_skip("unix-seqpacket: the limits of this machine are too low");
}

static void *seqpacket_make(const struct queue_shape *shape)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        err(EXIT_FAILURE, "socketpair");
    if (shape->size > SOCKET_SIZE)
        enlarge_buffer(fds[1], shape->size);
    return make_stream(shape, fds);
}

static bool seqpacket_put(void *queue, const void *message, size_t size)
{
    const struct stream *stream = queue;

    return send(stream->out, message, size, 0) == (ssize_t)size;
}

static bool seqpacket_get(void *queue, void *message, size_t size,
                          size_t *out_size)
{
    const struct stream *stream = queue;
    ssize_t got = recv(stream->in, message, size, MSG_TRUNC);

    *out_size = (size_t)got;
    return got >= 0;
}

QUEUE_LOOPS(seqpacket, seqpacket_put, seqpacket_get)

const struct queue_peer queue_peers_system[] = {
    {.name = "mqueue",
     .size_max = (size_t)64 << 10,
     .make = mqueue_make_deep,
     .drop = mqueue_drop,
     .loops = &mqueue_loops},
    {.name = "mqueue-d10",
     .size_max = MQUEUE_SIZE_MAX,
     .make = mqueue_make_default,
     .drop = mqueue_drop,
     .loops = &mqueue_loops},
    {.name = "pipe",
     .make = pipe_make,
     .drop = stream_drop,
     .loops = &stream_loops},
    {.name = "unix-stream",
     .make = unix_make,
     .drop = stream_drop,
     .loops = &stream_loops},
    {.name = "unix-seqpacket",
     .make = seqpacket_make,
     .drop = stream_drop,
     .loops = &seqpacket_loops},
    {0},
};
