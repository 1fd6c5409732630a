/* Namespaces: dicts whose keys are strings. */
#include <ipc/namespace.h>

#include "object/dict.h"

int ipc_namespace_new(ipc_arena *arena, ipc_namespace **out)
{
    struct ipc__handle *handle;
    const int rc = ipc__handle_new(arena, IPC_TYPE_NAMESPACE, &handle);
    if (rc == 0)
        *out = (ipc_namespace *)handle;
    return rc;
}

int ipc_namespace_free(ipc_namespace *names)
{
    return names != NULL ? ipc__handle_free(&names->handle, IPC_TYPE_NAMESPACE)
                         : 0;
}

int ipc_namespace_close(ipc_namespace *names)
{
    return names != NULL ? ipc__handle_close(&names->handle) : 0;
}

int ipc_namespace_set(ipc_namespace *names, const char *name, ipc_any value)
{
    const ipc_any key = ipc_str(name);
    return ipc__map_set(&names->handle, IPC_TYPE_NAMESPACE, &key, &value);
}

int ipc_namespace_get(ipc_namespace *names, const char *name, ipc_any *out)
{
    const ipc_any key = ipc_str(name);
    return ipc__map_get(&names->handle, IPC_TYPE_NAMESPACE, &key, out);
}

int ipc_namespace_delete(ipc_namespace *names, const char *name)
{
    const ipc_any key = ipc_str(name);
    return ipc__map_pop(&names->handle, IPC_TYPE_NAMESPACE, &key, NULL);
}

int ipc_namespace_has(ipc_namespace *names, const char *name)
{
    const ipc_any key = ipc_str(name);
    return ipc__map_contains(&names->handle, IPC_TYPE_NAMESPACE, &key);
}

int ipc_namespace_names(ipc_namespace *names, ipc_anys *out)
{
    return ipc__map_list(&names->handle, IPC_TYPE_NAMESPACE, IPC__KEYS, out);
}

int ipc_namespace_set_i64(ipc_namespace *names, const char *name, int64_t value)
{
    return ipc_namespace_set(names, name, ipc_i64(value));
}

int ipc_namespace_get_i64(ipc_namespace *names, const char *name, int64_t *out)
{
    const ipc_any key = ipc_str(name);
    return ipc__map_get_i64(&names->handle, IPC_TYPE_NAMESPACE, &key, out);
}
