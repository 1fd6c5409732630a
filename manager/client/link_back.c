/* Losing the connection, and coming back. */
#include "client/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "client/dial.h"
#include "fail.h"

#define FIRST_PAUSE_MS 5
#define LAST_PAUSE_MS  200

/* How long a reader does not look at anything else. */
#define AWAIT_MS 20

/* What a server may say that we believe. */
#define FRAME_MIN 1024u
#define FRAME_MAX (64u * 1024 * 1024)
#define DEPTH_MAX 64u

/* ---- ends ---- */

bool ipcm__link_is_unknown(const struct ipcm__ask *ask)
{
    if (!ask->was_sent ||
        (ipcm__op_flags(ask->request.op) & IPCM__OP_CHANGES) == 0)
        return false;
    switch (ask->request.op) {
    case IPCM__OP_LOCK_ACQUIRE:
    case IPCM__OP_QUEUE_TAKE:
    case IPCM__OP_OPEN:
    case IPCM__OP_REFER:
    case IPCM__OP_DROP:
        return false;
    default:
        return true;
    }
}

static void answer_all(struct ipcm__link *link, struct list *list, int status,
                       const char *detail)
{
    while (!list_is_empty(list)) {
        struct ipcm__ask *ask = list_entry(list->next, struct ipcm__ask, place);
        ipcm__link_answer(link, ask, status, detail);
    }
}

/* Nobody knows whether they were done.  The session does not come back after
 * that: who knows what it has. */
static void end_sent(struct ipcm__link *link, int otherwise, const char *detail)
{
    while (!list_is_empty(&link->sent)) {
        struct ipcm__ask *ask =
            list_entry(link->sent.next, struct ipcm__ask, place);
        if (otherwise != IPCM__AGAIN && ask->was_sent)
            link->has_session = false;
        ipcm__link_answer(link, ask,
                          ipcm__link_is_unknown(ask) ? -ECONNRESET : otherwise,
                          detail);
    }
}

static void tell_all(struct ipcm__link *link, int rc, const char *detail)
{
    for (struct list *at = link->waiters.next; at != &link->waiters;
         at = at->next) {
        struct ipcm__waiter *waiter =
            list_entry(at, struct ipcm__waiter, place);
        if (!waiter->wants_up)
            continue;
        waiter->wants_up = false;
        waiter->rc = rc;
        if (detail != NULL)
            snprintf(waiter->detail, sizeof waiter->detail, "%s", detail);
        ipcm__link_wake(waiter);
    }
}

static void end_all(struct ipcm__link *link, int rc, const char *detail)
{
    end_sent(link, rc, detail);
    answer_all(link, &link->queue, rc, detail);
    tell_all(link, rc, detail);
}

void ipcm__link_spoilt(struct ipcm__link *link, const char *detail)
{
    snprintf(link->reason, sizeof link->reason, "%s", detail);
    link->broken = true;
    link->forget = true;
    answer_all(link, &link->sent, -EPROTO, link->reason);
    answer_all(link, &link->queue, -EPROTO, link->reason);
}

void ipcm__link_lose(struct ipcm__link *link)
{
    /* What the server has said before it went. */
    if (!link->forget)
        ipcm__link_receive(link);
    store_release(&link->up, false);
    link->broken = false;
    ipcm__link_register(link);
    ipcm__stream_end(&link->stream);
    ipcm__buffer_free(&link->in);
    ipcm__buffer_free(&link->out);
    link->lost_at = ipc_now();
    if (link->forget)
        link->has_session = false;
    link->forget = false;
}

/* ---- a new connection ---- */

