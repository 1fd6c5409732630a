/* Events: set or not, and how often set; who waits goes on when it was set
 * since he came, also if it has been cleared again. */
#include <stdio.h>
#include <stdlib.h>

#include "server/kinds.h"

struct event {
    bool is_set;
    uint64_t sets; /* how often it became set */
};

static int create(struct ipcm__object *object, const ipc_any *args,
                  size_t count)
{
    const int rc = ipcm__no_options(object, args, count);
    if (rc != 0)
        return rc;
    object->state = calloc(1, sizeof(struct event));
    return object->state == NULL ? ipcm__fail_no_memory() : 0;
}

static void destroy(struct ipcm__object *object)
{
    free(object->state);
}

static int set(struct ipcm__object *object, struct event *event)
{
    if (!event->is_set) {
        event->is_set = true;
        event->sets++;
        ipcm__object_ring(object);
    }
    return 0;
}

static int wait_for(const struct event *event, struct ipcm__call *call)
{
    int64_t ns;
    int rc = ipcm__arg_count(&call->request, 1, 1);
    if (rc == 0)
        rc = ipcm__arg_ns(call, 0, &ns);
    if (rc != 0)
        return rc;
    if (call->scratch[0] == 0)
        call->scratch[0] = event->sets + 1;
    if (event->is_set || event->sets != call->scratch[0] - 1)
        return 0;
    return ipcm__would_wait(call, ns, "is not set");
}

static int call_event(struct ipcm__object *object, struct ipcm__call *call)
{
    struct event *event = object->state;
    const uint32_t op = call->request.op;
    if (op < IPCM__OP_EVENT_SET || op > IPCM__OP_EVENT_WAIT)
        return ipcm__fail_no_operation(call);
    if (op == IPCM__OP_EVENT_WAIT)
        return wait_for(event, call);
    const int rc = ipcm__arg_count(&call->request, 0, 0);
    if (rc != 0)
        return rc;
    if (op == IPCM__OP_EVENT_IS_SET)
        return ipcm__answer_i64(call, event->is_set);
    if (op == IPCM__OP_EVENT_SET)
        return set(object, event);
    event->is_set = false;
    return 0;
}

static int describe(const struct ipcm__object *object, char *out, size_t size)
{
    const struct event *event = object->state;
    return snprintf(out, size, "is %sset, %zu wait",
                    event->is_set ? "" : "not ", ipcm__waiting_count(object));
}

const struct ipcm__kind ipcm__kind_event = {
    .name = "event",
    .create = create,
    .destroy = destroy,
    .call = call_event,
    .describe = describe,
};
