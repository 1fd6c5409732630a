/* What the tests of queues have in common: queues, and messages by number whose
 * every byte is known. */
#ifndef QUEUE_SUPPORT_H
#define QUEUE_SUPPORT_H

#include "harness/harness.h"
#include "harness/role.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/queue.h>

enum {
    LIMIT_MS = 10000, /* it hangs */
    WEDGE_MS = 1000   /* whoever waits for a dead one hangs */
};

/* Messages that lie in the ring, that fill what may lie there, and that lie in
 * pages: the first one in a page of its own, the others in several. */
enum {
    SHORT = 40,
    LONGEST_SHORT = 1024,
    LONG = 1025,
    PAGES = 20000
};

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* cmocka's assert_true() tells neither value nor detail. */
#define expect_rc(call, expected)                                              \
    do {                                                                       \
        const int rc_ = (call);                                                \
        const int expected_ = (expected);                                      \
        if (rc_ != expected_)                                                  \
            test_fail("%s: %d (%s: %s), expected %d", #call, rc_,              \
                      ipc_strerror(rc_), ipc_error_detail(), expected_);       \
    } while (0)

static inline void expect_detail(const char *part)
{
    if (strstr(ipc_error_detail(), part) == NULL)
        test_fail("\"%s\" does not say \"%s\"", ipc_error_detail(), part);
}

/* ---- queues ---- */

static inline ipc_queue_options queue_options(uint32_t capacity, size_t bytes,
                                              uint32_t flags)
{
    ipc_queue_options options = IPC_QUEUE_OPTIONS_INIT;
    options.capacity = capacity;
    options.bytes = bytes;
    options.flags = flags;
    return options;
}

static inline ipc_queue *new_queue(uint32_t capacity, size_t bytes,
                                   uint32_t flags)
{
    const ipc_queue_options options = queue_options(capacity, bytes, flags);
    ipc_queue *queue = NULL;
    expect_rc(ipc_queue_new(&options, &queue), 0);
    assert_non_null(queue);
    return queue;
}

static inline void free_queue(ipc_queue *queue)
{
    expect_rc(ipc_queue_free(queue), 0);
}

/* ---- messages: the first bytes are the number, if there is room ---- */

static inline unsigned char byte_of(unsigned number, size_t i)
{
    const size_t byte =
        i < sizeof number ? number >> (8 * i) : i * 7 + (i >> 8) + number;
    return (unsigned char)byte;
}

static inline void fill_message(void *message, size_t bytes, unsigned number)
{
    for (size_t i = 0; i < bytes; i++)
        ((unsigned char *)message)[i] = byte_of(number, i);
}

static inline bool is_message(const void *message, size_t bytes,
                              unsigned number)
{
    for (size_t i = 0; i < bytes; i++)
        if (((const unsigned char *)message)[i] != byte_of(number, i))
            return false;
    return true;
}

static inline unsigned number_of(const void *message)
{
    unsigned number;
    memcpy(&number, message, sizeof number);
    return number;
}

static inline void *new_message(size_t bytes, unsigned number)
{
    void *message = malloc(bytes + 1);
    assert_non_null(message);
    fill_message(message, bytes, number);
    return message;
}

static inline int try_put(ipc_queue *queue, size_t bytes, unsigned number,
                          ipc_deadline deadline)
{
    void *message = new_message(bytes, number);
    const int rc = deadline == IPC_TIME_NOW
                       ? ipc_queue_put_nowait(queue, message, bytes)
                       : ipc_queue_put_until(queue, message, bytes, deadline);
    free(message);
    return rc;
}

static inline void put(ipc_queue *queue, size_t bytes, unsigned number)
{
    expect_rc(try_put(queue, bytes, number, ipc_after_ms(LIMIT_MS)), 0);
}

static inline void put_now(ipc_queue *queue, size_t bytes, unsigned number)
{
    expect_rc(try_put(queue, bytes, number, IPC_TIME_NOW), 0);
}

