/* Waiting: calls whose answer depends on somebody else.
 *
 * State
 *   object->waiting   in the order of coming: called again when the object was
 *                     rung; each has its deadline as a timer
 *   session->waiting  the same calls: withdrawn with the connection
 *   server->rung      objects that were rung, once each
 *
 * Order: what was rung is called again right after the request that rang it,
 * before the next request: so who waits is before who comes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "server/core.h"

#define RINGS_MOST 4096 /* objects at a time; more of them in the next turn */

/* ---- deadlines ---- */

int ipcm__wait_deadline(struct ipcm__call *call)
{
    const struct ipcm__request *request = &call->request;
    call->deadline = IPC_TIME_FOREVER;
    if (request->count == 0)
        return 0; /* the kind will say what is missing */
    const ipc_any *ns = &request->args[request->count - 1];
    if (ns->type != IPC_TYPE_I64 || ns->i64 < -1)
        return ipcm__fail(-EINVAL, "%s: ns is 0, positive, or -1",
                          ipcm__op_name(request->op));
    const ipc_deadline now = call->session->server->now;
    call->at_once = ns->i64 == 0;
    call->expired = call->at_once;
    if (ns->i64 > 0 && ns->i64 < IPC_TIME_FOREVER - now)
        call->deadline = now + ns->i64;
    return 0;
}

/* ---- begin and end ---- */

/* The arguments are in the connection's buffer: have copies. */
static int copy_arguments(struct ipcm__call *call)
{
    struct ipcm__request *request = &call->request;
    size_t bytes = request->count * sizeof(ipc_any);
    for (size_t i = 0; i < request->count; i++)
        if (request->args[i].type == IPC_TYPE_STR ||
            request->args[i].type == IPC_TYPE_BYTES)
            bytes += request->args[i].size;
    ipc_any *args = malloc(bytes != 0 ? bytes : 1);
    if (args == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a request that waits");
    char *text = (char *)(args + request->count);
    for (size_t i = 0; i < request->count; i++) {
        args[i] = request->args[i];
        if (args[i].type != IPC_TYPE_STR && args[i].type != IPC_TYPE_BYTES)
            continue;
        if (args[i].size != 0)
            memcpy(text, args[i].bytes, args[i].size);
        args[i].bytes = text;
        text += args[i].size;
    }
    request->args = args;
    call->copied = args;
    return 0;
}

static void end(struct ipcm__call *call)
{
    struct ipcm__server *server = call->session->server;
    list_remove(&call->of_object);
    list_remove(&call->of_session);
    call->session->waiting_count--;
    server->waiting_count--;
    if (call->object->place == IPCM__PLACE_GIVEN)
        server->watched_there--;
    ipcm__timer_end(&server->timers, &call->timer);
    if (call->session->connection != NULL)
        ipcm__connection_wake(call->session->connection);
    free(call->copied);
    free(call);
}

/* True: it is over. */
static bool again(struct ipcm__call *call, int *rc)
{
    *rc = ipcm__call_do(call);
    if (*rc != 0)
        return false;
    end(call);
    return true;
}

static void expire(struct ipcm__timer *timer)
{
    struct ipcm__call *call = list_entry(timer, struct ipcm__call, timer);
    int rc;
    call->expired = true;
    if (again(call, &rc) || rc != IPCM__STUCK)
        return;
    ipcm__call_refuse(call, ipcm__fail(-ETIMEDOUT, "nothing has changed"));
    end(call);
}

int ipcm__wait_begin(struct ipcm__call *call)
{
    struct ipcm__server *server = call->session->server;
    int rc = copy_arguments(call);
    if (rc == 0)
        rc = ipcm__timer_make(&server->timers, &call->timer, expire);
    if (rc < 0) {
        if (call->object->kind->withdrawn != NULL)
            call->object->kind->withdrawn(call->object, call);
        return rc;
    }
    list_append(&call->object->waiting, &call->of_object);
    list_append(&call->session->waiting, &call->of_session);
    call->session->waiting_count++;
    server->waiting_count++;
    if (call->object->place == IPCM__PLACE_GIVEN)
        server->watched_there++;
    ipcm__timer_set(&server->timers, &call->timer, call->deadline);
    return 0;
}

void ipcm__wait_withdraw(struct ipcm__call *call)
{
    struct ipcm__object *object = call->object;
    list_remove(&call->of_object);
    if (object->kind->withdrawn != NULL)
        object->kind->withdrawn(object, call);
    end(call);
    ipcm__object_retime(object);
}

void ipcm__wait_gone(struct ipcm__object *object)
{
    struct list *next;
    for (struct list *at = object->waiting.next; at != &object->waiting;
         at = next) {
        struct ipcm__call *call = list_entry(at, struct ipcm__call, of_object);
        next = at->next;
        list_remove(at);
        if (object->kind->withdrawn != NULL)
            object->kind->withdrawn(object, call);
        ipcm__call_refuse(
            call, ipcm__fail(-ESTALE, "the %s is no more", object->type));
        end(call);
    }
}

/* ---- rings ---- */

void ipcm__object_ring(struct ipcm__object *object)
{
    if (list_is_empty(&object->of_rung))
        list_append(&object->server->rung, &object->of_rung);
}

static void call_again(struct ipcm__object *object)
{
    struct list *at = object->waiting.next;
    while (at != &object->waiting) {
        struct ipcm__call *call = list_entry(at, struct ipcm__call, of_object);
        int rc;
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): another one was freed */
        at = at->next;
        if (!again(call, &rc) && rc != IPCM__WAITS)
            return;
    }
}

void ipcm__wait_rung(struct ipcm__server *server)
{
    for (int i = 0; i < RINGS_MOST && !list_is_empty(&server->rung); i++) {
        struct ipcm__object *object =
            list_entry(server->rung.next, struct ipcm__object, of_rung);
        list_remove(&object->of_rung);
        call_again(object);
    }
}
