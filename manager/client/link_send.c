/* Sending: from the queue to the socket. */
#include "client/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

/* Bytes that wait for the socket before more are made. */
#define ENOUGH ((size_t)256 * 1024)

/* References given back by one request. */
#define DROPS 256u

static size_t unsent(const struct ipcm__link *link)
{
    return link->out.end - link->out.begin;
}

/* ---- to bytes ---- */

static void set_time(struct ipcm__ask *ask)
{
    if (ask->ns == NULL)
        return;
    int64_t left = -1;
    if (ask->wait != IPC_TIME_FOREVER) {
        left = ipc_time_left(ask->wait);
        /* 0 is not to wait, and is answered in another way. */
        if (left == 0 && ask->wait != IPC_TIME_NOW)
            left = 1;
    }
    *ask->ns = ipc_i64(left);
}

static int encode(struct ipcm__link *link, struct ipcm__ask *ask)
{
    set_time(ask);
    const int rc =
        ipcm__encode_request(&link->out, &link->limits, &ask->request);
    if (rc != 0)
        return rc;
    ask->end = link->written + unsent(link);
    if (ask->request.op == IPCM__OP_ARENA)
        link->stream.no_fds = false;
    return 0;
}

static void encode_next(struct ipcm__link *link, struct ipcm__ask *ask)
{
    ask->request.id = link->last_id + 1;
    link->unanswered++;
    const int rc = encode(link, ask);
    if (rc != 0) {
        ipcm__link_answer(link, ask, rc, ipc_error_detail());
        return;
    }
    link->last_id++;
    list_remove(&ask->place);
    list_append(&link->sent, &ask->place);
}

static void repeat(struct ipcm__link *link, struct ipcm__ask *ask)
{
    char detail[IPCM__DETAIL];
    int rc = -ENOTCONN;
    ask->was_repeated = (link->welcome_flags & IPCM__WELCOME_RESTARTED) != 0;
    snprintf(detail, sizeof detail,
             "the connection was lost %u times during the call", ask->repeats);
    if (ask->repeats++ < IPCM__TRIES) {
        rc = encode(link, ask);
        if (rc == 0)
            return;
        snprintf(detail, sizeof detail, "%s", ipc_error_detail());
    }
    ipcm__link_answer(link, ask, ipcm__link_is_unknown(ask) ? -ECONNRESET : rc,
                      detail);
}

void ipcm__link_repeat(struct ipcm__link *link)
{
    struct list *at, *next;
    for (at = link->sent.next; at != &link->sent; at = next) {
        next = at->next;
        struct ipcm__ask *ask = list_entry(at, struct ipcm__ask, place);
        if (ask->waiter != NULL)
            ipcm__link_be_patient(link, ask->waiter);
        /* Nobody wants it, and nothing comes of it. */
        if (ask->waiter == NULL &&
            (ipcm__op_flags(ask->request.op) & IPCM__OP_CHANGES) == 0)
            ipcm__link_answer(link, ask, 0, NULL);
        else
            repeat(link, ask);
    }
}

/* ---- references to be given back ---- */

static struct ipcm__ask *make_drop(struct ipcm__link *link)
{
    size_t n = link->drop_count;
    if (n > DROPS)
        n = DROPS;
    struct ipcm__ask *ask = calloc(1, sizeof *ask + 2 * n * sizeof(ipc_any));
    if (ask == NULL)
        return NULL;
    ipc_any *args = (ipc_any *)(void *)(ask + 1);
    for (size_t i = 0; i < n; i++) {
        args[2 * i] = ipc_u64(link->drops[i]);
        args[2 * i + 1] = ipc_i64(1);
    }
    link->drop_count -= n;
    memmove(link->drops, link->drops + n,
            link->drop_count * sizeof *link->drops);
    ask->request.op = IPCM__OP_DROP;
    ask->request.args = args;
    ask->request.count = 2 * n;
    list_init(&ask->place);
    return ask;
}

static void send_drops(struct ipcm__link *link)
{
    while (link->drop_count > 0 && link->unanswered < link->in_flight) {
        struct ipcm__ask *ask = make_drop(link);
        if (ask == NULL)
            return;
        encode_next(link, ask);
    }
}

