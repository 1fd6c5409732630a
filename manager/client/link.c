/* Calls: asks go in, and their threads take turns until all have an answer.
 * What is promised is in link.h. */
#include "client/link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "client/dial.h"
#include "fail.h"

#define GOODBYE_MS 1000

/* ---- answers ---- */

void ipcm__link_answer(struct ipcm__link *link, struct ipcm__ask *ask,
                       int status, const char *detail)
{
    list_remove(&ask->place);
    if (ask->request.id != 0)
        link->unanswered--;
    ask->request.id = 0;
    struct ipcm__waiter *waiter = ask->waiter;
    if (waiter == NULL) {
        free(ask);
        return;
    }
    ask->status = status;
    ask->detail[0] = '\0';
    if (detail != NULL)
        snprintf(ask->detail, sizeof ask->detail, "%s", detail);
    if (--waiter->open == 0)
        ipcm__link_wake(waiter);
}

void ipcm__link_wake(struct ipcm__waiter *waiter)
{
    if (waiter->sleeps)
        (void)ipc_event_set(&waiter->event);
}

void ipcm__link_kick(struct ipcm__link *link)
{
    if (!link->polling)
        return;
    const uint64_t one = 1;
    (void)!write(link->kick, &one, sizeof one);
}

static ipc_deadline later(ipc_deadline deadline, uint32_t ms)
{
    const ipc_deadline now = ipc_now();
    if (deadline < now)
        deadline = now;
    const int64_t more = IPC_MS((int64_t)ms);
    return deadline > IPC_TIME_FOREVER - more ? IPC_TIME_FOREVER
                                              : deadline + more;
}

void ipcm__link_be_patient(const struct ipcm__link *link,
                           struct ipcm__waiter *waiter)
{
    waiter->give_up = later(waiter->wait, link->manager->reply_ms);
}

/* ---- time is up ---- */

/* An answer that nobody waits for any more may still come. */
static int leave_behind(struct ipcm__ask *ask)
{
    struct ipcm__ask *ghost = calloc(1, sizeof *ghost);
    if (ghost == NULL)
        return -ENOMEM;
    ghost->request.id = ask->request.id;
    ghost->request.op = ask->request.op;
    ghost->place = ask->place;
    ghost->place.next->previous = &ghost->place;
    ghost->place.previous->next = &ghost->place;
    list_init(&ask->place);
    ask->request.id = 0;
    return 0;
}

static struct ipcm__ask *next_of(const struct list *list,
                                 const struct ipcm__waiter *me)
{
    for (struct list *at = list->next; at != list; at = at->next) {
        struct ipcm__ask *ask = list_entry(at, struct ipcm__ask, place);
        if (ask->waiter == me)
            return ask;
    }
    return NULL;
}

static void leave(struct ipcm__link *link, struct ipcm__waiter *me)
{
    struct ipcm__ask *ask;
    static const char detail[] = "there was no answer in time";
    while ((ask = next_of(&link->queue, me)) != NULL)
        ipcm__link_answer(link, ask, -ETIMEDOUT, detail);
    while ((ask = next_of(&link->sent, me)) != NULL) {
        if (leave_behind(ask) != 0) {
            link->broken = true;
            link->forget = true;
            ipcm__link_kick(link);
        }
        ipcm__link_answer(link, ask, -ETIMEDOUT, detail);
    }
    if (me->wants_up) {
        me->wants_up = false;
        me->rc = ipcm__fail(-ETIMEDOUT, "there was no connection in time");
    }
}

static void refuse_queued(struct ipcm__link *link,
                          const struct ipcm__waiter *me, int error)
{
    char detail[IPCM__DETAIL];
    snprintf(detail, sizeof detail,
             "%u requests of this process wait already: in_flight of the "
             "server is %u",
             link->unanswered, link->in_flight);
    for (struct ipcm__ask *ask; (ask = next_of(&link->queue, me)) != NULL;)
        ipcm__link_answer(link, ask, error, detail);
}

/* The server counts the time of those that it has. */
static bool waits_in_queue(const struct ipcm__link *link,
                           const struct ipcm__waiter *me)
{
    const struct ipcm__ask *ask = next_of(&link->queue, me);
    return ask != NULL && ask->ns != NULL && ask->wait != IPC_TIME_NOW;
}

static void give_up(struct ipcm__link *link, struct ipcm__waiter *me)
{
    char detail[IPCM__DETAIL];
    snprintf(detail, sizeof detail,
             "the server has not answered for %u ms, and was given up",
             link->manager->reply_ms);
    snprintf(link->reason, sizeof link->reason, "%s", detail);
    for (struct ipcm__ask *ask; (ask = next_of(&link->sent, me)) != NULL;)
        ipcm__link_answer(link, ask,
                          ipcm__link_is_unknown(ask) ? -ECONNRESET : -ENOTCONN,
                          detail);
    for (struct ipcm__ask *ask; (ask = next_of(&link->queue, me)) != NULL;)
        ipcm__link_answer(link, ask, -ENOTCONN, detail);
    link->broken = true;
    link->forget = true;
    ipcm__link_kick(link);
}

