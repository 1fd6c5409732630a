/* BATCH: calls on containers of one arena, as one transaction. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fail.h"
#include "server/core.h"

/* The detail of an error says which call it was. */
static int fail_call(size_t place, int error)
{
    char detail[200];
    (void)snprintf(detail, sizeof detail, "%s", ipc_error_detail());
    return ipcm__fail(error, "call %zu: %s", place, detail);
}

static int find(struct ipcm__server *server,
                const struct ipcm__request *request, struct ipcm__object **out)
{
    if ((ipcm__op_flags(request->op) & IPCM__OP_BATCHES) == 0)
        return ipcm__fail(-EINVAL, "%s is not for a BATCH",
                          ipcm__op_name(request->op));
    *out = ipcm__object_find(server, request->object);
    if (*out == NULL)
        return -ESTALE;
    if ((*out)->kind->type == 0)
        return ipcm__fail(-EINVAL, "a %s is not for a BATCH", (*out)->type);
    return 0;
}

/* Are they all possible, and where? */
static int look_through(struct ipcm__call *call, enum ipcm__place *place)
{
    const struct ipcm__request *request = &call->request;
    for (size_t i = 0; i < request->call_count; i++) {
        struct ipcm__object *object;
        int rc = find(call->session->server, &request->calls[i], &object);
        if (rc == 0 && i > 0 && object->place != *place)
            rc = ipcm__fail(-EXDEV, "the %s lives in another arena",
                            object->type);
        if (rc < 0)
            return fail_call(i, rc);
        *place = object->place;
    }
    return 0;
}

static int do_all(struct ipcm__call *call)
{
    struct ipcm__server *server = call->session->server;
    const struct ipcm__request *request = &call->request;
    for (size_t i = 0; i < request->call_count; i++) {
        struct ipcm__object *object;
        struct ipcm__call one = {.session = call->session,
                                 .request = request->calls[i]};
        int rc = find(server, &request->calls[i], &object);
        if (rc == 0)
            rc = ipcm__container_do(object, &one);
        if (rc < 0) {
            ipcm__results_end(&one.results);
            return fail_call(i, rc);
        }
        call->reply_count = i + 1;
        call->replies[i] = (struct ipcm__reply){.status = rc,
                                                .results = one.results.items,
                                                .count = one.results.count};
    }
    return 0;
}

static void end_replies(struct ipcm__call *call)
{
    for (size_t i = 0; i < call->reply_count; i++) {
        ipc_anys results = {(ipc_any *)call->replies[i].results,
                            call->replies[i].count};
        ipcm__results_end(&results);
    }
    free(call->replies);
    call->replies = NULL;
    call->reply_count = 0;
}

int ipcm__batch_do(struct ipcm__call *call)
{
    enum ipcm__place place = IPCM__PLACE_SERVER;
    const size_t count = call->request.call_count;
    int rc = look_through(call, &place);
    if (rc == 0 && count != 0)
        rc = ipcm__place_enter(call->session->server, place);
    if (rc != 0)
        return rc;
    call->replies = calloc(count + 1, sizeof *call->replies);
    if (call->replies == NULL)
        return ipcm__fail(-ENOMEM, "no memory for %zu replies", count);
    rc = do_all(call);
    ipcm__call_answer(call, rc);
    end_replies(call);
    return IPCM__SILENCE;
}
