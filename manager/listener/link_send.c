/* Links: sending. */
#include "listener/link.h"

#include <errno.h>
#include <string.h>

#include "fail.h"

#define UNSENT(link) ((link)->out.end - (link)->out.begin)

int ipcm__link_flush(ipc_link *link)
{
    while (UNSENT(link) > 0) {
        const int64_t n = ipcm__stream_write(
            &link->stream, link->out.data + link->out.begin, UNSENT(link));
        if (n == -EAGAIN)
            return -EAGAIN;
        if (n < 0)
            return ipcm__link_gone(link, "the other side is gone");
        link->written += (uint64_t)n;
        ipcm__buffer_sent(&link->out, (size_t)n);
    }
    return 0;
}

static int queue_message(ipc_link *link, const void *data, size_t bytes)
{
    const uint32_t length = (uint32_t)bytes;
    uint8_t *room = ipcm__buffer_reserve(&link->out, bytes + sizeof length);
    if (room == NULL)
        return ipcm__fail(-ENOMEM, "no memory for %zu bytes", bytes);
    for (unsigned i = 0; i < sizeof length; i++)
        room[i] = (uint8_t)(length >> (8 * i));
    if (bytes > 0)
        memcpy(room + sizeof length, data, bytes);
    link->out.end += bytes + sizeof length;
    return 0;
}

/* The lock is held, and is again when it returns.  The time is over: what has
 * not begun is taken back. */
static int too_late(ipc_link *link, uint64_t begin, ipc_deadline deadline)
{
    if (link->written <= begin) {
        link->out.end = link->out.begin + (size_t)(begin - link->written);
        return deadline == IPC_TIME_NOW
                   ? ipcm__fail(-EAGAIN, "link %d: there is no room",
                                link->stream.fd)
                   : ipcm__fail(-ETIMEDOUT, "link %d: there was no room",
                                link->stream.fd);
    }
    /* The next call sends the rest. */
    if (deadline == IPC_TIME_NOW)
        return 0;
    return ipcm__link_gone(link, "a message was not sent in time, and half of "
                                 "it is on its way");
}

static int send_queued(ipc_link *link, uint64_t begin, ipc_deadline deadline)
{
    for (;;) {
        const int rc = ipcm__link_flush(link);
        if (rc != -EAGAIN)
            return rc;
        pthread_mutex_unlock(&link->lock);
        const int waited = ipcm__link_wait(link, true, deadline);
        pthread_mutex_lock(&link->lock);
        if (waited != 0)
            return too_late(link, begin, deadline);
    }
}

static int send_locked(ipc_link *link, const void *data, size_t bytes,
                       ipc_deadline deadline)
{
    if (link->sending)
        return ipcm__link_gone(link, "a thread has ended in the middle of a "
                                     "message");
    if (link->gone)
        return ipcm__link_fail(link);
    const uint64_t begin = link->written + UNSENT(link);
    int rc = queue_message(link, data, bytes);
    if (rc != 0)
        return rc;
    link->sending = true;
    rc = send_queued(link, begin, deadline);
    link->sending = false;
    return rc;
}

int ipc_link_send_until(ipc_link *link, const void *data, size_t bytes,
                        ipc_deadline deadline)
{
    int rc = ipcm__link_check(link);
    if (rc != 0)
        return rc;
    if (bytes > 0 && data == NULL)
        return ipcm__fail(-EINVAL, "a message that is NULL");
    if (bytes > link->max_send)
        return ipcm__fail(-EMSGSIZE, "a message of %zu bytes: max_bytes is %u",
                          bytes, link->max_send);
    rc = ipcm__link_turn(&link->send_turn, deadline);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&link->lock);
    rc = send_locked(link, data, bytes, deadline);
    pthread_mutex_unlock(&link->lock);
    (void)ipc_lock_release(&link->send_turn);
    return rc;
}

int ipc_link_send(ipc_link *link, const void *data, size_t bytes)
{
    return ipc_link_send_until(link, data, bytes, IPC_TIME_FOREVER);
}

int ipc_link_send_nowait(ipc_link *link, const void *data, size_t bytes)
{
    return ipc_link_send_until(link, data, bytes, IPC_TIME_NOW);
}
