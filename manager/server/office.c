/* Office: operations on the manager itself, which is object 0. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"
#include "server/core.h"

static int ping(struct ipcm__call *call)
{
    int rc = 0;
    for (size_t i = 0; i < call->request.count && rc == 0; i++) {
        if (call->request.args[i].type >= IPC_TYPE_LIST)
            return ipcm__fail(-EINVAL, "PING takes no containers");
        rc = ipcm__call_result_copy(call, &call->request.args[i]);
    }
    return rc;
}

/* ---- references ---- */

/* object, type number; the object may also be that of the request. */
static int refer(struct ipcm__call *call)
{
    const struct ipcm__request *request = &call->request;
    struct ipcm__server *server = call->session->server;
    const size_t first = request->object == 0 ? 1 : 0;
    uint64_t id = request->object;
    uint64_t type = 0;
    int rc = ipcm__arg_count(request, first + 1, first + 1);
    if (rc == 0 && first == 1)
        rc = ipcm__arg_u64(request, 0, &id);
    if (rc == 0)
        rc = ipcm__arg_u64(request, first, &type);
    if (rc < 0)
        return rc;
    struct ipcm__object *object = ipcm__object_find(server, id);
    if (object == NULL)
        return -ESTALE;
    if (object->kind->type != type)
        return ipcm__fail(-EINVAL, "object %" PRIu64 " is a %s", id,
                          object->type);
    rc = ipcm__session_refer(call->session, object);
    if (rc == 0) {
        rc = ipcm__note_referred(object);
        if (rc < 0)
            ipcm__session_unrefer(call->session, object, 1);
    }
    return rc < 0 ? rc
                  : ipcm__call_result(
                        call, ipc_i64(object->place == IPCM__PLACE_GIVEN));
}

static int drop(struct ipcm__call *call)
{
    const struct ipcm__request *request = &call->request;
    uint64_t id = 0;
    uint64_t n = 0;
    int rc = request->count % 2 == 0
                 ? 0
                 : ipcm__fail(-EINVAL, "an object without a number of "
                                       "references");
    for (size_t i = 0; i < request->count && rc == 0; i++)
        rc = ipcm__arg_u64(request, i, &id);
    for (size_t i = 0; i < request->count && rc == 0; i += 2) {
        (void)ipcm__arg_u64(request, i, &id);
        (void)ipcm__arg_u64(request, i + 1, &n);
        struct ipcm__object *object =
            ipcm__map_get(&call->session->server->objects, id);
        if (object != NULL)
            ipcm__session_unrefer(call->session, object, n);
    }
    return rc;
}

/* ---- names ---- */

static int remove_name(struct ipcm__call *call)
{
    struct ipcm__server *server = call->session->server;
    const char *name = "";
    size_t bytes = 0;
    int rc = ipcm__arg_count(&call->request, 1, 1);
    if (rc == 0)
        rc = ipcm__arg_str(&call->request, 0, &name, &bytes);
    if (rc < 0)
        return rc;
    struct ipcm__object *object = ipcm__name_find(server, name, bytes);
    if (object == NULL)
        return ipcm__fail(-ENOENT, "nothing has that name");
    if (object->entitled)
        rc = ipcm__place_enter(server, object->place);
    return rc == 0 ? ipcm__object_unname(object) : rc;
}

static int names(struct ipcm__call *call)
{
    const struct ipcm__server *server = call->session->server;
    int rc = 0;
    for (const struct list *at = server->name_list.next;
         at != &server->name_list && rc == 0; at = at->next) {
        const struct ipcm__object *object =
            list_entry(at, struct ipcm__object, of_names);
        const ipc_any name = ipc_strn(object->name, object->name_bytes);
        const ipc_any type = ipc_str(object->type);
        rc = ipcm__call_result_copy(call, &name);
        if (rc == 0)
            rc = ipcm__call_result_copy(call, &type);
    }
    return rc;
}

/* ---- the session, the server ---- */

static int cancel(struct ipcm__call *call)
{
    uint64_t id = 0;
    int rc = ipcm__arg_count(&call->request, 1, 1);
    if (rc == 0)
        rc = ipcm__arg_u64(&call->request, 0, &id);
    if (rc < 0)
        return rc;
    struct list *waiting = &call->session->waiting;
    for (struct list *at = waiting->next; at != waiting; at = at->next) {
        struct ipcm__call *other =
            list_entry(at, struct ipcm__call, of_session);
        if (other->request.id != id)
            continue;
        ipcm__call_refuse(other,
                          ipcm__fail(-ECANCELED, "the request was withdrawn"));
        ipcm__wait_withdraw(other);
        return 0;
    }
    return ipcm__fail(-ESRCH, "request %" PRIu64 " does not wait", id);
}

