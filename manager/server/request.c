/* Requests: from a frame to its answer.
 *
 * Order, of a call: the kind does it; the reply is encoded; what was done in an
 * arena is committed; what is durable goes to the keeper.  Whatever fails on
 * the way undoes what is before it, and is the answer.
 *
 * Ids grow.  Those up to session->highest are known: the client has come back
 * and repeats what was not answered.  What changed something and was done is
 * not done again. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ipc/remote.h>

#include "fail.h"
#include "server/core.h"

#define MS ((int64_t)1000000)

/* ---- results ---- */

int ipcm__any_copy(const ipc_any *any, ipc_any *out)
{
    ipc_any copy = *any;
    if (any->type == IPC_TYPE_STR || any->type == IPC_TYPE_BYTES) {
        char *bytes = malloc((size_t)any->size + 1);
        if (bytes == NULL)
            return ipcm__fail(-ENOMEM, "no memory for %u bytes", any->size);
        if (any->size != 0)
            memcpy(bytes, any->bytes, any->size);
        bytes[any->size] = 0;
        copy.bytes = bytes;
    }
    *out = copy;
    return 0;
}

static void end_value(ipc_any *value)
{
    if (value->type < IPC_TYPE_LIST)
        ipc_any_free(value);
}

int ipcm__call_result(struct ipcm__call *call, ipc_any value)
{
    ipc_anys *results = &call->results;
    const size_t n = results->count;
    if ((n & (n - 1)) == 0) {
        ipc_any *more =
            reallocarray(results->items, n != 0 ? n * 2 : 1, sizeof *more);
        if (more == NULL) {
            end_value(&value);
            return ipcm__fail(-ENOMEM, "no memory for a result");
        }
        results->items = more;
    }
    results->items[results->count++] = value;
    return 0;
}

int ipcm__call_result_copy(struct ipcm__call *call, const ipc_any *value)
{
    ipc_any copy = ipc_nil();
    const int rc = ipcm__any_copy(value, &copy);
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the copy is moved */
    return rc < 0 ? rc : ipcm__call_result(call, copy);
}

/* ---- limits ---- */

static int check_value(const ipc_manager_limits *limits, const ipc_any *arg)
{
    if (limits->value_bytes != 0 &&
        (arg->type == IPC_TYPE_STR || arg->type == IPC_TYPE_BYTES) &&
        arg->size > limits->value_bytes)
        return ipcm__fail(-EMSGSIZE, "a %s of %u bytes: value_bytes is %u",
                          ipc_type_name(arg->type), arg->size,
                          limits->value_bytes);
    return 0;
}

static bool is_key(uint32_t op, size_t place)
{
    if (op == IPC_OP_DICT_UPDATE)
        return place % 2 == 0;
    return place == 0 && op >= IPC_OP_DICT_SET && op <= IPC_OP_DICT_GET_OR_NEW;
}

static int check_key(const ipc_manager_limits *limits, const ipc_any *arg)
{
    if ((arg->type == IPC_TYPE_STR || arg->type == IPC_TYPE_BYTES) &&
        arg->size > limits->key_bytes)
        return ipcm__fail(-EMSGSIZE, "a key of %u bytes: key_bytes is %u",
                          arg->size, limits->key_bytes);
    return 0;
}

int ipcm__request_limits(const struct ipcm__server *server,
                         const struct ipcm__request *request)
{
    int rc = 0;
    for (size_t i = 0; i < request->count && rc == 0; i++)
        rc = is_key(request->op, i)
                 ? check_key(server->limits, &request->args[i])
                 : check_value(server->limits, &request->args[i]);
    for (size_t i = 0; i < request->call_count && rc == 0; i++)
        rc = ipcm__request_limits(server, &request->calls[i]);
    return rc;
}

/* ---- answers ---- */

/* Keep the answer for a client that comes back, and in the store: all of out
 * from there on. */