static int take_limits(struct ipcm__link *link,
                       const struct ipcm__welcome *welcome)
{
    if (welcome->frame_bytes < FRAME_MIN || welcome->frame_bytes > FRAME_MAX ||
        welcome->depth < 2 || welcome->depth > DEPTH_MAX ||
        welcome->nodes < 16 || welcome->in_flight == 0)
        return ipcm__fail(-EPROTO, "the server has limits that make no sense");
    const struct ipcm__wire_limits limits = {.frame_bytes =
                                                 welcome->frame_bytes,
                                             .depth = welcome->depth,
                                             .nodes = welcome->nodes};
    if (link->decoder != NULL &&
        memcmp(&limits, &link->limits, sizeof limits) == 0)
        return 0;
    struct ipcm__decoder *decoder = NULL;
    const int rc = ipcm__decoder_new(&limits, &decoder);
    if (rc != 0)
        return rc;
    ipcm__decoder_free(link->decoder);
    link->decoder = decoder;
    link->limits = limits;
    return 0;
}

int ipcm__link_begin(struct ipcm__link *link, const struct ipcm__stream *stream,
                     const struct ipcm__welcome *welcome)
{
    const int rc = take_limits(link, welcome);
    if (rc != 0)
        return rc;
    const bool resumed =
        link->has_session && (welcome->flags & IPCM__WELCOME_RESUMED) != 0;
    const bool restarted = (welcome->flags & IPCM__WELCOME_RESTARTED) != 0;
    link->stream = *stream;
    link->stream.no_fds = true;
    (void)ipcm__stream_let_wait(&link->stream, AWAIT_MS);
    link->broken = false;
    link->forget = false;
    link->had_one = true;
    link->has_session = true;
    memcpy(link->session, welcome->session, sizeof link->session);
    link->instance = welcome->instance;
    link->welcome_flags = welcome->flags;
    link->in_flight = welcome->in_flight;
    link->written = 0;
    if (!resumed || restarted) {
        store_relaxed(&link->epoch, link->epoch + 1);
        link->drop_count = 0;
        answer_all(link, &link->queue, IPCM__AGAIN, NULL);
    }
    store_release(&link->up, true);
    if (resumed)
        ipcm__link_repeat(link);
    else
        end_sent(link, IPCM__AGAIN,
                 "the server does not know the session any more: it has "
                 "happened, or has not");
    ipcm__link_register(link);
    tell_all(link, 0, NULL);
    ipcm__link_label(link);
    ipcm__link_submit(link);
    return 0;
}

/* ---- finding the server again ---- */

static int dial(struct ipcm__link *link, ipc_deadline deadline)
{
    ipc_manager *manager = link->manager;
    uint8_t session[IPCM__SESSION_BYTES];
    memcpy(session, link->session, sizeof session);
    const struct ipcm__dial how = {
        .address = &manager->address,
        .plain_tcp = (manager->flags & IPC_MANAGER_PLAIN_TCP) != 0,
        .tls = manager->tls,
        .key = manager->key,
        .key_bytes = manager->key_bytes,
        .purpose = IPCM__FOR_MANAGER,
        .session = link->has_session ? session : NULL,
    };
    struct ipcm__stream stream;
    struct ipcm__welcome welcome;
    pthread_mutex_unlock(&link->lock);
    int rc = ipcm__dial(&how, deadline, &stream, &welcome);
    pthread_mutex_lock(&link->lock);
    if (rc == 0) {
        rc = ipcm__link_begin(link, &stream, &welcome);
        if (rc != 0)
            ipcm__stream_end(&stream);
    }
    return rc;
}

/* May it be another result the next time? */
static bool may_pass(const struct ipcm__link *link, int rc)
{
    switch (rc) {
    case -EACCES:
    case -EPERM:
    case -EINVAL:
    case -EPROTONOSUPPORT:
    case -EKEYREJECTED:
        return false;
    case -ECONNREFUSED:
    case -ENOENT:
        /* Nobody starts it again. */
        return link->manager->starter == 0 ||
               (ipcm__server_is_ours(link->manager) &&
                !ipcm__server_has_ended(link->manager));
    default:
        return true;
    }
}

