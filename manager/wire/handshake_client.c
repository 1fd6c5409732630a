/* The handshake as the client goes through it. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fail.h"
#include "wire/bytes.h"
#include "wire/handshake_parts.h"

/* What a refusal says, which anybody can write: it is believed only as a reason
 * to stop. */
static int refused(struct ipcm__shake *shake, uint32_t status, uint32_t version)
{
    switch (status) {
    case EACCES:
        return ipcm__shake_give_up(
            shake, ipcm__fail(-EACCES, "the server refused: it says "
                                       "that the key is wrong, or "
                                       "that we may not come"));
    case EUSERS:
        return ipcm__shake_give_up(
            shake,
            ipcm__fail(-EUSERS, "the server has too many connections, or "
                                "too many that are being made"));
    case EPROTONOSUPPORT:
        return ipcm__shake_give_up(
            shake, ipcm__fail(-EPROTONOSUPPORT,
                              "the server speaks version %" PRIu32 ", not %u",
                              version, IPCM__VERSION));
    case EINVAL:
        return ipcm__shake_give_up(
            shake, ipcm__fail(-EINVAL, "that is not what is served there"));
    default:
        return ipcm__shake_give_up(shake,
                                   ipcm__fail(-EPROTO,
                                              "the server refused with status "
                                              "%" PRIu32,
                                              status));
    }
}

/* Version and status of CHALLENGE or WELCOME.  1: all is well so far. */
static int take_head(struct ipcm__shake *shake)
{
    if (shake->have < IPCM__REFUSAL_BYTES)
        return IPCM__SHAKE_MORE;
    const uint32_t version = ipcm__get32le(shake->in + AT_VERSION);
    const uint32_t status = ipcm__get32le(shake->in + AT_STATUS);
    if (status != 0)
        return refused(shake, status, version);
    if (version != IPCM__VERSION)
        return refused(shake, EPROTONOSUPPORT, version);
    return 1;
}

int ipcm__shake_challenge(struct ipcm__shake *shake)
{
    const int rc = take_head(shake);
    if (rc <= 0 || shake->have < IPCM__CHALLENGE_BYTES)
        return rc < 0 ? rc : IPCM__SHAKE_MORE;
    if (shake->out_begin != shake->out_end)
        return ipcm__shake_give_up(
            shake, ipcm__fail(-EPROTO, "a challenge before the hello"));
    memcpy(shake->challenge, shake->in, sizeof shake->challenge);
    ipcm__shake_prove(shake, IPCM__CLIENT, NULL, shake->proof);
    ipcm__shake_send(shake, shake->proof, sizeof shake->proof);
    shake->state = IPCM__CLIENT_WELCOME;
    shake->have = 0;
    return IPCM__SHAKE_MORE;
}

/* A manager that takes nothing would be waited for without end. */
static bool is_usable(const struct ipcm__shake *shake)
{
    const struct ipcm__welcome *welcome = &shake->welcome;
    if (shake->purpose == IPCM__FOR_MESSAGES)
        return true;
    return welcome->frame_bytes != 0 && welcome->in_flight != 0 &&
           welcome->depth != 0 && welcome->nodes != 0;
}

static void read_welcome(const uint8_t *from, struct ipcm__welcome *out)
{
    memcpy(out->session, from + AT_SESSION, IPCM__SESSION_BYTES);
    out->instance = ipcm__get64le(from + AT_INSTANCE);
    out->flags = ipcm__get32le(from + AT_FLAGS);
    out->frame_bytes = ipcm__get32le(from + AT_FRAME_BYTES);
    out->in_flight = ipcm__get32le(from + AT_IN_FLIGHT);
    out->grace_ms = ipcm__get32le(from + AT_GRACE);
    out->depth = ipcm__get32le(from + AT_DEPTH);
    out->nodes = ipcm__get32le(from + AT_NODES);
}

int ipcm__shake_welcome(struct ipcm__shake *shake)
{
    const int rc = take_head(shake);
    if (rc <= 0 || shake->have < IPCM__WELCOME_BYTES)
        return rc < 0 ? rc : IPCM__SHAKE_MORE;
    if (!ipcm__shake_is_proof(shake, IPCM__SERVER, shake->in,
                              shake->in + AT_MAC))
        return ipcm__shake_give_up(
            shake, ipcm__fail(-EACCES, "the server does not have the key"));
    read_welcome(shake->in, &shake->welcome);
    if (!is_usable(shake))
        return ipcm__shake_give_up(
            shake, ipcm__fail(-EPROTO, "a limit of the server's is 0"));
    shake->state = IPCM__CLIENT_DONE;
    return IPCM__SHAKE_DONE;
}