/* The next one is this. */
static inline void get(ipc_queue *queue, size_t bytes, unsigned number)
{
    void *data = NULL;
    size_t got = 77777;
    expect_rc(ipc_queue_get_alloc(queue, &data, &got, ipc_after_ms(LIMIT_MS)),
              0);
    assert_int_equal(got, bytes);
    if (!is_message(data, bytes, number))
        test_fail("message %u of %zu bytes begins with %u", number, bytes,
                  bytes >= sizeof number ? number_of(data) : 0);
    assert_int_equal(((char *)data)[got], 0);
    free(data);
}

/* The same by way of a buffer, which is how others are got. */
static inline void get_now(ipc_queue *queue, size_t bytes, unsigned number)
{
    char *buffer = malloc(bytes + 1);
    size_t got = 77777;
    assert_non_null(buffer);
    expect_rc(ipc_queue_get_nowait(queue, buffer, bytes, &got), 0);
    assert_int_equal(got, bytes);
    if (!is_message(buffer, bytes, number))
        test_fail("message %u of %zu bytes begins with %u", number, bytes,
                  bytes >= sizeof number ? number_of(buffer) : 0);
    free(buffer);
}

/* Nothing is there, and nothing is written. */
static inline void expect_empty(ipc_queue *queue)
{
    char buffer[4] = "abc";
    size_t bytes = 77;
    expect_rc(ipc_queue_get_nowait(queue, buffer, sizeof buffer, &bytes),
              -EAGAIN);
    assert_int_equal(bytes, 77);
    assert_string_equal(buffer, "abc");
    assert_int_equal(ipc_queue_size(queue), 0);
    assert_true(ipc_queue_empty(queue));
}

static inline void expect_full(ipc_queue *queue)
{
    expect_rc(ipc_queue_put_nowait(queue, "x", 1), -EAGAIN);
}

/* All of its capacity, of its bytes, and of its pages can be had; it is empty
 * before and after. */
static inline void expect_whole(ipc_queue *queue)
{
    const uint32_t capacity = ipc_queue_capacity(queue);
    const size_t bytes = ipc_queue_bytes(queue);
    for (uint32_t i = 0; i < capacity && (size_t)(i + 1) * 16 <= bytes; i++)
        put_now(queue, sizeof i, i);
    for (uint32_t i = 0; i < capacity && (size_t)(i + 1) * 16 <= bytes; i++)
        get_now(queue, sizeof i, i);
    for (unsigned i = 0; i < 2; i++) {
        put_now(queue, bytes, i);
        get_now(queue, bytes, i);
    }
    const size_t part = bytes / capacity / 16 * 16;
    if (part != 0) {
        for (uint32_t i = 0; i < capacity; i++)
            put_now(queue, part, i);
        for (uint32_t i = 0; i < capacity; i++)
            get_now(queue, part, i);
    }
    expect_empty(queue);
}

/* ---- threads ---- */

static inline pthread_t start_thread(void *(*fn)(void *arg), void *arg)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fn, arg), 0);
    return thread;
}

static inline void join_thread(pthread_t thread)
{
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Of this process: helpers of the library and of sanitizers too. */
static inline int count_threads(void)
{
    struct stat st;
    assert_int_equal(stat("/proc/self/task", &st), 0);
    return (int)st.st_nlink - 2;
}

/* Those of the library stay for a moment: until there are so many again. */
static inline void wait_for_helpers(int threads)
{
    const int64_t end = test_now_ns() + LIMIT_MS * 1000000LL;
    while (count_threads() > threads && test_now_ns() < end)
        poll_pause();
}

static inline void *do_nothing(void *arg)
{
    return arg;
}

/* Sanitizers start one of theirs with the first. */
static inline int threads_at_rest(void)
{
    join_thread(start_thread(do_nothing, NULL));
    return count_threads();
}

#endif
