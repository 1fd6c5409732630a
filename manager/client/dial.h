/* Dialling: a connection with the handshake done, for clients of managers and
 * of listeners. */
#ifndef IPC_MANAGER_CLIENT_DIAL_H
#define IPC_MANAGER_CLIENT_DIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/time.h>

#include "net/net.h"
#include "wire/handshake.h"

struct ipcm__dial {
    const struct ipcm__address *address;
    bool plain_tcp;        /* on other than loopback too */
    struct ipcm__tls *tls; /* NULL: plain */
    const void *key;
    size_t key_bytes;
    enum ipcm__purpose purpose;
    const uint8_t *session; /* to come back to; NULL: a new one */
};

/* Both are the caller's if it succeeds.  Errors: as ipc_manager_connect(). */
int ipcm__dial(const struct ipcm__dial *dial, ipc_deadline deadline,
               struct ipcm__stream *stream, struct ipcm__welcome *welcome);

/* What is to be waited for on the stream's descriptor, as for poll(2): to read,
 * and to write if that is wanted. */
short ipcm__stream_events(const struct ipcm__stream *stream, bool write);

/* Wait for it: 0, or -ETIMEDOUT. */
int ipcm__wait_fd(int fd, short events, ipc_deadline deadline);

#endif
