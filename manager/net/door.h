/* Doors of each kind: see ipcm__door_open(). */
#ifndef IPC_MANAGER_NET_DOOR_H
#define IPC_MANAGER_NET_DOOR_H

#include "net/net.h"

#define IPCM__BACKLOG 1024

/* out->address has the path, and is not the default any more. */
int ipcm__door_open_unix(uint32_t flags, struct ipcm__door *out);

/* The files that a door has made. */
void ipcm__door_remove_unix(const struct ipcm__door *door);

/* The files of a door whose server is dead; nothing is done if it is not. */
void ipcm__door_clear_unix(const struct ipcm__address *address);

/* As ipcm__door_check(). */
int ipcm__door_check_unix(const struct ipcm__address *address, uint32_t flags);

#endif
