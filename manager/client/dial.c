#include "client/dial.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "fail.h"

/* ---- waiting for a descriptor ---- */

short ipcm__stream_events(const struct ipcm__stream *stream, bool write)
{
    int events = POLLIN;
    if (stream->want_write || (write && !stream->want_read))
        events |= POLLOUT;
    return (short)events;
}

int ipcm__wait_fd(int fd, short events, ipc_deadline deadline)
{
    for (;;) {
        struct pollfd item = {.fd = fd, .events = events};
        const int64_t left = ipc_time_left(deadline);
        const struct timespec time = {.tv_sec = left / IPC_S(1),
                                      .tv_nsec = left % IPC_S(1)};
        const int n =
            ppoll(&item, 1, deadline == IPC_TIME_FOREVER ? NULL : &time, NULL);
        if (n > 0)
            return 0;
        if (n == 0 && ipc_time_left(deadline) == 0)
            return -ETIMEDOUT;
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
    }
}

/* ---- the handshake ---- */

struct progress {
    struct ipcm__stream *stream;
    ipc_deadline deadline;
};

static int wait_stream(const struct progress *on, bool write)
{
    const struct ipcm__stream *stream = on->stream;
    int events = write ? POLLOUT : POLLIN;
    if (write ? stream->want_read : stream->want_write)
        events = write ? POLLIN : POLLOUT;
    const int rc = ipcm__wait_fd(stream->fd, (short)events, on->deadline);
    return rc == -ETIMEDOUT
               ? ipcm__fail(rc, "there was no answer to the handshake in time")
               : rc;
}

static int secure(const struct progress *on)
{
    for (;;) {
        const int rc = ipcm__stream_ready(on->stream);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        const int waited = wait_stream(on, on->stream->want_write);
        if (waited != 0)
            return waited;
    }
}

/* Send what the handshake has to say; also after an error of its. */
static int say(const struct progress *on, struct ipcm__shake *shake)
{
    const void *data = NULL;
    for (size_t n; (n = ipcm__shake_output(shake, &data)) > 0;) {
        const int64_t sent = ipcm__stream_write(on->stream, data, n);
        if (sent > 0) {
            ipcm__shake_sent(shake, (size_t)sent);
            continue;
        }
        const int rc = sent == -EAGAIN ? wait_stream(on, true) : (int)sent;
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int hear(const struct progress *on, struct ipcm__shake *shake)
{
    uint8_t bytes[IPCM__WELCOME_BYTES];
    size_t room = ipcm__shake_wants(shake);
    if (room > sizeof bytes)
        room = sizeof bytes;
    for (;;) {
        const int64_t n = ipcm__stream_read(on->stream, bytes, room);
        if (n > 0)
            return ipcm__shake_feed(shake, bytes, (size_t)n);
        const int rc = n == -EAGAIN ? wait_stream(on, false) : (int)n;
        if (rc != 0)
            return rc == -EPIPE
                       ? ipcm__fail(rc, "the other side has ended the "
                                        "connection during the handshake")
                       : rc;
    }
}

static int shake_hands(const struct progress *on, const struct ipcm__dial *dial,
                       struct ipcm__welcome *welcome)
{
    uint8_t binding[32];
    int rc = secure(on);
    if (rc == 0)
        rc = ipcm__stream_binding(on->stream, binding);
    if (rc != 0)
        return rc;
    const struct ipcm__shake_options options = {
        .purpose = dial->purpose,
        .key = dial->key,
        .key_bytes = dial->key_bytes,
        .binding = binding,
        .session = dial->session,
        .pid = (uint32_t)getpid(),
    };
    struct ipcm__shake shake;
    rc = ipcm__shake_begin(&shake, IPCM__CLIENT, &options);
    if (rc != 0)
        return rc;
    while (rc == IPCM__SHAKE_MORE) {
        rc = say(on, &shake);
        /* Who does not listen any more may have said why. */
        if (rc == 0 || rc == -EPIPE)
            rc = hear(on, &shake);
    }
    if (rc == IPCM__SHAKE_DONE) {
        *welcome = shake.welcome;
        rc = 0;
    }
    ipcm__shake_end(&shake);
    return rc;
}

int ipcm__dial(const struct ipcm__dial *dial, ipc_deadline deadline,
               struct ipcm__stream *stream, struct ipcm__welcome *welcome)
{
    int fd = -1;
    int rc = ipcm__net_connect(dial->address,
                               dial->plain_tcp ? IPCM__DOOR_PLAIN_TCP : 0,
                               deadline, &fd);
    if (rc != 0)
        return rc;
    rc = ipcm__stream_begin(stream, fd, dial->tls);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    const struct progress on = {stream, deadline};
    rc = shake_hands(&on, dial, welcome);
    if (rc != 0)
        ipcm__stream_end(stream);
    return rc == -EPIPE ? -ECONNRESET : rc;
}
