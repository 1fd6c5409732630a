/* The handshake.
 *
 * State       what is awaited, and in in[] what of it has come.
 * Invariants  out[out_begin, out_end) is to be sent.  Once error is set nothing
 *             is taken any more; what is to be sent then is a refusal.
 * Order       hello, challenge and proof stay as they went over the wire: what
 *             is proved is those very bytes.
 *
 * sodium_init() is not called: it takes a lock, and a thread that forks while
 * another one holds it would leave a child that waits for ever.  Nothing that
 * is used here needs it. */
#include "wire/handshake.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <sys/random.h>

#include <sodium.h>

#include <ipc/manager.h>

#include "fail.h"
#include "wire/bytes.h"
#include "wire/handshake_parts.h"

static const uint8_t magic[MAGIC_BYTES] = {'l', 'i', 'b', 'i',
                                           'p', 'c', '1', '\n'};

/* ---- proofs ---- */

/* What each side's proof begins with, by purpose: so that none can be used for
 * another. */
static const char *label(const struct ipcm__shake *shake, enum ipcm__role role)
{
    if (shake->purpose == IPCM__FOR_MESSAGES)
        return role == IPCM__CLIENT ? "libipc1 caller\0" : "libipc1 listen\0";
    return role == IPCM__CLIENT ? "libipc1 client\0" : "libipc1 server\0";
}

void ipcm__shake_prove(const struct ipcm__shake *shake, enum ipcm__role role,
                       const uint8_t *welcome, uint8_t out[IPCM__MAC_BYTES])
{
    crypto_auth_hmacsha256_state hmac;
    crypto_auth_hmacsha256_init(&hmac, shake->key, shake->key_bytes);
    crypto_auth_hmacsha256_update(&hmac, (const uint8_t *)label(shake, role),
                                  LABEL_BYTES);
    crypto_auth_hmacsha256_update(&hmac, shake->binding, sizeof shake->binding);
    crypto_auth_hmacsha256_update(&hmac, shake->hello, sizeof shake->hello);
    crypto_auth_hmacsha256_update(&hmac, shake->challenge,
                                  sizeof shake->challenge);
    if (role == IPCM__SERVER) {
        crypto_auth_hmacsha256_update(&hmac, shake->proof, sizeof shake->proof);
        crypto_auth_hmacsha256_update(&hmac, welcome, AT_MAC);
    }
    crypto_auth_hmacsha256_final(&hmac, out);
    sodium_memzero(&hmac, sizeof hmac);
}

bool ipcm__shake_is_proof(const struct ipcm__shake *shake, enum ipcm__role role,
                          const uint8_t *welcome, const uint8_t *mac)
{
    uint8_t right[IPCM__MAC_BYTES];
    ipcm__shake_prove(shake, role, welcome, right);
    const bool same = sodium_memcmp(right, mac, sizeof right) == 0;
    sodium_memzero(right, sizeof right);
    return same;
}

/* ---- messages ---- */

void ipcm__shake_head(uint8_t *to, uint32_t number)
{
    memcpy(to, magic, MAGIC_BYTES);
    ipcm__put32le(to + AT_VERSION, IPCM__VERSION);
    ipcm__put32le(to + AT_STATUS, number);
}

void ipcm__shake_send(struct ipcm__shake *shake, const void *message,
                      uint32_t bytes)
{
    memcpy(shake->out, message, bytes);
    shake->out_begin = 0;
    shake->out_end = bytes;
}

int ipcm__shake_give_up(struct ipcm__shake *shake, int error)
{
    shake->state = IPCM__SHAKE_OVER;
    shake->error = error;
    return error;
}

/* ---- begin and end ---- */

static int random_bytes(uint8_t *out, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        const ssize_t n = getrandom(out + done, bytes - done, 0);
        if (n < 0 && errno != EINTR)
            return ipcm__fail(-EIO, "no random numbers: %s",
                              ipc_strerror(-errno));
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}

static void begin_client(struct ipcm__shake *shake,
                         const struct ipcm__shake_options *options,
                         const uint8_t *nonce)
{
    ipcm__shake_head(shake->hello, options->purpose);
    memcpy(shake->hello + AT_NONCE, nonce, IPCM__NONCE_BYTES);
    if (options->session != NULL) {
        memcpy(shake->session, options->session, IPCM__SESSION_BYTES);
        memcpy(shake->hello + AT_HELLO_SESSION, options->session,
               IPCM__SESSION_BYTES);
    }
    shake->pid = options->pid;
    ipcm__put32le(shake->hello + AT_HELLO_PID, options->pid);
    ipcm__shake_send(shake, shake->hello, sizeof shake->hello);
    shake->state = IPCM__CLIENT_CHALLENGE;
}

