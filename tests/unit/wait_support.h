/* What the tests of ipc_wait() have in common. */
#ifndef WAIT_SUPPORT_H
#define WAIT_SUPPORT_H

#include "unit/lock_support.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ipc/shared.h>
#include <ipc/wait.h>

enum {
    SOON_MS = 50,
    HUNG_MS = 5000
};

static inline ipc_queue *new_queue(uint32_t capacity)
{
    ipc_queue_options options = IPC_QUEUE_OPTIONS_INIT;
    ipc_queue *queue = NULL;
    options.capacity = capacity;
    expect_rc(ipc_queue_new(&options, &queue), 0);
    return queue;
}

static inline ipc_semaphore *new_semaphore(uint32_t value, uint32_t flags)
{
    ipc_semaphore_options options = IPC_SEMAPHORE_OPTIONS_INIT;
    ipc_semaphore *semaphore = NULL;
    options.flags = flags;
    expect_rc(ipc_semaphore_new(value, &options, &semaphore), 0);
    return semaphore;
}

static inline ipc_event *new_event(void)
{
    ipc_event *event = NULL;
    expect_rc(ipc_event_new(NULL, &event), 0);
    return event;
}

static inline ipc_lock *new_lock_of(uint32_t flags)
{
    ipc_lock_options options = IPC_LOCK_OPTIONS_INIT;
    ipc_lock *lock = NULL;
    options.flags = flags;
    expect_rc(ipc_lock_new(&options, &lock), 0);
    return lock;
}

static inline void put_number(ipc_queue *queue, uint32_t number)
{
    expect_rc(ipc_queue_put_nowait(queue, &number, sizeof number), 0);
}

static inline uint32_t get_number(ipc_queue *queue)
{
    uint32_t number = 0;
    size_t bytes = 0;
    expect_rc(ipc_queue_get_nowait(queue, &number, sizeof number, &bytes), 0);
    assert_int_equal(bytes, sizeof number);
    return number;
}

/* -EAGAIN. */
static inline void expect_no_number(ipc_queue *queue)
{
    uint32_t number;
    expect_rc(ipc_queue_get_nowait(queue, &number, sizeof number, NULL),
              -EAGAIN);
}

/* ---- something done by another thread, while the caller sleeps ---- */

struct later {
    void (*act)(void *arg);
    void *arg;
    pid_t sleeper; /* whom to wait for; in any system call */
    pthread_t thread;
};

static inline void *do_later(void *arg)
{
    struct later *later = arg;
    wait_until_blocked(later->sleeper, HUNG_MS);
    later->act(later->arg);
    return NULL;
}

/* Once the calling thread sleeps. */
static inline void begin_later(struct later *later, void (*act)(void *arg),
                               void *arg)
{
    *later = (struct later){.act = act, .arg = arg, .sleeper = gettid()};
    assert_int_equal(pthread_create(&later->thread, NULL, do_later, later), 0);
}

static inline void end_later(struct later *later)
{
    assert_int_equal(pthread_join(later->thread, NULL), 0);
}

/* Wait for the items, meanwhile have act(arg) done, and expect that the i-th,
 * and nothing else, is ready then. */
static inline void expect_woken(ipc_wait_item *items, size_t n, size_t i,
                                void (*act)(void *arg), void *arg)
{
    struct later later;
    expect_rc(ipc_wait(items, n, IPC_TIME_NOW), -EAGAIN);
    begin_later(&later, act, arg);
    expect_rc(ipc_wait(items, n, ipc_after_ms(HUNG_MS)), 1);
    end_later(&later);
    for (size_t k = 0; k < n; k++)
        assert_int_equal(items[k].ready != 0, k == i);
}

/* ---- how long, and how much ---- */

static inline int64_t cpu_ns(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int count_open_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++) {
        struct pollfd item = {.fd = fd, .events = 0};
        count += poll(&item, 1, 0) >= 0 && (item.revents & POLLNVAL) == 0;
    }
    return count;
}

static inline bool is_readable(int fd, int limit_ms)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    const int rc = poll(&item, 1, limit_ms);
    assert_true(rc >= 0 && (item.revents & ~POLLIN) == 0);
    return rc == 1;
}

/* ---- a pair of plain descriptors ---- */

struct ends {
    int here;
    int there;
};

static inline struct ends new_ends(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                     0);
    return (struct ends){fds[0], fds[1]};
}

static inline void write_byte(void *arg)
{
    const struct ends *ends = arg;
    assert_int_equal(write(ends->there, "x", 1), 1);
}

static inline void read_byte(const struct ends *ends)
{
    char byte;
    assert_int_equal(read(ends->here, &byte, 1), 1);
}

static inline void close_ends(struct ends ends)
{
    assert_int_equal(close(ends.here), 0);
    assert_int_equal(close(ends.there), 0);
}

#endif
