/* Managed objects: what their calls have in common. */
#ifndef IPC_MANAGER_CLIENT_MANAGED_H
#define IPC_MANAGER_CLIENT_MANAGED_H

#include "client/client.h"

/* A handle to the object that an OPEN gives: 1 made, 0 there. */
int ipcm__managed_open(ipc_manager *manager,
                       const struct ipcm__opening *opening, ipc_managed **out);

/* Options of a call, for OPEN: pairs are added in front of what comes last. */
struct ipcm__pairs {
    ipc_any items[16];
    size_t count;
};

static inline void ipcm__pair(struct ipcm__pairs *pairs, const char *name,
                              ipc_any value)
{
    pairs->items[pairs->count++] = ipc_str(name);
    pairs->items[pairs->count++] = value;
}

int ipcm__managed_make(ipc_manager *manager, const char *type, const char *name,
                       const struct ipcm__pairs *pairs, ipc_managed **out);

/* Read and check options: those flags, and durability if the type can. */
int ipcm__managed_options(const ipc_managed_options *given, uint32_t flags,
                          bool durable, ipc_managed_options *out);

/* Is it of this type (or the other one, which may be NULL)?  -EINVAL. */
int ipcm__managed_is(const ipc_managed *object, const char *type,
                     const char *other);

/* A call without results, or with one number. */
int ipcm__managed_do(ipc_managed *object, uint32_t op, const ipc_any *args,
                     size_t count);
int ipcm__managed_number(ipc_managed *object, uint32_t op, const ipc_any *args,
                         size_t count, int64_t *out);

/* One that waits, with no results that are wanted. */
int ipcm__managed_wait(ipc_managed *object, uint32_t op, const ipc_any *args,
                       size_t count, ipc_deadline deadline);

#endif
