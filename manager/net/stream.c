/* Streams: bytes over a socket, plain or with TLS in between. */
#include "net/net.h"

#include <errno.h>
#include <string.h>

#include <sys/socket.h>
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

static int64_t read_plain(struct ipcm__stream *stream, void *data, size_t room)
{
    union control control;
    struct iovec part = {.iov_base = data, .iov_len = room};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t n;
    do {
        message.msg_control = control.room;
        message.msg_controllen = sizeof control.room;
        n = recvmsg(stream->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return fail_socket(errno);
    keep_fds(stream, &message);
    if (n == 0)
        return ipcm__fail(-EPIPE, "the other side has closed the connection");
    return n;
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

static int64_t write_plain(struct ipcm__stream *stream, const void *data,
                           size_t bytes)
{
    union control control;
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t n;
    if (stream->send_fd >= 0)
        put_fd(stream->send_fd, &control, &message);
    do {
        n = sendmsg(stream->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return fail_socket(errno);
    if (n > 0)
        stream->send_fd = -1;
    return n;
}

/* ---- both ---- */

int64_t ipcm__stream_read(struct ipcm__stream *stream, void *data, size_t room)
{
    return stream->tls != NULL ? ipcm__tls_stream_read(stream, data, room)
                               : read_plain(stream, data, room);
}

int64_t ipcm__stream_write(struct ipcm__stream *stream, const void *data,
                           size_t bytes)
{
    return stream->tls != NULL ? ipcm__tls_stream_write(stream, data, bytes)
                               : write_plain(stream, data, bytes);
}
