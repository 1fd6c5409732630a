/* One use of pipes and connections: a part of everything.c, where DONE() is.
 *
 * What could not be sent is not there; what could not be received comes with
 * the next try, unless its memory cannot be read (-EIO). */
#ifndef FAULT_EVERYTHING_CHANNEL_H
#define FAULT_EVERYTHING_CHANNEL_H

#include <fcntl.h>

#include <ipc/connection.h>

enum {
    OUTSIDE_BYTES = 200000 /* some of it lies in a file of its own */
};

/* ---- messages ---- */

static unsigned char *long_letter(void)
{
    static unsigned char letter[OUTSIDE_BYTES];
    static bool written;
    for (size_t i = 0; !written && i < sizeof letter; i++)
        letter[i] = (unsigned char)(i * 13 + i / 1000);
    written = true;
    return letter;
}

static bool is_there(ipc_connection *c)
{
    const int rc = ipc_connection_poll(c, IPC_TIME_NOW);
    return rc == 1 || (rc != 0 && !done("poll", rc));
}

static bool send_letter(ipc_connection *from, unsigned way, size_t bytes)
{
    (void)ipc__fail_plain(0);
    const void *data = long_letter();
    const ipc_deadline deadline = ipc_after_ms(LIMIT_MS);
    const int rc = way % 3 == 0 ? ipc_connection_send(from, data, bytes)
                   : way % 3 == 1
                       ? ipc_connection_send_nowait(from, data, bytes)
                       : ipc_connection_send_until(from, data, bytes, deadline);
    return done("send", rc);
}

static int receive_fresh(ipc_connection *to, unsigned char *buffer,
                         size_t *bytes)
{
    void *data;
    const int rc = ipc_connection_recv(to, &data, bytes);
    if (rc != 0)
        return rc;
    memcpy(buffer, data, *bytes);
    free(data);
    return 0;
}

static int receive_so(ipc_connection *to, unsigned way, unsigned char *buffer,
                      size_t *bytes)
{
    const ipc_deadline deadline = ipc_after_ms(LIMIT_MS);
    switch (way % 4) {
    case 0:
        return ipc_connection_recv_into(to, buffer, OUTSIDE_BYTES, bytes);
    case 1:
        return ipc_connection_recv_into_nowait(to, buffer, OUTSIDE_BYTES,
                                               bytes);
    case 2:
        return ipc_connection_recv_into_until(to, buffer, OUTSIDE_BYTES, bytes,
                                              deadline);
    default:
        return receive_fresh(to, buffer, bytes);
    }
}

/* False: it stays. */
static bool receive_letter(ipc_connection *to, unsigned way, size_t bytes)
{
    static unsigned char buffer[OUTSIDE_BYTES];
    for (int i = 0; i < 4; i++) {
        size_t got = 0;
        (void)ipc__fail_plain(0);
        const int rc =
            receive_so(to, i < 2 ? way : 0, memset(buffer, 0, bytes), &got);
        if (done("recv", rc)) {
            assert_int_equal(got, bytes);
            assert_memory_equal(buffer, long_letter(), bytes);
            return true;
        }
        if (rc == -EIO)
            return true;
        assert_true(is_there(to));
    }
    return false;
}

static bool use_letters(ipc_connection *from, ipc_connection *to, size_t bytes)
{
    for (unsigned way = 0; way < 4; way++) {
        if (!send_letter(from, way, bytes)) {
            const int rc = ipc_connection_poll(to, IPC_TIME_NOW);
            assert_true(rc == 0 || !done("poll", rc));
        } else if (!receive_letter(to, way, bytes)) {
            return false;
        }
    }
    return true;
}

/* Too small a buffer, and the other kind of message. */
static bool use_wrong_letters(ipc_connection *from, ipc_connection *to)
{
    unsigned char small[8];
    size_t bytes = 0;
    int fd = -1;
    if (!send_letter(from, 0, OUTSIDE_BYTES))
        return true;
    int rc = ipc_connection_recv_fd_nowait(to, &fd);
    assert_true(rc == -ENOMSG || !done("recv_fd", rc));
    rc = ipc_connection_recv_into_nowait(to, small, sizeof small, &bytes);
    assert_true(rc == -EMSGSIZE ? bytes == OUTSIDE_BYTES : !done("recv", rc));
    return receive_letter(to, 3, OUTSIDE_BYTES);
}

/* ---- descriptors ---- */