static void overdue(struct ipcm__link *link, struct ipcm__waiter *me)
{
    if (next_of(&link->sent, me) == NULL)
        refuse_queued(link, me, -EDQUOT);
    else
        give_up(link, me);
}

static void look_at_the_time(struct ipcm__link *link, struct ipcm__waiter *me)
{
    const ipc_deadline now = ipc_now();
    if (me->give_up == 0)
        ipcm__link_be_patient(link, me);
    if (now >= me->until)
        leave(link, me);
    else if (link->up && now >= me->wait && waits_in_queue(link, me))
        refuse_queued(link, me, -ETIMEDOUT);
    else if (link->up && now >= me->give_up)
        overdue(link, me);
}

/* ---- turns ---- */

static ipc_deadline next_look(const struct ipcm__link *link,
                              struct ipcm__waiter *me)
{
    if (me->give_up == 0)
        ipcm__link_be_patient(link, me);
    /* While there is no connection who makes one looks at the time. */
    if (!link->up || me->until < me->give_up)
        return me->until;
    if (me->wait < me->give_up && waits_in_queue(link, me))
        return me->wait;
    return me->give_up;
}

static void poll_socket(struct ipcm__link *link, struct ipcm__waiter *me)
{
    struct pollfd items[] = {
        {.fd = link->stream.fd,
         .events = ipcm__stream_events(&link->stream,
                                       link->out.end > link->out.begin)},
        {.fd = link->kick, .events = POLLIN},
    };
    const ipc_deadline deadline = next_look(link, me);
    link->polling = true;
    pthread_mutex_unlock(&link->lock);
    const int64_t left = ipc_time_left(deadline);
    const struct timespec time = {.tv_sec = left / IPC_S(1),
                                  .tv_nsec = left % IPC_S(1)};
    const int n =
        ppoll(items, 2, deadline == IPC_TIME_FOREVER ? NULL : &time, NULL);
    pthread_mutex_lock(&link->lock);
    link->polling = false;
    uint64_t kicks;
    if (n > 0 && items[1].revents != 0)
        (void)!read(link->kick, &kicks, sizeof kicks);
}

/* Most answers come soon: they are waited for in the read itself, which is a
 * call into the kernel less.  It ends after a moment, whatever happens; so a
 * kick, or a time that is up, is seen that much later at worst. */
static bool reads_at_once(const struct ipcm__link *link,
                          const struct ipcm__waiter *me)
{
    return !me->polls && me->until == IPC_TIME_FOREVER &&
           me->wait == IPC_TIME_NOW && link->out.end == link->out.begin;
}

static void listen_to_socket(struct ipcm__link *link, struct ipcm__waiter *me)
{
    if (reads_at_once(link, me)) {
        me->polls = !ipcm__link_await(link);
        return;
    }
    poll_socket(link, me);
    if (!link->broken)
        ipcm__link_receive(link);
}

static void pump(struct ipcm__link *link, struct ipcm__waiter *me)
{
    link->pumping = true;
    if (!link->up) {
        ipcm__link_return(link, me->until);
    } else {
        if (!link->broken)
            listen_to_socket(link, me);
        if (!link->broken)
            ipcm__link_submit(link);
        if (link->broken)
            ipcm__link_lose(link);
    }
    link->pumping = false;
}

static void sleep_until_woken(struct ipcm__link *link, struct ipcm__waiter *me)
{
    (void)ipc_event_clear(&me->event);
    const ipc_deadline deadline = next_look(link, me);
    me->sleeps = true;
    pthread_mutex_unlock(&link->lock);
    (void)!ipc_event_wait_until(&me->event, deadline);
    pthread_mutex_lock(&link->lock);
    me->sleeps = false;
}

static bool is_waiting(const struct ipcm__waiter *me)
{
    return me->open > 0 || me->wants_up;
}

/* Whoever goes leaves the turn to somebody. */
static void hand_over(struct ipcm__link *link)
{
    if (link->pumping)
        return;
    for (struct list *at = link->waiters.next; at != &link->waiters;
         at = at->next) {
        struct ipcm__waiter *waiter =
            list_entry(at, struct ipcm__waiter, place);
        if (is_waiting(waiter)) {
            ipcm__link_wake(waiter);
            return;
        }
    }
}

/* Until all of his have an answer, or there is the connection. */
static void take_part(struct ipcm__link *link, struct ipcm__waiter *me)
{
    link->users++;
    list_append(&link->waiters, &me->place);
    if (link->up && !link->broken)
        ipcm__link_submit(link);
    while (is_waiting(me)) {
        if (link->pumping)
            sleep_until_woken(link, me);
        else
            pump(link, me);
        if (is_waiting(me))
            look_at_the_time(link, me);
    }
    list_remove(&me->place);
    if (link->broken && !link->pumping)
        ipcm__link_lose(link);
    hand_over(link);
    link->users--;
}

