/* Containers by number: what a request for a list, dict, set or namespace means
 * in the calls of libipc.  Used by the server, and by ipc_calls for what this
 * process has mapped. */
#ifndef IPC_MANAGER_CONTAINERS_H
#define IPC_MANAGER_CONTAINERS_H

#include <stddef.h>
#include <stdint.h>

#include <ipc/any.h>
#include <ipc/arena.h>

/* Do it.  args and *results as <ipc/remote.h> says; handles are handles.  A
 * namespace is used by the operations on dicts.  Never waits: a WATCH whose
 * version is still the same is -EAGAIN, whatever its ns.
 *
 * Returns the status, and for 0 or more the results, which are the caller's.
 * -ENOSYS no such operation; -EINVAL wrong arguments, or not of this type; and
 * what the call says. */
int ipcm__container_call(const ipc_any *handle, uint32_t op,
                         const ipc_any *args, size_t count, ipc_anys *results);

/* A new, empty one in an arena, as ..._new(), and its end. */
int ipcm__container_new(ipc_arena *arena, uint32_t type, ipc_any *out);
int ipcm__container_free(ipc_any *handle);

/* That of a name, made if there is none. */
int ipcm__container_named(ipc_arena *arena, uint32_t type, const char *name,
                          ipc_any *out);

/* The operations that rebuild it from empty, one after the other, each with at
 * most so many values: for snapshots.  *at begins with 0; 1: there is one, *op
 * and *args (the caller's to end); 0: that was all; or an error. */
int ipcm__container_save(const ipc_any *handle, uint64_t *at, size_t most,
                         uint32_t *op, ipc_anys *args);

#endif