static void remember(struct ipcm__call *call, size_t begin)
{
    struct ipcm__session *session = call->session;
    struct ipcm__server *server = session->server;
    const struct ipcm__buffer *out = &session->connection->out;
    const uint8_t *frame = out->data + out->begin + begin + IPCM__FRAME_HEAD;
    const size_t bytes = (size_t)(out->data + out->end - frame);
    if ((ipcm__op_flags(call->request.op) & IPCM__OP_CHANGES) == 0)
        return;
    if (session->answers != NULL)
        (void)ipcm__answers_add(session->answers, call->request.id, frame,
                                bytes);
    if (!ipcm__keeper_kept(server->keeper))
        return;
    server->dirty = true;
    session->stored = true;
    const bool fits = bytes <= server->limits->session_reply_bytes;
    (void)ipcm__keeper_answer(server->keeper, session, call->request.id,
                              fits ? frame : NULL, fits ? bytes : 0);
}

/* 0, or why it is not so. */
static int say(struct ipcm__call *call, int status)
{
    struct ipcm__server *server = call->session->server;
    struct ipcm__connection *connection = call->session->connection;
    const struct ipcm__reply reply = {.id = call->request.id,
                                      .status = status,
                                      .results = call->results.items,
                                      .count = call->results.count,
                                      .calls = call->replies,
                                      .call_count = call->reply_count};
    const size_t before = ipcm__connection_out(connection);
    int rc = ipcm__connection_reply(connection, &reply);
    if (rc < 0)
        return rc;
    rc = ipcm__place_commit(server);
    if (rc < 0) {
        connection->out.end = connection->out.begin + before;
        return rc;
    }
    ipcm__notes_keep(server);
    remember(call, before);
    return 0;
}

void ipcm__call_refuse(struct ipcm__call *call, int error)
{
    struct ipcm__connection *connection = call->session->connection;
    const char *detail = ipc_error_detail();
    const struct ipcm__reply reply = {.id = call->request.id,
                                      .status = error,
                                      .detail = detail,
                                      .detail_bytes = strlen(detail)};
    const size_t before = ipcm__connection_out(connection);
    if (ipcm__connection_reply(connection, &reply) < 0)
        connection->doomed = true;
    else
        remember(call, before);
}

/* What was begun is undone; the error stays what it was. */
static void fail(struct ipcm__call *call, int error)
{
    struct ipcm__server *server = call->session->server;
    char detail[256];
    (void)snprintf(detail, sizeof detail, "%s", ipc_error_detail());
    ipcm__notes_undo(server, call->session);
    ipcm__place_abort(server);
    ipcm__call_refuse(call, ipcm__fail(error, "%s", detail));
}

void ipcm__call_answer(struct ipcm__call *call, int status)
{
    if (call->at_once && status == -ETIMEDOUT)
        status = -EAGAIN;
    if (status >= 0)
        status = say(call, status);
    if (status < 0)
        fail(call, status);
    ipcm__results_end(&call->results);
}

/* ---- calls ---- */

int ipcm__call_do(struct ipcm__call *call)
{
    struct ipcm__object *object = call->object;
    (void)ipcm__keeper_kept(object->server->keeper);
    const int rc = object->kind->call(object, call);
    if (rc >= IPCM__WAITS) {
        ipcm__place_abort(object->server);
        ipcm__results_end(&call->results);
    }
    if (rc == IPCM__STUCK)
        return rc;
    call->attempts++;
    ipcm__object_retime(object);
    if (rc == IPCM__WAITS || rc == IPCM__WAITS_ALL)
        return rc;
    ipcm__call_answer(call, rc);
    return 0;
}