static ipc_deadline reconnect_deadline(const struct ipcm__link *link)
{
    const ipc_manager *manager = link->manager;
    if (!link->had_one)
        return link->lost_at + IPC_MS((int64_t)manager->connect_ms);
    return link->lost_at + IPC_MS((int64_t)manager->reconnect_ms);
}

static void not_found(struct ipcm__link *link, int rc)
{
    char detail[IPCM__DETAIL];
    snprintf(detail, sizeof detail, "%.60s: %.90s", link->manager->address_text,
             link->reason);
    end_all(link, rc == -EPROTO ? rc : -ENOTCONN, detail);
}

static void pause_for(struct ipcm__link *link, int ms, ipc_deadline deadline)
{
    const ipc_deadline next = ipc_after_ms(ms);
    pthread_mutex_unlock(&link->lock);
    ipc_sleep_until(next < deadline ? next : deadline);
    pthread_mutex_lock(&link->lock);
}

void ipcm__link_return(struct ipcm__link *link, ipc_deadline until)
{
    const ipc_manager *manager = link->manager;
    if (link->closed ||
        (link->had_one && manager->reconnect_ms == UINT32_MAX)) {
        not_found(link, -ENOTCONN);
        return;
    }
    const ipc_deadline deadline = reconnect_deadline(link);
    for (int pause = FIRST_PAUSE_MS;; pause *= 2) {
        /* However late it is, there is one try. */
        ipc_deadline end = ipc_after_ms(manager->connect_ms);
        if (deadline < end && ipc_time_left(deadline) > 0)
            end = deadline;
        if (until < end)
            end = until;
        const int rc = dial(link, end);
        if (rc == 0)
            return;
        snprintf(link->reason, sizeof link->reason, "%s: %s", ipc_strerror(rc),
                 ipc_error_detail());
        if (ipc_time_left(until) == 0)
            return;
        if (!may_pass(link, rc) || ipc_time_left(deadline) == 0) {
            not_found(link, rc);
            return;
        }
        if (pause > LAST_PAUSE_MS)
            pause = LAST_PAUSE_MS;
        pause_for(link, pause, deadline < until ? deadline : until);
    }
}

/* ---- the first one, and the last ---- */

int ipcm__link_connect(ipc_manager *manager, ipc_deadline deadline)
{
    int rc = 0;
    struct ipcm__link *link = ipcm__link_here(manager, &rc);
    if (link == NULL)
        return rc;
    pthread_mutex_lock(&link->lock);
    link->pumping = true;
    rc = dial(link, deadline);
    link->pumping = false;
    pthread_mutex_unlock(&link->lock);
    return rc;
}

int ipcm__link_close(ipc_manager *manager)
{
    int rc = 0;
    struct ipcm__link *link = ipcm__link_here(manager, &rc);
    if (link == NULL)
        return rc;
    pthread_mutex_lock(&link->lock);
    if (link->users > 0)
        rc = ipcm__fail(-EBUSY, "another thread is in a call to the manager");
    else
        link->closed = true;
    pthread_mutex_unlock(&link->lock);
    return rc;
}

void ipcm__link_reopen(ipc_manager *manager)
{
    struct ipcm__link *link = manager->link;
    pthread_mutex_lock(&link->lock);
    link->closed = false;
    pthread_mutex_unlock(&link->lock);
}

void ipcm__link_end(ipc_manager *manager)
{
    struct ipcm__link *link = manager->link;
    pthread_mutex_lock(&link->lock);
    if (link->up)
        ipcm__link_goodbye(link);
    if (link->up)
        ipcm__link_lose(link);
    answer_all(link, &link->sent, 0, NULL);
    ipcm__link_unregister(link);
    ipcm__decoder_free(link->decoder);
    link->decoder = NULL;
    free(link->drops);
    link->drops = NULL;
    link->drop_count = link->drop_room = 0;
    pthread_mutex_unlock(&link->lock);
}