void ipcm__link_note_drop(struct ipcm__link *link, uint64_t object)
{
    if (link->drop_count == link->drop_room) {
        const size_t room = link->drop_room == 0 ? 16 : 2 * link->drop_room;
        uint64_t *drops = realloc(link->drops, room * sizeof *drops);
        if (drops == NULL)
            return; /* the end of the session gives it back */
        link->drops = drops;
        link->drop_room = room;
    }
    link->drops[link->drop_count++] = object;
}

/* ---- to the socket ---- */

static void write_out(struct ipcm__link *link)
{
    while (unsent(link) > 0) {
        const int64_t n = ipcm__stream_write(
            &link->stream, link->out.data + link->out.begin, unsent(link));
        if (n == -EAGAIN)
            return;
        if (n < 0) {
            snprintf(link->reason, sizeof link->reason,
                     "the connection was lost: %s", ipc_strerror((int)n));
            link->broken = true;
            return;
        }
        link->written += (uint64_t)n;
        ipcm__buffer_sent(&link->out, (size_t)n);
    }
}

/* What the server has the whole of may be done, whatever happens next. */
static void mark_sent(struct ipcm__link *link)
{
    for (struct list *at = link->sent.previous; at != &link->sent;
         at = at->previous) {
        struct ipcm__ask *ask = list_entry(at, struct ipcm__ask, place);
        if (ask->was_sent)
            return;
        ask->was_sent = ask->end <= link->written;
    }
}

/* ---- from the queue ---- */

bool ipcm__link_waits(const struct ipcm__ask *ask)
{
    return ask->ns != NULL && ask->wait != IPC_TIME_NOW;
}

static uint32_t count_waiting(const struct list *list)
{
    uint32_t waiting = 0;
    for (struct list *at = list->next; at != list; at = at->next)
        waiting += ipcm__link_waits(list_entry(at, struct ipcm__ask, place));
    return waiting;
}

/* How many may wait: a part of in_flight is left for those that do not, or
 * nobody could release what all others wait for. */
static uint32_t most_waiting(const struct ipcm__link *link)
{
    return link->in_flight - (link->in_flight + 7) / 8;
}

static uint32_t room_for_waiting(const struct ipcm__link *link)
{
    const uint32_t most = most_waiting(link);
    const uint32_t waiting = count_waiting(&link->sent);
    return waiting < most ? most - waiting : 0;
}

bool ipcm__link_is_crowded(const struct ipcm__link *link)
{
    return link->up && link->in_flight > 1 &&
           count_waiting(&link->sent) + count_waiting(&link->queue) >=
               most_waiting(link);
}

static void encode_queued(struct ipcm__link *link)
{
    struct list *at, *next;
    uint32_t room = room_for_waiting(link);
    for (at = link->queue.next; at != &link->queue; at = next) {
        next = at->next;
        struct ipcm__ask *ask = list_entry(at, struct ipcm__ask, place);
        if (link->unanswered >= link->in_flight || unsent(link) >= ENOUGH)
            return;
        if (ipcm__link_waits(ask) && link->in_flight > 1) {
            if (room == 0)
                continue;
            room--;
        }
        encode_next(link, ask);
    }
}

void ipcm__link_submit(struct ipcm__link *link)
{
    uint64_t before;
    do {
        before = link->last_id;
        send_drops(link);
        if (!list_is_empty(&link->queue))
            encode_queued(link);
        write_out(link);
    } while (!link->broken && unsent(link) == 0 && link->last_id != before &&
             !list_is_empty(&link->queue));
    mark_sent(link);
    if (unsent(link) > 0 || link->broken)
        ipcm__link_kick(link);
}

void ipcm__link_tell(ipc_manager *manager, uint64_t epoch, uint64_t object)
{
    int rc;
    struct ipcm__link *link = ipcm__link_here(manager, &rc);
    if (link == NULL)
        return;
    pthread_mutex_lock(&link->lock);
    if (!link->closed && link->epoch == epoch) {
        ipcm__link_note_drop(link, object);
        /* The answers are read by the next call; or here, if there is none. */
        if (link->up && !link->broken && !link->pumping &&
            link->unanswered > link->in_flight / 2)
            ipcm__link_receive(link);
        if (link->up && !link->broken)
            ipcm__link_submit(link);
    }
    pthread_mutex_unlock(&link->lock);
}