/* What is written into the pipe by the descriptor that came comes out. */
static void expect_same_pipe(int in, int out)
{
    char c = 0;
    assert_int_equal(fcntl(in, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(write(in, "x", 1), 1);
    assert_int_equal(read(out, &c, 1), 1);
    assert_int_equal(c, 'x');
}

static bool receive_fd(ipc_connection *to, int *fd)
{
    for (int i = 0; i < 2; i++) {
        (void)ipc__fail_plain(0);
        if (done("recv_fd", i == 0 ? ipc_connection_recv_fd(to, fd)
                                   : ipc_connection_recv_fd_nowait(to, fd)))
            return true;
        assert_true(is_there(to));
    }
    return false;
}

static bool pass_fd(ipc_connection *from, ipc_connection *to, const int ends[2])
{
    int fd = -1;
    void *data;
    size_t bytes;
    if (!DONE(ipc_connection_send_fd(from, ends[1])) &&
        !DONE(ipc_connection_send_fd_until(from, ends[1],
                                           ipc_after_ms(LIMIT_MS))))
        return true;
    const int rc = ipc_connection_recv_nowait(to, &data, &bytes);
    assert_true(rc == -ENOMSG || !done("recv", rc));
    if (!receive_fd(to, &fd))
        return false;
    if (!now->blind)
        expect_same_pipe(fd, ends[0]);
    (void)close(fd);
    return true;
}

static bool use_descriptors(ipc_connection *from, ipc_connection *to)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return true;
    const bool done_so = pass_fd(from, to, ends);
    (void)close(ends[0]);
    (void)close(ends[1]);
    CHECK(ipc_connection_send_fd(from, -1), -EBADF);
    return done_so;
}

/* ---- pipes ---- */

/* From hand to hand, as its descriptor alone. */
static ipc_connection *hand_over(ipc_connection *c)
{
    ipc_connection *again;
    const int fd = ipc_connection_detach(c);
    for (int i = 0; i < 2; i++)
        if (DONE(ipc_connection_from_fd(fd, NULL, &again)))
            return again;
    (void)close(fd);
    return NULL;
}

static void expect_end(ipc_connection *to)
{
    void *data;
    size_t bytes;
    int rc = ipc_connection_recv(to, &data, &bytes);
    assert_true(rc == -EPIPE || !done("recv", rc));
    rc = ipc_connection_send_nowait(to, "x", 1);
    assert_true(rc == -EPIPE || rc == -EBADF || !done("send", rc));
}

static void find_nothing(ipc_connection *to)
{
    void *data;
    size_t bytes;
    int rc = ipc_connection_recv_until(to, &data, &bytes, in_a_moment());
    assert_true(rc == -ETIMEDOUT || !done("recv", rc));
    rc = ipc_connection_poll(to, in_a_moment());
    assert_true(rc == 0 || !done("poll", rc));
}

static void close_ends(ipc_connection *from, ipc_connection *to, bool empty)
{
    CHECK(ipc_connection_close(from), 0);
    if (empty)
        expect_end(to);
    CHECK(ipc_connection_close(to), 0);
}

static void use_ends(ipc_connection *from, ipc_connection *to)
{
    assert_true(ipc_connection_fileno(from) != ipc_connection_fileno(to));
    find_nothing(to);
    close_ends(from, to,
               use_letters(from, to, 0) && use_letters(from, to, SHORT_BYTES) &&
                   use_letters(from, to, 5000) &&
                   use_letters(from, to, OUTSIDE_BYTES) &&
                   use_wrong_letters(from, to) && use_descriptors(from, to));
}

/* What is under way stays there when nobody receives it. */
static void leave_letters(void)
{
    ipc_connection *a, *b;
    if (!DONE(ipc_pipe(NULL, &a, &b)))
        return;
    (void)send_letter(a, 0, OUTSIDE_BYTES);
    (void)send_letter(b, 1, SHORT_BYTES);
    CHECK(ipc_connection_close(a), 0);
    CHECK(ipc_connection_close(b), 0);
}

static void use_one_way(void)
{
    const ipc_pipe_options options = {sizeof options, IPC_PIPE_ONE_WAY, 0};
    ipc_connection *to, *from;
    void *data;
    size_t bytes;
    if (!DONE(ipc_pipe(&options, &to, &from)))
        return;
    CHECK(ipc_connection_send_nowait(to, "x", 1), -EBADF);
    const int rc = ipc_connection_recv_nowait(from, &data, &bytes);
    assert_true(rc == -EBADF || !done("recv", rc));
    close_ends(from, to, use_letters(from, to, SHORT_BYTES));
}

static void use_pipe(void)
{
    ipc_connection *a, *b;
    if (!DONE(ipc_pipe(NULL, &a, &b)))
        return;
    b = hand_over(b);
    if (b != NULL)
        use_ends(a, b);
    else
        CHECK(ipc_connection_close(a), 0);
}

/* ---- two processes ---- */

struct echo {
    ipc_connection *mine, *others;
};

static bool send_one_back(ipc_connection *c)
{
    void *data;
    size_t bytes;
    (void)ipc__fail_plain(0);
    int rc = ipc_connection_recv(c, &data, &bytes);
    if (rc == -EPIPE || !done("recv", rc))
        return false;
    rc = ipc_connection_send(c, data, bytes);
    free(data);
    return rc != -EPIPE && done("send", rc);
}

static int send_back(void *arg)
{
    struct echo *echo = arg;
    CHECK(ipc_connection_close(echo->others), 0);
    while (send_one_back(echo->mine))
        ;
    return 0;
}

/* Until something fails, here or there. */
static void use_echo(ipc_connection *c)
{
    static unsigned char buffer[OUTSIDE_BYTES];
    for (unsigned i = 0; i < 3; i++) {
        const size_t bytes = i == 1 ? OUTSIDE_BYTES : SHORT_BYTES;
        size_t got = 0;
        int rc = ipc_connection_send(c, long_letter(), bytes);
        if (rc == -EPIPE || !done("send", rc))
            break;
        rc = ipc_connection_recv_into_until(c, buffer, sizeof buffer, &got,
                                            ipc_after_ms(LIMIT_MS));
        if (rc != 0) {
            assert_true(now->expected != NULL);
            break;
        }
        assert_memory_equal(buffer, long_letter(), got);
    }
}

static void use_connection_together(void)
{
    struct echo echo;
    ipc_process process;
    if (now->no_processes || !DONE(ipc_pipe(NULL, &echo.mine, &echo.others)))
        return;
    CHECK(ipc_process_init(&process, send_back, &echo, NULL), 0);
    const bool started = DONE(ipc_process_start(&process));
    CHECK(ipc_connection_close(echo.mine), 0);
    if (started)
        use_echo(echo.others);
    CHECK(ipc_connection_close(echo.others), 0);
    finish(&process, started, 0);
}

/* ---- all of it ---- */

static void use_connections(void)
{
    use_pipe();
    use_one_way();
    leave_letters();
    use_connection_together();
}

#endif
