/* Shared namespaces: Python's Namespace: values with names, for all processes
 * at once.
 *
 * A dict (dict.h) whose keys are strings, with the calls that Python's has; who
 * wants to count, compare or watch takes a dict.  -ENOENT there is no such name.
 * Errors, lifetime, arenas and crash as in list.h. */
#ifndef IPC_NAMESPACE_H
#define IPC_NAMESPACE_H

#include <ipc/any.h>
#include <ipc/arena.h>

IPC_BEGIN_DECLS

IPC_API IPC_MUST_USE int ipc_namespace_new(ipc_arena *arena,
                                           ipc_namespace **out) IPC_NONNULL(2);
IPC_API int ipc_namespace_free(ipc_namespace *names);
IPC_API int ipc_namespace_close(ipc_namespace *names);

/* names.name = value */
IPC_API IPC_MUST_USE int ipc_namespace_set(ipc_namespace *names,
                                           const char *name, ipc_any value)
    IPC_NONNULL(1, 2);

/* names.name: a copy, or a handle: ipc_any_free() in the end. */
IPC_API IPC_MUST_USE int ipc_namespace_get(ipc_namespace *names,
                                           const char *name, ipc_any *out)
    IPC_NONNULL(1, 2, 3);

/* del names.name */
IPC_API IPC_MUST_USE int ipc_namespace_delete(ipc_namespace *names,
                                              const char *name)
    IPC_NONNULL(1, 2);

/* hasattr(): 1 or 0. */
IPC_API IPC_MUST_USE int ipc_namespace_has(ipc_namespace *names,
                                           const char *name) IPC_NONNULL(1, 2);

/* All names, in the order in which they came. */
IPC_API IPC_MUST_USE int ipc_namespace_names(ipc_namespace *names,
                                             ipc_anys *out) IPC_NONNULL(1, 2);

IPC_API IPC_MUST_USE int ipc_namespace_set_i64(ipc_namespace *names,
                                               const char *name, int64_t value)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_namespace_get_i64(ipc_namespace *names,
                                               const char *name, int64_t *out)
    IPC_NONNULL(1, 2, 3);

IPC_END_DECLS

#endif