static int goodbye(struct ipcm__call *call)
{
    call->session->connection->says_goodbye = true;
    return 0;
}

static int shut_down(struct ipcm__call *call)
{
    struct ipcm__server *server = call->session->server;
    const struct ipcm__config *config = server->config;
    const struct ipcm__peer *peer = &call->session->peer;
    const bool is_starter = config->starter != 0 &&
                            peer->transport == IPCM__UNIX &&
                            peer->pid == config->starter;
    if (!is_starter && (config->flags & IPC_MANAGER_REMOTE_SHUTDOWN) == 0)
        return ipcm__fail(-EPERM, "the server is ended by who has started it");
    ipcm__log(server, IPC_MANAGER_LOG_INFO, "%s ends the server", peer->text);
    server->stopping = true;
    return 0;
}

static int count(struct ipcm__call *call)
{
    const struct ipcm__server *server = call->session->server;
    uint64_t loose = 0;
    for (const struct list *at = server->loose.next; at != &server->loose;
         at = at->next)
        loose++;
    return ipcm__call_result(call, ipc_u64(server->objects.count - loose));
}

static int arena(struct ipcm__call *call)
{
    struct ipcm__server *server = call->session->server;
    struct ipcm__connection *connection = call->session->connection;
    const int fd = server->sites[IPCM__PLACE_GIVEN].fd;
    if (!call->session->may_map || connection->answer != NULL)
        return ipcm__fail(-EPERM, "the arena is not given to %s",
                          call->session->peer.text);
    if (connection->out_fd >= 0)
        return ipcm__fail(-EBUSY, "it is on its way already");
    const int rc =
        ipcm__call_result(call, ipc_u64(server->limits->arena_bytes));
    if (rc == 0)
        ipcm__connection_send_fd(connection, fd);
    return rc;
}

/* What people see has no line breaks in it, nor what a terminal would do. */
static int label(struct ipcm__call *call)
{
    struct ipcm__session *session = call->session;
    const char *text = "";
    size_t bytes = 0;
    int rc = ipcm__arg_count(&call->request, 1, 1);
    if (rc == 0)
        rc = ipcm__arg_str(&call->request, 0, &text, &bytes);
    if (rc < 0)
        return rc;
    if (bytes >= sizeof session->label)
        return ipcm__fail(-EMSGSIZE, "a label of %zu bytes: %zu are possible",
                          bytes, sizeof session->label - 1);
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char c = (unsigned char)text[i];
        session->label[i] = text[i];
        if (c < ' ' || c == 0x7f)
            session->label[i] = '?';
    }
    session->label[bytes] = 0;
    return 0;
}

int ipcm__office_call(struct ipcm__call *call)
{
    static int (*const calls[])(struct ipcm__call * call) = {
        [IPCM__OP_PING - IPCM__OP_FIRST] = ping,
        [IPCM__OP_OPEN - IPCM__OP_FIRST] = ipcm__office_open,
        [IPCM__OP_REFER - IPCM__OP_FIRST] = refer,
        [IPCM__OP_DROP - IPCM__OP_FIRST] = drop,
        [IPCM__OP_REMOVE - IPCM__OP_FIRST] = remove_name,
        [IPCM__OP_NAMES - IPCM__OP_FIRST] = names,
        [IPCM__OP_BATCH - IPCM__OP_FIRST] = ipcm__batch_do,
        [IPCM__OP_CANCEL - IPCM__OP_FIRST] = cancel,
        [IPCM__OP_GOODBYE - IPCM__OP_FIRST] = goodbye,
        [IPCM__OP_SHUTDOWN - IPCM__OP_FIRST] = shut_down,
        [IPCM__OP_COUNT - IPCM__OP_FIRST] = count,
        [IPCM__OP_DEBUG - IPCM__OP_FIRST] = ipcm__office_debug,
        [IPCM__OP_STATS - IPCM__OP_FIRST] = ipcm__office_stats,
        [IPCM__OP_ARENA - IPCM__OP_FIRST] = arena,
        [IPCM__OP_LABEL - IPCM__OP_FIRST] = label};
    const uint32_t op = call->request.op;
    if (op < IPCM__OP_FIRST ||
        op - IPCM__OP_FIRST >= sizeof calls / sizeof calls[0])
        return ipcm__fail(-EINVAL, "%s needs an object", ipcm__op_name(op));
    (void)ipcm__keeper_kept(call->session->server->keeper);
    const int rc = calls[op - IPCM__OP_FIRST](call);
    if (rc == IPCM__STUCK) {
        ipcm__results_end(&call->results);
        ipcm__place_abort(call->session->server);
        return rc;
    }
    if (rc == IPCM__SILENCE)
        return 0;
    ipcm__call_answer(call, rc);
    return 0;
}
