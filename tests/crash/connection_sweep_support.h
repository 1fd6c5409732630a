/* What the sweeps of connections have in common: an end with messages that are
 * told apart, and somebody who looks what is left of them. */
#ifndef CONNECTION_SWEEP_SUPPORT_H
#define CONNECTION_SWEEP_SUPPORT_H

#include "harness/scale.h"
#include "harness/sweep.h"
#include "unit/connection_support.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

enum {
    VICTIMS = 50, /* the number of the message that the victim sends */
    LAST = 60,    /* and of the one that tells a sleeper to stop */
    FD = 99,      /* a descriptor */
    GOT_MAX = 16
};

/* In memory that all share; what it points to is made before the forks. */
struct scene {
    struct ends ends;
    char *message;    /* the victim's */
    size_t bytes;     /* of it; FD: it sends or receives a descriptor */
    int before;       /* messages in the queue: 1, 2, ... */
    size_t first;     /* bytes of the first of these */
    size_t second;    /* and of the second */
    uint32_t victims; /* receivers that are killed */
    uint32_t count;   /* what the one who came last got */
    uint32_t got[GOT_MAX];
    uint32_t torn;
    uint32_t flag;   /* a lock, in what must be found */
    uint32_t served; /* sleepers that got their message, or sent it */
};

static struct scene *scene;

/* ---- messages by number ---- */

static inline size_t bytes_of(unsigned number)
{
    if (number == VICTIMS)
        return scene->bytes;
    return number == 1 ? scene->first : number == 2 ? scene->second : FLAT;
}

static inline void put(unsigned number)
{
    if (bytes_of(number) == FD)
        expect_rc(ipc_connection_send_fd(scene->ends.a, 0), 0);
    else
        send_message(scene->ends.a, bytes_of(number), number);
}

static inline void note(unsigned number)
{
    if (scene->count < GOT_MAX)
        scene->got[scene->count++] = number;
    else
        scene->torn++;
}

/* Receive one.  Returns its number, or a negative errno. */
static inline int get(ipc_deadline deadline)
{
    void *data;
    size_t bytes;
    int fd;
    int rc = ipc_connection_recv_until(scene->ends.b, &data, &bytes, deadline);
    if (rc == -ENOMSG) {
        rc = ipc_connection_recv_fd_until(scene->ends.b, &fd, deadline);
        if (rc == 0)
            (void)close(fd);
        return rc == 0 ? FD : rc;
    }
    if (rc < 0)
        return rc;
    const unsigned number = bytes > 0 ? *(unsigned char *)data : 0;
    if (bytes != bytes_of(number) || !is_message(data, bytes, number))
        scene->torn++;
    free(data);
    return (int)number;
}

/* A fresh process: what is there? */
static inline void drain(void *ctx)
{
    int number;
    (void)ctx;
    while (__atomic_exchange_n(&scene->flag, 1, __ATOMIC_SEQ_CST) != 0)
        poll_pause();
    while ((number = get(IPC_TIME_NOW)) >= 0)
        note((unsigned)number);
    if (number != -ETIMEDOUT)
        scene->torn++;
    __atomic_store_n(&scene->flag, 0, __ATOMIC_SEQ_CST);
}

/* ---- around each run ---- */

static inline void reset(void *ctx)
{
    (void)ctx;
    scene->flag = 0;
    scene->served = 0;
    drain(NULL);
    scene->count = 0;
    scene->torn = 0;
    for (int i = 1; i <= scene->before; i++)
        put((unsigned)i);
}

static inline void make_scene(int before, size_t first, size_t bytes)
{
    scene = test_shared(sizeof *scene);
    scene->ends = new_pipe();
    scene->before = before;
    scene->victims = 1;
    scene->first = first;
    scene->second = PARTS;
    scene->bytes = bytes;
    if (bytes != FD)
        scene->message = new_message(bytes, VICTIMS);
}

static inline void end_scene(void)
{
    close_both(scene->ends);
    free(scene->message);
}

/* A life in which nothing happens twice: malloc() and the like are set up. */
static inline void warm_up(void *ctx)
{
    size_t bytes;
    (void)ctx;
    if (ipc_connection_recv_into_nowait(scene->ends.a, NULL, 0, &bytes) !=
        -EAGAIN)
        abort();
}

/* What is still in the kernel when all was received. */
static inline bool is_empty(void)
{
    int bytes = 0;
    (void)ioctl(ipc_connection_fileno(scene->ends.a), SIOCOUTQ, &bytes);
    return bytes == 0;
}

/* ---- what victims do ---- */

static inline void send_it(void *ctx)
{
    (void)ctx;
    if (ipc_connection_send(scene->ends.a, scene->message, scene->bytes) != 0)
        abort();
}

static inline void recv_it_into(void *ctx)
{
    size_t bytes;
    (void)ctx;
    if (ipc_connection_recv_into(scene->ends.b, scene->message, SPILLED,
                                 &bytes) != 0)
        abort();
}

#endif
