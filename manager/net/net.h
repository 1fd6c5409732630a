/* Net: addresses, sockets and TLS, for server, client and listener.
 *
 * All sockets here are non-blocking and close-on-exec; nothing raises SIGPIPE.
 * Who waits does so by himself, on the stream's descriptor. */
#ifndef IPC_MANAGER_NET_H
#define IPC_MANAGER_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/time.h>

/* ---- addresses ---- */

enum ipcm__transport {
    IPCM__UNIX = 1,
    IPCM__TCP = 2,
    IPCM__TLS = 3
};

struct ipcm__address {
    enum ipcm__transport transport;
    char path[108]; /* unix; "": the default one */
    char host[256]; /* tcp, tls; without the brackets of [::1] */
    uint16_t port;
};

#define IPCM__ADDRESS_TEXT 300 /* bytes that any address fits as text */

/* "unix:/path", "unix:", "tcp://host:port", "tls://host:port".  -EINVAL. */
int ipcm__address_parse(const char *text, struct ipcm__address *out);
void ipcm__address_format(const struct ipcm__address *address, char *out,
                          size_t size);

/* The socket "manager" in $XDG_RUNTIME_DIR/libipc or else /tmp/libipc-<uid>;
 * random: one in the same folder whose name nobody else has. */
int ipcm__address_default(struct ipcm__address *out, bool random);

/* ---- listening ---- */

struct ipcm__door {
    int fd;
    struct ipcm__address address; /* as it became: path, port */
    int lock_fd;                  /* unix: held while it listens; else -1 */
    uint64_t inode;               /* unix: of the socket's file */
};

#define IPCM__DOOR_PLAIN_TCP 1u /* tcp on other than loopback too */
#define IPCM__DOOR_SHARED    2u /* unix: for other users too */

/* Unix: the folder is made, or must be ours and 0700 (SHARED: 0711); under a
 * lock file beside the socket a file that nobody answers at is removed, then
 * bind, chmod, listen.  tcp: every address of the host must be loopback, or
 * -EPERM.  Errors: -EADDRINUSE, -EACCES, -EPERM, -EINVAL, -EHOSTUNREACH. */
int ipcm__door_open(const struct ipcm__address *address, uint32_t flags,
                    struct ipcm__door *out);

/* Could it be opened?  Looks, and leaves nothing: 0, or the error that
 * ipcm__door_open() would give.  tcp: *fd is bound to what it would listen on,
 * and the caller's; else -1. */
int ipcm__door_check(const struct ipcm__address *address, uint32_t flags,
                     int *fd);

/* In the folder of an address of ipcm__address_default(), random: what servers
 * at such addresses have left that are dead. */
void ipcm__doors_sweep(const struct ipcm__address *address);

/* Close it; the file is removed if it is still ours. */
void ipcm__door_close(struct ipcm__door *door);

/* Only the descriptors, in a forked child. */
void ipcm__door_forget(struct ipcm__door *door);

/* Who is at the other end. */
struct ipcm__peer {
    enum ipcm__transport transport;
    uint32_t uid;   /* unix */
    int32_t pid;    /* unix; 0: it cannot be told, or another pid namespace */
    int pidfd;      /* unix; -1: none.  The caller's */
    uint8_t ip[16]; /* tcp, tls: IPv6, or IPv4 mapped */
    char text[64];  /* "unix: pid 4711, uid 1000" or "tcp://10.0.0.7:51234" */
};

/* The next one: *fd and *peer are the caller's.  -EAGAIN nobody; -EMFILE,
 * -ENFILE.  Sets what tcp needs (no delay, keep-alive, user timeout 15 s). */
int ipcm__door_accept(const struct ipcm__door *door, int *fd,
                      struct ipcm__peer *peer);

/* ---- connecting ---- */

/* A connected socket; tries all addresses of a host.  Errors: those of
 * ipc_manager_connect(). */
int ipcm__net_connect(const struct ipcm__address *address, uint32_t flags,
                      ipc_deadline deadline, int *fd);

/* ---- TLS ---- */

struct ipcm__tls; /* certificates and settings: one for all its streams */

struct ipcm__tls_options {
    bool server;
    const char *certificate; /* files; server: needed */
    const char *key;
    const char *ca;   /* the other side needs a certificate of it */
    const char *name; /* client: in the certificate; NULL: not looked at */
};

/* Errors: -EACCES others may read the key; -EINVAL it is no certificate or key,
 * or they do not belong together; what open(2) says; -ENOMEM. */
int ipcm__tls_new(const struct ipcm__tls_options *options,
                  struct ipcm__tls **out);
void ipcm__tls_free(struct ipcm__tls *tls);

/* ---- streams ---- */

struct ipcm__stream {
    int fd;
    int got_fd;    /* unix: a descriptor that came with what was read; -1 */
    int send_fd;   /* unix: to go with the next byte written; -1.  Not closed */
    bool no_fds;   /* those that come are not wanted: reading is cheaper */
    bool can_wait; /* see ipcm__stream_await() */
    bool want_write; /* TLS: reading cannot go on before it can be written */
    bool want_read;  /* TLS: the other way round */
    void *tls;       /* the connection's own; NULL: plain */
};

/* Owns fd from a result of 0 on.  tls NULL: plain.  The TLS handshake happens
 * in the first reads and writes. */
int ipcm__stream_begin(struct ipcm__stream *stream, int fd,
                       struct ipcm__tls *tls);

/* Close, and wipe what TLS has; in a forked child: without a word to the other
 * side.  got_fd is closed. */
void ipcm__stream_end(struct ipcm__stream *stream);

/* TLS: has its handshake been done?  1; 0: wait for fd (want_write or else
 * readable), call again; or -EKEYREJECTED, -EPROTO, -EPIPE.  Plain: 1. */
int ipcm__stream_ready(struct ipcm__stream *stream);

/* For the handshake: the SHA-256 of the server's certificate; plain: zeros. */
int ipcm__stream_binding(struct ipcm__stream *stream, uint8_t out[32]);

/* How many bytes, 1 or more.  -EAGAIN; -EPIPE the other side is gone, in order
 * or not; -EPROTO TLS says so; -ENOMEM.  More descriptors than one, or any that
 * was not taken, are closed.  What was not written for -EAGAIN has to come again
 * in the next write, with more behind it or not: TLS may have it already. */
int64_t ipcm__stream_read(struct ipcm__stream *stream, void *data, size_t room);
int64_t ipcm__stream_write(struct ipcm__stream *stream, const void *data,
                           size_t bytes);

/* Let reading wait, up to ms a time.  False: this one cannot, as with TLS. */
bool ipcm__stream_let_wait(struct ipcm__stream *stream, uint32_t ms);

/* As _read(), but -EAGAIN only when that time is over, or for a signal: one
 * call into the kernel in place of poll(2) and a read. */
int64_t ipcm__stream_await(struct ipcm__stream *stream, void *data,
                           size_t room);

/* TLS holds bytes that were received and not read: fd will not tell. */
bool ipcm__stream_pending(const struct ipcm__stream *stream);

/* ---- key files ---- */

/* As ipc_manager_key_read(), for any secret file. */
int ipcm__secret_read(const char *path, void *out, size_t room, size_t *bytes);

#endif
