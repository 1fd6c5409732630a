/* Receiving: from the socket to those who wait. */
#include "client/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"

#define READ_BYTES ((size_t)32 * 1024)

/* ---- one reply ---- */

/* References in results that nobody gets. */
static void give_back(struct ipcm__link *link, const ipc_any *values,
                      size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ipcm__is_container(&values[i]))
            ipcm__link_note_drop(link, values[i].u64);
}

static int take_calls(struct ipcm__ask *ask, const struct ipcm__reply *reply)
{
    const size_t want = ask->outcomes != NULL ? ask->request.call_count : 0;
    if (reply->call_count != want)
        return -EPROTO;
    for (size_t i = 0; i < want; i++) {
        const struct ipcm__reply *call = &reply->calls[i];
        struct ipcm__outcome *outcome = &ask->outcomes[i];
        if (call->status < 0 || call->status > INT_MAX)
            return -EPROTO;
        outcome->status = (int)call->status;
        const int rc =
            ipcm__copy_values(call->results, call->count, &outcome->results);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static void forget_calls(struct ipcm__ask *ask)
{
    for (size_t i = 0; ask->outcomes != NULL && i < ask->request.call_count;
         i++)
        ipcm__free_numbers(&ask->outcomes[i].results);
}

/* Copies of what came, for the thread that waits.  What cannot be kept is given
 * back. */
static int take_results(struct ipcm__link *link, struct ipcm__ask *ask,
                        const struct ipcm__reply *reply)
{
    int rc = take_calls(ask, reply);
    if (rc == 0)
        rc = ipcm__copy_values(reply->results, reply->count, &ask->results);
    if (rc == 0) {
        ask->epoch = link->epoch;
        ask->instance = link->instance;
        return 0;
    }
    give_back(link, reply->results, reply->count);
    for (size_t i = 0; i < reply->call_count; i++)
        give_back(link, reply->calls[i].results, reply->calls[i].count);
    forget_calls(ask);
    return rc;
}

/* It was under way when the server died, and its object is no more. */
static int status_of_repeated(const struct ipcm__ask *ask)
{
    const bool changes =
        (ipcm__op_flags(ask->request.op) & IPCM__OP_CHANGES) != 0;
    return changes ? -ECONNRESET : IPCM__AGAIN;
}

static void refused(struct ipcm__link *link, struct ipcm__ask *ask,
                    const struct ipcm__reply *reply)
{
    char detail[IPCM__DETAIL];
    int status = (int)reply->status;
    size_t n = reply->detail != NULL ? reply->detail_bytes : 0;
    if (n >= sizeof detail)
        n = sizeof detail - 1;
    if (n > 0)
        memcpy(detail, reply->detail, n);
    detail[n] = '\0';
    if (status == -ESTALE && ask->was_repeated)
        status = status_of_repeated(ask);
    ipcm__link_answer(link, ask, status, detail);
}

static void done(struct ipcm__link *link, struct ipcm__ask *ask,
                 const struct ipcm__reply *reply)
{
    if (ask->waiter == NULL) {
        give_back(link, reply->results, reply->count);
        ipcm__link_answer(link, ask, 0, NULL);
        return;
    }
    if (ask->request.op == IPCM__OP_ARENA) {
        ask->fd = link->stream.got_fd;
        link->stream.got_fd = -1;
    }
    const int rc = take_results(link, ask, reply);
    if (ask->waiter->open > 1)
        ipcm__link_be_patient(link, ask->waiter);
    ipcm__link_answer(link, ask, rc == 0 ? (int)reply->status : rc,
                      rc == -EPROTO   ? "other results came than belong to it"
                      : rc == -ENOMEM ? "done, but no memory for its results"
                                      : NULL);
}

static struct ipcm__ask *find_sent(const struct ipcm__link *link, uint64_t id)
{
    for (struct list *at = link->sent.next; at != &link->sent; at = at->next) {
        struct ipcm__ask *ask = list_entry(at, struct ipcm__ask, place);
        if (ask->request.id == id)
            return ask;
    }
    return NULL;
}

static void hand_out(struct ipcm__link *link, const struct ipcm__reply *reply)
{
    struct ipcm__ask *ask = find_sent(link, reply->id);
    char detail[IPCM__DETAIL];
    if (reply->id == 0 && reply->status < 0) {
        snprintf(detail, sizeof detail, "the server has ended it: %.*s",
                 (int)(reply->detail_bytes < 100 ? reply->detail_bytes : 100),
                 reply->detail != NULL ? reply->detail : "");
        ipcm__link_spoilt(link, detail);
    } else if (ask == NULL || reply->status > INT_MAX ||
               reply->status < -4095) {
        snprintf(detail, sizeof detail,
                 "a reply came that is none: id %llu, status %lld",
                 (unsigned long long)reply->id, (long long)reply->status);
        ipcm__link_spoilt(link, detail);
    } else if (reply->status < 0) {
        refused(link, ask, reply);
    } else {
        done(link, ask, reply);
    }
}

/* ---- frames ---- */

/* One frame, if it is whole: 1. */
static int take_frame(struct ipcm__link *link)
{
    struct ipcm__buffer *in = &link->in;
    const size_t have = in->end - in->begin;
    uint32_t length = 0;
    struct ipcm__reply reply;
    if (have < IPCM__FRAME_HEAD)
        return 0;
    const uint8_t *frame = in->data + in->begin;
    int rc = ipcm__frame_length(frame, &link->limits, &length);
    if (rc == 0 && have - IPCM__FRAME_HEAD < length)
        return 0;
    if (rc == 0)
        rc = ipcm__decode_reply(link->decoder, frame + IPCM__FRAME_HEAD, length,
                                &reply);
    if (rc != 0) {
        char detail[IPCM__DETAIL];
        snprintf(detail, sizeof detail, "%s", ipc_error_detail());
        ipcm__link_spoilt(link, detail);
        return 0;
    }
    hand_out(link, &reply);
    ipcm__buffer_sent(in, IPCM__FRAME_HEAD + (size_t)length);
    return 1;
}

static void lost(struct ipcm__link *link, int rc)
{
    snprintf(link->reason, sizeof link->reason, "the connection was lost: %s",
             ipc_strerror(rc));
    link->broken = true;
}

/* A descriptor may come as long as somebody waits for one. */
static void look_for_fds(struct ipcm__link *link)
{
    if (link->stream.no_fds && link->stream.got_fd < 0)
        return;
    for (struct list *at = link->sent.next; at != &link->sent; at = at->next)
        if (list_entry(at, struct ipcm__ask, place)->request.op ==
            IPCM__OP_ARENA)
            return;
    if (link->stream.got_fd >= 0)
        close(link->stream.got_fd);
    link->stream.got_fd = -1;
    link->stream.no_fds = true;
}

static uint8_t *reading_room(struct ipcm__link *link)
{
    uint8_t *room = ipcm__buffer_reserve(&link->in, READ_BYTES);
    if (room == NULL)
        lost(link, -ENOMEM);
    return room;
}

/* n bytes have come, or why there are none.  True: there may be more. */
static bool take_bytes(struct ipcm__link *link, int64_t n)
{
    if (n < 0) {
        if (n != -EAGAIN)
            lost(link, (int)n);
        return false;
    }
    link->in.end += (size_t)n;
    while (!link->forget && take_frame(link) == 1) {}
    look_for_fds(link);
    /* TLS may have more than the socket tells. */
    return !link->forget &&
           ((size_t)n == READ_BYTES || link->stream.tls != NULL);
}

void ipcm__link_receive(struct ipcm__link *link)
{
    uint8_t *room;
    do
        room = reading_room(link);
    while (
        room != NULL &&
        take_bytes(link, ipcm__stream_read(&link->stream, room, READ_BYTES)));
}

bool ipcm__link_await(struct ipcm__link *link)
{
    uint8_t *room = reading_room(link);
    if (room == NULL)
        return true;
    link->polling = true;
    pthread_mutex_unlock(&link->lock);
    const int64_t n = ipcm__stream_await(&link->stream, room, READ_BYTES);
    pthread_mutex_lock(&link->lock);
    link->polling = false;
    if (n == -EAGAIN)
        return false;
    if (!link->broken && take_bytes(link, n))
        ipcm__link_receive(link);
    return true;
}
