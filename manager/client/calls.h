/* ipc_calls: what its parts share. */
#ifndef IPC_MANAGER_CLIENT_CALLS_H
#define IPC_MANAGER_CLIENT_CALLS_H

#include "client/client.h"

struct ipcm__entry {
    ipc_any handle;
    ipc_managed *there; /* NULL: it is used directly */
    uint32_t op;
    ipc_anys args; /* copies, but for handles, which are the caller's */
    size_t room;   /* of args; stays for the next call in this place */
    int status;
    char *detail; /* NULL: none */
    ipc_anys results;
};

struct ipc_calls {
    ipc_manager *manager;
    struct ipcm__entry *entries;
    size_t count;
    size_t room; /* all of it filled, with zeros at first */
    bool has_run;
    struct ipcm__chunk *chunk; /* from malloc(), for the next run; NULL */
};

/* An error is noted with the detail of this thread's last one. */
void ipcm__entry_end(struct ipcm__entry *entry, int status, const char *detail);

/* Run some that are not direct, one after the other, or all as one. */
int ipcm__calls_pipeline(ipc_calls *calls, struct ipcm__entry *entries,
                         size_t count);
int ipcm__calls_batch(ipc_manager *manager, struct ipcm__entry *entries,
                      size_t count);

#endif
