/* Handshake: both sides prove to each other that they have the key.
 * PROTOCOL.md section 1.
 *
 * A state machine for each side, without I/O, memory or time of its own: it is
 * fed with what comes, and says what is to be sent.  Server, client and
 * listener drive it from their sockets, tests and the fuzzer from arrays.
 *
 *     loop
 *         send ipcm__shake_output(), if any, telling ipcm__shake_sent()
 *         receive, at most ipcm__shake_wants() bytes
 *         rc = ipcm__shake_feed(shake, bytes, n)
 *         IPCM__SHAKE_MORE   go on
 *         IPCM__SHAKE_ASK    server: the proof is right.  Find or make the
 *                            session, then ipcm__shake_accept() or _refuse()
 *         IPCM__SHAKE_DONE   client: shake->welcome holds
 *         negative           send what is still to be sent, and close
 *
 * A server is done when it was accepted and all output is sent.  Never more is
 * taken than the handshake needs: the next byte is that of a frame.
 *
 * Secrets.  The key is the caller's, for as long as it goes on.  What is
 * derived from it is wiped by ipcm__shake_end(), to be called in any case.
 * Comparisons take the same time wherever a difference is.  The server sends
 * nothing that depends on the key before the client's proof was right. */
#ifndef IPC_MANAGER_WIRE_HANDSHAKE_H
#define IPC_MANAGER_WIRE_HANDSHAKE_H

#include <stddef.h>
#include <stdint.h>

#define IPCM__VERSION         1u
#define IPCM__NONCE_BYTES     32u
#define IPCM__MAC_BYTES       32u
#define IPCM__SESSION_BYTES   16u
#define IPCM__HELLO_BYTES     72u
#define IPCM__CHALLENGE_BYTES 48u
#define IPCM__PROOF_BYTES     32u
#define IPCM__WELCOME_BYTES   96u
#define IPCM__REFUSAL_BYTES   16u

#define IPCM__SHAKE_MORE 0
#define IPCM__SHAKE_ASK  1
#define IPCM__SHAKE_DONE 2

enum ipcm__role {
    IPCM__CLIENT = 1,
    IPCM__SERVER = 2
};
enum ipcm__purpose {
    IPCM__FOR_MANAGER = 1,
    IPCM__FOR_MESSAGES = 2
};

#define IPCM__WELCOME_RESUMED   1u
#define IPCM__WELCOME_RESTARTED 2u
#define IPCM__WELCOME_ARENA     4u

/* What the server tells at the end. */
struct ipcm__welcome {
    uint8_t session[IPCM__SESSION_BYTES];
    uint64_t instance;
    uint32_t flags; /* IPCM__WELCOME_... */
    uint32_t frame_bytes;
    uint32_t in_flight;
    uint32_t grace_ms;
    uint32_t depth;
    uint32_t nodes;
};

struct ipcm__shake {
    /* Read by who drives it. */
    uint32_t role;
    uint32_t purpose;
    uint8_t session[IPCM__SESSION_BYTES]; /* that the client asks for */
    uint32_t pid;                         /* that the client says it has */
    struct ipcm__welcome welcome;         /* client: when it is done */

    /* Its own. */
    const uint8_t *key;
    size_t key_bytes;
    uint32_t state;
    uint32_t have; /* bytes in in[] */
    uint32_t out_begin;
    uint32_t out_end;
    int error; /* the first one: it stays */
    uint8_t binding[32];
    uint8_t hello[IPCM__HELLO_BYTES];
    uint8_t challenge[IPCM__CHALLENGE_BYTES];
    uint8_t proof[IPCM__PROOF_BYTES];
    uint8_t in[IPCM__WELCOME_BYTES];
    uint8_t out[IPCM__WELCOME_BYTES];
};

struct ipcm__shake_options {
    enum ipcm__purpose purpose;
    const void *key; /* IPC_MANAGER_KEY_MIN bytes or more */
    size_t key_bytes;
    const uint8_t *binding; /* 32 bytes; NULL: zeros */
    const uint8_t *session; /* client: to come back to; NULL: a new one */
    uint32_t pid;           /* client */
    const uint8_t *nonce;   /* for tests; NULL: random */
};

/* -EINVAL the key is too short or too long; -EIO no random numbers. */
int ipcm__shake_begin(struct ipcm__shake *shake, enum ipcm__role role,
                      const struct ipcm__shake_options *options);

/* How many bytes it takes at most now: 0 while it is asked for, or over. */
size_t ipcm__shake_wants(const struct ipcm__shake *shake);

/* n is at most what it wants.  Errors: -EPROTO that is no handshake;
 * -EPROTONOSUPPORT another version; -EACCES the proof is wrong, client: we were
 * refused, or the server does not have the key; -EUSERS, -EINVAL refused. */
int ipcm__shake_feed(struct ipcm__shake *shake, const void *bytes, size_t n);

/* Server, when asked.  refuse: with a positive errno; also at any other time
 * before (too many connections), and then nothing more is wanted. */
void ipcm__shake_accept(struct ipcm__shake *shake,
                        const struct ipcm__welcome *welcome);
void ipcm__shake_refuse(struct ipcm__shake *shake, int error);

/* What is to be sent: how many bytes, and where they are. */
size_t ipcm__shake_output(const struct ipcm__shake *shake, const void **data);
void ipcm__shake_sent(struct ipcm__shake *shake, size_t n);

void ipcm__shake_end(struct ipcm__shake *shake);

#endif
