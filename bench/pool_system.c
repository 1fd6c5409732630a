/* What a program writes for itself with the means of the system. */
#include "pool_peer.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- no pool at all: what only the tasks cost ---- */

static void *direct_start(size_t words, size_t count)
{
    (void)words;
    (void)count;
    return NULL;
}

static void direct_run(void *pool, const struct pool_batch *batch)
{
    (void)pool;
    for (size_t i = 0; i < batch->count; i++)
        batch->fn(pool_arg(batch, i), pool_result(batch, i), batch->words);
}

static void direct_stop(void *pool)
{
    (void)pool;
}

/* ---- threads: a ring of tasks under a mutex, and two conditions ---- */

struct ring_task {
    pool_task_fn *fn;
    const uint64_t *arg;
    uint64_t *result;
    size_t words;
};

struct ring_pool {
    pthread_mutex_t lock;
    pthread_cond_t some; /* there are tasks, or there will be no more */
    pthread_cond_t idle; /* nothing is pending */
    struct ring_task *tasks;
    size_t capacity;
    size_t head;
    size_t tail;
    size_t waiting; /* in the ring */
    size_t pending; /* these, and those that are being run */
    bool closed;
    pthread_t threads[POOL_WORKERS];
};

static size_t next(const struct ring_pool *pool, size_t at)
{
    return at + 1 == pool->capacity ? 0 : at + 1;
}

static void *ring_worker(void *arg)
{
    struct ring_pool *pool = arg;
    struct ring_task task;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->waiting == 0 && !pool->closed)
            pthread_cond_wait(&pool->some, &pool->lock);
        if (pool->waiting == 0)
            break;
        task = pool->tasks[pool->head];
        pool->head = next(pool, pool->head);
        pool->waiting--;
        pthread_mutex_unlock(&pool->lock);
        task.fn(task.arg, task.result, task.words);
        pthread_mutex_lock(&pool->lock);
        if (--pool->pending == 0)
            pthread_cond_signal(&pool->idle);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void *ring_start(size_t words, size_t count)
{
    struct ring_pool *pool = calloc(1, sizeof *pool);

    (void)words;
    if (pool == NULL)
        err(EXIT_FAILURE, "calloc");
    pool->capacity = count;
    pool->tasks = calloc(count, sizeof *pool->tasks);
    if (pool->tasks == NULL)
        err(EXIT_FAILURE, "calloc");
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->some, NULL);
    pthread_cond_init(&pool->idle, NULL);
    for (int i = 0; i < POOL_WORKERS; i++) {
        errno = pthread_create(&pool->threads[i], NULL, ring_worker, pool);
        if (errno != 0)
            err(EXIT_FAILURE, "pthread_create");
    }
    return pool;
}

static void ring_submit(struct ring_pool *pool, const struct ring_task *task)
{
    pthread_mutex_lock(&pool->lock);
    if (pool->waiting == pool->capacity)
        errx(EXIT_FAILURE, "the ring is full");
    pool->tasks[pool->tail] = *task;
    pool->tail = next(pool, pool->tail);
    pool->waiting++;
    pool->pending++;
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_signal(&pool->some);
}

