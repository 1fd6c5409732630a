/* Streams: bytes over a socket, plain or with TLS in between. */
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "fail.h"
#include "net/tls.h"

/* Descriptors that are looked at in one message; the kernel closes others. */
#define FDS 4

int ipcm__stream_begin(struct ipcm__stream *stream, int fd,
                       struct ipcm__tls *tls)
{
    struct ipcm__tls_stream *own = NULL;
    if (tls != NULL) {
        const int rc = ipcm__tls_stream_new(tls, fd, &own);
        if (rc < 0)
            return rc;
    }
    memset(stream, 0, sizeof *stream);
    stream->fd = fd;
    stream->got_fd = -1;
    stream->send_fd = -1;
    stream->tls = own;
    return 0;
}

void ipcm__stream_end(struct ipcm__stream *stream)
{
    if (stream->tls != NULL)
        ipcm__tls_stream_free(stream->tls);
    if (stream->got_fd >= 0)
        close(stream->got_fd);
    if (stream->fd >= 0)
        close(stream->fd);
    stream->tls = NULL;
    stream->got_fd = -1;
    stream->send_fd = -1;
    stream->fd = -1;
}

int ipcm__stream_ready(struct ipcm__stream *stream)
{
    return stream->tls != NULL ? ipcm__tls_stream_ready(stream) : 1;
}

int ipcm__stream_binding(struct ipcm__stream *stream, uint8_t out[32])
{
    if (stream->tls != NULL)
        return ipcm__tls_stream_binding(stream, out);
    memset(out, 0, 32);
    return 0;
}

bool ipcm__stream_pending(const struct ipcm__stream *stream)
{
    return stream->tls != NULL && ipcm__tls_stream_pending(stream);
}

/* Whatever has become of the other side, it is gone. */
static int fail_socket(int error)
{
    switch (error) {
    case EAGAIN:
        return -EAGAIN;
    case ENOMEM:
    case ENOBUFS:
    case ETOOMANYREFS: /* too many descriptors are on their way */
        return ipcm__fail(-ENOMEM, "socket: %s", ipc_strerror(-error));
    default:
        return ipcm__fail(-EPIPE, "the other side is gone: %s",
                          ipc_strerror(-error));
    }
}

/* ---- plain ---- */

union control {
    char room[CMSG_SPACE(FDS * sizeof(int))];
    struct cmsghdr align;
};

/* The first one is kept, in place of one that nobody has taken. */
static void keep_fds(struct ipcm__stream *stream, struct msghdr *message)
{
    bool is_first = true;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
         part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            const int close_fd = is_first ? stream->got_fd : fd;
            if (is_first)
                stream->got_fd = fd;
            if (close_fd >= 0)
                close(close_fd);
            is_first = false;
        }
    }
}

/* What was not taken has been closed by the kernel. */
static int64_t count_read(ssize_t n)
{
    if (n < 0)
        return fail_socket(errno);
    if (n == 0)
        return ipcm__fail(-EPIPE, "the other side has closed the connection");
    return n;
}

static int64_t read_bytes(const struct ipcm__stream *stream, void *data,
                          size_t room)
{
    ssize_t n;
    do
        n = recv(stream->fd, data, room, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return count_read(n);
}

static ssize_t receive_with_fds(struct ipcm__stream *stream, void *data,
                                size_t room, int flags)
{
    union control control;
    struct iovec part = {.iov_base = data, .iov_len = room};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    const ssize_t n = recvmsg(stream->fd, &message, flags | MSG_CMSG_CLOEXEC);
    if (n >= 0)
        keep_fds(stream, &message);
    return n;
}

static int64_t read_with_fds(struct ipcm__stream *stream, void *data,
                             size_t room)
{
    ssize_t n;
    do
        n = receive_with_fds(stream, data, room, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return count_read(n);
}

static void put_fd(int fd, union control *control, struct msghdr *message)
{
    memset(control, 0, sizeof *control);
    message->msg_control = control->room;
    message->msg_controllen = CMSG_SPACE(sizeof fd);
    struct cmsghdr *part = CMSG_FIRSTHDR(message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(part), &fd, sizeof fd);
}

static int64_t write_bytes(const struct ipcm__stream *stream, const void *data,
                           size_t bytes)
{
    ssize_t n;
    do
        n = send(stream->fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? fail_socket(errno) : n;
}

static int64_t write_with_fd(struct ipcm__stream *stream, const void *data,
                             size_t bytes)
{
    union control control;
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t n;
    put_fd(stream->send_fd, &control, &message);
    do
        n = sendmsg(stream->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fail_socket(errno);
    if (n > 0)
        stream->send_fd = -1;
    return n;
}

/* ---- plain, waiting ---- */

bool ipcm__stream_let_wait(struct ipcm__stream *stream, uint32_t ms)
{
    const struct timeval time = {.tv_sec = ms / 1000,
                                 .tv_usec = (suseconds_t)(ms % 1000) * 1000};
    /* The time first: without it nothing would end the waiting. */
    stream->can_wait = stream->tls == NULL &&
                       setsockopt(stream->fd, SOL_SOCKET, SO_RCVTIMEO, &time,
                                  sizeof time) == 0 &&
                       fcntl(stream->fd, F_SETFL, 0) == 0;
    return stream->can_wait;
}

int64_t ipcm__stream_await(struct ipcm__stream *stream, void *data, size_t room)
{
    if (!stream->can_wait)
        return -EAGAIN;
    /* Somebody may ask for a descriptor in the meantime. */
    const ssize_t n = receive_with_fds(stream, data, room, 0);
    return n < 0 && errno == EINTR ? -EAGAIN : count_read(n);
}

/* ---- both ---- */

int64_t ipcm__stream_read(struct ipcm__stream *stream, void *data, size_t room)
{
    if (stream->tls != NULL)
        return ipcm__tls_stream_read(stream, data, room);
    return stream->no_fds ? read_bytes(stream, data, room)
                          : read_with_fds(stream, data, room);
}

int64_t ipcm__stream_write(struct ipcm__stream *stream, const void *data,
                           size_t bytes)
{
    if (stream->tls != NULL)
        return ipcm__tls_stream_write(stream, data, bytes);
    return stream->send_fd < 0 ? write_bytes(stream, data, bytes)
                               : write_with_fd(stream, data, bytes);
}
