/* Those who have come to a listener and have not yet proved to have the key. */
#ifndef IPC_MANAGER_LISTENER_MEET_H
#define IPC_MANAGER_LISTENER_MEET_H

#include "list.h"
#include "listener/link.h"
#include "wire/handshake.h"

struct ipcm__guest; /* in the epoll set: its data */

struct ipcm__meeting {
    int epoll;
    struct list guests; /* in the order in which they came */
    uint32_t count;
    uint8_t key[IPC_MANAGER_KEY_MAX];
    size_t key_bytes;
    struct ipcm__shared_tls *tls; /* NULL: plain */
    uint32_t max_bytes;
    uint32_t handshake_ms;
};

/* Takes over fd, also if it fails. */
int ipcm__meeting_add(struct ipcm__meeting *meeting, int fd,
                      const struct ipcm__peer *peer);

/* Something has come from him, or can be sent: 1 he has the key, *out is the
 * link, last says who he is; 0 not yet, or he is sent away; or an error. */
int ipcm__meeting_go_on(struct ipcm__meeting *meeting,
                        struct ipcm__guest *guest, ipc_link **out, char *last,
                        size_t size);

/* Those whose time is over are sent away; when that is for the next. */
void ipcm__meeting_expire(struct ipcm__meeting *meeting);
ipc_deadline ipcm__meeting_next(const struct ipcm__meeting *meeting);

/* In a forked child: the guests are the parent's, and stay in his set. */
void ipcm__meeting_forget(struct ipcm__meeting *meeting);

/* All of it. */
void ipcm__meeting_end(struct ipcm__meeting *meeting);

#endif
