/* Remote containers: what libipc's calls on a list, dict, set or namespace of
 * the server come to. */
#include "client/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

static int remote_call(void *data, uint32_t op, const ipc_any *args,
                       size_t count, ipc_anys *results)
{
    ipc_managed *container = data;
    struct ipcm__target *target = &container->target;
    ipc_deadline wait = IPC_TIME_NOW;
    if ((ipcm__op_flags(op) & IPCM__OP_WAITS) != 0 && count > 0) {
        /* The last argument says how long. */
        const int64_t ns = args[--count].i64;
        if (ns != 0)
            wait = ns < 0 ? IPC_TIME_FOREVER : ipc_after_ns(ns);
    }
    return ipcm__call(target, op, args, count, wait, results);
}

static void remote_close(void *data)
{
    ipc_managed *container = data;
    ipcm__target_end(&container->target);
    free(container);
}

/* Two managers may give two containers one number. */
static uint64_t remote_identity(void *data)
{
    const ipc_managed *container = data;
    uint64_t number = UINT64_C(0xcbf29ce484222325);
    for (const char *at = container->target.manager->address_text; *at != '\0';
         at++)
        number = (number ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
    number ^= container->target.id * UINT64_C(0x9e3779b97f4a7c15);
    return number != 0 ? number : 1;
}

const struct ipc_remote ipcm__remote_container = {remote_call, remote_close,
                                                  remote_identity};

int ipcm__remote_handle(struct ipcm__target *target, ipc_any *out)
{
    ipc_managed *container = malloc(sizeof *container);
    if (container == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a handle");
    container->target = *target;
    const char *type = ipcm__container_type(target->type);
    if (type != NULL)
        strncpy(container->target.type_name, type,
                sizeof container->target.type_name - 1);
    const int rc = ipc_remote_handle(target->type, &ipcm__remote_container,
                                     container, out);
    if (rc != 0)
        free(container);
    return rc;
}

const char *ipcm__container_type(uint32_t type)
{
    switch (type) {
    case IPC_TYPE_LIST:
        return "list";
    case IPC_TYPE_DICT:
        return "dict";
    case IPC_TYPE_SET:
        return "set";
    case IPC_TYPE_NAMESPACE:
        return "namespace";
    default:
        return NULL;
    }
}