static void ring_run(void *arg, const struct pool_batch *batch)
{
    struct ring_pool *pool = arg;

    for (size_t i = 0; i < batch->count; i++) {
        struct ring_task task = {batch->fn, pool_arg(batch, i),
                                 pool_result(batch, i), batch->words};

        ring_submit(pool, &task);
    }
    pthread_mutex_lock(&pool->lock);
    while (pool->pending > 0)
        pthread_cond_wait(&pool->idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

static void ring_stop(void *arg)
{
    struct ring_pool *pool = arg;

    pthread_mutex_lock(&pool->lock);
    pool->closed = true;
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_broadcast(&pool->some);
    for (int i = 0; i < POOL_WORKERS; i++)
        pthread_join(pool->threads[i], NULL);
    free(pool->tasks);
    free(pool);
}

/* ---- processes: a pipe there, and a pipe back ---- */

/* Less than PIPE_BUF: a message goes in whole, and comes out whole. */
_Static_assert(sizeof(struct pool_message) < 4096, "must be atomic in a pipe");

#define PIPE_BYTES 65536

struct pipe_pool {
    struct bench_team workers;
    int there[2];
    int back[2];
    size_t size; /* of a message */
    unsigned char answers[PIPE_BYTES];
};

static void pipe_worker(void *arg, size_t index)
{
    struct pipe_pool *pool = arg;
    struct pool_message message;
    struct pool_message answer;
    ssize_t size;

    (void)index;
    close(pool->there[1]);
    while ((size = read(pool->there[0], &message, pool->size)) > 0) {
        pool_answer(&message, (size_t)size, &answer);
        if (write(pool->back[1], &answer, (size_t)size) != size)
            err(EXIT_FAILURE, "write");
    }
    if (size < 0)
        err(EXIT_FAILURE, "read");
}

static void *pipe_start(size_t words, size_t count)
{
    struct pipe_pool *pool = malloc(sizeof *pool);

    (void)count;
    if (pool == NULL)
        err(EXIT_FAILURE, "malloc");
    pool->size = pool_message_size(words);
    if (pipe(pool->there) != 0 || pipe(pool->back) != 0 ||
        fcntl(pool->there[1], F_SETFL, O_NONBLOCK) != 0)
        err(EXIT_FAILURE, "pipe");
    bench_team_start(&pool->workers, POOL_WORKERS, pipe_worker, pool);
    return pool;
}

/* Write as many messages as there is room for.  Returns how many it were. */
static size_t pipe_submit(struct pipe_pool *pool,
                          const struct pool_batch *batch, size_t first)
{
    struct pool_message message;
    size_t i = first;

    for (; i < batch->count; i++) {
        size_t size = pool_write(&message, batch, i);

        if (write(pool->there[1], &message, size) != (ssize_t)size) {
            if (errno != EAGAIN)
                err(EXIT_FAILURE, "write");
            break;
        }
    }
    return i - first;
}

/* Wait for answers, and take all that are there.  Returns how many. */
static size_t pipe_collect(struct pipe_pool *pool,
                           const struct pool_batch *batch)
{
    size_t size = pool->size;
    ssize_t n =
        read(pool->back[0], pool->answers, sizeof pool->answers / size * size);
    size_t count;

    if (n <= 0 || (size_t)n % size != 0)
        err(EXIT_FAILURE, "read");
    count = (size_t)n / size;
    for (size_t i = 0; i < count; i++) {
        struct pool_message answer;

        memcpy(&answer, pool->answers + i * size, size);
        pool_read(&answer, size, batch);
    }
    return count;
}

/* Are there answers, or is there room for more messages first? */
static bool pipe_has_answers(struct pipe_pool *pool)
{
    struct pollfd ends[] = {
        {.fd = pool->there[1], .events = POLLOUT},
        {.fd = pool->back[0], .events = POLLIN},
    };

    if (poll(ends, 2, -1) < 0)
        err(EXIT_FAILURE, "poll");
    return (ends[1].revents & POLLIN) != 0;
}

static void pipe_run(void *arg, const struct pool_batch *batch)
{
    struct pipe_pool *pool = arg;
    size_t sent = 0;
    size_t got = 0;

    while (got < batch->count) {
        sent += pipe_submit(pool, batch, sent);
        if (sent == batch->count || pipe_has_answers(pool))
            got += pipe_collect(pool, batch);
    }
}

static void pipe_stop(void *arg)
{
    struct pipe_pool *pool = arg;

    close(pool->there[1]);
    bench_team_join(&pool->workers);
    close(pool->there[0]);
    close(pool->back[0]);
    close(pool->back[1]);
    free(pool);
}

const struct pool_peer pool_peers_system[] = {
    {.name = "BASE-direct-call",
     .start = direct_start,
     .run = direct_run,
     .map = direct_run,
     .stop = direct_stop},
    {.name = "BASE-mutex-condition",
     .start = ring_start,
     .run = ring_run,
     .stop = ring_stop},
    {.name = "BASE-two-pipes",
     .processes = true,
     .start = pipe_start,
     .run = pipe_run,
     .stop = pipe_stop},
    {0},
};
