/* What the tests of connections have in common. */
#ifndef CONNECTION_SUPPORT_H
#define CONNECTION_SUPPORT_H

#include "harness/harness.h"
#include "harness/role.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ipc/connection.h>
#include <ipc/error.h>
#include <ipc/shared.h>

enum {
    LIMIT_MS = 10000, /* it hangs */
    WEDGE_MS = 1000   /* whoever waits for a dead one hangs */
};

/* Small ones, one that needs two pieces, and one that spills into a memfd
 * wherever the test runs. */
enum {
    FLAT = 100,
    PARTS = 5000,
    SPILLED = 200000
};

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

struct ends {
    ipc_connection *a;
    ipc_connection *b;
};

static inline struct ends new_pipe(void)
{
    struct ends ends = {NULL, NULL};
    expect_rc(ipc_pipe(NULL, &ends.a, &ends.b), 0);
    return ends;
}

static inline struct ends new_one_way(void)
{
    const ipc_pipe_options options = {.size = sizeof options,
                                      .flags = IPC_PIPE_ONE_WAY};
    struct ends ends = {NULL, NULL};
    expect_rc(ipc_pipe(&options, &ends.a, &ends.b), 0);
    return ends;
}

static inline void close_both(struct ends ends)
{
    expect_rc(ipc_connection_close(ends.a), 0);
    expect_rc(ipc_connection_close(ends.b), 0);
}

/* ---- messages whose every byte is known ---- */

static inline void fill_message(void *message, size_t bytes, unsigned number)
{
    for (size_t i = 0; i < bytes; i++)
        ((unsigned char *)message)[i] =
            (unsigned char)(i * 7 + (i >> 8) + number);
}

static inline bool is_message(const void *message, size_t bytes,
                              unsigned number)
{
    for (size_t i = 0; i < bytes; i++)
        if (((const unsigned char *)message)[i] !=
            (unsigned char)(i * 7 + (i >> 8) + number))
            return false;
    return true;
}

static inline void *new_message(size_t bytes, unsigned number)
{
    void *message = malloc(bytes + 1);
    assert_non_null(message);
    fill_message(message, bytes, number);
    return message;
}

static inline void send_message(ipc_connection *c, size_t bytes,
                                unsigned number)
{
    void *message = new_message(bytes, number);
    expect_rc(
        ipc_connection_send_until(c, message, bytes, ipc_after_ms(LIMIT_MS)),
        0);
    free(message);
}

static inline void recv_message(ipc_connection *c, size_t bytes,
                                unsigned number)
{
    void *data = NULL;
    size_t got = 0;
    expect_rc(ipc_connection_recv_until(c, &data, &got, ipc_after_ms(LIMIT_MS)),
              0);
    assert_int_equal(got, bytes);
    assert_true(is_message(data, bytes, number));
    assert_int_equal(((char *)data)[got], 0);
    free(data);
}

/* Nothing is there, and nobody is gone. */
static inline void expect_empty(ipc_connection *c)
{
    size_t bytes = 77;
    expect_rc(ipc_connection_recv_into_nowait(c, NULL, 0, &bytes), -EAGAIN);
    assert_int_equal(bytes, 77);
}

static inline void expect_end(ipc_connection *c)
{
    void *data = NULL;
    size_t bytes = 77;
    expect_rc(
        ipc_connection_recv_until(c, &data, &bytes, ipc_after_ms(LIMIT_MS)),
        -EPIPE);
    assert_null(data);
    assert_int_equal(bytes, 77);
}

/* ---- descriptors ---- */

/* Of this process, but the one used for looking. */
static inline int count_fds(void)
{
    int count = -1;
    assert_int_equal(ipc_shared_init(), 0); /* its descriptor stays open */
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

static inline bool is_cloexec(int fd)
{
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

/* Is it the writing end of this plain pipe? */
static inline void expect_writes_to(int fd, int reading_end)
{
    char byte = 0;
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(read(reading_end, &byte, 1), 1);
    assert_int_equal(byte, 'x');
}

#endif
