/* Links: receiving. */
#include "listener/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

#define READ_BYTES ((size_t)64 * 1024)

/* ---- putting a message together ---- */

/* Room for what has come, not for what is announced; and a zero behind it. */
static int make_room(ipc_link *link, size_t more)
{
    const size_t want = link->have + more + 1;
    if (want <= link->room)
        return 0;
    size_t room = link->room * 2;
    if (room > (size_t)link->length + 1)
        room = (size_t)link->length + 1;
    if (room < want)
        room = want;
    uint8_t *message = realloc(link->message, room);
    if (message == NULL)
        return ipcm__fail(-ENOMEM, "no memory for %zu bytes", room);
    link->message = message;
    link->room = room;
    return 0;
}

static int take_head(ipc_link *link)
{
    const uint8_t *head = link->in.data + link->in.begin;
    uint32_t length = 0;
    for (unsigned i = 0; i < IPCM__MESSAGE_HEAD; i++)
        length |= (uint32_t)head[i] << (8 * i);
    if (length > link->max_recv) {
        link->too_long = -EFBIG;
        return ipcm__link_gone(link, "a message came that is longer than "
                                     "max_bytes");
    }
    ipcm__buffer_sent(&link->in, IPCM__MESSAGE_HEAD);
    link->length = length;
    link->have = 0;
    link->room = 0;
    link->has_head = true;
    return 0;
}

/* From what has been read: 1 it is whole, 0 more is needed. */
static int assemble(ipc_link *link)
{
    struct ipcm__buffer *in = &link->in;
    int rc = 0;
    if (!link->has_head && in->end - in->begin >= IPCM__MESSAGE_HEAD)
        rc = take_head(link);
    if (rc != 0 || !link->has_head)
        return rc;
    size_t n = in->end - in->begin;
    if (n > link->length - link->have)
        n = link->length - link->have;
    rc = make_room(link, n);
    if (rc != 0)
        return rc;
    if (n > 0)
        memcpy(link->message + link->have, in->data + in->begin, n);
    ipcm__buffer_sent(in, n);
    link->have += n;
    return link->have == link->length;
}

int ipcm__link_fill(ipc_link *link)
{
    if (link->too_long != 0)
        return ipcm__link_fail(link);
    for (;;) {
        const int rc = assemble(link);
        if (rc != 0)
            return rc;
        if (link->gone)
            return ipcm__link_fail(link);
        uint8_t *room = ipcm__buffer_reserve(&link->in, READ_BYTES);
        if (room == NULL)
            return ipcm__fail(-ENOMEM, "no memory to receive");
        const int64_t n = ipcm__stream_read(&link->stream, room, READ_BYTES);
        if (n == -EAGAIN)
            break;
        if (n < 0)
            return n == -ENOMEM
                       ? (int)n
                       : ipcm__link_gone(link, "the other side is gone");
        link->in.end += (size_t)n;
    }
    /* What a send has left is sent by whoever comes by. */
    const int rc = ipcm__link_flush(link);
    return rc == -EAGAIN || rc == 0 ? 0 : rc;
}

/* ---- the calls ---- */

static void take_message(ipc_link *link, void **data, size_t *bytes)
{
    link->message[link->length] = '\0';
    *data = link->message;
    *bytes = link->length;
    link->message = NULL;
    link->has_head = false;
}

static int recv_turn_held(ipc_link *link, void **data, size_t *bytes,
                          ipc_deadline deadline)
{
    for (;;) {
        pthread_mutex_lock(&link->lock);
        int rc = ipcm__link_fill(link);
        if (rc == 1)
            take_message(link, data, bytes);
        pthread_mutex_unlock(&link->lock);
        if (rc != 0)
            return rc == 1 ? 0 : rc;
        rc = ipcm__link_wait(link, false, deadline);
        if (rc != 0)
            return ipcm__fail(rc, "link %d: nothing came", link->stream.fd);
    }
}

int ipc_link_recv_until(ipc_link *link, void **data, size_t *bytes,
                        ipc_deadline deadline)
{
    int rc = ipcm__link_check(link);
    if (rc == 0)
        rc = ipcm__link_turn(&link->recv_turn, deadline);
    if (rc != 0)
        return rc;
    rc = recv_turn_held(link, data, bytes, deadline);
    (void)ipc_lock_release(&link->recv_turn);
    return rc;
}

int ipc_link_recv(ipc_link *link, void **data, size_t *bytes)
{
    return ipc_link_recv_until(link, data, bytes, IPC_TIME_FOREVER);
}

int ipc_link_recv_nowait(ipc_link *link, void **data, size_t *bytes)
{
    return ipc_link_recv_until(link, data, bytes, IPC_TIME_NOW);
}
