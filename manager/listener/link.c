/* Links: making, closing, waiting. */
#include "listener/link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/options.h"
#include "client/dial.h"
#include "fail.h"

#define CONNECT_MS 5000u
#define CLOSE_MS   5000

/* ---- tls ---- */

int ipcm__shared_tls_new(const struct ipcm__tls_options *options,
                         struct ipcm__shared_tls **out)
{
    struct ipcm__shared_tls *shared = calloc(1, sizeof *shared);
    if (shared == NULL)
        return ipcm__fail(-ENOMEM, "no memory for certificates");
    shared->references = 1;
    const int rc = ipcm__tls_new(options, &shared->tls);
    if (rc != 0)
        free(shared);
    else
        *out = shared;
    return rc;
}

void ipcm__shared_tls_drop(struct ipcm__shared_tls *shared)
{
    if (shared == NULL ||
        __atomic_fetch_sub(&shared->references, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    ipcm__tls_free(shared->tls);
    free(shared);
}

/* ---- making ---- */

int ipcm__link_options(const ipc_link_options *given, uint32_t connect_ms,
                       ipc_link_options *out)
{
    const int rc = ipc__options_read(out, sizeof *out, given);
    if (rc != 0)
        return ipcm__fail(rc, "options of another version");
    if ((out->flags & ~IPC_LINK_PLAIN_TCP) != 0)
        return ipcm__fail(-EINVAL, "unknown flags 0x%x", out->flags);
    if (out->max_bytes == 0)
        out->max_bytes = IPC_LINK_MAX_BYTES;
    if (out->max_bytes > IPC_ANY_BYTES_MAX)
        return ipcm__fail(-EINVAL, "messages of %u bytes; %u are possible",
                          out->max_bytes, IPC_ANY_BYTES_MAX);
    if (out->connect_ms == 0)
        out->connect_ms = connect_ms;
    return 0;
}

int ipcm__link_make(const struct ipcm__stream *stream,
                    struct ipcm__shared_tls *tls, uint32_t max_send,
                    uint32_t max_recv, ipc_link **out)
{
    ipc_link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a link");
    pthread_mutex_init(&link->lock, NULL);
    link->stream = *stream;
    link->tls = tls;
    link->pid = getpid();
    link->max_send = max_send;
    link->max_recv = max_recv;
    *out = link;
    return 0;
}

struct caller {
    struct ipcm__address address;
    ipc_link_options options;
    struct ipcm__shared_tls *tls;
};

static int prepare(struct caller *caller, const char *address,
                   const ipc_link_options *given)
{
    int rc = ipcm__link_options(given, CONNECT_MS, &caller->options);
    if (rc == 0)
        rc = ipcm__address_parse(address, &caller->address);
    if (rc != 0 || caller->address.transport != IPCM__TLS)
        return rc;
    const ipc_link_options *o = &caller->options;
    const char *name = o->tls_name != NULL ? o->tls_name : caller->address.host;
    const struct ipcm__tls_options tls = {
        .certificate = o->tls_certificate,
        .key = o->tls_key,
        .ca = o->tls_ca,
        .name = o->tls_ca != NULL ? name : NULL,
    };
    return ipcm__shared_tls_new(&tls, &caller->tls);
}

int ipc_connect(const char *address, const void *key, size_t key_bytes,
                const ipc_link_options *options, ipc_link **out)
{
    struct caller caller = {.tls = NULL};
    struct ipcm__stream stream;
    struct ipcm__welcome welcome;
    int rc = prepare(&caller, address, options);
    if (rc != 0)
        return rc;
    const struct ipcm__dial dial = {
        .address = &caller.address,
        .plain_tcp = (caller.options.flags & IPC_LINK_PLAIN_TCP) != 0,
        .tls = caller.tls != NULL ? caller.tls->tls : NULL,
        .key = key,
        .key_bytes = key_bytes,
        .purpose = IPCM__FOR_MESSAGES,
    };
    const uint32_t most = caller.options.max_bytes;
    rc = ipcm__dial(&dial, ipc_after_ms(caller.options.connect_ms), &stream,
                    &welcome);
    if (rc == 0) {
        rc = ipcm__link_make(
            &stream, caller.tls,
            welcome.frame_bytes < most ? welcome.frame_bytes : most, most, out);
        if (rc != 0)
            ipcm__stream_end(&stream);
    }
    if (rc != 0)
        ipcm__shared_tls_drop(caller.tls);
    return rc;
}

/* ---- closing ---- */

static void send_the_rest(ipc_link *link)
{
    const ipc_deadline end = ipc_after_ms(CLOSE_MS);
    while (!link->gone && ipcm__link_flush(link) == -EAGAIN)
        if (ipcm__wait_fd(link->stream.fd,
                          ipcm__stream_events(&link->stream, true), end) != 0)
            return;
}

/* Closing a TCP socket with something unread in it throws away what it has not
 * sent yet. */
static void wait_until_sent(const ipc_link *link)
{
    const ipc_deadline end = ipc_after_ms(CLOSE_MS);
    int unread = 0;
    int unsent = 0;
    int domain = AF_UNIX;
    socklen_t size = sizeof domain;
    (void)getsockopt(link->stream.fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
    if (domain == AF_UNIX || link->gone ||
        ioctl(link->stream.fd, FIONREAD, &unread) != 0 || unread == 0)
        return;
    while (ioctl(link->stream.fd, SIOCOUTQ, &unsent) == 0 && unsent > 0 &&
           ipc_time_left(end) > 0)
        ipc_sleep_until(ipc_after_ms(1));
}

int ipc_link_close(ipc_link *link)
{
    if (link == NULL)
        return 0;
    const bool ours = link->tls == NULL || link->pid == getpid();
    if (ours) {
        send_the_rest(link);
        wait_until_sent(link);
    }
    ipcm__stream_end(&link->stream);
    ipcm__shared_tls_drop(link->tls);
    ipcm__buffer_free(&link->in);
    ipcm__buffer_free(&link->out);
    free(link->message);
    pthread_mutex_destroy(&link->lock);
    free(link);
    return 0;
}

/* ---- errors ---- */

int ipcm__link_gone(ipc_link *link, const char *reason)
{
    if (!link->gone)
        snprintf(link->reason, sizeof link->reason, "%s", reason);
    link->gone = true;
    return ipcm__link_fail(link);
}

int ipcm__link_fail(const ipc_link *link)
{
    return ipcm__fail(link->too_long != 0 ? link->too_long : -EPIPE,
                      "link %d: %s", link->stream.fd, link->reason);
}

int ipcm__link_check(const ipc_link *link)
{
    if (link->tls != NULL && link->pid != getpid())
        return ipcm__fail(-ECHILD, "a link over tls is process %d's",
                          link->pid);
    return 0;
}

/* ---- waiting ---- */

int ipcm__link_wait(ipc_link *link, bool write, ipc_deadline deadline)
{
    pthread_mutex_lock(&link->lock);
    const bool unsent = link->out.end > link->out.begin;
    int events = ipcm__stream_events(&link->stream, unsent);
    /* A full input, which somebody else is to read, must not wake who sends. */
    if (write && link->tls == NULL)
        events = POLLOUT;
    pthread_mutex_unlock(&link->lock);
    if (deadline == IPC_TIME_NOW)
        return -EAGAIN;
    return ipcm__wait_fd(link->stream.fd, (short)events, deadline);
}

int ipcm__link_turn(ipc_lock *turn, ipc_deadline deadline)
{
    int rc = deadline == IPC_TIME_NOW ? ipc_lock_acquire_nowait(turn)
                                      : ipc_lock_acquire_until(turn, deadline);
    if (rc == IPC_OWNER_DIED)
        rc = ipc_lock_consistent(turn);
    return rc;
}

int ipc_link_poll(ipc_link *link, ipc_deadline deadline)
{
    int rc = ipcm__link_check(link);
    if (rc == 0)
        rc = ipcm__link_turn(&link->recv_turn, deadline);
    if (rc != 0)
        return rc == -EAGAIN || rc == -ETIMEDOUT ? 0 : rc;
    do {
        pthread_mutex_lock(&link->lock);
        rc = ipcm__link_fill(link);
        pthread_mutex_unlock(&link->lock);
    } while (rc == 0 && ipcm__link_wait(link, false, deadline) == 0);
    (void)ipc_lock_release(&link->recv_turn);
    if (rc == -EPIPE || rc == -EFBIG)
        rc = 1;
    return rc;
}

int ipc_link_fd(const ipc_link *link)
{
    return link->stream.fd;
}