int ipcm__shake_begin(struct ipcm__shake *shake, enum ipcm__role role,
                      const struct ipcm__shake_options *options)
{
    uint8_t nonce[IPCM__NONCE_BYTES];

    if (options->key_bytes < IPC_MANAGER_KEY_MIN ||
        options->key_bytes > IPC_MANAGER_KEY_MAX)
        return ipcm__fail(-EINVAL, "a key of %zu bytes: it must have %u to %u",
                          options->key_bytes, IPC_MANAGER_KEY_MIN,
                          IPC_MANAGER_KEY_MAX);
    if (options->nonce != NULL) {
        memcpy(nonce, options->nonce, sizeof nonce);
    } else {
        const int rc = random_bytes(nonce, sizeof nonce);
        if (rc < 0)
            return rc;
    }
    memset(shake, 0, sizeof *shake);
    shake->role = role;
    shake->purpose = options->purpose;
    shake->key = options->key;
    shake->key_bytes = options->key_bytes;
    if (options->binding != NULL)
        memcpy(shake->binding, options->binding, sizeof shake->binding);
    if (role == IPCM__CLIENT) {
        begin_client(shake, options, nonce);
    } else {
        ipcm__shake_head(shake->challenge, 0);
        memcpy(shake->challenge + AT_NONCE, nonce, sizeof nonce);
        shake->state = IPCM__SERVER_HELLO;
    }
    return 0;
}

void ipcm__shake_end(struct ipcm__shake *shake)
{
    sodium_memzero(shake, sizeof *shake);
    shake->state = IPCM__SHAKE_OVER;
    shake->error = -EPROTO;
}

/* ---- both ---- */

/* How long the message is that is awaited. */
static uint32_t awaited(const struct ipcm__shake *shake)
{
    switch (shake->state) {
    case IPCM__SERVER_HELLO:
        return IPCM__HELLO_BYTES;
    case IPCM__SERVER_PROOF:
        return IPCM__PROOF_BYTES;
    case IPCM__CLIENT_CHALLENGE:
        return IPCM__CHALLENGE_BYTES;
    case IPCM__CLIENT_WELCOME:
        return IPCM__WELCOME_BYTES;
    default:
        return 0;
    }
}

size_t ipcm__shake_wants(const struct ipcm__shake *shake)
{
    const uint32_t whole = awaited(shake);
    return whole == 0 ? 0 : whole - shake->have;
}

/* The magic is told by its first wrong byte.  PROOF has none. */
static bool begins_well(const struct ipcm__shake *shake)
{
    const uint32_t there =
        shake->have < MAGIC_BYTES ? shake->have : MAGIC_BYTES;
    if (awaited(shake) == 0 || shake->state == IPCM__SERVER_PROOF)
        return true;
    return memcmp(shake->in, magic, there) == 0;
}

int ipcm__shake_feed(struct ipcm__shake *shake, const void *bytes, size_t n)
{
    if (shake->error != 0)
        return shake->error;
    if (n > ipcm__shake_wants(shake))
        return ipcm__shake_give_up(
            shake, ipcm__fail(-EPROTO, "more than a handshake"));
    if (n != 0)
        memcpy(shake->in + shake->have, bytes, n);
    shake->have += (uint32_t)n;
    if (!begins_well(shake))
        return ipcm__shake_give_up(shake,
                                   ipcm__fail(-EPROTO, "that is no handshake"));
    switch (shake->state) {
    case IPCM__SERVER_HELLO:
        return ipcm__shake_hello(shake);
    case IPCM__SERVER_PROOF:
        return ipcm__shake_proof(shake);
    case IPCM__SERVER_ASKS:
        return IPCM__SHAKE_ASK;
    case IPCM__CLIENT_CHALLENGE:
        return ipcm__shake_challenge(shake);
    case IPCM__CLIENT_WELCOME:
        return ipcm__shake_welcome(shake);
    case IPCM__CLIENT_DONE:
        return IPCM__SHAKE_DONE;
    default:
        return IPCM__SHAKE_MORE;
    }
}

size_t ipcm__shake_output(const struct ipcm__shake *shake, const void **data)
{
    *data = shake->out + shake->out_begin;
    return shake->out_end - shake->out_begin;
}

void ipcm__shake_sent(struct ipcm__shake *shake, size_t n)
{
    shake->out_begin += (uint32_t)n;
    if (shake->out_begin == shake->out_end) {
        shake->out_begin = 0;
        shake->out_end = 0;
    }
}