/* One that may have to wait has memory of its own. */
static int call_waiting(const struct ipcm__call *from)
{
    struct ipcm__call *call = malloc(sizeof *call);
    if (call == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a request");
    *call = *from;
    list_init(&call->of_object);
    list_init(&call->of_session);
    int rc = ipcm__wait_deadline(call);
    if (rc == 0)
        rc = ipcm__call_do(call);
    if (rc == IPCM__WAITS || rc == IPCM__WAITS_ALL) {
        rc = ipcm__wait_begin(call);
        if (rc == 0)
            return 0;
    }
    free(call);
    return rc;
}

/* 0 it was, or will be, answered; IPCM__STUCK; or an error that is the
 * answer. */
static int dispatch(struct ipcm__call *call)
{
    const struct ipcm__request *request = &call->request;
    struct ipcm__server *server = call->session->server;
    const uint32_t flags = ipcm__op_flags(request->op);
    if (flags == 0)
        return ipcm__fail(-ENOSYS, "there is no operation %" PRIu32,
                          request->op);
    const int rc = ipcm__request_limits(server, request);
    if (rc < 0)
        return rc;
    if (request->object == 0 || request->op == IPCM__OP_REFER)
        return ipcm__office_call(call);
    call->object = ipcm__object_find(server, request->object);
    if (call->object == NULL)
        return -ESTALE;
    if ((flags & IPCM__OP_WAITS) != 0)
        return call_waiting(call);
    return ipcm__call_do(call);
}

/* ---- requests ---- */

/* The client has come back and repeats it: has it been done?  True: that was
 * the answer. */
static bool was_done(struct ipcm__connection *connection,
                     const struct ipcm__request *request)
{
    const struct ipcm__session *session = connection->session;
    const void *frame;
    size_t bytes;
    if (request->id > session->highest || session->answers == NULL ||
        (ipcm__op_flags(request->op) & IPCM__OP_CHANGES) == 0 ||
        !ipcm__answers_find(session->answers, request->id, &frame, &bytes))
        return false;
    connection->server->figures.repeated++;
    if (frame != NULL) {
        connection->doomed |=
            ipcm__connection_frame(connection, frame, bytes) < 0;
        return true;
    }
    static const char detail[] =
        "it was done, its results are no longer kept: session_reply_bytes";
    const struct ipcm__reply reply = {.id = request->id,
                                      .status = -ENODATA,
                                      .detail = detail,
                                      .detail_bytes = sizeof detail - 1};
    connection->doomed |= ipcm__connection_reply(connection, &reply) < 0;
    return true;
}

/* An error, or IPCM__STUCK for too long, becomes the answer. */
static int settle(struct ipcm__connection *connection, struct ipcm__call *call,
                  int rc)
{
    struct ipcm__server *server = connection->server;
    if (rc == IPCM__STUCK) {
        const uint32_t ms = server->limits->reply_ms;
        if (connection->stuck == 0) {
            connection->stuck = server->now;
            server->stuck++;
        }
        if (server->now - connection->stuck < ms * MS)
            return IPCM__STUCK;
        rc = ipcm__fail(-ETIMEDOUT,
                        "somebody holds the arena: reply_ms is %" PRIu32, ms);
    }
    if (connection->stuck != 0) {
        connection->stuck = 0;
        server->stuck--;
    }
    if (rc < 0)
        ipcm__call_answer(call, rc);
    return 0;
}

static int check_id(const struct ipcm__connection *connection, uint64_t id)
{
    if (id == 0 || id <= connection->last)
        return ipcm__fail(-EPROTO, "request %" PRIu64 " after %" PRIu64, id,
                          connection->last);
    if (id <= connection->session->highest && !connection->was_resumed)
        return ipcm__fail(-EPROTO, "request %" PRIu64 " is an old one", id);
    return 0;
}

int ipcm__request_take(struct ipcm__connection *connection, const void *data,
                       size_t bytes)
{
    struct ipcm__server *server = connection->server;
    struct ipcm__session *session = connection->session;
    struct ipcm__call call = {.session = session};
    list_init(&call.of_object);
    list_init(&call.of_session);
    int rc = ipcm__decode_request(server->decoder, data, bytes, &call.request);
    if (rc == -EPROTO || rc == -EMSGSIZE || (rc < 0 && call.request.id == 0))
        return rc;
    const int wrong = check_id(connection, call.request.id);
    if (wrong < 0)
        return wrong;
    if (rc < 0 || !was_done(connection, &call.request)) {
        if (rc == 0)
            rc = dispatch(&call);
        rc = settle(connection, &call, rc);
        if (rc == IPCM__STUCK)
            return rc;
    }
    server->figures.requests++;
    connection->last = call.request.id;
    if (call.request.id > session->highest)
        session->highest = call.request.id;
    ipcm__wait_rung(server);
    return 0;
}
