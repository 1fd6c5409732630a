/* The handshake as the server goes through it. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fail.h"
#include "wire/bytes.h"
#include "wire/handshake_parts.h"

/* In the place of a message; behind it if part of it is on its way. */
static void put_refusal(struct ipcm__shake *shake, int error)
{
    const uint32_t at = shake->out_begin == 0 ? 0 : shake->out_end;
    ipcm__shake_head(shake->out + at, (uint32_t)error);
    shake->out_end = at + IPCM__REFUSAL_BYTES;
}

void ipcm__shake_refuse(struct ipcm__shake *shake, int error)
{
    if (shake->state == IPCM__SHAKE_OVER ||
        shake->state == IPCM__SERVER_ACCEPTED)
        return;
    put_refusal(shake, error);
    (void)ipcm__shake_give_up(shake, -error);
}

/* Refuse, with a detail line that was set before. */
static int refuse(struct ipcm__shake *shake, int error)
{
    ipcm__shake_refuse(shake, -error);
    return error;
}

/* HELLO, when there is enough of it to tell. */
int ipcm__shake_hello(struct ipcm__shake *shake)
{
    if (shake->have >= AT_PURPOSE) {
        const uint32_t version = ipcm__get32le(shake->in + AT_VERSION);
        if (version != IPCM__VERSION)
            return refuse(shake, ipcm__fail(-EPROTONOSUPPORT,
                                            "the client speaks version "
                                            "%" PRIu32 ", not %u",
                                            version, IPCM__VERSION));
    }
    if (shake->have < IPCM__HELLO_BYTES)
        return IPCM__SHAKE_MORE;
    memcpy(shake->hello, shake->in, sizeof shake->hello);
    const uint32_t purpose = ipcm__get32le(shake->hello + AT_PURPOSE);
    if (purpose != shake->purpose)
        return refuse(shake, ipcm__fail(-EINVAL,
                                        "the client came for purpose %" PRIu32
                                        ", which is not served here",
                                        purpose));
    memcpy(shake->session, shake->hello + AT_HELLO_SESSION,
           IPCM__SESSION_BYTES);
    shake->pid = ipcm__get32le(shake->hello + AT_HELLO_PID);
    ipcm__shake_send(shake, shake->challenge, sizeof shake->challenge);
    shake->state = IPCM__SERVER_PROOF;
    shake->have = 0;
    return IPCM__SHAKE_MORE;
}

int ipcm__shake_proof(struct ipcm__shake *shake)
{
    if (shake->have < IPCM__PROOF_BYTES)
        return IPCM__SHAKE_MORE;
    if (shake->out_begin != shake->out_end)
        return ipcm__shake_give_up(
            shake, ipcm__fail(-EPROTO, "a proof before the challenge"));
    memcpy(shake->proof, shake->in, sizeof shake->proof);
    if (!ipcm__shake_is_proof(shake, IPCM__CLIENT, NULL, shake->proof))
        return refuse(shake,
                      ipcm__fail(-EACCES, "the client does not have the key"));
    shake->state = IPCM__SERVER_ASKS;
    return IPCM__SHAKE_ASK;
}

void ipcm__shake_accept(struct ipcm__shake *shake,
                        const struct ipcm__welcome *welcome)
{
    uint8_t message[IPCM__WELCOME_BYTES] = {0};
    if (shake->state != IPCM__SERVER_ASKS)
        return;
    shake->welcome = *welcome;
    ipcm__shake_head(message, 0);
    memcpy(message + AT_SESSION, welcome->session, IPCM__SESSION_BYTES);
    ipcm__put64le(message + AT_INSTANCE, welcome->instance);
    ipcm__put32le(message + AT_FLAGS, welcome->flags);
    ipcm__put32le(message + AT_FRAME_BYTES, welcome->frame_bytes);
    ipcm__put32le(message + AT_IN_FLIGHT, welcome->in_flight);
    ipcm__put32le(message + AT_GRACE, welcome->grace_ms);
    ipcm__put32le(message + AT_DEPTH, welcome->depth);
    ipcm__put32le(message + AT_NODES, welcome->nodes);
    ipcm__shake_prove(shake, IPCM__SERVER, message, message + AT_MAC);
    ipcm__shake_send(shake, message, sizeof message);
    shake->state = IPCM__SERVER_ACCEPTED;
}