/* ---- the calls ---- */

static int fail_closed(void)
{
    return ipcm__fail(-ENOTCONN, "the manager is closed");
}

/* A thread that is cancelled while it has the turn would take it with it. */
static int enter(struct ipcm__link *link)
{
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_mutex_lock(&link->lock);
    return state;
}

static void leave_link(struct ipcm__link *link, int state)
{
    pthread_mutex_unlock(&link->lock);
    pthread_setcancelstate(state, NULL);
}

/* What has become of it since is seen by who asks for this epoch. */
int ipcm__link_up(ipc_manager *manager, uint64_t *epoch)
{
    const struct ipcm__link *link = load_acquire(&manager->link);
    if (link != NULL && link->process == ipcm__process() &&
        load_acquire(&link->up)) {
        *epoch = load_relaxed(&link->epoch);
        return 0;
    }
    return ipcm__link_up_until(manager, IPC_TIME_FOREVER, epoch);
}

int ipcm__link_up_until(ipc_manager *manager, ipc_deadline deadline,
                        uint64_t *epoch)
{
    int rc = 0;
    struct ipcm__link *link = ipcm__link_here(manager, &rc);
    if (link == NULL)
        return rc;
    struct ipcm__waiter me = {
        .wants_up = true, .wait = IPC_TIME_FOREVER, .until = deadline};
    const int state = enter(link);
    if (link->closed) {
        rc = fail_closed();
    } else if (!link->up || link->broken) {
        take_part(link, &me);
        rc = me.rc;
    }
    *epoch = link->epoch;
    leave_link(link, state);
    if (rc < 0 && me.detail[0] != '\0')
        ipc_remote_detail("%s", me.detail);
    return rc;
}

/* Waiting for it has nothing that asking again and again has not. */
static bool may_poll(uint32_t op)
{
    switch (op) {
    case IPCM__OP_QUEUE_PUT:
    case IPCM__OP_QUEUE_GET:
    case IPCM__OP_QUEUE_TAKE:
    case IPCM__OP_QUEUE_JOIN:
    case IPCM__OP_LOCK_ACQUIRE:
    case IPCM__OP_SEMAPHORE_ACQUIRE:
    case IPCM__OP_EVENT_WAIT:
        return true;
    default:
        return false;
    }
}

/* Those who wait for what others of this process will do must not keep these
 * from being asked. */
static void choose_to_poll(const struct ipcm__link *link, struct ipcm__ask *ask)
{
    ask->polls = ipcm__link_waits(ask) && may_poll(ask->request.op) &&
                 ipcm__link_is_crowded(link);
    if (ask->polls)
        ask->wait = IPC_TIME_NOW;
}

static void queue_asks(struct ipcm__link *link, struct ipcm__waiter *me,
                       struct ipcm__ask *asks, size_t count)
{
    if (count == 1)
        choose_to_poll(link, asks);
    for (size_t i = 0; i < count; i++) {
        asks[i].waiter = me;
        if (asks[i].wait > me->wait)
            me->wait = asks[i].wait;
        list_append(&link->queue, &asks[i].place);
    }
    me->open = count;
}

int ipcm__link_ask(ipc_manager *manager, uint64_t epoch, struct ipcm__ask *asks,
                   size_t count, ipc_deadline until)
{
    int rc = 0;
    struct ipcm__link *link = ipcm__link_here(manager, &rc);
    if (link == NULL)
        return rc;
    struct ipcm__waiter me;
    memset(&me, 0, offsetof(struct ipcm__waiter, detail));
    me.wait = IPC_TIME_NOW;
    me.until = until;
    const int state = enter(link);
    if (link->closed) {
        rc = fail_closed();
    } else if (link->epoch != epoch) {
        for (size_t i = 0; i < count; i++)
            asks[i].status = IPCM__AGAIN;
    } else {
        queue_asks(link, &me, asks, count);
        take_part(link, &me);
    }
    leave_link(link, state);
    return rc;
}

void ipcm__link_goodbye(struct ipcm__link *link)
{
    struct ipcm__ask ask = {.request = {.op = IPCM__OP_GOODBYE}};
    struct ipcm__waiter me = {.until = ipc_after_ms(GOODBYE_MS)};
    queue_asks(link, &me, &ask, 1);
    take_part(link, &me);
}

uint64_t ipcm__link_instance(ipc_manager *manager, uint64_t epoch,
                             uint32_t *flags)
{
    int rc;
    struct ipcm__link *link = ipcm__link_here(manager, &rc);
    if (link == NULL)
        return 0;
    pthread_mutex_lock(&link->lock);
    const bool same = link->epoch == epoch;
    const uint64_t instance = same ? link->instance : 0;
    *flags = same ? link->welcome_flags : 0;
    pthread_mutex_unlock(&link->lock);
    return instance;
}
