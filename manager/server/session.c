/* Sessions: who somebody is, over the loss of his connection.
 *
 * State: what server.h says.  A session without connection is in its grace:
 * its timer runs; what it held it holds, what it waited for was withdrawn.
 *
 * Death: the process's pidfd is looked at as long as the session is there: when
 * it is readable the session ends, whoever else has the socket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <sodium.h>

#include "fail.h"
#include "server/core.h"

#define MS ((int64_t)1000000)

/* The pidfd of a peer, in epoll. */
struct process {
    struct ipcm__watch watch;
    struct ipcm__session *session;
};

/* ---- holds ---- */

void ipcm__hold_add(struct ipcm__hold *hold, struct ipcm__session *session,
                    struct ipcm__object *object)
{
    hold->session = session;
    hold->object = object;
    list_append(&session->held, &hold->of_session);
    list_append(&object->holds, &hold->of_object);
}

void ipcm__hold_remove(struct ipcm__hold *hold)
{
    list_remove(&hold->of_session);
    list_remove(&hold->of_object);
}

/* ---- begin ---- */

static uint64_t key_of(const uint8_t id[IPCM__SESSION_BYTES])
{
    uint64_t key;
    memcpy(&key, id, sizeof key);
    return key;
}

static void grace_is_over(struct ipcm__timer *timer)
{
    struct ipcm__session *session =
        list_entry(timer, struct ipcm__session, timer);
    ipcm__log(session->server, IPC_MANAGER_LOG_INFO,
              "session %u of %s has not come back", session->number,
              session->peer.text);
    ipcm__session_end(session);
}

static int add(struct ipcm__server *server, const uint8_t *id,
               struct ipcm__session **out)
{
    struct ipcm__session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a session");
    int rc = ipcm__references_new(&session->references);
    if (rc == 0)
        rc = ipcm__timer_make(&server->timers, &session->timer, grace_is_over);
    if (rc == 0)
        rc = ipcm__map_put(&server->session_ids, key_of(id), session);
    if (rc < 0) {
        ipcm__timer_end(&server->timers, &session->timer);
        free(session->references);
        free(session);
        return rc;
    }
    memcpy(session->id, id, sizeof session->id);
    session->server = server;
    session->number = ++server->session_number;
    session->peer.pidfd = -1;
    list_init(&session->held);
    list_init(&session->waiting);
    list_append(&server->sessions, &session->of_server);
    server->session_count++;
    *out = session;
    return 0;
}

int ipcm__session_new(struct ipcm__server *server, struct ipcm__session **out)
{
    uint8_t id[IPCM__SESSION_BYTES];
    do
        randombytes_buf(id, sizeof id);
    while (key_of(id) == 0 ||
           ipcm__map_get(&server->session_ids, key_of(id)) != NULL);
    return add(server, id, out);
}

static bool is_of(const struct ipcm__session *session,
                  const struct ipcm__peer *peer)
{
    const bool was_local = session->peer.transport == IPCM__UNIX;
    const bool is_local = peer->transport == IPCM__UNIX;
    return was_local == is_local &&
           (!is_local || session->peer.uid == peer->uid);
}

struct ipcm__session *ipcm__session_find(struct ipcm__server *server,
                                         const uint8_t id[IPCM__SESSION_BYTES],
                                         const struct ipcm__peer *peer)
{
    struct ipcm__session *session =
        ipcm__map_get(&server->session_ids, key_of(id));
    if (session == NULL || sodium_memcmp(session->id, id, sizeof session->id) ||
        !is_of(session, peer))
        return NULL;
    return session;
}

uint32_t ipcm__session_grace_ms(const struct ipcm__session *session)
{
    const ipc_manager_limits *limits = session->server->limits;
    return session->peer.transport == IPCM__UNIX
               ? limits->local_session_grace_ms
               : limits->session_grace_ms;
}

/* ---- its connection, its process ---- */

static void process_died(struct ipcm__watch *watch, uint32_t events)
{
    struct process *process = list_entry(watch, struct process, watch);
    struct ipcm__session *session = process->session;
    (void)events;
    session->server->thorough = true;
    ipcm__log(session->server, IPC_MANAGER_LOG_INFO, "session %u: %s has died",
              session->number, session->peer.text);
    ipcm__session_end(session);
}

static void forget_process(struct ipcm__session *session)
{
    if (session->process != NULL) {
        ipcm__watch_end(session->server, session->process);
        free(list_entry(session->process, struct process, watch));
        session->process = NULL;
    }
    if (session->peer.pidfd >= 0)
        close(session->peer.pidfd);
    session->peer.pidfd = -1;
}

