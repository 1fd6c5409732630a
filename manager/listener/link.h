/* Links and listeners: what their parts share.
 *
 * State of a link
 *   send_turn, recv_turn   held by who sends a message, or receives one, also
 *                          while he waits for the socket
 *   lock                   all the rest; never held while waiting
 *   out                    what the socket has not taken yet, of the message
 *                          under way, or left by a send that does not wait
 *   in, message            what has come, and what it is put together to
 *   gone                   no more than what has come whole
 *
 * Order
 *   A turn, then the lock.  Nobody has both turns.
 *
 * Death
 *   A thread that ends in the middle of a message leaves its turn to the next,
 *   who finds a message that is half sent, and closes the link.  Of the other
 *   side's death the socket tells. */
#ifndef IPC_MANAGER_LISTENER_LINK_H
#define IPC_MANAGER_LISTENER_LINK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/listener.h>
#include <ipc/lock.h>

#include "net/net.h"
#include "wire/wire.h"

#define IPCM__MESSAGE_HEAD 4u

/* Certificates that a listener and its links have together. */
struct ipcm__shared_tls {
    uint32_t references; /* atomic */
    struct ipcm__tls *tls;
};

int ipcm__shared_tls_new(const struct ipcm__tls_options *options,
                         struct ipcm__shared_tls **out);
void ipcm__shared_tls_drop(struct ipcm__shared_tls *shared);

struct ipc_link {
    ipc_lock send_turn;
    ipc_lock recv_turn;
    pthread_mutex_t lock;
    struct ipcm__stream stream;
    struct ipcm__shared_tls *tls; /* NULL: plain */
    int32_t pid;                  /* tls: whose it is */
    uint32_t max_send;
    uint32_t max_recv;
    bool sending; /* a message is under way */
    bool gone;
    int too_long; /* -EFBIG: that is why */
    char reason[120];

    struct ipcm__buffer out;
    uint64_t written; /* bytes of out, in all, that have gone */

    struct ipcm__buffer in;
    bool has_head;
    uint8_t *message; /* NULL: none has begun */
    uint32_t length;
    size_t have;
    size_t room;
};

/* The stream, and the reference to tls, are the link's if it succeeds. */
int ipcm__link_make(const struct ipcm__stream *stream,
                    struct ipcm__shared_tls *tls, uint32_t max_send,
                    uint32_t max_recv, ipc_link **out);

/* Defaults filled in, and looked at. */
int ipcm__link_options(const ipc_link_options *given, uint32_t connect_ms,
                       ipc_link_options *out);

/* ---- with the lock held ---- */

/* Write what is left: 0 all is gone, -EAGAIN, or -EPIPE. */
int ipcm__link_flush(ipc_link *link);

/* Read until a message is there: 1, 0 there is none yet, -EPIPE, -EFBIG,
 * -ENOMEM. */
int ipcm__link_fill(ipc_link *link);

int ipcm__link_gone(ipc_link *link, const char *reason);

/* What this link's error is. */
int ipcm__link_fail(const ipc_link *link);

/* ---- without ---- */

/* May this process use it?  -ECHILD. */
int ipcm__link_check(const ipc_link *link);

/* Wait until there is something to do, or the deadline: 0, -ETIMEDOUT, or
 * -EAGAIN for IPC_TIME_NOW. */
int ipcm__link_wait(ipc_link *link, bool write, ipc_deadline deadline);

/* A turn: 0, or an error. */
int ipcm__link_turn(ipc_lock *turn, ipc_deadline deadline);

#endif
