/* Store: what those who get have in common.  See store.c. */
#ifndef IPC_QUEUE_STORE_GET_H
#define IPC_QUEUE_STORE_GET_H

#include "queue/store.h"

struct ipc__store_getting {
    struct ipc__store *store;
    struct ipc__store_waiting waiting;
    struct ipc__entry_seen found;
};

void ipc__store_init_get(struct ipc__store_getting *g, struct ipc__store *store,
                         ipc_deadline deadline);

/* 0: with the guard, and a message found. */
int ipc__store_begin_get(struct ipc__store_getting *g);

/* With the guard: it is the caller's, in this state. */
void ipc__store_claim(struct ipc__store_getting *g, enum ipc__entry_state state,
                      uint32_t deliveries);

#endif