/* Without memory for it the connection alone tells. */
static void watch_process(struct ipcm__session *session)
{
    struct process *process;
    if (session->peer.pidfd < 0)
        return;
    process = calloc(1, sizeof *process);
    if (process == NULL)
        return;
    process->session = session;
    if (ipcm__watch_begin(session->server, &process->watch, session->peer.pidfd,
                          EPOLLIN, process_died) == 0)
        session->process = &process->watch;
    else
        free(process);
}

void ipcm__session_join(struct ipcm__session *session,
                        struct ipcm__connection *connection)
{
    struct ipcm__server *server = session->server;
    if (session->connection != NULL) {
        struct ipcm__connection *before = session->connection;
        before->session = NULL;
        session->connection = NULL;
        while (!list_is_empty(&session->waiting))
            ipcm__wait_withdraw(list_entry(session->waiting.next,
                                           struct ipcm__call, of_session));
        ipcm__connection_close(before);
    }
    ipcm__timer_clear(&server->timers, &session->timer);
    forget_process(session);
    session->peer = connection->peer;
    connection->peer.pidfd = -1;
    session->connection = connection;
    session->restored = false;
    session->may_map = server->sites[IPCM__PLACE_GIVEN].arena != NULL &&
                       session->peer.transport == IPCM__UNIX &&
                       session->peer.uid == geteuid();
    connection->session = session;
    watch_process(session);
    if (session->answers == NULL && ipcm__session_grace_ms(session) != 0)
        (void)ipcm__answers_new(server, &session->answers);
}

void ipcm__session_leave(struct ipcm__session *session)
{
    const uint32_t grace = ipcm__session_grace_ms(session);
    struct ipcm__server *server = session->server;
    while (!list_is_empty(&session->waiting))
        ipcm__wait_withdraw(
            list_entry(session->waiting.next, struct ipcm__call, of_session));
    session->connection = NULL;
    if (grace == 0 || session->answers == NULL) {
        ipcm__session_end(session);
        return;
    }
    session->grace = server->now + grace * MS;
    ipcm__timer_set(&server->timers, &session->timer, session->grace);
}

/* ---- end ---- */

void ipcm__session_end(struct ipcm__session *session)
{
    struct ipcm__server *server = session->server;
    struct ipcm__connection *connection = session->connection;
    while (!list_is_empty(&session->waiting))
        ipcm__wait_withdraw(
            list_entry(session->waiting.next, struct ipcm__call, of_session));
    while (!list_is_empty(&session->held)) {
        struct ipcm__hold *hold =
            list_entry(session->held.next, struct ipcm__hold, of_session);
        struct ipcm__object *object = hold->object;
        list_remove(&hold->of_session);
        object->kind->lost(object, hold);
        ipcm__object_retime(object);
    }
    ipcm__references_end(session);
    if (session->stored)
        (void)ipcm__keeper_forget(server->keeper, session);
    forget_process(session);
    ipcm__answers_free(session->answers);
    ipcm__timer_end(&server->timers, &session->timer);
    (void)ipcm__map_take(&server->session_ids, key_of(session->id));
    list_remove(&session->of_server);
    server->session_count--;
    if (connection != NULL) {
        connection->session = NULL;
        ipcm__connection_close(connection);
    }
    free(session);
    ipcm__wait_rung(server);
}

/* ---- from the store ---- */

int ipcm__session_restore(struct ipcm__server *server,
                          const struct ipcm__store_answer *answer)
{
    struct ipcm__session *session =
        ipcm__map_get(&server->session_ids, key_of(answer->session));
    if (session == NULL) {
        int rc = add(server, answer->session, &session);
        if (rc < 0)
            return rc;
        session->restored = true;
        session->stored = true;
        session->peer.uid = answer->uid;
        session->peer.transport =
            answer->uid == UINT32_MAX ? IPCM__TCP : IPCM__UNIX;
        (void)strcpy(session->peer.text, "from the store");
        session->grace = server->now + server->limits->restart_grace_ms * MS;
        ipcm__timer_set(&server->timers, &session->timer, session->grace);
        rc = ipcm__answers_new(server, &session->answers);
        if (rc < 0)
            return rc;
    }
    if (answer->request > session->highest)
        session->highest = answer->request;
    return ipcm__answers_add(session->answers, answer->request, answer->reply,
                             answer->reply_bytes);
}
